"""The stages. Each begins here, before it imports PyTorch."""

from pipeline.io.imports import shorten

shorten()
