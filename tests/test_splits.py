"""A split must lose nothing, share nothing and keep the shape."""

import hashlib
from dataclasses import replace
from itertools import chain

import numpy as np
import pandas as pd
import pytest
from helpers import bytes_of, entries, untouched
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import alsnb
from alsnb import Ratings


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
    return {(ids[0][i], ids[1][j]): stars for (i, j), stars in entries(R).items()}


SPLITS = {
    "train_test_split": lambda R, share, k, rng: [alsnb.train_test_split(R, share, rng=rng)],
    "k_fold": lambda R, share, k, rng: [*alsnb.k_fold(R, k + 1, rng=rng)],
    "leave k out": lambda R, share, k, rng: [alsnb.leave_k_out(R, k, rng=rng)],
    "leave a share out": lambda R, share, k, rng: [alsnb.leave_k_out(R, share, rng=rng)],
    "leave k out by time": lambda R, share, k, _: [alsnb.leave_k_out(R, k, by_time=True)],
    "leave a share out by time": lambda R, share, k, _: [alsnb.leave_k_out(R, share, by_time=True)],
    "split_by_time": lambda R, share, k, _: [alsnb.split_by_time(R, share)],
}


@pytest.mark.parametrize("split", SPLITS)
@settings(max_examples=30)
@given(
    st.integers(0, 10**6),
    st.integers(5, 90),
    st.floats(0.05, 0.95),
    st.integers(1, 4),
    st.sampled_from([3, 10**9]),
)
def test_every_rating_is_in_one_part_and_in_the_right_one(split, seed, n, share, k, moments):
    """How many are tested, and of whom; by time, the last, and of one moment the lower ones."""
    table = made_up(seed, n, moments)
    ratings = Ratings.from_table(table, timestamp="timestamp")
    ratings = shuffled(ratings, np.random.default_rng(seed))
    last = []  # whom they are taken of and, if it goes by time, which
    for _, own in table.sort_values("timestamp", kind="stable").groupby("user_id"):
        taken = min(round(share * len(own)), len(own) - 1)
        taken = k * (len(own) > k) if " k " in split else taken
        last += [(row.user_id, row.item_id) for row in own[len(own) - taken :].itertuples()]
    n_tested = len(last) if "leave" in split else round(share * n)
    assume(0 < n_tested < n)
    with untouched(ratings):
        parts = SPLITS[split](ratings, share, k, seed)
    again = SPLITS[split](
        ratings, share, float(k) if " k " in split else k, np.random.default_rng(seed)
    )
    assert [bytes_of(*pair) for pair in parts] == [bytes_of(*pair) for pair in again]
    whole, tested = table_of(ratings, ratings.R), [table_of(ratings, test) for _, test in parts]
    for (train, test), own in zip(parts, tested, strict=True):
        assert train.shape == test.shape == ratings.R.shape
        assert table_of(ratings, train) | own == whole and train.nnz + test.nnz == n
    if split == "k_fold":
        assert sorted(chain(*tested)) == sorted(whole) and len(tested) == k + 1
        assert max(map(len, tested)) - min(map(len, tested)) <= 1
        return
    assert len(tested[0]) == n_tested
    if split == "split_by_time":
        when = table.set_index(["user_id", "item_id"])["timestamp"]
        assert sorted(when[pair] for pair in tested[0]) == sorted(when)[n - n_tested :]
    elif "time" in split:
        assert sorted(tested[0]) == sorted(last)
    elif "leave" in split:
        assert sorted(user for user, _ in tested[0]) == sorted(user for user, _ in last)


# By time, which the table knows and the matrix does not


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
