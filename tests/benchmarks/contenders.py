"""What is timed: each makes a function of the number of iterations that fits from scratch."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

LAMBDA = 0.1


def textbook(R, n_factors, dtype, n_workers):
    """The loop as it is written down first: a sparse slice, an f × f system, for every row."""
    from alsnb import init_matrix_factorization

    R = R.astype(dtype).tocsr()

    def half_step(n_rows, slice_of, Y):
        X, penalty = np.zeros((n_rows, n_factors), dtype), LAMBDA * np.eye(n_factors, dtype=dtype)
        for i in range(n_rows):
            rated, ratings = slice_of(i)
            if len(rated):
                X[i] = np.linalg.solve(Y[rated].T @ Y[rated] + penalty, Y[rated].T @ ratings)
        return X

    def user(i):
        row = R[[i], :].tocoo()
        return row.coords[1], row.data

    def item(j):
        column = R[:, [j]].tocoo()  # of a CSR matrix: it looks through all of it
        return column.coords[0], column.data

    def fit(n_iterations):
        U, V = init_matrix_factorization(*R.shape, n_factors, rng=0, dtype=dtype)
        with threadpool_limits(1, user_api="blas"):
            for _ in range(n_iterations):
                U = half_step(R.shape[0], user, V)
                V = half_step(R.shape[1], item, U)
        return U, V

    return fit


def sequential(R, n_factors, dtype, n_workers):
    """`als_matrix_factorization`: CSR pointers, one row at a time, in Python."""
    from alsnb import als_matrix_factorization

    return lambda n: als_matrix_factorization(R, n_factors, LAMBDA, n, False, rng=0, dtype=dtype)


def parallel(executor, workers=None):
    """`als_matrix_factorization_parallel` on an executor."""

    def make(R, n_factors, dtype, n_workers):
        from alsnb import als_matrix_factorization_parallel

        options = {"executor": executor, "rng": 0, "dtype": dtype}
        options["n_workers"] = None if executor == "serial" else workers or n_workers
        return lambda n: als_matrix_factorization_parallel(
            R, n_factors, LAMBDA, n, False, **options
        )

    return make


def lenskit(R, n_factors, dtype, n_workers):
    """LensKit's explicit ALS, compiled, float32: it fits what user and item means leave over."""
    os.environ["LK_NUM_THREADS"] = str(n_workers)
    from lenskit.als import BiasedMFConfig, BiasedMFScorer
    from lenskit.data import from_interactions_df
    from lenskit.training import TrainingOptions

    table = R.tocoo()
    users, items = table.coords
    data = from_interactions_df(
        pd.DataFrame({"user_id": users, "item_id": items, "rating": table.data})
    )

    def fit(n_iterations):
        settings = {"embedding_size": n_factors, "epochs": n_iterations, "regularization": LAMBDA}
        BiasedMFScorer(BiasedMFConfig(**settings)).train(data, TrainingOptions(rng=0))

    return fit


def cmfrec(R, n_factors, dtype, n_workers):
    """The exact (Cholesky) solver of cmfrec, compiled; without biases, the same objective."""
    from cmfrec import CMF

    R = R.tocoo().astype(dtype)
    users, items = R.coords
    table = pd.DataFrame({"UserId": users, "ItemId": items, "Rating": R.data})
    settings = {"user_bias": False, "item_bias": False, "center": False, "verbose": False}
    settings |= {"use_cg": False, "finalize_chol": False, "precompute_for_predictions": False}
    settings |= {"use_float": dtype == np.float32, "nthreads": n_workers, "lambda_": LAMBDA}

    def fit(n_iterations):
        CMF(k=n_factors, niter=n_iterations, **settings).fit(table)

    return fit


def implicit(R, n_factors, use_cg, n_iterations, n_workers):
    """Seconds of each iteration of the library implicit, float32, for weights c = 1 + r."""
    from implicit.cpu.als import AlternatingLeastSquares

    weights, seconds = sp.csr_matrix(R, dtype=np.float32, copy=True), []
    weights.data += 1
    settings = {"factors": n_factors, "regularization": LAMBDA, "alpha": 1.0, "random_state": 0}
    settings |= {"iterations": n_iterations, "use_cg": use_cg, "num_threads": n_workers}
    with threadpool_limits(1, user_api="blas"):  # as it asks for itself
        AlternatingLeastSquares(**settings).fit(
            weights, show_progress=False, callback=lambda k, took, loss: seconds.append(took)
        )
    return seconds


PEERS = {
    name: contender
    for name, contender in (("lenskit", lenskit), ("cmfrec", cmfrec))
    if importlib.util.find_spec(name)
}


class Before:
    """Another checkout of this project, whose fits run in a process of their own.

    ``before(R, n_factors, dtype, n_workers)`` makes a contender, like the functions above.
    """

    def __init__(self, checkout):
        command = [sys.executable, str(Path(__file__).resolve()), str(Path(checkout).resolve())]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, **pipes)

    def __call__(self, R, n_factors, dtype, n_workers, executor="threads"):
        """Make a function that fits, and returns the seconds of each iteration."""
        folder = tempfile.TemporaryDirectory(prefix="alsnb-bench-")
        path = f"{folder.name}/R.npz"
        sp.save_npz(path, R, compressed=False)

        def fit(n_iterations):
            name = np.dtype(dtype).name
            task = [path, n_factors, n_iterations, name, executor, n_workers]
            print(json.dumps(task), file=self.process.stdin, flush=True)
            seconds = json.loads(self.process.stdout.readline())
            folder.cleanup()  # it has been read
            return seconds

        return fit


def serve(checkout):
    """In the process of `Before`: fit what is asked for."""
    sys.path.insert(0, checkout)
    import alsnb

    matrices, answers, sys.stdout = {}, sys.stdout, sys.stderr
    for line in sys.stdin:
        path, n_factors, n_iterations, dtype, executor, n_workers = json.loads(line)
        if path not in matrices:
            matrices[path] = sp.csr_array(sp.load_npz(path))
        marks = [time.perf_counter()]
        options = {"executor": executor, "n_workers": n_workers, "rng": 0, "dtype": dtype}
        options["callback"] = lambda *_, marks=marks: marks.append(time.perf_counter())
        alsnb.als_matrix_factorization_parallel(
            matrices[path], n_factors, LAMBDA, n_iterations, False, **options
        )
        print(json.dumps(np.diff(marks).tolist()), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
