"""Questions against a greedy search by dense determinants."""

import numpy as np
import pytest
from helpers import SMALL, VARIANTS, each_model, fit, fitted, rounding_of, untouched
from hypothesis import given
from hypothesis import strategies as st

import alsnb
from alsnb import Factorization, most_informative_items


def model_of(V, **settings):
    V = np.asarray(V, float)
    return Factorization(np.ones((1, V.shape[1])), V, alsnb.ALS(V.shape[1], **settings))


def log_determinant(model, asked, n):
    """Of the precision of what a user is made of once items are rated; n counts all ratings."""
    s, f = model.settings, model.n_factors
    first = [
        λ[0] if isinstance(λ, tuple) else λ for λ in (s.lambda_reg, s.bias_reg or s.lambda_reg)
    ]
    Y, λs = model.item_factors[asked].astype(float), np.full(f, first[0])
    partner = model.implicit_factors[0] if s.implicit_features else np.zeros((1, f))
    if s.bias:
        Y, λs = np.c_[Y, np.ones(len(Y))], np.r_[λs, first[1]]
        partner = np.c_[partner, np.zeros(len(partner))]
    precision = Y.T @ Y + s.implicit_features * partner.T.astype(float) @ partner
    return np.linalg.slogdet(precision + np.diag(λs) * max(n, 1) ** s.reg_exponent)[1]


def assert_greedy(model, chosen, n_items, known, candidates, rounding=1e-10):
    """Of those left, each has the largest determinant, to rounding, given those before it."""
    left, asked = sorted({*candidates} - {*known}), [*known]
    assert len(chosen) == min(n_items, len(left))
    n = len(known) + len(chosen)
    for item in chosen.tolist():
        gains = [log_determinant(model, [*asked, j], n) for j in left]
        assert gains[left.index(item)] == pytest.approx(max(gains), rel=rounding, abs=rounding)
        left.remove(item)  # which fails for an item that may not be asked about, or has been
        asked.append(item)


@each_model
@pytest.mark.parametrize("known", [[], [5], [0, 6, 1, 29]], ids=len)
def test_questions_of_every_model_are_a_greedy_search(variant, dtype, known):
    model, rounding = fitted(variant, dtype), rounding_of(dtype, 1e-10, 1e-5)
    with untouched(model):
        chosen = most_informative_items(model, 6, items=known)
    assert_greedy(model, chosen, 6, known, range(30), rounding)


@given(
    seed=st.integers(0, 10**6),
    variant=st.sampled_from(list(VARIANTS)),
    n_items=st.integers(1, 12),
    n_known=st.integers(0, 5),
    n_candidates=st.one_of(st.none(), st.integers(0, 10)),
)
def test_some_items_only(seed, variant, n_items, n_known, n_candidates):
    model, rng = fitted(variant), np.random.default_rng(seed)
    known, candidates = rng.permutation(30)[:n_known], None
    if n_candidates is not None:
        candidates = rng.permutation(30)[:n_candidates]
    chosen = most_informative_items(model, n_items, items=known, candidates=candidates)
    assert_greedy(model, chosen, n_items, known, range(30) if candidates is None else candidates)
    backwards = None if candidates is None else candidates[::-1]  # they are sets
    again = most_informative_items(model, n_items, items=known[::-1].tolist(), candidates=backwards)
    assert again.tolist() == chosen.tolist()


def test_five_by_default_and_never_one_twice():
    model = fitted()
    assert len(most_informative_items(model)) == 5
    everything = most_informative_items(model, 10**9)
    assert sorted(everything.tolist()) == list(range(30))
    for options in ({"candidates": []}, {"items": range(30)}, {"candidates": [3], "items": 3}):
        assert most_informative_items(model, **options).tolist() == []


def test_equally_informative_items_go_by_position():
    model = model_of([[0, 1], [1, 0], [0, 1], [1, 0], [0, 0], [0, -1]], lambda_reg=1)
    # gains of 1 for all but item 4; then 1/2 for the direction that has been asked about
    assert most_informative_items(model, 6).tolist() == [0, 1, 2, 3, 5, 4]
    assert most_informative_items(model, 2, candidates=[5, 3, 2]).tolist() == [2, 3]


def test_penalty_counts_the_questions_and_what_is_known():
    """With p = 0.4 n: item 1 gains 4 / (4 + p), item 2 gains 1 / p, so p is above or under 4/3."""
    V = [[2, 0], [2, 0], [0, 1], [0, 0]]
    weighted = model_of(V, lambda_reg=0.4, reg_exponent=1)
    first = [most_informative_items(weighted, n, items=[0])[0] for n in (1, 2, 3, 9)]
    assert first == [2, 2, 1, 1]
    assert most_informative_items(model_of(V, lambda_reg=0.4), items=[0])[0] == 2


def test_neither_users_nor_biases_of_items_matter():
    model = fit(SMALL, "all", 4)
    V = model.V.copy()
    V[:, 5] += 9
    other = model.replace(U=model.U * 7, V=V)
    expected = most_informative_items(model, 6, items=[1, 2]).tolist()
    assert most_informative_items(other, 6, items=[1, 2]).tolist() == expected


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"n_items": 0}, ValueError, "n_items must be at least 1, got 0"),
        ({"n_items": 2.5}, TypeError, "n_items must be a whole number, got 2.5"),
        ({"items": [30]}, IndexError, r"items holds 30, but positions \(not ids\) are 0 to 29"),
        ({"items": [1, 1]}, ValueError, "items holds a position twice"),
        ({"candidates": [-1]}, IndexError, "candidates holds -1"),
        ({"candidates": np.ones(30, bool)}, TypeError, "candidates must be whole numbers"),
        ({"model": fitted().replace(V=fitted().V * np.nan)}, ValueError, "NaN or ∞"),
        ({"model": fitted().replace(V=fitted().V * 1e200)}, ValueError, "too large"),
        ({"model": model_of(np.ones((3, 2)), lambda_reg=1e-20), "items": [0]}, ValueError, "small"),
    ],
)
def test_bad_input(bad, error, message):
    with pytest.raises(error, match=message):
        most_informative_items(**{"model": fitted()} | bad)
