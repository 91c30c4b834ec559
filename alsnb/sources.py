"""Where MovieLens comes from: your own copy, the cache, GroupLens, a mirror, a wheel."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
import tempfile
import textwrap
import zipfile
from pathlib import Path
from typing import BinaryIO

import pooch

GROUPLENS = "https://files.grouplens.org/datasets/movielens/"
MIRROR = "https://huggingface.co/datasets/Recommenders/MovieLens/resolve/main/"
WHEEL = "recbole-1.2.1-py3-none-any.whl"  # of a package whose examples include MovieLens 100K
TIMEOUT = 90  # seconds for the package index; a web server has 3 to connect and 10 to go on
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


class DatasetError(ValueError):
    """A data set could not be had from anywhere, or is not what it should be."""


def cache_folder() -> Path:
    """Folder for downloads: $ALSNB_CACHE, or else the user's cache folder."""
    return Path(os.environ.get("ALSNB_CACHE") or pooch.os_cache("alsnb")).expanduser()


def locate(name: str, source: str | os.PathLike | None = None, *, verify: bool = True) -> Path:
    """Path of a verified copy of MovieLens `name`; see `alsnb.load_movielens`."""
    archive, chosen = f"ml-{name}.zip", source or os.environ.get("ALSNB_DATA")
    if chosen:
        return _own_copy(name, Path(chosen).expanduser(), verify)
    sources = {"cache": lambda: _cached([archive, WHEEL] if name == "100k" else [archive])}
    for label, base in (("GroupLens", GROUPLENS), ("mirror", MIRROR)):
        sources[label] = lambda base=base: _download(base + archive, archive)
    if name == "100k":
        sources["package index"] = lambda: _download(WHEEL, WHEEL, _download_wheel)
    if cache_folder().is_file():
        raise DatasetError(f"{cache_folder()} is a file; ALSNB_CACHE should name a folder")
    failures = []
    for label, obtain in sources.items():
        try:
            return obtain()
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            reason = str(error).split("(Caused by ")[-1]  # what stands before it only names the URL
            failures.append(f"  {label}: {textwrap.shorten(reason, 240, placeholder=' …')}")
    raise DatasetError(
        f"MovieLens {name} could not be had from any source:\n" + "\n".join(failures) + "\n"
        f"Download {GROUPLENS}{archive} by hand, then set the environment variable ALSNB_DATA "
        "to the zip or to its folder, or pass it as source=."
    )


def open_file(path: Path, filename: str) -> BinaryIO:
    """Open a file of a data set, whether that is a folder or a zip (a wheel is one)."""
    if path.is_dir():
        if (path / filename).is_file():
            return open(path / filename, "rb")
    else:
        try:
            archive = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise DatasetError(f"{path} is not a readable zip: {error}") from error
        for member in archive.namelist():
            if member.rsplit("/", 1)[-1] == filename:
                return archive.open(member)
        archive.close()
    raise DatasetError(f"{path} holds no {filename}")


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
    downloader = downloader or pooch.HTTPDownloader(timeout=(3, 10), progressbar=large)
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # a log line would end up in a notebook's output
    try:
        options = {"fname": file, "path": cache_folder(), "downloader": downloader}
        return Path(pooch.retrieve(url, SHA256[file], **options))
    finally:
        logger.setLevel(level)


def _download_wheel(url, output_file, _pooch) -> None:
    pip = ["-m", "pip"]
    if importlib.util.find_spec("pip") is None:  # as in uv's environments
        spec, folder = (
            importlib.util.find_spec("ensurepip"),
            sysconfig.get_config_var("WHEEL_PKG_DIR"),
        )
        folders = [Path(spec.origin).parent / "_bundled"] if spec else []
        folders += [Path(folder)] if folder else []  # Debian's own Python keeps it there
        bundled = [wheel for folder in folders for wheel in folder.glob("pip-*.whl")]
        if not bundled:
            raise DatasetError("this Python has no pip")
        pip = [str(bundled[0] / "pip")]
    requirement = "==".join(url.split("-")[:2])
    options = ["--quiet", "--no-input", "--no-deps", "--only-binary=:all:"]
    with tempfile.TemporaryDirectory(dir=Path(output_file).parent) as folder:
        command = [sys.executable, *pip, "download", *options, requirement]
        run = {"cwd": folder, "stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
        result = subprocess.run(command, **run, timeout=TIMEOUT, check=False)
        if result.returncode:
            raise DatasetError(f"pip found no {requirement}: {result.stderr.strip()[-200:]}")
        Path(folder, url).replace(output_file)
