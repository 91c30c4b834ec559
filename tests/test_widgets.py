"""The widget is driven without a browser, and shows what the functions of the package compute."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from html import escape

import numpy as np
import pandas as pd
import pytest
from helpers import each_star_model, fit, untouched
from hypothesis import given, settings
from hypothesis import strategies as st

from alsnb import Ratings, count_ratings, damped_means, top_items
from alsnb.bayes import most_informative_items

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
        *_, said, body = self.widget.children
        left, right = body.children
        self.said = said
        self.heading, *self.matches, self.mine = left.children
        self.head, *self.best = right.children

    def find(self, text):
        """Titles that are listed once this is typed."""
        self.widget.search.value = text
        return [self.read(row)[0] for row in self.matches if row.layout.display != "none"]

    def read(self, row):
        """Title, what its buttons say, and the rest of its HTML."""
        text, stars, *_ = row.children
        (node,) = ET.fromstring(f"<p>{text.value}</p>")
        return node.text.strip(), [b.description for b in stars.children], node

    def click(self, row, stars):
        """Give stars in a row, as with a mouse."""
        row.children[1].children[self.widget.stars.index(stars)].click()

    def rate(self, item, stars):
        """Search for a title, and click in its row."""
        listed = self.find(self.ratings.titles[item])
        self.click(self.matches[listed.index(self.ratings.titles[item])], stars)
        self.widget.search.value = ""

    def read_own(self):
        """Title (and what is beside it), colour and buttons of each of "Your ratings"."""
        head, *rows = self.mine.children
        assert head.value.startswith("<b>Your ratings</b>")
        found = []
        for row in rows:
            text, stars, remove = row.children
            assert remove.description == "×"
            colour, *_ = node = ET.fromstring(f"<p>{text.value}</p>")
            title = "".join(node.itertext()).removeprefix("■ ")
            found.append((title, colour.get("style"), [b.description for b in stars.children]))
        return found

    def read_bar(self, node):
        """(title, width in %, colour) of the parts left and right of the line, and the sides."""

        def style_of(part):
            return dict(one.split(":") for one in part.get("style").split(";"))

        sides, widths = [], []
        for side in node:
            widths.append(float(style_of(side)["width"][:-1]))
            parts = [(part.get("title"), style_of(part)) for part in side]
            parts = [(t, float(style["width"][:-1]), style["background"]) for t, style in parts]
            sides.append(parts)
        return sides, widths

    def assert_consistent(self, ratings, hidden=()):
        """Attributes and screen are what the package's functions say to these ratings."""
        widget, titles = self.widget, self.ratings.titles
        row, n = (list(ratings), list(ratings.values())), count_ratings(self.ratings)[1]
        promised = ratings or self.model.settings.bias  # by the model, even to a stranger
        scores = self.model.V @ self.model.fold_in(row) if promised else damped_means(self.ratings)
        options = {"exclude": {*ratings, *hidden}, "candidates": self.options.get("candidates")}
        options["exclude"] = sorted(options["exclude"])
        items, scores = top_items(scores, self.options.get("top_n", 10), **options)
        assert list(widget.ratings.items()) == list(ratings.items())
        assert (widget.items.tolist(), widget.scores.tolist()) == (items.tolist(), scores.tolist())
        for item, base, shares in zip(items, widget.bases, widget.shares, strict=True):
            if promised:
                expected, baseline = self.model.explain(item, *row)
                assert shares.tolist() == expected.tolist()
                assert base == (baseline if ratings else pytest.approx(baseline, rel=1e-6))
        shown = np.clip(scores, *self.ratings.scale)
        rows = [row for row in self.best if row.layout.display != "none"]
        for row, item, score, why in zip(rows, items, shown, widget.reasons, strict=True):
            title, marks, node = self.read(row)
            assert title == titles[item] and node[0].text.startswith(f"{score:.2f} ")
            assert node[1].text == f"{n[item]} rating{'s' if n[item] != 1 else ''}"
            told = ET.fromstring(f"<p>{row.children[-1].value}</p>")[-1].text
            assert told == (why if promised else None)
            assert ratings or why.startswith(f"{score:.2f} = " if promised else "mean of its ")
            assert set(marks) <= {"☆", *(f"{s:g}" for s in widget.stars)}
        own = [line for line in self.read_own() if not line[0].endswith(" (removed)")]
        assert [line[0] for line in own] == [titles[j] for j in ratings]
        for (_, _, marks), stars in zip(own, ratings.values(), strict=True):
            if self.ratings.unit == "star":
                assert marks == ["★" if s <= stars else "☆" for s in widget.stars]
        assert escape(widget.report) in self.said.value


