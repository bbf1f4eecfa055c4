"""Stage trace-code: for every stage, which source files it uses and their hashes.

It runs whenever a source file has changed and takes a second; then DVC runs the stages again whose
own file in data/code has changed, and no others. A stage that is started by itself (`dvc repro
--single-item`) takes the code as it was traced last.
"""

from pathlib import Path

from pipeline.io.atomic import output_folder, write_json
from pipeline.io.errors import run
from pipeline.io.source_files import traced

OUT = Path("data/code")


def main() -> None:
    """Write data/code/<script>.json for each script of a stage."""
    found = traced(Path.cwd())
    with output_folder(OUT) as folder:
        for script, files in found.items():
            write_json(folder / f"{script}.json", files)
    print(f"trace-code: {len(found)} stages, {len(set().union(*found.values()))} source files")


if __name__ == "__main__":
    run(main)
