"""API keys: what `authorization` must hold once a key is set, at the gateway and at Executors."""

import hmac
import os
from collections.abc import Iterable

from contract.problem import Problem

__all__ = ["KEY_NEEDED", "VARIABLE", "Keys", "read_keys"]

VARIABLE = "SUPERRES_API_KEYS"
"""The environment variable that gateway and Executors read alike: keys with commas between."""

KEY_NEEDED = Problem("KEY", 'a valid API key is needed: send it as "authorization"', status=401)

_ABSENT = frozenset({"", "undefined", "None", "null"})
"""What the official clients send when their user gave no token."""


class Keys:
    """The keys that open the service; empty means open to everyone."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = tuple(key.encode() for key in keys)

    def __bool__(self) -> bool:
        return bool(self._keys)

    @property
    def first(self) -> str | None:
        """The key that the gateway shows to Executors; None where there is none."""
        return self._keys[0].decode() if self._keys else None

    def admit(self, authorization: str | bytes | None) -> bool:
        """Return whether `authorization`, bare or `Bearer <key>`, is one of the keys; constant
        time.
        """
        if not self._keys:
            return True
        if isinstance(authorization, bytes):
            authorization = authorization.decode("utf-8", "surrogateescape")
        token = (authorization or "").strip()
        if token[:7].lower() == "bearer ":
            token = token[7:].strip()
        offered = token.encode(errors="surrogateescape")
        matches = [hmac.compare_digest(offered, key) for key in self._keys]
        return any(matches) and token not in _ABSENT


def read_keys(setting: str | Iterable[str] | None) -> Keys:
    """Return the keys of the setting `api_keys` and of the environment variable.

    Args:
        setting: A list, or text with commas; None for none.

    Returns:
        The keys, the setting's first, each once.

    Raises:
        ValueError: A key that clients without one would send.
    """
    listed = setting.split(",") if isinstance(setting, str) else [str(key) for key in setting or ()]
    texts = [key.strip() for key in listed + os.environ.get(VARIABLE, "").split(",")]
    useless = sorted(_ABSENT.intersection(texts) - {""})
    if useless:
        raise ValueError(
            f'api_keys "{useless[0]}": clients without a key send that; choose another'
        )
    return Keys(dict.fromkeys(text for text in texts if text))
