"""Saved models come back to the bit, and nothing else that may lie in a file is taken for one."""

import json
import os
import pickle
import stat
import sys
import zipfile
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from conftest import snapshot
from hypothesis import given
from hypothesis import strategies as st
from test_foldin import VARIANTS, R, every, fit, fitted, random_ratings, sparse, untouched

import alsnb
from alsnb import ModelFileError
from alsnb.storage import _digest


def contents(model):
    """Every field of a model, arrays as dtype, shape and bytes."""

    def plain(value):
        if isinstance(value, tuple) and isinstance(value[0], np.ndarray):
            return [plain(one) for one in value]
        if isinstance(value, np.ndarray):
            return value.dtype, value.shape, value.tobytes()
        return type(value), value

    return {field.name: plain(getattr(model, field.name)) for field in fields(model)}


def assert_back(model, path):
    with untouched(model):
        assert alsnb.save_model(model, path) == Path(path)
        loaded = alsnb.load_model(path)
    assert contents(loaded) == contents(model)
    return loaded


# There and back


@every
@pytest.mark.parametrize("dtype", [float, np.float32])
def test_every_model_comes_back(tmp_path, variant, dtype):
    model = fitted(variant, dtype)
    for one in (model, replace(model, test_errors=None)):
        loaded = assert_back(one, tmp_path / "model.npz")
        for which in (alsnb.fold_in_users, alsnb.fold_in_items):
            assert which(R, loaded).tobytes() == which(R, model).tobytes()
        assert alsnb.fold_in_user([0, 2], [1, 5], loaded).tobytes() == (
            alsnb.fold_in_user([0, 2], [1, 5], model).tobytes()
        )
        _, A = alsnb.append_items(R[:, [0, 1]], R, loaded)
        assert A.shape == (9, 10)
        assert repr(loaded) == repr(model)


@every
def test_grown_and_changed_models_come_back(tmp_path, variant):
    model, A = fitted(variant), R
    model, A = alsnb.append_users(R[:3], A, model)
    model, A = alsnb.append_items(A[:, [1, 2]], A, model)
    U, A = alsnb.add_rating_optimized(10, [9, 0], [1, 5], A, model)
    loaded = assert_back(replace(model, U=U), tmp_path / "grown.npz")
    assert (len(loaded.U), len(loaded.V)) == A.shape


def test_other_fits_come_back(tmp_path):
    stopped = fit(R, {}, n_iterations=50, tol=1e-2)
    assert len(stopped.train_errors) < 50
    gradient = alsnb.gradient_descent(
        R, 3, 0.1, n_iterations=3, learning_rate=0.01, verbose=False, rng=0
    )
    one_by_one = alsnb.als_matrix_factorization(R, 1, 2, 1, verbose=False, bias=True)
    for model in (stopped, gradient, one_by_one):
        assert_back(model, tmp_path / "model.npz")
    listed = replace(stopped, lambda_reg=[0.5, 0.6], U=np.asfortranarray(stopped.U))
    loaded = alsnb.load_model(alsnb.save_model(listed, tmp_path / "model.npz"))
    assert loaded.lambda_reg == (0.5, 0.6)
    assert (loaded.U == stopped.U).all()


# Saving


@cache
def model():
    return fitted("everything")


