"""How sure is it? A Gibbs sampler: many models that fit the ratings, instead of the best one.

Ratings have noise, and rows a normal prior around what features predict:

    r_ij = μ + b_i + b_j + u_i·v_j + ε,  ε ~ N(0, 1/α)        x_i = (u_i, b_i) ~ N(m + Bᵀf_i, P⁻¹)

Given everything else, each row is normal. Its mean is the ridge regression of ALS, and its
covariance the inverse of the matrix of that. So a half-step solves the same equation, with noise
added. Means, precisions, links and the noise are drawn from their own posteriors in between.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.stats import norm, wishart
from tqdm import tqdm

from .als import check_executor, start_model
from .features import DIRECT, Link, check_features, sum_rated, unit_rows
from .metrics import check_clip
from .model import ALS, SIDES, Factorization, one_row, top_items
from .parallel import count_cores, open_executor
from .ratings import (
    check_count,
    check_dtype,
    check_number,
    check_positions,
    check_ratings,
    check_row,
    check_rows,
    rows_of,
)
from .ridge import Equation

WHICH = ("mean", "lower", "thompson")


@dataclass(frozen=True, eq=False)
class Prior:
    """What is known of the rows of one side before their ratings: x ~ N(mean + Bᵀf, P⁻¹).

    Attributes
    ----------
    mean : ndarray, shape (n_solved,)
        Of the factors and, last, of the bias.
    root : ndarray, shape (n_solved, n_solved)
        Lower triangular, with P = root rootᵀ.
    link : Link
        B, of what was rated and of given features.
    strengths : dict
        β of each part of B, whose rows are N(0, (β P)⁻¹).
    """

    mean: np.ndarray
    root: np.ndarray
    link: Link
    strengths: dict

    def whiten(self, X):
        """Coordinates in which rows have the prior covariance I: rows of X as ``X root``."""
        return X @ self.root

    def unwhiten(self, X):
        """Back again: ``X root⁻¹``."""
        return solve_triangular(self.root, X.T, lower=True, trans=1).T


@dataclass(frozen=True, eq=False)
class Draw:
    """One draw of everything: a model as good as any other, as far as the ratings tell.

    Attributes
    ----------
    U : ndarray, shape (n_users, n_factors + 3)
    V : ndarray, shape (n_items, n_factors + 3)
        As of a `Factorization` with biases: ``U[user] @ V[item]`` predicts.
    noise : float
        Standard deviation of a rating's noise, 1/√α, in stars.
    priors : tuple of Prior
        Of users, and of items.
    """

    U: np.ndarray
    V: np.ndarray
    noise: float
    priors: tuple[Prior, Prior]

    def equation(self, side: str, rows, prior_means, noise=None) -> Equation:
        """What rows of one side solve, in whitened coordinates."""
        prior, f = self.priors[SIDES.index(side)], self.V.shape[1] - 3
        Y, bias = (self.V, self.V[:, f + 1]) if side == "users" else (self.U, self.U[:, f])
        # x = root⁻ᵀ ξ and y·x = (root⁻¹ y)·ξ, where ξ has the prior covariance I
        Z = np.column_stack([Y[:, :f], np.ones(len(Y), Y.dtype)])
        Z = np.ascontiguousarray(solve_triangular(prior.root, Z.T, lower=True).T)
        variance = self.noise**2
        penalties = np.full(len(rows.indptr) - 1, variance)
        return Equation(
            rows.indptr,
            rows.indices.astype(np.int32, copy=False),
            rows.data.astype(Y.dtype, copy=False),
            Z,
            penalties,
            offsets=bias + Y.dtype.type(self.U[0, -1]),
            prior=prior.whiten(prior_means),
            noise=None if noise is None else Y.dtype.type(self.noise) * noise,
        )

    def assemble(self, side: str, X) -> np.ndarray:
        """All columns of rows of U or V, of whitened solutions."""
        X = self.priors[SIDES.index(side)].unwhiten(X)
        ones = np.ones((len(X), 1), X.dtype)
        if side == "users":
            return np.hstack([X, ones, self.U[0, -1] * ones])
        return np.hstack([X[:, :-1], ones, X[:, -1:], ones])

    def solved(self, side: str) -> np.ndarray:
        """Factors and bias of a side's rows."""
        f = self.V.shape[1] - 3
        return self.U[:, : f + 1] if side == "users" else self.V[:, [*range(f), f + 1]]


