"""A new movie with a handful of ratings, and all lists of ten that it comes on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..model import Factorization
from ..plotting import BLUE, PURPLE
from ..ratings import Ratings, check_positions, check_table, count_ratings
from .base import Widget, ipw, slider
from .picture import INK, Picture

MOST, LARGEST, ENOUGH = 20, 20, 20  # ratings of it, λ of its bias; what "enough" ratings are
_COLUMNS, _STEP = 41, 9.5  # of the field of dots; px


def list_thresholds(model: Factorization, R, top_n: int = 10, candidates=None) -> np.ndarray:
    """Return, for each user, the score that an item must beat to come on the list.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> model = Factorization(np.array([[1.0], [2.0]]), np.array([[2.0], [1.5], [1.0]]))
    >>> list_thresholds(model, sp.csr_array([[5.0, 0.0, 0.0], [0.0, 0.0, 4.0]]), 1)
    array([1.5, 4. ])
    """
    return model.recommend(None, R, top_n, candidates=candidates)[1][:, -1]


def fold_in_premiere(model: Factorization, raters, lam: float, stars: float = 5) -> np.ndarray:
    """Return the row of V of a new item that these users have given so many stars.

    `lam` is the λ of its bias.
    """
    pair = np.broadcast_to(model.settings.bias_reg or model.settings.lambda_reg, 2)
    settings = replace(model.settings, bias_reg=(float(pair[0]), float(lam)))
    row = raters, np.full(len(raters), float(stars))
    return model.replace(settings=settings).fold_in(row, "items")


def find_listeners(model: Factorization, row: np.ndarray, raters, thresholds) -> np.ndarray:
    """Whether the item is on each user's list; those who have rated it have seen it."""
    listed = model.U @ row > thresholds
    listed[np.asarray(raters, int)] = False
    return listed


def count_lists(model: Factorization, R, raters, lams, **options) -> np.ndarray:
    """On how many lists of ten a premiere is, after each of its five-star ratings.

    Parameters
    ----------
    model : Factorization
        With biases.
    R : sparse array or Ratings
        What has been rated.
    raters : array of int
        Who gives five stars, one after the other.
    lams : sequence of float
        λ of its bias.
    **options :
        top_n, candidates: what else is listed, as for `Factorization.recommend`.

    Returns
    -------
    ndarray of int, shape (len(lams), len(raters))
    """
    thresholds, counts = list_thresholds(model, R, **options), []
    for lam in lams:
        for k in range(1, len(raters) + 1):
            row = fold_in_premiere(model, raters[:k], lam)
            counts.append(find_listeners(model, row, raters[:k], thresholds).sum())
    return np.array(counts).reshape(len(lams), len(raters))


