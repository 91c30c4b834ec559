"""Stopwatches for chapter 04, and what all threads of the package need."""

from __future__ import annotations

import _thread
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue

from threadpoolctl import get_cached_controller
from tqdm import tqdm

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


class Progress(tqdm):
    """A progress bar without a thread of its own, and with a lock that Ctrl-C cannot break."""

    monitor_interval = 0
    _lock = threading.RLock()


@contextmanager
def apart(serve: Callable):
    """Call ``serve(orders, answers)`` in a thread beside the block, which gets these two queues.

    Ctrl-C only reaches the main thread, whatever it is at; amid `Future.result` or `Thread.start`
    it may leave a lock of Python's own locked, for which others then wait for ever. These queues
    are written in C, and cannot break. So whatever needs more than them, or must be cleaned up, is
    done apart. The last answer of all is None; or, before it, the error of `serve`. The last order
    is None, too.
    """
    orders, answers, started = SimpleQueue(), SimpleQueue(), False

    def run():
        try:
            serve(orders, answers)
        except BaseException as error:
            answers.put(error)
        answers.put(None)

    thread = threading.Thread(target=run, name="alsnb", daemon=True)
    try:
        started = _thread.start_new_thread(thread.start, ())
        yield orders, answers
    finally:
        orders.put(None)
        if started:
            while answers.get() is not None:
                pass
            thread.join()


@contextmanager
def open_threads(n_workers: int):
    """Yield a function that maps a call over arguments, on threads, as `map` does: a list.

    The threads take arguments from one queue; an error, or Ctrl-C, empties it, and comes out.
    """

    def serve(orders, answers):
        with ThreadPoolExecutor(n_workers, thread_name_prefix="alsnb") as pool:
            while order := orders.get():
                try:
                    answers.put(share_out(pool, *order))
                except BaseException as error:
                    answers.put(error)

    def share_out(pool, call, waiting):
        results = [None] * len(waiting)

        def work(_):
            while waiting:
                try:
                    k, argument = waiting.popleft()
                except IndexError:  # another thread was faster
                    return
                try:
                    results[k] = call(argument)
                except BaseException:
                    waiting.clear()
                    raise

        list(pool.map(work, range(min(n_workers, len(waiting)))))
        return results

    def map_on_threads(call, arguments):
        waiting = deque(enumerate(arguments))
        try:
            orders.put((call, waiting))
            answer = answers.get()
        finally:
            waiting.clear()
        if isinstance(answer, BaseException):
            try:
                raise answer
            finally:
                del answer  # which knows this frame, and that its arrays
        return answer

    with apart(serve) as (orders, answers):
        yield map_on_threads


def check_workers(n_workers) -> int:
    """How many workers, by default as many as there are cores; or raise TypeError or ValueError."""
    return count_cores() if n_workers is None else check_count("n_workers", n_workers, high=1_000)
