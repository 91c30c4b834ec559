"""Sequential alternating least squares: one row at a time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from .columns import ITEMS, USERS
from .loop import Factorization, iterate
from .ridge import solve_row
from .terms import Terms


def half_step(
    R, Y: np.ndarray, lambda_reg: float, reg_exponent: float = 0.0, *, gram=None, rhs=None
) -> np.ndarray:
    """Solve for every row of `R` with the other side's factors `Y` fixed: half an iteration.

    Row i solves its own ridge regression, with penalty λ n_i^ν; a row without ratings gets zeros.

    Parameters
    ----------
    R : csr_array, shape (n_rows, n_columns)
        The ratings for the users' half-step; their transpose, as CSR, for the items'.
    Y : ndarray, shape (n_columns, n_factors)
        V for the users' half-step, U for the items'.
    lambda_reg, reg_exponent : float
        λ, positive, and ν.
    gram, rhs : ndarray, shapes (n_factors, n_factors) and (n_rows, n_factors), optional
        As for `solve_row`, `rhs` with a row for each row of `R`.

    Returns
    -------
    ndarray, shape (n_rows, n_factors)

    Raises
    ------
    TypeError, ValueError
        If R is not in CSR format, or Y has not a row for each of its columns.
    """
    if getattr(R, "format", None) != "csr":
        raise TypeError("R must be in CSR format; call .tocsr() on it, after transposing it")
    if len(Y) != R.shape[1]:
        raise ValueError(f"R has {R.shape[1]} columns but Y {len(Y)} rows; Y is the other side's")
    X = np.zeros((R.shape[0], Y.shape[1]), dtype=Y.dtype)
    for i, (start, stop) in enumerate(pairwise(R.indptr.tolist())):
        if stop > start:
            rated, ratings = R.indices[start:stop], R.data[start:stop]
            penalty, added = (
                lambda_reg * (stop - start) ** reg_exponent,
                None if rhs is None else rhs[i],
            )
            X[i] = solve_row(Y[rated], ratings, penalty, gram=gram, rhs=added)
    return X


def als_matrix_factorization(
    R,
    n_factors: int = 20,
    lambda_reg: float | tuple[float, float] = 0.1,
    n_iterations: int = 20,
    verbose: bool = True,
    *,
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
    half_step: Callable = half_step,
) -> Factorization:
    """Factorize ratings by alternating least squares, one row at a time.

    Parameters
    ----------
    R : scipy.sparse array or matrix, shape (n_users, n_items)
        Training ratings, in stars; a stored zero is a rating.
    n_factors : int
        f, the number of columns of U and V, biases aside.
    lambda_reg : float, or a pair of them
        λ, positive; of a pair, the first is for users and the second for items.
    n_iterations : int
        Upper limit; one iteration solves all users, then all items.
    verbose : bool
        Print a line after each iteration.
    reg_exponent : float
        ν: a row with n ratings is penalised by λ n^ν. 0 is plain ridge, 1 weighted-λ.
    bias : bool
        Add the mean of the ratings and a bias for each user and item, as three columns of U and V.
    bias_reg : float, or a pair of them, optional
        λ of the biases; by default that of the factors.
    implicit_weight : float
        w: how much it counts that the factors explain which items were rated, too. 0: nothing.
    implicit_reg : float
        λ̂ of the partners that this takes, positive.
    rng : int, numpy.random.Generator or None
        Seed of the random start, N(0, 0.1²).
    dtype : float64 or float32
        Of the whole computation.
    R_test : scipy.sparse array or matrix, shape (n_users, n_items), optional
        Held-out ratings whose RMSE is tracked too; they change nothing else.
    callback : callable, optional
        Called as `callback(iteration, U, V)` after each iteration, counted from 1; if it returns
        True, that was the last.
    tol : float
        Stop when the objective's relative change falls under this, be it on a plateau; not if 0.
    half_step : callable
        `half_step(R, Y, lambda_reg, reg_exponent)`, for solving the rows some other way; where
        `implicit_weight` is not 0 it is given `gram` and `rhs` by name.

    Returns
    -------
    Factorization
        Unpacks as `U, V, train_errors`.

    Raises
    ------
    TypeError, ValueError
        If a setting is out of range, or R is not a sparse matrix of finite ratings.

    References
    ----------
    Zhou, Wilkinson, Schreiber and Pan (2008), section 3.1; Koren, Bell and Volinsky (2009) for
    biases; Singh and Gordon (2008), collective matrix factorization, for the partners.
    """
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

    def solve(which, X, other):
        A, (Y, given) = (terms.R, terms.R_items)[which], terms.hold(which, X, other)
        if "offsets" in given:
            unexplained = A.data - given.pop("offsets")[A.indices]
            A = sp.csr_array((unexplained, A.indices, A.indptr), shape=A.shape)
        X = half_step(A, Y, terms.lambda_reg[which], terms.reg_exponent, **given)
        return terms.place(which, X)

    def step(U, V):
        U = solve(USERS, U, V)
        return U, solve(ITEMS, V, U)

    reporting = {"verbose": verbose, "R_test": R_test, "callback": callback, "tol": tol}
    return iterate(*terms.begin(), step, n_iterations=n_iterations, **reporting)
