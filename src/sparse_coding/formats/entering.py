"""A dictionary of any format as a member of a site: a file of ours with what it is, and its certificate."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparse_coding import methods
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.formats import certificate, converting, hooks
from sparse_coding.formats.certificate import Compared, Computes
from sparse_coding.io import dictionaries

TRANSFORMER_LENS = "blocks."  # with which its names of places begin


@dataclass(frozen=True)
class Entered:
    """dictionary: ours; about: what was read, as its certificate has it; compared: how near ours is."""

    dictionary: Dictionary
    about: dict[str, Any]
    compared: Compared


def enter(source: Path, output: Path, name: str, site: str, known: Collection[str] | None, **told: Any) -> Entered:
    """Write `<name>.safetensors` and `<name>.certificate.json` into the folder `output`, of the dictionary `source`.

    told: see reading.read. Its kind is `published:` and what its format calls it. known: names of files by which it is
    known whether it has changed; None: by a commit. Raises BadInput where it cannot be read, where something else than
    what is `known` was read, and where our file does not compute the same.
    """
    dictionary, computes, about, _ = converting.read_any(source, told)
    unseen = [] if known is None else sorted({Path(file).name for file in about["files"]} - set(known))
    if unseen:
        raise BadInput(
            source, f"a dictionary that {', '.join(unseen)} is a part of", "the folder in which all of it lies"
        )
    kind = methods.published(str(about["architecture"] or about["format"]))
    made: dict[str, Any] = {"architecture": kind, "site": site, "published": about, "k": dictionary.k}
    made |= {"ratio": dictionary.n_feat / dictionary.d_in}
    file = output / f"{name}.safetensors"
    dictionaries.save(file, dictionary, made)
    compared = certificate.compare(computes, Computes.of_ours(dictionaries.load(file)))
    converting.check_same(compared, source, file)
    wrote = {"format": converting.OURS, "dtype": "float32", "files": certificate.sha256_of((file,), output)}
    certificate.write(output / f"{name}.{certificate.NAME}", about, wrote, compared)
    return Entered(dictionary, about, compared)


def elsewhere(source_hook: str | None, site: str) -> str | None:
    """What a file says of the place of its vectors, where that is not `site`; None where it is, or cannot be told.

    Only names of TransformerLens can: others are those of the modules of some architecture.
    """
    own = hooks.named(site)["hook_name"]
    if source_hook is None or source_hook == own or not source_hook.startswith(TRANSFORMER_LENS):
        return None
    return f"its file says {source_hook}, and {site} is {own}"
