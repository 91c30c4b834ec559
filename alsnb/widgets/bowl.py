"""The bowl of one row's ridge regression: what λ does to its bottom, and α to descent (02)."""

from __future__ import annotations

import numpy as np

from ..plotting import BLUE, PURPLE
from ..ridge import solve_row
from .base import Widget, choice, slider
from .picture import INK, Picture

LAMBDAS = [m * 10.0**p for p in range(-3, 3) for m in (1, 2, 5)] + [1000.0]
WALK = np.geomspace(LAMBDAS[0], LAMBDAS[-1], 61)  # for lines over all λ
N_STEPS = 30  # of descent that are drawn


def directions(Y) -> tuple[np.ndarray, np.ndarray]:
    """Return s² of the steep and of the flat direction of the bowl, and the two as columns.

    Examples
    --------
    >>> squares, Q = directions(np.array([[2.0, 0.0], [0.0, 1.0]]))
    >>> squares
    array([4., 1.])
    """
    squares, Q = np.linalg.eigh(Y.T @ Y)
    return np.maximum(squares[::-1], 0.0), Q[:, ::-1]


def kept(Y, lam: float) -> np.ndarray:
    """Share of the fit without λ that is kept in each direction, s² / (s² + λ).

    Examples
    --------
    >>> kept(np.array([[2.0, 0.0], [0.0, 1.0]]), lam=1.0)
    array([0.8, 0.5])
    """
    squares, _ = directions(Y)
    return squares / (squares + lam)


def factors(Y, lam: float, pace: float) -> np.ndarray:
    """By what a step multiplies the distance to the bottom, 1 − 2α(s² + λ), in each direction.

    `pace` is α times the steep direction's s² + λ; a step diverges where it is above 1.

    Examples
    --------
    >>> factors(np.array([[2.0, 0.0], [0.0, 1.0]]), lam=1.0, pace=0.5)
    array([0. , 0.6])
    """
    curvatures = directions(Y)[0] + lam
    return 1 - 2 * pace * curvatures / curvatures[0]


def descend(Y, r, lam: float, pace: float, start, n_steps: int = N_STEPS) -> np.ndarray:
    """Return the points of gradient descent, `start` first, as (n_steps + 1, 2)."""
    bottom, (_, Q) = solve_row(Y, r, lam), directions(Y)
    shares = factors(Y, lam, pace) ** np.arange(n_steps + 1)[:, None]
    return bottom + shares * (Q.T @ (start - bottom)) @ Q.T


def steps_to(Y, r, lam: float, pace: float, start, share: float = 0.01) -> int | None:
    """Steps until that share of the first distance to the bottom is left; None if never."""
    multipliers, Q = np.abs(factors(Y, lam, pace)), directions(Y)[1]
    parts = np.abs(Q.T @ (start - solve_row(Y, r, lam)))
    goal = share * np.linalg.norm(parts)
    if np.max(multipliers[parts > goal], initial=0) >= 1:
        return None
    low, high = 0, 1
    while np.linalg.norm(parts * multipliers**high) > goal:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        far = np.linalg.norm(parts * multipliers**middle) > goal
        low, high = (middle, high) if far else (low, middle)
    return high


def minima(Y, r, lambdas) -> np.ndarray:
    """Return the bottoms of the bowl, one row for each λ.

    Examples
    --------
    >>> minima(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([4.0, 3.0]), [1.0, 6.0])
    array([[1.6       , 1.5       ],
           [0.8       , 0.42857143]])
    """
    squares, Q = directions(Y)
    return Q.T @ (Y.T @ r) / (squares + np.reshape(lambdas, (-1, 1))) @ Q.T


def ellipses(Y, r, lam: float, reach: float) -> list[np.ndarray]:
    """Lines of equal J around the bottom, (k, 2) each, out to `reach` in the steep direction."""
    squares, Q = directions(Y)
    angle = np.linspace(0, 2 * np.pi, 73)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    circle *= np.sqrt((squares[0] + lam) / (squares + lam))
    bottom = solve_row(Y, r, lam)
    return [bottom + radius * circle @ Q.T for radius in reach * np.linspace(0.06, 1, 16) ** 1.6]


def describe(Y, r, lam: float, pace: float, start) -> str:
    """Say where the bottom is, and how descent gets there."""
    x = np.round(solve_row(Y, r, lam), 6) + 0.0  # which makes −0 of what is nothing a 0
    multipliers = np.round(factors(Y, lam, pace), 6) + 0.0
    steps = steps_to(Y, r, lam, pace, start)
    if multipliers[0] < -1:
        how = "explodes"
    elif steps is None:
        how = "never arrives"
    else:
        manner = "zigzags" if multipliers[0] < 0 else "creeps"
        how = f"{manner}: {steps:,} steps until 1 % of the distance is left"
    one = len(r) == 1
    return (
        f"{len(r)} rating{'' if one else 's'}, λ = {lam:g}: x = ({x[0]:.2f}, {x[1]:.2f}), "
        f"‖x‖ = {np.linalg.norm(x):.2f}, ‖Yx − r‖ = {np.linalg.norm(Y @ x - r):.2f}. "
        f"A step of descent multiplies the distance by {multipliers[0]:.2f} (steep) and "
        f"{multipliers[1]:.3f} (flat); it {how}."
    )


