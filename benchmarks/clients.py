"""Clients of the service and of the engine: what each of their requests took.

    Load        which protocol, how many clients, for how long, with which image
    sent        the seconds of every request that clients of a Flow send
    called      the same for threads that call the engine in this process

Each client sends its next request when it has the answer to the last one. Clients run in one event
loop and know as little as possible of what they send and get, so that they take little from the
machine they share with the service.
"""

import asyncio
import functools
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple

import aiohttp
import grpc
from jina.proto import jina_pb2

METHOD = "/jina.JinaRPC/Call"  # what Jina's client and the official one use
CHANNEL = [
    ("grpc.use_local_subchannel_pool", 1),  # each client its own connection
    ("grpc.max_receive_message_length", -1),
]

Ask = Callable[[], Awaitable[int]]  # sends one request; the bytes of its answer


class Load(NamedTuple):
    """What is asked of the service: the encoded `image`, over `protocol`, by `clients` clients.

    `most` is how many requests a client sends at most; `opening` says that one goes ahead which is
    not counted.
    """

    protocol: str
    clients: int
    seconds: float
    image: bytes
    most: int = 10**9
    opening: bool = True


class Timing(NamedTuple):
    """`latencies` of all requests in seconds, and the `seconds` from first to last."""

    latencies: list[float]
    seconds: float


def sent(load: Load, port: int) -> Timing:
    """Return what a Flow on `port` needs for `load`."""
    return asyncio.run(_sent(load, port))


async def _sent(load: Load, port: int) -> Timing:
    connect = CONNECTIONS[load.protocol]
    latencies: list[float] = []
    everyone = asyncio.Barrier(load.clients)
    ends: list[tuple[float, float]] = []

    async def client() -> None:
        async with connect(port, load.image) as ask:
            if load.opening:
                await ask()
            await everyone.wait()
            started = time.perf_counter()
            for _ in range(load.most):
                began = time.perf_counter()
                size = await ask()
                assert size > 100, f"an answer of {size} bytes"
                latencies.append(time.perf_counter() - began)
                if time.perf_counter() - started > load.seconds:
                    break
            ends.append((started, time.perf_counter()))

    await asyncio.gather(*(client() for _ in range(load.clients)))
    return Timing(latencies, max(end for _, end in ends) - min(start for start, _ in ends))


def message(image: bytes) -> jina_pb2.DataRequestProto:
    """Jina's request with one Document, as its clients make it."""
    made = jina_pb2.DataRequestProto()
    made.header.request_id = "benchmark"
    made.header.exec_endpoint = "/upscale"
    document = made.data.docs.docs.add()
    document.id, document.blob = "1", image
    return made


@asynccontextmanager
async def _grpc(port: int, image: bytes) -> AsyncIterator[Ask]:
    request = message(image)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", CHANNEL) as channel:
        call = channel.stream_stream(
            METHOD,
            request_serializer=jina_pb2.DataRequestProto.SerializeToString,
            response_deserializer=jina_pb2.DataRequestProto.FromString,
        )

        async def ask() -> int:
            async for answer in call(iter([request])):
                return len(answer.data.docs.docs[0].blob)
            return 0

        yield ask


@asynccontextmanager
async def _http(port: int, image: bytes) -> AsyncIterator[Ask]:
    headers = {"content-type": "application/octet-stream"}
    async with aiohttp.ClientSession() as session:

        async def ask() -> int:
            url = f"http://127.0.0.1:{port}/upscale"
            async with session.post(url, data=image, headers=headers) as answer:
                assert answer.status == 200, answer.status
                return len(await answer.read())

        yield ask


@asynccontextmanager
async def _websocket(port: int, image: bytes) -> AsyncIterator[Ask]:
    request = message(image).SerializeToString()
    url, most = f"ws://127.0.0.1:{port}/", 0
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=("bytes",), max_msg_size=most) as socket,
    ):

        async def ask() -> int:
            await socket.send_bytes(request)
            return len(await socket.receive_bytes())

        yield ask
        await socket.send_bytes(bytes(True))


CONNECTIONS: dict[str, Callable[[int, bytes], AbstractAsyncContextManager[Ask]]] = {
    "grpc": _grpc,
    "http": _http,
    "websocket": _websocket,
}


def called(load: Load, model: str) -> Timing:
    """Return what this process needs for `load` when its threads call the engine themselves."""
    enlarge = engine(model)
    enlarge(load.image)
    latencies: list[float] = []
    started = time.perf_counter()

    def caller() -> None:
        for _ in range(load.most):
            began = time.perf_counter()
            enlarge(load.image)
            latencies.append(time.perf_counter() - began)
            if time.perf_counter() - started > load.seconds:
                return

    threads = [threading.Thread(target=caller) for _ in range(load.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Timing(latencies, time.perf_counter() - started)


@functools.cache
def engine(name: str) -> Callable[[bytes], bytes]:
    """From an image's bytes to those of a larger one, by the model called `name`."""
    from superres.catalogue import CATALOGUE
    from superres.codecs.decode import decode
    from superres.inference.device import Device, find_device
    from superres.model_loader import NetworkModel
    from superres.pipeline import OutputOptions, upscale
    from superres.weights.store import Store

    store = Store.from_environment(offline=True)
    model = NetworkModel(CATALOGUE[name], Device(find_device("auto")), store)
    return lambda data: upscale(decode(data), model.upscaler(), OutputOptions()).encoded.data
