"""How good a factorization is: errors over the stored ratings, and the objective of plain ALS."""

from __future__ import annotations

from numbers import Real

import numpy as np

from .ratings import check_number, check_ratings, count_ratings, rows_of

_CHUNK = 2**17  # numbers gathered at a time: they stay in cache, and memory does not grow with R


def calculate_residuals(R, U, V, *, clip: tuple[float, float] | None = None) -> np.ndarray:
    """Stored ratings less their predictions, r_ij − u_i·v_j, without making a dense matrix.

    A user or an item without training ratings is predicted 0, unless the model has biases.

    Parameters
    ----------
    R : scipy.sparse array or matrix, shape (n_users, n_items), or Ratings
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

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> R = sp.csr_array([[5.0, 0.0], [4.0, 1.0]])
    >>> calculate_residuals(R, np.array([[3.0], [1.0]]), np.array([[2.0], [1.0]]))
    array([-1.,  2.,  0.])
    """
    R, clip = check_ratings(R), check_clip(clip)
    return residuals_of(R, *check_factors(R, U, V), clip)


def residuals_of(R, U, V, clip=None) -> np.ndarray:
    """`calculate_residuals`, unchecked: for loops whose R has been checked once."""
    users, predicted = rows_of(R), np.empty(R.nnz, dtype=np.result_type(U, V))
    step = max(1, _CHUNK // max(1, U.shape[1]))
    for start in range(0, R.nnz, step):
        part = slice(start, start + step)
        np.einsum("kf,kf->k", U[users[part]], V[R.indices[part]], out=predicted[part])
    return R.data - (predicted if clip is None else np.clip(predicted, *clip))


def root_mean_square(residuals) -> float:
    """RMSE of residuals."""
    return float(np.sqrt(np.mean(np.square(residuals), dtype=float)))


def calculate_rmse(R, U, V, *, clip: tuple[float, float] | None = None) -> float:
    """Root mean squared residual, in stars; the arguments are those of `calculate_residuals`.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> R = sp.csr_array([[5.0, 0.0], [4.0, 1.0]])
    >>> round(calculate_rmse(R, np.array([[3.0], [1.0]]), np.array([[2.0], [1.0]])), 4)
    1.291
    """
    return root_mean_square(calculate_residuals(R, U, V, clip=clip))


def calculate_mae(R, U, V, *, clip: tuple[float, float] | None = None) -> float:
    """Mean absolute residual, in stars; the arguments are those of `calculate_residuals`.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> R = sp.csr_array([[5.0, 0.0], [4.0, 1.0]])
    >>> calculate_mae(R, np.array([[3.0], [1.0]]), np.array([[2.0], [1.0]]))
    1.0
    """
    return float(np.mean(np.abs(calculate_residuals(R, U, V, clip=clip)), dtype=float))


def calculate_objective(R, U, V, lambda_reg: float, reg_exponent: float = 0.0) -> float:
    r"""Objective that plain ALS lowers at every half-step, in squared stars.

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

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> R = sp.csr_array([[5.0, 0.0], [4.0, 1.0]])
    >>> U, V = np.array([[3.0], [1.0]]), np.array([[2.0], [1.0]])
    >>> round(calculate_objective(R, U, V, lambda_reg=0.1), 6)
    6.5
    """
    check_number("lambda_reg", lambda_reg, positive=False)
    check_number("reg_exponent", reg_exponent, positive=False)
    R = check_ratings(R)
    squared_errors = R.nnz * calculate_rmse(R, U, V) ** 2
    return squared_errors + lambda_reg * sum(
        squared_norms(X, n, reg_exponent)
        for X, n in zip(check_factors(R, U, V), count_ratings(R), strict=True)
    )


def squared_norms(X, n_ratings, reg_exponent: float) -> float:
    """Σ n^ν ‖x‖² over rows with n ratings each, none counting as one; unchecked."""
    weights = np.maximum(n_ratings, 1).astype(float) ** reg_exponent
    return float(weights @ np.einsum("kf,kf->k", X, X, dtype=float))


def check_factors(R, U, V) -> tuple[np.ndarray, np.ndarray]:
    """Return U and V as arrays; raise TypeError or ValueError unless U Vᵀ can stand for R."""
    U, V = np.asarray(U), np.asarray(V)
    if U.dtype.kind not in "iuf" or V.dtype.kind not in "iuf":
        raise TypeError(f"U and V must hold real numbers, got dtypes {U.dtype} and {V.dtype}")
    if U.ndim != 2 or V.ndim != 2 or U.shape[1] != V.shape[1]:
        raise ValueError(f"U and V need as many columns, got shapes {U.shape} and {V.shape}")
    if R.shape != (len(U), len(V)):
        turned = R.shape == (len(V), len(U))
        raise ValueError(
            f"R is {R.shape[0]} × {R.shape[1]} but U has {len(U)} rows and V has {len(V)}; "
            + ("did you transpose R?" if turned else "were they fitted to another R?")
        )
    return U, V


def check_clip(clip) -> tuple[float, float] | None:
    """Return a rating scale, (lowest, highest), or None; or raise ValueError."""
    if clip is None:
        return None
    low, high = clip if np.shape(clip) == (2,) else (None, None)
    if not (isinstance(low, Real) and isinstance(high, Real) and low < high):
        raise ValueError(f"clip must be the lowest and the highest rating, as (1, 5), got {clip!r}")
    return low, high
