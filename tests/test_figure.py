"""Figures of kernels: every panel of every number of axes, what they show, and which get diverging colours."""

import imageio.v3 as imageio
import matplotlib.pyplot as plt
import numpy as np
import pytest

from kernels import library, minimal_kernel
from kernels.figure import kernel_figure, kernel_picture, save_figure
from kernels.separate import is_signed


def numbers_of(figure) -> list[tuple]:
    """Titles, limits, colours and values of every picture of a figure."""
    return [(axes.get_title(), axes.images[0]) for axes in figure.axes if axes.images]


@pytest.mark.parametrize(
    ("kernel", "exact", "panels"),
    [
        (minimal_kernel(2, 0.1), None, 2),
        (minimal_kernel(1, 0.1), library.tent(half_size=0.1).target(), 3),
        (minimal_kernel(1, 0.1, 3, (1,)), None, 2),
        (minimal_kernel(1, (0.1, 0.2), 2), library.tent(half_size=0.2).target(2), 7),
        (minimal_kernel(0, 0.1, 3), None, 6),
        (minimal_kernel(0, 0.1, 3), library.box(half_size=0.1).target(3), 12),
    ],
)
def test_figures_of_any_kernel(kernel, exact, panels):
    figure = kernel_figure(kernel, exact)
    # Pictures have a colour bar each.
    assert len(figure.axes) == panels
    pixels = kernel_picture(kernel, exact)
    assert pixels.dtype == np.uint8
    assert pixels.shape[-1] == 3
    assert pixels.std() > 10
    assert not plt.get_fignums()


def test_figure_shows_the_kernel_its_diracs_and_what_is_beyond():
    kernel = minimal_kernel(1, 0.1)
    figure = kernel_figure(kernel, library.tent(half_size=0.12).target())
    curve, stems, error = figure.axes
    wanted, fit = (line.get_data() for line in curve.lines)
    for (x, y), radius in ((wanted, 0.12), (fit, 0.1)):
        np.testing.assert_allclose(y, np.maximum(0, 1 - np.abs(x) / radius) / radius, atol=1e-9)
        np.testing.assert_allclose(x[[0, -1]], [-1.3 * 0.12, 1.3 * 0.12])
    np.testing.assert_allclose(error.lines[0].get_ydata(), fit[1] - wanted[1])
    assert [list(axes.lines[-1].get_ydata()) for axes in (stems, error)] == [[0, 0]] * 2
    dots = stems.collections[-1].get_offsets()
    np.testing.assert_allclose(dots, np.column_stack([kernel.positions[:, 0], kernel.weights]))
    assert figure.get_suptitle() == "order 1, 3 Diracs, mass 1"
    np.testing.assert_allclose(curve.patches[0].get_extents().transformed(curve.transData.inverted()).x0, -0.1)
    assert [axes.get_xlabel() for axes in kernel_figure(kernel).axes] == ["", "x, domain units"]


def test_planes_show_target_kernel_and_error_with_rows_downwards():
    kernel, exact = minimal_kernel(1, (0.1, 0.2), 2), library.tent(half_size=0.2).target(2)
    figure = kernel_figure(kernel, exact)
    panels = dict(numbers_of(figure))
    assert list(panels) == ["target", "kernel", "error"]
    # The largest values are in the middle: 1 / (s_1 s_2).
    arrays = {title: np.asarray(image.get_array()) for title, image in panels.items()}
    assert arrays["kernel"].shape == (401, 401)
    np.testing.assert_allclose([arrays["kernel"][200, 200], arrays["target"][200, 200]], [50.0, 25.0])
    np.testing.assert_allclose(arrays["error"], arrays["kernel"] - arrays["target"])
    np.testing.assert_allclose(panels["kernel"].get_extent(), [-0.26, 0.26, 0.26, -0.26])
    np.testing.assert_allclose(panels["kernel"].get_clim(), [0.0, 50.0], atol=1e-9)
    np.testing.assert_allclose(panels["error"].get_clim(), [-25.0, 25.0])
    alone = kernel_figure(kernel).axes[0].images[0]
    np.testing.assert_allclose(alone.get_extent(), [-0.26, 0.26, 0.13, -0.13])
    frame = figure.axes[1].patches[0]
    np.testing.assert_allclose([frame.get_x(), frame.get_y(), frame.get_width(), frame.get_height()],
                               [-0.2, -0.1, 0.4, 0.2])  # fmt: skip
    diracs = figure.axes[3]
    found = np.array(sorted(map(tuple, diracs.collections[0].get_offsets())))
    np.testing.assert_allclose(found, sorted(map(tuple, kernel.positions[:, ::-1])), atol=1e-12)
    np.testing.assert_allclose([diracs.get_xlim(), diracs.get_ylim()], [(-0.26, 0.26), (0.26, -0.26)])
    sizes = diracs.collections[0].get_sizes()
    # Areas follow the roots of the weights, the largest 60 for few Diracs: 4, 2 and 1 times h^-4 here.
    np.testing.assert_allclose(np.unique(sizes.round(6)), [60 * 0.5 + 0.3, 60 / np.sqrt(2) + 0.3, 60.3], rtol=1e-6)


def test_dots_shrink_as_they_get_nearer():
    def largest(count):
        kernel = library.gaussian(sigma=0.1, count=count).sparse(1, 2)
        assert len(kernel) == count**2
        return kernel_figure(kernel).axes[1].collections[0].get_sizes().max()

    assert largest(7) == pytest.approx(largest(20))
    assert largest(40) - 0.3 == pytest.approx((largest(20) - 0.3) / 2)


def test_slices_go_through_the_middle():
    kernel = minimal_kernel(1, (0.1, 0.2, 0.3), 4, (0, 1, 3))
    panels = numbers_of(kernel_figure(kernel, library.tent(half_size=0.3).target(3)))
    assert [title for title, _ in panels[:3]] == [
        "target, axes 0 and 1",
        "target, axes 0 and 3",
        "target, axes 1 and 3",
    ]
    assert [title for title, _ in panels[3:]] == [
        "kernel, axes 0 and 1",
        "kernel, axes 0 and 3",
        "kernel, axes 1 and 3",
    ]
    for _, image in panels:
        values = np.asarray(image.get_array())
        assert values.shape == (201, 201)
        assert values.argmax() == 201 * 100 + 100
    np.testing.assert_allclose(panels[3][1].get_array().max(), 1 / (0.1 * 0.2 * 0.3))


@pytest.mark.parametrize("kernel", [library.lanczos(radius=0.2, count=9), library.log(sigma=0.1, count=9)])
@pytest.mark.parametrize("dim", [2, 3])
def test_figures_and_results_agree_on_what_is_signed(kernel, dim):
    sparse = kernel.sparse(1, dim)
    for _, image in numbers_of(kernel_figure(sparse)):
        low, high = image.get_clim()
        assert (low == -high) == is_signed(sparse)
        assert (image.get_cmap().name == "RdBu_r") == is_signed(sparse)
        # Lobes below zero are not cut off either.
        assert low <= image.get_array().min()


def test_saved_figures_are_pngs_and_targets_of_other_axes_are_refused(tmp_path):
    kernel = minimal_kernel(1, 0.1)
    assert imageio.imread(save_figure(tmp_path / "tent.png", kernel)).ndim == 3
    with pytest.raises(ValueError, match="target of 2 axes does not belong to a kernel of 1"):
        save_figure(tmp_path / "none.png", kernel, library.gaussian(sigma=0.1).target(2))
    assert not (tmp_path / "none.png").exists()
