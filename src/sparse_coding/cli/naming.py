"""SITE/NAME, by which one names a dictionary of the results."""

from pathlib import Path

RESULTS = Path("results")
FOLDERS = ("dictionaries", "baselines", "published")


def path_of(named: str) -> Path | None:
    """Its file; None where there is none."""
    paths = (RESULTS / folder / f"{named}.safetensors" for folder in FOLDERS)
    return next((path for path in paths if path.is_file()), None)


def beginning(prefix: str) -> list[str]:
    """What may follow what is typed: the sites, with a slash; behind a slash the names there."""
    site, slash, _ = prefix.partition("/")
    if slash:
        return [f"{site}/{file.stem}" for file in _files() if file.parent.name == site]
    return sorted({f"{file.parent.name}/" for file in _files()})


def wanted() -> str:
    """What is to be named, by those that there are."""
    there = _files()
    some = ", ".join(f"{file.parent.name}/{file.stem}" for file in there[:3])
    return f"SITE/NAME of a dictionary in {RESULTS}, as {some}" if there else f"{RESULTS} with dictionaries: dvc pull"


def _files() -> list[Path]:
    return [file for folder in FOLDERS for file in sorted((RESULTS / folder).glob("*/*.safetensors"))]
