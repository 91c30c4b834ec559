"""Ratings: a table, the sparse matrix R made of it, their ids and titles; and ways to split them.

A *user* and an *item* are positions here and everywhere in this package: a row and a column of R.
An *id* is what the data calls somebody; `Ratings` translates.
"""

from __future__ import annotations

import difflib
import reprlib
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real

import numpy as np
import pandas as pd
import scipy.sparse as sp

OFFICIAL_FOLD = 20_000  # ratings in the test set of each of u1 to u5
SEVERAL = (list, tuple, set, dict)  # what is no single id


@dataclass(frozen=True, eq=False)
class Ratings:
    """Ratings of MovieLens or of a table of your own: `load_movielens` or `Ratings.from_table`.

    Attributes
    ----------
    R : csr_array, shape (n_users, n_items)
        The ratings; a row for each user and a column for each item that has any.
    user_ids, item_ids : ndarray
        The ids of the rows and of the columns of `R`.
    titles : ndarray of str, shape (n_items,)
        Of the columns of `R`; the id, where there is no title.
    table : DataFrame
        user_id, item_id, rating and, if known, timestamp: a row for each rating, in the order of
        the data.
    scale : (float, float)
        The lowest and the highest rating that can be given; by default, that occur.
    user_table, item_table : DataFrame or None
        What else is known of users and of items, indexed by id, in the order of the rows and
        columns of `R`.
    name, item_name, unit : str
        What the data, one item and one step of the scale are called, for titles and axes.

    Examples
    --------
    >>> table = pd.DataFrame([["ann", 7, 8], ["bob", 7, 3], ["ann", 9, 10]])
    >>> table.columns = ["reader", "book", "grade"]
    >>> ratings = Ratings.from_table(table, user="reader", item="book", rating="grade")
    >>> ratings
    ratings: 2 users × 2 items, 3 ratings from 3 to 10
    >>> ratings.R.toarray()
    array([[ 8., 10.],
           [ 3.,  0.]])
    >>> ratings.user("bob"), ratings.item(9)
    (1, 1)
    """

    R: sp.csr_array
    user_ids: np.ndarray
    item_ids: np.ndarray
    titles: np.ndarray
    table: pd.DataFrame
    scale: tuple[float, float] | None = None
    user_table: pd.DataFrame | None = None
    item_table: pd.DataFrame | None = None
    name: str = "ratings"
    item_name: str = "item"
    unit: str = "rating"

    def __post_init__(self):
        R = check_ratings(self.R)
        object.__setattr__(self, "R", R)
        sizes = {"user_ids": R.shape[0], "item_ids": R.shape[1], "titles": R.shape[1]}
        for name, n in sizes.items():
            values = getattr(self, name)
            if not isinstance(values, np.ndarray) or values.shape != (n,):
                what = f"{type(values).__name__} of shape {np.shape(values)}"
                raise ValueError(f"{name} must be an array of {n}, as R is {R.shape}, got {what}")
            if name != "titles" and not pd.Index(values).is_unique:
                raise ValueError(f"{name} must be different ones, but some are there twice")
        if not isinstance(self.table, pd.DataFrame) or len(self.table) != R.nnz:
            raise ValueError(f"table must be a DataFrame with a row for each of {R.nnz} ratings")
        for name, ids in (("user_table", self.user_ids), ("item_table", self.item_ids)):
            about = getattr(self, name)
            if about is not None:
                object.__setattr__(self, name, _in_order(about, ids, name))
        if self.scale is None:
            object.__setattr__(self, "scale", (float(R.data.min()), float(R.data.max())))
        low, high = check_range("scale", self.scale, or_equal=True)
        if len(beyond := R.data[(R.data < low) | (R.data > high)]):
            what = f"{len(beyond)} ratings, such as {beyond[0]:g}, are outside the scale"
            raise ValueError(f"{what} from {low:g} to {high:g}; is that a mark for 'not rated'?")

    def __repr__(self) -> str:
        (n, m), (low, high) = self.R.shape, self.scale
        size = f"{n:,} users × {m:,} {self.item_name}s, {self.R.nnz:,} ratings"
        return f"{self.name}: {size} from {low:g} to {high:g}"

    @classmethod
    def from_table(
        cls,
        table: pd.DataFrame,
        user: str = "user_id",
        item: str = "item_id",
        rating: str | None = "rating",
        timestamp: str | None = None,
        titles=None,
        *,
        on_duplicate: str = "error",
        **about,
    ) -> Ratings:
        """Make ratings of a table that has a row for each of them.

        Parameters
        ----------
        table : DataFrame
            Ids are best read as text: ``pd.read_csv(…, dtype={"isbn": str})`` keeps leading zeros.
            A rating of 0 is a rating: drop it first where it means "not rated".
        user, item, rating, timestamp : str
            Names of its columns. Timestamps are numbers or datetimes; they tell which of two
            ratings is the last, and serve to split by time. Without a column of ratings, None, each
            row counts 1.
        titles : str or mapping of id to str, optional
            A column of the table (of several titles of an item, the last), or a dict or Series of
            titles by item id. Where there is none, the id is the title.
        on_duplicate : {"error", "last", "mean", "sum"}
            What to do where a user has rated an item more than once: refuse, keep the rating with
            the latest timestamp (without timestamps, the last line), or keep the mean or the sum.
        **about
            scale, user_table, item_table, name, item_name, unit: see `Ratings`.

        Returns
        -------
        Ratings
            With ids in ascending order. So the rows of a longer table may be other rows: for a
            model that has grown, see `with_matrix`.

        Raises
        ------
        TypeError
            If ratings or timestamps are not numbers, or ids are of several types.
        ValueError
            If a column is missing, an id or a rating is missing, or a (user, item) pair occurs
            twice and `on_duplicate` is "error".

        Examples
        --------
        >>> table = pd.DataFrame({"user_id": [1, 1], "item_id": [7, 7], "rating": [2.0, 5.0]})
        >>> Ratings.from_table(table, titles={7: "Brazil"}, on_duplicate="last").titles
        array(['Brazil'], dtype=object)
        """
        options = {field.name for field in fields(cls)} - {"R", "user_ids", "item_ids", "table"}
        if wrong := set(about) - options:
            raise TypeError(f"from_table has no option {wrong.pop()!r}; see help(Ratings)")
        if on_duplicate not in ("error", "last", "mean", "sum"):
            raise ValueError(
                f"on_duplicate must be 'error', 'last', 'mean' or 'sum', got {on_duplicate!r}"
            )
        names = {"user_id": user, "item_id": item, "rating": rating}
        names |= {} if timestamp is None else {"timestamp": timestamp}
        clean = _read_columns(table, names)
        for name, key in (("user_table", user), ("item_table", item)):
            if key in getattr(about.get(name), "columns", ()):
                raise ValueError(f"{name} must be indexed by id; first do .set_index({key!r})")
        if isinstance(titles, str):
            titles = _column(table, titles).groupby(table[item].to_numpy()).last()
        clean = _drop_duplicates(clean, on_duplicate)
        user_ids, item_ids = (_sorted_ids(clean[key], key) for key in ("user_id", "item_id"))
        R = _to_matrix(clean, user_ids, item_ids)
        if rating is not None and R.nnz > 1 and R.data.min() == R.data.max():
            warnings.warn(
                f"all ratings are {R.data[0]:g}: there is nothing to learn from them as grades; "
                "for clicks and purchases make Ratings.counts, and fit with ALS(confidence=1)",
                stacklevel=2,
            )
        if not isinstance(titles, (type(None), Mapping, pd.Series)):
            kind = type(titles).__name__
            raise TypeError(f"titles must be a column's name, or titles by id, got {kind}")
        known = pd.Series({} if titles is None else titles, dtype=object)
        if not known.index.is_unique:
            twice = known.index[known.index.duplicated()].tolist()[0]
            raise ValueError(f"titles hold id {twice!r} twice")
        found = known.reindex(item_ids).to_numpy(dtype=object)
        named = np.where(pd.isna(found), item_ids.astype(object), found).astype(str).astype(object)
        return cls(R, user_ids, item_ids, named, clean, **about)

    @classmethod
    def counts(
        cls,
        table: pd.DataFrame,
        user: str = "user_id",
        item: str = "item_id",
        timestamp: str | None = None,
        titles=None,
        **about,
    ) -> Ratings:
        """Count events, such as plays, clicks or purchases: R says how often of each pair.

        Parameters
        ----------
        table : DataFrame
            A row for each event.
        user, item, timestamp, titles, **about :
            As for `from_table`, which also says what is raised. Of a pair's timestamps the latest
            is kept.

        Returns
        -------
        Ratings

        Examples
        --------
        >>> plays = pd.DataFrame({"user_id": ["ann", "ann", "bob"], "item_id": [7, 7, 9]})
        >>> Ratings.counts(plays).R.toarray()
        array([[2., 0.],
               [0., 1.]])
        """
        return cls.from_table(
            table, user, item, None, timestamp, titles, on_duplicate="sum", **about
        )

    def binarize(self, at_least: float | None = None) -> Ratings:
        """What somebody has rated, or has rated well: R holds ones there, and nothing elsewhere.

        Parameters
        ----------
        at_least : float, optional
            Keep ratings of at least this. By default all are kept, zeros too.

        Returns
        -------
        Ratings
            Of the same users and items, some of which may have nothing left.

        Raises
        ------
        TypeError, ValueError
            If `at_least` is not a number, or above all ratings.

        Examples
        --------
        >>> table = pd.DataFrame({"user_id": [1, 1], "item_id": [7, 9], "rating": [2.0, 5.0]})
        >>> Ratings.from_table(table).binarize(at_least=4).R.toarray()
        array([[0., 1.]])
        """
        R, table = self.R, self.table
        if at_least is not None:
            kept = np.flatnonzero(R.data >= check_number("at_least", at_least, positive=None))
            if not len(kept):
                highest = f"{R.data.max():g}, got {at_least:g}"
                raise ValueError(f"at_least must be at most the highest rating, {highest}")
            R, table = _split(R, kept)[1], table[table["rating"] >= at_least]
        R = sp.csr_array((np.ones_like(R.data), R.indices, R.indptr), shape=R.shape)
        return replace(self, R=R, table=table.assign(rating=1.0), scale=(1.0, 1.0))

    def user(self, user_id) -> int:
        """Row of R of a user's id. Raises LookupError if there is none."""
        return int(self.users([_one("user_id", user_id)])[0])

    def users(self, user_ids) -> np.ndarray:
        """Rows of R of several users' ids."""
        return _positions(user_ids, self.user_ids, None, "user")

    def item(self, item_id) -> int:
        """Column of R of an item's id or title. Raises LookupError if there is none, or several."""
        return int(self.items([_one("item_id", item_id)])[0])

    def items(self, item_ids) -> np.ndarray:
        """Columns of R of several items' ids or titles."""
        return _positions(item_ids, self.item_ids, self.titles, self.item_name)

    def to_matrix(self, table: pd.DataFrame) -> sp.csr_array:
        """Some rows of `table`, or of another table with its columns and ids, as a matrix like R.

        Raises TypeError or ValueError as `from_table`, and LookupError if R has not all the ids.
        """
        names = {name: name for name in ("user_id", "item_id", "rating")}
        table = _drop_duplicates(_read_columns(table, names), "error")
        return _to_matrix(table, self.user_ids, self.item_ids)

    def with_matrix(self, R, *, user_ids=(), item_ids=(), titles=None) -> Ratings:
        """The same, with the R that `Factorization.update`, `forget` or `append` returned.

        Ids of rows and columns that `append` has added come last, as the rows and columns do; so
        the model's rows stay whose they were. (`from_table` of a longer table would sort the ids,
        and mix them up.) Timestamps are lost, and the table is in the order of R.

        Raises ValueError if R does not have a row and a column for each id.

        Examples
        --------
        >>> table = pd.DataFrame({"user_id": ["b"], "item_id": ["x"], "rating": [4.0]})
        >>> ratings = Ratings.from_table(table)
        >>> grown = ratings.with_matrix(sp.csr_array([[4.0], [5.0]]), user_ids=["a"])
        >>> grown.user("b"), grown.user("a")
        (0, 1)
        """
        R, user_ids, item_ids = (
            check_ratings(R),
            _listed("user", user_ids),
            _listed("item", item_ids),
        )
        titles = list(map(str, item_ids)) if titles is None else titles
        if isinstance(titles, str) or np.shape(titles) != (len(item_ids),):
            raise ValueError(f"titles must be those of the {len(item_ids)} new item_ids, a list")
        users, items = _grown(self.user_ids, user_ids), _grown(self.item_ids, item_ids)
        if R.shape != (len(users), len(items)):
            ids = f"{len(users)} user_ids and {len(items)} item_ids"
            raise ValueError(
                f"R is {R.shape[0]} × {R.shape[1]} but there are {ids}; name the new ones"
            )
        names = np.concatenate([self.titles, np.array(titles, object)])
        changes = {"user_ids": users, "item_ids": items, "titles": names}
        changes["scale"] = min(self.scale[0], R.data.min()), max(self.scale[1], R.data.max())
        return replace(self, R=R, table=_to_table(R, users, items), **changes)

    def to_table(self, R) -> pd.DataFrame:
        """A matrix like R as a table of user_id, item_id and rating, user by user."""
        R = check_ratings(R)
        if R.shape != self.R.shape:
            raise ValueError(f"R has shape {R.shape}, but that of these ratings {self.R.shape}")
        return _to_table(R, self.user_ids, self.item_ids)


