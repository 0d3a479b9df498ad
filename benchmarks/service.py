"""What the service costs beside the engine: latency, throughput, fairness, and the way alone.

    python -m benchmarks.service [--quick] [--seconds 1.2] [--most-clients 64]

Three measurements, each of both sides in one run:

    load       flows/fast.yml over gRPC, HTTP (a raw body) and WebSocket with 1 to 64 clients,
               against threads that call the engine themselves; a small and a medium image
    fairness   small requests while one huge image is enlarged, and alone
    gateway    our single port against Jina's own gRPC gateway, both before an echo Executor

Clients and engine have a process each (benchmarks/clients.py). Prints tables and writes
benchmarks/results/service.json.
"""

import argparse
import json
import multiprocessing
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from jina.proto import jina_pb2

from benchmarks.clients import CONNECTIONS, Load, Timing, called, message, sent
from benchmarks.files import file
from evaluation.machine import machine

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
FLOW = ROOT / "flows/fast.yml"
MODEL = "bicubic_pp.x3"  # the Flow's default
METHOD = "/jina.JinaSingleDataRequestRPC/process_single_data"
SMALL, LARGE = 1_000, 25_000_000
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
DIRECT = "direct"
CLIENTS = (1, 2, 4, 8, 16, 32, 64)


class Plan(NamedTuple):
    """How much is measured."""

    seconds: float  # of each load
    clients: Sequence[int]
    rounds: int  # of loads with one client, in turn
    huge: tuple[int, int]
    echoes: tuple[int, int]  # small and large ones


