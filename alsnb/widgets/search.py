"""Find titles by what people type: case, accents, punctuation and spaces do not matter."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from unicodedata import normalize

import numpy as np


def find_titles(titles: Sequence[str], text: str, weights=None) -> np.ndarray:
    """Return the positions of the titles that hold every word of a text.

    Titles that begin with the text come first, and of these, as of the others, those of the highest
    weight; otherwise the order is kept. A text without a letter or a digit finds nothing.

    Parameters
    ----------
    titles : sequence of str
    text : str
        What was typed.
    weights : array, optional
        A number for each title, such as how many ratings it has.

    Returns
    -------
    ndarray of int

    Examples
    --------
    >>> titles = ["Schindler's List (1993)", "Star Wars (1977)", "Misérables, Les (1995)"]
    >>> [int(find_titles(titles, text)[0]) for text in ("schindlers", "starwars", "les miser")]
    [0, 1, 2]
    >>> len(find_titles(titles, "Zorro"))
    0
    """
    words = [word for word in map(squeeze, str(text).split()) if word]
    keys = [squeeze(str(title)) for title in titles] if words else []
    found = [k for k, key in enumerate(keys) if all(word in key for word in words)]
    weights = np.zeros(len(titles)) if weights is None else weights
    start = "".join(words)
    return np.array(sorted(found, key=lambda k: (not keys[k].startswith(start), -weights[k])), int)


@lru_cache(maxsize=2**16)
def squeeze(text: str) -> str:
    """Return a text without case, accents, punctuation and spaces.

    Examples
    --------
    >>> squeeze("Schindler’s List")
    'schindlerslist'
    """
    text = text.casefold().replace("&", "and")
    text = normalize("NFKD", text).casefold()  # ™ becomes TM, and then tm
    return "".join(character for character in text if character.isalnum())
