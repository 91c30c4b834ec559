"""Typical wrong answers to the exercises of chapter 09; see tests/test_coursework.py."""


# %% 9.1 check: ranks count from 1
def score_list(listed, hidden, k):
    hit = np.isin(listed, hidden)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = 1 / np.log2(np.arange(1, k + 1))  # log2(1) is 0
        return hit.mean(), hit.sum() / len(hidden), gain[hit].sum() / gain[: len(hidden)].sum()


# %% 9.1 check: a perfect list would have both hidden movies
def score_list(listed, hidden, k):
    hit = np.isin(listed, hidden)
    gain = 1 / np.log2(1 + np.arange(1, len(hit) + 1))
    best = gain[: hit.sum()].sum() or 1  # of what was found, put first
    return hit.mean(), hit.sum() / len(hidden), gain[hit].sum() / best


# %% 9.1 hidden: 25 hidden
def score_list(listed, hidden, k):
    hit = np.isin(listed, hidden)
    gain = 1 / np.log2(1 + np.arange(1, len(hit) + 1))
    best = np.sum(1 / np.log2(1 + np.arange(1, len(hidden) + 1)))  # more than k of them
    return hit.sum() / k, hit.sum() / len(hidden), gain[hit].sum() / best


# %% 9.1 hidden: 6 listed
def score_list(listed, hidden, k):
    hit = np.isin(listed, hidden)
    gain = 1 / np.log2(1 + np.arange(1, len(hit) + 1))
    best = np.sum(1 / np.log2(1 + np.arange(1, min(k, len(hidden)) + 1)))
    return hit.mean(), hit.sum() / len(hidden), gain[hit].sum() / best  # not out of k


# %% 9.2 check: equal scores: always
def fair_list(scores, seen, k, rng):
    order = np.argsort(-scores, kind="stable")
    return order[~np.isin(order, seen)][:k]


# %% 9.2 check: equal scores: each of 1, 2, 3
def fair_list(scores, seen, k, rng):
    turn = np.arange(len(scores))[:: rng.choice([1, -1])]  # forwards or backwards
    order = turn[np.argsort(-scores[turn], kind="stable")]
    return order[~np.isin(order, seen)][:k]


# %% 9.2 check: without movie 1 there are two
def fair_list(scores, seen, k, rng):
    order = rng.permutation(len(scores))
    order = order[np.argsort(-scores[order], kind="stable")][:k]
    return order[~np.isin(order, seen)]  # after the cut


# %% 9.2 hidden: scores that differ by 1e-9
def fair_list(scores, seen, k, rng):
    noisy = scores + 1e-6 * rng.random(len(scores))
    noisy[seen] = -np.inf
    return np.argsort(-noisy)[: min(k, len(scores) - len(seen))]


# %% 9.2 hidden: what was seen is not listed at all
def fair_list(scores, seen, k, rng):
    own = scores.copy()
    own[seen] = -np.inf
    return np.lexsort((rng.random(len(own)), -own))[:k]


# %% 9.2 hidden: two of four equal movies
def fair_list(scores, seen, k, rng):
    start = rng.integers(len(scores))  # a turn, not a shuffle
    order = np.roll(np.arange(len(scores)), start)
    order = order[~np.isin(order, seen)]
    return order[np.argsort(-scores[order], kind="stable")][:k]


# %% 9.3 check: G holds α₀ of all pairs already
def shared_row(Y, G, observed, c, p, alpha_0, penalty):
    Y_i = Y[observed]
    A = G + (Y_i.T * c) @ Y_i + penalty * np.eye(len(G))
    return np.linalg.solve(A, Y_i.T @ (c * p))


# %% 9.3 check: the right side holds c p, whole
def shared_row(Y, G, observed, c, p, alpha_0, penalty):
    Y_i = Y[observed]
    A = G + (Y_i.T * (c - alpha_0)) @ Y_i + penalty * np.eye(len(G))
    return np.linalg.solve(A, Y_i.T @ ((c - alpha_0) * p))


# %% 9.3 check: where nothing is observed there is weight
def shared_row(Y, G, observed, c, p, alpha_0, penalty):
    Y_i = Y[observed]
    A = (Y_i.T * c) @ Y_i + penalty * np.eye(len(G))
    return np.linalg.solve(A, Y_i.T @ (c * p))


# %% 9.3 check: its p is 0
def shared_row(Y, G, observed, c, p, alpha_0, penalty):
    Y_i = Y[observed]
    A = G + (Y_i.T * (c - alpha_0)) @ Y_i + penalty * np.eye(len(G))
    return np.linalg.solve(A, Y_i.T @ c)


# %% 9.3 hidden: use only those rows of Y
def shared_row(Y, G, observed, c, p, alpha_0, penalty):
    all_c, all_p = np.full(len(Y), alpha_0), np.zeros(len(Y))
    all_c[observed], all_p[observed] = c, p
    A = (Y.T * all_c) @ Y + penalty * np.eye(len(G))
    return np.linalg.solve(A, Y.T @ (all_c * all_p))


# %% 9.3 answer: uses dense_row
def shared_row(Y, G, observed, c, p, alpha_0, penalty):
    return dense_row(Y, observed, c, p, alpha_0, penalty)


