import mmap

import numpy as np
import pytest

from pipeline.io import arrays
from pipeline.io.arrays import empty_array, joined, taken
from pipeline.io.failures import RefusedError


def is_on_disk(array) -> bool:
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, mmap.mmap)


@pytest.fixture
def on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr(arrays, "IN_MEMORY_BYTES", 100)
    return tmp_path / ".checkpoints"


def test_large_arrays_lie_in_a_file_without_name(on_disk):
    small, large = empty_array((10, 10), np.uint8), empty_array((10, 11), np.uint8)
    assert (is_on_disk(small), is_on_disk(large)) == (False, True)
    assert type(large) is np.ndarray and large.shape == (10, 11)
    large[:] = np.arange(110).reshape(10, 11)
    assert large.sum() == 109 * 110 / 2
    assert list(on_disk.iterdir()) == []


def test_rows_that_are_taken_and_joined_are_those_of_numpy(on_disk):
    array = np.random.default_rng(0).integers(0, 99, (30, 2, 3))
    places = np.array([29, 0, 0, 7])
    copy = taken(array, places)
    assert np.array_equal(copy, array[places]) and is_on_disk(copy)
    copy[:] = 0
    assert array[29].any()
    both = joined([array[:3], array[5:9]])
    assert np.array_equal(both, np.concatenate([array[:3], array[5:9]])) and is_on_disk(both)
    assert joined([array]) is array
    assert len(taken(array, np.array([], dtype=int))) == 0


def test_too_little_disk_is_told_before_anything_is_written(on_disk, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", refuse, raising=False)
    with pytest.raises(RefusedError, match=r"disk is full \(2,000\.0 MB needed"):
        empty_array((2_000_000_000,), np.uint8)
