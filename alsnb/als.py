"""Alternating least squares: solve all users, solve all items, and again.

`alternate` is the whole of it; the rest of this page keeps the books.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from .features import Link, check_features
from .metrics import calculate_rmse, check_clip, residuals_of, root_mean_square
from .model import ALS, SIDES, Factorization
from .parallel import EXECUTORS, open_executor
from .ratings import (
    check_count,
    check_dtype,
    check_held_out,
    check_number,
    check_ratings,
    check_rng,
    count_ratings,
)
from .timing import check_workers, count_cores


class DivergenceError(ValueError):
    """The factors grew without bound, for a learning rate or for ratings that are too large."""


def alternate(
    model: Factorization, R, solve: Callable, n_workers: int = 1, n_steps: int = 0
) -> Iterator[tuple]:
    """Solve for all users, then for all items, again and again.

    With features, B of a side is brought nearer to its best before the side is solved. With
    `n_steps`, rows are not solved exactly: so many steps of conjugate gradients bring them nearer.
    Yields after each iteration the model, its squared error, and what the objective adds to it, in
    squared stars.
    """
    rows = {"users": model.settings.weigh(R), "items": model.settings.weigh(R.T.tocsr())}
    priors = {"users": None, "items": None}
    while True:
        penalty = 0.0
        for side, other in (("users", "items"), ("items", "users")):
            if model.link(side) is not None:
                step = model.step_link(side, rows[side], rows[other], priors[side], n_workers)
                model, priors[side] = step
                penalty += model.link_penalty(side)
            equation = model.equation(side, rows[side], prior=priors[side])
            if n_steps:
                equation = replace(equation, x0=model.solved(side), n_steps=n_steps)
            X, squares = solve(equation, residuals=side == "items")  # which has seen all of U
            penalty += equation.penalty(X)
            model = model.with_rows(side, model.assemble(side, X))
        yield model, model.squared_error(equation, X, squares), penalty


def fit(
    self: ALS,
    R,
    n_iterations: int = 20,
    *,
    executor="threads",
    n_workers: int | None = None,
    rng=None,
    dtype=np.float64,
    R_test=None,
    callback: Callable[[int, np.ndarray, np.ndarray], object] | None = None,
    tol: float = 0.0,
    verbose: bool = True,
    user_features=None,
    item_features=None,
    solver: str = "exact",
    cg_steps: int = 3,
) -> Factorization:
    """Fit a model to ratings: ``ALS(…).fit(R, …)``.

    The result is the same to the last bit from every executor and with any number of workers,
    on machines with the same BLAS; "readable" agrees with them up to rounding.

    Parameters
    ----------
    R : scipy.sparse array or matrix, shape (n_users, n_items), or Ratings
        Training ratings; a stored zero is a rating. With confidence, counts or ones: all positive.
    n_iterations : int
        Upper limit; one iteration solves all users, then all items.
    executor : {"threads", "serial", "processes", "readable"} or dask.distributed.Client
        Where rows are solved. "readable" is the loop in Python that students read. On a Dask
        cluster, each worker keeps its own rows.
    n_workers : int, optional
        Threads or processes; by default as many as there are cores. Not for a Dask cluster,
        which has its own.
    rng : int, numpy.random.Generator or None
        Seed of the random start, N(0, 0.1²).
    dtype : float64 or float32
        Of the whole computation.
    R_test : scipy.sparse array or matrix, shape (n_users, n_items), optional
        Held-out ratings whose RMSE is tracked too; they change nothing else. Without biases and
        features, users and items that have no ratings in R are predicted 0, which may be most of
        the error.
    callback : callable, optional
        Called as ``callback(iteration, U, V)`` after each iteration, counted from 1; if it
        returns True, that was the last.
    tol : float
        Stop when the objective's relative change falls under this; not if 0.
    verbose : bool
        Print a line after each iteration.
    user_features, item_features : DataFrame, or sparse or dense matrix, optional
        What is known of users, of items: a row for each row, for each column of R, in their order.
        Of a table, text is one-hot encoded, split at "|", and numbers are cut into ranges; each row
        is scaled to length 1, and what is missing is zero. A matrix is taken as it is.
    solver : {"exact", "cg"}
        "cg" takes a few steps of conjugate gradients for each row, from where it was, instead of
        solving it. That pays with many factors. The objective still falls with each half-step, but
        rows are not what `fold_in`, which always solves, says they should be.
    cg_steps : int
        How many.

    Returns
    -------
    Factorization
        Unpacks as ``U, V, train_errors``.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range, R is not a sparse matrix of finite
        ratings, or R_test holds ratings of R or is given with confidence.
    RuntimeError
        If a worker process or a Dask worker dies in mid-fit.

    References
    ----------
    Zhou, Wilkinson, Schreiber and Pan (2008), sections 3.1 and 3.2; Takács, Pilászy and Tikk
    (2011), *Applications of the conjugate gradient method for implicit feedback collaborative
    filtering*.

    Examples
    --------
    >>> from alsnb import make_low_rank_ratings
    >>> R, _, _ = make_low_rank_ratings(noise=0.5, rng=0)
    >>> model = ALS(n_factors=2, lambda_reg=1.0).fit(R, n_iterations=2, rng=0)
    iteration   1   train RMSE 0.9823
    iteration   2   train RMSE 0.8399
    """
    n_threads = check_executor(executor, n_workers)
    dtype = check_dtype(dtype)
    if solver not in ("exact", "cg"):
        raise ValueError(f"solver must be 'exact' or 'cg', got {solver!r}")
    n_steps = check_count("cg_steps", cg_steps, high=1_000) * (solver == "cg")
    R, weight = check_ratings(R, dtype=dtype), None
    if self.confidence is not None:
        if R_test is not None:
            raise ValueError("R_test is scored in stars; with confidence, use evaluate_lists")
        self.weigh(R)  # or it says what is wrong
        weight = self.unobserved_weight * np.prod(R.shape, dtype=float)
        weight += self.confidence * R.data.sum(dtype=float)
    books = check_books(R, n_iterations, verbose, R_test, callback, tol)
    model = start_model(self, R, rng, dtype, user_features, item_features)
    with open_executor(executor, n_workers) as solve:
        return iterate(alternate(model, R, solve, n_threads, n_steps), R, weight=weight, **books)


def start_model(settings, R, rng, dtype, user_features=None, item_features=None) -> Factorization:
    """A random start, with links of zeros where there are features."""
    U, V = start(R, settings.n_factors, rng, dtype)
    if settings.bias:  # b_u, 1 and μ; 1, b_i and 1
        columns = np.array([[0, 1, R.data.mean(dtype=float)], [1, 0, 1]], dtype)
        U = np.hstack([U, np.tile(columns[0], (len(U), 1))])
        V = np.hstack([V, np.tile(columns[1], (len(V), 1))])
    given = {"users": user_features, "items": item_features}
    links, n_solved = [], settings.n_factors + settings.bias
    for side, n_rows, n_columns in zip(SIDES, R.shape, R.shape[::-1], strict=True):
        parts = {}
        if settings.implicit_features:
            parts["rated"] = np.zeros((n_columns, n_solved), dtype)
        if given[side] is not None:
            name = f"{side[:-1]}_features"
            features, columns = check_features(given[side], n_rows, name, dtype=dtype)
            parts |= {"features": features, "columns": columns}
            parts["given"] = np.zeros((features.shape[1], n_solved), dtype)
        links.append(Link(**parts) if parts else None)
    return Factorization(U, V, settings, links=tuple(links) if any(links) else None)


ALS.fit = fit  # it is a method, and stands here because the loop builds on the model


def als_matrix_factorization(
    R,
    n_factors: int = 20,
    lambda_reg: float | tuple[float, float] = 0.1,
    n_iterations: int = 20,
    verbose: bool = True,
    *,
    half_step: Callable | None = None,
    **options,
) -> Factorization:
    """Factorize ratings by alternating least squares, one row at a time, in Python.

    ``ALS(…).fit(R, executor="readable")``, in one call.

    Parameters
    ----------
    R, n_factors, lambda_reg, n_iterations, verbose :
        As for `ALS` and its method `fit`.
    half_step : callable, optional
        ``half_step(R, Y, lambda_reg, reg_exponent)``, for solving the rows in a way of your own.
        The loop cannot know what that minimises: it reports only the train RMSE, and the model that
        it returns has no settings, and cannot fold in.
    **options
        Others of `ALS` and of its method `fit`.

    Returns
    -------
    Factorization
        Unpacks as ``U, V, train_errors``.

    Raises
    ------
    TypeError, ValueError
        As `ALS` and its method `fit`; and if half_step is given with options that it cannot obey.

    Examples
    --------
    >>> from alsnb import make_low_rank_ratings
    >>> R, _, _ = make_low_rank_ratings(noise=0.5, rng=0)
    >>> U, V, train_errors = als_matrix_factorization(R, 2, 1.0, 2, rng=0)
    iteration   1   train RMSE 0.9823
    iteration   2   train RMSE 0.8399
    """
    settings, options = _settings(n_factors, lambda_reg, options)
    options |= {"n_iterations": n_iterations, "verbose": verbose}
    if half_step is None:
        return settings.fit(R, executor="readable", **options)
    if not callable(half_step):
        raise TypeError(f"half_step must be a function, got {type(half_step).__name__}")
    own = settings.bias, settings.implicit_features, settings.confidence, options.get("tol")
    if any(own):
        what = "bias, implicit_features, confidence and tol"
        raise ValueError(f"with a half_step of your own leave out {what}")
    dtype = check_dtype(options.pop("dtype", np.float64))
    rng, R = options.pop("rng", None), check_ratings(R, dtype=dtype)
    books = check_books(R, **options)

    def steps():
        R_items, (U, V) = R.T.tocsr(), start(R, settings.n_factors, rng, dtype)
        λ_users, λ_items = np.broadcast_to(settings.lambda_reg, 2).tolist()
        while True:
            U = half_step(R, V, λ_users, settings.reg_exponent)
            V = half_step(R_items, U, λ_items, settings.reg_exponent)
            yield Factorization(U, V), R.nnz * calculate_rmse(R, U, V) ** 2, None

    return iterate(steps(), R, **books)


def als_matrix_factorization_parallel(
    R,
    n_factors: int = 20,
    lambda_reg: float | tuple[float, float] = 0.1,
    n_iterations: int = 20,
    verbose: bool = True,
    *,
    executor="threads",
    **options,
) -> Factorization:
    """Factorize ratings by alternating least squares, on several workers, compiled.

    ``ALS(…).fit(R, executor=…)``, in one call.

    Parameters
    ----------
    R, n_factors, lambda_reg, n_iterations, verbose, executor :
        As for `ALS` and its method `fit`.
    **options
        Others of both.

    Returns
    -------
    Factorization
        Unpacks as ``U, V, train_errors``.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        As `ALS` and its method `fit`.

    Examples
    --------
    >>> from alsnb import make_low_rank_ratings
    >>> R, _, _ = make_low_rank_ratings(noise=0.5, rng=0)
    >>> U, V, train_errors = als_matrix_factorization_parallel(R, 2, 1.0, 2, rng=0)
    iteration   1   train RMSE 0.9823
    iteration   2   train RMSE 0.8399
    """
    settings, options = _settings(n_factors, lambda_reg, options)
    options |= {"n_iterations": n_iterations, "verbose": verbose}
    return settings.fit(R, executor=executor, **options)


def _settings(n_factors, lambda_reg, options):
    """The ALS of some options, and the options that are left."""
    names = {name for name in options if name in ALS.__dataclass_fields__}
    settings = ALS(n_factors, lambda_reg, **{name: options[name] for name in names})
    return settings, {name: value for name, value in options.items() if name not in names}


def init_matrix_factorization(
    n_users: int, n_items: int, n_factors: int, *, scale: float = 0.1, rng=None, dtype=np.float64
) -> tuple[np.ndarray, np.ndarray]:
    """Random-normal U (n_users × n_factors) and V (n_items × n_factors), N(0, scale²).

    `rng` is a seed or a `numpy.random.Generator`. The values do not depend on `dtype` but for
    rounding. Raises TypeError or ValueError if a size is not a whole number of at least 1, `scale`
    is not positive, or `dtype` is neither float64 nor float32.

    Examples
    --------
    >>> U, V = init_matrix_factorization(3, 5, 2, rng=0)
    >>> U.shape, V.shape
    ((3, 2), (5, 2))
    """
    rng, dtype, scale = check_rng(rng), check_dtype(dtype), check_number("scale", scale)
    n_factors = check_count("n_factors", n_factors)
    sizes = (check_count("n_users", n_users), check_count("n_items", n_items))
    U, V = (rng.normal(0.0, scale, (n, n_factors)).astype(dtype, copy=False) for n in sizes)
    return U, V


def start(R, n_factors, rng, dtype) -> tuple[np.ndarray, np.ndarray]:
    """Random U and V; rows without ratings are zero."""
    U, V = init_matrix_factorization(*R.shape, n_factors, rng=rng, dtype=dtype)
    for X, n in zip((U, V), count_ratings(R), strict=True):
        X[n == 0] = 0
    return U, V


class EarlyStopping:
    """A callback that stops a fit once its validation error rises, and keeps the best factors.

    Parameters
    ----------
    R_validation : scipy.sparse array or matrix, shape (n_users, n_items)
        Held out of the training ratings.
    patience : int
        Stop after so many iterations without a new best.
    clip : (float, float), optional
        As for `calculate_rmse`.

    Attributes
    ----------
    errors : list of float
        Validation RMSE after each iteration, in stars.
    best_iteration : int
        Counted from 1; 0 before there is one.
    U, V : ndarray
        The factors after it.

    Examples
    --------
    >>> from alsnb import make_low_rank_ratings, train_test_split
    >>> R, _, _ = make_low_rank_ratings(noise=0.5, rng=0)
    >>> train, validation = train_test_split(R, rng=0)
    >>> stopping = EarlyStopping(validation)
    >>> model = ALS(3, 1.0).fit(train, 50, rng=0, verbose=False, callback=stopping)
    >>> len(model.train_errors) == stopping.best_iteration + 2
    True
    """

    def __init__(self, R_validation, patience: int = 2, clip: tuple[float, float] | None = None):
        self.R, self.clip = check_ratings(R_validation, "R_validation"), check_clip(clip)
        self.patience = check_count("patience", patience)
        self.errors, self.best_iteration, self.U, self.V = [], 0, None, None

    def __call__(self, iteration: int, U: np.ndarray, V: np.ndarray) -> bool:
        """Note an iteration; True once it is time to stop."""
        self.errors.append(calculate_rmse(self.R, U, V, clip=self.clip))
        if self.errors[-1] < min(self.errors[:-1], default=np.inf):
            self.best_iteration, self.U, self.V = iteration, U, V
        return iteration - self.best_iteration >= self.patience


def check_executor(executor, n_workers):
    """How many threads the caller itself may use; or raise what is wrong with an executor."""
    if isinstance(executor, str):
        if executor not in EXECUTORS:
            known = ", ".join(map(repr, EXECUTORS))
            raise ValueError(f"executor must be {known} or a Dask client, got {executor!r}")
        if executor not in ("serial", "readable"):
            return check_workers(n_workers)
        if n_workers is not None and check_workers(n_workers) != 1:
            raise ValueError(f"executor {executor!r} is one worker, got n_workers={n_workers}")
        return 1 if executor == "serial" or n_workers else count_cores()
    distributed = sys.modules.get("distributed")  # imported by whoever has a client
    if distributed is None or not isinstance(executor, distributed.Client):
        kind = type(executor).__name__
        raise TypeError(f"executor must be a name or a dask.distributed.Client, got {kind}")
    if executor.status != "running" or executor.asynchronous:
        raise ValueError("executor must be a connected, synchronous Dask client; make a new one")
    if n_workers is not None:
        raise ValueError("n_workers is the cluster's own affair; leave it out with a Dask client")
    return count_cores()


def check_books(R, n_iterations=20, verbose=True, R_test=None, callback=None, tol=0.0) -> dict:
    """What `iterate` takes by name, checked; or raise TypeError or ValueError."""
    if R_test is not None:
        R_test = check_held_out(R_test, R, "R_test")
    if not (callback is None or callable(callback)):
        raise TypeError(f"callback must be a function or None, got {type(callback).__name__}")
    if isinstance(callback, EarlyStopping):
        check_held_out(callback.R, R, "R_validation")
    return {
        "n_iterations": check_count("n_iterations", n_iterations),
        "tol": check_number("tol", tol, positive=False),
        "verbose": verbose,
        "R_test": R_test,
        "callback": callback,
    }


@np.errstate(over="ignore", invalid="ignore")  # what overflows is reported as a divergence
def iterate(
    steps, R, *, n_iterations, verbose, R_test, callback, tol, limit=np.inf, weight=None
) -> Factorization:
    """Go through the steps of any optimiser, keeping the books: errors, objective, early stopping.

    `steps` yields what `alternate` does; without an objective, None stands for what is added. Mean
    errors are those of so much `weight`, by default of all ratings.

    Raises
    ------
    DivergenceError
        If the objective is no longer finite, or over `limit`.
    """
    train, test, objectives = [], [], []
    for iteration, (model, squared_error, penalty) in enumerate(steps, start=1):
        train.append(float(np.sqrt(squared_error / (weight or R.nnz))))
        objectives.append(float(squared_error + (penalty or 0.0)))
        if not objectives[-1] <= limit or not np.isfinite(objectives[-1]):
            raise DivergenceError(
                f"diverged in iteration {iteration} (train RMSE {train[-1]:.3g}); try a tenth of "
                "the learning_rate or, without one, check the scale of features and ratings"
            )
        line = f"iteration {iteration:3d}   train RMSE {train[-1]:.4f}"
        last = iteration == n_iterations
        if R_test is not None:
            test.append(root_mean_square(residuals_of(R_test, model.U, model.V)))
            line += f"   test RMSE {test[-1]:.4f}"
        if verbose:
            print(line)
        if callback is not None:
            stop = callback(iteration, model.U, model.V)
            last |= isinstance(stop, (bool, np.bool_)) and bool(stop)
        if last or (iteration > 1 and abs(objectives[-2] - objectives[-1]) < tol * objectives[-2]):
            break
    return model.replace(
        train_errors=np.array(train),
        test_errors=None if R_test is None else np.array(test),
        objectives=None if penalty is None else np.array(objectives),
    )
