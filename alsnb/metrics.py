"""How good a model is: errors over the stored ratings, objective of plain ALS, and its lists."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from .ratings import (
    check_array,
    check_count,
    check_held_out,
    check_number,
    check_positions,
    check_range,
    check_ratings,
    check_rng,
    count_ratings,
    rows_of,
)
from .timing import check_workers, one_blas_thread, open_threads

_CHUNK = 2**17  # numbers gathered at a time: they stay in cache, and memory does not grow with R
_BLOCK = 2**20  # scores that a thread makes at a time: 4 or 8 MB


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


# Lists: the k items with the highest scores


def evaluate_lists(
    scores, R_train, R_test, k: int = 10, *, candidates=None, per_user: bool = False, rng=0
) -> pd.DataFrame:
    r"""How good lists of k items are, by what their users turned to later: R_test.

    A user's list holds the k items with the highest scores, without those of R_train. With n test
    items of a user, and h = 1 at each rank where the list has one of them, else 0:

    .. math::

        \text{precision} &= \tfrac{1}{k} \textstyle\sum_{l \le k} h_l \qquad
        \text{recall} = \tfrac{1}{n} \textstyle\sum_{l \le k} h_l \\
        \text{ndcg} &= \sum_{l \le k} \frac{h_l}{\log_2(1 + l)} \Big/
            \sum_{l \le \min(n, k)} \frac{1}{\log_2(1 + l)} \\
        \text{map} &= \frac{1}{\min(n, k)} \sum_{l \le k} h_l \cdot \tfrac{1}{l}
            \textstyle\sum_{l' \le l} h_{l'}

    ``reciprocal_rank`` is 1 / the rank of the first hit, and ``hit_rate`` 1, where there is one;
    else both are 0. ``popularity`` is the share of users who have an item in R_train, on average
    over the list. Of all lists together, ``coverage`` is the share of the items that are on at
    least one, and ``overlap`` the mean share of a list that two users have in common. If c_j of N
    lists hold item j, it is Σ c_j (c_j − 1) / (N (N − 1) k).

    All items are ranked. Ranking a sample of them can put the worse of two models first. A user of
    whom a model knows nothing, whose row of U is zero, gets a list at random.

    Parameters
    ----------
    scores : model, pair, array or function
        A model, which has U and V, or the pair (U, V); scores of shape (n_items,), the same for
        all, or (n_users, n_items); or a function of an array of users that returns theirs, of shape
        (len(users), n_items), called for one block of users after another. −∞: not to be listed.
        For a `Posterior`, take ``lambda users: posterior.predict(users)[0]``.
    R_train, R_test : scipy.sparse array or matrix, shape (n_users, n_items), or Ratings
        Everything in R_test counts as a hit, whatever the rating. For ratings of at least 4 only,
        take `Ratings.binarize` first.
    k : int
        Length of a list. It is shorter where fewer items are left; precision still divides by k.
    candidates : array of int, optional
        List only these; by default all items. What else a user has in R_test counts as missed.
    per_user : bool
        Return what there is of each user instead, to compare two models user by user.
    rng : int, numpy.random.Generator or None
        Puts equal scores in random order, so that a constant score is as good as chance.

    Returns
    -------
    DataFrame, indexed by metric
        ``value``, the mean over users; ``standard_error`` of that mean, NaN for coverage and
        overlap; ``n_users``, those with test items; ``n_left_out``, those without.
        With `per_user` it is indexed by user, those with test items, and has a column for each
        metric from precision to popularity.

    Raises
    ------
    IndexError, TypeError, ValueError
        If shapes do not fit, a score is NaN or +∞, R_test holds nothing or a pair of R_train, or
        `k` or `candidates` are not what they should be.

    References
    ----------
    Järvelin and Kekäläinen (2002), *Cumulated gain-based evaluation of IR techniques*, for ndcg.
    Krichene and Rendle (2020), *On sampled metrics for item recommendation*, why all items are
    ranked.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> R_train = sp.csr_array([[1.0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0]])
    >>> R_test = sp.csr_array([[0, 1.0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
    >>> found = evaluate_lists(np.array([4.0, 3, 2, 1]), R_train, R_test, k=2)
    >>> found["value"].loc[["precision", "ndcg", "coverage"]].to_dict()
    {'precision': 0.25, 'ndcg': 0.5, 'coverage': 0.75}
    >>> int(found.loc["ndcg", "n_left_out"])
    1
    """
    R_train = check_ratings(R_train, "R_train")
    R_test = check_held_out(R_test, R_train, "R_test")
    k, (n, m) = check_count("k", k), R_train.shape
    barred = np.full(m, candidates is not None)
    if candidates is not None:
        barred[check_positions("candidates", candidates, m)] = False
    if barred.all():
        raise ValueError("candidates hold no item, so that there is nothing to list")
    score, seed = _scorer(scores, R_train), check_rng(rng).integers(2**63)

    def list_block(users):
        block, seen = score(users), R_train[users]
        if not (block < np.inf).all():
            bad = users[np.flatnonzero(~(block < np.inf).all(axis=1))[0]]
            raise ValueError(
                f"scores of user {bad} hold NaN or ∞; only −∞, not to be listed, may be"
            )
        block[rows_of(seen), seen.indices] = -np.inf
        block[:, barred] = -np.inf
        return select_top(block, min(k, m), np.random.default_rng([seed, users[0]]))

    n_test = np.diff(R_test.indptr)
    users = np.flatnonzero(n_test)
    n_workers = 1 if callable(scores) else None  # functions are called in order, one at a time
    items, _ = list_in_blocks(list_block, users, m, n_workers)
    found = _user_metrics(items, users, k, R_train, R_test)
    if per_user:
        return found
    values, lists = found.mean(), len(users)
    counts = np.bincount(items[items >= 0])
    values["coverage"] = np.count_nonzero(counts) / np.count_nonzero(~barred)
    values["overlap"] = counts @ (counts - 1) / (lists * (lists - 1) * k) if lists > 1 else np.nan
    table = pd.DataFrame({"value": values, "standard_error": found.sem().reindex(values.index)})
    table["n_users"] = found.count().reindex(values.index, fill_value=lists)
    table["n_left_out"] = n - lists
    return table.rename_axis("metric")


def _user_metrics(items, users, k, R_train, R_test) -> pd.DataFrame:
    """Metrics of each user's list; items of −1 fill up lists that are shorter."""
    m, listed, ranks = R_test.shape[1], items >= 0, np.arange(1, items.shape[1] + 1)
    wanted = rows_of(R_test).astype(np.int64) * m + R_test.indices
    hits = listed & np.isin(users[:, None] * m + items, wanted)
    n_test = np.diff(R_test.indptr)[users]
    best = np.minimum(n_test, k)  # hits of an ideal list
    discounts = 1 / np.log2(1 + ranks)
    n_hits = hits.sum(axis=1)
    shares = np.where(listed, (count_ratings(R_train)[1] / R_train.shape[0])[items], np.nan)
    found = {
        "precision": n_hits / k,
        "recall": n_hits / n_test,
        "ndcg": hits @ discounts / np.cumsum(discounts)[best - 1],
        "map": np.sum(hits * np.cumsum(hits, axis=1) / ranks, axis=1) / best,
        "reciprocal_rank": np.max(hits / ranks, axis=1),
        "hit_rate": n_hits > 0,
        "popularity": pd.DataFrame(shares).mean(axis=1).to_numpy(),  # NaN for an empty list
    }
    return pd.DataFrame(found, index=pd.Index(users, name="user"), dtype=float)


def _scorer(scores, R) -> Callable[[np.ndarray], np.ndarray]:
    """A function of users that returns their scores, as floats in an array of its own."""
    if hasattr(scores, "U") and hasattr(scores, "V"):
        scores = scores.U, scores.V
    if isinstance(scores, tuple) and len(scores) == 2:
        U, V = check_factors(R, *scores)
        return np.errstate(over="ignore", invalid="ignore")(
            lambda users: _own_floats(U[users] @ V.T, copy=False)
        )
    if callable(scores):
        return lambda users: _own_floats(scores(users), shape=(len(users), R.shape[1]))
    values = check_array("scores", scores)
    if values.dtype.kind not in "biuf":
        kinds = "a model with U and V, a pair (U, V), an array of real numbers or a function"
        raise TypeError(f"scores must be {kinds} of users, got {type(scores).__name__}")
    if values.shape not in (R.shape[1:], R.shape):
        shapes = f"{R.shape[1:]} or {R.shape}, to fit R_train, got {values.shape}"
        raise ValueError(f"scores must have shape {shapes}")
    if values.ndim == 1:
        return lambda users: _own_floats(np.broadcast_to(values, (len(users), len(values))))
    return lambda users: _own_floats(values[users], copy=False)


def _own_floats(scores, *, copy=True, shape=None):
    """Scores of a block of users as floats that may be changed."""
    block = np.asarray(scores)
    if shape is not None and (block.shape != shape or block.dtype.kind not in "biuf"):
        what = f"{shape}, a row for each user, got {block.shape} of {block.dtype}"
        raise ValueError(f"scores must return real numbers of shape {what}")
    return block.astype(np.result_type(block, np.float32), copy=copy)


def list_in_blocks(list_block, users, n_items, n_workers=None) -> tuple[np.ndarray, ...]:
    """What `list_block` returns for all users, in blocks on threads: never a dense matrix."""
    n_workers = check_workers(n_workers)
    step = max(1, _BLOCK // n_items)
    blocks = [users[start : start + step] for start in range(0, max(1, len(users)), step)]
    with one_blas_thread(), open_threads(n_workers) as map_on_threads:
        lists = map_on_threads(list_block, blocks)
    return tuple(np.concatenate(part) for part in zip(*lists, strict=True))


def select_top(block, top_n, rng=None):
    """Columns and values of the `top_n` largest of each row, or −1 and −∞ where all others are −∞.

    Of equal values the lower column comes first or, with a Generator, any.

    The largest of each group of columns are looked at first: what is among the `top_n` of a row is
    at least as large as the `top_n`-th of its groups' largest.
    """
    n_rows, n_columns = block.shape
    starts = np.arange(0, n_columns, max(1, n_columns // (4 * top_n)))
    largest = np.maximum.reduceat(block, starts, axis=1)
    threshold = np.partition(largest, -top_n, axis=1)[:, -top_n, None]
    threshold = np.maximum(threshold, np.finfo(block.dtype).min)
    rows, columns = np.divmod(np.flatnonzero(block >= threshold), n_columns)
    values = block[rows, columns]
    ties = columns if rng is None else rng.random(len(columns))
    order = np.lexsort((ties, -values, rows))
    rank = np.arange(len(order)) - np.searchsorted(rows, rows)  # rows are in order, either way
    rows, columns, values = rows[order], columns[order], values[order]
    chosen = rank < top_n
    items = np.full((n_rows, top_n), -1)
    scores = np.full((n_rows, top_n), -np.inf, block.dtype)
    items[rows[chosen], rank[chosen]] = columns[chosen]
    scores[rows[chosen], rank[chosen]] = values[chosen]
    return items, scores


def check_factors(R, U, V) -> tuple[np.ndarray, np.ndarray]:
    """Return U and V as arrays; raise TypeError or ValueError unless U Vᵀ can stand for R."""
    U, V = check_array("U", U), check_array("V", V)
    for name, X in (("U", U), ("V", V)):
        if X.dtype.kind not in "iuf":
            raise TypeError(f"{name} must hold real numbers, got dtype {X.dtype}")
        if bad := np.sum(~np.isfinite(X)):
            raise ValueError(f"{name} holds NaN or ∞ in {bad} of {X.size} numbers")
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
    return None if clip is None else check_range("clip", clip)
