"""How good lists are: models of stars, of clicks, and rivals, by one protocol for all.

``python tests/benchmarks/lists.py`` takes a few minutes on two cores. Everything rated counts as
positive. A fifth of MovieLens 100K is held out, at random; every model chooses its settings on a
fifth of the other ratings, is fitted to all of these, and its lists of ten are scored once. With
the same settings it is fitted and scored again where the last fifth of each user's ratings is held
out. All of it is written to `lists.csv`. The row of the library implicit needs that library;
without it, its row of before stays.
"""

from __future__ import annotations

import ast
import importlib.util
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from alsnb import (
    ALS,
    best_settings,
    count_ratings,
    evaluate_lists,
    grid_search,
    leave_k_out,
    load_movielens,
    train_test_split,
)
from alsnb.tuning import edges_reached

TABLE = Path(__file__).with_name("lists.csv")
TUNED = "iALS"  # what all others are compared with
SPLITS = {  # the first is that on which settings are chosen
    "random fifth": lambda R: train_test_split(R, 0.2, rng=0),
    "last fifth of each user": lambda R: leave_k_out(R, 0.2, by_time=True),
}
STARS = {"metric": "rmse", "clip": (1, 5), "n_iterations": [6, 8, 12, 16, 20]}
CLICKS = {"metric": "ndcg", "n_iterations": [2, 4, 6, 8, 12, 16, 24]}
RATED = {"bias": [True], "reg_exponent": [0.5], "implicit_features": [True]}
ONES = {"confidence": [1.0], "reg_exponent": [1.0]}
MODELS = {  # name: how it is searched, and the settings to choose from, in one grid or several
    "explicit ALS": (STARS, [{"n_factors": [1, 2, 5, 10, 20], "lambda_reg": [1, 2, 3, 5, 8, 12]}]),
    "the best RMSE": (
        STARS,
        [
            RATED
            | {"n_factors": [20, 40, 80], "lambda_reg": [1.2, 1.5, 1.8, 2.2, 2.7]}
            | {"implicit_reg": [20, 40, 80]}
        ],
    ),
    "implicit feedback, α = α₀ = 1": (
        CLICKS,
        [{"n_factors": [64], "lambda_reg": [5, 10, 14, 20, 28, 40], "confidence": [1.0]}],
    ),
    "iALS, f = 32": (
        CLICKS,
        [
            {"n_factors": [32], "lambda_reg": [0.01, 0.014, 0.02, 0.028, 0.04]}
            | {"unobserved_weight": [0.1, 0.2, 0.3, 0.5, 1.0]}
            | ONES
        ],
    ),
    TUNED: (
        CLICKS,
        [
            {"n_factors": [64], "lambda_reg": penalties}
            | {"unobserved_weight": [0.1, 0.2, 0.3, 0.5, 1.0]}
            | ONES
            | {"reg_exponent": [exponent]}
            for exponent, penalties in (
                (0.0, [5, 7, 10, 14, 20]),
                (0.5, [0.35, 0.5, 0.7, 1.0, 1.4]),
                (1.0, [0.01, 0.014, 0.02, 0.028, 0.04]),
            )
        ],
    ),
    "iALS, f = 128": (
        CLICKS,
        [
            {"n_factors": [128], "lambda_reg": [0.014, 0.02, 0.028, 0.04]}
            | {"unobserved_weight": [0.1, 0.2, 0.3]}
            | ONES
        ],
    ),
}
EASE = {"lambda_reg": [200, 300, 400, 500, 700, 1000, 1400]}
IMPLICIT = {"factors": [64], "regularization": [5, 10, 20, 30, 40]}
LIBRARY = {  # name: what is chosen from; its alpha is the whole weight of a click, our α₀ + α
    "the library implicit, alpha = 1": IMPLICIT | {"alpha": [1.0]},
    "the library implicit": IMPLICIT | {"alpha": [1.5, 2.0, 3.0, 5.0, 8.0]},
}


def ones(R):
    """1 for each rating there is."""
    return sp.csr_array((np.ones_like(R.data), R.indices, R.indptr), shape=R.shape)


def ndcg(scores, R_train, R_test):
    """Of lists of ten."""
    return evaluate_lists(scores, R_train, R_test).loc["ndcg", "value"]


def popularity(R):
    """How many users each item has."""
    return count_ratings(R)[1]


def als(R, n_iterations, **settings):
    """A model of ours."""
    return ALS(**settings).fit(R, n_iterations, rng=0, verbose=False)


