"""Saved models come back to the bit, with their ratings; nothing else is taken for one."""

import json
import os
import pickle
import zipfile

import numpy as np
import pandas as pd
import pytest
from helpers import SMALL, arrays_of, bytes_of, fit, fitted, untouched

import alsnb
from alsnb import Ratings, load_model


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


def assert_same(loaded, model):
    assert bytes_of(loaded) == bytes_of(model)
    assert (loaded.settings, repr(loaded)) == (model.settings, repr(model))
    for one, other in zip(loaded.links or (), model.links or (), strict=True):
        assert one.columns == other.columns
    for one, other in zip(arrays_of(loaded), arrays_of(model), strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
    assert (loaded.test_errors is None) == (model.test_errors is None)


def test_a_model_without_settings_comes_back(path):
    half = {"half_step": alsnb.half_step, "verbose": False}
    model = alsnb.als_matrix_factorization(SMALL, 3, 0.5, 2, **half)
    assert_same(load_model(model.save(path)), model)
    assert load_model(path).settings is None


# Ratings beside a model

TABLE = pd.DataFrame({"who": [3, 1, 3, 2], "what": [9, 9, 4, 4], "stars": [0.0, 4.5, 3.0, 5.0]})
AS_TEXT = {"who": TABLE["who"].map("user {}".format), "what": [*"bbaa"]}
KINDS = {
    "whole numbers": {},
    "text": AS_TEXT,
    "text of type object": {key: pd.Series(ids, dtype=object) for key, ids in AS_TEXT.items()},
    "numbers of type object": {"who": TABLE["who"].astype(object)},
    "dates": {"who": pd.to_datetime(TABLE["who"], unit="D")},
    "categories": {"who": TABLE["who"].astype("category")},
    "numbers that may be missing": {"who": TABLE["who"].astype("Int64")},
}
TIMES = {
    "numbers": [30, 10, 20, 40],
    "times": pd.to_datetime([30, 10, 20, 40], unit="D"),
    "times of a zone": pd.to_datetime([30, 10, 20, 40], unit="D", utc=True),
}


@pytest.mark.parametrize(
    ("kind", "times"), [(kind, None) for kind in KINDS] + [("text", times) for times in TIMES]
)
def test_ratings_come_back_with_their_model(path, kind, times):
    about = {"scale": (0, 10), "name": "my films", "item_name": "film", "unit": "point"}
    table = TABLE.assign(**KINDS[kind])
    if times:
        table["when"], about["timestamp"] = TIMES[times], "when"
    titles = {table["what"][0]: "Misérables, Les\n"}
    ratings = Ratings.from_table(table, "who", "what", "stars", titles=titles, **about)
    model = fit(ratings, "bias", 2)
    with untouched(model, ratings):
        model.save(path, ratings)
    loaded, back = load_model(path, with_ratings=True)
    assert_same(loaded, model)
    assert_same(load_model(path), model)
    assert bytes_of(back) == bytes_of(ratings) and repr(back) == repr(ratings)
    for name in ("user_ids", "item_ids", "titles"):
        assert getattr(back, name).tolist() == getattr(ratings, name).tolist()
        assert getattr(back, name).dtype == getattr(ratings, name).dtype
    for name in ("scale", "name", "item_name", "unit"):
        assert getattr(back, name) == getattr(ratings, name)
    pd.testing.assert_frame_equal(
        back.table, ratings.table, check_dtype=False, check_categorical=False
    )
    assert back.user(table["who"][1]) == ratings.user(table["who"][1])
    assert back.to_table(back.R).equals(ratings.to_table(ratings.R))
    if times:
        parts = alsnb.split_by_time(back, 0.5), alsnb.split_by_time(ratings, 0.5)
        assert bytes_of(*parts[0]) == bytes_of(*parts[1])


def test_scales_of_numpy(path):
    whole = TABLE.astype({"stars": int})
    scale = whole["stars"].min(), whole["stars"].max()
    ratings = Ratings.from_table(whole, "who", "what", "stars", scale=scale)
    _, back = load_model(fit(ratings).save(path, ratings), with_ratings=True)
    assert back.scale == (0, 5)


def test_ratings_that_are_not_there_or_do_not_fit(path):
    ratings = Ratings.from_table(TABLE, "who", "what", "stars")
    model = fit(ratings)
    with pytest.raises(ValueError, match=r"holds no ratings; save them by model.save\(path, rat"):
        load_model(model.save(path), with_ratings=True)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="ratings is 3 × 2 but the model 40 × 30"):
        fitted().save(path, ratings)
    with pytest.raises(TypeError, match="Ratings"):
        model.save(path, ratings.R)  # which has no titles
    assert path.read_bytes() == before


# Saving


