"""Stage dictionaries: train members of one cell, that is, dictionaries of one shape on one site.

1. Centre the activations and scale them to unit mean norm, so that an L1 means the same on every site.
2. Feed one shuffled stream to some members at a time, one thread a member.
3. Fold the normalisation into each dictionary; write it with its training log.
"""

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from sparse_coding.atomic import write_text
from sparse_coding.core import ensemble, stack
from sparse_coding.core.architectures import BY_NAME
from sparse_coding.core.architectures.contract import Architecture, Penalty
from sparse_coding.core.architectures.original import Original
from sparse_coding.errors import BadInput
from sparse_coding.grid import Member
from sparse_coding.io import dictionaries, stream
from sparse_coding.io.activations import ActivationsFile, open_activations
from sparse_coding.slices import DictionariesSlice, split


def run(
    settings: DictionariesSlice,
    *,
    activations: Path,
    output: Path,
    threads: int,
    done: Callable[[str], object] = lambda name: None,
) -> None:
    """Train members on `activations`; write `<output>/<member>.safetensors` and its log.

    `done` hears the name of each member that is written. Members that diverge take nothing from the others: these
    are finished first, then NotFinite is raised for the first of those. Raises BadInput, before any is trained, where
    grid.k asks for more codes than there are features.
    """
    failures: list[ensemble.NotFinite] = []
    names, size = list(settings.members), settings.training.side_by_side
    label = f"dictionaries {settings.site} {settings.architecture} r{settings.ratio:g}"
    with (
        open_activations(activations) as file,
        tqdm(total=settings.training.steps * len(names), desc=label, unit="step") as progress,
    ):
        _check_k(settings, file)
        mean, scale = (file.mean, file.mean_norm) if settings.training.normalise else (0 * file.mean, 1.0)

        def together(some: list[str]) -> list[ensemble.NotFinite]:
            """Train and write some members; nothing holds them when it is over."""
            members = [_member(settings, name, file.d_act) for name in some]
            failed = _train(members, _batches(settings, file, mean, scale), settings, threads, progress.update)
            for member in members:
                if member.name not in failed:
                    _write(settings, member, mean, scale, output)
                    done(member.name)
            return [failed[member.name] for member in members if member.name in failed]

        for first in range(0, len(names), size):
            failures += together(names[first : first + size])
    if failures:
        raise failures[0]


def _check_k(settings: DictionariesSlice, file: ActivationsFile) -> None:
    n_feat = round(settings.ratio * file.d_act)
    for member in settings.members.values():
        if member.k is not None and member.k > n_feat:
            cell = f"{settings.architecture}_r{settings.ratio:g} of {settings.site}"
            raise BadInput("grid.k", str(member.k), f"at most {n_feat}, the features of {cell}")


def _train(
    members: list[ensemble.Member],
    batches: Iterator[Tensor],
    settings: DictionariesSlice,
    threads: int,
    advance: Callable[[int], object],
) -> dict[str, ensemble.NotFinite]:
    """On the processor, a member a thread; on a GPU all at once."""
    wanted, has_gpu = settings.training.device, torch.cuda.is_available()
    if wanted == "cuda" and not has_gpu:
        raise BadInput("dictionaries.device", "cuda, and torch sees no GPU", "auto or cpu, or a GPU with its driver")
    if wanted == "cpu" or not has_gpu:
        return ensemble.train(members, batches, threads, advance)
    return stack.train(members, batches, torch.device("cuda"), settings.training.gpu_precision, advance)


def _batches(settings: DictionariesSlice, file: ActivationsFile, mean: Tensor, scale: float) -> Iterator[Tensor]:
    training = settings.training
    batches = stream.batches(
        file.split("train"),
        size=training.batch,
        seed=training.shuffle_seed,
        buffer_rows=training.buffer_rows,
        mean=mean,
        scale=scale,
    )
    return islice(batches, training.steps)


def _member(settings: DictionariesSlice, name: str, d_act: int) -> ensemble.Member:
    own, training = settings.members[name], settings.training
    n_feat = round(settings.ratio * d_act)
    if n_feat < 1:
        raise BadInput("grid.ratios", f"{settings.ratio:g}", f"at least {1 / d_act:g}: one feature for d_act {d_act}")
    schedule = ensemble.Schedule(
        steps=training.steps,
        lr=settings.lr,
        warmup=round(training.warmup_share * training.steps),
        decay=round(training.decay_share * training.steps),
        l1_warmup=round(training.l1_warmup_share * training.steps),
    )
    return ensemble.Member(
        name,
        _architecture(settings),
        (n_feat, d_act),
        penalty_of(own),
        own.seed,
        schedule,
        (training.beta1, training.beta2, training.eps),
        training.log_steps,
        training.initial_density,
        training.legacy_adam,
    )


def _architecture(settings: DictionariesSlice) -> Architecture:
    base, training = BY_NAME[settings.architecture], settings.training
    xavier = training.initial_weights == "xavier"
    if not xavier and not training.free_lengths and training.learned_centre:
        return base
    return Original(base, xavier, training.free_lengths, training.learned_centre)


def penalty_of(member: Member) -> Penalty:
    """The L1 weight or the k of a member."""
    return Penalty(l1=member.l1 or 0.0, k=member.k or 0)


def _write(settings: DictionariesSlice, member: ensemble.Member, mean: Tensor, scale: float, output: Path) -> None:
    own = settings.members[member.name]
    dictionary = member.architecture.fold(member.parameters, mean, scale, penalty_of(own))
    made_by = {
        "site": settings.site,
        "architecture": settings.architecture,
        "ratio": settings.ratio,
        "l1": own.l1,
        "k": own.k,
        "seed": own.seed,
        "lr": settings.lr,
        "training": split(settings.training)[0],
    }
    # The larger file first: where the disk is full, the older pair stays together.
    dictionaries.save(output / f"{member.name}.safetensors", dictionary, made_by)
    write_text(output / f"{member.name}.log.jsonl", "".join(json.dumps(line) + "\n" for line in member.log))
