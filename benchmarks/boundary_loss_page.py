"""The page about the speed of the boundary loss, made of its numbers and nothing else.

    .venv/bin/python benchmarks/boundary_loss_page.py

writes docs/results/boundary-loss-speed.md anew from boundary-loss-speed.json beside it.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Result = dict[str, Any]
Record = dict[str, Any]

_VARIANTS = ("paper", "balanced")
_COMPILED = [f"{variant}, compiled" for variant in _VARIANTS]
_FORMS = [*_COMPILED, *(f"{variant}, torch only" for variant in _VARIANTS)]


@dataclass(frozen=True)
class Target:
    """What was asked of one form, and what came out.

    Attributes:
        what: Is measured.
        form: Of the loss.
        bound: That it shall keep.
        at_least: Whether larger is better.
        measured: None if it was not.
        reason: Why not.
    """

    what: str
    form: str
    bound: float
    at_least: bool
    measured: float | None
    reason: str | None

    @property
    def met(self) -> bool | None:
        """Whether the bound is kept; None if no one knows."""
        if self.measured is None:
            return None
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound


def targets(result: Result) -> list[Target]:
    """Every target that the project set itself for this loss, beside what was measured."""
    theta, least, largest = result["theta"], min(result["thetas"]), max(result["thetas"])
    at_target, on_cuda = _shape(result["target_shape"]), _shape(result["cuda_shape"])
    found: list[Target] = []
    for form in _FORMS:
        what = f"CPU, {at_target}, θ = {theta}: times as fast as the literal form"
        value = _median(result, "cpu", form, theta, "times_as_fast_as_literal")
        found.append(_target(result, what, form, 8 if form in _COMPILED else 4, True, value))
    for form in _FORMS:
        what = f"CPU, {at_target}, θ = {theta}: extra peak memory over that of the literal form"
        peak, literal = result["memory"].get(form), result["memory"].get("literal")
        found.append(_target(result, what, form, 1 / 3, False, peak / literal if peak and literal else None))
    for form in _FORMS:
        what = f"CPU, {at_target}: time at θ = {largest} over that at θ = {least}"
        value = _median(result, "cpu", form, largest, "over_least_theta")
        found.append(_target(result, what, form, 1.3, False, value))
    for form in _COMPILED:
        what = f"CUDA, {on_cuda}, θ = {theta}: times as fast as the literal form"
        value = _median(result, "cuda", form, theta, "times_as_fast_as_literal")
        found.append(_target(result, what, form, 8, True, value))
    for form in _COMPILED:
        what = f"CUDA, {on_cuda}, θ = {theta}: time over that of reading two maps and writing one"
        value = _median(result, "cuda", form, theta, "over_read_and_write")
        found.append(_target(result, what, form, 4, False, value))
    return found


def _target(result: Result, what: str, form: str, bound: float, at_least: bool, measured: float | None) -> Target:
    missing = result["compiled_form_missing"]["cuda" if what.startswith("CUDA") else "cpu"]
    reason = missing if form in _COMPILED and missing else "left out, or the system does not tell"
    return Target(what, form, bound, at_least, measured, None if measured is not None else reason)


def _median(result: Result, device: str, form: str, theta: int, field: str) -> float | None:
    shape = result["target_shape" if device == "cpu" else "cuda_shape"]
    for record in result[device]:
        if (record["contender"], record["shape"], record["theta"]) == (form, shape, theta):
            return float(record[field][1])
    return None


def page(result: Result) -> str:
    """The Markdown page."""
    parts = [
        "# Speed and memory of the boundary loss",
        "**A smoke run: these numbers mean nothing.**" if result["smoke_run"] else "",
        _circumstances(result),
        "## Targets",
        _target_table(targets(result)),
        "## CPU, one thread",
        _CONTENDERS.format(theta=result["theta"]),
        *_size_tables(result),
        f"### The cost of θ, {_shape(result['target_shape'])}",
        _theta_table(result, "cpu"),
        f"### Extra peak memory, {_shape(result['target_shape'])}, θ = {result['theta']}",
        _MEMORY,
        _memory_table(result),
        f"## CUDA, {_shape(result['cuda_shape'])}",
        *_cuda(result),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


_CONTENDERS = """\
Every row is forward and backward in float32 on a batch of masks of buildings and a prediction that has them roughly
right; prediction and truth are new tensors with new values in every call, made outside the timed part. The losses
start from probabilities, so the sigmoid that makes them is not included; BCE starts from logits and has its own inside.
The row *sigmoid* is what one costs by itself, forward and backward.

- *literal*: the published equation with `F.max_pool2d` and autograd, as one writes it down.
- *compiled*: `crispmap.functional.boundary_loss` with numba. *torch only*: the same where numba is not installed.
- *BCE with logits*: `F.binary_cross_entropy_with_logits`.
- *read and write*: the two inputs read once and one map of their size written, into memory that is already there.