def test_names_of_files(tmp_path):
    for name in ("name with spaces, é and .zip.npz", "x" * 251 + ".npz"):
        assert_same(load_model(fitted().save(tmp_path / name)), fitted())
    for name in ("model", "model.npz.gz", ".npz"):
        with pytest.raises(ValueError, match=r"the name of a model's file ends in \.npz, got '"):
            fitted().save(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        fitted().save(tmp_path / "nowhere" / "model.npz")
    assert len(os.listdir(tmp_path)) == 2


def interruption(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["numpy.savez", "pathlib.Path.replace"])
@pytest.mark.parametrize("old", [True, False])
def test_what_was_there_stays_if_saving_is_interrupted(path, name, old):
    before = fitted("plain").save(path).read_bytes() if old else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(name, interruption)
        with pytest.raises(KeyboardInterrupt):
            fitted().save(path)
    assert os.listdir(path.parent) == [path.name] * old  # and no part of a file
    assert not old or path.read_bytes() == before
    assert_same(load_model(fitted().save(path)), fitted())


# Loading what is something else, or damaged


def refused(path, message="", **options):
    with pytest.raises(ValueError) as caught:
        load_model(path, **options)
    assert str(caught.value).startswith(f"{path} is not a model saved by alsnb, or is damaged: ")
    assert message in str(caught.value)


class Bomb:
    """Unpickling this makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def held_by(path):
    with np.load(path) as archive:
        return dict(archive)


def test_no_file_or_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.npz"):
        load_model(tmp_path / "nothing.npz")
    with pytest.raises(OSError):
        load_model(tmp_path)


def test_other_files(path):
    for content in (b"", b"PK", b"U,V\n1,2\n", bytes(10**4), b"\x93NUMPY\x01", b"PK\x03\x04" * 9):
        path.write_bytes(content)
        refused(path)
    with open(path, "wb") as file:
        np.save(file, np.ones((3, 3)))
    refused(path)
    np.savez(path, U=np.ones((2, 2)), V=np.ones((2, 2)))
    refused(path, "about")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("about.npy", "text")
    refused(path)
    held = held_by(fitted().save(path))
    np.savez_compressed(path, **held | {"U": np.zeros((10**6, 2))})  # 1,000 times larger inside
    refused(path, "it is compressed, as no saved model is")
    np.savez(path, **held | {"about": np.array('{"format": "alsnb model 2"}')})
    refused(path, "it is 'alsnb model 2', not 'alsnb model 3'; save it anew")


def test_loading_runs_no_code(path, tmp_path):
    bomb = Bomb(tmp_path / "boom")
    path.write_bytes(pickle.dumps(bomb))
    refused(path)
    held = held_by(fitted().save(path))
    for name in ("about", "U", "train_errors", "link_items_rated", "link_users_data"):
        np.savez(path, **held | {name: np.array([bomb], dtype=object)})
        refused(path, "allow_pickle=False")
    assert not (tmp_path / "boom").exists()
    pickle.loads(pickle.dumps(bomb))
    assert (tmp_path / "boom").exists()  # and a bomb it was


DEEP, BIAS = "[" * 10**5, {"n_factors": 4, "bias": True}


@pytest.mark.parametrize(
    "about",
    ["", "{}", "[]", "null", "{", DEEP, {"format": "alsnb model 1"}]
    + [{"settings": s} for s in ("text", [1], BIAS | {"lambda_reg": -1}, BIAS | {"colour": "red"})],
    ids=lambda about: str(about)[:40],
)
def test_bad_descriptions(path, about):
    held = held_by(fitted().save(path))
    if isinstance(about, dict):
        about = json.dumps(json.loads(held["about"].item()) | about)
    for array in (np.array(about), np.array([about, about])):
        np.savez(path, **held | {"about": array})
        refused(path)


@pytest.mark.parametrize(
    "arrays",
    [
        {"U": np.ones((4, 3))},
        {"V": np.ones((30, 7), "f4")},
        {"U": None},
        {"link_users_rated": None},
        {"link_users_rated": None, "link_items_rated": None},
        {"link_users_rated": np.ones((2, 5))},
        {"link_users_rated": np.ones((30, 4))},
        {"link_users_given": np.ones((2, 5))},
        {"link_items_given": np.ones((3, 5))},
        {"link_items_indptr": None},
        {"link_items_indptr": np.zeros(3, int)},
        {"link_items_indices": np.full(84, 4)},
    ],
    ids=lambda arrays: " and ".join(f"{k} {getattr(v, 'shape', v)}" for k, v in arrays.items()),
)
def test_bad_arrays(path, arrays):
    held = held_by(fitted().save(path)) | arrays
    np.savez(path, **{name: array for name, array in held.items() if array is not None})
    refused(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A scratch file, and what a whole one holds, ratings included."""
    path = tmp_path_factory.mktemp("damaged") / "model.npz"
    ratings = Ratings.from_table(TABLE, "who", "what", "stars")
    model = fit(ratings, "all", 2)
    return path, model.save(path, ratings).read_bytes(), bytes_of(model)


def test_bad_ratings(whole):
    path, content, expected = whole
    path.write_bytes(content)
    held = held_by(path)
    changes = [{"users": held["ratings_users"] + 1}, {"rating": np.full(4, 9)}]
    changes += [{name: held[f"ratings_{name}"][:-1]} for name in ("titles", "items", "item_ids")]
    for change in changes:
        np.savez(path, **held | {f"ratings_{name}": array for name, array in change.items()})
        assert bytes_of(load_model(path)) == expected
        refused(path, with_ratings=True)


def test_cut_anywhere(whole):
    path, content, _ = whole
    n = len(content)
    for length in (*range(64), *range(64, n, 97), *range(n - 50, n)):
        path.write_bytes(content[:length])
        refused(path)


def test_one_byte_changed(whole):
    """Here and there in the arrays, and in the list of what the archive holds."""
    path, content, expected = whole
    rng, contents = np.random.default_rng(0), content.index(b"PK\x01\x02")
    for place in (*range(0, contents, 37), *range(contents, len(content), 7)):
        damaged = bytearray(content)
        damaged[place] ^= rng.choice([1, 4, 32, 64])
        path.write_bytes(damaged)
        try:
            loaded, _ = load_model(path, with_ratings=True)
        except ValueError as error:
            assert str(path) in str(error)
        else:
            assert bytes_of(loaded) == expected
