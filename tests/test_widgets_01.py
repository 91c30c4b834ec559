"""Chapter 01's widgets, by slider and button: their numbers, sentences and pictures."""

import re
import xml.etree.ElementTree as ET
from html import unescape

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from alsnb import Ratings, train_test_split

widgets = pytest.importorskip("alsnb.widgets")
from alsnb.widgets import csr, shrink  # noqa: E402


@pytest.fixture(autouse=True)
def closed():
    from ipywidgets import Widget

    yield
    Widget.close_all()


def drawn(widget):
    """The picture on the screen, as XML; its name is the sentence."""
    picture = ET.fromstring(widget.children[-1].value)
    assert picture.get("aria-label") == widget.report
    assert widget.report in unescape(widget.children[-2].value)
    return picture


def circles(picture, **wanted):
    """Centres and titles of circles that have these attributes."""
    found = [c for c in picture.iter("circle") if all(c.get(k) == v for k, v in wanted.items())]
    return [(float(c.get("cx")), float(c.get("cy")), c.findtext("title")) for c in found]


# ShrinkIt


def make_ratings(n_users=60, n_items=40):
    """Popular items are good, on the whole; all counts from 1 to 39 occur."""
    rng = np.random.default_rng(0)
    rows = [
        (user, item, np.clip(round(2.5 + item / 30 + rng.normal()), 1, 5))
        for item in range(n_items)
        for user in rng.permutation(n_users)[: item + 1]
    ]
    table = pd.DataFrame(rows, columns=["user_id", "item_id", "rating"])
    titles = {item: f"Film <{item}>" for item in range(n_items)}
    return Ratings.from_table(table, titles=titles, item_name="movie", unit="star")


RATINGS = make_ratings()
TABLE = RATINGS.table.groupby("item_id")["rating"].agg(["sum", "count"])
MU = RATINGS.table["rating"].mean()


def shrunk(k):
    """Shrunk means, by pandas."""
    return ((TABLE["sum"] + k * MU) / (TABLE["count"] + k)).to_numpy()


@pytest.mark.parametrize("k", [0, 4, 1000])
def test_top_five_are_those_of_pandas(k):
    widget = widgets.ShrinkIt(RATINGS)
    widget.k.value = k
    items = shrink.find_top(widget.shrunk, TABLE["count"].to_numpy())
    means = widget.shrunk[items]
    ordered = pd.DataFrame({"mean": shrunk(k).round(12), "count": TABLE["count"]})
    ordered = ordered.sort_values(["mean", "count"], ascending=False, kind="stable")
    assert items.tolist() == ordered.index[:5].tolist()
    assert np.allclose(means, shrunk(k)[items])
    texts = [text.text for text in drawn(widget).iter("text")]
    for place, j in enumerate(items):
        assert f"{place + 1}  Film <{j}>" in texts and f"{shrunk(k)[j]:.2f}" in texts
    counts = TABLE["count"].to_numpy()[items]
    said = f"k = {k}: first is Film <{items[0]}> with {means[0]:.2f} stars; the top five have "
    assert widget.report.startswith(said + f"{counts.min()} to {counts.max()} ratings each")


def test_dots_lie_at_the_shrunk_means():
    widget = widgets.ShrinkIt(RATINGS)
    spans = []
    for k in (0, 10, 1000):
        widget.k.value = k
        heights = np.array([y for _, y, _ in circles(drawn(widget), r="3")])
        means = shrunk(k)[np.argsort(TABLE["count"].to_numpy(), kind="stable")]
        assert len(heights) == len(means)
        height_of_a_star, ends = np.polyfit(np.sort(means), -np.sort(-heights), 1)
        assert np.allclose(ends + height_of_a_star * np.sort(means), -np.sort(-heights), atol=0.1)
        spans.append(np.ptp(heights))
    assert spans[0] > spans[1] > 10 * spans[2]


def test_errors_are_of_ratings_left_out():
    """Neither the validation part nor the test part is in the means."""
    rest, _ = train_test_split(RATINGS.R, 0.2, rng=0)
    train, validation = train_test_split(rest, 0.2, rng=1)
    known, mu = train.tocoo(), train.data.mean()
    table = pd.DataFrame({"item": known.col, "left": known.data - mu}).groupby("item")["left"]
    errors = widgets.ShrinkIt(RATINGS).errors
    for k, error in zip(shrink.STEPS, errors, strict=True):
        bias = (table.sum() / (table.count() + k)).reindex(range(40), fill_value=0).to_numpy()
        left = validation.data - mu - bias[validation.indices]
        assert error == pytest.approx(np.sqrt(np.mean(left**2)))
    assert len(errors) == len(shrink.STEPS)


def test_the_dot_on_the_curve_follows_k():
    widget = widgets.ShrinkIt(RATINGS)
    places = []
    for k in shrink.STEPS:
        widget.k.value = k
        picture = drawn(widget)
        ((x, y, _),) = [dot for dot in circles(picture, r="6") if dot[2] is None]
        places.append((x, y))
        assert f"Validation RMSE {widget.errors[shrink.STEPS.index(k)]:.4f}" in widget.report
    x, y = np.transpose(places)
    assert (np.diff(x) > 0).all()
    assert np.argmax(y) == np.argmin(widget.errors), "y grows downwards"
    best = shrink.STEPS[np.argmin(widget.errors)]
    assert widget.report.endswith(f"(lowest: {widget.errors.min():.4f} at k = {best}).")


