"""Every notebook runs in JupyterLab, and every widget answers to the keyboard."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXERCISES = sorted((ROOT / "notebooks" / "exercises").glob("*.ipynb"))


@pytest.mark.parametrize("path", CHAPTERS + EXERCISES, ids=lambda path: "/".join(path.parts[-2:]))
def test_runs_and_its_widgets_answer(path, open_notebook):
    notebook = open_notebook(path.relative_to(ROOT).as_posix(), width=900)
    notebook.run_all()
    assert notebook.unexpected_errors() == []
    widgets = notebook.widgets()
    assert widgets or path in EXERCISES, "a chapter without a widget"
    assert [fault for place in widgets for fault in notebook.widget_faults(place)] == []
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
