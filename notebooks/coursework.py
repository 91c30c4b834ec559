"""Set the exercises as homework: hand them out, grade them, make copies to read.

Chapters are the notebooks beside this file. Exercises, with their solutions, are in
``exercises/``. `marking.py` runs one exercise of one student.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import math
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import groupby
from pathlib import Path, PurePosixPath

import marking
import nbformat
from marking import Exercise, say, shorten
from nbformat import NotebookNode
from refresh import normalise, write

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
HEADING = re.compile(
    r"^## Exercise (?P<number>\d+\.\d+): (?P<title>.+) \((?P<written>written, )?"
    r"(?P<points>[\d.]+) points?, (?P<minutes>\d+) minutes\)$",
    re.MULTILINE,
)
ANY_HEADING = re.compile(r"^#+ *Exercise +(\d+\.\d+)\b", re.MULTILINE)
SOLUTION = re.compile(r"(?ms)^( *)### BEGIN SOLUTION$.*?^ *### END SOLUTION$")
SEED = re.compile(r"^SEED = \d+$", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[([^\[\]]+)\]\(([^()\s]+)\)")
YOUR_ANSWER = "*Your answer here.*"
HANDED_OUT = {"setup", "given", "check", "hidden"}  # tags of cells not the student's
COLUMNS = ["student", "file", "chapter", "exercise", "points", "of", "message"]
NOT_GRADED = "NOT GRADED: the setup failed: "
AT_A_TIME = 2
BROWSERS = ["chromium", "chromium-browser", "google-chrome", "chrome", "msedge"]
MAC_CHROME = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
HELP = """\
hand-out FOLDER  the course for students, in a new folder: the package, the chapters,
                 and the exercises without solutions and hidden checks
grade FOLDER     all notebooks in the folder and below, or one notebook. Each exercise
                 runs in a process of its own, so that a wrong or hostile one costs only
                 its own points. But a student's code runs with your rights, and can
                 read your files: grade strangers in a container.
read FOLDER      each chapter as a page (HTML) and, where Chromium or Chrome is
                 installed, as PDF. Formulas are readable without a network if
                 latex2mathml is installed; if not, the pages load MathJax from a CDN.
"""


class CourseworkError(RuntimeError):
    """Something that the teacher should know; the message is one sentence."""


# The exercises as they are written: setup, then a section for each


def chapter_paths() -> list[Path]:
    """All chapters."""
    return sorted(HERE.glob("[0-9]*.ipynb"))


def exercise_paths() -> list[Path]:
    """All notebooks of exercises."""
    return sorted((HERE / "exercises").glob("[0-9]*.ipynb"))


def read_exercises(path: Path) -> list[Exercise]:
    """Exercises of a notebook with solutions, in order."""
    parts = sections(nbformat.read(path, as_version=4))
    setup = "\n\n".join(cell.source for cell in parts.pop("") if "setup" in tags(cell))
    exercises = []
    for number, cells in parts.items():
        heading = HEADING.search(cells[0].source)
        if heading is None:
            raise CourseworkError(
                f"{path.name}: no proper heading of exercise {number}"
            )
        by_tag = {"question": [cells[0].source]}
        for cell in cells:
            for tag in tags(cell):
                by_tag.setdefault(tag, []).append(cell.source)
        about = heading.groupdict()
        about |= {"points": float(about["points"]), "minutes": int(about["minutes"])}
        about["written"] = about["written"] is not None
        exercises.append(Exercise(**about, setup=setup, cells=by_tag))
    return exercises


def sections(notebook: NotebookNode) -> dict[str, list[NotebookNode]]:
    """Cells by exercise, such as 2.3; those before the first belong to ''."""
    found, number = {"": []}, ""
    for cell in notebook.cells:
        markdown = cell.cell_type == "markdown"
        if markdown and (heading := ANY_HEADING.search(cell.source)):
            number = heading[1]
        found.setdefault(number, []).append(cell)
    return found


def tags(cell: NotebookNode) -> set[str]:
    """Tags of a cell."""
    return set(cell.get("metadata", {}).get("tags", []))


# Hand out


AS_IT_IS = ["LICENSE", "pyproject.toml", "runtime.txt", ".gitignore"]
AS_IT_IS += ["alsnb/**/*.py", "tests/benchmarks/*.csv"]  # read by chapters 05 and 08
NOT_FOR_STUDENTS = re.compile(r"(?m)^# (refreshing|copies|tests).*\n(.+\n)+\n")
README = """\
# Learn matrix factorization by building a movie recommender

