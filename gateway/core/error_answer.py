"""Answers that hold a Problem and no Documents, and what a client may know of it."""

import logging

import grpc
from jina.excepts import InternalNetworkError
from jina.proto import jina_pb2
from jina.types.request.data import DataRequest

from contract.problem import EXCEPTION_NAME, Problem, make_error
from gateway.core.problem import read_problem

log = logging.getLogger("gateway")


def hide_cause(answer: DataRequest) -> DataRequest:
    """Return `answer`, or what a client may know of its error; the Executor's log has the whole."""
    problem = find_problem(answer)
    return answer if problem is None else make_error_answer(answer, problem)


def make_error_answer(request: DataRequest, problem: Problem) -> DataRequest:
    """Return an error answer to `request`: its header and the Problem; neither Documents nor
    stacks.
    """
    log.warning("request %s: %s", request.header.request_id, problem.description)
    answer = DataRequest()
    answer.header.request_id = request.header.request_id
    answer.header.exec_endpoint = request.header.exec_endpoint
    status = answer.header.status
    status.code = jina_pb2.StatusProto.ERROR
    status.description = problem.description
    status.exception.name = EXCEPTION_NAME
    status.exception.args.append(problem.with_document(_find_only_id(request)).as_json())
    return answer


def find_problem(answer: DataRequest) -> Problem | None:
    """Return the Problem of an error answer, None if it succeeded."""
    if answer.status.code != jina_pb2.StatusProto.ERROR:
        return None
    return read_problem(answer.status.exception.name, answer.status.exception.args)


def describe_unreachable(error: InternalNetworkError) -> Problem:
    """Return what a client may know of a broken connection between gateway and Executor."""
    code = error.code()
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return make_error("DEADLINE", "the time for this request is over").problem
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
        message = "the request is larger than the model's Executor reads (its max_request_mb)"
        return make_error("BYTES", message, option="body").problem
    if code == grpc.StatusCode.UNAUTHENTICATED:
        message = "the model's Executor wants another key than the gateway has (SUPERRES_API_KEYS)"
        return make_error("MISCONFIGURED", message).problem
    return make_error("UNAVAILABLE", "the model cannot be reached: retry later").problem


def _find_only_id(request: DataRequest) -> str | None:
    docs = request.proto_with_data.data.docs.docs
    return str(docs[0].id) or None if len(docs) == 1 else None
