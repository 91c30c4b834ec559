"""Chapter 04: ranges of rows wait in a queue for workers, and something limits the speed-up.

No clock is read: a range takes as long as the package's count of operations says.
"""

from __future__ import annotations

import heapq
from collections import namedtuple
from itertools import pairwise

import numpy as np

from ..parallel import cut_rows, row_costs
from ..plotting import ORANGE, PURPLE
from ..ratings import check_ratings
from .base import Widget, choice, slider
from .picture import INK, Picture

ORDERS = ("dealt beforehand", "as they come", "longest first", "shortest first")
MOST_WORKERS = 32
Schedule = namedtuple("Schedule", "worker start end")  # three arrays, an entry for each range


def cut_equally(n_rows: int, n_ranges: int) -> list[tuple[int, int]]:
    """Cut rows into ranges (start, stop) of equal numbers of rows.

    Examples
    --------
    >>> cut_equally(10, 4)
    [(0, 2), (2, 5), (5, 8), (8, 10)]
    """
    edges = np.linspace(0, n_rows, n_ranges + 1).round().astype(int).tolist()
    return [(start, stop) for start, stop in pairwise(edges) if stop > start]


def schedule(costs, n_workers: int, order: str = "as they come") -> Schedule:
    """Say which worker does which piece of work, and when.

    A worker that is free takes the next piece from one queue. "Dealt beforehand", there is no
    queue: the first worker has the first pieces, the second the next, as many each.

    Parameters
    ----------
    costs : array, shape (n_pieces,)
        How long each piece takes.
    n_workers : int
    order : {"dealt beforehand", "as they come", "longest first", "shortest first"}

    Returns
    -------
    Schedule
        Arrays `worker`, `start`, `end`, with an entry for each piece.

    Examples
    --------
    >>> schedule([1, 1, 1, 3], n_workers=2).end
    array([1., 1., 2., 4.])
    >>> schedule([1, 1, 1, 3], n_workers=2, order="longest first").end
    array([1., 2., 3., 3.])
    """
    costs = np.asarray(costs, float)
    n_pieces = len(costs)
    worker, start = np.zeros(n_pieces, int), np.zeros(n_pieces)
    if order == "dealt beforehand":
        worker[:] = np.arange(n_pieces) * n_workers // max(n_pieces, 1)
        for own in (worker == k for k in range(n_workers)):
            start[own] = np.cumsum(costs[own]) - costs[own]
        return Schedule(worker, start, start + costs)
    places = {
        "as they come": np.arange(n_pieces),
        "longest first": np.argsort(-costs, kind="stable"),
        "shortest first": np.argsort(costs, kind="stable"),
    }
    free = [(0.0, k) for k in range(n_workers)]  # when each worker is free, soonest first
    for k in places[order].tolist():
        start[k], worker[k] = free[0]
        heapq.heapreplace(free, (start[k] + costs[k], int(worker[k])))
    return Schedule(worker, start, start + costs)


def last_ends(costs, order: str, most_workers: int = MOST_WORKERS) -> np.ndarray:
    """When the last of 1, 2, … workers is done.

    Examples
    --------
    >>> last_ends([1, 1, 1, 3], "longest first", most_workers=3)
    array([6., 3., 3.])
    """
    workers = range(1, most_workers + 1)
    return np.array([schedule(costs, n, order).end.max() for n in workers])


def amdahl(serial: float, n_workers):
    """Amdahl's law: speed-up of workers that share all but the share `serial` of the work evenly.

    Examples
    --------
    >>> amdahl(0.25, 2)
    1.6
    """
    return 1 / (serial + (1 - serial) / n_workers)


def draw_queue(plan: Schedule, n_workers: int, serial: float, speeds, most: float) -> Picture:
    """Draw the Gantt chart of a plan, and beside it the speed-up against the number of workers.

    Parameters
    ----------
    plan : Schedule
        In shares of the time that one worker would take for what can be shared out.
    n_workers : int
        Those of the plan.
    serial : float
        Share of all work that is done first, by one worker.
    speeds : array, shape (n,)
        Speed-up of 1 to n workers.
    most : float
        What the longest range allows.
    """
    picture = Picture(900, 350)
    end = serial + (1 - serial) * plan.end.max()
    step = next(step for step in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2) if end / step <= 6)
    chart = picture.axes(
        30, 34, 430, 260, (0, end), (n_workers - 0.5, -0.5), ylabel="workers",
        title=f"{n_workers} worker{'s' * (n_workers > 1)}: done after {end:.1%} of the time of one",
        xticks={share: f"{100 * share:.3g}%" for share in np.arange(0, 1.001 * end, step)},
        xlabel="time, in shares of what one worker takes",
    )  # fmt: skip
    height = min(0.86, 24 * n_workers / 260)  # rows of at most 24 px
    chart.box(0, -height / 2, serial, height, INK, opacity=0.45, title="not shared")
    nth = np.zeros(n_workers, int)  # every other range of a worker is paler
    for k in np.argsort(plan.start, kind="stable").tolist():
        worker = plan.worker[k]
        left, width = serial + (1 - serial) * plan.start[k], plan.end[k] - plan.start[k]
        nth[worker] += 1
        chart.box(
            left, worker - height / 2, (1 - serial) * width, height, ORANGE,
            opacity=0.95 if nth[worker] % 2 else 0.6, title=f"range {k + 1}",
        )  # fmt: skip
    chart.line([[end, n_workers - 0.5], [end, -0.5]], dash=True)

    workers = np.arange(1, len(speeds) + 1)
    limit = amdahl(serial, workers)
    top = 1.08 * limit[-1]
    step = next(step for step in (0.25, 0.5, 1, 2, 4, 8) if top / step <= 9)
    plot = picture.axes(
        530, 34, 250, 260, (0, len(speeds) + 0.8), (0, top), xlabel="workers", ylabel="speed-up",
        title=f"Speed-up of {n_workers}: {speeds[n_workers - 1]:.2f}",
        xticks=[1, *range(8, len(speeds) + 1, 8)], yticks=np.arange(0, top, step),
    )  # fmt: skip
    plot.line(np.column_stack([workers, limit]), INK, 1.5, opacity=0.6)
    labels = [(limit[-1], "Amdahl's law" if serial else "if nobody waits", INK)]
    plot.line(np.column_stack([workers, speeds]), ORANGE, 4)
    if most < top:  # on the workers' line, which it often meets
        plot.line([[0, most], [workers[-1], most]], PURPLE, dash=True)
        labels.append((most, "longest range", PURPLE))
    plot.dots([[n_workers, speeds[n_workers - 1]]], ORANGE, 6)
    labels.append((speeds[-1], "these workers", ORANGE))
    places = spread([float(plot.y(value)) for value, *_ in labels], 16)
    for y, (_, text, colour) in zip(places, labels, strict=True):
        picture.line([[780, y], [796, y]], colour, 3)
        picture.text(802, y + 4, text, size=12, anchor="start")
    return picture


