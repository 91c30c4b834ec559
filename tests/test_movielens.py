"""MovieLens: its formats, where it comes from, and what is left behind when it does not come."""

import errno
import hashlib
import logging
import os
import socket
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pooch
import pytest

import alsnb
from alsnb import DatasetError
from alsnb import movielens as module

# The real data


def test_movielens_100k_is_what_it_should_be(movielens):
    assert movielens.R.shape == (943, 1682)
    assert movielens.R.nnz == len(movielens.table) == 100_000
    assert movielens.table.iloc[0].tolist() == [196, 242, 3, 881250949]
    assert movielens.titles[0] == "Toy Story (1995)"
    assert movielens.titles.shape == (len(movielens.item_table),) == (1682,)
    assert len(movielens.user_table) == 943
    assert movielens.R.data.mean() == pytest.approx(3.52986)
    assert repr(movielens) == (
        "MovieLens 100k: 943 users × 1,682 movies, 100,000 ratings from 1 to 5"
    )
    assert movielens.unit == "star"
    star_wars = movielens.item("Star Wars (1977)")
    assert (movielens.item_ids[star_wars], movielens.item(50)) == (50, star_wars)
    assert alsnb.count_ratings(movielens)[1][star_wars] == 583
    expected = movielens.table.sort_values(["user_id", "item_id"], ignore_index=True)
    table = movielens.to_table(movielens.R)
    pd.testing.assert_frame_equal(table, expected.drop(columns="timestamp"))


def test_movielens_100k_can_be_written_back_to_the_byte(movielens):
    rows = movielens.table.itertuples(index=False)
    text = "".join(f"{user}\t{item}\t{rating:.0f}\t{time}\n" for user, item, rating, time in rows)
    assert hashlib.sha256(text.encode()).hexdigest() == module.SHA256["u.data"]


# The formats


def test_zip_and_wheel_give_equal_data(tiny_100k):
    copies = [
        alsnb.load_movielens("100k", source, verify=False)
        for source in (tiny_100k.zip, tiny_100k.folder, tiny_100k.wheel_folder, tiny_100k.wheel)
    ]
    for copy in copies[1:]:
        for frame in ("table", "item_table", "user_table"):
            pd.testing.assert_frame_equal(getattr(copy, frame), getattr(copies[0], frame))
        for array in ("user_ids", "item_ids", "titles"):
            np.testing.assert_array_equal(getattr(copy, array), getattr(copies[0], array))
        assert (copy.R != copies[0].R).nnz == 0


def test_100k(tiny_100k):
    data = alsnb.load_movielens("100k", tiny_100k.zip, verify=False)
    assert data.table["user_id"].tolist() == [196, 7, 196, 22, 7]  # in file order
    assert data.table["timestamp"].tolist() == list(range(881250949, 881250954))
    assert data.item_table.fillna({"year": 0}).reset_index().to_numpy().tolist() == [
        [1, "Toy Story (1995)", 1995, "Animation|Children's|Comedy"],
        [267, "unknown", 0, "unknown"],
        [543, "Misérables, Les (1995)", 1995, "Drama|Musical"],
        [1412, "Land Before Time III: The Time of the Great Giving (1995) (V)", 1995, "War"],
    ]  # but not what nobody has rated
    assert data.user_table.loc[196].tolist() == [49, "M", "writer", "05146"]  # a zip is no number
    assert data.user_table.index.tolist() == [7, 22, 196]
    assert data.user_ids.tolist() == [7, 22, 196]  # 74 has rated nothing
    assert data.item_ids.tolist() == [1, 267, 543, 1412]
    assert data.titles.tolist() == data.item_table["title"].loc[data.item_ids].tolist()
    assert data.R.toarray().tolist() == [[2, 0, 0, 1], [0, 0, 4, 0], [5, 3, 0, 0]]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_files_that_an_editor_has_saved_again(tiny_100k, encoding, end):
    expected = alsnb.load_movielens("100k", tiny_100k.zip, verify=False)
    for name, content in tiny_100k.files.items():
        text = content.decode("latin-1").replace("\n", end)
        (tiny_100k.folder / name).write_bytes(text.encode(encoding))
    saved = alsnb.load_movielens("100k", tiny_100k.folder, verify=False)
    assert "Misérables, Les (1995)" in saved.titles
    for frame in ("table", "item_table", "user_table"):
        pd.testing.assert_frame_equal(getattr(saved, frame), getattr(expected, frame))


