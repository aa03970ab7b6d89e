"""Which errors are the user's to mend, and those of too little memory or room in words that say how. Free of torch."""

import errno

from crispmap.errors import CrispmapError, one_line

_LESS = {
    "predict": "a smaller --batch-size or --patch",
    **dict.fromkeys(("fit", "compare", "search-weight"), "a smaller --data.batch_size, --data.window or --network"),
}
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_MEMORY = ("can't allocate memory", "bad_alloc", "can't start new thread", "could not create a primitive")


def to_mend(error: Exception, command: str) -> str | None:
    """What the user has to mend, in a line; None if the error was not foreseen, and is a bug.

    Args:
        error: Any that a command ended with.
        command: Its name.
    """
    if isinstance(error, CrispmapError):
        return one_line(error)
    if isinstance(error, OSError):  # a full disk, a missing permission: the user's, wherever it strikes
        return one_line(_shortage(error, command) or error)
    line = _shortage(error, command) if isinstance(error, MemoryError | RuntimeError) else None
    return line and one_line(line)


def _shortage(error: Exception, command: str) -> str | None:
    """What to tell someone whose machine has run out of something; None if the error says nothing of the kind.

    Torch and Lightning are recognised by their words: their classes are not loaded for this.
    """
    words = str(error).strip() or type(error).__name__
    if (isinstance(error, OSError) and error.errno in _NO_ROOM) or "PytorchStreamWriter" in words:
        return f"{_last_line(words)}: the disk or a quota is full; make room and repeat the command"
    if "DataLoader worker" in words and "killed" in words:
        return f"a process that reads images was killed, likely for want of memory; give {_less(command)}"
    no_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if no_memory or (isinstance(error, OSError) and error.errno == errno.ENOMEM) or any(w in words for w in _NO_MEMORY):
        return f"out of memory ({_last_line(words)}); give {_less(command)}"
    return None


def _less(command: str) -> str:
    return f"{_LESS[command]}, or it more" if command in _LESS else "it more"


def _last_line(words: str) -> str:
    """An error of a loader process comes with its trace before it."""
    return words.splitlines()[-1]
