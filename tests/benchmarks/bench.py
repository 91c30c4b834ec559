"""Measure speed and memory, as ratios in one run; ``--help`` says how.

``python tests/benchmarks/bench.py`` prints tables and writes them as JSON. Contenders take turns,
and each figure is a median: a noisy machine troubles all of them alike. Run it alone. With
``--before CHECKOUT`` another checkout of this project takes part.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import resource
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import live
import numpy as np
import scipy
import scipy.sparse as sp
from contenders import PEERS, Before, implicit, parallel, sequential, textbook

from alsnb import (
    ALS,
    als_matrix_factorization_parallel,
    evaluate_lists,
    load_movielens,
    sample_factorization,
    train_test_split,
)
from alsnb.ridge import which_blas

HERE = Path(__file__).resolve()
OVER = "(peak - compiled) / needed"
OURS = {name: parallel(name) for name in ("serial", "threads", "processes")}


def make_heavy_tailed(n_ratings, seed=0):
    """Ratings as sites collect them: log-normal degrees, 32,000 × 12,000 for 5 million ratings.

    Half stars from 0.5 to 5 of a rank-8 model with noise; the degrees' spread (σ = 1.1 for users, 2
    for items) makes their quartiles much like those of MovieLens 20M.
    """
    rng = np.random.default_rng(seed)
    n, m = round(32_000 * n_ratings / 5e6), round(12_000 * n_ratings / 5e6)
    weights = [rng.lognormal(0, spread, size) for size, spread in ((n, 1.1), (m, 2.0))]
    places = np.empty(0, np.int64)
    while len(places) < n_ratings:
        users, items = (
            rng.choice(len(w), int(1.5 * (n_ratings - len(places))) + 1000, p=w / w.sum())
            for w in weights
        )
        places = np.unique(np.concatenate([places, users.astype(np.int64) * m + items]))
    places = np.sort(rng.choice(places, n_ratings, replace=False))
    users, items = (part.astype(np.int32) for part in np.divmod(places, m))
    U, V = (rng.normal(0, 8**-0.25, (size, 8)).astype(np.float32) for size in (n, m))
    ratings = np.empty(n_ratings, np.float32)
    for start in range(0, n_ratings, 2**17):
        part = slice(start, start + 2**17)
        known = np.einsum("kf,kf->k", U[users[part]], V[items[part]])
        ratings[part] = 3.5 + 0.7 * known + rng.normal(0, 0.6, len(known))
    ratings = np.clip(np.round(2 * ratings) / 2, 0.5, 5)
    return sp.coo_array((ratings, (users, items)), shape=(n, m)).tocsr()


def clock(fit, n_iterations):
    """Seconds that a fit takes."""
    start = time.perf_counter()
    fit(n_iterations)
    return time.perf_counter() - start


def take_turns(fits, repeats):
    """Median seconds of each; `fits` maps names to (fit, iterations). One warm-up for each."""
    for fit, _ in fits.values():
        fit(1)
    times = {name: [] for name in fits}
    for _ in range(repeats):
        for name, (fit, n_iterations) in fits.items():
            times[name].append(clock(fit, n_iterations))
    return {name: float(np.median(values)) for name, values in times.items()}


def show(title, rows):
    """Print dicts as an aligned table."""
    print(f"\n{title}")
    cells = [list(rows[0])]
    cells += [
        [f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows
    ]
    widths = [max(len(row[k]) for row in cells) for k in range(len(cells[0]))]
    for row in cells:
        print("  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    sys.stdout.flush()


def movielens(options):
    """(a) and (b): all of MovieLens 100K, λ = 0.1, seconds for 20 iterations."""
    R, rows = load_movielens("100k").R, []
    makers = {"textbook": textbook, "sequential": sequential, **OURS, **PEERS}
    makers["1 thread"] = parallel("threads", 1)
    if options.before:
        makers["before"] = Before(options.before)
    for dtype in (np.float32, np.float64):
        for f in (20, 50, 100):
            makers_here = {
                name: make
                for name, make in makers.items()
                if name != "lenskit" or dtype == np.float32
            }
            slow = {"textbook": 2, "sequential": 5}  # iterations, all of one cost, scaled to 20
            fits = {
                name: (make(R, f, dtype, options.workers), slow.get(name, 20))
                for name, make in makers_here.items()
            }
            seconds = take_turns(fits, options.repeats)
            for name, n in slow.items():
                seconds[name] *= 20 / n
            seconds = {name: seconds.get(name, float("nan")) for name in makers}
            row = {"dtype": np.dtype(dtype).name, "f": f, **seconds}
            row["textbook / threads"] = seconds["textbook"] / seconds["threads"]
            row["1 thread / threads"] = seconds["1 thread"] / seconds["threads"]
            for peer in [*PEERS, *["before"] * bool(options.before)]:
                row[f"threads / {peer}"] = seconds["threads"] / seconds[peer]
            rows.append(row)
            show("MovieLens 100K, λ = 0.1: seconds for 20 iterations, start-up included", rows)
    return rows


def per_iteration(R, n_factors, executor, n_workers, n_iterations=4, dtype=np.float32, **settings):
    """Start-up, and the median of the seconds of iterations after the first."""
    stamps = [time.perf_counter()]
    als_matrix_factorization_parallel(
        R,
        n_factors,
        0.1,
        n_iterations,
        False,
        executor=executor,
        n_workers=n_workers,
        rng=0,
        dtype=dtype,
        callback=lambda *_: stamps.append(time.perf_counter()),
        **settings,
    )
    seconds = float(np.median(np.diff(stamps)[1:]))
    return stamps[1] - stamps[0] - seconds, seconds


def big(options):
    """(c): 5 million ratings, f = 64, float32: seconds per iteration, start-up, peak memory."""
    R, f = make_heavy_tailed(options.ratings), 64
    runs = {"serial": ("serial", None), "1 thread": ("threads", 1)}
    runs |= {name: (name, options.workers) for name in ("threads", "processes")}
    seconds = {name: [] for name in [*runs, *PEERS]}
    peers = {name: make(R, f, np.float32, options.workers) for name, make in PEERS.items()}
    if options.before:
        before = Before(options.before)(R, f, np.float32, options.workers)
        seconds["before"] = []
    for _ in range(options.repeats):
        if options.before:
            first, *others = before(4)
            seconds["before"].append((first - np.median(others), np.median(others)))
        for name, (executor, n_workers) in runs.items():
            seconds[name].append(per_iteration(R, f, executor, n_workers))
        for name, fit in peers.items():
            one = clock(fit, 1)
            seconds[name].append((one, (clock(fit, 3) - one) / 2))
    rows = []
    for name, values in seconds.items():
        start_up, iteration = np.median(values, axis=0)
        rows.append({"contender": name, "s / iteration": float(iteration)})
        rows[-1]["start-up, s"] = float("nan") if name in PEERS else float(start_up)
        rows[-1]["against threads"] = float(iteration) / float(
            np.median(seconds["threads"], axis=0)[1]
        )
    show(f"{R.nnz:,} ratings, {R.shape[0]:,} × {R.shape[1]:,}, f = {f}, float32", rows)
    memory = [measure_memory(options, name) for name in ("serial", "threads", "processes")]
    show("the same, each in a process of its own: memory in MB", memory)
    return {"seconds": rows, "memory": memory}


def measure_memory(options, executor, *more):
    """Run `--memory` in a fresh process, whose peak is that of the one fit."""
    command = [sys.executable, str(HERE), "--memory", executor, "--ratings", str(options.ratings)]
    command += ["--workers", str(options.workers), *more]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def memory_held(peak=True):
    """Most memory that this process has held or, where the system tells, what it holds; in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # where ru_maxrss would begin with that of the process that started us
        key = "VmHWM:" if peak else "VmRSS:"
        return int(status.read_text().split(key)[1].split()[0]) / 1e3
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, else kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def memory(options):
    """Peak memory of one fit (of processes: of the parent), over that with all libraries loaded."""
    workers = None if options.memory == "serial" else options.workers
    imported = memory_held(peak=False)
    per_iteration(load_movielens("100k").R, 64, options.memory, workers, 2)  # loads and compiles
    path = HERE.parent / f".ratings-{os.getpid()}.npz"
    command = [sys.executable, str(HERE), "--make", str(path), "--ratings", str(options.ratings)]
    try:
        subprocess.run(command, check=True)  # whose peak is not ours
        before = memory_held(peak=False)
        R = sp.csr_array(sp.load_npz(path))
    finally:
        path.unlink(missing_ok=True)
    loaded = memory_held(peak=False)
    settings = {"bias": True, "implicit_features": True} if options.implicit else {}
    settings |= {"confidence": 1.0} if options.clicks else {}
    per_iteration(R, 64, options.memory, workers, n_iterations=2, **settings)
    peak = memory_held()
    ratings = (R.data.nbytes + R.indices.nbytes + R.indptr.nbytes) / 1e6
    needed = 2 * ratings + sum(R.shape) * 64 * 4 / 1e6
    row = {"executor": options.memory, "R": ratings, "R twice, U and V": needed}
    row |= {"imported": imported, "compiled": before, "with R": loaded, "peak": peak}
    print(json.dumps(row | {OVER: (peak - before) / needed}))


