"""A correction of the library's line strengths, measured on real stars and applied to emulated spectra.

Synthetic lines are too strong or too weak, because of wrong oscillator strengths, missing lines and
departures from LTE: by tens of per cent for single lines and by ten per cent over whole molecular bands. Real
stars of known labels tell the ratio of real to synthetic optical depth. `LineCalibration` is the table of
these ratios; `LineCorrection` multiplies the optical depths of emulated spectra by them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources

import numpy as np
import torch
from torch import nn

from specvit.archive import read_archive, write_archive
from specvit.constants import SPEED_OF_LIGHT
from specvit.grid import PixelGrid
from specvit.labels import LABELS

__all__ = ["COORDINATES", "LineCalibration", "LineCorrection", "solar_log_ratio"]

_FORMAT = "specvit-line-calibration-2"
#: Sampling of tables in ln λ: 0.4 Å, a third of the FWHM of PFS MR.
LOG_STEP = 5e-5
#: Smallest and largest ratio of optical depths that is believed.
RATIO_RANGE = (0.3, 3.0)
_LOG_RATIO_RANGE = tuple(np.log(RATIO_RANGE).tolist())
#: Normalised flux below which lines are opaque, and a ratio of optical depths means nothing.
_DARKEST = 1e-3
_TEFF, _LOGG = LABELS.index("teff"), LABELS.index("logg")
_SUN = (5772.0, 4.438)

#: What a term of the correction may be proportional to, functions of labels (n, 5) that vanish at the Sun.
COORDINATES = {
    "temperature": lambda labels: 5040.0 / labels[:, _TEFF] - 5040.0 / _SUN[0],
    "gravity": lambda labels: (_SUN[1] - labels[:, _LOGG]) / 2,
}


@dataclass(frozen=True, eq=False)
class LineCalibration:
    r"""Ratio of real to synthetic optical depth against wavelength and, where there are terms, labels.

    .. math:: \ln r(λ; \ell) = a(λ) + \sum_k x_k(\ell)\, b_k(λ), \qquad τ → r τ, \quad τ = -\ln n

    with n the continuum-normalised flux at the line spread function at which the table was measured, λ in
    the rest frame of the star, and x_k the `COORDINATES`, which vanish at the Sun.

    Parameters
    ----------
    wave : ndarray, shape (n_wave,)
        Vacuum wavelengths (Å), uniform in ln λ.
    log_ratio : ndarray, shape (n_wave,)
        a(λ), the correction of the Sun.
    terms : dict of str to ndarray, shape (n_wave,)
        b_k(λ) by the name of their coordinate in `COORDINATES`; empty if the correction is one for all stars.
    limits : dict of str to tuple of float
        Lowest and highest coordinate of the stars measured, by the name of the term. Beyond them the
        correction is that of the limit.
    lsf_fwhm : float
        FWHM (Å) of the line spread function at which the table was measured.
    record : dict
        Where it comes from: stars, settings and command, as JSON can hold it.

    Raises
    ------
    ValueError
        If wavelengths are not uniform in ln λ, or a term is unknown, has no limits or another shape.

    See Also
    --------
    LineCorrection : The same on the pixels of a grid, applied to spectra.
    Emulator.calibrated : An emulator whose lines it corrects.

    Notes
    -----
    Advantage of calibrated lines: emulated spectra resemble real stars, so that a network trained on them and
    a χ² fit of them are less biased on real stars. Disadvantages: whatever is wrong with the labels of the
    stars measured enters as well, and derivatives by ``specvit.stars.starlight`` are not to be had.

    Examples
    --------
    >>> from specvit.stars import LineCalibration
    >>> calibration = LineCalibration.load()
    >>> bool((abs(calibration.log_ratio) < 1.21).all())
    True
    """

    wave: np.ndarray
    log_ratio: np.ndarray
    terms: dict = field(default_factory=dict)
    limits: dict = field(default_factory=dict)
    lsf_fwhm: float = 1.33
    record: dict = field(default_factory=dict)

    def __post_init__(self):
        wave = np.asarray(self.wave, np.float64)
        steps = np.diff(np.log(wave))
        if wave.ndim != 1 or wave.size < 2 or not np.allclose(steps, steps.mean(), rtol=1e-4):
            raise ValueError("wave must be one-dimensional and uniform in ln λ")
        for name, values in {"log_ratio": self.log_ratio, **self.terms}.items():
            if np.shape(values) != wave.shape or not np.isfinite(values).all():
                raise ValueError(f"{name} must be finite and of shape {wave.shape}, got {np.shape(values)}")
        for name in self.terms:
            if name not in COORDINATES or name not in self.limits:
                raise ValueError(f"terms must be among {tuple(COORDINATES)} and have limits, got {name!r}")

    @staticmethod
    def sampling(low, high):
        """Wavelengths of a table that covers the range from `low` to `high` (Å), ndarray (n_wave,)."""
        return low * np.exp(LOG_STEP * np.arange(int(np.ceil(np.log(high / low) / LOG_STEP)) + 1))

    @classmethod
    def identity(cls, low=7096.0, high=8854.0):
        """The correction that changes nothing, over the range from `low` to `high` (Å)."""
        wave = cls.sampling(low, high)
        return cls(wave, np.zeros(wave.size))

    @classmethod
    def load(cls, path=None):
        """Read a table from the file at `path`; by default the one that ships with the package.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged, or not a table of this format.
        """
        if path is None:
            path = resources.files("specvit") / "data" / "line_calibration.safetensors"
        archive = read_archive(path, _FORMAT, what="line calibration")
        tables = {name: values.double().numpy() for name, values in archive.tensors.items()}
        try:
            about = {name: archive.fields[name] for name in ("limits", "lsf_fwhm", "record")}
            about["limits"] = {name: tuple(pair) for name, pair in about["limits"].items()}
            log_ratio, terms = tables["log_ratio"], {name: tables[name] for name in about["limits"]}
            wave = archive.fields["first_wave"] * np.exp(LOG_STEP * np.arange(log_ratio.size))
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"line calibration: {path} lacks a part of a table ({error!r})") from error
        return cls(wave, log_ratio, terms, **about)

    def save(self, path):
        """Write the table as float16, in the safetensors format, to a file at `path`."""
        tables = {"log_ratio": self.log_ratio, **self.terms}
        fields = {
            "first_wave": float(self.wave[0]),
            "limits": self.limits,
            "lsf_fwhm": self.lsf_fwhm,
            "record": self.record,
        }
        half = {name: torch.as_tensor(np.asarray(b, np.float16)) for name, b in tables.items()}
        write_archive(path, _FORMAT, half, fields)

    def on(self, grid: PixelGrid):
        """`LineCorrection` for spectra on the pixels of `grid`.

        Raises
        ------
        ValueError
            If the grid's line spread function is not that of the table, or it is not in vacuum.
        """
        return LineCorrection(self, grid)


class LineCorrection(nn.Module):
    """A `LineCalibration` at the pixels of a grid, for stars at rest or moving.

    Optical depths do not average over wavelength, so a table belongs to the line spread function at which
    it was measured, to some 10 %. For less sharp spectra correct first, smooth afterwards.

    Parameters
    ----------
    calibration : LineCalibration
        Table of ratios.
    grid : PixelGrid
        Pixels of the spectra to be corrected, in vacuum and of about the resolution of the table.

    See Also
    --------
    LineCalibration.on : Makes one.

    Examples
    --------
    >>> import torch
    >>> from specvit import PFS_MR
    >>> correction = LineCorrection(LineCalibration.identity(), PFS_MR)
    >>> sun = torch.tensor([[5772.0, 4.44, 0.0, 0.0, 0.0]])
    >>> bool((correction.factor(sun) == 1).all())
    True
    """

    def __init__(self, calibration: LineCalibration, grid: PixelGrid):
        super().__init__()
        fwhm = grid.wave.mean() / grid.resolving_power.mean()
        if grid.medium != "vacuum":
            raise ValueError(f"grid must be in vacuum, got {grid.medium!r}")
        if not 0.8 < fwhm / calibration.lsf_fwhm < 1.25:
            raise ValueError(
                f"grid must have the line spread function of the calibration, a FWHM of "
                f"{calibration.lsf_fwhm:.2f} Å, got {fwhm:.2f} Å; correct first and smooth afterwards"
            )
        self.names = tuple(calibration.terms)
        tables = np.stack([calibration.log_ratio, *calibration.terms.values()])
        position = np.log(grid.wave / calibration.wave[0]) / LOG_STEP
        limits = np.array([calibration.limits[name] for name in self.names]).reshape(-1, 2)
        for name, value in (("_tables", tables), ("_position", position), ("_limits", limits)):
            self.register_buffer(name, torch.as_tensor(value, dtype=torch.float32), persistent=False)
        self.register_buffer("_at_rest", self._at(self._position), persistent=False)

    def log_factor(self, labels, velocity=None):
        """ln r, tensor (n, n_pixels), for labels (n, 5) and radial velocities (n,) in km/s; None: at rest."""
        if velocity is None:
            tables = self._at_rest[:, None]  # (1 + k, 1, n_pixels)
        else:
            shift = torch.log1p(velocity / SPEED_OF_LIGHT) / LOG_STEP
            tables = self._at(self._position - shift[:, None])  # (1 + k, n, n_pixels)
        total = tables[0].expand(len(labels), -1)
        for name, (low, high), table in zip(self.names, self._limits, tables[1:], strict=True):
            total = total + COORDINATES[name](labels).clamp(low, high)[:, None] * table
        return total.clamp(*_LOG_RATIO_RANGE)

    def factor(self, labels, velocity=None):
        """r, tensor (n, n_pixels), for labels (n, 5) and radial velocities (n,) in km/s; None: at rest."""
        return self.log_factor(labels, velocity).exp()

    def forward(self, lines, labels, velocity=None):
        """Corrected normalised flux, tensor (n, n_pixels).

        Parameters
        ----------
        lines : tensor, shape (n, n_pixels)
            Normalised flux on the grid.
        labels : tensor, shape (n, 5)
            Labels of the stars, in the order of `LABELS`.
        velocity : tensor, shape (n,), optional
            Radial velocity in km/s with which `lines` were made; without it they are at rest.
        """
        return lines.clamp_min(_DARKEST).pow(self.factor(labels, velocity))

    def _at(self, position):
        """The tables between samples, linearly: (...,) → (1 + k, ...)."""
        position = position.clamp(0, self._tables.shape[1] - 1.001)
        left = position.floor().long()
        return torch.lerp(self._tables[:, left], self._tables[:, left + 1], position - left)


def solar_log_ratio(observed, model, known, *, tau_err=0.005, spread=0.3):
    r"""Logarithm of the ratio of optical depths that brings a model spectrum to an observed one.

    The least-squares ratio of observed to model optical depth, with an error `tau_err` of either and a
    prior 1 ± `spread`, which decides where there are no lines:

    .. math:: r = \frac{τ_o τ_m + (σ_τ/s)^2}{τ_m^2 + (σ_τ/s)^2}

    Parameters
    ----------
    observed, model : ndarray, shape (n,)
        Normalised flux at the same resolution.
    known : ndarray of bool, shape (n,)
        Where the observation is to be believed; elsewhere the ratio is 1.
    tau_err : float
        Error of an optical depth, by a misplaced continuum or by blends with lines that the library lacks.
    spread : float
        Standard deviation of the ratios expected.

    Returns
    -------
    ndarray, shape (n,)

    Examples
    --------
    >>> model = np.array([0.9, 0.6])
    >>> observed = model**1.2  # optical depths larger by a fifth
    >>> np.exp(solar_log_ratio(observed, model, np.array([True, True]))).round(2).tolist()
    [1.2, 1.2]
    """
    tau = -np.log(np.clip(np.stack([observed, model]), _DARKEST, 1.05))
    prior = (tau_err / spread) ** 2
    ratio = (tau[0] * tau[1] + prior) / (tau[1] ** 2 + prior)
    return np.where(known, np.log(np.clip(ratio, *RATIO_RANGE)), 0.0)
