"""The one equation: every update in this package is this ridge regression."""

from __future__ import annotations

import numpy as np


def solve_row(Y: np.ndarray, r: np.ndarray, penalty: float) -> np.ndarray:
    r"""Solve the ridge regression of one row: the heart of ALS.

    Returns the x that minimises

    .. math:: \lVert Y x - r \rVert^2 + \text{penalty}\,\lVert x \rVert^2 ,

    by its normal equations, (YᵀY + penalty·I) x = Yᵀr, or by x = Yᵀ (YYᵀ + penalty·I)⁻¹ r,
    which is the same, where there are fewer ratings than factors.

    Parameters
    ----------
    Y : ndarray, shape (n_ratings, n_factors)
        Factors of what this row has rated.
    r : ndarray, shape (n_ratings,)
        The ratings, in stars.
    penalty : float
        λ n^ν, positive.

    Returns
    -------
    ndarray, shape (n_factors,)

    Raises
    ------
    ValueError
        If penalty is not positive, `Y` and `r` do not fit, or the system is singular to rounding.

    References
    ----------
    Zhou, Wilkinson, Schreiber and Pan (2008), section 3; Henderson and Searle (1981) for the
    second form, the push-through identity.
    """
    Y, r = np.asarray(Y), np.asarray(r)
    if not 0 < penalty < np.inf:
        raise ValueError(f"penalty must be positive, got {penalty}")
    if Y.ndim != 2 or r.shape != Y.shape[:1]:
        raise ValueError(f"Y needs a row for each rating, got shapes {Y.shape} and {r.shape}")
    n_ratings, n_factors = Y.shape
    try:
        if n_ratings < n_factors:  # push-through: the same x by a smaller system
            gram = Y @ Y.T + penalty * np.eye(n_ratings, dtype=Y.dtype)
            return Y.T @ np.linalg.solve(gram, r)
        gram = Y.T @ Y + penalty * np.eye(n_factors, dtype=Y.dtype)
        return np.linalg.solve(gram, Y.T @ r)
    except np.linalg.LinAlgError as error:
        raise ValueError(f"penalty {penalty:g} is too small: YᵀY stays singular") from error
