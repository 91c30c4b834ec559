"""A notebook in JupyterLab, as a person uses it: by menu, mouse and keyboard."""

import re
import time

IDLE = "Python 3 (ipykernel) | Idle"
PANEL = "window.jupyterapp.shell.currentWidget"
# What JupyterLab itself says on its console whatever is opened
EXPECTED = re.compile(r"favicon|Failed to load resource: the server responded with a status of 404")
VIEW = "application/vnd.jupyter.widget-view+json"
SHOWN = """cell => [
    ...[...cell.querySelectorAll('.widget-html-content')].map(one => one.innerHTML),
    ...[...cell.querySelectorAll('.jupyter-button')].map(
        one => one.textContent + one.className.replace(/mod-active|mod-hover/g, '')),
].join('\\n')"""
BUTTONS = ".jupyter-button"


class Notebook:
    """One notebook on a page of its own."""

    def __init__(self, browser, address, width=1366, height=768):
        self.faults = []
        self.context = browser.new_context(viewport={"width": width, "height": height})
        self.context.route("**/*", self._watch)
        self.page = self.context.new_page()
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.faults.append(f"page error: {error}"))
        self.page.set_default_timeout(30_000)
        self.page.goto(address)
        # Commands are dropped until the kernel is connected
        self.page.wait_for_function(
            "text => document.querySelector('#jp-main-statusbar')?.innerText.includes(text)",
            arg=IDLE,
            timeout=60_000,
        )

    def _watch(self, route):
        if route.request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            route.continue_()
        else:
            self.faults.append(f"a request leaves the machine: {route.request.url}")
            route.abort()

    def _listen(self, message):
        if message.type == "error" and not EXPECTED.search(message.text):
            self.faults.append(f"console: {message.text[:300]}")

    def run_all(self, seconds=120):
        """Run all cells by the menu; wait until the last has run, or one has failed."""
        from playwright.sync_api import TimeoutError  # without which all this is skipped

        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        waiting = f"""() => {{
            const cells = [...{PANEL}.content.model.cells].filter(cell => cell.type == 'code');
            const left = cells.flatMap((cell, k) => cell.executionCount === null ? [k + 1] : []);
            return [left, {PANEL}.sessionContext.session.kernel.status];
        }}"""
        try:
            self.page.wait_for_function(
                f"() => {{ const [left, kernel] = ({waiting})();"
                " return !left.length && kernel == 'idle'; }",
                timeout=1000 * seconds,
            )
        except TimeoutError as error:
            left, kernel = self.page.evaluate(waiting)
            what = f"code cells {left} have not run, and the kernel is {kernel}"
            raise AssertionError(f"after {seconds} s {what}; {self.faults}") from error

    def outputs(self):
        """Return for each code cell its tags, its outputs as nbformat has them, and its place."""
        return self.page.evaluate(
            f"""() => [...{PANEL}.content.model.cells].map((cell, place) => ({{
                place, tags: cell.getMetadata('tags') || [], type: cell.type,
                outputs: cell.type == 'code' ? cell.outputs.toJSON() : [],
            }})).filter(cell => cell.type == 'code')"""
        )

    def unexpected_errors(self):
        """Return the errors of cells that are not meant to fail."""
        return [
            f"cell {cell['place']}: {output.get('ename')}: {output.get('evalue')}"
            for cell in self.outputs()
            for output in cell["outputs"]
            if output["output_type"] == "error" and "raises-exception" not in cell["tags"]
        ]

    def widgets(self):
        """Return the places of the cells that show a widget."""
        return [
            cell["place"]
            for cell in self.outputs()
            if any(VIEW in output.get("data", {}) for output in cell["outputs"])
        ]

    def cell(self, place):
        """Scroll to a cell and return its element."""
        self.page.evaluate(f"place => {PANEL}.content.scrollToItem(place, 'start')", place)
        self.page.wait_for_function(
            f"place => {PANEL}.content.widgets[place].node.querySelector('.widget-html-content')",
            arg=place,
        )
        node = self.page.evaluate_handle(f"place => {PANEL}.content.widgets[place].node", place)
        return node.as_element()

    def fill(self, cell, text):
        """Type into the search box of a widget."""
        box = cell.query_selector("input[type=text]")
        box.evaluate("one => one.focus()")
        box.fill(text)

    def row(self, cell, text):
        """Wait for a row to rate, outside the recommendations; return its buttons."""
        find = """([cell, text]) => [...cell.querySelectorAll('.widget-hbox')].find(
            row => row.offsetParent && row.firstElementChild.innerText?.startsWith(text)
                && row.querySelector('.jupyter-button') && !row.innerText.includes('Not for me'))"""
        self.page.wait_for_function(find, arg=[cell, text])
        row = self.page.evaluate_handle(find, [cell, text]).as_element()
        return row.query_selector_all(BUTTONS)

    def says(self, cell, text):
        """Wait until a widget says something."""
        self.page.wait_for_function(
            "([cell, text]) => cell.innerText.includes(text)", arg=[cell, text]
        )

    def press(self, element, *keys):
        """Give an element the focus and press keys."""
        element.evaluate("one => one.focus()")
        for key in keys:
            self.page.keyboard.press(key)
        self.page.wait_for_timeout(20)

    def has_focus(self, element):
        """Return whether an element has the focus, once all that the kernel sent is shown."""
        self.page.wait_for_function(f"() => {PANEL}.sessionContext.session.kernel.status == 'idle'")
        self.page.wait_for_timeout(50)
        return element.evaluate("one => document.activeElement === one")

    def changes(self, cell, before, seconds=5):
        """Wait until a widget shows something else than before; return whether it did."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if cell.evaluate(SHOWN) != before:
                return True
            self.page.wait_for_timeout(20)
        return False

    def moves(self, cell, handle, seconds=5):
        """Move a slider, back if it is at its end; return whether the widget shows it."""
        before = cell.evaluate(SHOWN)
        self.press(handle, "ArrowRight")
        if self.changes(cell, before, seconds / 2):
            return True
        self.press(handle, "ArrowLeft")
        return self.changes(cell, before, seconds / 2)

    def widget_faults(self, place):
        """Move every control of a widget by keyboard; yield what is deaf or loses the focus."""
        cell, name = self.cell(place), f"widget in cell {place}"
        sliders = cell.query_selector_all(".noUi-handle")
        deaf, answered = [], 0
        for number, handle in enumerate(sliders):
            if not self.moves(cell, handle, 3):
                deaf.append(number)
            if not self.has_focus(handle):
                yield f"{name}: slider {number} loses the focus"
        for number in range(min(12, len(cell.query_selector_all(BUTTONS)))):
            button = cell.query_selector_all(BUTTONS)[number]
            if not button.is_visible():
                continue
            before, label = cell.evaluate(SHOWN), button.text_content()
            self.press(button, "Enter")
            answered += self.changes(cell, before, 1)
            if not self.has_focus(button):
                yield f"{name}: button {label!r} loses the focus"
        for number in deaf:  # some matter only once a button has been pressed
            if not self.moves(cell, sliders[number]):
                yield f"{name}: nothing changes with slider {number}"
        if cell.query_selector(BUTTONS) and not answered:
            yield f"{name}: no button changes anything"
        if not sliders and not answered:
            yield f"{name}: there is nothing to move"
        if (wide := cell.evaluate(WIDTHS))[0] > wide[1] + 1:
            yield f"{name}: {wide[0]} px wide, where there are {wide[1]}"

    def close(self):
        """Shut the kernel down and close the page."""
        self.page.evaluate(f"() => {PANEL}?.sessionContext?.shutdown()")
        self.context.close()


WIDTHS = """cell => {
    const over = one => one.scrollWidth - one.clientWidth;
    const kinds = '.jp-OutputArea-output, .widget-box, .widget-html-content';
    const boxes = [...cell.querySelectorAll(kinds)];
    const wide = boxes.reduce((a, b) => over(a) > over(b) ? a : b);
    return [wide.scrollWidth, wide.clientWidth];
}"""
