"""`python -m gateway.launcher --uses flows/flow.yml`: a Flow that stops when it is told to.

Jina's own command has no handler for SIGTERM: its children outlive it and keep the port. Here a
signal first lets the gateway finish what is in flight, then ends the Executors, then whatever is
left; a signal during start-up does the same, and children die with a launcher that is killed.
"""

import argparse
import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from jina import Flow

LOOPBACK = "localhost,127.0.0.1,::1"
POLL_SECONDS = 0.2
_EXECUTOR_SECONDS = 2.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h

log = logging.getLogger("gateway.launcher")


class Stop(BaseException):
    """A signal asked for the end; not an Exception, so that nothing on the way swallows it."""


class Tether:
    """Ties the processes that this one forks to its life: they are killed when it dies.

    Each also gets a process group of its own, so that Ctrl-C reaches the launcher alone and the
    Executors still work while the gateway drains. Linux only; elsewhere a killed launcher leaves
    its children, which SIGTERM then ends.
    """

    def __init__(self) -> None:
        self._prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
        self._parent = os.getpid()

    def install(self) -> None:
        """From now on; affects children, not their children."""
        os.register_at_fork(after_in_child=self._in_child)

    def _in_child(self) -> None:
        if os.getppid() != self._parent:
            return
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until Jina's own handlers are there
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.setpgid(0, 0)
        if self._prctl is not None:
            self._prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != self._parent:
                os._exit(1)


def _prepare_environment() -> None:
    """Switch off telemetry and proxies, and keep Executors on loopback."""
    os.environ.setdefault("JINA_OPTOUT_TELEMETRY", "1")
    os.environ.setdefault("JINA_DEFAULT_HOST", "127.0.0.1")
    for name in ("no_proxy", "NO_PROXY"):
        present = os.environ.get(name)
        os.environ[name] = f"{present},{LOOPBACK}" if present else LOOPBACK


def run(uses: str, grace: float) -> int:
    """Return the exit code of a Flow's whole life: 0 after a signal, 1 if it could not start or
    died.
    """
    from jina import Flow  # reads the environment and resets SIGINT when it is imported

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _raise_stop)
    try:
        _start(Flow.load_config(uses))
        code = _watch()
    except Stop:
        code = 0
    except Exception as error:  # noqa: BLE001 - Jina raises many kinds, all end the start
        log.error("%s could not start: %s", uses, str(error) or type(error).__name__)
        code = 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _kill_now)
    _stop_children(grace)
    return code


def _stop_children(grace: float) -> None:
    """End all children: the gateway within `grace` seconds, the others within two more."""
    children = multiprocessing.active_children()
    gateways = [child for child in children if _is_gateway(child)]
    _end(gateways, grace)
    _end([child for child in children if child not in gateways], _EXECUTOR_SECONDS)
    _kill(children)


def _raise_stop(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise Stop(signal.Signals(number).name)


def _kill_now(_number: int, _frame: FrameType | None) -> NoReturn:
    """Kill all processes at the second signal."""
    _kill(multiprocessing.active_children())
    os._exit(1)


def _start(flow: "Flow") -> None:
    began = time.monotonic()
    flow.start()
    seconds = time.monotonic() - began
    line = f"ready: gRPC, HTTP and WebSocket on port {flow.port} after {seconds:.1f} s\n"
    sys.stdout.write(line)
    sys.stdout.flush()


def _watch() -> int:
    """Return 1 once the gateway or the last Executor is gone; a signal ends it with Stop."""
    known = {child.name for child in multiprocessing.active_children()}
    while True:
        alive = multiprocessing.active_children()
        for name in sorted(known - {child.name for child in alive}):
            log.error("%s died", name)
            known.discard(name)
        gateways = sum(_is_gateway(child) for child in alive)
        if not gateways or gateways == len(alive):
            return 1
        time.sleep(POLL_SECONDS)


def _is_gateway(child: BaseProcess) -> bool:
    return child.name.partition("/")[0] == "gateway"


def _end(children: Sequence[BaseProcess], seconds: float) -> None:
    for child in children:
        child.terminate()
    deadline = time.monotonic() + seconds
    for child in children:
        child.join(max(0.0, deadline - time.monotonic()))


def _kill(children: Sequence[BaseProcess]) -> None:
    """SIGKILL to each child's group, which holds what the child itself started."""
    for child in children:
        try:
            os.killpg(child.pid or 0, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    for child in children:
        child.join(1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and runs the Flow."""
    parser = argparse.ArgumentParser(prog="gateway.launcher", description=__doc__)
    parser.add_argument("--uses", required=True, help="the Flow's YAML file")
    parser.add_argument(
        "--grace", type=float, default=12.0, help="seconds for the gateway to drain and stop"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
    _prepare_environment()
    Tether().install()
    return run(options.uses, options.grace)


if __name__ == "__main__":
    exit_code = main()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(exit_code)  # threads that still wait for a Flow which never started would keep us here
