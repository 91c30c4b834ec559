"""Stopwatches for chapter 04, the number of cores, and BLAS on one of them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from threadpoolctl import get_cached_controller

from .ratings import check_count

_lock, _inside = threading.Lock(), {}  # who is in `one_blas_thread`, and how it was before


class Laps(dict):
    """A stopwatch with laps: ``lap("solve")`` adds the time since the last call to that name.

    Attributes
    ----------
    keys, values : str, float
        Names of laps, and the seconds that they took in all.

    Examples
    --------
    >>> lap = Laps()
    >>> for _ in range(3):
    ...     lap("read")
    ...     lap("write")
    >>> list(lap)
    ['read', 'write']
    """

    def __init__(self):
        super().__init__()
        self._last = time.perf_counter()

    def __call__(self, name: str) -> None:
        """Add the seconds since the last call to a name."""
        now = time.perf_counter()
        self[name] = self.get(name, 0.0) + now - self._last
        self._last = now


def best_times(works: dict[str, Callable], repeats: int = 5) -> dict[str, float]:
    """Seconds that each of some works takes: the best of several times, taken by turns.

    What else the machine does makes a work slower, never faster; so the least time says most. By
    turns, for then a busy minute meets all of them.

    Parameters
    ----------
    works : dict of str to callable
        Called without arguments.
    repeats : int
        How often each is called.

    Returns
    -------
    dict of str to float

    Examples
    --------
    >>> seconds = best_times({"a few": lambda: sum(range(10)), "many": lambda: sum(range(10**5))})
    >>> seconds["a few"] < seconds["many"]
    True
    """
    taken = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            taken[name].append(time.perf_counter() - start)
    return {name: min(seconds) for name, seconds in taken.items()}


def count_while(job: Callable) -> int:
    """Count, in Python, as far as possible while another thread does a job.

    Parameters
    ----------
    job : callable
        Called once, without arguments.

    Returns
    -------
    int
        Small if the job keeps Python's lock (GIL), for counting needs it.

    Examples
    --------
    >>> count_while(lambda: time.sleep(0.2)) > 0
    True
    """
    count = 0
    with ThreadPoolExecutor(1) as pool:
        task = pool.submit(job)
        while not task.done():
            count += 1
    task.result()  # raises the error of the job, if there was one
    return count


def noted(function: Callable, notes: list) -> Callable:
    """The same function, which notes of each call who made it, and when: for `plot_gantt`.

    Parameters
    ----------
    function : callable
    notes : list
        Gets a tuple for each call: name of the thread, start and end in seconds.

    Returns
    -------
    callable

    Examples
    --------
    >>> notes = []
    >>> noted(max, notes)(1, 2)
    2
    >>> len(notes)
    1
    """

    def function_and_note(*arguments):
        start = time.perf_counter()
        result = function(*arguments)
        notes.append((threading.current_thread().name, start, time.perf_counter()))
        return result

    return function_and_note


def count_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_blas_thread():
    """Hold BLAS to one thread; once nobody is in here any more, it has as many as before.

    BLAS may have threads of its own, from which single rows and small products gain nothing. All
    threads of Python share one BLAS: so whoever leaves early tells the next one how it was before.
    """
    me = object()
    try:
        with _lock:
            blas = get_cached_controller().select(user_api="blas")
            _inside[me] = blas.limit(limits=None)  # a note of what is so, and no limit
            blas.limit(limits=1)
        yield
    except RuntimeError as error:  # "release unlocked lock": Ctrl-C, amid a wait for threads
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise
    finally:
        try:
            _leave(me)
        except KeyboardInterrupt:
            _leave(me)
            raise


def _leave(me):
    with _lock:
        inside = [*_inside]
        if me not in inside:
            return
        before, later = _inside[me], inside[inside.index(me) + 1 :]
        if later:
            _inside[later[0]] = before
        else:
            for library in get_cached_controller().lib_controllers:
                if hasattr(library, "clear_controlling_thread"):  # or only who came first may
                    library.clear_controlling_thread(force=True)
            with before:  # on leaving, all is as it was noted
                pass
        del _inside[me]


def check_workers(n_workers) -> int:
    """How many workers, by default as many as there are cores; or raise TypeError or ValueError."""
    return count_cores() if n_workers is None else check_count("n_workers", n_workers, high=1_000)
