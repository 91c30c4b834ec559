"""Every variant of the model in 50 digits, from the formulas of its objective alone.

Writes `table.json`, to which `tests/test_numbers.py` holds the package, or checks that it is what
comes out: ``pip install mpmath``, then ``python tests/numbers/by_mpmath.py [--check]``. Nothing of
the package is used but the settings of the variants that are tested.

A row x, of a user or of an item, is its factors and perhaps its bias. In a half-step it minimises

    Σ c (t − y·x)² + Σ_q p_q (x_q − m_q)²

over what it has rated or, with confidence, over everything; p_q is λ n^ν, with the λ of factors or
of biases, and m = Bᵀf is what its features predict. The order is: B of users, users, B of items,
items. B is that of factors and of biases times √(λ of biases / λ of factors), so that one penalty
p = λ n^ν goes for all of x. B of what was rated takes one step down its gradient, for each column
of the best length; then B of given features is solved for or, where it is told so, takes a step.
"""

import json
import re
import sys
from pathlib import Path

from mpmath import lu_solve, matrix, mp, mpf, nstr, sqrt

sys.path.insert(0, str(Path(__file__).parents[1]))
from helpers import VARIANTS

mp.dps, DIGITS = 50, 20
TABLE = Path(__file__).with_name("table.json")
NONE = None  # a rating of zero is one
CASE = {  # numbers that floats hold exactly; the fourth user and the third item have no ratings
    "R": [
        [5, 3.5, NONE, 0, 1],
        [NONE, 4, NONE, NONE, NONE],
        [2, NONE, NONE, 4.5, NONE],
        [NONE, NONE, NONE, NONE, NONE],
        [1, 0.5, NONE, NONE, 5],
        [NONE, 2, NONE, 3, 4],
    ],
    "U": [
        [0.5, -0.25, 0.75],
        [-0.5, 1, 0.25],
        [0.25, 0.5, -1],
        [0, 0, 0],
        [1.25, -0.75, 0.5],
        [-0.125, 0.375, 1],
    ],
    "V": [[0.75, 0.5, -0.25], [-1, 0.25, 0.5], [0, 0, 0], [0.375, -0.5, 1.25], [0.5, 1, -0.625]],
    "user_features": [[1, 0, 0.5], [0, 1, 0.5], [1, 0, -0.5], [0.5, 1, 0], [0, 0, 0], [1, 1, 0.25]],
    "item_features": [[1, 0, 0], [0, 0.5, 1], [1, 1, 0], [0, 0, 0], [0.25, 0, 1]],
    "new": [NONE, 4, 1.5, NONE, 2.5],  # of a user who is folded in
    "new_features": [0, 1, 0.25],
}
BY_STEPS = ("features", "all")  # variants of which B of given features is also found by steps


def numbers(rows):
    return [[None if x is None else mpf(x) for x in row] for row in rows]


def sparse(rows):
    """Of each row, {column: value}."""
    return [{j: x for j, x in enumerate(row) if x is not None} for row in rows]


def dot(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True))


