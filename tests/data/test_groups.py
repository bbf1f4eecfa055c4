import pytest

from pipeline.data.groups import groups_by_pattern, groups_from_csv
from pipeline.io.errors import UserError

SOURCES = ["a/0037_G.jpg", "b/0037_H.jpg", "b/0038_G.jpg"]


def _of_sources(groups):
    return dict(zip(SOURCES, groups, strict=True))


def test_pattern_is_searched_in_the_name_and_then_in_the_path():
    for pattern, expected in ((r"^(\d+)_", ["0037", "0037", "0038"]), (r"^(\w)/", ["a", "b", "b"])):
        assert groups_by_pattern(SOURCES, pattern) == (_of_sources(expected), [])


def test_photos_that_do_not_match_are_named():
    groups, (problem,) = groups_by_pattern(SOURCES, r"^(0037)_")
    assert groups == {"a/0037_G.jpg": "0037", "b/0037_H.jpg": "0037"}
    assert (problem.photo, problem.field) == ("b/0038_G.jpg", "split.group_pattern")


def test_csv_names_photos_by_path_or_by_unique_file_name(tmp_path):
    path = tmp_path / "groups.csv"
    path.write_text("image,group\n./a/0037_G.jpg,x\nb/0037_H.jpg,y\n0038_G.jpg,x\n")
    assert groups_from_csv(SOURCES, path) == (_of_sources(["x", "y", "x"]), [])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a/0037_G.jpg,x\n", "group: got no group for b/0037_H.jpg, expected one group a photo"),
        ("a/0037_G.jpg,x\na/0037_G.jpg,y\n", "group: got groups x (line 2), y (line 3), expected"),
        ("a/0037_G.jpg,\n", "line 2: got image 'a/0037_G.jpg', group '', expected both"),
    ],
)
def test_faulty_lines_are_named(tmp_path, text, complaint):
    path = tmp_path / "groups.csv"
    path.write_text("image,group\n" + text)
    _, problems = groups_from_csv(SOURCES, path)
    assert any(f"{path}: {complaint}" in str(problem) for problem in problems)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"photo,tile\na,b\n", "columns: got .* expected image and group"),
        (b"image,group\n\xff,x\n", "encoding: got .* expected UTF-8"),
        (b"", "columns: got None"),
    ],
)
def test_what_is_no_such_table_is_refused(tmp_path, content, complaint):
    path = tmp_path / "groups.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=complaint):
        groups_from_csv(SOURCES, path)


def test_missing_csv_is_named(tmp_path):
    with pytest.raises(UserError, match=r"relative to dataset\.path"):
        groups_from_csv(SOURCES, tmp_path / "none.csv")


def test_a_file_name_that_two_photos_share_is_not_taken(tmp_path):
    path = tmp_path / "groups.csv"
    path.write_text("image,group\nx.jpg,one\n")
    groups, problems = groups_from_csv(["a/x.jpg", "b/x.jpg"], path)
    assert groups == {}
    assert [problem.photo for problem in problems] == ["a/x.jpg", "b/x.jpg"]
