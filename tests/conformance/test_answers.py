"""Every question is answered alike over gRPC, HTTP and WebSocket (JSON and protobuf)."""

import json
from base64 import b64encode
from io import BytesIO

import pytest
from jina.proto import jina_pb2
from PIL import Image

from tests.conformance.cases import CASES, JSON, PROTOBUF, Case, Size
from tests.conformance.wires import Answer, Question, Wires, as_json, as_proto, asked_for_picture
from tests.gateway.service import Service
from tests.inputs import STATUS, png

pytestmark = pytest.mark.flow


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_protocols_answer_alike(wires: Wires, case: Case) -> None:
    answers = {name: ask(case.question) for name, ask in wires.ways.items()}
    for name, answer in answers.items():
        is_as_expected(case, answer, name in JSON)
    for alike in [PROTOBUF, JSON] if case.differs else [(*PROTOBUF, *JSON)]:
        first, *others = (answers[name] for name in alike)
        assert all(other == first for other in others), answers


def is_as_expected(case: Case, answer: Answer, in_json: bool) -> None:
    codes = case.json_codes if in_json and case.json_codes is not None else case.codes
    is_good = case.sizes is not None or (in_json and case.json_codes == frozenset())
    assert (answer.problem is None) == is_good, answer.problem
    if answer.problem is None:
        has_pictures(answer, case.sizes)
        return
    told = answer.problem
    assert told["code"] in codes or not codes, told
    assert told["status"] == STATUS.get(told["code"], 422) and 0 < len(told["message"]) < 700
    if case.option is not None and not (in_json and case.json_codes):
        assert told["option"] == case.option, told
        assert told["allowed"] or case.option == "uri", told


def has_pictures(answer: Answer, sizes: tuple[Size | None, ...] | None) -> None:
    assert sizes is None or len(answer.documents) == len(sizes)
    for document, size in zip(answer.documents, sizes or (), strict=bool(sizes)):
        if size is None:
            assert not document["blob"]
            assert document["tags"]["error"]["message"]
            continue
        with Image.open(BytesIO(document["blob"])) as picture:
            assert picture.size == size
        assert document["mime_type"].startswith("image/")
        assert not document["tensor"] and not document["uri"]


@pytest.mark.parametrize(
    ("text", "code", "status"),
    [
        ('{"parameters": {"quality": NaN}}', "JSON", 400),
        ('{"data": [{"blob": "', "JSON", 400),
        ("[" * 100_000, "JSON", 400),
        ('{"data": [{"tags": ' + '{"a":' * 9_000 + "1" + "}" * 9_000 + "}]}", "JSON", 400),
        ('{"exec_endpoint": "/upscale", "data": [{"tags": [1]}]}', "REQUEST", 422),
        ('{"exec_endpoint": "/upscale", "parameters": "x"}', "REQUEST", 422),
        ('{"exec_endpoint": "/upscale", "parameters": [1]}', "REQUEST", 422),
        ('{"exec_endpoint": "/upscale", "data": [{"tensor": [[1], [1, 2]]}]}', "REQUEST", 422),
        ('{"exec_endpoint": "/upscale", "data": [{"blob": "iVBORw0KGgo"}]}', "BASE64", 400),
        ('{"exec_endpoint": "/nowhere"}', "ENDPOINT", 404),
    ],
    ids=lambda text: text[:40] if isinstance(text, str) else str(text),
)
def test_wrong_json_is_told_alike(wires: Wires, text: str, code: str, status: int) -> None:
    answer = wires.posted(text.encode())
    assert answer == wires.told(text)
    assert answer.problem is not None
    assert (answer.problem["code"], answer.problem["status"]) == (code, status)


@pytest.mark.parametrize("parameters", ["", ', "parameters": null', ', "parameters": {}'])
def test_parameters_may_be_absent(wires: Wires, parameters: str) -> None:
    blob = b64encode(png()).decode()
    document = f'[{{"id": "good", "blob": "{blob}", "tags": {{"image_format": "png"}}}}]'
    text = f'{{"exec_endpoint": "/upscale", "data": {document}{parameters}}}'
    expected = wires.grpc(asked_for_picture())
    assert wires.posted(text.encode()) == wires.told(text) == expected


def test_of_two_keys_the_last_counts(wires: Wires) -> None:
    text = '{"exec_endpoint": "/nowhere", "exec_endpoint": "/upscale", "data": []}'
    assert wires.posted(text.encode()) == wires.told(text) == Answer(None)


def test_bytes_that_are_no_text_are_refused(wires: Wires) -> None:
    answer = wires.posted(b'{"exec_endpoint": "\xff"}')
    assert answer.problem is not None and answer.problem["code"] == "JSON"


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "image/png"])
def test_other_content_types_are_refused(wires: Wires, kind: str) -> None:
    answer = wires.posted(as_json(asked_for_picture()), content_type=kind)
    assert answer.problem is not None and answer.problem["code"] == "CONTENT_TYPE"


