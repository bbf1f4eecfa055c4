"""Errors a user can mend, and how a stage ends on one: one message, exit code 1, no traceback."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """Bad input or parameters. The message names file and field, got, expected and the remedy."""


def run(main: Callable[[], None]) -> None:
    """Run a stage's `main`; a `UserError` is printed to stderr and ends the process with code 1."""
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
