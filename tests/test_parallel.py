"""Parallel ALS against the sequential one, to the last bit among executors, and through faults."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future
from functools import cache
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from test_checks import SETTINGS

import alsnb
from alsnb.blocks import plan_blocks
from alsnb.executors import EXECUTORS, run_serially
from alsnb.processes import SharedArrays

pytestmark = pytest.mark.usefixtures("small_blocks")
SECONDS = 60  # until what hangs is given up; nothing here takes nearly as long
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="no process groups or POSIX signals")
N_FACTORS = 40


def heavy_tailed(n_users=400, n_items=300, seed=0):
    """Ratings 0 to 5, most of few users and items, as in life; one user and one item have none."""
    rng = np.random.default_rng(seed)
    users, items = ((1 + rng.permutation(n)) ** -0.7 for n in (n_users, n_items))
    mask = rng.random((n_users, n_items)) < np.minimum(60 * np.outer(users, items), 0.9)
    mask[5], mask[:, 7] = False, False
    ratings = rng.integers(0, 6, mask.sum()).astype(float)
    return sp.coo_array((ratings, np.nonzero(mask)), shape=mask.shape).tocsr()


R = heavy_tailed()
R_TRAIN, R_TEST = alsnb.hold_out(R, 0.1, rng=0)


def fit(R=R_TRAIN, n_factors=N_FACTORS, n_iterations=3, executor="serial", **options):
    options = {"lambda_reg": 0.5, "reg_exponent": 0.5, "verbose": False, "rng": 0} | options
    options |= {"n_factors": n_factors, "n_iterations": n_iterations}
    return alsnb.als_matrix_factorization_parallel(R, executor=executor, **options)


def sequential(R=R_TRAIN, n_factors=N_FACTORS, n_iterations=3, **options):
    options = {"lambda_reg": 0.5, "reg_exponent": 0.5, "verbose": False, "rng": 0} | options
    options |= {"n_factors": n_factors, "n_iterations": n_iterations}
    return alsnb.als_matrix_factorization(R, **options)


def bits(fit):
    """Everything that a fit returns, byte by byte."""
    parts = (fit.U, fit.V, fit.train_errors, fit.objectives, fit.test_errors)
    return [None if part is None else part.tobytes() for part in parts]


def in_time(call, *args, **options):
    """What a call returns or raises, unless it hangs."""
    outcome = Future()

    def work():
        try:
            outcome.set_result(call(*args, **options))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return outcome.result(SECONDS)


@cache
def recorded(executor, n_workers=None, dtype=np.float64):
    """A fit, and of each iteration the arrays that its callback was given, and their bytes then."""
    states = []

    def callback(iteration, U, V):
        states.append((iteration, U, V, U.tobytes(), V.tobytes()))

    options = {"R_test": R_TEST, "callback": callback, "dtype": dtype}
    return in_time(fit, executor=executor, n_workers=n_workers, **options), states


# The same as the sequential one


def assert_close(result, expected, rounding):
    for name in ("U", "V", "train_errors", "objectives", "test_errors"):
        x, y = getattr(result, name), getattr(expected, name)
        np.testing.assert_allclose(x, y, rtol=0, atol=rounding * abs(y).max(), err_msg=name)


@pytest.mark.parametrize("executor", ["serial", "threads"])
@pytest.mark.parametrize("nu", [0, 0.5, 1])
@pytest.mark.parametrize("n_factors", [2, N_FACTORS, 100])
def test_agrees_with_the_sequential(executor, nu, n_factors):
    options = {"n_factors": n_factors, "reg_exponent": nu, "R_test": R_TEST, "n_iterations": 2}
    assert_close(fit(executor=executor, **options), sequential(**options), 1e-8)


@pytest.mark.parametrize("n_factors", [1, 3, 10])
def test_agrees_on_a_toy(toy, n_factors):
    options = {"n_factors": n_factors, "R_test": toy.R, "n_iterations": 10}
    assert_close(fit(toy.R, **options), sequential(toy.R, **options), 1e-8)


def test_float32_stays_and_is_close():
    single, double = fit(dtype=np.float32, R_test=R_TEST), fit(R_test=R_TEST)
    assert (single.U.dtype, single.V.dtype) == (np.float32, np.float32)
    assert (double.U.dtype, double.V.dtype) == (np.float64, np.float64)
    np.testing.assert_allclose(single.train_errors, double.train_errors, rtol=1e-4)
    np.testing.assert_allclose(single.objectives, double.objectives, rtol=1e-4)
    np.testing.assert_allclose(single.test_errors, double.test_errors, rtol=1e-2)
    difference = single.U @ single.V.T - double.U @ double.V.T
    assert np.linalg.norm(difference) < 1e-3 * np.linalg.norm(double.U @ double.V.T)


@pytest.mark.parametrize("nu", [0, 0.5, 1])
def test_objective_never_rises(nu):
    result = fit(n_factors=10, n_iterations=25, reg_exponent=nu)
    assert (np.diff(result.objectives) <= 1e-12 * result.objectives[0]).all()
    assert result.objectives[-1] < 0.95 * result.objectives[0]
    settings = {"lambda_reg": 0.5, "reg_exponent": nu}
    objective = alsnb.calculate_objective(R_TRAIN, result.U, result.V, **settings)
    assert result.objectives[-1] == pytest.approx(objective, rel=1e-12)


def test_indices_of_64_bits_change_nothing():
    R = R_TRAIN.copy()
    R.indices, R.indptr = R.indices.astype(np.int64), R.indptr.astype(np.int64)
    assert bits(fit(R, executor="threads")) == bits(fit(R_TRAIN))


# The same to the last bit on whatever executor


WORKERS = [("threads", n) for n in (1, 2, 3, 4)] + [("processes", n) for n in (1, 2, 3)]


def test_there_is_work_to_share():
    for matrix in (R_TRAIN, R_TRAIN.T.tocsr()):
        blocks = plan_blocks(np.diff(matrix.indptr), N_FACTORS)
        kinds = [block[0][1] >= N_FACTORS for block in blocks]
        assert len(blocks) >= 8
        assert min(sum(kinds), len(kinds) - sum(kinds)) >= 3


@pytest.mark.parametrize(("executor", "n_workers"), WORKERS)
def test_bits_are_the_same(executor, n_workers):
    assert bits(recorded(executor, n_workers)[0]) == bits(recorded("serial")[0])


@pytest.mark.parametrize(("executor", "n_workers"), [("threads", 3), ("processes", 2)])
def test_bits_of_float32_are_the_same(executor, n_workers):
    result = recorded(executor, n_workers, np.float32)[0]
    assert result.U.dtype == np.float32
    assert bits(result) == bits(recorded("serial", dtype=np.float32)[0])


@pytest.mark.parametrize(("executor", "n_workers"), [("serial", None), *WORKERS])
def test_callback_is_given_arrays_of_its_own(executor, n_workers):
    result, states = recorded(executor, n_workers)
    assert [iteration for iteration, *_ in states] == [1, 2, 3]
    for iteration, U, V, *before in states:
        assert [U.tobytes(), V.tobytes()] == before  # nothing is written to them later
        assert result.train_errors[iteration - 1] == pytest.approx(
            alsnb.calculate_rmse(R_TRAIN, U, V), rel=1e-12
        )
    arrays = [array for _, U, V, *_ in states for array in (U, V)]
    for k, array in enumerate(arrays):
        assert array.flags.writeable
        assert not any(np.shares_memory(array, other) for other in arrays[:k])
    assert (result.U is arrays[-2], result.V is arrays[-1]) == (True, True)


def test_default_workers_give_the_same_too():
    assert bits(fit(executor="threads", R_test=R_TEST)) == bits(recorded("serial")[0])
    assert bits(fit(executor="serial", n_workers=1, R_test=R_TEST)) == bits(recorded("serial")[0])


@pytest.mark.parametrize("pair", [("threads", "processes"), ("serial", "threads")])
def test_two_fits_at_once_do_not_meddle(pair):
    other = heavy_tailed(seed=1)
    alone = [bits(recorded("serial")[0]), bits(fit(other, 30, reg_exponent=1))]
    together, outcomes = threading.Barrier(2), [None, None]

    def start(number, *args, **options):
        def meet(iteration, U, V):  # neither is done before the other one is under way
            if iteration == 1:
                together.wait(SECONDS)

        workers = None if pair[number] == "serial" else 2
        options |= {"executor": pair[number], "n_workers": workers, "callback": meet}
        outcomes[number] = bits(fit(*args, **options))

    threads = [
        threading.Thread(target=start, args=(0,), kwargs={"R_test": R_TEST}, daemon=True),
        threading.Thread(
            target=start, args=(1, other, 30), kwargs={"reg_exponent": 1}, daemon=True
        ),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert outcomes == alone


# Options


def test_tol_stops_early_on_the_same_path():
    long, short = fit(n_iterations=60, n_factors=5), fit(n_iterations=60, n_factors=5, tol=1e-3)
    done = len(short.objectives)
    assert 2 < done < 60 == len(long.objectives)
    changes = -np.diff(long.objectives) / long.objectives[:-1]
    assert done == np.flatnonzero(changes < 1e-3)[0] + 2
    np.testing.assert_array_equal(short.objectives, long.objectives[:done])


@pytest.mark.parametrize("R_test", [None, R_TEST], ids=["train", "test"])
def test_verbose_prints_what_the_sequential_one_does(capsys, R_test):
    sequential(verbose=True, R_test=R_test, n_factors=5)
    expected = capsys.readouterr()
    fit(verbose=True, R_test=R_test, n_factors=5, executor="threads")
    assert capsys.readouterr() == expected
    assert len(expected.out.splitlines()) == 3
    fit(R_test=R_test, n_factors=5, executor="threads")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
def test_many_ratings_show_a_bar_that_goes(capsys, monkeypatch, executor):
    n_workers = None if executor == "serial" else 1
    blocks = sum(len(plan_blocks(n, N_FACTORS)) for n in alsnb.metrics.count_ratings(R_TRAIN))
    totals = []

    class Bar(alsnb.parallel.tqdm):
        def close(self):
            totals.append((self.n, self.total))
            super().close()

    monkeypatch.setattr("alsnb.parallel.tqdm", Bar)
    monkeypatch.setattr("alsnb.parallel.BAR_FROM", R_TRAIN.nnz - 1)
    fit(verbose=True, executor=executor, n_workers=n_workers, n_iterations=2)
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert f"0/{blocks} " in err
    assert err.rpartition("\r")[0].endswith(" ")  # blanks over it
    assert err.endswith("\r")
    assert "\n" not in err
    assert {*totals} == {(blocks, blocks)}


@pytest.mark.parametrize(("more", "verbose"), [(0, True), (-1, False)])
def test_no_bar_for_few_ratings_or_if_quiet(capsys, monkeypatch, more, verbose):
    assert alsnb.parallel.BAR_FROM == 1_000_000
    monkeypatch.setattr("alsnb.parallel.BAR_FROM", R_TRAIN.nnz + more)
    fit(verbose=verbose, executor="threads", n_iterations=1)
    assert capsys.readouterr().err == ""


def test_ratings_are_neither_changed_nor_copied(monkeypatch):
    seen = []

    def watched(halves, n_workers):
        seen.extend(halves)
        return run_serially(halves)

    monkeypatch.setitem(EXECUTORS, "serial", watched)
    parts = [R_TRAIN.data, R_TRAIN.indices, R_TRAIN.indptr]
    before = [part.tobytes() for part in parts]
    fit()
    users = seen[0].R
    for part, used in zip(parts, (users.data, users.indices, users.indptr), strict=True):
        assert np.shares_memory(part, used)
    fit(executor="threads")
    recorded("processes", 2)
    assert [part.tobytes() for part in parts] == before


# Bad input


@pytest.fixture
def idle(monkeypatch):
    """Fail the test if anything is solved."""

    def computed(*args, **options):
        pytest.fail("something was computed before the input was checked")

    monkeypatch.setattr("alsnb.blocks.solve_block", computed)


@pytest.mark.parametrize("executor", ["serial", "threads"])
@pytest.mark.parametrize(("settings", "error", "message"), SETTINGS)
def test_what_the_sequential_one_refuses(idle, toy, executor, settings, error, message):
    R = sp.csr_array(np.arange(1.0, 13).reshape(4, 3))
    with pytest.raises(error) as caught:
        fit(**{"R": R, "n_factors": 2, "executor": executor} | settings)
    assert type(caught.value) is error
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"executor": "dask"},
            ValueError,
            "executor must be 'serial', 'threads', 'processes' or a Dask client, got 'dask'",
        ),
        ({"executor": ""}, ValueError, "or a Dask client, got ''"),
        ({"executor": object()}, TypeError, "or a dask.distributed.Client, got object"),
        ({"executor": None}, TypeError, "or a dask.distributed.Client, got NoneType"),
        ({"executor": 2}, TypeError, "or a dask.distributed.Client, got int"),
        ({"n_workers": 2}, ValueError, "'serial' is a single worker, got n_workers=2"),
        (
            {"executor": "threads", "n_workers": 0},
            ValueError,
            "n_workers must be at least 1, got 0",
        ),
        ({"executor": "processes", "n_workers": -1}, ValueError, "must be at least 1, got -1"),
        ({"executor": "threads", "n_workers": 1.5}, TypeError, "a whole number, got 1.5"),
        ({"executor": "processes", "n_workers": True}, TypeError, "a whole number, got True"),
        ({"executor": "threads", "n_workers": "2"}, TypeError, "a whole number, got '2'"),
    ],
)
def test_bad_workers_are_refused_at_once(idle, settings, error, message):
    with pytest.raises(error) as caught:
        fit(**settings)
    assert message in str(caught.value)


@pytest.mark.parametrize("executor", ["serial", "threads"])
def test_ratings_beyond_floats_diverge_in_one_sentence(executor):
    with pytest.raises(alsnb.DivergenceError, match="check half_step and the scale of the ratings"):
        fit(R_TRAIN * 1e200, executor=executor)


# Faults: nothing stays behind, whatever happens


SINGULAR = {  # every rating 0, so that all users' factors are, and a λ that float32 rounds to 0
    "R": sp.csr_array((np.zeros(R_TRAIN.nnz), R_TRAIN.indices, R_TRAIN.indptr), R_TRAIN.shape),
    "lambda_reg": 1e-60,
    "dtype": np.float32,
}


def alsnb_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("alsnb")]


@pytest.fixture
def left(monkeypatch):
    """Find what a fit has left: its processes, its threads and its shared memory."""
    names = []

    def remembered(*args, **options):
        memory = SharedMemory(*args, **options)
        names.append(memory.name)
        return memory

    def look():
        found = [*multiprocessing.active_children(), *alsnb_threads()]
        for name in names:
            try:
                SharedMemory(name).close()
            except FileNotFoundError:
                continue
            found.append(name)
        return found

    monkeypatch.setattr("alsnb.processes.SharedMemory", remembered)
    return SimpleNamespace(look=look, names=names)


@pytest.mark.parametrize(
    ("executor", "n_workers"), [("serial", 1), ("threads", 2), ("processes", 2)]
)
def test_a_workers_error_comes_as_it_is(left, executor, n_workers):
    with pytest.raises(ValueError, match=r"penalty 0 is too small: .* stays singular") as caught:
        in_time(fit, **SINGULAR, executor=executor, n_workers=n_workers)
    assert type(caught.value) is ValueError
    assert left.look() == []
    assert len(left.names) == (executor == "processes")


@pytest.mark.parametrize(("executor", "n_workers"), [("threads", 2), ("processes", 1)])
def test_an_error_of_the_callback_leaves_nothing(left, executor, n_workers):
    seen = []

    def callback(iteration, U, V):
        seen.extend(left.look())
        if iteration == 2:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        in_time(fit, executor=executor, n_workers=n_workers, callback=callback)
    assert len(seen) >= 2 * n_workers  # there was something to leave
    assert left.look() == []


def test_a_killed_process_ends_the_fit(left):
    def callback(iteration, U, V):
        multiprocessing.active_children()[0].kill()

    with pytest.raises(
        RuntimeError, match="a worker process died, killed or out of memory"
    ) as caught:
        in_time(fit, executor="processes", n_workers=2, n_iterations=1000, callback=callback)
    assert type(caught.value) is RuntimeError
    assert left.names
    assert left.look() == []


def test_shared_arrays(left):
    layout = {"odd": ((3, 5), np.dtype(np.int8)), "none": ((0,), np.float64), "U": ((7, 2), "f4")}
    shared = SharedArrays(layout)
    other = SharedArrays(layout, shared.name)
    assert [shared[key].shape for key in layout] == [(3, 5), (0,), (7, 2)]
    assert not any(shared[key].any() for key in layout)
    shared["U"][:] = np.arange(14).reshape(7, 2)
    shared["odd"][:] = 1
    assert other["U"].tolist() == shared["U"].tolist() == np.arange(14).reshape(7, 2).tolist()
    assert other["U"].dtype == np.float32
    assert other["U"].ctypes.data % 64 == 0
    other._memory.close()
    shared.remove()
    assert left.look() == []


SCRIPT = """
import multiprocessing, sys, threading
import numpy as np
import scipy.sparse as sp
import alsnb

