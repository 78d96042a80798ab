"""Stage toy: dictionaries trained on vectors whose true features are known.

1. Draw the truth of the seed, and vectors from it as training asks for them.
2. Train all members of the cell, one L1 each, on one stream, as stage dictionaries does.
3. Take metrics on vectors that were not trained on, and against the truth.
4. Write each dictionary, and its row of the table beside it.
"""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from sparse_coding.core import architectures, superposition
from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.metrics.reconstruction import Reconstruction
from sparse_coding.core.metrics.similarity import mmcs
from sparse_coding.core.superposition import HELD_OUT, TRAIN, Truth, Vectors
from sparse_coding.core.training import processor
from sparse_coding.core.training.optimisers import adam
from sparse_coding.core.training.trainee import Schedule, Trainee
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries, tables
from sparse_coding.portions.toy import ENCODED
from sparse_coding.settings.slices.toy import ToySlice


def run(settings: ToySlice, *, output: Path, threads: int, done: Callable[[str], object] = lambda name: None) -> None:
    """Train the members of a cell; write `<output>/<member>.safetensors` and its row, `<member>.json`.

    `done` hears the name of each member that is written. Raises BadInput, when all others are, for those that diverge.
    """
    torch.set_num_threads(1)  # a member a thread, and metrics that round alike on any number of cores
    training = settings.training
    factors = training.factors if settings.condition == "correlated" else None
    shape = (training.true_features, training.d_act)
    truth = superposition.truth(*shape, training.mean_active, training.decay, factors, settings.seed)
    members = [_member(settings, name, l1) for name, l1 in settings.members.items()]
    with tqdm(total=training.steps * len(members), desc=f"toy {settings.name}", unit="step") as progress:
        batches = islice(_vectors(settings, truth, TRAIN).batches(training.batch), training.steps)
        failed = processor.train(members, batches, threads, progress.update)
    held_out = _vectors(settings, truth, HELD_OUT).read(0, training.held_out)
    for member in members:
        if member.name not in failed:
            origin = torch.zeros(training.d_act)
            dictionary = member.architecture.fold(member.parameters, member.state, origin, 1.0, member.penalty)
            described = _description(settings, member.name)
            row = described | _metrics(dictionary, truth, held_out)
            tables.write_json(output / f"{member.name}.json", row)
            made_by = described | {"training": training.model_dump(mode="json")}
            dictionaries.save(output / f"{member.name}.safetensors", dictionary, made_by)
            done(member.name)
    if failed:
        raise BadInput("toy.lr", f"{training.lr:g}, with which {', '.join(failed)} diverged", "a lower rate")


def _vectors(settings: ToySlice, truth: Truth, stream: int) -> Vectors:
    return Vectors(truth, settings.training.codes, settings.training.noise, settings.seed, stream)


def _n_feat(settings: ToySlice) -> int:
    return round(settings.ratio * settings.training.true_features)


def _member(settings: ToySlice, name: str, l1: float) -> Trainee:
    training, n_feat = settings.training, _n_feat(settings)
    schedule = Schedule(
        steps=training.steps,
        lr=training.lr,
        warmup=round(training.warmup_share * training.steps),
        decay=round(training.decay_share * training.steps),
        l1_warmup=round(training.l1_warmup_share * training.steps),
    )
    return Trainee(
        name,
        architectures.build(training.architecture, {}),
        (n_feat, training.d_act),
        Penalty(l1=l1 / n_feat if training.l1_scaling == "per_feature" else l1),
        superposition.seed_of(settings.seed, n_feat),
        schedule,
        adam.build(training.model_dump(mode="json")),
        log_steps=training.steps,
        initial_density=training.initial_density,
    )


def _description(settings: ToySlice, name: str) -> dict[str, Any]:
    training = settings.training
    return {
        "condition": settings.condition,
        "name": name,
        "architecture": training.architecture,
        "l1_scaling": training.l1_scaling,
        "ratio": settings.ratio,
        "l1": settings.members[name],
        "seed": settings.seed,
        "n_feat": _n_feat(settings),
        "n_true": training.true_features,
        "d_act": training.d_act,
    }


def _metrics(dictionary: Dictionary, truth: Truth, x: Tensor) -> dict[str, Any]:
    found = Reconstruction(x.double().mean(0), dictionary.n_feat, n_clusters=1)
    for some in x.split(ENCODED):
        codes = dictionary.encode(some)
        found.add(some, codes, dictionary.decode(codes), torch.zeros(len(some), dtype=torch.long))
    return {
        "mmcs": mmcs(torch.from_numpy(truth.atoms), dictionary.atoms),
        "dead": found.dead,
        "dead_share": found.dead / dictionary.n_feat,
        "fvu": found.fvu.value,
        "mse": found.mse,
        "l0": found.l0.value,
        "n_vectors": found.n_vectors,
    }
