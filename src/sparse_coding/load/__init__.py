"""Dictionaries for people: by path, or by what is wanted of them."""

import os
import sys
from pathlib import Path
from typing import Any

from sparse_coding import variants
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.formats import loading
from sparse_coding.io import tables
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.load import brought, choice
from sparse_coding.load.brought import Source
from sparse_coding.load.chosen import Chosen, is_measured, loaded, place, table_of
from sparse_coding.settings import wanted
from sparse_coding.workflow import vouched

Row = dict[str, Any]
_GAIN_REFIT = "gain_refit"


def load_dictionary(
    path: str | os.PathLike[str] | None = None,
    *,
    site: str | None = None,
    architecture: str | None = None,
    l0: float | None = None,
    ratio: float | None = None,
    control: str | None = None,
    gain_refit: bool = False,
    variant: str | None = None,
    stale: bool = False,
    results: str | os.PathLike[str] | None = None,
    of: str | None = None,
    k: int | None = None,
    which: int | None = None,
    repo: str | os.PathLike[str] | None = None,
    revision: str | None = None,
) -> Dictionary:
    """A dictionary with `encode`, `decode` and `atoms`, from its file or chosen from the evaluated ones.

    path: its file; or the folder or file of a dictionary of another library (docs/formats.md), with `of`, `k` or
    `which` where its format leaves to a repository's name what it is of, or holds several. Otherwise `site`,
    `architecture` (`tied`, `topk`, ..., or a baseline such as `pca`) and, where several fit, `l0`: the one whose L0 on
    held-out vectors is nearest is taken, if it is within a factor of 2. `ratio` narrows the choice. control: one with
    something held in its training (`frozen_decoder`, ...); without it none is taken.
    variant: one that stage evaluation has measured, `gain_refit`, `threshold_refit` or `matching_pursuit`
    (docs/what-there-is.md); without it the dictionary as it is.
    gain_refit: the same as variant="gain_refit": with its codes multiplied by the gains that were fitted against
    shrinkage.
    stale: a choice also among dictionaries of other settings or inputs than params.yaml asks for, or measured before
    they were replaced; without it these are refused.
    results: the results folder; without it the one that `path` lies in, else `results`.
    repo: another git repository that keeps its results by DVC, a folder or a URL; `path` and `results` are inside it
    then, and what is asked for is fetched into the user's cache. revision: a commit, branch or tag of it, or of this
    repository without `repo`; without it HEAD.

    The dictionary knows its `name`, `site`, `kind`, `control`, `variant`, `l0`, `fvu` and `path`, as far as its file
    and the tables beside it tell. A file is held against its stamp; where there is none, a line on stderr says so.

    Raises BadInput where a file is damaged or is not that of its stamp; and, saying what there is, where nothing was
    evaluated yet or nothing fits; where there is no such repository or revision, no DVC in it, or where its remote
    does not give a file.
    """
    variant = _variant(variant, gain_refit)
    told = {name: value for name, value in (("of", of), ("k", k), ("which", which)) if value is not None}
    wish = choice.Wish(site, architecture, l0, ratio, control)
    if path is not None and wish.is_any:
        wanted = "a path, or site=, architecture=, l0=, ratio= and control="
        raise BadInput("load_dictionary", "a path and a choice", wanted)
    with brought.source(repo, revision) as source:
        if path is not None:
            return _by_path(source, os.fspath(path), results, variant, told)
        if told:
            raise _told_of_ours(told)
        return _by_choice(source, os.fspath(results or "results"), wish, variant, stale)


def _by_path(
    source: Source, path: str, results: str | os.PathLike[str] | None, variant: str, told: dict[str, Any]
) -> Dictionary:
    """One by its path, of any library."""
    place = source.path(path, results)
    if (found := loading.dictionary(place, **told)) is not None:
        if variant != variants.PLAIN:
            raise BadInput("load_dictionary", f"variant {variant!r} of {path}", "one that stage evaluation measured")
        return found
    if told:
        raise _told_of_ours(told)
    return loaded(_of_path(place, source.results(path, results), needed=variant != variants.PLAIN), variant)


