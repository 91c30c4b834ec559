"""What the documents say is so: docstrings, examples, the README, the shape of the package."""

import ast
import dataclasses
import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import alsnb

FOLDER = Path(alsnb.__file__).parent
ROOT = FOLDER.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODULES = [
    importlib.import_module(module.name)
    for module in pkgutil.walk_packages(alsnb.__path__, "alsnb.")
]
PUBLIC = {name: getattr(alsnb, name) for name in alsnb.__all__}
METHODS = {
    f"{kind.__name__}.{name}": method
    for kind in (alsnb.ALS, alsnb.Factorization, alsnb.Ratings)
    for name, method in vars(kind).items()
    if inspect.isfunction(method) and name[0] != "_"
}
# Small words whose one line says it all, or that are part of the loop
TERSE = {
    "ALS.bias_scale", "ALS.implicit_ridge", "ALS.penalties", "Factorization.assemble",
    "Factorization.equation", "Factorization.implicit_equation", "Factorization.penalty",
    "Factorization.replace", "Factorization.with_implicit", "Factorization.with_rows",
    "Ratings.item", "Ratings.items", "Ratings.to_matrix", "Ratings.to_table", "Ratings.user",
    "Ratings.users",
}  # fmt: skip


def section(item, title):
    """Names that a section of a docstring (NumPy's style) describes, in order."""
    text = inspect.cleandoc(item.__doc__)
    found = re.search(rf"^{title}\n-+\n(.*?)(?=\n\n\S[^\n]*\n---|\Z)", text, re.S | re.M)
    if not found:
        return []
    heads = re.findall(r"^([\w*][\w*, ]*?)(?: :.*)?$", found[1], re.M)
    return [name.lstrip("*") for head in heads for name in head.split(", ")]


def test_sections_are_read_as_numpy_writes_them():
    def example():
        """Do.

        Parameters
        ----------
        a, b : int
            Both; or c : neither.

            More of both.
        **d :
            Too.
        e : {"x", "y"}

        Returns
        -------
        f : int
        """

    assert section(example, "Parameters") == ["a", "b", "d", "e"]
    assert section(example, "Returns") == ["f"]
    assert section(example, "Raises") == []


def test_there_are_about_thirty_public_names():
    assert 28 <= len(PUBLIC) <= 36
    contents = alsnb.__doc__
    assert [name for name in PUBLIC if name not in contents] == [
        "DatasetError",
        "DivergenceError",
    ] or {name for name in PUBLIC if name not in contents} <= {"DatasetError", "DivergenceError"}


@pytest.mark.parametrize("name", [*PUBLIC, *sorted(set(METHODS) - TERSE)])
def test_everything_public_has_a_docstring_with_an_example(name):
    text = (PUBLIC | METHODS)[name].__doc__
    assert text.strip().split("\n")[0].endswith("."), "its first line should be a sentence"
    assert ">>>" in text or issubclass(PUBLIC.get(name, object), Exception)


@pytest.mark.parametrize("name", sorted(TERSE))
def test_what_is_terse_still_has_a_docstring(name):
    assert METHODS[name].__doc__


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_examples_run(module, movielens):
    failed, _ = doctest.testmod(module)
    assert failed == 0


@pytest.mark.parametrize("name", [*PUBLIC, *METHODS])
def test_documented_parameters_are_those_of_the_signature(name):
    item = (PUBLIC | METHODS)[name]
    documented = section(item, "Parameters")
    if documented and not inspect.isclass(item):
        parameters = [one for one in inspect.signature(item).parameters if one != "self"]
        if name == "gradient_descent":  # which says in words that it takes what another one does
            assert set(documented) < set(parameters)
        else:
            assert [one for one in parameters if one in documented] == documented
            assert set(parameters) - set(documented) <= {"options"}


@pytest.mark.parametrize("kind", [alsnb.ALS, alsnb.Factorization, alsnb.Ratings])
def test_documented_attributes_are_the_fields(kind):
    fields = {field.name for field in dataclasses.fields(kind)}
    assert set(section(kind, "Attributes")) == fields


# The shape of the package: flat, without cycles, and not deep


def imports():
    """For each module, the modules of the package that it imports at its top."""
    found = {}
    for path in FOLDER.rglob("*.py"):
        parts = path.relative_to(FOLDER).with_suffix("").parts
        found[".".join(parts)] = {
            ".".join([*parts[: len(parts) - node.level], node.module])
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.ImportFrom) and node.level and node.module
        }
    return {name: graph for name, graph in found.items() if not name.endswith("__init__")}


