"""A split must lose nothing, share nothing and keep the shape."""

import hashlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import assume, given
from hypothesis import strategies as st

import alsnb


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


ratings = st.builds(random_ratings, st.integers(0, 10**6), st.integers(1, 9), st.integers(3, 9))


@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(2, 9), st.integers(2, 9)),
    fraction=st.floats(0.1, 0.9),
)
def test_parts_are_disjoint_complete_and_of_one_shape(seed, shape, fraction):
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < 0.5
    mask[:2, :2], mask[1, :] = [[True, True], [True, True]], True
    stars = rng.integers(0, 6, mask.sum()).astype(float)  # zeros among them
    R = sp.coo_array((stars, np.nonzero(mask)), shape=shape).tocsr()
    n_test = round(fraction * R.nnz)
    assume(0 < n_test < R.nnz)
    train, test = alsnb.hold_out(R, fraction, rng=seed)
    assert (train.nnz, test.nnz) == (R.nnz - n_test, n_test)
    assert_split(R, train, test)


SHUFFLED = [alsnb.hold_out, lambda R, rng: next(alsnb.k_fold(R, rng=rng))]


@pytest.mark.parametrize("split", SHUFFLED, ids=["hold_out", "k_fold"])
def test_seed_share_and_chance(split):
    R, _, _ = alsnb.make_low_rank_ratings(200, 100, rng=0)
    parts = [split(R, rng=rng)[1] for rng in (1, np.random.default_rng(1), 2)]
    assert parts[0].nnz == 0.2 * R.nnz
    assert entries(parts[0]) == entries(parts[1]) != entries(parts[2])
    # 60 ratings fall on each tenth of the users by chance 120 times, give or take 10.
    for part in parts:
        tenths = np.add.reduceat(np.diff(part.indptr), range(0, 200, 20))
        np.testing.assert_allclose(tenths, part.nnz / 10, atol=0.5 * part.nnz / 10)


def test_any_format_is_split_alike_and_left_alone():
    R, _, _ = alsnb.make_low_rank_ratings(20, 10, rng=0)
    before = entries(R)
    for other in (sp.csr_matrix(R), R.tocsc(), R.tocoo()):
        halves = zip(alsnb.hold_out(R, 0.5, rng=3), alsnb.hold_out(other, 0.5, rng=3), strict=True)
        assert all(entries(a) == entries(b) for a, b in halves)
    assert entries(R) == before


@pytest.mark.parametrize(
    ("fraction", "error", "message"),
    [
        (0, ValueError, "must leave ratings on both sides, got 0 of 10"),
        (0.04, ValueError, "must leave ratings on both sides, got 0.04 of 10"),
        (0.96, ValueError, "must leave ratings on both sides"),
        (1, ValueError, "must leave ratings on both sides"),
        (20, ValueError, "must leave ratings on both sides"),
        (-0.2, ValueError, "test_fraction must be finite and not negative"),
        (float("nan"), ValueError, "test_fraction must be finite and not negative"),
        ("0.2", TypeError, "test_fraction must be a number, got '0.2'"),
        (None, TypeError, "test_fraction must be a number"),
    ],
)
def test_fractions_that_leave_a_side_empty(fraction, error, message):
    R = sp.csr_array(np.arange(1.0, 11).reshape(5, 2))
    with pytest.raises(error, match=message):
        alsnb.hold_out(R, fraction)


def test_dense_ratings_are_refused():
    with pytest.raises(TypeError, match="R must be a two-dimensional SciPy sparse matrix"):
        alsnb.hold_out(np.ones((3, 3)))


@given(ratings, st.integers(1, 4), st.integers(0, 99))
def test_leave_out_takes_as_many_of_each_user_with_more(R, n_each, seed):
    counts = np.diff(R.indptr)
    assume(counts.max() > n_each)
    train, test = alsnb.leave_out(R, n_each, rng=seed)
    assert_split(R, train, test)
    assert np.diff(test.indptr).tolist() == np.where(counts > n_each, n_each, 0).tolist()
    again = alsnb.leave_out(R, n_each, rng=np.random.default_rng(seed))
    assert [*map(entries, again)] == [*map(entries, (train, test))]


def test_leave_out_takes_any():
    # Each of the second user's 5 ratings is one of 2 taken in 40 of 100 tries, give or take 5.
    R = sp.csr_array(([1.0] * 7, ([0] * 2 + [1] * 5, [0, 3, 0, 1, 2, 3, 4])), shape=(3, 5))
    taken = sum(alsnb.leave_out(R, 2, rng=seed)[1].toarray() for seed in range(100))
    np.testing.assert_allclose(taken, [[0] * 5, [40] * 5, [0] * 5], atol=20)


