"""Biases, a λ for either side and implicit partners, against dense loops and least squares."""

from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
import test_parallel
from hypothesis import given
from hypothesis import strategies as st
from test_parallel import R_TEST, R_TRAIN, bits, in_time

import alsnb

FITS = {
    "sequential": alsnb.als_matrix_factorization,
    "blocks": partial(alsnb.als_matrix_factorization_parallel, executor="serial"),
}
either = pytest.mark.parametrize("name", FITS)
BOTH = {"bias": True, "implicit_weight": 1.0}


def fit(name, R, n_factors=3, lambda_reg=0.1, n_iterations=5, **options):
    options = {"verbose": False, "rng": 0} | options
    return FITS[name](R, n_factors, lambda_reg, n_iterations, **options)


def assert_close(X, Y, rounding=1e-8):
    np.testing.assert_allclose(X, Y, rtol=0, atol=rounding * abs(Y).max())


# An iteration and its objective


def least_squares(*parts):
    """The x of least ‖A x − b‖², for the parts (A, b) of one augmented system."""
    A, b = (np.concatenate(each) for each in zip(*parts, strict=True))
    return np.linalg.lstsq(A, b, rcond=None)[0]


def dense_partner(mask, X, ridge):
    """For each row of the mask, the ridge regression of the whole row on `X`."""
    ridge = np.sqrt(ridge) * np.eye(X.shape[1]), np.zeros(X.shape[1])
    return np.array([least_squares((X, row), ridge) for row in mask * 1.0])


def dense_half(mask, residuals, Y, partner, λs, nu, w, bias):
    """Factors and bias of each row, given the factors `Y` and what else explains the ratings."""
    X = np.zeros((len(mask), Y.shape[1] + 1))
    for i, rated in enumerate(mask):
        if rated.any():
            A = np.c_[Y[rated], np.full(rated.sum(), float(bias))]
            whole_row = np.sqrt(w) * np.c_[partner, np.zeros(len(partner))], np.sqrt(w) * rated
            ridge = np.sqrt(λs * rated.sum() ** nu)
            X[i] = least_squares((A, residuals[i, rated]), whole_row, (np.diag(ridge), 0 * ridge))
    return X[:, :-1], X[:, -1]


def random_problem(seed, n, m):
    rng = np.random.default_rng(seed)
    mask = rng.random((n, m)) < 0.5
    mask[0, 0] = mask[1, 1] = True
    values = rng.integers(0, 6, mask.shape) * mask.astype(float)
    values[0, 0], values[1, 1] = 5, 0
    return mask, values, sp.coo_array((values[mask], np.nonzero(mask)), shape=mask.shape).tocsr()


problems = st.builds(random_problem, st.integers(0, 10**6), st.integers(2, 8), st.integers(2, 8))
pairs = st.tuples(*2 * [st.sampled_from([0.1, 0.5, 2.0])])
weights = st.sampled_from([0.0, 0.3, 2.0])


@either
@given(
    problems, st.integers(1, 4), st.booleans(), pairs, pairs, st.sampled_from([0, 0.5, 1]), weights
)
def test_iteration_and_objective_are_the_dense_ones(name, problem, f, bias, λ, λ_bias, nu, w):
    (mask, values, R), states = problem, []
    options = {"reg_exponent": nu, "implicit_weight": w, "implicit_reg": 0.4, "bias": bias}
    options |= {"bias_reg": λ_bias} if bias else {}
    result = fit(name, R, f, λ, 3, callback=lambda *state: states.append(state[1:]), **options)
    (P0, Q0), (U, V) = states[-2:]
    mean, c = (R.data.mean(), Q0[:, f + 1]) if bias else (0, 0)
    P0, Q0 = P0[:, :f], Q0[:, :f]
    V_hat, U_hat = dense_partner(mask.T, P0, 0.4), dense_partner(mask, Q0, 0.4)
    λs = [np.r_[np.full(f, a), a_bias] for a, a_bias in zip(λ, λ_bias, strict=True)]
    P, b = dense_half(mask, values - mean - c, Q0, V_hat, λs[0], nu, w, bias)
    Q, c = dense_half(mask.T, (values - mean).T - b, P, U_hat, λs[1], nu, w, bias)
    expected = [P, Q, b, c] if bias else [P, Q]
    reached = [U[:, :f], V[:, :f], U[:, f], V[:, f + 1]] if bias else [U, V]
    if w:
        expected, reached = [*expected, V_hat, U_hat], [*reached, *result.partners]
    for X, Y in zip(reached, expected, strict=True):
        assert_close(X, Y)
    # Every term of the objective, in loops
    errors = [values[i, j] - mean - b[i] - c[j] - P[i] @ Q[j] for i, j in np.argwhere(mask)]
    objective = sum(np.square(errors))
    for X, n, a in ((np.c_[P, b], mask.sum(axis=1), λs[0]), (np.c_[Q, c], mask.sum(axis=0), λs[1])):
        objective += sum(max(n[k], 1) ** nu * (a @ x**2) for k, x in enumerate(X))
    for X, Y, partner in ((P, V_hat, V_hat), (U_hat, Q, U_hat)):
        objective += w * (np.sum((mask - X @ Y.T) ** 2) + 0.4 * np.sum(partner**2))
    assert result.objectives[-1] == pytest.approx(objective, rel=1e-8)
    assert (np.diff(result.objectives) <= 1e-12 * result.objectives[0]).all()
    assert result.train_errors[-1] == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-6)


