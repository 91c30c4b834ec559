"""Coursework: exercises and their checks, students' copies, and grading of whatever comes back."""
# ruff: noqa: S102

import csv
import json
import os
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import coursework
import marking
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import alsnb

ROOT = Path(__file__).resolve().parent.parent
PATHS = coursework.exercise_paths()
EXERCISES = [exercise for path in PATHS for exercise in coursework.read_exercises(path)]
CODED = [exercise for exercise in EXERCISES if not exercise.written]
SECTION = re.compile(r"^# %% (\d+\.\d+) (answer|check|hidden): (.+)$", re.MULTILINE)
each_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
each_coded = pytest.mark.parametrize("exercise", CODED, ids=lambda exercise: exercise.number)


def wrong_answers():
    """All (number, who catches it, part of the message, code) in tests/wrong_answers/."""
    for path in sorted((ROOT / "tests" / "wrong_answers").glob("*.py")):
        _, *parts = SECTION.split(path.read_text(encoding="utf-8"))
        yield from zip(*[iter(parts)] * 4, strict=True)


WRONG = list(wrong_answers())


@pytest.fixture(autouse=True)
def data_loaded_once(monkeypatch):
    """Every setup loads MovieLens."""
    monkeypatch.setattr(alsnb, "load_movielens", load)


load = cache(alsnb.load_movielens)


# The form of the exercises


@each_notebook
def test_exercises_are_numbered_and_graded(path):
    exercises = coursework.read_exercises(path)
    chapter = int(path.name.split("-")[0])
    numbers = [f"{chapter}.{k}" for k in range(1, len(exercises) + 1)]
    assert [exercise.number for exercise in exercises] == numbers
    written = [exercise.written for exercise in exercises]
    assert written.count(True) == 1 and written[-1] and 4 <= written.count(False) <= 6
    for exercise in exercises:
        assert exercise.points > 0 and 2 * exercise.points % 1 == 0 and exercise.minutes > 0
        wanted = {"rubric"} if exercise.written else {"answer", "check", "hidden"}
        wanted |= {"question"}
        assert wanted <= set(exercise.cells) <= wanted | {"given"}, exercise.number
        several = {"check", "hidden"}  # what is long is in two cells
        assert all(len(exercise.cells[tag]) == 1 for tag in wanted - several), exercise.number


@each_notebook
def test_points_and_minutes_add_up(path):
    exercises = coursework.read_exercises(path)
    first = nbformat.read(path, as_version=4).cells[0].source
    minutes = sum(exercise.minutes for exercise in exercises)
    points = sum(exercise.points for exercise in exercises)
    assert f"{minutes} minutes, {points:g} points" in " ".join(first.split())
    assert re.search(rf"\]\(\.\./{re.escape(path.name)}\)", first), "no link to the chapter"


@each_notebook
def test_seed_is_a_line_of_the_setup(path):
    setup = coursework.read_exercises(path)[0].setup
    assert coursework.SEED.findall(setup) == ["SEED = 0"]


@each_coded
def test_cells_of_an_exercise(exercise):
    answer, check, hidden = (exercise.code(tag) for tag in ("answer", "check", "hidden"))
    assert len(coursework.SOLUTION.findall(answer)) == 1 and exercise.names()
    assert check.endswith(f'print("{exercise.number}: all visible checks passed")')
    assert re.match(r"### BEGIN HIDDEN TESTS\n(.*\n)+### END HIDDEN TESTS$", hidden)
    assert "SEED" in hidden, "hidden checks need data that another seed changes"
    assert all(f"{name}(" in check + hidden for name in exercise.names())
    caught_by = [stage for number, stage, _, _ in WRONG if number == exercise.number]
    assert len(caught_by) >= 2, "there are not two wrong answers"


# Answers, right and wrong


@each_coded
def test_solutions_get_full_points_with_another_seed(exercise):
    """With SEED = 0 nbval runs them."""
    setup = coursework.with_seed(exercise.setup, 5)
    assert coursework.SEED.findall(setup) == ["SEED = 5"]
    other = marking.Exercise(**vars(exercise) | {"setup": setup})
    assert marking.mark(other, [exercise.code("answer")]) == ("passed", "")


@pytest.mark.filterwarnings("ignore")  # as while grading
@pytest.mark.parametrize(
    ("number", "stage", "message", "code"), WRONG, ids=[f"{w[0]}-{w[2][:30]}" for w in WRONG]
)
def test_wrong_answers_are_caught(number, stage, message, code):
    caught_by, said = marking.mark(exercise_of(number), [code])
    assert caught_by == stage and message in said, f"{caught_by}: {said}"


