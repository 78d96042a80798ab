"""Dictionaries of other libraries, on the command line: converted, and what was read of one."""

import json
from pathlib import Path
from typing import Any

from sparse_coding.formats import certificate, converting, reading
from sparse_coding.formats.parts import MustBeTold


def convert(source: Path, output: Path, to: str, dtype: str, **told: Any) -> str:
    """As formats.converting.convert, what is None is not told; what came of it, in words."""
    told = {name: value for name, value in told.items() if value is not None}
    compared = converting.convert(source, output, to, dtype, **told)
    there = certificate.check(output / certificate.NAME)
    apart = f"codes differ by {compared.codes:.1e} and x_hat by {compared.x_hat:.1e} of the largest value"
    lines = [f"{output}: {to}, of {_name(there['read'])}"]
    lines += [f"  {compared.rows} rows, L0 {compared.l0:.3g}: {apart}, {compared.flips} codes on one side alone"]
    lines += _details(there["read"])
    return "\n".join([*lines, f"  certificate: {output / certificate.NAME}"])


def about(path: Path) -> str | None:
    """What a dictionary of another library is, or what a certificate says; None for anything else.

    Raises BadInput where a certificate speaks of other bytes.
    """
    file = path / certificate.NAME if path.is_dir() else path
    if file.name == certificate.NAME and file.is_file():
        there = certificate.check(file)
        compared = there["compared"]
        lines = [f"{file.parent}: {there['written']['format']}, {there['written']['dtype']}, of {_name(there['read'])}"]
        lines += ["  its files are those that the certificate speaks of"]
        lines += [f"  codes differed by {compared['codes']:.1e}, x_hat by {compared['x_hat']:.1e} of the largest value"]
        lines += [
            f"  {compared['flips']} codes on one side alone, on {compared['rows']} rows and those of each feature"
        ]
        if narrow := there.get("narrow"):
            cost = f"codes {narrow['codes']:.1e}, x_hat {narrow['x_hat']:.1e}, {narrow['flips']} on one side alone"
            lines += [f"  what fewer digits cost: {cost}"]
        return "\n".join([*lines, *_details(there["read"])])
    if not path.exists() or reading.is_ours(path) or (known := reading.format_of(path)) is None:
        return None
    form, place = known
    try:
        found = reading.read(path)
    except MustBeTold as error:
        return f"{form.name}: {error}"
    raw, said = found.raw, converting.said_of(found.about)
    d_in, n_feat, d_out = raw.encoder.shape[1], len(raw.bias), raw.decoder.shape[1]
    to = f" to {d_out}" if d_out != d_in else ""
    return "\n".join([f"{place}: {_name(said)}, {n_feat} features of {d_in}{to} dimensions", *_details(said)])


def _name(read: dict[str, Any]) -> str:
    version = f" {read['version']}" if read.get("version") else ""
    return f"{read['format']}{version}, {read['architecture'] or 'a dictionary'}"


def _details(read: dict[str, Any]) -> list[str]:
    lines = [f"  layout: {read['layout']}"] if "layout" in read else []
    lines += [f"  rule: {rule}" for rule in read.get("rules", ())]
    lines += [f"  careful: {trap}" for trap in read.get("traps", ())]
    lines += [f"  {name}: {read[name]}" for name in ("model", "hook") if read.get(name)]
    return lines + ([f"  also: {json.dumps(read['more'])}"] if read.get("more") else [])
