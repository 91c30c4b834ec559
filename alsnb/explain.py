"""Why an item is recommended: the exact share of each rating in a prediction."""

from __future__ import annotations

import numpy as np

from .checks import check_position, check_row
from .columns import USERS
from .foldin import check_model, row_terms
from .loop import Factorization
from .ridge import solve_row


@np.errstate(over="ignore", invalid="ignore")  # what overflows is an error
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
