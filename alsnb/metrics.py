"""How good a factorization is: errors over the stored ratings, and the objective."""

from __future__ import annotations

import numpy as np

from .checks import check_clip, check_exponent, check_factors, check_number, check_ratings

_CHUNK = 2**17  # numbers gathered at a time: they stay in cache, and memory does not grow with R


def rows_of(R) -> np.ndarray:
    """Row of each stored rating of a CSR matrix, in the order of `R.data`: shape (n_ratings,)."""
    return np.repeat(np.arange(R.shape[0], dtype=R.indices.dtype), np.diff(R.indptr))


def calculate_residuals(R, U, V, *, clip: tuple[float, float] | None = None) -> np.ndarray:
    """Stored ratings less their predictions, r_ij − u_i·v_j, without making a dense matrix.

    Parameters
    ----------
    R : scipy.sparse array or matrix, shape (n_users, n_items)
    U : ndarray, shape (n_users, n_factors)
    V : ndarray, shape (n_items, n_factors)
    clip : (float, float), optional
        Lowest and highest rating there is; what is predicted beyond them is moved there.

    Returns
    -------
    ndarray, shape (n_ratings,)
        In stars, in the order of `R.data` (user by user, items ascending).

    Raises
    ------
    TypeError, ValueError
        If R is not a sparse matrix of finite ratings, the shapes do not fit, or `clip` is not a
        pair of numbers in ascending order.
    """
    R, clip = check_ratings(R), check_clip(clip)
    U, V = check_factors(R, U, V)
    rows, predicted = rows_of(R), np.empty(R.nnz, dtype=np.result_type(U, V))
    step = max(1, _CHUNK // max(1, U.shape[1]))
    for start in range(0, R.nnz, step):
        part = slice(start, start + step)
        np.einsum("kf,kf->k", U[rows[part]], V[R.indices[part]], out=predicted[part])
    return R.data - (predicted if clip is None else np.clip(predicted, *clip))


def calculate_rmse(R, U, V, *, clip: tuple[float, float] | None = None) -> float:
    """Root mean squared residual, in stars; the arguments are those of `calculate_residuals`."""
    residuals = calculate_residuals(R, U, V, clip=clip)
    return float(np.sqrt(np.mean(np.square(residuals), dtype=float)))


def calculate_mae(R, U, V, *, clip: tuple[float, float] | None = None) -> float:
    """Mean absolute residual, in stars; the arguments are those of `calculate_residuals`."""
    return float(np.mean(np.abs(calculate_residuals(R, U, V, clip=clip)), dtype=float))


def count_ratings(R) -> tuple[np.ndarray, np.ndarray]:
    """Number of ratings of every user and of every item of a CSR matrix."""
    return np.diff(R.indptr), np.bincount(R.indices, minlength=R.shape[1])


def row_weights(R, reg_exponent: float) -> tuple[np.ndarray, np.ndarray]:
    """n^ν for every user and every item of a CSR matrix, n being its number of ratings, or 1."""
    return tuple(np.maximum(n, 1).astype(R.dtype) ** reg_exponent for n in count_ratings(R))


def regularization(R, U, V, lambda_reg: float, reg_exponent: float = 0.0) -> float:
    """Second line of `calculate_objective`: λ times the weighted squared norms, unchecked."""
    norms = (np.einsum("kf,kf->k", X, X, dtype=float) for X in (U, V))
    weights = row_weights(R, reg_exponent)
    return lambda_reg * sum(float(w @ norm) for w, norm in zip(weights, norms, strict=True))


def calculate_objective(R, U, V, lambda_reg: float, reg_exponent: float = 0.0) -> float:
    r"""Objective that ALS lowers at every half-step, in squared stars.

    .. math:: \sum_{(i,j)} (r_{ij} - u_i^T v_j)^2
              + \lambda \Bigl(\sum_i n_i^\nu \lVert u_i \rVert^2
                            + \sum_j n_j^\nu \lVert v_j \rVert^2\Bigr)

    Parameters
    ----------
    R, U, V :
        As in `calculate_residuals`, which also says what is raised.
    lambda_reg : float
        λ, not negative.
    reg_exponent : float
        ν: 0 is plain ridge, 1 is weighted-λ (a row is penalised once for each of its ratings).
        A row without ratings counts as one with a single rating.

    References
    ----------
    Zhou, Wilkinson, Schreiber and Pan (2008), section 3.1, is ν = 1.
    """
    check_number("lambda_reg", lambda_reg, positive=False)
    check_exponent(reg_exponent)
    R = check_ratings(R)
    U, V = check_factors(R, U, V)
    squared_errors = R.nnz * calculate_rmse(R, U, V) ** 2
    return squared_errors + regularization(R, U, V, lambda_reg, reg_exponent)
