"""``python -m crispmap`` is ``crispmap``."""

from crispmap.cli import entry_point

entry_point()
