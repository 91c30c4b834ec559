"""Chapter 02's widgets, by their buttons and sliders, against minimisers that know no formula."""

import warnings
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from alsnb import calculate_objective, half_step, objective_gradient, solve_row

widgets = pytest.importorskip("alsnb.widgets")
from alsnb.plotting import BLUE, GREEN, ORANGE, PURPLE  # noqa: E402
from alsnb.widgets import AlternateByHand, RidgeBowl, bowl, by_hand  # noqa: E402

Y = np.array([[0.3, 2.2], [1.0, 2.1], [-1.8, 1.5], [-1.2, 2.0]])
RATINGS = np.array([2.0, 1.0, 5.0, 4.0])
numbers = st.floats(-4, 4).map(lambda value: round(value, 1))
lambdas = st.floats(0.1, 5).map(lambda value: round(value, 1))


def parsed(widget):
    """The drawing as XML; its name is the sentence that is shown."""
    svg = ET.fromstring(widget._drawn.value)
    assert svg.get("role") == "img" and svg.get("aria-label") == widget.report
    assert 'role="status"' in widget._said.value
    return svg


def strokes(svg, colour):
    """Paths of a colour, each as an array of points in px."""
    paths = [path for path in svg.iter("path") if path.get("stroke") == colour]
    parts = [part for path in paths for part in path.get("d").split("M")[1:]]
    return [np.array([point.split() for point in part.split("L")], float) for part in parts]


# Alternate by hand


@given(u=numbers, v=numbers, r=numbers, lam=lambdas)
@settings(deadline=None, max_examples=50)
def test_a_move_is_what_the_package_computes(u, v, r, lam):
    R, U, V = sp.csr_array(np.array([[r]])), np.array([[u]]), np.array([[v]])
    if r == 0:  # which a sparse matrix would not store
        R = sp.csr_array((np.array([0.0]), np.array([0]), np.array([0, 1])), shape=(1, 1))
    assert np.isclose(by_hand.objective(u, v, r, lam), calculate_objective(R, U, V, lam))
    assert np.allclose(by_hand.move("Solve u", u, v, r, lam, 0.1), (half_step(R, V, lam)[0, 0], v))
    assert np.allclose(by_hand.move("Solve v", u, v, r, lam, 0.1), (u, half_step(R, U, lam)[0, 0]))
    slopes = np.ravel(objective_gradient(R, U, V, lam))
    stepped = by_hand.move("Gradient step", u, v, r, lam, 0.01)
    assert np.allclose(stepped, np.array([u, v]) - 0.01 * slopes)


@pytest.mark.parametrize(("r", "lam"), [(2, 0.5), (-2, 0.5), (-3, 1), (0.5, 1), (-0.5, 1), (0, 1)])
def test_nothing_is_lower_than_the_lowest_points(r, lam):
    found = by_hand.lowest_points(r, lam)
    lowest = by_hand.objective(*found[0], r, lam)
    for start in ((2, 1), (-2, 1), (1, -2), (-1, -1.7)):
        best = minimize(lambda x: by_hand.objective(*x, r, lam), start, tol=1e-10)
        assert np.isclose(best.fun, lowest, atol=1e-6)
        assert np.min(np.linalg.norm(found - best.x, axis=1)) < 1e-2
    assert len(found) == (2 if abs(r) > lam else 1)


def test_half_steps_never_raise_J_and_the_picture_shows_each():
    hand = AlternateByHand(u=-0.4, v=2.2, r=2.0, lam=0.5)
    for number, name in enumerate(["Solve u", "Solve v"] * 3):
        hand.press(name)
        assert f"Step {number + 1}, {name.lower()}" in hand.report
        assert "J fell by" in hand.report
    J = [by_hand.objective(u, v, 2.0, 0.5) for u, v in hand.path]
    assert len(J) == 7 and np.all(np.diff(J) < 0)
    svg = parsed(hand)
    sideways, upright = strokes(svg, BLUE), strokes(svg, ORANGE)
    assert len(sideways) == len(upright) == 3
    for line in sideways:
        assert line[0, 1] == line[1, 1] and line[0, 0] != line[1, 0]
    for line in upright:
        assert line[0, 0] == line[1, 0] and line[0, 1] != line[1, 1]
    assert sum("★" in (text.text or "") for text in svg.iter("text")) == 2
    (dashes,) = strokes(svg, GREEN)
    assert dashes[0, 1] == dashes[1, 1]  # the lowest J


