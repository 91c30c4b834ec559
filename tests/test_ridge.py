"""The one equation, against least squares of the augmented system and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import alsnb


@given(
    seed=st.integers(0, 10**6),
    n_ratings=st.integers(1, 12),
    n_factors=st.integers(1, 6),
    penalty=st.floats(1e-2, 1e2),
)
def test_equals_lstsq_of_the_augmented_system(seed, n_ratings, n_factors, penalty):
    rng = np.random.default_rng(seed)
    Y, r = rng.normal(size=(n_ratings, n_factors)), rng.normal(size=n_ratings)
    rows = np.vstack([Y, np.sqrt(penalty) * np.eye(n_factors)])
    expected = np.linalg.lstsq(rows, np.concatenate([r, np.zeros(n_factors)]))[0]
    x = alsnb.solve_row(Y, r, penalty)
    assert np.linalg.norm(x - expected) <= 1e-8 * np.linalg.norm(expected)


def test_by_hand():
    # One factor: (1 + 4 + 5) x = 1·3 + 2·4.
    assert alsnb.solve_row(np.array([[1.0], [2.0]]), np.array([3.0, 4.0]), 5) == pytest.approx(1.1)
    # Two: YᵀY = 2I, so (2 + 2) x = Yᵀr = (6, 2).
    Y = np.array([[1.0, 1.0], [1.0, -1.0]])
    assert alsnb.solve_row(Y, np.array([4.0, 2.0]), 2.0) == pytest.approx([1.5, 0.5])


def test_float32_stays():
    Y, r = np.eye(3, dtype=np.float32), np.ones(3, dtype=np.float32)
    assert alsnb.solve_row(Y, r, 0.1 * 3**0.5).dtype == np.float32


@pytest.mark.parametrize("penalty", [0, -0.1, np.nan])
def test_penalty_must_be_positive(penalty):
    with pytest.raises(ValueError, match="penalty must be positive, got"):
        alsnb.solve_row(np.ones((2, 3)), np.ones(2), penalty)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match=r"a row for each rating, got shapes \(2, 3\) and \(3,\)"):
        alsnb.solve_row(np.ones((2, 3)), np.ones(3), 0.1)


def test_penalty_lost_in_rounding_is_named():
    with pytest.raises(ValueError, match="penalty 1e-300 is too small: YᵀY stays singular"):
        alsnb.solve_row(np.ones((2, 2)), np.ones(2), 1e-300)
