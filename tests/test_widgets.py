"""The widget is driven without a browser, and shows what the functions of the package compute."""

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_recommend import SHRINKAGE, VARIANTS, n_factors_of

import alsnb

widgets = pytest.importorskip("alsnb.widgets")
ipw, RatingWidget = widgets.ipw, widgets.RatingWidget

TITLES = ["Misérables, Les (1995)", "Alien (1979)", "Aliens (1986)", "Ran (1985)", "M (1931)"]
TITLES += ["Amélie (2001)", "Straße, Die (1954)", "Ésta es la alien vida (2000)", "Up (2009)"]
NASTY = "<img src=x onerror=alert(1)>", '" onmouseover="alert(1)', "' onclick='x", "A & B &lt;b&gt;"
NASTY += (
    "</table><script>alert(1)</script>",
    "<b>bold</b>",
    "</span></td>",
    "<!-- -->",
    "&quot;><i>",
)


def random_ratings(seed=0, shape=(12, 9)):
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < 0.5
    mask[0, :2] = True
    stars = rng.integers(1, 6, mask.sum()).astype(float)
    return sp.coo_array((stars, np.nonzero(mask)), shape=shape).tocsr()


R = random_ratings()


def fit(R=R, **options):
    settings = {"reg_exponent": options.pop("nu", 0), "implicit_weight": options.pop("w", 0)}
    settings |= options | {"bias": "bias_reg" in options, "verbose": False, "rng": 0}
    return alsnb.als_matrix_factorization(R, 3, n_iterations=4, **settings)


MODEL = fit()


@pytest.fixture(autouse=True)
def closed():
    yield
    ipw.Widget.close_all()


def make(model=MODEL, titles=TITLES, **options):
    return RatingWidget(model, R, titles, **options)


def search(widget, text):
    """What is listed once this is typed."""
    widget._search.value = text
    return [label for label, _ in widget._matches.options]


def rate(widget, item, stars):
    """As with a mouse: search, select, click."""
    widget._search.value = "e" if widget._search.value == "a" else "a"
    widget._matches.options = [(widget._titles[item], item)]
    widget._matches.index = 0
    next(b for b in widget._stars if b.description == f"{stars:g} ★").click()


def assert_consistent(widget, model=MODEL, top_n=10):
    """Attributes are what the package's functions return for these ratings."""
    given = list(widget.ratings), list(widget.ratings.values())
    if widget.ratings:
        u = alsnb.fold_in_user(*given, model)
        items, scores = alsnb.rank_items(u, model.V, given[0], top_n)
    else:
        popular = alsnb.popularity_scores(R)
        items = np.argsort(-popular, kind="stable")[:top_n]
        scores = popular[items]
    assert widget.items.tolist() == items.tolist()
    np.testing.assert_allclose(widget.scores, scores, rtol=1e-6)
    assert len(widget.shares) == len(items)
    for item, shares in zip(items, widget.shares, strict=True):
        expected, baseline = alsnb.explain_recommendation(item, *given, model)
        np.testing.assert_array_equal(shares, expected)
        if widget.ratings:
            score = scores[items.tolist().index(item)]
            assert shares.sum() + baseline == pytest.approx(score, rel=1e-4, abs=1e-4)
    proposed = alsnb.most_informative_items(model, 5, item_ids=given[0]).tolist()
    assert widget._search.value == ""
    assert [value for _, value in widget._matches.options] == proposed
    assert widget._matches.index == (0 if proposed else None)
    assert widget._reset.disabled == (not widget.ratings)
    assert_shown(widget)


# Reading what is shown

VOID, OWN = {"img", "br", "hr", "input"}, {"b", "div", "span", "table", "tr", "td", "th"}


class Page(HTMLParser):
    """Every element as (tag, attributes, text directly in it, children)."""

    def __init__(self, text):
        super().__init__()
        self.root = self.at = ("root", {}, [], [])
        self.path, self.all = [], []
        self.feed(text)
        self.close()
        assert not self.path  # every tag is closed

    def handle_starttag(self, tag, attributes):
        assert tag in OWN, tag
        assert len(dict(attributes)) == len(attributes)
        assert {name for name, _ in attributes} <= {"style", "title"}, attributes
        node = tag, dict(attributes), [], []
        self.at[3].append(node)
        self.all.append(node)
        self.path.append(self.at)
        self.at = node

    def handle_endtag(self, tag):
        assert tag == self.at[0]
        self.at = self.path.pop()

    def handle_data(self, text):
        self.at[2].append(text)

    def handle_comment(self, text):
        raise AssertionError(text)

    handle_decl = handle_pi = unknown_decl = handle_comment


