"""Dictionaries for people: by path, or by what is wanted of them."""

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sparse_coding import methods, variants
from sparse_coding.core import variants as recodings
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.formats import loading
from sparse_coding.io import dictionaries, fitted, tables
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.load import choice
from sparse_coding.settings import wanted
from sparse_coding.workflow import stamps, vouched
from sparse_coding.workflow.stamps import Stamp

Row = dict[str, Any]
_GAIN_REFIT = "gain_refit"
_TOLD_IF_THERE = ("l0_target", "control", "tokens")  # by the file of a trained one, so that who does not, has none


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

    The dictionary knows its `name`, `site`, `kind`, `control`, `variant`, `l0`, `fvu` and `path`, as far as its file
    and the tables beside it tell. A file is held against its stamp; where there is none, a line on stderr says so.

    Raises BadInput where a file is damaged or is not that of its stamp; and, saying what there is, where nothing was
    evaluated yet or nothing fits.
    """
    variant = _variant(variant, gain_refit)
    told = {name: value for name, value in (("of", of), ("k", k), ("which", which)) if value is not None}
    is_choice = (site, architecture, l0, ratio, control) != (None,) * 5
    if (foreign := _foreign(path, variant, is_choice, told)) is not None:
        return foreign
    if path is not None:
        return _loaded(_of_path(Path(path).expanduser(), results, needed=variant != variants.PLAIN), variant)
    if site is None or architecture is None:
        raise BadInput("load_dictionary", f"site={site!r}, architecture={architecture!r}", "a path, or both of these")
    for name, number in (("l0", l0), ("ratio", ratio)):
        choice.check_number(name, number)
    folder = Path(results or "results").expanduser()
    rows = evaluated(folder, site)
    row = choice.nearest(choice.narrowed(rows, site, architecture, ratio, control), l0)
    if not stale:
        check_wanted(folder, row)
    return _loaded(
        _Chosen(_place(folder, row), folder, [each for each in rows if each["name"] == row["name"]]), variant
    )


def _foreign(
    path: str | os.PathLike[str] | None, variant: str, is_choice: bool, told: dict[str, Any]
) -> Dictionary | None:
    """One of another library; None for a file of ours, or a choice. Raises BadInput for what does not go together."""
    if path is not None and is_choice:
        wanted = "a path, or site=, architecture=, l0=, ratio= and control="
        raise BadInput("load_dictionary", "a path and a choice", wanted)
    found = None if path is None else loading.dictionary(Path(path).expanduser(), **told)
    if found is None and told:
        wanted = "a path of a dictionary of another library: these are of its file"
        raise BadInput("load_dictionary", ", ".join(f"{name}={value!r}" for name, value in told.items()), wanted)
    if found is not None and variant != variants.PLAIN:
        raise BadInput("load_dictionary", f"variant {variant!r} of {path}", "one that stage evaluation measured")
    return found


def _variant(variant: str | None, gain_refit: bool) -> str:
    """The name of what is asked for, as tables have it."""
    if gain_refit and variant not in (None, _GAIN_REFIT):
        raise BadInput("load_dictionary", f"gain_refit=True and variant={variant!r}", "one of them")
    if variant is None or variant == variants.PLAIN:
        return _GAIN_REFIT if gain_refit else variants.PLAIN
    return variants.of(variant, "load_dictionary: variant").name


@dataclass(frozen=True)
class _Chosen:
    """A file, the results folder it belongs to, and the rows of the evaluation table that are its own."""

    path: Path
    results: Path
    rows: list[Row]

    @property
    def evaluation(self) -> Path:
        """The folder of its evaluation."""
        return self.results / "evaluation" / self.rows[0]["site"]

    @property
    def table(self) -> Path:
        """The table of the site."""
        return _table(self.results, self.rows[0]["site"])

    @property
    def row_file(self) -> Path:
        """The file that its rows in the table come from."""
        return self.evaluation / "rows" / f"{self.rows[0]['name']}.json"

    def check_has(self, variant: variants.Variant) -> None:
        """Raise BadInput where a variant was not measured."""
        if not self.rows:
            wanted = f"one evaluated in {self.results}"
            raise BadInput(f"load_dictionary: {self.path}", "a dictionary that was not evaluated", wanted)
        made = [row["variant"] for row in self.rows]
        if variant.name not in made:
            wanted = (
                f"one that was measured of it ({', '.join(made)}): evaluation.variants in params.yaml asks for them"
            )
            raise BadInput(f"load_dictionary: {variant.name}", f"none for {self.rows[0]['name']}", wanted)

    def recoded(self, plain: Dictionary, variant: variants.Variant) -> Dictionary:
        """A variant of `plain`, with what was fitted of it. Raises BadInput where its file is not to be had."""
        found = {}
        if variant.folder is not None:
            file = self.evaluation / variant.folder / f"{self.rows[0]['name']}.safetensors"
            _checked(file, self.row_file)
            found = fitted.load(file, variant.name, self.path)
        return recodings.build(variant.name).dictionary(plain, found)


def _loaded(chosen: _Chosen, variant: str) -> Dictionary:
    """The dictionary, with what is known of it."""
    about = None if variant == variants.PLAIN else variants.of(variant)
    if about is not None:
        chosen.check_has(about)
    stamp = _checked(chosen.path)
    dictionary, made = dictionaries.load_with_settings(chosen.path)
    _check_kind(chosen.path, made)
    _check_row(chosen, made)
    if about is not None:
        dictionary = chosen.recoded(dictionary, about)
    row = next((row for row in chosen.rows if row["variant"] == variant), {})
    measured = row if row and _is_measured(chosen, stamp) else {}
    if row and not measured:
        print(f"{chosen.table}: its L0 and FVU are those of another version of {chosen.path}", file=sys.stderr)
    return replace(
        dictionary,
        name=row.get("name", chosen.path.stem),
        site=row.get("site", made.get("site")),
        kind=row.get("kind", _kind(made)),
        control=row.get("control", made.get("control")),
        variant=variant,
        l0=measured.get("l0"),
        fvu=measured.get("fvu"),
        path=str(chosen.path),
    )


def _checked(path: Path, artifact: Path | None = None) -> Stamp | None:
    """The stamp that vouches for what is to be loaded; where there is none, a line says so. Raises as check_bytes."""
    if not path.is_file():
        return None  # whoever reads it says what is there
    stamp = vouched.check_bytes(path, artifact)
    if stamp is None:
        print(f"{path}: there is no stamp beside it, so nothing vouches for what it was made from", file=sys.stderr)
    return stamp


def check_wanted(results: Path, row: Row) -> None:
    """Raise BadInput where what lies there is not what params.yaml asks for, or not what the table speaks of."""
    path = _place(results, row)
    wanted.check_is_there(path, results, row["site"], row["path"])
    if not path.is_file():
        return  # whoever reads it says what is there
    stamp = vouched.check_bytes(path)
    wanted.check(path, results, row["site"], stamp)
    chosen = _Chosen(path, results, [row])
    if not _is_measured(chosen, stamp):
        made = "the one that lies there: run `snakemake evaluation`, or load it with stale=True"
        raise BadInput(chosen.table, f"the L0 of another version of {path.name}", made)


def _check_row(chosen: _Chosen, made: Row) -> None:
    """Raise BadInput where a file says that it is something else than its name in the table."""
    named = made | {"kind": _kind(made)}
    for row in chosen.rows:
        for column in ("site", "kind", "ratio", "l1", "k", *_TOLD_IF_THERE):
            silent = named.get(column) is None and (column not in _TOLD_IF_THERE or "architecture" not in made)
            if not silent and named.get(column) != row[column]:
                raise BadInput(
                    chosen.path, f"a dictionary of {column} {named.get(column)}", f"{row[column]}, as the table says"
                )


def _kind(made: Row) -> str | None:
    return made.get("architecture", made.get("method"))


def _check_kind(path: Path, made: Row) -> None:
    """Raise BadInput where a file is of a kind that there is not."""
    if (kind := _kind(made)) is not None and not methods.is_known(kind):
        known = f"one of {', '.join(methods.BY_KIND)}"
        raise BadInput(path, f"a dictionary of kind {kind!r}, which this version does not know", known)


def _is_measured(chosen: _Chosen, stamp: Stamp | None) -> bool:
    """Whether the rows are of this file and not of another version of it."""
    row_stamp, table_stamp = (stamps.read(Path(stamps.path_of(str(path)))) for path in (chosen.row_file, chosen.table))
    return vouched.is_made_from(row_stamp, stamp) and vouched.is_made_from(table_stamp, row_stamp)


def _of_path(path: Path, results: str | os.PathLike[str] | None, needed: bool) -> _Chosen:
    """A file and its rows. Raises BadInput for a table that cannot be used only where one is `needed`."""
    whole = Path(os.path.abspath(path))  # no link is followed: DVC may have put one in the place of the file
    own = whole.parent.parent.parent
    folder = own if results is None and (own / "evaluation").is_dir() else Path(results or "results").expanduser()
    table = _table(folder, whole.parent.name)
    try:
        rows = _read(table) if table.exists() and path.is_file() else []
    except BadInput as error:
        if needed:
            raise
        print(f"the L0 and FVU of {path} are not known: {error}", file=sys.stderr)
        rows = []
    return _Chosen(path, folder, [row for row in rows if _is_same(_place(folder, row), whole)])


def _is_same(one: Path, other: Path) -> bool:
    return one.name == other.name and one.parent.resolve() == other.parent.resolve()


def _place(results: Path, row: Row) -> Path:
    """Where the file of a row lies; paths in tables begin beside the results folder, which may have been renamed."""
    path = Path(row["path"])
    return results.joinpath(*path.parts[1:]) if path.parts[0] == "results" else results.parent / path


def _table(results: Path, site: str) -> Path:
    return results / "evaluation" / site / "table.parquet"


def _read(table: Path) -> list[Row]:
    if table.is_file():
        vouched.check_bytes(table)
    return tables.read_also_older(table, EVALUATION, "snakemake evaluation").to_pylist()


def evaluated(results: Path, site: str) -> list[Row]:
    """The rows of the evaluation table of a site. Raises BadInput, naming the sites that have one, for others."""
    known = sorted(table.parent.name for table in results.glob("evaluation/*/table.parquet"))
    if not known:
        raise BadInput(results / "evaluation", "nothing evaluated yet", "tables of stage evaluation: run `make plot`")
    if site not in known:
        raise BadInput("load_dictionary: site", repr(site), f"one of {', '.join(known)}")
    return _read(_table(results, site))
