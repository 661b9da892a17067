"""Files that may be damaged or hostile: what every reader of them checks and how they fail."""

import contextlib
import hashlib
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from files.inputs import first_line

# What compressed entries may unfold to: anything up to ALWAYS_ALLOWED bytes, beyond it LARGEST_RATIO times their file.
# A black signal compresses 1000 times, and so does a bomb.
ALWAYS_ALLOWED = 1 << 28
LARGEST_RATIO = 100


class ArchiveError(ValueError):
    """The file is damaged or of another kind; the message says which and what to do."""


@contextlib.contextmanager
def reading(path: str | Path, kind: str) -> Iterator[IO[bytes]]:
    """Open the file `path` for readers of `kind` ("an .npz file"); whatever they raise becomes an ArchiveError.

    Errors in one sentence: an ArchiveError raised inside gets the path before it. Raises FileNotFoundError or OSError
    where the file itself cannot be opened.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; check the path")
    with path.open("rb") as stream, warnings.catch_warnings():
        # Python and NumPy warn about odd headers on the terminal.
        warnings.simplefilter("ignore")
        try:
            yield stream
        except ArchiveError as error:
            raise type(error)(f"{path} {error}") from None
        except Exception as error:
            # The stock readers raise nearly anything on damaged bytes; of a missing key the key alone says nothing.
            reason = type(error).__name__ if isinstance(error, LookupError) else first_line(error)[:200]
            raise ArchiveError(f"{path} is damaged or not {kind} ({reason}); make it again") from None


def check_zip(archive: zipfile.ZipFile, size: int, compressed: bool) -> None:
    """Raise ArchiveError if the entries of a zip file of `size` bytes claim more than it can hold, or are damaged.

    Nothing is unpacked before the claims are checked. `compressed`: whether entries may be deflated.
    """
    entries = archive.infolist()
    allowed = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) if compressed else (zipfile.ZIP_STORED,)
    if any(entry.compress_type not in allowed for entry in entries):
        raise ArchiveError("is compressed in a way that files of its kind never are")
    if len({entry.filename for entry in entries}) < len(entries):
        raise ArchiveError("holds two entries of one name")
    # Entries that overlap claim more packed bytes than there are, and could be unpacked again and again.
    packed, claimed = (sum(getattr(e, part) for e in entries) for part in ("compress_size", "file_size"))
    limit = max(ALWAYS_ALLOWED, LARGEST_RATIO * size) if compressed else size
    if packed > size or claimed > limit:
        raise ArchiveError(f"claims {claimed} bytes in a file of {size}: not loaded")
    # Readers stop at the last byte they need, and so before the CRC-32 is checked.
    if damaged := archive.testzip():
        raise ArchiveError(f"is damaged: bad CRC-32 of {damaged[:80]!r}; make it again")


def checksum(content: Any) -> str:
    """SHA-256 over nested dicts and lists of arrays, tensors and plain values, in the order of their keys."""
    total = hashlib.sha256()

    def feed(value: Any) -> None:
        # A tensor, known by its method: files without any are read without PyTorch.
        value = value.detach().cpu().numpy() if hasattr(value, "detach") else value
        if isinstance(value, np.ndarray):
            total.update(f"{value.dtype}{value.shape}".encode())
            total.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
        elif isinstance(value, Mapping):
            for key in sorted(value, key=repr):
                total.update(repr(key).encode())
                feed(value[key])
        elif isinstance(value, list | tuple):
            total.update(f"[{len(value)}".encode())
            for item in value:
                feed(item)
        else:
            total.update(repr(value).encode())

    feed(content)
    return total.hexdigest()
