"""Shares of ratings in a prediction, against dense algebra and against slopes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_recommend import VARIANTS, make_model, n_factors_of, variants

import alsnb


def explained(seed, n_ratings, **options):
    """A model, an item, and what a user has rated."""
    model, rng = make_model(seed, **options), np.random.default_rng(seed + 1)
    items = rng.permutation(12)[:n_ratings]
    return model, int(rng.integers(12)), items, rng.integers(0, 11, n_ratings) / 2


def dense_shares(model, item, items, ratings):
    """The shares by a dense inverse, the bias a factor like any other but for its penalty."""
    f, n, w = n_factors_of(model), max(len(items), 1), model.implicit_weight
    (λ, *_), Y = np.broadcast_to(model.lambda_reg, 2), model.V[:, :f].astype(float)
    λs, offsets = np.full(f, λ), np.zeros(len(Y))
    shared = np.zeros_like(Y) if model.partners is None else model.partners[0].astype(float)
    if model.bias_reg is not None:
        offsets = model.V[:, f + 1] + float(model.U[0, -1])
        Y, shared = np.c_[Y, np.ones(len(Y))], np.c_[shared, np.zeros(len(Y))]
        λs = np.r_[λs, np.broadcast_to(model.bias_reg, 2)[0]]
    A = Y[items].T @ Y[items] + w * shared.T @ shared + np.diag(λs * n**model.reg_exponent)
    rows = Y[items] * (ratings - offsets[items])[:, None] + w * shared[items]
    return rows @ np.linalg.inv(A) @ Y[item], offsets[item]


@given(st.integers(0, 10**6), variants, st.integers(0, 12))
def test_shares_add_up_to_the_prediction(seed, variant, n_ratings):
    model, item, items, ratings = explained(seed, n_ratings, **VARIANTS[variant])
    shares, baseline = alsnb.explain_recommendation(item, items, ratings, model)
    assert (shares.shape, type(baseline)) == ((n_ratings,), float)
    expected, base = dense_shares(model, item, items, ratings)
    size = abs(expected).sum() + abs(base) + 1e-3
    np.testing.assert_allclose(shares, expected, rtol=0, atol=1e-8 * size)
    assert baseline == pytest.approx(base, abs=1e-12)
    score = model.V[item] @ alsnb.fold_in_user(items, ratings, model)
    assert shares.sum() + baseline == pytest.approx(score, abs=1e-8 * size)
    # The order is the caller's
    order = np.random.default_rng(seed).permutation(n_ratings)
    turned, _ = alsnb.explain_recommendation(item, items[order], ratings[order], model)
    np.testing.assert_allclose(turned, shares[order], rtol=0, atol=1e-9 * size)


@pytest.mark.parametrize("variant", VARIANTS)
def test_shares_of_float32_and_of_fitted_models(toy, variant):
    options = dict(VARIANTS[variant])
    settings = {"reg_exponent": options.pop("nu", 0), "implicit_weight": options.pop("w", 0)}
    settings |= options | {"bias": "bias_reg" in options, "verbose": False, "rng": 0}
    for dtype, rounding in ((float, 1e-8), (np.float32, 1e-4)):
        model = alsnb.als_matrix_factorization(toy.R, 3, n_iterations=4, dtype=dtype, **settings)
        for n_ratings in (1, 2, 5):
            row = np.arange(n_ratings), np.array([5, 1, 3, 0, 4])[:n_ratings]
            for item in range(7):
                shares, baseline = alsnb.explain_recommendation(item, *row, model)
                score = model.V[item] @ alsnb.fold_in_user(*row, model)
                assert model.V.dtype == dtype
                assert shares.sum() + baseline == pytest.approx(score, rel=rounding, abs=rounding)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if "partners" not in name])
@pytest.mark.parametrize("n_ratings", [1, 2, 3, 8])
def test_share_is_the_slope_times_what_is_to_be_explained(variant, n_ratings):
    model, item, items, ratings = explained(5, n_ratings, **VARIANTS[variant])
    shares, baseline = alsnb.explain_recommendation(item, items, ratings, model)
    scores = [
        model.V[item] @ alsnb.fold_in_user(items, ratings + 100 * row, model)
        for row in (np.zeros(n_ratings), *np.eye(n_ratings))
    ]
    slopes = (np.array(scores[1:]) - scores[0]) / 100  # exact: the score is linear
    biased = model.bias_reg is not None
    explained_before = model.V[items, 4] + model.U[0, -1] if biased else 0
    np.testing.assert_allclose(shares, slopes * (ratings - explained_before), rtol=1e-8, atol=1e-12)
    assert baseline == (pytest.approx(model.V[item, 4] + model.U[0, -1]) if biased else 0)
    assert abs(shares).min() > 1e-6 or (ratings == 0).any()


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_ratings_no_shares(variant):
    model = make_model(2, **VARIANTS[variant])
    for empty in ([], (), np.empty(0)):
        shares, baseline = alsnb.explain_recommendation(4, empty, empty, model)
        assert shares.shape == (0,)
        assert baseline == pytest.approx(model.V[4] @ alsnb.fold_in_user([], [], model))
    assert (baseline != 0) == (model.bias_reg is not None)


@pytest.mark.parametrize("n_ratings", [1, 2])
def test_shares_add_up_however_small_the_penalty(n_ratings):
    model, item, items, _ = explained(3, n_ratings, lambda_reg=1e-10)
    shares, _ = alsnb.explain_recommendation(item, items, np.full(n_ratings, 4.0), model)
    score = model.V[item] @ alsnb.fold_in_user(items, np.full(n_ratings, 4.0), model)
    assert shares.sum() == pytest.approx(score, rel=1e-8)


def test_explaining_changes_nothing():
    model, item, items, ratings = explained(0, 6, **VARIANTS["partners, bias"])
    arrays = model.U, model.V, *model.partners, items, ratings
    before = [array.tobytes() for array in arrays]
    for dtype in (np.uint8, np.int64, np.float32):  # and any kind of ratings will do
        whole = ratings.astype(dtype)
        shares = alsnb.explain_recommendation(item, items.astype(np.int16), whole, model)[0]
        expected = dense_shares(model, item, items, whole.astype(float))[0]
        np.testing.assert_allclose(shares, expected, rtol=0, atol=1e-9 * abs(expected).max())
    assert [array.tobytes() for array in arrays] == before


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"item": 12}, IndexError, "item 12 is out of range; the model has items 0 to 11"),
        ({"item": -1}, IndexError, "item -1 is out of range"),
        ({"item": 10**30}, IndexError, "item 1000000\\d* is out of range"),
        ({"item": "1"}, TypeError, "item must be a whole number, got '1'"),
        ({"item_ids": [12, 1]}, IndexError, "item_ids holds 12; the model has 0 to 11"),
        ({"item_ids": [1, 1]}, ValueError, "item_ids holds a position twice"),
        ({"item_ids": [0.0, 1]}, TypeError, "item_ids must be whole numbers"),
        ({"ratings": [1]}, ValueError, "item_ids and ratings must be as many"),
        ({"ratings": [1, np.nan]}, ValueError, "ratings hold NaN or ∞"),
        ({"ratings": ["4", "5"]}, TypeError, "ratings must be real numbers"),
        ({"model": (np.ones((2, 2)), np.ones((2, 2)))}, TypeError, "model must be a Factorization"),
    ],
)
def test_explaining_refuses(bad, error, message):
    options = {"item": 0, "item_ids": [1, 2], "ratings": [4, 5], "model": make_model(0)}
    with pytest.raises(error, match=message):
        alsnb.explain_recommendation(**options | bad)


def test_explaining_by_factors_whose_products_overflow_is_an_error():
    model = make_model(0)
    model.V[:] *= 1e200
    for n in (2, 12):
        with pytest.raises(ValueError, match="not finite"):
            alsnb.explain_recommendation(5, range(n), np.ones(n), model)


def test_explaining_by_nonsense_is_an_error():
    model = make_model(0)
    model.V[5, 0] = np.nan
    with pytest.raises(ValueError, match="NaN or ∞"):
        alsnb.explain_recommendation(5, [1, 2], [4, 5], model)
