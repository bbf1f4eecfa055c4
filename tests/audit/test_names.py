"""What file names say of groups, and when it is believed."""

import numpy as np
import pandas as pd
import pytest

from pipeline.audit.names import find_name_hint, read_names

NONE = pd.DataFrame({"first_source": [], "second_source": []})


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a/0001_G_0.jpg", "a/0001_G_60.jpg", "b/0002_V_0.jpg"], ("^(\\d+)", "0001 0001 0002")),
        (["ID_7_a.png", "ID_7_b.png", "ID_12_a.png"], ("^ID_(\\d+)", "7 7 12")),
        (["1.jpg", "2.jpg", "3.jpg"], None),
        (["crack_1.jpg", "crack_1b.jpg", "dent_1.jpg"], None),
        (["x.jpg", "x.png"], None),
        ([], None),
    ],
)
def test_the_first_number_that_varies(names, expected):
    read = read_names(names)
    assert read == (expected and (expected[0], expected[1].split()))


def fruits(total=12, views=5):
    """Photos of one colour a fruit, and noise."""
    rng = np.random.default_rng(0)
    colours = rng.integers(40, 215, (total, 1, 1, 1, 3))
    noise = rng.integers(-10, 11, (total, views, 16, 16, 3))
    names = [f"{fruit:03d}_{view}.jpg" for fruit in range(total) for view in range(views)]
    return (colours + noise).reshape(-1, 16, 16, 3).astype(np.uint8), names


def test_a_number_is_believed_if_photos_alike_in_colour_share_it():
    photos, names = fruits()
    hint = find_name_hint(photos, names, NONE)
    assert hint.pattern == "^(\\d+)" and hint.groups == 12
    assert hint.chance == pytest.approx(4 / 59) and hint.agreement > 0.9
    shuffled = np.random.default_rng(1).permutation(len(photos))
    assert find_name_hint(photos[shuffled], names, NONE) is None


def test_a_number_that_near_identical_photos_do_not_share_is_no_object():
    photos, names = fruits()
    pairs = pd.DataFrame({"first_source": names[:3], "second_source": names[10:13]})
    assert find_name_hint(photos, names, pairs) is None
