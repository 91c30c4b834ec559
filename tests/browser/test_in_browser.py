"""Every widget of every chapter runs in JupyterLab, and answers to the keyboard."""

from pathlib import Path

import pytest
from pages import BUTTONS

ROOT = Path(__file__).resolve().parent.parent.parent
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_runs_and_its_widgets_answer(path, open_notebook):
    notebook = open_notebook(path.relative_to(ROOT).as_posix(), width=900)
    notebook.run_all()
    assert notebook.unexpected_errors() == []
    widgets = notebook.widgets()
    assert widgets, "a chapter without a widget"
    assert [fault for place in widgets for fault in notebook.widget_faults(place)] == []
    assert notebook.faults == []


def test_five_films_are_rated_before_a_formula_is_read(open_notebook):
    """Search, rate, change, remove, undo, as somebody does who opens the course."""
    notebook = open_notebook(CHAPTERS[0].relative_to(ROOT).as_posix())
    notebook.run_all()
    cell = notebook.cell(notebook.widgets()[0])
    notebook.says(cell, "No ratings yet")
    for typed, title in (
        ("starwars", "Star Wars (1977)"),
        ("schindlers", "Schindler's List (1993)"),
    ):
        notebook.fill(cell, typed)
        star = notebook.row(cell, title)[4]
        notebook.press(star, "Enter")
        notebook.says(cell, f"just now {title}: 5 stars")
        assert notebook.has_focus(star)
        notebook.page.wait_for_function("star => star.textContent == '★'", arg=star)
    notebook.fill(cell, "no such movie")
    notebook.says(cell, "No movie matches")
    notebook.fill(cell, "")
    notebook.says(cell, "Ask me about")
    mine = notebook.row(cell, "■ Star Wars (1977)")
    mine[1].click()
    notebook.says(cell, "just now Star Wars (1977): 2 stars")
    notebook.press(mine[5], "Enter")
    notebook.says(cell, "just now Star Wars (1977): rating removed")
    assert notebook.has_focus(mine[5])
    notebook.says(cell, "1 rating,")
    undo = next(one for one in cell.query_selector_all(BUTTONS) if one.text_content() == "Undo")
    notebook.press(undo, "Space")
    notebook.says(cell, "2 ratings")
    assert notebook.has_focus(undo)
    assert notebook.faults == []


def test_faults_are_seen(open_notebook):
    """Sound, deaf, without focus, too wide; then a request that leaves, and an error."""
    notebook = open_notebook("made-up.ipynb")
    notebook.run_all()
    assert notebook.unexpected_errors() == [
        "cell 5: ModuleNotFoundError: No module named 'missing_module'"
    ]
    assert notebook.widgets() == [0, 1, 2, 3]
    sound, deaf, drops, wide = (list(notebook.widget_faults(place)) for place in range(4))
    assert sound == []
    assert deaf == [
        "widget in cell 1: nothing changes with slider 0",
        "widget in cell 1: no button changes anything",
    ]
    assert drops == ["widget in cell 2: button 'One more' loses the focus"]
    assert len(wide) == 1 and "px wide" in wide[0]
    assert notebook.faults[0] == "a request leaves the machine: https://example.org/picture.png"
