"""What the machine has: memory, under the limits of a container and of the shell; room on a file system; GPUs."""

import importlib
import os
import resource
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
GPUS = Path("/proc/driver/nvidia/gpus")  # a folder each, where NVIDIA's driver is loaded
UNLIMITED = 1 << 60
VIRTUAL = 3 << 30  # address space that a step reserves and does not touch


def memory() -> int:
    """Bytes that new processes can have together: what the kernel calls available, within the limits of containers."""
    return min(_available(), _in_cgroup())


def _available() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return int(importlib.import_module("psutil").virtual_memory().available)  # comes with snakemake; slower


def _in_cgroup() -> int:
    """What the limits of all control groups above this process leave; what is mapped from files counts as free."""
    found = UNLIMITED
    for folder, limit, used in _groups():
        try:
            most = (folder / limit).read_text(encoding="ascii").strip()
            if most == "max":
                continue
            left = int(most) - int((folder / used).read_text(encoding="ascii")) + _cached(folder / "memory.stat")
            found = min(found, left)
        except (OSError, ValueError):
            continue
    return max(found, 0)


def _groups() -> list[tuple[Path, str, str]]:
    """The folders of this process's groups with the names of their files: version 2, and version 1."""
    found = []
    for line in _lines():
        _, controllers, path = line.split(":", 2)
        two = controllers == ""
        if not two and "memory" not in controllers.split(","):
            continue
        root = CGROUPS if two else CGROUPS / "memory"
        names = ("memory.max", "memory.current") if two else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        inside = Path(path.lstrip("/"))
        found += [(root / part, *names) for part in (inside, *inside.parents)]
    return found


def _lines() -> list[str]:
    try:
        return Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except OSError:
        return []


def _cached(path: Path) -> int:
    lines = path.read_text(encoding="ascii").splitlines()
    entries = dict(line.split()[:2] for line in lines)
    return int(entries.get("inactive_file", 0)) + int(entries.get("active_file", 0))


def of_one_process() -> int:
    """Bytes that one process can have, by the limit of the shell on its address space."""
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    return UNLIMITED if most == resource.RLIM_INFINITY else max(most - VIRTUAL, 0)


def gpus() -> int:
    """GPUs that steps can see, found without torch; 0 also where it cannot be told."""
    there = len(list(GPUS.iterdir())) if GPUS.is_dir() else 0
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if seen is None:
        return there
    names = [name.strip() for name in seen.split(",")]
    visible = names[: names.index("-1")] if "-1" in names else names  # CUDA stops at the first that is none
    return min(there, len([name for name in visible if name]))


def disk(folder: Path) -> int:
    """Bytes that may be written where `folder` is, or will be."""
    room = os.statvfs(_existing(folder))
    return room.f_bavail * room.f_frsize


def is_same_disk(one: Path, other: Path) -> bool:
    """Whether two folders share a file system."""
    return _existing(one).stat().st_dev == _existing(other).stat().st_dev


def _existing(folder: Path) -> Path:
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
