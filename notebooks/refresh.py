"""Run the notebooks afresh and write them in their normal form.

``python notebooks/refresh.py [NOTEBOOK ...] [--check]`` takes all chapters and
exercises unless some are named. Each is cleared, executed from top to bottom in a
fresh kernel, normalised, and replaced in one step; one that fails stays as it was. With
``--check`` nothing is run or written. The picture of the cell tagged ``thumbnail`` is
written, small, into the folder ``thumbnails``; that of chapter 03, README's picture, is
written whole as ``factor-map.png``, too.
"""

from __future__ import annotations

import argparse
import base64
import copy
import hashlib
import io
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from PIL import Image

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
PICTURED = "03-sequential-als.ipynb"
PICTURE = ("alt", "height", "width")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class RefreshError(RuntimeError):
    """A notebook failed; the message says in which cell, and why."""


def normalise(notebook: NotebookNode) -> NotebookNode:
    """Return a copy with only what readers and comparisons need.

    Doing it twice changes nothing. Metadata are kernel and language; of cells the
    sorted tags and, where there are slides, what is a slide and what is skipped; of
    pictures their size and description. A cell's id follows from its source, so that
    inserting a cell changes no other. Executed cells count 1, 2, …; text printed in one
    go is one output; errors lose their traceback, and widget views, which mean nothing
    to another kernel, are gone; the random ids of styled tables become numbers.
    """
    notebook = copy.deepcopy(notebook)
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen, tables, count = [], [], 0
    slides = [
        cell.metadata.get("slideshow", {}).get("slide_type", "skip")
        for cell in notebook.cells
    ]
    for cell, slide in zip(notebook.cells, slides, strict=True):
        tags = sorted(set(cell.metadata.get("tags", [])))
        about = {"slideshow": {"slide_type": slide}} if set(slides) != {"skip"} else {}
        cell.metadata = nbformat.from_dict(about | ({"tags": tags} if tags else {}))
        cell.id = hashlib.sha256(
            f"{cell.cell_type} {cell.source}".encode()
        ).hexdigest()[:8]
        seen.append(cell.id)
        cell.id += f"-{seen.count(cell.id)}" if seen.count(cell.id) > 1 else ""
        if cell.cell_type != "code":
            continue
        if cell.execution_count is not None:
            cell.execution_count = count = count + 1
        outputs, cell.outputs = cell.outputs, []
        for output in outputs:
            last = cell.outputs[-1] if cell.outputs else {}
            if output.output_type == "stream" and last.get("name") == output.name:
                last.text += output.text
                continue
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count
            if output.output_type == "error":
                output.traceback = [f"{output.ename}: {output.evalue}"]
            if "data" in output:
                _normalise_data(output.data, tables)
                picture = output.metadata.get("image/png", {})
                picture = {key: picture[key] for key in PICTURE if key in picture}
                output.metadata = nbformat.from_dict(
                    {"image/png": picture} if picture else {}
                )
            cell.outputs.append(output)
    return notebook


def _normalise_data(data: NotebookNode, tables: list[str]) -> None:
    data.pop(WIDGET_VIEW, None)
    if found := re.search(r'<table id="T_([0-9a-f]{5})"', data.get("text/html", "")):
        tables.append(found[1])
        data["text/html"] = data["text/html"].replace(
            f"T_{found[1]}", f"T_{len(tables):05x}"
        )
        data["text/plain"] = re.sub(
            "0x[0-9a-f]{6,16}", "0xADDRESS", data.get("text/plain", "")
        )


def execute(notebook: NotebookNode, folder: Path, timeout: float = 120) -> NotebookNode:
    """Return a cleared copy, executed in a fresh kernel that works in `folder`.

    A cell may take `timeout` seconds. Raises RefreshError if one takes longer, ends the
    kernel, or fails without the tag ``raises-exception``.
    """
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.execution_count, cell.outputs = None, []
    client = NotebookClient(
        notebook, timeout=timeout, kernel_name="python3", record_timing=False
    )
    client.resources = {"metadata": {"path": str(folder)}}
    client.extra_arguments = ["--log-level=ERROR"]
    started = []
    client.on_cell_start = lambda cell, cell_index: started.append(cell_index + 1)
    try:
        return client.execute()
    except CellExecutionError as error:
        reason = f"{error.ename}: {error.evalue}\n{error.traceback}"
    except Exception as error:  # a timeout, a dead kernel, or no kernel at all
        reason = f"{type(error).__name__}: {error}"
    place = f"cell {started[-1]} of {len(notebook.cells)}" if started else "its kernel"
    raise RefreshError(f"{place} failed: {COLOUR.sub('', reason).strip()}")


def serialise(notebook: NotebookNode) -> str:
    """Text of a notebook's file."""
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n"


def replace(path: Path, content: bytes) -> None:
    """Write a file in one step: others see the old one or the new one, whole."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def write(notebook: NotebookNode, path: Path) -> None:
    """Put a notebook at `path`."""
    replace(path, serialise(notebook).encode())


def thumbnail(notebook: NotebookNode) -> bytes | None:
    """PNG of the cell that is tagged as this notebook's picture, if one is."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "thumbnail" in cell.metadata.get(
                "tags", []
            ) and "image/png" in output.get("data", {}):
                return base64.b64decode(output.data["image/png"])
    return None


def shrink(picture: bytes, width: int = 320) -> bytes:
    """Return a PNG made narrower, in 64 colours."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image = image.resize(
        (width, round(width * image.height / image.width)), Image.LANCZOS
    )
    file = io.BytesIO()
    image.quantize(64, dither=Image.Dither.NONE).save(file, format="png", optimize=True)
    return file.getvalue()


def all_notebooks() -> list[Path]:
    """Return the chapters, and then the exercises."""
    folder = Path(__file__).resolve().parent
    return [*sorted(folder.glob("*.ipynb")), *sorted(folder.glob("exercises/*.ipynb"))]


def main(arguments: list[str] | None = None) -> int:
    """Refresh or check notebooks; returns the exit code, 1 if any of them failed."""
    parser = argparse.ArgumentParser(
        prog="refresh.py", description=__doc__.split("\n")[0]
    )
    parser.add_argument("notebooks", nargs="*", type=Path, metavar="NOTEBOOK")
    parser.add_argument(
        "--check", action="store_true", help="run nothing; is the form normal?"
    )
    options = parser.parse_args(arguments)
    failed = False
    for path in options.notebooks or all_notebooks():
        start = time.perf_counter()
        try:
            notebook = nbformat.read(path, as_version=4)
            if not options.check:
                notebook = normalise(execute(notebook, path.resolve().parent))
                write(notebook, path)
                if picture := thumbnail(notebook):
                    small = path.parent / "thumbnails" / f"{path.stem}.png"
                    small.parent.mkdir(exist_ok=True)
                    replace(small, shrink(picture))
                    if path.name == PICTURED:
                        replace(path.with_name("factor-map.png"), picture)
            elif path.read_text(encoding="utf-8") != serialise(normalise(notebook)):
                raise RefreshError(
                    "not in normal form; run refresh.py on it without --check"
                )
            print(f"{path.name}: ok, {time.perf_counter() - start:.1f} s", flush=True)
        except (RefreshError, OSError, nbformat.reader.NotJSONError) as error:
            failed = True
            print(f"{path.name}: {error}", file=sys.stderr, flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
