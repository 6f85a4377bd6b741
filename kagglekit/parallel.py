"""Map a function over local cores.

One path for one core and for many: the same order, the same exceptions, so that a fault is looked for with
`n_jobs=1`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from kagglekit.errors import KagglekitError

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

__all__ = ["OutOfTime", "Stoppable", "fits_at_once", "n_cores", "on_devices", "pmap", "threads", "waves"]

_ROWS_FOR_THREADS = 5000

Item = TypeVar("Item")
Result = TypeVar("Result")


class OutOfTime(Exception):
    """Work was stopped because its time was over; what it had not finished is lost."""


class _Failed(Exception):
    """Carries an error of ours out of a worker.

    Python rebuilds a sent exception as `type(*args)`, which loses a hint and fails where `__init__` takes
    other arguments than the message.
    """

    def __init__(self, kind: type[KagglekitError], args: tuple[Any, ...], state: dict[str, Any]) -> None:
        super().__init__(kind, args, state)

    def rebuilt(self) -> KagglekitError:
        kind, args, state = self.args
        error: KagglekitError = kind.__new__(kind, *args)
        error.__dict__.update(state)
        return error


def n_cores() -> int:
    """Cores that this process may use: the machine's, less what affinity or a container's quota takes
    away."""
    import joblib

    return max(1, int(joblib.cpu_count()))


def threads(n_jobs: int, n_rows: int) -> int:
    """Threads for a table: one for a small one, where they wait for each other longer than they work; 0 is all."""
    return 1 if n_rows < _ROWS_FOR_THREADS else max(n_jobs, 0)


def fits_at_once(n_rows: int, n_fits: int) -> int:
    """Fits of a table at the same time: one for each core where a fit has one thread, else one with all threads."""
    return min(n_cores(), n_fits) if threads(-1, n_rows) == 1 else 1


def waves(n_items: int, n_jobs: int) -> int:
    """How many times as long as one item all of them take, so many at the same time.

    >>> waves(5, 2)
    3
    """
    return -(-n_items // max(1, n_jobs))


def pmap(function: Callable[[Item], Result], items: Iterable[Item], n_jobs: int = -1) -> list[Result]:
    """Apply a function to every item in worker processes.

    Parameters
    ----------
    function : callable
        With `n_jobs` above one it is sent to other processes, so it must not depend on state that changes
        here.
    items : iterable
    n_jobs : int
        Worker processes; -1 for one per core, 1 for a plain loop in this process. Threads of numerical
        libraries are shared out, so that workers together use each core once.

    Returns
    -------
    list
        Results in the order of the items.

    Raises
    ------
    Exception
        What a failing item raised, unchanged. Ctrl-C ends the workers.

    Notes
    -----
    Not for quick functions: starting workers and sending data takes about a second. Not for a GPU, which
    processes would fight over: see `on_devices`.
    """
    import joblib

    items = list(items)
    workers = min(n_cores() if n_jobs < 1 else n_jobs, len(items))
    if workers <= 1:
        return [function(item) for item in items]
    threads = max(1, n_cores() // workers)
    task = joblib.delayed(_call)
    with joblib.parallel_config("loky", n_jobs=workers, inner_max_num_threads=threads):
        try:
            results: list[Result] = joblib.Parallel()(task(function, item) for item in items)
        except _Failed as failed:
            raise failed.rebuilt() from None
    return results


def on_devices(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    devices: Sequence[str],
    *,
    may_start: Callable[[Item], bool] = lambda item: True,
) -> Iterator[Result]:
    """Apply a function to items, in one process for each GPU that sees this GPU alone.

    Parameters
    ----------
    function : callable
        Sent to other processes, as in `pmap`.
    items : iterable
        Begun in their order, each as soon as a GPU is free.
    devices : sequence of str
        As CUDA_VISIBLE_DEVICES names them: "0", "1".
    may_start : callable
        Asked just before an item is begun; an item that may not is left out.

    Yields
    ------
    Result
        As they are done, not in the order of the items.

    Raises
    ------
    Exception
        What a failing item raised.
    """
    from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
    from multiprocessing import get_context

    waiting, spawn = list(items), get_context("spawn")  # a forked process cannot use a GPU that its parent has used
    pools = [ProcessPoolExecutor(1, spawn, _see_only, (device,)) for device in devices[: len(waiting)]]
    busy: dict[Future[Result], ProcessPoolExecutor] = {}
    free = list(pools)
    try:
        while waiting or busy:
            while waiting and free:
                item = waiting.pop(0)
                if may_start(item):
                    pool = free.pop(0)
                    busy[pool.submit(_call, function, item)] = pool
            for future in wait(busy, return_when=FIRST_COMPLETED).done:
                free.append(busy.pop(future))
                yield _result(future)
    finally:
        for pool in pools:
            pool.shutdown(cancel_futures=True)


class Stoppable:
    """Worker processes that are kept between calls, and stopped in the middle of their work when the time is over.

    Parameters
    ----------
    left : callable
        Seconds until all work must end; may be infinite.
    n_jobs : int, default=1
        Processes; they share the cores out.

    Notes
    -----
    A process takes a second or two to start and gets a copy of what it works on, so this is not for quick functions,
    and not where there is no limit of time: see `pmap`. Nothing but the end of a process stops a fit for certain:
    compiled code does not look at Python's signals.
    """

    def __init__(self, left: Callable[[], float], n_jobs: int = 1) -> None:
        self.left, self.n_jobs = left, max(1, n_jobs)
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to start the processes, so that they are there when they are needed."""
        threads = max(1, n_cores() // self.n_jobs) if self.n_jobs > 1 else 0
        while len(self._workers) < self.n_jobs:
            self._workers.append(_Worker(threads))

    def stop(self) -> None:
        """End all processes now; a later call starts others."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.kill()

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        may_start: Callable[[Item], bool] = lambda item: True,
    ) -> Iterator[Result]:
        """Apply a function to items, as `pmap` does, until the time is over.

        Parameters
        ----------
        function : callable
        items : iterable
        may_start : callable
            Asked just before an item is begun; an item that may not is left out.

        Yields
        ------
        Result
            As they are done, not in the order of the items.

        Raises
        ------
        OutOfTime
            The time was over before an item was done. Its process has been ended.
        Exception
            What a failing item raised.
        """
        from concurrent.futures import FIRST_COMPLETED, wait

        waiting = list(items)
        busy: dict[Future[Result], _Worker] = {}
        while waiting or busy:
            while waiting and len(busy) < self.n_jobs:
                item = waiting.pop(0)
                if may_start(item):
                    self.start()  # not before: starting processes for nothing takes seconds
                    worker = next(one for one in self._workers if one not in busy.values())
                    busy[worker.pool.submit(_call, function, item)] = worker
            done = wait(busy, timeout=_waited(self.left()), return_when=FIRST_COMPLETED).done
            if busy and not done:
                self.stop()
                raise OutOfTime("stopped in the middle, because the time was over")
            for future in done:
                del busy[future]
                yield _result(future)


class _Worker:
    """One process, in a pool of its own, so that it is known which one it is."""

    def __init__(self, threads: int) -> None:
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        # A forked process would hang in libraries whose threads the parent has used.
        self.pool: ProcessPoolExecutor = ProcessPoolExecutor(1, get_context("spawn"), _begin_worker, (threads,))
        self._pid = self.pool.submit(os.getpid)

    def kill(self) -> None:
        with suppress(ProcessLookupError):  # it ended by itself
            os.kill(self._pid.result(), getattr(signal, "SIGKILL", signal.SIGTERM))
        self.pool.shutdown(cancel_futures=True)


def _waited(seconds: float) -> float | None:
    """A timeout: None where there is no limit."""
    return None if seconds == float("inf") else max(0.0, seconds)


def _use_threads(threads: int) -> None:
    """What joblib and compiled libraries look at when they are imported; 0 leaves them all cores."""
    if threads:
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
        os.environ.update(dict.fromkeys(names, str(threads)))


def _begin_worker(threads: int) -> None:
    _use_threads(threads)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that started it has been killed, which could not end its workers itself.

    It would go on with its work, hold the lock of what it works on, and then wait for ever.
    """
    from multiprocessing import connection, parent_process

    if (parent := parent_process()) is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _see_only(device: str) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = device
    Thread(target=_end_with_parent, daemon=True).start()


def _result(future: Any) -> Any:
    try:
        return future.result()
    except _Failed as failed:
        raise failed.rebuilt() from None


def _call(function: Callable[[Item], Result], item: Item) -> Result:
    try:
        return function(item)
    except KagglekitError as error:
        raise _Failed(type(error), error.args, error.__dict__) from error
