"""Work that overlaps in time: what comes next is made ahead and what is done is put away behind, in order.

GDAL lets go of Python's lock while it reads and writes, and torch while it computes. One thread makes everything of an
iterator, and closes it, so that a file opened in there belongs to that thread alone.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
_END: Any = object()


def made_ahead(items: Generator[T], depth: int) -> Generator[T]:
    """Yields what a generator yields, made by a thread of its own while what came before is worked on here.

    Args:
        items: Is closed by its thread in the end, also where this iterator is closed early.
        depth: How many items wait at most.

    Raises:
        Exception: What the generator raises, when its turn comes.
    """
    with ThreadPoolExecutor(1, "made-ahead") as thread:
        ahead: deque[Future[T]] = deque(thread.submit(next, items, _END) for _ in range(depth))
        try:
            while (item := ahead.popleft().result()) is not _END:
                ahead.append(thread.submit(next, items, _END))
                yield item
        finally:
            for future in ahead:
                future.cancel()
            thread.submit(items.close).result()


def put_away_behind(items: Iterable[T], put_away: Callable[[T], object]) -> None:
    """Calls a function with every item, in a thread of its own while the next item is made here.

    Args:
        items: Made in the calling thread.
        put_away: Never called twice at a time, and never again after it has failed.

    Raises:
        Exception: What the function raises, before another item is handed to it; or what making an item raises, once
            the one before it is put away.
    """
    with ThreadPoolExecutor(1, "put-away") as thread:
        behind: Future[object] | None = None
        for item in items:
            if behind is not None:
                behind.result()
            behind = thread.submit(put_away, item)
        if behind is not None:
            behind.result()
