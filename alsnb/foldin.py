"""Folding in: rows that a model has not seen are solved for, with the other side's factors fixed.

Every function solves the equation of `solve_row`, with the λ, ν, biases and partners of the model
that it is given, changes nothing that it is given, and returns what is new.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from .blas import one_blas_thread
from .blocks import Half, plan_blocks
from .checks import check_count, check_ratings, check_row, check_rows
from .columns import ITEMS, USERS, fit_partner
from .executors import count_cores, run_in_threads
from .loop import Factorization
from .ridge import solve_row


def fold_in_user(item_ids, ratings, model: Factorization) -> np.ndarray:
    """Factors of a user whom the model has never seen, from a few ratings: one row is solved.

    Parameters
    ----------
    item_ids : array of int, shape (n_ratings,)
        What the user has rated: rows of V, each once. None at all gives zeros, which with biases
        predict μ + b_j.
    ratings : array, shape (n_ratings,)
        In stars.
    model : Factorization

    Returns
    -------
    ndarray, shape (n_columns,)
        A row for U, which predicts by ``V @ row``.

    Raises
    ------
    IndexError
        If there is no such item.
    TypeError, ValueError
        If items are not whole numbers or repeat, or ratings are not as many finite numbers.

    References
    ----------
    Zhou, Wilkinson, Schreiber and Pan (2008), section 3.1: one row of the users' half-step.
    """
    return _fold_in(USERS, item_ids, ratings, model)


def fold_in_item(user_ids, ratings, model: Factorization) -> np.ndarray:
    """Factors of a new item from its first ratings: as `fold_in_user`, with the sides exchanged."""
    return _fold_in(ITEMS, user_ids, ratings, model)


def fold_in_users(R_new, model: Factorization, *, n_workers: int | None = None) -> np.ndarray:
    """Factors of many new users at once, by the block kernel.

    Parameters
    ----------
    R_new : scipy.sparse array or matrix, shape (n_new, n_items)
        Their ratings, in stars; a stored zero is a rating, and some may have none.
    model : Factorization
    n_workers : int, optional
        Threads; by default as many as there are cores.

    Returns
    -------
    ndarray, shape (n_new, n_columns)

    Raises
    ------
    TypeError, ValueError
        If R_new is not a sparse matrix of finite ratings with a column for each row of V.
    """
    return solve_rows(USERS, _check_new(USERS, R_new, model), model, n_workers)


def fold_in_items(R_new, model: Factorization, *, n_workers: int | None = None) -> np.ndarray:
    """Factors of many new items, the columns of `R_new` (n_users × n_new); see `fold_in_users`."""
    return solve_rows(ITEMS, _check_new(ITEMS, R_new, model), model, n_workers)


def append_users(R_new, R, model: Factorization) -> tuple[Factorization, sp.csr_array]:
    """Fold new users in and append them, so that the model and R grow.

    Parameters
    ----------
    R_new : scipy.sparse array or matrix, shape (n_new, n_items)
        Their ratings, as for `fold_in_users`.
    R : scipy.sparse array or matrix, shape (n_users, n_items)
        All ratings so far.
    model : Factorization

    Returns
    -------
    model : Factorization
        With n_new more rows of U. Errors and objectives stay those of the fit.
    R : csr_array, shape (n_users + n_new, n_items)

    Raises
    ------
    TypeError, ValueError
        As for `fold_in_users`, and if R does not fit the model.
    """
    return _append(USERS, R_new, R, model)


def append_items(R_new, R, model: Factorization) -> tuple[Factorization, sp.csr_array]:
    """Fold new items in, the columns of `R_new` (n_users × n_new), as `append_users` does users.

    Titles and whatever else is kept of items must grow, too.
    """
    return _append(ITEMS, R_new, R, model)


def row_terms(which: int, positions: np.ndarray, model: Factorization):
    """What one row's equation is made of, given what it has rated.

    Returns Y, what pinned columns explain (or None), the penalty, the Gram matrix that partners add
    and their rows, w times, which add up to `rhs` (both None without).
    """
    Y, offsets = model.columns.hold(which, (model.V, model.U)[which][positions])
    _check_finite(np.vdot(Y, Y))  # or YᵀY might overflow, and its solution be zero
    penalty = model.columns.lambda_reg[which] * max(len(positions), 1) ** model.reg_exponent
    shared = None
    if model.partners is not None:
        shared = model.columns.widen(model.implicit_weight * model.partners[which][positions])
    return Y, offsets, penalty, model.grams[which], shared


def _fold_in(which, positions, ratings, model):
    check_model(model)
    name, n = ("item_ids", len(model.V)) if which == USERS else ("user_ids", len(model.U))
    return solve_one(which, *check_row(name, positions, ratings, n), model)


@np.errstate(over="ignore", invalid="ignore")  # what overflows is an error
def solve_one(which, positions, ratings, model):
    """All columns of one row, by `solve_row`; what is given is not checked."""
    Y, offsets, penalty, gram, shared = row_terms(which, positions, model)
    r = ratings.astype(Y.dtype, copy=False)
    r = r if offsets is None else r - offsets
    x = np.zeros(Y.shape[1], Y.dtype)
    if len(positions):
        rhs = None if shared is None else shared.sum(axis=0)
        x = solve_row(Y, r, penalty, gram=gram, rhs=rhs)
    return _check_finite(model.columns.place(which, x[None])[0])


@np.errstate(over="ignore", invalid="ignore")
def solve_rows(which, A, model, n_workers):
    """All columns of the rows of A, by the block kernel; what is given is not checked."""
    A = A.astype(model.V.dtype, copy=False)
    n_workers = count_cores() if n_workers is None else check_count("n_workers", n_workers)
    columns, lengths = model.columns, np.diff(A.indptr)
    Y, offsets = columns.hold(which, (model.V, model.U)[which])
    _check_finite(np.vdot(Y, Y))
    given = {} if offsets is None else {"offsets": offsets}
    if model.partners is not None:
        sums = _count_as_one(A) @ (model.implicit_weight * model.partners[which])
        given |= {"gram": model.grams[which], "rhs": columns.widen(sums)}
    weights = np.maximum(lengths, 1).astype(A.dtype) ** model.reg_exponent
    plan = plan_blocks(lengths, columns.n_free)
    half = Half(A, columns.lambda_reg[which] * weights, plan, columns.n_free, tuple(given))
    with one_blas_thread(), run_in_threads([half], n_workers) as run:
        X, _ = run(0, Y, None, **given)
    return _check_finite(columns.place(which, X))


@np.errstate(over="ignore", invalid="ignore")
def _append(which, R_new, R, model):
    R, A = check_fitting(R, model), _check_new(which, R_new, model)
    new = solve_rows(which, A, model, None)
    fields = {"UV"[which]: np.concatenate([(model.U, model.V)[which], new])}
    if model.partners is not None:
        factors = (model.V, model.U)[which][:, : model.columns.f]
        sums = _count_as_one(A.astype(new.dtype)) @ factors
        rows = _check_finite(fit_partner(factors, sums, model.implicit_reg))
        partners = list(model.partners)
        partners[1 - which] = np.concatenate([partners[1 - which], rows])
        fields["partners"] = tuple(partners)
    stack = sp.vstack if which == USERS else sp.hstack
    A = (A if which == USERS else A.T).astype(R.dtype)
    _check_finite(A.data)  # if R is less precise
    return replace(model, **fields), sp.csr_array(stack([R, A], format="csr"))


def _count_as_one(A):
    return sp.csr_array((np.ones_like(A.data), A.indices, A.indptr), shape=A.shape)


def check_model(model) -> Factorization:
    """Return a model, or raise TypeError, or ValueError if it contradicts itself."""
    if not isinstance(model, Factorization):
        kind = type(model).__name__
        raise TypeError(f"model must be a Factorization, as a fit returns it, got {kind}")
    _ = model.consistent  # or raises
    return model


def check_fitting(R, model, name: str = "R") -> sp.csr_array:
    """Return R as CSR, or raise TypeError or ValueError unless it has the model's shape."""
    check_model(model)
    R, shape = check_rows(R, name), (len(model.U), len(model.V))
    if R.shape != shape:
        sizes = f"{R.shape[0]} × {R.shape[1]} but the model {shape[0]} × {shape[1]}"
        raise ValueError(f"{name} is {sizes}")
    return R


def _check_new(which, R_new, model):
    """Return the ratings of new rows, a row each; or raise."""
    check_model(model)
    A = check_ratings(R_new, "R_new", empty=True)
    fixed, name = (model.V, "V") if which == USERS else (model.U, "U")
    if A.shape[1 - which] != len(fixed):
        kind = ("columns", "rows")[which]
        raise ValueError(f"R_new has {A.shape[1 - which]} {kind} but {name} has {len(fixed)} rows")
    return A if which == USERS else A.T.tocsr()


def _check_finite(x):
    if not np.isfinite(x).all():
        raise ValueError("the solution is not finite: ratings or factors are NaN or too large")
    return x
