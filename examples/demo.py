"""A small photo, upscaled by the service through the official client: `make demo` runs this.

It starts the default Flow, sends one photo, writes both images side by side, and stops the Flow.
It runs in the official client's environment; `--server` names the interpreter of the server's.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2, health_pb2_grpc
from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parents[1]
ENDPOINT = "grpc://localhost:51001"
LAUNCH = ("-m", "gateway.launcher", "--uses", "flows/flow.yml")
START_SECONDS = 120.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.2

# Eileen Collins, NASA 1993, in the public domain; shipped in the package data of scikit-image.
PHOTO = "data/astronaut.png"
FACE_AND_SHOULDERS = (60, 0, 420, 360)
PHOTO_SIZE = (200, 200)
PHOTO_QUALITY = 45  # of the JPEG: as small photos on the web are
SCALE = "800:-1"
CAPTION_HEIGHT = 24


class DemoFailed(Exception):
    """The demo cannot go on; the message says why and what would do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code of the demo: 0 once the comparison is written, 1 with a message
    otherwise.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True, help="the Python of the server's environment")
    parser.add_argument("--folder", default="demo", help="where the images go (default: demo)")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, stop_on_signal)
    # The client and Jina import what setuptools deprecates; nobody who runs a demo can act on it.
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    try:
        run(options.server, ROOT / options.folder)
    except DemoFailed as failure:
        print(f"The demo failed: {failure}", file=sys.stderr)
        return 1
    return 0


def run(server: str, folder: Path) -> None:
    """Write photo.jpg, upscaled.png, before-after.png and server.log to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    photo, upscaled, comparison = (
        folder / name for name in ("photo.jpg", "upscaled.png", "before-after.png")
    )
    width, height = write_photo(server, photo)
    say(f"Photo of {width}x{height} pixels: {shown(photo)}")
    say("Starting the service on port 51001 …")
    began = time.monotonic()
    with service([server, *LAUNCH], folder / "server.log") as process:
        wait_until_ready(process, folder / "server.log")
        say(f"Ready after {time.monotonic() - began:.1f} s.")
        say(f"Sending the photo through the official client, scale {SCALE} …")
        began = time.monotonic()
        upscale(photo, upscaled)
        say(f"Answered after {time.monotonic() - began:.1f} s.")
    write_comparison(photo, upscaled, comparison)
    say("The service has stopped.")
    say(f"Upscaled:         {shown(upscaled)}")
    say(f"Before and after: {shown(comparison)}")


def say(line: str) -> None:
    print(line, flush=True)


def shown(path: Path) -> str:
    """Return `path` as a person in the repository's root would type it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def stop_on_signal(number: int, _frame: object) -> None:
    """SIGTERM ends the demo as Ctrl-C does: through the code that stops the service."""
    sys.exit(128 + number)


# ---- the photo


def write_photo(server: str, target: Path) -> tuple[int, int]:
    """Width and height of the photo written to `target`: a reduced crop, as a small JPEG."""
    with Image.open(packaged_photo(server)) as original:
        face = original.convert("RGB").resize(
            PHOTO_SIZE, Image.Resampling.LANCZOS, box=FACE_AND_SHOULDERS
        )
    face.save(target, quality=PHOTO_QUALITY)
    return face.size


def packaged_photo(server: str) -> Path:
    """Return the photo in the scikit-image of the server's environment, which is not imported."""
    find = "from importlib.util import find_spec; print(find_spec('skimage').origin)"
    try:
        answer = subprocess.run(
            [server, "-c", find], capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise DemoFailed(f"{server} has no scikit-image: run `make setup`") from error
    photo = Path(answer.stdout.strip()).parent / PHOTO
    if not photo.is_file():
        raise DemoFailed(f"{photo} is missing: run `make clean setup`")
    return photo


def write_comparison(before: Path, after: Path, target: Path) -> None:
    """Write both images at the size of the upscaled one, side by side, the small one enlarged."""
    with Image.open(after) as upscaled, Image.open(before) as photo:
        width, height = upscaled.size
        enlarged = photo.convert("RGB").resize(upscaled.size, Image.Resampling.BICUBIC)
        sheet = Image.new("RGB", (2 * width, height + CAPTION_HEIGHT), "white")
        sheet.paste(enlarged, (0, CAPTION_HEIGHT))
        sheet.paste(upscaled.convert("RGB"), (width, CAPTION_HEIGHT))
        captions = (f"before: {photo.width}x{photo.height}, enlarged", f"after: {width}x{height}")
    pen = ImageDraw.Draw(sheet)
    for i, caption in enumerate(captions):
        pen.text((i * width + 6, 6), caption, fill="black")
    sheet.save(target)


# ---- the service


@contextmanager
def service(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Return the running service; it has stopped, whatever happened, when the block is left."""
    if is_serving():
        raise DemoFailed(f"{ENDPOINT} is taken by another server: stop it first")
    environment = {**os.environ, "JINA_OPTOUT_TELEMETRY": "1", "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as output:
        # A session of its own: Ctrl-C in the terminal reaches the demo, which then stops it.
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes], seconds: float = STOP_SECONDS) -> None:
    """End the service gently, and its process group by force if that takes too long."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        say(f"The service did not stop within {seconds:.0f} s: killing it.")
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_until_ready(
    process: subprocess.Popen[bytes], log: Path, seconds: float = START_SECONDS
) -> None:
    """Return once the service answers; raises DemoFailed if it ends or takes too long."""
    deadline = time.monotonic() + seconds
    while not (is_serving() and executors_answer()):
        if process.poll() is not None:
            raise DemoFailed(f"the service ended with code {process.returncode}:\n{tail(log)}")
        if time.monotonic() > deadline:
            raise DemoFailed(f"the service was not ready after {seconds:.0f} s:\n{tail(log)}")
        time.sleep(POLL_SECONDS)


def is_serving() -> bool:
    """Return whether the gateway's gRPC health check says so."""
    with channel() as connection, suppress(grpc.RpcError):
        check = health_pb2_grpc.HealthStub(connection).Check
        answer = check(health_pb2.HealthCheckRequest(), timeout=2)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
    return False


def executors_answer() -> bool:
    """Return whether an empty request gets through: the gateway may be up before its Executors."""
    from jina.proto import jina_pb2, jina_pb2_grpc

    with channel() as connection, suppress(grpc.RpcError):
        try_out = jina_pb2_grpc.JinaGatewayDryRunRPCStub(connection).dry_run
        return bool(try_out(Empty(), timeout=10).code == jina_pb2.StatusProto.SUCCESS)
    return False


def channel() -> grpc.Channel:
    """Return a connection to the service, past any proxy."""
    address = ENDPOINT.removeprefix("grpc://")
    return grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])


def tail(log: Path, lines: int = 15) -> str:
    """Return the last `lines` lines of the service's output."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


# ---- the client


def upscale(photo: Path, target: Path) -> None:
    """Has the official client send `photo` and write the answer to `target`."""
    from inference_client import Client  # takes seconds to import: only once the photo is there

    model = Client().get_model(ENDPOINT)
    try:
        model.upscale(image=str(photo), scale=SCALE, output_path=str(target))
    except Exception as error:  # whatever the server, Jina or gRPC raised
        raise DemoFailed(f"the service refused the photo: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
