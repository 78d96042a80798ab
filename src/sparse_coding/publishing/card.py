"""The model card, README.md: what it is, what was measured, how to read that, how to load it, how to cite it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from sparse_coding import methods
from sparse_coding.errors import BadInput
from sparse_coding.publishing import measured
from sparse_coding.publishing.markdown import capitalised, folded, table
from sparse_coding.publishing.provenance import Provenance
from sparse_coding.publishing.subject import Subject
from sparse_coding.settings import sites

TAGS = ["sparse-autoencoder", "dictionary-learning", "mechanistic-interpretability", "saelens", "sparse_coding"]
WORDS = {"residual": "the residual stream after block {}", "mlp": "the hidden activations of the MLP of block {}"}
WORDS |= {"mlpin": "what the MLP of block {} reads", "mlpout": "what the MLP of block {} writes"}
WORDS |= {"attn": "the outputs of the attention heads of block {}, before they are mixed"}


def text(subjects: Sequence[Subject], provenance: Provenance, licence: str, bundles: Sequence[str]) -> str:
    """The whole card. licence: as the hub names licences; bundles: their folders, of those that have one."""
    parts = [
        _front(provenance, licence),
        _title(subjects, provenance),
        _overview(subjects),
        _load(subjects, provenance),
        *(_one(subject) for subject in subjects),
        _reading(subjects),
        _origin(provenance),
        _files(subjects, bundles, provenance),
        _licence(licence, bool(bundles)),
        _cite(provenance),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _front(provenance: Provenance, licence: str) -> str:
    """YAML that the hub reads."""
    datasets = [provenance.dataset] if provenance.dataset else None
    data = ModelCardData(
        license=licence, library_name="saelens", tags=TAGS, base_model=provenance.base_model, datasets=datasets
    )
    return f"---\n{data.to_yaml()}\n---"


def place(site: str) -> str:
    """A site in words, for people who know the model and not this program."""
    try:
        known = sites.parse(site)
    except BadInput:
        return f"vectors that were imported as `{site}`"
    return " to ".join(WORDS[each.location].format(each.layer) for each in known.places) + " (blocks count from 0)"


def _title(subjects: Sequence[Subject], provenance: Provenance) -> str:
    of = f" of {provenance.model}" if provenance.model else ""
    n = len(subjects)
    kinds = ", ".join(dict.fromkeys(methods.of(each.row["kind"]).label for each in subjects))
    where = "; ".join(f"`{site}`, {place(site)}" for site in dict.fromkeys(each.site for each in subjects))
    what = "A sparse dictionary" if n == 1 else f"{n} sparse dictionaries"
    return f"""# {"Sparse dictionary" if n == 1 else "Sparse dictionaries"}{of}

{what} ({kinds}) of the activations{of}, from {where}.

In the format of SAELens. Trained and measured with sparse_coding."""


def _overview(subjects: Sequence[Subject]) -> str:
    head = ["folder", "features", "L0", "FVU", "loss recovered", "score of explanations"]
    rows = [[f"`{each.folder}`", str(each.dictionary.n_feat), *measured.brief(each)] for each in subjects]
    return f"{table(head, rows)}\n\nIn brackets: 95 % intervals. What each number means: below."


def _load(subjects: Sequence[Subject], provenance: Provenance) -> str:
    folder = subjects[0].folder
    names = f" of {provenance.model}" if provenance.model else ""
    transcoder = any(each.dictionary.d_in != each.dictionary.d_out or sites.is_pair(each.site) for each in subjects)
    note = "\nThe transcoders among them read one place of the model and write another.\n" if transcoder else ""
    return f"""## How to load

With SAELens, from this folder, or from the hub by the repository's name:

```python
from sae_lens import SAE

sae = SAE.load_from_disk("{folder}")  # or SAE.from_pretrained("USER/REPOSITORY", "{folder}")
codes = sae.encode(x)  # x [..., {subjects[0].dictionary.d_in}]: activations{names} at this place, as the model has them
```

With sparse_coding, from this folder:

