"""Stage dictionaries: train members of one cell, that is, dictionaries of one shape on one site.

1. Centre the activations and scale them to unit mean norm, so that an L1 means the same on every site.
2. Feed one shuffled stream to some members at a time, one thread a member.
3. Fold the normalisation into each dictionary; write it with its training log.

A long training is written now and then, and gone on with after a kill: the bytes are those of one that was left alone.
"""

import copy
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from sparse_coding import methods
from sparse_coding.atomic import write_text
from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.controls import controlled, steps_of, trains
from sparse_coding.core.training import choices, feed, gpu, optimisers, peak, processor
from sparse_coding.core.training.feed import Scale
from sparse_coding.core.training.keeping import Keeping
from sparse_coding.core.training.marks import Marks, by_training, step_of, stops
from sparse_coding.core.training.matching import Matching, came_out, first_penalty
from sparse_coding.core.training.trainee import NotFinite, Schedule, Trainee
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries, stream, unfinished
from sparse_coding.io.activations import SiteVectors, open_site
from sparse_coding.io.activations.limited import Vectors, trained_on
from sparse_coding.io.counted import matchings
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
    targets: Path | None = None,
    done: Callable[[str], object] = lambda name: None,
    partly: Callable[[str], Path] | None = None,
    one_of: Callable[[list[str]], int] = lambda names: 0,
) -> None:
    """Train members on `activations`; write `<output>/<member>.safetensors` and its log.

    targets: of a pair of places, the vectors that are to be put together. `done` hears the name of each member that is
    written; partly: where one in training is kept, None: nowhere. one_of: waits for one of these things that is not in
    use, and holds it; which. Members that diverge take nothing from the others: these are finished first, then
    NotFinite is raised. Raises BadInput, before any is trained, where more codes are asked for than there are features.
    """
    failures: list[NotFinite] = []
    trainings, size = _trainings(settings), settings.training.side_by_side
    label = f"dictionaries {settings.site} {settings.architecture} r{settings.ratio:g} {settings.control or ''}".strip()
    with (
        open_site(activations, targets) as file,
        tqdm(total=sum(marks.last for marks in trainings), desc=label, unit="step") as progress,
    ):
        _check_codes(settings, file)
        vectors = trained_on(file, settings.training.norm_limit)
        vectors.say()
        own, length = settings.training, choices.length(settings.own.model_dump(), file.d_in)
        normal = vectors.normal(own.normalise, length)
        at = {marks.name: partly(marks.name) for marks in trainings} if partly is not None else {}
        device = _device(settings.training.device, one_of)
        of = _data(file, *normal, device)
        counted = matchings(_wished(settings), _steers(settings), file, *normal)

        def together(members: list[Trainee]) -> list[NotFinite]:
            """Train and write some members that are at the same step; nothing holds them when it is over."""
            step, going = members[0].step, list(members)
            progress.update(step * len(members))
            keeping = unfinished.keeping(going, at, of, own.checkpoint_minutes)
            drawn = _batches(settings, vectors, step, feed.ready(*normal, device))
            failed: dict[str, NotFinite] = {}
            for stop in stops([by_name[member.name] for member in members], step):
                part, step = islice(drawn, stop - step), stop
                failed |= _train(going, part, normal, own, device, threads, progress.update, keeping)
                for member in going:
                    for name in by_name[member.name].at(stop) if member.name not in failed else ():
                        _write(settings, name, member, *normal, output, vectors.left_out)
                        done(name)
                unfinished.let_go(going, by_name, stop, failed, at)
            return [failed[member.name] for member in members if member.name in failed]

        by_name = {marks.name: marks for marks in trainings}
        for first in range(0, len(trainings), size):
            some = [_begun(settings, marks, file, counted, at, of) for marks in trainings[first : first + size]]
            for step in sorted({member.step for member in some}):
                failures += together([member for member in some if member.step == step])
            del some
    if failures:
        raise failures[0]


def _trainings(settings: DictionariesSlice) -> list[Marks]:
    """What is asked for, by the training that it comes of."""
    batch, steps = settings.training.batch, _steps(settings)
    return by_training(
        (replace(own, tokens=None), name, step_of(own.tokens, batch, steps)) for name, own in settings.members.items()
    )


def _begun(
    settings: DictionariesSlice,
    marks: Marks,
    file: SiteVectors,
    counted: dict[str, Matching],
    at: dict[str, Path],
    of: str,
) -> Trainee:
    """Where it was broken off, if that is kept, and nothing before that is asked for; else at its beginning."""
    member = _member(settings, marks.name, file, counted.get(marks.name))
    unfinished.take_up(member, at, of)
    return member if member.step <= marks.first else _member(settings, marks.name, file, counted.get(marks.name))


def _check_codes(settings: DictionariesSlice, file: SiteVectors) -> None:
    n_feat = round(settings.ratio * file.d_in)
    for member in settings.members.values():
        if member.strength in methods.COUNTING and member.value > n_feat:
            cell = f"{settings.architecture}_r{settings.ratio:g} of {settings.site}"
            raise BadInput(f"grid.{member.strength}", f"{member.value:g}", f"at most {n_feat}, the features of {cell}")


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
    batches: Iterator[Tensor],
    normal: tuple[Tensor, Scale],
    settings: Training,
    device: torch.device,
    threads: int,
    advance: Callable[[int], object],
    keeping: Keeping,
) -> dict[str, NotFinite]:
    """On the processor, a member a thread; on a GPU all at once. batches: by feed.ready."""
    if not members:
        return {}
    if device.type == "cpu":
        return processor.train(members, batches, threads, advance, keeping)
    there = feed.ahead(batches, *normal, device)
    return gpu.train(members, there, device, settings.gpu_precision, advance, keeping)


