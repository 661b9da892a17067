"""Text files whose encoding nobody states."""

import codecs

MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# Ends files under DOS.
CONTROL_Z = "\x1a"


def decode_text(data: bytes) -> tuple[str, str]:
    """The text of a file, line ends as '\\n', and the encoding to write it in.

    Byte-order marks and the zeros that programs pad with are left out. UTF-8, UTF-16 and UTF-32 with or without a mark
    (to be written as UTF-8), and Latin-1, which gives any other bytes back as they were.
    """
    mark, encoding = next(((mark, name) for mark, name in MARKS if data.startswith(mark)), (b"", ""))
    data = data[len(mark) :]
    encoding = encoding or _unmarked(data)
    try:
        text = data.decode(encoding, "replace" if encoding.startswith("utf-16") else "strict")
    except UnicodeDecodeError:
        text, encoding = data.decode("latin-1"), "latin-1"
    # UTF-32 is UTF-16 with zeros in between.
    text = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n").rstrip(CONTROL_Z + " \t\n")
    return text, "latin-1" if encoding == "latin-1" else "utf-8"


def _unmarked(data: bytes) -> str:
    """The encoding of text without a mark: UTF-16 where every second byte of the beginning is zero."""
    start = data[:64]
    for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(start) > 3 and not any(start[first::2]) and all(start[1 - first :: 2]):
            return name
    return "utf-8"
