"""Ratings of a table or a matrix: ids, titles, duplicates, and what is refused."""

import tracemalloc
import uuid
from collections import Counter
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from helpers import untouched
from hypothesis import given
from hypothesis import strategies as st

import alsnb
from alsnb import Ratings


def table(*rows):
    return pd.DataFrame(rows, columns=["user_id", "item_id", "rating"])


def random_ratings(seed, n_users=6, n_items=5):
    """Dense ratings, zeros and holes among them, and which are no holes: some in every row."""
    rng = np.random.default_rng(seed)
    mask = rng.random((n_users, n_items)) < rng.random()
    mask[:, 0], mask[0] = True, True
    return np.where(mask, rng.integers(0, 6, mask.shape), np.nan), mask


# Ids


IDS = {
    "beyond 2**31": lambda k: k + 2**40,
    "nullable": lambda k: k.astype("Int64"),
    "text": lambda k: k.map("{:010d}".format),
    "objects": lambda k: k.map("{:010d}".format).astype(object),
    "string": lambda k: k.map("{:010d}".format).astype("string"),
    "UUID": lambda k: k.map(lambda one: uuid.UUID(int=int(one))),
    "dates": lambda k: pd.Timestamp("2024-01-01") + pd.to_timedelta(k, unit="D"),
    "categories": lambda k: pd.Series(pd.Categorical(k, [5, 4, 3, 2, 1, 0, 9])),
}


@pytest.mark.parametrize("kind", IDS)
def test_ids_of_any_type_in_any_order(kind):
    dense, mask = random_ratings(0)
    order = np.random.default_rng(1).permutation(mask.sum())
    users, items = (pd.Series(positions[order]) for positions in np.nonzero(mask))
    data = {"who": IDS[kind](users), "what": IDS[kind](items), "stars": dense[users, items]}
    data = pd.DataFrame(data).set_axis(order)
    ratings = Ratings.from_table(data, "who", "what", "stars")
    np.testing.assert_array_equal(ratings.R.toarray(), np.nan_to_num(dense))
    assert (ratings.R.nnz, ratings.R.dtype) == (mask.sum(), float)  # a zero is a rating
    for ids, expected in ((ratings.user_ids, range(6)), (ratings.item_ids, range(5))):
        assert ids.tolist() == np.asarray(IDS[kind](pd.Series(expected))).tolist()
    np.testing.assert_array_equal(ratings.users(data["who"]), users)
    np.testing.assert_array_equal(ratings.items(data["what"].tolist()), items)
    assert ratings.item(data["what"].iloc[3]) == items[3]
    again = ratings.to_matrix(ratings.to_table(ratings.R))
    np.testing.assert_array_equal(again.toarray(), ratings.R.toarray())


pairs = st.tuples(st.integers(1, 12), st.integers(100, 110))
stars = st.floats(-1e6, 1e6) | st.just(0.0)


@pytest.mark.filterwarnings("ignore:all ratings are")
@given(st.dictionaries(pairs, stars, min_size=1))
def test_table_survives_the_round_trip(content):
    data = table(*((*pair, rating) for pair, rating in content.items()))
    ratings = Ratings.from_table(data)
    assert ratings.R.shape == (data["user_id"].nunique(), data["item_id"].nunique())
    assert ratings.scale == (min(content.values()), max(content.values()))
    expected = data.sort_values(["user_id", "item_id"], ignore_index=True)
    back = ratings.to_table(ratings.R)
    pd.testing.assert_frame_equal(back, expected, check_exact=True)
    pd.testing.assert_frame_equal(ratings.table, data)
    part = ratings.to_matrix(ratings.table.iloc[::2])
    assert part.shape == ratings.R.shape
    back = ratings.to_table(part)
    expected = data.iloc[::2].sort_values(["user_id", "item_id"], ignore_index=True)
    pd.testing.assert_frame_equal(back, expected, check_exact=True)


