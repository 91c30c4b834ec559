"""Typical wrong answers to the exercises of chapter 05; see tests/test_coursework.py."""


# %% 5.1 check: user 0, movie 1
def pin(U, V, mu, b, c):
    ones = np.ones(len(U))
    return np.c_[U, b, ones, mu * ones], np.c_[V, c, np.ones(len(V)), np.ones(len(V))]


# %% 5.1 check: V had 1 column
def pin(U, V, mu, b, c):
    return np.c_[U, b, np.ones(len(U)), np.full(len(U), mu)], np.c_[V, np.ones(len(V)), c]


# %% 5.2 check: (2, 4), not (5, 5)
def stop_early(errors, patience):
    best = int(np.argmin(errors)) + 1  # looks at errors that are never computed
    return best, min(best + patience, len(errors))


# %% 5.2 check: (2, 4), not (4, 4)
def stop_early(errors, patience):
    best = 1
    for iteration, error in enumerate(errors, start=1):
        if error < errors[best - 1]:
            best = iteration
        if iteration - best >= patience:
            break
    return iteration, iteration  # keeps the last factors, not the best


# %% 5.2 check: an equal error is not a new best
def stop_early(errors, patience):
    best = 1
    for iteration, error in enumerate(errors, start=1):
        if error <= errors[best - 1]:
            best = iteration
        if iteration - best >= patience:
            break
    return best, iteration


# %% 5.3 check: lists may be unsorted
def at_edge(table, grid):
    best = table.loc[table["validation_rmse"].idxmin()]
    return [k for k, v in grid.items() if len(v) > 1 and best[k] in (v[0], v[-1])]


# %% 5.3 check: a list of one value is no search
def at_edge(table, grid):
    best = table.loc[table["validation_rmse"].idxmin()]
    return [name for name, v in grid.items() if best[name] in (min(v), max(v))]


# %% 5.3 hidden: best: f =
def at_edge(table, grid):
    best = table.iloc[np.argmin(table["validation_rmse"].to_numpy())]  # NaN is not the least
    return [k for k, v in grid.items() if len(v) > 1 and best[k] in (min(v), max(v))]


# %% 5.4 check: take the difference in each fold first
def paired(first, second):
    error = np.sqrt((first.var() + second.var()) / len(first))
    return second.mean() - first.mean(), error


# %% 5.4 check: the root of 5?
def paired(first, second):
    difference = second - first
    return difference.mean(), difference.std()  # the spread, not the error of the mean


# %% 5.4 hidden: folds in another order
def paired(first, second):
    difference = second.to_numpy() - first.to_numpy()  # by place, not by fold
    return difference.mean(), difference.std(ddof=1) / np.sqrt(len(difference))


# %% 5.5 check: validation takes the first
def mean_gift(validation, test):
    return np.mean(np.min(validation, axis=1) - np.min(test, axis=1))  # of two error scales


# %% 5.5 check: validation takes the first
def mean_gift(validation, test):
    chosen = np.argmin(validation, axis=1)
    return np.mean(np.min(test, axis=1) - np.asarray(test)[np.arange(len(test)), chosen])


# %% 5.6 check: your choice has seen the test set
def choose_and_report(train, box, lambdas):
    test = box.open()
    errors = [fit_and_score(train, test, lambda_reg) for lambda_reg in lambdas]
    return lambdas[int(np.argmin(errors))], min(errors)


# %% 5.6 check: opened twice
def choose_and_report(train, box, lambdas):
    errors = [fit_and_score(train, box.open(), lambda_reg) for lambda_reg in lambdas]
    return lambdas[int(np.argmin(errors))], min(errors)


# %% 5.6 check: Is a tenth missing?
def choose_and_report(train, box, lambdas):
    part, validation = train_test_split(train, 0.1, rng=0)
    errors = [fit_and_score(part, validation, lambda_reg) for lambda_reg in lambdas]
    best = lambdas[int(np.argmin(errors))]
    return best, fit_and_score(part, box.open(), best)


# %% 5.6 check: report the error on the test ratings
def choose_and_report(train, box, lambdas):
    part, validation = train_test_split(train, 0.1, rng=0)
    errors = [fit_and_score(part, validation, lambda_reg) for lambda_reg in lambdas]
    return lambdas[int(np.argmin(errors))], min(errors)


# %% 5.6 check: held-out training ratings choose
def choose_and_report(train, box, lambdas):
    errors = [fit_and_score(train, train, lambda_reg) for lambda_reg in lambdas]
    best = lambdas[int(np.argmin(errors))]  # the training error always wants less λ
    return best, fit_and_score(train, box.open(), best)
