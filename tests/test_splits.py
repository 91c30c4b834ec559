"""A split must lose nothing, share nothing and keep the shape."""

import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import assume, given
from hypothesis import strategies as st

import alsnb
from alsnb import Ratings


def entries(R):
    R = R.tocoo()
    return list(zip(R.row.tolist(), R.col.tolist(), R.data.tolist(), strict=True))


def random_ratings(seed, n, m):
    rng = np.random.default_rng(seed)
    mask = rng.random((n, m)) < rng.random()
    mask[0, :3] = True
    stars = rng.integers(0, 6, mask.sum()).astype(float)  # zeros among them
    return sp.coo_array((stars, np.nonzero(mask)), shape=mask.shape).tocsr()


def assert_split(R, train, test):
    assert train.shape == test.shape == R.shape
    assert sorted(entries(train) + entries(test)) == sorted(entries(R))  # each exactly once
    assert all(part.has_canonical_format and part.format == "csr" for part in (train, test))


matrices = st.builds(random_ratings, st.integers(0, 10**6), st.integers(1, 9), st.integers(3, 9))
seeds, fractions = st.integers(0, 99), st.floats(0.05, 0.95)


@given(matrices, fractions, seeds)
def test_parts_are_disjoint_complete_and_of_one_shape(R, fraction, seed):
    n_test = round(fraction * R.nnz)
    assume(0 < n_test < R.nnz)
    train, test = alsnb.train_test_split(R, fraction, rng=seed)
    assert (train.nnz, test.nnz) == (R.nnz - n_test, n_test)
    assert_split(R, train, test)


SHUFFLED = [alsnb.train_test_split, lambda R, rng: next(alsnb.k_fold(R, rng=rng))]


@pytest.mark.parametrize("split", SHUFFLED, ids=["train_test_split", "k_fold"])
def test_seed_share_and_chance(split):
    R, _, _ = alsnb.make_low_rank_ratings(200, 100, rng=0)
    parts = [split(R, rng=rng)[1] for rng in (1, np.random.default_rng(1), 2)]
    assert parts[0].nnz == 0.2 * R.nnz
    assert entries(parts[0]) == entries(parts[1]) != entries(parts[2])
    # A tenth of the users gets 120 of the test ratings by chance, give or take 10.
    for part in parts:
        tenths = np.add.reduceat(np.diff(part.indptr), range(0, 200, 20))
        np.testing.assert_allclose(tenths, part.nnz / 10, atol=0.5 * part.nnz / 10)


@given(matrices, st.integers(1, 4), seeds)
def test_leave_k_out_takes_as_many_of_each_user_with_more(R, k, seed):
    counts = np.diff(R.indptr)
    assume(counts.max() > k)
    train, test = alsnb.leave_k_out(R, k, rng=seed)
    assert_split(R, train, test)
    assert np.diff(test.indptr).tolist() == np.where(counts > k, k, 0).tolist()
    again = alsnb.leave_k_out(R, float(k), rng=np.random.default_rng(seed))
    assert [*map(entries, again)] == [*map(entries, (train, test))]


@given(matrices, fractions, seeds)
def test_leave_k_out_takes_a_share_of_each_user_and_leaves_one(R, share, seed):
    counts = np.diff(R.indptr).tolist()
    taken = [max(min(round(share * n), n - 1), 0) for n in counts]
    assume(any(taken))
    train, test = alsnb.leave_k_out(R, share, rng=seed)
    assert_split(R, train, test)
    assert np.diff(test.indptr).tolist() == taken
    assert ((np.diff(train.indptr) > 0) == (np.diff(R.indptr) > 0)).all()


def test_leave_k_out_takes_any():
    # Each of the second user's 5 ratings is one of 2 taken in 40 of 100 tries, give or take 5.
    R = sp.csr_array(([1.0] * 7, ([0] * 2 + [1] * 5, [0, 3, 0, 1, 2, 3, 4])), shape=(3, 5))
    taken = sum(alsnb.leave_k_out(R, 2, rng=seed)[1].toarray() for seed in range(100))
    np.testing.assert_allclose(taken, [[0] * 5, [40] * 5, [0] * 5], atol=20)


@given(matrices, st.integers(2, 6), seeds)
def test_folds_are_a_partition(R, n_folds, seed):
    assume(n_folds <= R.nnz)
    folds = [*alsnb.k_fold(R, n_folds, rng=seed)]
    for train, test in folds:
        assert_split(R, train, test)
    assert sorted(entry for _, test in folds for entry in entries(test)) == sorted(entries(R))
    sizes = [test.nnz for _, test in folds]
    assert len(sizes) == n_folds
    assert max(sizes) - min(sizes) <= 1


# By time, which the table knows and the matrix does not


