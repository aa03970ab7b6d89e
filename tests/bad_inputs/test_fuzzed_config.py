"""The door of settings, fuzzed: whatever a YAML file holds, parsing it gives settings or says what is wrong."""

import contextlib
import os

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crispmap.cli.fit import build_parser, fit_settings
from crispmap.errors import CrispmapError
from crispmap.settings import FitSettings

# a parser is built for each, which is what takes the time
QUICK = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))

NAMES = [*FitSettings.__dataclass_fields__, "data.window", "loss.class_path", "network", "overwrite", "config", "trust"]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -1, 0, 1e999, float("nan"), "", "os.system", "{", "[1", "!!python/name:os.system"]),
    st.floats(),
    st.text(max_size=20),
    st.dates(),
    st.binary(max_size=5),
)
NESTED = st.recursive(
    ODD,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["class_path", "init_args", "window", "name", "x"]) | ODD, inner, max_size=3),
    ),
    max_leaves=8,
)
GOOD = (
    "images: .\nlabels: .\nout: o\nsteps: 3\ndata: {window: 64}\nloss: {class_path: crispmap.DiceLoss}\ntrainer: {}\n"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder to work in, which stays empty."""
    folder = tmp_path_factory.mktemp("fuzz")
    with contextlib.chdir(folder):
        yield folder


def parsed(path):
    """Settings from a file, as `crispmap fit` reads them; nothing else than its own errors may come out."""
    with contextlib.suppress(CrispmapError):
        found = fit_settings(
            {
                name: value
                for name, value in build_parser().parse_args(["--config", str(path)]).as_dict().items()
                if name not in ("config", "overwrite")
            }
        )
        assert isinstance(found, FitSettings)
        yaml.safe_dump(found.plain())  # as the run's folder keeps it
    assert os.listdir() == [path.name]


def try_values(place, values):
    path = place / "c.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(GOOD) | values))
    parsed(path)


def try_bytes(place, cuts):
    content = bytearray(GOOD.encode())
    for at, value in cuts:
        content[at % len(content)] = value
    path = place / "c.yaml"
    path.write_bytes(content)
    parsed(path)


VALUES = st.dictionaries(st.sampled_from(NAMES), NESTED, min_size=1, max_size=3)
CUTS = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6)


@QUICK
@given(values=VALUES)
def test_any_values(place, values):
    try_values(place, values)


@QUICK
@given(cuts=CUTS)
def test_any_bytes(place, cuts):
    try_bytes(place, cuts)


@pytest.mark.long
@LONG
@given(values=VALUES)
def test_many_values(place, values):
    try_values(place, values)


@pytest.mark.long
@LONG
@given(cuts=CUTS)
def test_many_bytes(place, cuts):
    try_bytes(place, cuts)
