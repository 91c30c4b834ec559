"""Incremental updates, against folding in, a dict of ratings and a loop of single updates."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from test_foldin import (
    FIT,
    FORMATS,
    MASK,
    ROWS,
    SPARSE,
    VALUES,
    VARIANTS,
    R,
    arrays_of,
    converged,
    dense_rows,
    every,
    fitted,
    random_ratings,
    side,
    sparse,
    untouched,
)
from test_terms import assert_close

import alsnb

USERS, ITEMS = 0, 1
UPDATE = alsnb.update_users, alsnb.update_items
N_USERS, N_ITEMS = R.shape
ALONE = N_USERS - 1  # has not rated anything


def entries(R):
    """Ratings as a dict, of what must be canonical CSR."""
    assert type(R) is sp.csr_array
    assert R.has_canonical_format
    assert sp.csr_array((R.data, R.indices, R.indptr), shape=R.shape).has_canonical_format
    users = np.repeat(np.arange(R.shape[0]), np.diff(R.indptr))
    return dict(
        zip(zip(users.tolist(), R.indices.tolist(), strict=True), R.data.tolist(), strict=True)
    )


def folded(user, ratings, model):
    """The user's row, from all ratings in a dict."""
    items = sorted(j for i, j in ratings if i == user)
    return alsnb.fold_in_user(items, [ratings[user, j] for j in items], model)


def assert_only(user, U, model, row, rounding=1e-12):
    """Rows are the model's to the bit, and that of the user is as given."""
    others = np.arange(len(U)) != user
    assert (U.shape, U.dtype) == (model.U.shape, model.U.dtype)
    assert U[others].tobytes() == model.U[others].tobytes()
    assert_close(U[user], row, rounding)


def bits(U, R):
    return [part.tobytes() for part in (U, R.data, R.indices, R.indptr)]


# One user


@every
@pytest.mark.parametrize("user", [0, 3, ALONE])
def test_new_ratings_count_as_if_always_given(variant, user):
    model, mask, values = fitted(variant), MASK.copy(), VALUES * 1.0
    items = np.array([7, 0, 3, 1])  # one that nobody has rated; those rated before are replaced
    assert MASK[user, items].any() == (user != ALONE)
    mask[user, items], values[user, items] = True, (3.5, 0, 4, 1)
    U, R_new = alsnb.add_rating_optimized(user, items, [3.5, 0, 4, 1], R, model)
    mean = VALUES[MASK].mean()
    row = dense_rows(USERS, mask[[user]], values[[user]], model, VARIANTS[variant], mean)[0]
    assert_only(user, U, model, row, 1e-9)
    assert bits(U, R_new)[1:] == bits(U, sparse(mask, values))[1:]
    assert abs(U[user] - model.U[user]).max() > 1e-3  # which has changed something


steps = st.tuples(
    st.booleans(),
    st.integers(0, N_USERS - 1),
    st.lists(st.integers(0, N_ITEMS - 1), unique=True, max_size=5),
    st.lists(st.sampled_from([0.0, 0.5, 3.0, 4.25, 5.0]), min_size=5, max_size=5),
)


@given(
    st.sampled_from(list(VARIANTS)),
    st.sampled_from([float, np.float32]),
    st.sampled_from([float, np.float32]),
    st.lists(steps, min_size=1, max_size=8),
)
def test_ratings_that_come_and_go(variant, dtype, R_dtype, steps):
    model, A, ratings = fitted(variant, dtype), R.astype(R_dtype), entries(R)
    for adds, user, items, stars in steps:
        if adds:
            ratings |= {(user, j): r for j, r in zip(items, stars, strict=False)}
            U, A = alsnb.add_rating_optimized(user, items, stars[: len(items)], A, model)
        else:
            items = [j for j in items if (user, j) in ratings]
            ratings = {
                key: r for key, r in ratings.items() if key not in {(user, j) for j in items}
            }
            U, A = alsnb.remove_rating(user, items, A, model)
        assert_only(user, U, model, folded(user, ratings, model))
        assert entries(A) == ratings
        assert (A.shape, A.dtype) == (R.shape, R_dtype)
        model = replace(model, U=U)
    users = sorted({user for _, user, _, _ in steps})
    several = alsnb.fold_in_users(A, model)[users]
    assert_close(model.U[users], several, 1e-9 if dtype is float else 1e-4)


@every
def test_what_is_added_and_removed_again_leaves_nothing(variant):
    model = converged(variant)
    for user in range(N_USERS):
        items = np.flatnonzero(~MASK[user])[[-1, 0]]
        before = alsnb.add_rating_optimized(user, [], [], R, model)
        assert_only(user, before[0], model, model.U[user], 1e-8)
        U, grown = alsnb.add_rating_optimized(user, items, [0, 5], R, model)
        assert grown.nnz == R.nnz + 2
        assert abs(U[user] - model.U[user]).max() > 1e-3
        for now in (model, replace(model, U=U)):
            assert bits(*alsnb.remove_rating(user, items, grown, now)) == bits(*before)
        assert bits(before[0], R) == bits(*before)


