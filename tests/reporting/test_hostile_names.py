"""Names of photos and classes that are markup are shown as text, in the page and its drawings."""

import json
from pathlib import Path

import pandas as pd

from stages.report import main

HOSTILE = "<img src=x onerror=alert(1)>; rm -rf $HOME $\\frac$"


def test_hostile_names_are_shown_as_text(project):
    for name in ("classes.json", "counts.parquet"):
        for path in Path("data").rglob(name):
            if name == "classes.json":
                path.write_text(path.read_text().replace('"mould"', json.dumps(HOSTILE)))
            else:
                pd.read_parquet(path).replace({"class": {"mould": HOSTILE}}).to_parquet(path)
    path = Path("data/audit/summary.json")
    summary = json.loads(path.read_text())
    path.write_text(json.dumps({**summary, "told": [f"{HOSTILE} is near {HOSTILE}"]}))
    main()
    html = Path("metrics/report/index.html").read_text()
    assert "<img src=x" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
