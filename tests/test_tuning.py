"""Grid search against fits made one by one; cross-validation."""

import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from helpers import SECONDS, features_of

import alsnb
from alsnb import ALS, tuning

R, _, _ = alsnb.make_low_rank_ratings(40, 30, noise=0.3, rng=0)
R_TRAIN, R_VALIDATION = alsnb.train_test_split(R, 0.2, rng=0)
GRID = {"n_factors": [2, 3], "lambda_reg": [0.1, (0.2, 0.5), 2]}
COMBINATIONS = [(f, λ) for f in GRID["n_factors"] for λ in GRID["lambda_reg"]]


def search(R_train=R_TRAIN, R_validation=R_VALIDATION, grid=GRID, **options):
    options = {"executor": "serial", "verbose": False, "n_iterations": [4, 2]} | options
    return alsnb.grid_search(R_train, R_validation, grid, **options)


def rows(table):
    """All but the seconds, which differ."""
    return table.drop(columns="seconds").to_numpy().tolist()


def direct(clip=None, rng=0, dtype=np.float32, **settings):
    """The same from fits of their own, one for each row."""
    found = []
    for f, λ, n in ((f, λ, n) for f, λ in COMBINATIONS for n in (2, 4)):
        model = ALS(f, λ, **settings).fit(R_TRAIN, n, rng=rng, dtype=dtype, verbose=False)
        error = alsnb.calculate_rmse(R_VALIDATION, model.U, model.V, clip=clip)
        found.append([f, λ, n, model.train_errors[-1], error, ""])
    return found


@pytest.fixture(scope="module")
def expected():
    return direct()


@pytest.fixture
def fitted(monkeypatch):
    """The combinations that are fitted from here on, in order."""
    configurations, fit = [], tuning._fit

    def watched(config, *args):
        configurations.append(tuple(config.values()))
        return fit(config, *args)

    monkeypatch.setattr(tuning, "_fit", watched)
    return configurations


@pytest.fixture(scope="module")
def processes():
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        yield pool


@pytest.fixture(params=["serial", "threads", "own threads", "own processes"])
def executor(request):
    """Where fits run; pools of the caller's own stay."""
    if request.param in ("serial", "threads"):
        yield request.param
    elif request.param == "own processes":
        pool = request.getfixturevalue("processes")
        yield pool
        assert pool.submit(int).result(SECONDS) == 0
    else:
        with ThreadPoolExecutor(2) as pool:
            yield pool
            assert pool.submit(int).result(SECONDS) == 0


def test_table_is_that_of_direct_fits(executor):
    shared = {"clip": (1, 5), "bias": True, "reg_exponent": 0.5, "rng": 3, "dtype": np.float64}
    table = search(executor=executor, **shared)
    names = ["n_factors", "lambda_reg", "n_iterations", "train_rmse", "validation_rmse", "seconds"]
    assert list(table) == [*names, "error"]
    assert rows(table) == direct(**shared)
    assert (table["seconds"] > 0).all()
    seconds = table["seconds"].to_numpy().reshape(-1, 2)
    assert (seconds[:, 0] < seconds[:, 1]).all()  # up to two iterations, and up to four


def test_a_fit_serves_all_numbers_of_iterations(expected, fitted):
    assert rows(search()) == rows(search(n_iterations={2, 4.0})) == expected
    assert fitted == 2 * COMBINATIONS
    assert rows(search(n_iterations=4)) == expected[1::2]
    assert rows(search(executor="threads", n_workers=3)) == expected


def test_sample_is_drawn_with_the_seed(fitted, expected):
    sampled = [rows(search(sample=4, rng=rng)) for rng in (0, 0, 1, 2)]
    assert sampled[0] == sampled[1] == [row for row in expected if row in sampled[0]]  # in order
    drawn = [fitted[start : start + 4] for start in (0, 4, 8, 12)]
    assert [len({*combinations}) for combinations in drawn] == 4 * [4]
    assert len({tuple(combinations) for combinations in drawn}) > 1
    assert rows(search(sample=6)) == rows(search(sample=99)) == expected


def test_best_row_is_the_settings_of_a_fit():
    grid = {"n_factors": [2, 4], "lambda_reg": [0.05, (0.2, 0.5), 1.0], "bias": [False, True]}
    grid |= {"bias_reg": [None], "reg_exponent": [0, 0.5], "implicit_features": [False, True]}
    table = search(grid=grid, n_iterations=3)
    assert table["error"].tolist() == len(table) * [""]
    for place in (table["validation_rmse"].idxmin(), table["validation_rmse"].idxmax()):
        row = table.loc[place]
        model = ALS(**row[list(grid)]).fit(R_TRAIN, 3, rng=0, dtype=np.float32, verbose=False)
        assert row["validation_rmse"] == alsnb.calculate_rmse(R_VALIDATION, model.U, model.V)