def depth(module, graph, above=()):
    """Number of imports from a module down to one that imports nothing of ours."""
    assert module not in above, f"a cycle: {' → '.join([*above, module])}"
    return max((1 + depth(one, graph, (*above, module)) for one in graph[module]), default=0)


def test_imports_have_no_cycle_and_are_at_most_four_deep():
    graph = imports()
    depths = {module: depth(module, graph) for module in graph}
    assert len([name for name in graph if "." not in name]) <= 13
    assert depths["ridge"] == depths["ratings"] == 0
    assert max(depths.values()) <= 4, depths


QUIET_IMPORT = """
import socket, warnings
import matplotlib, matplotlib.pyplot, numba, numpy, pandas, pooch, scipy.sparse  # have their own
import threadpoolctl, tqdm

class NoSocket(socket.socket):
    def __init__(self, *args, **options):
        raise AssertionError("a socket was opened")

socket.socket = NoSocket
settings, filters = dict(matplotlib.rcParams), list(warnings.filters)
state = repr(numpy.random.get_state()), numpy.get_printoptions()
for name in {modules}:
    __import__(name)
assert dict(matplotlib.rcParams) == settings, "rcParams"
assert warnings.filters == filters, "warning filters"
assert (repr(numpy.random.get_state()), numpy.get_printoptions()) == state, "NumPy"
"""


def test_import_opens_no_socket_and_changes_no_settings():
    code = QUIET_IMPORT.format(modules=["alsnb", *(module.__name__ for module in MODULES)])
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


# The README


def snippets(kind):
    return re.findall(rf"```{kind}\n(.*?)```", README, re.S)


def test_readme_is_for_a_visitor():
    assert len(README.splitlines()) <= 100


def test_ten_lines_print_what_readme_says(movielens, capsys):
    exec(snippets("python")[0], {})
    assert capsys.readouterr().out.endswith("\n" + snippets("text")[0])


def test_your_own_ratings_in_ten_lines(tmp_path, monkeypatch, capsys):
    """Ids as ISBNs are, a scale from 0 (not graded) to 10, grades given twice."""
    rng = np.random.default_rng(0)
    isbns = [f"{k:09d}{'X' if k % 11 == 10 else k % 10}" for k in range(40)]
    table = pd.DataFrame(
        {
            "reader": rng.choice(["ann", *(f"reader {k}" for k in range(50))], 1000),
            "isbn": rng.choice(isbns, 1000),
            "grade": rng.integers(0, 11, 1000),
            "day": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.permutation(1000), unit="D"),
        }
    )
    table["title"] = "The book " + table["isbn"]
    table.to_csv(tmp_path / "books.csv", index=False)
    monkeypatch.chdir(tmp_path)
    exec(snippets("python")[1], scope := {})
    graded = (
        table[table["grade"] > 0]
        .sort_values("day")
        .drop_duplicates(["reader", "isbn"], keep="last")
    )
    assert scope["ratings"].R.nnz == len(graded)
    assert scope["ratings"].scale == (1, 10)
    titles = scope["ratings"].titles
    read = set(graded.loc[graded["reader"] == "ann", "title"])
    assert len(scope["books"]) == len(scope["others"]) == 5
    assert all(title.startswith("The book ") for title in titles)
    assert not read & set(titles[scope["books"]])
    assert titles[scope["books"][0]] in capsys.readouterr().out
    assert not set(scope["books"][:2]) & set(scope["others"])
    predicted = scope["model"].V @ scope["newcomer"]
    assert np.isclose(scope["shares"].sum() + scope["base"], predicted[scope["others"][0]])
    model, ratings = alsnb.load_model(tmp_path / "books.npz", with_ratings=True)
    assert ratings.user("ann") == scope["ratings"].user("ann")
    assert np.array_equal(model.V, scope["model"].V)


def test_links_of_readme_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)", README)
    local = [link for link in links if "://" not in link]
    assert len(local) >= 8
    assert [link for link in local if not (ROOT / link).exists()] == []


def test_numbers_of_readme_stand_where_it_says():
    """Each row of the table of results links to a chapter or a page that has its numbers."""
    rows = [line for line in README.splitlines() if line.startswith("| ") and "](" in line]
    rows = [row for row in rows if re.search(r"\d\.\d", row)]
    assert len(rows) >= 3
    for row in rows:
        text = (ROOT / re.findall(r"\]\(([^)#]+)", row)[-1]).read_text(encoding="utf-8")
        for number in re.findall(r"\d+\.\d+|\d+,\d{3}", row.split("](")[0]):
            assert number in text, f"{number} of: {row}"
