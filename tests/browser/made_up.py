"""A notebook that is at fault in every way that the tests should see."""

from nbformat.v4 import new_code_cell, new_notebook
from refresh import METADATA

SOUND = '''from alsnb.widgets.base import Widget, slider
from alsnb.widgets.picture import Picture


class Bars(Widget):
    """As many bars as a slider says."""

    def __init__(self):
        self.n = slider("bars", 3, 0, 9, 1)
        super().__init__([self.n], [self.button("One more", "a bar more", self.add)])

    def add(self):
        self.n.value += 1

    @property
    def report(self):
        return f"{self.n.value} bars"

    def picture(self):
        picture = Picture(200, 40)
        for k in range(self.n.value):
            picture.box(20 * k, 5, 15, 30)
        return picture


Bars()'''
DEAF = SOUND.replace("{self.n.value} bars", "some bars").replace("range(self.n.value)", "range(3)")
DROPS_FOCUS = SOUND.replace(
    "self.n.value += 1", "self.n.value += 1; [*self.buttons.values()][0].disabled = True"
)
WIDE = SOUND.replace("super().__init__(", 'self.n.layout.min_width = "1500px"; super().__init__(')
FAILS = "import missing_module"
LEAVES = """from IPython.display import HTML

HTML("<img src='https://example.org/picture.png'>")"""
SOURCES = (SOUND, DEAF, DROPS_FOCUS, WIDE, LEAVES, FAILS)
NOTEBOOK = new_notebook(cells=[*map(new_code_cell, SOURCES)], metadata=METADATA)
