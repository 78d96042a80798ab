"""A GPU is in no key: what is fresh on a machine with one is fresh on one without. Stamps and captions name it."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from sparse_coding.figures.caption import mixed
from sparse_coding.settings import declared, hub_lock, params_file, slices
from sparse_coding.settings.params import Params
from sparse_coding.workflow import orders, stamps
from tests.workspace import ROOT

SITE = "layer2_residual"


def keys(monkeypatch: pytest.MonkeyPatch, has_gpu: bool, params: Params) -> dict[str, str]:
    """Of every artifact up to the dictionaries, as Snakemake and `sparse_coding plan` take them."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: int(has_gpu))
    monkeypatch.chdir(ROOT)
    graph = declared.empty_graph(ROOT, looks=False)
    declared.up_to_dictionaries(graph, params, SITE)
    return {path: artifact.key for path, artifact in graph.artifacts.items()} | graph.stage_keys()


def test_keys_are_the_same_with_a_gpu_and_without_and_whichever_is_asked_for(monkeypatch):
    params = hub_lock.pinned(params_file.load(ROOT / "params.yaml"))
    without = keys(monkeypatch, False, params)
    assert len(without) > 20
    assert keys(monkeypatch, True, params) == without
    for device in ("cpu", "cuda"):
        devices = {"dictionaries": {"device": device}, "model": {"device": device}}
        changed = {name: getattr(params, name).model_copy(update=values) for name, values in devices.items()}
        assert keys(monkeypatch, True, params.model_copy(update=changed)) == without


def test_a_device_is_in_the_part_of_the_settings_that_counts_for_nothing():
    for section in (Params().dictionaries, Params().model):
        deciding, free = slices.split(section)
        assert "device" in free
        assert "device" not in deciding


def test_a_stamp_names_the_gpu_that_its_process_used_and_no_other(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    assert "gpu" not in stamps.environment(("torch",))  # there is one, and nothing ran on it
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    environment = stamps.environment(("torch",))
    assert environment["gpu"] == "Some GPU"
    record = {"step": "s", "makes": "x", "settings": {}, "source": "", "inputs": {}}
    stamp = stamps.Stamp("key", record, {"x": "0"}, environments=[environment])
    stamps.write(tmp_path / "x.stamp", stamp)
    assert asdict(stamps.read(tmp_path / "x.stamp"))["environments"] == [environment]


def test_a_caption_names_the_gpus():
    processor = {"cpu": "a", "torch": "2"}
    assert mixed([processor]) == ""
    assert mixed([processor, processor | {"gpu": "G"}]) == "Computed on a GPU: G."
    assert mixed([processor | {"gpu": "G"}, processor | {"gpu": "H", "torch": "3"}]) == (
        "Computed on a GPU: G and H. Mixed: the numbers were made with more than one torch (2, 3)."
    )


def test_an_order_carries_the_device_beside_what_counts(monkeypatch):
    monkeypatch.chdir(ROOT)
    params = hub_lock.pinned(params_file.load(ROOT / "params.yaml"))
    graph = declared.empty_graph(Path.cwd(), looks=False)
    declared.up_to_dictionaries(graph, params, SITE)
    job = next(job for name, job in graph.jobs.items() if name.startswith("dictionaries"))
    order = orders.order_of(graph, job, list(job.artifacts), False, {})
    assert order["free"]["training"]["device"] == "auto"
    assert "device" not in str(order["settings"])
