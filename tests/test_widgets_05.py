"""The landscape with its closed test set, and the gift, without a browser."""

import numpy as np
import pytest
from helpers import coloured, drawn, texts

from alsnb import best_settings, grid_search, make_low_rank_ratings, train_test_split
from alsnb.plotting import BLUE, GREEN, ORANGE
from alsnb.widgets import Gift, Landscape
from alsnb.widgets.gift import make_gifts
from alsnb.widgets.landscape import edges, lowest, read_landscape

R, _, _ = make_low_rank_ratings(noise=0.5, rng=0)
PARTS = train_test_split(R, rng=0)
GRID = {"n_factors": [1, 2, 4], "lambda_reg": [0.1, 1.0, 3.0, 10.0]}
PLAIN = grid_search(*PARTS, GRID, verbose=False)
WEIGHTED = grid_search(
    *PARTS, GRID | {"lambda_reg": [0.01, 0.1, 0.3, 1.0]}, reg_exponent=1, verbose=False
)
OPEN = "Open the test set"


@pytest.fixture
def asked():
    """What the test set was opened for, in order."""
    return []


@pytest.fixture
def desk(asked):
    def test(*settings):
        asked.append(settings)
        return 0.7654

    return Landscape({"plain": PLAIN, "weighted": WEIGHTED}, test)


# The landscape


def test_map_is_that_of_fits():
    land = read_landscape(PLAIN.sample(frac=1, random_state=0))
    assert (land.lambdas, land.factors) == (GRID["lambda_reg"], GRID["n_factors"])
    for row in PLAIN.itertuples():
        place = land.lambdas.index(row.lambda_reg), land.factors.index(row.n_factors)
        assert land.train[place] == row.train_rmse
        assert land.validation[place] == row.validation_rmse
    best, (a, b) = best_settings(PLAIN), lowest(land)
    assert (land.lambdas[a], land.factors[b]) == (best["lambda_reg"], best["n_factors"])


@pytest.mark.parametrize("rows", [PLAIN.index[:-1], [*PLAIN.index, 0]], ids=["missing", "twice"])
def test_an_incomplete_map_is_refused(rows):
    with pytest.raises(ValueError, match="each λ with each f once"):
        read_landscape(PLAIN.loc[rows])


def test_edges_are_those_of_the_map():
    errors = np.array([[3.0, 2.0, 3.0], [2.0, 1.0, 2.0], [3.0, 2.0, 3.0]])
    land = read_landscape(PLAIN)._replace(lambdas=[1, 2, 3], factors=[2, 4, 8])
    assert edges(land._replace(validation=errors)) == []
    errors[2, 0] = 0.5
    said = edges(land._replace(validation=errors))
    assert said == ["λ = 3 is the largest tried", "f = 2 is the smallest tried"]


def test_sliders_move_the_place(desk):
    for row in PLAIN.itertuples():
        desk.lam.value, desk.f.value = row.lambda_reg, row.n_factors
        start = f"plain, λ = {row.lambda_reg:g}, f = {row.n_factors}: training {row.train_rmse:.3f}"
        assert desk.report.startswith(f"{start}, validation {row.validation_rmse:.3f} (")
        assert desk.report.endswith("The test set is closed.")
        shown = texts(desk)
        assert f"training {row.train_rmse:.3f}" in shown
        assert f"validation {row.validation_rmse:.3f}" in shown
        rings = [e for e in drawn(desk) if e.tag == "rect" and e.get("fill") == "none"]
        title = f"λ = {row.lambda_reg:g}, f = {row.n_factors}: {row.validation_rmse:.4f}"
        (cell,) = (e for e in drawn(desk) if e.tag == "rect" and e.findtext("title") == title)
        assert [(e.get("x"), e.get("y")) for e in rings] == [(cell.get("x"), cell.get("y"))]


def test_lists_of_another_penalty_keep_the_place(desk):
    desk.lam.value, desk.f.value = 3.0, 2
    desk.penalty.value = "weighted"
    assert (desk.lam.value, desk.f.value) == (0.3, 2)
    assert desk.report.startswith("weighted, λ = 0.3, f = 2: ")
    assert "Validation RMSE, weighted" in texts(desk)
    desk.penalty.value = "plain"
    assert (desk.lam.value, desk.f.value) == (3.0, 2)


def test_the_best_is_called_so_and_marked(desk):
    best = best_settings(PLAIN)
    assert texts(desk).count("★ best") == 1
    assert "the lowest of this map is" in desk.report
    desk.lam.value, desk.f.value = best["lambda_reg"], best["n_factors"]
    at = edges(read_landscape(PLAIN))
    assert "(the lowest of this map" in desk.report
    assert ("widen the list" in desk.report) == bool(at)


