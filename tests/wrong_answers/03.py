"""Wrong answers to the exercises of chapter 03: who catches each, and what the message says."""


# %% 3.1 check: do the movies see the new U?
def als(R, n_factors, lambda_reg, n_iterations, rng):
    U, V = init_matrix_factorization(*R.shape, n_factors, rng=rng)
    R_movies = R.T.tocsr()
    errors = []
    for _ in range(n_iterations):
        U, V = half_step(R, V, lambda_reg), half_step(R_movies, U, lambda_reg)
        errors.append(calculate_rmse(R, U, V))
    return U, V, errors


# %% 3.1 check: one after both halves, not 8
def als(R, n_factors, lambda_reg, n_iterations, rng):
    U, V = init_matrix_factorization(*R.shape, n_factors, rng=rng)
    R_movies = R.T.tocsr()
    errors = []
    for _ in range(n_iterations):
        U = half_step(R, V, lambda_reg)
        errors.append(calculate_rmse(R, U, V))
        V = half_step(R_movies, U, lambda_reg)
        errors.append(calculate_rmse(R, U, V))
    return U, V, errors


# %% 3.1 hidden: another rng must give another start
def als(R, n_factors, lambda_reg, n_iterations, rng):
    U, V = init_matrix_factorization(*R.shape, n_factors, rng=SEED)
    R_movies = R.T.tocsr()
    errors = []
    for _ in range(n_iterations):
        U = half_step(R, V, lambda_reg)
        V = half_step(R_movies, U, lambda_reg)
        errors.append(calculate_rmse(R, U, V))
    return U, V, errors


# %% 3.1 answer: uses als_matrix_factorization, which is not accepted here
def als(R, n_factors, lambda_reg, n_iterations, rng):
    fit = als_matrix_factorization(R, n_factors, lambda_reg, n_iterations, rng=rng)
    return fit.U, fit.V, list(fit.train_errors)


# %% 3.2 check: divide by the 3 ratings, not by the 4 places
def rmse(R, U, V):
    return np.sqrt(np.mean((R.toarray() - (U @ V.T) * (R.toarray() > 0)) ** 2))


# %% 3.2 hidden: places do not fit into memory
def rmse(R, U, V):
    dense = R.toarray()
    return np.sqrt(np.mean((dense - U @ V.T)[dense != 0] ** 2))


# %% 3.2 hidden: three ratings, one of them a stored zero, which counts
def rmse(R, U, V):
    users, movies = R.nonzero()
    predicted = np.sum(U[users] * V[movies], axis=1)
    return np.sqrt(np.mean((R.data[R.data != 0] - predicted) ** 2))


# %% 3.3 check: these are not the ten best
def recommend(user, U, V, R, top_n):
    scores = V @ U[user]
    scores[R.indices[R.indptr[user] : R.indptr[user + 1]]] = np.inf
    return np.argsort(scores, kind="stable")[:top_n]


# %% 3.3 check: has already rated
def recommend(user, U, V, R, top_n):
    return np.argsort(-(V @ U[user]), kind="stable")[:top_n]


# %% 3.3 check: best first
def recommend(user, U, V, R, top_n):
    scores = V @ U[user]
    scores[R.indices[R.indptr[user] : R.indptr[user + 1]]] = -np.inf
    return np.argsort(scores, kind="stable")[-top_n:]


# %% 3.3 hidden: both with predictions below zero: [4, 3]
def recommend(user, U, V, R, top_n):
    scores = V @ U[user]
    scores[R.indices[R.indptr[user] : R.indptr[user + 1]]] = 0
    return np.argsort(-scores, kind="stable")[:top_n]


# %% 3.3 hidden: U or V was changed
def recommend(user, U, V, R, top_n):
    scores = V @ U[user]
    rated = R.indices[R.indptr[user] : R.indptr[user + 1]]
    scores[rated] = -np.inf
    V[rated] = 0
    return np.argsort(-scores, kind="stable")[: min(top_n, len(scores) - len(rated))]


# %% 3.4 check: Has the mean been put back
def centred_rmse(train, test, lambda_reg):
    centred = train.copy()
    centred.data -= train.data.mean()
    model = fit(centred, lambda_reg)
    return calculate_rmse(test, model.U, model.V)


# %% 3.4 check: it should fall
def centred_rmse(train, test, lambda_reg):
    model = fit(train, lambda_reg)
    return calculate_rmse(test, model.U, model.V)


# %% 3.4 check: `train` was changed: copy it first
def centred_rmse(train, test, lambda_reg):
    mean = train.data.mean()
    train.data -= mean
    held_out = test.copy()
    held_out.data -= mean
    model = fit(train, lambda_reg)
    return calculate_rmse(held_out, model.U, model.V)


# %% 3.4 hidden: take the mean of the training ratings
def centred_rmse(train, test, lambda_reg):
    centred, held_out = train.copy(), test.copy()
    centred.data -= train.data.mean()
    held_out.data -= test.data.mean()
    model = fit(centred, lambda_reg)
    return calculate_rmse(held_out, model.U, model.V)


# %% 3.5 check: nor their factors, whose coordinates differ
def averaged_rmse(models, R_test):
    U = np.mean([model.U for model in models], axis=0)
    V = np.mean([model.V for model in models], axis=0)
    return calculate_rmse(R_test, U, V)


# %% 3.5 check: Not their errors
def averaged_rmse(models, R_test):
    return np.mean([calculate_rmse(R_test, model.U, model.V) for model in models])


# %% 3.5 hidden: four models, each of the two twice
def averaged_rmse(models, R_test):
    total = sum(calculate_residuals(R_test, model.U, model.V) for model in models)
    return np.sqrt(np.mean((total / min(len(models), 2)) ** 2))
