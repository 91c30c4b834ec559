"""Gradient descent against finite differences, dense formulas and the known least objective."""

import numpy as np
import pytest
import scipy.sparse as sp
from helpers import bits

import alsnb

ALPHA, LAMBDA = 1e-3, 0.3


def fit(R, n_factors=3, lambda_reg=LAMBDA, n_iterations=5, **options):
    options = {"verbose": False, "rng": 0, "learning_rate": ALPHA} | options
    return alsnb.gradient_descent(R, n_factors, lambda_reg, n_iterations, **options)


def start(R, n_factors=3):
    """Factors that the seed of `fit` starts from, rows without ratings being zero."""
    U, V = alsnb.init_matrix_factorization(*R.shape, n_factors, rng=0)
    rated = R.copy()
    rated.data[:] = 1
    return U * (rated.sum(axis=1) > 0)[:, None], V * (rated.sum(axis=0) > 0)[:, None]


def dense_gradient(toy, U, V, nu):
    E = np.where(toy.mask, toy.values - U @ V.T, 0)
    n, m = (np.maximum(toy.mask.sum(axis=axis), 1)[:, None] ** nu for axis in (1, 0))
    return 2 * (LAMBDA * n * U - E @ V), 2 * (LAMBDA * m * V - E.T @ U)


@pytest.mark.parametrize("nu", [0, 0.5, 1])
def test_gradient_equals_finite_differences(toy, nu):
    rng = np.random.default_rng(6)
    factors = [rng.normal(size=(size, 3)) for size in toy.R.shape]
    gradients = alsnb.objective_gradient(toy.R, *factors, LAMBDA, nu)
    h = 1e-5
    for X, gradient in zip(factors, gradients, strict=True):
        differences = np.empty_like(X)
        for place in np.ndindex(X.shape):
            kept, sides = X[place], []
            for X[place] in (kept + h, kept - h):
                sides.append(alsnb.calculate_objective(toy.R, *factors, LAMBDA, nu))
            X[place] = kept
            differences[place] = (sides[0] - sides[1]) / (2 * h)
        np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-6 * abs(X).max())


@pytest.mark.parametrize("nu", [0, 0.5, 1])
def test_one_full_step_is_the_formula(toy, nu):
    U, V = start(toy.R)
    gradient_u, gradient_v = dense_gradient(toy, U, V, nu)
    result = fit(toy.R, n_iterations=1, reg_exponent=nu)
    np.testing.assert_allclose(result.U, U - ALPHA * gradient_u, rtol=1e-12)
    np.testing.assert_allclose(result.V, V - ALPHA * gradient_v, rtol=1e-12)


@pytest.mark.parametrize("nu", [0, 0.5, 1])
def test_stochastic_epochs_are_the_formula(toy, nu):
    rng = np.random.default_rng(0)
    U, V = alsnb.init_matrix_factorization(*toy.R.shape, 3, rng=rng)
    U, V = U * toy.mask.any(axis=1)[:, None], V * toy.mask.any(axis=0)[:, None]
    n, m = toy.mask.sum(axis=1), toy.mask.sum(axis=0)
    places = np.argwhere(toy.mask)
    for _ in range(3):
        for i, j in places[rng.permutation(len(places))]:
            u, v, error = U[i].copy(), V[j].copy(), toy.values[i, j] - U[i] @ V[j]
            U[i] -= 0.05 * 2 * (LAMBDA * n[i] ** nu / n[i] * u - error * v)
            V[j] -= 0.05 * 2 * (LAMBDA * m[j] ** nu / m[j] * v - error * u)
    result = fit(toy.R, n_iterations=3, reg_exponent=nu, stochastic=True, learning_rate=0.05)
    np.testing.assert_allclose(result.U, U, rtol=0, atol=1e-10 * abs(U).max())
    np.testing.assert_allclose(result.V, V, rtol=0, atol=1e-10 * abs(V).max())


