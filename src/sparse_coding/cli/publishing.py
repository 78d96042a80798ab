"""`sparse_coding publish`: what is to be published is found and checked, and what it takes is made first."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from sparse_coding import variants
from sparse_coding.cli import naming, vectors
from sparse_coding.errors import BadInput
from sparse_coding.io import tokens as token_files
from sparse_coding.io.activations import open_activations
from sparse_coding.publishing import folder, provenance, release, subject
from sparse_coding.publishing.subject import Subject
from sparse_coding.settings import declared, params_file
from sparse_coding.workflow import dump
from sparse_coding.workflow.causes import Causes


def publish(names: Sequence[str], out: Path, variant: str | None, licence: str) -> str:
    """See commands.publish."""
    out = out.expanduser()
    folder.check_is_new(out)
    if not provenance.PARAMS.is_file():
        raise BadInput(provenance.PARAMS, "no such file", "the settings of what is published: the root of a checkout")
    chosen = [_found(name, variant) for name in dict.fromkeys(names)]
    _check_fresh(chosen)
    own, text = params_file.load(provenance.PARAMS), {}
    for site in dict.fromkeys(each.site for each in chosen):
        if site not in own.activations.imported:
            vectors.make("publish", site)
            text[site] = declared.vectors_of(site)["activations"]
    tokens = token_files.load(Path(declared.TOKENS)) if text else None
    with folder.whole_folder(out) as temporary, ExitStack() as opened:
        sources = {site: opened.enter_context(open_activations(Path(path))) for site, path in text.items()}
        written = release.write(temporary, chosen, tokens, sources, licence)
    return "\n".join([f"{out}: {', '.join(written)}", f"  {out}/README.md is its card: read it before you upload it"])


def _found(name: str, variant: str | None) -> Subject:
    if (path := naming.path_of(name)) is None:
        raise BadInput("publish", repr(name), naming.wanted())
    return subject.read(path, variant or variants.PLAIN, naming.RESULTS)


def _check_fresh(chosen: Sequence[Subject]) -> None:
    """Raise BadInput where what was measured was measured with other settings than those that are published beside it.

    Nothing is done where there are no rules to tell. Newer code alone is no reason.
    """
    root = Path.cwd()
    if not (root / "Snakefile").is_file():
        return
    graph = dump.of_checkout(root)
    causes = Causes(graph, root)
    for path in dict.fromkeys(path for each in chosen for path in _measurements(each)):
        if path not in graph["artifacts"]:
            raise BadInput(path, "a result that params.yaml does not ask for", "one that it asks for")
        found = [cause.text for cause in causes.of(path) if cause.kind != "code"]
        if found:
            raise BadInput(path, f"a result that is stale ({found[0]})", f"a fresh one: run `snakemake {path}`")


def _measurements(one: Subject) -> list[str]:
    """The results that a card speaks of."""
    tables = [f"results/evaluation/{one.site}/rows/{one.name}.json", f"results/evaluation/{one.site}/table.parquet"]
    scored = dict.fromkeys(row["site"] for row in one.means)
    return [str(one.row["path"]), *tables, *(f"results/autointerp/{site}/table.parquet" for site in scored)]
