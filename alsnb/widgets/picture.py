"""One description of a picture, drawn twice: as SVG on a living page, as PNG for any other.

SVG follows the reader's theme, stays sharp, and is shown within a few hundredths of a second.
JupyterLab takes it out of notebooks that it does not trust; a PNG it always shows.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from html import escape

import numpy as np

INK = "currentColor"  # of the page's text: black on white, white in a dark theme
_NEW = (  # what is new is drawn in a third of a second, unless the reader asks for rest
    "<style>@media (prefers-reduced-motion:no-preference){.alsnb-new{stroke-dasharray:1;"
    "animation:alsnb-draw .35s}}@keyframes alsnb-draw{from{stroke-dashoffset:1}"
    "to{stroke-dashoffset:0}}</style>"
)
_TITLE_SIZE = 14


def _arrays(points) -> list[np.ndarray]:
    """Points (k, 2) of one line, or of each of several."""
    parts = points if isinstance(points, list | tuple) and np.ndim(points[0]) == 2 else [points]
    return [np.asarray(part, float).reshape(-1, 2) for part in parts]


class Picture:
    """Lines, dots, boxes and text, in px from the upper left corner.

    Parameters
    ----------
    width, height : float
        In px. On a page the picture is as wide as there is room, at most this.

    Examples
    --------
    >>> picture = Picture(120, 40)
    >>> picture.box(10, 10, 80, 20, "#0072B2", title="ten ratings")
    >>> picture.text(60, 25, "10")
    >>> picture.svg("a bar of length ten")[:52]
    '<svg role="img" aria-label="a bar of length ten" vie'
    """

    def __init__(self, width: float, height: float):
        self.width, self.height = width, height
        self._marks: list[dict] = []

    def _add(self, kind, clip=None, **mark):
        self._marks.append({"kind": kind, "clip": clip, **mark})

    def line(self, points, colour=INK, width=1.5, *, dash=False, opacity=1, new=False, clip=None):
        """Draw one line through points (k, 2), or several that belong together, from a list."""
        self._add("line", clip, parts=_arrays(points), colour=colour, width=width, dash=dash,
                  opacity=opacity, new=new)  # fmt: skip

    def dots(
        self, points, colour=INK, radius=3, *, opacity=1, hollow=False, titles=None, clip=None
    ):
        """Draw circles around points (k, 2); `titles` are their texts under the mouse.

        `colour` is one for all or one for each.
        """
        points = np.asarray(points, float).reshape(-1, 2)
        self._add("dots", clip, points=points, colour=colour, radius=radius, opacity=opacity,
                  hollow=hollow, titles=titles)  # fmt: skip

    def box(
        self, x, y, width, height, colour=INK, *, opacity=1, hollow=False, title=None, clip=None
    ):
        """Draw a rectangle from its upper left corner; `title` is its text under the mouse."""
        self._add("box", clip, place=(x, y, width, height), colour=colour, opacity=opacity,
                  hollow=hollow, title=title)  # fmt: skip

    def text(self, x, y, text, colour=INK, *, size=12, anchor="middle", bold=False, angle=0,
             opacity=1):  # fmt: skip
        """Write text on the line at `y`; `anchor` is start, middle or end, `angle` in degrees."""
        self._add("text", x=x, y=y, text=str(text), colour=colour, size=size, anchor=anchor,
                  bold=bold, angle=angle, opacity=opacity)  # fmt: skip

    def axes(self, x, y, width, height, xlim, ylim, *, xlabel="", ylabel="", title="",
             xticks=None, yticks=None, xlog=False, ylog=False) -> Frame:  # fmt: skip
        """Draw axes around these px, and return what draws inside them in data's coordinates.

        Ticks are values, or a dictionary of values and their labels.
        """
        frame = Frame(self, (x, y, width, height), xlim, ylim, xlog, ylog)
        bottom = y + height
        self.line([[[x, y], [x, bottom], [x + width, bottom]]], width=1, opacity=0.5)
        for value, label in _ticks(xticks):
            at = frame.x(value)
            self.line([[at, bottom], [at, bottom + 4]], width=1, opacity=0.5)
            self.text(at, bottom + 17, label, size=11)
        for value, label in _ticks(yticks):
            at = frame.y(value)
            self.line([[x - 4, at], [x, at]], width=1, opacity=0.5)
            self.text(x - 7, at + 4, label, size=11, anchor="end")
        if xlabel:
            self.text(x + width / 2, bottom + (36 if xticks is not None else 18), xlabel)
        if ylabel:
            self.text(x - (38 if yticks is not None else 12), y + height / 2, ylabel, angle=-90)
        if title:
            self.text(x, y - 10, title, size=_TITLE_SIZE, anchor="start", bold=True)
        return frame

    def svg(self, label: str) -> str:
        """Return the picture as an SVG element whose accessible name is `label`."""
        parts, clip = [], None
        for mark in self._marks:
            if mark["clip"] != clip:
                parts += ["</svg>"] * (clip is not None)
                if (clip := mark["clip"]) is not None:
                    x, y, width, height = clip
                    parts.append(
                        f'<svg x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
                        f'viewBox="{x:.1f} {y:.1f} {width:.1f} {height:.1f}" overflow="hidden">'
                    )
            parts.append(_SVG[mark["kind"]](mark))
        parts += ["</svg>"] * (clip is not None)
        style = f"width:100%;max-width:{self.width:g}px;height:auto;font-family:inherit"
        new = _NEW if any(mark.get("new") for mark in self._marks) else ""
        return (
            f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {self.width:g} '
            f'{self.height:g}" style="{style}">{new}{"".join(parts)}</svg>'
        )

    def png(self, dpi: float = 200) -> bytes:
        """Return the picture as a PNG file, black on white, 100 px of it at 1 inch."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(self.width / 100, self.height / 100), dpi=dpi, facecolor="white")
        ax = figure.add_axes((0, 0, 1, 1))
        ax.set(xlim=(0, self.width), ylim=(self.height, 0))
        ax.axis("off")
        for order, mark in enumerate(self._marks):
            for artist in _ARTISTS[mark["kind"]](mark):
                ax.add_artist(artist)
                artist.set_zorder(order)
                if mark["clip"] is not None:
                    x, y, width, height = mark["clip"]
                    box = _patches().Rectangle((x, y), width, height, transform=ax.transData)
                    artist.set_clip_path(box)
        file = io.BytesIO()
        figure.savefig(file, format="png")
        return file.getvalue()