def exercise_of(number):
    (exercise,) = (exercise for exercise in EXERCISES if exercise.number == number)
    return exercise


@each_coded
def test_no_answer_is_said_to_be_none(exercise):
    """What students see when they run the checks before they have answered."""
    answer = coursework.blank(exercise.code("answer"), exercise.number)
    stage, message = marking.mark(exercise, [answer])
    assert stage == "check"
    assert f"NotImplementedError: exercise {exercise.number}: replace this line" in message


@pytest.mark.parametrize(
    "code",
    [
        "x = half_step",
        "import alsnb\nalsnb.half_step",
        "import alsnb.ridge as ridge\nridge.half_step",
        "from alsnb import half_step as other",
        "import alsnb\ngetattr(alsnb, 'half_step')",
        "globals()['half_step']",
        "import alsnb.half_step",
        "def half_step(): pass\nfrom alsnb import half_step",
    ],
)
def test_names_that_are_not_accepted(code):
    assert marking.refused([code], ["solve_row", "half_step"]) == ["half_step"]


@pytest.mark.parametrize(
    "code",
    [
        "def my_half_step(): 'Like half_step.'",
        "def half_step(): return 1\nhalf_step()",
        "half_step",  # with a function of that name in another cell
        "not Python",
    ],
)
def test_names_that_are_accepted(code):
    assert marking.refused(["def half_step(): ...", code], ["half_step"]) == []


MINE = "def my_half_step(R, Y, l):\n    return R @ Y\n"


@pytest.mark.parametrize(
    ("code", "accepted"),
    [
        ("print(abs(my_half_step(R, V, 1) - half_step(R, V, 1)).max())", True),
        ("theirs = half_step(R, V, 1)\nassert np.allclose(my_half_step(R, V, 1), theirs)", True),
        ("def my_half_step(R, Y, l):\n    return half_step(R, Y, l)", False),
        ("my_half_step = lambda *a: half_step(*a)", False),
        ("my_half_step = partial(half_step)", False),
        ("if True:\n    def my_half_step(*a): return half_step(*a)", False),
    ],
)
def test_one_may_compare_with_what_one_may_not_use(code, accepted):
    assert marking.refused([MINE, code], ["half_step"]) == ([] if accepted else ["half_step"])


def test_several_names_that_are_not_accepted():
    _, said = marking.mark(exercise_of("2.2"), ["half_step, ALS"])
    assert said == "uses half_step and ALS, which are not accepted here: write it yourself"


TINY = marking.Exercise(
    number="9.1",
    title="tiny",
    points=3.0,
    minutes=1,
    written=False,
    setup="import numpy as np\nSEED = 0\nbox = [1, 2]",
    cells={
        "given": ["size = 2"],
        "answer": [
            "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION"
        ],
        "check": ["assert np.isclose(double(size), 4), 'twice two'"],
        "hidden": ["assert double(-1) == -2 and box == [1, 2], 'other numbers'"],
    },
)
DOUBLE = "def double(x):\n    return 2 * x\n"


@pytest.mark.parametrize(
    "code",
    [
        "import numpy\nnumpy.isclose = None",
        "import builtins\nbuiltins.len = builtins.int = builtins.__import__ = None",
        "import sys\nsys.modules['numpy'] = None",
        "import alsnb.ridge\nalsnb.ridge.solve_row = alsnb.half_step = None",
        "np = size = box = None",
        "del np, size, box",
        "box.append(3)",
        "raise SystemExit",
        "this is no Python",
        "print(yours)  # which the check defines",
        "def isclose(*a): return True\nnp.isclose = isclose",
        "import numpy._core.numeric as numeric\nnumeric.isclose = numeric.all = None",
    ],
)
def test_what_else_a_student_does_costs_nothing(code):
    assert marking.mark(TINY, [code, DOUBLE]) == ("passed", "")
    assert marking.mark(TINY, [DOUBLE, code]) == ("passed", "")
    wrong = "def double(x):\n    return x\n"
    assert marking.mark(TINY, [code, wrong]) == ("check", "twice two")
    assert alsnb.ridge.solve_row is alsnb.solve_row is not None


PATCH = "def f(x):\n    np.isclose = lambda *a: True\n    return 0\n"


