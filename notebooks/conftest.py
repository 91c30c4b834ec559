"""What notebooks draw is compared, too, where nbval compares what they say.

Roughly, so that another machine may draw a line a little otherwise. A cell tagged
``timed`` draws seconds, which differ from run to run, and is left out.
"""

import base64
import io

import numpy as np
from PIL import Image

# Of 255, over 8 × 8 pixels: a digit of a title is more, a line moved by a pixel less
UNLIKE = 64


def pictures(outputs):
    """All PNGs of a cell's outputs."""
    found = [output.get("data", {}).get("image/png") for output in outputs]
    return [Image.open(io.BytesIO(base64.b64decode(png))) for png in found if png]


def difference(new, old):
    """How far two pictures are apart where they are least alike, in shades of grey."""
    greys = []
    for image in (new, old):
        small = image.convert("RGB").resize(old.size).convert("L").reduce(8)
        greys.append(np.asarray(small, dtype=int))
    return int(np.abs(np.subtract(*greys)).max())


def pytest_itemcollected(item):
    """Fail a cell that draws something else than what is committed."""
    cell = getattr(item, "cell", None)
    if cell is None or "timed" in cell.metadata.get("tags", []):
        return
    compare = item.compare_outputs

    def compare_pictures_too(new, old, **options):
        if not compare(new, old, **options):
            return False
        drawn, committed = pictures(new), pictures(old)
        apart = [difference(*pair) for pair in zip(drawn, committed, strict=False)]
        if len(drawn) == len(committed) and max(apart, default=0) < UNLIKE:
            return True
        text = f"pictures differ by {apart} of 255: run refresh.py, and look"
        item.comparison_traceback.append(text)
        return False

    item.compare_outputs = compare_pictures_too
