import numpy as np
import pytest

from pipeline.copy_paste.composition import CopyPaste
from pipeline.copy_paste.settings import CopyPasteSettings
from pipeline.data.pairs import Pairs
from pipeline.data.photometric import PhotometricSettings
from pipeline.io.errors import UserError
from pipeline.io.manifests import ClassInfo
from pipeline.io.params import parse

SIDE = 40
CLASSES = [ClassInfo(i, name, (i, i, i)) for i, name in enumerate(("background", "ear", "leaf"))]
COLOURS = {1: (250, 0, 0), 2: (0, 0, 250)}
PLAIN = {"photometric": PhotometricSettings()}


def pairs(free=3, with_objects=False, one_class=False) -> Pairs:
    """Green photos, each of its own shade, with red and blue objects; the first `free` without."""
    total = 8
    masks = np.zeros((total, SIDE, SIDE), np.uint8)
    for i in range(free, total):
        masks[i, 4 + i : 10 + i, 5:14] = 1
        masks[i, 24:30, 20 : 24 + i] = 1 if one_class else 2
    images = np.zeros((total, SIDE, SIDE, 3), np.uint8)
    for i in range(total):
        images[i] = (0, 100 + 10 * i, 0)
    for label, colour in COLOURS.items():
        images[masks == label] = colour
    objects = None
    if with_objects:
        y, x = np.mgrid[:SIDE, :SIDE]
        objects = np.stack([(y - 20) ** 2 + (x - 20 + i % 3) ** 2 < 300 for i in range(total)])
        images[~objects] = 0
        masks[~objects] = 0
    return Pairs([f"p{i}" for i in range(total)], images, masks, objects)


def composer(data=None, seed=0, **changes) -> CopyPaste:
    settings = CopyPasteSettings(**{"fakes": [3, 6], "objects": [3, 6]} | PLAIN | changes)
    return CopyPaste(data or pairs(), CLASSES, settings, seed)


def test_labels_are_exactly_where_objects_were_pasted():
    copy_paste = composer()
    for index in range(40):
        drawn = copy_paste.draw(index)
        assert drawn.image.dtype == drawn.mask.dtype == np.uint8
        for label, colour in COLOURS.items():
            assert ((drawn.image == colour).all(axis=2) == (drawn.mask == label)).all()
        assert drawn.object is None


def test_fakes_change_the_photo_and_leave_no_label():
    copy_paste = composer(objects=[0, 1], fakes=[8, 8])
    without = [drawn for drawn in map(copy_paste.draw, range(40)) if not drawn.mask.any()]
    assert len(without) > 10
    for drawn in without:
        # shades of other photos than the background's
        assert len(np.unique(drawn.image[..., 1])) > 1
        assert (drawn.image[..., [0, 2]] == 0).all()


def test_without_fakes_only_labelled_pixels_differ_from_the_background():
    data = pairs()
    for index in range(10):
        drawn = composer(data, fakes=[0, 0]).draw(index)
        background = data.images[data.ids.index(drawn.source_ids[0])]
        changed = (drawn.image != background).any(axis=2)
        assert (changed == (drawn.mask > 0)).all() and changed.any()


def test_the_later_cut_out_covers_the_earlier(monkeypatch):
    copy_paste = composer(fakes=[0, 0], objects=[2, 2])
    pasted = []
    paste = copy_paste._paste

    def watch(rng, cut_out, image, mask, silhouette):
        before = mask.copy()
        mask[:] = 0
        paste(rng, cut_out, image, mask, silhouette)
        pasted.append(mask > 0)
        mask[:] = np.where(mask > 0, mask, before)
        assert (mask[pasted[-1]] == cut_out.label).all()

    monkeypatch.setattr(copy_paste, "_paste", watch)
    overlaps = 0
    for index in range(60):
        pasted.clear()
        copy_paste.draw(index)
        overlaps += bool((pasted[0] & pasted[1]).any())
    assert overlaps > 5
    monkeypatch.undo()
    # and the photo shows the label on top
    test_labels_are_exactly_where_objects_were_pasted()


def test_fakes_come_first(monkeypatch):
    copy_paste = composer(fakes=[3, 3], objects=[2, 2])
    labels, paste = [], copy_paste._paste
    monkeypatch.setattr(
        copy_paste,
        "_paste",
        lambda rng, cut_out, *arrays: labels.append(cut_out.label) or paste(rng, cut_out, *arrays),
    )
    for index in range(10):
        labels.clear()
        copy_paste.draw(index)
        assert labels[:3] == [0, 0, 0] and len(labels) == 5 and all(labels[3:])


