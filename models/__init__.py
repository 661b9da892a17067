"""Repeated integral fields and their sparse convolution (knows kernels; knows no modality)."""

from models.field import Field, FieldConfig
from models.pointwise import PointwiseField
from models.separable import SeparableField

__all__ = ["Field", "FieldConfig", "PointwiseField", "SeparableField", "build_field"]

FIELDS = {"separable": SeparableField, "siren": PointwiseField, "mlp": PointwiseField}


def build_field(config: FieldConfig) -> Field:
    """A new field of the given shape, initialised from torch's global generator."""
    return FIELDS[config.kind](config)
