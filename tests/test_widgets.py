"""The widget is driven without a browser, and shows what the functions of the package compute."""

import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from helpers import each_model, fit, untouched
from hypothesis import given, settings
from hypothesis import strategies as st

from alsnb import Ratings, damped_means, most_informative_items, top_items

widgets = pytest.importorskip("alsnb.widgets.rating")

TITLES = ["Misérables, Les (1995)", "Alien (1979)", "Aliens (1986)", "Ran (1985)", "M (1931)"]
TITLES += ["Amélie (2001)", "Straße, Die (1954)", "Ésta es la alien vida (2000)", "Foo™ (2009)"]
NASTY = ["<img src=x onerror=alert(1)>", '" onclick="alert(1)', "A & B &lt;b&gt;", "<b>b</b>"]
NASTY += ["</table><script>alert(1)</script>", "</span></td>", "<!-- -->", "&quot;><i>", "' x='"]


def make_ratings(titles=TITLES, stars=(1, 2, 3, 4, 5), n_users=12, **about):
    rng, n_items = np.random.default_rng(0), len(titles)
    users, items = np.nonzero(rng.random((n_users, n_items)) < 0.6)
    stars = rng.choice(stars, len(users))
    table = pd.DataFrame({"user_id": users, "item_id": items, "rating": stars})
    return Ratings.from_table(table, titles=dict(enumerate(titles)), **about)


RATINGS = make_ratings(item_name="movie", unit="star")
MODEL = fit(RATINGS, "plain", 3)


@pytest.fixture(autouse=True)
def closed():
    yield
    widgets.ipw.Widget.close_all()


class Screen:
    """A widget, and what is on it."""

    def __init__(self, model=MODEL, ratings=RATINGS, **options):
        self.widget = widgets.RatingWidget(model, ratings, **options)
        self.model, self.ratings, self.options = model, ratings, options
        left, self.shown = self.widget.children
        self.search, self.matches, stars, buttons, self.list = left.children
        self.stars, (self.undo, self.reset) = stars.children, buttons.children

    def find(self, text):
        """Items that are listed once this is typed."""
        self.search.value = text
        return [item for _, item in self.matches.options]

    def rate(self, item, stars):
        """As with a mouse: search, select, click."""
        self.find(self.ratings.titles[item])
        self.matches.value = item
        next(b for b in self.stars if b.description.split()[0] == f"{stars:g}").click()

    def read_list(self):
        """Colour and text of each of "Your ratings"."""
        head, *lines = ET.fromstring(f"<p>{self.list.value}</p>")
        assert head.text == "Your ratings"
        return [
            (line[0].get("style") if len(line) else "", "".join(line.itertext())) for line in lines
        ]

    def read_table(self):
        """For each recommendation its title, score, and the bars on either side of the line."""

        def read(part):
            style = dict(one.split(":") for one in part.get("style").split(";"))
            return part.get("title"), float(style["width"].removesuffix("em")), style["background"]

        (table,) = ET.fromstring(f"<p>{self.shown.value}</p>")
        return [
            (title.text, score.text, *([read(part) for part in side] for side in bar[0]))
            for title, score, bar in list(table)[1:]
        ]

    def assert_consistent(self, ratings):
        """Attributes and screen are what the package's functions say to these ratings."""
        widget, titles = self.widget, self.ratings.titles
        candidates = self.options.get("candidates")
        row = list(ratings), list(ratings.values())
        scores = self.model.V @ self.model.fold_in(row) if ratings else damped_means(self.ratings)
        top_n = self.options.get("top_n", 10)
        items, scores = top_items(scores, top_n, exclude=row[0], candidates=candidates)
        assert list(widget.ratings.items()) == list(ratings.items())
        assert (widget.items.tolist(), widget.scores.tolist()) == (items.tolist(), scores.tolist())
        asked = most_informative_items(self.model, 5, items=row[0], candidates=candidates)
        assert [item for _, item in self.matches.options] == asked.tolist()
        assert self.search.value == "" and self.reset.disabled == (not ratings)
        lines, table = self.read_list(), self.read_table()
        assert [text.strip("■ ★") for _, text in lines] == (
            [f"{titles[j]}: {stars:g}" for j, stars in ratings.items()] or ["none yet"]
        )
        shown = np.clip(scores, *self.ratings.scale)
        assert [line[:2] for line in table] == [
            (titles[j], f"{score:.2f}") for j, score in zip(items, shown, strict=True)
        ]
        bars, lengths = [], []
        for (_, _, *sides), item, shares in zip(table, items, widget.shares, strict=True):
            expected, _ = self.model.explain(item, *row)
            assert shares.tolist() == expected.tolist()
            for side, sign in zip(sides, (-1, 1), strict=True):
                part = [k for k in range(len(shares)) if (shares[k] > 0) == (sign > 0)]
                assert [bar[0] for bar in side] == [
                    f"{titles[row[0][k]]}: {shares[k]:+.2f}" for k in part
                ]
                assert [f"color:{bar[2]}" for bar in side] == [lines[k][0] for k in part]
                bars += [bar[1] for bar in side]
                lengths += abs(shares[part]).tolist()
        if any(lengths):
            assert max(bars) > 0.5  # em
            unit = max(bars) / max(lengths)
            np.testing.assert_allclose(bars, unit * np.array(lengths), rtol=0, atol=3e-3)


