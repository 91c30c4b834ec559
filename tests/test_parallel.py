"""The same to the last bit wherever rows are solved, and nothing left behind, whatever happens."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from helpers import SECONDS, VARIANTS, bits, fit, heavy_tailed, in_time
from threadpoolctl import ThreadpoolController, threadpool_info, threadpool_limits

import alsnb
from alsnb.parallel import cut_equation, cut_rows, open_executor
from alsnb.ridge import Equation

psutil = pytest.importorskip("psutil")  # distributed asks for it
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="no process groups or POSIX signals")
N_FACTORS = 40
R, R_TEST = alsnb.train_test_split(heavy_tailed(150, 150), 0.1, rng=0)
WORKERS = [("threads", 1), ("threads", 3), ("processes", 2)]
EACH_EXECUTOR = pytest.mark.parametrize(
    ("executor", "n_workers"), [("serial", 1), ("readable", 1), ("threads", 2), ("processes", 1)]
)


@cache
def serial(variant, dtype=np.float64):
    return bits(fit(R, variant, N_FACTORS, R_test=R_TEST, dtype=dtype))


# Ranges of rows


@pytest.mark.parametrize("kind", ["exact", "gram", "steps"])
def test_rows_are_cut_into_ranges_of_equal_cost(kind):
    """To the row, for a Dask worker has one range alone; others take them from a queue."""
    n, f = np.random.default_rng(0).integers(0, 99, 1000), 10
    size, length = np.minimum(n, f), np.maximum(n, f)  # of the smaller system
    costs, more = {
        "exact": (size**2 * length + size**3 / 3, {}),
        "gram": (n * f**2 + f**3 / 3, {"gram": np.eye(f)}),
        "steps": (3 * (4 * n + 2 * f) * f, {"x0": np.ones((1000, f)), "n_steps": 2}),
    }[kind]
    total = np.cumsum(costs + 8 * n * f + 1000)
    indptr, none = np.concatenate([[0], np.cumsum(n)]), np.empty((0, f))
    equation = Equation(indptr, none, none, none, none, **more)
    for n_ranges in (1, 2, 7, 100):
        stops = np.searchsorted(total, total[-1] * np.arange(1, n_ranges) / n_ranges).tolist()
        expected = [*pairwise([0, *stops, 1000])]
        assert cut_equation(equation, n_ranges) == expected
        assert len(expected) == n_ranges
    assert cut_rows(np.array([0]), 10, 3) == []
    assert cut_rows(np.array([0, 4, 5]), 10, 9) == [(0, 1), (1, 2)]


def test_there_is_work_of_both_kinds_to_share():
    for n in alsnb.count_ratings(R):
        assert min(np.sum(n >= N_FACTORS), np.sum((n > 0) & (n < N_FACTORS))) > 30


# The same bits


@pytest.fixture(scope="module", params=WORKERS, ids="{0[0]}-{0[1]}".format)
def workers(request):
    """Workers that stay for all fits, which would each start their own."""
    with open_executor(*request.param) as solve:
        yield nullcontext(solve)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("variant", VARIANTS)
def test_bits_are_the_same(workers, monkeypatch, variant, dtype):
    monkeypatch.setattr("alsnb.als.open_executor", lambda *_: workers)
    model = in_time(fit, R, variant, N_FACTORS, R_test=R_TEST, dtype=dtype)
    assert bits(model) == serial(variant, dtype)
    assert model.U.dtype == dtype


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("variant", ["all", "all counts"])
def test_bits_of_steps_are_the_same(workers, monkeypatch, variant, dtype):
    options = {"n_factors": N_FACTORS, "dtype": dtype, "solver": "cg", "cg_steps": 2}
    expected = bits(fit(R, variant, **options))
    monkeypatch.setattr("alsnb.als.open_executor", lambda *_: workers)
    assert bits(in_time(fit, R, variant, **options)) == expected


def test_defaults_and_long_indices_give_the_same():
    long = sp.csr_array((R.data, R.indices.astype(np.int64), R.indptr.astype(np.int64)), R.shape)
    assert long.indices.dtype == np.int64
    for matrix, options in (
        (R, {"executor": "threads"}),
        (R, {"n_workers": 1.0}),
        (long, {}),
        (long, {"executor": "threads"}),
        (long, {"executor": "processes"}),
    ):
        model = in_time(fit, matrix, "all", N_FACTORS, R_test=R_TEST, **options)
        assert bits(model) == serial("all")
    U, V, _ = alsnb.als_matrix_factorization_parallel(R, 3, 0.5, 2, False, rng=0)
    assert [U.tobytes(), V.tobytes()] == bits(fit(R, "plain", 3, 2))[:2]


@EACH_EXECUTOR
def test_callback_is_given_arrays_of_its_own(executor, n_workers):
    states = []

    def callback(iteration, U, V):
        states.append((U, V, U.tobytes(), V.tobytes()))

    options = {"executor": executor, "n_workers": n_workers, "callback": callback}
    model = in_time(fit, R, **options)
    assert (states[-1][0] is model.U, states[-1][1] is model.V) == (True, True)
    for U, V, *before in states:
        assert [U.tobytes(), V.tobytes()] == before  # nothing is written to them later
    arrays = [array for U, V, *_ in states for array in (U, V)]
    for k, array in enumerate(arrays):
        assert array.flags.writeable
        assert not any(np.shares_memory(array, other) for other in arrays[:k])


@pytest.mark.parametrize("pair", [("threads", "processes"), ("serial", "threads")])
def test_two_fits_at_once_do_not_meddle(pair):
    other = heavy_tailed(150, 100, seed=1)
    together, outcomes = threading.Barrier(2, timeout=SECONDS), {}

    def meet(iteration, U, V):  # neither is done before the other one is under way
        if iteration == 1:
            together.wait()

    def start(executor, *args, **options):
        outcomes[executor] = bits(fit(*args, executor=executor, callback=meet, **options))

    calls = [(start, pair[0], R, "all", N_FACTORS), (start, pair[1], other, "half")]
    threads = [threading.Thread(target=call, args=args, daemon=True) for call, *args in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    alone = {pair[0]: bits(fit(R, "all", N_FACTORS)), pair[1]: bits(fit(other, "half"))}
    assert outcomes == alone


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_a_fit_within_the_callback_of_another(executor):
    seen, options = [], {"executor": executor, "n_workers": 2}

    def callback(iteration, U, V):
        if iteration == 1:
            seen.append(bits(fit(R, "bias", **options)))

    model = in_time(fit, R, "all", callback=callback, **options)
    assert (bits(model), seen) == (bits(fit(R, "all")), [bits(fit(R, "bias"))])


# What is refused


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"executor": "dask"}, ValueError, "'readable' or a Dask client, got 'dask'"),
        ({"executor": ""}, ValueError, "executor must be 'threads', 'serial', 'processes', 'read"),
        ({"executor": object()}, TypeError, "a name or a dask.distributed.Client, got object"),
        ({"executor": None}, TypeError, "a name or a dask.distributed.Client, got NoneType"),
        ({"executor": 2}, TypeError, "a name or a dask.distributed.Client, got int"),
        ({"executor": "serial", "n_workers": 2}, ValueError, "'serial' is one worker, got n_work"),
        ({"executor": "readable", "n_workers": 2}, ValueError, "'readable' is one worker, got n_"),
        ({"n_workers": 0}, ValueError, "n_workers must be at least 1, got 0"),
        ({"executor": "processes", "n_workers": -1}, ValueError, "must be at least 1, got -1"),
        ({"n_workers": 1.5}, TypeError, "n_workers must be a whole number, got 1.5"),
        ({"n_workers": True}, TypeError, "n_workers must be a whole number, got True"),
        ({"n_workers": "2"}, TypeError, "n_workers must be a whole number, got '2'"),
    ],
)
def test_executors_that_cannot_be_are_refused_at_once(monkeypatch, wrong, error, message):
    def computed(*args, **options):
        pytest.fail("something was computed before the input was checked")

    monkeypatch.setattr("alsnb.als.check_ratings", computed)
    with pytest.raises(error) as caught:
        fit(R, **{"executor": "threads"} | wrong)
    assert message in str(caught.value)


# BLAS threads: as they were


def blas_threads():
    """Threads of each BLAS but the one that is ours alone."""
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    threads = {pool["filepath"]: pool["num_threads"] for pool in pools}
    return {path: n for path, n in threads.items() if "scipy_openblas32" not in path}


@pytest.fixture
def twos():
    """Two BLAS threads, whatever the machine; what `blas_threads` says of them."""
    with threadpool_limits(2, user_api="blas"):
        yield blas_threads()


@pytest.mark.parametrize("executor", ["serial", "threads"])
@pytest.mark.parametrize("stops", [True, False])
def test_blas_threads_are_the_same_after_a_fit(twos, executor, stops):
    seen = []

    def callback(iteration, U, V):
        seen.append({*blas_threads().values()})
        if stops:
            raise LookupError

    with pytest.raises(LookupError) if stops else nullcontext():
        fit(R, executor=executor, callback=callback)
    assert blas_threads() == twos
    assert seen == (1 if stops else 3) * [{1}]


def test_blas_threads_are_the_same_after_fits_that_overlap(twos):
    """The first to start is the first to end; neither is in the thread that came first to BLAS."""
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))
    seen = []

    def in_first(iteration, U, V):
        first_is_in.set()
        assert second_is_in.wait(SECONDS)

    def in_second(iteration, U, V):
        second_is_in.set()
        assert first_is_out.wait(SECONDS)
        seen.append({*blas_threads().values()})

    def first():
        fit(R, n_iterations=1, callback=in_first)
        first_is_out.set()

    for library in ThreadpoolController().lib_controllers:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)
    thread = threading.Thread(target=first, daemon=True)
    thread.start()
    assert first_is_in.wait(SECONDS)
    in_time(fit, R, n_iterations=1, callback=in_second)
    thread.join(SECONDS)
    assert (blas_threads(), seen) == (twos, [{1}])


@pytest.mark.parametrize("executor", ["serial", "threads"])
def test_bits_do_not_depend_on_the_callers_blas_threads(executor):
    options = {"n_factors": 100, "dtype": np.float32}
    expected = bits(fit(R, **options))
    with threadpool_limits(2, user_api="blas"):
        assert bits(fit(R, **options, executor=executor)) == expected


# Faults: nothing stays behind


def workers_of(pid=None):
    """Worker processes of a process; those that have ended and were not waited for, too."""
    return [
        child
        for child in psutil.Process(pid).children()
        if child.status() == psutil.STATUS_ZOMBIE or "alsnb.parallel" in " ".join(child.cmdline())
    ]


def folder_of(worker):
    return Path(worker.cmdline()[-1])


SINGULAR = {  # every rating 0, so that all users' factors are, and a λ that float32 rounds to 0
    "R": sp.csr_array((np.zeros(R.nnz), R.indices, R.indptr), R.shape),
    "dtype": np.float32,
}


@EACH_EXECUTOR
def test_a_workers_error_comes_as_it_is(left, monkeypatch, executor, n_workers):
    monkeypatch.setitem(VARIANTS, "tiny", {"lambda_reg": 1e-60})
    options = SINGULAR | {"executor": executor, "n_workers": n_workers}
    with pytest.raises(ValueError, match=r"penalty 1e-60 is too small.* singular") as caught:
        in_time(fit, variant="tiny", **options)
    assert type(caught.value) is ValueError
    assert left() == []


@pytest.mark.parametrize("error", [IndexError, MemoryError])
def test_no_error_of_a_thread_is_lost(monkeypatch, left, error):
    """An IndexError, too, though it is also what an empty queue says."""

    def broken(*args):
        raise error("broken")

    monkeypatch.setattr("alsnb.parallel.solve_rows", broken)
    with pytest.raises(error, match="broken"):
        in_time(fit, R, executor="threads", n_workers=2)
    assert left() == []


@pytest.mark.parametrize(("executor", "n_workers"), [("threads", 2), ("processes", 2)])
def test_an_error_of_the_callback_leaves_nothing(left, executor, n_workers):
    seen = []

    def callback(iteration, U, V):
        seen.extend(left())
        if iteration == 2:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        in_time(fit, R, executor=executor, n_workers=n_workers, callback=callback)
    assert len(seen) >= 2 * n_workers  # there was something to leave
    assert left() == []


@pytest.mark.parametrize("variant", ["plain", "all counts"])
def test_a_killed_process_ends_the_fit(left, variant):
    def callback(iteration, U, V):
        processes = [found for found in left() if isinstance(found, psutil.Process)]
        assert len(processes) == 2
        processes[0].kill()

    options = {"executor": "processes", "n_workers": 2, "callback": callback}
    with pytest.raises(RuntimeError, match="a worker process died, killed or out of") as caught:
        in_time(fit, R, variant, n_iterations=10**6, **options)
    assert type(caught.value) is RuntimeError
    assert left() == []


SCRIPT = """
import sys, threading
from pathlib import Path
sys.path.insert(0, {tests!r})
from helpers import fit, heavy_tailed
R = heavy_tailed(100, 80)

