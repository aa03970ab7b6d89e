"""Trains one branch that comes through standard input, for `crispmap.weight_search.branches.side_by_side`.

What the user has to mend is said on standard output, in a line; all else goes to standard error, which is a log: on a
full disk, the log may not even hold that line.
"""

import logging
import os
import pickle
import sys
from threading import Thread

from crispmap.data.regions import find_regions
from crispmap.shortage import to_mend
from crispmap.weight_search.branches import Job


def main() -> int:
    """Trains; leaves at once when standard input ends, which says that whoever waits for the result is gone.

    Returns:
        The exit status, as `crispmap.cli.main` gives it.
    """
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", errors="replace")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries print as they like
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("crispmap").setLevel(logging.INFO)
    job: Job = pickle.load(sys.stdin.buffer)
    Thread(target=_leave_with_parent, daemon=True).start()
    line = train(job)
    if line is not None:
        print(line, file=answer, flush=True)
    return 0 if line is None else 2


def train(job: Job) -> str | None:
    """Trains a branch; what the user has to mend if it cannot be, or None. Anything unforeseen is raised."""
    try:
        job.run(find_regions(job.settings))
    except Exception as error:
        if (line := to_mend(error, "search-weight")) is None:
            raise
        return line
    return None


def _leave_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # not through the file object, whose lock Python wants when it ends
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
