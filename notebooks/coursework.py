"""Set the exercises as homework: hand them out, grade what comes back, make copies to read.

``coursework.py hand-out FOLDER`` writes the students' copies of the exercises, and the chapters.
``coursework.py grade FOLDER`` runs each submitted exercise in a process of its own, with a time
limit, and writes a table of points. ``coursework.py read FOLDER`` writes each chapter as HTML and
PDF. Chapters are the notebooks beside this file; exercises, with solutions, are in ``exercises/``.

A student's code runs with your rights and can read your files: separate processes protect one mark
from another, not your computer. Grade strangers in a container or on a machine of no importance.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import csv
import functools
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
import traceback
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from refresh import normalise, write

HERE = Path(__file__).resolve().parent
HEADING = re.compile(
    r"^## Exercise (?P<number>\d+\.\d+): (?P<title>.+) "
    r"\((?P<written>written, )?(?P<points>[\d.]+) points?, (?P<minutes>\d+) minutes\)$",
    re.MULTILINE,
)
ANY_HEADING = re.compile(r"^#+ *Exercise +(\d+\.\d+)\b", re.MULTILINE)
SOLUTION = re.compile(
    r"^( *)### BEGIN SOLUTION$.*?^ *### END SOLUTION$", re.MULTILINE | re.DOTALL
)
SEED = re.compile(r"^SEED = \d+$", re.MULTILINE)
NOT_ACCEPTED = re.compile(r"^# not accepted: (.+)$", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[([^\[\]]+)\]\(([^()\s]+)\)")
YOUR_ANSWER = "*Your answer here.*"
HANDED_OUT = {
    "setup",
    "given",
    "check",
    "hidden",
}  # tags of cells that are not the student's
ANSWER = "<your answer>"  # what tracebacks call it
COLUMNS = ["student", "chapter", "exercise", "points", "of", "message"]
AT_A_TIME = 2
MEMORY = (
    4 * 2**30
)  # bytes of address space for one exercise; the packages alone take two
FILE = 2**28  # bytes of a file that it may write


class CourseworkError(RuntimeError):
    """Something that the teacher should know; the message is one sentence."""


# The exercises as they are written: setup, then a section for each


@dataclass(frozen=True)
class Exercise:
    """One section of a notebook of exercises; `cells` are its sources by tag."""

    number: str
    title: str
    points: float
    minutes: int
    written: bool
    setup: str
    cells: dict[str, list[str]] = field(repr=False)

    def code(self, tag: str) -> str:
        """All code of one tag."""
        return "\n\n".join(self.cells.get(tag, []))

    def names(self) -> list[str]:
        """What an answer defines: functions, classes and variables of the answer cell."""
        return defined(self.code("answer"))

    def not_accepted(self) -> list[str]:
        """Names that an answer may not use."""
        found = NOT_ACCEPTED.search(self.code("hidden"))
        return re.split(r",\s*", found[1].strip()) if found else []


def defined(source: str) -> list[str]:
    """Names that a piece of code defines at its top level."""
    names = []
    for node in ast.parse(source).body:
        names += [node.name] if hasattr(node, "name") else []
        names += [
            target.id
            for target in getattr(node, "targets", [])
            if hasattr(target, "id")
        ]
    return names


def tags(cell: NotebookNode) -> set[str]:
    """Tags of a cell, of which a student's notebook may have none."""
    return set(cell.get("metadata", {}).get("tags", []))


def sections(notebook: NotebookNode) -> dict[str, list[NotebookNode]]:
    """Cells by exercise, as 2.3; what is before the first belongs to ''."""
    found, number = {"": []}, ""
    for cell in notebook.cells:
        heading = (
            ANY_HEADING.search(cell.source) if cell.cell_type == "markdown" else None
        )
        number = heading[1] if heading else number
        found.setdefault(number, []).append(cell)
    return found