class Frame:
    """Axes in a `Picture`: the same marks, in data's coordinates; all but text end at its edge."""

    def __init__(self, picture, place, xlim, ylim, xlog=False, ylog=False):
        self._picture, self.place = picture, place
        self._limits, self._logs = (xlim, ylim), (xlog, ylog)
        left, top, width, height = place
        self._px = (left, left + width), (top + height, top)

    def _to_px(self, axis, values):
        low, high = self._limits[axis]
        values = np.asarray(values, float)
        if self._logs[axis]:
            low, high, values = np.log(low), np.log(high), np.log(values)
        start, end = self._px[axis]
        return start + (values - low) / (high - low) * (end - start)

    def x(self, value):
        """Px of a value on the horizontal axis, or of an array of them."""
        return self._to_px(0, value)

    def y(self, value):
        """Px of a value on the vertical axis, or of an array of them."""
        return self._to_px(1, value)

    def _points(self, points):
        return np.column_stack([self.x(points[:, 0]), self.y(points[:, 1])])

    def line(self, points, colour=INK, width=1.5, **options):
        """As `Picture.line`."""
        parts = [self._points(part) for part in _arrays(points)]
        self._picture.line(parts, colour, width, clip=self.place, **options)

    def dots(self, points, colour=INK, radius=3, **options):
        """As `Picture.dots`."""
        points = self._points(np.asarray(points, float).reshape(-1, 2))
        self._picture.dots(points, colour, radius, clip=self.place, **options)

    def box(self, x, y, width, height, colour=INK, **options):
        """As `Picture.box`, from its lower left corner upwards, as bars grow."""
        left, right = sorted((float(self.x(x)), float(self.x(x + width))))
        top, bottom = sorted((float(self.y(y)), float(self.y(y + height))))
        place = left, top, right - left, bottom - top
        self._picture.box(*place, colour, clip=self.place, **options)

    def text(self, x, y, text, colour=INK, *, dx=0, dy=0, **options):
        """As `Picture.text`; `dx`, `dy` move it by so many px."""
        self._picture.text(float(self.x(x)) + dx, float(self.y(y)) + dy, text, colour, **options)


def _ticks(ticks):
    if ticks is None:
        return []
    if isinstance(ticks, Mapping):
        return ticks.items()
    return [(value, f"{value:g}") for value in ticks]


