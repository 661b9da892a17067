"""How callables are asked: found out by probing, and refused in one sentence."""

import numpy as np
import pytest
import torch

from modalities import CALLABLES, for_path
from modalities.formats.programs import read_program
from signals.callables import grid_letters, parse_domain, parse_sizes
from signals.probing import continuous

POINTS = np.random.default_rng(3).uniform(-1, 1, (7, 2))


def plane(p):
    return np.stack([p[:, 0] + 2 * p[:, 1], p[:, 0] * p[:, 1]], -1)


class Net(torch.nn.Module):
    """x + 2 y, x y, in the precision of a weight."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([[1.0, 2.0]], dtype=dtype))

    def forward(self, p):
        return torch.cat([p @ self.weight.T, p[:, :1] * p[:, 1:]], -1)


def slope(p):
    value = (p[:, :1] ** 2 * p[:, 1:]).sum()
    return torch.autograd.grad(value, p)[0]


@pytest.mark.parametrize(
    "f, wanted, tolerance",
    [
        (plane, plane, 1e-12),
        (lambda p: torch.stack([p[:, 0] + 2 * p[:, 1], torch.mul(p[:, 0], p[:, 1])], -1), plane, 1e-12),
        (Net(), plane, 1e-6),
        (Net(torch.float64), plane, 1e-12),
        (Net(torch.bfloat16), plane, 3e-2),
        (lambda p: Net(torch.float32)(p), plane, 1e-6),
        (lambda p: p[:, 0] * p[:, 1], lambda p: plane(p)[:, 1:], 1e-12),
        (slope, lambda p: np.stack([2 * p[:, 0] * p[:, 1], p[:, 0] ** 2], -1), 1e-12),
        (lambda p: p.astype(np.float32) > 0, lambda p: (p > 0).astype(float), 0),
    ],
)
def test_callables_are_asked_as_they_require(f, wanted, tolerance):
    found = continuous(f, dim=2)
    np.testing.assert_allclose(found(POINTS), wanted(POINTS), rtol=0, atol=tolerance)
    assert found.channels == wanted(POINTS).shape[1]
    assert found.columns == "yx" and found.dim == 2


def test_dimensions_are_found_where_only_one_fits():
    assert continuous(lambda p: np.sin(p @ np.ones((3, 1)))).dim == 3
    assert continuous(Net()).dim == 2
    assert continuous(lambda p: p[:, 0] + np.cos(p[:, 1])).dim == 2
    with pytest.raises(ValueError, match="accepts points of 1 or 2 or 3 or 4 coordinates: say which"):
        continuous(lambda p: np.linalg.norm(p, axis=1))


@pytest.mark.parametrize(
    "columns, letters", [("yx", "yx"), ("xy", "yx"), ("xyt", "yxt"), ("zyx", "xyz"), ("uvxy", "uvyx"), ("t", "t")]
)
def test_rows_come_first_in_planes(columns, letters):
    assert grid_letters(columns) == letters


def test_other_conventions_are_translated():
    """[0, 1], x before y, as tiny-cuda-nn has them; and a box with sides of its own."""
    found = continuous(plane, "xy", (0, 1))
    wanted = plane((POINTS[:, ::-1] + 1) / 2)
    np.testing.assert_allclose(found(POINTS), wanted, atol=1e-14)
    found = continuous(plane, "xy", [(0, 4), (-2, 0)])
    np.testing.assert_allclose(found(POINTS), plane(np.stack([2 * POINTS[:, 1] + 2, POINTS[:, 0] - 1], -1)), atol=1e-14)
    np.testing.assert_array_equal(parse_domain("0,4,-2,0", 2), [(0, 4), (-2, 0)])
    for text in ("1", "0,1,2", "1,0", "0,nan", "a,b"):
        with pytest.raises(ValueError, match="domain"):
            parse_domain(text, 2)


def noisy(p):
    return p[:, :1] + np.random.default_rng().random((len(p), 1))


def normalised(p):
    return p[:, :1] - p[:, :1].mean()


MISTAKES = {
    "transposed": (lambda p: p.T, "returned an array|return one row|2, 37"),
    "one number": (lambda p: 1.0, "returned an array"),
    "complex": (lambda p: p[:, :1] * 1j, "complex128, not real numbers"),
    "text": (lambda p: "no", "not real numbers"),
    "random": (noisy, "answers differently when asked twice"),
    "batch": (normalised, "differently in another batch"),
    "infinite": (lambda p: 1 / np.maximum(p[:, :1], 0), "not finite at y = "),
    "train mode": (torch.nn.Sequential(Net(), torch.nn.Dropout(0.5)), "call .eval()"),
    "batch norm": (torch.nn.Sequential(Net(), torch.nn.BatchNorm1d(2)), "call .eval()"),
    "three": (lambda p: p @ np.ones((3, 1)), r"raised ValueError for points \[37, 2\]"),
    "class": (Net, "is a class: give an object"),
    "cuda": (lambda p: (_ for _ in ()).throw(RuntimeError("Expected all tensors on cuda:0")), "requires CUDA"),
}


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("name", MISTAKES)
def test_unsuitable_callables_are_refused_in_one_sentence(name):
    f, words = MISTAKES[name]
    with pytest.raises(ValueError, match=words):
        continuous(f, dim=2)


@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_differences_are_related_to_the_size_of_the_values(size):
    rng = np.random.default_rng(0)
    shaky = lambda share: lambda p: size * (p[:, :1] + share * rng.random((len(p), 1)))  # noqa: E731
    assert continuous(shaky(1e-5), dim=2).channels == 1
    with pytest.raises(ValueError, match="differently when asked twice"):
        continuous(shaky(1e-3), dim=2)
    batched = lambda share: lambda p: size * (p[:, :1] + share * len(p) / 256)  # noqa: E731
    assert continuous(batched(1e-3), dim=2).channels == 1
    with pytest.raises(ValueError, match="differently in another batch"):
        continuous(batched(1), dim=2)


def test_later_answers_are_checked_too():
    found = continuous(lambda p: np.where(p[:, :1] > 0.99, np.nan, 1.0), dim=2)
    with pytest.raises(ValueError, match=r"not finite at y = 0.995, x = 0.1"):
        found(np.array([[0.0, 0.0], [0.995, 0.1]]))
    with pytest.raises(ValueError, match=r"not \[300, 1\]"):
        continuous(lambda p: p[:200, :1], dim=2)(np.zeros((300, 2)))


def test_resolutions():
    assert parse_sizes(0, 2) == (0, 0) and parse_sizes("9,5", 2) == (9, 5)
    for wrong in ("9,5,4", 1, "a", -3):
        with pytest.raises(ValueError, match="--resolution"):
            parse_sizes(wrong, 2)


PROGRAM = """
import helper
def field(p):
    return helper.twice(p[:, :1]) + p[:, 1:]