@pytest.mark.parametrize(
    "code",
    [
        PATCH.replace("f(", "double("),
        PATCH + "import functools\ndouble = functools.partial(f)",
        PATCH + "class Kind:\n    def __call__(self, x): return f(x)\ndouble = Kind()",
        PATCH + "class double:\n    def __new__(self, x): return f(x)",
        "class Own(np.ndarray):\n    def __array_function__(*a): return True\n"
        "def double(x): return np.zeros(1).view(Own)",
        "class Own(float):\n    def __array_function__(*a): return True\n"
        "def double(x): return Own(0)",
    ],
)
def test_checks_cannot_be_changed_by_a_call(code):
    assert marking.mark(TINY, [code]) == ("check", "twice two")


def test_code_of_the_checks_cannot_be_changed():
    code = "np.isclose.__wrapped__.__code__ = (lambda *a, **k: True).__code__\n"
    assert marking.mark(TINY, [code + DOUBLE])[1].startswith("uses __code__ and __wrapped__")


def test_results_stay_what_they_are():
    array, masked = np.arange(3), np.ma.array([1, 2])
    assert marking.plain(array) is array and marking.plain(TINY) is TINY
    kept, pair = marking.plain([array, (masked, "x")])
    assert kept is array and type(pair) is tuple and type(pair[0]) is np.ndarray


@pytest.mark.parametrize(
    ("code", "stage", "message"),
    [
        ("", "answer", "double is not defined"),
        ("1 / 0", "answer", "ZeroDivisionError: division by zero (line 1 of your answer)"),
        ("def double(x) return x", "answer", "SyntaxError: expected ':'"),
        ("def double(x):\n    return 1 / 0", "check", "(line 2 of your answer)"),
        ("import sys\ndef double(x):\n    sys.exit()", "check", "SystemExit"),
        ("def double(x):\n    return double(x)", "check", "RecursionError"),
        ("double = None", "check", "TypeError"),
        ("def double(x):\n    return 4", "hidden", "other numbers"),
        ("def double(x):\n    raise ValueError('x' * 10**6)", "check", "…"),
        ("class E(Exception):\n    __str__ = None\nraise E", "answer", "E (line 3"),
        ("def double(x):\n    return helper(x)", "check", "is it defined outside this exercise?"),
        ("def double(x):\n    return [1][x]", "check", "(line 2 of your answer)"),
        ("def double(x):\n    print(x)", "check", "'NoneType'"),
        ("def double(x):\n    print(x)", "check", ": is a `return` missing?"),
        ("raise ValueError([np.float64(np.nan)])", "answer", "ValueError: [nan] (line 1"),
    ],
)
def test_what_is_said(code, stage, message):
    caught_by, said = marking.mark(TINY, [code])
    assert caught_by == stage and message in said and len(said) < 600, said


def test_setup_that_fails_is_not_the_students_fault():
    broken = marking.Exercise(**vars(TINY) | {"setup": "1 / 0"})
    assert marking.mark(broken, [DOUBLE])[0] == "setup"
    row = coursework.grade_one(broken, [DOUBLE], 60)
    assert row["points"] == "" and row["message"].startswith("NOT GRADED")


# Students' copies


@pytest.fixture(scope="module")
def handed_out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class") / "new"
    assert coursework.main(["hand-out", str(folder), "--seed", "7", "--colab", "a/b"]) == 0
    return folder


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@each_notebook
def test_no_solution_and_no_hidden_check_survives(path, handed_out):
    exercises = coursework.read_exercises(path)
    copied = (handed_out / "notebooks" / "exercises" / path.name).read_text(encoding="utf-8")
    cells = read(path).cells
    secret, known = set(), set()
    for cell in cells:
        solution = "".join(found[0] for found in coursework.SOLUTION.finditer(cell.source))
        rest = coursework.SOLUTION.sub("", cell.source)
        hidden = coursework.tags(cell) & {"hidden", "rubric"}
        secret |= lines_of(cell.source if hidden else solution)
        known |= set() if hidden else lines_of(rest)
    assert len(secret - known) > 5 * len(exercises)
    for line in secret - known:
        assert json.dumps(line, ensure_ascii=False)[1:-1] not in copied, line
    assert copied.count("replace this line by your answer") == len(exercises) - 1


