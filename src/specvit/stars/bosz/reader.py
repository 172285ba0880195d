"""Spectra of BOSZ on one wavelength axis: a `SyntheticLibrary`."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
from scipy.interpolate import CubicSpline

from specvit.constants import FWHM_PER_SIGMA
from specvit.grid.air import air_to_vacuum, vacuum_to_air
from specvit.grid.gaussian import smoothing_matrix
from specvit.labels import LABELS
from specvit.stars.bosz.files import find_wave_file, read_spectrum, read_wave
from specvit.stars.bosz.names import is_wave_file, may_be_bosz, parse_name
from specvit.stars.library import SyntheticLibrary, library_files

__all__ = ["read_bosz"]

_WAVE_RANGE = (7060.0, 8890.0)
_RESOLVING_POWER = 20_000.0
_STEP = 2e-5  # in ln λ, at most: what an emulator needs to narrow the lines of a PFS-like grid by 10 %
_KNOT_STEP = 60.0  # Å between the knots of the continuum
_MEDIUM = {2017: "vacuum", 2024: "air"}
_COOL = 7000.0  # K; above it Paschen lines stand where air would put the calcium triplet
#: Vacuum wavelengths (Å) of strong lines of cool stars: Ca II H K, Hβ, Mg b, Na D, Hα, Ca II triplet.
_STRONG_LINES = np.array(
    [3934.78, 3969.59, 4862.69, 5174.12, 5185.05, 5891.58, 5897.56, 6564.61, 8500.36, 8544.44, 8664.52]
)


def read_bosz(
    source,
    *,
    wave_range=_WAVE_RANGE,
    resolving_power=None,
    microturbulence=None,
    limits=None,
    medium=None,
    progress=None,
):
    """Read spectra of BOSZ, of the release of 2017 or that of 2024.

    Flux and continuum are cut, brought to vacuum wavelengths, to a common sampling in ln λ and to one
    resolution. The continuum is taken to be the cubic spline through the files' continuum every 60 Å, and
    the normalised flux what is left, jumps at series limits included: their product is the files' flux.

    Parameters
    ----------
    source : path-like or sequence of path-like
        Folder, searched with the folders in it, or files. All must be of one release and resolution; for
        2024 the file of wavelengths is looked for there and in the folders above.
    wave_range : (float, float)
        Vacuum wavelengths wanted, in Å.
    resolving_power : float, optional
        λ / FWHM of the result, at most 0.9 of the files' or equal to it. By default that of the files, or
        20,000 where they are sharper.
    microturbulence : float, optional
        Microturbulence in km/s; it must be given if the files have several.
    limits : dict of str to (float, float), optional
        Lowest and highest value wanted of labels, such as ``{"teff": (3500, 6500)}``; other files are
        not opened.
    medium : {"air", "vacuum"}, optional
        Medium of the files' wavelengths; by default vacuum for 2017 and air for 2024.
    progress : callable, optional
        Called with (files read, files) after each.

    Returns
    -------
    SyntheticLibrary
        In the order of the labels. Its `missing` lists the points without a file of the rectangular grid
        that the labels' values span, of which a warning tells too: an emulator interpolates over holes,
        and extrapolates into corners. Where 2024 has both MARCS and ATLAS9 models, MARCS is taken.

    Raises
    ------
    FileNotFoundError
        If there are no spectra, or no file of wavelengths.
    ValueError
        If releases, resolutions, microturbulences or wavelengths are mixed, a spectrum comes twice, a file is
        foreign or damaged or has values that are not finite and positive in the range, the range is not
        covered, a label has one value only, or strong lines lie where the medium does not have them.

    Notes
    -----
    The release of 2017 (Bohlin et al. 2017, AJ 153, 234) comes as FITS tables or text compressed with bzip2,
    with columns of wavelength (vacuum), "specific intensity", of which π is the surface flux, and continuum.
    That of 2024 (Mészáros et al. 2024, A&A 688, A197) comes as text compressed with gzip, with columns of
    Eddington flux, of which 4π is the surface flux, and continuum; its wavelengths, in **air** above
    2000 Å, are in a file of their own. Where these facts are known from stands in the source of
    ``specvit.stars.bosz``, what names mean in that of ``specvit.stars.bosz.names``.

    Examples
    --------
    Of a folder to which files of BOSZ were downloaded:

    >>> library = read_bosz("bosz/", limits={"teff": (3500, 6500)})  # doctest: +SKIP
    >>> Emulator.fit(library, grid).save("mine.safetensors")  # doctest: +SKIP
    """
    files = library_files(source, may_be_bosz)
    names = _choose([parse_name(path) for path in files if not is_wave_file(path)], microturbulence, limits)
    if not names:
        raise FileNotFoundError(f"{source!r} holds no spectra of BOSZ within the limits")
    labels = np.array([name.labels for name in names])
    missing = _missing(labels)
    if medium not in (None, "air", "vacuum"):
        raise ValueError(f"medium must be 'air' or 'vacuum', got {medium!r}")
    medium = medium or _MEDIUM[names[0].release]
    wave = read_wave(find_wave_file(names, files)) if names[0].release == 2024 else read_spectrum(names[0])[0]
    common = _Common(wave, medium, wave_range, names[0].resolving_power, resolving_power)
    normalised = np.empty((len(names), common.wave.size), np.float32)
    log_continuum = np.empty((len(names), common.knots.size))
    for k, name in enumerate(names):
        _, flux, continuum = read_spectrum(name, wave)
        normalised[k], log_continuum[k] = common.convert(name.path, flux, continuum)
        if progress is not None:
            progress(k + 1, len(names))
    _check_medium(common.wave, normalised[labels[:, 0] < _COOL], medium)
    if len(missing):
        warnings.warn(
            f"{len(missing)} of {len(missing) + len(names)} points of the grid that these files span are "
            f"missing, such as {_describe(missing[0])}; see the library's missing",
            stacklevel=2,
        )
    return SyntheticLibrary(
        labels, common.wave, normalised, log_continuum, common.knots, common.resolving_power, missing
    )


# -- which spectra ---------------------------------------------------------------------------------------


def _choose(names, microturbulence, limits):
    """Spectra wanted, in the order of their labels; ValueError if they do not go together."""
    for name, (low, high) in (limits or {}).items():
        if name not in LABELS:
            raise ValueError(f"limits must be of {LABELS}, got {name!r}")
        names = [n for n in names if low <= n.labels[LABELS.index(name)] <= high]
    if microturbulence is not None:
        names = [n for n in names if n.microturbulence == microturbulence]
    for what in ("release", "resolving_power", "microturbulence"):
        for name in names:
            if getattr(name, what) != getattr(names[0], what):
                raise ValueError(
                    f"all spectra must be of one {what.replace('_', ' ')}: it is "
                    f"{getattr(names[0], what):g} for {names[0].path} and "
                    f"{getattr(name, what):g} for {name.path}"
                )
    chosen = {}
    # MARCS before ATLAS9: below 8000 K the grid is then of one kind of atmosphere.
    for name in sorted(names, key=lambda name: name.atmosphere == "ap"):
        other = chosen.setdefault(name.labels, name)
        if other is not name and (other.atmosphere == "ap") == (name.atmosphere == "ap"):
            raise ValueError(f"{name.path}: has the labels of {other.path}")
    return [chosen[labels] for labels in sorted(chosen)]


def _missing(labels):
    """Labels (n_missing, 5) of the rectangular grid's points without a spectrum."""
    axes = [np.unique(column) for column in labels.T]
    for name, axis in zip(LABELS, axes, strict=True):
        if axis.size < 2:
            raise ValueError(
                f"a library must have several values of each label, {name} is {axis[0]:g} in all files"
            )
    found = {tuple(row) for row in labels.tolist()}
    holes = [point for point in itertools.product(*(axis.tolist() for axis in axes)) if point not in found]
    return np.array(holes).reshape(-1, len(LABELS))