@each_model
def test_ratings_are_answered_as_the_functions_do(variant, dtype):
    model = fit(RATINGS, variant, 3, dtype=dtype)
    with untouched(model, RATINGS):
        screen, ratings = Screen(model, top_n=4), {}
        screen.assert_consistent({})
        for item, stars in ((6, 5), (0, 1), (3, 3), (6, 2)):  # of which one is changed
            screen.rate(item, stars)
            ratings[item] = stars
            screen.assert_consistent(ratings)


def test_bars_of_either_sign_begin_at_the_line_and_fill_their_side():
    screen = Screen()
    screen.rate(6, 5)
    screen.rate(0, 4)
    sides = [side for row in screen.read_table() for side in row[2:]]
    assert {bar[0].split(": ")[1][0] for side in sides[0::2] for bar in side} == {"-"}
    assert {bar[0].split(": ")[1][0] for side in sides[1::2] for bar in side} == {"+"}
    assert max(sum(bar[1] for bar in side) for side in sides) == pytest.approx(8, abs=0.01)  # em
    assert "flex-direction:row-reverse" in screen.shown.value  # on the left, from the right


@settings(max_examples=15)
@given(st.lists(st.one_of(st.sampled_from(["undo", "reset"]), st.integers(0, 8)), max_size=12))
def test_any_sequence_of_clicks(clicks):
    screen, history = Screen(top_n=3), [{}]
    for click in clicks:
        if click == "undo":
            history = history[:-1] or [{}]
            screen.undo.click()
        elif click == "reset":
            history += [{}] if history[-1] else []  # nothing is no change
            screen.reset.click()
        else:
            history.append(history[-1] | {click: 1 + (click + len(history)) % 5})
            screen.rate(click, history[-1][click])
        screen.assert_consistent(history[-1])
        assert screen.undo.disabled == (len(history) == 1)


def test_everything_rated():
    screen = Screen()
    for item in range(9):
        screen.widget.rate(np.int32(item), np.float32(1 + item % 5))
    screen.assert_consistent({item: 1 + item % 5 for item in range(9)})
    assert len(screen.widget.items) == 0 and screen.matches.options == ()
    screen.stars[0].click()  # nothing is selected
    assert len(screen.widget.ratings) == 9
    screen.undo.click()
    assert screen.widget.items.tolist() == [8]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("les MISERABLES", [0]),
        ("19  alien ", [1, 2]),
        ("straße", [6]),
        ("footm", [8]),
        (".*", []),
        ("(1931)", [4]),
        ("(", list(range(9))),
    ],
)
def test_searching(text, found):
    screen, means = Screen(), damped_means(RATINGS)
    listed = screen.find(text)
    assert listed == sorted(found, key=lambda j: -means[j])
    assert screen.matches.value == (listed[0] if found else None)
    screen.stars[2].click()
    assert screen.widget.ratings == ({listed[0]: 3} if found else {})
    assert screen.find(" ") == most_informative_items(MODEL, 5, items=listed[:1]).tolist()


def test_titles_are_text():
    ratings = make_ratings(NASTY)
    screen = Screen(fit(ratings, "plain", 3), ratings)
    for item in range(9):
        screen.widget.rate(item, 1 + item % 5)
        screen.assert_consistent({j: 1 + j % 5 for j in range(item + 1)})  # titles read back
        for html in (screen.list.value, screen.shown.value):
            tags = {node.tag for node in ET.fromstring(f"<p>{html}</p>").iter()}
            assert tags <= {"p", "b", "div", "span", "table", "tr", "th", "td"}
    assert screen.find("<IMG onerror") == [0]