Each chapter is a Jupyter notebook to read, run and change; exercises belong to it.

## Start

You need Python 3.11 to 3.14. In this folder:

```sh
{command}
```

On Windows write `py` for `python3` and `.venv\\Scripts\\` for `.venv/bin/`. The first
notebook downloads MovieLens 100K (5 MB) once.

## The chapters

{chapters}

The symbols are on [one page](notebooks/notation.md).

## Hand in

Answer in the notebooks in `notebooks/exercises/`, and hand these in, under their names.

- Put your answer in place of the line `raise NotImplementedError(…)`, and run the check
  below it. Other checks, with other data, are run on what you have handed in.
- Collected is your code below the heading of each exercise and, where the exercise is
  marked as written, your text there. You may add cells; leave the headings as they are.
- Each exercise is graded alone. Imports and helpers go below the heading of the
  exercise that needs them. Changes to the first cell, and to checks, are not graded.
- Where a function of the package is not accepted, write your own.

## Licence

The code is under the [MIT licence](LICENSE). MovieLens is not included: it has [its own
licence](https://files.grouplens.org/datasets/movielens/ml-100k-README.txt).
"""


def hand_out(folder: Path, seed: int | None = None, colab: str | None = None) -> None:
    """Write the course for students into a new folder, laid out as this repository.

    The chapters are as they are, outputs included, but for links that would lead
    nowhere. Raises CourseworkError if there are notebooks in the folder already.
    """
    if next(folder.rglob("*.ipynb"), None):
        what = "has notebooks in it, and they may be a student's work"
        raise CourseworkError(f"{folder} {what}: name a new folder")
    pages = [*chapter_paths(), *exercise_paths()]
    notebooks = {path: nbformat.read(path, as_version=4) for path in pages}
    files = [*linked_files(notebooks)]
    files += [path for pattern in AS_IT_IS for path in ROOT.glob(pattern)]
    needed = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    texts = {
        ROOT / "README.md": students_readme(notebooks),
        ROOT / "requirements.txt": NOT_FOR_STUDENTS.sub("", needed),
    }
    known = {path: path.suffix for path in (*notebooks, *files, *texts)}
    for path, notebook in notebooks.items():
        if path in exercise_paths():
            notebook = students_copy(notebook, seed)
        if colab is not None:
            first = [cell.cell_type for cell in notebook.cells].index("code")
            notebook.cells.insert(first, colab_cell(colab))
        relink(notebook, path.parent, known)
        write(normalise(notebook), new_path(path, folder))
    for path in files:
        if path.suffix == ".md":
            text = path.read_text(encoding="utf-8")
            texts[path] = relinked(text, path.parent, known)
        else:
            shutil.copyfile(path, new_path(path, folder))
    for path, text in texts.items():
        new_path(path, folder).write_text(text, encoding="utf-8")


def students_readme(notebooks: dict[Path, NotebookNode]) -> str:
    """The page that students read first, with the command of this repository's."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    command = re.search(r"```sh\n(.+)\n```", page)[1]
    chapters = [
        f"- [{path.name[:2]} {notebooks[path].cells[0].source.splitlines()[0][2:]}]"
        f"(notebooks/{path.name}) · [exercises](notebooks/exercises/{path.name})"
        for path in chapter_paths()
    ]
    return README.format(command=command, chapters="\n".join(chapters))


def new_path(path: Path, folder: Path) -> Path:
    """Where a file of this repository goes in a folder; its parents are made."""
    goal = folder / path.relative_to(ROOT)
    goal.parent.mkdir(parents=True, exist_ok=True)
    return goal


def students_copy(notebook: NotebookNode, seed: int | None = None) -> NotebookNode:
    """Exercises without solutions, hidden checks, rubrics and outputs."""
    copy = nbformat.from_dict({**notebook, "cells": []})
    for number, cells in sections(notebook).items():
        for cell in map(nbformat.from_dict, cells):
            if "hidden" in tags(cell):
                continue
            if "answer" in tags(cell):
                cell.source = blank(cell.source, number)
            if "rubric" in tags(cell):
                cell.source = YOUR_ANSWER
            if "setup" in tags(cell):
                cell.source = with_seed(cell.source, seed)
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
            copy.cells.append(cell)
    return normalise(copy)


def blank(answer: str, number: str) -> str:
    """An answer cell as students get it, its solution gone."""
    text = f"exercise {number}: replace this line by your answer"
    line = f'raise NotImplementedError("{text}")'
    return SOLUTION.sub(lambda found: found[1] + line, answer)


def with_seed(setup: str, seed: int | None) -> str:
    """A setup with another seed, if one is given."""
    return setup if seed is None else SEED.sub(f"SEED = {seed}", setup)


def colab_cell(address: str) -> NotebookNode:
    """First code cell of a copy that also runs on Google Colab."""
    lines = [
        "import os",
        "import subprocess",
        "import sys",
        "",
        'if "google.colab" in sys.modules:  # elsewhere this cell does nothing',
        f"    address, folder = {json.dumps(address)}, '/content/course'",
        "    if not os.path.exists(folder):",
        '        subprocess.run(["git", "clone", "-q", address, folder], check=True)',
        '    pip = [sys.executable, "-m", "pip", "install", "--quiet"]',
        '    subprocess.run([*pip, f"{folder}[fast,widgets]"], check=True)',
        '    os.chdir(f"{folder}/notebooks")',
    ]
    return nbformat.v4.new_code_cell("\n".join(lines), metadata={"tags": ["setup"]})


def linked_files(notebooks: dict[Path, NotebookNode]) -> list[Path]:
    """Pages and pictures beside this file that notebooks show or link to."""
    files = set()
    for path, notebook in notebooks.items():
        text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
        for link in re.findall(r"\]\(([^()\s#:]+)[^()]*\)", text):
            file = (path.parent / link).resolve()
            if file.suffix in (".md", ".png", ".svg") and file.is_file():
                files |= {file} if file.is_relative_to(HERE) else set()
    return sorted(files)


def relink(notebook: NotebookNode, folder: Path, known: dict[Path, str]) -> None:
    """Change the links of a notebook by `relinked`."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = relinked(cell.source, folder, known)


def relinked(text: str, folder: Path, known: dict[Path, str]) -> str:
    """Text whose links to files have the suffix in `known`, or else become words."""

    def change(found):
        words, link = found.groups()
        if re.match(r"[a-z]+:|#", link):  # another site, or a place of this page
            return found[0]
        path, mark, place = link.partition("#")
        suffix = known.get((folder / path).resolve())
        if suffix is None:
            return words
        return f"[{words}]({PurePosixPath(path).with_suffix(suffix)}{mark}{place})"

    return LINK.sub(change, text)


# Grade


def submissions(folder: Path) -> tuple[list[Path], list[Path]]:
    """Notebooks in a folder and below, and the other files; or a single notebook."""
    files = sorted(folder.rglob("*")) if folder.is_dir() else [folder]
    hidden = [any(p[0] == "." for p in f.relative_to(folder).parts) for f in files]
    files = [f for f, no in zip(files, hidden, strict=True) if f.is_file() and not no]
    notebooks = [file for file in files if file.suffix == ".ipynb"]
    return notebooks, [file for file in files if file not in notebooks]


def grade(
    folder: Path,
    seed: int | None = None,
    time_limit: float = 60,
    only: list[str] | None = None,
) -> Iterator[dict]:
    """Yield rows of the table of points, for each exercise of each submission."""
    course = {}
    for path in exercise_paths():
        for exercise in read_exercises(path):
            seeded = vars(exercise) | {"setup": with_seed(exercise.setup, seed)}
            course[exercise.number] = Exercise(**seeded)
    if unknown := set(only or []) - set(course):
        raise CourseworkError(f"there is no exercise {', '.join(sorted(unknown))}")
    course = {number: course[number] for number in course if number in (only or course)}
    paths, _ = submissions(folder)
    if not paths:
        raise CourseworkError(f"there are no notebooks in {folder}")
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        try:
            rows = []
            for path in paths:
                file = path.relative_to(folder if folder.is_dir() else folder.parent)
                about = {"student": file.parts[0], "file": file.as_posix()}
                rows += submission_rows(path, about, course, pool, time_limit)
            for row in rows:
                yield row | row.pop("later").result() if "later" in row else row
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def submission_rows(path, about, course, pool, time_limit) -> Iterator[dict]:
    """Rows of one submission; what is still at work is in a future called "later"."""
    empty = dict.fromkeys(COLUMNS, "") | about | {"points": 0}
    try:
        parts = read_submission(path)
    except Exception as error:
        yield empty | {"message": f"not a readable notebook: {say(error)}"}
        return
    chapters = Counter(number.split(".")[0] for number in parts if number in course)
    if not chapters:
        yield empty | {"message": "has none of the exercises that are graded"}
        return
    chapter = chapters.most_common(1)[0][0]
    known = handed_out_code(course.values())
    for number, exercise in course.items():
        if number.split(".")[0] != chapter:
            continue
        row = empty | {"chapter": f"{int(chapter):02}", "exercise": number}
        row |= {"of": exercise.points, "message": "not answered"}
        if number not in parts:
            yield row | {"message": f"the line '## Exercise {number}: …' is missing"}
        elif exercise.written:
            text = own_text(parts[number], exercise)
            yield row | ({"points": "", "message": text} if text else {})
        elif own := own_code(parts[number], exercise, known):
            yield row | {"later": pool.submit(grade_one, exercise, own, time_limit)}
        else:
            yield row


def read_submission(path: Path) -> dict[str, list[NotebookNode]]:
    """Sections of a student's notebook, or whatever error its file gives."""
    with warnings.catch_warnings(action="ignore"):
        notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if not isinstance(cell.source, str) or not isinstance(tags(cell), set):
            raise ValueError("a cell has no text")
    return sections(notebook)


def own_code(
    cells: list[NotebookNode], exercise: Exercise, known: set[str]
) -> list[str]:
    """A student's code: all code of the section but what is known as handed out."""
    own = []
    for cell in cells:
        if cell.cell_type != "code" or cell.source.strip() in known | {""}:
            continue
        defines = any(f"def {name}(" in cell.source for name in exercise.names())
        if defines or not tags(cell) & HANDED_OUT:  # not a check with a print added
            own.append(without_magics(cell.source))
    return own


def handed_out_code(exercises: Iterable[Exercise]) -> set[str]:
    """Sources of the cells of code that students get."""
    code = []
    for exercise in exercises:
        code += [one for tag in HANDED_OUT for one in exercise.cells.get(tag, [])]
        code.append(blank(exercise.code("answer"), exercise.number))
    return {source.strip() for source in code}


def without_magics(source: str) -> str:
    """Code without the lines that only IPython understands."""
    return re.sub(r"(?m)^(\s*)[%!].*$", r"\1pass", source)


def own_text(cells: list[NotebookNode], exercise: Exercise) -> str:
    """A student's written answer: all lines that are not the question's."""
    known = set(exercise.code("question").splitlines()) - {""}
    texts = []
    for cell in cells:
        lines = [line for line in cell.source.splitlines() if line not in known]
        texts.append("\n".join(lines).replace(YOUR_ANSWER, "").strip())
    return shorten("\n\n".join(text for text in texts if text), 10_000)


def grade_one(exercise: Exercise, own: list[str], time_limit: float) -> dict:
    """Points and message of one exercise: half if only the hidden checks fail."""
    stage, message = mark_alone(exercise, own, time_limit)
    half = math.floor(exercise.points) / 2
    points = {"passed": exercise.points, "hidden": half, "setup": ""}.get(stage, 0)
    if stage == "setup":
        message = NOT_GRADED + message
    if stage == "hidden":
        message = f"visible checks passed; hidden: {message}"
    return {"points": points, "message": message}


def mark_alone(exercise: Exercise, own: list[str], time_limit: float):
    """`marking.mark` in a new process, which ends with its children at the limit."""
    key = secrets.token_hex()  # so that nobody else writes the result
    threads = ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        result = Path(folder, "result.json")
        job = {"exercise": vars(exercise), "own": own, "time_limit": time_limit}
        job |= {"result": str(result), "key": key}
        settings = dict.fromkeys(threads, "1") | {"MPLBACKEND": "Agg"}
        settings |= dict.fromkeys(["TMPDIR", "TEMP", "TMP"], folder)
        process = subprocess.Popen(
            [sys.executable, marking.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=os.environ | settings,
            start_new_session=True,
        )
        try:
            process.communicate(json.dumps(job).encode(), timeout=time_limit)
        except subprocess.TimeoutExpired:
            return "answer", f"took longer than {time_limit:g} s"
        finally:
            end_group(process)
        with suppress(OSError, ValueError, TypeError, KeyError):
            found = json.loads(result.read_text(encoding="utf-8"))
            if found["key"] == key:
                return found["stage"], found["message"]
    code = process.returncode
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return "answer", f"ended its process before the checks were through ({how})"


def end_group(process: subprocess.Popen) -> None:
    """End a process and whatever it has started."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):  # nobody is left
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def write_table(rows: list[dict], path: Path) -> None:
    """Write rows as CSV for spreadsheets, where no text is taken for a formula."""
    utf8 = {"encoding": "utf-8-sig", "errors": "replace"}  # with a mark, for Excel
    with open(path, "w", newline="", **utf8) as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for row in rows:
            formula = str(row["message"]).startswith(("=", "+", "-", "@"))
            message = f"'{row['message']}" if formula else row["message"]
            numbers = {n: f"{row[n]:g}" for n in ("points", "of") if row[n] != ""}
            table.writerow(row | numbers | {"message": message})


def summary(rows: list[dict]) -> str:
    """One line about a submission."""
    if not rows[0]["chapter"]:
        return f"{rows[0]['file']}: {rows[0]['message']}"
    points, of = (sum(row[name] or 0 for row in rows) for name in ("points", "of"))
    line = f"{rows[0]['file']}: {points:g} of {of:g} points"
    open_ones = {row["exercise"]: row["message"] for row in rows if row["points"] == ""}
    failed = {n: text for n, text in open_ones.items() if text.startswith(NOT_GRADED)}
    if by_hand := [number for number in open_ones if number not in failed]:
        line += f"; to be marked by hand: {', '.join(by_hand)}"
    for reason in list(failed.values())[:1]:
        line += f"; {', '.join(failed)} {shorten(reason, 200)}"
    return line


# Read


def reading_copies(folder: Path) -> Iterator[Path]:
    """Write each chapter, and the pages that it links to, as HTML."""
    notebooks = {path: nbformat.read(path, as_version=4) for path in chapter_paths()}
    for path in linked_files(notebooks):
        if path.suffix == ".md":
            cell = nbformat.v4.new_markdown_cell(path.read_text(encoding="utf-8"))
            notebooks[path] = nbformat.v4.new_notebook(cells=[cell])
    known = dict.fromkeys(notebooks, ".html")
    folder.mkdir(parents=True, exist_ok=True)
    for path, notebook in notebooks.items():
        relink(notebook, path.parent, known)
        goal = folder / f"{path.stem}.html"
        goal.write_text(to_html(notebook, path), encoding="utf-8")
        yield goal


PAGE = """\
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}
{%- if not resources.mathml -%}{{ super() }}{%- endif -%}
{%- endblock -%}
{%- block html_head_css -%}
{{ super() }}
<style>
@page { size: A4; margin: 15mm }
img, table { max-width: 100%; break-inside: avoid }
math { font-size: 1.1em }
menclose { border: 1px solid; padding: 0.4em }
@media print {
  :root { --jp-code-font-size: 11px; --jp-content-font-size1: 13px }
  .jp-InputPrompt, .jp-OutputPrompt { display: none }
  pre { white-space: pre-wrap !important }
  .jp-RenderedHTMLCommon table { font-size: 10px }
  h1, h2, h3 { break-after: avoid }
}
</style>
{%- endblock -%}
{%- block data_png -%}
{%- set picture = output.metadata.get('image/png', {}) -%}
<div class="jp-RenderedImage jp-OutputArea-output">
<img src="data:image/png;base64,{{ output.data['image/png'] | escape_html }}"
alt="{{ picture.get('alt', '') | escape_html }}"
{% if picture.get('width') %}width="{{ picture.width }}"{% endif %}></div>
{%- endblock -%}
"""


def to_html(notebook: NotebookNode, path: Path) -> str:
    """One page without anything from the network, if latex2mathml is installed."""
    from jinja2 import DictLoader, pass_context
    from nbconvert import HTMLExporter
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    class Renderer(IPythonRenderer):
        def inline_math(self, body):
            return to_mathml(body) or super().inline_math(body)

        def block_math(self, body):
            return to_mathml(body, display="block") or super().block_math(body)

    class Page(HTMLExporter):
        @pass_context
        def markdown2html(self, context, source):
            renderer = Renderer(escape=False, embed_images=True, path=str(path.parent))
            renderer.exclude_anchor_links = True
            return MarkdownWithMath(renderer=renderer).render(source)

    loader = DictLoader({"page.html.j2": PAGE})
    page = Page(template_file="page.html.j2", extra_loaders=[loader])
    resources = {"metadata": {"name": path.stem}, "mathml": has_mathml()}
    return page.from_notebook_node(notebook, resources=resources)[0]


def has_mathml() -> bool:
    """Whether formulas can be turned into MathML, which browsers show by themselves."""
    return importlib.util.find_spec("latex2mathml") is not None


def to_mathml(tex: str, display: str = "inline") -> str | None:
    """A formula as MathML; None if that cannot be done."""
    if not has_mathml():
        return None
    from latex2mathml.converter import convert

    return convert(tex, display=display)


def find_browser() -> str | None:
    """Path of a browser that prints pages without showing them."""
    found = [path for name in BROWSERS if (path := shutil.which(name))]
    return next(iter(found), MAC_CHROME if Path(MAC_CHROME).exists() else None)


def print_page(browser: str, page: Path) -> Path:
    """Print a page as PDF, beside it."""
    goal = page.with_suffix(".pdf")
    command = [browser, "--headless", "--disable-gpu", "--no-pdf-header-footer"]
    command += ["--no-first-run", "--disable-background-networking"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--no-sandbox")  # which Chromium cannot have as root
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command += [f"--user-data-dir={profile}", "--virtual-time-budget=8000"]
        command += [f"--print-to-pdf={goal.resolve()}", page.resolve().as_uri()]
        process = subprocess.run(command, capture_output=True, timeout=120)
    if process.returncode or not goal.exists():
        raise CourseworkError(f"{browser} could not print {page}")
    return goal


# The command line


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; returns the exit code."""
    options = parse(arguments)
    try:
        return options.do(options)
    except (CourseworkError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="coursework.py",
        description=__doc__.split("\n")[0],
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    out = commands.add_parser("hand-out", help="write students' copies")
    out.add_argument("folder", type=Path, metavar="FOLDER")
    out.add_argument("--seed", type=int, help="another SEED, so other numbers")
    text = "a first cell that, on Google Colab, gets the course from this git address"
    out.add_argument("--colab", metavar="ADDRESS", help=text)
    out.set_defaults(do=do_hand_out)
    marks = commands.add_parser("grade", help="grade what came back")
    marks.add_argument("folder", type=Path, metavar="FOLDER")
    marks.add_argument("--seed", type=int, help="another SEED for all checks")
    marks.add_argument("--output", type=Path, default="points.csv", metavar="CSV")
    text = "grade only these exercises, such as 2.1,2.3"
    numbers = {"type": lambda text: text.split(","), "metavar": "NUMBERS"}
    marks.add_argument("--only", help=text, **numbers)
    text = "for one exercise (default: 60)"
    marks.add_argument("--time-limit", type=float, default=60, metavar="S", help=text)
    marks.set_defaults(do=do_grade)
    copies = commands.add_parser("read", help="write HTML and PDF of each chapter")
    copies.add_argument("folder", type=Path, metavar="FOLDER")
    copies.set_defaults(do=do_read)
    return parser.parse_args(arguments)


def do_hand_out(options: argparse.Namespace) -> int:
    """Hand out, and say what."""
    hand_out(options.folder, options.seed, options.colab)
    n, m = len(chapter_paths()), len(exercise_paths())
    print(f"{options.folder}: {n} chapters, exercises to {m} of them, no solutions")
    return 0


def do_grade(options: argparse.Namespace) -> int:
    """Grade, write the table, and print a line for each submission."""
    if options.output.exists():
        raise CourseworkError(f"{options.output} exists: name another --output")
    _, others = submissions(options.folder)
    if others:
        print("passed over, not notebooks:", *(str(path) for path in others))
    rows = []
    marks = grade(options.folder, options.seed, options.time_limit, options.only)
    for _, own in groupby(marks, key=lambda row: row["file"]):
        rows += (own := list(own))
        print(summary(own), flush=True)
    write_table(rows, options.output)
    print(f"points and messages: {options.output}")
    return int(any(row["message"].startswith(NOT_GRADED) for row in rows))


def do_read(options: argparse.Namespace) -> int:
    """Write pages, and print them if there is a browser for that."""
    browser = find_browser()
    for page in reading_copies(options.folder):
        print(page, flush=True)
        if browser:
            print(print_page(browser, page), flush=True)
    if not browser:
        print(f"no PDF: none of {', '.join(BROWSERS)} was found")
    if not has_mathml():
        print("formulas need a network; after pip install latex2mathml they do not")
    return 0


if __name__ == "__main__":
    sys.exit(main())
