"""What careless people and other programs pass as arguments, and what a call must make of it.

SAME_… are other forms of something good, of which the result must be that of the plain form; BAD_…
must be refused. Both are functions of the good one, so that each table of calls has its own data.
"""

import inspect
import re
import tempfile
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import alsnb
from alsnb import bayes, plotting, tuning, widgets

REFUSED = (TypeError, ValueError, LookupError)  # IndexError is a LookupError


def read_only(A):
    A = A.copy()
    A.flags.writeable = False
    return A


def memory_mapped(A):
    """The same numbers in a file that cannot be written to."""
    with tempfile.TemporaryFile() as file:
        file.write(A.tobytes())
        file.flush()
        return np.memmap(file, A.dtype, "r", shape=A.shape)


def of_arrays(change, R, *, also_indices=True):
    """R as CSR with each of its arrays changed."""
    new = sp.csr_array(R, copy=True)
    new.data = change(new.data)
    if also_indices:
        new.indices, new.indptr = change(new.indices), change(new.indptr)
    return new


def unsorted(R):
    """Each row's ratings from the last item to the first."""
    R = sp.csr_array(R)
    order = np.concatenate([np.arange(*ends)[::-1] for ends in pairwise(R.indptr)])
    return sp.csr_array((R.data[order], R.indices[order], R.indptr), shape=R.shape)


def twice(R, format="coo"):
    """The first rating a second time."""
    A = sp.coo_array(R)
    data, (rows, columns) = np.r_[A.data, A.data[:1]], A.coords
    places = np.r_[rows, rows[:1]], np.r_[columns, columns[:1]]
    if format == "coo":
        return sp.coo_array((data, places), shape=A.shape)
    order = np.argsort(places[0], kind="stable")
    indptr = np.searchsorted(places[0][order], np.arange(A.shape[0] + 1))
    return sp.csr_array((data[order], places[1][order], indptr), shape=A.shape)


def with_last(value, dtype=None):
    """A function that copies an array, or a matrix, with another last number."""

    def change(A):
        if sp.issparse(A):
            return of_arrays(change, A, also_indices=False)
        A = np.array(A, dtype)
        A[(-1,) * A.ndim] = value
        return A

    return change


def pointing(column):
    """A function that makes the last rating one of an item that there is not."""

    def change(R):
        R = sp.csr_array(R, copy=True)
        R.indices[-1] = column
        return R

    return change


def as_ratings(R):
    """Ratings whose ids look like positions, and are others."""
    A = sp.coo_array(R)
    ids = [np.arange(n)[::-1].copy() for n in A.shape]
    users, items = map(np.take, ids, A.coords)
    data = {"user_id": users, "item_id": items, "rating": A.data}
    titles = np.array([f"item {j}" for j in ids[1]], object)
    return alsnb.Ratings(A.tocsr(), *ids, titles, pd.DataFrame(data))


FORMATS = ("csr", "csc", "coo", "lil", "dok")
SAME_MATRIX = {
    f"{f}_{kind}": lambda R, f=f, kind=kind: getattr(sp, f"{f}_{kind}")(R)
    for f in FORMATS
    for kind in ("array", "matrix")
} | {
    "unsorted": unsorted,
    "int64 indices": lambda R: sp.csr_array(
        (R.data, R.indices.astype(np.int64), R.indptr.astype(np.int64)), shape=R.shape
    ),
    "COO in no order": lambda R: sp.coo_array(
        (R.data[::-1], tuple(place[::-1] for place in R.tocoo().coords)), shape=R.shape
    ),
    "read-only": lambda R: of_arrays(read_only, R),
    "memory-mapped": lambda R: of_arrays(memory_mapped, R),
    "integers": lambda R: R.astype(np.int64),  # of whole stars only
    "bytes": lambda R: R.astype(np.int8),
    "float32": lambda R: R.astype(np.float32),
    "Ratings": as_ratings,
}
BAD_MATRIX = {
    "None": lambda R: None,
    "text": lambda R: "R",
    "list": lambda R: R.toarray().tolist(),
    "array": lambda R: R.toarray(),
    "table": lambda R: pd.DataFrame(R.toarray()),
    "table of sparse columns": lambda R: pd.DataFrame.sparse.from_spmatrix(R),
    "one dimension": lambda R: sp.coo_array(np.ones(R.shape[1])),
    "BSR": lambda R: R.tobsr(),
    "DIA": lambda R: R.todia(),
    "booleans": lambda R: R.astype(bool),
    "complex": lambda R: R.astype(complex),
    "strings": lambda R: of_arrays(lambda data: data.astype(str), R, also_indices=False),
    "objects": lambda R: of_arrays(lambda data: data.astype(object), R, also_indices=False),
    "NaN": with_last(np.nan),
    "infinity": with_last(-np.inf),
    "nothing": lambda R: sp.csr_array(R.shape),
    "no rows": lambda R: sp.csr_array((0, R.shape[1])),
    "no columns": lambda R: sp.csr_array((R.shape[0], 0)),
    "COO with a pair twice": twice,
    "CSR with a pair twice": lambda R: twice(R, "csr"),
    "CSC with a pair twice": lambda R: twice(R.T, "csr").T,
    "item beyond": lambda R: pointing(R.shape[1])(R),
    "item below": pointing(-1),
}
MISFIT_MATRIX = {  # of a function that has other arguments to fit R
    "transposed": lambda R: R.T.tocsr(),
    "one row": lambda R: R[:1],
    "one column": lambda R: R[:, :1],
}

