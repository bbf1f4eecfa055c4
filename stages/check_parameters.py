"""Stage check-parameters: the whole of params.yaml, before any other stage runs.

It alone depends on the whole file, so it runs whenever any parameter has changed; the stages that
read the data depend on its out and so wait for it. The out never changes: a parameter of the report
reruns this stage, which takes seconds, and the report, but no training.

A stage that is started by itself (`dvc repro --single-item`, `python -m stages.sample`) does not
come by here; each checks its own sections first, too.
"""

from pathlib import Path

from pipeline.io.atomic import write_json
from pipeline.io.errors import run
from pipeline.io.params import read_params
from pipeline.parameters.together import check_parameters

OUT = Path("data/parameters.json")


def main() -> None:
    """Refuse wrong parameters, all of them at once; else write that they are right."""
    check_parameters(read_params())
    write_json(OUT, {"checked": True})
    print("check-parameters: every parameter of params.yaml is valid")


if __name__ == "__main__":
    run(main)
