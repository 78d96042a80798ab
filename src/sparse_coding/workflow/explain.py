"""Answers in words: what would run and why, what an artifact is, what the store holds."""

from collections import Counter
from pathlib import Path

from sparse_coding.errors import BadInput
from sparse_coding.workflow import stamps
from sparse_coding.workflow.causes import Cause, Causes
from sparse_coding.workflow.dump import Dump
from sparse_coding.workflow.graph import State
from sparse_coding.workflow.mending import Mend, Ways
from sparse_coding.workflow.stamps import Stamp
from sparse_coding.workflow.store import Store

FRESH = State.FRESH.value
WHOLE = ("all", "results")
SHOWN = 3  # artifacts with the same causes that are named one by one


def why(dump: Dump, root: Path, target: str) -> str:
    """What would run for a file, a folder, a job or a stage, step by step, each with its causes."""
    causes = Causes(dump, root)
    wanted = targets(dump, target)
    todo = _todo(dump, wanted, whole=target in WHOLE)
    away = _put_away(dump, root, wanted)
    if not todo:
        return "\n".join([f"{target}: fresh. Nothing would run.", *away])
    jobs = dict.fromkeys(dump["artifacts"][path]["job"] for path in todo)
    ordered = [name for name in dump["jobs"] if name in jobs]
    text = [f"{target}: {len(jobs)} of {len(dump['jobs'])} steps would run."]
    for name in ordered:
        made = [path for path in dump["jobs"][name]["artifacts"] if path in todo]
        count = _count(len(made), len(dump["jobs"][name]["artifacts"]))
        text += ["", f"{name}: {count} in {Path(made[0]).parent.as_posix()}"]
        text += _grouped({path: _lines(causes.of(path), set(todo)) for path in made})
    return "\n".join([*text, *away])


def targets(dump: Dump, target: str) -> list[str]:
    """The artifacts that a name means. Raises BadInput, naming what there is, for a name that means none."""
    artifacts, jobs = dump["artifacts"], dump["jobs"]
    path = target.removeprefix("./").removesuffix(".stamp").rstrip("/")
    found = [name for name, artifact in artifacts.items() if path in artifact["files"] or name.startswith(f"{path}/")]
    found = found or list(jobs.get(path, {}).get("artifacts", []))
    found = found or [each for job in jobs.values() if job["stage"] == path for each in job["artifacts"]]
    if path == "all":  # what nothing else is made from, as the workflow's own target
        needed = {each for artifact in artifacts.values() for each in artifact["inputs"]}
        return [name for name in artifacts if name not in needed and not jobs[artifacts[name]["job"]]["apart"]]
    if not found:
        wanted = f"a file below results that params.yaml asks for, a step, or a stage: {', '.join(dump['stages'])}"
        raise BadInput("target", repr(target), wanted)
    return found


def _todo(dump: Dump, wanted: list[str], whole: bool) -> dict[str, None]:
    """The artifacts that would be made or come back. whole: where nothing less than all is asked for."""
    artifacts, found, waiting = dump["artifacts"], dict[str, None](), list(wanted)
    ways = Ways(whole)
    for path, artifact in artifacts.items():
        ways.add(path, artifact["inputs"], artifact["state"] == FRESH, Mend(artifact["mended"]))
    seen: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if artifacts[path]["state"] != FRESH:
            found[path] = None
        is_made = artifacts[path]["state"] != FRESH and not artifacts[path]["kept"]
        waiting += artifacts[path]["inputs"] if is_made else ways.of(path)
    return found


def _put_away(dump: Dump, root: Path, wanted: list[str]) -> list[str]:
    """Of what lies upstream, what the next run moves into the store, and why; what it makes instead is no part."""
    artifacts, waiting, seen = dump["artifacts"], list(wanted), set[str]()
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting += artifacts[path]["inputs"]
    away = [path for path in artifacts if path in seen and artifacts[path]["put_away"]]
    causes = Causes(dump, root)
    lines = _grouped({path: _lines(causes.of(path), set(away)) for path in away})
    return ["", "Of other settings; the next run moves it into the store:", *lines] if away else []


def _count(made: int, all_: int) -> str:
    return f"{made} of {all_}" if all_ > 1 else "1 artifact"


def _lines(causes: list[Cause], todo: set[str]) -> tuple[str, ...]:
    """The causes in words; what follows from artifacts that are explained above, in one line."""
    own = dict.fromkeys(cause.text for cause in causes if cause.through not in todo)
    above = any(cause.through in todo for cause in causes)
    if above:
        own["follows from what is made above"] = None
    return tuple(own)


def _grouped(by_path: dict[str, tuple[str, ...]]) -> list[str]:
    """Artifacts with the same causes together."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for path, texts in by_path.items():
        groups.setdefault(texts, []).append(path)
    lines = []
    for texts, paths in groups.items():
        more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
        names = ", ".join(Path(path).name for path in paths[:SHOWN]) + more
        lines += [f"  {names}", *(f"    {text}" for text in texts)]
    return lines


def inspect(dump: Dump, root: Path, file: str) -> str:
    """What an artifact was made from, by what, and whether it is what params.yaml wants now."""
    path = file.removeprefix("./").removesuffix(".stamp")
    owner = next((name for name, artifact in dump["artifacts"].items() if path in artifact["files"]), path)
    stamp = stamps.read(root / stamps.path_of(owner))
    if stamp is None:
        raise BadInput(path, "no stamp beside it", "a file below results that a step wrote")
    edited = "" if stamp.is_whole else "  (edited: it does not belong to its record)"
    text = [path, *([f"  beside    {owner}"] if path != owner else [])]
    text += [f"  made by   {stamp.record['step']}", f"  key       {stamp.key}{edited}"]
    text += _settings(stamp.record["settings"])
    text += [f"  from      {name}  {key}" for name, key in stamp.record["inputs"].items()]
    text += [
        f"  file      {name}  {_size(root / name)}  sha256 {sha256[:16]}..." for name, sha256 in stamp.files.items()
    ]
    text += [f"  with      {', '.join(f'{name} {each[name]}' for name in each)}" for each in stamp.environments]
    return "\n".join([*text, *_verdict(dump, root, owner)])


def _settings(settings: dict, place: str = "") -> list[str]:
    lines = []
    for name, value in settings.items():
        at = f"{place}{name}"
        lines += _settings(value, f"{at}.") if isinstance(value, dict) else [f"  setting   {at}: {value}"]
    return lines


def _size(path: Path) -> str:
    return f"{path.stat().st_size:,} bytes" if path.exists() else "missing"


def _verdict(dump: Dump, root: Path, owner: str) -> list[str]:
    if owner not in dump["artifacts"]:
        return ["  state     params.yaml does not ask for it"]
    causes = Causes(dump, root).of(owner)
    if not causes:
        return ["  state     fresh: params.yaml, code and inputs are those that it was made from, and so are its bytes"]
    state = dump["artifacts"][owner]["state"]
    return [f"  state     {state}", *(f"            {cause.text}" for cause in causes)]


def stored(store: Store) -> str:
    """What the store holds: by step, number and size."""
    numbers: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for stamp, size in store.entries():
        kind = _kind(stamp)
        numbers[kind] += 1
        sizes[kind] += size
    lines = [f"  {kind:24} {numbers[kind]:5}  {sizes[kind] / 1e6:10.1f} MB" for kind in sorted(numbers)]
    return "\n".join([*lines, f"  {'in all':24} {numbers.total():5}  {sizes.total() / 1e6:10.1f} MB"])


def _kind(stamp: Stamp | None) -> str:
    return "unfinished" if stamp is None else stamp.record["step"].rpartition(".")[2]
