"""A bundle that Neuronpedia imports: features, the texts on which they are strongest, and explanations.

Layout, and names of fields, are those of its own exports (neuronpedia/utils, export-data.py, and the tables of
apps/webapp/prisma/schema.prisma): <model>/<source>/{release,model,sourceset,source}.jsonl and, in batches of
features, {features,activations,explanations}/batch-<number>.jsonl.gz. Its import takes the fields of the first line
for those of all, so each line has the same.
"""

import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from sparse_coding.formats import hooks
from sparse_coding.io.activations import Split
from sparse_coding.io.tokens import Tokens
from sparse_coding.publishing.provenance import Provenance
from sparse_coding.publishing.subject import Row, Subject
from sparse_coding.publishing.top_fragments import TopFragments, strongest
from sparse_coding.settings import sites
from sparse_coding.using.looking import Lens

FOLDER = "neuronpedia"
SET = "sparse-coding"
CREATOR = "clkht01d40000jv08hvalcvly"  # whom its tools name where nobody else is named
BATCH = 1024  # features, as in its exports
TOP = 20  # fragments of a feature
DIGITS = 5  # of codes: more than float16 activations have
SHORT = {"residual": "res", "mlp": "mlp", "mlpout": "mlp-out", "mlpin": "mlp-in", "attn": "att"}
SCORES = ("top_and_random", "balanced_accuracy", "auc", "accuracy")

Lenses = Callable[[list[int]], list[Lens] | None]


@dataclass(frozen=True)
class Ids:
    """By which its tables are joined."""

    model: str
    source_set: str
    source: str

    @property
    def release(self) -> str:
        """Of a model: no two releases have one name there."""
        return f"{SET}-{self.model}"

    @property
    def folder(self) -> str:
        """Where it expects the files of a source."""
        return f"{self.model}/{self.source}"


def ids(subject: Subject, provenance: Provenance) -> Ids:
    """<layer>-<set>__<name>, as its source ids are. A dot in a name is a p there, as in names of jobs."""
    site = sites.parse(subject.site)
    places = "-to-".join(SHORT[place.location] for place in site.places)
    name = Path(subject.folder).name
    of_set = f"{SET}-{places}"
    model = _slug((provenance.model or "").rpartition("/")[2])
    return Ids(model, of_set, f"{site.layer}-{of_set}__{_slug(name)}")


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9-]", "-", name.lower().replace(".", "p"))


@dataclass(frozen=True, eq=False)
class Texts:
    """What a bundle shows: fragments of the corpus, their vectors, and which tokens features promote; None where the
    site is not in the residual stream. n_layers: of the model."""

    tokens: Tokens
    vectors: Split
    n_layers: int | None
    lenses: Lenses


def write(
    subject: Subject, provenance: Provenance, texts: Texts, frequency: Float[Tensor, " n_feat"], folder: Path
) -> Ids:
    """Write the bundle of a dictionary into `folder`. The bytes depend on the arguments alone."""
    named = ids(subject, provenance)
    into = folder / named.folder
    for name, row in _about(subject, provenance, named, texts).items():
        into.mkdir(parents=True, exist_ok=True)
        (into / f"{name}.jsonl").write_text(_lines([row]), encoding="utf-8")
    dictionary, length = subject.published, texts.tokens.fragment_tokens
    for part in strongest(dictionary, texts.vectors, length, TOP, BATCH):
        batch = f"batch-{part.first // BATCH}.jsonl.gz"
        shown = range(part.first, part.first + len(part.codes))
        lenses = texts.lenses(list(shown))
        rows = [_feature(named, f, part, frequency, lenses, _hook(subject.site)) for f in shown]
        _pack(into / "features" / batch, rows)
        _pack(into / "activations" / batch, (row for f in shown for row in _activations(named, f, part, texts.tokens)))
        explained = [row for f in shown for row in _explanations(named, f, subject.explained.get(f, []))]
        if explained:
            _pack(into / "explanations" / batch, explained)
    return named


def _hook(site: str) -> str:
    named = hooks.named(site)
    return str(named.get("hook_name_out", named["hook_name"]))


