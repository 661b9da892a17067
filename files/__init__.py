"""Files written whole and read with suspicion: atomic writes, digests, archives without pickle."""

from files.archive import ArchiveError, load_archive, load_array, save_archive
from files.atomic import atomic_write

__all__ = ["ArchiveError", "atomic_write", "load_archive", "load_array", "save_archive"]
