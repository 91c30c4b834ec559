"""Hostile arguments of all that reads, splits and scores ratings: refused in a sentence, or right.

Each call has good arguments, and what it returns for them by other means. Other forms of an
argument must give the same, and bad ones be refused; which these are, its name says.
"""

from dataclasses import replace
from types import SimpleNamespace

import hostile
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hostile import BAD_COUNT, BAD_MATRIX, SAME_MATRIX

import alsnb
from alsnb import Ratings, plotting, tuning, widgets

# Five users, one without ratings, and four items, one that nobody has rated; one rating is zero
D = np.full((5, 4), np.nan)
D[[0, 0, 1, 3, 3, 3, 4, 4], [0, 2, 1, 0, 1, 2, 0, 1]] = 5, 3, 4, 2, 0, 5, 3, 1
RATED, VALUES = ~np.isnan(D), D[~np.isnan(D)]
PAIRS = np.argwhere(RATED)
R = sp.csr_array((VALUES, PAIRS.T), shape=D.shape)
U = np.array([[1.0, 2], [0, 1], [3, 1], [1, 1], [2, 0]])
V = np.array([[2.0, 0], [1, 1], [1, 2], [0, 3]])
ERRORS = (D - U @ V.T)[RATED]


def split(test):
    """Train and test part, dense with holes, by the numbers of the test ratings."""
    held = np.zeros(len(VALUES), bool)
    held[test] = True
    parts = []
    for chosen in (~held, held):
        part = np.full(D.shape, np.nan)
        part[tuple(PAIRS[chosen].T)] = VALUES[chosen]
        parts.append(part)
    return parts


def order():
    return np.random.default_rng(0).permutation(len(VALUES))


def last_of_each(k):
    """Of each user with more than k ratings those whose random numbers are the lowest."""
    turn = np.random.default_rng(0).random(len(VALUES))
    own = [np.flatnonzero(PAIRS[:, 0] == user) for user in range(len(D))]
    return np.concatenate([one[np.argsort(turn[one])][:k] for one in own if len(one) > k])


# Tables

TABLE = pd.DataFrame(PAIRS * (2, 1) + (1, 3), columns=["user_id", "item_id"])
TABLE = TABLE.assign(rating=VALUES, when=[7, 3, 5, 1, 2, 8, 6, 4])
DENSE = D[np.ix_(RATED.any(axis=1), RATED.any(axis=0))]  # without those of whom it says nothing
TIMED = alsnb.Ratings.from_table(TABLE, timestamp="when")


def column(name, change):
    def changed(table):
        return table.assign(**{name: change(table[name])})

    return changed


def holding(name, value, dtype=object):
    """A table whose last entry of a column is something else."""

    def changed(table):
        new = table[name].astype(dtype)
        new.iloc[-1] = value
        return table.assign(**{name: new})

    return changed