def _one(name, key):
    """One id; TypeError for a list of them."""
    if isinstance(key, (*SEVERAL, np.ndarray, pd.Series)):
        what = f"one id, got {type(key).__name__}; for several use {name[:4]}s"
        raise TypeError(f"{name} must be {what}")
    return key


def _listed(name, keys):
    """Several ids as a list, or TypeError."""
    if isinstance(keys, str) or not np.iterable(keys):
        raise TypeError(f"{name}s must be a list of ids, got {keys!r}")
    return list(keys)


def _grown(ids, new):
    """Ids, and new ones: of the type of both, or objects."""
    new = pd.Index([one.item() if isinstance(one, np.number) else one for one in new])
    return np.asarray(pd.Index(ids).append(new)) if len(new) else ids


def _in_order(about, ids, name):
    """What is known of users or of items, in the order of their ids."""
    if not isinstance(about, pd.DataFrame):
        raise TypeError(f"{name} must be a pandas DataFrame, got {type(about).__name__}")
    if about.index.equals(pd.Index(ids)):
        return about
    named = f"{name[:4]}_id" in about.columns  # so that the index is not that of ids
    if named or not about.index.is_unique or not about.index.isin(ids).any():
        raise ValueError(f"{name} must be indexed by id, each once; see DataFrame.set_index")
    return about.reindex(ids)


