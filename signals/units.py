"""Lengths as people type them (`13px`, `5ms`, `200Hz`, `3mm`) in domain units; a plain number is in domain units.

What a unit is along an axis stands in a signal's metadata (`Metadata.rulers`): the distance of its samples, its sample
rate, the scale of its mesh, the step of its table.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(.*?)\s*", re.IGNORECASE | re.DOTALL)
# Units by the names they are typed with: the unit of a ruler, and how many of that they are. A name in another case is
# found where no two units differ by case alone.
UNITS: dict[str, tuple[str, float]] = {
    **dict.fromkeys(("px", "pixel", "pixels"), ("px", 1.0)),
    **dict.fromkeys(("sample", "samples"), ("sample", 1.0)),
    **dict.fromkeys(("frame", "frames"), ("frame", 1.0)),
    **dict.fromkeys(("vox", "voxel", "voxels"), ("vox", 1.0)),
    **dict.fromkeys(("u", "unit", "units"), ("u", 1.0)),
    **dict.fromkeys(("s", "sec", "second", "seconds"), ("s", 1.0)),
    **dict.fromkeys(("min", "minute", "minutes"), ("s", 60.0)),
    **dict.fromkeys(("h", "hour", "hours"), ("s", 3600.0)),
    **dict.fromkeys(("d", "day", "days"), ("s", 86400.0)),
    **{f"{prefix}s": ("s", size) for prefix, size in (("m", 1e-3), ("u", 1e-6), ("µ", 1e-6), ("n", 1e-9))},
    **{f"{prefix}m": ("m", size) for prefix, size in
       (("", 1.0), ("k", 1e3), ("c", 1e-2), ("m", 1e-3), ("u", 1e-6), ("µ", 1e-6), ("n", 1e-9))},
    **dict.fromkeys(("in", "inch", "inches"), ("m", 0.0254)),
    **dict.fromkeys(("ft", "foot", "feet"), ("m", 0.3048)),
    **{f"{prefix}Hz": ("Hz", size) for prefix, size in (("", 1.0), ("k", 1e3), ("m", 1e-3), ("M", 1e6), ("G", 1e9))},
}  # fmt: skip
NAMES = {"px": "px", "sample": "samples", "frame": "frames", "vox": "vox", "u": "u (the file's own unit)",
         "s": "s, ms, Hz", "m": "mm, cm, m"}  # fmt: skip


@dataclass(frozen=True)
class Ruler:
    """Domain units per unit along one axis, by the units of UNITS; if the file does not state its unit (`unstated`),
    lengths are in the file's own unit and times in seconds."""

    units: Mapping[str, float]
    unstated: bool = False

    def known(self) -> str:
        """The units that may be typed, for a message."""
        own = ["mm, cm, m"] if self.unstated and "s" not in self.units else []
        return ", ".join([NAMES[name] for name in self.units] + own)


def find_unit(name: str) -> tuple[str, float] | None:
    """What a typed unit is, in any case where that is no other unit; None where there is no such unit."""
    name = name.replace("\N{GREEK SMALL LETTER MU}", "\N{MICRO SIGN}")
    if name in UNITS:
        return UNITS[name]
    alike = {meaning for known, meaning in UNITS.items() if known.lower() == name.lower()}
    return alike.pop() if len(alike) == 1 else None


def has_unit(text: str) -> bool:
    """Whether any of the numbers in `text` has a unit."""
    return any((found := NUMBER.fullmatch(part)) and found[2] for part in text.split(","))