SAME_TABLE = {
    "nullable": pd.DataFrame.convert_dtypes,
    "categories": lambda t: t.astype({"user_id": "category", "item_id": "category"}),
    "objects": lambda t: t.astype({"user_id": object, "item_id": object}),
    "small numbers": lambda t: t.astype({"user_id": "u1", "rating": "f4"}),
    "whole numbers": lambda t: t.astype({"rating": "i1", "when": "f8"}),
    "sparse": lambda t: t.astype({"rating": pd.SparseDtype(float)}),
    "dates": column("when", pd.to_datetime),
    "dates of a zone": column("when", lambda when: pd.to_datetime(when, utc=True)),
    "index twice": lambda t: t.set_axis(np.zeros(len(t), int)),
    "index of two levels": lambda t: t.set_index(["user_id", "item_id"], drop=False),
    "columns turned round": lambda t: t[t.columns[::-1]],
    "another column twice": lambda t: pd.concat([t, t[[]].assign(x=1), t[[]].assign(x=2)], axis=1),
    "read-only": lambda t: pd.DataFrame(
        {name: hostile.read_only(t[name].to_numpy()) for name in t}, copy=False
    ),
}
BAD_TABLE = {
    "None": lambda t: None,
    "list": lambda t: t.to_numpy().tolist(),
    "dict": lambda t: t.to_dict("list"),
    "column": lambda t: t["rating"],
    "nothing": lambda t: t.iloc[:0],
    "no columns": lambda t: pd.DataFrame(),
    "no such column": lambda t: t.drop(columns="item_id"),
    "two levels of columns": lambda t: pd.concat({"a": t}, axis=1),
    "a pair twice": lambda t: pd.concat([t, t.iloc[2:3]]),
    "user missing": holding("user_id", np.nan),
    "user NA": holding("user_id", pd.NA, "Int64"),
    "user not in categories": holding("user_id", np.nan, "category"),
    "item None": holding("item_id", None),
    "item NaT": column("item_id", lambda ids: pd.to_datetime(ids).where(ids > 3)),
    "items mixed": holding("item_id", "x"),
    "ids are lists": column("item_id", lambda ids: [[one] for one in ids]),
    "ids are pairs": column("item_id", lambda ids: [(one, 1) for one in ids]),
    "users twice": lambda t: t[["user_id", *t]],
}
BAD_RATINGS = {
    "rating twice": lambda t: t[["rating", *t]],
    "NaN": holding("rating", np.nan, float),
    "NA": holding("rating", pd.NA, "Float64"),
    "infinity": holding("rating", np.inf, float),
    "text": column("rating", lambda r: r.astype(str)),
    "string": column("rating", lambda r: r.astype("string")),
    "mixed": holding("rating", "5"),
    "objects": column("rating", lambda r: r.astype(object)),
    "booleans": column("rating", lambda r: r > 2),
    "complex": column("rating", lambda r: r + 0j),
    "categories": column("rating", lambda r: r.astype("category")),
    "dates": column("rating", pd.to_datetime),
    "lists": column("rating", lambda r: [[one] for one in r]),
}
BAD_TIMES = {
    "NaT": column("when", lambda when: pd.to_datetime(when).where(when > 3)),
    "time NA": holding("when", pd.NA, "Int64"),
    "time NaN": holding("when", np.nan, float),
    "time as text": column("when", lambda when: when.astype(str)),
    "time as booleans": column("when", lambda when: when > 3),
    "times apart": column("when", pd.to_timedelta),
}


def parts_of(ratings):
    """R, ids, and the order of times."""
    when = ratings.table["timestamp"].rank() if "timestamp" in ratings.table else None
    parts = ratings.R, ratings.user_ids, ratings.item_ids, ratings.titles
    return parts if when is None else (*parts, when)


def by_hand(train, n_iterations, λ, start):
    """Factors of plain ALS, row by row."""
    U, V = None, start
    for _ in range(n_iterations):
        U = np.array([ridge(row, V, λ) for row in train])
        V = np.array([ridge(row, U, λ) for row in train.T])
    return U, V


def ridge(row, Y, λ):
    Y, r = Y[~np.isnan(row)], row[~np.isnan(row)]
    return np.linalg.solve(Y.T @ Y + λ * np.eye(Y.shape[1]), Y.T @ r)


def rmse(part, U, V):
    return np.sqrt(np.nanmean((part - U @ V.T) ** 2))


def lists_by_hand(scores, train, test, k):
    """Precision and NDCG of lists, means over the users with test items."""
    found = []
    for own, seen, wanted in zip(scores, ~np.isnan(train), ~np.isnan(test), strict=True):
        if wanted.any():
            hits = wanted[[j for j in np.argsort(-own) if not seen[j]][:k]]
            gains = 1 / np.log2(np.arange(2, k + 2))
            ideal = gains[: min(k, wanted.sum())].sum()
            found.append((hits.sum() / k, hits @ gains[: len(hits)] / ideal))
    return np.mean(found, axis=0)


