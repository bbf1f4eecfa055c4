"""Work on many items by all cores, in processes: what Python itself does takes no turns there."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from pipeline.io.cores import total_cores
from pipeline.io.errors import UserError

T = TypeVar("T")

_work_of_this_process: list[Callable[[int], Any]] = []


def by_all_cores(
    work: Callable[[int], T], total: int, fewest: int = 2, at_once: int = 1
) -> Iterator[T]:
    """`work(0)`, `work(1)`, … in order, whatever the number of processes.

    Args:
        work: takes the number of an item. Every process gets it once, as it starts: a forked one
            has all that it refers to, where sending the items would write and read each; under
            other ways to start one it is pickled.
        total: of the items.
        fewest: items below which starting processes would take longer than the work.
        at_once: items that a process is given at once: many of a short work; few of a long one, as
            at the end one process may wait for another to do as many.

    Raises:
        UserError: a process was killed.
    """
    workers = min(total_cores(), -(-total // at_once))
    if total < fewest or workers < 2:
        yield from map(work, range(total))
        return
    try:
        pool = ProcessPoolExecutor(workers, initializer=_take, initargs=(work,))
    except OSError as error:  # no semaphores, as in some containers
        print(f"one process only: {error}")
        yield from map(work, range(total))
        return
    with pool:
        try:
            yield from pool.map(_do, range(total), chunksize=at_once)
        except BrokenProcessPool:
            raise UserError(
                f"one of {workers} processes was killed, most likely for want of memory; "
                "free some or give the container more"
            ) from None


def _take(work: Callable[[int], Any]) -> None:
    """A function, as the list's own method would fill a copy of it in a process not forked."""
    _work_of_this_process.append(work)


def _do(index: int) -> Any:
    return _work_of_this_process[-1](index)
