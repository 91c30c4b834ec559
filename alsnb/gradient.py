"""Gradient descent on the objective of ALS: the alternative optimiser, to compare with."""

from __future__ import annotations

from functools import partial

import numpy as np
import scipy.sparse as sp

from .checks import check_exponent, check_number, check_ratings
from .loop import Factorization, iterate
from .metrics import calculate_residuals, regularization, row_weights, rows_of
from .terms import start


def objective_gradient(R, U, V, lambda_reg: float, reg_exponent: float = 0.0):
    """Gradient of `calculate_objective` with respect to U and to V, a pair of their shapes.

    With E the sparse matrix of residuals, it is −2EV + 2λ n_i^ν u_i, and −2EᵀU + 2λ n_j^ν v_j.
    Shapes and errors as in `calculate_residuals`.
    """
    check_number("lambda_reg", lambda_reg, positive=False)
    check_exponent(reg_exponent)
    R = check_ratings(R)
    E = sp.csr_array((calculate_residuals(R, U, V), R.indices, R.indptr), shape=R.shape)
    weights_u, weights_v = (lambda_reg * w[:, None] for w in row_weights(R, reg_exponent))
    return 2 * (weights_u * U - E @ V), 2 * (weights_v * V - E.T @ U)


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

    Takes and returns what `als_matrix_factorization` does, and:

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
    """
    alpha, rng = check_number("learning_rate", learning_rate), np.random.default_rng(rng)
    lambda_reg = check_number("lambda_reg", lambda_reg)
    reg_exponent = check_exponent(reg_exponent)
    R, U, V = start(R, n_factors, rng, dtype)
    settings = {"lambda_reg": lambda_reg, "reg_exponent": reg_exponent}
    penalty = partial(regularization, R, **settings)

    def full_step(U, V):
        gradient_u, gradient_v = objective_gradient(R, U, V, lambda_reg, reg_exponent)
        return U - alpha * gradient_u, V - alpha * gradient_v

    if stochastic:  # in lists: one by one, Python reads them faster than arrays
        rows, columns, ratings = rows_of(R).tolist(), R.indices.tolist(), R.data.tolist()
        shares = (
            2 * alpha * lambda_reg * w.astype(float) for w in row_weights(R, reg_exponent - 1)
        )
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
    reporting = {"verbose": verbose, "R_test": R_test, "callback": callback, "tol": tol}
    return iterate(R, U, V, penalty, settings, step, n_iterations=n_iterations, **reporting)