def _column(table, name):
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"table must be a pandas DataFrame, got {type(table).__name__}")
    if name not in table.columns:
        raise ValueError(f"the table has no column {name!r}; it has {', '.join(map(repr, table))}")
    if isinstance(table[name], pd.DataFrame):
        raise ValueError(f"the table has two columns called {name!r}; rename one")
    return table[name]


def _read_columns(table, names):
    """The columns needed, under our names and checked, in a new table."""
    columns = {
        key: pd.Series(1.0, index=table.index)
        if key == "rating" and name is None
        else _column(table, name)
        for key, name in names.items()
    }
    if not pd.api.types.is_any_real_numeric_dtype(columns["rating"]):
        dtype = columns["rating"].dtype
        raise TypeError(f"{names['rating']} must hold real numbers, got dtype {dtype}")
    columns["rating"] = columns["rating"].astype(float)
    if bad := (~np.isfinite(columns["rating"])).sum():
        raise ValueError(f"{names['rating']} holds NaN or ∞ in {bad} of {len(table)} rows")
    for key in ("user_id", "item_id"):
        if columns[key].isna().any():
            raise ValueError(f"{names[key]} is missing in {columns[key].isna().sum()} rows")
        if columns[key].dtype == object and columns[key].map(_holds_several).any():
            raise TypeError(f"{names[key]} must hold one id in each row, such as a number or text")
    if "timestamp" in columns:
        when = columns["timestamp"]
        is_time = pd.api.types.is_any_real_numeric_dtype(when)
        if not (is_time or pd.api.types.is_datetime64_any_dtype(when)):
            column = f"table[{names['timestamp']!r}]"
            advice = f"first do {column} = pd.to_datetime({column})"
            raise TypeError(f"{names['timestamp']} must hold numbers or datetimes; {advice}")
        if when.isna().any():
            raise ValueError(f"{names['timestamp']} is missing in {when.isna().sum()} rows")
        if getattr(when.dtype, "tz", None) is not None:
            columns["timestamp"] = when.dt.tz_convert("UTC").dt.tz_localize(None)
    if not len(table):
        raise ValueError("the table holds no ratings")
    return pd.DataFrame(columns).reset_index(drop=True)


