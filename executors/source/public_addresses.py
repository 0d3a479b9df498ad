"""Which addresses belong to the public internet."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address

# Not public, by the IANA registries of special-purpose addresses; `is_global` is asked as well,
# but its table differs between Python releases.
SPECIAL = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; also a cloud's metadata at 100.100.100.200
        "127.0.0.0/8",
        "168.63.129.16/32",  # public by number, but Azure's host agent
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",  # Teredo, benchmarks, ORCHID
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
    )
)
# Outside of it lie loopback, IPv4-compatible, NAT64, unique local, link-local and multicast.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_ISATAP = 0x5EFE  # bits 32..63 of an address that ends in an IPv4 address, but for bit 57


def unwrap_mapped(address: Address) -> Address:
    """Return the IPv4 address inside an IPv4-mapped one, else `address`."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_public(address: Address) -> bool:
    """Return whether `address` belongs to the public internet.

    False for every special-purpose range, and for every IPv6 form that carries an IPv4 address
    (compatible, 6to4, NAT64, Teredo, ISATAP) whichever it carries: no public web server needs
    them. IPv4-mapped addresses are judged as the IPv4 address.
    """
    address = unwrap_mapped(address)
    if isinstance(address, IPv6Address):
        isatap = (int(address) >> 32) & 0xFDFFFFFF == _ISATAP
        if isatap or address not in _GLOBAL_UNICAST:
            return False
    return address.is_global and not any(address in network for network in SPECIAL)
