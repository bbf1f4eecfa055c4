import numpy as np
import pandas as pd
import pytest

from pipeline.data.pairs import load_pairs
from pipeline.io import arrays
from pipeline.io.errors import UserError
from pipeline.io.images import sha256_of, write_image, write_mask, write_silhouette


@pytest.fixture
def written(tmp_path):
    """Four pairs of 6×5 px; photo i is filled with i, mask row i is of class 1."""
    rows = []
    for i in range(4):
        row = {name: f"{name}s/{i}.png" for name in ("image", "mask", "object")}
        write_image(tmp_path / row["image"], np.full((6, 5, 3), i, dtype=np.uint8))
        mask = np.zeros((6, 5), dtype=np.uint8)
        mask[i] = 1
        write_mask(tmp_path / row["mask"], mask, [(0, 0, 0), (255, 0, 0)])
        write_silhouette(tmp_path / row["object"], mask == 0)
        hashes = {f"{name}_sha256": sha256_of(tmp_path / row[name]) for name in ("image", "mask")}
        rows.append({"id": f"pair_{i}"} | row | hashes)
    return tmp_path, pd.DataFrame(rows)


def test_pairs_come_in_the_order_of_the_rows(written):
    folder, frame = written
    pairs = load_pairs(folder, frame.iloc[::-1], verify=True)
    assert len(pairs) == 4
    assert pairs.ids == ["pair_3", "pair_2", "pair_1", "pair_0"]
    assert (pairs.images.shape, pairs.images.dtype) == ((4, 6, 5, 3), np.uint8)
    assert pairs.images[:, 0, 0, 0].tolist() == [3, 2, 1, 0]
    assert pairs.masks[0].tolist() == [[1] * 5 if row == 3 else [0] * 5 for row in range(6)]
    assert pairs.objects.dtype == np.bool_
    assert np.array_equal(pairs.objects, pairs.masks == 0)


def test_sets_larger_than_the_memory_are_the_same(written, monkeypatch):
    folder, frame = written
    monkeypatch.setenv("DVC_ROOT", str(folder))
    places = np.array([3, 1])
    usual = load_pairs(folder, frame)
    monkeypatch.setattr(arrays, "IN_MEMORY_BYTES", 10)
    for one, other in (
        (usual, load_pairs(folder, frame)),
        (usual.at(places), load_pairs(folder, frame).at(places)),
    ):
        assert one.ids == other.ids
        for name in ("images", "masks", "objects"):
            assert np.array_equal(getattr(one, name), getattr(other, name))


def test_sets_without_silhouettes(written):
    folder, frame = written
    assert load_pairs(folder, frame.assign(object=None)).objects is None
    assert load_pairs(folder, frame[["id", "image", "mask"]]).objects is None


def test_silhouettes_for_some_pairs_only_are_refused(written):
    folder, frame = written
    frame.loc[2, "object"] = None
    with pytest.raises(UserError, match=r"1 of 4 pairs have no object silhouette.*pair_2"):
        load_pairs(folder, frame)


def test_all_faults_are_listed_at_once(written):
    folder, frame = written
    (folder / "images/0.png").unlink()
    (folder / "masks/1.png").write_bytes(b"no image")
    write_mask(folder / "masks/3.png", np.zeros((6, 6), dtype=np.uint8), [(0, 0, 0)])
    with pytest.raises(UserError) as caught:
        load_pairs(folder, frame)
    message = str(caught.value)
    assert message.startswith("3 files cannot be used")
    assert "images/0.png: not found" in message
    assert "masks/1.png: cannot be read" in message
    assert "masks/3.png: 6×6 pixels, expected 6×5" in message


def test_a_changed_file_is_named_if_verified(written):
    folder, frame = written
    write_image(folder / "images/2.png", np.zeros((6, 5, 3), dtype=np.uint8))
    assert load_pairs(folder, frame).images[2].max() == 0
    with pytest.raises(UserError, match=r"images/2.png: SHA-256 .* the manifest says"):
        load_pairs(folder, frame, verify=True)


def test_no_rows_are_refused(written):
    folder, frame = written
    with pytest.raises(UserError, match="got 0 pairs"):
        load_pairs(folder, frame.head(0))
