"""Stage dictionaries: train members of one cell, that is, dictionaries of one shape on one site.

1. Centre the activations and scale them to unit mean norm, so that an L1 means the same on every site.
2. Feed one shuffled stream to some members at a time, one thread a member.
3. Fold the normalisation into each dictionary; write it with its training log.

A long training is written now and then, and gone on with after a kill: the bytes are those of one that was left alone.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from tqdm import tqdm

from sparse_coding import methods
from sparse_coding.atomic import write_text
from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.training import feed, gpu, optimisers, processor
from sparse_coding.core.training.keeping import NEVER, Keeping
from sparse_coding.core.training.matching import Matching, first_penalty
from sparse_coding.core.training.trainee import NotFinite, Schedule, Trainee
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries, stream, unfinished
from sparse_coding.io.activations import ActivationsFile, open_activations, spaced
from sparse_coding.settings.grid import Member
from sparse_coding.settings.params import Training
from sparse_coding.settings.slices import DictionariesSlice, split

# What files of the first kinds name although these do not read it: as long as it stands there, their bytes stay.
WRITTEN_UNREAD: dict[str, dict[str, Any]] = {
    "tied": {"learned_centre": True},
    "topk": {"l1_warmup_share": 0.1, "initial_density": 0.1},
}


def run(
    settings: DictionariesSlice,
    *,
    activations: Path,
    output: Path,
    threads: int,
    done: Callable[[str], object] = lambda name: None,
    partly: Callable[[str], Path] | None = None,
    one_of: Callable[[list[str]], int] = lambda names: 0,
) -> None:
    """Train members on `activations`; write `<output>/<member>.safetensors` and its log.

    `done` hears the name of each member that is written; partly: where one in training is kept, None: nowhere. one_of:
    waits for one of these things that is not in use, and holds it; which. Members that diverge take nothing from the
    others: these are finished first, then NotFinite is raised for the first of them. Raises BadInput, before any is
    trained, where grid.k or grid.l0 asks for more codes than there are features.
    """
    failures: list[NotFinite] = []
    names, size = list(settings.members), settings.training.side_by_side
    label = f"dictionaries {settings.site} {settings.architecture} r{settings.ratio:g}"
    with (
        open_activations(activations) as file,
        tqdm(total=settings.training.steps * len(names), desc=label, unit="step") as progress,
    ):
        _check_codes(settings, file)
        mean, scale = (file.mean, file.mean_norm) if settings.training.normalise else (0 * file.mean, 1.0)

        at = {name: partly(name) for name in names} if partly is not None else {}
        device = _device(settings.training.device, one_of)
        of = _data(file, mean, scale, device)
        counted = _counted(settings, file, mean, scale)

        def together(members: list[Trainee]) -> list[NotFinite]:
            """Train and write some members that are at the same step; nothing holds them when it is over."""
            progress.update(members[0].step * len(members))
            keeping = (
                Keeping(partial(_keep, members, at, of), 60 * settings.training.checkpoint_minutes) if at else NEVER
            )
            batches = partial(_batches, settings.training, file, members[0].step)
            failed = _train(
                members, batches, (mean, scale), settings.training, device, threads, progress.update, keeping
            )
            for member in members:
                if member.name not in failed:
                    _write(settings, member, mean, scale, output)
                    done(member.name)
                if member.name in at:
                    at[member.name].unlink(missing_ok=True)
            return [failed[member.name] for member in members if member.name in failed]

        for first in range(0, len(names), size):
            some = [_member(settings, name, file.d_act, counted) for name in names[first : first + size]]
            for member in some:
                _take_up(member, at, of)
            for step in sorted({member.step for member in some}):
                failures += together([member for member in some if member.step == step])
            del some
    if failures:
        raise failures[0]


def _check_codes(settings: DictionariesSlice, file: ActivationsFile) -> None:
    n_feat = round(settings.ratio * file.d_act)
    for member in settings.members.values():
        if member.strength in methods.COUNTING and member.value > n_feat:
            cell = f"{settings.architecture}_r{settings.ratio:g} of {settings.site}"
            raise BadInput(f"grid.{member.strength}", f"{member.value:g}", f"at most {n_feat}, the features of {cell}")


def _counted(settings: DictionariesSlice, file: ActivationsFile, mean: Tensor, scale: float) -> dict[str, Matching]:
    """By name, what members with a wished L0 count, where their kind does not keep to it by itself."""
    found: dict[str, Matching] = {}
    rows: dict[int, Tensor] = {}
    for name, member in settings.members.items():
        if member.l0 is not None and member.l0_rows is not None:
            if member.l0_rows not in rows:
                rows[member.l0_rows] = feed.normalised(spaced(file.split("held_out"), member.l0_rows), mean, scale)
            steers = methods.of(settings.architecture).varies_in
            found[name] = Matching(member.l0, steers, rows[member.l0_rows])
    return found


def _device(wanted: str, one_of: Callable[[list[str]], int]) -> torch.device:
    """Where all members are trained, said once. A GPU is taken by one process at a time."""
    n_gpus = torch.cuda.device_count() if wanted != "cpu" and torch.cuda.is_available() else 0
    if wanted == "cuda" and not n_gpus:
        raise BadInput("dictionaries.device", "cuda, and torch sees no GPU", "auto or cpu, or a GPU with its driver")
    device, name = torch.device("cpu"), "the processor"
    if n_gpus:
        device = torch.device("cuda", one_of([f"gpu-{_properties(index).uuid}" for index in range(n_gpus)]))
        torch.cuda.set_device(device)
        name = f"{device}, {_properties(device.index).name}"
    print(f"dictionaries.device {wanted}: training on {name}", file=sys.stderr)
    return device


def _properties(index: int) -> Any:
    return torch.cuda.get_device_properties(index)


def _train(
    members: list[Trainee],
    batches: Callable[[Callable[[Tensor], Tensor]], Iterator[Tensor]],
    normal: tuple[Tensor, float],
    settings: Training,
    device: torch.device,
    threads: int,
    advance: Callable[[int], object],
    keeping: Keeping,
) -> dict[str, NotFinite]:
    """On the processor, a member a thread; on a GPU all at once. batches: by what is made of each."""
    if device.type == "cpu":
        ready = partial(feed.normalised, mean=normal[0], scale=normal[1])
        return processor.train(members, batches(ready), threads, advance, keeping)
    there = feed.ahead(batches(feed.pinned), *normal, device)
    return gpu.train(members, there, device, settings.gpu_precision, advance, keeping)


def _data(file: ActivationsFile, mean: Tensor, scale: float, device: torch.device) -> str:
    """What tells the vectors of a file, and who computes, from others: what is in training goes on with the same alone.

    The device is in no key, and the stamp names the one that training ends on.
    """
    digest = hashlib.sha256(mean.double().numpy().tobytes())
    digest.update(f"{scale!r} {file.mean_norm!r} {file.split('train').n_rows}".encode())
    if device.type != "cpu":
        digest.update(str(_properties(device.index).name).encode())
    return digest.hexdigest()


def _take_up(member: Trainee, at: dict[str, Path], of: str) -> None:
    """Where it was broken off, if that is kept."""
    before = unfinished.load(at[member.name], of) if member.name in at else None
    if before is not None:
        try:
            member.take_up(*before)
        except BadInput as error:
            print(f"{at[member.name]}: {error}; this training begins anew", file=sys.stderr)


def _keep(members: list[Trainee], at: dict[str, Path], of: str) -> None:
    """Where that cannot be, on a full disk say, training goes on: it would cost more to end it for this."""
    for member in members:
        try:
            unfinished.save(at[member.name], *member.kept(), of)
        except (BadInput, OSError, SafetensorError) as error:
            print(f"{at[member.name]}: not kept ({error}); training goes on", file=sys.stderr)


def _batches(
    settings: Training, file: ActivationsFile, skip: int, ready: Callable[[Tensor], Tensor]
) -> Iterator[Tensor]:
    batches = stream.batches(
        file.split("train"),
        size=settings.batch,
        seed=settings.shuffle_seed,
        buffer_rows=settings.buffer_rows,
        ready=ready,
        skip=skip,
    )
    return islice(batches, settings.steps - skip)


def _member(settings: DictionariesSlice, name: str, d_act: int, counted: Mapping[str, Matching]) -> Trainee:
    own, training = settings.members[name], settings.training
    n_feat = round(settings.ratio * d_act)
    if n_feat < 1:
        raise BadInput("grid.ratios", f"{settings.ratio:g}", f"at least {1 / d_act:g}: one feature for d_act {d_act}")
    schedule = Schedule(
        steps=training.steps,
        lr=settings.own.lr,
        warmup=round(training.warmup_share * training.steps),
        decay=round(training.decay_share * training.steps),
        l1_warmup=round(settings.penalty_warmup * training.steps),
    )
    return Trainee(
        name,
        build(settings.architecture, settings.own.model_dump(mode="json")),
        (n_feat, d_act),
        penalty_of(own, settings.architecture, d_act),
        own.seed,
        schedule,
        optimisers.build(training.optimiser, training.model_dump(mode="json")),
        training.log_steps,
        getattr(settings.own, "initial_density", None),
        counted.get(name),
    )


def penalty_of(member: Member, architecture: str, d_act: int) -> Penalty:
    """What a member begins with: its L1 weight, its k, or what its wished L0 takes."""
    if member.l0 is not None:
        return first_penalty(methods.of(architecture).varies_in, float(member.l0), d_act)
    return Penalty(l1=member.l1 or 0.0, k=member.k or 0)


def _told(settings: DictionariesSlice) -> dict[str, Any]:
    """What files tell of the training: of the first kinds as ever, with what they do not read; another optimiser."""
    training, own = split(settings.training)[0], settings.own.model_dump(mode="json", exclude={"lr"})
    if training["optimiser"] == "adam":
        del training["optimiser"]
    return training | WRITTEN_UNREAD.get(settings.architecture, {}) | own


def _matched(member: Trainee) -> dict[str, Any]:
    """What files tell of a wished L0 that codes were counted for; one that was missed is said."""
    counted = member.settle()
    if counted is None or member.matching is None:
        return {}
    if missed := member.matching.missed(counted):
        print(f"warning: {member.name}: {missed}", file=sys.stderr)
    return {"matched": member.matching.told(member.penalty, counted)}


def _came_out(member: Trainee, architecture: str) -> dict[str, Any]:
    """The L1 or the k that a wished L0 came to, where tables have those of others."""
    strength = methods.of(architecture).varies_in
    return {} if strength == methods.WISHED else {strength: getattr(member.penalty, strength)}


def _write(settings: DictionariesSlice, member: Trainee, mean: Tensor, scale: float, output: Path) -> None:
    own = settings.members[member.name]
    matched = _matched(member)
    dictionary = member.architecture.fold(member.parameters, member.state, mean, scale, member.penalty)
    made_by = {
        "site": settings.site,
        "architecture": settings.architecture,
        "ratio": settings.ratio,
        "l1": own.l1,
        "k": own.k,
        **({} if own.l0 is None else {"l0_target": own.l0} | _came_out(member, settings.architecture)),
        "seed": own.seed,
        "lr": settings.own.lr,
        "training": _told(settings),
        **matched,
    }
    # The larger file first: where the disk is full, the older pair stays together.
    dictionaries.save(output / f"{member.name}.safetensors", dictionary, made_by)
    write_text(output / f"{member.name}.log.jsonl", "".join(json.dumps(line) + "\n" for line in member.log))
