"""What a row is shrunk towards: its prior mean, which features of the row predict.

Features f_i of a row are what it has rated, 1/√n at each of its n ratings, and what else is known
of it: genres, a year, an age. The prior mean is m_i = Bᵀf_i, and B is a ridge regression of the
factors on the features:

    Σ_i p_i ‖x_i − Bᵀf_i‖² + λ_B ‖B‖²

It is part of the objective, and `step_link` lowers it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
import scipy.sparse as sp

from .ridge import compiled, frozen, numba_is_here, solve_positive
from .timing import open_threads

DIRECT = 500  # so many features are solved for at once, more by gradient steps


@dataclass(frozen=True, eq=False)
class Link:
    """B of one side, in two parts: of what was rated, and of the features that were given.

    Attributes
    ----------
    rated : ndarray, shape (n_columns, n_solved), or None
        A row for each column of R (for items: of Rᵀ); a bias is the last column, where there is
        one, in units in which it is penalised like a factor.
    given : ndarray, shape (n_features, n_solved), or None
    features : csr_array, shape (n_rows, n_features), or None
        Those of the rows that the model knows.
    columns : tuple or None
        What each feature of a table is: (column, value), or (column, low, high) for low ≤ x < high.
    """

    rated: np.ndarray | None = None
    given: np.ndarray | None = None
    features: sp.csr_array | None = None
    columns: tuple | None = None

    def fits(self, n_rows: int, n_columns: int, n_solved: int) -> bool:
        """Whether it is one for so many rows and columns of ratings, and unknowns of a row."""
        shapes = {"rated": (n_columns, n_solved)} if self.rated is not None else {}
        if self.given is not None:
            known = len(self.given) if self.columns is None else len(self.columns)
            shapes |= {"given": (known, n_solved), "features": (n_rows, known)}
        return all(getattr(self, name).shape == shape for name, shape in shapes.items())

    def prior_means(self, rows, features=None, n_workers: int = 1) -> np.ndarray:
        """F B of rows in CSR form, whose given features are `features`; none are zeros."""
        B = self.given if self.rated is None else self.rated
        prior = np.zeros((len(rows.indptr) - 1, B.shape[1]), B.dtype)
        if self.rated is not None:
            prior += unit_rows(rows, B.dtype) * sum_rated(rows, self.rated, n_workers)
        if self.given is not None and features is not None:
            prior += features @ self.given
        return prior


def unit_rows(rows, dtype):
    """1/√n of each row, as a column."""
    return (1 / np.sqrt(np.maximum(np.diff(rows.indptr), 1))).astype(dtype)[:, None]


def step_link(link: Link, X, prior, rows, columns, penalties, regs, n_workers: int = 1):
    """Lower Σ p ‖x − m‖² + λ_B ‖B‖² over B, for factors X that stay as they are.

    Of what was rated, B takes one step down the gradient, for each column as long as is best; the
    next half-step goes on from there. Of few given features, B is solved for. Rows without ratings
    do not count: they will be their prior means, whatever B is.

    Parameters
    ----------
    link : Link
    X, prior : ndarray, shape (n_rows, n_solved)
        Solutions, and F B.
    rows, columns : csr_array
        The ratings of the side, and their transpose.
    penalties : ndarray, shape (n_rows,)
        p: λ n^ν, or 0 where n = 0.
    regs : (float, float)
        λ_B of what was rated, and of the given features.

    Returns
    -------
    link : Link
    prior : ndarray
        The new F B.
    """
    p, dtype = penalties.astype(X.dtype)[:, None], X.dtype
    if link.rated is not None:
        root = unit_rows(rows, dtype)
        B, change = gradient_step(
            link.rated,
            X - prior,
            p,
            regs[0],
            lambda B: root * sum_rated(rows, B, n_workers),  # F B
            lambda Z: sum_rated(columns, root * Z, n_workers),  # Fᵀ Z
        )
        link, prior = replace(link, rated=B), prior + change
    if link.given is not None:
        F, B = link.features, link.given
        Ft = F.T.tocsr()
        if len(B) <= DIRECT:
            # (FᵀPF + λ_B I) B = FᵀP (X − the rest of the prior mean)
            system = (Ft @ F.multiply(p)).toarray()
            system[np.diag_indices(len(B))] += regs[1]
            B = _solve_link(system, Ft @ (p * (X - prior + F @ B)))
            change = F @ (B - link.given)
        else:
            B, change = gradient_step(B, X - prior, p, regs[1], lambda B: F @ B, lambda Z: Ft @ Z)
        link, prior = replace(link, given=B), prior + change
    return link, prior


def _solve_link(system, right):
    try:
        if np.isfinite(system).all():
            return solve_positive(system, right)
    except np.linalg.LinAlgError:
        pass
    raise ValueError(
        "feature_reg is too small, or the features are too large: their link cannot be solved for"
    )


def gradient_step(B, left, p, reg: float, forward: Callable, backward: Callable):
    """One step down the gradient of Σ p ‖left‖² + λ_B ‖B‖²: the new B, and the change of F B.

    For each column, the length of the step is what lowers its sum most.
    """
    gradient = backward(p * left) - B.dtype.type(reg) * B  # minus a half of it
    change = forward(gradient)
    size = np.sum(np.square(gradient), axis=0, dtype=float)
    curvature = np.sum(p * np.square(change), axis=0, dtype=float) + reg * size
    length = np.where(size > 0, size / np.where(size > 0, curvature, 1), 0).astype(B.dtype)
    return B + length * gradient, length * change


def sum_rated(rows, X: np.ndarray, n_workers: int = 1) -> np.ndarray:
    """For each row in CSR form, the sum of the rows of X that it has rated, without their stars.

    Any number of workers gives the same bits.
    """
    n_rows, n_columns = len(rows.indptr) - 1, X.shape[1]
    if not numba_is_here():
        ones = np.ones(len(rows.indices), X.dtype)
        shape = n_rows, len(X)
        return sp.csr_array((ones, rows.indices, rows.indptr), shape=shape) @ X
    sums, X = np.zeros((n_rows, n_columns), X.dtype), frozen(X, X.dtype)
    indptr, indices = frozen(rows.indptr, np.int64), frozen(rows.indices, np.int32)
    if n_workers == 1 or len(indices) * n_columns < 10**6:
        _sum_rows(indptr, indices, X, sums, 0, n_rows)
        return sums
    marks = np.linspace(0, len(indices), 8 * n_workers + 1)
    edges = [0, *np.searchsorted(indptr, marks[1:-1]).tolist(), n_rows]
    with open_threads(n_workers) as map_on_threads:
        map_on_threads(lambda part: _sum_rows(indptr, indices, X, sums, *part), pairwise(edges))
    return sums


@compiled
def _sum_rows(indptr, indices, X, sums, start, stop):
    for i in range(start, stop):
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            for c in range(X.shape[1]):
                sums[i, c] += X[j, c]


# Tables: what is not a number is one-hot encoded, numbers are cut into ranges


def learn_columns(table: pd.DataFrame, name: str) -> tuple:
    """What the features of a table are: (column, value), or (column, low, high) for numbers.

    Text is split at "|", as MovieLens joins genres. Numbers of more than ten different values are
    cut into eight ranges that hold about as many rows each.
    """
    found = []
    for column, values in _columns_of(table, name).items():
        own = [(column, value) for value in sorted(set(_parts(values)))]
        if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            numbers = _numbers(values, column, name)
            numbers = numbers[np.isfinite(numbers)]
            if len(np.unique(numbers)) > 10:
                edges = np.unique(np.quantile(numbers, np.linspace(0, 1, 9)[1:-1]))
                edges = [-np.inf, *edges[edges > numbers.min()].tolist(), np.inf]
                own = [(column, low, high) for low, high in pairwise(edges)]
        if not own:
            raise ValueError(f"{name}: column {column!r} holds no values; leave it out")
        found += own
    return tuple(found)


def encode(table: pd.DataFrame, columns: tuple, name: str) -> sp.csr_array:
    """The features of a table's rows, each row scaled to length 1; what is missing is zero."""
    rows, places = [], []  # of each one: the row that has it, and which feature that is
    for column, values in _columns_of(table, name).items():
        own = [k for k, (of, *_) in enumerate(columns) if of == column]
        if not own:
            known = ", ".join(dict.fromkeys(of for of, *_ in columns))
            raise ValueError(f"{name}: {column!r} is no feature of the model, which has {known}")
        first, lows = own[0], [columns[k][1] for k in own]  # in order
        if len(columns[first]) == 3:
            numbers = _numbers(values, column, name)
            there = np.flatnonzero(np.isfinite(numbers))
            rows.append(there)
            places.append(first + np.searchsorted(lows, numbers[there], side="right") - 1)
        else:
            parts = _parts(values)
            parts = parts[parts.isin(lows)]
            rows.append(parts.index)
            places.append(first + np.searchsorted(lows, parts.to_numpy(str)))
    rows, places = np.concatenate(rows), np.concatenate(places)
    F = sp.coo_array((np.ones(len(rows)), (rows, places)), shape=(len(table), len(columns)))
    F = F.tocsr()
    F.data[:] = 1  # a genre that a cell names twice counts once
    return sp.csr_array(F.multiply(unit_rows(F, float)))


