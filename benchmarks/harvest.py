"""What harvesting costs beside a plain forward pass that stops at the same layer: `python -m benchmarks.harvest`.

One core, one thread, in turn in one process, processor time. Plain: the transformers model with a forward hook that
raises at the last layer needed. Also the error that bfloat16 brings.
"""

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, GPTNeoXConfig, GPTNeoXForCausalLM

from benchmarks.results import ROOT, machine, merge
from sparse_coding.io import tokens as token_files
from sparse_coding.lm.model import LanguageModel
from sparse_coding.settings.params import Model
from sparse_coding.settings.sites import Site

DEFAULT = ROOT / "models" / "pydocs-6l"
ROUNDS = 7
Row = dict[str, Any]


class EnoughError(Exception):
    """The last layer has run."""


def large(folder: Path) -> Path:
    """Six layers of 512 dimensions and a vocabulary of 50304, with random weights, and somebody's tokenizer."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 6, "num_attention_heads": 8}
    GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=50304, **sizes)).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(DEFAULT / name, folder)
    return folder


@torch.inference_mode()
def plain(network: GPTNeoXForCausalLM, tokens: Tensor, layer: int) -> None:
    """The least that a harvest up to `layer` can cost in transformers."""

    def stop(*_: object) -> None:
        raise EnoughError

    handle = network.gpt_neox.layers[layer].register_forward_hook(stop)
    with suppress(EnoughError):
        network(tokens, use_cache=False)
    handle.remove()


def seconds(functions: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Processor seconds of each, in turn."""
    found: dict[str, list[float]] = {name: [] for name in functions}
    for timed in [False] + [True] * ROUNDS:
        for name, function in functions.items():
            began = time.process_time()
            function()
            if timed:
                found[name].append(time.process_time() - began)
    return found


def row(what: str, values: list[float], unit: str, note: str = "") -> Row:
    """The median of several values, with the least and the most."""
    print(f"{what}: {statistics.median(values):.4g} [{min(values):.4g}, {max(values):.4g}] {unit} {note}", flush=True)
    spread = {"least": min(values), "most": max(values)} if len(values) > 1 else {}
    return {"what": what, "value": statistics.median(values), "unit": unit, **spread, "note": note}


def rows_of(name: str, folder: Path, tokens: Tensor) -> list[Row]:
    """A middle layer and the last one, one site and several, float32 and bfloat16."""
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model = LanguageModel.load(Model(name=str(folder)))
    rows = []
    for layer in (2, 5):
        sites = [Site(each, "residual") for each in range(layer + 1)]
        own = sites[-1:]
        found = seconds(
            {
                "plain": lambda layer=layer: plain(network, tokens, layer),
                "one site": lambda own=own: model.harvest(tokens, own),
                f"{layer + 1} sites": lambda sites=sites: model.harvest(tokens, sites),
                "one site, bfloat16": lambda own=own: model.harvest(tokens, own, "bfloat16"),
            }
        )
        place = f"{name}, to layer {layer}"
        rows.append(row(f"{place}: plain", [tokens.numel() / each for each in found["plain"]], "tokens/s"))
        for kind in list(found)[1:]:
            ratios = [ours / theirs for ours, theirs in zip(found[kind], found["plain"], strict=True)]
            rows.append(row(f"{place}: {kind}", ratios, "times plain"))
    exact, rough = (model.harvest(tokens, sites, precision) for precision in ("float32", "bfloat16"))
    for site in sites:
        x, y = exact[site.name], rough[site.name]
        centred = x - x.mean(dim=(0, 1))
        error = float((y - x).norm() / x.norm())
        note = f"of the vectors without their mean: {100 * float((y - x).norm() / centred.norm()):.2g} %"
        rows.append(row(f"{name}, layer {site.layer}: error of bfloat16, RMS", [100 * error], "%", note))
    return rows


def portions() -> list[Row]:
    """The default model on 4096 tokens, in passes of several sizes."""
    model, tokens = LanguageModel.load(Model(name=str(DEFAULT))), text(32)
    sites = [Site(4, "residual")]
    sizes = (512, 1024, 2048, 4096)
    found = seconds(
        {
            str(size): lambda size=size: [model.harvest(part, sites) for part in tokens.split(size // 128)]
            for size in sizes
        }
    )
    return [
        row(f"default, to layer 4, batch_tokens {size}", [tokens.numel() / each for each in times], "tokens/s")
        for size, times in found.items()
    ]


def text(blocks: int) -> Tensor:
    """Blocks of 128 tokens of the default's corpus."""
    tokens = token_files.load(ROOT / "results" / "dataset" / "tokens.h5").held_out.tokens
    return torch.from_numpy(tokens[:blocks].astype(np.int64))


def main() -> None:
    """Measure, and write the section."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    rows = rows_of("default model, 32x128 tokens", DEFAULT, text(32))
    rows += portions()
    with tempfile.TemporaryDirectory() as folder:
        tokens = torch.randint(1, 4000, (8, 256), generator=torch.Generator().manual_seed(0))
        rows += rows_of("d = 512, vocabulary 50304, 8x256 tokens", large(Path(folder)), tokens)
    notes = ["One core, processor time, in turn. Plain: transformers with a hook that raises at the last layer needed."]
    merge("harvest", {"rows": rows, "notes": notes, "machine": machine(("torch", "transformers", "transformer_lens"))})


if __name__ == "__main__":
    main()