def test_1m(tiny_1m):
    data = alsnb.load_movielens("1m", tiny_1m, verify=False)
    rows = [[1, 260, 4, 978300760], [6040, 73, 5, 956704191], [1, 73, 1, 978302109]]
    assert data.table.to_numpy().tolist() == rows
    titles = ["Misérables, Les (1995)", "Star Wars: Episode IV - A New Hope (1977)"]
    assert data.item_table["title"].tolist() == titles
    assert data.item_table["year"].tolist() == [1995, 1977]
    assert data.user_table.reset_index().to_numpy().tolist() == [
        [1, 1, "F", "10", "48067"],
        [6040, 25, "M", "6", "01106-1234"],
    ]
    assert data.titles.tolist() == titles
    assert data.R.toarray().tolist() == [[1, 4], [5, 0]]


@pytest.mark.parametrize("name", ["25m", "32m", "latest-small"])
def test_csv(tiny_csv, name):
    data = alsnb.load_movielens(name, tiny_csv(name), verify=False)
    assert data.user_table is None
    assert data.table["rating"].tolist() == [0.5, 3.5, 4.5, 5.0]
    assert data.scale == (0.5, 5)
    assert data.item_table["title"].to_dict() == {
        1: "Toy Story (1995)",
        4: "Misérables, Les (1995)",
        131072: 'She Said "No", Twice (2014)',
        209171: "Cosmos, A Series",
    }
    assert data.item_table["year"].fillna(0).tolist() == [1995, 1995, 2014, 0]
    assert data.item_table["genres"].loc[131072] == "(no genres listed)"
    assert data.user_ids.tolist() == [2, 162541]
    assert data.item_ids.tolist() == [1, 4, 131072, 209171]
    assert data.R.toarray().tolist() == [[3.5, 0, 0.5, 0], [0, 5.0, 0, 4.5]]


def test_ids_and_times_beyond_32_bits(tmp_path):
    rows = "5000000000,3000000000,4.0,4102444800\n1,2,3.5,1\n"
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + rows)
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n3000000000,Late,\n2,Early,\n")
    data = alsnb.load_movielens("25m", tmp_path, verify=False)
    assert data.user_ids.tolist() == [1, 5_000_000_000]
    assert data.item_ids.tolist() == [2, 3_000_000_000]
    assert data.titles.tolist() == ["Early", "Late"]
    assert data.table["timestamp"].tolist() == [4_102_444_800, 1]


@pytest.mark.parametrize("name", ["100K", "", "20m", None, ["100k"]])
def test_unknown_name_is_answered_by_the_known_ones(name):
    with pytest.raises(ValueError, match=r"there is no MovieLens .*100k, 1m, 25m, 32m, latest-sm"):
        alsnb.load_movielens(name)


