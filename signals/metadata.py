"""What a modality stores beside its samples, typed: one frozen dataclass per modality, valid wherever it exists.

Metadata arrives from files and is validated there: ranges when a subclass is constructed, agreement with the samples by
`check_signal`. A subclass registers itself under the name of its modality:

    @dataclass(frozen=True)
    class ImageMetadata(Metadata, modality="image", axis_names="yx"): ...
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, ClassVar, TypeVar

from files.inputs import LARGEST_STORED
from signals.units import Ruler

# Far beyond any number in a real file, and far below overflow.
LARGEST_NUMBER = 1e300
LARGEST_COUNT = 1 << 31

Kind = TypeVar("Kind", bound="Metadata")


@dataclass(frozen=True)
class Metadata:
    """Base class, and the metadata of a signal without a modality; subclasses raise ValueError for invalid fields.

    `known`: of a signal with missing samples, whose last channel is their weight, what was subtracted from the others.
    """

    known: tuple[float, ...] | None = field(default=None, kw_only=True)
    registry: ClassVar[dict[str, type["Metadata"]]] = {}
    modality: ClassVar[str] = ""
    axis_names: ClassVar[str] = ""
    # Keys of older files that no longer mean anything.
    obsolete: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, modality: str, axis_names: str) -> None:
        super().__init_subclass__()
        cls.modality, cls.axis_names = modality, axis_names
        Metadata.registry[modality] = cls

    def check_signal(self, shape: Sequence[int], channels: int) -> None:
        """Raise ValueError for a signal of `shape` and `channels` that this metadata does not describe."""
        if self.axis_names:
            names = ", ".join(self.axis_names)
            check("the number of axes", len(shape), len(shape) == len(self.axis_names), f"that of {names}")
        check_whole_number("the number of values", int(math.prod(shape)) * int(channels), 1, LARGEST_STORED)

    def rulers(self, shape: Sequence[int]) -> tuple[Ruler, ...]:
        """What lengths along the axes of a signal of `shape` are measured in; subclasses know more than its samples."""
        return tuple(Ruler({"sample": 2.0 / max(count - 1, 1)}) for count in shape)


def parse_metadata(modality: str, entries: Mapping[str, Any], shape: Sequence[int], channels: int) -> Metadata:
    """The entries of a file as metadata of `modality` that describes a signal of `shape` and `channels`.

    Options that version 0.2 kept under "load" are fields now. Raises ValueError ("invalid metadata ...").
    """
    kind = Metadata.registry.get(modality, Metadata)
    try:
        check("it", entries, isinstance(entries, Mapping), "a dictionary")
        load = entries.get("load", {})
        check("load", load, isinstance(load, Mapping), "a dictionary")
        merged = {**load, **{name: value for name, value in entries.items() if name != "load"}}
        merged = {name: value for name, value in merged.items() if name not in (*kind.obsolete, "released")}
        metadata = kind(**_complete(kind, merged))
        if metadata.known is not None:
            check_numbers("known", metadata.known, channels - 1)
        metadata.check_signal(shape, channels - (metadata.known is not None))
    except (TypeError, ValueError) as error:
        what = f"invalid metadata of modality {modality!r:.40}" if modality else "invalid metadata"
        raise ValueError(f"{what}: {error}; make the file again from the signal") from None
    return metadata


def _complete(kind: type[Metadata], entries: Mapping[str, Any]) -> dict[str, Any]:
    """`entries` as arguments of `kind`, lists as tuples; raises ValueError for unknown and missing names."""
    known = {entry.name: entry.default is MISSING for entry in fields(kind)}
    if unknown := sorted(str(name) for name in set(entries) - set(known)):
        raise ValueError(f"unknown {', '.join(unknown):.60}")
    if missing := [name for name, needed in known.items() if needed and name not in entries]:
        raise ValueError(f"{', '.join(missing)} missing")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in entries.items()}


def metadata_of(kind: type[Kind], metadata: Metadata) -> Kind:
    """`metadata` if it is of `kind`, the defaults of `kind` in place of none; raises ValueError."""
    if isinstance(metadata, kind):
        return metadata
    if type(metadata) is not Metadata:
        raise ValueError(f"metadata of modality {metadata.modality!r} does not describe a signal of {kind.modality!r}")
    try:
        return kind(**_complete(kind, {}))
    except ValueError as error:
        raise ValueError(f"a signal of modality {kind.modality!r} requires its metadata: {error}") from None


def metadata_entries(metadata: Metadata) -> dict[str, Any]:
    """JSON-able entries from which `parse_metadata` makes the same metadata again."""
    return {name: value for name, value in asdict(metadata).items() if name != "known" or value is not None}


def check(name: str, value: Any, valid: bool, wanted: str) -> None:
    """Raise ValueError where the entry `name` is not `valid`."""
    if not valid:
        raise ValueError(f"{name} must be {wanted}, not {f'{value!r:.60}'}")


def check_number(name: str, value: Any, least: float = -LARGEST_NUMBER, most: float = LARGEST_NUMBER) -> None:
    """Raise ValueError for anything but a number in [least, most]; NaN is in no range."""
    check(name, value, type(value) in (int, float) and least <= value <= most, f"a number from {least:g} to {most:g}")


def check_whole_number(name: str, value: Any, least: int = 1, most: int = LARGEST_COUNT) -> None:
    """Raise ValueError for anything but a whole number in [least, most]."""
    check(name, value, type(value) is int and least <= value <= most, f"a whole number from {least} to {most}")


def check_numbers(
    name: str, values: Any, count: int, least: float = -LARGEST_NUMBER, most: float = LARGEST_NUMBER
) -> None:
    """Raise ValueError for anything but a tuple of `count` numbers in [least, most]."""
    check(name, values, isinstance(values, tuple) and len(values) == count, f"{count} numbers")
    for value in values:
        check_number(name, value, least, most)


def check_flag(name: str, value: Any) -> None:
    """Raise ValueError for anything but true and false."""
    check(name, value, type(value) is bool, "true or false")


def check_channels(channels: int, allowed: tuple[int, ...]) -> None:
    """Raise ValueError for a number of channels that is not among the `allowed` ones."""
    check("the number of channels", channels, channels in allowed, " or ".join(map(str, allowed)))