FILMS = Ratings.from_table(
    table((1, 40, 3), (5, 10, 4), (1, 30, 5), (1, 20, 2), (5, 50, 1)),
    titles={10: "Brazil (1985)", 20: "Alien (1979)", 30: "Hamlet", 40: "Hamlet", 99: "Heat"},
    item_name="film",
)


def test_an_id_comes_before_a_title_and_a_good_matrix_is_not_copied():
    assert FILMS.items(["Alien (1979)", 40, np.int8(50)]).tolist() == [1, 3, 4]
    crossed = Ratings.from_table(table((1, "a", 1), (1, "b", 2)), titles={"a": "b", "b": "a"})
    assert crossed.item("b") == 1
    assert np.shares_memory(alsnb.rated_by(crossed, 0)[1], crossed.R.data)


@pytest.mark.parametrize(
    ("find", "one", "message"),
    [
        ("user", 3, "there is no user with id 3; ids are numbers, such as 1"),
        ("user", "5", "there is no user with id '5'; ids are numbers, such as 1"),
        ("users", [1, 2], "there is no user with id 2"),
        ("item", 60, "there is no film with id or title 60"),
        ("items", ["Brasil (1985)"], "'Brasil (1985)'; did you mean 'Brazil (1985)'?"),
        ("item", "Brazil", "did you mean 'Brazil (1985)'?"),
        ("item", "Alien", "did you mean 'Alien (1979)'?"),
        ("item", "brazil (1985)", "did you mean 'Brazil (1985)'?"),
        ("item", "Hamlet", "2 films are called 'Hamlet': choose from ids 30, 40"),
        ("item", "Heat", "there is no film with id or title 'Heat'"),
    ],
)
def test_who_or_what_is_not_there_is_never_somebody_else(find, one, message):
    with pytest.raises(LookupError) as error:
        getattr(FILMS, find)(one)
    assert message in str(error.value)


# Titles, scale and names


def test_titles_from_a_column_or_a_mapping():
    data = table((1, 9, 3), (2, 7, 4), (2, 9, 5), (3, 8, 2))
    names = {9: "Brazil", 7: "Alien", 1: "unrated"}
    expected = ["Alien", "8", "Brazil"]
    column = data["item_id"].map(names)
    assert column.isna().any()
    column[0] = None  # but another row knows it
    for titles in (names, pd.Series(names), pd.Series(names | {8: np.nan})):
        assert Ratings.from_table(data, titles=titles).titles.tolist() == expected
    assert Ratings.from_table(data.assign(name=column), titles="name").titles.tolist() == expected
    assert Ratings.from_table(data).titles.tolist() == ["7", "8", "9"]


def test_scale_and_names():
    data = table((1, 10, -3), (2, 10, 7.5), (1, 20, 0))
    assert repr(Ratings.from_table(data)) == "ratings: 2 users × 2 items, 3 ratings from -3 to 7.5"
    jokes = {"scale": (-10, 10), "name": "Jester", "item_name": "joke", "unit": "point"}
    ratings = Ratings.from_table(data, **jokes)
    assert repr(ratings) == "Jester: 2 users × 2 jokes, 3 ratings from -10 to 10"
    assert (ratings.scale, ratings.unit) == ((-10, 10), "point")


# Duplicates


