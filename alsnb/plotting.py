"""One function a figure: each draws on `ax`, or on a new figure, and returns the axes."""

from __future__ import annotations

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from .checks import check_ratings
from .metrics import count_ratings, rows_of
from .ridge import solve_row

BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#AA4499", "#666666"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, GREY)  # told apart by every kind of eye, and in print
MORE_COLOURS = (*COLOURS, "#E69F00", "#56B4E9", "#000000")  # on screens


def _axes(ax: Axes | None, title: str, xlabel: str = "", ylabel: str = "", size=(6.4, 4)) -> Axes:
    ax = ax or plt.subplots(figsize=size, layout="constrained")[1]
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_long_tails(R, *, ax: Axes | None = None) -> Axes:
    """Ratings of each user and of each movie, most active first, on log–log axes."""
    R = check_ratings(R)
    ax = _axes(ax, "A few have hundreds of ratings, many a handful", "rank", "ratings")
    for label, n, colour in zip(("users", "movies"), count_ratings(R), COLOURS, strict=False):
        n = np.sort(n)[::-1]
        ax.loglog(np.arange(1, len(n) + 1), n, color=colour)
        ax.annotate(label, (len(n), n[-1]), (8, 0), textcoords="offset points", color=colour)
    return ax


def plot_sparsity(parts: dict, *, order=None, ax: Axes | None = None, size: float = 1.0) -> Axes:
    """Stored ratings of one matrix or several, as dots in the rows and columns of R.

    `parts` maps a label to a matrix, all of one shape; `order` is a matrix by whose activity
    rows and columns are sorted, busiest first; `size` is that of a dot, in points.
    """
    parts = {label: check_ratings(R) for label, R in parts.items()}
    n, m = next(iter(parts.values())).shape
    places = np.arange(n), np.arange(m)
    if order is not None:
        counts = count_ratings(check_ratings(order))
        places = tuple(np.argsort(np.argsort(-c, kind="stable")) for c in counts)
    ax = _axes(ax, "Each dot is a rating", "movie", "user", (6.4, 5))
    for (label, R), colour in zip(parts.items(), COLOURS, strict=False):
        x, y = places[1][R.indices], places[0][rows_of(R)]
        ax.plot(x, y, ".", color=colour, ms=size, mew=0, label=label)
    ax.set(xlim=(-0.5, m - 0.5), ylim=(n - 0.5, -0.5))
    return ax


def plot_csr(R, *, ax: Axes | None = None) -> Axes:
    """Draw a small matrix as a grid, and beside it the three arrays of its CSR form."""
    R = check_ratings(R)
    n, m = R.shape
    ax = _axes(ax, "A matrix, and the three arrays that store it", size=(8.4, 0.5 * n + 1.4))
    ax.set(xlim=(-1.4, m + R.nnz + 3), ylim=(n - 0.4, -1.5), aspect="equal")
    ax.set_axis_off()

    def box(x, y, text, colour, alpha=0.25):
        ax.add_patch(plt.Rectangle((x - 0.5, y - 0.5), 1, 1, fc=colour, ec="white", alpha=alpha))
        ax.text(x, y, text, ha="center", va="center")

    for i, j in np.ndindex(n, m):
        box(j, i, "", GREY, 0.08)
    for k, (i, j, r) in enumerate(zip(rows_of(R), R.indices, R.data, strict=True)):
        for x, y, text in ((j, i, f"{r:g}"), (m + 3 + k, 0, f"{r:g}"), (m + 3 + k, 1.25, j)):
            box(x, y, text, COLOURS[i % 4])
    for i, start in enumerate(R.indptr):
        box(m + 3 + i, 2.5, start, COLOURS[i % 4] if i < n else GREY)
    numbers = [(-1, i, i, COLOURS[i % 4]) for i in range(n)] + [(j, -1, j, GREY) for j in range(m)]
    for x, y, number, colour in numbers:
        ax.text(x, y, number, color=colour, ha="center", va="center", weight="bold")
    for name, y in (("data", 0), ("indices", 1.25), ("indptr", 2.5)):
        ax.text(m + 2.2, y, name, ha="right", va="center", family="monospace")
    return ax