def text_of(node):
    return "".join(node[2])


def style_of(node):
    return dict(part.split(":") for part in node[1].get("style", "").split(";") if part)


def width_of(node):
    return float(style_of(node)["width"].removesuffix("em"))


def read_given(widget):
    """Colour and text of each line of "Your ratings"."""
    head, *lines = Page(widget._given.value).root[3]
    assert text_of(head) == "Your ratings"
    return [
        (style_of(line[3][0])["color"] if line[3] else None, text_of(line).strip())
        for line in lines
    ]


def read_bars(widget):
    """For each recommendation its title, score, and two lists: (rated, share, width, colour)."""
    (table,) = Page(widget._shown.value).root[3]
    head, *rows = table[3]
    assert [cell[0] for cell in head[3]] == ["th"] * 3
    bars = []
    for _, _, _, (title, score, bar) in rows:
        while len(bar[3]) == 1:
            (bar,) = bar[3]
        left, right = bar[3]
        assert width_of(left) == width_of(right)
        assert "border-left" in style_of(right)  # the line between
        sides = []
        for side in (left, right):
            parts = []
            for part in side[3]:
                assert not part[3]
                rated, share = part[1]["title"].rsplit(": ", 1)
                parts.append((rated, share, width_of(part), style_of(part)["background"]))
            assert sum(part[2] for part in parts) <= width_of(side) + 1e-3 * len(parts)
            sides.append(parts)
        bars.append((text_of(title), text_of(score), *sides))
    return bars


def assert_shown(widget):
    """Titles are shown as they are, and bars are as long as the shares, on the side of the sign."""
    titles, rated = widget._titles, list(widget.ratings)
    lines = read_given(widget)
    assert [text for _, text in lines] == (
        [f": {stars:g} ★".join((titles[j], "")) for j, stars in widget.ratings.items()]
        or ["none yet"]
    )
    colours = dict(zip(rated, [colour for colour, _ in lines], strict=False))
    bars = read_bars(widget)
    assert [bar[0] for bar in bars] == [titles[item] for item in widget.items]
    assert [bar[1] for bar in bars] == [f"{score:.2f}" for score in widget.scores]
    widths, shown = [], []
    for (_, _, left, right), shares in zip(bars, widget.shares, strict=True):
        parts = [*zip(rated, shares.tolist(), strict=True)]
        for side, wanted in (
            (left, [part for part in parts if part[1] <= 0]),
            (right, [part for part in parts if part[1] > 0]),
        ):
            assert [(title, share, colour) for title, share, _, colour in side] == [
                (titles[item], f"{share:+.2f}", colours[item]) for item, share in wanted
            ]
            widths += [part[2] for part in side]
            shown += [abs(share) for _, share in wanted]
    if sum(shown):
        unit = max(widths) / max(shown)
        assert max(widths) > 0.5  # em
        np.testing.assert_allclose(widths, unit * np.array(shown), rtol=0, atol=2e-3)


# What is recommended


def test_before_the_first_rating_popularity_is_shown():
    widget = make()
    assert_consistent(widget)
    assert (widget.ratings, read_given(widget)) == ({}, [(None, "none yet")])
    assert [shares.shape for shares in widget.shares] == [(0,)] * 9
    assert all(bar[2:] == ([], []) for bar in read_bars(widget))
    sums = np.array([R[:, [j]].data.sum() for j in range(9)])
    counts = np.bincount(R.indices, minlength=9)
    expected = (sums + SHRINKAGE * R.data.mean()) / (counts + SHRINKAGE)
    np.testing.assert_allclose(widget.scores, np.sort(expected)[::-1], rtol=1e-12)
    assert (widget._undo.disabled, widget._reset.disabled) == (True, True)


@pytest.mark.parametrize("dtype", [float, np.float32])
@pytest.mark.parametrize("variant", VARIANTS)
def test_ratings_are_answered_as_the_functions_do(variant, dtype):
    model = fit(dtype=dtype, **VARIANTS[variant])
    assert (n_factors_of(model), model.V.dtype) == (3, dtype)
    widget = make(model, top_n=4)
    assert_consistent(widget, model, 4)
    for item, stars in ((6, 5), (0, 1), (3, 3), (8, 5)):
        rate(widget, item, stars)
        assert list(widget.ratings.items())[-1] == (item, stars)
        assert_consistent(widget, model, 4)


