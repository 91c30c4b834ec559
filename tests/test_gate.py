"""The gate holds: a notebook that was tampered with, or whose numbers have moved, does not pass."""

import base64
import copy
import io
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import nbformat
import pytest
import refresh
import test_notebooks as hygiene
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-p", "no:cacheprovider"]
PROJECT += ["-p", "no:hypothesispytest"]  # which takes its time to load


def cell(source, *tags):
    return new_code_cell(source, metadata={"tags": list(tags)} if tags else {})


# What is done to a cell of the committed notebook:


def nothing(cell):
    pass


def change_digit(cell):
    cell.outputs[0].text = cell.outputs[0].text.replace("4", "5", 1)


def change_value(cell):
    cell.outputs[0].data["text/plain"] = cell.outputs[0].data["text/plain"].replace("4", "5", 1)


def change_html(cell):
    cell.outputs[0].data["text/html"] = cell.outputs[0].data["text/html"].replace("20", "21")


def change_message(cell):
    cell.outputs[0].evalue += "!"


def drop_outputs(cell):
    cell.outputs = []


def drop_last_output(cell):
    cell.outputs.pop()


def drop_picture(cell):
    for output in cell.outputs:
        output.get("data", {}).pop("image/png", None)


def paint_over(cell):
    blank, file = Image.new("RGB", hygiene.size(cell.outputs[0].data["image/png"])), io.BytesIO()
    blank.save(file, "png")
    cell.outputs[0].data["image/png"] = base64.b64encode(file.getvalue()).decode()


def change_description(cell):
    cell.outputs[0].metadata["image/png"]["alt"] = "A line from one to three."


def swap_sides(cell):
    about = cell.outputs[0].metadata["image/png"]
    about.update(width=about["height"], height=about["width"])


def drop_outputs_and_count(cell):
    cell.outputs, cell.execution_count = [], None


PRINT = "print(f'RMSE {np.sqrt(2):.4f}')"
TABLE = "pd.DataFrame({'stars': [10, 20]})"
FIGURE = "plt.plot([1, 2])\nshow('A line from one to two.')\nprint('drawn')"
VALUE = "plt.plot([1, 2])\nshow('A line from one to two.')\n2 + 2"
RAISE = "np.linalg.inv(np.zeros((2, 2)))"
TIME = "time.perf_counter()"
WIDGET = "output = widgets.Output()\nwidgets.VBox([widgets.IntSlider(3), output])"
CASES = [
    # source, tags, what is done, does nbval see it?, which check does (or does too)?
    ("np.arange(4)", (), nothing, False, None),
    (PRINT, (), change_digit, True, None),
    (PRINT, (), drop_outputs, True, None),
    (PRINT, (), drop_outputs_and_count, False, hygiene.counts_run_from_one),
    ("2 + 2", (), change_value, True, None),
    ("2 + 2", (), drop_outputs, True, None),
    (TABLE, (), change_html, True, None),
    (TABLE, (), drop_outputs, True, None),
    (TABLE + ".style", (), nothing, False, None),
    (TABLE + ".style", (), change_html, True, None),
    (FIGURE, (), drop_outputs, True, None),
    (FIGURE, (), drop_last_output, True, None),
    (FIGURE, (), drop_picture, True, hygiene.pictures_are_there),
    (FIGURE, (), paint_over, True, None),
    (FIGURE, ("timed",), paint_over, False, None),
    (FIGURE, (), change_description, False, hygiene.pictures_are_those_described),
    (FIGURE, (), swap_sides, False, hygiene.pictures_are_those_described),
    (VALUE, (), nothing, False, None),
    (VALUE, (), drop_last_output, True, None),
    (RAISE, ("raises-exception",), change_message, True, None),
    (RAISE, ("raises-exception",), drop_outputs, True, hygiene.errors_are_announced),
    (TIME, ("nbval-ignore-output",), nothing, False, None),
    (TIME, ("nbval-ignore-output",), drop_outputs, False, hygiene.ignored_outputs_are_there),
    (WIDGET, (), nothing, False, None),
    (WIDGET, (), drop_outputs, True, None),
]
IMPORTS = """import time

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from alsnb.plotting import show"""


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    notebook = new_notebook(cells=[cell(IMPORTS), *(cell(case[0], *case[1]) for case in CASES)])
    return refresh.normalise(refresh.execute(notebook, tmp_path_factory.mktemp("execute")))


