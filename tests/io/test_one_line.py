from pipeline.io.one_line import LONGEST, one_line


def test_what_can_be_seen_stays():
    for text in ("images/zweite Ernte/ä.png", "<b> $(x) 'y' \"z\"", "x" * LONGEST, ""):
        assert one_line(text) == text


def test_what_cannot_be_seen_is_escaped():
    assert one_line("a\nerror: b\x1b[2J\0\u202e\udcff") == r"a\nerror: b\x1b[2J\x00\u202e\udcff"


def test_a_long_text_loses_its_middle():
    told = one_line("begin" + "x" * 10**6 + "end")
    assert told.startswith("beginx") and told.endswith("xend") and " … " in told
    assert len(told) == LONGEST + 3
