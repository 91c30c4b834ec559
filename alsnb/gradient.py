"""Gradient descent on the objective of ALS: the alternative optimiser, to compare with."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from .als import check_books, iterate, start
from .metrics import calculate_residuals, residuals_of, squared_norms
from .model import ALS, Factorization
from .ratings import (
    check_dtype,
    check_exponent,
    check_number,
    check_ratings,
    check_rng,
    count_ratings,
    rows_of,
)


def objective_gradient(R, U, V, lambda_reg: float, reg_exponent: float = 0.0):
    """Gradient of `calculate_objective` with respect to U and to V, a pair of their shapes.

    With E the sparse matrix of residuals, it is −2EV + 2λ n_i^ν u_i, and −2EᵀU + 2λ n_j^ν v_j.
    Shapes and errors as in `calculate_residuals`.

    Examples
    --------
    >>> R = sp.csr_array([[5.0]])
    >>> objective_gradient(R, np.array([[1.0]]), np.array([[2.0]]), lambda_reg=0.5)
    (array([[-11.]]), array([[-4.]]))
    """
    lambda_reg = check_number("lambda_reg", lambda_reg, positive=False)
    reg_exponent = check_exponent(reg_exponent)
    R = check_ratings(R)
    E = sp.csr_array((calculate_residuals(R, U, V), R.indices, R.indptr), shape=R.shape)
    penalties_u, penalties_v = (lambda_reg * w[:, None] for w in _weights(R, reg_exponent))
    return 2 * (penalties_u * U - E @ V), 2 * (penalties_v * V - E.T @ U)


def _weights(R, exponent):
    """n^exponent of every user and of every item; none counts as one."""
    return [np.maximum(n, 1).astype(R.dtype) ** exponent for n in count_ratings(R)]


def gradient_descent(
    R,
    n_factors: int = 20,
    lambda_reg: float = 0.1,
    n_iterations: int = 20,
    verbose: bool = True,
    *,
    learning_rate: float,
    stochastic: bool = False,
    reg_exponent: float = 0.0,
    rng=None,
    dtype=np.float64,
    R_test=None,
    callback=None,
    tol: float = 0.0,
) -> Factorization:
    """Factorize ratings by gradient descent: u_i ← u_i − α∇, v_j ← v_j − α∇.

    Returns what `als_matrix_factorization` does, and takes what it does, but for biases,
    features and pairs of λ; and:

    Parameters
    ----------
    learning_rate : float
        α, positive. On MovieLens 100K about 5e-4 full-batch and 5e-3 stochastic work.
    stochastic : bool
        False: an iteration is one step of U and V together along the whole gradient. True:
        it visits every rating once, in random order, and moves one user and one item each time;
        a row's penalty λ n^ν ‖x‖² is shared out among its n ratings, so the objective is the same.

    Raises
    ------
    DivergenceError
        If α is so large that the factors grow without bound.

    References
    ----------
    Koren, Bell and Volinsky (2009), "Learning algorithms": stochastic, with ν = 1.

    Examples
    --------
    >>> from alsnb import make_low_rank_ratings
    >>> R, _, _ = make_low_rank_ratings(noise=0.5, rng=0)
    >>> U, V, train_errors = gradient_descent(R, 2, 1.0, 2, rng=0, learning_rate=0.02)
    iteration   1   train RMSE 1.1741
    iteration   2   train RMSE 1.1718
    """
    alpha, rng = check_number("learning_rate", learning_rate), check_rng(rng)
    settings = ALS(n_factors, lambda_reg, reg_exponent)
    lambda_reg = check_number("lambda_reg", lambda_reg)  # one for both sides
    dtype = check_dtype(dtype)
    R = check_ratings(R, dtype=dtype)
    books = check_books(R, n_iterations, verbose, R_test, callback, tol)

    def full_step(U, V):
        gradient_u, gradient_v = objective_gradient(R, U, V, lambda_reg, reg_exponent)
        return U - alpha * gradient_u, V - alpha * gradient_v

    if stochastic:  # in lists: one by one, Python reads them faster than arrays
        rows, columns, ratings = rows_of(R).tolist(), R.indices.tolist(), R.data.tolist()
        shares = (2 * alpha * lambda_reg * w.astype(float) for w in _weights(R, reg_exponent - 1))
        shrink_u, shrink_v = ((1 - share).tolist() for share in shares)

    def stochastic_step(U, V):
        U, V = U.copy(), V.copy()
        users, items = list(U), list(V)  # views, row by row
        for k in rng.permutation(R.nnz).tolist():
            i, j = rows[k], columns[k]
            u, v = users[i], items[j]
            pull = 2 * alpha * (ratings[k] - float(u.dot(v)))
            pull_v = pull * u
            u *= shrink_u[i]
            u += pull * v
            v *= shrink_v[j]
            v += pull_v
        return U, V

    step = stochastic_step if stochastic else full_step

    def steps(U, V):
        while True:
            yield Factorization(U, V, settings), *terms(U, V)
            U, V = step(U, V)

    def terms(U, V):
        """Squared residuals, and what the objective adds."""
        norms = [
            squared_norms(X, n, reg_exponent) for X, n in zip((U, V), count_ratings(R), strict=True)
        ]
        return np.sum(np.square(residuals_of(R, U, V)), dtype=float), lambda_reg * sum(norms)

    path = steps(*start(R, settings.n_factors, rng, dtype))
    _, *first = next(path)  # the start, which is no iteration
    return iterate(path, R, limit=100 * sum(first), **books)
