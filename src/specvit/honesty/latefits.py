"""Doubtful spectra of many pieces, examined together: a GPU takes for a few as long as for thousands."""

from __future__ import annotations

import torch

from specvit.honesty.examination import examine
from specvit.honesty.screening import line_model, screened

__all__ = ["LateFits"]

#: Spectra that are kept until they are fitted, on a processor and on a GPU.
_TOGETHER, _ON_GPU = 64, 4096


class LateFits:
    """Screens pieces at once, and examines what is doubtful of them later.

    Parameters
    ----------
    device : str
        Where spectra are fitted.
    """

    def __init__(self, device):
        self.device, self._waiting = device, []
        self._together = _ON_GPU if device.startswith("cuda") else _TOGETHER

    def screened(self, given, snr):
        """`Findings` of a piece, which `finish` completes.

        Parameters
        ----------
        given : tuple of Tensor or None
            Arguments of `~specvit.honesty.examination.examine` after the model.
        snr : ndarray, shape (n,)
            Median signal-to-noise ratio per pixel.
        """
        found, rows, some = screened(given, snr, self.device)
        if len(rows):
            self._waiting.append((found, rows, some))
        if sum(len(rows) for _, rows, _ in self._waiting) >= self._together:
            self.finish()
        return found

    def finish(self):
        """Examine what waits, and put it into the `Findings` that were returned."""
        if not self._waiting:
            return
        columns = zip(*(some for _, _, some in self._waiting), strict=True)
        together = (None if column[0] is None else torch.cat(column) for column in columns)
        answers, first = examine(line_model(self.device), *together), 0
        for found, rows, _ in self._waiting:
            found.put(rows, answers.part(slice(first, first + len(rows))))
            first += len(rows)
        self._waiting = []