# Where it comes from


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
        self.wheel, self.error, self.calls = None, None, []

    def __call__(self, command, *, cwd, **options):
        self.calls.append(SimpleNamespace(command=command, **options))
        if self.error is not None:
            raise self.error
        if self.wheel is None:
            return SimpleNamespace(returncode=1, stderr="ERROR: No matching distribution found")
        Path(cwd, module.WHEEL).write_bytes(self.wheel)
        return SimpleNamespace(returncode=0, stderr="")


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


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
    monkeypatch.setattr(module, "GROUPLENS", f"{address}/grouplens/")
    monkeypatch.setattr(module, "MIRROR", f"{address}/mirror/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    known = {"ml-100k.zip": tiny_100k.zip, module.WHEEL: tiny_100k.wheel}
    known |= {"u.data": tiny_100k.folder / "u.data"}
    known |= {"ml-100k.inter": tiny_100k.wheel_folder / "ml-100k.inter"}
    for name, path in known.items():
        monkeypatch.setitem(module.SHA256, name, sha256(path))

    def serve(page, body, length=None):
        server.pages[page] = (body, len(body) if length is None else length)

    yield SimpleNamespace(serve=serve, requests=server.requests, content=tiny_100k.zip.read_bytes())
    server.shutdown()
    thread.join()
    server.server_close()


GROUPLENS_ZIP, MIRROR_ZIP = "/grouplens/ml-100k.zip", "/mirror/ml-100k.zip"


def test_first_source_that_answers_wins_and_the_cache_serves_from_then_on(
    web, cache, pip, capfd, caplog, monkeypatch
):
    web.serve(GROUPLENS_ZIP, web.content)
    web.serve(MIRROR_ZIP, web.content)
    logger = pooch.get_logger()
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    monkeypatch.setattr(logger, "level", logging.INFO)
    first, second = alsnb.load_movielens(), alsnb.load_movielens()
    assert web.requests == [GROUPLENS_ZIP]
    assert cache.content() == {"ml-100k.zip": web.content}
    assert pip.calls == []
    assert second.table.equals(first.table)
    assert len(second.table) == 5
    assert (*capfd.readouterr(), caplog.text, logger.level) == ("", "", "", logging.INFO)


@pytest.mark.parametrize("first", ["404", "wrong file", "cut short"])
def test_second_source_answers_when_the_first_fails(web, cache, first):
    if first == "wrong file":
        web.serve(GROUPLENS_ZIP, web.content + b" ")
    if first == "cut short":
        web.serve(GROUPLENS_ZIP, web.content[:500], length=len(web.content))
    web.serve(MIRROR_ZIP, web.content)
    assert len(alsnb.load_movielens().table) == 5
    assert web.requests == [GROUPLENS_ZIP, MIRROR_ZIP]
    assert cache.content() == {"ml-100k.zip": web.content}


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
    assert cache.content() == {module.WHEEL: pip.wheel}
    (call,) = pip.calls
    assert call.command[:4] == [sys.executable, "-m", "pip", "download"]
    assert call.command[-1] == "recbole==1.2.1"
    assert {"--no-deps", "--only-binary=:all:", "--no-input"} <= set(call.command)
    assert call.stdin == subprocess.DEVNULL  # or it would swallow what a notebook's user types
    assert call.timeout == module.TIMEOUT
    alsnb.load_movielens()
    assert (len(pip.calls), len(web.requests)) == (1, 2)


def test_nothing_is_kept_of_what_is_wrong(web, cache, pip, tiny_100k):
    web.serve(GROUPLENS_ZIP, web.content[:500], length=100_000)
    web.serve(MIRROR_ZIP, web.content[:500])
    pip.wheel = tiny_100k.wheel.read_bytes() + b" "
    with pytest.raises(DatasetError, match="package index: SHA256 hash of downloaded") as error:
        alsnb.load_movielens()
    assert "ALSNB_CACHE" not in str(error.value)  # which is not to blame
    with pytest.raises(DatasetError, match="MovieLens 1m could not be had from any source"):
        alsnb.load_movielens("1m")
    ml_1m = ["/grouplens/ml-1m.zip", "/mirror/ml-1m.zip"]
    assert web.requests == [GROUPLENS_ZIP, MIRROR_ZIP, *ml_1m]
    assert len(pip.calls) == 1  # only 100k is looked for in the package index
    assert cache.content() == {}


@pytest.mark.parametrize(
    "error",
    [subprocess.TimeoutExpired("pip", 120), subprocess.SubprocessError("a story\n" * 99)],
    ids=type,
)
def test_pip_that_hangs_or_cannot_run_is_one_line_of_the_error(web, cache, pip, error):
    pip.error = error
    with pytest.raises(DatasetError) as caught:
        alsnb.load_movielens()
    lines = str(caught.value).splitlines()
    assert len(lines) == 6  # head, four sources, advice
    assert str(error)[:7] in lines[4]
    assert len(lines[4]) < 330
    assert cache.content() == {}


def test_no_network_at_all(cache, monkeypatch):
    # The real pip, told to ask nobody, and a port that is taken, but nobody listens.
    for variable in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as taken, pytest.raises(DatasetError) as error:
        taken.bind(("127.0.0.1", 0))
        for name in ("GROUPLENS", "MIRROR"):
            monkeypatch.setattr(module, name, f"http://127.0.0.1:{taken.getsockname()[1]}/{name}/")
        alsnb.load_movielens()
    head, *tried, advice = str(error.value).splitlines()
    assert head == "MovieLens 100k could not be had from any source:"
    labels, reasons = zip(*(line.strip().split(": ", 1) for line in tried), strict=True)
    assert labels == ("cache", "GroupLens", "mirror", "package index")
    assert reasons[0] == f"nothing in {cache.path}"
    assert all("refused" in reason and "Max retries" not in reason for reason in reasons[1:3])
    assert "recbole==1.2.1" in reasons[3]
    for what in (f"{module.GROUPLENS}ml-100k.zip", "by hand", "ALSNB_DATA", "source="):
        assert what in advice
    assert cache.content() == {}


# The cache


@pytest.mark.parametrize("size", [0, 7, -9])
def test_damaged_cache_is_replaced_if_anything_answers(web, cache, size):
    cache.path.mkdir()
    (cache.path / "ml-100k.zip").write_bytes(web.content[:size])
    with pytest.raises(DatasetError, match=r"cache: .*ml-100k.zip is damaged or altered"):
        alsnb.load_movielens()
    assert cache.content() == {"ml-100k.zip": web.content[:size]}
    web.serve(MIRROR_ZIP, web.content)
    assert len(alsnb.load_movielens().table) == 5
    assert cache.content() == {"ml-100k.zip": web.content}


def test_cached_wheel_serves_beside_a_damaged_zip(web, cache, pip, tiny_100k):
    cache.path.mkdir()
    (cache.path / "ml-100k.zip").write_bytes(b"damaged")
    (cache.path / module.WHEEL).write_bytes(tiny_100k.wheel.read_bytes())
    assert len(alsnb.load_movielens().table) == 5
    assert web.requests == pip.calls == []  # and at once, without asking the network


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS], ids=errno.errorcode.get)
def test_cache_that_cannot_be_written_to_is_named(web, cache, monkeypatch, code):
    def refuse(path, *args, **options):
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(os, "makedirs", refuse)
    with pytest.raises(DatasetError) as error:
        alsnb.load_movielens()
    remedy = f"{cache.path} cannot be written to: set ALSNB_CACHE to a folder that can"
    assert remedy in str(error.value)
    assert web.requests == []