TRAIN, TEST = split([0, 7])
R_TRAIN, R_TEST = (
    sp.csr_array(sp.coo_array((P[~np.isnan(P)], np.nonzero(~np.isnan(P))), shape=P.shape))
    for P in (TRAIN, TEST)
)
SCORES = np.random.default_rng(1).permutation(20).reshape(5, 4).astype(float)
V0 = alsnb.init_matrix_factorization(5, 4, 2, rng=0)[1]
FITTED = by_hand(TRAIN, 2, 0.5, V0)
FOUND = pd.DataFrame({"lambda_reg": [1, 3, 9], "validation_rmse": [0.9, 0.8, 0.7]})


# Kinds of arguments: for a good one, other forms of it and bad ones


def kind(same, bad):
    return lambda good: (
        {name: change(good) for name, change in same.items()},
        {name: change(good) for name, change in bad.items()},
    )


def numbers(bad):
    return lambda good: (hostile.same_numbers(good), bad)


def seeds(good):
    return {"int64": np.int64(good), "Generator": np.random.default_rng(good)}, hostile.BAD_SEED


def bad_ones(*bad):
    return lambda good: ({}, named(bad))


def named(values):
    return {f"{type(one).__name__} {k}": one for k, one in enumerate(values)}


MISFITS = [change(R) for change in hostile.MISFIT_MATRIX.values()]
SCALES = [(5, 1), 3, (1,), (1, 2, 3), "15", ("1", "5"), (np.nan, 5), (None, 5), {}, D]
KINDS = {
    "R": kind(SAME_MATRIX, BAD_MATRIX),
    "table": kind(SAME_TABLE, BAD_TABLE | BAD_RATINGS | BAD_TIMES),
    "rows": kind(SAME_TABLE, BAD_TABLE | BAD_RATINGS),
    "events": kind(SAME_TABLE, BAD_TABLE | BAD_TIMES),
    "ratings": bad_ones(None, "R", R, TABLE, VALUES),
    "candidates": kind(hostile.SAME_POSITIONS, hostile.BAD_POSITIONS),
    "user": numbers({**BAD_COUNT, "id": 10**9, "zero": -5}),
    "rng": seeds,
    "clip": bad_ones(*SCALES, (3, 3)),
}
FITTING = kind(SAME_MATRIX, BAD_MATRIX | hostile.MISFIT_MATRIX)
KINDS |= dict.fromkeys(["R_train", "R_test", "R_validation"], FITTING)
KINDS |= dict.fromkeys(["U", "V", "scores"], kind(hostile.SAME_FLOATS, hostile.BAD_FLOATS))
KINDS |= dict.fromkeys(["user_ids", "item_ids"], kind(hostile.SAME_POSITIONS, {}))
for name in "damping test_fraction density noise lambda_reg reg_exponent".split():
    KINDS[name] = numbers(hostile.BAD_NUMBER)
for name in "k n_folds n_users n_items rank n_workers sample n_iterations".split():
    KINDS[name] = numbers(BAD_COUNT)
NAMES = {  # words by which a message may name an argument
    **dict.fromkeys(["table", "rows", "events"], "table|user_ids?|item_ids?|user|item|rating|when"),
    **dict.fromkeys(["user", "item", "rating", "timestamp", "titles"], "{0}|column"),
    **{"user_id": "{0}|users?", "item_id": "{0}|items?", "user_ids": "{0}|users?"},
    **{"item_ids": "{0}|items?", "R_train": "{0}|R_test|R_validation", "scores": "{0}|U"},
    "R": "{0}|user",
}
CALLS = {}


def call(name, expected, function=None, *, then=None, bad=None, good=(), but="", **given):
    """Note a function, good arguments, and what it returns, or `then` makes of that.

    `bad` are more that are refused, `good` are changes and what they lead to; `but` is no error.
    """
    function = function or getattr(alsnb, name.partition(",")[0])
    inner = (lambda **options: then(function(**options))) if then else function
    CALLS[name] = inner, given, expected, bad or {}, good, but.split(", ")


