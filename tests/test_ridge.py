"""The one equation: every way to solve it, against dense algebra that is written down here."""

import subprocess
import sys
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from helpers import SECONDS, fit, heavy_tailed

import alsnb
from alsnb.ridge import Equation, solve_rows

OPTIONS = ("offsets", "weights", "gram", "prior", "noise")
EVERY_KIND = pytest.mark.parametrize(
    "kind", [kind for n in range(6) for kind in combinations(OPTIONS, n)], ids="-".join
)
STEPS = (*OPTIONS[:4], "x0")  # with which there is no noise
EVERY_STEP = pytest.mark.parametrize(
    "kind", [(*kind, "x0") for n in range(5) for kind in combinations(OPTIONS[:4], n)], ids="-".join
)
DTYPES = pytest.mark.parametrize(("dtype", "rounding"), [(np.float64, 1e-10), (np.float32, 1e-3)])
EITHER = pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "readable"])
N_FACTORS = 6
LENGTHS = np.array(
    [3, 0, 1, 6, 15, 5, 0, 9, 7]
)  # ratings of each row: fewer than factors, and more


def make_equation(kind=(), dtype=np.float64, seed=0, lengths=LENGTHS, n_columns=20):
    """Rows with so many ratings each, and what is optional if it is named."""
    rng = np.random.default_rng(seed)
    n_rows, n_ratings = len(lengths), lengths.sum()
    columns = [np.sort(rng.choice(n_columns, n, replace=False)) for n in lengths]
    root = rng.normal(size=(4, N_FACTORS))
    values = {
        "offsets": rng.normal(size=n_columns),
        "weights": rng.uniform(0, 2, n_ratings),
        "gram": root.T @ root,  # of rank 4, less than there are factors
        "prior": rng.normal(size=(n_rows, N_FACTORS)),
        "noise": rng.normal(size=(n_rows, N_FACTORS)),
        "x0": 2 * rng.normal(size=(n_rows, N_FACTORS)),
    }
    return Equation(
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
        np.concatenate([np.empty(0), *columns]).astype(np.int32),
        rng.integers(0, 6, n_ratings).astype(dtype),
        rng.normal(size=(n_columns, N_FACTORS)).astype(dtype),
        rng.uniform(0.1, 3, n_rows),
        **{name: values[name].astype(dtype) for name in kind},
    )


def arrays_of(equation):
    return {k: array for k, array in vars(equation).items() if isinstance(array, np.ndarray)}


def dense_parts(e, i):
    """Y, r − o, w, m and G of row i, whatever is left out."""
    rated = slice(e.indptr[i], e.indptr[i + 1])
    columns = e.indices[rated]
    Y, r = e.Y[columns].astype(float), e.ratings[rated].astype(float)
    r = r if e.offsets is None else r - e.offsets[columns]
    w = np.ones(len(r)) if e.weights is None else e.weights[rated].astype(float)
    m = np.zeros(N_FACTORS) if e.prior is None else e.prior[i]
    G = np.zeros((N_FACTORS, N_FACTORS)) if e.gram is None else e.gram.astype(float)
    return Y, r, w, m, G


def dense_row(e, i):
    """Solution of row i by least squares of one augmented system, and Σ w (r − o − y·x)²."""
    (Y, r, w, m, G), p, identity = dense_parts(e, i), e.penalties[i], np.eye(N_FACTORS)
    values, vectors = np.linalg.eigh(G)
    root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T  # its square is G
    A = np.vstack([np.sqrt(w)[:, None] * Y, root, np.sqrt(p) * identity])
    b = np.concatenate([np.sqrt(w) * r, np.zeros(N_FACTORS), np.sqrt(p) * m])
    x = np.linalg.lstsq(A, b)[0]
    normal = Y.T @ (w[:, None] * Y) + G + p * identity
    np.testing.assert_allclose(normal @ x, Y.T @ (w * r) + p * m, rtol=0, atol=1e-5 * abs(b).max())
    if e.noise is not None:
        x = x + np.linalg.solve(np.linalg.cholesky(normal).T, e.noise[i])
    return x, w @ (r - Y @ x) ** 2


