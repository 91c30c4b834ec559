"""Many symmetric positive definite systems: LAPACK's Cholesky solver, in a compiled loop.

A solution takes 0.3 to 50 µs, too little for a call from Python each: two threads would hand the
GIL to and fro, and be no faster than one. Numba compiles the loop over the stack, which holds no
lock. Without Numba, NumPy's stacked LU does the same, with twice the arithmetic.
"""

from __future__ import annotations

import ctypes
import math
import threading
from functools import cache
from itertools import repeat

import numpy as np
from scipy.linalg.lapack import dposv, sposv

_scratch, _compiling = threading.local(), threading.Lock()


def scratch(name: str, shape: tuple[int, ...], dtype) -> np.ndarray:
    """Memory for intermediate results, each thread's own, which the next call of the name reuses.

    Fresh memory costs a page fault every 4 kB, and threads wait for each other to have theirs.
    What is much larger than a block is not kept.
    """
    size = math.prod(shape)
    array = getattr(_scratch, name, None)
    if array is None or array.dtype != dtype or array.size < size:
        array = np.empty(size, dtype)
        if size <= 2**20:
            setattr(_scratch, name, array)
    return array[:size].reshape(shape)


@cache
def _compiled(dtype: np.dtype):
    """The loop over LAPACK's ``?posv``, which SciPy brings along; None without Numba."""
    try:
        from numba import njit
        from numba.extending import get_cython_function_address
    except ImportError:
        return None
    name = {"float32": "sposv", "float64": "dposv"}[dtype.name]
    address = get_cython_function_address("scipy.linalg.cython_lapack", name)
    posv = ctypes.CFUNCTYPE(None, *repeat(ctypes.c_void_p, 8))(address)

    def loop(A, b, uplo, n, one, info):
        for k in range(len(A)):
            at_A, at_b, at_n = A[k].ctypes.data, b[k].ctypes.data, n.ctypes.data
            posv(uplo.ctypes.data, at_n, one.ctypes.data, at_A, at_n, at_b, at_n, info.ctypes.data)
            if info[0] != 0:
                return

    integer = "int64[::1]"
    types = (
        f"void({dtype}[:, :, ::1], {dtype}[:, ::1], uint8[::1], {integer}, {integer}, {integer})"
    )
    return njit(types, nogil=True)(loop)


def solve_in_place(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Solve A[k] x[k] = b[k] for a stack of symmetric positive definite systems; spoils A and b.

    Parameters
    ----------
    A : ndarray, shape (n_systems, size, size)
        C-contiguous, float32 or float64.
    b : ndarray, shape (n_systems, size)
        C-contiguous, of the same dtype.

    Returns
    -------
    ndarray, shape (n_systems, size)

    Raises
    ------
    numpy.linalg.LinAlgError
        If a matrix is not positive definite to rounding.
    """
    with _compiling:  # once, not once for each thread
        loop = _compiled(A.dtype)
    if loop is None:
        return solve_by_lu(A, b)
    n, one, info = (np.array([value], np.int64) for value in (A.shape[1], 1, 0))
    loop(A, b, np.array([ord("L")], np.uint8), n, one, info)
    if info[0]:
        raise np.linalg.LinAlgError("not positive definite")
    return b


def solve_by_lu(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Solve A[k] x[k] = b[k] by NumPy's stacked LU, which asks only that A[k] is regular."""
    return np.linalg.solve(A, b[:, :, None])[:, :, 0]


def solve_positive(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Solve A x = b for one symmetric A: by Cholesky or, if rounding forbids, by LU.

    `A` (size × size) and `b` (size) stay as they are. Raises numpy.linalg.LinAlgError if A is
    singular.
    """
    if not b.size:  # which SciPy's wrapper refuses
        return np.linalg.solve(A, b)
    posv = sposv if np.result_type(A, b) == np.float32 else dposv
    _, x, info = posv(A.T, b)  # the transpose, which is the same, lies in Fortran's order
    return x if info == 0 else np.linalg.solve(A, b)
