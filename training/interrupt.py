"""Ctrl-C and SIGTERM as requests: no step and no file is cut in two by them."""

import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A run was interrupted, with everything saved."""


class Interrupt:
    """While entered, the first Ctrl-C or SIGTERM only sets `asked`; a second one has its usual effect."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupt":
        # Only the main thread may set what signals do; what a shell has switched off stays off.
        if threading.current_thread() is threading.main_thread():
            found = {number: signal.getsignal(number) for number in SIGNALS}
            self._before = {number: action for number, action in found.items() if action != signal.SIG_IGN}
            for number in self._before:
                signal.signal(number, self._ask)
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._restore()

    def _restore(self) -> None:
        for number, action in self._before.items():
            signal.signal(number, action)

    def __exit__(self, *_: object) -> None:
        self._restore()