def spread(places, gap: float) -> list[float]:
    """Move places apart until neighbours have a gap, as little as that takes from the first on.

    Examples
    --------
    >>> spread([10.0, 12.0, 50.0], 8)
    [10.0, 18.0, 50.0]
    """
    order = np.argsort(places, kind="stable")
    moved = np.array(places, float)
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + gap)
    return moved.tolist()


class WorkQueue(Widget):
    """One half-step as a queue of ranges: its Gantt chart, and its speed-up beside Amdahl's law.

    Parameters
    ----------
    R : scipy.sparse array or matrix, shape (n_rows, n_columns)
        Whose rows are solved: the transpose of the ratings for the movies' half-step.
    n_factors : int

    Examples
    --------
    >>> from alsnb import make_low_rank_ratings
    >>> queue = WorkQueue(make_low_rank_ratings(rng=0)[0], n_factors=10)
    >>> queue.workers.value = 2
    >>> queue.report[:53]
    '2 workers, 16 ranges of equal rows, as they come: spe'
    """

    def __init__(self, R, n_factors: int = 100):
        R = check_ratings(R)
        self._indptr, self._n_factors = R.indptr, n_factors
        self._work = np.cumsum(row_costs(np.diff(R.indptr), n_factors))
        self._known = {}  # when the last worker is done, by setting
        self.workers = slider("workers", 4, 1, MOST_WORKERS, 1)
        self.order = choice("order", ORDERS, "as they come")
        self.ranges = choice("ranges", [4, 8, 16, 32, 64, 128, 256], 16)
        self.cut = choice("cut into", [("equal rows", "rows"), ("equal work", "work")], "rows")
        self.serial = slider("not shared, in %", 0, 0, 50, 1)
        super().__init__([self.workers, self.order], [self.ranges, self.cut], [self.serial])

    @property
    def costs(self) -> np.ndarray:
        """Share of each range in the work of all."""
        n_rows, n_ranges = len(self._work), self.ranges.value
        ranges = (
            cut_equally(n_rows, n_ranges)
            if self.cut.value == "rows"
            else cut_rows(self._indptr, self._n_factors, n_ranges)
        )
        done = np.append(0, self._work)[[0, *(stop for _, stop in ranges)]]
        return np.diff(done) / done[-1]

    @property
    def limits(self) -> tuple[np.ndarray, float]:
        """Speed-up of 1, 2, … workers, and what the longest range allows."""
        setting = self.ranges.value, self.cut.value, self.order.value
        if setting not in self._known:
            costs = self.costs
            self._known[setting] = last_ends(costs, self.order.value), costs.max()
        last, longest = self._known[setting]
        serial = self.serial.value / 100
        return 1 / (serial + (1 - serial) * last), 1 / (serial + (1 - serial) * longest)

    @property
    def speed_up(self) -> float:
        """How many times as fast as one worker these are."""
        return float(self.limits[0][self.workers.value - 1])

    @property
    def report(self) -> str:
        """How fast these workers are, what would be possible, and how long they wait."""
        n, serial, most = self.workers.value, self.serial.value / 100, self.limits[1]
        law = f"Amdahl's law allows {amdahl(serial, n):.2f}, the" if serial else "The"
        return (
            f"{n} worker{'s' * (n > 1)}, {self.ranges.value} ranges of equal {self.cut.value}, "
            f"{self.order.value}: speed-up {self.speed_up:.2f}. "
            f"{law} longest range {'' if serial else 'allows '}{most:.2f}. "
            f"Workers wait {1 - self.speed_up / n:.0%} of the time."
        )

    def picture(self) -> Picture:
        """Draw the Gantt chart, and the speed-up beside it."""
        n, (speeds, most) = self.workers.value, self.limits
        plan = schedule(self.costs, n, self.order.value)
        return draw_queue(plan, n, self.serial.value / 100, speeds, most)