def read_exercises(path: Path) -> list[Exercise]:
    """Exercises of a notebook with solutions, in order."""
    parts = sections(nbformat.read(path, as_version=4))
    setup = "\n\n".join(cell.source for cell in parts.pop("") if "setup" in tags(cell))
    exercises = []
    for number, cells in parts.items():
        heading = HEADING.search(cells[0].source)
        if heading is None:
            raise CourseworkError(
                f"{path.name}: the heading of exercise {number} has another form"
            )
        by_tag = {}
        for cell in cells:
            for tag in tags(cell):
                by_tag.setdefault(tag, []).append(cell.source)
        about = heading.groupdict()
        numbers = float(about["points"]), int(about["minutes"])
        written = about["written"] is not None
        exercises.append(
            Exercise(number, about["title"], *numbers, written, setup, by_tag)
        )
    return exercises


def chapter_paths() -> list[Path]:
    """All chapters."""
    return sorted(HERE.glob("[0-9]*.ipynb"))


def exercise_paths() -> list[Path]:
    """All notebooks of exercises."""
    return sorted((HERE / "exercises").glob("[0-9]*.ipynb"))


# Hand out


def blank(answer: str, number: str) -> str:
    """An answer cell as students get it, its solution gone."""
    to_do = f'raise NotImplementedError("exercise {number}: replace this line by your answer")'
    return SOLUTION.sub(lambda found: found[1] + to_do, answer)


def with_seed(setup: str, seed: int | None) -> str:
    """A setup cell with another seed, if one is given."""
    return setup if seed is None else SEED.sub(f"SEED = {seed}", setup)


def students_copy(notebook: NotebookNode, seed: int | None = None) -> NotebookNode:
    """A notebook of exercises without solutions, hidden checks, rubrics and outputs."""
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


def relink(notebook: NotebookNode, target: Callable[[str], str | None]) -> None:
    """Give each link to a file the target that it has now; without one, its words stay."""

    def change(found):
        words, link = found.groups()
        if re.match(r"[a-z]+:|#", link):  # another site, or a place of this page
            return found[0]
        path, mark, place = link.partition("#")
        now = target(path)
        return words if now is None else f"[{words}]({now}{mark}{place})"

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = LINK.sub(change, cell.source)


def linked_files(notebook: NotebookNode, folder: Path) -> Iterator[Path]:
    """Pages and pictures in `notebooks/` that a notebook shows or links to; no notebooks."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for link in re.findall(
                r"\]\(([^()\s#]+)[^()]*\)|src=\"([^\"]+)\"", cell.source
            ):
                path = (folder / "".join(link)).resolve()
                if (
                    path.is_file()
                    and path.is_relative_to(HERE)
                    and path.suffix != ".ipynb"
                ):
                    yield path


def hand_out(
    folder: Path, seed: int | None = None, install: str | None = None
) -> list[Path]:
    """Write chapters and students' copies of the exercises into a new folder.

    The chapters are as they are, outputs included, but for links that lead out of the folder.
    Raises CourseworkError if there are notebooks in the folder: they may be a student's work.
    """
    if folder.is_dir() and next(folder.rglob("*.ipynb"), None):
        raise CourseworkError(
            f"{folder} has notebooks in it; name a new folder, to lose no work"
        )
    written, files = [], {}
    for path in [*chapter_paths(), *exercise_paths()]:
        notebook = nbformat.read(path, as_version=4)
        files |= dict.fromkeys(linked_files(notebook, path.parent))
        if path in exercise_paths():
            notebook = students_copy(notebook, seed)
        if install is not None:
            first = [cell.cell_type for cell in notebook.cells].index("code")
            notebook.cells.insert(first, install_cell(install))
        written.append((path, notebook))
    kept = {path for path, _ in written} | set(files)
    for path, notebook in written:
        parent = path.parent
        relink(
            notebook,
            lambda link, at=parent: link if (at / link).resolve() in kept else None,
        )
        goal = folder / path.relative_to(HERE)
        goal.parent.mkdir(parents=True, exist_ok=True)
        write(normalise(notebook), goal)
    for path in files:
        goal = folder / path.relative_to(HERE)
        goal.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, goal)
    return [folder / path.relative_to(HERE) for path, _ in written]


# Grade: what is the student's own


def own_code(cells: list[NotebookNode], exercise: Exercise) -> list[str]:
    """A student's code: all code of the section but what was handed out with it."""
    handed_out = {
        one.strip() for tag in HANDED_OUT for one in exercise.cells.get(tag, [])
    }
    handed_out |= {
        blank(one, exercise.number).strip() for one in exercise.cells["answer"]
    }
    own = []
    for cell in cells:
        if cell.cell_type != "code" or cell.source.strip() in handed_out | {""}:
            continue
        source = without_magics(cell.source)
        changed = tags(cell) & HANDED_OUT  # a check with a print added, say
        if not (
            changed and not any(f"def {name}(" in source for name in exercise.names())
        ):
            own.append(source)
    return own