SAME_ARRAY = {
    "list": np.ndarray.tolist,
    "Fortran order": np.asfortranarray,
    "every second": lambda A: np.repeat(A, 2, axis=0)[::2],
    "backwards": lambda A: A[::-1].copy()[::-1],
    "read-only": read_only,
    "memory-mapped": memory_mapped,
    "other byte order": lambda A: A.astype(A.dtype.newbyteorder()),
}
SAME_FLOATS = SAME_ARRAY | {
    "float32": lambda A: A.astype(np.float32),
    "table": pd.DataFrame,
    "integers": lambda A: A.astype(int),  # of whole numbers only
}
SAME_POSITIONS = SAME_ARRAY | {
    "int8": lambda A: A.astype(np.int8),
    "unsigned": lambda A: A.astype(np.uint64),
    "column of a table": pd.Series,
    "index": pd.Index,
}
BAD_FLOATS = {
    "None": lambda A: None,
    "text": lambda A: "a",
    "strings": lambda A: A.astype(str),
    "objects": lambda A: A.astype(object),
    "complex": lambda A: A.astype(complex),
    "booleans": lambda A: A.astype(bool),
    "dates": lambda A: A.astype("M8[s]"),
    "NaN": with_last(np.nan),
    "infinity": with_last(np.inf),
    "nothing": lambda A: np.empty(0),
    "a number": lambda A: 3.0,
    "a row fewer": lambda A: A[:-1],
    "a dimension more": lambda A: A[None],
    "a dimension fewer": lambda A: A[0],
    "ragged": lambda A: [[1.0], [1.0, 2.0]],
    "sparse": lambda A: sp.csr_array(np.atleast_2d(A)),
}
BAD_POSITIONS = {
    "None": lambda A: None,
    "text": lambda A: "1",
    "titles": lambda A: ["Brazil", "Alien"],
    "fractions": lambda A: A + 0.5,
    "floats": lambda A: A.astype(float),
    "NaN": lambda A: [np.nan],
    "booleans": lambda A: np.array([True, False]),
    "negative": with_last(-1),
    "ids": with_last(10**9),
    "huge": lambda A: [2**70],
    "twice": lambda A: np.r_[A, A[:1]],
    "two dimensions": lambda A: A[None],
    "ragged": lambda A: [[1], [1, 2]],
}

BAD_NUMBER = {
    **{"negative": -1, "minus infinity": -np.inf, "infinity": np.inf, "NaN": np.nan},
    **{"text": "1", "bool": True, "NumPy's bool": np.True_, "list": [1], "array": np.ones(2)},
    **{"complex": 1j, "too large": 10**400, "date": pd.Timestamp(0), "NA": pd.NA},
}
BAD_COUNT = BAD_NUMBER | {"zero": 0, "fraction": 2.5, "None": None}
BAD_SEED = {"text": "x", "negative": -1, "fraction": 1.5, "NaN": np.nan, "date": pd.Timestamp(0)}


def same_numbers(value):
    """A number as NumPy and others have it."""
    kinds = np.float64, np.float32, np.int64 if value == int(value) else np.float64
    return {kind.__name__: kind(value) for kind in kinds}


# What a call must make of it