def test_negative_shares_are_on_the_left():
    widget = make()
    widget.rate(6, 5)
    widget.rate(0, 4)
    bars = read_bars(widget)
    lefts, rights = ([part for bar in bars for part in bar[side]] for side in (2, 3))
    assert len(lefts) + len(rights) == 2 * 7
    assert {share[0] for _, share, *_ in lefts} == {"-"}
    assert {share[0] for _, share, *_ in rights} == {"+"}
    sums = [sum(part[2] for part in side) for bar in bars for side in bar[2:]]
    assert max(sums) > 6  # em: the longest fills its side, which `read_bars` says none exceeds
    assert {colour for *_, colour in lefts + rights} == {colour for colour, _ in read_given(widget)}


def test_rating_by_hand_is_rating_by_mouse():
    widget, other = make(), make()
    rate(widget, 2, 4)
    other.rate(np.int32(2), np.float32(4))
    assert widget.ratings == other.ratings == {2: 4.0}
    assert [(type(j), type(stars)) for j, stars in other.ratings.items()] == [(int, float)]
    assert (widget._shown.value, widget._given.value) == (other._shown.value, other._given.value)


def test_rating_twice_replaces():
    widget = make()
    for item, stars in ((1, 2), (4, 3), (1, 5)):
        rate(widget, item, stars)
    assert widget.ratings == {1: 5, 4: 3}
    assert_consistent(widget)
    fresh = make()
    for item, stars in widget.ratings.items():
        fresh.rate(item, stars)
    assert fresh.items.tolist() == widget.items.tolist()
    widget.undo()
    assert widget.ratings == {1: 2, 4: 3}


def test_rating_everything():
    widget = make(stars=(0.5, 1, 4.5))
    assert [button.description for button in widget._stars] == ["0.5 ★", "1 ★", "4.5 ★"]
    for item in range(9):
        rate(widget, item, (0.5, 1, 4.5)[item % 3])
        assert_consistent(widget)
    assert (len(widget.items), widget._matches.options, widget.shares) == (0, (), [])
    for button in widget._stars:  # nothing is selected
        button.click()
    assert len(widget.ratings) == 9
    assert len(set(read_given(widget))) == 9  # nine lines, in fewer colours
    widget.undo()
    assert widget.items.tolist() == [8]
    assert_consistent(widget)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.sampled_from(["undo", "reset"]), st.integers(0, 8)), max_size=12))
def test_any_sequence_of_clicks(clicks):
    widget, history = make(top_n=3), [{}]
    for click in clicks:
        if click == "undo":
            history = history[:-1] or [{}]
            widget._undo.click()
        elif click == "reset":
            if widget._reset.disabled:
                continue
            history.append({})
            widget._reset.click()
        else:
            stars = 1 + (click + len(history)) % 5
            history.append(history[-1] | {click: float(stars)})
            rate(widget, click, stars)
        assert list(widget.ratings.items()) == list(history[-1].items())
        assert widget._undo.disabled == (len(history) == 1)
        assert_consistent(widget, top_n=3)


# Undo and reset


def test_undo_and_reset():
    widget = make()
    widget._undo.click()
    assert widget.ratings == {}
    rate(widget, 1, 5)
    rate(widget, 2, 1)
    assert (widget._undo.disabled, widget._reset.disabled) == (False, False)
    shown = widget._shown.value
    widget._reset.click()
    assert widget.ratings == {}
    assert_consistent(widget)
    assert (widget._undo.disabled, widget._reset.disabled) == (False, True)
    widget._undo.click()  # of the reset
    assert (widget.ratings, widget._shown.value) == ({1: 5, 2: 1}, shown)
    for ratings in ({1: 5}, {}, {}):
        widget._undo.click()
        assert widget.ratings == ratings
        assert_consistent(widget)
    assert (widget._undo.disabled, widget._reset.disabled) == (True, True)


def test_resetting_nothing_is_nothing_to_undo():
    widget = make()
    widget.reset()
    assert (widget.ratings, widget._undo.disabled) == ({}, True)


