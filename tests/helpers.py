"""What several test modules need: data, settings of every kind of model, and comparisons."""

import threading
import xml.etree.ElementTree as ET
import zipfile
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import alsnb
from alsnb.features import Link, check_features

SECONDS = 60  # until what hangs is given up; nothing takes nearly as long

# Every variant of the model: whatever holds for one of them is tested for all.
VARIANTS = {
    "plain": {},
    "half": {"reg_exponent": 0.5},
    "weighted": {"reg_exponent": 1.0},
    "pair": {"lambda_reg": (0.5, 2.0), "reg_exponent": 0.5},
    "bias": {"bias": True},
    "bias_reg": {"bias": True, "bias_reg": (2.0, 0.25), "reg_exponent": 0.5},
    "implicit": {"implicit_features": True, "implicit_reg": 3.0},
    "features": {"feature_reg": 2.0},
    "all": {
        "lambda_reg": (0.5, 2.0),
        "reg_exponent": 0.5,
        "bias": True,
        "bias_reg": (2.0, 0.25),
        "implicit_features": True,
        "implicit_reg": (3.0, 5.0),
        "feature_reg": (2.0, 1.0),
    },
    "counts": {
        "lambda_reg": 0.05,
        "reg_exponent": 1.0,
        "confidence": 2.0,
        "unobserved_weight": 0.3,
    },
    "all counts": {
        "lambda_reg": (0.5, 2.0),
        "reg_exponent": 0.5,
        "implicit_features": True,
        "implicit_reg": (3.0, 5.0),
        "feature_reg": (2.0, 1.0),
        "confidence": 0.5,
        "unobserved_weight": 1.5,
    },
}
GIVEN = ("features", "all", "all counts")  # which are given features of users and of items
COUNTS = ("counts", "all counts")  # which are of implicit feedback