def _holds_several(one):
    return isinstance(one, (*SEVERAL, np.ndarray, slice))


def _drop_duplicates(table, on_duplicate):
    pair = ["user_id", "item_id"]
    repeated = table.duplicated(pair)
    if not repeated.any():
        return table
    if on_duplicate == "error":
        user, item = table.loc[repeated, pair].iloc[0]
        raise ValueError(
            f"{repeated.sum()} ratings repeat a (user, item) pair, the first by user {user!r} for "
            f"item {item!r}; choose on_duplicate='last' or 'mean', or keep one each"
        )
    if on_duplicate != "last":
        of_pair = table.groupby(pair, observed=True)["rating"]
        table = table.assign(rating=of_pair.transform(on_duplicate))
    by_time = table.sort_values("timestamp", kind="stable") if "timestamp" in table else table
    return by_time.drop_duplicates(pair, keep="last").sort_index(kind="stable")


def _sorted_ids(column, name):
    ids = column.unique()
    try:
        return np.sort(np.asarray(pd.Index(ids).infer_objects()))
    except TypeError as error:
        kinds = " and ".join(sorted({type(one).__name__ for one in ids}))
        advice = "make them one type, as with table.astype({column: str})"
        raise TypeError(f"the column of {name}s holds {kinds}; {advice}") from error


def _to_matrix(table, user_ids, item_ids):
    users = _positions(table["user_id"], user_ids, None, "user")
    items = _positions(table["item_id"], item_ids, None, "item")
    shape = len(user_ids), len(item_ids)
    places = users.astype(np.int32), items.astype(np.int32)
    return sp.coo_array((table["rating"].to_numpy(), places), shape=shape).tocsr()


def _to_table(R, user_ids, item_ids):
    users, items = user_ids[rows_of(R)], item_ids[R.indices]
    return pd.DataFrame({"user_id": users, "item_id": items, "rating": R.data})


def _positions(wanted, ids, titles, name):
    """Positions of ids or titles, or LookupError."""
    wanted = pd.Index(_listed(name, wanted))
    try:
        found = pd.Index(ids).get_indexer(wanted)
    except TypeError as error:  # of what has no hash
        raise TypeError(f"{name}s must be a list of ids, got one of several lists") from error
    for k in np.flatnonzero(found < 0):
        key = wanted[k].item() if isinstance(wanted[k], np.generic) else wanted[k]
        known = titles is not None and isinstance(key, str)
        same = np.flatnonzero(titles == key) if known else []
        if len(same) > 1:
            several = ", ".join(repr(one) for one in ids[same].tolist())
            raise LookupError(f"{len(same)} {name}s are called {key!r}: choose from ids {several}")
        if not len(same):
            names = [one for one in (ids if titles is None else titles) if isinstance(one, str)]
            close = [one for one in names if str(key).casefold() in one.casefold()]
            close = close or difflib.get_close_matches(str(key), names, 1)
            text = isinstance(ids.tolist()[0], str)
            hint = f"ids are {'text' if text else 'numbers'}, such as {ids.tolist()[0]!r}"
            if not text and isinstance(key, str):
                hint += "; read them as text (dtype=str) to keep leading zeros"
            hint = f"did you mean {close[0]!r}?" if close else hint
            raise LookupError(
                f"there is no {name} with id{' or title' * (titles is not None)} {key!r}; {hint}"
            )
        found[k] = same[0]
    return found


# What the public functions ask of their input, in one sentence an error