@pytest.mark.parametrize("weight", [0, 0.7])
@pytest.mark.parametrize("nu", [0, 0.5, 1])
@pytest.mark.parametrize("lambda_reg", [0.3, (0.2, 0.9)], ids=str)
@pytest.mark.parametrize("bias_reg", [None, "default", 2.0, (0.5, 3.0)], ids=str)
def test_both_agree(toy, bias_reg, lambda_reg, nu, weight):
    options = {"lambda_reg": lambda_reg, "reg_exponent": nu, "implicit_weight": weight}
    options |= {"n_iterations": 12, "R_test": toy.R, "bias": bias_reg is not None}
    options |= {} if bias_reg in (None, "default") else {"bias_reg": bias_reg}
    one, other = (fit(name, toy.R, **options) for name in FITS)
    for key in ("U", "V", "train_errors", "test_errors", "objectives"):
        assert_close(getattr(one, key), getattr(other, key))
    assert (np.diff(one.objectives) <= 1e-12 * one.objectives[0]).all()
    expected = lambda_reg, lambda_reg if bias_reg == "default" else bias_reg, weight
    for result in (one, other):
        assert (result.lambda_reg, result.bias_reg, result.implicit_weight) == expected


@either
@pytest.mark.parametrize("weight", [0, 1])
def test_columns(toy, name, weight):
    assert fit(name, toy.R, 4, implicit_weight=weight).U.shape == (8, 4)
    U, V, _ = fit(name, toy.R, 4, bias=True, bias_reg=0.5, implicit_weight=weight)
    assert (U.shape, V.shape) == ((8, 7), (7, 7))
    mean, b, c = toy.values[toy.mask].mean(), U[:, 4], V[:, 5]
    for column, value in ((U[:, 5], 1), (U[:, 6], mean), (V[:, 4], 1), (V[:, 6], 1)):
        assert (column == value).all()
    predicted = mean + b[:, None] + c + U[:, :4] @ V[:, :4].T
    np.testing.assert_allclose(U @ V.T, predicted, rtol=1e-12)
    np.testing.assert_allclose(U[3] @ V.T, mean + c, rtol=1e-12)  # who has rated nothing
    np.testing.assert_allclose(U @ V[2], mean + b, rtol=1e-12)
    items, scores = alsnb.recommend_items(1, U, V, toy.R, 3)
    unseen = np.where(toy.mask[1], -np.inf, predicted[1])
    assert items.tolist() == np.argsort(-unseen)[: len(items)].tolist()
    np.testing.assert_allclose(scores, unseen[items], rtol=1e-12)


@either
def test_float32_stays_and_ratings_too(toy, name):
    parts = toy.R.data, toy.R.indices, toy.R.indptr
    before = [part.tobytes() for part in parts]
    single, double = (fit(name, toy.R, dtype=dtype, **BOTH) for dtype in (np.float32, float))
    for result, dtype in ((single, np.float32), (double, float)):
        assert {X.dtype for X in (result.U, result.V, *result.partners)} == {np.dtype(dtype)}
    assert_close(single.U @ single.V.T, double.U @ double.V.T, 1e-4)
    np.testing.assert_allclose(single.objectives, double.objectives, rtol=1e-4)
    assert [part.tobytes() for part in parts] == before


