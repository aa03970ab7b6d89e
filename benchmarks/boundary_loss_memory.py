"""Peak memory of one step of one contender, in a process of its own.

    MALLOC_MMAP_THRESHOLD_=131072 .venv/bin/python benchmarks/boundary_loss_memory.py literal 8 1 512 512 --theta 5

prints by how many bytes the resident memory of the process rose, at its highest, above what it was with the inputs in
place: saved tensors, scratch space and the gradient. Prints ``null`` where the system does not tell.

The variable makes glibc hand back every large block once it is freed. Left to itself it keeps some for later, and the
same step rises by 84, 101 or 134 MB from one process to the next.
"""

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from boundary_loss_forms import CONTENDERS, Contender, Scene, Shape

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_WARM_UP: Shape = (1, 1, 64, 64)  # compiles and loads what there is to load, in little memory


def main() -> None:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contender", choices=[contender.name for contender in CONTENDERS])
    parser.add_argument("shape", type=int, nargs=4)
    parser.add_argument("--theta", type=int, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    (contender,) = (each for each in CONTENDERS if each.name == asked.contender)
    with contender.ready():
        for _ in range(2):
            contender.step(Scene(_WARM_UP, seed=0).inputs((0, 0)), asked.theta)
        inputs = Scene(tuple(asked.shape), seed=0).inputs((0, 0))
        print(json.dumps(peak_memory(lambda: contender.step(inputs, asked.theta))))


def peak_memory(run: Callable[[], object]) -> int | None:
    """Bytes by which this process grows at its highest while something runs; None where that cannot be known."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # or memory freed before would be used again unseen
        _CLEAR.write_text("5")  # sets the peak to what is resident now
    except (AttributeError, OSError):  # not glibc, not Linux, or a sandbox
        return None
    before = _resident("VmRSS")
    run()
    return _resident("VmHWM") - before


def _resident(field: str) -> int:
    (line,) = (line for line in _STATUS.read_text().splitlines() if line.startswith(f"{field}:"))
    return 1024 * int(line.split()[1])


def in_a_fresh_process(contender: Contender, shape: Shape, theta: int) -> int | None:
    """`peak_memory` of one step, by this file run as a program."""
    command = [sys.executable, __file__, contender.name, *map(str, shape), "--theta", str(theta)]
    handing_back = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"}
    done = subprocess.run(command, env=handing_back, stdout=subprocess.PIPE, text=True, check=True)
    peak: int | None = json.loads(done.stdout)
    return peak


if __name__ == "__main__":
    main()
