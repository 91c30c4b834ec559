"""Incremental updates: ratings that a user adds, changes or removes, without a new fit.

Rows of one side are solved for, the other side stays. Nothing that is given is changed.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from .checks import check_position, check_positions, check_ratings, check_row
from .columns import ITEMS, USERS
from .foldin import check_fitting, solve_one, solve_rows
from .loop import Factorization
from .metrics import count_ratings, rows_of


def add_rating_optimized(
    user: int, item_ids, ratings, R, model: Factorization
) -> tuple[np.ndarray, sp.csr_array]:
    """Take in new ratings of one user: only that user's factors are solved, on all the ratings.

    Parameters
    ----------
    user : int
        Row of R and U.
    item_ids : array of int, shape (n_ratings,), or int
        Columns of R, each once; what was rated before is replaced.
    ratings : array, shape (n_ratings,), or float
        In stars.
    R : scipy.sparse array or matrix, shape (n_users, n_items)
        All ratings so far.
    model : Factorization

    Returns
    -------
    U : ndarray, shape (n_users, n_columns)
        A copy of the model's, but for the user's row. ``dataclasses.replace(model, U=U)`` makes a
        model of it, whose partners stay as they are.
    R : csr_array, shape (n_users, n_items)

    Raises
    ------
    IndexError
        If there is no such user or item.
    TypeError, ValueError
        As for `fold_in_user`, and if R does not fit the model.
    """
    R, user = _check_user(user, R, model)
    items, values = check_row("item_ids", item_ids, ratings, R.shape[1])
    return _update_row(user, items, values, R, model)


def remove_rating(user: int, item_ids, R, model: Factorization) -> tuple[np.ndarray, sp.csr_array]:
    """Forget ratings of one user, as if never given; as `add_rating_optimized`.

    Raises ValueError if one of the items was not rated. Of a user without any ratings left, what is
    solved for is zero.
    """
    R, user = _check_user(user, R, model)
    items = check_positions("item_ids", item_ids, R.shape[1])
    rated = R.indices[R.indptr[user] : R.indptr[user + 1]]
    if len(unrated := np.setdiff1d(items, rated)):
        raise ValueError(f"user {user} has not rated item {unrated[0]}: nothing to remove")
    return _update_row(user, items, None, R, model)


def update_users(
    R_new, R, model: Factorization, *, n_workers: int | None = None
) -> tuple[np.ndarray, sp.csr_array]:
    """Take in new ratings of many users, by the block kernel: `add_rating_optimized` for each.

    Parameters
    ----------
    R_new, R : scipy.sparse array or matrix, shape (n_users, n_items)
        New ratings, which replace old ones, and all ratings so far.
    model : Factorization
    n_workers : int, optional
        Threads; by default as many as there are cores.

    Returns
    -------
    U : ndarray, shape (n_users, n_columns)
    R : csr_array, shape (n_users, n_items)

    Raises
    ------
    TypeError, ValueError
        If either is not a sparse matrix of finite ratings that fits the model.
    """
    return _update_rows(USERS, R_new, R, model, n_workers)


def update_items(
    R_new, R, model: Factorization, *, n_workers: int | None = None
) -> tuple[np.ndarray, sp.csr_array]:
    """Take in new ratings of many items, U fixed: V and R, as `update_users` returns U and R."""
    return _update_rows(ITEMS, R_new, R, model, n_workers)


@np.errstate(over="ignore", invalid="ignore")
def _update_rows(which, R_new, R, model, n_workers):
    """U or V with the rows that have new ratings solved anew, and R with these ratings."""
    R, R_new = check_fitting(R, model), check_ratings(R_new, "R_new", empty=True)
    R_new = check_fitting(R_new, model, "R_new")
    keys, keys_new = (rows_of(A).astype(np.int64) * A.shape[1] + A.indices for A in (R, R_new))
    kept = ~np.isin(keys, keys_new, assume_unique=True)
    merged = np.concatenate([keys[kept], keys_new])
    data = np.concatenate([R.data[kept], R_new.data.astype(R.dtype)])
    R = sp.coo_array((data, np.divmod(merged, R.shape[1])), shape=R.shape).tocsr()
    rows, X = np.flatnonzero(count_ratings(R_new)[which]), (model.U, model.V)[which].copy()
    A = R[rows] if which == USERS else R[:, rows].T.tocsr()
    X[rows] = solve_rows(which, A, model, n_workers)
    return X, R


@np.errstate(over="ignore", invalid="ignore")  # what overflows is an error
def _update_row(user, items, values, R, model):
    """U and R with some ratings of a user replaced, or removed."""
    start, stop = R.indptr[user : user + 2]
    others = np.ones(R.shape[1], dtype=bool)
    others[items] = False
    kept = others[R.indices[start:stop]]
    rated, ratings = R.indices[start:stop][kept], R.data[start:stop][kept]
    if values is not None:
        values = values.astype(R.dtype)
        rated, ratings = np.concatenate([rated, items]), np.concatenate([ratings, values])
        order = np.argsort(rated)
        rated, ratings = rated[order], ratings[order]
    U = model.U.copy()
    U[user] = solve_one(USERS, rated, ratings, model)
    indptr = R.indptr.copy()
    indptr[user + 1 :] += len(rated) - (stop - start)
    parts = [
        np.concatenate([old[:start], new.astype(old.dtype), old[stop:]])
        for old, new in ((R.data, ratings), (R.indices, rated))
    ]
    R = sp.csr_array((*parts, indptr), shape=R.shape)
    R.has_canonical_format = True
    return U, R


def _check_user(user, R, model):
    R = check_fitting(R, model)
    return R, check_position("user", user, R.shape[0], "R")
