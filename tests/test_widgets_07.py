"""The newcomer who clicks before they rate, without a browser."""

import numpy as np
import pandas as pd
import pytest
from helpers import coloured, drawn, texts, untouched

from alsnb import ALS, Ratings, count_ratings
from alsnb.plotting import BLUE, ORANGE, PURPLE

newcomers = pytest.importorskip("alsnb.widgets.newcomer")
N_USERS, N_ITEMS, F = 300, 24, 4
TITLES = {j: f"Film {chr(65 + j)} (1990)" for j in range(N_ITEMS)}
GENRES = {"Horror": 1, "War": 2}


def make_ratings():
    rng = np.random.default_rng(0)
    users, items = np.nonzero(rng.random((N_USERS, N_ITEMS)) < np.linspace(0.1, 0.6, N_ITEMS))
    stars = rng.integers(1, 6, len(users))
    table = pd.DataFrame({"user_id": users, "item_id": items, "rating": stars})
    return Ratings.from_table(table, titles=TITLES)


RATINGS = make_ratings()
SETTINGS = ALS(F, 2, 0.5, bias=True, implicit_features=True, implicit_reg=3, feature_reg=3)
FEATURES = np.random.default_rng(1).random((N_USERS, 3))
ITEM_FEATURES = np.random.default_rng(2).random((N_ITEMS, 5))
MODEL = SETTINGS.fit(
    RATINGS, 4, rng=0, verbose=False, user_features=FEATURES, item_features=ITEM_FEATURES
)
MOVIES = [0, 5, 20]


@pytest.fixture(autouse=True)
def closed():
    yield
    newcomers.ipw.Widget.close_all()


@pytest.fixture
def widget():
    return newcomers.Newcomer(MODEL, RATINGS, MOVIES, GENRES)


def by_hand(clicked, stars, genres):
    """Prior mean and factors, by the formulas: x = m + d, with the bias as one more factor."""
    link, f = MODEL.link("users"), np.zeros(3)
    f[genres] = 1 / np.sqrt(max(len(genres), 1))
    m = link.rated[clicked].sum(axis=0) / np.sqrt(max(len(clicked), 1)) + f @ link.given
    if not stars or not clicked:
        return m, m
    Y = np.column_stack([MODEL.item_factors[clicked], np.ones(len(clicked))])
    left = stars - MODEL.mean - MODEL.item_bias[clicked] - Y @ m
    A = Y.T @ Y + 2 * np.sqrt(len(clicked)) * np.eye(F + 1)
    return m, m + np.linalg.solve(A, Y.T @ left)


@pytest.mark.parametrize("stars", [0, 5, 1])
def test_rows_are_those_of_the_formulas(widget, stars):
    widget.given.value = stars
    for clicked, liked in (([], []), ([0], []), ([0, 20], ["War"]), ([], ["War", "Horror"])):
        for movie in clicked:
            widget.press(f"Film {chr(65 + movie)}")
        for genre in liked:
            widget.press(genre)
        wanted = by_hand(clicked, stars, [GENRES[genre] for genre in liked])
        for row, x in zip(widget.rows, wanted, strict=True):
            assert np.allclose(row[: F + 1], x)
        scores = MODEL.mean + MODEL.item_bias + wanted[1][F] + MODEL.item_factors @ wanted[1][:F]
        allowed = count_ratings(RATINGS)[1] >= newcomers.ENOUGH
        allowed[MOVIES] = True
        allowed[clicked] = False
        best = [j for j in np.argsort(-scores) if allowed[j]][:5]
        assert widget.listed[0].tolist() == best
        assert np.allclose(widget.listed[1], scores[best])
        for name in [f"Film {chr(65 + movie)}" for movie in clicked] + liked:
            widget.press(name)  # take it back
        assert widget.clicked == [] and widget.liked == []


def test_without_features_clicks_alone_say_nothing(widget):
    baselines = widget.listed
    widget.press("Film A")
    widget.press("Horror")
    assert not np.allclose(widget.rows[0], newcomers.find_rows(MODEL, [], 0)[0])
    widget.known.value = False
    assert not widget.rows[0][:F].any() and not widget.rows[1][:F].any()
    assert np.allclose(widget.rows[1], newcomers.find_rows(MODEL, [], 0)[1])
    kept = [j for j in baselines[0].tolist() if j != 0]
    assert widget.listed[0].tolist()[: len(kept)] == kept
    widget.given.value = 5
    plain = ALS(F, 2, 0.5, bias=True)
    same = MODEL.replace(settings=plain, links=None).fold_in(([0], [5]))
    assert np.allclose(widget.rows[1], same) and not widget.rows[0][:F].any()


