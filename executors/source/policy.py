"""What the operator allows a uri to reach."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from contract.problem import quote
from executors.source.public_addresses import Address, is_public
from superres.errors import BadSetting


@dataclass(frozen=True)
class SourcePolicy:
    """What a uri may reach. Raises BadSetting, naming the setting, where it makes no sense.

    `hosts`: names, exact or as ".example.org" for all below it; empty is every host. An allowed
    host still needs a public address, unless it lies in `private_networks` (such as "10.1.0.0/16").
    `folders`: absolute; empty refuses local paths. `seconds` bound a whole fetch.
    """

    http: bool = True
    hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = (80, 443)
    private_networks: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    max_bytes: int = 64 * 2**20
    seconds: float = 10.0
    redirects: int = 3

    def __post_init__(self) -> None:
        self.networks()
        for folder in self.folders:
            if not folder.is_absolute():
                raise BadSetting(f"folders {quote(str(folder))}: expected an absolute path")
        for name, least in (("max_bytes", 1), ("seconds", 0.001), ("redirects", 0)):
            if not getattr(self, name) >= least:
                raise BadSetting(f"{name} {getattr(self, name)}: expected at least {least}")

    def networks(self) -> list[IPv4Network | IPv6Network]:
        """Parse `private_networks`."""
        try:
            return [ip_network(network) for network in self.private_networks]
        except ValueError as error:
            raise BadSetting(
                f'private_networks: {error}; expected networks such as "10.1.0.0/16"'
            ) from error

    def allow(self, address: Address) -> bool:
        """Return whether a connection to `address` may be made."""
        return is_public(address) or any(address in network for network in self.networks())

    def allow_host(self, host: str) -> bool:
        """Return whether the operator's list has `host`, or there is no list."""
        names = [name.lower() for name in self.hosts]
        return not names or any(
            host.endswith(name) if name.startswith(".") else host == name for name in names
        )

    def expected(self) -> str:
        """Return the kinds of uri that may be read, for messages."""
        kinds = ["data:"]
        kinds += ["http:", "https:"] if self.http else []
        kinds += ["a path in an allowed folder"] if self.folders else []
        return ", ".join(kinds[:-1]) + " or " + kinds[-1] if len(kinds) > 1 else kinds[0]
