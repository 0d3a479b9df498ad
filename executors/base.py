"""The shared Executor: takes Documents in, each by itself, within the operator's guards."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from docarray import Document, DocumentArray
from jina import Executor, requests

from contract.parent_watchdog import end_with_parent
from executors.admission.deadline import Deadline, wait_for_memory
from executors.admission.estimate import MemoryDemand
from executors.admission.memory_limit import choose_image_memory
from executors.admission.queue import AdmissionQueue
from executors.admission.worker_pools import WorkerPools, choose_worker_count
from executors.document import needs_fetch, write_error
from executors.error_response import RequestFailed, describe
from executors.server.closed_server import close_server
from executors.settings import read_settings
from superres.errors import (
    BadOption,
    BadSetting,
    Failed,
    Refused,
    SuperresError,
    TooLarge,
    list_causes,
)


class PreparedWork(NamedTuple):
    """A Document whose image is known but not decoded; `finish` does the rest."""

    deadline: Deadline
    demand: MemoryDemand
    finish: Callable[[], None]


Prepare = Callable[[Document, Mapping[str, Any], Deadline], PreparedWork]


class DocumentCall(NamedTuple):
    """What the Documents of a request have in common."""

    prepare: Prepare
    parameters: Mapping[str, Any]
    deadline: Deadline


class DocumentExecutor(Executor):
    """Answers a request Document by Document: a bad one never harms its neighbours.

    A subclass names its `system`, loads what it needs in `start_up`, says in `prepare` what is to
    be done with a Document, and hands the requests of its endpoint to `answer_all`. Every keyword
    is an operator option (executors/settings.py).
    """

    system: str

    def __init__(
        self,
        metas: dict[str, Any] | None = None,
        requests: dict[str, Any] | None = None,
        runtime_args: dict[str, Any] | None = None,
        workspace: str | None = None,
        dynamic_batching: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(metas, requests, runtime_args, workspace, dynamic_batching)
        # With `quiet_error`, Jina 3.34 logs an empty line for every refusal.
        name = getattr(self.runtime_args, "name", "")
        logging.getLogger(name).addFilter(lambda record: bool(record.getMessage()))
        try:
            self.settings = read_settings(options)
            self.close_port()
            self.source_policy = self.settings.source_policy
            self.start_up()
        except SuperresError as error:
            self.logger.error(f"{self.system}: {error}")
            raise SystemExit(f"{self.system}: {error}") from None
        self.worker_pools = WorkerPools(
            choose_image_memory(self.settings.host_memory_mb),
            self.settings.workers or choose_worker_count(),
            self.system,
        )
        self.admission = AdmissionQueue(self.settings.max_waiting)
        self.deadlines: dict[str, Deadline] = {}
        end_with_parent(is_busy=self.is_busy)
        self.begin_service()

    def begin_service(self) -> None:
        """Do what is to be done last, once requests may come."""

    def start_up(self) -> None:
        """Load what the work needs. Raises Misconfigured."""

    def is_busy(self) -> bool:
        """Return whether there are requests."""
        return self.admission.admitted > 0

    def close_port(self) -> None:
        """Close the server that Jina is about to start for this Executor, if one is.

        Raises:
            BadSetting: A runtime whose parts cannot be closed.
        """
        if getattr(self.runtime_args, "shards", 1) > 1:
            raise BadSetting(
                "shards: an image is not divided among Executors; use replicas", option="shards"
            )
        max_bytes = self.settings.max_request_mb * 2**20
        close_server(self.runtime_args, self.settings.keys, max_bytes)

    @requests(on="/progress")
    async def progress(self, parameters: dict[str, Any] | None = None, **_: Any) -> DocumentArray:
        """Return one Document: tiles `done` and `total` of the running request `request_id`."""
        request_id = str((parameters or {}).get("request_id"))
        watch = self.deadlines.get(request_id)
        done, total = watch.count_tiles() if watch else (0, 0)
        tags = {"known": watch is not None, "done": done, "total": total}
        return DocumentArray([Document(id=f"{request_id}/{self.system}", tags=tags)])

    async def answer_all(
        self, docs: DocumentArray, parameters: dict[str, Any] | None, prepare: Prepare | None = None
    ) -> DocumentArray:
        """Answer every Document of a request.

        With one Document, or with the parameter `errors` = `raise`, a failure fails the request;
        else each failed Document comes back without an image and with a tag `error`.

        Args:
            docs: The Documents, which are changed in place.
            parameters: Of the request.
            prepare: Says what is to be done with a Document; by default the method of that name.

        Returns:
            The Documents.

        Raises:
            RequestFailed: The request fails.
        """
        parameters = parameters or {}
        try:
            tagged = should_tag_errors(parameters, len(docs))
            self.check_count(docs)
            self.admission.admit(len(docs))
        except SuperresError as error:
            raise self.report_failure(error) from None
        watch = Deadline(self.settings.deadline_seconds)
        request_id = str(parameters.get("request_id"))
        self.deadlines[request_id] = watch
        try:
            call = DocumentCall(prepare or self.prepare, parameters, watch)
            await self.answer_side_by_side(docs, call, tagged)
        finally:
            self.admission.release(len(docs))
            self.deadlines.pop(request_id, None)
        return docs

    async def answer_side_by_side(
        self, docs: DocumentArray, call: DocumentCall, tagged: bool
    ) -> None:
        """Answer the Documents side by side; leave at once when the caller has gone."""
        try:
            errors = await asyncio.gather(*(self.try_answer(doc, call) for doc in docs))
        except asyncio.CancelledError:
            call.deadline.cancelled.set()
            raise
        for doc, error in zip(docs, errors, strict=True):
            if error is None:
                continue
            if not tagged:
                raise self.report_failure(error, doc.id) from None
            self.report_failure(error, doc.id)
            write_error(doc, error)

    async def try_answer(self, document: Document, call: DocumentCall) -> SuperresError | None:
        """Answer one Document in place; the error if that fails."""
        elsewhere = needs_fetch(document)
        pool = self.worker_pools.readers if elsewhere else self.worker_pools.quick.pool
        begin = partial(self.begin, document, call, not elsewhere)
        try:
            waiting = await asyncio.get_running_loop().run_in_executor(pool, begin)
            if waiting is not None:
                await self.finish_when_granted(waiting)
        except SuperresError as error:
            return error
        except Exception as error:
            self.logger.error(f"document {document.id}: unforeseen", exc_info=True)
            failed = Failed("the server failed on this image; its log says why")
            failed.__cause__ = error
            return failed
        return None

    def begin(self, document: Document, call: DocumentCall, here: bool) -> PreparedWork | None:
        """Do all of it if the image is small and there is memory now; return what is left to do.

        `here` says that this thread may do that.
        """
        call.deadline.check()
        prepared = call.prepare(document, call.parameters, call.deadline)
        if not here or prepared.demand.pool is not self.worker_pools.quick:
            return prepared
        claim = prepared.demand.claim()
        try:
            if not claim.granted.done():
                return prepared
            _finish_in_time(prepared)
        finally:
            prepared.demand.release(claim)
        return None

    def prepare(
        self, document: Document, parameters: Mapping[str, Any], deadline: Deadline
    ) -> PreparedWork:
        """Return what is to be done with a Document and what that takes. Raises Refused."""
        raise NotImplementedError

    async def finish_when_granted(self, prepared: PreparedWork) -> None:
        """Finish in a thread of the image's pool, once there is memory for it."""
        demand = prepared.demand
        claim = demand.claim()
        try:
            await wait_for_memory(claim, prepared.deadline)
            work = demand.pool.pool.submit(_finish_in_time, prepared)
        except BaseException:
            demand.release(claim)
            raise
        # A thread works on until it notices that nobody waits for it: its end is what counts.
        work.add_done_callback(lambda _: demand.release(claim))
        await asyncio.wrap_future(work)

    def check_count(self, docs: DocumentArray) -> None:
        """Raise TooLarge where a request has more Documents than the operator allows."""
        if len(docs) > self.settings.max_documents:
            raise TooLarge(
                f"{len(docs)} Documents in one request: at most {self.settings.max_documents}",
                code="DOCUMENTS",
                allowed=f"at most {self.settings.max_documents}",
            )

    def report_failure(self, error: SuperresError, document: str | None = None) -> RequestFailed:
        """Return the exception that carries `error` to the caller, after one line in the log."""
        said = " <- ".join(f"{type(e).__name__}: {e}" for e in list_causes(error))
        # The gateway logs every refusal; what only the log may know is told here.
        level = self.logger.debug if isinstance(error, Refused) else self.logger.warning
        level(f"refused document {document}: {error.code}: {said}")
        return RequestFailed(describe(error, document))

    def close(self) -> None:
        """Let running work end, then release the threads."""
        self.worker_pools.close()
        super().close()


def _finish_in_time(prepared: PreparedWork) -> None:
    """Finish unless nobody waits for it any more."""
    prepared.deadline.check()
    prepared.finish()


def should_tag_errors(parameters: Mapping[str, Any], documents: int) -> bool:
    """Return whether failed Documents carry a tag, or the request fails: the parameter `errors`."""
    choice = parameters.get("errors")
    if choice not in (None, "tags", "raise"):
        raise BadOption("errors", choice, '"raise" or "tags"')
    return choice == "tags" or (choice is None and documents > 1)
