"""One function a figure: each draws on `ax`, or on a new figure, and returns the axes."""

from __future__ import annotations

import io
import re
import struct
from base64 import b64encode
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, PowerNorm

from .ratings import Ratings, check_ratings, check_table, count_ratings, damped_means, rows_of
from .ridge import solve_row

BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#AA4499", "#666666"
GROUP_COLOURS = (ORANGE, PURPLE, GREEN)  # of kinds of items
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, GREY)  # told apart by every kind of eye, and in print
_BEHIND = {"fc": "white", "ec": "none", "alpha": 0.8, "pad": 0.8}  # of text on lines
MORE_COLOURS = (*COLOURS[:4], "#C8A415", "#56B4E9", "#8C3B2A", "#EE8FBF")  # on white and on #111


def _axes(ax: Axes | None, title: str, xlabel: str = "", ylabel: str = "", size=(6.4, 4)) -> Axes:
    ax = ax or plt.subplots(figsize=size, layout="constrained")[1]
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def show(alt: str, dpi: float = 200) -> None:
    """Show the figures drawn so far in a notebook, sharp on any screen, and close them.

    Outside a notebook it prints the sentence, and leaves the figures to ``plt.show()``.

    Parameters
    ----------
    alt : str
        What is seen, in a sentence: for those who cannot see it, and for tests.
    dpi : float
        Resolution; the page shows the figure at 100 px for each of its inches.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> _ = plt.plot([1, 2, 4])
    >>> show("A curve that doubles at each step.")
    Figure: A curve that doubles at each step.
    >>> plt.close()
    """
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        print(f"Figure: {alt}")
        return
    for number in plt.get_fignums():
        figure, file = plt.figure(number), io.BytesIO()
        figure.savefig(
            file, format="png", dpi=dpi, bbox_inches="tight", metadata={"Software": None}
        )
        width, height = struct.unpack(">II", file.getvalue()[16:24])  # as PNG says at its start
        scale = 100 / dpi
        about = {"alt": alt, "width": round(width * scale), "height": round(height * scale)}
        data = {"image/png": b64encode(file.getvalue()).decode(), "text/plain": f"Figure: {alt}"}
        display(data, raw=True, metadata={"image/png": about})
        plt.close(figure)


def _words(R) -> tuple[str, str]:
    """What an item and a step of the scale are called, if R knows."""
    return (R.item_name, f"{R.unit}s") if isinstance(R, Ratings) else ("item", "ratings")


def plot_cross_table(
    ratings: Ratings, users, items, predictions=None, *, ax: Axes | None = None
) -> Axes:
    """Stars of some users (rows) for some items (columns), with the holes that are left.

    `users` and `items` are positions. Each hole holds a question mark, or its entry of
    `predictions` (n_users × n_items of those).
    """
    check_table(ratings)
    known = ratings.R[users][:, items].toarray()
    filled = predictions is not None
    title = "A model's job: fill the holes" if filled else "What is known, and what is not"
    ax = _axes(ax, title, "", "user id", (1 + 0.55 * len(items), 1.6 + 0.3 * len(users)))
    low, high = ratings.scale
    for (y, x), stars in np.ndenumerate(known):
        if stars:
            shade = 0.08 + 0.5 * (stars - low) / (high - low)
            ax.add_patch(plt.Rectangle((x - 0.46, y - 0.44), 0.92, 0.88, fc=GREY, alpha=shade))
            ax.text(x, y, f"{stars:g}", ha="center", va="center")
        else:
            text = f"{predictions[y][x]:.1f}" if filled else "?"
            ax.text(x, y, text, ha="center", va="center", color=PURPLE, weight="bold")
            box = plt.Rectangle(
                (x - 0.46, y - 0.44), 0.92, 0.88, fc="none", ec=PURPLE, ls=(0, (2, 2))
            )
            ax.add_patch(box)
    ax.set(xlim=(-0.6, len(items) - 0.4), ylim=(len(users) - 0.4, -0.6))
    ax.set_xticks(range(len(items)), ratings.titles[items], rotation=40, ha="right")
    ax.set_yticks(range(len(users)), ratings.user_ids[users])
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return ax


def plot_long_tails(R, *, ax: Axes | None = None) -> Axes:
    """Ratings of each user and of each item, most active first, with their medians marked."""
    (item, _), R = _words(R), check_ratings(R)
    counts = [np.sort(n)[::-1] for n in count_ratings(R)]
    title = f"Half of the {item}s have {np.median(counts[1]):g} ratings or fewer"
    ax = _axes(ax, title, "rank, busiest first", "ratings (log scale)")
    for label, n, colour in zip(("users", f"{item}s"), counts, COLOURS, strict=False):
        rank, median = np.arange(1, len(n) + 1), np.median(n)
        ax.semilogy(rank, n, color=colour, lw=2)
        ax.plot((len(n) + 1) / 2, median, "o", color=colour)
        offset = {"xytext": (7, 4), "textcoords": "offset points", "color": colour}
        ax.annotate(f"median of the {label}: {median:g}", ((len(n) + 1) / 2, median), **offset)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_xlim(0, None)
    return ax


