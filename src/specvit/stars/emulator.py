"""A smooth emulator of stellar spectra: a torch module that turns labels into flux on a pixel grid."""

from __future__ import annotations

import copy
from os import PathLike

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from specvit.grid import PixelGrid
from specvit.grid.gaussian import smoothing_matrix
from specvit.labels import LABELS
from specvit.stars.emulatorcheck import validation_report
from specvit.stars.emulatorfile import read_emulator_parts, write_emulator
from specvit.stars.emulatorfit import spectral_basis, split_library, train_networks
from specvit.stars.labelnetworks import LabelNetworks
from specvit.stars.library import SyntheticLibrary
from specvit.stars.linecalibration import LineCalibration

__all__ = ["NATIVE_LSF_FRACTION", "Emulator"]

#: The spectra are held at this fraction of the grid's LSF width, so that an LSF 10 % narrower than
#: nominal can still be made by smoothing.
NATIVE_LSF_FRACTION = 0.85
#: Spectra that are smoothed at once: in double precision all components would take five times their memory.
_SMOOTHED_AT_ONCE = 30


class Emulator(LabelNetworks):
    """Labels → spectrum on a `PixelGrid` at its line spread function.

    The continuum-normalised spectrum and the logarithm of the continuum are linear in principal
    components whose coefficients are small SiLU networks of the labels (5040 K/Teff and the rest):

    .. math:: F_λ(\\ell) = \\Big[\\bar n + \\sum_k c_k(\\ell)\\, n_k\\Big]
              \\exp\\Big[\\bar q + \\sum_k d_k(\\ell)\\, q_k\\Big].

    The network is the form of The Payne (Ting et al. 2019, ApJ 879, 69). Everything is smooth and
    well scaled, so float32 evaluation agrees with float64 and autograd gives usable derivatives.

    Parameters
    ----------
    grid : PixelGrid
        Pixels and line spread function of the result.
    wave : ndarray, shape (n_wave,)
        Vacuum wavelengths (Å) on which the components are held.
    mean, components : ndarray, shapes (n_wave,) and (k, n_wave)
        Components of the normalised flux, at `NATIVE_LSF_FRACTION` of the grid's LSF.
    continuum_wave : ndarray, shape (n_knots,)
        Wavelengths (Å) on which the components of ln(continuum) are held.
    continuum_mean, continuum_components : ndarray, shapes (n_knots,) and (m, n_knots)
        Components of ln(continuum).
    label_range : ndarray, shape (2, 5)
        Lowest and highest value of each label in the library the emulator was fitted on.
    width : int
        Width of the line networks' three hidden layers; the continuum's two have a third of it.
    members : int
        Number of line networks, trained from different seeds, whose mean is taken: their errors between
        the library's points differ and average out.

    Attributes
    ----------
    pixel_mean, pixel_components : tensor, shapes (n_pixels,) and (k, n_pixels)
        `mean` and `components` at the grid's pixels and line spread function, for stars at rest.
    pixel_continuum_mean, pixel_continuum_components : tensor, shapes (n_pixels,) and (m, n_pixels)
        `continuum_mean` and `continuum_components` at the grid's pixels.
    record : dict
        How the emulator was fitted and what it is worth.
    correction : LineCorrection or None
        What `calibrated` put on its lines.

    See Also
    --------
    regrid_emulator : The emulator of the same stars for another spectrograph.

    Examples
    --------
    >>> sun = torch.tensor([[5772.0, 4.44, 0.0, 0.0, 0.0]])
    >>> Emulator.load()(sun).shape
    torch.Size([1, 4096])
    """

    def __init__(
        self,
        grid: PixelGrid,
        wave,
        mean,
        components,
        continuum_wave,
        continuum_mean,
        continuum_components,
        label_range,
        width=192,
        members=4,
    ):
        super().__init__(len(components), len(continuum_components), label_range, width, members)
        self.grid = grid
        self.record = {}
        self.correction = None
        self.wave = np.asarray(wave, np.float64)
        self.mean, self.components = np.asarray(mean, np.float32), np.asarray(components, np.float32)
        self.continuum_wave = np.asarray(continuum_wave, np.float64)
        self.continuum_mean = np.asarray(continuum_mean, np.float32)
        self.continuum_components = np.asarray(continuum_components, np.float32)
        for name, value in (
            ("pixel_mean", self.to_grid(self.mean[None])[0]),
            ("pixel_components", self.to_grid(self.components)),
            ("pixel_continuum_mean", self._continuum_to_grid(self.continuum_mean[None])[0]),
            ("pixel_continuum_components", self._continuum_to_grid(self.continuum_components)),
        ):
            self.register_buffer(name, torch.as_tensor(value, dtype=torch.float32), persistent=False)

    def __repr__(self):
        ranges = zip(LABELS, self.label_range.T.tolist(), strict=True)
        text = ", ".join(f"{name} {low:.4g} to {high:.4g}" for name, (low, high) in ranges)
        return f"Emulator({self.grid!r}, {text}{', calibrated' if self.correction is not None else ''})"

    # -- spectra ---------------------------------------------------------------------------------

    def normalised(self, labels):
        """Continuum-normalised flux, tensor (n, n_pixels), for `labels` (n, 5)."""
        return self.correct(self.lines(self.coefficients(labels)[0]), labels)

    def calibrated(self, calibration=None):
        """A copy whose lines the `LineCalibration` `calibration` corrects; by default the one that ships."""
        calibration = LineCalibration.load() if calibration is None else calibration
        corrected = copy.deepcopy(self)
        corrected.correction = calibration.on(self.grid).to(self.label_range)
        corrected.record = self.record | {"calibration": calibration.record}
        return corrected

    def correct(self, lines, labels, velocity=None):
        """Normalised flux `lines` of stars of `labels` at `velocity` (n,) km/s, corrected if `calibrated`."""
        return lines if self.correction is None else self.correction(lines, labels, velocity)

    def continuum(self, labels):
        """Continuum F_λ at the stellar surface (erg/s/cm²/Å), tensor (n, n_pixels), for `labels` (n, 5)."""
        return torch.exp(self.log_continuum(self.coefficients(labels)[1]))

    def lines(self, coefficients):
        """Continuum-normalised flux, tensor (n, n_pixels), for its `coefficients` (n, k)."""
        return torch.addmm(self.pixel_mean, coefficients, self.pixel_components)

    def log_continuum(self, coefficients):
        """Natural logarithm of the continuum, tensor (n, n_pixels), for its `coefficients` (n, m)."""
        return torch.addmm(self.pixel_continuum_mean, coefficients, self.pixel_continuum_components)

    def forward(self, labels):
        """Flux F_λ at the stellar surface (erg/s/cm²/Å), tensor (n, n_pixels), for `labels` (n, 5).

        Labels are Teff [K], log g, [M/H], [alpha/M], [C/M] (`LABELS`), a float tensor on the
        emulator's device and of its dtype. `check_labels` refuses those outside `label_range`,
        where the network extrapolates.
        """
        return self.normalised(labels) * self.continuum(labels)

    # -- from the components' own sampling to the grid ---------------------------------------------

    def to_grid(self, spectra, velocity=0.0, lsf_scale=1.0):
        """Spectra held on `wave`, shape (k, n_wave), on the grid's pixels: ndarray (k, n_pixels).

        Parameters
        ----------
        spectra : ndarray, shape (k, n_wave)
            At `NATIVE_LSF_FRACTION` of the grid's LSF, as `mean` and `components` are.
        velocity : float
            Radial velocity in km/s.
        lsf_scale : float
            LSF width of the result relative to the grid's, above `NATIVE_LSF_FRACTION`.
        """
        sigma = self.grid.lsf_sigma * np.sqrt(lsf_scale**2 - NATIVE_LSF_FRACTION**2)
        matrix = smoothing_matrix(self.wave, sigma, self.grid.wave, velocity)
        some = (spectra[k : k + _SMOOTHED_AT_ONCE] for k in range(0, len(spectra), _SMOOTHED_AT_ONCE))
        return np.concatenate([matrix @ few.T.astype(np.float64) for few in some], 1).T

    def _continuum_to_grid(self, curves):
        # A cubic through 32 knots: the continuum has curvature but no structure between knots.
        return CubicSpline(self.continuum_wave, curves, axis=1)(self.grid.wave)

    # -- made from a library --------------------------------------------------------------------------

    @classmethod
    def fit(
        cls,
        library: SyntheticLibrary,
        grid: PixelGrid,
        *,
        held_out=1 / 9,
        split_seed=0,
        n_components=120,
        n_continuum=6,
        width=192,
        members=4,
        steps=8_000,
        batch_size=512,
        learning_rate=5e-3,
        max_velocity=20.0,
        seed=0,
        device="cpu",
        progress=None,
    ):
        """Fit an emulator to a library and measure it on spectra held out of the fit.

        The coefficients of the principal components are regressed on the labels, see
        `~specvit.stars.emulatorfit.train_networks`.

        Parameters
        ----------
        library : SyntheticLibrary
            From `~specvit.stars.read_library`. Carbon stars are left out. For a star at ±20 km/s and the
            widest LSF it must be sharper than 0.85 of the grid's LSF and reach 10 σ + 1 Å further than
            the pixels.
        grid : PixelGrid
            Pixels and LSF of the result, in vacuum, any within the library's range.
        held_out : float
            Share of the library kept for the report.
        split_seed : int
            Seed of the choice of these spectra.
        n_components, n_continuum : int
            Principal components of the normalised flux and of ln(continuum).
        width, members : int
            Width and number of the networks for the lines, see `Emulator`.
        steps, batch_size, learning_rate
            Settings of Adam, with warm-up and a cosine schedule, for each network.
        max_velocity : float
            Velocity of stars, in km/s, that the emulator can shift to: it keeps so much more of the library
            on either side.
        seed : int
            Seed of the networks' first weights and of the order of spectra; it determines the result.
        device : str or torch.device
            Where the networks are trained; the emulator comes back on the CPU.
        progress : callable, optional
            Called with (step, loss) every 500 steps.

        Returns
        -------
        Emulator
            Its ``record["validation"]`` is a `~specvit.stars.emulatorcheck.validation_report` of the spectra
            that ``record["held_out"]`` lists; both are saved with it.

        Raises
        ------
        ValueError
            If `held_out` leaves none or all, `grid` is in air, or the library is not as sharp or does not
            reach as far as the grid and `max_velocity` ask.
        """
        fitted, kept = split_library(library, held_out, split_seed)
        stars = library[fitted]
        basis = spectral_basis(
            stars,
            grid,
            NATIVE_LSF_FRACTION,
            n_components=n_components,
            n_continuum=n_continuum,
            max_velocity=max_velocity,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            emulator = cls(
                grid,
                basis.wave,
                basis.mean,
                basis.components,
                basis.continuum_wave,
                basis.continuum_mean,
                basis.continuum_components,
                np.stack([stars.labels.min(0), stars.labels.max(0)]),
                width,
                members,
            )
            x = emulator.scaled(torch.as_tensor(stars.labels, dtype=torch.float32)).to(device)
            emulator.set_scales(basis.coefficients.std(0), basis.continuum_coefficients.std(0))
            options = {"steps": steps, "batch_size": batch_size, "learning_rate": learning_rate}
            train_networks(
                emulator.networks, emulator.continuum_network, basis, x, **options, progress=progress
            )
        emulator.eval().requires_grad_(False)
        emulator.record = {
            "labels": LABELS,
            "n_spectra": len(stars),
            "n_components": n_components,
            "steps": steps,
            "batch_size": batch_size,
            "seed": seed,
            "held_out": kept.tolist(),
            "validation": validation_report(emulator, library[kept]),
            "torch": torch.__version__,
        }
        return emulator

    # -- on disk -----------------------------------------------------------------------------------

    def save(self, path: str | PathLike[str]) -> None:
        """Write the emulator to the safetensors file `path`, its grid and record in the header."""
        write_emulator(path, self)

    @classmethod
    def load(cls, path: str | PathLike[str] | None = None, *, calibrated: bool = False) -> Emulator:
        """Read the emulator at `path`, by default the one that ships (PFS MR); `calibrated`: for real stars.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is truncated, damaged or not an emulator.
        """
        parts = read_emulator_parts(path)
        try:
            emulator = cls(
                parts.grid,
                *parts.arrays,
                parts.state["label_range"].numpy(),
                width=parts.state["networks.0.0.weight"].shape[0],
                members=len({name.split(".")[1] for name in parts.state if name.startswith("networks.")}),
            )
            emulator.load_state_dict(parts.state)
        except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
            raise ValueError(f"emulator: {parts.path} lacks a part of an emulator ({error})") from error
        emulator.record = parts.record
        emulator = emulator.eval().requires_grad_(False)
        return emulator.calibrated() if calibrated else emulator
