"""Coursework: exercises and their checks, students' copies, and grading of whatever comes back."""

import re
from functools import cache
from pathlib import Path

import coursework
import nbformat
import pytest

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
        assert wanted <= set(exercise.cells) <= wanted | {"given"}, exercise.number
        assert all(len(exercise.cells[tag]) == 1 for tag in wanted), exercise.number


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
def test_solutions_get_full_points(exercise):
    assert coursework.mark(exercise, [exercise.code("answer")]) == ("passed", "")


@pytest.mark.filterwarnings("ignore")  # as while grading
@pytest.mark.parametrize(
    ("number", "stage", "message", "code"), WRONG, ids=[f"{w[0]}-{w[2][:30]}" for w in WRONG]
)
def test_wrong_answers_are_caught(number, stage, message, code):
    (exercise,) = (exercise for exercise in CODED if exercise.number == number)
    caught_by, said = coursework.mark(exercise, [code])
    assert caught_by == stage and message in said, f"{caught_by}: {said}"
