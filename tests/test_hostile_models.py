"""Every public function about models, called with what careless people and programs pass."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from helpers import VARIANTS, close, data_of, dense_rows, features_of, fit
from hostile import (
    BAD_COUNT,
    BAD_FLOATS,
    BAD_MATRIX,
    BAD_NUMBER,
    BAD_POSITIONS,
    BAD_SEED,
    MISFIT_MATRIX,
    SAME_ARRAY,
    SAME_FLOATS,
    SAME_MATRIX,
    SAME_POSITIONS,
    public_names,
    read_only,
    refuses,
    same_numbers,
    works,
)

import alsnb
from alsnb import ALS, EarlyStopping, Factorization, bayes, load_model, sample_factorization

R = np.zeros((8, 6))  # in whole stars; user 2 and item 3 have no ratings
R[[0, 0, 0, 0, 1, 1, 1, 3, 3, 3, 4, 4, 4], [0, 2, 4, 5, 0, 1, 4, 0, 2, 4, 1, 2, 5]] = (
    *(5, 3, 1, 4, 4, 2, 5, 1, 4, 2, 3, 5, 1),
)
R[5:] = [[2, 1, 0, 0, 4, 5], [0, 5, 2, 0, 3, 0], [3, 4, 0, 0, 0, 2]]
R = sp.csr_array(R)
R_TEST = sp.csr_array(([4.0, 2.0], ([1, 6], [2, 5])), shape=R.shape)
USERS = pd.DataFrame({"age": [20, 30, 20, 40] * 2, "likes": ["war", "art|war", "art", "love"] * 2})
ITEMS = np.array([[1.0, 0, 2], [0, 3, 0], [1, 1, 1], [2, 0, 0], [0, 0, 1], [3, 0, 2]])
QUIET = {"rng": 0, "verbose": False}
SETTINGS = ALS(2, 1.0, 0.5, bias=True, implicit_features=True, feature_reg=2.0)
MODEL = SETTINGS.fit(R, 2, user_features=USERS, item_features=ITEMS, **QUIET)
PLAIN, COUNTED = ALS(2).fit(R, 2, **QUIET), ALS(2, 1.0, confidence=2.0).fit(R, 2, **QUIET)
FEW = {"n_samples": 3, "burn_in": 1, "n_draws": 2} | QUIET
POSTERIOR = sample_factorization(R, 2, user_features=USERS, **FEW)
POOL = ThreadPoolExecutor(1)
POOL.shutdown()

# Of each kind of argument: other forms of a good one, and bad ones. Those that are functions make
# them of the good one.


def but(kind, *names, **more):
    """The same kind, without some bad ones, and with more."""
    same, bad = kind
    assert set(names) <= set(bad)
    return same, {name: one for name, one in bad.items() if name not in names} | more


def also(kind, **more):
    """The same kind, with more that is as good."""
    same = kind[0]
    return (lambda good: same(good) | more) if callable(same) else same | more, kind[1]


def less(kind, *names):
    """The same kind, with fewer forms of a good one."""
    return {name: one for name, one in kind[0].items() if name not in names}, kind[1]


def one_of(name):
    return {}, {"another": "x", "None": None, "number": 3, "list": [name]}


MATRIX = SAME_MATRIX, BAD_MATRIX
FITTING = SAME_MATRIX, BAD_MATRIX | MISFIT_MATRIX
# R of a fitted model may be empty; its numbers are looked at where they are used
KNOWN = but(FITTING, "nothing", "NaN", "infinity")
COUNT = same_numbers, BAD_COUNT
OPTIONAL = but(COUNT, "None")
NUMBER = same_numbers, BAD_NUMBER | {"None": None, "zero": 0.0}
PAIR = but(
    NUMBER, "array", "list", triple=(1, 2, 3), one=(1,), none=(), zeros=(1, 0), nested=((1, 2), 1)
)
PAIR = also(PAIR, list=lambda x: [x, x], array=lambda x: np.array([x, x]), tuple=lambda x: (x, x))
FLAG = {"NumPy's": np.bool_}, {"one": 1, "text": "yes", "None": None, "array": np.ones(2, bool)}
SEED = {"generator": np.random.default_rng, "int64": np.int64, "list": lambda x: [x]}, BAD_SEED
FLOATS = SAME_FLOATS, BAD_FLOATS
DTYPE = (
    {"name": "f8", "type": lambda _: np.float64, "None": None},
    {"int": lambda _: int, "half": "f2", "text": "x", "object": lambda _: object, "number": 3},
)
WORKERS = but(OPTIONAL, million=10**6)
CLIP = (
    {"list": list, "array": np.array},
    {"backwards": (5, 1), "one": (1,), "text": "15", "texts": ("1", "5"), "number": 5}
    | {"NaN": (np.nan, 5), "equal": (1, 1), "nested": ((1, 2), (3, 4))},
)
POSITION = (
    {kind.__name__: kind for kind in (np.int8, np.uint64, np.float64)},
    {"negative": -1, "id": 10**9, "huge": 2**70, "text": "1", "title": "Brazil", "None": None}
    | {"fraction": 0.5, "NaN": np.nan, "bool": True, "list": [1], "array": np.ones(2, int)}
    | {"complex": 1j, "date": pd.Timestamp(0), "NA": pd.NA},
)
POSITIONS = SAME_POSITIONS, BAD_POSITIONS
REPEATED = but(POSITIONS, "twice", "two dimensions", "None")  # pairs
SOME = but(POSITIONS, "None")  # of which None is all
LINE = less(FLOATS, "table")  # in one dimension
STARS = but(LINE, "a dimension fewer", "sparse")
FACTORS = {"read-only": read_only, "Fortran order": np.asfortranarray}, BAD_FLOATS
FACTORS = but(FACTORS, "NaN", "infinity", "a row fewer", integers=lambda A: A.astype(int))
SCORES = but(LINE, "a row fewer")
ANY = {name: BAD_FLOATS[name] for name in ("None", "text", "strings", "objects", "complex")}
ANY = less(LINE, "float32")[0], ANY | {name: BAD_FLOATS[name] for name in ("dates", "ragged")}
EXPONENT = 0.5, but(NUMBER, "zero", thousand=1000)
LEVEL = but(NUMBER, one=1, percent=90)
SIDE = {}, {"user": "user", "None": None, "number": 0, "list": ["users"]}
TABLE = (
    {
        "nullable": pd.DataFrame.convert_dtypes,
        "categories": lambda T: T.astype("category"),
        "objects": lambda T: T.astype(object),
        "text": lambda T: T.astype(str),
        "long text": lambda T: T.astype("string"),
        "other index": lambda T: T.set_axis(["x"] * len(T)),
        "floats": lambda T: T.astype({"age": "f4"}),
        "mixed": lambda T: T.assign(age=[str(a) if k % 2 else a for k, a in enumerate(T["age"])]),
    },
    {
        "a column twice": lambda T: pd.concat([T, T[["age"]]], axis=1),
        "columns called alike": lambda T: T.rename(columns={"age": 1, "likes": "1"}),
        "lists in cells": lambda T: T.assign(likes=T["likes"].str.split("|")),
        "a row fewer": lambda T: T[1:],
        "a row more": lambda T: pd.concat([T, T[:1]]),
        "no columns": lambda T: T[[]],
        "no rows": lambda T: T[:0],
        "nothing in a column": lambda T: T.assign(age=None),
        "complex": lambda T: T.assign(age=1j * T["age"]),
        "column": lambda T: T["age"],
        "text": "age",
        "number": 3,
        "list": lambda T: T.to_numpy().tolist(),
        "objects": lambda T: T.to_numpy(),
    },
)
FEATURES = (
    SAME_ARRAY
    | {form: getattr(sp, f"{form}_array") for form in ("csr", "csc", "coo", "lil", "bsr", "dia")}
    | {"float32": lambda A: A.astype("f4"), "integers": lambda A: A.astype(int)},
    {name: one for name, one in BAD_FLOATS.items() if name not in ("None", "booleans", "sparse")},
)
del FEATURES[0]["list"]
FEATURES[1].update(table=lambda A: pd.DataFrame(A)[1:], columns=lambda A: A[:, :0])


# Each function: how it is called, and a good value and the kind of each argument


def flat(result):
    """What a call returns, as arrays."""
    if isinstance(result, ALS):
        return [np.broadcast_to(np.array(value, float), 2) for value in vars(result).values()]
    if isinstance(result, Factorization):
        return [result.U, result.V, result.train_errors]
    if isinstance(result, bayes.Posterior):
        return [X for draw in result.draws for X in (draw.U, draw.V)]
    return [flat(one) for one in result] if isinstance(result, tuple) else result


def row_of(call):
    """A call of items and ratings, of one that takes them as a pair."""
    return lambda items, ratings, **given: call((items, ratings), **given)


def print_nothing(*_):
    """A callback."""


ROW = {"items": ([0, 3, 5], POSITIONS), "ratings": ([4.0, 1.0, 5.0], STARS)}
ROW = {name: (np.array(good), kind) for name, (good, kind) in ROW.items()}
PATH = Path("model.npz")
RATINGS = alsnb.Ratings.from_table(
    pd.DataFrame(np.argwhere(R.toarray()), columns=["user_id", "item_id"]).assign(rating=R.data)
)
SAVED = ALS(2).fit(RATINGS, 2, **QUIET)
PATHS = {"text": str}, {"None": None, "bytes": b"m.npz", "number": 3, "list": ["m.npz"]}
NOT_CSR = {
    name: form
    for name, form in SAME_MATRIX.items()
    if name[:3] in ("csc", "coo", "lil", "dok", "COO")
}
PAIRS = but(FITTING, "None", "nothing", "NaN")
NEW = sp.csr_array(([4.0, 2.0, 1.0], ([0, 0, 1], [1, 3, 0])), shape=(2, 6))
PARTS = {"three": (0, [1], [4]), "one": ([1],), "lists": [[1], [4]]}  # of a pair, or no pair
NEWCOMERS = but(FITTING, "nothing", "no rows", "one row", **PARTS)
NEWCOMER = USERS[1:2]
OF_USER = but(  # of a model whose features are a table
    but(TABLE, "a row fewer", "no rows", "nothing in a column"),
    **{"no such column": {"colour": "red"}},
    **{"list": {"likes": ["art", "war"]}, "matrix": np.ones((1, 7)), "sparse": sp.eye_array(1, 7)},
)
PREDICT = {"users": (np.array([0, 3, 1]), REPEATED), "items": (np.array([5, 0, 2]), REPEATED)}
PREDICT["clip"] = (1, 5), CLIP
LISTS = {"top_n": (2, COUNT), "candidates": (np.array([0, 2, 5]), SOME)}
OPTIMISE = {"R": (R, MATRIX), "lambda_reg": (2.0, PAIR)}
OPTIMISE |= dict.fromkeys(("n_factors", "n_iterations"), (2, COUNT))
FIT = {
    "R": (R, FITTING),
    "n_iterations": (2, COUNT),
    "executor": ("serial", ({}, {"text": "x", "None": None, "closed pool": POOL, "number": 2})),
    "n_workers": (1, WORKERS),
    "rng": (0, SEED),
    "dtype": (float, DTYPE),
    "R_test": (R_TEST, but(FITTING, "None", overlap=R)),
    "callback": (print_nothing, ({}, {"number": 3, "text": "stop"})),
    "tol": (0.1, but(NUMBER, "zero")),
    "user_features": (USERS, TABLE),
    "item_features": (ITEMS, FEATURES),
}
COUNTS = {"confidence": (2.0, but(NUMBER, "None")), "unobserved_weight": (2.0, NUMBER)}
CALLS = {
    "ALS": (
        ALS,
        {
            "n_factors": (2, but(COUNT, billion=10**9)),
            "lambda_reg": (2.0, PAIR),
            "reg_exponent": EXPONENT,
            "bias": (True, FLAG),
            "bias_reg": (2.0, but(PAIR, "None")),
            "implicit_features": (True, FLAG),
            "implicit_reg": (2.0, PAIR),
            "feature_reg": (2.0, PAIR),
        },
    ),
    "ALS of counts": (ALS, COUNTS),
    "ALS.fit": (lambda R, **given: SETTINGS.fit(R, verbose=False, **given), FIT),
    "ALS.fit in steps": (
        lambda **given: PLAIN.settings.fit(R, 2, **QUIET, **given),
        {"solver": ("cg", one_of("cg")), "cg_steps": (2, but(COUNT, billion=10**9))},
    ),
    "als_matrix_factorization": (
        lambda **given: alsnb.als_matrix_factorization(**QUIET, **given),
        OPTIMISE | {"half_step": (alsnb.half_step, ({}, {"number": 3, "text": "x"}))},
    ),
    "als_matrix_factorization_parallel": (
        lambda **given: alsnb.als_matrix_factorization_parallel(**QUIET, **given),
        OPTIMISE,
    ),
    "init_matrix_factorization": (
        alsnb.init_matrix_factorization,
        dict.fromkeys(("n_users", "n_items", "n_factors"), (3, COUNT))
        | {"scale": (2.0, NUMBER), "rng": (0, SEED), "dtype": (float, DTYPE)},
    ),
    "EarlyStopping": (
        lambda **given: EarlyStopping(**given).R.toarray(),
        {"R_validation": (R_TEST, MATRIX), "patience": (2, COUNT), "clip": ((1, 5), CLIP)},
    ),
    "EarlyStopping in a fit": (
        lambda R_validation: ALS(2).fit(R, 2, **QUIET, callback=EarlyStopping(R_validation)),
        {"R_validation": (R_TEST, but(FITTING, overlap=R))},
    ),
    "gradient_descent": (
        lambda **given: alsnb.gradient_descent(verbose=False, **given),
        {name: FIT[name] for name in ("rng", "dtype", "R_test", "callback", "tol")}
        | OPTIMISE
        | {
            "lambda_reg": (2.0, NUMBER),
            "learning_rate": (1 / 64, NUMBER),
            "reg_exponent": EXPONENT,
        },
    ),
    "objective_gradient": (
        alsnb.objective_gradient,
        {
            "R": (R, FITTING),
            "U": (np.round(9 * PLAIN.U), FLOATS),
            "V": (np.round(9 * PLAIN.V), FLOATS),
            **{"lambda_reg": (2.0, but(NUMBER, "zero")), "reg_exponent": EXPONENT},
        },
    ),
    "Factorization": (
        lambda U, V, settings: Factorization(U, V, settings).predict([0, 1]),
        {
            **{"U": (PLAIN.U, FACTORS), "V": (PLAIN.V, FACTORS)},
            "settings": (ALS(2), ({}, {"dict": {"n_factors": 2}, "class": lambda _: ALS})),
        },
    ),
    "Factorization.predict": (MODEL.predict, PREDICT),
    "Factorization.recommend": (
        MODEL.recommend,
        LISTS | {"R": (R, KNOWN), "n_workers": (1, WORKERS), "users": (np.array([0, 3, 7]), SOME)},
    ),
    "Factorization.recommend to one": (
        lambda user: MODEL.recommend(user, R),
        {"user": (1, but(POSITION, "None", "list", "array"))},
    ),
    "recommend_items": (
        alsnb.recommend_items,
        LISTS
        | {"R": (R, KNOWN), "user": (7, POSITION)}
        | {"U": (MODEL.U, FACTORS), "V": (MODEL.V, FACTORS)},
    ),
    "Factorization.similar_items": (
        MODEL.similar_items,
        LISTS | {"item": (1, POSITION), "measure": ("dot", one_of("dot"))},
    ),
    "Factorization.fold_in": (
        row_of(MODEL.fold_in),
        ROW | {"side": ("users", SIDE), "features": (NEWCOMER, OF_USER)},
    ),
    "Factorization.fold_in many": (
        MODEL.fold_in,
        {"ratings": (NEW, NEWCOMERS), "n_workers": (1, WORKERS)},
    ),
    "Factorization.fold_in items": (
        lambda **given: MODEL.fold_in(side="items", **given),
        {
            "ratings": (R.T.tocsr(), NEWCOMERS),
            "features": (ITEMS, but(FEATURES, dict={"year": 1990}, table=pd.DataFrame(ITEMS))),
        },
    ),
    "Factorization.update": (
        lambda user, items, ratings, **given: MODEL.update((user, items, ratings), **given),
        {"user": (1, POSITION)} | ROW | {"R": (R, KNOWN), "side": ("items", SIDE)},
    ),
    "Factorization.update many": (
        MODEL.update,
        {"R": (R, KNOWN), "n_workers": (1, WORKERS)}
        | {"new": (R_TEST, but(FITTING, "nothing", pair=([1], [4])))},
    ),
    "add_rating_optimized": (
        alsnb.add_rating_optimized,
        {"user": (1, POSITION)}
        | ROW
        | {"R": (R, KNOWN), "model": (MODEL, ({}, {"None": None, "dict": {}, "U": MODEL.U}))},
    ),
    "Factorization.forget": (
        MODEL.forget,
        {"user": (0, POSITION), "R": (R, KNOWN)}
        | {"items": (np.array([0, 5]), but(POSITIONS, unrated=1))},
    ),
    "Factorization.append": (
        row_of(MODEL.append),
        ROW | {"R": (R, KNOWN), "side": ("users", SIDE), "features": (NEWCOMER, OF_USER)},
    ),
    "Factorization.append many": (
        MODEL.append,
        {"new": (NEW, NEWCOMERS), "R": (R, KNOWN), "n_workers": (1, WORKERS)},
    ),
    "Factorization.explain": (
        MODEL.explain,
        {"item": (1, POSITION)} | ROW | {"features": (NEWCOMER, OF_USER)},
    ),
    "Factorization.prior_mean": (
        MODEL.prior_mean,
        {"items": ROW["items"], "side": ("users", SIDE), "features": (NEWCOMER, OF_USER)},
    ),
    "Factorization.feature_effects": (MODEL.feature_effects, {"side": ("users", SIDE)}),
    "Factorization.save": (
        lambda path, ratings: load_model(SAVED.save(path, ratings), with_ratings=True)[0],
        {"path": (PATH, PATHS), "ratings": (RATINGS, ({}, {"R": R, "table": RATINGS.table}))},
    ),
    "load_model": (load_model, {"path": (PATH, PATHS)}),
    "top_items": (
        alsnb.top_items,
        LISTS
        | {"scores": (np.array([3.0, 1, 5, 2, 4, 0]), SCORES)}
        | {"exclude": (np.array([0, 2]), POSITIONS)},
    ),
    "solve_row": (
        alsnb.solve_row,
        {
            "Y": (ITEMS, but(less(FLOATS, "float32"), "a row fewer")),
            "r": (np.arange(6.0), LINE),
            "penalty": (2.0, NUMBER),
            "offsets": (np.ones(6), but(LINE, "None")),
            "weights": (np.arange(6.0), but(LINE, "None", negative=lambda w: w - 1)),
            "gram": (np.eye(3), but(FLOATS, "None")),
            "prior": (np.arange(3.0), but(LINE, "None")),
            "noise": (np.arange(3.0), but(LINE, "None")),
        },
    ),
    "solve_row in steps": (
        lambda **given: alsnb.solve_row(ITEMS, np.arange(6.0), 1, **given),
        {"x0": (np.ones(3), but(LINE, "None")), "n_steps": (2, COUNT)},
    ),
    "half_step": (
        alsnb.half_step,
        {
            "R": (R, but(less(FITTING, *NOT_CSR), "nothing", "no rows", "one row", **NOT_CSR)),
            "Y": (ITEMS, FLOATS),
            "lambda_reg": (2.0, NUMBER),
            "reg_exponent": EXPONENT,
        },
    ),
    "sample_factorization": (
        lambda **given: sample_factorization(n_samples=2, n_draws=2, verbose=False, **given),
        {
            "R": (R, MATRIX),
            "n_factors": (2, COUNT),
            "burn_in": (1, but(COUNT, "zero")),
            "n_chains": (1, COUNT),
            "implicit_features": (True, FLAG),
            "clip": ((1, 5), CLIP),
        }
        | {
            name: FIT[name]
            for name in sorted(FIT.keys() - {*OPTIMISE, "R_test", "callback", "tol"})
        },
    ),
    "sample_factorization of pairs": (
        lambda users, items: sample_factorization(R, 2, pairs=(users, items), **FEW),
        {name: PREDICT[name] for name in ("users", "items")},
    ),
    "sample_factorization, samples": (
        lambda **given: sample_factorization(R, 2, burn_in=1, **QUIET, **given),
        {"n_samples": (3, but(COUNT, one=1)), "n_draws": (2, COUNT), "pairs": (R, PAIRS)},
    ),
    "Posterior": (
        lambda **given: bayes.Posterior(**given).predict(0),
        {name: (getattr(POSTERIOR, name), ({}, {})) for name in ("draws", "pairs", "trace")},
    ),
    "Posterior.predict": (POSTERIOR.predict, PREDICT),
    "Posterior.interval": (POSTERIOR.interval, PREDICT | {"level": (0.5, LEVEL)}),
    "Posterior.recommend": (
        POSTERIOR.recommend,
        LISTS
        | {"R": (R, KNOWN), "users": (np.array([0, 3, 1]), SOME), "rng": (0, SEED)}
        | {"by": ("thompson", one_of("mean")), "level": (0.5, LEVEL)},
    ),
    "Posterior.fold_in": (
        row_of(POSTERIOR.fold_in),
        ROW | {"features": (NEWCOMER, OF_USER), "rng": (0, SEED)},
    ),
    "Posterior.fold_in many": (
        lambda ratings: POSTERIOR.fold_in(ratings, rng=0),
        {"ratings": (NEW, NEWCOMERS)},
    ),
    "most_informative_items": (
        bayes.most_informative_items,
        {
            "model": (PLAIN, ({}, {"None": None, "dict": {}, "V": MODEL.V, "counts": COUNTED})),
            "n_items": (2, COUNT),
            "items": (np.array([0, 5]), POSITIONS),
            "candidates": (np.array([1, 2, 4]), SOME),
        },
    ),
    "interval": (
        bayes.interval,
        {
            "mean": (np.array([3.0, 4]), ANY),
            "std": (np.array([1.0, 2]), ANY),
            "noise": (1.0, but(NUMBER, "zero")),
            "level": (0.5, LEVEL),
        },
    ),
}
# What modules of this package ask each other, about what has been checked
INNER = {f"ALS.{name}" for name in ("bias_scale", "penalties", "weigh")} | {
    f"Factorization.{name}"
    for name in (
        *("assemble", "equation", "link", "link_penalty", "replace", "solved"),
        *("squared_error", "step_link", "with_link", "with_rows"),
    )
}
OTHER_NAMES = {
    "users": "user",
    "items": "item",
    "U": "R",
    "V": "R",
}  # which a sentence may use as well


def test_nothing_public_is_forgotten():
    assert {name.split(",")[0].split(" ")[0] for name in CALLS} | INNER == public_names(False)


@contextmanager
def noted(what):
    """Say in an error of what it is."""
    try:
        yield
    except BaseException as error:
        error.add_note(what)
        raise


def asked(name, argument, which):
    """What to call, and with what: each time one argument is another than the good one."""
    call, arguments = CALLS[name]
    given = {one: good for one, (good, _) in arguments.items()}
    kind = arguments[argument][1][which]
    for label, make in (kind(given[argument]) if callable(kind) else kind).items():
        changed = make(given[argument]) if callable(make) else make
        yield label, lambda **given: flat(call(**given)), given | {argument: changed}


@cache
def expected(name):
    call, arguments = CALLS[name]
    return flat(call(**{one: good for one, (good, _) in arguments.items()}))


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """Where there is a file of a model."""
    with chdir(tmp_path_factory.mktemp("models")):
        SAVED.save(PATH)
        yield


EACH = pytest.mark.parametrize(
    ("name", "argument"), [(name, one) for name, (_, given) in CALLS.items() for one in given]
)


@EACH
def test_other_forms_of_what_is_good_give_the_same(name, argument):
    for label, call, given in asked(name, argument, 0):
        with noted(label):
            works(call, given, expected(name))


@EACH
def test_what_is_bad_is_refused_before_anything_is_computed(monkeypatch, name, argument):
    def computed(*args, **options):
        pytest.fail("something was computed before the input was checked")

    for place in ("als.calculate_rmse", "gradient.residuals_of", "ridge._solve_row"):
        monkeypatch.setattr(f"alsnb.{place}", computed)
    for room in ("parallel", "model", "bayes"):
        monkeypatch.setattr(f"alsnb.{room}.solve_rows", computed)
    for label, call, given in asked(name, argument, 1):
        with noted(label):
            refuses(call, given, f"{argument}|{OTHER_NAMES.get(argument, argument)}")


TOGETHER = [
    ({"bias_reg": 0.1}, "bias_reg is the λ of biases; pass bias=True as well"),
    ({"confidence": 1, "bias": True}, "bias is for ratings in stars; leave it out with confidence"),
    ({"unobserved_weight": 2}, "unobserved_weight goes with confidence; pass confidence=1 as"),
]


@pytest.mark.parametrize(("settings", "message"), TOGETHER)
def test_settings_that_do_not_go_together(settings, message):
    for make in (ALS, lambda **wrong: alsnb.als_matrix_factorization(R, **wrong)):
        with pytest.raises(ValueError, match=message):
            make(**settings)


# Shapes at the edge, by dense least squares

SHAPES = {
    "one rating": [[5]],
    "one row": [[5, np.nan, 1, 3]],
    "one column": [[4], [np.nan], [2], [5]],
    "a stored zero": [[0, 4, np.nan], [np.nan, 0, 1]],
    "zeros only": [[0, np.nan], [0, 0]],
    "nobody and nothing": [[np.nan, 3, 1], [np.nan, np.nan, np.nan], [np.nan, 2, 5]],
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_edges_are_least_squares_too(variant, shape):
    dense = np.array(SHAPES[shape], float)
    places = np.nonzero(~np.isnan(dense))
    A = data_of(variant, sp.csr_array((dense[places], places), shape=dense.shape))
    for executor in ("serial", "readable"):
        model = fit(A, variant, 2, 2, executor=executor)
        features = features_of(variant, "items", A.shape[1])
        F = None if features is None else features.toarray()
        close(model.V, dense_rows(model, "items", A.T.tocsr(), F), 1e-9)
        assert np.isfinite([*model.train_errors, *model.objectives]).all()
    users = np.flatnonzero(model.U.any(axis=1))
    close(model.predict(users), model.U[users] @ model.V.T)
    for user, items in zip(users, model.recommend(users, A)[0], strict=True):
        unseen = np.isnan(dense[user]) & ~model.unknown_items
        assert sorted(items[items >= 0]) == np.flatnonzero(unseen).tolist()
