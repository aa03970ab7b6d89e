"""Where and with what a result was made."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]


def circumstances() -> dict[str, object]:
    """Versions, machine, commit and date, for a result file."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    packages = ("crispmap", "torch", "lightning", "segmentation_models_pytorch", "rasterio")
    return {
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "gpu": None},
        "commit": commit.stdout.strip(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
