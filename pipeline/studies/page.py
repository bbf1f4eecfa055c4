"""A study's page: the verdict in words, the figure, tables in the thesis's form, what made it."""

import io
import shlex
from collections.abc import Mapping
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from pipeline.studies.naming import architecture_name, counted, figure_name, size_of
from pipeline.studies.quality import quality_table
from pipeline.studies.results import is_baseline
from pipeline.studies.study import Cell, StudySettings
from pipeline.studies.verdict import verdict


def write_page(
    study: StudySettings,
    name: str,
    command: list[str],
    cells: Mapping[str, Cell],
    table: pd.DataFrame,
    quality: pd.DataFrame | None = None,
) -> str:
    """The page as Markdown.

    Args:
        study: what was studied.
        name: of the study: the figure's and the CSV file's.
        command: what repeats it.
        cells: experiment name to cell.
        table: the result of `results.compare`.
        quality: the result of `quality.read_quality`, if the study asks for it.
    """
    axes = {axis: list(values) for axis, values in study.axes.items()}
    over_groups = study.collect[study.figure.y].sums is not None
    parts = [
        f"# {study.title}",
        study.question.strip() + (f" After {study.repeats.strip()}." if study.repeats else ""),
        "## Verdict",
        verdict(table, axes, study.figure.y, study.folds, over_groups, study.figure.difference),
        f"![{figure_name(study.figure.y)}]({name}.png)",
    ]
    parts += TABLES[study.columns](study, table)
    if quality is not None:
        parts += _describe_quality(quality, list(axes), name)
    parts += [
        f"Spreads and differences in full are in [{name}.csv]({name}.csv).",
        "## How it was made",
        f"```console\n$ {shlex.join(command)}\n```",
        "Each row is an experiment of DVC; `dvc exp apply <name>` brings back all its results.",
        _cells_table(cells),
    ]
    if study.common:
        parts += ["In all of them:", f"```yaml\n{_yaml(study.common)}```"]
    params = next(iter(cells.values())).params
    parts.append(
        f"<details><summary>All parameters of the first</summary>\n\n```yaml\n{_yaml(params)}```"
        "\n\n</details>"
    )
    return "\n\n".join(parts) + "\n"


def _by_architecture(study: StudySettings, table: pd.DataFrame) -> list[str]:
    """A table a figure."""
    others = [figure for figure in study.collect if figure != study.figure.y]
    parts = []
    for figure in [study.figure.y, *others]:
        shown = results_table(table, list(study.axes), figure)
        parts += [f"## {_capital(figure_name(figure))}", shown]
    return [
        *parts,
        "#Filtered: pairs that the filter kept; #R, #S: real and synthetic pairs trained on; "
        f"{_over(study, table)}; Diff.: of the mean, relative to {_whose(table)}. Bold: above it; "
        "bold italics: the highest of the column.",
    ]


def _whose(table: pd.DataFrame) -> str:
    """The baseline in words: some mixes may have one of their own."""
    whole = set(table.loc[is_baseline(table), "mix"])
    own = table[~table["baseline"].isin(whole)]
    if own.empty:
        return "the baseline"
    others = table[table["mix"].isin(own["baseline"])].to_dict("records")
    named = " or ".join(dict.fromkeys(map(size_of, others)))
    return f"the baseline, or to {named} for what was added to those"


def _by_figure(study: StudySettings, table: pd.DataFrame) -> list[str]:
    """A table an architecture."""
    parts, spread = [], " ± their standard deviation" if table["seeds"].max() > 1 else ""
    for architecture, rows in table.groupby("architecture", sort=False):
        shown = figures_table(rows, list(study.axes), list(study.collect))
        parts += [f"## {architecture_name(str(architecture))}", shown]
    return [
        *parts,
        "#R, #S: real and synthetic pairs trained on; "
        f"{_over(study, table)}{spread}. Bold: the highest of the column, baselines left out.",
    ]


def _describe_quality(quality: pd.DataFrame, axes: list[str], name: str) -> list[str]:
    return [
        "## The synthetic sets",
        f"![the synthetic sets beside real photos]({name}-quality.png)",
        quality_table(quality, axes),
        "± one deviation, where there is one: that of KID is over random subsets, so that it "
        "tells nothing of other trainings.",
    ]


TABLES = {"architectures": _by_architecture, "figures": _by_figure}


