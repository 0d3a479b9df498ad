"""One reading of one uri: its guards, its deadline, and how it is refused."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from contract.problem import quote
from executors.source.policy import SourcePolicy
from superres.errors import BadSource, TooLarge

Resolver = Callable[[str], list[str]]

MAX_CHARACTERS = 2048  # of a uri that is not data:
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class FetchContext:
    """One reading of one uri: what its steps share. `end` is on the monotonic clock."""

    uri: str
    policy: SourcePolicy
    resolve: Resolver
    end: float

    def refused(self, problem: str, allowed: str, *, code: str) -> BadSource:
        """Return the error that says what is wrong with the uri and what would do."""
        message = f"uri {quote(self.uri)}: {problem}; expected {allowed}"
        return BadSource(message, code=code, option="uri", allowed=allowed)

    def too_large(self, size: str) -> TooLarge:
        """Return the error for `size` (in words), which is beyond the limit."""
        allowed = f"at most {self.policy.max_bytes} bytes"
        message = f"uri {quote(self.uri)}: {size}; expected {allowed}"
        return TooLarge(message, code="BYTES", option="uri", allowed=allowed)

    def left(self) -> float:
        """Return seconds until the end. Raises TimeoutError when there are none."""
        seconds = self.end - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("the time for the whole fetch is over")
        return seconds


def scheme_of(uri: str) -> str:
    """Return the scheme in lower case, "" for a bare path."""
    match = SCHEME.match(uri[:64])
    return match[1].lower() if match else ""