def state(x):
    """All that an argument holds, down to the order and the format in which it holds it."""
    if isinstance(x, np.ndarray):
        content = repr(x.tolist()) if x.dtype == object else x.tobytes()
        return type(x), x.shape, x.dtype.str, x.strides, content
    if sp.issparse(x):
        names = ("data", "indices", "indptr", "coords", "offsets", "rows")
        parts = sorted(x.items()) if x.format == "dok" else [getattr(x, n, None) for n in names]
        return type(x), x.shape, x.dtype.str, state(parts)
    if isinstance(x, pd.DataFrame):
        columns = [state(x.iloc[:, k]) for k in range(x.shape[1])]
        return repr(x.columns), repr(x.index.tolist()), columns
    if isinstance(x, (pd.Series, pd.Index)):
        return type(x), str(x.dtype), repr(x.tolist()), repr(getattr(x, "index", ())), repr(x.name)
    if isinstance(x, dict):
        return {key: state(value) for key, value in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x), [state(one) for one in x]
    if isinstance(x, (alsnb.Ratings, alsnb.Factorization, bayes.Posterior)):
        return type(x), state({k: v for k, v in vars(x).items() if k[0] != "_"})
    return repr(x)


def holes(R):
    """A sparse matrix as a dense one, with NaN where nothing is stored."""
    A = sp.coo_array(R)
    dense = np.full(A.shape, np.nan)
    dense[A.coords] = A.data
    return dense


def assert_same(result, expected):
    """Equal to rounding; a sparse matrix may be expected as a dense one with NaN for its holes."""
    if isinstance(expected, dict):
        assert list(result) == list(expected)
        result, expected = list(result.values()), list(expected.values())
    if sp.issparse(result):
        assert result.format == "csr" and result.has_canonical_format
        result = holes(result)
        expected = holes(expected) if sp.issparse(expected) else expected
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(result, expected, check_dtype=False, rtol=1e-5)
    elif isinstance(expected, (list, tuple)) or inspect.isgenerator(result):
        for one, other in zip(result, expected, strict=True):
            assert_same(one, other)
    elif np.asarray(expected).dtype.kind in "iufb":
        result, expected = np.asarray(result), np.asarray(expected, float)
        assert result.shape == expected.shape
        rounding = 1e-4 if result.dtype == np.float32 else 1e-9
        finite = np.abs(expected[np.isfinite(expected)])
        np.testing.assert_allclose(
            result, expected, rtol=0, atol=rounding * finite.max(initial=1.0), equal_nan=True
        )
    else:
        assert np.array_equal(np.asarray(result, object), np.asarray(expected, object)), result


def apply(call, given):
    return call(**given) if isinstance(given, dict) else call(*given)


def works(call, given, expected):
    """The call of `given`, by name or in order, returns what is expected, and changes nothing."""
    before = state(given)
    result = apply(call, given)
    assert_same(result, expected)
    assert state(given) == before


def refuses(call, given, name, error=REFUSED):
    """The call says what is wrong, in a sentence that names the argument, and changes nothing."""
    before = state(given)
    with pytest.raises(error) as caught:
        apply(call, given)
    assert state(given) == before
    said = str(caught.value.args[0])
    assert re.search(rf"(?<!\w)({name})(?!\w)", said), f"does not name {name}: {said}"
    assert "\n" not in said and len(said) < 300 and not re.search(r"[.!?] [A-Z]", said), said


# Everything public, so that nothing is forgotten

DATA_SIDE = ("ratings", "metrics", "tuning", "movielens", "plotting", "widgets")
MORE = (tuning.edges_reached, bayes.Posterior, bayes.most_informative_items, bayes.interval)


def public_names(data_side):
    """Functions, constructors and methods ("Ratings.user") of one of the two tables of calls."""
    public = [getattr(alsnb, name) for name in alsnb.__all__] + [*MORE]
    shown = [f for name, f in vars(plotting).items() if name.startswith("plot_")]
    shown += [getattr(widgets, name) for name in widgets.__all__]
    public += [one for one in shown if {"R", "ratings"} & {*inspect.signature(one).parameters}]
    names = set()
    for one in public:
        package, room, *_ = (*one.__module__.split("."), "")
        error = inspect.isclass(one) and issubclass(one, Exception)
        if package != "alsnb" or one.__name__[0] == "_" or error:
            continue
        if (room in DATA_SIDE) is data_side:
            names.add(one.__name__)
            if inspect.isclass(one) and room != "widgets":
                own = [m for m in vars(one) if callable(getattr(one, m)) and m[0] != "_"]
                names |= {f"{one.__name__}.{method}" for method in own}
    return names
