"""Typical wrong answers to the exercises of chapter 04; see tests/test_coursework.py."""


# %% 4.1 check: 4 times as fast
def serial_share(speed_up, p):
    return 2 / speed_up - 1  # which is right for two workers


# %% 4.1 check: a speed-up of 1.6 with 2
def serial_share(speed_up, p):
    return 1 - speed_up / p  # how far it is from ideal, which is another share


# %% 4.2 check: [1, 3], f = 3: 0.2716, not 0.3086
def saved_by_push_through(n, f):
    n, few = np.asarray(n), np.minimum(n, f)
    before = np.sum(2 * n * f**2 + 2 / 3 * f**3)
    return 1 - np.sum(2 * few**3 + 2 / 3 * few**3) / before  # where is the larger of the two?


# %% 4.2 check: [1, 3], f = 3: 0.2716, not 0.4074
def saved_by_push_through(n, f):
    n = np.asarray(n)
    few, many = np.minimum(n, f), np.maximum(n, f)
    before = 2 * n * f**2 + 2 / 3 * f**3
    return np.mean(1 - (2 * many * few**2 + 2 / 3 * few**3) / before)  # all rows count alike


# %% 4.2 check: [1, 3], f = 3
def saved_by_push_through(n, f):
    n = np.asarray(n)
    return np.mean(n < f)  # the share of the rows that are short


# %% 4.3 check: 1, 1, 1, 1, 4
def finish(costs, p):
    free = np.zeros(p)
    for cost in sorted(costs, reverse=True):  # a better order, but not the given one
        free[np.argmin(free)] += cost
    return free.max()


# %% 4.3 check: both workers end at 6
def finish(costs, p):
    return max(part.sum() for part in np.array_split(np.array(costs), p))  # dealt beforehand


# %% 4.3 check: 4, 3, 3, 2
def finish(costs, p):
    free = np.zeros(p)
    for turn, cost in enumerate(costs):
        free[turn % p] += cost  # dealt in turn, whoever is free
    return free.max()


# %% 4.4 check: rows before start
def solve_range(indptr, indices, ratings, Y, lambda_reg, nu, X, start, stop):
    for i in range(len(indptr) - 1):  # all rows, not the range
        row = slice(indptr[i], indptr[i + 1])
        Y_i, r = Y[indices[row]], ratings[row]
        penalty = lambda_reg * max(len(r), 1) ** nu
        X[i] = np.linalg.solve(Y_i.T @ Y_i + penalty * np.eye(Y.shape[1]), Y_i.T @ r)


# %% 4.4 check: do not make a new X
def solve_range(indptr, indices, ratings, Y, lambda_reg, nu, X, start, stop):
    X = np.zeros_like(X)
    for i in range(start, stop):
        row = slice(indptr[i], indptr[i + 1])
        Y_i, r = Y[indices[row]], ratings[row]
        penalty = lambda_reg * max(len(r), 1) ** nu
        X[i] = np.linalg.solve(Y_i.T @ Y_i + penalty * np.eye(Y.shape[1]), Y_i.T @ r)
    return X


# %% 4.4 check: lambda_reg times its n
def solve_range(indptr, indices, ratings, Y, lambda_reg, nu, X, start, stop):
    for i in range(start, stop):
        row = slice(indptr[i], indptr[i + 1])
        Y_i, r = Y[indices[row]], ratings[row]
        X[i] = np.linalg.solve(Y_i.T @ Y_i + lambda_reg * np.eye(Y.shape[1]), Y_i.T @ r)


# %% 4.4 hidden: row 4 has no ratings
def solve_range(indptr, indices, ratings, Y, lambda_reg, nu, X, start, stop):
    for i in range(start, stop):
        row = slice(indptr[i], indptr[i + 1])
        Y_i, r = Y[indices[row]], ratings[row]
        penalty = lambda_reg * max(len(r), 1) ** nu
        X[i] = np.linalg.solve(Y_i.T @ Y_i + penalty * np.eye(Y.shape[1]), Y_i.T @ r)


# %% 4.4 hidden: the smaller system only
def solve_range(indptr, indices, ratings, Y, lambda_reg, nu, X, start, stop):
    for i in range(start, stop):
        row = slice(indptr[i], indptr[i + 1])
        Y_i, r = Y[indices[row]], ratings[row]
        if len(r):
            penalty = lambda_reg * len(r) ** nu
            X[i] = np.linalg.solve(Y_i.T @ Y_i + penalty * np.eye(Y.shape[1]), Y_i.T @ r)


# %% 4.5 check: sending costs more
def best_number_of_machines(a, b):
    return np.sqrt(a / b)  # no whole number, and less than one


# %% 4.5 hidden: rounded?
def best_number_of_machines(a, b):
    return max(1, round(np.sqrt(a / b)))


# %% 4.5 hidden: do not just try some
def best_number_of_machines(a, b):
    p = np.arange(1, 10_001)
    return int(p[np.argmin(a / p + b * p)])


# %% 4.5 check: 100/p + p
def best_number_of_machines(a, b):
    return min(2 ** np.arange(20), key=lambda p: a / p + b * p)  # powers of two only


# %% 4.6 check: 1.90 is true
def speed_up_of(one, two):
    return np.mean(np.asarray(one) / np.asarray(two))


# %% 4.6 check: 1.90 is true
def speed_up_of(one, two):
    return max(a / b for a, b in zip(one, two, strict=True))


# %% 4.6 check: not 1.94
def speed_up_of(one, two):
    return np.median(one) / np.median(two)
