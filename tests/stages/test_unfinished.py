"""A training that is broken off at any step, and gone on with: the bytes of one that was left alone."""

import errno
import json
import os
import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open

from sparse_coding import methods
from sparse_coding.io import unfinished
from sparse_coding.io.activations import ActivationsWriter, Header, open_site
from sparse_coding.settings.grid import Member
from sparse_coding.settings.params import Dictionaries
from sparse_coding.settings.slices import DictionariesSlice
from sparse_coding.stages import dictionaries

STEPS, D_ACT, ROWS = 150, 12, 4000
GPU = torch.device("cuda", 0)
STRENGTHS = {
    "tied": ("l1", [1e-3, 3e-3]), "untied": ("l1", [1e-3, 3e-3]), "topk": ("k", [2, 3]), "jumprelu": ("l0", [2.0, 4.0]),
    "batchtopk": ("k", [2, 3]), "topk_aux": ("k", [2, 3]),
    "gated": ("l1", [1e-3, 3e-3]), "matryoshka": ("k", [2, 3]),
    "lista": ("l1", [1e-3, 3e-3]), "transcoder": ("k", [2, 3]), "skip_transcoder": ("k", [2, 3]),
}  # fmt: skip


class Broken(Exception):
    """As a kill: nothing that would come after it is done."""


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """Of a place, and beside it in `b.h5` those of another with the same codes."""
    folder, generator = tmp_path_factory.mktemp("vectors"), torch.Generator().manual_seed(0)
    codes = (torch.rand(ROWS, 40, generator=generator) < 0.05) * torch.rand(ROWS, 40, generator=generator)
    write(folder / "b.h5", codes, D_ACT - 4, generator)
    return write(folder / "a.h5", codes, D_ACT, generator)


def write(path, codes, d_act, generator):
    header = Header(site=path.stem, model="none", corpus="none", dtype="float32", d_act=d_act, block_rows=64)
    atoms = torch.nn.functional.normalize(torch.randn(40, d_act, generator=generator), dim=1)
    x = codes @ atoms + 0.01 * torch.randn(ROWS, d_act, generator=generator)
    with ActivationsWriter(path, header, {"train": ROWS, "held_out": ROWS // 8}) as writer:
        for split, rows in (("train", x), ("held_out", 1.1 * x[::8])):
            column = np.arange(len(rows))
            writer.append(split, rows, column, column, column)
    return path


def settings(kind: str, n: int, minutes: float = 1e-9, own=None, **training) -> DictionariesSlice:
    """n members, in groups of at most 8; by default everything is kept at each turn."""
    field, strengths = STRENGTHS[kind]
    given = {"steps": STEPS, "batch": 64, "buffer_rows": 500, "log_steps": 7, "checkpoint_minutes": minutes} | training
    section = Dictionaries.model_validate({**given, kind: own or {}})
    members = {f"{kind}{i}": Member(seed=i, **{field: strengths[i % len(strengths)]}) for i in range(n)}
    return DictionariesSlice.model_validate(
        {
            "site": "a", "architecture": kind, "ratio": 3, "members": members, "own": section.of(kind),
            "training": {name: getattr(section, name) for name in type(section).__mro__[1].model_fields},
            "penalty_warmup": section.of(kind).penalty_warmup,
        }
    )  # fmt: skip


def wished(kind: str, n: int, minutes: float = 1e-9) -> DictionariesSlice:
    """The same with a wished L0 each."""
    one = settings(kind, n, minutes)
    members = {f"{kind}{i}": Member(seed=i, l0=2.0 + i, l0_rows=300) for i in range(n)}
    return one.model_copy(update={"members": members})


def train(vectors: Path, work: Path, wanted: DictionariesSlice, breaks_at: int | None = None, threads: int = 2) -> None:
    """Into `<work>/output`; Broken is raised where, all members together, `breaks_at` steps are done."""

    class Counting(dictionaries.tqdm):
        def update(self, n=1):
            super().update(n)
            if breaks_at is not None and self.n >= breaks_at:
                raise Broken

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dictionaries, "tqdm", Counting)
        dictionaries.run(
            wanted,
            activations=vectors,
            targets=vectors.with_name("b.h5") if methods.of(wanted.architecture).pairs else None,
            output=work / "output",
            threads=threads,
            partly=lambda name: work / "partly" / name,
        )


def files(work: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((work / "output").iterdir())}


@pytest.mark.parametrize("n", [1, 8])
@pytest.mark.parametrize("kind", STRENGTHS)
def test_broken_off_again_and_again_the_bytes_are_the_same(vectors, tmp_path, kind, n):
    train(vectors, tmp_path / "whole", settings(kind, n, minutes=1e9))
    draw, broken, began = random.Random(kind), 0, []
    for _ in range(6):
        try:
            train(vectors, tmp_path / "broken", settings(kind, n), breaks_at=draw.randrange(1, n * STEPS))
        except Broken:
            broken += 1
            began += [unfinished.load(path, _of(path))[1]["step"] for path in (tmp_path / "broken/partly").glob("*")]
    train(vectors, tmp_path / "broken", settings(kind, n), threads=1)
    assert broken >= 2
    assert 0 < max(began) < STEPS
    assert files(tmp_path / "broken") == files(tmp_path / "whole")
    assert not list((tmp_path / "broken" / "partly").iterdir())


@pytest.mark.parametrize("kind", ["tied", "jumprelu", "batchtopk"])
def test_a_wished_l0_is_come_to_the_same_way_broken_off_and_in_company(vectors, tmp_path, kind):
    train(vectors, tmp_path / "whole", wished(kind, 3, minutes=1e9))
    with pytest.raises(Broken):
        train(vectors, tmp_path / "broken", wished(kind, 1), breaks_at=random.Random(kind).randrange(20, STEPS - 1))
    train(vectors, tmp_path / "broken", wished(kind, 1))
    found, whole = files(tmp_path / "broken"), files(tmp_path / "whole")
    assert len(found) == 2  # a dictionary and its log
    assert {name: whole[name] for name in found} == found
    with safe_open(tmp_path / "whole" / "output" / f"{kind}1.safetensors", framework="pt") as file:
        made = json.loads(json.loads(file.metadata()["sparse_coding"])["settings"])
    assert made["l0_target"] == 3.0
    assert made["matched"]["rows"] == 300
    assert made["matched"]["l0"] == pytest.approx(3.0, rel=0.35)  # in so few steps


def _of(path: Path) -> str:
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["sparse_coding"])["of"]


