"""Wrong answers to the exercises of chapter 02: who catches each, and what the message says."""


# %% 2.1 check: half of what it should be
def gradient_of_movie(R, j, U, V, lambda_reg):
    columns = R.T.tocsr()
    part = slice(columns.indptr[j], columns.indptr[j + 1])
    Y, r = U[columns.indices[part]], columns.data[part]
    return Y.T @ (Y @ V[j] - r) + lambda_reg * V[j]


# %% 2.1 check: is the penalty in it?
def gradient_of_movie(R, j, U, V, lambda_reg):
    columns = R.T.tocsr()
    part = slice(columns.indptr[j], columns.indptr[j + 1])
    Y, r = U[columns.indices[part]], columns.data[part]
    return 2 * Y.T @ (Y @ V[j] - r)


# %% 2.1 check: does the sum run over those who have rated the movie
def gradient_of_movie(R, j, U, V, lambda_reg):
    return 2 * (U.T @ (U @ V[j] - R.toarray()[:, j]) + lambda_reg * V[j])


# %% 2.1 answer: uses objective_gradient, which is not accepted here
def gradient_of_movie(R, j, U, V, lambda_reg):
    return objective_gradient(R, U, V, lambda_reg)[1][j]


# %% 2.1 hidden: wrong for movie
def gradient_of_movie(R, j, U, V, lambda_reg):
    columns = R.T.tocsr()
    part = slice(columns.indptr[j], columns.indptr[j + 1])
    Y, r = U[columns.indices[part]], columns.data[part]
    return 2 * (Y.T @ (Y @ V[j] - r) + 0.5 * V[j])


# %% 2.2 answer: uses half_step, which is not accepted here
def my_half_step(R, Y, lambda_reg):
    return half_step(R, Y, lambda_reg)


# %% 2.2 answer: uses solve_row, which is not accepted here
import alsnb.ridge as ridge


def my_half_step(R, Y, lambda_reg):
    X = np.zeros((R.shape[0], Y.shape[1]))
    for i in range(len(X)):
        row = slice(R.indptr[i], R.indptr[i + 1])
        X[i] = ridge.solve_row(Y[R.indices[row]], R.data[row], lambda_reg)
    return X


# %% 2.2 answer: uses half_step, which is not accepted here
from alsnb import half_step as something_else


def my_half_step(R, Y, lambda_reg):
    return something_else(R, Y, lambda_reg)


# %% 2.2 check: Only the rated rows of Y?
def my_half_step(R, Y, lambda_reg):
    system = Y.T @ Y + lambda_reg * np.eye(Y.shape[1])
    return np.linalg.solve(system, Y.T @ R.toarray().T).T


# %% 2.2 check: λ on the diagonal only?
def my_half_step(R, Y, lambda_reg):
    X = np.zeros((R.shape[0], Y.shape[1]))
    for i in range(len(X)):
        row = slice(R.indptr[i], R.indptr[i + 1])
        Y_i = Y[R.indices[row]]
        X[i] = np.linalg.pinv(Y_i.T @ Y_i + lambda_reg) @ Y_i.T @ R.data[row]
    return X


# %% 2.2 check: user 11 is not at the bottom of the bowl
def my_half_step(R, Y, lambda_reg):
    X = np.zeros((R.shape[0], Y.shape[1]))
    for i in range(len(X) - 1):
        row = slice(R.indptr[i], R.indptr[i + 1])
        Y_i = Y[R.indices[row]]
        system = Y_i.T @ Y_i + lambda_reg * np.eye(Y.shape[1])
        X[i] = np.linalg.solve(system, Y_i.T @ R.data[row])
    return X


# %% 2.2 check: is there a line `return X`?
def my_half_step(R, Y, lambda_reg):
    X = np.zeros((R.shape[0], Y.shape[1]))


# %% 2.2 hidden: the factors of a row without ratings are zeros
def my_half_step(R, Y, lambda_reg):
    X = np.ones((R.shape[0], Y.shape[1]))
    for i in range(len(X)):
        row = slice(R.indptr[i], R.indptr[i + 1])
        Y_i = Y[R.indices[row]]
        if len(Y_i):
            system = Y_i.T @ Y_i + lambda_reg * np.eye(Y.shape[1])
            X[i] = np.linalg.solve(system, Y_i.T @ R.data[row])
    return X


# %% 2.3 check: w belongs into YᵀWY and into YᵀWr, once in each
def solve_weighted(Y, r, w, lambda_reg):
    Z = w[:, None] * Y
    return np.linalg.solve(Z.T @ Z + lambda_reg * np.eye(Y.shape[1]), Z.T @ (w * r))


# %% 2.3 check: w belongs into YᵀWY and into YᵀWr, once in each
def solve_weighted(Y, r, w, lambda_reg):
    system = Y.T @ (w[:, None] * Y) + lambda_reg * np.eye(Y.shape[1])
    return np.linalg.solve(system, Y.T @ r)


# %% 2.3 check: with all weights 1 it must be plain ridge
def solve_weighted(Y, r, w, lambda_reg):
    return np.linalg.solve(Y.T @ (w[:, None] * Y), Y.T @ (w * r))


# %% 2.3 hidden: weight 0 is: not rated at all
def solve_weighted(Y, r, w, lambda_reg):
    w = np.maximum(w, 0.5)
    system = Y.T @ (w[:, None] * Y) + lambda_reg * np.eye(Y.shape[1])
    return np.linalg.solve(system, Y.T @ (w * r))


# %% 2.4 answer: uses lowest_points, which is not accepted here
def minima(r, lambda_reg):
    from alsnb.widgets import by_hand

    return by_hand.lowest_points(r, lambda_reg)


# %% 2.4 hidden: ratings minus their mean may be negative
def minima(r, lambda_reg):
    if r <= lambda_reg:
        return [(0.0, 0.0)]
    u = np.sqrt(r - lambda_reg)
    return [(-u, -u), (u, u)]


# %% 2.4 hidden: ratings minus their mean may be negative
def minima(r, lambda_reg):
    if abs(r) <= lambda_reg:
        return [(0.0, 0.0)]
    u = np.sqrt(abs(r) - lambda_reg)
    return [(-u, -u), (u, u)]


# %% 2.4 check: a penalty above the rating leaves nothing
def minima(r, lambda_reg):
    u = np.sqrt(r - lambda_reg)
    return [(-u, -u), (u, u)]


# %% 2.4 check: two minima, not 3
def minima(r, lambda_reg):
    if abs(r) <= lambda_reg:
        return [(0.0, 0.0)]
    u = np.sqrt(abs(r) - lambda_reg)
    v = np.sign(r) * u
    return [(0.0, 0.0), (-u, -v), (u, v)]


# %% 2.5 check: 18 + 6 + 9 = 33, not 24
def multiplications(n_ratings, n_factors, side):
    size = n_factors if side == "left" else n_ratings
    return n_ratings * n_factors * size + n_ratings * n_factors


# %% 2.5 check: as many ratings as factors
def multiplications(n_ratings, n_factors, side):
    if side == "left":
        return n_ratings * n_factors**2 + n_ratings * n_factors + n_factors**3 / 3
    return n_ratings**2 * n_factors + n_ratings**3 / 3


# %% 2.5 hidden: 5 ratings, 100 factors, right:
def multiplications(n_ratings, n_factors, side):
    n, f = n_ratings, n_factors
    if side == "left":
        return n * f**2 + n * f + f**3 / 3
    return n**2 * f + n * f + n**2 * f / 3
