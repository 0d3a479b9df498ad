"""Documents per second through a running Flow."""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import requests
import yaml
from PIL import Image as PillowImage
from skimage import data

from evaluation.protocol import Pixels
from superres.comparison.cells import NotMeasured, Values
from superres.comparison.contenders import Contender

__all__ = ["RunningFlow", "find_launcher", "run_flow"]

SIDE = 128  # pixels of the photo that is sent
_EXECUTORS = {
    "bicubic_pp": "BicubicPP",
    "compact": "Embedded",
    "dipnet": "DIPNet",
    "lanczos": "Lanczos",
    "lapsrn": "LapSRN",
    "realesrgan": "RealESRGAN",
    "stable_diffusion": "StableDiffusion",
    "swin2sr": "Swin2SR",
    "swinir": "SwinIR",
}
_START_SECONDS, _STOP_SECONDS = 180.0, 20.0


class RunningFlow:
    """A Flow on loopback that serves models."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/upscale"
        stream = BytesIO()
        pixels: Pixels = data.astronaut()  # type: ignore[no-untyped-call]
        photo = PillowImage.fromarray(pixels).resize((SIDE, SIDE))
        photo.save(stream, "JPEG", quality=90)
        self._photo = stream.getvalue()

    def measure(self, model: str, clients: int, seconds: float) -> Values:
        """Let clients send one photo each, again and again, and count the answers.

        Args:
            model: A model of the Flow.
            clients: That send at the same time.
            seconds: After which no further photo is sent.

        Returns:
            `documents_per_second`, `documents`, and `seconds` until the last answer.
        """
        self._send(requests.Session(), model)  # nobody pays for the first one
        end = time.perf_counter() + seconds
        counts, errors = [0] * clients, []

        def send_until_end(number: int) -> None:
            try:
                with requests.Session() as session:
                    while time.perf_counter() < end:
                        self._send(session, model)
                        counts[number] += 1
            except (requests.RequestException, NotMeasured) as error:
                errors.append(error)

        threads = [threading.Thread(target=send_until_end, args=(n,)) for n in range(clients)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - started
        if errors:
            raise NotMeasured(f"{len(errors)} of {clients} clients failed: {errors[0]}")
        return {
            "documents_per_second": float(f"{sum(counts) / took:.4g}"),
            "documents": sum(counts),
            "seconds": round(took, 2),
        }

    def _send(self, session: requests.Session, model: str) -> None:
        headers = {"content-type": "image/jpeg", "accept": "image/png"}
        answer = session.post(
            self._url, self._photo, params={"model": model}, headers=headers, timeout=600
        )
        if answer.status_code != 200:
            raise NotMeasured(f"the service answered {answer.status_code}: {answer.text[:200]}")


def find_launcher() -> Path | None:
    """Find the Executors' file beside this package; None where only the engine is installed."""
    file = Path(__file__).parents[3] / "executors/superres_executors.py"
    return file if file.exists() else None


@contextmanager
def run_flow(contenders: Sequence[Contender]) -> Iterator[RunningFlow]:
    """Run a Flow that serves models, one Executor per system; yield it when it is ready.

    It ends with the block.

    Args:
        contenders: Models of the catalogue with weights at hand.

    Yields:
        RunningFlow: The Flow.

    Raises:
        NotMeasured: It does not start.
    """
    launcher = find_launcher()
    if launcher is None:
        raise NotMeasured("the service is not installed beside the engine")
    port = _find_port()
    with tempfile.TemporaryDirectory() as folder:
        flow, log = Path(folder, "flow.yml"), Path(folder, "log.txt")
        flow.write_text(yaml.safe_dump(_describe_flow(contenders, launcher, port), sort_keys=False))
        environment = os.environ | {"SUPERRES_OFFLINE": "1", "JINA_OPTOUT_TELEMETRY": "1"}
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own launcher
                [sys.executable, "-m", "gateway.launcher", "--uses", str(flow)],
                cwd=launcher.parents[1],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            _wait_until_ready(port, process, log)
            yield RunningFlow(port)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _describe_flow(contenders: Sequence[Contender], launcher: Path, port: int) -> Values:
    systems: dict[str, list[str]] = {}
    settings: list[tuple[str, Values]] = []
    for contender in contenders:
        if contender.file is None:
            systems.setdefault(contender.system, []).append(contender.name)
        elif contender.is_custom:
            entry = f"{contender.name}={contender.file}"
            settings.append((contender.system, {"models": [entry]}))
        else:
            choice = {"models": [contender.name], "weights": str(contender.file)}
            settings.append((contender.system, choice))
    settings += [(system, {"models": models}) for system, models in systems.items()]
    executors: list[Values] = [
        {
            "name": f"executor{number}",
            "uses": _EXECUTORS.get(system, "Embedded"),
            "py_modules": str(launcher),
            "needs": "gateway",
            "host": "127.0.0.1",
            "quiet_error": True,
            "uses_with": options,
        }
        for number, (system, options) in enumerate(settings)
    ]
    if len(executors) > 1:
        needs = [executor["name"] for executor in executors]
        join = {"name": "join", "uses": "Join", "needs": needs, "host": "127.0.0.1"}
        executors.append(join | {"py_modules": str(launcher)})
    gateway = {"uses": str(launcher.parents[1] / "gateway/config.yml"), "host": "127.0.0.1"}
    return {
        "jtype": "Flow",
        "with": {"protocol": "grpc", "port": port},
        "gateway": gateway,
        "executors": executors,
    }


def _find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            lines = log.read_text(errors="replace").splitlines()
            told = [line for line in lines if "ERROR" in line] or lines[-3:]
            said = " ".join(" ".join(told).split())[-400:]
            raise NotMeasured(f"the Flow ended with {process.returncode}: {said}")
        try:
            if requests.get(f"http://127.0.0.1:{port}/models", timeout=5).status_code == 200:
                return
        except requests.RequestException:
            pass
        time.sleep(0.2)
    raise NotMeasured(f"the Flow was not ready after {_START_SECONDS:.0f} s")
