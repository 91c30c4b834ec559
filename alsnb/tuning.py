"""Choosing settings: a grid search on a validation set, and cross-validation."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import fields
from itertools import product

import numpy as np
import pandas as pd

from .metrics import calculate_rmse, check_clip, evaluate_lists
from .model import ALS
from .ratings import check_count, check_dtype, check_held_out, check_ratings, check_rng
from .timing import Progress, check_workers, one_blas_thread, open_threads

FEATURES = ("user_features", "item_features")
METRICS = "rmse", "ndcg"  # of which less is better, and more


def grid_search(
    R_train,
    R_validation,
    grid: Mapping[str, Iterable],
    *,
    n_iterations: int | Iterable[int] = 20,
    metric: str = "rmse",
    clip: tuple[float, float] | None = None,
    sample: int | None = None,
    executor="threads",
    n_workers: int | None = None,
    verbose: bool = True,
    rng: int = 0,
    dtype=np.float32,
    **settings,
) -> pd.DataFrame:
    r"""Fit every combination of settings and score each on a validation set.

    Combinations are fitted side by side, one worker each. One fit serves all iteration counts on
    its way.

    Parameters
    ----------
    R_train, R_validation : scipy.sparse array or matrix, shape (n_users, n_items)
        Both cut from the training ratings: the test set is for afterwards.
    grid : mapping of str to iterable
        Values to try for the settings of `ALS`, for rng or for dtype, by name.
    n_iterations : int or iterable of int
        The number of iterations, or several of which each is reported.
    metric : {"rmse", "ndcg"}
        What to score by: the error of predicted ratings, or NDCG@10 of the lists, where more is
        better; see `evaluate_lists`.
    clip : (float, float), optional
        As for `calculate_rmse`; of the validation error only.
    sample : int, optional
        Try only so many combinations, drawn at random: random search.
    executor : {"threads", "serial"} or concurrent.futures.Executor
        Where fits run. Any pool will do: a ProcessPoolExecutor, or that of a Dask client,
        ``client.get_executor(pure=False)``.
    n_workers : int, optional
        Threads, by default as many as there are cores.
    verbose : bool
        Show a progress bar.
    rng : int
        Seed of every fit, and of `sample`.
    dtype : float32 or float64
        Of every fit.
    **settings
        Settings of `ALS` that all fits share; user_features and item_features, too.

    Returns
    -------
    DataFrame, one row for each combination and number of iterations, in the order of the grid
        The settings; n_iterations; train_rmse, the fit's own error, and validation_rmse (stars),
        or validation_ndcg; seconds of the fit up to there; error, the message of a fit that failed,
        whose figures are missing.

    Raises
    ------
    TypeError, ValueError
        If the ratings are not what they should be, the two parts share any, or the grid is empty or
        names what is no setting.

    References
    ----------
    Bergstra and Bengio (2012), *Random search for hyper-parameter optimization*.

    Examples
    --------
    >>> from alsnb import make_low_rank_ratings, train_test_split
    >>> R, _, _ = make_low_rank_ratings(noise=0.3, rng=0)
    >>> train, validation = train_test_split(R, rng=0)
    >>> grid = {"n_factors": [1, 3], "lambda_reg": [0.1, 1.0]}
    >>> table = grid_search(train, validation, grid, verbose=False)
    >>> best_settings(table)
    {'n_factors': 3, 'lambda_reg': 0.1, 'n_iterations': 20}
    >>> print(*edges_reached(table), sep="\n")
    n_factors = 3 is the largest of 2 tried
    lambda_reg = 0.1 is the smallest of 2 tried
    """
    if not isinstance(executor, Executor):
        if executor not in ("threads", "serial"):
            raise ValueError(
                f"executor must be 'threads', 'serial' or a pool of concurrent.futures, got "
                f"{executor!r}; for processes pass ProcessPoolExecutor(2, get_context('spawn'))"
            )
        n_workers = check_workers(n_workers)
    elif n_workers is not None:
        raise ValueError("n_workers is the pool's own affair; leave it out with an Executor")
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {', '.join(map(repr, METRICS))}, got {metric!r}")
    if metric != "rmse" and clip is not None:
        raise ValueError(f"clip is for predicted ratings; leave it out with metric={metric!r}")
    R_train = check_ratings(R_train, "R_train")
    R_validation = check_held_out(R_validation, R_train, "R_validation")
    configurations = _combine(grid, settings)
    if metric == "rmse" and any((settings | one).get("confidence") for one in configurations):
        raise ValueError("with confidence there are no stars to predict; pass metric='ndcg'")
    if sample is not None and check_count("sample", sample) < len(configurations):
        chosen = check_rng(rng).choice(len(configurations), sample, replace=False)
        configurations = [configurations[k] for k in sorted(chosen)]
    several = np.iterable(n_iterations) and not isinstance(n_iterations, str)
    counts = [*n_iterations] if several else [n_iterations]
    counts = sorted({check_count("n_iterations", one) for one in counts})
    if not counts:
        raise ValueError("n_iterations must be a number, or several of them, got none")
    settings |= {"rng": check_count("rng", rng, low=0), "dtype": check_dtype(dtype).name}
    fit = (R_train, R_validation, counts, metric, check_clip(clip), settings)
    stopped = []

    def search(_):
        done = {}
        with (
            _pool(executor, n_workers) as pool,
            Progress(total=len(configurations), unit="fit", disable=not verbose) as bar,
        ):
            futures = {
                pool.submit(_fit, one, *fit, stopped): k for k, one in enumerate(configurations)
            }
            waiting = set(futures)
            try:
                while waiting and not stopped:
                    ended, waiting = wait(waiting, timeout=0.1, return_when=FIRST_COMPLETED)
                    done |= {futures[future]: future.result() for future in ended}
                    bar.update(len(ended))
            finally:
                for future in waiting:
                    future.cancel()
        return done

    with one_blas_thread(), open_threads(1) as map_on_threads:
        try:
            (done,) = map_on_threads(search, [None])
        except BaseException:
            stopped.append(True)  # fits that run on threads end with their iteration
            raise
    rows = [one | row for k, one in enumerate(configurations) for row in done[k]]
    results = ["n_iterations", "train_rmse", f"validation_{metric}", "seconds", "error"]
    table = pd.DataFrame(rows, columns=[*grid, *results])
    for name in grid:  # None stays None
        if any(row[name] is None for row in rows):
            table[name] = pd.Series([row[name] for row in rows], dtype=object)
    return table


def best_settings(found: pd.DataFrame) -> dict:
    """Settings of the row that validates best, as `ALS.fit` and its kin take them.

    Parameters
    ----------
    found : DataFrame
        From `grid_search`.

    Returns
    -------
    dict of str to value
        Of the grid, and n_iterations.

    Raises
    ------
    ValueError
        If no fit has a validation error.

    Examples
    --------
    >>> found = pd.DataFrame({"lambda_reg": [1, 3], "n_iterations": 20})
    >>> best_settings(found.assign(validation_rmse=[0.95, 0.93]))
    {'lambda_reg': 3, 'n_iterations': 20}
    """
    known = isinstance(found, pd.DataFrame)
    metric = next((one for one in METRICS if known and f"validation_{one}" in found), None)
    if metric is None:
        what = " or ".join(f"validation_{one}" for one in METRICS)
        raise ValueError(f"found must be a table of grid_search, with a column {what}")
    scores = found[f"validation_{metric}"]
    if not scores.notna().any():
        raise ValueError("found has no fit with a validation error; its column error says why")
    row = np.nanargmin(scores if metric == "rmse" else -scores)
    results = {"train_rmse", scores.name, "seconds", "error"}
    best = {name: found[name].iloc[row] for name in found if name not in results}
    return {name: v.item() if isinstance(v, np.generic) else v for name, v in best.items()}


def edges_reached(found: pd.DataFrame) -> list[str]:
    """Say which of the best settings are the smallest or the largest that were tried.

    Beyond such an edge there may be something better: widen the list, and search again. Settings
    that are no numbers, or have one value, have no edge; nor have seeds.

    Parameters
    ----------
    found : DataFrame
        From `grid_search`.

    Returns
    -------
    list of str
        A sentence for each of them; empty if the best lies inside all lists.

    Raises
    ------
    ValueError
        If no fit has a validation error.

    Examples
    --------
    >>> found = pd.DataFrame({"lambda_reg": [1, 3, 10], "n_iterations": 20})
    >>> edges_reached(found.assign(validation_rmse=[0.95, 0.93, 0.97]))
    []
    >>> edges_reached(found.assign(validation_rmse=[0.95, 0.93, 0.91]))
    ['lambda_reg = 10 is the largest of 3 tried']
    """
    said = []
    for name, value in best_settings(found).items():
        tried = found[name].drop_duplicates()
        number = pd.api.types.is_numeric_dtype(tried) and not pd.api.types.is_bool_dtype(tried)
        if not number or len(tried) == 1 or name == "rng":
            continue
        for edge, which in ((tried.min(), "smallest"), (tried.max(), "largest")):
            if value == edge:
                said.append(f"{name} = {value:g} is the {which} of {len(tried)} tried")
    return said


def cross_validate(
    folds: Iterable, *, clip: tuple[float, float] | None = None, **settings
) -> pd.DataFrame:
    """Fit with the same settings on each fold's training part, and score its test part once.

    Parameters
    ----------
    folds : iterable of (R_train, R_test)
        From `k_fold` or `official_folds`.
    clip : (float, float), optional
        As for `calculate_rmse`; of the test error only.
    **settings
        Those of `ALS`, and of its method `fit`.

    Returns
    -------
    DataFrame, one row a fold, counted from 1
        train_rmse, test_rmse (stars), seconds.

    Raises
    ------
    TypeError, ValueError
        If there are no folds, a fold is not a pair, or its parts share ratings; and as `ALS.fit`.

    Examples
    --------
    >>> from alsnb import k_fold, make_low_rank_ratings
    >>> R, _, _ = make_low_rank_ratings(rng=0)
    >>> table = cross_validate(k_fold(R, 3, rng=0), n_factors=3, lambda_reg=0.01)
    >>> list(table), len(table)
    (['train_rmse', 'test_rmse', 'seconds'], 3)
    """
    names = {field.name for field in fields(ALS)}
    als = ALS(**{name: value for name, value in settings.items() if name in names})
    options = {name: value for name, value in settings.items() if name not in names}
    if als.confidence is not None:
        raise ValueError("with confidence there are no stars to predict; use evaluate_lists")
    if not np.iterable(folds):
        raise TypeError(f"folds must be pairs (R_train, R_test), got {type(folds).__name__}")
    rows = []
    for fold in folds:
        if not isinstance(fold, (tuple, list)) or len(fold) != 2:
            raise TypeError(
                "folds must be pairs (R_train, R_test), as k_fold makes them; for a single split "
                "pass [(R_train, R_test)]"
            )
        R_train, R_test = fold
        R_test = check_held_out(R_test, check_ratings(R_train, "R_train"), "R_test")
        start = time.perf_counter()
        model = als.fit(R_train, **{"verbose": False} | options)
        seconds = time.perf_counter() - start
        test_rmse = calculate_rmse(R_test, model.U, model.V, clip=clip)
        rows.append((model.train_errors[-1], test_rmse, seconds))
    if not rows:
        raise ValueError("there are no folds: is this an iterator that was used up?")
    index = pd.RangeIndex(1, len(rows) + 1, name="fold")
    return pd.DataFrame(rows, columns=["train_rmse", "test_rmse", "seconds"], index=index)


def _combine(grid, settings):
    """All combinations of a grid, each a dict; or TypeError or ValueError."""
    if not isinstance(grid, Mapping):
        raise TypeError(f"grid must map settings to lists of values, got {type(grid).__name__}")
    known = {field.name for field in fields(ALS)} | {"rng", "dtype"}
    if wrong := sorted(
        map(str, {*grid, *settings} - known - {*FEATURES} | {*grid} & {*settings, *FEATURES})
    ):
        names = ", ".join(wrong)
        raise ValueError(f"grid and settings: {names} is no setting of ALS, or given twice")
    for name, values in grid.items():
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise TypeError(f"the grid's {name} must be a list of values, got {values!r}")
    combinations = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    if not grid or not combinations:
        raise ValueError("grid must name at least one setting, with at least one value each")
    return combinations


def _fit(config, R_train, R_validation, counts, metric, clip, settings, stopped) -> list[dict]:
    """Fit one combination in one thread; a row for each of the wanted numbers of iterations."""
    rows, start = [], time.perf_counter()

    def note(iteration, U, V):
        if iteration in counts:
            if metric == "rmse":
                score = calculate_rmse(R_validation, U, V, clip=clip)
            else:
                score = evaluate_lists((U, V), R_train, R_validation).loc[metric, "value"]
            rows.append({"n_iterations": iteration, f"validation_{metric}": score})
            rows[-1]["seconds"] = time.perf_counter() - start
        return bool(stopped)

    options = settings | config
    how = {name: options.pop(name) for name in ("rng", "dtype", *FEATURES) if name in options}
    how |= {"executor": "serial", "callback": note, "verbose": False}
    try:
        errors = ALS(**options).fit(R_train, counts[-1], **how).train_errors
    except Exception as error:  # a row of the table, not the end of the search
        return [{"n_iterations": counts[-1], "error": f"{type(error).__name__}: {error}"}]
    return [row | {"train_rmse": errors[row["n_iterations"] - 1], "error": ""} for row in rows]


def _pool(executor, n_workers):
    """A `concurrent.futures` executor for whole fits."""
    if isinstance(executor, Executor):
        return nullcontext(executor)
    return ThreadPoolExecutor(1 if executor == "serial" else n_workers)
