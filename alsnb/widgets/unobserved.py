"""What was not watched: its weight by slider, and what it does to all lists and to one (ch. 09)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from ..metrics import evaluate_lists
from ..model import Factorization
from ..plotting import BLUE, GREEN, ORANGE, short_title
from ..ratings import Ratings, check_held_out, check_ratings, check_table, count_ratings, rated_by
from .base import Widget, choice
from .picture import INK, Picture

K = 10  # movies on a list
_LEFT, _WIDE, _HIGH = 64, 310, 140  # px of both axes
_TOPS = 42, 236
_TITLE, _BAR, _LONGEST = 448, 658, 95  # px: where titles and bars begin, and the longest bar
_ROW = 32


class Trials(NamedTuple):
    """What each α₀ leads to: of all users NDCG@10 and coverage, and the lists of a few."""

    weights: list[float]
    confidence: list[float]  # α of each model
    ndcg: np.ndarray  # (n_weights,)
    coverage: np.ndarray  # (n_weights,)
    lists: np.ndarray  # (n_weights, n_users, ≤ 10), best first; −1 where a list is shorter
    popular: tuple[float, float]  # NDCG@10 and coverage of the most watched for everybody


class Row(NamedTuple):
    """A movie on a list."""

    title: str
    watchers: int
    hit: bool


def try_models(models: Mapping[float, Factorization], R_train, R_test, users) -> Trials:
    """Score each model, and make the lists of a few users.

    Parameters
    ----------
    models : mapping of float to Factorization
        α₀ to what was fitted with it.
    R_train, R_test : csr_array, shape (n_users, n_items)
        What was watched, and what is held out.
    users : array of int
        Those whose lists are kept.

    Returns
    -------
    Trials
    """
    confidence = [float(model.settings.confidence) for model in models.values()]
    lists = np.array([model.recommend(users, R_train, K)[0] for model in models.values()])
    scores = [_score(model, R_train, R_test) for model in models.values()]
    popular = _score(count_ratings(R_train)[1].astype(float), R_train, R_test)
    return Trials([*models], confidence, *np.transpose(scores), lists, popular)


def _score(scores, R_train, R_test) -> tuple[float, float]:
    values = evaluate_lists(scores, R_train, R_test, K)["value"]
    return float(values["ndcg"]), float(values["coverage"])


def describe(trials: Trials, k: int, name: str, rows: Sequence[Row]) -> str:
    """Say what the k-th α₀ does to this user's list, and to all."""
    weight, best = trials.weights[k], int(trials.ndcg.argmax())
    ratio = (trials.confidence[k] + weight) / weight
    watchers = np.mean([row.watchers for row in rows])
    where = f"best of these α₀: {trials.ndcg[best]:.3f} at {trials.weights[best]:g}"
    return (
        f"α₀ = {weight:g}: a watched movie weighs {ratio:.{int(ratio < 9.95)}f} times as much as "
        f"any other. {name}: {short_title(rows[0].title)} comes first, {_count_hits(rows)}, and a "
        f"listed movie was watched by {watchers:.0f} people on average. All users: NDCG@10 "
        f"{trials.ndcg[k]:.3f} ({where if k != best else 'the best of these α₀'}); "
        f"{_percent(trials.coverage[k])} of the movies are on at least one list."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _count_hits(rows) -> str:
    hits = sum(row.hit for row in rows)
    return f"{hits} of {len(rows)} {'is a hit' if hits == 1 else 'are hits'}"


def draw(trials: Trials, k: int, name: str, rows: Sequence[Row], most: int) -> Picture:
    """Draw accuracy and variety against α₀, and the list at the k-th; `most` ends the bars."""
    picture = Picture(790, 440)
    weights = trials.weights
    curves = (
        ("Accuracy", "NDCG@10", BLUE, trials.ndcg, "{:g}".format, "{:.3f}".format),
        ("Variety", "movies listed", ORANGE, trials.coverage, _percent, _percent),
    )
    for top, popular, curve in zip(_TOPS, trials.popular, curves, strict=True):
        title, ylabel, colour, values, say_tick, say = curve
        title = f"{title} is highest at α₀ = {weights[values.argmax()]:g}"
        axes = _draw_axes(picture, top, title, ylabel, weights, max(*values, popular), say_tick)
        _draw_curve(picture, axes, colour, weights, values, k, popular, say)
    below = _TOPS[1] + _HIGH + 38
    picture.text(_LEFT + _WIDE / 2, below, "α₀, the weight of what was not watched")
    title = f"{short_title(name, 24)}: {_count_hits(rows)}"
    _draw_list(picture, title, f"the list at α₀ = {weights[k]:g}", rows, most)
    return picture


def _draw_axes(picture, top, title, ylabel, weights, highest, say):
    ceiling = 1.25 * highest or 1.0
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if ceiling <= 6 * step)
    tens = [weight for weight in weights if np.isclose(np.log10(weight) % 1, [0, 1]).any()]
    picture.text(_LEFT - 48, top + _HIGH / 2, ylabel, angle=-90)
    return picture.axes(
        _LEFT, top, _WIDE, _HIGH, (0.6 * weights[0], 1.5 * weights[-1]), (0, ceiling), title=title,
        xticks=tens or [weights[0], weights[-1]], xlog=True,
        yticks={value: say(value) for value in step * np.arange(np.ceil(ceiling / step))},
    )  # fmt: skip