def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("alsnb")]
"""
SCRIPT = SCRIPT.format(tests=str(Path(__file__).parent))
ENDLESS = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background ignore it

def callback(iteration, U, V):
    if iteration == 2:
        print("fitting", flush=True)

try:
    fit(R, "all", n_iterations=10**9, executor="processes", n_workers=2, callback=callback)
except KeyboardInterrupt:
    print("interrupted", threads())
"""
SHORT = """
import hashlib
model = fit(R, "all", executor="processes", n_workers=2)
print(hashlib.sha256(model.U.tobytes()).hexdigest(), threads())
"""


@pytest.fixture
def endless(tmp_path):
    """Start a script that fits without an end, in a session of its own, as a notebook's kernel is.

    With it comes the folder of its workers.
    """
    scripts = []

    def start():
        path = tmp_path / "script.py"
        path.write_text(SCRIPT + ENDLESS)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        command = [sys.executable, path]
        scripts.append(subprocess.Popen(command, start_new_session=True, **pipes))
        assert scripts[-1].stdout.readline() == "fitting\n"
        workers = workers_of(scripts[-1].pid)
        assert len(workers) == 2
        folders = {folder_of(worker) for worker in workers}
        assert all(folder.is_dir() for folder in folders)
        return scripts[-1], folders

    yield start
    for script in scripts:
        script.kill()
        script.communicate()


