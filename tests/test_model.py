"""Every variant of the model against least squares written here, and against itself."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from helpers import (
    COUNTS,
    SMALL,
    VARIANTS,
    arrays_of,
    both_sides,
    bytes_of,
    close,
    data_of,
    dense_given,
    dense_link,
    dense_rows,
    dense_system,
    each_model,
    features_of,
    fit,
    fitted,
    heavy_tailed,
    rounding_of,
    untouched,
)

import alsnb
from alsnb import ALS, rated_by
from alsnb.bayes import most_informative_items

N_USERS, N_ITEMS = SMALL.shape
ALONE, UNRATED = 5, 7  # a user and an item without ratings
FORMATS = {"csr": sp.csr_matrix, "csc": sp.csc_array, "coo": sp.coo_array, "lil": sp.lil_array}


def turned(side, R):
    """R with a row for each of a side, or such rows as a part of R."""
    return R if side == "users" else R.T.tocsr()


def own(side, model):
    return model.U if side == "users" else model.V


def new_rows(side, counts=(0, 1, 3, 9, 20), seed=0):
    """Ratings 0 to 5 of new users or items, some with fewer than there are factors, or none."""
    rng, size = np.random.default_rng(seed), SMALL.shape[side == "users"]
    columns = np.concatenate([rng.permutation(size)[:n] for n in counts])
    ratings = rng.integers(0, 6, len(columns)).astype(float)
    ratings[:3] = 5, 0, 4  # a stored zero, and not only that
    where = np.repeat(np.arange(len(counts)), counts), columns
    return sp.coo_array((ratings, where), shape=(len(counts), size)).tocsr()


def entries(R):
    """Ratings as a dict, of what must be canonical CSR."""
    assert type(R) is sp.csr_array
    assert sp.csr_array((R.data, R.indices, R.indptr), shape=R.shape).has_canonical_format
    R = R.tocoo()
    return dict(zip(zip(*map(np.ndarray.tolist, R.coords), strict=True), R.data, strict=True))


def known(variant, side, rows=slice(None)):
    """Features that the model was fitted with, of some rows; or None."""
    features = features_of(variant, side, SMALL.shape[side == "items"])
    return None if features is None else features[rows]


def at(features, row):
    """Those of one row, as a dict where they are a table; or None."""
    if features is None or sp.issparse(features):
        return None if features is None else features[[row]]
    return features.iloc[row].to_dict()


@each_model
def test_parts_have_names_and_make_the_predictions(variant, dtype):
    small = data_of(variant, SMALL)
    model, rounding = fitted(variant, dtype), rounding_of(dtype, 1e-12, 1e-5)
    U, V, errors = model
    product = U @ V.T
    assert model.n_factors == 4 and errors is model.train_errors
    biases = model.mean + model.user_bias[:, None] + model.item_bias
    close(model.user_factors @ model.item_factors.T + biases, product, rounding)
    assert model.mean == pytest.approx(small.data.mean() * model.settings.bias, rel=1e-6)
    assert bool(np.ptp(model.user_bias) * np.ptp(model.item_bias) > 0.01) == model.settings.bias
    close(model.predict([4, 2]), product[[4, 2]], rounding)
    close(model.predict([3, 3, 4], [0, 2, 0]), product[[3, 3, 4], [0, 2, 0]], rounding)
    close(model.predict([[3], [4]], [0, 2, 9]), product[[3, 4]][:, [0, 2, 9]], rounding)
    assert (model.predict(3).shape, model.predict(3, 2).shape) == ((N_ITEMS,), ())
    clip = (0.7, 0.8) if variant in COUNTS else (1, 3.5)
    close(model.predict(range(40), clip=clip), np.clip(product, *clip), rounding)
    assert product.max() > clip[1] + 0.1 and product.min() < clip[0] - 0.1


# The equation, and folding in


@each_model
@both_sides
def test_rows_are_least_squares_solutions(variant, dtype, side):
    model, rounding = fitted(variant, dtype), rounding_of(dtype)
    rows, features = data_of(variant, new_rows(side)), features_of(variant, side, 5, seed=7)
    F = dense_given(model, side, features)
    expected, many = dense_rows(model, side, rows, F), model.fold_in(rows, side, features=features)
    close(many, expected, rounding)
    assert (many.dtype, many.shape) == (dtype, (5, model.V.shape[1]))
    close(model.fold_in(rows, side), dense_rows(model, side, rows), rounding)  # nothing known
    F = None if F is None else sp.csr_array(F.astype(dtype))
    equation = model.equation(side, rows, F)
    solved = [alsnb.solve_row(**equation.row(k)) for k in range(len(equation))]
    close(model.assemble(side, np.array(solved, dtype)), expected, rounding)
    for k in range(5):  # one alone, in any order
        columns, ratings = (part[::-1] for part in rated_by(rows, k))
        one = model.fold_in((columns, ratings), side, features=at(features, k))
        close(one, many[k], rounding)
        if not len(columns) and variant not in COUNTS:  # what features predict, exactly
            prior = model.prior_mean(side=side, features=at(features, k))
            assert one.tobytes() == prior.tobytes()


@each_model
def test_the_last_half_step_is_a_fold_in(variant, dtype):
    small = data_of(variant, SMALL)
    model = fitted(variant, dtype)
    folded = model.fold_in(small.T, "items", features=known(variant, "items"))
    if model.links is not None:  # the fit adds up the changes of prior means, to rounding
        close(folded, model.V, rounding_of(dtype, 1e-12, 1e-5))
    else:
        assert folded.tobytes() == model.V.tobytes()
        longer = fit(small, variant, 4, 4, dtype=dtype)
        assert model.fold_in(small).tobytes() == longer.U.tobytes()


@each_model
@both_sides
def test_training_rows_come_back_after_convergence(variant, dtype, side):
    R, before = data_of(variant, heavy_tailed(12, 10)), []

    def unmoved(_, *factors):
        moved = [abs(X - Y).max() for X, Y in zip(factors, before, strict=False)]
        before[:] = factors
        return bool(moved) and max(moved) < 30 * np.finfo(dtype).eps

    model = fit(R, variant, 2, 20_000, dtype=dtype, callback=unmoved)
    features = features_of(variant, side, R.shape[side == "items"])
    folded = model.fold_in(turned(side, R), side, features=features)
    close(folded, own(side, model), rounding_of(dtype, 1e-8))
    assert np.abs(model.user_factors).max() > 0.1


@pytest.mark.parametrize("variant", VARIANTS)
@both_sides
def test_any_number_of_workers_gives_the_same_bits(variant, side):
    small = data_of(variant, SMALL)
    model, rows = fitted(variant), data_of(variant, heavy_tailed(N_USERS, N_ITEMS, seed=2))
    given = {"features": known(variant, side)}
    fold_in = partial(model.fold_in, turned(side, rows), side, **given)
    results = [fold_in(n_workers=n) for n in (1, 2, 3, None)]
    updates = [bytes_of(*model.update(rows, small, side, n_workers=n)) for n in (1, 2, None)]
    assert len({X.tobytes() for X in results}) == 1 and updates[1:] == updates[:1] * 2
    with ThreadPoolExecutor(4) as pool:  # and so do calls at the same time
        again = list(pool.map(lambda _: fold_in(), range(8)))
    assert {X.tobytes() for X in again} == {results[0].tobytes()}


# Updates


@each_model
@pytest.mark.parametrize("user", [3, ALONE])
def test_update_solves_one_user_and_leaves_all_else(variant, dtype, user):
    small = data_of(variant, SMALL)
    model, rated = fitted(variant, dtype), rated_by(small, user)[0]
    items, stars = [UNRATED, 0, 29, 12], [3.5, 0.1 * (variant in COUNTS), 4, 1]
    assert np.isin(items, rated).sum() in (range(1, 4) if user == 3 else [0])
    changed, R = model.update((user, items, stars), small)
    new = {(user, item): r for item, r in zip(items, stars, strict=True)}
    assert entries(R) == entries(small) | new
    others = np.arange(N_USERS) != user
    given = known(variant, "users", ~others)
    folded = model.fold_in(R[[user]], features=given)
    expected = model.replace(U=np.where(others[:, None], model.U, folded))
    assert bytes_of(changed) == bytes_of(expected)
    dense = dense_rows(model, "users", R[[user]], dense_given(model, "users", given))
    close(changed.U[[user]], dense, rounding_of(dtype))
    assert abs(changed.U[user] - model.U[user]).max() > 1e-3
    # the same as a matrix, or by the function for it
    as_matrix = sp.coo_array((stars, ([user] * 4, items)), shape=small.shape)
    assert bytes_of(*model.update(as_matrix, small)) == bytes_of(changed, R)
    by_function = alsnb.add_rating_optimized(user, items, stars, small, model)
    assert bytes_of(*by_function) == bytes_of(changed, R)
    # and nothing is new the second time
    assert bytes_of(*changed.update((user, items, stars), R)) == bytes_of(changed, R)


@each_model
def test_forget_undoes_update(variant, dtype):
    small = data_of(variant, SMALL)
    model, user = fitted(variant, dtype), 3
    rated, ratings = rated_by(small, user)
    refolded, _ = model.update((user, [], []), small)
    given = known(variant, "users", np.arange(N_USERS) == user)
    assert refolded.U[user].tobytes() == model.fold_in(small[[user]], features=given)[0].tobytes()
    new = np.setdiff1d(np.arange(N_ITEMS), rated)[[-1, 0]]
    changed, R = model.update((user, new, [variant in COUNTS, 5.0]), small)
    assert R.nnz == small.nnz + 2
    assert bytes_of(*changed.forget(user, new, R)) == bytes_of(refolded, small)
    empty, R = model.forget(user, rated[::-1], small)  # all that there is
    assert R.nnz == small.nnz - len(rated) and not len(rated_by(R, user)[0])
    nothing = model.fold_in(([], []), features=at(known(variant, "users"), user))
    assert empty.U[user].tobytes() == nothing.tobytes()
    back = empty.update((user, rated, ratings), R)
    assert bytes_of(*back) == bytes_of(refolded, small)


@each_model
@both_sides
def test_many_updates_are_a_loop_of_single_ones(variant, dtype, side):
    small = data_of(variant, SMALL)
    model, new = fitted(variant, dtype), heavy_tailed(N_USERS, N_ITEMS, seed=3)
    new.data[:] += 0.5
    new = new.multiply(np.arange(N_USERS)[:, None] % 3 == 1).tocsr()  # of some users
    new.eliminate_zeros()
    changed, R = model.update(new, small, side)
    assert entries(R) == entries(small) | entries(new)
    rows = np.flatnonzero(np.diff(turned(side, new).indptr))
    X = own(side, model).copy()
    X[rows] = model.fold_in(turned(side, R), side, features=known(variant, side))[rows]
    assert bytes_of(changed) == bytes_of(model.with_rows(side, X))
    assert 5 < len(rows) < len(X)
    if side == "users":
        one_by_one = model, small
        for user in rows:
            one_by_one = one_by_one[0].update((user, *rated_by(new, user)), one_by_one[1])
        assert bytes_of(*one_by_one) == bytes_of(changed, R)


@pytest.mark.parametrize("new", [sp.csr_array(SMALL.shape), (2, [], [])], ids=["matrix", "tuple"])
@both_sides
def test_nothing_new_is_no_change(new, side):
    model = fit(SMALL, "plain", 4)
    model = model.replace(U=model.fold_in(SMALL))
    assert bytes_of(*model.update(new, SMALL, side)) == bytes_of(model, SMALL)


@each_model
def test_appended_users_rate_appended_items(variant, dtype):
    small = data_of(variant, SMALL)
    first, rounding = fitted(variant, dtype), rounding_of(dtype)
    model, R = first, small
    for side in ("users", "items", "users"):
        rows = data_of(variant, new_rows(side))
        rows.resize(5, R.shape[side == "users"])
        given = {"features": features_of(variant, side, 5, seed=7)}
        folded, n = model.fold_in(rows, side, **given), len(own(side, model))
        grown, R_grown = model.append(rows, R, side, **given)
        assert own(side, grown).tobytes() == own(side, model).tobytes() + folded.tobytes()
        whole = entries(turned(side, R_grown))
        assert whole == entries(turned(side, R)) | {
            (n + k, j): r for (k, j), r in entries(rows).items()
        }
        assert R_grown.dtype == R.dtype
        for one in ("users", "items"):
            if (link := model.link(one)) is not None:
                parts = zip(*map(arrays_of, (link, grown.link(one))), strict=True)
                assert all(new.tobytes().startswith(old.tobytes()) for old, new in parts)
            if link is not None and link.rated is not None and one != side:
                assert not grown.link(one).rated[n:].any()  # nobody knows what rating them says
        bare, _ = model.append(rows, R, side)
        assert own(side, bare)[n:].tobytes() == model.fold_in(rows, side).tobytes()
        model, R = grown, R_grown
    assert (len(model.U), len(model.V)) == R.shape == (50, 35)
    close(model.predict(3)[:N_ITEMS], first.predict(3), 1e-6)
    assert bytes_of(model.train_errors, model.objectives) == bytes_of(
        first.train_errors, first.objectives
    )
    # the grown model does all that a fitted one does
    model, R = model.update((48, [34, 0], [5, 1]), R)
    given = {"features": at(features_of(variant, "users", 5, seed=7), 3)}
    assert model.U[48].tobytes() == model.fold_in(R[[48]], **given)[0].tobytes()
    items, scores = model.recommend(48, R, 30)
    close(scores, model.predict(48, items), rounding)
    assert not np.isin(items, rated_by(R, 48)[0]).any() and items.max() > N_ITEMS
    shares, baseline = model.explain(33, *rated_by(R, 48), **given)
    assert shares.sum() + baseline == pytest.approx(model.predict(48, 33), rel=1e-3, abs=1e-3)


@both_sides
def test_nobody_is_appended_and_ratings_keep_their_digits(side):
    model, size = fitted(dtype="float32"), SMALL.shape[side == "users"]
    nobody = sp.csr_array((0, size))
    assert model.fold_in(nobody, side).shape == (0, 7)
    assert bytes_of(*model.append(nobody, SMALL, side)) == bytes_of(model, SMALL)
    new = sp.csr_array(([3.7], ([0], [4])), shape=(1, size))
    _, grown = model.append(new, SMALL, side)
    assert 3.7 in grown.data and grown.dtype == float


# Explanations


@each_model
@pytest.mark.parametrize("n_ratings", [0, 1, 3, 12])
def test_shares_add_up_and_each_is_right(variant, dtype, n_ratings):
    model, rounding, rng = fitted(variant, dtype), rounding_of(dtype), np.random.default_rng(1)
    items = rng.permutation(N_ITEMS)[:n_ratings]
    ratings = rng.integers(variant in COUNTS, 11, n_ratings) / 2
    given = {"features": at(features_of(variant, "users", 5, seed=7), 2)}
    link, row = model.link("users"), sp.csr_array((ratings, items, [0, n_ratings]), (1, N_ITEMS))
    rated, B = dense_link(model, "users")
    (Y, left, penalties, _) = next(dense_system(model, "users", row))
    A = Y.T @ Y + np.diag(penalties)
    order = np.argsort(np.argsort(items))  # rows of a matrix are sorted
    if variant in COUNTS:
        order = items
    Y, left = Y[order], left[order]
    for item in (0, 17):
        shares, baseline = model.explain(item, items, ratings, **given)
        split, same = model.explain(item, items, ratings, **given, split=True)
        size = max(abs(split).to_numpy().sum(), 1)
        near = {"rtol": 0, "atol": rounding * size}
        assert (list(split), same) == (["how", "that"], baseline)
        np.testing.assert_allclose(split.sum(axis=1), shares, **near)
        y = np.append(model.item_factors[item], 1)[: len(A)]
        z = np.linalg.solve(A, y)  # the prediction is zᵀ(Yᵀ(r − o) + p m)
        np.testing.assert_allclose(split["how"], Y @ z * left, **near)
        that = (
            0 * left if rated is None else rated[items] @ (penalties * z) / np.sqrt(n_ratings or 1)
        )
        np.testing.assert_allclose(split["that"], that, **near)
        rest = model.mean + model.item_bias[item]
        if B is not None:
            F = dense_given(model, "users", pd.DataFrame([given["features"]]))
            rest += (F @ B)[0] @ (penalties * z)
        assert baseline == pytest.approx(rest, abs=rounding * size)
        predicted = model.V[item] @ model.fold_in((items, ratings), **given)
        assert shares.sum() + baseline == pytest.approx(predicted, abs=rounding * size)
        for k in range(n_ratings):
            if variant in COUNTS:  # they weigh, too
                break
            more = ratings + 100 * (np.arange(n_ratings) == k)  # it is linear in each rating
            moved = model.explain(item, items, more, **given)[0] - shares
            slope = model.V[item] @ model.fold_in((items, more), **given) - predicted
            expected = slope * (np.arange(n_ratings) == k)
            np.testing.assert_allclose(moved, expected, rtol=0, atol=100 * rounding)
            if rated is not None:  # and in what its having been rated says
                rest = link.rated * (np.arange(N_ITEMS) != items[k])[:, None]
                without = model.with_link("users", replace(link, rated=rest.astype(dtype)))
                less = predicted - model.V[item] @ without.fold_in((items, ratings), **given)
                assert split["that"][k] == pytest.approx(less, abs=rounding * size)


# Nothing that is given is changed, and any format of R will do


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("form", FORMATS)
def test_any_format_and_nothing_is_changed(variant, form):
    small = data_of(variant, SMALL)
    model = fitted(variant)
    calls = [
        lambda R, new: model.update((3, *row), R),
        lambda R, new: model.forget(3, rated_by(small, 3)[0][:2], R),
        lambda R, new: (model.fold_in(new), model.fold_in(new.T, "items"), model.fold_in(row)),
        lambda R, new: model.update(new, R),
        lambda R, new: model.update(new, R, "items"),
        lambda R, new: model.append(new, R),
        lambda R, new: model.append(new.T, R, "items"),
        lambda R, new: model.explain(3, *row),
        lambda R, new: model.recommend(3, R),
    ]
    row = np.array([4, 1, 6]), np.array([2.0, 5.0, 0.5 * (variant in COUNTS)])
    new = data_of(variant, heavy_tailed(40, 30, seed=5))
    other, other_new = FORMATS[form](small), FORMATS[form](new)
    for call in calls:
        with untouched(model, *row, other, other_new):
            reached = call(other, other_new)
        for part, expected in zip(reached, call(small, new), strict=True):
            same = entries if sp.issparse(part) else bytes_of
            assert same(part) == same(expected)


# What is wrong


def own_half_step():
    return alsnb.als_matrix_factorization(
        SMALL, 3, 0.5, 2, verbose=False, rng=0, half_step=alsnb.half_step
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda model: model.fold_in(([1], [4])),
        lambda model: model.fold_in(SMALL.T, "items"),
        lambda model: model.update((0, [1], [4]), SMALL),
        lambda model: model.forget(3, rated_by(SMALL, 3)[0][0], SMALL),
        lambda model: model.append(SMALL, SMALL),
        lambda model: model.explain(0, [1], [4]),
        lambda model: most_informative_items(model),
    ],
)
def test_without_settings_nothing_is_solved(call):
    model = own_half_step()
    assert model.settings is None and model.predict(0).shape == (N_ITEMS,)
    with pytest.raises(ValueError, match="fitted with a half_step of your own"):
        call(model)


MODEL, PLAIN = fitted(), fitted("plain")
NEW = sp.csr_array(([3.0], ([0], [0])), shape=(2, N_ITEMS))
NAN, HUGE = NEW * np.nan, NEW * 1e39
TWICE = sp.coo_array(([1.0, 2.0], ([0, 0], [1, 1])), shape=NEW.shape)
ROWS = [  # what is wrong with positions and ratings, whatever they are given to
    ([30], [1], IndexError, r"items holds 30, but positions \(not ids\) are 0 to 29"),
    ([1.0], [1], TypeError, "items must be whole numbers in one dimension, got float64"),
    (["Fargo"], [1], TypeError, "positions, not ids or titles, which Ratings.items"),
    (np.ones(30, bool), np.ones(30), TypeError, "items must be whole numbers"),
    ([1, 2, 1], [1, 2, 3], ValueError, "items holds a position twice; keep one of each"),
    ([1], [np.nan], ValueError, "ratings hold NaN or ∞"),
    ([1], [True], TypeError, "ratings must be real numbers, got dtype bool"),
    ([1], [], ValueError, r"items and ratings must be as many, got shapes \(1,\) and \(0,\)"),
]


@pytest.mark.parametrize(("items", "ratings", "error", "message"), ROWS)
def test_bad_row(items, ratings, error, message):
    for call in (
        lambda: MODEL.fold_in((items, ratings)),
        lambda: MODEL.update((0, items, ratings), SMALL),
        lambda: MODEL.explain(0, items, ratings),
    ):
        with untouched(MODEL, SMALL), pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: MODEL.fold_in(([40], [1]), "items"), IndexError, "users holds 40, .* 0 to 39"),
        (
            lambda: MODEL.fold_in((0, [1], [4])),
            TypeError,
            r"a pair \(items, ratings\) or .* got tuple",
        ),
        (lambda: MODEL.update(([1], [4]), SMALL), ValueError, r"\(user, items, ratings\), got 2"),
        (lambda: MODEL.fold_in(NEW, "item"), ValueError, "side must be 'users' or 'items', got"),
        (lambda: MODEL.append(NEW, SMALL, None), ValueError, "side must be 'users' or 'items'"),
        (lambda: MODEL.fold_in(SMALL, "items"), ValueError, "30 columns for 40 users; is it tr"),
        (lambda: MODEL.fold_in(SMALL.T), ValueError, "40 columns for 30 items; is it transposed"),
        (lambda: MODEL.append(NEW.T, SMALL), ValueError, "2 columns for 30 items"),
        (lambda: MODEL.fold_in(NAN), ValueError, "ratings holds NaN, ∞"),
        (lambda: MODEL.fold_in(TWICE), ValueError, "ratings is ambiguous"),
        (lambda: MODEL.fold_in(NEW.toarray()), TypeError, "or a sparse matrix, got ndarray"),
        (lambda: MODEL.fold_in([[1], [4]]), TypeError, "got list"),
        (
            lambda: MODEL.append((3, [1], [4]), SMALL),
            TypeError,
            "new ratings must be a pair .* got tuple",
        ),
        (lambda: MODEL.update(NEW, SMALL), ValueError, "new is 2 × 30 but the model 40 × 30"),
        (lambda: MODEL.update((40, [1], [4]), SMALL), IndexError, "user is 40, but positions"),
        (
            lambda: MODEL.update(("1", [1], [4]), SMALL),
            TypeError,
            "user must be a position, got '1'",
        ),
        (lambda: MODEL.update((0, [1], [4]), SMALL.T), ValueError, "R is 30 × 40 but the model"),
        (lambda: MODEL.append(NEW, SMALL[:9]), ValueError, "R is 9 × 30 but the model 40 × 30"),
        (lambda: MODEL.forget(ALONE, 3, SMALL), ValueError, "user 5 has not rated item 3"),
        (lambda: MODEL.explain(30, [1], [4]), IndexError, "item is 30, but positions"),
        (lambda: MODEL.predict([0, 40]), IndexError, "users holds 40"),
        (lambda: MODEL.predict(0, 1, clip=(5, 1)), ValueError, "clip"),
        (lambda: MODEL.predict("ann"), TypeError, "positions, not ids"),
        (lambda: MODEL.fold_in(SMALL, n_workers=0), ValueError, "n_workers"),
        (lambda: MODEL.fold_in(SMALL, n_workers=1.5), TypeError, "n_workers"),
    ],
)
def test_bad_input(call, error, message):
    with untouched(MODEL, SMALL), pytest.raises(error, match=message):
        call()


single = fitted("plain", "float32")


@pytest.mark.parametrize(
    "call",
    [
        lambda: single.fold_in(([0], [1e39])),
        lambda: single.fold_in(HUGE),
        lambda: single.append(HUGE, SMALL),
        lambda: single.update((0, [0], [1e39]), SMALL),
        lambda: MODEL.update((0, [0], [1e39]), SMALL.astype("f4")),
        lambda: MODEL.fold_in((range(30), 30 * [1.7e308])),
        lambda: PLAIN.replace(V=PLAIN.V * np.nan).fold_in(SMALL),
        lambda: PLAIN.replace(V=PLAIN.V * 1e200).fold_in(SMALL),
        lambda: PLAIN.replace(V=PLAIN.V * 1e200).fold_in((range(9), range(9))),
        lambda: PLAIN.replace(V=PLAIN.V * 1e200).explain(0, range(9), range(9)),
        lambda: PLAIN.replace(V=PLAIN.V * np.nan).explain(0, [1, 2], [4, 5]),
    ],
)
def test_what_overflows_or_is_nan_is_an_error_without_a_warning(call):
    with (
        untouched(single, MODEL, SMALL),
        pytest.raises(ValueError, match=r"NaN|too large|more than"),
    ):
        call()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"V": PLAIN.V.astype(int)}, TypeError, "arrays of floats, of two dimensions"),
        ({"V": PLAIN.V.astype("f4")}, ValueError, "U and V do not fit"),
        ({"V": PLAIN.V[:, :2]}, ValueError, r"U and V do not fit: \(40, 4\) and \(30, 2\)"),
        ({"settings": ALS(3)}, ValueError, "U and V have 4 columns, but the settings ask for 3"),
        ({"links": MODEL.links}, ValueError, "links do not fit its U, its V or its settings"),
        ({"settings": ALS(4, implicit_features=True)}, ValueError, "links do not fit"),
    ],
)
def test_parts_that_do_not_fit(changes, error, message):
    with pytest.raises(error, match=message):
        PLAIN.replace(**changes)
