"""The one equation: every update in this package is this ridge regression.

A row (a user or, with R transposed, a movie) with ratings r on the rows Y of the other side's
factors has the factors x that minimise

    Σ_k w_k (r_k − o_k − y_k·x)²  +  xᵀG x  +  p ‖x − m‖²

Plain ALS has weights w = 1, offsets o = 0, Gram matrix G = 0 and prior mean m = 0. It is solved
exactly, or a few steps of conjugate gradients bring x nearer to the solution. The equation is
written three times below: `solve_row` for one row, to be read; `half_step`, plain ALS for all rows,
to be read too; and `solve_rows`, the same loop compiled, for speed. Tests hold them equal.
"""

from __future__ import annotations

import ctypes
import tempfile
import warnings
from dataclasses import dataclass
from functools import cache, cached_property, partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from threadpoolctl import threadpool_info

from .ratings import check_count, check_exponent, check_floats, check_number, check_ratings

try:
    import llvmlite.binding
    from numba import njit, types
    from numba.extending import get_cython_function_address
except ImportError as error:  # the readable loop does without
    llvmlite, _WHY = None, error


def solve_row(
    Y: np.ndarray,
    r: np.ndarray,
    penalty: float,
    *,
    offsets: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    gram: np.ndarray | None = None,
    prior: np.ndarray | None = None,
    noise: np.ndarray | None = None,
    x0: np.ndarray | None = None,
    n_steps: int = 3,
) -> np.ndarray:
    r"""Solve the ridge regression of one row: the heart of ALS.

    Returns the x that minimises

    .. math:: \sum_k w_k (r_k - o_k - y_k^T x)^2 + x^T G x + \text{penalty}\,\lVert x - m \rVert^2 .

    With x = m + d, what is left is a ridge regression that shrinks d to zero. Its normal equations
    are (YᵀWY + G + penalty·I) d = YᵀW (r − o − Ym) − Gm. Where there are fewer ratings than factors
    and no G, the same d comes from a smaller system: d = Yᵀ (YYᵀ + penalty·I)⁻¹ (r − o − Ym).

    Parameters
    ----------
    Y : ndarray, shape (n_ratings, n_factors)
        Factors of what this row has rated.
    r : ndarray, shape (n_ratings,)
        The ratings, in stars.
    penalty : float
        λ n^ν, positive.
    offsets : ndarray, shape (n_ratings,), optional
        o: what is explained already, in stars.
    weights : ndarray, shape (n_ratings,), optional
        w: how much each rating counts, not negative.
    gram : ndarray, shape (n_factors, n_factors), optional
        G: symmetric, positive semi-definite.
    prior : ndarray, shape (n_factors,), optional
        m: what x is shrunk towards, instead of zero.
    noise : ndarray, shape (n_factors,), optional
        Standard normal numbers: x becomes a draw from the normal distribution around the solution
        whose covariance is the inverse of the system's matrix.
    x0 : ndarray, shape (n_factors,), optional
        Do not solve exactly: take `n_steps` steps of conjugate gradients from here. Each one lowers
        what is minimised. Without noise.
    n_steps : int

    Returns
    -------
    ndarray, shape (n_factors,)

    Raises
    ------
    TypeError
        If an argument holds anything but real numbers.
    ValueError
        If penalty is not positive, an array does not fit `Y` or holds NaN, or the system is
        singular to rounding.

    References
    ----------
    Zhou, Wilkinson, Schreiber and Pan (2008), section 3; Henderson and Searle (1981) for the
    smaller system, the push-through identity; Hestenes and Stiefel (1952) for conjugate gradients,
    and Takács, Pilászy and Tikk (2011) for a few of their steps in each half-step.

    Examples
    --------
    >>> solve_row(np.ones((2, 1)), np.array([4.0, 5.0]), penalty=1.0)
    array([3.])
    >>> solve_row(np.eye(2), np.array([4.0, 6.0]), penalty=1.0, x0=np.zeros(2), n_steps=1)
    array([2., 3.])
    """
    Y, penalty = check_floats("Y", Y, (None, None)), check_number("penalty", penalty)
    n_ratings, n_factors = Y.shape
    r = check_floats("r", r, (n_ratings,))
    offsets = _fitting("offsets", offsets, Y, n_ratings)
    weights = _fitting("weights", weights, Y, n_ratings)
    gram = _fitting("gram", gram, Y, n_factors, n_factors)
    prior = _fitting("prior", prior, Y, n_factors)
    noise = _fitting("noise", noise, Y, n_factors)
    x0 = _fitting("x0", x0, Y, n_factors)
    if weights is not None and (weights < 0).any():
        raise ValueError(f"weights must not be negative, got {weights.min():g}")
    n_steps = check_count("n_steps", n_steps)
    return _solve_row(Y, r, penalty, offsets, weights, gram, prior, noise, x0, n_steps)


