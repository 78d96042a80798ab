"""Sentence embeddings from a folder in Hugging Face format, as sentence-transformers makes them: mean over tokens."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from transformers import AutoModel, AutoTokenizer

from sparse_coding.errors import BadInput
from sparse_coding.lm.refusing import quiet

WANTED = "a sentence-embedding model in Hugging Face format: config.json, model.safetensors and a fast tokenizer"
LONGEST = 512  # tokens of a text, where the model does not say
READ = (".json", ".safetensors", ".txt", ".model")
POOLING = Path("1_Pooling", "config.json")  # of sentence-transformers


class Embedder:
    """The model of a folder. digest: of the files that it is made of."""

    def __init__(self, folder: Path) -> None:
        """Raises BadInput, naming the folder, where it holds no such model."""
        self._tokenizer, self._model = _loaded(folder)
        longest = int(getattr(self._model.config, "max_position_embeddings", LONGEST))
        self._longest = min(longest, self._tokenizer.model_max_length)
        self.digest = _digest(folder)

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> Float[np.ndarray, "text dimension"]:
        """Unit rows: the mean of the last layer over a text's tokens, as far as the model reads."""
        batch = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=self._longest, return_tensors="pt"
        )
        states = self._model(**batch).last_hidden_state
        mask = batch["attention_mask"][:, :, None].to(states.dtype)
        means = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        return torch.nn.functional.normalize(means.double(), dim=1).numpy()


def _loaded(folder: Path) -> tuple[Any, Any]:
    place = f"autointerp.llm.embedder: {folder}"
    if not (folder / "config.json").is_file():
        raise BadInput(place, "no config.json", WANTED)
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model, told = AutoModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True, dtype=torch.float32
            )
    except Exception as error:  # transformers raises whatever it meets
        said = " ".join(str(error).split())[:200]
        raise BadInput(place, f"{type(error).__name__}: {said}", WANTED) from None
    missing = sorted(name for name in told["missing_keys"] if not name.startswith("pooler"))  # which is not used
    if missing:
        raise BadInput(place, f"weights without {missing[0]}", WANTED)
    pooling = folder / POOLING
    if pooling.is_file() and not json.loads(pooling.read_text(encoding="utf-8")).get("pooling_mode_mean_tokens"):
        raise BadInput(f"{place}/{POOLING}", "another pooling", "pooling_mode_mean_tokens: the mean is what is taken")
    if tokenizer.pad_token is None:
        raise BadInput(place, "a tokenizer without a padding token", WANTED)
    return tokenizer, model.eval()


def _digest(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.suffix in READ):
        with open(path, "rb") as file:
            found.update(f"{path.name}\n{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return found.hexdigest()[:12]