def without_magics(source: str) -> str:
    """Code with the lines taken out that only IPython understands."""
    return re.sub(r"(?m)^(\s*)[%!].*$", r"\1pass", source)


def own_text(cells: list[NotebookNode]) -> str:
    """A student's written answer: everything after the question."""
    texts = [cell.source.replace(YOUR_ANSWER, "").strip() for cell in cells[1:]]
    return "\n\n".join(text for text in texts if text)


def refused(sources: list[str], not_accepted: list[str]) -> list[str]:
    """Names that are not accepted and yet used: by name, as an attribute, imported, as a text."""
    used, own = set(), set()
    for source in sources:
        try:
            nodes = list(ast.walk(ast.parse(source)))
        except SyntaxError:
            continue  # it will not run either
        for node in nodes:
            if isinstance(node, ast.FunctionDef):
                own.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                used |= {part for alias in node.names for part in alias.name.split(".")}
            elif isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                used |= {node.value} & set(not_accepted)
        used |= {n.id for n in nodes if isinstance(n, ast.Name) and n.id not in own}
    return [name for name in not_accepted if name in used]


# Grade: one exercise, in the process of this call


def mark(exercise: Exercise, own: list[str]) -> tuple[str, str]:
    """Run a student's code and the checks; returns how far it came, and what was said there.

    How far is "setup" (the course's own code failed), "answer", "check", "hidden" or "passed". The
    checks run in a namespace of their own, with fresh data, where only the names of the answer are
    the student's. What the student's code changes in modules is undone, also after each call.
    """
    if wrong := refused(own, exercise.not_accepted()):
        return (
            "answer",
            f"uses {', '.join(wrong)}, which is not accepted here: write it yourself",
        )
    try:
        student = prepare(exercise)
    except BaseException as error:
        return "setup", say(error)
    undo, trouble = remember_modules(), ""
    for source in own:
        try:
            run(source, student, ANSWER)
        except BaseException as error:  # SystemExit, too
            trouble = trouble or say(error)
        undo()
    missing = [name for name in exercise.names() if name not in student]
    if missing:
        return "answer", trouble or f"{missing[0]} is not defined"
    checks = prepare(exercise)
    for name in exercise.names():
        checks[name] = then(undo, student[name])
    for stage in ("check", "hidden"):
        try:
            run(exercise.code(stage), checks, f"<{stage}>")
        except BaseException as error:
            return stage, say(error)
    return "passed", ""


def prepare(exercise: Exercise) -> dict:
    """A namespace after setup and what is given."""
    namespace = {"__name__": "__main__", "display": print}
    run(exercise.setup, namespace, "<setup>")
    run(exercise.code("given"), namespace, "<given>")
    return namespace


def run(source: str, namespace: dict, name: str) -> None:
    """Execute code under a name for tracebacks."""
    exec(compile(source, name, "exec"), namespace)


def remember_modules() -> Callable[[], None]:
    """Return a function that gives modules, and what they hold, back their present state."""
    families = ("alsnb", "builtins", "math", "numpy", "pandas", "scipy")
    modules = [m for name, m in sys.modules.items() if name.split(".")[0] in families]
    dictionaries = [vars(module) for module in modules] + [sys.modules]
    remembered = [(dictionary, dict(dictionary)) for dictionary in dictionaries]
    same, put = builtins.id, builtins.dict.__setitem__

    def undo():
        for dictionary, before in remembered:
            for name, value in before.items():
                if name not in dictionary or same(dictionary[name]) != same(value):
                    put(dictionary, name, value)

    return undo


def then(after: Callable[[], None], function):
    """A student's function, with something to do after each of its calls."""
    if not isinstance(function, types.FunctionType):
        return function

    @functools.wraps(function)
    def call(*args, **options):
        try:
            return function(*args, **options)
        finally:
            after()

    return call


