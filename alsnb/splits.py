"""Cutting ratings into a part to train on and a part to test on."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from .checks import check_number, check_ratings
from .metrics import rows_of


def hold_out(R, test_fraction: float = 0.2, *, rng=None) -> tuple[sp.csr_array, sp.csr_array]:
    """Split ratings at random into two matrices, both of the shape of `R`.

    Parameters
    ----------
    R : scipy.sparse array or matrix, shape (n_users, n_items)
    test_fraction : float
        Share of the ratings that is held out, between 0 and 1.
    rng : int, numpy.random.Generator or None

    Returns
    -------
    R_train, R_test : csr_array, shape (n_users, n_items)

    Raises
    ------
    TypeError, ValueError
        If R is not a sparse matrix of finite ratings, or either part would be empty.
    """
    R = check_ratings(R)
    n_test = round(check_number("test_fraction", test_fraction, positive=False) * R.nnz)
    if not 0 < n_test < R.nnz:
        raise ValueError(
            f"test_fraction must leave ratings on both sides, got {test_fraction} of {R.nnz}"
        )
    order, rows = np.random.default_rng(rng).permutation(R.nnz), rows_of(R)
    parts = np.sort(order[n_test:]), np.sort(order[:n_test])
    return tuple(
        sp.coo_array((R.data[part], (rows[part], R.indices[part])), shape=R.shape).tocsr()
        for part in parts
    )