def test_no_secret_survives_anywhere(handed_out):
    """Solutions, hidden checks and rubrics, as a whole, in any file of any kind."""
    secrets = {"BEGIN SOLUTION", "BEGIN HIDDEN", "Model answer", "not accepted:", "coursework"}
    for exercise in EXERCISES:
        solution = coursework.SOLUTION.search(exercise.code("answer") or exercise.code("rubric"))
        lines = solution[0].splitlines()[1:-1] if solution else []
        secrets |= {"\n".join(lines)} if len(lines) > 2 else set()
        secrets |= {exercise.code("hidden"), exercise.code("rubric")} - {""}
    assert len(secrets) > 1.6 * len(EXERCISES)
    for path in handed_out.rglob("*"):
        if path.suffix == ".ipynb":
            text = "\n".join(cell.source for cell in read(path).cells)
        else:
            text = path.read_bytes().decode(errors="replace") if path.is_file() else ""
        assert [secret for secret in secrets if secret in text] == [], path


def lines_of(source):
    """Lines that say something."""
    return {line.strip() for line in source.splitlines() if len(line.strip()) > 8}


@each_notebook
def test_students_copy(path, handed_out):
    notebook = read(handed_out / "notebooks" / "exercises" / path.name)
    nbformat.validate(notebook)
    assert all(not c.outputs and c.execution_count is None for c in code_cells(notebook))
    assert "google.colab" in code_cells(notebook)[0].source
    first = "\n".join(cell.source for cell in code_cells(notebook)[1:3])
    assert coursework.SEED.findall(first) == ["SEED = 7"]
    assert [c.source for c in notebook.cells].count("*Your answer here.*") == 1
    assert not any(coursework.tags(c) & {"hidden"} for c in notebook.cells)


@each_notebook
@pytest.mark.filterwarnings("ignore")
def test_students_copies_run_to_the_first_blank(path, handed_out):
    namespace, number = {"__name__": "__main__"}, path.name[1]
    with pytest.raises(NotImplementedError, match=rf"exercise {number}\.1: replace"):
        for cell in code_cells(read(handed_out / "notebooks" / "exercises" / path.name)):
            exec(compile(cell.source, "<cell>", "exec"), namespace)


def test_students_copy_in_a_kernel(handed_out):
    path = handed_out / "notebooks" / "exercises" / PATHS[0].name
    notebook = read(path)
    client = NotebookClient(notebook, timeout=120, kernel_name="python3")
    client.resources = {"metadata": {"path": str(path.parent)}}
    with pytest.raises(CellExecutionError) as stop:
        client.execute()
    assert stop.value.ename == "NotImplementedError"
    assert stop.value.evalue.startswith("exercise 1.1: ")
    failed = [c for c in code_cells(notebook) for o in c.outputs if o.output_type == "error"]
    assert [coursework.tags(cell) for cell in failed] == [{"check"}]


def test_chapters_are_handed_out_as_they_are(handed_out):
    for path in coursework.chapter_paths():
        cells, copies = read(path).cells, read(handed_out / "notebooks" / path.name).cells
        (extra,) = (cell for cell in copies if "google.colab" in cell.source)
        copies.remove(extra)
        assert [c.get("outputs") for c in cells] == [c.get("outputs") for c in copies]
        code = [[c.source for c in some if c.cell_type == "code"] for some in (cells, copies)]
        assert code[0] == code[1]


def test_links_of_what_is_handed_out_lead_somewhere(handed_out):
    checked = 0
    for path in [*handed_out.rglob("*.ipynb"), *handed_out.rglob("*.md")]:
        for link in re.findall(
            r"\]\((?![a-z]+:|\\?#)([^()\s#]+)", path.read_text(encoding="utf-8")
        ):
            assert (path.parent / link).resolve().is_relative_to(handed_out.resolve()), link
            assert (path.parent / link).is_file(), link
            checked += 1
    assert checked > 2 * len(PATHS)


def test_what_is_handed_out(handed_out):
    names = {path.relative_to(handed_out) for path in handed_out.rglob("*") if path.is_file()}
    same = {path.relative_to(ROOT) for path in (ROOT / "alsnb").rglob("*.py")}
    same |= {path.relative_to(ROOT) for path in (ROOT / "tests" / "benchmarks").glob("*.csv")}
    same |= {Path(name) for name in ("LICENSE", "pyproject.toml", "runtime.txt", ".gitignore")}
    other = {path.relative_to(ROOT) for path in (*PATHS, *coursework.chapter_paths())}
    other |= {Path(name) for name in ("README.md", "requirements.txt", "notebooks/notation.md")}
    assert names >= same | other
    assert {path.suffix for path in names - same - other} <= {".png", ".svg"}
    assert all((handed_out / n).read_bytes() == (ROOT / n).read_bytes() for n in names - other)


