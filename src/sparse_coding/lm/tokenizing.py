"""The tokenizer of a model that is trained here: a byte-level BPE of its corpus, or one that is there already."""

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from sparse_coding.atomic import write_text
from sparse_coding.errors import BadInput
from sparse_coding.files.model_files import refuse_pointers
from sparse_coding.lm.tokens import n_ids
from sparse_coding.settings.params.transformer import TRAINED, Transformer

END_OF_TEXT = "<|endoftext|>"
_ORIGIN = "origin.json"  # written last: a folder that has it is whole
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
_WANTED = "`train`, a folder or hub name of a tokenizer with an end-of-text token, or tokenizer_fallback: true"


@dataclass(frozen=True)
class Chosen:
    """A tokenizer, and where it came from: `train`, or the name that settings gave."""

    tokenizer: PreTrainedTokenizerBase
    origin: str
    vocabulary: int

    @property
    def begin(self) -> int:
        """The id that begins each block."""
        return self.tokenizer.bos_token_id

    @property
    def end(self) -> int:
        """The id that ends each document."""
        return self.tokenizer.eos_token_id


def choose(settings: Transformer, texts: list[str], folder: Path) -> Chosen:
    """The tokenizer of `settings`; it is kept in `folder`, from where a run that goes on takes it.

    Raises BadInput where the tokenizer that is named cannot be loaded, unless settings allow that one is trained.
    """
    if not (folder / _ORIGIN).exists():
        tokenizer, origin = _made(settings, texts)
        tokenizer.save_pretrained(folder)
        write_text(folder / _ORIGIN, json.dumps(origin) + "\n")
    return chosen(settings, folder)


def chosen(settings: Transformer, folder: Path) -> Chosen:
    """What `choose` kept in `folder`."""
    origin = json.loads((folder / _ORIGIN).read_text(encoding="utf-8"))
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return Chosen(tokenizer, origin, settings.vocabulary if origin == TRAINED else n_ids(tokenizer))


def content(settings: Transformer) -> list[str]:
    """A digest of each file of a tokenizer that is a local folder: under the same name it may be another one."""
    folder = Path(settings.tokenizer).expanduser()
    if settings.tokenizer == TRAINED or not folder.is_dir():
        return []
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.suffix not in _WEIGHTS)
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def train_tokenizer(texts: list[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer; id 0 is `<|endoftext|>`, which begins each block and ends each document."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT)


def _made(settings: Transformer, texts: list[str]) -> tuple[PreTrainedTokenizerBase, str]:
    if settings.tokenizer == TRAINED:
        return train_tokenizer(texts, settings.vocabulary), TRAINED
    try:
        return _loaded(settings), settings.tokenizer
    except BadInput as error:
        if not settings.tokenizer_fallback:
            raise
        print(f"{error}. A byte-level BPE of {settings.vocabulary} entries is trained instead.", file=sys.stderr)
        return train_tokenizer(texts, settings.vocabulary), TRAINED


def _loaded(settings: Transformer) -> PreTrainedTokenizerBase:
    place, folder = "transformer.tokenizer", Path(settings.tokenizer).expanduser()
    source = str(folder) if folder.is_dir() else settings.tokenizer
    refuse_pointers(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            source, revision=settings.tokenizer_revision, local_files_only=folder.is_dir()
        )
    except Exception as error:  # network, hub and formats have exceptions of their own
        reason = " ".join(str(error).split())[:300]
        raise BadInput(place, f"{settings.tokenizer}, which cannot be loaded ({reason})", _WANTED) from error
    if tokenizer.eos_token_id is None:
        raise BadInput(place, f"{settings.tokenizer}, which has no end-of-text token", _WANTED)
    if tokenizer.bos_token_id is None:  # blocks begin with the end of a document, and whoever takes the model must know
        tokenizer.bos_token = tokenizer.eos_token
    return tokenizer
