"""Tamper with the committed notebooks twenty times: is each noticed? python tests/tamper.py [SEED]

By hand, as it takes some 15 minutes. In a clone of the project, something is done to a cell, and
the notebook is brought into normal form again, so that only what it says can give it away. Hygiene
(tests/test_notebooks.py) looks first; nbval runs what it lets pass, up to the first failure. Cells
that show seconds, whose outputs no test compares, are left out.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "notebooks"))
import refresh  # noqa: E402

TEXTS = {  # of a digit that is found another is made; what else is found goes
    "digit printed": ("text", r"(\d)"),
    "digit of a value": ("text/plain", r"(\d)"),
    "digit of a table": ("text/html", r"<td[^>]*>[^<]*?(\d)"),
    "row of a table": ("text/html", r"\n *<tr>\s*<th[^>]*>\w[^§]*?</tr>"),
    "line printed": ("text", r".+\n?"),
}
CODE = {"title": r'title(?: = |=|\()f?"(\w+ )', "digit of code": r"[=(, ](\d)"}
PICTURES = ["title", "words of a picture", "alt text", "swapped sides", "another picture"]
CELLS = ["output lost", "output moved", "output twice", "cells reordered", "stderr", "ignored"]
KINDS = [*TEXTS, *PICTURES, *CELLS, "digit of code", "digit of a table", "title", "another picture"]


def change(text, rng, pattern):
    """Change one of the places that are found."""
    start, stop = rng.choice([at.span(at.re.groups) for at in re.finditer(pattern, text)])
    found = text[start:stop]
    new = str((int(found) + rng.integers(1, 10)) % 10) if found.isdigit() else ""
    return text[:start] + new + text[stop:]


def tamper(kind, cell, *rest, rng):
    """Do one thing to a cell; raises if that cannot be done to this one."""
    k = rng.choice(len(cell.outputs))
    output = cell.outputs[k]
    data, about = output.get("data", output), output.get("metadata", {}).get("image/png")
    if kind in PICTURES and about is None:
        raise KeyError("image/png")
    if kind in TEXTS:
        key, pattern = TEXTS[kind]
        data[key] = change(data[key], rng, pattern)
    elif kind in CODE:
        cell.source = change(cell.source, rng, CODE[kind])
    elif kind in ("alt text", "words of a picture"):
        about["alt"] = change(about["alt"], rng, r" \w+")
        if kind != "alt text":
            data["text/plain"] = f"Figure: {about['alt']}"
    elif kind == "swapped sides":
        about["width"], about["height"] = about["height"], about["width"]
    elif kind == "another picture":
        other = next(o for one in rest for o in one.outputs if "image/png" in o.get("data", {}))
        data["image/png"] = other.data["image/png"]
        about.update(other.metadata["image/png"] | {"alt": about["alt"]})
    elif kind == "output lost":
        cell.outputs.pop(k)
    elif kind == "output moved":
        rest[0].outputs.append(cell.outputs.pop(k))
    elif kind == "output twice":
        cell.outputs.insert(k, output)
    elif kind == "cells reordered":
        cell.source, rest[0].source = rest[0].source, cell.source
    elif kind == "stderr":
        cell.outputs.append(nbformat.v4.new_output("stream", name="stderr", text="?\n"))
    else:
        cell.metadata["tags"] = [*cell.metadata.get("tags", []), "nbval-ignore-output"]


def tampered(kind, paths, rng):
    """Do it to the first notebook and cell, drawn at random, where it can be done."""
    while True:
        path = rng.choice(paths)
        before, notebook = path.read_bytes(), nbformat.read(path, as_version=4)
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        k = rng.integers(len(cells))
        if {"nbval-ignore-output", "timed"} & {*cells[k].metadata.get("tags", [])}:
            continue
        try:
            tamper(kind, *cells[k:], rng=rng)
        except (IndexError, KeyError, StopIteration, ValueError):
            continue
        refresh.write(refresh.normalise(notebook), path)
        if path.read_bytes() != before:
            return path, k, before


def noticed(folder, path):
    """The first test that fails, or None."""
    env = os.environ | {"PYTHONPATH": str(folder), "NO_COLOR": "1"}
    for what in ("tests/test_notebooks.py", path):
        command = [sys.executable, "-m", "pytest", "-xq", what]
        run = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
        if run.returncode:
            return re.search(r"(?m)^(?:FAILED|ERROR) (.*?)(?: - .*)?$", run.stdout)[1]
    return None


def main(seed="0"):
    """Say of each tamper by what it is noticed; returns how many are not."""
    rng, missed = np.random.default_rng(int(seed)), 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder).resolve() / "clone"
        subprocess.run(["git", "clone", "--quiet", ROOT, copy], check=True)
        for kind in KINDS:
            path, k, before = tampered(kind, sorted((copy / "notebooks").rglob("*.ipynb")), rng)
            by = noticed(copy, path.relative_to(copy))
            print(f"{path.relative_to(copy)}, cell {k}: {kind}: {by or 'NOT NOTICED'}", flush=True)
            missed += by is None
            path.write_bytes(before)
    print(f"{len(KINDS) - missed} of {len(KINDS)} are noticed")
    return missed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
