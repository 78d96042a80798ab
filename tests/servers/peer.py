"""`python peer.py FOLDER VECTORS`, in the environment of the libraries: what their own classes make of dictionaries.

FOLDER/written/LIBRARY: folders that the library writes itself here, of random weights. FOLDER/<any>/LIBRARY: others.
Beside each LIBRARY folder comes LIBRARY.safetensors with `codes` and `x_hat`. One process: the imports take longer.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def of_saelens(folder, x):
    from sae_lens import SAE

    sae = SAE.load_from_disk(folder)
    return sae.encode(x), sae(x)


def of_dictionary_learning(folder, x):
    from dictionary_learning.utils import load_dictionary

    dictionary, _ = load_dictionary(str(folder), device="cpu")
    return dictionary.encode(x), dictionary(x)


def of_sparsify(folder, x):
    from sparsify import SparseCoder

    coder = SparseCoder.load_from_disk(folder)
    found = coder.encode(x)
    codes = torch.zeros(len(x), coder.num_latents).scatter(1, found.top_indices, found.top_acts)
    return codes, coder(x).sae_out


def write_saelens(folder):
    from sae_lens import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig

    sae = BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(d_in=12, d_sae=20, k=4))
    randomise(sae)
    sae.topk_threshold.fill_(0.7)
    sae.save_inference_model(folder)


def write_sparsify(folder):
    from sparsify import SparseCoder, SparseCoderConfig

    coder = SparseCoder(12, SparseCoderConfig(num_latents=20, k=4, transcode=True, skip_connection=True))
    randomise(coder)
    coder.save_to_disk(folder)


@torch.no_grad()
def randomise(module):
    generator = torch.Generator().manual_seed(3)
    for parameter in module.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator))


READ = {"saelens": of_saelens, "dictionary_learning": of_dictionary_learning, "sparsify": of_sparsify}
WRITE = {"saelens": write_saelens, "sparsify": write_sparsify}


@torch.no_grad()
def main(root, vectors):
    x = load_file(vectors)["x"]
    for library, write in WRITE.items():
        folder = root / "written" / library
        folder.mkdir(parents=True)
        write(folder)
    for library, read in READ.items():
        for folder in sorted(root.glob(f"*/{library}")):
            codes, x_hat = read(folder, x)
            save_file({"codes": codes.contiguous(), "x_hat": x_hat.contiguous()}, f"{folder}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
