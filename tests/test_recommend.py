"""Lists against sorting by hand, similarities against dense algebra."""

import inspect
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from helpers import (
    COUNTS,
    GIVEN,
    SMALL,
    VARIANTS,
    close,
    data_of,
    each_model,
    fit,
    fitted,
    rounding_of,
    untouched,
)
from hypothesis import given
from hypothesis import strategies as st

import alsnb
from alsnb import Factorization, bayes, damped_means

# User 0 has rated items 1 (with zero stars) and 4; user 1 everything; user 2 nothing.
PLACES = [0, 0, 1, 1, 1, 1, 1, 1], [1, 4, 0, 1, 2, 3, 4, 5]
R = sp.csr_array(([0.0, 5.0, 1.0, 2.0, 3.0, 4.0, 5.0, 1.0], PLACES), shape=(3, 6))
U = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
V = np.array([[2.0, 1.0], [9.0, 1.0], [3.0, 1.0], [2.0, 1.0], [8.0, 1.0], [-1.0, 1.0]])
MODEL = Factorization(U, V)


def random_problem(seed, n_items, n_users):
    """Whole factors, and so many ties; some ratings are zero; user 0 has rated everything."""
    rng = np.random.default_rng(seed)
    U, V = (rng.integers(-2, 3, (n, 2)).astype(float) for n in (n_users, n_items))
    U[:, 0], V[:, 1] = 1, 2  # nothing is unknown
    mask = rng.random((n_users, n_items)) < rng.choice([0, 0.3, 0.9])
    mask[0] = True
    R = sp.coo_array((rng.integers(0, 6, mask.sum()), np.nonzero(mask)), shape=mask.shape)
    return Factorization(U, V), R, mask


def by_hand(scores, left_out, top_n):
    """The best of what is not left out, as lists of items and scores."""
    left = sorted((-float(scores[j]), j) for j in range(len(scores)) if not left_out[j])[:top_n]
    return [j for _, j in left], [-score for score, _ in left]


def listed(lists):
    return tuple(part.tolist() for part in lists)


def test_ten_are_the_default():
    calls = [alsnb.top_items, alsnb.recommend_items, Factorization.recommend]
    calls += [Factorization.similar_items, bayes.Posterior.recommend, alsnb.evaluate_lists]
    for call in calls:
        options = inspect.signature(call).parameters
        assert (options.get("top_n") or options["k"]).default == 10


def test_unseen_items_best_first_ties_by_column():
    assert listed(MODEL.recommend(0, R)) == ([2, 0, 3, 5], [3, 2, 2, -1])  # 1 is seen, with 0 stars
    assert listed(MODEL.recommend(np.int8(2), R, 3)) == ([5, 0, 3], [1, -2, -2])
    assert listed(MODEL.recommend(1, R)) == ([], [])
    assert listed(alsnb.recommend_items(0, U, V, R, 2)) == ([2, 0], [3, 2])
    assert listed(alsnb.recommend_items(0, U, V, R, candidates=[5, 4, 3])) == ([3, 5], [2, -1])
    wide = sp.csr_array((1, 50))
    many = Factorization(np.ones((1, 1)), np.arange(1.0, 51)[:, None]).recommend(0, wide)
    assert many[0].tolist() == list(range(49, 39, -1))  # ten by default


def test_rows_of_many_users_are_padded():
    nothing = -np.inf
    items, scores = MODEL.recommend(None, R, 5)
    assert items.tolist() == [[2, 0, 3, 5, -1], [-1] * 5, [5, 0, 3, 2, 4]]
    assert scores.tolist() == [[3, 2, 2, -1, nothing], [nothing] * 5, [1, -2, -2, -3, -8]]
    items, scores = MODEL.recommend([2, 0], R, 10**9, candidates=[3, 5, 4])
    assert items.tolist() == [[5, 3, 4, -1, -1, -1], [3, 5, -1, -1, -1, -1]]
    assert scores.tolist() == [[1, -2, -8] + [nothing] * 3, [2, -1] + [nothing] * 4]
    assert [part.shape for part in MODEL.recommend([], R, 4)] == [(0, 4), (0, 4)]


