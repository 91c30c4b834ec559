"""One description, two drawings: both show the same marks, and both are safe to put on a page."""

import io
import xml.etree.ElementTree as ET

import matplotlib.image
import numpy as np
import pytest

from alsnb.widgets.picture import INK, Picture

base = pytest.importorskip("alsnb.widgets.base")
BLUE, ORANGE = "#0072b2", "#d55e00"


def svg(picture, label="what is seen"):
    return ET.fromstring(picture.svg(label))


def pixels(picture):
    """Colours of the PNG, one for each px of the picture, as 0 to 255."""
    image = matplotlib.image.imread(io.BytesIO(picture.png(dpi=100)), format="png")
    assert image.shape[:2] == (picture.height, picture.width)
    return (255 * image[..., :3]).round().astype(int)


def rgb(colour):
    return [int(colour[k : k + 2], 16) for k in (1, 3, 5)]


def test_a_box_is_at_its_place_in_both():
    picture = Picture(40, 30)
    picture.box(10, 5, 20, 15, BLUE, title="ten")
    (rect,) = svg(picture).iter("rect")
    assert [float(rect.get(k)) for k in ("x", "y", "width", "height")] == [10, 5, 20, 15]
    assert rect.get("fill") == BLUE and rect.find("title").text == "ten"
    image = pixels(picture)
    assert (image[6:19, 11:29] == rgb(BLUE)).all()
    assert (image[:4] == 255).all() and (image[:, 32:] == 255).all()


def test_axes_turn_data_into_px():
    picture = Picture(300, 200)
    frame = picture.axes(
        50, 10, 200, 100, (0, 4), (1, 100), ylog=True, xticks=[0, 2, 4], yticks=[1, 10]
    )
    assert frame.x(2) == 150 and frame.y(10) == pytest.approx(60)
    frame.line(np.array([[0, 1], [4, 100]]), BLUE)
    frame.dots([[2, 10]], ORANGE, 4, titles=["the middle"])
    frame.box(1, 1, 2, 9, BLUE)
    found = svg(picture)
    assert "M50.0 110.0L250.0 10.0" in [path.get("d") for path in found.iter("path")]
    (circle,) = found.iter("circle")
    assert (circle.get("cx"), circle.get("cy")) == ("150.0", "60.0")
    (rect,) = found.iter("rect")
    assert [rect.get(k) for k in ("x", "y", "width", "height")] == [
        "100.0",
        "60.0",
        "100.0",
        "50.0",
    ]
    texts = [text.text for text in found.iter("text")]
    assert texts == ["0", "2", "4", "1", "10"]


def test_what_leaves_the_axes_is_cut_off_in_both():
    picture = Picture(100, 100)
    frame = picture.axes(20, 20, 60, 60, (0, 1), (0, 1))
    frame.box(-1, 0.25, 3, 0.5, BLUE)
    clips = [one for one in svg(picture).iter("svg") if one.get("overflow") == "hidden"]
    assert [clips[0].get(k) for k in ("x", "y", "width", "height")] == [
        "20.0",
        "20.0",
        "60.0",
        "60.0",
    ]
    assert len(list(clips[0].iter("rect"))) == 1
    image = pixels(picture)
    assert (image[50, 25:75] == rgb(BLUE)).all()
    assert (image[50, :18] == 255).all() and (image[50, 82:] == 255).all()


def test_several_lines_are_one_path_and_lines_without_points_are_none():
    picture = Picture(50, 50)
    picture.line([[[0, 0], [10, 10]], [[20, 20], [30, 30]], np.empty((0, 2))], dash=True)
    (path,) = svg(picture).iter("path")
    assert path.get("d") == "M0.0 0.0L10.0 10.0M20.0 20.0L30.0 30.0"
    assert path.get("stroke") == INK and path.get("stroke-dasharray")
    assert (pixels(picture)[2, 2] < 128).all()


def test_ink_is_the_text_colour_of_the_page_and_black_in_the_png():
    picture = Picture(60, 30)
    picture.text(30, 20, "■■■", size=16)
    assert [text.get("fill") for text in svg(picture).iter("text")] == ["currentColor"]
    assert (pixels(picture) == 0).any()


@pytest.mark.parametrize("nasty", ['"><script>alert(1)</script>', "a & b < c", "$x$ and $", "'"])
def test_titles_cannot_break_out(nasty):
    picture = Picture(60, 30)
    picture.text(30, 20, nasty)
    picture.dots([[5, 5]], titles=[nasty])
    picture.box(1, 1, 5, 5, title=nasty)
    found = svg(picture, nasty)
    assert found.get("aria-label") == nasty and not list(found.iter("script"))
    assert [one.text for one in found.iter("text")] == [nasty]
    assert [one.text for one in found.iter("title")] == [nasty, nasty]
    picture.png()


def test_only_what_is_new_moves():
    picture = Picture(60, 30)
    picture.line([[0, 0], [1, 1]])
    assert "animation" not in picture.svg("")
    picture.line([[0, 0], [1, 1]], new=True)
    assert "prefers-reduced-motion" in picture.svg("")


class Counter(base.Widget):
    """Counts presses, and draws one box for each."""

    def __init__(self):
        self.n = 0
        self.step = base.slider("step", 1, 1, 5, 1)
        self.sign = base.choice("sign", [("down", -1), ("up", 1)], 1)
        super().__init__([self.step, self.sign], [self.button("Add", "add a step", self.add)])

    def add(self):
        self.n += self.step.value * self.sign.value

    @property
    def report(self):
        return f"n = {self.n}, step <{self.step.value}>"

    def picture(self):
        picture = Picture(200, 40)
        for k in range(self.n):
            picture.box(10 * k, 5, 8, 8)
        return picture


def test_a_widget_shows_each_change():
    widget = Counter()
    shown = []
    widget._drawn.observe(lambda change: shown.append(change["new"]), "value")
    widget.press("Add")
    widget.step.value = 3
    widget.press("Add")
    assert widget.report == "n = 4, step <3>"
    assert "n = 4, step &lt;3&gt;" in widget._said.value and 'role="status"' in widget._said.value
    assert len(shown) == 3 and len(list(ET.fromstring(shown[-1]).iter("rect"))) == 4
    with pytest.raises(ValueError, match="there is no button 'Sub'; there are \\['Add'\\]"):
        widget.press("Sub")


def test_a_page_without_a_kernel_has_picture_and_words():
    data, about = Counter()._repr_mimebundle_()
    assert data["text/plain"] == "Counter: n = 0, step <1>"
    assert data["image/png"].startswith("iVBOR")
    assert about["image/png"] == {"alt": "n = 0, step <1>", "width": 200, "height": 40}
