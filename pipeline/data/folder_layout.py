"""Which file is a photo, which is its mask, and which masks have lost their photo."""

import glob
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.data.folder_settings import FolderSettings
from pipeline.data.problems import FaultError, Problem, is_utf8
from pipeline.io.errors import UserError

# What stands for {stem} and {name} while a mask's path is turned round; no file name has them.
_STEM, _NAME = "\0", "\1"


@dataclass(frozen=True)
class Layout:
    """Photos with their masks, as paths relative to the data set, ordered; and what is wrong."""

    masks: dict[str, str]
    problems: list[Problem]


def find_layout(root: Path, settings: FolderSettings) -> Layout:
    """Find the photos below `root` and where the mask of each must lie.

    Raises:
        UserError: no file matches `settings.images`.
    """
    found, problems = _names(root, settings)
    pairs = {source: _mask_path(source, settings) for source in found}
    others = {mask for source, mask in pairs.items() if mask != source}
    masks = {source: mask for source, mask in pairs.items() if source not in others}
    problems += _lost_masks(root, masks, settings)
    users = defaultdict(list)
    for source, mask in masks.items():
        users[mask].append(source)
    for mask, sources in users.items():
        if len(sources) > 1 and (root / mask).is_file():
            problems += [_shared(root, mask, source, sources, settings) for source in sources]
            masks = {source: mask for source, mask in masks.items() if source not in sources}
    return Layout(masks, problems)


def _names(root: Path, settings: FolderSettings) -> tuple[list[str], list[Problem]]:
    """The photos that match `images`, and what matches without being one that can be listed."""
    try:
        # all but folders: a link whose target is gone was a photo, too
        found = [path.relative_to(root) for path in root.glob(settings.images) if not path.is_dir()]
    except (ValueError, NotImplementedError) as error:
        raise UserError(f"dataset.folders.images: got {settings.images!r}: {error}") from None
    sources = sorted(path.as_posix() for path in found if not path.name.startswith("."))
    if not sources:
        there = sorted(path.relative_to(root).as_posix() for path in root.glob("*"))[:8]
        raise UserError(
            f"dataset.folders.images: {settings.images!r} matches no file in {root}, "
            f"which holds: {', '.join(there) or 'nothing'}"
        )
    faults = {source: _fault_of_file(root, source) for source in sources}
    good = [source for source, fault in faults.items() if fault is None]
    return good, [fault.at(root / source, source) for source, fault in faults.items() if fault]


def _fault_of_file(root: Path, source: str) -> FaultError | None:
    if not is_utf8(source):
        got = "bytes that are no UTF-8"
        return FaultError("name", got, "a name in UTF-8", "rename the file")
    if not (root / source).is_file():
        got = "a link to nothing, a pipe or a device"
        return FaultError("file", got, "a photo", "fetch the link's target, or remove it")
    return None


def _mask_path(source: str, settings: FolderSettings) -> str:
    path = PurePosixPath(source)
    filled = settings.mask.format(
        folder=path.parent, parent=path.parent.parent, stem=path.stem, name=path.name
    )
    return PurePosixPath(filled).as_posix()


def _shared(
    root: Path, mask: str, source: str, sources: list[str], settings: FolderSettings
) -> Problem:
    others = ", ".join(other for other in sources if other != source)
    return Problem(
        f"{root / source}",
        "dataset.folders.mask",
        f"{mask}, which is also the mask of {others}",
        f"a mask of its own ({settings.mask!r})",
        "rename or remove one of the photos",
        source,
    )


def _lost_masks(root: Path, masks: dict[str, str], settings: FolderSettings) -> list[Problem]:
    """Files in the masks' place for which no file in the photos' folders has the name.

    A photo that `images` leaves out on purpose is there, so its mask is not lost.
    """
    has_photo: dict[str, bool] = defaultdict(bool)
    for folder in sorted({PurePosixPath(source).parent for source in masks}):
        there = defaultdict(set)
        for path in (root / folder).iterdir():
            if path.is_dir():
                continue
            place = path.relative_to(root).as_posix()
            there[_STEM + path.stem].add(place)
            there[_NAME + path.name].add(place)
        for mask, name in _masks_of(root, folder, settings):
            # A mask that lies beside the photos is there itself.
            has_photo[mask] |= bool(there[name] - {mask})
    used = set(masks) | set(masks.values())
    return [
        Problem(
            f"{root / mask}",
            "dataset.folders.images",
            "a mask without photo",
            f"a photo of that name ({settings.images!r})",
            "add or rename the photo, or remove the mask",
        )
        for mask, has in sorted(has_photo.items())
        if not has and mask not in used
    ]


def _masks_of(
    root: Path, folder: PurePosixPath, settings: FolderSettings
) -> Iterator[tuple[str, str]]:
    """Files where masks of the photos in `folder` lie, and which name the photo then has."""
    places = {"folder": folder, "parent": folder.parent, "stem": _STEM, "name": _NAME}
    filled = PurePosixPath(settings.mask.format(**places))
    key = next((mark for mark in (_STEM, _NAME) if mark in str(filled)), None)
    if key is None or filled.is_absolute():
        return
    pattern = glob.escape(str(filled)).replace(_STEM, "*").replace(_NAME, "*")
    name = re.escape(str(filled)).replace(key, "([^/]+)", 1).replace(key, r"\1")
    name = re.compile(name.replace(_STEM, "[^/]+").replace(_NAME, "[^/]+"))
    for path in root.glob(pattern):
        mask = path.relative_to(root).as_posix()
        match = name.fullmatch(mask)
        if match and path.is_file() and not path.name.startswith("."):
            yield mask, key + match.group(1)