def test_solving_twice_moves_nothing_and_undo_takes_back():
    hand = AlternateByHand()
    hand.press("Undo")  # nothing to take back
    assert hand.report.startswith("Step 0, start: u = -0.400, v = 2.200")
    for name in ("Solve u", "Solve u"):
        hand.press(name)
    assert "Nothing moved" in hand.report
    before = hand.path[:2]
    hand.press("Undo")
    assert hand.path == before and hand.report.startswith("Step 1")
    hand.press("Start again")
    assert hand.path == [(-0.4, 2.2)] and hand.moves == []


def test_a_slider_moves_the_whole_path():
    hand = AlternateByHand()
    for name in ("Solve u", "Solve v"):
        hand.press(name)
    hand.u.value = 1.0  # which a first half-step of u forgets
    assert hand.path[0] == (1.0, 2.2) and len(hand.path) == 3
    hand.v.value = -2.2
    assert hand.path[-1][0] < 0 and hand.path[-1][1] < 0
    hand.r.value = -2.0
    (u, v), J = hand.path[-1], by_hand.objective(*hand.path[-1], -2.0, 0.5)
    assert u > 0 > v and f"J = {J:.4g}" in hand.report


def test_at_zero_alternating_sits_on_the_saddle():
    hand = AlternateByHand(v=0.0)
    for name in ("Solve u", "Solve v", "Gradient step"):
        hand.press(name)
        assert hand.path[-1] == (0, 0)
    assert "saddle" in hand.report and "1.75" in hand.report


@pytest.mark.parametrize("r", [2.0, -2.0])
def test_minima_merge_in_the_origin_once_lambda_exceeds_the_rating(r):
    hand = AlternateByHand(r=r, lam=2.5)
    for _ in range(60):
        hand.press("Solve v")
        hand.press("Solve u")
    assert np.allclose(hand.path[-1], 0, atol=1e-6)
    assert "the only minimum" in hand.report and "saddle" not in hand.report
    svg = parsed(hand)
    assert sum("★" in (text.text or "") for text in svg.iter("text")) == 1


def test_long_gradient_steps_raise_J_and_run_away_without_a_warning():
    hand = AlternateByHand(u=2.5, v=2.5, r=-4.0, alpha=0.1)
    hand.press("Gradient step")
    assert "J rose by" in hand.report
    hand.alpha.value = 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(40):
            hand.press("Gradient step")
    assert "ran away" in hand.report and np.all(np.isfinite(hand.path))
    assert len(strokes(parsed(hand), PURPLE)) == 41 + 1  # the next one is drawn ahead
    assert "nan" not in hand._drawn.value and "inf" not in hand._drawn.value
    assert hand.picture().png()[:4] == b"\x89PNG"


def test_the_next_gradient_step_is_drawn_ahead():
    hand, drawn = AlternateByHand(), []
    for alpha in (0.1, 0.2):
        hand.alpha.value = alpha
        drawn.append(strokes(parsed(hand), PURPLE))
        assert len(drawn[-1]) == 1
    assert not np.allclose(drawn[0][0], drawn[1][0])


# The bowl of one row


def test_the_bottom_is_where_a_minimiser_ends():
    widget = RidgeBowl(Y, RATINGS, n_ratings=3, lam=0.5)
    found = minimize(
        lambda x: np.sum((Y[:3] @ x - RATINGS[:3]) ** 2) + 0.5 * x @ x, (0, 0), tol=1e-10
    ).x
    length, error = np.linalg.norm(found), np.linalg.norm(Y[:3] @ found - RATINGS[:3])
    assert f"‖x‖ = {length:.2f}, ‖Yx − r‖ = {error:.2f}" in widget.report
    assert f"x = ({found[0]:.2f}, {found[1]:.2f})" in widget.report