def test_path_and_suffix(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("a.npz", tmp_path / "b.npz", "name with spaces, é and .zip.npz"):
        assert isinstance(alsnb.save_model(model(), path), Path)
        assert contents(alsnb.load_model(path)) == contents(model())
    names = sorted(snapshot(tmp_path))
    assert names == ["a.npz", "b.npz", "name with spaces, é and .zip.npz"]
    for path in ("model", "model.zip", "model.npz.gz", ".npz", "model.NPZ", tmp_path):
        with pytest.raises(ValueError, match=r"the name of a model's file ends in \.npz, got '"):
            alsnb.save_model(model(), path)
    with pytest.raises(FileNotFoundError, match=r"there is no folder '.*nowhere' to save"):
        alsnb.save_model(model(), tmp_path / "nowhere" / "model.npz")
    with pytest.raises(TypeError):
        alsnb.save_model(model(), None)
    assert sorted(snapshot(tmp_path)) == names


@pytest.mark.skipif(sys.platform == "win32", reason="no permissions of this kind")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_are_those_of_any_new_file(tmp_path, umask):
    before = os.umask(umask)
    try:
        alsnb.save_model(model(), tmp_path / "model.npz")
        (tmp_path / "other").write_text("")
    finally:
        os.umask(before)
    saved, other = ((tmp_path / name).stat().st_mode for name in ("model.npz", "other"))
    assert stat.filemode(saved) == stat.filemode(other)


def full_disk(file, *_, **__):
    if hasattr(file, "write"):
        file.write(b"PK" * 1000)
    raise OSError(28, "No space left on device")


def interruption(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize(
    ("fault", "error"), [(full_disk, OSError), (interruption, KeyboardInterrupt)]
)
@pytest.mark.parametrize("name", ["numpy.savez", "os.fsync", "pathlib.Path.replace"])
def test_what_was_there_stays_if_saving_fails(tmp_path, name, fault, error, old):
    path, others = tmp_path / "model.npz", {"other.txt": b"mine"}
    (tmp_path / "other.txt").write_bytes(b"mine")
    if old:
        alsnb.save_model(fitted("plain"), path)
        others |= {"model.npz": path.read_bytes()}
    with pytest.MonkeyPatch.context() as patch, pytest.raises(error):
        patch.setattr(name, fault)
        alsnb.save_model(model(), path)
    assert snapshot(tmp_path) == others
    assert sorted(os.listdir(tmp_path)) == sorted(others)  # not even an empty folder
    alsnb.save_model(model(), path)
    assert contents(alsnb.load_model(path)) == contents(model())
    assert sorted(os.listdir(tmp_path)) == ["model.npz", "other.txt"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "model.npz")
    for path in (tmp_path / "model.npz", os.devnull):
        with pytest.raises(alsnb.ModelFileError, match="it is no regular file"):
            alsnb.load_model(path)


def test_the_longest_name_that_a_file_may_have(tmp_path):
    path = tmp_path / ("x" * 251 + ".npz")
    alsnb.save_model(model(), path)
    assert contents(alsnb.load_model(path)) == contents(model())


def test_settings_may_be_numbers_of_numpy(tmp_path):
    given = {"lambda_reg": np.array([0.5, 0.25]), "bias_reg": None, "reg_exponent": np.int64(1)}
    mine = replace(fitted("plain"), **given)
    loaded = alsnb.load_model(alsnb.save_model(mine, tmp_path / "model.npz"))
    assert (loaded.lambda_reg, loaded.reg_exponent) == ((0.5, 0.25), 1)


def changed(name, value):
    array = getattr(model(), name).copy()
    array[(2,) * array.ndim] = value
    return replace(model(), **{name: array})


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: changed("U", np.nan), ValueError, "U is not a finite array"),
        (lambda: changed("V", np.inf), ValueError, "V is not a finite array"),
        (lambda: changed("train_errors", np.nan), ValueError, "train_errors is not a finite array"),
        (lambda: changed("test_errors", np.nan), ValueError, "test_errors is not a finite array"),
        (lambda: changed("objectives", -np.inf), ValueError, "objectives is not a finite array"),
        (
            lambda: replace(model(), partners=(model().partners[0] * np.nan, model().partners[1])),
            ValueError,
            "partner_of_U is not a finite array",
        ),
        (lambda: replace(model(), partners=None), ValueError, "partners but no weight"),
        (lambda: replace(model(), V=model().V[1:]), ValueError, "the model's partners do not fit"),
        (lambda: replace(model(), lambda_reg=np.nan), ValueError, "lambda_reg must be finite"),
        (lambda: replace(model(), lambda_reg=None), TypeError, ""),
        (lambda: replace(fitted("plain"), lambda_reg=None), (TypeError, ValueError), "lambda_reg"),
        (lambda: replace(model(), reg_exponent=-1), ValueError, "reg_exponent must be finite"),
        (lambda: replace(model(), bias_reg=None), ValueError, "the model's partners do not fit"),
        (lambda: (model().U, model().V), TypeError, "model must be a Factorization"),
        (lambda: R, TypeError, "model must be a Factorization, as a fit returns it, got csr_array"),
        (lambda: None, TypeError, "model must be a Factorization"),
        (lambda: alsnb.Factorization, TypeError, "model must be a Factorization"),
    ],
)
def test_what_could_not_be_loaded_is_not_saved(tmp_path, make, error, message):
    alsnb.save_model(fitted("plain"), tmp_path / "model.npz")
    before = snapshot(tmp_path)
    with pytest.raises(error) as caught:
        alsnb.save_model(make(), tmp_path / "model.npz")
    assert message in str(caught.value)
    assert snapshot(tmp_path) == before


