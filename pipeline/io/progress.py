"""Progress of long work: a bar on a terminal, one line a minute otherwise."""

import contextlib
import sys
import time
from collections.abc import Iterator

from tqdm import tqdm

LINE_EVERY_S = 60.0


class Progress:
    """Counts finished items; prints rate and time left."""

    def __init__(self, total: int, what: str, initial: int = 0) -> None:
        self._bar = tqdm(total=total, desc=what, initial=initial, disable=not sys.stderr.isatty())
        self._total, self._what = total, what
        self._initial = self._done = initial
        self._start = self._printed = time.monotonic()
        self._figures = ""

    def update(self, items: int = 1) -> None:
        """Count `items` more as done."""
        self._done += items
        self._bar.update(items)
        now = time.monotonic()
        if self._bar.disable and now - self._printed >= LINE_EVERY_S:
            self._printed = now
            self._print_line(now - self._start)

    def note(self, **figures: float) -> None:
        """Show figures such as the loss beside the progress."""
        self._figures = " ".join(f"{name} {figure:.4g}" for name, figure in figures.items())
        self._bar.set_postfix_str(self._figures, refresh=False)

    def close(self) -> None:
        """End the bar, or print the last line."""
        self._bar.close()
        if self._bar.disable and self._done > self._initial:
            self._print_line(time.monotonic() - self._start)

    def _print_line(self, elapsed_s: float) -> None:
        rate = (self._done - self._initial) / max(elapsed_s, 1e-9)
        left_s = (self._total - self._done) / max(rate, 1e-9)
        print(
            f"{self._what}: {self._done}/{self._total}, {rate:.3g}/s, {left_s:.0f} s left "
            f"{self._figures}".rstrip(),
            flush=True,
        )


@contextlib.contextmanager
def progress(total: int, what: str, initial: int = 0) -> Iterator[Progress]:
    """`with progress(500, "training") as bar: … bar.update(1)`."""
    bar = Progress(total, what, initial)
    try:
        yield bar
    finally:
        bar.close()