def _fitting(name, values, Y, *shape):
    """What `solve_row` is given beside Y, in the precision of Y; or raise what is wrong with it."""
    return None if values is None else check_floats(name, values, shape).astype(Y.dtype)


def _solve_row(
    Y, r, penalty, offsets=None, weights=None, gram=None, prior=None, noise=None, x0=None, n_steps=3
):
    """What `solve_row` is, for what has been checked."""
    if offsets is not None:
        r = r - offsets
    if prior is not None:
        r = r - Y @ prior
    if weights is not None:
        Y, r = np.sqrt(weights)[:, None] * Y, np.sqrt(weights) * r
    n_ratings, n_factors = Y.shape
    if x0 is not None:
        d = x0 if prior is None else x0 - prior
        d = _conjugate_gradients(Y, r, penalty, gram, prior, d, n_steps)
        return d if prior is None else d + prior
    try:
        if n_ratings < n_factors and gram is None and noise is None:  # push-through
            # d = Yᵀ (YYᵀ + penalty·I)⁻¹ r
            system = Y @ Y.T + penalty * np.eye(n_ratings, dtype=Y.dtype)
            x = Y.T @ solve_positive(system, r)
        else:
            # (YᵀY + G + penalty·I) d = Yᵀr − Gm
            system = Y.T @ Y + penalty * np.eye(n_factors, dtype=Y.dtype)
            right = Y.T @ r
            if gram is not None:
                system += gram
            if gram is not None and prior is not None:
                right = right - gram @ prior
            x = solve_positive(system, right, noise)
    except np.linalg.LinAlgError as error:
        raise ValueError(_unsolvable(penalty)) from error
    return x if prior is None else x + prior


def _conjugate_gradients(Y, r, penalty, gram, prior, d, n_steps):
    """Steps from d towards the solution of (YᵀY + G + penalty·I) d = Yᵀr − Gm."""

    def multiply(s):
        product = Y.T @ (Y @ s) + penalty * s
        return product if gram is None else product + gram @ s

    left = Y.T @ r - multiply(d)  # of the right side, by d
    if gram is not None and prior is not None:
        left = left - gram @ prior
    direction = left
    for _ in range(n_steps):
        product, size = multiply(direction), left @ left
        curvature = direction @ product
        if size == 0 or curvature == 0:  # it is solved, to the last number above zero
            break
        length = size / curvature
        d, left = d + length * direction, left - length * product
        direction = left + (left @ left) / size * direction
    return d


def solve_positive(A, b, noise=None):
    """Solve A x = b for symmetric positive definite A = LLᵀ; add L⁻ᵀ noise, if there is any."""
    if not len(b):
        return b
    factor = cho_factor(A, lower=True, check_finite=False)
    x = cho_solve(factor, b, check_finite=False)
    if noise is None:
        return x
    options = {"lower": True, "trans": 1, "check_finite": False}
    return x + solve_triangular(factor[0], noise, **options)


def _unsolvable(penalty, row=None):
    where = "" if row is None else f" in row {row}"
    return (
        f"penalty {penalty:g} is too small{where}, or the ratings or factors are too large: "
        "the row's system stays singular; take a larger λ"
    )


