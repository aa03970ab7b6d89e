"""What the boundary loss costs in time and memory, beside the literal form, BCE and a plain read and write.

    .venv/bin/python benchmarks/boundary_loss_speed.py

writes docs/results/boundary-loss-speed.json and the page made of it, in three to four minutes on a quiet machine.
``--quick --out FOLDER`` shows in seconds that all of it runs; its numbers mean nothing.

One thread. All contenders of a size, at every θ, take turns: each round runs each of them once, in a new order, on
tensors made for that one call, so that whatever else the machine does hits all of them alike. Ratios are taken within
a round. The same by events on CUDA, where there is any.
"""

import gc
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import result_file
import torch
from boundary_loss_forms import (
    BCE,
    CONTENDERS,
    FORMS,
    LITERAL,
    READ_AND_WRITE,
    Contender,
    Inputs,
    Scene,
    Shape,
    check_agreement,
)
from boundary_loss_memory import in_a_fresh_process
from boundary_loss_page import page
from machine import circumstances

NAME = "boundary-loss-speed"
THETA = 5

Clock = Callable[[Contender, Inputs, int], float]
Job = tuple[Contender, int]  # and its θ


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    target: Shape = (8, 1, 512, 512)  # the size that the targets are for
    others: tuple[Shape, ...] = ((8, 1, 256, 256), (2, 1, 1024, 1024))
    cuda: Shape = (64, 1, 1024, 1024)
    thetas: tuple[int, ...] = (3, THETA, 9, 31)  # at the target size and on CUDA; THETA alone elsewhere
    seconds: float = 25.0  # for each size and θ
    least_rounds: int = 10
    memory: tuple[Contender, ...] = CONTENDERS


QUICK = Plan(
    target=(2, 1, 64, 64),
    others=((1, 1, 32, 48),),
    cuda=(2, 1, 64, 64),
    seconds=0,
    least_rounds=2,
    memory=(LITERAL, FORMS[-1]),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, and writes what came out."""
    parser = result_file.new_parser(__doc__, "small maps")
    asked, begin = result_file.parse(parser, __file__, arguments)
    result_file.write(asked.out, NAME, begin | measure(QUICK if asked.quick else Plan()), page)


def measure(plan: Plan) -> dict[str, Any]:
    """All numbers, and where and with what they were made."""
    start, load = time.monotonic(), os.getloadavg()[0]
    with _one_thread_undisturbed():
        cpu = _times(plan.target, plan.thetas, "cpu", plan)
        for shape in plan.others:
            cpu += _times(shape, (THETA,), "cpu", plan)
        cuda = _times(plan.cuda, plan.thetas, "cuda", plan) if torch.cuda.is_available() else []
    print("memory", flush=True)
    memory = {each.name: in_a_fresh_process(each, plan.target, THETA) for each in plan.memory if each.is_there("cpu")}
    where: dict[str, Any] = circumstances()
    where["versions"] |= {name: found for name in ("numba", "triton") if (found := _version(name))}
    where["machine"]["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "seconds": round(time.monotonic() - start),
        "load_average": {"before": round(load, 2), "after": round(os.getloadavg()[0], 2)},
        "theta": THETA,
        "thetas": plan.thetas,
        "target_shape": plan.target,
        "cuda_shape": plan.cuda,
        "compiled_form_missing": {device: _missing(device) for device in ("cpu", "cuda")},
        "cpu": cpu,
        "cuda": cuda,
        "memory": memory,
        **where,
    }


def _times(shape: Shape, thetas: Sequence[int], device: str, plan: Plan) -> list[dict[str, Any]]:
    """A record for each contender and θ on maps of one shape."""
    contenders = [contender for contender in CONTENDERS if contender.is_there(device)]
    scene = Scene(shape, seed=0, device=device)
    for theta in thetas:  # which also warms up
        check_agreement(contenders, scene, theta)
    jobs = [(each, theta) for each in contenders for theta in (thetas if each.has_theta else (THETA,))]
    clock = _on_cuda if device == "cuda" else _on_cpu
    order = np.random.default_rng(0)
    times: dict[Job, list[float]] = {job: [] for job in jobs}
    end = time.monotonic() + plan.seconds * len(thetas)
    rounds = 0
    while rounds < plan.least_rounds or time.monotonic() < end:
        shift = int(order.integers(shape[2])), int(order.integers(shape[3]))
        for k in order.permutation(len(jobs)):
            contender, theta = jobs[k]
            times[jobs[k]].append(clock(contender, scene.inputs(shift), theta))
        rounds += 1
    print(f"{device}, {'×'.join(map(str, shape))}: {rounds} rounds", flush=True)
    return [_record(job, times, shape, min(thetas)) for job in jobs]


def _on_cpu(contender: Contender, inputs: Inputs, theta: int) -> float:
    """Milliseconds of one step."""
    with contender.ready():
        start = time.perf_counter()
        contender.step(inputs, theta)
        return 1e3 * (time.perf_counter() - start)


def _on_cuda(contender: Contender, inputs: Inputs, theta: int) -> float:
    """Milliseconds of the device for one step."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.empty(1 << 28, dtype=torch.int8, device="cuda").zero_()  # so that no input lies in the cache
    torch.cuda._sleep(20_000_000)  # some 10 ms in which Python gets ahead: kernels are timed, not their launches
    with contender.ready():
        start.record()
        contender.step(inputs, theta)
        end.record()
    end.synchronize()
    return start.elapsed_time(end)


def _record(job: Job, times: dict[Job, list[float]], shape: Shape, least_theta: int) -> dict[str, Any]:
    contender, theta = job
    mine, literal, bce, floor, at_least_theta = (
        np.array(times[other])
        for other in (
            job,
            (LITERAL, theta),
            (BCE, THETA),
            (READ_AND_WRITE, THETA),
            (contender, least_theta if contender.has_theta else THETA),
        )
    )
    return {
        "contender": contender.name,
        "shape": shape,
        "theta": theta if contender.has_theta else None,
        "rounds": len(mine),
        "ms": _quartiles(mine),
        "times_as_fast_as_literal": _quartiles(literal / mine),
        "over_bce": _quartiles(mine / bce),
        "over_read_and_write": _quartiles(mine / floor),
        "over_least_theta": _quartiles(mine / at_least_theta),
    }


def _quartiles(values: np.ndarray) -> list[float]:
    """Lower quartile, median and upper quartile, to four digits."""
    return [float(f"{value:.4g}") for value in np.percentile(values, [25, 50, 75])]


@contextmanager
def _one_thread_undisturbed() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        torch.set_num_threads(threads)


def _missing(device: str) -> str | None:
    """Why a device has no compiled form; None if it has."""
    if device == "cuda" and not torch.cuda.is_available():
        return "no GPU"
    compiler = {"cpu": "numba", "cuda": "Triton"}[device]
    return None if FORMS[0].is_there(device) else f"no {compiler}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