def made_up(seed, n_ratings, moments=9):
    """A table with gaps between its ids and few different timestamps, in no order."""
    rng = np.random.default_rng(seed)
    users, items = np.divmod(rng.permutation(12 * 11)[:n_ratings], 11)
    columns = {"user_id": 7 * users + 3, "item_id": 10 * items, "rating": np.arange(n_ratings) % 6}
    return pd.DataFrame(columns | {"timestamp": rng.integers(0, moments, n_ratings)})


def shuffled(ratings, rng):
    """The same ratings, with ids and so the stored entries in no order."""
    n, m = (rng.permutation(size) for size in ratings.R.shape)
    ids = {"user_ids": ratings.user_ids[n], "item_ids": ratings.item_ids[m]}
    return replace(ratings, R=ratings.R[n][:, m], **ids, titles=ratings.titles[m])


def table_of(ratings, R):
    """{(user_id, item_id): rating}"""
    ids = ratings.user_ids.tolist(), ratings.item_ids.tolist()
    return {(ids[0][i], ids[1][j]): stars for i, j, stars in entries(R)}


@given(st.integers(0, 10**6), st.integers(2, 90), fractions, st.sampled_from([9, 10**9]))
def test_split_by_time_tests_on_what_came_last(seed, n_ratings, fraction, moments):
    table = made_up(seed, n_ratings, moments)
    n_test = round(fraction * n_ratings)
    assume(0 < n_test < n_ratings)
    ratings = Ratings.from_table(table, timestamp="timestamp")
    when = {(row.user_id, row.item_id): row.timestamp for row in table.itertuples()}
    stars = {(row.user_id, row.item_id): row.rating for row in table.itertuples()}
    latest = sorted(table.timestamp)[n_ratings - n_test :]
    for data in (ratings, shuffled(ratings, np.random.default_rng(seed))):
        train, test = alsnb.split_by_time(data, fraction)
        tested = table_of(data, test)
        assert sorted(when[pair] for pair in tested) == latest
        assert table_of(data, train) | tested == stars  # nobody is given somebody else's rating
        assert train.nnz + test.nnz == n_ratings


@given(
    st.integers(0, 10**6),
    st.integers(2, 90),
    st.integers(1, 4) | st.floats(0.05, 0.95),
    st.sampled_from([3, 10**9]),
)
def test_leave_k_out_by_time_takes_the_last_of_each_user(seed, n_ratings, k, moments):
    """Of one moment, those that stand last in the table."""
    table = made_up(seed, n_ratings, moments)
    ratings = Ratings.from_table(table, timestamp="timestamp")
    expected = {}
    for _, own in table.groupby("user_id"):
        n = min(round(k * len(own)), len(own) - 1) if k < 1 else k * (len(own) > k)
        lines = sorted(own.itertuples(), key=lambda row: (row.timestamp, row.Index))
        lines = lines[len(lines) - n :]
        expected |= {(row.user_id, row.item_id): row.rating for row in lines}
    assume(expected)
    for data in (ratings, shuffled(ratings, np.random.default_rng(seed))):
        train, test = alsnb.leave_k_out(data, k, by_time=True)
        assert_split(data.R, train, test)
        assert table_of(data, test) == expected


def test_leave_k_out_by_time_asks_for_times():
    with pytest.raises(ValueError, match="these ratings have no timestamps; name them"):
        alsnb.leave_k_out(TIMELESS, by_time=True)
    with pytest.raises(TypeError, match=f"{NO_ORDER} csr_array"):
        alsnb.leave_k_out(THREE, by_time=True)


@pytest.mark.parametrize("kind", ["numbers", "floats", "nullable", "dates", "time zone"])
def test_split_by_time_takes_every_kind_of_time(kind):
    seconds = np.random.default_rng(0).permutation(40) + 1_700_000_000
    dates = pd.Series(pd.to_datetime(seconds, unit="s"))
    kinds = {"numbers": seconds, "floats": seconds + 0.5, "dates": dates}
    kinds |= {"nullable": pd.array(seconds, "Int64"), "time zone": dates.dt.tz_localize("CET")}
    ratings = Ratings.from_table(made_up(0, 40).assign(when=kinds[kind]), timestamp="when")
    expected = ratings.to_matrix(ratings.table[seconds >= 1_700_000_030])
    assert entries(alsnb.split_by_time(ratings, 0.25)[1]) == entries(expected)


@pytest.mark.parametrize(
    ("times", "error", "message"),
    [
        (["1/2/2024", "12/1/2023", "1/3/2024"], TypeError, r"pd.to_datetime\(table\['when'\]\)"),
        ([True, False, True], TypeError, "when must hold numbers or datetimes"),
        ([1, np.nan, 2], ValueError, "when is missing in 1 rows"),
        (pd.array([1, None, 2], "Int64"), ValueError, "when is missing in 1 rows"),
        (pd.to_datetime(["2024-01-01", None, None]), ValueError, "when is missing in 2 rows"),
    ],
    ids="text bool NaN NA NaT".split(),
)
def test_times_that_do_not_sort_are_refused(times, error, message):
    with pytest.raises(error, match=message):
        Ratings.from_table(made_up(0, 3).assign(when=times), timestamp="when")


