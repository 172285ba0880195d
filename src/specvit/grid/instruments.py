"""Spectrographs by name: their wavelengths, resolution and native pixels, and the source of these numbers."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field

import numpy as np

from specvit.checks import check_choice, in_unit
from specvit.constants import FWHM_PER_SIGMA, SPEED_OF_LIGHT
from specvit.grid.native import PIXEL_UNITS
from specvit.grid.pixelgrid import PFS_MR

__all__ = ["INSTRUMENTS", "TELLURIC", "Instrument", "find_instrument", "find_windows"]

#: Windows (vacuum Å) of the Earth's absorption between 7100 and 8850 Å, by name. They hold what a telluric
#: correction leaves behind in spectra of moderate resolution: the water band about 7200 Å, the A band of
#: oxygen and the water band about 8200 Å, from the first to the last line deeper than about 5 % at R = 2500
#: over a site of 2–4 km altitude (air 7160–7342, 7590–7702, 8102–8362 Å). The weaker water lines outside, of
#: 8100–8102 and 8362–8390 Å, are of the size of the errors that training assumes anyway.
TELLURIC = {"H2O 7250": (7162.0, 7344.0), "O2 A": (7592.1, 7704.1), "H2O 8230": (8104.2, 8364.3)}


@dataclass(frozen=True)
class Instrument:
    """A spectrograph in one mode, described by the properties of the spectra that it publishes.

    Parameters
    ----------
    name : str
        Name of spectrograph and mode, by which `find_instrument` finds presets.
    windows : tuple of (float, float)
        Ranges in vacuum Å that it records, one for each arm; between them are gaps.
    pixel : float
        Width of its native pixels, whose noise is independent from one to the next, in `pixel_unit`.
    pixel_unit : {"angstrom", "km/s", "fwhm"}
        Unit of `pixel`: Å, km/s, or a fraction of the FWHM of the line spread function.
    resolving_power : float or tuple of (float, float), optional
        R = λ/FWHM: one number, or a curve of (λ, R) points, linear between them and constant beyond.
    fwhm : float or tuple of (float, float), optional
        To be given instead of `resolving_power`: the FWHM in Å, or a curve of (λ, FWHM) points.
    medium : {"air", "vacuum"}
        Medium of the wavelengths in its files.
    ground_based : bool
        Whether the Earth's atmosphere is in its spectra.
    source : str
        Publication or page that the numbers are taken from.

    Raises
    ------
    ValueError
        If not exactly one of `resolving_power` and `fwhm` is given, a number is not positive, a window is
        empty, or windows are out of order, overlap or lie below 1000 Å, as those in nanometres do.

    See Also
    --------
    find_instrument : A preset by its name.
    specvit.survey.AnyInstrument : Instruments drawn at random, for training.

    Examples
    --------
    >>> from specvit.grid import Instrument, find_instrument
    >>> find_instrument("sdss").medium
    'vacuum'
    >>> mine = Instrument("mine", ((7000.0, 9000.0),), 1.1, resolving_power=3000.0)
    >>> round(float(mine.lsf_sigma(8000.0)), 3)
    1.132
    """

    name: str
    windows: tuple[tuple[float, float], ...]
    pixel: float
    pixel_unit: str = "angstrom"
    resolving_power: float | tuple[tuple[float, float], ...] | None = None
    fwhm: float | tuple[tuple[float, float], ...] | None = None
    medium: str = "vacuum"
    ground_based: bool = True
    source: str = field(default="", repr=False)

    def __post_init__(self):
        check_choice("pixel_unit", self.pixel_unit, PIXEL_UNITS)
        check_choice("medium", self.medium, ("air", "vacuum"))
        if (self.resolving_power is None) == (self.fwhm is None):
            raise ValueError(
                f"resolving_power or fwhm must be given, one of them, got {self.resolving_power!r} and "
                f"{self.fwhm!r}"
            )
        wave, values = _curve(self.fwhm if self.resolving_power is None else self.resolving_power)
        if not (np.isfinite(values).all() and (values > 0).all() and (np.diff(wave) > 0).all()):
            raise ValueError(
                "resolving_power and fwhm must be positive, curves of rising wavelength, got "
                f"{self.fwhm if self.resolving_power is None else self.resolving_power!r}"
            )
        if not (np.isfinite(self.pixel) and self.pixel > 0):
            raise ValueError(f"pixel must be positive, got {self.pixel!r}")
        edges = np.asarray(self.windows, np.float64)
        if edges.ndim != 2 or edges.shape[1] != 2 or not (np.diff(edges.ravel()) > 0).all():
            raise ValueError(
                f"windows must hold pairs (low, high) in Å that rise and do not overlap, got {self.windows!r}"
            )
        if edges[-1, 1] < _SHORTEST:
            raise ValueError(f"windows must be in Å, got {self.windows!r}, where no spectrograph sees")

    def fwhm_at(self, wave):
        """FWHM in Å of the line spread function at `wave` (vacuum Å), an ndarray of its shape."""
        wave = np.asarray(wave, np.float64)
        if self.fwhm is not None:
            return np.interp(wave, *_curve(self.fwhm))
        return wave / np.interp(wave, *_curve(self.resolving_power))

    def lsf_sigma(self, wave):
        """Standard deviation in Å of the line spread function at `wave` (vacuum Å), pixel included."""
        return self.fwhm_at(wave) / FWHM_PER_SIGMA

    def pixel_width(self, wave):
        """Width in Å of the native pixels at `wave` (vacuum Å), an ndarray of its shape."""
        wave = np.asarray(wave, np.float64)
        if self.pixel_unit == "angstrom":
            return np.full(wave.shape, float(self.pixel))
        if self.pixel_unit == "km/s":
            return wave * self.pixel / SPEED_OF_LIGHT
        return self.pixel * self.fwhm_at(wave)

    def sees(self, wave):
        """True where `wave` (vacuum Å) lies in one of the windows, an ndarray of bool of its shape."""
        wave = np.asarray(wave, np.float64)
        return np.any([(wave >= low) & (wave <= high) for low, high in self.windows], axis=0)

    def coverage(self, grid):
        """Share, 0 to 1, of the pixels of `grid` (a `PixelGrid` in vacuum) that the instrument records."""
        return float(self.sees(grid.wave).mean())


def _curve(value):
    """Wavelengths and values of a number or of (λ, value) points."""
    if np.ndim(value) == 0:
        return np.zeros(1), np.array([value], np.float64)
    return np.asarray(value, np.float64).T


_SHORTEST = 1000.0  # Å: plain numbers below are wavelengths in another unit
_SDSS_PIXEL = SPEED_OF_LIGHT * np.log(10) * 1e-4  # km/s: log10 λ in steps of 10⁻⁴

#: Presets by name. `find_instrument` looks up with less care for spelling.
INSTRUMENTS = {
    one.name: one
    for one in (
        Instrument(
            "SDSS/BOSS",
            ((3600.0, 10400.0),),
            _SDSS_PIXEL,
            "km/s",
            resolving_power=((6000.0, 1850.0), (9000.0, 2650.0)),
            source="Smee et al. 2013, AJ 146, 32, table 4 (red channel); spec files: log10 λ steps of 1e-4",
        ),
        Instrument(
            "LAMOST LRS",
            ((3700.0, 9000.0),),
            _SDSS_PIXEL,
            "km/s",
            resolving_power=1800.0,
            source="Zhao et al. 2012, RAA 12, 723; Luo et al. 2015, RAA 15, 1095 (files)",
        ),
        Instrument(
            "DESI",
            ((3600.0, 9824.0),),
            0.8,
            resolving_power=((5760.0, 3200.0), (7570.0, 4100.0), (9824.0, 5100.0)),
            source="DESI Collaboration 2022, AJ 164, 207 (R by arm); Guy et al. 2023, AJ 165, 144 (bins)",
        ),
        Instrument(
            "MUSE",
            ((4750.0, 9352.0),),
            1.25,
            fwhm=((7000.0, 2.48), (8000.0, 2.44), (9000.0, 2.52)),
            medium="air",
            source="Bacon et al. 2017, A&A 608, A1, eq. 8 (LSF); Weilbacher et al. 2020, A&A 641, A28",
        ),
        Instrument(
            "X-shooter VIS",
            ((5595.0, 10240.0),),
            0.2,
            resolving_power=8900.0,
            medium="air",
            source='Vernet et al. 2011, A&A 536, A105 (0.9" slit); ESO phase-3 spectra: 0.02 nm',
        ),
        Instrument(
            "DEIMOS 1200G",
            ((6400.0, 9100.0),),
            0.33,
            fwhm=1.3,
            medium="air",
            source='Kirby et al. 2008, ApJ 682, 1217 (0.7" slit, FWHM 1.3 Å); Cooper et al. 2012 (spec2d)',
        ),
        Instrument(
            "GIRAFFE LR8",
            ((8206.0, 9400.0),),
            0.2,
            resolving_power=6500.0,
            medium="air",
            source="Pasquini et al. 2002, The Messenger 110, 1; FLAMES user manual, LR8 (0.02 nm steps)",
        ),
        Instrument(
            "RAVE",
            ((8412.0, 8797.0),),
            0.38,
            resolving_power=7500.0,
            medium="air",
            source="Steinmetz et al. 2006, AJ 132, 1645",
        ),
        Instrument(
            "Gaia RVS",
            ((8460.0, 8700.0),),
            0.1,
            resolving_power=11500.0,
            ground_based=False,
            source="Cropper et al. 2018, A&A 616, A5; Gaia DR3 mean spectra: 846–870 nm in steps of 0.01 nm",
        ),
        Instrument(
            "GALAH IR",
            ((7587.0, 7889.0),),
            0.0737,
            resolving_power=28000.0,
            medium="air",
            source="De Silva et al. 2015, MNRAS 449, 2604; Kos et al. 2017, MNRAS 464, 1259 (arm 4)",
        ),
        Instrument(
            "4MOST LRS",
            ((3700.0, 9500.0),),
            0.33,
            "fwhm",
            resolving_power=6500.0,
            source="de Jong et al. 2019, The Messenger 175, 3 (mean R; 3 pixels per FWHM)",
        ),
        Instrument(
            "WEAVE LR",
            ((3660.0, 9590.0),),
            0.25,
            resolving_power=5000.0,
            medium="air",
            source="Jin et al. 2024, MNRAS 530, 2688",
        ),
        Instrument(
            "PFS MR",
            ((7100.0, 8850.0),),
            1750.0 / 4096,
            fwhm=tuple(
                (float(wave), float(FWHM_PER_SIGMA * sigma))
                for wave, sigma in zip(PFS_MR.wave[::455], PFS_MR.lsf_sigma[::455], strict=True)
            ),
            source="Exposure-time calculator of PFS, instrument file PFS.redMR.20240714",
        ),
    )
}


def find_instrument(name: str | Instrument) -> Instrument:
    """The preset of a name.

    Parameters
    ----------
    name : str or Instrument
        Name of one of `INSTRUMENTS`, or the beginning of only one; capitals, spaces and signs do not matter.
        An `Instrument` is returned as it is.

    Returns
    -------
    Instrument

    Raises
    ------
    ValueError
        If no preset, or more than one, is called so; the message has the nearest names.

    Examples
    --------
    >>> find_instrument("gaia").name
    'Gaia RVS'
    """
    if isinstance(name, Instrument):
        return name
    wanted = _plain(name)
    exact = [one for known, one in INSTRUMENTS.items() if _plain(known) == wanted]
    begins = [one for known, one in INSTRUMENTS.items() if wanted and _plain(known).startswith(wanted)]
    found = exact or begins
    if len(found) != 1:
        near = difflib.get_close_matches(wanted, known := {_plain(one): one for one in INSTRUMENTS}, n=1)
        hint = f" (did you mean {known[near[0]]!r}?)" if near else ""
        raise ValueError(f"instrument must be one of {sorted(INSTRUMENTS)}, got {name!r}{hint}")
    return found[0]


def find_windows(mask):
    """Windows of wavelengths by name or by their ends.

    Parameters
    ----------
    mask : str, (float, float), sequence of these, or None
        ``"telluric"``, all of `TELLURIC`; the name of one of them; two wavelengths in vacuum Å, the lower
        first; or several. None, ``"none"`` and an empty sequence are no window.

    Returns
    -------
    ndarray of float64, shape (k, 2)
        Lowest and highest wavelength of each window, vacuum Å.

    Raises
    ------
    ValueError
        If a name is unknown, or two numbers are no window.

    Examples
    --------
    >>> from specvit.grid import find_windows
    >>> find_windows(["O2 A", (8400, 8500)]).tolist()
    [[7592.1, 7704.1], [8400.0, 8500.0]]
    """
    if mask is None:
        return np.zeros((0, 2))
    if isinstance(mask, str):
        named = {_plain(name): [window] for name, window in TELLURIC.items()}
        named |= {"telluric": list(TELLURIC.values()), "none": []}
        if _plain(mask) not in named:
            names = ["telluric", "none", *TELLURIC]
            raise ValueError(f"mask must be one of {names} or windows (low, high) in Å, got {mask!r}")
        return np.asarray(named[_plain(mask)], np.float64).reshape(-1, 2)
    if not np.iterable(mask):
        raise ValueError(f"mask must be a name, or windows (low, high) in Å, got {mask!r}")
    mask = [in_unit("mask", one, "Angstrom") for one in mask]
    if len(mask) == 2 and all(np.isscalar(end) and not isinstance(end, str) for end in mask):
        low, high = map(float, mask)
        if not 0 < low < high < np.inf:
            raise ValueError(f"mask must have windows (low, high) in Å, 0 < low < high, got {(low, high)}")
        if high < _SHORTEST:
            raise ValueError(
                f"mask must have windows (low, high) in Å, got {(low, high)}, where no spectrograph sees: "
                "nanometres and microns are given as quantities"
            )
        return np.array([[low, high]])
    if any(np.isscalar(one) and not isinstance(one, str) for one in mask):
        raise ValueError(f"mask must have windows (low, high) of two wavelengths in Å, got {mask!r}")
    return np.concatenate([np.zeros((0, 2)), *map(find_windows, mask)])


def _plain(name):
    return "".join(letter for letter in str(name).lower() if letter.isalnum())