def callback(iteration, U, V):
    if iteration == 2:
        print("fitting", flush=True)

def fit():
    ratings = np.random.default_rng(0).integers(0, 6, (300, 200)).astype(float)
    alsnb.als_matrix_factorization_parallel(
        sp.csr_array(ratings), 20, 0.1, 10**9, False,
        executor=sys.argv[1], n_workers=2, callback=callback,
    )

def alsnb_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("alsnb")]

"""
GUARDED = """
if __name__ == "__main__":
    try:
        fit()
    except KeyboardInterrupt:
        print("interrupted", multiprocessing.active_children(), alsnb_threads())
"""


def start_script(folder, text, executor):
    """Start a script in a process group of its own, as a notebook's kernel is."""
    path = folder / "script.py"
    path.write_text(text)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, str(path), executor]
    return subprocess.Popen(command, start_new_session=True, cwd=folder, **pipes)


def segments_of(pid):
    """Shared memory that a process has mapped, where that can be seen."""
    maps = Path(f"/proc/{pid}/maps")
    if not (maps.exists() and Path("/dev/shm").exists()):
        return None
    paths = {line.split(maxsplit=5)[-1] for line in maps.read_text().splitlines()}
    return {path for path in paths if path.startswith("/dev/shm/") and "(deleted)" not in path}