def assert_near(result, expected, rounding):
    np.testing.assert_allclose(result, expected, rtol=0, atol=rounding * abs(expected).max())


# One row


@DTYPES
@EVERY_KIND
def test_solve_row_is_the_dense_solution(kind, dtype, rounding):
    e = make_equation(kind, dtype)
    for i in range(len(e)):
        x, expected = alsnb.solve_row(**e.row(i)), dense_row(e, i)[0]
        assert np.linalg.norm(x - expected) <= rounding * np.linalg.norm(expected)


def test_by_hand():
    # One factor: (1 + 4 + 5) x = 1·3 + 2·4.
    assert alsnb.solve_row(np.array([[1.0], [2.0]]), np.array([3.0, 4.0]), 5) == pytest.approx(1.1)
    # Two: YᵀY = 2I, so (2 + 2) x = Yᵀr = (6, 2); whole numbers will do.
    Y = [[1, 1], [1, -1]]
    assert alsnb.solve_row(Y, [4, 2], 2) == pytest.approx([1.5, 0.5])
    # One step from zero goes along Yᵀr = (6, 2), by its length (36 + 4) / (4 (36 + 4)).
    assert alsnb.solve_row(Y, [4, 2], 2, x0=[0, 0], n_steps=1) == pytest.approx([1.5, 0.5])
    # The first rating twice, offsets of 1: (3 + 2) x = 2·3 + 1·1 and (3 + 2 − 1) …, by symmetry.
    x = alsnb.solve_row(Y, [4, 2], 2, offsets=[1, 1], weights=[2, 1])
    assert x == pytest.approx(np.linalg.solve([[5, 1], [1, 5]], [7, 5]))


@pytest.mark.parametrize("kind", [float, np.float32, np.float64])
def test_float32_stays_whatever_the_penalty_is(kind):
    Y, r = np.eye(3, dtype=np.float32), np.ones(3, dtype=np.float32)
    assert alsnb.solve_row(Y, r, kind(0.1)).dtype == np.float32
    assert alsnb.solve_row(Y[:2], r[:2], kind(0.1)).dtype == np.float32  # the smaller system


# Steps towards it


def textbook(A, b, x, n_steps):
    """Conjugate gradients for A x = b from x, as Hestenes and Stiefel wrote them down."""
    r = p = b - A @ x
    for _ in range(n_steps):
        if np.linalg.norm(r) <= 1e-14 * np.linalg.norm(b):
            break
        a = (r @ r) / (p @ A @ p)
        x, new = x + a * p, r - a * A @ p
        p = new + (new @ new) / (r @ r) * p
        r = new
    return x


def dense_steps(e, i):
    """Row i after its steps, and Σ w (r − o − y·x)² there."""
    Y, r, w, m, G = dense_parts(e, i)
    A = Y.T @ (w[:, None] * Y) + G + e.penalties[i] * np.eye(N_FACTORS)
    x = textbook(A, Y.T @ (w * r) + e.penalties[i] * m, e.x0[i].astype(float), e.n_steps)
    if not len(r) and e.gram is None:  # there is nothing to compute
        x = m
    return x, w @ (r - Y @ x) ** 2


@DTYPES
@pytest.mark.parametrize("n_steps", [1, 3, 40])
@EVERY_STEP
def test_steps_are_those_of_the_textbook(kind, dtype, rounding, n_steps):
    """Compiled or not, of one row or of many; 40 are more than it takes."""
    e = replace(make_equation(kind, dtype), n_steps=n_steps)
    steps, squares = map(np.array, zip(*map(partial(dense_steps, e), range(len(e))), strict=True))
    for compiled in (True, False):
        own = np.full(len(e), np.nan)
        X = solve_rows(e, squares=own, compiled=compiled)
        assert X.dtype == dtype
        assert_near(X, steps, rounding)
        assert_near(own, squares, rounding)
    for i in np.flatnonzero(LENGTHS):
        x = alsnb.solve_row(**e.row(i))
        assert x.dtype == dtype
        assert_near(x, steps[i], rounding)


