"""When little is known: a ranking for users without ratings, and what to ask them."""

from __future__ import annotations

import numpy as np

from .checks import check_count, check_number, check_positions, check_ratings
from .columns import USERS
from .foldin import check_model, row_terms
from .loop import Factorization
from .metrics import count_ratings


@np.errstate(over="ignore", invalid="ignore")  # what overflows is an error
def popularity_scores(R, shrinkage: float = 5.0) -> np.ndarray:
    r"""Mean rating of each item, drawn to the mean of all as long as its ratings are few.

    .. math:: \frac{\sum_i r_{ij} + s \mu}{n_j + s}

    Parameters
    ----------
    R : scipy.sparse array or matrix, shape (n_users, n_items)
    shrinkage : float
        s, not negative: so many ratings at the mean μ are added to each item's own.

    Returns
    -------
    ndarray, shape (n_items,)
        In stars.

    Raises
    ------
    TypeError, ValueError
        If R is not a sparse matrix of finite ratings, or `shrinkage` is negative.
    """
    R, shrinkage = check_ratings(R), check_number("shrinkage", shrinkage, positive=False)
    mean, n = R.data.mean(dtype=float), count_ratings(R)[1]
    sums = np.bincount(R.indices, R.data - mean, minlength=R.shape[1])
    scores = mean + sums / np.maximum(n + shrinkage, np.finfo(float).tiny)
    if not np.isfinite(scores).all():
        raise ValueError("R holds ratings so large that their sums are not finite")
    return scores


@np.errstate(over="ignore", invalid="ignore")
def most_informative_items(
    model: Factorization, n_items: int = 5, *, item_ids=(), among=None
) -> np.ndarray:
    r"""Which items to ask a new user about: those whose ratings would tell most about the factors.

    If ratings have noise of variance one about Y x, and x a normal prior of precision λ n^ν, then
    what is known of x once the items S are rated has covariance

    .. math:: \Sigma_S = (Y_S^T Y_S + \lambda n^\nu I)^{-1} ,

    which does not depend on the ratings. One item after the other is taken that shrinks its
    determinant most, by the factor 1 / (1 + yᵀΣy); Σ follows by Sherman and Morrison's formula.

    Parameters
    ----------
    model : Factorization
    n_items : int
        How many to choose; fewer are returned if `among` holds fewer.
    item_ids : array of int
        What the user has rated already.
    among : array of int, optional
        Choose only from these; by default from all items.

    Returns
    -------
    ndarray of int, shape (≤ n_items,)
        In the order in which to ask; of equally informative ones the lower position comes first.

    Raises
    ------
    IndexError, TypeError, ValueError
        If items are not distinct positions, or `n_items` is not a whole number of at least 1.

    References
    ----------
    Fedorov (1972), *Theory of optimal experiments*: D-optimal designs, chosen greedily.
    """
    check_model(model)
    n_items = check_count("n_items", n_items)
    known = check_positions("item_ids", item_ids, len(model.V))
    among = np.arange(len(model.V)) if among is None else among
    among = np.setdiff1d(check_positions("among", among, len(model.V)), known)
    n_items = min(n_items, len(among))
    Y_known, _, _, gram, _ = row_terms(USERS, known, model)
    Y, _ = model.columns.hold(USERS, model.V[among])
    Y, Y_known = Y.astype(float), Y_known.astype(float)
    n = max(len(known) + n_items, 1)
    precision = Y_known.T @ Y_known + (0 if gram is None else gram)
    precision += model.columns.lambda_reg[USERS] * n**model.reg_exponent * np.eye(Y.shape[1])
    try:
        covariance, chosen = np.linalg.inv(precision), []
    except np.linalg.LinAlgError as error:
        raise ValueError("the model's λ is too small: YᵀY stays singular") from error
    gains = np.einsum("kf,kf->k", Y @ covariance, Y)  # yᵀΣy of each
    if not np.isfinite(gains).all():
        raise ValueError("the model's factors hold NaN or ∞, or are too large")
    for _ in range(n_items):
        best = int(np.argmax(gains))
        chosen.append(best)
        step = covariance @ Y[best] / np.sqrt(1 + gains[best])
        covariance -= np.outer(step, step)
        gains -= (Y @ step) ** 2
        gains[chosen] = -np.inf
    return among[chosen]
