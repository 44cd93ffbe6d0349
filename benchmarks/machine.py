"""Which machine a run was made on, and how busy it was before."""

import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

PACKAGES = ("ray", "fastapi", "uvicorn", "pydantic", "onnxruntime", "scikit-learn", "numpy")


def describe_machine() -> dict[str, str]:
    """Collect facts for the head of a report."""
    models = [line for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    cpu = models[0].partition(":")[2].strip() if models else platform.machine()
    (total,) = (line for line in _lines("/proc/meminfo") if line.startswith("MemTotal"))
    memory_kb = int(total.split()[1])
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": str(len(os.sched_getaffinity(0))),
        "cpu": cpu,
        "memory": f"{memory_kb / 2**20:.0f} GB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "load average before": f"{os.getloadavg()[0]:.1f}",
        "versions": ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES),
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
