"""The section 'live' of bench.py: what single users wait for, and what updates leave out."""

from __future__ import annotations

import importlib.util
import time
from functools import partial

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from alsnb import (
    ALS,
    Factorization,
    add_rating_optimized,
    als_matrix_factorization_parallel,
    calculate_residuals,
    load_movielens,
    top_items,
)

ITEMS, STARS = np.array([318, 306, 172, 659, 292, 990]), np.array([5.0, 4, 3, 5, 4, 5])
REFERENCE = {"n_factors": 100, "lambda_reg": 0.1, "n_iterations": 20}
TUNED = {"n_factors": 10, "lambda_reg": 12, "bias": True, "bias_reg": (5, 2), "n_iterations": 15}


def fit(R, **settings):
    """A fit by threads, always from the same start."""
    return als_matrix_factorization_parallel(R, verbose=False, rng=0, **settings)


def milliseconds(calls):
    """Median time of each of some calls, after one that warms up."""
    calls[0]()
    times = []
    for call in calls:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return 1e3 * float(np.median(times))


def ours(R, dtype, repeats):
    """Ours, of one dtype: milliseconds, and how many updates a full retraining is worth."""
    R = R.astype(dtype)
    model = fit(R, **REFERENCE, dtype=dtype)
    users = np.random.default_rng(0).choice(R.shape[0], 200, replace=False)
    six = [partial(model.fold_in, (ITEMS, STARS))] * 500
    scores = lambda: model.V @ model.fold_in((ITEMS, STARS))  # noqa: E731
    both = [lambda: top_items(scores(), 10, exclude=ITEMS)] * 500
    updates = [partial(add_rating_optimized, int(u), ITEMS, STARS, R, model) for u in users]
    row = {
        "newcomer": milliseconds(six),
        "newcomer, top ten": milliseconds(both),
        "update": milliseconds(updates),
        "top ten for all": milliseconds([lambda: model.recommend(None, R)] * 20),
        "full retraining": milliseconds([lambda: fit(R, **REFERENCE, dtype=dtype)] * repeats),
    }
    return row | {"retraining / update": row["full retraining"] / row["update"]}


@threadpool_limits.wrap(limits=1, user_api="blas")  # as it asks for itself
def implicit(R, repeats):
    """The library implicit: another objective, the same sizes."""
    from implicit.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(factors=100, num_threads=2, use_gpu=False, random_state=0)
    R = sp.csr_matrix(R.astype(np.float32))
    model.fit(R, show_progress=False)
    place = np.zeros(len(ITEMS), int), ITEMS
    row = sp.csr_matrix((STARS.astype(np.float32), place), shape=(1, R.shape[1]))
    options = {"N": 10, "recalculate_user": True}
    every = np.arange(R.shape[0])
    return {
        "newcomer": milliseconds([lambda: model.recalculate_user(0, row)] * 500),
        "newcomer, top ten": milliseconds([lambda: model.recommend(0, row, **options)] * 500),
        "top ten for all": milliseconds([lambda: model.recommend(every, R, N=10)] * 20),
    }


def cmfrec(R, repeats):
    """The library cmfrec, without biases: the same objective."""
    import pandas as pd
    from cmfrec import CMF

    R = R.tocoo()
    table = pd.DataFrame({"UserId": R.coords[0], "ItemId": R.coords[1], "Rating": R.data})
    settings = {"user_bias": False, "item_bias": False, "center": False, "verbose": False}
    model = CMF(k=100, niter=2, lambda_=0.1, use_cg=False, nthreads=2, **settings).fit(table)
    newcomer = partial(model.factors_warm, X_col=ITEMS, X_val=STARS)
    return {"newcomer": milliseconds([newcomer] * 500)}


def latencies(repeats):
    """Milliseconds at f = 100, λ = 0.1, on all of MovieLens 100K."""
    R = load_movielens("100k").R
    rows = {dtype.__name__: ours(R, dtype, repeats) for dtype in (np.float64, np.float32)}
    for peer in (implicit, cmfrec):
        if importlib.util.find_spec(peer.__name__):
            rows[peer.__name__] = peer(R, repeats)
    columns = rows["float64"]
    return [
        {"who": who} | {name: row.get(name, float("nan")) for name in columns}
        for who, row in rows.items()
    ]


