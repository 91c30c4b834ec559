"""What a model tells about its columns is what its own half-steps have solved with."""

import numpy as np
import pytest
from test_foldin import MASK, VALUES, VARIANTS, R, every, fit

from alsnb.columns import ITEMS, USERS
from alsnb.terms import Terms

DEFAULTS = {"lambda_reg": 0.7, "reg_exponent": 0.0, "bias": False, "bias_reg": None}
DEFAULTS |= {"implicit_weight": 0.0, "implicit_reg": 1.0, "rng": 0}


@every
@pytest.mark.parametrize("dtype", [float, np.float32])
def test_last_half_steps_can_be_repeated(variant, dtype):
    states = []
    model = fit(
        R, VARIANTS[variant], dtype=dtype, callback=lambda _, *factors: states.append(factors)
    )
    U, V = states[-2]
    terms = Terms(R, 3, **DEFAULTS | VARIANTS[variant], dtype=dtype)
    halves, columns, w = terms.halves(), model.columns, model.implicit_weight
    for which, before, other in ((USERS, U, V), (ITEMS, V, model.U)):
        Y, given = terms.hold(which, before, other)
        held, offsets = columns.hold(which, other)
        assert held.tobytes() == Y.tobytes()
        assert (offsets is None) == ("offsets" not in given)
        if offsets is not None:
            assert offsets.tobytes() == given["offsets"].tobytes()
        assert (model.grams[which] is None) == ("gram" not in given) == (w == 0)
        if w:
            assert model.grams[which].tobytes() == given["gram"].tobytes()
            mask = (MASK, MASK.T)[which]
            sums = columns.widen((mask * 1.0) @ (w * model.partners[which].astype(float)))
            np.testing.assert_allclose(sums, given["rhs"], atol=1e-5 * abs(sums).max())
        n = np.maximum(MASK.sum(axis=1 - which), 1)
        penalties = columns.lambda_reg[which] * n**model.reg_exponent
        np.testing.assert_allclose(halves[which].penalties, penalties, rtol=1e-6)
        assert Y.shape[1] == columns.n_free == halves[which].n_factors
        # What was solved for, put in its place, is the model's
        X = (model.U, model.V)[which]
        free, scale = columns.free(which, X)
        solved = free * (scale / np.sqrt(columns.lambda_reg[which]))
        np.testing.assert_allclose(columns.place(which, solved.astype(dtype)), X, rtol=1e-6)


@every
def test_free_and_pinned_columns(variant):
    model, options = fit(R, VARIANTS[variant]), VARIANTS[variant]
    columns, mean = model.columns, VALUES[MASK].mean()
    λ = options.get("lambda_reg", 0.7)
    λ, λ_bias = (np.broadcast_to(x, 2) for x in (λ, options.get("bias_reg", λ)))
    for which, (X, other) in enumerate(((model.U, model.V), (model.V, model.U))):
        free, scale = columns.free(which, X)
        Y, offsets = columns.hold(which, other)
        if not options.get("bias"):
            assert (free is X, Y is other, offsets) == (True, True, None)
            assert scale == np.sqrt(λ[which])
            continue
        # the penalty of each column, and predictions in two parts
        expected = np.sqrt([λ[which]] * 3 + [λ_bias[which]])
        np.testing.assert_allclose(scale, expected, rtol=1e-15)
        assert free.tobytes() == X[:, [0, 1, 2, 3 + which]].tobytes()
        solved = free * (scale / scale[0])
        np.testing.assert_allclose(solved @ Y.T + offsets, X @ other.T, rtol=1e-12)
        np.testing.assert_allclose(offsets, mean + other[:, 4 - which], rtol=1e-12)
