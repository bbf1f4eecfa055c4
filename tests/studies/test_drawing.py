"""The figure: it is a small picture, the same twice, and shows what it is told to."""

import io

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pipeline.studies.drawing import draw
from pipeline.studies.results import compare
from pipeline.studies.study import FigureSettings


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    """The figures that were saved."""
    saved, savefig = [], Figure.savefig

    def save(figure, *arguments, **options):
        saved.append(figure)
        return savefig(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", save)
    return saved


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_a_small_picture_and_the_same_twice(table, study):
    first = draw(table, list(study.axes), study.figure)
    assert first == draw(table, list(study.axes), study.figure)
    assert len(first) < 300_000
    image = Image.open(io.BytesIO(first))
    assert image.format == "PNG"
    assert min(image.size) > 400
    assert mpl.rcParams["axes.grid"] == mpl.rcParamsDefault["axes.grid"]


def test_panels_places_and_series(table, study, drawn):
    draw(table, list(study.axes), study.figure)
    panels = drawn[0].axes
    assert [panel.get_title() for panel in panels] == ["FPN", "U-Net++"]
    ticks = [label.get_text() for label in panels[0].get_xticklabels()]
    assert ticks == ["#R 8\n#S 8", "#R 2\n#S 16"]
    assert legend_of(drawn[0]) == [
        "baseline", "real, none", "real, best half", "augmented, none", "augmented, best half"
    ]  # fmt: skip
    lines = [line for line in panels[0].get_lines() if line.get_linestyle() == "--"]
    shown = {tuple(line.get_xdata()): line.get_ydata()[0] for line in lines}
    assert shown == {(-0.45, 0.45): pytest.approx(0.6), (0.55, 1.45): pytest.approx(0.5)}
    both = panels[0].containers[3].lines[0]
    assert both.get_ydata() == pytest.approx([0.63, 0.45])


def test_arms_are_labelled(table, study, drawn):
    arms = table.copy()
    arms.loc[arms["mix"] == "few", ["synthetic", "also"]] = [0, "16 repeated, augmented"]
    draw(arms, list(study.axes), study.figure)
    ticks = [label.get_text() for label in drawn[0].axes[0].get_xticklabels()]
    assert ticks == ["#R 8\n#S 8", "#R 2\n#S 0\n16 repeated,\naugmented"]


def test_a_mix_of_many_sizes_is_told_by_its_name_in_lines(table, study, drawn):
    table.loc[table["mix"] == "both", "mix"] = "real_all-synthetic_equal"
    table.loc[table["masks"] == "real", "real"] += 1
    draw(table, list(study.axes), study.figure)
    ticks = [label.get_text() for label in drawn[0].axes[0].get_xticklabels()]
    assert ticks == ["real all\nsynthetic\nequal", "few"]


def test_a_legend_of_four_has_one_row(runs, drawn):
    several = runs.assign(method=runs["masks"] + runs["filter"]).query("method != 'realnone'")
    table = compare(several.drop(columns=["masks", "filter"]), ["method"], ["miou"])
    draw(table, ["method"], FigureSettings(y="miou"))
    assert len(legend_of(drawn[0])) == 4
    heights = [entry.get_window_extent().y0 for entry in drawn[0].legends[0].texts]
    assert max(heights) - min(heights) < 3  # of letters below the line


@pytest.mark.parametrize("letters", [3, 12, 20])
def test_a_legend_never_leaves_the_figure(runs, drawn, letters):
    several = runs.assign(method=runs["masks"] + runs["filter"]).query("method != 'realnone'")
    several["method"] = several["method"].str.ljust(letters, "m").str[-letters:]
    of_one = several[several["architecture"] == "fpn"]
    table = compare(of_one.drop(columns=["masks", "filter"]), ["method"], ["miou"])
    draw(table, ["method"], FigureSettings(y="miou"))
    (legend,) = drawn[0].legends
    heights = [entry.get_window_extent().y0 for entry in legend.texts]
    assert (max(heights) - min(heights) > 8) == (letters > 3)
    assert legend.get_window_extent().x0 >= 0
    assert legend.get_window_extent().x1 <= drawn[0].bbox.width
    assert legend.get_window_extent().y0 >= 0


def test_differences_stand_above_one_line(table, study, drawn):
    """Cells with baselines of their own: a line each could not be told apart."""
    settings = study.figure.model_copy(update={"difference": True})
    draw(table, list(study.axes), settings)
    panel = drawn[0].axes[0]
    (line,) = [line for line in panel.get_lines() if line.get_linestyle() == "--"]
    assert set(line.get_ydata()) == {0}
    assert panel.containers[3].lines[0].get_ydata() == pytest.approx([0.03, -0.05])
    assert panel.get_ylabel().endswith("above the baseline's")


def test_a_baseline_of_its_own_is_a_line_and_no_mark(table, study, drawn):
    table.loc[table["mix"] == "real_2", "baseline"] = "real_all"
    draw(table, list(study.axes), study.figure)
    ticks = [label.get_text() for label in drawn[0].axes[0].get_xticklabels()]
    assert ticks == ["#R 8\n#S 8", "#R 2\n#S 16"]


def test_numbers_keep_their_distances(runs, drawn):
    """An axis of numbers on the x axis: mixes and the other axis become the series."""
    runs["guidance"] = runs["masks"].map({"real": "5", "augmented": "0.5"})
    table = compare(runs.drop(columns="masks"), ["guidance", "filter"], ["miou"])
    draw(table, ["guidance", "filter"], FigureSettings(y="miou", x="guidance"))
    panel = drawn[0].axes[0]
    assert panel.get_xlabel() == "guidance"
    x, y = panel.containers[0].lines[0].get_data()
    assert x.tolist() == [0.5, 5.0]
    assert np.asarray(y) == pytest.approx([0.805, 0.8])
    assert "none, both" in legend_of(drawn[0])


def test_one_series_needs_no_legend(table, drawn):
    one = table[(table["masks"] == "real") & (table["filter"] == "none")]
    draw(one, ["masks", "filter"], FigureSettings(y="defect_iou"))
    assert drawn[0].legends == []


def test_words_have_room_and_the_photos_are_named(runs, drawn):
    runs["method"] = runs["masks"] + runs["filter"]
    table = compare(runs.drop(columns=["masks", "filter"]), ["method"], ["miou"])
    settings = FigureSettings(y="miou", x="method", photos="photos of elsewhere")
    draw(table, ["method"], settings)
    assert drawn[0].axes[0].get_ylabel() == "mIoU on photos of elsewhere"
    assert drawn[0].get_size_inches()[0] == pytest.approx(2 * max(3.4, 0.9 * 4))
