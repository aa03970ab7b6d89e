"""What the pages show can be typed in: commands parse, names are there, the start page runs from top to bottom."""

import ast
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from shown import BLOCKS, ROOT, blocks_of, crispmap_arguments, write_files

import crispmap
from crispmap.cli import COMMANDS, import_command, main

SHELL = {"bash", "sh"}
LINES = [(block, line) for block in BLOCKS if block.language in SHELL for line in block.lines]
SCRIPTS = [block for block in BLOCKS if block.language == "python"]
# What other programs take, besides crispmap and the scripts of this repository: nothing of ours to check.
OTHERS = ("pip install", "python3 -m venv", ". .venv/bin/activate", "hf auth login")


def test_every_block_says_what_it_holds():
    languages = {block.language for block in BLOCKS}
    assert languages <= {*SHELL, "python", "text", "yaml"}, [str(b) for b in BLOCKS if not b.language]


@pytest.mark.parametrize(("block", "line"), LINES, ids=str)
def test_a_command_can_be_called(block, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(block.page)
    arguments = crispmap_arguments(line)
    if arguments is not None:
        command, *rest = arguments
        import_command(command).build_parser().parse_args(rest)
    elif line.startswith("make "):
        assert re.search(rf"^{line.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif scripts := [word for word in shlex.split(line) if word.endswith(".py")]:
        assert (ROOT / scripts[0]).exists()
    else:
        assert line.startswith(OTHERS), f"{line}: what is it, and does it work?"


def test_all_commands_are_shown():
    shown = {arguments[0] for _, line in LINES if (arguments := crispmap_arguments(line))}
    assert set(COMMANDS) <= shown | {"demo"}  # make demo shows that one


@pytest.mark.parametrize("block", SCRIPTS, ids=str)
def test_a_script_imports_what_is_there(block):
    imports = [node for node in ast.walk(ast.parse(block.text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    for node in imports:
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                assert hasattr(import_module(node.module), alias.name)
            else:
                import_module(alias.name)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "yaml"], ids=str)
def test_a_file_of_settings_is_yaml(block):
    assert isinstance(yaml.safe_load(block.text), dict)


def test_every_public_name_is_on_a_page_of_the_api():
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "api").glob("*.md"))
    named = set(re.findall(r"^::: crispmap\.(\w+)$", pages, re.MULTILINE))
    assert set(crispmap.__all__) - {"__version__"} <= named


def test_links_of_the_readme_lead_somewhere():
    """Those of docs/ are looked at by the strict build of the site."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in target]
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


@pytest.mark.long
def test_the_start_page_goes_from_nothing_to_footprints(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    less = {"--scenes 24": "--scenes 3 --size 128", "--scenes 4": "--scenes 1 --size 128", "--steps 240": "--steps 2"}
    installing, *blocks = blocks_of(ROOT / "docs" / "start.md")
    assert "pip install" in installing.text
    for block in blocks:
        if block.language == "python":
            exec(compile(block.text, str(block), "exec"), {})
            assert re.search(r"^IoU 0\.\d+, boundary F1", capsys.readouterr().out, re.MULTILINE)
            continue
        for line in block.lines:
            for much, little in less.items():
                line = line.replace(much, little)
            assert main(crispmap_arguments(line)) == 0, capsys.readouterr().err
    made = ["scores.html", "regular.gpkg", "maps/scene_0000_mask.tif", "maps_again/scene_0000_footprints.gpkg"]
    assert [name for name in made if not Path(name).exists()] == []