def plot_sparsity(R, *, ax: Axes | None = None) -> Axes:
    """How full each part of R is: rows and columns sorted by activity, in blocks of about 24."""
    (item, _), R = _words(R), check_ratings(R)
    places, edges = [], []
    for n in count_ratings(R):
        places.append(np.argsort(np.argsort(-n, kind="stable")))
        edges.append(np.linspace(0, len(n), max(2, len(n) // 24) + 1))
    where = places[0][rows_of(R)] + 0.5, places[1][R.indices] + 0.5
    filled = np.histogram2d(*where, bins=edges)[0]
    filled /= np.outer(*(np.diff(edge) for edge in edges))
    title = "The ratings crowd into one corner"
    labels = f"{item}s, most rated first", "users, most active first"
    ax = _axes(ax, title, *labels, (7, 4.2))
    norm = PowerNorm(0.5, 0, 1)  # so that the light shades tell 1 % from 5 %
    image = ax.pcolormesh(edges[1], edges[0], filled, cmap="Blues", norm=norm)
    ticks = (0, 0.01, 0.05, 0.2, 0.5, 1)
    bar = ax.figure.colorbar(image, ax=ax, format="{x:.0%}", ticks=ticks, shrink=0.8)
    bar.set_label("filled")
    bar.outline.set_visible(False)
    ax.set(xlim=(0, R.shape[1]), ylim=(R.shape[0], 0))
    return ax


def plot_csr(R, *, ax: Axes | None = None) -> Axes:
    """Draw a small matrix, and the three arrays of its CSR form; arrows show where indptr points.

    The entry i of indptr points to a place *between* two ratings: there row i begins.
    """
    R = check_ratings(R)
    n, m = R.shape
    left, wide = m + 3.2, max(R.nnz, n + 1)
    ax = _axes(ax, "indptr points to where each row begins", size=(9, 0.62 * max(n, 5) + 0.9))
    ax.set(xlim=(-1.4, left + wide + 0.2), ylim=(max(n, 5) + 0.3, -1.5), aspect="equal")
    ax.set_axis_off()

    def box(x, y, text, colour, alpha=0.25):
        ax.add_patch(plt.Rectangle((x, y), 1, 1, fc=colour, ec="white", alpha=alpha))
        ax.text(x + 0.5, y + 0.5, text, ha="center", va="center")

    for i, j in np.ndindex(n, m):
        box(j, i, "", GREY, 0.08)
    for place, (i, j, r) in enumerate(zip(rows_of(R), R.indices, R.data, strict=True)):
        for x, y, text in ((j, i, f"{r:g}"), (left + place, 0, f"{r:g}"), (left + place, 1.1, j)):
            box(x, y, text, COLOURS[i % 4])
    start = left + (R.nnz - n - 1) / 2  # of indptr, in the middle under the others
    for i, place in enumerate(R.indptr):
        colour = COLOURS[i % 4] if i < n else GREY
        box(start + i, 4, place, colour)
        arrow = {"arrowstyle": "->", "color": colour, "lw": 1.8, "shrinkA": 0, "shrinkB": 1}
        ax.annotate("", (left + place, 2.15), (start + i + 0.5, 4), arrowprops=arrow)
    heads = [(-0.5, i + 0.5, i, COLOURS[i % 4]) for i in range(n)]
    heads += [(j + 0.5, -0.5, j, GREY) for j in range(m)]
    for x, y, number, colour in heads:
        ax.text(x, y, number, color=colour, ha="center", va="center", weight="bold")
    for place in range(R.nnz + 1):
        ax.text(left + place, -0.3, place, color=GREY, ha="center", va="center", size="small")
    for name, y in (("data", 0.5), ("indices", 1.6), ("indptr", 4.5)):
        x = left if y < 4 else start
        ax.text(x - 0.3, y, name, ha="right", va="center", family="monospace")
    return ax


def plot_mean_against_count(R, k: float | None = None, *, ax: Axes | None = None) -> Axes:
    """Mean rating of each item against how many it has, with the band that chance explains.

    With `k`, the means shrunk by so many ratings at μ, and grey lines from where they were. Dots
    are moved sideways, by less than a quarter of a rating, so that they do not hide each other.
    """
    (item, unit), R = _words(R), check_ratings(R)
    n = count_ratings(R)[1]
    n, means, mean = n[n > 0], damped_means(R, 0)[n > 0], R.data.mean()
    x = n + np.random.default_rng(0).uniform(-0.24, 0.24, len(n))
    title = f"The extremes are the {item}s that few have rated"
    if k is not None:
        title = f"k = {k:g} moves the {item}s that few have rated, and hardly the others"
    ax = _axes(ax, title, f"ratings of the {item} (log scale)", f"mean ({unit})", (7, 4.2))
    if k is None:
        grid = np.geomspace(0.76, n.max(), 200)
        chance = 2 * R.data.std() / np.sqrt(grid)
        ax.fill_between(grid, mean - chance, mean + chance, color=GREY, alpha=0.15, lw=0)
        ax.text(0.42, 0.9, r"grey band: $\mu$ ± 2 standard errors, what chance can do",
                transform=ax.transAxes, color=GREY, size="small")  # fmt: skip
        shown = means
    else:
        shown = mean + (means - mean) * n / (n + k)
        ax.vlines(x, means, shown, color=GREY, lw=0.6, alpha=0.4)
    ax.semilogx(x, shown, "o", color=ORANGE, ms=3.5, mew=0, alpha=0.5)
    ax.axhline(mean, color=GREY, lw=1)
    ax.annotate("$\\mu$", (1, mean), (4, 0), xycoords=("axes fraction", "data"),
                textcoords="offset points", color=GREY, va="center")  # fmt: skip
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_ylim(R.data.min() - 0.2, R.data.max() + 0.2)
    return ax


def plot_splits(splits: dict, ratings: Ratings, *, axes=None) -> np.ndarray:
    """Train and test part of several splits, side by side: some users, the 40 busiest items.

    `splits` maps a name to (R_train, R_test). Users stand in the order of their first rating; shown
    are 20 of them, evenly spaced. Titles say how many of all users have a rating in the test part.
    """
    check_table(ratings, timed=True)
    if axes is None:
        axes = plt.subplots(1, len(splits), figsize=(9.6, 4.4), sharey=True, layout="constrained")[
            1
        ]
    first = ratings.table.groupby("user_id")["timestamp"].min().reindex(ratings.user_ids)
    places = np.linspace(0, len(first) - 1, min(20, len(first))).astype(int)
    users = np.argsort(first.to_numpy(), kind="stable")[places]
    items = np.argsort(-count_ratings(ratings)[1], kind="stable")[:40]
    axes = np.atleast_1d(axes)
    for ax, (name, parts) in zip(axes, splits.items(), strict=True):
        tested = np.sum(count_ratings(parts[1])[0] > 0)
        title = f"{name}:\n{tested} of {len(first)} users tested"
        _axes(ax, title, f"the {len(items)} most rated {ratings.item_name}s")
        for R, colour in zip(parts, (BLUE, GREEN), strict=True):
            shown = np.where(R[users][:, items].toarray() != 0, 1.0, np.nan)
            edges = np.arange(len(items) + 1), np.arange(len(users) + 1)
            ax.pcolormesh(*edges, shown, cmap=ListedColormap([colour]), ec="white", lw=0.4)
        ax.set(xlim=(0, len(items)), ylim=(len(users), 0), xticks=[])
        ax.set_yticks(np.arange(len(users)) + 0.5, places + 1, size=8)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    axes[0].set_ylabel("users, numbered by their first rating")
    for x, word, colour in ((0, "train", BLUE), (0.2, "test", GREEN)):
        axes[0].text(x, -0.13, f"■ {word}", color=colour, transform=axes[0].transAxes)
    return axes


def plot_baselines(table, title: str, *, ax: Axes | None = None) -> Axes:
    """RMSE of several predictions (rows of a DataFrame) on several test sets (its columns)."""
    ax = _axes(ax, title, "", "test RMSE (stars)", (7, 3.8))
    for (name, errors), colour in zip(table.items(), (GREEN, GREY, PURPLE), strict=False):
        ax.plot(range(len(errors)), errors, "o-", color=colour)
        ax.annotate(name, (len(errors) - 1, errors.iloc[-1]), (8, 0), color=colour, va="center",
                    textcoords="offset points", annotation_clip=False)  # fmt: skip
    ax.set_xticks(range(len(table)), table.index)
    ax.margins(x=0.06)
    return ax


def plot_history(histories: dict, title: str, *, xlabel="iteration", ylabel="RMSE (stars)",
                 label_at: int = -1, colours=9 * COLOURS,
                 ax: Axes | None = None) -> Axes:  # fmt: skip
    """Curves over iterations, each labelled at its last point or another.

    `histories` maps a label to y, counted from 1, or to (x, y).
    """
    ax = _axes(ax, title, xlabel, ylabel)
    for (label, history), colour in zip(histories.items(), colours, strict=False):
        x, y = history if isinstance(history, tuple) else (np.arange(1, len(history) + 1), history)
        ax.plot(x, y, color=colour, lw=2.5)
        offset = (5, 0 if label_at == -1 else 8)
        ax.annotate(label, (x[label_at], y[label_at]), offset, textcoords="offset points",
                    color=colour, va="center", annotation_clip=False)  # fmt: skip
    return ax


def plot_errors_by_factors(results, baselines, title: str, *, ax: Axes | None = None) -> Axes:
    """Held-out RMSE against f, a line for each λ (thicker: more), and lines for the baselines.

    A dot marks the lowest error; the lines of other λ are paler. `results` is the table of
    `grid_search`, of which the last iteration of each fit is drawn; `baselines` maps names to
    RMSE, the highest first.
    """
    last = results[results["n_iterations"] == results["n_iterations"].max()]
    last = last.sort_values("n_factors")
    lowest = last.iloc[np.nanargmin(last["validation_rmse"])]
    ax = _axes(ax, title, "f, the number of factors (log scale)", "held-out RMSE (stars)",
               (7.2, 4.6))  # fmt: skip
    for width, (value, rows) in enumerate(last.groupby("lambda_reg"), start=1):
        ax.plot(rows["n_factors"], rows["validation_rmse"], color=ORANGE, lw=0.7 * width,
                alpha=1 if value == lowest["lambda_reg"] else 0.5)  # fmt: skip
        ax.annotate(f"λ = {value:g}", rows[["n_factors", "validation_rmse"]].iloc[-1], (8, 0),
                    textcoords="offset points", va="center")  # fmt: skip
    factors = last["n_factors"].unique()
    for above, (name, value) in enumerate(reversed(baselines.items())):
        ax.axhline(value, color=GREY, lw=1.2, ls="--")
        ax.annotate(name, (factors[0] if above else factors[-1], value), (0, 7 if above else -5),
                    textcoords="offset points", color=GREY, ha="left" if above else "right",
                    va="bottom" if above else "top")  # fmt: skip
    where = lowest["n_factors"], lowest["validation_rmse"]
    ax.plot(*where, "o", color=ORANGE, ms=9, mec="white")
    ax.annotate(f"lowest: λ = {lowest['lambda_reg']:g}, f = {where[0]:g}", where, (-4, -9),
                textcoords="offset points", va="top", weight="bold")  # fmt: skip
    ax.margins(y=0.1)
    ax.set(xscale="log", xlim=(0.85 * factors[0], 1.1 * factors[-1]))
    ax.set_xticks(factors, [f"{f}" for f in factors])
    ax.minorticks_off()
    return ax


def _cells(ax, values, corner, colour, text="{:.1f}", alpha=0.3):
    """Draw a matrix as boxes with its numbers, from its upper left `corner`; NaN is an empty box.

    `alpha` is one number, or one for each value.
    """
    alpha = np.broadcast_to(alpha, np.shape(values))
    for (i, j), value in np.ndenumerate(values):
        x, y = corner[0] + j, corner[1] + i
        ax.add_patch(plt.Rectangle((x, y), 1, 1, fc="none", ec=GREY, lw=0.4))
        if not np.isnan(value):
            ax.add_patch(plt.Rectangle((x, y), 1, 1, fc=colour, alpha=alpha[i, j], lw=0))
            number = text.format(round(value, 1) + 0).replace("-", "−")  # + 0: no −0.0
            ax.text(x + 0.5, y + 0.5, number, ha="center", va="center", size=9)


def _frame(ax, x, y, width, height, colour):
    """Draw the edge of a box that the eye is to follow."""
    place = (x, y), width, height
    ax.add_patch(plt.Rectangle(*place, fc="none", ec=colour, lw=2.2, zorder=3))


def plot_product(R, U, V, users, items, place, *, ax: Axes | None = None) -> Axes:
    """Draw a small R and beside it U Vᵀ, which predicts each of its places, and one above all.

    Each prediction lies where its row of U and its column of Vᵀ cross. `users` and `items` are the
    names of the rows and columns, `place` a pair (i, j).
    """
    R, (i, j) = check_ratings(R), place
    (n, m), f = R.shape, U.shape[1]
    ax = _axes(ax, "Two thin tables fill the holes of a wide one", size=(10.4, 5.6))
    ax.set_axis_off()
    known = np.full((n, m), np.nan)
    known[rows_of(R), R.indices] = R.data
    x, y = m + 3.2 + f, -f - 0.5  # where the prediction begins, and above it Vᵀ
    _cells(ax, known, (0, 0), GREY, "{:g}", np.nan_to_num(known) / 10)
    _cells(ax, U @ V.T, (x, 0), GREY, alpha=np.clip(U @ V.T, 0, 5) / 10)
    _cells(ax, U, (x - f - 0.5, 0), BLUE)
    _cells(ax, V.T, (x, y), ORANGE)
    ax.text(j + 0.5, i + 0.5, "?", ha="center", va="center", size=13, weight="bold")
    _frame(ax, j, i, 1, 1, "black")
    _frame(ax, x + j, i, 1, 1, "black")
    _frame(ax, x - f - 0.5, i, f, 1, BLUE)
    _frame(ax, x + j, y, 1, f, ORANGE)
    for row, name in enumerate(users):
        ax.text(-0.3, row + 0.5, name, ha="right", va="center", size=10)
    for column, name in enumerate(items):
        for left, bottom in ((0, -0.2), (x, y - 0.2)):
            place = left + column + 0.3, bottom
            ax.text(*place, name, rotation=40, rotation_mode="anchor", size=10)
    for left, width, name in (
        (0, m, "R: ratings, with holes"),
        (x - f - 0.5, f, "U: users"),
        (x, m, "U Vᵀ: predictions"),
    ):
        ax.text(left + width / 2, n + 0.7, name, ha="center", size=11)
    ax.text(x - 0.4, y + f / 2, "Vᵀ: movies", ha="right", va="center", size=11)
    ax.text((m + x - f - 0.5) / 2, n / 2, "≈", ha="center", va="center", size=22)
    ax.set(xlim=(-3.6, x + m + 2.4), ylim=(n + 1, y - 3.4), aspect="equal")
    return ax


def plot_gather(R, V, i: int, items, *, ax: Axes | None = None) -> Axes:
    """Draw how Y_i and r_i are gathered: the rows of V that user i has rated, and the ratings."""
    R = check_ratings(R)
    row = slice(R.indptr[i], R.indptr[i + 1])
    rated, (m, f) = R.indices[row], V.shape
    ax = _axes(ax, "$Y_i$ is made of the rows of V that the user has rated", size=(8.4, 3.8))
    ax.set_axis_off()
    ratings, alpha = np.full((m, 1), np.nan), np.full((m, f), 0.06)
    ratings[rated, 0], alpha[rated] = R.data[row], 0.3
    right = f + 6
    _cells(ax, ratings, (0, 0), BLUE, "{:g}")
    _cells(ax, V, (2, 0), ORANGE, alpha=alpha)
    _cells(ax, V[rated], (right, 0.5), ORANGE)
    _cells(ax, ratings[rated], (right + f + 1, 0.5), BLUE, "{:g}")
    for k, j in enumerate(rated):
        style = {"arrowstyle": "->", "color": GREY, "lw": 1.2}
        ax.annotate("", (right - 0.2, k + 1), (f + 2.2, j + 0.5), arrowprops=style)
    for j, name in enumerate(items):
        colour = "black" if j in rated else GREY
        ax.text(-0.3, j + 0.5, name, ha="right", va="center", size=10, color=colour)
    for x, y, name in (
        (0.5, -0.4, "ratings"),
        (2 + f / 2, -0.4, "V"),
        (right + f / 2, 0.1, "$Y_i$"),
        (right + f + 1.5, 0.1, "$r_i$"),
    ):
        ax.text(x, y, name, ha="center", size=12)
    ax.set(xlim=(-4.6, right + f + 2.5), ylim=(m + 0.2, -1.3), aspect="equal")
    return ax


def plot_staircase(path, r: float, penalty: float, *, ax: Axes | None = None) -> Axes:
    """Draw J of one user and one movie, and the points to which half-steps led (k × 2)."""
    ax = _axes(ax, "Sideways, down, sideways: half-steps make a staircase", "u (the user)",
               "v (the movie)", (5.8, 5.4))  # fmt: skip
    u, v = np.meshgrid(*2 * [np.linspace(-2.5, 2.5, 201)])
    J = (r - u * v) ** 2 + penalty * (u**2 + v**2)
    levels = [2, 2.5, 3, 4, 6, 10, 16, 24, 36]
    lines = ax.contour(u, v, J, levels=levels, colors=GREY, linewidths=0.7, alpha=0.7)
    ax.clabel(lines, levels=[2, 3, 4, 6, 10, 24], fmt="%g", fontsize=8)
    for start, end in pairwise(path):
        colour = BLUE if start[1] == end[1] else ORANGE
        ax.plot(*np.transpose([start, end]), "-", color=colour, lw=2.5)
        ax.plot(*end, "o", color=colour, ms=4)
    for name, (x, y), place, colour in zip(
        ("solve u", "solve v"),
        np.add(path[:2], path[1:3]) / 2,
        ((0, 5), (-34, -4)),
        (BLUE, ORANGE),
        strict=True,
    ):
        ax.annotate(name, (x, y), place, textcoords="offset points", color=colour,
                    ha="center", size=11, bbox=_BEHIND)  # fmt: skip
    ax.plot(*path[0], "ko", ms=6)
    ax.annotate("start", path[0], (-6, 4), textcoords="offset points", ha="right")
    if abs(r) > penalty:
        root = np.sqrt(abs(r) - penalty) * np.array([[1, np.sign(r)]])
        ax.plot(*np.vstack([root, -root]).T, "*", color=GREEN, ms=13)
        ax.plot(0, 0, "x", color="black", ms=9, mew=2)
    ax.set_aspect("equal")
    return ax


def plot_search(found, by: str, title: str, *, xlabel: str = "", ax: Axes | None = None) -> Axes:
    """Training and validation error against one setting, on a log axis, the lowest ringed.

    `found` is a table of `grid_search` with one row for each value of the setting `by`.
    """
    ax = _axes(ax, title, xlabel or by, "RMSE (stars)")
    for part, colour in (("training", BLUE), ("validation", ORANGE)):
        errors = found[f"{'train' if part == 'training' else part}_rmse"].to_numpy()
        ax.plot(found[by], errors, "o-", color=colour, ms=4)
        ax.annotate(part, (found[by].iloc[-1], errors[-1]), (7, 0), textcoords="offset points",
                    color=colour, va="center", annotation_clip=False)  # fmt: skip
    best = found.iloc[np.nanargmin(found["validation_rmse"])]
    ax.plot(best[by], best["validation_rmse"], "o", mfc="none", color=ORANGE, ms=12, mew=2)
    _log_ticks(ax, found[by])
    return ax


def plot_landscape(found, title: str, *, x="lambda_reg", y="n_factors", xlabel="λ",
                   ylabel="factors", metric="rmse", ax: Axes | None = None) -> Axes:  # fmt: skip
    """Validation score of each pair of two settings, as a heat map, the best framed.

    `found` is a table of `grid_search` with one row for each pair, `metric` as there. The best of
    each row of the map has a thin frame.
    """
    heat = found.pivot_table(index=y, columns=x, values=f"validation_{metric}")
    ax = _axes(ax, title, xlabel, ylabel, (6.4, 3.4))
    values, rmse = heat.to_numpy(), metric == "rmse"
    top, far = (values.min(), 0.2) if rmse else (values.max(), -0.08)
    behind = abs(values - top)
    ends = sorted([top - 0.1 * far, top + far])
    ax.imshow(values, "Oranges" if rmse else "Oranges_r", aspect="auto", vmin=ends[0], vmax=ends[1])
    for (row, column), value in np.ndenumerate(values):
        best = behind[row, column] == 0
        ax.text(column, row, f"{value:.3f}", ha="center", va="center",
                color="white" if behind[row, column] > abs(0.6 * far) else "black",
                weight="bold" if best else "normal")  # fmt: skip
        if behind[row, column] == behind[row].min():
            place = (column - 0.47, row - 0.46), 0.94, 0.92
            ax.add_patch(plt.Rectangle(*place, fill=False, ec="black", lw=2 if best else 0.8))
    ax.set_xticks(range(heat.shape[1]), [f"{value:g}" for value in heat.columns])
    ax.set_yticks(range(heat.shape[0]), [f"{value:g}" for value in heat.index])
    return ax


def plot_choices(tables, title: str, *, by="lambda_reg", xlabel="λ",
                 ax: Axes | None = None) -> Axes:  # fmt: skip
    """Validation error against one setting, a curve for each fold, with what each fold chooses.

    Where other settings vary as well, the curve is of the lowest error for each value.
    """
    ax = _axes(ax, title, xlabel, "validation RMSE (stars)")
    for found in tables:
        lowest = found.groupby(by)["validation_rmse"].min()
        ax.plot(lowest.index, lowest, "-", color=ORANGE, lw=1, alpha=0.6)
        ax.plot(lowest.idxmin(), lowest.min(), "o", color=ORANGE, ms=6)
    _log_ticks(ax, tables[0][by])
    return ax


def plot_groups(table, title: str, *, xlabel="", ylabel="RMSE (stars)", colours=COLOURS,
                errors=None, ax: Axes | None = None) -> Axes:  # fmt: skip
    """One line for each column over the rows of a table, side by side, labelled at its end.

    `errors`, a table of the same shape, adds bars of one standard error up and down.
    """
    ax = _axes(ax, title, xlabel, ylabel)
    places = np.arange(len(table))
    for name, colour in zip(table, colours, strict=False):
        ax.plot(places, table[name], "o-", color=colour, ms=5)
        if errors is not None:
            ends = table[name] - errors[name], table[name] + errors[name]
            ax.vlines(places, *ends, color=colour, lw=1.5, alpha=0.6)
    ends = table.iloc[-1].to_numpy(float)
    points = 50 * ax.figure.get_figheight() / np.ptp(ax.get_ylim())  # about, of the axes' height
    for k, (name, end, place) in enumerate(zip(table, ends, _spread(ends * points), strict=True)):
        ax.annotate(name, (places[-1], end), (8, place - end * points), color=colours[k],
                    textcoords="offset points", va="center", annotation_clip=False)  # fmt: skip
    ax.set_xticks(places, [str(label) for label in table.index])
    return ax


def _spread(places, gap=13):
    """Move numbers apart, in their order, until neighbours have at least this gap."""
    order = np.argsort(places, kind="stable")
    steps = gap * np.arange(len(order))
    floor = places[order] - steps
    spread = np.empty(len(order))
    middle = (np.maximum.accumulate(floor) + np.minimum.accumulate(floor[::-1])[::-1]) / 2
    spread[order] = middle + steps  # rises, as the lowest ascending and the highest both do
    return spread


def plot_pulls(pulls: dict, title: str, *, start="", around=None, crowd="",
               ax: Axes | None = None) -> Axes:  # fmt: skip
    """For each name, what a row of two factors is shrunk towards, and how far its ratings pull it.

    `pulls` maps a name to (where it starts, where it ends); `start` labels the starts; `around`
    holds rows for context, and `crowd` says what these are.
    """
    ax = _axes(ax, title, "factor 0", "factor 1", (5, 4))
    if around is not None:
        ax.plot(*np.asarray(around)[:, :2].T, ".", color=GREY, ms=3, alpha=0.25, zorder=1)
        ax.annotate(crowd, (0, 0), (5, 5), xycoords="axes fraction", textcoords="offset points",
                    color=GREY, bbox=_BEHIND)  # fmt: skip
    for name, (first, last) in pulls.items():
        ax.annotate("", last[:2], first[:2], zorder=2, arrowprops={
            "arrowstyle": "-|>", "color": BLUE, "lw": 1.8, "shrinkA": 3, "shrinkB": 2,
            "mutation_scale": 8})  # fmt: skip
        ax.plot(*first[:2], "o", mfc="white", color=BLUE, ms=7, mew=1.8)
        ax.plot(*last[:2], "o", color=BLUE, ms=5)
        ax.annotate(start, first[:2], (10, 0), textcoords="offset points", va="center",
                    bbox=_BEHIND)  # fmt: skip
        below = last[1] < first[1]
        ax.annotate(name, last[:2], (0, -9 if below else 9), textcoords="offset points",
                    ha="center", va="top" if below else "bottom", color=BLUE, weight="bold",
                    bbox=_BEHIND)  # fmt: skip
    return ax


def plot_protocol(n_folds: int = 5, *, ax: Axes | None = None) -> Axes:
    """What each fold's ratings are for: a fifth is closed, a tenth of the rest drawn to choose."""
    title = "Each fold: fit and choose on four fifths, then open the other fifth once"
    ax = _axes(ax, title, "ratings, in the order of the file (%)", size=(8, 2.9))
    width, stripe, rng = 100 / n_folds, 0.4, np.random.default_rng(0)
    for fold in range(n_folds):
        start = fold * width
        ax.barh(fold, 100, color=BLUE, height=0.7)
        lefts = np.arange(0, 100 - width - stripe / 2, stripe)
        lefts = rng.choice(lefts, round(len(lefts) / 10), replace=False)
        lefts += width * (lefts > start - stripe / 2)  # none in the test part
        ax.barh(np.full(len(lefts), fold), stripe, left=lefts, color=ORANGE, height=0.7)
        ax.barh(fold, width, left=start, color=GREEN, height=0.7)
    parts = (("test, closed: 20 %", GREEN), ("choose: 8 %, at random", ORANGE), ("fit: 72 %", BLUE))
    for x, (label, colour) in zip((0, 24, 53), parts, strict=True):
        ax.text(x, -0.75, label, color=colour, weight="bold")
    ax.set(yticks=range(n_folds), xlim=(0, 100), ylim=(n_folds - 0.4, -1.2))
    ax.set_yticklabels([f"u{fold + 1}" for fold in range(n_folds)])
    ax.spines["left"].set_visible(False)
    ax.tick_params(left=False)
    return ax


def plot_rungs(scores, title="Each rung, and what it gains on the rung above", *,
               right: float = 1.0, reference: dict | None = None,
               ax: Axes | None = None) -> Axes:  # fmt: skip
    """Mean test error of each column, top down, with its folds as ticks and the paired step.

    `scores` has a row for each fold, whose ticks are joined from rung to rung; the hardest fold is
    marked and named. Means above `right` are written at the edge. `reference` maps a label to an
    error that is drawn as a line.
    """
    means, steps = scores.mean(), scores.diff(axis=1)
    xlabel = "test RMSE (stars): a tick for each fold, a dot for their mean"
    ax = _axes(ax, title, xlabel, size=(8.6, 1.3 + 0.42 * len(means)))
    for y, (name, mean) in enumerate(means.items()):
        if mean > right:
            ax.annotate(f"{mean:.3f} →", (right, y), (-4, 0), textcoords="offset points",
                        color=GREY, ha="right", va="center")  # fmt: skip
            continue
        ax.plot(scores[name], [y] * len(scores), "|", color=GREEN, ms=9, alpha=0.6)
        ax.plot(mean, y, "o", color=GREEN, ms=8)
        label = f"{mean:.3f}"
        if y and means.iloc[y - 1] <= right:
            step = f"{steps[name].mean():+.4f}".replace("-", "−")
            label += f"  ({step} ± {steps[name].sem():.4f})"
        ax.annotate(label, (right, y), (9, 0), textcoords="offset points", va="center",
                    annotation_clip=False)  # fmt: skip
    for label, value in (reference or {}).items():
        ax.axvline(value, color=GREY, ls=":", lw=1.2)
        ax.annotate(label, (value, len(means) - 0.45), (4, 0), textcoords="offset points",
                    color=GREY, va="bottom", fontsize="small")  # fmt: skip
    shown = np.flatnonzero(means <= right)
    ax.annotate("mean (step ± one\npaired standard error)", (right, shown[0]), (9, 16), color=GREY,
                textcoords="offset points", fontsize="small", annotation_clip=False)  # fmt: skip
    hardest = scores.iloc[:, shown].mean(axis=1).idxmax()
    for name, fold in scores.iloc[:, shown].iterrows():
        look = {"lw": 0.7, "alpha": 0.6}
        if name == hardest:
            look = {"lw": 1.6, "marker": "D", "mfc": "white", "ms": 5}
        ax.plot(fold, shown, "-", color=GREY, zorder=1, **look)
    ax.annotate(hardest, (scores.loc[hardest].iloc[shown[-1]], shown[-1]), (3, -9), color=GREY,
                textcoords="offset points", va="top", ha="center", fontsize="small")  # fmt: skip
    ax.set_yticks(range(len(means)), means.index)
    ax.set(ylim=(len(means) - 0.4, -0.6))
    ax.set_xlim(right=right)
    return ax


def plot_gifts(gifts: dict, title: str, *, ax: Axes | None = None) -> Axes:
    """Reported less true error of many repeats, one histogram above the other, means marked."""
    ax = _axes(ax, title, "reported − true RMSE (stars)", "", (7, 3.4))
    reach = 1.2 * np.quantile(np.abs([*gifts.values()]), 0.99)
    bins = np.linspace(-reach, reach, 32)
    for row, ((name, values), colour) in enumerate(
        zip(gifts.items(), (GREEN, ORANGE), strict=True)
    ):
        counts, _ = np.histogram(values, bins)
        base, heights = 1.25 * (len(gifts) - 1 - row), counts / counts.max()
        ax.bar(bins[:-1], heights, np.diff(bins), base, align="edge", color=colour, alpha=0.7)
        mean = np.mean(values)
        ax.plot([mean, mean], [base, base + 1.12], color="black", lw=1.5)
        ax.annotate(f"mean {mean:+.3f}".replace("-", "−"), (mean, base + 1.04), (-5, 0), ha="right",
                    textcoords="offset points")  # fmt: skip
        ax.text(reach, base + 0.85, name, color=colour, ha="right", weight="bold")
    ax.axvline(0, color=GREY, lw=1, ls=":")
    ax.set(yticks=[], xlim=(-reach, reach))
    ax.spines["left"].set_visible(False)
    return ax


def plot_residuals(residuals, groups, title: str, *, xlabel="", ax: Axes | None = None) -> Axes:
    """Mean residual of each group, with two standard errors on either side."""
    by = pd.Series(np.asarray(residuals)).groupby(groups, observed=True)
    ax = _axes(ax, title, xlabel, "mean of rating − prediction (stars)", (5, 3.4))
    ax.axhline(0, color=GREY, lw=1)
    ax.errorbar(range(len(by)), by.mean(), 2 * by.sem(), fmt="o", color=ORANGE, ms=3.5, capsize=4)
    ax.set_xticks(range(len(by)), [str(label) for label in by.groups])
    return ax


def _log_ticks(ax, values):
    """A logarithmic axis whose ticks are the values that were tried."""
    values = sorted(set(values))
    ax.set_xscale("log")
    ax.set_xticks(values, [f"{value:g}" for value in values])
    ax.minorticks_off()


def plot_eigenvalues(Y, penalty: float, *, ax: Axes | None = None) -> Axes:
    """Eigenvalues of YᵀY, what λ adds, and above each bar the share of the fit that is kept."""
    values = np.maximum(np.linalg.eigvalsh(Y.T @ Y)[::-1], 0)
    none = int(np.sum(values < 1e-9 * values[0]))
    title = f"λ lifts every eigenvalue, {none} of them from zero"
    ax = _axes(ax, title, "eigenvalue of $Y^TY$", "its size", (7.2, 3.8))
    places = np.arange(1, len(values) + 1)
    ax.bar(places, values, color=ORANGE)
    ax.bar(places, penalty, bottom=values, color=GREY, alpha=0.35)
    for x, value in zip(places, values, strict=True):
        share = value / (value + penalty)
        text = f"{100 * share:.0f} %" if value > 1e-9 * values[0] else "0"
        ax.text(x, value + penalty + 0.2, text, ha="center", va="bottom")
    ax.text(1.5, values[0] / 2, "from the ratings", color=ORANGE, size=12)
    ax.text(1.5, values[0] + penalty / 2, "added by λ", color=GREY, size=12)
    ax.text(places[-1] + 0.5, penalty + values[0] / 8, "above the bars: kept of the fit",
            ha="right", va="bottom")  # fmt: skip
    ax.set(xticks=places)
    return ax


def plot_row_contours(Y, r, penalty: float, path=None, *, ax: Axes | None = None) -> Axes:
    """Contours of one row's two-factor problem, and its minimum.

    Without a path: where the minimum walks as λ grows from nothing. With one: a descent (k × 2).
    """
    lambdas = np.geomspace(1e-3, 1e3, 61)
    walk, x = np.array([solve_row(Y, r, value) for value in lambdas]), solve_row(Y, r, penalty)
    ax = _axes(ax, f"λ = {penalty:g}", "first factor", "second factor", (3.6, 3.6))
    reach = 1.2 * np.abs(np.vstack([walk, x] if path is None else [walk, path[0]])).max() + 0.3
    grid = np.stack(np.meshgrid(*2 * [np.linspace(-reach, reach, 200)]), -1)
    cost = ((grid @ Y.T - r) ** 2).sum(-1) + penalty * (grid**2).sum(-1)
    lowest = np.sum((Y @ x - r) ** 2) + penalty * np.sum(x**2)
    levels = lowest + np.geomspace(0.003, 1, 15) * (cost.max() - lowest)
    ax.contour(*np.moveaxis(grid, -1, 0), cost, levels=levels, colors=GREY, linewidths=0.6)
    if path is None:
        ax.plot(*walk.T, color=BLUE, lw=1.8)
        ax.plot(*walk[0], "o", color=BLUE, mfc="white", ms=7)
        ax.plot(0, 0, "ko", ms=4)
        style = {"textcoords": "offset points", "ha": "center", "bbox": _BEHIND}
        ax.annotate("λ → 0", walk[0], (0, 9), **style)
        ax.annotate("λ → ∞", (0, 0), (0, -16), **style)
    else:
        ax.plot(*np.asarray(path).T, ".-", color=PURPLE, ms=4, lw=1)
    ax.plot(*x, "o", color=BLUE, ms=9)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    return ax


def plot_kept_means(penalties: dict, *, ax: Axes | None = None) -> Axes:
    """Draw n / (n + λ n^ν), what is kept of the mean of n ratings; `penalties` is {ν: λ}."""
    title = "Plain λ trusts the busy, weighted λ treats all alike"
    xlabel = "ratings of the row (log scale)"
    ax = _axes(ax, title, xlabel, "share of the mean that is kept", (6.4, 4.6))
    n = np.geomspace(1, 200, 100)
    for (nu, penalty), colour in zip(penalties.items(), ("black", GREY, PURPLE), strict=False):
        share = n / (n + penalty * n**nu)
        ax.semilogx(n, share, "--" if colour == GREY else "-", color=colour, lw=2)
        ax.annotate(f"ν = {nu:g}, λ = {penalty:.2g}", (n[12], share[12]), (6, -12), va="center",
                    textcoords="offset points", color=colour)  # fmt: skip
    ax.minorticks_off()
    ax.set_xticks((1, 5, 20, 50, 200), ("1", "5", "20", "50", "200"))
    ax.set_ylim(0.1, 1)
    return ax


def plot_push_through(n_ratings: int, n_factors: int, *, ax: Axes | None = None) -> Axes:
    """Draw both sides of the push-through identity to scale: YᵀY and YYᵀ, with their factors."""
    n, f = n_ratings, n_factors
    ax = _axes(ax, f"The same x from {f} equations, or from {n}", size=(9, 3.2))
    ax.set_axis_off()
    gap, middle = f / 6, 2 * f + n + f / 6 * 6
    boxes = (
        (0, n, f, "$Y^T$"),
        (n + gap, f, n, "$Y$"),
        (n + f + 3 * gap, f, f, f"{f} × {f}"),
        (middle, f, n, "$Y$"),
        (middle + f + gap, n, f, "$Y^T$"),
        (middle + f + n + 3.5 * gap, n, n, f"{n} × {n}"),
    )
    for number, (x, width, height, name) in enumerate(boxes):
        made = number in (2, 5)
        alpha, colour = (0.8, PURPLE) if made else (0.45, ORANGE)
        ax.add_patch(plt.Rectangle((x, 0), width, height, fc=colour, alpha=alpha))
        ax.text(x + width / 2, -f / 20, name, ha="center", va="bottom", size=11)
        if made:
            ax.text(x - gap, f / 12, "=", ha="center", va="center", size=16)
    ax.text(middle - 1.5 * gap, f / 2, "or", ha="center", va="center", size=13)
    ax.set(xlim=(-gap, boxes[-1][0] + n + 2 * gap), ylim=(f * 1.05, -f / 4), aspect="equal")
    return ax


def plot_factor_map(
    points, titles, labelled, *, groups=None, ends=None, ax: Axes | None = None
) -> Axes:
    """Movies as dots in two directions of factor space, with as many titles as there is room for.

    `labelled` are positions, the most important first; a title that would cover another, or a
    dot, is left out. `groups` maps the names of at most three groups to their dots, a mask each;
    `ends` says what lies at the ends of the axes: ((left, right), (bottom, top)).
    """
    ax = _axes(ax, "Two directions in which people's tastes differ", "first direction",
               "second direction", (9.4, 8.8))  # fmt: skip
    ax.plot(*points.T, "o", color=GREY, ms=5, mew=0, alpha=0.7)
    for (name, members), colour in zip((groups or {}).items(), GROUP_COLOURS, strict=False):
        ax.plot(*points[members].T, "o", color=colour, ms=7, mew=0, label=f"● {name}")
    if groups:
        ax.plot([], [], color=GREY, label="● both, or neither")
        ax.set_title(ax.get_title(), pad=30, fontsize="x-large")
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False,
                  handlelength=0, handletextpad=0, markerscale=0, labelcolor="linecolor",
                  columnspacing=1.2, prop={"size": "large", "weight": "bold"})  # fmt: skip
    for axis, names in zip("xy", ends or (), strict=False):
        for end, name in enumerate(names):
            name = f"{name} →" if end else f"← {name}"
            if axis == "x":
                where, style = (end, -0.013), {"ha": ("left", "right")[end], "va": "top"}
            else:
                where, style = (-0.013, end), {"ha": "right", "va": ("bottom", "top")[end]}
                style["rotation"] = 90
            ax.text(*where, name, transform=ax.transAxes, fontsize="large", weight="bold", **style)
    ax.set(aspect="equal", xticks=[], yticks=[])
    ax.margins(0.06)
    _label_dots(ax, points, labelled, [short_title(titles[j]) for j in labelled])
    return ax


def _label_dots(ax, points, labelled, names):
    """Write names beside their dots, as far as there is room.

    A thin line leads to a name that is not to the left or right of its dot.
    """
    ax.figure.draw_without_rendering()  # so that axes and texts have sizes
    ax.figure.set_layout_engine("none")  # and keep them
    pixels = ax.transData.transform(points)
    per_point = ax.figure.dpi / 72
    texts = [
        ax.annotate(name, points[j], (0, 0), textcoords="offset points", fontsize=9.5,
                    ha="left", va="bottom")
        for j, name in zip(labelled, names, strict=True)
    ]  # fmt: skip
    sizes = [text.get_window_extent().size for text in texts]
    limits = ax.bbox.extents
    gap = 5 * per_point
    limits = np.add(limits, (0, 0, 12 * gap, 0))  # to the right of the axes there is room, too
    corners = place_labels(pixels[labelled], sizes, pixels, limits, gap=gap, rings=4, clear=1.1)
    leaders = []
    for text, corner, size, j in zip(texts, corners, sizes, labelled, strict=True):
        if corner is None:
            text.remove()
            continue
        text.set_position((corner - pixels[j]) / per_point)
        edge = np.clip(pixels[j], corner, corner + size)
        beside = edge[1] == pixels[j, 1] and abs(edge[0] - pixels[j, 0]) < 1.5 * gap
        if not beside:
            leaders.append(ax.transData.inverted().transform([pixels[j], edge]))
    ax.add_collection(LineCollection(leaders, color=GREY, lw=0.8, zorder=1), autolim=False)


def place_labels(
    points, sizes, obstacles, limits, *, gap: float = 5, rings: int = 1, clear: float = 0
) -> list:
    """Find a place beside its point for each label, so that none covers another or an obstacle.

    Parameters
    ----------
    points, sizes : array-like, shape (n_labels, 2)
        Where each label belongs, and its width and height; the first ones choose first.
    obstacles : array-like, shape (n, 2)
        Points that stay free.
    limits : (left, low, right, high)
        No label passes them.
    gap : float
        Between a point and its label.
    rings : int
        Look up to so many gaps away from the point.
    clear : float
        Obstacles are at least so many times as far from a label as its own point is.

    Returns
    -------
    list
        Of each label the corner with the lowest coordinates; None where there is no room.

    Examples
    --------
    >>> points = [[5, 5], [6, 5]]
    >>> place_labels(points, [[10, 2], [10, 2]], points, (0, 0, 20, 20), gap=1)
    [array([0., 6.]), array([7., 4.])]
    """
    obstacles = np.asarray(obstacles, float)
    taken = np.tile(obstacles, 2) + 0.7 * gap * np.array([-1, -1, 1, 1])
    left, low, right, high = limits
    corners = []
    for point, size in zip(np.asarray(points, float), np.asarray(sizes, float), strict=True):
        corners.append(None)
        for side in (ring * np.array(side) for ring in range(1, rings + 1) for side in _SIDES):
            corner = point + gap * side - size * (1 - np.sign(side)) / 2
            x, y = corner + size
            inside = left <= corner[0] and low <= corner[1] and x <= right and y <= high
            free_x = (corner[0] >= taken[:, 2]) | (x <= taken[:, 0])
            free = (free_x | (corner[1] >= taken[:, 3]) | (y <= taken[:, 1])).all()
            away = _outside(obstacles[(obstacles != point).any(axis=1)], corner, corner + size)
            near = (away < clear * _outside(point, corner, corner + size)).any()
            if inside and free and not near:
                corners[-1], taken = corner, np.vstack([taken, [*corner, x, y]])
                break
    return corners


def _outside(points, low, high):
    """How far points lie outside of a box."""
    return np.linalg.norm(np.clip(points, low, high) - points, axis=-1)


_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))


