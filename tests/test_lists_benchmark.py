"""The stored tables of lists and of solvers are what the package gives and documents say."""

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alsnb import load_movielens

FOLDER = Path(__file__).resolve().parent / "benchmarks"
README = (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def scripts(movielens):
    """The modules `lists` and `solvers`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module("lists"), importlib.import_module("solvers")


@pytest.fixture(scope="module")
def scores():
    """What lists.csv holds: a row for each split and model."""
    return pd.read_csv(FOLDER / "lists.csv", keep_default_na=False, index_col=["split", "model"])


@pytest.fixture(scope="module")
def solvers():
    """What solvers.csv holds."""
    return pd.read_csv(FOLDER / "solvers.csv")


def test_every_model_is_scored_on_both_splits_with_the_same_settings(scripts, scores):
    lists, _ = scripts
    wanted = {"popularity", *lists.MODELS, "EASE", *lists.LIBRARY}
    random, last = (scores.loc[split] for split in lists.SPLITS)
    assert set(random.index) == wanted and len(scores) == 2 * len(wanted)
    assert list(random.index) == list(last.index)
    assert (random["settings"] == last["settings"]).all()
    for name, settings in random["settings"].items():
        assert lists.say(lists.read(settings)) == settings, name
    gained = random["ndcg"] - random.loc[lists.TUNED, "ndcg"]
    np.testing.assert_allclose(random["difference"], gained, atol=2e-4)


def test_chosen_settings_are_of_the_lists_they_are_chosen_from(scripts, scores):
    lists, _ = scripts
    for name, (_, grids) in lists.MODELS.items():
        settings = lists.read(scores.loc[(next(iter(lists.SPLITS)), name), "settings"])
        assert any(
            all(settings[key] in values for key, values in grid.items()) for grid in grids
        ), name


def test_models_of_clicks_reach_their_scores(scripts, scores):
    lists, _ = scripts
    random, last = (scores["ndcg"].loc[split] for split in lists.SPLITS)
    clicks = [name for name, (how, _) in lists.MODELS.items() if how is lists.CLICKS]
    assert random[lists.TUNED] >= 0.44
    assert (random[clicks] > 2 * random["popularity"]).all()
    assert (last[clicks] > 1.5 * last["popularity"]).all()
    for split in (random, last):
        assert split["the best RMSE"] < split["popularity"]
        assert split["the library implicit, alpha = 1"] < split["the library implicit"]


def test_scores_are_those_of_the_package(scripts, scores):
    lists, _ = scripts
    split, cut = next(iter(lists.SPLITS.items()))
    stored = scores.loc[split]
    make = {"popularity": lists.popularity, lists.TUNED: lists.als, "EASE": lists.ease}
    chosen = [(name, one, lists.read(stored.loc[name, "settings"])) for name, one in make.items()]
    found = lists.score_all(chosen, *cut(load_movielens("100k"))).set_index("model")
    for name in found.columns.drop("settings"):
        np.testing.assert_allclose(found[name], stored.loc[[*make], name], atol=2e-3, err_msg=name)


def test_the_table_of_lists_is_that_of_the_document(scripts, scores):
    lists, _ = scripts
    random, last = (scores.loc[split] for split in lists.SPLITS)
    for name, row in random.iterrows():
        less = f"{row['difference']:+.3f} ± {row['difference_error']:.3f}".replace("-", "−")
        cells = [name, f"{row['ndcg']:.3f}", "" if name == lists.TUNED else less]
        cells += [f"{row[one]:.2f}" for one in ("hit_rate", "coverage", "popularity", "overlap")]
        cells += [f"{last.loc[name, 'ndcg']:.3f}"]
        assert f"| {' | '.join(cells)} |".replace("  ", " ") in README, cells


def test_every_solver_is_timed_and_lowers_the_objective(scripts, solvers):
    _, module = scripts
    runs = solvers.groupby(["f", "solver"], sort=False)
    assert [run for run, _ in runs] == [(f, name) for f in module.FACTORS for name in module.RUNS]
    for (_, name), run in runs:
        assert run["iteration"].tolist() == [*range(1, module.ITERATIONS[name] + 1)]
        assert (run["seconds"].diff().iloc[1:] > 0).all()
        assert (run["excess"].diff().iloc[1:] < 0).all() and (run["excess"] >= 0).all()
        assert run["ndcg"].notna().tolist() == [False] * (len(run) - 1) + [True]
    last = solvers.dropna(subset="ndcg")
    assert last["ndcg"].min() >= 0.44
    reached = module.reached(solvers)
    assert (reached["exact"] > 1.5 * reached["cg, 3 steps"]).all()
    for f, row in reached.iterrows():
        cells = ["–" if np.isnan(seconds) else f"{seconds:.2f}" for seconds in row]
        assert f"| {f} | {' | '.join(cells)} |" in README, cells
    assert f"NDCG@10 is between {last['ndcg'].min():.3f} and {last['ndcg'].max():.3f}." in README


@pytest.mark.parametrize("name", ["exact", "cg, 1 step", "cg, 3 steps"])
def test_objectives_of_solvers_are_those_of_the_package(scripts, solvers, name):
    lists, module = scripts
    R_train, _ = next(iter(lists.SPLITS.values()))(load_movielens("100k"))
    model, seconds = module.fit(lists.ones(R_train), 32, 4, **module.RUNS[name])
    stored = solvers.query("f == 32 and solver == @name")["excess"].to_numpy()[:4]
    np.testing.assert_allclose(
        model.objectives / model.objectives[0], (1 + stored) / (1 + stored[0]), rtol=1e-3
    )
    assert len(seconds) == 4