def say(error: BaseException) -> str:
    """What an error says, in one line; and in which line of the student's code it arose."""
    try:
        text = " ".join(str(error).split())
    except BaseException:
        text = ""
    kind = "" if isinstance(error, AssertionError) and text else type(error).__name__
    text = ": ".join(part for part in (kind, text) if part)
    frames = traceback.extract_tb(error.__traceback__)
    places = [frame.lineno for frame in frames if frame.filename == ANSWER]
    return shorten(text + (f" (line {places[-1]} of your answer)" if places else ""))


def shorten(text: str, length: int = 500) -> str:
    """Cut a text that is too long for a table."""
    return text if len(text) <= length else text[: length - 2] + " …"


# Grade: one exercise, in a process of its own


def mark_alone(
    exercise: Exercise, own: list[str], time_limit: float
) -> tuple[str, str]:
    """`mark` in a new process, which is ended with all its children at the time limit."""
    key = secrets.token_hex()
    job = {"exercise": vars(exercise), "own": own, "key": key}
    one_thread = dict.fromkeys(
        ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"], "1"
    )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        job["result"] = str(Path(folder, "result.json"))
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "one"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=os.environ | one_thread | {"MPLBACKEND": "Agg", "TMPDIR": folder},
            start_new_session=True,
        )
        try:
            process.communicate(json.dumps(job).encode(), timeout=time_limit)
        except subprocess.TimeoutExpired:
            return "answer", f"took longer than {time_limit:g} s"
        finally:
            end_group(process)
        with suppress(OSError, ValueError, TypeError, KeyError):
            result = json.loads(Path(job["result"]).read_text(encoding="utf-8"))
            if result["key"] == key:
                return result["stage"], result["message"]
    code = process.returncode
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return "answer", f"ended the process before the checks were through ({how})"


def end_group(process: subprocess.Popen) -> None:
    """End a process and whatever it has started."""
    if hasattr(os, "killpg"):
        with suppress(
            ProcessLookupError, PermissionError
        ):  # nobody is left in the group
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def one() -> None:
    """The new process: read a job from standard input, write the result into its file."""
    job = json.loads(sys.stdin.buffer.read())
    limit_resources()
    stage, message = mark(Exercise(**job["exercise"]), job["own"])
    result = {"key": job["key"], "stage": stage, "message": message}
    Path(job["result"]).write_text(json.dumps(result), encoding="utf-8")
    os._exit(0)  # whatever threads the student has left running


def limit_resources() -> None:
    """Limit memory and files, where the platform can."""
    try:
        import resource
    except ImportError:
        return
    for kind, limit in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_FSIZE, FILE)):
        with suppress(ValueError, OSError):  # macOS has no limit of address space
            resource.setrlimit(kind, (limit, limit))


# Grade: all submissions


def grade(folder: Path, seed: int | None = None, time_limit: float = 60) -> list[dict]:
    """Rows of the table of points, a dict of `COLUMNS` for each exercise of each submission."""
    course = {}
    for path in exercise_paths():
        for exercise in read_exercises(path):
            seeded = vars(exercise) | {"setup": with_seed(exercise.setup, seed)}
            course[exercise.number] = Exercise(**seeded)
    paths = [
        p
        for p in sorted(folder.rglob("*.ipynb"))
        if ".ipynb_checkpoints" not in p.parts
    ]
    if not paths:
        raise CourseworkError(f"there are no notebooks in {folder}")
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        rows = []
        for path in paths:
            student = path.relative_to(folder).as_posix()
            rows += submission_rows(path, student, course, pool, time_limit)
        try:
            return [
                row | row.pop("later").result() if "later" in row else row
                for row in rows
            ]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def submission_rows(path, student, course, pool, time_limit) -> Iterator[dict]:
    """Rows of one submission; what is still at work is in a future called "later"."""
    empty = dict.fromkeys(COLUMNS, "") | {"student": student}
    try:
        with warnings.catch_warnings(action="ignore"):
            parts = sections(nbformat.read(path, as_version=4))
    except Exception as error:
        yield empty | {"points": 0, "message": f"not a readable notebook: {say(error)}"}
        return
    chapters = Counter(number.split(".")[0] for number in parts if number in course)
    if not chapters:
        yield empty | {"points": 0, "message": "has no exercises of this course in it"}
        return
    chapter = chapters.most_common(1)[0][0]
    for number, exercise in course.items():
        if number.split(".")[0] != chapter:
            continue
        row = empty | {
            "chapter": f"{int(chapter):02}",
            "exercise": number,
            "of": exercise.points,
        }
        if number not in parts:
            yield row | {"points": 0, "message": "its heading is missing"}
        elif exercise.written:
            text = own_text(parts[number])
            yield row | (
                {"message": text} if text else {"points": 0, "message": "not answered"}
            )
        elif own := own_code(parts[number], exercise):
            yield row | {"later": pool.submit(grade_one, exercise, own, time_limit)}
        else:
            yield row | {"points": 0, "message": "not answered"}