def cluster(options):
    """(d): the same on a Dask cluster of two processes: what the workers hold, and seconds."""
    from distributed import Client, LocalCluster

    R, f = make_heavy_tailed(options.ratings), 64
    local = {"threads_per_worker": 1, "dashboard_address": None, "silence_logs": "ERROR"}
    with LocalCluster(options.workers, **local) as workers, Client(workers) as client:
        per_iteration(load_movielens("100k").R, f, client, None, 2)  # loads and compiles
        before = client.run(memory_held, peak=False)
        start_up, seconds = per_iteration(R, f, client, None)
        after = client.run(memory_held)
    ratings = (R.data.nbytes + R.indices.nbytes + R.indptr.nbytes) / 1e6
    share = 2 * ratings / options.workers
    factors = sum(R.shape) * f * 4 / 1e6
    row = {"s / iteration": seconds, "start-up, s": start_up, "its share of R, twice, MB": share}
    row |= {"U and V, MB": factors, "worker's peak, MB": max(after[w] - before[w] for w in after)}
    show(f"{R.nnz:,} ratings, f = {f}, on a Dask cluster of {options.workers}", [row])
    return [row]


def features(options):
    """(g): the same with what was rated as features: seconds per iteration, and peak memory."""
    R, f = make_heavy_tailed(options.ratings), 64
    biases = {"bias": True, "reg_exponent": 0.5}
    runs = {"plain": {}, "biases": biases, "what was rated": biases | {"implicit_features": True}}
    seconds = {name: [] for name in runs}
    for _ in range(options.repeats):
        for name, settings in runs.items():
            seconds[name].append(per_iteration(R, f, "threads", options.workers, **settings)[1])
    rows = [{"model": name, "s / iteration": np.median(s)} for name, s in seconds.items()]
    for row in rows:
        row["against plain"] = row["s / iteration"] / rows[0]["s / iteration"]
    memory = measure_memory(options, "threads", "--implicit")
    show(f"{R.nnz:,} ratings, f = {f}, float32, two threads", rows)
    show("the same with what was rated, in a process of its own: memory in MB", [memory])
    return {"seconds": rows, "memory": memory}


