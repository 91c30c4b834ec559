"""Implicit feedback against dense sums over all pairs, the papers' own forms, and hostile input."""

import json

import numpy as np
import pytest
import scipy.sparse as sp
from helpers import (
    SMALL,
    assert_close,
    bits,
    both_sides,
    close,
    data_of,
    fit,
    fitted,
    rounding_of,
    untouched,
)
from threadpoolctl import threadpool_limits

import alsnb
from alsnb import ALS
from alsnb.als import start
from alsnb.bayes import most_informative_items

COUNTED = data_of("counts", SMALL)
QUIET = {"rng": 0, "verbose": False}
SOLVERS = pytest.mark.parametrize("solver", ["exact", "cg"])


# What is minimised


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@SOLVERS
def test_an_error_lost_in_rounding_is_zero_not_nan(solver, dtype):
    R = sp.csr_array(np.kron(np.eye(5), np.ones((4, 6))))  # which five factors explain
    settings = ALS(5, 1e-12, confidence=0.01, unobserved_weight=10)
    model = settings.fit(R, 40, solver=solver, dtype=dtype, **QUIET)
    assert (model.train_errors[-3:] < rounding_of(dtype, 1e-5, 0.1)).all()
    assert (model.objectives >= 0).all()


def hu_koren_volinsky(R, V, α, λ, n_iterations):
    """Their (4) and (5): x_u = (YᵀCᵘY + λI)⁻¹ YᵀCᵘp(u), for users and then for items."""
    C, P = 1 + α * R.toarray(), (R.toarray() > 0).astype(float)
    identity = λ * np.eye(V.shape[1])
    for _ in range(n_iterations):
        U = [np.linalg.solve(V.T * c @ V + identity, V.T * c @ p) for c, p in zip(C, P)]  # noqa: B905
        U = np.array(U)
        V = [np.linalg.solve(U.T * c @ U + identity, U.T * c @ p) for c, p in zip(C.T, P.T)]  # noqa: B905
        V = np.array(V)
    return U, V


@pytest.mark.parametrize("α", [0.5, 40])
def test_hu_koren_and_volinsky_is_an_unobserved_weight_of_one(α):
    model = ALS(4, 0.3, confidence=α).fit(COUNTED, 3, **QUIET)
    U, V = hu_koren_volinsky(COUNTED, start(COUNTED, 4, 0, float)[1], α, 0.3, 3)
    close(model.U, U)
    close(model.V, V)


def rendle(R, V, α0, λ, ν, n_iterations):
    """Σ over what is observed (1 − s)² + α₀ Σ s² over all + λ Σ (n + α₀ m)^ν ‖x‖², in turns."""

    def solve(observed, Y):
        gram, X = α0 * Y.T @ Y, np.zeros((len(observed), Y.shape[1]))
        for i, row in enumerate(observed):
            penalty = λ * (row.sum() + α0 * len(Y)) ** ν
            A = Y[row].T @ Y[row] + gram + penalty * np.eye(Y.shape[1])
            X[i] = np.linalg.solve(A, Y[row].sum(axis=0))
        return X

    observed = R.toarray() > 0
    for _ in range(n_iterations):
        U = solve(observed, V)
        V = solve(observed.T, U)
    return U, V


@pytest.mark.parametrize("α0", [0.01, 0.3, 2])
@pytest.mark.parametrize("ν", [0, 1])
def test_rendle_and_others_is_the_same_but_for_a_scale(α0, ν):
    """Theirs, with λ, is ours with λ (1 + α₀); ours predicts 1 + α₀ times as much."""
    ones = sp.csr_array((np.ones(COUNTED.nnz), COUNTED.indices, COUNTED.indptr), COUNTED.shape)
    λ, root = 0.05, np.sqrt(1 + α0)
    settings = ALS(4, λ * (1 + α0), ν, confidence=1, unobserved_weight=α0)
    model = settings.fit(ones, 3, **QUIET)
    U, V = rendle(ones, start(ones, 4, 0, float)[1] / root, α0, λ, ν, 3)
    close(model.U, root * U)
    close(model.V, root * V)
    close(model.predict(range(40)), (1 + α0) * U @ V.T)


def test_rows_without_data_are_zero_and_change_nothing():
    model = ALS(4, 0.3, confidence=2).fit(COUNTED, 3, **QUIET)
    assert model.U.any(axis=1).tolist() == (np.diff(COUNTED.indptr) > 0).tolist()
    assert model.V.any(axis=1).tolist() == (alsnb.count_ratings(COUNTED)[1] > 0).tolist()
    assert model.unknown_items.tolist() == (np.arange(30) == 7).tolist()
    assert not model.fold_in(([], [])).any()
    wide = sp.csr_array((COUNTED.data, COUNTED.indices, COUNTED.indptr), shape=(40, 60))
    more = ALS(4, 0.3, confidence=2).fit(wide, 3, **QUIET)  # whose first 30 items start the same
    close(more.U, model.U)
    close(more.V, np.r_[model.V, np.zeros((30, 4))])


