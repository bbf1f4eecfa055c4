"""The stages. Each begins here, before it imports PyTorch."""

import sys

from pipeline.io import lifetime
from pipeline.io.errors import stop_imports
from pipeline.io.imports import shorten

if sys.argv[0] == "-m":  # Python looks for the stage that it will run; else a program imports one
    stop_imports()
    lifetime.begin()
shorten()