@pytest.fixture(scope="module")
def outcome(committed, tmp_path_factory):
    """Whether each cell failed, as committed and as tampered with, under the project's pytest."""
    folder = tmp_path_factory.mktemp("gate")
    tampered = copy.deepcopy(committed)
    for target, case in zip(tampered.cells[1:], CASES, strict=True):
        case[2](target)
    files = [folder / "committed.ipynb", folder / "tampered.ipynb"]
    shutil.copy(ROOT / "notebooks" / "conftest.py", folder)
    refresh.write(committed, files[0])
    refresh.write(tampered, files[1])
    command = [sys.executable, "-m", "pytest", *PROJECT, f"--junitxml={folder / 'report.xml'}"]
    run = subprocess.run(
        [*command, *files],
        cwd=ROOT,
        env={key: text for key, text in os.environ.items() if not key.startswith("PYTEST_")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=300,
    )
    assert (folder / "report.xml").exists(), run.stdout
    print(run.stdout)  # pytest shows it where a test below fails
    cells = list(ET.parse(folder / "report.xml").iter("testcase"))
    failed = [any(result.tag != "skipped" for result in cell) for cell in cells]
    assert len(failed) == 2 * len(committed.cells) and run.returncode == 1
    return failed[: len(committed.cells)], failed[len(committed.cells) :]


def test_committed_passes(outcome):
    assert not any(outcome[0])


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: CASES[number][2].__name__)
def test_each_tampering_is_seen(number, committed, outcome):
    _, _, tamper, by_nbval, by_hygiene = CASES[number]
    assert outcome[1][number + 1] == by_nbval
    if by_hygiene is not None:
        tampered = copy.deepcopy(committed)
        before = list(by_hygiene(committed))
        tamper(tampered.cells[number + 1])
        assert any(f"cell {number + 1} " in fault for fault in by_hygiene(tampered))
        assert not any(f"cell {number + 1} " in fault for fault in before)
    seen = by_nbval or by_hygiene is not None
    assert seen == (tamper is not nothing and "timed" not in CASES[number][1])


def test_committed_is_clean(committed):
    assert [fault for check in hygiene.ANY_NOTEBOOK for fault in check(committed)] == []
    assert refresh.normalise(committed) == committed


PRINTS = {"output_type": "stream", "name": "stdout"}
BARE = {"data": {"image/png": "=", "text/plain": "Figure: ?"}, "metadata": {}}
FAULTY = [
    (hygiene.counts_run_from_one, {"execution_count": 7}),
    (hygiene.tags_are_known, {"metadata": {"tags": ["nbval-skip"]}}),
    (hygiene.tags_are_known, {"source": "# NBVAL_IGNORE_OUTPUT\n1"}),
    (hygiene.errors_are_announced, {"outputs": [{"output_type": "error", "evalue": "no"}]}),
    (hygiene.errors_are_announced, {"metadata": {"tags": sorted(hygiene.NBVAL_TAGS)}}),
    (
        hygiene.ignored_outputs_are_there,
        {"metadata": {"tags": ["nbval-ignore-output"]}, "outputs": []},
    ),
    (hygiene.pictures_are_there, {"outputs": [{"data": {"image/png": "="}, "metadata": {}}]}),
    (hygiene.pictures_are_there, {"outputs": [BARE]}),
    (hygiene.nothing_is_silenced, {"source": "ax.plot(x);  # quiet"}),
    (hygiene.nothing_is_silenced, {"source": "%%capture\n1"}),
    (hygiene.no_widget_is_stored, {"outputs": [{"data": {refresh.WIDGET_VIEW: {}}}]}),
    (hygiene.outputs_hold_nothing_local, {"outputs": [PRINTS | {"name": "stderr"}]}),
    (hygiene.outputs_hold_nothing_local, {"outputs": [PRINTS | {"text": "in /home/ada/u.data"}]}),
    (hygiene.outputs_hold_nothing_local, {"outputs": [PRINTS | {"text": r"in C:\data"}]}),
    (hygiene.outputs_hold_nothing_local, {"outputs": [{"data": {"text/plain": "<f at 0x7f1a>"}}]}),
    (hygiene.outputs_hold_nothing_local, {"outputs": [PRINTS | {"text": "UserWarning: careful"}]}),
    (hygiene.outputs_hold_nothing_local, {"outputs": [PRINTS | {"text": " 42%|████      |"}]}),
    (hygiene.cells_are_short, {"source": "1\n" * 16}),
    (hygiene.cells_are_short, {"source": ""}),
    (hygiene.imports_are_at_the_top, {"source": "def f():\n    from scipy import sparse"}),
    (hygiene.imports_are_at_the_top, {"source": "import alsnb"}),
]