# Steps instead of solutions


@pytest.mark.parametrize("variant", ["plain", "all", "counts", "all counts"])
def test_many_steps_are_the_exact_solver(variant):
    exact = fit(SMALL, variant, 4)
    close_steps = fit(SMALL, variant, 4, solver="cg", cg_steps=60)
    assert_close(close_steps, exact, 1e-7)
    few = fit(SMALL, variant, 4, solver="cg")  # three
    named = fit(SMALL, variant, 4, solver="cg", cg_steps=3)
    assert bits(few) == bits(named) != bits(fit(SMALL, variant, 4, solver="cg", cg_steps=2))
    assert bits(fit(SMALL, variant, 4, cg_steps=7)) == bits(exact)


# One Gram matrix


@both_sides
def test_bits_do_not_depend_on_the_callers_blas_threads(side):
    rng = np.random.default_rng(0)
    R = sp.csr_array((rng.random((2000, 1700)) < 0.005).astype(float))
    with threadpool_limits(2, user_api="blas"):
        model = ALS(64, 1, confidence=1).fit(R, 1, dtype="float32", **QUIET)
        rows = R if side == "users" else R.T.tocsr()
        many = model.fold_in(rows, side)
        first = slice(0, rows.indptr[1])
        one = model.replace().fold_in((rows.indices[first], rows.data[first]), side)
    with threadpool_limits(1, user_api="blas"):
        assert model.replace().fold_in(rows, side).tobytes() == many.tobytes()
    assert one.tobytes() == many[0].tobytes()
    if side == "items":
        assert many.tobytes() == model.V.tobytes()


def test_updates_of_users_compute_no_gram_matrix_again():
    model, R = fitted("counts"), COUNTED
    gram = model.equation("users", R).gram
    close(gram, 0.3 * model.V.T @ model.V, 1e-12)
    for user in (3, 5, 3):
        model, R = model.update((user, [7, 2], [1, 4]), R)
        assert model.equation("users", R).gram is gram
    other, _ = model.update((3, [7, 2], [1, 4]), R, "items")
    close(other.equation("users", R).gram, 0.3 * other.V.T @ other.V, 1e-12)
    close(other.equation("items", R.T.tocsr()).gram, 0.3 * other.U.T @ other.U, 1e-12)
    assert abs(other.equation("users", R).gram - gram).max() > 1e-6


# Lists


def test_lists_find_what_was_held_out():
    """Better than popularity, where taste was planted; and worse with labels drawn at random."""
    rng = np.random.default_rng(0)
    U, V = rng.normal(size=(200, 2)), rng.normal(size=(80, 2))
    chosen = np.argsort(-3 * U @ V.T - rng.gumbel(size=(200, 80)), axis=1)[:, :16]
    R = sp.coo_array((np.ones(chosen.size), (np.repeat(np.arange(200), 16), chosen.ravel())))
    train, test = alsnb.leave_k_out(R.tocsr(), 4, rng=0)
    model = ALS(4, 0.05, 1, confidence=1, unobserved_weight=0.3).fit(train, **QUIET)
    found = [
        alsnb.evaluate_lists(scores, train, test).loc["ndcg", "value"]
        for scores in (model, alsnb.count_ratings(train)[1])
    ]
    assert found[0] > 1.5 * found[1]


# Files


def test_files_of_models_without_confidence_are_still_read(tmp_path):
    """What a file does not name is as it was when there was nothing to name."""
    model = fitted("half")
    path = model.save(tmp_path / "model.npz")
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    about = json.loads(arrays.pop("about").item())
    for name in ("confidence", "unobserved_weight"):
        del about["settings"][name]
    np.savez(path, about=np.array(json.dumps(about)), **arrays)
    assert alsnb.load_model(path).settings == model.settings


# What is refused, in one sentence, before anything is computed


@pytest.fixture
def idle(monkeypatch):
    def computed(*args, **options):
        pytest.fail("something was computed before the input was checked")

    for name in ("alsnb.parallel.solve_rows", "alsnb.model.solve_rows", "alsnb.als.start"):
        monkeypatch.setattr(name, computed)


MODEL = ALS(3, 1.0, confidence=2.0).fit(COUNTED, 2, **QUIET)
SINGLE = ALS(3, 1.0, confidence=2.0).fit(COUNTED, 2, dtype="float32", **QUIET)
POSITIVE = "with confidence all values must be positive, such as counts or ones; Ratings.bin"
NAN = r"NaN"


