"""Long and large: does memory, or anything else, grow with use, and how much does a big fit take?

``python tests/benchmarks/soak.py`` takes some minutes on two cores. It makes 200 fits, 10,000
updates and 2,000 calls for lists in one process, and says what the process holds before and after;
then it fits 20 million made-up ratings. It fails if anything has grown.
"""

from __future__ import annotations

import gc
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import psutil
import scipy.sparse as sp
from bench import make_heavy_tailed

import alsnb

SLACK = 8  # MB of resident memory; a leak of 1 KB a call would be 10


def held() -> dict[str, float]:
    """What this process holds."""
    gc.collect()
    me = psutil.Process()
    memory, children = me.memory_info().rss / 2**20, len(me.children())
    files = me.num_fds() if hasattr(me, "num_fds") else me.num_handles()
    return {"MB": memory, "threads": me.num_threads(), "processes": children, "files": files}


def fits(n_calls: int) -> None:
    """With each executor, precision and solver by turns; one in ten with processes."""
    R, _, _ = alsnb.make_low_rank_ratings(300, 200, noise=0.5, rng=0)
    kinds = ["serial", "threads", "threads", "serial", "readable"] * 2
    for k in range(n_calls):
        executor = "processes" if k % 10 == 9 else kinds[k % 10]
        options = {"executor": executor, "dtype": ("f4", "f8")[k // 10 % 2], "verbose": False}
        options["solver"] = ("exact", "cg")[k // 20 % 2]
        settings = {"bias": True, "implicit_features": k % 2 == 0}
        alsnb.ALS(8, 1.0, **settings).fit(R, 3, rng=k, **options)


def updates(n_calls: int) -> None:
    """Of one user after the other; the model and R replace those before."""
    R, _, _ = alsnb.make_low_rank_ratings(300, 200, noise=0.5, rng=0)
    model = alsnb.ALS(8, 1.0, bias=True).fit(R, 3, rng=0, verbose=False)
    for k in range(n_calls):
        model, R = alsnb.add_rating_optimized(k % 300, k % 7, 1 + k % 5, R, model)


def lists(n_calls: int) -> None:
    """For one user, for all, and scored."""
    train, test = alsnb.train_test_split(alsnb.make_low_rank_ratings(rng=0)[0], rng=0)
    model = alsnb.ALS(4, 1.0).fit(train, 3, rng=0, verbose=False)
    for k in range(n_calls):
        if k % 4:
            model.recommend(None if k % 2 else k % 60, train, n_workers=2)
        else:
            alsnb.evaluate_lists(model, train, test)


def large(n_ratings: int = 20_000_000, n_iterations: int = 3) -> dict[str, float]:
    """Seconds and peak memory of a fit with f = 64, float32, on threads, in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/R.npz"
        sp.save_npz(path, make_heavy_tailed(n_ratings).astype("f4"), compressed=False)
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            return pool.submit(fit_large, path, n_iterations).result()


def fit_large(path, n_iterations) -> dict[str, float]:
    """What `large` returns, of ratings in a file."""
    before, R = psutil.Process().memory_info().rss, sp.load_npz(path)
    size, times = R.data.nbytes + R.indices.nbytes + R.indptr.nbytes, []
    alsnb.ALS(64, 1.0).fit(
        R, n_iterations, rng=0, dtype="f4", verbose=False,
        callback=lambda *_: times.append(time.perf_counter()),
    )  # fmt: skip
    status = Path("/proc/self/status").read_text()  # getrusage counts the parent's peak, too
    peak = 1024 * int(status.partition("VmHWM:")[2].split()[0]) - before
    row = {"ratings": R.nnz, "users": R.shape[0], "items": R.shape[1], "R, MB": size / 2**20}
    row |= {"s per iteration": (times[-1] - times[0]) / (n_iterations - 1)}
    return row | {"peak, R included, MB": peak / 2**20, "as a multiple of R": peak / size}


def main() -> None:
    """Print both tables, and fail if anything has grown."""
    rows = []
    for work, n_calls in ((fits, 200), (updates, 10_000), (lists, 2_000)):
        work(n_calls // 4)
        before, start = held(), time.perf_counter()
        work(n_calls)
        after, seconds = held(), time.perf_counter() - start
        row = {"work": work.__name__, "calls": n_calls, "seconds": round(seconds, 1)}
        rows.append(row | {k: f"{before[k]:.0f} → {after[k]:.0f}" for k in before})
        assert after["MB"] < before["MB"] + SLACK, (work.__name__, before, after)
        assert all(after[k] <= before[k] for k in ("threads", "processes", "files")), (
            before,
            after,
        )
    print(pd.DataFrame(rows).to_string(index=False), end="\n\n")
    print(pd.Series(large()).round(2).to_string())


if __name__ == "__main__":
    main()
