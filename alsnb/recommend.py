"""From factors to recommendations."""

from __future__ import annotations

import numpy as np

from .checks import check_count, check_factors, check_ratings


def recommend_items(user: int, U, V, R, top_n: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Recommend to a user the unseen items with the highest predicted ratings.

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
    R = check_ratings(R)
    U, V = check_factors(R, U, V)
    user, top_n = check_count("user", user, low=None), check_count("top_n", top_n)
    if not 0 <= user < R.shape[0]:
        raise IndexError(f"user {user} is out of range; R has users 0 to {R.shape[0] - 1}")
    scores = V @ U[user]
    if not np.isfinite(scores).all():
        raise ValueError(f"the factors predict NaN or ∞ for user {user}; was the fit interrupted?")
    unseen = np.ones(len(scores), dtype=bool)
    unseen[R.indices[R.indptr[user] : R.indptr[user + 1]]] = False
    items = np.flatnonzero(unseen)
    items = items[np.argsort(-scores[items], kind="stable")[:top_n]]
    return items, scores[items]
