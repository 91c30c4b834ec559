"""Errors and objective against dense arithmetic, lists against loops."""

import statistics
import threading
import tracemalloc
from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from helpers import heavy_tailed, untouched
from hypothesis import given, settings
from hypothesis import strategies as st

import alsnb
from alsnb import metrics


def random_problem(seed, n, m, f):
    """Mask, values (zeros among them), the sparse matrix of both, and factors."""
    rng = np.random.default_rng(seed)
    mask = rng.random((n, m)) < 0.5
    mask[rng.integers(n), rng.integers(m)] = True
    values = rng.integers(0, 6, (n, m)).astype(float)
    R = sp.coo_array((values[mask], np.nonzero(mask)), shape=mask.shape).tocsr()
    return mask, values, R, rng.normal(size=(n, f)), rng.normal(size=(m, f))


def dense_objective(mask, values, U, V, lambda_reg, nu):
    total = 0.0
    for i, j in zip(*np.nonzero(mask), strict=True):
        total += (values[i, j] - sum(U[i] * V[j])) ** 2
    for X, counts in ((U, mask.sum(axis=1)), (V, mask.sum(axis=0))):
        for x, n in zip(X, counts, strict=True):
            total += lambda_reg * max(n, 1) ** nu * sum(x**2)
    return total


sizes = st.integers(1, 7)
problems = st.builds(random_problem, st.integers(0, 10**6), sizes, sizes, st.integers(1, 4))
scales = st.tuples(st.floats(-3, 2), st.floats(2.01, 7)) | st.just((-np.inf, 4)) | st.none()


@given(problems, st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 10), scales)
def test_metrics_equal_dense_ones(problem, nu, lambda_reg, clip):
    mask, values, R, U, V = problem
    plain = (values - U @ V.T)[mask]
    errors = plain if clip is None else (values - np.clip(U @ V.T, *clip))[mask]
    close = {"rtol": 1e-9, "atol": 1e-9}
    np.testing.assert_allclose(alsnb.calculate_residuals(R, U, V, clip=clip), errors, **close)
    rmse, mae = (f(R, U, V, clip=clip) for f in (alsnb.calculate_rmse, alsnb.calculate_mae))
    np.testing.assert_allclose(
        [rmse, mae], [(errors**2).mean() ** 0.5, abs(errors).mean()], **close
    )
    objective = alsnb.calculate_objective(R, U, V, lambda_reg, nu)
    expected = dense_objective(mask, values, U, V, lambda_reg, nu)
    assert objective == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("chunk", [1, 7, 50])
def test_gathering_in_chunks_changes_nothing(monkeypatch, chunk):
    _, _, R, U, V = random_problem(1, 9, 11, 3)
    whole = alsnb.calculate_residuals(R, U, V)
    monkeypatch.setattr(metrics, "_CHUNK", chunk)
    np.testing.assert_array_equal(alsnb.calculate_residuals(R, U, V), whole)


def test_memory_does_not_grow_with_factors_or_shape(monkeypatch):
    # Dense, R would take 72 MB; the factors of all ratings, gathered at once, 2 × 26 MB.
    R, U, V = alsnb.make_low_rank_ratings(3000, 3000, 64, density=50_000 / 3000**2, rng=0)
    monkeypatch.setattr(metrics, "_CHUNK", 2**14)
    tracemalloc.start()
    alsnb.calculate_residuals(R, U, V)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e6


def test_float32_stays_and_is_close():
    _, _, R, U, V = random_problem(4, 30, 20, 5)
    single = R.astype(np.float32), U.astype(np.float32), V.astype(np.float32)
    assert alsnb.calculate_residuals(*single).dtype == np.float32
    for metric in (alsnb.calculate_rmse, alsnb.calculate_mae):
        assert metric(*single) == pytest.approx(metric(R, U, V), rel=1e-5)


# Lists, against loops that follow the definitions


SHARES = ["precision", "recall", "ndcg", "map", "reciprocal_rank", "hit_rate", "popularity"]


def random_lists(seed, n=5, m=7):
    """Scores that all differ, what was trained on and what is tested; some users have neither."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(3, (n, m), p=rng.dirichlet([1, 1, 1]))
    kinds[0, :2] = 1, 2
    parts = [sp.csr_array((kinds == kind).astype(float)) for kind in (1, 2)]
    parts[0].data[rng.random(parts[0].nnz) < 0.3] = 0  # a rating of zero is one
    scores = rng.permutation(n * m).reshape(n, m) - 9.0
    return scores, kinds == 1, kinds == 2, *parts


def listed_by_hand(scores, seen, candidates, k):
    """Each user's list, best first."""
    left = [[j for j in candidates if not row[j]] for row in seen]
    return [sorted(js, key=lambda j: -own[j])[:k] for js, own in zip(left, scores, strict=True)]


