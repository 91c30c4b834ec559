"""From factors to recommendations, and to the reasons for them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .blas import one_blas_thread
from .checks import (
    check_count,
    check_factors,
    check_position,
    check_positions,
    check_row,
    check_rows,
)
from .coldstart import popularity_scores
from .columns import USERS
from .executors import count_cores
from .foldin import check_model, row_terms
from .loop import Factorization
from .ridge import solve_row

_BLOCK = 2**20  # scores that a thread makes at a time: 4 or 8 MB


def recommend_items(user: int, U, V, R, top_n: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Recommend to a user the unseen items with the highest predicted ratings.

    For a user of whom neither R nor U knows anything, these are the `popularity_scores`.

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

    Returns
    -------
    items : ndarray of int, shape (≤ top_n,)
        Columns of R, best first; of equal scores the lower column comes first.
    scores : ndarray, shape (≤ top_n,)
        Their predicted ratings `U[user] @ V[item]`, in stars, not clipped to the scale.

    Raises
    ------
    IndexError
        If there is no such user.
    TypeError, ValueError
        If `user` or `top_n` is not a whole number, `top_n` is less than 1, or U, V and R
        do not fit or are not finite.
    """
    R = check_rows(R)
    U, V = check_factors(R, U, V)
    user, top_n = check_position("user", user, R.shape[0], "R"), check_count("top_n", top_n)
    seen = R.indices[R.indptr[user] : R.indptr[user + 1]]
    if R.nnz and not len(seen) and not U[user].any():
        return _rank(popularity_scores(R), seen, top_n)
    return _rank(_predict(U[[user]], V, user)[0], seen, top_n)


def rank_items(u, V, seen=(), top_n: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Rank the items that are not `seen` for a row of factors, as `fold_in_user` makes it.

    Returns items and scores like `recommend_items`. Raises IndexError if `seen` is beyond V, and
    TypeError or ValueError if u is not as long as V's rows, or what they predict is not finite.
    """
    u, V, top_n = np.asarray(u), np.asarray(V), check_count("top_n", top_n)
    if u.ndim != 1 or V.shape[1:] != u.shape:
        raise ValueError(f"u must be as long as a row of V, got shapes {u.shape} and {V.shape}")
    seen = check_positions("seen", seen, len(V))
    return _rank(_predict(u[None], V)[0], seen, top_n)


def recommend_batch(
    U, V, R, top_n: int = 10, *, n_workers: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Recommend to every user: `recommend_items`, a block of users at a time.

    Parameters
    ----------
    U, V, R, top_n :
        As for `recommend_items`; for some users only, their rows of U and of R.
    n_workers : int, optional
        Threads; by default as many as there are cores.

    Returns
    -------
    items : ndarray of int, shape (n_users, min(top_n, n_items))
        Best first; −1 where a user has fewer unseen items left.
    scores : ndarray, of the same shape
        Predicted ratings, in stars; −∞ where items are −1.

    Raises TypeError or ValueError as `recommend_items` does.
    """
    R = check_rows(R)
    U, V = check_factors(R, U, V)
    top_n = min(check_count("top_n", top_n), len(V))
    n_workers = count_cores() if n_workers is None else check_count("n_workers", n_workers)
    unknown = (np.diff(R.indptr) == 0) & ~U.any(axis=1)
    items = np.empty((len(U), top_n), np.intp)
    scores = np.empty((len(U), top_n), np.result_type(U, V, np.float32))
    step = max(1, _BLOCK // len(V))

    def recommend(start):
        part = slice(start, start + step)
        block = _predict(U[part], V, start)
        ends = R.indptr[start : start + len(block) + 1]
        rows = np.repeat(np.arange(len(block)), np.diff(ends))
        block[rows, R.indices[ends[0] : ends[-1]]] = -np.inf
        items[part], scores[part] = _select(block, top_n)

    with one_blas_thread(), ThreadPoolExecutor(n_workers) as pool:
        list(pool.map(recommend, range(0, len(U), step)))
    if R.nnz and unknown.any():
        items[unknown], scores[unknown] = _rank(popularity_scores(R), [], top_n)
    return items, scores


def similar_items(
    item: int, model: Factorization, top_n: int = 10, *, measure: str = "cosine"
) -> tuple[np.ndarray, np.ndarray]:
    """Items whose factors are most like an item's; biases are left out of it.

    Parameters
    ----------
    item : int
        Row of V.
    model : Factorization
    top_n : int
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
    if measure not in ("cosine", "dot"):
        raise ValueError(f"measure must be 'cosine' or 'dot', got {measure!r}")
    scores, left_out = _predict(V[[item]], V)[0], np.array([item])
    if measure == "cosine":
        norms = np.linalg.norm(V, axis=1)
        if norms[item] == 0:
            raise ValueError(f"item {item} has no ratings, so its factors point nowhere")
        left_out = np.union1d(left_out, np.flatnonzero(norms == 0))
        scores = scores / np.where(norms == 0, 1, norms) / norms[item]
    return _rank(scores, left_out, top_n)


def explain_recommendation(
    item: int, item_ids, ratings, model: Factorization
) -> tuple[np.ndarray, float]:
    r"""How much each of a user's ratings has contributed to the predicted score of an item.

    The user's factors are linear in the ratings, and so is the score: with A = YᵀY + λ n^ν I (and
    the partners' Gram matrix), o what pinned columns explain and V̂ the partner, it is

    .. math:: v_j^T A^{-1} \sum_k \bigl(y_k (r_k - o_k) + w \hat v_k\bigr) + \text{baseline}

    Parameters
    ----------
    item : int
        Row of V.
    item_ids, ratings : array, shape (n_ratings,)
        All that the user has rated, as for `fold_in_user`.
    model : Factorization

    Returns
    -------
    shares : ndarray, shape (n_ratings,)
        In stars; they add up, with the baseline, to ``V[item] @ fold_in_user(…)``.
    baseline : float
        What would be predicted without any ratings: μ + b_j with biases, or 0.

    Raises what `fold_in_user` does. Source: Hu, Koren and Volinsky (2008), section 5.
    """
    V = check_model(model).V
    item = [check_position("item", item, len(V))]
    items, ratings = check_row("item_ids", item_ids, ratings, len(V))
    Y, offsets, penalty, gram, shared = row_terms(USERS, items, model)
    y, baseline = model.columns.hold(USERS, V[item])
    r = ratings - (0 if offsets is None else offsets)
    if shared is None:  # A⁻¹ pushed through: y regressed on the rows of Y gives each one's weight
        shares = solve_row(Y.T, y[0], penalty) * r
    else:
        weights = solve_row(Y, np.zeros(len(Y), Y.dtype), penalty, gram=gram, rhs=y[0])
        shares = Y @ weights * r + shared @ weights
    if not np.isfinite(shares).all() or not np.isfinite(y).all():
        raise ValueError("the shares are NaN or ∞: ratings or factors are, or are too large")
    return shares, 0.0 if baseline is None else float(baseline[0])


def _predict(X, V, first_user=None):
    """Scores of all items for some rows of factors, finite; `first_user` is the first one's."""
    X, V = (array.astype(np.result_type(array, np.float32), copy=False) for array in (X, V))
    with np.errstate(over="ignore", invalid="ignore"):
        scores = X @ V.T
    if not np.isfinite(scores).all():
        bad = np.flatnonzero(~np.isfinite(scores).all(axis=1))[0]
        who = "" if first_user is None else f" for user {first_user + bad}"
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
