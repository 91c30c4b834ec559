"""Figures of chapter 07: their data is read back from the axes."""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from alsnb import plotting

Y, STARS = np.array([[0.2, 1.0], [-0.2, 0.7]]), np.array([0.8, 0.4])
PRIORS = {"zero": np.zeros(2), "Ann": np.array([1.2, -0.1]), "Bob": np.array([-0.5, 0.8])}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def lines(ax):
    return [line.get_xydata() for line in ax.get_lines()]


def test_walks_lead_from_the_prior_mean_to_the_ratings():
    """Against least squares with more rows, and the exact solution."""
    ax = plotting.plot_prior_means(Y, STARS, PRIORS, 0.7, names=("horror", "romance"))
    *walks, exact = lines(ax)
    assert np.allclose(exact, np.linalg.solve(Y, STARS))
    assert len(walks) == 3 * len(PRIORS)
    for k, (label, m) in enumerate(PRIORS.items()):
        walk, cross, dot = walks[3 * k : 3 * k + 3]
        wide = np.vstack([Y, np.sqrt(0.7) * np.eye(2)])
        x = np.linalg.lstsq(wide, np.append(STARS, np.sqrt(0.7) * m))[0]
        assert np.allclose(cross, m) and np.allclose(dot, x)
        assert np.allclose(walk[-1], m, atol=1e-3) and np.allclose(walk[0], exact, atol=1e-2)
        assert np.linalg.norm(walk - x, axis=1).min() < 0.1
        assert label in [text.get_text() for text in ax.texts]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("horror", "romance")


def test_contours_are_the_squared_errors():
    ax = plotting.plot_prior_means(Y, STARS, PRIORS, 1.0)
    contours = ax.collections[0]
    for level, path in zip(contours.levels, contours.get_paths(), strict=True):
        if len(path.vertices):
            cost = np.sum((path.vertices @ Y.T - STARS) ** 2, axis=1)
            assert np.allclose(cost, level, rtol=0.05, atol=0.02)


def test_four_steps_say_whether_one_rises():
    values = [9.0, 8.0, 7.5, 7.5, 5.0, 4.0]
    ax = plotting.plot_four_steps(values)
    everything, *kinds = lines(ax)
    assert everything.tolist() == [[k + 1, value] for k, value in enumerate(values)]
    assert [kind[:, 1].tolist() for kind in kinds] == [[9, 5], [8, 4], [7.5], [7.5]]
    assert [text.get_text() for text in ax.texts] == ["B", "U", "C", "V"]
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
    assert {text.get_text() for text in ax.texts} == {"better: 3", "worse: 1"}
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