def check_ratings(R, name: str = "R", dtype=None, *, empty: bool = False) -> sp.csr_array:
    """Return a sparse matrix of ratings as canonical CSR of floats, or say what is wrong with it.

    Takes `Ratings`, too, of which it is the R. float32 stays as it is and everything else becomes
    float64, unless `dtype` says which. R is never changed, and copied only if its format, its dtype
    or the order of its indices must be.

    Raises
    ------
    TypeError
        If R is not sparse, or its ratings are not real numbers.
    ValueError
        If it holds no ratings (unless it may be `empty`), or NaN or infinity, or rates an item
        twice for one user.
    """
    R = R.R if isinstance(R, Ratings) else R
    if not sp.issparse(R) or R.ndim != 2:
        raise TypeError(
            f"{name} must be a two-dimensional SciPy sparse matrix, got {type(R).__name__}; make "
            "Ratings of a table with Ratings.from_table or, where 0 means no rating, a csr_array"
        )
    if R.format in ("bsr", "dia"):
        kind = R.format.upper()
        raise TypeError(f"{name} is in {kind} format, where a rating of zero and none are the same")
    if R.dtype.kind not in "iuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {R.dtype}")
    if R.nnz == 0 and not empty:
        raise ValueError(f"{name} ({R.shape[0]} × {R.shape[1]}) holds no ratings")
    dtype = check_dtype(dtype or (R.dtype if R.dtype == np.float32 else np.float64))
    R = R if R.format in ("csr", "csc", "coo") else R.tocsr()
    csr = sp.csr_array(R)
    check_indices(csr, name)
    if not csr.has_canonical_format:
        csr = csr.copy()
        csr.sum_duplicates()
    if csr.nnz < R.nnz:
        twice = f"{R.nnz - csr.nnz} of {R.nnz} ratings repeat a (user, item) pair"
        raise ValueError(f"{name} is ambiguous: {twice}; keep one each")
    with np.errstate(over="ignore"):
        cast = csr.astype(dtype, copy=False)
    if bad := np.sum(~np.isfinite(cast.data)):
        raise ValueError(f"{name} holds NaN, ∞ or more than {dtype} in {bad} of {R.nnz} ratings")
    return cast


def check_table(ratings, *, timed: bool = False) -> None:
    """Raise TypeError unless these are `Ratings`, and ValueError if they have no timestamps."""
    if not isinstance(ratings, Ratings):
        advice = "make them of a table with Ratings.from_table or, after an update, of its R with "
        what = f"got {type(ratings).__name__}; {advice}ratings.with_matrix(R)"
        raise TypeError(f"ratings must be Ratings, {what}")
    if timed and "timestamp" not in ratings.table:
        raise ValueError("these ratings have no timestamps; name them: from_table(timestamp=…)")


def check_indices(R, name: str = "R") -> None:
    """Raise ValueError if a CSR matrix has ratings in columns that it has not."""
    if R.nnz and not 0 <= R.indices.min() <= R.indices.max() < R.shape[1]:
        raise ValueError(f"{name} is damaged: its indices do not fit its shape {R.shape}")


def check_rows(R, name: str = "R") -> sp.csr_array:
    """Return R as canonical CSR of floats, like `check_ratings`, at a cost that is the row's.

    Of a CSR matrix known to be canonical the ratings are not looked at: who uses a row checks it.
    """
    R = R.R if isinstance(R, Ratings) else R
    known = getattr(R, "format", None) == "csr" and R.dtype in (np.float32, np.float64)
    if known and R.ndim == 2 and R.has_canonical_format:
        return R
    return check_ratings(R, name, empty=True)


def check_held_out(R_test, R, name) -> sp.csr_array:
    """Return held-out ratings as CSR; raise TypeError or ValueError if they do not fit R."""
    R_test = check_ratings(R_test, name)
    if R_test.shape != R.shape:
        raise ValueError(f"{name} has shape {R_test.shape} but R has {R.shape}")
    pairs = [
        sp.csr_array((np.ones(A.nnz), A.indices, A.indptr), shape=A.shape) for A in (R, R_test)
    ]
    if shared := pairs[0].multiply(pairs[1]).nnz:
        what = f"{shared} of its {R_test.nnz} ratings are training ratings too"
        raise ValueError(f"{name} is not held out: {what}; split R, as with train_test_split")
    return R_test


def check_rng(rng) -> np.random.Generator:
    """Return the generator that a seed makes, or the one that is given, or raise as NumPy does."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        what = f"a whole number from 0, a numpy.random.Generator or None, got {reprlib.repr(rng)}"
        raise type(error)(f"rng must be {what}") from error


def check_array(name: str, values) -> np.ndarray:
    """Return `values` as an array, or raise ValueError if their rows are of several lengths."""
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be an array, but its rows are not equally long") from error


def check_positions(name: str, values, size: int) -> np.ndarray:
    """Return distinct positions under `size`, or raise IndexError, TypeError or ValueError."""
    positions = np.atleast_1d(check_array(name, values))
    if positions.ndim == 1 and not len(positions):
        return np.empty(0, np.intp)
    if positions.ndim != 1 or positions.dtype.kind not in "iu":
        what = f"{positions.dtype} of shape {positions.shape}"
        advice = "positions, not ids or titles, which Ratings.items and .users translate"
        raise TypeError(f"{name} must be whole numbers in one dimension, got {what}: {advice}")
    low, high = positions.min(), positions.max()
    if low < 0 or high >= size:
        bad = low if low < 0 else high
        raise IndexError(f"{name} holds {bad}, but positions (not ids) are 0 to {size - 1}")
    if len(set(positions.tolist())) < len(positions):
        raise ValueError(f"{name} holds a position twice; keep one of each")
    return positions.astype(np.intp, copy=False)


def check_position(name: str, value, size: int) -> int:
    """Return `value` as a position under `size`, or raise IndexError or TypeError."""
    if isinstance(value, str):
        what = f"{name} must be a position, got {value!r}"
        raise TypeError(f"{what}; Ratings.user and .item translate ids and titles")
    position = check_count(name, value, low=None)
    if not 0 <= position < size:
        raise IndexError(f"{name} is {position}, but positions (not ids) are 0 to {size - 1}")
    return position


def check_row(name: str, values, ratings, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return positions, as `check_positions`, and as many finite ratings; or raise as it does."""
    positions = check_positions(name, values, size)
    ratings = np.atleast_1d(check_array("ratings", ratings))
    if len(ratings) and ratings.dtype.kind not in "iuf":
        raise TypeError(f"ratings must be real numbers, got dtype {ratings.dtype}")
    if ratings.shape != positions.shape:
        shapes = f"{positions.shape} and {ratings.shape}"
        raise ValueError(f"{name} and ratings must be as many, got shapes {shapes}")
    if not np.isfinite(ratings).all():
        raise ValueError("ratings hold NaN or ∞")
    return positions, ratings


