"""Tables, the matrix, the formats of MovieLens, and made-up data."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import alsnb
from alsnb import sources
from alsnb.metrics import rows_of


def table(*rows):
    return pd.DataFrame(rows, columns=["user_id", "item_id", "rating"])


# The real data


def test_movielens_100k_is_what_it_should_be(movielens):
    assert movielens.R.shape == (943, 1682)
    assert movielens.R.nnz == len(movielens.ratings) == 100_000
    assert movielens.R.nnz / np.prod(movielens.R.shape) == pytest.approx(0.0630, abs=5e-5)
    assert movielens.ratings.iloc[0].tolist() == [196, 242, 3, 881250949]
    assert movielens.titles[0] == "Toy Story (1995)"
    assert movielens.titles.shape == (1682,)
    assert len(movielens.movies) == 1682
    assert len(movielens.users) == 943
    assert movielens.R.mean() * np.prod(movielens.R.shape) / 100_000 == pytest.approx(3.52986)
    assert repr(movielens) == "MovieLens 100k: 943 users × 1,682 movies, 100,000 ratings"


def test_movielens_100k_can_be_written_back_to_the_byte(movielens):
    rows = movielens.ratings.itertuples(index=False)
    text = "".join(f"{user}\t{item}\t{rating:.0f}\t{time}\n" for user, item, rating, time in rows)
    assert hashlib.sha256(text.encode()).hexdigest() == sources.SHA256["u.data"]


def test_matrix_of_movielens_100k_holds_its_table(movielens):
    back = alsnb.matrix_to_ratings(movielens.R, movielens.user_ids, movielens.item_ids)
    table = movielens.ratings.sort_values(["user_id", "item_id"], ignore_index=True)
    pd.testing.assert_frame_equal(back, table.drop(columns="timestamp"))


# The formats


def test_zip_and_wheel_give_equal_data(tiny_100k):
    copies = [
        alsnb.load_movielens("100k", source, verify=False)
        for source in (tiny_100k.zip, tiny_100k.folder, tiny_100k.wheel_folder, tiny_100k.wheel)
    ]
    for copy in copies[1:]:
        for frame in ("ratings", "movies", "users"):
            pd.testing.assert_frame_equal(getattr(copy, frame), getattr(copies[0], frame))
        for array in ("user_ids", "item_ids", "titles"):
            np.testing.assert_array_equal(getattr(copy, array), getattr(copies[0], array))
        for array in ("indptr", "indices", "data"):
            np.testing.assert_array_equal(getattr(copy.R, array), getattr(copies[0].R, array))


@pytest.mark.parametrize("layout", ["zip", "wheel"])
def test_100k(tiny_100k, layout):
    data = alsnb.load_movielens("100k", getattr(tiny_100k, layout), verify=False)
    assert data.ratings["user_id"].tolist() == [196, 7, 196, 22, 7]  # in file order
    assert data.ratings["timestamp"].tolist() == list(range(881250949, 881250954))
    assert data.movies.fillna({"year": 0}).reset_index().to_numpy().tolist() == [
        [1, "Toy Story (1995)", 1995, "Animation|Children's|Comedy"],
        [267, "unknown", 0, "unknown"],
        [543, "Misérables, Les (1995)", 1995, "Drama|Musical"],
        [1412, "Land Before Time III: The Time of the Great Giving (1995) (V)", 1995, "War"],
        [1682, '"Scream" of Stone, A (1991)', 1991, "Drama"],
    ]
    assert data.users.loc[196].tolist() == [49, "M", "writer", "05146"]  # a zip is no number
    assert data.users.index.tolist() == [7, 22, 74, 196]
    assert data.user_ids.tolist() == [7, 22, 196]  # 74 has rated nothing
    assert data.item_ids.tolist() == [1, 267, 543, 1412]
    assert data.titles.tolist() == data.movies["title"].loc[data.item_ids].tolist()
    assert data.R.toarray().tolist() == [[2, 0, 0, 1], [0, 0, 4, 0], [5, 3, 0, 0]]


def test_1m(tiny_1m):
    data = alsnb.load_movielens("1m", tiny_1m, verify=False)
    assert data.ratings.to_numpy().tolist() == [
        [1, 260, 4, 978300760],
        [6040, 73, 5, 956704191],
        [1, 73, 1, 978302109],
    ]
    assert data.movies["title"].tolist() == [
        "Toy Story (1995)",
        "Star Wars: Episode IV - A New Hope (1977)",
        "Misérables, Les (1995)",
    ]
    assert data.movies["year"].tolist() == [1995, 1977, 1995]
    assert data.users.reset_index().to_numpy().tolist() == [
        [1, 1, "F", "10", "48067"],
        [6040, 25, "M", "6", "01106-1234"],
    ]
    assert data.titles.tolist() == data.movies["title"].loc[[73, 260]].tolist()
    assert data.R.toarray().tolist() == [[1, 4], [5, 0]]


@pytest.mark.parametrize("name", ["25m", "32m", "latest-small"])
def test_csv(tiny_csv, name):
    data = alsnb.load_movielens(name, tiny_csv(name), verify=False)
    assert data.users is None
    assert data.ratings["rating"].tolist() == [0.5, 3.5, 4.5, 5.0]
    assert data.movies["title"].to_dict() == {
        1: "Toy Story (1995)",
        4: "Misérables, Les (1995)",
        131072: 'She Said "No", Twice (2014)',
        209171: "Cosmos, A Series",
        209999: "Unrated (2001)",
    }
    assert data.movies["year"].fillna(0).tolist() == [1995, 1995, 2014, 0, 2001]
    assert data.movies["genres"].loc[131072] == "(no genres listed)"
    assert data.user_ids.tolist() == [2, 162541]
    assert data.item_ids.tolist() == [1, 4, 131072, 209171]
    assert data.R.toarray().tolist() == [[3.5, 0, 0.5, 0], [0, 5.0, 0, 4.5]]


@pytest.mark.parametrize("name", ["100K", "", "20m", None, ["100k"]])
def test_unknown_name_is_answered_by_the_known_ones(name):
    with pytest.raises(ValueError, match=r"there is no MovieLens .*100k, 1m, 25m, 32m, latest-sm"):
        alsnb.load_movielens(name)


# Table to matrix and back


def test_ids_with_gaps_become_positions():
    R, users, items = alsnb.ratings_to_matrix(table((70, 9, 3.5), (5, 900, 0), (70, 10, 1)))
    assert users.tolist() == [5, 70]
    assert items.tolist() == [9, 10, 900]
    assert R.toarray().tolist() == [[0, 0, 0], [3.5, 1, 0]]
    assert R.nnz == 3  # the zero is a rating


def test_ids_may_be_names():
    R, users, items = alsnb.ratings_to_matrix(table(("Bo", "x", 2), ("Al", "y", 4)))
    assert (users.tolist(), items.tolist()) == (["Al", "Bo"], ["x", "y"])
    assert R.toarray().tolist() == [[0, 4], [2, 0]]


def test_given_ids_give_one_shape_and_their_order():
    ratings = table((1, 10, 3), (2, 20, 4), (3, 10, 5))
    ids = {"user_ids": [3, 2, 1, 99], "item_ids": [20, 10]}
    parts = ratings.iloc[:2], ratings.iloc[2:]
    first, second = (alsnb.ratings_to_matrix(part, **ids)[0] for part in parts)
    assert first.toarray().tolist() == [[0, 0], [4, 0], [0, 3], [0, 0]]
    assert second.toarray().tolist() == [[0, 5], [0, 0], [0, 0], [0, 0]]


GOOD = ((1, 10, 3.0), (2, 20, 4.0))
REFUSED = {
    "a pair twice": (table(*GOOD, (2, 20, 3.0)), {}, ValueError, "by user 2 for item 20; keep one"),
    "NaN": (
        table(*GOOD, (2, 10, np.nan)),
        {},
        ValueError,
        "the table holds NaN or ∞ in 1 of 3 ratings",
    ),
    "missing": (
        table(*GOOD, (2, 10, None)).astype({"rating": "Float64"}),
        {},
        ValueError,
        "in 1 of 3",
    ),
    "infinity": (
        table(*GOOD, (2, 10, -np.inf)),
        {},
        ValueError,
        "the table holds NaN or ∞ in 1 of 3 ratings",
    ),
    "text": (
        table((1, 10, "3"), (2, 20, "4")),
        {},
        TypeError,
        "ratings must be real numbers, got dtype",
    ),
    "complex": (table((1, 10, 3j)), {}, TypeError, "ratings must be real numbers, got dtype com"),
    "bool": (table((1, 10, True)), {}, TypeError, "ratings must be real numbers, got dtype bool"),
    "no table": ([(1, 10, 3.0)], {}, TypeError, "ratings must be a pandas DataFrame, got list"),
    "no column": (table(*GOOD).drop(columns="item_id"), {}, ValueError, "has no column item_id"),
    "unknown user": (
        table(*GOOD),
        {"user_ids": [1]},
        ValueError,
        "a rating has user_id 2, which is",
    ),
    "unknown item": (
        table(*GOOD),
        {"item_ids": [0]},
        ValueError,
        "a rating has item_id 10, which is none",
    ),
    "id twice": (table(*GOOD), {"user_ids": [2, 1, 2]}, ValueError, "user_ids given hold 2 twice"),
    "no id": (
        table(*GOOD, (np.nan, 10, 1)),
        {},
        ValueError,
        "a rating has user_id nan, which is none",
    ),
    "no rows": (table(*GOOD).iloc[:0], {}, ValueError, "the table .* holds no ratings"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_tables_that_are_refused(case):
    ratings, ids, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        alsnb.ratings_to_matrix(ratings, **ids)


pairs = st.tuples(st.integers(1, 12), st.integers(100, 110))
stars = st.floats(-1e6, 1e6) | st.just(0.0)


@given(st.dictionaries(pairs, stars, min_size=1))
def test_table_survives_the_round_trip(content):
    ratings = table(*((*pair, rating) for pair, rating in content.items()))
    R, users, items = alsnb.ratings_to_matrix(ratings)
    assert R.shape == (ratings["user_id"].nunique(), ratings["item_id"].nunique())
    back = alsnb.matrix_to_ratings(R, users, items)
    expected = ratings.sort_values(["user_id", "item_id"], ignore_index=True)
    pd.testing.assert_frame_equal(back, expected, check_exact=True)


@pytest.mark.parametrize("n_users", [1, 3])
def test_ids_must_fit_the_matrix(n_users):
    R, _, items = alsnb.ratings_to_matrix(table(*GOOD))
    with pytest.raises(ValueError, match=f"R is 2 × 2 but there are {n_users} user_ids and 2 item"):
        alsnb.matrix_to_ratings(R, range(n_users), items)


# Made-up data


def test_low_rank_ratings_are_the_product_of_their_factors():
    R, U, V = alsnb.make_low_rank_ratings(30, 20, 4, density=1, rng=3)
    assert (U.shape, V.shape) == ((30, 4), (20, 4))
    np.testing.assert_allclose(R.toarray(), U @ V.T, rtol=1e-12)
    singular_values = np.linalg.svd(R.toarray(), compute_uv=False)
    assert np.sum(singular_values > 1e-10 * singular_values[0]) == 4


@pytest.mark.parametrize("rank", [1, 3, 20])
def test_low_rank_ratings_have_variance_one(rank):
    # Of one rank-1 draw the variance itself varies by 7 % at this size: fourth moments of normals.
    R, _, _ = alsnb.make_low_rank_ratings(1500, 1500, rank, density=0.1, rng=0)
    assert R.data.var() == pytest.approx(1, abs=0.2)
    assert R.data.mean() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("density", [1 / 6000, 0.001, 0.3, 0.999, 1])
def test_low_rank_ratings_are_distinct_pairs(density):
    R, U, V = alsnb.make_low_rank_ratings(100, 60, density=density, rng=1)
    places = set(zip(rows_of(R).tolist(), R.indices.tolist(), strict=True))
    assert len(places) == R.nnz == round(density * 6000)
    for i, j in list(places)[:20]:
        assert R[i, j] == pytest.approx(U[i] @ V[j], rel=1e-12)


def test_low_rank_ratings_noise_and_seed():
    def make(noise, rng):
        return alsnb.make_low_rank_ratings(200, 100, noise=noise, rng=rng)[0]

    exact, noisy = make(0, 8), make(0.5, 8)
    assert (noisy.data - exact.data).std() == pytest.approx(0.5, rel=0.03)
    np.testing.assert_array_equal(make(0.5, 8).data, noisy.data)
    np.testing.assert_array_equal(make(0.5, np.random.default_rng(8)).data, noisy.data)
    assert not np.array_equal(make(0, 9).indices, exact.indices)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_users": 0}, ValueError, "n_users must be at least 1"),
        ({"n_items": 2.5}, TypeError, "n_items must be a whole number"),
        ({"rank": "3"}, TypeError, "rank must be a whole number, got '3'"),
        ({"density": 0}, ValueError, "density must be finite and positive"),
        ({"density": 1e-9}, ValueError, "density must give 1 to 2400 ratings"),
        ({"noise": -0.1}, ValueError, "noise must be finite and not negative"),
        ({"noise": "loud"}, TypeError, "noise must be a number"),
        ({"density": 1.5}, ValueError, "density must give 1 to 2400 ratings"),
    ],
)
def test_low_rank_ratings_that_cannot_be(settings, error, message):
    with pytest.raises(error, match=message):
        alsnb.make_low_rank_ratings(**settings)