@each_star_model
def test_ratings_are_answered_as_the_functions_do(variant, dtype):
    model = fit(RATINGS, variant, 3, dtype=dtype)
    with untouched(model, RATINGS):
        screen, ratings = Screen(model, top_n=4), {}
        screen.assert_consistent({})
        for item, stars in ((6, 5), (0, 1), (3, 3), (6, 2)):  # of which one is changed
            screen.rate(item, stars)
            ratings[item] = stars
            screen.assert_consistent(ratings)


@settings(max_examples=15)
@given(st.lists(st.one_of(st.sampled_from(["undo", "again"]), st.integers(0, 26)), max_size=12))
def test_any_sequence_of_clicks(clicks):
    screen, history = Screen(top_n=3), [({}, set())]
    for click in clicks:
        ratings, hidden = history[-1]
        if click == "undo":
            history = history[:-1] or [({}, set())]
            screen.widget.press("Undo")
        elif click == "again":
            history += [({}, set())] if ratings or hidden else []  # nothing is no change
            screen.widget.press("Start again")
        elif click < 9:
            stars = 1 + (click + len(history)) % 5
            history += [(ratings | {click: stars}, hidden)] * (ratings.get(click) != stars)
            screen.rate(click, stars)
        elif click < 18:
            item = click - 9
            left = {j: stars for j, stars in ratings.items() if j != item}
            history += [(left, hidden)] if left != ratings else []
            screen.widget.remove(item)
        else:
            history += [(ratings, hidden | {click - 18})] if click - 18 not in hidden else []
            screen.widget.hide(click - 18)
        screen.assert_consistent(*history[-1])


def test_reasons_add_up_in_print():
    screen = Screen(fit(RATINGS, "bias_reg", 3), top_n=4)
    for item, stars in ((6, 5), (0, 1), (3, 3), (1, 4), (2, 2)):
        screen.rate(item, stars)
        for why, score in zip(screen.widget.reasons, screen.widget.scores, strict=True):
            total, parts = why.split(" (shown")[0].split(" = ")
            numbers = re.findall(r"([−+]?) ?(\d+\.\d\d) ", parts)
            cents = [(-1 if sign == "−" else 1) * round(100 * float(x)) for sign, x in numbers]
            assert sum(cents) == round(100 * float(total)) == round(100 * score)
    assert " mean " in why and " the movie " in why and "from 2 others" in why


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=9))
def test_rounded_parts_are_near_and_add_up(parts):
    rounded = widgets.round_parts(parts)
    assert round(100 * sum(rounded)) == round(100 * np.sum(parts))
    np.testing.assert_allclose(rounded, parts, rtol=0, atol=0.0101)


