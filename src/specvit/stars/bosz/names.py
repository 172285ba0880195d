"""Names of the files of BOSZ, which say what spectra are in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from specvit.paths import user_path

__all__ = ["BoszName", "is_bosz", "is_wave_file", "may_be_bosz", "parse_name", "wave_file_name"]

_2017 = re.compile(
    r"am(?P<mh>[pm]\d\d)c(?P<cm>[pm]\d\d)o(?P<alpham>[pm]\d\d)t(?P<teff>\d{4,5})g(?P<logg>\d\d)"
    r"v(?P<micro>\d\d)modrt(?P<rotation>\d+)b(?P<power>\d+)rs\.(?:fits|asc|asc\.bz2)"
)
_2024 = re.compile(
    r"bosz2024_(?P<atmosphere>ap|mp|ms)_t(?P<teff>\d{4,5})_g(?P<logg>[+-]\d\.\d)_m(?P<mh>[+-]\d\.\d\d)"
    r"_a(?P<alpham>[+-]\d\.\d\d)_c(?P<cm>[+-]\d\.\d\d)_v(?P<micro>\d+)_r(?P<power>\d+|orig)"
    r"_(?P<product>resam|noresam|lineid)\.txt(?:\.gz)?"
)
_WAVE_2024 = re.compile(r"bosz2024_wave_r(\d+)\.txt")
_SUFFIXES = (".fits", ".asc", ".asc.bz2", ".txt.gz")


@dataclass(frozen=True)
class BoszName:
    """What the name of a file of BOSZ says of the spectrum in it.

    Attributes
    ----------
    path : Path
        Where the file is.
    release : int
        2017 or 2024.
    labels : tuple of float
        Teff [K], log g, [M/H], [alpha/M], [C/M].
    microturbulence : float
        Microturbulence in km/s.
    resolving_power : float
        λ / FWHM of the instrumental broadening.
    atmosphere : str
        "ap" (ATLAS9), "mp" or "ms" (MARCS, plane-parallel or spherical).

    See Also
    --------
    parse_name : Makes one of a name.

    Examples
    --------
    >>> name = parse_name("bosz2024_mp_t5000_g+4.5_m+0.00_a+0.25_c+0.00_v2_r50000_resam.txt.gz")
    >>> name.labels, name.microturbulence, name.resolving_power
    ((5000.0, 4.5, 0.0, 0.25, 0.0), 2.0, 50000.0)
    """

    path: Path
    release: int
    labels: tuple
    microturbulence: float
    resolving_power: float
    atmosphere: str


def parse_name(path):
    """Parse a file's name.

    2017: ``amp03cp00op03t3500g00v20modrt0b5000rs.fits`` is [M/H] (``m``) +0.25, [C/M] (``c``) 0, [alpha/M]
    (``o``) +0.25, 3500 K, log g 0.0, microturbulence 2.0 km/s (``v``), no rotation (``rt``) and R = 5000
    (``b``). Abundances are multiples of 0.25 rounded up to tenths, ``p`` or ``m`` their sign. (The
    archive's page writes [C/H] and [α/H] for the tokens c and o; that they are relative to M follows from the
    range of the grid, −0.75 to 0.5 and −0.25 to 0.5 at every metallicity, and is how pfsspec and
    webbpsf_ext read them.)

    2024: ``bosz2024_mp_t5000_g+5.0_m+0.00_a+0.00_c+0.00_v0_r5000_resam.txt.gz`` is atmosphere mp, 5000 K,
    log g 5.0, [M/H] (``m``), [alpha/M] (``a``) and [C/M] (``c``) 0, microturbulence 0 km/s (``v``) and
    R = 5000 (``r``), resampled.

    Parameters
    ----------
    path : path-like
        Path of the file, which is not opened.

    Returns
    -------
    BoszName
        Labels and resolution as the name states them.

    Raises
    ------
    ValueError
        If the name is of neither release, or of a product that is not read here.

    Examples
    --------
    >>> parse_name("amp03cp00op03t3500g00v20modrt0b5000rs.fits").labels
    (3500.0, 0.0, 0.25, 0.25, 0.0)
    """
    path = user_path(path)
    if match := _2017.fullmatch(path.name):
        mh, alpham, cm = (_quarter(path, match[token]) for token in ("mh", "alpham", "cm"))
        if int(match["rotation"]):
            raise ValueError(f"{path}: rt must be 0, spectra with rotation are not read")
        labels = (float(match["teff"]), int(match["logg"]) / 10, mh, alpham, cm)
        return BoszName(path, 2017, labels, int(match["micro"]) / 10, float(match["power"]), "ap")
    if match := _2024.fullmatch(path.name):
        if match["product"] != "resam" or match["power"] == "orig":
            raise ValueError(
                f"{path}: only resampled spectra are read (…_r<number>_resam.txt.gz), not "
                f"r{match['power']}_{match['product']}"
            )
        labels = tuple(float(match[token]) for token in ("teff", "logg", "mh", "alpham", "cm"))
        return BoszName(path, 2024, labels, float(match["micro"]), float(match["power"]), match["atmosphere"])
    raise ValueError(
        f"{path}: not the name of a BOSZ spectrum, such as amp00cp00op00t5000g45v20modrt0b50000rs.fits or "
        "bosz2024_mp_t5000_g+4.5_m+0.00_a+0.00_c+0.00_v2_r50000_resam.txt.gz"
    )


def _quarter(path, token):
    """Multiple of 0.25 that was rounded up to tenths: p03 is 0.25, m08 −0.75."""
    tenths = int(token[1:])
    value = round(tenths / 10 * 4) / 4
    if int(value * 10 + 0.5) != tenths:
        raise ValueError(f"{path}: abundances must be multiples of 0.25 rounded to tenths, got {token!r}")
    return value if token[0] == "p" else -value + 0.0


def is_bosz(path):
    """Whether a file's name is that of a BOSZ spectrum, of any product.

    Parameters
    ----------
    path : path-like
        Path of the file, of which only the name counts.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_bosz("bosz2024_mp_t5000_g+5.0_m+0.00_a+0.00_c+0.00_v0_r5000_resam.txt.gz"), is_bosz("star.fits")
    (True, False)
    """
    return bool(_2017.fullmatch(Path(path).name) or _2024.fullmatch(Path(path).name))


def is_wave_file(path):
    """Whether a file's name is that of the wavelengths of BOSZ 2024."""
    return bool(_WAVE_2024.fullmatch(Path(path).name))


def may_be_bosz(path):
    """Whether a file that lies among spectra of BOSZ must be one of them, judged by its suffix.

    Parameters
    ----------
    path : path-like
        Path of the file, of which only the name counts.

    Returns
    -------
    bool

    Examples
    --------
    >>> may_be_bosz("bosz2025_something.txt.gz"), may_be_bosz("README.md")
    (True, False)
    """
    return Path(path).name.lower().endswith(_SUFFIXES) or is_bosz(path) or is_wave_file(path)


def wave_file_name(name: BoszName):
    """Name of the file of wavelengths that goes with a spectrum of BOSZ 2024."""
    return f"bosz2024_wave_r{name.resolving_power:.0f}.txt"
