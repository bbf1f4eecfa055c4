"""Against pycocotools, which wrote the texts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as rle

from pipeline.data.run_lengths import fill_runs, read_runs

MASKS = arrays(
    np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.integers(0, 1)
)


@given(MASKS)
def test_masks_are_those_of_pycocotools(mask):
    encoded = rle.encode(np.asfortranarray(mask))
    filled = fill_runs(encoded)
    assert filled.dtype == bool
    assert (filled == mask).all()
    assert read_runs(encoded["counts"].decode()).sum() == mask.size


@pytest.mark.parametrize(
    "counts", [[5, 3, 4], [0, 12], [100_000, 1, 99_999], [7], [0, 1, 10**6, 2]]
)
def test_run_lengths_survive_the_text(counts):
    frame = [sum(counts), 1]
    text = rle.frPyObjects({"size": frame, "counts": counts}, *frame)["counts"]
    assert read_runs(text).tolist() == counts


def test_other_texts_are_refused():
    assert read_runs("o" * 100_000) is None  # digits without end
    assert read_runs("5P") is None  # another digit should follow
    assert read_runs("5 3") is None
    assert read_runs("5ß") is None
    assert read_runs("5\udc80") is None
    assert read_runs("").tolist() == []