@given(ratings, st.integers(2, 6), st.integers(0, 99))
def test_folds_are_a_partition(R, n_folds, seed):
    assume(n_folds <= R.nnz)
    folds = [*alsnb.k_fold(R, n_folds, rng=seed)]
    for train, test in folds:
        assert_split(R, train, test)
    assert sorted(entry for _, test in folds for entry in entries(test)) == sorted(entries(R))
    sizes = [test.nnz for _, test in folds]
    assert len(sizes) == n_folds
    assert max(sizes) - min(sizes) <= 1


def made_up(seed, n_ratings):
    """A data set with gaps between its ids and few different timestamps, in no order."""
    rng = np.random.default_rng(seed)
    users, items = np.divmod(rng.permutation(12 * 11)[:n_ratings], 11)
    table = {
        "user_id": 7 * users + 3,
        "item_id": 10 * items,
        "rating": rng.integers(0, 6, n_ratings),
    }
    table = pd.DataFrame(table | {"timestamp": rng.integers(0, 9, n_ratings)})
    R, user_ids, item_ids = alsnb.ratings_to_matrix(table)
    return SimpleNamespace(ratings=table, R=R, user_ids=user_ids, item_ids=item_ids)


def table_of(data, R):
    """{(user_id, item_id): rating}"""
    return {(data.user_ids[i], data.item_ids[j]): stars for i, j, stars in entries(R)}


@given(st.builds(made_up, st.integers(0, 10**6), st.integers(2, 90)), st.floats(0.05, 0.95))
def test_split_by_time_tests_on_what_came_last(data, fraction):
    n_test = round(fraction * len(data.ratings))
    assume(0 < n_test < len(data.ratings))
    train, test = alsnb.split_by_time(data, fraction)
    assert_split(data.R, train, test)
    assert test.nnz == n_test
    when = {(row.user_id, row.item_id): row.timestamp for row in data.ratings.itertuples()}
    first, last = ([when[pair] for pair in table_of(data, part)] for part in (train, test))
    assert max(first) <= min(last)


THREE = sp.csr_array(([1.0, 2.0, 3.0], ([0, 0, 1], [0, 1, 1])), shape=(2, 2))
ONE_SIDE = "test_fraction must leave ratings on both sides"


@pytest.mark.parametrize(
    ("split", "options", "error", "message"),
    [
        ("leave_out", (THREE, 2), ValueError, "no user has more than 2 ratings, to leave 2 out"),
        ("leave_out", (THREE, 0), ValueError, "n_each must be at least 1, got 0"),
        ("leave_out", (THREE, 1.0), TypeError, "n_each must be a whole number, got 1.0"),
        ("leave_out", (np.ones((3, 3)),), TypeError, "R must be a two-dimensional SciPy sparse"),
        ("k_fold", (THREE, 4), ValueError, "n_folds must be at most the 3 ratings, got 4"),
        ("k_fold", (THREE, 1), ValueError, "n_folds must be at least 2, got 1"),
        ("k_fold", (np.ones((3, 3)),), TypeError, "R must be a two-dimensional SciPy sparse"),
        ("split_by_time", (made_up(0, 20), 0.01), ValueError, ONE_SIDE),
        ("split_by_time", (made_up(0, 20), 1), ValueError, ONE_SIDE),
        ("split_by_time", (made_up(0, 20), -1), ValueError, "must be finite and not negative"),
        ("official_folds", (made_up(0, 20),), ValueError, "only MovieLens 100K has official folds"),
    ],
)
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
    columns = (movielens.ratings[name].tolist() for name in movielens.ratings)
    table = {(user, item): (stars, when) for user, item, stars, when in zip(*columns, strict=True)}
    pairs, folds = [*table], alsnb.official_folds(movielens)
    assert len(folds) == 5
    for k, ((train, test), (n_users, size, digest)) in enumerate(zip(folds, OFFICIAL, strict=True)):
        assert train.shape == test.shape == (943, 1682)
        assert (train.nnz, test.nnz) == (80_000, 20_000)
        chosen = {*pairs[20_000 * k : 20_000 * (k + 1)]}
        tested = table_of(movielens, test)
        assert tested == {pair: table[pair][0] for pair in chosen}
        assert table_of(movielens, train) == {pair: table[pair][0] for pair in {*pairs} - chosen}
        assert len({user for user, _ in tested}) == n_users
        shipped = [f"{u}\t{i}\t{stars:g}\t{table[u, i][1]}\n" for (u, i), stars in tested.items()]
        shipped = "".join(shipped).encode()  # user by user, items ascending
        assert (len(shipped), hashlib.sha256(shipped).hexdigest()) == (size, digest)
