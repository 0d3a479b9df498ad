"""What the way to a model costs: our single port against Jina's own gRPC gateway.

    python -m benchmarks.service [--rounds 200] [--large-rounds 10]

Both gateways run at the same time before the same echo Executor and are asked in turn, each over
one open channel. Prints milliseconds (median and least) and their differences, and writes
benchmarks/results/service.json.
"""

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from jina.proto import jina_pb2

from benchmarks.machine import machine

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
METHOD = "/jina.JinaSingleDataRequestRPC/process_single_data"
SMALL, LARGE = 1_000, 25_000_000
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--large-rounds", type=int, default=10)
    options = parser.parse_args()
    with serving({"uses": str(ROOT / "gateway/config.yml")}) as ours, serving({}) as stock:
        calls = {"ours": caller(ours), "stock": caller(stock)}
        rows = [
            compared(calls, SMALL, options.rounds),
            compared(calls, LARGE, options.large_rounds),
        ]
    for row in rows:
        print(json.dumps(row))
    RESULTS.mkdir(exist_ok=True)
    report = {"machine": machine(), "rows": rows}
    (RESULTS / "service.json").write_text(json.dumps(report, indent=1) + "\n")


@contextmanager
def serving(gateway: dict[str, Any]) -> Iterator[int]:
    """The port of a Flow with the echo Executor behind `gateway`; it is stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    echo = {"uses": "BenchmarkEcho", "py_modules": str(ROOT / "benchmarks/echo.py")}
    flow = {
        "jtype": "Flow",
        "with": {"protocol": "grpc", "port": port},
        "gateway": gateway | {"host": "127.0.0.1"},
        "executors": [{"name": "echo", **echo}],
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "flow.yml")
        path.write_text(json.dumps(flow))
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
    """One unary call over a channel that stays open."""
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", UNLIMITED)
    call: Callable[[jina_pb2.DataRequestProto], Any] = channel.unary_unary(
        METHOD,
        request_serializer=jina_pb2.DataRequestProto.SerializeToString,
        response_deserializer=jina_pb2.DataRequestProto.FromString,
    )
    return call


def request(size: int) -> jina_pb2.DataRequestProto:
    """A request with one Document of `size` bytes."""
    made = jina_pb2.DataRequestProto()
    made.header.request_id = "benchmark"
    made.header.exec_endpoint = "/upscale"
    document = made.data.docs.docs.add()
    document.id, document.blob = "1", os.urandom(size)
    return made


def compared(
    calls: dict[str, Callable[[jina_pb2.DataRequestProto], Any]], size: int, rounds: int
) -> dict[str, Any]:
    """Milliseconds of each, asked in turn."""
    sent = request(size)
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 3):
        for name, call in calls.items():
            started = time.perf_counter()
            answer = call(sent)
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
