"""A pretended CUDA device: CPU tensors that say cuda:0, refuse to meet CPU tensors and count what a GPU would wait for.

Imported before torch, in a process of its own: torch asks for its device hooks once.
"""

import collections
import contextlib
import ctypes
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def _preload(library: str) -> None:
    """Load the device guard between torch's own libraries and torch, which then finds it registered."""
    spec = importlib.util.find_spec("torch")
    assert spec and spec.origin and "torch" not in sys.modules
    for name in ("libgomp*.so*", "libc10.so", "libtorch_cpu.so"):
        for path in (Path(spec.origin).parent / "lib").glob(name):
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)


_preload(os.environ["NFC_GPU_GUARD"])

import torch  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing  # noqa: E402
from torch.utils._pytree import tree_leaves, tree_map  # noqa: E402

aten = torch.ops.aten
COPIES = {aten.copy_.default, aten._to_copy.default}
INDEXED = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default}
# What reads a number of the device, or makes a result whose shape depends on one.
READS = {aten._local_scalar_dense, aten.is_nonzero, aten.equal, aten.nonzero, aten.masked_select, aten._unique2,
         aten._linalg_check_errors}  # fmt: skip
DRAWS = {aten.rand, aten.randn, aten.randint, aten.randperm, aten.normal_, aten.uniform_, aten.rand_like}
PRODUCTS = {aten.mm, aten.addmm, aten.bmm, aten.baddbmm}

# Kinds of events and where in the repository they come from: "waits: ...", "copies: ...", "imprecise: ...".
events: collections.Counter[str] = collections.Counter()


class OnCuda(torch.Tensor):
    """The CPU tensor `held`, which says that it is on cuda:0."""

    held: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "OnCuda":
        return torch.Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            device=torch.device("cuda", 0),
        )  # fmt: skip

    def __init__(self, held: torch.Tensor) -> None:
        self.held = held

    def __repr__(self, **_: object) -> str:
        return f"OnCuda({tuple(self.shape)}, {self.dtype})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.held.detach().__reduce_ex__(protocol)

    def tolist(self) -> Any:
        count("waits", "tolist")
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatched(func, args, kwargs or {})


class Everything(TorchDispatchMode):
    """Sees the functions that make tensors, too."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatched(func, args, kwargs or {})


def caller() -> str:
    """The innermost place in the repository's own files."""
    frame: Any = sys._getframe()
    while frame := frame.f_back:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT) and path != Path(__file__) and ".venv" not in path.parts:
            return f"{path.relative_to(ROOT)} in {frame.f_code.co_name}"
    return "autograd"


def count(kind: str, what: object) -> None:
    events[f"{kind}: {what} at {caller()}"] += 1


def dispatched(func: Any, args: Any, kwargs: Any) -> Any:
    """Carry `func` out on what the pretended tensors hold, once all that a GPU would refuse is checked."""
    leaves = tree_leaves((args, kwargs))
    mine = [x for x in leaves if isinstance(x, OnCuda)]
    others = [x for x in leaves if isinstance(x, torch.Tensor) and not isinstance(x, OnCuda)]
    asked = kwargs.get("device")
    on_cuda = torch.device(asked).type == "cuda" if asked is not None else bool(mine)
    if func is aten.copy_.default:
        on_cuda = isinstance(args[0], OnCuda)
    generators = [x for x in leaves if isinstance(x, torch.Generator)]
    if mine and others and func not in COPIES:
        check_devices(func, args, others)
    if mine or on_cuda:
        check_generators(func, generators, "cuda" if on_cuda else "cpu")
        count_waits(func, args, mine, on_cuda)
    result = carried_out(func, args, kwargs, generators if on_cuda else [])
    if not on_cuda:
        return result
    result = tree_map(lambda x: OnCuda(x) if isinstance(x, torch.Tensor) and not isinstance(x, OnCuda) else x, result)
    return return_and_correct_aliasing(func, args, kwargs, result) if mine else result


def check_devices(func: Any, args: Any, others: list[torch.Tensor]) -> None:
    """Raise RuntimeError where CPU tensors meet CUDA ones, but for single numbers and indices, which are copied."""
    if func in INDEXED and isinstance(args[0], OnCuda) and not any(x is y for x in others for y in args[2:]):
        count("copies", "an index to the GPU")
    elif any(x.ndim for x in others) or not (
        torch.Tag.pointwise in func.tags or func in (aten.where.self, aten.fill_.Tensor)
    ):
        shapes = [tuple(x.shape) for x in others]
        raise RuntimeError(
            f"Expected all tensors to be on the same device: {func} met CPU tensors {shapes} at {caller()}"
        )


def check_generators(func: Any, generators: list[torch.Generator], wanted: str) -> None:
    """Raise RuntimeError for a generator of another device; the global one makes no run repeatable."""
    for generator in generators:
        if generator.device.type != wanted:
            found = generator.device.type
            raise RuntimeError(f"Expected a {wanted} generator but found one of the {found} in {func} at {caller()}")
    if not generators and wanted == "cuda" and func.overloadpacket in DRAWS:
        raise RuntimeError(f"the global generator drew in {func} at {caller()}")


def count_waits(func: Any, args: Any, mine: list[OnCuda], on_cuda: bool) -> None:
    """Count what stops the CPU until the GPU has caught up, and products in less than float32."""
    packet = func.overloadpacket
    if mine and packet in READS:
        count("waits", packet)
    if mine and func in INDEXED and any(isinstance(i, torch.Tensor) and i.dtype == torch.bool for i in args[1]):
        count("waits", "a boolean index")
    if func in COPIES:
        source = args[1] if func is aten.copy_.default else args[0]
        if isinstance(source, OnCuda) != on_cuda:
            count("copies", "to the GPU" if on_cuda else "from the GPU")
    if packet in PRODUCTS and mine[0].dtype == torch.float32 and torch.backends.cuda.matmul.fp32_precision == "tf32":
        count("imprecise", packet)


def carried_out(func: Any, args: Any, kwargs: Any, generators: list[torch.Generator]) -> Any:
    """`func` of the CPU tensors; a pretended generator is replaced by one whose seed follows from its state."""
    twins: dict[int, torch.Generator] = {}
    for generator in generators:
        state = generator.get_state().view(torch.int64)
        twins[id(generator)] = torch.Generator().manual_seed(hash(tuple(state.tolist())))
        state[1] += 4
        generator.set_state(state.view(torch.uint8))

    def own(x: Any) -> Any:
        return x.held if isinstance(x, OnCuda) else twins.get(id(x), x)

    args, kwargs = tree_map(own, args), {name: tree_map(own, value) for name, value in kwargs.items()}
    if kwargs.get("device") is not None:
        kwargs["device"] = torch.device("cpu")
    kwargs.pop("pin_memory", None)
    # A tensor of zeros without memory is dispatched above this; a plain one is as good.
    return (aten.zeros.default if func is aten._efficientzerotensor.default else func)(*args, **kwargs)


@contextlib.contextmanager
def pretended() -> Iterator[None]:
    """One CUDA device, until the end of the block."""
    replaced: dict[str, Any] = {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "get_device_name": lambda device=None: "pretended GPU",
    }
    before = {name: getattr(torch.cuda, name) for name in replaced}
    lifted = torch._C._only_lift_cpu_tensors()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        for name, value in replaced.items():
            setattr(torch.cuda, name, value)
        with Everything():
            yield
    finally:
        for name, value in before.items():
            setattr(torch.cuda, name, value)
        torch._C._set_only_lift_cpu_tensors(lifted)
        torch.__future__.set_overwrite_module_params_on_conversion(False)
