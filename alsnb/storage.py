"""Saving a model and loading it: one .npz, without pickle, so that loading can run no code."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from .checks import check_dtype, check_exponent, check_number, check_pair
from .foldin import check_model
from .loop import Factorization

FORMAT, VERSION = "alsnb model", 1
_ARRAYS = ("U", "V", "train_errors", "test_errors", "objectives")
_PARTNERS = ("partner_of_U", "partner_of_V")


class ModelFileError(ValueError):
    """A file is not a saved model, is damaged, or comes from a newer version."""


def save_model(model: Factorization, path) -> Path:
    """Write a model to one file: all of it, or nothing.

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
    arrays = {name: getattr(check_model(model), name) for name in _ARRAYS}
    arrays |= dict(zip(_PARTNERS, model.partners or (None, None), strict=True))
    arrays = {name: array for name, array in arrays.items() if array is not None}
    settings = {f.name: getattr(model, f.name) for f in fields(model) if f.name not in _ARRAYS}
    del settings["partners"]
    about = json.dumps({"format": FORMAT, "version": VERSION, "settings": settings})
    _build(dict(arrays), settings)  # or it could not be read
    with TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        part = Path(folder, "model.npz")
        with open(part, "xb") as file:
            np.savez(file, about=np.array(about), **arrays)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
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
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                if any(member.compress_type for member in archive.infolist()):
                    raise ValueError("it is compressed")  # and might be of any size
            with np.load(file, allow_pickle=False) as archive:
                about = json.loads(str(archive["about"]))
                if about["format"] != FORMAT:
                    raise ValueError(f"its format is {about['format']!r}")
                if about["version"] != VERSION:
                    raise ValueError(f"its version is {about['version']!r}, this reads {VERSION}")
                names = [name for name in (*_ARRAYS, *_PARTNERS) if name in archive.files]
                return _build({name: archive[name] for name in names}, about["settings"])
        except Exception as error:  # whatever its bytes led to
            raise ModelFileError(f"{path} is not a model saved by alsnb: {error}") from error


def _build(arrays: dict, settings: dict) -> Factorization:
    """A model of what a file holds; ValueError, TypeError or KeyError if it makes none."""
    dtype = check_dtype(arrays["U"].dtype)
    for name, array in arrays.items():
        if array.dtype != dtype and array.dtype != np.float64:
            raise ValueError(f"{name} is of dtype {array.dtype}")
        if array.ndim != (1 if name in _ARRAYS[2:] else 2) or not np.isfinite(array).all():
            raise ValueError(f"{name} is not a finite array of its dimensions")
    partners = tuple(arrays.pop(name) for name in _PARTNERS if name in arrays)
    U, V = arrays["U"], arrays["V"]
    settings = {key: tuple(v) if isinstance(v, list) else v for key, v in settings.items()}
    model = Factorization(**{"test_errors": None} | arrays, **settings, partners=partners or None)
    for name in ("lambda_reg", "bias_reg"):
        if getattr(model, name) is not None:
            check_pair(name, getattr(model, name))
    check_exponent(model.reg_exponent)
    check_number("implicit_weight", model.implicit_weight, positive=False)
    check_number("implicit_reg", model.implicit_reg)
    f, bias = model.columns.f, model.bias_reg is not None
    if U.dtype != V.dtype or U.shape[1] != V.shape[1] or f < 1 or not len(U) * len(V):
        raise ValueError(f"U and V do not fit: {U.dtype} {U.shape} and {V.dtype} {V.shape}")
    if not len(model.train_errors) == len(model.objectives) > 0:
        raise ValueError("it has not as many objectives as train errors")
    if partners and [p.shape for p in partners] != [(len(V), f), (len(U), f)]:
        raise ValueError("the partners do not fit U and V")
    if bool(partners) != (model.implicit_weight > 0):
        raise ValueError("it has partners but no weight for them, or the reverse")
    if (bias and not (U[:, f + 1] == 1).all()) or (bias and not (V[:, [f, f + 2]] == 1).all()):
        raise ValueError("pinned columns are not 1")
    return model