def crowd(memory_held):
    """10,000 newcomers with 20 ratings each, f = 64, and ten of 12,000 items for each of them."""
    rng, n, m, k = np.random.default_rng(0), 10_000, 12_000, 20
    items = np.concatenate([np.sort(rng.choice(m, k, replace=False)) for _ in range(n)])
    ratings = rng.integers(1, 6, n * k).astype(float)
    R = sp.csr_array((ratings, items, np.arange(0, n * k + 1, k)), shape=(n, m))
    V = rng.normal(0, 0.3, (m, 64))
    model = Factorization(np.zeros((1, 64)), V, ALS(n_factors=64))
    row = {"fold in, s": milliseconds([lambda: model.fold_in(R)] * 5) / 1e3}
    model = model.replace(U=model.fold_in(R))
    model.recommend(np.arange(10), R)  # loads and warms up what is needed
    before = memory_held(peak=False)
    model.recommend(None, R)
    row["memory of top ten, MB"] = memory_held() - before  # all that came before took less
    row["top ten, s"] = milliseconds([lambda: model.recommend(None, R)] * 5) / 1e3
    return [row]


def quality(settings, n_users):
    """RMSE on six ratings that are added, and on held-out ones: before, updated, retrained."""
    R, scores = load_movielens("100k").R, []
    counts = np.diff(R.indptr)
    rows = np.repeat(np.arange(R.shape[0]), counts)
    chosen = np.random.default_rng(0).choice(np.flatnonzero(counts >= 30), n_users, replace=False)
    for user in chosen.tolist():
        start, stop = R.indptr[user], R.indptr[user + 1]
        order = start + np.random.default_rng(user).permutation(stop - start)
        new, held = np.sort(order[:6]), np.sort(order[6 : 6 + max(6, len(order) // 5)])
        kept = np.ones(R.nnz, bool)
        kept[np.concatenate([new, held])] = False
        known = sp.coo_array((R.data[kept], (rows[kept], R.indices[kept])), shape=R.shape).tocsr()
        before = fit(known, **settings)
        items = R.indices[new]
        updated, R_new = add_rating_optimized(user, items, R.data[new], known, before)
        six = sp.coo_array((R.data[new], (rows[new], items)), shape=R.shape).tocsr()
        both, _ = updated.update(six, R_new, "items")
        both, _ = both.update(six, R_new)
        models = before, updated, both, fit(R_new, **settings)
        tops = [m.recommend(user, R_new)[0] for m in models]
        scores.append([])
        for m, top in zip(models, tops, strict=True):
            rmse = [
                np.sqrt(np.mean((R.data[k] - np.clip(m.V[R.indices[k]] @ m.U[user], 1, 5)) ** 2))
                for k in (new, held)
            ]
            scores[-1].append([*rmse, len(np.intersect1d(top, tops[-1]))])
    scores = np.array(scores)
    spread = (scores - scores[:, -1:]).std(axis=0, ddof=1) / np.sqrt(n_users)
    names = ("before", "user's row", "and movies' rows", "full retraining")
    return [
        {"model": name, "new": mean[0], "held out": mean[1], "top ten shared": mean[2]}
        | {"± new": error[0], "± held out": error[1]}
        for name, mean, error in zip(names, scores.mean(axis=0), spread, strict=True)
    ]


def drift():
    """RMSE above a fit anew, on ratings of known users, as new ratings come in; several starts."""
    data, gaps = load_movielens("100k"), {}
    log = data.table.sort_values("timestamp", kind="stable")

    def batch(start, stop):
        return data.to_matrix(log.iloc[start:stop])

    for first in range(30_000, 70_001, 10_000):
        so_far, step, sums = batch(0, first), first // 20, np.zeros(5)
        frozen = users = both = fit(so_far, **TUNED)
        for k in range(min(20, (len(log) - first) // step)):
            start = first + k * step
            arriving = batch(start, start + step)
            rows = np.repeat(np.arange(data.R.shape[0]), np.diff(arriving.indptr))
            met = np.diff(so_far.indptr)[rows] > 0
            models = frozen, users, both, fit(so_far, **TUNED)
            errors = [calculate_residuals(arriving, m.U, m.V, clip=(1, 5))[met] for m in models]
            sums += [met.sum(), *(np.sum(e**2) for e in errors)]
            users, _ = users.update(arriving, so_far)
            both, _ = both.update(arriving, so_far)
            both, so_far = both.update(arriving, so_far, "items")
            if k % 4 == 3:  # a fifth more
                rmse = np.sqrt(sums[1:] / sums[0])
                gaps.setdefault(k // 4, []).append(rmse[:3] - rmse[3])
                sums = np.zeros(5)
    rows = []
    for k, found in gaps.items():
        mean, spread = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
        rows.append({"new ratings, %": f"{20 * k}-{20 * k + 20}", "starts": len(found)})
        for name, gap, error in zip(("frozen", "users", "both"), mean, spread, strict=True):
            rows[-1] |= {name: gap, f"± {name}": error}
    return rows
