import numpy as np
import pandas as pd

from pipeline.io.manifests import ClassInfo
from pipeline.reporting import figures, gallery, masks

CLASSES = [
    ClassInfo(0, "background", (0, 0, 0)),
    ClassInfo(1, "rust", (200, 0, 0)),
    ClassInfo(2, "dent", (0, 0, 200)),
]


def regions(*pixels, label=1):
    return pd.DataFrame({"class_index": label, "pixels": pixels})


def test_masks_of_other_sources_have_no_draws():
    reused = pd.DataFrame({"mask_id": ["photo"]})
    assert masks.draws(reused) is None
    assert masks.draws(reused.assign(mask_rejected=[[]], mask_fault=[None])) is None


def test_plausible_draws_have_no_faults():
    frame = pd.DataFrame({"mask_id": ["drawn_000000"] * 3})
    told = masks.draws(frame.assign(mask_rejected=[[], [], []], mask_fault=[None] * 3))
    assert told == {"total": 3, "implausible": 0, "share": 0, "faults": []}


def test_an_unknown_fault_is_told_by_its_own_name():
    frame = pd.DataFrame({"mask_id": ["drawn_000000"]})
    told = masks.draws(frame.assign(mask_rejected=[["upside_down"]], mask_fault=[None]))
    [row] = told["faults"]
    assert row == {"name": "upside_down", "thrown_away": 1, "kept": 0, "share": 0.5}


def test_sizes_are_drawn_where_a_side_lacks_a_class():
    objects = {"real": np.array([0.3, 0.4]), "synthetic": np.array([0.35])}
    both = {"real": regions(3, 40, 7), "synthetic": regions(5, 5, label=2)}
    svg = figures.size_chart(both, objects, CLASSES)
    assert "rust" in svg
    assert "dent" in svg
    assert "the object" in svg
    without = {side: np.array([]) for side in objects}
    assert "the object" not in figures.size_chart(both, without, CLASSES)
    nothing = {side: frame.head(0) for side, frame in both.items()}
    assert "rust" in figures.size_chart(nothing, without, CLASSES)


def test_places_have_a_panel_per_class_and_side():
    places = {side: np.zeros((3, 8, 12)) for side in ("real", "synthetic")}
    svg = figures.places_chart(places, CLASSES)
    for title in ("rust, real", "rust, synthetic", "dent, real", "dent, synthetic"):
        assert title in svg
    assert svg.count("<image") >= 4


def test_masks_are_painted_over_their_silhouette(tmp_path):
    from pipeline.io.images import write_mask, write_silhouette

    mask = np.zeros((32, 64), dtype=np.uint8)
    mask[4, 5] = 2
    silhouette = np.zeros((32, 64), dtype=bool)
    silhouette[4, 4:8] = True
    write_mask(tmp_path / "mask.png", mask, [item.colour for item in CLASSES])
    write_silhouette(tmp_path / "object.png", silhouette)
    row = pd.Series({"mask": "mask.png", "object": "object.png"})
    painted = gallery.draw_mask(tmp_path, row, CLASSES)
    assert painted.shape == (64, 128, 3)
    assert painted[8, 10].tolist() == [0, 0, 200]
    assert painted[8, 12].tolist() == [gallery.OBJECT_GREY] * 3
    assert painted[8, 16].tolist() == [0, 0, 0]
    bare = gallery.draw_mask(tmp_path, pd.Series({"mask": "mask.png", "object": None}), CLASSES)
    assert bare[8, 12].tolist() == [0, 0, 0]