# Loading what is something else, or damaged


def refused(path, message=""):
    with pytest.raises(ModelFileError) as caught:
        alsnb.load_model(path)
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).startswith(f"{path} is not a model saved by alsnb: ")
    assert message in str(caught.value)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


class Bomb:
    """Unpickling this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_no_file_or_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.npz"):
        alsnb.load_model(tmp_path / "nothing.npz")
    with pytest.raises(OSError):
        alsnb.load_model(tmp_path)
    with pytest.raises(TypeError):
        alsnb.load_model(None)


def test_other_files(path):
    for content in (b"", b"PK", b"U,V\n1,2\n", bytes(10**4), os.urandom(1000), b"\x93NUMPY\x01"):
        path.write_bytes(content)
        refused(path)
        refused(str(path))
    with open(path, "wb") as file:
        np.save(file, np.ones((3, 3)))
    refused(path)
    np.savez(path, U=np.ones((2, 2)), V=np.ones((2, 2)))
    refused(path, "about")
    np.savez(path, np.ones(3))
    refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("about.npy", "text")
        archive.writestr("about", "text")
    refused(path)
    with zipfile.ZipFile(path, "w"):
        pass
    refused(path)


def test_loading_runs_no_code(path, tmp_path):
    bomb = Bomb(tmp_path / "boom")
    path.write_bytes(pickle.dumps(bomb))
    refused(path)
    with open(path, "wb") as file:
        np.save(file, np.array([bomb], dtype=object), allow_pickle=True)
    refused(path)
    for name in ("about", "U", "train_errors", "partner_of_V"):
        held = held_by(alsnb.save_model(model(), path))
        np.savez(path, **held | {name: np.array([bomb], dtype=object)})
        refused(path, "Object arrays cannot be loaded when allow_pickle=False")
    assert not (tmp_path / "boom").exists()
    pickle.loads(pickle.dumps(bomb))
    assert (tmp_path / "boom").exists()  # and a bomb it was


def large():
    """A model of so many rows that reading an array takes more than one piece of its file."""
    return fit(sparse(*random_ratings(3, (400, 300), 0.02)), {}, 8, 1, R_test=None)


SOME = {
    "partners": model,
    "biases": lambda: fitted("biases"),
    "without test errors": lambda: replace(fitted("plain"), test_errors=None),
    "large": large,
}


@cache
def saved(name):
    """A model and the bytes of its file."""
    model = SOME[name]()
    with TemporaryDirectory() as folder:
        return model, alsnb.save_model(model, Path(folder, "model.npz")).read_bytes()


@pytest.fixture(scope="module")
def scratch_file(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged") / "model.npz"


@pytest.mark.parametrize("name", SOME)
def test_cut_anywhere(scratch_file, name):
    _, content = saved(name)
    lengths = {*range(0, len(content), max(1, len(content) // 100))}
    lengths |= {*range(64), *range(len(content) - 400, len(content), 3), len(content) - 1}
    for length in sorted(lengths):
        scratch_file.write_bytes(content[:length])
        refused(scratch_file)
    scratch_file.write_bytes(content)
    alsnb.load_model(scratch_file)


def assert_refused_or_equal(path, content, expected):
    path.write_bytes(content)
    try:
        loaded = alsnb.load_model(path)
    except ModelFileError as error:
        assert str(path) in str(error)
    else:
        assert contents(loaded) == expected


@pytest.mark.parametrize("name", SOME)
def test_one_byte_changed_where_files_describe_themselves(scratch_file, name):
    """The headers of the archive and of its arrays, byte by byte."""
    model, content = saved(name)
    scratch_file.write_bytes(content)
    with zipfile.ZipFile(scratch_file) as archive:
        starts = [member.header_offset for member in archive.infolist()]
        places = {place + k for place in starts for k in range(0, 200)}
        places |= {*range(archive.start_dir, len(content))}
    rng, expected = np.random.default_rng(0), contents(model)
    places = sorted(place for place in places if place < len(content))
    for place in places[:: 1 + len(places) // 400]:
        damaged = bytearray(content)
        damaged[place] ^= rng.choice([1, 2, 4, 8, 64])
        assert_refused_or_equal(scratch_file, damaged, expected)


@given(st.sampled_from(list(SOME)), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_one_byte_changed_anywhere(scratch_file, name, place, change):
    model, content = saved(name)
    damaged = bytearray(content)
    damaged[int(place * len(content))] ^= change
    assert_refused_or_equal(scratch_file, damaged, contents(model))


@pytest.mark.parametrize("name", ["U", "V", "train_errors", "test_errors", "partner_of_U"])
def test_an_array_that_claims_to_be_shorter(scratch_file, name):
    """Its bytes are all there, but fewer of them would be read."""
    long = dict.fromkeys(("train_errors", "test_errors", "objectives"), np.ones(900))
    model = replace(large(), **long)
    if name == "partner_of_U":
        model = replace(model, partners=(model.V, model.U), implicit_weight=1.0)
    content = alsnb.save_model(model, scratch_file).read_bytes()
    with zipfile.ZipFile(scratch_file) as archive:
        start = archive.getinfo(f"{name}.npy").header_offset
    place = content.index(b"'shape': (", start) + len("'shape': (")
    assert content[place : place + 3] in (b"400", b"300", b"900")
    scratch_file.write_bytes(content[:place] + b"2" + content[place + 1 :])
    refused(scratch_file)


def held_by(path):
    with np.load(path) as archive:
        return dict(archive)


def crafted(path, model, settings=None, about=None, drop=None, **arrays):
    """A file as `save_model` writes it, digest included, but for some of what it holds."""
    held = held_by(alsnb.save_model(model, path))
    told = json.loads(str(held["about"])) | (about or {})
    told["settings"] |= settings or {}
    for part in (told["settings"], told):
        part.pop(drop, None)
    held |= arrays
    held.pop(drop, None)
    if "about" in held and "settings" in told and not (about or {}).get("sha256"):
        rest = {name: array for name, array in held.items() if name != "about"}
        told["sha256"] = _digest(rest, told["settings"])
    if "about" in held:
        held["about"] = np.array(json.dumps(told))
    np.savez(path, **held)
    return path


def test_crafted_files_are_read_if_nothing_is_changed(path):
    """Or what follows would prove nothing."""
    for variant in VARIANTS:
        loaded = alsnb.load_model(crafted(path, fitted(variant)))
        assert contents(loaded) == contents(fitted(variant))


def test_another_digest(path):
    refused(crafted(path, model(), about={"sha256": "0" * 64}), "it is damaged: its SHA-256")


def test_compressed(path):
    np.savez_compressed(path, **held_by(alsnb.save_model(model(), path)))
    refused(path, "models are not compressed")


def test_archives_of_more_than_four_gigabytes(path, monkeypatch):
    """They end otherwise than smaller ones, as do all for this limit."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    assert_back(model(), path)
    assert b"PK\x06\x06" in path.read_bytes()


