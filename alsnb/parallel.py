"""Where rows are solved: in this thread, on threads, on processes, or on a Dask cluster.

Rows are independent. A half-step is cut into ranges of rows of equal cost, and each range is solved
by `solve_rows`, wherever that runs: the bits are the same.
"""

from __future__ import annotations

import builtins
import json
import queue
import secrets
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import fields
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from .ridge import Equation, solve_rows
from .timing import apart, check_workers, one_blas_thread, open_threads

EXECUTORS = ("threads", "serial", "processes", "readable")


def row_costs(n_ratings, n_factors: int) -> np.ndarray:
    """Operations that rows cost: additions and multiplications, and 1,000 for each row's overhead.

    With n ratings and f factors the product takes n f², half of what it would without symmetry,
    Cholesky's method f³/3, gathering 8 n f. With fewer ratings than factors the smaller system is
    solved: n and f change places.

    Parameters
    ----------
    n_ratings : array of int, shape (n_rows,)
        How many ratings each row has.
    n_factors : int

    Returns
    -------
    ndarray of float64, shape (n_rows,)

    Examples
    --------
    >>> row_costs([10, 1000], n_factors=10)
    array([  3133.33333333, 181333.33333333])
    """
    n, f = np.asarray(n_ratings, float), n_factors
    small, large = np.minimum(n, f), np.maximum(n, f)
    return small**2 * large + small**3 / 3 + 8 * n * f + 1000


def cut_rows(indptr, n_factors: int, n_ranges: int, costs=row_costs) -> list[tuple[int, int]]:
    """Cut the rows of a CSR matrix into ranges (start, stop) of about equal `row_costs`."""
    cost = np.cumsum(costs(np.diff(indptr), n_factors))
    marks = np.linspace(0, cost[-1] if len(cost) else 0, n_ranges + 1)[1:-1]
    edges = [0, *np.searchsorted(cost, marks).tolist(), len(cost)]
    return [(start, stop) for start, stop in pairwise(edges) if stop > start]


def cut_equation(equation: Equation, n_ranges: int) -> list[tuple[int, int]]:
    """Cut the rows of an equation into ranges of about equal cost."""

    def costs(n, f):
        if equation.x0 is not None:  # a product with Y_i and with G, there and back, for each step
            return (equation.n_steps + 1) * (4 * n * f + 2 * f**2) + 8 * n * f + 1000
        if equation.gram is not None:  # which leaves no smaller system
            return n * f**2 + f**3 / 3 + 8 * n * f + 1000
        return row_costs(n, f)

    return cut_rows(equation.indptr, equation.Y.shape[1], n_ranges, costs)


@contextmanager
def open_executor(executor="threads", n_workers: int | None = None):
    """Yield a function that solves an `Equation`: all rows and, if asked for, squared residuals.

    `executor` is one of `EXECUTORS`, or a Dask client. Its workers end with the block.
    """
    n_workers = check_workers(n_workers)
    if not isinstance(executor, str):
        workers = on_cluster(executor)
    elif executor in ("threads", "processes"):
        workers = (on_threads if executor == "threads" else on_processes)(n_workers)
    else:
        workers = nullcontext(partial(_solve_here, compiled=executor != "readable"))
    with one_blas_thread(), workers as solve:
        yield solve


