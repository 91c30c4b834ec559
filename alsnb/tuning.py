"""Choosing settings: a grid search on a validation set, early stopping, cross-validation."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from itertools import product
from numbers import Integral
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from .checks import check_clip, check_count, check_dtype, check_ratings
from .executors import choose_executor, count_cores
from .metrics import calculate_rmse
from .parallel import als_matrix_factorization_parallel
from .processes import spawn_workers

SETTINGS = {"n_factors", "lambda_reg", "reg_exponent", "bias", "bias_reg", "implicit_weight"}
SETTINGS |= {"implicit_reg", "rng", "dtype"}
RESULTS = ["n_iterations", "train_rmse", "validation_rmse", "seconds", "error"]


def grid_search(
    R_train,
    R_validation,
    grid: Mapping[str, Iterable],
    *,
    n_iterations: int | Iterable[int] = 20,
    clip: tuple[float, float] | None = None,
    sample: int | None = None,
    executor="threads",
    n_workers: int | None = None,
    path=None,
    verbose: bool = True,
    rng: int = 0,
    dtype=np.float32,
    **settings,
) -> pd.DataFrame:
    """Fit every combination of settings and score each on a validation set.

    Combinations are fitted side by side, one worker each. One fit serves all iteration counts on
    its way. With `path` whatever is done is in that file, and is not done again: interrupt the
    search, call it again, and it goes on. `settings` are arguments that all fits share.

    Parameters
    ----------
    R_train, R_validation : scipy.sparse array or matrix, shape (n_users, n_items)
        Both cut from the training ratings: the test set is for afterwards.
    grid : mapping of str to iterable
        Values to try for arguments of `als_matrix_factorization_parallel`, by name.
    n_iterations : int or iterable of int
        The number of iterations, or several of which each is reported.
    clip : (float, float), optional
        As for `calculate_rmse`; of the validation error only.
    sample : int, optional
        Try only so many combinations, drawn at random: random search.
    executor : {"threads", "serial", "processes"}, Dask client or concurrent.futures.Executor
        Where fits run: as in `als_matrix_factorization_parallel`, or in a pool that was there
        before and stays. Small fits gain little from threads; processes take seconds to start.
    n_workers : int, optional
        Fits at a time, by default as many as there are cores. Only with a name.
    path : str or path, optional
        A CSV file of results, made if it is not there.
    verbose : bool
        Show a progress bar.
    rng : int
        Seed of every fit, and of `sample`.
    dtype : float32 or float64
        Of every fit.

    Returns
    -------
    DataFrame, one row for each combination and number of iterations, in the order of the grid
        The settings; n_iterations; train_rmse and validation_rmse (stars); seconds of the fit up
        to there; error, the message of a fit that failed, whose figures are missing.

    Raises
    ------
    TypeError, ValueError
        If the ratings are not what they should be, the grid is empty, or `path` holds the results
        of other data or settings.

    References
    ----------
    Bergstra and Bengio (2012), *Random search for hyper-parameter optimization*.
    """
    if not isinstance(executor, Executor):
        choose_executor(executor, n_workers)  # complains
    elif n_workers is not None:
        raise ValueError("n_workers is the pool's own affair; leave it out with an Executor")
    R_train, R_validation = check_ratings(R_train), check_ratings(R_validation, "R_validation")
    if R_validation.shape != R_train.shape:
        raise ValueError(f"R_validation has shape {R_validation.shape} but R {R_train.shape}")
    grid = {name: list(values) for name, values in grid.items()}
    configurations = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    if not grid or not configurations:
        raise ValueError("grid must name at least one setting, with at least one value each")
    if wrong := sorted({*grid, *settings} - SETTINGS | set(grid) & set(settings)):
        raise ValueError(f"{', '.join(wrong)}: not a setting to try, or given twice; see help")
    if sample is not None and check_count("sample", sample) < len(configurations):
        chosen = np.random.default_rng(rng).choice(len(configurations), sample, replace=False)
        configurations = [configurations[k] for k in sorted(chosen)]
    counts = [n_iterations] if isinstance(n_iterations, Integral) else [*n_iterations]
    counts = sorted({check_count("n_iterations", one) for one in counts})
    if not counts:
        raise ValueError("n_iterations must be a number, or several of them, got none")
    clip = check_clip(clip)
    settings |= {"rng": check_count("rng", rng, low=0), "dtype": check_dtype(dtype).name}
    fit = (R_train, R_validation, counts, clip, settings)
    mark = _fingerprint(*fit)
    done = {} if path is None or not Path(path).exists() else _read(path, list(grid), mark)
    todo = [config for config in configurations if _key(config) not in done]
    with (
        _pool(executor, n_workers) as pool,
        tqdm(total=len(todo), unit="fit", disable=not verbose) as bar,
    ):
        futures = {pool.submit(_fit, config, *fit): config for config in todo}
        try:
            for future in as_completed(futures):
                done[_key(futures[future])] = future.result()
                if path is not None:
                    _write(path, list(grid), mark, done)
                bar.update()
        except BaseException:
            for future in futures if executor != "processes" else ():  # those are killed
                future.cancel()
            raise
    rows = [config | row for config in configurations for row in done[_key(config)]]
    return pd.DataFrame(rows, columns=[*grid, *RESULTS])


def cross_validate(
    folds: Iterable, *, clip: tuple[float, float] | None = None, **settings
) -> pd.DataFrame:
    """Fit with the same settings on each fold's training part, and score its test part once.

    `settings` are arguments of `als_matrix_factorization_parallel`.

    Parameters
    ----------
    folds : iterable of (R_train, R_test)
        From `k_fold` or `official_folds`.
    clip : (float, float), optional
        As for `calculate_rmse`; of the test error only.

    Returns
    -------
    DataFrame, one row a fold, counted from 1
        train_rmse, test_rmse (stars), seconds.
    """
    rows = []
    for R_train, R_test in folds:
        start = time.perf_counter()
        model = als_matrix_factorization_parallel(R_train, **{"verbose": False} | settings)
        seconds = time.perf_counter() - start
        test_rmse = calculate_rmse(R_test, model.U, model.V, clip=clip)
        rows.append((model.train_errors[-1], test_rmse, seconds))
    names = ["train_rmse", "test_rmse", "seconds"]
    return pd.DataFrame(rows, columns=names, index=pd.RangeIndex(1, len(rows) + 1, name="fold"))


def _fit(config, R_train, R_validation, counts, clip, settings) -> list[dict]:
    """Fit one combination in one thread; a row for each of the wanted numbers of iterations."""
    rows, start = [], time.perf_counter()

    def note(iteration, U, V):
        if iteration in counts:
            error = calculate_rmse(R_validation, U, V, clip=clip)
            rows.append({"n_iterations": iteration, "validation_rmse": error})
            rows[-1]["seconds"] = time.perf_counter() - start

    try:
        options = settings | config | {"n_iterations": counts[-1], "verbose": False}
        fit = als_matrix_factorization_parallel(
            R_train, executor="serial", callback=note, **options
        )
    except Exception as error:  # a row of the table, not the end of the search
        return [{"n_iterations": counts[-1], "error": f"{type(error).__name__}: {error}"}]
    errors = fit.train_errors
    return [row | {"train_rmse": errors[row["n_iterations"] - 1], "error": ""} for row in rows]


def _pool(executor, n_workers):
    """A `concurrent.futures` executor for whole fits."""
    if isinstance(executor, Executor):
        return nullcontext(executor)
    n_workers = 1 if executor == "serial" else n_workers or count_cores()
    if executor == "processes":
        return spawn_workers(n_workers)
    return (
        ThreadPoolExecutor(n_workers)
        if isinstance(executor, str)
        else executor.get_executor(pure=False)
    )


def _fingerprint(*parts) -> str:
    """Eight digits that change with the data or with what all fits share."""
    digest = hashlib.sha256()
    for part in parts:
        arrays = [part.indptr, part.indices, part.data] if hasattr(part, "indptr") else []
        for array in arrays:
            digest.update(np.ascontiguousarray(array).tobytes())
        if not arrays:
            digest.update(repr(sorted(part.items()) if isinstance(part, dict) else part).encode())
    return digest.hexdigest()[:8]


def _key(config) -> tuple[str, ...]:
    return tuple(map(str, config.values()))


def _write(path, names, mark, done) -> None:
    """Write results as CSV; whoever reads the file finds all of it or what was there before."""
    rows = [dict(zip(names, key, strict=True)) | row for key in done for row in done[key]]
    part = Path(f"{path}.{os.getpid()}.part")
    try:
        table = pd.DataFrame(rows, columns=[*names, *RESULTS])
        table.assign(fingerprint=mark).to_csv(part, index=False)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _read(path, names, mark) -> dict:
    """What `_write` wrote, less the fits that failed, which are to be tried again."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if list(table) != [*names, *RESULTS, "fingerprint"] or {*table["fingerprint"]} - {mark}:
        raise ValueError(f"{path} holds results of other data or settings; pass another path")
    done = {}
    for row in table[table["error"] == ""].to_dict("records"):
        figures = {name: float(row[name]) for name in RESULTS[1:-1]}
        figures = {"n_iterations": int(row["n_iterations"])} | figures | {"error": ""}
        done.setdefault(tuple(row[name] for name in names), []).append(figures)
    return done