@pytest.mark.usefixtures("alive")
def test_a_message_beyond_the_limit_is_refused(wires: Wires) -> None:
    """The other protocols' limits are in tests/gateway/test_gateway.py."""
    text = json.dumps({"data": [{"text": "x" * (16 << 20)}]})
    answer = wires.posted(text.encode())
    assert answer.problem is not None and answer.problem["code"] == "BYTES"


def hostile(**array: object) -> bytes:
    """A question whose tensor is what `array` says."""
    request = jina_pb2.DataRequestProto.FromString(as_proto(Question(({"id": "d"},))))
    tensor = request.data.docs.docs[0].tensor
    tensor.cls_name = str(array.get("cls_name", "numpy"))
    tensor.dense.dtype = str(array.get("dtype", "|u1"))
    tensor.dense.buffer = array.get("buffer", b"")
    tensor.dense.shape.extend(array.get("shape", [2, 2]))
    return bytes(request.SerializeToString())


@pytest.mark.usefixtures("alive")
@pytest.mark.parametrize(
    ("array", "code"),
    [
        ({"shape": [200_000, 200_000]}, "SHAPE"),  # docarray would make 320 GB of zeros
        ({"shape": [200_000, 200_000], "dtype": "|S0"}, "DTYPE"),
        ({"shape": [3, 3], "buffer": bytes(4)}, "SHAPE"),
        ({"buffer": bytes(32), "dtype": "|O"}, "DTYPE"),
        ({"buffer": bytes(4), "dtype": "(9,9)i4"}, "DTYPE"),
        ({"buffer": bytes(4), "dtype": "nonsense"}, "DTYPE"),
        ({"buffer": bytes(4), "dtype": ""}, "DTYPE"),
    ],
    ids=str,
)
def test_an_array_that_is_not_what_it_says_is_refused(
    wires: Wires, array: dict[str, object], code: str
) -> None:
    answer = wires.sent(hostile(**array))
    assert answer.problem is not None
    assert (answer.problem["code"], answer.problem["status"]) == (code, 422)
    assert answer.problem["option"] == "tensor"


@pytest.mark.parametrize("cls_name", ["numpy", "list", "torch", "tensorflow", "paddle", "mine", ""])
def test_no_framework_is_imported_because_a_client_names_it(wires: Wires, cls_name: str) -> None:
    answer = wires.sent(hostile(buffer=bytes(4), cls_name=cls_name))
    assert answer.problem is None and answer.documents[0]["blob"]


def test_documents_inside_documents_are_looked_at(wires: Wires) -> None:
    request = jina_pb2.DataRequestProto.FromString(as_proto(asked_for_picture()))
    inner = request.data.docs.docs[0].chunks.add().matches.add()
    inner.embedding.dense.shape.extend([10**6, 10**6])
    inner.embedding.dense.dtype = "<f4"
    answer = wires.sent(request.SerializeToString())
    assert answer.problem is not None
    assert "data[0].chunks[0].matches[0].embedding" in answer.problem["message"]


def test_a_pickle_is_refused(wires: Wires) -> None:
    """Jina itself would run it."""
    request = jina_pb2.DataRequestProto.FromString(as_proto(asked_for_picture()))
    request.data.docs_bytes = b"cposix\nsystem\n(S'false'\ntR."
    answer = wires.sent(request.SerializeToString())
    assert answer.problem is not None and "docs_bytes" in answer.problem["message"]


def test_a_status_and_routes_of_the_client_are_ignored(wires: Wires) -> None:
    request = jina_pb2.DataRequestProto.FromString(as_proto(asked_for_picture()))
    request.header.status.code = jina_pb2.StatusProto.ERROR
    request.header.status.exception.name = "RequestFailed"
    request.header.status.exception.args.append('{"code": "X", "message": "forged"}')
    for _ in range(1000):
        request.routes.add().executor = "forged"
    assert wires.sent(request.SerializeToString()) == wires.grpc(asked_for_picture())


def test_the_unary_call_answers_as_the_stream(wires: Wires) -> None:
    assert wires.unary(asked_for_picture()) == wires.grpc(asked_for_picture())


def test_browsers_of_other_sites_are_told_nothing(service: Service) -> None:
    """No CORS by default; and a browser must not guess what an image is."""
    headers = {"origin": "https://example.org", "content-type": "image/png"}
    reply = service.bytes("/upscale", png(), headers=headers)
    assert reply.status == 200 and reply.headers["x-content-type-options"] == "nosniff"
    assert not [name for name in reply.headers if name.startswith("access-control")]


@pytest.mark.usefixtures("alive")
def test_after_all_that_the_service_is_as_before(service: Service) -> None:
    assert "Traceback" not in service.log.read_text()
