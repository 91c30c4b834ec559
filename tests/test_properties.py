"""What holds of every variant of the model, on tiny problems that hypothesis makes up."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from helpers import (
    COUNTS,
    GIVEN,
    VARIANTS,
    Start,
    assert_close,
    bits,
    bytes_of,
    close,
    data_of,
    dense_error,
    dense_given,
    dense_link,
    dense_rows,
    dense_system,
    entries,
    features_of,
    own,
    rounding_of,
    setting,
    settings_of,
    turned,
    untouched,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import alsnb
from alsnb import Ratings, rated_by
from alsnb.ridge import solve_row, solve_rows

SIDES = ("users", "items")
DTYPE = st.sampled_from(["float64", "float32"])
CG_STEPS = st.sampled_from([0, 1, 2])  # 0 is the exact solver
TINY = st.tuples(
    st.integers(0, 10**6),
    *(st.integers(2, 8), st.integers(2, 7), st.integers(1, 3)),
    st.sampled_from([0.2, 0.5, 1]),
)


def each_variant(n_examples, **draws):
    """A property of all variants, tried on so many tiny problems of each."""

    def decorate(test):
        test = settings(max_examples=n_examples)(given(tiny=TINY, **draws)(test))
        return pytest.mark.parametrize("variant", VARIANTS)(test)

    return decorate


class Problem(SimpleNamespace):
    """Ratings 0 to 5, rows and columns without any among them, features, and a start."""

    def __init__(self, variant, tiny):
        seed, n, m, f, density = tiny
        rng = np.random.default_rng(seed)
        mask = rng.random((n, m)) < density
        mask[0, 0] = mask[1, 1] = True
        values = rng.integers(0, 6, mask.shape).astype(float)
        values[0, 0], values[1, 1] = 5, 0
        R = sp.coo_array((values[mask], np.nonzero(mask)), shape=mask.shape).tocsr()
        U, V = (rng.normal(size=(size, f)) for size in mask.shape)
        features = [features_of(variant, side, size) for side, size in zip(SIDES, R.shape)]  # noqa: B905
        self.variant, self.f, self.rng, self.R = variant, f, rng, data_of(variant, R)
        self.U, self.V, (self.user_features, self.item_features) = U, V, features

    def fit(self, n_iterations=2, R=None, changes=None, cg_steps=0, executor="serial", **options):
        solver = {"solver": "cg", "cg_steps": cg_steps} if cg_steps else {}
        options |= {"rng": Start(self.U, self.V), "verbose": False, "executor": executor}
        options |= {"user_features": self.user_features, "item_features": self.item_features}
        R = self.R if R is None else R
        return settings_of(self.variant, self.f, **changes or {}).fit(
            R, n_iterations, **solver, **options
        )

    def new_rows(self, side, size, n_rows=3):
        """Ratings of so many other rows, and features of them; the first has none."""
        mask = self.rng.random((n_rows, size)) < [[0], [0.4], [0.9]]
        values = self.rng.integers(self.variant in COUNTS, 6, mask.shape)[mask].astype(float)
        rows = sp.coo_array((values, np.nonzero(mask)), shape=mask.shape).tocsr()
        return rows, features_of(self.variant, side, n_rows, seed=7)


def known(model, side):
    """Given features of a side as a dense matrix, or None."""
    link = model.link(side)
    return None if link is None or link.features is None else link.features.toarray()


def part_of(features, row):
    """Those of one row."""
    if features is None or sp.issparse(features):
        return None if features is None else features[[row]]
    return features.iloc[row].to_dict()


# What is minimised


def dense_objective(model, R):
    """Every term of the objective; rows without ratings are their prior means, and add nothing."""
    s, (total, _) = model.settings, dense_error(model, R)
    for side in SIDES:
        X, f = own(side, model).astype(float), s.n_factors
        X = np.c_[X[:, :f], X[:, f + (side == "items")]] if s.bias else X
        of_rows = dense_system(model, side, turned(side, R), known(model, side))
        for x, (Y, _, penalties, prior) in zip(X, of_rows, strict=True):
            total += penalties @ (x - prior) ** 2 if len(Y) else 0
        if link := model.link(side):
            for reg, B in ((s.implicit_reg, link.rated), (s.feature_reg, link.given)):
                total += 0 if B is None else setting(reg, side) * np.sum(B.astype(float) ** 2)
    return total


def step(model, R, side, part, cg_steps):
    """One of the four steps, B, U, C or V, alone."""
    rows, link = turned(side, R), model.link(side)
    if part == "link":
        return model if link is None else model.step_link(side, rows, rows.T.tocsr())[0]
    equation = model.equation(side, rows, None if link is None else link.features)
    if cg_steps:
        equation = replace(equation, x0=model.solved(side), n_steps=cg_steps)
    return model.with_rows(side, model.assemble(side, solve_rows(equation)))


def somewhere(model, rng):
    """The same model with factors and links drawn at random."""
    for side in SIDES:
        X = rng.normal(size=(len(own(side, model)), model.n_factors + model.settings.bias))
        model = model.with_rows(side, model.assemble(side, X.astype(model.U.dtype)))
        if link := model.link(side):
            drawn = [lambda B: rng.normal(size=B.shape).astype(B.dtype)] * 2
            model = model.with_link(side, mapped(link, *drawn))
    return model


@each_variant(
    12,
    dtype=DTYPE,
    cg_steps=CG_STEPS,
    weights=st.tuples(*2 * [st.sampled_from([0.01, 0.3, 10.0])]),
    direct=st.booleans(),
    steps=st.permutations([*itertools.product(SIDES, ("link", "rows"))]),
)
def test_no_step_raises_the_objective(variant, tiny, dtype, cg_steps, weights, direct, steps):
    """Nor an iteration, whose books are the sums; the steps from anywhere, in any order."""
    problem, rounding = Problem(variant, tiny), rounding_of(dtype, 1e-11, 1e-4)
    R, changes, size = problem.R, {}, 0
    if variant in COUNTS:  # the books add up more than is left, for targets of 1 + α₀ / (α r)
        (α, α0), names = weights, ("confidence", "unobserved_weight")
        changes, size = dict(zip(names, weights, strict=True)), sum(α0 * (1 + α0 / α / R.data))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alsnb.features.DIRECT", 500 if direct else 2)
        model = problem.fit(4, dtype=dtype, changes=changes, cg_steps=cg_steps)
        rounding *= model.objectives[0] + size
        assert (np.diff(model.objectives) <= rounding).all()
        assert model.objectives[-1] == pytest.approx(dense_objective(model, R), abs=rounding)
        total, weight = dense_error(model, R)
        assert weight * model.train_errors[-1] ** 2 == pytest.approx(total, abs=rounding)
        model = somewhere(model, problem.rng)
        before = dense_objective(model, R)
        for side, part in steps:
            model = step(model, R, side, part, cg_steps)
            after = dense_objective(model, R)
            assert after <= before * (1 + rounding_of(dtype, 1e-12, 1e-5))
            before = after


def mapped(link, rated=None, given=None, features=None):
    """A link of which parts are changed, where there are any."""
    how = {"rated": rated, "given": given, "features": features}
    parts = {
        k: change(getattr(link, k))
        for k, change in how.items()
        if change and getattr(link, k) is not None
    }
    return replace(link, **parts)


@each_variant(5, cg_steps=CG_STEPS)
def test_permuted_users_and_items_have_permuted_factors(variant, tiny, cg_steps):
    problem, other = Problem(variant, tiny), Problem(variant, tiny)
    users, items = map(problem.rng.permutation, problem.R.shape)
    other.R, other.U, other.V = problem.R[users][:, items], problem.U[users], problem.V[items]
    if variant in GIVEN:
        other.user_features = problem.user_features.iloc[users]
        other.item_features = problem.item_features[items]
    model, moved = (one.fit(cg_steps=cg_steps) for one in (problem, other))
    links = [
        link and mapped(link, rated=lambda B, c=columns: B[c], features=lambda F, r=rows: F[r])
        for link, rows, columns in zip(model.links or (), (users, items), (items, users))  # noqa: B905
    ]
    expected = vars(model) | {"U": model.U[users], "V": model.V[items], "links": links}
    assert_close(moved, SimpleNamespace(**expected), 1e-8)


@each_variant(5, cg_steps=CG_STEPS, c=st.floats(0.01, 100))
def test_scaled_ratings_have_scaled_predictions(variant, tiny, cg_steps, c):
    """In stars: c R with c λ and c λ_B, but the λ of biases as it was, predicts c times as much.

    Factors are √c times as large, the objective is c² times as large. Counts are only weights: c
    times as many, with a confidence of 1 / c, change nothing.
    """
    problem, other, s = Problem(variant, tiny), Problem(variant, tiny), settings_of(variant)
    model, root, f = problem.fit(cg_steps=cg_steps), np.sqrt(c), problem.f
    other.R, expected = problem.R * c, vars(model)
    changes = {"confidence": s.confidence and s.confidence / c}
    if variant not in COUNTS:
        other.U, other.V = root * problem.U, root * problem.V
        regs = ("lambda_reg", "implicit_reg", "feature_reg")
        changes |= {name: tuple(np.multiply(getattr(s, name), [c, c])) for name in regs}
        changes |= {"bias_reg": s.bias_reg or s.lambda_reg} if s.bias else {}
        biases = np.array([[c, 1, c], [1, c, 1]])[:, : 3 * s.bias]
        U, V = model.U * np.r_[f * [root], biases[0]], model.V * np.r_[f * [root], biases[1]]
        links = [link and mapped(link, *2 * [lambda B: root * B]) for link in model.links or ()]
        books = {"train_errors": c * model.train_errors, "objectives": c**2 * model.objectives}
        expected = expected | {"U": U, "V": V, "links": links} | books
        close(U @ V.T, c * model.predict(range(len(U))), 1e-12)
    found = other.fit(changes=changes, cg_steps=cg_steps)
    assert_close(found, SimpleNamespace(**expected), 1e-8)


# Two ways to compute the same


@each_variant(6, dtype=DTYPE, cg_steps=CG_STEPS)
def test_the_compiled_loop_is_the_readable_one(variant, tiny, dtype, cg_steps):
    problem = Problem(variant, tiny)
    slow, fast = (
        problem.fit(dtype=dtype, cg_steps=cg_steps, executor=executor)
        for executor in ("readable", "serial")
    )
    assert slow.U.dtype == fast.U.dtype == dtype
    assert_close(slow, fast, rounding_of(dtype, 1e-9, 2e-3))


@each_variant(5)
def test_both_forms_of_push_through_agree(variant, tiny):
    """The f × f system and the smaller one; with confidence, zeros one by one and by their Gram."""
    problem = Problem(variant, tiny)
    model = somewhere(problem.fit(1), problem.rng)
    for side in SIDES:
        rows, link = turned(side, problem.R), model.link(side)
        equation = model.equation(side, rows, None if link is None else link.features)
        for i in range(len(equation)):
            row = equation.row(i)
            if variant in COUNTS:
                c, p = np.full(len(equation.Y), model.settings.unobserved_weight), 0 * rows[[i]]
                columns, counts = rated_by(rows, i)
                c[columns] += model.settings.confidence * counts
                p = np.isin(np.arange(len(c)), columns).astype(float)
                other = row | {"Y": equation.Y, "r": p, "weights": c, "gram": None}
            else:
                other = row | {"gram": np.zeros((equation.Y.shape[1],) * 2)}
            close(solve_row(**other), solve_row(**row), 1e-9)


@pytest.mark.filterwarnings("ignore:all ratings are")
@each_variant(5, kind=st.sampled_from(["rows", "columns", "triples"]))
def test_order_and_duplicates_of_what_is_stored_do_not_matter(variant, tiny, kind):
    problem = Problem(variant, tiny)
    expected, A, rng = bits(problem.fit()), problem.R.tocoo(), problem.rng
    order = rng.permutation(A.nnz)
    shuffled = sp.coo_array((A.data[order], [of[order] for of in A.coords]), shape=A.shape)
    # tocsr keeps that order within each row
    R = {"rows": shuffled.tocsr, "columns": shuffled.tocsc, "triples": shuffled.copy}[kind]()
    with untouched(R):
        assert bits(problem.fit(R=R)) == expected
    twice = sp.coo_array(
        (np.append(A.data, 3), [np.append(of, of[0]) for of in A.coords]), shape=A.shape
    )
    with pytest.raises(ValueError, match=f"R is ambiguous: 1 of {A.nnz + 1} ratings repeat"):
        problem.fit(R=twice)
    # as a table, in which every rating may come in two halves
    table = pd.DataFrame({"user_id": 7 * A.row, "item_id": 90 - A.col, "rating": A.data})
    ratings = Ratings.from_table(table)
    again = Ratings.from_table(table.iloc[order])
    halves = pd.concat([table.iloc[order], table]).assign(rating=lambda t: t["rating"] / 2)
    summed = Ratings.from_table(halves, on_duplicate="sum")
    for other in (again, summed):
        assert bytes_of(other) == bytes_of(ratings)
        assert other.to_table(other.R).equals(ratings.to_table(ratings.R))


# New rows, and changed ones


@each_variant(4, side=st.sampled_from(SIDES), cg_steps=CG_STEPS)
def test_a_converged_row_is_folded_in_where_it_is(variant, tiny, side, cg_steps):
    problem, before = Problem(variant, tiny), []

    def unmoved(_, *factors):
        moved = [abs(X - Y).max() for X, Y in zip(factors, before, strict=False)]
        before[:] = factors
        return bool(moved) and max(moved) < 1e-10

    model = problem.fit(2000, callback=unmoved, cg_steps=cg_steps)
    assume(len(model.objectives) < 2000)
    features = getattr(problem, f"{side[:-1]}_features")
    folded = model.fold_in(turned(side, problem.R), side, features=features)
    close(folded, own(side, model), 1e-6)


@each_variant(6, dtype=DTYPE, side=st.sampled_from(SIDES))
def test_appended_and_updated_rows_are_solved_and_no_others(variant, tiny, dtype, side):
    """As least squares says, on all that they have, by the features that they have."""
    problem, rounding = Problem(variant, tiny), rounding_of(dtype)
    model, R, rng = problem.fit(dtype=dtype), problem.R, problem.rng
    other, (n, size) = SIDES[side == "users"], turned(side, R).shape
    rows, features = problem.new_rows(side, size)
    with untouched(model, R, rows):
        grown, R_grown = model.append(rows, R, side, features=features)
    X = own(side, grown)
    assert X[:n].tobytes() == own(side, model).tobytes()
    close(X[n:], dense_rows(model, side, rows, dense_given(model, side, features)), rounding)
    close(model.fold_in(rows, side), dense_rows(model, side, rows), rounding)  # nothing known
    for k in range(3):  # one alone, in any order
        columns, stars = (part[::-1] for part in rated_by(rows, k))
        one = model.fold_in((columns, stars), side, features=part_of(features, k))
        close(one, X[n + k], rounding)
    if variant not in COUNTS:  # the first has no ratings: what features predict, exactly
        prior = model.prior_mean(side=side, features=part_of(features, 0))
        assert (
            model.fold_in(([], []), side, features=part_of(features, 0)).tolist() == prior.tolist()
        )
    whole = entries(turned(side, R))
    assert entries(turned(side, R_grown)) == whole | {
        (n + i, j): stars for (i, j), stars in entries(rows).items()
    }
    if model.settings.implicit_features:  # nobody knows yet what rating them says
        assert not grown.link(other).rated[n:].any()
    # and the grown model is updated
    new = sp.random_array(R_grown.shape, density=0.3, random_state=rng, format="csr")
    new.data[:] = rng.integers(variant in COUNTS, 6, new.nnz)
    with untouched(grown, R_grown, new):
        changed, R_changed = grown.update(new, R_grown, side)
    assert entries(R_changed) == entries(R_grown) | entries(new)
    X, touched = X.copy(), np.flatnonzero(np.diff(turned(side, new).indptr))
    solved = dense_rows(grown, side, turned(side, R_changed), known(grown, side))
    close(own(side, changed)[touched], solved[touched], rounding)
    X[touched] = own(side, changed)[touched]
    assert bytes_of(changed) == bytes_of(grown.with_rows(side, X))
    if side == "items":
        return
    one_by_one = grown, R_grown  # and forgotten again
    for user in touched:
        new_of = user, *rated_by(new, user)
        by_function = alsnb.add_rating_optimized(*new_of, one_by_one[1], one_by_one[0])
        one_by_one = one_by_one[0].update(new_of, one_by_one[1])
        assert bytes_of(*by_function) == bytes_of(*one_by_one)
    assert bytes_of(*one_by_one) == bytes_of(changed, R_changed)
    for user in touched:
        fresh = np.setdiff1d(rated_by(new, user)[0], rated_by(R_grown, user)[0])
        one_by_one = one_by_one[0].forget(user, fresh[::-1], one_by_one[1])
    back, R_back = one_by_one
    assert entries(R_back) == {pair: entries(R_changed)[pair] for pair in entries(R_grown)}
    solved = dense_rows(grown, side, R_back, known(grown, side))
    close(back.U[touched], solved[touched], rounding)


@each_variant(5, dtype=DTYPE)
def test_shares_add_up_to_the_prediction_and_each_is_right(variant, tiny, dtype):
    problem, rounding = Problem(variant, tiny), rounding_of(dtype)
    model = problem.fit(dtype=dtype)
    rows, features = problem.new_rows("users", len(model.V))
    F, (rated, B) = dense_given(model, "users", features), dense_link(model, "users")
    systems = dense_system(model, "users", rows, F)
    for k, (Y, left, penalties, _) in enumerate(systems):
        items, stars = rated_by(rows, k)
        item, how_many = problem.rng.integers(len(model.V)), max(len(items), 1)
        given_ = {"features": part_of(features, k)}
        shares, baseline = model.explain(item, items, stars, **given_)
        split, same = model.explain(item, items, stars, **given_, split=True)
        assert (list(split), same) == (["how", "that"], baseline)
        near = {"rtol": 0, "atol": rounding * max(abs(split).to_numpy().sum(), 1)}
        np.testing.assert_allclose(split.sum(axis=1), shares, **near)
        predicted = model.V[item] @ model.fold_in((items, stars), **given_)
        np.testing.assert_allclose(shares.sum() + baseline, predicted, **near)
        # the prediction is zᵀ(Yᵀ(r − o) + p m), and m a sum over what was rated and features
        y = np.append(model.item_factors[item], 1)[: Y.shape[1]]
        z = np.linalg.solve(Y.T @ Y + np.diag(penalties), y)
        how = (Y @ z * left)[items if variant in COUNTS else slice(None)]
        np.testing.assert_allclose(split["how"], how, **near)
        that = 0 * how if rated is None else rated[items] @ (penalties * z) / np.sqrt(how_many)
        np.testing.assert_allclose(split["that"], that, **near)
        rest = model.mean + model.item_bias[item]
        rest += 0 if B is None else (F @ B)[k] @ (penalties * z)
        np.testing.assert_allclose(baseline, rest, **near)


@each_variant(4, dtype=DTYPE)
def test_a_saved_model_comes_back_to_the_bit(tmp_path_factory, variant, tiny, dtype):
    problem = Problem(variant, tiny)
    model, path = problem.fit(dtype=dtype), tmp_path_factory.getbasetemp() / f"{variant}.npz"
    rows, features = problem.new_rows("users", len(model.V))
    one = {"features": part_of(features, 1)}
    grown, _ = model.append(rows, problem.R, features=features)
    for saved in (model, grown, model.replace(test_errors=model.train_errors)):
        with untouched(saved):
            assert saved.save(str(path)) == path
        loaded = alsnb.load_model(path)
        assert (loaded.settings, repr(loaded)) == (saved.settings, repr(saved))
        for call in (
            lambda m: [*bits(m), *bytes_of(m), *(link and link.columns for link in m.links or ())],
            lambda m: m.predict(range(len(m.U))).tobytes(),
            lambda m: m.fold_in(rows, features=features).tobytes(),
            lambda m: m.explain(1, *rated_by(rows, 1), **one)[0].tobytes(),
            lambda m: m.prior_mean([0, 1], **one).tobytes(),
            lambda m: bits(m.update((0, [0, 1], [4, 5]), sp.csr_array((len(m.U), len(m.V))))[0]),
        ):
            assert call(loaded) == call(saved)
