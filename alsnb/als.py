"""Sequential alternating least squares, and the loop that every optimiser here shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .blas import one_blas_thread
from .checks import check_count, check_dtype, check_exponent, check_number, check_ratings
from .metrics import calculate_objective, calculate_rmse, count_ratings, regularization
from .ridge import solve_row


class DivergenceError(ValueError):
    """The factors grew without bound, for a learning rate or for ratings that are too large."""


@dataclass(frozen=True, eq=False)
class Factorization:
    """A fitted model, R ≈ U Vᵀ, that unpacks as `U, V, train_errors = fit`.

    Attributes
    ----------
    U : ndarray, shape (n_users, n_factors)
    V : ndarray, shape (n_items, n_factors)
    train_errors : ndarray, shape (n_iterations,)
        RMSE over the training ratings after each iteration, in stars.
    test_errors : ndarray, shape (n_iterations,), or None
        The same over `R_test`, where it was given.
    objectives : ndarray, shape (n_iterations,)
        The objective after each iteration, in squared stars.
    lambda_reg, reg_exponent : float
        λ and ν of the fit, which solving for one more row needs.
    """

    U: np.ndarray
    V: np.ndarray
    train_errors: np.ndarray
    test_errors: np.ndarray | None
    objectives: np.ndarray
    lambda_reg: float
    reg_exponent: float

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.U, self.V, self.train_errors))

    def __repr__(self) -> str:
        (n, f), m, done = self.U.shape, len(self.V), len(self.train_errors)
        return (
            f"Factorization: U {n} × {f}, V {m} × {f}, λ = {self.lambda_reg:g}, "
            f"ν = {self.reg_exponent:g}, {done} iterations, train RMSE {self.train_errors[-1]:.4f}"
        )


def init_matrix_factorization(
    n_users: int, n_items: int, n_factors: int, *, scale: float = 0.1, rng=None, dtype=np.float64
) -> tuple[np.ndarray, np.ndarray]:
    """Random-normal U (n_users × n_factors) and V (n_items × n_factors), N(0, scale²).

    `rng` is a seed or a `numpy.random.Generator`. The values do not depend on `dtype` but for
    rounding. Raises TypeError or ValueError if a size is not a whole number of at least 1, `scale`
    is not positive, or `dtype` is neither float64 nor float32.
    """
    rng, dtype, scale = np.random.default_rng(rng), check_dtype(dtype), check_number("scale", scale)
    n_factors = check_count("n_factors", n_factors)
    sizes = (check_count("n_users", n_users), check_count("n_items", n_items))
    U, V = (rng.normal(0.0, scale, (n, n_factors)).astype(dtype, copy=False) for n in sizes)
    return U, V


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
        If R is not in CSR format, or Y has not a row for each of its columns.
    """
    if getattr(R, "format", None) != "csr":
        raise TypeError("R must be in CSR format; call .tocsr() on it, after transposing it")
    if len(Y) != R.shape[1]:
        raise ValueError(f"R has {R.shape[1]} columns but Y {len(Y)} rows; Y is the other side's")
    X = np.zeros((R.shape[0], Y.shape[1]), dtype=Y.dtype)
    for i, (start, stop) in enumerate(pairwise(R.indptr.tolist())):
        if stop > start:
            rated, ratings = R.indices[start:stop], R.data[start:stop]
            X[i] = solve_row(Y[rated], ratings, lambda_reg * (stop - start) ** reg_exponent)
    return X


