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
from pathlib import Path, PurePosixPath

import marking
import nbformat
from marking import Exercise, say, shorten
from nbformat import NotebookNode
from refresh import normalise, write

HERE = Path(__file__).resolve().parent
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
COLUMNS = ["student", "chapter", "exercise", "points", "of", "message"]
AT_A_TIME = 2
BROWSERS = ["chromium", "chromium-browser", "google-chrome", "chrome", "msedge"]
MAC_CHROME = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
HELP = """\
hand-out FOLDER  students' copies of the exercises (no solutions, no hidden checks), and
                 the chapters beside them, in a new folder
grade FOLDER     all notebooks in the folder and below. Each exercise runs in a process
                 of its own, so that a wrong or hostile one costs only its own points.
                 But a student's code runs with your rights, and can read your files:
                 grade strangers in a container.
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
        by_tag = {}
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


def hand_out(folder: Path, seed: int | None = None, install: str | None = None) -> None:
    """Write chapters and students' copies of the exercises into a new folder.

    The chapters are as they are, outputs included, but for links that would lead
    nowhere. Raises CourseworkError if there are notebooks in the folder already.
    """
    if next(folder.rglob("*.ipynb"), None):
        what = "has notebooks in it, and they may be a student's work"
        raise CourseworkError(f"{folder} {what}: name a new folder")
    pages = [*chapter_paths(), *exercise_paths()]
    notebooks = {path: nbformat.read(path, as_version=4) for path in pages}
    files = linked_files(notebooks)
    known = {path: path.suffix for path in (*notebooks, *files)}
    for path, notebook in notebooks.items():
        if path in exercise_paths():
            notebook = students_copy(notebook, seed)
        if install is not None:
            first = [cell.cell_type for cell in notebook.cells].index("code")
            notebook.cells.insert(first, install_cell(install))
        relink(notebook, path.parent, known)
        write(normalise(notebook), new_path(path, folder))
    for path in files:
        if path.suffix == ".md":
            text = relinked(path.read_text(encoding="utf-8"), path.parent, known)
            new_path(path, folder).write_text(text, encoding="utf-8")
        else:
            shutil.copyfile(path, new_path(path, folder))


def new_path(path: Path, folder: Path) -> Path:
    """Where a file of this folder goes in another one, whose folders are made."""
    goal = folder / path.relative_to(HERE)
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


def install_cell(source: str) -> NotebookNode:
    """First code cell of a copy that also runs on Google Colab."""
    lines = [
        "import subprocess",
        "import sys",
        "",
        f"PACKAGE = {json.dumps(source)}",
        'if "google.colab" in sys.modules:  # elsewhere this cell does nothing',
        '    pip = [sys.executable, "-m", "pip", "install", "--quiet"]',
        "    subprocess.run([*pip, PACKAGE], check=True)",
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


def grade(folder: Path, seed: int | None = None, time_limit: float = 60) -> list[dict]:
    """Return rows of the table of points, for each exercise of each submission."""
    course = {}
    for path in exercise_paths():
        for exercise in read_exercises(path):
            seeded = vars(exercise) | {"setup": with_seed(exercise.setup, seed)}
            course[exercise.number] = Exercise(**seeded)
    paths = sorted(folder.rglob("*.ipynb"))
    paths = [path for path in paths if ".ipynb_checkpoints" not in path.parts]
    if not paths:
        raise CourseworkError(f"there are no notebooks in {folder}")
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        try:
            rows = []
            for path in paths:
                student = path.relative_to(folder).as_posix()
                rows += submission_rows(path, student, course, pool, time_limit)
            return [
                row | row.pop("later").result() if "later" in row else row
                for row in rows
            ]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def submission_rows(path, student, course, pool, time_limit) -> Iterator[dict]:
    """Rows of one submission; what is still at work is in a future called "later"."""
    empty = dict.fromkeys(COLUMNS, "") | {"student": student, "points": 0}
    try:
        parts = read_submission(path)
    except Exception as error:
        yield empty | {"message": f"not a readable notebook: {say(error)}"}
        return
    chapters = Counter(number.split(".")[0] for number in parts if number in course)
    if not chapters:
        yield empty | {"message": "has no exercises of this course in it"}
        return
    chapter = chapters.most_common(1)[0][0]
    known = handed_out_code(course.values())
    for number, exercise in course.items():
        if number.split(".")[0] != chapter:
            continue
        row = empty | {"chapter": f"{int(chapter):02}", "exercise": number}
        row |= {"of": exercise.points, "message": "not answered"}
        if number not in parts:
            yield row | {"message": "its heading is missing"}
        elif exercise.written:
            text = own_text(parts[number])
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


def own_text(cells: list[NotebookNode]) -> str:
    """A student's written answer: everything after the question."""
    texts = [cell.source.replace(YOUR_ANSWER, "").strip() for cell in cells[1:]]
    return shorten("\n\n".join(text for text in texts if text), 10_000)


