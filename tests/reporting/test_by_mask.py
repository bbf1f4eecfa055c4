"""A mask and its samples on the page."""

from pathlib import Path

import pandas as pd

from pipeline.io.manifests import read_classes, read_manifest, read_split
from pipeline.reporting import by_mask
from pipeline.reporting.settings import ReportSettings

PREPARED, SYNTHETIC = Path("data/prepared"), Path("data/synthetic")


def shown(folder, synthetic, masks=5, photos=3):
    settings = ReportSettings(
        pairs=1, ranked_pairs=1, masks=masks, photos_of_a_mask=photos, resamples=100
    )
    sides = {"real": (PREPARED, read_split(PREPARED, "train")), "synthetic": (SYNTHETIC, synthetic)}
    return by_mask.section(folder, settings, sides, read_classes(PREPARED))


def test_the_masks_with_most_photos_come_first(project):
    first, second = shown(project / "page", read_manifest(SYNTHETIC))
    assert (first.real.name, first.total) == ("0000_photo_00", 8)
    assert [tile.name for tile in first.drawn] == [f"synthetic_00000{n}" for n in range(3)]
    assert (second.real.name, second.total, len(second.drawn)) == ("0001_photo_05", 3, 3)
    pictures = [tile.photo for item in (first, second) for tile in (item.real, *item.drawn)]
    assert len(set(pictures)) == 8 and all((project / "page" / p).exists() for p in pictures)
    [only] = shown(project / "page", read_manifest(SYNTHETIC), masks=1)
    assert only.real.name == "0000_photo_00"


def test_masks_that_no_photo_was_labelled_with_are_left_out(project):
    drawn = read_manifest(SYNTHETIC)
    drawn = drawn.assign(mask_id=[f"drawn_{n // 4}" for n in range(len(drawn))])
    assert shown(project / "page", drawn) == []
    once = read_manifest(SYNTHETIC).drop_duplicates("mask_id")
    assert isinstance(once, pd.DataFrame) and shown(project / "page", once) == []


def test_the_page_offers_each_mask(finished):
    html = (finished / "metrics/report/index.html").read_text()
    assert html.count('<details name="of-mask">') == 2
    assert "3 of 8 photos" in html and "0001_photo_05: 3 photos" in html
    assert "turned, scaled and flipped" in html
