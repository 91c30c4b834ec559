"""What a posterior is asked: newcomers, lists, intervals, and what to ask a newcomer."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from helpers import COUNTS, SMALL, VARIANTS, close, fitted, rounding_of
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from test_bayes import (
    K,
    assert_moments,
    dense_posterior,
    draw_from_prior,
    planted,
    sampled,
    serial,
    strong_links,  # noqa: F401
    tiny,
)

import alsnb
from alsnb import Factorization, bayes, sample_factorization
from alsnb.bayes import most_informative_items

# A newcomer


def many_draws():
    """A posterior of one draw, so often that its newcomers show their distribution."""
    _, rows, given = tiny()
    draw = draw_from_prior(np.random.default_rng(8), rows, given, ["rated", "given"])
    prior, columns = draw.priors[0], (("likes", "art"), ("likes", "war"))
    prior = replace(prior, link=replace(prior.link, columns=columns))
    draws = 800 * [draw.with_prior("users", prior)]
    return bayes.Posterior(draws, pairs=pd.DataFrame(), trace=pd.DataFrame())


@pytest.mark.parametrize("likes", [None, "war|art"])
@pytest.mark.parametrize("items", [[], [4], [5, 0, 1, 2]], ids=len)
@pytest.mark.usefixtures("strong_links")
def test_newcomers_are_normal_around_their_ridge_solution(items, likes):
    posterior, ratings = many_draws(), [4, 1.5, 3, 2][: len(items)]
    features = None if likes is None else {"likes": likes}
    newcomer = posterior.fold_in((items, ratings), features=features, rng=0)
    draw = posterior.draws[0]
    link, mean = draw.priors[0].link, draw.priors[0].mean
    mean = mean + (0 if likes is None else np.full(2, 0.5**0.5) @ link.given)
    mean = mean + link.rated[items].sum(axis=0) / np.sqrt(max(len(items), 1))
    mean, covariance = dense_posterior(draw, "users", (items, np.array(ratings)), mean)
    X = np.array([one.U[0, :K] for one in newcomer.draws])
    assert_moments(X, mean, covariance)
    assert all(one.U.shape == (1, K + 2) for one in newcomer.draws)
    again = posterior.fold_in((items, ratings), features=features, rng=np.random.default_rng(0))
    assert again.draws[-1].U.tobytes() == newcomer.draws[-1].U.tobytes()


def test_many_newcomers_are_what_each_is_alone(monkeypatch):
    posterior, R = sampled(), planted()[0]
    monkeypatch.setattr(bayes, "_normal", lambda rng, shape, dtype: np.zeros(shape, dtype))
    rows = sp.vstack([R[[7]], 0 * R[[7]], R[[2]]]).tocsr()
    rows.eliminate_zeros()
    together = posterior.fold_in(rows)
    assert len(together.draws) == len(posterior.draws) and len(together.pairs) == 0
    for k in range(3):
        alone = posterior.fold_in(alsnb.rated_by(rows, k))
        for one, many in zip(alone.draws, together.draws, strict=True):
            close(many.U[k], one.U[0], 1e-9)


def test_ratings_make_sure():
    posterior, R = sampled(), planted()[0]
    items, ratings = alsnb.rated_by(R, int(np.argmax(np.diff(R.indptr))))
    newcomers = [posterior.fold_in((items[:n], ratings[:n]), rng=0) for n in (0, 5, 40)]
    none, few, many = (newcomer.predict(0)[1].mean() for newcomer in newcomers)
    assert none > 1.25 * few > 1.5 * many
    newcomer = posterior.fold_in((items, ratings), rng=0)
    assert len(newcomer.pairs) == 0 and newcomer.noise == posterior.noise
    unseen, _ = newcomer.recommend(0, R[[0]] * 0, 150)
    assert sorted(unseen) == sorted(set(range(150)) - set(R[[0]].indices))


# Lists and intervals


def slow_list(posterior, user, by, level, candidates, draw):
    """Score each item by itself, and sort."""
    scored = []
    for item in set(candidates or range(30)) - set(SMALL[[user]].indices.tolist()):
        x = [float(d.U[user] @ d.V[item]) for d in posterior.draws]
        lower = np.mean(x) - norm.ppf(level) * np.std(x)
        scored.append((-{"mean": np.mean(x), "lower": lower, "thompson": x[draw]}[by], item))
    return sorted(scored)[:5]


@pytest.mark.parametrize("candidates", [None, [3, 4, 29, 8]], ids=["all", "some"])
@pytest.mark.parametrize(
    ("by", "level"), [("mean", 0.9), ("lower", 0.9), ("lower", 0.6), ("thompson", 0.9)]
)
def test_lists_are_those_of_a_slow_loop(by, level, candidates, monkeypatch):
    monkeypatch.setattr(bayes, "_BLOCK", 100)  # three users at a time
    posterior, options = serial(), {"by": by, "level": level, "candidates": candidates}
    which = np.random.default_rng(1).integers(len(posterior.draws), size=40)
    items, scores = posterior.recommend(None, SMALL, 5, rng=1, **options)
    assert items.shape == scores.shape == (40, 5)
    for user in range(40):
        best = slow_list(posterior, user, by, level, candidates, which[user])
        best += [(np.inf, -1)] * (5 - len(best))
        assert items[user].tolist() == [item for _, item in best]
        np.testing.assert_allclose(-scores[user], [score for score, _ in best], rtol=1e-9)
    some, _ = posterior.recommend([9, 2], SMALL, 5, rng=1, **options)
    if by != "thompson":
        assert some.tolist() == items[[9, 2]].tolist()
    one, values = posterior.recommend(9, SMALL, 5, rng=1, **options)
    assert one.tolist() == [item for item in some[0].tolist() if item >= 0]
    assert len(values) == len(one)


def test_lists_of_ties_and_of_nothing_left():
    posterior = serial()
    equal = [replace(draw, V=np.tile(draw.V[[0]], (30, 1))) for draw in posterior.draws]
    level = replace(posterior, draws=equal)
    assert level.recommend(5, SMALL, 4)[0].tolist() == [0, 1, 2, 3]  # who has rated nothing
    full = sp.csr_array(np.ones((40, 30)))
    items, scores = posterior.recommend([0, 1], full, 2)
    assert items.tolist() == [[-1, -1]] * 2 and np.isneginf(scores).all()
    assert [part.tolist() for part in posterior.recommend(0, full)] == [[], []]
    assert posterior.recommend([], SMALL, 3)[0].shape == (0, 3)
    assert posterior.recommend(0, SMALL, 10**9)[0].shape == (30 - len(SMALL[[0]].indices),)
    first = {posterior.recommend(5, SMALL, 1, by="thompson", rng=k)[0][0] for k in range(20)}
    assert len(first) > 1


def test_intervals_are_quantiles_of_a_normal():
    posterior = serial()
    mean, std = posterior.predict([0, 1], [2, 3], clip=(0, 5))
    noise = np.sqrt(np.mean([draw.noise**2 for draw in posterior.draws]))
    for level in (0.1, 0.9, 0.999):
        low, high = posterior.interval([0, 1], [2, 3], level, clip=(0, 5))
        for bound, share in ((low, (1 - level) / 2), (high, (1 + level) / 2)):
            close(norm.cdf(bound, mean, np.sqrt(std**2 + noise**2)), np.full(2, share))
    assert posterior.predict(0, 3)[0].shape == () and posterior.predict([0, 1])[1].shape == (2, 30)


# Questions, against a greedy search by dense determinants


def model_of(V, **settings):
    V = np.asarray(V, float)
    return Factorization(np.ones((1, V.shape[1])), V, alsnb.ALS(V.shape[1], **settings))


def log_determinant(model, asked, n):
    """Of the precision of a user's factors once items are rated, n in all; averaged over draws."""
    if isinstance(model, bayes.Posterior):
        values = []
        for draw in model.draws:
            P, f = draw.priors[0].root @ draw.priors[0].root.T, draw.V.shape[1] - 3
            Y = np.c_[draw.V[asked, :f], np.ones(len(asked))]
            values.append(np.linalg.slogdet(P + Y.T @ Y / draw.noise**2)[1])
        return np.mean(values)
    s, f = model.settings, model.n_factors
    λ, bias = (np.broadcast_to(λ, 2)[0] for λ in (s.lambda_reg, s.bias_reg or s.lambda_reg))
    Y, λs = model.item_factors[asked].astype(float), np.full(f, λ)
    if s.bias:
        Y, λs = np.c_[Y, np.ones(len(Y))], np.r_[λs, bias]
    return np.linalg.slogdet(Y.T @ Y + np.diag(λs) * max(n, 1) ** s.reg_exponent)[1]


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


