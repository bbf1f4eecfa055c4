from collections import Counter

import numpy as np
import pytest

from pipeline.data.pairs import Pairs
from pipeline.io.errors import UserError
from pipeline.io.params import parse
from pipeline.masks.sources import MASK_SOURCES, MaskInputs, MaskSettings

GEOMETRY = {
    "horizontal_flip": 0.5,
    "vertical_flip": 0.5,
    "rotation_degrees": 25,
    "scale": [0.8, 1.1],
    "shift": 0.15,
}

DRAWN = {"on_implausible": "keep", "tries": 1, "batch_size": 4, "sampling": {}}
REUSED = [name for name in MASK_SOURCES if name != "diffusion"]  # of training masks


def settings(source="augmented", order="by_id", **augmented) -> MaskSettings:
    block = {"order": order, "minimal_share": 0.4, "tries": 10} | GEOMETRY | augmented
    content = {"source": source, "real": {"order": order}, "augmented": block, "diffusion": DRAWN}
    return parse(MaskSettings, "masks", content)


def pairs(total=5, with_objects=True) -> Pairs:
    """Round objects with a defect of class 1 at the edge and a small one of class 2 inside."""
    y, x = np.mgrid[:48, :48]
    objects, masks = [], []
    for i in range(total):
        silhouette = (y - 24) ** 2 + (x - 24) ** 2 < 18**2
        mask = np.zeros((48, 48), dtype=np.uint8)
        mask[((y - 24) ** 2 + (x - 9 - i) ** 2 < 36) & silhouette] = 1
        mask[22:25, 28:31] = 2
        objects.append(silhouette)
        masks.append(mask)
    return Pairs(
        ids=[f"photo_{i}" for i in range(total)],
        images=np.zeros((total, 48, 48, 3), dtype=np.uint8),
        masks=np.stack(masks),
        objects=np.stack(objects) if with_objects else None,
    )


def source(data, chosen, seed=0):
    return MASK_SOURCES[chosen.source](MaskInputs(data, chosen, seed))


def test_the_table_has_what_the_settings_may_name():
    assert set(MASK_SOURCES) == set(MaskSettings.model_fields["source"].annotation.__args__)


def test_real_masks_are_reused_in_turn():
    data = pairs(3)
    draw = source(data, settings("real"))
    assert [draw(i).mask_id for i in range(7)] == [f"photo_{n}" for n in (0, 1, 2, 0, 1, 2, 0)]
    assert np.array_equal(draw(4).mask, data.masks[1])
    assert np.array_equal(draw(4).object, data.objects[1])


@pytest.mark.parametrize("name", REUSED)
def test_shuffled_rounds_use_every_mask_once_each_in_another_order(name):
    draw = source(pairs(20), settings(name, order="shuffled"))
    rounds = [[draw(20 * r + i).mask_id for i in range(20)] for r in range(3)]
    for ids in rounds:
        assert set(Counter(ids).values()) == {1}
        assert len(ids) == 20
    assert rounds[0] != rounds[1] != rounds[2]


@pytest.mark.parametrize("name", REUSED)
def test_a_draw_depends_on_seed_and_index_only(name):
    chosen = settings(name, order="shuffled")
    forward = [source(pairs(), chosen)(i) for i in range(12)]
    draw = source(pairs(), chosen)
    backward = [draw(i) for i in reversed(range(12))][::-1]
    for first, second in zip(forward, backward, strict=True):
        assert first.mask_id == second.mask_id
        assert np.array_equal(first.mask, second.mask)
        assert np.array_equal(first.object, second.object)
    others = [source(pairs(), chosen, seed=1)(i) for i in range(12)]
    assert any(not np.array_equal(a.mask, b.mask) for a, b in zip(forward, others, strict=True))


def test_augmented_masks_differ_from_their_originals_and_from_each_other():
    data = pairs(2)
    draw = source(data, settings())
    drawn = [draw(i) for i in range(0, 20, 2)]
    assert {item.mask_id for item in drawn} == {"photo_0"}
    assert len({item.mask.tobytes() for item in drawn}) == 10
    assert all(not np.array_equal(item.mask, data.masks[0]) for item in drawn)


def test_defects_stay_on_the_object_and_keep_their_share():
    data = pairs()
    draw = source(data, settings())
    original = np.bincount(data.masks[0].ravel())[1:]
    for i in range(0, 200, 5):
        item = draw(i)
        assert not item.mask[~item.object].any()
        assert item.mask.dtype == np.uint8
        assert set(np.unique(item.mask)) == {0, 1, 2}
        assert (np.bincount(item.mask.ravel())[1:] >= 0.4 * original).all()


def test_without_silhouettes_the_masks_are_the_same():
    with_objects, without = (
        source(pairs(), settings()),
        source(pairs(with_objects=False), settings()),
    )
    assert without(3).object is None
    assert np.array_equal(without(3).mask, with_objects(3).mask)


def test_the_mask_itself_is_the_last_resort():
    data = pairs(1)
    data.masks[:] = 0
    data.masks[0, 0, 0] = 1  # in the corner: nearly every transformation loses it
    lose = {"rotation_degrees": 0, "horizontal_flip": 0, "vertical_flip": 0, "tries": 1}
    draw = source(data, settings(scale=[1.1, 1.1], shift=0.0, **lose))
    assert np.array_equal(draw(0).mask, data.masks[0])
    assert np.array_equal(draw(0).object, data.objects[0])


def test_more_tries_lose_fewer_transformations():
    data = pairs(1)
    data.masks[:] = 0
    data.masks[0, 4:8, 4:8] = 1

    def untransformed(tries):
        draw = source(data, settings(scale=[1.0, 1.0], rotation_degrees=0, shift=0.4, tries=tries))
        return sum(np.array_equal(draw(i).mask, data.masks[0]) for i in range(60))

    assert untransformed(1) > 10
    assert untransformed(20) < 3


def test_masks_without_defects_are_transformed_too():
    data = pairs(1)
    data.masks[:] = 0
    drawn = source(data, settings())(0)
    assert not drawn.mask.any()
    assert not np.array_equal(drawn.object, data.objects[0])


def test_a_share_that_the_smallest_scale_cannot_keep_is_refused():
    with pytest.raises(UserError, match=r"masks.augmented: .*minimal_share at most 0.64"):
        settings(minimal_share=0.7)
