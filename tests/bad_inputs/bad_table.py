"""The table of bad inputs: each has a name, the doors it goes to, who makes it, and what must come of it."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

CANARY = "canary"  # a file of this name beside the input, if anything in it was run
HANDLED = "handled"  # instead of words of a refusal: the command must do its work, rightly


@dataclass(frozen=True)
class Bad:
    """One bad or odd input.

    Attributes:
        name: What it is.
        kinds: What it is given as; `doors.DOORS` has the commands that take each kind.
        make: Makes it in an empty folder and says which path to give.
        says: A regular expression that the refusal must match, or HANDLED.
        unless: What must come of it at single doors instead.
    """

    name: str
    kinds: tuple[str, ...]
    make: Callable[[Path], Path]
    says: str
    unless: Mapping[str, str] = field(default_factory=dict)

    def expected(self, door: str) -> str:
        """What must come of it at a door."""
        fitting = [says for pattern, says in self.unless.items() if re.fullmatch(pattern, door)]
        return fitting[0] if fitting else self.says


BAD: dict[str, Bad] = {}


def add(
    name: str,
    kinds: str | Iterable[str],
    make: Callable[[Path], Path],
    says: str,
    unless: Mapping[str, str] | None = None,
) -> None:
    """Enters an input."""
    assert name not in BAD
    BAD[name] = Bad(name, (kinds,) if isinstance(kinds, str) else tuple(kinds), make, says, unless or {})


def bad(kinds: str | Iterable[str], says: str, unless: Mapping[str, str] | None = None) -> Callable:
    """Enters the input that a function makes under the function's name."""

    def enter(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
        add(make.__name__.strip("_").replace("_", " "), kinds, make, says, unless)
        return make

    return enter
