"""The package against numbers that were computed in 50 digits, by numbers/by_mpmath.py."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from helpers import COUNTS, Start, settings_of

TABLE = json.loads((Path(__file__).parent / "numbers" / "table.json").read_text())
DATA = {name: np.array(rows, dtype=float) for name, rows in TABLE["case"].items()}  # no rating: NaN


def sparse(rows, more=0):
    rows = np.atleast_2d(rows)
    there = ~np.isnan(rows)
    return sp.coo_array((rows[there] + more, np.nonzero(there)), shape=rows.shape).tocsr()


@pytest.mark.parametrize(("dtype", "rounding"), [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("executor", ["serial", "readable"])
@pytest.mark.parametrize("case", TABLE["cases"])
def test_all_digits_are_right(monkeypatch, case, executor, dtype, rounding):
    expected, (variant, *by_steps) = TABLE["cases"][case], case.split(", ")
    settings, options = settings_of(variant, 3), {"dtype": dtype, "executor": executor}
    assert {name: getattr(settings, name) for name in expected["settings"]} == {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in expected["settings"].items()
    }
    if by_steps:
        monkeypatch.setattr("alsnb.features.DIRECT", 2)
    new = {}
    if "feature_reg" in expected["settings"]:
        options |= {name: DATA[name] for name in ("user_features", "item_features")}
        new = {"features": DATA["new_features"][None]}
    for n_iterations in (1, 3):
        start = Start(DATA["U"].astype(dtype), DATA["V"].astype(dtype))
        R = sparse(DATA["R"], more=variant in COUNTS)
        model = settings.fit(R, n_iterations, rng=start, verbose=False, **options)
        found = {
            "U": model.U,
            "V": model.V,
            "objective": model.objectives[-1],
            "train_error": model.train_errors[-1],
            "fold_in": model.fold_in(sparse(DATA["new"]), **new)[0],
        }
        for name, numbers in expected[str(n_iterations)].items():
            numbers = np.array(numbers, dtype=float)
            size = abs(numbers).max()
            np.testing.assert_allclose(found[name], numbers, rtol=0, atol=rounding * size)