@pytest.mark.filterwarnings("ignore:all ratings are")
@given(st.lists(st.tuples(*map(st.integers, [0] * 4, [3, 3, 5, 9])), min_size=1), st.booleans())
def test_repeated_ratings_are_refused_or_chosen(rows, timed):
    data = pd.DataFrame(rows, columns=["user_id", "item_id", "rating", "when"])
    data.index = -data.index // 2  # neither ascending nor unique
    options = {"timestamp": "when"} if timed else {}
    given_ = {}
    for line, (user, item, rating, when) in enumerate(rows):
        given_.setdefault((user, item), []).append((when if timed else 0, line, rating))
    if more := len(rows) - len(given_):
        with pytest.raises(ValueError, match=f"{more} ratings repeat .*'last' or 'mean'"):
            Ratings.from_table(data, **options)
    last = Ratings.from_table(data, on_duplicate="last", **options)
    kept = [(*max(of_pair)[1:], pair) for pair, of_pair in given_.items()]
    expected = [[*pair, rating] for _, rating, pair in sorted(kept)]  # in the order of the data
    assert last.table[["user_id", "item_id", "rating"]].to_numpy().tolist() == expected
    mean = Ratings.from_table(data, on_duplicate="mean", **options)
    for (user, item), of_pair in given_.items():
        expected = np.mean([rating for _, _, rating in of_pair])
        assert mean.R[mean.user(user), mean.item(item)] == pytest.approx(expected)
    assert mean.R.nnz == len(given_)
    total = Ratings.from_table(data, on_duplicate="sum", **options)
    for (user, item), of_pair in given_.items():
        expected = sum(rating for _, _, rating in of_pair)
        assert total.R[total.user(user), total.item(item)] == expected


GOOD = table((1, 10, 3.0), (2, 20, 4.0))


def test_nothing_to_learn_from_ones():
    with pytest.warns(UserWarning, match="all ratings are 1: there is nothing to learn") as caught:
        Ratings.from_table(GOOD.assign(rating=1))
    assert caught[0].filename == __file__
    assert "make Ratings.counts, and fit with ALS(confidence=1)" in str(caught[0].message)


# Counts, and ones


def assert_same_but(result, ratings, *but):
    """Equal attributes, the same arrays even, but for some."""
    for field in fields(Ratings):
        if field.name not in but:
            assert getattr(result, field.name) is getattr(ratings, field.name), field.name


@given(st.lists(st.tuples(*map(st.integers, [0] * 3, [3, 3, 9])), min_size=1), st.booleans())
def test_events_are_counted(rows, timed):
    data = pd.DataFrame(rows, columns=["who", "what", "when"])
    data.index = -data.index // 2  # neither ascending nor unique
    data["rating"] = "no number"  # which nobody asks for
    names = {"user": "who", "item": "what", "timestamp": "when" if timed else None}
    ratings = Ratings.counts(data, **names, name="plays", scale=(0, 99))
    expected = Counter((who, what) for who, what, _ in rows)
    found = ratings.to_table(ratings.R)
    assert {(row.user_id, row.item_id): row.rating for row in found.itertuples()} == expected
    assert (ratings.name, ratings.scale, ratings.R.dtype) == ("plays", (0, 99), float)
    assert list(ratings.table) == ["user_id", "item_id", "rating", "timestamp"][: 3 + timed]
    if timed:
        latest = {(who, what): when for who, what, when in sorted(rows, key=lambda row: row[2])}
        kept = ratings.table.itertuples()
        assert {(row.user_id, row.item_id): row.timestamp for row in kept} == latest


@given(st.integers(0, 10**6), st.none() | st.integers(-1, 5) | st.floats(0, 5))
def test_ones_where_ratings_are_high_enough(seed, at_least):
    dense, mask = random_ratings(seed)
    users, items = np.random.default_rng(seed).permutation(np.argwhere(mask)).T
    data = {"user_id": users, "item_id": items, "rating": dense[users, items]}
    data = pd.DataFrame(data).assign(when=np.arange(len(users)))
    ratings = Ratings.from_table(data, timestamp="when", scale=(0, 5), unit="star")
    expected = mask if at_least is None else np.where(mask, dense, -np.inf) >= at_least
    if not expected.any():
        with pytest.raises(ValueError, match="at_least must be at most the highest"):
            ratings.binarize(at_least)
        return
    with untouched(ratings):
        ones = ratings.binarize(at_least)
    np.testing.assert_array_equal(ones.R.toarray(), expected)
    assert ones.R.nnz == expected.sum()
    assert_same_but(ones, ratings, "R", "table", "scale")
    assert ones.scale == (1, 1)
    kept = data[expected[users, items]]
    assert ones.table["timestamp"].tolist() == kept["when"].tolist()
    assert (ones.table["rating"] == 1).all()
    np.testing.assert_array_equal(ones.to_matrix(ones.table).toarray(), expected)


