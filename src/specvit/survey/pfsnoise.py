"""Photon and detector noise of the PFS medium-resolution arm, from the instrument's own calculator."""

from __future__ import annotations

from importlib import resources

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from specvit.archive import read_archive
from specvit.grid import PFS_MR, PixelGrid
from specvit.survey.photonnoise import PhotonNoise

__all__ = ["FORMAT", "REFERENCE", "PFSNoise"]

#: Format of the table that ships, which scripts/make_noise_table.py writes.
FORMAT = "specvit-noise-table-1"

#: Conditions of the table: arcsec, 900 s exposures, degrees, degrees.
REFERENCE = {"seeing": 0.8, "n_exposures": 12, "zenith": 22.5, "field": 0.325}


class PFSNoise(PhotonNoise):
    """Expected counts and their variance for stars observed with PFS MR, 900 s exposures.

    The numbers are those of the official exposure-time calculator (Subaru-PFS/spt_ExposureTimeCalculator
    v2.0, commit aac84fa, instrument file PFS.redMR.20240714), tabulated at its reference conditions and
    scaled to others as the calculator does, to 2e-3 at every pixel:

    .. math:: C = C_{22.5}\\, 10^{-0.4 (m - 22.5)}, \\qquad
              V = C + r\\,[s (V_{sky} + V_{stray}) + V_{dark} + V_{read}] + r^2 s^2 V_{sys},
              \\qquad {\\rm SNR} = C / \\sqrt{V},

    with r the number of exposures over 12 and s the sky transmitted relative to the reference.

    Parameters
    ----------
    seeing : float
        Seeing FWHM in arcsec, 0.4 to 2.0.
    n_exposures : int
        Number of 900 s exposures.
    zenith : float
        Zenith angle in degrees, 0 to 70.
    field : float
        Distance from the field centre in degrees, 0 to 0.65 or as far as the table reaches.
    grid : PixelGrid
        Pixels of the table, which no other grid can replace: PFS MR.

    Attributes
    ----------
    counts_per_unit : ndarray, shape (n_pixels,)
        Electrons per pixel of a source of AB magnitude 22.5 with flat f_ν.
    background_variance : ndarray, shape (n_pixels,)
        Variance without the object, in electrons².
    sky_variance : ndarray, shape (n_pixels,)
        The part of it that comes from the sky: its photons, stray light and the systematic error.
    sky_counts : ndarray, shape (n_pixels,)
        Electrons of sky per pixel.

    Raises
    ------
    ValueError
        If a condition is outside its limits, or `grid` is another one.

    See Also
    --------
    PhotonNoise : The same model for any instrument of known throughput and background.
    SNRNoise : A stated S/N, which needs neither.

    Notes
    -----
    Advantages: the noise is that of the instrument at every magnitude and pixel, sky lines included, for the
    conditions of an observation. Disadvantage: it is for this one instrument and grid.

    Examples
    --------
    >>> import numpy as np
    >>> from specvit.survey import PFSNoise
    >>> for hours in (3, 6):
    ...     snr = np.median(PFSNoise(n_exposures=4 * hours).snr(22.0))
    ...     print(f"{hours} h: S/N {snr:.1f}")
    3 h: S/N 4.6
    6 h: S/N 6.3
    """

    def __init__(
        self,
        seeing: float = 0.8,
        n_exposures: int = 12,
        zenith: float = 22.5,
        field: float = 0.325,
        grid: PixelGrid = PFS_MR,
    ) -> None:
        if grid != PFS_MR:
            raise ValueError(f"grid must be PFS_MR, the grid of the noise table, got {grid!r}")
        path = resources.files("specvit") / "data" / "pfs_mr_noise.safetensors"
        with resources.as_file(path) as file:
            archive = read_archive(file, FORMAT, what="noise table")
        table = {name: values.double().numpy() for name, values in archive.tensors.items()}
        for name, value, low, high in (
            ("seeing", seeing, table["ap_seeing"][0], table["ap_seeing"][-1]),
            ("n_exposures", n_exposures, 1, np.inf),
            ("zenith", zenith, 0, 70),
            ("field", field, table["ap_field_deg"][0], table["ap_field_deg"][-1]),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name} must lie in [{low:g}, {high:g}], got {value!r}")
        self.conditions = {"seeing": seeing, "n_exposures": n_exposures, "zenith": zenith, "field": field}
        reference = REFERENCE
        transmitted = _extinction(grid.wave, zenith) / _extinction(grid.wave, reference["zenith"])
        transmitted = transmitted * _field_factor(table, field) / _field_factor(table, reference["field"])
        capture = _capture(table, grid.wave, seeing, field)
        capture = capture / _capture(table, grid.wave, reference["seeing"], reference["field"])
        fibre = np.interp(
            [field, reference["field"]], table["ap_field_deg"], table["field_fiber_radius_arcsec"]
        )
        sky = (
            _sky_airmass(zenith)
            / _sky_airmass(reference["zenith"])
            * transmitted
            * (fibre[0] / fibre[1]) ** 2
        )
        ratio = n_exposures / reference["n_exposures"]
        sky_variance = (
            ratio * sky * (table["var_sky_3h"] + table["var_stray_3h"])
            + (ratio * sky) ** 2 * table["var_skysys_3h"]
        )
        super().__init__(
            grid,
            ratio * table["counts_22p5_3h_center"] * transmitted * capture,
            sky_variance + ratio * (table["var_dark_3h"] + table["var_read_3h"]),
            sky_counts=ratio * sky * table["sky_counts_3h"],
            sky_variance=sky_variance,
        )

    def describe(self):
        return dict(self.conditions)


def _extinction(wave, zenith):
    """Atmospheric transmission on Maunakea at 7000–9000 Å, as the calculator has it."""
    magnitudes = np.where(wave < 8000, 0.10 - 0.03 * (wave - 7000) / 1000, 0.07 - 0.02 * (wave - 8000) / 1000)
    return 10 ** (-0.4 * magnitudes / np.cos(np.radians(zenith)))


def _sky_airmass(zenith):
    """Airmass through the airglow layer (van Rhijn 1921)."""
    return 1 / np.sqrt(1 - 0.96 * np.sin(np.radians(zenith)) ** 2)


def _field_factor(table, field):
    axis = table["ap_field_deg"]
    return np.interp(field, axis, table["field_vignetting"]) * np.interp(
        field, axis, table["field_obscuration_corr"]
    )


def _capture(table, wave, seeing, field):
    """Fraction of a point source's light that enters the fibre, bilinear in seeing and field."""
    factor = RegularGridInterpolator(
        (table["ap_seeing"], table["ap_field_deg"]), table["aperture_factor_grid"]
    )
    return np.interp(wave, table["ap_wave_A"], factor([[seeing, field]])[0])
