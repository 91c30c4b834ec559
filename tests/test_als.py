"""ALS against a literal transcription of the textbook, closed forms and its own invariants."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp

import alsnb

QUIET = {"verbose": False}


def fit(R, n_factors=3, lambda_reg=0.1, n_iterations=5, **options):
    options = QUIET | {"rng": 0} | options
    return alsnb.als_matrix_factorization(R, n_factors, lambda_reg, n_iterations, **options)


def textbook(toy, U, V, lambda_reg, nu, n_iterations):
    """Transcribe Zhou et al. (2008), section 3.1: a slice of R at a time, and an inverse."""
    R, mask = toy.R.toarray(), toy.mask
    U, V, identity = U.copy(), V.copy(), np.eye(U.shape[1])
    for _ in range(n_iterations):
        for i in range(R.shape[0]):
            I_i = np.flatnonzero(mask[i, :])
            A = V[I_i].T @ V[I_i] + lambda_reg * max(1, len(I_i)) ** nu * identity
            U[i] = np.linalg.inv(A) @ (V[I_i].T @ R[i, I_i])
        for j in range(R.shape[1]):
            I_j = np.flatnonzero(mask[:, j])
            A = U[I_j].T @ U[I_j] + lambda_reg * max(1, len(I_j)) ** nu * identity
            V[j] = np.linalg.inv(A) @ (U[I_j].T @ R[I_j, j])
    return U, V


@pytest.mark.parametrize("nu", [0, 0.5, 1])
@pytest.mark.parametrize("n_factors", [1, 3, 10])  # 10: more than anyone's ratings
def test_equals_the_textbook(toy, nu, n_factors):
    start = alsnb.init_matrix_factorization(*toy.R.shape, n_factors, rng=0)
    expected = textbook(toy, *start, 0.3, nu, 4)
    U, V, _ = fit(toy.R, n_factors, 0.3, 4, reg_exponent=nu)
    for X, Y in zip((U, V), expected, strict=True):
        np.testing.assert_allclose(X, Y, rtol=0, atol=1e-10 * abs(Y).max())


@pytest.mark.parametrize("nu", [0, 0.5, 1])
def test_objective_falls_at_every_half_step(toy, nu):
    _, V = alsnb.init_matrix_factorization(*toy.R.shape, 4, rng=0)
    states = []

    def watched(R, Y, lambda_reg, reg_exponent):
        X = alsnb.half_step(R, Y, lambda_reg, reg_exponent)
        states.append((X, Y) if len(states) % 2 == 0 else (Y, X))
        return X

    result = fit(toy.R, 4, 0.2, 15, reg_exponent=nu, half_step=watched)
    assert len(states) == 30
    np.testing.assert_array_equal(states[0][1], np.where(toy.mask.any(axis=0)[:, None], V, 0))
    objectives = np.array([alsnb.calculate_objective(toy.R, *s, 0.2, nu) for s in states])
    assert (np.diff(objectives) <= 1e-12 * objectives[0]).all()
    assert objectives[-1] < 0.9 * objectives[0]
    np.testing.assert_allclose(result.objectives, objectives[1::2], rtol=1e-12)


@pytest.mark.parametrize("lambda_reg", [0.1, 1, 4])
def test_full_matrix_reaches_the_closed_form(lambda_reg):
    # With every pair rated and ν = 0 the least objective is known: the singular values of R,
    # less λ but not below zero, are those of U Vᵀ (Srebro, Rennie and Jaakkola 2004).
    R = np.random.default_rng(4).normal(size=(9, 6)) * 3
    s = np.linalg.svd(R, compute_uv=False)
    shrunk = np.maximum(s - lambda_reg, 0)
    result = fit(sp.csr_array(R), 6, lambda_reg, 1000)
    objective = np.sum((s - shrunk) ** 2) + 2 * lambda_reg * shrunk.sum()
    assert result.objectives[-1] == pytest.approx(objective, rel=1e-10)
    reached = np.linalg.svd(result.U @ result.V.T, compute_uv=False)
    np.testing.assert_allclose(reached, shrunk, atol=1e-8 * s[0])


def test_recovers_low_rank_ratings_where_nothing_was_rated():
    R, U, V = alsnb.make_low_rank_ratings(60, 50, 2, density=0.4, rng=7)
    result = fit(R, 2, 1e-5, 100)
    truth = U @ V.T
    assert np.linalg.norm(result.U @ result.V.T - truth) < 1e-3 * np.linalg.norm(truth)
    assert result.train_errors[-1] < 1e-3


def test_permuted_users_give_permuted_factors(toy):
    order = np.random.default_rng(1).permutation(toy.R.shape[0])
    plain, permuted = fit(toy.R), fit(toy.R[order])
    np.testing.assert_allclose(permuted.U, plain.U[order], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(permuted.V, plain.V, rtol=1e-8, atol=1e-10)


def test_rows_without_ratings_are_zero_and_no_others(toy):
    U, V, _ = fit(toy.R)
    assert (U.any(axis=1) == toy.mask.any(axis=1)).all()
    assert (V.any(axis=1) == toy.mask.any(axis=0)).all()


def test_half_step_of_one_side(toy):
    Y = np.random.default_rng(2).normal(size=(toy.R.shape[1], 2))
    X = alsnb.half_step(toy.R, Y, 0.3, 0.5)
    for i, rated in enumerate(toy.mask):
        if rated.any():
            expected = alsnb.solve_row(Y[rated], toy.values[i, rated], 0.3 * rated.sum() ** 0.5)
            np.testing.assert_allclose(X[i], expected, rtol=1e-10)
    assert not X[3].any()


# What comes back


def test_unpacks_and_carries_its_settings(toy):
    result = fit(toy.R, 3, 0.25, 4, reg_exponent=0.5)
    U, V, train_errors = result
    assert U is result.U
    assert V is result.V
    assert train_errors is result.train_errors
    assert (U.shape, V.shape, train_errors.shape) == ((8, 3), (7, 3), (4,))
    assert (result.lambda_reg, result.reg_exponent, result.test_errors) == (0.25, 0.5, None)
    assert train_errors[-1] == alsnb.calculate_rmse(toy.R, U, V)
    objective = alsnb.calculate_objective(toy.R, U, V, 0.25, 0.5)
    assert result.objectives[-1] == pytest.approx(objective, rel=1e-12)
    assert repr(result) == (
        "Factorization: U 8 × 3, V 7 × 3, λ = 0.25, ν = 0.5, 4 iterations, "
        f"train RMSE {train_errors[-1]:.4f}"
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.U = V


def test_seed(toy):
    first, again, other = fit(toy.R, rng=5), fit(toy.R, rng=np.random.default_rng(5)), fit(toy.R)
    np.testing.assert_array_equal(first.U, again.U)
    np.testing.assert_array_equal(first.V, again.V)
    assert not np.allclose(first.V, other.V)


def test_global_seed_is_neither_used_nor_moved(toy):
    np.random.seed(1)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = fit(toy.R, rng=None), fit(toy.R, rng=None)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert not np.allclose(first.V, second.V)


def test_float32_stays_and_is_close(toy):
    kinds = set()

    def watched(R, Y, lambda_reg, reg_exponent):
        X = alsnb.half_step(R, Y, lambda_reg, reg_exponent)
        kinds.update((R.dtype, Y.dtype, X.dtype))
        return X

    single = fit(toy.R, dtype=np.float32, reg_exponent=0.5, half_step=watched)
    double = fit(toy.R, reg_exponent=0.5)
    assert kinds == {np.dtype(np.float32)}
    assert (single.U.dtype, single.V.dtype) == (np.float32, np.float32)
    assert double.U.dtype == np.float64
    np.testing.assert_allclose(single.U @ single.V.T, double.U @ double.V.T, atol=1e-4)
    np.testing.assert_allclose(single.train_errors, double.train_errors, rtol=1e-4)


def test_initial_factors():
    U, V = alsnb.init_matrix_factorization(300, 200, 10, rng=3)
    assert (U.shape, V.shape) == ((300, 10), (200, 10))
    for X in (U, V):
        assert X.std() == pytest.approx(0.1, rel=0.05)
        assert abs(X.mean()) < 0.01
    single = alsnb.init_matrix_factorization(300, 200, 10, rng=3, dtype=np.float32)
    np.testing.assert_array_equal(single[1], V.astype(np.float32))
    wide, _ = alsnb.init_matrix_factorization(300, 200, 10, rng=3, scale=1)
    np.testing.assert_allclose(wide, 10 * U, rtol=1e-12)
    with pytest.raises(ValueError, match="n_items must be at least 1, got 0"):
        alsnb.init_matrix_factorization(3, 0, 1)


# Options


FORMATS = [sp.csr_matrix, sp.csr_array, sp.coo_matrix, sp.coo_array, sp.csc_array, sp.lil_array]
DTYPES = [lambda R: R.astype(int), lambda R: R.astype(np.float32)]


@pytest.mark.parametrize("convert", FORMATS + DTYPES)
def test_any_format_and_dtype_give_the_same(toy, convert):
    R = toy.R.copy()
    R.data += 1  # no stored zeros: a list of lists cannot hold any
    expected, result = fit(R), fit(convert(R))
    np.testing.assert_array_equal(result.U, expected.U)
    np.testing.assert_array_equal(result.V, expected.V)


def test_input_is_not_changed(toy):
    R = toy.R.copy()
    for start, stop in zip(R.indptr, R.indptr[1:], strict=False):  # indices in falling order
        R.indices[start:stop] = R.indices[start:stop][::-1].copy()
        R.data[start:stop] = R.data[start:stop][::-1].copy()
    R.has_sorted_indices = R.has_canonical_format = False
    before = [array.copy() for array in (R.data, R.indices, R.indptr)]
    result = fit(R, R_test=R)
    for array, copy in zip((R.data, R.indices, R.indptr), before, strict=True):
        np.testing.assert_array_equal(array, copy)
    np.testing.assert_array_equal(result.U, fit(toy.R).U)


def test_held_out_rmse_is_tracked_and_changes_nothing(toy):
    R_train, R_test = alsnb.hold_out(toy.R, 0.3, rng=0)
    states = []
    result = fit(R_train, R_test=R_test, callback=lambda *state: states.append(state))
    assert [k for k, _, _ in states] == [1, 2, 3, 4, 5]
    for k, U, V in states:
        assert result.train_errors[k - 1] == alsnb.calculate_rmse(R_train, U, V)
        assert result.test_errors[k - 1] == alsnb.calculate_rmse(R_test, U, V)
    np.testing.assert_array_equal(states[-1][1], result.U)
    np.testing.assert_array_equal(fit(R_train).V, result.V)


def test_tol_stops_early_on_the_same_path(toy):
    long, short = fit(toy.R, n_iterations=200), fit(toy.R, n_iterations=200, tol=1e-3)
    done = len(short.objectives)
    assert 2 < done < 200 == len(long.objectives)
    np.testing.assert_array_equal(short.objectives, long.objectives[:done])
    np.testing.assert_array_equal(short.U, fit(toy.R, n_iterations=done).U)
    assert len(fit(toy.R, tol=10).objectives) == 2  # the least that can be compared
    changes = -np.diff(long.objectives) / long.objectives[:-1]
    assert done == np.flatnonzero(changes < 1e-3)[0] + 2


@pytest.mark.parametrize("held_out", [True, False])
def test_verbose_prints_a_line_an_iteration(toy, capsys, held_out):
    R_test = toy.R if held_out else None
    result = fit(toy.R, verbose=True, R_test=R_test)
    out, err = capsys.readouterr()
    expected = []
    for k, error in enumerate(result.train_errors, 1):
        end = f"   test RMSE {error:.4f}" if held_out else ""
        expected.append(f"iteration   {k}   train RMSE {error:.4f}{end}")
    assert out.splitlines() == expected
    assert err == ""
    fit(toy.R, R_test=R_test)
    assert capsys.readouterr() == ("", "")


def test_half_step_can_be_replaced(toy):
    calls = []

    def ones(R, Y, lambda_reg, reg_exponent):
        calls.append((R.shape, R.format, Y.shape, lambda_reg, reg_exponent))
        return np.ones((R.shape[0], Y.shape[1]))

    U, V, _ = fit(toy.R, 2, 0.5, 2, reg_exponent=1, half_step=ones)
    assert calls == 2 * [((8, 7), "csr", (7, 2), 0.5, 1.0), ((7, 8), "csr", (8, 2), 0.5, 1.0)]
    assert (U == 1).all()
    assert (V == 1).all()


def test_movielens_100k(movielens):
    result = fit(movielens.R, 100, 0.1, 2)
    np.testing.assert_allclose(result.train_errors, [0.5917, 0.2615], atol=5e-4)