def figures_table(table: pd.DataFrame, axes: list[str], figures: list[str]) -> str:
    """All figures of one architecture, in the form of the SynthSet paper's tables, as Markdown.

    Baselines come first, without the values of the axes that did not matter to them.
    """
    also = ["also"] if table["also"].any() else []  # a column for arms where there are any
    head = [*axes, "#R", "#S", *also, *map(figure_name, figures)]
    right = ["--:"] * (2 + len(figures))
    lines = [head, ["---"] * len(axes) + right[:2] + ["---"] * len(also) + right[2:]]
    arms = table[~is_baseline(table)]
    highest = {figure: arms[figure].max() for figure in figures}
    for labels, rows in _rows(table, axes, figures[0]):
        (row,) = rows.to_dict("records")
        is_arm = row["mix"] != row["baseline"]
        cells = []
        for figure in figures:
            text = "–" if pd.isna(row[figure]) else f"{row[figure]:.3f}"
            if is_arm and row[figure] == highest[figure]:
                text = f"**{text}**"
            spread = row[f"{figure}_sd"]
            cells.append(text if pd.isna(spread) else f"{text} ± {spread:.3f}")
        size = [str(row["real"]), str(row["synthetic"]), *(row[name] or "–" for name in also)]
        lines.append([*labels, *size, *cells])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def results_table(table: pd.DataFrame, axes: list[str], figure: str) -> str:
    """One figure in the form of the thesis's tables 7.1 and 7.2, as Markdown.

    Baselines come first. A mix without synthetic pairs has one row for all cells that it gave the
    same in, without the values of the axes that did not matter to it.
    """
    architectures = list(dict.fromkeys(table["architecture"]))
    named = [(name, "Diff. [%]") for name in map(architecture_name, architectures)]
    also = ["also"] if table["also"].any() else []  # a column for arms where there are any
    head = ["ID", *axes, "#Filtered", "#R", "#S", *also]
    head += [title for pair in named for title in pair]
    right = ["--:"] * (3 + 2 * len(architectures))
    lines = [head, ["---"] * (1 + len(axes)) + right[:3] + ["---"] * len(also) + right[3:]]
    highest = table.groupby("architecture")[figure].max()
    total_arms = 0
    for labels, rows in _rows(table, axes, figure):
        first = rows.iloc[0]
        by_architecture = rows.set_index("architecture")
        arm = not is_baseline(rows).any()
        total_arms += arm
        kept = "none" if pd.isna(first["kept"]) else f"{first['kept']:.0f}"
        line = [str(total_arms) if arm else "Baseline", *labels]
        line += [kept if first["synthetic"] else "–", str(first["real"]), str(first["synthetic"])]
        line += [first[name] or "–" for name in also]
        for name in architectures:
            if name in by_architecture.index:
                line += _marked(by_architecture.loc[name], figure, highest[name])
            else:
                line += ["", ""]
        lines.append(line)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _rows(
    table: pd.DataFrame, axes: list[str], figure: str
) -> list[tuple[list[str], pd.DataFrame]]:
    """The table's rows as labels and one row an architecture."""
    rows = []
    for _, of_mix in table.groupby("mix", sort=False):
        without = of_mix["synthetic"].eq(0).all()
        matter = _that_matter(of_mix, axes, figure) if without else axes
        for _, of_row in of_mix.groupby([*matter, "mix"], sort=False):
            first = of_row.iloc[0]
            labels = [str(first[axis]) if axis in matter else "–" for axis in axes]
            rows.append((of_row.index[0], labels, of_row.drop_duplicates("architecture")))
    in_order = [(labels, of_row) for _, labels, of_row in sorted(rows, key=lambda row: row[0])]
    return sorted(in_order, key=lambda row: not is_baseline(row[1]).any())  # stable


def _that_matter(of_mix: pd.DataFrame, axes: list[str], figure: str) -> list[str]:
    """The axes that a mix's figure differs along; without synthetic pairs, most do not matter."""
    matter = list(axes)
    for axis in reversed(axes):
        others = [name for name in matter if name != axis]
        groups = of_mix.groupby([*others, "architecture"])[figure]
        if groups.nunique(dropna=False).max() == 1:
            matter = others
    return matter


def _marked(row: pd.Series, figure: str, highest: float) -> list[str]:
    percent = row[f"{figure}_difference_percent"]
    text = f"{row[figure]:.3f}"
    if row[figure] == highest:
        text = f"***{text}***"
    elif round(percent, 1) > 0:
        text = f"**{text}**"
    return [text, "–" if pd.isna(percent) else f"{percent:+.1f}"]


def _cells_table(cells: Mapping[str, Cell]) -> str:
    lines = ["| experiment | parameters |", "|---|---|"]
    for name, cell in cells.items():
        changes = "<br>".join(f"`{path}: {_flow(new)}`" for path, new in cell.changes.items())
        lines.append(f"| `{name}` | {changes} |")
    return "\n".join(lines)


def _flow(new: Any) -> str:
    """A value in one line of YAML."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.width = True, 10_000
    yaml.sort_base_mapping_type_on_output = False
    buffer = io.StringIO()
    yaml.dump({"": new}, buffer)
    return buffer.getvalue().strip().removeprefix("{'': ").removesuffix("}")


def _yaml(content: Mapping[str, Any]) -> str:
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    buffer = io.StringIO()
    yaml.dump(dict(content), buffer)
    return buffer.getvalue()


def _over(study: StudySettings, table: pd.DataFrame) -> str:
    """What the figures are means over."""
    folds = "" if study.folds is None else f", the test photos of {study.folds} folds together"
    return f"means over {counted(_range(table['seeds']), 'seeds')}{folds}"


def _range(numbers: pd.Series) -> str:
    low, high = numbers.min(), numbers.max()
    return str(low) if low == high else f"{low} to {high}"


def _capital(text: str) -> str:
    """The first letter large, unless the word has large ones already (`mIoU`)."""
    return text if text.split()[0] != text.split()[0].lower() else text[0].upper() + text[1:]
