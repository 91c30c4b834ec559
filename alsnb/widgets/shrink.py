"""Chapter 01: how far to draw the mean of a few ratings to the mean of all."""

from __future__ import annotations

import numpy as np

from ..metrics import root_mean_square
from ..plotting import ORANGE
from ..ratings import Ratings, check_table, count_ratings, damped_means, train_test_split
from .base import Widget, choice
from .picture import INK, Picture

STEPS = (0, 1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000)  # of k
_SHOWN = 300  # dots, at most: a picture of all movies would take too long to send


def shrink_means(means, counts, mean: float, k: float) -> np.ndarray:
    """Means of so many ratings, with k more ratings at the mean of all.

    Examples
    --------
    >>> shrink_means(np.array([5.0, 5.0]), np.array([1, 9]), mean=3.0, k=1)
    array([4. , 4.8])
    """
    return mean + (means - mean) * counts / np.maximum(counts + k, 1)


def find_top(means, counts, n: int = 5) -> np.ndarray:
    """Positions of the highest means; of equal ones the most rated first.

    Examples
    --------
    >>> find_top(np.array([4.0, 5.0, 5.0]), np.array([9, 1, 2]), n=2)
    array([2, 1])
    """
    return np.lexsort((-counts, -means.round(12)))[:n]


def validation_errors(R, steps=STEPS) -> np.ndarray:
    """RMSE of shrunk means, for each k, on ratings that are left out of them.

    A test part is cut off first, as chapter 01 cuts it, and is not looked at.
    """
    rest, _ = train_test_split(R, 0.2, rng=0)
    train, validation = train_test_split(rest, 0.2, rng=1)
    shrunk = (damped_means(train, k) for k in steps)
    return np.array([root_mean_square(validation.data - c[validation.indices]) for c in shrunk])


def describe(titles, shrunk, counts, k: float, errors, steps=STEPS) -> str:
    """What this k does to the list and to the errors, in one sentence."""
    top, best = find_top(shrunk, counts), int(np.argmin(errors))
    return (
        f"k = {k:g}: first is {titles[top[0]]} with {shrunk[top[0]]:.2f} stars; the top five have "
        f"{counts[top].min()} to {counts[top].max()} ratings each. "
        f"Validation RMSE {errors[steps.index(k)]:.4f} (lowest: {errors[best]:.4f} at "
        f"k = {steps[best]:g})."
    )


def draw(ratings: Ratings, means, shrunk, counts, k: float, errors, steps=STEPS) -> Picture:
    """The top five, the means sliding to μ, and the validation error against k."""
    top, titles = find_top(shrunk, counts), ratings.titles
    picture = Picture(800, 450)
    _draw_list(picture, titles[top], shrunk[top], counts[top])
    _draw_errors(picture, k, errors, steps)

    (low, high), most = ratings.scale, max(counts.max(), 2)
    ticks = {n: f"{n:g}" for n in (1, 10, 100, 1000, 10_000, 100_000) if n <= most}
    rated = np.flatnonzero(counts)
    busiest = rated[np.argsort(-counts[rated], kind="stable")]
    some = np.union1d(busiest[:: -(-len(rated) // _SHOWN)], top)
    sample = "" if len(some) == len(rated) else f" ({len(some)} of {len(rated)} shown)"
    right = picture.axes(440, 30, 335, 370, (0.8, 1.3 * most), (low - 0.1, high + 0.1), xlog=True,
                         xlabel=f"ratings of the {ratings.item_name} (log scale)", xticks=ticks,
                         ylabel=f"mean ({ratings.unit}s)", yticks=np.linspace(low, high, 5),
                         title=f"Means slide towards μ{sample}")  # fmt: skip
    mean = ratings.R.data.mean()
    right.line([[0.8, mean], [1.3 * most, mean]], width=1, opacity=0.6)
    right.text(1.3 * most, mean, "μ", dx=6, dy=4, anchor="start")
    if k:
        tracks = [[[counts[j], means[j]], [counts[j], shrunk[j]]] for j in some]
        right.line(tracks, width=1, opacity=0.2)
    right.dots(np.column_stack([counts[some], shrunk[some]]), ORANGE, 3, opacity=0.6)
    names = [f"{titles[j]}: {means[j]:.2f} → {shrunk[j]:.2f}" for j in top]
    right.dots(np.column_stack([counts[top], shrunk[top]]), INK, 6, hollow=True, titles=names)
    return picture


def _draw_list(picture, titles, shrunk, counts):
    picture.text(20, 24, "The top five", size=14, anchor="start", bold=True)
    picture.text(322, 48, "mean", size=11, anchor="end", opacity=0.7)
    picture.text(380, 48, "ratings", size=11, anchor="end", opacity=0.7)
    for place, (title, mean, count) in enumerate(zip(titles, shrunk, counts, strict=True)):
        y = 72 + 26 * place
        title = title if len(title) <= 33 else title[:32] + "…"
        picture.text(20, y, f"{place + 1}  {title}", size=13, anchor="start")
        picture.text(322, y, f"{mean:.2f}", size=13, anchor="end", bold=True)
        picture.text(380, y, f"{count}", size=13, anchor="end")


def _draw_errors(picture, k, errors, steps):
    x, low, best = np.log1p(steps), errors.min(), int(np.argmin(errors))
    span = (np.ptp(errors) or 1) / 200  # a log scale that begins so far above the lowest error
    y, top = np.log1p((errors - low) / span), np.log1p(200)
    ticks = {t: f"{low + span * np.expm1(t):.3f}" for t in np.linspace(0, top, 4)}
    below = picture.axes(70, 252, 310, 148, (-0.2, x[-1] + 0.2), (-0.4 * top, 1.2 * top),
                         xticks={np.log1p(n): f"{n}" for n in (0, 1, 4, 20, 100, 1000)},
                         yticks=ticks, xlabel="k",
                         title="Validation RMSE, low end stretched")  # fmt: skip
    below.line(np.column_stack([x, y]), ORANGE, 2)
    below.text(x[best], 0, f"lowest at k = {steps[best]:g}", dy=20, dx=-12, anchor="start")
    at = steps.index(k)
    below.dots([[x[at], y[at]]], INK, 6)


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
        check_table(ratings)
        self._ratings = ratings
        self._counts = count_ratings(ratings.R)[1]
        self._means = damped_means(ratings.R, 0)
        self._mean = ratings.R.data.mean()
        self.errors = validation_errors(ratings.R)
        self.k = choice("k, imagined ratings at μ", STEPS, 0)
        self.k.layout.width = "32em"
        super().__init__([self.k])

    @property
    def shrunk(self) -> np.ndarray:
        """The shrunk mean of each item, in stars."""
        return shrink_means(self._means, self._counts, self._mean, self.k.value)

    @property
    def report(self):
        """Who leads, and how well the shrunk means predict."""
        shown = self.shrunk, self._counts
        return describe(self._ratings.titles, *shown, self.k.value, self.errors)

    def picture(self):
        """Return the list, the means and the errors, drawn."""
        shown = self._means, self.shrunk, self._counts
        return draw(self._ratings, *shown, self.k.value, self.errors)
