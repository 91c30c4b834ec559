"""The sampler against dense formulas, against its own prior, and against what was planted."""

import subprocess
import threading
from contextlib import contextmanager
from functools import cache

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from helpers import SMALL, close, untouched

import alsnb
from alsnb import bayes, parallel, sample_factorization
from alsnb.bayes import Draw, Prior, interval
from alsnb.features import Link
from alsnb.parallel import open_executor

Z = 4.5  # standard errors of the Monte Carlo; what is right exceeds it once in 150,000 times
MEAN = 3.0
K = 3  # two factors and a bias
SIDES = (("users", "items"), ("items", "users"))


def assert_moments(draws, mean, covariance):
    """Draws, one a row, of a normal distribution."""
    n, variances = len(draws), np.diag(covariance)
    assert np.all(abs(draws.mean(axis=0) - mean) < Z * np.sqrt(variances / n))
    # Var of an entry of the sample covariance: (Σ_ii Σ_jj + Σ_ij²) / n
    errors = np.sqrt((np.outer(variances, variances) + covariance**2) / n)
    assert np.all(abs(np.cov(draws.T) - covariance) < Z * errors)


def assert_gamma(values, shape):
    """Independent draws of Γ(shape, 1): mean and variance are its shape."""
    n = len(values)
    assert abs(np.mean(values) - shape) < Z * np.sqrt(shape / n)
    assert abs(np.var(values) - shape) < Z * np.sqrt((2 * shape**2 + 6 * shape) / n)


# A tiny problem, whose prior is drawn here by other means: five users and six items, one of each
# without ratings, and given features of all


def tiny(seed=0):
    rng = np.random.default_rng(seed)
    mask = rng.random((5, 6)) < 0.7
    mask[2], mask[:, 3] = False, False
    R = sp.csr_array(np.where(mask, rng.normal(MEAN, 1, mask.shape), 0))
    given = {"users": rng.normal(size=(5, 2)), "items": rng.normal(size=(6, 8))}
    return R, {"users": R, "items": R.T.tocsr()}, given


def dense_features(rows, given):
    A = (rows.toarray() != 0).astype(float)
    return {"rated": A / np.sqrt(np.maximum(A.sum(axis=1, keepdims=True), 1)), "given": given}


def draw_from_prior(rng, rows, given, parts, k=K):
    """A Draw from the prior: P ~ W(I, k), mean ~ N(0, (β₀P)⁻¹), β ~ Γ, B ~ N(0, (βP)⁻¹), …"""
    priors, Xs = [], []
    for side, _ in SIDES:
        W = rng.normal(size=(k, k))
        P = W @ W.T
        left = np.linalg.inv(W).T  # rows of normal numbers times leftᵀ have the covariance P⁻¹
        mean = left @ rng.normal(size=k) / np.sqrt(bayes.MEAN_WEIGHT)
        X, Bs, strengths = mean + rng.normal(size=(rows[side].shape[0], k)) @ left.T, {}, {}
        for part in parts:
            F = dense_features(rows[side], given[side])[part]
            strengths[part] = rng.gamma(bayes.STRENGTH[0], 1 / bayes.STRENGTH[1])
            Bs[part] = rng.normal(size=(F.shape[1], k)) @ left.T / np.sqrt(strengths[part])
            X = X + F @ Bs[part]
        features = sp.csr_array(given[side]) if "given" in parts else None
        link = Link(features=features, **Bs) if parts else None
        priors.append(Prior(mean, np.linalg.cholesky(P), link, strengths))
        Xs.append(X)
    (X, Y), (one, other) = Xs, (np.ones((len(X), 1)) for X in Xs)
    U, V = np.hstack([X, one, MEAN * one]), np.hstack([Y[:, :-1], other, Y[:, -1:], other])
    return Draw(U, V, rng.gamma(bayes.PRECISION[0], 1 / bayes.PRECISION[1]) ** -0.5, tuple(priors))


def designs_of(draw, rows):
    return {
        side: bayes._designs(draw.prior(side).link, rows[side], rows[o], 1) for side, o in SIDES
    }


def linked_of(prior, F):
    """F B of each part."""
    return {part: F[part] @ getattr(prior.link, part) for part in prior.strengths}


