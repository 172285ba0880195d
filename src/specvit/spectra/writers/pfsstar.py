"""A star's spectrum and its labels in the form of the PFS galactic-archaeology pipeline: pfsStar."""

from __future__ import annotations

import numpy as np

from specvit.spectra.writers.pfslabels import METHOD, bin_table, measured

__all__ = ["write_pfs_star"]

_TARGET = ("catId", "tract", "patch", "objId", "ra", "dec", "targetType")
_NO_COVARIANCE = 255  # covarId of a parameter that is not in STELLARCOVAR
#: Columns of OBSERVATIONS: name, FITS format, and what stands for unknown.
_OBSERVATIONS = (
    ("visit", "J", -1),
    ("arm", "A", ""),
    ("spectrograph", "J", -1),
    ("fiberId", "J", -1),
    ("pfsDesignId", "K", -1),
    ("pfiNominal", "2E", (np.nan, np.nan)),
    ("pfiCenter", "2E", (np.nan, np.nan)),
    ("obsTime", "A", "UNKNOWN"),
    ("expTime", "E", np.nan),
)


def write_pfs_star(path, spectrum, row, *, correlation=None, overwrite=False):
    """Write a spectrum and its predicted labels as a pfsStar file.

    Parameters
    ----------
    path : str or path-like
        The file to write.
    spectrum : specutils.Spectrum
        A calibrated spectrum read from a PFS file, one-dimensional.
    row : astropy.table.Row or mapping
        The spectrum's row of ``predict_table``.
    correlation : array-like of float, shape (n, n), optional
        Correlations of the errors, labels in the order Teff, log g, [M/H], [α/M], [C/M], those that `row`
        holds. None: unknown; STELLARCOVAR is not written, and covarId is 255, "in no covariance".
    overwrite : bool
        Replace `path` if it exists.

    Raises
    ------
    ValueError
        If `spectrum` is not from a PFS file, or `correlation` is no correlation matrix of that size.
    OSError
        If `path` exists and `overwrite` is False.

    See Also
    --------
    write_pfs_star_catalog : One table of many stars.

    Notes
    -----
    HDUs are those of pfsObject and VELCORR, STELLARPARAM, STELLARCOVAR, ABUND (empty: no abundance of an
    element is predicted) and MEASFLAG. What is not known is NaN: the sky, COVAR2 (one element), in
    FLUX_TABLE the model and the continuum, in VELCORR the corrections. Velocities are not predicted:
    there is no row v_los, and ``frame`` is "rest", in which the labels were determined.

    Examples
    --------
    >>> import tempfile
    >>> from specvit import LoggEstimator, example_spectrum
    >>> star = example_spectrum().with_flux_unit("nJy")
    >>> star.meta |= {"objId": 10015, "visit": [1], "arm": ["m"]}
    >>> path = tempfile.mkdtemp() + "/pfsStar-10015.fits"
    >>> write_pfs_star(path, star, LoggEstimator().predict_table(star)[0])
    """
    from astropy.io import fits

    star = measured(row)
    covariance = None if correlation is None else _covariance(correlation, star.errors)
    hdus = _spectrum_hdus(spectrum)
    visits = spectrum.meta.get("visit", [])
    hdus.append(
        bin_table(
            "VELCORR",
            [
                ("visit", "J", visits),
                ("JD", "E", np.full(len(visits), -1.0)),
                ("helio", "E", np.full(len(visits), np.nan)),
                ("bary", "E", np.full(len(visits), np.nan)),
            ],
        )
    )
    n = len(star.params)
    hdus.append(
        bin_table(
            "STELLARPARAM",
            [
                ("method", "A", [METHOD] * n),
                ("frame", "A", ["rest"] * n),
                ("param", "A", star.params),
                ("covarId", "B", np.full(n, _NO_COVARIANCE) if covariance is None else np.arange(n)),
                ("unit", "A", star.units),
                ("value", "E", star.values),
                ("valueErr", "E", star.errors),
                ("flag", "L", [star.flagged] * n),
                ("status", "A", [star.status] * n),
            ],
        )
    )
    if covariance is not None:
        hdus.append(fits.ImageHDU(covariance.astype(np.float32), name="STELLARCOVAR"))
    texts, numbers = ("method", "element", "status"), ("value", "valueErr")
    forms = {**dict.fromkeys(texts, "1A"), **dict.fromkeys(numbers, "E"), "covarId": "B", "flag": "L"}
    order = ("method", "element", "covarId", "value", "valueErr", "flag", "status")
    hdus.append(bin_table("ABUND", [(name, forms[name], []) for name in order]))
    flag = [("method", "A", [METHOD]), ("flag", "L", [star.flagged]), ("status", "A", [star.status])]
    hdus.append(bin_table("MEASFLAG", flag))
    fits.HDUList(hdus).writeto(path, overwrite=overwrite)


