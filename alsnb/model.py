"""Settings, and the fitted model, which knows the equation that each of its rows solves.

Fitting is folding everybody in, again and again. So there is one method, `Factorization.equation`,
that says what a row of one side solves while the other side is fixed. The fit asks it, and so do
folding in, updates and explanations.
"""

from __future__ import annotations

import json
import os
import secrets
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp

from .features import Link, check_features, feature_names, step_link
from .metrics import check_clip, list_in_blocks, select_top
from .parallel import open_executor
from .ratings import (
    Ratings,
    check_array,
    check_count,
    check_exponent,
    check_floats,
    check_indices,
    check_number,
    check_position,
    check_positions,
    check_ratings,
    check_row,
    check_rows,
    check_table,
    count_ratings,
    damped_means,
    rows_of,
)
from .ridge import Equation, solve_row, solve_rows
from .timing import check_workers, one_blas_thread

SIDES = ("users", "items")
MOST_FACTORS = 10_000  # more are a slip, and take all memory
WHY = "; it is what makes a row with fewer ratings than factors solvable"


@dataclass(frozen=True)
class ALS:
    r"""Settings of alternating least squares: what is minimised.

    .. math:: \sum_{(i,j)} (r_{ij} - u_i^T v_j)^2
              + \lambda_u \sum_i n_i^\nu \lVert u_i \rVert^2
              + \lambda_v \sum_j n_j^\nu \lVert v_j \rVert^2

    With features, rows shrink towards what these predict, u_i towards Bᵀf_i and v_j towards Cᵀg_j,
    instead of zero, and λ_B (‖B‖² + ‖C‖²) is added. A row without ratings is what its features
    predict, or zero, and adds nothing.

    With `confidence`, R holds implicit feedback: counts, or ones for what somebody has clicked.
    Then all pairs count, those without a value as zeros,

    .. math:: \sum_{i,j} c_{ij} (p_{ij} - u_i^T v_j)^2
              + \lambda_u \sum_i (n_i + \alpha_0 m)^\nu \lVert u_i \rVert^2
              + \lambda_v \sum_j (n_j + \alpha_0 n)^\nu \lVert v_j \rVert^2

    for n users and m items. Where R has a value, p is 1 and c is α₀ + α r; elsewhere p is 0 and c
    is α₀. The cost is still that of the values, for the rest is a Gram matrix that all rows share.

    The defaults are those of the course's first fits, and overfit. To start with your own ratings,
    take ``bias=True, reg_exponent=0.5``, few factors, and the λ (from 1 to 4, say, for stars) that
    predicts held-out ratings best: `train_test_split`, `grid_search`.

    Attributes
    ----------
    n_factors : int
        f, the number of columns of U and V, biases aside; at most 10,000.
    lambda_reg : float, or a pair of them
        λ, positive; of a pair, the first is for users and the second for items.
    reg_exponent : float
        ν: a row with n ratings is penalised by λ n^ν. 0 is plain ridge, 1 weighted-λ.
    bias : bool
        Add the mean of the ratings and a bias for each user and item, as three columns of U and V.
    bias_reg : float, or a pair of them, optional
        λ of the biases; by default that of the factors.
    implicit_features : bool
        Use as features of a user which items were rated, of an item by whom: f_i holds 1/√n at the
        n of them. An item that nobody has rated is then predicted as one that nobody wanted; where
        such items matter, fit without.
    implicit_reg : float, or a pair of them
        λ_B of these features.
    feature_reg : float, or a pair of them
        λ_B of the features that `fit` is given.
    confidence : float, optional
        α: how much a count of one counts more than none. With it, R is implicit feedback.
    unobserved_weight : float
        α₀: how much a pair without a value counts, with `confidence`.

    Raises
    ------
    TypeError, ValueError
        If a setting is of the wrong kind or out of range.

    References
    ----------
    Zhou, Wilkinson, Schreiber and Pan (2008), section 3.1; Koren, Bell and Volinsky (2009) for
    biases; Agarwal and Chen (2009), *Regression-based latent factor models*, for features; Hu,
    Koren and Volinsky (2008), *Collaborative filtering for implicit feedback datasets*, for
    confidence, with α₀ = 1; Rendle, Krichene, Zhang and Koren (2022), *Revisiting the performance
    of iALS*, for α₀ and for penalties by n + α₀ m. Theirs, with ones only, is this with λ divided
    by 1 + α₀.

    Examples
    --------
    >>> from alsnb import make_low_rank_ratings
    >>> R, _, _ = make_low_rank_ratings(noise=0.5, rng=0)
    >>> ALS(n_factors=2, lambda_reg=1.0).fit(R, n_iterations=5, rng=0, verbose=False)
    Factorization: U 60 × 2, V 40 × 2, λ = 1, ν = 0, 5 iterations, train RMSE 0.6928
    """

    n_factors: int = 20
    lambda_reg: float | tuple[float, float] = 0.1
    reg_exponent: float = 0.0
    bias: bool = False
    bias_reg: float | tuple[float, float] | None = None
    implicit_features: bool = False
    implicit_reg: float | tuple[float, float] = 40.0
    feature_reg: float | tuple[float, float] = 150.0
    confidence: float | None = None
    unobserved_weight: float = 1.0
    fit: ClassVar[Callable[..., Factorization]]  # alsnb.als.fit, with the loop that builds on this

    def __post_init__(self):
        def keep(name, value):
            object.__setattr__(self, name, value)

        keep("n_factors", check_count("n_factors", self.n_factors, high=MOST_FACTORS))
        keep("lambda_reg", _check_pair("lambda_reg", self.lambda_reg, why=WHY))
        keep("reg_exponent", check_exponent(self.reg_exponent))
        for name in ("bias", "implicit_features"):
            value = getattr(self, name)
            if not isinstance(value, (bool, np.bool_)):
                raise TypeError(f"{name} must be True or False, got {value!r}")
            keep(name, bool(value))
        if self.bias_reg is not None:
            keep("bias_reg", _check_pair("bias_reg", self.bias_reg))
            if not self.bias:
                raise ValueError("bias_reg is the λ of biases; pass bias=True as well")
        for name in ("implicit_reg", "feature_reg"):
            keep(name, _check_pair(name, getattr(self, name)))
        keep("unobserved_weight", check_number("unobserved_weight", self.unobserved_weight))
        if self.confidence is not None:
            keep("confidence", check_number("confidence", self.confidence))
            if self.bias:
                raise ValueError("bias is for ratings in stars; leave it out with confidence")
        elif self.unobserved_weight != 1:
            raise ValueError("unobserved_weight goes with confidence; pass confidence=1 as well")

    def penalties(self, side: str, n_ratings: np.ndarray, n_columns: int) -> np.ndarray:
        """λ n^ν of rows with n ratings each, none counting as one; with α₀, λ (n + α₀ m)^ν."""
        n = np.maximum(n_ratings, 1).astype(float)
        if self.confidence is not None:
            n = n_ratings + self.unobserved_weight * n_columns
        return _of(self.lambda_reg, side) * n**self.reg_exponent

    def weigh(self, rows):
        """Rows as the equation takes them: with confidence, targets and weights instead of counts.

        An observed pair has c (1 − u·v)², of which α₀ (u·v)² belongs to the Gram matrix. What is
        left is w (t − u·v)², and a constant: w = c − α₀ = α r, and t = c / w.
        """
        if self.confidence is None or getattr(rows, "weights", None) is not None:
            return rows
        with np.errstate(all="ignore"):  # what over- or underflows is not finite
            weights = rows.data * rows.data.dtype.type(self.confidence)
            targets = 1 + self.unobserved_weight / weights
        if not ((weights > 0) & np.isfinite(weights) & np.isfinite(targets)).all():
            if (rows.data > 0).all():
                raise ValueError(
                    f"confidence × values, or unobserved_weight over that, leaves {weights.dtype}: "
                    "one of them is too large or too small"
                )
            raise ValueError(
                "with confidence all values must be positive, such as counts or ones; "
                "Ratings.binarize makes ones of ratings"
            )
        return Rows(rows.indptr, rows.indices, targets, weights)

    def bias_scale(self, side: str) -> float:
        """√(λ of a bias / λ of a factor), by which a bias counts more than a factor."""
        bias_reg = self.lambda_reg if self.bias_reg is None else self.bias_reg
        return float(np.sqrt(_of(bias_reg, side) / _of(self.lambda_reg, side)))


