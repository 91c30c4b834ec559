"""Blocks: the plan, how it is dealt out, and the kernel against solving row by row."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import alsnb
from alsnb.blocks import (
    Half,
    allocate,
    count_flops,
    deal_blocks,
    pad_factors,
    plan_blocks,
    solve_blocks,
)
from alsnb.columns import ITEMS, USERS

LENGTHS = st.lists(st.integers(0, 60) | st.integers(0, 5000), max_size=80)
N_FACTORS = st.integers(1, 50)
SIZES = st.none() | st.integers(1, 20_000)


# The plan


@given(lengths=LENGTHS, n_factors=N_FACTORS, size=SIZES)
def test_plan_has_every_row_with_ratings_once(lengths, n_factors, size):
    blocks = plan_blocks(lengths, n_factors, size)
    rows = [row for block in blocks for rows, _ in block for row in rows]
    assert sorted(rows) == np.flatnonzero(lengths).tolist()
    assert all(len(rows) for block in blocks for rows, _ in block)
    assert all(blocks)


@given(lengths=LENGTHS, n_factors=N_FACTORS, size=SIZES)
def test_no_row_is_under_four_fifths_of_its_width(lengths, n_factors, size):
    lengths = np.array(lengths, int)
    for block in plan_blocks(lengths, n_factors, size):
        for rows, width in block:
            assert lengths[rows].max() == width
            assert 5 * lengths[rows].min() >= 4 * width


@given(lengths=LENGTHS, n_factors=N_FACTORS, size=SIZES)
def test_a_block_holds_rows_of_one_kind_longest_first(lengths, n_factors, size):
    lengths = np.array(lengths, int)
    blocks = plan_blocks(lengths, n_factors, size)
    for block in blocks:
        rows = np.concatenate([rows for rows, _ in block])
        assert len({*(lengths[rows] >= n_factors)}) == 1
    widths = [width for block in blocks for _, width in block]
    assert widths == sorted(widths, reverse=True)


@given(lengths=LENGTHS, n_factors=N_FACTORS, size=st.integers(1, 20_000))
def test_a_block_is_within_its_size_or_a_single_row(lengths, n_factors, size):
    for block in plan_blocks(lengths, n_factors, size):
        gathered = sum(len(rows) * width * n_factors for rows, width in block)
        assert gathered <= size or sum(len(rows) for rows, _ in block) == 1


def test_blocks_are_filled():
    blocks = plan_blocks(np.full(100, 10), 5, size=10 * 5 * 25)
    assert [sum(len(rows) for rows, _ in block) for block in blocks] == [25, 25, 25, 25]
    (block,) = plan_blocks([20, 10, 8], 5, size=10**4)  # pieces of two widths share a block
    assert [(rows.tolist(), width) for rows, width in block] == [([0], 20), ([1, 2], 10)]


def test_default_size_makes_sixteen_blocks_within_limits():
    for length, n_rows, expected in ((60, 2000, 5), (100, 6000, 16), (200, 10_000, 39)):
        blocks = plan_blocks(np.full(n_rows, length), 10)
        assert len(blocks) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("lengths", [[], [0], [0, 0, 0]])
def test_nothing_to_plan(lengths):
    assert plan_blocks(lengths, 3) == []


def written(blocks):
    return [[(rows.tolist(), width) for rows, width in block] for block in blocks]


@given(lengths=LENGTHS, n_factors=N_FACTORS, size=SIZES, seed=st.integers(0, 99))
def test_plan_depends_on_lengths_alone(lengths, n_factors, size, seed):
    expected = written(plan_blocks(lengths, n_factors, size))
    for dtype in (np.int32, np.int64):
        assert written(plan_blocks(np.array(lengths, dtype), n_factors, size)) == expected
    order = np.random.default_rng(seed).permutation(len(lengths))
    shuffled = np.array(lengths, int)[order]
    pieces = [piece for block in plan_blocks(shuffled, n_factors, size) for piece in block]
    planned = [piece for block in expected for piece in block]
    for (rows, width), (planned_rows, planned_width) in zip(pieces, planned, strict=True):
        assert width == planned_width
        assert shuffled[rows].tolist() == [lengths[row] for row in planned_rows]


# How it is dealt out


def test_flops_by_hand():
    blocks = [[([4, 2], 3), ([0], 2)], [([1, 3, 5], 1)]]
    # f = 2. Long rows, 4 n + 8/3: twice 12 + 8/3, and 8 + 8/3. Short ones, 2 n² + n³/3: 2 + 1/3.
    np.testing.assert_allclose(count_flops(blocks, 2), [2 * 12 + 8 + 8, 3 * (2 + 1 / 3)])
    assert count_flops([], 2).shape == (0,)


@given(costs=st.lists(st.integers(0, 1000), max_size=60), n_tasks=st.integers(1, 12))
def test_tasks_are_of_similar_cost(costs, n_tasks):
    tasks = deal_blocks(costs, n_tasks)
    assert sorted(number for task in tasks for number in task) == [*range(len(costs))]
    assert all(len(task) for task in tasks)
    assert len(tasks) <= n_tasks
    loads = [sum(costs[number] for number in task) for task in tasks]
    loads += [0] * (n_tasks - len(tasks))
    assert max(loads) - min(loads) <= max(costs, default=0)


def test_dealing_by_hand():
    # 5 | 4, then 3 to the 4, 3 to the 5, and the last 3 to the 7.
    for costs in ([5, 4, 3, 3, 3], np.array([5.0, 4.0, 3.0, 3.0, 3.0])):
        tasks = deal_blocks(costs, 2)
        assert [task.tolist() for task in tasks] == [[0, 3], [1, 2, 4]]
    assert [task.tolist() for task in deal_blocks([1, 2], 5)] == [[1], [0]]


# The kernel


def halve(R, n_factors, penalties, size=None):
    lengths = np.diff(R.indptr)
    return Half(R, penalties.astype(R.dtype), plan_blocks(lengths, n_factors, size), n_factors)


def solve(half, Y, **options):
    X, squares = allocate(half, ITEMS)
    solve_blocks(half, pad_factors(Y), range(len(half.blocks)), X, squares, **options)
    return X, squares


@pytest.fixture(params=["users", "items"])
def case(request, toy):
    """Rows of the toy or, transposed, its columns, and what solves them in several blocks."""
    R = toy.R if request.param == "users" else toy.R.T.tocsr()
    lengths = np.diff(R.indptr)

    def make(n_factors, R=R):
        Y = np.random.default_rng(n_factors).normal(size=(R.shape[1], n_factors)).astype(R.dtype)
        half = halve(R, n_factors, 0.3 * np.maximum(lengths, 1.0) ** 0.5, 12 * n_factors)
        return half, Y

    return SimpleNamespace(R=R, make=make)


@pytest.mark.parametrize("indices", [np.int32, np.int64])
@pytest.mark.parametrize("n_factors", [1, 3, 5, 10])
def test_kernel_equals_half_step(case, n_factors, indices):
    R = case.R.copy()
    R.indices, R.indptr = R.indices.astype(indices), R.indptr.astype(indices)
    half, Y = case.make(n_factors, R=R)
    assert R.indices.dtype == half.R.indices.dtype == indices
    assert len(half.blocks) > 1
    expected = alsnb.half_step(case.R, Y, 0.3, 0.5)
    X, squares = solve(half, Y)
    np.testing.assert_allclose(X, expected, rtol=0, atol=1e-12 * abs(expected).max())
    assert (X.any(axis=1) == (np.diff(R.indptr) > 0)).all()
    residuals = alsnb.calculate_residuals(case.R, expected, Y)
    for block, square in zip(half.blocks, squares, strict=True):
        own = [residuals[R.indptr[i] : R.indptr[i + 1]] for rows, _ in block for i in rows]
        assert square == pytest.approx(np.sum(np.concatenate(own) ** 2), rel=1e-10)


def test_kernel_keeps_float32(case):
    half, Y = case.make(3, R=case.R.astype(np.float32))
    X, squares = solve(half, Y)
    assert (X.dtype, squares.dtype) == (np.float32, np.float64)
    np.testing.assert_allclose(X, alsnb.half_step(case.R, Y.astype(float), 0.3, 0.5), atol=1e-5)


@pytest.mark.parametrize("n_factors", [3, 10])
def test_offsets_are_subtracted_from_the_ratings(case, n_factors):
    half, Y = case.make(n_factors)
    offsets = np.random.default_rng(7).normal(size=len(Y))
    less = case.R.copy()
    less.data -= offsets[less.indices]
    before = case.R.data.copy()
    X, squares = solve(half, Y, offsets=np.append(offsets, 0))
    expected = alsnb.half_step(less, Y, 0.3, 0.5)
    np.testing.assert_allclose(X, expected, rtol=0, atol=1e-12 * abs(expected).max())
    left = alsnb.calculate_residuals(less, expected, Y)
    assert squares.sum() == pytest.approx(left @ left, rel=1e-10)
    np.testing.assert_array_equal(case.R.data, before)


@pytest.mark.parametrize("n_factors", [3, 10])
@pytest.mark.parametrize("per_row", [True, False])
def test_gram_and_rhs_go_to_the_rows_they_belong_to(case, n_factors, per_row):
    half, Y = case.make(n_factors)
    gram = Y.T @ Y
    shape = (case.R.shape[0], n_factors) if per_row else n_factors
    rhs = np.random.default_rng(8).normal(size=shape)
    X, _ = solve(half, Y, gram=gram, rhs=rhs)
    R, counts = case.R.toarray(), np.diff(case.R.indptr)
    for i in np.flatnonzero(counts):
        rated = case.R.indices[case.R.indptr[i] : case.R.indptr[i + 1]]
        A = Y[rated].T @ Y[rated] + gram + 0.3 * counts[i] ** 0.5 * np.eye(n_factors)
        b = Y[rated].T @ R[i, rated] + (rhs[i] if per_row else rhs)
        np.testing.assert_allclose(X[i], np.linalg.inv(A) @ b, rtol=0, atol=1e-10 * abs(X[i]).max())


def test_only_the_blocks_asked_for_are_written(case):
    half, Y = case.make(3)
    expected, sums = solve(half, Y)
    X, squares = np.full_like(expected, np.nan), np.full_like(sums, np.nan)
    done = []
    solve_blocks(half, pad_factors(Y), [1], X, squares, progress=done.append)
    rows = np.concatenate([rows for rows, _ in half.blocks[1]])
    np.testing.assert_array_equal(X[rows], expected[rows])
    assert np.isnan(np.delete(X, rows, axis=0)).all()
    assert np.isfinite(squares).nonzero()[0].tolist() == [1]
    assert done == [1]


def test_progress_is_told_of_each_block(case):
    half, Y = case.make(3)
    done = []
    solve(half, Y, progress=done.append)
    assert done == [1] * len(half.blocks)


def test_allocation_and_padding():
    R = sp.csr_array(np.ones((4, 3), np.float32))
    half = halve(R, 2, np.ones(4), size=6)
    X, squares = allocate(half, USERS)
    assert (X.shape, X.dtype, squares) == ((4, 2), np.float32, None)
    assert allocate(half, ITEMS)[1].shape == (len(half.blocks),) == (4,)
    padded = pad_factors(X + 1)
    assert padded.dtype == np.float32
    assert padded.tolist() == [[1, 1]] * 4 + [[0, 0]]
