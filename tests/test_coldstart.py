"""Popularity against its formula, and questions against a greedy search by determinants."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from test_recommend import SHRINKAGE, VARIANTS, make_model, n_factors_of, variants

import alsnb

# popularity_scores


def random_ratings(seed, n_users, n_items, dtype=float):
    rng = np.random.default_rng(seed)
    mask = rng.random((n_users, n_items)) < rng.random()
    mask[0, 0] = True
    stars = rng.integers(0, 6, mask.sum()).astype(dtype)  # zeros among them
    return sp.coo_array((stars, np.nonzero(mask)), shape=mask.shape)


@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    shrinkage=st.sampled_from([0, 0.5, 1, 10, 1000.0]),
    dtype=st.sampled_from([float, np.float32, np.int64, np.uint8]),
)
def test_popularity_is_the_mean_of_the_ratings_and_of_some_more_at_the_mean(
    seed, shape, shrinkage, dtype
):
    R = random_ratings(seed, *shape, dtype)
    stars = R.data.astype(float)
    mean, scores = sum(stars) / len(stars), alsnb.popularity_scores(R, shrinkage)
    assert (scores.dtype, scores.shape) == (float, (shape[1],))
    for j, score in enumerate(scores):
        own = stars[R.col == j]
        n = len(own) + shrinkage
        expected = (sum(own) + shrinkage * mean) / n if n else mean
        assert score == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_popularity_by_example():
    R = sp.csr_array(([5.0, 3, 0, 4], ([0, 1, 0, 2], [0, 0, 1, 3])), shape=(3, 4))
    assert alsnb.popularity_scores(R, 0).tolist() == [4, 0, 3, 4]  # a stored zero is a rating
    np.testing.assert_allclose(alsnb.popularity_scores(R, 1), [11 / 3, 1.5, 3, 3.5], rtol=1e-14)
    expected = alsnb.popularity_scores(R, SHRINKAGE).tolist()
    assert alsnb.popularity_scores(R).tolist() == expected
    assert expected[:2] == pytest.approx([23 / 7, 15 / 6])
    np.testing.assert_allclose(alsnb.popularity_scores(R, 1e12), 3, rtol=1e-11)
    np.testing.assert_allclose(alsnb.popularity_scores(R, 1e-300), [4, 0, 3, 4], atol=1e-14)


def test_popularity_of_float32_is_summed_in_double_precision():
    rng = np.random.default_rng(0)
    stars = rng.integers(1, 6, 30_000).astype(np.float32) + np.float32(1000)
    R = sp.csr_array((stars, (np.arange(30_000), np.arange(30_000) % 2)), shape=(30_000, 3))
    expected = [stars[0::2].mean(dtype=float), stars[1::2].mean(dtype=float)]
    np.testing.assert_allclose(alsnb.popularity_scores(R, 0)[:2], expected, rtol=1e-12)


def test_popularity_of_ratings_whose_sums_overflow_is_an_error():
    R = sp.csr_array(([1e308] * 3, ([0, 1, 2], [0, 0, 1])), shape=(3, 2))
    for shrinkage in (0, 5):
        with pytest.raises(ValueError, match="R holds ratings so large that their sums"):
            alsnb.popularity_scores(R, shrinkage)


def test_popularity_takes_any_format_and_changes_nothing():
    R = random_ratings(0, 8, 6)
    before = [part.tobytes() for part in (R.data, *R.coords)]
    expected = alsnb.popularity_scores(R).tolist()
    for other in (R.tocsr(), R.tocsc(), sp.csr_matrix(R), R.tolil()):
        np.testing.assert_allclose(alsnb.popularity_scores(other), expected, rtol=1e-13)
    assert [part.tobytes() for part in (R.data, *R.coords)] == before


EYE = sp.eye_array(2, format="csr")
NAN = sp.csr_array(([1.0, np.nan], ([0, 1], [0, 1])), shape=(2, 2))


@pytest.mark.parametrize(
    ("R", "shrinkage", "error", "message"),
    [
        (np.ones((2, 2)), 1, TypeError, "R must be a two-dimensional SciPy sparse matrix"),
        (sp.csr_array((2, 2)), 1, ValueError, r"R \(2 × 2\) holds no ratings"),
        (NAN, 1, ValueError, "R holds NaN or ∞ in 1 of 2 ratings"),
        (abs(NAN) > 0, 1, TypeError, "R must hold real numbers, got dtype bool"),
        (EYE, -1, ValueError, "shrinkage must be finite and not negative, got -1"),
        (EYE, np.inf, ValueError, "shrinkage must be finite and not negative"),
        (EYE, np.nan, ValueError, "shrinkage must be finite and not negative"),
        (EYE, "1", TypeError, "shrinkage must be a number, got '1'"),
        (EYE, True, TypeError, "shrinkage must be a number, got True"),
        (EYE, None, TypeError, "shrinkage must be a number, got None"),
    ],
)
def test_popularity_refuses(R, shrinkage, error, message):
    with pytest.raises(error, match=message):
        alsnb.popularity_scores(R, shrinkage)


# most_informative_items


def log_determinant(model, asked, n):
    """Of the precision of what a user is made of once items are rated; n counts all ratings."""
    f, λ = n_factors_of(model), np.broadcast_to(model.lambda_reg, 2)[0]
    Y, λs = model.V[asked][:, :f].astype(float), np.full(f, λ)
    partner = np.zeros((1, f)) if model.partners is None else model.partners[0].astype(float)
    if model.bias_reg is not None:
        Y, λs = np.c_[Y, np.ones(len(Y))], np.r_[λs, np.broadcast_to(model.bias_reg, 2)[0]]
        partner = np.c_[partner, np.zeros(len(partner))]
    precision = Y.T @ Y + model.implicit_weight * partner.T @ partner
    return np.linalg.slogdet(precision + np.diag(λs) * n**model.reg_exponent)[1]


def assert_greedy(model, chosen, n_items, known, among):
    """Of those left, each has the largest determinant, to rounding, given those before it."""
    left = sorted({*among} - {*known})
    n, asked = len(known) + min(n_items, len(left)), [*known]
    assert len(chosen) == min(n_items, len(left))
    for item in chosen.tolist():
        gains = [log_determinant(model, [*asked, j], max(n, 1)) for j in left]
        assert gains[left.index(item)] == pytest.approx(max(gains), rel=1e-10, abs=1e-10)
        left.remove(item)  # which fails for an item that may not be asked about, or has been
        asked.append(item)


@given(st.integers(0, 10**6), variants, st.integers(0, 12), st.sampled_from([float, np.float32]))
def test_one_question_is_the_best_of_all(seed, variant, n_known, dtype):
    model = make_model(seed, 13, dtype=dtype, **VARIANTS[variant])
    known = np.random.default_rng(seed).permutation(13)[:n_known]
    (asked,) = alsnb.most_informative_items(model, 1, item_ids=known).tolist()
    left = [j for j in range(13) if j not in known]
    values = [log_determinant(model, [*known, j], n_known + 1) for j in left]
    assert asked in left
    rounding = 1e-10 if dtype is float else 1e-5
    assert values[left.index(asked)] == pytest.approx(max(values), rel=rounding, abs=rounding)


@given(
    seed=st.integers(0, 10**6),
    variant=variants,
    n_factors=st.integers(1, 5),
    n_items=st.integers(1, 16),
    n_known=st.integers(0, 5),
    n_among=st.one_of(st.none(), st.integers(0, 14)),
)
def test_questions_are_a_greedy_search(seed, variant, n_factors, n_items, n_known, n_among):
    model, rng = make_model(seed, 14, n_factors, **VARIANTS[variant]), np.random.default_rng(seed)
    known = rng.permutation(14)[:n_known]
    among = None if n_among is None else rng.permutation(14)[:n_among]
    arrays = [a for a in (model.U, model.V, *(model.partners or ()), known, among) if a is not None]
    before = [array.tobytes() for array in arrays]
    chosen = alsnb.most_informative_items(model, n_items, item_ids=known, among=among)
    assert chosen.dtype.kind == "i"
    assert_greedy(model, chosen, n_items, known, range(14) if among is None else among)
    assert [array.tobytes() for array in arrays] == before
    # Sets, in whatever order, and the same again
    options = {"item_ids": known[::-1].tolist(), "among": among if among is None else among[::-1]}
    again = alsnb.most_informative_items(model, n_items, **options)
    for a, b in zip(chosen, again, strict=True):
        assert a == b


@pytest.mark.parametrize("variant", VARIANTS)
def test_questions_about_fitted_models(toy, variant):
    options = dict(VARIANTS[variant])
    settings = {"reg_exponent": options.pop("nu", 0), "implicit_weight": options.pop("w", 0)}
    settings |= options | {"bias": "bias_reg" in options, "verbose": False, "rng": 0}
    model = alsnb.als_matrix_factorization(toy.R, 3, n_iterations=3, **settings)
    for known in ([], [5], [0, 6, 1]):
        chosen = alsnb.most_informative_items(model, 3, item_ids=known)
        assert_greedy(model, chosen, 3, known, range(7))


def test_five_by_default_and_never_one_twice():
    model = make_model(0, 30)
    assert len(alsnb.most_informative_items(model)) == 5
    everything = alsnb.most_informative_items(model, 10**9)
    assert sorted(everything.tolist()) == list(range(30))
    assert alsnb.most_informative_items(model, 3, item_ids=range(28)).tolist() in (
        [28, 29],
        [29, 28],
    )


@pytest.mark.parametrize("empty", [[], (), np.empty(0, int)], ids=repr)
def test_nothing_to_ask_about(empty):
    model = make_model(0)
    for options in ({"among": empty}, {"item_ids": range(12)}, {"among": [3], "item_ids": [3]}):
        chosen = alsnb.most_informative_items(model, 5, **options)
        assert (chosen.shape, chosen.dtype.kind) == ((0,), "i")


def test_equally_informative_items_go_by_position():
    model = make_model(0, lambda_reg=1.0, V=[[0, 1], [1, 0], [0, 1], [1, 0], [0, 0], [0, -1]])
    # Gains of 1 for all but item 4; then 1/2 for the direction that has been asked about
    assert alsnb.most_informative_items(model, 6).tolist() == [0, 1, 2, 3, 5, 4]
    assert alsnb.most_informative_items(model, 2, among=[5, 3, 2]).tolist() == [2, 3]
    nothing = make_model(0, V=np.zeros((4, 2)))
    assert alsnb.most_informative_items(nothing, 9, among=[2, 3, 0]).tolist() == [0, 2, 3]


def test_penalty_counts_the_questions_and_what_is_known():
    """With p = 0.4 n: item 1 gains 4 / (4 + p), item 2 gains 1 / p, so p is above or under 4/3."""
    V = [[2, 0], [2, 0], [0, 1], [0, 0]]
    weighted, plain = (make_model(0, lambda_reg=0.4, nu=nu, V=V) for nu in (1, 0))
    first = {
        (n_items, among): alsnb.most_informative_items(
            weighted, n_items, item_ids=[0], among=among
        ).tolist()[0]
        for n_items, among in ((1, None), (2, None), (3, None), (3, (1, 2)), (9, (1, 2)), (9, None))
    }
    assert [*first.values()] == [2, 2, 1, 2, 2, 1]
    assert alsnb.most_informative_items(plain, 3, item_ids=[0]).tolist() == [2, 1, 3]


def test_ratings_and_users_do_not_matter():
    options = VARIANTS["partners, bias"]
    model, other = make_model(3, **options), make_model(3, **options)
    other.U[:, :4], other.U[:, -1] = 7, 1.0  # factors, biases and μ
    other.V[:, 4] += 9  # biases of items, of which only the 1 beside them is seen
    chosen = alsnb.most_informative_items(model, 6, item_ids=[1, 2]).tolist()
    assert alsnb.most_informative_items(other, 6, item_ids=[1, 2]).tolist() == chosen


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"model": np.eye(3)}, TypeError, "model must be a Factorization, as a fit returns it"),
        ({"n_items": 0}, ValueError, "n_items must be at least 1, got 0"),
        ({"n_items": -3}, ValueError, "n_items must be at least 1"),
        ({"n_items": 2.0}, TypeError, "n_items must be a whole number, got 2.0"),
        ({"n_items": True}, TypeError, "n_items must be a whole number, got True"),
        ({"item_ids": [12]}, IndexError, "item_ids holds 12; the model has 0 to 11"),
        ({"item_ids": [-1]}, IndexError, "item_ids holds -1"),
        ({"item_ids": [1, 1]}, ValueError, "item_ids holds a position twice"),
        ({"item_ids": [1.0]}, TypeError, "item_ids must be whole numbers"),
        ({"among": [12]}, IndexError, "among holds 12; the model has 0 to 11"),
        ({"among": [2, 3, 2]}, ValueError, "among holds a position twice"),
        ({"among": np.ones(12, bool)}, TypeError, "among must be whole numbers"),
        ({"among": [[1, 2]]}, TypeError, "among must be whole numbers, one dimension"),
    ],
)
def test_questions_refuse(bad, error, message):
    with pytest.raises(error, match=message):
        alsnb.most_informative_items(**{"model": make_model(0)} | bad)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_questions_by_nonsense_are_an_error(value):
    model = make_model(0)
    model.V[7, 1] = value
    with pytest.raises(ValueError, match="NaN or ∞"):
        alsnb.most_informative_items(model)