@given(
    st.integers(0, 10**6),
    st.integers(1, 40),
    st.integers(1, 45),
    st.one_of(st.none(), st.floats(0, 1)),
    st.sampled_from([1, 30, 2**20]),
)
def test_lists_are_sorted_by_hand(seed, n_items, top_n, share, block):
    """Of one user and of many, in blocks of any size, with any number of workers."""
    model, R, mask = random_problem(seed, n_items, 6)
    rng, width = np.random.default_rng(seed), min(top_n, n_items)
    candidates, barred = None, np.zeros(n_items, bool)
    if share is not None:
        candidates = rng.permutation(n_items)[: round(share * n_items)]
        barred = ~np.isin(np.arange(n_items), candidates)
    options = {"top_n": top_n, "candidates": candidates}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alsnb.metrics._BLOCK", block)
        users = rng.permutation(6)[:4]
        many = model.recommend(users, R, n_workers=1 + seed % 3, **options)
    for user, *rows in zip(users, *many, strict=True):
        scores = model.V @ model.U[user]
        expected = by_hand(scores, mask[user] | barred, top_n)
        assert listed(model.recommend(user, R, **options)) == expected
        assert (
            listed(alsnb.top_items(scores, exclude=mask[user].nonzero()[0], **options)) == expected
        )
        missing = width - len(expected[0])
        assert listed(rows) == (expected[0] + [-1] * missing, expected[1] + [-np.inf] * missing)


@each_model
def test_every_model_recommends_what_it_predicts(variant, dtype):
    small = data_of(variant, SMALL)
    model, rounding = fitted(variant, dtype), rounding_of(dtype, 1e-12, 1e-5)
    users = np.setdiff1d(np.arange(40), [5])
    with untouched(model, small):
        items, scores = model.recommend(users, small, 30)
    mask = np.zeros(small.shape, bool)
    mask[small.tocoo().coords] = True
    for user, best, of in zip(users, items, scores, strict=True):
        unknown = (np.arange(30) == 7) & (variant not in GIVEN)
        expected = by_hand(model.predict(user), mask[user] | unknown, 30)
        best, of = best[best >= 0], of[best >= 0]
        assert sorted(best) == sorted(expected[0])  # all that is unseen, but for item 7
        close(of, expected[1], rounding)
        close(of, model.predict(user, best), rounding)


# What the model knows nothing of


@pytest.mark.parametrize("variant", VARIANTS)
def test_who_has_no_ratings_in_training_gets_the_highest_damped_means(variant):
    """Less what is seen; and a model with biases, or with features of users, knows better."""
    small = data_of(variant, SMALL)
    model, R = fitted(variant), small.tolil()
    R[5, [3, 11]] = 5, 1  # rated since
    R = R.tocsr()
    unknown = [] if variant in GIVEN else [7]
    left_out, means = np.isin(np.arange(30), [3, 11, *unknown]), damped_means(R)
    best = "highest damped means"
    if variant in COUNTS:
        means, best = alsnb.count_ratings(R)[1], "most popular items"
    if model.settings.bias or variant in GIVEN:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            items, scores = model.recommend(5, R)
        if variant not in GIVEN:
            close(scores, model.mean + model.item_bias[items])
        assert items.tolist() == by_hand(model.predict(5), left_out, 10)[0]
        return
    expected = by_hand(means, left_out, 10)
    message = f"user 5 has no ratings in training: recommended are the {best}"
    with pytest.warns(UserWarning, match=message):
        assert listed(model.recommend(5, R)) == expected
    with pytest.warns(UserWarning, match="user 5 has no ratings in training"):
        items, scores = model.recommend([8, 5, 2], R)
    assert listed((items[1], scores[1])) == expected
    assert items[2].tolist() == model.recommend([2], R)[0][0].tolist()  # without a warning
    fewer = model.replace(U=np.where(np.arange(40)[:, None] % 20 == 5, 0, model.U))
    with pytest.warns(UserWarning, match="2 users have no ratings in training"):
        items, _ = fewer.recommend(None, R, 4, candidates=[3, 7, 9, 10])
    assert items[5].tolist() == by_hand(means, ~np.isin(np.arange(30), [9, 10]), 4)[0] + [-1, -1]


