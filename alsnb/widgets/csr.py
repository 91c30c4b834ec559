"""Chapter 01: a small matrix, and the three arrays that store it, changed by hand."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from ..plotting import BLUE, ORANGE
from .base import Widget, ipw, slider
from .picture import INK, Picture

_BUTTON = {"width": "3em", "padding": "0"}
TOY = ((5, 0, 4, 0, 0), (0, 3, 0, 0, 1), (0, 0, 0, 0, 0), (4, 2, 0, 5, 3))
_CELL, _ARRAYS = 27, 260  # px: a side of a cell, the left edge of the arrays


def press_cell(R, i: int, j: int, stars: float) -> sp.csr_array:
    """Return R with this cell cleared, or rated if it was empty.

    Examples
    --------
    >>> R = press_cell(sp.csr_array((2, 2)), 0, 1, 4)
    >>> R.toarray().tolist(), press_cell(R, 0, 1, 4).nnz
    ([[0.0, 4.0], [0.0, 0.0]], 0)
    """
    dense = R.toarray()
    dense[i, j] = 0 if dense[i, j] else stars
    return sp.csr_array(dense)


def describe(R, i: int, transposed: bool = False) -> str:
    """What indptr says of row i, in one sentence."""
    row, column = ("movie", "user") if transposed else ("user", "movie")
    start, stop = (int(place) for place in R.indptr[i : i + 2])
    where = f"{row} {i} is the slice {start}:{stop}, from indptr[{i}] to indptr[{i + 1}]"
    if start == stop:
        return f"{where}: both arrows point to one spot, and the row is empty."
    stars = ", ".join(f"{r:g}" for r in R.data[start:stop])
    columns = ", ".join(f"{j}" for j in R.indices[start:stop])
    many = "s" if stop - start > 1 else ""
    return f"{where}: stars {stars}, {column}{many} {columns}."


def _cell(picture, x, y, text, colour, lit):
    picture.box(x, y, _CELL - 2, _CELL - 2, colour if lit else INK, opacity=0.45 if lit else 0.1)
    picture.text(x + _CELL / 2 - 1, y + 18, text, bold=lit, size=13)


def _arrow(picture, start, end, colour, lit):
    (x, y), (tip_x, tip_y) = start, end
    along = np.array([tip_x - x, tip_y - y]) / np.hypot(tip_x - x, tip_y - y)
    across = np.array([-along[1], along[0]])
    tip = np.array([tip_x, tip_y])
    head = [tip - 8 * along + 4 * across, tip, tip - 8 * along - 4 * across]
    style = {"width": 2.5 if lit else 1.2, "opacity": 1 if lit else 0.35}
    picture.line([[start, end], head], colour if lit else INK, **style)


def draw(R, i: int, transposed: bool = False) -> Picture:
    """The matrix, its three arrays, and an arrow from each entry of indptr; row i is lit."""
    n, m = R.shape
    colour, row, column = (ORANGE, "movie", "user") if transposed else (BLUE, "user", "movie")
    start, stop = R.indptr[i : i + 2]
    picture = Picture(max(560, _ARRAYS + R.nnz * _CELL + 20), 260)
    left, top = 46, 56
    picture.text(left + m * _CELL / 2, 18, f"{column}s", opacity=0.7)
    picture.text(12, top + n * _CELL / 2, f"{row}s", angle=-90, opacity=0.7)
    for j in range(m):
        picture.text(left + (j + 0.5) * _CELL - 1, 44, j, size=11, opacity=0.7)
    for a in range(n):
        picture.text(left - 10, top + a * _CELL + 18, a, colour if a == i else INK, bold=a == i)
        for j, r in enumerate(R[[a]].toarray()[0]):
            _cell(picture, left + j * _CELL, top + a * _CELL, f"{r:g}" if r else "", colour, a == i)

    left = _ARRAYS
    for y, name, values in ((top, "data", R.data), (top + 32, "indices", R.indices)):
        picture.text(left - 12, y + 17, name, anchor="end", size=13)
        for place, value in enumerate(values):
            lit = bool(start <= place < stop)
            _cell(picture, left + place * _CELL, y, f"{value:g}", colour, lit)
    for place in range(R.nnz + 1):
        lit = bool(start <= place <= stop)
        style = {"size": 11, "bold": lit, "opacity": 1 if lit else 0.6}
        picture.text(left + place * _CELL - 1, 44, place, **style)
    under = left + max(0.0, (R.nnz - n - 1) / 2) * _CELL
    picture.text(under - 12, 221, "indptr", anchor="end", size=13)
    for a in sorted(range(n + 1), key=lambda a: a in (i, i + 1)):  # what is lit comes on top
        lit, x = a in (i, i + 1), under + a * _CELL
        _cell(picture, x, 204, R.indptr[a], colour, lit)
        picture.text(x + _CELL / 2 - 1, 246, a, size=11, opacity=0.7)
        tip = left + int(R.indptr[a]) * _CELL - 1, top + 64
        _arrow(picture, (x + _CELL / 2 - 1, 202), tip, colour, lit)
    return picture


class CSRByTouch(Widget):
    """Rate or clear the cells of a small matrix, and watch data, indices and indptr follow.

    Attributes
    ----------
    R : csr_array
        The matrix, users × movies.
    row, stars : IntSlider
        The row whose slice lights up; the stars that a press on an empty cell gives.
    transposed : Checkbox
        Show the transpose, whose rows are the movies.

    Examples
    --------
    >>> widget = CSRByTouch()
    >>> widget.row.value = 2
    >>> widget.report
    'user 2 is the slice 4:4, from indptr[2] to indptr[3]: both arrows point to one spot, and \
the row is empty.'
    >>> widget.press("user 2, movie 1")
    >>> widget.report
    'user 2 is the slice 4:5, from indptr[2] to indptr[3]: stars 5, movie 1.'
    """

    def __init__(self):
        self.R = sp.csr_array(np.array(TOY, dtype=float))
        n, m = self.R.shape
        self.row = slider("row i", 0, 0, n - 1, 1)
        self.stars = slider("stars to give", 5, 1, 5, 1)
        self.transposed = ipw.Checkbox(description="transpose", indent=False)
        grid = [[self._make_cell(i, j) for j in range(m)] for i in range(n)]
        labels = [ipw.Label(f"user {i}", layout={"width": "4em"}) for i in range(n)]
        rows = [[label, *cells] for label, cells in zip(labels, grid, strict=True)]
        super().__init__([self.row, self.transposed], [self.stars], *rows)

    def _make_cell(self, i, j):
        def press():
            self.R = press_cell(self.R, i, j, self.stars.value)

        name = f"user {i}, movie {j}"
        return self.button(name, f"{name}: rate, or clear", press, layout=_BUTTON)

    @property
    def shown(self) -> sp.csr_array:
        """The matrix whose rows are stored: R, or its transpose."""
        return self.R.T.tocsr() if self.transposed.value else self.R

    @property
    def report(self):
        """Which slice the chosen row is, and what is in it."""
        return describe(self.shown, self.row.value, self.transposed.value)

    def picture(self):
        """Return the matrix and its arrays, drawn."""
        return draw(self.shown, self.row.value, self.transposed.value)

    def refresh(self):
        """Show the state: on the buttons, in the sentence and in the picture."""
        self.row.max = self.shown.shape[0] - 1  # a row that is gone gives way to the last
        for (i, j), r in np.ndenumerate(self.R.toarray()):
            text = f"{r:g}" if r else f"+{self.stars.value}"  # what a press would give
            self.buttons[f"user {i}, movie {j}"].description = text
        super().refresh()