def test_files_that_chapters_read_are_handed_out(handed_out):
    found = [
        (path.parent / name).resolve()
        for path in (handed_out / "notebooks").glob("*.ipynb")
        for cell in code_cells(read(path))
        for name in re.findall(r'"(\.\./[^"]+)"', cell.source)
    ]
    assert len(found) >= 2 and all(path.is_file() for path in found)
    assert all(path.is_relative_to(handed_out.resolve()) for path in found)


def test_students_readme(handed_out):
    page = (handed_out / "README.md").read_text(encoding="utf-8")
    command = re.compile(r"(?s)```sh\n(.*?)```")
    assert command.findall(page) == command.findall((ROOT / "README.md").read_text("utf-8"))[:1]
    for path in coursework.chapter_paths():
        assert f"(notebooks/{path.name})" in page
    needed = (handed_out / "requirements.txt").read_text(encoding="utf-8")
    assert "jupyterlab==" in needed and needed.endswith("\n-e .\n")
    assert not re.search("pytest|nbconvert|nbclient", needed)


def test_the_cell_for_colab(handed_out, monkeypatch, tmp_path):
    cell = code_cells(read(handed_out / "notebooks" / PATHS[0].name))[0]
    done = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: done.append(command))
    monkeypatch.setattr(os, "chdir", lambda folder: done.append(folder))
    exec(cell.source, {})
    assert done == []
    monkeypatch.setitem(sys.modules, "google.colab", None)
    exec(cell.source, {})
    clone, install, folder = done
    assert clone[:2] == ["git", "clone"] and clone[-2:] == ["a/b", "/content/course"]
    assert install[-1] == "/content/course[fast,widgets]" and folder == "/content/course/notebooks"


def test_no_work_is_overwritten(tmp_path, capsys):
    work = tmp_path / "deep" / "mine.ipynb"
    work.parent.mkdir()
    work.write_text("work")
    assert coursework.main(["hand-out", str(tmp_path)]) == 1
    assert "name a new folder" in capsys.readouterr().err
    assert [*tmp_path.rglob("*")] == [work.parent, work] and work.read_text() == "work"


def test_links():
    known = {coursework.HERE / "a.ipynb": ".html", coursework.HERE / "b.md": ".html"}
    text = "[x](a.ipynb#p), [y](../README.md#z), [z](b.md), [w](https://a.org), [v](#p), ![](c.png)"
    assert coursework.relinked(text, coursework.HERE, known) == (
        "[x](a.html#p), y, [z](b.html), [w](https://a.org), [v](#p), ![](c.png)"
    )
    assert coursework.relinked("[x](../a.ipynb)", coursework.HERE / "e", known) == "[x](../a.html)"


# What is the student's own


def tiny_section(*cells):
    """Cells of a section: (tag or None, source), or the text of a markdown cell."""
    new = nbformat.v4
    return [
        new.new_markdown_cell(cell)
        if isinstance(cell, str)
        else new.new_code_cell(cell[1], metadata={"tags": [cell[0]]} if cell[0] else {})
        for cell in cells
    ]


@pytest.mark.parametrize(
    ("cells", "own"),
    [
        ([("answer", DOUBLE), ("check", TINY.code("check"))], [DOUBLE]),
        ([(None, DOUBLE), (None, TINY.code("check")), (None, "size = 2")], [DOUBLE]),
        ([("answer", DOUBLE), ("check", "print(double(3))")], [DOUBLE]),
        ([("answer", DOUBLE), ("check", DOUBLE + "double(2)")], [DOUBLE, DOUBLE + "double(2)"]),
        ([("given", "size = 99"), ("answer", DOUBLE), (None, " ")], [DOUBLE]),
        ([("answer", coursework.blank(TINY.code("answer"), "9.1"))], []),
        ([("answer", "%time x\nif x:\n    !ls")], ["pass\nif x:\n    pass"]),
    ],
)
def test_own_code(cells, own):
    section, known = tiny_section("## Exercise 9.1", *cells), coursework.handed_out_code([TINY])
    assert coursework.own_code(section, TINY, known) == own


@pytest.mark.parametrize(
    ("cells", "own"),
    [
        (["## Exercise 9.2\n\nWhy?", "*Your answer here.*\nSo.", "And *so*."], "So.\n\nAnd *so*."),
        (["## Exercise 9.2\n\nWhy?\n\nSo.", "*Your answer here.*"], "So."),
        (["## Exercise 9.2\n\nWhy? So.", "*Your answer here.*"], "Why? So."),
        (["## Exercise 9.2\n\nWhy?", "*Your answer here.* So."], "So."),
        (["## Exercise 9.2\n\nWhy?", "*Your answer here.*"], ""),
    ],
)
def test_own_text(cells, own):
    question = {"question": ["## Exercise 9.2\n\nWhy?"]}
    exercise = marking.Exercise(**vars(TINY) | {"cells": question})
    assert coursework.own_text(tiny_section(*cells), exercise) == own