def _describe(point):
    return ", ".join(f"{name} {value:g}" for name, value in zip(LABELS, point, strict=True))


# -- to one axis -----------------------------------------------------------------------------------------


class _Common:
    """The wavelength axis of the result, and how a file's spectrum gets there."""

    def __init__(self, wave, medium, wave_range, own_power, resolving_power):
        low, high = wave_range
        if not 0 < low < high:
            raise ValueError(f"wave_range must be positive and increasing, got {wave_range!r}")
        if resolving_power is None:
            resolving_power = min(own_power, _RESOLVING_POWER)
        if not (resolving_power == own_power or 0 < resolving_power <= 0.9 * own_power):
            raise ValueError(
                f"resolving_power must be that of the files, {own_power:g}, or at most 0.9 of it, "
                f"got {resolving_power:g}"
            )
        self.resolving_power = float(resolving_power)
        vacuum = air_to_vacuum(wave) if medium == "air" else wave
        step = min(_STEP, 1 / (2.5 * resolving_power))
        self.wave = low * np.exp(step * np.arange(int(np.log(high / low) / step) + 1))
        self.knots = np.linspace(self.wave[0], self.wave[-1], max(8, round((high - low) / _KNOT_STEP) + 1))
        # σ/λ of the kernel that takes the files' resolution to that of the result
        kernel = np.sqrt(max(resolving_power**-2 - own_power**-2, 0.0)) / FWHM_PER_SIGMA
        reach = 1 + 6 * kernel + 8 / own_power
        self._kept = slice(*np.searchsorted(vacuum, (low / reach, high * reach)))
        if vacuum[0] > low / reach or vacuum[-1] < high * reach:
            raise ValueError(
                f"wave_range {low:.1f}–{high:.1f} Å with the reach of smoothing must lie within the files', "
                f"{vacuum[0]:.1f}–{vacuum[-1]:.1f} Å in vacuum"
            )
        self._from = vacuum[self._kept]
        self._fine, self._matrix = self.wave, None
        if kernel:
            # Two points per resolution element are too few to integrate over: interpolate first.
            finer = np.diff(np.log(self._from)).mean() / 3
            ends = self._from[[0, -1]]
            self._fine = ends[0] * np.exp(finer * np.arange(int(np.log(ends[1] / ends[0]) / finer) + 1))
            self._matrix = smoothing_matrix(self._fine, kernel * self.wave, self.wave)

    def convert(self, path, flux, continuum):
        """Normalised flux (n_wave,) and ln continuum at the knots, of a file's flux and continuum."""
        flux, continuum = flux[self._kept], continuum[self._kept]
        for what, values, good in (
            ("flux", flux, np.isfinite(flux) & (flux >= 0)),
            ("continuum", continuum, np.isfinite(continuum) & (continuum > 0)),
        ):
            if not good.all():
                bad = np.flatnonzero(~good)
                raise ValueError(
                    f"{path}: {what} must be finite and positive, got {values[bad[0]]:g} near "
                    f"{self._from[bad[0]]:.2f} Å and {bad.size - 1} more"
                )
        log_continuum = np.interp(self.knots, self._from, np.log(continuum))
        # An emulator makes the continuum with this spline: what it misses stays in the normalised flux.
        smooth = np.exp(CubicSpline(self.knots, log_continuum)(self._from))
        spectrum = CubicSpline(self._from, flux / smooth)(self._fine)
        return (spectrum if self._matrix is None else self._matrix @ spectrum), log_continuum


def _check_medium(wave, spectra, medium):
    """Raise ValueError if strong lines lie where wavelengths of the other medium would put them."""
    shifted = vacuum_to_air if medium == "vacuum" else air_to_vacuum
    inside = (wave[0] + 5 < _STRONG_LINES) & (wave[-1] - 5 > _STRONG_LINES)
    if np.count_nonzero(inside) < 2 or not len(spectra):
        return
    spectrum = spectra.mean(0)
    lines = _STRONG_LINES[inside]
    here, there = (1 - np.interp(at, wave, spectrum).mean() for at in (lines, shifted(lines)))
    if there > 0.05 and there > 1.5 * here:
        other = "air" if medium == "vacuum" else "vacuum"
        raise ValueError(
            f"medium must be {other!r}: the strong lines of these spectra have a mean depth of {there:.2f} "
            f"there and of {here:.2f} in {medium}"
        )