def _columns_of(table, name):
    """The columns of a table by their names, as text; or TypeError or ValueError."""
    names = [str(column) for column in table]
    if len(set(names)) < len(names):
        twice = next(one for one in names if names.count(one) > 1)
        raise ValueError(f"{name} has two columns {twice!r}; rename one of them")
    columns = {one: table.iloc[:, k].reset_index(drop=True) for k, one in enumerate(names)}
    if not columns:
        raise ValueError(f"{name} is a table without columns")
    for column, values in columns.items():
        if pd.api.types.is_complex_dtype(values):
            raise TypeError(f"{name}: column {column!r} holds complex numbers; make them real")
        if any(isinstance(cell, (list, set, tuple, dict, np.ndarray)) for cell in values):
            raise TypeError(f'{name}: join the lists in column {column!r} by "|"')
    return columns


def _parts(values):
    """What the cells of a column hold, split at "|"; the index says in which row."""
    texts = values.astype(object).dropna().map(_as_text).astype(object)
    parts = texts.str.split("|").explode().str.strip()
    return parts[parts != ""]


def _as_text(cell):
    """Whole numbers look the same in all columns: 25, though a column with gaps holds 25.0."""
    whole = isinstance(cell, (float, np.floating)) and cell.is_integer()
    return str(int(cell)) if whole else str(cell)


