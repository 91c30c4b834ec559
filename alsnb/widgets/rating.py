"""Rate movies, and see what is recommended because of it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from unicodedata import combining, normalize

import numpy as np

from ..bayes import most_informative_items
from ..model import Factorization, top_items
from ..plotting import MORE_COLOURS
from ..ratings import Ratings, check_count, check_position, check_row, damped_means
from .base import ipw

_SIDE, _LINE = 8, "border-left:1px solid"  # of a bar: em to either side, and what is between


class RatingWidget(ipw.HBox):
    """Rate movies, and see at once what is recommended to you, and because of which ratings.

    Search by typing; with nothing typed, it proposes what to rate (`most_informative_items`).
    Nothing is fitted: `Factorization.fold_in` answers. Before the first rating, `damped_means` do.

    Parameters
    ----------
    model : Factorization
    ratings : Ratings
        Those that the model was fitted to, whose titles and scale are shown.
    top_n : int
        How many recommendations.
    stars : sequence of float, optional
        The ratings that can be given; by default all that occur.
    candidates : array of int, optional
        Recommend only these, and ask only about these; any movie can be rated.

    Attributes
    ----------
    ratings : dict of int to float
        Stars given to items, in the order in which they were first given.
    items, scores : ndarray
        What is recommended now, and the predicted ratings. (On screen they stay within the scale.)
    shares : list of ndarray
        For each of them, the share that each rating has in the prediction, in stars.

    Raises
    ------
    TypeError, ValueError
        If the ratings do not fit the model.

    Examples
    --------
    >>> from alsnb import ALS, load_movielens
    >>> movielens = load_movielens("100k")
    >>> widget = RatingWidget(ALS(2, 10).fit(movielens, 2, rng=0, verbose=False), movielens)
    >>> widget.rate(movielens.item("Star Wars (1977)"), 5)
    >>> len(widget.items)
    10
    """

    def __init__(
        self,
        model: Factorization,
        ratings: Ratings,
        *,
        top_n: int = 10,
        stars: Sequence[float] | None = None,
        candidates=None,
    ):
        if not isinstance(ratings, Ratings):
            kind = type(ratings).__name__
            raise TypeError(f"ratings must be Ratings, which know titles and scale, got {kind}")
        if ratings.R.shape != (len(model.U), len(model.V)):
            raise ValueError(f"{ratings!r} does not fit the model: {model!r}")
        self._means = damped_means(ratings)
        self._model, self._titles, self._scale = model, ratings.titles.tolist(), ratings.scale
        stars = np.unique(ratings.R.data).tolist() if stars is None else list(stars)
        if not stars or not np.isfinite(stars).all():
            raise ValueError(f"stars must be finite numbers, at least one, got {stars!r}")
        self._range, self._unit = (min(stars), max(stars)), f"{ratings.unit}s"
        self._sign = "★" if ratings.unit == "star" else ""
        self._keys = [_fold_case(title) for title in self._titles]
        self._top_n, self._candidates, self._history = check_count("top_n", top_n), candidates, []
        answer = self._answer({})  # or raise, before any widget is made
        wide = {"width": "22em"}
        self._search = ipw.Text(placeholder=f"Search for a {ratings.item_name}", layout=wide)
        self._matches = ipw.Select(rows=8, layout=wide)
        self._stars = [
            ipw.Button(description=f"{s:g} {self._sign}", layout={"width": "4em"}) for s in stars
        ]
        half = {"width": "auto", "flex": "1"}
        self._undo, self._reset = (
            ipw.Button(description=name, layout=half) for name in ("Undo", "Reset")
        )
        self._given, self._shown = ipw.HTML(), ipw.HTML()
        self._search.observe(lambda _: self._find(), "value")
        for button, value in zip(self._stars, stars, strict=True):
            button.on_click(lambda _, value=value: self._rate_selected(value))
        self._undo.on_click(lambda _: self.undo())
        self._reset.on_click(lambda _: self.reset())
        rows = ipw.HBox(self._stars), ipw.HBox([self._undo, self._reset], layout=wide)
        left = ipw.VBox([self._search, self._matches, *rows, self._given])
        left.layout.flex = "0 0 24em"
        super().__init__([left, self._shown])
        self._show({}, answer)

    def rate(self, item: int, stars: float) -> None:
        """Give stars, from the lowest to the highest, to an item, in place of those it may have."""
        item = check_position("item", item, len(self._titles))
        _, (value,) = check_row("items", [item], [stars], len(self._titles))
        low, high = self._range
        if not low <= value <= high:
            raise ValueError(f"stars must be from {low:g} to {high:g}, got {value:g}")
        self._change(self.ratings | {item: float(value)})

    def undo(self) -> None:
        """Take the last change back, a reset included."""
        if self._history:
            ratings = self._history.pop()
            self._show(ratings, self._answer(ratings))

    def reset(self) -> None:
        """Forget all ratings."""
        if self.ratings:
            self._change({})

    def _change(self, ratings):
        answer, before = self._answer(ratings), self.ratings  # or raise, and all stays as it is
        self._show(ratings, answer)
        self._history.append(before)
        self._search.value, self._undo.disabled = "", False

    def _rate_selected(self, stars):
        if self._matches.value is not None:
            self.rate(self._matches.value, stars)

    def _find(self):
        """List what matches all words typed or, if there are none, what is best asked."""
        words = _fold_case(self._search.value).split()
        if words:
            found = [j for j, key in enumerate(self._keys) if all(word in key for word in words)]
            found = sorted(found, key=lambda j: -self._means[j])[:50]
        else:
            found = self._questions
        self._matches.options = [(self._titles[j], int(j)) for j in found]
        self._matches.index = 0 if len(found) else None

    def _answer(self, ratings):
        """What to recommend: items, scores, the shares of these ratings; and what to ask."""
        given, model = (list(ratings), list(ratings.values())), self._model
        scores = model.V @ model.fold_in(given) if ratings else self._means
        seen = np.union1d(given[0], np.flatnonzero(model.unknown_items)).astype(int)
        options = {"exclude": seen, "candidates": self._candidates}
        items, scores = top_items(scores, self._top_n, **options)
        shares = [model.explain(j, *given)[0] for j in items]
        options = {"items": given[0], "candidates": self._candidates}
        questions = most_informative_items(model, 5, **options)
        return items, scores, shares, questions

    def _show(self, ratings, answer):
        """Bring everything up to date with these ratings, and what `_answer` says to them."""
        self.items, self.scores, self.shares, self._questions = answer
        self.ratings = ratings
        self._undo.disabled, self._reset.disabled = not self._history, not self.ratings
        colours = [MORE_COLOURS[k % len(MORE_COLOURS)] for k in range(len(self.ratings))]
        rows = [
            f'<div style="line-height:1.5"><span style="color:{colour}">■</span> '
            f"{self._text(j)}: {stars:g} {self._sign}</div>"
            for colour, (j, stars) in zip(colours, self.ratings.items(), strict=True)
        ]
        self._given.value = "<b>Your ratings</b>" + "".join(rows or ["<div>none yet</div>"])
        sides = [abs(part[part * sign > 0].sum()) for part in self.shares for sign in (-1, 1)]
        scale = _SIDE / max(sides) if any(sides) else 0
        table = "".join(
            f"<tr><td>{self._text(j)}</td><td>{np.clip(score, *self._scale):.2f}</td>"
            f"<td>{self._bar(shares, colours, scale)}</td></tr>"
            for j, score, shares in zip(self.items, self.scores, self.shares, strict=True)
        )
        head = "".join(f"<th>{name}</th>" for name in ("recommended", self._unit, "less ← → more"))
        style = "line-height:1.5;border-spacing:0.7em 0.2em"
        self._shown.value = f'<table style="{style}"><tr>{head}</tr>{table}</table>'
        self._find()

    def _text(self, item):
        return escape(self._titles[item], quote=True)

    def _bar(self, shares, colours, scale):
        """Negative shares left of a line, positive ones right, first ratings next to it; in em."""
        sides = {True: "", False: ""}
        for item, share, colour in zip(self.ratings, shares, colours, strict=True):
            title, width = f"{self._text(item)}: {share:+.2f}", abs(share) * scale
            style = f"width:{width:.3f}em;height:1em;background:{colour}"
            sides[bool(share > 0)] += f'<div title="{title}" style="{style}"></div>'
        box = '<div style="display:flex;width:{}em;{}">{}</div>'
        left = box.format(_SIDE, "flex-direction:row-reverse", sides[False])
        return f'<div style="display:flex">{left}{box.format(_SIDE, _LINE, sides[True])}</div>'


def _fold_case(text):
    """Text without case and accents, to be searched."""
    text = normalize("NFKD", text.casefold()).casefold()  # ™ becomes TM, and then tm
    return "".join(c for c in text if not combining(c))
