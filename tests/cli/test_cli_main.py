"""The program itself: its overview, its commands, and how mistakes leave it."""

import logging
import subprocess
import sys

import pytest

from crispmap.cli import COMMANDS, main


def test_the_overview_names_every_command(capsys):
    for arguments in ([], ["--help"], ["-h"]):
        assert main(arguments) == 0
        shown = capsys.readouterr().out
        assert all(name in shown for name in COMMANDS)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("crispmap 0.")


def test_as_a_module_it_is_the_same():
    done = subprocess.run([sys.executable, "-m", "crispmap", "predikt"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("crispmap: no command 'predikt'")


def test_an_unknown_command(capsys):
    assert main(["predikt"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "predict" in error


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example_and_needs_no_torch(command):
    code = (
        "import sys; from crispmap.cli import main; "
        f"assert main([{command!r}, '--help']) == 0; "
        "assert not {'torch', 'lightning', 'geopandas'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"usage: crispmap {command}" in done.stdout
    assert f"crispmap {command} " in done.stdout.split("example:")[1]


def test_a_bug_is_not_hidden(monkeypatch):
    def broken():
        raise ZeroDivisionError

    monkeypatch.setattr("crispmap.cli.synthesize.build_parser", broken)
    with pytest.raises(ZeroDivisionError):
        main(["synthesize"])


def test_what_a_terminal_would_obey_is_shown_as_text(tmp_path, capsys):
    assert main(["vectorize", str(tmp_path / "\x1b[2J\x07\x9bé\u202e.tif"), "-o", "a.gpkg"]) == 2
    shown = capsys.readouterr().err
    assert r"\x1b[2J\x07\x9bé\u202e.tif" in shown
    assert shown.removesuffix("\n").isprintable()
    logging.getLogger("crispmap").warning("of %s:\n%s", "\x1b]0;owned\x07", "a tab\tand more")
    assert capsys.readouterr().err == "of \\x1b]0;owned\\x07:\na tab\\tand more\n"


def test_a_full_disk_is_the_users_to_mend(monkeypatch, capsys):
    def full():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("crispmap.cli.synthesize.build_parser", full)
    assert main(["synthesize"]) == 2
    assert "No space left" in capsys.readouterr().err
