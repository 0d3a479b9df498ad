"""WebSocket: Jina's subprotocols bytes (protobuf) and json; bad messages cost only themselves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from enum import Enum

from fastapi import FastAPI
from google.protobuf.json_format import MessageToJson
from jina.proto import jina_pb2
from jina.types.request.data import DataRequest
from starlette.websockets import WebSocket, WebSocketDisconnect

from contract.problem import ProblemError
from gateway.core.error_answer import find_problem
from gateway.core.offload import offload
from gateway.core.request_service import RequestService
from gateway.web.jina_json import answer_to_text, request_from_json

END = {"bytes": bytes(True), "json": b"{}"}
"""What a client sends after its last request, by subprotocol."""


_LINGER_SECONDS = 0.2
"""Jina's Client swallows an error if the connection is closed before it has looked at it."""


class Form(Enum):
    """How messages are written; the value is the WebSocket subprotocol."""

    BYTES = "bytes"
    JSON = "json"


def add_sockets(app: FastAPI, service: RequestService) -> None:
    """Add Jina's WebSocket routes: `/` for requests, `/dry_run` for readiness."""

    @app.websocket("/")
    async def requests(socket: WebSocket) -> None:
        form = await _choose_subprotocol(socket)
        try:
            if await _answer_all(socket, form, service):
                await asyncio.sleep(_LINGER_SECONDS)
            await socket.close()
        except WebSocketDisconnect:
            return  # the client left; closing the stream has cancelled what it still waited for

    @app.websocket("/dry_run")
    async def dry_run(socket: WebSocket) -> None:
        form = await _choose_subprotocol(socket)
        try:
            await _send_status(socket, form, await service.dry_run())
            await socket.close()
        except WebSocketDisconnect:
            return


async def _answer_all(socket: WebSocket, form: Form, service: RequestService) -> bool:
    """Send all answers; return whether any was an error."""
    any_failed = False
    async with aclosing(service.stream(_requests(socket, form))) as answers:
        async for answer in answers:
            any_failed = any_failed or find_problem(answer) is not None
            await _send(socket, form, answer)
    return any_failed


async def _choose_subprotocol(socket: WebSocket) -> Form:
    """Return the first subprotocol on offer that is known; json where none is."""
    names = {form.value for form in Form}
    known = [name for name in socket.scope["subprotocols"] if name in names]
    await socket.accept(subprotocol=known[0] if known else None)
    return Form(known[0]) if known else Form.JSON


async def _requests(socket: WebSocket, form: Form) -> AsyncIterator[DataRequest | ProblemError]:
    """Yield what arrives until the end message. Raises WebSocketDisconnect if the client just
    leaves.
    """
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        text = message.get("text")
        data: bytes = message["bytes"] if text is None else text.encode()
        if data.strip() == END[form.value]:
            return
        yield await _read(form, data)


async def _read(form: Form, data: bytes) -> DataRequest | ProblemError:
    if form is Form.BYTES:
        return DataRequest(data)
    try:
        return await offload(len(data), request_from_json, data)
    except ProblemError as refused:
        return refused


async def _send(socket: WebSocket, form: Form, answer: DataRequest) -> None:
    if form is Form.BYTES:
        await socket.send_bytes(answer.to_bytes())
    else:
        size = answer.proto_with_data.ByteSize()
        await socket.send_text(await offload(size, answer_to_text, answer))


async def _send_status(socket: WebSocket, form: Form, status: jina_pb2.StatusProto) -> None:
    if form is Form.BYTES:
        await socket.send_bytes(status.SerializeToString())
    else:
        await socket.send_text(MessageToJson(status, preserving_proto_field_name=True))