def test_the_test_set_opens_once(desk, asked):
    assert not coloured(desk, "text", GREEN) and "test: closed" in texts(desk)
    desk.lam.value, desk.f.value = 1.0, 2
    desk.press(OPEN)
    assert asked == [("plain", 1.0, 2)]
    row = PLAIN.query("lambda_reg == 1.0 and n_factors == 2").iloc[0]
    report = f"λ = 1, f = 2: test RMSE 0.765, where validation said {row.validation_rmse:.3f}"
    assert report in desk.report and desk.report.endswith("It has been used now.")
    assert [e.text for e in coloured(desk, "text", GREEN)] == ["test 0.765, used"]
    desk.penalty.value, desk.f.value = "weighted", 4
    desk.press(OPEN)
    assert len(asked) == 1 and desk.opened["asked"] == 2
    assert report in desk.report and "You have asked 2 times, and it opens once" in desk.report
    assert [e.text for e in coloured(desk, "text", GREEN)] == ["test 0.765, used"]


def test_curves_go_through_the_map(desk):
    desk.lam.value, desk.f.value = 1.0, 2
    for colour in (BLUE, ORANGE):
        lines = [e for e in drawn(desk) if e.tag == "path" and e.get("stroke") == colour]
        assert [e.get("d").count("L") + 1 for e in lines] == [4, 3]


# The gift


def noise(n_models, n_ratings, rng=0):
    """Squared errors of models that are equally good."""
    return np.random.default_rng(rng).normal(size=(n_models, n_ratings)) ** 2


def test_of_one_model_there_is_nothing_to_give():
    gifts = make_gifts(noise(30, 500), 50)
    np.testing.assert_array_equal(gifts.by_test[0], gifts.by_validation[0])
    assert abs(gifts.by_test[0].mean()) < 4 * gifts.by_test[0].std() / np.sqrt(200)


def test_gifts_against_a_search_written_as_a_loop():
    """With a model for each repeat that is best by far, both must find it once it is tried."""
    errors = noise(6, 300)
    errors[3] = 0.01
    gifts = make_gifts(errors, 40, n_repeats=25, rng=1)
    np.testing.assert_allclose(gifts.by_test[-1], 0, atol=1e-6)  # its error is always 0.1
    np.testing.assert_allclose(gifts.by_validation[-1], 0, atol=1e-6)
    small = make_gifts(errors[:2], 40, n_repeats=25, rng=1)
    assert (small.by_test[1] <= small.by_test[0] + errors.mean()).all()


def test_the_gift_is_that_of_the_lowest_of_normal_numbers():
    """Equal models: the lowest of m independent means lies known standard errors below."""
    m, size = 100, 400
    errors = noise(m, 20_000)
    errors /= errors.mean(axis=1, keepdims=True)
    gifts = make_gifts(errors, size, n_repeats=400)
    rng = np.random.default_rng(5)
    lowest_mean = rng.normal(size=(4000, m)).min(axis=1).mean()
    wanted = errors.std() / np.sqrt(size) / 2 * lowest_mean  # of a root near 1: half
    assert np.isclose(gifts.by_test[-1].mean(), wanted, rtol=0.1)
    assert abs(gifts.by_validation[-1].mean()) < 0.1 * abs(wanted)


def test_the_gift_grows_with_models_and_shrinks_with_ratings():
    errors = noise(64, 4000)
    means = {size: make_gifts(errors, size).by_test.mean(axis=1) for size in (100, 1000)}
    assert means[100][-1] < means[100][7] < means[100][0]
    assert means[100][-1] < 2 * means[1000][-1] < 0


def test_gift_is_the_same_every_time():
    a, b = (make_gifts(noise(10, 200), 30) for _ in range(2))
    np.testing.assert_array_equal(a.by_test, b.by_test)


@pytest.fixture(scope="module")
def gift():
    return Gift(noise(1000, 400), sizes=[50, 200], n_repeats=40)


def test_gift_reports_what_it_draws(gift):
    assert [value for _, value in gift.tried.options][-1] == 1000
    for size in (50, 200):
        for tried in (1, 100, 1000):
            gift.size.value, gift.tried.value = size, tried
            by_test, by_validation = gift.gifts(tried, size)
            assert gift.report.startswith(f"{tried:,} model") and f", {size} test" in gift.report
            for values, name in ((by_test, "the test"), (by_validation, "a validation")):
                mean = f"{values.mean():+.3f}".replace("-", "−")
                mean = "0.000" if mean[1:] == "0.000" else mean
                assert f"{mean} ± {values.std(ddof=1) / 40**0.5:.3f}" in gift.report
                assert f"chosen on {name} set: mean {mean}" in texts(gift)
            for colour in (GREEN, ORANGE):
                bars = coloured(gift, "rect", colour)
                counts = [int(bar.findtext("title").split()[0]) for bar in bars]
                assert sum(counts) == 40
                heights = np.array([float(bar.get("height")) for bar in bars])
                ratios = heights / counts
                np.testing.assert_allclose(ratios, ratios.max(), rtol=0.05)
