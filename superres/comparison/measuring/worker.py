"""A process for one contender at one place: measures there, and may be ended at any time."""

import multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from superres.comparison.cells import NotMeasured, Values
from superres.comparison.contenders import Contender, Place
from superres.comparison.measuring.subject import Subject

__all__ = ["Worker", "choose_time_limit"]

Measure = Callable[..., Values]
"""A function of a module, of a Subject and further arguments."""

_SPAWN = multiprocessing.get_context("spawn")  # no thread or memory of ours is inherited
_STOP_SECONDS = 5.0
_FACTOR, _SPARE_SECONDS = 3.0, 60.0  # of a measurement that was to take so long at most


def choose_time_limit(max_seconds: float) -> float:
    """Return the seconds after which a process is ended whose work was to take `max_seconds`."""
    return _FACTOR * max_seconds + _SPARE_SECONDS


class Worker:
    """Starts at the first measurement, and anew after one that ended it."""

    def __init__(self, contender: Contender, place: Place) -> None:
        self.contender = contender
        self.place = place
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None
    ) -> None:
        self._end()

    def measure(self, function: Measure, seconds: float, *arguments: Any) -> Values:
        """Return what `function(subject, *arguments)` finds there, for at most so many seconds.

        The function is one of a module, which the process imports; arguments are pickled. Raises
        NotMeasured where it took too long, it failed, or the process died.
        """
        pipe = self._pipe or self._start()
        try:
            pipe.send((function, arguments))
            if not pipe.poll(seconds):
                self._end()
                raise NotMeasured(f"not done after {seconds:.0f} s")
            values, error = pipe.recv()
        except (EOFError, OSError) as ended:
            code = self._end()
            # The system ends a process that takes more memory than there is with this signal.
            reason = "out of memory" if code == -9 else f"the process ended with {code}"
            raise NotMeasured(reason) from ended
        except BaseException:
            self._end()
            raise
        if error is not None:
            raise NotMeasured(error)
        found: Values = values
        return found

    def _start(self) -> Connection:
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(
            target=_serve, args=(theirs, self.contender, self.place), daemon=True
        )
        self._process.start()
        theirs.close()
        return self._pipe

    def _end(self) -> int | None:
        """End the process; return its exit code, None where there was none."""
        process, pipe, self._process, self._pipe = self._process, self._pipe, None, None
        if pipe is not None:
            pipe.close()
        if process is None:
            return None
        process.join(0.5)
        if process.is_alive():
            process.kill()
        process.join(_STOP_SECONDS)
        return process.exitcode


def _serve(pipe: Connection, contender: Contender, place: Place) -> None:
    """Measure as asked until nobody asks any more."""
    subject: Subject | None = None
    while True:
        try:
            function, arguments = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            subject = subject or Subject(contender, place)
            pipe.send((function(subject, *arguments), None))
        except KeyboardInterrupt:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            reason = "".join(traceback.format_exception_only(error)).strip()
            pipe.send((None, " ".join(reason.split())))
