"""The landscape of chapter 05: λ and f by slider, and a test set that can be opened once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..plotting import BLUE, GREEN, ORANGE
from .base import Widget, choice
from .picture import INK, Picture

_CELL = 50, 52  # px of a cell of the map
_REACH = 0.2  # stars above the lowest error, where colours and axes end


class ErrorMap(NamedTuple):
    """Errors of fits, in stars: values of λ and f, and RMSE by λ × f."""

    lambdas: list[float]
    factors: list[int]
    train: np.ndarray
    validation: np.ndarray


def read_landscape(found: pd.DataFrame) -> ErrorMap:
    """Turn the table of `grid_search` into an `ErrorMap`.

    Raises ValueError if it does not hold every λ with every f once.
    """
    tables = [
        found.pivot_table(part, "lambda_reg", "n_factors", aggfunc=list)
        for part in ("train_rmse", "validation_rmse")
    ]
    if not all(isinstance(one, list) and len(one) == 1 for one in tables[1].to_numpy().flat):
        raise ValueError("found must hold each λ with each f once; one n_iterations will do")
    errors = (table.map(lambda one: one[0]).to_numpy(float) for table in tables)
    return ErrorMap(tables[1].index.tolist(), tables[1].columns.tolist(), *errors)


def lowest(land: ErrorMap) -> tuple[int, int]:
    """Place of the lowest validation error, in λ and f."""
    return tuple(int(k) for k in np.unravel_index(land.validation.argmin(), land.validation.shape))


def edges(land: ErrorMap) -> list[str]:
    """Say at which edges of the map the lowest error lies."""
    a, b = lowest(land)
    said = [
        f"{name} = {values[k]:g} is the {which} tried"
        for name, values, k in (("λ", land.lambdas, a), ("f", land.factors, b))
        for edge, which in ((0, "smallest"), (len(values) - 1, "largest"))
        if k == edge and len(values) > 1
    ]
    return said


def describe(penalty: str, land: ErrorMap, place: tuple[int, int], opened: dict | None) -> str:
    """Say in a sentence what the present place is like, and what is known of the test set."""
    a, b = place
    best, where = lowest(land), "the lowest of this map"
    if place != best:
        where = f"the lowest of this map is {land.validation[best]:.3f}"
    elif at := edges(land):
        where += f", but {' and '.join(at)}: widen the list"
    here = (
        f"{penalty}, λ = {land.lambdas[a]:g}, f = {land.factors[b]}: training "
        f"{land.train[place]:.3f}, validation {land.validation[place]:.3f} ({where})."
    )
    if opened is None:
        return f"{here} The test set is closed."
    report = (
        f"The test set was opened for {opened['penalty']}, λ = {opened['lam']:g}, "
        f"f = {opened['f']}: test RMSE {opened['test']:.3f}, where validation said "
        f"{opened['validation']:.3f}. "
    )
    again = (
        f"You have asked {opened['asked']} times, and it opens once: to choose again after a look "
        "is to choose on the test set."
    )
    return f"{here} {report}{again if opened['asked'] > 1 else 'It has been used now.'}"


def draw(penalty: str, land: ErrorMap, place: tuple[int, int], opened: dict | None) -> Picture:
    """Draw the map with the present place ringed and the best marked, and two cuts through it."""
    picture = Picture(760, 370)
    _draw_map(picture, penalty, land, place)
    low = land.validation.min()
    a, b = place
    for part, error, x, anchor in (
        ("training", land.train[place], 478, "start"),
        ("validation", land.validation[place], 740, "end"),
    ):
        colour = BLUE if part == "training" else ORANGE
        picture.text(x, 26, f"{part} {error:.3f}", colour, size=14, anchor=anchor, bold=True)
    cuts = (
        (f"λ, at f = {land.factors[b]}", np.array(land.lambdas), np.s_[:, b], a, 46),
        (f"f, at λ = {land.lambdas[a]:g}", np.array(land.factors), np.s_[a, :], b, 214),
    )
    for name, values, cut, k, y in cuts:
        limits = values[0] / 1.15, values[-1] * 1.15
        top = max(1.3, low + _REACH)
        axes = picture.axes(
            478, y, 262, 112, limits, (0.4, top), xlabel=name, xlog=True,
            xticks=values, yticks=[0.4, 0.6, 0.8, 1.0, 1.2],
        )  # fmt: skip
        for errors, colour in ((land.train[cut], BLUE), (land.validation[cut], ORANGE)):
            axes.line(np.column_stack([values, errors]), colour, 2.5)
            axes.dots([[values[k], errors[k]]], colour, 5)
    below = 62 + _CELL[1] * len(land.factors) + 32
    if opened is not None:
        text = f"test {opened['test']:.3f}, used"
        picture.text(60, below, text, GREEN, size=18, anchor="start", bold=True)
    else:
        picture.text(60, below, "test: closed", INK, size=14, anchor="start", opacity=0.7)
    return picture


def _draw_map(picture, penalty, land, place):
    (wide, high), left, top = _CELL, 60, 62
    picture.text(left, 26, f"Validation RMSE, {penalty}", size=14, anchor="start", bold=True)
    best = lowest(land)
    for a, lam in enumerate(land.lambdas):
        x = left + a * wide
        picture.text(x + wide / 2, top - 8, f"λ = {lam:g}" if a == 0 else f"{lam:g}", size=11)
        for b, f in enumerate(land.factors):
            y, error = top + b * high, land.validation[a, b]
            share = min((error - land.validation[best]) / _REACH, 1)
            title = f"λ = {lam:g}, f = {f}: {error:.4f}"
            picture.box(x, y, wide - 2, high - 2, ORANGE, opacity=0.1 + 0.6 * share, title=title)
            here = (a, b) == best
            text = f"{error:.3f}"
            picture.text(x + wide / 2 - 1, y + high / 2 + 3, text, size=12, bold=here)
            if here:
                picture.text(x + wide / 2 - 1, y + high / 2 + 17, "★ best", size=9)
            if a == 0:
                label = f"f = {f}" if b == 0 else f"{f}"
                picture.text(left - 6, y + high / 2 + 3, label, size=11, anchor="end")
    a, b = place
    picture.box(left + a * wide, top + b * high, wide - 2, high - 2, INK, hollow=True)


class Landscape(Widget):
    """Walk over validation errors, choose a place, and open the test set, once.

    Parameters
    ----------
    found : mapping of str to DataFrame
        For each kind of penalty, what `grid_search` returns for a grid of ``lambda_reg`` and
        ``n_factors`` with one number of iterations.
    test : callable
        Called once, ``test(penalty, lam, f)``: fits with these settings, and returns the test RMSE.

    Attributes
    ----------
    penalty, lam, f
        The sliders. λ is in steps through the list of the penalty that is chosen.
    opened : dict or None
        What was found when the test set was opened.

    Examples
    --------
    >>> from alsnb import grid_search, make_low_rank_ratings, train_test_split
    >>> R, _, _ = make_low_rank_ratings(noise=0.5, rng=0)
    >>> grid = {"lambda_reg": [0.1, 1], "n_factors": [1, 2, 4]}
    >>> found = grid_search(*train_test_split(R, rng=0), grid, verbose=False)
    >>> desk = Landscape({"plain": found}, lambda penalty, lam, f: 0.75)
    >>> desk.press("Open the test set")
    >>> desk.report[-21:]
    'It has been used now.'
    """

    def __init__(self, found: Mapping[str, pd.DataFrame], test: Callable[[str, float, int], float]):
        self._lands = {name: read_landscape(table) for name, table in found.items()}
        self._test, self.opened = test, None
        first = next(iter(self._lands))
        land = self._lands[first]
        self.penalty = choice("penalty", list(self._lands), first)
        self.lam = choice("λ", land.lambdas, land.lambdas[0])
        self.f = choice("f (factors)", land.factors, land.factors[-1])
        self.penalty.observe(self._change_lists, "value")  # before what draws
        button = self.button("Open the test set", "Fit with these settings; once only", self._open)
        super().__init__([self.penalty, self.lam, self.f, button])

    def _change_lists(self, change):
        """Offer the λ and f of another penalty, at the same places of their lists."""
        land = self._lands[change["new"]]
        for control, values in ((self.lam, land.lambdas), (self.f, land.factors)):
            k = min(control.index, len(values) - 1)
            control.options = [(f"{value:g}", value) for value in values]  # now at the first
            control.index = k

    def _open(self):
        if self.opened is not None:
            self.opened["asked"] += 1
            return
        penalty, land, (a, b), _ = self._state
        test = float(self._test(penalty, land.lambdas[a], land.factors[b]))
        place = {"penalty": penalty, "lam": land.lambdas[a], "f": land.factors[b]}
        self.opened = place | {"validation": land.validation[a, b], "test": test, "asked": 1}

    @property
    def _state(self):
        land = self._lands[self.penalty.value]
        place = min(self.lam.index, len(land.lambdas) - 1), min(self.f.index, len(land.factors) - 1)
        return self.penalty.value, land, place, self.opened

    @property
    def report(self) -> str:
        """Say what the present place is like, and what is known of the test set."""
        return describe(*self._state)

    def picture(self) -> Picture:
        """Return the map and the cuts."""
        return draw(*self._state)