@dataclass(frozen=True, eq=False)
class Posterior:
    """What `sample_factorization` returns: models that the ratings allow, and what they agree on.

    Attributes
    ----------
    draws : list of Draw
        Some of the samples, evenly spaced; what the methods below are computed from.
    pairs : DataFrame
        The predictions asked for: user, item, mean, std (of the expected rating, in stars, over all
        samples) and r_hat (Gelman and Rubin's, near 1 if the chains agree).
    trace : DataFrame, one row a sweep
        chain, sweep, noise and train_rmse (stars), and of each link the strength of its prior.

    Examples
    --------
    >>> from alsnb import make_low_rank_ratings
    >>> R, _, _ = make_low_rank_ratings(noise=0.5, rng=0)
    >>> posterior = sample_factorization(R, 2, n_samples=20, burn_in=10, rng=0, verbose=False)
    >>> mean, std = posterior.predict(0, [3, 4])
    >>> bool((std > 0).all())
    True
    """

    draws: list
    pairs: pd.DataFrame
    trace: pd.DataFrame

    def __repr__(self) -> str:
        one = self.draws[0]
        (n, k), m = one.U.shape, len(one.V)
        what = f"{n} users × {m} items, {k - 3} factors, {len(self.draws)} draws kept"
        return f"Posterior: {what} of {len(self.trace)} sweeps, noise {self.noise:.3f}"

    @property
    def noise(self) -> float:
        """Standard deviation of a rating around what is expected, in stars."""
        return float(np.sqrt(np.mean([draw.noise**2 for draw in self.draws])))

    def predict(self, users, items=None, *, clip: tuple[float, float] | None = None):
        """Mean and standard deviation of expected ratings, over the draws.

        Parameters
        ----------
        users, items, clip :
            As for `Factorization.predict`; each draw is clipped.

        Returns
        -------
        mean, std : ndarray
            In stars, of the shape of `users` and `items` together. The std says how sure the model
            is of what it expects; a single rating differs from that by the noise besides.
        """
        total = squares = 0.0
        for draw in self.draws:
            predicted = Factorization(draw.U, draw.V).predict(users, items, clip=clip)
            total, squares = total + predicted, squares + predicted.astype(float) ** 2
        mean = total / len(self.draws)
        return mean, np.sqrt(np.maximum(squares / len(self.draws) - mean**2, 0))

    def interval(self, users, items=None, level: float = 0.9, *, clip=None):
        """Where a rating lies with probability `level`: mean ± z √(std² + noise²).

        Parameters
        ----------
        users, items, clip :
            As for `predict`.
        level : float
            Between 0 and 1.

        Returns
        -------
        low, high : ndarray
            In stars; not cut off at the ends of the scale.

        Examples
        --------
        >>> from alsnb import make_low_rank_ratings
        >>> R, _, _ = make_low_rank_ratings(noise=0.5, rng=0)
        >>> posterior = sample_factorization(R, 2, n_samples=20, burn_in=10, rng=0, verbose=False)
        >>> wide, narrow = (np.ptp(posterior.interval(0, 3, level)) for level in (0.9, 0.5))
        >>> bool(wide > narrow)
        True
        """
        mean, std = self.predict(users, items, clip=clip)
        return interval(mean, std, self.noise, level)

    def recommend(
        self,
        users,
        R,
        top_n: int = 10,
        *,
        by: str = "mean",
        level: float = 0.9,
        candidates=None,
        rng=None,
    ):
        """Recommend the unseen items that score highest, to one user or to many.

        Parameters
        ----------
        users, R, top_n, candidates :
            As for `Factorization.recommend`.
        by : {"mean", "lower", "thompson"}
            The score: the mean; the lower end of an interval, below which the expected rating lies
            with probability 1 − `level`, so that what is uncertain falls back; or what one of the
            draws predicts, another one for each user and each call (Thompson sampling).
        level : float
            Of the lower end.
        rng : int, numpy.random.Generator or None
            Which draw, for Thompson sampling.

        Returns
        -------
        items : ndarray of int, shape (≤ top_n,) or (n_users, top_n)
        scores : ndarray, of the same shape
            As for `Factorization.recommend`.
        """
        if by not in WHICH:
            raise ValueError(f"by must be one of {', '.join(map(repr, WHICH))}, got {by!r}")
        R, one = check_rows(R), users is not None and not np.ndim(users)
        if R.shape != (len(self.draws[0].U), len(self.draws[0].V)):
            what = f"{R.shape} but the posterior {len(self.draws[0].U), len(self.draws[0].V)}"
            raise ValueError(f"R is {what}")
        chosen = np.arange(R.shape[0]) if users is None else np.atleast_1d(users)
        chosen, rng = check_positions("users", chosen, R.shape[0]), np.random.default_rng(rng)
        z, top_n = norm.ppf(_check_level(level)), min(check_count("top_n", top_n), R.shape[1])
        lists = []
        for user in chosen.tolist():
            if by == "thompson":
                draw = self.draws[rng.integers(len(self.draws))]
                scores = draw.V @ draw.U[user]
            else:
                mean, std = self.predict(user)
                scores = mean - z * std if by == "lower" else mean
            seen = R.indices[R.indptr[user] : R.indptr[user + 1]]
            lists.append(top_items(scores, top_n, exclude=seen, candidates=candidates))
        if one:
            return lists[0]
        items, scores = np.full((len(chosen), top_n), -1), np.full((len(chosen), top_n), -np.inf)
        for k, (best, values) in enumerate(lists):
            items[k, : len(best)], scores[k, : len(best)] = best, values
        return items, scores

    def fold_in(self, ratings, *, features=None, rng=None) -> Posterior:
        """The posterior of a newcomer: of the draws, each with a draw of the newcomer's factors.

        Parameters
        ----------
        ratings : (items, ratings)
            What the newcomer has rated; perhaps nothing.
        features : dict, DataFrame or matrix of one row, optional
            What else is known, as the sampler was given it.
        rng : int, numpy.random.Generator or None

        Returns
        -------
        Posterior
            Of one user, at position 0: ``.predict(0)``, ``.interval(0)``.

        Examples
        --------
        >>> from alsnb import make_low_rank_ratings
        >>> R, _, _ = make_low_rank_ratings(noise=0.5, rng=0)
        >>> posterior = sample_factorization(R, 2, n_samples=20, burn_in=10, rng=0, verbose=False)
        >>> newcomer = posterior.fold_in(([3, 4], [5, 1]), rng=0)
        >>> newcomer.predict(0)[0].shape
        (40,)
        """
        items, values = check_row("items", *ratings, len(self.draws[0].V))
        row, rng, draws = one_row(items, values), np.random.default_rng(rng), []
        given = None
        if features is not None:
            link = self.draws[0].priors[0].link
            if link.given is None:
                raise ValueError("the sampler was given no features of users; leave them out")
            given, _ = check_features(features, 1, "features", link)
        for draw in self.draws:
            prior, dtype = draw.priors[0], draw.V.dtype
            means = prior.mean + _linked(prior.link, row, given, 1, dtype)
            noise = rng.normal(size=means.shape).astype(dtype)
            with open_executor("serial") as solve:
                X, _ = solve(draw.equation("users", row, means, noise))
            draws.append(replace(draw, U=draw.assemble("users", X)))
        return replace(self, draws=draws, pairs=self.pairs[:0])


