"""`python read_published.py FOLDER VECTORS`, in the environment of SAELens: what it makes of a published folder.

Each dictionary is read from disk, and again by its loader of the hub, for which FOLDER stands instead of a download: it
alone reads sparsity. Beside each folder comes <name>.read.safetensors with codes, x_hat and sparsity.
"""

import json
import sys
from pathlib import Path

import torch
from sae_lens import SAE
from sae_lens.loading import pretrained_sae_loaders as loaders
from safetensors.torch import load_file, save_file


@torch.no_grad()
def main(root, vectors):
    x = load_file(vectors)["x"]
    loaders.hf_hub_download = lambda repo_id, filename, force_download=False: str(root / filename)
    for cfg in sorted(root.glob("*/*/cfg.json")):
        folder = cfg.parent
        name = folder.relative_to(root).as_posix()
        sae = SAE.load_from_disk(folder)
        fetched, _, sparsity = SAE.from_pretrained_with_cfg_and_sparsity("user/repository", name)
        assert json.loads(cfg.read_text())["metadata"]["hook_name"] == sae.cfg.metadata.hook_name
        assert torch.equal(sae.encode(x), fetched.encode(x))
        told = {"codes": sae.encode(x), "x_hat": sae(x), "sparsity": sparsity}
        save_file(
            {key: value.contiguous() for key, value in told.items()}, folder.parent / f"{folder.name}.read.safetensors"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