def test_report_and_picture_say_the_same(widget):
    with untouched(MODEL, RATINGS):
        widget.press("Film U")
        widget.press("War")
        widget.given.value = 1
        (prior, row), (best, scores) = widget.rows, widget.listed
        assert widget.report.startswith(
            f"Film U: 1 star. Genres: War. The prior mean is {np.linalg.norm(prior[:F]):.2f} long, "
            f"the factors {np.linalg.norm(row[:F]):.2f}. First: Film {chr(65 + best[0])}, "
            f"{scores[0]:.2f} stars."
        )
        shown = texts(widget)
        for k, (j, score) in enumerate(zip(best, scores, strict=True)):
            assert f"{k + 1}  Film {chr(65 + j)}" in shown and f"{score:.2f}" in shown
    bars = [float(box.get("width")) for box in coloured(widget, "rect", ORANGE)]
    assert np.allclose(bars, 250 * (np.clip(scores, 1, 5) - 1) / 4, atol=0.06)
    assert "Film A: " not in widget.report
    widget.press("Film U")
    assert widget.report.startswith("No movie is clicked. Genres: War. ")


def test_map_shows_where_the_newcomer_points(widget):
    """Arrows are as long as the factors in the plane, all to one scale."""
    widget.press("Film A")
    widget.given.value = 5
    tips = {}
    for colour, row in zip((PURPLE, BLUE), widget.rows, strict=True):
        (path,) = coloured(widget, "path", colour, "stroke")
        start, tip = (np.array(point.split(), float) for point in path.get("d")[1:].split("L"))
        tips[colour] = (tip - start, row[:F] @ widget._plane)
    (low, first), (high, second) = tips[PURPLE], tips[BLUE]
    assert np.allclose(low / first, high / second, rtol=0.05)
    assert low[0] * first[0] > 0 and low[1] * first[1] < 0  # y grows downwards
    order = [e.get("stroke") for e in drawn(widget) if e.get("stroke") in (BLUE, PURPLE)]
    assert order.index(BLUE) < len(order) - 1 - order[::-1].index(PURPLE)  # purple is on top
    circles = [e for e in drawn(widget) if e.tag == "circle"]
    titles = {e[0].text for e in circles if len(e)}
    enough = count_ratings(RATINGS)[1] >= newcomers.ENOUGH
    assert titles >= {TITLES[j] for j in np.flatnonzero(enough)} | {TITLES[j] for j in MOVIES}


def test_buttons_say_what_is_clicked(widget):
    assert widget.buttons["Film F"].description == "☐ Film F"
    widget.press("Film F")
    assert widget.buttons["Film F"].description == "☑ Film F" and widget.clicked == [5]
    widget.press("Film F")
    assert widget.buttons["Film F"].description == "☐ Film F" and widget.clicked == []
    with pytest.raises(ValueError, match="there is no button 'Film Z'"):
        widget.press("Film Z")


def test_a_model_without_genres_of_movies_has_a_map_too():
    model = SETTINGS.fit(RATINGS, 2, rng=0, verbose=False, user_features=FEATURES)
    widget = newcomers.Newcomer(model, RATINGS, MOVIES, GENRES)
    factors = model.item_factors[count_ratings(RATINGS)[1] >= newcomers.ENOUGH]
    assert widget._plane.shape == (F, 2) and np.allclose(widget._plane.T @ widget._plane, np.eye(2))
    assert len(factors) and widget.report.startswith("No movie is clicked. No genre is chosen.")


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (
            {"model": ALS(2, 1.0).fit(RATINGS, 1, rng=0, verbose=False)},
            ValueError,
            "must have implicit_features and user_features",
        ),
        ({"movies": [N_ITEMS]}, IndexError, "movies"),
        ({"movies": []}, ValueError, "movies must be some"),
        ({"genres": {"Horror": 3}}, IndexError, "genres"),
    ],
)
def test_refused(bad, error, message):
    options = {"model": MODEL, "ratings": RATINGS, "movies": MOVIES, "genres": GENRES} | bad
    with pytest.raises(error, match=message):
        newcomers.Newcomer(**options)
