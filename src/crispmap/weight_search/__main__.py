"""Trains one branch that comes through standard input, for `crispmap.weight_search.branches.side_by_side`."""

import logging
import os
import pickle
import sys
from threading import Thread

from crispmap.data.regions import find_regions
from crispmap.errors import CrispmapError, one_line
from crispmap.weight_search.branches import Job


def main() -> int:
    """Trains; leaves at once when standard input ends, which says that whoever waits for the result is gone."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("crispmap").setLevel(logging.INFO)
    job: Job = pickle.load(sys.stdin.buffer)
    Thread(target=_leave_with_parent, daemon=True).start()
    try:
        job.run(find_regions(job.settings))
    except CrispmapError as error:
        print(one_line(error), file=sys.stderr)
        return 2
    return 0


def _leave_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # not through the file object, whose lock Python wants when it ends
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