All rows of a size ran in turns, each once a round, in a new order every round. Times are medians (quartiles); ratios
are medians of those within a round. θ = {theta} unless said otherwise, θ0 = 3."""

_MEMORY = """\
By how much the resident memory of a fresh process rises at its highest during one step, above what it is with the
inputs in place: saved tensors, scratch space and the gradient. What there is to compile or load is loaded before, and
the allocator hands large blocks back once they are freed, so that only what is in use counts."""


def _circumstances(result: Result) -> str:
    machine, load, commit = result["machine"], result["load_average"], result["commit"][:12]
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    return (
        f"Made from [boundary-loss-speed.json](boundary-loss-speed.json), which\n\n"
        f"```bash\n{result['command']}\n```\n\n"
        f"wrote on {result['date']} in {result['seconds']} s at commit {commit}. {machine['processor']}, "
        f"{machine['cores']} cores, GPU: {machine['gpu'] or 'none'}; load average {load['before']} before and "
        f"{load['after']} after. {versions}."
    )


def _target_table(found: Iterable[Target]) -> str:
    rows = []
    for target in found:
        measured = f"not measured ({target.reason})" if target.measured is None else _digits(target.measured)
        verdict = {True: "met", False: "**missed**", None: "–"}[target.met]
        bound = f"{'≥' if target.at_least else '≤'} {_digits(target.bound)}"
        rows.append([target.what, target.form, bound, measured, verdict])
    return _table(["what", "form", "target", "measured", ""], rows)


def _size_tables(result: Result) -> Iterable[str]:
    shapes = list(dict.fromkeys(tuple(record["shape"]) for record in result["cpu"]))
    for shape in shapes:
        records = [record for record in result["cpu"] if tuple(record["shape"]) == shape]
        yield f"### {_shape(shape)}, {records[0]['rounds']} rounds"
        yield _time_table(result, records)


def _time_table(result: Result, records: Sequence[Record]) -> str:
    rows = [
        [
            record["contender"],
            _time(record["ms"]),
            *(f"{_digits(record[f][1])}×" for f in ("times_as_fast_as_literal", "over_bce", "over_read_and_write")),
        ]
        for record in records
        if record["theta"] in (result["theta"], None)
    ]
    return _table(["", "ms", "as fast as literal", "time of BCE", "time of read and write"], rows)


def _theta_table(result: Result, device: str) -> str:
    thetas, shape = result["thetas"], result["target_shape" if device == "cpu" else "cuda_shape"]
    by_form: dict[str, dict[int, Record]] = {}
    for record in result[device]:
        if record["shape"] == shape and record["theta"] is not None:
            by_form.setdefault(record["contender"], {})[record["theta"]] = record
    rows = [
        [form, *(_time(by_theta[t]["ms"]) for t in thetas), _digits(by_theta[max(thetas)]["over_least_theta"][1])]
        for form, by_theta in by_form.items()
    ]
    header = ["ms", *(f"θ = {t}" for t in thetas), f"θ = {max(thetas)} over θ = {min(thetas)}"]
    return _table(header, rows)


def _memory_table(result: Result) -> str:
    images, channels, height, width = result["target_shape"]
    a_map, literal = 4 * images * channels * height * width, result["memory"].get("literal")
    rows = [
        [name, f"{peak / 1e6:.1f}", f"{peak / a_map:.1f}", f"{peak / literal:.2f}" if literal else "–"]
        if peak is not None
        else [name, "not measured", "–", "–"]
        for name, peak in result["memory"].items()
    ]
    return _table(["", "MB", f"maps of {a_map / 1e6:.1f} MB", "of the literal form's"], rows)


def _cuda(result: Result) -> Iterable[str]:
    if not result["cuda"]:
        yield "Not measured (no GPU)."
        return
    missing = result["compiled_form_missing"]["cuda"]
    yield (
        "The same contenders on the GPU, their kernels timed by events, launches hidden and the cache emptied before "
        f"each; *compiled* is the Triton form{f' (not measured: {missing})' if missing else ''}. "
        f"{result['cuda'][0]['rounds']} rounds."
    )
    yield _time_table(result, result["cuda"])
    yield _theta_table(result, "cuda")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _shape(shape: Sequence[int]) -> str:
    images, channels, height, width = shape
    return f"{images}×{channels}×{height}²" if height == width else f"{images}×{channels}×{height}×{width}"


def _time(quartiles: Sequence[float]) -> str:
    lower, median, upper = map(_digits, quartiles)
    return f"{median} ({lower}–{upper})"


def _digits(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def main() -> None:
    """Writes the page."""
    file = Path(__file__).parents[1] / "docs" / "results" / "boundary-loss-speed.json"
    file.with_suffix(".md").write_text(page(json.loads(file.read_text())))


if __name__ == "__main__":
    main()