@pytest.mark.parametrize("at_least", [None, 3])
def test_ones_and_counts_are_ratings_like_others(at_least, tmp_path):
    """Split, fitted, saved, grown: as the ratings that they were made of."""
    data = table(*((i, 10 * j, 1 + (i + j) % 5) for i in range(8) for j in range(6) if i != j))
    data["when"] = np.arange(len(data)) * 7 % 11
    plays = Ratings.counts(pd.concat([data, data.iloc[::2]]), timestamp="when")
    stars = Ratings.from_table(data, timestamp="when")
    for ratings in (stars.binarize(at_least), plays, plays.binarize(at_least and 2)):
        for split in (alsnb.split_by_time, lambda one: alsnb.leave_k_out(one, 0.3, by_time=True)):
            assert sum(part.nnz for part in split(ratings)) == ratings.R.nnz
        model = alsnb.ALS(2).fit(ratings, 2, rng=0, verbose=False)
        read = alsnb.load_model(model.save(tmp_path / "m.npz", ratings), with_ratings=True)[1]
        assert (read.R != ratings.R).nnz == 0
        pd.testing.assert_frame_equal(
            read.table, ratings.table.reset_index(drop=True), check_dtype=False
        )
        assert read.scale == ratings.scale
        _, R = model.append(sp.csr_array([[3.0, 0, 0, 0, 0, 2]]), ratings)
        grown = ratings.with_matrix(R, user_ids=[99])
        assert grown.scale == (1, max(3, ratings.scale[1]))
    assert plays.R.max() == 2


# Means


def test_damped_means_of_float32_are_summed_in_double_precision():
    stars = np.random.default_rng(0).integers(1, 6, 30_000).astype(np.float32) + np.float32(1000)
    R = sp.csr_array((stars, (np.arange(30_000), np.arange(30_000) % 2)), shape=(30_000, 2))
    means = [part.mean(dtype=float) for part in (stars[0::2], stars[1::2])]
    np.testing.assert_allclose(alsnb.damped_means(R, 0), means, rtol=1e-12)
    expected = np.add(means, np.mean(means)) / 2
    np.testing.assert_allclose(alsnb.damped_means(R, 15_000), expected, rtol=1e-12)


@pytest.mark.parametrize("damping", [0, 5])
def test_damped_means_whose_sums_overflow_are_an_error(damping):
    R = sp.csr_array(([1e308] * 3, ([0, 1, 2], [0, 0, 1])), shape=(3, 2))
    with pytest.raises(ValueError, match="R holds ratings so large that their sums"):
        alsnb.damped_means(R, damping)


# Made-up data


@pytest.mark.parametrize("rank", [1, 20])
def test_low_rank_ratings_have_variance_one(rank):
    # Of one rank-1 draw the variance itself varies by 7 % at this size: fourth moments of normals.
    R, _, _ = alsnb.make_low_rank_ratings(1500, 1500, rank, density=0.1, rng=0)
    assert R.data.var() == pytest.approx(1, abs=0.2)
    assert R.data.mean() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("density", [1 / 6000, 0.001, 0.3, 0.999, 1])
def test_low_rank_ratings_are_products_at_distinct_pairs(density):
    R, U, V = alsnb.make_low_rank_ratings(100, 60, 4, density=density, rng=1)
    assert (U.shape, V.shape) == ((100, 4), (60, 4))
    pairs = R.tocoo()
    assert len({*zip(*map(np.ndarray.tolist, pairs.coords), strict=True)}) == round(density * 6000)
    np.testing.assert_allclose(pairs.data, (U @ V.T)[pairs.coords], atol=1e-14)


