"""BLAS on one thread while we share out the work ourselves."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import threadpoolctl

_lock = threading.Lock()
_before: list = []  # (library, its number of threads), while it is one
_running: set = set()  # regions


@contextmanager
def one_blas_thread():
    """Hold BLAS to one thread inside; regions may overlap, in any number of threads.

    The setting belongs to the whole process, so the first region to begin sets it and the last one
    to end restores it; what an interrupt keeps from being restored, the next one restores. Also a
    decorator: ``@one_blas_thread()``.
    """
    region = object()
    try:
        with _lock:
            if not _running:
                if not _before:
                    blas = threadpoolctl.ThreadpoolController().select(user_api="blas")
                    _before[:] = [(lib, lib.num_threads) for lib in blas.lib_controllers]
                _set((lib, 1) for lib, _ in _before)
            _running.add(region)
        yield
    finally:
        _running.discard(region)
        with _lock:
            if not _running:
                _set(_before)
                _before.clear()


def _set(numbers):
    """Set them, whichever thread this is: threadpoolctl lets only the first that did so do it."""
    free = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", lambda force: None)
    free(force=True)
    try:
        for library, number in numbers:
            library.set_num_threads(number)
    finally:
        free(force=True)
