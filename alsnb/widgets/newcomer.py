"""A newcomer who clicks before they rate: prior mean, list and map follow (ch. 07)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import ipywidgets as ipw
import numpy as np

from ..model import Factorization, top_items
from ..plotting import BLUE, ORANGE, PURPLE, place_labels, short_title
from ..ratings import Ratings, check_positions, check_table, count_ratings
from .base import Widget, choice
from .picture import INK, Picture

N, ENOUGH = 5, 50  # movies on the list; ratings of a movie that may be listed
_MAP = 10, 30, 400, 370  # px
_LEFT, _BAR = 440, 250
_LETTER = 6.3


def find_rows(
    model: Factorization, items, stars: float, liked=(), known: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Return what a newcomer is shrunk towards, and their row of U.

    Parameters
    ----------
    model : Factorization
        With features.
    items : sequence of int
        What they have clicked.
    stars : float
        What they have given to each of these; 0 if they have only clicked.
    liked : sequence of int
        Columns of the user features that the newcomer has.
    known : bool
        Without, the prior mean is zero.

    Returns
    -------
    prior, row : ndarray, shape (n_columns,)
    """
    features = None
    if not known:
        settings = replace(model.settings, implicit_features=False)
        model = model.replace(links=None, settings=settings)
    elif len(liked):
        features = np.zeros((1, len(model.link("users").given)))
        features[0, list(liked)] = 1 / np.sqrt(len(liked))  # of length 1, as the others
    items = np.asarray(items, int)
    prior = model.prior_mean(items, features=features)
    if not stars or not len(items):
        return prior, prior
    return prior, model.fold_in((items, np.full(len(items), float(stars))), features=features)


def draw_newcomer(points, arrows, titles, clicked, listed, scores, before) -> Picture:
    """Draw the map with the newcomer's arrows, and the list.

    Parameters
    ----------
    points : ndarray, shape (n_movies, 2)
        The movies of the map.
    arrows : (ndarray, ndarray)
        Tips of the prior mean and of the newcomer's factors, in the units of the points.
    titles : sequence of str
        Of the movies.
    clicked : mapping of int to bool
        Positions of the movies that can be clicked, and whether they are.
    listed : sequence of int
        Positions of the movies on the list, best first.
    scores, before : sequence of float
        Stars promised to the newcomer, and to somebody of whom nothing is known.
    """
    picture = Picture(_LEFT + _BAR + 70, 410)
    low, high = points.min(axis=0), points.max(axis=0)
    xlim, ylim = np.column_stack([low - 0.06 * (high - low), high + 0.06 * (high - low)])
    axes = picture.axes(*_MAP, xlim, ylim, title="movies, and where the newcomer points")
    axes.dots(points, INK, 2.5, opacity=0.22, titles=[titles[j] for j in range(len(points))])
    axes.dots(points[listed], ORANGE, 5, titles=[titles[j] for j in listed])
    known, chosen = list(clicked), [j for j, on in clicked.items() if on]
    axes.dots(points[known], BLUE, 5, hollow=True, titles=[titles[j] for j in known])
    axes.dots(points[chosen], BLUE, 6, titles=[titles[j] for j in chosen])
    _write_names(picture, axes, points, titles, known)
    prior, row = arrows
    axes.line([[0, 0], row], BLUE, 5)
    axes.dots([row], BLUE, 6)
    axes.line([[0, 0], prior], PURPLE, 2.5, dash=True)  # on top: the two may be the same
    axes.dots([prior], PURPLE, 4)
    axes.dots([[0, 0]], INK, 3)
    picture.text(_LEFT, 20, "the list: stars promised", size=14, anchor="start", bold=True)
    for k, (j, score, was) in enumerate(zip(listed, scores, before, strict=True)):
        y = 44 + 50 * k
        picture.text(_LEFT, y, f"{k + 1}  {short_title(titles[j], 38)}", anchor="start", size=13)
        width = _BAR * (np.clip([score, was], 1, 5) - 1) / 4
        picture.box(_LEFT, y + 7, width[0], 14, ORANGE, opacity=0.75)
        picture.line([[_LEFT + width[1], y + 4], [_LEFT + width[1], y + 24]], width=2)
        picture.text(_LEFT + _BAR + 8, y + 19, f"{score:.2f}", anchor="start")
    for value in (1, 3, 5):
        x = _LEFT + _BAR * (value - 1) / 4
        picture.text(x, 284, f"{value}", size=11, opacity=0.7)
    for y, colour, text in (
        (316, PURPLE, "dashed: the prior mean, from zero"),
        (340, BLUE, "solid: with the stars given"),
        (364, ORANGE, "on the list"),
        (388, INK, "tick: promised to somebody unknown"),
    ):
        picture.dots([[_LEFT + 6, y - 4]], colour, 5)
        picture.text(_LEFT + 18, y, text, anchor="start")
    return picture


