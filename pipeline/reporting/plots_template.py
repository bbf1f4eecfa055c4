"""Lets the page of `dvc plots` open without network.

DVC's own page loads vega, vega-lite and vega-embed from a CDN. Run as
`python -m pipeline.reporting.plots_template`, this writes a page that holds them (they come with
the PyPI package vl-convert-python) to .dvc/plots.html, and names it in .dvc/config.local.
Both files are outside Git on purpose: DVC fails on a configured template that does not exist, so
a clone in which this was not run keeps DVC's own page.
"""

import subprocess
import sys
from pathlib import Path

import vl_convert

from pipeline.io.atomic import write_text
from pipeline.io.errors import UserError, run

TEMPLATE = Path(".dvc/plots.html")
VEGA_LITE = "5.21"  # DVC's plots are written for version 5
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{refresh_tag}
<title>Lemonade plots</title>
<style>
body { margin: 0; padding: 24px; background: #faf9f3; color: #20231c; font: 16px/1.5 system-ui; }
main { display: flex; flex-wrap: wrap; gap: 24px; align-items: flex-start; }
main > div { background: #fff; border: 1px solid #dedccd; border-radius: 12px; padding: 16px;
  max-width: 100%; overflow-x: auto; }
img { max-width: 100%; height: auto; }
</style>
<script>(() => {
BUNDLE
})();</script>
</head>
<body>
<main>
{plot_divs}
</main>
</body>
</html>
"""


def page() -> str:
    """DVC's placeholders in a page of ours, with the vega scripts written into it."""
    return PAGE.replace("BUNDLE", vl_convert.javascript_bundle(vl_version=VEGA_LITE))


def main() -> None:
    """Write the page and tell DVC about it."""
    if not TEMPLATE.parent.is_dir():
        raise UserError(f"{TEMPLATE.parent}: not found; run from the repository's root")
    write_text(TEMPLATE, page())
    option = ["config", "--local", "plots.html_template", TEMPLATE.name]
    subprocess.run([sys.executable, "-m", "dvc", "--quiet", *option], check=True)


if __name__ == "__main__":
    run(main)
