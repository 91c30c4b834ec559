"""The overfitting desk and the living map, without a browser."""

import numpy as np
import pytest
from helpers import coloured, drawn, texts

from alsnb import ALS, calculate_rmse, grid_search, make_low_rank_ratings, train_test_split
from alsnb.plotting import BLUE, ORANGE, PURPLE
from alsnb.widgets import FactorMap, OverfittingDesk
from alsnb.widgets.factor_map import nearest
from alsnb.widgets.overfitting import read_grid

R, _, _ = make_low_rank_ratings(noise=0.5, rng=0)
TRAIN, HELD_OUT = train_test_split(R, rng=0)
SETTINGS = {"lambda_reg": [0.1, 1.0, 10.0], "n_factors": [2, 8]}
RESULTS = grid_search(TRAIN, HELD_OUT, SETTINGS, n_iterations=range(1, 6), verbose=False, rng=0)
TITLES = [f"Movie {letter} (1999)" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
POINTS = np.random.default_rng(0).normal(size=(26, 4)) * [4, 3, 2, 1]
GROUPS = {"early": np.arange(26) < 8, "late": np.arange(26) >= 20}


@pytest.fixture
def desk():
    return OverfittingDesk(RESULTS, {"the mean": 1.0, "the biases": 0.8})


@pytest.fixture
def map_():
    return FactorMap(POINTS, TITLES, GROUPS)


def test_grid_is_that_of_fits():
    grid = read_grid(RESULTS.sample(frac=1, random_state=0))
    model = ALS(8, 1.0).fit(TRAIN, 3, rng=0, R_test=HELD_OUT, verbose=False)
    assert (grid.lambdas, grid.factors) == ([0.1, 1.0, 10.0], [2, 8])
    np.testing.assert_allclose(grid.train[1, 1, :3], model.train_errors, rtol=1e-4)
    np.testing.assert_allclose(grid.held_out[1, 1, :3], model.test_errors, rtol=1e-4)


@pytest.mark.parametrize(
    "results",
    [RESULTS.iloc[:-1], RESULTS.iloc[[*range(len(RESULTS) - 1), 0]],
     RESULTS[RESULTS.n_iterations > 1]],
    ids=["a row is missing", "a row is there twice", "iterations do not begin at 1"],
)  # fmt: skip
def test_a_grid_with_holes_is_refused(results):
    with pytest.raises(ValueError, match="results must hold"):
        OverfittingDesk(results)


def test_desk_begins_where_overfitting_is_worst_on_its_sliders(desk):
    assert (desk.lam.value, desk.f.value, desk.iteration.value) == (0.1, 8, 5)


def test_desk_says_the_errors_of_a_fit(desk):
    desk.lam.value, desk.f.value, desk.iteration.value = 1.0, 2, 4
    model = ALS(2, 1.0).fit(TRAIN, 4, rng=0, verbose=False)
    errors = [calculate_rmse(part, model.U, model.V) for part in (TRAIN, HELD_OUT)]
    assert "λ = 1, f = 2, iteration 4: " in desk.report
    assert f"training {errors[0]:.3f}, held out {errors[1]:.3f}" in desk.report


def test_desk_compares_with_baselines_and_with_the_best():
    errors = read_grid(RESULTS).held_out[:, :, -1]
    best = np.unravel_index(errors.argmin(), errors.shape)
    between = (errors.min() + errors.max()) / 2
    desk = OverfittingDesk(RESULTS, {"one": between, "two": errors.min() / 2})
    desk.lam.value, desk.f.value = SETTINGS["lambda_reg"][best[0]], SETTINGS["n_factors"][best[1]]
    assert f"better than one ({between:.3f}); the lowest in the table." in desk.report
    worst = np.unravel_index(errors.argmax(), errors.shape)
    desk.lam.value = SETTINGS["lambda_reg"][worst[0]]
    desk.f.value = SETTINGS["n_factors"][worst[1]]
    assert f"worse than every baseline; lowest in the table is {errors.min():.3f}" in desk.report


def test_desk_draws_curves_and_rings_the_present_place(desk):
    rings = []
    for lam in SETTINGS["lambda_reg"]:
        desk.lam.value = lam
        for colour in (BLUE, ORANGE):
            (curve,) = coloured(desk, "path", colour, "stroke")
            assert curve.get("d").count(" ") == 5  # a point for each iteration
        errors = read_grid(RESULTS).held_out[:, :, -1].ravel()
        assert {f"{error:.3f}" for error in errors} <= set(texts(desk))
        (ring,) = [e for e in coloured(desk, "rect", "none") if e.get("stroke") == "currentColor"]
        rings.append(float(ring.get("y")))
    assert rings[0] < rings[1] < rings[2] and len(coloured(desk, "rect", ORANGE)) == 6


def test_desk_prints_bold_what_beats_every_baseline():
    errors = read_grid(RESULTS).held_out[:, :, -1].ravel()
    bar = np.sort(errors)[2]
    desk = OverfittingDesk(RESULTS, {"one": 9.0, "two": bar})
    bold = [e.text for e in drawn(desk) if e.tag == "text" and e.get("font-size") == "11.5"
            and e.get("font-weight")]  # fmt: skip
    assert bold == [f"{error:.3f}" for error in errors if error < bar]
    assert "bold: better than two" in texts(desk)


def test_nearest_is_by_distance_in_all_directions():
    for chosen in range(26):
        near = nearest(POINTS, chosen, 25)
        distances = ((POINTS[near] - POINTS[chosen]) ** 2).sum(1)
        assert chosen not in near and (np.diff(distances) >= 0).all()


def test_map_lights_the_true_neighbours(map_):
    near = nearest(POINTS, 0)
    names = [TITLES[j][:-7] for j in near]
    assert map_.report.startswith(f"Movie A: nearest in all 4 directions are {', '.join(names)}.")
    for plane in ((1, 2), (3, 4), (2, 2)):
        map_.across.value, map_.upwards.value = plane
        flat = POINTS[:, [k - 1 for k in plane]]
        shared = set(near) & set(nearest(flat, 0))
        assert f"alone, {len(shared)} of these 10 are among the 10 nearest." in map_.report
        lit = [e.find("title").text for e in coloured(map_, "circle", BLUE)]
        assert lit == [*(TITLES[j] for j in near), TITLES[0]]


def test_map_puts_dots_where_the_points_are(map_):
    map_.across.value, map_.upwards.value = 3, 1
    circles = {e.find("title").text: e for e in drawn(map_) if e.find("title") is not None}
    assert set(circles) == set(TITLES)
    x, y = ([float(circles[title].get(key)) for title in TITLES] for key in ("cx", "cy"))
    np.testing.assert_allclose(np.corrcoef(x, POINTS[:, 2])[0, 1], 1, atol=1e-4)
    np.testing.assert_allclose(np.corrcoef(y, POINTS[:, 0])[0, 1], -1, atol=1e-4)


def test_map_colours_groups(map_):
    for colour, members in ((ORANGE, GROUPS["early"]), (PURPLE, GROUPS["late"])):
        _, *dots = coloured(map_, "circle", colour)
        titles = [e.find("title").text for e in dots]
        assert titles == [title for title, member in zip(TITLES, members, strict=True) if member]
    assert len(coloured(map_, "circle", "currentColor")) == 1 + 12


def test_map_says_what_its_colours_are(map_):
    said = [e.text for e in drawn(map_) if e.tag == "text"]
    assert said[:3] == ["early", "late", "both, or neither"]
    assert "early" not in texts(FactorMap(POINTS, TITLES))


def test_search_offers_buttons_and_choosing_moves_the_light(map_):
    map_.search.value = "MOVIE z"
    assert list(map_.buttons) == ["Movie Z"] and map_.report.startswith("1 movie matches")
    map_.press("Movie Z")
    assert map_.chosen == 25 and "Movie Z: nearest" in map_.report
    map_.search.value = "movie"
    assert len(map_.buttons) == 8 and "26 movies match “movie”, the first 8 are" in map_.report
    map_.search.value = "zorro"
    assert not map_.buttons and map_.report.startswith("No movie of these 26 matches “zorro”. ")


def test_without_a_search_the_neighbours_are_buttons(map_):
    for _ in range(3):
        near = nearest(POINTS, map_.chosen)
        assert list(map_.buttons) == [TITLES[j][:-7] for j in near[:8]]
        map_.press(TITLES[near[1]][:-7])
        assert map_.chosen == near[1]


def test_titles_that_repeat_have_buttons_of_their_own():
    twins = FactorMap(POINTS[:3], ["Twins (1988)", "Twins (1990)", "Alien (1979)"], chosen=2)
    assert set(twins.buttons) == {"Twins (1988)", "Twins (1990)"}


def test_names_on_the_map_cover_no_other(map_):
    for chosen in range(0, 26, 5):
        map_.chosen = chosen
        map_.refresh()
        names = [e for e in drawn(map_) if e.tag == "text" and e.text in {t[:-7] for t in TITLES}]
        boxes = np.array([[float(e.get("x")), float(e.get("y"))] for e in names])
        apart = np.abs(boxes[:, None] - boxes)
        np.fill_diagonal(apart[..., 0], np.inf)
        assert len(names) == 6 and ((apart[..., 0] >= 45) | (apart[..., 1] >= 13.9)).all()


@pytest.mark.parametrize(("points", "n"), [(POINTS, 25), (POINTS[:, :1], 26), (POINTS[:, 0], 26)])
def test_what_does_not_fit_is_refused(points, n):
    with pytest.raises(ValueError, match="titles"):
        FactorMap(points, TITLES[:n])