DATA = made_up(0, 20)
TIMED, TIMELESS = (Ratings.from_table(DATA, timestamp=when) for when in ("timestamp", None))
THREE = sp.csr_array(([1.0, 2.0, 3.0], ([0, 0, 1], [0, 1, 1])), shape=(2, 2))
ONE_SIDE = "test_fraction must leave ratings on both sides, got"
NO_SHARE = "test_fraction must be finite and not negative"
NO_ORDER = "ratings must be Ratings, which know the order, got"
IMPOSSIBLE = [
    *(("train_test_split", (THREE, x), ValueError, ONE_SIDE) for x in (0, 0.1, 0.9, 1, 20)),
    ("train_test_split", (THREE, -0.2), ValueError, NO_SHARE),
    ("train_test_split", (THREE, float("nan")), ValueError, NO_SHARE),
    ("train_test_split", (THREE, "0.2"), TypeError, "test_fraction must be a number, got '0.2'"),
    (
        "leave_k_out",
        (THREE, 2),
        ValueError,
        "no user has more than 2 ratings, too few to leave 2 out",
    ),
    ("leave_k_out", (THREE, 0), ValueError, "k must be at least 1, got 0"),
    ("leave_k_out", (THREE, 1.5), TypeError, "k must be a whole number, got 1.5"),
    ("leave_k_out", (THREE, 0.1), ValueError, "than 2 ratings, too few to leave a share of 0.1"),
    ("leave_k_out", (THREE, -0.5), TypeError, "k must be a whole number, got -0.5"),
    ("leave_k_out", (THREE, float("nan")), TypeError, "k must be a whole number, got nan"),
    ("leave_k_out", (THREE, True), TypeError, "k must be a whole number, got True"),
    ("k_fold", (THREE, 4), ValueError, "n_folds must be at most the 3 ratings, got 4"),
    ("k_fold", (THREE, 1), ValueError, "n_folds must be at least 2, got 1"),
    ("k_fold", (np.ones((3, 3)),), TypeError, "R must be a two-dimensional SciPy sparse"),
    ("split_by_time", (TIMED, 0.01), ValueError, ONE_SIDE),
    ("split_by_time", (TIMELESS,), ValueError, "these ratings have no timestamps; name them"),
    ("split_by_time", (DATA,), TypeError, f"{NO_ORDER} DataFrame"),
    ("official_folds", (THREE,), TypeError, f"{NO_ORDER} csr_array"),
    ("official_folds", (TIMED,), ValueError, "only MovieLens 100K has official folds, not rat"),
]


@pytest.mark.parametrize(("split", "options", "error", "message"), IMPOSSIBLE)
def test_impossible_splits_are_refused_at_once(split, options, error, message):
    with pytest.raises(error, match=message):
        getattr(alsnb, split)(*options)


OFFICIAL = (  # of u1.test to u5.test as they are shipped: users, bytes, SHA-256
    (459, 392629, "18c6014a4b2c7324f250a63f8904a7b16b2b19f911129e346141507b0cbac950"),
    (653, 395225, "4de658d1e04ed9104629509a2e2528fce833ac8e048280183f1df167632038c3"),
    (869, 396627, "0f548b51c78327de4c156461d3e430b7e5579fe2b5681586a59416e48fd35f6d"),
    (923, 397295, "7c02ad0a1e7ab1083c8b9d4b627203a051dd7b5eab46d99fa44de33470de8db9"),
    (927, 397397, "351cc52e0d15b6c721466276fc24671d40936899e3d01fadeaf312915b8c5634"),
)


def test_official_folds_are_the_lines_of_the_file(movielens):
    columns = (movielens.table[name].tolist() for name in movielens.table)
    table = {(user, item): (stars, when) for user, item, stars, when in zip(*columns, strict=True)}
    folds = alsnb.official_folds(movielens)
    for (train, test), (n_users, size, digest) in zip(folds, OFFICIAL, strict=True):
        assert train.shape == test.shape == movielens.R.shape
        tested = table_of(movielens, test)
        assert table_of(movielens, train) | tested == {pair: table[pair][0] for pair in table}
        assert (train.nnz, len({user for user, _ in tested})) == (80_000, n_users)
        shipped = [f"{u}\t{i}\t{stars:g}\t{table[u, i][1]}\n" for (u, i), stars in tested.items()]
        shipped = "".join(shipped).encode()  # user by user, items ascending
        assert (len(shipped), hashlib.sha256(shipped).hexdigest()) == (size, digest)