def short_title(title: str, width: int = 36) -> str:
    """Return a title without its year, with its article in front, and cut if it is long.

    Examples
    --------
    >>> short_title("Godfather, The (1972)")
    'The Godfather'
    """
    title = re.sub(r"( or: .*)?( \(.*\))? \(\d{4}\)$", "", str(title))
    title = re.sub(r"^(.*), (The|An?|Il|La|Les?|Das)$", r"\2 \1", title)
    return title if len(title) <= width else title[: width - 1].rstrip(" ,:") + "…"


def plot_row_ranges(n_users=12, n_items=9, n_ranges=3, *, ax: Axes | None = None) -> Axes:
    """What the users' half-step reads and writes: a range of rows of R and all of V, rows of U."""
    title = "Each worker reads its rows of R and all of V, and writes its rows of U"
    ax = _axes(ax, title, size=(7.2, 4.2))
    edges = np.linspace(0, n_users, n_ranges + 1)
    thin, thick = (
        {"arrowstyle": "->", "color": colour, "lw": width, "shrinkA": 0, "shrinkB": 0}
        for colour, width in ((ORANGE, 1.2), (BLUE, 2))
    )
    below, rail = n_users + 1.5, -1.6
    ax.add_patch(plt.Rectangle((0, below), n_items, 3, fc=ORANGE, ec="w", alpha=0.75))
    ax.plot([0, rail, rail], [below + 1.5, below + 1.5, edges[:2].mean()], color=ORANGE, lw=1.2)
    for k, (low, high) in enumerate(pairwise(edges)):
        for left, width, alpha in ((0, n_items, 0.18), (n_items + 7, 3, 0.85)):
            place = (left, low), width, high - low
            ax.add_patch(plt.Rectangle(*place, fc=BLUE, ec="w", lw=3, alpha=alpha))
        middle = (low + high) / 2
        ax.annotate("", (n_items + 6.8, middle), (n_items + 0.2, middle), arrowprops=thick)
        ax.annotate("", (-0.1, middle), (rail, middle), arrowprops=thin)
        ax.text(n_items + 3.5, middle - 0.5, f"worker {k + 1}", ha="center", color=BLUE)
    rows, columns = np.nonzero(np.random.default_rng(0).random((n_users, n_items)) < 0.2)
    ax.plot(columns + 0.5, rows + 0.5, ".", color="black", ms=5)
    for x, y, text in (
        (n_items / 2, -0.4, "R: dots are ratings"),
        (n_items + 8.5, -0.4, "U: written"),
        (n_items / 2, below + 4.2, "Vᵀ: read by all"),
    ):
        ax.text(x, y, text, ha="center")
    ax.set(xlim=(-2.2, n_items + 10.5), ylim=(below + 4.5, -1.4), aspect="equal")
    ax.axis("off")
    return ax