def dcg(gains, k):
    return sum(gain / np.log2(1 + rank) for rank, gain in enumerate(gains[:k], start=1))


def score_by_hand(listed, seen, tested, user, k):
    """The metrics of one list; the ideal one by trying all orders of all that may be listed."""
    hits = [bool(tested[user, j]) for j in listed]
    n_test, n_hits = tested[user].sum(), sum(hits)
    ranks = [rank for rank, hit in enumerate(hits, start=1) if hit]
    gains = tested[user, ~seen[user]].tolist()
    return {
        "precision": n_hits / k,
        "recall": n_hits / n_test,
        "ndcg": dcg(hits, k) / max(dcg(order, k) for order in permutations(gains)),
        "map": sum(sum(hits[:rank]) / rank for rank in ranks) / min(k, n_test),
        "reciprocal_rank": 1 / ranks[0] if ranks else 0,
        "hit_rate": float(n_hits > 0),
        "popularity": np.mean([seen[:, j].mean() for j in listed]) if listed else np.nan,
    }


@settings(max_examples=25)
@given(
    st.integers(0, 10**6),
    st.integers(1, 9),
    st.none() | st.floats(0.2, 1),
    st.sampled_from([1, 14, 2**20]),
)
def test_lists_are_scored_as_loops_score_them(seed, k, share, block):
    scores, seen, tested, R_train, R_test = random_lists(seed)
    n, m = scores.shape
    rng, candidates = np.random.default_rng(seed), None
    if share is not None:
        candidates = rng.permutation(m)[: round(share * m)]
    every = range(m) if candidates is None else candidates.tolist()
    lists = listed_by_hand(scores, seen, every, k)
    users = np.flatnonzero(tested.any(axis=1)).tolist()
    rows = [score_by_hand(lists[user], seen, tested, user, k) for user in users]
    with pytest.MonkeyPatch.context() as patch, untouched(scores, R_train, R_test, candidates):
        patch.setattr(metrics, "_BLOCK", block)
        options = {"k": k, "candidates": candidates}
        each = alsnb.evaluate_lists(scores, R_train, R_test, per_user=True, **options)
        whole = alsnb.evaluate_lists(scores, R_train, R_test, **options)
    assert (each.index.name, each.index.tolist(), list(each)) == ("user", users, SHARES)
    expected = pd.DataFrame(rows, index=users, dtype=float)
    np.testing.assert_allclose(each, expected, rtol=1e-12)

    assert list(whole) == ["value", "standard_error", "n_users", "n_left_out"]
    assert (whole.index.name, list(whole.index)) == ("metric", [*SHARES, "coverage", "overlap"])
    for name in SHARES:
        values = [row[name] for row in rows if row[name] == row[name]]
        value, error, n_users, n_left_out = whole.loc[name]
        assert (n_users, n_left_out) == (len(values), n - len(users))
        close = {"rel": 1e-12, "abs": 1e-12, "nan_ok": True}
        assert value == pytest.approx(statistics.fmean(values) if values else np.nan, **close)
        spread = statistics.stdev(values) if len(values) > 1 else np.nan
        assert error == pytest.approx(spread / np.sqrt(max(len(values), 1)), **close)
    own = [set(lists[user]) for user in users]
    coverage = len(set().union(*own)) / len(every)
    shared = [len(a & b) / k for a, b in combinations(own, 2)]
    assert whole.loc["coverage", "value"] == pytest.approx(coverage)
    overlap = np.mean(shared) if shared else np.nan
    assert whole.loc["overlap", "value"] == pytest.approx(overlap, nan_ok=True)
    assert whole.loc[["coverage", "overlap"], "standard_error"].isna().all()
    assert (whole.loc[["coverage", "overlap"], "n_users"] == len(users)).all()


# What scores may be


def test_what_scores_minus_infinity_is_never_listed():
    _, _, _, R_train, R_test = random_lists(3)
    barred = np.random.default_rng(0).random(R_train.shape) < 0.5
    scores = np.where(barred, -np.inf, 1.0)
    each = alsnb.evaluate_lists(scores, R_train, R_test, 7, per_user=True)
    hits = ((R_test.toarray() > 0) & ~barred).sum(axis=1)[each.index]
    assert each["precision"].tolist() == (hits / 7).tolist()
    nothing = alsnb.evaluate_lists(np.full(7, -np.inf), R_train, R_test)
    assert nothing["value"].drop("popularity").eq(0).all()
    assert np.isnan(nothing.loc["popularity", "value"])
    assert nothing.loc["popularity", "n_users"] == 0