def one_count(value, shape=(40, 30)):
    return sp.csr_array(([value], ([3], [1])), shape=shape)


@pytest.mark.parametrize(("value", "message"), [(0.0, POSITIVE), (-1.0, POSITIVE), (np.nan, NAN)])
@pytest.mark.parametrize(
    "call",
    [
        lambda R, row: ALS(3, confidence=1).fit(sp.vstack([COUNTED, R]), **QUIET),
        lambda R, row: ALS(3, confidence=1).fit(R, executor="readable", **QUIET),
        lambda R, row: alsnb.als_matrix_factorization(R, 3, confidence=1, verbose=False),
        lambda R, row: alsnb.als_matrix_factorization_parallel(R, 3, confidence=1, verbose=False),
        lambda R, row: MODEL.fold_in(row),
        lambda R, row: MODEL.fold_in(R),
        lambda R, row: MODEL.fold_in(R.T, "items"),
        lambda R, row: MODEL.update((3, *row), COUNTED),
        lambda R, row: MODEL.update(R, COUNTED),
        lambda R, row: MODEL.update(R, COUNTED, "items"),
        lambda R, row: MODEL.append(row, COUNTED),
        lambda R, row: MODEL.append(R, COUNTED),
        lambda R, row: MODEL.append(R.T, COUNTED, "items"),
        lambda R, row: MODEL.explain(4, *row),
    ],
)
def test_counts_that_are_none(idle, call, value, message):
    R, row = one_count(value), (np.array([1, 6]), np.array([value, 1.0]))
    with untouched(MODEL, COUNTED, R, *row), pytest.raises(ValueError, match=message) as caught:
        call(R, row)
    assert type(caught.value) is ValueError and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "dtype", "value"),
    [
        ({"confidence": 1e38}, "float32", 10.0),  # α r
        ({"confidence": 1e300}, "float64", 1e300),
        ({"confidence": 1e-40}, "float32", 1.0),  # α₀ / (α r), with what is left of α
        ({"confidence": 1e-20}, "float32", 1e-30),
        ({"confidence": 1e-20, "unobserved_weight": 1e20}, "float32", 1.0),
        ({"confidence": 1e-200, "unobserved_weight": 1e200}, "float64", 1.0),
    ],
)
def test_weights_and_targets_beyond_floats(idle, settings, dtype, value):
    message = rf"confidence × values, or unobserved_weight over that, leaves {dtype}: one of"
    with pytest.raises(ValueError, match=message):
        ALS(3, **settings).fit(one_count(value), dtype=dtype, **QUIET)
    U, V = (X.astype(dtype) for X in (MODEL.U, MODEL.V))
    with pytest.raises(ValueError, match=message):
        alsnb.Factorization(U, V, ALS(3, **settings)).fold_in(([1], [value]))


@pytest.mark.parametrize("value", [1e30, 1e37])
@SOLVERS
def test_sums_beyond_floats_are_one_clear_error(value, solver):
    """What is in range alone may not be when it is squared."""
    settings = ALS(3, 1, confidence=value)
    try:
        model = settings.fit(COUNTED, 3, dtype="float32", solver=solver, **QUIET)
    except ValueError as error:
        assert "too large" in str(error) or "diverged" in str(error)
        assert "\n" not in str(error)
    else:
        assert all(np.isfinite(X).all() for X in (*model, model.objectives))


def test_what_is_asked_in_stars_is_refused(idle):
    train, test = alsnb.train_test_split(COUNTED, 0.2, rng=0)
    options = {"n_factors": 3, "confidence": 1.0}
    for call, message in (
        (
            lambda: ALS(**options).fit(train, R_test=test, **QUIET),
            "R_test is scored in stars; with confidence, use evaluate_lists",
        ),
        (
            lambda: alsnb.grid_search(train, test, {"lambda_reg": [1]}, **options),
            "with confidence there are no stars to predict; pass metric='ndcg'",
        ),
        (
            lambda: alsnb.grid_search(train, test, {"confidence": [None, 1.0]}),
            "with confidence there are no stars to predict; pass metric='ndcg'",
        ),
        (
            lambda: alsnb.cross_validate([(train, test)], **options),
            "with confidence there are no stars to predict; use evaluate_lists",
        ),
        (
            lambda: most_informative_items(MODEL),
            "model must be one of ratings in stars, fitted without confidence",
        ),
        (
            lambda: alsnb.als_matrix_factorization(
                train, half_step=alsnb.half_step, verbose=False, confidence=1
            ),
            "with a half_step of your own leave out bias, implicit_features, confidence and tol",
        ),
    ):
        with pytest.raises(ValueError) as caught:
            call()
        assert str(caught.value) == message
