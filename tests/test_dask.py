"""A Dask cluster: the factors of one core to the last bit, though each worker has only its rows."""

import asyncio
import os
import subprocess
import sys
import time
from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp
from helpers import SECONDS, VARIANTS, bits, bytes_of, fit, heavy_tailed, in_time

import alsnb

distributed = pytest.importorskip("distributed")
psutil = pytest.importorskip("psutil")  # distributed asks for it
N_FACTORS = 20
R, R_TEST = alsnb.train_test_split(heavy_tailed(120, 90), 0.1, rng=0)
QUIET = {"dashboard_address": ":0", "silence_logs": 50}


@pytest.fixture(scope="module")
def cluster():
    options = QUIET | {"n_workers": 2, "threads_per_worker": 1}
    with distributed.LocalCluster(**options) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as client:
        client.wait_for_workers(2, timeout=SECONDS)
        yield client


@pytest.fixture
def two_threads():
    """One worker, in this process, of two threads."""
    options = QUIET | {"processes": False, "n_workers": 1, "threads_per_worker": 2}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        yield client


@cache
def serial(variant, dtype=np.float64):
    return fit(R, variant, N_FACTORS, R_test=R_TEST, dtype=dtype)


def assert_same(model, variant, dtype=np.float64):
    """Bits of the factors; sums may be added up in another order."""
    expected = serial(variant, dtype)
    assert bits(model)[:2] == bits(expected)[:2]
    for name in ("train_errors", "test_errors", "objectives"):
        one, other = getattr(model, name), getattr(expected, name)
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-12)
    assert bytes_of(*(model.links or ())) == bytes_of(*(expected.links or ()))
    assert model.settings == expected.settings


@pytest.mark.parametrize("variant", VARIANTS)
def test_factors_are_those_of_one_core(client, variant):
    states = []

    def callback(iteration, U, V):
        states.append((U, V, U.tobytes(), V.tobytes()))

    options = {"R_test": R_TEST, "callback": callback}
    assert_same(in_time(fit, R, variant, N_FACTORS, executor=client, **options), variant)
    assert len(states) == 3
    for k, (U, V, *before) in enumerate(states):
        assert [U.tobytes(), V.tobytes()] == before
        assert not any(np.shares_memory(U, other) for other, *_ in states[:k])
    assert_same(in_time(fit, R, variant, N_FACTORS, executor=client, R_test=R_TEST), variant)


@pytest.mark.parametrize("variant", ["all", "all counts"])
def test_steps_are_those_of_one_core(client, variant):
    options = {"n_factors": N_FACTORS, "solver": "cg", "cg_steps": 2}
    model = in_time(fit, R, variant, executor=client, **options)
    assert bits(model)[:2] == bits(fit(R, variant, **options))[:2]


def test_float32_and_long_indices(client):
    options = {"R_test": R_TEST, "executor": client}
    model = in_time(fit, R, "all", N_FACTORS, dtype=np.float32, **options)
    assert model.U.dtype == np.float32
    expected = serial("all", np.float32)
    assert bits(model)[:2] == bits(expected)[:2]
    np.testing.assert_allclose(model.objectives, expected.objectives, rtol=1e-6)
    long = sp.csr_array((R.data, R.indices.astype(np.int64), R.indptr.astype(np.int64)), R.shape)
    assert_same(in_time(fit, long, "all", N_FACTORS, **options), "all")


def test_workers_of_two_threads(two_threads):
    for variant in ("plain", "all"):
        model = in_time(fit, R, variant, N_FACTORS, executor=two_threads, R_test=R_TEST)
        assert_same(model, variant)


def test_more_workers_than_rows(client):
    R = sp.csr_array([[5.0, 3.0, 1.0]])
    assert bits(in_time(fit, R, "all", executor=client))[:2] == bits(fit(R, "all"))[:2]


def kept_matrices(dask_worker):
    """Shape, ratings and number of stars of each sparse matrix that a worker keeps."""
    kept = [value for value in dict(dask_worker.data).values() if hasattr(value, "indptr")]
    return [(*A.shape, A.nnz, float(A.data.sum())) for A in kept]


