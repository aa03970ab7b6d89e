"""Whether what would be published works: archives, the newest and the lowest versions of what crispmap needs.

    make release-check

builds sdist and wheel (the wheel from the sdist, so that both are complete), looks into them, and installs the wheel
into an environment of its own, first with the newest versions of everything, then with the lowest that pyproject.toml
admits for what it names (of what those need in turn, the newest that fits). In each environment

- ``crispmap demo --quick`` goes through from imagery to footprints and a report,
- what needs an extra that is not there answers with the line that installs it (the newest only),
- the tests of the command line, taken from the sdist, pass.

Each environment takes about 6 GB and is removed when it has served; all of it takes about half an hour. ``--only
archives``, ``--only newest`` and ``--only lowest`` do a part.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
TESTS = "tests/cli"  # they drive every command, and need pytest and nothing else
# What an environment without extras is asked for, and the extra that its answer must name. What `hub` brings comes with
# segmentation_models_pytorch too, so it is never missing; `docs` is for building the site, which the wheel does not do.
MISSING = {
    "predict {run} {image} -o {out} --engine ray": "ray",
    "export {run} -o {out}/model.onnx": "onnx",
}


class CheckFailed(Exception):
    """Something that must hold does not; the message says what."""


@dataclass(frozen=True)
class Archives:
    """What was built."""

    sdist: Path
    wheel: Path


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the wheel in it."""

    folder: Path

    @classmethod
    def made(cls, folder: Path, requirements: Sequence[str], *options: str) -> "Environment":
        """Makes one and installs requirements into it, with options for ``uv pip install``."""
        call(BIN / "uv", "venv", "--quiet", "--python", sys.executable, folder)
        python = folder / "bin" / "python"
        call(BIN / "uv", "pip", "install", "--quiet", "--python", python, *options, *requirements)
        return cls(folder)

    def run(self, *command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Runs a script of the environment, apart from this checkout and whatever the caller's environment names."""
        kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
        kept["PATH"] = f"{self.folder / 'bin'}{os.pathsep}{kept['PATH']}"
        words = [str(self.folder / "bin" / command[0]), *map(str, command[1:])]
        return subprocess.run(words, capture_output=True, text=True, check=False, cwd=cwd, env=kept)

    def must(self, *command: str | Path, cwd: Path | None = None) -> str:
        """Runs a script that must end well; gives its output.

        Raises:
            CheckFailed: If it does not.
        """
        return output_of(self.run(*command, cwd=cwd))


def main() -> int:
    """Does the parts asked for; 0 if all is well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=["archives", "newest", "lowest"], help="do this part alone")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="where sdist and wheel are left")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crispmap-release-") as folder:
        work = Path(folder)
        try:
            archives = build(args.dist)
            step("contents of the archives", lambda: check_contents(archives))
            if args.only in (None, "newest"):
                step("newest versions", lambda: check_newest(archives, work / "newest"))
            if args.only in (None, "lowest"):
                step("lowest versions", lambda: check_lowest(archives, work / "lowest"))
        except CheckFailed as failure:
            print(f"FAILED: {failure}", file=sys.stderr)
            return 1
    print(f"{archives.wheel.name} and {archives.sdist.name}: {args.only or 'all parts'} checked and well")
    return 0


def build(dist: Path) -> Archives:
    """Builds sdist and wheel afresh."""
    shutil.rmtree(dist, ignore_errors=True)
    call(sys.executable, "-m", "build", "--outdir", dist, ROOT)
    (sdist,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    return Archives(sdist, wheel)


def check_contents(archives: Archives) -> str:
    """Holds the archives against the checkout: nothing is missing, nothing is in them that does not belong.

    Raises:
        CheckFailed: If something is or does.
    """
    source = {path for path in tracked("src/crispmap") if path.name != ".gitignore"}
    expected = {path.relative_to("src").as_posix() for path in source}
    with zipfile.ZipFile(archives.wheel) as wheel:
        found = {name for name in wheel.namelist() if ".dist-info/" not in name}
        entry_points = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
        script = wheel.read(entry_points).decode()
    differing("the wheel", expected, found)
    if "crispmap = crispmap.cli:entry_point" not in script:
        raise CheckFailed(f"the wheel has no script crispmap, but {script}")
    with tarfile.open(archives.sdist) as sdist:
        members = {name.partition("/")[2] for name in sdist.getnames()}
    parts = ("benchmarks", "docs", "examples", "notebooks", "src", "tests", "tools")
    alone = {"CHANGELOG.md", "CITATION.cff", "LICENSE", "Makefile", "README.md", "mkdocs.yml", "pyproject.toml",
             "requirements.lock"}  # fmt: skip
    made = {"PKG-INFO", ".gitignore"}  # by the builder
    differing("the sdist", {path.as_posix() for path in tracked(*parts)} | alone, members - made)
    return f"{len(found)} files in the wheel, {len(members)} in the sdist"


def differing(what: str, expected: set[str], found: set[str]) -> None:
    """Compares two listings.

    Raises:
        CheckFailed: If they differ.
    """
    if missing := sorted(expected - found):
        raise CheckFailed(f"{what} lacks {', '.join(missing)}")
    if surplus := sorted(found - expected):
        raise CheckFailed(f"{what} holds what the checkout does not track: {', '.join(surplus)}")


def check_newest(archives: Archives, work: Path) -> str:
    """The wheel alone, without extras, with the newest versions."""
    environment = Environment.made(work / "venv", [str(archives.wheel)])
    demo = run_demo(environment, work)
    for command, extra in MISSING.items():
        line = command.format(run=demo / "runs/boundary", image=demo / "large/images", out=work / "wanted")
        answer = environment.run("crispmap", *line.split())
        if answer.returncode != 2 or f'pip install "crispmap[{extra}]"' not in answer.stderr:
            raise CheckFailed(f"without the extra, crispmap {line} ended with {answer.returncode}: {answer.stderr}")
    return finish(environment, archives, work)


def check_lowest(archives: Archives, work: Path) -> str:
    """The wheel and its extras, with the lowest versions that pyproject.toml admits."""
    wheel = f"{archives.wheel}[fast,ray,onnx,hub]"
    environment = Environment.made(work / "venv", [wheel], "--resolution", "lowest-direct")
    run_demo(environment, work)
    return finish(environment, archives, work)


def run_demo(environment: Environment, work: Path) -> Path:
    """Runs the quick demo; gives its folder."""
    environment.must("crispmap", "demo", "--quick", "--out", work / "demo", cwd=work)
    if not (work / "demo/report.html").exists():
        raise CheckFailed("crispmap demo --quick wrote no report")
    return work / "demo"


def finish(environment: Environment, archives: Archives, work: Path) -> str:
    """Runs the tests of the command line against the installed wheel, and removes the environment."""
    call(BIN / "uv", "pip", "install", "--quiet", "--python", environment.folder / "bin" / "python", "pytest")
    with tarfile.open(archives.sdist) as sdist:
        sdist.extractall(work / "sdist", filter="data")
    (tree,) = (work / "sdist").iterdir()
    shutil.rmtree(tree / "src")  # so that only the wheel can answer
    tally = environment.must("pytest", TESTS, "--durations=5", cwd=tree).strip().splitlines()[-1]
    shutil.rmtree(environment.folder)
    return tally.strip("= ")


def tracked(*places: str) -> list[Path]:
    """Files that git tracks or would, relative to the root."""
    listed = called("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", *places)
    return [Path(line) for line in output_of(listed).splitlines() if (ROOT / line).exists()]


def step(name: str, check: Callable[[], str]) -> None:
    """Runs a part, and says what it found and how long it took."""
    start = time.monotonic()
    print(f"{name} …", flush=True)
    found = check()
    print(f"  {found} ({time.monotonic() - start:.0f} s)", flush=True)


def called(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a command and keeps what it says."""
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)


def call(*command: str | Path) -> None:
    """Runs a command that must end well."""
    output_of(called(*command))


def output_of(done: subprocess.CompletedProcess[str]) -> str:
    """What a command printed.

    Raises:
        CheckFailed: If it did not end well; with the end of what it said.
    """
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-40:])
        raise CheckFailed(f"{' '.join(done.args)} ended with {done.returncode}:\n{said}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
