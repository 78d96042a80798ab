"""Three small settings, as different as such can be, that the forecast is held against."""

from pathlib import Path
from typing import Any

import numpy as np

from tests.line.tiny_line import write_texts
from tests.tiny_model import make_tiny_model
from tests.workspace import make_workspace

TEXTS = {"corpus": "texts", "held_out_share": 0.2, "context": 32, "fragment_tokens": 16}
SETTINGS: dict[str, dict[str, Any]] = {
    # Every kind but one, two ratios and seeds, numbers of 16 bits, the control on random weights.
    "kinds": {
        "grid": {
            "sites": ["layer1_residual"], "architectures": ["tied", "topk", "jumprelu"], "ratios": [1, 8],
            "l1": [0.002], "k": [4], "l0": [4], "seeds": [0, 1],
            "only": [
                {"architectures": ["tied"], "strengths": ["l1"]},
                {"architectures": ["topk"], "ratios": [8], "strengths": ["k"]},
                {"architectures": ["jumprelu"], "ratios": [8]},
            ],
        },
        "model": {"name": "models/tiny"},
        "dataset": TEXTS | {"train_tokens": 6000, "held_out_tokens": 1500, "fragments": 150},
        "activations": {"dtype": "float16"},
        "dictionaries": {"steps": 60, "batch": 256},
        "baselines": {"topk": [2, 8], "ica_rows": 2000, "nmf_rows": 500, "nmf_iterations": 20},
        "evaluation": {"splice_blocks": 8, "gain_refit_rows": 2000},
        "autointerp": {"members": "all", "features": 6, "bootstrap": 100,
                       "random_weights": {"architecture": "jumprelu", "ratio": 8, "l0": 4, "seed": 1}},
        "plots": {"dpi": 60},
    },
    # Vectors made elsewhere, and dictionaries large enough to be seen beside Python and its libraries.
    "imported": {
        "grid": {"sites": ["mine"], "architectures": ["untied", "jumprelu"], "ratios": [8], "l1": [0.004],
                 "l0": [16, 32], "only": [{"architectures": ["untied"], "strengths": ["l1"]},
                                          {"architectures": ["jumprelu"]}]},
        "activations": {"imported": {"mine": "vectors"}, "dtype": "float32"},
        "dataset": {"held_out_share": 0.1},
        "dictionaries": {"steps": 60, "batch": 1024},
        "baselines": {"methods": ["pca", "random"], "topk": [8], "topk_methods": ["pca"]},
        "evaluation": {"gain_refit_rows": 4000},
        "autointerp": {"random_weights": None},
    },
    # A site of another width and a pair of places, in a pass each; no gain refit, no control.
    "passes": {
        "grid": {"sites": ["layer0_mlp", "layer1_mlpin_to_mlpout"],
                 "architectures": ["topk", "skip_transcoder"], "ratios": [2], "k": [16]},
        "model": {"name": "models/tiny"},
        "dataset": TEXTS | {"train_tokens": 20000, "held_out_tokens": 4000, "fragments": 600, "bos": "never"},
        "activations": {"dtype": "float32", "sites_per_pass": 1, "batch_tokens": 8192},
        "dictionaries": {"steps": 100, "batch": 512},
        "baselines": {"methods": ["ica", "neuron_basis"], "topk": [16], "topk_methods": ["neuron_basis"],
                      "ica_rows": 20000, "ica_iterations": 5},
        "evaluation": {"gain_refit_rows": None, "splice_blocks": 64, "batch_blocks": 32},
        "autointerp": {"features": 30, "bootstrap": 100, "random_weights": None},
    },
}  # fmt: skip
SHAPES = {"kinds": {"layers": 2}, "passes": {"layers": 2, "d_model": 128, "vocabulary": 4000}}


def make(folder: Path, name: str) -> Path:
    """A folder in which one of the settings can be run."""
    folder = make_workspace(folder, SETTINGS[name])
    if name == "imported":
        vectors(folder / "vectors")
        return folder
    make_tiny_model(folder / "models" / "tiny", **SHAPES[name])
    write_texts(folder / "texts", n=200)
    return folder


def vectors(folder: Path) -> None:
    """Sparse sums of directions: 20,000 of 256 dimensions."""
    random = np.random.default_rng(0)
    codes = random.random((20_000, 512), dtype=np.float32)
    codes = np.where(codes < 0.02, codes * 50, 0).astype(np.float32)
    folder.mkdir()
    np.save(folder / "some.npy", codes @ random.standard_normal((512, 256), dtype=np.float32))
