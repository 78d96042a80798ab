"""From one format to another, with a certificate; what does not compute the same is not written."""

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.formats import certificate, hooks, reading, writing
from sparse_coding.formats.certificate import Compared, Computes
from sparse_coding.formats.parts import About
from sparse_coding.io import dictionaries

OURS = "sparse_coding"
FILE = "dictionary.safetensors"
TARGETS = (OURS, *writing.WRITERS)


def convert(source: Path, output: Path, to: str, dtype: str = "float32", **told: Any) -> Compared:
    """Read `source`, of any format that is known, and write the folder `output` in the format `to`, with a certificate.

    told: see reading.read. dtype: a narrower one is written too where float32 computes the same, and the certificate
    has what it costs. Raises BadInput where there is something at `output`, where the format cannot hold it, and
    where what was written does not compute the same; then nothing is written.
    """
    if to not in TARGETS:
        raise BadInput("convert --to", repr(to), f"one of {', '.join(TARGETS)}")
    if dtype not in writing.DTYPES or (to == OURS and dtype != "float32"):
        raise BadInput("convert --dtype", repr(dtype), f"float32; {', '.join(writing.DTYPES)} for other formats")
    if os.path.lexists(output.expanduser()):
        raise BadInput(output, "something", "a folder that is not there yet")
    source, output = source.expanduser(), output.expanduser()
    dictionary, computes, about, said = read_any(source, told)
    there = next(each for each in output.absolute().parents if each.is_dir())  # others are made at the end
    folder = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=there))
    try:
        written = _written(dictionary, folder, to, "float32", about, said)
        compared, narrow = certificate.compare(computes, written), None
        check_same(compared, source, output)
        if dtype != "float32":  # which was right; now what fewer digits cost is only said
            fewer = certificate.compare(computes, _written(dictionary, folder, to, dtype, about, said))
            narrow = replace(fewer, tolerance=None)
            if not narrow.holds:
                raise BadInput(output, f"weights that are no numbers in {dtype}", "a wider --dtype")
        files = certificate.sha256_of(tuple(each for each in folder.rglob("*") if each.is_file()), folder)
        wrote = {"format": to, "dtype": dtype, "files": files}
        certificate.write(folder / certificate.NAME, about, wrote, compared, narrow)
        os.chmod(folder, 0o755)
        output.parent.mkdir(parents=True, exist_ok=True)
        os.rename(folder, output)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return narrow or compared


def check_same(compared: Compared, source: Path, output: Path) -> None:
    """Raise BadInput where what was written at `output` does not compute what `source` does."""
    if not compared.holds:
        found = f"codes that differ by {compared.codes:.1e}, directions by {compared.atoms:.1e} and x_hat by "
        found += f"{compared.x_hat:.1e} of the largest, with {compared.flips} codes on one side alone"
        raise BadInput(output, found, f"{compared.tolerance:g} at most, and none")
    if not compared.fired:
        raise BadInput(source, "a dictionary of which no feature ever fires", "one that can be compared")


def _written(
    dictionary: Dictionary, folder: Path, to: str, dtype: str, about: dict[str, Any], said: dict[str, Any]
) -> Computes:
    """Write files, and read them again: what they compute."""
    if to == OURS:
        dictionaries.save(folder / FILE, dictionary, {"published": about, **said})
        return Computes.of_ours(dictionaries.load(folder / FILE))
    writing.WRITERS[to](dictionary, folder, dtype, said)
    return Computes.of_raw(reading.read(folder).raw)


def read_any(source: Path, told: dict[str, Any]) -> tuple[Dictionary, Computes, dict[str, Any], dict[str, Any]]:
    """Ours, what the source computes, what a certificate says of it, and where its vectors come from."""
    if reading.is_ours(source):
        if told:
            raise BadInput(source, f"a file of ours, and told {', '.join(sorted(told))}", "nothing: the file tells all")
        dictionary, made = dictionaries.load_with_settings(source)
        files = certificate.sha256_of((source,), source.parent)
        about = {"format": OURS, "architecture": made.get("architecture", made.get("method")), "files": files}
        return dictionary, Computes.of_ours(dictionary), about, hooks.named(made.get("site"))
    found = reading.read(source, **told)
    return found.raw.dictionary(), Computes.of_raw(found.raw), said_of(found.about), _names(found.about)


def _names(about: About) -> dict[str, Any]:
    return {"model_name": about.model, "hook_name": about.hook}


def said_of(about: About) -> dict[str, Any]:
    """As certificates and files have it."""
    root = about.path if about.path.is_dir() else about.path.parent
    inside = all(root in file.parents for file in about.files)
    files = certificate.sha256_of(about.files, root if inside else root.parent)
    found: dict[str, Any] = {"format": about.format, "architecture": about.architecture, "version": about.version}
    found["layout"] = "held against files of the library" if about.proven else "by description, no real file seen"
    found |= {"rules": list(about.rules), "traps": list(about.traps), "model": about.model, "hook": about.hook}
    return found | {"more": dict(about.more), "files": files}
