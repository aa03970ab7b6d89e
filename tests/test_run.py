"""A run folder's table: what is read of it when a disk has failed, or someone else has been there."""

import os
import re

import pytest

from crispmap.errors import InputError
from crispmap.run import METRICS_FILE, logged_before, validations, write_metrics

COLUMNS = b"epoch,step,train/loss,val/iou"


@pytest.fixture
def table(tmp_path):
    """Three steps and a validation, as a run writes them."""
    steps = [{"epoch": 0, "step": step, "train/loss": 1 / 8} for step in (0, 1, 2)]
    write_metrics(tmp_path / METRICS_FILE, [*steps, {"epoch": 0, "step": 2, "val/iou": 3 / 4}])
    lines = [COLUMNS, b"0,0,0.125,", b"0,1,0.125,", b"0,2,0.125,", b"0,2,,0.75", b""]
    assert (tmp_path / METRICS_FILE).read_bytes() == b"\r\n".join(lines)
    return tmp_path / METRICS_FILE


@pytest.mark.parametrize(
    ("whole", "torn", "left"),
    [
        (rb"$", b"", [0, 1, 2, 2]),
        (rb".*", b"", []),
        (rb"ss,val.*", b"", []),  # in the names of the columns
        (rb"step", b"stop", []),
        (rb",1,.*", b"", [0]),  # in a step
        (rb"25,\r\n0,2,,.*", b"", [0, 1]),  # in a number, before its line is at an end
        (rb"0\.75\r\n$", b"0.7", [0, 1, 2]),
        (rb"0\.75\r\n$", b"\0\0\0\0", [0, 1, 2]),
        (rb"0,1,0", b"0,\xff,0", [0, 2, 2]),
        (rb"0,1,0", b"0,1,0,0", [0, 2, 2]),
        (rb"0,1,0.125,", b"0,1", [0, 2, 2]),
        (rb"0,1,0.125", b"0,1,0.1\x0025", [0, 2, 2]),
    ],
)
def test_rows_that_are_torn_are_left_out(table, whole, torn, left):
    content = table.read_bytes()
    table.write_bytes(re.sub(whole, torn, content, count=1, flags=re.DOTALL))
    assert [int(row["step"]) for row in logged_before(table.parent, 9)] == left
    assert [int(row["step"]) for row in logged_before(table.parent, 2)] == [step for step in left if step < 2]
    assert validations(table.parent) == ([{"step": 3, "iou": 0.75}] if left.count(2) == 2 else [])


def test_what_is_read_can_be_written_again(table):
    content = table.read_bytes()
    write_metrics(table, logged_before(table.parent, 9))
    assert table.read_bytes() == content


def test_a_table_that_is_lost_has_no_rows(tmp_path):
    assert logged_before(tmp_path, 9) == validations(tmp_path) == []


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / METRICS_FILE)
    with pytest.raises(InputError, match="is a pipe"):
        logged_before(tmp_path, 9)
