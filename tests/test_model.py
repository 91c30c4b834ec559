"""Every variant of the model against least squares written here, and against itself."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
from helpers import (
    COUNTS,
    SMALL,
    VARIANTS,
    both_sides,
    bytes_of,
    close,
    data_of,
    each_model,
    features_of,
    fit,
    fitted,
    heavy_tailed,
    rounding_of,
    turned,
    untouched,
)

import alsnb
from alsnb import ALS, rated_by
from alsnb.bayes import most_informative_items

N_USERS, N_ITEMS = SMALL.shape


def known(variant, side):
    """Features that the model was fitted with, or None."""
    return features_of(variant, side, SMALL.shape[side == "items"])


@each_model
def test_parts_have_names_and_make_the_predictions(variant, dtype):
    small = data_of(variant, SMALL)
    model, rounding = fitted(variant, dtype), rounding_of(dtype, 1e-12, 1e-5)
    U, V, errors = model
    product = U @ V.T
    assert model.n_factors == 4 and errors is model.train_errors
    biases = model.mean + model.user_bias[:, None] + model.item_bias
    close(model.user_factors @ model.item_factors.T + biases, product, rounding)
    assert model.mean == pytest.approx(small.data.mean() * model.settings.bias, rel=1e-6)
    assert bool(np.ptp(model.user_bias) * np.ptp(model.item_bias) > 0.01) == model.settings.bias
    close(model.predict([4, 2]), product[[4, 2]], rounding)
    close(model.predict([3, 3, 4], [0, 2, 0]), product[[3, 3, 4], [0, 2, 0]], rounding)
    close(model.predict([[3], [4]], [0, 2, 9]), product[[3, 4]][:, [0, 2, 9]], rounding)
    assert (model.predict(3).shape, model.predict(3, 2).shape) == ((N_ITEMS,), ())
    clip = (0.7, 0.8) if variant in COUNTS else (1, 3.5)
    close(model.predict(range(40), clip=clip), np.clip(product, *clip), rounding)
    assert product.max() > clip[1] + 0.1 and product.min() < clip[0] - 0.1


# The equation, and folding in


@each_model
def test_the_last_half_step_is_a_fold_in(variant, dtype):
    small = data_of(variant, SMALL)
    model = fitted(variant, dtype)
    folded = model.fold_in(small.T, "items", features=known(variant, "items"))
    if model.links is not None:  # the fit adds up the changes of prior means, to rounding
        close(folded, model.V, rounding_of(dtype, 1e-12, 1e-5))
    else:
        assert folded.tobytes() == model.V.tobytes()
        longer = fit(small, variant, 4, 4, dtype=dtype)
        assert model.fold_in(small).tobytes() == longer.U.tobytes()


@pytest.mark.parametrize("variant", VARIANTS)
@both_sides
def test_any_number_of_workers_gives_the_same_bits(variant, side):
    small = data_of(variant, SMALL)
    model, rows = fitted(variant), data_of(variant, heavy_tailed(N_USERS, N_ITEMS, seed=2))
    given = {"features": known(variant, side)}
    fold_in = partial(model.fold_in, turned(side, rows), side, **given)
    results = [fold_in(n_workers=n) for n in (1, 2, 3, None)]
    updates = [bytes_of(*model.update(rows, small, side, n_workers=n)) for n in (1, 2, None)]
    assert len({X.tobytes() for X in results}) == 1 and updates[1:] == updates[:1] * 2
    with ThreadPoolExecutor(4) as pool:  # and so do calls at the same time
        again = list(pool.map(lambda _: fold_in(), range(8)))
    assert {X.tobytes() for X in again} == {results[0].tobytes()}


# Updates


@pytest.mark.parametrize("new", [sp.csr_array(SMALL.shape), (2, [], [])], ids=["matrix", "tuple"])
@both_sides
def test_nothing_new_is_no_change(new, side):
    model = fit(SMALL, "plain", 4)
    model = model.replace(U=model.fold_in(SMALL))
    assert bytes_of(*model.update(new, SMALL, side)) == bytes_of(model, SMALL)


@both_sides
def test_nobody_is_appended_and_ratings_keep_their_digits(side):
    model, size = fitted(dtype="float32"), SMALL.shape[side == "users"]
    nobody = sp.csr_array((0, size))
    assert model.fold_in(nobody, side).shape == (0, 7)
    same, ratings = model.append(nobody, SMALL, side)
    assert bytes_of(same) == bytes_of(model)
    assert ratings.nnz == SMALL.nnz and (ratings != SMALL).nnz == 0
    new = sp.csr_array(([3.7], ([0], [4])), shape=(1, size))
    _, grown = model.append(new, SMALL, side)
    assert 3.7 in grown.data and grown.dtype == float


# What is wrong


def own_half_step():
    return alsnb.als_matrix_factorization(
        SMALL, 3, 0.5, 2, verbose=False, rng=0, half_step=alsnb.half_step
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda model: model.fold_in(([1], [4])),
        lambda model: model.fold_in(SMALL.T, "items"),
        lambda model: model.update((0, [1], [4]), SMALL),
        lambda model: model.forget(3, rated_by(SMALL, 3)[0][0], SMALL),
        lambda model: model.append(SMALL, SMALL),
        lambda model: model.explain(0, [1], [4]),
        lambda model: most_informative_items(model),
    ],
)
def test_without_settings_nothing_is_solved(call):
    model = own_half_step()
    assert model.settings is None and model.predict(0).shape == (N_ITEMS,)
    with pytest.raises(ValueError, match="fitted with a half_step of your own"):
        call(model)


MODEL, PLAIN, COUNTED = fitted(), fitted("plain"), fitted("counts")
HUGE = sp.csr_array(([3e39], ([0], [0])), shape=(2, N_ITEMS))
single = fitted("plain", "float32")


@pytest.mark.parametrize(
    "call",
    [
        lambda: single.fold_in(([0], [1e39])),
        lambda: single.fold_in(HUGE),
        lambda: single.append(HUGE, SMALL),
        lambda: single.update((0, [0], [1e39]), SMALL),
        lambda: MODEL.update((0, [0], [1e39]), SMALL.astype("f4")),
        lambda: MODEL.fold_in((range(30), 30 * [1.7e308])),
        lambda: PLAIN.replace(V=PLAIN.V * np.nan).fold_in(SMALL),
        lambda: PLAIN.replace(V=PLAIN.V * 1e200).fold_in(SMALL),
        lambda: PLAIN.replace(V=PLAIN.V * 1e200).fold_in((range(9), range(9))),
        lambda: COUNTED.replace(V=np.tile([np.inf, 0, 1, 1], (N_ITEMS, 1))).fold_in(([1], [4])),
        lambda: PLAIN.replace(V=PLAIN.V * 1e200).explain(0, range(9), range(9)),
        lambda: PLAIN.replace(V=PLAIN.V * np.nan).explain(0, [1, 2], [4, 5]),
    ],
)
def test_what_overflows_or_is_nan_is_an_error_without_a_warning(call):
    with (
        untouched(single, MODEL, SMALL),
        pytest.raises(ValueError, match=r"NaN|too large|more than"),
    ):
        call()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"V": PLAIN.V.astype(int)}, TypeError, "arrays of floats, of two dimensions"),
        ({"V": PLAIN.V.astype("f4")}, ValueError, "U and V do not fit"),
        ({"V": PLAIN.V[:, :2]}, ValueError, r"U and V do not fit: \(40, 4\) and \(30, 2\)"),
        ({"settings": ALS(3)}, ValueError, "U and V have 4 columns, but the settings ask for 3"),
        ({"links": MODEL.links}, ValueError, "links do not fit its U, its V or its settings"),
        ({"settings": ALS(4, implicit_features=True)}, ValueError, "links do not fit"),
    ],
)
def test_parts_that_do_not_fit(changes, error, message):
    with pytest.raises(error, match=message):
        PLAIN.replace(**changes)
