"""The trials' results as Markdown."""

import pandas as pd

from benchmarks.mask_codecs import as_markdown


def single_table(table: pd.DataFrame) -> str:
    """Result of `trials.single_trials`: false alarms, then what each better arm gave."""
    first = table["arm"].iloc[0]
    rows = []
    for (seeds, groups, method), of_row in table.groupby(["seeds", "groups", "method"], sort=False):
        row = {"seeds": seeds, "groups": groups, "interval": method}
        for arm in of_row.to_dict("records"):
            if arm["arm"] == first:
                row["told apart"] = _with_interval(arm, "told")
                row["width"] = arm["width"]
            else:
                name = f"{arm['arm']} ({arm['difference']:+.3f})"
                row[f"{name}: holds it"] = _percent(arm["held"])
                row[f"{name}: told"] = _percent(arm["told"])
        rows.append(row)
    return as_markdown(pd.DataFrame(rows))


def family_table(table: pd.DataFrame) -> str:
    """Result of `trials.family_trials`."""
    rows = [
        {
            "seeds": row["seeds"],
            "groups": row["groups"],
            "correction": row["correction"],
            "any twin told apart": _with_interval(row, "told"),
            "better arm found": _with_interval(row, "found"),
        }
        for row in table.to_dict("records")
    ]
    return as_markdown(pd.DataFrame(rows))


def _with_interval(row: dict, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{_percent(row[name])} ({100 * low:.1f} to {100 * high:.1f})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
