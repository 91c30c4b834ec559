"""The one equation: every update in this package is this ridge regression."""

from __future__ import annotations

import numpy as np


def solve_row(Y: np.ndarray, r: np.ndarray, penalty: float) -> np.ndarray:
    r"""Solve the ridge regression of one row: the heart of ALS.

    Returns the x that minimises

    .. math:: \lVert Y x - r \rVert^2 + \text{penalty}\,\lVert x \rVert^2 ,

    by its normal equations, (YᵀY + penalty·I) x = Yᵀr.

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
        If penalty is not positive, or `Y` and `r` differ in length.

    References
    ----------
    Zhou, Wilkinson, Schreiber and Pan (2008), section 3.
    """
    if not penalty > 0:
        raise ValueError(f"penalty must be positive, got {penalty}")
    if len(Y) != len(r):
        raise ValueError(f"Y has {len(Y)} rows but there are {len(r)} ratings")
    identity = np.eye(Y.shape[1], dtype=Y.dtype)
    return np.linalg.solve(Y.T @ Y + penalty * identity, Y.T @ r)
