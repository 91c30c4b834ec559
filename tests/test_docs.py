"""What the documents say is so: docstrings, examples, the README, the shape of the package."""

import ast
import dataclasses
import doctest
import importlib
import importlib.util
import inspect
import pkgutil
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import coursework
import numpy as np
import pandas as pd
import pytest

import alsnb
import alsnb.plotting

FOLDER = Path(alsnb.__file__).parent
ROOT = FOLDER.parent
PAGES = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "notebooks/TEACHING.md", "notebooks/notation.md")
}
README, TEACHING, NOTATION = PAGES.values()
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
    "ALS.bias_scale", "ALS.penalties", "ALS.weigh", "Factorization.assemble",
    "Factorization.equation", "Factorization.link", "Factorization.link_penalty",
    "Factorization.replace", "Factorization.solved", "Factorization.squared_error",
    "Factorization.step_link", "Factorization.with_link", "Factorization.with_rows",
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


def test_imports_have_no_cycle_and_are_at_most_six_deep():
    graph = imports()
    depths = {module: depth(module, graph) for module in graph}
    assert len([name for name in graph if "." not in name]) <= 13
    assert (depths["ratings"], depths["ridge"]) == (0, 1)
    assert max(depths.values()) <= 6, depths


QUIET_IMPORT = """
import socket, warnings
import matplotlib, matplotlib.pyplot, numba, numpy, pandas, pooch  # have their own
import scipy.sparse, scipy.special, threadpoolctl, tqdm

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


def test_clicks_without_grades_as_readme_says():
    """Listeners of two tastes, each with songs of their own; lists are of the right taste."""
    rng = np.random.default_rng(0)
    users = rng.integers(0, 60, 3000)
    songs = rng.integers(0, 20, 3000) + 20 * (users % 2)
    table = pd.DataFrame({"user_id": users, "item_id": songs})
    counts, model = re.findall(r"`(Ratings\.counts\(table\)|ALS\(.*?\))`", README)
    scope = {"Ratings": alsnb.Ratings, "ALS": alsnb.ALS, "table": table}
    ratings = eval(counts, scope)
    assert ratings.R.sum() == len(table)
    train, test = alsnb.leave_k_out(ratings, 3, rng=0)
    model = eval(model, scope).fit(train, rng=0, verbose=False)
    items, _ = model.recommend(None, train, top_n=3)
    assert np.mean(items // 20 == np.arange(60)[:, None] % 2) > 0.9
    assert alsnb.evaluate_lists(model, train, test, k=3)["value"]["ndcg"] > 0.4


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    links = re.findall(r"\]\(([^)#]*)#?([^)]*)\)", PAGES[name])
    local = [(path, place) for path, place in links if "://" not in path]
    assert len(local) >= 6
    for path, place in local:
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), f"{path} does not exist"
        if place:
            headings = re.findall(r"(?m)^#+ (.+)$", target.read_text(encoding="utf-8"))
            marks = [re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in headings]
            assert place in marks, f"{path} has no heading for #{place}"


def test_numbers_of_readme_stand_where_it_says():
    """Each row of the table of results links to a chapter or a page that has its numbers."""
    rows = [line for line in README.splitlines() if line.startswith("| ") and "](" in line]
    rows = [row for row in rows if re.search(r"\d\.\d", row)]
    assert len(rows) >= 3
    for row in rows:
        text = (ROOT / re.findall(r"\]\(([^)#]+)", row)[-1]).read_text(encoding="utf-8")
        for number in re.findall(r"\d+\.\d+|\d+,\d{3}", row.split("](")[0]):
            assert number in text, f"{number} of: {row}"


# The pages for teachers, and of notation


def rows(page, heading):
    """Cells of the table below a heading, row by row, without its head."""
    part = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def numbers_in(*cells):
    return [number for cell in cells for number in re.findall(r"\b\d\.\d\b", cell)]


def test_pages_are_short():
    assert len(TEACHING.splitlines()) <= 160
    assert len(NOTATION.splitlines()) <= 75


def test_commands_of_teaching_exist(capsys):
    """Each command is a file or a program that is there, and its help knows all options."""
    commands = "".join(re.findall(r"```sh\n(.*?)```", TEACHING, re.S)).splitlines()
    assert len(commands) >= 5
    for command in commands:
        program, *words = shlex.split(command)
        if program == "jupyter":
            assert words[0] == "nbconvert" and importlib.util.find_spec("nbconvert")
            assert (ROOT / words[-1]).exists()
            continue
        assert (program, words[0]) == ("python", "notebooks/coursework.py")
        with pytest.raises(SystemExit) as end:
            coursework.main([words[1], "--help"])
        assert end.value.code == 0, f"there is no {words[1]}"
        known = capsys.readouterr().out
        assert all(word in known for word in words if word.startswith("--")), command


def test_minutes_and_points_of_teaching_are_those_of_the_exercises():
    table = rows(TEACHING, "Minutes")
    assert len(table) == len(coursework.exercise_paths())
    for (chapter, _, minutes, points, _), path in zip(
        table, coursework.exercise_paths(), strict=True
    ):
        exercises = coursework.read_exercises(path)
        wanted = sum(exercise.minutes for exercise in exercises)
        assert minutes == f"[{wanted}](exercises/{path.name})"
        assert float(points) == sum(exercise.points for exercise in exercises)
        assert f"({path.name})" in chapter


def test_what_teaching_assigns_are_the_exercises():
    numbers = {
        exercise.number: path
        for path in coursework.exercise_paths()
        for exercise in coursework.read_exercises(path)
    }
    one = rows(TEACHING, "One session a chapter")
    for chapter, *_, assigned, rest in one:
        own = [number for number in numbers if int(number.split(".")[0]) == int(chapter)]
        assert sorted(numbers_in(assigned, rest)) == own
    two = rows(TEACHING, "Two sessions a chapter")
    assert (len(one), len(two)) == (9, 18)
    for place, (session, _, assigned) in enumerate(two):
        assert int(session) == place + 1
        assert {int(one.split(".")[0]) for one in numbers_in(assigned)} == {place // 2 + 1}
    assigned = numbers_in(*(row[-1] for row in two))
    assert len(assigned) == len(set(assigned)) and set(assigned) <= set(numbers)


def test_names_of_notation_exist():
    names = set(re.findall(r"`([\w.]+)(?:\(R\))?`", NOTATION)) - {"i", "j", "r", "x", "Y", "Y_i"}
    names -= {"R", "R_items", "ratings.R", "R.data", "baseline", "D", "A_inverse", "alsnb.plotting"}
    fields = {field.name for field in dataclasses.fields(alsnb.ALS)}
    arguments = {*inspect.signature(alsnb.damped_means).parameters}
    arguments |= {*inspect.signature(alsnb.gradient_descent).parameters}
    fields_of_models = {field.name for field in dataclasses.fields(alsnb.Factorization)}
    for name in names:
        own = name.removeprefix("model.")
        places = [alsnb.Factorization, alsnb, alsnb.plotting]
        known = any(hasattr(place, own) for place in places)
        assert known or own in fields | arguments | fields_of_models, name
    assert len(names) >= 15
    for colour in ("BLUE", "ORANGE", "GREEN", "PURPLE", "GREY"):
        assert f"`{colour}`" in NOTATION


@pytest.mark.parametrize("path", coursework.chapter_paths(), ids=lambda path: path.stem)
def test_chapters_lead_to_the_notation(path):
    assert "(notation.md)" in path.read_text(encoding="utf-8")


def test_binder_gets_a_python_that_will_do():
    version = (ROOT / "runtime.txt").read_text(encoding="utf-8").strip()
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    oldest = oldest["project"]["requires-python"].removeprefix(">=")
    numbers = [tuple(map(int, one.split("."))) for one in (version.removeprefix("python-"), oldest)]
    assert numbers[0] >= numbers[1]