def half_step(R, Y: np.ndarray, lambda_reg: float, reg_exponent: float = 0.0) -> np.ndarray:
    """Solve for every row of `R` with the other side's factors `Y` fixed: half an iteration.

    Row i solves its own ridge regression, with penalty λ n_i^ν; a row without ratings gets zeros.

    Parameters
    ----------
    R : csr_array, shape (n_rows, n_columns)
        The ratings for the users' half-step; their transpose, as CSR, for the items'.
    Y : ndarray, shape (n_columns, n_factors)
        V for the users' half-step, U for the items'.
    lambda_reg, reg_exponent : float
        λ, positive, and ν.

    Returns
    -------
    ndarray, shape (n_rows, n_factors)

    Raises
    ------
    TypeError, ValueError
        If R is not in CSR format or holds what are no ratings, Y has not a row for each of its
        columns or holds NaN, λ is not positive, or ν negative.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> R = sp.csr_array([[4.0, 5.0], [0.0, 2.0]])  # here a zero is not a rating
    >>> half_step(R, np.ones((2, 1)), lambda_reg=1.0)
    array([[3.],
           [1.]])
    """
    R = getattr(R, "R", R)  # Ratings, of which it is the R
    if getattr(R, "format", None) != "csr":
        raise TypeError("R must be in CSR format; call .tocsr() on it, after transposing it")
    R, Y = check_ratings(R, empty=True), check_floats("Y", Y, (None, None))
    lambda_reg = check_number("lambda_reg", lambda_reg)
    reg_exponent = check_exponent(reg_exponent)
    if len(Y) != R.shape[1]:
        raise ValueError(f"R has {R.shape[1]} columns but Y {len(Y)} rows; Y is the other side's")
    X = np.zeros((R.shape[0], Y.shape[1]), dtype=Y.dtype)
    for i, (start, stop) in enumerate(pairwise(R.indptr.tolist())):
        n_ratings = stop - start
        if n_ratings > 0:
            rated, ratings = R.indices[start:stop], R.data[start:stop]
            X[i] = _solve_row(Y[rated], ratings, lambda_reg * n_ratings**reg_exponent)
    return X


def frozen(array, dtype) -> np.ndarray:
    """An array as compiled loops take it: in order, and read-only.

    For arrays of any other kind they would be compiled again, which takes seconds.
    """
    array = np.ascontiguousarray(array, dtype).view()
    array.flags.writeable = False
    return array


@cache
def _nothing(shape, dtype) -> np.ndarray:
    """What compiled loops take for what an equation has not."""
    return frozen(np.empty(shape), dtype)


