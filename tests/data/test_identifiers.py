import re

from pipeline.data.identifiers import make_ids


def test_shared_folder_is_left_out_and_slashes_become_hyphens():
    assert make_ids(["images/0037_G_I.jpg", "images/0038_G_I.jpg"]) == ["0037_G_I", "0038_G_I"]
    assert make_ids(["train/images/a.jpg", "val/images/b.jpg"]) == [
        "train-images-a",
        "val-images-b",
    ]


def test_ids_are_safe_as_file_names():
    sources = ["LEMON 1 (2)/ü:*.png", ".hidden.jpg", "x" * 300 + ".png", "日本.png"]
    for name in make_ids(sources):
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,120}", name)


def test_clashing_names_get_a_hash_even_where_only_case_differs():
    ids = make_ids(["a b.jpg", "a_b.jpg", "A_B.png", "c.jpg"])
    assert ids[3] == "c"
    assert len({name.lower() for name in ids}) == 4
    assert all(re.fullmatch(r"[aA]_[bB]-[0-9a-f]{8}", name) for name in ids[:3])
    assert make_ids(["A_B.png", "c.jpg", "a_b.jpg", "a b.jpg"]) == [ids[2], ids[3], ids[1], ids[0]]