@pytest.fixture
def strong_links(monkeypatch):
    """β of about 1, so that links matter."""
    monkeypatch.setattr(bayes, "STRENGTH", (2.0, 2.0))


# Each conditional distribution against its formula


def dense_posterior(draw, side, row, prior_mean):
    """Mean and covariance of a row: Λ = P + αYᵀY, m + Λ⁻¹αYᵀ(r − μ − b − Ym)."""
    columns, ratings = row
    X, f = (draw.V, K - 1) if side == "users" else (draw.U, K - 1)
    bias = X[:, f + 1] if side == "users" else X[:, f]
    Y, root = np.c_[X[columns, :f], np.ones(len(columns))], draw.prior(side).root
    covariance = np.linalg.inv(root @ root.T + Y.T @ Y / draw.noise**2)
    left = ratings - MEAN - bias[columns] - Y @ prior_mean
    return prior_mean + covariance @ Y.T @ left / draw.noise**2, covariance


@pytest.mark.parametrize("side", ["users", "items"])
@pytest.mark.usefixtures("strong_links")
def test_rows_are_normal_around_the_ridge_solution(side):
    _, rows, given = tiny()
    rng, n = np.random.default_rng(1), 4000
    draw = draw_from_prior(rng, rows, given, ["rated", "given"])
    A, F = rows[side], dense_features(rows[side], given[side])
    prior = draw.prior(side)
    many, features = sp.vstack(n * [A]).tocsr(), sp.csr_array(np.tile(given[side], (n, 1)))
    means = prior.means(many, features)
    equation = draw.equation(side, many, means, rng.normal(size=means.shape))
    with open_executor("serial") as solve:
        X = draw.with_rows(side, draw.assemble(side, solve(equation)[0])).solved(side)
    expected = prior.mean + sum(linked_of(prior, F).values())
    for i in range(A.shape[0]):
        row = alsnb.rated_by(A, i)
        assert_moments(X[i :: A.shape[0]], *dense_posterior(draw, side, row, expected[i]))


@pytest.mark.parametrize("parts", [[], ["rated", "given"]], ids=len)
@pytest.mark.usefixtures("strong_links")
def test_mean_and_precision_are_normal_and_wishart(parts):
    _, rows, given = tiny()
    rng, known = np.random.default_rng(2), np.array([True, True, False, True, True])
    draw = draw_from_prior(rng, rows, given, parts)
    prior, F = draw.priors[0], dense_features(rows["users"], given["users"])
    X, linked = draw.solved("users"), linked_of(prior, F)
    with open_executor("serial"):
        drawn = [bayes._draw_prior(X, linked, prior, known, rng) for _ in range(4000)]
    left = (X - sum(linked.values(), np.zeros_like(X)))[known]
    # W⁻¹ + Σ xxᵀ − (β₀ + n) mmᵀ, and βBᵀB, of as many rows as there are
    m = left.sum(axis=0) / (bayes.MEAN_WEIGHT + 4)
    inverse = np.eye(K) + left.T @ left - (bayes.MEAN_WEIGHT + 4) * np.outer(m, m)
    degrees = K + 4
    for part, β in prior.strengths.items():
        B = getattr(prior.link, part)
        inverse, degrees = inverse + β * B.T @ B, degrees + len(B)
    S = np.linalg.inv(inverse)
    P = np.array([one.root @ one.root.T for one in drawn])
    errors = np.sqrt(degrees * (S**2 + np.outer(np.diag(S), np.diag(S))) / len(P))
    assert np.all(abs(P.mean(axis=0) - degrees * S) < Z * errors)
    whitened = [np.sqrt(bayes.MEAN_WEIGHT + 4) * (one.mean - m) @ one.root for one in drawn]
    assert_moments(np.array(whitened), np.zeros(K), np.eye(K))