@dataclass(frozen=True, eq=False)
class Equation:
    """The equations of some rows, the other side's factors being fixed: `solve_row` for each.

    Attributes
    ----------
    indptr, indices, ratings : ndarray
        The rows in CSR form: row i has rated ``indices[indptr[i]:indptr[i + 1]]``.
    Y : ndarray, shape (n_columns, n_factors)
        Fixed factors.
    penalties : ndarray, shape (n_rows,)
        λ n^ν of each row.
    offsets : ndarray, shape (n_columns,), optional
        What is explained already of any rating in a column, in stars.
    weights : ndarray, shape (n_ratings,), optional
        How much each rating counts.
    gram : ndarray, shape (n_factors, n_factors), optional
        Shared by all rows.
    prior : ndarray, shape (n_rows, n_factors), optional
        What each row is shrunk towards.
    noise : ndarray, shape (n_rows, n_factors), optional
        Standard normal numbers, for draws instead of solutions.
    x0 : ndarray, shape (n_rows, n_factors), optional
        Where conjugate gradients start, instead of exact solutions.
    n_steps : int
        How many steps they take.
    """

    indptr: np.ndarray
    indices: np.ndarray
    ratings: np.ndarray
    Y: np.ndarray
    penalties: np.ndarray
    offsets: np.ndarray | None = None
    weights: np.ndarray | None = None
    gram: np.ndarray | None = None
    prior: np.ndarray | None = None
    noise: np.ndarray | None = None
    x0: np.ndarray | None = None
    n_steps: int = 3

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def row(self, i: int) -> dict:
        """What `solve_row` takes for row i, by name."""
        part = slice(self.indptr[i], self.indptr[i + 1])
        columns = self.indices[part]
        return {
            "Y": self.Y[columns],
            "r": self.ratings[part],
            "penalty": float(self.penalties[i]),
            "offsets": None if self.offsets is None else self.offsets[columns],
            "weights": None if self.weights is None else self.weights[part],
            "gram": self.gram,
            "prior": None if self.prior is None else self.prior[i],
            "noise": None if self.noise is None else self.noise[i],
            "x0": None if self.x0 is None else self.x0[i],
            "n_steps": self.n_steps,
        }

    @cached_property
    def as_compiled(self) -> tuple:
        """What compiled loops take, once for all ranges of rows: of the rows, the noise, x0."""
        dtype, f = self.Y.dtype, self.Y.shape[1]
        optional = (self.offsets, 0), (self.weights, 0), (self.gram, (0, f))
        optional += (self.prior, (0, f)), (self.noise, (0, f)), (self.x0, (0, f))
        *rest, noise, x0 = (
            _nothing(shape, dtype) if given is None else frozen(given, dtype)
            for given, shape in optional
        )
        matrix = frozen(self.indptr, np.int64), frozen(self.indices, np.int32)
        fixed = (frozen(array, dtype) for array in (self.ratings, self.Y, self.penalties))
        return (*matrix, *fixed, *rest), noise, x0

    def penalty(self, X: np.ndarray) -> float:
        """Σ p ‖x − m‖² over all rows, what shrinks them."""
        left = X if self.prior is None else X - self.prior
        return float(self.penalties @ np.einsum("kf,kf->k", left, left, dtype=float))

    def unobserved(self, X: np.ndarray) -> float:
        """Σ xᵀGx over all rows, what a Gram matrix adds to squared residuals."""
        return 0.0 if self.gram is None else float(np.sum((X.T @ X) * self.gram, dtype=float))


@np.errstate(over="ignore", invalid="ignore")  # what overflows is told by who sees the solution
def solve_rows(
    equation: Equation,
    start: int = 0,
    stop: int | None = None,
    X: np.ndarray | None = None,
    squares: np.ndarray | None = None,
    *,
    compiled: bool = True,
) -> np.ndarray:
    """Solve rows `start` to `stop` of an equation: the compiled twin of `solve_row` in a loop.

    Rows are independent: a range of them has the same bits wherever it is solved, and by whom.

    Parameters
    ----------
    equation : Equation
    start, stop : int
        By default all rows.
    X : ndarray, shape (n_rows, n_factors), optional
        Where the solutions are written; by default zeros are made.
    squares : ndarray of float64, shape (n_rows,), optional
        Where each row's sum of w (r − o − y·x)² is written, in squared stars.
    compiled : bool
        False: the loop in Python, as without Numba.

    Returns
    -------
    ndarray, shape (n_rows, n_factors)
        `X`. A row without ratings is its prior mean or zero, unless there is a Gram matrix.

    Raises
    ------
    ValueError
        If a row's system is singular to rounding, or its indices are those of no rows of Y.
    """
    n_rows, n_factors = len(equation), equation.Y.shape[1]
    stop = n_rows if stop is None else stop
    if not 0 <= start <= stop <= n_rows:
        raise ValueError(f"start and stop must be within the {n_rows} rows, got {start} and {stop}")
    columns = equation.indices[equation.indptr[start] : equation.indptr[stop]]
    if len(columns) and not 0 <= columns.min() <= columns.max() < len(equation.Y):
        raise ValueError(f"the equation's indices do not fit the {len(equation.Y)} rows of its Y")
    X = np.zeros((n_rows, n_factors), equation.Y.dtype) if X is None else X
    squares = np.empty(0) if squares is None else squares
    if not (compiled and numba_is_here()):
        _solve_in_python(equation, start, stop, X, squares)
        return X
    rows, noise, x0 = equation.as_compiled
    if equation.x0 is not None:
        _step_compiled(*rows, x0, equation.n_steps, X, squares, start, stop)
        return X
    failed = _solve_compiled(*rows, noise, X, squares, start, stop)
    if failed >= 0:
        raise ValueError(_unsolvable(equation.penalties[failed], failed))
    return X