@pytest.mark.parametrize("known", [[], [0, 6, 1, 29]], ids=len)
def test_questions_of_a_posterior_average_over_draws(known):
    draws = [replace(draw, noise=draw.noise / 4**k) for k, draw in enumerate(serial().draws)]
    uneven = replace(serial(), draws=draws)  # or the mean of gains would do as well
    chosen = most_informative_items(uneven, 6, items=known)
    assert_greedy(uneven, chosen, 6, known, range(30))


@given(
    seed=st.integers(0, 10**6),
    variant=st.sampled_from([*(one for one in VARIANTS if one not in COUNTS), "posterior"]),
    n_items=st.integers(1, 12),
    n_known=st.integers(0, 5),
    n_candidates=st.one_of(st.none(), st.integers(0, 10)),
    dtype=st.sampled_from(["float64", "float32"]),
)
def test_questions_are_a_greedy_search(seed, variant, n_items, n_known, n_candidates, dtype):
    model = serial() if variant == "posterior" else fitted(variant, dtype)
    rounding = 1e-10 if variant == "posterior" else rounding_of(dtype, 1e-10, 1e-5)
    rng, candidates = np.random.default_rng(seed), None
    known = rng.permutation(30)[:n_known]
    if n_candidates is not None:
        candidates = rng.permutation(30)[:n_candidates]
    chosen = most_informative_items(model, n_items, items=known, candidates=candidates)
    allowed = range(30) if candidates is None else candidates
    assert_greedy(model, chosen, n_items, known, allowed, rounding)
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


# What is refused


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"R": SMALL * 1e200}, alsnb.DivergenceError, "check the scale of features and ratings"),
        ({"item_features": np.full((30, 1), 1e200)}, ValueError, "the features are too large"),
    ],
)
def test_what_overflows_is_one_clear_error(bad, error, message):
    with pytest.raises(error, match=message):
        sample_factorization(**{"R": SMALL, "n_factors": 2, "n_samples": 2, "verbose": False} | bad)


def test_a_sampler_without_features_takes_none():
    with pytest.raises(ValueError, match="the sampler was given no features of users; leave them"):
        sampled().fold_in(([], []), features={"age": 3})


@pytest.mark.parametrize(
    ("V", "known", "message"),
    [(np.nan, [], "NaN or ∞"), (1e200, [], "too large"), (1.0, [0], "λ is too small")],
)
def test_questions_that_have_no_answer(V, known, message):
    model = model_of(np.full((3, 2), V), lambda_reg=1e-20)
    with pytest.raises(ValueError, match=message):
        most_informative_items(model, items=known)
