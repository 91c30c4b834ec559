"""What is not known about a user, and so what to ask: the posterior covariance of factors."""

from __future__ import annotations

import numpy as np

from .model import Factorization, one_row
from .ratings import check_count, check_positions


@np.errstate(over="ignore", invalid="ignore")  # what overflows is an error
def most_informative_items(
    model: Factorization, n_items: int = 5, *, items=(), candidates=None
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
        How many to choose; fewer are returned if `candidates` holds fewer.
    items : array of int
        What the user has rated already.
    candidates : array of int, optional
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

    Examples
    --------
    >>> from alsnb import ALS
    >>> V = np.array([[2.0, 0.0], [1.9, 0.1], [0.0, 1.0]])
    >>> model = Factorization(np.ones((1, 2)), V, ALS(n_factors=2))
    >>> most_informative_items(model, 2)
    array([0, 2])
    """
    n_items = check_count("n_items", n_items)
    known = check_positions("items", items, len(model.V))
    candidates = np.arange(len(model.V)) if candidates is None else candidates
    candidates = check_positions("candidates", candidates, len(model.V))
    candidates = np.setdiff1d(candidates, known)
    n_items = min(n_items, len(candidates))
    equation = model.equation("users", one_row(known, np.zeros(len(known))))
    Y, Y_known = equation.Y[candidates].astype(float), equation.Y[known].astype(float)
    penalty = model.settings.penalties("users", np.array([len(known) + n_items]))[0]
    precision = Y_known.T @ Y_known + penalty * np.eye(Y.shape[1])
    precision += 0 if equation.gram is None else equation.gram
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
    return candidates[chosen]