# Searching


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("miserables", [0]),
        ("MISÉRABLES", [0]),
        ("les mis", [0]),
        ("alien", [1, 2, 7]),
        ("alien 19", [1, 2]),
        ("19  alien ", [1, 2]),
        ("aliens", [2]),
        ("esta", [7]),
        ("STRASSE", [6]),
        ("straße", [6]),
        ("nothing of the kind", []),
        ("alien nothing", []),
        (".*", []),
        ("(1931)", [4]),
        ("(", list(range(9))),
        ("[a-z]", []),
        ("\\", []),
        ("^m", []),
        ("a$", []),
    ],
)
def test_searching(text, found):
    widget = make()
    assert sorted(search(widget, text)) == sorted(TITLES[j] for j in found)
    popular = alsnb.popularity_scores(R)
    listed = [value for _, value in widget._matches.options]
    assert listed == sorted(found, key=lambda j: (-popular[j], j))
    assert widget._matches.index == (0 if found else None)
    assert widget._matches.value == (listed[0] if found else None)
    widget._stars[2].click()
    assert widget.ratings == ({listed[0]: 3} if found else {})
    assert widget._search.value == ("" if found else text)


@pytest.mark.parametrize("blank", ["", "  ", "\t"], ids=repr)
def test_nothing_typed_proposes(blank):
    widget = make()
    rate(widget, 4, 2)
    search(widget, "ran")
    proposed = alsnb.most_informative_items(MODEL, 5, item_ids=[4])
    assert search(widget, blank) == [TITLES[j] for j in proposed]
    assert widget._matches.value == proposed[0]


def test_any_character_may_be_typed():
    titles = [f"Film {c}" for c in ".*[(\\?+|"] + ["Fílm é"]
    widget = make(titles=titles)
    for j, title in enumerate(titles[:8]):
        assert search(widget, title[-1]) == [title]
        assert search(widget, title.upper()) == [title]
        assert widget._matches.value == j
    assert search(widget, "E") == [titles[8]]
    assert len(search(widget, "film")) == 9


def test_of_many_found_the_most_popular_are_listed():
    ratings = random_ratings(1, (30, 80))
    widget = RatingWidget(fit(ratings), ratings, ["same title"] * 80)
    popular = alsnb.popularity_scores(ratings)
    assert search(widget, "same") == ["same title"] * 50
    listed = [value for _, value in widget._matches.options]
    assert listed == sorted(range(80), key=lambda j: -popular[j])[:50]
    widget._matches.index = 7  # of equal titles, the selected one is rated
    widget._stars[0].click()
    assert widget.ratings == {listed[7]: 1}


def test_selecting_by_value_and_by_index():
    widget = make()
    search(widget, "alien")
    widget._matches.value = 7
    widget._stars[4].click()
    proposed = [value for _, value in widget._matches.options]
    widget._matches.index = 3
    widget._stars[0].click()
    assert widget.ratings == {7: 5, proposed[3]: 1}
    assert_consistent(widget)


# Titles are text


def test_titles_are_escaped():
    widget = make(titles=NASTY)
    assert_consistent(widget)
    for item in range(9):
        widget.rate(item, 1 + item % 5)
        assert_consistent(widget)  # which reads every title as text, and knows all tags
        for html in (widget._given.value, widget._shown.value):
            assert "<img" not in html and "<script" not in html and "<i>" not in html
    assert widget._given.value.count("&lt;img src=x onerror=alert(1)&gt;") == 1
    assert [value for _, value in widget._matches.options] == []
    assert search(widget, "<IMG onerror") == [NASTY[0]]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text("<>&\"'=/-! abon;#x", max_size=12), min_size=9, max_size=9))
def test_titles_of_any_characters_are_escaped(titles):
    titles = [f"[{title}]" for title in titles]  # which are not blank
    widget = make(titles=titles, top_n=5)
    widget.rate(0, 5)
    widget.rate(1, 1)
    assert_shown(widget)


def test_titles_that_are_no_text():
    titles = [float("nan"), None, 3, 2.5, np.str_("Ran"), b"x", ("a", "b"), np.int64(7), True]
    widget = make(titles=titles)
    assert search(widget, "nan") == ["nan"]
    assert search(widget, "RAN") == ["Ran"]
    widget.rate(0, 4)
    assert_consistent(widget)
    assert widget._titles == [str(title) for title in titles]


def test_titles_in_a_series():
    import pandas as pd

    widget = make(titles=pd.Series(TITLES, index=range(100, 109)))
    assert search(widget, "ran") == ["Ran (1985)"]


# Refusals, before anything is made


