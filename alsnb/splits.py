"""Cutting ratings into a part to train on and a part to test on; every part has the shape of R."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from .checks import check_count, check_number, check_ratings
from .metrics import rows_of

OFFICIAL_FOLD = 20_000  # ratings in the test set of each of u1 to u5


def hold_out(R, test_fraction: float = 0.2, *, rng=None) -> tuple[sp.csr_array, sp.csr_array]:
    """Split ratings at random in two.

    Parameters
    ----------
    R : scipy.sparse array or matrix, shape (n_users, n_items)
    test_fraction : float
        Share of the ratings that is held out, between 0 and 1.
    rng : int, numpy.random.Generator or None

    Returns
    -------
    R_train, R_test : csr_array, shape (n_users, n_items)

    Raises
    ------
    TypeError, ValueError
        If R is not a sparse matrix of finite ratings, or either part would be empty.
    """
    R = check_ratings(R)
    order = np.random.default_rng(rng).permutation(R.nnz)
    return _split(R, order[: _share(test_fraction, R.nnz)])


def leave_out(R, n_each: int = 1, *, rng=None) -> tuple[sp.csr_array, sp.csr_array]:
    """Hold out so many ratings of every user, at random; users with no more than that keep all.

    Parameters
    ----------
    R : scipy.sparse array or matrix, shape (n_users, n_items)
    n_each : int
        Ratings held out of each user, at least 1.
    rng : int, numpy.random.Generator or None

    Returns
    -------
    R_train, R_test : csr_array, shape (n_users, n_items)

    Raises
    ------
    TypeError, ValueError
        If R is not a sparse matrix of finite ratings, or no user has more than `n_each`.
    """
    R, n_each = check_ratings(R), check_count("n_each", n_each)
    rows, drawn = rows_of(R), np.random.default_rng(rng).random(R.nnz)
    order = np.lexsort((drawn, rows))  # each user's ratings, shuffled
    rank = np.empty_like(order)
    rank[order] = np.arange(R.nnz) - np.repeat(R.indptr[:-1], np.diff(R.indptr))
    test = np.flatnonzero((rank < n_each) & (np.diff(R.indptr)[rows] > n_each))
    if not len(test):
        raise ValueError(f"no user has more than {n_each} ratings, to leave {n_each} out")
    return _split(R, test)


def k_fold(R, n_folds: int = 5, *, rng=None) -> Iterator[tuple[sp.csr_array, sp.csr_array]]:
    """Split ratings at random into folds, each of which is the test set once.

    Parameters
    ----------
    R : scipy.sparse array or matrix, shape (n_users, n_items)
    n_folds : int
        At least 2, and no more than there are ratings.
    rng : int, numpy.random.Generator or None

    Returns
    -------
    iterator of (R_train, R_test)
        csr_array, shape (n_users, n_items); the test sets are disjoint, and R together.

    Raises
    ------
    TypeError, ValueError
        If R is not a sparse matrix of finite ratings, or `n_folds` is out of range.
    """
    R, n_folds = check_ratings(R), check_count("n_folds", n_folds, low=2)
    if n_folds > R.nnz:
        raise ValueError(f"n_folds must be at most the {R.nnz} ratings, got {n_folds}")
    order = np.random.default_rng(rng).permutation(R.nnz)
    return (_split(R, test) for test in np.array_split(order, n_folds))


def official_folds(movielens) -> list[tuple[sp.csr_array, sp.csr_array]]:
    """The five splits of MovieLens 100K that GroupLens ships as u1 to u5.

    The test set of fold k is lines (k − 1) · 20,000 + 1 to k · 20,000 of u.data, so the order of
    the ratings is all that this needs.

    Parameters
    ----------
    movielens : MovieLens
        ``load_movielens("100k")``.

    Returns
    -------
    list of (R_train, R_test)
        csr_array, shape of `movielens.R`; five of them.

    Raises
    ------
    ValueError
        If it is another data set.
    """
    if len(movielens.ratings) != 5 * OFFICIAL_FOLD:
        raise ValueError(f"only MovieLens 100K has official folds, not {movielens!r}")
    lines = np.arange(5 * OFFICIAL_FOLD).reshape(5, -1)
    return [_split(movielens.R, _places(movielens)[test]) for test in lines]


def split_by_time(movielens, test_fraction: float = 0.2) -> tuple[sp.csr_array, sp.csr_array]:
    """Train on what was rated first, test on what was rated last, of all users together.

    Parameters
    ----------
    movielens : MovieLens
    test_fraction : float
        Share of the ratings that is held out; of those of one second some may be on either side.

    Returns
    -------
    R_train, R_test : csr_array, shape of `movielens.R`

    Raises
    ------
    TypeError, ValueError
        If either part would be empty.
    """
    order = np.argsort(movielens.ratings["timestamp"].to_numpy(), kind="stable")
    last = order[len(order) - _share(test_fraction, len(order)) :]
    return _split(movielens.R, _places(movielens)[last])


def _share(test_fraction, n_ratings) -> int:
    """How many ratings to hold out, or an error if that leaves none on either side."""
    n_test = round(check_number("test_fraction", test_fraction, positive=False) * n_ratings)
    if not 0 < n_test < n_ratings:
        raise ValueError(
            f"test_fraction must leave ratings on both sides, got {test_fraction} of {n_ratings}"
        )
    return n_test


def _places(movielens) -> np.ndarray:
    """Where in `R.data` each line of the table of ratings is."""
    users = np.searchsorted(movielens.user_ids, movielens.ratings["user_id"])
    items = np.searchsorted(movielens.item_ids, movielens.ratings["item_id"])
    places = np.empty(len(users), dtype=np.int64)
    places[np.lexsort((items, users))] = np.arange(len(users))
    return places


def _split(R, test) -> tuple[sp.csr_array, sp.csr_array]:
    """What is left of R without the ratings at these places of `R.data`, and these."""
    chosen, rows = np.zeros(R.nnz, dtype=bool), rows_of(R)
    chosen[test] = True
    return tuple(
        sp.coo_array((R.data[part], (rows[part], R.indices[part])), shape=R.shape).tocsr()
        for part in (~chosen, chosen)
    )