def plot_ladder(seconds: dict, title: str, *, reference=(), ax: Axes | None = None) -> Axes:
    """Seconds of ever better ways to do the same: bars, with the time and the gain over the last.

    Time is on a logarithmic scale, where equal factors are equally long. Ways in `reference`, with
    which the others compare, come last, in grey and without a gain. Axes that share x have room
    for the times of all.
    """
    ax = _axes(ax, title, "milliseconds per iteration", size=(7.2, 0.8 + 0.35 * len(seconds)))
    names = sorted(seconds, key=lambda name: name in reference)
    times = 1e3 * np.array([seconds[name] for name in names])
    ax.set_xscale("log")
    ax.barh(names, times, color=[GREY if name in reference else PURPLE for name in names])
    for y, taken in enumerate(times):
        text = f"{taken:.{1 if taken < 9.95 else 0}f} ms"
        if y and names[y] not in reference:
            gain = times[y - 1] / taken
            text += f", {gain:.{0 if gain >= 9.95 else 1}f} ×"
        ax.annotate(text, (taken, y), (6, 0), textcoords="offset points", va="center")
    drawn = [other.dataLim for other in ax.get_shared_x_axes().get_siblings(ax) if other.has_data()]
    low, high = min(box.minposx for box in drawn) / 3, max(box.x1 for box in drawn) * 4
    ticks = np.outer(10.0 ** np.arange(-3, 7), [1, 3]).ravel()
    _log_ticks(ax, ticks[(ticks >= low) & (ticks <= high)])
    ax.set(xlim=(low, high), ylim=(len(times) - 0.4, -0.6))
    return ax


