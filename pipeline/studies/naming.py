"""Names as a reader of tables knows them."""

from collections.abc import Mapping
from typing import Any

ARCHITECTURES = {
    "unet": "U-Net",
    "unetplusplus": "U-Net++",
    "fpn": "FPN",
    "deeplabv3plus": "DeepLabv3+",
}
FIGURES = {
    "miou": "mIoU",
    "defect_iou": "defect IoU",
    "dice": "Dice",
    "iou": "IoU",
    "iou_imagewise": "IoU, imagewise",
    "dice_finetuned": "Dice, finetuned",
    "iou_finetuned": "IoU, finetuned",
    "kid": "KID",
    "fid": "FID",
}


def architecture_name(architecture: str) -> str:
    """`unetplusplus` as `U-Net++`."""
    return ARCHITECTURES.get(architecture, architecture)


def figure_name(figure: str) -> str:
    """`defect_iou` as `defect IoU`."""
    return FIGURES.get(figure, figure.replace("_", " "))


def counted(number: int | str, unit: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{number} {unit.removesuffix('s') if str(number) == '1' else unit}"


def size_of(row: Mapping[str, Any]) -> str:
    """The pairs a mix holds, such as `130 real + 260 synthetic` or `130 real, augmented`."""
    parts = [f"{row[origin]} {origin}" for origin in ("real", "synthetic") if row[origin] > 0]
    return ", ".join(filter(None, [" + ".join(parts), row["also"]]))
