"""Processes that solve blocks of ratings and factors in shared memory."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.shared_memory import SharedMemory
from types import SimpleNamespace

import numpy as np
from threadpoolctl import threadpool_limits

from .blocks import Half, count_flops, deal_blocks, solve_blocks
from .columns import ITEMS, USERS

CSR_PARTS = ("indptr", "indices", "data")
TASKS_A_WORKER = 4  # few, for each costs a fraction of a millisecond; several, to even out the load


class SharedArrays:
    """Named arrays in one segment of shared memory.

    `layout` maps names to (shape, dtype); with the `name` of a segment, attach to it. Whoever made
    the segment removes it with `remove`.
    """

    def __init__(self, layout: dict, name: str | None = None):
        self.layout, self._offsets, size = layout, {}, 0
        for key, (shape, dtype) in layout.items():
            self._offsets[key] = size
            size += -(-int(np.prod(shape)) * np.dtype(dtype).itemsize // 64) * 64
        self._memory = SharedMemory(name, create=name is None, size=max(size, 1))
        self.name = self._memory.name

    def __getitem__(self, key: str) -> np.ndarray:
        """The array itself, not a copy, which is gone with the memory."""
        shape, dtype = self.layout[key]
        return np.ndarray(shape, dtype, self._memory.buf, self._offsets[key])

    def remove(self) -> None:
        """Free the memory. No array of it may be read or written afterwards."""
        self._memory.unlink()
        self._memory.close()


@contextmanager
def run_in_processes(halves: list[Half], n_workers: int):
    """Spawn workers; block numbers are all that travels to them. As in `alsnb.executors`.

    Raises RuntimeError if one of them dies. The processes and the memory are gone afterwards,
    however it ends.
    """
    n_workers = min(n_workers, max(len(half.blocks) for half in halves))
    n_tasks = TASKS_A_WORKER * n_workers
    tasks = [deal_blocks(count_flops(half.blocks, half.n_factors), n_tasks) for half in halves]
    shared = SharedArrays(_layout(halves))
    try:
        plans = [(half.penalties, half.blocks, half.n_factors, half.given) for half in halves]
        # the transpose first: once it is shared, it is kept only there
        for which in (ITEMS, USERS):
            for part in CSR_PARTS:
                shared[f"{part}{which}"][:] = getattr(halves[which].R, part)
            halves[which] = Half(_shared_ratings(shared, which), *plans[which])
        start = (shared.name, shared.layout, plans)
        with spawn_workers(n_workers, _attach, start) as pool:

            def run(which, Y, progress=None, **given):
                shared[f"factors{1 - which}"][:-1] = Y
                shared[f"factors{which}"][:] = 0  # as it stays for rows without ratings
                for name, array in given.items():
                    shared[f"{name}{which}"][: len(array)] = array
                futures = [pool.submit(_work, which, numbers) for numbers in tasks[which]]
                for future in as_completed(futures):
                    done = future.result()
                    if progress is not None:
                        progress(done)
                X = shared[f"factors{which}"][:-1].copy()
                return X, shared["squares"].copy() if which == ITEMS else None

            yield run
    finally:
        shared.remove()


@contextmanager
def spawn_workers(n_workers: int, initializer=None, initargs=()):
    """A pool of new processes that leave Ctrl-C to this one, and end with it.

    Each calls `initializer(*initargs)` first. Raises RuntimeError if one of them dies.
    """
    start = (initializer, initargs)
    try:
        with ProcessPoolExecutor(n_workers, get_context("spawn"), _start_worker, start) as pool:
            with _interrupts_held():  # which the workers inherit
                for _ in range(n_workers):  # the pool starts one for each call that finds none idle
                    pool.submit(os.getpid)
            try:
                yield pool
            except BaseException:  # nobody wants the rest, nor to wait for it
                for process in list((pool._processes or {}).values()):
                    process.kill()
                raise
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a worker process died, killed or out of memory, or because a script must call this "
            "under if __name__ == '__main__':; executor='threads' does without"
        ) from error


def _layout(halves):
    layout = {"squares": (len(halves[ITEMS].blocks), np.float64)}
    for which, half in enumerate(halves):
        for part in CSR_PARTS:
            array = getattr(half.R, part)
            layout[f"{part}{which}"] = array.shape, array.dtype
        # with the row of zeros that stands for padding; fresh shared memory is zero
        layout[f"factors{which}"] = (half.R.shape[0] + 1, half.n_factors), half.R.dtype
        shapes = {"offsets": (half.R.shape[1] + 1,), "gram": 2 * (half.n_factors,)}
        shapes["rhs"] = half.R.shape[0], half.n_factors
        layout |= {f"{name}{which}": (shapes[name], half.R.dtype) for name in half.given}
    return layout


def _shared_ratings(shared, which):
    return SimpleNamespace(**{part: shared[f"{part}{which}"] for part in CSR_PARTS})


@contextmanager
def _interrupts_held():
    """Hold back Ctrl-C, which a notebook sends to the whole process group, in this thread."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_worker = SimpleNamespace()  # in a worker: what it was started with


def _start_worker(initializer, initargs):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    threadpool_limits(limits=1, user_api="blas")
    if initializer is not None:
        initializer(*initargs)


def _attach(name, layout, plans):
    _worker.shared = shared = SharedArrays(layout, name)
    _worker.halves = []
    for which, plan in enumerate(plans):
        _worker.halves.append(Half(_shared_ratings(shared, which), *plan))


def _end_with_parent():
    parent_process().join()
    os._exit(1)


def _work(which, numbers):
    Y, X = (_worker.shared[f"factors{side}"] for side in (1 - which, which))
    half, squares = _worker.halves[which], _worker.shared["squares"] if which == ITEMS else None
    given = {name: _worker.shared[f"{name}{which}"] for name in half.given}
    solve_blocks(half, Y, numbers, X, squares, **given)
    return len(numbers)
