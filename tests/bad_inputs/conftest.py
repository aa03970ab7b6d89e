"""The corpus of bad inputs: what is right beside it, and the tally at the end."""

import pytest
from driving import TALLY
from good_inputs import Good, make_good


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):  # in one of xdist's processes, which print nothing themselves
        session.config.workeroutput["bad inputs"] = dict(TALLY)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    TALLY.update(node.workeroutput.get("bad inputs", {}))


def pytest_terminal_summary(terminalreporter):
    if TALLY:
        terminalreporter.section("bad inputs × doors")
        for line, count in sorted(TALLY.items()):
            terminalreporter.write_line(f"{line:<28}{count:>6}")
        terminalreporter.write_line(f"{'all':<28}{sum(TALLY.values()):>6}")


@pytest.fixture(scope="session")
def good(tmp_path_factory) -> Good:
    """One small image, mask, vector file and model that every command takes."""
    return make_good(tmp_path_factory.mktemp("good"))


@pytest.fixture
def away(tmp_path, monkeypatch):
    """A working directory of one's own: some outputs go to where the command was given."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
