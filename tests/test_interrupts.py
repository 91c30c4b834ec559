"""Ctrl-C at any moment: it comes out, nothing is half-done, and nothing stays behind."""

import random
import signal
import sys
import time
import warnings

import numpy as np
import pytest
from helpers import SECONDS, bits, bytes_of, fit, heavy_tailed, untouched

import alsnb
from alsnb.bayes import sample_factorization

if sys.platform == "win32":
    pytest.skip("no POSIX signals", allow_module_level=True)
R = heavy_tailed(30, 25)
TRAIN, VALIDATION = alsnb.train_test_split(R, rng=0)
MODEL = fit(R, "all", 4)
PAIRS = np.nonzero(R.toarray())


def search(executor):
    grid, options = {"n_factors": [2, 3], "lambda_reg": [0.1, 1.0]}, {"executor": executor}
    table = alsnb.grid_search(TRAIN, VALIDATION, grid, n_iterations=3, verbose=False, **options)
    return table.drop(columns="seconds").to_csv()


def sample(executor):
    options = {"n_samples": 8, "burn_in": 2, "verbose": False, "pairs": PAIRS, "rng": 0}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        posterior = sample_factorization(R, 3, executor=executor, **options)
    if any("interrupted" in str(one.message) for one in said):  # some samples, all of them whole
        assert np.isfinite(posterior.pairs["mean"]).all()
        raise KeyboardInterrupt
    return [posterior.draws[-1].U.tobytes(), posterior.pairs.to_csv()]


def update():
    model, A = MODEL.update((3, [1, 2], [4.0, 5.0]), R)
    model, A = model.update(TRAIN, A, "items", n_workers=2)
    model, A = model.append(([1], [2.0]), A)
    return bytes_of(*model.forget(0, A.indices[:1], A))


def lists():
    items, scores = MODEL.recommend(None, R, 3, n_workers=2)
    return [bytes_of(items, scores), alsnb.evaluate_lists(MODEL, TRAIN, VALIDATION).to_csv()]


def fitting(executor, variant="all", **options):
    options |= {"n_workers": {"threads": 2}.get(executor, 1)}
    return lambda: bits(fit(R, variant, 6, executor=executor, **options))


def pressing(make, press):
    """Everything on the screen after some presses; the widget is the same each time."""
    widget = []

    def look(one):
        names = ("value", "description", "disabled")
        own = [str(getattr(one, name, None)) for name in names]
        return [*own, str(one.layout.display), *map(look, getattr(one, "children", ()))]

    def call():
        if not widget:
            widget.append(make())
        press(widget[0])
        return str(look(widget[0]))

    return call


def make_rating():
    from test_widgets import MODEL, RATINGS, widgets

    return widgets.RatingWidget(MODEL, RATINGS)


def rate(widget):
    widget.press("Start again")
    widget.search.value, widget.penalty.index = "", 4
    widget.rate(2, 5)
    *_, body = widget.children
    for side, row, button in ((0, 1, 2), (1, 1, 0)):
        body.children[side].children[row].children[1].children[button].click()
    widget.press("Undo")
    widget.penalty.index = 2


def make_landscape():
    from test_widgets_05 import PLAIN, WEIGHTED

    from alsnb.widgets.landscape import Landscape

    def test(penalty, lam, f):
        return fit(R, n_factors=f).train_errors[-1]

    return Landscape({"plain": PLAIN, "weighted": WEIGHTED}, test)


def open_test(widget):
    widget.opened, widget.penalty.value, widget.lam.index = None, "plain", 0
    widget.press("Open the test set")
    widget.penalty.value = "weighted"


CALLS = {  # and at how many moments each is interrupted
    "fit, serial": (fitting("serial"), 50),
    "fit, readable": (fitting("readable", "all counts"), 50),
    "fit, threads": (fitting("threads"), 50),
    "fit, cg": (fitting("threads", "all counts", solver="cg"), 50),
    "fit, processes": (fitting("processes"), 10),
    "search, serial": (lambda: search("serial"), 50),
    "search, threads": (lambda: search("threads"), 50),
    "sampler, serial": (lambda: sample("serial"), 50),
    "sampler, threads": (lambda: sample("threads"), 50),
    "updates": (update, 50),
    "lists": (lists, 50),
    "widget of ratings": (pressing(make_rating, rate), 50),
    "widget that fits": (pressing(make_landscape, open_test), 50),
}


def interrupt(call, seconds):
    """What a call returns, or None if Ctrl-C comes out of it after so many seconds."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            return call()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        return None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # amid a __del__
@pytest.mark.parametrize("name", CALLS)
def test_ctrl_c_at_any_moment(left, name):
    call, n_moments = CALLS[name]
    expected, rng = call(), random.Random(0)
    duration, n_interrupted = SECONDS, len(left(anew=True))
    with untouched(R, TRAIN, VALIDATION, MODEL):
        for moment in range(n_moments):
            if n_moments == 50 or not moment:
                started = time.perf_counter()
                assert call() == expected
                duration = min(duration, time.perf_counter() - started)
            started = time.perf_counter()
            found = interrupt(call, max(1e-6, duration * (moment + rng.random()) / n_moments))
            n_interrupted += found is None
            assert found in (None, expected)
            while found := left():  # threads may end a little later
                assert time.perf_counter() < started + duration + 10, (moment, found)
    assert call() == expected
    assert n_interrupted > n_moments / 5  # the others had ended, on a machine that is now faster
