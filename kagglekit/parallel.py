"""Map a function over local cores.

One path for one core and for many: the same order, the same exceptions, so that a fault is looked for with
`n_jobs=1`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from kagglekit.errors import KagglekitError

__all__ = ["n_cores", "on_devices", "pmap"]

Item = TypeVar("Item")
Result = TypeVar("Result")


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
    from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
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


def _see_only(device: str) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = device


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
