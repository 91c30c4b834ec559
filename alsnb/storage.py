"""Saving a model and loading it: one .npz, without pickle, so that loading can run no code."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import zipfile
from pathlib import Path

import numpy as np

from .foldin import check_model
from .loop import Factorization

FORMAT, VERSION = "alsnb model", 1
_ARRAYS = ("U", "V", "train_errors", "test_errors", "objectives")
_PARTNERS = ("partner_of_U", "partner_of_V")
_SETTINGS = ("lambda_reg", "reg_exponent", "bias_reg", "implicit_weight", "implicit_reg")


class ModelFileError(ValueError):
    """A file is not a saved model, is damaged, or comes from a newer version."""


def save_model(model: Factorization, path) -> Path:
    """Write a model to one file: all of it, or nothing. R and titles are no part of a model.

    The file is completed beside `path` and then put in its place, so that neither an interruption
    nor a full disk can leave half a model, or lose the one that was there.

    Parameters
    ----------
    model : Factorization
    path : str or path-like
        Ends in .npz.

    Returns
    -------
    Path

    Raises
    ------
    TypeError, ValueError
        If it is no model, holds NaN or ∞, or `path` does not end in .npz.
    OSError
        If the folder does not exist, or cannot be written to.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"the name of a model's file ends in .npz, got {str(path)!r}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(path.parent)!r} to save the model in")
    arrays = {name: getattr(check_model(model), name) for name in _ARRAYS}
    arrays |= dict(zip(_PARTNERS, model.partners or (None, None), strict=True))
    arrays = {name: np.asarray(array) for name, array in arrays.items() if array is not None}
    settings = {name: _plain(getattr(model, name)) for name in _SETTINGS}
    _build(dict(arrays), settings)  # or it could not be read
    about = {"format": FORMAT, "version": VERSION, "settings": settings}
    about = json.dumps(about | {"sha256": _digest(arrays, settings)})
    part = path.with_name(f".{secrets.token_hex(8)}.npz.part")
    try:
        with open(part, "xb") as file:
            np.savez(file, about=np.array(about), **arrays)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def load_model(path) -> Factorization:
    """Read a model that `save_model` wrote.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    Factorization
        The same numbers, to the bit.

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    ModelFileError
        If it is something else, is damaged, or was written by a newer version.
    """
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():  # a pipe, say, may never end
        raise ModelFileError(f"{path} is not a model saved by alsnb: it is no regular file")
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                if any(member.compress_type for member in archive.infolist()):
                    raise ValueError("models are not compressed")  # it might be of any size
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                about = json.loads(archive["about"].item())
                if about["format"] != FORMAT:
                    raise ValueError(f"its format is {about['format']!r}")
                if about["version"] != VERSION:
                    raise ValueError(f"its version is {about['version']!r}, this reads {VERSION}")
                arrays = {name: archive[name] for name in archive.files if name != "about"}
                if about["sha256"] != _digest(arrays, about["settings"]):
                    raise ValueError("it is damaged: its SHA-256 is not the one that it was given")
                return _build(arrays, about["settings"])
        except Exception as error:  # whatever its bytes led to
            why = str(error) or type(error).__name__
            raise ModelFileError(f"{path} is not a model saved by alsnb: {why}") from error


def _plain(value):
    """A setting as JSON knows it."""
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _digest(arrays: dict, settings: dict) -> str:
    """SHA-256 of everything that makes the model."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _build(arrays: dict, settings: dict) -> Factorization:
    """A model of what a file holds; ValueError, TypeError or KeyError if it makes none."""
    if sorted(settings) != sorted(_SETTINGS):
        raise ValueError(f"it tells of {', '.join(sorted(settings))}")
    for name, array in arrays.items():
        if name in _ARRAYS[2:] and array.dtype != np.float64:
            raise ValueError(f"{name} is of dtype {array.dtype}")
        if array.ndim != (1 if name in _ARRAYS[2:] else 2) or not np.isfinite(array).all():
            raise ValueError(f"{name} is not a finite array of its dimensions")
    partners = tuple(arrays.pop(name) for name in _PARTNERS if name in arrays)
    settings = {key: tuple(v) if isinstance(v, list) else v for key, v in settings.items()}
    model = Factorization(**{"test_errors": None} | arrays, **settings, partners=partners or None)
    lengths = {len(arrays[name]) for name in _ARRAYS[2:] if name in arrays}
    if len(lengths) > 1 or 0 in lengths:
        raise ValueError("it has not as many errors as objectives")
    return check_model(model)