@every
def test_rated_anew(variant):
    model, item = fitted(variant), 1
    assert R[0, item] == 0  # a stored zero
    first = alsnb.add_rating_optimized(0, item, 4.5, R, model)
    assert entries(first[1]) == entries(R) | {(0, item): 4.5}
    for A in (R, first[1]):  # once more, which changes nothing
        assert bits(*alsnb.add_rating_optimized(0, item, 4.5, A, model)) == bits(*first)
    back = alsnb.add_rating_optimized(0, [item], [0], first[1], replace(model, U=first[0]))
    assert bits(*back) == bits(*alsnb.add_rating_optimized(0, [], [], R, model))
    assert back[1].nnz == R.nnz
    assert abs(first[0] - back[0]).max() > 1e-3


@every
def test_last_ratings_removed(variant):
    model, items = fitted(variant), np.flatnonzero(MASK[0])
    U, left = alsnb.remove_rating(0, items[::-1], R, model)
    assert entries(left) == {key: r for key, r in entries(R).items() if key[0]}
    assert U[0].tobytes() == model.U[ALONE].tobytes()
    one = sp.csr_array(([3.0], ([4], [2])), shape=R.shape)
    U, none = alsnb.remove_rating(4, 2, one, model)
    assert U[4].tobytes() == model.U[ALONE].tobytes()
    U, again = alsnb.add_rating_optimized(4, 2, 3, none, model)
    assert (entries(none), bits(U, again)[1:]) == ({}, bits(U, one)[1:])


@every
def test_two_updates_are_one(variant):
    model = fitted(variant)
    U, A = alsnb.add_rating_optimized(2, [0, 5], [1, 5], R, model)
    twice = alsnb.add_rating_optimized(2, [7, 5], [3, 2], A, replace(model, U=U))
    assert bits(*twice) == bits(*alsnb.add_rating_optimized(2, [0, 7, 5], [1, 3, 2], R, model))
    other = alsnb.add_rating_optimized(5, [0], [1], A, replace(model, U=U))
    assert other[0][2].tobytes() == U[2].tobytes()


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i1", "i8"])
def test_whole_numbers_of_any_kind(dtype):
    expected = alsnb.add_rating_optimized(0, [7, 1], [2, 3], R, fitted("plain"))
    items, stars = np.array([7, 1], dtype), np.array([2, 3], dtype)
    user = np.array([0], dtype)[0]
    reached = alsnb.add_rating_optimized(user, items, stars, R, fitted("plain"))
    assert bits(*reached) == bits(*expected)
    removed = alsnb.remove_rating(user, items, expected[1], fitted("plain"))
    assert bits(*removed) == bits(*alsnb.remove_rating(0, [1], R, fitted("plain")))


# Many


def merged(mask, values):
    """Mask and values of all ratings, the new ones in place of old ones."""
    return MASK | mask, np.where(mask, values, VALUES)


@given(
    st.sampled_from(list(VARIANTS)),
    st.sampled_from([float, np.float32]),
    st.integers(0, 10**6),
    st.floats(0, 1),
)
def test_many_updates_are_a_loop_of_single_ones(variant, dtype, seed, share):
    model, rounding = fitted(variant, dtype), 1e-9 if dtype is float else 1e-4
    mask, values = random_ratings(seed, R.shape, share)
    mask, values = mask[:, ::-1], values[:, ::-1] + 0.5 * mask[:, ::-1]  # the last item, too
    R_new, all_ratings = sparse(mask, values), sparse(*merged(mask, values))
    U, A = model.U, R
    for user in np.flatnonzero(mask.any(axis=1)):
        items = np.flatnonzero(mask[user])
        U, A = alsnb.add_rating_optimized(user, items, values[user, items], A, replace(model, U=U))
    V = model.V.copy()
    for item in np.flatnonzero(mask.any(axis=0)):
        column = all_ratings[:, [item]].tocoo()
        V[item] = alsnb.fold_in_item(column.row, column.data, model)
    for which, X in enumerate((U, V)):
        reached, R_all = UPDATE[which](R_new, R, model)
        assert (reached.shape, reached.dtype) == (X.shape, X.dtype)
        assert_close(reached, X, rounding)
        still = ~mask.any(axis=1 - which)
        assert reached[still].tobytes() == (model.U, model.V)[which][still].tobytes()
        assert entries(R_all) == entries(A) == entries(all_ratings)


