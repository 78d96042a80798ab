"""A GPU is in no key: what is fresh on a machine with one is fresh on one without. Stamps and captions name it."""

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from sparse_coding.errors import BadInput
from sparse_coding.figures.caption import mixed
from sparse_coding.forecast.counting import machine
from sparse_coding.settings import declared, hub_lock, params_file, slices
from sparse_coding.settings.params import Params
from sparse_coding.stages import dictionaries
from sparse_coding.workflow import orders, stamps
from tests.line.tiny_line import TINY, write_texts
from tests.tiny_model import make_tiny_model
from tests.workspace import ROOT, make_workspace, snakemake

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


def some_gpus(monkeypatch, n):
    """torch as it is where there are n GPUs, as far as choosing one goes; the numbers of those that were set."""
    chosen = []
    properties = [SimpleNamespace(uuid=f"uuid-{index}", name="Some GPU") for index in range(n)]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: n > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n)
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties.__getitem__)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: chosen.append(device.index))
    return chosen


def test_a_training_takes_the_gpu_that_it_has_for_itself_and_says_so(monkeypatch, capsys):
    chosen, asked = some_gpus(monkeypatch, 3), []
    for wanted in ("auto", "cuda"):
        device = dictionaries._device(wanted, lambda names: asked.append(names) or 2)
        assert (device.type, device.index, chosen.pop(), asked.pop()) == (
            "cuda", 2, 2, ["gpu-uuid-0", "gpu-uuid-1", "gpu-uuid-2"],
        )  # fmt: skip
        assert capsys.readouterr().err == f"dictionaries.device {wanted}: training on cuda:2, Some GPU\n"
    assert dictionaries._device("cpu", lambda names: asked.append(names) or 0).type == "cpu"
    assert not asked


def test_without_one_auto_is_the_processor_and_cuda_is_refused(monkeypatch, capsys):
    some_gpus(monkeypatch, 0)
    assert dictionaries._device("auto", lambda names: 0) == torch.device("cpu")
    assert capsys.readouterr().err == "dictionaries.device auto: training on the processor\n"
    with pytest.raises(BadInput, match="torch sees no GPU"):
        dictionaries._device("cuda", lambda names: 0)


def test_a_cell_asks_snakemake_for_a_gpu_where_one_is_wanted_and_for_none_elsewhere(tmp_path):
    """By the setting `device` alone: here is none, so auto asks for none."""
    for device, asks in (("cuda", True), ("auto", machine.gpus() > 0), ("cpu", False)):
        make_workspace(tmp_path / device, TINY | {"dictionaries": TINY["dictionaries"] | {"device": device}})
        make_tiny_model(tmp_path / device / "models" / "tiny", layers=2)
        write_texts(tmp_path / device / "texts")
        said = snakemake(tmp_path / device, "-n", "--verbose", "dictionaries").stdout
        rules = [rule for rule in said.split("\n\n") if "rule dictionaries_layer" in rule]
        assert rules, said
        assert all(("gpu=1" in rule) is asks for rule in rules), rules


def test_an_order_carries_the_device_beside_what_counts(monkeypatch):
    monkeypatch.chdir(ROOT)
    params = hub_lock.pinned(params_file.load(ROOT / "params.yaml"))
    graph = declared.empty_graph(Path.cwd(), looks=False)
    declared.up_to_dictionaries(graph, params, SITE)
    job = next(job for name, job in graph.jobs.items() if name.startswith("dictionaries"))
    order = orders.order_of(graph, job, list(job.artifacts), False, {})
    assert order["free"]["training"]["device"] == "auto"
    assert "device" not in str(order["settings"])