class Side:
    """The users, or the items."""

    def __init__(self, k, settings, rows, n_columns, start, features):
        def setting(name, default=None):
            value = settings.get(name, default)
            return None if value is None else mpf(value[k] if isinstance(value, tuple) else value)

        self.rows, self.n_columns, self.bias = rows, n_columns, settings.get("bias", False)
        self.ν, self.λ = setting("reg_exponent", 0), setting("lambda_reg")
        self.α, self.α0 = setting("confidence"), setting("unobserved_weight", 1)
        s = sqrt(setting("bias_reg", settings["lambda_reg"]) / self.λ)
        self.units = [mpf(1)] * len(start[0]) + [s] * self.bias
        self.X = [x + [mpf(0)] * self.bias for x in start]
        self.parts, self.features = {}, features  # of B: {name: (B, λ_B)}
        if settings.get("implicit_features"):
            self.parts["rated"] = self.zeros(n_columns), setting("implicit_reg")
        if features is not None:
            self.parts["given"] = self.zeros(len(features[0])), setting("feature_reg")

    def zeros(self, n):
        return [[mpf(0)] * len(self.units) for _ in range(n)]

    def penalty(self, row):
        """λ n^ν; with confidence, of n and as many more as all the zeros weigh."""
        n = len(row) + self.α0 * self.n_columns if self.α else max(len(row), 1)
        return self.λ * mpf(n) ** self.ν

    def described(self, name, row, given):
        """The features of a row: {k: value}."""
        if name == "rated":
            return {j: 1 / sqrt(mpf(len(row))) for j in row}
        return {} if given is None else dict(enumerate(given))

    def prior(self, row, given, but=()):
        """Bᵀf, in the units of B; perhaps without some of its parts."""
        m = [mpf(0)] * len(self.units)
        for name, (B, _) in self.parts.items():
            for k, value in self.described(name, row, given).items():
                m = [a + value * b * (name not in but) for a, b in zip(m, B[k], strict=True)]
        return m

    def own(self):
        """Each row, its features and its solution."""
        return zip(self.rows, self.features or [None] * len(self.rows), self.X, strict=True)

    def step_link(self, solve_given):
        for name, (B, reg) in self.parts.items():
            solve = name == "given" and solve_given
            rows = []  # of each row that counts: features, p, and what is left of it
            for row, given, x in self.own():
                if row or self.α:
                    m = self.prior(row, given, but=[name] if solve else ())
                    left = [a * unit - b for a, unit, b in zip(x, self.units, m, strict=True)]
                    rows.append((self.described(name, row, given), self.penalty(row), left))
            for q in range(len(self.units)):
                self.better(B, q, rows, reg, solve)

    def better(self, B, q, rows, reg, solve):
        """Lower Σ p (left − Bᵀf)² + λ_B B² over column q of B: to its end, or by one step."""
        right = [sum(p * left[q] * f.get(k, 0) for f, p, left in rows) for k in range(len(B))]
        if solve:
            A = matrix(len(B), len(B))
            for k in range(len(B)):
                for e in range(len(B)):
                    A[k, e] = sum(p * f.get(k, 0) * f.get(e, 0) for f, p, _ in rows)
                A[k, k] += reg
            step = [a - b[q] for a, b in zip(lu_solve(A, matrix(right)), B, strict=True)]
        else:
            down = [a - reg * b[q] for a, b in zip(right, B, strict=True)]
            along = [sum(value * down[k] for k, value in f.items()) for f, _, _ in rows]
            size = dot(down, down)
            bend = sum(p * a**2 for (_, p, _), a in zip(rows, along, strict=True)) + reg * size
            step = [size / bend * a if size else a for a in down]
        for b, a in zip(B, step, strict=True):
            b[q] += a

    def terms(self, row, Y, offsets):
        """What a row is to fit: (c, t, y) of each."""
        if self.α:
            for j, y in enumerate(Y):
                yield self.α0 + self.α * row.get(j, 0), mpf(j in row), y
        else:
            for j, r in row.items():
                yield mpf(1), r - offsets[j], Y[j]

    def pulls(self, row, given):
        """p and m of each unknown, in stars."""
        m = self.prior(row, given)
        return [
            (self.penalty(row) * unit**2, a / unit) for a, unit in zip(m, self.units, strict=True)
        ]

    def solve(self, row, given, Y, offsets):
        pulls = self.pulls(row, given)
        A, b = matrix(len(pulls), len(pulls)), matrix([p * m for p, m in pulls])
        for q, (p, _) in enumerate(pulls):
            A[q, q] = p
        for c, t, y in self.terms(row, Y, offsets):
            for q in range(len(y)):
                b[q] += c * t * y[q]
                for e in range(len(y)):
                    A[q, e] += c * y[q] * y[e]
        return list(lu_solve(A, b))