@pytest.mark.parametrize("part", ["rated", "given"])
@pytest.mark.parametrize(("side", "other"), SIDES)
@pytest.mark.usefixtures("strong_links")
def test_links_are_normal_around_their_ridge_solution(side, other, part, monkeypatch):
    _, rows, given = tiny()
    draw = draw_from_prior(np.random.default_rng(3), rows, given, ["rated", "given"])
    prior, features = draw.prior(side), dense_features(rows[side], given[side])
    X, linked = draw.solved(side), linked_of(prior, features)
    known = rows[side].toarray().any(axis=1)

    def draw_links(n):
        rng, design = np.random.default_rng(4), {part: designs_of(draw, rows)[side][part]}
        with open_executor("serial"):  # which keeps BLAS to one thread
            return [bayes._draw_links(X, linked, prior, design, known, rng) for _ in range(n)]

    drawn = draw_links(1000)
    F, β = features[part], prior.strengths[part]
    others = sum(F_B for name, F_B in linked.items() if name != part)
    system = np.linalg.inv(F[known].T @ F[known] + β * np.eye(F.shape[1]))
    mean = system @ F[known].T @ (X - prior.mean - others)[known]
    P = prior.root @ prior.root.T
    B = np.array([getattr(one.link, part) for one, _ in drawn])
    assert_moments(B.reshape(len(B), -1), mean.ravel(), np.kron(system, np.linalg.inv(P)))
    close(drawn[0][1][part], F @ B[0])
    # β(rate + tr(BPBᵀ)/2) ~ Γ(shape + size/2, 1)
    rates = bayes.STRENGTH[1] + np.einsum("nfk,kl,nfl->n", B, P, B) / 2
    strengths = np.array([one.strengths[part] for one, _ in drawn])
    assert_gamma(strengths * rates, bayes.STRENGTH[0] + B[0].size / 2)
    monkeypatch.setattr(bayes, "DIRECT", 0)  # the same by conjugate gradients
    for (one, _), expected in zip(draw_links(5), B, strict=False):
        close(getattr(one.link, part), expected, 5e-3)


def test_noise_has_a_gamma_precision():
    posterior = sampled()
    n = planted()[0].nnz
    rates = bayes.PRECISION[1] + n * posterior.trace["train_rmse"] ** 2 / 2
    assert_gamma(rates / posterior.trace["noise"] ** 2, bayes.PRECISION[0] + n / 2)


# All of it at once. Parameters from the prior, ratings from these, sweeps: that leaves the joint
# distribution as it was. (Geweke, 2004, Getting it right; each start is an independent one.)


def numbers_of(draw, rows, given):
    """Functions of a draw that have a variance: logarithms, and what is of the order of 1."""
    numbers = [np.log(draw.noise), np.tanh(draw.U[0] @ draw.V[0] - MEAN), np.log(abs(draw.U[1, 0]))]
    for side, _ in SIDES:
        prior, X = draw.prior(side), draw.solved(side)
        P, m, F = prior.root @ prior.root.T, prior.mean, dense_features(rows[side], given[side])
        numbers += [np.linalg.slogdet(P)[1], np.log(P[0, 0]), P[0, 1] / np.sqrt(P[0, 0] * P[1, 1])]
        numbers += [*np.tanh(m), np.log(np.sum((m @ prior.root) ** 2))]
        for part, F_B in linked_of(prior, F).items():
            B, β = getattr(prior.link, part), prior.strengths[part]
            numbers += [np.log(β), β * np.sum((B @ prior.root) ** 2), np.log(np.sum(F_B**2))]
            m = m + F_B
        left = (X - m) @ prior.root
        numbers += [np.sum(left**2), np.sum(left[-1] ** 2), np.log(np.sum((X - prior.mean) ** 2))]
    return np.array(numbers)


@pytest.mark.parametrize("parts", [[], ["rated", "given"]], ids=len)
@pytest.mark.usefixtures("strong_links")
def test_sweeps_leave_the_joint_distribution_as_it_is(parts):
    R, rows, given = tiny()
    users, items = R.nonzero()
    order = np.lexsort((users, items))  # of Rᵀ's ratings
    rng, before, after = np.random.default_rng(4), [], []
    designs = designs_of(draw_from_prior(rng, rows, given, parts, 2), rows)
    with open_executor("serial") as solve:
        for _ in range(500):
            draw = draw_from_prior(rng, rows, given, parts, 2)
            before.append(numbers_of(draw, rows, given))
            R.data[:] = np.sum(draw.U[users] * draw.V[items], axis=1)
            R.data += draw.noise * rng.normal(size=R.nnz)
            rows["items"].data[:] = R.data[order]
            for _ in range(3):
                draw, _ = bayes._sweep(draw, rows, designs, solve, rng)
            after.append(numbers_of(draw, rows, given))
    changes = np.array(after) - before
    assert np.ptp(changes, axis=0).min() > 0.1
    z = changes.mean(axis=0) / (changes.std(axis=0) / np.sqrt(len(changes)))
    assert abs(z).max() < Z