@pytest.mark.parametrize(
    ("check", "fault"), FAULTY, ids=lambda value: getattr(value, "__name__", "")
)
def test_faults_are_found(check, fault):
    """Each check is silent about a sound second cell, and speaks up about a faulty one."""
    sound = {"execution_count": 2, "outputs": [PRINTS | {"text": "RMSE 0.94 at 3:2, 50 %"}]}
    source = "%matplotlib inline\nfrom alsnb.ridge import solve_row\n\nprint('a; b')"
    first = cell("import numpy as np") | {"execution_count": 1}
    cells = [first, cell(source) | sound]
    notebook = nbformat.from_dict(new_notebook(cells=cells, metadata=refresh.METADATA))
    assert list(check(notebook)) == []
    notebook.cells[1].update(nbformat.from_dict(fault))
    assert list(check(notebook))


def test_metadata_and_headings():
    notebook = new_notebook(cells=[new_markdown_cell("# Do")], metadata={"widgets": {}})
    assert list(hygiene.metadata_are_kernel_and_language(notebook))
    assert list(hygiene.no_widget_is_stored(notebook))
    assert len(list(hygiene.headings_are_the_fixed_ones(notebook))) == 1
    headings = [*hygiene.FIRST_HEADINGS, "A loop", *hygiene.LAST_HEADINGS]
    text = "```\n# a comment\n```\n" + "\n".join(f"## {heading}" for heading in headings)
    notebook.cells.append(new_markdown_cell(text))
    assert not list(hygiene.headings_are_the_fixed_ones(notebook))
    notebook.cells.append(new_markdown_cell("## One more"))
    assert len(list(hygiene.headings_are_the_fixed_ones(notebook))) == 1


def test_a_chapter_asks_shows_and_has_slides():
    opening = new_markdown_cell("# Do\n\nA statement.")
    notebook = new_notebook(cells=[opening, new_markdown_cell("## What you'll do")])
    assert len(list(hygiene.opens_with_a_question_and_something_to_see(notebook))) == 2
    assert list(hygiene.asks_three_guesses(notebook)) and list(
        hygiene.has_about_ten_slides(notebook)
    )
    table = new_output("display_data", {"text/html": "<table>"})
    notebook.cells[0].source += " Is it true?" + 3 * "\n\n**Predict first.** How many?"
    notebook.cells.insert(1, new_code_cell("table", outputs=[table]))
    slide = nbformat.from_dict({"slideshow": {"slide_type": "slide"}})
    notebook.cells += [new_markdown_cell("", metadata=slide)] * 10
    assert not list(hygiene.opens_with_a_question_and_something_to_see(notebook))
    assert not list(hygiene.asks_three_guesses(notebook))
    assert not list(hygiene.has_about_ten_slides(notebook))
    types = [cell.metadata.slideshow.slide_type for cell in refresh.normalise(notebook).cells]
    assert types == 3 * ["skip"] + 10 * ["slide"]


def test_refresh_writes_all_or_nothing(tmp_path, capsys):
    good, bad = tmp_path / "01-good.ipynb", tmp_path / "02-bad.ipynb"
    nbformat.write(new_notebook(cells=[cell("print('a')\nprint('b')\n6 * 7")]), good)
    nbformat.write(new_notebook(cells=[cell("x = 0"), cell("1 / x")]), bad)
    before = bad.read_bytes()
    assert refresh.main([str(good), "--check"]) == 1
    assert refresh.main([str(bad), str(good)]) == 1
    assert refresh.main([str(good), "--check"]) == 0
    assert bad.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [good, bad]
    outputs = nbformat.read(good, as_version=4).cells[0].outputs
    assert outputs[0].text == "a\nb\n" and outputs[1].data["text/plain"] == "42"
    errors = capsys.readouterr().err
    assert "02-bad.ipynb: cell 2 of 2 failed: ZeroDivisionError: division by zero" in errors
    assert "\x1b" not in errors


def test_project_runs_nbval_over_all_notebooks(pytestconfig):
    assert pytestconfig.getini("testpaths") == ["tests", "notebooks"]
    assert {"--nbval", "--nbval-current-env"} <= set(pytestconfig.getini("addopts"))
