"""What is known of a newcomer, and what to ask: driven without a browser."""

import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from helpers import coloured, texts

ellipses = pytest.importorskip("alsnb.widgets.ellipse")
V = np.array([[1.0, 0.2], [0.3, -0.9], [-0.8, 0.7], [1.0, 0.1], [0.1, 0.4]])
BASELINE = np.array([3.5, 4.0, 3.0, 3.7, 4.2])
TITLES = ["Jaws (1975)", "Fargo (1996)", "Sound of Music, The (1965)", "Aliens (1986)", "Emma"]
NAMES = ["Jaws", "Fargo", "The Sound of Music"]
SIGMA, TAU = 0.9, 0.5


@pytest.fixture(autouse=True)
def closed():
    yield
    ellipses.Widget.close_all()


def make(**changes):
    given = {"V": V, "baseline": BASELINE, "titles": TITLES, "asked": [0, 1, 2], "told": [3, 4]}
    return ellipses.WhatToAsk(**given | {"noise": SIGMA, "spread": TAU} | changes)


def dense(rated):
    """Mean and covariance, by adding up precisions."""
    precision, right = np.eye(2) / TAU**2, np.zeros(2)
    for item, stars in rated.items():
        precision += np.outer(V[item], V[item]) / SIGMA**2
        right += V[item] * (stars - BASELINE[item]) / SIGMA**2
    return np.linalg.solve(precision, right), np.linalg.inv(precision)


def share(rated):
    return np.sqrt(np.linalg.det(dense(rated)[1])) / TAU**2


def test_ratings_by_buttons_are_those_of_the_slider():
    widget, rated = make(), {}
    for item, stars in ((1, 5), (0, 2), (1, 3), (2, 4)):
        widget.stars.value = stars
        widget.press(NAMES[item])
        rated = {key: value for key, value in rated.items() if key != item} | {item: stars}
        assert widget.rated == rated and [*widget.rated] == [*rated]
        for found, wanted in zip(widget.belief, dense(rated), strict=True):
            np.testing.assert_allclose(found, wanted)
        assert f"just now {NAMES[item]}: {stars} stars" in widget.report
        assert f"has {share(rated):.0%}".replace("%", " %") in widget.report
    widget.press("Start again")
    assert widget.rated == {} and widget.report.startswith("No rating yet. The ellipse has 100 %")


def test_predictions_and_their_intervals():
    widget = make()
    widget.stars.value = 1
    widget.press("Jaws")
    mean, covariance = dense({0: 1})
    expected, std = widget.predictions
    np.testing.assert_allclose(expected, BASELINE[3:] + V[3:] @ mean)
    np.testing.assert_allclose(std**2, [v @ covariance @ v for v in V[3:]])
    assert std[0] < TAU * np.linalg.norm(V[3]) * 0.95  # like Jaws, of which something is known
    said = f"Aliens: {expected[0]:.1f} ± {1.645 * std[0]:.1f} (90 %, without noise)."
    assert widget.report.endswith(f"{said} A press gives 1 star.")
    assert "1 rating; just now Jaws: 1 star." in widget.report


def test_asks_what_leaves_the_smallest_ellipse():
    widget, rated = make(), {}
    for _ in range(3):
        widget.press("Ask me")
        left = {j: share(rated | {j: 3}) for j in range(3) if j not in rated}
        best = min(left, key=left.get)
        kept = f"{left[best]:.0%}".replace("%", " %")
        assert f"Most informative next: {NAMES[best]}, which would leave {kept}." in widget.report
        assert len(coloured(widget, "circle", ellipses.PURPLE, "stroke")) == 1
        widget.press(NAMES[best])
        assert "Most informative" not in widget.report
        rated[best] = 5
    widget.press("Ask me")
    assert "Most informative" not in widget.report  # all are rated


def test_shows_what_the_stars_would_do():
    widget = make()
    assert coloured(widget, "path", ellipses.PURPLE, "stroke") == []
    widget.press("Ask me")
    (asked,) = (k for k in range(3) if f"next: {NAMES[k]}," in widget.report)
    frames = []
    for stars in (5, 1):
        widget.stars.value = stars
        assert f"A press gives {stars} star" in widget.report
        (path,) = coloured(widget, "path", ellipses.PURPLE, "stroke")
        frames.append(path.get("d"))
    widget.press(NAMES[asked])
    (now,) = (e for e in coloured(widget, "path", ellipses.BLUE, "stroke")
              if e.get("stroke-width") == "2.5")  # fmt: skip
    assert now.get("d") == frames[1] != frames[0]


def test_stars_move_the_ellipse_and_do_not_change_its_area():
    areas = []
    for stars in (1, 5):
        widget = make()
        widget.stars.value = stars
        widget.press("Fargo")
        areas.append(re.search(r"has (\d+) %", widget.report)[1])
    assert areas[0] == areas[1]


def test_picture_shows_the_ellipse_and_the_movies():
    widget = make()
    widget.press("The Sound of Music")
    widget.stars.value = 2
    widget.press("Fargo")
    shown = texts(widget)
    assert "The Sound of Music 5 ★" in shown and "Fargo 2 ★" in shown and "Jaws" in shown
    paths = [
        [tuple(map(float, pair.split())) for pair in e.get("d")[1:].split("L")]
        for e in coloured(widget, "path", ellipses.BLUE, "stroke")
    ]
    before, now = (np.array(path) for path in paths if len(path) == 73)
    areas = [
        abs(sum(a[0] * b[1] - a[1] * b[0] for a, b in itertools.pairwise(p))) / 2
        for p in (before, now)
    ]
    rated = {2: 5, 1: 2}
    assert areas[1] / areas[0] == pytest.approx(share(rated) / share({2: 5}), rel=0.01)
    (mean, *predicted) = coloured(widget, "circle", ellipses.BLUE)
    px = float(mean.get("cx")), float(mean.get("cy"))
    np.testing.assert_allclose(px, now[:-1].mean(axis=0), atol=0.3)
    rises = np.diff([float(dot.get("cx")) for dot in predicted])
    assert np.sign(rises[0]) == np.sign(np.diff(widget.predictions[0])[0])


def test_labels_cover_no_dot_and_no_other():
    near = np.array([[-1.0, 0.2], [-0.6, 0.2], [0.3, 0.2], [0.33, 0.23], [0.0, 0.0]])
    widget = make(V=near)
    widget.press("Jaws")
    root = ElementTree.fromstring(widget.picture().svg("x"))
    marks = {kind: [e for e in root.iter() if e.tag.endswith(kind)] for kind in ("text", "circle")}
    found = [e for e in marks["text"] if e.text.removesuffix(" 5 ★") in NAMES]
    boxes = []
    for e in found:
        width = 5.5 * len(e.text)
        left = float(e.get("x")) - width * {"start": 0, "end": 1}.get(e.get("text-anchor"), 0.5)
        boxes.append((left, left + width, float(e.get("y")) - 8, float(e.get("y"))))
    dots = [(float(e.get("cx")),) * 2 + (float(e.get("cy")),) * 2 for e in marks["circle"]]
    assert len(boxes) == 3 and len(dots) == 6
    for one, other in [*itertools.combinations(boxes, 2), *itertools.product(boxes, dots[:4])]:
        apart = one[0] > other[1] or other[0] > one[1] or one[2] > other[3] or other[2] > one[3]
        assert apart, (one, other)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"V": V[:, :1]}, r"V needs two columns, got shape \(5, 1\)"),
        ({"noise": 0}, "must be positive, got 0 and 0.5"),
        ({"asked": [0, 0]}, "asked holds a movie twice"),
    ],
)
def test_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        make(**bad)
