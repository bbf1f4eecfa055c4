"""`python -m pipeline.studies.run NAME`: run a study's cells and write docs/results/NAME.

Cells that are finished are never run twice, so an interrupted study goes on with the same command.
Changed files that Git knows are part of the experiments; nothing needs to be committed.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.io.atomic import output_folder, write_bytes, write_text
from pipeline.io.errors import UserError, run
from pipeline.io.params import read_params
from pipeline.io.presets import compose
from pipeline.studies.checking import check_cells, told_of
from pipeline.studies.drawing import draw, draw_quality
from pipeline.studies.experiments import Experiments
from pipeline.studies.overrides import set_param_arguments
from pipeline.studies.page import write_page
from pipeline.studies.quality import read_quality
from pipeline.studies.results import compare, pool_folds, read_cell
from pipeline.studies.study import STUDIES_FOLDER, Cell, StudySettings, read_study, span_cells
from pipeline.studies.tested import read_tested

RESULTS = Path("docs/results")
LOG_LINES_SHOWN = 15


def main() -> None:
    """Command line: the study, and a preset in place of params.yaml."""
    parser = argparse.ArgumentParser(description="run a study and write its page")
    parser.add_argument("name", help="of a file in studies/")
    parser.add_argument("--preset", help="its parameters in place of those of params.yaml")
    parser.add_argument("--folds", type=int, help="run each cell on so many group folds")
    parser.add_argument("--dry-run", action="store_true", help="list the cells and run none")
    arguments = parser.parse_args()
    study, current = read_study(arguments.name), read_params()
    params = current if arguments.preset is None else _read_preset(arguments.preset)
    if arguments.preset is not None:
        study = study.with_preset(arguments.preset)
    if arguments.folds is not None:
        study = study.over_folds(arguments.folds)
    experiments = Experiments(Path.cwd())
    cells = span_checked(arguments.name, study, params, experiments)
    if arguments.dry_run:
        _list(cells, experiments)
        return
    run_cells(cells, experiments, current)
    name, command = arguments.name, ["make", "study", f"NAME={arguments.name}"]
    if arguments.preset is not None:
        name, command = f"{name}-{arguments.preset}", [*command, f"PRESET={arguments.preset}"]
    if arguments.folds is not None:
        name, command = f"{name}-{arguments.folds}-folds", [*command, f"FOLDS={arguments.folds}"]
    write_results(study, name, command, cells, experiments)


def span_checked(
    name: str, study: StudySettings, params: dict[str, Any], experiments: Experiments
) -> dict[str, Cell]:
    """The cells by the name of their experiment; those that are not finished can be run.

    Raises:
        UserError: parameters are wrong, as far as that can be known beforehand.
    """
    path = STUDIES_FOLDER / f"{name}.yaml"
    with told_of(path):
        spanned = span_cells(study, params)
    cells = {experiments.name(name, cell.name, cell.params): cell for cell in spanned}
    finished = experiments.finished()
    if due := [cell for experiment, cell in cells.items() if experiment not in finished]:
        # imported here: takes seconds, in which a study that is missing has been told
        from pipeline.parameters.together import check_parameters

        with told_of(path):
            check_cells(study, due, check_parameters)
    return cells


def run_cells(cells: dict[str, Cell], experiments: Experiments, current: dict[str, Any]) -> None:
    """Run the cells that are not finished, all of them whatever becomes of one.

    Args:
        cells: experiment name to cell.
        experiments: where they run.
        current: the parameters of params.yaml, which the cells' are written as changes of.

    Raises:
        UserError: cells failed, each named with the end of its log; or the program or
            params.yaml was changed meanwhile.
    """
    untracked = experiments.untracked()
    if untracked:
        print(f"not in the experiments, as not under Git (git add): {', '.join(untracked)}")
    failed = []
    for number, (name, cell) in enumerate(cells.items(), start=1):
        place = f"[{number}/{len(cells)}] {name}"
        if name in experiments.finished():
            print(f"{place}: finished before", flush=True)
            continue
        if read_params() != current or experiments.digest(cell.params) != name.split("-")[-1]:
            raise UserError(
                "the program or params.yaml was changed since the study began; run it again, so "
                "that all cells are of one kind"
            )
        print(f"{place}: log in {experiments.log(name)}", flush=True)
        started = time.monotonic()
        succeeded = experiments.run(
            name,
            set_param_arguments(current, cell.params),
            lambda line: print(f"    {line}", flush=True),
        )
        elapsed_s = time.monotonic() - started
        print(f"    {elapsed_s:5.0f} s  {'finished' if succeeded else 'FAILED'}", flush=True)
        failed += [] if succeeded else [name]
    if failed:
        raise UserError(_describe_failures(failed, len(cells), experiments))


def write_results(
    study: StudySettings,
    name: str,
    command: list[str],
    cells: dict[str, Cell],
    experiments: Experiments,
) -> None:
    """Write docs/results/<name>: one page, one CSV and figure; a second pair with `quality`."""
    figures, axes = list(study.collect), list(study.axes)
    readers = [(cell, experiments.files(experiment)) for experiment, cell in cells.items()]
    runs = [read_cell(read, cell, study.collect) for cell, read in readers]
    rows, tested = pd.concat(runs, ignore_index=True), read_tested(readers, axes, study.collect)
    rows = pool_folds(rows, axes, figures, tested) if study.folds else rows
    table = compare(rows, axes, figures, tested)
    with output_folder(RESULTS / name) as folder:
        write_text(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.6g"))
        write_bytes(folder / f"{name}.png", draw(table, axes, study.figure))
        quality = None
        if study.quality:
            quality = read_quality(readers, axes, study.quality)
            told = quality.to_csv(index=False, float_format="%.6g")
            write_text(folder / f"{name}-quality.csv", told)
            drawing = draw_quality(quality, axes, study.figure)
            write_bytes(folder / f"{name}-quality.png", drawing)
        write_text(folder / "README.md", write_page(study, name, command, cells, table, quality))
    print(f"results: {RESULTS / name / 'README.md'}")


def _read_preset(name: str) -> dict[str, Any]:
    params = json.loads(json.dumps(compose(name)))  # in plain types
    path = str(params["dataset"]["path"])
    if path.startswith("<"):
        raise UserError(
            f"--preset: got {name}, which needs the folder of its photos ({path}); run `make "
            f"preset NAME={name} DATA=<folder>` and the study without a preset"
        )
    return params


def _list(cells: dict[str, Cell], experiments: Experiments) -> None:
    finished = experiments.finished()
    for name, cell in cells.items():
        print(f"{name}: {'finished' if name in finished else 'to be run'}")
        for path, new in cell.changes.items():
            print(f"    {path}: {json.dumps(new)}")


def _describe_failures(failed: list[str], total: int, experiments: Experiments) -> str:
    lines = [f"{len(failed)} of {total} cells failed; mend the cause, then run the study again"]
    for name in failed:
        log = experiments.log(name)
        end = log.read_text(encoding="utf-8").splitlines()[-LOG_LINES_SHOWN:]
        lines += [f"{name} ({log}):", *(f"    {line}" for line in end)]
    return "\n       ".join(lines)


if __name__ == "__main__":
    run(main)
