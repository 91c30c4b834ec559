"""What a half-step solves for: settings checked, a random start, and what partners add."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from .blocks import Half, plan_blocks
from .checks import (
    check_count,
    check_dtype,
    check_exponent,
    check_number,
    check_pair,
    check_ratings,
)
from .columns import ITEMS, USERS, Columns, fit_partner, partner_gram
from .metrics import count_ratings, regularization, row_weights

WHY = "; it is what makes a row with fewer ratings than factors solvable"


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


def start(R, n_factors, rng, dtype):
    """Return R, checked, as CSR of `dtype`, and random U and V; rows without ratings are zero."""
    R = check_ratings(R, dtype=dtype)
    U, V = init_matrix_factorization(*R.shape, n_factors, rng=rng, dtype=dtype)
    for X, n in zip((U, V), count_ratings(R), strict=True):
        X[n == 0] = 0
    return R, U, V


class Terms:
    """The equation of both half-steps, but for the other side's factors; keeps the partners.

    Parameters are those of `als_matrix_factorization`; TypeError or ValueError if one is not in its
    range.

    Attributes
    ----------
    R, R_items : csr_array
        The ratings, and their transpose.
    settings : dict
        What a `Factorization` tells about the fit, the partners among it.
    """

    def __init__(
        self,
        R,
        n_factors,
        *,
        lambda_reg,
        reg_exponent,
        bias,
        bias_reg,
        implicit_weight,
        implicit_reg,
        rng,
        dtype,
    ):
        self.lambda_reg = check_pair("lambda_reg", lambda_reg, why=WHY)
        self.reg_exponent = check_exponent(reg_exponent)
        if not isinstance(bias, (bool, np.bool_)):
            raise TypeError(f"bias must be True or False, got {bias!r}")
        if bias_reg is not None and not bias:
            raise ValueError("bias_reg is the λ of biases; pass bias=True as well")
        bias_reg = self.lambda_reg if bias_reg is None else check_pair("bias_reg", bias_reg)
        self.implicit_weight = check_number("implicit_weight", implicit_weight, positive=False)
        self.implicit_reg = check_number("implicit_reg", implicit_reg)
        self.R, U, V = start(R, n_factors, rng, dtype)
        self.R_items = self.R.T.tocsr()
        given = self.lambda_reg, bias_reg if bias else None, self.R.data.mean(dtype=float)
        self.columns = columns = Columns(U.shape[1], *given, dtype)
        self._partners, self._products = {}, {}
        if self.implicit_weight:
            ones = np.ones_like(self.R.data)
            self.rated = [
                sp.csr_array((ones, A.indices, A.indptr), shape=A.shape)
                for A in (self.R, self.R_items)
            ]
        self._start = tuple(columns.place(k, columns.widen(X)) for k, X in enumerate((U, V)))
        self.settings = {"lambda_reg": _plain(self.lambda_reg), "reg_exponent": self.reg_exponent}
        if bias:
            self.settings["bias_reg"] = _plain(bias_reg)
        if self.implicit_weight:
            self.settings |= {"implicit_weight": self.implicit_weight}
            self.settings |= {"implicit_reg": self.implicit_reg}

    def begin(self):
        """What `iterate` is given: R, U and V to start from, the penalty, and the settings."""
        return self.R, *self._start, self.penalty, self.settings

    def halves(self) -> list[Half]:
        """Both half-steps, planned in blocks."""
        n_free = self.columns.n_free
        given = ("offsets",) * self.columns.bias + ("gram", "rhs") * bool(self.implicit_weight)
        return [
            Half(A, a * weights, plan_blocks(lengths, n_free), n_free, given)
            for A, a, weights, lengths in zip(
                (self.R, self.R_items),
                self.lambda_reg,
                row_weights(self.R, self.reg_exponent),
                count_ratings(self.R),
                strict=True,
            )
        ]

    def hold(self, which: int, X: np.ndarray, other: np.ndarray):
        """What a half-step for `X` holds fixed: Y, and by name what `solve_blocks` takes besides.

        Y has `n_free` columns, as has the solution, of which `place` makes all columns.
        """
        Y, offsets = self.columns.hold(which, other)
        given = {} if offsets is None else {"offsets": offsets}
        if self.implicit_weight:
            given["gram"], given["rhs"] = self._partner(which, X)
        return Y, given

    def place(self, which: int, solved: np.ndarray) -> np.ndarray:
        """All columns of U or V, of what was solved for."""
        return self.columns.place(which, solved)

    def penalty(self, U: np.ndarray, V: np.ndarray) -> float:
        """The objective, less the squared residuals: `regularization`, and the partners' part."""
        parts = (self.columns.free(USERS, U), self.columns.free(ITEMS, V))
        free, f = [X * scale for X, scale in parts], self.columns.f
        total = regularization(self.R, *free, 1.0, self.reg_exponent)
        if not self._partners:  # before there are any: as if they were zero
            return float(total + 2 * self.implicit_weight * self.R.nnz)
        for which, partner in self._partners.items():
            X = (U, V)[which][:, :f]
            crossed = np.sum(self._product(which, (U, V)[which]) * partner, dtype=float)
            squares = np.sum((X.T @ X) * (partner.T @ partner), dtype=float)
            ridge = self.implicit_reg * np.sum(partner**2, dtype=float)
            total += self.implicit_weight * (self.R.nnz - 2 * crossed + squares + ridge)
        return float(total)

    def _partner(self, which, X):
        """Fit the partner of `X` (V̂ of U, Û of V) to what was rated; its Gram matrix and sums."""
        partner = fit_partner(X[:, : self.columns.f], self._product(which, X), self.implicit_reg)
        self._partners[which] = partner
        self.settings["partners"] = tuple(self._partners.values())
        sums = self.implicit_weight * (self.rated[which] @ partner)
        gram = partner_gram(self.columns, self.implicit_weight, partner)
        return gram, self.columns.widen(sums)

    def _product(self, which, X):
        """Sum of the factors of all who rated an item (or that a user rated); kept, for `X`."""
        if self._products.get(which, (None,))[0] is not X:
            self._products[which] = X, self.rated[1 - which] @ X[:, : self.columns.f]
        return self._products[which][1]


def _plain(pair):
    return pair[0] if pair[0] == pair[1] else pair