def _numbers(values, column, name):
    """A column as floats, NaN where something is missing; or ValueError."""
    values = values.astype(object)
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(float, na_value=np.nan)
    if (wrong := np.isnan(numbers) & values.notna().to_numpy()).any():
        raise ValueError(f"{name}: {column!r} holds numbers, got {values[wrong].iloc[0]!r}")
    return numbers


def check_features(features, n_rows: int, name: str, link: Link | None = None, dtype=float):
    """Return features as CSR and what their columns are; or raise TypeError or ValueError.

    With a `link`, they are those of newcomers, and must be what the model was fitted with.
    """
    if isinstance(features, dict):
        features = pd.DataFrame({key: [value] for key, value in features.items()})
    columns = None if link is None else link.columns
    if isinstance(features, pd.DataFrame):
        if link is not None and columns is None:
            raise TypeError(f"{name} must be a matrix, as when the model was fitted, not a table")
        columns = learn_columns(features, name) if link is None else columns
        matrix = encode(features, columns, name)
    elif columns is not None:
        raise TypeError(f"{name} must be a table, as when the model was fitted")
    elif (sp.issparse(features) or isinstance(features, np.ndarray)) and features.ndim == 2:
        if features.dtype.kind not in "iufb":
            raise TypeError(f"{name} must be real numbers, got dtype {features.dtype}")
        matrix = sp.csr_array(features.astype(float))  # a copy
        matrix.sum_duplicates()
    else:
        kind = type(features).__name__
        raise TypeError(f"{name} must be a table or a matrix, with a row each, got {kind}")
    if matrix.shape[0] != n_rows:
        what = f"{matrix.shape[0]} rows for {n_rows}"
        raise ValueError(f"{name}: {what}; they stand in the order of the rows of the ratings")
    if link is not None and matrix.shape[1] != len(link.given):
        what = f"{matrix.shape[1]} columns for {len(link.given)} features"
        raise ValueError(f"{name}: {what} of the model")
    with np.errstate(over="ignore"):  # what overflows is not finite
        matrix = matrix.astype(dtype)
    if not matrix.shape[1] or not np.isfinite(matrix.data).all():
        raise ValueError(f"{name} must have columns, of finite numbers")
    return matrix, columns


def feature_names(columns: tuple | None, n_features: int) -> list[str]:
    """A name for each given feature."""
    if columns is None:
        return [f"feature {k}" for k in range(n_features)]
    return [_name(*column) for column in columns]


def _name(column, low, high=None):
    if high is None:
        return f"{column} {low}"
    if low == -np.inf:
        return f"{column} < {high:g}"
    return f"{column} ≥ {low:g}" if high == np.inf else f"{low:g} ≤ {column} < {high:g}"
