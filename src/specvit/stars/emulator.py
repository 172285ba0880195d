"""A smooth emulator of stellar spectra: a torch module that turns labels into flux on a pixel grid."""

from __future__ import annotations

import copy
from importlib import resources
from itertools import pairwise

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import nn

from specvit.archive import read_archive, write_archive
from specvit.grid import PixelGrid
from specvit.grid.gaussian import smoothing_matrix
from specvit.labels import LABELS
from specvit.stars.calibration import LineCalibration
from specvit.stars.emulatorcheck import validation_report
from specvit.stars.emulatorfit import spectral_basis, split_library, train_networks
from specvit.stars.library import SyntheticLibrary

__all__ = ["NATIVE_LSF_FRACTION", "Emulator"]

#: The spectra are held at this fraction of the grid's LSF width, so that an LSF 10 % narrower than
#: nominal can still be made by smoothing.
NATIVE_LSF_FRACTION = 0.85

_FORMAT = "specvit-emulator-1"
#: Arrays of a file, in the order in which `Emulator` takes them.
_ARRAYS = ("wave", "mean", "components", "continuum_wave", "continuum_mean", "continuum_components")


class Emulator(nn.Module):
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
        super().__init__()
        self.grid = grid
        self.record = {}
        self.correction = None
        self.wave = np.asarray(wave, np.float64)
        self.mean, self.components = np.asarray(mean, np.float32), np.asarray(components, np.float32)
        self.continuum_wave = np.asarray(continuum_wave, np.float64)
        self.continuum_mean = np.asarray(continuum_mean, np.float32)
        self.continuum_components = np.asarray(continuum_components, np.float32)
        self.n_components, self.n_continuum = len(self.components), len(self.continuum_components)
        self.networks = nn.ModuleList(
            _mlp(len(LABELS), width, width, width, self.n_components) for _ in range(members)
        )
        # A network of its own: sharing one costs the line spectrum half of its accuracy.
        self.continuum_network = _mlp(len(LABELS), width // 3, width // 3, self.n_continuum)
        label_range = torch.as_tensor(np.asarray(label_range), dtype=torch.float64)
        self.register_buffer("label_range", label_range.float())
        ends = self._abscissa(label_range)
        self.register_buffer("_centre", ends.mean(0).float())
        self.register_buffer("_half_range", ((ends[1] - ends[0]).abs() / 2).float())
        self.register_buffer("_scale", torch.ones(self.n_components))
        self.register_buffer("_continuum_scale", torch.ones(self.n_continuum))
        for name, value in (
            ("_mean", self.to_grid(self.mean[None])[0]),
            ("_components", self.to_grid(self.components)),
            ("_continuum_mean", self._continuum_to_grid(self.continuum_mean[None])[0]),
            ("_continuum_components", self._continuum_to_grid(self.continuum_components)),
        ):
            self.register_buffer(name, torch.as_tensor(value, dtype=torch.float32), persistent=False)

    # -- spectra ---------------------------------------------------------------------------------

    def coefficients(self, labels):
        """Coefficients of the components, tensors of shapes (n, k) and (n, m), for `labels` (n, 5)."""
        x = self.scaled(labels)
        mean = torch.stack([network(x) for network in self.networks]).mean(0)
        return mean * self._scale, self.continuum_network(x) * self._continuum_scale

    def scaled(self, labels):
        """The networks' input: `labels` mapped to [−1, 1] over the library's range, tensor (n, 5)."""
        return (self._abscissa(labels) - self._centre) / self._half_range

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
        return torch.addmm(self._mean, coefficients, self._components)

    def log_continuum(self, coefficients):
        """Natural logarithm of the continuum, tensor (n, n_pixels), for its `coefficients` (n, m)."""
        return torch.addmm(self._continuum_mean, coefficients, self._continuum_components)

    def forward(self, labels):
        """Flux F_λ at the stellar surface (erg/s/cm²/Å), tensor (n, n_pixels), for `labels` (n, 5).

        Labels are Teff [K], log g, [M/H], [alpha/M], [C/M] (`LABELS`), a float tensor on the
        emulator's device and of its dtype. `check_labels` refuses those outside `label_range`,
        where the network extrapolates.
        """
        return self.normalised(labels) * self.continuum(labels)

    def check_labels(self, labels):
        """Raise ValueError if one of `labels` (n, 5) is outside the range of the library, and name it."""
        values = torch.as_tensor(labels)
        if values.ndim != 2 or values.shape[1] != len(LABELS):
            raise ValueError(f"labels must have shape (n, {len(LABELS)}), got {tuple(values.shape)}")
        for name, column, (low, high) in zip(LABELS, values.T, self.label_range.T.tolist(), strict=True):
            bad = ~((column >= low) & (column <= high))
            if bad.any():
                raise ValueError(
                    f"labels: {name} must lie in [{low:.4g}, {high:.4g}], got {column[bad][0].item():.4g}"
                )

    @staticmethod
    def _abscissa(labels):
        """Labels with Teff replaced by 5040 K/Teff, in which line strengths are closest to linear."""
        return torch.cat([5040.0 / labels[:, :1], labels[:, 1:]], 1)

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
        return (smoothing_matrix(self.wave, sigma, self.grid.wave, velocity) @ spectra.T.astype(np.float64)).T

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
            options = {"steps": steps, "batch_size": batch_size, "learning_rate": learning_rate}
            train_networks(emulator, basis, x, **options, progress=progress)
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

    def save(self, path):
        """Write the emulator to a safetensors file at `path`, its grid and record in the header."""
        tensors = {f"module.{name}": tensor for name, tensor in self.state_dict().items()}
        tensors |= {name: torch.as_tensor(getattr(self, name)) for name in _ARRAYS}
        write_archive(path, _FORMAT, tensors, {"labels": LABELS, "record": self.record}, self.grid)

    @classmethod
    def load(cls, path=None, *, calibrated=False):
        """Read the emulator at `path`, by default the one that ships (PFS MR); `calibrated`: for real stars.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is truncated, damaged or not an emulator.
        """
        if path is None:
            path = resources.files("specvit") / "data" / "emulator_pfs_mr.safetensors"
        archive = read_archive(path, _FORMAT, what="emulator")
        module = {k.removeprefix("module."): v for k, v in archive.tensors.items() if k.startswith("module.")}
        try:
            emulator = cls(
                archive.grid,
                *(archive.tensors[name].numpy() for name in _ARRAYS),
                module["label_range"].numpy(),
                width=module["networks.0.0.weight"].shape[0],
                members=len({name.split(".")[1] for name in module if name.startswith("networks.")}),
            )
            emulator.load_state_dict(module)
            emulator.record = archive.fields["record"]
        except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
            raise ValueError(f"emulator: {path} lacks a part of an emulator ({error})") from error
        emulator = emulator.eval().requires_grad_(False)
        return emulator.calibrated() if calibrated else emulator


def _mlp(*widths):
    layers = [nn.Linear(*pair) for pair in pairwise(widths)]
    return nn.Sequential(*(x for layer in layers[:-1] for x in (layer, nn.SiLU())), layers[-1])
