"""Chapter 05 keeps what README says, and the stored tables are those of their scripts."""

import importlib.util
import re
from itertools import product
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "benchmarks"
CHAPTER = nbformat.read(ROOT / "notebooks" / "05-tuning.ipynb", as_version=4)
AT_MOST = {  # stars: test RMSE, mean of the five folds
    "damped biases (k = 4)": 0.945,
    "plain, 2 factors": 0.931,
    "ν = 1, 10 factors": 0.925,
    "… and biases": 0.919,
    "… and ν = ½": 0.912,
    "… and what was rated": 0.884,
    "… mean of 3 starts": 0.883,
}


def load(name):
    """A script of the benchmarks, as a module."""
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scores():
    """Test RMSE of each rung on u1 to u5, and their mean, as the chapter shows them."""
    outputs = [output for cell in CHAPTER.cells for output in cell.get("outputs", [])]
    texts = [output.get("data", {}).get("text/plain", "") for output in outputs]
    (text,) = (one for one in texts if one.split("\n")[0].split() == [*FOLDS, "mean"])
    rows = [
        re.fullmatch(r"(.*?)((?: +\d\.\d+){6})", line).groups() for line in text.split("\n")[1:]
    ]
    return {name.strip(): [float(x) for x in numbers.split()] for name, numbers in rows}


FOLDS = ["u1", "u2", "u3", "u4", "u5"]


def test_rungs_reach_their_errors(scores):
    assert {name: scores[name][-1] <= most for name, most in AT_MOST.items()} == dict.fromkeys(
        AT_MOST, True
    )
    for *folds, mean in scores.values():
        assert np.isclose(np.mean(folds), mean, atol=0.001)
    assert scores["… and what was rated"][0] <= 0.892  # u1, which papers report
    starts, single = scores["… mean of 3 starts"], scores["… and what was rated"]
    assert all(a < b for a, b in zip(starts, single, strict=True))


def test_readme_has_the_error_of_the_chapter(scores):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (row,) = (line for line in readme.split("\n") if line.startswith("| RMSE"))
    assert float(row.split("|")[2]) == scores["… and what was rated"][-1]


def test_every_test_fold_is_opened_in_one_cell():
    sources = [cell.source for cell in CHAPTER.cells if cell.cell_type == "code"]
    opening = [k for k, source in enumerate(sources) if "(_, test)" in source]
    assert len(opening) == 1
    for k, source in enumerate(sources):
        if "folds[" in source or "in folds" in source or "(folds" in source:
            assert k in opening or "folds[0][0]" in source or "_ in folds" in source


def test_stored_search_is_that_of_its_script():
    search = load("search")
    table = pd.read_csv(search.TABLE)
    assert list(table) == search.COLUMNS
    for rung, (grid, _) in search.SEARCHES.items():
        rows = table[table["rung"] == rung]
        found = {tuple(map(str, row)) for row in rows[list(grid)].astype(object).to_numpy()}
        wanted = {tuple(map(str, one)) for one in product(*grid.values())}
        assert len(rows) == len(wanted) == len(found)
    assert set(table["rung"]) == set(search.SEARCHES)


@pytest.mark.parametrize(
    ("rung", "where"),
    [("plain", {"lambda_reg": 2}), ("features", {"lambda_reg": 1.8, "implicit_reg": 40})],
)
def test_a_row_of_the_search_found_again(rung, where):
    search = load("search")
    where = where | {"n_factors": 2}
    grid = {name: [value] for name, value in where.items()}
    again = search.search(grid, search.SEARCHES[rung][1], search.make_parts()).iloc[0]
    table = pd.read_csv(search.TABLE)
    row = table[(table["rung"] == rung) & (table[list(where)] == where).all(axis=1)]
    assert row["n_iterations"].item() == again["n_iterations"]
    assert np.isclose(row["validation_rmse"].item(), again["validation_rmse"], atol=1e-4)


def test_stored_accuracies_are_of_all_libraries():
    table = pd.read_csv(FOLDER / "accuracy.csv")
    assert table["library"].tolist() == list(load("accuracy").CONTENDERS)
    assert np.allclose(table[FOLDS].mean(axis=1), table["mean"], atol=1e-4)
    required = (FOLDER / "requirements.txt").read_text(encoding="utf-8")
    for package, version in (text.split() for text in table["package"]):
        assert f"{package}=={version}" in required