# Solving one row at a time is too little work to share: a second BLAS thread slows it down.
@one_blas_thread()
@np.errstate(over="ignore", invalid="ignore")  # what overflows is reported as a divergence
def iterate(
    R,
    U: np.ndarray,
    V: np.ndarray,
    step: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
    *,
    error: Callable = calculate_rmse,
    lambda_reg: float,
    reg_exponent: float = 0.0,
    n_iterations: int = 20,
    verbose: bool = True,
    R_test=None,
    callback: Callable | None = None,
    tol: float = 0.0,
) -> Factorization:
    """Repeat `U, V = step(U, V)`, keeping the books: errors, objective, early stopping.

    Parameters are those of `als_matrix_factorization`; `step` is one iteration of any optimiser;
    one that knows its train RMSE without another pass over the ratings passes `error`.

    Raises
    ------
    DivergenceError
        If the objective is no longer finite, or a hundred times what it began with.
    """
    n_iterations = check_count("n_iterations", n_iterations)
    tol = check_number("tol", tol, positive=False)
    if R_test is not None:
        R_test = check_ratings(R_test, "R_test")
        if R_test.shape != R.shape:
            raise ValueError(f"R_test has shape {R_test.shape} but R has {R.shape}")
    penalties = {"lambda_reg": lambda_reg, "reg_exponent": reg_exponent}
    limit = 100 * calculate_objective(R, U, V, **penalties)
    train, test, objectives = [], [], []
    for iteration in range(1, n_iterations + 1):
        U, V = step(U, V)
        train.append(error(R, U, V))
        objectives.append(R.nnz * train[-1] ** 2 + regularization(R, U, V, **penalties))
        if not objectives[-1] <= limit:
            raise DivergenceError(
                f"diverged in iteration {iteration} (train RMSE {train[-1]:.3g}); try a tenth of "
                "the learning_rate or, without one, check half_step and the scale of the ratings"
            )
        line = f"iteration {iteration:3d}   train RMSE {train[-1]:.4f}"
        if R_test is not None:
            test.append(calculate_rmse(R_test, U, V))
            line += f"   test RMSE {test[-1]:.4f}"
        if verbose:
            print(line)
        if callback is not None:
            callback(iteration, U, V)
        if iteration > 1 and abs(objectives[-2] - objectives[-1]) < tol * objectives[-2]:
            break
    errors = np.array(train), None if R_test is None else np.array(test)
    return Factorization(U, V, *errors, np.array(objectives), lambda_reg, reg_exponent)


def prepare(R, n_factors, lambda_reg, reg_exponent, rng, dtype):
    """Check what every optimiser is given; return R as CSR, the random U and V, λ and ν."""
    why = "; it is what makes a row with fewer ratings than factors solvable"
    lambda_reg = check_number("lambda_reg", lambda_reg, why=why)
    reg_exponent = check_exponent(reg_exponent)
    R = check_ratings(R, dtype=dtype)
    U, V = init_matrix_factorization(*R.shape, n_factors, rng=rng, dtype=dtype)
    for X, n in zip((U, V), count_ratings(R), strict=True):
        X[n == 0] = 0
    return R, U, V, lambda_reg, reg_exponent


def als_matrix_factorization(
    R,
    n_factors: int = 20,
    lambda_reg: float = 0.1,
    n_iterations: int = 20,
    verbose: bool = True,
    *,
    reg_exponent: float = 0.0,
    rng=None,
    dtype=np.float64,
    R_test=None,
    callback: Callable[[int, np.ndarray, np.ndarray], None] | None = None,
    tol: float = 0.0,
    half_step: Callable = half_step,
) -> Factorization:
    """Factorize ratings by alternating least squares, one row at a time.

    Parameters
    ----------
    R : scipy.sparse array or matrix, shape (n_users, n_items)
        Training ratings, in stars; a stored zero is a rating.
    n_factors : int
        f, the number of columns of U and V.
    lambda_reg : float
        λ, positive.
    n_iterations : int
        Upper limit; one iteration solves all users, then all items.
    verbose : bool
        Print a line after each iteration.
    reg_exponent : float
        ν: a row with n ratings is penalised by λ n^ν. 0 is plain ridge, 1 weighted-λ.
    rng : int, numpy.random.Generator or None
        Seed of the random start, N(0, 0.1²).
    dtype : float64 or float32
        Of the whole computation.
    R_test : scipy.sparse array or matrix, shape (n_users, n_items), optional
        Held-out ratings whose RMSE is tracked too; they change nothing else.
    callback : callable, optional
        Called as `callback(iteration, U, V)` after each iteration, counted from 1.
    tol : float
        Stop when the objective's relative change falls under this, be it on a plateau; not if 0.
    half_step : callable
        `half_step(R, Y, lambda_reg, reg_exponent)`, for solving the rows some other way.

    Returns
    -------
    Factorization
        Unpacks as `U, V, train_errors`.

    Raises
    ------
    TypeError, ValueError
        If a setting is out of range, or R is not a sparse matrix of finite ratings.

    References
    ----------
    Zhou, Wilkinson, Schreiber and Pan (2008), section 3.1.
    """
    R, U, V, lambda_reg, reg_exponent = prepare(R, n_factors, lambda_reg, reg_exponent, rng, dtype)
    R_items = R.T.tocsr()

    def step(U, V):
        U = half_step(R, V, lambda_reg, reg_exponent)
        return U, half_step(R_items, U, lambda_reg, reg_exponent)

    settings = {"lambda_reg": lambda_reg, "reg_exponent": reg_exponent}
    reporting = {"verbose": verbose, "R_test": R_test, "callback": callback, "tol": tol}
    return iterate(R, U, V, step, n_iterations=n_iterations, **settings, **reporting)
