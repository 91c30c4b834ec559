"""What solving rows inexactly costs and gains: error against seconds, for the chapter on lists.

``python tests/benchmarks/solvers.py`` takes some minutes on two cores, and times: run it alone. It
fits implicit feedback to the training part of MovieLens 100K, where everything rated counts as
positive, with the tuned settings of `lists.csv`, from one start: exactly, and with a few steps of
conjugate gradients a row. After each iteration it notes the objective, and the seconds so far, the
median of runs that take turns. All of it is written to `solvers.csv`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from lists import SPLITS, TABLE, TUNED, ones, read

from alsnb import ALS, evaluate_lists, load_movielens

SOLVERS = Path(__file__).with_name("solvers.csv")
FACTORS = [32, 64, 128, 256]
RUNS = {"exact": {}} | {
    f"cg, {n} step{'s' * (n > 1)}": {"solver": "cg", "cg_steps": n} for n in (1, 2, 3, 5)
}
ITERATIONS = {"exact": 15} | dict.fromkeys([*RUNS][1:], 30)
LOWEST = 60  # iterations of the exact solver that say how low the objective gets


def tuned_settings():
    """Of the best model of clicks, but for its number of factors and of iterations."""
    table = pd.read_csv(TABLE).set_index(["model", "split"])
    settings = read(table.loc[(TUNED, next(iter(SPLITS))), "settings"])
    return {k: v for k, v in settings.items() if k not in ("n_factors", "n_iterations")}


def fit(R, n_factors, n_iterations, **solver):
    """A fit, and the seconds after each of its iterations."""
    stamps = [time.perf_counter()]
    model = ALS(n_factors, **tuned_settings()).fit(
        R,
        n_iterations,
        rng=0,
        verbose=False,
        callback=lambda *_: stamps.append(time.perf_counter()),
        **solver,
    )
    return model, np.array(stamps[1:]) - stamps[0]


def race(R_train, R_test, n_factors, repeats):
    """A row for each solver and iteration: objective above the lowest, seconds, NDCG at the end."""
    lowest = fit(R_train, n_factors, LOWEST)[0].objectives.min()
    seconds = {name: [] for name in RUNS}
    models = {}
    for _ in range(repeats):
        for name, solver in RUNS.items():
            models[name], stamps = fit(R_train, n_factors, ITERATIONS[name], **solver)
            seconds[name].append(stamps)
    lowest = min(lowest, *(model.objectives.min() for model in models.values()))
    for name, model in models.items():
        ndcg = evaluate_lists(model, R_train, R_test).loc["ndcg", "value"]
        table = pd.DataFrame(
            {"f": n_factors, "solver": name, "seconds": np.median(seconds[name], 0)}
        )
        table.insert(2, "iteration", np.arange(1, len(table) + 1))
        table["excess"] = model.objectives / lowest - 1
        table["ndcg"] = np.where(table["iteration"] == len(table), ndcg, np.nan)
        yield table


def reached(table, excess=1e-3):
    """Seconds until the objective is so near to the lowest: a row for each f, a column a solver."""
    first = table[table["excess"] <= excess].groupby(["f", "solver"], sort=False)["seconds"].min()
    return first.reset_index().pivot_table("seconds", "f", "solver").reindex(columns=[*RUNS])


def main():
    """Fit, print, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="seconds are medians of so many")
    options = parser.parse_args()
    R_train, R_test = next(iter(SPLITS.values()))(load_movielens("100k"))
    R_train, tables = ones(R_train), []
    for solver in RUNS.values():
        fit(R_train, 8, 1, **solver)  # compiles
    for f in FACTORS:
        tables += race(R_train, R_test, f, options.repeats)
        last = [table.tail(1) for table in tables if table["f"].iloc[0] == f]
        print(pd.concat(last).to_string(index=False), flush=True)
    table = pd.concat(tables).round({"seconds": 5, "ndcg": 4})
    table["excess"] = [float(f"{value:.4g}") for value in table["excess"]]
    table.to_csv(SOLVERS, index=False)
    print("seconds until the objective is within 0.1 % of the lowest")
    print(reached(table).round(2).to_string())


if __name__ == "__main__":
    main()