def data_of(parts):
    return [part.data for part in parts]


call("count_ratings", (RATED.sum(1), RATED.sum(0)), R=R,
     but="R: nothing, R: no rows, R: no columns")  # fmt: skip
call("rated_by", ([0, 1, 2], [2, 0, 5]), R=R, user=3, good=[({"user": 2}, ([], []))], but="R: "
     "nothing, R: no columns, R: NaN, R: infinity, R: item beyond, R: item below")  # fmt: skip
n, sums, mean = RATED.sum(0), np.nansum(D, axis=0), VALUES.mean()
own = np.where(n > 0, sums / np.maximum(n, 1), mean)
call("damped_means", (sums + 2 * mean) / (n + 2), R=R, damping=2,
     good=[({"damping": 0}, own), ({"damping": 1e12}, own * 0 + mean), ({"R": R[:, :1]}, [10 / 3]),
           ({"R": R[:1]}, [13 / 3, 4, 11 / 3, 4])])  # fmt: skip
call("train_test_split", split(order()[:2]), R=R, test_fraction=0.25, rng=0,
     bad={"test_fraction": [0, 0.05, 0.99, 1, 20]})  # fmt: skip
call(
    "leave_k_out",
    split(last_of_each(1)),
    R=R,
    k=1,
    rng=0,
    bad={"k": [3, 0.01, -0.5, 10**9, 10**400]},
)
call("leave_k_out, by time", [VALUES[[1, 2, 3, 4, 7]], VALUES[[0, 5, 6]]],
     lambda ratings, k: data_of(alsnb.leave_k_out(ratings, k, by_time=True)), ratings=TIMED, k=1,
     bad={"ratings": [hostile.as_ratings(R)]})  # fmt: skip
call("k_fold", [split(test) for test in np.array_split(order(), 3)], R=R, n_folds=3, rng=0,
     then=list, bad={"n_folds": [1, 9, 10**9]})  # fmt: skip
UNTIMED = [hostile.as_ratings(R), replace(TIMED, table=TIMED.table.assign(user_id=1))]
call("split_by_time", [VALUES[[1, 2, 3, 4, 6, 7]], VALUES[[0, 5]]], ratings=TIMED, then=data_of,
     test_fraction=0.25, bad={"test_fraction": [0, 0.01, 1], "ratings": UNTIMED})  # fmt: skip
call("official_folds", None, ratings=None, bad={"ratings": [TIMED]})
call("make_low_rank_ratings", [(6, 5), (6, 2), (5, 2)], n_users=6, n_items=5, rank=2, density=0.5,
     noise=1, rng=0, then=lambda made: [one.shape for one in made],
     bad={"density": [0, 1e-9, 1.5]})  # fmt: skip

# Ratings

MADE = hostile.as_ratings(R)
PARTS = {name: getattr(MADE, name) for name in ("user_ids", "item_ids", "titles", "table")}
call("Ratings", D, lambda R, **changes: Ratings(R, **PARTS | changes).R, R=R, bad={
    "user_ids": [None, 5, "abcde", [1, 2], np.array([0, 1, 2, 3, 3]), np.eye(5)],
    "item_ids": [None, [1, 2], np.array([0, 1, 2, 2])],
    "titles": [None, ["a"], 4],
    "table": [None, TABLE[:3], R],
    "scale": [*SCALES, (1, 5), (0, 3), (0, np.nan)],
    "user_table": [TABLE, "table", pd.DataFrame({"age": 3}, index=[1, 1])],
    "item_table": [pd.DataFrame({"year": [1990]}, index=["no id"])],
})  # fmt: skip
TIMES, IDS, TITLES = TABLE["when"], ([1, 3, 7, 9], [3, 4, 5]), ["3", "4", "5"]
COLUMNS = {"timestamp": ["time", 3], "user": ["no", 0, None], "item": [None]}
call("Ratings.from_table", (DENSE, *IDS, TITLES, TIMES), Ratings.from_table, then=parts_of,
     table=TABLE, timestamp="when",
     bad=COLUMNS | {
         "rating": ["no", 1],
         "titles": [["a"], 5, "name", pd.Series(["a", "b"], index=[3, 3])],
         "on_duplicate": ["first", None, ["last"]],
         "scale": [*SCALES, (1, 5)],
         "user_table": [TABLE, TABLE.set_index("when")],
         "title": ["x"],
         "R": [R],
     },
     good=[({"titles": {3: "A", 4: None}}, (DENSE, *IDS, ["A", "4", "5"], TIMES))])  # fmt: skip
