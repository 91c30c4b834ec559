"""Parallel ALS: one kernel on threads, on processes over shared memory, or on a Dask cluster."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack, contextmanager

import numpy as np
from tqdm import tqdm

from .als import Factorization, iterate, prepare
from .blas import one_blas_thread
from .blocks import ITEMS, USERS, Half, plan_blocks
from .executors import choose_executor
from .metrics import count_ratings, row_weights

BAR_FROM = 1_000_000  # ratings, above which each iteration shows a bar


def als_matrix_factorization_parallel(
    R,
    n_factors: int = 20,
    lambda_reg: float = 0.1,
    n_iterations: int = 20,
    verbose: bool = True,
    *,
    executor="threads",
    n_workers: int | None = None,
    reg_exponent: float = 0.0,
    rng=None,
    dtype=np.float64,
    R_test=None,
    callback: Callable[[int, np.ndarray, np.ndarray], None] | None = None,
    tol: float = 0.0,
) -> Factorization:
    """Factorize ratings by alternating least squares, many rows at a time, on several workers.

    The result is that of `als_matrix_factorization` up to rounding, and the same to the last bit
    whatever the executor and however many the workers (on machines with the same BLAS, and Numba
    on all or none; see `alsnb.lapack`).

    Takes what `als_matrix_factorization` takes, except `half_step`, and two more; over a million
    ratings, `verbose` shows a bar within iterations, too.

    Parameters
    ----------
    executor : {"threads", "serial", "processes"} or dask.distributed.Client
        Where blocks are solved. Processes are spawned: in a script, call this function under
        ``if __name__ == "__main__":``.
    n_workers : int, optional
        Threads or processes; by default as many as there are cores. Not for a Dask cluster, which
        has its own.

    Returns
    -------
    Factorization
        Unpacks as `U, V, train_errors`.

    Raises
    ------
    TypeError, ValueError
        If a setting is out of range, or R is not a sparse matrix of finite ratings.
    RuntimeError
        If a worker dies in mid-fit. (A cluster solves the lost blocks again.)

    References
    ----------
    Zhou, Wilkinson, Schreiber and Pan (2008), sections 3.1 and 3.2.
    """
    start_workers = choose_executor(executor, n_workers)
    R, U, V, lambda_reg, reg_exponent = prepare(R, n_factors, lambda_reg, reg_exponent, rng, dtype)
    halves = [
        Half(matrix, lambda_reg * weights, plan_blocks(lengths, n_factors), n_factors)
        for matrix, weights, lengths in zip(
            (R, R.T.tocsr()), row_weights(R, reg_exponent), count_ratings(R), strict=True
        )
    ]
    run, squares = None, None

    def step(U, V):
        nonlocal run, squares
        if run is None:  # by now every setting has been checked
            run = workers.enter_context(start_workers(halves))
        with _bar(R, halves, verbose) as progress:
            U, _ = run(USERS, V, progress)
            V, squares = run(ITEMS, U, progress)
        return U, V

    def error(R, U, V):  # the items' half-step has seen every residual
        return float(np.sqrt(np.sum(squares) / R.nnz))

    settings = {"lambda_reg": lambda_reg, "reg_exponent": reg_exponent, "error": error}
    reporting = {"verbose": verbose, "R_test": R_test, "callback": callback, "tol": tol}
    with one_blas_thread(), ExitStack() as workers:
        return iterate(R, U, V, step, n_iterations=n_iterations, **settings, **reporting)


@contextmanager
def _bar(R, halves, verbose):
    """Show a bar over the blocks of an iteration, or nothing for few ratings: yields `progress`."""
    if not verbose or R.nnz <= BAR_FROM:
        yield None
        return
    lock, total = threading.Lock(), sum(len(half.blocks) for half in halves)
    with tqdm(total=total, unit="block", leave=False, mininterval=0.5) as bar:

        def progress(n_blocks):
            with lock:
                bar.update(n_blocks)

        yield progress