def test_bars_begin_at_the_line_and_have_one_scale():
    screen = Screen()
    for item, stars in ((6, 5), (0, 4), (3, 1), (1, 2), (4, 5), (5, 1), (7, 2)):  # seven
        screen.rate(item, stars)
    shares, titles = screen.widget.shares, RATINGS.titles
    low, high = np.minimum(shares, 0).sum(1).min(), np.maximum(shares, 0).sum(1).max()
    own = {title: style.removeprefix("color:") for title, style, _ in screen.read_own()}
    colours = [c for c in own.values() if c.startswith("#")]
    assert len(colours) == len(set(colours)) == 5 and len(own) == 7  # the rest is one grey part
    for row, mine in zip(screen.best, shares, strict=False):
        (left, right), widths = screen.read_bar(
            ET.fromstring(row.children[-1].value.split('<div style="line-height')[0])
        )
        np.testing.assert_allclose(widths, [-100 * low / (high - low), 100 * high / (high - low)],
                                   atol=0.051)  # fmt: skip
        for side, sign, room in ((left, -1, -low), (right, 1, high)):
            expected, grey = [], 0
            for j, share in zip(screen.widget.ratings, mine, strict=True):
                if share * sign > 0 and own[titles[j]].startswith("#"):
                    expected.append((f"{titles[j]}: {share:+.2f}", share, own[titles[j]]))
                elif share * sign > 0:
                    grey += share
            expected += [(f"all others: {grey:+.2f}", grey, "currentColor")] if grey else []
            assert [(t, c) for t, _, c in side] == [(t, c) for t, _, c in expected]
            lengths = [abs(100 * share / room) for _, share, _ in expected]
            np.testing.assert_allclose([width for _, width, _ in side], lengths, atol=0.051)


def test_colours_stay_with_their_ratings():
    old = widgets.choose_colours({}, dict(zip("abcdef", (6, 5, 4, 3, 2, 1), strict=True)))
    assert [*old] == list("abcde") and [*old.values()] == list(widgets.COLOURS)
    new = widgets.choose_colours(old, dict(zip("abcdef", (6, 5, 4, 3, 0, 9), strict=True)))
    assert {key: new[key] for key in "abcd"} == {key: old[key] for key in "abcd"}
    assert new["f"] == old["e"] and "e" not in new


def test_stars_show_what_was_given_and_can_be_changed_or_removed():
    screen = Screen()
    screen.rate(2, 4)
    assert screen.find("aliens") == [TITLES[2]]
    row = screen.matches[0]
    assert screen.read(row)[1] == ["★", "★", "★", "★", "☆"]
    assert [b.tooltip for b in row.children[1].children][:2] == ["1 star", "2 stars"]
    screen.click(row, 2)
    assert screen.widget.ratings == {2: 2} and screen.read(row)[1] == ["★", "★", "☆", "☆", "☆"]
    *_, remove = screen.mine.children[1].children
    remove.click()
    remove.click()  # which does nothing, and is still there to be focused
    assert screen.widget.ratings == {} and screen.read(row)[1] == ["☆"] * 5
    assert screen.read_own() == [(f"{TITLES[2]} (removed)", "opacity:0.4", ["☆"] * 5)]
    screen.click(screen.mine.children[1], 5)
    screen.assert_consistent({2: 5})


def test_recommended_movies_are_rated_in_place_or_hidden():
    screen = Screen(top_n=3)
    screen.rate(0, 5)
    first, second = screen.widget.items[:2].tolist()
    screen.click(screen.best[0], 4)
    screen.assert_consistent({0: 5, first: 4})
    best = int(screen.widget.items[0])
    screen.best[0].children[2].click()
    assert screen.widget.hidden == {best} and best not in screen.widget.items
    assert f"just now {TITLES[best]}: not for you" in screen.widget.report
    screen.assert_consistent({0: 5, first: 4}, {best})
    screen.widget.undo()
    screen.assert_consistent({0: 5, first: 4})
    assert second in screen.widget.items


def test_the_focus_moves_on_when_its_row_goes():
    screen, sent = Screen(top_n=9), []
    for item in range(8):
        screen.widget.rate(item, 3)
    screen.widget.buttons["Undo"].focus = lambda: sent.append("focus")
    screen.click(screen.best[0], 4)
    assert sent == ["focus"] and screen.best[0].layout.display == "none"
    screen.widget.undo()
    screen.rate(8, 5)
    assert sent == ["focus"]


def test_no_control_is_ever_disabled_or_exchanged():
    screen = Screen(top_n=9)
    kept = [*screen.matches, *screen.best, *screen.widget.buttons.values()]
    for item in range(9):
        screen.widget.rate(np.int32(item), np.float32(1 + item % 5))
    screen.assert_consistent({item: 1 + item % 5 for item in range(9)})
    assert len(screen.widget.items) == 0 and "Nothing is left" in screen.widget.report
    own = screen.mine.children
    screen.widget.press("Undo")
    assert screen.widget.items.tolist() == [8] and screen.mine.children == own[:-1]
    screen.widget.press("Ask about others")
    screen.widget.start_again()
    screen.widget.press("Undo")
    assert len(screen.widget.ratings) == 8
    screen.widget.start_again()
    for _ in range(12):
        screen.widget.press("Undo")
    assert "nothing to take back" in screen.widget.report
    assert kept == [*screen.matches, *screen.best, *screen.widget.buttons.values()]
    assert not any(button.disabled for button in screen.widget.buttons.values())