def sampler(options):
    """(h): sweeps of the sampler, beside iterations of ALS at the same sizes."""
    rows, R = [], load_movielens("100k").R
    for name in (False, True):
        samples = [clock_sampler(R, 10, 120, 40, implicit_features=name) for _ in range(3)]
        rows.append({"what was rated": name, "160 sweeps, s": np.median(samples)})
    show(f"the sampler, {R.nnz:,} ratings, f = 10, float64, two threads", rows)
    R, sweeps, iterations = make_heavy_tailed(1_000_000), [], []
    for _ in range(options.repeats):
        short, long = (clock_sampler(R, 32, n, 0) for n in (2, 12))
        sweeps.append((long - short) / 10)
        iterations.append(per_iteration(R, 32, "threads", None, 8, np.float64, bias=True)[1])
    one = {"s / sweep": np.median(sweeps), "s / iteration of ALS": np.median(iterations)}
    one["ratio"] = one["s / sweep"] / one["s / iteration of ALS"]
    show(f"the sampler, {R.nnz:,} ratings, f = 32, float64, two threads", [one])
    return [*rows, one]


def clock_sampler(R, n_factors, n_samples, burn_in, **features):
    """Seconds of one call."""
    options = {"n_draws": 2, "rng": 0, "verbose": False} | features
    start = time.perf_counter()
    sample_factorization(R, n_factors, n_samples=n_samples, burn_in=burn_in, **options)
    return time.perf_counter() - start


