"""WEAVE L1: counts times the sensitivity function, fibres on sky left out."""

import numpy as np
from astropy.io import fits
from specutils import Spectrum, SpectrumList


def test_targets_are_rows(tmp_path, observe, table, check):
    wave = 5790 + 0.5 * np.arange(7600)
    stars = [observe(wave, "air", seed) for seed in range(4)]
    sensitivity = np.linspace(1, 2, wave.size) * 1e-18
    axis = fits.Header(
        {"CRVAL1": wave[0], "CD1_1": 0.5, "CRPIX1": 1.0, "CTYPE1": "WAVE", "CUNIT1": "Angstrom"}
    )
    flux = np.stack([star.flux * 1e-18 / sensitivity for star in stars])
    ivar = np.stack([np.where(s.lost, 0, (s.sigma.astype(float) * 1e-18 / sensitivity) ** -2) for s in stars])
    hdus = [
        fits.PrimaryHDU(header=fits.Header({"MODE": "LOWRES"})),
        fits.ImageHDU(flux, axis, name="RED_DATA"),
        fits.ImageHDU(ivar, axis, name="RED_IVAR"),
        fits.ImageHDU(flux, axis, name="RED_DATA_NOSS"),
        fits.ImageHDU(ivar, axis, name="RED_IVAR_NOSS"),
        fits.ImageHDU(np.tile(sensitivity, (4, 1)), name="RED_SENSFUNC"),
        table(
            "FIBTABLE",
            [
                ("FIBREID", "J", [1, 2, 3, 4]),
                ("TARGUSE", "1A", ["T", "S", "T", "N"]),
                ("TARGID", "4A", ["a", "b", "c", "d"]),
            ],
        ),
    ]
    fits.HDUList(hdus).writeto(tmp_path / "stack_1002813.fit")
    spectra = SpectrumList.read(tmp_path / "stack_1002813.fit")
    assert [one.meta["targid"] for one in spectra] == ["a", "c"]
    check(spectra[1], stars[2], resolution=5000.0, scale=1e-18)
    assert Spectrum.read(tmp_path / "stack_1002813.fit").shape == (2, wave.size)
