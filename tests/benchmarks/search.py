"""The wide search behind chapter 05's short lists: validation parts of training ratings only.

``python tests/benchmarks/search.py`` takes some minutes. For each of the five official folds a
tenth of its training ratings is held out; what is printed is the mean over these. No test fold is
opened.
"""

from __future__ import annotations

import pandas as pd

from alsnb import grid_search, load_movielens, official_folds, train_test_split

WEIGHTED, HALF = {"reg_exponent": 1}, {"reg_exponent": 0.5, "bias": True}
SEARCHES = {
    "plain": ({"n_factors": [3, 5, 10, 20], "lambda_reg": [3, 5, 8, 12]}, {}),
    "weighted": ({"n_factors": [10, 20, 50], "lambda_reg": [0.07, 0.1, 0.14, 0.2]}, WEIGHTED),
    "biases": (
        {"n_factors": [10, 20, 50], "lambda_reg": [0.07, 0.1, 0.14, 0.2]},
        WEIGHTED | {"bias": True},
    ),
    "half": ({"n_factors": [5, 10, 20, 40], "lambda_reg": [0.7, 1.0, 1.3, 1.6]}, HALF),
    "implicit": (
        {
            "n_factors": [12, 20, 30],
            "lambda_reg": [0.7, 0.9, 1.1],
            "implicit_features": [1, 2, 4],
            "implicit_features_reg": [5, 15],
        },
        HALF,
    ),
}


def main():
    """Search, and print the ten best of each."""
    folds = official_folds(load_movielens("100k"))
    for name, (grid, settings) in SEARCHES.items():
        tables = [
            grid_search(
                *train_test_split(train, 0.1, rng=k),
                grid,
                n_iterations=[6, 8, 12, 16, 20],
                clip=(1, 5),
                verbose=False,
                rng=k,
                **settings,
            )
            for k, (train, _) in enumerate(folds)
        ]
        columns = [*grid, "n_iterations"]
        means = pd.concat(tables).groupby(columns)[["validation_rmse", "seconds"]].mean()
        print(f"\n{name}: {settings}")
        print(means.sort_values("validation_rmse").head(10).round(4).to_string(), flush=True)


if __name__ == "__main__":
    main()
