"""Hygiene of the committed notebooks: what nbval cannot see, and what readers rely on."""

import ast
import base64
import io
import itertools
import re
import tokenize
from collections import Counter
from pathlib import Path

import nbformat
import numpy as np
import pytest
import refresh
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXERCISES = sorted((ROOT / "notebooks" / "exercises").glob("*.ipynb"))
NBVAL_TAGS = {"nbval-ignore-output", "raises-exception"}
TAGS = NBVAL_TAGS | {"timed", "thumbnail", "setup", "given", "answer", "check", "hidden", "rubric"}
FIRST_HEADINGS = ["What you'll do", "What you'll learn", "What you'll need"]
LAST_HEADINGS = ["What you have seen", "On your own", "In practice", "Further reading"]
# Cells whose output, or (timed) whose picture only, is compared with nothing
NOT_COMPARED = {
    "03-sequential-als": {"nbval-ignore-output": 1},
    "04-parallel-als": {"nbval-ignore-output": 2, "timed": 6},
    "06-incremental-updates": {"nbval-ignore-output": 1},
    "08-uncertainty": {"nbval-ignore-output": 1},
}
UNWANTED = {
    "an absolute path": r"/(home|Users|root|tmp|var/folders)/|\b[CD]:\\|site-packages",
    "a memory address": r"\b0x[0-9a-fA-F]{4,}",
    "a warning": r"Warning\b",
    "a terminal's colours": r"\x1b\[",
    "a progress bar": r"\d+%\|",
}


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell):
    return set(cell.metadata.get("tags", []))


def python(cell):
    """Source of a cell with its magics and shell commands taken out."""
    return re.sub(r"(?m)^(\s*)[%!].*$", r"\1pass", cell.source)


def text_outputs(notebook):
    """All (number of code cell, text) that a reader or nbval sees."""
    for number, cell in enumerate(code_cells(notebook)):
        for output in cell.outputs:
            texts = [output.get("text", ""), output.get("ename", ""), output.get("evalue", "")]
            texts += output.get("traceback", [])
            for kind, data in output.get("data", {}).items():
                texts += [str(data)] if kind.startswith("text/") or "svg" in kind else []
            yield number, "\n".join(texts)


def size(png):
    """Width and height of a picture in an output, in pixels."""
    return Image.open(io.BytesIO(base64.b64decode(png))).size


# Each check yields the faults of a notebook. Cells are numbered as nbval does: code cells, from 0.


def counts_run_from_one(notebook):
    """Nbval compares nothing in a cell without a count: a stripped notebook would pass."""
    for number, cell in enumerate(code_cells(notebook)):
        if cell.execution_count != number + 1:
            yield f"cell {number} has execution count {cell.execution_count}, not {number + 1}"


def tags_are_known(notebook):
    for number, cell in enumerate(code_cells(notebook)):
        if unknown := tags(cell) - TAGS:
            yield f"cell {number} is tagged {sorted(unknown)}; known are {sorted(TAGS)}"
        if re.search(r"#.*(NBVAL_|PYTEST_VALIDATE)", cell.source):
            yield f"cell {number} directs nbval in a comment; use a tag, which can be counted"


def errors_are_announced(notebook):
    for number, cell in enumerate(code_cells(notebook)):
        raised = any(output.output_type == "error" for output in cell.outputs)
        if raised != ("raises-exception" in tags(cell)):
            which = "raises without the" if raised else "does not raise, yet has the"
            yield f"cell {number} {which} tag raises-exception"
        if tags(cell) >= NBVAL_TAGS:
            yield f"cell {number} raises, so its output must be compared"


def ignored_outputs_are_there(notebook):
    """Nbval would not miss them."""
    for number, cell in enumerate(code_cells(notebook)):
        if "nbval-ignore-output" in tags(cell) and not cell.outputs:
            yield f"cell {number} has lost its output, or needs no nbval-ignore-output"


def pictures_are_there(notebook):
    """Nbval compares the text of a figure only: it misses a lost picture, and a bare one."""
    for number, cell in enumerate(code_cells(notebook)):
        for output in (output for output in cell.outputs if "data" in output):
            text = output.data.get("text/plain", "")
            if text.startswith(("<Figure", "Figure: ")) and "image/png" not in output.data:
                yield f"cell {number} has lost its picture"
            if "text/plain" not in output.data:
                yield f"cell {number} shows {list(output.data)} without a text to compare"
            alt = output.metadata.get("image/png", {}).get("alt", "")
            if "image/png" in output.data and len(alt) < 20:
                yield f"cell {number} shows a picture without a description: use show(...)"