def test_the_penalty_is_that_of_the_newcomer():
    model = fit(RATINGS, "bias_reg", 3)  # λ = 0.5, biases 2 and 0.25
    screen = Screen(model, top_n=4)
    screen.rate(0, 5)
    screen.rate(3, 1)
    screen.widget.penalty.value = 2.0
    changed = model.replace(
        settings=replace(model.settings, lambda_reg=(2.0, 0.5), bias_reg=(8.0, 0.25))
    )
    expected = changed.V @ changed.fold_in(([0, 3], [5, 1]))
    assert screen.widget.scores.tolist() == expected[screen.widget.items].tolist()
    assert "λ = 2;" in screen.widget.report
    spread = [np.ptp(screen.widget.shares) for screen.widget.penalty.value in (0.25, 8.0)]
    assert spread[0] > 2 * spread[1]  # the larger, the less a rating says
    same = widgets.with_penalty(model, 0.5)
    assert same.fold_in(([0], [5])).tolist() == model.fold_in(([0], [5])).tolist()


def test_searching():
    ratings = make_ratings([f"Alien {k}" for k in range(1, 12)] + ["Ran"])
    screen, n = Screen(fit(ratings, "plain", 3), ratings), count_ratings(ratings)[1]
    asked = most_informative_items(screen.model, 8).tolist()
    assert screen.widget.asked.tolist() == asked
    assert screen.find("  ") == ratings.titles[asked].tolist()
    assert screen.heading.value == "<b>Ask me about:</b>"
    most = sorted(range(11), key=lambda j: -n[j])[:8]
    assert screen.find("alien") == ratings.titles[most].tolist()
    assert screen.heading.value == "<b>11 items found; the first 8 are:</b>"
    assert screen.find("RAN ") == ["Ran"]
    assert screen.heading.value == "<b>1 item found:</b>"
    assert screen.find("<zorro>") == []
    assert screen.heading.value == "<b>No item matches “&lt;zorro&gt;”.</b>"
    for row in screen.matches:
        screen.click(row, 3)  # what is hidden does nothing
    assert screen.widget.ratings == {}


def test_questions_stay_until_others_are_wanted():
    screen = Screen(candidates=range(9))
    first = screen.widget.asked.tolist()
    screen.click(screen.matches[2], 4)
    assert screen.widget.ratings == {first[2]: 4} and screen.widget.asked.tolist() == first
    screen.widget.press("Ask about others")
    assert screen.widget.asked.tolist() == sorted({*range(9)} - {*first})
    assert screen.find("") == [TITLES[j] for j in screen.widget.asked]
    screen.widget.press("Start again")
    assert screen.widget.asked.tolist() == first


def test_titles_are_text():
    ratings = make_ratings(NASTY)
    screen = Screen(fit(ratings, "plain", 3), ratings, top_n=4)
    for item in range(9):
        screen.widget.rate(item, 1 + item % 5)
        screen.assert_consistent({j: 1 + j % 5 for j in range(item + 1)})  # titles read back
        rows = [
            row.children[0] for row in (*screen.best, *screen.matches, *screen.mine.children[1:])
        ]
        rows += [row.children[-1] for row in screen.best]
        html = [row.value for row in (*rows, screen.head, screen.said, screen.heading)]
        for one in (*html, screen.widget.to_html()):
            tags = {node.tag for node in ET.fromstring(f"<p>{one}</p>").iter()}
            assert tags <= {"p", "b", "div", "span", "table", "tr", "th", "td"}
    assert screen.find("<IMG onerror")[0] == NASTY[0]


