"""What the operator and the Executors may say, without a Flow."""

import json

import pytest

from contract.api_keys import VARIABLE, read_keys
from contract.problem import Problem
from gateway.core.problem import INTERNAL, read_problem
from gateway.gateway import SinglePortGateway
from gateway.server.protocol_mux import tls_context
from gateway.web.responses import error_response


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"max_request_gb": 1}, 'gateway setting "max_request_gb": expected one of'),
        ({"max_request_mb": 0}, "gateway setting max_request_mb 0: expected a number above 0"),
        ({"drain_seconds": "soon"}, "gateway setting drain_seconds 'soon'"),
        ({"api_keys": ["None"]}, 'api_keys "None"'),
        ({"ssl_certfile": "cert.pem"}, "ssl_certfile and ssl_keyfile: expected both or neither"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named.replace("(", r"\(")):
        SinglePortGateway(runtime_args={}, **settings)


def test_keys_come_from_yaml_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "c, d,")
    keys = read_keys("a,b")
    assert all(keys.admit(key) for key in ("a", "b", "c", "d", "Bearer a", " bearer  d "))
    assert not any(keys.admit(key) for key in (None, "", "e", "Bearer", "a,b", "ä", "\udcff"))


def test_no_keys_admit_everyone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    keys = read_keys(None)
    assert not keys and keys.admit(None) and keys.admit("undefined")


def test_no_certificate_means_no_tls() -> None:
    assert tls_context(None, None) is None


@pytest.mark.parametrize(
    "problem",
    [
        Problem("SIDE", "too wide", "scale", "at most 9", 413, "d1"),
        Problem("OVERLOADED", "full", status=429, retry_after=40),
    ],
)
def test_a_problem_survives_the_way_through_jina(problem: Problem) -> None:
    told = json.loads(problem.as_json()) | {"doc_id": problem.doc_id}
    assert read_problem("RequestFailed", [json.dumps(told)]) == problem


@pytest.mark.parametrize(
    ("told", "seconds"), [(7, "7"), (10**9, "3600"), (-1, "1"), ("soon", "1"), (None, "1")]
)
def test_a_client_is_told_when_to_come_again(told: object, seconds: str) -> None:
    line = {"code": "OVERLOADED", "message": "m", "status": 429, "retry_after": told}
    response = error_response(read_problem("RequestFailed", [json.dumps(line)]))
    assert (response.status_code, response.headers["retry-after"]) == (429, seconds)


def test_who_cannot_come_again_is_not_told_when() -> None:
    assert "retry-after" not in error_response(Problem("MODE", "m", status=422)).headers


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ValueError", [Problem("A", "b").as_json()]),
        ("RequestFailed", []),
        ("RequestFailed", ["not json"]),
        ("RequestFailed", ["5"]),
        ("RequestFailed", ['{"code": "A"}']),
        ("RequestFailed", [json.dumps({"code": "A", "message": "b", "status": 200})]),
    ],
)
def test_what_is_not_meant_for_clients_stays_internal(name: str, arguments: list[str]) -> None:
    assert read_problem(name, arguments) == INTERNAL


@pytest.mark.parametrize(
    ("code", "status"), [("OVERLOADED", 429), ("BYTES", 413), ("DEADLINE", 504), ("MODE", 422)]
)
def test_a_code_alone_has_a_status(code: str, status: int) -> None:
    assert (
        read_problem("RequestFailed", [json.dumps({"code": code, "message": "m"})]).status == status
    )
