"""What the public functions ask of their input, in one sentence an error."""

from __future__ import annotations

import reprlib
from numbers import Integral, Real

import numpy as np
import scipy.sparse as sp


def check_ratings(R, name: str = "R", dtype=None, *, empty: bool = False) -> sp.csr_array:
    """Return a sparse matrix of ratings as canonical CSR of floats, or say what is wrong with it.

    float32 stays as it is and everything else becomes float64, unless `dtype` says which. R is
    never changed, and copied only if its format, its dtype or the order of its indices must be.

    Raises
    ------
    TypeError
        If R is not sparse, or its ratings are not real numbers.
    ValueError
        If it holds no ratings (unless it may be `empty`), or NaN or infinity, or rates an item
        twice for one user.
    """
    if not sp.issparse(R) or R.ndim != 2:
        raise TypeError(
            f"{name} must be a two-dimensional SciPy sparse matrix, got {type(R).__name__}; build "
            "one with alsnb.ratings_to_matrix or, where a zero means no rating, with csr_array"
        )
    if R.format in ("bsr", "dia"):
        kind = R.format.upper()
        raise TypeError(f"{name} is in {kind} format, where a rating of zero and none are the same")
    if R.dtype.kind not in "iuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {R.dtype}")
    if R.nnz == 0 and not empty:
        raise ValueError(f"{name} ({R.shape[0]} × {R.shape[1]}) holds no ratings")
    dtype = check_dtype(dtype or (R.dtype if R.dtype == np.float32 else np.float64))
    R = R if R.format in ("csr", "csc", "coo") else R.tocsr()
    csr = sp.csr_array(R)
    if csr.nnz and not 0 <= csr.indices.min() <= csr.indices.max() < csr.shape[1]:
        raise ValueError(f"{name} is damaged: its indices do not fit its shape {csr.shape}")
    if not csr.has_canonical_format:
        csr = csr.copy()
        csr.sum_duplicates()
    if csr.nnz < R.nnz:
        twice = f"{R.nnz - csr.nnz} of {R.nnz} ratings repeat a (user, item) pair"
        raise ValueError(f"{name} is ambiguous: {twice}; keep one each")
    if bad := np.sum(~np.isfinite(csr.data)):
        raise ValueError(f"{name} holds NaN or ∞ in {bad} of {csr.nnz} ratings")
    with np.errstate(over="ignore"):
        cast = csr.astype(dtype, copy=False)
    if cast is not csr and not np.isfinite(cast.data).all():
        raise ValueError(f"{name} holds ratings too large for {dtype}: scale them down")
    return cast


def check_rows(R, name: str = "R") -> sp.csr_array:
    """Return R as canonical CSR of floats, like `check_ratings`, at a cost that is the row's.

    Of a CSR matrix known to be canonical the ratings are not looked at: who uses a row checks it.
    """
    known = getattr(R, "format", None) == "csr" and R.dtype in (np.float32, np.float64)
    if known and R.ndim == 2 and R.has_canonical_format:
        return R
    return check_ratings(R, name, empty=True)


def check_array(name: str, values) -> np.ndarray:
    """Return what may be a sequence or a number as an array, or raise TypeError or ValueError."""
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{name} must not be a masked array; pass only what is valid")
    try:
        return np.atleast_1d(np.asarray(values))
    except ValueError as error:
        raise ValueError(f"{name} must be one array, not lists of different lengths") from error


def check_positions(name: str, values, size: int) -> np.ndarray:
    """Return distinct positions under `size`, or raise IndexError, TypeError or ValueError."""
    positions = check_array(name, values)
    if positions.ndim == 1 and not len(positions):
        return np.empty(0, np.intp)
    if positions.ndim != 1 or positions.dtype.kind not in "iu":
        what = f"{positions.dtype} of shape {positions.shape}"
        rule = "must be whole numbers, one dimension of them, got"
        raise TypeError(f"{name} {rule} {what}: positions, not ids or titles")
    if positions.min() < 0 or positions.max() >= size:
        bad = positions[(positions < 0) | (positions >= size)][0]
        raise IndexError(f"{name} holds {bad}; the model has 0 to {size - 1}")
    if len(set(positions.tolist())) < len(positions):
        raise ValueError(f"{name} holds a position twice; keep one rating each")
    return positions.astype(np.intp, copy=False)


