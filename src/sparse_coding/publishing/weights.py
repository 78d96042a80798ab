"""A dictionary as a folder that SAELens reads, held against ours before it is kept."""

from pathlib import Path
from typing import Any

from sparse_coding.formats import certificate, converting, hooks, reading, writing
from sparse_coding.formats.certificate import Compared, Computes
from sparse_coding.publishing.provenance import Provenance
from sparse_coding.publishing.subject import Subject


def write(subject: Subject, provenance: Provenance, folder: Path) -> Compared:
    """cfg.json, sae_weights.safetensors and certificate.json. Raises BadInput for what SAELens cannot hold, and where
    what was written does not compute the same."""
    folder.mkdir(parents=True)
    computes = Computes.of_ours(subject.dictionary)
    writing.saelens(subject.dictionary, folder, "float32", _metadata(subject, provenance))
    compared = certificate.compare(computes, Computes.of_raw(reading.read(folder).raw))
    converting.check_same(compared, subject.path, folder)
    files = certificate.sha256_of((subject.path,), subject.path.parent)
    about: dict[str, Any] = {"format": converting.OURS, "architecture": subject.row["kind"], "files": files}
    about |= {} if subject.is_plain else {"variant": subject.variant}
    written = certificate.sha256_of(tuple(file for file in folder.iterdir() if file.is_file()), folder)
    wrote = {"format": "saelens", "dtype": "float32", "files": written}
    certificate.write(folder / certificate.NAME, about, wrote, compared)
    return compared


def _metadata(subject: Subject, provenance: Provenance) -> dict[str, Any]:
    """By SAELens' own names."""
    text = provenance.text
    found = {"model_name": provenance.model, **hooks.named(subject.site)}
    if text is None:
        return found
    return found | {"dataset_path": text.corpus, "context_size": text.context, "prepend_bos": text.has_bos}
