"""What is known of a newcomer with two factors: an ellipse that shrinks as ratings come (08)."""

from __future__ import annotations

import numpy as np

from ..plotting import BLUE, ORANGE, PURPLE, ellipse, know, short_title
from .base import Widget, slider
from .picture import INK, Picture

LEVEL, Z = 0.9, 1.6449  # of ellipses and intervals; its quantile
SIDE = 400  # px of the plane


def areas_left(V, covariance, noise: float) -> np.ndarray:
    """Return which share of its area the ellipse keeps if each movie of V is rated.

    Examples
    --------
    >>> areas_left(np.array([[0.0, 0.0], [3.0, 4.0]]), np.diag([3.0, 3.0]), noise=5.0)
    array([1. , 0.5])
    """
    return 1 / np.sqrt(1 + np.sum(V @ covariance * V, axis=1) / noise**2)


def draw(V, names, rated: dict, asked, told, beliefs: dict, reach: float) -> Picture:
    """The plane with movies and ellipses; beside it, predictions with their intervals.

    `told` are the names, means and standard deviations of predictions. `beliefs` are pairs of mean
    and covariance: "first", "before" the last rating, "now", and "then", if the movie that is asked
    about gets the stars of the slider.
    """
    picture = Picture(790, SIDE + 62)
    picture.text(46, 18, "What is known of the newcomer", anchor="start", bold=True, size=14)
    ticks = [-1, 0, 1]
    plane = picture.axes(46, 28, SIDE - 20, SIDE - 20, (-reach, reach), (-reach, reach),
                         xlabel="first factor", xticks=ticks, yticks=ticks)  # fmt: skip
    picture.text(14, 28 + (SIDE - 20) / 2, "second factor", angle=-90)
    looks = {
        "first": (INK, 1, {"dash": True, "opacity": 0.6}),
        "before": (BLUE, 1, {"opacity": 0.5}),
        "now": (BLUE, 2.5, {"new": True}),
        "then": (PURPLE, 1.5, {"dash": True}),
    }
    for name, belief in beliefs.items():
        colour, width, look = looks[name]
        plane.line(ellipse(*belief, LEVEL), colour, width, **look)
    plane.dots(beliefs["now"][0], BLUE, 6)
    labels = [f"{name} {rated[k]} ★" if k in rated else name for k, name in enumerate(names)]
    for k in range(len(names)):
        colour = PURPLE if k == asked else ORANGE
        if k in rated:
            plane.line([[0, 0], V[k]], ORANGE, 1.2)
        plane.dots(V[k], colour, 7 if k == asked else 5, hollow=k not in rated)
    _label(plane, [*V, beliefs["now"][0]], labels, asked)
    said = "dashed grey: no rating; thin: before the last; purple: if you rate it"
    plane.text(-reach, -reach, said, dx=6, dy=-8, size=11, anchor="start", opacity=0.7)
    _draw_told(picture, *told)
    return picture


def _label(plane, points, labels, bold):
    """Write each label beside its dot: on the outer side, or where it covers nothing."""
    left, _, width, _ = plane.place
    dots = np.column_stack([plane.x(np.array(points)[:, 0]), plane.y(np.array(points)[:, 1])])
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in dots]
    for k, text in enumerate(labels):
        (x, y), w = dots[k], (6.6 if k == bold else 6) * len(text)
        sides = [("end", -10, 4), ("start", 10, 4)]  # anchor, and the text's offset
        for anchor, dx, dy in sides[:: 1 if points[k][0] < 0 else -1] + _ABOVE_OR_BELOW:
            low = x + dx - w * {"start": 0, "middle": 0.5, "end": 1}[anchor]
            box = low, y + dy - 9, low + w, y + dy + 3
            inside = left < low and low + w < left + width + 20
            if inside and not any(_overlap(box, other) for other in taken):
                break
        taken.append(box)
        plane.text(*points[k], text, dx=dx, dy=dy, size=11, bold=k == bold, anchor=anchor)


_ABOVE_OR_BELOW = [("middle", 0, -9), ("middle", 0, 18)]


