"""Stage dictionaries: train one cell, that is, all dictionaries of one shape on one site.

1. Centre the activations and scale them to unit mean norm, so that an L1 means the same on every site.
2. Feed one shuffled stream to all members, one thread a member.
3. Fold the normalisation into each dictionary; write it with its training log.
"""

import json
from itertools import islice
from pathlib import Path

import torch
from tqdm import tqdm

from sparse_coding.atomic import write_text
from sparse_coding.core import ensemble
from sparse_coding.core.architectures import BY_NAME
from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.errors import BadInput
from sparse_coding.grid import Member
from sparse_coding.io import dictionaries, stream
from sparse_coding.io.activations import open_activations
from sparse_coding.slices import DictionariesSlice


def run(settings: DictionariesSlice, *, activations: Path, output: Path, threads: int) -> None:
    """Train the members of a cell on `activations`; write `<output>/<member>.safetensors` and its log."""
    with open_activations(activations) as file:
        mean, scale = (file.mean, file.mean_norm) if settings.dictionaries.normalise else (0 * file.mean, 1.0)
        members = [_member(settings, name, file.d_act) for name in settings.members]
        batches = stream.batches(
            file.split("train"),
            size=settings.dictionaries.batch,
            seed=settings.dictionaries.shuffle_seed,
            buffer_rows=settings.dictionaries.buffer_rows,
            mean=mean,
            scale=scale,
        )
        label = f"dictionaries {settings.site} {settings.architecture} r{settings.ratio:g}"
        total = settings.dictionaries.steps * len(members)
        with tqdm(total=total, desc=label, unit="step") as progress:
            ensemble.train(members, islice(batches, settings.dictionaries.steps), threads, progress.update)
    for member in members:
        _write(settings, member, mean, scale, output)


def _member(settings: DictionariesSlice, name: str, d_act: int) -> ensemble.Member:
    own, training = settings.members[name], settings.dictionaries
    n_feat = round(settings.ratio * d_act)
    if n_feat < 1:
        raise BadInput("grid.ratios", f"{settings.ratio:g}", f"at least {1 / d_act:g}: one feature for d_act {d_act}")
    schedule = ensemble.Schedule(
        steps=training.steps,
        lr=getattr(training.lr, settings.architecture),
        warmup=round(training.warmup_share * training.steps),
        decay=round(training.decay_share * training.steps),
        l1_warmup=round(training.l1_warmup_share * training.steps),
    )
    return ensemble.Member(
        name,
        BY_NAME[settings.architecture],
        (n_feat, d_act),
        penalty_of(own),
        own.seed,
        schedule,
        (training.beta1, training.beta2, training.eps),
        training.log_steps,
    )


def penalty_of(member: Member) -> Penalty:
    """The L1 weight or the k of a member."""
    return Penalty(l1=member.l1 or 0.0, k=member.k or 0)


def _write(
    settings: DictionariesSlice, member: ensemble.Member, mean: torch.Tensor, scale: float, output: Path
) -> None:
    own = settings.members[member.name]
    dictionary = member.architecture.fold(member.parameters, mean, scale, penalty_of(own))
    made_by = {
        "site": settings.site,
        "architecture": settings.architecture,
        "ratio": settings.ratio,
        "l1": own.l1,
        "k": own.k,
        "seed": own.seed,
        "dictionaries": settings.dictionaries.model_dump(mode="json"),
    }
    # The larger file first: where the disk is full, the older pair stays together.
    dictionaries.save(output / f"{member.name}.safetensors", dictionary, made_by)
    write_text(output / f"{member.name}.log.jsonl", "".join(json.dumps(line) + "\n" for line in member.log))