def _about(subject: Subject, provenance: Provenance, named: Ids, texts: Texts) -> dict[str, Row]:
    """Its release, model, source set and source."""
    cited = provenance.citation or {}
    creator = next((_person(each) for each in cited.get("authors", [])), "unknown")
    title = f"Dictionaries of {provenance.model}, trained with sparse_coding"
    by = {"creatorId": CREATOR, "visibility": "PUBLIC"}
    release: Row = {"name": named.release, "description": title, "creatorName": creator, "urls": [], **by}
    model: Row = {
        "id": named.model,
        "displayName": provenance.model,
        "displayNameShort": named.model,
        "instruct": False,
    }
    model |= {"layers": texts.n_layers or 0, "neuronsPerLayer": 0, "owner": "", **by}
    of_set: Row = {"modelId": named.model, "name": named.source_set, "description": title, "creatorName": creator}
    of_set |= {"releaseName": named.release, "urls": [], **by}
    source: Row = {"id": named.source, "modelId": named.model, "setName": named.source_set, **by}
    source |= {"num_prompts": len(texts.tokens.fragments)}
    source |= {"num_tokens_in_prompt": texts.tokens.fragment_tokens}
    source |= {"dataset": provenance.text.corpus if provenance.text else None, "hfFolderId": subject.folder}
    return {"release": release, "model": model, "sourceset": of_set, "source": source}


def _person(author: dict[str, Any]) -> str:
    whole = " ".join(str(author[part]) for part in ("given-names", "family-names") if part in author)
    return whole or str(author.get("name", "unknown"))


def _feature(
    named: Ids, feature: int, part: TopFragments, frequency: Tensor, lenses: list[Lens] | None, hook: str
) -> Row:
    """A line of its table Neuron. maxActApprox: of the fragments; frac_nonzero: of held-out vectors."""
    at = feature - part.first
    row: Row = {"modelId": named.model, "layer": named.source, "index": str(feature), "creatorId": CREATOR}
    row |= {"sourceSetName": named.source_set, "hookName": hook, "hasVector": False}
    row |= {"maxActApprox": _rounded(part.codes[at].amax()), "frac_nonzero": float(frequency[feature])}
    sides = ((), ()) if lenses is None else (lenses[at].promoted, lenses[at].suppressed)
    for name, side in zip(("pos", "neg"), sides, strict=True):
        row |= {f"{name}_str": [token for token, _ in side], f"{name}_values": [_digits(logit) for _, logit in side]}
    return row


def _activations(named: Ids, feature: int, part: TopFragments, tokens: Tokens) -> Iterable[Row]:
    """Lines of its table Activation: a fragment each, without BOS; none of fragments on which it is silent."""
    at, length = feature - part.first, tokens.fragment_tokens
    for rank, (fragment, codes) in enumerate(zip(part.fragment[at].tolist(), part.codes[at], strict=True)):
        peak = int(codes.argmax())
        if codes[peak] <= 0:
            return
        words = [tokens.vocabulary[token] for token in tokens.fragments[fragment, -length:].tolist()]
        values = [_digits(value) for value in codes.tolist()]
        yield {
            "id": _id(named, feature, rank), "modelId": named.model, "layer": named.source, "index": str(feature),
            "tokens": words, "values": values, "maxValue": values[peak], "maxValueTokenIndex": peak,
            "minValue": min(values), "creatorId": CREATOR, "dataIndex": str(fragment),
        }  # fmt: skip


def _explanations(named: Ids, feature: int, rows: list[Row]) -> Iterable[Row]:
    """Lines of its table Explanation. It knows types and models of its own only, by reference, and has no import of
    scores: who explained, who judged and what came of it are in `notes`."""
    for number, row in enumerate(rows):
        if not row["explanation"]:
            continue
        who = {name: row[name] for name in ("scorer", "explainer", "judge", "simulator", "mode", "status")}
        scores = {name: _digits(row[name]) for name in SCORES if row.get(name) is not None}
        yield {
            "id": _id(named, feature, f"explanation {number}"), "modelId": named.model, "layer": named.source,
            "index": str(feature), "authorId": CREATOR, "description": row["explanation"], "typeName": None,
            "explanationModelName": None, "notes": json.dumps(who | {"scores": scores}, sort_keys=True),
        }  # fmt: skip


def _id(named: Ids, *what: object) -> str:
    """In the form of a cuid, and the same again for the same."""
    told = json.dumps([named.model, named.source, *map(str, what)])
    return f"c{hashlib.sha256(told.encode()).hexdigest()[:24]}"


def _rounded(number: Tensor) -> float:
    return _digits(float(number))


def _digits(number: float) -> float:
    return float(f"{number:.{DIGITS}g}")


def _lines(rows: Iterable[Row]) -> str:
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)


def _pack(path: Path, rows: Iterable[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
        for row in rows:
            packed.write(_lines([row]).encode())
