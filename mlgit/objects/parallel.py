"""Many transfers at once, each tried again while what stopped it may pass.

One loop, in the thread that asks for the work: it starts jobs, takes their results, and
decides what is tried again. So there is one place that waits, and Ctrl-C ends it at once.
"""

from __future__ import annotations

import heapq
import queue
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from typing import Any, Generic, TypeVar

from mlgit.objects.failures import may_pass

T = TypeVar("T")
R = TypeVar("R")

_ATTEMPTS = 8
# Where nothing has worked yet, the address is more likely wrong than the network bad.
_FIRST_ATTEMPTS = 4
_LONGEST_WAIT = 15.0
_TICK = 0.2


_Call = tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]


class Threads:
    """A pool of daemon threads: whoever is interrupted needn't wait for a blocked one.

    Args:
        count: How many at most; they are started as they are needed.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._jobs: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._started = 0

    def start(self, function: Callable[..., R], *arguments: Any) -> Future[R]:
        """Run a function in one of the threads."""
        future: Future[R] = Future()
        self._jobs.put((future, function, arguments))
        if not self._idle.acquire(blocking=False) and self._started < self.count:
            self._started += 1
            name, shared = "mlgit-transfer", (self._jobs, self._idle)
            threading.Thread(target=_work, args=shared, name=name, daemon=True).start()
        return future

    def close(self) -> None:
        """Let the threads end when they have done what was begun."""
        for _ in range(self._started):
            self._jobs.put(None)

    __del__ = close


def _work(jobs: queue.SimpleQueue[_Call | None], idle: threading.Semaphore) -> None:
    """What each thread does. It doesn't hold the pool, so that an unused one goes."""
    while (call := jobs.get()) is not None:
        future, function, arguments = call
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function(*arguments))
            except BaseException as error:
                future.set_exception(error)
        del call, future, function, arguments
        idle.release()


class Done(Future[R]):
    """What was done at once, with none of a future's locks: those cost more than small files."""

    def __init__(self, result: R | None = None, error: BaseException | None = None) -> None:
        self._value = result
        self._error = error

    def done(self) -> bool:
        """Always."""
        return True

    def cancel(self) -> bool:
        """Never: it is done."""
        return False

    def result(self, timeout: float | None = None) -> R:
        """What came of it."""
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What went wrong."""
        return self._error


class _Job(Generic[T]):
    __slots__ = ("attempt", "item", "size")

    def __init__(self, item: T, size: int) -> None:
        self.item = item
        self.size = size
        self.attempt = 0


def run(
    items: Iterable[T],
    start: Callable[[T], Future[R]],
    *,
    limit: int,
    budget: int = 0,
    weight: Callable[[T], int] = lambda item: 0,
    idle: Callable[[], None] = lambda: None,
) -> Iterator[tuple[T, R | None, Exception | None]]:
    """Do something with every item, several at once, and tell of each as it is done.

    Args:
        items: What to do it with.
        start: Begins it; the future ends with its result or what went wrong.
        limit: How many at once.
        budget: What the weights of those under way may add up to; 0 is any.
        weight: What one takes of the budget while it is under way.
        idle: Called now and then while there is nothing but waiting.

    Yields:
        The item with its result, or with the error that stayed after all attempts. Whoever
        stops iterating cancels what is under way.
    """
    waiting = iter(items)
    done: queue.SimpleQueue[tuple[_Job[T], Future[R]]] = queue.SimpleQueue()
    later: list[tuple[float, int, _Job[T]]] = []
    running: dict[int, Future[R]] = {}
    ready: list[tuple[_Job[T], Future[R]]] = []
    used = 0
    worked = False
    held: _Job[T] | None = None
    exhausted = False

    def begin(job: _Job[T]) -> None:
        nonlocal used
        used += job.size
        job.attempt += 1
        future = start(job.item)
        running[id(job)] = future
        if isinstance(future, Done):
            ready.append((job, future))
        else:
            future.add_done_callback(lambda future: done.put((job, future)))

    try:
        while True:
            now = time.monotonic()
            while later and len(running) < limit and later[0][0] <= now:
                begin(heapq.heappop(later)[2])
            while not exhausted and len(running) < limit and not ready:
                if held is None:
                    try:
                        item = next(waiting)
                    except StopIteration:
                        exhausted = True
                        break
                    held = _Job(item, weight(item))
                if budget and running and used + held.size > budget:
                    break
                begin(held)
                held = None
            if not running and not later:
                return
            if ready:
                job, future = ready.pop()
            else:
                wait = _TICK
                if later and len(running) < limit:
                    wait = min(wait, max(0.001, later[0][0] - time.monotonic()))
                try:
                    job, future = done.get(timeout=wait)
                except queue.Empty:
                    idle()
                    continue
            del running[id(job)]
            used -= job.size
            error = future.exception()
            if error is None:
                worked = True
                yield job.item, future.result(), None
            elif not isinstance(error, Exception):
                raise error
            elif may_pass(error) and job.attempt < (_ATTEMPTS if worked else _FIRST_ATTEMPTS):
                heapq.heappush(later, (time.monotonic() + pause(job.attempt), id(job), job))
            else:
                yield job.item, None, error
    finally:
        # Threads can't be stopped; most are done in a moment, and then leave nothing behind.
        left = [future for future in running.values() if not isinstance(future, Done)]
        wait_for([future for future in left if not future.cancel()], timeout=0.5)


def pause(attempt: int) -> float:
    """Longer each time, and never in step with who failed at the same moment."""
    return float(min(_LONGEST_WAIT, 0.1 * 2**attempt) * random.uniform(0.5, 1.0))
