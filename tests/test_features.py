"""Features: tables as numbers, sums over what was rated, and what links of them predict."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from helpers import (
    SMALL,
    both_sides,
    bytes_of,
    close,
    dense_link,
    features_of,
    fit,
    fitted,
    heavy_tailed,
    rounding_of,
    settings_of,
)

import alsnb
from alsnb import ALS
from alsnb.features import check_features, feature_names, sum_rated

# Tables


def encoded(table, n_rows, link=None):
    """The matrix of a table, and the names of its columns."""
    F, columns = check_features(table, n_rows, "features", link)
    return F.toarray(), feature_names(columns, F.shape[1])


def newcomer(table, given):
    """The features of a newcomer, for a model whose features are a table."""
    settings = ALS(2)
    R = sp.csr_array(np.ones((len(table), 3)))
    link = settings.fit(R, 1, verbose=False, user_features=table).link("users")
    return check_features(given, len(pd.DataFrame(given, index=[0])), "features", link)[0].toarray()


def test_a_table_by_hand():
    table = pd.DataFrame(
        {
            "genres": ["Drama|War", "War | Drama|", "Comedy", None, "Drama|Drama"],
            "hit": [True, False, None, True, False],
            "stars": [1, 2, np.nan, 1, 2],
        },
        index=[9, 9, 3, 1, 0],  # which says nothing
    )
    F, names = encoded(table, 5)
    assert names == [
        *("genres Comedy", "genres Drama", "genres War", "hit False", "hit True"),
        *("stars 1", "stars 2"),
    ]
    ones = np.array(
        [
            [0, 1, 1, 0, 1, 1, 0],
            [0, 1, 1, 1, 0, 0, 1],
            [1, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 1, 1, 0],
            [0, 1, 0, 1, 0, 0, 1],
        ]
    )
    np.testing.assert_allclose(F, ones / np.sqrt(ones.sum(axis=1, keepdims=True)), rtol=1e-15)
    row = F[:1]
    for given in (
        {"genres": "War|Drama", "hit": True, "stars": 1},
        {"stars": 1.0, "hit": np.True_, "genres": " Drama |War"},
        {"genres": "War|Drama|Western", "hit": True, "stars": "1"},  # an unknown genre is nothing
    ):
        np.testing.assert_array_equal(newcomer(table, given), row)
        np.testing.assert_array_equal(newcomer(table, pd.DataFrame([given])), row)
    assert not newcomer(table, {"genres": "Western", "stars": None}).any()
    np.testing.assert_array_equal(newcomer(table, {"genres": "Comedy"}), F[2:3])


@pytest.mark.parametrize(
    "kind", ["int64", "float32", "Int64", "Float64", "object", "category", "str", "string", "int8"]
)
def test_whole_numbers_are_the_same_in_columns_of_any_kind(kind):
    gaps = kind not in ("int64", "int8", "str")
    values = [25, 30, 25, None if gaps else 30]
    table = pd.DataFrame({"age": pd.Series(values, dtype=kind)})
    F, names = encoded(table, 4)
    assert names == ["age 25", "age 30"]
    np.testing.assert_array_equal(F, [[1, 0], [0, 1], [1, 0], [0, 0 if gaps else 1]])
    for given in (25, 25.0, "25", np.int8(25), np.float32(25)):
        np.testing.assert_array_equal(newcomer(table, {"age": given}), [[1, 0]])
    assert not newcomer(table, {"age": 26}).any()


@pytest.mark.parametrize("kind", ["int64", "float64", "Int64", "Float32"])
def test_numbers_are_cut_into_ranges_of_as_many_rows(kind):
    years = pd.Series(np.random.default_rng(0).permutation(16) * 2 + 1950, dtype=kind)
    F, names = encoded(pd.DataFrame({"year": years}), 16)
    assert (len(names), names[0], names[-1]) == (8, "year < 1953.75", "year ≥ 1976.25")
    assert names[1] == "1953.75 ≤ year < 1957.5"
    assert F.sum(axis=0).tolist() == 8 * [2] and F.sum(axis=1).tolist() == 16 * [1]
    place = np.argsort(np.argsort(years.to_numpy())) // 2
    np.testing.assert_array_equal(F.argmax(axis=1), place)
    table = pd.DataFrame({"year": years})
    for year, k in ((-5000, 0), (1953.75, 1), ("1957.4", 1), (1976.25, 7), (10**9, 7)):
        assert newcomer(table, {"year": year}).argmax() == k
    for nothing in (None, np.nan, np.inf, pd.NA):
        assert not newcomer(table, {"year": nothing}).any()
    with pytest.raises(ValueError, match="features: 'year' holds numbers, got 'old'"):
        newcomer(table, {"year": "old"})


def test_ranges_of_numbers_that_repeat_are_never_empty():
    counts = [0] * 20 + [*range(1, 12)] + [np.nan, np.inf]
    F, names = encoded(pd.DataFrame({"n": counts}), 33)
    assert names[0].startswith("n < ") and (F.sum(axis=0) > 0).all()
    assert F.sum(axis=1).tolist() == 31 * [1] + [0, 0]
    few = pd.DataFrame({"n": [*range(10)] * 3})  # ten different ones are not cut
    assert encoded(few, 30)[1] == [f"n {k}" for k in range(10)]


def test_names_of_columns_are_text():
    F, names = encoded(pd.DataFrame([["a", "b"], ["b", "b"]]), 2)
    assert names == ["0 a", "0 b", "1 b"]
    np.testing.assert_allclose(F, np.array([[1, 0, 1], [0, 1, 1]]) / np.sqrt(2))


def test_a_matrix_is_taken_as_it_is():
    A = np.array([[0, 2.5, -1], [0, 0, 0], [4, 0, 1]])
    F, columns = check_features(A, 3, "features")
    np.testing.assert_array_equal(F.toarray(), A)
    assert (F.dtype, columns, feature_names(columns, 3)[2]) == (float, None, "feature 2")
    twice = sp.coo_array(([1.0, 2.0, True], ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    assert check_features(twice, 2, "F")[0].toarray().tolist() == [[0, 3], [1, 0]]


MODEL, PLAIN = fitted(), fitted("plain")  # a table of users, a matrix of items


@pytest.mark.parametrize("model", [PLAIN, fitted("implicit")], ids=["plain", "implicit"])
def test_a_model_without_given_features_takes_none(model):
    for call in (
        lambda: model.fold_in(([1], [5]), features={"age": 25}),
        lambda: model.fold_in(SMALL.T, "items", features=np.ones((30, 4))),
        lambda: model.append(([1], [5]), SMALL, features={"age": 25}),
        lambda: model.prior_mean([1], features={"age": 25}),
        lambda: model.explain(3, [1], [5], features={"age": 25}),
    ):
        with pytest.raises(ValueError, match=r"fitted without features of (users|items); l"):
            call()
    with pytest.raises(ValueError, match="without features of items that were given"):
        model.feature_effects()


# Sums over what was rated


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_sums_are_scipys_to_the_bit(monkeypatch, dtype):
    R = heavy_tailed(700, 500, seed=1)
    for rows in (R, R.T.tocsr(), SMALL, SMALL[:0]):
        X = np.random.default_rng(0).normal(size=(rows.shape[1], 60)).astype(dtype)
        ones = sp.csr_array((np.ones(rows.nnz, dtype), rows.indices, rows.indptr), rows.shape)
        expected = ones @ X
        for n_workers in (1, 2, 3, 7):
            sums = sum_rated(rows, X, n_workers)
            assert (sums.dtype, sums.tobytes()) == (expected.dtype, expected.tobytes())
        assert sum_rated(rows, np.asfortranarray(X)).tobytes() == expected.tobytes()
        with monkeypatch.context() as patch:
            patch.setattr("alsnb.features.numba_is_here", lambda: False)
            assert sum_rated(rows, X, 2).tobytes() == expected.tobytes()
    assert R.nnz * 60 > 10**6  # enough to be shared out


def test_a_large_fit_has_the_same_bits_with_any_number_of_workers():
    R = heavy_tailed(700, 500, seed=1)
    fits = [
        fit(R, "all", 50, 2, executor=executor, n_workers=n)
        for executor, n in (("serial", 1), ("threads", 2), ("threads", 3.0))
    ]
    assert all(bytes_of(model) == bytes_of(fits[0]) for model in fits[1:])


# Links


@both_sides
def test_prior_means_and_effects_are_the_links(side):
    rated, given = dense_link(MODEL, side)
    features = features_of("all", side, 6, seed=9)[2:3]
    F, _ = check_features(features, 1, "features", MODEL.link(side))
    clicked = [3, 11, 8]
    for items, prior in (
        (clicked, rated[clicked].sum(axis=0) / np.sqrt(3) + (F @ given)[0]),
        ([], (F @ given)[0]),
    ):
        row = MODEL.prior_mean(items, side, features=features)
        f, bias = 4, 4 if side == "users" else 5
        close(np.append(row[:f], row[bias]), prior, 1e-12)
        fixed = (MODEL.V, MODEL.U)[side == "items"]
        stars = fixed[:, :f] @ prior[:f] + prior[f] + MODEL.mean
        other = MODEL.item_bias if side == "users" else MODEL.user_bias
        close(fixed @ row, stars + other, 1e-12)
    assert not MODEL.prior_mean(side=side)[:4].any()  # of whom nothing is known
    effects = MODEL.feature_effects(side)
    assert list(effects) == [0, 1, 2, 3, "bias"]
    close(effects.to_numpy(), given, 1e-12)
    if side == "users":
        assert "likes love" in effects.index
        alone = MODEL.prior_mean(features={"likes": "love"})
        close(effects.loc["likes love"].to_numpy(), alone[:5], 1e-12)
    else:
        assert effects.index.tolist() == [f"feature {k}" for k in range(4)]
    assert list(fitted("features").feature_effects(side)) == [0, 1, 2, 3]  # without biases


@pytest.mark.parametrize("direct", [True, False])
def test_links_end_where_their_gradient_is_zero(monkeypatch, direct):
    """There λ_B B = Fᵀ P (X − F B), of what was rated and of given features."""
    monkeypatch.setattr("alsnb.features.DIRECT", 500 * direct)
    R, names = heavy_tailed(16, 14), ("user_features", "item_features")
    given = {
        name: features_of("all", side, n)
        for name, side, n in zip(names, ("users", "items"), R.shape, strict=True)
    }
    settings = ALS(2, 2.0, 0.5, implicit_features=True, implicit_reg=3, feature_reg=4)
    model = settings.fit(R, 1000, rng=0, verbose=False, executor="serial", **given)
    for side, X, rows in (("users", model.U, R), ("items", model.V, R.T.tocsr())):
        link, n = model.link(side), np.diff(rows.indptr)
        rated = sp.csr_array((np.ones(R.nnz), rows.indices, rows.indptr), rows.shape)
        F = np.hstack([rated.toarray() / np.sqrt(n.clip(1))[:, None], link.features.toarray()])
        B = np.vstack([link.rated, link.given])
        left = (2.0 * np.sqrt(n))[:, None] * (X - F @ B)
        expected = np.r_[np.full(len(link.rated), 3.0), np.full(len(link.given), 4.0)]
        close(expected[:, None] * B, F.T @ left, 1e-7)
        assert abs(link.rated).max() > 0.01 and abs(link.given).max() > 0.01


def test_more_features_than_are_solved_for_at_once(monkeypatch):
    """Gradient steps reach what solving for all reaches."""
    R = heavy_tailed(650, 40)
    table = pd.DataFrame({"name": [f"user {k}|group {k % 7}" for k in range(650)]})
    settings = ALS(2, 2.0, bias=True, feature_reg=5)
    options = {"rng": 0, "verbose": False, "executor": "serial", "user_features": table}
    steps = settings.fit(R, 60, **options)
    assert len(steps.feature_effects("users")) == 657
    assert (np.diff(steps.objectives) <= 1e-12 * steps.objectives[0]).all()
    monkeypatch.setattr("alsnb.features.DIRECT", 10**4)
    exact = settings.fit(R, 60, **options)
    assert steps.objectives[0] > exact.objectives[0]
    assert steps.objectives[-1] == pytest.approx(exact.objectives[-1], rel=2e-3)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rows_without_ratings_do_not_pull(dtype):
    """A catalogue full of items that nobody has rated leaves the fit of the others as it is."""
    features = features_of("all", "items", 300)
    wide = sp.hstack([SMALL, sp.csr_array((40, 270))]).tocsr()
    settings, options = ALS(3, 2.0, bias=True, feature_reg=2), {"rng": 0, "verbose": False}
    few = settings.fit(SMALL, 5, item_features=features[:30], dtype=dtype, **options)
    many = settings.fit(wide, 5, item_features=features, dtype=dtype, **options)
    rounding = rounding_of(dtype)
    close(many.V[:30], few.V, rounding)
    close(many.link("items").given, few.link("items").given, rounding)
    close(many.objectives, few.objectives, rounding)


def test_links_that_cannot_be_solved_for_are_one_clear_error():
    same = np.ones((40, 3))  # which FᵀF cannot tell apart
    for reg, features, dtype in ((1e-12, same, np.float32), (1.0, same * 1e200, float)):
        with pytest.raises(ValueError, match="feature_reg is too small, or the features are too"):
            settings_of("plain", feature_reg=reg).fit(SMALL, user_features=features, dtype=dtype)


# What features are good for


def planted(seed, choosy=2, n_users=300, n_items=120, n_ratings=8):
    """Ratings of what users chose by their taste, and what a feature of the items tells of it."""
    rng = np.random.default_rng(seed)
    U, V = rng.normal(size=(n_users, 2)), rng.normal(size=(n_items, 2))
    taste = U @ V.T
    chosen = np.argsort(-choosy * taste - rng.gumbel(size=taste.shape), axis=1)[
        :, :n_ratings
    ].ravel()
    users = np.repeat(np.arange(n_users), n_ratings)
    stars = taste[users, chosen] + rng.normal(size=len(users))
    return sp.coo_array((stars, (users, chosen)), shape=taste.shape).tocsr(), V


@pytest.mark.parametrize("seed", range(2))
def test_what_was_rated_tells_taste(seed):
    train, test = alsnb.train_test_split(planted(seed)[0], 0.25, rng=seed)
    errors = []
    for settings in (ALS(2, 10, bias=True), ALS(2, 10, bias=True, implicit_features=True)):
        model = replace(settings, implicit_reg=10.0).fit(train, rng=0, verbose=False)
        errors.append(alsnb.calculate_rmse(test, model.U, model.V))
    assert errors[1] < errors[0] - 0.08


@pytest.mark.parametrize("seed", range(2))
def test_items_that_nobody_has_rated_are_known_by_their_features(seed):
    R, V = planted(seed, choosy=0)
    cold = np.arange(120) % 5 == 0
    train, test = (sp.csr_array(R.multiply(which)) for which in (~cold, cold))
    train.eliminate_zeros()
    test.eliminate_zeros()
    errors, options = [], {"rng": 0, "verbose": False}
    for given in ({}, {"item_features": V}):
        model = ALS(2, 5, bias=True, feature_reg=1).fit(train, **given, **options)
        errors.append(alsnb.calculate_rmse(test, model.U, model.V))
    assert errors[1] < errors[0] - 0.3
    for item in np.flatnonzero(cold):
        close(model.V[item], model.prior_mean(side="items", features=V[[item]]), 1e-9)
    assert not model.unknown_items.any()
    assert np.isin(model.recommend(None, train)[0], np.flatnonzero(cold)).any()


def test_who_is_known_by_features_alone_and_who_is_not_at_all():
    features = np.array([[1.0, 0], [0, 1]])[np.arange(40) % 2]
    features[5] = 0  # of whom there are no ratings either
    model = fit(SMALL, "plain", 4, user_features=features)
    assert model.prior_mean(features=[[1, 0]] @ np.eye(2)).any() and not model.U[5].any()
    close(model.fold_in(([], []), features=features[[1]]), model.link("users").given[1])
    assert not model.fold_in(([], [])).any()
    with pytest.warns(UserWarning, match="user 5 has no ratings in training: recommended are the"):
        items, _ = model.recommend(5, SMALL)
    assert items[0] == alsnb.damped_means(SMALL).argmax()
    features[5] = 0, 1
    known = fit(SMALL, "plain", 4, user_features=features)
    close(known.U[5], known.link("users").given[1])
    items, scores = known.recommend(5, SMALL)
    close(scores, known.V[items] @ known.link("users").given[1])
