"""Stage `download-lemons`: fetch and unpack the Lemons Quality Control Dataset."""

from pathlib import Path

from pipeline.data.archive import UnpackSettings, unpack_coco
from pipeline.data.download import DownloadSettings, fetch_archive
from pipeline.io.atomic import output_folder, write_json
from pipeline.io.errors import run
from pipeline.io.images import sha256_of
from pipeline.io.params import read_params, section
from pipeline.io.store import open_store

FOLDER = Path("data/lemons")


class LemonsSettings(DownloadSettings):
    """The block `lemons` of data/lemons/params.yaml."""

    unpack: UnpackSettings


def main() -> None:
    """Write data/lemons/images, data/lemons/annotations and data/lemons/archive.json."""
    settings = section(LemonsSettings, "lemons", read_params(FOLDER / "params.yaml"))
    # The archive stays in the store: pinning its hash afterwards needs no second download.
    with open_store("download-lemons", {"url": settings.url}) as store:
        archive = fetch_archive(settings, store.path)
        images, annotations = FOLDER / "images", FOLDER / "annotations"
        with output_folder(images) as photos, output_folder(annotations) as labels:
            count = unpack_coco(archive, photos, labels, settings.unpack)
        record = {
            "url": settings.url,
            "size_bytes": archive.stat().st_size,
            "sha256": sha256_of(archive),
            "photos": count,
        }
    write_json(FOLDER / "archive.json", record)
    print(f"{count} photos; archive of {record['size_bytes']} bytes, sha256 {record['sha256']}")
    if settings.sha256 is None:
        print("to pin it, set lemons.size_bytes and lemons.sha256 in data/lemons/params.yaml")


if __name__ == "__main__":
    run(main)
