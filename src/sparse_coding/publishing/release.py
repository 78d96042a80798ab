"""All that is published, written into one folder."""

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from sparse_coding.errors import BadInput
from sparse_coding.io.activations import ActivationsFile
from sparse_coding.io.tokens import Tokens
from sparse_coding.lm.loading import Loaded, load
from sparse_coding.lm.model import WRITING
from sparse_coding.publishing import card, neuronpedia, provenance, sparsity, weights
from sparse_coding.publishing.neuronpedia import Lenses, Texts
from sparse_coding.publishing.subject import Subject
from sparse_coding.settings import hub_lock, params_file, sites
from sparse_coding.using.looking import Lens, logit_lenses

TEXTS = (".md", ".json", ".jsonl", ".yaml", ".cff")  # that are looked through for places of this machine
LENS = 10  # tokens on each side
LOGITS = 2**26  # that are held at a time


def write(
    folder: Path,
    subjects: Sequence[Subject],
    tokens: Tokens | None,
    sources: Mapping[str, ActivationsFile],
    licence: str,
) -> list[str]:
    """Dictionaries, bundles, card, params.yaml and CITATION.cff; the folders of the dictionaries are returned.

    sources: activations by site, of those sites that have texts. The bytes depend on the arguments and the checkout.
    Raises BadInput for what SAELens cannot hold, for sites with texts beside imported ones, and where a place of this
    machine would be published.
    """
    has_text = {each.site in sources for each in subjects}
    if len(has_text) > 1:
        raise BadInput("publish", "sites of a model beside imported vectors", "one of the two: publish them apart")
    origin = provenance.read(subjects[0].site, tokens if True in has_text else None)
    bundles, model = [], cache(lambda: load(hub_lock.pinned(params_file.load(provenance.PARAMS)).model))
    for subject in tqdm(subjects, desc="publish", unit="dictionary", delay=2, disable=len(subjects) == 1):
        weights.write(subject, origin, folder / subject.folder)
        frequency = _frequency(subject, sources)
        sparsity.write(folder / subject.folder / sparsity.NAME, frequency)
        if tokens is not None and subject.site in sources:
            texts = _texts(subject, tokens, sources[subject.site], model)
            named = neuronpedia.write(subject, origin, texts, frequency, folder / neuronpedia.FOLDER)
            if named.folder in bundles:
                raise BadInput(f"publish {subject.folder}", f"a second {named.folder}", "one of the two")
            bundles.append(named.folder)
    (folder / "params.yaml").write_text(origin.params, encoding="utf-8")
    if origin.citation is not None:
        shutil.copyfile(provenance.CITATION, folder / provenance.CITATION.name)
    card.write(folder / "README.md", card.text(subjects, origin, licence, bundles))
    _check_names_no_place(folder)
    return [subject.folder for subject in subjects]


def _frequency(subject: Subject, sources: Mapping[str, ActivationsFile]) -> Float[Tensor, " n_feat"]:
    """As evaluation has it; of a variant it is counted again, on the same vectors."""
    if subject.is_plain:
        return subject.plain_frequency
    if subject.site not in sources:
        raise BadInput("publish --variant", f"{subject.site}, whose vectors were imported", "a site of a model")
    return sparsity.measured(subject.published, sources[subject.site].split("held_out"))


def _texts(subject: Subject, tokens: Tokens, source: ActivationsFile, model: Callable[[], Loaded]) -> Texts:
    vectors = source.split("fragments")
    shown = tokens.fragments[:, tokens.fragments.shape[1] - tokens.fragment_tokens :]
    if vectors.n_rows != shown.size or not (vectors.token == shown.ravel()).all():
        wanted = "those of the token file; make the activations again"
        raise BadInput(f"{source.path}: fragments", "other tokens", wanted)
    return Texts(tokens, vectors, source.n_layers, _lenses(subject, model))


def _lenses(subject: Subject, model: Callable[[], Loaded]) -> Lenses:
    """What features promote, where their place is in the residual stream and the model has an unembedding."""
    is_in_stream = sites.parse(subject.site).places[-1].location in WRITING

    def lenses(features: list[int]) -> list[Lens] | None:
        loaded = model() if is_in_stream else None
        if loaded is None or not loaded.has_head:
            return None
        step = max(LOGITS // loaded.n_vocabulary, 1)
        parts = (features[start : start + step] for start in range(0, len(features), step))
        found = (logit_lenses(subject.dictionary, part, loaded.network, loaded.tokenizer, LENS) for part in parts)
        return [lens for part in found for lens in part]

    return lenses


def _check_names_no_place(folder: Path) -> None:
    """Raise BadInput where a file names where it was made: that is nobody's business, and differs from run to run."""
    places = {str(place) for place in (Path.cwd(), Path.home(), folder.resolve()) if len(place.parts) > 1}
    for file in sorted(folder.rglob("*")):
        if file.suffix in TEXTS and file.is_file():
            said = file.read_text(encoding="utf-8")
            for place in places:
                if re.search(rf"{re.escape(place)}(?![\w-])", said):
                    raise BadInput(file.name, f"a path of this machine ({place})", "none in what is published")
