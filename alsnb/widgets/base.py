"""What all widgets share: controls in rows, one sentence, one picture."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from html import escape

try:
    import ipywidgets as ipw
except ImportError as error:
    raise ImportError("alsnb.widgets needs ipywidgets: pip install 'alsnb[widgets]'") from error

from .picture import Picture

_ROW = {"flex_flow": "row wrap", "align_items": "center"}  # fits a window of any width
_STYLE = {"description_width": "initial"}
_SLIDER = {"width": "22em", "margin": "2px 1em 2px 2px"}


def slider(label: str, value: float, low: float, high: float, step: float) -> ipw.Widget:
    """Return a slider over numbers; over integers if value and step are integers."""
    whole = isinstance(value, int) and isinstance(step, int)
    kind = ipw.IntSlider if whole else ipw.FloatSlider
    options = {} if whole else {"readout_format": f".{_decimals(step)}f"}
    return kind(value=value, min=low, max=high, step=step, description=label, style=_STYLE,
                layout=_SLIDER, **options)  # fmt: skip


def choice(label: str, options: Sequence, value) -> ipw.Widget:
    """Return a slider over a list: of values, or of (label, value) pairs."""
    pairs = [one if isinstance(one, tuple) else (_say(one), one) for one in options]
    words = max(len(name) for name, _ in pairs) > 6  # need more room than numbers
    layout = _SLIDER | ({"width": "28em"} if words else {})
    return ipw.SelectionSlider(options=pairs, value=value, description=label, style=_STYLE,
                               layout=layout)  # fmt: skip


def _say(value) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _decimals(step: float) -> int:
    text = f"{step:.6f}".rstrip("0")
    return len(text.partition(".")[2])


class Widget(ipw.VBox):
    """Rows of controls, a sentence that says what is so, and a picture that shows it.

    A subclass has a property `report`, the sentence, and a method `picture`, which returns a
    `Picture`; both only look at the state. A change of any control, and a press of any button,
    shows both again. Where there is no kernel, a page shows the picture as a PNG.

    Parameters
    ----------
    *rows : list of widgets
        Each is shown beside one another, and wraps where the window is narrow.

    Attributes
    ----------
    buttons : dict of str to Button
        Those made by `button`, by their names.
    """

    def __init__(self, *rows: Sequence[ipw.Widget]):
        self._said, self._drawn = ipw.HTML(), ipw.HTML()
        for control in (control for row in rows for control in row):
            if control.has_trait("value") and not isinstance(control, ipw.HTML):
                control.observe(self._changed, "value")
        boxes = [ipw.HBox(list(row), layout=_ROW) for row in rows]
        super().__init__([*boxes, self._said, self._drawn])
        self.refresh()

    @property
    def report(self) -> str:
        """What is so, in one plain sentence."""
        raise NotImplementedError

    def picture(self) -> Picture:
        """Return what is drawn."""
        raise NotImplementedError

    def button(self, name: str, tooltip: str, action: Callable[[], None], **options) -> ipw.Button:
        """Return a new button that acts, and then shows everything again."""

        def pressed(_):
            action()
            self.refresh()

        layout = {"width": "auto"} | options.pop("layout", {})
        button = ipw.Button(description=name, tooltip=tooltip, layout=layout, **options)
        button.on_click(pressed)
        if not hasattr(self, "buttons"):
            self.buttons: dict[str, ipw.Button] = {}
        self.buttons[name] = button
        return button

    def press(self, name: str) -> None:
        """Press a button by its name."""
        if name not in getattr(self, "buttons", {}):
            raise ValueError(f"there is no button {name!r}; there are {[*self.buttons]}")
        self.buttons[name].click()

    def refresh(self) -> None:
        """Show the sentence and the picture of the present state."""
        self._drawn.value = self.picture().svg(self._say())

    def _say(self) -> str:
        """Show the sentence, as a status that screen readers read out; return it."""
        report = self.report
        self._said.value = f'<div role="status" style="line-height:1.5">{escape(report)}</div>'
        return report

    def _changed(self, _) -> None:
        self.refresh()

    def _repr_mimebundle_(self, **options):
        """Give the live view and, for pages without a kernel, picture and sentence."""
        data = super()._repr_mimebundle_(**options)
        if not data:
            return data
        picture, report = self.picture(), self.report
        data["image/png"] = base64.b64encode(picture.png()).decode()
        data["text/plain"] = f"{type(self).__name__}: {report}"
        about = {"alt": report, "width": picture.width, "height": picture.height}
        return data, {"image/png": about}
