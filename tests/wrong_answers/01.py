"""Wrong answers to the exercises of chapter 01: who catches each, and what the message says."""


# %% 1.1 check: not 0.5
def density(R):
    return R.nnz / R.shape[0] ** 2


# %% 1.1 hidden: a stored zero is a rating
def density(R):
    return R.count_nonzero() / (R.shape[0] * R.shape[1])


# %% 1.2 check: user 3 has rated movies 0, 1, 3, 4; you say []
def row_of(R, i):
    row = slice(R.indptr[i - 1], R.indptr[i])
    return R.indices[row], R.data[row]


# %% 1.2 hidden: use only R.indptr, R.indices and R.data
def row_of(R, i):
    row = R.toarray()[i]
    return np.flatnonzero(row), row[row != 0]


# %% 1.2 hidden: return the movies in stored order
def row_of(R, i):
    row = slice(R.indptr[i], R.indptr[i + 1])
    order = np.argsort(R.indices[row])
    return R.indices[row][order], R.data[row][order]


# %% 1.3 check: yours has 4
def to_csr(users, movies, stars, n):
    order = np.lexsort((movies, users))
    counts = np.unique(users, return_counts=True)[1]
    return stars[order], movies[order], np.concatenate([[0], np.cumsum(counts)])


# %% 1.3 check: by user, then by movie
def to_csr(users, movies, stars, n):
    order = np.argsort(users, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=n))])
    return stars[order], movies[order], indptr


# %% 1.3 hidden: the first row and the last ones may be empty
def to_csr(users, movies, stars, n):
    order = np.lexsort((movies, users))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(users))])
    return stars[order], movies[order], indptr


# %% 1.3 answer: uses csr_array and sp, which are not accepted here
def to_csr(users, movies, stars, n):
    R = sp.csr_array((stars, (users, movies)), shape=(n, movies.max() + 1))
    return R.data, R.indices, R.indptr


# %% 1.4 check: have you taken the noise off the means?
def estimate_k(groups, stars):
    table = pd.DataFrame({"group": groups, "stars": stars})
    spread = table.groupby("group")["stars"].agg(["mean", "var", "count"])
    spread = spread[spread["count"] >= 20]
    return spread["var"].mean() / spread["mean"].var()


# %% 1.4 check: did you use only movies with 20 ratings?
def estimate_k(groups, stars):
    table = pd.DataFrame({"group": groups, "stars": stars})
    spread = table.groupby("group")["stars"].agg(["mean", "var", "count"])
    spread = spread[spread["count"] >= 200]
    noise = (spread["var"] / spread["count"]).mean()
    return spread["var"].mean() / (spread["mean"].var() - noise)


# %% 1.4 hidden: users: 6.12, not 4.01
def estimate_k(groups, stars):
    return 4.01


# %% 1.5 check: ratings are to be held out, you hold out
def last_fifth(ratings):
    return (ratings["timestamp"].rank(method="first") > 0.8 * len(ratings)).to_numpy()


# %% 1.5 check: sort by time, within each user
def last_fifth(ratings):
    order = ratings.sort_values("timestamp", kind="stable")
    by_user = order.groupby("user_id")["timestamp"]
    held_out = by_user.cumcount() < by_user.transform("size") // 5
    return held_out.reindex(ratings.index).to_numpy()


# %% 1.5 check: put the marks back into the table's order
def last_fifth(ratings):
    order = ratings.sort_values(["user_id", "timestamp"], kind="stable")
    by_user = order.groupby("user_id")["timestamp"]
    held_out = by_user.cumcount(ascending=False) < by_user.transform("size") // 5
    order = ratings.sort_values("user_id", kind="stable")
    return pd.Series(held_out.to_numpy(), order.index).reindex(ratings.index).to_numpy()


# %% 1.5 hidden: of two ratings of the same second
def last_fifth(ratings):
    order = ratings.sort_values("timestamp", ascending=False, kind="stable")
    by_user = order.groupby("user_id")["timestamp"]
    held_out = by_user.cumcount() < by_user.transform("size") // 5
    return held_out.reindex(ratings.index).to_numpy()


# %% 1.6 check: had the means seen them?
def choose_k(train, grid, rng):
    pairs = [(k_movie, k_user) for k_movie in grid for k_user in grid]
    return min(pairs, key=lambda pair: baseline_rmse(train, train, *pair))


# %% 1.6 check: return the pair (k_movie, k_user)
def choose_k(train, grid, rng):
    fit, validation = train_test_split(train, 0.2, rng=rng)
    return (min(baseline_rmse(fit, validation, k, k) for k in grid),) * 2


# %% 1.6 hidden: among shuffled stars no movie and no user differs
def choose_k(train, grid, rng):
    return 4, 4


# %% 1.6 check: name 'test' is not defined
def choose_k(train, grid, rng):
    pairs = [(k_movie, k_user) for k_movie in grid for k_user in grid]
    return min(pairs, key=lambda pair: baseline_rmse(train, test, *pair))
