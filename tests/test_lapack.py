"""Stacks of systems, with and without Numba."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from alsnb import als_matrix_factorization_parallel, lapack
from alsnb.lapack import scratch, solve_by_lu, solve_in_place, solve_positive


@pytest.fixture(params=["compiled", "NumPy's"])
def loop(request, monkeypatch):
    """The loop over the stack: of both kinds."""
    if request.param == "compiled":
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(lapack, "_compiled", lambda dtype: None)


def make_systems(n_systems, size, dtype, seed=0):
    rng = np.random.default_rng(seed)
    Y = rng.normal(size=(n_systems, size + 3, size)).astype(dtype)
    A = Y.transpose(0, 2, 1) @ Y + np.eye(size, dtype=dtype)
    return A, rng.normal(size=(n_systems, size)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 2, 7, 20, 33, 100])
def test_systems_are_solved(loop, size, dtype):
    A, b = make_systems(9, size, dtype)
    expected = np.array(
        [np.linalg.solve(M.astype(float), r.astype(float)) for M, r in zip(A, b, strict=True)]
    )
    x = solve_in_place(A.copy(), b.copy())
    assert x.dtype == dtype
    np.testing.assert_allclose(x, expected, rtol=0, atol=2e-4 if dtype == np.float32 else 1e-11)


def test_empty_stack(loop):
    assert solve_in_place(np.empty((0, 3, 3)), np.empty((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("which", [0, 4])
def test_singular_matrix_is_an_error(loop, which):
    A, b = make_systems(5, 4, np.float64)
    A[which] = 0
    with pytest.raises(np.linalg.LinAlgError):
        solve_in_place(A, b)


def test_only_cholesky_asks_for_positive_definite_matrices():
    A, b = make_systems(2, 3, np.float64)
    A[1] *= -1
    expected = solve_by_lu(A, b)
    np.testing.assert_allclose((A @ expected[:, :, None])[:, :, 0], b, atol=1e-12)
    pytest.importorskip("numba")
    with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
        solve_in_place(A, b)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 2, 7, 40])
def test_one_system_is_solved_and_stays(size, dtype, order):
    systems, b = make_systems(1, size, dtype)
    A, b = np.array(systems[0], order=order), b[0]
    before = A.tobytes(), b.tobytes()
    x = solve_positive(A, b)
    expected = np.linalg.inv(A.astype(float)) @ b
    assert (x.dtype, x.shape) == (dtype, (size,))
    atol = (2e-4 if dtype == np.float32 else 1e-11) * abs(expected).max()
    np.testing.assert_allclose(x, expected, rtol=0, atol=atol)
    assert (A.tobytes(), b.tobytes()) == before


@pytest.mark.parametrize("kinds", [(np.float32, float), (float, np.float32), (int, int)])
def test_one_system_of_mixed_dtypes_is_solved_in_double_precision(kinds):
    A, b = np.array([[4, 1], [1, 3]], kinds[0]), np.array([1, 2], kinds[1])
    x = solve_positive(A, b)
    assert x.dtype == np.float64
    np.testing.assert_allclose(x, [1 / 11, 7 / 11], rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_system_that_is_not_positive_is_solved_all_the_same(dtype):
    A, b = np.array([[0, 2], [2, 1]], dtype), np.array([2, 3], dtype)
    np.testing.assert_allclose(solve_positive(A, b), [1, 1], rtol=1e-6)
    np.testing.assert_allclose(solve_positive(-np.eye(2, dtype=dtype), b), [-2, -3], rtol=1e-6)
    with pytest.raises(np.linalg.LinAlgError):
        solve_positive(np.ones((2, 2), dtype), b)


def test_compiled_once_however_many_threads_ask():
    pytest.importorskip("numba")
    lapack._compiled.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        solved = list(pool.map(lambda _: solve_in_place(*make_systems(3, 5, np.float64)), range(8)))
    assert all(np.array_equal(x, solved[0]) for x in solved)
    assert lapack._compiled.cache_info().misses == 1


def test_fit_is_the_same_with_and_without_numba(toy, monkeypatch):
    pytest.importorskip("numba")
    options = {"n_factors": 6, "n_iterations": 3, "verbose": False, "rng": 0}
    with_numba = als_matrix_factorization_parallel(toy.R, **options)
    monkeypatch.setattr(lapack, "_compiled", lambda dtype: None)
    without = als_matrix_factorization_parallel(toy.R, **options)
    np.testing.assert_allclose(without.U, with_numba.U, rtol=0, atol=1e-10)
    np.testing.assert_allclose(without.V, with_numba.V, rtol=0, atol=1e-10)


def test_scratch_memory_is_each_threads_own_and_reused():
    first = scratch("test", (4, 5), np.float64)
    assert scratch("test", (10,), np.float64).base is first.base
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(scratch, "test", (4, 5), np.float64).result()
    assert not np.shares_memory(first, other)
    assert scratch("test", (4,), np.float32).dtype == np.float32


def test_scratch_memory_that_is_huge_is_not_kept():
    size = 2**20 + 1
    huge = scratch("test_huge", (size,), np.float32)
    assert not np.shares_memory(huge, scratch("test_huge", (size,), np.float32))