def draw(Y, r, lam: float, pace: float, start, view) -> Picture:
    """Draw the bowl with its bottom, the walk of the bottom and descent; beside it, the numbers."""
    picture, (middle, reach) = Picture(740, 430), view
    picture.text(56, 16, "The row's bowl from above", anchor="start", bold=True, size=14)
    limits = [(c - reach, c + reach) for c in middle]
    ticks = [range(int(np.ceil(low)), int(np.floor(high)) + 1) for low, high in limits]
    bowl = picture.axes(56, 26, 354, 354, *limits, xlabel="first factor", ylabel="second factor",
                        xticks=ticks[0], yticks=ticks[1])  # fmt: skip
    bowl.line(ellipses(Y, r, lam, 2.5 * reach), width=1, opacity=0.3)
    bowl.dots((0, 0), radius=4)
    bowl.text(0, 0, "origin", dx=-6, dy=16, anchor="end")
    path = np.clip(descend(Y, r, lam, pace, start), -1e3, 1e3)
    bowl.line(path, PURPLE, 1.5)
    bowl.dots(path, PURPLE, 2.5)
    bowl.text(*start, "descent", dx=8, dy=4, anchor="start")
    walk = minima(Y, r, WALK)
    bowl.line(walk, BLUE, 2.5)
    bowl.dots(walk[0], BLUE, 6, hollow=True)
    bowl.text(*walk[0], "λ → 0", dx=-10, dy=4, anchor="end")
    bowl.dots(solve_row(Y, r, lam), BLUE, 7)
    _draw_kept(picture, Y, lam)
    _draw_lengths(picture, Y, r, lam, walk)
    return picture


def _draw_kept(picture, Y, lam):
    picture.text(466, 16, "Kept of the fit: s² / (s² + λ)", anchor="start", bold=True, size=14)
    frame = picture.axes(516, 26, 170, 84, (0, 1), (0, 2), xticks=(0, 0.5, 1))
    names = "steep", "flat"
    for y, name, share, square in zip((1.15, 0.15), names, kept(Y, lam), directions(Y)[0],
                                      strict=True):  # fmt: skip
        frame.box(0, y, share, 0.7, BLUE)
        frame.text(0, y + 0.25, name, dx=-8, anchor="end")
        frame.text(share, y + 0.25, f"{share:.2f}", dx=6, anchor="start")
        frame.box(0, y, 1, 0.7, opacity=0.06, title=f"s² = {square:.3g}")


def _draw_lengths(picture, Y, r, lam, walk):
    picture.text(466, 176, "Longer vector, smaller error", anchor="start", bold=True, size=14)
    lengths, errors = np.linalg.norm(walk, axis=1), np.linalg.norm(walk @ Y.T - r, axis=1)
    top = 1.2 * max(lengths.max(), errors.max())
    powers = {10.0**p: label for p, label in ((-3, "0.001"), (0, "1"), (3, "1000"))}
    ticks = range(0, int(top) + 1, 1 + int(top) // 5)
    frame = picture.axes(490, 190, 196, 190, (1e-3, 1e3), (0, top), xlabel="λ", xlog=True,
                         xticks=powers, yticks=ticks)  # fmt: skip
    frame.line([[lam, 0], [lam, top]], width=1, opacity=0.3)
    x = solve_row(Y, r, lam)
    for values, now, colour in (
        (lengths, np.linalg.norm(x), BLUE),
        (errors, np.linalg.norm(Y @ x - r), INK),
    ):
        frame.line(np.column_stack([WALK, values]), colour, 2)
        frame.dots((lam, now), colour, 5)
    frame.text(WALK[0], lengths[0], "‖x‖", dx=4, dy=-8, anchor="start")
    frame.text(WALK[-1], errors[-1], "‖Yx − r‖", dx=2, dy=-8, anchor="end")


class RidgeBowl(Widget):
    """The ridge regression of one row with two factors: λ moves the bottom, α the way there.

    Parameters
    ----------
    Y : ndarray, shape (n_ratings, 2)
        Factors of what the row has rated.
    r : ndarray, shape (n_ratings,)
        The ratings, in stars.
    n_ratings : int
        How many of them, the first ones, to begin with.
    lam : float
        λ: one of 0.001, 0.002, 0.005, …, 1000.
    pace : float
        α (s² + λ) of the steep direction: gradient descent explodes above 1.
    start : (float, float)
        Where gradient descent begins.

    Examples
    --------
    >>> bowl = RidgeBowl(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([4.0, 3.0]), 2, lam=1.0)
    >>> bowl.report.partition(". A")[0]
    '2 ratings, λ = 1: x = (1.60, 1.50), ‖x‖ = 2.19, ‖Yx − r‖ = 1.70'
    """

    def __init__(self, Y, r, n_ratings: int = 2, lam: float = 0.1, pace: float = 0.9,
                 start=(1.5, 2.5)):  # fmt: skip
        self._Y, self._r, self._start = np.asarray(Y, float), np.asarray(r, float), np.array(start)
        if self._Y.shape != (len(self._r), 2):
            raise ValueError(f"Y needs two columns and a row for each rating, got {self._Y.shape}")
        walks = [minima(self._Y[:n], self._r[:n], WALK) for n in range(1, len(self._r) + 1)]
        points = np.vstack([*walks, np.zeros(2), self._start])
        self._view = (points.max(0) + points.min(0)) / 2, 0.68 * np.ptp(points, axis=0).max()
        self.n_ratings = slider("ratings of the row", n_ratings, 1, len(self._r), 1)
        self.lam = choice("λ", LAMBDAS, lam)
        self.pace = slider("α, in units of 1 / (s₁² + λ)", pace, 0.0, 1.2, 0.05)
        super().__init__([self.n_ratings, self.lam], [self.pace])

    def _state(self):
        n = self.n_ratings.value
        return self._Y[:n], self._r[:n], self.lam.value, self.pace.value, self._start

    @property
    def report(self) -> str:
        """Where the bottom is, and how descent gets there."""
        return describe(*self._state())

    def picture(self) -> Picture:
        """Return the bowl, the walk of its bottom, descent, and the numbers."""
        return draw(*self._state(), self._view)
