"""What one types: about the workflow (what it would do and why, what a file is, what is kept), and ways in and out.

Each takes what its arguments say and returns what is to be printed.
"""

import math
import os
import sys
from pathlib import Path

from sparse_coding.cli import importing, migrating
from sparse_coding.errors import BadInput
from sparse_coding.forecast.counting import page, shapes
from sparse_coding.forecast.counting.vectors import Sizes
from sparse_coding.settings import grid, hub_lock, jobs, outside, params_file
from sparse_coding.workflow import asked, dump, explain, locks
from sparse_coding.workflow import plan as plans
from sparse_coding.workflow.hashes import Hashes
from sparse_coding.workflow.store import Store

WORK = ".work"


def why(target: str) -> str:
    """What would run for a target, and because of which change.

    target: a file or a folder of results, a step, a stage, or `all`
    """
    graph = dump.of_checkout(Path.cwd())
    said = explain.why(graph, Path.cwd(), target)
    taken, _ = migrating.Migration(graph, Path.cwd()).found()
    if not taken:
        return said
    kept = f"{len(taken)} artifacts of an earlier version are what is asked for: `sparse_coding migrate` keeps them."
    return f"{said}\n{kept}"


def inspect(file: str, fit: bool = False, of: str | None = None, k: int | None = None, which: int | None = None) -> str:
    """What a file holds, what it was made from, by which code and libraries, and whether it is fresh.

    file: one of results; or a dictionary of another library, file or folder, and how it is read
    --fit: of a dictionary, which of the sites in results/activations it fits best, and how their vectors are scaled
    --of: to fit one, what it is of, where a format leaves that to a repository's name
    --k: to fit one, codes of each vector, where a format leaves that to a repository's name
    --which: to fit one, which of them, where a file holds several
    """
    from sparse_coding.cli import contents, converting, fitting  # here, as below: they read tables and tensors

    if fit:
        told = {name: value for name, value in (("of", of), ("k", k), ("which", which)) if value is not None}
        return fitting.said(Path(file), **told)
    if (said := converting.about(Path(file))) is not None:
        return said
    graph = dump.of_checkout(Path.cwd())
    asked.check_file(Path.cwd(), file, graph["artifacts"])
    name, lineage = explain.inspect(graph, Path.cwd(), file).split("\n", 1)
    return "\n".join([name, *contents.of_file(Path(file.removesuffix(".stamp"))), lineage])


def plan() -> str:
    """Write keys.json, by which DVC decides which stages to run."""
    plans.make(Path.cwd())
    return ""


def forecast(cores: int | None = None, no_probe: bool = False, l0: float | None = None, ask: bool = False) -> str:
    """What a whole run takes: disk, memory, processor time, by stage; and what interpretation by models would cost.

    From params.yaml alone, as if nothing were made yet.

    --cores: how many cores are worked on side by side; all of this machine without it
    --no-probe: without time, which takes some seconds of trying on this machine
    --l0: the L0 that training with an L1 settles at, instead of a guess; time hangs on it
    --ask: ask the language models a few questions, within the caps, and nothing else: can they answer, and how many
    tokens do they count? Without it nothing is sent.

    Pages: docs/scale.md, docs/interpretation.md
    """
    cores = (os.cpu_count() or 1) if cores is None else cores
    for name, value in (("--cores", cores), ("--l0", l0)):
        if value is not None and not 0 < value < math.inf:
            raise BadInput(name, f"{value:g}", "more than 0")
    params = hub_lock.pinned(params_file.load(Path("params.yaml")))
    if ask and params.autointerp.scorer == "token-rules":
        raise BadInput("--ask", "autointerp.scorer: token-rules", "a scorer that asks language models")
    sizes = Sizes(params)
    if grid.harvested_sites(params) and not outside.makes_model(params):
        shapes.fetch(params.model)
    whole = page.page(params, cores)  # before the probes: what is missing is said at once
    if not no_probe:
        from sparse_coding.forecast.probing.processor import Costs  # here, as below: it needs torch

        probed = Costs(sizes, l0)
        every = jobs.of_params(params)
        seconds = {name: probed.of_job(job) for name, job in every.items()}
        ends = {name: probed.between(job, seconds[name]) for name, job in every.items()}
        least, most = ({name: each[end] for name, each in ends.items()} for end in (0, 1))
        whole = page.page(params, cores, seconds, (least, most))
    parts = [whole]
    if params.autointerp.scorer != "token-rules":
        from sparse_coding.forecast.probing import llm

        parts.append(llm.asked(params) if ask else llm.of_params(params))
    return "\n\n".join(parts)


def lock() -> str:
    """Ask the hub for the commits of the model and corpus that params.yaml names, and write hub.lock.json."""
    news = hub_lock.resolve(params_file.load(Path("params.yaml")))
    lines = [f"{entry}: {commit}" for entries in news.values() for entry, commit in entries.items()]
    return "\n".join([f"Locked in {hub_lock.LOCK}:", *lines] if lines else ["Nothing in params.yaml is on a hub."])


