"""Alternate by hand: half-steps on the landscape of one user and one movie (chapter 02)."""

from __future__ import annotations

from functools import lru_cache
from math import ceil, floor, log10, sqrt

import contourpy
import numpy as np

from ..plotting import BLUE, GREEN, ORANGE, PURPLE
from .base import Widget, slider
from .picture import INK, Picture

REACH = 2.6  # of the map, from the origin
COLOURS = {"Solve u": BLUE, "Solve v": ORANGE, "Gradient step": PURPLE}
_FAR = 1e3  # where a step that is much too long ends
_SHOWN = 24  # of the last values of J


def objective(u, v, r: float, lam: float):
    """J(u, v) = (r − uv)² + λ (u² + v²): one user, one movie, one factor.

    Examples
    --------
    >>> objective(1.0, 2.0, r=2.0, lam=0.5)
    2.5
    """
    return (r - u * v) ** 2 + lam * (u * u + v * v)


def move(kind: str, u: float, v: float, r: float, lam: float, alpha: float) -> tuple[float, float]:
    """Return where a half-step, or a gradient step of length α, leads from (u, v).

    Examples
    --------
    >>> move("Solve u", u=0.0, v=1.0, r=2.0, lam=1.0, alpha=0.1)
    (1.0, 1.0)
    """
    if kind == "Solve u":
        return r * v / (v * v + lam), v
    if kind == "Solve v":
        return u, r * u / (u * u + lam)
    error = r - u * v
    u, v = u + 2 * alpha * (error * v - lam * u), v + 2 * alpha * (error * u - lam * v)
    return max(-_FAR, min(u, _FAR)), max(-_FAR, min(v, _FAR))


def follow(start, moves, r: float, lam: float, alpha: float) -> list[tuple[float, float]]:
    """Return the points to which `moves` lead from `start`, which comes first."""
    path = [tuple(start)]
    for kind in moves:
        path.append(move(kind, *path[-1], r, lam, alpha))
    return path


