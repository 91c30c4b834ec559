"""Other libraries find the same: scikit-learn and, where installed, implicit and cmfrec."""

import numpy as np
import pytest
import scipy.sparse as sp
from helpers import SMALL, both_sides, close, data_of, fitted, turned
from threadpoolctl import threadpool_limits

import alsnb
from alsnb import ALS, rated_by
from alsnb.als import start

RATED = SMALL[np.arange(40) != 5][:, np.arange(30) != 7]  # all have ratings
COUNTED = data_of("counts", SMALL)


@pytest.mark.parametrize("ν", [0, 0.5, 1])
def test_a_half_step_is_scikit_learns_ridge_row_by_row(ν):
    sklearn, λ = pytest.importorskip("sklearn.linear_model"), 0.3
    R, Y = RATED, np.random.default_rng(0).normal(size=(29, 15))
    X, rows = alsnb.half_step(R, Y, λ, ν), [rated_by(R, i) for i in range(R.shape[0])]
    lengths = [len(items) for items, _ in rows]
    assert min(lengths) < 15 < max(lengths)
    for x, (items, stars) in zip(X, rows, strict=True):
        p, w = λ * len(items) ** ν, 0.5 + stars
        ridge = sklearn.Ridge(alpha=p, fit_intercept=False)
        close(x, ridge.fit(Y[items], stars).coef_, 1e-11)
        weighted = alsnb.solve_row(Y[items], stars, p, weights=w)
        close(weighted, ridge.fit(Y[items], stars, sample_weight=w).coef_, 1e-11)


@both_sides
def test_confidence_is_scikit_learns_ridge_of_all_pairs_weighted(side):
    sklearn, rows = pytest.importorskip("sklearn.linear_model"), turned(side, COUNTED).toarray()
    model = fitted("counts")
    s, Y = model.settings, model.V if side == "users" else model.U
    X = model.fold_in(turned(side, COUNTED), side)
    for x, row in zip(X, rows, strict=True):
        p = s.lambda_reg * (np.sum(row > 0) + s.unobserved_weight * len(row)) ** s.reg_exponent
        ridge = sklearn.Ridge(alpha=p, fit_intercept=False)
        c = s.unobserved_weight + s.confidence * row
        close(x, ridge.fit(Y, row > 0, sample_weight=c).coef_, 1e-11)


@pytest.mark.parametrize("k", [1, 5, 30])
@pytest.mark.parametrize("ties", [False, True])
def test_ndcg_is_scikit_learns(ties, k):
    """Of equal scores the order is drawn: on average, it has what all orders have on average."""
    ndcg_score = pytest.importorskip("sklearn.metrics").ndcg_score
    train, test = alsnb.train_test_split(SMALL, 0.3, rng=0)
    scores = np.random.default_rng(1).normal(size=SMALL.shape)
    scores = np.round(scores) if ties else scores
    runs = np.array(
        [
            alsnb.evaluate_lists(scores, train, test, k, per_user=True, rng=seed)["ndcg"]
            for seed in range(200 if ties else 1)
        ]
    )
    users = np.flatnonzero(np.diff(test.indptr))
    expected = []
    for user in users:
        left = np.setdiff1d(np.arange(30), rated_by(train, user)[0])
        hits = np.isin(left, rated_by(test, user)[0])
        expected.append(ndcg_score([hits], [scores[user, left]], k=k))
    if not ties:
        close(runs[0], expected, 1e-12)
        return
    error = runs.std(axis=0) / np.sqrt(len(runs))
    assert (abs(runs.mean(axis=0) - expected) <= 4.5 * error + 1e-12).all()
    assert error.max() > 0.005


@pytest.mark.parametrize("α", [1.0, 40.0])
@pytest.mark.parametrize(
    ("solver", "dtype", "rounding"),
    [("exact", "float64", 1e-10), ("exact", "float32", 1e-3), ("cg", "float64", 1e-10)],
)
def test_implicits_factors_are_the_same_from_the_same_start(
    monkeypatch, solver, dtype, rounding, α
):
    """It takes c itself, in float32, and for its steps λ, too; all of these are exact there."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # or it warns
    peer = pytest.importorskip("implicit.cpu.als")
    R, λ = COUNTED, 0.25
    C = sp.csr_matrix((1 + α * R.data, R.indices, R.indptr), shape=R.shape, dtype=np.float32)
    options = {"regularization": λ, "alpha": 1, "use_cg": solver == "cg", "dtype": dtype}
    with threadpool_limits(1, user_api="blas"):
        theirs = peer.AlternatingLeastSquares(4, iterations=3, **options)
        theirs.user_factors, theirs.item_factors = start(R, 4, 0, dtype)
        theirs.fit(C, show_progress=False)
    settings, options = ALS(4, λ, confidence=α), {"solver": solver, "dtype": dtype, "rng": 0}
    ours = settings.fit(R, 3, verbose=False, **options)
    close(ours.U, theirs.user_factors, rounding)
    close(ours.V, theirs.item_factors, rounding)


BIASES = {"user_bias": True, "item_bias": True, "center": True}
CMFREC = {  # its λ are those of b_u, b_i, U, V and two more; scale_lam is ν = 1
    "plain": ({"lambda_": 2}, ALS(4, 2)),
    "weighted": ({"lambda_": 0.2, "scale_lam": True}, ALS(4, 0.2, 1)),
    "biases": (
        BIASES | {"lambda_": [1.5, 2.5, 3, 4, 1, 1]},
        ALS(4, (3, 4), bias=True, bias_reg=(1.5, 2.5)),
    ),
    "weighted biases": (
        BIASES | {"lambda_": [0.1, 0.2, 0.3, 0.4, 1, 1], "scale_lam": True},
        ALS(4, (0.3, 0.4), 1, bias=True, bias_reg=(0.1, 0.2)),
    ),
    "counts": ({"lambda_": 2, "alpha": 1.5}, ALS(4, 2, confidence=1.5)),
}


@pytest.mark.parametrize("kind", CMFREC)
def test_cmfrecs_iterations_are_ours(kind):
    """From its factors after three of its iterations to those after eight; it solves users last."""
    cmfrec, (options, settings) = pytest.importorskip("cmfrec"), CMFREC[kind]
    options = options | {"k": 4, "use_cg": False, "use_float": False, "nthreads": 1}
    R, (n, m) = RATED, (np.ones((size, 1)) for size in RATED.shape)
    if kind == "counts":
        R, peer = data_of("counts", RATED), cmfrec.CMF_implicit
    else:
        options, peer = {**dict.fromkeys(BIASES, False), **options}, cmfrec.CMF
    models = []
    for n_iterations in (3, 8):
        theirs = peer(niter=n_iterations, **options).fit(R.tocoo())
        U, V = theirs.A_, theirs.B_
        if settings.bias:
            U = np.column_stack([U, theirs.user_bias_, n, theirs.glob_mean_ * n])
            V = np.column_stack([V, m, theirs.item_bias_, m])
        models.append(alsnb.Factorization(U, V, settings))
        close(models[-1].fold_in(R), U, 1e-12)
    ours, later = models
    assert abs(ours.U - later.U).max() > 0.01
    for _ in range(5):
        ours = ours.with_rows("items", ours.fold_in(R.T, "items"))
        ours = ours.with_rows("users", ours.fold_in(R))
    close(ours.U, later.U, 1e-10)
    close(ours.V, later.V, 1e-10)