def make():
    return lambda p: 3 * field(p)
def broken():
    return 1 / 0
class Field:
    def __call__(self, p):
        return field(p)
number = 3
"""


@pytest.fixture
def program(tmp_path):
    (tmp_path / "helper.py").write_text("def twice(x):\n    return 2 * x\n")
    (tmp_path / "signals.py").write_text("raise RuntimeError")
    (tmp_path / "mine.py").write_text(PROGRAM)
    return tmp_path / "mine.py"


def test_programs_give_objects_and_factories(program):
    wanted = 2 * POINTS[:, :1] + POINTS[:, 1:]
    for name, factor in (("field", 1), ("make", 3), ("Field", 1)):
        found = continuous(read_program(f"{program}:{name}"), dim=2)
        np.testing.assert_allclose(found(POINTS), factor * wanted, atol=1e-14)
    assert for_path(f"{program}:field") is CALLABLES


@pytest.mark.parametrize(
    "name, words",
    [(":number", "is int, not a function"), (":other", "has no other; it has"), ("", "name its field, as in"),
     (":broken", "raised ZeroDivisionError at line 8"), (":a-b", "not the name of an object")],
)  # fmt: skip
def test_programs_without_a_field_are_refused(program, name, words):
    with pytest.raises(ValueError, match=words):
        read_program(f"{program}{name}")


@pytest.mark.parametrize("suffix", [".pt", ".pt2", ".pth", ".pkl", ".ts"])
def test_files_that_can_run_code_are_refused(tmp_path, suffix):
    with pytest.raises(ValueError, match=r"a \.py of three lines: import torch; .*; then give my_field.py:field"):
        for_path(tmp_path / f"net{suffix}")


def test_onnx_models_compute_and_nothing_else(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper

    def model(nodes, initial):
        ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, c]) for n, c in (("p", 2), ("v", 3))]
        graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], initial)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)

    weights = np.arange(6, dtype=np.float32).reshape(2, 3)
    product = helper.make_node("MatMul", ["p", "w"], ["v"])
    whole = model([product], [numpy_helper.from_array(weights, "w")])
    onnx.save(whole, str(tmp_path / "net.onnx"))
    found = continuous(read_program(tmp_path / "net.onnx"))
    np.testing.assert_allclose(found(POINTS), POINTS @ weights, atol=1e-6)
    outside = model([product], [numpy_helper.from_array(weights, "w")])
    tensor = outside.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    (tmp_path / "outside.onnx").write_bytes(outside.SerializeToString())
    (tmp_path / "loop.onnx").write_bytes(model([helper.make_node("Loop", ["p"], ["v"])], []).SerializeToString())
    (tmp_path / "damaged.onnx").write_bytes(b"\xff" * 50)
    for name, words in (("outside", "weights in other files"), ("loop", "loops"), ("damaged", "not an ONNX model")):
        with pytest.raises(ValueError, match=words):
            read_program(tmp_path / f"{name}.onnx")


def test_callables_are_probed_inside_of_their_domain():
    def inside(p):
        assert p.min() >= 2 and p.max() <= 5
        return p[:, 0] * p[:, 1]

    assert continuous(inside, domain=(2.0, 5.0)).dim == 2