def test_any_finite_stars_and_scores_within_the_scale():
    about = {"scale": (-10, 10), "item_name": "joke", "unit": "point"}
    ratings = make_ratings(stars=(-10, -2.5, 0, 10), **about)
    screen = Screen(fit(ratings, "plain", 3), ratings, stars=(-10, 0, 2.5, 10))
    assert screen.read(screen.matches[0])[1] == ["-10", "0", "2.5", "10"]  # no ★
    assert screen.widget.search.placeholder == "a joke's title, or a part of it"
    screen.rate(0, -10)
    screen.rate(3, 0)
    screen.assert_consistent({0: -10, 3: 0})
    assert screen.read_own()[1][2] == ["-10", "[0]", "2.5", "10"]
    many = make_ratings(stars=np.linspace(0, 10, 50), item_name="joke", unit="point")
    assert len(Screen(fit(many, "plain", 3), many).widget.stars) == 11
    narrow = make_ratings(stars=(2, 2.5))
    screen = Screen(fit(narrow, "plain", 3), narrow, stars=(-10, 10))
    screen.widget.rate(1, 10)
    screen.assert_consistent({1: 10})  # which looks at what is shown
    assert max(screen.widget.scores) > 2.5
    assert "2.50 ratings" in screen.best[0].children[0].value
    assert screen.widget.reasons[0].endswith(" (shown as 2.5)")


def test_genres_are_shown_where_they_are_known():
    table = pd.DataFrame({"genres": ["Drama|War", None]}, index=[0, 3])
    ratings = make_ratings(item_table=table)
    screen = Screen(fit(ratings, "plain", 3), ratings)
    n = count_ratings(ratings)[1]
    for title, line in (
        (TITLES[0], f"Drama, War · {n[0]} ratings"),
        (TITLES[3], f"{n[3]} ratings"),
    ):
        screen.find(title)
        assert screen.read(screen.matches[0])[2][0].text == line


def test_only_candidates_are_recommended_and_asked_about_but_all_can_be_rated():
    screen = Screen(candidates=[6, 1, 4])
    screen.assert_consistent({})
    assert sorted(screen.widget.items) == sorted(screen.widget.asked) == [1, 4, 6]
    screen.rate(8, 5)
    screen.rate(4, 2)
    screen.assert_consistent({8: 5, 4: 2})
    assert sorted(screen.widget.items) == [1, 6]


@pytest.mark.parametrize("variant", ["plain", "implicit"])
def test_what_the_model_knows_nothing_of_is_not_recommended(variant):
    R = RATINGS.R.tolil()
    R[:, 3] = 0
    train = R.tocsr()
    train.eliminate_zeros()
    screen = Screen(fit(train, variant, 3))
    assert 3 not in screen.widget.items and 3 not in screen.widget.asked
    screen.widget.rate(0, 1)
    assert 3 not in screen.widget.items


def test_a_page_without_a_kernel_has_a_table():
    screen = Screen(top_n=3)
    screen.rate(0, 5)
    data = screen.widget._repr_mimebundle_()
    assert data["text/plain"] == f"RatingWidget: {screen.widget.report}"
    given, table = ET.fromstring(f"<p>{data['text/html']}</p>")
    assert given.text == f"Your ratings: {TITLES[0]}: 5"
    assert [row[0].text for row in table[1:]] == [TITLES[j] for j in screen.widget.items]
    assert ["".join(row[2].itertext()) for row in table[1:]] == screen.widget.reasons


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
    screen.widget.undo()
    screen.assert_consistent({2: 4})


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"ratings": make_ratings(TITLES[:8])}, ValueError, "does not fit the model"),
        ({"stars": [1, np.nan]}, ValueError, "stars must be finite numbers"),
        ({"candidates": [9]}, IndexError, "candidates holds 9"),
        ({"model": MODEL.replace(V=MODEL.V * np.nan)}, ValueError, "NaN or ∞"),
        ({"model": MODEL.replace(settings=None)}, ValueError, "a half_step of your own"),
        ({"model": fit(RATINGS.R, "counts", 3)}, ValueError, "knows clicks, not stars"),
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
