"""Typical wrong answers to the exercises of chapter 06; see tests/test_coursework.py."""


# %% 6.1 check: movie 5 is there twice
def merge(old_movies, old_stars, movies, stars):
    return np.concatenate([old_movies, movies]), np.concatenate([old_stars, stars])


# %% 6.1 check: the new rating of movie 5 is 1 star
def merge(old_movies, old_stars, movies, stars):
    new = ~np.isin(movies, old_movies)  # the old ones win
    return np.r_[old_movies, movies[new]], np.r_[old_stars, stars[new]]


# %% 6.2 check: the sign below
def withdraw(covariance, x, y, r):
    step = covariance @ y
    after = covariance + np.outer(step, step) / (1 + y @ step)
    return after, x - after @ y * (r - y @ x)


# %% 6.2 check: A⁻¹ must grow
def withdraw(covariance, x, y, r):
    step = covariance @ y
    after = covariance - np.outer(step, step) / (1 + y @ step)  # adds the rating once more
    return after, x - after @ y * (r - y @ x)


# %% 6.2 check: Yᵀr has lost
def withdraw(covariance, x, y, r):
    step = covariance @ y
    after = covariance + np.outer(step, step) / (1 - y @ step)
    return after, x - covariance @ y * (r - y @ x)


# %% 6.2 hidden: leave the old
def withdraw(covariance, x, y, r):
    step = covariance @ y
    covariance += np.outer(step, step) / (1 - y @ step)
    return covariance, x - covariance @ y * (r - y @ x)


# %% 6.3 check: own bias c
def newcomer(V, c, mu, movies, stars, lambda_reg, bias_reg):
    Y = np.c_[V[movies], np.ones(len(movies))]
    penalties = np.diag([lambda_reg] * V.shape[1] + [bias_reg])
    return np.linalg.solve(Y.T @ Y + penalties, Y.T @ (stars - mu))


# %% 6.3 check: bias_reg must hold the bias
def newcomer(V, c, mu, movies, stars, lambda_reg, bias_reg):
    Y = np.c_[V[movies], np.ones(len(movies))]
    penalties = lambda_reg * np.eye(Y.shape[1])  # one λ for all
    return np.linalg.solve(Y.T @ Y + penalties, Y.T @ (stars - mu - c[movies]))


# %% 6.3 hidden: no minimum
def newcomer(V, c, mu, movies, stars, lambda_reg, bias_reg):
    Y, left = np.c_[V[movies], np.ones(len(movies))], stars - mu - c[movies]
    penalties = np.diag([3.0] * V.shape[1] + [bias_reg])  # the numbers of the check
    return np.linalg.solve(Y.T @ Y + penalties, Y.T @ left)


# %% 6.4 check: The loss is not the share
def shares_and_losses(Y, d, y, lambda_reg):
    shares = Y @ np.linalg.solve(Y.T @ Y + lambda_reg * np.eye(len(y)), y) * d
    return shares, shares


# %% 6.4 check: 0.25, 0, not
def shares_and_losses(Y, d, y, lambda_reg):
    inverse = np.linalg.inv(Y.T @ Y + lambda_reg * np.eye(len(y)))
    losses = []
    for j in range(len(d)):
        rest = np.delete(Y, j, axis=0)
        without = np.linalg.inv(rest.T @ rest + lambda_reg * np.eye(len(y)))
        losses.append(y @ inverse @ Y.T @ d - y @ without @ Y.T @ d)  # its stars are still there
    return Y @ inverse @ y * d, np.array(losses)


# %% 6.5 check: three on hundreds: 3, not 2
def fewest(model, R):
    for n in range(1, 30):
        row = np.full(n, 5.0), (np.zeros(n, int), np.arange(n))
        grown, _ = model.append(sp.coo_array(row, shape=(1, R.shape[0])), R, "items")
        if np.sum(grown.U @ grown.V[-1] > 4) >= R.shape[0] / 2:  # promised, but not on a list
            return n


# %% 6.5 check: three on hundreds: 3, not 8
def fewest(model, R):
    for n in range(1, 30):
        row = np.full(n, 5.0), (np.zeros(n, int), np.arange(n))
        premiere = sp.coo_array(row, shape=(1, R.shape[0]))
        grown, R_grown = model.append(premiere, R, "items")
        lists, _ = grown.recommend(None, R_grown)
        if np.sum(lists[:, 0] == len(model.V)) >= R.shape[0] / 2:  # first place only
            return n


# %% 6.5 hidden: a λ of 8
def fewest(model, R):
    return 3  # which the check gives away


# %% 6.6 check: RMSE 2, not 0
def replay(model, batches):
    squares = []
    for users, movies, stars in batches:
        model.learn(users, movies, stars)  # learns first
        squares.extend((stars - model.predict(users, movies)) ** 2)
    return np.sqrt(np.mean(squares))


# %% 6.6 check: errors 2, 0, -2
def replay(model, batches):
    errors = []
    for users, movies, stars in batches:
        errors.append(np.sqrt(np.mean((stars - model.predict(users, movies)) ** 2)))
        model.learn(users, movies, stars)
    return np.mean(errors)  # small batches count as much as large ones


# %% 6.6 check: each is learnt once
def replay(model, batches):
    squares = []
    for users, movies, stars in batches:  # and never learns
        squares.extend((stars - model.predict(users, movies)) ** 2)
    return np.sqrt(np.mean(squares))