def test_lists_are_what_is_scored_where_they_are_wanted(executor):
    table = search(executor=executor, metric="ndcg")
    names = ["n_factors", "lambda_reg", "n_iterations", "train_rmse", "validation_ndcg", "seconds"]
    assert list(table) == [*names, "error"]
    expected = []
    for f, λ, n in ((f, λ, n) for f, λ in COMBINATIONS for n in (2, 4)):
        model = ALS(f, λ).fit(R_TRAIN, n, rng=0, dtype=np.float32, verbose=False)
        found = alsnb.evaluate_lists(model, R_TRAIN, R_VALIDATION, 10)
        expected.append([f, λ, n, model.train_errors[-1], found.loc["ndcg", "value"], ""])
    assert rows(table) == expected
    best = alsnb.best_settings(table)
    highest = max(expected, key=lambda row: row[4])
    assert [*best.values()] == highest[:3]
    assert min(expected, key=lambda row: row[4])[:3] != highest[:3]


def test_features_are_what_all_fits_share():
    given = {"user_features": features_of("all", "users", 40), "item_features": np.eye(30)}
    table = search(grid={"feature_reg": [1.0, (2, 5)]}, n_iterations=3, n_factors=2, **given)
    options = {"rng": 0, "verbose": False, **given}
    for row, reg in zip(rows(table), (1.0, (2, 5)), strict=True):
        model = ALS(2, feature_reg=reg).fit(R_TRAIN, 3, dtype=np.float32, **options)
        assert row[3] == alsnb.calculate_rmse(R_VALIDATION, model.U, model.V)
    table = alsnb.cross_validate([(R_TRAIN, R_VALIDATION)], n_factors=2, n_iterations=3, **options)
    model = ALS(2).fit(R_TRAIN, 3, **options)
    assert rows(table)[0][1] == alsnb.calculate_rmse(R_VALIDATION, model.U, model.V)


def test_setting_that_is_none_comes_back_as_none():
    table = search(grid={"bias_reg": [None, 0.5], "lambda_reg": [0.3]}, bias=True)
    assert [ALS(**row, bias=True).bias_reg for _, row in table[["bias_reg"]].iterrows()] == [
        *(None, None, 0.5, 0.5)
    ]


def test_seed_and_dtype_may_be_in_the_grid(expected):
    table = search(grid={"rng": [0, 1], "dtype": ["float32", "float64"]}, n_factors=2)
    assert table["error"].tolist() == len(table) * [""]
    assert table["validation_rmse"].nunique() == 8
    assert table.loc[1, "validation_rmse"] == expected[1][4]  # n_factors 2, λ 0.1, 4 iterations


@pytest.mark.parametrize("verbose", [True, False])
def test_only_verbose_shows_a_bar(verbose, capsys):
    search(verbose=verbose)
    out, err = capsys.readouterr()
    assert (out, err == "", "6/6" in err) == ("", not verbose, verbose)


def test_fit_that_fails_is_a_row(expected):
    table = search(grid=GRID | {"lambda_reg": [0.1, -1, (0.2, 0.5), 2]}, executor="threads")
    failed = table[table["lambda_reg"] == -1]
    message = "ValueError: lambda_reg must be finite and positive, got -1"
    assert failed["error"].str.startswith(message).tolist() == [True, True]
    assert failed[["train_rmse", "validation_rmse", "seconds"]].isna().all(axis=None)
    assert rows(table[table["error"] == ""]) == expected