def _covariance(correlation, errors):
    """Covariance matrix from correlations and standard errors."""
    matrix = np.asarray(correlation, dtype=np.float64)
    shape = (errors.size, errors.size)
    if matrix.shape != shape:
        raise ValueError(f"correlation must have the shape {shape} of the labels, got {matrix.shape}")
    unit_diagonal = np.allclose(np.diag(matrix), 1)
    if not (unit_diagonal and np.allclose(matrix, matrix.T) and (np.abs(matrix) <= 1).all()):
        raise ValueError("correlation must be symmetric, with ones on the diagonal and no value beyond ±1")
    return matrix * errors[:, None] * errors


def _spectrum_hdus(spectrum):
    """HDUs of pfsObject, in its order."""
    from astropy import units as u
    from astropy.io import fits
    from astropy.nddata import VarianceUncertainty

    meta = spectrum.meta
    if spectrum.flux.ndim != 1 or not spectrum.flux.unit.is_equivalent(u.nJy) or "objId" not in meta:
        raise ValueError(
            "spectrum must be a calibrated one of a PFS file, with objId in meta and a flux in nJy, got "
            f"{spectrum.flux.ndim} dimension(s), unit {str(spectrum.flux.unit)!r}, "
            f"{'' if 'objId' in meta else 'no '}objId"
        )
    flux = spectrum.flux.to_value(u.nJy).astype(np.float32)
    wave = spectrum.spectral_axis.to_value(u.nm).astype(np.float64)
    bits = meta.get("mask_bits", {})
    mask = np.asarray(meta.get("mask_values", spectrum.mask), dtype=np.int32)
    covar = np.full((3, flux.size), np.nan, dtype=np.float32)
    if spectrum.uncertainty is not None:
        variance = spectrum.uncertainty.represent_as(VarianceUncertainty)
        covar[0] = variance.array * variance.unit.to(u.nJy**2)
        covar[1:] = meta.get("covariance", 0.0)
    lost = np.full(flux.size, np.nan, dtype=np.float32)
    version = fits.Header({"DAMD_VER": 2})
    names = fits.Header([(_keyword(f"MP_{name}"), bit) for name, bit in bits.items()])
    fluxes = [("wavelength", "D", wave), ("flux", "E", flux), ("error", "E", np.sqrt(covar[0]))]
    fluxes += [(name, "E", lost) for name in ("model", "cont", "norm_flux", "norm_error", "norm_model")]
    flux_table = bin_table("FLUX_TABLE", [*fluxes, ("mask", "K", mask)], version=1)
    flux_table.header.extend(names)
    filters = meta.get("fiberFlux", {})
    target = bin_table(
        "TARGET", [("filterName", "A", list(filters)), ("fiberFlux", "E", list(filters.values()))], version=1
    )
    target.header.update({_keyword(name.upper()): meta[name] for name in _TARGET if name in meta})
    n = len(meta.get("visit", []))
    observations = [(name, form, meta.get(name, [unknown] * n)) for name, form, unknown in _OBSERVATIONS]
    return [
        fits.PrimaryHDU(),
        fits.ImageHDU(flux, version.copy(), name="FLUX"),
        fits.CompImageHDU(mask, fits.Header([*names.cards, *version.cards]), name="MASK"),
        fits.ImageHDU(wave, version.copy(), name="WAVELENGTH"),
        target,
        fits.ImageHDU(lost, version.copy(), name="SKY"),
        fits.ImageHDU(covar, version.copy(), name="COVAR"),
        fits.ImageHDU(np.full((1, 1), np.nan, dtype=np.float32), name="COVAR2"),
        bin_table("OBSERVATIONS", observations),
        bin_table("NOTES", [], version=3),
        flux_table,
    ]


def _keyword(name):
    """Keyword of a header card; FITS allows eight letters, longer ones are marked."""
    return name if len(name) <= 8 else f"HIERARCH {name}"
