"""MovieLens: the real one, and its formats."""

import hashlib

import numpy as np
import pandas as pd
import pytest

import alsnb
from alsnb.movielens import SHA256

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
    assert hashlib.sha256(text.encode()).hexdigest() == SHA256["u.data"]


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