def migrate(write: bool = False) -> str:
    """Bring params.yaml and the stamps of an earlier version to this one; nothing that is the same is made again.

    Shows what it would write, and asks.

    --write: without asking

    Page: docs/freshness.md
    """
    path = Path("params.yaml")
    after, difference = migrating.params_difference(path)
    if difference:
        print(difference)
        if not migrating.is_wanted("Write this to params.yaml?", write):
            return "Nothing was written."
        migrating.write_params(path, after)
    migration = migrating.Migration(dump.of_checkout(Path.cwd()), Path.cwd())
    taken, left = migration.found()
    print(migrating.said(taken, left))
    if not taken or not migrating.is_wanted("Write their new stamps?", write):
        return "No stamp was written."
    migration.write(taken)
    return f"{len(taken)} stamps were written; `sparse_coding why all` names what is still to be made."


def clean(yes: bool = False) -> str:
    """Show what the content store (.work/store) holds, and what was broken off (.work/partly), ask, and delete it.

    --yes: without asking
    """
    root = Path.cwd()
    store = Store(root, root / WORK / "store", Hashes(root, root / WORK / "hashes"))
    partly = sorted((root / WORK / "partly").glob("*"))
    broken_off = [file for file in partly if not file.name.startswith(".")]  # others were not written to their end
    if not partly and not any(True for _ in store.entries()):
        return "The store is empty."
    print(f"Finished, but not in use under the present params.yaml:\n{explain.stored(store)}")
    if broken_off:
        size = sum(file.stat().st_size for file in broken_off)
        print(f"Broken off in the middle, to be gone on with: {len(broken_off)}, {size / 1e6:.1f} MB")
    if not yes:
        if not sys.stdin.isatty():
            raise BadInput("clean", "nobody to ask", "--yes, to delete all of this")
        if input("Delete all of this? [y/N] ").strip().lower() not in ("y", "yes"):
            return "Nothing was deleted."
    held = locks.take(root / WORK / "run.lock")
    if held is None:
        process = locks.holder(root / WORK / "run.lock")
        raise BadInput("clean", f"a run under way (process {process})", "its end: it uses what would be deleted")
    with held:
        store.clear()
        for file in partly:
            file.unlink(missing_ok=True)
    return "Deleted."


def import_(folder: Path, output: Path, site: str = "", held_out_share: float = 0.05, dtype: str = "float16") -> str:
    """Write vectors of a folder as an activations file.

    folder: with .npy, .safetensors or .pt files, each [row, d_act]
    output: the file to write, NAME.h5
    --site: what the site is called; the name of the file without it
    --held-out-share: of the rows, by which dictionaries are measured
    --dtype: float16, bfloat16 or float32, as it is stored

    Page: docs/your-own.md
    """
    return importing.import_folder(folder, output, site, held_out_share, dtype)


def convert(
    source: Path, output: Path, to: str = "sparse_coding", dtype: str = "float32",
    of: str | None = None, k: int | None = None, which: int | None = None,
) -> str:  # fmt: skip
    """Write a dictionary of any known format in another one, with a certificate of how far they are apart.

    source: its file or folder; which format it has is read from its files
    output: the folder to write, which must not be there yet
    --to: the format to write: sparse_coding (a file of ours), saelens, dictionary_learning or sparsify
    --dtype: float32, or float16 or bfloat16, which lose digits; the certificate says what that costs
    --of: where files do not tell, what it was trained on: residual, mlp, attention, transcoder or embedding
    --k: where files do not tell, how many codes it keeps
    --which: of several dictionaries in one file, the number of one, from 0

    Page: docs/formats.md
    """
    from sparse_coding.cli import converting

    return converting.convert(source, output, to, dtype, of=of, k=k, which=which)


def features(dictionary: str, feature: int | None = None, text: str | None = None, n: int = 10) -> str:
    """What the features of a dictionary are; by itself, those with the highest scores, with their explanations.

    dictionary: SITE/NAME of one in results, as layer2_residual/topk_r4_k8_s0
    --feature: the number of one: its explanation and score, the tokens and contexts on which it is strongest, and the
    tokens that it promotes; tokens and activations are made first where they are missing
    --text: a text instead: which features fire on each of its tokens
    --n: how many of each are shown

    Page: docs/use.md
    """
    from sparse_coding.cli import features as told

    return told.features(dictionary, feature, text, n)


def compare(first: str, second: str, json: bool = False) -> str:
    """Two dictionaries side by side: settings that differ, metrics, and how many features they have in common.

    first: SITE/NAME of one in results, or the path of one of any known format
    second: as the first
    --json: for a program; it has all pairs of features that are nearest to one another
    """
    from sparse_coding.cli import comparing

    return comparing.compare(first, second, json)


def publish(names: list[str], out: Path, variant: str | None = None, license: str = "mit") -> str:
    """Write dictionaries of results as a new folder, ready for a model hub. Nothing is uploaded.

    Each in the format of SAELens, with a certificate and sparsity.safetensors; a card (README.md) with what was
    measured, params.yaml, and a bundle of features and texts for Neuronpedia. Tokens and activations are made first
    where they are not there.

    names: SITE/NAME of each
    out: the folder, which must not be there yet
    --variant: gain_refit or threshold_refit, folded in
    --license: as the hub names licences

    Page: docs/publishing.md
    """
    from sparse_coding.cli import publishing

    return publishing.publish(names, out, variant, license)
