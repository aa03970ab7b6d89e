import threading
import time

import pytest

from crispmap.predict.overlap import made_ahead, put_away_behind


def numbers(count, log=None, fail_at=None):
    """0, 1, 2, …; logs the thread that makes each and the one that closes."""
    try:
        for i in range(count):
            if i == fail_at:
                raise OSError(f"number {i}")
            if log is not None:
                log.append((i, threading.get_ident()))
            yield i
    finally:
        if log is not None:
            log.append(("closed", threading.get_ident()))


@pytest.mark.parametrize("depth", [1, 3, 50])
@pytest.mark.parametrize("count", [0, 1, 20])
def test_items_come_in_order_from_one_other_thread(count, depth):
    log = []
    assert list(made_ahead(numbers(count, log), depth)) == list(range(count))
    assert [name for name, _ in log] == [*range(count), "closed"]
    assert len({thread for _, thread in log}) == 1
    assert log[0][1] != threading.get_ident()


def test_no_more_than_the_depth_is_made_ahead():
    log = []
    items = made_ahead(numbers(20, log), 3)
    assert next(items) == 0
    time.sleep(0.05)
    assert len(log) == 4  # the one given and three that wait
    items.close()


def test_an_error_comes_in_its_turn():
    found = []
    with pytest.raises(OSError, match="number 3"):
        found.extend(made_ahead(numbers(9, fail_at=3), 2))
    items = made_ahead(numbers(9, fail_at=3), 2)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="number 3"):
        next(items)


@pytest.mark.parametrize("seen", [0, 1, 5])
def test_closing_early_closes_the_source_in_its_thread_and_ends_that(seen):
    log, before = [], threading.active_count()
    items = made_ahead(numbers(1000, log), 2)
    for _ in range(seen):
        next(items)
    items.close()
    assert len(log) < seen + 5
    if seen:
        assert log[-1] == ("closed", log[0][1])
    assert threading.active_count() == before


def test_an_interruption_of_the_consumer_ends_the_thread():
    log, before = [], threading.active_count()
    items = made_ahead(numbers(1000, log), 2)
    next(items)
    with pytest.raises(KeyboardInterrupt):
        items.throw(KeyboardInterrupt())
    assert log[-1][0] == "closed"
    assert threading.active_count() == before


def test_making_and_working_take_place_at_the_same_time():
    """Each waits for the other to have begun with another item: in turns they would wait for ever."""
    meeting = threading.Barrier(2, timeout=5)

    def slow():
        yield 0
        meeting.wait()
        yield 1

    items = made_ahead(slow(), 1)
    assert next(items) == 0
    meeting.wait()
    assert next(items) == 1
    assert not list(items)


def test_everything_is_put_away_in_order_by_one_other_thread():
    log = []
    put_away_behind(range(20), lambda i: log.append((i, threading.get_ident())))
    assert [i for i, _ in log] == list(range(20))
    assert len({thread for _, thread in log} | {threading.get_ident()}) == 2


def test_the_next_item_is_made_while_one_is_put_away():
    meeting = threading.Barrier(2, timeout=5)

    def items():
        yield 0
        meeting.wait()

    put_away_behind(items(), lambda _: meeting.wait())


def test_nothing_is_put_away_after_a_failure():
    log, made = [], []

    def put_away(i):
        log.append(i)
        if i == 3:
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        put_away_behind((made.append(i) or i for i in range(20)), put_away)
    assert log == [0, 1, 2, 3]
    assert max(made) <= 4
    with pytest.raises(OSError, match="the disk is full"):
        put_away_behind([3], put_away)


def test_what_was_made_before_a_failure_is_put_away():
    log = []
    with pytest.raises(OSError, match="number 3"):
        put_away_behind(numbers(9, fail_at=3), lambda i: (time.sleep(0.01), log.append(i)))
    assert log == [0, 1, 2]
