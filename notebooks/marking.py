"""Mark one exercise: the student's code, then the course's checks, in one process.

`coursework.py grade` starts this file once for each exercise, with a job on standard
input. It imports nothing but the standard library at its top, so it starts fast.
"""

from __future__ import annotations

import ast
import functools
import json
import os
import re
import sys
import traceback
import types
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

NOT_ACCEPTED = re.compile(r"^# not accepted: (.+)$", re.MULTILINE)
ANSWER = "<your answer>"  # what tracebacks call the student's code
# Modules, with all below them, that are put back as they were
GUARDED = {"alsnb", "builtins", "math", "numpy", "pandas", "scipy"}
TRICKS = ["__code__", "__wrapped__"]  # nobody needs them here but to change a check
NUMPY_SCALAR = re.compile(r"np\.(?:float|int)\d+\(([^()]*)\)")
MEMORY = 4 * 2**30  # bytes of address space; the packages alone take nearly two
FILE = 2**28  # bytes of a file that may be written


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
        """What an answer defines: the functions, classes and variables of its cell."""
        names = []
        for node in ast.parse(self.code("answer")).body:
            names += [node.name] if hasattr(node, "name") else []
            targets = getattr(node, "targets", [])
            names += [target.id for target in targets if hasattr(target, "id")]
        return names

    def not_accepted(self) -> list[str]:
        """Names that an answer may not use."""
        found = NOT_ACCEPTED.search(self.code("hidden"))
        return re.split(r",\s*", found[1].strip()) if found else []


def mark(exercise: Exercise, own: list[str]) -> tuple[str, str]:
    """Run a student's cells and the checks.

    Returns how far it came, and what was said there. How far is "setup" (the course's
    own code failed), "answer", "check", "hidden" or "passed". The checks run in a
    namespace of their own, with fresh data; only the names of the answer are the
    student's. What the student's code changes in modules is undone, also after each
    call of a function.
    """
    if wrong := refused(own, exercise.not_accepted() + TRICKS):
        names = f"{' and '.join(wrong)}, which {'is' if len(wrong) == 1 else 'are'}"
        return "answer", f"uses {names} not accepted here: write it yourself"
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
    try:
        checks = prepare(exercise)
    except BaseException as error:
        return "answer", f"the setup does not run after it: {say(error)}"
    for name in exercise.names():
        checks[name] = with_cleanup(student[name], undo)
    for stage in ("check", "hidden"):
        try:
            run(exercise.code(stage), checks, f"<{stage}>")
        except BaseException as error:
            return stage, say(error)
    return "passed", ""


def prepare(exercise: Exercise) -> dict:
    """Return a namespace after setup and what is given."""
    namespace = {"__name__": "__main__", "display": print}
    run(exercise.setup, namespace, "<setup>")
    run(exercise.code("given"), namespace, "<given>")
    return namespace


def run(source: str, namespace: dict, name: str) -> None:
    """Execute code under a name for tracebacks; assertions are never left out."""
    code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    exec(code, namespace)


def refused(sources: list[str], not_accepted: list[str]) -> list[str]:
    """Names that are not accepted and yet used.

    By name, as an attribute, imported, or as a text, as in ``getattr(alsnb, "…")``. A
    function of the student's own may have such a name, and outside functions they may
    be called: that is how one compares.
    """
    used, own = set(), set()
    for source in sources:
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            continue  # it will not run either
        compared = set(map(id, called_outside_functions(tree)))
        nodes = [node for node in ast.walk(tree) if id(node) not in compared]
        for node in nodes:
            if isinstance(node, ast.FunctionDef):
                own.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                used |= {part for one in node.names for part in one.name.split(".")}
            elif isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                used.add(node.value)
        used |= {n.id for n in nodes if isinstance(n, ast.Name) and n.id not in own}
    return [name for name in not_accepted if name in used]


def called_outside_functions(node: ast.AST) -> list[ast.Name]:
    """Names of what is called, not counting the bodies of functions and classes."""
    inner = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
    names = (
        [node.func]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        else []
    )
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, inner):
            names += called_outside_functions(child)
    return names


def remember_modules() -> Callable[[], None]:
    """Return a function that puts back what modules hold now."""
    dictionaries = [sys.modules]
    for name, module in sys.modules.items():
        if name.split(".")[0] in GUARDED and isinstance(module, types.ModuleType):
            dictionaries.append(vars(module))
    remembered = [(one, dict(one), [*map(id, one.values())]) for one in dictionaries]
    absent = object()

    def undo(map=map, id=id):  # as they are now: builtins, too, may be overwritten
        for dictionary, before, identities in remembered:
            if [*map(id, dictionary.values())] == identities:
                continue  # as nearly always, and quickly seen
            for name, value in before.items():
                if dictionary.get(name, absent) is not value:
                    dictionary[name] = value

    return undo


def with_cleanup(answer, cleanup: Callable[[], None]):
    """What a student has defined; of a function, with a cleanup after each call."""
    if not callable(answer):
        return plain(answer)

    @functools.wraps(answer)
    def call(*args, **options):
        try:
            result = answer(*args, **options)
        finally:
            cleanup()
        return plain(result)

    return call


def plain(value):
    """A value without arrays of a kind of its own, which could answer for NumPy."""
    import numpy as np

    if type(value) in (list, tuple):
        return type(value)(map(plain, value))
    own = hasattr(type(value), "__array_function__")
    return np.asarray(value) if own else value


def say(error: BaseException) -> str:
    """What an error says, in one line, where in the answer it arose, and a hint."""
    try:
        text = NUMPY_SCALAR.sub(r"\1", " ".join(str(error).split()))
    except BaseException:
        text = ""
    kind = "" if isinstance(error, AssertionError) and text else type(error).__name__
    text = shorten(": ".join(part for part in (kind, text) if part))
    frames = traceback.extract_tb(error.__traceback__)
    places = [frame.lineno for frame in frames if frame.filename == ANSWER]
    if places:
        text += f" (line {places[-1]} of your answer)"
        if type(error) is NameError:
            text += ": is it defined outside this exercise?"
    return text + (": is a `return` missing?" if "NoneType" in text else "")


def shorten(text: str, length: int = 500) -> str:
    """Cut a text that is too long for a table."""
    return text if len(text) <= length else text[: length - 2] + " …"


def limit_resources(seconds: float) -> None:
    """Limit memory, files and computing time, where the platform can."""
    try:
        import resource
    except ImportError:
        return
    limits = {"RLIMIT_AS": MEMORY, "RLIMIT_FSIZE": FILE, "RLIMIT_CPU": 2 * seconds + 5}
    for name, limit in limits.items():
        with suppress(ValueError, OSError):  # macOS has no limit of address space
            resource.setrlimit(getattr(resource, name), (int(limit), int(limit)))


def main() -> None:
    """Do the job on standard input, and write the result into its file."""
    job = json.loads(sys.stdin.buffer.read())
    result, key = Path(job["result"]), job["key"]
    limit_resources(job["time_limit"])
    stage, message = mark(Exercise(**job["exercise"]), job["own"])
    text = json.dumps({"key": key, "stage": stage, "message": message})
    result.write_text(text, encoding="utf-8")
    os._exit(0)  # whatever threads the student's code has left running


if __name__ == "__main__":
    main()