call("Ratings.counts", (np.where(np.isnan(DENSE), np.nan, 1), *IDS, TITLES, TIMES),
     lambda events, **options: parts_of(Ratings.counts(events, **options)), events=TABLE,
     timestamp="when", bad=COLUMNS | {"titles": [["a"]], "rating": ["rating"]},
     but="events: a pair twice")  # fmt: skip
call("Ratings.binarize", np.where(DENSE >= 3, 1, np.nan), TIMED.binarize, at_least=3,
     then=lambda ones: ones.R, bad={"at_least": ["4", True, [4], np.nan, np.inf, 6, 10**400]},
     good=[({"at_least": low}, np.where(DENSE > -1, 1, np.nan)) for low in (None, -9.5, 0)]
     )  # fmt: skip
NO_IDS = [0, "0", None, np.nan, pd.NA, [3], (3,), {3}, {}, np.array([3]), pd.Series([3]), slice(2)]
call("Ratings.user", 1, TIMED.user, user_id=3, bad={"user_id": [*NO_IDS, True, "3"]},
     good=[({"user_id": one}, 1) for one in (3.0, np.int8(3))])  # fmt: skip
call("Ratings.item", 1, TIMED.item, item_id=4, bad={"item_id": [*NO_IDS, 3.5, 2**70]},
     good=[({"item_id": "4"}, 1)])  # fmt: skip
NO_LISTS = [3, None, "4", [6], [3, pd.NA], [[3, 4]], np.array([[3, 4]]), TABLE, {3: 4}.items()]
call("Ratings.users", [3, 0, 3], TIMED.users, user_ids=np.array([9, 1, 9]),
     bad={"user_ids": NO_LISTS}, good=[({"user_ids": []}, [])])  # fmt: skip
call("Ratings.items", [2, 0], TIMED.items, item_ids=np.array([5, 3]), bad={"item_ids": NO_LISTS},
     good=[({"item_ids": ["5", 3]}, [2, 0])])  # fmt: skip
call("Ratings.to_matrix", np.where(np.arange(4)[:, None] > 1, DENSE, np.nan),
     lambda rows: TIMED.to_matrix(rows), rows=TABLE[3:], bad={"rows": [TABLE + 1]})  # fmt: skip
ITEMS, NAMED = [2, 1, 0, 8], ["item 2", "item 1", "item 0", "8"]
call("Ratings.with_matrix", (D, [3, 2, 1, 0, 9], ITEMS, NAMED),
     hostile.as_ratings(R[:4, :3]).with_matrix, then=parts_of, R=R, user_ids=np.array([9]),
     item_ids=np.array([8]), good=[({"user_ids": ["a"]}, (D, [3, 2, 1, 0, "a"], ITEMS, NAMED))],
     bad={"R": MISFITS, "user_ids": [[], [0], [9, 8], None, 9, "ab"], "item_ids": [[1], None],
          "titles": [["a", "b"], 4, "a"]})  # fmt: skip
frame = pd.DataFrame({"user_id": 4 - PAIRS[:, 0], "item_id": 3 - PAIRS[:, 1], "rating": VALUES})
call("Ratings.to_table", frame, MADE.to_table, R=R, bad={"R": MISFITS})

# Metrics