def plot_gantt(halves: dict, title: str, *, xlabel="milliseconds", scale=1e3,
               ax: Axes | None = None) -> Axes:  # fmt: skip
    """When each worker solved which range of rows, in half-steps one after the other.

    `halves` maps "users" or "movies" to its notes: (worker, start, end), in seconds or whatever
    `scale` makes the unit of `xlabel`.
    """
    workers = sorted({worker for notes in halves.values() for worker, _, _ in notes})
    ax = _axes(ax, title, xlabel, size=(8, 1.2 + 0.5 * len(workers)))
    origin = min(start for notes in halves.values() for _, start, _ in notes)
    done = None
    for name, notes in halves.items():
        times = scale * (np.array([note[1:] for note in notes]) - origin)
        colour = BLUE if name == "users" else ORANGE
        for (worker, _, _), (start, end) in zip(notes, times, strict=True):
            place = (workers.index(worker) - 0.4, 0.8)
            ax.broken_barh([(start, end - start)], place, fc=colour, ec="w", lw=0.7)
        if done is not None:
            barrier = (done + times.min()) / 2
            ax.axvline(barrier, color=GREY, lw=1.2, ls="--")
            ax.annotate("barrier", (barrier, -0.55), (4, 0), textcoords="offset points")
        if len(halves) > 1:
            ax.text(times.mean(), -0.55, name, color=colour, ha="center", va="bottom")
        done = times.max()
    ax.set(ylim=(len(workers) - 0.4, -0.9), yticks=range(len(workers)))
    ax.set_yticklabels([f"worker {k + 1}" for k in range(len(workers))])
    return ax