@pytest.fixture
def made():
    """What widgets have been constructed."""
    made = []
    ipw.Widget.on_widget_constructed(made.append)
    yield made
    ipw.Widget.on_widget_constructed(None)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"titles": TITLES[:8]}, ValueError, "8 titles for a model of 9 items"),
        ({"titles": [*TITLES, "more"]}, ValueError, "10 titles for a model of 9 items"),
        ({"titles": []}, ValueError, "0 titles for a model of 9 items"),
        ({"titles": None}, TypeError, None),
        ({"titles": dict.fromkeys(range(9), TITLES).values()}, None, None),
        ({"R": R[:5]}, ValueError, "R is 5 × 9 but the model 12 × 9"),
        ({"R": R.T}, ValueError, "R is 9 × 12 but the model 12 × 9"),
        ({"R": R.toarray()}, TypeError, "R must be a two-dimensional SciPy sparse matrix"),
        ({"R": sp.csr_array((12, 9))}, ValueError, r"R \(12 × 9\) holds no ratings"),
        ({"R": R * np.nan}, ValueError, "R holds NaN or ∞"),
        ({"model": MODEL.V}, TypeError, "model must be a Factorization, as a fit returns it"),
        ({"model": None}, TypeError, "model must be a Factorization"),
        ({"top_n": 0}, ValueError, "top_n must be at least 1, got 0"),
        ({"top_n": "3"}, TypeError, "top_n must be a whole number, got '3'"),
        ({"stars": None}, TypeError, None),
        ({"stars": ["1", "2"]}, (TypeError, ValueError), None),
        ({"stars": [1, np.nan]}, (TypeError, ValueError), None),
    ],
)
def test_refused_before_anything_is_made(bad, error, message, made):
    options = {"model": MODEL, "R": R, "titles": TITLES} | bad
    if error is None:
        RatingWidget(**options)
        assert len(made) > 10
        return
    with pytest.raises(error, match=message):
        RatingWidget(**options)
    assert made == []


def test_titles_that_are_fewer_than_they_say_are_refused(made):
    import pandas as pd

    with pytest.raises((TypeError, ValueError)):  # a table has columns, not rows
        make(titles=pd.DataFrame({"title": TITLES, "year": 1999}))
    assert made == []


@pytest.mark.parametrize(
    ("item", "stars", "error", "message"),
    [
        (9, 3, IndexError, "item 9 is out of range; the model has items 0 to 8"),
        (-1, 3, IndexError, "item -1 is out of range"),
        ("0", 3, TypeError, "item must be a whole number, got '0'"),
        (True, 3, TypeError, "item must be a whole number, got True"),
        (0, np.nan, ValueError, "ratings hold NaN or ∞"),
        (0, "3", TypeError, "ratings must be real numbers"),
        (0, None, TypeError, "ratings must be real numbers"),
        (0, True, TypeError, "ratings must be real numbers"),
        (0, [3], ValueError, "must be as many"),
    ],
)
def test_refused_ratings_change_nothing(item, stars, error, message):
    widget = make()
    widget.rate(2, 4)
    shown = widget._shown.value, widget._given.value
    with pytest.raises(error, match=message):
        widget.rate(item, stars)
    assert (widget.ratings, widget._shown.value, widget._given.value) == ({2: 4}, *shown)
    assert_consistent(widget)
    widget.undo()
    assert (widget.ratings, widget._undo.disabled) == ({}, True)


@pytest.mark.parametrize("value", [np.nan, 1e200])
def test_a_model_of_nonsense_is_refused_before_any_widget_is_made(made, value):
    V = MODEL.V.copy()
    V[:, 0] = value
    with pytest.raises(ValueError, match=r"NaN or ∞|NaN or too large"):
        make(replace(MODEL, V=V))
    assert made == []


def test_questions_that_cannot_be_chosen_leave_all_as_it_is():
    """The second rating makes a system that is singular to rounding."""
    V = np.ones((9, 3))
    model = replace(MODEL, U=np.ones((12, 3)), V=V, lambda_reg=1e-20, bias_reg=None)
    with pytest.raises(ValueError, match="too small"):
        make(model).rate(0, 3)
    widget = make()
    widget.rate(2, 4)
    before = widget._shown.value, widget._given.value, widget._matches.options
    widget._model = model
    with pytest.raises(ValueError, match="too small"):
        widget.rate(0, 3)
    assert widget.ratings == {2: 4}
    assert (widget._shown.value, widget._given.value, widget._matches.options) == before


