"""Front ends in ipywidgets (the extra ``widgets``); what they show, other modules compute."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from unicodedata import combining, normalize

import ipywidgets as ipw
import numpy as np

from .checks import check_count, check_number, check_position, check_row
from .coldstart import most_informative_items, popularity_scores
from .explain import explain_recommendation
from .foldin import check_fitting, fold_in_user
from .loop import Factorization
from .plotting import MORE_COLOURS
from .recommend import rank_items

_SIDE, _LINE = 8, "border-left:1px solid"  # of a bar: em to either side, and what is between


class RatingWidget(ipw.HBox):
    """Rate movies, and see at once what is recommended to you, and because of which ratings.

    Search by typing; with nothing typed, it proposes what to rate (`most_informative_items`).
    Nothing is fitted: `fold_in_user` answers. Before the first rating, `popularity_scores` do.

    Parameters
    ----------
    model : Factorization
    R : scipy.sparse array or matrix, shape (n_users, n_items)
        The ratings that the model was fitted to.
    titles : sequence of str, shape (n_items,)
        Shown as text, whatever they hold.
    top_n : int
        How many recommendations.
    stars : sequence of float
        The ratings that can be given.
    among : array of int, optional
        Recommend only these, and ask only about these; any movie can be rated.

    Attributes
    ----------
    ratings : dict of int to float
        Stars given to items, in the order in which they were first given.
    items, scores : ndarray
        What is recommended now, and the predicted ratings.
    shares : list of ndarray
        For each of them, the share that each rating has in the prediction, in stars.

    Raises
    ------
    TypeError, ValueError
        If R or titles do not fit the model.
    """

    def __init__(
        self,
        model: Factorization,
        R,
        titles: Sequence[str],
        *,
        top_n: int = 10,
        stars: Sequence[float] = (1, 2, 3, 4, 5),
        among=None,
    ):
        self._popular = popularity_scores(check_fitting(R, model))
        self._model, self._titles = model, [str(title) for title in titles]
        if len(self._titles) != len(model.V):
            raise ValueError(f"{len(self._titles)} titles for a model of {len(model.V)} items")
        stars = [check_number("stars", value, positive=False) for value in stars]
        self._range = min(stars, default=0), max(stars, default=0)
        self._keys = [_fold_case(title) for title in self._titles]
        self._top_n, self._among, self._history = check_count("top_n", top_n), among, []
        answer = self._answer({})  # or raise, before any widget is made
        wide = {"width": "22em"}
        self._search = ipw.Text(placeholder="Search for a movie", layout=wide)
        self._matches = ipw.Select(rows=8, layout=wide)
        self._stars = [ipw.Button(description=f"{s:g} ★", layout={"width": "4em"}) for s in stars]
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
        _, (value,) = check_row("item_ids", [item], [stars], len(self._titles))
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
            found = sorted(found, key=lambda j: -self._popular[j])[:50]
        else:
            found = self._questions
        self._matches.options = [(self._titles[j], int(j)) for j in found]
        self._matches.index = 0 if len(found) else None

    def _answer(self, ratings):
        """What to recommend: items, scores, the shares of these ratings; and what to ask."""
        given = list(ratings), list(ratings.values())
        u, V = fold_in_user(*given, self._model), self._model.V
        if not ratings:  # a model like any other, with one factor
            u, V = np.ones(1), self._popular[:, None]
        items, scores = rank_items(u, V, given[0], self._top_n, among=self._among)
        shares = [explain_recommendation(j, *given, self._model)[0] for j in items]
        questions = most_informative_items(self._model, 5, item_ids=given[0], among=self._among)
        return items, scores, shares, questions

    def _show(self, ratings, answer):
        """Bring everything up to date with these ratings, and what `_answer` says to them."""
        self.items, self.scores, self.shares, self._questions = answer
        self.ratings = ratings
        self._undo.disabled, self._reset.disabled = not self._history, not self.ratings
        colours = [MORE_COLOURS[k % len(MORE_COLOURS)] for k in range(len(self.ratings))]
        rows = [
            f'<div style="line-height:1.5"><span style="color:{colour}">■</span> '
            f"{self._text(j)}: {stars:g} ★</div>"
            for colour, (j, stars) in zip(colours, self.ratings.items(), strict=True)
        ]
        self._given.value = "<b>Your ratings</b>" + "".join(rows or ["<div>none yet</div>"])
        sides = [abs(part[part * sign > 0].sum()) for part in self.shares for sign in (-1, 1)]
        scale = _SIDE / max(sides) if any(sides) else 0
        table = "".join(
            f"<tr><td>{self._text(j)}</td><td>{score:.2f}</td>"
            f"<td>{self._bar(shares, colours, scale)}</td></tr>"
            for j, score, shares in zip(self.items, self.scores, self.shares, strict=True)
        )
        head = "".join(f"<th>{name}</th>" for name in ("recommended", "stars", "less ← → more"))
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
