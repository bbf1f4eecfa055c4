"""From the records of a data set to the prepared set: cut, fit, label, outline and write.

Photos are worked on by all cores, each on its own, so the bytes do not depend on how many.
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.data.fitting import Fit, ImageSettings, fit_mask, fit_photo
from pipeline.data.photos import read_photo
from pipeline.data.problems import FaultError, Problem
from pipeline.data.readers import ObjectSettings
from pipeline.data.records import Record
from pipeline.data.silhouettes import threshold_silhouette
from pipeline.data.subsets import SubsetSettings, label_map, possible_labels
from pipeline.data.windows import Window, cut_windows, inside, plan_window
from pipeline.io.images import write_image, write_mask, write_silhouette
from pipeline.io.processes import by_all_cores
from pipeline.io.progress import progress

# Below this, starting processes takes longer than the work.
_MIN_PHOTOS_FOR_PROCESSES = 64
_AT_ONCE = 4


@dataclass(frozen=True)
class Job:
    """What is the same for every photo."""

    folder: Path
    subset: SubsetSettings
    image: ImageSettings
    object: ObjectSettings
    colours: list[tuple[int, int, int]]


@dataclass
class Outcome:
    """What became of a photo, or of one window of it: a row of the manifest, or why there is none.

    Attributes:
        source: the photo.
        row: the manifest's row.
        problem: a fault that the user must mend.
        dropped: why it is left out: `overlap`, `vanished`, `empty`, `no_object`.
        vanished: classes that it has, but not at the new size.
        pixels: how many each class has at the new size.
        shown: the categories that have a region in it.
    """

    source: str
    row: dict | None = None
    problem: Problem | None = None
    dropped: str | None = None
    vanished: list[int] = field(default_factory=list)
    pixels: list[int] = field(default_factory=list)
    shown: frozenset[str] = frozenset()


def prepare_photos(records: list[Record], ids: list[str], job: Job) -> list[Outcome]:
    """Write photo, mask and silhouette of each record, or of each window, below `job.folder`.

    Args:
        records: the photos of the subset.
        ids: their names in the prepared set; a window's has its row and column behind.
        job: the settings.

    Returns:
        In the order of the records: one outcome a photo, or one a window where `image.tile` cuts
        the photos (and one for a photo whose windows all share a fate).
    """
    for name in ("images", "masks", "objects")[: 2 + (job.object.source != "none")]:
        (job.folder / name).mkdir(parents=True, exist_ok=True)
    work = partial(_prepare_at, job, records, ids)
    outcomes: list[Outcome] = []
    with progress(len(records), "photos prepared") as bar:
        for of_photo in by_all_cores(work, len(records), _MIN_PHOTOS_FOR_PROCESSES, _AT_ONCE):
            outcomes.extend(of_photo)
            bar.update()
    return outcomes


@dataclass(frozen=True)
class _View:
    """A photo that is kept, or a window of it, as it will be written."""

    name: str
    window: Window
    fit: Fit
    labels: np.ndarray  # uint8 H×W, fitted
    outcome: Outcome


def _prepare_at(job: Job, records: list[Record], ids: list[str], index: int) -> list[Outcome]:
    record = records[index]
    try:
        return _prepare_photo(job, record, ids[index])
    except FaultError as fault:
        return [Outcome(record.source, problem=fault.at(record.image, record.source))]


def _prepare_photo(job: Job, record: Record, name: str) -> list[Outcome]:
    wanted = set(job.subset.categories) | {job.object.category}
    masks = record.masks(wanted)
    if job.subset.overlap == "exclude" and label_map(masks, job.subset, record.size) is None:
        return [Outcome(record.source, dropped="overlap")]
    views = [
        _look(job, record, name, window, masks)
        for window in cut_windows(record.size, job.image.tile)
    ]
    kept = [view for view in views if view.outcome.dropped is None]
    if kept:
        minima = [view.fit.minimum for view in kept]
        photo = read_photo(record.image, tuple(np.max(minima, axis=0).tolist()))
        images = [fit_photo(photo, view.fit) for view in kept]
        objects = _OBJECTS[job.object.source](photo, images, masks, kept, job)
        for view, image, silhouette in zip(kept, images, objects, strict=True):
            _write(job, view, image, silhouette)
    return [view.outcome for view in views]


def _look(
    job: Job,
    record: Record,
    name: str,
    window: Window,
    masks: dict[str, np.ndarray],
) -> _View:
    """What the window shows, and whether it is kept; the photo is not needed for it."""
    fit = plan_window(window, job.image)
    small = _fitted_labels(masks, job.subset, fit)
    pixels = np.bincount(small.ravel(), minlength=len(job.colours))
    gone = [c for c in possible_labels(masks, job.subset) if pixels[c] == 0]
    if window.is_whole:
        shown = record.categories
    else:
        shown = frozenset(c for c, mask in masks.items() if inside(mask, window).any())
    outcome = Outcome(
        record.source,
        vanished=_present(gone, masks, job.subset, window) if gone else [],
        pixels=pixels.tolist(),
        shown=shown,
    )
    if not small.any() and job.subset.defect_free == "exclude":
        if shown & set(job.subset.categories):
            outcome.dropped = "vanished"
        elif not window.is_whole:
            outcome.dropped = "empty"
    if job.image.tile is not None:
        name = f"{name}-r{window.row}c{window.column}"
    return _View(name, window, fit, small, outcome)


def _fitted_labels(masks: dict[str, np.ndarray], subset: SubsetSettings, fit: Fit) -> np.ndarray:
    """The label map in the prepared size.

    A pixel's label hangs on that pixel alone, so labelling those that are kept is enough; of a
    photo of 1056 px fitted to 64 px they are one in 272.
    """
    return label_map({name: fit_mask(masks[name], fit) for name in masks}, subset, fit.canvas)


def _present(
    labels: list[int], masks: dict[str, np.ndarray], subset: SubsetSettings, window: Window
) -> list[int]:
    """Those of the labels that a pixel of the window has, at the scale of its masks."""
    whole = label_map({name: inside(masks[name], window) for name in masks}, subset, window.size)
    return [label for label in labels if (whole == label).any()]


def _write(job: Job, view: _View, image: np.ndarray, silhouette: np.ndarray | None) -> None:
    name = view.name
    paths = {"image": f"images/{name}.png", "mask": f"masks/{name}.png", "object": None}
    if silhouette is not None:
        if not silhouette.any() and not view.window.is_whole:
            view.outcome.dropped = "no_object"
            return
        paths["object"] = f"objects/{name}.png"
        write_silhouette(job.folder / paths["object"], silhouette)
    image_sha256 = write_image(job.folder / paths["image"], image)
    mask_sha256 = write_mask(job.folder / paths["mask"], view.labels, job.colours)
    view.outcome.row = {
        "id": name,
        **paths,
        "source": view.outcome.source,
        "width": view.window.size[0],
        "height": view.window.size[1],
        "left": view.window.box[0],
        "top": view.window.box[1],
        "image_sha256": image_sha256,
        "mask_sha256": mask_sha256,
    }


def _by_threshold(
    photo: Image.Image,
    images: list[np.ndarray],
    masks: dict[str, np.ndarray],
    views: list[_View],
    job: Job,
) -> list[np.ndarray]:
    threshold = job.object.threshold
    if views[0].window.is_whole:
        found = threshold_silhouette(images[0], views[0].labels, threshold)
        fitted = [found]
    else:
        # On the whole photo: in a window, the object may be in several parts or have no rim.
        pixels = np.asarray(photo)
        whole = Fit((0.0, 0.0, 1.0, 1.0), (0, 0, *photo.size), photo.size)
        labels = _fitted_labels(masks, job.subset, whole)
        found = threshold_silhouette(pixels, labels, threshold)
        fitted = [fit_mask(found, view.fit) for view in views]
    if not found.any():
        brightest = max(image.max() for image in images)
        raise FaultError(
            "dataset.object.threshold",
            f"no pixel brighter, the brightest is {brightest}",
            f"an object brighter than {threshold}",
            "lower the threshold, or photograph it on black",
        )
    return fitted


def _by_category(
    _photo: Image.Image,
    _images: list[np.ndarray],
    masks: dict[str, np.ndarray],
    views: list[_View],
    job: Job,
) -> list[np.ndarray]:
    mask = masks.get(job.object.category)
    if mask is None or not mask.any():
        raise FaultError(
            "dataset.object.category",
            "no region",
            f"one of {job.object.category!r}",
            "outline the object in this photo, or choose dataset.object.source: threshold",
        )
    return [fit_mask(mask, view.fit) for view in views]


def _no_object(_photo, images: list[np.ndarray], *_others) -> list[None]:
    return [None] * len(images)


_OBJECTS = {
    "none": _no_object,
    "threshold": _by_threshold,
    "category": _by_category,
}
