"""Typical wrong answers to the exercises of chapter 08; see tests/test_coursework.py."""


# %% 8.1 check: precisions add up
def posterior_of_row(Y, r, sigma, tau):
    A = Y.T @ Y + sigma**2 / tau**2 * np.eye(Y.shape[1])
    return np.linalg.solve(A, Y.T @ r), A / sigma**2  # the precision


# %% 8.1 check: the prior, τ² I
def posterior_of_row(Y, r, sigma, tau):
    A = Y.T @ Y + sigma**2 / tau**2 * np.eye(Y.shape[1])
    return np.linalg.solve(A, Y.T @ r), np.linalg.inv(A)  # in units of the noise


# %% 8.1 check: the factor σ² of Σ, or p
def posterior_of_row(Y, r, sigma, tau):
    A = Y.T @ Y / sigma + np.eye(Y.shape[1]) / tau**2  # σ, not its square
    return np.linalg.solve(A, Y.T @ r / sigma), np.linalg.inv(A)


# %% 8.1 hidden: mean
def posterior_of_row(Y, r, sigma, tau):
    A = Y.T @ Y + sigma**2 / tau**2 * np.eye(Y.shape[1])
    ridge = Y.T @ Y + np.eye(Y.shape[1])  # λ = 1, whatever σ and τ
    return np.linalg.solve(ridge, Y.T @ r), sigma**2 * np.linalg.inv(A)


# %% 8.2 check: is it L⁻ᵀ z
def draw_rows(A, x, sigma, z):
    L = np.linalg.cholesky(A)
    return x + sigma * np.linalg.solve(L, z.T).T  # L⁻¹ z


# %% 8.2 check: std 1/2
def draw_rows(A, x, sigma, z):
    L = np.linalg.cholesky(A)
    return x + sigma * z @ L.T  # the covariance A


# %% 8.2 check: is it L⁻ᵀ z
def draw_rows(A, x, sigma, z):
    L = np.linalg.cholesky(A)
    return x + sigma**2 * np.linalg.solve(L.T, z.T).T


# %% 8.3 check: variances add up
def coverage(mean, s, sigma, stars, level):
    reach = norm.ppf((1 + level) / 2) * (s + sigma)
    return np.mean(np.abs(stars - mean) <= reach)


# %% 8.3 check: leave 5 % on either side
def coverage(mean, s, sigma, stars, level):
    reach = norm.ppf(level) * np.sqrt(s**2 + sigma**2)  # 10 % on either side
    return np.mean(np.abs(stars - mean) <= reach)


# %% 8.3 check: leave 5 % on either side
def coverage(mean, s, sigma, stars, level):
    return np.mean(np.abs(stars - mean) <= norm.ppf((1 + level) / 2) * s)


# %% 8.3 hidden: are inside
def coverage(mean, s, sigma, stars, level):
    reach = {0.9: 1.64, 0.5: 0.67}.get(level, 1.64) * np.sqrt(s**2 + sigma**2)
    return np.mean(np.abs(stars - mean) <= reach)


# %% 8.4 check: drop the burn-in
def r_hats(draws, burn_in):
    T = draws.shape[1]
    within = draws.var(axis=1, ddof=1).mean(axis=0)
    return np.sqrt((T - 1) / T + draws.mean(axis=1).var(axis=0, ddof=1) / within)


# %% 8.4 hidden: 3 chains
def r_hats(draws, burn_in):
    kept = draws[:, burn_in:]
    T, within = kept.shape[1], kept.var(axis=1).mean(axis=0)  # both with ddof=0
    return np.sqrt((T - 1) / T + kept.mean(axis=1).var(axis=0) / within)


# %% 8.4 check: √(1/2 + 0.5/2)
def r_hats(draws, burn_in):
    kept = draws[:, burn_in:]
    T, within = kept.shape[1], kept.std(axis=1, ddof=1).mean(axis=0)
    return np.sqrt((T - 1) / T + kept.mean(axis=1).std(axis=0, ddof=1) / within)


# %% 8.4 hidden: 3 chains
def r_hats(draws, burn_in):
    kept = draws[:, burn_in:]
    first, second = kept[0], kept[1]  # two chains only
    within = (first.var(axis=0, ddof=1) + second.var(axis=0, ddof=1)) / 2
    between = (first.mean(axis=0) - second.mean(axis=0)) ** 2 / 2
    return np.sqrt((len(first) - 1) / len(first) + between / within)


# %% 8.5 check: equal means
def careful_list(predictions, seen, top_n):
    mean = predictions.mean(axis=0)
    mean[seen] = -np.inf
    return np.argsort(-mean, kind="stable")[:top_n]


# %% 8.5 check: not last
def careful_list(predictions, seen, top_n):
    lower = predictions.mean(axis=0) - norm.ppf(0.9) * predictions.std(axis=0)
    lower[seen] = np.inf
    return np.argsort(lower)[:top_n]


# %% 8.5 check: has seen movie 0
def careful_list(predictions, seen, top_n):
    lower = predictions.mean(axis=0) - norm.ppf(0.9) * predictions.std(axis=0)
    return np.argsort(-lower)[:top_n]


# %% 8.5 hidden: not listed at all
def careful_list(predictions, seen, top_n):
    lower = predictions.mean(axis=0) - norm.ppf(0.9) * predictions.std(axis=0)
    lower[seen] = -np.inf
    return np.argsort(-lower)[:top_n]


# %% 8.6 check: the longest row
def ask_next(V, covariance, sigma):
    best = int(np.argmax(np.sum(V**2, axis=1)))
    return best, 1 / (1 + V[best] @ covariance @ V[best] / sigma**2)


# %% 8.6 check: the longest row
def ask_next(V, covariance, sigma):
    gains = np.sum(V @ np.linalg.inv(covariance) * V, axis=1) / sigma**2  # not Σ
    best = int(np.argmax(gains))
    return best, 1 / (1 + gains[best])


# %% 8.6 check: half is left
def ask_next(V, covariance, sigma):
    gains = np.sum(V @ covariance * V, axis=1) / sigma**2
    best = int(np.argmax(gains))
    return best, (1 / (1 + gains[best])) ** 0.5  # of the width, not of the determinant


# %% 8.6 hidden: is left
def ask_next(V, covariance, sigma):
    gains = V**2 @ np.diag(covariance) / sigma**2  # without what is correlated
    best = int(np.argmax(gains))
    return best, 1 / (1 + gains[best])