def draw_premiere(listed: np.ndarray, raters, curve: np.ndarray, k: int) -> Picture:
    """A dot for each user, lit if the movie is on their list; and the curve over its ratings."""
    n = len(listed)
    places = _STEP * np.column_stack([np.arange(n) % _COLUMNS, np.arange(n) // _COLUMNS]) + 12
    height = max(places[:, 1].max() + 34, 270)
    picture = Picture(_STEP * _COLUMNS + 360, height)
    seen = np.isin(np.arange(n), raters)
    picture.dots(places[~listed & ~seen], INK, 2, opacity=0.25)
    picture.dots(places[listed], BLUE, 3.6)
    picture.dots(places[seen], PURPLE, 3.6)
    low = places[:, 1].max() + 24
    picture.text(8, low, f"a dot for each of {n} users", anchor="start")
    picture.text(185, low, "on the list", BLUE, anchor="start", bold=True)
    picture.text(265, low, "not on it", anchor="start", bold=True, opacity=0.6)
    picture.text(335, low, "gave five stars", PURPLE, anchor="start", bold=True)
    left = _STEP * _COLUMNS + 80
    frame = picture.axes(
        left, 34, 250, height - 90, (0, MOST), (0, 1.04 * n),
        xlabel="five-star ratings", title=f"on {listed.sum()} of {n} lists",
        xticks=[1, 5, 10, 15, 20], yticks={0: "0", n / 2: "half", n: "all"},
    )  # fmt: skip
    frame.line(np.column_stack([np.arange(1, len(curve) + 1), curve]), BLUE, 2)
    frame.dots([[k, curve[k - 1]]], BLUE, 5)
    return picture


class Premiere(Widget):
    """Give a new movie five stars, again and again, and see on whose lists of ten it is.

    The movie is folded in, nothing is fitted.

    Parameters
    ----------
    model : Factorization
        With biases.
    ratings : Ratings
        Those that the model was fitted to.
    raters : array of int, optional
        The 20 users who rate the movie, one after the other; by default, drawn once and for all.

    Attributes
    ----------
    given, penalty, enough : slider, slider, check box
        Number of five-star ratings; λ of the new movie's bias; list only movies with at least 20
        ratings.
    listed : ndarray of bool, shape (n_users,)
        On whose list it is now.

    Examples
    --------
    >>> from alsnb import ALS, load_movielens
    >>> movielens = load_movielens("100k")
    >>> model = ALS(2, 12, bias=True, bias_reg=(5, 2)).fit(movielens, 2, rng=0, verbose=False)
    >>> widget = Premiere(model, movielens)
    >>> widget.enough.value = True
    >>> print(widget.report)
    5 ratings of five stars: fewer than 20, so the movie is on nobody's list.
    """

    def __init__(self, model: Factorization, ratings: Ratings, raters=None):
        check_table(ratings)
        if model.settings is None or not model.settings.bias:
            raise ValueError("the model has no biases, which are what brings a premiere on lists")
        self._model = model
        drawn = np.random.default_rng(0).permutation(len(model.U))[:MOST]
        self._raters = check_positions("raters", drawn if raters is None else raters, len(model.U))
        if len(self._raters) != MOST:
            raise ValueError(f"raters must be {MOST} users, got {len(self._raters)}")
        known = np.flatnonzero(count_ratings(ratings)[1] >= ENOUGH)
        lists = {False: None, True: known}
        self._thresholds = {
            enough: list_thresholds(model, ratings, candidates=items)
            for enough, items in lists.items()
        }
        self._rows = {
            (lam, k): fold_in_premiere(model, self._raters[:k], lam)
            for lam in range(1, LARGEST + 1)
            for k in range(1, MOST + 1)
        }
        self.given = slider("five-star ratings", 5, 1, MOST, 1)
        self.penalty = slider("penalty of its bias", 2, 1, LARGEST, 1)
        self.enough = ipw.Checkbox(description="list only movies with at least 20 ratings")
        self.enough.indent = False
        super().__init__([self.given, self.penalty, self.enough])

    def _find(self, k):
        """On whose lists it is after k ratings."""
        raters, enough = self._raters[:k], self.enough.value
        if enough and k < ENOUGH:
            return np.zeros(len(self._model.U), bool)
        row = self._rows[self.penalty.value, k]
        return find_listeners(self._model, row, raters, self._thresholds[enough])

    @property
    def listed(self) -> np.ndarray:
        """On whose list it is."""
        return self._find(self.given.value)

    @property
    def report(self) -> str:
        """How good the movie looks, and on how many lists it is."""
        k, lam = self.given.value, self.penalty.value
        start = f"{k} rating{'s' if k > 1 else ''} of five stars"
        if self.enough.value and k < ENOUGH:
            return f"{start}: fewer than {ENOUGH}, so the movie is on nobody's list."
        bias = self._model.with_rows("items", self._rows[lam, k][None]).item_bias[0]
        n, all_of_them = self.listed.sum(), len(self._model.U)
        return (
            f"{start}, penalty {lam}: bias {bias:+.2f} stars, on {n} of {all_of_them} lists of ten."
        )

    def picture(self) -> Picture:
        """A dot for each user, and the curve over the number of ratings."""
        k = self.given.value
        curve = np.array([self._find(one).sum() for one in range(1, MOST + 1)])
        return draw_premiere(self.listed, self._raters[:k], curve, k)