FACTORS = {"R": R, "U": U, "V": V, "bad": {"R": MISFITS}}
call("calculate_residuals", ERRORS, **FACTORS, clip=None)
call("calculate_rmse", np.sqrt(np.mean(ERRORS**2)), **FACTORS, clip=None)
call("calculate_mae", np.mean(abs(ERRORS)), **FACTORS, clip=None,
     good=[({"clip": [-np.inf, 4]}, np.nanmean(abs(D - np.minimum(U @ V.T, 4))))])  # fmt: skip
norms = [np.maximum(RATED.sum(1 - k), 1) @ (X**2).sum(1) for k, X in enumerate((U, V))]
call("calculate_objective", np.sum(ERRORS**2) + 2 * sum(norms), **FACTORS, lambda_reg=2,
     reg_exponent=1)  # fmt: skip
FIRST = lists_by_hand(SCORES, TRAIN, TEST, 1)
BAD_SCORES = [alsnb.ALS(), SCORES.T, SCORES[:, :2], (U, U), (V, U), (1, 2), (U * 1e200, V * 1e200)]
BAD_SCORES += [lambda users: SCORES[:1], lambda users: SCORES[0], lambda users: None]
BAD_SCORES += [lambda users: SCORES[users].astype(str), lambda users: SCORES[users] * np.nan]
call("evaluate_lists", lists_by_hand(SCORES, TRAIN, TEST, 2), scores=SCORES, R_train=R_TRAIN,
     R_test=R_TEST, k=2, candidates=np.arange(4), rng=0,
     then=lambda found: found.loc[["precision", "ndcg"], "value"],
     but="scores: booleans, candidates: None, scores: a dimension fewer",
     bad={"scores": BAD_SCORES, "R_test": [R, R_TRAIN], "candidates": [[]]},
     good=[({"scores": (SCORES, np.eye(4)), "k": 1}, FIRST),
           ({"scores": SimpleNamespace(U=SCORES, V=np.eye(4)), "k": 1}, FIRST),
           ({"scores": lambda users: SCORES[users].tolist(), "k": 1}, FIRST),
           ({"scores": SCORES[0], "k": 1}, lists_by_hand(SCORES[[0] * 5], TRAIN, TEST, 1)),
           ({"k": 10**9}, lists_by_hand(SCORES, TRAIN, TEST, 1000) * [1e-6, 1])])  # fmt: skip

# Tuning


def figures(found):
    return found.drop(columns=["seconds", "error"], errors="ignore").to_numpy()


FIT = {"n_factors": 2, "n_iterations": 2, "rng": 0, "verbose": False, "clip": None}
BAD_GRIDS = [{}, {"bias": []}, {"factors": [2]}, {"n_factors": [2]}, {"rng": 5}, {"dtype": "f4"}]
BAD_GRIDS += [[], None, "lambda_reg", ["bias"], {"item_features": [V]}, {"bias": {}}, {5: [1]}]
call("grid_search", [[0.5, 2, rmse(TRAIN, *FITTED), rmse(TEST, *FITTED)]], then=figures, **FIT,
     R_train=R_TRAIN, R_validation=R_TEST, grid={"lambda_reg": [0.5]}, n_workers=1, sample=3,
     dtype="float64",
     bad={"R_validation": [R, R_TRAIN], "grid": BAD_GRIDS, "n_iterations": [[], "20", [2, 0]],
          "executor": [None, "processes", 5, ["serial"]], "metric": ["map", None, ["rmse"]],
          "dtype": ["f2", "x", int], "callback": [print]},
     but="n_workers: None, sample: None, n_iterations: list, n_iterations: array, rng: Generator"
     )  # fmt: skip
BAD_FOLDS = [(R_TRAIN, R_TEST), [], None, R, 5, "folds", [R], [(R,)], iter([])]


def one_fold(R_train, R_test, **options):
    return alsnb.cross_validate(options.pop("folds", [(R_train, R_test)]), **options)


