"""The gift of chapter 05: how much too good a report is, if the test set has chosen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..als import ALS
from ..metrics import calculate_residuals
from ..plotting import GREEN, ORANGE
from ..ratings import check_rng
from .base import Widget, choice
from .picture import INK, Picture

SIZES = [100, 300, 1000, 3000, 20000]


class Gifts(NamedTuple):
    """Reported less true RMSE by the number of models tried (from 1) × repeat, in stars."""

    by_test: np.ndarray
    by_validation: np.ndarray


def squared_errors_of(
    R_train, R_held_out, lambdas, seeds, *, n_iterations=20, clip=None, **settings
) -> np.ndarray:
    """Squared errors of a model after each iteration, for each λ and each seed.

    Each iteration is a model of its own, as it is to those who keep the best of all epochs.

    Parameters
    ----------
    R_train, R_held_out : scipy.sparse array or matrix, shape (n_users, n_items)
    lambdas, seeds : iterables
    n_iterations : int
    clip : (float, float), optional
        As for `calculate_residuals`.
    **settings
        Other settings of `ALS`.

    Returns
    -------
    ndarray of float32, shape (n_lambdas * n_seeds * n_iterations, n_ratings)
        In squared stars, in the order of `R_held_out.data`.

    Examples
    --------
    >>> from alsnb import make_low_rank_ratings, train_test_split
    >>> R, _, _ = make_low_rank_ratings(rng=0)
    >>> parts = train_test_split(R, rng=0)
    >>> squared_errors_of(*parts, [1, 3], range(4), n_iterations=5, n_factors=2).shape
    (40, 144)
    """
    errors = []

    def note(iteration, U, V):
        residuals = calculate_residuals(R_held_out, U, V, clip=clip)
        errors.append(np.square(residuals, dtype=np.float32))

    options = {"dtype": np.float32, "verbose": False, "callback": note}
    for lam in lambdas:
        for seed in seeds:
            ALS(lambda_reg=lam, **settings).fit(R_train, n_iterations, rng=seed, **options)
    return np.array(errors)


def make_gifts(squared_errors, size: int, n_repeats: int = 200, rng=0) -> Gifts:
    """Draw test sets, let them choose among models, and compare the report with the truth.

    The ratings given stand for all there are. In each repeat a test set and a validation set of
    the same size are drawn from them, with replacement, and models are tried in a random order.
    The first m of them are compared on the one or the other; the best is reported with its error
    on the test set. Its true error is that over all ratings.

    Parameters
    ----------
    squared_errors : ndarray, shape (n_models, n_ratings)
        Of each model at each rating, in squared stars.
    size : int
        Ratings of a test set.
    n_repeats : int
    rng : int or numpy.random.Generator

    Returns
    -------
    Gifts
        Chosen by the test set, and by the validation set.

    Examples
    --------
    >>> errors = np.random.default_rng(0).chisquare(1, (50, 400))
    >>> gifts = make_gifts(errors, 20)
    >>> gifts.by_test.shape
    (50, 200)
    >>> print(f"{gifts.by_test[0].mean():+.1f}, of 50: {gifts.by_test[-1].mean():+.1f}")
    -0.0, of 50: -0.3
    """
    E, rng = np.asarray(squared_errors, np.float32), check_rng(rng)
    n_models, n_ratings = E.shape
    true = np.sqrt(E.mean(axis=1, dtype=float))
    test, validation = (
        np.sqrt(E @ _counts(n_ratings, size, n_repeats, rng) / size) for _ in range(2)
    )
    order = rng.permuted(np.tile(np.arange(n_models)[:, None], n_repeats), axis=0)
    found = []
    for errors in (test, validation):
        chosen = np.take_along_axis(order, _best_so_far(np.take_along_axis(errors, order, 0)), 0)
        found.append(np.take_along_axis(test, chosen, 0) - true[chosen])
    return Gifts(*found)


def _counts(n_ratings, size, n_repeats, rng):
    """How often each rating is drawn, for each repeat."""
    drawn = rng.integers(n_ratings, size=(n_repeats, size))
    return np.array([np.bincount(one, minlength=n_ratings) for one in drawn], np.float32).T


def _best_so_far(errors):
    """Row of the lowest error among the first 1, 2, … rows, for each column."""
    lowest = np.minimum.accumulate(errors, axis=0)
    new = np.vstack([np.ones((1, errors.shape[1]), bool), errors[1:] < lowest[:-1]])
    return np.maximum.accumulate(np.where(new, np.arange(len(errors))[:, None], 0), axis=0)


def describe(gifts: Gifts, tried: int, size: int) -> str:
    """Say in a sentence how far off the report is, if the test set chooses, and if it does not."""
    models = "model" if tried == 1 else "models"
    off = []
    for values in gifts:
        error = values[tried - 1].std(ddof=1) / np.sqrt(values.shape[1])
        off.append(f"{_signed(values[tried - 1].mean())} ± {error:.3f}")
    return (
        f"{tried:,} {models}, {size:,} test ratings. Chosen on the test set, the report is off "
        f"by {off[0]} stars on average; chosen on a validation set of that size, by {off[1]}."
    )


def _ticks(reach):
    """Values on either side of zero, with their labels."""
    return {x: f"{x:+.2f}".replace("-", "−") if x else "0" for x in np.linspace(-reach, reach, 5)}


def _signed(value):
    return f"{value:+.3f}".replace("-", "−").replace("+0.000", "0.000").replace("−0.000", "0.000")


def draw(gifts: Gifts, tried: int, size: int) -> Picture:
    """Draw both histograms, one above the other, on the same axis."""
    picture = Picture(700, 380)
    widest = 1.1 * np.quantile(np.abs(gifts.by_test[[0, -1]]), 0.99)
    reach = np.ceil(50 * widest) / 50  # in steps of 0.02
    bins = np.linspace(-reach, reach, 32)
    rows = (
        ("chosen on the test set", gifts.by_test[tried - 1], GREEN, 44),
        ("chosen on a validation set", gifts.by_validation[tried - 1], ORANGE, 206),
    )
    for name, values, colour, y in rows:
        counts, _ = np.histogram(np.clip(values, -reach, reach), bins)
        top, last = 1.25 * counts.max(), y > 100
        axes = picture.axes(
            30, y, 640, 120, (-reach, reach), (0, top),
            xlabel="reported − true RMSE (stars)" if last else "",
            xticks=_ticks(reach) if last else None,
        )  # fmt: skip
        for left, count in zip(bins, counts, strict=False):
            if count:
                title = f"{count} of {len(values)} repeats"
                axes.box(left, 0, bins[1] - bins[0], count, colour, opacity=0.75, title=title)
        axes.line([[0, 0], [0, top]], INK, 1, dash=True, opacity=0.7)
        mean = values.mean()
        axes.line([[mean, 0], [mean, top]], INK, 2.5)
        picture.text(30, y - 10, f"{name}: mean {_signed(mean)}", colour, size=16, anchor="start",
                     bold=True)  # fmt: skip
    return picture


class Gift(Widget):
    """Try more models, or test on fewer ratings, and see how much the test set gives away.

    Parameters
    ----------
    squared_errors : ndarray, shape (n_models, n_ratings)
        Of each model at each held-out rating, in squared stars.
    sizes : sequence of int
        Sizes of test sets to choose from.
    n_repeats : int
        Test sets drawn of each size.

    Attributes
    ----------
    tried, size
        The sliders.

    Examples
    --------
    >>> gift = Gift(np.random.default_rng(0).chisquare(1, (20, 400)), sizes=[20, 100])
    >>> gift.tried.value, gift.size.value = 20, 20
    >>> gift.report[:31]
    '20 models, 20 test ratings. Cho'
    """

    def __init__(self, squared_errors, sizes=SIZES, n_repeats: int = 200):
        self._gifts = {size: make_gifts(squared_errors, size, n_repeats) for size in sizes}
        n_models = len(squared_errors)
        steps = [m for m in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if m < n_models]
        self.tried = choice("models tried", [*steps, n_models], steps[min(3, len(steps) - 1)])
        self.size = choice("ratings in the test set", list(sizes), list(sizes)[len(sizes) > 2])
        super().__init__([self.tried, self.size])

    def gifts(self, tried: int, size: int) -> Gifts:
        """What each repeat gives with so many models and test ratings, in stars."""
        return Gifts(*(values[tried - 1] for values in self._gifts[size]))

    @property
    def _state(self):
        return self._gifts[self.size.value], self.tried.value, self.size.value

    @property
    def report(self) -> str:
        """Say what the test set gives, if it chooses, and what it gives if not."""
        return describe(*self._state)

    def picture(self) -> Picture:
        """Return both histograms."""
        return draw(*self._state)
