"""Memory that does not suffice: smaller blocks, and an end to them."""

import numpy as np
import pytest
import torch
from builders import field_config, random_field

from filtering.run import filter_signal
from kernels import minimal_kernel
from models.memory import SMALLEST_BLOCK, in_smaller_blocks, is_out_of_memory

SHORTAGES = {
    "NumPy": lambda: np.empty(1 << 60, np.uint8),
    "torch": lambda: torch.empty(1 << 60, dtype=torch.uint8),
    "CUDA": lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory")),
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
    assert len(notes) == 2 and "256" in notes[-1]


def test_blocks_are_not_halved_for_ever_nor_for_other_faults():
    tried = []

    def work(block: int) -> None:
        tried.append(block)
        raise MemoryError

    with pytest.raises(MemoryError):
        in_smaller_blocks(work, 1 << 16, lambda _: None)
    assert min(tried) >= SMALLEST_BLOCK // 2
    with pytest.raises(RuntimeError, match="shapes"):
        in_smaller_blocks(lambda _: (_ for _ in ()).throw(RuntimeError("shapes")), 1 << 16, pytest.fail)
    assert not is_out_of_memory(RuntimeError("shapes do not fit"))


class Greedy(torch.nn.Module):
    """A network for which memory never suffices for more than 70 points at once."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        if len(points) > 70:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate")
        return self.network(points)


def test_filtering_goes_on_in_smaller_blocks_where_memory_does_not_suffice():
    field, said = random_field(field_config("mlp", 2, 1)), []
    kernel = minimal_kernel(1, 0.2, 2)
    wanted = filter_signal(field, kernel, (6, 7), 0.2, 1 << 16, pytest.fail)
    field.network = Greedy(field.network)
    result = filter_signal(field, kernel, (6, 7), 0.2, 1 << 10, said.append)
    np.testing.assert_allclose(result, wanted, rtol=1e-6, atol=1e-6)
    assert said and "64 points" in said[-1]
