import math
from pathlib import Path

import pytest
import vl_convert
from dvc_render.html import render_html
from dvc_render.vega import VegaRenderer

from pipeline.io.errors import UserError
from pipeline.reporting import plots_template


def test_dvc_fills_the_page_and_loads_nothing_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    plots_template.main()
    config = (tmp_path / ".dvc/config.local").read_text()
    assert "html_template = plots.html" in config

    points = [{"step": 1, "loss": 2.0, "rev": "workspace"}]
    renderer = VegaRenderer(points, "curve", x="step", y="loss")
    render_html([renderer], tmp_path / "index.html", tmp_path / ".dvc/plots.html")
    html = (tmp_path / "index.html").read_text()
    assert "vegaEmbed('#curve', spec)" in html
    assert "window.vegaEmbed=" in html
    assert "<script src" not in html
    assert "{plot_divs}" not in html
    assert html.count("</script>") == 2  # the bundle's own text does not end its element


def test_outside_a_repository_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="repository's root"):
        plots_template.main()


ROOT = Path(__file__).resolve().parents[2]
ROWS = {
    "intervals": [
        {"figure": "defect_iou", "architecture": "fpn", "mix": "both", "difference": 0.1,
         "low": 0.05, "high": 0.15, "verdict": "better", "rev": "workspace"},
        {"figure": "defect_iou", "architecture": "fpn", "mix": "drawn", "difference": -0.1,
         "low": math.nan, "high": math.nan, "verdict": "cannot be told", "rev": "workspace"},
        {"figure": "miou", "architecture": "fpn", "mix": "left_out", "difference": 0.1,
         "low": 0.0, "high": 0.2, "verdict": "better", "rev": "workspace"},
    ],
    "beside_real": [
        {"name": "kid", "value": 0.14, "reference": 0.01, "rev": "workspace"},
        {"name": "fid", "value": 76.0, "reference": math.nan, "rev": "workspace"},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("template", "x", "y", "shown", "hidden"),
    [
        ("intervals", "difference", "mix", ["fpn, both", "fpn, drawn"], ["left_out"]),
        ("beside_real", "value", "name", ["kid", "fid"], []),
    ],
)
def test_our_templates_draw_what_the_tables_hold(template, x, y, shown, hidden):
    renderer = VegaRenderer(
        ROWS[template], "plot", x=x, y=y, template=template, template_dir=ROOT / ".dvc/plots"
    )
    filled = renderer.get_filled_template()
    svg = vl_convert.vegalite_to_svg(filled, vl_version=plots_template.VEGA_LITE)
    assert all(name in svg for name in shown)
    assert not any(name in svg for name in hidden)
