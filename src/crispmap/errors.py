"""The errors that crispmap raises on purpose.

    CrispmapError                 what a caller did or gave cannot work; the message says what to do
    ├── SettingError              a parameter, a flag or a combination of them is out of range
    ├── InputError                a file or folder that was given cannot be used
    │   ├── PairingError          images and labels, or predictions and truths, do not belong together
    │   └── ModelError            a run, checkpoint or set of weights cannot be used
    └── OutputError               the place where a result should go is taken or cannot be written

The command line turns each of them into one line on standard error and exit status 2. Whatever else
reaches the user is a bug of crispmap. A message names what was found, where, and what to do about it.
"""


class CrispmapError(Exception):
    """Root of the tree: what a caller did or gave cannot work."""


class SettingError(CrispmapError, ValueError):
    """A parameter, a flag or a combination of them is out of range."""


class InputError(CrispmapError):
    """A file or folder that was given cannot be used."""


class PairingError(InputError):
    """Images and labels, or predictions and truths, do not belong together."""


class ModelError(InputError):
    """A run, checkpoint or set of weights cannot be used."""


class OutputError(CrispmapError):
    """The place where a result should go is taken or cannot be written."""


def one_line(error: object) -> str:
    """All that an error says, in one line that a terminal takes for text."""
    return printable(" ".join(str(error).split()))


def first_line(error: object) -> str:
    """The first line of what an error says, or its kind where it says nothing."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)  # a KeyError quotes itself
    return (text.strip().splitlines() or [type(error).__name__])[0]


def printable(text: str) -> str:
    r"""Text in which what cannot be printed is written as its number, such as ``\x1b``.

    Names come from files of strangers, and a terminal obeys characters that it does not print: it clears the screen,
    takes back lines, runs text backwards.
    """
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
