"""The one equation: every update in this package is this ridge regression."""

from __future__ import annotations

from functools import partial

import numpy as np

from .lapack import scratch, solve_by_lu, solve_in_place, solve_positive


def solve_row(
    Y: np.ndarray,
    r: np.ndarray,
    penalty: float,
    *,
    gram: np.ndarray | None = None,
    rhs: np.ndarray | None = None,
) -> np.ndarray:
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
    gram, rhs : ndarray, shapes (n_factors, n_factors) and (n_factors,), optional
        Added to YᵀY and to Yᵀr: what else is to be explained, as implicit feedback.

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
    Y = Y.astype(np.result_type(Y, np.float32), copy=False)  # which leaves no whole numbers
    try:
        if n_ratings < n_factors and gram is None and rhs is None:  # push-through: a smaller system
            system = Y @ Y.T
            _add_to_diagonal(system[None], np.full(1, penalty))
            return Y.T @ solve_positive(system, r)
        system = Y.T @ Y if gram is None else Y.T @ Y + gram
        _add_to_diagonal(system[None], np.full(1, penalty))
        return solve_positive(system, Y.T @ r + (0 if rhs is None else rhs))
    except np.linalg.LinAlgError as error:
        raise ValueError(f"penalty {penalty:g} is too small: YᵀY stays singular") from error


def solve_block(
    pieces: list[tuple[np.ndarray, np.ndarray]],
    penalties: np.ndarray,
    *,
    gram: np.ndarray | None = None,
    rhs: np.ndarray | None = None,
) -> np.ndarray:
    r"""Solve the ridge regressions of many rows at once: `solve_row`, stacked.

    Rows of similar length make a piece, padded to one width with zero rows of `Y` and zero ratings,
    which add nothing to YᵀY or Yᵀr. The systems are solved by Cholesky; see `alsnb.lapack`.

    Parameters
    ----------
    pieces : list of (Y, r)
        Y of shape (n_rows, width, n_factors), r of shape (n_rows, width), in stars. The widths of
        all pieces are under n_factors, or none is.
    penalties : ndarray, shape (total of n_rows,)
        λ n^ν of each row, positive.
    gram : ndarray, shape (n_factors, n_factors), optional
        Added to every YᵀY: what rows share, as implicit feedback does.
    rhs : ndarray, shape (total of n_rows, n_factors) or (n_factors,), optional
        Added to every Yᵀr.

    Returns
    -------
    ndarray, shape (total of n_rows, n_factors)

    Raises
    ------
    ValueError
        If a system is singular to rounding.

    References
    ----------
    As `solve_row`; the push-through identity holds where neither `gram` nor `rhs` is given.
    """
    n_rows, n_factors, dtype = len(penalties), pieces[0][0].shape[2], pieces[0][0].dtype
    stops = np.cumsum([len(r) for _, r in pieces])
    parts = [slice(stop - len(r), stop) for stop, (_, r) in zip(stops, pieces, strict=True)]

    def small_systems(Y, r, part):
        K = scratch("systems", (len(r), r.shape[1], r.shape[1]), dtype)
        np.matmul(Y, Y.transpose(0, 2, 1), out=K)
        _add_to_diagonal(K, penalties[part])
        return K, r.copy()

    def systems():
        A = scratch("systems", (n_rows, n_factors, n_factors), dtype)
        b = np.empty((n_rows, n_factors), dtype)
        for part, (Y, r) in zip(parts, pieces, strict=True):
            np.matmul(Y.transpose(0, 2, 1), Y, out=A[part])
            np.matmul(Y.transpose(0, 2, 1), r[:, :, None], out=b[part, :, None])
        A += 0 if gram is None else gram
        b += 0 if rhs is None else rhs
        _add_to_diagonal(A, penalties)
        return A, b

    try:
        if pieces[0][1].shape[1] >= n_factors or gram is not None or rhs is not None:
            return _solve(systems)
        X = np.empty((n_rows, n_factors), dtype)
        for part, (Y, r) in zip(parts, pieces, strict=True):
            z = _solve(partial(small_systems, Y, r, part))
            np.matmul(Y.transpose(0, 2, 1), z[:, :, None], out=X[part, :, None])
        return X
    except np.linalg.LinAlgError as error:
        raise ValueError(
            f"penalty {penalties.min():g} is too small: a row's system stays singular"
        ) from error


def _solve(make) -> np.ndarray:
    """Solve the systems (A, b) that `make` makes: by Cholesky or, if rounding forbids, by LU."""
    try:
        return solve_in_place(*make())
    except np.linalg.LinAlgError:
        return solve_by_lu(*make())


def _add_to_diagonal(A: np.ndarray, values: np.ndarray) -> None:
    A.reshape(len(A), -1)[:, :: A.shape[1] + 1] += values[:, None]