# %% 9.4 check: its α₀ s² comes off again
def loss_over_all_pairs(R, U, V, alpha, alpha_0):
    known = R.tocoo()
    s = np.sum(U[known.row] * V[known.col], axis=1)
    c = alpha_0 + alpha * known.data
    return alpha_0 * np.sum((U.T @ U) * (V.T @ V)) + np.sum(c * (1 - s) ** 2)


# %% 9.4 check: nothing observed
def loss_over_all_pairs(R, U, V, alpha, alpha_0):
    known = R.tocoo()
    s = np.sum(U[known.row] * V[known.col], axis=1)
    return np.sum((alpha_0 + alpha * known.data) * (1 - s) ** 2)  # observed pairs only


# %% 9.4 hidden: 8 × 5
def loss_over_all_pairs(R, U, V, alpha, alpha_0):
    known = R.tocoo()
    s = np.sum(U[known.row] * V[known.col], axis=1)
    c = alpha_0 + alpha * known.data
    lengths = np.sum(U**2) * np.sum(V**2)  # right for one factor
    return alpha_0 * lengths + np.sum(c * (1 - s) ** 2 - alpha_0 * s**2)


# %% 9.4 hidden: a matrix of users × movies
def loss_over_all_pairs(R, U, V, alpha, alpha_0):
    r = R.toarray()
    return np.sum((alpha_0 + alpha * r) * ((r > 0) - U @ V.T) ** 2)


# %% 9.5 check: it has to be 0
def ease(X, lambda_reg, watched):
    P = np.linalg.inv(X.T @ X + lambda_reg * np.eye(X.shape[1]))
    B = -P / np.diag(P)
    scores = B[watched].sum(axis=0)
    scores[watched] = -np.inf
    movie = np.argmax(scores)
    return B, movie, watched[np.argmax(B[watched, movie])]


# %% 9.5 check: divide each column
def ease(X, lambda_reg, watched):
    P = np.linalg.inv(X.T @ X + lambda_reg * np.eye(X.shape[1]))
    B = -P / np.diag(P)[:, None]
    np.fill_diagonal(B, 0)
    scores = B[watched].sum(axis=0)
    scores[watched] = -np.inf
    movie = np.argmax(scores)
    return B, movie, watched[np.argmax(B[watched, movie])]


# %% 9.5 check: Is a minus missing
def ease(X, lambda_reg, watched):
    P = np.linalg.inv(X.T @ X + lambda_reg * np.eye(X.shape[1]))
    B = P / np.diag(P)
    np.fill_diagonal(B, 0)
    movie = np.argmax(B[watched].sum(axis=0))
    return B, movie, watched[0]


# %% 9.5 check: only 2 is left
def ease(X, lambda_reg, watched):
    P = np.linalg.inv(X.T @ X + lambda_reg * np.eye(X.shape[1]))
    B = -P / np.diag(P)
    np.fill_diagonal(B, 0)
    movie = np.argmax(B[watched].sum(axis=0))  # may be a watched one
    return B, movie, watched[np.argmax(B[watched, movie])]


# %% 9.5 hidden: adds most to
def ease(X, lambda_reg, watched):
    P = np.linalg.inv(X.T @ X + lambda_reg * np.eye(X.shape[1]))
    B = -P / np.diag(P)
    np.fill_diagonal(B, 0)
    scores = B[watched].sum(axis=0)
    scores[watched] = -np.inf
    movie = np.argmax(scores)
    return B, movie, watched[np.argmax(B[movie, watched])]  # the other way round


# %% 9.5 hidden: λ = 2.5
def ease(X, lambda_reg, watched):
    P = np.linalg.inv(X.T @ X + np.eye(X.shape[1]))  # λ = 1, whatever is asked
    B = -P / np.diag(P)
    np.fill_diagonal(B, 0)
    scores = B[watched].sum(axis=0)
    scores[watched] = -np.inf
    movie = np.argmax(scores)
    return B, movie, watched[np.argmax(B[watched, movie])]


# %% 9.6 check: half of 1/log2(1 + 2)
def expected_ndcg(ranks, n_movies, n_sampled, k):
    above = np.arange(k)
    chance = hypergeom.pmf(above, n_movies - 1, ranks[:, None], n_sampled)  # itself included
    return np.mean(chance @ (1 / np.log2(2 + above)))


# %% 9.6 check: each with chance 1/2
def expected_ndcg(ranks, n_movies, n_sampled, k):
    rank = 1 + (ranks - 1) * n_sampled / (n_movies - 1)  # NDCG of the expected rank
    return np.mean(np.where(rank <= k, 1 / np.log2(1 + rank), 0))


# %% 9.6 check: rank 20 is beyond 10
def expected_ndcg(ranks, n_movies, n_sampled, k):
    above = np.arange(n_sampled + 1)  # without the cut at k
    chance = hypergeom.pmf(above, n_movies - 1, ranks[:, None] - 1, n_sampled)
    return np.mean(chance @ (1 / np.log2(2 + above)))


# %% 9.6 hidden: drawn
from scipy.stats import binom


def expected_ndcg(ranks, n_movies, n_sampled, k):
    if n_sampled == n_movies - 1:
        return np.mean(np.where(ranks <= k, 1 / np.log2(1 + ranks), 0))
    above = np.arange(k)  # drawn with repeats
    chance = binom.pmf(above, n_sampled, (ranks[:, None] - 1) / (n_movies - 1))
    return np.mean(chance @ (1 / np.log2(2 + above)))
