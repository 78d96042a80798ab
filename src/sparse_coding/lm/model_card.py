"""The model card of the language model that is trained here, and the picture of its loss curve."""

import json
import math
from pathlib import Path

from matplotlib.figure import Figure

from sparse_coding.atomic import whole_file, write_text
from sparse_coding.core.metrics.splice import perplexity
from sparse_coding.lm.corpora import pydocs
from sparse_coding.settings.params.transformer import TRAINED, Transformer

CURVE_POINTS = 12
CLASSES = {"gpt_neox": "GPT-NeoX", "gpt2": "GPT-2"}
FRONT_MATTER = """---
{known}library_name: transformers
pipeline_tag: text-generation
tags:
- {architecture}
- interpretability
- sparse-autoencoder
---
"""


def write_card(settings: Transformer, result: dict, folder: Path) -> None:
    """Write README.md and loss_curve.png into the model's folder."""
    draw_loss_curve(result, folder / "loss_curve.png")
    write_text(folder / "README.md", model_card(settings, result))


def rewrite_card(settings: Transformer, folder: Path) -> None:
    """Write the card again from training.json, which training left in `folder`."""
    write_card(settings, json.loads((folder / "training.json").read_text(encoding="utf-8")), folder)


def model_card(settings: Transformer, result: dict) -> str:
    """The model card, in Markdown with the front matter of the model hub.

    `result` holds held_out_loss and ngram_losses (order 1 first) in nats per token, train_tokens, held_out_tokens,
    leak (share), parameters, tokenizer (origin, entries, begin, id), and curve: a list of
    {step, train_loss, held_out_loss}.
    """
    parts = [
        FRONT_MATTER.format(architecture=settings.architecture, known=_known(settings)) + f"\n# {settings.name}",
        _purpose(settings, result),
        "## Results\n\n" + _results(result),
        "## Data\n\n" + _data(settings, result),
        "## Recipe\n\n" + _recipe(settings, result),
        "## Loss curve\n\n![Loss against steps, with n-gram models as lines](loss_curve.png)\n\n" + _curve(result),
        "## Limits\n\n" + _limits(settings),
    ]
    return "\n\n".join(parts) + "\n"


def draw_loss_curve(result: dict, path: Path) -> None:
    """Draw training and held-out loss against steps, with the n-gram models as horizontal lines, as a PNG file."""
    curve = result["curve"]
    steps = [point["step"] for point in curve]
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(steps, [point["train_loss"] for point in curve], color="#0072B2", label="training, mean since last point")
    axes.plot(steps, [point["held_out_loss"] for point in curve], color="#D55E00", label="held out, a sample of blocks")
    for order, loss in enumerate(result["ngram_losses"], start=1):
        axes.axhline(loss, color="0.6", linewidth=0.8, linestyle="--")
        place = (1 - 0.1 * (order - 1), loss)  # side by side: the losses of high orders almost coincide
        axes.annotate(f"{order}-gram", place, xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=7)
    axes.set_xlabel("step")
    axes.set_ylabel("cross-entropy [nats / token]")
    axes.legend()
    with whole_file(path) as temporary:
        # Without the version of matplotlib, so that the bytes depend on the numbers.
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _known(settings: Transformer) -> str:
    """What is known of the embedded corpus; the language and the licence of another are for its user to add."""
    return "language: en\nlicense: mit\n" if settings.corpus == pydocs.NAME else ""


def _purpose(settings: Transformer, result: dict) -> str:
    begin = result["tokenizer"]
    return (
        f"A causal language model of {result['parameters'] / 1e6:.2f} million parameters "
        f"({CLASSES[settings.architecture]}, "
        f"{settings.layers} layers, d_model {settings.d_model}, {settings.heads} heads, context {settings.context}). "
        "It is made to be taken apart: small enough that its activations can be harvested, and dictionaries "
        "trained on them, in minutes on a CPU and without a network. It is not made to write text.\n\n"
        "```python\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f'model = AutoModelForCausalLM.from_pretrained("models/{settings.name}")\n'
        f'tokenizer = AutoTokenizer.from_pretrained("models/{settings.name}")\n'
        "```\n\n"
        f"Begin each input with `{begin['begin']}` (id {begin['id']}): in training every block began with it."
    )


def _results(result: dict) -> str:
    losses = {f"{order}-gram": loss for order, loss in enumerate(result["ngram_losses"], start=1)}
    losses["**this model**"] = result["held_out_loss"]
    rows = [[name, f"{loss:.3f}", f"{perplexity(loss) or math.inf:.1f}"] for name, loss in losses.items()]
    best = min(result["ngram_losses"])
    order = result["ngram_losses"].index(best) + 1
    return (
        f"On all {result['held_out_tokens']:,} held-out tokens (document ends included), the checkpoint with the "
        "best loss on a sample of them:\n\n"
        + _table(["model", "cross-entropy [nats / token]", "perplexity"], rows)
        + f"\n\nThe best n-gram model (order {order}) loses {best:.3f} nats per token; this model loses "
        f"{result['held_out_loss']:.3f}, a difference of {best - result['held_out_loss']:.3f}. The n-gram models use "
        "absolute discounting with interpolation and were counted on the same training tokens."
    )


