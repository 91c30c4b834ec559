"""Front ends in ipywidgets (the extra ``widgets``), one module each, chapter by chapter.

Their numbers and pictures come from plain functions, which are tested without a browser.
"""

from .base import Widget  # first: it says what is missing without ipywidgets
from .bowl import RidgeBowl
from .by_hand import AlternateByHand
from .csr import CSRByTouch
from .ellipse import WhatToAsk
from .factor_map import FactorMap
from .gift import Gift
from .landscape import Landscape
from .newcomer import Newcomer
from .overfitting import OverfittingDesk
from .premiere import Premiere
from .rating import RatingWidget
from .shrink import ShrinkIt
from .unobserved import Unobserved
from .work_queue import WorkQueue

__all__ = [
    "AlternateByHand",
    "CSRByTouch",
    "FactorMap",
    "Gift",
    "Landscape",
    "Newcomer",
    "OverfittingDesk",
    "Premiere",
    "RatingWidget",
    "RidgeBowl",
    "ShrinkIt",
    "Unobserved",
    "WhatToAsk",
    "Widget",
    "WorkQueue",
]