def check_floats(name: str, values, shape: tuple | None = None, *, finite=True) -> np.ndarray:
    """Return real numbers as an array of floats, or raise TypeError or ValueError.

    `shape` holds None where any size will do. Without `finite` NaN and ∞ are let through.
    """
    values = check_array(name, values)
    if values.dtype.kind not in "iuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {values.dtype}")
    shape = values.shape if shape is None else shape
    sizes = zip(shape, values.shape, strict=False)
    if values.ndim != len(shape) or any(n not in (None, size) for n, size in sizes):
        wanted = f"shape {shape}" if None not in shape else f"{len(shape)} dimensions"
        raise ValueError(f"{name} must have {wanted}, got shape {values.shape}")
    if finite and not np.isfinite(values).all():
        raise ValueError(f"{name} holds NaN or ∞")
    return values.astype(np.result_type(values, np.float32), copy=False)


def check_dtype(dtype) -> np.dtype:
    """Return `dtype` if it is float32 or float64, or raise ValueError."""
    try:
        known = np.dtype(dtype)
    except TypeError:
        known = None
    if known not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {known or reprlib.repr(dtype)}")
    return known


def check_count(name: str, value, *, low: int | None = 1, high: int = sys.maxsize) -> int:
    """Return `value`, 2 or 2.0, as a whole number in range, or raise TypeError or ValueError."""
    whole = isinstance(value, Integral) or (isinstance(value, Real) and float(value).is_integer())
    if not whole or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, got {reprlib.repr(value)}")
    if low is not None and value < low:
        raise ValueError(f"{name} must be at least {low}, got {value}")
    if abs(value) > high:
        raise ValueError(f"{name} must be at most {high:,}, got {reprlib.repr(value)}")
    return int(value)