def check_position(name: str, value, size: int, where: str = "the model") -> int:
    """Return `value` as a position under `size`, or raise IndexError or TypeError."""
    if not 0 <= check_count(name, value, low=None) < size:
        raise IndexError(f"{name} {value} is out of range; {where} has {name}s 0 to {size - 1}")
    return int(value)


def check_row(name: str, values, ratings, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return positions, as `check_positions`, and as many finite ratings; or raise as it does."""
    positions, ratings = check_positions(name, values, size), check_array("ratings", ratings)
    if len(ratings) and ratings.dtype.kind not in "iuf":
        raise TypeError(f"ratings must be real numbers, got dtype {ratings.dtype}")
    if ratings.shape != positions.shape:
        shapes = f"{positions.shape} and {ratings.shape}"
        raise ValueError(f"{name} and ratings must be as many, got shapes {shapes}")
    if not np.isfinite(ratings).all():
        raise ValueError("ratings hold NaN or ∞")
    return positions, ratings


def check_dtype(dtype) -> np.dtype:
    """Return `dtype` if it is float32 or float64, or raise ValueError."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    return np.dtype(dtype)


def check_real(**named) -> list[np.ndarray]:
    """Return arrays by their names, or raise TypeError or ValueError unless they are real."""
    arrays = [check_array(name, values) for name, values in named.items()]
    if any(array.dtype.kind not in "iuf" for array in arrays):
        names, dtypes = " and ".join(named), " and ".join(str(array.dtype) for array in arrays)
        raise TypeError(f"{names} must hold real numbers, got dtypes {dtypes}")
    return arrays


def check_factors(R, U, V) -> tuple[np.ndarray, np.ndarray]:
    """Return U and V as arrays; raise TypeError or ValueError unless U Vᵀ can stand for R."""
    U, V = check_real(U=U, V=V)
    if U.ndim != 2 or V.ndim != 2 or U.shape[1] != V.shape[1]:
        raise ValueError(f"U and V need as many columns, got shapes {U.shape} and {V.shape}")
    if not len(V):
        raise ValueError("there are no items: V has no rows")
    if R.shape != (len(U), len(V)):
        turned = R.shape == (len(V), len(U))
        raise ValueError(
            f"R is {R.shape[0]} × {R.shape[1]} but U has {len(U)} rows and V has {len(V)}; "
            + ("did you transpose R?" if turned else "were they fitted to another R?")
        )
    return U, V


def check_count(name: str, value, *, low: int | None = 1) -> int:
    """Return `value` as an int of at least `low`, or raise TypeError or ValueError."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, got {reprlib.repr(value)}")
    if low is not None and value < low:
        raise ValueError(f"{name} must be at least {low}, got {value}")
    return int(value)


def check_number(name: str, value, *, positive: bool = True, why: str = "") -> float:
    """Return `value` as a finite float above (or at) zero, or raise TypeError or ValueError."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, got {reprlib.repr(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = np.inf
    if not np.isfinite(number) or number < 0 or (positive and number == 0):
        kind = "positive" if positive else "not negative"
        raise ValueError(f"{name} must be finite and {kind}, got {reprlib.repr(value)}{why}")
    return number


def check_pair(name, value, why=""):
    """Return λ of users and of items, or raise TypeError or ValueError; one may stand for both."""
    pair = value if np.ndim(value) else (value, value)
    if len(pair) != 2:
        raise ValueError(f"{name} must be a number, or a pair for users and items, got {value!r}")
    return tuple(check_number(name, one, why=why) for one in pair)


def check_exponent(value) -> float:
    """Return ν as a float from 0 to 2, or raise TypeError or ValueError."""
    if check_number("reg_exponent", value, positive=False) > 2:
        raise ValueError(f"reg_exponent must be from 0 (plain) to 1 (weighted) or so, got {value}")
    return float(value)


def check_clip(clip) -> tuple[float, float] | None:
    """Return a rating scale, (lowest, highest), or None; or raise ValueError."""
    if clip is None:
        return None
    low, high = clip if np.shape(clip) == (2,) else (None, None)
    if not (isinstance(low, Real) and isinstance(high, Real) and low < high):
        raise ValueError(f"clip must be the lowest and the highest rating, as (1, 5), got {clip!r}")
    return low, high