def plot_premiere(lists: dict, n_users: int, *, ax: Axes | None = None) -> Axes:
    """On how many lists a new movie is after 1, 2, … five-star ratings.

    `lists` maps a label to counts; the first is what the title is about.
    """
    lists_after = next(iter(lists.values()))
    count = int(np.argmax(np.asarray(lists_after) >= n_users / 2)) + 1
    words = ("One rating", "Two ratings", "Three ratings", "Four ratings", "Five ratings")
    start = words[count - 1] if count <= 5 else f"{count} ratings"
    title = f"{start} of five stars: on {lists_after[count - 1]} of {n_users} lists"
    ax = _axes(ax, title, "five-star ratings of a new movie", "on so many lists", (7.2, 3.6))
    ax.axhline(n_users, color=GREY, lw=0.8, ls=":")
    ax.annotate(f"all {n_users}", (1, n_users), (0, 3), textcoords="offset points", color=GREY)
    for (label, counts), colour in zip(lists.items(), (ORANGE, GREY, PURPLE), strict=False):
        x = np.arange(1, len(counts) + 1)
        ax.plot(x, counts, "o-", color=colour, ms=4)
        at = int(np.argmax(np.asarray(counts) > n_users / 2))
        ax.annotate(label, (x[at], counts[at]), (8, -4), textcoords="offset points",
                    color=colour, va="top")  # fmt: skip
    ax.set(ylim=(-0.02 * n_users, 1.12 * n_users), xticks=[1, 5, 10, 15, 20])
    return ax


def plot_newcomers(ks, curves: dict, title: str, *, xlabel="ratings known of a newcomer",
                   ylabel="RMSE on 20 others (stars)", colours=(GREY, GREEN, ORANGE),
                   ax: Axes | None = None) -> Axes:  # fmt: skip
    """Mean error of newcomers over how many ratings of theirs are known, or the like.

    `curves` maps a label to (mean, standard error of the difference from the first curve).
    """
    ax = _axes(ax, title, xlabel, ylabel, (7.2, 3.8))
    for (mean, spread), colour in zip(curves.values(), colours, strict=False):
        ax.plot(ks, mean, "o-", color=colour, ms=4)
        ax.fill_between(ks, mean - spread, mean + spread, color=colour, alpha=0.2, lw=0)
    ends = np.array([mean[-1] for mean, _ in curves.values()])
    points = 50 * ax.figure.get_figheight() / np.ptp(ax.get_ylim())  # about, of the axes' height
    for label, end, place, colour in zip(curves, ends, _spread(ends * points), colours,
                                         strict=False):  # fmt: skip
        ax.annotate(label, (ks[-1], end), (8, place - end * points), textcoords="offset points",
                    color=colour, va="center", annotation_clip=False)  # fmt: skip
    ax.set(xticks=ks)
    return ax


def plot_gaps(names, gaps: dict, title: str, *, xlabel="RMSE above (stars)",
              ax: Axes | None = None) -> Axes:  # fmt: skip
    """How far candidates are behind a choice: a row for each, with one standard error.

    `gaps` maps a label to (mean, standard error) of each candidate.
    """
    ax = _axes(ax, title, xlabel, size=(7.2, 1.4 + 0.3 * len(names)))
    ax.plot([0, 0], [-0.45, len(names) - 0.4], color=GREY, lw=1)
    shifts = np.linspace(-0.14, 0.14, len(gaps))
    for (label, (mean, spread)), shift, colour in zip(
        gaps.items(), shifts, (PURPLE, BLUE), strict=True
    ):
        places = np.arange(len(names)) + shift
        ax.errorbar(mean, places, xerr=spread, fmt="o", color=colour, ms=5, lw=1.5)
        ax.annotate(label, (mean[0], places[0]), (mean[0], -0.45), color=colour, ha="center",
                    va="bottom")  # fmt: skip
    ax.set_yticks(range(len(names)), names)
    ax.set(ylim=(len(names) - 0.4, -1.2))
    return ax


def plot_drift(share, gaps: dict, tolerated: float = 0.01, *, ax: Axes | None = None) -> Axes:
    """How far models fall behind a new fit, over the share of ratings that came after them."""
    title = "Updating both sides stays within a hundredth of a star"
    worst = max(np.max(gap) for gap in list(gaps.values())[-1:])
    title = title if worst < tolerated else "Updating both sides keeps the model fresh"
    ax = _axes(ax, title, "new ratings, % of those first fitted to",
               "RMSE above a new fit (stars)", (7.2, 3.8))  # fmt: skip
    for (label, gap), colour in zip(gaps.items(), (GREY, BLUE, ORANGE), strict=False):
        ax.plot(share, gap, "o-", color=colour, ms=4)
        ax.annotate(label, (share[-1], gap[-1]), (8, 0), textcoords="offset points",
                    color=colour, va="center", annotation_clip=False)  # fmt: skip
    ax.axhline(0, color=GREY, lw=0.8)
    ax.axhline(tolerated, color=GREY, lw=0.8, ls="--")
    ax.annotate(f"tolerated: {tolerated:g}", (0, tolerated), (3, -2), ha="left", va="top",
                textcoords="offset points", color=GREY)  # fmt: skip
    ax.set(xlim=(0, 100), xticks=range(0, 101, 20))
    return ax


def plot_prior_means(
    Y, r, priors: dict, penalty: float, *, names=None, ax: Axes | None = None
) -> Axes:
    """Where ridge regression of one row ends, shrunk towards several points; two factors.

    Grey contours are squared errors alone. `priors` maps a label to a point, a cross: from there a
    line leads, as λ falls, to the factors that fit the ratings exactly, and a dot on it is the
    solution for this `penalty`. `names` are those of the two factors.
    """
    title = "Where the ratings are silent, a solution stays near its prior mean"
    xlabel, ylabel = names or ("first factor", "second factor")
    ax = _axes(ax, title, xlabel, ylabel, (7.2, 4.8))
    lambdas = np.geomspace(1e-4, 1e4, 121)
    walks = {
        label: np.array([solve_row(Y, r, value, prior=np.asarray(m, float)) for value in lambdas])
        for label, m in priors.items()
    }
    everywhere = np.vstack([*walks.values()])
    low, high = everywhere.min(axis=0), everywhere.max(axis=0)
    low, high = low - 0.25 * (high - low), high + 0.25 * (high - low)
    grid = np.stack(
        np.meshgrid(*(np.linspace(*pair, 200) for pair in zip(low, high, strict=True))), -1
    )
    cost = np.sum((grid @ Y.T - r) ** 2, axis=-1)
    levels = np.geomspace(0.004, 1, 11) * cost.max()
    ax.contour(*np.moveaxis(grid, -1, 0), cost, levels=levels, colors=GREY, linewidths=0.5,
               alpha=0.6)  # fmt: skip
    offset = {"textcoords": "offset points", "bbox": _BEHIND, "va": "center"}
    exact = np.linalg.lstsq(Y, r)[0]
    for (label, walk), colour in zip(walks.items(), (GREY, BLUE, PURPLE, GREEN), strict=False):
        m, x = priors[label], solve_row(Y, r, penalty, prior=np.asarray(priors[label], float))
        ax.plot(*walk.T, color=colour, lw=2)
        ax.plot(*m, "x", color=colour, ms=10, mew=2.5)
        ax.plot(*x, "o", color=colour, ms=9)
        side = 15 if m[1] > exact[1] else -15
        ax.annotate(label, m, (0, side), color=colour, ha="center", **offset)
    ax.plot(*exact, "o", color="black", mfc="white", ms=8, zorder=4)
    ax.annotate("λ → 0: the ratings alone", exact, (10, 4), ha="left", **offset)
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    return ax


def plot_four_steps(values, *, ax: Axes | None = None) -> Axes:
    """J after each step, B, U, C and V in turn."""
    values = np.asarray(values, float)
    steps = np.arange(1, len(values) + 1)
    rises = np.any(np.diff(values) > 1e-9 * values[:-1])
    title = "A step has raised J" if rises else "Each of the four steps lowers J, or leaves it"
    ax = _axes(ax, title, "steps: B, U, C, V, and again", "J (squared stars)", (7.2, 3.8))
    ax.plot(steps, values, color=GREY, lw=1, zorder=1)
    kinds = (("B", PURPLE, "s"), ("U", BLUE, "o"), ("C", PURPLE, "D"), ("V", ORANGE, "o"))
    for first, (name, colour, marker) in enumerate(kinds):
        ax.plot(steps[first::4], values[first::4], marker, color=colour, ms=7)
        ax.annotate(name, (steps[first], values[first]), (0, 9), textcoords="offset points",
                    color=colour, ha="center", weight="bold")  # fmt: skip
    ax.set_xticks(steps[3::4])
    ax.yaxis.set_major_formatter("{x:,.0f}")
    return ax


def plot_genre_arrows(
    points, arrows, named: dict, *, before: dict | None = None, ax: Axes | None = None
) -> Axes:
    """Movies as dots in two directions of factor space, and where each genre moves a movie.

    `arrows` is a table with two columns, a row for each genre, in the units of `points`. `named`
    maps titles to positions; `before` maps other names to where genres alone put some of these, a
    circle, and to a list of their titles: a line leads from there to each dot.
    """
    ax = _axes(ax, "Where each genre moves a movie before anybody has rated it",
               "first direction", "second direction", (8.6, 6.8))  # fmt: skip
    points, tips = np.asarray(points, float), arrows.to_numpy(float)
    ax.plot(*points.T, "o", color=ORANGE, ms=3.5, mew=0, alpha=0.35)
    for tip in tips:
        ax.annotate("", tip, (0, 0), arrowprops={"arrowstyle": "-|>", "color": PURPLE, "lw": 2,
                                                 "shrinkA": 0, "shrinkB": 0})  # fmt: skip
    ax.plot(*tips.T, "o", color=PURPLE, ms=0)
    circles = {name: np.asarray(start, float) for name, (start, _) in (before or {}).items()}
    moves = [(circles[name], points[named[title]])
             for name, (_, films) in (before or {}).items() for title in films]  # fmt: skip
    ax.add_collection(LineCollection(moves, color=ORANGE, lw=1.5, ls=(0, (2, 1.5))))
    for start in circles.values():
        ax.plot(*start, "o", color=PURPLE, mfc="white", ms=8, mew=2)
    ax.set(aspect="equal", xticks=[], yticks=[])
    ax.margins(0.08)
    ax.figure.draw_without_rendering()
    ax.figure.set_layout_engine("none")
    at, per_point = ax.transData.transform, ax.figure.dpi / 72
    texts, anchors = [], []
    for name, tip in zip(arrows.index, tips, strict=True):
        texts.append(ax.annotate(name, tip, (0, 0), textcoords="offset points", color=PURPLE,
                                 fontsize=12, weight="bold"))  # fmt: skip
        anchors.append(tip)
    for name, start in circles.items():
        texts.append(ax.annotate(name, start, (0, 0), textcoords="offset points", color=PURPLE,
                                 fontsize=10))  # fmt: skip
        anchors.append(start)
    for name, j in named.items():
        ax.plot(*points[j], "o", color=ORANGE, ms=7, mew=0)
        texts.append(ax.annotate(name, points[j], (0, 0), textcoords="offset points", fontsize=9.5))
        anchors.append(points[j])
    anchors = at(np.array(anchors))
    sizes = [text.get_window_extent().size for text in texts]
    ends = [*((np.zeros(2), tip) for tip in tips), *moves]
    shares = np.linspace(0, 1, 12)[1:, None]
    shafts = at(np.vstack([start + shares * (end - start) for start, end in ends]))
    corners = place_labels(anchors, sizes, np.vstack([anchors, shafts]), ax.bbox.extents,
                           gap=5 * per_point, rings=4)  # fmt: skip
    for text, corner, anchor in zip(texts, corners, anchors, strict=True):
        if corner is None:
            text.remove()
        else:
            text.set_position((corner - anchor) / per_point)
    return ax


