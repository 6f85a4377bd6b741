"""Map a function over local cores.

One path for one core and for many: the same order, the same exceptions, so that a fault is looked for with
`n_jobs=1`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from kagglekit.errors import KagglekitError

__all__ = ["n_cores", "pmap"]

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
    processes would fight over.
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


def _call(function: Callable[[Item], Result], item: Item) -> Result:
    try:
        return function(item)
    except KagglekitError as error:
        raise _Failed(type(error), error.args, error.__dict__) from error
