"""Repeated integral fields and their sparse convolution (knows kernels and signals; knows no modality)."""

from models.config import FieldConfig, Origin
from models.field import Field
from models.pointwise import PointwiseField
from models.separable import SeparableField

__all__ = ["Field", "FieldConfig", "Origin", "PointwiseField", "SeparableField", "build_field"]

FIELDS: dict[str, type[Field]] = {"separable": SeparableField, "siren": PointwiseField, "mlp": PointwiseField}


def build_field(config: FieldConfig, origin: Origin) -> Field:
    """A new field of the given shape, initialised from torch's global generator."""
    return FIELDS[config.kind](config, origin)