def _draw_curve(picture, axes, colour, weights, values, k, popular, say):
    """Draw one of the two measures, that of popularity, and the present α₀."""
    (left, top, wide, high), level = axes.place, float(axes.y(popular))
    picture.line([[left, level], [left + wide, level]], dash=True, opacity=0.5)
    dy = 15 if level < top + high - 20 else -6
    text = f"popularity: {say(popular)}"
    picture.text(left + 6, level + dy, text, size=11, anchor="start", opacity=0.8)
    points = np.column_stack([weights, values])
    axes.line(points, colour, 2.5)
    axes.dots(points, colour, 3, titles=[f"α₀ = {x:g}: {say(y)}" for x, y in points])
    axes.dots(points[k], colour, 7)
    picture.dots([[float(axes.x(weights[k])), top + high]], INK, 4)
    rise = values[min(k + 1, len(values) - 1)] - values[max(k - 1, 0)]
    anchor, dx = "middle", 6 if k == 0 else 0
    if 0 < k < len(values) - 1 and abs(rise) > 0.1 * values.max():  # where the curve is not
        anchor, dx = ("end", -5) if rise > 0 else ("start", 5)
    axes.text(*points[k], say(values[k]), dx=dx, dy=-22 if k == 0 else -13, size=13, bold=True,
              anchor=anchor)  # fmt: skip


def _draw_list(picture, title, about, rows, most):
    """Draw titles, hits ticked, and beside each how many have watched it."""
    left, top = _TITLE - 38, _TOPS[0]
    picture.text(left - 8, top - 10, title, size=14, anchor="start", bold=True)
    picture.text(_TITLE, top + 10, about, size=11, anchor="start", opacity=0.8)
    picture.text(_BAR, top + 10, "watched by", size=11, anchor="start", opacity=0.8)
    for k, row in enumerate(rows):
        y = top + 34 + _ROW * k
        if row.hit:
            _draw_tick(picture, left, y - 4)
        picture.text(_TITLE - 8, y, k + 1, anchor="end", opacity=0.7)
        picture.text(_TITLE, y, short_title(row.title, 23), size=13, anchor="start", bold=row.hit)
        width = _LONGEST * row.watchers / most
        picture.box(_BAR, y - 11, width, 14, ORANGE, opacity=0.75, title=row.title)
        picture.text(_BAR + width + 6, y, row.watchers, size=11, anchor="start")
    y = top + 34 + _ROW * K + 10
    _draw_tick(picture, left, y - 4)
    text = "a hit: watched, and held out of the fit"
    picture.text(left + 16, y, text, anchor="start", opacity=0.8)


def _draw_tick(picture, x, y):
    picture.dots([[x, y]], GREEN, 8)
    picture.line([[x - 4, y], [x - 1, y + 3], [x + 4, y - 3]], "white", 2)


def _check_models(models, shape) -> dict[float, Factorization]:
    if not isinstance(models, Mapping):
        raise TypeError(f"models must map each α₀ to its model, got {type(models).__name__}")
    weights = np.asarray([*models], float)
    if not (
        len(weights) and np.isfinite(weights).all() and (np.diff(weights, prepend=0) > 0).all()
    ):
        raise ValueError(f"the α₀ of models must be positive and rise, got {[*models]}")
    for weight, model in models.items():
        settings = getattr(model, "settings", None)
        if settings is None or settings.confidence is None:
            raise TypeError(f"models[{weight}] must be fitted by ALS with a confidence")
        if settings.unobserved_weight != weight:
            fitted = f"was fitted with unobserved_weight={settings.unobserved_weight:g}"
            raise ValueError(f"models[{weight}] {fitted}")
        if (found := (len(model.U), len(model.V))) != shape:
            raise ValueError(f"models[{weight}] is of shape {found}, but R_train {shape}")
    return dict(zip(weights.tolist(), models.values(), strict=True))