def _check_level(level):
    if not 0 < check_number("level", level) < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    return level


def interval(mean, std, noise, level: float = 0.9):
    """Where a rating lies with probability `level`, if it is normal: mean ± z √(std² + noise²).

    Examples
    --------
    >>> low, high = interval(4.0, 0.3, 0.4, 0.95)
    >>> print(f"{low:.2f} {high:.2f}")
    3.02 4.98
    """
    half = norm.ppf((1 + _check_level(level)) / 2) * np.hypot(std, noise)
    return mean - half, mean + half


def sample_factorization(
    R,
    n_factors: int = 10,
    *,
    n_samples: int = 120,
    burn_in: int = 40,
    n_chains: int = 1,
    n_draws: int = 30,
    implicit_features: bool = False,
    user_features=None,
    item_features=None,
    pairs=None,
    clip: tuple[float, float] | None = None,
    executor="threads",
    n_workers: int | None = None,
    rng=None,
    dtype=np.float64,
    verbose: bool = True,
) -> Posterior:
    r"""Sample from the posterior of a matrix factorization with biases, by Gibbs' method.

    Nothing has to be tuned: how strongly rows shrink is part of what is sampled. Given the executor
    or not, and with any number of workers, a seed gives the same numbers.

    Parameters
    ----------
    R : scipy.sparse array or matrix, shape (n_users, n_items), or Ratings
    n_factors : int
    n_samples : int
        Sweeps of each chain that count.
    burn_in : int
        Sweeps before, until the start is forgotten.
    n_chains : int
        Chains, one after the other, each with a start of its own.
    n_draws : int
        How many of all samples to keep whole, evenly spaced; fewer if there are not so many.
    implicit_features, user_features, item_features :
        Features as prior means, as for `ALS` and its method `fit`.
    pairs : (users, items), or scipy.sparse array or matrix, optional
        Predictions whose mean and standard deviation over all samples are wanted; of a matrix, its
        stored places. They cost no memory for each sample.
    clip : (float, float), optional
        The rating scale, to which each sample of them is clipped.
    executor, n_workers, dtype :
        As for `ALS.fit`.
    rng : int, numpy.random.Generator or None
        Seed of everything drawn.
    verbose : bool
        Show a progress bar. Ctrl-C ends the sampling; what has been drawn is kept.

    Returns
    -------
    Posterior

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.
    KeyboardInterrupt
        If it comes before there are samples to keep.

    References
    ----------
    Salakhutdinov and Mnih (2008), *Bayesian probabilistic matrix factorization using Markov chain
    Monte Carlo*; Simm et al. (2015), *Macau*, for the links; Gelman and Rubin (1992) for r_hat.

    Examples
    --------
    >>> from alsnb import make_low_rank_ratings
    >>> R, _, _ = make_low_rank_ratings(noise=0.5, rng=0)
    >>> sample_factorization(R, 3, n_samples=60, burn_in=30, rng=0, verbose=False)
    Posterior: 60 users × 40 items, 3 factors, 30 draws kept of 90 sweeps, noise 0.494
    """
    check_executor(executor, n_workers)
    settings = ALS(n_factors, bias=True, implicit_features=implicit_features)
    dtype = check_dtype(dtype)
    R = check_ratings(R, dtype=dtype)
    n_samples, n_chains = (
        check_count("n_samples", n_samples, low=2),
        check_count("n_chains", n_chains),
    )
    burn_in, n_draws = check_count("burn_in", burn_in, low=0), check_count("n_draws", n_draws)
    places, clip = _check_pairs(pairs, R.shape), check_clip(clip)
    rows = {"users": R, "items": R.T.tocsr()}
    keep = set(
        np.linspace(0, n_chains * n_samples - 1, min(n_draws, n_chains * n_samples)).astype(int)
    )
    seeds = np.random.default_rng(rng).spawn(n_chains)
    models = [start_model(settings, R, seed, dtype, user_features, item_features) for seed in seeds]
    halves = [_Running() for _ in range(2 * n_chains)]  # two of each chain
    draws, trace = [], []
    threads = 1 if executor == "serial" else n_workers or count_cores()
    bar = tqdm(total=n_chains * (burn_in + n_samples), unit="sweep", disable=not verbose)
    try:
        with bar, open_executor(executor, n_workers) as solve:
            for chain, (model, seed) in enumerate(zip(models, seeds, strict=True)):
                for sweep, draw in enumerate(_sweep(model, rows, solve, seed, threads)):
                    draw, rmse = draw
                    note = {"chain": chain + 1, "sweep": sweep + 1, "noise": draw.noise}
                    trace.append(note | {"train_rmse": rmse} | _strengths(draw))
                    bar.update()
                    done = sweep - burn_in
                    if done >= 0:
                        half = halves[2 * chain + (done >= n_samples // 2)]
                        half.add(_predict(draw, places, clip))
                        if chain * n_samples + done in keep:
                            draws.append(draw)
                    if done == n_samples - 1:
                        break
    except KeyboardInterrupt:
        if len(draws) < 2:
            raise
        count = sum(half.n for half in halves)
        warnings.warn(f"interrupted: {count} samples are kept", RuntimeWarning, stacklevel=2)
    return Posterior(draws, _summarize(places, halves), pd.DataFrame(trace))


def _check_pairs(pairs, shape):
    """Users and items of pairs or of a matrix's places."""
    if pairs is None:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    if sp.issparse(pairs):
        A = check_ratings(pairs, "pairs", empty=True)
        if A.shape != shape:
            raise ValueError(f"pairs have shape {A.shape} but R has {shape}")
        return rows_of(A).astype(np.intp), A.indices.astype(np.intp)
    users, items = (np.atleast_1d(np.asarray(part)) for part in pairs)
    if users.shape != items.shape:
        raise ValueError(f"pairs need as many users as items, got {len(users)} and {len(items)}")
    for name, part, size in zip(("users", "items"), (users, items), shape, strict=True):
        check_positions(name, np.unique(part), size)
    return users, items


class _Running:
    """Sums of predictions and of their squares."""

    def __init__(self):
        self.n, self.total, self.squares = 0, 0.0, 0.0

    def add(self, predicted):
        self.n += 1
        self.total, self.squares = self.total + predicted, self.squares + predicted**2


def _predict(draw, places, clip):
    users, items = places
    predicted = np.einsum("kf,kf->k", draw.U[users], draw.V[items], dtype=float)
    return predicted if clip is None else np.clip(predicted, *clip)


def _summarize(places, halves) -> pd.DataFrame:
    """Mean, std and r_hat of predictions, of what halves of chains have summed up."""
    halves = [half for half in halves if half.n]
    n = np.array([half.n for half in halves])
    means = np.array([half.total / half.n for half in halves])
    variances = np.array([half.squares / half.n for half in halves]) - means**2
    mean = n @ means / n.sum()
    std = np.sqrt(np.maximum(n @ (variances + means**2) / n.sum() - mean**2, 0))
    r_hat = np.full(len(mean), np.nan)
    if len(halves) > 1 and n.min() > 1:
        # W, the variance within, and B, that of the means between: r_hat² = (n − 1)/n + B/W
        within = np.mean(variances * (n / (n - 1))[:, None], axis=0)
        between, known = np.var(means, axis=0, ddof=1), within > 0
        r_hat[known] = np.sqrt(1 - 1 / n.mean() + between[known] / within[known])
    users, items = places
    return pd.DataFrame({"user": users, "item": items, "mean": mean, "std": std, "r_hat": r_hat})


def _strengths(draw):
    return {
        f"{side}_{part}": value
        for side, prior in zip(SIDES, draw.priors, strict=True)
        for part, value in prior.strengths.items()
    }


def _linked(link, rows, features, n_rows, dtype):
    """F B, or zeros."""
    if link is None or (link.rated is None and link.given is None):
        return np.zeros((n_rows, 1), dtype)
    return link.prior_means(rows, features)


def _sweep(model, rows, solve, rng, n_workers):
    """Draw priors, users, items and the noise, again and again: pairs of a Draw, and its RMSE."""
    k, dtype, n_ratings = model.n_factors + 1, model.U.dtype, rows["users"].nnz
    priors, linked, designs = [], [], []
    for side, other in (("users", "items"), ("items", "users")):
        link = model.link(side) or Link()
        priors.append(Prior(np.zeros(k, dtype), np.eye(k, dtype=dtype), link, {}))
        linked.append({})
        designs.append(_designs(link, rows[side], rows[other], n_workers))
    draw = Draw(model.U, model.V, 1.0, tuple(priors))
    known = [np.diff(rows[side].indptr) > 0 for side in SIDES]
    while True:
        for s, side in enumerate(SIDES):
            X, parts = draw.solved(side), linked[s]
            prior = _draw_prior(X, parts, draw.priors[s], known[s], rng)
            prior = _draw_links(X, parts, prior, designs[s], known[s], rng)
            pair = (prior, draw.priors[1]) if s == 0 else (draw.priors[0], prior)
            draw = replace(draw, priors=pair)
            means = prior.mean + sum(parts.values(), np.zeros_like(X))
            noise = rng.standard_normal(X.shape).astype(dtype, copy=False)
            X, squares = solve(draw.equation(side, rows[side], means, noise), residuals=s == 1)
            draw = replace(draw, **{"UV"[s]: draw.assemble(side, X)})
        total = squares.sum()
        # α given the residuals, of the prior Γ(½, ½)
        precision = rng.gamma((1 + n_ratings) / 2, 2 / (1 + total))
        draw = replace(draw, noise=float(1 / np.sqrt(precision)))
        yield draw, float(np.sqrt(total / n_ratings))


def _draw_prior(X, parts, prior, known, rng):
    """Mean and precision of rows, given the links: normal and Wishart.

    Salakhutdinov and Mnih (2008), equation 14, with μ₀ = 0, β₀ = 2, W₀ = I and ν₀ as many as there
    are columns. The links count, too: their rows have the precision β P.
    """
    left = (X - sum(parts.values(), np.zeros_like(X)))[known].astype(float)
    (n, k), b0 = left.shape, 2.0
    mean = left.mean(axis=0)
    scatter = (left - mean).T @ (left - mean) + b0 * n / (b0 + n) * np.outer(mean, mean)
    degrees = k + n
    for part, strength in prior.strengths.items():
        B = getattr(prior.link, part).astype(float)
        scatter, degrees = scatter + strength * B.T @ B, degrees + len(B)
    scale = np.linalg.inv(np.eye(k) + scatter)
    P = wishart.rvs(degrees, (scale + scale.T) / 2, random_state=rng).reshape(k, k)
    root = np.linalg.cholesky(P)
    # the mean has the precision (β₀ + n) P
    step = solve_triangular(root, rng.standard_normal(k), lower=True, trans=1)
    mean = n * mean / (b0 + n) + step / np.sqrt(b0 + n)
    return replace(prior, mean=mean.astype(X.dtype), root=root.astype(X.dtype))


class _Design:
    """F of one part of the features, and how to solve (FᵀF + β I) B = right."""

    def __init__(self, forward, backward, shape, diagonal, dense=None):
        self.diagonal = diagonal[:, None]
        self.forward, self.backward, self.shape = forward, backward, shape
        self.gram = None if dense is None else dense.T @ dense
        self.strength = shape[0] / shape[1]  # to begin with: FᵀF has a trace of about n_rows

    def solve(self, right, strength, B):
        if self.gram is not None:
            return cho_solve(cho_factor(self.gram + strength * np.eye(len(right))), right)
        β = B.dtype.type(strength)
        return conjugate_gradients(
            lambda B: self.backward(self.forward(B)) + β * B, right, B, self.diagonal + β
        )


def _designs(link, rows, columns, n_workers):
    """The parts of a side's features, by name."""
    designs, dtype = {}, rows.dtype
    if link.rated is not None:
        root = unit_rows(rows, dtype)
        designs["rated"] = _Design(
            lambda B: root * sum_rated(rows, B, n_workers),
            lambda Z: sum_rated(columns, root * Z, n_workers),
            (len(root), len(link.rated)),
            sum_rated(columns, root**2)[:, 0],
        )
    if link.given is not None:
        known = (np.diff(rows.indptr) > 0).astype(dtype)
        F = sp.csr_array(link.features.multiply(known[:, None]))
        dense = F.toarray() if F.shape[1] <= DIRECT else None
        Ft = F.T.tocsr()
        designs["given"] = _Design(
            lambda B: F @ B, lambda Z: Ft @ Z, F.shape, F.multiply(F).sum(axis=0), dense
        )
    return designs


def conjugate_gradients(multiply, right, X, diagonal, tol: float = 1e-3, n_steps: int = 100):
    """Solve A X = right for all columns at once, from a first guess; A is symmetric, positive.

    The system is scaled by its `diagonal`. It ends when the residual of each column is `tol` times
    its right side.
    """
    left = right - multiply(X)
    scaled = left / diagonal
    direction, sizes = scaled, np.sum(left * scaled, axis=0)
    goal = tol**2 * np.sum(right * (right / diagonal), axis=0)
    for _ in range(n_steps):
        if (sizes <= goal).all():
            break
        image = multiply(direction)
        length = _ratio(sizes, np.sum(direction * image, axis=0))
        X, left = X + length * direction, left - length * image
        scaled = left / diagonal
        before, sizes = sizes, np.sum(left * scaled, axis=0)
        direction = scaled + _ratio(sizes, before) * direction
    return X


def _ratio(x, y):
    return np.divide(x, y, out=np.zeros_like(x), where=y > 0)


def _draw_links(X, parts, prior, designs, known, rng):
    """B of each part of the features, the other parts given, and the strength of its prior.

    A draw is the solution of (FᵀF + β I) B = Fᵀ(X + E₁) + √β E₂, where rows of E₁ and E₂ are drawn
    from N(0, P⁻¹): Simm et al. (2015), equation 6. `parts` takes the new F B.
    """
    link, strengths = prior.link, dict(prior.strengths)
    for name, design in designs.items():
        others = sum((F_B for part, F_B in parts.items() if part != name), np.zeros_like(X))
        left = (X - prior.mean - others) * known[:, None].astype(X.dtype)
        old, strength = getattr(link, name), strengths.get(name, design.strength)
        right = design.backward(left + prior.unwhiten(_normal(rng, X.shape, X.dtype)))
        right += np.sqrt(strength) * prior.unwhiten(_normal(rng, old.shape, X.dtype))
        B = design.solve(right, strength, old).astype(X.dtype)
        # β has the prior Γ(1, 10⁻³)
        squares = np.sum(np.square(prior.whiten(B)), dtype=float)
        strengths[name] = float(rng.gamma(B.size / 2 + 1, 1 / (squares / 2 + 1e-3)))
        link, parts[name] = replace(link, **{name: B}), design.forward(B)
        if name == "given":  # rows without ratings have a prior mean, too
            parts[name] = link.features @ B
    return replace(prior, link=link, strengths=strengths)


def _normal(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype, copy=False)


@np.errstate(over="ignore", invalid="ignore")  # what overflows is an error
def most_informative_items(
    model: Factorization | Posterior, n_items: int = 5, *, items=(), candidates=None
) -> np.ndarray:
    r"""Which items to ask a newcomer about: those whose ratings would tell most about the factors.

    Once the items S are rated, what is known of the factors x has the covariance

    .. math:: \Sigma_S = (\alpha Y_S^T Y_S + P)^{-1} ,

    which does not depend on the ratings. One item after the other is taken that shrinks its
    determinant most, by the factor 1 / (1 + α yᵀΣy); Σ follows by Sherman and Morrison's formula.

    Parameters
    ----------
    model : Posterior or Factorization
        Of a posterior, the logarithm of that factor is averaged over the draws. Of a model fitted
        by ALS, α is 1 and P is λ n^ν I.
    n_items : int
        How many to choose; fewer are returned if `candidates` holds fewer.
    items : array of int
        What the newcomer has rated already.
    candidates : array of int, optional
        Choose only from these; by default from all items.

    Returns
    -------
    ndarray of int, shape (≤ n_items,)
        In the order in which to ask; of equally informative ones the lower position comes first.

    Raises
    ------
    IndexError, TypeError, ValueError
        If items are not distinct positions, or `n_items` is not a whole number of at least 1.

    References
    ----------
    Fedorov (1972), *Theory of optimal experiments*: D-optimal designs, chosen greedily.

    Examples
    --------
    >>> from alsnb import ALS
    >>> V = np.array([[2.0, 0.0], [1.9, 0.1], [0.0, 1.0]])
    >>> model = Factorization(np.ones((1, 2)), V, ALS(n_factors=2))
    >>> most_informative_items(model, 2)
    array([0, 2])
    """
    size = len(model.draws[0].V if isinstance(model, Posterior) else model.V)
    n_items, known = check_count("n_items", n_items), check_positions("items", items, size)
    candidates = np.arange(size) if candidates is None else candidates
    candidates = np.setdiff1d(check_positions("candidates", candidates, size), known)
    n_items, row = min(n_items, len(candidates)), one_row(known, np.zeros(len(known)))
    if isinstance(model, Posterior):
        blank = np.zeros((1, model.draws[0].V.shape[1] - 2))
        equations = [draw.equation("users", row, blank) for draw in model.draws]
        penalties = [equation.penalties[0] for equation in equations]
    else:
        equations = [model.equation("users", row)]
        penalties = model.settings.penalties("users", np.array([len(known) + n_items]))
    # in units in which the precisions of the prior and of the noise are both I
    Ys = [e.Y.astype(float) / np.sqrt(p) for e, p in zip(equations, penalties, strict=True)]
    if not all(np.isfinite(np.vdot(Y, Y)) for Y in Ys):
        raise ValueError("the model's factors hold NaN or ∞, or are too large")
    covariances = [np.linalg.inv(Y[known].T @ Y[known] + np.eye(Y.shape[1])) for Y in Ys]
    Ys = [Y[candidates] for Y in Ys]
    gains = [np.einsum("kf,kf->k", Y @ Σ, Y) for Y, Σ in zip(Ys, covariances, strict=True)]
    chosen = []
    for _ in range(n_items):
        score = np.mean(np.log1p(gains), axis=0)
        score[chosen] = -np.inf
        best = int(np.argmax(score))
        chosen.append(best)
        for d, Y in enumerate(Ys):
            step = covariances[d] @ Y[best] / np.sqrt(1 + gains[d][best])
            covariances[d] = covariances[d] - np.outer(step, step)
            gains[d] = gains[d] - (Y @ step) ** 2
    return candidates[chosen]