def _data(file: SiteVectors, mean: Tensor, scale: Scale, device: torch.device) -> str:
    """What tells the vectors of a file, and who computes, from others: what is in training goes on with the same alone.

    The device is in no key, and the stamp names the one that training ends on.
    """
    digest = hashlib.sha256(mean.double().numpy().tobytes())
    said = scale.tolist() if isinstance(scale, Tensor) else scale
    norms = " ".join(repr(each.mean_norm) for each in file.files)
    digest.update(f"{said!r} {norms} {file.split('train').n_rows}".encode())
    if device.type != "cpu":
        digest.update(str(_properties(device.index).name).encode())
    return digest.hexdigest()


def _batches(
    settings: DictionariesSlice, vectors: Vectors, skip: int, ready: Callable[[Tensor], Tensor]
) -> Iterator[Tensor]:
    training = settings.training
    batches = stream.batches(
        vectors.split,
        size=training.batch,
        seed=training.shuffle_seed,
        buffer_rows=training.buffer_rows,
        ready=ready,
        skip=skip,
    )
    return islice(batches, _steps(settings) - skip)


def _steps(settings: DictionariesSlice) -> int:
    return steps_of(settings.training.steps, settings.control)


def _member(settings: DictionariesSlice, name: str, file: SiteVectors, matching: Matching | None) -> Trainee:
    own, training, d_in = settings.members[name], settings.training, file.d_in
    n_feat = round(settings.ratio * d_in)
    if n_feat < 1:
        raise BadInput("grid.ratios", f"{settings.ratio:g}", f"at least {1 / d_in:g}: one feature for d_act {d_in}")
    steps, own_settings = _steps(settings), choices.of_length(settings.own.model_dump(mode="json"), d_in)
    schedule = Schedule(
        steps=steps,
        lr=peak.of(own_settings, own.k if own.l0 is None else own.l0),
        warmup=round(training.warmup_share * steps),
        decay=round(training.decay_share * steps),
        l1_warmup=round(settings.penalty_warmup * steps),
        annealing=choices.annealing(own_settings, min(d_in, n_feat), steps),
    )
    common, begins = training.model_dump(mode="json"), max(schedule.warmup, schedule.l1_warmup, schedule.annealed)
    return Trainee(
        name,
        controlled(build(settings.architecture, own_settings, file.cut.d_in), settings.control),
        (n_feat, len(file.mean)),
        penalty_of(own, _steers(settings), d_in),
        own.seed,
        schedule,
        optimisers.build(training.optimiser, common),
        training.log_steps,
        getattr(settings.own, "initial_density", None),
        replace(choices.build(common, own_settings, steps, begins), matching=matching),
    )


def _wished(settings: DictionariesSlice) -> dict[str, tuple[float | None, int | None]]:
    return {name: (member.l0, member.l0_rows) for name, member in settings.members.items()}


def _steers(settings: DictionariesSlice) -> methods.Strength:
    return methods.of(settings.architecture).varies_in


def penalty_of(member: Member, steers: methods.Strength, d_in: int) -> Penalty:
    """What a member begins with: its L1 weight, its k, or what its wished L0 takes."""
    if member.l0 is not None:
        return first_penalty(steers, float(member.l0), d_in)
    return Penalty(l1=member.l1 or 0.0, k=member.k or 0)


def _told(settings: DictionariesSlice) -> dict[str, Any]:
    """What files tell of the training: of the first kinds as ever, with what they do not read; another optimiser."""
    training, own = split(settings.training)[0], split(settings.own)[0]
    own = {name: value for name, value in own.items() if name not in ("lr", "lr_grows_to")}  # it stands by itself
    if training["optimiser"] == "adam":
        del training["optimiser"]
    untrained = {} if trains(settings.control) else {"steps": 0}
    return training | WRITTEN_UNREAD.get(settings.architecture, {}) | own | untrained


def _write(
    settings: DictionariesSlice,
    name: str,
    member: Trainee,
    mean: Tensor,
    scale: Any,
    output: Path,
    left_out: dict | None,
) -> None:
    own = settings.members[name]
    if own.tokens is not None:  # what is set at the end, is set in a copy, and training goes on
        member = copy.deepcopy(member)
        member.name = name  # said where it missed its wish
    matched = member.settle()
    dictionary = member.architecture.fold(member.parameters, member.state, mean, scale, member.penalty)
    made_by = {
        "site": settings.site,
        "architecture": settings.architecture,
        "ratio": settings.ratio,
        **({} if settings.control is None else {"control": settings.control}),
        "l1": own.l1,
        "k": own.k,
        **({} if own.l0 is None else {"l0_target": own.l0, **came_out(_steers(settings), member.penalty)}),
        **({} if own.tokens is None else {"tokens": own.tokens, "seen": member.step * settings.training.batch}),
        "seed": own.seed,
        "lr": member.schedule.lr,
        "training": _told(settings),
        **matched,
        **({} if left_out is None else {"left_out": left_out}),
        **({} if settings.training.early_stop is None else {"steps_taken": member.step * trains(settings.control)}),
    }
    # The larger file first: where the disk is full, the older pair stays together.
    dictionaries.save(output / f"{name}.safetensors", dictionary, made_by)
    write_text(output / f"{name}.log.jsonl", "".join(json.dumps(line) + "\n" for line in member.log))
