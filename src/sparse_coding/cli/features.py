"""What the features of a dictionary are, for a terminal: what explains them, where they fire, what they promote."""

from typing import Any

from sparse_coding.cli import naming, vectors
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.io import judged
from sparse_coding.load import load_dictionary
from sparse_coding.using import looking

BESIDE = 8  # tokens that are shown on each side of the strongest one
Row = dict[str, Any]


def features(named: str, feature: int | None, text: str | None, n: int) -> str:
    """See commands.features."""
    if n < 1:
        raise BadInput("--n", str(n), "at least 1")
    if feature is not None and text is not None:
        raise BadInput("features", "--feature and --text", "one of them")
    dictionary, site, name = _found(named)
    scored = _scored(site, name)
    lines = [str(dictionary)]
    if text is not None:
        return "\n".join([*lines, *_of_text(dictionary, text, scored, n)])
    if feature is None:
        return "\n".join([*lines, *_overview(scored, n)])
    vectors.make("features", dictionary.site or "")
    return "\n".join([*lines, *_of_feature(dictionary, feature, scored, n)])


def _found(named: str) -> tuple[Dictionary, str, str]:
    if (path := naming.path_of(named)) is None:
        raise BadInput("features", repr(named), naming.wanted())
    return load_dictionary(path), path.parent.name, path.stem


def _scored(site: str, name: str) -> dict[int, list[Row]]:
    """Rows of interpretation by feature, none where the dictionary was not interpreted."""
    path = naming.RESULTS / "autointerp" / site / f"{name}.parquet"
    found: dict[int, list[Row]] = {}
    for row in judged.read(path).to_pylist() if path.is_file() else ():
        found.setdefault(row["feature"], []).append(row)
    return found


def _score(row: Row) -> float | None:
    return row["top_and_random"] if row["top_and_random"] is not None else row["balanced_accuracy"]


def _told(row: Row) -> str:
    score = _score(row)
    said = f"{row['scorer']} {score:.2f}" if score is not None else f"{row['scorer']}: {row['reason'] or row['status']}"
    return f"{said}  {row['explanation'] or ''}".rstrip()


def _overview(scored: dict[int, list[Row]], n: int) -> list[str]:
    if not scored:
        return ["It was not interpreted. --feature N shows where a feature fires, --text which ones fire on a text."]
    best = sorted(scored, key=lambda feature: -max(_score(row) or -1.0 for row in scored[feature]))
    lines = [f"{len(scored)} features were interpreted; those with the highest scores:"]
    lines += [f"  {feature:6}  {_told(row)}" for feature in best[:n] for row in scored[feature]]
    return [*lines, "--feature N shows where a feature fires, --text which ones fire on a text."]


def _of_text(dictionary: Dictionary, text: str, scored: dict[int, list[Row]], n: int) -> list[str]:
    lines, tokens = [], looking.features_of(dictionary, text, top=n)
    for on in tokens:
        firing = ", ".join(f"{each.feature} ({each.code:.2g})" for each in on.firing)
        lines.append(f"  {on.token!r:16} {firing or 'none'}")
    seen = {each.feature for on in tokens for each in on.firing[:1]}
    known = [f"  {feature:6}  {_told(row)}" for feature in sorted(seen & scored.keys()) for row in scored[feature]]
    return [*lines, *(["What explains the strongest ones:", *known] if known else [])]


def _of_feature(dictionary: Dictionary, feature: int, scored: dict[int, list[Row]], n: int) -> list[str]:
    tokens = looking.top_tokens(dictionary, feature, n)
    if not tokens:
        return [f"Feature {feature} fires nowhere in the fragments."]
    lines = [f"Feature {feature}", *(f"  {_told(row)}" for row in scored.get(feature, ()))]
    lines += ["Tokens (share of all its codes, mean code, how often it fires there):"]
    lines += [f"  {each.token!r:16} {each.share:4.0%}  {each.mean:8.3g}  {each.rate:4.0%}" for each in tokens]
    lines += ["Strongest contexts:"]
    lines += [f"  {max(each.codes):8.3g}  {_cut(each)!r}" for each in looking.top_texts(dictionary, feature, n)]
    try:
        lens = looking.logit_lens(dictionary, feature, n=n)
    except BadInput as error:
        return [*lines, f"No logit lens: {error}"]
    for title, those in (("Promotes", lens.promoted), ("Suppresses", lens.suppressed)):
        lines.append(f"{title}: {', '.join(f'{token!r} ({logit:+.2g})' for token, logit in those)}")
    return lines


def _cut(context: looking.Context) -> str:
    """The strongest token, marked, with what stands beside it."""
    at = context.strongest
    before, after = context.tokens[max(at - BESIDE, 0) : at], context.tokens[at + 1 : at + 1 + BESIDE]
    return f"{''.join(before)}\u00ab{context.tokens[at]}\u00bb{''.join(after)}"