def main() -> None:
    """Measure as the command line says."""
    options = arguments()
    # As in the Executors (executors/superres_executors.py); the engine's process inherits it.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    clients = [n for n in CLIENTS if n <= options.most_clients]
    plan = Plan(options.seconds, clients, 3, (4000, 3000), (200, 8))
    if options.quick:
        plan = Plan(0.3, clients[:2], 1, (600, 400), (20, 1))
    report: dict[str, Any] = {"machine": machine(), "model": MODEL}
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as asking, context.Pool(1) as engine, serving(flow()) as port:
        sides = Sides(asking, engine, port)
        for name, image in list_images().items():
            report[name] = loads(name, image, sides, plan)
        report["fairness"] = fairness(sides, plan)
    report["gateway"] = gateways(plan)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / options.output).write_text(json.dumps(report, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds, for a test")
    parser.add_argument("--seconds", type=float, default=1.2, help="of each load")
    parser.add_argument("--most-clients", type=int, default=64)
    parser.add_argument("--output", default="service.json", help="file in benchmarks/results")
    return parser.parse_args()


def list_images() -> dict[str, bytes]:
    """Return a small and a medium image by name."""
    return {"64x64 PNG": file(64, 64, "png"), "640x480 JPEG": file(640, 480, "jpeg")}


# Load


class Sides(NamedTuple):
    """The process of the clients, that of the engine, and the port of the Flow."""

    clients: Pool
    engine: Pool
    port: int

    def timed(self, load: Load) -> Timing:
        """Return what `load` takes on the side that its protocol names."""
        if load.protocol == DIRECT:
            return self.engine.apply(called, (load, MODEL))
        return self.clients.apply(sent, (load, self.port))


def loads(name: str, image: bytes, sides: Sides, plan: Plan) -> list[dict[str, Any]]:
    """Return a row for each number of clients and protocol."""
    print(f"\n{name}: milliseconds p50 / p99, documents per second, p50 beside the engine's")
    for protocol in (DIRECT, *CONNECTIONS):
        sides.timed(Load(protocol, 1, 0.2, image))  # nobody pays for the first request
    rows = []
    for clients in plan.clients:
        rounds = plan.rounds if clients == 1 else 1
        timings = in_turn(sides, image, clients, plan.seconds, rounds)
        rows += compared(timings, clients)
        print(f"{clients:3} " + "   ".join(line(row) for row in rows[-len(timings) :]), flush=True)
    return rows


def in_turn(
    sides: Sides, image: bytes, clients: int, seconds: float, rounds: int
) -> dict[str, Timing]:
    """Return all sides' timings, of `rounds` that alternate so that they share what else
    happens.
    """
    found: dict[str, list[Timing]] = {name: [] for name in (DIRECT, *CONNECTIONS)}
    for _ in range(rounds):
        for protocol, timings in found.items():
            timings.append(sides.timed(Load(protocol, clients, seconds, image)))
    return {
        protocol: Timing(
            [latency for timing in timings for latency in timing.latencies],
            sum(timing.seconds for timing in timings),
        )
        for protocol, timings in found.items()
    }


def compared(timings: dict[str, Timing], clients: int) -> list[dict[str, Any]]:
    """Return a row for each side, beside the engine."""
    base = milliseconds(timings[DIRECT])
    rows = []
    for protocol, timing in timings.items():
        latencies = milliseconds(timing)
        p50 = statistics.median(latencies)
        rows.append(
            {
                "protocol": protocol,
                "clients": clients,
                "requests": len(latencies),
                "least_ms": round(latencies[0], 2),
                "p50_ms": round(p50, 2),
                "p99_ms": round(percentile(latencies, 0.99), 2),
                "documents_per_second": round(len(latencies) / timing.seconds, 1),
                "overhead_p50_ms": round(p50 - statistics.median(base), 2),
                "ratio_p50": round(p50 / statistics.median(base), 2),
            }
        )
    return rows


def milliseconds(timing: Timing) -> list[float]:
    """Latencies, the least first."""
    return sorted(1000 * latency for latency in timing.latencies)


def percentile(values: list[float], part: float) -> float:
    """Return the value that `part` of the sorted `values` do not pass."""
    return values[min(int(len(values) * part), len(values) - 1)]


def line(row: dict[str, Any]) -> str:
    """Return a side's cells of the table."""
    over = "" if row["protocol"] == DIRECT else f" {row['overhead_p50_ms']:+6.1f}"
    return (
        f"{row['protocol']} {row['p50_ms']:.1f}/{row['p99_ms']:.1f} "
        f"{row['documents_per_second']:.0f}/s{over}"
    )


# Fairness


def fairness(sides: Sides, plan: Plan) -> dict[str, Any]:
    """Small requests over HTTP, alone and while one huge image is enlarged."""
    small = Load("http", 1, max(plan.seconds, 1.0), list_images()["64x64 PNG"])
    alone = milliseconds(sides.timed(small))
    huge = Load("http", 1, 0.0, file(*plan.huge, "jpeg"), most=1, opening=False)
    with multiprocessing.get_context("spawn").Pool(1) as other:
        other.apply(sum, ((),))  # started
        running = other.apply_async(sent, (huge, sides.port))
        time.sleep(0.3)
        beside: list[float] = []
        while not running.ready():
            timing = sides.timed(small._replace(seconds=0.25))
            # What is measured as the huge image ends is neither beside it nor alone.
            beside += [] if running.ready() else timing.latencies
        huge_seconds = running.get().latencies[0]
    taken = sorted(1000 * latency for latency in beside)
    report: dict[str, Any] = {"huge": "x".join(map(str, plan.huge)), "huge_seconds": huge_seconds}
    for name, values in (("alone", alone), ("beside_huge", taken)):
        if values:
            report[f"{name}_p50_ms"] = round(statistics.median(values), 2)
            report[f"{name}_p99_ms"] = round(percentile(values, 0.99), 2)
            report[f"{name}_requests"] = len(values)
    print(f"\nfairness: {json.dumps(report)}", flush=True)
    return report


# The way alone


def gateways(plan: Plan) -> list[dict[str, Any]]:
    """Milliseconds of an echo through our port and through Jina's own, asked in turn."""
    ours_too = {"uses": str(ROOT / "gateway/config.yml")}
    with serving(echo(ours_too)) as ours, serving(echo({})) as stock:
        calls = {"ours": caller(ours), "stock": caller(stock)}
        sizes = zip((SMALL, LARGE), plan.echoes, strict=True)
        rows = [echoed(calls, size, rounds) for size, rounds in sizes]
    print("\nour port and Jina's own before an echo, milliseconds")
    for row in rows:
        print(json.dumps(row), flush=True)
    return rows


def flow() -> str:
    """Return the default Flow."""
    return FLOW.read_text().replace("../", f"{ROOT}/").replace("51001", "{port}")


def echo(gateway: dict[str, Any]) -> str:
    """Return a Flow with the echo Executor behind `gateway`."""
    executor = {"uses": "BenchmarkEcho", "py_modules": str(ROOT / "benchmarks/echo.py")}
    text = json.dumps(
        {
            "jtype": "Flow",
            "with": {"protocol": "grpc", "port": "PORT"},
            "gateway": gateway | {"host": "127.0.0.1"},
            "executors": [{"name": "echo", **executor}],
        }
    )
    return text.replace('"PORT"', "{port}")


@contextmanager
def serving(text: str) -> Iterator[int]:
    """Return the port of the Flow in `text`, which has {port} for it; it is stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "flow.yml")
        path.write_text(text.replace("{port}", str(port)))
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.launcher", "--uses", str(path)],
            cwd=ROOT,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert process.stdout is not None
            while "ready: " not in process.stdout.readline():
                assert process.poll() is None, "a Flow did not start"
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def caller(port: int) -> Callable[[jina_pb2.DataRequestProto], Any]:
    """Return one unary call over a channel that stays open."""
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", UNLIMITED)
    call: Callable[[jina_pb2.DataRequestProto], Any] = channel.unary_unary(
        METHOD,
        request_serializer=jina_pb2.DataRequestProto.SerializeToString,
        response_deserializer=jina_pb2.DataRequestProto.FromString,
    )
    return call


def echoed(
    calls: dict[str, Callable[[jina_pb2.DataRequestProto], Any]], size: int, rounds: int
) -> dict[str, Any]:
    """Milliseconds of each, asked in turn."""
    request = message(os.urandom(size))
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 3):
        for name, call in calls.items():
            started = time.perf_counter()
            answer = call(request)
            if number >= 3:
                taken[name].append((time.perf_counter() - started) * 1000)
            assert len(answer.data.docs.docs[0].blob) == size
    row: dict[str, Any] = {"bytes": size, "rounds": rounds}
    for name, values in taken.items():
        row[f"{name}_median_ms"] = round(statistics.median(values), 2)
        row[f"{name}_least_ms"] = round(min(values), 2)
    row["median_difference_ms"] = round(row["ours_median_ms"] - row["stock_median_ms"], 2)
    row["median_ratio"] = round(row["ours_median_ms"] / row["stock_median_ms"], 3)
    return row


if __name__ == "__main__":
    main()