class Units:
    """What lengths of one signal are in domain units, along its filtered axes.

    `rulers` and `names`, one per filtered axis; `notify` receives what was assumed. All methods raise ValueError for
    what is not a positive number, or in a unit that an axis does not have; `what` names it in the message.
    """

    def __init__(self, rulers: Sequence[Ruler], names: Sequence[str], notify: Callable[[str], None]) -> None:
        self.rulers, self.names, self.notify = tuple(rulers), tuple(names), notify
        self._assumed: set[str] = set()

    def lengths(self, text: str, what: str, cutoff: Callable[[int], float] | None = None) -> list[float]:
        """A length per filtered axis in domain units: `text` is one for all, or one for each with commas in between.

        A frequency stands for the length at which the kernel passes it with -3 dB: `cutoff(axis)` is the frequency that
        a kernel of length 1 passes so.
        """
        return [self._length(axis, *part, what, cutoff) for axis, part in enumerate(self._parts(text, what))]

    def frequencies(self, text: str, what: str) -> list[float]:
        """Cycles per domain unit for every filtered axis; typed as 200Hz, as 0.1/px or as plain numbers."""
        found = []
        for axis, (number, unit) in enumerate(self._parts(text, what)):
            if unit.startswith("/"):
                found.append(number / self._length(axis, 1.0, unit[1:].strip(), what, None))
            elif (known := find_unit(unit)) and known[0] == "Hz":
                found.append(number * known[1] / self._unit(axis, "s", unit, what))
            elif not unit:
                found.append(number)
            else:
                raise ValueError(f"{what} must be a frequency, such as 200Hz or 0.1/px, not {number:g}{unit}")
        return found

    def _parts(self, text: str, what: str) -> list[tuple[float, str]]:
        """Number and unit for every filtered axis."""
        count, parts = len(self.rulers), text.split(",")
        matches = [match for match in map(NUMBER.fullmatch, parts) if match]
        found = [(float(match[1]), match[2]) for match in matches]
        valid = len(found) == len(parts) and len(parts) in (1, count)
        if not valid or not all(np.isfinite(number) and number > 0 for number, _ in found):
            each = f" or {count} of them with commas, one for each of {', '.join(self.names)}" if count > 1 else ""
            raise ValueError(f"{what} must be one positive number{each}, not {text!r}")
        if len({not unit for _, unit in found}) > 1:
            raise ValueError(f"{what} {text!r} gives some numbers a unit and others none: give each its unit")
        return found * count if len(found) == 1 else found

    def _length(
        self, axis: int, number: float, unit: str, what: str, cutoff: Callable[[int], float] | None
    ) -> float:  # fmt: skip
        if not unit:
            return number
        known = find_unit(unit)
        if known is None:
            raise ValueError(f"{what}: there is no unit {unit!r}; {self._advice(axis)}")
        name, factor = known
        if name != "Hz":
            return number * factor * self._unit(axis, name, unit, what)
        second = self._unit(axis, "s", unit, what)
        if cutoff is None:
            raise ValueError(f"{what} is a length and not a frequency: give it in another unit than {unit}")
        return cutoff(axis) * second / (number * factor)

    def _unit(self, axis: int, name: str, typed: str, what: str) -> float:
        """Domain units per base unit `name` along an axis, where it has such a unit."""
        ruler = self.rulers[axis]
        if name == "m" and "m" not in ruler.units and "u" in ruler.units and ruler.unstated:
            self._assume(typed, f"the file does not state its unit: {typed} are taken for its own units")
            # The unit that is typed, not a metre, is the file's own.
            return ruler.units["u"] / find_unit(typed)[1]  # type: ignore[index]
        if name not in ruler.units:
            raise ValueError(f"{what} in {typed}: {self._advice(axis)}")
        if name == "s" and ruler.unstated:
            self._assume("s", "the table does not name the unit of its times: they are taken for seconds")
        return ruler.units[name]

    def _assume(self, unit: str, text: str) -> None:
        if not self._assumed:
            self.notify(text)
        self._assumed.add(unit)
        if len(self._assumed) > 1:
            raise ValueError(f"the file does not state its unit, so {' and '.join(sorted(self._assumed))} have no "
                             "common measure: state it with --unit when the signal is read")  # fmt: skip

    def _advice(self, axis: int) -> str:
        one = f"axis {self.names[axis]} is measured in {self.rulers[axis].known()}, or domain units without a unit"
        others = len({tuple(ruler.units) for ruler in self.rulers}) > 1
        return one + (" (one value per axis, with commas)" if others else "")
