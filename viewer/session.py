"""One field under the page: its kernel, what it gives, how far that is from the truth; knows nothing of HTTP."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import nfconv
from evaluation.grids import output_shape
from evaluation.kernels import field_units, named_kernel, numbers
from evaluation.maps import fovea
from evaluation.measuring import measure
from evaluation.references import exact_reference, read_signal
from kernels import SparseKernel
from kernels.library import Kernel
from modalities import find, read_mask
from modalities.modality import Modality
from models import Field
from models.convolution import check_reach, convolve_grid
from models.filtering import Settings, points_of, prepared, silent
from models.tiled import TiledField
from models.varying import Chosen, CovarianceFilter, Filter
from signals import Signal, coordinates
from signals.masks import quotient
from viewer.fits import Fits
from viewer.foveation import Bank
from viewer.given import Given
from viewer.kernelpanel import kernel_parts
from viewer.packet import pack
from viewer.selection import Selection, downloads
from viewer.sliders import kernel_table, largest_radius, length_unit
from viewer.views import View, view_of

# While dragging a kernel may leave out this share of its L2 norm, and a result take about so many seconds.
DRAFT_TOLERANCE, DRAFT_SECONDS = 0.1, 0.06
COARSEST, FEWEST_DRAFT = 8, 1 << 13
# Gaussians of a covariance each cost more, and are painted on a coarser grid.
BRUSH_COARSER = 4
# Numbers of a result that a page is for.
LARGEST_RESULT = 1 << 26


class Session:
    """A model and, where they are known, its signal and the mask of that (paths); `open` loads them."""

    def __init__(self, model: Path, signal: Path | None, given: Given, mask: Path | None = None) -> None:
        self.model, self.path, self.mask, self.given = model, signal, mask, given
        self.step, self.problem = "waiting", ""
        self._opening = threading.Lock()
        self._started = False
        self._signal: Signal | None = None
        self._levels: dict[str, int] = {}

    def open(self) -> None:
        """Load the model, then its signal; what goes wrong is the `problem`."""
        with self._opening:
            if self._started:
                return
            self._started = True
        try:
            self.step = "loading the model"
            self.field: Field = nfconv.load(self.model).eval()
            self.kind: Modality = find(self.field.origin.modality or "field")
            self.view: View = view_of(self.field)
            self.fits, self.bank = Fits(self.field), Bank()
            if self.path:
                self.step = "reading the signal"
                weights = None if self.mask is None else read_mask(self.mask)
                self._signal = read_signal(self.path, self.field, largest_radius(self.field), weights)
            self.step = "ready"
        except (ValueError, OSError) as error:
            self.problem = str(error)

    @property
    def loaded(self) -> bool:
        """Whether the field answers."""
        return self.step in ("reading the signal", "ready")

    def state(self) -> dict[str, Any]:
        """How far opening is, and once the field is loaded everything that the page's controls need."""
        state: dict[str, Any] = {"step": self.step, "problem": self.problem, "loaded": self.loaded}
        if not self.loaded:
            return state
        field, origin = self.field, self.field.origin
        return state | self.view.facts() | {
            "kind": self.view.kind, "modality": self.kind.name, "source": origin.source, "shape": list(origin.shape),
            "order": field.config.order,
            "half_size": list(origin.half_size), "largest": largest_radius(field), "unit": length_unit(field),
            "psnr": field.psnr if np.isfinite(field.psnr) else None, "signal": self.path is not None,
            "varies": self.varies, "resizes": any(self._flags()), "results": downloads(self.kind),
            "kernels": kernel_table(field), "pictures": self.given.names,
        }  # fmt: skip

    @property
    def varies(self) -> bool:
        """Whether kernels may vary over it: pictures filtered along both axes."""
        return self.field.config.dim == 2 and len(self.field.config.axes) == 2

    def _flags(self) -> tuple[str, ...]:
        return self.kind.flags_of(self.field.origin.metadata)

    def shape(self, selection: Selection) -> tuple[int, ...]:
        """Samples of the result; raises ValueError for more than a page is for."""
        sizes = self.sizes(selection)
        shape = output_shape(self.kind, self.field, sizes)
        if float(np.prod(shape)) * self.field.config.channels > LARGEST_RESULT:
            raise ValueError(f"{' x '.join(map(str, shape))} samples are too many for the page: copy the command")
        return shape

    def sizes(self, selection: Selection) -> dict[str, int | None]:
        """The options of `eval.py` that size the result."""
        if selection.size == "1":
            return {}
        return {flag: max(1, round(n * float(selection.size)))
                for flag, n in zip(self._flags(), self.field.origin.shape, strict=True) if flag}  # fmt: skip

    def kernel(self, selection: Selection) -> Kernel:
        """The kernel as the command line has it; raises ValueError."""
        named: dict[str, Any] = dict(selection.named)
        if "kernel_image" in named:
            named["kernel_image"] = str(self.given.picture(named["kernel_image"]))
        kernel = nfconv.gaussian() if selection.vary == "brush" else named_kernel(named, field_units(self.field))
        assert kernel is not None
        return kernel

    def chosen(self, selection: Selection, draft: bool = False) -> Chosen:
        """The kernel's Diracs, with the map by which they vary; raises ValueError as `eval.py` does."""
        if selection.vary != "fixed" and not self.varies:
            raise ValueError("kernels vary over pictures that are filtered along rows and columns")
        if selection.vary == "brush":
            found: Chosen = CovarianceFilter(self.given.map(selection.map), self.field.config.order)
        else:
            sparse = (self.fits.coarse if draft else self.fits.exact)(self.kernel(selection))
            factors = None
            if selection.vary == "fovea":
                ends = {"least": selection.least, "most": selection.most}
                least, most = (numbers(text, 1, name)[0] for name, text in ends.items())
                values = fovea(self.field.origin.shape, selection.row, selection.column)[..., None].astype(float)
                factors = least + (most - least) * values
            found = Filter((sparse,), factors=factors)
        if not self.field.origin.released:
            check_reach(self.field, found.radius.tolist())
        return found

    def result(self, selection: Selection, draft: bool) -> bytes:
        """The filtered signal as the page shows it: coarse and quick (`draft`) or as it is."""
        start, notes = time.perf_counter(), list[str]()
        chosen = self.chosen(selection, draft)
        # Warnings need measuring: at rest only.
        settings = {"notify": notes.append} if not draft else {"notify": silent, "tolerance": DRAFT_TOLERANCE}
        what = selection.named["kernel"] + selection.vary
        level, shape = self._levels.get(what, 1), self.shape(selection)
        if draft:
            coarser = level * (BRUSH_COARSER if selection.vary == "brush" else 1)
            shape = self.view.coarse(self.field.origin.shape, coarser)
        # Fits come once, results with every move.
        fitted = time.perf_counter()
        values = self._filtered(chosen, shape, selection if draft else None, settings)
        parts = self.view.parts(values, chosen.signed or None, draft)
        end = time.perf_counter()
        if draft:
            self._adapt(what, level, end - fitted, math.prod(shape))
        facts = {"ms": round(1000 * (end - start), 1), "notes": notes, "shape": list(values.shape), "draft": draft}
        return pack(facts | {"diracs": chosen.facts["diracs"], "radius": float(chosen.radius.max())}, parts)

    def _adapt(self, name: str, level: int, seconds: float, count: int) -> None:
        """Drag on a coarser grid where a result of `count` samples takes too long, on a finer one where it is cheap."""
        if seconds > 2 * DRAFT_SECONDS and level < COARSEST and count > FEWEST_DRAFT:
            self._levels[name] = 2 * level
        elif seconds < DRAFT_SECONDS / 6 and level > 1:
            self._levels[name] = level // 2

    def _filtered(
        self, chosen: Chosen, shape: tuple[int, ...], draft: Selection | None, settings: Mapping[str, Any]
    ) -> np.ndarray:
        if draft is None or isinstance(chosen, CovarianceFilter):
            return chosen.apply(self.field, shape, **settings)
        kernel = chosen.kernels[0]
        if chosen.factors is not None:

            def at_size(size: float) -> np.ndarray:
                return self.field.filter(kernel, shape, scale=size, **settings)

            return self.bank.blend(tuple(sorted(draft.named.items())), chosen, shape, at_size)
        alone = self.view.frame(self.field.origin.shape, draft.frame)
        if alone is None or self.field.origin.metadata.known is not None:
            return self.field.filter(kernel, shape, **settings)
        return self._slice(kernel, *alone, settings)

    def _slice(self, kernel: SparseKernel, axis: int, number: int, settings: Mapping[str, Any]) -> np.ndarray:
        """One sample along an axis, everything along the others."""
        grid = [torch.as_tensor(coordinates(n)) for n in self.field.origin.shape]
        grid[axis] = grid[axis][number : number + 1]
        if isinstance(self.field, TiledField):
            points = points_of(grid).numpy()
            return self.field.filter(kernel, at=points, **settings).reshape(*map(len, grid), -1)
        chosen = Settings(**settings)
        field = prepared(self.field, kernel, 1.0, 1.0, chosen)
        values = convolve_grid(field, kernel, grid, chosen.block, None, chosen.tolerance)
        return values.float().cpu().numpy()

    def _known(self) -> Signal:
        """The signal; raises ValueError where there is none, or none yet."""
        if self._signal is None:
            raise ValueError("give --signal to see the signal and the error" if self.path is None else self.step)
        return self._signal

    def signal(self) -> bytes:
        """The signal as the page shows it; raises ValueError where it is not known."""
        signal = self._known()
        core = quotient(signal.core, signal.metadata.known)
        return pack({"shape": list(core.shape)}, self.view.parts(core, None, False))

    def kernel_panel(self, selection: Selection) -> bytes:
        """The kernel with its Diracs."""
        chosen = self.chosen(selection)
        if isinstance(chosen, CovarianceFilter):
            raise ValueError("every point has a Gaussian of its own")
        return pack({"diracs": len(chosen.kernels[0]), "signed": chosen.signed}, kernel_parts(chosen.kernels[0]))

    def error(self, selection: Selection) -> bytes:
        """How far the result is from the exact answer, on the signal's own grid, whatever its size on the page."""
        signal, chosen = self._known(), self.chosen(selection)
        reference = exact_reference(signal, self.kernel(selection), chosen, self.field)
        result = chosen.apply(self.field, reference.before.shape[:-1])
        metrics = measure(result, reference, chosen.radius, self.field)["whole"]
        facts: dict[str, Any] = {"metrics": {name: value for name, value in metrics.items() if np.isfinite(value)}}
        if reference.rows is not None:
            return pack(facts | {"points": len(reference.rows)}, {})
        facts["largest"] = float(np.abs(result - reference.asked).max())
        return pack(facts, self.view.error(result, reference.asked))


Answer = Callable[[Session, Selection], bytes]
ANSWERS: dict[str, Answer] = {
    "draft": partial(Session.result, draft=True),
    "result": partial(Session.result, draft=False),
    "kernel": Session.kernel_panel,
    "error": Session.error,
}
