"""MovieLens as tables and as a sparse matrix, the step between the two, and made-up data."""

from __future__ import annotations

import csv
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from .checks import check_count, check_number, check_ratings
from .metrics import rows_of
from .sources import DatasetError, locate, open_file

GENRES = (
    "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy "
    "Film-Noir Horror Musical Mystery Romance Sci-Fi Thriller War Western"
).split()
_RATINGS = {"user_id": "int32", "item_id": "int32", "rating": "float64", "timestamp": "int64"}
_MOVIES = {"item_id": "int32", "title": "str", "genres": "str"}
_USERS = {"user_id": "int32", "age": "int64", "gender": "str", "occupation": "str", "zip": "str"}


@dataclass(frozen=True, eq=False)
class MovieLens:
    """A MovieLens data set.

    Attributes
    ----------
    name : str
    ratings : DataFrame, one row per rating, in file order
        user_id, item_id, rating (stars), timestamp (seconds since 1970, UTC).
    movies : DataFrame, indexed by item_id
        title (with its year), year (missing where the title has none), genres (joined by "|").
    users : DataFrame, indexed by user_id, or None where the data set has no such table
        age (years; in 1m the lowest of a bracket), gender, occupation (in 1m a code), zip.
    R : csr_array, shape (n_users, n_items)
        The ratings; rows and columns are the users and the movies that have any, ids ascending.
    user_ids, item_ids : ndarray
        The ids behind the rows and the columns of `R`.
    titles : ndarray of str, shape (n_items,)
        Titles by column of `R`.
    """

    name: str
    ratings: pd.DataFrame
    movies: pd.DataFrame
    users: pd.DataFrame | None
    R: sp.csr_array
    user_ids: np.ndarray
    item_ids: np.ndarray
    titles: np.ndarray

    def __repr__(self) -> str:
        n, m = self.R.shape
        return f"MovieLens {self.name}: {n:,} users × {m:,} movies, {self.R.nnz:,} ratings"


def load_movielens(name: str = "100k", source=None, *, verify: bool = True) -> MovieLens:
    """Load a MovieLens data set, downloading it into the cache the first time.

    Parameters
    ----------
    name : {"100k", "1m", "25m", "32m", "latest-small"}
    source : path, optional
        Your own copy: the zip, its folder unpacked, or a folder that holds either. By default
        $ALSNB_DATA, if that is set; else the cache ($ALSNB_CACHE), then the network.
    verify : bool
        Refuse a copy of your own whose SHA-256 is not the known one; of an unpacked folder, only
        that of 100k is known.

    Raises
    ------
    DatasetError
        A ValueError: nothing was found anywhere, or what was found is damaged.
    """
    readers = {"100k": _read_100k, "1m": _read_1m}
    readers |= dict.fromkeys(("25m", "32m", "latest-small"), _read_csv)
    if name not in tuple(readers):
        raise ValueError(f"there is no MovieLens {name!r}; choose from {', '.join(readers)}")
    path = locate(name, source, verify=verify)
    try:
        ratings, movies, users = readers[name](path)
        movies["title"] = movies["title"].str.strip().str.replace(r"\s+", " ", regex=True)
        year = movies["title"].str.extract(r".*\((\d{4})\)", expand=False)
        movies.insert(1, "year", pd.to_numeric(year).astype("Int64"))
        R, user_ids, item_ids = ratings_to_matrix(ratings)
    except DatasetError:
        raise
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DatasetError(f"{path} is not a readable MovieLens {name}: {error}") from error
    titles = movies["title"].reindex(item_ids, fill_value="unknown").to_numpy(dtype=object)
    return MovieLens(name, ratings, movies, users, R, user_ids, item_ids, titles)


def _read_100k(path):
    try:  # the layout of the wheel
        ratings = _table(path, "ml-100k.inter", _RATINGS, sep="\t", skiprows=1)
    except DatasetError:  # the layout of the zip
        ratings = _table(path, "u.data", _RATINGS, sep="\t")
        columns = {"item_id": "int32", "title": "str", **dict.fromkeys(GENRES, "int8")}
        used = [0, 1, *range(5, 5 + len(GENRES))]
        movies = _table(path, "u.item", columns, sep="|", usecols=used, encoding="latin-1")
        flags = movies[GENRES].to_numpy(bool)
        movies["genres"] = ["|".join(np.array(GENRES)[row]) for row in flags]
        users = _table(path, "u.user", _USERS, sep="|")
    else:
        columns = {"item_id": "int32", "title": "str", "year": "str", "genres": "str"}
        movies = _table(path, "ml-100k.item", columns, sep="\t", skiprows=1)
        titles = movies["title"] + " (" + movies["year"] + ")"
        movies["title"] = titles.replace("unkonwn (unkonwn)", "unknown")  # so spelt there
        movies["genres"] = movies["genres"].str.replace(" ", "|")
        users = _table(path, "ml-100k.user", _USERS, sep="\t", skiprows=1)
    return ratings, movies[list(_MOVIES)].set_index("item_id"), users.set_index("user_id")


def _read_1m(path):
    odd = {"sep": ":", "usecols": [0, 2, 4, 6]}  # "::" as one ":" with empty columns is far faster
    ratings = _table(path, "ratings.dat", _RATINGS, **odd)
    latin = {"sep": "::", "engine": "python", "encoding": "latin-1"}
    movies = _table(path, "movies.dat", _MOVIES, **latin).set_index("item_id")
    columns = {key: _USERS[key] for key in ("user_id", "gender", "age", "occupation", "zip")}
    users = _table(path, "users.dat", columns, **latin)
    return ratings, movies, users[list(_USERS)].set_index("user_id")