def _write_names(picture, axes, points, titles, named):
    """Write titles beside their dots, as far as there is room."""
    pixels = np.column_stack([axes.x(points[named, 0]), axes.y(points[named, 1])])
    names = [short_title(titles[j], 22) for j in named]
    sizes = np.array([(_LETTER * len(name) + 2, 14) for name in names])
    left, top, wide, high = _MAP
    corners = place_labels(pixels, sizes, pixels, (left + 2, top, left + wide, top + high), gap=9,
                           rings=3)  # fmt: skip
    for corner, name in zip(corners, names, strict=True):
        if corner is not None:
            picture.text(corner[0] + 1, corner[1] + 11, name, anchor="start", opacity=0.8)


class Newcomer(Widget):
    """Click genres and movies, give stars or none, and see what a newcomer is promised.

    The newcomer is folded in, nothing is fitted.

    Parameters
    ----------
    model : Factorization
        Fitted with `implicit_features` and with `user_features`, a matrix with a column for each
        genre.
    ratings : Ratings
        Those that the model was fitted to.
    movies : array of int
        Positions of the movies that can be clicked.
    genres : mapping of str to int
        Genres that can be clicked, and their columns of the user features.

    Attributes
    ----------
    given, known : slider, check box
        How many stars a click on a movie gives, 0 for none; whether features are used.
    clicked : list of int
        Movies that are clicked, in this order.
    liked : list of str
        Genres that are clicked.

    Examples
    --------
    >>> from alsnb import ALS, load_movielens
    >>> movielens = load_movielens("100k")
    >>> shares = np.ones((943, 1))
    >>> settings = ALS(4, 2, 0.5, bias=True, implicit_features=True)
    >>> model = settings.fit(movielens, 2, rng=0, verbose=False, user_features=shares)
    >>> widget = Newcomer(model, movielens, movielens.items(["Scream (1996)"]), {"Horror": 0})
    >>> widget.press("Scream")
    >>> widget.given.value = 1
    >>> widget.report[:35]
    'Scream: 1 star. No genre is chosen.'
    """

    def __init__(self, model: Factorization, ratings: Ratings, movies: Sequence[int],
                 genres: Mapping[str, int]):  # fmt: skip
        check_table(ratings)
        link = model.link("users")
        if link is None or link.rated is None or link.given is None:
            raise ValueError("the model must have implicit_features and user_features")
        columns = check_positions("genres", [*genres.values()], len(link.given))
        movies = check_positions("movies", movies, len(model.V))
        if not len(movies):
            raise ValueError("movies must be some that can be clicked, got none")
        self._model, self._genres = model, dict(zip(genres, columns.tolist(), strict=True))
        enough = count_ratings(ratings)[1] >= ENOUGH
        enough[movies] = True
        self._shown = np.flatnonzero(enough)
        self._titles = [str(title) for title in ratings.titles]
        factors = model.item_factors[self._shown]
        of_items = model.link("items").given  # map: where genres move movies, if known
        directions = factors if of_items is None else of_items[:, : model.n_factors]
        plane = np.linalg.svd(directions, full_matrices=False)[2][:2].T
        points = (factors - factors.mean(axis=0)) @ plane
        signs = np.where(points[np.searchsorted(self._shown, movies[0])] < 0, -1, 1)
        self._plane, self._points = signs * plane, signs * points
        lengths = np.linalg.norm(model.user_factors @ plane, axis=1)
        self._scale = np.abs(self._points).max() / np.quantile(lengths, 0.9)
        self._before = model.V @ find_rows(model, [], 0)[1]
        self.clicked, self.liked = [], []
        self._clickable = [int(j) for j in movies]
        names = {short_title(self._titles[j], 28): j for j in self._clickable}
        of_genres = [self._toggle(name, self.liked, name) for name in self._genres]
        of_movies = [self._toggle(name, self.clicked, j) for name, j in names.items()]
        self.given = choice(
            "a click on a movie is", [("no stars", 0), ("5 stars", 5), ("1 star", 1)], 0
        )
        self.known = ipw.Checkbox(
            value=True, description="shrink towards what is known", indent=False
        )
        super().__init__(of_genres, of_movies, [self.given, self.known])

    def _toggle(self, name, chosen, value):
        """Return a button that puts a value into a list, or takes it out."""
        action = partial(self._switch, name, chosen, value)
        button = self.button(name, "Click, or take it back", action)
        button.description = f"☐ {name}"
        return button

    def _switch(self, name, chosen, value):
        on = value not in chosen
        chosen.append(value) if on else chosen.remove(value)
        self.buttons[name].description = f"{'☑' if on else '☐'} {name}"

    @property
    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """What the newcomer is shrunk towards, and their row of U."""
        liked = [self._genres[name] for name in self.liked]
        return find_rows(self._model, self.clicked, self.given.value, liked, self.known.value)

    @property
    def listed(self) -> tuple[np.ndarray, np.ndarray]:
        """The five movies that are promised the most, and their stars."""
        scores = self._model.V @ self.rows[1]
        return top_items(scores, N, exclude=self.clicked, candidates=self._shown)

    @property
    def report(self) -> str:
        """Say what is known of the newcomer, and what they are promised."""
        stars, names = self.given.value, [short_title(self._titles[j]) for j in self.clicked]
        if not names:
            said = "No movie is clicked."
        else:
            how = "only clicked" if not stars else f"{stars} star{'s' if stars > 1 else ''}"
            said = f"{', '.join(names)}: {how}."
        liked = f"Genres: {', '.join(self.liked)}." if self.liked else "No genre is chosen."
        prior, row = self.rows
        f, (best, scores) = self._model.n_factors, self.listed
        gains = self._model.V @ row - self._before
        up, rises = top_items(gains, 1, exclude=self.clicked, candidates=self._shown)
        moved = ""
        if rises[0] > 0.005:
            moved = f" Moved up most: {short_title(self._titles[up[0]])}, by {rises[0]:.2f}."
        return (
            f"{said} {liked} The prior mean is {np.linalg.norm(prior[:f]):.2f} long, the factors "
            f"{np.linalg.norm(row[:f]):.2f}. First: {short_title(self._titles[best[0]])}, "
            f"{scores[0]:.2f} stars.{moved}"
        )

    def picture(self) -> Picture:
        """Return the map and the list."""
        f, (best, scores) = self._model.n_factors, self.listed
        arrows = [self._scale * row[:f] @ self._plane for row in self.rows]
        place = dict(zip(self._shown.tolist(), range(len(self._shown)), strict=True))
        known = {place[j]: j in self.clicked for j in self._clickable}
        titles = [self._titles[j] for j in self._shown]
        listed = [place[j] for j in best.tolist()]
        return draw_newcomer(
            self._points, arrows, titles, known, listed, scores, self._before[best]
        )
