"""Grid search against fits made one by one, and through interrupts; cross-validation."""

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

import alsnb
from alsnb import tuning

R, _, _ = alsnb.make_low_rank_ratings(40, 30, noise=0.3, rng=0)
R_TRAIN, R_VALIDATION = alsnb.hold_out(R, 0.2, rng=0)
GRID = {"n_factors": [2, 3], "lambda_reg": [0.1, (0.2, 0.5), 2]}
COMBINATIONS = [(f, λ) for f in GRID["n_factors"] for λ in GRID["lambda_reg"]]
SECONDS = 60  # until what hangs is given up; nothing here takes nearly as long


def search(R_train=R_TRAIN, R_validation=R_VALIDATION, grid=GRID, **options):
    options = {"executor": "serial", "verbose": False, "n_iterations": [4, 2]} | options
    return alsnb.grid_search(R_train, R_validation, grid, **options)


def rows(table):
    """All but the seconds, which differ."""
    return table.drop(columns="seconds").to_numpy().tolist()


def direct(clip=None, **options):
    """The same from fits of their own, one for each row."""
    options = {"rng": 0, "dtype": np.float32, "verbose": False, "executor": "serial"} | options
    found = []
    for f, λ, n in ((f, λ, n) for f, λ in COMBINATIONS for n in (2, 4)):
        model = alsnb.als_matrix_factorization_parallel(R_TRAIN, f, λ, n, **options)
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


@pytest.fixture
def path(tmp_path):
    """Where results go; nothing else may be left there."""
    yield tmp_path / "results.csv"
    assert {file.name for file in tmp_path.iterdir()} <= {"results.csv"}


@pytest.fixture
def client():
    distributed = pytest.importorskip("distributed")
    options = {"processes": False, "dashboard_address": ":0", "silence_logs": 50}
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


# What the table holds


@pytest.fixture
def pool():
    """A pool of the caller's own, which stays."""
    with ThreadPoolExecutor(2) as pool:
        yield pool
        assert pool.submit(int).result(SECONDS) == 0


@pytest.mark.parametrize("executor", ["serial", "threads", "processes", "client", "pool"])
def test_table_is_that_of_direct_fits(executor, request):
    shared = {"clip": (1, 5), "bias": True, "reg_exponent": 0.5, "rng": 3, "dtype": np.float64}
    options = {"n_workers": 2} if executor in ("threads", "processes") else {}
    executor = request.getfixturevalue(executor) if executor in ("client", "pool") else executor
    table = search(executor=executor, **options, **shared)
    names = ["n_factors", "lambda_reg", "n_iterations", "train_rmse", "validation_rmse", "seconds"]
    assert list(table) == [*names, "error"]
    assert rows(table) == direct(**shared)
    assert (table["seconds"] > 0).all()


def test_sample_is_drawn_with_the_seed(fitted, expected):
    sampled = [rows(search(sample=4, rng=rng)) for rng in (0, 0, 1, 2)]
    assert sampled[0] == sampled[1] == [row for row in expected if row in sampled[0]]  # in order
    drawn = [fitted[start : start + 4] for start in (0, 4, 8, 12)]
    assert [len({*combinations}) for combinations in drawn] == 4 * [4]
    assert len({tuple(combinations) for combinations in drawn}) > 1
    assert rows(search(sample=6)) == rows(search(sample=99)) == expected


@pytest.mark.parametrize("verbose", [True, False])
def test_only_verbose_shows_a_bar(verbose, capsys):
    search(verbose=verbose)
    out, err = capsys.readouterr()
    assert (out, err == "", "6/6" in err) == ("", not verbose, verbose)


# What the file is for


@pytest.mark.parametrize("executor", ["serial", "threads"])
def test_goes_on_where_it_was(path, expected, fitted, executor):
    assert rows(search(path=path, executor=executor)) == expected
    assert sorted(fitted, key=COMBINATIONS.index) == COMBINATIONS
    fitted.clear()
    assert rows(search(path=path)) == expected  # pairs come back as pairs, and in order
    whole = pd.read_csv(path, dtype=str)
    whole[whole["n_factors"] == "3"].to_csv(path, index=False)
    assert rows(search(path=path)) == expected
    assert fitted == COMBINATIONS[:3]
    fitted.clear()
    search(grid=GRID | {"lambda_reg": [0.05, *GRID["lambda_reg"]]}, path=str(path))
    assert rows(search(path=path)) == expected  # though the file holds more
    assert fitted == [(2, 0.05), (3, 0.05)]


def test_interrupted_and_called_again(path, expected, fitted, monkeypatch):
    fit, write, written, two = tuning._fit, tuning._write, [], threading.Event()

    def interrupted(config, *args):
        if tuple(config.values()) in COMBINATIONS[2:]:
            assert two.wait(SECONDS)
            raise KeyboardInterrupt
        return fit(config, *args)

    def noted(*args):
        write(*args)
        written.append(len(pd.read_csv(path)))
        if len(written) == 2:
            two.set()

    with monkeypatch.context() as patch:
        patch.setattr(tuning, "_fit", interrupted)
        patch.setattr(tuning, "_write", noted)
        with pytest.raises(KeyboardInterrupt):
            search(path=path)
    assert written == [2, 4]
    assert rows(search(path=path)) == expected
    assert fitted == COMBINATIONS  # each of them once


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_whatever_happens_the_file_is_whole(path, monkeypatch, executor):
    def full(table, part, **options):
        part.write_text("n_factors,lamb")
        raise OSError("no space left")

    search(path=path)
    before = path.read_bytes()
    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(OSError, match="no space left"):
        search(path=path, grid=GRID | {"n_factors": range(4, 40)}, executor=executor, n_workers=2)
    assert path.read_bytes() == before
    assert multiprocessing.active_children() == []


