"""The queue of chapter 04: its schedules against brute force and bounds, and what it shows."""

import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from alsnb import make_low_rank_ratings
from alsnb.parallel import cut_rows
from alsnb.widgets import WorkQueue, work_queue
from alsnb.widgets.work_queue import ORDERS, amdahl, cut_equally, last_ends, schedule, spread

QUEUES = [order for order in ORDERS if order != "dealt beforehand"]


def pieces(seed, n=30):
    return np.random.default_rng(seed).exponential(size=n)


def last_end_by_ticks(costs, n_workers):
    """What a queue takes if whole seconds pass one by one: no heap, no sorting."""
    waiting, left, seconds = list(costs), [0] * n_workers, 0
    while waiting or any(left):
        left = [busy or (waiting.pop(0) if waiting else 0) for busy in left]
        left = [max(busy - 1, 0) for busy in left]
        seconds += 1
    return seconds


def best_of_all(costs, n_workers):
    """The earliest end that any assignment of pieces to workers has."""
    homes = itertools.product(range(n_workers), repeat=len(costs))
    return min(np.bincount(home, costs).max() for home in homes)


@pytest.mark.parametrize("n_workers", [1, 2, 3, 7])
def test_a_queue_is_what_happens_second_by_second(n_workers):
    for seed in range(10):
        costs = np.random.default_rng(seed).integers(1, 9, 20)
        sorted_costs = {
            "as they come": costs,
            "longest first": np.sort(costs)[::-1],
            "shortest first": np.sort(costs),
        }
        for order, queue in sorted_costs.items():
            plan = schedule(costs, n_workers, order)
            assert plan.end.max() == last_end_by_ticks(queue.tolist(), n_workers)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("n_workers", [1, 3, 8, 40])
def test_each_piece_is_done_once_by_a_worker_that_is_free(order, n_workers):
    costs = pieces(n_workers)
    plan = schedule(costs, n_workers, order)
    np.testing.assert_allclose(plan.end - plan.start, costs, rtol=1e-12)
    assert plan.worker.min() >= 0 and plan.worker.max() < n_workers
    for worker in range(n_workers):
        own = np.flatnonzero(plan.worker == worker)
        own = own[np.argsort(plan.start[own])]
        assert np.all(plan.start[own][1:] >= plan.end[own][:-1] - 1e-12)
    if n_workers == 1:
        assert plan.end.max() == pytest.approx(costs.sum())


def test_bounds():
    """No schedule beats the mean or the longest; Graham's bounds for queues hold."""
    for seed, n_workers in itertools.product(range(20), (2, 3)):
        costs = pieces(seed, 7)
        best = best_of_all(costs, n_workers)
        least = max(costs.sum() / n_workers, costs.max())
        assert best >= least - 1e-12
        for order in ORDERS:
            assert schedule(costs, n_workers, order).end.max() >= best - 1e-12
        for order in QUEUES:
            worst = (2 - 1 / n_workers) * best
            assert schedule(costs, n_workers, order).end.max() <= worst + 1e-12
        worst = (4 / 3 - 1 / (3 * n_workers)) * best
        assert schedule(costs, n_workers, "longest first").end.max() <= worst + 1e-12


def test_dealt_beforehand_are_equal_numbers_in_order():
    plan = schedule(np.ones(10), 4, "dealt beforehand")
    assert plan.worker.tolist() == sorted(plan.worker.tolist())
    assert set(np.bincount(plan.worker)) == {2, 3}
    unequal = schedule([1, 1, 1, 1, 4, 4, 4, 4], 2, "dealt beforehand")
    assert unequal.end.tolist() == [1, 2, 3, 4, 4, 8, 12, 16]


def test_equal_rows_cover_all_rows():
    for n_rows, n_ranges in ((10, 4), (1682, 16), (3, 8)):
        ranges = cut_equally(n_rows, n_ranges)
        assert [row for cut in ranges for row in range(*cut)] == [*range(n_rows)]
        sizes = [stop - start for start, stop in ranges]
        assert max(sizes) - min(sizes) <= 1


def test_amdahls_law():
    for serial, n in ((0, 4), (0.1, 16), (1, 5)):
        assert amdahl(serial, n) == pytest.approx(1 / (serial + (1 - serial) / n))
    assert amdahl(0.1, np.inf) == pytest.approx(10)


def test_labels_are_spread():
    moved = np.array(spread([100.0, 100.0, 99.0, 20.0], 15))
    assert moved.tolist() == [114, 129, 99, 20]


# The widget


@pytest.fixture(scope="module")
def R():
    """Few columns have most ratings, as movies do, and their transpose is what is solved."""
    dense = np.random.default_rng(0).random((200, 300)) < np.linspace(0.9, 0.02, 300) ** 2
    scores = np.random.default_rng(1).integers(1, 6, dense.shape)
    like = make_low_rank_ratings(5, 5, 2, rng=0)[0]
    return type(like)(np.where(dense, scores, 0).T)


@pytest.fixture
def queue(R):
    return WorkQueue(R, n_factors=30)


def cost_of(R, start, stop, f=30):
    """The count of operations, row by row."""
    total = 0.0
    for i in range(start, stop):
        n = int(R.indptr[i + 1] - R.indptr[i])
        small, large = sorted((n, f))
        total += small * small * large + small**3 / 3 + 8 * n * f + 1000
    return total


