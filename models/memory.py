"""Work that is done in blocks, and in smaller ones where memory does not suffice."""

from collections.abc import Callable
from typing import TypeVar

import torch

# Smaller blocks than this save nothing that could still matter.
SMALLEST_BLOCK = 64
# Messages of torch's CPU allocator, the CUDA driver, cuBLAS and cuSOLVER, which raise no exception type of their own.
# Without memory for a handle, the libraries report another state: not initialised, or an internal error.
WORDS = ("not enough memory", "can't allocate memory", "CUDA error: out of memory", "STATUS_ALLOC_FAILED",
         "cublasCreate", "cusolverDnCreate")  # fmt: skip

Result = TypeVar("Result")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice, on the CPU or on a GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in WORDS)


def in_smaller_blocks(work: Callable[[int], Result], block: int, notify: Callable[[str], None]) -> Result:
    """`work(block)`, tried again with half the block as often as memory does not suffice; `notify` receives a message.

    Raises what `work` raised where the block cannot get smaller.
    """
    while True:
        try:
            return work(block)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error) or block <= SMALLEST_BLOCK:
                raise
        # Out here the failed attempt's tensors are no longer held by its exception.
        block //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        notify(f"out of memory: continuing with blocks of {block} points")