def test_cache_that_is_a_file(cache):
    cache.path.touch()
    with pytest.raises(DatasetError, match="is a file; ALSNB_CACHE should name a folder"):
        alsnb.load_movielens("100k")


# Your own copy


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
    assert data.table["user_id"].tolist() == [196, 7, 196, 22, 7]
    assert web.requests == []
    assert cache.content() == {}


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
        assert len(alsnb.load_movielens("100k", path, verify=False).table) == 5


def test_folder_without_a_known_table_needs_trust(tiny_1m):
    with zipfile.ZipFile(tiny_1m) as archive:
        archive.extractall(tiny_1m.parent)
    folder = tiny_1m.parent / "ml-1m"
    with pytest.raises(DatasetError, match=r"no known SHA-256 fits folder .*verify=False"):
        alsnb.load_movielens("1m", folder)
    assert len(alsnb.load_movielens("1m", folder, verify=False).table) == 3


def rewrite(path, files, how=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in files.items():
            archive.writestr(f"ml-100k/{name}", content)


def flip_bytes(path, files):
    """Damage what is stored of a table: the zip opens, but reading it fails."""
    content = bytearray(path.read_bytes())
    info = zipfile.ZipFile(path).getinfo("ml-100k/u.item")
    start = info.header_offset + 30 + len(info.filename)
    for k in range(start + 5, start + info.compress_size - 5):
        content[k] ^= 0xFF
    path.write_bytes(content)


def change_a_rating(path, files):
    """Damage that only the checksum inside the zip betrays: the table still reads well."""
    rewrite(path, files, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"\t5\t", b"\t1\t"))


UNREADABLE = "ml-100k.zip is not a readable MovieLens 100k"
DAMAGES = {
    "cut": (lambda path, _: path.write_bytes(path.read_bytes()[:600]), "is not a readable zip"),
    "no table": (lambda path, _: rewrite(path, {"a": b"b"}), "ml-100k.zip holds no u.data"),
    "flipped": (flip_bytes, UNREADABLE),
    "changed": (change_a_rating, f"{UNREADABLE}: Bad CRC-32"),
}
TABLES = {b"": UNREADABLE, b"196 242 3 881250949\n": UNREADABLE}
TABLES |= {b"1\t2\t3\t4\n1\t2\t3\t5\n": f"{UNREADABLE}: 1 ratings repeat a"}


@pytest.mark.parametrize("damage", DAMAGES)
def test_own_copy_that_is_damaged(tiny_100k, damage):
    spoil, message = DAMAGES[damage]
    spoil(tiny_100k.zip, tiny_100k.files)
    with pytest.raises(DatasetError, match=message):
        alsnb.load_movielens("100k", tiny_100k.zip, verify=False)


@pytest.mark.parametrize("content", TABLES, ids="empty format twice".split())
def test_own_copy_that_holds_another_table(tiny_100k, content):
    (tiny_100k.folder / "u.data").write_bytes(content)
    with pytest.raises(DatasetError, match=TABLES[content].replace(".zip", "")):
        alsnb.load_movielens("100k", tiny_100k.folder, verify=False)