class Unobserved(Widget):
    """Move the weight of what was not watched, and see all lists change, and one.

    Everything that is stored in R_train was watched, whatever the rating. Nothing is fitted here:
    each α₀ comes with its model. In it a watched movie weighs α + α₀, and any other α₀.

    Parameters
    ----------
    ratings : Ratings
        What the movies and users are called.
    models : mapping of float to Factorization
        For each α₀ of the slider, rising, what was fitted with it as the unobserved weight, on
        ones: ``{0.3: ALS(confidence=1, unobserved_weight=0.3).fit(R_train)}``.
    R_train, R_test : scipy.sparse array or matrix, shape (n_users, n_items), or Ratings
        What was fitted, and what is held out: movies of it that are listed are hits.
    users : sequence of ids, or mapping of str to id
        Whose list can be shown, each by a button. The names of a mapping are those of the buttons.
    start : float, optional
        The α₀ at the start; by default the last that is at most 1, or else the first.

    Attributes
    ----------
    weight : slider
        α₀.
    shown : int
        Position of the user whose list is shown.
    trials : Trials
        What each α₀ leads to.

    Raises
    ------
    IndexError, KeyError, TypeError, ValueError
        If a user, a model or a matrix is not what it should be, or the α₀ do not rise.

    Examples
    --------
    >>> from alsnb import ALS, load_movielens, train_test_split
    >>> movielens = load_movielens("100k")
    >>> R_train, R_test = train_test_split(movielens.binarize(), 0.2, rng=0)
    >>> models = {
    ...     w: ALS(8, confidence=1, unobserved_weight=w).fit(R_train, rng=0, verbose=False)
    ...     for w in (0.1, 1)
    ... }
    >>> widget = Unobserved(movielens, models, R_train, R_test, [367, 21])
    >>> widget.press("User 21")
    >>> widget.weight.value = 0.1
    >>> widget.report[:57]
    'α₀ = 0.1: a watched movie weighs 11 times as much as any '
    """

    def __init__(
        self,
        ratings: Ratings,
        models: Mapping[float, Factorization],
        R_train,
        R_test,
        users: Sequence | Mapping[str, object],
        *,
        start: float | None = None,
    ):
        check_table(ratings)
        R_train = check_ratings(R_train, "R_train")
        R_test = check_held_out(R_test, R_train, "R_test")
        if R_train.shape != ratings.R.shape:
            shapes = f"{R_train.shape}, but ratings {ratings.R.shape}"
            raise ValueError(f"R_train has shape {shapes}: they must be of the same movies")
        if isinstance(users, str) or not isinstance(users, Iterable):
            raise TypeError(f"users must be ids, or a mapping of names to ids, got {users!r}")
        names = users if isinstance(users, Mapping) else {f"User {one}": one for one in users}
        if not len(names):
            raise ValueError("users must be some whose list can be shown, got none")
        rows = ratings.users([*names.values()])
        if not (n_watched := np.diff(R_train.indptr)[rows]).all():
            name = [*names][int(n_watched.argmin())]
            raise ValueError(f"{name} has nothing in R_train, so that their list is anybody's")
        models = _check_models(models, R_train.shape)
        weights = [*models]
        if start is None:
            start = max([weight for weight in weights if weight <= 1], default=weights[0])
        if start not in weights:
            raise ValueError(f"start must be one of the weights, {weights}, got {start}")
        self.trials = try_models(models, R_train, R_test, rows)
        if (shorter := (self.trials.lists[..., 0] < 0).any(axis=0)).any():
            name = [*names][int(shorter.argmax())]
            raise ValueError(f"{name} has watched everything, so that nothing is left to list")
        self._titles, self._watchers = ratings.titles, count_ratings(R_train)[1]
        self._held_out = [set(rated_by(R_test, row)[0].tolist()) for row in rows]
        self._names, self.shown = [*names], 0
        self.weight = choice("α₀ (unwatched)", weights, start)
        buttons = [
            self.button(name, "Show this list", partial(self._show, place))
            for place, name in enumerate(names)
        ]
        super().__init__([self.weight], buttons)

    def _show(self, place):
        self.shown = place

    @property
    def listed(self) -> list[Row]:
        """The list that is shown, best first."""
        items, hits = self.trials.lists[self.weight.index, self.shown], self._held_out[self.shown]
        return [
            Row(str(self._titles[j]), int(self._watchers[j]), j in hits)
            for j in items[items >= 0].tolist()
        ]

    @property
    def _state(self):
        return self.trials, self.weight.index, self._names[self.shown], self.listed

    @property
    def report(self) -> str:
        """Say what this α₀ does to the list that is shown, and to all."""
        return describe(*self._state)

    def picture(self) -> Picture:
        """Return the curves and the list."""
        return draw(*self._state, int(self._watchers.max()))
