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
        alsnb.solve_row(np.ones((4, 2)), np.ones(4), 1e-300)


# Many rows at once

# The factors, and the widths of the pieces: long rows, and short ones; small systems, and large.
KINDS = pytest.mark.parametrize(
    ("n_factors", "widths"), [(4, (5, 8)), (4, (3, 2, 1)), (40, (40, 50, 80)), (40, (39, 35, 7))]
)
DTYPES = pytest.mark.parametrize(("dtype", "rounding"), [(np.float64, 1e-10), (np.float32, 1e-3)])


def block(n_factors, widths, dtype=float, seed=0):
    """Pieces of 3 rows each, one padded to the width of its piece, and different penalties."""
    rng = np.random.default_rng(seed)
    pieces = []
    for width in widths:
        Y, r = rng.normal(size=(3, width, n_factors)), rng.normal(size=(3, width))
        if width > 1:
            Y[1, -1], r[1, -1] = 0, 0
        pieces.append((Y.astype(dtype), r.astype(dtype)))
    return pieces, rng.uniform(0.1, 3, 3 * len(widths)).astype(dtype)


def rows_of_block(pieces):
    """The rows of a block without their padding, as float64: (Y, r) of each."""
    for piece in pieces:
        for Y, r in zip(*piece, strict=True):
            rated = Y.any(axis=1)
            yield Y[rated].astype(float), r[rated].astype(float)


@KINDS
@DTYPES
def test_block_equals_its_rows(n_factors, widths, dtype, rounding):
    for seed in range(10):
        pieces, penalties = block(n_factors, widths, dtype, seed)
        X = alsnb.solve_block(pieces, penalties)
        assert (X.shape, X.dtype) == ((len(penalties), n_factors), dtype)
        for x, (Y, r), penalty in zip(X, rows_of_block(pieces), penalties, strict=True):
            expected = alsnb.solve_row(Y, r, penalty)
            assert np.linalg.norm(x - expected) <= rounding * np.linalg.norm(expected)


@KINDS
@DTYPES
@pytest.mark.parametrize("per_row", [True, False])
@pytest.mark.parametrize("n_shared", [0, 9])
def test_gram_and_rhs_are_added_to_every_row(n_factors, widths, dtype, rounding, per_row, n_shared):
    pieces, penalties = block(n_factors, widths, dtype)
    rng = np.random.default_rng(1)
    B = rng.normal(size=(n_shared, n_factors))  # gram = BᵀB: ratings of 0 that all rows share
    rhs = rng.normal(size=(len(penalties), n_factors) if per_row else n_factors)
    X = alsnb.solve_block(pieces, penalties, gram=B.T @ B if n_shared else None, rhs=rhs)
    assert X.dtype == dtype
    for i, (Y, r) in enumerate(rows_of_block(pieces)):
        # ‖Y x − r‖² + ‖B x‖² + p‖x − s‖², where p s is what is added to Yᵀr
        root, added = np.sqrt(penalties[i]), rhs[i] if per_row else rhs
        rows = np.vstack([Y, B, root * np.eye(n_factors)])
        expected = np.linalg.lstsq(rows, np.concatenate([r, np.zeros(n_shared), added / root]))[0]
        assert np.linalg.norm(X[i] - expected) <= rounding * np.linalg.norm(expected)


@KINDS
def test_gram_alone_is_added_too(n_factors, widths):
    pieces, penalties = block(n_factors, widths)
    more = alsnb.solve_block(pieces, penalties, gram=np.eye(n_factors))
    expected = alsnb.solve_block(pieces, penalties + 1)
    np.testing.assert_allclose(more, expected, rtol=0, atol=1e-10 * abs(expected).max())


@KINDS
def test_block_leaves_what_it_is_given(n_factors, widths):
    pieces, penalties = block(n_factors, widths)
    gram, rhs = np.eye(n_factors), np.ones(n_factors)
    given = [penalties, gram, rhs, *(array for piece in pieces for array in piece)]
    before = [array.copy() for array in given]
    alsnb.solve_block(pieces, penalties, gram=gram, rhs=rhs)
    alsnb.solve_block(pieces, penalties)
    for array, copy in zip(given, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@KINDS
def test_block_with_one_singular_row_is_refused(n_factors, widths):
    pieces, penalties = block(n_factors, widths, np.float32)
    pieces[0][0][2] = 4096  # all the same: YᵀY and YYᵀ have rank one, and round a small penalty off
    penalties[2] = 1e-5
    with pytest.raises(ValueError, match=r"penalty 1e-05 is too small: .* stays singular"):
        alsnb.solve_block(pieces, penalties)
    penalties[2] = 4096**2
    assert np.isfinite(alsnb.solve_block(pieces, penalties)).all()