@pytest.mark.parametrize("variant", VARIANTS)
def test_items_without_ratings_in_training_are_never_listed(variant):
    small = data_of(variant, SMALL)
    train = small - small.multiply(np.isin(np.arange(30), [2, 20]))
    train = sp.csr_array(train)
    train.eliminate_zeros()
    sign = 1 if variant in COUNTS else -1  # of which a zero would come first
    model = fit(train.multiply(sign).tocsr(), variant, 4)
    items, _ = model.recommend(np.setdiff1d(np.arange(40), [5]), sp.csr_array((40, 30)), 30)
    listed = np.sort(items, axis=1)
    if variant in GIVEN:  # of which it knows the features
        assert (listed == np.arange(30)).all()
        return
    assert (listed[:, :3] == -1).all()
    assert (listed[:, 3:] == np.setdiff1d(np.arange(30), [2, 7, 20])).all()
    assert len(model.recommend(0, sp.csr_array((40, 30)), candidates=[2, 7])[0]) == 0


# similar_items


@each_model
@pytest.mark.parametrize("measure", ["cosine", "dot"])
def test_similar_items_are_those_of_dense_loops(variant, dtype, measure):
    model = fitted(variant, dtype)
    F, candidates = model.item_factors.astype(float), np.arange(29, 4, -2)
    expected = {}
    for j in set(range(30)) - ({0} if variant in GIVEN else {0, 7}):
        length = np.sqrt(sum(F[0] ** 2) * sum(F[j] ** 2)) if measure == "cosine" else 1
        expected[j] = sum(F[0] * F[j]) / length
    best = sorted(expected, key=lambda j: -expected[j])
    items, similarities = model.similar_items(0, 30, measure=measure)
    assert items.tolist() == best
    close(similarities, [expected[j] for j in best], rounding_of(dtype, 1e-12, 1e-5))
    some, _ = model.similar_items(0, 4, candidates=candidates, measure=measure)
    assert some.tolist() == [j for j in best if j in candidates][:4]


def test_cosine_asks_for_directions_and_dot_for_lengths_too():
    V = np.array([[1, 0], [1.1, 0.1], [30, 40], [0, 0], [-1, 0], [2, 0]])
    model = Factorization(np.ones((1, 2)), V)
    items, cosines = model.similar_items(0)
    assert items.tolist() == [5, 1, 2, 4]
    close(cosines, [1, 1.1 / np.hypot(1.1, 0.1), 0.6, -1], 1e-12)
    assert listed(model.similar_items(0, measure="dot")) == ([2, 5, 1, 4], [30, 2, 1.1, -1])
    assert model.similar_items(5, 1)[0].tolist() == [0]


# What is wrong


@pytest.mark.parametrize("variant", [one for one in VARIANTS if one not in GIVEN])
@pytest.mark.parametrize("measure", ["cosine", "dot"])
def test_an_item_without_ratings_is_like_nothing(variant, measure):
    with pytest.raises(ValueError, match="item 7 has no ratings, so its factors point nowhere"):
        fitted(variant).similar_items(7, measure=measure)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_nonsense_is_an_error_without_a_warning(value):
    U, V = np.ones((9, 2)), np.arange(1.0, 41).reshape(20, 2)
    U[[5, 7], 0] = value
    V[3, 0] = value
    model, R = Factorization(U, V), sp.csr_array((np.ones(9), (range(9), range(9))), shape=(9, 20))
    for call in (lambda: model.recommend(5, R), lambda: model.recommend([4, 5, 7], R)):
        with pytest.raises(ValueError, match=r"the factors predict NaN or ∞ for user [45]"):
            call()
    for measure in ("cosine", "dot"):
        with pytest.raises(ValueError, match="NaN or ∞"):
            model.similar_items(3, measure=measure)
