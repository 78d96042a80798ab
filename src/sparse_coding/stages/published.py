"""Stage published: a dictionary that was trained elsewhere, as a file of ours beside those that are trained here.

1. Fetch it where it is on a model hub, at the commit that hub.lock.json has; into the hub's own cache.
2. Read it, in the format that its files are of, and by what they leave to be told.
3. Write our file, and a certificate: what was read, by which rules, and how near ours computes the same.
4. Say what may be wrong with it, and where its vectors are said to come from, if that is another place.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from sparse_coding.errors import BadInput
from sparse_coding.files import dictionary_files
from sparse_coding.formats import entering, hub
from sparse_coding.settings.slices import PublishedSlice


def run(
    settings: PublishedSlice,
    *,
    output: Path,
    source: Path | None = None,
    done: Callable[[str], object] = lambda name: None,
) -> None:
    """Write `<output>/<name>.safetensors` and `<name>.certificate.json`. source: where it lies; None: on a model hub.

    Raises BadInput where there is none, where it cannot be read exactly, and where ours would not compute the same.
    """
    own = settings.dictionary
    if source is None:
        place, known = hub.fetched(own.path, own.revision, own.inside), None
    else:
        place = source.expanduser() / (own.inside or "")
        if not place.exists():
            raise BadInput(place, "no such file or folder", "a dictionary in a format of docs/formats.md")
        known = {file.name for file in dictionary_files.of(place)}
    entered = entering.enter(place, output, settings.name, settings.site, known, **own.told)
    named, about = f"published {settings.site}: {settings.name}", entered.about
    for trap in about.get("traps", ()):
        print(f"{named}: {trap}", file=sys.stderr)
    if (elsewhere := entering.elsewhere(about.get("hook"), settings.site)) is not None:
        print(f"warning: {named}: {elsewhere}", file=sys.stderr)
    print(f"{named}: {about['format']}, {entered.dictionary.n_feat} features", file=sys.stderr)
    done(settings.name)
