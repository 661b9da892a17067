"""The library's own table of kernels as the page's controls: what each kernel takes, and how far its sliders go."""

import math
from typing import Any

import numpy as np

from evaluation.kernels import field_units
from kernels.library import KERNELS
from kernels.request import REQUIRED, KernelType
from models import Field

# Lengths beside a kernel's size (the thickness of a ring) start at this share of it.
SHARE = 0.35
# A kernel starts at this many times the training kernel's size, as far as the margin allows.
START = 2.0
# How units are told, and how many of those of the rulers they are.
TOLD = {"u": ("units of the file", 1.0), "frame": ("frames", 1.0), "sample": ("samples", 1.0), "s": ("ms", 1e-3)}
STEPS = 250


def kernel_table(field: Field) -> list[dict[str, Any]]:
    """Every kernel of the library that fits the field's number of axes, with its parameters."""
    count = len(field.config.axes)
    fitting = [entry for entry in KERNELS.values() if entry.axes[0] <= count <= entry.axes[1]]
    return [{"name": entry.name, "help": (entry.shape.__doc__ or "").partition("\n")[0].replace("`", ""),
             "parameters": _parameters(entry, field)} for entry in fitting]  # fmt: skip


def largest_radius(field: Field) -> float:
    """How far kernels may reach, in domain units; what the authors' fields, trained without a margin, answer with a
    warning."""
    reach = field.origin.margin + min(field.origin.half_size)
    return max(reach, 0.5) if field.origin.released else reach


def length_unit(field: Field) -> tuple[str, float]:
    """The name of the unit that lengths are told in, and how many domain units it is."""
    known = {name: size for name, size in field_units(field).rulers[0].units.items() if size > 0}
    if not known:
        return "domain units", 1.0
    name = next((name for name in known if name != "sample"), "sample")
    told, part = TOLD.get(name, (name, 1.0))
    return told, known[name] * part


def _parameters(entry: KernelType, field: Field) -> list[dict[str, Any]]:
    """A control per parameter: a range with least, most, step and value, a choice of axes, or a picture."""
    smallest, largest = min(field.origin.half_size), largest_radius(field)
    first, reach = entry.names("length")[0], reach_of_unit(entry, len(field.config.axes))
    most = largest / reach
    start = min(START * smallest / reach, most / 2)
    unit, size = length_unit(field)
    controls = []
    for name, parameter in entry.parameters.items():
        control: dict[str, Any] = {"name": name, "kind": parameter.kind, "help": parameter.help}
        if parameter.kind == "length":
            share = 1.0 if name == first else SHARE
            control |= _range(share * start / 10, most, share * start) | {"unit": (unit, size)}
        elif parameter.kind == "frequency":
            control |= _range(0.1 / most, 0.5 / smallest, 0.25 / start)
            control |= {"unit": (f"cycles per {unit.removesuffix('s') if unit != 'ms' else unit}", 1 / size)}
        elif parameter.kind == "coordinate":
            names = field.origin.metadata.axis_names or "0123456789"
            control |= {"choices": [[axis, names[axis]] for axis in field.config.axes], "value": field.config.axes[0]}
        elif parameter.kind != "path":
            least, high, step = parameter.span or (0.0, 10.0, 0.1)
            value = high / 2 if parameter.default is REQUIRED else parameter.default
            control |= {"least": least, "most": high, "step": step, "value": value}
            control |= {"unit": ("\N{DEGREE SIGN}", 1.0)} if name == "angle" else {}
        controls.append(control)
    return controls


def reach_of_unit(entry: KernelType, count: int) -> float:
    """How far the kernel of size 1 reaches at its usual proportions, in `count` axes."""
    if entry.names("path"):
        return 1.0
    values: dict[str, Any] = {}
    for name, parameter in entry.parameters.items():
        if parameter.kind == "length":
            values[name] = SHARE if values else 1.0
        elif parameter.kind == "frequency":
            values[name] = 1.0
        else:
            span = parameter.span or (0.0, 1.0, 1.0)
            values[name] = span[1] if parameter.default is REQUIRED else parameter.default
    return float(np.max(entry.shape(count, **values).radius))


def _range(least: float, most: float, value: float) -> dict[str, float]:
    """A slider over round numbers of 1, 2 or 5 times a power of ten apart."""
    raw = (most - least) / STEPS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))

    def rounded(number: float) -> float:
        return round(max(1, math.floor(number / step + 1e-9)) * step, digits)

    return {"least": rounded(least), "most": rounded(most), "step": round(step, digits), "value": rounded(value)}
