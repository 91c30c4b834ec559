"""MovieLens: where it comes from (your own copy, the cache, the network), and how it is read."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import tempfile
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pooch

from .ratings import Ratings

GROUPLENS = "https://files.grouplens.org/datasets/movielens/"
MIRROR = "https://huggingface.co/datasets/Recommenders/MovieLens/resolve/main/"
WHEEL = "recbole-1.2.1-py3-none-any.whl"  # of a package whose examples include MovieLens 100K
WEB_TIMEOUT = 3, 10  # seconds to connect, and to wait for the next bytes
TIMEOUT = 90  # seconds for the package index in all
SHA256 = {
    "ml-100k.zip": "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
    "ml-1m.zip": "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
    "ml-25m.zip": "8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa",
    "ml-32m.zip": "e4a68655d7386b8f95f2f2424b2ff975dfdd15ffd59e0d864a14dca43e99d6ee",
    "ml-latest-small.zip": "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
    WHEEL: "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
    "u.data": "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
}
GENRES = (
    "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy "
    "Film-Noir Horror Musical Mystery Romance Sci-Fi Thriller War Western"
).split()
_RATINGS = {"user_id": "int64", "item_id": "int64", "rating": "float64", "timestamp": "int64"}
_MOVIES = {"item_id": "int64", "title": "str", "genres": "str"}
_USERS = {"user_id": "int64", "age": "int64", "gender": "str", "occupation": "str", "zip": "str"}


class DatasetError(ValueError):
    """A data set could not be had from anywhere, or is not what it should be."""


def load_movielens(name: str = "100k", source=None, *, verify: bool = True) -> Ratings:
    """Load a MovieLens data set, downloading it into the cache the first time.

    Parameters
    ----------
    name : {"100k", "1m", "25m", "32m", "latest-small"}
        For another one, unpack it, read it with pandas, and see `Ratings.from_table`.
    source : path, optional
        Your own copy: the zip, its folder unpacked, or a folder that holds either. By default
        $ALSNB_DATA, if that is set; else the cache ($ALSNB_CACHE, or the user's cache folder), then
        the network: GroupLens, a mirror of its zips on Hugging Face and, for 100k, your package
        index, where the package recbole carries the tables. Nothing is used whose SHA-256 is not
        the one that is pinned here.
    verify : bool
        Refuse a copy of your own whose SHA-256 is not the known one; of an unpacked folder, only
        that of 100k is known.

    Returns
    -------
    Ratings
        With `table` (user_id, item_id, rating in stars, timestamp in seconds since 1970, UTC; in
        file order), `item_table` (title with its year, year, genres joined by "|") and
        `user_table` (age in years, in 1m the lowest of a bracket; gender; occupation, in 1m a
        code; zip), or None where the data set has no such table.

    Raises
    ------
    DatasetError
        A ValueError: nothing was found anywhere, or what was found is damaged.

    Examples
    --------
    >>> load_movielens("100k")
    MovieLens 100k: 943 users × 1,682 movies, 100,000 ratings from 1 to 5
    """
    readers = {"100k": _read_100k, "1m": _read_1m}
    readers |= dict.fromkeys(("25m", "32m", "latest-small"), _read_csv)
    if name not in tuple(readers):
        known = ", ".join(readers)
        raise ValueError(f"name must be one of {known}, got {name!r}")
    if not isinstance(source, (str, os.PathLike, type(None))):
        raise TypeError(f"source must be the path of a zip or a folder, got {source!r}")
    path = locate(name, source, verify=verify)
    try:
        table, movies, users = readers[name](path)
        movies["title"] = movies["title"].str.strip().str.replace(r"\s+", " ", regex=True)
        year = movies["title"].str.extract(r".*\((\d{4})\)", expand=False)
        movies.insert(1, "year", pd.to_numeric(year).astype("Int64"))
        about = {"name": f"MovieLens {name}", "item_name": "movie", "unit": "star"}
        about |= {"user_table": users, "item_table": movies}
        return Ratings.from_table(table, timestamp="timestamp", titles=movies["title"], **about)
    except DatasetError:
        raise
    except Exception as error:  # whatever its bytes led to
        raise DatasetError(f"{path} is not a readable MovieLens {name}: {error}") from error


def _read_100k(path):
    try:  # the layout of the wheel
        ratings = _table(path, "ml-100k.inter", _RATINGS, sep="\t", skiprows=1)
    except DatasetError:  # the layout of the zip
        ratings = _table(path, "u.data", _RATINGS, sep="\t")
        columns = {"item_id": "int64", "title": "str", **dict.fromkeys(GENRES, "int8")}
        used = [0, 1, *range(5, 5 + len(GENRES))]
        movies = _table(path, "u.item", columns, sep="|", usecols=used)
        flags = movies[GENRES].to_numpy(bool)
        movies["genres"] = ["|".join(np.array(GENRES)[row]) for row in flags]
        users = _table(path, "u.user", _USERS, sep="|")
    else:
        columns = {"item_id": "int64", "title": "str", "year": "str", "genres": "str"}
        movies = _table(path, "ml-100k.item", columns, sep="\t", skiprows=1)
        titles = movies["title"] + " (" + movies["year"] + ")"
        movies["title"] = titles.replace("unkonwn (unkonwn)", "unknown")  # so spelt there
        movies["genres"] = movies["genres"].str.replace(" ", "|")
        users = _table(path, "ml-100k.user", _USERS, sep="\t", skiprows=1)
    return ratings, movies[list(_MOVIES)].set_index("item_id"), users.set_index("user_id")


def _read_1m(path):
    odd = {"sep": ":", "usecols": [0, 2, 4, 6]}  # "::" as one ":" with empty columns is far faster
    ratings = _table(path, "ratings.dat", _RATINGS, **odd)
    two = {"sep": "::", "engine": "python"}
    movies = _table(path, "movies.dat", _MOVIES, **two).set_index("item_id")
    columns = {key: _USERS[key] for key in ("user_id", "gender", "age", "occupation", "zip")}
    users = _table(path, "users.dat", columns, **two)
    return ratings, movies, users[list(_USERS)].set_index("user_id")


def _read_csv(path):
    ratings = _table(path, "ratings.csv", _RATINGS, skiprows=1)
    movies = _table(path, "movies.csv", _MOVIES, skiprows=1, quoting=csv.QUOTE_MINIMAL)
    return ratings, movies.set_index("item_id"), None


def _table(path, filename: str, columns: dict[str, str], **options) -> pd.DataFrame:
    plain = {"header": None, "quoting": csv.QUOTE_NONE, "keep_default_na": False}
    plain |= {"names": list(columns), "dtype": columns}
    with _open_file(path, filename) as file:
        if "rating" in columns:  # numbers only, and large
            return pd.read_csv(file, **(plain | options))
        content = file.read()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:  # as GroupLens ships the older sets
        text = content.decode("latin-1")
    return pd.read_csv(io.StringIO(text), **(plain | options))


def _open_file(path: Path, filename: str):
    """Open a file of a data set, whether that is a folder or a zip (a wheel is one)."""
    if path.is_dir():
        if (path / filename).is_file():
            return open(path / filename, "rb")
    else:
        try:
            archive = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise DatasetError(f"{path} is not a readable zip: {error}") from error
        for member in archive.infolist():
            if member.filename.rsplit("/", 1)[-1] == filename:
                if member.file_size > 100 * member.compress_size:  # tables shrink to a fifth or so
                    raise DatasetError(f"{path} is a zip bomb: {filename} grows over 100 times")
                return archive.open(member)
    raise DatasetError(f"{path} holds no {filename}")


def cache_folder() -> Path:
    """Folder for downloads: $ALSNB_CACHE, or else the user's cache folder."""
    try:
        return Path(os.environ.get("ALSNB_CACHE") or pooch.os_cache("alsnb")).expanduser()
    except RuntimeError as error:
        raise DatasetError("there is no home folder: set ALSNB_CACHE to a folder") from error


def locate(name: str, source: str | os.PathLike | None = None, *, verify: bool = True) -> Path:
    """Path of a verified copy of MovieLens `name`; see `load_movielens`."""
    archive, chosen = f"ml-{name}.zip", source or os.environ.get("ALSNB_DATA")
    if chosen:
        return _own_copy(name, Path(chosen).expanduser(), verify)
    sources = {"cache": lambda: _cached([archive, WHEEL] if name == "100k" else [archive])}
    for label, base in (("GroupLens", GROUPLENS), ("mirror", MIRROR)):
        sources[label] = lambda base=base: _download(base + archive, archive)
    if name == "100k":
        sources["package index"] = lambda: _download(WHEEL, WHEEL, _download_wheel)
    failures, unwritable = [], False
    for label, obtain in sources.items():
        try:
            return obtain()
        except (OSError, ValueError) as error:
            reason = str(error).split("(Caused by ")[-1]  # what stands before it only names the URL
            # An error of files has a number, one of the network none; nor has pooch's, or pip's.
            unwritable |= isinstance(error, PermissionError) or "No space left" in reason
            unwritable |= getattr(error, "errno", None) is not None
            failures.append(f"  {label}: {textwrap.shorten(reason, 240, placeholder=' …')}")
    remedy = f"{cache_folder()} cannot be written to: set ALSNB_CACHE to a folder that can. Or d"
    raise DatasetError(
        f"MovieLens {name} could not be had from any source:\n" + "\n".join(failures) + "\n"
        f"{remedy if unwritable else 'D'}ownload {GROUPLENS}{archive} by hand, then set the "
        "environment variable ALSNB_DATA to the zip or to its folder, or pass it as source=."
    )


def _check(path: Path, hashes: list[str], remedy: str) -> Path:
    found = pooch.file_hash(str(path), alg="sha256")
    if found not in hashes:
        raise DatasetError(f"{path} is damaged or altered (its SHA-256 is {found}); {remedy}")
    return path


def _own_copy(name: str, path: Path, verify: bool) -> Path:
    inside = [f"ml-{name}.zip", f"ml-{name}"] + [WHEEL] * (name == "100k")
    choices = [*(path / file for file in inside), path]
    path = next((choice for choice in choices if choice.exists()), path)
    if not path.exists():
        raise DatasetError(f"{path} does not exist; ALSNB_DATA or source should be a folder or zip")
    if verify:
        tables = [path / table for table in ("u.data", "ml-100k.inter")]
        file = path if path.is_file() else next((t for t in tables if t.exists()), None)
        if file is None:
            raise DatasetError(f"no known SHA-256 fits folder {path}; to trust it, verify=False")
        names = ["u.data", "ml-100k.inter", WHEEL] if name == "100k" else []
        hashes = [SHA256[known] for known in [f"ml-{name}.zip", *names]]
        _check(file, hashes, "if you altered it yourself, pass verify=False")
    return path


def _cached(files: list[str]) -> Path:
    failure: Exception = FileNotFoundError(f"nothing in {cache_folder()}")
    for file in files:
        if (cache_folder() / file).exists():
            try:
                return _check(cache_folder() / file, [SHA256[file]], "delete it")
            except DatasetError as error:
                failure = error
    raise failure


def _download(url: str, file: str, downloader=None) -> Path:
    large = file in ("ml-25m.zip", "ml-32m.zip")
    downloader = downloader or pooch.HTTPDownloader(timeout=WEB_TIMEOUT, progressbar=large)

    def download(url, output_file, pooch):
        downloader(url, output_file, pooch)
        os.chmod(output_file, 0o644)  # others may read it, where they share a cache

    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # a log line would end up in a notebook's output
    try:
        options = {"fname": file, "path": cache_folder(), "downloader": download}
        return Path(pooch.retrieve(url, SHA256[file], **options))
    finally:
        logger.setLevel(level)


def _download_wheel(url, output_file, _pooch) -> None:
    requirement = "==".join(url.split("-")[:2])
    options = ["--quiet", "--no-input", "--no-deps", "--only-binary=:all:"]
    options += ["--disable-pip-version-check", "--retries=1", "--timeout=5"]  # silence has an end
    with tempfile.TemporaryDirectory(dir=Path(output_file).parent) as folder:
        command = [sys.executable, "-m", "pip", "download", *options, requirement]
        run = {"cwd": folder, "stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
        run["env"] = os.environ | {"TMPDIR": folder}  # pip's own may be too full
        try:
            result = subprocess.run(command, **run, timeout=TIMEOUT, check=False)
        except subprocess.TimeoutExpired as error:  # whose text is the long command
            raise DatasetError(f"pip did not end in {TIMEOUT} seconds") from error
        if result.returncode:
            last_line = result.stderr.strip().rpartition("\n")[2]
            raise DatasetError(f"pip found no {requirement}: {last_line}")
        Path(folder, url).replace(output_file)