def _solve_in_python(equation, start, stop, X, squares):
    """Do what `_solve_compiled` does, as it is read."""
    for i in range(start, stop):
        row = equation.row(i)
        if len(row["r"]) or equation.gram is not None or equation.noise is not None:
            X[i] = _solve_row(**row)
        else:
            X[i] = 0 if equation.prior is None else equation.prior[i]
        if len(squares):
            residuals = row["r"] - row["Y"] @ X[i]
            residuals -= 0 if row["offsets"] is None else row["offsets"]
            weights = 1 if row["weights"] is None else row["weights"]
            squares[i] = np.sum(weights * residuals**2, dtype=float)


@cache
def numba_is_here() -> bool:
    """Whether there is a compiled loop; says so once if there is none."""
    if llvmlite is None:
        advice = "pip install 'alsnb[fast]' brings it"
        message = f"no Numba ({_WHY}): rows are solved in Python, much slower; {advice}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return llvmlite is not None


# What follows is for speed alone. Products and Cholesky's method are BLAS's and LAPACK's, which a
# compiled loop may call without Python by their address: those of the wheel scipy-openblas32, the
# newest OpenBLAS, or, where that is not installed, those that SciPy brings along.


@cache
def _openblas() -> ctypes.CDLL | None:
    """The library in the wheel scipy-openblas32, or None; NumPy and SciPy have their own copies."""
    if find_spec("scipy_openblas32") is None:
        return None
    import scipy_openblas32

    for path in sorted(Path(scipy_openblas32.get_lib_dir()).glob("*scipy_openblas*")):
        if {".so", ".dylib", ".dll"} & set(path.suffixes):
            library = ctypes.CDLL(str(path))
            library.scipy_openblas_set_num_threads(1)  # a row is too little work to share
            return library
    return None


def which_blas() -> str:
    """Name and version of the BLAS that the compiled loop over rows calls.

    Examples
    --------
    >>> "OpenBLAS" in which_blas()
    True
    """
    if llvmlite is None:
        return "none: there is no Numba, and NumPy solves one row after the other"
    if _openblas() is not None:
        _openblas().scipy_openblas_get_config.restype = ctypes.c_char_p
        config = _openblas().scipy_openblas_get_config().decode()
        return f"{' '.join(config.split()[:2])}, of scipy-openblas32"
    own = [blas for blas in threadpool_info() if "scipy" in Path(blas["filepath"]).parts[-2]]
    name = f"{own[0]['internal_api']} {own[0]['version']}" if own else "the BLAS"
    return f"{name.replace('openblas', 'OpenBLAS')}, of SciPy"


def _routine(module: str, name: str, n_arguments: int):
    """A routine of BLAS or LAPACK for compiled code, named so that machine code can be cached."""
    if llvmlite is None:
        return None
    if _openblas() is not None:
        address = ctypes.cast(getattr(_openblas(), f"scipy_{name}_"), ctypes.c_void_p).value
    else:
        address = get_cython_function_address(f"scipy.linalg.{module}", name)
    llvmlite.binding.add_symbol(f"alsnb_{name}", address)
    return types.ExternalFunction(f"alsnb_{name}", types.void(*n_arguments * [types.intp]))


_ssyrk, _dsyrk = (_routine("cython_blas", t + "syrk", 10) for t in "sd")
_sgemv, _dgemv = (_routine("cython_blas", t + "gemv", 11) for t in "sd")
_strsv, _dtrsv = (_routine("cython_blas", t + "trsv", 8) for t in "sd")
_spotrf, _dpotrf = (_routine("cython_lapack", t + "potrf", 5) for t in "sd")