@every
@side
def test_no_worker_changes_a_bit(variant, which, monkeypatch):
    monkeypatch.setattr("alsnb.blocks.BLOCK_SIZE", 8)
    R_new = sparse(*random_ratings(8, R.shape, 0.5))
    results = [UPDATE[which](R_new, R, fitted(variant), n_workers=n) for n in (1, 2, 3, None)]
    assert all(bits(*result) == bits(*results[0]) for result in results)
    reached, _ = UPDATE[which](R, R, converged(variant))  # nothing new at all
    assert_close(reached, (converged(variant).U, converged(variant).V)[which], 1e-8)


# Whatever R is, and what becomes of it


@every
@pytest.mark.parametrize("form", FORMATS)
def test_any_format_and_nothing_is_changed(variant, form):
    model, R_new = fitted(variant), sparse(*random_ratings(9, R.shape, 0.3))
    calls = [
        lambda A, _: alsnb.add_rating_optimized(2, [7, 1], [4, 0], A, model),
        lambda A, _: alsnb.remove_rating(0, [1], A, model),
        lambda A, B: alsnb.update_users(B, A, model),
        lambda A, B: alsnb.update_items(B, A, model),
    ]
    for call in calls:
        expected, other, other_new = call(R, R_new), FORMATS[form](R), FORMATS[form](R_new)
        with untouched(model, other, other_new):
            reached = call(other, other_new)
        assert reached[0].tobytes() == expected[0].tobytes()
        assert entries(reached[1]) == entries(expected[1])
        given = [*arrays_of(model, other, other_new)]
        for array in (reached[0], *arrays_of(reached[1])):  # what is returned may be written to
            assert not any(np.shares_memory(array, one) for one in given)
            array[:1] = array[:1]


def test_arguments_are_not_changed():
    items, ratings = np.array([4, 1, 6]), np.array([1.0, 5.0, 0.0])
    for array in (items, ratings):
        array.flags.writeable = False
    for variant in VARIANTS:
        _, A = alsnb.add_rating_optimized(0, items, ratings, R, fitted(variant))
        alsnb.remove_rating(0, items, A, fitted(variant))
    assert (items.tolist(), ratings.tolist()) == ([4, 1, 6], [1, 5, 0])


@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_indices_of_either_size(kind):
    A = R.copy()
    A.indices, A.indptr = A.indices.astype(kind), A.indptr.astype(kind)
    reached = alsnb.add_rating_optimized(1, [7], [2], A, fitted("plain"))
    expected = alsnb.add_rating_optimized(1, [7], [2], R, fitted("plain"))
    assert reached[0].tobytes() == expected[0].tobytes()
    assert entries(reached[1]) == entries(expected[1])


# What is wrong with it

MODEL, SINGLE = fitted("everything"), fitted("everything", np.float32)
R32 = R.astype(np.float32)
HUGE = sp.csr_array(([1e39], ([0], [0])), shape=R.shape)
WITH_NAN = R.copy()
WITH_NAN.data[0] = np.nan


