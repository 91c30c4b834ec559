"""Folding in, against dense least squares and against the fits that rows were taken from."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from test_terms import assert_close, dense_half, dense_partner

import alsnb
from alsnb.blocks import plan_blocks

USERS, ITEMS = 0, 1
PARTNERS = {"implicit_weight": 0.7, "implicit_reg": 0.4}
VARIANTS = {
    "plain": {},
    "half-weighted, a λ each": {"lambda_reg": (0.6, 1.1), "reg_exponent": 0.5},
    "weighted": {"lambda_reg": 0.15, "reg_exponent": 1.0},
    "biases": {"bias": True},
    "biases, their own λ": {"bias": True, "bias_reg": 2.5, "reg_exponent": 0.5},
    "biases, a λ each": {"lambda_reg": (0.4, 0.9), "bias": True, "bias_reg": (0.7, 3.0)},
    "partners": PARTNERS,
    "everything": {"lambda_reg": (0.2, 0.3), "reg_exponent": 1.0, "bias": True}
    | {"bias_reg": (0.3, 0.2)}
    | PARTNERS,
}
every = pytest.mark.parametrize("variant", VARIANTS)
side = pytest.mark.parametrize("which", [USERS, ITEMS], ids=["users", "items"])
FOLD_IN = alsnb.fold_in_user, alsnb.fold_in_item
FOLD_IN_MANY = alsnb.fold_in_users, alsnb.fold_in_items
APPEND = alsnb.append_users, alsnb.append_items


def sparse(mask, values):
    return sp.coo_array((values[mask] * 1.0, np.nonzero(mask)), shape=mask.shape).tocsr()


def random_ratings(seed, shape, share=0.6):
    """A mask and ratings 0 to 5; a row and a column have none, and one rating is a stored zero."""
    rng = np.random.default_rng(seed)
    mask, values = rng.random(shape) < share, rng.integers(0, 6, shape)
    mask[-1], mask[:, -1] = False, False
    mask[0, :2], values[0, :2] = True, (5, 0)
    return mask, np.where(mask, values, 0)


def new_ratings(seed, shape, share=0.6):
    """The same for rows to be folded in: one has no ratings, but any column may have."""
    return tuple(part[:, :-1] for part in random_ratings(seed, (shape[0], shape[1] + 1), share))


MASK, VALUES = random_ratings(1, (9, 8))
R = sparse(MASK, VALUES)


def fit(R, options, n_factors=3, n_iterations=3, **more):
    options = {"lambda_reg": 0.7, "verbose": False, "rng": 0} | options | more
    return alsnb.als_matrix_factorization_parallel(
        R, n_factors, n_iterations=n_iterations, executor="serial", **options
    )


@cache
def fitted(variant, dtype=float):
    return fit(R, VARIANTS[variant], dtype=dtype, R_test=R)


@cache
def converged(variant, dtype=float):
    """A fit that went on until nothing moved any more."""
    last = []

    def callback(_, *factors):
        moved = [abs(X - Y).max() for X, Y in zip(factors, last, strict=False)]
        last[:] = factors
        return bool(moved) and max(moved) < 1e2 * np.finfo(dtype).eps

    model = fit(R, VARIANTS[variant], 2, 5000, dtype=dtype, callback=callback)
    assert dtype is not float or len(model.train_errors) < 5000
    assert np.abs(model.U[:, :2]).max() > 0.2  # there are factors, not only biases
    return model


def dense_rows(which, mask, values, model, options, mean):
    """All columns of rows with these ratings, by least squares on augmented systems."""
    fixed, bias = (model.V, model.U)[which].astype(float), options.get("bias", False)
    f = fixed.shape[1] - 3 * bias
    λ, λ_bias = options.get("lambda_reg", 0.7), options.get("bias_reg")
    λs = [np.broadcast_to(x, 2)[which] for x in (λ, λ if λ_bias is None else λ_bias)]
    λs = np.r_[np.full(f, λs[0]), λs[1]]
    explained = mean + fixed[:, f + 1 - which] if bias else 0.0
    w = options.get("implicit_weight", 0.0)
    partner = model.partners[which].astype(float) if w else np.zeros((len(fixed), f))
    nu = options.get("reg_exponent", 0.0)
    X, b = dense_half(mask, values - explained, fixed[:, :f], partner, λs, nu, w, bias)
    if not bias:
        return X
    ones = np.ones(len(X))
    return np.c_[X, b, ones, mean * ones] if which == USERS else np.c_[X, ones, b, ones]


def turned(which, matrix):
    return matrix if which == USERS else matrix.T


def arrays_of(*given):
    """Every array of models and matrices."""
    for one in given:
        if isinstance(one, alsnb.Factorization):
            parts = (one.U, one.V, one.train_errors, one.objectives, one.test_errors)
            yield from (*(part for part in parts if part is not None), *(one.partners or ()))
        else:
            names = ("data", "indices", "indptr", "row", "col")
            yield from (getattr(one, name) for name in names if hasattr(one, name))


@contextmanager
def untouched(*given):
    """What models and matrices hold must not change, and cannot even be written to."""
    arrays = list(arrays_of(*given))
    before = [array.tobytes() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    yield
    after = list(arrays_of(*given))
    assert [array.tobytes() for array in after] == before
    assert all(old is new for old, new in zip(arrays, after, strict=True))


# The equation

options = st.builds(
    lambda *parts: {key: value for part in parts for key, value in part.items()},
    st.fixed_dictionaries(
        {
            "lambda_reg": st.sampled_from([0.3, (0.3, 0.9), (2.0, 0.5)]),
            "reg_exponent": st.sampled_from([0, 0.5, 1]),
        }
    ),
    st.sampled_from([{}, {"bias": True}])
    | st.sampled_from([2.0, (0.5, 3.0)]).map(lambda λ: {"bias": True, "bias_reg": λ}),
    st.just({})
    | st.sampled_from([0.3, 2.0]).map(lambda w: {"implicit_weight": w, "implicit_reg": 0.4}),
)


@given(
    st.integers(0, 10**6),
    st.tuples(st.integers(3, 9), st.integers(3, 9)),
    st.integers(1, 5),
    options,
    st.sampled_from([float, np.float32]),
)
def test_rows_are_the_dense_ones_in_any_order(seed, shape, f, options, dtype):
    rng, rounding = np.random.default_rng(seed), 1e-9 if dtype is float else 1e-3
    mask, values = random_ratings(seed, shape, rng.random())
    model, mean = fit(sparse(mask, values), options, f, dtype=dtype), values[mask].mean()
    for which in (USERS, ITEMS):
        new_mask, new_values = new_ratings(rng, (5, shape[1 - which]), rng.random())
        expected = dense_rows(which, new_mask, new_values, model, options, mean)
        many = FOLD_IN_MANY[which](turned(which, sparse(new_mask, new_values)), model)
        assert_close(many, expected, rounding)
        one_by_one = []
        for rated, ratings in zip(new_mask, new_values, strict=True):
            order = rng.permutation(np.flatnonzero(rated))
            one_by_one.append(FOLD_IN[which](order, ratings[order], model))
            assert (one_by_one[-1].dtype, one_by_one[-1].shape) == (dtype, expected.shape[1:])
        assert_close(np.array(one_by_one), expected, rounding)  # a row may be zero to rounding


@every
@side
def test_what_is_accepted(variant, which):
    model, fold_in = fitted(variant), FOLD_IN[which]
    expected = fold_in([2, 0], [4.0, 0.0], model)
    for items in ((2, 0), np.array([2, 0], np.uint64), np.array([2, 0], np.int8), range(2, -1, -2)):
        for ratings in ((4, 0), np.array([4, 0], np.uint8), np.array([4, 0], np.float32)):
            assert fold_in(items, ratings, model).tobytes() == expected.tobytes()
    assert fold_in(2, 4, model).tobytes() == fold_in([2], [4], model).tobytes()
    assert (
        fold_in(np.int32(2), np.float32(4), model).tobytes() == fold_in([2], [4], model).tobytes()
    )
    with pytest.raises(AssertionError):  # or nothing was compared
        assert_close(fold_in([2], [4], model), expected)


# The fits' own rows


@every
@pytest.mark.parametrize("dtype", [float, np.float32])
def test_training_rows_come_back(variant, dtype):
    model, rounding = converged(variant, dtype), 1e-8 if dtype is float else 1e-3
    for which, X in enumerate((model.U, model.V)):
        assert_close(FOLD_IN_MANY[which](R, model), X, rounding)
        for rated, ratings, row in zip(turned(which, MASK), turned(which, VALUES), X, strict=True):
            reached = FOLD_IN[which](np.flatnonzero(rated), ratings[rated], model)
            np.testing.assert_allclose(reached, row, rtol=0, atol=rounding * max(abs(row)))


@every
@pytest.mark.parametrize("dtype", [float, np.float32])
def test_items_are_those_of_the_last_half_step(variant, dtype):
    model, rounding = fitted(variant, dtype), 1e-13 if dtype is float else 1e-5
    assert_close(alsnb.fold_in_items(R, model), model.V, rounding)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if "lic" not in str(VARIANTS[name])])
def test_users_are_those_of_the_next_half_step(variant):
    longer = fit(R, VARIANTS[variant], n_iterations=4)
    assert_close(alsnb.fold_in_users(R, fitted(variant)), longer.U, 1e-13)


@every
@side
def test_without_ratings_only_pinned_columns_are_not_zero(variant, which):
    model, mean = fitted(variant), VALUES[MASK].mean()
    row = FOLD_IN[which]([], [], model)
    assert row.tobytes() == (model.U, model.V)[which][-1].tobytes()  # who has none, either
    assert row[:3].tolist() == [0, 0, 0]
    if VARIANTS[variant].get("bias"):
        assert row[3:].tolist() == ([0, 1, mean] if which == USERS else [1, 0, 1])
        other = (model.V[:, 4], model.U[:, 3])[which]
        np.testing.assert_allclose((model.V, model.U)[which] @ row, mean + other, rtol=1e-12)


# Many at once

BIG = random_ratings(3, (90, 40), 0.5)


@cache
def big(variant):
    return fit(sparse(*BIG), VARIANTS[variant], 12, 2)


@every
@side
def test_many_are_as_each_with_any_number_of_workers(variant, which, monkeypatch):
    monkeypatch.setattr("alsnb.blocks.BLOCK_SIZE", 2**11)
    model, (mask, values) = big(variant), random_ratings(4, (60, (40, 90)[which]), 0.4)
    values = values + 0.1 * mask
    mask[5:9] = False
    assert len(plan_blocks(mask.sum(axis=1), 12)) > 5  # so that there is work to share
    R_new = turned(which, sparse(mask, values))
    fold_in, many = FOLD_IN[which], FOLD_IN_MANY[which]
    results = [many(R_new, model, n_workers=n) for n in (1, 2, 3, np.int64(2), None)]
    assert {result.tobytes() for result in results} == {results[0].tobytes()}
    for rated, ratings, row in zip(mask, values, results[0], strict=True):
        assert_close(row, fold_in(np.flatnonzero(rated), ratings[rated], model), 1e-9)
    assert results[0].shape == (60, model.U.shape[1])
    assert not results[0][5:9, :12].any()


def unsorted(A):
    """The same matrix, each row backwards."""
    parts = zip(A.indptr[:-1], A.indptr[1:], strict=True)
    order = np.concatenate([np.arange(stop, start, -1) - 1 for start, stop in parts])
    return sp.csr_array((A.data[order], A.indices[order], A.indptr.copy()), shape=A.shape)


FORMATS = {
    "csr_matrix": sp.csr_matrix,
    "csc": sp.csc_array,
    "coo": sp.coo_array,
    "unsorted": unsorted,
    "integers": lambda A: A.astype(np.int16),
    "float32": lambda A: A.astype(np.float32),
    "longdouble": lambda A: A.astype(np.longdouble),
    "lil": lambda A: A.tolil(),
}


@every
@pytest.mark.parametrize("form", FORMATS)
def test_any_format_and_nothing_is_changed(variant, form):
    model = fitted(variant)
    for which in (USERS, ITEMS):
        R_new = turned(which, sparse(*new_ratings(5, (4, (8, 9)[which])))).tocsr()
        expected = FOLD_IN_MANY[which](R_new, model)
        expected_model, expected_R = APPEND[which](R_new, R, model)
        other, other_R = FORMATS[form](R_new), FORMATS[form](R)
        with untouched(model, other, other_R):
            assert FOLD_IN_MANY[which](other, model).tobytes() == expected.tobytes()
            grown, R_grown = APPEND[which](other, other_R, model)
        for array, same in zip(arrays_of(grown), arrays_of(expected_model), strict=True):
            assert array.tobytes() == same.tobytes()
        assert (type(R_grown), R_grown.shape) == (sp.csr_array, expected_R.shape)
        assert R_grown.has_canonical_format
        assert (R_grown.toarray() == expected_R.toarray()).all()
        assert R_grown.nnz == expected_R.nnz
    for items in ([1, 3], np.array([3, 1])):
        with untouched(model):
            alsnb.fold_in_user(items, [2.0, 4.5], model)
            alsnb.fold_in_item(items, [2.0, 4.5], model)


def test_arguments_of_one_row_are_not_changed():
    items, ratings = np.array([4, 1, 6]), np.array([1.0, 5.0, 0.0])
    for array in (items, ratings):
        array.flags.writeable = False
    for variant in VARIANTS:
        for fold_in in FOLD_IN:
            fold_in(items, ratings, fitted(variant))
    assert (items.tolist(), ratings.tolist()) == ([4, 1, 6], [1, 5, 0])


def test_threads_may_fold_in_at_the_same_time():
    model, R_big = big("everything"), sparse(*BIG)
    expected = [many(R_big, model).tobytes() for many in FOLD_IN_MANY]
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(FOLD_IN_MANY[k % 2], R_big, model, n_workers=2) for k in range(12)]
        assert [run.result().tobytes() for run in runs] == 6 * expected


# Growing


@every
@pytest.mark.parametrize("dtype", [float, np.float32])
def test_appended_users_can_rate_appended_items(variant, dtype):
    options, mean = VARIANTS[variant], VALUES[MASK].mean()
    rounding = 1e-9 if dtype is float else 1e-3
    model, mask, values, R_grown = fitted(variant, dtype), MASK, VALUES, R
    for step, which in enumerate((USERS, ITEMS, USERS)):
        new_mask, new_values = new_ratings(step, (3, mask.shape[1 - which]), 0.7)
        dense = dense_rows(which, new_mask, new_values, model, options, mean)
        R_new = turned(which, sparse(new_mask, new_values))
        grown, R_next = APPEND[which](R_new, R_grown, model)
        # The other side stays, old rows stay, new ones are folded in
        own, other = ("U", "V") if which == USERS else ("V", "U")
        assert getattr(grown, other).tobytes() == getattr(model, other).tobytes()
        n, X = len(getattr(model, own)), getattr(grown, own)
        assert (X.shape, X.dtype) == ((n + 3, model.U.shape[1]), dtype)
        assert X[:n].tobytes() == getattr(model, own).tobytes()
        assert X[n:].tobytes() == FOLD_IN_MANY[which](R_new, model).tobytes()
        assert_close(X[n:], dense, rounding)
        for name in ("train_errors", "test_errors", "objectives"):
            assert getattr(grown, name).tobytes() == getattr(model, name).tobytes()
        for name in ("lambda_reg", "reg_exponent", "bias_reg", "implicit_weight", "implicit_reg"):
            assert getattr(grown, name) == getattr(model, name)
        # The partner of the other side has a row for each new one
        assert (grown.partners is None) == (model.partners is None)
        if grown.partners is not None:
            fixed = getattr(model, other)[:, :3].astype(float)
            assert grown.partners[which].tobytes() == model.partners[which].tobytes()
            partner = grown.partners[1 - which]
            assert (partner.shape, partner.dtype) == ((n + 3, 3), dtype)
            assert partner[:n].tobytes() == model.partners[1 - which].tobytes()
            assert_close(partner[n:], dense_partner(new_mask, fixed, 0.4), rounding)
        # R, with its stored zeros
        mask = turned(which, np.concatenate([turned(which, mask), new_mask]))
        values = turned(which, np.concatenate([turned(which, values), new_values]))
        assert (R_next.format, R_next.dtype, R_next.has_canonical_format) == ("csr", float, True)
        expected = sparse(mask, values)
        for name in ("data", "indices", "indptr"):
            assert getattr(R_next, name).tolist() == getattr(expected, name).tolist()
        model, R_grown = grown, R_next
    np.testing.assert_allclose(
        (model.U @ model.V.T)[:9, :8],
        fitted(variant, dtype).U @ fitted(variant, dtype).V.T,
        rtol=1e-5,
    )
    expected = dense_rows(USERS, mask, values, model, options, mean)
    assert_close(alsnb.fold_in_users(R_grown, model), expected, rounding)
    expected = dense_rows(ITEMS, mask.T, values.T, model, options, mean)
    assert_close(alsnb.fold_in_items(R_grown, model), expected, rounding)
    rated = np.array([10, 0, 8])  # two of them appended
    one = np.isin(np.arange(len(model.V)), rated)
    expected = dense_rows(USERS, one[None], 4.0 * one[None], model, options, mean)[0]
    assert_close(alsnb.fold_in_user(rated, [4, 4, 4], model), expected, rounding)


@every
@side
@pytest.mark.parametrize("n", [0, 2])
def test_whoever_has_no_ratings_yet_can_be_folded_in_and_appended(variant, which, n):
    model, R_new = fitted(variant), turned(which, sp.csr_array((n, (8, 9)[which])))
    nothing = FOLD_IN[which]([], [], model)
    assert FOLD_IN_MANY[which](R_new, model).tobytes() == n * nothing.tobytes()
    grown, R_grown = APPEND[which](R_new, R, model)
    factors, old = (grown.U, grown.V)[which], (model.U, model.V)[which]
    assert factors.tobytes() == old.tobytes() + n * nothing.tobytes()
    assert (R_grown.shape[which], R_grown.nnz) == (R.shape[which] + n, R.nnz)
    assert np.isfinite(grown.V @ grown.U.T).all()


@side
def test_appended_ratings_are_not_rounded_to_the_precision_of_the_factors(which):
    R_new = turned(which, sp.csr_array(([3.7], ([0], [4])), shape=(1, (8, 9)[which])))
    for dtype in (float, np.float32):
        _, grown = APPEND[which](R_new, R, fitted("plain", dtype))
        assert grown.data.max() == 5
        assert 3.7 in grown.data
    _, grown = APPEND[which](R_new, R.astype(np.float32), fitted("plain"))
    assert grown.dtype == np.float32
    assert np.float32(3.7) in grown.data


def test_partners_of_items_that_nobody_rated_are_zero():
    R_new = sp.csr_array(([3.0], ([1], [1])), shape=(9, 2))
    grown, _ = alsnb.append_items(R_new, R, fitted("everything"))
    assert not grown.partners[0][8].any()
    assert grown.partners[0][9].any()


# What is wrong with it

MODEL = fitted("everything")
SINGLE = fitted("everything", np.float32)
WIDE = sp.csr_array(([3.0], ([0], [0])), shape=(2, 9))
NEW = sp.csr_array(([3.0], ([0], [0])), shape=(2, 8))
NAN = sp.csr_array(([np.nan], ([0], [0])), shape=(2, 8))
HUGE = sp.csr_array(([1e39], ([0], [0])), shape=(2, 8))
TWICE = sp.coo_array(([1.0, 2.0], ([0, 0], [1, 1])), shape=(2, 8))
FIT, SPARSE = "model must be a Factorization, as a fit returns it, got ", "two-dimensional SciPy"
ROWS = [  # what is wrong with positions and ratings, whichever function they are given to
    ([8], [1], IndexError, "item_ids holds 8; the model has 0 to 7"),
    ([0, -1], [1, 1], IndexError, "item_ids holds -1; the model has 0 to 7"),
    (np.array([2**63], np.uint64), [1], IndexError, "holds 9223372036854775808"),
    ([1.0], [1], TypeError, "item_ids must be whole numbers, one dimension of them, got float64"),
    ([True], [1], TypeError, "item_ids must be whole numbers, one dimension of them, got bool"),
    (["1"], [1], TypeError, "item_ids must be whole numbers, one dimension of them, got <U1"),
    (None, [1], TypeError, "item_ids must be whole numbers"),
    ([10**30], [1], TypeError, "item_ids must be whole numbers"),
    ([[0, 1]], [[1, 1]], TypeError, "got int64 of shape (1, 2)"),
    ([[]], [], TypeError, "one dimension of them"),
    ([1, 2, 1], [1, 2, 3], ValueError, "item_ids holds a position twice; keep one rating each"),
    ([1], [np.nan], ValueError, "ratings hold NaN or ∞"),
    ([1, 2], [1, np.inf], ValueError, "ratings hold NaN or ∞"),
    ([1], ["5"], TypeError, "ratings must be real numbers, got dtype <U1"),
    ([1], [1j], TypeError, "ratings must be real numbers, got dtype complex128"),
    ([1], [True], TypeError, "ratings must be real numbers, got dtype bool"),
    ([1], None, TypeError, "ratings must be real numbers, got dtype object"),
    ([1], [], ValueError, "ratings must be as many, got shapes (1,) and (0,)"),
    ([], [1], ValueError, "ratings must be as many, got shapes (0,) and (1,)"),
    ([1, 2], 3, ValueError, "ratings must be as many, got shapes (2,) and (1,)"),
    ([1, 2], [[3, 3]], ValueError, "ratings must be as many, got shapes (2,) and (1, 2)"),
]


@pytest.mark.parametrize(("items", "ratings", "error", "message"), ROWS)
def test_bad_row(items, ratings, error, message):
    with untouched(MODEL), pytest.raises(error) as caught:
        alsnb.fold_in_user(items, ratings, MODEL)
    assert message in str(caught.value)


def test_users_are_called_users():
    with pytest.raises(IndexError, match="user_ids holds 9; the model has 0 to 8"):
        alsnb.fold_in_item([9], [1], MODEL)
    assert alsnb.fold_in_item([8], [1], MODEL).any()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: alsnb.fold_in_user([0], [1], (MODEL.U, MODEL.V)), TypeError, FIT + "tuple"),
        (lambda: alsnb.fold_in_item([0], [1], None), TypeError, FIT + "NoneType"),
        (lambda: alsnb.fold_in_users(NEW, R), TypeError, FIT + "csr_array"),
        (lambda: alsnb.fold_in_items(NEW, "model"), TypeError, FIT + "str"),
        (lambda: alsnb.append_users(NEW, R, MODEL.U), TypeError, FIT + "ndarray"),
        (lambda: alsnb.append_items(NEW, MODEL, R), TypeError, FIT + "csr_array"),
        (lambda: alsnb.fold_in_users(WIDE, MODEL), ValueError, "R_new has 9 columns but V has 8"),
        (lambda: alsnb.fold_in_items(NEW, MODEL), ValueError, "R_new has 2 rows but U has 9 rows"),
        (lambda: alsnb.append_users(WIDE, R, MODEL), ValueError, "R_new has 9 columns but V has 8"),
        (lambda: alsnb.append_items(NEW, R, MODEL), ValueError, "R_new has 2 rows but U has 9"),
        (lambda: alsnb.append_users(NEW, R.T, MODEL), ValueError, "R is 8 × 9 but the model 9 × 8"),
        (lambda: alsnb.append_users(NEW, R[:8], MODEL), ValueError, "R is 8 × 8 but the model 9"),
        (lambda: alsnb.append_users(NEW, R.toarray(), MODEL), TypeError, f"R must be a {SPARSE}"),
        (lambda: alsnb.append_users(R.toarray(), R, MODEL), TypeError, f"R_new must be a {SPARSE}"),
        (lambda: alsnb.fold_in_users(NAN, MODEL), ValueError, "R_new holds NaN or ∞ in 1 of 1"),
        (lambda: alsnb.append_users(NAN, R, MODEL), ValueError, "R_new holds NaN or ∞ in 1 of 1"),
        (lambda: alsnb.fold_in_users(TWICE, MODEL), ValueError, "R_new is ambiguous"),
        (lambda: alsnb.fold_in_users(NEW > 1, MODEL), TypeError, "R_new must hold real numbers"),
        (lambda: alsnb.fold_in_users(NEW * 1j, MODEL), TypeError, "R_new must hold real numbers"),
        (lambda: alsnb.fold_in_users(NEW, MODEL, n_workers=0), ValueError, "n_workers must be at"),
        (lambda: alsnb.fold_in_users(NEW, MODEL, n_workers=1.5), TypeError, "n_workers must be a"),
        (lambda: alsnb.fold_in_items(R, MODEL, n_workers=True), TypeError, "n_workers must be a"),
    ],
)
def test_bad_input(call, error, message):
    with untouched(MODEL, R), pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda: alsnb.fold_in_user([0], [1e39], SINGLE),
        lambda: alsnb.fold_in_item([0, 1], [1e39, 1], SINGLE),
        lambda: alsnb.fold_in_user([0, 1, 2, 3, 4, 5], 6 * [-1e39], fitted("plain", np.float32)),
        lambda: alsnb.fold_in_users(HUGE, SINGLE),
        lambda: alsnb.append_users(HUGE, R, SINGLE),
        lambda: alsnb.append_users(HUGE, R.astype(np.float32), MODEL),
        lambda: alsnb.fold_in_user(range(7), 7 * [1.7e308], MODEL),
        lambda: alsnb.fold_in_item(range(7), 7 * [1.7e308], fitted("plain")),
    ],
)
def test_overflow_is_an_error_without_a_warning(call):
    with untouched(SINGLE, MODEL, R), pytest.raises(ValueError, match="too large"):
        call()


def test_factors_that_are_not_finite():
    broken = replace(MODEL, V=np.where(MODEL.V > 0, np.nan, MODEL.V))
    for call in (
        lambda: alsnb.fold_in_user([0, 1, 2, 3, 4], 5 * [1], broken),
        lambda: alsnb.fold_in_users(NEW, broken),
        lambda: alsnb.append_users(NEW, R, broken),
    ):
        with pytest.raises(ValueError, match="the solution is not finite: ratings or factors"):
            call()


BIASED, PLAIN = fitted("biases"), fitted("plain")


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (replace(PLAIN, V=PLAIN.V.astype(int)), ValueError, "dtype must be float32 or float64"),
        (replace(PLAIN, V=PLAIN.V.astype(np.float32)), ValueError, "V is float32, but U float64"),
        (replace(PLAIN, V=PLAIN.V[0]), TypeError, "V must be an array of two dimensions"),
        (replace(PLAIN, V=PLAIN.V.tolist()), TypeError, "V must be an array of two dimensions"),
        (replace(PLAIN, V=None), TypeError, "V must be an array of two dimensions"),
        (replace(PLAIN, V=PLAIN.V[:, :2]), ValueError, "U and V do not fit: (9, 3) and (8, 2)"),
        (replace(PLAIN, V=PLAIN.V[:0]), ValueError, "U and V do not fit"),
        (replace(PLAIN, bias_reg=0.1), ValueError, "U and V do not fit"),
        (replace(BIASED, U=2 * BIASED.U), ValueError, "columns that are pinned differ"),
        (replace(PLAIN, lambda_reg=-1), ValueError, "lambda_reg must be finite and positive"),
        (replace(PLAIN, lambda_reg=(1, 2, 3)), ValueError, "lambda_reg must be a number, or a"),
        (replace(PLAIN, lambda_reg=None), TypeError, "lambda_reg must be a number"),
        (replace(PLAIN, reg_exponent=-5), ValueError, "reg_exponent must be"),
        (replace(MODEL, partners=None), ValueError, "partners but no weight"),
        (replace(MODEL, partners=MODEL.partners[:1]), ValueError, "partners do not fit"),
        (replace(MODEL, partners=MODEL.partners[::-1]), ValueError, "partners do not fit"),
        (replace(MODEL, implicit_weight=0.0), ValueError, "partners but no weight"),
    ],
)
def test_models_that_contradict_themselves(model, error, message):
    """Whoever puts one together by hand is told, by every function, before anything is solved."""
    for call in (
        lambda: alsnb.fold_in_user([1], [4], model),
        lambda: alsnb.fold_in_items(R[:, :2], model),
        lambda: alsnb.append_users(NEW, R, model),
        lambda: alsnb.add_rating_optimized(0, [1], [4], R, model),
        lambda: alsnb.explain_recommendation(0, [1], [4], model),
        lambda: alsnb.most_informative_items(model),
        lambda: alsnb.similar_items(0, model),
    ):
        with pytest.raises(error) as caught:
            call()
        assert message in str(caught.value)


@pytest.mark.parametrize(("dtype", "scale"), [(float, 1e200), (np.float32, 1e20)])
@side
def test_factors_whose_products_overflow(which, dtype, scale):
    model = fitted("plain", dtype)
    huge = replace(model, U=model.U * dtype(scale), V=model.V * dtype(scale))
    for call in (
        lambda: FOLD_IN[which]([0, 1], [1, 2], huge),
        lambda: FOLD_IN[which](range(7), range(7), huge),
        lambda: FOLD_IN_MANY[which](R, huge),
    ):
        with pytest.raises(ValueError, match="not finite"):
            call()


def test_what_makes_one_block_is_solved_in_the_calling_thread(monkeypatch):
    """A thread costs more than it, and Ctrl-C while one starts or ends can hang Python."""
    expected = alsnb.fold_in_users(R, MODEL)
    monkeypatch.setattr(ThreadPoolExecutor, "submit", None)
    assert alsnb.fold_in_users(R, PLAIN, n_workers=10**6).shape == PLAIN.U.shape
    monkeypatch.undo()
    assert expected.tobytes() == alsnb.fold_in_users(R, MODEL, n_workers=1).tobytes()