def _each(colour, n):
    return [colour] * n if isinstance(colour, str) else list(colour)


# As SVG. Coordinates have one decimal: a tenth of a px, the same on every machine.


def _stroke(mark):
    dash = ' stroke-dasharray="5 4"' if mark["dash"] else ""
    return f'stroke="{mark["colour"]}" stroke-width="{mark["width"]:g}"{dash}{_opacity(mark)}'


def _opacity(mark):
    return f' opacity="{mark["opacity"]:g}"' if mark["opacity"] != 1 else ""


def _paint(mark, colour):
    if mark["hollow"]:
        return f'fill="none" stroke="{colour}" stroke-width="2"'
    return f'fill="{colour}"'


def _svg_line(mark):
    path = "".join(
        "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in part) for part in mark["parts"] if len(part)
    )
    new = ' class="alsnb-new" pathLength="1"' if mark["new"] and not mark["dash"] else ""
    return f'<path{new} d="{path}" fill="none" {_stroke(mark)}/>'


def _svg_dots(mark):
    titles, colours = mark["titles"], _each(mark["colour"], len(mark["points"]))
    circles = []
    for k, ((x, y), colour) in enumerate(zip(mark["points"], colours, strict=True)):
        title = f"<title>{escape(titles[k])}</title>" if titles is not None else ""
        circles.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{mark["radius"]:g}" '
            f"{_paint(mark, colour)}>{title}</circle>"
        )
    return f"<g{_opacity(mark)}>{''.join(circles)}</g>"


def _svg_box(mark):
    x, y, width, height = mark["place"]
    title = f"<title>{escape(mark['title'])}</title>" if mark["title"] else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f"{_paint(mark, mark['colour'])}{_opacity(mark)}>{title}</rect>"
    )


def _svg_text(mark):
    x, y, angle = mark["x"], mark["y"], mark["angle"]
    turn = f' transform="rotate({angle:g} {x:.1f} {y:.1f})"' if angle else ""
    bold = ' font-weight="bold"' if mark["bold"] else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{mark["colour"]}" font-size="{mark["size"]:g}" '
        f'text-anchor="{mark["anchor"]}"{bold}{turn}{_opacity(mark)}>{escape(mark["text"])}</text>'
    )


_SVG = {"line": _svg_line, "dots": _svg_dots, "box": _svg_box, "text": _svg_text}

# By Matplotlib: the same marks; a px is 1/100 inch, 0.72 points.


def _patches():
    from matplotlib import patches

    return patches


def _ink(colour):
    return "black" if colour == INK else colour


def _mpl_line(mark):
    from matplotlib.lines import Line2D

    style = {"color": _ink(mark["colour"]), "lw": 0.72 * mark["width"], "alpha": mark["opacity"]}
    style["ls"] = (0, (5 / mark["width"], 4 / mark["width"])) if mark["dash"] else "-"
    return [Line2D(*part.T, **style) for part in mark["parts"] if len(part)]


def _mpl_paint(mark, colour):
    colour = _ink(colour)
    if mark["hollow"]:
        return {"fc": "none", "ec": colour, "lw": 1.44, "alpha": mark["opacity"]}
    return {"fc": colour, "ec": "none", "alpha": mark["opacity"]}


def _mpl_dots(mark):
    colours = _each(mark["colour"], len(mark["points"]))
    return [
        _patches().Circle(point, mark["radius"], **_mpl_paint(mark, colour))
        for point, colour in zip(mark["points"], colours, strict=True)
    ]


def _mpl_box(mark):
    x, y, width, height = mark["place"]
    return [_patches().Rectangle((x, y), width, height, **_mpl_paint(mark, mark["colour"]))]


def _mpl_text(mark):
    from matplotlib.text import Text

    align = {"start": "left", "middle": "center", "end": "right"}[mark["anchor"]]
    weight = "bold" if mark["bold"] else "normal"
    return [
        Text(mark["x"], mark["y"], mark["text"].replace("$", r"\$"), color=_ink(mark["colour"]),
             fontsize=0.72 * mark["size"], ha=align, va="baseline", weight=weight,
             rotation=-mark["angle"], rotation_mode="anchor", alpha=mark["opacity"])
    ]  # fmt: skip


_ARTISTS = {"line": _mpl_line, "dots": _mpl_dots, "box": _mpl_box, "text": _mpl_text}