def test_other_formats_and_versions(path):
    refused(crafted(path, model(), about={"format": "other model"}), "format is 'other model'")
    refused(crafted(path, model(), about={"version": 2}), "its version is 2, this reads 1")
    refused(crafted(path, model(), about={"version": "1"}), "its version is '1', this reads 1")
    refused(crafted(path, model(), about={"version": None}), "its version is None")
    for name in ("format", "version", "settings", "about"):
        refused(crafted(path, model(), drop=name), name)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "1", "null", "{", '"text"', "[" * 10**5, '{"a":' * 10**5],
    ids=lambda text: text[:8],
)
def test_bad_description(path, text):
    held = held_by(alsnb.save_model(model(), path)) | {"about": np.array(text)}
    np.savez(path, **held)
    refused(path)


@pytest.mark.parametrize("array", [np.ones(3), np.array(b"{}"), np.array(["{}"]), np.array(None)])
def test_description_that_is_no_text(path, array):
    held = held_by(alsnb.save_model(model(), path)) | {"about": array}
    np.savez(path, **held)
    refused(path)


SETTINGS = ("lambda_reg", "reg_exponent", "bias_reg", "implicit_weight", "implicit_reg")


@pytest.mark.parametrize("variant", ["plain", "biases", "everything"])
@pytest.mark.parametrize("name", SETTINGS)
def test_settings(path, variant, name):
    model = fitted(variant)
    for value in (
        np.nan,
        np.inf,
        -1,
        "1",
        True,
        False,
        {},
        [],
        [1],
        [1, 2, 3],
        [1, np.nan],
        10**400,
    ):
        refused(crafted(path, model, settings={name: value}), name)
    if name != "bias_reg" or variant == "everything":  # else it is a model without biases
        refused(crafted(path, model, settings={name: None}))
    refused(crafted(path, model, drop=name))


