"""Chapter 01: how far to draw the mean of a few ratings to the mean of all."""

from __future__ import annotations

import numpy as np

from ..metrics import root_mean_square
from ..plotting import ORANGE
from ..ratings import Ratings, count_ratings, damped_means, train_test_split
from .base import Widget, choice
from .picture import INK, Picture

STEPS = (0, 1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000)  # of k
_SHOWN = 300  # dots, at most: a picture of all movies would take too long to send


def top_of(R, k: float, n: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Items with the highest shrunk means, and these; of equal ones the most rated first.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> items, means = top_of(sp.csr_array([[5.0, 4.0, 1.0], [0.0, 4.0, 1.0]]), k=2, n=2)
    >>> items, means.round(2)
    (array([0, 1]), array([3.67, 3.5 ]))
    """
    means = damped_means(R, k)
    order = np.lexsort((-count_ratings(R)[1], -means.round(12)))[:n]
    return order, means[order]


def validation_errors(R, steps=STEPS) -> np.ndarray:
    """RMSE of shrunk means, for each k, on ratings that are left out of them.

    A test part is cut off first, as chapter 01 cuts it, and is not looked at.
    """
    rest, _ = train_test_split(R, 0.2, rng=0)
    train, validation = train_test_split(rest, 0.2, rng=1)
    means = [damped_means(train, k) for k in steps]
    return np.array(
        [root_mean_square(validation.data - mean[validation.indices]) for mean in means]
    )


def describe(R, titles, k: float, errors, steps=STEPS) -> str:
    """What this k does to the list and to the errors, in one sentence."""
    items, means = top_of(R, k)
    counts = count_ratings(R)[1][items]
    best = int(np.argmin(errors))
    return (
        f"k = {k:g}: first is {titles[items[0]]} with {means[0]:.2f} stars; the top five have "
        f"{counts.min()} to {counts.max()} ratings each. "
        f"Validation RMSE {errors[steps.index(k)]:.4f} (lowest: {errors[best]:.4f} at "
        f"k = {steps[best]:g})."
    )


def draw(R, titles, k: float, errors, steps=STEPS, unit: str = "star") -> Picture:
    """The top five, the means sliding to μ, and the validation error against k."""
    counts = count_ratings(R)[1]
    raw, shrunk, mean = damped_means(R, 0), damped_means(R, k), R.data.mean()
    items, _ = top_of(R, k)
    picture = Picture(900, 470)
    picture.text(20, 24, "The top five", size=14, anchor="start", bold=True)
    picture.text(322, 48, "mean", size=11, anchor="end", opacity=0.7)
    picture.text(384, 48, "ratings", size=11, anchor="end", opacity=0.7)
    for place, j in enumerate(items):
        y = 72 + 26 * place
        title = titles[j] if len(titles[j]) <= 33 else titles[j][:32] + "…"
        picture.text(20, y, f"{place + 1}  {title}", size=13, anchor="start")
        picture.text(322, y, f"{shrunk[j]:.2f}", size=13, anchor="end", bold=True)
        picture.text(384, y, f"{counts[j]}", size=13, anchor="end")

    top, low, high = max(counts.max(), 2), R.data.min(), R.data.max()
    ticks = {n: f"{n:g}" for n in (1, 10, 100, 1000, 10_000, 100_000) if n <= top}
    right = picture.axes(462, 30, 410, 380, (0.8, 1.3 * top), (low - 0.1, high + 0.1), xlog=True,
                         xlabel="ratings of the movie (log scale)", ylabel=f"mean ({unit}s)",
                         xticks=ticks, yticks=np.arange(np.ceil(low), high + 0.5),
                         title="Means slide towards μ, those of few ratings first")  # fmt: skip
    rated = np.flatnonzero(counts)
    busiest = rated[np.argsort(-counts[rated], kind="stable")]
    some = np.union1d(busiest[:: max(1, -(-len(rated) // _SHOWN))], items)
    right.line([[0.8, mean], [1.3 * top, mean]], width=1, opacity=0.6)
    right.text(1.3 * top, mean, "μ", dx=6, dy=4, anchor="start")
    tracks = [[[counts[j], raw[j]], [counts[j], shrunk[j]]] for j in some if k]
    if tracks:
        right.line(tracks, width=1, opacity=0.2)
    right.dots(np.column_stack([counts[some], shrunk[some]]), ORANGE, 3, opacity=0.6)
    names = [f"{titles[j]}: {raw[j]:.2f} → {shrunk[j]:.2f}" for j in items]
    right.dots(np.column_stack([counts[items], shrunk[items]]), INK, 6, hollow=True, titles=names)

    x = np.log1p(steps)
    at, low, high = steps.index(k), errors.min(), errors.max()
    room = 0.2 * (high - low) or 0.1
    below = picture.axes(70, 262, 314, 148, (-0.2, x[-1] + 0.2), (low - room, high + room),
                         xticks={np.log1p(n): f"{n}" for n in (0, 1, 4, 20, 100, 1000)},
                         yticks={low: f"{low:.3f}", high: f"{high:.3f}"}, xlabel="k",
                         title="RMSE on ratings held out")  # fmt: skip
    below.line(np.column_stack([x, errors]), ORANGE, 2)
    best = int(np.argmin(errors))
    below.text(x[best], low, f"lowest at k = {steps[best]:g}", dy=20, dx=-12, anchor="start")
    below.dots([[x[at], errors[at]]], INK, 6)
    return picture


class ShrinkIt(Widget):
    """Move k, the number of imagined ratings at μ, and see who leads and how well it predicts.

    Parameters
    ----------
    ratings : Ratings

    Attributes
    ----------
    k : SelectionSlider
        From 0 to 1000, in steps that grow.
    errors : ndarray
        Validation RMSE for each step of k.

    Examples
    --------
    >>> from alsnb import load_movielens
    >>> widget = ShrinkIt(load_movielens("100k"))
    >>> widget.k.value = 20
    >>> widget.report[:39]
    "k = 20: first is Schindler's List (1993"
    """

    def __init__(self, ratings: Ratings):
        self._ratings = ratings
        self.errors = validation_errors(ratings.R)
        self.k = choice("k, imagined ratings at μ", STEPS, 0)
        super().__init__([self.k])

    @property
    def report(self):
        """Who leads, and how well the shrunk means predict."""
        return describe(self._ratings.R, self._ratings.titles, self.k.value, self.errors)

    def picture(self):
        """Return the list, the means and the errors, drawn."""
        ratings = self._ratings
        return draw(ratings.R, ratings.titles, self.k.value, self.errors, unit=ratings.unit)
