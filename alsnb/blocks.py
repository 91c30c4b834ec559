"""Half-steps in blocks of rows: how they are planned, and the kernel that every executor runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from .columns import ITEMS
from .lapack import scratch
from .ridge import solve_block

BLOCK_SIZE = 2**19  # numbers gathered for a block: 2 or 4 MB, which a core's caches bear
PADDING = 0.8  # a row is at least this share of the width that it is padded to


@dataclass(frozen=True, eq=False)
class Half:
    """What a half-step needs, apart from the fixed factors.

    Attributes
    ----------
    R : csr_array, shape (n_rows, n_columns)
        The ratings, or their transpose.
    penalties : ndarray, shape (n_rows,)
        λ n^ν of each row.
    blocks : list of list of (rows, width)
        The plan: see `plan_blocks`.
    n_factors : int
        Free columns: those that are solved for.
    given : tuple of str
        Which of offsets, gram and rhs each half-step is given besides.
    """

    R: object
    penalties: np.ndarray
    blocks: list[list[tuple[np.ndarray, int]]]
    n_factors: int
    given: tuple[str, ...] = ()


def plan_blocks(lengths, n_factors: int, size: int | None = None):
    """Sort rows by length and cut them into blocks of pieces, to be padded to the piece's width.

    The plan depends on the ratings alone, never on the workers, and so do the results, to the bit.

    Parameters
    ----------
    lengths : ndarray, shape (n_rows,)
        Number of ratings of each row; rows without any are left out.
    n_factors : int
    size : int, optional
        Numbers that a block may gather (a single row may be longer); by default what makes 16
        blocks of the work, within half of `BLOCK_SIZE` (small calls keep threads waiting) and that.

    Returns
    -------
    list of list of (rows, width)
        Blocks, longest rows first. The rows of a block are all shorter than n_factors, or none is.
    """
    lengths = np.asarray(lengths)
    if size is None:
        work = lengths.sum(dtype=float) * n_factors
        size = int(np.clip(work / 16, BLOCK_SIZE // 2, BLOCK_SIZE))
    order = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
    shrinking = -lengths[order]
    blocks, block, room, start = [], [], size, 0
    while start < len(order):
        width = -int(shrinking[start])
        # as long as n_factors, or shorter: two kinds of systems, never in one block
        shortest = max(width * PADDING, n_factors if width >= n_factors else 1)
        similar = int(np.searchsorted(shrinking, -shortest, side="right"))
        fitting = start + room // (width * n_factors)
        if block and (fitting <= start or (block[0][1] >= n_factors) != (width >= n_factors)):
            blocks.append(block)
            block, room = [], size
            continue
        stop = min(similar, max(fitting, start + 1))
        block.append((order[start:stop], width))
        room -= (stop - start) * width * n_factors
        start = stop
    return [*blocks, block] if block else blocks


def count_flops(blocks, n_factors: int) -> np.ndarray:
    """Floating-point operations that each block's arithmetic needs: the cost model.

    A row of n ratings takes n f² to form YᵀY, of which half suffices, and f³/3 to solve by
    Cholesky, or, if n < f, n² f and n³/3 with the smaller system.
    """
    f = n_factors
    return np.array(
        [
            sum(
                len(rows) * (n * f * f + f**3 / 3 if n >= f else n * n * f + n**3 / 3)
                for rows, n in block
            )
            for block in blocks
        ]
    )


def deal_blocks(costs, n_tasks: int) -> list[np.ndarray]:
    """Deal block numbers to tasks of similar cost: the largest first, each to the least loaded."""
    loads, tasks = np.zeros(n_tasks), [[] for _ in range(n_tasks)]
    for number in np.argsort(-np.asarray(costs), kind="stable"):
        task = int(np.argmin(loads))
        loads[task] += costs[number]
        tasks[task].append(number)
    return [np.array(task) for task in tasks if task]


def allocate(half: Half, which: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Zeros for a half-step's result and, if it is the items', for the squares of its blocks."""
    squares = np.zeros(len(half.blocks)) if which == ITEMS else None
    return np.zeros((half.R.shape[0], half.n_factors), half.R.dtype), squares