# What was planted


@cache
def planted():
    """Train and test ratings, and what is expected of every pair; the noise is 0.5."""
    rng = np.random.default_rng(5)
    U, V = rng.normal(size=(200, 2)), rng.normal(size=(150, 2))
    expected = 3.5 + 0.4 * U @ V.T + rng.normal(0, 0.4, (200, 1)) + rng.normal(0, 0.4, 150)
    mask = rng.random(expected.shape) < 0.25
    R = sp.csr_array(mask * (expected + rng.normal(0, 0.5, expected.shape)))
    return *alsnb.train_test_split(R, 0.2, rng=0), expected


@cache
def sampled(**options):
    options = {"n_chains": 2, "rng": 0, "verbose": False} | options
    return sample_factorization(planted()[0], 3, pairs=planted()[1], **options)


def test_uncertainty_is_what_it_says():
    train, test, expected = planted()
    posterior = sampled()
    assert posterior.noise == pytest.approx(0.5, rel=0.03)
    pairs, ratings = posterior.pairs, test.tocsr().data
    for level in (0.5, 0.8, 0.95):
        low, high = interval(pairs["mean"], pairs["std"], posterior.noise, level)
        assert np.mean((low < ratings) & (ratings < high)) == pytest.approx(level, abs=0.025)
    mean, std = posterior.predict(np.arange(200))
    assert np.mean(((expected - mean) / std) ** 2) == pytest.approx(1, abs=0.15)
    n_ratings = np.diff(train.indptr)
    assert std[n_ratings < 25].mean() > 1.05 * std[n_ratings > 35].mean()


def test_no_setting_of_als_does_better():
    train, test, _ = planted()
    ratings = test.tocsr().data
    rmse = np.sqrt(np.mean((sampled().pairs["mean"] - ratings) ** 2))
    grid = [alsnb.ALS(f, λ, bias=True) for f in (2, 3) for λ in (0.5, 1, 2, 4, 8)]
    models = [s.fit(train, 15, rng=0, verbose=False) for s in grid]
    best = min(alsnb.calculate_rmse(test, model.U, model.V) for model in models)
    assert 0.5 < rmse < best + 0.003


def test_features_with_a_planted_link_help():
    rng = np.random.default_rng(6)
    genres = rng.integers(0, 2, (120, 4)).astype(float)
    U, V = rng.normal(size=(100, 2)), genres @ rng.normal(size=(4, 2))
    V += rng.normal(0, 0.3, V.shape)
    expected = 3 + U @ V.T
    # a third of the items has no ratings, a third about three
    mask = rng.random(expected.shape) < np.repeat([0, 0.03, 0.2], 40)
    R = sp.csr_array(mask * (expected + rng.normal(0, 0.3, expected.shape)))
    options = {"n_samples": 40, "rng": 0, "verbose": False}
    plain = sample_factorization(R, 2, **options)
    helped = sample_factorization(R, 2, item_features=genres, **options)
    assert "items_given" in helped.trace and "items_given" not in plain.trace
    (before, _), (after, std) = (p.predict(np.arange(100)) for p in (plain, helped))
    for items in (slice(0, 40), slice(40, 80)):
        errors = [np.sqrt(np.mean((x - expected)[:, items] ** 2)) for x in (before, after)]
        assert errors[1] < 0.8 * errors[0]
    assert std[:, :40].mean() > 1.5 * std[:, 80:].mean()


# Chains, and what is kept of them


def predictions_of(posterior, clip=(-np.inf, np.inf)):
    """Of each draw, in order: shape (n_draws, n_pairs)."""
    users, items = posterior.pairs[["user", "item"]].T.to_numpy()
    return np.array([np.sum(d.U[users] * d.V[items], axis=1).clip(*clip) for d in posterior.draws])


def split_r_hat(x):
    """Gelman et al. (2013), *Bayesian Data Analysis*, section 11.4; of shape (sequences, n, …)."""
    m, n = x.shape[:2]
    means = x.mean(axis=1)
    B = n / (m - 1) * ((means - means.mean(axis=0)) ** 2).sum(axis=0)
    W = ((x - means[:, None]) ** 2).sum(axis=(0, 1)) / (m * (n - 1))
    return np.sqrt(((n - 1) / n * W + B / n) / W)