@DTYPES
@EITHER
def test_steps_of_rows_with_thousands_of_ratings(compiled, dtype, rounding):
    e = make_equation(STEPS, dtype, lengths=np.array([2000, 5, 0, 700, 1]), n_columns=2500)
    squares = np.zeros(len(e))
    X = solve_rows(e, squares=squares, compiled=compiled)
    expected = [*map(partial(dense_steps, e), range(len(e)))]
    assert_near(X, np.array([x for x, _ in expected]), rounding)
    assert_near(squares, np.array([error for _, error in expected]), rounding)


@DTYPES
@EITHER
@pytest.mark.parametrize("kind", [("x0",), STEPS], ids="-".join)
def test_who_starts_at_the_solution_stays(kind, compiled, dtype, rounding):
    e = make_equation(kind, dtype)
    exact = solve_rows(replace(e, x0=None))
    X = solve_rows(replace(e, x0=exact, n_steps=50), compiled=compiled)
    assert_near(X, exact, rounding)
    zeros = replace(make_equation(("x0",), dtype), ratings=np.zeros(LENGTHS.sum(), dtype))
    zeros.x0[:] = 0  # of which nothing at all is left
    assert not solve_rows(zeros, compiled=compiled).any()
    still = replace(e, n_steps=0)
    rated = LENGTHS > 0
    assert_near(solve_rows(still, compiled=compiled)[rated], e.x0[rated], rounding)


@EITHER
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("value", [np.nan, np.inf, "huge"])
def test_a_start_beyond_numbers_shows(compiled, dtype, value):
    """It never looks as if it were solved; other rows are as they would be."""
    e = replace(make_equation(STEPS, dtype), n_steps=5)
    expected = solve_rows(e, compiled=compiled)
    e.x0[4] = np.finfo(dtype).max if value == "huge" else value
    with np.errstate(all="ignore"):
        X = solve_rows(e, compiled=compiled)
    assert not np.isfinite(X[4]).all()
    others = np.arange(len(e)) != 4
    assert X[others].tobytes() == expected[others].tobytes()


@EITHER
@pytest.mark.parametrize(("dtype", "tiny"), [(np.float64, 1e-110), (np.float32, 1e-16)])
def test_what_is_lost_to_zero_is_no_step(compiled, dtype, tiny):
    """A penalty that is rounded to zero, and products of tiny factors that are."""
    e = make_equation(("x0",), dtype)
    e.Y[:] *= dtype(tiny)
    e.penalties[:] = 1e-300
    e.x0[:] = 0
    with np.errstate(all="ignore"):
        X = solve_rows(e, compiled=compiled)
    assert np.isfinite(X).all()


# Many rows


@DTYPES
@EVERY_KIND
def test_solve_rows_is_the_dense_solution_compiled_or_not(kind, dtype, rounding):
    for seed in range(3):
        e = make_equation(kind, dtype, seed)
        expected = [
            np.array(part) for part in zip(*map(partial(dense_row, e), range(len(e))), strict=True)
        ]
        found = []
        for compiled in (True, False):
            squares = np.zeros(len(e))
            found.append((solve_rows(e, squares=squares, compiled=compiled), squares))
            assert (found[-1][0].shape, found[-1][0].dtype) == ((len(e), N_FACTORS), dtype)
        for fast, slow, dense in zip(*found, expected, strict=True):
            assert_near(fast, dense, rounding)
            assert_near(slow, dense, rounding)
            assert_near(fast, slow, rounding)


