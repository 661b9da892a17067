"""Atomic writes, archives with a checksum, and readers that bound memory and run nothing a file holds."""

from files.archive import load_archive, load_array, save_archive
from files.atomic import atomic_write
from files.reading import ArchiveError, checksum
from files.torchfiles import load_torch, save_torch

__all__ = [
    "ArchiveError",
    "atomic_write",
    "checksum",
    "load_archive",
    "load_array",
    "load_torch",
    "save_archive",
    "save_torch",
]