def pad_factors(Y: np.ndarray) -> np.ndarray:
    """`Y`, or offsets, and zeros below, which stand for what a padded row has not rated."""
    return np.concatenate([Y, np.zeros((1, *Y.shape[1:]), Y.dtype)])


def pad_given(given: dict) -> dict:
    """What `solve_blocks` takes by name, with offsets padded like `Y`."""
    return given | {key: pad_factors(value) for key, value in given.items() if key == "offsets"}


def solve_blocks(
    half: Half,
    Y: np.ndarray,
    numbers: Iterable[int],
    X: np.ndarray,
    squares: np.ndarray | None = None,
    *,
    offsets: np.ndarray | None = None,
    gram: np.ndarray | None = None,
    rhs: np.ndarray | None = None,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Solve some blocks of a half-step: the one kernel, a pure function of a block and of `Y`.

    Parameters
    ----------
    half : Half
    Y : ndarray, shape (n_columns + 1, n_factors)
        The fixed factors, from `pad_factors`.
    numbers : iterable of int
        Which blocks of the plan.
    X : ndarray, shape (n_rows, n_factors)
        Where the rows of these blocks are written.
    squares : ndarray, shape (n_blocks,), optional
        Where their sums of squared residuals are written, in squared stars.
    offsets : ndarray, shape (n_columns + 1,), optional
        What pinned columns explain of each column's ratings, subtracted from them; its last entry,
        the padding's, is 0.
    gram, rhs : ndarray, optional
        As for `solve_block`; `rhs` has a row for each row of `X`, or one for all.
    progress : callable, optional
        Called with 1 after each block.
    """
    for number in numbers:
        block = half.blocks[number]
        rows = np.concatenate([rows for rows, _ in block])
        needed = sum(len(rows) * width for rows, width in block) * Y.shape[1]
        buffer = scratch("gathered", (needed,), Y.dtype)
        pieces, used = [], 0
        for piece_rows, width in block:
            end = used + len(piece_rows) * width * Y.shape[1]
            out = buffer[used:end].reshape(len(piece_rows), width, Y.shape[1])
            pieces.append(_gather(half.R, piece_rows, Y, offsets, out))
            used = end
        added = rhs[rows] if rhs is not None and rhs.ndim == 2 else rhs
        with np.errstate(over="ignore", invalid="ignore"):  # reported as a divergence
            solved = solve_block(pieces, half.penalties[rows], gram=gram, rhs=added)
            X[rows] = solved
            if squares is not None:
                squares[number] = _sum_squares(pieces, solved)
        if progress is not None:
            progress(1)


def _sum_squares(pieces, solved: np.ndarray) -> float:
    """Sum of squared residuals of a block; what its pieces gathered is still in the cache."""
    total, start = 0.0, 0
    for Y, r in pieces:
        residuals = r - np.matmul(Y, solved[start : start + len(r), :, None])[:, :, 0]
        total += float(np.vdot(residuals, residuals))
        start += len(r)
    return total


def _gather(R, rows, Y, offsets, out):
    """Factors (into `out`) and ratings of what rows have rated, padded to the width of `out`."""
    starts, stops = R.indptr[rows][:, None], R.indptr[rows + 1][:, None]
    places = starts + np.arange(out.shape[1], dtype=starts.dtype)
    beyond = places >= stops
    columns, ratings = R.indices.take(places, mode="clip"), R.data.take(places, mode="clip")
    np.copyto(columns, len(Y) - 1, where=beyond)
    np.copyto(ratings, 0, where=beyond)
    if offsets is not None:
        ratings -= offsets.take(columns)
    return np.take(Y, columns, axis=0, out=out, mode="clip"), ratings