def plot_pairs(
    before, after, title: str, xlabel: str, ylabel: str, *, ax: Axes | None = None
) -> Axes:
    """Errors of the same things by two models, a dot each; below the line the second is better."""
    ax = _axes(ax, title, xlabel, ylabel, (5.6, 5))
    low, high = np.min([before, after]) - 0.05, np.max([before, after]) + 0.05
    ax.plot([low, high], [low, high], color=GREY, lw=1)
    ax.plot(before, after, "o", color=ORANGE, ms=6, mew=0, alpha=0.7)
    better = int(np.sum(np.asarray(after) < before))
    for x, y, text, ha in (
        (0.97, 0.05, f"better: {better}", "right"),
        (0.03, 0.92, f"worse: {len(before) - better}", "left"),
    ):
        ax.text(x, y, text, ha=ha, color=GREY, size=12, transform=ax.transAxes)
    ax.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    return ax


# How sure it is


def know(Y, r, noise: float, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and covariance of a row's factors after ratings r, of movies with factors Y.

    Examples
    --------
    >>> mean, covariance = know(np.array([[1.0, 0.0]]), np.array([1.0]), noise=1.0, spread=1.0)
    >>> mean
    array([0.5, 0. ])
    >>> covariance
    array([[0.5, 0. ],
           [0. , 1. ]])
    """
    Y, penalty = np.reshape(Y, (-1, 2)), noise**2 / spread**2
    covariance = noise**2 * np.linalg.inv(Y.T @ Y + penalty * np.eye(2))
    return solve_row(Y, np.asarray(r, float), penalty), covariance


def ellipse(mean, covariance, level: float = 0.9) -> np.ndarray:
    """Points (73, 2) around the smallest region that holds a normal pair with probability `level`.

    Examples
    --------
    >>> points = ellipse([0, 0], np.diag([4.0, 1.0]), level=0.9)
    >>> np.abs(points).max(axis=0).round(2)  # 2.15 standard deviations
    array([4.29, 2.15])
    """
    angle = np.linspace(0, 2 * np.pi, 73)
    circle = np.sqrt(-2 * np.log(1 - level)) * np.column_stack([np.cos(angle), np.sin(angle)])
    return mean + circle @ np.linalg.cholesky(covariance).T


def plot_bets(draws: dict, title: str, *, xlabel="predicted stars; each dot is one model",
              level: float = 0.9, ax: Axes | None = None) -> Axes:  # fmt: skip
    """What many models predict for some movies: a dot each, with mean and interval below.

    `draws` maps a label to predictions in stars.
    """
    ax = _axes(ax, title, xlabel, "", (7.6, 1 + 1.5 * len(draws)))
    width = 0.045
    bins = [np.round(np.asarray(values) / width) for values in draws.values()]
    step = 0.8 / max(np.unique(one, return_counts=True)[1].max() for one in bins)
    for row, (label, values) in enumerate(draws.items()):
        colour, base, seen = (PURPLE, ORANGE, GREEN)[row % 3], len(draws) - 1 - row, {}
        places = []
        for place in bins[row].tolist():
            seen[place] = seen.get(place, 0) + 1
            places.append((place * width, base + step * seen[place]))
        ax.plot(*np.array(places).T, "o", ms=3.4, color=colour, alpha=0.8, mew=0)
        low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
        ax.plot([low, high], [base, base], color=colour, lw=3, solid_capstyle="butt")
        ax.plot(np.mean(values), base, "o", color="black", ms=6)
        ax.text(0.01, base + 0.7, label, color=colour, weight="bold",
                transform=ax.get_yaxis_transform())  # fmt: skip
        if row == 0:
            ax.annotate(f"{100 * level:g} % of the dots", (high, base), (0, -3), ha="right",
                        va="top", textcoords="offset points", color=colour, size=9)  # fmt: skip
    ax.set(yticks=[], ylim=(-0.2, len(draws)))
    ax.xaxis.set_major_locator(plt.MultipleLocator(0.5))
    ax.spines["left"].set_visible(False)
    return ax


def plot_bell_curves(curves: dict, title: str, *, xlabel="value", ax: Axes | None = None) -> Axes:
    """Bell curves, filled and labelled at their tops; `curves` maps a label to (mean, std)."""
    ax = _axes(ax, title, xlabel, "", (7.2, 3.2))
    low = min(mean - 3.2 * std for mean, std in curves.values())
    high = max(mean + 3.2 * std for mean, std in curves.values())
    x = np.linspace(low, high, 400)
    for (label, (mean, std)), colour in zip(curves.items(), (GREY, ORANGE, BLUE), strict=False):
        y = np.exp(-((x - mean) ** 2) / (2 * std**2)) / std
        ax.plot(x, y, color=colour, lw=2)
        ax.fill_between(x, y, color=colour, alpha=0.15, lw=0)
        ax.annotate(label, (mean, 1 / std), (0, 5), textcoords="offset points", color=colour,
                    ha="center")  # fmt: skip
    ax.set(yticks=[], ylim=(0, 1.14 / min(std for _, std in curves.values())), xlim=(low, high))
    ax.spines["left"].set_visible(False)
    return ax


def plot_belief(Y, r, noise: float, spread: float, *, axes=None) -> np.ndarray:
    """Prior × likelihood = posterior of a row with two factors, as clouds over the plane."""
    if axes is None:
        axes = plt.subplots(1, 3, figsize=(10.4, 3.7), layout="constrained", sharey=True)[1]
    Y, r, reach = np.atleast_2d(Y), np.atleast_1d(r), 3.1 * spread
    grid = np.stack(np.meshgrid(*2 * [np.linspace(-reach, reach, 241)]), -1)
    prior = np.exp(-(grid**2).sum(-1) / (2 * spread**2))
    likelihood = np.exp(-((grid @ Y.T - r) ** 2).sum(-1) / (2 * noise**2))
    parts = {"prior: what people are like": prior, "× likelihood: what fits": likelihood}
    parts["= posterior: what to believe"] = prior * likelihood
    colours = GREY, ORANGE, BLUE
    for ax, (title, density), colour in zip(axes, parts.items(), colours, strict=True):
        _axes(ax, title, "first factor", "second factor" if ax is axes[0] else "")
        shades = ListedColormap([(*plt.matplotlib.colors.to_rgb(colour), a / 255 * 0.9)
                                 for a in range(256)])  # fmt: skip
        extent = (-reach, reach, -reach, reach)
        ax.imshow(density / density.max(), shades, origin="lower", extent=extent,
                  vmin=0, vmax=1)  # fmt: skip
        for y in Y:
            ax.annotate("", y, (0, 0), arrowprops={"arrowstyle": "->", "color": "black", "lw": 1.5})
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    mean, covariance = know(Y, r, noise, spread)
    axes[2].plot(*ellipse(mean, covariance).T, color=BLUE, lw=1.8)
    axes[2].plot(*mean, "o", color="black", ms=6, zorder=5)
    for ax in (axes[0], axes[2]):
        outline = ellipse([0, 0], spread**2 * np.eye(2))
        ax.plot(*outline.T, color=GREY, lw=1.4, ls="--" if ax is axes[2] else "-")
    return axes


def plot_shrinking(Y, r, noise: float, spread: float, counts, *,
                   labels=("first factor", "second factor"), axes=None) -> np.ndarray:  # fmt: skip
    """Where a row's two factors are likely to be after so many of its ratings, one panel each."""
    if axes is None:
        size = (2.6 * len(counts), 3.0)
        axes = plt.subplots(1, len(counts), figsize=size, layout="constrained", sharey=True)[1]
    reach = 0.0
    for ax, n in zip(axes, counts, strict=True):
        mean, covariance = know(Y[:n], r[:n], noise, spread)
        reach = max(reach, 1.06 * np.abs(ellipse(mean, covariance)).max())
        words = "no rating" if n == 0 else f"{n} rating{'s' if n > 1 else ''}"
        _axes(ax, words, labels[0], labels[1] if ax is axes[0] else "")
        ax.plot(*ellipse([0, 0], spread**2 * np.eye(2)).T, color=GREY, lw=1, ls="--")
        ax.fill(*ellipse(mean, covariance).T, color=BLUE, alpha=0.2, lw=0)
        ax.plot(*ellipse(mean, covariance).T, color=BLUE, lw=1.8)
        ax.plot(*mean, "o", color="black", ms=5, zorder=5)
        for y in Y[:n]:
            ax.plot([0, y[0]], [0, y[1]], color=ORANGE, lw=1.2, alpha=0.8)
            ax.plot(*y, "o", color=ORANGE, ms=3)
    for ax in axes:
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    return axes


def plot_traces(
    chains: dict, burn_in: int, title: str, *, ylabel="drawn", ax: Axes | None = None
) -> Axes:
    """What chains draw, sweep by sweep; those before `burn_in` are shaded."""
    ax = _axes(ax, title, "sweep", ylabel, (7.2, 3.2))
    for k, (label, values) in enumerate(chains.items()):
        x, colour = np.arange(1, len(values) + 1), (BLUE, PURPLE, GREY)[k % 3]
        ax.plot(x, values, color=colour, lw=1.2)
        ax.text(1.02, 0.62 - 0.12 * k, label, color=colour, transform=ax.transAxes)
    ax.axvspan(1, burn_in, color=GREY, alpha=0.15, lw=0)
    ax.text((1 + burn_in) / 2, 0.95, "burn-in", color=GREY, ha="center", va="top",
            transform=ax.get_xaxis_transform())  # fmt: skip
    ax.set_xlim(1, len(x))
    return ax


def plot_coverage(levels, curves: dict, title: str, *, ax: Axes | None = None) -> Axes:
    """Share of ratings inside of intervals against the share that was promised.

    `curves` maps a label to the shares at these levels.
    """
    ax = _axes(ax, title, "promised: level of the interval", "seen: share of ratings inside",
               (4.4, 4))  # fmt: skip
    ax.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--")
    for (label, shares), colour in zip(curves.items(), (GREEN, PURPLE, GREY), strict=False):
        ax.plot(levels, shares, "o-", color=colour, ms=5)
        side = -1 if colour == GREEN else 1  # above the first curve, below the others
        ax.annotate(label, (levels[0], shares[0]), (7 * side, -4 * side), color=colour,
                    textcoords="offset points", ha="right" if side < 0 else "left",
                    va="bottom" if side < 0 else "top")  # fmt: skip
    ticks = [0, 0.25, 0.5, 0.75, 1]
    ax.set(xlim=(0, 1), ylim=(0, 1), xticks=ticks, yticks=ticks, aspect="equal")
    ax.xaxis.set_major_formatter("{x:.0%}")
    ax.yaxis.set_major_formatter("{x:.0%}")
    return ax


def plot_lower_ends(labels, mean, low, title: str, *, marked=(), ax: Axes | None = None) -> Axes:
    """Predictions and the lower ends of their intervals, the highest end first."""
    order = np.argsort(-np.asarray(low), kind="stable")
    ax = _axes(ax, title, "expected stars: lower end and mean", "", (7.4, 1.1 + 0.3 * len(order)))
    for place, k in enumerate(order.tolist()):
        colour = PURPLE if k in marked else ORANGE
        ax.plot([low[k], mean[k]], [place, place], color=colour, lw=2.5, solid_capstyle="butt")
        ax.plot(low[k], place, "|", color=colour, ms=11, mew=2.5)
        ax.plot(mean[k], place, "o", color=colour, ms=6)
    ax.set_yticks(range(len(order)), [labels[k] for k in order])
    ax.invert_yaxis()
    return ax


# Lists


def plot_lists(lists: dict, title: str, *, hits=(), ax: Axes | None = None) -> Axes:
    """Lists side by side, the best on top; what is in `hits` is ticked, and counted below.

    `lists` maps a name to its entries.
    """
    longest, hits = max(map(len, lists.values())), set(hits)
    ax = _axes(ax, title, size=(0.4 + 3.1 * len(lists), 1.1 + 0.31 * longest))
    ax.set_axis_off()
    for column, (name, entries) in enumerate(lists.items()):
        ax.text(column + 0.09, -0.75, name, weight="bold", va="center")
        for row, entry in enumerate(entries):
            hit = entry in hits
            if hit:
                place = (column + 0.005, row - 0.43), 0.98, 0.86
                ax.add_patch(plt.Rectangle(*place, fc=GREEN, alpha=0.22, lw=0))
            ax.text(column + 0.06, row, "✓" if hit else row + 1, ha="right", va="center",
                    color=GREEN if hit else GREY, size=10)  # fmt: skip
            ax.text(column + 0.09, row, entry, va="center", size=10)
        if hits:
            count = sum(entry in hits for entry in entries)
            ax.text(column + 0.09, longest, f"{count} of {len(entries)}", color=GREEN, va="center",
                    weight="bold")  # fmt: skip
    ax.set(xlim=(-0.02, len(lists)), ylim=(longest + (0.5 if hits else -0.5), -1.2))
    return ax


def plot_confidence(R, confidence: float, unobserved_weight: float, *,
                    ax: Axes | None = None) -> Axes:  # fmt: skip
    """A small R, and its p and c: α₀ everywhere, and α r on top where something is observed."""
    R = check_ratings(R)
    (n, m), counts = R.shape, R.toarray()
    title = "The weight of a pair: a constant everywhere, and more where R has a value"
    ax = _axes(ax, title, size=(1 + 1.66 * m, 0.4 * n + 0.9))
    ax.set_axis_off()
    everywhere, more = np.full((n, m), unobserved_weight), confidence * counts
    holes = np.where(counts != 0, 1.0, np.nan)
    tables = [("R", "", counts * holes, BLUE), ("p", "", np.where(counts != 0, 1, 0), GREEN)]
    tables += [("c", "", everywhere + more, PURPLE), ("α₀ everywhere", "=", everywhere, GREY)]
    tables += [("α r where observed", "+", more * holes, PURPLE)]
    for place, (name, sign, values, colour) in enumerate(tables):
        x = place * (m + 1.2)
        alpha = np.minimum(0.08 + 0.42 * np.nan_to_num(values) / np.nanmax(values), 0.5)
        _cells(ax, values, (x, 0), colour, "{:g}", alpha)
        ax.text(x - 0.6, n / 2, sign, ha="center", va="center", size=15)
        ax.text(x + m / 2, -0.5, name, ha="center", va="center")
    ax.set(xlim=(-0.3, len(tables) * (m + 1.2) - 0.9), ylim=(n + 0.1, -1), aspect="equal")
    return ax


def plot_dial(lists: dict, n_ratings, hits, title: str, *, behind=None,
              xlabel="α₀  (filled: a hit; shifts to the side mean nothing)",
              ylabel="ratings of a listed movie (log scale)",
              ax: Axes | None = None) -> Axes:  # fmt: skip
    """How popular each list's entries are, one column of dots for each setting; hits are filled.

    `lists` maps a value of the setting to items, `n_ratings` has a number for each item. `behind`,
    a pair of a label and a number for each setting, is a grey line.
    """
    ax = _axes(ax, title, xlabel, ylabel, (7.2, 4.2))
    n_ratings = np.asarray(n_ratings)
    if behind is not None:
        label, values = behind
        ax.plot(values, color=GREY, lw=5, alpha=0.3, zorder=0)
        ax.annotate(label, (len(values) - 1, values[-1]), (22, 0), color=GREY, va="center",
                    textcoords="offset points", annotation_clip=False)  # fmt: skip
    for place, items in enumerate(lists.values()):
        items = np.asarray(items)
        hit, y = np.isin(items, hits), n_ratings[items]
        x = place + 0.22 * ((np.argsort(np.argsort(y)) % 3) - 1)  # so that all are seen
        ax.plot(x[~hit], y[~hit], "o", mfc="none", color=GREY, ms=7)
        ax.plot(x[hit], y[hit], "o", color=GREEN, ms=8)
        ax.annotate(f"{hit.sum()} of {len(hit)}", (place, 1), (0, 2), color=GREEN, ha="center",
                    xycoords=("data", "axes fraction"), textcoords="offset points")  # fmt: skip
    ax.set_yscale("log")
    ax.set_yticks(ticks := [10, 20, 50, 100, 200, 500], ticks)
    ax.minorticks_off()
    ax.set_xticks(range(len(lists)), [f"{value}" for value in lists])
    ax.set_title(title, pad=18)
    return ax


def plot_scoreboard(scores, reference: str, title: str, *, others=None,
                    ax: Axes | None = None) -> Axes:  # fmt: skip
    """Mean of each column with its standard error, and the paired difference to one of them.

    `scores` has a row for each user; the lowest mean comes first. `others` maps names to a
    (mean, standard error) without scores of users: they are grey, and not paired.
    """
    rows = {name: (scores[name].mean(), scores[name].sem()) for name in scores}
    rows |= {name: tuple(pair) for name, pair in (others or {}).items()}
    rows = dict(sorted(rows.items(), key=lambda row: row[1][0]))
    xlabel = "NDCG@10, with one standard error"
    ax = _axes(ax, title, xlabel, size=(8.6, 1.3 + 0.4 * len(rows)))
    for y, (name, (mean, error)) in enumerate(rows.items()):
        colour = GREEN if name in scores else GREY
        ax.plot([mean - error, mean + error], [y, y], color=colour, lw=2)
        ax.plot(mean, y, "o", color=colour, ms=8)
        label = f"{mean:.3f}"
        if name in scores and name != reference:
            gap = scores[name] - scores[reference]
            label += f"  ({gap.mean():+.3f} ± {gap.sem():.3f})".replace("-", "−")
        ax.annotate(label, (1, y), (8, 0), xycoords=("axes fraction", "data"), va="center",
                    textcoords="offset points", annotation_clip=False)  # fmt: skip
    ax.annotate(f"mean (less {reference})", (1, 0), (8, 13), color=GREY,
                xycoords=("axes fraction", "data"), textcoords="offset points", fontsize="small",
                annotation_clip=False)  # fmt: skip
    ax.set_yticks(range(len(rows)), rows)
    ax.set(ylim=(len(rows) - 0.5, -0.6))
    return ax


def plot_variety(path, points, title: str, *, x="coverage", y="ndcg", name="α₀",
                 xlabel="share of all movies on at least one list", ylabel="NDCG@10",
                 ax: Axes | None = None) -> Axes:  # fmt: skip
    """Models in the plane of accuracy and variety; a line joins those that differ in one setting.

    `path` is a DataFrame indexed by the setting, `points` one indexed by name.
    """
    ax = _axes(ax, title, xlabel, ylabel, (7, 4.6))
    ax.plot(path[x], path[y], "o-", color=PURPLE, lw=2, ms=6)
    ax.plot(points[x], points[y], "o", color=GREEN, ms=8)
    ax.xaxis.set_major_formatter("{x:.0%}")
    ax.margins(0.12)
    best = path[y].idxmax()
    for label, row in path.iterrows():
        rising = row[x] < path[x][best]  # the label stands outside of the bow
        ax.annotate(f"{name} = {label:g}", (row[x], row[y]), (-6 if rising else 6, 5),
                    textcoords="offset points", color=PURPLE,
                    ha="right" if rising else "left")  # fmt: skip
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    for label, row in points.iterrows():
        ahead, up = (points[x] - row[x]) / (right - left), (points[y] - row[y]) / (high - low)
        crowded = (ahead.between(0, 0.1, inclusive="neither") & (abs(up) < 0.1)).any()
        ax.annotate(label, (row[x], row[y]), (-6, 3) if crowded else (0, 8), color=GREEN,
                    textcoords="offset points", ha="right" if crowded else "center")  # fmt: skip
    return ax


def plot_explanations(shares, items, rated, bases=None, *, ax: Axes | None = None) -> Axes:
    """What each rating adds to the predictions of some items, or takes from them, as stacked bars.

    `shares` (n_items × n_ratings) are those of `Factorization.explain`, in stars; a black tick is
    their sum. `items` and `rated` label rows and columns; with `bases`, labels say what the score
    was and is. Ratings are in the order of their influence; the least influential beyond eight are
    one grey part.
    """
    shares, labels, rated = np.asarray(shares, float), list(items), list(rated)
    if bases is not None:
        scores = np.asarray(bases) + shares.sum(axis=1)
        labels = [f"{label}: {base:.2f} → {score:.2f}"
                  for label, base, score in zip(labels, bases, scores, strict=True)]  # fmt: skip
    order = np.argsort(-abs(shares).sum(axis=0), kind="stable")
    shares, rated = shares[:, order], [rated[k] for k in order]
    most = len(MORE_COLOURS)
    if len(rated) > most:
        rest = shares[:, most:].sum(axis=1, keepdims=True)
        rated = [*rated[:most], f"the other {len(rated) - most}"]
        shares = np.hstack([shares[:, :most], rest])
    ax = _axes(ax, "What each rating adds to a prediction, or takes from it",
               "stars above the baseline, or below it",
               size=(9, 1.2 + 0.36 * len(labels)))  # fmt: skip
    ax.use_sticky_edges, places = False, np.arange(len(labels))
    for sign in (1, -1):
        parts = np.where(sign * shares > 0, shares, 0)
        starts = parts.cumsum(axis=1) - parts
        for k, (label, colour) in enumerate(zip(rated, (*MORE_COLOURS, GREY), strict=False)):
            ax.barh(places, parts[:, k], left=starts[:, k], color=colour, ec="white", lw=0.5,
                    label=label if sign > 0 else None)  # fmt: skip
    ax.axvline(0, color=GREY, lw=1)
    sums = shares.sum(axis=1)
    ax.vlines(sums, places - 0.48, places + 0.48, color="black", lw=2)
    ax.annotate("sum", (sums[0], -0.48), (0, 2), textcoords="offset points", ha="center")
    ax.set_yticks(places, labels)
    ax.invert_yaxis()
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5),
              title="most influential first", alignment="left")  # fmt: skip
    return ax
