"""The map of the movies, alive: choose two directions, search, and see true neighbours (ch. 03)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import ipywidgets as ipw
import numpy as np

from ..plotting import BLUE, GROUP_COLOURS, place_labels, short_title
from .base import Widget, slider
from .picture import INK, Picture
from .search import find_titles

_N, _BUTTONS, _NAMED = 10, 8, 5
_WIDE, _HIGH = 700, 560  # px of the picture
_AXES = 12, 54, _WIDE - 22, _HIGH - 104
_LETTER = 6.3  # px of a letter of size 12, on average


def nearest(points: np.ndarray, chosen: int, n: int = _N) -> np.ndarray:
    """Positions of the n points nearest to one of them, nearest first.

    Examples
    --------
    >>> nearest(np.array([[0.0, 0.0], [3.0, 0.0], [1.0, 1.0]]), 0, n=2)
    array([2, 1])
    """
    distances = np.linalg.norm(points - points[chosen], axis=1)
    order = np.argsort(distances, kind="stable")
    return order[order != chosen][:n]


def ends(values: np.ndarray, titles, n: int = 2) -> tuple[str, str]:
    """Name the n titles at the low and at the high end of a direction, the outermost first."""
    order = np.argsort(values, kind="stable")
    low, high = (
        [short_title(titles[j], 22) for j in part] for part in (order[:n], order[::-1][:n])
    )
    return ", ".join(low), ", ".join(high)


def describe(points: np.ndarray, titles, plane: tuple[int, int], chosen: int) -> str:
    """Say which movies are nearest in all directions, and how many of them in this plane."""
    near = nearest(points, chosen)
    here = len(np.intersect1d(near, nearest(points[:, plane], chosen)))
    names = ", ".join(short_title(titles[j]) for j in near)
    return (
        f"{short_title(titles[chosen])}: nearest in all {points.shape[1]} directions are {names}. "
        f"In directions {plane[0] + 1} and {plane[1] + 1} alone, {here} of these {len(near)} are "
        f"among the {len(near)} nearest."
    )


def draw(points: np.ndarray, titles, colours, kinds, plane, chosen: int) -> Picture:
    """Draw all movies in a plane, and lines from the chosen one to its neighbours.

    `kinds` maps what the legend says to its colour. Named are the chosen one and those nearest.
    """
    picture, flat = Picture(_WIDE, _HIGH), points[:, plane]
    low, high = flat.min(axis=0), flat.max(axis=0)
    xlim, ylim = np.column_stack([low - 0.06 * (high - low), high + 0.06 * (high - low)])
    axes = picture.axes(*_AXES, xlim, ylim)
    _write_legend(picture, kinds)
    _write_ends(picture, [ends(points[:, direction], titles) for direction in plane], plane)
    for group, opacity in ((colours == INK, 0.35), (colours != INK, 0.65)):
        members = np.flatnonzero(group)
        names = [titles[j] for j in members]
        axes.dots(flat[members], colours[members], 3.5, opacity=opacity, titles=names)
    near = nearest(points, chosen)
    pixels = np.column_stack([axes.x(flat[:, 0]), axes.y(flat[:, 1])])
    picture.line([pixels[[chosen, j]] for j in near], BLUE, 1.2, opacity=0.35)
    picture.dots(pixels[near], BLUE, 5, titles=[titles[j] for j in near])
    picture.dots(pixels[[chosen]], BLUE, 7, titles=[titles[chosen]])
    picture.dots(pixels[[chosen]], INK, 9, hollow=True)
    _write_names(picture, pixels, titles, [chosen, *near])
    return picture


def _write_legend(picture, kinds):
    x = _AXES[0] + 5
    for kind, colour in kinds.items():
        picture.dots([[x, 13]], colour, 5, opacity=0.4 if colour == INK else 1)
        picture.text(x + 10, 17, kind, anchor="start")
        x += 34 + 5.8 * len(kind)


def _write_ends(picture, names, plane):
    """Write what lies at the ends of both directions, all of it level."""
    (west, east), (south, north) = names
    left, top, wide, high = _AXES
    bottom, right = top + high, left + wide
    for x, y, text, anchor in (
        (left, top - 8, f"direction {plane[1] + 1} ↑  {north}", "start"),
        (left, bottom + 19, f"↓ {south}", "start"),
        (left, bottom + 40, f"← {west}", "start"),
        (right, bottom + 40, f"{east}  → direction {plane[0] + 1}", "end"),
    ):
        picture.text(x, y, text, anchor=anchor, opacity=0.8)


def _write_names(picture, pixels, titles, lit):
    """Write the first names beside their dots, the very first one bold; thin lines lead to them."""
    names = [short_title(titles[j]) for j in lit[: 1 + _NAMED]]
    sizes = np.array([(_LETTER * (len(name) + (k == 0)) + 2, 14) for k, name in enumerate(names)])
    left, top, wide, high = _AXES
    limits = left + 2, top, left + wide, top + high
    corners = place_labels(pixels[lit[: len(names)]], sizes, pixels[lit], limits, gap=10, rings=6)
    for corner, size, name, j in zip(corners, sizes, names, lit, strict=False):
        if corner is None:
            continue
        edge = np.clip(pixels[j], corner, corner + size)
        if np.linalg.norm(edge - pixels[j]) > 12:
            picture.line([pixels[j], edge], width=1, opacity=0.6)
        picture.text(corner[0] + 1, corner[1] + 11, name, anchor="start", bold=j == lit[0])


class FactorMap(Widget):
    """Look at movies in any two directions, and at the neighbours of one in all directions.

    A search shows its matches as buttons; without one, the buttons are the neighbours, so that
    one can walk from movie to movie.

    Parameters
    ----------
    points : ndarray, shape (n_movies, n_directions)
        Movies in their principal directions, the widest first.
    titles : sequence of str
        Their titles.
    groups : mapping of str to array of bool, optional
        At most three kinds of movies to be coloured, as for `plot_factor_map`.
    chosen : int
        Position of the movie to begin with.

    Attributes
    ----------
    across, upwards, search
        The sliders of the two directions, counted from 1, and the search box.
    chosen : int

    Raises
    ------
    ValueError
        If titles do not fit points, or there are fewer than two directions.

    Examples
    --------
    >>> points = np.array([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    >>> map_of_three = FactorMap(points, ["Jaws (1975)", "Emma (1996)", "Psycho (1960)"])
    >>> map_of_three.search.value = "EMMA"
    >>> map_of_three.press("Emma")
    >>> map_of_three.search.value = ""
    >>> map_of_three.report[:51]
    'Emma: nearest in all 3 directions are Psycho, Jaws.'
    """

    def __init__(self, points, titles, groups: Mapping | None = None, chosen: int = 0):
        self._points, self._titles = np.asarray(points, float), [str(title) for title in titles]
        if self._points.ndim != 2 or self._points.shape != (
            len(titles),
            max(2, np.shape(points)[1]),
        ):
            raise ValueError(f"{len(titles)} titles and points of shape {np.shape(points)}")
        self._colours = np.full(len(titles), INK, object)
        self._kinds = dict(zip(groups or {}, GROUP_COLOURS, strict=False))
        for kind, colour in self._kinds.items():
            self._colours[np.asarray(groups[kind], bool)] = colour
        if self._kinds:
            self._kinds["both, or neither"] = INK
        self.chosen, last = chosen, self._points.shape[1]
        self.across = slider("direction across", 1, 1, last, 1)
        self.upwards = slider("direction upwards", 2, 1, last, 1)
        self.search = ipw.Text(
            description="Search", placeholder="part of a title", layout={"width": "22em"}
        )
        matches = [self.button(f"match {k}", "Choose this movie", partial(self._choose, k))
                   for k in range(_BUTTONS)]  # fmt: skip
        self._slots, self._offered = matches, []
        super().__init__([self.across, self.upwards], [self.search], matches)

    def _choose(self, k):
        self.chosen = int(self._offered[k])

    @property
    def _plane(self):
        return [self.across.value - 1, self.upwards.value - 1]

    @property
    def _found(self):
        return find_titles(self._titles, self.search.value)

    @property
    def report(self) -> str:
        """Say what is near the chosen movie, or that a search has found nothing."""
        said = describe(self._points, self._titles, self._plane, self.chosen)
        wanted, found = self.search.value.strip(), self._found
        if not wanted:
            return said
        how_many = f"{len(found)} movies match" if len(found) != 1 else "1 movie matches"
        if not len(found):
            return f"No movie of these {len(self._titles)} matches “{wanted}”. {said}"
        shown = f", the first {_BUTTONS} are buttons" if len(found) > _BUTTONS else ""
        return f"{how_many} “{wanted}”{shown}. {said}"

    def picture(self) -> Picture:
        """Return the map."""
        return draw(
            self._points, self._titles, self._colours, self._kinds, self._plane, self.chosen
        )

    def refresh(self) -> None:
        """Show everything again, and offer matches, or neighbours, as buttons."""
        searched = bool(self.search.value.strip())
        self._offered = (self._found if searched else nearest(self._points, self.chosen))[:_BUTTONS]
        short = [short_title(self._titles[j]) for j in self._offered]
        names = [
            name if short.count(name) == 1 else self._titles[j]
            for name, j in zip(short, self._offered, strict=True)
        ]
        for k, button in enumerate(self._slots):
            button.description = names[k] if k < len(names) else ""
            button.layout.display = None if k < len(names) else "none"
        self.buttons = dict(zip(names, self._slots, strict=False))
        super().refresh()
