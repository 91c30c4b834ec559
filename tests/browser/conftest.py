"""A real JupyterLab in a real browser: a Chromium that is installed."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import symtable
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from made_up import NOTEBOOK
from pages import Notebook

ROOT = Path(__file__).resolve().parent.parent.parent
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = "--disable-background-networking --disable-component-update --disable-sync --no-first-run"
OPTIONS = f"--no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage {QUIET}".split()
NOTIFICATIONS = {"fetchNews": "false", "checkForUpdates": False}


def find_browser():
    """Return the path of a Chromium, or None."""
    named = os.environ.get("ALSNB_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="module")
def browser():
    """Chromium, without a window."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not (path := find_browser()):
        give_up = pytest.fail if "ALSNB_NEEDS_BROWSER" in os.environ else pytest.skip
        give_up("no Chromium found: install it, or name it in ALSNB_CHROMIUM")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()


def is_widget(output):
    """Figures are displayed; a widget is the value of its cell."""
    return output.output_type == "execute_result" and "image/png" in output.data


def names_of(source):
    """Names that a cell makes, and those of others that it uses."""
    top = symtable.symtable(source, "cell", "exec")
    made = {one.get_name() for one in top.get_symbols() if one.is_assigned() or one.is_imported()}

    def used(table):
        every = (
            table.get_symbols()
            if table is top
            else filter(symtable.Symbol.is_global, table.get_symbols())
        )
        names = {one.get_name() for one in every if one.is_referenced()}
        return names.union(*map(used, table.get_children()))

    return made, used(top) - made


def clear(source, target):
    """Copy a chapter's widgets and the cells that they need, without outputs: this run makes them.

    The others have nothing to press, and nbval runs them.
    """
    notebook = nbformat.read(source, as_version=4)
    kept, needed = [], set()
    for cell in reversed(notebook.cells):
        made, used = names_of(cell.source) if cell.cell_type == "code" else (set(), set())
        if made & needed or any(map(is_widget, cell.get("outputs", []))):
            cell.outputs, cell.execution_count = [], None
            kept.insert(0, cell)
            needed = (needed | used) - made
    notebook.cells = kept
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)


@pytest.fixture(scope="module")
def lab(browser, tmp_path_factory):
    """Start a server over a copy of the course, with settings of its own; return where it is."""
    folder = tmp_path_factory.mktemp("lab")
    course = folder / "course"
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        clear(path, course / path.relative_to(ROOT))
    shutil.copy(ROOT / "README.md", course)
    shutil.copytree(ROOT / "tests" / "benchmarks", course / "tests" / "benchmarks")  # its tables
    nbformat.write(NOTEBOOK, course / "made-up.ipynb")
    settings = folder / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(NOTIFICATIONS))
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    token = secrets.token_hex(16)
    folders = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "IPYTHONDIR": "ipython"}
    folders |= {"JUPYTER_RUNTIME_DIR": "runtime", "JUPYTERLAB_SETTINGS_DIR": "settings"}
    folders |= {"JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--allow-root"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    command += [f"--ServerApp.root_dir={course}", "--LabApp.extension_manager=readonly"]
    command += ["--LabApp.expose_app_in_browser=True"]
    with open(folder / "server.log", "wb") as log:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=course,
            env=os.environ | {key: str(folder / name) for key, name in folders.items()},
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/api/status?token={token}", server, folder / "server.log")
        yield f"http://127.0.0.1:{port}/lab/tree/{{}}?reset&token={token}"
    finally:
        stop(server)


def wait_for(address, server, log, seconds=60):
    """Wait until the server answers."""
    for _ in range(10 * seconds):
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-2000:]}")


def stop(server):
    """End the server and its kernels."""
    os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture
def open_notebook(lab, browser):
    """Open notebooks, each on a page of its own, and close what was opened."""
    opened = []

    def open_one(path, **options):
        opened.append(Notebook(browser, lab.format(path), **options))
        return opened[-1]

    yield open_one
    for notebook in opened:
        notebook.close()
