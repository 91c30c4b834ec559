"""Search forgives what people get wrong when they type."""

import pytest

from alsnb.widgets.search import find_titles

TITLES = [
    "Schindler's List (1993)",
    "Mustard Star (1990)",
    "Star Wars (1977)",
    "Godfather, The (1972)",
    "Godfather: Part II, The (1974)",
    "Misérables, Les (1995)",
    "Ace™ (1996)",
    "Wallace & Gromit (1996)",
]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("schindlers list", [0]),
        ("Schindler’s", [0]),
        ("starwars", [2]),
        ("STAR", [2, 1]),  # what begins with it comes first
        ("the godfather", [3, 4]),
        ("godfather 1974", [4]),
        ("miserables", [5]),
        ("les misérables", [5]),
        ("acetm", [6]),
        ("wallace and gromit", [7]),
        ("Wallace & Gromit", [7]),
        ("wars godfather", []),
        ("Zorro", []),
        ("", []),
        (" '’- ", []),
    ],
)
def test_found(text, found):
    assert find_titles(TITLES, text).tolist() == found


def test_positions_index_arrays():
    assert find_titles(TITLES, "").dtype == find_titles(TITLES, "star").dtype == int


def test_of_equal_matches_the_weightier_comes_first():
    weights = [0, 9, 1, 0, 5, 2, 0, 3]
    assert find_titles(TITLES, "godfather", weights).tolist() == [4, 3]
    assert find_titles(TITLES, "star", weights).tolist() == [2, 1]  # how it begins counts more