def pictures_are_those_described(notebook):
    """Nbval compares the text beside a picture, not what a page does with it: alt text and size."""
    for number, cell in enumerate(code_cells(notebook)):
        for output in cell.outputs:
            if (png := output.get("data", {}).get("image/png")) is None:
                continue
            about, text = output.metadata["image/png"], output.data["text/plain"]
            if text.partition(": ")[2] != about["alt"]:
                yield f"cell {number} says {text!r}, but describes its picture as {about['alt']!r}"
            if np.abs(np.subtract(size(png), (2 * about["width"], 2 * about["height"]))).max() > 1:
                yield f"cell {number} shows {size(png)} pixels at another size than half of theirs"


def nothing_is_silenced(notebook):
    """A closing semicolon hides a value from readers, not from nbval: end with plt.show()."""
    for number, cell in enumerate(code_cells(notebook)):
        tokens = tokenize.generate_tokens(io.StringIO(python(cell)).readline)
        if any(token.type == tokenize.OP and token.string == ";" for token in tokens):
            yield f"cell {number} holds a semicolon"
        if "%%capture" in cell.source:
            yield f"cell {number} captures its output"


def metadata_are_kernel_and_language(notebook):
    if notebook.metadata != refresh.METADATA:
        yield f"notebook metadata are {dict(notebook.metadata)}"


def no_widget_is_stored(notebook):
    if "widgets" in notebook.metadata:
        yield "the notebook stores the state of widgets"
    for number, cell in enumerate(code_cells(notebook)):
        if any(refresh.WIDGET_VIEW in output.get("data", {}) for output in cell.outputs):
            yield f"cell {number} stores the view of a widget"


def outputs_hold_nothing_local(notebook):
    for number, cell in enumerate(code_cells(notebook)):
        if any(output.get("name") == "stderr" for output in cell.outputs):
            yield f"cell {number} writes to stderr"
    for number, text in text_outputs(notebook):
        for what, pattern in UNWANTED.items():
            if found := re.search(rf".*({pattern}).*", text):
                yield f"cell {number} shows {what}: {found[0].strip()[:80]}"


def cells_are_short(notebook):
    for number, cell in enumerate(code_cells(notebook)):
        if not 0 < (length := len(cell.source.splitlines())) <= 15:
            yield f"cell {number} has {length} lines"


def imports_are_at_the_top(notebook):
    """One import cell, the first; alsnb's own functions may be imported once they are derived."""
    for number, cell in enumerate(code_cells(notebook)):
        nodes = list(ast.walk(ast.parse(python(cell))))
        imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
        if number == 0 and not imports:
            yield "cell 0 imports nothing"
        for node in imports if number else ():
            module = getattr(node, "module", None) or ""
            if module.split(".")[0] != "alsnb":
                yield f"cell {number} imports: {ast.unparse(node)}"


