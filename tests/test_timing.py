"""The stopwatches of chapter 04; no test depends on how fast a machine is."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from alsnb import timing
from alsnb.timing import Laps, best_times, count_while, noted


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still but where a test moves it."""
    hands = [100.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: hands[0])
    return lambda seconds: hands.__setitem__(0, hands[0] + seconds)


def test_laps_add_up_by_name(clock):
    lap = Laps()
    for _ in range(3):
        for name, seconds in (("find", 0.5), ("solve", 2.0)):
            clock(seconds)
            lap(name)
    assert lap == {"find": 1.5, "solve": 6.0}


def test_the_best_of_several_times_taken_by_turns(clock):
    calls, durations = [], {"a": iter([3, 1, 2]), "b": iter([5, 7, 4])}

    def work(name):
        calls.append(name)
        clock(next(durations[name]))

    works = {"a": lambda: work("a"), "b": lambda: work("b")}
    assert best_times(works, repeats=3) == {"a": 1, "b": 4}
    assert calls == ["a", "b"] * 3


def test_who_called_and_when_is_noted(clock):
    notes = []

    def work(seconds):
        clock(seconds)
        return -seconds

    assert noted(work, notes)(2) == -2
    with ThreadPoolExecutor(1, thread_name_prefix="helper") as pool:
        pool.submit(noted(work, notes), 3).result()
    assert notes == [(threading.current_thread().name, 100, 102), ("helper_0", 102, 105)]
    with pytest.raises(TypeError):  # and what fails is not noted
        noted(work, notes)(None)
    assert len(notes) == 2


def test_counting_ends_with_the_job_and_passes_its_error_on():
    done = []
    assert count_while(lambda: done.append(threading.current_thread())) >= 0
    assert len(done) == 1 and done[0] is not threading.current_thread()
    with pytest.raises(ZeroDivisionError):
        count_while(lambda: 1 / 0)
