"""A survey in a few lines, for people; its ``repr`` has every argument and goes into records."""

from __future__ import annotations

import html

from specvit.labels import LABELS, label_of

__all__ = ["Shown"]


class Shown:
    """What surveys have to be printed and shown in notebooks.

    See Also
    --------
    specvit.survey.Survey : Has it.

    Examples
    --------
    >>> from specvit import Survey
    >>> print(Survey("paper", n=1000))
    Survey 'paper', 1,000 stars, seed 0
      stars:  Teff 3750–6000 K, log g 1–5, [M/H] -1–0, [alpha/M] -0.2–0.5, [C/M] -0.6–0.5 (LabelPrior)
      pixels: PixelGrid('PFS MR', 7100.0–8850.0 Å in vacuum, 4096 pixels, R = 5372–6596)
      noise:  PFSNoise, AB magnitude 20.5–22.5
    """

    def __str__(self):
        rows = self._shown()
        width = max(map(len, rows)) + 1
        lines = (f"  {what + ':':{width}} {text}" for what, text in rows.items())
        return "\n".join([self._heading(), *lines])

    def _repr_html_(self):
        facts = self._shown().items()
        rows = "".join(f"<tr><th>{what}</th><td>{html.escape(text)}</td></tr>" for what, text in facts)
        return f"<table><caption>{html.escape(self._heading())}</caption>{rows}</table>"

    def _heading(self):
        many = "without end" if self.n is None else f"{self.n:,} stars"
        return f"Survey {self.name!r}, {many}, seed {self.seed}"

    def _shown(self):
        """Its facts, a dict of str to str."""
        known = ((label_of(name), self.label_range[name]) for name in LABELS)
        stars = ", ".join(f"{one.plain} {_range(limits)}{' K' * (one.unit == 'K')}" for one, limits in known)
        limits, brightness = self.brightness_limits, ""
        if limits is not None:
            word = "S/N" if self.noise.brightness == "snr" else "AB magnitude"
            brightness = f", {word} {_range(limits)}"
        facts = {
            "stars": f"{stars} ({type(self.prior).__name__})",
            "pixels": repr(self.grid),
            "noise": f"{type(self.noise).__name__}{brightness}",
        }
        if self.velocity:
            facts["velocity"] = f"{_range((self.velocity.low, self.velocity.high))} km/s"
        if self.masked:
            facts["masked"] = ", ".join(map(_range, self.masked)) + " Å"
        return facts


def _range(limits):
    low, high = limits
    return f"{low:g}" if low == high else f"{low:g}–{high:g}"