def _data(settings: Transformer, result: dict) -> str:
    leak = (
        f"Of the held-out 12-word windows, {result['leak']:.2%} stand in the training documents. One pass over the "
        f"training documents is {result['train_tokens']:,} tokens."
    )
    if settings.corpus != pydocs.NAME:
        part = ", ".join(filter(None, (settings.subset, settings.split)))
        streamed = "" if settings.documents is None else f", at most {settings.documents:,} documents of a stream"
        return f"The corpus `{settings.corpus}`{f' ({part})' if part else ''}{streamed}, split by document. {leak}"
    lock = json.loads(pydocs.LOCK.read_text(encoding="utf-8"))
    rows = [
        [name, package["version"], package["licence"], package["split"].replace("_", "-"), f"{package['docstrings']:,}"]
        for name, package in lock["packages"].items()
    ]
    return (
        f"The corpus `pydocs`: docstrings of at least {pydocs.MIN_CHARACTERS} characters from the Python packages "
        "below, one document a docstring, without the packages' tests. Documents that mostly repeat earlier ones are "
        "left out, so fewer enter than the table counts. **Whole packages are held out.** "
        + leak
        + f" The text has SHA-256 `{lock['sha256']}`.\n\n"
        + _table(["package", "version", "licence (as the package states it)", "split", "docstrings"], rows)
    )


def _recipe(settings: Transformer, result: dict) -> str:
    decay = f"weight decay {settings.weight_decay:g}"
    adamw = f"AdamW, peak rate {settings.lr_adamw:g}, betas 0.9 and 0.95, {decay}"
    muon = f"Muon, peak rate {settings.lr_muon:g}, {decay}"
    optimisers = {
        "muon": [["weight matrices", muon], ["embeddings, biases, norms", adamw]],
        "adamw": [["all weights", adamw]],
    }[settings.optimiser]
    seen = settings.steps * settings.batch * (settings.context - 1)
    rows = [
        ["tokenizer", _tokenizer(settings, result["tokenizer"])],
        ["steps", f"{settings.steps:,} of {settings.batch} blocks of {settings.context} tokens"],
        ["tokens seen", f"{seen:,}, or {seen / result['train_tokens']:.1f} passes over the training documents"],
        *optimisers,
        *([["dropout", f"{settings.dropout:g}"]] if settings.dropout else []),
        ["schedule", f"linear warm-up over {settings.warmup_steps} steps, then linear decay to zero"],
        ["gradient norm", "clipped at 1"],
        ["precision", settings.precision],
        ["held-out loss", f"every {settings.checkpoint_steps} steps; the best checkpoint is kept"],
        ["seed", str(settings.seed)],
    ]
    return _table(["", ""], rows)


def _tokenizer(settings: Transformer, tokenizer: dict) -> str:
    if tokenizer["origin"] != TRAINED:
        return f"that of `{tokenizer['origin']}`, {tokenizer['entries']:,} entries"
    trained = f"byte-level BPE, {tokenizer['entries']:,} entries, trained on the training documents"
    return (
        trained if settings.tokenizer == TRAINED else f"{trained}, because `{settings.tokenizer}` could not be loaded"
    )


def _curve(result: dict) -> str:
    curve = result["curve"]
    n = min(CURVE_POINTS, len(curve))
    chosen = sorted({round((index + 1) * len(curve) / n) - 1 for index in range(n)})  # evenly, the last one always
    rows = [
        [f"{curve[i]['step']:,}", f"{curve[i]['train_loss']:.3f}", f"{curve[i]['held_out_loss']:.3f}"] for i in chosen
    ]
    return (
        _table(["step", "training loss", "held-out loss"], rows)
        + "\n\nNats per token. Training loss is the mean since the point before; held-out loss here is on a fixed "
        "sample of held-out blocks, so it differs a little from the result above. All points are in `training.json`."
    )


def _limits(settings: Transformer) -> str:
    tiny = (
        "- It is tiny, and it saw little text. It cannot answer questions, follow instructions or write working code.\n"
        f"- It knows nothing beyond {settings.context} tokens."
    )
    if settings.corpus != pydocs.NAME:
        return tiny
    return tiny + (
        "\n- It read docstrings only: English prose about programming interfaces, with parameter lists and short "
        "examples. What is found in it need not hold for models of other text, or for larger models.\n"
        "- Held-out packages are of the same kind as the training packages. The losses say nothing about other text.\n"
        "- Names, addresses and mistakes that stand in the docstrings can come out again."
    )


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