@pytest.mark.parametrize("n", [1, 2, 4])
def test_the_walk_leads_from_the_shortest_fit_to_the_origin(n):
    walk = bowl.minima(Y[:n], RATINGS[:n], [1e-8, 0.1, 10.0, 1e8])
    assert np.allclose(walk[0], np.linalg.pinv(Y[:n]) @ RATINGS[:n], atol=1e-5)
    assert np.allclose(walk[1], solve_row(Y[:n], RATINGS[:n], 0.1))
    assert np.allclose(walk[-1], 0, atol=1e-6)
    lengths = np.linalg.norm(bowl.minima(Y[:n], RATINGS[:n], bowl.WALK), axis=1)
    assert np.all(np.diff(lengths) < 0)


@given(st.integers(1, 4), st.sampled_from(bowl.LAMBDAS), st.sampled_from([0.1, 0.5, 0.9, 1.1]))
@settings(deadline=None, max_examples=40)
def test_descent_is_that_of_the_gradient(n, lam, pace):
    y, r, start = Y[:n], RATINGS[:n], np.array([1.5, 2.5])
    system = y.T @ y + lam * np.eye(2)
    alpha = pace / np.linalg.eigvalsh(system)[-1]
    x, path = start, bowl.descend(y, r, lam, pace, start, 20)
    for point in path:
        assert np.allclose(point, x, rtol=1e-6, atol=1e-6)
        x = x - alpha * 2 * (system @ x - y.T @ r)
    s = np.zeros(2)
    s[: min(n, 2)] = np.linalg.svd(y, compute_uv=False)
    assert np.allclose(bowl.kept(y, lam), s**2 / (s**2 + lam))
    assert np.allclose(bowl.factors(y, lam, pace), 1 - 2 * alpha * (s**2 + lam))


@pytest.mark.parametrize(("lam", "pace"), [(0.1, 0.9), (1.0, 0.3), (1e-3, 0.9), (10.0, 0.5)])
def test_steps_are_the_first_that_come_so_near(lam, pace):
    y, r, start = Y[:2], RATINGS[:2], np.array([1.5, 2.5])
    steps = bowl.steps_to(y, r, lam, pace, start)
    path = bowl.descend(y, r, lam, pace, start, steps)
    far = np.linalg.norm(path - solve_row(y, r, lam), axis=1)
    assert far[-1] <= 0.01 * far[0] < far[-2]


def test_creeps_zigzags_explodes():
    widget = RidgeBowl(Y, RATINGS)
    said = {}
    for pace in (0.0, 0.1, 0.9, 1.0, 1.1):
        widget.pace.value = pace
        said[pace] = widget.report
        parsed(widget)
    assert "never arrives" in said[0.0] and "never arrives" in said[1.0]
    assert "it creeps: " in said[0.1] and "it zigzags: " in said[0.9]
    assert "it explodes." in said[1.1]


def test_the_bowl_draws_bars_walk_descent_and_bottom():
    widget = RidgeBowl(Y, RATINGS, n_ratings=2, lam=0.1)
    boxes = []
    for lam in (0.001, 0.1, 1000.0):
        widget.lam.value = lam
        svg = parsed(widget)
        bars = [box for box in svg.iter("rect") if box.get("fill") == BLUE]
        boxes.append([float(box.get("width")) for box in bars])
        shares = bowl.kept(Y[:2], lam)
        assert np.allclose(boxes[-1], 170 * shares, atol=0.06)
        assert len(strokes(svg, BLUE)[0]) == len(bowl.WALK)
        assert len(strokes(svg, PURPLE)[0]) == bowl.N_STEPS + 1
    assert np.all(np.diff(boxes, axis=0) < 0)  # more λ, less is kept
    widget.n_ratings.value = 1
    assert widget.report.startswith("1 rating, ")
    assert np.isclose(bowl.kept(Y[:1], 0.1)[1], 0)  # one rating says nothing of one direction


def test_a_row_has_a_rating_for_each_row_of_Y():
    with pytest.raises(ValueError, match="two columns"):
        RidgeBowl(np.ones((3, 3)), np.ones(3))