def refuses(error, message, call, *arguments):
    with untouched(MODEL, SINGLE, R, R32, HUGE, WITH_NAN), pytest.raises(error) as caught:
        call(*arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(("items", "ratings", "error", "message"), ROWS)
def test_bad_row(items, ratings, error, message):
    refuses(error, message, alsnb.add_rating_optimized, 0, items, ratings, R, MODEL)
    if "rating" not in message or "position" in message:
        refuses(error, message, alsnb.remove_rating, 0, items, R, MODEL)


@pytest.mark.parametrize(
    ("user", "error", "message"),
    [
        (9, IndexError, "user 9 is out of range; R has users 0 to 8"),
        (-1, IndexError, "user -1 is out of range"),
        (10**30, IndexError, "is out of range"),
        (1.0, TypeError, "user must be a whole number, got 1.0"),
        (True, TypeError, "user must be a whole number, got True"),
        ("1", TypeError, "user must be a whole number, got '1'"),
        (None, TypeError, "user must be a whole number, got None"),
        ([1], TypeError, "user must be a whole number, got [1]"),
    ],
)
def test_bad_user(user, error, message):
    refuses(error, message, alsnb.add_rating_optimized, user, [0], [1], R, MODEL)
    refuses(error, message, alsnb.remove_rating, user, [0], R, MODEL)


def test_removing_what_was_not_rated():
    message = "user 8 has not rated item 3: nothing to remove"
    refuses(ValueError, message, alsnb.remove_rating, ALONE, 3, R, MODEL)
    message = "user 0 has not rated item 7: nothing to remove"
    refuses(ValueError, message, alsnb.remove_rating, 0, [1, 7, 0], R, MODEL)


ON_R = {
    "add": lambda R, model: alsnb.add_rating_optimized(0, [0], [1], R, model),
    "remove": lambda R, model: alsnb.remove_rating(0, [0], R, model),
    "users": lambda R, model: alsnb.update_users(HUGE, R, model),
    "items": lambda R, model: alsnb.update_items(HUGE, R, model),
}


@pytest.mark.parametrize("call", ON_R.values(), ids=ON_R)
def test_bad_model_or_R(call):
    dense = f"R must be a {SPARSE} sparse matrix, got "
    for model in ((MODEL.U, MODEL.V), None, R):
        refuses(TypeError, FIT + type(model).__name__, call, R, model)
    refuses(ValueError, "R is 8 × 9 but the model 9 × 8", call, R.T.tocsr(), MODEL)
    refuses(ValueError, "R is 8 × 8 but the model 9 × 8", call, R[:8], MODEL)
    refuses(TypeError, dense + "ndarray", call, R.toarray(), MODEL)
    refuses(TypeError, dense + "NoneType", call, None, MODEL)
    refuses(TypeError, dense + "coo_array", call, sp.coo_array(np.ones(8)), MODEL)
    refuses(TypeError, "R must hold real numbers, got dtype bool", call, R > 0, MODEL)
    refuses(TypeError, "R must hold real numbers, got dtype complex128", call, 1j * R, MODEL)
    twice = sp.csr_array(
        (np.r_[R.data[0], R.data], np.r_[R.indices[0], R.indices], np.r_[0, R.indptr[1:] + 1]),
        shape=R.shape,
    )
    refuses(ValueError, "R is ambiguous: 1 of", call, twice, MODEL)
    refuses(ValueError, "NaN", call, WITH_NAN.tocsc(), MODEL)


@pytest.mark.parametrize("call", ON_R.values(), ids=ON_R)
def test_R_of_one_dimension(call):
    row = sp.csr_array(np.ones(8))
    refuses(TypeError, f"R must be a {SPARSE} sparse matrix, got csr_array", call, row, MODEL)


@pytest.mark.parametrize("call", UPDATE)
@pytest.mark.parametrize(
    ("R_new", "error", "message"),
    [
        (R[:8], ValueError, "R_new is 8 × 8 but the model 9 × 8"),
        (R.T, ValueError, "R_new is 8 × 9 but the model 9 × 8"),
        (WITH_NAN, ValueError, "R_new holds NaN or ∞ in 1 of"),
        (R.toarray(), TypeError, f"R_new must be a {SPARSE}"),
        (R > 0, TypeError, "R_new must hold real numbers"),
    ],
)
def test_bad_new_ratings(call, R_new, error, message):
    refuses(error, message, call, R_new, R, MODEL)


@pytest.mark.parametrize("call", UPDATE)
def test_a_batch_without_ratings_changes_nothing(call):
    X, R_same = call(sp.csr_array(R.shape), R, MODEL)
    assert X.tobytes() in (MODEL.U.tobytes(), MODEL.V.tobytes())
    assert np.array_equal(R_same.toarray(), R.toarray())
    assert R_same.nnz == R.nnz


@pytest.mark.parametrize("model", [MODEL, fitted("plain")], ids=["everything", "plain"])
def test_NaN_among_old_ratings_is_found_where_it_matters(model):
    """Of a matrix known to be canonical the other rows are not looked at."""
    item = R.indices[0]
    new = sp.csr_array(([3.0], ([0], [7])), shape=R.shape)
    column = sp.csr_array(([3.0], ([1], [item])), shape=R.shape)
    refuses(ValueError, "NaN", alsnb.add_rating_optimized, 0, [7], [3], WITH_NAN, model)
    refuses(ValueError, "NaN", alsnb.update_users, new, WITH_NAN, model)
    refuses(ValueError, "NaN", alsnb.update_items, column, WITH_NAN, model)
    U, A = alsnb.add_rating_optimized(0, [item], [3], WITH_NAN, model)
    assert np.isfinite(U).all()
    assert np.isfinite(A.data).all()


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (alsnb.add_rating_optimized, (0, [0], [1e39], R, SINGLE)),
        (alsnb.add_rating_optimized, (0, [0], [1e39], R32, MODEL)),
        (alsnb.add_rating_optimized, (ALONE, range(7), 7 * [1.7e308], R, MODEL)),
        (alsnb.update_users, (HUGE, R, SINGLE)),
        (alsnb.update_users, (HUGE, R32, MODEL)),
        (alsnb.update_items, (HUGE, R, SINGLE)),
        (alsnb.update_items, (HUGE, R32, SINGLE)),
        (
            alsnb.remove_rating,
            (0, 2, sp.csr_array([[1e39, 1, 1] + 5 * [0]] + 8 * [8 * [0]]), SINGLE),
        ),
    ],
)
def test_overflow_is_an_error_without_a_warning(call, arguments):
    refuses(ValueError, "too large", call, *arguments)