call("cross_validate", [[rmse(TRAIN, *FITTED), rmse(TEST, *FITTED)]], one_fold, then=figures,
     **FIT, R_train=R_TRAIN, R_test=R_TEST, lambda_reg=0.5, but="lambda_reg: array",
     bad={"folds": BAD_FOLDS, "n_factors": [0, "2", None], "metric": ["ndcg"],
          "R_test": [R, R_TRAIN]})  # fmt: skip
NOT_FOUND = [None, [], {}, FOUND[:0], FOUND[["lambda_reg"]], FOUND * np.nan, FOUND["lambda_reg"]]
call("best_settings", {"lambda_reg": 9}, found=FOUND, bad={"found": NOT_FOUND},
     good=[({"found": FOUND.set_axis([0, 0, 0])}, {"lambda_reg": 9})])  # fmt: skip
call("edges_reached", ["lambda_reg = 9 is the largest of 3 tried"], tuning.edges_reached,
     found=FOUND, bad={"found": NOT_FOUND})  # fmt: skip
call("load_movielens", None, bad={"name": [None, 100, "100K", ["100k"], "", "../100k", "20m"],
                                  "source": [5, ["x"], "no such file"]})  # fmt: skip

# Figures and widgets: what they show has tests of its own

for name in "plot_long_tails plot_sparsity plot_csr plot_mean_against_count".split():
    call(name, None, getattr(plotting, name), R=R)
call("plot_product", None, lambda R: plotting.plot_product(R, U, V, "abcde", "abcd", (0, 1)), R=R)
call("plot_gather", None, lambda R: plotting.plot_gather(R, V, 0, "abcd"), R=R)
call("plot_confidence", None, lambda R: plotting.plot_confidence(R, 1, 0.5), R=R)
call("plot_cross_table", None, lambda ratings: plotting.plot_cross_table(ratings, [0], [1]),
     ratings=TIMED)  # fmt: skip
call("plot_splits", None, lambda ratings: plotting.plot_splits({}, ratings), ratings=TIMED,
     bad={"ratings": [MADE]})  # fmt: skip
call("WorkQueue", None, widgets.WorkQueue, R=R)
call("ShrinkIt", None, widgets.ShrinkIt, ratings=TIMED)
MODEL = alsnb.ALS(2, bias=True).fit(R, 1, rng=0, verbose=False)
for name, more in (
    ("RatingWidget", ()),
    ("Premiere", ()),
    ("Newcomer", ([0], {})),
    ("Unobserved", ({1: MODEL}, R_TRAIN, R_TEST, [1])),
):
    widget, first = getattr(widgets, name), () if name == "Unobserved" else (MODEL,)
    call(name, None, lambda ratings, w=widget, f=first, m=more: w(*f, ratings, *m), ratings=MADE)


def test_every_function_is_here():
    assert {name.partition(",")[0] for name in CALLS} == hostile.public_names(data_side=True)


@pytest.mark.parametrize("name", [name for name in CALLS if CALLS[name][2] is not None])
def test_other_forms_of_arguments_give_the_same(name):
    function, given, expected, _, good, but = CALLS[name]
    tries, wrong = [("as it is", {}, expected), *((str([*one[0]]), *one) for one in good)], []
    for argument in given.keys() & KINDS:
        for form, value in KINDS[argument](given[argument])[0].items():
            tries.append((f"{argument}: {form}", {argument: value}, expected))
    for what, change, wanted in tries:
        try:
            if what not in but:
                hostile.works(function, given | change, wanted)
        except Exception as error:
            wrong.append(f"{what}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", CALLS)
def test_bad_arguments_are_refused(name):
    function, given, _, bad, _, but = CALLS[name]
    tries, wrong = [(argument, named(values)) for argument, values in bad.items()], []
    tries += [(one, KINDS[one](given[one])[1]) for one in given.keys() & KINDS]
    for argument, values in tries:
        for form, value in values.items():
            words = NAMES.get(argument, argument).format(argument)
            try:
                if f"{argument}: {form}" not in but:
                    hostile.refuses(function, given | {argument: value}, words)
            except BaseException as error:
                wrong.append(f"{argument}: {form}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)
