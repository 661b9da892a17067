"""The files of the authors' release, read without running anything in them; only `nfconv` and convert.py import this.

They are pickles: `pickles` reads their instructions, `arrays` and `storages` build what they may describe, `entries`
checks the dictionaries they hold, and `fields`, `kernels` and `ground_truths` translate the authors' conventions.

Source: the release beside Nsampi et al. 2023 (file layout only).
"""

from released.entries import OtherKindError
from released.fields import read_field
from released.ground_truths import read_ground_truth
from released.kernels import read_kernel

__all__ = ["OtherKindError", "read_field", "read_ground_truth", "read_kernel"]