def check_number(name: str, value, *, positive: bool | None = True, why: str = "") -> float:
    """Return `value` as a finite float, or raise TypeError or ValueError.

    It is above zero or, if not `positive`, at least zero or, if that is None, any.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, got {reprlib.repr(value)}")
    try:
        number = float(value)
    except OverflowError:  # of a whole number with hundreds of digits
        number = np.inf
    right = number >= 0 if positive is False else number > 0 if positive else True
    if not (right and np.isfinite(number)):
        kind = {None: "", True: " and positive", False: " and not negative"}[positive]
        raise ValueError(f"{name} must be finite{kind}, got {reprlib.repr(value)}{why}")
    return number


def check_range(name: str, pair, *, or_equal: bool = False) -> tuple[float, float]:
    """Return (lowest, highest), or raise ValueError; perhaps the two may be equal."""
    if isinstance(pair, (tuple, list, np.ndarray)) and np.shape(pair) == (2,):
        low, high = pair
        numbers = isinstance(low, Real) and isinstance(high, Real)
        if numbers and (low < high or (or_equal and low == high)):
            return low, high
    what = f"the lowest and the highest rating, as (1, 5), got {reprlib.repr(pair)}"
    raise ValueError(f"{name} must be {what}")


def check_exponent(value) -> float:
    """Return ν as a float, or raise TypeError or ValueError."""
    if check_number("reg_exponent", value, positive=False) > 2:
        what = f"from 0 (plain) to 1 (weighted) or so, got {value}"
        raise ValueError(f"reg_exponent must be {what}")
    return float(value)


# What a matrix says of its rows


def rows_of(R) -> np.ndarray:
    """Row of each stored rating of a CSR matrix, in the order of `R.data`: shape (n_ratings,)."""
    return np.repeat(np.arange(R.shape[0], dtype=R.indices.dtype), np.diff(R.indptr))


def count_ratings(R) -> tuple[np.ndarray, np.ndarray]:
    """Number of ratings of every user and of every item.

    Examples
    --------
    >>> R = sp.csr_array([[5.0, 0.0, 4.0], [0.0, 0.0, 3.0]])
    >>> count_ratings(R)
    (array([2, 1], dtype=int32), array([1, 0, 2]))
    """
    R = check_ratings(R, empty=True)
    return np.diff(R.indptr), np.bincount(R.indices, minlength=R.shape[1])


def rated_by(R, user: int) -> tuple[np.ndarray, np.ndarray]:
    """What a user has rated: items, and the ratings.

    Raises IndexError if there is no such user.

    Examples
    --------
    >>> rated_by(sp.csr_array([[5.0, 0.0, 4.0], [0.0, 0.0, 3.0]]), 0)
    (array([0, 2], dtype=int32), array([5., 4.]))
    """
    R = check_rows(R)
    user = check_position("user", user, R.shape[0])
    row = slice(R.indptr[user], R.indptr[user + 1])
    return R.indices[row], R.data[row]


def damped_means(R, damping: float = 5.0) -> np.ndarray:
    r"""Mean rating of each item, drawn to the mean of all as long as its ratings are few.

    .. math:: \frac{\sum_i r_{ij} + s \mu}{n_j + s}

    Parameters
    ----------
    R : scipy.sparse array or matrix, shape (n_users, n_items), or Ratings
    damping : float
        s, not negative: so many ratings at the mean μ are added to each item's own.

    Returns
    -------
    ndarray, shape (n_items,)
        In stars.

    Raises
    ------
    TypeError, ValueError
        If R is not a sparse matrix of finite ratings, or `damping` is negative.

    Examples
    --------
    >>> damped_means(sp.csr_array([[5.0, 0.0], [5.0, 2.0]]), damping=1)
    array([4.66666667, 3.        ])
    """
    R, damping = check_ratings(R), check_number("damping", damping, positive=False)
    n = count_ratings(R)[1]
    with np.errstate(over="ignore", invalid="ignore"):
        mean = R.data.mean(dtype=float)
        sums = np.bincount(R.indices, R.data - mean, minlength=R.shape[1])
        scores = mean + sums / np.maximum(n + damping, np.finfo(float).tiny)
    if not np.isfinite(scores).all():
        raise ValueError("R holds ratings so large that their sums are not finite")
    return scores


# Splits: every part has the shape of R


def train_test_split(
    R, test_fraction: float = 0.2, *, rng=None
) -> tuple[sp.csr_array, sp.csr_array]:
    """Split ratings at random in two.

    Parameters
    ----------
    R : scipy.sparse array or matrix, shape (n_users, n_items), or Ratings
    test_fraction : float
        Share of the ratings that is held out, between 0 and 1.
    rng : int, numpy.random.Generator or None

    Returns
    -------
    R_train, R_test : csr_array, shape (n_users, n_items)

    Raises
    ------
    TypeError, ValueError
        If R is not a sparse matrix of finite ratings, or either part would be empty.

    Examples
    --------
    >>> R, _, _ = make_low_rank_ratings(rng=0)
    >>> train, test = train_test_split(R, 0.25, rng=0)
    >>> R.nnz, train.nnz, test.nnz
    (720, 540, 180)
    """
    R = check_ratings(R)
    order = check_rng(rng).permutation(R.nnz)
    return _split(R, order[: _share(test_fraction, R.nnz)])


def leave_k_out(
    R, k: float = 1, *, by_time: bool = False, rng=None
) -> tuple[sp.csr_array, sp.csr_array]:
    """Hold out k ratings of every user, or a share: at random, or those that came last.

    Parameters
    ----------
    R : scipy.sparse array or matrix, shape (n_users, n_items), or Ratings
    k : int or float
        Ratings held out of each user, at least 1; users with no more than that keep all. Or, below
        1, a share of each user's ratings, rounded, of which one at least is kept.
    by_time : bool
        Hold out the last of each user, for which R must be `Ratings` with timestamps; of those of
        one moment, the last in the table. The other way, any.
    rng : int, numpy.random.Generator or None
        Says which, unless `by_time`.

    Returns
    -------
    R_train, R_test : csr_array, shape (n_users, n_items)

    Raises
    ------
    TypeError, ValueError
        If R is not a sparse matrix of finite ratings, there are no timestamps to go by, or no user
        has enough ratings.

    Examples
    --------
    >>> R, _, _ = make_low_rank_ratings(rng=0)
    >>> train, test = leave_k_out(R, 2, rng=0)
    >>> set(count_ratings(test)[0].tolist())
    {2}
    """
    share = isinstance(k, Real) and 0 < k < 1
    k = float(k) if share else check_count("k", k)
    if by_time:
        places, R = _places_in_time(R), R.R
        turn = np.empty(R.nnz)
        turn[places] = -np.arange(R.nnz)
    else:
        R = check_ratings(R)
        turn = check_rng(rng).random(R.nnz)
    rows, n = rows_of(R), np.diff(R.indptr)
    order = np.lexsort((turn, rows))  # each user's ratings, in the order in which they are taken
    rank = np.empty_like(order)
    rank[order] = np.arange(R.nnz) - np.repeat(R.indptr[:-1], n)
    taken = np.minimum(np.rint(k * n), n - 1) if share else np.where(n > k, k, 0)
    test = np.flatnonzero(rank < taken[rows])
    if not len(test):
        what = f"k is {k}, which leaves nothing out: no user has more than {n.max()} ratings"
        raise ValueError(f"{what}; hold out fewer of each, or a larger share")
    return _split(R, test)


def k_fold(R, n_folds: int = 5, *, rng=None) -> Iterator[tuple[sp.csr_array, sp.csr_array]]:
    """Split ratings at random into folds, each of which is the test set once.

    Parameters
    ----------
    R : scipy.sparse array or matrix, shape (n_users, n_items), or Ratings
    n_folds : int
        At least 2, and no more than there are ratings.
    rng : int, numpy.random.Generator or None

    Returns
    -------
    iterator of (R_train, R_test)
        csr_array, shape (n_users, n_items); the test sets are disjoint, and R together.

    Raises
    ------
    TypeError, ValueError
        If R is not a sparse matrix of finite ratings, or `n_folds` is out of range.

    Examples
    --------
    >>> R, _, _ = make_low_rank_ratings(rng=0)
    >>> [test.nnz for train, test in k_fold(R, 3, rng=0)]
    [240, 240, 240]
    """
    R, n_folds = check_ratings(R), check_count("n_folds", n_folds, low=2)
    if n_folds > R.nnz:
        raise ValueError(f"n_folds must be at most the {R.nnz} ratings, got {n_folds}")
    order = check_rng(rng).permutation(R.nnz)
    return (_split(R, test) for test in np.array_split(order, n_folds))


def official_folds(ratings: Ratings) -> list[tuple[sp.csr_array, sp.csr_array]]:
    """The five splits of MovieLens 100K that GroupLens ships as u1 to u5.

    The test set of fold k is lines (k − 1) · 20,000 + 1 to k · 20,000 of u.data, so the order of
    the ratings is all that this needs.

    Parameters
    ----------
    ratings : Ratings
        ``load_movielens("100k")``.

    Returns
    -------
    list of (R_train, R_test)
        csr_array, shape of `ratings.R`; five of them.

    Raises
    ------
    TypeError, ValueError
        If it is another data set.

    Examples
    --------
    >>> from alsnb import load_movielens
    >>> [test.nnz for _, test in official_folds(load_movielens("100k"))]
    [20000, 20000, 20000, 20000, 20000]
    """
    places = _places(ratings)
    if len(places) != 5 * OFFICIAL_FOLD:
        raise ValueError(f"only MovieLens 100K has official folds, not {ratings!r}")
    return [_split(ratings.R, test) for test in places.reshape(5, -1)]


def split_by_time(
    ratings: Ratings, test_fraction: float = 0.2
) -> tuple[sp.csr_array, sp.csr_array]:
    """Train on what was rated first, test on what was rated last, of all users together.

    Many users and some items of the test part may have no ratings in the training part. A model
    without biases predicts 0 for them, which is no rating at all: look at them apart.

    Parameters
    ----------
    ratings : Ratings
        With timestamps.
    test_fraction : float
        Share of the ratings that is held out; of those of one second some may be on either side.

    Returns
    -------
    R_train, R_test : csr_array, shape of `ratings.R`

    Raises
    ------
    TypeError, ValueError
        If there are no timestamps, or either part would be empty.

    Examples
    --------
    >>> table = pd.DataFrame({"user_id": [1, 1, 2], "item_id": [1, 2, 2], "rating": [5, 4, 3]})
    >>> ratings = Ratings.from_table(table.assign(when=[30, 10, 20]), timestamp="when")
    >>> split_by_time(ratings, 0.34)[1].toarray()
    array([[5., 0.],
           [0., 0.]])
    """
    places = _places_in_time(ratings)
    return _split(ratings.R, places[len(places) - _share(test_fraction, len(places)) :])


def _share(test_fraction, n_ratings) -> int:
    """How many ratings to hold out, or an error if that leaves none on either side."""
    n_test = round(check_number("test_fraction", test_fraction, positive=False) * n_ratings)
    if not 0 < n_test < n_ratings:
        raise ValueError(
            f"test_fraction must leave ratings on both sides, got {test_fraction} of {n_ratings}"
        )
    return n_test


def _places(ratings) -> np.ndarray:
    """Where in `R.data` each row of the table is."""
    check_table(ratings)
    users, items = ratings.users(ratings.table["user_id"]), ratings.items(ratings.table["item_id"])
    order = np.lexsort((items, users))
    same = np.array_equal(users[order], rows_of(ratings.R))
    if not same or not np.array_equal(items[order], ratings.R.indices):
        raise ValueError("the table holds ratings of other pairs than R; make Ratings.from_table")
    places = np.empty(len(users), dtype=np.int64)
    places[order] = np.arange(len(users))
    return places


def _places_in_time(ratings) -> np.ndarray:
    """Where in `R.data` each rating is, from the first given to the last."""
    check_table(ratings, timed=True)
    places = _places(ratings)
    return places[np.argsort(ratings.table["timestamp"].to_numpy(), kind="stable")]


def _split(R, test) -> tuple[sp.csr_array, sp.csr_array]:
    """What is left of R without the ratings at these places of `R.data`, and these."""
    chosen, rows = np.zeros(R.nnz, dtype=bool), rows_of(R)
    chosen[test] = True
    return tuple(
        sp.coo_array((R.data[part], (rows[part], R.indices[part])), shape=R.shape).tocsr()
        for part in (~chosen, chosen)
    )


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

    Examples
    --------
    >>> R, U, V = make_low_rank_ratings(n_users=3, n_items=2, rank=1, density=1, rng=0)
    >>> np.allclose(R.toarray(), U @ V.T)
    True
    """
    sizes = {"n_users": n_users, "n_items": n_items, "rank": rank}
    n, m, f = (check_count(name, size) for name, size in sizes.items())
    n_ratings = round(check_number("density", density) * n * m)
    if not 0 < n_ratings <= n * m:
        raise ValueError(f"density must give 1 to {n * m} ratings, got {density}")
    rng, noise = check_rng(rng), check_number("noise", noise, positive=False)
    U, V = (rng.normal(size=(size, f)) / f**0.25 for size in (n, m))
    rows, columns = np.divmod(_draw_places(n * m, n_ratings, rng), m)
    ratings = np.einsum("kf,kf->k", U[rows], V[columns]) + noise * rng.normal(size=n_ratings)
    return sp.coo_array((ratings, (rows, columns)), shape=(n, m)).tocsr(), U, V


def _draw_places(size, k, rng):
    """Draw k different numbers under `size`, without a list of all where that would be long."""
    if size <= 10_000_000:
        return rng.choice(size, k, replace=False)
    drawn = np.empty(0, np.int64)
    while len(drawn) < k:
        drawn = np.unique(np.concatenate([drawn, rng.integers(size, size=k)]))
    return rng.choice(drawn, k, replace=False)