def clicks(options):
    """(i): implicit feedback, exact and by conjugate gradients, beside the library implicit.

    Weights are c = 1 + r and all is float32; iterations of the library's exact solver are few.
    """
    rows, big = [], make_heavy_tailed(options.ratings)
    library = importlib.util.find_spec("implicit")
    for name, R in (("MovieLens 100K", load_movielens("100k").R), (f"{big.nnz:,}", big)):
        for f, solver in product((64, 128), ("exact", "cg")):
            ours, theirs, cg = [], [], solver == "cg"
            few = not cg and R is big
            for turn in range(options.repeats):
                how = {"confidence": 1.0, "solver": solver}
                ours.append(per_iteration(R, f, "threads", options.workers, 5, **how)[1])
                if library and not (few and turn > 1):
                    took = implicit(R, f, cg, 2 if few else 5, options.workers)
                    theirs.append(np.median(took[1:]))
            row = {"ratings": name, "f": f, "solver": solver, "s / iteration": np.median(ours)}
            row["implicit"] = np.median(theirs) if theirs else float("nan")
            rows.append(row | {"ratio": row["s / iteration"] / row["implicit"]})
    show("implicit feedback, c = 1 + r, float32, two threads", rows)
    growth = [grow_clicks(share * options.ratings, options) for share in (0.25, 0.5, 1)]
    show("the same as the ratings grow, f = 64: seconds per iteration", growth)
    memory = [measure_memory(options, "threads", *more) for more in ([], ["--clicks"])]
    show("explicit, and implicit feedback, each in a process of its own: memory in MB", memory)
    R_train, R_test = train_test_split(load_movielens("100k").binarize(), 0.2, rng=0)
    model = ALS(64, 20.0, confidence=1.0).fit(R_train, 8, rng=0, verbose=False)
    took = [clock(lambda k: evaluate_lists(model, R_train, R_test, k), 10) for _ in range(21)]
    lists = [{"users": R_train.shape[0], "lists of ten and metrics, s": float(np.median(took))}]
    show("evaluate_lists, MovieLens 100K", lists)
    return {"seconds": rows, "growth": growth, "memory": memory, "lists": lists}


def grow_clicks(n_ratings, options):
    """Seconds per iteration of implicit feedback at one size."""
    R, row = make_heavy_tailed(round(n_ratings)), {"million ratings": n_ratings / 1e6}
    for solver in ("exact", "cg"):
        runs = [
            per_iteration(R, 64, "threads", options.workers, 5, confidence=1.0, solver=solver)[1]
            for _ in range(options.repeats)
        ]
        row |= {solver: np.median(runs)}
    return row


