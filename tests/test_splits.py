"""A split must lose nothing, share nothing and keep the shape."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given
from hypothesis import strategies as st

import alsnb


def entries(R):
    R = R.tocoo()
    return list(zip(R.row.tolist(), R.col.tolist(), R.data.tolist(), strict=True))


@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(2, 9), st.integers(2, 9)),
    fraction=st.floats(0.1, 0.9),
)
def test_parts_are_disjoint_complete_and_of_one_shape(seed, shape, fraction):
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < 0.5
    mask[:2, :2], mask[1, :] = [[True, True], [True, True]], True
    stars = rng.integers(0, 6, mask.sum()).astype(float)  # zeros among them
    R = sp.coo_array((stars, np.nonzero(mask)), shape=shape).tocsr()
    n_test = round(fraction * R.nnz)
    assume(0 < n_test < R.nnz)
    train, test = alsnb.hold_out(R, fraction, rng=seed)
    assert train.shape == test.shape == R.shape
    assert (train.nnz, test.nnz) == (R.nnz - n_test, n_test)
    assert sorted(entries(train) + entries(test)) == sorted(entries(R))  # each exactly once
    assert all(part.has_canonical_format and part.format == "csr" for part in (train, test))


def test_seed_share_and_chance():
    R, _, _ = alsnb.make_low_rank_ratings(200, 100, rng=0)
    parts = [alsnb.hold_out(R, rng=rng)[1] for rng in (1, np.random.default_rng(1), 2)]
    assert parts[0].nnz == 0.2 * R.nnz
    assert entries(parts[0]) == entries(parts[1]) != entries(parts[2])
    # 60 ratings fall on each tenth of the users by chance 120 times, give or take 10.
    for part in parts:
        tenths = np.add.reduceat(np.diff(part.indptr), range(0, 200, 20))
        np.testing.assert_allclose(tenths, part.nnz / 10, atol=0.5 * part.nnz / 10)


def test_any_format_is_split_alike_and_left_alone():
    R, _, _ = alsnb.make_low_rank_ratings(20, 10, rng=0)
    before = entries(R)
    for other in (sp.csr_matrix(R), R.tocsc(), R.tocoo()):
        halves = zip(alsnb.hold_out(R, 0.5, rng=3), alsnb.hold_out(other, 0.5, rng=3), strict=True)
        assert all(entries(a) == entries(b) for a, b in halves)
    assert entries(R) == before


@pytest.mark.parametrize(
    ("fraction", "error", "message"),
    [
        (0, ValueError, "must leave ratings on both sides, got 0 of 10"),
        (0.04, ValueError, "must leave ratings on both sides, got 0.04 of 10"),
        (0.96, ValueError, "must leave ratings on both sides"),
        (1, ValueError, "must leave ratings on both sides"),
        (20, ValueError, "must leave ratings on both sides"),
        (-0.2, ValueError, "test_fraction must be finite and not negative"),
        (float("nan"), ValueError, "test_fraction must be finite and not negative"),
        ("0.2", TypeError, "test_fraction must be a number, got '0.2'"),
        (None, TypeError, "test_fraction must be a number"),
    ],
)
def test_fractions_that_leave_a_side_empty(fraction, error, message):
    R = sp.csr_array(np.arange(1.0, 11).reshape(5, 2))
    with pytest.raises(error, match=message):
        alsnb.hold_out(R, fraction)


def test_dense_ratings_are_refused():
    with pytest.raises(TypeError, match="R must be a two-dimensional SciPy sparse matrix"):
        alsnb.hold_out(np.ones((3, 3)))