def test_compatibility_characters_are_found_by_what_they_stand_for():
    widget = make(titles=["Foo™ (1999)", *TITLES[1:]])
    assert search(widget, "FooTM") == search(widget, "footm") == ["Foo™ (1999)"]


def test_negative_shares_begin_at_the_line_too():
    widget = make(fit(bias_reg=1.0, lambda_reg=50.0))  # the bias is all that counts
    rate(widget, 0, 1)
    rate(widget, 1, 1)
    assert (widget.shares[0] < 0).all()
    left = widget._shown.value.split("flex-direction:row-reverse")[1].split("border-left")[0]
    assert left.index(TITLES[0]) < left.index(TITLES[1])  # the first is rightmost, by the line


def test_stars_are_those_of_the_scale():
    widget = make(stars=(0.5, 3, 4.5))
    for beyond in (0.25, 5):
        with pytest.raises(ValueError, match=rf"stars must be from 0.5 to 4.5, got {beyond}"):
            widget.rate(1, beyond)
    assert widget.ratings == {}
    widget.rate(1, 0.5)
    widget.rate(2, 4.5)
    widget.rate(3, 2)  # between what buttons offer
    assert widget.ratings == {1: 0.5, 2: 4.5, 3: 2}


def test_only_some_are_recommended_and_asked_about_but_all_can_be_rated():
    among = np.array([6, 1, 4])
    widget = make(among=among)
    assert sorted(widget.items) == [1, 4, 6]
    assert sorted(item for _, item in widget._matches.options) == [1, 4, 6]
    assert "Up (2009)" in search(widget, "up")
    rate(widget, 8, 5)
    rate(widget, 4, 2)
    assert widget.ratings == {8: 5, 4: 2} and sorted(widget.items) == [1, 6]
    with pytest.raises(IndexError, match="among holds 9"):
        make(among=[9])


def test_a_rating_that_cannot_be_solved_for_changes_nothing():
    widget = make(stars=(1, 1.75e308))
    widget.rate(0, 3)
    with pytest.raises(ValueError, match=r"not finite|NaN or ∞"):
        widget.rate(1, 1.7e308)
    assert widget.ratings == {0: 3}
    assert_consistent(widget)
    widget.rate(3, 1)
    assert widget.ratings == {0: 3, 3: 1}


# The widget itself


def test_two_widgets_are_independent():
    one, other = make(), make(top_n=2)
    before = other._shown.value, other._given.value, other._matches.options
    rate(one, 3, 5)
    search(one, "alien")
    assert (other._shown.value, other._given.value, other._matches.options) == before
    assert (other.ratings, other._undo.disabled, other._search.value) == ({}, True, "")
    rate(other, 1, 2)
    assert (one.ratings, other.ratings) == ({3: 5}, {1: 2})
    assert search(one, "") != []


def test_repr_is_the_same_each_time():
    texts = []
    for _ in range(2):
        widget = make()
        widget.rate(1, 5)
        texts.append(repr(widget))
    assert texts[0] == texts[1]
    assert texts[0].startswith("RatingWidget(")
    assert not re.search("0x[0-9a-f]{6}| at 0x", texts[0])


def test_model_and_ratings_stay_as_they_are():
    model, ratings = fit(**VARIANTS["partners, bias"]), R.copy()
    arrays = model.U, model.V, *model.partners, ratings.data, ratings.indices, ratings.indptr
    before, titles = [array.tobytes() for array in arrays], list(TITLES)
    widget = RatingWidget(model, ratings, titles)
    for item in (2, 7, 2):
        widget.rate(item, 4)
    widget.reset()
    widget.undo()
    assert [array.tobytes() for array in arrays] == before
    titles[:] = ["changed"] * 9
    assert search(widget, "ran") == ["Ran (1985)"]


# Importing


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def test_the_package_alone_needs_no_ipywidgets():
    code = "import sys, alsnb; print([m for m in sys.modules if m.split('.')[0] == 'ipywidgets'])"
    done = run(code)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_without_ipywidgets_only_the_widgets_are_missing():
    done = run("import sys; sys.modules['ipywidgets'] = None; import alsnb, alsnb.widgets")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(("ImportError", "ModuleNotFoundError"))
    assert "ipywidgets" in done.stderr.splitlines()[-1]
    done = run("import sys; sys.modules['ipywidgets'] = None; import alsnb; print('imported')")
    assert done.stdout == "imported\n", done.stderr
