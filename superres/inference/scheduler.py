"""Who uses a device next: one queue per device, fair between requests, in batches of equal work.

Every request has a RequestQueue of its own. Queues share the device by start-time fair queueing:
each has a virtual time that grows by the cost of what it was served, and the one that is least
ahead is next (Goyal, Vin and Cheng, "Start-time Fair Queuing", SIGCOMM 1996). So a small image
waits for about one running batch of a large one, never for the whole, and many small ones do not
starve a large one. Nothing waits for a batch to fill: what is there is taken.
"""

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from traceback import clear_frames
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)

# One batch is computed while the next one is copied and launched; more would only add waiting.
BATCHES_IN_FLIGHT = 2


class PendingBatch(Protocol[Result_co]):
    """A batch that the device still computes."""

    def result(self) -> Sequence[Result_co]:
        """Wait, then the results in the order of the items. Raises what went wrong."""
        ...


@dataclass(frozen=True, eq=False)
class Task(Generic[Item, Result]):
    """`run` of `item`, and with which others it may be done in one call.

    `run` gets items of works with equal `key` and gives as many results, or a Pending. A `key` of
    None is never batched, and nothing overlaps it.
    """

    run: Callable[[Sequence[Item]], Sequence[Result] | PendingBatch[Result]]
    item: Item
    key: Hashable | None = None  # the same for the same model, shape and number format
    cost: float = 1.0  # what the queue is charged: input pixels
    max_batch_size: int = 1  # items of a call; 1 where batching does not pay


@dataclass(eq=False)
class QueuedTask:
    """A Task in its queue."""

    work: Task[Any, Any]
    queue: "RequestQueue"
    future: Future[Any] = field(default_factory=Future)


@dataclass
class LaunchedBatch:
    """A batch on the device."""

    tasks: list[QueuedTask]
    pending: PendingBatch[Any]


class RequestQueue:
    """One request's works, served in their order. Leaving it drops what has not begun.

    Not to be shared by requests: each queue gets an equal share of the device.
    """

    def __init__(self, scheduler: "Scheduler") -> None:
        self.scheduler = scheduler
        self.tasks: deque[QueuedTask] = deque()
        self.running = 0  # works begun and not yet finished
        self.time = 0.0  # virtual
        self.charged = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cancel()

    def submit(self, work: Task[Item, Result]) -> Future[Result]:
        """Add a task; return the future of its result or error. Raises RuntimeError after
        `close`.
        """
        return self.scheduler.queue.put(QueuedTask(work, self))

    def cancel(self) -> None:
        """Drop what has not begun: its futures are cancelled."""
        self.scheduler.queue.drop(self)

    @contextmanager
    def lock(self, cost: float = 1.0) -> Iterator[None]:
        """Hold the device for the calling thread alone, once it is this queue's turn."""
        begun, over = threading.Event(), threading.Event()

        def lend(_: Sequence[None]) -> Sequence[None]:
            begun.set()
            over.wait()
            return (None,)

        lent = self.submit(Task(lend, None, None, cost))
        # Cancelled by another thread, it never begins.
        lent.add_done_callback(lambda _: begun.set())
        try:
            begun.wait()
            if lent.done():
                lent.result()  # raises CancelledError
            yield
        finally:
            lent.cancel()
            over.set()


class Scheduler:
    """What one device is to do, done by one thread: one OpenMP team, one CUDA stream.

    The thread begins with the first work and ends with the Scheduler. A forked process begins
    with an empty queue and a thread of its own.
    """

    def __init__(self) -> None:
        self.queue = DeviceQueue()
        # Also runs at exit, where a thread inside torch must have ended before Python does.
        weakref.finalize(self, DeviceQueue.close, self.queue)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=partial(_restart_after_fork, weakref.ref(self)))

    def open_queue(self) -> RequestQueue:
        """Return a new request's queue, which begins level with those that are served."""
        return RequestQueue(self)

    @contextmanager
    def lock(self, cost: float = 1.0) -> Iterator[None]:
        """Hold the device for the calling thread alone, in a queue of its own."""
        with self.open_queue() as queue, queue.lock(cost):
            yield

    def close(self) -> None:
        """Finish what has begun, cancel the rest, end the thread. Later works are errors."""
        self.queue.close()


