"""The premiere: on whose lists a new movie is, driven without a browser."""

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from helpers import fit, untouched

from alsnb import ALS, Ratings, count_ratings

premieres = pytest.importorskip("alsnb.widgets.premiere")
N_USERS, N_ITEMS = 60, 40


def make_ratings():
    rng = np.random.default_rng(0)
    users, items = np.nonzero(rng.random((N_USERS, N_ITEMS)) < 0.35)
    stars = rng.integers(1, 6, len(users))
    return Ratings.from_table(
        pd.DataFrame({"user_id": users, "item_id": items, "rating": stars}), item_name="movie"
    )


RATINGS = make_ratings()
SETTINGS = ALS(3, 2.0, bias=True, bias_reg=(1.0, 0.5))
MODEL = SETTINGS.fit(RATINGS, 4, rng=0, verbose=False)
RATERS = np.random.default_rng(1).permutation(N_USERS)[:20]


@pytest.fixture(autouse=True)
def closed():
    yield
    premieres.ipw.Widget.close_all()


def listeners(raters, lam, enough):
    """By appending the movie to the model, and making everybody's list."""
    settings = ALS(3, 2.0, bias=True, bias_reg=(1.0, float(lam)))
    pair = raters, np.full(len(raters), 5.0)
    grown, R = MODEL.replace(settings=settings).append(pair, RATINGS.R, "items")
    candidates = np.flatnonzero(count_ratings(R)[1] >= 20) if enough else None
    lists, _ = grown.recommend(None, R, candidates=candidates)
    return (lists == N_ITEMS).any(axis=1)


@pytest.mark.parametrize("enough", [False, True])
def test_it_is_on_the_lists_that_an_appended_movie_is_on(enough):
    with untouched(MODEL, RATINGS):
        widget = premieres.Premiere(MODEL, RATINGS, RATERS)
        widget.enough.value = enough
        seen = set()
        for k in (1, 3, 19, 20):
            for lam in (1, 7, 20):
                widget.given.value, widget.penalty.value = k, lam
                expected = listeners(RATERS[:k], lam, enough)
                assert widget.listed.tolist() == expected.tolist()
                seen.add(int(expected.sum()))
        assert max(seen) >= 40 and min(seen) < 20


def test_report_and_picture_say_the_same():
    widget = premieres.Premiere(MODEL, RATINGS, RATERS)
    widget.given.value, widget.penalty.value = 4, 3
    n = int(widget.listed.sum())
    row = premieres.fold_in_premiere(MODEL, RATERS[:4], 3)
    bias = MODEL.with_rows("items", row[None]).item_bias[0]
    assert widget.report == (
        f"4 ratings of five stars, penalty 3: bias {bias:+.2f} stars, on {n} of 60 lists of ten."
    )
    svg = ET.fromstring(widget._drawn.value)
    assert svg.get("aria-label") == widget.report
    dots = [group for group in svg if group.tag == "g"]
    lit, rated = (
        [dot for group in dots for dot in group if dot.get("fill") == colour]
        for colour in (premieres.BLUE, premieres.PURPLE)
    )
    assert (len(lit), len(rated)) == (n, 4)
    assert sum(len(group) for group in dots) == 60
    assert f"on {n} of 60 lists" in ["".join(text.itertext()) for text in svg.iter("text")]
    (line,) = (part for part in svg.iter("path") if part.get("stroke") == premieres.BLUE)
    heights = [float(point.split()[1]) for point in line.get("d")[1:].split("L")]
    counts = premieres.count_lists(MODEL, RATINGS, RATERS, [3])[0]
    assert np.corrcoef(heights, counts)[0, 1] < -0.999 and len(heights) == 20


def test_fewer_than_twenty_ratings_are_not_listed():
    widget = premieres.Premiere(MODEL, RATINGS)
    widget.enough.value = True
    widget.given.value = 19
    assert widget.report == (
        "19 ratings of five stars: fewer than 20, so the movie is on nobody's list."
    )
    assert not widget.listed.any()
    widget.given.value = 20
    assert "on" in widget.report and "nobody" not in widget.report
    widget.given.value = 1
    widget.enough.value = False
    assert widget.report.startswith("1 rating of five stars, penalty 2: ")


def test_counts_of_lists():
    counts = premieres.count_lists(MODEL, RATINGS, RATERS[:3], [0.5, 6])
    assert counts.shape == (2, 3)
    for row, lam in zip(counts, (0.5, 6), strict=True):
        assert row.tolist() == [listeners(RATERS[:k], lam, False).sum() for k in (1, 2, 3)]


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"model": fit(RATINGS, "plain", 2)}, ValueError, "the model has no biases"),
        ({"raters": [1, 2]}, ValueError, "raters must be 20 users, got 2"),
        ({"raters": [N_USERS, *range(19)]}, IndexError, "raters"),
    ],
)
def test_refused(bad, error, message):
    with pytest.raises(error, match=message):
        premieres.Premiere(**{"model": MODEL, "ratings": RATINGS} | bad)


def test_thresholds_are_the_last_scores_on_the_lists():
    scores = np.where(RATINGS.R.toarray() > 0, -np.inf, MODEL.U @ MODEL.V.T)
    for candidates in (None, np.arange(30)):
        listed = scores if candidates is None else scores[:, candidates]
        found = premieres.list_thresholds(MODEL, RATINGS, 4, candidates)
        np.testing.assert_allclose(found, np.sort(listed, axis=1)[:, -4], rtol=1e-12)
