"""The wide search behind chapter 05: validation parts of training ratings only.

``python tests/benchmarks/search.py`` takes five minutes on two cores and writes its table,
`search.csv`, beside this file. From each of the five official folds a tenth of the training ratings
is held out, as in the chapter, and what is written is the mean over these five parts. No test fold
is opened. But the parts of one fold are ratings that another fold tests on, so what is chosen by
these means, for all folds at once, has had a mild view of every test set. The chapter chooses only
numbers of factors so, and which lists its folds choose from, and says so.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from alsnb import grid_search, load_movielens, official_folds, train_test_split

TABLE = Path(__file__).with_name("search.csv")
COLUMNS = ["rung", "n_factors", "lambda_reg", "bias_reg", "implicit_reg", "n_iterations"]
COLUMNS += ["validation_rmse"]
FACTORS = [2, 5, 10, 20, 30, 40]
PLAIN, WEIGHTED, HALF = (
    {"lambda_reg": values}
    for values in (
        [1, 2, 3, 5, 8, 12, 20],
        [0.03, 0.05, 0.07, 0.1, 0.14, 0.2, 0.3],
        [0.3, 0.5, 0.7, 0.9, 1.3, 1.8, 3.0],
    )
)
HALF_SETTINGS = {"reg_exponent": 0.5, "bias": True}
SEARCHES = {
    "plain": (PLAIN | {"n_factors": [1, *FACTORS]}, {}),
    "weighted": (WEIGHTED | {"n_factors": FACTORS}, {"reg_exponent": 1}),
    "biases": (WEIGHTED | {"n_factors": FACTORS}, {"reg_exponent": 1, "bias": True}),
    "half": (HALF | {"n_factors": FACTORS}, HALF_SETTINGS),
    "constant": ({"lambda_reg": [5, 8, 12, 20], "n_factors": FACTORS}, {"bias": True}),
    "plain, biases": (
        {"lambda_reg": [5, 8, 12, 20], "n_factors": [10], "bias_reg": [(5, 2), (2, 2), (10, 5)]},
        {"bias": True},
    ),
    "features": (
        {
            "lambda_reg": [0.9, 1.3, 1.8, 2.4, 3.2],
            "n_factors": FACTORS,
            "implicit_reg": [10, 20, 40, 80, 160],
        },
        HALF_SETTINGS | {"implicit_features": True},
    ),
}


def search(grid, settings, parts, **options) -> pd.DataFrame:
    """Mean validation RMSE over the parts; for each combination, at its best iteration."""
    options = {"n_iterations": [6, 8, 12, 16, 20], "clip": (1, 5), "verbose": False} | options
    tables = [grid_search(*part, grid, **settings, **options) for part in parts]
    means = pd.concat(tables).groupby([*grid, "n_iterations"], sort=False)["validation_rmse"].mean()
    means = means.reset_index()
    return means.loc[means.groupby([*grid], sort=False)["validation_rmse"].idxmin()]


def make_parts():
    """The five pairs of what is fitted and what is validated on."""
    folds = official_folds(load_movielens("100k"))
    return [train_test_split(train, 0.1, rng=0) for train, _ in folds]


def main():
    """Search, write the table, and print the five best of each."""
    parts, found = make_parts(), []
    for rung, (grid, settings) in SEARCHES.items():
        table = search(grid, settings, parts)
        found.append(table.assign(rung=rung).reindex(columns=COLUMNS))
        print(f"\n{rung}: {settings}")
        print(table.sort_values("validation_rmse").head().round(4).to_string(), flush=True)
    pd.concat(found).round({"validation_rmse": 5}).to_csv(TABLE, index=False)


if __name__ == "__main__":
    main()
