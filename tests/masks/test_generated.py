import numpy as np
import pytest

from pipeline.data.pairs import Pairs
from pipeline.io.errors import UserError
from pipeline.io.params import parse
from pipeline.io.seeding import derive_seed
from pipeline.masks.generated import GeneratedMaskSettings, generated_masks
from pipeline.masks.sources import MASK_SOURCES, MaskInputs

SIZE = 16


def settings(on_implausible="redraw", tries=4, batch_size=5):
    content = {
        "on_implausible": on_implausible,
        "tries": tries,
        "batch_size": batch_size,
        "sampling": {"steps": 10},
    }
    return parse(GeneratedMaskSettings, "masks.diffusion", content)


def drawn_for(seed):
    """A square object; with an even seed a defect on it, with an odd one none."""
    silhouette = np.zeros((SIZE, SIZE), dtype=bool)
    silhouette[4:12, 4:12] = True
    mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
    if seed % 2 == 0:
        mask[5 + seed // 2 % 6, 5 + seed // 12 % 6] = 1
    return mask, silhouette


class Model:
    """Stands in for a mask model; counts what it is asked for."""

    def __init__(self):
        self.batches = []

    def __call__(self, seeds):
        self.batches.append(len(seeds))
        return [drawn_for(seed) for seed in seeds]


def pairs():
    mask, silhouette = drawn_for(0)
    photo = np.zeros((1, SIZE, SIZE, 3), dtype=np.uint8)
    return Pairs(["photo"], photo, mask[None], silhouette[None])


def attempts(index, seed=0, most=4):
    """Seeds of an index up to the first even one, which draws a plausible mask."""
    seeds = []
    for attempt in range(most):
        seeds.append(derive_seed(seed, "drawn mask", index, attempt))
        if seeds[-1] % 2 == 0:
            break
    return seeds


def test_implausible_masks_are_drawn_again_and_counted():
    source = generated_masks(pairs(), settings(tries=30), 0, Model())
    rejections = set()
    for index in range(30):
        item, seeds = source(index), attempts(index, most=30)
        assert item.mask_id == f"drawn_{index:06d}"
        assert item.rejected == ("empty",) * (len(seeds) - 1)
        assert item.fault is None
        assert np.array_equal(item.mask, drawn_for(seeds[-1])[0])
        assert np.array_equal(item.object, drawn_for(seeds[-1])[1])
        rejections.add(len(item.rejected))
    assert len(rejections) > 2


def test_the_last_try_is_used_with_its_fault():
    source = generated_masks(pairs(), settings(tries=2), 0, Model())
    for index in range(40):
        item, seeds = source(index), attempts(index, most=2)
        assert len(item.rejected) == len(seeds) - 1
        assert item.fault == ("empty" if seeds[-1] % 2 else None)
    assert {source(index).fault for index in range(40)} == {None, "empty"}


def test_keep_draws_once_and_names_the_fault():
    model = Model()
    source = generated_masks(pairs(), settings("keep", tries=9), 0, model)
    for index in range(20):
        item = source(index)
        assert item.rejected == ()
        assert item.fault == ("empty" if attempts(index)[0] % 2 else None)
    assert model.batches == [5, 5, 5, 5]


def test_a_mask_depends_on_seed_and_index_only():
    forward = [generated_masks(pairs(), settings(), 0, Model())(i) for i in range(13)]
    source = generated_masks(pairs(), settings(), 0, Model())
    backward = [source(i) for i in reversed(range(13))][::-1]
    for a, b in zip(forward, backward, strict=True):
        assert (a.mask_id, a.rejected, a.fault) == (b.mask_id, b.rejected, b.fault)
        assert np.array_equal(a.mask, b.mask)
    other = generated_masks(pairs(), settings(), 1, Model())
    assert any(not np.array_equal(other(i).mask, forward[i].mask) for i in range(13))


def test_batches_are_whole_and_drawn_once():
    model = Model()
    source = generated_masks(pairs(), settings("keep"), 0, model)
    for index in (7, 6, 5, 9, 0):
        source(index)
    assert model.batches == [5, 5]


def test_redraws_of_a_batch_go_through_the_network_together():
    model = Model()
    generated_masks(pairs(), settings(), 0, model)(0)
    first = [attempts(index)[0] % 2 for index in range(5)]
    assert model.batches[:2] == [5, sum(first)]


def test_the_gravest_fault_is_named():
    def draw(seeds):
        nothing = np.zeros((SIZE, SIZE))
        return [(nothing.astype(np.uint8), nothing.astype(bool)) for _ in seeds]

    assert generated_masks(pairs(), settings("keep"), 0, draw)(0).fault == "no_object"


def test_the_source_needs_a_model():
    class Chosen:
        diffusion = settings()

    with pytest.raises(ValueError, match="draw: got None"):
        MASK_SOURCES["diffusion"](MaskInputs(pairs(), Chosen(), 0))
    assert MASK_SOURCES["diffusion"](MaskInputs(pairs(), Chosen(), 0, Model()))(3).mask.any()


def test_no_tries_are_refused():
    with pytest.raises(UserError, match=r"masks\.diffusion\.tries: got 0"):
        settings(tries=0)