def lowest_points(r: float, lam: float) -> np.ndarray:
    """Where J is lowest: two points, or the origin if λ ≥ |r|.

    Examples
    --------
    >>> lowest_points(r=-2.0, lam=1.0)
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    if abs(r) <= lam:
        return np.zeros((1, 2))
    root = sqrt(abs(r) - lam)
    point = np.array([root, np.copysign(root, r)])
    return np.array([point, -point])


@lru_cache(maxsize=512)
def contours(r: float, lam: float) -> list[np.ndarray]:
    """Lines of equal J on the map, each (k, 2)."""
    grid = np.linspace(-REACH, REACH, 53)
    u, v = np.meshgrid(grid, grid)
    lines = contourpy.contour_generator(grid, grid, objective(u, v, r, lam))
    lowest = objective(*lowest_points(r, lam)[0], r, lam)
    return [line for above in np.geomspace(0.05, 60, 13) for line in lines.lines(lowest + above)]


def describe(moves, path, r: float, lam: float) -> str:
    """Say where the last move led, and what it did to J."""
    (u, v), kind = path[-1], moves[-1] if moves else "start"
    J, lowest = objective(u, v, r, lam), objective(*lowest_points(r, lam)[0], r, lam)
    at = f"u = {round(u, 3) + 0:.3f}, v = {round(v, 3) + 0:.3f}"  # + 0: no −0.000
    here = f"Step {len(moves)}, {kind.lower()}: {at}, J = {J:.4g}"
    if max(abs(u), abs(v)) < 1e-6:
        if abs(r) <= lam:
            return f"{here}. This is the origin, the only minimum, since λ is not below |r|."
        return f"{here}. This is the saddle: every step stays here, though J can be {lowest:.4g}."
    if not moves:
        return f"{here}. The lowest J there is, is {lowest:.4g}. Which way will you go?"
    change = J - objective(*path[-2], r, lam)
    if max(abs(u), abs(v)) >= _FAR:
        said = "It ran away: the step is far too long"
    elif abs(change) < 1e-9:
        said = "Nothing moved: in this direction you were at the bottom"
    elif change > 0:
        said = f"J rose by {change:.2g}: the step is too long"
    else:
        said = f"J fell by {-change:.2g}, and is {J - lowest:.2g} above the lowest"
    return f"{here}. {said}."


def draw(moves, path, r: float, lam: float, alpha: float) -> Picture:
    """Draw the landscape with the path and, thin, the next gradient step; and J after each step."""
    picture = Picture(740, 430)
    picture.text(56, 16, "J from above, and your path", anchor="start", bold=True, size=14)
    ticks = (-2, -1, 0, 1, 2)
    land = picture.axes(56, 26, 354, 354, (-REACH, REACH), (-REACH, REACH), xlabel="u (user)",
                        ylabel="v (movie)", xticks=ticks, yticks=ticks)  # fmt: skip
    land.line(contours(r, lam), width=1, opacity=0.3)
    for u, v in lowest_points(r, lam):
        land.text(u, v, "★", GREEN, size=20, dy=7)
    if abs(r) > lam:
        land.text(0, 0, "×", size=20, dy=6, opacity=0.7)
    next_step = move("Gradient step", *path[-1], r, lam, alpha)
    land.line(np.clip([path[-1], next_step], -3 * REACH, 3 * REACH), PURPLE, 1.5, dash=True)
    seen = np.clip(path, -3 * REACH, 3 * REACH)
    for k, kind in enumerate(moves):
        new = k == len(moves) - 1
        land.line(seen[k : k + 2], COLOURS[kind], 2.5, new=new)
    land.dots(seen, [INK, *(COLOURS[kind] for kind in moves)], 3)
    land.dots(seen[-1], radius=7, hollow=True)
    _draw_history(picture, moves, path, r, lam)
    return picture


def _draw_history(picture, moves, path, r, lam):
    J = np.array([objective(u, v, r, lam) for u, v in path])
    lowest = objective(*lowest_points(r, lam)[0], r, lam)
    first = max(0, len(J) - _SHOWN)
    steps, J = np.arange(first, len(path)), J[first:]
    low = floor(log10(max(lowest, 1e-2)))
    high = max(low + 1, ceil(log10(min(max(J.max(), 1e-2), 1e6))))
    picture.text(466, 16, "J after each step", anchor="start", bold=True, size=14)
    span = (first - 0.5, max(first + 12, len(path)) - 0.5)
    frame = picture.axes(466, 26, 258, 354, span, (10.0**low, 10.0**high), xlabel="step", ylog=True,
                         xticks=range(first, int(span[1]) + 1, 4),
                         yticks=[10.0**power for power in range(low, high + 1)])  # fmt: skip
    shown = np.clip(J, 10.0**low, 10.0**high)
    if lowest > 0:
        frame.line([[span[0], lowest], [span[1], lowest]], GREEN, 2, dash=True)
    frame.text(span[1], max(lowest, 10.0**low), f"lowest J: {lowest:.4g}", dy=-6, anchor="end")
    frame.line(np.column_stack([steps, shown]), width=1, opacity=0.5)
    kinds = [INK, *(COLOURS[kind] for kind in moves)][first:]
    frame.dots(np.column_stack([steps, shown]), kinds, 4)


class AlternateByHand(Widget):
    """Alternate by hand on J(u, v) = (r − uv)² + λ (u² + v²).

    The path is that of the buttons pressed so far, from the start that the sliders say: a slider
    moves all of it.

    Parameters
    ----------
    u, v : float
        The start.
    r : float
        The rating; less its mean, it may be negative.
    lam : float
        λ.
    alpha : float
        α, the length of gradient steps.

    Attributes
    ----------
    moves : list of str
        The buttons pressed.
    path : list of (float, float)
        The points to which they led, the start first.

    Examples
    --------
    >>> hand = AlternateByHand(u=-0.4, v=2.0, r=2.0, lam=0.5)
    >>> hand.press("Solve u")
    >>> hand.report
    'Step 1, solve u: u = 0.889, v = 2.000, J = 2.444. J fell by 7.5, and is 0.69 above the lowest.'
    """

    def __init__(self, u: float = -0.4, v: float = 2.2, r: float = 2.0, lam: float = 0.5,
                 alpha: float = 0.1):  # fmt: skip
        self.moves: list[str] = []
        self.u = slider("start u", u, -2.5, 2.5, 0.1)
        self.v = slider("start v", v, -2.5, 2.5, 0.1)
        self.r = slider("rating r", r, -4.0, 4.0, 0.1)
        self.lam = slider("λ", lam, 0.1, 5.0, 0.1)
        self.alpha = slider("α (of gradient steps)", alpha, 0.0, 0.5, 0.01)
        buttons = [
            self.button("Solve u", "Hold v, take the best u: half a step", self._add("Solve u")),
            self.button("Solve v", "Hold u, take the best v: half a step", self._add("Solve v")),
            self.button("Gradient step", "Move both downhill by α", self._add("Gradient step")),
            self.button("Undo", "Take the last step back", self._undo),
            self.button("Start again", "Back to the start", self.moves.clear),
        ]
        super().__init__([self.u, self.v], [self.r, self.lam, self.alpha], buttons)

    def _add(self, kind):
        return lambda: self.moves.append(kind)

    def _undo(self):
        del self.moves[-1:]

    @property
    def path(self) -> list[tuple[float, float]]:
        """The points so far, from the controls and the buttons pressed."""
        start = self.u.value, self.v.value
        return follow(start, self.moves, self.r.value, self.lam.value, self.alpha.value)

    @property
    def report(self) -> str:
        """Where the last step led, and what it did to J."""
        return describe(self.moves, self.path, self.r.value, self.lam.value)

    def picture(self) -> Picture:
        """Return the landscape with the path, and J after each step."""
        settings = self.r.value, self.lam.value, self.alpha.value
        return draw(self.moves, self.path, *settings)