@either
def test_permuted_users_give_permuted_factors(toy, name, monkeypatch):
    U, V = alsnb.init_matrix_factorization(8, 7, 3, rng=0)
    order, results = np.random.default_rng(1).permutation(8), []
    for R, start in ((toy.R, (U, V)), (toy.R[order], (U[order], V))):
        start = tuple(X.copy() for X in start)
        monkeypatch.setattr("alsnb.terms.init_matrix_factorization", lambda *_, x=start, **__: x)
        results.append(fit(name, R, lambda_reg=(0.2, 0.4), bias_reg=1.0, **BOTH))
    assert_close(results[1].U, results[0].U[order], 1e-9)
    assert_close(results[1].V, results[0].V, 1e-9)


# The same to the last bit on whatever executor


@pytest.fixture(scope="module")
def bits_of(small_blocks):
    def bits_of(**options):
        options |= BOTH | {"lambda_reg": (0.5, 0.8), "bias_reg": (2.0, 3.0), "R_test": R_TEST}
        result = in_time(test_parallel.fit, **options)
        return bits(result) + [partner.tobytes() for partner in result.partners]

    return bits_of


@pytest.fixture(scope="module")
def expected(bits_of):
    return bits_of(executor="serial")


@pytest.fixture
def client():
    distributed = pytest.importorskip("distributed")
    options = {"processes": False, "dashboard_address": ":0", "silence_logs": 50}
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.parametrize(
    ("executor", "n_workers"), [("threads", 1), ("threads", 3), ("processes", 2), ("client", None)]
)
def test_bits_are_the_same(bits_of, expected, executor, n_workers, request):
    executor = request.getfixturevalue(executor) if executor == "client" else executor
    same = bits_of(executor=executor, n_workers=n_workers) == expected
    assert same  # the bytes themselves would take a while to show


# Stopping


@either
def test_callback_that_returns_true_stops(toy, name):
    stopped = fit(name, toy.R, n_iterations=9, callback=lambda k, U, V: k == 3, **BOTH)
    assert bits(stopped) == bits(fit(name, toy.R, n_iterations=3, **BOTH))
    assert len(fit(name, toy.R, callback=lambda *_: "go on").train_errors) == 5


@pytest.mark.parametrize(("patience", "calls", "best"), [(1, 3, 2), (2, 6, 4), (3, 7, 4)])
def test_patience(patience, calls, best):
    """One rating of 1, and predictions that miss it by these."""
    errors = [3.0, 2.0, 2.5, 1.0, 4.0, 5.0, 6.0, 0.5][:calls]
    stop = alsnb.EarlyStopping(sp.csr_array([[1.0]]), patience)
    states = [(np.array([[1 + error]]), np.ones((1, 1))) for error in errors]
    answers = [stop(k, *state) for k, state in enumerate(states, 1)]
    assert answers == [False] * (calls - 1) + [True]
    assert (stop.errors, stop.best_iteration) == (errors, best)
    assert (stop.U is states[best - 1][0], stop.V is states[best - 1][1]) == (True, True)


@either
@pytest.mark.parametrize("clip", [None, (0, 5)])
def test_early_stopping_keeps_the_best(name, clip):
    errors, stop = [], alsnb.EarlyStopping(R_TEST, patience=3, clip=clip)

    def callback(iteration, U, V):
        errors.append(alsnb.calculate_rmse(R_TEST, U, V, clip=clip))
        return stop(iteration, U, V)

    result = fit(name, R_TRAIN, 8, 0.1, 40, callback=callback)
    assert stop.errors == errors
    assert stop.best_iteration == 1 + np.argmin(errors)
    assert len(result.train_errors) == stop.best_iteration + 3 < 40
    best = fit(name, R_TRAIN, 8, 0.1, stop.best_iteration)
    assert [stop.U.tobytes(), stop.V.tobytes()] == [best.U.tobytes(), best.V.tobytes()]


@pytest.mark.parametrize("weight, scale", [(1000, 1), (20, 0.1)])
def test_heavy_partners_are_no_divergence(toy, weight, scale):
    model = alsnb.als_matrix_factorization(
        scale * toy.R, 3, 0.1, 4, verbose=False, implicit_weight=weight, rng=0
    )
    assert (np.diff(model.objectives) <= 1e-9 * model.objectives[0]).all()


def test_plateau_is_no_new_best(toy):
    stopper, zeros = alsnb.EarlyStopping(toy.R, patience=2), (np.zeros((8, 1)), np.zeros((7, 1)))
    assert [bool(stopper(k, *zeros)) for k in (1, 2, 3)] == [False, False, True]
    assert stopper.best_iteration == 1