def plot_mean_against_count(R, *, ax: Axes | None = None) -> Axes:
    """Mean rating of each movie against how many it has, with the band that chance explains."""
    R = check_ratings(R)
    n = count_ratings(R)[1]
    means = np.bincount(R.indices, R.data, minlength=R.shape[1])[n > 0] / n[n > 0]
    ax = _axes(ax, "The extremes are the movies that few have rated", "ratings", "mean (stars)")
    ax.semilogx(n[n > 0], means, "o", color=BLUE, ms=3, mew=0, alpha=0.4)
    grid, mean = np.geomspace(1, n.max(), 200), R.data.mean()
    band = mean - 2 * R.data.std() / np.sqrt(grid), mean + 2 * R.data.std() / np.sqrt(grid)
    ax.fill_between(grid, *band, color=ORANGE, alpha=0.15, lw=0)
    for edge in (*band, np.full_like(grid, mean)):
        ax.plot(grid, edge, color=ORANGE, lw=1)
    ax.set_ylim(R.data.min() - 0.2, R.data.max() + 0.2)
    ax.annotate(r"$\mu \pm 2\sigma/\sqrt{n_j}$", (grid[75], band[1][75]), (6, 6),
                textcoords="offset points", color=ORANGE)  # fmt: skip
    return ax


def plot_history(histories: dict, title: str, *, xlabel="iteration", ylabel="RMSE (stars)",
                 label_at: int = -1, ax: Axes | None = None) -> Axes:  # fmt: skip
    """Curves over iterations, each labelled at its last point or another.

    `histories` maps a label to y, counted from 1, or to (x, y).
    """
    ax = _axes(ax, title, xlabel, ylabel)
    for (label, history), colour in zip(histories.items(), 9 * COLOURS, strict=False):
        x, y = history if isinstance(history, tuple) else (np.arange(1, len(history) + 1), history)
        ax.plot(x, y, color=colour)
        offset = (5, 0 if label_at == -1 else 8)
        ax.annotate(label, (x[label_at], y[label_at]), offset, textcoords="offset points",
                    color=colour, va="center", annotation_clip=False)  # fmt: skip
    return ax


def plot_row_contours(Y, r, penalty: float, path=None, *, ax: Axes | None = None) -> Axes:
    """Contours of one row's two-factor problem, its minimum, and a path of descent (k × 2)."""
    x = solve_row(Y, r, penalty)
    points = x[None] if path is None else np.vstack([path, x])
    middle, reach = (points.min(0) + points.max(0)) / 2, 0.7 * np.ptp(points, axis=0).max() + 0.3
    grid = np.stack(np.meshgrid(*(np.linspace(c - reach, c + reach, 200) for c in middle)), -1)
    cost = ((grid @ Y.T - r) ** 2).sum(-1) + penalty * (grid**2).sum(-1)
    ax = _axes(ax, "Descent zigzags; the closed form jumps", "first factor",
               "second factor", (5.6, 5))  # fmt: skip
    ax.contour(*np.moveaxis(grid, -1, 0), cost, levels=np.geomspace(cost.min(), cost.max(), 20),
               colors=GREY, linewidths=0.6)  # fmt: skip
    if path is not None:
        ax.plot(*np.asarray(path).T, ".-", color=ORANGE, ms=4, lw=1, label="gradient descent")
        ax.annotate("", x, path[0], arrowprops={"arrowstyle": "->", "color": BLUE, "lw": 1.6})
    ax.plot(*x, "*", color=BLUE, ms=14, label="closed form")
    ax.legend(frameon=False, loc="upper left", labelcolor="linecolor")
    ax.set_aspect("equal")
    return ax


def plot_factor_map(points, titles, labelled, *, ax: Axes | None = None) -> Axes:
    """Movies as dots in two directions of factor space, those in `labelled` by their titles."""
    ax = _axes(ax, "Movies that the same people like lie close together", "first direction",
               "second direction", (8.4, 6.4))  # fmt: skip
    ax.plot(*points.T, "o", color=GREY, ms=3, mew=0, alpha=0.35)
    for j in labelled:
        ax.plot(*points[j], "o", color=BLUE, ms=4)
        ax.annotate(titles[j], points[j], (4, 2), textcoords="offset points", fontsize="small")
    ax.set_aspect("equal")
    return ax