class Model:
    def __init__(self, settings, case, given):
        R = numbers(case["R"])
        if "confidence" in settings:
            R = [[None if r is None else r + 1 for r in row] for row in R]
        rows, columns = sparse(R), sparse(zip(*R, strict=True))
        features = [numbers(case[name]) if given else None for name in FEATURES]
        self.users = Side(0, settings, rows, len(columns), numbers(case["U"]), features[0])
        self.items = Side(1, settings, columns, len(rows), numbers(case["V"]), features[1])
        ratings = [r for row in rows for r in row.values()]
        self.bias, self.μ = settings.get("bias", False), sum(ratings) / len(ratings)

    def fixed(self, side):
        """Y, with ones for a bias, and what is explained already of a rating in each column."""
        if not self.bias:
            return side.X, [mpf(0)] * len(side.X)
        return [[*x[:-1], mpf(1)] for x in side.X], [x[-1] + self.μ for x in side.X]

    def iterate(self, solve_given):
        for side, other in ((self.users, self.items), (self.items, self.users)):
            side.step_link(solve_given)
            fixed = self.fixed(other)
            side.X = [side.solve(row, given, *fixed) for row, given, _ in side.own()]

    def errors(self):
        """Σ c (t − y·x)², Σ c, and the whole objective."""
        error, weight, fixed = mpf(0), mpf(0), self.fixed(self.items)
        for row, _, x in self.users.own():
            for c, t, y in self.users.terms(row, *fixed):
                error, weight = error + c * (t - dot(y, x)) ** 2, weight + c
        objective = error
        for side in (self.users, self.items):
            for row, given, x in side.own():
                pulls = side.pulls(row, given) if row or side.α else []
                objective += sum(p * (a - m) ** 2 for (p, m), a in zip(pulls, x, strict=False))
            for B, reg in side.parts.values():
                objective += reg * sum(dot(b, b) for b in B)
        return error, weight, objective

    def whole(self, x, side):
        """A row with the columns that biases need: b_u, 1 and μ, or 1, b_i and 1."""
        if not self.bias:
            return x
        return [*x, mpf(1), self.μ] if side is self.users else [*x[:-1], mpf(1), x[-1], mpf(1)]

    def report(self, case, given):
        error, weight, objective = self.errors()
        (new,) = sparse(numbers([case["new"]]))
        features = numbers([case["new_features"]])[0] if given else None
        folded = self.users.solve(new, features, *self.fixed(self.items))
        return {
            "U": [self.whole(x, self.users) for x in self.users.X],
            "V": [self.whole(x, self.items) for x in self.items.X],
            "objective": objective,
            "train_error": sqrt(error / weight),
            "fold_in": self.whole(folded, self.users),
        }


FEATURES = ("user_features", "item_features")


def compute():
    cases = {}
    for name in [*VARIANTS, *(f"{name}, by steps" for name in BY_STEPS)]:
        variant, _, by_steps = name.partition(", ")
        settings = {"n_factors": 3, "lambda_reg": 0.5} | VARIANTS[variant]
        given = "feature_reg" in settings
        exact = {k: decimal(v) for k, v in settings.items()}
        model, cases[name] = Model(exact, CASE, given), {"settings": settings}
        for k in (1, 2, 3):
            model.iterate(solve_given=not by_steps)
            if k != 2:
                cases[name][str(k)] = written(model.report(CASE, given))
    return {"case": CASE, "cases": cases}


def decimal(value):
    """0.1 is a tenth, not the float that is nearest to it."""
    if isinstance(value, tuple):
        return tuple(map(decimal, value))
    return value if isinstance(value, bool) else mpf(str(value))


def written(value):
    if isinstance(value, dict):
        return {name: written(part) for name, part in value.items()}
    return [written(one) for one in value] if isinstance(value, list) else nstr(value, DIGITS)


if __name__ == "__main__":
    text = json.dumps(compute(), indent=1, ensure_ascii=False) + "\n"
    text = re.sub(r"\[\s+([^][{]+?)\s+\]", lambda row: f"[{' '.join(row[1].split())}]", text)
    if "--check" in sys.argv:
        sys.exit(None if TABLE.read_text() == text else f"{TABLE} is not what comes out")
    TABLE.write_text(text)
