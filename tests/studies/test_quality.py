"""What a study tells of its synthetic sets: read, averaged over folds, in a table and a figure."""

import io
from dataclasses import replace

import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pipeline.io.errors import UserError
from pipeline.reporting.quality import COLUMNS  # of the file as the report writes it
from pipeline.studies.drawing import draw_quality
from pipeline.studies.page import write_page
from pipeline.studies.quality import quality_table, read_quality
from pipeline.studies.study import FigureSettings

AXES = ["masks", "filter"]


def file_with(kid: float, diversity: float):
    """What reads the metrics/generation.csv of a run."""
    rows = [["kid", kid, 0.01, 0.002, 0.001, ""], ["diversity", diversity, None, 0.6, None, ""]]
    text = pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False)
    return lambda _: text.encode()


@pytest.fixture
def readers(cells):
    return [(cell, file_with(0.1 * (place + 1), 0.5)) for place, cell in enumerate(cells)]


def test_a_row_for_each_cell_and_figure(readers):
    quality = read_quality(readers, AXES, ["diversity", "kid"])
    assert quality["name"].tolist() == ["diversity", "kid"] * 4
    assert quality["masks"].tolist() == ["real"] * 4 + ["augmented"] * 4
    kid = quality[quality["name"] == "kid"]
    assert kid["value"].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert kid["deviation"].tolist() == [0.01] * 4
    assert quality.loc[quality["name"] == "diversity", "deviation"].isna().all()


def test_folds_of_a_cell_are_averaged(cells):
    readers = [
        (replace(cells[0], fold=fold), file_with(kid, 0.5)) for fold, kid in enumerate((0.1, 0.4))
    ]
    (row,) = read_quality(readers, AXES, ["kid"]).to_dict("records")
    assert row["value"] == pytest.approx(0.25)
    assert row["reference"] == pytest.approx(0.002)


def test_a_figure_that_is_not_there(readers):
    with pytest.raises(UserError, match=r"no figure kidd in real-none, expected some of kid, div"):
        read_quality(readers, AXES, ["kidd"])


def test_the_table_ends_in_real_photos(readers):
    lines = quality_table(read_quality(readers, AXES, ["kid", "diversity"]), AXES).splitlines()
    assert lines[0] == "| masks | filter | KID | diversity |"
    assert lines[2] == "| real | none | 0.1 ± 0.01 | 0.5 |"
    assert lines[-1] == "| real photos |  | 0.002 | 0.6 |"


def test_the_page_shows_it(readers, study, cells, table):
    names = {cell.name: cell for cell in cells}
    quality = read_quality(readers, AXES, ["kid"])
    page = write_page(study, "masks", ["make"], names, table, quality)
    assert "](masks-quality.png)" in page
    assert "| augmented | best half | 0.4 ± 0.01 |" in page
    assert "masks-quality.png" not in write_page(study, "masks", ["make"], names, table)


def test_a_panel_for_each_figure(readers, monkeypatch):
    saved, savefig = [], Figure.savefig

    def save(figure, *arguments, **options):
        saved.append(figure)
        return savefig(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", save)
    quality = read_quality(readers, AXES, ["kid", "diversity"])
    drawn = draw_quality(quality, AXES, FigureSettings(y="defect_iou", x="filter"))
    assert Image.open(io.BytesIO(drawn)).format == "PNG"
    first, second = saved[0].axes
    assert [first.get_title(), second.get_title()] == ["KID", "diversity"]
    # the masks are told apart, each with its cells over the values of the filter
    heights = [container.lines[0].get_ydata().tolist() for container in first.containers]
    assert heights == [pytest.approx([0.1, 0.2]), pytest.approx([0.3, 0.4])]
    assert second.lines[-1].get_ydata() == pytest.approx([0.6, 0.6])
    legend = [text.get_text() for text in saved[0].legends[0].get_texts()]
    assert legend == ["real photos", "real", "augmented"]


def test_a_figure_that_no_set_has_gets_no_panel(readers, monkeypatch):
    saved = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: saved.append(figure))
    quality = read_quality(readers, AXES, ["kid", "diversity"])
    quality.loc[quality["name"] == "diversity", "value"] = None
    draw_quality(quality, AXES, FigureSettings(y="defect_iou", x="filter"))
    assert [panel.get_title() for panel in saved[0].axes] == ["KID"]
    assert "| – |" in quality_table(quality, AXES)


def test_steps_may_stand_by_their_ratios(readers):
    quality = read_quality(readers, AXES, ["kid"])
    quality["filter"] = ["10", "1000"] * 2
    settings = FigureSettings(y="defect_iou", x="filter", logarithmic=True)
    even = settings.model_copy(update={"logarithmic": False})
    assert draw_quality(quality, AXES, settings) != draw_quality(quality, AXES, even)
