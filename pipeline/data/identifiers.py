"""Names of the pairs in the prepared set, from the photos' paths."""

import hashlib
import os
import re
from collections import Counter
from pathlib import PurePosixPath

_MAX_LENGTH = 100


def make_ids(sources: list[str]) -> list[str]:
    """A file-name-safe id for each photo of a data set, unique even where case does not count.

    The path without ending, slashes turned to `-`, a folder that all photos share left out. Where
    two come out alike, each gets eight digits of its path's hash.
    """
    shared = os.path.commonpath([PurePosixPath(source).parent for source in sources])
    slugs = [_slug(PurePosixPath(source).relative_to(shared or ".")) for source in sources]
    counts = Counter(slug.lower() for slug in slugs)
    ids = [
        slug
        if counts[slug.lower()] == 1
        else f"{slug}-{hashlib.sha256(s.encode()).hexdigest()[:8]}"
        for slug, s in zip(slugs, sources, strict=True)
    ]
    assert len({name.lower() for name in ids}) == len(ids)
    return ids


def _slug(path: PurePosixPath) -> str:
    name = "-".join(path.with_suffix("").parts)
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:_MAX_LENGTH].strip(".") or "photo"
