"""Errors and objective against dense arithmetic."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import alsnb
from alsnb import metrics


def random_problem(seed, n, m, f):
    """Mask, values (zeros among them), the sparse matrix of both, and factors."""
    rng = np.random.default_rng(seed)
    mask = rng.random((n, m)) < 0.5
    mask[rng.integers(n), rng.integers(m)] = True
    values = rng.integers(0, 6, (n, m)).astype(float)
    R = sp.coo_array((values[mask], np.nonzero(mask)), shape=mask.shape).tocsr()
    return mask, values, R, rng.normal(size=(n, f)), rng.normal(size=(m, f))


def dense_objective(mask, values, U, V, lambda_reg, nu):
    total = 0.0
    for i, j in zip(*np.nonzero(mask), strict=True):
        total += (values[i, j] - sum(U[i] * V[j])) ** 2
    for X, counts in ((U, mask.sum(axis=1)), (V, mask.sum(axis=0))):
        for x, n in zip(X, counts, strict=True):
            total += lambda_reg * max(n, 1) ** nu * sum(x**2)
    return total


sizes = st.integers(1, 7)
problems = st.builds(random_problem, st.integers(0, 10**6), sizes, sizes, st.integers(1, 4))


@given(problems, st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 10))
def test_metrics_equal_dense_ones(problem, nu, lambda_reg):
    mask, values, R, U, V = problem
    errors = (values - U @ V.T)[mask]
    np.testing.assert_allclose(alsnb.calculate_residuals(R, U, V), errors, rtol=1e-9, atol=1e-9)
    assert alsnb.calculate_rmse(R, U, V) == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-9)
    assert alsnb.calculate_mae(R, U, V) == pytest.approx(abs(errors).mean(), rel=1e-9)
    objective = alsnb.calculate_objective(R, U, V, lambda_reg, nu)
    expected = dense_objective(mask, values, U, V, lambda_reg, nu)
    assert objective == pytest.approx(expected, rel=1e-9)


def test_metrics_by_hand():
    # Predictions are 1, 2 / 2, 4; rated are the first row (a 0 and a 5) and the last corner (4).
    R = sp.csr_array(([0.0, 5.0, 4.0], ([0, 0, 1], [0, 1, 1])), shape=(2, 2))
    U, V = np.array([[1.0], [2.0]]), np.array([[1.0], [2.0]])
    assert R.nnz == 3
    assert alsnb.calculate_residuals(R, U, V).tolist() == [-1, 3, 0]  # the stored zero counts
    assert alsnb.calculate_mae(R, U, V) == pytest.approx(4 / 3)
    assert alsnb.calculate_rmse(R, U, V) == pytest.approx((10 / 3) ** 0.5)
    assert alsnb.calculate_objective(R, U, V, 0) == pytest.approx(10)
    assert alsnb.calculate_objective(R, U, V, 0.1) == pytest.approx(10 + 0.1 * (5 + 5))
    # Two ratings by the first user, one by the second; one of the first item, two of the second.
    weighted = 2 * 1 + 1 * 4 + 1 * 1 + 2 * 4
    assert alsnb.calculate_objective(R, U, V, 0.1, 1) == pytest.approx(10 + 0.1 * weighted)


@pytest.mark.parametrize("chunk", [1, 7, 50])
def test_gathering_in_chunks_changes_nothing(monkeypatch, chunk):
    _, _, R, U, V = random_problem(1, 9, 11, 3)
    whole = alsnb.calculate_residuals(R, U, V)
    monkeypatch.setattr(metrics, "_CHUNK", chunk)
    np.testing.assert_array_equal(alsnb.calculate_residuals(R, U, V), whole)


def test_memory_does_not_grow_with_factors_or_shape(monkeypatch):
    # Dense, R would take 72 MB; the factors of all ratings, gathered at once, 2 × 26 MB.
    R, U, V = alsnb.make_low_rank_ratings(3000, 3000, 64, density=50_000 / 3000**2, rng=0)
    monkeypatch.setattr(metrics, "_CHUNK", 2**14)
    tracemalloc.start()
    alsnb.calculate_residuals(R, U, V)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e6


def test_residuals_are_in_row_order_whatever_the_format():
    mask, values, R, U, V = random_problem(2, 6, 5, 2)
    expected = (values - U @ V.T)[mask]
    for other in (R.tocsc(), R.tocoo(), sp.csr_matrix(R), R[:, ::-1][:, ::-1]):
        np.testing.assert_allclose(alsnb.calculate_residuals(other, U, V), expected, rtol=1e-12)


def test_float32_stays_and_is_close():
    _, _, R, U, V = random_problem(4, 30, 20, 5)
    single = R.astype(np.float32), U.astype(np.float32), V.astype(np.float32)
    assert alsnb.calculate_residuals(*single).dtype == np.float32
    for metric in (alsnb.calculate_rmse, alsnb.calculate_mae):
        assert metric(*single) == pytest.approx(metric(R, U, V), rel=1e-5)


@given(problems, st.floats(-3, 2), st.floats(0.01, 5))
def test_clipped_metrics_equal_dense_ones(problem, low, width):
    mask, values, R, U, V = problem
    clip = (low, low + width)
    errors = (values - np.minimum(np.maximum(U @ V.T, clip[0]), clip[1]))[mask]
    residuals = alsnb.calculate_residuals(R, U, V, clip=clip)
    np.testing.assert_allclose(residuals, errors, rtol=1e-9, atol=1e-9)
    rmse = alsnb.calculate_rmse(R, U, V, clip=clip)
    assert rmse == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-9, abs=1e-12)
    mae = alsnb.calculate_mae(R, U, V, clip=clip)
    assert mae == pytest.approx(abs(errors).mean(), rel=1e-9, abs=1e-12)


def test_clip_by_hand():
    # Predictions are 0, 4, 9: too low, as it should be, too high.
    R, U, V = sp.csr_array([[1.0, 3.0, 5.0]]), np.ones((1, 1)), np.array([[0.0], [4.0], [9.0]])
    assert alsnb.calculate_residuals(R, U, V, clip=None).tolist() == [1, -1, -4]
    assert alsnb.calculate_residuals(R, U, V, clip=(1, 5)).tolist() == [0, -1, 0]
    assert alsnb.calculate_residuals(R, U, V, clip=[-np.inf, 5]).tolist() == [1, -1, 0]
    single = (X.astype(np.float32) for X in (R, U, V))
    assert alsnb.calculate_residuals(*single, clip=(1, 5)).dtype == np.float32


@pytest.mark.parametrize(
    "clip", [(5, 1), (3, 3), 3, (1,), (1, 2, 3), "15", ("1", "5"), (np.nan, 5), (None, 5), {}]
)
@pytest.mark.parametrize("metric", [alsnb.calculate_rmse, alsnb.calculate_mae])
def test_scales_that_are_none(metric, clip):
    _, _, R, U, V = random_problem(3, 6, 4, 2)
    with pytest.raises(ValueError, match="clip must be the lowest and the highest rating"):
        metric(R, U, V, clip=clip)


METRICS = [alsnb.calculate_residuals, alsnb.calculate_rmse, alsnb.calculate_mae]
METRICS.append(lambda R, U, V: alsnb.calculate_objective(R, U, V, 0.1))


@pytest.mark.parametrize("metric", METRICS)
def test_factors_that_do_not_fit(metric):
    _, _, R, U, V = random_problem(3, 6, 4, 2)
    with pytest.raises(ValueError, match=r"4 × 6 but U has 6 rows and V has 4; did you transpose"):
        metric(R.T, U, V)
    with pytest.raises(ValueError, match="U has 5 rows and V has 4; were they fitted to another R"):
        metric(R, U[:5], V)
    with pytest.raises(ValueError, match=r"as many columns, got shapes \(6, 2\) and \(4, 1\)"):
        metric(R, U, V[:, :1])
    with pytest.raises(TypeError, match="R must be a two-dimensional SciPy sparse matrix"):
        metric(R.toarray(), U, V)
    for dtype in (str, complex, object):
        with pytest.raises(TypeError, match="U and V must hold real numbers, got dtypes"):
            metric(R, U.astype(dtype), V)


@pytest.mark.parametrize("metric", METRICS)
def test_ratings_themselves_are_taken(metric):
    table = pd.DataFrame({"user_id": [3, 1, 3], "item_id": [7, 7, 9], "rating": [4.0, 0, 1]})
    ratings, (U, V) = (
        alsnb.Ratings.from_table(table),
        np.random.default_rng(0).normal(size=(2, 2, 2)),
    )
    np.testing.assert_array_equal(metric(ratings, U, V), metric(ratings.R, U, V))


@pytest.mark.parametrize(
    ("settings", "message"),
    [((-1,), "lambda_reg must be finite and not negative"), ((1, -1), "reg_exponent must be fin")],
)
def test_penalties_that_cannot_be(settings, message):
    _, _, R, U, V = random_problem(3, 6, 4, 2)
    with pytest.raises(ValueError, match=message):
        alsnb.calculate_objective(R, U, V, *settings)
