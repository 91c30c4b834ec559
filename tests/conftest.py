"""The real MovieLens 100K, and tiny data sets written in the formats of the real files."""

import os
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import hypothesis
import numpy as np
import pytest
import scipy.sparse as sp
from helpers import snapshot, write_zip
from threadpoolctl import threadpool_info, threadpool_limits

import alsnb
from alsnb.movielens import GENRES, WHEEL

# The same examples in every run, none of them timed.
hypothesis.settings.register_profile(
    "alsnb", deadline=None, derandomize=True, database=None, max_examples=50
)
hypothesis.settings.load_profile("alsnb")

RATINGS_100K = ((196, 267, 3), (7, 1412, 1), (196, 1, 5), (22, 543, 4), (7, 1, 2))
MOVIES_100K = (  # id, title, year and its notes, release date, genres
    (1, "Toy Story", "1995", "01-Jan-1995", "Animation Children's Comedy"),
    (267, "unknown", "", "", "unknown"),
    (543, "Misérables, Les", "1995", "01-Jan-1995", "Drama Musical"),
    (1412, "Land Before Time III: The Time of the Great Giving (1995)", "V", "01-Jan-1995", "War"),
    (1682, '"Scream" of Stone, A', "1991", "08-Mar-1996", "Drama"),  # which nobody has rated
)
USERS_100K = ((7, 57, "M", "administrator", "91344"), (22, 25, "M", "writer", "40206"))
USERS_100K += ((74, 39, "F", "scientist", "T8H1N"), (196, 49, "M", "writer", "05146"))


def lines(rows, separator):
    return "".join(separator.join(map(str, row)) + "\n" for row in rows)


def write_files(folder, files):
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="session")
def movielens():
    """MovieLens 100K itself: the one step of these tests that may need a network."""
    return alsnb.load_movielens("100k")


@pytest.fixture
def tiny_100k(tmp_path):
    """The same few ratings as GroupLens ships them and as the wheel does, packed and unpacked."""
    ratings = [(*row, 881250949 + k) for k, row in enumerate(RATINGS_100K)]
    u_item = []
    for item, title, year, date, genres in MOVIES_100K:
        full = f"{title} ({year})" if year else title
        flags = [int(genre in genres.split()) for genre in GENRES]
        u_item.append((item, full, date, "", "http://example.org/?" if year else "", *flags))
    official = {
        "u.data": lines(ratings, "\t").encode(),
        "u.item": lines(u_item, "|").encode("latin-1"),
        "u.user": lines(USERS_100K, "|").encode(),
    }
    item = [
        (item, title, year, genres) if year else (item, "unkonwn", "unkonwn", genres)
        for item, title, year, _, genres in MOVIES_100K
    ]
    headers = {
        "inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n",
        "item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n",
        "user": "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n",
    }
    rows = {"inter": ratings, "item": item, "user": USERS_100K}
    wheel = {f"ml-100k.{k}": (headers[k] + lines(rows[k], "\t")).encode() for k in rows}
    return SimpleNamespace(
        files=official,
        folder=write_files(tmp_path / "official" / "ml-100k", official),
        zip=write_zip(tmp_path / "ml-100k.zip", "ml-100k/", official),
        wheel_folder=write_files(tmp_path / "from-wheel", wheel),
        wheel=write_zip(tmp_path / WHEEL, "recbole/dataset_example/ml-100k/", wheel),
    )


@pytest.fixture
def tiny_1m(tmp_path):
    """`::` between the fields, Latin-1, and a title with a colon in it."""
    movies = [
        (1, "Toy Story (1995)", "Animation|Children's|Comedy"),
        (260, "Star Wars: Episode IV - A New Hope (1977)", "Action|Sci-Fi"),
        (73, "Misérables, Les (1995)", "Drama|Musical"),
    ]
    ratings = [(1, 260, 4, 978300760), (6040, 73, 5, 956704191), (1, 73, 1, 978302109)]
    users = [(1, "F", 1, 10, "48067"), (6040, "M", 25, 6, "01106-1234")]
    files = {"movies.dat": movies, "ratings.dat": ratings, "users.dat": users}
    files = {name: lines(rows, "::").encode("latin-1") for name, rows in files.items()}
    return write_zip(tmp_path / "ml-1m.zip", "ml-1m/", files)


@pytest.fixture
def tiny_csv(tmp_path):
    """Make the zip of a data set that comes as CSV: quoted titles, half stars, ids with gaps."""
    movies = """movieId,title,genres
1,Toy Story (1995),Adventure|Animation
4,"Misérables, Les (1995)",Drama|War
131072,"She Said ""No"", Twice (2014)",(no genres listed)
209171,"Cosmos, A Series",Documentary
209999,Unrated (2001),Comedy
"""
    ratings = """userId,movieId,rating,timestamp
2,131072,0.5,1147880044
2,1,3.5,1147868817
162541,209171,4.5,1240953372
162541,4,5.0,1240953434
"""
    files = {"movies.csv": movies.encode(), "ratings.csv": ratings.encode(), "tags.csv": b""}
    return lambda name: write_zip(tmp_path / f"ml-{name}.zip", f"ml-{name}/", files)


@pytest.fixture
def toy():
    """Ratings 0 to 5 of 8 users and 7 items: stored zeros, one empty row, one empty column."""
    rng = np.random.default_rng(5)
    mask = rng.random((8, 7)) < 0.6
    mask[3], mask[:, 2] = False, False
    values = rng.integers(0, 6, mask.shape) * mask.astype(float)
    assert (values[mask] == 0).any()
    return SimpleNamespace(
        R=sp.coo_array((values[mask], np.nonzero(mask)), shape=mask.shape).tocsr(),
        mask=mask,
        values=values,
    )


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Empty cache folder of its own; `cache.content()` is what it holds, file by file."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("ALSNB_CACHE", str(folder))
    monkeypatch.delenv("ALSNB_DATA", raising=False)
    return SimpleNamespace(path=folder, content=lambda: snapshot(folder))


@pytest.fixture
def left(monkeypatch):
    """Find what calls have left: threads, processes, folders, open files, BLAS on one thread."""
    me, folders = pytest.importorskip("psutil").Process(), []  # distributed asks for it

    def token_hex(n):
        folders.append(f"{os.getpid()}-{len(folders)}")
        return folders[-1]

    def held():
        files = me.num_fds() if hasattr(me, "num_fds") else me.num_handles()
        threads = {t for t in threading.enumerate() if not t.name.startswith("Thread-")}
        paths = {Path(top, f"alsnb-{f}") for f in folders for top in tops}
        blas = {(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()}
        return threads | blas | {*me.children(), *filter(Path.exists, paths), f"{files} files"}

    tops = "/dev/shm", tempfile.gettempdir()
    monkeypatch.setattr("alsnb.parallel.secrets", SimpleNamespace(token_hex=token_hex))
    with threadpool_limits(2, user_api="blas"):
        before = held()

        def look(anew=False):
            before.update(held() if anew else ())
            return [*(held() - before)]

        yield look