def test_top_five_are_circled_and_named():
    widget = widgets.ShrinkIt(RATINGS)
    widget.k.value = 20
    titles = [title for *_, title in circles(drawn(widget), r="6") if title]
    items, raw = np.argsort(-shrunk(20), kind="stable")[:5], shrunk(0)
    wanted = [
        f"Film <{j}>: {raw[j]:.2f} → {m:.2f}" for j, m in zip(items, shrunk(20)[items], strict=True)
    ]
    assert titles == wanted


def test_few_items_and_equal_ratings_are_drawn_too():
    table = pd.DataFrame({"user_id": range(20), "item_id": 2 * [*range(10)]})
    with pytest.warns(UserWarning, match="all ratings are 3"):
        ratings = Ratings.from_table(table.assign(rating=3.0))
    widget = widgets.ShrinkIt(ratings)
    widget.k.value = 5
    assert "lowest: 0.0000 at k = 0" in widget.report and len(circles(drawn(widget), r="3")) == 10


# CSRByTouch


def arrays(picture):
    """Numbers of data, indices and indptr as drawn: the texts in boxes of each row of boxes."""
    texts = [(float(t.get("y")), float(t.get("x")), t.text) for t in picture.iter("text")]
    names = {text: y for y, _, text in texts if text in ("data", "indices", "indptr")}
    found = []
    for name in ("data", "indices", "indptr"):
        row = [(x, text) for y, x, text in texts if abs(y - names[name]) < 3 and x > 250]
        found.append([float(text) for _, text in sorted(row) if text not in names])
    return found


def check(widget):
    """What is drawn is what SciPy stores; the sentence names the row's slice."""
    R = sp.csr_array(widget.R.toarray().T if widget.transposed.value else widget.R.toarray())
    assert arrays(drawn(widget)) == [R.data.tolist(), R.indices.tolist(), R.indptr.tolist()]
    start, stop = R.indptr[widget.row.value : widget.row.value + 2]
    assert f"{widget.row.value} is the slice {start}:{stop}," in widget.report
    if start == stop:
        assert widget.report.endswith("one spot, and the row is empty.")
    else:
        assert f"stars {', '.join(f'{r:g}' for r in R.data[start:stop])}" in widget.report
        assert widget.report.endswith(f"{', '.join(map(str, R.indices[start:stop]))}.")


def test_every_row_of_the_toy_and_of_its_transpose():
    widget = widgets.CSRByTouch()
    assert widget.R.toarray().tolist() == [list(row) for row in csr.TOY]
    for transposed in (False, True):
        widget.transposed.value = transposed
        for i in range(widget.row.max + 1):
            widget.row.value = i
            check(widget)


def test_presses_rate_and_clear():
    widget, rng = widgets.CSRByTouch(), np.random.default_rng(0)
    dense = widget.R.toarray()
    for _ in range(60):
        i, j, stars = rng.integers(4), rng.integers(5), int(rng.integers(1, 6))
        widget.stars.value, widget.row.value = stars, int(rng.integers(4))
        widget.press(f"user {i}, movie {j}")
        dense[i, j] = 0 if dense[i, j] else stars
        assert np.array_equal(widget.R.toarray(), dense)
        shown = widget.buttons[f"user {i}, movie {j}"].description
        assert shown == (f"{dense[i, j]:g}" if dense[i, j] else f"+{stars}")
        check(widget)


@pytest.mark.parametrize("full", [False, True])
def test_an_empty_and_a_full_matrix(full):
    widget = widgets.CSRByTouch()
    for button in widget.buttons.values():
        if (button.description[0] == "+") == full:
            button.click()
    assert widget.R.nnz == 20 * full
    check(widget)
    width = float(drawn(widget).get("viewBox").split()[2])
    assert max(float(text.get("x")) for text in drawn(widget).iter("text")) < width


def test_arrows_point_between_the_ratings():
    """An empty row has two arrows on one spot; the tip is where the number above data stands."""
    widget = widgets.CSRByTouch()
    widget.row.value = 2
    picture = drawn(widget)
    tips = []
    for path in picture.iter("path"):
        shaft = re.findall(r"[\d.]+", path.get("d").split("M")[1])
        tips.append((float(shaft[2]), path.get("stroke")))
    places = {t.text: float(t.get("x")) for t in picture.iter("text") if t.get("y") == "44.0"
              and float(t.get("x")) > 250}  # fmt: skip
    assert sorted(x for x, _ in tips) == [places[str(place)] for place in (0, 2, 4, 4, 8)]
    lit = [x for x, colour in tips if colour != "currentColor"]
    assert lit == [places["4"], places["4"]]


def test_a_row_that_the_transpose_has_not_gives_way():
    widget = widgets.CSRByTouch()
    widget.transposed.value = True
    widget.row.value = 4
    widget.transposed.value = False
    assert (widget.row.value, widget.row.max) == (3, 3)
    check(widget)


@pytest.mark.parametrize("make", [lambda: widgets.ShrinkIt(RATINGS), widgets.CSRByTouch])
def test_without_a_kernel_there_is_a_picture(make):
    widget = make()
    data, about = widget._repr_mimebundle_()
    assert data["text/plain"] == f"{type(widget).__name__}: {widget.report}"
    assert about["image/png"]["alt"] == widget.report and len(data["image/png"]) > 10_000