def compiled(function, **options):
    """Compile a function that needs no lock of Python's; keep its machine code on disk."""
    if llvmlite is None:
        return function
    try:
        kept = njit(nogil=True, cache=True, **options)(function)
        if _has_room(kept.stats.cache_path):
            return kept
    except RuntimeError:  # there is no folder to keep it in
        pass
    return njit(nogil=True, **options)(function)


@cache
def _has_room(folder) -> bool:
    """Whether a disk takes machine code; Numba would raise where it is full."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(2**20))
            file.flush()
    except OSError:
        return False
    return True


# A product and a sum may be rounded once. Sums may be added up in any order, many at a time, but
# only where nothing is stored: else that order would depend on where in memory arrays lie.
fusing = partial(compiled, fastmath={"contract"})
summing = partial(compiled, fastmath={"contract", "reassoc", "nsz"})


@compiled
def _syrk(single, uplo, trans, n, k, alpha, A, lda, beta, C, ldc):
    if single:
        _ssyrk(uplo, trans, n, k, alpha, A, lda, beta, C, ldc)
    else:
        _dsyrk(uplo, trans, n, k, alpha, A, lda, beta, C, ldc)


@compiled
def _gemv(single, trans, m, n, alpha, A, lda, x, incx, beta, y, incy):
    if single:
        _sgemv(trans, m, n, alpha, A, lda, x, incx, beta, y, incy)
    else:
        _dgemv(trans, m, n, alpha, A, lda, x, incx, beta, y, incy)


@compiled
def _trsv(single, uplo, trans, diag, n, A, lda, x, incx):
    if single:
        _strsv(uplo, trans, diag, n, A, lda, x, incx)
    else:
        _dtrsv(uplo, trans, diag, n, A, lda, x, incx)


@compiled
def _potrf(single, uplo, n, A, lda, info):
    if single:
        _spotrf(uplo, n, A, lda, info)
    else:
        _dpotrf(uplo, n, A, lda, info)


@summing
def _dot(x, y):
    total = x.dtype.type(0)
    for c in range(len(x)):
        total += x[c] * y[c]
    return total


@summing
def _four_dots(Y, k, x):
    a = b = c = d = Y.dtype.type(0)
    for e in range(len(x)):
        a += Y[k, e] * x[e]
        b += Y[k + 1, e] * x[e]
        c += Y[k + 2, e] * x[e]
        d += Y[k + 3, e] * x[e]
    return a, b, c, d


@fusing
def _add_products(Y, weights, x, sign, t, q):
    """Update t ← t ± Y x, then q ← q + Yᵀ W t.

    Four rows of Y at a time, so that each is read once for both products.
    """
    n, weighted = len(Y), len(weights) > 0
    fours = 4 * (n // 4)
    for k in range(0, fours, 4):
        a, b, c, d = _four_dots(Y, k, x)
        t[k] += sign * a
        t[k + 1] += sign * b
        t[k + 2] += sign * c
        t[k + 3] += sign * d
        a, b, c, d = t[k], t[k + 1], t[k + 2], t[k + 3]
        if weighted:
            a *= weights[k]
            b *= weights[k + 1]
            c *= weights[k + 2]
            d *= weights[k + 3]
        for e in range(len(q)):
            total = q[e] + a * Y[k, e]
            total += b * Y[k + 1, e]
            total += c * Y[k + 2, e]
            q[e] = total + d * Y[k + 3, e]
    for k in range(fours, n):
        t[k] += sign * _dot(Y[k], x)
        a = t[k] * weights[k] if weighted else t[k]
        for e in range(len(q)):
            q[e] += a * Y[k, e]


@fusing
def _step_compiled(
    indptr, indices, ratings, Y, penalties, offsets, weights, gram, prior, x0, n_steps, X, squares,
    start, stop,
):  # fmt: skip
    """Take steps of conjugate gradients for rows start to stop, from x0 into X."""
    f, single, one = Y.shape[1], Y.itemsize == 4, Y.dtype.type(1)
    with_offsets, with_weights = offsets.shape[0] > 0, weights.shape[0] > 0
    with_gram, with_prior = gram.shape[0] > 0, prior.shape[0] > 0
    with_squares, longest = squares.shape[0] > 0, 0
    for i in range(start, stop):
        longest = max(longest, indptr[i + 1] - indptr[i])
    gathered = np.empty((longest, f), Y.dtype)
    residuals, products = np.empty(longest, Y.dtype), np.empty(longest, Y.dtype)
    left, s, q = np.empty(f, Y.dtype), np.empty(f, Y.dtype), np.empty(f, Y.dtype)
    numbers, letters = np.array([1, -1]).astype(Y.dtype), np.array([84], np.uint8)  # T
    sizes = np.array([f, 1], np.int32)
    one_, T = numbers.ctypes.data, letters.ctypes.data
    f_, step_, minus_one_ = sizes.ctypes.data, sizes.ctypes.data + 4, one_ + Y.itemsize
    gram_, left_, s_, q_ = gram.ctypes.data, left.ctypes.data, s.ctypes.data, q.ctypes.data
    for i in range(start, stop):
        first, n, penalty, x = indptr[i], indptr[i + 1] - indptr[i], penalties[i], X[i]
        rated, w = indices[first : first + n], weights[first : first + n]
        Yi, t, z = gathered[:n], residuals[:n], products[:n]

        # What x leaves of the right side: Yᵀ W t − G x − p (x − m), with t = r − o − Y x.
        for c in range(f):
            x[c] = x0[i, c]
            s[c] = x[c]
            left[c] = penalty * (prior[i, c] - x[c]) if with_prior else -penalty * x[c]
        for some in range(0, n, 32):  # gathered, and used while they are in the cache
            end = min(some + 32, n)
            for k in range(some, end):
                j = rated[k]
                t[k] = ratings[first + k] - offsets[j] if with_offsets else ratings[first + k]
                for c in range(f):
                    Yi[k, c] = Y[j, c]
            _add_products(Yi[some:end], w[some:end], x, -one, t[some:end], left)
        if with_gram:
            _gemv(single, T, f_, f_, minus_one_, gram_, f_, s_, step_, one_, left_, step_)
        s[:] = left
        size = _dot(left, left)
        for _ in range(n_steps):
            # z = Y s and q = (Yᵀ W Y + G + p I) s, and how far along s the lowest point is
            z[:] = 0
            for c in range(f):
                q[c] = penalty * s[c]
            _add_products(Yi, w, s, one, z, q)
            if with_gram:
                _gemv(single, T, f_, f_, one_, gram_, f_, s_, step_, one_, q_, step_)
            curvature = _dot(s, q)
            if size == 0 or curvature == 0:  # it is solved, to the last number above zero
                break
            length, before = size / curvature, size
            for k in range(n):
                t[k] -= length * z[k]
            for c in range(f):
                x[c] += length * s[c]
                left[c] -= length * q[c]
            size = _dot(left, left)
            turn = size / before
            for c in range(f):
                s[c] = left[c] + turn * s[c]
        if with_squares:
            squares[i] = 0
            for k in range(n):
                squares[i] += (w[k] if with_weights else one) * t[k] ** 2
    numbers[0] = letters[0] = 0  # not before: BLAS had only their addresses


@compiled
def _solve_compiled(
    indptr, indices, ratings, Y, penalties, offsets, weights, gram, prior, noise, X, squares,
    start, stop,
):  # fmt: skip
    """Solve rows start to stop into X; returns the first row that is singular, or -1.

    What is optional is an array without rows where it is not given. BLAS wants every argument by
    its address, and reads arrays by columns: to it, our Y_i is a matrix of f × n.
    """
    f, single = Y.shape[1], Y.itemsize == 4
    with_offsets, with_weights = offsets.shape[0] > 0, weights.shape[0] > 0
    with_gram, with_prior = gram.shape[0] > 0, prior.shape[0] > 0
    with_noise, with_squares = noise.shape[0] > 0, squares.shape[0] > 0
    longest = 0
    for i in range(start, stop):
        longest = max(longest, indptr[i + 1] - indptr[i])
    Yi, t = np.empty((longest, f), Y.dtype), np.empty(longest, Y.dtype)  # gathered: y_k and r_k
    A, d = np.empty(f * f, Y.dtype), np.empty(f, Y.dtype)  # the system, and its solution
    numbers = np.array([0, 1, -1]).astype(Y.dtype)
    letters, sizes = np.array([76, 78, 84], np.uint8), np.array([0, 0, f, 1, 0], np.int32)
    zero = numbers.ctypes.data
    one, minus_one = zero + Y.itemsize, zero + 2 * Y.itemsize
    L = letters.ctypes.data
    N, T = L + 1, L + 2
    size_ = sizes.ctypes.data
    n_, f_, step_, info_ = size_ + 4, size_ + 8, size_ + 12, size_ + 16
    Yi_, t_, A_, d_ = Yi.ctypes.data, t.ctypes.data, A.ctypes.data, d.ctypes.data
    for i in range(start, stop):
        first, n, penalty = indptr[i], indptr[i + 1] - indptr[i], penalties[i]
        if n == 0 and not (with_gram or with_noise):
            for c in range(f):
                X[i, c] = prior[i, c] if with_prior else 0
            if with_squares:
                squares[i] = 0
            continue

        # Gather √w y and √w (r − o − y·m) of all that the row has rated.
        for k in range(n):
            j = indices[first + k]
            left = ratings[first + k]
            if with_offsets:
                left -= offsets[j]
            if with_prior:
                for c in range(f):
                    left -= Y[j, c] * prior[i, c]
            root = np.sqrt(weights[first + k]) if with_weights else Y.dtype.type(1)
            t[k] = root * left
            for c in range(f):
                Yi[k, c] = root * Y[j, c]

        # A = Yᵀ Y + G + p I or, push-through, the smaller Y Yᵀ + p I; then A = L Lᵀ.
        dual = n < f and not (with_gram or with_noise)
        size = n if dual else f
        sizes[0], sizes[1] = size, n
        if n > 0:
            _syrk(single, L, T if dual else N, size_, f_ if dual else n_, one, Yi_, f_, zero, A_,
                  size_)  # fmt: skip
        else:
            A[:] = 0
        if with_gram:
            for q in range(size):
                for c in range(q, size):
                    A[q * size + c] += gram[q, c]
        for q in range(size):
            A[q * size + q] += penalty
        _potrf(single, L, size_, A_, size_, info_)
        if sizes[4] != 0:
            return i

        # d = A⁻¹ (Yᵀt − G m) or Yᵀ A⁻¹ t, and what it leaves over: t − Y d, which is p A⁻¹ t.
        left_over = 0.0
        if dual:
            _trsv(single, L, N, N, size_, A_, size_, t_, step_)
            _trsv(single, L, T, N, size_, A_, size_, t_, step_)
            _gemv(single, N, f_, n_, one, Yi_, f_, t_, step_, zero, d_, step_)
            if with_squares:
                for k in range(n):
                    left_over += (penalty * t[k]) ** 2
        else:
            d[:] = 0
            if n > 0:
                _gemv(single, N, f_, n_, one, Yi_, f_, t_, step_, zero, d_, step_)
            if with_gram and with_prior:
                for q in range(f):
                    for c in range(f):
                        d[q] -= gram[q, c] * prior[i, c]
            _trsv(single, L, N, N, size_, A_, size_, d_, step_)
            if with_noise:
                for c in range(f):
                    d[c] += noise[i, c]
            _trsv(single, L, T, N, size_, A_, size_, d_, step_)
            if with_squares and n > 0:
                _gemv(single, T, f_, n_, minus_one, Yi_, f_, d_, step_, one, t_, step_)
                for k in range(n):
                    left_over += t[k] ** 2
        if with_squares:
            squares[i] = left_over
        for c in range(f):
            X[i, c] = d[c] + prior[i, c] if with_prior else d[c]
    numbers[0] = letters[0] = 0  # not before: BLAS had only their addresses
    return -1