@pytest.mark.parametrize("clip", [None, (3, 4)])
@pytest.mark.parametrize("n_chains", [1, 3])
def test_pairs_are_those_of_all_draws(n_chains, clip):
    n = 8 * n_chains
    options = {"n_samples": 8, "burn_in": 2, "n_chains": n_chains, "n_draws": n + 9, "rng": 1}
    given = (np.array([0, 9, 9, 3]), [5, 7, 5, 7])
    posterior = sample_factorization(SMALL, 2, pairs=given, clip=clip, verbose=False, **options)
    assert len(posterior.draws) == n and len(posterior.trace) == 10 * n_chains
    assert posterior.trace["sweep"].tolist() == n_chains * [*range(1, 11)]
    x = predictions_of(posterior, clip or (-np.inf, np.inf))
    users, items, mean, std, r_hat = posterior.pairs.T.to_numpy()
    assert [users.tolist(), items.tolist()] == [list(part) for part in given]
    close(mean, x.mean(axis=0))
    close(std, x.std(axis=0), 1e-6)
    close(r_hat, split_r_hat(x.reshape(2 * n_chains, 4, -1)), 1e-6)
    close(np.array(posterior.predict(*given, clip=clip)), np.array([mean, std]), 1e-6)
    noises = posterior.trace["noise"][posterior.trace["sweep"] > 2]
    assert [draw.noise for draw in posterior.draws] == noises.tolist()


def test_two_chains_agree_or_do_not(monkeypatch):
    r_hat = sampled().pairs["r_hat"]
    assert r_hat.min() > 0.99 and r_hat.median() < 1.03 and (r_hat < 1.2).mean() > 0.99
    sweep, first = bayes._sweep, []

    def stubborn(draw, rows, designs, solve, rng):
        """The second chain sees other ratings."""
        first.append(rng)
        rows = rows if rng is first[0] else {side: -A for side, A in rows.items()}
        return sweep(draw, rows, designs, solve, rng)

    monkeypatch.setattr(bayes, "_sweep", stubborn)
    assert sampled(n_samples=30).pairs["r_hat"].median() > 2


def test_few_samples_and_draws():
    posterior = quick(n_samples=2, burn_in=0, n_draws=1, n_chains=1)
    assert len(posterior.draws) == 1 and len(posterior.trace) == 2
    assert len(posterior.pairs) == SMALL.nnz and posterior.pairs["r_hat"].isna().all()
    assert posterior.predict(0)[1].tolist() == 30 * [0]
    nothing = sp.csr_array(SMALL.shape)
    long = quick(n_samples=90, n_draws=30, n_chains=1, pairs=nothing)
    kept = [*long.trace["noise"]][1:]
    places = [kept.index(draw.noise) for draw in long.draws]
    assert len(places) == 30 and set(np.diff(places)) <= {3, 4} and places[-1] == 89
    assert len(long.pairs) == 0


# The same numbers, wherever they come from


def quick(**options):
    """A few sweeps of two chains, with everything."""
    table = pd.DataFrame({"age": 20 + 7 * np.arange(40) % 41, "job": 20 * ["a", "b"]})
    matrix = sp.csr_array(np.random.default_rng(0).integers(0, 2, (30, 4)) / 2)
    features = {"implicit_features": True, "user_features": table, "item_features": matrix}
    few = {"n_samples": 3, "burn_in": 1, "n_chains": 2, "n_draws": 9, "pairs": SMALL, "rng": 7}
    with untouched(SMALL, matrix):
        options = features | few | {"verbose": False} | options
        return sample_factorization(SMALL, 3, **options)


@cache
def serial():
    return quick(executor="serial")


def bits(posterior):
    frames = [posterior.pairs.to_numpy().tobytes(), posterior.trace.to_numpy().tobytes()]
    return frames + [X.tobytes() for d in posterior.draws for X in (d.U, d.V, d.priors[0].root)]


@pytest.mark.parametrize(
    ("executor", "n_workers"),
    [("serial", None), ("threads", 1), ("threads", 2), ("threads", 5), ("processes", 2)],
)
def test_a_seed_gives_the_same_bits(executor, n_workers):
    assert bits(quick(executor=executor, n_workers=n_workers)) == bits(serial())