def write_zip(path, prefix, files, how=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in files.items():
            archive.writestr(prefix + name, content)
    return path


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file under a folder, hidden and temporary ones included, with its content."""
    paths = folder.rglob("*")
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.is_file()}


def heavy_tailed(n_users=400, n_items=300, seed=0):
    """Ratings 0 to 5, most of few users and items, as in life; one user and one item have none."""
    rng = np.random.default_rng(seed)
    users, items = ((1 + rng.permutation(n)) ** -0.7 for n in (n_users, n_items))
    mask = rng.random((n_users, n_items)) < np.minimum(60 * np.outer(users, items), 0.9)
    mask[5], mask[:, 7] = False, False
    ratings = rng.integers(0, 6, mask.sum()).astype(float)
    return sp.coo_array((ratings, np.nonzero(mask)), shape=mask.shape).tocsr()


def data_of(variant, R):
    """Ratings as they are or, where no zeros may be, with one more each."""
    if variant not in COUNTS or (R.data > 0).all():
        return R
    return sp.csr_array((R.data + 1, R.indices, R.indptr), shape=R.shape)


def settings_of(variant, n_factors=8, **changes):
    """An `ALS` of one of the variants."""
    return alsnb.ALS(**{"n_factors": n_factors, "lambda_reg": 0.5} | VARIANTS[variant] | changes)


def features_of(variant, side, n_rows, seed=0):
    """Made-up features of rows: a table of users, a matrix of items; or None for other variants."""
    if variant not in GIVEN:
        return None
    k, rng = np.arange(seed, n_rows + seed), np.random.default_rng([n_rows, seed])
    if side == "users":
        likes = np.array(["war", None, "love|war", "love", "art | war"], dtype=object)
        return pd.DataFrame({"age": 20 + 7 * k % 41, "likes": likes[k % 5]})
    return sp.csr_array(rng.random((n_rows, 4)) * (rng.random((n_rows, 4)) < 0.7))


class Start(np.random.Generator):
    """The rng of a fit that is to start at these U and V."""

    def __init__(self, *factors):
        super().__init__(np.random.PCG64(0))
        self.factors = list(factors)

    def normal(self, loc, scale, size):
        X = self.factors.pop(0)
        assert X.shape == size
        return X.copy()


def fit(R, variant="plain", n_factors=8, n_iterations=3, **options):
    """A quiet fit of a variant, always from the same start."""
    options = {"verbose": False, "rng": 0, "executor": "serial"} | options
    if variant in COUNTS:  # which no stars are predicted of
        R = data_of(variant, R)
        options.pop("R_test", None)
    for side, n_rows in zip(("users", "items"), getattr(R, "R", R).shape, strict=True):
        if variant in GIVEN:
            options.setdefault(f"{side[:-1]}_features", features_of(variant, side, n_rows))
    return settings_of(variant, n_factors).fit(R, n_iterations, **options)


def bits(model):
    """Everything that a fit returns, byte by byte."""
    parts = [model.U, model.V, model.train_errors, model.objectives, model.test_errors]
    parts += [B for link in model.links or () if link for B in (link.rated, link.given)]
    return [None if part is None else part.tobytes() for part in parts]


def in_time(call, *args, **options):
    """What a call returns or raises, unless it hangs."""
    outcome = Future()

    def work():
        try:
            outcome.set_result(call(*args, **options))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return outcome.result(SECONDS)


def assert_close(result, expected, rounding):
    """Equal factors and errors, relative to the largest of each."""
    for name in ("U", "V", "train_errors", "objectives", "test_errors"):
        x, y = getattr(result, name), getattr(expected, name)
        if y is not None:
            np.testing.assert_allclose(x, y, rtol=0, atol=rounding * abs(y).max(), err_msg=name)
    for links in zip(result.links or (), expected.links or (), strict=True):
        for x, y in zip(*map(arrays_of, links), strict=True):
            np.testing.assert_allclose(x, y, rtol=0, atol=rounding * abs(y).max(initial=1e-9))


SMALL, SMALL_TEST = alsnb.train_test_split(heavy_tailed(40, 30), rng=0)
each_model = pytest.mark.parametrize(
    ("variant", "dtype"), [(v, d) for v in VARIANTS for d in ("float64", "float32")]
)
each_star_model = pytest.mark.parametrize(  # those of ratings in stars
    ("variant", "dtype"),
    [(v, d) for v in VARIANTS if v not in COUNTS for d in ("float64", "float32")],
)
both_sides = pytest.mark.parametrize("side", ["users", "items"])


@cache
def fitted(variant="all", dtype="float64"):
    """A model of four factors, fitted to SMALL once for all tests."""
    return fit(SMALL, variant, 4, dtype=dtype, R_test=SMALL_TEST)


def rounding_of(dtype, double=1e-9, single=2e-4):
    return double if dtype == "float64" else single


def close(x, y, rounding=1e-9):
    """Equal to rounding, relative to the largest number of y."""
    np.testing.assert_allclose(x, y, rtol=0, atol=rounding * np.abs(y).max(initial=1e-9))


def arrays_of(*given):
    """Every array of models, ratings and matrices."""
    for one in given:
        if isinstance(one, np.ndarray):
            yield one
        elif isinstance(one, alsnb.Factorization):
            yield from arrays_of(one.U, one.V, one.train_errors, one.test_errors, one.objectives)
            yield from arrays_of(*(one.links or ()))
        elif isinstance(one, Link):
            yield from arrays_of(one.rated, one.given, one.features)
        elif isinstance(one, alsnb.Ratings):
            yield from arrays_of(one.R, one.user_ids, one.item_ids, one.titles)
        elif one is not None:
            names = ("data", "indices", "indptr", "row", "col")
            yield from (getattr(one, name) for name in names if hasattr(one, name))


def bytes_of(*given):
    """Every array, byte by byte; of objects, what they are."""
    arrays = list(arrays_of(*given))
    return [a.tolist() if a.dtype == object else a.tobytes() for a in arrays]


@contextmanager
def untouched(*given):
    """What models and matrices hold must not change, and cannot be written to meanwhile."""
    arrays, before = list(arrays_of(*given)), bytes_of(*given)
    writeable = [array.flags.writeable for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    try:
        yield
    finally:
        for array, flag in zip(arrays, writeable, strict=True):
            array.flags.writeable = flag
    assert bytes_of(*given) == before
    assert all(old is new for old, new in zip(arrays, arrays_of(*given), strict=True))


def turned(side, R):
    """R with a row for each of a side."""
    return R if side == "users" else R.T.tocsr()


def own(side, model):
    return model.U if side == "users" else model.V


def entries(R):
    """Each rating, as a dict, of what must be canonical CSR."""
    assert type(R) is sp.csr_array
    assert sp.csr_array((R.data, R.indices, R.indptr), shape=R.shape).has_canonical_format
    R = R.tocoo()
    return dict(zip(zip(*map(np.ndarray.tolist, R.coords), strict=True), R.data, strict=True))


# The same by dense least squares, without the substitution d = x − m, and biases as they are


def setting(pair, side):
    return float(np.broadcast_to(pair, 2)[("users", "items").index(side)])


def dense_given(model, side, features):
    """Given features of new rows as a matrix, or None."""
    if features is None:
        return None
    return check_features(features, features.shape[0], "F", model.link(side))[0].toarray()


def dense_error(model, R):
    """Σ (r − u·v)² over ratings or, with confidence, Σ c (p − u·v)² over all pairs; and Σ c."""
    s, A, UV = model.settings, R.tocoo(), model.U.astype(float) @ model.V.T.astype(float)
    if s.confidence is None:
        return np.sum((A.data - UV[A.coords]) ** 2), A.nnz
    c, p = np.full(A.shape, s.unobserved_weight), np.zeros(A.shape)
    p[A.coords] = 1
    c[A.coords] += s.confidence * A.data
    return np.sum(c * (p - UV) ** 2), c.sum()


def dense_link(model, side):
    """B in the units of factors and of a bias in stars, of what was rated and of given features."""
    link, s = model.link(side), model.settings
    λ, λ_bias = (setting(λ, side) for λ in (s.lambda_reg, s.bias_reg or s.lambda_reg))
    units = np.array([1.0] * s.n_factors + [np.sqrt(λ / λ_bias)] * s.bias)
    return [
        None if B is None else B * units for B in ((link.rated, link.given) if link else 2 * [None])
    ]


def dense_system(model, side, rows, F=None):
    """Of each row: columns of the fixed side, targets, penalties of each unknown, prior mean.

    With confidence all columns are there, each times the root of its c.
    """
    s, users = model.settings, side == "users"
    λ, λ_bias = (setting(λ, side) for λ in (s.lambda_reg, s.bias_reg or s.lambda_reg))
    Y = (model.item_factors if users else model.user_factors).astype(float)
    Y = np.c_[Y, np.ones((len(Y), int(s.bias)))]
    offsets = (model.item_bias if users else model.user_bias) + model.mean
    rated, given = dense_link(model, side)
    for row in range(rows.shape[0]):
        columns, ratings = alsnb.rated_by(rows, row)
        n = max(len(columns), 1)
        c = p = None
        if s.confidence is not None:
            c, p = (np.zeros(len(Y)) for _ in range(2))
            c[columns], p[columns] = s.confidence * ratings, 1
            c += s.unobserved_weight
        size = n if c is None else len(columns) + s.unobserved_weight * len(Y)
        penalties = np.array([λ] * s.n_factors + [λ_bias] * s.bias) * size**s.reg_exponent
        prior = np.zeros(Y.shape[1])
        prior += 0 if rated is None else rated[columns].sum(axis=0) / np.sqrt(n)
        prior += 0 if F is None else F[row] @ given
        if c is None:
            yield Y[columns], ratings - offsets[columns], penalties, prior
        else:
            yield np.sqrt(c)[:, None] * Y, np.sqrt(c) * p, penalties, prior


def dense_rows(model, side, rows, F=None):
    """All columns of rows with these ratings, each by least squares on an augmented system."""
    result, s = [], model.settings
    for Y, left, penalties, prior in dense_system(model, side, rows, F):
        system = np.vstack([Y, np.diag(np.sqrt(penalties))])
        wanted = np.concatenate([left, np.sqrt(penalties) * prior])
        result.append(np.linalg.lstsq(system, wanted, rcond=None)[0])
    X, ones = np.array(result), np.ones((len(result), 1))
    if not s.bias:
        return X
    factors, bias = X[:, :-1], X[:, -1:]
    last = [bias, ones, model.mean * ones] if side == "users" else [ones, bias, ones]
    return np.hstack([factors, *last])


# What a widget shows


def drawn(widget):
    """Elements of its picture, which says what the sentence says."""
    root = ET.fromstring(widget._drawn.value)
    assert root.get("aria-label") == widget.report
    return list(root.iter())


def texts(widget):
    return [element.text for element in drawn(widget) if element.tag == "text"]


def coloured(widget, tag, colour, paint="fill"):
    return [e for e in drawn(widget) if e.tag == tag and e.get(paint) == colour]
