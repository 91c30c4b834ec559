"""Which columns of U and V a half-step solves for, and what the others already explain.

A prediction is u_i · v_j, with biases too. U then has three more columns, b_u, 1 and μ, and V has
1, b_i and 1: their products add up to b_u + b_i + μ. A half-step solves for the factors and its own
side's bias; the other two columns are pinned.
"""

from __future__ import annotations

import numpy as np

USERS, ITEMS = 0, 1  # the halves of an iteration


class Columns:
    """Free and pinned columns of both sides, and their penalties.

    Parameters
    ----------
    n_factors : int
    lambda_reg : (float, float)
        λ of users and of items.
    bias_reg : (float, float) or None
        λ of their biases; None without biases.
    mean : float
        μ, in stars; unused without biases.
    dtype : float64 or float32
    """

    def __init__(self, n_factors, lambda_reg, bias_reg, mean, dtype):
        self.f, self.lambda_reg, self.bias = n_factors, lambda_reg, bias_reg is not None
        self.n_free = n_factors + self.bias
        if self.bias:
            # own bias, and by which its column of Y is divided: penalties that differ become one
            ratios = zip(bias_reg, lambda_reg, strict=True)
            ones = np.ones(n_factors)
            self.scales = [np.r_[ones, np.sqrt(b / a)].astype(dtype) for b, a in ratios]
            self.pinned = [np.array([1, mean], dtype), np.ones(2, dtype)]

    def hold(self, which: int, other: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Y, with `n_free` columns, of (rows of) the other side, and what pinned columns explain.

        The latter, to be subtracted from the ratings, is None without biases.
        """
        if not self.bias:
            return other, None
        free, fixed = self.indices(which)
        return other[:, free] / self.scales[which], other[:, fixed] @ self.pinned[which]

    def place(self, which: int, solved: np.ndarray) -> np.ndarray:
        """All columns of U or V, of what was solved for with Y from `hold`."""
        if not self.bias:
            return solved
        X = np.empty((len(solved), self.f + 3), solved.dtype)
        free, fixed = self.indices(which)
        X[:, free], X[:, fixed] = solved / self.scales[which], self.pinned[which]
        return X

    def free(self, which: int, X: np.ndarray) -> tuple[np.ndarray, np.ndarray | float]:
        """Free columns of U or V, and the square root of the λ that each is penalised by."""
        scale = np.sqrt(self.lambda_reg[which])
        if not self.bias:
            return X, scale
        return X[:, self.indices(which)[0]], scale * self.scales[which].astype(float)

    def widen(self, X: np.ndarray) -> np.ndarray:
        """`X`, which has a last axis of f, with zeros for what is free besides factors."""
        return np.concatenate([X, np.zeros((*X.shape[:-1], int(self.bias)), X.dtype)], axis=-1)

    def indices(self, which: int) -> tuple[list[int], list[int]]:
        """Free and pinned columns: U's are f factors, b_u, 1, μ; V's are f factors, 1, b_i, 1."""
        own, other = (self.f, self.f + 1) if which == USERS else (self.f + 1, self.f)
        return [*range(self.f), own], [other, self.f + 2]


def partner_gram(columns: Columns, weight: float, partner: np.ndarray) -> np.ndarray:
    """What an implicit partner adds to every YᵀY: w times its own Gram matrix, n_free square."""
    gram = np.zeros((columns.n_free, columns.n_free), partner.dtype)
    gram[: columns.f, : columns.f] = weight * (partner.T @ partner)
    return gram


def fit_partner(factors: np.ndarray, sums: np.ndarray, implicit_reg: float) -> np.ndarray:
    """Partner of U (or V): the ridge regressions of what was rated on its factors.

    `sums` has a row for each item (or user): the sum of the factors of all who rated it.
    """
    system = factors.T @ factors
    system[np.diag_indices(len(system))] += implicit_reg
    return np.linalg.solve(system, sums.T).T