def prose(notebook):
    """All text without its blocks of code."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return re.sub(r"(?ms)^(```|~~~).*?^\1", "", text).replace("’", "'")


def headings_are_the_fixed_ones(notebook):
    if not notebook.cells or not re.match(r"# \S", notebook.cells[0].source):
        yield "the first cell does not begin with a title"
    if len(re.findall(r"(?m)^# ", prose(notebook))) != 1:
        yield "there is not exactly one title"
    headings = [heading.strip() for heading in re.findall(r"(?m)^## (.*)$", prose(notebook))]
    if headings[:3] != FIRST_HEADINGS or headings[-4:] != LAST_HEADINGS or len(headings) < 8:
        yield f"its headings (##) are {headings}, not {FIRST_HEADINGS}, …, {LAST_HEADINGS}"


def opens_with_a_question_and_something_to_see(notebook):
    before = list(itertools.takewhile(lambda cell: "## " not in cell.source, notebook.cells))
    if "?" not in notebook.cells[0].source:
        yield "the first cell asks no question"
    outputs = [output for cell in before for output in cell.get("outputs", [])]
    if not any({"image/png", "text/html"} & set(output.get("data", {})) for output in outputs):
        yield "there is no picture or table before the first heading"


def asks_three_guesses(notebook):
    guesses = len(re.findall(r"(?m)^\*\*Predict first", prose(notebook)))
    if guesses < 3:
        yield f"{guesses} times 'Predict first', not three times"


def has_about_ten_slides(notebook):
    slides = [cell.metadata.get("slideshow", {}).get("slide_type") for cell in notebook.cells]
    if not 8 <= slides.count("slide") <= 14:
        yield f"{slides.count('slide')} cells are slides, not about ten"
    for number, (cell, slide) in enumerate(zip(notebook.cells, slides, strict=True)):
        pictures = ["image/png" in output.get("data", {}) for output in cell.get("outputs", [])]
        if slide == "slide" and cell.cell_type == "code" and not any(pictures):
            yield f"cell {number} of all is a slide without a picture"


CHECKS = [
    counts_run_from_one,
    tags_are_known,
    errors_are_announced,
    ignored_outputs_are_there,
    pictures_are_there,
    pictures_are_those_described,
    nothing_is_silenced,
    metadata_are_kernel_and_language,
    no_widget_is_stored,
    outputs_hold_nothing_local,
    cells_are_short,
    imports_are_at_the_top,
    headings_are_the_fixed_ones,
    opens_with_a_question_and_something_to_see,
    asks_three_guesses,
    has_about_ten_slides,
]
ANY_NOTEBOOK = CHECKS[: CHECKS.index(imports_are_at_the_top)]  # exercises have a form of their own
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


@each_notebook
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_hygiene(path, check):
    assert list(check(read(path))) == []


each_exercise = pytest.mark.parametrize("path", EXERCISES, ids=lambda path: path.stem)


@each_exercise
@pytest.mark.parametrize("check", ANY_NOTEBOOK, ids=lambda check: check.__name__)
def test_hygiene_of_exercises(path, check):
    assert list(check(read(path))) == []


@pytest.mark.parametrize("path", NOTEBOOKS + EXERCISES, ids=lambda path: "/".join(path.parts[-2:]))
def test_in_normal_form(path):
    notebook = read(path)
    nbformat.validate(notebook)
    normal = refresh.normalise(notebook)
    assert refresh.normalise(normal) == normal
    wanted = refresh.serialise(normal)
    assert path.read_text(encoding="utf-8") == wanted, (
        f"run: python notebooks/refresh.py {path.name}"
    )


def test_few_outputs_are_compared_with_nothing():
    for path in NOTEBOOKS + EXERCISES:
        counts = Counter(tag for cell in code_cells(read(path)) for tag in tags(cell))
        found = {tag: counts[tag] for tag in ("nbval-ignore-output", "timed") if counts[tag]}
        assert found == (NOT_COMPARED.get(path.stem, {}) if path in NOTEBOOKS else {}), path


def test_numbered_without_gaps():
    everywhere = [p for p in (ROOT / "notebooks").rglob("*.ipynb") if ".ipynb_" not in str(p)]
    assert sorted(everywhere) == sorted(NOTEBOOKS + EXERCISES), "a notebook lies elsewhere"
    assert [path.name for path in EXERCISES] == [path.name for path in NOTEBOOKS]
    numbers = [path.name.split("-")[0] for path in NOTEBOOKS]
    assert numbers and numbers == [f"{number + 1:02}" for number in range(len(numbers))]


@each_notebook
def test_in_readme(path):
    assert path.name in (ROOT / "README.md").read_text(encoding="utf-8")


@each_notebook
def test_links_to_its_neighbours(path):
    position = NOTEBOOKS.index(path)
    neighbours = NOTEBOOKS[max(position - 1, 0) : position] + NOTEBOOKS[position + 1 : position + 2]
    cells = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
    link = re.compile(r"\]\((?:\./)?([\w.-]+\.ipynb)(?:#[^)]*)?\)")
    links = [set(link.findall(line)) for source in cells for line in source.splitlines()]
    known = {other.name for other in NOTEBOOKS}
    assert set().union(*links) <= known, "a link leads nowhere"
    assert f"(exercises/{path.name})" in "\n".join(cells), "no link to its exercises"
    assert any({other.name for other in neighbours} <= found for found in links), "no such line"


@each_notebook
def test_thumbnail_is_the_picture_of_its_chapter(path):
    """To the eye: other versions of a library may resize a little otherwise."""
    small = ROOT / "notebooks" / "thumbnails" / f"{path.stem}.png"
    wanted = refresh.shrink(refresh.thumbnail(read(path)))
    images = [Image.open(file).convert("RGB") for file in (small, io.BytesIO(wanted))]
    assert images[0].size == images[1].size
    assert np.abs(np.subtract(*map(np.asarray, images), dtype=int)).mean() < 2
    assert f"notebooks/thumbnails/{small.name}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_picture_of_readme_is_that_of_its_chapter():
    picture = refresh.thumbnail(read(ROOT / "notebooks" / refresh.PICTURED))
    assert picture == (ROOT / "notebooks" / "factor-map.png").read_bytes()
    assert '"notebooks/factor-map.png"' in (ROOT / "README.md").read_text(encoding="utf-8")