def _told_of_ours(told: dict[str, Any]) -> BadInput:
    found = ", ".join(f"{name}={value!r}" for name, value in told.items())
    return BadInput("load_dictionary", found, "a path of a dictionary of another library: these are of its file")


def _by_choice(source: Source, results: str, wish: choice.Wish, variant: str, stale: bool) -> Dictionary:
    """The one that is wished for."""
    if wish.site is None or wish.architecture is None:
        found = f"site={wish.site!r}, architecture={wish.architecture!r}"
        raise BadInput("load_dictionary", found, "a path, or both of these")
    for name, number in (("l0", wish.l0), ("ratio", wish.ratio)):
        choice.check_number(name, number)
    folder = source.tables(results)
    rows = evaluated(folder, wish.site, source.name(results))
    row = choice.nearest(choice.narrowed(rows, wish.site, wish.architecture, wish.ratio, wish.control), wish.l0)
    source.dictionary(results, row, stale)
    if not stale:
        check_wanted(folder, row)
    return loaded(Chosen(place(folder, row), folder, [each for each in rows if each["name"] == row["name"]]), variant)


def _variant(variant: str | None, gain_refit: bool) -> str:
    """The name of what is asked for, as tables have it."""
    if gain_refit and variant not in (None, _GAIN_REFIT):
        raise BadInput("load_dictionary", f"gain_refit=True and variant={variant!r}", "one of them")
    if variant is None or variant == variants.PLAIN:
        return _GAIN_REFIT if gain_refit else variants.PLAIN
    return variants.of(variant, "load_dictionary: variant").name


def check_wanted(results: Path, row: Row) -> None:
    """Raise BadInput where what lies there is not what params.yaml asks for, or not what the table speaks of."""
    path = place(results, row)
    wanted.check_is_there(path, results, row["site"], row["path"])
    if not path.is_file():
        return  # whoever reads it says what is there
    stamp = vouched.check_bytes(path)
    wanted.check(path, results, row["site"], stamp)
    chosen = Chosen(path, results, [row])
    if not is_measured(chosen, stamp):
        made = "the one that lies there: run `snakemake evaluation`, or load it with stale=True"
        raise BadInput(chosen.table, f"the L0 of another version of {path.name}", made)


def _of_path(path: Path, results: str | os.PathLike[str] | None, needed: bool) -> Chosen:
    """A file and its rows. Raises BadInput for a table that cannot be used only where one is `needed`."""
    whole = Path(os.path.abspath(path))  # no link is followed: DVC may have put one in the place of the file
    own = whole.parent.parent.parent
    folder = own if results is None and (own / "evaluation").is_dir() else Path(results or "results").expanduser()
    table = table_of(folder, whole.parent.name)
    try:
        rows = _read(table) if table.exists() and path.is_file() else []
    except BadInput as error:
        if needed:
            raise
        print(f"the L0 and FVU of {path} are not known: {error}", file=sys.stderr)
        rows = []
    return Chosen(path, folder, [row for row in rows if _is_same(place(folder, row), whole)])


def _is_same(one: Path, other: Path) -> bool:
    return one.name == other.name and one.parent.resolve() == other.parent.resolve()


def _read(table: Path) -> list[Row]:
    if table.is_file():
        vouched.check_bytes(table)
    return tables.read_also_older(table, EVALUATION, "snakemake evaluation").to_pylist()


def evaluated(results: Path, site: str, name: str | None = None) -> list[Row]:
    """The rows of the evaluation table of a site; name: what `results` is called where it is not found.

    Raises BadInput, naming the sites that have one, for others.
    """
    known = sorted(table.parent.name for table in results.glob("evaluation/*/table.parquet"))
    if not known:
        raise BadInput(
            f"{name or results}/evaluation", "nothing evaluated yet", "tables of stage evaluation: run `make plot`"
        )
    if site not in known:
        raise BadInput("load_dictionary: site", repr(site), f"one of {', '.join(known)}")
    return _read(table_of(results, site))