def start(options):
    """(e): seconds of the first and of the second fit in a fresh process, once all is compiled."""
    code = """
import time
marks = [time.perf_counter()]
import alsnb
R = alsnb.load_movielens("100k").R
for _ in range(3):
    marks.append(time.perf_counter())
    alsnb.als_matrix_factorization_parallel(R, 20, 0.1, 5, False, rng=0)
print([b - a for a, b in zip(marks, [*marks[1:], time.perf_counter()])])
"""
    runs = [json.loads(subprocess.check_output([sys.executable, "-c", code])) for _ in range(4)][1:]
    names = ["import and data", "first fit", "second fit", "third fit"]
    row = dict(zip(names, np.median(runs, axis=0).tolist(), strict=True))
    show("a fresh process: seconds, 5 iterations, f = 20", [row])
    return [row]


def pace(R, n_factors, options):
    """Seconds per iteration on threads, the median of several fits."""
    runs = [per_iteration(R, n_factors, "threads", options.workers) for _ in range(options.repeats)]
    return float(np.median(runs, axis=0)[1])


def growth(options):
    """(f): seconds per iteration as the ratings and as the factors grow, two threads, float32."""
    rows = []
    for millions in (0.1, 0.5, 1, 2, 5, 10):
        R = make_heavy_tailed(round(millions * 1e6))
        rows.append({"million ratings": float(millions), "s / iteration": pace(R, 64, options)})
    x, y = np.log([list(row.values()) for row in rows[1:]]).T
    exponent = float(np.polyfit(x, y, 1)[0])
    show(f"f = 64, ratings grow: exponent {exponent:.3f} from 0.5 to 10 million", rows)
    R, by_f = make_heavy_tailed(1_000_000), []
    for f in (8, 16, 32, 64, 128, 256):
        by_f.append({"f": f, "s / iteration": pace(R, f, options)})
    x, y = np.log([list(row.values()) for row in by_f]).T
    exponent_f = float(np.polyfit(x, y, 1)[0])
    show(f"1 million ratings, f grows: exponent {exponent_f:.3f}", by_f)
    return {"ratings": rows, "exponent": exponent, "factors": by_f, "exponent in f": exponent_f}


def live_updates(options):
    """(g): single users, crowds, and how good updates are."""
    tables = {
        "milliseconds, f = 100": lambda: live.latencies(options.repeats),
        "10,000 users with 20 ratings, f = 64; ten of 12,000": lambda: live.crowd(memory_held),
        "RMSE of 200 users, tuned settings": lambda: live.quality(live.TUNED, 200),
        "RMSE of 20 users, the reference's": lambda: live.quality(live.REFERENCE, 20),
        "RMSE above a fit anew, by new ratings": live.drift,
    }
    results = {}
    for title, measure in tables.items():
        results[title] = measure()
        show(title, results[title])
    return results


def describe_machine(options):
    """Processor, cores, versions and BLAS."""
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(": ")[1] for line in lines if "model name" in line), cpu)
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "workers": options.workers,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "blas": which_blas(),
    }


SECTIONS = {"movielens": movielens, "big": big, "cluster": cluster, "start": start}
SECTIONS |= {"growth": growth, "live": live_updates, "features": features, "sampler": sampler}
SECTIONS |= {"implicit": clicks}


def main():
    """Run the sections asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help="of " + ", ".join(SECTIONS))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="medians are over so many runs")
    parser.add_argument("--ratings", type=int, default=5_000_000, help="of the section 'big'")
    parser.add_argument("--before", type=Path, help="another checkout, to be timed in the same run")
    parser.add_argument("--json", type=Path, default=HERE.with_name("results.json"))
    parser.add_argument("--memory", choices=list(OURS), help=argparse.SUPPRESS)
    parser.add_argument("--implicit", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--clicks", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ratings < 100_000:
        parser.error("--ratings must be at least 100000: fewer would nearly fill their matrix")
    if options.make:
        return sp.save_npz(options.make, make_heavy_tailed(options.ratings), compressed=False)
    if options.memory:
        return memory(options)
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"unknown section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    results = {"machine": describe_machine(options), "command": " ".join(sys.argv)}
    show("machine", [results["machine"]])
    for name in options.sections or SECTIONS:
        results[name] = SECTIONS[name](options)
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nwritten to {options.json}")


if __name__ == "__main__":
    main()