@each_notebook
def test_questions_are_no_answers(path, handed_out):
    parts = coursework.sections(read(handed_out / "notebooks" / "exercises" / path.name))
    exercise = coursework.read_exercises(path)[-1]
    assert exercise.written and coursework.own_text(parts[exercise.number], exercise) == ""


# The command, on what may come back


def submission(answers, chapter="02"):
    """A student's copy with some answers put in, by number."""
    (path,) = (path for path in PATHS if path.name.startswith(chapter))
    notebook = coursework.students_copy(read(path))
    for number, cells in coursework.sections(notebook).items():
        for cell in cells if number in answers else []:
            if coursework.tags(cell) & {"answer", "rubric"}:
                cell.source = answers[number]
    return notebook


RIGHT = {exercise.number: exercise.code("answer") for exercise in CODED}
HOSTILE = {
    "2.1": "import sys\nsys.exit(0)",
    "2.2": "import os\nos._exit(0)",
    "2.3": "def solve_weighted(*a):\n    return bytearray(2**46)",
    "2.4": "import subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "open(PIDS, 'w').write(str(child.pid))\nprint('x' * 10**7)\n" + RIGHT["2.4"],
    "2.5": "import builtins, numpy, pandas\nnumpy.array = builtins.print = None\n"
    "def multiplications(*a):\n    del globals()['np']\n    raise KeyboardInterrupt",
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Rows, and what is printed, for five submissions."""
    folder = tmp_path_factory.mktemp("graded")
    given, temporary, table = folder / "in", folder / "tmp", folder / "points.csv"
    pids = folder / "pids"
    hostile = {n: code.replace("PIDS", repr(str(pids))) for n, code in HOSTILE.items()}
    wrong = {n: code for n, stage, _, code in reversed(WRONG) if stage in ("check", "hidden")}
    half = next(code for n, stage, _, code in WRONG if (n, stage) == ("2.2", "hidden"))
    submissions = {
        "ann/02-derivation.ipynb": submission(RIGHT | {"2.6": "=1+1, because."}),
        "bob-02.ipynb": submission({"2.1": wrong["2.1"], "2.2": half}),
        "cy/x.ipynb": submission({"2.2": "def my_half_step(*a):\n    return half_step(*a)"}),
        "dan/hostile.ipynb": submission(hostile),
    }
    for name, notebook in submissions.items():
        path = given / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
    (given / "eve.ipynb").write_text('{"cells": [')
    (given / "fay.py").write_text("2 * 2")
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, coursework.__file__, "grade", given, "--output", table, "--seed", "3"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | {"TMPDIR": str(temporary), "PYTHONIOENCODING": "utf-8"},
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert [*temporary.iterdir()] == [], "something is left behind"
    with open(table, encoding="utf-8-sig", newline="") as file:
        rows = {(row["file"], row["exercise"]): row for row in csv.DictReader(file)}
    return rows, done.stdout, pids


def test_right_answers(graded):
    rows, printed, _ = graded
    own = [row for (name, _), row in rows.items() if name == "ann/02-derivation.ipynb"]
    assert [row["points"] for row in own] == [row["of"] for row in own[:-1]] + [""]
    assert {row["student"] for row in own} == {"ann"}
    assert {row["chapter"] for row in own} == {"02"} and own[-1]["message"] == "'=1+1, because."
    assert "ann/02-derivation.ipynb: 13 of 15 points; to be marked by hand: 2.6" in printed


def test_wrong_answers(graded):
    rows, printed, _ = graded
    assert rows["bob-02.ipynb", "2.1"]["points"] == "0"
    row = rows["bob-02.ipynb", "2.2"]
    assert (row["points"], row["of"]) == ("1.5", "3")
    assert row["message"].startswith("visible checks passed; hidden: the factors of a row")
    row = rows["bob-02.ipynb", "2.3"]
    assert (row["points"], row["message"]) == ("0", "not answered")
    assert "bob-02.ipynb: 1.5 of 15 points\n" in printed


def test_a_name_that_is_not_accepted(graded):
    row = graded[0]["cy/x.ipynb", "2.2"]
    assert row["points"] == "0" and row["message"].startswith("uses half_step, which is not")


def test_hostile_answers(graded):
    rows, _, pids = graded
    own = {number: row for (name, number), row in rows.items() if name == "dan/hostile.ipynb"}
    said = {number: row["message"] for number, row in own.items()}
    assert said["2.1"].startswith("SystemExit: 0")
    assert said["2.2"].startswith("ended its process before")
    assert "MemoryError" in said["2.3"]
    assert said["2.5"].startswith("KeyboardInterrupt")
    points = [row["points"] for row in own.values()]
    assert points == ["0", "0", "0", "3", "0", "0"]
    assert not is_running(pids.read_text()), "a student's process is still there"


def is_running(pid):
    if Path("/proc/self/stat").exists():
        stat = Path("/proc", pid, "stat")
        return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
    state = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True)
    return state.stdout.strip()[:1] not in ("", "Z")


def test_a_broken_file(graded):
    row = graded[0]["eve.ipynb", ""]
    assert row["points"] == "0" and row["message"].startswith("not a readable notebook")
    assert "eve.ipynb: not a readable notebook" in graded[1]
    assert re.search(r"passed over, not notebooks: \S+fay\.py\n", graded[1])


@pytest.mark.parametrize("code", ["while True: pass", "import time\ntime.sleep(600)"])
def test_time_limit(code):
    answer = f"def double(x):\n    {code.splitlines()[-1]}"
    stage, message = coursework.mark_alone(TINY, [code.splitlines()[0], answer], 2)
    assert (stage, message) == ("answer", "took longer than 2 s")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_time_limit_holds_for_children_that_keep_the_process_open(tmp_path):
    code = "import os, time\nif os.fork():\n    time.sleep(600)\ntime.sleep(600)"
    assert coursework.mark_alone(TINY, [code], 1)[1] == "took longer than 1 s"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"cells": 3, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
        '{"cells": [{"cell_type": "code"}], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
        '{"cells": [{"cell_type": "code", "source": 3, "metadata": {"tags": [{}]}}], '
        '"nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
        "[" * 100_000,
    ],
)
def test_files_that_are_no_notebooks(tmp_path, content):
    (tmp_path / "a.ipynb").write_text(content)
    (row,) = coursework.grade(tmp_path)
    assert row["points"] == 0 and "no" in row["message"]


def test_notebooks_without_exercises(tmp_path):
    nbformat.write(read(coursework.chapter_paths()[0]), tmp_path / "a.ipynb")
    (row,) = coursework.grade(tmp_path)
    assert row["message"] == "has none of the exercises that are graded"


def test_some_exercises_of_one_notebook(tmp_path, capsys):
    path, table = tmp_path / "gil.ipynb", tmp_path / "p.csv"
    nbformat.write(submission({"2.5": RIGHT["2.5"], "2.6": "So."}), path)
    arguments = ["grade", str(path), "--output", str(table), "--only"]
    assert coursework.main([*arguments, "2.5,2.4,2.6"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("gil.ipynb: 2 of 7 points; to be marked by hand: 2.6\n")
    assert len(table.read_text(encoding="utf-8").splitlines()) == 4
    table.unlink()
    assert coursework.main([*arguments, "2.5,2.9"]) == 1
    assert "there is no exercise 2.9" in capsys.readouterr().err


def test_a_line_says_what_is_not_graded():
    row = {"file": "a.ipynb", "chapter": "01", "points": "", "of": 2.0}
    row["message"] = coursework.NOT_GRADED + "no data"
    rows = [row | {"exercise": "1.1"}, row | {"exercise": "1.2"}]
    rows.append(row | {"exercise": "1.3", "message": "So."})
    assert coursework.summary(rows) == (
        "a.ipynb: 0 of 6 points; to be marked by hand: 1.3; "
        "1.1, 1.2 NOT GRADED: the setup failed: no data"
    )


def test_missing_heading(tmp_path):
    notebook = submission({})
    notebook.cells = [c for c in notebook.cells if "Exercise 2.3" not in c.source]
    nbformat.write(notebook, tmp_path / "a.ipynb")
    messages = {row["exercise"]: row["message"] for row in coursework.grade(tmp_path)}
    assert messages == dict.fromkeys(messages, "not answered") | {
        "2.3": "the line '## Exercise 2.3: …' is missing"
    }


def test_any_text_can_be_written(tmp_path):
    rows = [dict.fromkeys(coursework.COLUMNS, "") | {"message": "-1 λ \ud800"}]
    coursework.write_table(rows, tmp_path / "p.csv")
    assert "'-1 λ ?" in (tmp_path / "p.csv").read_text(encoding="utf-8-sig")


def test_checkpoints_are_no_submissions(tmp_path, capsys):
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / ".ipynb_checkpoints" / "a.ipynb").write_text("{}")
    assert coursework.main(["grade", str(tmp_path), "--output", str(tmp_path / "p.csv")]) == 1
    assert "there are no notebooks" in capsys.readouterr().err


def test_a_table_is_not_overwritten(tmp_path, capsys):
    table = tmp_path / "points.csv"
    table.write_text("marked by hand")
    assert coursework.main(["grade", str(tmp_path), "--output", str(table)]) == 1
    assert "name another" in capsys.readouterr().err and table.read_text() == "marked by hand"


# Copies to read


def picture_notebook():
    """A page with formulas, a picture, and a link."""
    new = nbformat.v4
    text = "# T\n\n$\\lambda_i$ and `$x$`; [next](02.ipynb)\n\n$$\\frac{a}{b} < 1$$"
    output = new.new_output("display_data", {"image/png": "aGk=", "text/plain": "<Figure>"})
    output.metadata["image/png"] = {"alt": 'Two "dots" & a line', "width": 320}
    cell = new.new_code_cell("show()", outputs=[output])
    return new.new_notebook(cells=[new.new_markdown_cell(text), cell])


class Attributes(HTMLParser):
    """Attributes of all tags of a page, by tag."""

    def __init__(self, page):
        super().__init__()
        self.found = {}
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.setdefault(tag, []).append(dict(attrs))


def test_reading_copy():
    page = coursework.to_html(picture_notebook(), Path("01.ipynb"))
    found = Attributes(page).found
    (picture,) = found["img"]
    assert (picture["alt"], picture["width"]) == ('Two "dots" & a line', "320")
    assert [formula["display"] for formula in found["math"]] == ["inline", "block"]
    assert "<mi>λ</mi>" in page and "<mfrac>" in page and "<code>$x$</code>" in page
    targets = [tag.get("src") or tag.get("href") for tags in found.values() for tag in tags]
    assert not [one for one in targets if re.match(r"(https?:)?//", one or "")]
    assert "cdn" not in page.lower()


def test_reading_copy_without_latex2mathml(monkeypatch):
    monkeypatch.setattr(coursework, "has_mathml", lambda: False)
    page = coursework.to_html(picture_notebook(), Path("01.ipynb"))
    assert r"$\lambda_i$" in page and "mathjax" in page


def test_every_formula_has_a_mathml():
    pattern = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", re.DOTALL)
    for path in [*coursework.chapter_paths(), *PATHS]:
        for cell in read(path).cells:
            text = cell.source if cell.cell_type == "markdown" else ""
            for found in pattern.finditer(re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.S)):
                mathml = coursework.to_mathml(found[1] or found[2])
                assert not re.search(r"\\|merror|&#x0005C;", mathml), found[0]


def test_pages_of_all_chapters(tmp_path, monkeypatch):
    monkeypatch.setattr(coursework, "chapter_paths", lambda: [CHAPTER])
    pages = list(coursework.reading_copies(tmp_path))
    assert pages[0] == tmp_path / f"{CHAPTER.stem}.html"
    text = pages[0].read_text(encoding="utf-8")
    assert ".ipynb" not in "".join(re.findall(r'href="[^"]*"', text))
    pictures = [
        o for c in code_cells(read(CHAPTER)) for o in c.outputs if "image/png" in o.get("data", {})
    ]
    alts = [picture.metadata.get("image/png", {}).get("alt") for picture in pictures]
    shown = [picture["alt"] for picture in Attributes(text).found["img"] if picture.get("alt")]
    assert shown == [alt for alt in alts if alt] != []


CHAPTER = coursework.chapter_paths()[0]


@pytest.mark.skipif(coursework.find_browser() is None, reason="no browser that prints")
def test_a_page_is_printed(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(coursework.to_html(picture_notebook(), Path("01.ipynb")), encoding="utf-8")
    printed = coursework.print_page(coursework.find_browser(), page)
    assert printed.read_bytes().startswith(b"%PDF") and printed.stat().st_size > 5000


def test_read_says_that_there_is_no_browser(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(coursework, "chapter_paths", lambda: [])
    monkeypatch.setattr(coursework, "find_browser", lambda: None)
    assert coursework.main(["read", str(tmp_path)]) == 0
    assert "no PDF: none of chromium" in capsys.readouterr().out