def end(script):
    """Output of a script when all that hold its pipes, its workers too, have ended."""
    try:
        return script.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        if sys.platform == "win32":
            script.kill()
        else:
            os.killpg(script.pid, signal.SIGKILL)
        pytest.fail(f"something still runs; so far it says {script.communicate()}")


@POSIX
@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_ctrl_c_ends_all(tmp_path, executor):
    script = start_script(tmp_path, SCRIPT + GUARDED, executor)
    assert script.stdout.readline() == "fitting\n"
    segments = segments_of(script.pid)
    os.killpg(script.pid, signal.SIGINT)
    assert end(script) == ("interrupted [] []\n", "")
    assert script.returncode == 0
    if segments is not None:
        assert len(segments) == (executor == "processes")
        assert not any(Path(segment).exists() for segment in segments)


@POSIX
def test_workers_end_with_a_killed_parent(tmp_path):
    script = start_script(tmp_path, SCRIPT + GUARDED, "processes")
    assert script.stdout.readline() == "fitting\n"
    segments = segments_of(script.pid)
    script.kill()
    end(script)
    assert script.returncode == -signal.SIGKILL
    if segments is not None:
        assert len(segments) == 1
        assert not any(Path(segment).exists() for segment in segments)


def test_a_script_without_its_guard_is_told_so(tmp_path):
    _, errors = end(script := start_script(tmp_path, SCRIPT + "fit()\n", "processes"))
    assert script.returncode == 1
    (line,) = (line for line in errors.splitlines() if "a worker process died" in line)
    assert line.startswith("RuntimeError: ")
    assert "a script must call this under if __name__ == '__main__':" in line