def ease(R, lambda_reg):
    """Scores of the linear model of Steck (2019), *Embarrassingly shallow autoencoders*."""
    X = ones(R).toarray()
    P = np.linalg.inv(X.T @ X + lambda_reg * np.eye(X.shape[1]))
    B = -P / np.diag(P)
    np.fill_diagonal(B, 0)
    return X @ B


def library(R, **settings):
    """Factors of the library implicit."""
    from implicit.cpu.als import AlternatingLeastSquares

    with threadpool_limits(1, user_api="blas"):
        model = AlternatingLeastSquares(**settings, random_state=0)
        model.fit(sp.csr_matrix(ones(R), dtype=np.float32), show_progress=False)
    return model.user_factors, model.item_factors


def choose_als(name, R, R_validation):
    """Settings of one of our models, by what it is searched for."""
    how, grids = MODELS[name]
    if how is CLICKS:
        R, R_validation = ones(R), ones(R_validation)
    tables = [grid_search(R, R_validation, grid, **how, verbose=False) for grid in grids]
    found = pd.concat(tables, ignore_index=True)
    if failed := [*found["error"][found["error"] != ""]]:
        raise RuntimeError(f"{name}: {failed[0]}")
    print(f"{name}:", "; ".join(edges_reached(found)) or "the best lies inside", flush=True)
    return best_settings(found)


def choose(make, grid, R, R_validation):
    """Settings of a rival."""
    settings = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    return max(settings, key=lambda one: ndcg(make(R, **one), R, R_validation))


def choose_all(R_train):
    """What each model chooses on a fifth of its training ratings: name, how it is made, settings.

    Ratings that are tested on are not known here.
    """
    R, R_validation = train_test_split(R_train, 0.2, rng=1)
    yield "popularity", popularity, {}
    for name in MODELS:
        yield name, als, choose_als(name, R, R_validation)
    yield "EASE", ease, choose(ease, EASE, R, R_validation)
    if importlib.util.find_spec("implicit"):
        for name, grid in LIBRARY.items():
            yield name, library, choose(library, grid, R, R_validation)


def scores_of(name, make, settings, R_train):
    """What a model scores by: those of stars are fitted to stars, all others to ones."""
    stars = name in MODELS and MODELS[name][0] is STARS
    return make(R_train if stars else ones(R_train), **settings)


def score_all(chosen, R_train, R_test):
    """A row for each model, of its lists and how much better they are than those of the tuned."""
    found, rows = {}, []
    for name, make, settings in chosen:
        scores = scores_of(name, make, settings, R_train)
        found[name] = (
            evaluate_lists(scores, R_train, R_test),
            evaluate_lists(scores, R_train, R_test, per_user=True)["ndcg"],
        )
    for name, _, settings in chosen:
        table, by_user = found[name]
        value, gained = table["value"], by_user - found[TUNED][1]
        row = {"model": name, "settings": say(settings), "ndcg": value["ndcg"]}
        row["standard_error"] = table.loc["ndcg", "standard_error"]
        row |= {"difference": gained.mean(), "difference_error": gained.sem()}
        names = ["precision", "recall", "hit_rate", "coverage", "popularity", "overlap"]
        row |= {one: value[one] for one in names}
        rows.append(row | {"n_users": int(table.loc["ndcg", "n_users"])})
    return pd.DataFrame(rows)


def say(settings):
    """Settings as text."""
    return ", ".join(f"{name} = {value!r}" for name, value in settings.items())


def read(text):
    """Settings of what `say` wrote."""
    parts = (one.split(" = ") for one in text.split(", ") if one)
    return {name: ast.literal_eval(value) for name, value in parts}


def main():
    """Choose, score, print, and write the table."""
    movielens = load_movielens("100k")
    parts = {name: cut(movielens) for name, cut in SPLITS.items()}
    chosen = [*choose_all(next(iter(parts.values()))[0])]
    tables = [score_all(chosen, *pair).assign(split=name) for name, pair in parts.items()]
    table = pd.concat(tables)
    table = table[["split", *table.columns.drop("split")]]
    if not {*LIBRARY} & {*table["model"]} and TABLE.exists():
        before = pd.read_csv(TABLE, keep_default_na=False)
        table = pd.concat([table, before[before["model"].isin(LIBRARY)]])
        table = table.sort_values("split", key=lambda s: s.map([*SPLITS].index), kind="stable")
    table.round(4).to_csv(TABLE, index=False)
    print(table.drop(columns="settings").round(3).to_string(index=False))


if __name__ == "__main__":
    main()
