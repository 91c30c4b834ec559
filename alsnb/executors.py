"""Where blocks are solved: the choice of an executor, and those within one process.

Each executor is a context manager that starts its workers, and yields
``run(which, Y, progress, **given) -> X, squares``: a half-step for the users or for the items; see
`Terms.hold`. All of them write what `solve_blocks` computes, so that they agree to the last bit.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial

from .blocks import allocate, pad_factors, pad_given, solve_blocks
from .checks import check_count
from .processes import run_in_processes


def choose_executor(executor, n_workers: int | None):
    """Return what starts the workers, given the halves, or raise TypeError or ValueError."""
    if n_workers is not None:
        n_workers = check_count("n_workers", n_workers)
    if isinstance(executor, str):
        if executor not in EXECUTORS:
            known = ", ".join(map(repr, EXECUTORS))
            raise ValueError(f"executor must be {known} or a Dask client, got {executor!r}")
        if executor == "serial" and n_workers not in (None, 1):
            raise ValueError(f"executor 'serial' is a single worker, got n_workers={n_workers}")
        return partial(EXECUTORS[executor], n_workers=n_workers or count_cores())
    distributed = sys.modules.get("distributed")  # imported by whoever has a client
    if distributed is None or not isinstance(executor, distributed.Client):
        kind = type(executor).__name__
        raise TypeError(f"executor must be a name or a dask.distributed.Client, got {kind}")
    if executor.status != "running" or executor.asynchronous:
        raise ValueError("executor must be a connected, synchronous Dask client; make a new one")
    if n_workers is not None:
        raise ValueError("n_workers is the cluster's own affair; leave it out with a Dask client")
    from .cluster import run_on_cluster

    return partial(run_on_cluster, client=executor)


def count_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def run_serially(halves, n_workers=1):
    """Solve one block after the other, in the calling thread."""

    def run(which, Y, progress=None, **given):
        half = halves[which]
        X, squares = allocate(half, which)
        numbers, given = range(len(half.blocks)), pad_given(given)
        solve_blocks(half, pad_factors(Y), numbers, X, squares, progress=progress, **given)
        return X, squares

    yield run


@contextmanager
def run_in_threads(halves, n_workers):
    """Let threads take blocks from one queue, longest rows first; NumPy's kernels drop the GIL."""
    with ThreadPoolExecutor(n_workers, thread_name_prefix="alsnb") as pool:

        def run(which, Y, progress=None, **given):
            half, Y, given = halves[which], pad_factors(Y), pad_given(given)
            X, squares = allocate(half, which)
            queue = deque(range(len(half.blocks)))
            work = partial(solve_blocks, half, Y, X=X, squares=squares, progress=progress, **given)
            if len(half.blocks) <= 1:  # nothing to share
                work(_taken(queue))
                return X, squares
            n_tasks = min(n_workers, len(half.blocks))
            futures = [pool.submit(work, _taken(queue)) for _ in range(n_tasks)]
            try:
                for future in as_completed(futures):
                    future.result()
            finally:
                queue.clear()  # after an error or Ctrl-C the others stop at the end of their block
            return X, squares

        yield run


def _taken(queue: deque):
    while True:
        try:
            yield queue.popleft()
        except IndexError:
            return


EXECUTORS = {"serial": run_serially, "threads": run_in_threads, "processes": run_in_processes}
