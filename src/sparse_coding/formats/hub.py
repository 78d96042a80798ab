"""Dictionaries on a model hub, fetched into its cache at one commit."""

from pathlib import Path, PurePosixPath

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from sparse_coding.errors import BadInput
from sparse_coding.files import dictionary_files

WANTED = "the name of a repository on the model hub (which needs a network the first time)"


def fetched(name: str, revision: str | None = None, inside: str | None = None) -> Path:
    """Where the files of a dictionary lie in the hub's cache: those `inside` the repository `name`, else all of it.

    What is there at `revision` is not fetched again. Raises BadInput where the hub does not give it.
    """
    place = f"dictionary {name}"
    try:
        root = Path(snapshot_download(name, revision=revision, allow_patterns=patterns(inside)))
    except GatedRepoError as error:
        wanted = "its terms accepted on the hub, and a token of that account in HF_TOKEN"
        raise BadInput(place, "a gated repository", wanted) from error
    except RevisionNotFoundError as error:
        raise BadInput(place, f"no revision {revision} on the hub", "a branch, tag or commit of it") from error
    except RepositoryNotFoundError as error:
        raise BadInput(place, "no such file or folder, and no such repository, or a private one", WANTED) from error
    except LocalEntryNotFoundError as error:
        found = f"no such file or folder, not in the hub's cache at {revision or 'main'}, and no way to the hub"
        raise BadInput(place, f"{found} ({_line(error)})", WANTED) from error
    except Exception as error:  # the client and its transport have exceptions of their own
        raise BadInput(place, f"no answer from the hub ({_line(error)})", WANTED) from error
    place_in_cache = root / (inside or "")
    if not place_in_cache.exists():
        raise BadInput(place, f"no {inside} at revision {revision or 'main'}", "a file or folder of that repository")
    return place_in_cache


def patterns(inside: str | None) -> list[str] | None:
    """What of a repository is fetched: a file with what may stand beside it, a folder with all that is in it."""
    if inside is None:
        return None
    path = PurePosixPath(inside)
    beside = [
        (folder / name).as_posix() for folder in (path.parent, path.parent.parent) for name in dictionary_files.BESIDE
    ]
    own = _literal(path.as_posix())
    return [own, f"{own}/*", *map(_literal, dict.fromkeys(beside))]


def _literal(name: str) -> str:
    """A pattern that this name alone fits."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
