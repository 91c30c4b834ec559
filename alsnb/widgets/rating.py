"""Rate a few movies, and see what is recommended to you, and because of which ratings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from ..bayes import most_informative_items
from ..model import Factorization, top_items
from ..plotting import MORE_COLOURS, short_title
from ..ratings import (
    Ratings,
    check_count,
    check_position,
    check_positions,
    check_row,
    check_table,
    count_ratings,
    damped_means,
)
from .base import Widget, choice, ipw
from .search import find_titles

COLOURS = MORE_COLOURS[:5]  # of the ratings that count most
_ROWS, _MOST_STARS, _IN_WORDS = 8, 11, 3  # matches; buttons in a row; ratings in a reason
_WRAP = {"flex_flow": "row wrap", "align_items": "center"}
_SMALL = "opacity:0.75;font-size:90%"


class Answer(NamedTuple):
    """What is recommended, best first, and why.

    A score is its base, which anybody is promised, and one share for each rating, in stars.
    """

    items: np.ndarray
    scores: np.ndarray
    bases: np.ndarray
    shares: np.ndarray  # a row for each item, a column for each rating


def answer(model, ratings: dict, means, top_n: int, exclude, candidates) -> Answer:
    """Fold somebody with these ratings in, and list what they should like, with reasons.

    `means`, unless None, are the scores of all items while there are no ratings.
    """
    row = list(ratings), list(ratings.values())
    scores = model.V @ model.fold_in(row) if ratings or means is None else means
    items, scores = top_items(scores, top_n, exclude=exclude, candidates=candidates)
    if not ratings:
        return Answer(items, scores, scores, np.empty((len(items), 0)))
    reasons = [model.explain(j, *row) for j in items]
    bases = np.array([base for _, base in reasons])
    shares = np.array([part for part, _ in reasons]).reshape(len(items), len(ratings))
    return Answer(items, scores, bases, shares)


def with_penalty(model: Factorization, lam: float) -> Factorization:
    """Return the model with another λ for users, and for their biases one as many times larger."""
    own = np.broadcast_to(model.settings.lambda_reg, 2)
    changes = {"lambda_reg": (lam, float(own[1]))}
    if model.settings.bias_reg is not None:
        biases = np.broadcast_to(model.settings.bias_reg, 2)
        changes["bias_reg"] = (float(biases[0]) * lam / float(own[0]), float(biases[1]))
    return model.replace(settings=replace(model.settings, **changes))


def round_parts(parts, decimals: int = 2) -> np.ndarray:
    """Round numbers so that they still add up to their rounded sum.

    Examples
    --------
    >>> round_parts([3.534, 0.774, 0.154])
    array([3.53, 0.78, 0.15])
    """
    scaled = np.asarray(parts, float) * 10**decimals
    rounded = np.floor(scaled)
    missing = int(round(scaled.sum()) - rounded.sum())
    rounded[np.argsort(rounded - scaled, kind="stable")[:missing]] += 1
    return rounded / 10**decimals


def reason(bases: Sequence[tuple[str, float]], shares: Sequence[tuple[str, float]]) -> str:
    """Say in words why a score is what it is: its base and the largest shares, adding up.

    Parameters
    ----------
    bases, shares : sequence of (str, float)
        Parts of what anybody is promised, and what each rating adds, in stars.

    Examples
    --------
    >>> reason([("mean", 3.53), ("the movie", 0.77)], [("Emma", -0.02), ("Star Wars", 0.153)])
    '4.43 = 3.53 mean + 0.77 the movie + 0.15 Star Wars − 0.02 Emma'
    """
    shares = sorted(shares, key=lambda pair: -abs(pair[1]))
    told = len(shares) if len(shares) <= _IN_WORDS + 1 else _IN_WORDS
    parts = [*bases, *shares[:told]]
    if rest := shares[told:]:
        parts.append((f"from {len(rest)} others", sum(value for _, value in rest)))
    values = round_parts([value for _, value in parts])
    words = " ".join(
        f"{'−' if value < 0 else '+'} {abs(value):.2f} {name}"
        for (name, _), value in zip(parts, values, strict=True)
    )
    return f"{values.sum():.2f} = {words.removeprefix('+ ')}"


def choose_colours(old: dict, weights: dict) -> dict:
    """Give colours to what weighs most; what has one keeps it.

    Examples
    --------
    >>> choose_colours({}, {"a": 1.0, "b": 2.0}) == {"b": COLOURS[0], "a": COLOURS[1]}
    True
    """
    most = sorted(weights, key=lambda one: -weights[one])[: len(COLOURS)]
    kept = {one: old[one] for one in most if one in old}
    free = [colour for colour in COLOURS if colour not in kept.values()]
    return kept | dict(zip([one for one in most if one not in kept], free, strict=False))


def draw_bar(shares: Sequence[tuple[str, float, str | None]], low: float, high: float) -> str:
    """Shares of one score as HTML: those below zero left of a line, those above right of it.

    `shares` are (name, stars, colour); those without a colour become one grey part. `low` and
    `high`, in stars, are the ends of the bar.
    """
    html = ""
    for sign, room, way in ((-1, -low, "row-reverse"), (1, high, "row")):
        mine = [one for one in shares if one[1] * sign > 0]
        rest = sum(share for _, share, colour in mine if colour is None)
        mine = [one for one in mine if one[2] is not None]
        width = 100 * room / (high - low) if high > low else 50
        line = ";border-left:1px solid" if sign > 0 else ""
        html += f'<div style="display:flex;flex-direction:{way};width:{width:.1f}%{line}">'
        for name, share, colour in [*mine, *([("all others", rest, None)] if rest else [])]:
            fill = f"background:{colour}" if colour else "background:currentColor;opacity:0.4"
            title = f"{escape(name, quote=True)}: {share:+.2f}"
            style = f"width:{100 * abs(share) / room:.1f}%;height:0.8em;{fill}"
            html += f'<div title="{title}" style="{style}"></div>'
        html += "</div>"
    return f'<div style="display:flex;max-width:30em">{html}</div>'


class _Row:
    """Text about one item, a button for each number of stars, and perhaps one button more."""

    def __init__(self, widget: RatingWidget, name="", tooltip="", action=None, below=False):
        self.item, self.text, self._widget = None, ipw.HTML(layout=widget.wide), widget
        self.stars = [
            ipw.Button(tooltip=widget.say_stars(value), layout=widget.narrow, style=widget.plain)
            for value in widget.stars
        ]
        for button, value in zip(self.stars, widget.stars, strict=True):
            button.on_click(lambda _, value=value: self._act(widget.rate, value))
        children = [self.text, ipw.HBox(self.stars, layout=widget.tight)]
        if name:
            layout = {"width": "auto", "padding": "0 0.5em"}
            self.button = ipw.Button(description=name, tooltip=tooltip, layout=layout)
            self.button.on_click(lambda _: self._act(action))
            children.append(self.button)
        self.below = ipw.HTML(layout=widget.whole)  # a line of its own
        if below:
            children.append(self.below)
        self.box = ipw.HBox(children, layout=_WRAP)

    def _act(self, action, *given):
        if self.item is not None:
            self._widget.pressed = self
            try:
                action(self.item, *given)
            finally:
                self._widget.pressed = None

    def show(self, item: int | None, html="", marks: Sequence[str] = (), below="") -> None:
        """Show an item and what its buttons say; or nothing, if it is None."""
        self.item, self.text.value, self.below.value = item, html, below
        self.box.layout.display = None if item is not None else "none"
        for button, mark in zip(self.stars, marks, strict=False):
            button.description = mark


class RatingWidget(Widget):
    """Rate movies, and see at once what is recommended to you, and because of which ratings.

    Type a part of a title, or answer what it asks: the movies whose ratings would tell it most
    (`most_informative_items`). One click gives stars; a recommended movie can be rated in place.
    Nothing is fitted: `Factorization.fold_in` answers. Before the first rating, its answer is the
    baselines μ + c_j; for a model without biases it would be 0, so `damped_means` take its place.

    Parameters
    ----------
    model : Factorization
    ratings : Ratings
        Those that the model was fitted to, whose titles and scale are shown.
    top_n : int
        How many recommendations.
    stars : sequence of float, optional
        The ratings that can be given; by default all that occur, or eleven over the scale if more.
    candidates : array of int, optional
        Recommend only these, and ask only about these; any movie can be rated.

    Attributes
    ----------
    ratings : dict of int to float
        Stars given to items, in the order in which they were first given.
    hidden : set of int
        What is "not for me".
    items, scores : ndarray
        What is recommended now, and the predicted ratings. (On screen they stay within the scale.)
    bases : ndarray
        For each of them, what anybody is promised: μ + c_j, with biases.
    shares : ndarray, shape (n_items, n_ratings)
        And what each rating adds to that, in stars.
    asked : ndarray of int
        What it asks about.

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
    >>> widget.report.split(". ")[0]
    '1 rating, λ = 10; just now Star Wars (1977): 5 stars'
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
        check_table(ratings)
        if ratings.R.shape != (len(model.U), len(model.V)):
            raise ValueError(f"{ratings!r} does not fit the model: {model!r}")
        self._about, self._titles, self._scale = ratings, ratings.titles.tolist(), ratings.scale
        self._counts = count_ratings(ratings)[1]
        self.stars = _check_stars(ratings, stars)
        self._top_n = check_count("top_n", top_n)
        self._genres = _genres(ratings)
        everything = np.arange(len(model.V)) if candidates is None else candidates
        self._candidates = check_positions("candidates", everything, len(model.V))
        self._unknown = np.flatnonzero(model.unknown_items)
        self._model, self._last = model, (None, None)
        model.fold_in(([], []))  # or raise, before any widget is made
        if model.settings.confidence is not None:
            raise ValueError("the model knows clicks, not stars; fit one without confidence")
        self._means = None if model.settings.bias else damped_means(ratings)
        self._history: list[tuple[dict, set]] = []
        self.pressed: _Row | None = None  # while its button acts
        self._forget()
        self._asked = self._first_asked = self._questions()
        own = float(np.broadcast_to(model.settings.lambda_reg, 2)[0])
        self._make([own * 2.0**k for k in range(-4, 5)], own)

    def _forget(self):
        """Nothing is rated, hidden, skipped or done."""
        self.ratings: dict[int, float] = {}
        self.hidden: set[int] = set()
        self._skipped, self._listed, self._colours, self._news = set(), [], {}, ""

    def _make(self, penalties, own):
        """All controls, once: later only what they say changes, so that none loses the focus."""
        self.wide = ipw.Layout(flex="1 1 14em", min_width="11em")
        self.whole = ipw.Layout(flex="1 1 100%", margin="0 2px 0.6em")
        self.narrow = ipw.Layout(width="2em", padding="0", margin="2px 1px")
        self.tight, self.plain = ipw.Layout(flex="0 0 auto"), ipw.ButtonStyle()
        what = f"{self._about.item_name}'s title"
        self.search = ipw.Text(description="Search", placeholder=f"a {what}, or a part of it",
                               style={"description_width": "initial"})  # fmt: skip
        self.search.layout.width = "24em"
        self.penalty = choice("λ, your penalty", penalties, own)
        buttons = [
            self.button("Undo", "Take the last change back", self._undo),
            self.button("Start again", "Forget all ratings", self._restart),
            self.button("Ask about others", "I do not know these", self._skip),
        ]
        self._above, self._yours, self._head = ipw.HTML(), ipw.HTML(), ipw.HTML()
        self._matches = [_Row(self) for _ in range(_ROWS)]
        self._own: dict[int, _Row] = {}
        tip = "Recommend it no more"
        self._best = [_Row(self, "Not for me", tip, self.hide, True) for _ in range(self._top_n)]
        self._mine = ipw.VBox([self._yours])
        half = {"flex": "1 1 26em", "min_width": "16em", "margin": "0 1em 0 0"}
        left = ipw.VBox([self._above, *(row.box for row in self._matches), self._mine], layout=half)
        right = ipw.VBox([self._head, *(row.box for row in self._best)], layout=half)
        super().__init__([self.search, self.penalty], buttons)
        *rows, said, _ = self.children
        self.children = (*rows, said, ipw.HBox([left, right], layout={"flex_flow": "row wrap"}))

    # What can be done

    def rate(self, item: int, stars: float) -> None:
        """Give stars, from the lowest to the highest, to an item, in place of those it may have."""
        item = check_position("item", item, len(self._titles))
        _, (value,) = check_row("items", [item], [stars], len(self._titles))
        low, high = min(self.stars), max(self.stars)
        if not low <= value <= high:
            raise ValueError(f"stars must be from {low:g} to {high:g}, got {value:g}")
        news = f"{self._titles[item]}: {self.say_stars(value)}"
        self._change(self.ratings | {item: float(value)}, self.hidden, news)

    def remove(self, item: int) -> None:
        """Take one rating back; of what has none, nothing."""
        ratings = {j: stars for j, stars in self.ratings.items() if j != item}
        if ratings != self.ratings:
            self._change(ratings, self.hidden, f"{self._titles[item]}: rating removed")

    def hide(self, item: int) -> None:
        """Recommend an item no more."""
        item = check_position("item", item, len(self._titles))
        self._change(self.ratings, self.hidden | {item}, f"{self._titles[item]}: not for you")

    def undo(self) -> None:
        """Take the last change back, a fresh start included."""
        self.press("Undo")

    def start_again(self) -> None:
        """Forget all ratings, and what was not for you."""
        self.press("Start again")

    def _change(self, ratings, hidden, news):
        self._answer(ratings, hidden, self.penalty.value)  # or raise, and all stays as it is
        if (ratings, hidden) != (self.ratings, self.hidden):
            self._history.append((self.ratings, self.hidden))
        self.ratings, self.hidden, self._news = ratings, hidden, news
        self.refresh()

    def _undo(self):
        self._news = "the last change taken back" if self._history else "nothing to take back"
        if self._history:
            self.ratings, self.hidden = self._history.pop()
        self._listed = list(self.ratings)

    def _restart(self):
        if self.ratings or self.hidden:
            self._history.append((self.ratings, self.hidden))
        self._forget()
        self.search.value, self._asked, self._news = "", self._first_asked, "a fresh start"

    def _skip(self):
        self._skipped |= set(self._asked.tolist())
        self._asked = self._questions()
        self.search.value, self._news = "", "other questions"

    # What follows from it

    @property
    def asked(self) -> np.ndarray:
        """What it asks about: the same until others are wanted, so that no row moves."""
        return self._asked

    def _questions(self):
        given = list(self.ratings)
        not_these = [*self._skipped, *given, *self._unknown]
        left = np.setdiff1d(self._candidates, not_these)
        return most_informative_items(self._model, _ROWS, items=given, candidates=left)

    def _answer(self, ratings, hidden, lam):
        """What to recommend; the last answer is kept."""
        key = tuple(ratings.items()), frozenset(hidden), lam
        if self._last[0] == key:
            return self._last[1]
        exclude = np.union1d([*ratings, *hidden], self._unknown).astype(int)
        options = self._top_n, exclude, self._candidates
        model = with_penalty(self._model, lam)
        found = answer(model, ratings, self._means, *options)
        self._last = key, found
        return found

    @property
    def report(self) -> str:
        """How many ratings there are, what has just been done, and what is recommended first."""
        n = len(self.ratings)
        count = f"{n} rating{'s' if n > 1 else ''}" if n else "No ratings yet"
        news = f"; just now {self._news}" if self._news else ""
        head = f"{count}, λ = {self.penalty.value:g}{news}."
        if not len(self.items):
            return f"{head} Nothing is left to recommend."
        first = f"{self._titles[self.items[0]]}, {self._say_score(self.scores[0])}"
        return f"{head} First: {first}."

    @property
    def reasons(self) -> list[str]:
        """Why each item is recommended, in words: parts that add up to its score."""
        names = [short_title(self._titles[j]) for j in self.ratings]
        about, words = f"the {self._about.item_name}", []
        for item, base, shares in zip(self.items, self.bases, self.shares, strict=True):
            if not names and self._means is not None:
                words.append(f"mean of its {self._count(item)}, drawn a little to that of all")
                continue
            mean = self._model.mean
            bases = {"mean": mean, about: base - mean} if base else {}
            told = reason(list(bases.items()), list(zip(names, shares.tolist(), strict=True)))
            low, high = self._scale
            total = base + shares.sum()
            cut = "" if low <= total <= high else f" (shown as {np.clip(total, low, high):g})"
            words.append(told + cut)
        return words

    def refresh(self) -> None:
        """Show the present state; only what has changed is sent to the page."""
        found = self._answer(self.ratings, self.hidden, self.penalty.value)
        self.items, self.scores, self.bases, self.shares = found
        self._colours = choose_colours(
            self._colours, dict(zip(self.ratings, abs(self.shares).sum(axis=0), strict=True))
        )
        self._say()
        self._show_matches()
        self._show_yours()
        self._show_best()

    def _show_matches(self):
        text, name = self.search.value.strip(), self._about.item_name
        if text:
            found = find_titles(self._titles, text, self._counts)
            n = f"{len(found):,} {name}{'s' if len(found) > 1 else ''}"
            head = f"{n} found" + (f"; the first {_ROWS} are" if len(found) > _ROWS else "") + ":"
            head = head if len(found) else f"No {name} matches “{text}”."
        else:
            found, head = self._asked, "Ask me about:"
        self._above.value = f"<b>{escape(head)}</b>"
        for row, item in zip_longest(self._matches, found[:_ROWS].tolist()):
            if item is None:
                row.show(None)
            else:
                row.show(item, self._describe(item), self._marks(item))

    def _show_yours(self):
        self._listed += [j for j in self.ratings if j not in self._listed]
        self._yours.value = "<b>Your ratings</b>" + ("" if self._listed else ": none yet")
        for item in self._listed:
            if item not in self._own:
                self._own[item] = _Row(self, "×", "Remove this rating", self.remove)
            colour = self._colours.get(item)
            style = f"color:{colour}" if colour else "opacity:0.4"
            name = escape(self._titles[item])
            name += "" if item in self.ratings else f' <span style="{_SMALL}">(removed)</span>'
            self._own[item].show(item, f'<span style="{style}">■</span> {name}', self._marks(item))
        children = (self._yours, *(self._own[item].box for item in self._listed))
        if children != self._mine.children:
            self._mine.children = children

    def _show_best(self):
        if self.ratings:
            self._head.value = "<b>Recommended to you</b>"
        else:
            what = f"the mean of all, and what each {self._about.item_name} adds to it"
            what = what if self._means is None else "means, drawn a little to that of all"
            head = f"<b>What all like best</b>, until you have rated something ({escape(what)})"
            self._head.value = head
        bars = self._bars()
        for row, item in zip_longest(self._best, self.items.tolist()):
            if item is None:
                if row is self.pressed:  # it goes, and the focus with it
                    self.buttons["Undo"].focus()
                row.show(None)
        for row, item, score, bar, why in zip(
            self._best, self.items.tolist(), self.scores, bars, self.reasons, strict=False
        ):
            stars = f"<b>{self._say_score(score)}</b>"
            # means would say the same of each
            why = escape(why) if self.ratings or self._means is None else ""
            words = f'{bar}<div style="line-height:1.35;{_SMALL}">{why}</div>'
            row.show(item, self._describe(item, stars), self._marks(item), words)

    def _bars(self):
        """A bar for each recommendation, all on one scale."""
        low = min(0, np.minimum(self.shares, 0).sum(axis=1).min(initial=0))
        high = max(0, np.maximum(self.shares, 0).sum(axis=1).max(initial=0))
        names = [self._titles[j] for j in self.ratings]
        colours = [self._colours.get(j) for j in self.ratings]
        return [
            draw_bar(list(zip(names, row.tolist(), colours, strict=True)), low, high)
            if names
            else ""
            for row in self.shares
        ]

    # Words

    def say_stars(self, value: float) -> str:
        """Stars as people say them."""
        return f"{value:g} {self._about.unit}{'' if value == 1 else 's'}"

    def _say_score(self, score):
        return f"{np.clip(score, *self._scale):.2f} {self._about.unit}s"

    def _marks(self, item):
        """What the star buttons of an item say: those given are filled."""
        given = self.ratings.get(item)
        if self._about.unit != "star":
            return [f"[{value:g}]" if value == given else f"{value:g}" for value in self.stars]
        return ["★" if given is not None and value <= given else "☆" for value in self.stars]

    def _describe(self, item, more=""):
        """Title, genres and number of ratings, as HTML."""
        facts = " · ".join([*filter(None, [self._genres[item]]), self._count(item)])
        small = f'<div style="{_SMALL}">{escape(facts)}</div>'
        title = escape(self._titles[item])
        return f'<div style="line-height:1.35">{title} {more}{small}</div>'

    def _count(self, item):
        n = self._counts[item]
        return f"{n:,} rating{'s' if n != 1 else ''}"

    # Without a kernel

    def _repr_mimebundle_(self, **options):
        """Give the live view and, for pages without a kernel, a table and the sentence."""
        data = ipw.VBox._repr_mimebundle_(self, **options)
        if data:
            data["text/html"] = self.to_html()
            data["text/plain"] = f"{type(self).__name__}: {self.report}"
        return data

    def to_html(self) -> str:
        """What is recommended and why, as a table; a page without a kernel shows it."""
        given = (
            ", ".join(f"{self._titles[j]}: {s:g}" for j, s in self.ratings.items()) or "none yet"
        )
        head = "".join(f"<th>{one}</th>" for one in ("recommended", f"{self._about.unit}s", "why"))
        rows = "".join(
            f"<tr><td>{escape(self._titles[j])}</td><td>{np.clip(score, *self._scale):.2f}</td>"
            f'<td style="text-align:left">{bar}{escape(why)}</td></tr>'
            for j, score, bar, why in zip(
                self.items, self.scores, self._bars(), self.reasons, strict=True
            )
        )
        return f"<div>Your ratings: {escape(given)}</div><table><tr>{head}</tr>{rows}</table>"


def _check_stars(ratings, stars):
    """The ratings that buttons give."""
    if stars is None:
        stars = np.unique(ratings.R.data).tolist()
        if len(stars) > _MOST_STARS:
            stars = np.linspace(*ratings.scale, _MOST_STARS).tolist()
    if not len(stars) or not np.isfinite(stars).all():
        raise ValueError(f"stars must be finite numbers, at least one, got {stars!r}")
    return list(stars)


def _genres(ratings):
    """Genres of each item, where they are known."""
    table = ratings.item_table
    if table is None or "genres" not in table:
        return [""] * len(ratings.titles)
    genres = table["genres"].reindex(ratings.item_ids)
    return [one.replace("|", ", ") if isinstance(one, str) else "" for one in genres]