@pytest.mark.parametrize(
    "settings",
    [
        {"reg_exponent": 2.5},
        {"reg_exponent": [1, 1]},
        {"lambda_reg": 0},
        {"lambda_reg": [[1, 1], [1, 1]]},
        {"bias_reg": 0},
        {"bias_reg": None},
        {"implicit_reg": 0},
        {"implicit_weight": 0},
        {"n_factors": 3},
        {"U": 1},
        {"partners": None},
        {"test_errors": [1]},
    ],
    ids=str,
)
def test_bad_settings(path, settings):
    refused(crafted(path, model(), settings=settings))


def altered(name, value, *index):
    array = getattr(model(), name).copy()
    array[index] = value
    return {name: array}


f = 3  # of all these models: columns of U are 3 factors, b_u, 1, μ, and of V 3 factors, 1, b_i, 1
single = fitted("everything", np.float32)


@pytest.mark.parametrize(
    "arrays",
    [
        altered("U", np.nan, 1, 1),
        altered("V", np.inf, 0, 0),
        altered("objectives", np.nan, 1),
        altered("test_errors", np.nan, 1),
        altered("U", 2, 4, f + 1),
        altered("U", 0, 8, f + 2),
        altered("U", 0, 0, f + 2),
        altered("V", 2, 4, f),
        altered("V", 0, 7, f + 2),
        {"U": model().U[:, :4], "V": model().V[:, :4]},
        {"U": model().U[:0]},
        {"U": model().U[:, 1:]},
        {"U": model().U[1:]},
        {"U": model().U.ravel()},
        {"U": model().U[None]},
        {"U": single.U},
        {"V": single.V},
        {"U": single.U, "V": single.V, "partner_of_U": model().partners[0].astype(np.float16)},
        {"U": model().U.astype(complex)},
        {"U": model().U.astype(int), "V": model().V.astype(int)},
        {"U": model().U.astype(">f8"), "V": model().V.astype(">f8")},
        {"U": model().U.astype(np.float16), "V": model().V.astype(np.float16)},
        {"train_errors": model().train_errors[1:]},
        {"train_errors": np.ones(0), "objectives": np.ones(0), "test_errors": np.ones(0)},
        {"train_errors": model().train_errors[:, None]},
        {"train_errors": model().train_errors.astype(str)},
        {"test_errors": model().test_errors[1:]},
        {"test_errors": np.array(1.0)},
        {"partner_of_U": model().partners[0][1:]},
        {"partner_of_U": model().partners[0][:, 1:]},
        {"partner_of_U": model().partners[0] * np.nan},
        {"partner_of_U": model().partners[1], "partner_of_V": model().partners[0]},
        {"surplus": np.ones(3)},
    ],
    ids=lambda arrays: " and ".join(f"{k} {v.dtype}{v.shape}" for k, v in arrays.items()),
)
def test_arrays_that_do_not_fit(path, arrays):
    refused(crafted(path, model(), **arrays))


def test_partners_of_another_precision(path):
    refused(crafted(path, single, partner_of_U=model().partners[0]))


@pytest.mark.parametrize("name", ["U", "test_errors", "partner_of_U"])
def test_an_array_of_another_name_in_the_list_of_contents(path, name):
    content = alsnb.save_model(model(), path).read_bytes()
    place = content.rindex(f"{name}.npy".encode())
    path.write_bytes(content[:place] + b"W" + content[place + 1 :])
    refused(path)


@pytest.mark.parametrize("name", ["U", "V", "train_errors", "objectives", "partner_of_V"])
def test_arrays_that_are_missing(path, name):
    refused(crafted(path, model(), drop=name))


def test_partners_without_weight(path):
    partners = dict(zip(("partner_of_U", "partner_of_V"), model().partners, strict=True))
    refused(crafted(path, fitted("biases"), **partners), "partners but no weight")
