"""From factors to recommendations, for one user or all, and to similar items."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .blas import one_blas_thread
from .checks import (
    check_count,
    check_factors,
    check_position,
    check_positions,
    check_real,
    check_rows,
)
from .coldstart import popularity_scores
from .executors import count_cores
from .foldin import check_model
from .loop import Factorization

_BLOCK = 2**20  # scores that a thread makes at a time: 4 or 8 MB


def recommend_items(
    user: int, U, V, R, top_n: int = 10, *, among=None
) -> tuple[np.ndarray, np.ndarray]:
    """Recommend to a user the unseen items with the highest predicted ratings.

    For a user of whom neither R nor U knows anything, these are the `popularity_scores`; a model
    with biases knows μ + b_j.

    Parameters
    ----------
    user : int
        Row of R and U.
    U : ndarray, shape (n_users, n_factors)
    V : ndarray, shape (n_items, n_factors)
    R : scipy.sparse array or matrix, shape (n_users, n_items)
        What has been rated, a stored zero included; none of it is recommended again.
    top_n : int
        How many; fewer are returned when fewer are left.
    among : array of int, optional
        Recommend only these, such as what enough people have rated; by default all items.

    Returns
    -------
    items : ndarray of int, shape (≤ top_n,)
        Columns of R, best first; of equal scores the lower column comes first.
    scores : ndarray, shape (≤ top_n,)
        Their predicted ratings `U[user] @ V[item]`, in stars, not clipped to the scale.

    Raises
    ------
    IndexError
        If there is no such user, or no such item in `among`.
    TypeError, ValueError
        If `user` or `top_n` is not a whole number, `top_n` is less than 1, `among` names an item
        twice, or U, V and R do not fit or are not finite.
    """
    R = check_rows(R)
    U, V = check_factors(R, U, V)
    user, top_n = check_position("user", user, R.shape[0], "R"), check_count("top_n", top_n)
    seen, others = R.indices[R.indptr[user] : R.indptr[user + 1]], _others(among, len(V))
    if R.nnz and not len(seen) and not U[user].any():
        return _rank(popularity_scores(R), others, top_n)
    return _rank(_predict(U[[user]], V, [user])[0], np.concatenate([seen, others]), top_n)


def rank_items(u, V, seen=(), top_n: int = 10, *, among=None) -> tuple[np.ndarray, np.ndarray]:
    """Rank the items that are not `seen` for a row of factors, as `fold_in_user` makes it.

    Returns items and scores like `recommend_items`. Raises IndexError if `seen` or `among` is
    beyond V, and TypeError or ValueError if u is not as long as V's rows, or what they predict is
    not finite.
    """
    (u, V), top_n = check_real(u=u, V=V), check_count("top_n", top_n)
    if u.ndim != 1 or V.shape[1:] != u.shape or not len(V):
        raise ValueError(f"u must be as long as a row of V, got shapes {u.shape} and {V.shape}")
    left_out = np.concatenate([check_positions("seen", seen, len(V)), _others(among, len(V))])
    return _rank(_predict(u[None], V)[0], left_out, top_n)


def recommend_batch(
    U, V, R, top_n: int = 10, *, among=None, users=None, n_workers: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Recommend to every user: `recommend_items`, a block of users at a time.

    Parameters
    ----------
    U, V, R, top_n, among :
        As for `recommend_items`. Scores that differ by rounding alone may change places.
    users : array of int, optional
        Recommend only to these, in this order; by default to all.
    n_workers : int, optional
        Threads; by default as many as there are cores.

    Returns
    -------
    items : ndarray of int, shape (number of users, min(top_n, n_items))
        Best first; −1 where a user has fewer unseen items left.
    scores : ndarray, of the same shape
        Predicted ratings, in stars; −∞ where items are −1.

    Raises TypeError or ValueError as `recommend_items` does.
    """
    R = check_rows(R)
    U, V = check_factors(R, U, V)
    top_n = min(check_count("top_n", top_n), len(V))
    n_workers = count_cores() if n_workers is None else check_count("n_workers", n_workers)
    others, everyone = _others(among, len(V)), R
    if users is None:
        users = np.arange(len(U))
    else:
        users = check_positions("users", users, len(U))
        U, R = U[users], R[users]
    unknown = (np.diff(R.indptr) == 0) & ~U.any(axis=1)
    items = np.empty((len(U), top_n), np.intp)
    scores = np.empty((len(U), top_n), np.result_type(U, V, np.float32))
    step = max(1, _BLOCK // len(V))

    def recommend(start):
        part = slice(start, start + step)
        block = _predict(U[part], V, users[part])
        ends = R.indptr[start : start + len(block) + 1]
        rows = np.repeat(np.arange(len(block)), np.diff(ends))
        block[rows, R.indices[ends[0] : ends[-1]]] = -np.inf
        block[:, others] = -np.inf
        items[part], scores[part] = _select(block, top_n)

    with one_blas_thread(), ThreadPoolExecutor(n_workers) as pool:
        list(pool.map(recommend, range(0, len(U), step)))
    if everyone.nnz and unknown.any():
        block = popularity_scores(everyone)[None]
        block[:, others] = -np.inf
        items[unknown], scores[unknown] = _select(block, top_n)
    return items, scores


def similar_items(
    item: int, model: Factorization, top_n: int = 10, *, among=None, measure: str = "cosine"
) -> tuple[np.ndarray, np.ndarray]:
    """Items whose factors are most like an item's; biases are left out of it.

    Parameters
    ----------
    item : int
        Row of V.
    model : Factorization
    top_n : int
    among : array of int, optional
        As for `recommend_items`: short factors, of few ratings, point somewhere by chance.
    measure : {"cosine", "dot"}
        The cosine asks only in which direction factors point; the dot product also how far, so that
        much-rated items, whose factors are long, come first, whatever the item.

    Returns
    -------
    items : ndarray of int, shape (≤ top_n,)
        Best first; neither the item itself nor, with cosine, items whose factors are zero.
    similarities : ndarray, shape (≤ top_n,)

    Raises IndexError if there is no such item, and TypeError or ValueError if an argument is of the
    wrong kind, or the cosine of an item without factors is asked for.
    """
    V, top_n = check_model(model).V[:, : model.columns.f], check_count("top_n", top_n)
    item = check_position("item", item, len(V))
    if not isinstance(measure, str) or measure not in ("cosine", "dot"):
        raise ValueError(f"measure must be 'cosine' or 'dot', got {measure!r}")
    scores, left_out = _predict(V[[item]], V)[0], np.append(_others(among, len(V)), item)
    if measure == "cosine":
        norms = np.linalg.norm(V, axis=1)
        if norms[item] == 0:
            raise ValueError(f"item {item} has no ratings, so its factors point nowhere")
        left_out = np.union1d(left_out, np.flatnonzero(norms == 0))
        scores = scores / np.where(norms == 0, 1, norms) / norms[item]
    return _rank(scores, left_out, top_n)


def _others(among, n_items):
    """What is not among the items that may be listed."""
    if among is None:
        return np.empty(0, np.intp)
    return np.setdiff1d(np.arange(n_items), check_positions("among", among, n_items))


def _predict(X, V, users=None):
    """Scores of all items for the rows of factors of some users, finite."""
    X, V = (array.astype(np.result_type(array, np.float32), copy=False) for array in (X, V))
    with np.errstate(over="ignore", invalid="ignore"):
        scores = X @ V.T
    if not np.isfinite(scores).all():
        bad = np.flatnonzero(~np.isfinite(scores).all(axis=1))[0]
        who = "" if users is None else f" for user {users[bad]}"
        raise ValueError(f"the factors predict NaN or ∞{who}; was the fit interrupted?")
    return scores


def _rank(scores, left_out, top_n):
    """The best of one row of scores, without some."""
    scores = np.array(scores)
    scores[left_out] = -np.inf
    top_n = min(top_n, len(scores))
    items = np.flatnonzero(scores >= np.partition(scores, -top_n)[-top_n])
    items = items[np.argsort(-scores[items], kind="stable")[:top_n]]
    items = items[scores[items] > -np.inf]
    return items, scores[items]


def _select(block, top_n):
    """Columns and values of the `top_n` largest of each row, or −1 and −∞ where all others are −∞.

    The largest of each group of columns are looked at first: what is among the `top_n` of a row is
    at least as large as the `top_n`-th of its groups' largest.
    """
    n_rows, n_columns = block.shape
    starts = np.arange(0, n_columns, max(1, n_columns // (4 * top_n)))
    largest = np.maximum.reduceat(block, starts, axis=1)
    threshold = np.partition(largest, -top_n, axis=1)[:, -top_n, None]
    rows, columns = np.divmod(np.flatnonzero(block >= threshold), n_columns)
    values = block[rows, columns]
    order = np.lexsort((columns, -values, rows))
    rank = np.arange(len(order)) - np.searchsorted(rows, rows)  # rows are in order, either way
    rows, columns, values = rows[order], columns[order], values[order]
    chosen = (rank < top_n) & (values > -np.inf)
    items = np.full((n_rows, top_n), -1)
    scores = np.full((n_rows, top_n), -np.inf, block.dtype)
    items[rows[chosen], rank[chosen]] = columns[chosen]
    scores[rows[chosen], rank[chosen]] = values[chosen]
    return items, scores