def grade_one(exercise: Exercise, own: list[str], time_limit: float) -> dict:
    """Points and message of one exercise: half if only the hidden checks fail."""
    stage, message = mark_alone(exercise, own, time_limit)
    half = math.floor(exercise.points) / 2
    points = {"passed": exercise.points, "hidden": half, "setup": ""}.get(stage, 0)
    if stage == "setup":
        message = f"NOT GRADED, the setup failed: {message}"
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
            table.writerow(row | {"message": message})


def summary(rows: list[dict]) -> Iterator[str]:
    """A line for each submission."""
    for student in dict.fromkeys(row["student"] for row in rows):
        own = [row for row in rows if row["student"] == student]
        if not own[0]["chapter"]:
            yield f"{student}: {own[0]['message']}"
            continue
        graded = [row for row in own if row["points"] != ""]
        points = f"{sum(row['points'] for row in graded):g}"
        line = f"{student}: {points} of {sum(row['of'] for row in graded):g} points"
        by_hand = [row["exercise"] for row in own if row["points"] == ""]
        yield line + (
            f"; to be marked by hand: {', '.join(by_hand)}" if by_hand else ""
        )


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
        goal = new_path(path, folder).with_suffix(".html")
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
    text = "a first cell that installs this package on Google Colab"
    out.add_argument("--install", metavar="SOURCE", help=text)
    out.set_defaults(do=do_hand_out)
    marks = commands.add_parser("grade", help="grade what came back")
    marks.add_argument("folder", type=Path, metavar="FOLDER")
    marks.add_argument("--seed", type=int, help="another SEED for all checks")
    marks.add_argument("--output", type=Path, default="points.csv", metavar="CSV")
    text = "for one exercise (default: 60)"
    marks.add_argument("--time-limit", type=float, default=60, metavar="S", help=text)
    marks.set_defaults(do=do_grade)
    copies = commands.add_parser("read", help="write HTML and PDF of each chapter")
    copies.add_argument("folder", type=Path, metavar="FOLDER")
    copies.set_defaults(do=do_read)
    return parser.parse_args(arguments)


def do_hand_out(options: argparse.Namespace) -> int:
    """Hand out, and say what."""
    hand_out(options.folder, options.seed, options.install)
    n, m = len(chapter_paths()), len(exercise_paths())
    print(f"{options.folder}: {n} chapters, and exercises to {m} of them in exercises/")
    return 0


def do_grade(options: argparse.Namespace) -> int:
    """Grade, write the table, and print a line for each submission."""
    if options.output.exists():
        raise CourseworkError(f"{options.output} exists: name another --output")
    rows = grade(options.folder, options.seed, options.time_limit)
    write_table(rows, options.output)
    print(*summary(rows), f"points and messages: {options.output}", sep="\n")
    return int(any(str(row["message"]).startswith("NOT GRADED") for row in rows))


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
