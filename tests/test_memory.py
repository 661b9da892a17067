"""Memory that does not suffice: smaller blocks, and an end to them."""

import numpy as np
import pytest
import torch

from models.memory import SMALLEST_BLOCK, in_smaller_blocks, is_out_of_memory

SHORTAGES = {
    "NumPy": lambda: np.empty(1 << 60, np.uint8),
    "torch": lambda: torch.empty(1 << 60, dtype=torch.uint8),
    "CUDA": lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory")),
    "driver": lambda: (_ for _ in ()).throw(torch.AcceleratorError("CUDA error: out of memory")),
    "cuBLAS": lambda: (_ for _ in ()).throw(
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasSgemm(...)`")
    ),
    "cuSOLVER": lambda: (_ for _ in ()).throw(
        RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnXsyevd(...)`")
    ),
    "a handle of cuBLAS": lambda: (_ for _ in ()).throw(
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`")
    ),
    "a handle of cuSOLVER": lambda: (_ for _ in ()).throw(
        RuntimeError("cusolver error: CUSOLVER_STATUS_INTERNAL_ERROR, when calling `cusolverDnCreate(handle)`")
    ),
}


def caught(shortage) -> BaseException:
    try:
        SHORTAGES[shortage]()
    except (MemoryError, RuntimeError) as error:
        return error
    raise AssertionError("this machine has more memory than there is")


@pytest.mark.parametrize("shortage", SHORTAGES)
def test_blocks_are_halved_until_memory_suffices(shortage):
    tried, notes = [], []

    def work(block: int) -> int:
        tried.append(block)
        if block > 300:
            raise caught(shortage)
        return block

    assert in_smaller_blocks(work, 1024, notes.append) == 256
    assert tried == [1024, 512, 256]
    assert notes == [f"out of memory: continuing with blocks of {block} points" for block in (512, 256)]


def test_blocks_are_not_halved_for_ever_nor_for_other_faults():
    tried = []

    def work(block: int) -> None:
        tried.append(block)
        raise MemoryError

    with pytest.raises(MemoryError):
        in_smaller_blocks(work, 1 << 16, lambda _: None)
    assert tried[-2:] == [2 * SMALLEST_BLOCK, SMALLEST_BLOCK]
    with pytest.raises(RuntimeError, match="shapes"):
        in_smaller_blocks(lambda _: (_ for _ in ()).throw(RuntimeError("shapes")), 1 << 16, pytest.fail)
    assert not is_out_of_memory(RuntimeError("shapes do not fit"))
    assert not is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"))
    assert not is_out_of_memory(ValueError("CUDA error: out of memory"))
