"""Corpora of a data hub, through the `datasets` library."""

from sparse_coding.errors import BadInput
from sparse_coding.lm.corpora import files
from sparse_coding.lm.corpora.documents import Documents, split

HELD_OUT = ("validation", "test")  # the hub's own splits, the first that is there
WANTED = "`pydocs`, a local file or folder, or the name of a corpus on the hub (which needs a network the first time)"


def load(name: str, text_field: str, held_out_share: float, seed: int, revision: str | None = None) -> Documents:
    """The documents of a hub corpus: its split `train`, and `validation` or `test` as the held-out ones.

    `name:configuration` picks one of several configurations. Without a held-out split, documents of `train` are
    held out. Raises BadInput where there is no such corpus or no way to it, no such column, or no text.
    """
    from datasets import load_dataset  # a second to import, and most runs do without it

    repository, _, configuration = name.partition(":")
    place = f"corpus {name}"
    try:
        corpus = load_dataset(repository, configuration or None, revision=revision)
    except Exception as error:  # network, hub and reader have exceptions of their own
        reason = " ".join(str(error).split())[:300]
        raise BadInput(place, f"no such file or folder, and nothing usable on the hub ({reason})", WANTED) from error
    if "train" not in corpus:
        raise BadInput(place, f"splits {', '.join(corpus)}", "a split `train`")
    texts = {
        part: list(files.column(corpus[part], text_field, place)) for part in ("train", *HELD_OUT) if part in corpus
    }
    texts = {part: kept for part, found in texts.items() if (kept := [text for text in found if text.strip()])}
    if "train" not in texts:
        raise BadInput(place, "no text", f"text in its column {text_field!r}")
    for part in HELD_OUT:
        if part in texts:
            return Documents(train=texts["train"], held_out=texts[part])
    return split(texts["train"], held_out_share, seed, place)
