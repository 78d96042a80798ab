"""What the jobs up to the dictionaries are made from: for the rules, and for those who ask without Snakemake.

Each function gives what `Graph.job` takes, for one job, with its settings not yet split. Torch-free.
"""

from pathlib import Path
from typing import Any

import sparse_coding
from sparse_coding.settings import grid, jobs, outside, sites, slices
from sparse_coding.settings.grid import Cell
from sparse_coding.settings.params import Params
from sparse_coding.workflow.graph import Graph, Job
from sparse_coding.workflow.source import Source

Declared = dict[str, Any]
WORK = ".work"
TOKENS = "results/dataset/tokens.h5"
# Packages with a module a kind, of which a dictionary's key sees its own.
ARCHITECTURES, BASELINES = "sparse_coding.core.architectures", "sparse_coding.core.baselines"
OPTIMISERS = "sparse_coding.core.training.optimisers"
CHOICES = (ARCHITECTURES, BASELINES, OPTIMISERS)
LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "transformers", "transformer-lens", "h5py")


def step(name: str) -> str:
    """The module of a step."""
    return f"sparse_coding.stages.{name}"


def architecture(kind: str) -> str:
    """The module of a kind of autoencoder."""
    return f"{ARCHITECTURES}.{kind}"


def optimiser(name: str) -> str:
    """The module of an optimiser."""
    return f"{OPTIMISERS}.{name}"


def baseline(kind: str) -> str:
    """The module of a baseline."""
    return f"{BASELINES}.{kind}"


def activations_of(site: str) -> str:
    """Where the activations of a site lie; of a pair, those that are encoded."""
    return f"results/activations/{sites.places(site)[0]}.h5"


def vectors_of(site: str) -> dict[str, str]:
    """What those who train and measure at a site read: of a pair also what is put together."""
    files = [f"results/activations/{place}.h5" for place in sites.places(site)]
    return dict(zip(("activations", "targets"), files, strict=False))


def from_model(params: Params, weights: bool = True) -> Declared:
    """The model, as what a job depends on: files from outside, or what stage transformer makes."""
    if outside.makes_model(params):
        return {"reads": (outside.made_weights(params),)}
    return {"leaves": (outside.tokenizer(params), *([outside.weights(params)] if weights else []))}


def transformer(params: Params) -> Declared:
    """The language model that stage transformer makes. Like tokens and activations it stays on this machine."""
    return {
        "name": "transformer",
        "settings": slices.transformer(params),
        "stage": "transformer",
        "step": step("transformer"),
        "folder": f"models/{params.transformer.name}",
        "outputs": {"model": [*outside.MODEL_FILES, *outside.MODEL_PROSE]},
        "leaves": outside.training(params),
        "paths": {"checkpoints": f"{WORK}/transformer/{params.transformer.name}"},
        "local": True,
    }


def dataset(params: Params) -> Declared:
    """Tokens of the corpus."""
    model = from_model(params, weights=False)
    return {
        "name": "dataset_tokens",
        "settings": slices.dataset(params),
        "stage": "dataset",
        "step": step("dataset"),
        "folder": "results/dataset",
        "outputs": {"tokens": ["tokens.h5"]},
        "reads": model.get("reads", ()),
        "leaves": (*model.get("leaves", ()), outside.corpus(params)),
        "local": True,
    }


def activations(params: Params, name: str, random_weights: bool, places: list[str]) -> Declared:
    """One forward pass; its places as grid.passes gives them."""
    return {
        "name": name,
        "settings": slices.activations(params, random_weights, places),
        "stage": "activations",
        "step": step("activations"),
        "folder": "results/activations",
        "outputs": {place: [f"{place}.h5"] for place in places},
        "inputs": {"tokens": TOKENS},
        **from_model(params, weights=not random_weights),
        "local": True,
    }


def imported(params: Params, site: str) -> Declared:
    """Vectors made elsewhere."""
    folder = params.activations.imported[site]
    return {
        "name": f"activations_imported_{site}",
        "settings": slices.import_activations(params, site),
        "stage": "activations",
        "step": step("import_activations"),
        "folder": "results/activations",
        "outputs": {site: [f"{site}.h5"]},
        "leaves": (outside.imported(folder),),
        "paths": {"folder": folder},
        "local": True,
    }


def dictionaries(params: Params, cell: Cell) -> Declared:
    """The dictionaries of a cell."""
    return {
        "name": jobs.cell_name(cell.site, cell),
        "settings": slices.dictionaries(params, cell),
        "stage": "dictionaries",
        "step": step("dictionaries"),
        "folder": f"results/dictionaries/{cell.site}",
        "outputs": {name: [f"{name}.safetensors", f"{name}.log.jsonl"] for name in cell.member_names},
        "inputs": vectors_of(cell.site),
        "chosen": (architecture(cell.architecture), optimiser(params.dictionaries.optimiser)),
    }


def baselines(params: Params, site: str) -> Declared:
    """The baselines of a site."""
    settings = slices.baselines(params, site)
    return {
        "name": f"baselines_{site}",
        "settings": settings,
        "stage": "baselines",
        "step": step("baselines"),
        "folder": f"results/baselines/{site}",
        "outputs": {name: [f"{name}.safetensors"] for name in settings.members},
        "inputs": vectors_of(site),
        "chosen": {name: (baseline(member.method),) for name, member in settings.members.items()},
    }


def published(params: Params, name: str) -> Declared:
    """A dictionary that was trained elsewhere, in our format. It can be made again, so it stays on this machine."""
    settings = slices.published(params, name)
    one = settings.dictionary
    is_here = Path(one.path).expanduser().exists()
    return {
        "name": jobs.published_name(one.site, name),
        "settings": settings,
        "stage": "published",
        "step": step("published"),
        "folder": f"results/published/{one.site}",
        "outputs": {name: [f"{name}.safetensors", f"{name}.certificate.json"]},
        "leaves": (outside.published(one),),
        "paths": {"source": one.path} if is_here else {},
        "local": True,
    }


def empty_graph(root: Path, looks: bool = True) -> Graph:
    """The graph of a checkout, without jobs yet. looks: whether it is asked what lies on disk."""
    work = root / WORK
    package = Path(sparse_coding.__file__).parent.parent
    source = Source(
        package,
        "sparse_coding",
        ignore=slices.SCHEMA,
        choices=CHOICES,
        memory=work / "hashes" / "source.json",
    )
    return Graph(root=root, work=work, source=source, libraries=LIBRARIES, looks=looks)


def declare(graph: Graph, settings: Any, **declared: Any) -> Job:
    """Add a job to a graph; settings that change no result are kept out of its key."""
    deciding, free = slices.split(settings)
    return graph.job(settings=deciding, free=free, **declared)


def up_to_dictionaries(graph: Graph, params: Params, site: str) -> None:
    """Add what the dictionaries and baselines of a site are made from, and them."""
    if outside.makes_model(params):
        declare(graph, **transformer(params))
    if site in params.activations.imported:
        declare(graph, **imported(params, site))
    else:
        declare(graph, **dataset(params))
        for name, random_weights, places in grid.passes(params):
            if not set(sites.places(site)).isdisjoint(places):
                declare(graph, **activations(params, name, random_weights, places))
    for cell in grid.cells(params, site):
        declare(graph, **dictionaries(params, cell))
    for name in grid.published(params, site):
        declare(graph, **published(params, name))
    if grid.is_grid_site(params, site):
        declare(graph, **baselines(params, site))
