"""Sends a file as one request, in a process of its own, and prints the answer's code.

python -m tests.faults.send http|grpc|ws PORT PATH FILE [CONTENT_TYPE]
"""

import http.client
import json
import sys
from pathlib import Path

import grpc
from jina.proto import jina_pb2
from websockets.sync.client import connect

PATIENCE_SECONDS = 150


def send_http(port: int, path: str, body: bytes, kind: str) -> str:
    """The code of the error, "" for none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    connection.request("POST", path, body, {"content-type": kind})
    answer = connection.getresponse()
    data = answer.read()
    return "" if answer.status == 200 else str(json.loads(data)["code"])


def send_grpc(port: int, path: str, body: bytes, _kind: str) -> str:
    """The same; `path` is the method."""
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        call = channel.unary_unary(path, None, jina_pb2.DataRequestProto.FromString)
        return read_code(call(body, timeout=PATIENCE_SECONDS))


def send_ws(port: int, path: str, body: bytes, kind: str) -> str:
    """The same; `kind` is the subprotocol."""
    url = f"ws://127.0.0.1:{port}{path}"
    with connect(url, subprotocols=[kind], max_size=None, close_timeout=5) as socket:
        socket.send(body if kind == "bytes" else body.decode())
        answer = socket.recv(PATIENCE_SECONDS)
    if isinstance(answer, bytes):
        return read_code(jina_pb2.DataRequestProto.FromString(answer))
    status = json.loads(answer)["header"].get("status") or {}
    arguments = status.get("exception", {}).get("args")
    return str(json.loads(arguments[0])["code"]) if arguments else ""


def read_code(answer: jina_pb2.DataRequestProto) -> str:
    """The code in a protobuf answer."""
    arguments = answer.header.status.exception.args
    return str(json.loads(arguments[0])["code"]) if arguments else ""


WAYS = {"http": send_http, "grpc": send_grpc, "ws": send_ws}

if __name__ == "__main__":
    way, port, path, file, *rest = sys.argv[1:]
    sys.stdout.write(WAYS[way](int(port), path, Path(file).read_bytes(), *(rest or [""])))
