"""BLAS on one thread while we share out the work ourselves."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import threadpoolctl

_lock = threading.Lock()
_held: list = []  # one entry for each region that is running; the first holds the limit


@contextmanager
def one_blas_thread():
    """Hold BLAS to one thread inside; regions may overlap, in any number of threads.

    The setting belongs to the whole process, so the first region to begin sets it and the last one
    to end restores it. Also a decorator: ``@one_blas_thread()``.
    """
    with _lock:
        _held.append(
            None if _held else _unowned(threadpoolctl.threadpool_limits, limits=1, user_api="blas")
        )
    try:
        yield
    finally:
        with _lock:
            limits = _held.pop(0)
            if not _held:
                _unowned(limits.restore_original_limits)
            elif limits is not None:
                _held[0] = limits  # hand it on


def _unowned(call, **options):
    """Call, whichever thread this is: threadpoolctl lets only the first that set a limit do so."""
    free = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", lambda force: None)
    free(force=True)
    try:
        return call(**options)
    finally:
        free(force=True)