@pytest.mark.parametrize("nu", [0, 0.5, 1])
def test_half_step_is_solve_rows_with_penalties_by_n(toy, nu):
    Y = np.random.default_rng(2).normal(size=(toy.R.shape[1], 3))
    X = alsnb.half_step(toy.R, Y, 0.3, nu)
    for i, rated in enumerate(toy.mask):
        A = Y[rated].T @ Y[rated] + 0.3 * max(rated.sum(), 1) ** nu * np.eye(3)
        expected = np.linalg.solve(A, Y[rated].T @ toy.values[i, rated])
        np.testing.assert_allclose(X[i], expected, rtol=0, atol=1e-10)
    assert (X.any(axis=1) == toy.mask.any(axis=1)).all()
    penalties = 0.3 * np.maximum(toy.mask.sum(axis=1), 1.0) ** nu
    e = Equation(toy.R.indptr, toy.R.indices, toy.R.data, Y, penalties)
    np.testing.assert_allclose(X, solve_rows(e), rtol=0, atol=1e-10)
    assert alsnb.half_step(toy.R, Y.astype(np.float32), 0.3).dtype == np.float32


@DTYPES
@pytest.mark.parametrize("kind", [(), ("gram", "prior"), OPTIONS, ("x0",), STEPS], ids="-".join)
def test_same_bits_however_the_rows_are_cut(kind, dtype, rounding):
    rng = np.random.default_rng(3)
    e = make_equation(kind, dtype, lengths=rng.integers(0, 20, 60))
    squares = np.zeros(len(e))
    X = solve_rows(e, squares=squares)
    for n_cuts in (1, 5, 59):
        cuts = np.sort(rng.choice(np.arange(1, len(e)), n_cuts, replace=False)).tolist()
        parts, part_squares = np.full_like(X, np.nan), np.zeros(len(e))
        for start, stop in [*pairwise([0, *cuts, len(e)])][::-1]:
            assert np.isnan(parts[:stop]).all()  # nobody else has written to them
            assert solve_rows(e, start, stop, parts, part_squares) is parts
        assert (parts.tobytes(), part_squares.tobytes()) == (X.tobytes(), squares.tobytes())


@EITHER
@pytest.mark.parametrize("kind", [(), OPTIONS, STEPS], ids="-".join)
def test_arrays_may_be_read_only_and_indices_long(kind, compiled):
    e = make_equation(kind)
    expected = solve_rows(e, compiled=compiled)
    arrays = arrays_of(e)
    arrays |= {name: arrays[name].astype(np.int64) for name in ("indptr", "indices")}
    before = {name: array.tobytes() for name, array in arrays.items()}
    assert solve_rows(Equation(**arrays), compiled=compiled).tobytes() == expected.tobytes()
    assert {name: array.tobytes() for name, array in arrays.items()} == before
    for array in arrays.values():
        array.flags.writeable = False
    assert solve_rows(Equation(**arrays), compiled=compiled).tobytes() == expected.tobytes()


@EITHER
def test_no_memory_is_touched_that_is_not_theirs(compiled):
    e = make_equation()
    for rows in ((-1, 2), (0, 10), (5, 4)):
        with pytest.raises(ValueError, match="start and stop must be within the 9 rows, got"):
            solve_rows(e, *rows, compiled=compiled)
    for beyond in (-1, len(e.Y)):
        e.indices[4] = beyond
        with pytest.raises(ValueError, match="the equation's indices do not fit the 20 rows of"):
            solve_rows(e, compiled=compiled)


@EITHER
@pytest.mark.parametrize("lengths", [(3, 4, 4), (3, 9, 4)], ids=["few", "many"])
def test_singular_row_is_named_by_its_penalty(lengths, compiled):
    e = make_equation(lengths=np.array(lengths))
    e.indices[:] = np.arange(len(e.indices))  # no two rows have rated the same
    e.Y[e.indices[e.indptr[1] : e.indptr[2]]] = 2**20  # of rank one: a small penalty is lost
    e.penalties[1] = 1e-5
    with pytest.raises(ValueError, match=r"penalty 1e-05 is too small.* stays singular; take a"):
        solve_rows(e, compiled=compiled)
    e.penalties[1] = 2**40
    assert np.isfinite(solve_rows(e, compiled=compiled)).all()
    with pytest.raises(ValueError, match="penalty 1e-300 is too small"):
        alsnb.solve_row(np.ones((4, 2)), np.ones(4), 1e-300)


