"""Being asked to stop (Ctrl-C, kill, a scheduler's time limit) without losing the step at hand."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType, TracebackType

from pipeline.io.errors import STOP_SIGNALS, StoppedError, give_back, take_over


class Interruption:
    """Context within which the first stop signal is only noted; a second one acts as usual."""

    def __init__(self) -> None:
        self.signal: int | None = None  # the one that came
        self._before: dict[int, object] = {}
        self._raises = False

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Context within which a stop signal raises StoppedError, also one that came before."""
        self._raises = True
        try:
            if self.signal is not None:
                raise StoppedError(self.signal)
            yield
        finally:
            self._raises = False

    @property
    def asked(self) -> bool:
        """Whether to stop."""
        return self.signal is not None

    @property
    def signal_or_term(self) -> int:
        """The signal that came; SIGTERM where another process was sent it."""
        return signal.SIGTERM if self.signal is None else self.signal

    def __enter__(self) -> "Interruption":
        self._before = take_over(STOP_SIGNALS, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._give_back()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        self._give_back()
        if self._raises:
            raise StoppedError(number)

    def _give_back(self) -> None:
        give_back(self._before)
        self._before = {}