def _check_pair(name, value, why=""):
    """One number for both sides, or a pair."""
    value = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(value, (tuple, list)):
        return check_number(name, value, why=why)
    if len(value) != 2:
        raise ValueError(f"{name} must be a number, or a pair for users and items, got {value!r}")
    return tuple(check_number(name, one, why=why) for one in value)


def _of(pair, side):
    """The part of a setting that is for one side."""
    return pair[SIDES.index(side)] if isinstance(pair, tuple) else pair


class Rows(NamedTuple):
    """Rows in CSR form, without what a SciPy matrix costs; perhaps with a weight for each value."""

    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray
    weights: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Factorization:
    """A fitted model, R ≈ U Vᵀ, that unpacks as ``U, V, train_errors = model``.

    A prediction is ``U[user] @ V[item]``, with biases, too. Nothing that its methods are given is
    changed, and no model changes: what updates it returns another one.

    Attributes
    ----------
    U : ndarray, shape (n_users, n_columns)
    V : ndarray, shape (n_items, n_columns)
        f columns or, with biases, three more: U's are b_u, 1 and μ, V's are 1, b_i and 1. The parts
        have names: `user_factors`, `user_bias`, `item_factors`, `item_bias` and `mean`.
    settings : ALS or None
        What was minimised; None if that is unknown, for a half_step of your own.
    train_errors : ndarray, shape (n_iterations,)
        RMSE over the training ratings after each iteration, in stars; with confidence, over all
        pairs, each weighted by its c.
    test_errors : ndarray, shape (n_iterations,), or None
        The same over `R_test`, where it was given.
    objectives : ndarray, shape (n_iterations,), or None
        The objective after each iteration, in squared stars.
    links : pair of Link, or None
        With features: what predicts the prior means of users, and of items. See
        `feature_effects`.

    Examples
    --------
    >>> U, V = np.array([[1.0], [2.0]]), np.array([[2.0], [1.0], [3.0]])
    >>> model = Factorization(U, V, ALS(n_factors=1))
    >>> model.predict(1, [0, 2])
    array([4., 6.])
    """

    U: np.ndarray
    V: np.ndarray
    settings: ALS | None = None
    train_errors: np.ndarray = field(default_factory=lambda: np.empty(0))
    test_errors: np.ndarray | None = None
    objectives: np.ndarray | None = None
    links: tuple[Link | None, Link | None] | None = None

    def __post_init__(self):
        U, V, s = self.U, self.V, self.settings
        if not isinstance(s, (ALS, type(None))):
            raise TypeError(f"settings must be an ALS(…) or None, got {type(s).__name__}")
        for X in (U, V):
            if not isinstance(X, np.ndarray) or X.ndim != 2 or X.dtype not in ("f4", "f8"):
                raise TypeError("the model's U and V must be arrays of floats, of two dimensions")
        if U.shape[1] != V.shape[1] or U.dtype != V.dtype or not V.size:
            raise ValueError(f"the model's U and V do not fit: {U.shape} and {V.shape}")
        if s is not None and V.shape[1] != s.n_factors + 3 * s.bias:
            wanted = s.n_factors + 3 * s.bias
            raise ValueError(
                f"U and V have {V.shape[1]} columns, but the settings ask for {wanted}"
            )
        for link, X, Y in zip(self.links or (None, None), (U, V), (V, U), strict=True):
            rated = link is not None and link.rated is not None
            fits = link is None or link.fits(len(X), len(Y), self.n_factors + self._bias)
            if not fits or rated != (s is not None and s.implicit_features):
                raise ValueError("the model's links do not fit its U, its V or its settings")

    def __iter__(self):
        return iter((self.U, self.V, self.train_errors))

    def __repr__(self) -> str:
        (n, f), m, done = self.U.shape, len(self.V), len(self.train_errors)
        what = "a half_step of your own"
        if self.settings is not None:
            λ = " and ".join(f"{value:g}" for value in np.atleast_1d(self.settings.lambda_reg))
            what = f"λ = {λ}, ν = {self.settings.reg_exponent:g}"
        fit = f", train RMSE {self.train_errors[-1]:.4f}" if done else ""
        return f"Factorization: U {n} × {f}, V {m} × {f}, {what}, {done} iterations{fit}"

    def replace(self, **changes) -> Factorization:
        """The same model but for some attributes."""
        return replace(self, **changes)

    def with_rows(self, side: str, X: np.ndarray) -> Factorization:
        """The same model with other factors of one side."""
        model = self.replace(**{"U" if side == "users" else "V": X})
        if side in self._kept and not self._bias:  # a Gram matrix of the other side, which stays
            model._kept[side] = self._kept[side]
        return model

    # The parts by name, so that nobody counts columns

    @property
    def n_factors(self) -> int:
        """Number of factors, f."""
        return self.V.shape[1] - 3 * self._bias

    @property
    def user_factors(self) -> np.ndarray:
        """Shape (n_users, f)."""
        return self.U[:, : self.n_factors]

    @property
    def item_factors(self) -> np.ndarray:
        """Shape (n_items, f)."""
        return self.V[:, : self.n_factors]

    @property
    def user_bias(self) -> np.ndarray:
        """b_u of each user, in stars; zeros without biases."""
        return self.U[:, self.n_factors] if self._bias else np.zeros(len(self.U), self.U.dtype)

    @property
    def item_bias(self) -> np.ndarray:
        """b_i of each item, in stars; zeros without biases."""
        return self.V[:, self.n_factors + 1] if self._bias else np.zeros(len(self.V), self.V.dtype)

    @property
    def mean(self) -> float:
        """μ, the mean of the training ratings, in stars; 0 without biases."""
        return float(self.U[0, -1]) if self._bias else 0.0

    @cached_property
    def unknown_items(self) -> np.ndarray:
        """Whether the model knows neither ratings nor features of an item; shape (n_items,)."""
        return ~(self.item_factors.any(axis=1) | (self.item_bias != 0))

    @property
    def _bias(self):
        return self.settings is not None and self.settings.bias

    # The equation, and its solution

    def equation(self, side: str, rows, features=None, prior=None) -> Equation:
        """What rows of one side solve, the factors of the other side being fixed.

        Parameters
        ----------
        side : {"users", "items"}
        rows : csr_array, shape (n_rows, n_items) or, for items, (n_rows, n_users)
            Ratings of any rows of that side: all of them, some, or new ones.
        features : csr_array, shape (n_rows, n_features), optional
            Of these rows, as the model's link takes them.
        prior : ndarray, shape (n_rows, n_solved), optional
            Their prior means, where they are known; else they follow from the features.

        Returns
        -------
        Equation
            Its solutions become rows of U or V by `assemble`.
        """
        Y, offsets = self._fixed(side)
        penalties = self.settings.penalties(side, np.diff(rows.indptr), len(Y))
        if prior is None and (link := self.link(side)) is not None:
            prior = link.prior_means(rows, features)
        indptr, indices, data, weights = self._rows(rows, Y.dtype)
        more = {"weights": weights, "gram": self._gram(side), "prior": prior}
        return Equation(indptr, indices, data, Y, penalties, offsets, **more)

    def squared_error(self, equation: Equation, X: np.ndarray, squares: np.ndarray) -> float:
        """Σ (r − u·v)² over the ratings or, with confidence, Σ c (p − u·v)² over all pairs.

        `squares` are those of the rows' equation, at its solution `X`.
        """
        total = squares.sum()
        if self.settings.confidence is not None:  # c (1 − u·v)² less the rest: c − w t² = −α₀ t
            constant = self.settings.unobserved_weight * equation.ratings.sum(dtype=float)
            total = np.maximum(total + equation.unobserved(X) - constant, 0)  # but for rounding
        return float(total)

    def assemble(self, side: str, X: np.ndarray) -> np.ndarray:
        """All columns of rows of U or V, of the solutions of their equations."""
        if not self._bias:
            return X
        ones = np.ones((len(X), 1), X.dtype)
        factors, bias = X[:, :-1], X[:, -1:] / X.dtype.type(self.settings.bias_scale(side))
        if side == "users":
            return np.hstack([factors, bias, ones, X.dtype.type(self.mean) * ones])
        return np.hstack([factors, ones, bias, ones])

    # What features predict

    def link(self, side: str) -> Link | None:
        """What predicts the prior means of one side; None if these are zero."""
        return None if self.links is None else self.links[SIDES.index(side)]

    def with_link(self, side: str, link: Link) -> Factorization:
        """The same model with another link of one side."""
        pair = list(self.links)
        pair[SIDES.index(side)] = link
        return self.replace(links=tuple(pair))

    def step_link(self, side: str, rows, columns, prior=None, n_workers: int = 1):
        """Lower the objective over the link of one side: the model, and the new prior means.

        Parameters
        ----------
        side : {"users", "items"}
        rows, columns : csr_array
            All ratings of that side, and their transpose.
        prior : ndarray, optional
            The prior means so far, where they are known.
        n_workers : int
            Threads.
        """
        link, n_ratings = self.link(side), np.diff(rows.indptr)
        penalties = self.settings.penalties(side, n_ratings, len(columns.indptr) - 1)
        if self.settings.confidence is None:  # rows without ratings are their prior means
            penalties = np.where(n_ratings > 0, penalties, 0)
        if prior is None:
            prior = link.prior_means(rows, link.features, n_workers)
        X, regs = self.solved(side), self._link_regs(side)
        link, prior = step_link(link, X, prior, rows, columns, penalties, regs, n_workers)
        return self.with_link(side, link), prior

    def link_penalty(self, side: str) -> float:
        """λ_B ‖B‖² of one side, in squared stars."""
        link = self.link(side)
        return sum(
            reg * float(np.sum(np.square(B), dtype=float))
            for reg, B in zip(self._link_regs(side), (link.rated, link.given), strict=True)
            if B is not None
        )

    def _link_regs(self, side):
        """λ_B of what was rated, and of the given features."""
        return _of(self.settings.implicit_reg, side), _of(self.settings.feature_reg, side)

    def solved(self, side: str) -> np.ndarray:
        """The solutions of a side's equations of which its rows were assembled."""
        X, bias = self.user_factors, self.user_bias
        if side == "items":
            X, bias = self.item_factors, self.item_bias
        if not self._bias:
            return X
        return np.column_stack([X, bias * X.dtype.type(self.settings.bias_scale(side))])

    def prior_mean(self, items=(), side: str = "users", *, features=None) -> np.ndarray:
        """Factors that features alone predict: of somebody who has rated items, whatever the stars.

        Parameters
        ----------
        items : array of int
            What was rated, or clicked; with ``side="items"``, the users who have done so.
        side : {"users", "items"}
        features : dict, DataFrame or matrix of one row, optional
            What else is known, as `fit` was given it.

        Returns
        -------
        ndarray, shape (n_columns,)
            A row for U, or for V; it predicts by ``model.V @ row``.

        Raises
        ------
        IndexError, TypeError, ValueError
            If there is no such item, or the features are not what the model was fitted with.

        Examples
        --------
        >>> R = sp.csr_array([[4.0, 0.0], [5.0, 2.0], [0.0, 1.0]])
        >>> settings = ALS(n_factors=1, bias=True, implicit_features=True, implicit_reg=1)
        >>> model = settings.fit(R, rng=0, verbose=False)
        >>> liked, disliked = (model.V @ model.prior_mean([item]) for item in (0, 1))
        >>> bool(liked.mean() > disliked.mean())
        True
        """
        _check_side(side)
        name, size = ("items", len(self.V)) if side == "users" else ("users", len(self.U))
        items, link = check_positions(name, items, size), self.link(side)
        features = self._features(side, features, 1)
        prior = np.zeros((1, self.n_factors + self._bias), self.V.dtype)
        if link is not None:
            prior = link.prior_means(one_row(items, None), features)
        return self.assemble(side, prior)[0]

    def feature_effects(self, side: str = "items") -> pd.DataFrame:
        """What the model has learnt of given features: B, a row for each feature.

        Parameters
        ----------
        side : {"users", "items"}

        Returns
        -------
        DataFrame, indexed by feature
            Columns 0 to f − 1: where the prior mean of a row moves if it has this feature alone.
            With biases also ``bias``, in stars.

        Raises
        ------
        ValueError
            If the model was fitted without given features of that side.

        Examples
        --------
        >>> R = sp.csr_array([[4.0, 1.0], [5.0, 2.0]])
        >>> table = pd.DataFrame({"genres": ["Comedy|War", "War"]})
        >>> model = ALS(1, bias=True).fit(R, item_features=table, rng=0, verbose=False)
        >>> model.feature_effects().index.tolist()
        ['genres Comedy', 'genres War']
        """
        _check_side(side)
        link = self.link(side)
        if link is None or link.given is None:
            raise ValueError(f"the model was fitted without features of {side} that were given")
        names = feature_names(link.columns, len(link.given))
        effects = pd.DataFrame(link.given[:, : self.n_factors], index=names)
        if self._bias:
            effects["bias"] = link.given[:, -1] / self.settings.bias_scale(side)
        return effects

    def _features(self, side, features, n_rows):
        """Given features of new rows as the link takes them, or None."""
        link = self.link(side)
        if features is None:
            return None
        if link is None or link.given is None:
            raise ValueError(f"the model was fitted without features of {side}; leave them out")
        return check_features(features, n_rows, "features", link, self.V.dtype)[0]

    def _fixed(self, side):
        """The fixed Y of a side's equations, and what is explained already, or None."""
        if self.settings is None:
            raise ValueError(
                "this model was fitted with a half_step of your own; solve its rows with that"
            )
        if not self._bias:
            return (self.V if side == "users" else self.U), None
        if side not in self._kept:
            # A bias that is penalised s² times as much as a factor is x / s, where x is penalised
            # like one: its column of Y is 1 / s.
            Y, bias = self.item_factors, self.item_bias
            if side == "items":
                Y, bias = self.user_factors, self.user_bias
            column = np.full((len(Y), 1), 1 / self.settings.bias_scale(side), Y.dtype)
            self._kept[side] = np.hstack([Y, column]), bias + Y.dtype.type(self.mean)
        return self._kept[side]

    def _gram(self, side):
        """α₀ YᵀY over all rows of the fixed side, or None: what all pairs cost as zeros."""
        if self.settings.confidence is None:
            return None
        if side not in self._kept:
            Y = self._fixed(side)[0]
            self._kept[side] = Y.T @ Y * Y.dtype.type(self.settings.unobserved_weight)
        return self._kept[side]

    def _rows(self, rows, dtype):
        """Rows as an equation holds them."""
        indices, data = rows.indices.astype(np.int32, copy=False), rows.data
        weights = getattr(rows, "weights", None)
        rows = Rows(rows.indptr, indices, data.astype(dtype, copy=False), weights)
        return self.settings.weigh(rows)

    @cached_property
    def _kept(self):
        return {}  # what `_fixed`, or with confidence `_gram`, has computed

    def fold_in(
        self, ratings, side: str = "users", *, features=None, n_workers: int | None = None
    ) -> np.ndarray:
        """Factors of rows that the model may never have seen: new users, or new items.

        Parameters
        ----------
        ratings : (items, ratings), or scipy.sparse array or matrix, shape (n_rows, n_items)
            One row's, as two arrays, or those of many rows; some may have none. With
            ``side="items"`` each row is an item, and each column a user.
        side : {"users", "items"}
        features : dict, DataFrame or matrix, optional
            What else is known of the rows, as `fit` was given it, in the same order; by default
            nothing.
        n_workers : int, optional
            Threads, for many rows; by default as many as there are cores.

        Returns
        -------
        ndarray, shape (n_columns,) or (n_rows, n_columns)
            Rows for U, which predict by ``model.V @ row``; or for V.

        Raises
        ------
        IndexError
            If there is no such item.
        TypeError, ValueError
            If items repeat or are no positions, or ratings are not as many finite numbers, or a
            matrix does not have a column for each row of V, or the features are not what the model
            was fitted with.

        Examples
        --------
        >>> model = Factorization(np.ones((1, 1)), np.array([[1.0], [2.0]]), ALS(1, lambda_reg=1))
        >>> model.fold_in(([1], [5]))  # (2·2 + 1)⁻¹ 2·5
        array([2.])
        """
        rows = self._check_new(ratings, side, "ratings")
        features = self._features(side, features, len(rows.indptr) - 1)
        X = self._solve(side, rows, features, n_workers)
        return X[0] if isinstance(ratings, tuple) else X

    def _check_new(self, ratings, side, name):
        """Rows of ratings, of a pair or a matrix; or raise what is wrong."""
        _check_side(side)
        fixed, columns = (self.V, "items") if side == "users" else (self.U, "users")
        return check_new(ratings, len(fixed), columns, name)

    def _solve(self, side, rows, features=None, n_workers=None):
        """All columns of some rows, whose ratings are checked."""
        with np.errstate(over="ignore", invalid="ignore"):
            new = self.settings is not None and self.settings.confidence and side not in self._kept
            with one_blas_thread() if new else nullcontext():  # as in the fit
                equation = self.equation(side, rows, features)
            one = len(equation) == 1
            Y = equation.Y[rows.indices] if one else equation.Y
            if not np.isfinite(np.vdot(Y, Y)):  # or YᵀY might overflow, and its solution be zero
                raise ValueError("the model's factors hold NaN or ∞, or are too large")
            if one:
                X = solve_rows(equation)
            else:
                with open_executor("threads", check_workers(n_workers)) as solve:
                    X, _ = solve(equation)
            X = self.assemble(side, X)
        if not np.isfinite(X).all():
            raise ValueError("the solution is not finite: ratings or factors are NaN or too large")
        return X

    # Updates: a model and an R in, a model and an R out

    def update(self, new, R, side: str = "users", *, n_workers: int | None = None):
        """Take in new ratings: the rows of one side that have any are solved, on all their ratings.

        Parameters
        ----------
        new : (user, items, ratings), or scipy.sparse array or matrix, shape (n_users, n_items)
            Those of one user, or of many users. What was rated before is replaced.
        R : scipy.sparse array or matrix, shape (n_users, n_items)
            All ratings so far.
        side : {"users", "items"}
            Which rows to solve: those of the users, or of the items, that have new ratings.
        n_workers : int, optional
            As for `fold_in`.

        Returns
        -------
        model : Factorization
            Errors and objectives stay those of the fit.
        R : csr_array, shape (n_users, n_items)
            With the new ratings.

        Raises
        ------
        IndexError
            If there is no such user or item.
        TypeError, ValueError
            As for `fold_in`, and if R does not fit the model.

        Examples
        --------
        >>> R = sp.csr_array([[4.0, 0.0], [0.0, 3.0]])
        >>> model = ALS(n_factors=1).fit(R, rng=0, verbose=False)
        >>> model, R = model.update((0, [1], [5]), R)
        >>> R.toarray()
        array([[4., 5.],
               [0., 3.]])
        """
        _check_side(side)
        R = self._check_fitting(R)
        if isinstance(new, tuple):
            if len(new) != 3:
                raise ValueError(f"new is (user, items, ratings), got {len(new)} parts")
            user = check_position("user", new[0], len(self.U))
            items, ratings = check_row("items", new[1], new[2], len(self.V))
            changes = {user: (items, ratings)}
        else:
            new = self._check_fitting(check_ratings(new, "new", empty=True), "new")
            changes = {
                int(user): (new.indices[start:stop], new.data[start:stop])
                for user in np.flatnonzero(np.diff(new.indptr))
                for start, stop in [new.indptr[user : user + 2]]
            }
        return self._change(changes, R, side, n_workers)

    def forget(self, user: int, items, R):
        """Forget ratings of one user, as if they had never been given: ``(model, R)`` without them.

        Raises ValueError if one of the items was not rated, and else as `update`.

        Examples
        --------
        >>> R = sp.csr_array([[4.0, 5.0], [0.0, 3.0]])
        >>> model = ALS(n_factors=1).fit(R, rng=0, verbose=False)
        >>> model, R = model.forget(0, 1, R)
        >>> R.toarray()
        array([[4., 0.],
               [0., 3.]])
        """
        R, user = self._check_fitting(R), check_position("user", user, len(self.U))
        items = check_positions("items", items, len(self.V))
        rated = R.indices[R.indptr[user] : R.indptr[user + 1]]
        if len(unrated := np.setdiff1d(items, rated)):
            raise ValueError(f"user {user} has not rated item {unrated[0]}: nothing to forget")
        return self._change({user: (items, None)}, R, "users", 1)

    @np.errstate(over="ignore", invalid="ignore")  # what overflows is an error
    def _change(self, changes, R, side, n_workers):
        check_indices(R)  # which are all copied
        R, touched = _replace_rows(R, changes)
        if side == "users":
            rows = np.array(sorted(changes), dtype=np.intp)
            A = _row_of(R, *rows) if len(rows) == 1 else R[rows]
        else:
            rows = np.unique(touched)
            A = R.T.tocsr()[rows]
        X = (self.U if side == "users" else self.V).copy()
        if len(rows):
            link = self.link(side)
            known = link is not None and link.features is not None
            X[rows] = self._solve(side, A, link.features[rows] if known else None, n_workers)
        return self.with_rows(side, X), R

    def append(self, new, R, side: str = "users", *, features=None, n_workers: int | None = None):
        """Fold new rows in and append them, so that the model and R grow.

        Parameters
        ----------
        new : (items, ratings), or scipy.sparse array or matrix, shape (n_new, n_items)
            Their ratings, as for `fold_in`: one row's, or a row for each new user (new item).
        R : scipy.sparse array or matrix, shape (n_users, n_items)
            All ratings so far.
        side : {"users", "items"}
        features, n_workers : optional
            As for `fold_in`.

        Returns
        -------
        model : Factorization
            With n_new more rows of U, or of V.
        R : csr_array
            With as many more rows, or columns. Ids and titles must grow, too, in the same order:
            ``ratings.with_matrix(R, user_ids=[…])``.

        Raises
        ------
        TypeError, ValueError
            As for `fold_in`, and if R does not fit the model.

        Examples
        --------
        >>> R = sp.csr_array([[4.0, 0.0], [0.0, 3.0]])
        >>> model = ALS(n_factors=1).fit(R, rng=0, verbose=False)
        >>> model, R = model.append(sp.csr_array([[1.0, 0.0]]), R)
        >>> model.U.shape, R.shape
        ((3, 1), (3, 2))
        """
        R, A = self._check_fitting(R), self._check_new(new, side, "new ratings")
        check_indices(R)
        if isinstance(A, Rows):
            A = sp.csr_array((A.data, A.indices, A.indptr), (1, R.shape[side == "users"]))
            A = check_ratings(A, empty=True)
        features = self._features(side, features, A.shape[0])
        X = self._solve(side, A, features, n_workers)
        users = side == "users"
        changes = {"U": np.vstack([self.U, X])} if users else {"V": np.vstack([self.V, X])}
        if self.links is not None:
            changes["links"] = tuple(
                link if link is None else _grown(link, own, A.shape[0], features)
                for link, own in zip(self.links, (users, not users), strict=True)
            )
        stacked = sp.vstack([R, A]) if users else sp.hstack([R, A.T])
        return self.replace(**changes), check_ratings(stacked.tocsr(), dtype=R.dtype, empty=True)

    def _check_fitting(self, R, name="R"):
        """R as CSR, or TypeError or ValueError unless it has the model's shape."""
        R, shape = check_rows(R, name), (len(self.U), len(self.V))
        if R.shape != shape:
            sizes = f"{R.shape[0]} × {R.shape[1]} but the model {shape[0]} × {shape[1]}"
            hint = "; is one of them transposed?" if R.shape[::-1] == shape else ""
            raise ValueError(f"{name} is {sizes}{hint}")
        return R

    # What a model is for

    def predict(self, users, items=None, *, clip: tuple[float, float] | None = None) -> np.ndarray:
        """Predicted ratings, u_i · v_j.

        Parameters
        ----------
        users : int or array of int
        items : int or array of int, optional
            Broadcast against `users`: pairs. By default all items, for each of the users.
        clip : (float, float), optional
            The rating scale: what is predicted beyond it is moved there.

        Returns
        -------
        ndarray
            In stars, of the shape of `users` and `items` together.

        Raises
        ------
        IndexError, TypeError, ValueError
            If there is no such user or item, or `clip` is no pair in ascending order.

        Examples
        --------
        >>> model = Factorization(np.array([[1.0], [2.0]]), np.array([[2.0], [1.5]]))
        >>> model.predict(0)
        array([2. , 1.5])
        >>> model.predict([0, 1], [0, 0])
        array([2., 4.])
        """
        users = check_array("users", users)
        check_positions("users", np.unique(users), len(self.U))
        if items is None:
            scores = self.U[users] @ self.V.T
        else:
            items = check_array("items", items)
            check_positions("items", np.unique(items), len(self.V))
            scores = np.sum(self.U[users] * self.V[items], axis=-1)
        return scores if clip is None else np.clip(scores, *check_clip(clip))

    def recommend(
        self, users, R, top_n: int = 10, *, candidates=None, n_workers: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Recommend the unseen items with the highest predicted ratings, to one user or to many.

        Items without training ratings are left out, unless the model was given features of them.
        A user of whom it knows neither ratings nor features gets the items with the highest
        `damped_means` of R or, with confidence, the most values, with a warning. (A model with
        biases needs no such help: it predicts μ + b_i.)

        Parameters
        ----------
        users : int, array of int, or None
            One user, several of them in this order, or all.
        R : scipy.sparse array or matrix, shape (n_users, n_items), or Ratings
            What has been rated, a stored zero included; none of it is recommended again.
        top_n : int
            How many.
        candidates : array of int, optional
            Recommend only these; by default all items. What enough people have rated is
            ``np.flatnonzero(count_ratings(R)[1] >= 20)``.
        n_workers : int, optional
            Threads, for many users; by default as many as there are cores.

        Returns
        -------
        items : ndarray of int, shape (≤ top_n,) or (n_users, min(top_n, n_items))
            Columns of R, best first; of equal scores the lower column comes first. The list of one
            user is shorter where fewer items are left; of many, the row ends in −1: take
            ``row[row >= 0]``.
        scores : ndarray, of the same shape
            Their predicted ratings, in stars, not clipped to the scale; −∞ where items are −1.

        Raises
        ------
        IndexError
            If there is no such user, or no such item in `candidates`.
        TypeError, ValueError
            If an argument is of the wrong kind, or R does not fit the model.

        Examples
        --------
        >>> model = Factorization(np.array([[1.0], [2.0]]), np.array([[2.0], [1.5], [1.0]]))
        >>> R = sp.csr_array([[5.0, 0.0, 0.0], [0.0, 0.0, 4.0]])
        >>> model.recommend(0, R)
        (array([1, 2]), array([1.5, 1. ]))
        >>> items, _ = model.recommend(None, R)
        >>> items
        array([[ 1,  2, -1],
               [ 0,  1, -1]])
        """
        R, top_n = self._check_fitting(R), min(check_count("top_n", top_n), len(self.V))
        one = users is not None and not np.ndim(check_array("users", users))
        users = check_position("user", users, len(self.U)) if one else users
        chosen = np.arange(len(self.U)) if users is None else np.atleast_1d(users)
        chosen = check_positions("users", chosen, len(self.U))
        left_out, means = self.unknown_items | _left_out(len(self.V), (), candidates), None
        unknown = chosen[~self.U[chosen].any(axis=1)]
        if R.nnz and len(unknown):
            who = f"user {unknown[0]} has" if len(unknown) == 1 else f"{len(unknown)} users have"
            popular = self.settings is not None and self.settings.confidence is not None
            best = "most popular items" if popular else "highest damped means"
            message = f"{who} no ratings in training: recommended are the {best}"
            warnings.warn(message, stacklevel=2)
            means = count_ratings(R)[1] if popular else damped_means(R).astype(self.U.dtype)

        def list_block(block):
            with np.errstate(over="ignore", invalid="ignore"):
                scores, seen = self.U[block] @ self.V.T, R[block]
                check_indices(seen)
            if means is not None:
                scores[~self.U[block].any(axis=1)] = means
            _check_scores(scores, block)
            scores[rows_of(seen), seen.indices] = -np.inf
            scores[:, left_out] = -np.inf
            return select_top(scores, top_n)

        if one:
            items, scores = list_block(chosen)
            found = items[0] >= 0
            return items[0][found], scores[0][found]
        return list_in_blocks(list_block, chosen, len(self.V), n_workers)

    def similar_items(
        self, item: int, top_n: int = 10, *, candidates=None, measure: str = "cosine"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Items whose factors are most like an item's; biases are left out of it.

        Parameters
        ----------
        item : int
            Row of V.
        top_n : int
        candidates : array of int, optional
            As for `recommend`: short factors, of few ratings, point somewhere by chance.
        measure : {"cosine", "dot"}
            The cosine asks only in which direction factors point; the dot product also how far, so
            that much-rated items, whose factors are long, come first, whatever the item.

        Returns
        -------
        items : ndarray of int, shape (≤ top_n,)
            Best first; neither the item itself nor items whose factors are zero.
        similarities : ndarray, shape (≤ top_n,)

        Raises
        ------
        IndexError, TypeError, ValueError
            If there is no such item, an argument is of the wrong kind, or the item's factors are
            zero, for want of ratings.

        Examples
        --------
        >>> V = np.array([[1.0, 0.0], [0.0, 3.0], [2.0, 1.0]])
        >>> items, cosines = Factorization(np.ones((1, 2)), V).similar_items(0)
        >>> items
        array([2, 1])
        """
        V, item = self.item_factors, check_position("item", item, len(self.V))
        if measure not in ("cosine", "dot"):
            raise ValueError(f"measure must be 'cosine' or 'dot', got {measure!r}")
        with np.errstate(over="ignore", invalid="ignore"):
            norms, scores = np.linalg.norm(V, axis=1), V @ V[item]
            if norms[item] == 0:
                raise ValueError(f"item {item} has no ratings, so its factors point nowhere")
            if measure == "cosine":
                scores = scores / np.where(norms == 0, 1, norms) / norms[item]
        left_out = np.append(np.flatnonzero(norms == 0), item)
        return top_items(scores, top_n, exclude=np.unique(left_out), candidates=candidates)

    def explain(self, item: int, items, ratings, *, features=None, split: bool = False):
        r"""How much each of a user's ratings has contributed to the predicted rating of an item.

        The user's factors are linear in the ratings, and so is the prediction. With A the matrix of
        the user's equation, and y = y_j the item's row:

        .. math:: y^T A^{-1} \Bigl(\sum_k y_k (r_k - o_k) + p\, m\Bigr) + o_j

        With confidence, c_k y_k stands in place of y_k (r_k − o_k). With implicit features the
        prior mean m is a sum over the same ratings. So each of these counts twice: for *how* it was
        rated, and *that* it was.

        Parameters
        ----------
        item : int
            Row of V.
        items, ratings : array, shape (n_ratings,)
            All that the user has rated, as for `fold_in`.
        features : dict, DataFrame or matrix of one row, optional
            What else is known of the user; its share is part of the baseline.
        split : bool
            Return how and that apart.

        Returns
        -------
        shares : ndarray, shape (n_ratings,), or DataFrame with the columns how and that
            In stars; they add up, with the baseline, to ``V[item] @ model.fold_in(…)``.
        baseline : float
            What is left: μ + b_i with biases, or 0, and the share of the given features.

        Raises what `fold_in` does. Source: Hu, Koren and Volinsky (2008), section 5.

        Examples
        --------
        >>> model = Factorization(np.ones((1, 1)), np.array([[1.0], [2.0]]), ALS(1, lambda_reg=1))
        >>> model.explain(0, [1], [5])
        (array([2.]), 0.0)
        """
        item = check_position("item", item, len(self.V))
        items, ratings = check_row("items", items, ratings, len(self.V))
        features, link = self._features("users", features, 1), self.link("users")
        with np.errstate(over="ignore", invalid="ignore"):
            equation = self.equation("users", one_row(items, ratings), features)
            row, y, penalty = equation.row(0), equation.Y[item], equation.penalties[0]
            # z = A⁻¹ y minimises Σ w (y_k·z)² + zᵀGz + p ‖z − y/p‖²
            more = {"weights": row["weights"], "gram": row["gram"], "prior": y / penalty}
            z = solve_row(row["Y"], np.zeros(len(items), y.dtype), penalty, **more)
            how = row["Y"] @ z * (row["r"] - (0 if row["offsets"] is None else row["offsets"]))
            how *= 1 if row["weights"] is None else row["weights"]
            that, baseline = np.zeros_like(how), 0.0
            if link is not None and link.rated is not None:
                that = penalty * (link.rated[items] @ z) / np.sqrt(max(len(items), 1))
            if features is not None:
                baseline = float(penalty * ((features @ link.given)[0] @ z))
            if equation.offsets is not None:
                baseline += float(equation.offsets[item])
        if not np.isfinite(how + that).all() or not np.isfinite(z).all():
            raise ValueError("the shares are NaN or ∞: ratings or factors are, or are too large")
        return pd.DataFrame({"how": how, "that": that}) if split else how + that, baseline

    # Files: one .npz, without pickle, so that loading can run no code

    def save(self, path, ratings: Ratings | None = None) -> Path:
        """Write the model to one file: all of it, or nothing.

        Parameters
        ----------
        path : str or path-like
            Ends in .npz. A file that is there is replaced once the new one is complete.
        ratings : Ratings, optional
            Saved as well: ids, titles, scale and R, without which nobody knows what the rows are.

        Returns
        -------
        Path

        Raises
        ------
        ValueError
            If `path` does not end in .npz, or the ratings do not fit the model.
        OSError
            If the folder does not exist, or cannot be written to.

        Examples
        --------
        >>> import tempfile
        >>> model = Factorization(np.ones((2, 1)), np.ones((3, 1)), ALS(n_factors=1))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     print(load_model(model.save(f"{folder}/model.npz")))
        Factorization: U 2 × 1, V 3 × 1, λ = 0.1, ν = 0, 0 iterations
        """
        path = _check_path(path)
        if not path.parent.is_dir():
            raise FileNotFoundError(
                f"the folder {str(path.parent)!r} does not exist; make it first"
            )
        if path.suffix != ".npz":
            raise ValueError(f"the name of a model's file ends in .npz, got {str(path)!r}")
        settings = None if self.settings is None else asdict(self.settings)
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        about = {"format": _FORMAT, "settings": settings, "columns": {}}
        for side in SIDES if self.links is not None else ():
            link = self.link(side)
            if link is not None:
                about["columns"][side] = link.columns
                arrays |= {f"link_{side}_rated": link.rated, f"link_{side}_given": link.given}
            if link is not None and link.features is not None:
                for part in ("data", "indices", "indptr"):
                    arrays[f"link_{side}_{part}"] = getattr(link.features, part)
        if ratings is not None:
            check_table(ratings)
            self._check_fitting(ratings, "ratings")
            about["ratings"] = {name: getattr(ratings, name) for name in _ABOUT_RATINGS}
            for name in _RATINGS:
                values = np.asarray(getattr(ratings, name))
                if values.dtype == object and not all(isinstance(one, str) for one in values):
                    raise TypeError(f"{name} must be numbers or text to be saved; use astype(str)")
                arrays[f"ratings_{name}"] = values.astype(str) if values.dtype == object else values
            table = ratings.table.copy()
            users, items = ratings.users(table.pop("user_id")), ratings.items(table.pop("item_id"))
            arrays |= {"ratings_users": users.astype("i4"), "ratings_items": items.astype("i4")}
            arrays |= {f"ratings_{name}": table[name].to_numpy() for name in table}
        arrays = {name: array for name, array in arrays.items() if array is not None}
        about["arrays"] = sorted(arrays)
        part = path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            with open(part, "xb") as file:
                np.savez(file, about=np.array(json.dumps(about, default=float)), **arrays)
            part.replace(path)
        except OSError as error:  # which may name the part, or nothing
            raise OSError(error.errno, error.strerror, str(path)) from error
        finally:
            part.unlink(missing_ok=True)
        return path


_FORMAT = "alsnb model 3"
_ARRAYS = ("U", "V", "train_errors", "test_errors", "objectives")
_RATINGS = ("user_ids", "item_ids", "titles")
_ABOUT_RATINGS = ("scale", "name", "item_name", "unit")


def load_model(path, *, with_ratings: bool = False):
    """Read a model that `Factorization.save` wrote.

    Parameters
    ----------
    path : str or path-like
    with_ratings : bool
        Read the ratings, too, that were saved beside it. Without, only the model is returned,
        which itself unpacks as U, V, train_errors.

    Returns
    -------
    Factorization, or (Factorization, Ratings)
        The same numbers, to the bit. Of the ratings, what the user_table and item_table held is not
        saved.

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    ValueError
        If it is something else or damaged, or holds no ratings where they are wanted.

    Examples
    --------
    >>> import tempfile
    >>> R = Ratings.from_table(pd.DataFrame({"user_id": ["a"], "item_id": ["b"], "rating": [3]}))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = ALS(n_factors=1).fit(R, verbose=False).save(f"{folder}/model.npz", R)
    ...     model, ratings = load_model(path, with_ratings=True)
    >>> ratings.user("a"), ratings.titles
    (0, array(['b'], dtype=object))
    """
    with open(_check_path(path), "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                if any(one.compress_size < one.file_size for one in archive.zip.infolist()):
                    raise ValueError("it is compressed, as no saved model is")  # perhaps a zip bomb
                arrays = {name: archive[name] for name in archive.files}
            about = json.loads(arrays.pop("about").item())
            if about["format"] != _FORMAT:
                raise ValueError(f"it is {about['format']!r}, not {_FORMAT!r}; save it anew")
            if about["arrays"] != sorted(arrays):
                raise ValueError("parts of it are missing")
            settings = about["settings"]
            if settings is not None:  # JSON knows no tuples
                pairs = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
                settings = ALS(**pairs)
            found = {name: arrays[name] for name in _ARRAYS if name in arrays}
            links = tuple(_read_link(arrays, about["columns"], side) for side in SIDES)
            links = links if any(links) else None
            model = Factorization(**found, settings=settings, links=links)
            there = with_ratings and "ratings" in about
            ratings = _read_ratings(arrays, about["ratings"], model) if there else None
        except Exception as error:  # whatever its bytes led to
            why = f"{type(error).__name__}: {error}"
            what = f"{path} is not a model saved by alsnb, or is damaged"
            raise ValueError(f"{what}: {why}") from error
    if with_ratings and not there:
        raise ValueError(f"{path} holds no ratings; save them by model.save(path, ratings)")
    return (model, ratings) if with_ratings else model


def _read_ratings(arrays, facts, model):
    """The ratings from a file."""
    saved = {k[8:]: v for k, v in arrays.items() if k.startswith("ratings_")}
    ids = {name: saved.pop(name) for name in _RATINGS}
    ids = {k: v.astype(object) if v.dtype.kind == "U" else v for k, v in ids.items()}
    users, items = saved.pop("users"), saved.pop("items")
    R = sp.coo_array((saved["rating"], (users, items)), shape=(len(model.U), len(model.V))).tocsr()
    table = {"user_id": ids["user_ids"][users], "item_id": ids["item_ids"][items]}
    facts = facts | {"scale": tuple(facts["scale"])}
    return Ratings(R=R, table=pd.DataFrame(table | saved), **ids, **facts)


def _check_path(path) -> Path:
    if not isinstance(path, (str, os.PathLike)):  # a number would be an open file
        raise TypeError(f"path must be text or a pathlib.Path, got {type(path).__name__}")
    return Path(path)


def _read_link(arrays, columns, side):
    """The link of one side from a file, or None."""
    if side not in columns:
        return None
    start, kinds = f"link_{side}_", columns[side]
    parts = {k.removeprefix(start): array for k, array in arrays.items() if k.startswith(start)}
    link = Link(parts.get("rated"), parts.get("given"))
    if link.given is not None:
        shape = len(parts["indptr"]) - 1, len(link.given)
        F = sp.csr_array((parts["data"], parts["indices"], parts["indptr"]), shape=shape)
        F.check_format(full_check=True)
        kinds = None if kinds is None else tuple(tuple(column) for column in kinds)
        link = replace(link, features=F, columns=kinds)
    return link


def top_items(
    scores, top_n: int = 10, *, exclude=(), candidates=None
) -> tuple[np.ndarray, np.ndarray]:
    """The items with the highest scores, such as ``model.V @ model.fold_in(…)``.

    Parameters
    ----------
    scores : array, shape (n_items,)
    top_n : int
        How many; fewer are returned when fewer are left.
    exclude : array of int, optional
        Items to leave out, such as what has been rated.
    candidates : array of int, optional
        List only these; by default all items.

    Returns
    -------
    items : ndarray of int, shape (≤ top_n,)
        Best first; of equal scores the lower position comes first.
    scores : ndarray, shape (≤ top_n,)

    Raises
    ------
    IndexError, TypeError, ValueError
        If there is no such item, an argument is of the wrong kind, or a score is NaN or ∞.

    Examples
    --------
    >>> top_items([3.5, 4.5, 4.0], 2, exclude=[1])
    (array([2, 0]), array([4. , 3.5]))
    """
    scores = check_floats("scores", scores, (None,)).copy()
    if not len(scores):
        raise ValueError("scores must be those of at least one item, got none")
    top_n = min(check_count("top_n", top_n), len(scores))
    scores[_left_out(len(scores), exclude, candidates)] = -np.inf
    best = np.flatnonzero(scores >= np.partition(scores, -top_n)[-top_n])
    best = best[np.argsort(-scores[best], kind="stable")[:top_n]]
    best = best[scores[best] > -np.inf]
    return best, scores[best]


def recommend_items(
    user: int, U, V, R, top_n: int = 10, *, candidates=None
) -> tuple[np.ndarray, np.ndarray]:
    """Recommend to a user the unseen items with the highest predicted ratings U[user] · v_j.

    `Factorization.recommend`, for bare factors; see there.

    Examples
    --------
    >>> U, V = np.array([[1.0], [2.0]]), np.array([[2.0], [1.5], [1.0]])
    >>> recommend_items(0, U, V, sp.csr_array([[5.0, 0.0, 0.0], [0.0, 0.0, 4.0]]))
    (array([1, 2]), array([1.5, 1. ]))
    """
    model = Factorization(check_array("U", U), check_array("V", V))
    user = check_position("user", user, len(model.U))
    return model.recommend(user, R, top_n, candidates=candidates)


def add_rating_optimized(user: int, items, ratings, R, model: Factorization):
    """Take in new ratings of one user: only that user's factors are solved, on all the ratings.

    ``model.update((user, items, ratings), R)``; see there. Returns the model and R.

    Examples
    --------
    >>> R = sp.csr_array([[4.0, 0.0], [0.0, 3.0]])
    >>> model = ALS(n_factors=1).fit(R, rng=0, verbose=False)
    >>> model, R = add_rating_optimized(0, 1, 5, R, model)
    >>> R.toarray()
    array([[4., 5.],
           [0., 3.]])
    """
    if not isinstance(model, Factorization):
        raise TypeError(f"model must be a fitted Factorization, got {type(model).__name__}")
    return model.update((user, items, ratings), R)


def _grown(link, own, n_new, features):
    """A link for more rows of its side or, where they are of the other, for what these rate."""
    if own and link.features is not None:
        if features is None:
            features = sp.csr_array((n_new, link.features.shape[1]), dtype=link.features.dtype)
        return replace(link, features=sp.vstack([link.features, features]).tocsr())
    if not own and link.rated is not None:  # nobody knows yet what rating them says
        return replace(link, rated=np.pad(link.rated, ((0, n_new), (0, 0))))
    return link


def _check_side(side):
    if side not in SIDES:
        raise ValueError(f"side must be 'users' or 'items', got {side!r}")


def check_new(ratings, size: int, columns: str, name: str):
    """Rows of new ratings, of a pair or of a matrix with `size` columns; or raise what is wrong."""
    if isinstance(ratings, tuple) and len(ratings) == 2:
        return one_row(*check_row(columns, *ratings, size))
    if not (sp.issparse(ratings) or isinstance(ratings, Ratings)):
        kind = type(ratings).__name__
        raise TypeError(
            f"{name} must be a pair ({columns}, ratings) or a sparse matrix, got {kind}"
        )
    A = check_ratings(ratings, name, empty=True)
    if A.shape[1] != size:
        hint = "; is it transposed?" if A.shape[0] == size else ""
        raise ValueError(f"{name} have {A.shape[1]} columns for {size} {columns}{hint}")
    return A


def one_row(items, ratings) -> Rows:
    """A row with these ratings."""
    return Rows(np.array([0, len(items)]), items, ratings)


def _row_of(R, row):
    part = slice(R.indptr[row], R.indptr[row + 1])
    return one_row(R.indices[part], R.data[part])


def _replace_rows(R, changes):
    """R with ratings changed: {user: (items, ratings)}, or None for ratings to be forgotten.

    Returns the items touched, too. The rows between those that change are copied as they are.
    """
    indices, data, lengths, done, touched = [], [], np.diff(R.indptr), 0, []
    for user in sorted(changes):
        items, ratings = changes[user]
        start, stop = R.indptr[user : user + 2]
        old = R.indices[start:stop]
        kept = np.isin(old, items, invert=True)
        row, values = old[kept], R.data[start:stop][kept]
        if ratings is not None:
            row = np.concatenate([row, items])
            values = np.concatenate([values, ratings.astype(R.dtype)])
            if not np.isfinite(values).all():
                raise ValueError(f"ratings of user {user} are NaN or too large for {R.dtype}")
            order = np.argsort(row)
            row, values = row[order], values[order]
        indices += [R.indices[done:start], row]
        data += [R.data[done:start], values]
        lengths[user], done = len(row), stop
        touched.append(items)
    indices = np.concatenate([*indices, R.indices[done:]]).astype(R.indices.dtype, copy=False)
    data = np.concatenate([*data, R.data[done:]])
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(R.indptr.dtype)
    changed = sp.csr_array((data, indices, indptr), shape=R.shape)
    changed.has_canonical_format = True
    return changed, np.concatenate([np.empty(0, np.intp), *touched])


def _left_out(n_items, exclude, candidates):
    """Which items must not be listed."""
    left_out = np.full(n_items, candidates is not None)
    if candidates is not None:
        left_out[check_positions("candidates", candidates, n_items)] = False
    left_out[check_positions("exclude", exclude, n_items)] = True
    return left_out


def _check_scores(scores, users):
    """Raise ValueError if there are scores that are NaN or ∞."""
    if not np.isfinite(scores).all():
        who = users[np.flatnonzero(~np.isfinite(scores).all(axis=1))[0]]
        raise ValueError(
            f"the factors predict NaN or ∞ for user {who}: they hold some, or are too large"
        )
