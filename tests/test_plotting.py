"""Every figure's data is read back from its axes; pixels are looked at by people."""

import inspect
import itertools

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb, to_rgba

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
SMALL = sp.csr_array(np.array([[5.0, 0.0, 4.0], [1.0, 2.0, 0.0]]))
FACTORS = np.array([[1.0, 2.0], [0.5, -0.04]]), np.array([[1.0, 2.0], [0.0, 1.0], [2.0, 0.5]])
FOUND = pd.DataFrame(
    [(f, lam, f / 10 + lam, (f - 5) ** 2 + lam) for f in (2, 5, 9) for lam in (1, 3, 10)],
    columns=["n_factors", "lambda_reg", "train_rmse", "validation_rmse"],
)
SCORES = pd.DataFrame({"mean": [1.5, 1.6], "biases": [0.9, 0.94], "factors": [0.88, 0.93]})
DRAWINGS = {
    "plot_cross_table": (BOOKS, [0, 1], [0, 1]),
    "plot_long_tails": (R,),
    "plot_sparsity": (R,),
    "plot_csr": (R[:4, :5],),
    "plot_mean_against_count": (R,),
    "plot_baselines": (pd.DataFrame({"a": [2.0, 1.0], "b": [2.0, 1.5]}, ["μ", "biases"]), "Falls"),
    "plot_bets": ({"wide": [3.0, 4.0, 5.0, 4.0], "narrow": [4.0, 4.0, 4.1, 3.9]}, "Which?"),
    "plot_bell_curves": ({"prior": (0.0, 1.0), "posterior": (0.5, 0.7)}, "Narrower"),
    "plot_traces": ({"one": [3.0, 1.0, 1.1], "two": [0.0, 0.9, 1.0]}, 2, "They meet"),
    "plot_coverage": ([0.5, 0.9], {"all": [0.5, 0.9], "noise": [0.2, 0.4]}, "As promised"),
    "plot_lower_ends": (["A", "B", "C"], [4.5, 4.2, 4.0], [3.0, 4.1, 3.5], "B is surest"),
    "plot_history": ({"a": [3.0, 2.0], "b": ([0.5, 1.5], [1.0, 0.5])}, "Both fall"),
    "plot_errors_by_factors": (
        pd.DataFrame(
            [
                [10, 2, 1, 9.0],
                [0.1, 2, 1, 9.0],
                [10, 2, 2, 1.0],
                [0.1, 2, 2, 1.5],
                [0.1, 4, 2, 2.0],
                [10, 4, 2, 1.2],
            ],
            columns=["lambda_reg", "n_factors", "n_iterations", "validation_rmse"],
        ),
        {"the mean": 1.1},
        "Both help",
    ),
    "plot_product": (SMALL, *FACTORS, ["Ann", "Bo"], ["A", "B", "C"], (0, 1)),
    "plot_gather": (SMALL, FACTORS[1], 0, ["A", "B", "C"]),
    "plot_staircase": ([(-0.4, 2.2), (0.8, 2.2), (0.8, 1.4)], 2, 0.5),
    "plot_eigenvalues": (Y, 0.5),
    "plot_row_contours": (Y, RATINGS, 0.5, np.zeros((2, 2))),
    "plot_kept_means": ({0: 5, 1: 0.25},),
    "plot_push_through": (5, 100),
    "plot_factor_map": (np.eye(3, 2), np.array(["A", "B", "C"]), [2]),
    "plot_row_ranges": (12, 9, 3),
    "plot_explanations": ([[0.2, -0.1, 0.3], [-0.2, -0.1, 0.0]], ["A", "B"], ["x", "y", "z"]),
    "plot_premiere": ({"λ = 2": [0, 3, 8, 9], "λ = 8": [0, 0, 1, 2]}, 10),
    "plot_newcomers": (
        [0, 1, 5],
        {"a": (np.ones(3), np.zeros(3)), "b": (np.ones(3), np.ones(3))},
        "Fewer errors",
    ),
    "plot_gaps": (
        ["A", "B"],
        {"one": ([0.1, 0.0], [0.02, 0.0]), "ten": ([0.0, 0.3], [0.1, 0.1])},
        "A",
    ),
    "plot_drift": ([10, 30], {"a": [0.02, 0.03], "b": [0.01, 0.02], "c": [0.0, 0.002]}),
    "plot_search": (FOUND.query("n_factors == 2"), "lambda_reg", "Small is best"),
    "plot_landscape": (FOUND, "Five is best"),
    "plot_choices": ([FOUND.query("n_factors == 2"), FOUND.query("n_factors == 5")], "A rung"),
    "plot_groups": (
        pd.DataFrame({"a": [1.0, 2.0], "b": [2.0, 1.0]}, ["few", "many"]),
        "They cross",
    ),
    "plot_pulls": ({"Ann": ([0, 0], [0.3, 0.1]), "Bo": ([0, 0], [-0.1, -0.4])}, "Apart"),
    "plot_protocol": (),
    "plot_rungs": (SCORES,),
    "plot_gifts": (
        {"by test": [-0.2, 0.0, -0.1], "by validation": [0.1, -0.1, 0.0]},
        "It flatters",
    ),
    "plot_residuals": ([0.1, -0.1, 0.4, 0.6], ["a", "a", "b", "b"], "b is missed"),
    "plot_gantt": (
        {
            "users": [(7, 2.0, 2.1), (9, 2.0, 2.2), (7, 2.1, 2.3)],
            "movies": [(9, 2.3, 2.5), (7, 2.31, 2.6)],
        },
        "The second waits for the first",
    ),
    "plot_ladder": ({"slow": 0.4, "quick": 0.005}, "Twice"),
    "plot_prior_means": (Y[:, :2], RATINGS, {"zero": [0.0, 0.0], "Ann": [9.0, 1.0]}, 1.0),
    "plot_four_steps": ([9.0, 8.0, 7.5, 7.5, 5.0],),
    "plot_genre_arrows": (
        np.array([[1.0, 2.0], [-1.0, 0.5], [3.0, -1.0]]),
        pd.DataFrame([[0.1, 0.0], [0.0, -0.2]], ["Horror", "War"]),
        {"Alien": 2},
    ),
    "plot_lists": ({"A": ["x", "y"], "B": ["y", "z"]}, "B is right"),
    "plot_confidence": (SMALL, 1.0, 0.3),
    "plot_dial": ({0.1: [0, 2], 1: [1, 2]}, [10, 200, 50], [2], "More popular"),
    "plot_scoreboard": (pd.DataFrame({"a": [0.1, 0.3], "b": [0.4, 0.5]}), "b", "b is ahead"),
    "plot_variety": (
        pd.DataFrame({"coverage": [0.4, 0.2, 0.1], "ndcg": [0.2, 0.4, 0.3]}, [0.1, 1, 10]),
        pd.DataFrame({"coverage": [0.03], "ndcg": [0.1]}, ["popularity"]),
        "A bow",
    ),
    "plot_pairs": ([1.0, 1.2, 0.9], [0.9, 1.1, 1.0], "Mostly better", "one", "two"),
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_every_figure_is_tried():
    public = {name for name in vars(plotting) if name.startswith("plot_")}
    several = {"plot_splits", "plot_belief", "plot_shrinking"}  # axes
    assert public - several == set(DRAWINGS)


@pytest.mark.parametrize("name", DRAWINGS)
def test_manners(name):
    """Draws on the axes given or on one new figure, titles it, and changes no default."""
    plot, arguments = getattr(plotting, name), DRAWINGS[name]
    assert inspect.signature(plot).parameters["ax"].kind is inspect.Parameter.KEYWORD_ONLY
    before = dict(matplotlib.rcParams)
    ax = plot(*arguments)
    assert plt.get_fignums() == [1] and ax.get_title()
    if name[5:] in "gantt ladder explanations gaps lower_ends".split():  # whose rows are named
        assert ax.get_xlabel() and [tick.get_text() for tick in ax.get_yticklabels()]
    elif name[5:] in "cross_table baselines groups residuals".split():
        assert ax.get_ylabel() and [tick.get_text() for tick in ax.get_xticklabels()]
    elif name[5:] in "rungs protocol gifts bets bell_curves scoreboard".split():  # named in place
        assert ax.get_xlabel()
    elif ax.axison:  # others have no axes to label
        assert ax.get_xlabel() and ax.get_ylabel()
    own = plt.figure().subplots()
    assert plot(*arguments, ax=own) is own
    assert len(plt.get_fignums()) == 2 and dict(matplotlib.rcParams) == before
    ax.figure.canvas.draw()


def lines(ax):
    return [line.get_xydata() for line in ax.get_lines()]


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_labels_follow_the_ratings():
    """A matrix knows neither what its items are called nor its scale; `Ratings` do."""
    for ratings, item, unit in ((R, "item", "ratings"), (BOOKS, "book", "points")):
        tails = plotting.plot_long_tails(ratings)
        assert f"{item}s" in tails.get_title() and f"{item}s" in tails.texts[1].get_text()
        assert plotting.plot_sparsity(ratings).get_xlabel() == f"{item}s, most rated first"
        means = plotting.plot_mean_against_count(ratings)
        assert means.get_ylabel() == f"mean ({unit})" and f"{item}s" in means.get_title()


def test_cross_table_shows_stars_and_holes():
    """Of users 1 and 2 and books a and b, user 2 has not rated b."""
    holes, filled = (
        plotting.plot_cross_table(BOOKS, [1, 0], [0, 1], *more)
        for more in ((), ([[1, 9.5], [1, 1]],))
    )
    for ax, hole in ((holes, "?"), (filled, "9.5")):
        cells = {text.get_position(): text.get_text() for text in ax.texts}
        assert cells == {(0, 0): "10", (1, 0): hole, (0, 1): "2", (1, 1): "3"}
        assert [tick.get_text() for tick in ax.get_xticklabels()] == ["a", "b"]
        assert [tick.get_text() for tick in ax.get_yticklabels()] == ["2", "1"]


def test_long_tails():
    users, users_median, items, items_median = lines(plotting.plot_long_tails(R))
    assert np.array_equal(users[:, 1], np.sort(N_USER)[::-1])
    assert np.array_equal(items[:, 1], np.sort(N_ITEM)[::-1])
    assert items[0, 0] == 1 and items[-1, 0] == len(N_ITEM)
    assert (users_median[0, 1], items_median[0, 1]) == (np.median(N_USER), np.median(N_ITEM))


def test_sparsity_is_the_share_of_each_block():
    """Of 50 × 50 places the busiest 10 × 10 are filled: of the first block of 25 × 25, 16 %."""
    places = np.random.default_rng(0).permutation(50)[:10]
    ratings = sp.coo_array((np.ones(100), (np.repeat(places, 10), np.tile(places, 10))), (50, 50))
    (blocks,) = plotting.plot_sparsity(ratings).collections
    assert np.allclose(blocks.get_array(), [[0.16, 0], [0, 0]])


def test_csr_shows_the_three_arrays():
    toy = sp.csr_array(np.array([[5.0, 0, 4], [0, 0, 0], [0, 3, 0]]))
    ax = plotting.plot_csr(toy)
    texts = [text.get_text() for text in ax.texts if not hasattr(text, "arrow_patch")]
    assert texts[-13:] == [*"012012", *"0123", "data", "indices", "indptr"]
    filled = [text for text in texts[:-13] if text]
    assert filled == ["5", "5", "0", "4", "4", "2", "3", "3", "1", "0", "2", "2", "3"]
    arrows = [text for text in ax.texts if hasattr(text, "arrow_patch")]
    marks = [text.get_position()[0] for text in ax.texts if text.get_position()[1] == -0.3]
    assert [marks.index(arrow.xy[0]) for arrow in arrows] == toy.indptr.tolist()


def test_mean_against_count():
    ax = plotting.plot_mean_against_count(R)
    dots, _ = lines(ax)
    assert np.array_equal(dots[:, 0].round(), N_ITEM[N_ITEM > 0])
    assert np.allclose(dots[:, 1], np.nanmean(DENSE[:, N_ITEM > 0], axis=0))
    mean, deviation = np.nanmean(DENSE), np.nanstd(DENSE)
    x, y = ax.collections[0].get_paths()[0].vertices.T
    inside = (x > x.min()) & (x < x.max())
    assert np.allclose(np.abs(y - mean)[inside], 2 * deviation / np.sqrt(x[inside]))


def test_shrunk_means_lie_nearer_to_the_mean():
    ax = plotting.plot_mean_against_count(R, k=3)
    dots, middle = lines(ax)
    mean, n = np.nanmean(DENSE), N_ITEM[N_ITEM > 0]
    sums = np.nansum(DENSE[:, N_ITEM > 0], axis=0)
    assert np.allclose(dots[:, 1], (sums + 3 * mean) / (n + 3)) and np.allclose(middle[:, 1], mean)
    tracks = np.array(ax.collections[0].get_segments())
    assert np.allclose(tracks[:, 0, 1], sums / n) and np.allclose(tracks[:, 1], dots)


def test_splits_show_train_and_test_in_the_order_of_time():
    """39 users, of whom each later one has a lower id: every other is drawn, early ones on top."""
    table = pd.DataFrame({"user_id": np.repeat(np.arange(39), 2), "item_id": [*"ab"] * 39})
    table = table.assign(rating=[1, 2] * 39, when=np.arange(78)[::-1])
    ratings = Ratings.from_table(table, timestamp="when", item_name="book")
    train, test = ratings.R.copy(), ratings.R.copy()
    train.data = np.where(np.arange(78) < 4, 0, 1)  # of users 0 and 1, who came last
    test.data = 1 - train.data
    train.eliminate_zeros()
    test.eliminate_zeros()
    axes = plotting.plot_splits({"by id": (train, test)}, ratings)
    shown = [image.get_array().filled(0) for image in axes[0].collections]
    assert np.array_equal(shown[0], 19 * [[1, 1]] + [[0, 0]])
    assert np.array_equal(shown[1], 19 * [[0, 0]] + [[1, 1]])
    assert [tick.get_text() for tick in axes[0].get_yticklabels()] == [*map(str, range(1, 40, 2))]
    assert axes[0].get_title() == "by id:\n2 of 39 users tested" and "books" in axes[0].get_xlabel()


def test_baselines_are_labelled_at_their_ends():
    ax = plotting.plot_baselines(*DRAWINGS["plot_baselines"])
    assert [line[:, 1].tolist() for line in lines(ax)] == [[2, 1], [2, 1.5]]
    assert [(text.get_text(), text.xy) for text in ax.texts] == [("a", (1, 1)), ("b", (1, 1.5))]


def test_history_labels_its_ends():
    ax = plotting.plot_history(*DRAWINGS["plot_history"])
    first, second = lines(ax)
    assert first.tolist() == [[1, 3], [2, 2]] and second.tolist() == [[0.5, 1], [1.5, 0.5]]
    assert [(text.get_text(), text.xy) for text in ax.texts] == [("a", (2, 2.0)), ("b", (1.5, 0.5))]
    ax = plotting.plot_history({"a": [3.0, 2.0]}, "It falls", label_at=0)
    assert ax.texts[0].xy == (1, 3.0)


def cells(ax):
    """What is written in boxes, by their places (x, y)."""
    places = [np.round(np.subtract(text.get_position(), 0.5), 1).tolist() for text in ax.texts]
    return dict(zip(map(tuple, places), texts(ax), strict=True))


def test_product_puts_each_prediction_where_its_row_and_column_cross():
    ax = plotting.plot_product(*DRAWINGS["plot_product"])
    seen = cells(ax)
    assert [seen[j, 0] for j in range(3)] == ["5", "?", "4"] and (2, 1) not in seen
    left, top = 8.2, -2.5  # of the prediction, and of what stands above it
    predicted = FACTORS[0] @ FACTORS[1].T
    for (i, j), value in np.ndenumerate(predicted):
        assert float(seen[round(left + j, 1), i].replace("−", "-")) == pytest.approx(
            value, abs=0.051
        )
        assert float(seen[round(left + j, 1), top]) == FACTORS[1][j, 0]
        assert float(seen[5.7, i]) == FACTORS[0][i, 0]
    assert seen[6.7, 1] == "0.0"  # not −0.0
    frames = [p for p in ax.patches if p.get_linewidth() > 2]
    corners = [(1, 0), (left + 1, 0), (left - 2.5, 0), (left + 1, top)]
    assert np.allclose([frame.get_xy() for frame in frames], corners)


def test_gather_takes_the_rated_rows():
    ax = plotting.plot_gather(*DRAWINGS["plot_gather"])
    seen = cells(ax)
    assert (seen[0, 0], seen[0, 2]) == ("5", "4") and (0, 1) not in seen
    gathered = [[seen[8 + column, row + 0.5] for column in (0, 1, 3)] for row in (0, 1)]
    assert gathered == [["1.0", "2.0", "5"], ["2.0", "0.5", "4"]]
    arrows = [text for text in ax.texts if getattr(text, "arrowprops", None)]
    assert [arrow.xyann[1] for arrow in arrows] == [0.5, 2.5]


def test_staircase_is_blue_sideways_and_orange_upright():
    ax = plotting.plot_staircase(*DRAWINGS["plot_staircase"])
    steps = [line for line in ax.get_lines() if len(line.get_xdata()) == 2 and line.get_ls() == "-"]
    assert [step.get_color() for step in steps] == [plotting.BLUE, plotting.ORANGE]
    assert steps[0].get_xydata().tolist() == [[-0.4, 2.2], [0.8, 2.2]]
    (stars,) = (line for line in ax.get_lines() if line.get_marker() == "*")
    assert np.allclose(stars.get_xydata(), [[1.5**0.5] * 2, [-(1.5**0.5)] * 2])
    merged = plotting.plot_staircase([(-0.4, 2.2), (0.8, 2.2), (0.8, 1.4)], 2, 2.5)
    assert "*" not in [line.get_marker() for line in merged.get_lines()]


def test_eigenvalues_say_what_is_kept():
    wide = np.array([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    ax = plotting.plot_eigenvalues(wide, 1.0)
    bars = [bar.get_height() for bar in ax.patches]
    assert np.allclose(bars, [4, 1, 0, 1, 1, 1])
    assert [text.get_text() for text in ax.texts[:3]] == ["80 %", "50 %", "0"]
    assert "1 of them" in ax.get_title()


def test_row_contours_mark_the_minimum():
    ax = plotting.plot_row_contours(Y, RATINGS, 0.5, np.array([[0.0, 3.0], [1.0, 1.0]]))
    path, bottom = lines(ax)
    assert path.tolist() == [[0, 3], [1, 1]]
    assert np.allclose(bottom, np.linalg.inv(Y.T @ Y + 0.5 * np.eye(2)) @ Y.T @ RATINGS)
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    assert x0 < bottom[0, 0] < x1 and y0 < bottom[0, 1] < y1 and y0 < 3 < y1


def test_row_contours_without_a_path_show_the_walk():
    walk, _, _, bottom = lines(plotting.plot_row_contours(Y, RATINGS, 0.5))
    assert np.allclose(walk[0], np.linalg.pinv(Y) @ RATINGS, rtol=0.02)
    assert np.allclose(walk[-1], 0, atol=0.02)
    assert np.min(np.linalg.norm(walk - bottom, axis=1)) < 0.1


def test_kept_means():
    plain, weighted = lines(plotting.plot_kept_means({0: 5, 1: 0.25}))
    assert np.allclose(plain[:, 1], plain[:, 0] / (plain[:, 0] + 5))
    assert np.allclose(weighted[:, 1], 0.8)


def test_push_through_is_to_scale():
    ax = plotting.plot_push_through(5, 100)
    sizes = [(box.get_width(), box.get_height()) for box in ax.patches]
    assert sizes == [(5, 100), (100, 5), (100, 100), (100, 5), (5, 100), (5, 5)]
    left = [box.get_x() for box in ax.patches]
    assert all(a + w < b for a, (w, _), b in zip(left, sizes, left[1:], strict=False))


def test_errors_by_factors_are_those_of_the_last_iteration():
    ax = plotting.plot_errors_by_factors(*DRAWINGS["plot_errors_by_factors"])
    little, much, mean, lowest = ax.get_lines()
    assert little.get_xydata().tolist() == [[2, 1.5], [4, 2.0]]
    assert much.get_xydata().tolist() == [[2, 1.0], [4, 1.2]]
    assert little.get_linewidth() < much.get_linewidth() and set(mean.get_ydata()) == {1.1}
    assert texts(ax) == [
        "λ = 0.1", "λ = 10", "the mean", "lowest: λ = 10, f = 2"
    ]  # fmt: skip
    assert lowest.get_xydata().tolist() == [[2, 1.0]]
    assert little.get_alpha() < much.get_alpha() == 1
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["2", "4"]


def test_factor_map_labels_only_what_it_is_told():
    ax = plotting.plot_factor_map(*DRAWINGS["plot_factor_map"])
    assert texts(ax) == ["C"]
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
    shown = texts(ax)
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
    leaders = np.array(ax.collections[0].get_segments())
    assert len(leaders) and np.isclose(leaders[:, :1], points).all(axis=2).any(axis=1).all()
    tips = ax.transData.transform(leaders[:, 1])
    touched = (tips[:, :1] > left - 0.1) & (tips[:, :1] < right + 0.1)
    touched &= (tips[:, 1:] > low - 0.1) & (tips[:, 1:] < high + 0.1)
    assert touched.any(axis=1).all(), "a line leads from a dot to no name"


def test_labels_lie_beside_their_points_or_nowhere():
    points = np.array([[5.0, 5.0], [6.0, 5.0], [5.5, 5.5]])
    sizes = np.full((3, 2), [10.0, 2.0])
    corners = plotting.place_labels(points, sizes, points, (0, 0, 20, 7), gap=1)
    assert [corner is None for corner in corners].count(True) == 1
    for (x, y), corner in zip(points, corners, strict=True):
        if corner is not None:
            gap = np.maximum(corner - (x, y), (x - 10, y - 2) - corner).max()
            assert gap == pytest.approx(1)


def test_a_label_can_be_nearest_to_its_own_point():
    points = np.random.default_rng(0).uniform(0, 100, (40, 2))
    sizes = np.full((40, 2), [12.0, 3.0])
    corners = plotting.place_labels(points, sizes, points, (0, 0, 100, 100), gap=2, clear=1.2)
    placed = [j for j, corner in enumerate(corners) if corner is not None]
    for j in placed:
        low, high = corners[j], corners[j] + sizes[j]
        outside = np.maximum(np.maximum(low - points, points - high), 0)
        assert np.hypot(*outside.T).argmin() == j
    assert len(placed) > 15


@pytest.mark.parametrize(
    ("title", "short"),
    [
        ("Dr. Strangelove or: How I Learned to Stop Worrying (1963)", "Dr. Strangelove"),
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
    assert list(colours) == ["x", "z", "y"] and len(set(colours.values())) == 3  # by influence
    (taken,) = (patch for patch in ax.patches if patch.get_width() == -0.1 and patch.get_y() < 0.5)
    assert taken.get_facecolor() == colours["y"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["A", "B"]
    low, high = ax.get_xlim()
    assert low < -0.3 and high > 0.5 and ax.yaxis_inverted()
    (ticks,) = (one for one in ax.collections if isinstance(one, LineCollection))
    assert np.allclose([tick[0, 0] for tick in ticks.get_segments()], [0.4, -0.3])


def test_explanations_group_what_counts_least():
    shares = np.array([[9, -8, 7, 6, -5, 4, 3, 2.5, 2, -1]]) / 10
    ax = plotting.plot_explanations(shares, ["A"], list("abcdefghij"), [3.0])
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == [*"abcdefgh", "the other 2"]
    parts = [patch for patch in ax.patches if patch.get_width()]
    assert sum(patch.get_width() for patch in parts) == pytest.approx(shares.sum())
    (rest,) = (patch for patch in parts if patch.get_facecolor() == to_rgba(plotting.GREY))
    assert rest.get_width() == pytest.approx(0.1)
    assert len({patch.get_facecolor() for patch in parts}) == 9
    assert ax.get_yticklabels()[0].get_text() == "A: 3.00 → 4.95"


def test_eight_colours_are_seen_on_white_and_on_black_and_differ():
    colours = plotting.MORE_COLOURS
    light = {one: np.array(to_rgb(one)) ** 2.2 for one in (*colours, "#FFFFFF", "#111111")}
    luminance = {one: values @ [0.2126, 0.7152, 0.0722] for one, values in light.items()}
    assert len(set(colours)) == 8
    for colour, ground in itertools.product(colours, ("#FFFFFF", "#111111")):
        low, high = sorted((luminance[colour], luminance[ground]))
        assert (high + 0.05) / (low + 0.05) > 2.2, (colour, ground)
    for one, other in itertools.combinations(colours, 2):
        assert np.abs(light[one] - light[other]).max() > 0.15, (one, other)


def test_premiere_says_when_half_of_the_lists_have_it():
    ax = plotting.plot_premiere({"λ = 2": [0, 4, 5, 9], "λ = 8": [0, 0, 1, 6]}, 10)
    assert ax.get_title() == "Three ratings of five stars: on 5 of 10 lists"
    assert [line.tolist() for line in lines(ax)[1:]] == [
        [[1, 0], [2, 4], [3, 5], [4, 9]], [[1, 0], [2, 0], [3, 1], [4, 6]]
    ]  # fmt: skip


def test_an_ellipse_holds_its_share():
    covariance = np.array([[2.0, 0.6], [0.6, 0.5]])
    for level in (0.5, 0.9):
        edge = plotting.ellipse([1.0, -1.0], covariance, level)
        left = edge - [1.0, -1.0]
        distances = np.sum(left @ np.linalg.inv(covariance) * left, axis=1)
        np.testing.assert_allclose(distances, distances[0])
        draws = np.random.default_rng(0).multivariate_normal([0, 0], covariance, 20_000)
        inside = np.sum(draws @ np.linalg.inv(covariance) * draws, axis=1) <= distances[0]
        assert inside.mean() == pytest.approx(level, abs=0.01)


def test_bets_are_a_dot_for_each_model():
    draws, title = DRAWINGS["plot_bets"]
    ax = plotting.plot_bets(draws, title)
    dots, bars, means = (lines(ax)[k::3] for k in range(3))
    for values, row, bar, mean, base in zip(draws.values(), dots, bars, means, (1, 0),
                                             strict=True):  # fmt: skip
        np.testing.assert_allclose(row[:, 0], values, atol=0.03)
        assert (row[:, 1] > base).all() and len(np.unique(row, axis=0)) == len(values)
        np.testing.assert_allclose(bar[:, 0], np.quantile(values, [0.05, 0.95]))
        assert mean.tolist() == [[np.mean(values), base]]
    first, second = draws
    assert texts(ax) == [first, "90 % of the dots", second]


def test_bell_curves_have_their_means_and_equal_areas():
    curves, title = DRAWINGS["plot_bell_curves"]
    ax = plotting.plot_bell_curves(curves, title)
    for line, (mean, std) in zip(lines(ax), curves.values(), strict=True):
        x, y = line.T
        assert np.trapezoid(y, x) == pytest.approx(np.sqrt(2 * np.pi), rel=0.01)
        assert np.average(x, weights=y) == pytest.approx(mean, abs=0.01)
        assert y.max() == pytest.approx(1 / std, rel=0.01)


def test_belief_is_prior_times_likelihood():
    axes = plotting.plot_belief(Y[0], RATINGS[0] - 3, 0.9, 0.5)
    prior, likelihood, posterior = (ax.images[0].get_array() for ax in axes)
    product = prior * likelihood
    np.testing.assert_allclose(posterior, product / product.max())
    outline, mean, before = lines(axes[2])
    covariance = np.linalg.inv(np.outer(Y[0], Y[0]) / 0.81 + 4 * np.eye(2))
    np.testing.assert_allclose(mean[0], covariance @ Y[0] / 0.81)
    np.testing.assert_allclose(outline, plotting.ellipse(mean[0], covariance))
    np.testing.assert_allclose(before, plotting.ellipse([0, 0], np.eye(2) / 4))
    highest = np.unravel_index(np.argmax(posterior), posterior.shape)
    np.testing.assert_allclose(np.linspace(-1.55, 1.55, 241)[list(highest)], mean[0][::-1],
                               atol=0.01)  # fmt: skip


def test_shrinking_ellipses_are_those_of_the_first_ratings():
    axes = plotting.plot_shrinking(Y, RATINGS - 4, 0.9, 0.5, [0, 1, 3], labels=("x", "y"))
    assert [ax.get_xlabel() for ax in axes] == ["x"] * 3 and axes[0].get_ylabel() == "y"
    assert [ax.get_title() for ax in axes] == ["no rating", "1 rating", "3 ratings"]
    for ax, n in zip(axes, (0, 1, 3), strict=True):
        covariance = np.linalg.inv(Y[:n].T @ Y[:n] / 0.81 + 4 * np.eye(2))
        mean = covariance @ Y[:n].T @ (RATINGS - 4)[:n] / 0.81
        before, now, dot, *movies = lines(ax)
        np.testing.assert_allclose(now, plotting.ellipse(mean, covariance))
        np.testing.assert_allclose(before, plotting.ellipse([0, 0], np.eye(2) / 4))
        np.testing.assert_allclose(dot[0], mean, atol=1e-12)
        assert [line[-1].tolist() for line in movies[::2]] == Y[:n].tolist()


def test_traces_shade_the_burn_in():
    chains, burn_in, title = DRAWINGS["plot_traces"]
    ax = plotting.plot_traces(chains, burn_in, title)
    assert [line[:, 1].tolist() for line in lines(ax)] == list(chains.values())
    assert ax.patches[0].get_extents().transformed(ax.transData.inverted()).x1 == burn_in
    assert texts(ax) == [*chains, "burn-in"]


def test_coverage_is_drawn_against_the_diagonal():
    levels, curves, title = DRAWINGS["plot_coverage"]
    diagonal, *shares = lines(plotting.plot_coverage(levels, curves, title))
    assert (diagonal[:, 0] == diagonal[:, 1]).all()
    for line, values in zip(shares, curves.values(), strict=True):
        assert line.T.tolist() == [levels, values]


def test_lower_ends_come_in_order():
    labels, mean, low, title = DRAWINGS["plot_lower_ends"]
    ax = plotting.plot_lower_ends(labels, mean, low, title, marked=[0])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["B", "C", "A"]
    bars = lines(ax)[::3]
    assert [bar[:, 0].tolist() for bar in bars] == [[4.1, 4.2], [3.5, 4.0], [3.0, 4.5]]
    assert [line.get_color() == plotting.PURPLE for line in ax.get_lines()[::3]] == [0, 0, 1]


def test_gaps_have_their_errors_and_a_line_at_zero():
    names, gaps, title = DRAWINGS["plot_gaps"]
    ax = plotting.plot_gaps(names, gaps, title)
    zero, *dots = lines(ax)
    assert (zero[:, 0] == 0).all()
    assert [list(line[:, 0]) for line in dots] == [mean for mean, _ in gaps.values()]
    bars = [np.ptp([part[:, 0] for part in one.get_segments()], axis=1) for one in ax.collections]
    assert np.allclose(bars, [2 * np.array(spread) for _, spread in gaps.values()])
    assert texts(ax) == list(gaps)


def test_drift_has_no_title_that_is_not_so():
    for last, within in ((0.002, True), (0.012, False)):
        gaps = {"a": [0.05, 0.06], "b": [0.02, 0.02], "c": [0.001, last]}
        ax = plotting.plot_drift([10, 30], gaps)
        assert ("hundredth" in ax.get_title()) == within
        assert [line[:, 1].tolist() for line in lines(ax)[:3]] == list(gaps.values())


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
    assert texts(ax) == ["users", "barrier", "movies"]
    plotting.plot_gantt(
        {"movies": [(0, 3, 4)]}, "One", xlabel="hours", scale=2, ax=(own := plt.figure().subplots())
    )
    assert own.collections[0].get_paths()[0].get_extents().x1 == 2 and own.get_xlabel() == "hours"


def test_ladder_compares_each_rung_with_the_one_above():
    seconds = {"slow": 0.4, "other": 0.002, "quick": 0.005, "slip": 0.01}
    ax = plotting.plot_ladder(seconds, "Quick wins", reference=["other"])
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], [400, 5, 10, 2])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["slow", "quick", "slip", "other"]
    written = {text.xy: text.get_text() for text in ax.texts}
    rungs = {(400, 0): "400 ms", (5, 1): "5.0 ms, 80 ×", (10, 2): "10 ms, 0.5 ×"}
    assert written == rungs | {(2, 3): "2.0 ms"}
    assert ax.get_xscale() == "log" and ax.get_xlim()[0] < 2 < 400 < ax.get_xlim()[1]
    own, other = ax.patches[2].get_facecolor(), ax.patches[3].get_facecolor()
    assert own == ax.patches[0].get_facecolor() != other


def test_ladders_that_share_an_axis_have_room_for_both():
    _, axes = plt.subplots(1, 2, sharex=True)
    for ax, seconds in zip(axes, ({"a": 0.3, "b": 0.004}, {"a": 0.9, "b": 0.02}), strict=True):
        plotting.plot_ladder(seconds, "Both", ax=ax)
    for ax in axes:
        assert ax.get_xlim() == pytest.approx((4 / 3, 3600))


# Chapter 05


def test_search_is_drawn_and_its_lowest_ringed():
    found = FOUND.query("n_factors == 2").set_axis([0, 0, 0])  # as of tables put together
    train, validation, ring = lines(plotting.plot_search(found, "lambda_reg", "t"))
    np.testing.assert_array_equal(train, found[["lambda_reg", "train_rmse"]])
    np.testing.assert_array_equal(validation, found[["lambda_reg", "validation_rmse"]])
    np.testing.assert_array_equal(ring, [[1, 10]])


def test_landscape_writes_each_error_and_frames_the_lowest():
    ax = plotting.plot_landscape(FOUND, "t")
    (image,) = ax.get_images()
    want = FOUND.pivot_table("validation_rmse", "n_factors", "lambda_reg").to_numpy()
    np.testing.assert_array_equal(image.get_array(), want)
    written = {text.get_position(): text.get_text() for text in ax.texts}
    assert written == {(c, r): f"{value:.3f}" for (r, c), value in np.ndenumerate(want)}
    rows = [(c, r) for r, c in enumerate(want.argmin(axis=1))]
    assert np.allclose([frame.get_center() for frame in ax.patches], rows)
    thickest = max(ax.patches, key=lambda frame: frame.get_linewidth())
    assert np.allclose(thickest.get_center(), (0, 1))  # λ = 1, f = 5


def test_choices_are_the_lowest_of_each_fold_over_other_settings():
    tables = *DRAWINGS["plot_choices"][0], FOUND
    curves = lines(plotting.plot_choices(tables, "t"))
    for table, curve, dot in zip(tables, curves[::2], curves[1::2], strict=True):
        lowest = table[table["n_factors"] == (5 if table is FOUND else table["n_factors"])]
        np.testing.assert_array_equal(curve, lowest[["lambda_reg", "validation_rmse"]])
        np.testing.assert_array_equal(dot, [[1, table["validation_rmse"].min()]])


def test_pulls_go_from_rings_to_dots():
    pulls, around = DRAWINGS["plot_pulls"][0], np.eye(4)
    ax = plotting.plot_pulls(pulls, "t", start="zero", around=around, crowd="all")
    cloud, *marks = lines(ax)
    np.testing.assert_array_equal(cloud, around[:, :2])
    wanted = [[end] for pair in pulls.values() for end in pair]
    np.testing.assert_array_equal(marks, wanted)
    assert [line.get_markerfacecolor() == "white" for line in ax.get_lines()[1::2]] == [True] * 2
    assert ax.texts[0].get_text() == "all" and ax.texts[0].get_color() == plotting.GREY
    named = {text.get_text(): tuple(text.xy) for text in ax.texts[1:]}
    assert named.pop("zero") == (0, 0) and named.pop("") == (-0.1, -0.4)  # the last arrow's head
    assert named == {name: tuple(end) for name, (_, end) in pulls.items()}


def test_groups_are_lines_labelled_at_their_ends():
    table = DRAWINGS["plot_groups"][0]
    ax = plotting.plot_groups(table, "t")
    for (name, values), line, text in zip(table.items(), lines(ax), ax.texts, strict=True):
        np.testing.assert_array_equal(line[:, 1], values)
        assert (text.get_text(), text.xy) == (name, (1, values.iloc[-1]))


def test_labels_of_lines_that_end_together_are_apart():
    table = pd.DataFrame({"a": [2, 1.0], "b": [3, 1.001], "c": [2, 3.0], "d": [2, 0.999]})
    ax = plotting.plot_groups(table, "t", colours=plotting.MORE_COLOURS)
    ax.figure.canvas.draw()
    heights = {text.get_text(): text.get_window_extent().y0 for text in ax.texts}
    assert sorted(heights, key=heights.get) == ["d", "a", "b", "c"]
    gaps = np.diff(sorted(heights.values())) * 72 / ax.figure.dpi
    assert (gaps > 12).all()


def test_protocol_closes_each_fifth_once():
    ax = plotting.plot_protocol()
    bars = {
        colour: [(bar.get_x(), bar.get_width()) for bar in ax.patches if bar.get_fc()[:3] == rgb]
        for colour in ("BLUE", "ORANGE", "GREEN")
        for rgb in [matplotlib.colors.to_rgb(getattr(plotting, colour))]
    }
    assert np.allclose(bars["GREEN"], [(20 * fold, 20) for fold in range(5)])
    for fold, (test, _) in enumerate(bars["GREEN"]):
        stripes = [bar for bar in ax.patches if np.isclose(bar.get_width(), 0.4)]
        lefts = np.array([bar.get_x() for bar in stripes if np.isclose(bar.get_y(), fold - 0.35)])
        assert len(lefts) == 20 and np.diff(np.sort(lefts)).min() > 0.39  # 8 % of all
        assert ((lefts + 0.4 <= test + 1e-9) | (lefts >= test + 20 - 1e-9)).all()
        assert lefts.min() >= 0 and lefts.max() <= 99.6 + 1e-9


def test_rungs_show_means_folds_and_paired_steps():
    ax = plotting.plot_rungs(SCORES, right=1.0, reference={"a library": 0.95})
    assert texts(ax) == [
        "1.550 →", "0.920", "0.905  (−0.0150 ± 0.0050)", "a library",
        "mean (step ± one\npaired standard error)", "1",
    ]  # fmt: skip
    folds, mean = lines(ax)[2:4]
    np.testing.assert_allclose(folds, [[0.88, 2], [0.93, 2]])
    np.testing.assert_allclose(mean, [[0.905, 2]])
    joins = [[[scores.iloc[1], 1], [scores.iloc[2], 2]] for _, scores in SCORES.iterrows()]
    np.testing.assert_allclose(lines(ax)[-len(joins) :], joins)
    marked = [line.get_marker() == "D" for line in ax.get_lines()[-len(joins) :]]
    hardest = SCORES.iloc[:, 1:].mean(axis=1).argmax()  # of what is drawn
    assert marked == [fold == hardest for fold in range(len(joins))]


def test_gifts_are_counted_and_their_means_marked():
    gifts = DRAWINGS["plot_gifts"][0]
    ax = plotting.plot_gifts(gifts, "t")
    upper, lower = ([bar for bar in ax.patches if bar.get_y() == base] for base in (1.25, 0))
    for bars, values in ((upper, gifts["by test"]), (lower, gifts["by validation"])):
        tall = [bar.get_x() + bar.get_width() / 2 for bar in bars if bar.get_height()]
        np.testing.assert_allclose(tall, sorted(values), atol=0.01)
    means = [line[0, 0] for line in lines(ax)[:2]]
    np.testing.assert_allclose(means, [-0.1, 0.0], atol=1e-12)


def test_residuals_have_their_errors():
    ax = plotting.plot_residuals(*DRAWINGS["plot_residuals"])
    (bars,) = ax.containers
    np.testing.assert_allclose(np.asarray(bars[0].get_ydata(), float), [0, 0.5], atol=1e-12)
    lengths = [np.ptp(segment[:, 1]) for segment in bars[2][0].get_segments()]
    np.testing.assert_allclose(lengths, [0.4, 0.4])  # ± 2 s.e. of two values ± 0.1


# Chapter 07

Y2, STARS = np.array([[0.2, 1.0], [-0.2, 0.7]]), np.array([0.8, 0.4])
PRIORS = {"zero": np.zeros(2), "Ann": np.array([1.2, -0.1]), "Bob": np.array([-0.5, 0.8])}


def test_walks_lead_from_the_prior_mean_to_the_ratings():
    """Against least squares with more rows, and the exact solution."""
    ax = plotting.plot_prior_means(Y2, STARS, PRIORS, 0.7, names=("horror", "romance"))
    *walks, exact = lines(ax)
    assert np.allclose(exact, np.linalg.solve(Y2, STARS))
    assert len(walks) == 3 * len(PRIORS)
    for k, (label, m) in enumerate(PRIORS.items()):
        walk, cross, dot = walks[3 * k : 3 * k + 3]
        wide = np.vstack([Y2, np.sqrt(0.7) * np.eye(2)])
        x = np.linalg.lstsq(wide, np.append(STARS, np.sqrt(0.7) * m))[0]
        assert np.allclose(cross, m) and np.allclose(dot, x)
        assert np.allclose(walk[-1], m, atol=1e-3) and np.allclose(walk[0], exact, atol=1e-2)
        assert np.linalg.norm(walk - x, axis=1).min() < 0.1
        assert label in texts(ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("horror", "romance")


def test_contours_are_the_squared_errors():
    ax = plotting.plot_prior_means(Y2, STARS, PRIORS, 1.0)
    contours = ax.collections[0]
    for level, path in zip(contours.levels, contours.get_paths(), strict=True):
        if len(path.vertices):
            cost = np.sum((path.vertices @ Y2.T - STARS) ** 2, axis=1)
            assert np.allclose(cost, level, rtol=0.05, atol=0.02)


def test_four_steps_say_whether_one_rises():
    values = [9.0, 8.0, 7.5, 7.5, 5.0, 4.0]
    ax = plotting.plot_four_steps(values)
    everything, *kinds = lines(ax)
    assert everything.tolist() == [[k + 1, value] for k, value in enumerate(values)]
    assert [kind[:, 1].tolist() for kind in kinds] == [[9, 5], [8, 4], [7.5], [7.5]]
    assert texts(ax) == ["B", "U", "C", "V"]
    assert ax.get_title() == "Each of the four steps lowers J, or leaves it"
    assert plotting.plot_four_steps([3.0, 4.0, 3.5, 3.0]).get_title() == "A step has raised J"


def test_arrows_and_dots_have_the_same_units():
    points = np.random.default_rng(0).normal(size=(50, 2))
    effects = pd.DataFrame([[0.1, 0.0], [0.0, -0.2], [-0.1, 0.1]], ["Horror", "War", "Drama"])
    before = {"Horror + War": ((0.3, 0.4), ["Alien"])}
    ax = plotting.plot_genre_arrows(points, effects, {"Alien": 7, "Heat": 9}, before=before)
    dots, tips, circles, alien, heat = lines(ax)
    assert np.allclose(dots, points) and np.allclose(tips, effects)
    assert np.allclose([*alien, *heat], points[[7, 9]]) and circles.tolist() == [[0.3, 0.4]]
    assert np.allclose(ax.collections[0].get_segments(), [[(0.3, 0.4), points[7]]])
    arrows = [text.xy for text in ax.texts if text.arrow_patch is not None]
    assert np.allclose(arrows, tips)
    names = [text.get_text() for text in ax.texts if text.get_text()]
    assert set(names) == {*effects.index, *before, "Alien", "Heat"}
    boxes = [text.get_window_extent().extents for text in ax.texts if text.get_text()]
    for k, (left, low, right, high) in enumerate(boxes):
        for a, b, c, d in boxes[:k]:
            assert left >= c or right <= a or low >= d or high <= b, "names lie on one another"


def test_pairs_below_the_line_are_better():
    before, after = np.array([1.0, 1.2, 0.9, 1.1]), np.array([0.9, 1.1, 1.0, 1.0])
    ax = plotting.plot_pairs(before, after, "Mostly better", "one", "two")
    diagonal, dots = lines(ax)
    assert np.allclose(diagonal[:, 0], diagonal[:, 1])
    assert np.allclose(dots, np.column_stack([before, after]))
    assert {*texts(ax)} == {"better: 3", "worse: 1"}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("one", "two")


def test_groups_have_bars_of_a_standard_error():
    table = pd.DataFrame({"one": [1.0, 2.0], "two": [3.0, 2.5]}, ["few", "many"])
    bars = pd.DataFrame({"one": [0.1, 0.2], "two": [0.3, 0.4]}, ["few", "many"])
    ax = plotting.plot_groups(table, "Bars", errors=bars)
    for drawn, name in zip(ax.collections, table, strict=True):
        for k, (low, high) in enumerate(drawn.get_segments()):
            middle, half = table[name].iloc[k], bars[name].iloc[k]
            assert np.allclose([low, high], [[k, middle - half], [k, middle + half]])
    assert not plotting.plot_groups(table, "No bars").collections


def test_newcomers_can_have_other_colours():
    curves = {"stars": (np.array([1.0, 0.9]), 0.01), "both": (np.array([1.1, 0.8]), 0.01)}
    colours = plotting.GREY, plotting.BLUE
    ax = plotting.plot_newcomers([0, 1], curves, "Newcomers", colours=colours)
    assert [line.get_color() for line in ax.get_lines()] == list(colours)
    assert [text.get_color() for text in ax.texts] == list(colours)


# Chapter 09


def test_lists_tick_and_count_their_hits():
    lists = {"A": ["Alien", "Brazil"], "B": ["Casablanca", "Alien"]}
    plain = plotting.plot_lists(lists, "Two lists")
    assert texts(plain) == "A 1 Alien 2 Brazil B 1 Casablanca 2 Alien".split()
    assert not plain.patches
    ax = plotting.plot_lists(lists, "Two lists", hits=np.array(["Brazil", "Alien"]))
    assert texts(ax) == [*"A ✓ Alien ✓ Brazil".split(), "2 of 2",
                         *"B 1 Casablanca ✓ Alien".split(), "1 of 2"]  # fmt: skip
    marked = [box.get_bbox().intervaly.mean() for box in ax.patches]
    rows = [text.get_position()[1] for text in ax.texts if text.get_text() in ("Alien", "Brazil")]
    assert np.allclose(marked, rows)


def test_confidence_is_the_same_everywhere_and_more_where_observed():
    R = sp.csr_array(np.array([[3.0, 0, 1], [0, 2, 0]]))
    written = texts(plotting.plot_confidence(R, 2.0, 0.5))
    p = ["1", "0", "1", "0", "1", "0"]
    c = ["6.5", "0.5", "2.5", "0.5", "4.5", "0.5"]
    shown = [text for text in written if text.replace(".", "").isdigit()]
    assert shown == ["3", "1", "2", *p, *c, *6 * ["0.5"], "6", "2", "4"]
    assert [text for text in written if text in "=+" and text] == ["=", "+"]


def test_dial_has_a_column_of_dots_for_each_value():
    lists, n_ratings = {0.1: [0, 3, 1], 5: [2, 0, 1]}, [10, 300, 50, 20]
    ax = plotting.plot_dial(lists, n_ratings, [0, 2], "More popular")
    missed, hit = lines(ax)[:2]
    assert sorted(missed[:, 1]) == [20, 300] and hit[:, 1].tolist() == [10]
    missed, hit = lines(ax)[2:]
    assert missed[:, 1].tolist() == [300] and sorted(hit[:, 1]) == [10, 50]
    assert (abs(np.vstack([missed, hit])[:, 0] - 1) < 0.5).all()
    assert texts(ax) == ["1 of 3", "2 of 3"] and ax.get_yscale() == "log"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0.1", "5"]
    assert "filled: a hit" in ax.get_xlabel()
    with_line = plotting.plot_dial(lists, n_ratings, [3], "Up", behind=("all", [20, 40]))
    assert lines(with_line)[0].tolist() == [[0, 20], [1, 40]] and len(lines(with_line)) == 5
    assert texts(with_line) == ["all", "1 of 3", "0 of 3"]


def test_scoreboard_shows_means_and_paired_differences():
    scores = pd.DataFrame({"a": [0.5, 0.9, 0.7], "b": [0.1, 0.4, 0.4]})
    ax = plotting.plot_scoreboard(scores, "a", "a is ahead", others={"stored": (0.5, 0.01)})
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["b", "stored", "a"]
    bars, means = lines(ax)[::2], lines(ax)[1::2]
    assert np.allclose(np.vstack(means)[:, 0], [0.3, 0.5, 0.7])
    errors = [scores["b"].std() / 3**0.5, 0.01, scores["a"].std() / 3**0.5]
    assert np.allclose([np.ptp(bar[:, 0]) / 2 for bar in bars], errors)
    gap = scores["b"] - scores["a"]
    paired = f"0.300  (−0.400 ± {gap.std() / 3**0.5:.3f})"
    assert texts(ax)[:3] == [paired, "0.500", "0.700"]


def test_variety_joins_the_path_only():
    path = pd.DataFrame({"coverage": [0.4, 0.2, 0.1], "ndcg": [0.2, 0.4, 0.3]}, [0.1, 1, 10])
    points = pd.DataFrame({"coverage": [0.03, 0.2], "ndcg": [0.1, 0.1]}, ["popularity", "stars"])
    ax = plotting.plot_variety(path, points, "A bow")
    joined, single = ax.get_lines()
    assert np.allclose(joined.get_xydata(), path) and joined.get_linestyle() == "-"
    assert np.allclose(single.get_xydata(), points) and single.get_linestyle() == "None"
    assert texts(ax) == ["α₀ = 0.1", "α₀ = 1", "α₀ = 10", "popularity", "stars"]
    sides = [text.get_horizontalalignment() for text in ax.texts[:3]]
    assert sides == ["left", "left", "right"]  # none on the bow
    assert {text.get_horizontalalignment() for text in ax.texts[3:]} == {"center"}
    points.loc["close"] = 0.19, 0.11
    ax = plotting.plot_variety(path, points, "A bow")
    sides = [text.get_horizontalalignment() for text in ax.texts[3:]]
    assert sides == ["center", "center", "right"]  # not over its neighbour


def test_landscape_frames_the_largest_ndcg():
    found = pd.DataFrame(
        [(f, lam, 0.3 - (f - 5) ** 2 / 100 - lam / 100) for f in (2, 5, 9) for lam in (1, 3)],
        columns=["n_factors", "lambda_reg", "validation_ndcg"],
    )
    ax = plotting.plot_landscape(found, "Five is best", metric="ndcg")
    frames = [(p.get_xy()[0], p.get_xy()[1], p.get_linewidth()) for p in ax.patches]
    assert np.allclose(frames, [(-0.47, y - 0.46, 2 if y == 1 else 0.8) for y in range(3)])
    want = found.pivot_table("validation_ndcg", "n_factors", "lambda_reg")
    assert np.allclose(ax.images[0].get_array(), want)
