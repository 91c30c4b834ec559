"""Recommendations against sorting by hand, similarities against dense algebra."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import alsnb
from alsnb.recommend import _select

# User 0 has rated items 1 (with zero stars) and 4; user 1 everything; user 2 nothing.
PLACES = [0, 0, 1, 1, 1, 1, 1, 1], [1, 4, 0, 1, 2, 3, 4, 5]
R = sp.csr_array(([0.0, 5.0, 1.0, 2.0, 3.0, 4.0, 5.0, 1.0], PLACES), shape=(3, 6))
U = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
V = np.array([[2.0, 1.0], [9.0, 1.0], [3.0, 1.0], [2.0, 1.0], [8.0, 1.0], [-1.0, 1.0]])

SHRINKAGE = 5  # of popularity_scores, by default


def recommend(user=0, U=U, V=V, R=R, top_n=10):
    return alsnb.recommend_items(user, U, V, R, top_n)


def test_unseen_items_best_first_ties_by_column():
    items, scores = recommend()
    assert items.tolist() == [2, 0, 3, 5]  # 1 is seen although its rating is zero
    assert scores.tolist() == [3, 2, 2, -1]
    items, scores = recommend(2)
    assert items.tolist() == [5, 0, 3, 2, 4, 1]
    assert scores.tolist() == [1, -2, -2, -3, -8, -9]


@pytest.mark.parametrize("top_n", [1, 2, 3, 4, 5, np.int32(2), 10**9, 10**30])
def test_fewer_when_fewer_are_left(top_n):
    items, scores = recommend(top_n=top_n)
    assert items.tolist() == [2, 0, 3, 5][:top_n]
    assert len(scores) == len(items)


def test_ten_by_default():
    wide = sp.csr_array(([1.0], ([0], [0])), shape=(1, 50))
    items, _ = alsnb.recommend_items(0, np.ones((1, 1)), np.arange(50.0)[:, None], wide)
    assert items.tolist() == list(range(49, 39, -1))


def test_user_who_has_rated_everything_gets_nothing():
    items, scores = recommend(1)
    assert (len(items), len(scores)) == (0, 0)
    assert items.dtype.kind == "i"


def test_numpy_integers_and_any_format():
    for other in (sp.csr_matrix(R), R.tocsc(), R.tocoo()):
        assert recommend(np.int64(0), R=other)[0].tolist() == [2, 0, 3, 5]


def random_problem(seed, n_items, n_users=4, dtype=float):
    """Whole factors, and so many ties; the last user is unknown, the one before has a zero row."""
    rng = np.random.default_rng(seed)
    U, V = (rng.integers(-2, 3, (n, 2)).astype(dtype) for n in (n_users, n_items))
    mask = rng.random((n_users, n_items)) < rng.choice([0, 0.3, 0.9])
    mask[0], mask[-1], U[-2:], mask[-2, 0] = True, False, 0, True
    R = sp.coo_array((rng.integers(0, 6, mask.sum()), np.nonzero(mask)), shape=mask.shape)
    return U, V, R, mask


def by_hand(scores, mask, top_n):
    """The best of what is not seen, as items and scores."""
    left = sorted((-float(scores[j]), j) for j in range(len(scores)) if not mask[j])[:top_n]
    return [j for _, j in left], [-score for score, _ in left]


@given(seed=st.integers(0, 10**6), n_items=st.integers(2, 30), top_n=st.integers(1, 40))
def test_equals_sorting_by_hand(seed, n_items, top_n):
    U, V, R, mask = random_problem(seed, n_items)
    for user in range(4):
        unknown = not mask[user].any() and not U[user].any()
        scores = alsnb.popularity_scores(R) if unknown else V @ U[user]
        items, scores_of = alsnb.recommend_items(user, U, V, R, top_n)
        assert (items.tolist(), scores_of.tolist()) == by_hand(scores, mask[user], top_n)


@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(1, 40), st.floats(0, 1))
def test_only_some_items_may_be_recommended(seed, n_items, top_n, share):
    """Who is unknown and those who have rated nearly everything included, in any order given."""
    U, V, R, mask = random_problem(seed, n_items)
    rng = np.random.default_rng(seed)
    among = np.flatnonzero(rng.random(n_items) < share)
    barred, among = ~np.isin(np.arange(n_items), among), rng.permutation(among)
    batch_items, batch_scores = alsnb.recommend_batch(U, V, R, top_n, among=among)
    popular, width = alsnb.popularity_scores(R), min(top_n, n_items)
    for user in range(4):
        unknown = not mask[user].any() and not U[user].any()
        scores = popular if unknown else V @ U[user]
        expected = by_hand(scores, mask[user] | barred, top_n)
        items, scores_of = alsnb.recommend_items(user, U, V, R, top_n, among=among)
        assert (items.tolist(), scores_of.tolist()) == expected
        missing = width - len(items)
        assert batch_items[user].tolist() == expected[0] + [-1] * missing
        assert batch_scores[user].tolist() == expected[1] + [-np.inf] * missing
        if not unknown:
            seen = np.flatnonzero(mask[user])
            ranked, of = alsnb.rank_items(U[user], V, seen, top_n, among=among)
            assert (ranked.tolist(), of.tolist()) == expected


@pytest.mark.parametrize(
    ("among", "error", "message"),
    [
        ([6], IndexError, "among holds 6; the model has 0 to 5"),
        ([1, 1], ValueError, "among holds a position twice"),
        (
            np.ones(6, bool),
            TypeError,
            "among must be whole numbers, .*got bool .*: positions, not ids",
        ),
        (["Fargo"], TypeError, "among must be whole numbers"),
    ],
)
def test_among_is_checked_by_all_who_take_it(among, error, message):
    model = alsnb.als_matrix_factorization(R, 2, n_iterations=1, verbose=False, rng=0)
    for call in (
        lambda: alsnb.recommend_items(0, U, V, R, among=among),
        lambda: alsnb.rank_items(U[0], V, among=among),
        lambda: alsnb.recommend_batch(U, V, R, among=among),
        lambda: alsnb.similar_items(0, model, among=among),
    ):
        with pytest.raises(error, match=message):
            call()


def test_who_is_unknown_gets_what_is_popular():
    # The mean is 2.5; items have 2, 1, 1, 2 and 0 ratings.
    R = sp.csr_array(([4.0, 5, 5, 0, 0, 1], ([0, 1, 0, 0, 0, 1], [0, 0, 1, 2, 3, 3])), shape=(4, 5))
    U, V = np.array([[1.0], [1], [0], [2]]), np.arange(5.0)[:, None]
    items, scores = alsnb.recommend_items(2, U, V, R)
    assert items.tolist() == [0, 1, 4, 2, 3]
    expected = (np.array([9, 5, 0, 1, 0]) + SHRINKAGE * 2.5) / (
        np.array([2, 1, 1, 2, 0]) + SHRINKAGE
    )
    np.testing.assert_allclose(scores, expected[items], rtol=1e-12)
    # Neither who has factors without ratings, nor who has ratings without factors, is unknown.
    assert alsnb.recommend_items(3, U, V, R)[0].tolist() == [4, 3, 2, 1, 0]
    items, scores = alsnb.recommend_items(0, 0 * U, V, R)
    assert (items.tolist(), scores.tolist()) == ([4], [0])


def test_biases_rank_for_who_has_no_ratings(toy):
    options = {"n_factors": 2, "n_iterations": 3, "verbose": False, "rng": 0, "bias": True}
    model = alsnb.als_matrix_factorization(toy.R, **options)
    expected = toy.values[toy.mask].mean() + model.V[:, 3]
    items, scores = alsnb.recommend_items(3, model.U, model.V, toy.R)
    batch = alsnb.recommend_batch(model.U, model.V, toy.R)
    assert items.tolist() == batch[0][3].tolist() == np.argsort(-expected).tolist()
    for each in (scores, batch[1][3]):
        np.testing.assert_allclose(each, expected[items], rtol=1e-12)
    assert not np.allclose(scores, alsnb.popularity_scores(toy.R)[items], rtol=0.01)


NAN_U, INF_V = U * np.nan, np.where(V == 3, np.inf, V)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"user": 3}, IndexError, "user 3 is out of range; R has users 0 to 2"),
        ({"user": -1}, IndexError, "user -1 is out of range"),
        ({"user": 10**30}, IndexError, "is out of range"),
        ({"user": "0"}, TypeError, "user must be a whole number, got '0'"),
        ({"user": 1.0}, TypeError, "user must be a whole number"),
        ({"user": True}, TypeError, "user must be a whole number, got True"),
        ({"user": None}, TypeError, "user must be a whole number"),
        ({"top_n": 0}, ValueError, "top_n must be at least 1, got 0"),
        ({"top_n": -1}, ValueError, "top_n must be at least 1, got -1"),
        ({"top_n": 2.5}, TypeError, "top_n must be a whole number, got 2.5"),
        ({"top_n": True}, TypeError, "top_n must be a whole number, got True"),
        ({"U": NAN_U}, ValueError, "the factors predict NaN or ∞ for user 0"),
        ({"V": INF_V}, ValueError, "the factors predict NaN or ∞ for user 0"),
        (
            {"U": V, "V": U},
            ValueError,
            "R is 3 × 6 but U has 6 rows and V has 3; did you transpose",
        ),
        ({"R": R.T}, ValueError, "R is 6 × 3 but U has 3 rows and V has 6; did you transpose R?"),
        ({"U": U[:2]}, ValueError, "were they fitted to another R?"),
        ({"V": V[:, :1]}, ValueError, "U and V need as many columns"),
        ({"R": R.toarray()}, TypeError, "R must be a two-dimensional SciPy sparse matrix"),
    ],
)
def test_bad_input(bad, error, message):
    with pytest.raises(error) as caught:
        recommend(**bad)
    assert message in str(caught.value)


# Whole numbers as factors, in every function that ranks

WHOLE = pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int8, np.float32, np.float16])


@WHOLE
def test_factors_of_any_dtype(dtype):
    U, V, R, mask = random_problem(7, 20, 6, dtype)
    U[-1] = 1
    V[3] = 100  # with which int8 must not overflow
    batch = alsnb.recommend_batch(U, V, R, 20)
    for user in range(6):
        expected = by_hand(V.astype(float) @ U[user].astype(float), mask[user], 20)
        for items, scores in (
            alsnb.recommend_items(user, U, V, R, 20),
            alsnb.rank_items(U[user], V, np.flatnonzero(mask[user]), 20),
            (part[user, : len(expected[0])] for part in batch),
        ):
            assert (items.tolist(), scores.tolist()) == expected


@pytest.mark.parametrize("function", ["items", "batch", "rank"])
def test_factors_that_overflow_are_an_error_and_no_warning(function):
    big, R = np.full((3, 2), 1e200), sp.csr_array(np.eye(3))
    with pytest.raises(ValueError, match="predict NaN or ∞"):
        if function == "items":
            alsnb.recommend_items(0, big, big, R)
        elif function == "batch":
            alsnb.recommend_batch(big, big, R)
        else:
            alsnb.rank_items(big[0], big)


# rank_items

SEEN = [[1, 4], (4, 1), np.array([1, 4]), np.array([4, 1], np.uint8), range(1, 5, 3)]


@pytest.mark.parametrize("seen", SEEN, ids=repr)
def test_rank_items_is_recommend_items(seen):
    for top_n in (1, 3, 10):
        expected = recommend(top_n=top_n)
        for row in (U[0], U[0].tolist(), U[0].astype(np.float32)):
            for reached, part in zip(alsnb.rank_items(row, V, seen, top_n), expected, strict=True):
                assert reached.tolist() == part.tolist()


@pytest.mark.parametrize("seen", [(), [], np.empty(0, int), np.empty(0)], ids=repr)
def test_rank_items_of_who_has_seen_nothing(seen):
    items, scores = alsnb.rank_items(U[0], V, seen)
    assert items.tolist() == alsnb.rank_items(U[0], V)[0].tolist() == [1, 4, 2, 0, 3, 5]
    assert scores.tolist() == [9, 8, 3, 2, 2, -1]
    assert len(alsnb.rank_items(U[0], V, range(6))[0]) == 0
    assert alsnb.rank_items(U[0], V, 1, 1)[0].tolist() == [4]


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"seen": [6]}, IndexError, "seen holds 6; the model has 0 to 5"),
        ({"seen": [-1]}, IndexError, "seen holds -1"),
        ({"seen": [1, 1]}, ValueError, "seen holds a position twice"),
        ({"seen": [1.0]}, TypeError, "seen must be whole numbers"),
        ({"seen": np.zeros(6, bool)}, TypeError, "seen must be whole numbers"),
        ({"seen": [[1]]}, TypeError, "seen must be whole numbers, one dimension"),
        (
            {"u": U},
            ValueError,
            r"u must be as long as a row of V, got shapes \(3, 2\) and \(6, 2\)",
        ),
        ({"u": U[0, :1]}, ValueError, "u must be as long as a row of V"),
        ({"u": 1.0}, ValueError, "u must be as long as a row of V"),
        ({"V": V[0]}, ValueError, "u must be as long as a row of V"),
        ({"u": NAN_U[0]}, ValueError, "the factors predict NaN or ∞"),
        ({"V": INF_V}, ValueError, "the factors predict NaN or ∞"),
        ({"top_n": 0}, ValueError, "top_n must be at least 1, got 0"),
        ({"top_n": 1.5}, TypeError, "top_n must be a whole number"),
    ],
)
def test_rank_items_refuses(bad, error, message):
    with pytest.raises(error, match=message):
        alsnb.rank_items(**{"u": U[0], "V": V} | bad)


# recommend_batch


def batch(problem, top_n=10, block=None, n_workers=None):
    with pytest.MonkeyPatch.context() as patch:
        if block:
            patch.setattr("alsnb.recommend._BLOCK", block)
        return alsnb.recommend_batch(*problem[:3], top_n, n_workers=n_workers)


def assert_batch(reached, problem, top_n):
    """The same as `recommend_items` for every user, with −1 and −∞ where it returns fewer."""
    U, V, R, _ = problem
    items, scores = reached
    width = min(top_n, len(V))
    assert items.shape == scores.shape == (len(U), width)
    assert items.dtype.kind == "i"
    for user in range(len(U)):
        expected, of = alsnb.recommend_items(user, U, V, R, top_n)
        missing = width - len(expected)
        assert items[user].tolist() == expected.tolist() + [-1] * missing
        assert scores[user].tolist() == of.tolist() + [-np.inf] * missing


@given(
    seed=st.integers(0, 10**6),
    n_items=st.integers(1, 40),
    n_users=st.integers(2, 9),
    top_n=st.integers(1, 45),
    block=st.sampled_from([1, 20, 70, 200, None]),
)
def test_batch_is_recommend_items_for_every_user(seed, n_items, n_users, top_n, block):
    problem = random_problem(seed, n_items, n_users)
    results = [batch(problem, top_n, block, n) for n in (1, 2, 3)]
    assert_batch(results[0], problem, top_n)
    for other in results[1:]:
        assert [part.tobytes() for part in other] == [part.tobytes() for part in results[0]]


@pytest.mark.parametrize("block", [1, 100, None])
@pytest.mark.parametrize("top_n", [1, 3, 10, 50])
def test_batch_of_equal_scores_goes_by_columns(top_n, block):
    _, V, R, mask = random_problem(3, 50, 9)
    items, scores = batch((np.ones((9, 2)), 0 * V + 1, R), top_n, block)
    for user in range(9):
        left = np.flatnonzero(~mask[user])[:top_n].tolist()
        assert items[user].tolist() == left + [-1] * (top_n - len(left))
        assert set(scores[user, : len(left)].tolist()) <= {2.0}


@pytest.mark.parametrize("block", [1, 6, None])
def test_batch_by_example(block):
    items, scores = batch((U, V, R), 5, block)
    assert items.tolist() == [[2, 0, 3, 5, -1], [-1] * 5, [5, 0, 3, 2, 4]]
    nothing = -np.inf
    assert scores.tolist() == [[3, 2, 2, -1, nothing], [nothing] * 5, [1, -2, -2, -3, -8]]


def test_batch_of_one_user_or_one_item():
    one = np.ones((1, 1))
    for data, item, score in (([1.0], -1, -np.inf), ([], 0, 3.0)):
        R = sp.csr_array((data, ([0] * len(data), [0] * len(data))), shape=(1, 1))
        items, scores = alsnb.recommend_batch(one, 3 * one, R)
        assert (items.tolist(), scores.tolist()) == ([[item]], [[score]])
    items, scores = alsnb.recommend_batch(np.ones((0, 2)), V, sp.csr_array((0, 6)))
    assert items.shape == scores.shape == (0, 6)


def test_batch_of_some_users_may_hold_no_ratings():
    """Who is unknown has none: the rows of R alone do not tell what is popular."""
    part = slice(2, 3)
    unknown = np.where(np.arange(3)[:, None] == 2, 0, U)
    items, _ = alsnb.recommend_batch(unknown[part], V, R[part])
    assert sorted(items[0].tolist()) == [0, 1, 2, 3, 4, 5]


@given(st.integers(0, 10**6), st.sampled_from([1, 30, None]))
def test_batch_of_some_users_only(seed, block):
    """What is popular is asked of all, also for those of whom nothing is known."""
    U, V, R, _ = random_problem(seed, 8, 6)
    users = np.random.default_rng(seed).permutation(6)[:4]
    with pytest.MonkeyPatch.context() as patch:
        if block:
            patch.setattr("alsnb.recommend._BLOCK", block)
        every = alsnb.recommend_batch(U, V, R, 3)
        some = alsnb.recommend_batch(U, V, R, 3, users=users)
    for all_of_it, part in zip(every, some, strict=True):
        assert part.tolist() == all_of_it[users].tolist()


def test_batch_of_some_users_is_refused_as_it_should_be():
    with pytest.raises(IndexError, match="users holds 3; the model has 0 to 2"):
        alsnb.recommend_batch(U, V, R, users=[3])
    with pytest.raises(ValueError, match="for user 1;"):
        alsnb.recommend_batch(np.where(np.arange(3)[:, None] == 1, np.nan, U), V, R, users=[2, 1])
    items, scores = alsnb.recommend_batch(U, V, R, users=[])
    assert items.shape == scores.shape == (0, 6)


def test_no_items_at_all():
    nothing = np.ones((0, 2)), sp.csr_array((3, 0))
    with pytest.raises(ValueError, match="there are no items: V has no rows"):
        alsnb.recommend_batch(U, *nothing)
    with pytest.raises(ValueError, match="there are no items: V has no rows"):
        alsnb.recommend_items(0, U, *nothing)
    with pytest.raises(ValueError, match="u must be as long as a row of V"):
        alsnb.rank_items(U[0], nothing[0])


@pytest.mark.parametrize("dtype", [complex, object, bool])
def test_rank_items_wants_real_numbers(dtype):
    with pytest.raises(TypeError, match="u and V must hold real numbers"):
        alsnb.rank_items(U[0].astype(dtype), V)


def test_batch_of_float32_ranks_unknown_users_as_recommend_items_does():
    rng = np.random.default_rng(1)  # popularities that differ, and round to one float32
    mask = rng.random((40, 300)) < 0.5
    mask[0] = False
    stars = rng.integers(1, 6, mask.sum()).astype(np.float32)
    R = sp.csr_array((stars, np.nonzero(mask)), shape=mask.shape)
    U, V = (rng.normal(size=(n, 3)).astype(np.float32) for n in mask.shape)
    U[0] = 0
    popular = alsnb.popularity_scores(R)
    assert len(set(popular)) > len(set(popular.astype(np.float32)))
    items, scores = alsnb.recommend_batch(U, V, R, 300)
    assert items[0].tolist() == alsnb.recommend_items(0, U, V, R, 300)[0].tolist()
    np.testing.assert_allclose(scores[0], popular[items[0]], rtol=1e-6)


@given(
    st.integers(0, 10**6),
    st.integers(1, 6),
    st.integers(1, 80),
    st.sampled_from([1, 2, 3, 7, 80]),
    st.sampled_from([1, 3, 1000]),
)
def test_select_is_sorting(seed, n_rows, n_columns, top_n, spread):
    rng = np.random.default_rng(seed)
    block = rng.integers(-spread, spread, (n_rows, n_columns)).astype(float)
    block[rng.random(block.shape) < rng.choice([0, 0.5, 0.95, 1])] = -np.inf
    top_n, before = min(top_n, n_columns), block.copy()
    items, scores = _select(block, top_n)
    for row, *reached in zip(block, items.tolist(), scores.tolist(), strict=True):
        best, of = by_hand(row, np.isinf(row), top_n)
        missing = top_n - len(best)
        assert reached == [best + [-1] * missing, of + [-np.inf] * missing]
    assert np.array_equal(block, before)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("block", [1, 60, None])
@pytest.mark.parametrize("n_workers", [1, 3])
def test_batch_names_who_is_predicted_nonsense(value, block, n_workers):
    U, V = np.ones((9, 2)), np.arange(1.0, 41).reshape(20, 2)
    U[[5, 7], 0] = value
    R = sp.csr_array((np.ones(9), (range(9), range(9))), shape=(9, 20))
    with pytest.raises(ValueError, match="the factors predict NaN or ∞ for user 5"):
        batch((U, V, R), 3, block, n_workers)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nonsense_of_what_is_seen_is_nonsense_to_both(value):
    U, V = np.ones((2, 1)), np.ones((3, 1))
    V[1] = value
    R = sp.csr_array(([1.0, 2.0], ([0, 1], [1, 1])), shape=(2, 3))
    for recommend in (lambda: alsnb.recommend_items(0, U, V, R), lambda: batch((U, V, R))):
        with pytest.raises(ValueError, match="the factors predict NaN or ∞ for user 0"):
            recommend()


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"top_n": 0}, ValueError, "top_n must be at least 1, got 0"),
        ({"top_n": True}, TypeError, "top_n must be a whole number, got True"),
        ({"n_workers": 0}, ValueError, "n_workers must be at least 1, got 0"),
        ({"n_workers": 2.0}, TypeError, "n_workers must be a whole number, got 2.0"),
        ({"U": V, "V": U}, ValueError, "did you transpose R?"),
        ({"U": U[:2]}, ValueError, "were they fitted to another R?"),
        ({"V": V[:, :1]}, ValueError, "U and V need as many columns"),
        ({"V": V[:, 0]}, ValueError, "U and V need as many columns"),
        ({"U": U.astype(str)}, TypeError, "U and V must hold real numbers"),
        ({"R": R.toarray()}, TypeError, "R must be a two-dimensional SciPy sparse matrix"),
    ],
)
def test_batch_refuses(bad, error, message):
    with pytest.raises(error, match=message):
        alsnb.recommend_batch(**{"U": U, "V": V, "R": R} | bad)


def test_batch_never_holds_all_scores_and_changes_nothing():
    n, m = 4000, 3000
    rng = np.random.default_rng(0)
    U, V = rng.normal(size=(n, 4)), rng.normal(size=(m, 4))
    R = sp.random_array((n, m), density=0.002, rng=rng, format="csr")
    arrays = U, V, R.data, R.indices, R.indptr
    before = [array.tobytes() for array in arrays]
    tracemalloc.start()
    try:
        items, _ = alsnb.recommend_batch(U, V, R, n_workers=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert items.nbytes < peak < 8 * n * m / 3
    assert [array.tobytes() for array in arrays] == before
    for user in (0, 1234, n - 1):
        assert items[user].tolist() == alsnb.recommend_items(user, U, V, R)[0].tolist()


# similar_items


def make_model(
    seed, n_items=12, f=3, *, lambda_reg=0.3, nu=0.0, bias_reg=None, w=0.0, dtype=float, V=None
):
    """A model of random factors, which no fit has seen: what holds for any, holds for it."""
    rng = np.random.default_rng(seed)
    given = rng.normal(size=(n_items, f)) if V is None else np.asarray(V, dtype)
    (n_items, f), mean = given.shape, rng.uniform(2, 4)
    U, partners = rng.normal(size=(5, f)), None
    if w:
        partners = tuple(rng.normal(size=(n, f)).astype(dtype) for n in (n_items, 5))
    if bias_reg is not None:
        one, biases = np.ones((n_items, 1)), rng.normal(size=(n_items, 1))
        given = np.hstack([given, one, biases, one])
        U = np.hstack([U, rng.normal(size=(5, 1)), np.ones((5, 1)), np.full((5, 1), mean)])
    errors = np.ones(1)
    settings = {"bias_reg": bias_reg, "implicit_weight": w, "partners": partners}
    arrays = U.astype(dtype), given.astype(dtype), errors, None, errors
    return alsnb.Factorization(*arrays, lambda_reg, nu, **settings)


VARIANTS = {
    "plain": {},
    "root": {"nu": 0.5, "lambda_reg": 0.05},
    "weighted": {"nu": 1.0, "lambda_reg": (0.1, 7.0)},
    "bias": {"bias_reg": 0.3},
    "bias, its own λ": {"bias_reg": 2.0, "nu": 1.0},
    "bias, four λs": {"bias_reg": (0.05, 3.0), "lambda_reg": (0.2, 5.0), "nu": 0.5},
    "partners": {"w": 0.7, "nu": 1.0},
    "partners, bias": {"w": 2.0, "bias_reg": (1.5, 0.1), "lambda_reg": (0.4, 0.9)},
}
variants = st.sampled_from(sorted(VARIANTS))


def n_factors_of(model):
    return model.V.shape[1] - (0 if model.bias_reg is None else 3)


@given(st.integers(0, 10**6), variants, st.sampled_from(["cosine", "dot"]), st.integers(1, 15))
def test_similar_items_are_those_of_dense_loops(seed, variant, measure, top_n):
    model = make_model(seed, **VARIANTS[variant])
    silent = [4, 9]
    model.V[silent, : n_factors_of(model)] = 0
    F = model.V[:, : n_factors_of(model)]
    expected = {}
    for j in range(12):
        length = 1
        if measure == "cosine":
            length = np.sqrt(sum(F[0] ** 2) * sum(F[j] ** 2))
        if j != 0 and length > 0:
            expected[j] = sum(F[0] * F[j]) / length
    items, similarities = alsnb.similar_items(0, model, top_n, measure=measure)
    among = np.random.default_rng(seed).permutation(12)[:7]
    some, _ = alsnb.similar_items(0, model, top_n, measure=measure, among=among)
    left = [j for j in expected if j in among]
    assert some.tolist() == sorted(left, key=lambda j: -expected[j])[:top_n]
    best = sorted(expected.values(), reverse=True)[:top_n]
    assert len(items) == len(best) == len(set(items.tolist()))
    np.testing.assert_allclose(similarities, best, rtol=0, atol=1e-12)
    np.testing.assert_allclose([expected[j] for j in items.tolist()], best, rtol=0, atol=1e-12)


def test_cosine_asks_for_directions_and_dot_for_lengths_too():
    alike, long = [1.1, 0.1], [30, 40]
    model = make_model(0, V=[[1, 0], alike, long, [0, 0], [-1, 0]])
    items, cosines = alsnb.similar_items(0, model)
    assert items.tolist() == [1, 2, 4]
    np.testing.assert_allclose(cosines, [1.1 / np.hypot(*alike), 0.6, -1], rtol=1e-12)
    items, dots = alsnb.similar_items(0, model, measure="dot")
    assert (items.tolist(), dots.tolist()) == ([2, 1, 3, 4], [30, 1.1, 0, -1])
    for j in (1, 4):  # much-rated items come first whatever the item, or last
        assert 2 in alsnb.similar_items(j, model, 4, measure="dot")[0][[0, -1]].tolist()


def test_similar_items_ties_by_position():
    V = [[2, 0], [0, 3], [5, 0], [0, 1], [4, 0], [0, 0]]
    model = make_model(0, V=V)
    items, cosines = alsnb.similar_items(2, model)
    assert (items.tolist(), cosines.tolist()) == ([0, 4, 1, 3], [1, 1, 0, 0])
    items, dots = alsnb.similar_items(2, model, 5, measure="dot")
    assert (items.tolist(), dots.tolist()) == ([4, 0, 1, 3, 5], [20, 10, 0, 0, 0])
    assert alsnb.similar_items(2, model, 3)[0].tolist() == [0, 4, 1]


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"item": 12}, IndexError, "item 12 is out of range; the model has items 0 to 11"),
        ({"item": -1}, IndexError, "item -1 is out of range"),
        ({"item": 10**30}, IndexError, "item 1000000\\d* is out of range"),
        ({"item": 1.0}, TypeError, "item must be a whole number, got 1.0"),
        ({"item": True}, TypeError, "item must be a whole number, got True"),
        ({"item": 3}, ValueError, "item 3 has no ratings, so its factors point nowhere"),
        ({"model": U}, TypeError, "model must be a Factorization, as a fit returns it"),
        ({"top_n": 0}, ValueError, "top_n must be at least 1"),
        ({"measure": "euclid"}, ValueError, "measure must be 'cosine' or 'dot', got 'euclid'"),
        ({"measure": None}, ValueError, "measure must be 'cosine' or 'dot', got None"),
    ],
)
def test_similar_items_refuses(bad, error, message):
    model = make_model(0)
    model.V[3] = 0
    with pytest.raises(error, match=message):
        alsnb.similar_items(**{"item": 0, "model": model} | bad)
    assert len(alsnb.similar_items(3, model, measure="dot")[0]) == 10


@pytest.mark.parametrize("measure", ["cosine", "dot"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_similar_items_of_nonsense_are_an_error(value, measure):
    model = make_model(0)
    model.V[3, 0] = value
    with pytest.raises(ValueError, match="NaN or ∞"):
        alsnb.similar_items(0, model, measure=measure)