def test_interrupt_ends_the_search(monkeypatch):
    begun, go_on = [], threading.Event()

    def interrupted(config, *args):
        begun.append(config)
        if len(begun) == 1:
            raise KeyboardInterrupt
        assert go_on.wait(SECONDS)
        return []

    class Pool(ThreadPoolExecutor):
        def __exit__(self, *args):
            go_on.set()  # the one that runs already
            return super().__exit__(*args)

    monkeypatch.setattr(tuning, "_fit", interrupted)
    monkeypatch.setattr(tuning, "ThreadPoolExecutor", Pool)
    with pytest.raises(KeyboardInterrupt):
        search(grid={"n_factors": range(1, 30)})
    assert len(begun) <= 2


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"lambda_reg": 1}, ValueError, "lambda_reg is no setting of ALS, or given twice"),
        ({"R_validation": R}, ValueError, "R_validation is not held out: 288 of its 360 ratings"),
        (
            {"executor": ThreadPoolExecutor(1), "n_workers": 2},
            ValueError,
            "n_workers is the pool's",
        ),
        ({"rng": None}, TypeError, "rng must be a whole number, got None"),
        ({"metric": "ndcg", "clip": (1, 5)}, ValueError, "leave it out with metric='ndcg'"),
    ],
)
def test_searches_that_cannot_be_are_refused_at_once(fitted, wrong, error, message):
    with pytest.raises(error, match=message):
        search(**wrong)
    assert fitted == []


# Cross-validation


def test_cross_validation_equals_direct_fits(capsys):
    settings = {"n_factors": 3, "lambda_reg": 0.2, "bias": True}
    options = {"n_iterations": 4, "rng": 1, "executor": "serial"}
    table = alsnb.cross_validate(alsnb.k_fold(R, 3, rng=0), clip=(2, 4), **settings, **options)
    assert capsys.readouterr() == ("", "")
    expected = []
    for R_train, R_test in alsnb.k_fold(R, 3, rng=0):
        U, V, errors = ALS(**settings).fit(R_train, verbose=False, **options)
        expected.append([errors[-1], alsnb.calculate_rmse(R_test, U, V, clip=(2, 4))])
    assert rows(table) == expected
    assert list(table) == ["train_rmse", "test_rmse", "seconds"]
    assert (table.index.name, table.index.tolist()) == ("fold", [1, 2, 3])
    assert (table["seconds"] > 0).all()


def table_of(validation_rmse, **settings):
    return pd.DataFrame(settings).assign(validation_rmse=validation_rmse, error="")


def test_best_settings_are_of_the_lowest_row_and_fit():
    table = search(n_iterations=[2, 4])
    best = alsnb.best_settings(table)
    row = min(range(len(table)), key=lambda k: table["validation_rmse"][k])
    assert best == table.loc[row, ["n_factors", "lambda_reg", "n_iterations"]].to_dict()
    assert type(best["n_factors"]) is type(best["n_iterations"]) is int
    n_iterations = best.pop("n_iterations")
    model = ALS(**best).fit(R_TRAIN, n_iterations, rng=0, dtype=np.float32, verbose=False)
    assert alsnb.calculate_rmse(R_VALIDATION, model.U, model.V) == table["validation_rmse"].min()


def test_failed_fits_are_never_best():
    table = table_of([np.nan, 0.95], lambda_reg=[1, 3])
    assert alsnb.best_settings(table) == {"lambda_reg": 3}
    with pytest.raises(ValueError, match="no fit with a validation error"):
        alsnb.best_settings(table_of([np.nan], lambda_reg=[1]))


def test_highest_ndcg_is_best():
    table = pd.DataFrame({"lambda_reg": [1, 3, 10], "validation_ndcg": [0.3, np.nan, 0.4]})
    assert alsnb.best_settings(table) == {"lambda_reg": 10}
    assert tuning.edges_reached(table) == ["lambda_reg = 10 is the largest of 3 tried"]
    with pytest.raises(ValueError, match="no fit with a validation error"):
        alsnb.best_settings(table.iloc[1:2])


def test_edges_are_named_wherever_they_stand():
    """Lists need not be in order; one value, seeds, pairs and switches have no edge."""
    errors, lambdas = [0.93, 0.91, 0.95], [3, 10, 1]
    assert tuning.edges_reached(table_of(errors, lambda_reg=lambdas)) == [
        "lambda_reg = 10 is the largest of 3 tried"
    ]
    assert tuning.edges_reached(table_of([0.9, 0.92, 0.93], lambda_reg=lambdas)) == []
    others = {"rng": lambdas, "bias": [False, True, False], "n_factors": 5}
    assert tuning.edges_reached(table_of(errors, **others)) == []
    assert tuning.edges_reached(table_of(errors, lambda_reg=[(1, 2), (2, 3), (3, 4)])) == []
    both = table_of(errors, n_factors=[2, 1, 4], n_iterations=[5, 20, 10], lambda_reg=lambdas)
    assert [said.split(" = ")[0] for said in tuning.edges_reached(both)] == [
        "n_factors", "n_iterations", "lambda_reg"
    ]  # fmt: skip