def numbers(report):
    found = re.search(
        r"speed-up ([\d.]+)\. Amdahl's law allows ([\d.]+), the longest range ([\d.]+)\. "
        r"Workers wait (\d+)%",
        report,
    )
    return [float(number) for number in found.groups()]


def set_all(queue, workers, order, ranges, cut, serial):
    controls = queue.workers, queue.order, queue.ranges, queue.cut, queue.serial
    for control, value in zip(controls, (workers, order, ranges, cut, serial), strict=True):
        control.value = value


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("cut", ["rows", "work"])
def test_report_is_the_schedule_of_the_packages_costs(queue, R, order, cut):
    set_all(queue, 5, order, 32, cut, 10)
    ranges = cut_equally(300, 32) if cut == "rows" else cut_rows(R.indptr, 30, 32)
    costs = np.array([cost_of(R, *rows) for rows in ranges])
    costs /= costs.sum()
    speed_up = 1 / (0.1 + 0.9 * schedule(costs, 5, order).end.max())
    wanted = [speed_up, 1 / (0.1 + 0.9 / 5), 1 / (0.1 + 0.9 * costs.max())]
    *found, waiting = numbers(queue.report)
    assert found == pytest.approx(wanted, abs=0.006)
    assert waiting == pytest.approx(100 * (1 - speed_up / 5), abs=0.6)
    assert queue.report.startswith(f"5 workers, 32 ranges of equal {cut}, {order}:")
    assert found[0] <= min(found[1:]) + 0.01
    assert queue.speed_up == pytest.approx(speed_up)


def test_amdahls_law_has_a_word_when_something_is_not_shared(queue):
    for serial in (0, 10):
        queue.serial.value = serial
        assert ("Amdahl" in queue.report) == ("Amdahl" in queue.picture().svg("")) == (serial > 0)
    queue.serial.value = 0
    assert f". The longest range allows {queue.limits[1]:.2f}. " in queue.report


def test_speed_ups_of_all_workers(queue):
    set_all(queue, 1, "shortest first", 64, "rows", 0)
    speeds, most = queue.limits
    assert speeds[0] == pytest.approx(1) and speeds.max() <= most + 1e-12
    for n in (2, 11, 32):
        assert speeds[n - 1] == pytest.approx(
            1 / schedule(queue.costs, n, "shortest first").end.max()
        )
    np.testing.assert_allclose(last_ends(queue.costs, "shortest first"), 1 / speeds)


def boxes(svg):
    return [
        [float(box.get(name)) for name in ("x", "y", "width", "height")]
        for box in ElementTree.fromstring(svg).iter()
        if box.tag.endswith("rect")
    ]


def test_the_chart_shows_the_schedule(queue):
    set_all(queue, 6, "as they come", 16, "rows", 20)
    plan = schedule(queue.costs, 6, "as they come")
    svg = queue.picture().svg(queue.report)
    assert ElementTree.fromstring(svg).get("aria-label") == queue.report
    serial, *bars = boxes(svg)
    scale = serial[2] / 0.2  # px for the time of one worker
    drawn = sorted((round(y), (x - serial[0]) / scale, width / scale) for x, y, width, _ in bars)
    rows = sorted({y for y, *_ in drawn})
    assert len(rows) == 6 and len(bars) == 16
    found = [(rows.index(y), start, width) for y, start, width in drawn]
    wanted = sorted(
        (int(worker), 0.2 + 0.8 * start, 0.8 * (end - start))
        for worker, start, end in zip(*plan, strict=True)
    )
    np.testing.assert_allclose(found, wanted, atol=0.002)


def test_the_dot_is_at_the_present_number_of_workers(queue):
    places = []
    for n in (1, 16, 32):
        queue.workers.value = n
        circle = next(
            e
            for e in ElementTree.fromstring(queue.picture().svg("")).iter()
            if e.tag.endswith("circle")
        )
        places.append(float(circle.get("cx")))
    assert (places[1] - places[0]) / (places[2] - places[0]) == pytest.approx(15 / 31, abs=0.002)


def test_every_control_redraws(queue):
    for control, value in (
        (queue.workers, 7), (queue.order, "longest first"), (queue.ranges, 128),
        (queue.cut, "work"), (queue.serial, 30),
    ):  # fmt: skip
        before = queue.report, queue._drawn.value
        control.value = value
        assert queue.report != before[0] and queue._drawn.value != before[1]
        assert queue.report.replace("'", "&#x27;") in queue._drawn.value


def test_extremes_are_drawn(queue):
    for workers, order, ranges, cut, serial in itertools.product(
        (1, 32), ORDERS, (4, 256), ("rows", "work"), (0, 50)
    ):
        set_all(queue, workers, order, ranges, cut, serial)
        assert len(boxes(queue.picture().svg("x"))) == 1 + len(queue.costs)
    assert queue.workers.max == work_queue.MOST_WORKERS


def test_a_page_without_a_kernel_has_picture_and_sentence(queue):
    data, about = queue._repr_mimebundle_()
    assert data["text/plain"] == f"WorkQueue: {queue.report}"
    assert len(data["image/png"]) > 1000 and about["image/png"]["alt"] == queue.report
