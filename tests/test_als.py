"""ALS against the textbook, dense least squares, closed forms and its own invariants."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp
from helpers import (
    COUNTS,
    arrays_of,
    assert_close,
    bits,
    data_of,
    features_of,
    fit,
    heavy_tailed,
    settings_of,
)

import alsnb
from alsnb import ALS
from alsnb.ridge import solve_rows

EITHER = pytest.mark.parametrize("executor", ["readable", "serial"])
R_TRAIN, R_TEST = alsnb.train_test_split(heavy_tailed(120, 90), 0.1, rng=0)


def readable(R, n_factors=3, lambda_reg=0.1, n_iterations=5, **options):
    options = {"verbose": False, "rng": 0} | options
    return alsnb.als_matrix_factorization(R, n_factors, lambda_reg, n_iterations, **options)


# Settings


def test_settings_are_kept_and_do_not_change():
    settings = ALS(np.int64(3), [1, 2], np.float32(0.5), np.True_, 4, np.True_, 1, [2, 3])
    assert dataclasses.asdict(settings) == {
        "n_factors": 3,
        "lambda_reg": (1.0, 2.0),
        "reg_exponent": 0.5,
        "bias": True,
        "bias_reg": 4.0,
        "implicit_features": True,
        "implicit_reg": 1.0,
        "feature_reg": (2.0, 3.0),
        "confidence": None,
        "unobserved_weight": 1.0,
    }
    assert ALS(**dataclasses.asdict(settings)) == settings != ALS()
    counts = ALS(confidence=np.int64(2), unobserved_weight=np.float32(0.5))
    kinds = {type(v) for one in (settings, counts) for v in dataclasses.asdict(one).values()}
    assert kinds == {int, float, bool, tuple, type(None)}
    assert (counts.confidence, counts.unobserved_weight) == (2.0, 0.5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.n_factors = 4
    assert (ALS(n_factors=2.0), type(ALS(2.0).n_factors)) == (ALS(n_factors=2), int)


# What is minimised


@pytest.mark.parametrize("variant", ["all", "all counts"])
def test_readable_loop_agrees_with_the_compiled_one(variant):
    R = data_of(variant, R_TRAIN)
    options = {"n_factors": 40}  # more factors than most have ratings
    options |= {} if variant in COUNTS else {"R_test": R_TEST}
    settings = dataclasses.asdict(settings_of(variant, 40))
    names = ("user_features", "item_features")
    for side, name, n_rows in zip(("users", "items"), names, R_TRAIN.shape, strict=True):
        settings[name] = features_of(variant, side, n_rows)
    slow = readable(R, n_iterations=3, **settings | options)
    assert_close(slow, fit(R, variant, **options), 1e-8)
    assert slow.settings == settings_of(variant, 40)


@pytest.mark.parametrize("lambda_reg", [0.1, 1, 4])
def test_full_matrix_reaches_the_closed_form(lambda_reg):
    # With every pair rated and ν = 0 the least objective is known: the singular values of R,
    # less λ but not below zero, are those of U Vᵀ (Srebro, Rennie and Jaakkola 2004).
    R = np.random.default_rng(4).normal(size=(9, 6)) * 3
    s = np.linalg.svd(R, compute_uv=False)
    shrunk = np.maximum(s - lambda_reg, 0)
    model = ALS(6, lambda_reg).fit(sp.csr_array(R), 600, rng=0, verbose=False)
    objective = np.sum((s - shrunk) ** 2) + 2 * lambda_reg * shrunk.sum()
    assert model.objectives[-1] == pytest.approx(objective, rel=1e-9)
    reached = np.linalg.svd(model.U @ model.V.T, compute_uv=False)
    np.testing.assert_allclose(reached, shrunk, atol=1e-7 * s[0])


def test_recovers_low_rank_ratings_where_nothing_was_rated():
    R, U, V = alsnb.make_low_rank_ratings(60, 50, 2, density=0.4, rng=7)
    model = ALS(2, 1e-5).fit(R, 100, rng=0, verbose=False)
    truth = U @ V.T
    assert np.linalg.norm(model.U @ model.V.T - truth) < 1e-3 * np.linalg.norm(truth)
    assert model.train_errors[-1] < 1e-3


# What comes back


@EITHER
def test_unpacks_and_carries_its_settings(toy, executor):
    model = fit(toy.R, "half", 3, 4, executor=executor)
    U, V, train_errors = model
    assert (U is model.U, V is model.V, train_errors is model.train_errors) == 3 * (True,)
    assert (U.shape, V.shape, train_errors.shape) == ((8, 3), (7, 3), (4,))
    assert (model.settings, model.test_errors) == (settings_of("half", 3), None)
    assert train_errors[-1] == pytest.approx(alsnb.calculate_rmse(toy.R, U, V), rel=1e-12)
    objective = alsnb.calculate_objective(toy.R, U, V, 0.5, 0.5)
    assert model.objectives[-1] == pytest.approx(objective, rel=1e-12)
    assert repr(model) == (
        "Factorization: U 8 × 3, V 7 × 3, λ = 0.5, ν = 0.5, 4 iterations, "
        f"train RMSE {train_errors[-1]:.4f}"
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.U = V


def test_random_start_is_the_seeds(toy):
    first, again, other = (fit(toy.R, rng=rng) for rng in (5, np.random.default_rng(5), 6))
    assert bits(first) == bits(again) != bits(other)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    assert bits(fit(toy.R, rng=None)) != bits(fit(toy.R, rng=None))
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_initial_factors():
    U, V = alsnb.init_matrix_factorization(300, 200, 10.0, rng=3)
    assert (U.shape, V.shape) == ((300, 10), (200, 10))
    for X in (U, V):
        assert X.std() == pytest.approx(0.1, rel=0.05)
        assert abs(X.mean()) < 0.01
    single = alsnb.init_matrix_factorization(300, 200, 10, rng=3, dtype=np.float32)
    np.testing.assert_array_equal(single[1], V.astype(np.float32))
    wide, _ = alsnb.init_matrix_factorization(300, 200, 10, rng=3, scale=1)
    np.testing.assert_allclose(wide, 10 * U, rtol=1e-12)


@EITHER
@pytest.mark.parametrize("variant", ["half", "all"])
def test_float32_stays_and_is_close(variant, executor):
    options = {"R_test": R_TEST, "executor": executor}
    single, double = (fit(R_TRAIN, variant, dtype=d, **options) for d in (np.float32, float))
    for model, dtype in ((single, np.float32), (double, np.float64)):
        parts = arrays_of(model.U, model.V, *(model.links or ()))
        assert {X.dtype for X in parts if X.dtype.kind == "f"} == {np.dtype(dtype)}
    assert np.linalg.norm(single.U @ single.V.T - double.U @ double.V.T) < 1e-3 * np.linalg.norm(
        double.U @ double.V.T
    )
    np.testing.assert_allclose(single.train_errors, double.train_errors, rtol=1e-4)
    np.testing.assert_allclose(single.objectives, double.objectives, rtol=1e-4)


def test_movielens_100k(movielens):
    model = readable(movielens.R, 100, 0.1, 2)
    np.testing.assert_allclose(model.train_errors, [0.5917, 0.2615], atol=5e-4)


def test_ratings_are_neither_changed_nor_copied(monkeypatch):
    seen = []

    def watched(equation, *args, **options):
        seen.append(equation)
        return solve_rows(equation, *args, **options)

    monkeypatch.setattr("alsnb.parallel.solve_rows", watched)
    index = [array.astype(np.int32) for array in (R_TRAIN.indices, R_TRAIN.indptr)]
    R = sp.csr_array((R_TRAIN.data, *index), shape=R_TRAIN.shape)
    parts = [R.data, R.indices, R.indptr]
    before = [part.tobytes() for part in parts]
    for executor in ("serial", "threads", "readable"):
        seen.clear()
        fit(R, "bias", executor=executor)
        used = (seen[0].ratings, seen[0].indices, seen[0].indptr)
        assert all(np.shares_memory(*pair) for pair in zip(parts, used, strict=True))
    assert [part.tobytes() for part in parts] == before


# Books


@EITHER
@pytest.mark.parametrize("variant", ["plain", "all"])
def test_held_out_rmse_is_tracked_and_changes_nothing(variant, executor):
    states = []
    options = {"R_test": R_TEST, "callback": lambda *state: states.append(state)}
    model = fit(R_TRAIN, variant, executor=executor, **options)
    assert [k for k, _, _ in states] == [1, 2, 3]
    for k, U, V in states:
        rmse = alsnb.calculate_rmse(R_TRAIN, U, V)
        assert model.train_errors[k - 1] == pytest.approx(rmse, rel=1e-12)
        assert model.test_errors[k - 1] == alsnb.calculate_rmse(R_TEST, U, V)
    assert (states[-1][1] is model.U, states[-1][2] is model.V) == (True, True)
    assert bits(fit(R_TRAIN, variant, executor=executor))[:4] == bits(model)[:4]


def test_callback_that_returns_true_stops(toy):
    for true in (True, np.True_):
        stopped = fit(toy.R, n_iterations=9, callback=lambda k, U, V, t=true: k == 3 and t)
        assert bits(stopped) == bits(fit(toy.R, n_iterations=3))
    assert len(fit(toy.R, callback=lambda *_: "go on").train_errors) == 3


@EITHER
def test_tol_stops_early_on_the_same_path(toy, executor):
    fits = [
        fit(toy.R, n_iterations=200, executor=executor, tol=tol, n_factors=3) for tol in (0, 1e-3)
    ]
    long, short = (model.objectives for model in fits)
    done = len(short)
    assert 2 < done < 200 == len(long)
    np.testing.assert_array_equal(short, long[:done])
    assert done == np.flatnonzero(-np.diff(long) / long[:-1] < 1e-3)[0] + 2
    assert len(fit(toy.R, tol=10).objectives) == 2  # the least that can be compared


@EITHER
@pytest.mark.parametrize("R_test", [R_TEST, None], ids=["test", "train"])
def test_verbose_prints_a_line_an_iteration(capsys, executor, R_test):
    model = fit(R_TRAIN, verbose=True, R_test=R_test, executor=executor)
    expected = ""
    for k, error in enumerate(model.train_errors):
        end = "" if R_test is None else f"   test RMSE {model.test_errors[k]:.4f}"
        expected += f"iteration   {k + 1}   train RMSE {error:.4f}{end}\n"
    assert capsys.readouterr() == (expected, "")
    fit(R_TRAIN, R_test=R_test, executor=executor)
    assert capsys.readouterr() == ("", "")


@EITHER
@pytest.mark.parametrize("scale", [1e160, 1e200, 1e300])
def test_ratings_beyond_floats_are_one_clear_error(executor, scale):
    with pytest.raises(ValueError, match=r"ratings( or factors are too large|$)") as caught:
        fit(R_TRAIN * scale, n_iterations=20, executor=executor)
    assert "\n" not in str(caught.value)


def test_links_fade_into_zero_as_they_get_dearer(toy):
    expected = settings_of("all", 3, implicit_features=False).fit(toy.R, 9, rng=0, verbose=False)
    for reg, rounding in ((1e-9, None), (1e5, 1e-3), (1e9, 1e-7)):
        changes = {"implicit_reg": reg, "feature_reg": reg}
        given = {
            f"{side[:-1]}_features": features_of("all", side, n)
            for side, n in zip(("users", "items"), toy.R.shape, strict=True)
        }
        model = settings_of("all", 3, **changes).fit(toy.R, 9, rng=0, verbose=False, **given)
        assert (np.diff(model.objectives) <= 1e-9 * model.objectives[0]).all()
        if rounding:
            assert_close(model.replace(links=None, settings=expected.settings), expected, rounding)


# A half_step of one's own


def test_half_step_can_be_replaced(toy):
    calls = []

    def ones(R, Y, lambda_reg, reg_exponent):
        calls.append((R.shape, R.format, Y.shape, lambda_reg, reg_exponent))
        return np.ones((R.shape[0], Y.shape[1]))

    model = readable(toy.R, 2, (0.5, 2), 2, reg_exponent=1, half_step=ones)
    assert calls == 2 * [((8, 7), "csr", (7, 2), 0.5, 1.0), ((7, 8), "csr", (8, 2), 2.0, 1.0)]
    assert (model.U == 1).all() and (model.V == 1).all()
    assert (model.settings, model.objectives, len(model.train_errors)) == (None, None, 2)
    assert "a half_step of your own" in repr(model)
    with pytest.raises(ValueError, match="fitted with a half_step of your own"):
        model.fold_in(([1], [5.0]))


@pytest.mark.parametrize("nu", [0, 0.5, 1])
def test_objective_falls_at_every_half_step(capsys, nu):
    states = []

    def watched(R, Y, lambda_reg, reg_exponent):
        X = alsnb.half_step(R, Y, lambda_reg, reg_exponent)
        states.append((X, Y) if len(states) % 2 == 0 else (Y, X))
        return X

    options = {"n_factors": 4, "reg_exponent": nu, "R_test": R_TEST, "verbose": True}
    own = readable(R_TRAIN, **options, half_step=watched)
    printed = capsys.readouterr()
    expected = readable(R_TRAIN, **options)
    assert capsys.readouterr() == printed
    assert bits(own)[:2] == bits(expected)[:2]  # by the same loop
    assert_close(own, expected.replace(objectives=None), 1e-10)
    objectives = np.array([alsnb.calculate_objective(R_TRAIN, *s, 0.1, nu) for s in states])
    assert len(objectives) == 10
    _, V = alsnb.init_matrix_factorization(*R_TRAIN.shape, 4, rng=0)
    V[alsnb.count_ratings(R_TRAIN)[1] == 0] = 0
    np.testing.assert_array_equal(states[0][1], V)
    assert (np.diff(objectives) <= 1e-12 * objectives[0]).all()
    assert objectives[-1] < 0.9 * objectives[0]
    single = readable(R_TRAIN, half_step=alsnb.half_step, dtype=np.float32)
    assert (single.U.dtype, single.V.dtype) == (np.float32, np.float32)


@pytest.mark.parametrize(
    "option", [{"bias": True}, {"implicit_features": True}, {"confidence": 1}, {"tol": 1e-3}]
)
def test_half_step_of_ones_own_obeys_not_all_options(toy, option):
    with pytest.raises(ValueError, match="leave out bias, implicit_features, confidence and tol"):
        readable(toy.R, half_step=alsnb.half_step, **option)
    for unknown in ({"factors": 3}, {"executor": "threads"}, {"user_features": np.eye(8)}):
        with pytest.raises(TypeError, match=r"unexpected keyword|multiple values"):
            readable(toy.R, half_step=alsnb.half_step, **unknown)


# Early stopping


@pytest.mark.parametrize(
    ("patience", "errors", "best"),
    [
        (1, [3.0, 2.0, 2.5], 2),
        (2, [3.0, 2.0, 2.5, 1.0, 4.0, 5.0], 4),
        (3, [3.0, 2.0, 2.5, 1.0, 4.0, 5.0, 6.0], 4),
        (2, [1.0, 1.0, 1.0], 1),  # a plateau is no new best
    ],
)
def test_patience(patience, errors, best):
    """One rating of 1, and predictions that miss it by these."""
    stop = alsnb.EarlyStopping(sp.csr_array([[1.0]]), patience)
    states = [(np.array([[1 + error]]), np.ones((1, 1))) for error in errors]
    answers = [stop(k, *state) for k, state in enumerate(states, 1)]
    assert answers == [False] * (len(errors) - 1) + [True]
    assert (stop.errors, stop.best_iteration) == (errors, best)
    assert (stop.U is states[best - 1][0], stop.V is states[best - 1][1]) == (True, True)


@pytest.mark.parametrize("clip", [None, (0, 5)])
def test_early_stopping_keeps_the_best(clip):
    errors, stop = [], alsnb.EarlyStopping(R_TEST, patience=3, clip=clip)

    def callback(iteration, U, V):
        errors.append(alsnb.calculate_rmse(R_TEST, U, V, clip=clip))
        return stop(iteration, U, V)

    model = fit(R_TRAIN, n_iterations=40, callback=callback)
    assert stop.errors == errors
    assert stop.best_iteration == 1 + np.argmin(errors)
    assert len(model.train_errors) == stop.best_iteration + 3 < 40
    best = fit(R_TRAIN, n_iterations=stop.best_iteration)
    assert [stop.U.tobytes(), stop.V.tobytes()] == bits(best)[:2]
