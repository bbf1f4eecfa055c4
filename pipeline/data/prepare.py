"""From the records of a data set to the prepared set: fit, label, outline, split and write.

Photos are worked on by all cores, each on its own, so the bytes do not depend on how many.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.data.fitting import Fit, ImageSettings, fit_mask, fit_photo, plan_fit
from pipeline.data.photos import UNREADABLE, read_photo
from pipeline.data.readers import ObjectSettings
from pipeline.data.records import Record
from pipeline.data.silhouettes import threshold_silhouette
from pipeline.data.subsets import SubsetSettings, label_map
from pipeline.io.errors import UserError
from pipeline.io.images import sha256_of, write_image, write_mask, write_silhouette
from pipeline.io.progress import progress

# Below this, starting processes takes longer than the work.
_MIN_PHOTOS_FOR_PROCESSES = 64


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
    """What became of one photo: a row of the manifest, or why there is none."""

    source: str
    row: dict | None = None
    problem: str | None = None
    dropped: str | None = None
    vanished: list[int] = field(default_factory=list)
    pixels: list[int] = field(default_factory=list)


def prepare_photos(records: list[Record], ids: list[str], job: Job) -> list[Outcome]:
    """Write photo, mask and silhouette of each record below `job.folder`.

    Args:
        records: the photos of the subset.
        ids: their names in the prepared set.
        job: the settings.

    Returns:
        One outcome a record, in the same order.
    """
    for name in ("images", "masks", "objects")[: 2 + (job.object.source != "none")]:
        (job.folder / name).mkdir(parents=True, exist_ok=True)
    workers = total_cores() if len(records) >= _MIN_PHOTOS_FOR_PROCESSES else 1
    outcomes = []
    with progress(len(records), "photos prepared") as bar:
        for outcome in _map(partial(_prepare, job), records, ids, workers):
            outcomes.append(outcome)
            bar.update()
    return outcomes


def total_cores() -> int:
    """How many cores this process may use (where the system tells)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _map(work, records: list[Record], ids: list[str], workers: int) -> Iterator[Outcome]:
    if workers == 1:
        yield from map(work, records, ids)
        return
    try:
        pool = ProcessPoolExecutor(workers)
    except OSError as error:  # no semaphores, as in some containers
        print(f"one process only: {error}")
        yield from map(work, records, ids)
        return
    with pool:
        try:
            yield from pool.map(work, records, ids, chunksize=8)
        except BrokenProcessPool:
            raise UserError(
                f"one of {workers} processes was killed, most likely for want of memory; "
                "free some or give the container more"
            ) from None


def _prepare(job: Job, record: Record, name: str) -> Outcome:
    try:
        return _write(job, record, name)
    except (*UNREADABLE, UserError) as error:
        return Outcome(record.source, problem=f"{record.image}: {error}")


def _write(job: Job, record: Record, name: str) -> Outcome:
    wanted = set(job.subset.categories) | {job.object.category}
    masks = record.masks(wanted)
    labels = label_map(masks, job.subset, record.size)
    if labels is None:
        return Outcome(record.source, dropped="overlap")
    total_classes = len(job.colours)
    fit = plan_fit(record.size, job.image)
    small = fit_mask(labels, fit)
    before = np.bincount(labels.ravel(), minlength=total_classes)
    pixels = np.bincount(small.ravel(), minlength=total_classes)
    vanished = np.flatnonzero((before > 0) & (pixels == 0)).tolist()
    had_region = bool(record.categories & set(job.subset.categories))
    if had_region and not small.any() and job.subset.defect_free == "exclude":
        return Outcome(record.source, dropped="vanished")

    photo = fit_photo(read_photo(record.image, fit.minimum), fit)
    silhouette = _OBJECTS[job.object.source](photo, small, masks, fit, job.object)
    paths = {"image": f"images/{name}.png", "mask": f"masks/{name}.png", "object": None}
    write_image(job.folder / paths["image"], photo)
    write_mask(job.folder / paths["mask"], small, job.colours)
    if silhouette is not None:
        paths["object"] = f"objects/{name}.png"
        write_silhouette(job.folder / paths["object"], silhouette)
    row = {
        "id": name,
        **paths,
        "source": record.source,
        "width": record.size[0],
        "height": record.size[1],
        "image_sha256": sha256_of(job.folder / paths["image"]),
        "mask_sha256": sha256_of(job.folder / paths["mask"]),
    }
    return Outcome(record.source, row, vanished=vanished, pixels=pixels.tolist())


def _by_threshold(photo, labels, _masks, _fit, settings: ObjectSettings) -> np.ndarray:
    silhouette = threshold_silhouette(photo, labels, settings.threshold)
    if not silhouette.any():
        raise UserError(
            f"no pixel brighter than dataset.object.threshold = {settings.threshold}, "
            f"brightest is {photo.max()}"
        )
    return silhouette


def _by_category(_photo, _labels, masks, fit: Fit, settings: ObjectSettings) -> np.ndarray:
    mask = masks.get(settings.category)
    if mask is None or not mask.any():
        raise UserError(
            f"no region of dataset.object.category = {settings.category!r}; outline the object "
            "in this photo, or choose dataset.object.source: threshold"
        )
    return fit_mask(mask, fit)


_OBJECTS = {
    "none": lambda *_: None,
    "threshold": _by_threshold,
    "category": _by_category,
}