def _solve_here(equation, residuals=False, *, compiled=True):
    X, squares = _blank(equation, residuals)
    # Ctrl-C waits for the end of a range, so none is long
    for rows in cut_equation(equation, 1 + len(equation.indices) // 10**6):
        solve_rows(equation, *rows, X, squares, compiled=compiled)
    return X, squares


def _blank(equation, residuals):
    """Arrays for solutions and, if wanted, for the sums of squared residuals."""
    X = np.zeros((len(equation), equation.Y.shape[1]), equation.Y.dtype)
    return X, np.zeros(len(equation)) if residuals else None


@contextmanager
def on_threads(n_workers: int):
    """Threads take ranges of rows from one queue; the compiled loop holds no lock of Python's."""

    def solve(equation, residuals=False):
        X, squares = _blank(equation, residuals)
        ranges = cut_equation(equation, 16 * n_workers)
        map_on_threads(lambda rows: solve_rows(equation, *rows, X, squares), ranges)
        return X, squares

    with open_threads(n_workers) as map_on_threads:
        yield solve


@contextmanager
def on_processes(n_workers: int):
    """Each thread has ranges of rows solved by a process; arrays are files that all map to memory.

    The processes are new ones, with nothing of the caller's script. They leave Ctrl-C to the
    caller, and end with it: they read what to do from a pipe, which closes however the caller ends.
    A thread apart starts them, and clears up after them.
    """
    memory = Path("/dev/shm")  # no disk is touched where there is one with room
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 2**31
    folder = Path(memory if roomy else tempfile.gettempdir(), f"alsnb-{secrets.token_hex(8)}")
    idle, files = queue.SimpleQueue(), {}

    def store(name, array, n_rows):
        """What stands for an array in `files`, where it is written if it has changed."""
        kind = name, n_rows, array.shape, array.dtype
        if kind not in files:
            path = f"{folder}/{len(files)}.npy"
            try:  # a full disk is an error here, and a crash where it is mapped
                np.save(path, array)
            except OSError as error:
                raise OSError(
                    f"{folder}, where processes share arrays, has no room for them; set TMPDIR to "
                    "a folder that has, or use executor='threads', which shares memory"
                ) from error
            files[kind] = [path, np.load(path, mmap_mode="r+"), array]
        elif files[kind][2] is not array:
            files[kind][1][:] = files[kind][2] = array
        return kind

    def solve(equation, residuals=False):
        X, squares = _blank(equation, residuals)
        arrays = {field.name: getattr(equation, field.name) for field in fields(equation)}
        n_steps = arrays.pop("n_steps")
        arrays |= {"X": X, "squares": squares}
        kinds = {k: store(k, a, len(X)) for k, a in arrays.items() if a is not None}
        paths = {name: files[kind][0] for name, kind in kinds.items()}
        ranges = cut_equation(equation, 8 * n_workers)
        map_on_threads(lambda rows: ask([paths, n_steps, *rows]), ranges)
        X[:] = files[kinds["X"]][1]  # no name for it here, or a traceback would keep it mapped
        if residuals:
            squares[:] = files[kinds["squares"]][1]
        return X, squares

    def ask(task):
        process, answer = idle.get(), ""
        with suppress(OSError, ValueError):  # if the pipe is broken or closed
            print(json.dumps(task), file=process.stdin, flush=True)
            answer = process.stdout.readline()
        idle.put(process)
        if not answer:
            raise RuntimeError(
                "a worker process died, killed or out of memory; call again, or use "
                "executor='threads', which does without"
            )
        if error := json.loads(answer):
            name, text = error
            raise getattr(builtins, name, ValueError)(text)

    def keep(orders, answers):
        with ExitStack() as stack:
            remove = partial(shutil.rmtree, folder, ignore_errors=True)
            stack.callback(remove)
            stack.callback(files.clear)
            folder.mkdir(mode=0o700)
            processes = [
                stack.enter_context(subprocess.Popen(command, **options)) for _ in range(n_workers)
            ]
            for process in processes:
                stack.callback(process.kill)  # all of them, before any is awaited
                idle.put(process)
            stack.callback(remove)  # first, for the caller may be about to end; not on Windows
            answers.put("started")
            orders.get()

    code = f"import sys; sys.path[:] = {sys.path!r}; from alsnb.parallel import work; work()"
    command = [sys.executable, "-W", "ignore", "-c", code, str(folder)]
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    options |= {"start_new_session": True}  # which Ctrl-C does not reach; on Windows:
    options |= {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    with open_threads(n_workers) as map_on_threads, apart(keep) as (_, answers):
        if isinstance(error := answers.get(), Exception):
            raise error
        yield solve


def work() -> None:
    """In a worker process: solve the ranges of rows that come by the pipe, until it closes."""
    answers, sys.stdout = sys.stdout, sys.stderr
    arrays = {}
    with open_executor("serial"), suppress(BrokenPipeError):  # if the caller was killed
        for line in sys.stdin:
            paths, n_steps, start, stop = json.loads(line)
            try:
                for path in set(paths.values()) - set(arrays):
                    arrays[path] = np.asarray(np.load(path, mmap_mode="r+"))
                given = {name: arrays[path] for name, path in paths.items()}
                X, squares = given.pop("X"), given.pop("squares", None)
                solve_rows(Equation(**given, n_steps=n_steps), start, stop, X, squares)
                error = None
            except Exception as found:  # the caller's affair
                error = type(found).__name__, str(found)
            print(json.dumps(error), file=answers, flush=True)
    shutil.rmtree(sys.argv[1], ignore_errors=True)  # the caller may have been killed


@contextmanager
def on_cluster(client):
    """A Dask cluster, where each worker keeps its own rows of each matrix, and nobody else does.

    With each half-step the workers get the fixed factors, hand them on to each other, and send back
    their own solutions.
    """
    from distributed import CancelledError, KilledWorker, wait
    from distributed.comm import CommClosedError

    workers = [address for address, n in client.nthreads().items() for _ in range(n)]
    if not workers:
        raise ValueError("the Dask cluster has no workers; wait for them with wait_for_workers")
    kept = {}  # of each matrix: itself, the ranges of its rows, and the parts on the workers

    def scatter(parts):
        places = zip(parts, workers, strict=False)
        return [client.scatter(part, workers=[w], hash=False) for part, w in places]

    def keep(e):
        """The rows of an equation, sent when they are first met."""
        key = id(e.indptr), id(e.ratings)
        if key not in kept:
            A = sp.csr_array((e.ratings, e.indices, e.indptr), shape=(len(e), len(e.Y)))
            ranges = cut_equation(e, len(workers))
            given = e.indptr, e.ratings  # kept, so that no others get their ids
            parts = [
                (A[start:stop], cut(e.weights, e.indptr[start], e.indptr[stop]))
                for start, stop in ranges
            ]
            kept[key] = given, ranges, scatter(parts)
        return kept[key][1:]

    def cut(array, start, stop):
        return None if array is None else array[start:stop]

    def collect(futures):
        while client.status == "running" and set(workers) <= {*client.nthreads()}:
            try:
                wait(futures, timeout=1)
                return client.gather(futures)
            except TimeoutError:
                continue
        raise CommClosedError("a worker is gone")

    def solve(equation, residuals=False):
        try:
            return share(equation, residuals)
        except (CancelledError, KilledWorker, OSError) as error:  # of which CommClosedError is one
            raise RuntimeError(
                "the Dask cluster lost a worker, and with it the ratings that it kept; look at its "
                "log (was there too little memory?), and fit again"
            ) from error

    def share(e, residuals):
        ranges, rows = keep(e)
        shared = client.scatter((e.Y, e.offsets, e.gram), broadcast=True, hash=False)
        own = scatter(
            [
                tuple(cut(array, *rows) for array in (e.penalties, e.prior, e.noise, e.x0))
                for rows in ranges
            ]
        )
        how = e.n_steps, residuals
        tasks = [
            client.submit(_solve_part, *parts, shared, *how, workers=[w], pure=False)
            for *parts, w in zip(rows, own, workers, strict=False)
        ]
        parts = collect(tasks)
        squares = np.concatenate([squares for _, squares in parts]) if residuals else None
        return np.concatenate([X for X, _ in parts]), squares

    yield solve


def _solve_part(kept, own, shared, n_steps, residuals):
    """In a Dask worker: solve its own rows of an equation."""
    (rows, weights), (penalties, prior, noise, x0), (Y, offsets, gram) = kept, own, shared
    given = {"offsets": offsets, "weights": weights, "gram": gram, "prior": prior, "noise": noise}
    given |= {"x0": x0, "n_steps": n_steps}
    with open_executor("serial") as solve:
        return solve(
            Equation(rows.indptr, rows.indices, rows.data, Y, penalties, **given), residuals
        )