# Ties


@pytest.mark.parametrize("block", [300, 2**20])
def test_a_constant_score_is_chance(monkeypatch, block):
    """And so is any user's list, of its own: the same items are not the luckiest everywhere."""
    monkeypatch.setattr(metrics, "_BLOCK", block)
    R_train, R_test = alsnb.train_test_split(heavy_tailed(), 0.3, rng=0)
    n_train, n_test = (np.diff(R.indptr) for R in (R_train, R_test))
    chance = (n_test / (300 - n_train))[n_test > 0].mean()
    runs = [alsnb.evaluate_lists(np.full(300, 3), R_train, R_test, rng=seed) for seed in range(8)]
    precision = np.array([run.loc["precision", "value"] for run in runs])
    assert len({*precision}) > 1
    error = runs[0].loc["precision", "standard_error"] / np.sqrt(8)
    assert precision.mean() == pytest.approx(chance, abs=4 * error)
    assert min(run.loc["coverage", "value"] for run in runs) == 1
    assert max(run.loc["overlap", "value"] for run in runs) < 1.15 * 10 / 300
    assert runs[0].equals(alsnb.evaluate_lists(np.zeros(300), R_train, R_test))
    drawn = np.random.default_rng(5)
    again = [alsnb.evaluate_lists(np.zeros(300), R_train, R_test, rng=drawn) for _ in range(2)]
    assert not again[0].equals(again[1])


def test_only_equal_scores_change_places():
    R_train = sp.csr_array(([1.0], ([0], [0])), shape=(400, 6))
    R_test = sp.csr_array((np.ones(400), (np.arange(400), np.full(400, 2))), shape=(400, 6))
    scores = np.array([9, 3, 2, 2, 2, 1])  # item 2 is third, fourth or fifth; for user 0 one better
    ranks = 1 / alsnb.evaluate_lists(scores, R_train, R_test, 6, per_user=True)["reciprocal_rank"]
    counts = ranks[1:].round(9).value_counts()
    assert sorted(counts.index) == [3, 4, 5]
    np.testing.assert_allclose(counts, 399 / 3, atol=4 * np.sqrt(399 * 2 / 9))
    assert round(ranks[0]) in (2, 3, 4)


# Blocks


def test_scores_are_made_block_by_block(monkeypatch):
    monkeypatch.setattr(metrics, "_BLOCK", 2**15)
    rng, n, m = np.random.default_rng(0), 3000, 2000
    U, V = (rng.normal(size=(rows, 2)).astype(np.float32) for rows in (n, m))
    users = np.arange(0, n, 2)  # the others have no test items
    R_train = sp.csr_array((np.ones(n), (np.arange(n), rng.integers(m - 1, size=n))), shape=(n, m))
    R_test = sp.csr_array((np.ones(len(users)), (users, np.full(len(users), m - 1))), shape=(n, m))
    sizes = []

    def watched(users):
        sizes.append(len(users))
        return U[users] @ V.T

    expected = alsnb.evaluate_lists(watched, R_train, R_test)
    assert sum(sizes) == len(users)
    assert max(sizes) * m <= 2**15
    tracemalloc.start()
    try:
        found = alsnb.evaluate_lists((U, V), R_train, R_test)
        assert tracemalloc.get_traced_memory()[1] < 4 * n * m / 8
    finally:
        tracemalloc.stop()
    assert found.equals(expected)
    assert (found["n_left_out"] == 1500).all()


def test_functions_are_called_in_order_by_one_thread(monkeypatch):
    """So that one that draws at random, as for sampled metrics, draws the same again."""
    monkeypatch.setattr(metrics, "_BLOCK", 300)
    R_train, R_test = alsnb.train_test_split(heavy_tailed(), 0.3, rng=0)
    threads, calls, rng = set(), [], np.random.default_rng(0)

    def drawn(users):
        threads.add(threading.get_ident())
        calls.extend(users.tolist())
        return rng.random((len(users), 2000))[:, :300]

    alsnb.evaluate_lists(drawn, R_train, R_test)
    assert len(threads) == 1
    assert calls == np.flatnonzero(np.diff(R_test.indptr)).tolist()
