"""One BLAS thread inside, and outside what it was before."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from itertools import permutations
from unittest.mock import MagicMock

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import alsnb
from alsnb import blas
from alsnb.blas import one_blas_thread


def count_threads():
    """Threads of each BLAS that is loaded (none that is known, where it is Apple's)."""
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def elsewhere(call, *args, **options):
    """What a call returns in a thread that ends with it."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call, *args, **options).result()


@pytest.fixture(autouse=True)
def twos():
    """Two threads, whatever the machine; what `count_threads` says of them.

    They are set elsewhere: threadpoolctl may let only the first thread that sets them, while it
    lives, do so again.
    """
    limits = elsewhere(threadpool_limits, 2, user_api="blas")
    before = count_threads()
    assert set(before) <= {2}
    yield before
    elsewhere(limits.restore_original_limits)


def end(region):
    region.__exit__(None, None, None)


@pytest.fixture
def ones(twos):
    return [1] * len(twos)


def test_inside_and_after(twos, ones):
    with one_blas_thread():
        assert count_threads() == ones
    assert count_threads() == twos


def test_nested(twos, ones):
    with one_blas_thread():
        with one_blas_thread():
            assert count_threads() == ones
        assert count_threads() == ones
    assert count_threads() == twos


@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_regions_may_end_in_any_order(twos, ones, order):
    regions = [one_blas_thread() for _ in order]
    for region in regions:
        region.__enter__()
        assert count_threads() == ones
    for number in order:
        assert count_threads() == ones
        end(regions[number])
    assert count_threads() == twos


def test_a_region_begins_as_another_one_ends(twos, ones):
    first, second, third = one_blas_thread(), one_blas_thread(), one_blas_thread()
    first.__enter__()
    second.__enter__()
    end(first)
    third.__enter__()
    end(second)
    assert count_threads() == ones
    end(third)
    assert count_threads() == twos


def test_decorator(twos, ones):
    @one_blas_thread()
    def count(depth):
        return count_threads() if depth == 0 else count(depth - 1)

    assert count(0) == count(2) == ones
    assert count_threads() == twos


def test_after_an_exception(twos, ones):
    with pytest.raises(ZeroDivisionError), one_blas_thread():
        1 / 0
    assert count_threads() == twos
    with one_blas_thread():
        assert count_threads() == ones
    assert count_threads() == twos


@pytest.mark.parametrize("nth", range(8))
def test_an_interrupt_at_any_setting_is_made_good_by_the_next_region(twos, ones, nth):
    """Each BLAS that is loaded is set as a region begins, and as it ends."""
    calls, real = [], blas._set

    def interrupted(numbers):
        for number in numbers:
            calls.append(number)
            if len(calls) == nth + 1:
                raise KeyboardInterrupt
            real([number])

    with pytest.MonkeyPatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(blas, "_set", interrupted)
        with one_blas_thread():
            pass
    with one_blas_thread():
        assert count_threads() == ones
    assert count_threads() == twos
    assert not blas._running and not blas._before


def test_a_region_that_cannot_say_that_it_ends(twos, ones):
    broken, interrupted = MagicMock(), pytest.raises(KeyboardInterrupt)
    broken.__enter__.side_effect = KeyboardInterrupt
    with pytest.MonkeyPatch.context() as patch, interrupted, one_blas_thread():
        patch.setattr(blas, "_lock", broken)
    assert count_threads() == ones  # nobody could restore it
    with one_blas_thread():
        assert count_threads() == ones
    assert count_threads() == twos


def test_in_one_thread_after_another(twos, ones):
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        for pool in (one, other, one):
            region = one_blas_thread()
            pool.submit(region.__enter__).result()
            assert count_threads() == ones
            pool.submit(end, region).result()
            assert count_threads() == twos


@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_regions_of_several_threads(twos, ones, order):
    regions = [one_blas_thread() for _ in order]
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        pools = [one, other, one]
        for region, pool in zip(regions, pools, strict=True):
            pool.submit(region.__enter__).result()
            assert count_threads() == ones
        for number in order:
            assert count_threads() == ones
            pools[number].submit(end, regions[number]).result()
        assert count_threads() == twos


def test_while_another_thread_holds_a_limit(twos, ones):
    with threadpool_limits(2, user_api="blas"):
        region = one_blas_thread()
        elsewhere(region.__enter__)
        assert count_threads() == ones
        elsewhere(end, region)
        assert count_threads() == twos
    assert count_threads() == twos


def test_others_may_set_it_afterwards(ones):
    with one_blas_thread():
        pass
    limits = elsewhere(threadpool_limits, 3, user_api="blas")
    assert count_threads() == [3] * len(ones)
    elsewhere(limits.restore_original_limits)


@pytest.mark.parametrize("executor", ["serial", "threads"])
@pytest.mark.parametrize("stops", [True, False])
def test_a_fit_leaves_the_setting_as_it_was(toy, twos, ones, executor, stops):
    seen = []

    def callback(iteration, U, V):
        seen.append(count_threads())
        if stops:
            raise LookupError

    with pytest.raises(LookupError) if stops else nullcontext():
        alsnb.als_matrix_factorization_parallel(
            toy.R, 3, 0.1, 2, False, executor=executor, callback=callback
        )
    assert seen == [ones] * (1 if stops else 2)
    assert count_threads() == twos
