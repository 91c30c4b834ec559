"""A Dask cluster as executor: the ratings stay on its workers, factors travel each half-step."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
from distributed import CancelledError, KilledWorker, as_completed
from distributed.comm import CommClosedError

from .blas import one_blas_thread
from .blocks import Half, allocate, count_flops, deal_blocks, pad_factors, pad_given, solve_blocks
from .processes import TASKS_A_WORKER

ATTEMPTS = 3  # at a half-step, each with all data sent anew


@contextmanager
def run_on_cluster(halves: list[Half], client):
    """Solve blocks on the workers of a `dask.distributed.Client`. As in `alsnb.executors`.

    The ratings are scattered once. Workers copy from each other what a task needs, and keep it, so
    that any of them can solve any block: what is lost with one worker the others solve again. If
    the data are lost as well, they are sent again. Raises RuntimeError if that does not help.
    """
    n_tasks = TASKS_A_WORKER * max(1, sum(client.nthreads().values()))
    tasks = [deal_blocks(count_flops(half.blocks, half.n_factors), n_tasks) for half in halves]
    kept = []

    def run(which, Y, progress=None, **given):
        for _ in range(ATTEMPTS):
            if client.status != "running":
                raise RuntimeError("the Dask client was closed in mid-fit")
            try:
                kept[:] = kept or client.scatter(halves, hash=False)
                return solve(which, Y, given, progress or (lambda n_blocks: None))
            except (CancelledError, CommClosedError, KilledWorker, TimeoutError) as error:
                lost = error
                kept.clear()
        raise RuntimeError(
            f"the cluster lost its workers {ATTEMPTS} times in one half-step; look at their logs, "
            "for want of memory, say"
        ) from lost

    def solve(which, Y, given, progress):
        fixed = client.scatter((pad_factors(Y), pad_given(given)), hash=False)
        sent = {
            client.submit(_work, kept[which], which, fixed, numbers, pure=False): numbers
            for numbers in tasks[which]
        }
        X, squares = allocate(halves[which], which)
        try:
            for future, (rows, solved, sums) in as_completed(sent, with_results=True):
                X[rows] = solved
                if squares is not None:
                    squares[sent[future]] = sums
                progress(len(sent[future]))
        except BaseException:
            client.cancel(list(sent))
            raise
        return X, squares

    yield run


def _work(half, which, fixed, numbers):
    X, squares = allocate(half, which)
    with one_blas_thread():
        solve_blocks(half, fixed[0], numbers, X, squares, **fixed[1])
    rows = np.concatenate([rows for number in numbers for rows, _ in half.blocks[number]])
    return rows, X[rows], None if squares is None else squares[numbers]
