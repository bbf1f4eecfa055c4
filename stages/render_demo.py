"""Stage `render-demo`: render the demo data set from data/demo/params.yaml."""

from pathlib import Path

from pipeline.data.demo_set import render_demo
from pipeline.data.lemon_renderer import DemoSettings
from pipeline.io.errors import run
from pipeline.io.params import read_params, section

FOLDER = Path("data/demo")


def main() -> None:
    """Write data/demo/images and data/demo/annotations."""
    settings = section(DemoSettings, "demo", read_params(FOLDER / "params.yaml"))
    counts = render_demo(FOLDER, settings)
    shown = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    print(f"{settings.fruits * settings.views} photos of {settings.fruits} fruits: {shown}")


if __name__ == "__main__":
    run(main)
