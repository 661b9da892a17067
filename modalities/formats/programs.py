"""Signals that are programs: an object of a user's own .py file, which runs, and ONNX models, which only compute.

Pickles, TorchScript and .pt2 files run what they hold when they are loaded or called, and are refused.
"""

import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import Parameter, isclass, isfunction, ismethod, signature
from pathlib import Path
from typing import Any

import numpy as np

from files.inputs import existing_file

PROGRAM_EXTENSIONS = (".py", ".onnx")
REFUSED = (".pt", ".pt2", ".pth", ".ckpt", ".ts", ".torchscript", ".pkl", ".pickle", ".joblib", ".h5", ".keras",
           ".safetensors", ".msgpack")  # fmt: skip
HOW = "load it in a .py of three lines: import torch; net = MyNet(); net.load_state_dict(torch.load('{}')); field = net"
# Operators of ONNX that run others, any number of times.
LOOPS = ("Loop", "Scan", "If", "SequenceMap")


def split_program(path: str | Path) -> tuple[Path, str]:
    """'my_field.py:field' as file and name ("" for ONNX); raises ValueError for a .py without a name."""
    text = str(path)
    file, colon, name = text.rpartition(":")
    if colon and file.endswith(".py"):
        if not name.isidentifier():
            raise ValueError(f"{text}: {name!r} is not the name of an object in {file}")
        return Path(file), name
    if text.endswith(".py"):
        raise ValueError(f"{text} holds a program: name its field, as in {text}:field")
    return Path(text), ""


def is_program(path: str | Path) -> bool:
    """Whether `path` names an object of a .py file, a .py file, or an ONNX model."""
    text = str(path)
    return text.lower().endswith(PROGRAM_EXTENSIONS) or ".py:" in text


def refuse_model(path: str | Path) -> None:
    """Raise ValueError for files of networks that are not loaded, with what to do instead."""
    if Path(path).suffix.lower() in REFUSED:
        raise ValueError(f"{path} is not loaded as a signal, because such files can run code: "
                         f"{HOW.format(Path(path).name)}; then give my_field.py:field")  # fmt: skip


def read_program(path: str | Path) -> Any:
    """The callable in 'my_field.py:field' (an object, or a factory without arguments) or in an ONNX model.

    A .py file is run. Raises FileNotFoundError or ValueError.
    """
    file, name = split_program(path)
    if not name:
        return read_onnx(file)
    existing_file(file, "a program", "give the .py file that defines the field")
    with _beside(file.resolve().parent), _own_errors(file):
        spec = importlib.util.spec_from_file_location(f"_field_{file.stem}", file)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        if not hasattr(module, name):
            known = ", ".join(n for n, value in vars(module).items() if callable(value) and n[0] != "_")[:200]
            raise ValueError(f"{file} has no {name}; it has {known or 'no callable'}")
        found = getattr(module, name)
        if is_factory(found):
            found = found()
    if not callable(found):
        raise ValueError(f"{file}:{name} is {type(found).__name__}, not a function of points [N, d]")
    return found


def is_factory(found: Any) -> bool:
    """Whether an object is a class, or a function that asks for no argument and takes no unnamed ones at will."""
    if isclass(found):
        return True
    if not (isfunction(found) or ismethod(found)):
        return False
    kinds = (Parameter.VAR_POSITIONAL, Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    parameters = signature(found).parameters.values()
    return all(p.default is not Parameter.empty for p in parameters if p.kind in kinds[1:]) and not any(
        p.kind is kinds[0] for p in parameters
    )


@contextmanager
def _beside(folder: Path) -> Iterator[None]:
    """Let a program import what lies beside it, even where modules of ours have the same names."""
    ours = {name for name in sys.modules if (folder / f"{name.partition('.')[0]}.py").is_file()
            or (folder / name.partition(".")[0] / "__init__.py").is_file()}  # fmt: skip
    hidden = {name: sys.modules.pop(name) for name in ours if not name.startswith("_field_")}
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.modules.update(hidden)


@contextmanager
def _own_errors(file: Path) -> Iterator[None]:
    """Turn what a user's program raises into one sentence with the line it was raised at."""
    try:
        yield
    except (Exception, SystemExit) as error:
        if isinstance(error, ValueError) and str(error).startswith(str(file)):
            raise
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == file]
        place = f" at line {lines[-1]}" if lines else ""
        text = " ".join(str(error).split())[:200]
        raise ValueError(f"{file} raised {type(error).__name__}{place}: {text}") from error


def read_onnx(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The function of an ONNX model with one input [N, d] and one output [N, c]; raises ValueError for loops, data in
    other files, and operators of other domains."""
    path = existing_file(path, "an ONNX model", "give a .onnx file")
    try:
        import onnx
        import onnxruntime
    except ImportError:
        raise ValueError("ONNX models require two packages: pip install onnx onnxruntime") from None
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's errors share no base class
        raise ValueError(f"{path} is not an ONNX model, or it is damaged ({type(error).__name__})") from None
    if model.functions or any(node.op_type in LOOPS or node.domain not in ("", "ai.onnx") for node in model.graph.node):
        raise ValueError(f"{path} has loops, branches or operators of its own: export the plain network")
    tensors = [*model.graph.initializer, *(a.t for node in model.graph.node for a in node.attribute if a.HasField("t"))]
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data for tensor in tensors):
        raise ValueError(f"{path} keeps its weights in other files: save it as one file")
    given = {tensor.name for tensor in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name not in given]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise ValueError(f"{path} has {len(inputs)} inputs and {len(model.graph.output)} outputs: one of each is read")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ValueError(f"{path} is not a model that onnxruntime runs: {' '.join(str(error).split())[:160]}") from None
    double = inputs[0].type.tensor_type.elem_type == onnx.TensorProto.DOUBLE
    name, kind = inputs[0].name, np.float64 if double else np.float32

    def ask(points: np.ndarray) -> np.ndarray:
        return session.run(None, {name: np.ascontiguousarray(points, kind)})[0]

    ask.__name__ = path.name
    return ask
