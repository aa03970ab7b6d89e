"""What `docs/results/first-light.md` reports: fit, predict and evaluate on real imagery, as a user would.

    CRISPMAP_DATA=data .venv/bin/python benchmarks/first_light.py jonkoping banepa

The numbers go into docs/results/first-light-NAME.json with the commands, times, versions and machine; runs and maps
into runs/first-light (left there to be looked at).
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from machine import circumstances

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("CRISPMAP_DATA", ROOT.parent / "shared" / "data"))
WORK = ROOT / "runs" / "first-light"
CRISPMAP = Path(sys.executable).with_name("crispmap")

RUNS = {
    "jonkoping": {
        "fit": "fit --images {data}/jonkoping/train/images --labels {data}/jonkoping/train/masks"
        " --val-images {data}/jonkoping/val/images --val-labels {data}/jonkoping/val/masks"
        " --scale 0.5 --steps 400 --seed 0 --out {work}/jonkoping",
        "predict": "predict {work}/jonkoping {data}/jonkoping/val/images -o {work}/jonkoping-val --no-footprints",
        "evaluate": "evaluate {work}/jonkoping-val {data}/jonkoping/val/masks --json {work}/jonkoping.json",
    },
    "banepa": {
        "fit": "fit --images {data}/banepa/train/oam --labels {data}/banepa/train/osm"
        " --resolution 0.26 --steps 300 --seed 0 --out {work}/banepa",
        "predict": "predict {work}/banepa {data}/banepa/predict/oam --nodata 255 -o {work}/banepa-predict",
    },
}


def main(names: list[str]) -> None:
    """Runs what is named, all by default."""
    for name in names or RUNS:
        steps = {step: _run(command) for step, command in RUNS[name].items()}
        result = {"name": name, "steps": steps, **circumstances()}
        scores = WORK / f"{name}.json"
        if scores.exists():
            result["scores"] = json.loads(scores.read_text())
        out = ROOT / "docs" / "results" / f"first-light-{name}.json"
        out.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
        print(f"{out.relative_to(ROOT)} written")


def _run(command: str) -> dict[str, object]:
    arguments = command.format(data=DATA, work=WORK).split()
    print("crispmap", command, flush=True)
    start = time.monotonic()
    done = subprocess.run([CRISPMAP, *arguments, "--overwrite"], stdout=subprocess.PIPE, text=True, check=True)
    said = done.stdout.replace(str(WORK), "{work}").replace(str(DATA), "{data}")
    print(said)
    return {"command": f"crispmap {command}", "seconds": round(time.monotonic() - start, 1), "said": said.splitlines()}


if __name__ == "__main__":
    main(sys.argv[1:])
