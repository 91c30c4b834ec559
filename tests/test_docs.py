"""Docstrings and signatures say the same; the package stays thin and quiet."""

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import alsnb

FOLDER = Path(alsnb.__file__).parent
MODULES = [
    importlib.import_module(f"alsnb.{module.name}")
    for module in pkgutil.iter_modules(alsnb.__path__)
]
FUNCTIONS = {
    function.__name__: function
    for module in MODULES
    for function in vars(module).values()
    if inspect.isfunction(function)
    and function.__module__ == module.__name__
    and not function.__name__.startswith("_")
}
CLASSES = [item for item in vars(alsnb).values() if inspect.isclass(item)]
# These say in words that they take what another one does.
PARTIAL = {"gradient_descent", "als_matrix_factorization_parallel"}


def section(item, title):
    """Names that a section of a docstring (NumPy's style) describes, in order."""
    text = inspect.cleandoc(item.__doc__)
    found = re.search(rf"^{title}\n-+\n(.*?)(?=\n\n\S[^\n]*\n---|\Z)", text, re.S | re.M)
    if not found:
        return []
    heads = re.findall(r"^(\w[\w, ]*?)(?: :.*)?$", found[1], re.M)
    return [name for head in heads for name in head.split(", ")]


def test_sections_are_read_as_numpy_writes_them():
    def example():
        """Do.

        Parameters
        ----------
        a, b : int
            Both; or c : neither.

            More of both.
        d :
            Too.
        e : {"x", "y"}

        Returns
        -------
        f : int
        """

    assert section(example, "Parameters") == ["a", "b", "d", "e"]
    assert section(example, "Returns") == ["f"]
    assert section(example, "Raises") == []


@pytest.mark.parametrize(
    "item", [*MODULES, *CLASSES, *FUNCTIONS.values()], ids=lambda i: i.__name__
)
def test_everything_public_has_a_docstring(item):
    first = (item.__doc__ or "").strip().split("\n")[0]
    assert first.endswith((".", ":")), "its first line should be a sentence"


def test_public_functions_are_among_those_tested():
    public = {name for name, item in vars(alsnb).items() if inspect.isfunction(item)}
    assert public <= set(FUNCTIONS)
    assert {"als_matrix_factorization", "load_movielens", "recommend_items"} <= public


@pytest.mark.parametrize("name", FUNCTIONS)
def test_documented_parameters_are_those_of_the_signature(name):
    documented = section(FUNCTIONS[name], "Parameters")
    parameters = inspect.signature(FUNCTIONS[name]).parameters.values()
    parameters = [one.name for one in parameters if one.kind is not one.VAR_KEYWORD]
    if name in PARTIAL:
        assert documented
        assert set(documented) < set(parameters)
    elif documented:
        assert documented == parameters  # in the same order, too


@pytest.mark.parametrize(
    "name",
    "als_matrix_factorization load_movielens ratings_to_matrix recommend_items hold_out "
    "make_low_rank_ratings solve_row calculate_residuals calculate_objective".split(),
)
def test_main_functions_document_every_parameter(name):
    assert section(FUNCTIONS[name], "Parameters")


@pytest.mark.parametrize("kind", [alsnb.MovieLens, alsnb.Factorization])
def test_documented_attributes_are_the_fields(kind):
    assert section(kind, "Attributes") == [field.name for field in dataclasses.fields(kind)]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_no_module_is_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 250


def test_package_stays_thin():
    """Under 2,450 lines of code, not counting blank lines, comments and docstrings."""
    total = 0
    for path in FOLDER.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        documented = ast.Module | ast.ClassDef | ast.FunctionDef
        nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, documented)]
        strings = [node.body[0] for node in nodes if ast.get_docstring(node)]
        lines = {n for s in strings for n in range(s.lineno, s.end_lineno + 1)}
        rest = enumerate(text.splitlines(), start=1)
        total += sum(line.strip()[:1] not in ("", "#") for n, line in rest if n not in lines)
    assert 500 < total < 2450


QUIET_IMPORT = """
import socket, warnings
import matplotlib, matplotlib.pyplot, numpy, pandas, pooch, scipy.sparse  # have their own
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


def test_snippet_of_readme_prints_what_readme_says(movielens, capsys):
    readme = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    code, printed = (readme.split(f"```{kind}\n")[1].split("```")[0] for kind in ("python", "text"))
    exec(code, {})
    assert capsys.readouterr().out.endswith("\n" + printed)
