"""The weight of what was not watched, without a browser."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from helpers import coloured, drawn, texts, untouched

from alsnb import ALS, Factorization, Ratings, count_ratings, evaluate_lists, train_test_split
from alsnb.plotting import BLUE, GREEN, ORANGE

unobserved = pytest.importorskip("alsnb.widgets.unobserved")
N_USERS, N_ITEMS = 90, 40
WEIGHTS = [0.01, 0.1, 1.0, 10.0]
TITLES = {j: f"Film number {j:02d} (1990)" for j in range(N_ITEMS)}
TITLES[0] = "A Title that is Longer than There is Room Beside the Bars (1990)"


def make_ratings():
    """Two tastes, and films that are watched more or less."""
    rng = np.random.default_rng(0)
    chances = np.linspace(0.6, 0.1, N_ITEMS) * np.where(
        (np.arange(N_USERS)[:, None] + np.arange(N_ITEMS)) % 2, 1.2, 0.5
    )
    users, items = np.nonzero(rng.random((N_USERS, N_ITEMS)) < chances)
    stars = rng.integers(1, 6, len(users))
    table = pd.DataFrame({"user_id": users + 100, "item_id": items, "rating": stars})
    return Ratings.from_table(table, titles=TITLES)


RATINGS = make_ratings()
R_TRAIN, R_TEST = train_test_split(RATINGS, 0.3, rng=0)
ONES = sp.csr_array((np.ones(R_TRAIN.nnz), R_TRAIN.indices, R_TRAIN.indptr), shape=R_TRAIN.shape)
USERS = [103, 142]


def fit(weight, confidence=1.0):
    settings = ALS(6, 0.026, 1, confidence=confidence, unobserved_weight=weight)
    return settings.fit(ONES, 8, rng=0, verbose=False)


MODELS = {weight: fit(weight) for weight in WEIGHTS}
GIVEN = {"ratings": RATINGS, "models": MODELS, "R_train": R_TRAIN, "R_test": R_TEST,
         "users": USERS}  # fmt: skip


@pytest.fixture(autouse=True)
def closed():
    yield
    unobserved.Widget.close_all()


@pytest.fixture
def widget():
    return unobserved.Unobserved(**GIVEN)


def listed(model, user):
    """Ten titles by a plain sort, with how many watched them and whether they are hits."""
    scores = model.U[user] @ model.V.T
    left = [j for j in np.argsort(-scores) if not R_TRAIN[user, j]][:10]
    watchers = (R_TRAIN.toarray() > 0).sum(axis=0)
    return [(TITLES[j], watchers[j], bool(R_TEST[user, j])) for j in left]


@pytest.mark.parametrize("weight", WEIGHTS)
def test_slider_and_buttons_show_what_was_fitted(widget, weight):
    model = MODELS[weight]
    found = evaluate_lists(model, R_TRAIN, R_TEST)["value"]
    widget.weight.value = weight
    for user_id in reversed(USERS):
        widget.press(f"User {user_id}")
        rows = listed(model, user_id - 100)
        assert [tuple(row) for row in widget.listed] == rows
        hits, watchers = sum(row[2] for row in rows), np.mean([row[1] for row in rows])
        said = "is a hit" if hits == 1 else "are hits"
        first = unobserved.short_title(rows[0][0])
        assert f"User {user_id}: {first} comes first, {hits} of 10 {said}," in widget.report
        assert f"was watched by {watchers:.0f} people on average" in widget.report
        assert f"All users: NDCG@10 {found['ndcg']:.3f} (" in widget.report
        assert f"; {100 * found['coverage']:.0f} % of the movies" in widget.report
    precision = evaluate_lists(model, R_TRAIN, R_TEST, per_user=True)["precision"]
    assert precision[USERS[0] - 100] == hits / 10


def test_weights_are_told_as_a_ratio_and_the_best_is_named(widget):
    found = [evaluate_lists(MODELS[weight], R_TRAIN, R_TEST)["value"] for weight in WEIGHTS]
    ndcg = [one["ndcg"] for one in found]
    np.testing.assert_allclose(widget.trials.ndcg, ndcg)
    best = WEIGHTS[int(np.argmax(ndcg))]
    for weight, ratio in zip(WEIGHTS, ("101", "11", "2.0", "1.1"), strict=True):
        widget.weight.value = weight
        start = f"α₀ = {weight:g}: a watched movie weighs {ratio} times as much as any other. "
        assert widget.report.startswith(start)
        named = f"(best of these α₀: {max(ndcg):.3f} at {best:g})"
        assert (named in widget.report) == (weight != best)
        assert ("(the best of these α₀)" in widget.report) == (weight == best)
    assert f"Accuracy is highest at α₀ = {best:g}" in texts(widget)
    counts = np.bincount(R_TRAIN.indices, minlength=N_ITEMS).astype(float)
    popular = evaluate_lists(counts, R_TRAIN, R_TEST)["value"]
    assert f"popularity: {popular['ndcg']:.3f}" in texts(widget)
    assert f"popularity: {100 * popular['coverage']:.0f} %" in texts(widget)


def test_a_larger_confidence_is_told():
    models = {2.0: fit(2.0, confidence=5.0)}
    widget = unobserved.Unobserved(**GIVEN | {"models": models})
    assert "a watched movie weighs 3.5 times as much as any other" in widget.report


def test_any_model_is_shown_as_it_is():
    """Nothing is fitted: factors made by hand are listed."""
    U, V = np.ones((N_USERS, 6)), np.zeros((N_ITEMS, 6))
    V[:, 0] = np.linspace(1, 2, N_ITEMS)  # the last film is the best
    models = {1.0: Factorization(U, V, settings=MODELS[1.0].settings)}
    widget = unobserved.Unobserved(**GIVEN | {"models": models})
    last = [TITLES[j] for j in reversed(range(N_ITEMS)) if not R_TRAIN[3, j]]
    assert [row.title for row in widget.listed] == last[:10]


def test_curves_are_those_of_the_trials_with_the_present_one_large(widget):
    for place, weight in enumerate(WEIGHTS):
        widget.weight.value = weight
        for colour, values in ((BLUE, widget.trials.ndcg), (ORANGE, widget.trials.coverage)):
            *small, large = coloured(widget, "circle", colour)
            assert {circle.get("r") for circle in small} == {"3"} and large.get("r") == "7"
            x, y = (np.array([float(c.get(at)) for c in small]) for at in ("cx", "cy"))
            assert (float(large.get("cx")), float(large.get("cy"))) == (x[place], y[place])
            np.testing.assert_allclose(np.diff(x), np.diff(x)[0], atol=0.11)  # tens, in logarithms
            line = np.polyfit(values, y, 1)
            assert line[0] < 0
            np.testing.assert_allclose(np.polyval(line, values), y, atol=0.11)
            said = {f"α₀ = {w:g}" for w in WEIGHTS}
            assert {circle[0].text.partition(":")[0] for circle in small} == said
    assert f"{widget.trials.ndcg[-1]:.3f}" in texts(widget)


def test_list_shows_hits_and_how_many_watched(widget):
    most = count_ratings(R_TRAIN)[1].max()
    for weight in WEIGHTS:
        widget.weight.value = weight
        rows, shown = widget.listed, texts(widget)
        names = [unobserved.short_title(row.title, 23) for row in rows]
        assert [text for text in shown if text in names] == names
        bars = coloured(widget, "rect", ORANGE)
        assert [bar[0].text for bar in bars] == [row.title for row in rows]
        widths = [float(bar.get("width")) for bar in bars]
        wanted = [unobserved._LONGEST * row.watchers / most for row in rows]
        np.testing.assert_allclose(widths, wanted, atol=0.06)
        ticks = [float(c.get("cy")) for c in coloured(widget, "circle", GREEN)]
        heights = [float(bar.get("y")) + 7 for bar in bars]
        hits = [y for y, row in zip(heights, rows, strict=True) if row.hit]
        np.testing.assert_allclose(ticks[:-1], hits, atol=0.1)  # the last explains
        bold = {e.text for e in drawn(widget) if e.get("font-weight") == "bold"}
        assert {n for n, row in zip(names, rows, strict=True) if row.hit} == bold & {*names}


def box_of(e):
    """Left, right, top and bottom of a text or a bar, letters taken to be as wide as they are."""
    if e.tag == "rect":
        x, y, width, height = (float(e.get(at)) for at in ("x", "y", "width", "height"))
        return x, x + width, y, y + height
    size = float(e.get("font-size"))
    width = (0.6 if e.get("font-weight") else 0.54) * size * len(e.text)
    left = float(e.get("x")) - width * {"start": 0, "middle": 0.5, "end": 1}[e.get("text-anchor")]
    return left, left + width, float(e.get("y")) - 0.8 * size, float(e.get("y"))


def test_nothing_lies_on_anything():
    widget = unobserved.Unobserved(**GIVEN | {"users": {"Somebody with a Name without End": 142}})
    for weight in WEIGHTS:
        widget.weight.value = weight
        marks = [e for e in drawn(widget) if e.tag in ("text", "rect") and not e.get("transform")]
        boxes = [box_of(e) for e in marks]
        assert min(box[0] for box in boxes) >= 0 and max(box[1] for box in boxes) <= 790
        for (a, one), (b, two) in itertools.combinations(zip(marks, boxes, strict=True), 2):
            apart = one[0] >= two[1] or two[0] >= one[1] or one[2] >= two[3] or two[2] >= one[3]
            assert apart, (a.text, b.text)
    row = unobserved.Row(TITLES[0], 3, True)
    picture = unobserved.draw(widget.trials, 0, "ann", [row], 30)
    assert "A Title that is Longer…" in re.findall(r">([^<]*)</text>", picture.svg(""))


def test_names_start_and_stars_do_not_matter(widget):
    named = unobserved.Unobserved(**GIVEN | {"R_train": ONES, "users": {"ann": 103}, "start": 10.0})
    assert named.weight.value == 10 and widget.weight.value == 1  # the last that is at most 1
    assert named.report.count("ann: ") == 1 and "the list at α₀ = 10" in texts(named)
    assert [text for text in texts(named) if text.startswith("ann: ")]
    np.testing.assert_array_equal(named.trials.lists[:, 0], widget.trials.lists[:, 0])
    only = unobserved.Unobserved(**GIVEN | {"models": {2: fit(2), 5: fit(5)}})
    assert only.weight.value == 2 and {"2", "5"} <= {*texts(only)}


def test_what_is_given_is_not_changed():
    with untouched(RATINGS, R_TRAIN, R_TEST, *MODELS.values()):
        widget = unobserved.Unobserved(**GIVEN)
        widget.weight.value = 0.1
        widget.press("User 142")


STARS = ALS(2).fit(R_TRAIN, 1, rng=0, verbose=False)
SMALL = ALS(2, confidence=1.0).fit(ONES[:50], 1, rng=0, verbose=False)


def without(user):
    """R_train in which a user has watched nothing."""
    R = R_TRAIN.tolil()
    R[user] = 0
    return R.tocsr()


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"users": []}, ValueError, "users must be some whose list can be shown, got none"),
        ({"users": [7]}, LookupError, "there is no user with id 7"),
        ({"users": 103}, TypeError, "users must be ids, or a mapping of names to ids, got 103"),
        ({"users": "ann"}, TypeError, "users must be ids, or a mapping of names to ids, got 'ann'"),
        ({"models": [MODELS[1.0]]}, TypeError, "models must map each α₀ to its model, got list"),
        ({"models": {}}, ValueError, r"α₀ of models must be positive and rise, got \[\]"),
        ({"models": {0: 0, 1: 1}}, ValueError, r"must be positive and rise, got \[0, 1\]"),
        ({"models": {1: 0, 0.1: 0}}, ValueError, r"must be positive and rise, got \[1, 0.1\]"),
        ({"models": {np.nan: 0}}, ValueError, "must be positive and rise"),
        ({"models": {np.inf: 0}}, ValueError, "must be positive and rise"),
        (
            {"models": {1: (1, 2)}},
            TypeError,
            r"models\[1\] must be fitted by ALS with a confidence",
        ),
        ({"models": {1: STARS}}, TypeError, r"models\[1\] must be fitted by ALS with a confidence"),
        ({"models": {2: MODELS[1.0]}}, ValueError, r"models\[2\] .* unobserved_weight=1$"),
        ({"models": {1: SMALL}}, ValueError, r"models\[1\] is of shape \(50, 40\), but R_train"),
        ({"start": 0.3}, ValueError, "start must be one of the weights, .*, got 0.3"),
        ({"R_test": R_TRAIN}, ValueError, "R_test"),
        ({"R_train": without(3)}, ValueError, "User 103 has nothing in R_train"),
        ({"R_train": R_TRAIN[:50], "R_test": R_TEST[:50]}, ValueError, "of the same"),
    ],
)
def test_refused(bad, error, message):
    with pytest.raises(error, match=message):
        unobserved.Unobserved(**GIVEN | bad)


def test_who_has_watched_everything_is_refused():
    R = R_TRAIN.tolil()
    R[3] = 1
    R_test = R_TEST.tolil()
    R_test[3] = 0
    with pytest.raises(ValueError, match="User 103 has watched everything"):
        unobserved.Unobserved(**GIVEN | {"R_train": R.tocsr(), "R_test": R_test.tocsr()})
