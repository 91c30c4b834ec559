"""Bad input: one clear sentence, and nothing computed before it."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp

import alsnb
from alsnb.checks import check_ratings

GOOD = sp.csr_array(np.arange(1.0, 13).reshape(4, 3))


def holding(dtype):
    """Ratings of a dtype that SciPy itself would not build a matrix of, or only some versions."""
    R = GOOD.copy()
    R.data = R.data.astype(dtype)
    return R


def with_rating(value):
    R = GOOD.copy()
    R.data[5] = value
    return R


TWICE = sp.coo_array(([3.0, 4.0, 1.0], ([0, 0, 1], [2, 2, 1])), shape=(4, 3))
NO_LIST = "R must be a two-dimensional SciPy sparse matrix, got list; build one with alsnb.rat"

MATRICES = {
    "list": (GOOD.toarray().tolist(), TypeError, NO_LIST),
    "array": (GOOD.toarray(), TypeError, "got ndarray; build one with alsnb.ratings_to_matrix"),
    "none": (None, TypeError, "got NoneType"),
    "1-D": (sp.coo_array(np.ones(3)), TypeError, "must be a two-dimensional SciPy sparse matrix"),
    "NaN": (with_rating(np.nan), ValueError, "R holds NaN or ∞ in 1 of 12 ratings"),
    "inf": (with_rating(np.inf), ValueError, "R holds NaN or ∞ in 1 of 12 ratings"),
    "text": (holding(str), TypeError, "R must hold real numbers, got dtype <U32"),
    "object": (holding(object), TypeError, "R must hold real numbers, got dtype object"),
    "complex": (GOOD.astype(complex), TypeError, "R must hold real numbers, got dtype complex128"),
    "bool": (GOOD.astype(bool), TypeError, "R must hold real numbers, got dtype bool"),
    "no ratings": (sp.csr_array((4, 3)), ValueError, "R (4 × 3) holds no ratings"),
    "no rows": (sp.csr_array((0, 3)), ValueError, "R (0 × 3) holds no ratings"),
    "nothing": (sp.csr_array((0, 0)), ValueError, "R (0 × 0) holds no ratings"),
    "twice, COO": (TWICE, ValueError, "R is ambiguous: 1 of 3 ratings repeat a (user, item) pair"),
}
SETTINGS = [
    ({"lambda_reg": 0}, ValueError, "lambda_reg must be finite and positive, got 0"),
    ({"lambda_reg": -1}, ValueError, "lambda_reg must be finite and positive, got -1"),
    ({"lambda_reg": np.nan}, ValueError, "lambda_reg must be finite and positive, got nan"),
    ({"lambda_reg": np.inf}, ValueError, "lambda_reg must be finite and positive, got inf"),
    ({"lambda_reg": "0.1"}, TypeError, "lambda_reg must be a number, got '0.1'"),
    ({"lambda_reg": True}, TypeError, "lambda_reg must be a number, got True"),
    ({"reg_exponent": -0.5}, ValueError, "reg_exponent must be finite and not negative"),
    (
        {"reg_exponent": 1000},
        ValueError,
        "reg_exponent must be from 0 (plain) to 1 (weighted) or so",
    ),
    ({"n_factors": 0}, ValueError, "n_factors must be at least 1, got 0"),
    ({"n_factors": -3}, ValueError, "n_factors must be at least 1, got -3"),
    ({"n_factors": 2.5}, TypeError, "n_factors must be a whole number, got 2.5"),
    ({"n_factors": 2.0}, TypeError, "n_factors must be a whole number, got 2.0"),
    ({"n_factors": "3"}, TypeError, "n_factors must be a whole number, got '3'"),
    ({"n_factors": True}, TypeError, "n_factors must be a whole number, got True"),
    ({"n_iterations": 0}, ValueError, "n_iterations must be at least 1, got 0"),
    ({"n_iterations": 1.5}, TypeError, "n_iterations must be a whole number, got 1.5"),
    ({"tol": -1e-3}, ValueError, "tol must be finite and not negative, got -0.001"),
    ({"tol": "small"}, TypeError, "tol must be a number, got 'small'"),
    ({"dtype": np.float16}, ValueError, "dtype must be float32 or float64, got float16"),
    ({"dtype": int}, ValueError, "dtype must be float32 or float64, got int"),
    ({"R_test": GOOD.T}, ValueError, "R_test has shape (3, 4) but R has (4, 3)"),
    ({"R_test": GOOD[:2]}, ValueError, "R_test has shape (2, 3) but R has (4, 3)"),
    ({"R_test": GOOD.toarray()}, TypeError, "R_test must be a two-dimensional SciPy sparse matrix"),
    ({"R_test": with_rating(np.nan)}, ValueError, "R_test holds NaN or ∞ in 1 of 12 ratings"),
    ({"R_test": sp.csr_array((4, 3))}, ValueError, "R_test (4 × 3) holds no ratings"),
]
SETTINGS += [({"R": R}, error, message) for R, error, message in MATRICES.values()]


def als(R=GOOD, n_factors=2, lambda_reg=0.1, **options):
    return alsnb.als_matrix_factorization(R, n_factors, lambda_reg, **options)


def blocks(R=GOOD, n_factors=2, lambda_reg=0.1, **options):
    return alsnb.als_matrix_factorization_parallel(R, n_factors, lambda_reg, **options)


def full_batch(R=GOOD, n_factors=2, lambda_reg=0.1, learning_rate=1e-3, **options):
    options["learning_rate"] = learning_rate
    return alsnb.gradient_descent(R, n_factors, lambda_reg, **options)


def stochastic(**options):
    return full_batch(stochastic=True, **options)


@pytest.fixture
def idle(monkeypatch):
    """Fail the test if a row is solved, a gradient taken or an error calculated."""

    def computed(*args, **options):
        pytest.fail("something was computed before the input was checked")

    names = ("als.solve_row", "blocks.solve_block", "loop.calculate_rmse")
    for name in (*names, "gradient.objective_gradient"):
        monkeypatch.setattr(f"alsnb.{name}", computed)


@pytest.mark.parametrize("optimise", [als, full_batch, stochastic])
@pytest.mark.parametrize(("settings", "error", "message"), SETTINGS)
def test_bad_input_is_refused_at_once(idle, optimise, settings, error, message, capsys):
    with pytest.raises(error) as caught:
        optimise(**settings)
    assert type(caught.value) is error
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("learning_rate", "error", "message"),
    [
        (0, ValueError, "learning_rate must be finite and positive, got 0"),
        (-1e-3, ValueError, "learning_rate must be finite and positive, got -0.001"),
        (np.nan, ValueError, "learning_rate must be finite and positive, got nan"),
        ("fast", TypeError, "learning_rate must be a number, got 'fast'"),
        (None, TypeError, "learning_rate must be a number, got None"),
    ],
)
def test_bad_learning_rate(idle, learning_rate, error, message):
    with pytest.raises(error, match=message):
        full_batch(learning_rate=learning_rate)


A_PAIR = "must be a number, or a pair for users and items, got"
TERMS = [
    ({"lambda_reg": 0}, ValueError, "got 0; it is what makes a row with fewer ratings than factor"),
    ({"lambda_reg": (0.1, 0)}, ValueError, "lambda_reg must be finite and positive, got 0; it is"),
    ({"lambda_reg": (1, 2, 3)}, ValueError, f"lambda_reg {A_PAIR} (1, 2, 3)"),
    ({"lambda_reg": ("1", 1)}, TypeError, "lambda_reg must be a number, got '1'"),
    ({"bias_reg": 0.1}, ValueError, "bias_reg is the λ of biases; pass bias=True as well"),
    ({"bias": True, "bias_reg": (1, -1)}, ValueError, "bias_reg must be finite and positive, got"),
    ({"bias": True, "bias_reg": [1]}, ValueError, f"bias_reg {A_PAIR} [1]"),
    ({"implicit_weight": -1}, ValueError, "implicit_weight must be finite and not negative, got"),
    ({"implicit_reg": 0}, ValueError, "implicit_reg must be finite and positive, got 0"),
]


@pytest.mark.parametrize("optimise", [als, blocks])
@pytest.mark.parametrize(("settings", "error", "message"), TERMS)
def test_bad_terms_are_refused_at_once(idle, optimise, settings, error, message):
    with pytest.raises(error) as caught:
        optimise(**settings)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"patience": 0}, ValueError, "patience must be at least 1, got 0"),
        ({"R_validation": GOOD.toarray()}, TypeError, "R_validation must be a two-dimensional Sc"),
    ],
)
def test_bad_early_stopping(settings, error, message):
    with pytest.raises(error, match=message):
        alsnb.EarlyStopping(**{"R_validation": GOOD} | settings)


def test_ratings_beyond_float32():
    with pytest.raises(ValueError, match="R holds ratings too large for float32"):
        check_ratings(GOOD * 1e100, dtype=np.float32)


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csc_array])
def test_duplicates_are_seen_in_compressed_formats_too(kind):
    R = kind((np.array([3.0, 4.0, 1.0]), [1, 1, 0], [0, 2, 3]), shape=(2, 2))
    with pytest.raises(ValueError, match="1 of 3 ratings repeat a"):
        als(R)
    assert R.nnz == 3  # and nothing was added up in the caller's matrix


def test_checked_ratings_are_canonical_floats():
    for dtype, expected in ((int, float), (np.int8, float), (float, float)):
        assert check_ratings(GOOD.astype(dtype)).dtype == expected
    assert check_ratings(GOOD.astype(np.float32)).dtype == np.float32
    assert check_ratings(GOOD, dtype=np.float32).dtype == np.float32
    zeros = check_ratings(sp.coo_array(([0.0, 2.0], ([1, 0], [0, 1])), shape=(2, 2)))
    assert zeros.nnz == 2
    assert zeros.toarray().tolist() == [[0, 2], [0, 0]]


@pytest.mark.parametrize("optimise", [als, full_batch, stochastic])
def test_ratings_beyond_floats_diverge_in_one_sentence(optimise):
    with pytest.raises(alsnb.DivergenceError, match="check half_step and the scale of the ratings"):
        optimise(R=GOOD * 1e200)


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
def test_a_stored_zero_is_a_rating_in_every_format_or_it_is_refused(kind):
    """Blocks hold zeros that nobody gave, diagonals lose those that somebody did."""
    R = sp.csr_array(([5.0, 0, 3, 4], ([0, 0, 1, 3], [0, 3, 1, 1])), shape=(4, 4))
    if kind in ("bsr", "dia"):
        with pytest.raises(TypeError, match=f"R is in {kind.upper()} format"):
            check_ratings(R.asformat(kind))
    else:
        csr = check_ratings(R.asformat(kind))
        assert (csr.nnz, csr.toarray().tolist()) == (4, R.toarray().tolist())


@pytest.mark.parametrize("index", [4, 100, -1])
def test_indices_beyond_the_matrix_are_found(index):
    R = sp.csr_array(([5.0, 3, 4], ([0, 1, 3], [0, 1, 2])), shape=(4, 4))
    R.indices[2] = index
    with pytest.raises(ValueError, match=r"R is damaged: .* shape \(4, 4\)"):
        check_ratings(R)


@pytest.mark.parametrize("name", ["item_ids", "ratings"])
def test_rows_that_are_no_plain_arrays(name):
    row = {"item_ids": [1, 2], "ratings": [4, 5]}
    model = alsnb.als_matrix_factorization(GOOD, 2, n_iterations=1, verbose=False, rng=0)
    for bad, error, message in (
        (np.ma.array([1, 2], mask=[0, 1]), TypeError, "must not be a masked array"),
        ([[1], [1, 2]], ValueError, "must be one array, not lists of different lengths"),
    ):
        with pytest.raises(error, match=f"{name} {message}"):
            alsnb.fold_in_user(**row | {name: bad}, model=model)


def test_numbers_that_are_too_long_to_read_or_to_hold():
    with pytest.raises(TypeError) as caught:
        alsnb.hold_out(GOOD, list(range(10**6)))
    assert len(str(caught.value)) < 200
    for huge in (10**400, Fraction(10**400)):
        with pytest.raises(ValueError, match="shrinkage must be finite and not negative") as caught:
            alsnb.popularity_scores(GOOD, huge)
        assert len(str(caught.value)) < 200
    half = alsnb.popularity_scores(GOOD, Fraction(1, 2))
    assert np.array_equal(half, alsnb.popularity_scores(GOOD, 0.5))


@pytest.mark.parametrize("dtype", [str, complex, object])
def test_factors_must_be_real_numbers(dtype):
    U, V = (np.ones((size, 2)).astype(dtype) for size in GOOD.shape)
    with pytest.raises(TypeError, match="U and V must hold real numbers, got dtypes"):
        alsnb.calculate_rmse(GOOD, U, V)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": int}, "dtype must be float32 or float64, got int"),
        ({"scale": np.nan}, "scale must be finite and positive, got nan"),
    ],
)
def test_starts_that_would_not_start(options, message):
    with pytest.raises(ValueError, match=message):
        alsnb.init_matrix_factorization(4, 3, 2, **options)


def test_half_step_sees_the_usual_slips():
    """The own factors instead of the other side's, and a transpose that is no longer CSR."""
    U, V = np.ones((GOOD.shape[0], 2)), np.ones((GOOD.shape[1], 2))
    with pytest.raises(ValueError, match="Y 4 rows; Y is the other side's"):
        alsnb.half_step(GOOD, U, 0.1)
    with pytest.raises(TypeError, match=r"call \.tocsr\(\) on it, after transposing it"):
        alsnb.half_step(GOOD.T, U, 0.1)
    assert alsnb.half_step(GOOD, V, 0.1).shape == U.shape


def test_good_matrix_is_not_copied():
    assert np.shares_memory(check_ratings(GOOD).data, GOOD.data)