def end(script):
    """Output of a script when all that hold its pipes, its workers too, have ended."""
    try:
        return script.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        script.kill()
        pytest.fail(f"something still runs; so far it says {script.communicate()}")


@POSIX
@pytest.mark.parametrize("twice", [False, True])
def test_ctrl_c_ends_all(endless, twice):
    script, folders = endless()
    os.killpg(script.pid, signal.SIGINT)
    if twice:
        time.sleep(0.01)  # the second one comes amid the clearing up
        os.killpg(script.pid, signal.SIGINT)
    said = end(script)
    assert twice or (said, script.returncode) == (("interrupted []\n", ""), 0)
    assert not any(folder.exists() for folder in folders)


@POSIX
def test_workers_end_with_a_killed_parent(endless):
    script, folders = endless()
    script.kill()
    assert end(script) == ("", "")
    assert script.returncode == -signal.SIGKILL
    assert not any(folder.exists() for folder in folders)


def test_scripts_need_no_main_guard(tmp_path):
    pytest.importorskip("numba")  # or the script says that there is none
    command, script = [sys.executable, "-W", "error", "-"], SCRIPT + SHORT
    options = {"capture_output": True, "text": True, "timeout": SECONDS, "cwd": tmp_path}
    run = subprocess.run(command, input=script, **options)
    U, _, _ = fit(heavy_tailed(100, 80), "all")
    expected = f"{hashlib.sha256(U.tobytes()).hexdigest()} []\n"
    assert (run.returncode, run.stdout, run.stderr) == (0, expected, "")