```python
from sparse_coding import load_dictionary

codes = load_dictionary("{folder}").encode(x)
```
{note}
Nothing is to be done to `x` before: no scaling, no centring."""


def _one(subject: Subject) -> str:
    about = methods.of(subject.row["kind"])
    parts = [f"## `{subject.folder}`", _what(subject), measured.table_of(subject)]
    if subject.row["broken"]:
        parts.append(f"**Broken**: {subject.row['broken']}.")
    if subject.row["control"] is not None:
        held = f"**A control**, not a dictionary to use: {subject.row['control']} (something was held in its training)."
        parts.append(held)
    parts += measured.scores(subject)
    parts.append(f"Kind: {about.label}, after {about.source}.")
    parts.append(folded("Made with these settings", f"```json\n{_settings(subject.made)}\n```"))
    return "\n\n".join(parts)


def _what(subject: Subject) -> str:
    dictionary, row = subject.dictionary, subject.row
    to = f" to {dictionary.d_out}" if dictionary.d_out != dictionary.d_in else ""
    about = methods.of(row["kind"])
    what = "trained" if about.is_learned else "a baseline"
    strengths = [f"{label} {row[column]:g}" for column, label in (("ratio", "ratio"), ("l1", "L1"), ("k", "k"),
                 ("l0_target", "wished L0"), ("seed", "seed")) if row[column] is not None]  # fmt: skip
    told = f" ({', '.join(strengths)})" if strengths else ""
    early = "" if row["tokens"] is None else f" A snapshot, after {row['tokens']} vectors of its training."
    variant = "" if subject.is_plain else f" In the variant `{subject.variant}`: fitted after training, and folded in."
    shape = f"{dictionary.n_feat} features of {dictionary.d_in}{to} dimensions"
    where = f"{place(subject.site)}.{early}{variant}"
    return f"{capitalised(about.label)}, {what}{told}: {shape}, at {where}"


def _settings(made: dict[str, Any]) -> str:
    return json.dumps(made, indent=1, sort_keys=True)


L0_READ = "- **L0** is a price, not a quality: compare FVU and loss recovered at the same L0 only."
COVERED = """- **Intervals** hold one training run, one model and one corpus fixed. They do not cover another seed,
  another processor, or other versions of libraries."""
RECOVERED = """- **Loss recovered** measures against a ruined model, so shares come out high. Read the
  cross-entropies too."""
SCORED = """- **Scores of explanations** say how well a text or a rule tells where a feature fires. A high one does not
  show that the *model* learned something: a dictionary of the same model with random weights can score as high, or
  higher. Where that control was scored, it stands beside."""
UNITS = "- Features are directions that an objective found. Nothing here shows that the model uses them as units."


def _reading(subjects: Sequence[Subject]) -> str:
    lines = [L0_READ, COVERED]
    lines += [RECOVERED] if any(each.row["loss_recovered"] is not None for each in subjects) else []
    lines += [SCORED] if any(each.means for each in subjects) else []
    return "## How to read the numbers\n\n" + "\n".join([*lines, UNITS])


def _origin(provenance: Provenance) -> str:
    lines = []
    if provenance.model:
        at = f", revision `{provenance.model_revision}`" if provenance.model_revision else ""
        lines.append(f"- Model: {provenance.model}{at}")
    if (told := provenance.text) is not None:
        bos = "with a BOS token each" if told.has_bos else "without BOS tokens"
        lines.append(
            f"- Corpus: {told.corpus}, SHA-256 of its text `{told.sha256}`, in blocks of {told.context} tokens, {bos}"
        )
    else:
        lines.append("- Corpus: not known; vectors were imported, without their texts")
    if provenance.revision:
        changed = ", with changes that were not committed" if provenance.is_changed else ""
        lines.append(f"- Revision of sparse_coding and its settings (git): `{provenance.revision}`{changed}")
    lines.append("- All settings: `params.yaml`")
    return "## Where it comes from\n\n" + "\n".join(lines)


def _files(subjects: Sequence[Subject], bundles: Sequence[str], provenance: Provenance) -> str:
    rows = [
        ["`cfg.json`, `sae_weights.safetensors`", "the dictionary, as SAELens has it"],
        ["`sparsity.safetensors`", "log10 of the share of held-out vectors on which each feature fires (+ 1e-10)"],
        ["`certificate.json`", "how far these weights are from ours: computed in float64, on rows of each feature"],
        ["`params.yaml`", "the settings of the whole run, without paths"],
    ]
    if bundles:
        rows.append(["`neuronpedia/`", "features, texts on which they are strongest, explanations: to be imported by "
                     "Neuronpedia; a score of an explanation is in its `notes`"])  # fmt: skip
    if provenance.citation:
        rows.append(["`CITATION.cff`", "how to cite"])
    return "## Files\n\n" + table(["file", "what"], rows)


def _licence(licence: str, has_texts: bool) -> str:
    said = f"## Licence\n\nThe dictionaries: {licence}. The model that they were trained on has a licence of its own."
    return said + (" So have the texts that `neuronpedia/` quotes." if has_texts else "")


def _cite(provenance: Provenance) -> str:
    cited = provenance.citation
    if not cited:
        return "## How to cite\n\nName sparse_coding, and this repository."
    lines = [_reference(cited, f"version {cited['version']}" if "version" in cited else "")]
    lines += [_reference(each, _identifier(each)) for each in cited.get("references", [])]
    return "## How to cite\n\n" + "\n".join(f"- {line}" for line in lines)


def _reference(cited: dict[str, Any], more: str) -> str:
    who = [" ".join(filter(None, (each.get("given-names"), each.get("family-names"), each.get("name"))))
           for each in cited.get("authors", [])]  # fmt: skip
    year = cited.get("year") or str(cited.get("date-released", ""))[:4]
    return ". ".join(filter(None, (", ".join(who), str(cited.get("title", "")), more, str(year)))) + "."


def _identifier(cited: dict[str, Any]) -> str:
    return next((str(each["value"]) for each in cited.get("identifiers", [])), str(cited.get("url", "")))


def write(path: Path, written: str) -> None:
    """Write it."""
    path.write_text(written, encoding="utf-8")
