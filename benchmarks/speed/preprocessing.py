"""`python -m benchmarks.speed.preprocessing`: JPEG photos to a prepared set, against a plain loop.

The demo's lemons are rendered at 1056 px, the size of the Lemons Quality Control Dataset. Both
sides read the COCO file, decode every photo, rasterise its polygons, make photo and mask small and
write both as PNG; the plain loop is Pillow and pycocotools as they are used in tutorials. Each
round writes to a new folder, as DVC removes an out before its stage runs. With `--copies` photos
and regions are repeated under the names of other fruits: 17 times 160 are as many photos as that
data set has, of which rendering each would take two hours.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools.coco import COCO

from benchmarks.speed.measuring import Contender, processor_s, summarise, time_in_turn, write_table
from pipeline.data.demo_set import ANNOTATIONS_FILE, CATEGORIES, render_demo
from pipeline.data.fitting import ImageSettings
from pipeline.data.lemon_renderer import DemoSettings
from pipeline.data.prepared_set import Choice, write_prepared_set
from pipeline.data.readers import DatasetSettings, read_dataset
from pipeline.data.splits import SplitSettings
from pipeline.data.subsets import SubsetSettings
from pipeline.io.atomic import output_folder, write_json
from pipeline.io.errors import run
from pipeline.io.params import PARAMS_FILE, read_params, section, value


def main() -> None:
    """Command line: parameters, how many fruits, rounds, where to write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    parser.add_argument("--fruits", type=int, default=40, help="with four photos each")
    parser.add_argument("--size", type=int, default=1056)
    parser.add_argument("--data", type=Path, help="rendered set; is rendered there if it is not")
    parser.add_argument("--copies", type=int, default=1, help="how often each photo is there")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="folder for CSV and page")
    arguments = parser.parse_args()
    params = read_params(arguments.params)
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data or Path(folder, "data")
        if not (data / "annotations").exists():
            settings = DemoSettings(
                seed=0, fruits=arguments.fruits, views=4, size_px=arguments.size, jpeg_quality=90
            )
            render_demo(data, settings)
        if arguments.copies > 1:
            data = _repeat(data, Path(folder, "copies"), arguments.copies)
        choice = _choice(params, data)
        image = choice.image

        def new_folder() -> Path:
            return Path(tempfile.mkdtemp(dir=folder), "out")

        def plain() -> None:
            _plain(data, new_folder(), (image.width, image.height))

        total = _ours(choice, new_folder())
        contenders = [
            Contender("Lemonade", lambda: _ours(choice, new_folder()), total),
            Contender("plain Pillow loop", plain, len(list((data / "images").iterdir()))),
        ]
        table = summarise(contenders, time_in_turn(contenders, arguments.rounds), "photos")
        table["processor ms a photo"] = [
            1000 * processor_s(contender.work) / contender.amount for contender in contenders
        ]
    notes = (
        f"{total} photos of {arguments.size}×{arguments.size} px to pairs of "
        f"{image.width}×{image.height} px; the first row also splits, hashes and outlines. The "
        "ratio tells how many times as fast it is; rounds in turn, median and extremes."
    )
    write_table(arguments.out, "preprocessing", table, notes)


def _repeat(data: Path, target: Path, copies: int) -> Path:
    """The set `data` with each photo `copies` times, each time as one of another fruit."""
    coco = json.loads((data / "annotations" / ANNOTATIONS_FILE).read_bytes())
    (target / "images").mkdir(parents=True)
    images, annotations = [], []
    for copy in range(copies):
        ids = {}
        for image in coco["images"]:
            fruit, _, rest = Path(image["file_name"]).name.partition("_")
            name = f"images/{copy:03}{fruit}_{rest}"
            shutil.copyfile(data / image["file_name"], target / name)
            ids[image["id"]] = len(images) + 1
            images.append(image | {"id": len(images) + 1, "file_name": name})
        for region in coco["annotations"]:
            number = len(annotations) + 1
            annotations.append(region | {"id": number, "image_id": ids[region["image_id"]]})
    repeated = coco | {"images": images, "annotations": annotations}
    write_json(target / "annotations" / ANNOTATIONS_FILE, repeated)
    return target


def _choice(params: dict, data: Path) -> Choice:
    """The parameters', with all photos and all regions, as the plain loop takes them."""
    dataset = section(DatasetSettings, "dataset", params).model_copy(update={"path": str(data)})
    subset = SubsetSettings(
        classes={"defect": list(CATEGORIES)}, others="exclude", defect_free="include"
    )
    return Choice(
        dataset,
        "all",
        subset,
        section(ImageSettings, "image", params),
        section(SplitSettings, "split", params),
        value("seed", params),
    )


def _ours(choice: Choice, out: Path) -> int:
    """What the stage does; returns how many photos it wrote."""
    with output_folder(out) as folder:
        write_prepared_set(read_dataset(choice.dataset), choice, folder)
    return len(list((out / "images").iterdir()))


def _plain(data: Path, out: Path, size: tuple[int, int]) -> None:
    for name in ("images", "masks"):
        (out / name).mkdir(parents=True, exist_ok=True)
    coco = COCO(data / "annotations" / ANNOTATIONS_FILE)
    for entry in coco.loadImgs(coco.getImgIds()):
        photo = Image.open(data / "images" / Path(entry["file_name"]).name).convert("RGB")
        mask = np.zeros((entry["height"], entry["width"]), np.uint8)
        for annotation in coco.loadAnns(coco.getAnnIds(entry["id"])):
            mask[coco.annToMask(annotation) > 0] = 1
        stem = Path(entry["file_name"]).stem
        photo.resize(size).save(out / "images" / f"{stem}.png")
        small = Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)
        small.save(out / "masks" / f"{stem}.png")


if __name__ == "__main__":
    run(main)
