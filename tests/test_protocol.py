"""The stored tables of the protocol are those of its script, and keep what the documents say."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import heavy_tailed

FOLDER = Path(__file__).resolve().parent / "benchmarks"
FOLDS = ["u1", "u2", "u3", "u4", "u5"]
AT_MOST = {  # stars: test RMSE, mean of the five folds
    "what was rated": 0.884,
    "sampler, what was rated": 0.885,
    "mean of sampler and 4 starts": 0.880,
    "mean of both, all features": 0.876,
}


@pytest.fixture(scope="module")
def protocol(movielens):
    spec = importlib.util.spec_from_file_location("protocol", FOLDER / "protocol.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scores():
    """RMSE, a row a model and a column a fold."""
    table = pd.read_csv(FOLDER / "protocol.csv")
    return table.pivot_table("rmse", "model", "fold")


def test_every_model_is_scored_on_every_fold(protocol, scores):
    singles = [*protocol.MODELS, *(f"{name}, mean of 4 starts" for name in protocol.MODELS)]
    wanted = {*singles, *protocol.SAMPLERS, *protocol.MEANS}
    assert set(scores.index) == wanted and list(scores) == FOLDS
    assert scores.notna().all(axis=None)


def test_models_reach_their_errors(scores):
    means = scores.mean(axis=1)
    assert {name: means[name] <= most for name, most in AT_MOST.items()} == dict.fromkeys(
        AT_MOST, True
    )
    assert scores.loc["what was rated", "u1"] <= 0.892
    assert (scores.loc["mean of sampler and 4 starts"] < scores.loc["what was rated"]).all()


def test_intervals_hold_what_they_promise(protocol):
    table = pd.read_csv(FOLDER / "coverage.csv")
    assert len(table) == len(FOLDS) * len(protocol.SAMPLERS)
    held = table[[f"{level:.0%}" for level in protocol.LEVELS]]
    assert np.abs(held - protocol.LEVELS).max(axis=None) <= 0.015


def test_genres_tell_of_movies_that_nobody_has_rated():
    table = pd.read_csv(FOLDER / "hidden.csv").set_index("model")
    assert table.loc["genres", "rmse"] < table.loc["no features", "rmse"]
    gained = table["squared_error_less_that_without"] + 2 * table["standard_error"]
    assert (gained[["genres", "genres, years"]] < 0).all()


def test_settings_are_chosen_without_the_test_ratings(protocol, monkeypatch):
    R = heavy_tailed(60, 40)
    train, test = protocol.train_test_split(R, 0.2, rng=0)
    about = {"item_features": np.eye(40), "user_features": np.eye(60)}
    grids = {"n_factors": [1, 2], "lambda_reg": [0.5, 5.0], "bias": [True]}
    monkeypatch.setattr(protocol, "MODELS", {"a": (grids, {}), "b": (grids, about)})
    monkeypatch.setattr(protocol, "SAMPLERS", {"c": {}})
    monkeypatch.setattr(protocol, "SAMPLED", {"n_factors": [1, 2], "n_samples": [10]})
    other = test.copy()
    other.data = 5 - other.data
    found, again = ([*protocol.score_fold(train, one)] for one in (test, other))
    for (name, chosen, predicted, _), (_, same, too, _) in zip(found, again, strict=True):
        assert chosen == same and np.array_equal(predicted, too), name
    assert len(found) == 5


def test_hidden_movies_have_no_rating_left(protocol):
    R = heavy_tailed(200, 150)
    seen, hidden = protocol.hide(R, n_movies=20, rng=1)
    assert seen.nnz + hidden.nnz == R.nnz
    assert not np.intersect1d(seen.indices, hidden.indices).size
    assert len(np.unique(hidden.indices)) == 20
