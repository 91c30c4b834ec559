"""Figures of chapter 09: their data is read back from the axes."""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from alsnb import plotting


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def dots(ax):
    return [line.get_xydata() for line in ax.get_lines()]


def texts(ax):
    return [text.get_text() for text in ax.texts]


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
    missed, hit = dots(ax)[:2]
    assert sorted(missed[:, 1]) == [20, 300] and hit[:, 1].tolist() == [10]
    missed, hit = dots(ax)[2:]
    assert missed[:, 1].tolist() == [300] and sorted(hit[:, 1]) == [10, 50]
    assert (abs(np.vstack([missed, hit])[:, 0] - 1) < 0.5).all()
    assert texts(ax) == ["1 of 3", "2 of 3"] and ax.get_yscale() == "log"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0.1", "5"]
    assert "filled: a hit" in ax.get_xlabel()
    with_line = plotting.plot_dial(lists, n_ratings, [3], "Up", behind=("all", [20, 40]))
    assert dots(with_line)[0].tolist() == [[0, 20], [1, 40]] and len(dots(with_line)) == 5
    assert texts(with_line) == ["all", "1 of 3", "0 of 3"]


def test_scoreboard_shows_means_and_paired_differences():
    scores = pd.DataFrame({"a": [0.5, 0.9, 0.7], "b": [0.1, 0.4, 0.4]})
    ax = plotting.plot_scoreboard(scores, "a", "a is ahead", others={"stored": (0.5, 0.01)})
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["b", "stored", "a"]
    bars, means = dots(ax)[::2], dots(ax)[1::2]
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