def test_each_worker_keeps_only_its_own_rows(client):
    seen = []

    def callback(iteration, U, V):
        seen.append(client.run(kept_matrices))

    in_time(fit, R, "all", executor=client, callback=callback)
    n, m = R.shape
    for kept in seen:
        assert len(kept) == 2
        for own in kept.values():  # a part of R, and one of Rᵀ
            assert sorted(columns for _, columns, *_ in own) == sorted([m, n])
            assert all(0.2 * R.nnz < n_ratings < 0.8 * R.nnz for _, _, n_ratings, _ in own)
        parts = [part for own in kept.values() for part in own]
        for n_rows, n_columns in ((n, m), (m, n)):
            sizes = [part for part in parts if part[1] == n_columns]
            assert np.sum(sizes, axis=0).tolist() == [n_rows, 2 * n_columns, R.nnz, R.data.sum()]
    assert len(seen) == 3


def test_nothing_is_kept_after_a_fit(client):
    model = in_time(fit, R, "all", executor=client)
    assert len(model.train_errors) == 3
    start = time.monotonic()
    while any(client.has_what().values()):  # they are let go as the scheduler hears of it
        assert time.monotonic() < start + SECONDS


def test_stops_early(client, capsys):
    options = {"executor": client, "n_iterations": 30, "tol": 0.01, "verbose": True}
    model = in_time(fit, R, **options)
    out, _ = capsys.readouterr()
    expected = fit(R, **options | {"executor": "serial"})
    assert (out, bits(model)[:2]) == (capsys.readouterr().out, bits(expected)[:2])
    assert len(model.objectives) == len(expected.objectives) < 30
    stopped = in_time(fit, R, executor=client, callback=lambda k, U, V: k == 2)
    assert bits(stopped)[:2] == bits(fit(R, n_iterations=2))[:2]


# Faults


@pytest.mark.parametrize("n_killed", [1, 2])
def test_a_killed_worker_ends_the_fit_and_not_the_cluster(client, n_killed):
    killed = []

    def callback(iteration, U, V):
        if not killed:
            killed.extend([*client.run(os.getpid).values()][:n_killed])
            for pid in killed:
                psutil.Process(pid).kill()

    with pytest.raises(RuntimeError, match="the Dask cluster lost a worker, and with it"):
        in_time(fit, R, n_iterations=10**6, executor=client, callback=callback)
    assert len(killed) == n_killed
    start = time.monotonic()
    while not {*client.run(os.getpid, on_error="ignore").values()}.isdisjoint(killed):
        assert time.monotonic() < start + SECONDS
    client.wait_for_workers(2, timeout=SECONDS)
    assert_same(in_time(fit, R, "all", N_FACTORS, executor=client, R_test=R_TEST), "all")


def test_a_workers_error_comes_as_it_is(client):
    zeros = sp.csr_array((np.zeros(R.nnz), R.indices, R.indptr), R.shape)
    settings = alsnb.ALS(8, lambda_reg=1e-60)  # which float32 rounds to 0, as all factors are
    options = {"executor": client, "dtype": np.float32, "verbose": False}
    with pytest.raises(ValueError, match=r"penalty 1e-60 is too small.* singular") as caught:
        in_time(settings.fit, zeros, **options)
    assert type(caught.value) is ValueError
    assert_same(in_time(fit, R, "plain", N_FACTORS, executor=client, R_test=R_TEST), "plain")


def test_an_error_of_the_callback_comes_as_it_is(client):
    def callback(iteration, U, V):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        in_time(fit, R, executor=client, callback=callback)


# What is refused


def test_workers_are_not_for_us_to_count(client):
    with pytest.raises(ValueError, match="n_workers is the cluster's own affair"):
        fit(R, executor=client, n_workers=2)


def test_clients_that_cannot_be(cluster):
    with pytest.raises(TypeError, match=r"a name or a dask\.distributed\.Client, got LocalCluster"):
        fit(R, executor=cluster)
    with distributed.Client(cluster) as closed:
        pass
    with pytest.raises(ValueError, match="must be a connected, synchronous Dask client"):
        fit(R, executor=closed)

    async def fit_on_asynchronous_client():
        async with distributed.Client(cluster.scheduler_address, asynchronous=True) as client:
            with pytest.raises(ValueError, match="must be a connected, synchronous Dask client"):
                fit(R, executor=client)

    asyncio.run(fit_on_asynchronous_client())


def test_a_cluster_without_workers():
    options = QUIET | {"processes": False, "n_workers": 0}
    with (
        distributed.LocalCluster(**options) as cluster,
        distributed.Client(cluster) as client,
        pytest.raises(ValueError, match="the Dask cluster has no workers"),
    ):
        in_time(fit, R, executor=client)


def test_import_leaves_dask_alone():
    code = "import sys, alsnb; print(sorted({'dask', 'distributed'} & {*sys.modules}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "[]\n"), run.stderr