def plot_blocks(n_users=12, n_items=9, n_blocks=3, *, ax: Axes | None = None) -> Axes:
    """What the users' half-step reads and writes: one block of rows of R, all of V, rows of U."""
    edges = np.linspace(0, n_users, n_blocks + 1)
    ax = _axes(
        ax, "A block reads its rows of R and all of V, and writes its rows of U", size=(8, 4)
    )
    for (low, high), colour in zip(pairwise(edges), COLOURS, strict=False):
        for left, width in ((0, n_items), (n_items + 6, 3)):
            box = plt.Rectangle((left, low), width, high - low, fc=colour, ec="w", lw=2, alpha=0.75)
            ax.add_patch(box)
        arrow = {"arrowstyle": "->", "color": colour, "lw": 2}
        middle = (low + high) / 2
        ax.annotate("", (n_items + 5.8, middle), (n_items + 0.2, middle), arrowprops=arrow)
    ax.add_patch(plt.Rectangle((0, n_users + 1.5), n_items, 2, fc=GREY, ec="w", alpha=0.75))
    down = {"arrowstyle": "->", "color": GREY, "lw": 2, "connectionstyle": "arc3,rad=-0.2"}
    ax.annotate("", (n_items + 3, n_users), (n_items + 0.2, n_users + 2.5), arrowprops=down)
    for x, y, text in (
        (n_items / 2, -0.4, "R: ratings, users × movies"),
        (n_items + 7.5, -0.4, "U: written"),
        (n_items / 2, n_users + 4.3, "Vᵀ: read by every block"),
    ):
        ax.text(x, y, text, ha="center")
    ax.set(xlim=(-0.5, n_items + 9.5), ylim=(n_users + 4.6, -1.4), aspect="equal")
    ax.axis("off")
    return ax


def plot_gantt(solved, names=("users", "items"), *, ax: Axes | None = None) -> Axes:
    """When each worker solved which block, from notes (half, worker, seconds at its end)."""
    ax = _axes(ax, "Who solved what, and when", "milliseconds", size=(8, 2.6))
    workers = sorted({worker for _, worker, _ in solved})
    ends = dict.fromkeys(workers, 0.0)
    begun = 0
    for half, worker, end in sorted(solved, key=lambda note: note[2]):
        if half != begun:  # nobody begins before the other half-step is done
            begun, ends = half, dict.fromkeys(workers, max(ends.values()))
        start, ends[worker] = ends[worker], end
        bar = [(1e3 * start, 1e3 * (end - start))]
        place = (workers.index(worker) - 0.4, 0.8)
        ax.broken_barh(bar, place, fc=COLOURS[half], ec="w", lw=0.7)
    ax.set(yticks=range(len(workers)), yticklabels=[f"worker {k + 1}" for k in range(len(workers))])
    for half, name in enumerate(names):
        ax.text(
            0.02 + 0.1 * half, 1.0, name, color=COLOURS[half], transform=ax.transAxes, va="bottom"
        )
    return ax


def plot_explanations(shares, items, rated, *, ax: Axes | None = None) -> Axes:
    """What each rating adds to the predictions of some items, or takes from them, as stacked bars.

    `shares` (n_items × n_ratings) are those of `explain_recommendation`, in stars; `items` and
    `rated` label its rows and columns.
    """
    shares, places = np.asarray(shares, float), np.arange(len(items))
    ax = _axes(ax, "What each rating adds to a prediction, or takes from it",
               "stars above the baseline, or below it",
               size=(10.4, 1.2 + 0.36 * len(items)))  # fmt: skip
    ax.use_sticky_edges = False
    for sign in (1, -1):
        parts = np.where(sign * shares > 0, shares, 0)
        starts = parts.cumsum(axis=1) - parts
        for k, label in enumerate(rated):
            colour, label = MORE_COLOURS[k % len(MORE_COLOURS)], label if sign > 0 else None
            ax.barh(places, parts[:, k], left=starts[:, k], color=colour, label=label)
    ax.axvline(0, color=GREY, lw=1)
    ax.set_yticks(places, items)
    ax.invert_yaxis()
    ax.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return ax
