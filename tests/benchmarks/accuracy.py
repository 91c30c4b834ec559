"""How good other libraries are on the five official folds, by the protocol of chapter 05.

``python tests/benchmarks/accuracy.py [NAME …]`` needs the packages of requirements.txt, takes about
half an hour on two cores, and writes `accuracy.csv` beside this file. For each fold every
combination of a library's list is fitted to nine tenths of the training ratings and scored on the
rest; the best is fitted to all of them, and the test ratings are predicted once. Predictions are
clipped to 1–5; what a library cannot predict gets the mean of the training ratings.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from alsnb import count_ratings, load_movielens, official_folds, train_test_split

TABLE = Path(__file__).with_name("accuracy.csv")


def _table(R):
    users, items = R.tocoo().coords
    return pd.DataFrame({"user_id": users, "item_id": items, "rating": R.data})


def surprise(name):
    """An algorithm of Surprise, by its name."""

    def fit(train, test, n_epochs=20, lr_all=0.005, **settings):
        import surprise

        kind, table = getattr(surprise, name), _table(train)
        data = surprise.Dataset.load_from_df(table, surprise.Reader(rating_scale=(1, 5)))
        if name != "BaselineOnly":
            settings |= {"n_epochs": n_epochs, "lr_all": lr_all, "random_state": 0}
        model = kind(**settings).fit(data.build_full_trainset())
        asked = _table(test)[["user_id", "item_id"]].to_numpy()
        return [model.predict(user, item).est for user, item in asked]

    return fit


def lenskit(train, test, **settings):
    """LensKit's ALS on what damped user and item means leave over."""
    from lenskit.als import BiasedMFConfig, BiasedMFScorer
    from lenskit.data import ItemList, RecQuery, from_interactions_df
    from lenskit.training import TrainingOptions

    model = BiasedMFScorer(BiasedMFConfig(**settings))
    model.train(from_interactions_df(_table(train)), TrainingOptions(rng=0))
    predicted = []
    for user in range(test.shape[0]):
        items = test.indices[test.indptr[user] : test.indptr[user + 1]]
        if len(items):
            scored = model(RecQuery(user_id=user), ItemList(item_ids=items))
            predicted.append(scored.scores())
    return np.concatenate(predicted)


def cmfrec(train, test, **settings):
    """CMF with the exact solver and biases."""
    from cmfrec import CMF

    names = {"user_id": "UserId", "item_id": "ItemId", "rating": "Rating"}
    options = {"method": "als", "use_cg": False, "niter": 20, "nthreads": 2}
    model = CMF(**options, **settings, random_state=1, verbose=False)
    model.fit(_table(train).rename(columns=names))
    asked = _table(test)
    return model.predict(asked["user_id"].to_numpy(), asked["item_id"].to_numpy())


def myfm(implicit):
    """Bayesian factorisation machines, sampled; with `implicit`, also of what was rated."""

    def fit(train, test, rank, n_iter):
        from myfm import MyFMRegressor, RelationBlock

        sides = [np.arange(size) for size in train.shape]
        blocks = []
        for side, rated in zip(sides, (train, train.T.tocsr()), strict=True):
            X = sp.eye_array(len(side)).tocsr()
            if implicit:
                ones = rated.astype(bool).astype(float)
                scale = 1 / np.sqrt(np.maximum(count_ratings(rated)[0], 1))
                X = sp.hstack([X, sp.diags_array(scale) @ ones]).tocsr()
            blocks.append(sp.csr_matrix(X))
        shapes = [n for n, m in zip(train.shape, train.shape[::-1], strict=True) for n in (n, m)]
        groups = shapes if implicit else list(train.shape)
        relations = [
            [RelationBlock(places, X) for places, X in zip(R.tocoo().coords, blocks, strict=True)]
            for R in (train, test)
        ]
        model = MyFMRegressor(rank=rank, random_seed=0)
        options = {"n_iter": n_iter, "n_kept_samples": n_iter * 4 // 5, "group_shapes": groups}
        model.fit(None, train.data, relations[0], **options)
        return model.predict(None, relations[1])

    return fit


BIASES = {"user_bias": [True], "item_bias": [True], "center": [True]}
LAMBDA = {"lambda_": [3, 5, 8, 12, 18, 25], "k": [10, 20, 40]}
CONTENDERS = {  # name: package, the function, and what it chooses from
    "Surprise BaselineOnly": ("scikit-surprise", surprise("BaselineOnly"), {"verbose": [False]}),
    "Surprise SVD": (
        "scikit-surprise",
        surprise("SVD"),
        {"n_factors": [20, 100], "reg_all": [0.05, 0.1, 0.15, 0.2], "n_epochs": [20, 60, 120]},
    ),
    "Surprise SVD++, default": ("scikit-surprise", surprise("SVDpp"), {"n_factors": [20]}),
    "LensKit BiasedMF": (
        "lenskit",
        lenskit,
        {"embedding_size": [10, 20, 50], "regularization": [0.03, 0.05, 0.1, 0.15, 0.2, 0.3]},
    ),
    "cmfrec, biases": ("cmfrec", cmfrec, BIASES | LAMBDA),
    "cmfrec, biases and implicit features": (
        "cmfrec",
        cmfrec,
        BIASES | LAMBDA | {"add_implicit_features": [True], "w_implicit": [1, 2, 4]},
    ),
    "myFM": ("myfm", myfm(False), {"rank": [10], "n_iter": [500]}),
    "myFM, implicit features": ("myfm", myfm(True), {"rank": [10], "n_iter": [500]}),
}


def score(test, predicted, mean):
    """RMSE, clipped."""
    predicted = np.nan_to_num(np.asarray(predicted, float), nan=mean)
    return float(np.sqrt(np.mean((test.data - np.clip(predicted, 1, 5)) ** 2)))


def choose_and_report(fit, grid, train, test):
    """What validates best, and its test error after a fit to all training ratings."""
    settings = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    if len(settings) > 1:
        part, validation = train_test_split(train, 0.1, rng=0)
        mean = part.data.mean()
        errors = [score(validation, fit(part, validation, **one), mean) for one in settings]
        settings = [settings[int(np.argmin(errors))]]
    return settings[0], score(test, fit(train, test, **settings[0]), train.data.mean())


def main():
    """Score those named, or all, and write the table."""
    folds, rows = official_folds(load_movielens("100k")), []
    for name in sys.argv[1:] or CONTENDERS:
        package, fit, grid = CONTENDERS[name]
        found = [choose_and_report(fit, grid, *fold) for fold in folds]
        row = {"library": name, "package": f"{package} {version(package)}"}
        chosen = [{k: one[k] for k in grid if len(grid[k]) > 1} for one, _ in found]
        row["chosen on u1"] = ", ".join(f"{k} = {v}" for k, v in chosen[0].items())
        row["tried"] = int(np.prod([len(values) for values in grid.values()]))
        row |= {f"u{k}": round(error, 4) for k, (_, error) in enumerate(found, start=1)}
        row["mean"] = round(np.mean([error for _, error in found]), 4)
        rows.append(row)
        print(row, chosen, flush=True)
    if len(rows) == len(CONTENDERS):
        pd.DataFrame(rows).to_csv(TABLE, index=False)


if __name__ == "__main__":
    main()
