"""What can go wrong, as a tree. `str(error)` is public; the private cause travels as `__cause__`.

SuperresError
├── Refused             the caller can mend it (HTTP 4xx, INVALID_ARGUMENT)
│   ├── BadOption           an option has a value that is not allowed
│   ├── BadImage            the bytes, the tensor or the Document hold no usable image
│   ├── BadVideo            a file holds no video that can be upscaled
│   ├── BadSource           a uri that may not or cannot be read
│   └── TooLarge            bytes, pixels, frames, seconds, documents or memory beyond a limit
├── Unavailable         the same request may succeed later (HTTP 429/503/504)
│   ├── Overloaded          the admission queue is full
│   ├── DeadlineExceeded    the request's time is over
│   ├── Cancelled           nobody waits for the answer any more
│   └── OutOfMemory         the device cannot hold even the smallest tile
├── Misconfigured       the operator's: a setting or a weights file
│   ├── BadSetting          an operator option has a wrong name or value
│   ├── WeightsMissing      a weights file is neither here nor can be downloaded
│   ├── WeightsCorrupt      a weights file is not what its hash or format promises
│   └── WeightsMismatch     a weights file belongs to another architecture
└── Failed              ours: the model produced nothing usable
"""

from collections.abc import Iterator

from contract.problem import quote


class SuperresError(Exception):
    """An error with a public message, a machine-readable `code` and, for options, what is allowed.

    `code` is SCREAMING_SNAKE, e.g. "SCALE_SYNTAX"; `option` names the option or field at fault;
    `allowed` says what would do.
    """

    code = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        option: str | None = None,
        allowed: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code or type(self).code
        self.option = option
        self.allowed = allowed


class Refused(SuperresError):
    """The caller can mend it."""

    code = "REFUSED"


class BadOption(Refused):
    """`option` has a value that is not allowed; the message names value and remedy."""

    code = "OPTION"

    def __init__(
        self, option: str, value: object, allowed: str, *, code: str | None = None
    ) -> None:
        super().__init__(
            f"{option} {quote(value)}: expected {allowed}",
            code=code,
            option=option,
            allowed=allowed,
        )


class BadImage(Refused):
    """No usable image: EMPTY, UNDECODABLE, TRUNCATED, FORMAT, MODE, DTYPE, SHAPE, NON_FINITE."""

    code = "UNDECODABLE"


class BadVideo(Refused):
    """No usable video: EMPTY, UNDECODABLE, TRUNCATED, FORMAT, ENCRYPTED."""

    code = "UNDECODABLE"


class BadSource(Refused):
    """A uri that may not or cannot be read: SCHEME, ADDRESS, REDIRECTS, SOURCE_STATUS …"""

    code = "SOURCE"


class TooLarge(Refused):
    """Beyond a limit: BYTES, PIXELS, FRAMES, SECONDS, DOCUMENTS, OUTPUT_PIXELS, MEMORY; both
    numbers are named.
    """

    code = "TOO_LARGE"


class Unavailable(SuperresError):
    """The same request may succeed later."""

    code = "UNAVAILABLE"


class Overloaded(Unavailable):
    """The admission queue is full: retry after about `retry_after` seconds."""

    code = "OVERLOADED"

    def __init__(self, message: str, *, allowed: str | None = None, retry_after: int = 1) -> None:
        super().__init__(message, allowed=allowed)
        self.retry_after = retry_after


class DeadlineExceeded(Unavailable):
    """The request's time is over."""

    code = "DEADLINE"


class Cancelled(Unavailable):
    """Nobody waits for the answer any more."""

    code = "CANCELLED"


class OutOfMemory(Unavailable):
    """The device cannot hold even the smallest tile."""

    code = "OUT_OF_MEMORY"


class Misconfigured(SuperresError):
    """A setting or a weights file of the operator's is wrong; raised at start."""

    code = "MISCONFIGURED"


class BadSetting(Misconfigured):
    """An operator option has a wrong name or value."""

    code = "SETTING"


class WeightsMissing(Misconfigured):
    """A weights file is neither here nor can be downloaded; `reason` is the message without the
    remedy, where one source was tried.
    """

    code = "WEIGHTS_MISSING"

    def __init__(
        self, message: str, *, option: str | None = None, reason: str | None = None
    ) -> None:
        super().__init__(message, option=option)
        self.reason = reason or message


class WeightsCorrupt(Misconfigured):
    """A weights file is not what its hash or format promises."""

    code = "WEIGHTS_CORRUPT"


class WeightsMismatch(Misconfigured):
    """A weights file belongs to another architecture."""

    code = "WEIGHTS_MISMATCH"


class Failed(SuperresError):
    """The model produced nothing usable, or a defect of ours."""

    code = "FAILED"


def list_causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what led to it, outermost first."""
    while error is not None:
        yield error
        hidden = error.__suppress_context__
        error = error.__cause__ or (None if hidden else error.__context__)


def concerns_all(error: BaseException) -> bool:
    """Return whether the next image of a run would meet the same."""
    return isinstance(error, Misconfigured) or getattr(error, "code", None) == "MODEL"