def _overlap(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _draw_told(picture, names, means, stds):
    left = SIDE + 66
    picture.text(
        left, 18, "Expected rating (90 %, without noise)", anchor="start", bold=True, size=14
    )
    frame = picture.axes(left, 28, 280, SIDE - 20, (1, 5.5), (len(names), 0), xlabel="stars",
                         xticks=[1, 2, 3, 4, 5])  # fmt: skip
    for k, (name, mean, std) in enumerate(zip(names, means, stds, strict=True)):
        frame.text(1, k + 0.4, name, anchor="start", dx=6, size=11)
        at = k + 0.62
        frame.line([[mean - Z * std, at], [mean + Z * std, at]], BLUE, 3)
        frame.dots([mean, at], BLUE, 5)


class WhatToAsk(Widget):
    """Rate movies for a newcomer with two factors, and see how much is known of them.

    Only the two factors are unknown: their prior is normal, with mean 0 and the same spread in all
    directions, and ratings have normal noise.

    Parameters
    ----------
    V : ndarray, shape (n_items, 2)
        Factors of the movies.
    baseline : ndarray, shape (n_items,)
        What is expected of a stranger, in stars.
    titles : sequence of str
    asked, told : array of int
        Positions of the movies that can be rated (about eight), and of those that are predicted.
    noise, spread : float
        Standard deviation of a rating's noise, in stars, and of people's factors.

    Attributes
    ----------
    stars : slider
        What the next press gives.
    buttons : dict
        One for each movie, by its short title, "Ask me" and "Start again".

    Examples
    --------
    >>> V, titles = np.array([[1.0, 0.0], [0.0, 0.5], [1.0, 1.0]]), ["Jaws", "Emma", "Fargo"]
    >>> widget = WhatToAsk(V, np.full(3, 3.5), titles, [0, 1], [2], noise=0.9, spread=0.5)
    >>> widget.press("Ask me")
    >>> widget.press("Jaws")
    >>> print(widget.report.partition("area. ")[2])
    Fargo: 3.9 ± 1.1 (90 %, without noise). A press gives 5 stars.
    """

    def __init__(self, V, baseline, titles, asked, told, noise: float, spread: float):
        self._V, self._baseline = np.asarray(V, float), np.asarray(baseline, float)
        self._asked, self._told = np.asarray(asked, int), np.asarray(told, int)
        if self._V.ndim != 2 or self._V.shape[1] != 2:
            raise ValueError(f"V needs two columns, got shape {self._V.shape}")
        if not (noise > 0 and spread > 0):
            raise ValueError(f"noise and spread must be positive, got {noise} and {spread}")
        self._noise, self._spread = float(noise), float(spread)
        self._names = [short_title(str(titles[j]), 24) for j in self._asked]
        self._told_names = [short_title(str(titles[j]), 36) for j in self._told]
        if len(set(self._names)) != len(self._names):
            raise ValueError("asked holds a movie twice")
        longest = np.abs(self._V[self._asked]).max()
        self._reach = 1.15 * max(longest, 3.4 * self._spread)
        self.rated: dict[int, int] = {}  # by place in asked, in the order of rating
        self._next, self._previous = None, None
        self.stars = slider("stars", 5, 1, 5, 1)
        movies = [
            self.button(name, f"give {name} so many stars", self._rating_of(k))
            for k, name in enumerate(self._names)
        ]
        ask = self.button("Ask me", "the movie whose rating would tell most", self.ask)
        again = self.button("Start again", "forget all ratings", self.start_again)
        super().__init__([self.stars, ask, again], movies)

    def _rating_of(self, k):
        def rate():
            self._previous = self.belief
            self.rated.pop(k, None)
            self.rated[k] = int(self.stars.value)
            self._next = None

        return rate

    def ask(self) -> None:
        """Mark the movie that would shrink the ellipse most, of those that are not rated."""
        left = areas_left(self._V[self._asked], self.belief[1], self._noise)
        left[list(self.rated)] = 2
        self._next = int(np.argmin(left)) if len(self.rated) < len(left) else None

    def start_again(self) -> None:
        """Forget all ratings."""
        self.rated, self._next, self._previous = {}, None, None

    def _know(self, rated):
        items = self._asked[list(rated)]
        left = np.array([*rated.values()], float) - self._baseline[items]
        return know(self._V[items], left, self._noise, self._spread)

    @property
    def belief(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of the newcomer's two factors."""
        return self._know(self.rated)

    @property
    def predictions(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of what is expected of the movies in `told`, in stars."""
        (mean, covariance), Y = self.belief, self._V[self._told]
        return self._baseline[self._told] + Y @ mean, np.sqrt(np.sum(Y @ covariance * Y, axis=1))

    @property
    def report(self) -> str:
        """How many ratings there are, how much is known, and what to ask."""
        n, (mean, std) = len(self.rated), self.predictions
        said = "No rating yet" if n == 0 else f"{n} rating{'s' if n > 1 else ''}"
        if n:
            last = next(reversed(self.rated))
            stars = self.rated[last]
            said += f"; just now {self._names[last]}: {stars} star{'s' if stars > 1 else ''}"
        area = np.sqrt(np.linalg.det(self.belief[1])) / self._spread**2
        said += f". The ellipse has {area:.0%} of its first area. ".replace("%", " %")
        if self._next is not None:
            left = areas_left(self._V[self._asked], self.belief[1], self._noise)[self._next]
            kept = f"{area * left:.0%}".replace("%", " %")
            said += f"Most informative next: {self._names[self._next]}, which would leave {kept}. "
        gives = self.stars.value
        said += f"{self._told_names[0]}: {mean[0]:.1f} ± {Z * std[0]:.1f} (90 %, without noise). "
        return said + f"A press gives {gives} star{'s' if gives > 1 else ''}."

    def picture(self) -> Picture:
        """Return the plane with its ellipse, and predictions."""
        beliefs = {"first": self._know({})}
        if self._previous is not None:
            beliefs["before"] = self._previous
        beliefs["now"] = self.belief
        if self._next is not None:
            beliefs["then"] = self._know(self.rated | {self._next: self.stars.value})
        told = self._told_names, *self.predictions
        return draw(self._V[self._asked], self._names, self.rated, self._next, told, beliefs,
                    self._reach)  # fmt: skip
