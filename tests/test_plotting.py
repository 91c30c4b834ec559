"""Every figure's data is read back from its axes; pixels are looked at by people."""

import inspect

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from alsnb import Ratings, make_low_rank_ratings, plotting

R = make_low_rank_ratings(30, 20, 2, density=0.3, noise=0.2, rng=0)[0]
DENSE = np.where(R.toarray() != 0, R.toarray(), np.nan)
N_USER, N_ITEM = np.isfinite(DENSE).sum(1), np.isfinite(DENSE).sum(0)
BOOKS = Ratings.from_table(
    pd.DataFrame({"user_id": [1, 1, 2], "item_id": [*"aba"], "rating": [2, 3, 10]}),
    item_name="book",
    unit="point",
)
Y, RATINGS = np.array([[1.0, 0.2], [0.8, -0.1], [1.1, 0.4]]), np.array([4.0, 3.0, 5.0])
DRAWINGS = {
    "plot_long_tails": (R,),
    "plot_sparsity": ({"train": R, "test": R},),
    "plot_csr": (R[:4, :5],),
    "plot_mean_against_count": (R,),
    "plot_history": ({"a": [3.0, 2.0], "b": ([0.5, 1.5], [1.0, 0.5])}, "Both fall"),
    "plot_row_contours": (Y, RATINGS, 0.5, np.zeros((2, 2))),
    "plot_factor_map": (np.eye(3, 2), np.array(["A", "B", "C"]), [2]),
    "plot_row_ranges": (12, 9, 3),
    "plot_explanations": ([[0.2, -0.1, 0.3], [-0.2, -0.1, 0.0]], ["A", "B"], ["x", "y", "z"]),
    "plot_gantt": (
        {
            "users": [(7, 2.0, 2.1), (9, 2.0, 2.2), (7, 2.1, 2.3)],
            "movies": [(9, 2.3, 2.5), (7, 2.31, 2.6)],
        },
    ),
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_every_figure_is_tried():
    public = {name for name in vars(plotting) if name.startswith("plot_")}
    assert public == set(DRAWINGS)


@pytest.mark.parametrize("name", DRAWINGS)
def test_manners(name):
    """Draws on the axes given or on one new figure, titles it, and changes no default."""
    plot, arguments = getattr(plotting, name), DRAWINGS[name]
    assert inspect.signature(plot).parameters["ax"].kind is inspect.Parameter.KEYWORD_ONLY
    before = dict(matplotlib.rcParams)
    ax = plot(*arguments)
    assert plt.get_fignums() == [1] and ax.get_title()
    if name in ("plot_gantt", "plot_explanations"):  # whose rows are named
        assert ax.get_xlabel() and [tick.get_text() for tick in ax.get_yticklabels()]
    elif name not in ("plot_csr", "plot_row_ranges"):  # which have no axes to label
        assert ax.get_xlabel() and ax.get_ylabel()
    own = plt.figure().subplots()
    assert plot(*arguments, ax=own) is own
    assert len(plt.get_fignums()) == 2 and dict(matplotlib.rcParams) == before
    ax.figure.canvas.draw()


def lines(ax):
    return [line.get_xydata() for line in ax.get_lines()]


def test_labels_follow_the_ratings():
    """A matrix knows neither what its items are called nor its scale; `Ratings` do."""
    for ratings, item, unit in ((R, "item", "ratings"), (BOOKS, "book", "points")):
        tails = plotting.plot_long_tails(ratings)
        assert [text.get_text() for text in tails.texts] == ["users", f"{item}s"]
        assert plotting.plot_sparsity({"all": ratings}).get_xlabel() == item
        means = plotting.plot_mean_against_count(ratings)
        assert means.get_ylabel() == f"mean ({unit})" and f"{item}s" in means.get_title()


def test_long_tails():
    users, items = lines(plotting.plot_long_tails(R))
    assert np.array_equal(users[:, 1], np.sort(N_USER)[::-1])
    assert np.array_equal(items[:, 1], np.sort(N_ITEM)[::-1])
    assert items[0, 0] == 1 and items[-1, 0] == len(N_ITEM)


def test_sparsity_by_position_and_by_activity():
    (dots,) = lines(plotting.plot_sparsity({"all": R}))
    places = {(int(y), int(x)) for x, y in dots}
    assert places == set(zip(*np.nonzero(np.isfinite(DENSE)), strict=True))
    (dots,) = lines(plotting.plot_sparsity({"all": R}, order=R))
    assert np.array_equal(np.bincount(dots[:, 1].astype(int)), np.sort(N_USER)[::-1])
    assert np.array_equal(np.bincount(dots[:, 0].astype(int)), np.sort(N_ITEM)[::-1])


def test_csr_shows_the_three_arrays():
    toy = sp.csr_array(np.array([[5.0, 0, 4], [0, 0, 0], [0, 3, 0]]))
    texts = [text.get_text() for text in plotting.plot_csr(toy).texts]
    assert texts[-9:] == [*"012012", "data", "indices", "indptr"]
    filled = [text for text in texts[:-9] if text]
    assert filled == ["5", "5", "0", "4", "4", "2", "3", "3", "1", "0", "2", "2", "3"]


def test_mean_against_count():
    dots, low, high, middle = lines(plotting.plot_mean_against_count(R))
    assert np.array_equal(dots[:, 0], N_ITEM[N_ITEM > 0])
    assert np.allclose(dots[:, 1], np.nanmean(DENSE[:, N_ITEM > 0], axis=0))
    mean, deviation = np.nanmean(DENSE), np.nanstd(DENSE)
    assert np.allclose(high[:, 1], mean + 2 * deviation / np.sqrt(high[:, 0]))
    assert np.allclose(low[:, 1] + high[:, 1], 2 * mean) and np.allclose(middle[:, 1], mean)


def test_history_labels_its_ends():
    ax = plotting.plot_history(*DRAWINGS["plot_history"])
    first, second = lines(ax)
    assert first.tolist() == [[1, 3], [2, 2]] and second.tolist() == [[0.5, 1], [1.5, 0.5]]
    assert [(text.get_text(), text.xy) for text in ax.texts] == [("a", (2, 2.0)), ("b", (1.5, 0.5))]
    ax = plotting.plot_history({"a": [3.0, 2.0]}, "It falls", label_at=0)
    assert ax.texts[0].xy == (1, 3.0)


def test_row_contours_mark_the_minimum():
    ax = plotting.plot_row_contours(Y, RATINGS, 0.5, np.array([[0.0, 3.0], [1.0, 1.0]]))
    path, star = lines(ax)
    assert path.tolist() == [[0, 3], [1, 1]]
    assert np.allclose(star, np.linalg.inv(Y.T @ Y + 0.5 * np.eye(2)) @ Y.T @ RATINGS)
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    assert x0 < star[0, 0] < x1 and y0 < star[0, 1] < y1 and y0 < 3 < y1


def test_factor_map_labels_only_what_it_is_told():
    ax = plotting.plot_factor_map(*DRAWINGS["plot_factor_map"])
    assert [text.get_text() for text in ax.texts] == ["C"]
    assert lines(ax)[0].tolist() == np.eye(3, 2).tolist()


def test_factor_map_names_its_groups_and_the_ends_of_its_axes():
    points, early = np.random.default_rng(0).normal(size=(200, 2)), np.arange(200) < 50
    titles = np.array([f"Movie {j}, The (1999)" for j in range(200)])
    ends = ("W", "E"), ("S", "N")
    groups = {"early": early, "late": ~early}
    ax = plotting.plot_factor_map(points, titles, np.arange(200), groups=groups, ends=ends)
    dots = {line.get_label(): line for line in ax.get_lines()}
    for name, colour in (("early", plotting.ORANGE), ("late", plotting.PURPLE)):
        assert dots[f"● {name}"].get_xydata().tolist() == points[groups[name]].tolist()
        assert dots[f"● {name}"].get_color() == colour
    shown = [text.get_text() for text in ax.texts]
    assert shown[:4] == ["← W", "E →", "← S", "N →"]
    names = ax.texts[4:]
    assert 20 < len(names) < 200 and names[0].get_text().startswith("The Movie")
    boxes = np.array([name.get_window_extent().extents for name in names])
    left, low, right, high = boxes.T
    apart = (left[:, None] >= right) | (right[:, None] <= left)
    apart |= (low[:, None] >= high) | (high[:, None] <= low) | np.eye(len(names), dtype=bool)
    assert apart.all(), "names lie on one another"
    x, y = ax.transData.transform(points).T[..., None]
    assert not ((x > left) & (x < right) & (y > low) & (y < high)).any(), "a name covers a dot"


def test_labels_lie_beside_their_points_or_nowhere():
    points = np.array([[5.0, 5.0], [6.0, 5.0], [5.5, 5.5]])
    sizes = np.full((3, 2), [10.0, 2.0])
    corners = plotting.place_labels(points, sizes, points, (0, 0, 20, 7), gap=1)
    assert [corner is None for corner in corners].count(True) == 1
    for (x, y), corner in zip(points, corners, strict=True):
        if corner is not None:
            gap = np.maximum(corner - (x, y), (x - 10, y - 2) - corner).max()
            assert gap == pytest.approx(1)


@pytest.mark.parametrize(
    ("title", "short"),
    [
        ("Star Wars (1977)", "Star Wars"),
        ("Godfather, The (1972)", "The Godfather"),
        ("Postino, Il (1994)", "Il Postino"),
        ("Independence Day (ID4) (1996)", "Independence Day"),
        ("Seven (Se7en) (1995)", "Seven"),
        ("Sex, Lies, and Videotape (1989)", "Sex, Lies, and Videotape"),
        ("A" * 50, "A" * 35 + "…"),
    ],
)
def test_short_titles(title, short):
    assert plotting.short_title(title) == short


def test_explanations_stack_what_adds_and_what_takes():
    ax = plotting.plot_explanations(*DRAWINGS["plot_explanations"])
    bars = [box.get_bbox() for box in ax.patches]
    seen = [tuple(sorted(np.round((box.x0, box.x1), 9))) for box in bars if box.width]
    assert sorted(seen) == [(-0.3, -0.2), (-0.2, 0), (-0.1, 0), (0, 0.2), (0.2, 0.5)]
    colours = {label.get_text(): patch.get_facecolor() for label, patch in zip(
        ax.get_legend().get_texts(), ax.get_legend().get_patches(), strict=True)}  # fmt: skip
    assert list(colours) == ["x", "y", "z"] and len(set(colours.values())) == 3
    (taken,) = (patch for patch in ax.patches if patch.get_width() == -0.1 and patch.get_y() < 0.5)
    assert taken.get_facecolor() == colours["y"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["A", "B"]
    low, high = ax.get_xlim()
    assert low < -0.3 and high > 0.5 and ax.yaxis_inverted()


def test_row_ranges_cover_the_rows_once():
    ax = plotting.plot_row_ranges(12, 9, 3)
    boxes = [box.get_bbox() for box in ax.patches]
    written = sorted((box.y0, box.y1) for box in boxes if box.x0 > 9)
    read = sorted((box.y0, box.y1) for box in boxes if box.x0 == 0 and box.y1 <= 12)
    assert written == read == [(0, 4), (4, 8), (8, 12)]


def test_gantt_bars_are_when_who_solved_what():
    ax = plotting.plot_gantt(*DRAWINGS["plot_gantt"])
    bars = [path.get_extents() for bars in ax.collections for path in bars.get_paths()]
    spans = sorted((round(b.y0 + 0.4), round(b.x0), round(b.x1)) for b in bars)
    assert spans == [(0, 0, 100), (0, 100, 300), (0, 310, 600), (1, 0, 200), (1, 300, 500)]
    assert lines(ax)[0][:, 0].tolist() == pytest.approx([300, 300])  # where the first is done
    assert [text.get_text() for text in ax.texts] == ["users", "movies"]
