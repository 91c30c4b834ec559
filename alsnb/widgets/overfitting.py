"""The overfitting desk of chapter 03: λ, factors and iterations by slider, and what follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..plotting import BLUE, ORANGE
from .base import Widget, choice, slider
from .picture import INK, Picture

_KEYS = ["lambda_reg", "n_factors", "n_iterations"]
_TOP = 2.0  # stars: of the axis; errors of a first iteration may lie above
_CELL = 42, 36  # px of a cell of the table


class ErrorGrid(NamedTuple):
    """Errors of fits: values of λ and f, and RMSE by λ × f × iteration, in stars."""

    lambdas: list[float]
    factors: list[int]
    train: np.ndarray
    held_out: np.ndarray


def read_grid(results: pd.DataFrame) -> ErrorGrid:
    """Turn the table of `grid_search` into an `ErrorGrid`.

    Raises ValueError if it does not hold every λ with every f and every iteration from 1.
    """
    table = results.sort_values(_KEYS)
    lambdas, factors, iterations = (table[key].unique().tolist() for key in _KEYS)
    shape = len(lambdas), len(factors), len(iterations)
    if table[_KEYS].duplicated().any() or len(table) != np.prod(shape):
        raise ValueError(f"results must hold each λ with each f, {shape} rows, not {len(table)}")
    if iterations != list(range(1, len(iterations) + 1)):
        raise ValueError(
            f"results must hold all iterations, n_iterations=range(1, …), {iterations}"
        )
    errors = (table[f"{part}_rmse"].to_numpy().reshape(shape) for part in ("train", "validation"))
    return ErrorGrid(lambdas, factors, *errors)


def describe(grid: ErrorGrid, place: tuple[int, int], iteration: int, baselines: Mapping) -> str:
    """Say in a sentence what the model at a place of the grid does after an iteration."""
    held_out = grid.held_out[:, :, iteration - 1]
    error, lowest = held_out[place], np.unravel_index(held_out.argmin(), held_out.shape)
    beaten = [f"{name} ({value:.3f})" for name, value in baselines.items() if error < value]
    verdict = f"better than {' and '.join(beaten)}" if beaten else "worse than every baseline"
    best = "the lowest in the table" if place == tuple(lowest) else (
        f"lowest in the table is {held_out[lowest]:.3f}, "
        f"at λ = {grid.lambdas[lowest[0]]:g}, f = {grid.factors[lowest[1]]}"
    )  # fmt: skip
    return (
        f"λ = {grid.lambdas[place[0]]:g}, f = {grid.factors[place[1]]}, iteration {iteration}: "
        f"training {grid.train[place][iteration - 1]:.3f}, held out {error:.3f}, {verdict}; {best}."
    )


def draw(grid: ErrorGrid, place: tuple[int, int], iteration: int, baselines: Mapping) -> Picture:
    """Draw the curves of one model, and the held-out errors of all after an iteration."""
    picture = Picture(700, 330)
    train, held_out = grid.train[place], grid.held_out[place]
    last = len(train)
    axes = picture.axes(52, 50, 200, 226, (0.5, last + 0.5), (0, _TOP), xlabel="iteration",
                        ylabel="RMSE (stars)", xticks=[1, *range(5, last + 1, 5)],
                        yticks=[0, 0.5, 1, 1.5, 2])  # fmt: skip
    axes.line([[iteration, 0], [iteration, _TOP]], opacity=0.25)
    for name, value in baselines.items():
        axes.line([[0.5, value], [last + 0.5, value]], width=1, dash=True, opacity=0.6)
        axes.text(last + 0.5, value, f"{name} {value:.3f}", dx=5, dy=4, size=11, anchor="start")
    steps = np.arange(1, last + 1)
    for name, errors, colour, x in (
        ("training", train, BLUE, 52),
        ("held out", held_out, ORANGE, 196),
    ):
        error = errors[iteration - 1]
        axes.line(np.column_stack([steps, errors]), colour, 2.5)
        axes.dots([[iteration, error]], colour, 5)
        picture.text(x, 26, f"{name} {error:.3f}", colour, size=16, anchor="start", bold=True)
    _draw_table(picture, grid, place, iteration, baselines)
    return picture


def _draw_table(picture, grid, place, iteration, baselines):
    """Held-out errors of all models: the paler, the lower; bold those that beat the baselines."""
    held_out, (wide, high) = grid.held_out[:, :, iteration - 1], _CELL
    left, top = 694 - wide * len(grid.factors), 60
    low, bar = held_out.min(), min(baselines.values(), default=-np.inf)
    picture.text(left, 26, f"Held out, iteration {iteration}", size=14, anchor="start", bold=True)
    for b, f in enumerate(grid.factors):
        picture.text(left + (b + 0.5) * wide, top - 8, f"f = {f}" if b == 0 else f, size=11)
    for a, value in enumerate(grid.lambdas):
        y = top + (a + 0.5) * high + 4
        picture.text(
            left - 6, y, f"λ = {value:g}" if a == 0 else f"{value:g}", size=11, anchor="end"
        )
        for b, error in enumerate(held_out[a]):
            x, share = left + b * wide, min((error - low) / 0.8, 1)
            picture.box(x, y - high / 2 - 4, wide - 2, high - 2, ORANGE, opacity=0.1 + 0.6 * share)
            picture.text(x + wide / 2 - 1, y, f"{error:.3f}", size=11.5, bold=error < bar)
    if baselines:
        note = f"bold: better than {min(baselines, key=baselines.get)}"
        picture.text(left, top + high * len(grid.lambdas) + 18, note, anchor="start")
    a, b = place
    picture.box(left + b * wide, top + a * high, wide - 2, high - 2, INK, hollow=True)


class OverfittingDesk(Widget):
    """Choose λ, the number of factors and the iteration; see training and held-out error.

    Nothing is fitted: all errors are in the table.

    Parameters
    ----------
    results : DataFrame
        What `grid_search` returns for a grid of ``lambda_reg`` and ``n_factors``, with
        ``n_iterations=range(1, …)``.
    baselines : mapping of str to float, optional
        Held-out RMSE of simpler predictions, by their names: at most two.

    Attributes
    ----------
    lam, f, iteration
        The sliders.
    grid : ErrorGrid

    Examples
    --------
    >>> from alsnb import grid_search, make_low_rank_ratings, train_test_split
    >>> R, _, _ = make_low_rank_ratings(noise=0.5, rng=0)
    >>> grid = {"lambda_reg": [0.1, 1], "n_factors": [2, 4]}
    >>> desk = OverfittingDesk(
    ...     grid_search(*train_test_split(R, rng=0), grid, n_iterations=[1, 2], verbose=False)
    ... )
    >>> desk.lam.value, desk.iteration.value = 1, 2
    >>> desk.report[:24]
    'λ = 1, f = 4, iteration '
    """

    def __init__(self, results: pd.DataFrame, baselines: Mapping[str, float] | None = None):
        self.grid, self._baselines = read_grid(results), dict(baselines or {})
        lambdas, factors = self.grid.lambdas, self.grid.factors
        last = self.grid.train.shape[2]
        self.lam = choice("λ", lambdas, lambdas[0])
        self.f = choice("f (factors)", factors, factors[-1])
        self.iteration = slider("iteration", last, 1, last, 1)
        super().__init__([self.lam, self.f, self.iteration])

    @property
    def _state(self):
        place = self.grid.lambdas.index(self.lam.value), self.grid.factors.index(self.f.value)
        return self.grid, place, self.iteration.value, self._baselines

    @property
    def report(self) -> str:
        """Say what the chosen model does, and which would be best."""
        return describe(*self._state)

    def picture(self) -> Picture:
        """Return the curves and the table."""
        return draw(*self._state)