@pytest.mark.parametrize("kind", [(), ("gram",), ("prior",), ("gram", "prior")], ids="-".join)
def test_penalty_is_what_the_equations_add_to_the_squares(kind):
    e = make_equation(kind)
    X = np.random.default_rng(1).normal(size=(len(e), N_FACTORS))
    expected = 0.0
    for i, x in enumerate(X):
        left = x - e.prior[i] if "prior" in kind else x
        expected += e.penalties[i] * sum(left**2)
        expected += sum(x * (e.gram @ x)) if "gram" in kind else 0
    assert e.penalty(X) + e.unobserved(X) == pytest.approx(expected, rel=1e-12)
    assert len(e) == len(LENGTHS)


# Without what is not installed everywhere

WITHOUT = """
import sys, warnings
sys.modules[{missing!r}] = None
warnings.simplefilter("error")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import numpy as np, alsnb
    from helpers import fit, heavy_tailed
    R = heavy_tailed(60, 40)
    models = [fit(R, "all", executor=executor) for executor in ("serial", "threads")]
    models.append(fit(R, "all counts", solver="cg"))
print(alsnb.ridge.which_blas())
print(*(f"{{warning.category.__name__}}: {{warning.message}}" for warning in caught), sep="\\n")
np.savez(sys.argv[1], *(X for model in models for X in (*model, model.objectives)))
"""


def run_without(missing, folder):
    """What is printed without a package, and the arrays of two fits."""
    command = [sys.executable, "-c", WITHOUT.format(missing=missing), folder / "fits.npz"]
    options = {
        "capture_output": True,
        "text": True,
        "timeout": SECONDS,
        "cwd": Path(__file__).parent,
    }
    run = subprocess.run(command, **options)
    assert (run.returncode, run.stderr) == (0, "")
    with np.load(folder / "fits.npz") as arrays:
        return run.stdout.split("\n", 1), list(arrays.values())


@pytest.fixture(scope="module")
def arrays_here():
    models = 2 * [fit(heavy_tailed(60, 40), "all")]
    models.append(fit(heavy_tailed(60, 40), "all counts", solver="cg"))
    return [X for model in models for X in (*model, model.objectives)]


def assert_same_fits(arrays, expected):
    for X, Y in zip(arrays, expected, strict=True):
        assert_near(X, Y, 1e-10)


def test_without_numba_a_fit_is_the_same_and_warns_once(tmp_path, arrays_here):
    pytest.importorskip("numba")
    (blas, warnings), arrays = run_without("numba", tmp_path)
    assert_same_fits(arrays, arrays_here)
    (warning,) = warnings.splitlines()
    assert warning.startswith("RuntimeWarning: no Numba (import of numba halted; None in sys.modu")
    assert blas.startswith("none: there is no Numba")


def test_without_the_wheel_the_blas_is_scipys(tmp_path, arrays_here):
    pytest.importorskip("numba")
    (blas, warnings), arrays = run_without("scipy_openblas32", tmp_path)
    assert_same_fits(arrays, arrays_here)
    assert warnings.strip() == ""
    assert blas.endswith(", of SciPy")


@pytest.mark.skipif(not find_spec("scipy_openblas32"), reason="the wheel is not installed")
def test_the_wheel_is_named_where_it_is_installed():
    pytest.importorskip("numba")
    name, version, rest = alsnb.ridge.which_blas().split(maxsplit=2)
    assert (name, rest) == ("OpenBLAS", "of scipy-openblas32")
    assert version[0].isdigit()
