import pytest

from pipeline.data.groups import groups_by_pattern, groups_from_csv
from pipeline.io.errors import UserError

SOURCES = ["a/0037_G.jpg", "b/0037_H.jpg", "b/0038_G.jpg"]


def test_pattern_is_searched_in_the_name_and_then_in_the_path():
    assert groups_by_pattern(SOURCES, r"^(\d+)_") == ["0037", "0037", "0038"]
    assert groups_by_pattern(SOURCES, r"^(\w)/") == ["a", "b", "b"]


def test_photos_that_do_not_match_are_named():
    with pytest.raises(UserError, match=r"group_pattern.*1 of 3.*b/0038_G\.jpg"):
        groups_by_pattern(SOURCES, r"^(0037)_")


def test_csv_names_photos_by_path_or_by_unique_file_name(tmp_path):
    path = tmp_path / "groups.csv"
    path.write_text("image,group\n./a/0037_G.jpg,x\nb/0037_H.jpg,y\n0038_G.jpg,x\n")
    assert groups_from_csv(SOURCES, path) == ["x", "y", "x"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("image,group\na/0037_G.jpg,x\n", r"no group for 2 of 3 photos: b/0037_H\.jpg"),
        ("photo,tile\na,b\n", "expected image and group"),
        ("image,group\na/0037_G.jpg,x\na/0037_G.jpg,y\n", "line 3: a/0037_G.jpg is in two groups"),
        ("image,group\na/0037_G.jpg,\n", "line 2: image or group is empty"),
    ],
)
def test_faulty_csv_is_named(tmp_path, text, complaint):
    path = tmp_path / "groups.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=complaint):
        groups_from_csv(SOURCES, path)


def test_missing_csv_is_named(tmp_path):
    with pytest.raises(UserError, match=r"relative to dataset\.path"):
        groups_from_csv(SOURCES, tmp_path / "none.csv")


def test_a_file_name_that_two_photos_share_is_not_taken(tmp_path):
    path = tmp_path / "groups.csv"
    path.write_text("image,group\nx.jpg,one\n")
    with pytest.raises(UserError, match="2 of 2"):
        groups_from_csv(["a/x.jpg", "b/x.jpg"], path)
