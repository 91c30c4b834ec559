"""Parallel ALS: one kernel on threads, on processes over shared memory, or on a Dask cluster."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack, contextmanager

import numpy as np
from tqdm import tqdm

from .blas import one_blas_thread
from .columns import ITEMS, USERS
from .executors import choose_executor
from .loop import Factorization, iterate
from .terms import Terms

BAR_FROM = 1_000_000  # ratings, above which each iteration shows a bar


def als_matrix_factorization_parallel(
    R,
    n_factors: int = 20,
    lambda_reg: float | tuple[float, float] = 0.1,
    n_iterations: int = 20,
    verbose: bool = True,
    *,
    executor="threads",
    n_workers: int | None = None,
    reg_exponent: float = 0.0,
    bias: bool = False,
    bias_reg: float | tuple[float, float] | None = None,
    implicit_weight: float = 0.0,
    implicit_reg: float = 1.0,
    rng=None,
    dtype=np.float64,
    R_test=None,
    callback: Callable[[int, np.ndarray, np.ndarray], object] | None = None,
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
    terms = Terms(
        R,
        n_factors,
        lambda_reg=lambda_reg,
        reg_exponent=reg_exponent,
        bias=bias,
        bias_reg=bias_reg,
        implicit_weight=implicit_weight,
        implicit_reg=implicit_reg,
        rng=rng,
        dtype=dtype,
    )
    halves = terms.halves()
    run, squares = None, None

    def step(U, V):
        nonlocal run, squares
        if run is None:  # by now every setting has been checked
            run = workers.enter_context(start_workers(halves))
        with _bar(terms.R, halves, verbose) as progress:
            Y, given = terms.hold(USERS, U, V)
            U = terms.place(USERS, run(USERS, Y, progress, **given)[0])
            Y, given = terms.hold(ITEMS, V, U)
            X, squares = run(ITEMS, Y, progress, **given)
            return U, terms.place(ITEMS, X)

    def error(R, U, V):  # the items' half-step has seen every residual
        return float(np.sqrt(np.sum(squares) / R.nnz))

    reporting = {"verbose": verbose, "R_test": R_test, "callback": callback, "tol": tol}
    reporting["error"] = error
    with one_blas_thread(), ExitStack() as workers:
        return iterate(*terms.begin(), step, n_iterations=n_iterations, **reporting)


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
