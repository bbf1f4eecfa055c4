"""One categorical map for a mask and the silhouette of its object.

A mask model that draws both at once cannot put a defect beside the object. With silhouettes there
is one label more than classes: 0 outside the object, 1…C−1 the defects, C the bare object.
"""

import numpy as np

OBJECT_COLOUR = (128, 128, 128)  # of the bare object where a label map is shown or coded in colours

Colour = tuple[int, int, int]


def total_labels(total_classes: int, with_object: bool) -> int:
    """Labels of a map of C classes, background included."""
    return total_classes + int(with_object)


def label_colours(colours: list[Colour], with_object: bool) -> list[Colour]:
    """A colour for each label: those of the classes, and grey for the bare object."""
    return [*colours, OBJECT_COLOUR] if with_object else list(colours)


def join_labels(masks: np.ndarray, objects: np.ndarray | None, total_classes: int) -> np.ndarray:
    """Label maps of masks and silhouettes.

    Args:
        masks: uint8 N×H×W (or H×W) of class indices 0…C−1.
        objects: bool of the same shape, True on the object; None = there are no silhouettes.
        total_classes: C, background included.

    Returns:
        uint8 of the same shape: the class where it is a defect, else C on the object, else 0.
    """
    assert masks.max(initial=0) < total_classes, (masks.max(), total_classes)
    if objects is None:
        return masks
    assert objects.shape == masks.shape, (objects.shape, masks.shape)
    bare = objects & (masks == 0)
    return np.where(bare, np.uint8(total_classes), masks)


def split_labels(
    labels: np.ndarray, total_classes: int, with_object: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Masks and silhouettes of label maps.

    Args:
        labels: uint8 N×H×W (or H×W) as `join_labels` gives them.
        total_classes: C, background included.
        with_object: whether the maps hold silhouettes.

    Returns:
        Masks, uint8 of the same shape, and silhouettes, bool (None without). A defect is part of
        the object, so joining and splitting masks that leave their silhouettes widens these.
    """
    if not with_object:
        return labels, None
    masks = np.where(labels == total_classes, np.uint8(0), labels)
    return masks, labels > 0