def test_low_rank_ratings_noise_and_seed():
    def make(noise, rng):
        return alsnb.make_low_rank_ratings(200, 100, noise=noise, rng=rng)[0]

    exact, noisy = make(0, 8), make(0.5, 8)
    assert (noisy.data - exact.data).std() == pytest.approx(0.5, rel=0.03)
    np.testing.assert_array_equal(make(0.5, np.random.default_rng(8)).data, noisy.data)
    assert not np.array_equal(make(0, 9).indices, exact.indices)


def test_low_rank_ratings_never_need_the_dense_matrix():
    tracemalloc.start()
    try:
        R, _, _ = alsnb.make_low_rank_ratings(4000, 3000, density=0.02, rng=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert R.nnz == 240_000
    assert peak < 0.5 * 8 * 4000 * 3000


def test_a_grown_model_keeps_whose_rows_are_whose(tmp_path):
    """New ids come last, even if they would be the first in a table that is sorted."""
    table = pd.DataFrame({"user_id": list("bbc"), "item_id": [7, 9, 9], "rating": [1.0, 5.0, 3.0]})
    ratings = Ratings.from_table(table, titles={7: "Brazil"}, item_name="film")
    model = alsnb.ALS(n_factors=2).fit(ratings, 2, rng=0, verbose=False)
    model, R = model.append(([0, 1], [4.0, 6.0]), ratings)
    model, R = model.append(([2], [2.0]), R, "items")
    grown = ratings.with_matrix(R, user_ids=["a"], item_ids=[1], titles=["Alien"])
    assert [grown.user(one) for one in "bca"] == [0, 1, 2]
    assert grown.titles.tolist() == ["Brazil", "9", "Alien"] and grown.item_name == "film"
    assert [grown.item(one) for one in (7, 9, 1, "Alien")] == [0, 1, 2, 2]
    assert grown.item_ids.dtype == ratings.item_ids.dtype
    assert grown.scale == (1, 6)  # wider, for the new rating
    assert np.array_equal(grown.R.toarray(), R.toarray())
    path = model.save(tmp_path / "grown.npz", grown)
    assert alsnb.load_model(path, with_ratings=True)[1].user("a") == 2
    with pytest.raises(ValueError, match="3 × 3 but there are 2 user_ids and 2 item_ids; name"):
        ratings.with_matrix(R)
    with pytest.raises(TypeError, match=r"got csr_array; .* ratings.with_matrix\(R\)"):
        model.save(path, R)


def test_what_is_known_of_users_and_items_stands_in_the_order_of_R():
    """So that it can be given to a fit as it is, as features."""
    table = pd.DataFrame({"user_id": list("bbc"), "item_id": [7, 9, 9], "rating": [1.0, 5.0, 3.0]})
    users = pd.DataFrame({"age": [50, 25, 30]}, index=list("cab"))
    items = pd.DataFrame({"genres": ["War", "Art"]}, index=[9, 7])
    ratings = Ratings.from_table(table, user_table=users, item_table=items)
    assert ratings.user_table["age"].to_dict() == {"b": 30, "c": 50}
    assert ratings.item_table.index.tolist() == ratings.item_ids.tolist() == [7, 9]
    assert users.index.tolist() == list("cab")  # the caller's own
    settings, known = alsnb.ALS(2), {"item_features": ratings.item_table}
    model = settings.fit(ratings, 2, user_features=ratings.user_table, **known, verbose=False)
    assert model.feature_effects("users").index.tolist() == ["age 30", "age 50"]
    model, R = model.append(([0], [4.0]), ratings, features={"age": 25})
    grown = ratings.with_matrix(R, user_ids=["a"])
    assert grown.user_table["age"].fillna(0).tolist() == [30, 50, 0]  # of whom it knows nothing
    refit = settings.fit(grown, 2, user_features=grown.user_table, **known, verbose=False)
    assert refit.feature_effects("users").index.tolist() == ["age 30", "age 50"]