def test_a_dask_cluster_gives_the_same_bits():
    distributed = pytest.importorskip("distributed")
    quiet = {"dashboard_address": ":0", "silence_logs": 50, "processes": False}
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, **quiet) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert bits(quick(executor=client)) == bits(serial())


@pytest.mark.parametrize(
    ("changes", "direct", "rounding"),
    [
        ({"executor": "readable"}, 1000, 1e-6),
        ({"dtype": np.float32}, 1000, 2e-2),
        ({"dtype": np.float32}, 0, 2e-2),
        ({}, 0, 2e-2),
    ],
)
def test_other_rounding(changes, direct, rounding, monkeypatch):
    monkeypatch.setattr(bayes, "DIRECT", direct)  # 0: conjugate gradients
    again = quick(**changes)
    for one, other in zip(again.draws, serial().draws, strict=True):
        assert one.U.dtype == one.V.dtype == one.priors[0].root.dtype == changes.get("dtype", float)
        close(one.U @ one.V.T, other.U @ other.V.T, rounding)
    close(*[posterior.pairs["mean"].to_numpy() for posterior in (again, serial())], rounding)


def test_generators_and_seeds():
    rng = np.random.default_rng(7)
    first, second = quick(rng=rng), quick(rng=rng)
    assert bits(first) == bits(serial()) != bits(second)
    assert bits(quick(rng=None)) != bits(serial())
    one, two = (predictions_of(serial())[chain] for chain in (0, 3))
    assert abs(one - two).max() > 0.1  # chains have starts and numbers of their own


@pytest.mark.parametrize("verbose", [True, False])
def test_a_bar_if_wanted(verbose, capsys):
    quick(verbose=verbose)
    out, err = capsys.readouterr()
    assert out == "" and ("8/8" in err) == verbose and bool(err) == verbose


# Ctrl-C


@pytest.fixture
def interrupted(monkeypatch):
    """Sample, and press Ctrl-C in a half-step; in the end look for what is left of the workers."""
    processes, popen, opened = [], subprocess.Popen, bayes.open_executor

    def note(*args, **options):
        processes.append(popen(*args, **options))
        return processes[-1]

    def sample(n_sweeps, **options):
        @contextmanager
        def open_and_press(*args):
            left = iter(range(2 * n_sweeps - 1, -1, -1))

            def solve_or_end(*args, **options):
                if not next(left):
                    raise KeyboardInterrupt
                return solve(*args, **options)

            with opened(*args) as solve:
                yield solve_or_end

        monkeypatch.setattr(bayes, "open_executor", open_and_press)
        return quick(**{"burn_in": 2, "n_samples": 10**4, "n_draws": 10**6} | options)

    monkeypatch.setattr(parallel.subprocess, "Popen", note)
    yield sample
    assert not [one for one in threading.enumerate() if one.name.startswith("alsnb")]
    assert len(processes) in (0, 2)
    assert all(process.returncode is not None for process in processes)


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
def test_ctrl_c_keeps_what_is_drawn(interrupted, executor):
    with pytest.warns(RuntimeWarning, match="interrupted: 4 samples are kept") as caught:
        posterior = interrupted(7, executor=executor, n_workers=1 + (executor != "serial"))
    assert caught[0].filename == __file__
    assert len(posterior.trace) == 6
    whole = quick(burn_in=2, n_samples=4, n_chains=1)
    assert [d.U.tobytes() for d in posterior.draws] == [d.U.tobytes() for d in whole.draws]
    np.testing.assert_allclose(posterior.pairs["std"], whole.pairs["std"], rtol=1e-9)
    assert posterior.recommend(0, SMALL, 3)[0].shape == (3,)


def test_ctrl_c_in_a_second_chain(interrupted):
    with pytest.warns(RuntimeWarning, match="interrupted: 11 samples are kept"):
        posterior = interrupted(16, n_samples=8, n_draws=2)
    assert len(posterior.draws) == 1 and posterior.pairs["r_hat"].notna().all()


def test_ctrl_c_before_the_first_draw_comes_out(interrupted):
    with pytest.raises(KeyboardInterrupt):
        interrupted(3)
