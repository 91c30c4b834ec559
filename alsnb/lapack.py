"""Many symmetric positive definite systems: LAPACK's Cholesky solver, called without detours.

NumPy solves stacks by LU, at twice the arithmetic, and copies each matrix on the way; SciPy checks
the condition of each. Neither shows below a size of about 32, and both do above it.
"""

from __future__ import annotations

import ctypes
import math
import threading
from itertools import repeat

import numpy as np
from scipy.linalg import cython_lapack

SMALL = 32  # up to this size NumPy's stacked LU is as fast, and one call for the whole stack


def _routine(name: str):
    """The routine ``?posv`` that SciPy brings along and offers to Cython; None if it looks odd."""
    capsule = getattr(cython_lapack, "__pyx_capi__", {}).get(name)
    if capsule is None:
        return None
    signature = ctypes.pythonapi.PyCapsule_GetName
    signature.argtypes, signature.restype = [ctypes.py_object], ctypes.c_char_p
    address = ctypes.pythonapi.PyCapsule_GetPointer
    address.argtypes, address.restype = [ctypes.py_object, ctypes.c_char_p], ctypes.c_void_p
    arguments = signature(capsule).partition(b"(")[2].split(b", ")
    if len(arguments) != 8 or any(arguments[k] != b"int *" for k in (1, 2, 4, 6)):
        return None
    # a CFUNCTYPE lets go of the GIL while it runs
    prototype = ctypes.CFUNCTYPE(None, *repeat(ctypes.c_void_p, 8))
    return prototype(address(capsule, signature(capsule)))


_scratch = threading.local()


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


POSV = {np.dtype(np.float32): _routine("sposv"), np.dtype(np.float64): _routine("dposv")}


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
    posv, size = POSV[A.dtype], A.shape[1]
    if size <= SMALL or posv is None:
        return solve_by_lu(A, b)
    triangle, n, one, info = b"L", *(ctypes.c_int(value) for value in (size, 1, 0))
    uplo = ctypes.cast(ctypes.c_char_p(triangle), ctypes.c_void_p)
    at_n, at_one, at_info = (ctypes.addressof(value) for value in (n, one, info))
    for at_A, at_b in zip(_addresses(A), _addresses(b), strict=True):
        posv(uplo, at_n, at_one, at_A, at_n, at_b, at_n, at_info)
        if info.value:
            raise np.linalg.LinAlgError("not positive definite")
    return b


def solve_by_lu(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Solve A[k] x[k] = b[k] by NumPy's stacked LU, which asks only that A[k] is regular."""
    return np.linalg.solve(A, b[:, :, None])[:, :, 0]


def _addresses(stack: np.ndarray) -> range:
    start, step = stack.ctypes.data, stack.strides[0]
    return range(start, start + len(stack) * step, step)