def test_more_members_go_on_beside_those_that_were_broken_off(vectors, tmp_path):
    """An L1 that is added meanwhile begins at the beginning; the others go on."""
    with pytest.raises(Broken):
        train(vectors, tmp_path, settings("tied", 2), breaks_at=2 * 100)
    train(vectors, tmp_path, settings("tied", 3))
    train(vectors, tmp_path / "whole", settings("tied", 3, minutes=1e9))
    assert files(tmp_path) == files(tmp_path / "whole")


@pytest.mark.parametrize("own", [{"initial_weights": "xavier", "free_lengths": True}])
def test_also_with_lengths_and_the_originals_adam(vectors, tmp_path, own):
    kinds = {"own": own, "legacy_adam": True}
    with pytest.raises(Broken):
        train(vectors, tmp_path, settings("untied", 2, **kinds), breaks_at=200)
    train(vectors, tmp_path, settings("untied", 2, **kinds))
    train(vectors, tmp_path / "whole", settings("untied", 2, minutes=1e9, **kinds))
    assert files(tmp_path) == files(tmp_path / "whole")


@pytest.mark.parametrize("how", ["torn", "edited", "of other vectors", "of another shape"])
def test_what_cannot_be_gone_on_with_begins_anew(vectors, tmp_path, capsys, how):
    with pytest.raises(Broken):
        train(vectors, tmp_path, settings("tied", 1), breaks_at=100)
    (path,) = (tmp_path / "partly").iterdir()
    content = path.read_bytes()
    if how == "torn":
        path.write_bytes(content[: len(content) // 2])
    elif how == "edited":
        path.write_bytes(content[:-3] + b"abc")
    elif how == "of other vectors":
        tensors, numbers = unfinished.load(path, _of(path))
        unfinished.save(path, tensors, numbers, "another")
    else:
        tensors, numbers = unfinished.load(path, _of(path))
        unfinished.save(path, {name: tensor[:1] for name, tensor in tensors.items()}, numbers, _of(path))
    train(vectors, tmp_path, settings("tied", 1))
    train(vectors, tmp_path / "whole", settings("tied", 1, minutes=1e9))
    assert files(tmp_path) == files(tmp_path / "whole")
    assert "begins anew" in capsys.readouterr().err


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), PermissionError("no")])
def test_a_disk_that_takes_no_more_costs_no_training(vectors, tmp_path, capsys, monkeypatch, error):
    def fails(*arguments, **options):
        raise error

    monkeypatch.setattr(unfinished, "save_file", fails)
    train(vectors, tmp_path, settings("tied", 2))
    monkeypatch.undo()
    train(vectors, tmp_path / "whole", settings("tied", 2, minutes=1e9))
    assert files(tmp_path) == files(tmp_path / "whole")
    assert "training goes on" in capsys.readouterr().err


def test_what_a_gpu_was_in_the_middle_of_the_processor_does_not_go_on_with(vectors, tmp_path, capsys, monkeypatch):
    """Its numbers are others, and the stamp would tell of the processor alone."""
    of, gpu = dictionaries._data, SimpleNamespace(name="Some GPU")
    monkeypatch.setattr(dictionaries, "_properties", lambda index: gpu)
    monkeypatch.setattr(dictionaries, "_data", lambda file, mean, scale, device: of(file, mean, scale, GPU))
    with pytest.raises(Broken):
        train(vectors, tmp_path, settings("tied", 1), breaks_at=100)
    with open_site(vectors) as file:
        assert _of(tmp_path / "partly" / "tied0") == of(file, file.mean, file.scale, torch.device("cuda", 1))
    monkeypatch.undo()
    train(vectors, tmp_path, settings("tied", 1))
    train(vectors, tmp_path / "whole", settings("tied", 1, minutes=1e9))
    assert files(tmp_path) == files(tmp_path / "whole")
    assert "begins anew" in capsys.readouterr().err
