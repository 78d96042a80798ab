"""Vectors made elsewhere, imported by one command instead of the workflow."""

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from sparse_coding.errors import BadInput
from sparse_coding.settings.params import Activations, Dataset
from sparse_coding.settings.params_file import first_problem
from sparse_coding.settings.slices import ImportSlice


def import_folder(
    folder: Path, output: Path, site: str = "", held_out_share: float = 0.05, dtype: str = "float16"
) -> str:
    """Write the vectors under `folder` as the activations file `output`; say what it holds and how to use it.

    site: its name, that of `output` where it is empty. held_out_share: share of the last rows of each file.

    Raises BadInput for a setting or name that cannot be used, and as stage import_activations; then nothing is
    written.
    """
    settings = _settings(output, site or output.stem, held_out_share, dtype)
    from sparse_coding.io.activations import open_activations
    from sparse_coding.stages import import_activations  # here, because both load torch

    import_activations.write(settings, folder, output)
    with open_activations(output) as file:
        rows = {name: split.n_rows for name, split in file.splits.items()}
        d_act = file.d_act
    return (
        f"{output} holds {sum(rows.values())} vectors of {d_act} dimensions, {rows.get('held_out', 0)} of them held "
        f"out. For the workflow, which imports {folder} itself, write into params.yaml:\n\n{_params(settings, folder)}"
    )


def _settings(output: Path, site: str, held_out_share: float, dtype: str) -> ImportSlice:
    if output.suffix != ".h5":  # so that a mixed-up argument overwrites nothing
        raise BadInput(output, f"the ending {output.suffix!r}", "a file to write that ends in .h5")
    if not re.fullmatch("[a-z0-9_]+", site):
        raise BadInput("--site", repr(site), "lower-case letters, digits and underscores")
    if not 0 <= held_out_share <= 1:
        raise BadInput("--held-out-share", f"{held_out_share:g}", "a share from 0 to 1")
    try:
        activations = Activations.model_validate({"dtype": dtype})
    except ValidationError as error:
        raise first_problem("", error, Activations) from None
    return ImportSlice(site=site, held_out_share=held_out_share, activations=activations)


def _params(settings: ImportSlice, folder: Path) -> str:
    """The sections of params.yaml that import the same vectors; what is default there is left out."""
    sections: dict[str, dict[str, Any]] = {
        "grid": {"sites": [settings.site]},
        "activations": {"imported": {settings.site: str(folder)}},
    }
    if settings.activations.dtype != Activations().dtype:
        sections["activations"]["dtype"] = settings.activations.dtype
    if settings.held_out_share != Dataset().held_out_share:
        sections["dataset"] = {"held_out_share": settings.held_out_share}
    return yaml.safe_dump(sections, sort_keys=False).rstrip()