@pytest.mark.parametrize("stochastic", [False, True])
def test_reaches_the_least_objective(stochastic):
    # Every pair rated, ν = 0: see test_als for the closed form. Stochastic steps of a fixed
    # size keep circling it, so they only come near.
    R = np.random.default_rng(4).normal(size=(9, 6))
    s = np.linalg.svd(R, compute_uv=False)
    shrunk = np.maximum(s - LAMBDA, 0)
    least = np.sum((s - shrunk) ** 2) + 2 * LAMBDA * shrunk.sum()
    rate = 0.01 if stochastic else 0.05
    result = fit(sp.csr_array(R), 6, n_iterations=800, learning_rate=rate, stochastic=stochastic)
    assert result.objectives[-1] == pytest.approx(least, rel=1e-2 if stochastic else 1e-8)
    assert result.objectives[-1] >= least * (1 - 1e-12)


@pytest.mark.parametrize("nu", [0, 0.5, 1])
def test_full_batch_comes_to_rest_where_als_does(toy, nu):
    result = fit(toy.R, n_iterations=1000, learning_rate=0.03, reg_exponent=nu)
    began = np.hstack([g.ravel() for g in dense_gradient(toy, *start(toy.R), nu)])
    ended = np.hstack([g.ravel() for g in dense_gradient(toy, result.U, result.V, nu)])
    assert np.linalg.norm(ended) < 1e-5 * np.linalg.norm(began)
    als = alsnb.als_matrix_factorization(toy.R, 3, LAMBDA, 500, False, reg_exponent=nu, rng=0)
    assert result.objectives[-1] == pytest.approx(als.objectives[-1], rel=0.02)


@pytest.mark.parametrize("stochastic", [False, True])
def test_lowers_the_objective_and_keeps_the_books(toy, stochastic):
    R, R_test = alsnb.train_test_split(toy.R, 0.2, rng=0)
    states = []
    options = {"stochastic": stochastic, "callback": lambda *state: states.append(state)}
    result = fit(R, R_test=R_test, **options)
    began = alsnb.calculate_objective(R, *start(R), LAMBDA)
    assert (np.diff([began, *result.objectives]) < 0).all()
    assert len(states) == 5
    for (k, U, V), objective in zip(states, result.objectives, strict=True):
        assert objective == pytest.approx(alsnb.calculate_objective(R, U, V, LAMBDA), rel=1e-12)
        rmse = alsnb.calculate_rmse(R, U, V)
        assert result.train_errors[k - 1] == pytest.approx(rmse, rel=1e-12)
        assert result.test_errors[k - 1] == alsnb.calculate_rmse(R_test, U, V)
    assert result.settings == alsnb.ALS(3, LAMBDA)
    stopped = fit(R, stochastic=stochastic, callback=lambda k, U, V: k == 2)
    assert bits(stopped)[:2] == bits(fit(R, stochastic=stochastic, n_iterations=2))[:2]


@pytest.mark.parametrize("stochastic", [False, True])
def test_seed(toy, stochastic):
    first, again, other = (fit(toy.R, rng=seed, stochastic=stochastic) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.U, again.U)
    assert not np.allclose(first.U, other.U)
    generator = fit(toy.R, rng=np.random.default_rng(5), stochastic=stochastic)
    np.testing.assert_array_equal(first.V, generator.V)


@pytest.mark.parametrize("stochastic", [False, True])
def test_float32_stays_and_is_close(toy, stochastic):
    single = fit(toy.R, dtype=np.float32, stochastic=stochastic)
    double = fit(toy.R, stochastic=stochastic)
    assert (single.U.dtype, single.V.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(single.U, double.U, rtol=0, atol=1e-5)
    np.testing.assert_allclose(single.objectives, double.objectives, rtol=1e-5)


@pytest.mark.parametrize("stochastic", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("learning_rate", [0.7, 1e9, 1e300])
def test_divergence_is_one_clear_error(toy, stochastic, dtype, learning_rate):
    # Warnings are errors in this suite, so overflow on the way must stay silent, too.
    with pytest.raises(alsnb.DivergenceError, match=r"diverged in iteration .* learning_rate") as e:
        fit(toy.R, 3, stochastic=stochastic, dtype=dtype, learning_rate=learning_rate)
    assert isinstance(e.value, ValueError)