def grade_one(exercise: Exercise, own: list[str], time_limit: float) -> dict:
    """Points and message of one exercise."""
    stage, message = mark_alone(exercise, own, time_limit)
    points = {
        "passed": exercise.points,
        "hidden": math.floor(exercise.points) / 2,
        "setup": "",
    }
    where = {
        "setup": "NOT GRADED, the setup failed: ",
        "check": "",
        "answer": "",
        "passed": "",
    }
    message = where.get(stage, "visible checks passed; then: ") + message
    return {"points": points.get(stage, 0), "message": message}


def write_table(rows: list[dict], path: Path) -> None:
    """Write rows as CSV that spreadsheets read: UTF-8 with a mark, and no text as a formula."""
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for row in rows:
            risky = str(row["message"])[:1] in ("=", "+", "-", "@")
            table.writerow(
                row | {"message": f"'{row['message']}" if risky else row["message"]}
            )


def summary(rows: list[dict]) -> Iterator[str]:
    """A line for each submission."""
    for student in dict.fromkeys(row["student"] for row in rows):
        own = [row for row in rows if row["student"] == student]
        if not own[0]["chapter"]:
            yield f"{student}: {own[0]['message']}"
            continue
        points = sum(row["points"] or 0 for row in own)
        marked = sum(row["of"] for row in own if row["points"] != "")
        line = (
            f"{student}: chapter {own[0]['chapter']}, {points:g} of {marked:g} points"
        )
        by_hand = [row["exercise"] for row in own if row["points"] == ""]
        yield line + (
            f"; to be marked by hand: {', '.join(by_hand)}" if by_hand else ""
        )


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="coursework.py", description=__doc__.split("\n")[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    out = commands.add_parser(
        "hand-out", help="write the students' copies into a new folder"
    )
    out.add_argument("folder", type=Path, metavar="FOLDER")
    out.add_argument(
        "--seed", type=int, help="another SEED in the exercises, so other data"
    )
    out.add_argument(
        "--install",
        metavar="SOURCE",
        help="a first cell that installs this package on Colab",
    )
    marks = commands.add_parser(
        "grade", help="grade all notebooks in a folder and below"
    )
    marks.add_argument("folder", type=Path, metavar="FOLDER")
    marks.add_argument("--seed", type=int, help="that of hand-out, or another one")
    marks.add_argument("--output", type=Path, default=Path("points.csv"), metavar="CSV")
    marks.add_argument(
        "--time-limit",
        type=float,
        default=60,
        metavar="SECONDS",
        help="for one exercise",
    )
    options = parser.parse_args(arguments)
    try:
        if options.command == "hand-out":
            for path in hand_out(options.folder, options.seed, options.install):
                print(path)
            return 0
        if options.output.exists():
            raise CourseworkError(
                f"{options.output} exists; name another file by --output"
            )
        rows = grade(options.folder, options.seed, options.time_limit)
        write_table(rows, options.output)
        print(*summary(rows), f"table of points: {options.output}", sep="\n")
        return int(any(row["message"].startswith("NOT GRADED") for row in rows))
    except CourseworkError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    if sys.argv[1:] == ["one"]:  # how `mark_alone` starts a process
        one()
    sys.exit(main())