def test_values_of_any_kind_are_known_again(path, fitted):
    grid = {"bias_reg": [None, np.float32(0.5), (1, 2.0)], "lambda_reg": np.logspace(-1, 1, 3)}
    options = {"grid": grid, "path": path, "bias": True, "n_factors": 2}
    first = rows(search(**options))
    assert rows(search(**options)) == first
    assert len(fitted) == 9
    assert {row[-1] for row in first} == {""}


@pytest.mark.parametrize(
    "changes",
    [
        {"R_train": R_VALIDATION},
        {"R_validation": R_TRAIN},
        {"n_iterations": [2, 3]},
        {"clip": (1, 5)},
        {"rng": 1},
        {"dtype": np.float64},
        {"reg_exponent": 1.0},
        {"grid": GRID | {"reg_exponent": [0.0]}},
        {"grid": {"n_factors": [2]}, "lambda_reg": 0.1},
    ],
)
def test_results_of_something_else_are_refused(path, fitted, changes):
    search(path=path)
    before = path.read_bytes()
    fitted.clear()
    with pytest.raises(ValueError, match=r"results\.csv holds results of other data or settings"):
        search(path=path, **changes)
    assert (fitted, path.read_bytes()) == ([], before)


def test_fit_that_fails_is_a_row_and_tried_again(path, expected, fitted):
    for combinations in (8, 2):
        fitted.clear()
        table = search(grid=GRID | {"lambda_reg": [0.1, -1, (0.2, 0.5), 2]}, path=path)
        assert len(fitted) == combinations
        failed = table[table["lambda_reg"] == -1]
        message = "ValueError: lambda_reg must be finite and positive, got -1"
        assert failed["error"].str.startswith(message).tolist() == [True, True]
        assert failed[["train_rmse", "validation_rmse", "seconds"]].isna().all(axis=None)
        assert rows(table[table["error"] == ""]) == expected


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"grid": {}}, ValueError, "grid must name at least one setting, with at least one value"),
        ({"grid": GRID | {"bias": []}}, ValueError, "with at least one value each"),
        ({"grid": {"factors": [2]}}, ValueError, "factors: not a setting to try"),
        ({"callback": print}, ValueError, "callback: not a setting to try"),
        ({"lambda_reg": 1}, ValueError, "lambda_reg: not a setting to try, or given twice"),
        ({"R_validation": R[:5]}, ValueError, r"R_validation has shape \(5, 30\) but R"),
        ({"R_train": R.toarray()}, TypeError, "R must be a two-dimensional SciPy sparse"),
        ({"R_validation": R.toarray()}, TypeError, "R_validation must be a two-dimensional"),
        ({"executor": "dask"}, ValueError, "executor must be 'serial', 'threads', 'processes' or"),
        ({"n_workers": 2}, ValueError, "'serial' is a single worker, got n_workers=2"),
        ({"n_iterations": 0}, ValueError, "n_iterations must be at least 1, got 0"),
        ({"sample": 0}, ValueError, "sample must be at least 1, got 0"),
        ({"rng": None}, TypeError, "rng must be a whole number, got None"),
    ],
)
def test_bad_searches_are_refused_at_once(path, fitted, settings, error, message):
    with pytest.raises(error, match=message):
        search(path=path, **settings)
    assert (fitted, path.exists()) == ([], False)


def test_cross_validation_equals_direct_fits(capsys):
    options = {"n_factors": 3, "lambda_reg": 0.2, "n_iterations": 4, "bias": True, "rng": 1}
    table = alsnb.cross_validate(alsnb.k_fold(R, 3, rng=0), clip=(2, 4), **options)
    assert capsys.readouterr() == ("", "")
    expected = []
    for R_train, R_test in alsnb.k_fold(R, 3, rng=0):
        U, V, errors = alsnb.als_matrix_factorization_parallel(R_train, verbose=False, **options)
        expected.append([errors[-1], alsnb.calculate_rmse(R_test, U, V, clip=(2, 4))])
    assert rows(table) == expected
    assert (list(table), table.index.tolist()) == (
        ["train_rmse", "test_rmse", "seconds"],
        [1, 2, 3],
    )
    assert (table["seconds"] > 0).all()


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"n_iterations": []}, ValueError, "n_iterations"),
        ({"clip": (5, 1)}, ValueError, "clip"),
        ({"dtype": np.float16}, ValueError, "dtype"),
    ],
)
def test_what_all_fits_share_is_checked_once(options, error, message, fitted):
    with pytest.raises(error, match=message):
        search(**options)
    assert not fitted
    assert len(search(n_iterations={2, 1})) == 2 * len(COMBINATIONS)
