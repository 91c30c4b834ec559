"""Where the data comes from, in which order, and what is left behind when it does not come."""

import hashlib
import logging
import os
import socket
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pooch
import pytest

import alsnb
from alsnb import DatasetError, sources


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Answers with what `server.pages` holds for the path, and keeps a list of requests."""

    def do_GET(self):
        self.server.requests.append(self.path)
        body, length = self.server.pages.get(self.path, (None, 0))
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *args):
        pass


class FakePip:
    """Stands in for `subprocess.run`: "downloads" `wheel`, or fails as pip does."""

    def __init__(self):
        self.wheel, self.calls = None, []

    def __call__(self, command, *, cwd, **options):
        self.calls.append(SimpleNamespace(command=command, **options))
        if self.wheel is None:
            return SimpleNamespace(returncode=1, stderr="ERROR: No matching distribution found")
        Path(cwd, sources.WHEEL).write_bytes(self.wheel)
        return SimpleNamespace(returncode=0, stderr="")


@pytest.fixture
def pip(monkeypatch):
    fake = FakePip()
    monkeypatch.setattr(subprocess, "run", fake)
    return fake


@pytest.fixture
def web(cache, pip, tiny_100k, monkeypatch):
    """Both web servers on this machine, empty at first; the hashes are those of the tiny files."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.pages, server.requests = {}, []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(sources, "GROUPLENS", f"{address}/grouplens/")
    monkeypatch.setattr(sources, "MIRROR", f"{address}/mirror/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    known = {"ml-100k.zip": tiny_100k.zip, sources.WHEEL: tiny_100k.wheel}
    known |= {"u.data": tiny_100k.folder / "u.data"}
    known |= {"ml-100k.inter": tiny_100k.wheel_folder / "ml-100k.inter"}
    for name, path in known.items():
        monkeypatch.setitem(sources.SHA256, name, sha256(path))

    def serve(page, body, length=None):
        server.pages[page] = (body, len(body) if length is None else length)

    yield SimpleNamespace(serve=serve, requests=server.requests, content=tiny_100k.zip.read_bytes())
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def unreachable(cache, monkeypatch):
    """Addresses that refuse: their port is taken, but nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        for name in ("GROUPLENS", "MIRROR"):
            monkeypatch.setattr(sources, name, f"http://127.0.0.1:{taken.getsockname()[1]}/{name}/")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield


GROUPLENS_ZIP, MIRROR_ZIP = "/grouplens/ml-100k.zip", "/mirror/ml-100k.zip"


# Order and fallback


def test_first_source_that_answers_wins_and_the_cache_serves_from_then_on(web, cache, pip):
    web.serve(GROUPLENS_ZIP, web.content)
    web.serve(MIRROR_ZIP, web.content)
    first = alsnb.load_movielens()
    assert web.requests == [GROUPLENS_ZIP]
    assert cache.content() == {"ml-100k.zip": web.content}
    second = alsnb.load_movielens()
    assert web.requests == [GROUPLENS_ZIP]
    assert pip.calls == []
    assert second.ratings.equals(first.ratings)
    assert len(second.ratings) == 5


@pytest.mark.parametrize("first", ["404", "wrong file", "cut short"])
def test_second_source_answers_when_the_first_fails(web, cache, first):
    if first == "wrong file":
        web.serve(GROUPLENS_ZIP, web.content + b" ")
    if first == "cut short":
        web.serve(GROUPLENS_ZIP, web.content[:500], length=len(web.content))
    web.serve(MIRROR_ZIP, web.content)
    assert len(alsnb.load_movielens().ratings) == 5
    assert web.requests == [GROUPLENS_ZIP, MIRROR_ZIP]
    assert cache.content() == {"ml-100k.zip": web.content}


@pytest.mark.parametrize("length", [100_000, None])
def test_half_a_file_is_never_kept(web, cache, length):
    for page in (GROUPLENS_ZIP, MIRROR_ZIP):
        web.serve(page, web.content[:500], length)
    with pytest.raises(DatasetError, match="could not be had from any source"):
        alsnb.load_movielens()
    assert web.requests == [GROUPLENS_ZIP, MIRROR_ZIP]
    assert cache.content() == {}


def test_interrupt_leaves_no_file(web, cache, monkeypatch):
    class Interrupted(pooch.HTTPDownloader):
        def __call__(self, url, output_file, pooch, **options):
            Path(output_file).write_bytes(web.content[:500])
            raise KeyboardInterrupt

    monkeypatch.setattr(pooch, "HTTPDownloader", Interrupted)
    with pytest.raises(KeyboardInterrupt):  # and no other source is tried
        alsnb.load_movielens()
    assert cache.content() == {}


def test_wheel_is_the_last_source(web, cache, pip, tiny_100k):
    pip.wheel = tiny_100k.wheel.read_bytes()
    data = alsnb.load_movielens()
    assert web.requests == [GROUPLENS_ZIP, MIRROR_ZIP]
    assert data.titles.tolist()[2] == "Misérables, Les (1995)"
    assert cache.content() == {sources.WHEEL: pip.wheel}
    (call,) = pip.calls
    assert call.command[:4] == [sys.executable, "-m", "pip", "download"]
    assert call.command[-1] == "recbole==1.2.1"
    assert {"--no-deps", "--only-binary=:all:", "--no-input"} <= set(call.command)
    assert call.stdin == subprocess.DEVNULL  # or it would swallow what a notebook's user types
    assert call.timeout == sources.TIMEOUT
    alsnb.load_movielens()
    assert len(pip.calls) == 1
    assert len(web.requests) == 2


def test_wrong_wheel_is_refused(web, cache, pip, tiny_100k):
    pip.wheel = tiny_100k.wheel.read_bytes() + b" "
    with pytest.raises(DatasetError, match="package index: SHA256 hash of downloaded file"):
        alsnb.load_movielens()
    assert cache.content() == {}


def test_only_100k_is_looked_for_in_the_package_index(web, cache, pip):
    with pytest.raises(DatasetError, match="MovieLens 1m could not") as error:
        alsnb.load_movielens("1m")
    assert web.requests == ["/grouplens/ml-1m.zip", "/mirror/ml-1m.zip"]
    assert pip.calls == []
    assert "package index" not in str(error.value)


def test_without_pip_the_one_bundled_with_python_is_used(web, pip, tiny_100k, monkeypatch):
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "pip" else find_spec(name)
    )
    pip.wheel = tiny_100k.wheel.read_bytes()
    assert len(alsnb.load_movielens().ratings) == 5
    command = pip.calls[0].command
    bundled = Path(command[1])
    assert command[2] == "download"
    assert bundled.name == "pip"
    assert bundled.parent.match("pip-*.whl")
    assert zipfile.is_zipfile(bundled.parent)
    assert "pip/__main__.py" in zipfile.ZipFile(bundled.parent).namelist()


@pytest.mark.parametrize(
    "error",
    [
        subprocess.TimeoutExpired("pip", 120),
        subprocess.SubprocessError("a story\n" * 99),
        PermissionError("no"),
    ],
    ids=type,
)
def test_pip_that_hangs_or_cannot_run_is_one_line_of_the_error(web, cache, monkeypatch, error):
    def run(*args, **options):
        raise error

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(DatasetError) as caught:
        alsnb.load_movielens()
    lines = str(caught.value).splitlines()
    assert len(lines) == 6  # head, four sources, advice
    assert str(error)[:7] in lines[4]
    assert len(lines[4]) < 330
    assert cache.content() == {}


def test_without_any_pip_there_is_still_one_clear_error(web, pip, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("sysconfig.get_config_var", lambda name: None)  # where Debian keeps it
    with pytest.raises(DatasetError, match="package index: this Python has no pip"):
        alsnb.load_movielens()


def test_no_network_at_all(unreachable, cache, monkeypatch):
    # The real pip, told to ask nobody.
    for variable in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(DatasetError) as error:
        alsnb.load_movielens()
    head, *tried, advice = str(error.value).splitlines()
    assert head == "MovieLens 100k could not be had from any source:"
    labels, reasons = zip(*(line.strip().split(": ", 1) for line in tried), strict=True)
    assert labels == ("cache", "GroupLens", "mirror", "package index")
    assert reasons[0] == f"nothing in {cache.path}"
    assert all("refused" in reason and "Max retries" not in reason for reason in reasons[1:3])
    assert "recbole==1.2.1" in reasons[3]
    for what in (f"{sources.GROUPLENS}ml-100k.zip", "by hand", "ALSNB_DATA", "source="):
        assert what in advice
    assert cache.content() == {}


@pytest.mark.parametrize("answers", [True, False])
def test_log_level_of_the_downloader_is_restored(web, answers):
    logger, level = pooch.get_logger(), pooch.get_logger().level
    if answers:
        web.serve(GROUPLENS_ZIP, web.content)
    logger.setLevel(logging.CRITICAL - 3)
    try:
        if answers:
            alsnb.load_movielens()
        else:
            with pytest.raises(DatasetError):
                alsnb.load_movielens()
        assert logger.level == logging.CRITICAL - 3
    finally:
        logger.setLevel(level)


def test_loading_prints_and_logs_nothing(web, capfd, caplog):
    web.serve(GROUPLENS_ZIP, web.content)
    with caplog.at_level("INFO"):
        alsnb.load_movielens()
    assert (*capfd.readouterr(), caplog.text) == ("", "", "")


def test_large_files_have_a_progress_bar(web, tiny_csv, monkeypatch, capfd):
    path = tiny_csv("25m")
    monkeypatch.setitem(sources.SHA256, path.name, sha256(path))
    web.serve("/grouplens/ml-25m.zip", path.read_bytes())
    assert len(alsnb.load_movielens("25m").ratings) == 4
    out, err = capfd.readouterr()
    assert out == ""
    assert "100%" in err


# The cache


def spoil(cache, content):
    cache.path.mkdir()
    (cache.path / "ml-100k.zip").write_bytes(content)


@pytest.mark.parametrize("content", [b"", b"no zip", "cut short"])
def test_damaged_cache_is_replaced(web, cache, content):
    spoil(cache, web.content[:-9] if content == "cut short" else content)
    web.serve(MIRROR_ZIP, web.content)
    assert len(alsnb.load_movielens().ratings) == 5
    assert cache.content() == {"ml-100k.zip": web.content}


def test_damaged_cache_stays_as_it_was_when_nothing_answers(web, cache):
    spoil(cache, b"damaged")
    with pytest.raises(DatasetError, match=r"cache: .*ml-100k.zip is damaged or altered"):
        alsnb.load_movielens()
    assert cache.content() == {"ml-100k.zip": b"damaged"}


def test_cached_wheel_serves_beside_a_damaged_zip(web, cache, pip, tiny_100k):
    spoil(cache, b"damaged")
    (cache.path / sources.WHEEL).write_bytes(tiny_100k.wheel.read_bytes())
    assert len(alsnb.load_movielens().ratings) == 5
    assert web.requests == []  # and at once, without asking the network
    assert pip.calls == []


def test_cache_folder_is_the_users_unless_told(monkeypatch, tmp_path):
    monkeypatch.setenv("ALSNB_CACHE", str(tmp_path))
    assert sources.cache_folder() == tmp_path
    monkeypatch.setenv("ALSNB_CACHE", os.path.join("~", "there"))
    assert sources.cache_folder() == Path.home() / "there"
    monkeypatch.delenv("ALSNB_CACHE")
    assert sources.cache_folder() == pooch.os_cache("alsnb")


# A copy of one's own


@pytest.mark.parametrize("argument", [True, False])
@pytest.mark.parametrize("copy", ["zip", "folder", "wheel", "wheel_folder", "parent", "holder"])
def test_own_copy(web, cache, tiny_100k, monkeypatch, copy, argument):
    parents = {"parent": tiny_100k.folder.parent, "holder": tiny_100k.zip.parent}
    path = parents.get(copy) or getattr(tiny_100k, copy)
    if argument:  # wins over the variable
        monkeypatch.setenv("ALSNB_DATA", str(path / "nothing"))
        data = alsnb.load_movielens("100k", path)
    else:
        monkeypatch.setenv("ALSNB_DATA", str(path))
        data = alsnb.load_movielens()
    assert data.ratings["user_id"].tolist() == [196, 7, 196, 22, 7]
    assert web.requests == []
    assert cache.content() == {}


def test_own_copy_in_the_home_folder(web, tiny_100k, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tiny_100k.zip.parent))
    monkeypatch.setenv("ALSNB_DATA", os.path.join("~", "ml-100k.zip"))
    assert len(alsnb.load_movielens().ratings) == 5
    assert web.requests == []


def test_own_copy_that_is_not_there(web, tmp_path, monkeypatch):
    web.serve(GROUPLENS_ZIP, web.content)  # never a silent substitute
    monkeypatch.setenv("ALSNB_DATA", str(tmp_path / "nothing"))
    with pytest.raises(DatasetError, match=r"nothing does not exist; ALSNB_DATA or source should"):
        alsnb.load_movielens()
    assert web.requests == []


def test_own_copy_is_checked_unless_trusted(web, tiny_100k):
    with zipfile.ZipFile(tiny_100k.zip, "a") as archive:
        archive.writestr("README", "altered")
    u_data = tiny_100k.folder / "u.data"
    u_data.write_bytes(u_data.read_bytes().replace(b"\t5\t", b"\t1\t"))
    for path in (tiny_100k.zip, tiny_100k.folder):
        with pytest.raises(DatasetError, match="is damaged or altered"):
            alsnb.load_movielens("100k", path)
        assert len(alsnb.load_movielens("100k", path, verify=False).ratings) == 5


def test_folder_without_a_known_table_needs_trust(web, tiny_1m):
    with zipfile.ZipFile(tiny_1m) as archive:
        archive.extractall(tiny_1m.parent / "unpacked")
    folder = tiny_1m.parent / "unpacked" / "ml-1m"
    with pytest.raises(DatasetError, match=r"no known SHA-256 fits folder .*verify=False"):
        alsnb.load_movielens("1m", folder)
    assert len(alsnb.load_movielens("1m", folder, verify=False).ratings) == 3


def rewrite(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"ml-100k/{name}", content)


def flip_bytes_inside(path, member):
    """Damage what is stored of one member: the zip opens, but reading it fails."""
    content = bytearray(path.read_bytes())
    info = zipfile.ZipFile(path).getinfo(member)
    start = info.header_offset + 30 + len(member)
    for k in range(start + 5, start + info.compress_size - 5):
        content[k] ^= 0xFF
    path.write_bytes(content)


def change_a_rating(path, files):
    """Damage that only the checksum inside the zip betrays: the table still reads well."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(f"ml-100k/{name}", content)
    path.write_bytes(path.read_bytes().replace(b"\t5\t", b"\t1\t"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path, _: path.write_bytes(b"not a zip"), "ml-100k.zip is not a readable zip"),
        (lambda path, _: path.write_bytes(path.read_bytes()[:600]), "is not a readable zip"),
        (lambda path, files: rewrite(path, {"a": b"b"}), "ml-100k.zip holds no u.data"),
        (lambda path, files: rewrite(path, {"u.data": files["u.data"]}), "holds no u.item"),
        (
            lambda path, files: rewrite(path, files | {"u.data": b"196 242 3 881250949\n"}),
            "ml-100k.zip is not a readable MovieLens 100k",
        ),
        (lambda path, files: rewrite(path, files | {"u.data": b""}), "not a readable MovieLens"),
        (
            lambda path, files: rewrite(path, files | {"u.data": 2 * files["u.data"]}),
            "is not a readable MovieLens 100k: 5 ratings repeat a",
        ),
        (lambda path, _: flip_bytes_inside(path, "ml-100k/u.data"), "not a readable MovieLens"),
        (change_a_rating, "is not a readable MovieLens 100k: Bad CRC-32"),
        (lambda path, _: flip_bytes_inside(path, "ml-100k/u.item"), "not a readable MovieLens"),
    ],
    ids="no-zip cut-short no-table no-movies format empty twice flipped changed items".split(),
)
def test_own_copy_that_cannot_be_read(cache, tiny_100k, damage, message):
    damage(tiny_100k.zip, tiny_100k.files)
    with pytest.raises(DatasetError, match=message):
        alsnb.load_movielens("100k", tiny_100k.zip, verify=False)


def test_cache_that_is_a_file(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.delenv("ALSNB_DATA", raising=False)
    monkeypatch.setenv("ALSNB_CACHE", str(tmp_path / "file"))
    with pytest.raises(DatasetError, match="is a file; ALSNB_CACHE should name a folder"):
        alsnb.load_movielens("100k")