def test_all_classes_are_pasted():
    labels = {int(label) for i in range(20) for label in np.unique(composer().draw(i).mask)}
    assert labels == {0, 1, 2}


@pytest.mark.parametrize("free", [0, 3])
def test_silhouettes_are_the_backgrounds_and_hold_all_labels(free):
    data = pairs(free, with_objects=True)
    copy_paste = composer(data)
    for index in range(30):
        drawn = copy_paste.draw(index)
        assert drawn.object.dtype == bool
        source = data.ids.index(drawn.source_ids[0])
        assert (drawn.object == data.objects[source]).all()
        assert not drawn.mask[~drawn.object].any()
        assert (drawn.image[~drawn.object] == 0).all()
        for label, colour in COLOURS.items():
            assert ((drawn.image == colour).all(axis=2) == (drawn.mask == label)).all()


def test_a_draw_depends_on_seed_and_index_only():
    copy_paste = composer(photometric=PhotometricSettings(hue=0.1, contrast=0.3, sharpness=0.5))
    forward = [copy_paste.draw(i) for i in range(8)]
    backward = [copy_paste.draw(i) for i in reversed(range(8))][::-1]
    fresh = composer(photometric=PhotometricSettings(hue=0.1, contrast=0.3, sharpness=0.5)).draw(5)
    for first, second in [*zip(forward, backward, strict=True), (forward[5], fresh)]:
        assert (first.image == second.image).all() and (first.mask == second.mask).all()
        assert first.source_ids == second.source_ids
    assert len({drawn.image.tobytes() for drawn in forward}) == 8
    assert (composer(seed=1).draw(5).mask != forward[5].mask).any()


def test_the_training_pairs_stay_as_they_are():
    data, copy = pairs(0, with_objects=True), pairs(0, with_objects=True)
    for index in range(10):
        drawn = composer(data).draw(index)
        drawn.image[:] = drawn.mask[:] = 0
        drawn.object[:] = False
    assert (data.images == copy.images).all()
    assert (data.masks == copy.masks).all() and (data.objects == copy.objects).all()


def test_photometric_changes_leave_the_mask():
    plain, strong = composer(), composer(photometric=PhotometricSettings(brightness=0.5))
    assert (plain.draw(3).mask == strong.draw(3).mask).all()
    assert (plain.draw(3).image != strong.draw(3).image).any()


def test_counts_are_those_of_the_source_photos():
    copy_paste = composer(pairs(one_class=True), fakes=None, objects=None)
    assert copy_paste.counts == [0, 0, 0, 2, 2, 2, 2, 2]
    drawn = [copy_paste.draw(i).mask.any() for i in range(200)]
    assert np.mean(drawn) == pytest.approx(5 / 8, abs=0.12)


def test_a_few_source_photos_give_all_cut_outs():
    copy_paste = composer(source_photos=2)
    assert len(copy_paste.sources) == 2 and len(copy_paste.cut_outs) == 4
    allowed = {f"p{i}" for i in [*copy_paste.sources, 0, 1, 2]}
    assert set().union(*(copy_paste.draw(i).source_ids for i in range(30))) == allowed


def test_errors_name_the_parameter():
    data = pairs(8)
    with pytest.raises(UserError, match=r"image_dm\.kind: got copy_paste"):
        composer(data)
    with pytest.raises(UserError, match=r"image_dm\.copy_paste\.minimal_pixels: got 900, exp.* 66"):
        composer(minimal_pixels=900)
    with pytest.raises(UserError, match=r"image_dm\.copy_paste\.backgrounds: got photos"):
        composer(pairs(0), backgrounds="photos")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"fakes": [5, 2]}, r"fakes as \[fewest, most\], got \[5, 2\]"),
        ({"objects": [0, 0]}, "pastes nothing"),
        ({"source_photos": 0}, r"image_dm\.copy_paste\.source_photos: got 0"),
        ({"rotation": 2.0}, r"image_dm\.copy_paste\.rotation: got 2"),
    ],
)
def test_wrong_settings_are_refused(content, complaint):
    with pytest.raises(UserError, match=complaint):
        parse(CopyPasteSettings, "image_dm.copy_paste", content)
