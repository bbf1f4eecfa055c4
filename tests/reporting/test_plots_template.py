import pytest
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
