"""The loop that every optimiser shares, and the model that it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .blas import one_blas_thread
from .checks import (
    check_count,
    check_dtype,
    check_exponent,
    check_number,
    check_pair,
    check_ratings,
)
from .columns import Columns, partner_gram
from .metrics import calculate_rmse


class DivergenceError(ValueError):
    """The factors grew without bound, for a learning rate or for ratings that are too large."""


@dataclass(frozen=True, eq=False)
class Factorization:
    """A fitted model, R ≈ U Vᵀ, that unpacks as `U, V, train_errors = fit`.

    Attributes
    ----------
    U : ndarray, shape (n_users, n_columns)
    V : ndarray, shape (n_items, n_columns)
        f columns or, with biases, three more: U's are b_u, 1 and μ, V's are 1, b_i and 1.
    train_errors : ndarray, shape (n_iterations,)
        RMSE over the training ratings after each iteration, in stars.
    test_errors : ndarray, shape (n_iterations,), or None
        The same over `R_test`, where it was given.
    objectives : ndarray, shape (n_iterations,)
        The objective after each iteration, in squared stars.
    lambda_reg, reg_exponent : float
        λ, or a pair of them, and ν of the fit, which solving for one more row needs.
    bias_reg : float, pair of float or None
        λ of the biases; None without biases.
    implicit_weight, implicit_reg : float
        w and λ̂.
    partners : tuple (V̂, Û) of ndarray, shapes (n_items, f) and (n_users, f), or None
        What was rated is nearly U V̂ᵀ, and Û Vᵀ.
    """

    U: np.ndarray
    V: np.ndarray
    train_errors: np.ndarray
    test_errors: np.ndarray | None
    objectives: np.ndarray
    lambda_reg: float
    reg_exponent: float
    bias_reg: float | tuple[float, float] | None = None
    implicit_weight: float = 0.0
    implicit_reg: float = 1.0
    partners: tuple[np.ndarray, np.ndarray] | None = None

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.U, self.V, self.train_errors))

    @cached_property
    def columns(self) -> Columns:
        """Which columns are solved for, and with what penalties."""
        λs = [
            None if λ is None else tuple(np.broadcast_to(λ, 2).tolist())
            for λ in (self.lambda_reg, self.bias_reg)
        ]
        n_factors = self.V.shape[1] - (0 if self.bias_reg is None else 3)
        return Columns(n_factors, *λs, self.U[0, -1], self.V.dtype)

    @cached_property
    def grams(self) -> tuple[np.ndarray, np.ndarray] | tuple[None, None]:
        """What the partners add to every YᵀY, of users and of items; None without partners."""
        if self.partners is None:
            return None, None
        weight = self.implicit_weight
        return tuple(partner_gram(self.columns, weight, partner) for partner in self.partners)

    @cached_property
    def consistent(self) -> bool:
        """True; raises TypeError or ValueError if arrays and settings make no model.

        What a fit returns always is; what was put together by hand or read from a file may not be.
        Whether the numbers are finite is not looked at.
        """
        check_pair("lambda_reg", self.lambda_reg)
        if self.bias_reg is not None:
            check_pair("bias_reg", self.bias_reg)
        check_exponent(self.reg_exponent)
        check_number("implicit_weight", self.implicit_weight, positive=False)
        check_number("implicit_reg", self.implicit_reg)
        arrays = {"U": self.U, "V": self.V}
        if self.partners is not None:
            arrays |= dict(zip(("partner of U", "partner of V"), self.partners, strict=False))
        for name, array in arrays.items():
            if type(array) not in (np.ndarray, np.memmap) or array.ndim != 2:
                raise TypeError(f"the model's {name} must be an array of two dimensions")
            if check_dtype(array.dtype) != self.U.dtype:
                raise ValueError(f"the model's {name} is {array.dtype}, but U {self.U.dtype}")
        U, V, bias = self.U, self.V, self.bias_reg is not None
        f = V.shape[1] - 3 * bias
        if U.shape[1] != V.shape[1] or f < 1 or not len(U) * len(V):
            raise ValueError(f"the model's U and V do not fit: {U.shape} and {V.shape}")
        if (self.partners is not None) != (self.implicit_weight > 0):
            raise ValueError("the model has partners but no weight for them, or the reverse")
        if self.partners and [p.shape for p in self.partners] != [(len(V), f), (len(U), f)]:
            raise ValueError("the model's partners do not fit U and V")
        pinned = [U[:, f + 1], U[:, f + 2] - U[0, f + 2] + 1, V[:, f], V[:, f + 2]] if bias else []
        if any((abs(column - 1) > 0).any() for column in pinned):  # NaN is not looked at
            raise ValueError("columns that are pinned differ from row to row")
        return True

    def __repr__(self) -> str:
        (n, f), m, done = self.U.shape, len(self.V), len(self.train_errors)
        λ = " and ".join(f"{value:g}" for value in np.atleast_1d(self.lambda_reg))
        return (
            f"Factorization: U {n} × {f}, V {m} × {f}, λ = {λ}, ν = {self.reg_exponent:g}, "
            f"{done} iterations, train RMSE {self.train_errors[-1]:.4f}"
        )


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
    """

    def __init__(self, R_validation, patience: int = 2, clip: tuple[float, float] | None = None):
        self.R, self.clip = check_ratings(R_validation, "R_validation"), clip
        self.patience = check_count("patience", patience)
        self.errors, self.best_iteration, self.U, self.V = [], 0, None, None

    def __call__(self, iteration: int, U: np.ndarray, V: np.ndarray) -> bool:
        """Note an iteration; True once it is time to stop."""
        self.errors.append(calculate_rmse(self.R, U, V, clip=self.clip))
        if self.errors[-1] < min(self.errors[:-1], default=np.inf):
            self.best_iteration, self.U, self.V = iteration, U, V
        return iteration - self.best_iteration >= self.patience


# Solving one row at a time is too little work to share: a second BLAS thread slows it down.
@one_blas_thread()
@np.errstate(over="ignore", invalid="ignore")  # what overflows is reported as a divergence
def iterate(
    R,
    U: np.ndarray,
    V: np.ndarray,
    penalty: Callable[[np.ndarray, np.ndarray], float],
    settings: dict,
    step: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
    *,
    error: Callable = calculate_rmse,
    n_iterations: int = 20,
    verbose: bool = True,
    R_test=None,
    callback: Callable | None = None,
    tol: float = 0.0,
) -> Factorization:
    """Repeat `U, V = step(U, V)`, keeping the books: errors, objective, early stopping.

    Parameters are those of `als_matrix_factorization`; `step` is one iteration of any optimiser,
    `penalty(U, V)` what its objective adds to the squared residuals, and `settings` what a
    `Factorization` shall tell. One that knows its train RMSE without another pass passes `error`.

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
    limit = 100 * (R.nnz * calculate_rmse(R, U, V) ** 2 + penalty(U, V))
    train, test, objectives = [], [], []
    for iteration in range(1, n_iterations + 1):
        U, V = step(U, V)
        train.append(error(R, U, V))
        objectives.append(R.nnz * train[-1] ** 2 + penalty(U, V))
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
        stop = callback is not None and callback(iteration, U, V)
        if isinstance(stop, (bool, np.bool_)) and stop:
            break
        if iteration > 1 and abs(objectives[-2] - objectives[-1]) < tol * objectives[-2]:
            break
    errors = np.array(train), None if R_test is None else np.array(test)
    return Factorization(U, V, *errors, np.array(objectives), **settings)
