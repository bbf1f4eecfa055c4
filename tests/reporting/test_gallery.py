import numpy as np
import pandas as pd

from pipeline.io.images import read_image, write_image, write_mask
from pipeline.io.manifests import ClassInfo
from pipeline.reporting import gallery

CLASSES = [ClassInfo(0, "background", (0, 0, 0)), ClassInfo(1, "mould", (200, 100, 0))]


def test_overlay_outlines_and_fills_the_region_and_leaves_the_rest():
    image = np.full((9, 9, 3), 100, dtype=np.uint8)
    mask = np.zeros((9, 9), dtype=np.uint8)
    mask[1:8, 1:8] = 1
    shown = gallery.overlay(image, mask, CLASSES)
    assert (shown[mask == 0] == 100).all()
    assert tuple(shown[1, 1]) == (200, 100, 0)
    assert tuple(shown[4, 4]) == (135, 100, 65)  # 0.65 · 100 + 0.35 · colour
    assert (image == 100).all()


def test_choice_takes_the_classes_in_turn_and_does_not_depend_on_the_rows_order():
    names = [f"{n:02d}" for n in range(40)]
    frame = pd.DataFrame({"id": names, "classes": [["rare"]] * 3 + [["common"]] * 37})
    chosen = gallery.choose(frame, 6, seed=0, name="real")
    assert sorted(label for labels in chosen["classes"] for label in labels) == (
        ["common"] * 3 + ["rare"] * 3
    )
    assert list(chosen["id"]) == sorted(chosen["id"])
    assert not gallery.choose(frame, 6, seed=1, name="real").equals(chosen)


def test_choice_of_more_than_there_are_gives_all_with_defect_free_ones():
    frame = pd.DataFrame({"id": ["a", "b"], "classes": [[], ["mould"]]})
    assert list(gallery.choose(frame, 9, seed=0, name="real")["id"]) == ["a", "b"]


def test_tiles_are_written_at_the_page_s_size_and_keep_the_shape(tmp_path):
    write_image(tmp_path / "a.png", np.zeros((20, 40, 3), dtype=np.uint8))
    write_mask(tmp_path / "m.png", np.zeros((20, 40), dtype=np.uint8), [(0, 0, 0)])
    rows = pd.DataFrame({"id": ["x"], "image": ["a.png"], "mask": ["m.png"], "classes": [[]]})
    (tile,) = gallery.write_tiles(tmp_path / "page", "real", tmp_path, rows, CLASSES)
    assert (tile.width, tile.height) == (gallery.TILE_PX, gallery.TILE_PX // 2)
    for file in (tile.photo, tile.overlay):
        picture = read_image(tmp_path / "page" / file)
        assert picture.shape == (tile.height, tile.width, 3)


def test_sheet_puts_the_blocks_beside_each_other_below_their_titles():
    pairs = [[np.full((10, 10, 3), level, dtype=np.uint8)] * 2 for level in (10, 20, 30)]
    picture = gallery.sheet({"real pairs": pairs, "synthetic pairs": pairs[:2]}, rows=2)
    top = gallery.TITLE_PX
    assert picture[top, 0, 0] == 10
    assert picture[top + 10 + gallery.GAP_PX, 0, 0] == 20  # second row
    assert picture[top, 20 + 3 * gallery.GAP_PX, 0] == 30  # second column
    assert (picture[:top] != 255).any()
    right = 2 * (20 + 3 * gallery.GAP_PX) - 2 * gallery.GAP_PX + 4 * gallery.GAP_PX
    assert picture[top, right, 0] == 10
    assert picture.shape[0] == top + 2 * 10 + gallery.GAP_PX