def test_any_finite_stars_and_scores_within_the_scale():
    ratings = make_ratings(
        stars=(-10, -2.5, 0, 10), scale=(-10, 10), item_name="joke", unit="point"
    )
    screen = Screen(fit(ratings, "plain", 3), ratings, stars=(-10, 0, 2.5, 10))
    assert [b.description.strip() for b in screen.stars] == ["-10", "0", "2.5", "10"]  # no ★
    assert screen.search.placeholder == "Search for a joke"
    assert "<th>points</th>" in screen.shown.value and "★" not in screen.shown.value
    screen.rate(0, -10)
    screen.rate(3, 0)
    screen.assert_consistent({0: -10, 3: 0})
    narrow = make_ratings(stars=(2, 2.5))
    screen = Screen(fit(narrow, "plain", 3), narrow, stars=(-10, 10))
    screen.widget.rate(1, 10)
    screen.assert_consistent({1: 10})  # which looks at what is shown
    assert max(screen.widget.scores) > 2.5 and screen.read_table()[0][1] == "2.50"


def test_only_candidates_are_recommended_and_asked_about_but_all_can_be_rated():
    screen = Screen(candidates=[6, 1, 4])
    screen.assert_consistent({})
    assert sorted(screen.widget.items) == [1, 4, 6]
    screen.rate(8, 5)
    screen.rate(4, 2)
    screen.assert_consistent({8: 5, 4: 2})
    assert sorted(screen.widget.items) == [1, 6]


@pytest.mark.parametrize("variant", ["plain", "all"])
def test_what_the_model_knows_nothing_of_is_not_recommended(variant):
    R = RATINGS.R.tolil()
    R[:, 3] = 0
    train = R.tocsr()
    train.eliminate_zeros()
    screen = Screen(fit(train, variant, 3))
    assert 3 not in screen.widget.items
    screen.widget.rate(0, 1)
    assert 3 not in screen.widget.items


@pytest.mark.parametrize(
    ("item", "stars", "error", "message"),
    [
        (9, 3, IndexError, r"item is 9, but positions \(not ids\) are 0 to 8"),
        (0, np.nan, ValueError, "ratings hold NaN or ∞"),
        (0, "3", TypeError, "ratings must be real numbers"),
        (0, 0.5, ValueError, "stars must be from 1 to 1.7e[+]308, got 0.5"),
        (0, 1.7e308, ValueError, "not finite|NaN or ∞"),  # which cannot be solved for
    ],
)
def test_refused_ratings_change_nothing(item, stars, error, message):
    screen = Screen(stars=(1, 4, 1.7e308))
    screen.rate(2, 4)
    screen.widget.rate(1, 2)  # between what the buttons offer
    with pytest.raises(error, match=message):
        screen.widget.rate(item, stars)
    screen.assert_consistent({2: 4, 1: 2})
    screen.undo.click()
    screen.assert_consistent({2: 4})


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"ratings": RATINGS.R}, TypeError, "ratings must be Ratings, .* got csr_array"),
        ({"ratings": make_ratings(TITLES[:8])}, ValueError, "does not fit the model"),
        ({"stars": [1, np.nan]}, ValueError, "stars must be finite numbers"),
        ({"candidates": [9]}, IndexError, "candidates holds 9"),
        ({"model": MODEL.replace(V=MODEL.V * np.nan)}, ValueError, "NaN or ∞"),
        ({"model": MODEL.replace(settings=None)}, ValueError, "a half_step of your own"),
    ],
)
def test_refused_before_any_widget_is_made(bad, error, message):
    made = []
    widgets.ipw.Widget.on_widget_constructed(made.append)
    try:
        with pytest.raises(error, match=message):
            Screen(**bad)
    finally:
        widgets.ipw.Widget.on_widget_constructed(None)
    assert made == []


def test_without_ipywidgets_only_the_widgets_are_missing():
    code = "import sys; sys.modules['ipywidgets'] = None; import alsnb; print('imported')\n"
    done = subprocess.run(
        [sys.executable, "-c", code + "import alsnb.widgets"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.stdout, done.returncode) == ("imported\n", 1)
    assert done.stderr.splitlines()[-1] == (
        "ImportError: alsnb.widgets needs ipywidgets: pip install 'alsnb[widgets]'"
    )
