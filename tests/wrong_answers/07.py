"""Typical wrong answers to the exercises of chapter 07; see tests/test_coursework.py."""


# %% 7.1 check: the answer is m + d
def ridge_towards(Y, r, lambda_reg, m):
    return np.linalg.solve(Y.T @ Y + lambda_reg * np.eye(len(m)), Y.T @ (r - Y @ m))


# %% 7.1 check: 3.75, not
def ridge_towards(Y, r, lambda_reg, m):
    return m + np.linalg.solve(Y.T @ Y + lambda_reg * np.eye(len(m)), Y.T @ r)  # r as it was


# %% 7.1 hidden: leave m as it is
def ridge_towards(Y, r, lambda_reg, m):
    m += np.linalg.solve(Y.T @ Y + lambda_reg * np.eye(len(m)), Y.T @ (r - Y @ m))
    return m


# %% 7.2 check: zeros, not 0/0
def encode_genres(texts):
    names = sorted({name for text in texts for name in text.split("|") if name})
    features = np.array([[name in text.split("|") for name in names] for text in texts], float)
    with np.errstate(invalid="ignore"):
        return features / np.linalg.norm(features, axis=1, keepdims=True), names


# %% 7.2 check: have length √2, not 1
def encode_genres(texts):
    names = sorted({name for text in texts for name in text.split("|") if name})
    return np.array([[name in text.split("|") for name in names] for text in texts], float), names


# %% 7.2 hidden: Film-Noir is neither Film nor Noir
def encode_genres(texts):
    names = sorted({name for text in texts for name in text.split("|") if name})
    features = np.array([[name in text for name in names] for text in texts], float)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(lengths, 1), names


# %% 7.3 check: counts as often as its weight
def link_of(F, X, weights, lambda_B):
    return np.linalg.solve(F.T @ F + lambda_B * np.eye(F.shape[1]), F.T @ X)


# %% 7.3 check: λ_B = 6
def link_of(F, X, weights, lambda_B):
    root = np.sqrt(weights)[:, None]
    return np.linalg.lstsq(root * F, root * X)[0]  # no penalty


# %% 7.3 hidden: six features: not the minimum
def link_of(F, X, weights, lambda_B):
    weighted = F.T * weights
    A = np.diag(np.diag(weighted @ F)) + lambda_B * np.eye(F.shape[1])  # each feature alone
    return np.linalg.solve(A, weighted @ X)


# %% 7.4 check: B's last column, is missing
def promised(B, V, c, mu, clicked):
    return mu + c + V @ B[clicked, :-1].sum(axis=0) / np.sqrt(max(len(clicked), 1))


# %% 7.4 hidden: 1/√4
def promised(B, V, c, mu, clicked):
    m = B[clicked].sum(axis=0) / max(len(clicked), 1)  # the mean
    return mu + c + m[-1] + V @ m[:-1]


# %% 7.4 check: no clicks
def promised(B, V, c, mu, clicked):
    with np.errstate(invalid="ignore"):
        m = B[clicked].sum(axis=0) / np.sqrt(np.float64(len(clicked)))
    return mu + c + m[-1] + V @ m[:-1]


# %% 7.5 check: worse than 0.8873, without features
def choose_reg(score, regs):
    errors = [score(reg) for reg in regs]
    best = regs[int(np.argmin(errors))]
    return best, best in (min(regs), max(regs))


# %% 7.5 check: wherever it stands
def choose_reg(score, regs):
    errors = [score(reg) for reg in regs]
    if min(errors) >= score(None):
        return None, False
    k = int(np.argmin(errors))
    return regs[k], k < 2 or k >= len(regs) - 2  # by its place in a list that is not sorted


# %% 7.5 hidden: fit each model only once
def choose_reg(score, regs):
    best = min(regs, key=score)
    if score(best) >= score(None):
        return None, False
    return best, best in (min(regs), max(regs))


# %% 7.6 check: ratings of hidden movies are still seen
def cold_start(R, movies, fit):
    known = R.tocoo()
    hidden = np.isin(known.col, movies) & (np.arange(known.nnz) % 2 == 0)  # half of them
    places = known.row[~hidden], known.col[~hidden]
    seen = sp.coo_array((known.data[~hidden], places), R.shape).tocsr()
    table = pd.DataFrame({"movie": known.col[hidden]})
    for name in (True, False):
        p = fit(seen, name).predict(known.row[hidden], known.col[hidden])
        table[name] = (known.data[hidden] - p) ** 2
    rmse = np.sqrt(table.groupby("movie").mean())
    gaps = rmse[True] - rmse[False]
    return gaps.mean(), gaps.std(ddof=1) / np.sqrt(len(gaps))


# %% 7.6 check: all ratings in one pot
def cold_start(R, movies, fit):
    known = R.tocoo()
    hidden = np.isin(known.col, movies)
    places = known.row[~hidden], known.col[~hidden]
    seen = sp.coo_array((known.data[~hidden], places), R.shape).tocsr()
    errors = []
    for name in (True, False):
        p = fit(seen, name).predict(known.row[hidden], known.col[hidden])
        errors.append(np.abs(known.data[hidden] - p))
    gaps = errors[0] - errors[1]
    gap = np.sqrt(np.mean(errors[0] ** 2)) - np.sqrt(np.mean(errors[1] ** 2))
    return gap, gaps.std(ddof=1) / np.sqrt(len(gaps))


# %% 7.6 check: paired, over three movies
def cold_start(R, movies, fit):
    known = R.tocoo()
    hidden = np.isin(known.col, movies)
    places = known.row[~hidden], known.col[~hidden]
    seen = sp.coo_array((known.data[~hidden], places), R.shape).tocsr()
    table = pd.DataFrame({"movie": known.col[hidden]})
    for name in (True, False):
        p = fit(seen, name).predict(known.row[hidden], known.col[hidden])
        table[name] = (known.data[hidden] - p) ** 2
    rmse = np.sqrt(table.groupby("movie").mean())
    spread = np.sqrt(rmse[True].var() + rmse[False].var())  # as if they were not pairs
    return (rmse[True] - rmse[False]).mean(), spread / np.sqrt(len(rmse))
