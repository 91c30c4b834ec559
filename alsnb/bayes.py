"""How sure is it? A Gibbs sampler: many models that fit the ratings, instead of the best one.

Ratings have noise, and rows a normal prior around what features predict:

    r_ij = μ + b_i + b_j + u_i·v_j + ε,  ε ~ N(0, 1/α)        x_i = (u_i, b_i) ~ N(m + Bᵀf_i, P⁻¹)

Given everything else, each row is normal. Its mean is the ridge regression of ALS, and its
covariance the inverse of the matrix of that. So a half-step solves the same equation, with noise
added. Means, precisions, links and the noise are drawn from their own posteriors in between.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.linalg import eigh, solve_triangular
from scipy.special import ndtri

from .als import DivergenceError, check_executor, start_model
from .features import Link, check_features, sum_rated, unit_rows
from .metrics import check_clip
from .model import ALS, SIDES, Factorization, check_new, one_row, top_items
from .parallel import open_executor
from .ratings import (
    Ratings,
    check_array,
    check_count,
    check_dtype,
    check_floats,
    check_indices,
    check_number,
    check_positions,
    check_ratings,
    check_rng,
    check_rows,
    rows_of,
)
from .ridge import Equation, solve_rows
from .timing import Progress, one_blas_thread

WHICH = ("mean", "lower", "thompson")
DIRECT = 1000  # with so many rows or columns at most, links are solved for directly
MEAN_WEIGHT = 2.0  # β₀: the mean of a side's rows is N(0, (β₀ P)⁻¹), their precision P is W(I, k)
STRENGTH = 1.0, 1e-3  # shape and rate of β's Gamma prior; of each part of a link
PRECISION = 0.5, 0.5  # the same of α
_BLOCK = 2**16  # scores at a time, in recommendations to many: they stay in a core's cache


@dataclass(frozen=True, eq=False)
class Prior:
    """What is known of the rows of one side before their ratings: x ~ N(mean + Bᵀf, P⁻¹).

    Attributes
    ----------
    mean : ndarray, shape (n_solved,)
        Of the factors and, last, of the bias.
    root : ndarray, shape (n_solved, n_solved)
        Lower triangular, with P = root rootᵀ.
    link : Link or None
        B, of what was rated and of given features.
    strengths : dict
        β of each part of B, whose rows are N(0, (β P)⁻¹).

    Examples
    --------
    >>> prior = Prior(np.zeros(2), np.array([[2.0, 0.0], [1.0, 1.0]]), None, {})
    >>> x = np.array([[1.0, 2.0]])
    >>> prior.whiten(x)
    array([[4., 2.]])
    >>> prior.unwhiten(prior.whiten(x))
    array([[1., 2.]])
    """

    mean: np.ndarray
    root: np.ndarray
    link: Link | None
    strengths: dict

    def means(self, rows, features=None):
        """Prior means, mean + Bᵀf, of rows in CSR form, whose given features are `features`."""
        means = np.tile(self.mean, (len(rows.indptr) - 1, 1))
        return means if self.link is None else means + self.link.prior_means(rows, features)

    def whiten(self, X):
        """Coordinates in which rows have the prior covariance I: rows of X as ``X root``."""
        return X @ self.root

    def unwhiten(self, X):
        """Back again: ``X root⁻¹``."""
        return solve_triangular(self.root, X.T, lower=True, trans=1, check_finite=False).T


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

    Examples
    --------
    >>> from alsnb import make_low_rank_ratings
    >>> R, _, _ = make_low_rank_ratings(noise=0.5, rng=0)
    >>> posterior = sample_factorization(R, 2, n_samples=20, burn_in=10, rng=0, verbose=False)
    >>> draw = posterior.draws[0]
    >>> draw.U.shape, draw.V.shape, draw.solved("users").shape
    ((60, 5), (40, 5), (60, 3))
    """

    U: np.ndarray
    V: np.ndarray
    noise: float
    priors: tuple[Prior, Prior]

    def prior(self, side: str) -> Prior:
        """That of one side."""
        return self.priors[SIDES.index(side)]

    def with_prior(self, side: str, prior: Prior) -> Draw:
        """The same draw with another prior of one side."""
        pair = list(self.priors)
        pair[SIDES.index(side)] = prior
        return replace(self, priors=tuple(pair))

    def with_rows(self, side: str, X) -> Draw:
        """The same draw with other rows of one side."""
        return replace(self, **{"U" if side == "users" else "V": X})

    def equation(self, side: str, rows, prior_means, noise=None) -> Equation:
        """What rows of one side solve, in whitened coordinates."""
        prior, f = self.prior(side), self.V.shape[1] - 3
        Y, bias = (self.V, self.V[:, f + 1]) if side == "users" else (self.U, self.U[:, f])
        # x = root⁻ᵀ ξ and y·x = (root⁻¹ y)·ξ, where ξ has the prior covariance I
        Z = np.column_stack([Y[:, :f], np.ones(len(Y), Y.dtype)])
        Z = solve_triangular(prior.root, Z.T, lower=True, check_finite=False).T
        return Equation(
            rows.indptr,
            rows.indices.astype(np.int32, copy=False),
            rows.data.astype(Y.dtype, copy=False),
            np.ascontiguousarray(Z),
            np.full(len(rows.indptr) - 1, self.noise**2),
            offsets=bias + Y.dtype.type(self.U[0, -1]),
            prior=prior.whiten(prior_means),
            noise=None if noise is None else Y.dtype.type(self.noise) * noise,
        )

    def assemble(self, side: str, X) -> np.ndarray:
        """All columns of rows of U or V, of whitened solutions."""
        X = self.prior(side).unwhiten(X)
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
        The predictions asked for: user, item, mean and std of the expected rating (in stars, over
        all samples), and r_hat, Gelman and Rubin's: near 1 if the halves of all chains agree, NaN
        for fewer than four samples a chain or where no sample differs.
    trace : DataFrame, one row a sweep
        chain, sweep, noise and train_rmse (in stars), and β of each part of the links, such as
        users_rated.

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
            is of what it expects. A single rating has the noise on top of that.

        Raises
        ------
        IndexError, TypeError, ValueError
            As `Factorization.predict`.
        """
        running = _Running()
        for draw in self.draws:
            running.add(Factorization(draw.U, draw.V).predict(users, items, clip=clip))
        return running.mean, np.sqrt(running.variance)

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

        Raises
        ------
        IndexError, TypeError, ValueError
            As `predict`, or if `level` is not between 0 and 1.

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

    @one_blas_thread()
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
            The score. "mean": of the expected rating. "lower": what the expected rating exceeds
            with probability `level`, so that uncertain items fall back. "thompson": what one draw
            predicts, picked at random for each user.
        level : float
            For "lower"; between 0 and 1.
        rng : int, numpy.random.Generator or None
            Picks the draws for "thompson".

        Returns
        -------
        items : ndarray of int, shape (≤ top_n,) or (n_users, min(top_n, n_items))
        scores : ndarray, of the same shape
            As for `Factorization.recommend`.

        Raises
        ------
        IndexError, TypeError, ValueError
            If there is no such user or item, an argument is of the wrong kind or out of range, or R
            does not fit the posterior.

        Examples
        --------
        >>> from alsnb import make_low_rank_ratings
        >>> R, _, _ = make_low_rank_ratings(noise=0.5, rng=0)
        >>> posterior = sample_factorization(R, 2, n_samples=20, burn_in=10, rng=0, verbose=False)
        >>> items, scores = posterior.recommend(0, R, 3, by="lower", level=0.9)
        >>> bool((scores < posterior.predict(0, items)[0]).all())
        True
        """
        if by not in WHICH:
            raise ValueError(f"by must be one of {', '.join(map(repr, WHICH))}, got {by!r}")
        shape = len(self.draws[0].U), len(self.draws[0].V)
        R, one = check_rows(R), users is not None and not np.ndim(check_array("users", users))
        if R.shape != shape:
            raise ValueError(f"R has shape {R.shape}, but the posterior is of {shape}")
        check_indices(R)
        chosen = check_positions("users", np.arange(shape[0]) if users is None else users, shape[0])
        z, top_n = ndtri(_check_level(level)), min(check_count("top_n", top_n), shape[1])
        items, scores = np.full((len(chosen), top_n), -1), np.full((len(chosen), top_n), -np.inf)
        which = check_rng(rng).integers(len(self.draws), size=len(chosen))
        step = max(1, _BLOCK // shape[1])
        for start in range(0, len(chosen), step):
            block = chosen[start : start + step]
            if by == "thompson":
                drawn = [self.draws[d] for d in which[start : start + step].tolist()]
                block_scores = [draw.V @ draw.U[u] for draw, u in zip(drawn, block, strict=True)]
            else:
                mean, std = self.predict(block)
                block_scores = mean - z * std if by == "lower" else mean
            for k, (user, values) in enumerate(zip(block, block_scores, strict=True), start):
                seen = R.indices[R.indptr[user] : R.indptr[user + 1]]
                best, values = top_items(values, top_n, exclude=seen, candidates=candidates)
                items[k, : len(best)], scores[k, : len(best)] = best, values
        if one:
            found = items[0] >= 0
            return items[0][found], scores[0][found]
        return items, scores

    @one_blas_thread()
    def fold_in(self, ratings, *, features=None, rng=None) -> Posterior:
        """The posterior of newcomers, whose factors are drawn once for each draw.

        Parameters
        ----------
        ratings : (items, ratings), or scipy.sparse array or matrix, shape (n_rows, n_items)
            What one newcomer has rated, or many; perhaps nothing.
        features : dict, DataFrame or matrix, optional
            What else is known, of the kind that the sampler was given, in the same order.
        rng : int, numpy.random.Generator or None

        Returns
        -------
        Posterior
            Of these users only; one alone has position 0, ``.predict(0)``, ``.interval(0)``. It has
            no pairs.

        Raises
        ------
        IndexError, TypeError, ValueError
            If items are not distinct positions, ratings are not as many finite numbers, a matrix
            has not a column for each item, or features are not those of the sampler.

        Examples
        --------
        >>> from alsnb import make_low_rank_ratings
        >>> R, _, _ = make_low_rank_ratings(noise=0.5, rng=0)
        >>> posterior = sample_factorization(R, 2, n_samples=20, burn_in=10, rng=0, verbose=False)
        >>> newcomer = posterior.fold_in(([3, 4], [5, 1]), rng=0)
        >>> newcomer.predict(0)[0].shape
        (40,)
        """
        first = self.draws[0]
        rows = check_new(ratings, len(first.V), "items", "ratings")
        n_rows = len(rows.indptr) - 1
        if features is not None:
            link = first.priors[0].link
            if link is None or link.given is None:
                raise ValueError("the sampler was given no features of users; leave them out")
            features, _ = check_features(features, n_rows, "features", link, first.V.dtype)
        rng, draws = check_rng(rng), []
        for draw in self.draws:
            means = draw.priors[0].means(rows, features)
            X = solve_rows(draw.equation("users", rows, means, _normal(rng, means.shape, float)))
            draws.append(draw.with_rows("users", draw.assemble("users", X)))
        return replace(self, draws=draws, pairs=self.pairs[:0])


def _check_level(level):
    if check_number("level", level) >= 1:
        raise ValueError(f"level must be between 0 and 1, such as 0.9, got {level}")
    return float(level)


def interval(mean, std, noise, level: float = 0.9):
    """Where a rating lies with probability `level`, if it is normal: mean ± z √(std² + noise²).

    Parameters
    ----------
    mean, std : float or ndarray
        Of the expected rating, in stars, such as columns of ``posterior.pairs``.
    noise : float
        Standard deviation of a rating around that, in stars.
    level : float
        Between 0 and 1.

    Returns
    -------
    low, high : float or ndarray

    Raises
    ------
    TypeError, ValueError
        If `level` is not between 0 and 1, or anything is no real number.

    Examples
    --------
    >>> low, high = interval(4.0, 0.3, 0.4, 0.95)
    >>> print(f"{low:.2f} {high:.2f}")
    3.02 4.98
    """
    for name, values in (("mean", mean), ("std", std)):
        check_floats(name, values, finite=False)
    noise = check_number("noise", noise, positive=False)
    half = ndtri((1 + _check_level(level)) / 2) * np.hypot(std, noise)
    return mean - half, mean + half


def sample_factorization(
    R,
    n_factors: int = 10,
    *,
    n_samples: int = 120,
    burn_in: int = 140,
    n_chains: int = 1,
    n_draws: int = 30,
    implicit_features: bool = False,
    user_features=None,
    item_features=None,
    pairs=None,
    clip: tuple[float, float] | None = None,
    executor="threads",
    n_workers: int | None = None,
    dtype=np.float64,
    rng=None,
    verbose: bool = True,
) -> Posterior:
    """Sample from the posterior of a matrix factorization with biases, by Gibbs' method.

    Nothing has to be tuned: how strongly rows shrink is part of what is sampled. A seed gives the
    same bits with every executor and any number of workers; "readable" agrees up to rounding.

    Parameters
    ----------
    R : scipy.sparse array or matrix, shape (n_users, n_items), or Ratings
        A stored zero is a rating.
    n_factors : int
    n_samples : int
        Sweeps of each chain that count, at least 2.
    burn_in : int
        Sweeps before them, until the start is forgotten. The default is enough for ten factors on
        MovieLens 100K. More factors or ratings need more: train_rmse has settled in the trace.
    n_chains : int
        Chains, one after the other, each with a random start of its own.
    n_draws : int
        How many of all samples to keep whole, evenly spaced; all, if there are not so many.
    implicit_features, user_features, item_features :
        Features as prior means, as for `ALS` and its method `fit`.
    pairs : (users, items), or scipy.sparse array or matrix, or Ratings, optional
        Which predictions to follow over all samples; of a matrix, its stored places. Only their
        sums are kept.
    clip : (float, float), optional
        The rating scale; each sample of these predictions is clipped to it.
    executor, n_workers, dtype :
        As for `ALS.fit`.
    rng : int, numpy.random.Generator or None
        Seed of everything that is drawn.
    verbose : bool
        Show a progress bar on stderr.

    Returns
    -------
    Posterior
        Ctrl-C ends the sampling: what has been drawn is returned, with a warning.

    Raises
    ------
    IndexError, TypeError, ValueError
        If an argument is of the wrong kind or out of range.
    DivergenceError
        If ratings or features are so large that samples overflow.
    RuntimeError
        If a worker process or a Dask worker dies.
    KeyboardInterrupt
        By Ctrl-C before the first draw.

    References
    ----------
    Salakhutdinov and Mnih (2008), *Bayesian probabilistic matrix factorization using Markov chain
    Monte Carlo*; Simm et al. (2015), *Macau*, for the links; Gelman and Rubin (1992) for r_hat.

    Examples
    --------
    >>> from alsnb import make_low_rank_ratings
    >>> R, _, _ = make_low_rank_ratings(noise=0.5, rng=0)
    >>> sample_factorization(R, 3, n_samples=60, burn_in=30, rng=0, verbose=False)
    Posterior: 60 users × 40 items, 3 factors, 30 draws kept of 90 sweeps, noise 0.492
    """
    threads = check_executor(executor, n_workers)
    settings = ALS(n_factors, bias=True, implicit_features=implicit_features)
    dtype = check_dtype(dtype)
    R = check_ratings(R, dtype=dtype)
    n_samples = check_count("n_samples", n_samples, low=2)
    burn_in = check_count("burn_in", burn_in, low=0)
    n_chains = check_count("n_chains", n_chains, high=1_000)
    n_draws = check_count("n_draws", n_draws)
    places, clip = _check_pairs(pairs, R.shape), check_clip(clip)
    rngs, n_total = check_rng(rng).spawn(n_chains), n_chains * n_samples
    models = [start_model(settings, R, rng, dtype, user_features, item_features) for rng in rngs]
    keep = set(np.linspace(0, n_total - 1, min(n_draws, n_total)).astype(int).tolist())
    draws, trace, halves = [], [], [_Running() for _ in range(2 * n_chains)]  # two of each chain
    rows = {"users": R, "items": R.T.tocsr()}
    bar = Progress(total=n_chains * (burn_in + n_samples), unit="sweep", disable=not verbose)
    try:
        with bar, open_executor(executor, n_workers) as solve:
            designs = {
                side: _designs(models[0].link(side), rows[side], rows[other], threads)
                for side, other in (SIDES, SIDES[::-1])
            }
            for chain, (model, rng) in enumerate(zip(models, rngs, strict=True)):
                draw = _first_draw(model)
                for sweep in range(-burn_in, n_samples):
                    draw, rmse = _sweep(draw, rows, designs, solve, rng)
                    note = {"chain": chain + 1, "sweep": burn_in + sweep + 1, "noise": draw.noise}
                    trace.append(note | {"train_rmse": rmse} | _strengths(draw))
                    bar.update()
                    if sweep < 0:
                        continue
                    half = halves[2 * chain + (sweep >= n_samples // 2)]
                    half.add(_predict(draw, places, clip))
                    if chain * n_samples + sweep in keep:
                        draws.append(draw)
    except KeyboardInterrupt:
        if not draws:
            raise
        count = sum(half.n for half in halves)
        warnings.warn(f"interrupted: {count} samples are kept", RuntimeWarning, stacklevel=2)
    return Posterior(draws, _summarize(places, halves), pd.DataFrame(trace))


def _check_pairs(pairs, shape):
    """Users and items of pairs or of a matrix's places."""
    if pairs is None:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    if sp.issparse(pairs) or isinstance(pairs, Ratings):
        A = check_ratings(pairs, "pairs", empty=True)
        if A.shape != shape:
            raise ValueError(f"pairs have shape {A.shape} but R has {shape}")
        return rows_of(A).astype(np.intp), A.indices.astype(np.intp)
    if not isinstance(pairs, (tuple, list, np.ndarray)) or len(pairs) != 2:
        kind = type(pairs).__name__
        raise TypeError(f"pairs must be (users, items) or a sparse matrix, got {kind}")
    users, items = (np.atleast_1d(check_array("users and items", part)) for part in pairs)
    if users.ndim != 1 or users.shape != items.shape:
        what = f"{users.shape} and {items.shape}"
        raise ValueError(f"pairs need as many users as items, got shapes {what}")
    for name, part, size in zip(("users", "items"), (users, items), shape, strict=True):
        check_positions(name, np.unique(part), size)
    return users.astype(np.intp), items.astype(np.intp)


@dataclass
class _Running:
    """Sums of predictions and of their squares."""

    n: int = 0
    total: np.ndarray | float = 0.0
    squares: np.ndarray | float = 0.0

    def add(self, predicted):
        predicted = np.asarray(predicted, float)
        total, squares = self.total + predicted, self.squares + predicted**2
        self.n, self.total, self.squares = self.n + 1, total, squares

    @property
    def mean(self):
        return self.total / self.n

    @property
    def variance(self):
        return np.maximum(self.squares / self.n - self.mean**2, 0)


def _predict(draw, places, clip):
    users, items = places
    predicted = np.einsum("kf,kf->k", draw.U[users], draw.V[items], dtype=float)
    return predicted if clip is None else np.clip(predicted, *clip)


def _summarize(places, halves) -> pd.DataFrame:
    """Mean, std and r_hat of predictions, of what halves of chains have summed up."""
    halves = [half for half in halves if half.n]
    n = np.array([half.n for half in halves])
    total, squares = sum(half.total for half in halves), sum(half.squares for half in halves)
    whole = _Running(n.sum(), total, squares)
    r_hat = np.full(len(places[0]), np.nan)
    if len(halves) > 1 and n.min() > 1:
        # r_hat² = (n − 1)/n + B/W: B is the variance between the means, W that within
        within = np.mean([half.variance * half.n / (half.n - 1) for half in halves], axis=0)
        between, known = np.var([half.mean for half in halves], axis=0, ddof=1), within > 0
        r_hat[known] = np.sqrt(1 - 1 / n.mean() + between[known] / within[known])
    columns = {"user": places[0], "item": places[1], "mean": whole.mean}
    return pd.DataFrame(columns | {"std": np.sqrt(whole.variance), "r_hat": r_hat})


def _strengths(draw):
    return {
        f"{side}_{part}": value
        for side, prior in zip(SIDES, draw.priors, strict=True)
        for part, value in prior.strengths.items()
    }


def _first_draw(model) -> Draw:
    """A random start; means and precisions are drawn before they are used."""
    none = np.empty(0)
    priors = tuple(Prior(none, none, model.link(side), {}) for side in SIDES)
    return Draw(model.U, model.V, 1.0, priors)


def _sweep(draw: Draw, rows: dict, designs: dict, solve: Callable, rng) -> tuple[Draw, float]:
    """Draw priors, links and rows, of users and then of items, and the noise.

    Returns the RMSE over the ratings, too.
    """
    for side in SIDES:
        X, prior, known = draw.solved(side), draw.prior(side), np.diff(rows[side].indptr) > 0
        linked = {part: F.forward(getattr(prior.link, part)) for part, F in designs[side].items()}
        prior = _draw_prior(X, linked, prior, known, rng)
        prior, linked = _draw_links(X, linked, prior, designs[side], known, rng)
        draw = draw.with_prior(side, prior)
        means = prior.mean + sum(linked.values(), np.zeros_like(X))
        noise = _normal(rng, X.shape, X.dtype)
        X, squares = solve(draw.equation(side, rows[side], means, noise), residuals=side == "items")
        draw = draw.with_rows(side, draw.assemble(side, X))
    total, n_ratings, (shape, rate) = squares.sum(), rows["users"].nnz, PRECISION
    if not np.isfinite(total):
        raise DivergenceError("the samples are not finite; check the scale of features and ratings")
    # α | residuals ~ Γ(shape + n/2, rate + Σ residual² / 2)
    precision = rng.gamma(shape + n_ratings / 2, 1 / (rate + total / 2))
    return replace(draw, noise=float(1 / np.sqrt(precision))), float(np.sqrt(total / n_ratings))


def _draw_prior(X, linked, prior, known, rng) -> Prior:
    """Mean and precision of rows, given the links: normal and Wishart.

    Salakhutdinov and Mnih (2008), equation 14, with μ₀ = 0, W₀ = I and ν₀ as many as there are
    columns. Rows of the links, whose precision is β P, count as well.
    """
    left = (X - sum(linked.values(), np.zeros_like(X)))[known].astype(float)
    (n, k), b0 = left.shape, MEAN_WEIGHT
    mean = left.sum(axis=0) / max(n, 1)
    scatter = (left - mean).T @ (left - mean) + b0 * n / (b0 + n) * np.outer(mean, mean)
    degrees = k + n
    for part, strength in prior.strengths.items():
        B = getattr(prior.link, part).astype(float)
        scatter, degrees = scatter + strength * B.T @ B, degrees + len(B)
    scale = np.linalg.inv(np.eye(k) + scatter)
    # P = root rootᵀ, by Bartlett's decomposition: root = C A, where C Cᵀ is the scale
    A = np.tril(rng.standard_normal((k, k)), -1)
    A[np.diag_indices(k)] = np.sqrt(rng.chisquare(degrees - np.arange(k)))
    root = np.linalg.cholesky(scale) @ A
    # the mean has the precision (β₀ + n) P
    step = solve_triangular(root, rng.standard_normal(k), lower=True, trans=1)
    mean = n * mean / (b0 + n) + step / np.sqrt(b0 + n)
    return replace(prior, mean=mean.astype(X.dtype), root=root.astype(X.dtype))


def _draw_links(X, linked, prior, designs, known, rng) -> tuple[Prior, dict]:
    """B of each part of the features, the other part given, and the strength of its prior.

    A draw is the solution of (FᵀF + β I) B = Fᵀ(X + E₁) + √β E₂, where rows of E₁ and E₂ are drawn
    from N(0, P⁻¹): Simm et al. (2015), equation 6. Returns F B of each part, too.
    """
    link, strengths, linked = prior.link, dict(prior.strengths), dict(linked)
    for part, F in designs.items():
        others = sum((F_B for other, F_B in linked.items() if other != part), np.zeros_like(X))
        left = (X - prior.mean - others) * known[:, None].astype(X.dtype)
        old, strength = getattr(link, part), strengths.get(part, F.strength)
        right = F.backward(left + prior.unwhiten(_normal(rng, X.shape, X.dtype)))
        right += np.sqrt(strength) * prior.unwhiten(_normal(rng, old.shape, X.dtype))
        B = F.solve(right, strength, old).astype(X.dtype)
        # β | B ~ Γ(shape + size/2, rate + tr(B P Bᵀ) / 2)
        squares, (shape, rate) = np.sum(np.square(prior.whiten(B)), dtype=float), STRENGTH
        strengths[part] = float(rng.gamma(shape + B.size / 2, 1 / (rate + squares / 2)))
        link, linked[part] = replace(link, **{part: B}), F.forward(B)
    return replace(prior, link=link, strengths=strengths), linked


def _normal(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype, copy=False)


@dataclass(frozen=True, eq=False)
class _Design:
    """F of one part of a side's features, and how to solve (FᵀF + β I) B = right."""

    forward: Callable  # B ↦ F B, of all rows
    backward: Callable  # Z ↦ Fᵀ Z, of rows with ratings, which alone tell of B
    diagonal: np.ndarray  # of FᵀF, as a column
    strength: float  # β, to begin with
    eigen: tuple | None  # values and vectors of FᵀF or F Fᵀ, of the smaller, if that is small

    def solve(self, right, strength, B):
        """(FᵀF + β I)⁻¹ right; B is a first guess."""
        if self.eigen is None:
            β = B.dtype.type(strength)
            return _conjugate_gradients(
                lambda B: self.backward(self.forward(B)) + β * B, right, B, self.diagonal + β
            )
        values, vectors = self.eigen

        def invert(Z):
            return vectors @ ((vectors.T @ Z) / (values + strength)[:, None])

        if len(values) == len(right):
            return invert(right)
        # Woodbury: (I − Fᵀ (F Fᵀ + β I)⁻¹ F) / β
        return (right - self.backward(invert(self.forward(right)))) / strength


def _designs(link, rows, columns, n_workers) -> dict:
    """The parts of a side's features, by name."""
    parts, n_ratings = {}, np.diff(rows.indptr)
    if link is not None and link.rated is not None:
        root = unit_rows(rows, rows.dtype)
        parts["rated"] = _design(
            sp.csr_array((np.repeat(root, n_ratings), rows.indices, rows.indptr), rows.shape),
            lambda B: root * sum_rated(rows, B, n_workers),
            lambda Z: sum_rated(columns, root * Z, n_workers),
        )
    if link is not None and link.given is not None:
        known = (n_ratings > 0).astype(rows.dtype)
        F = sp.csr_array(link.features.multiply(known[:, None]))
        Ft = F.T.tocsr()
        parts["given"] = _design(F, lambda B: link.features @ B, lambda Z: Ft @ Z)
    return parts


def _design(F, forward, backward) -> _Design:
    (n, m), eigen = F.shape, None
    if min(n, m) <= DIRECT:
        gram = (F @ F.T if n < m else F.T @ F).toarray().astype(float)
        if not np.isfinite(gram).all():
            raise ValueError("the features are too large: their squares overflow")
        eigen = eigh(gram)
    diagonal = F.power(2).sum(axis=0)[:, None]
    return _Design(forward, backward, diagonal, n / m, eigen)


def _conjugate_gradients(multiply, right, X, diagonal, tol: float = 1e-3, n_steps: int = 100):
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


@one_blas_thread()
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
    if not isinstance(model, (Factorization, Posterior)):
        kind = type(model).__name__
        raise TypeError(f"model must be a fitted Factorization or a Posterior, got {kind}")
    if getattr(getattr(model, "settings", None), "confidence", None) is not None:
        raise ValueError("model must be one of ratings in stars, fitted without confidence")
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
        penalties = model.settings.penalties("users", np.array([len(known) + n_items]), size)
    # in units in which the precisions of the prior and of the noise are both I
    Ys = [e.Y.astype(float) / np.sqrt(p) for e, p in zip(equations, penalties, strict=True)]
    if not all(np.isfinite(np.vdot(Y, Y)) for Y in Ys):
        raise ValueError("the model's factors hold NaN or ∞, or are too large")
    try:
        covariances = [np.linalg.inv(Y[known].T @ Y[known] + np.eye(Y.shape[1])) for Y in Ys]
    except np.linalg.LinAlgError as error:
        raise ValueError("the model's λ is too small for its factors; take a larger λ") from error
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