def _read_csv(path):
    ratings = _table(path, "ratings.csv", _RATINGS, skiprows=1)
    movies = _table(path, "movies.csv", _MOVIES, skiprows=1, quoting=csv.QUOTE_MINIMAL)
    return ratings, movies.set_index("item_id"), None


def _table(path, filename: str, columns: dict[str, str], **options) -> pd.DataFrame:
    plain = {"header": None, "quoting": csv.QUOTE_NONE, "keep_default_na": False}
    with open_file(path, filename) as file:
        return pd.read_csv(file, names=list(columns), dtype=columns, **(plain | options))


def ratings_to_matrix(ratings: pd.DataFrame, *, user_ids=None, item_ids=None):
    """Turn a table of ratings into a sparse matrix, keeping the ids of its rows and columns.

    Parameters
    ----------
    ratings : DataFrame
        With columns user_id, item_id and rating; a rating of zero is kept.
    user_ids, item_ids : array-like, optional
        The ids of the rows and columns, for several matrices of one shape; by default those
        that occur, ascending.

    Returns
    -------
    R : csr_array, shape (n_users, n_items)
    user_ids, item_ids : ndarray

    Raises
    ------
    TypeError
        If the ratings are not numbers.
    ValueError
        If a column is missing, a rating is NaN or infinite, an id is missing or not among those
        given, those are given twice, or a (user, item) pair occurs twice (a sparse matrix would
        add the two up).
    """
    if not isinstance(ratings, pd.DataFrame):
        raise TypeError(f"ratings must be a pandas DataFrame, got {type(ratings).__name__}")
    missing = {"user_id", "item_id", "rating"} - set(ratings)
    if missing:
        raise ValueError(f"the table has no column {', '.join(sorted(missing))}")
    if not pd.api.types.is_any_real_numeric_dtype(ratings["rating"]):
        raise TypeError(f"ratings must be real numbers, got dtype {ratings['rating'].dtype}")
    values = ratings["rating"].to_numpy(dtype=float, na_value=np.nan)
    places, ids = [], []
    for column, known in (("user_id", user_ids), ("item_id", item_ids)):
        index = pd.Index(np.sort(ratings[column].dropna().unique()) if known is None else known)
        if not index.is_unique:
            raise ValueError(f"the {column}s given hold {index[index.duplicated()][0]} twice")
        place = index.get_indexer(ratings[column])
        if (place < 0).any():
            unknown = ratings[column][place < 0].iloc[0]
            raise ValueError(f"a rating has {column} {unknown}, which is none of the {column}s")
        places.append(place)
        ids.append(index.to_numpy())
    R = sp.coo_array((values, tuple(places)), shape=tuple(map(len, ids))).tocsr()
    if R.nnz < len(values):
        repeated = ratings[ratings.duplicated(["user_id", "item_id"])]
        raise ValueError(
            f"{len(repeated)} ratings repeat a (user, item) pair, the first by user "
            f"{repeated['user_id'].iloc[0]} for item {repeated['item_id'].iloc[0]}; keep one each, "
            "as with ratings.drop_duplicates(['user_id', 'item_id'], keep='last')"
        )
    return check_ratings(R, "the table"), *ids


def matrix_to_ratings(R, user_ids, item_ids) -> pd.DataFrame:
    """Return a sparse matrix as a DataFrame of user_id, item_id and rating, user by user."""
    R = check_ratings(R)
    if R.shape != (len(user_ids), len(item_ids)):
        ids = f"{len(user_ids)} user_ids and {len(item_ids)} item_ids"
        raise ValueError(f"R is {R.shape[0]} × {R.shape[1]} but there are {ids}")
    users, items = np.asarray(user_ids)[rows_of(R)], np.asarray(item_ids)[R.indices]
    return pd.DataFrame({"user_id": users, "item_id": items, "rating": R.data})


def make_low_rank_ratings(n_users=60, n_items=40, rank=3, *, density=0.3, noise=0.0, rng=None):
    """Make ratings whose factors are known, for tests and for teaching.

    Parameters
    ----------
    n_users, n_items, rank : int
    density : float
        Share of the matrix that is rated, the pairs drawn at random; between 0 and 1.
    noise : float
        Standard deviation of the noise added to each rating.
    rng : int, numpy.random.Generator or None

    Returns
    -------
    R : csr_array, shape (n_users, n_items)
        `U[i] @ V[j]` + noise at the rated places.
    U, V : ndarray, shapes (n_users, rank) and (n_items, rank)
        Normal, scaled so that a rating without noise has variance 1.

    Raises
    ------
    TypeError, ValueError
        If a size is not a whole number of at least 1, density leaves no rating, or noise is
        negative.
    """
    sizes = {"n_users": n_users, "n_items": n_items, "rank": rank}
    n, m, f = (check_count(name, size) for name, size in sizes.items())
    n_ratings = round(check_number("density", density) * n * m)
    if not 0 < n_ratings <= n * m:
        raise ValueError(f"density must give 1 to {n * m} ratings, got {density}")
    rng, noise = np.random.default_rng(rng), check_number("noise", noise, positive=False)
    U, V = (rng.normal(size=(size, f)) / f**0.25 for size in (n, m))
    rows, columns = np.divmod(rng.choice(n * m, n_ratings, replace=False), m)
    ratings = np.einsum("kf,kf->k", U[rows], V[columns]) + noise * rng.normal(size=n_ratings)
    return sp.coo_array((ratings, (rows, columns)), shape=(n, m)).tocsr(), U, V