class DeviceQueue:
    """The queues that wait and the thread that serves them. Apart from its Scheduler, so that the
    thread does not keep that alive.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin with nothing waiting and no thread: at first, and in a forked process."""
        self.changed = threading.Condition()
        self.waiting: dict[RequestQueue, None] = {}  # in the order they came; each has tasks
        self.clock = 0.0  # virtual time of a device that serves all queues at once
        self.busy = 0  # queues with tasks that wait or run
        self.limits: dict[Hashable, int] = {}  # items of a call, learned from running out of memory
        self.thread: threading.Thread | None = None
        self.closed = False

    def put(self, task: QueuedTask) -> Future[Any]:
        """Add a task to its queue; the thread begins where there is none."""
        queue = task.queue
        with self.changed:
            if self.closed:
                raise RuntimeError("the scheduler is closed")
            if not queue.tasks:
                self.waiting[queue] = None
                if not queue.running:
                    self.busy += 1
                queue.time = max(queue.time, self.clock)
            queue.tasks.append(task)
            if self.thread is None:
                thread = threading.Thread(target=self.serve, name="device", daemon=True)
                thread.start()
                self.thread = thread
            self.changed.notify_all()
        return task.future

    def drop(self, queue: RequestQueue) -> None:
        """Cancel the tasks of `queue` that wait."""
        with self.changed:
            tasks = list(queue.tasks)
            queue.tasks.clear()
            self.remove_if_empty(queue)
        # Outside: whoever waits for a future may be told in this thread.
        for task in tasks:
            task.future.cancel()

    def close(self) -> None:
        """Cancel what waits; the thread finishes what has begun, and ends."""
        with self.changed:
            self.closed = True
            queues = list(self.waiting)
            self.changed.notify_all()
        for queue in queues:
            self.drop(queue)
        if self.thread and self.thread is not threading.current_thread():
            self.thread.join()

    def remove_if_empty(self, queue: RequestQueue) -> None:
        """Note that `queue` may have nothing to do any more; the lock is held."""
        if queue in self.waiting and not queue.tasks:
            self.waiting.pop(queue)
            self.busy -= 0 if queue.running else 1

    # The thread

    def serve(self) -> None:
        """Serve until closed: launch the next batch, then wait for the oldest one launched."""
        launched: deque[LaunchedBatch] = deque()
        while self.step(launched):
            pass

    def step(self, launched: deque[LaunchedBatch]) -> bool:
        """Start or finish one batch more; return whether there may be another."""
        tasks = self.next(wait=not launched)
        if tasks and tasks[0].work.key is None:
            while launched:
                self.finish(launched.popleft())
        if tasks and (made := self.launch_batch(tasks)):
            launched.append(made)
        if launched and (not tasks or len(launched) >= BATCHES_IN_FLIGHT):
            self.finish(launched.popleft())
        return bool(tasks or launched or not self.closed)

    def next(self, wait: bool) -> list[QueuedTask]:
        """Return the tasks to do now, begun; none where there are none, or once closed."""
        with self.changed:
            while not (tasks := self.collect_batch()) and wait and not self.closed:
                self.changed.wait()
            return tasks

    def collect_batch(self) -> list[QueuedTask]:
        """Return the tasks of the next batch, out of their queues; the lock is held.

        The first of the queue that is least ahead; with it equal ones, one of each other, then
        more of all.
        """
        # queue A (least ahead)  a a b     a sets the key of the batch; then one of each queue
        # queue B                a c       that begins with the same key, and round again:
        # queue C                c a       taken a(A) a(B) a(A); C waits, for its first is c
        queues = sorted(self.waiting, key=lambda queue: (queue.time, queue.charged))
        tasks: list[QueuedTask] = []
        key, most = None, 1
        while queues:
            for queue in list(queues):
                task = self.pop_matching(queue, key, bool(tasks))
                if task is None:
                    queues.remove(queue)
                    continue
                if not tasks:
                    key, most = task.work.key, self.limit_batch_size(task.work)
                tasks.append(task)
                if len(tasks) >= most:
                    return tasks
        return tasks

    def pop_matching(
        self, queue: RequestQueue, key: Hashable | None, matching: bool
    ) -> QueuedTask | None:
        """Return the first task of `queue`, begun and charged; None where it has another key or
        none.
        """
        while queue.tasks:
            task = queue.tasks[0]
            if matching and task.work.key != key:
                return None
            queue.tasks.popleft()
            if task.future.set_running_or_notify_cancel():
                queue.running += 1
                queue.time += task.work.cost
                queue.charged += task.work.cost
                if not queue.tasks:
                    self.waiting.pop(queue)
                return task
        self.remove_if_empty(queue)
        return None

    def limit_batch_size(self, work: Task[Any, Any]) -> int:
        """Return how many of such works may be done in one call."""
        return (
            1
            if work.key is None
            else min(work.max_batch_size, self.limits.get(work.key, work.max_batch_size))
        )

    def launch_batch(self, tasks: list[QueuedTask]) -> LaunchedBatch | None:
        """Return the batch on the device; None where its results were delivered already."""
        results, error = attempt(lambda: tasks[0].work.run([task.work.item for task in tasks]))
        if error is not None:
            self.recover(tasks, error)
        elif isinstance(results, Sequence):
            self.deliver(tasks, results)
        else:
            return LaunchedBatch(tasks, results)
        return None

    def finish(self, launched: "LaunchedBatch") -> None:
        """Wait for a batch and deliver its results."""
        results, error = attempt(launched.pending.result)
        if error is None:
            self.deliver(launched.tasks, results)
        else:
            self.recover(launched.tasks, error)

    def deliver(self, tasks: list[QueuedTask], results: Sequence[Any]) -> None:
        """Give each task its result."""
        if len(results) != len(tasks):
            error = AssertionError(f"{len(results)} results for {len(tasks)} items")
            for task in tasks:
                self.deliver_one(task, error=error)
            return
        for task, result in zip(tasks, results, strict=True):
            self.deliver_one(task, result)

    def recover(self, tasks: list[QueuedTask], error: BaseException) -> None:
        """Retry a batch that failed: in halves where memory ran out, else one by one."""
        full = isinstance(error, torch.OutOfMemoryError)
        if full:
            # What the failed call computed so far would else stay on the device.
            clear_frames(error.__traceback__)
            empty_cache()
        if len(tasks) == 1:
            self.deliver_one(tasks[0], error=error)
            return
        error.__traceback__ = None
        size = len(tasks) // 2 if full else 1
        if full:
            self.limits[tasks[0].work.key] = size
        for start in range(0, len(tasks), size):
            launched = self.launch_batch(tasks[start : start + size])
            if launched:
                self.finish(launched)

    def deliver_one(
        self, task: QueuedTask, result: Any = None, error: BaseException | None = None
    ) -> None:
        """Deliver, after the books are right: whoever waits may look at once."""
        with self.changed:
            task.queue.running -= 1
            # Every busy queue was served its share of this at once.
            self.clock += task.work.cost / max(self.busy, 1)
            if not task.queue.tasks and not task.queue.running:
                self.busy -= 1
        if error is None:
            task.future.set_result(result)
        else:
            task.future.set_exception(error)


def attempt(call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """Return what `call` gives, or what it raises. No error ends the thread that serves
    everybody.
    """
    try:
        return call(), None
    except BaseException as error:  # noqa: BLE001 # it is the waiting caller's
        return None, error


def empty_cache() -> None:
    """Give back what CUDA's allocator keeps for later."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _restart_after_fork(scheduler: "weakref.ref[Scheduler]") -> None:
    """Begin anew in a forked process: threads stay behind, and a lock may have been held."""
    alive = scheduler()
    if alive is not None:
        alive.queue.reset()
