"""Recommendations against sorting by hand."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import alsnb

# User 0 has rated items 1 (with zero stars) and 4; user 1 everything; user 2 nothing.
PLACES = [0, 0, 1, 1, 1, 1, 1, 1], [1, 4, 0, 1, 2, 3, 4, 5]
R = sp.csr_array(([0.0, 5.0, 1.0, 2.0, 3.0, 4.0, 5.0, 1.0], PLACES), shape=(3, 6))
U = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
V = np.array([[2.0, 1.0], [9.0, 1.0], [3.0, 1.0], [2.0, 1.0], [8.0, 1.0], [-1.0, 1.0]])


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


@given(seed=st.integers(0, 10**6), n_items=st.integers(2, 30), top_n=st.integers(1, 40))
def test_equals_sorting_by_hand(seed, n_items, top_n):
    rng = np.random.default_rng(seed)
    U, V = rng.integers(-2, 3, (4, 2)).astype(float), rng.integers(-2, 3, (n_items, 2))
    mask = rng.random((4, n_items)) < 0.3
    mask[1, 0] = True
    R = sp.coo_array((rng.integers(0, 6, mask.sum()), np.nonzero(mask)), shape=mask.shape)
    for user in range(4):
        left = [(-float(U[user] @ V[j]), j) for j in range(n_items) if not mask[user, j]]
        items, scores = alsnb.recommend_items(user, U, V, R, top_n)
        assert list(zip((-scores).tolist(), items.tolist(), strict=True)) == sorted(left)[:top_n]


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
