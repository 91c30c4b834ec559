"""How accurate it is, with features and from the sampler, by one protocol for all.

``python tests/benchmarks/protocol.py`` takes a quarter of an hour on two cores. On each of the five
official folds of MovieLens 100K, every model chooses its settings on a tenth of the training
ratings, is fitted to all of them, and is scored on the test fold, once, clipped to 1–5. What was
chosen, and what came out, is written to `protocol.csv`; how often intervals hold the test ratings
to `coverage.csv`; and what is known of movies whose ratings are all hidden to `hidden.csv`.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from alsnb import (
    ALS,
    count_ratings,
    load_movielens,
    official_folds,
    sample_factorization,
    train_test_split,
)
from alsnb.bayes import interval

FOLDER = Path(__file__).parent
LEVELS = [0.5, 0.8, 0.9, 0.95]
MOVIELENS = load_movielens("100k")
ABOUT_MOVIES = MOVIELENS.item_table[["genres", "year"]]
ABOUT_USERS = MOVIELENS.user_table[["age", "gender", "occupation"]]
ONCE = {"reg_exponent": [0.5], "bias": [True]}
RATED = ONCE | {"implicit_features": [True], "n_factors": [20, 40, 80]}
MODELS = {  # name: the settings to choose from, and what is known besides the ratings
    "biases and ν = ½": (ONCE | {"n_factors": [10], "lambda_reg": [0.7, 0.9, 1.3, 1.8, 2.5]}, {}),
    "what was rated": (
        RATED | {"lambda_reg": [1.2, 1.5, 1.8, 2.2, 2.7], "implicit_reg": [10, 20, 40, 80]},
        {},
    ),
    "what was rated, genres": (
        RATED
        | {"lambda_reg": [1.5, 1.8, 2.2, 2.7], "implicit_reg": [20, 40]}
        | {"feature_reg": [50, 150, 500]},
        {"item_features": MOVIELENS.item_table[["genres"]]},
    ),
    "what was rated, genres, years, people": (
        RATED
        | {"lambda_reg": [1.5, 1.8, 2.2], "implicit_reg": [40]}
        | {"feature_reg": [(500, 150), (2000, 150), (10000, 150), (10000, 500)]},
        {"item_features": ABOUT_MOVIES, "user_features": ABOUT_USERS},
    ),
}
SAMPLERS = {
    "sampler": {},
    "sampler, what was rated": {"implicit_features": True},
    "sampler, what was rated, genres, years, people": {
        "implicit_features": True,
        "item_features": ABOUT_MOVIES,
        "user_features": ABOUT_USERS,
    },
}
SAMPLED = {"n_factors": [8, 12, 16], "burn_in": [40, 140]}
STARTS, ITERATIONS = 4, 20
WITHOUT = "no features"
MEANS = {  # name: of what predictions are averaged
    "mean of sampler and 4 starts": ["sampler, what was rated", "what was rated, mean of 4 starts"],
    "mean of both, all features": [
        "sampler, what was rated, genres, years, people",
        "what was rated, genres, years, people, mean of 4 starts",
        "what was rated, genres, mean of 4 starts",
    ],
}


def rmse(test, predicted):
    """Of predictions for the stored places of a matrix, clipped."""
    return float(np.sqrt(np.mean((test.data - np.clip(predicted, 1, 5)) ** 2)))


def predict(model, test):
    """Predictions for the stored places of a matrix."""
    users, items = test.tocoo().coords
    return model.predict(users, items, clip=(1, 5))


def combinations(grid):
    """All settings of a grid."""
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def fit(settings, train, about, rng=0):
    """A fit in float32."""
    options = {"rng": rng, "dtype": np.float32, "verbose": False}
    return ALS(**settings).fit(train, ITERATIONS, **options, **about)


def choose(grid, score):
    """What validates best."""
    settings = combinations(grid)
    return settings[int(np.argmin([score(one) for one in settings]))]


def score_fold(train, test):
    """Predictions of all models for one test fold: name, settings, predictions, posterior."""
    part, validation = train_test_split(train, 0.1, rng=0)
    for name, (grid, about) in MODELS.items():

        def score(settings, about=about):
            return rmse(validation, predict(fit(settings, part, about), validation))

        best = choose(grid, score)
        predictions = [predict(fit(best, train, about, rng), test) for rng in range(STARTS)]
        yield name, best, predictions[0], None
        yield f"{name}, mean of 4 starts", best, np.mean(predictions, axis=0), None
    for name, about in SAMPLERS.items():
        options = about | {"clip": (1, 5), "verbose": False, "rng": 0}

        def sample(settings, train, test, options=options):
            return sample_factorization(train, **settings, **options, pairs=test)

        def score(settings, sample=sample):
            posterior = sample(settings, part, validation)
            return rmse(validation, posterior.pairs["mean"])

        best = choose(SAMPLED, score)
        posterior = sample(best, train, test)
        yield name, best, posterior.pairs["mean"].to_numpy(), posterior


def coverage(test, posterior):
    """How many of the test ratings lie in intervals of each level."""
    mean, std = posterior.pairs["mean"].to_numpy(), posterior.pairs["std"].to_numpy()
    for level in LEVELS:
        low, high = interval(mean, std, posterior.noise, level)
        yield float(np.mean((low <= test.data) & (test.data <= high)))


def hide(R, n_movies=100, rng=0):
    """R without the ratings of some movies that have at least ten, and these ratings."""
    rng = np.random.default_rng(rng)
    often = np.flatnonzero(count_ratings(R)[1] >= 10)
    hidden = np.isin(R.indices, rng.choice(often, n_movies, replace=False))
    users, items = R.tocoo().coords
    parts = (~hidden, hidden)
    return [sp.csr_array((R.data[p], (users[p], items[p])), shape=R.shape) for p in parts]


def score_hidden(seed):
    """Squared errors on movies that nobody has rated: a row a movie, a column a model."""
    seen, hidden = hide(MOVIELENS.R, rng=seed)
    biases = {"n_factors": 10, "lambda_reg": 1.3, "reg_exponent": 0.5, "bias": True}
    rated = biases | {"n_factors": 20, "lambda_reg": 1.8, "implicit_features": True}
    genres = {"item_features": MOVIELENS.item_table[["genres"]]}
    fits = {
        WITHOUT: fit(biases, seen, {}),
        "genres": fit(biases, seen, genres),
        "genres, years": fit(biases, seen, {"item_features": ABOUT_MOVIES}),
        "who rated": fit(rated, seen, {}),
        "who rated, genres": fit(rated, seen, genres),
    }
    errors = {name: (hidden.data - predict(one, hidden)) ** 2 for name, one in fits.items()}
    movies = hidden.tocoo().coords[1]
    return pd.DataFrame(errors | {"ratings": 1}).groupby(movies).sum()


def report_hidden():
    """Errors over three draws of a hundred movies; standard errors are over movies, paired."""
    table, rows = pd.concat([score_hidden(seed) for seed in range(3)]), []
    n = table["ratings"].to_numpy(float)
    for name in table.columns.drop("ratings"):
        gained = (table[name] - table[WITHOUT]).to_numpy()
        mean = gained.sum() / n.sum()
        error = np.sqrt(np.sum((gained - mean * n) ** 2)) / n.sum()  # of a ratio of sums
        rows.append((name, np.sqrt(table[name].sum() / n.sum()), mean, error))
    columns = ["model", "rmse", "squared_error_less_that_without", "standard_error"]
    return pd.DataFrame(rows, columns=columns).round(4)


def main():
    """Score, print as it goes, and write the tables."""
    rows, covered = [], []
    for k, (train, test) in enumerate(official_folds(MOVIELENS), start=1):
        found = {}
        for name, chosen, predicted, posterior in score_fold(train, test):
            found[name] = predicted
            free = {key: value for key, value in chosen.items() if key not in ONCE}
            said = ", ".join(f"{key} = {value}" for key, value in free.items())
            rows.append((f"u{k}", name, said, rmse(test, predicted)))
            if posterior is not None:
                covered.append((f"u{k}", name, *coverage(test, posterior)))
            print(*rows[-1], *(covered[-1][2:] if posterior is not None else ()), flush=True)
        for name, parts in MEANS.items():
            mean = np.mean([found[part] for part in parts], axis=0)
            rows.append((f"u{k}", name, "", rmse(test, mean)))
            print(*rows[-1], flush=True)
    table = pd.DataFrame(rows, columns=["fold", "model", "chosen", "rmse"])
    table.round({"rmse": 4}).to_csv(FOLDER / "protocol.csv", index=False)
    levels = [f"{level:.0%}" for level in LEVELS]
    covered = pd.DataFrame(covered, columns=["fold", "model", *levels])
    covered.round(4).to_csv(FOLDER / "coverage.csv", index=False)
    hidden = report_hidden()
    hidden.to_csv(FOLDER / "hidden.csv", index=False)
    print(table.groupby("model", sort=False)["rmse"].mean().round(4).to_string())
    print(hidden.to_string(index=False))


if __name__ == "__main__":
    main()
