"""A Dask cluster gives the same bits as one core, even if its workers are killed."""

import os
import subprocess
import sys

import numpy as np
import pytest
from test_parallel import N_FACTORS, R_TEST, R_TRAIN, SECONDS, SINGULAR, bits, fit, in_time

import alsnb

distributed = pytest.importorskip("distributed")
psutil = pytest.importorskip("psutil")  # distributed asks for it
pytestmark = pytest.mark.usefixtures("small_blocks")


@pytest.fixture(scope="module")
def cluster():
    options = {"dashboard_address": ":0", "silence_logs": 50}
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, **options) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as client:
        client.wait_for_workers(2, timeout=SECONDS)
        yield client


@pytest.fixture(scope="module")
def expected():
    return bits(fit(R_test=R_TEST))


def kill_workers(client, n_workers):
    for pid in [*client.run(os.getpid).values()][:n_workers]:
        psutil.Process(pid).kill()


def test_bits_are_the_same(client, expected):
    states = []

    def callback(iteration, U, V):
        states.append((U, V, U.tobytes(), V.tobytes()))

    assert bits(in_time(fit, executor=client, R_test=R_TEST, callback=callback)) == expected
    assert len(states) == 3
    for k, (U, V, *before) in enumerate(states):
        assert [U.tobytes(), V.tobytes()] == before
        assert not any(np.shares_memory(U, other) for other, *_ in states[:k])


def test_bits_of_float32_are_the_same(client):
    result = in_time(fit, executor=client, dtype=np.float32)
    assert result.U.dtype == result.V.dtype == np.float32
    assert bits(result) == bits(fit(dtype=np.float32))


@pytest.mark.parametrize("n_killed", [1, 2])
def test_bits_are_the_same_if_workers_are_killed(client, expected, n_killed):
    killed = []

    def callback(iteration, U, V):
        if iteration == 1:
            kill_workers(client, n_killed)
            killed.append(n_killed)

    assert bits(in_time(fit, executor=client, R_test=R_TEST, callback=callback)) == expected
    assert killed == [n_killed]


def test_a_cluster_that_keeps_losing_its_data_is_given_up(client, monkeypatch):
    def callback(iteration, U, V):
        kill_workers(client, 2)

    monkeypatch.setattr("alsnb.cluster.ATTEMPTS", 1)
    with pytest.raises(RuntimeError, match="the cluster lost its workers 1 times in one half-step"):
        in_time(fit, executor=client, callback=callback)


def test_a_workers_error_comes_as_it_is(client, expected):
    with pytest.raises(ValueError, match=r"penalty 0 is too small: .* stays singular") as caught:
        in_time(fit, **SINGULAR, executor=client)
    assert type(caught.value) is ValueError
    assert bits(in_time(fit, executor=client, R_test=R_TEST)) == expected  # and no harm is done


def test_progress(client, capsys, monkeypatch):
    blocks = [
        len(alsnb.blocks.plan_blocks(n, N_FACTORS)) for n in alsnb.metrics.count_ratings(R_TRAIN)
    ]
    counts = []

    class Bar(alsnb.parallel.tqdm):
        def close(self):
            counts.append(self.n)
            super().close()

    monkeypatch.setattr("alsnb.parallel.tqdm", Bar)
    monkeypatch.setattr("alsnb.parallel.BAR_FROM", 0)
    in_time(fit, executor=client, n_iterations=1, verbose=True)
    assert set(counts) == {sum(blocks)}
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_threads_of_one_process_agree_too(expected):
    options = {"processes": False, "dashboard_address": ":0", "silence_logs": 50}
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert bits(in_time(fit, executor=client, R_test=R_TEST)) == expected


def test_workers_are_not_for_us_to_count(client):
    with pytest.raises(ValueError, match="n_workers is the cluster's own affair"):
        fit(executor=client, n_workers=2)


def test_a_cluster_is_not_its_client(cluster):
    with pytest.raises(
        TypeError, match=r"must be a name or a dask\.distributed\.Client, got LocalC"
    ):
        fit(executor=cluster)


def test_import_leaves_dask_alone():
    code = "import sys, alsnb; print(sorted({'dask', 'distributed'} & {*sys.modules}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "[]\n"), run.stderr
