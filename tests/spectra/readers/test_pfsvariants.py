"""Files of PFS as others may write them: units, identifiers, torn targets, mask bits of other names."""

from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from specutils import Spectrum, SpectrumList

from specvit.spectra import SpectrumError, adapt
from specvit.spectra.readers import read


def same(spectrum, star, unit=u.nJy):
    np.testing.assert_allclose(spectrum.spectral_axis.to_value(u.AA), 10 * star.wave, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(spectrum.flux.to_value(unit), star.flux)
    np.testing.assert_allclose(spectrum.uncertainty.array, star.covar[0], rtol=1e-6)
    np.testing.assert_array_equal(spectrum.mask, star.lost)


def with_hdu(name, make):
    """A change of one HDU of a file."""
    return lambda hdu: make(hdu) if hdu.name == name else hdu


@pytest.mark.parametrize(
    ("scale", "unit"), [(10, "Angstrom"), (10, None), (1, "nm"), (1e-3, "um"), (1e-3, None), (1e-9, None)]
)
def test_wavelengths_in_other_units(pfs, star, scale, unit):
    cards = fits.Header({} if unit is None else {"BUNIT": unit})

    def axis(hdu):
        return fits.ImageHDU(scale * star.wave, cards.copy(), name="WAVELENGTH")

    spectrum = Spectrum.read(pfs.target(star, change=with_hdu("WAVELENGTH", axis)))
    same(spectrum, star)
    assert ("without a unit" in " ".join(spectrum.meta["notes"])) == (unit is None)


@pytest.mark.parametrize("unit", ["Angstrom", None])
def test_wavelengths_of_tables_in_angstrom(pfs, star, table, unit):
    def change(hdu):
        if hdu.name != "FLUX_TABLE":
            return hdu
        rows = [("WAVELENGTH", "D", 10 * star.wave), ("FLUX", "E", star.flux)]
        rows += [("ERROR", "E", np.sqrt(star.covar[0])), ("MASK", "K", star.mask)]
        made = table("FLUX_TABLE", rows, hdu.header)
        made.columns["WAVELENGTH"].unit = unit
        return made

    same(Spectrum.read(pfs.target(star, change=change), own_sampling=True), star)
    others = [pfs.star(1, last=900), pfs.star(2)]
    path = pfs.bundle([SimpleNamespace(**{**vars(one), "wave": 10 * one.wave}) for one in others])
    with fits.open(path) as hdus:
        for name, column in (("WAVELENGTH", "value"), ("FLUXTABLE", "wavelength")):
            hdus[name].columns[column].unit = unit
        hdus.writeto(path, overwrite=True)
    for options in ({}, {"own_sampling": True}):
        same(SpectrumList.read(path, **options)[1], others[1])


def test_numbers_of_pixels_stay_what_they_are(pfs, star):
    def axis(hdu):
        return fits.ImageHDU(np.arange(1.0, star.wave.size + 1), name="WAVELENGTH")

    spectrum = Spectrum.read(pfs.target(star, change=with_hdu("WAVELENGTH", axis)))
    with pytest.raises(SpectrumError, match="numbers of its 4668 pixels"):
        adapt(spectrum)


@pytest.mark.parametrize("bad", [np.nan, 0.0])
def test_pixels_without_a_wavelength_are_left_out(pfs, star, bad):
    def axis(hdu):
        hdu.data[:5] = hdu.data[-3:] = bad
        return hdu

    path = pfs.target(star, change=with_hdu("WAVELENGTH", axis))
    spectrum = Spectrum.read(path)
    np.testing.assert_array_equal(spectrum.flux.value, star.flux[5:-3])
    np.testing.assert_allclose(spectrum.spectral_axis.value[[0, -1]], [695 + 5 * 0.045, star.wave[-4]])
    assert spectrum.meta["covariance"].shape == (2, 4660)
    assert spectrum.meta["resolution"].shape == spectrum.meta["mask_values"].shape == (4660,)
    assert adapt(spectrum).coverage[0] == adapt(Spectrum.read(path)).coverage[0] > 0.98


@pytest.mark.parametrize("rows", [slice(0, 1), slice(0, 2), 0])
def test_variance_alone(pfs, star, rows):
    def change(hdu):
        return fits.ImageHDU(star.covar[rows], name="COVAR")

    spectrum = Spectrum.read(pfs.target(star, change=with_hdu("COVAR", change)))
    same(spectrum, star)
    assert not spectrum.meta["covariance"][1].any()


def test_arrays_in_a_row(pfs, star):
    def change(hdu):
        if hdu.name in ("FLUX", "WAVELENGTH"):
            hdu.data = hdu.data[None]
        return hdu

    same(Spectrum.read(pfs.target(star, change=change)), star)


@pytest.mark.parametrize(
    ("unit", "expected", "noted"),
    [
        ("1e-17 erg/s/cm^2/A", 1e-17 * u.erg / u.s / u.cm**2 / u.AA, False),
        ("electron/nm", u.dimensionless_unscaled, True),
    ],
)
def test_units_of_the_flux_that_are_no_nanojansky(pfs, star, unit, expected, noted):
    def change(hdu):
        hdu.header["BUNIT"] = unit
        return hdu

    spectrum = Spectrum.read(pfs.target(star, change=with_hdu("FLUX", change)))
    same(spectrum, star, expected)
    assert any("relative" in note for note in spectrum.meta["notes"]) == noted


@pytest.mark.parametrize("ids", [["a", "b", "c"], ["10", "20", "30"]])
def test_identifiers_in_text(pfs, ids):
    stars = [pfs.star(i) for i in range(3)]
    path = pfs.bundle(stars, ids=ids, obj_ids=["s1", "s2", "7"])
    spectra = SpectrumList.read(path)
    for i, (spectrum, star) in enumerate(zip(spectra, stars, strict=True)):
        same(spectrum, star)
        assert str(spectrum.meta["targetId"]) == ids[i]
        assert spectrum.meta["fiberFlux"] == {"g_hsc": 2.0 * i, "i2_hsc": 2.0 * i + 1}
        assert spectrum.meta["mask_bits"] == pfs.bits
    same(Spectrum.read(path, obj_id="s2"), stars[1])
    same(Spectrum.read(path, obj_id=7), stars[2])
    with pytest.raises(ValueError, match="no target with the objId s5"):
        Spectrum.read(path, obj_id="s5")


@pytest.mark.parametrize(
    ("part", "change", "reason"),
    [
        (None, lambda a: a[..., :0], "HDU WAVELENGTH must hold at least 2 finite, positive wavelengths"),
        (None, lambda a: a[..., :1], "HDU WAVELENGTH must hold at least 2 finite, positive wavelengths"),
        ("wave", lambda a: a * np.nan, "HDU WAVELENGTH must hold at least 2 finite, positive wavelengths"),
        ("covar", lambda a: a[:, :-7], r"HDU COVAR must have the shape \(3, 4557\)"),
        ("mask", lambda a: a[:9], r"HDU MASK must have the shape \(4557,\)"),
        ("flux", lambda a: a * np.nan, "flux must be finite somewhere"),
    ],
)
def test_a_torn_target_does_not_cost_the_others(pfs, part, change, reason):
    stars = [pfs.star(i, last=905 - 5 * i) for i in range(3)]
    for name in ("wave", "flux", "mask", "covar") if part is None else (part,):
        setattr(stars[1], name, change(getattr(stars[1], name)))
    spectra = SpectrumList.read(pfs.bundle(stars))
    assert [spectrum.meta["objId"] for spectrum in spectra] == [star.obj_id for star in stars]
    same(spectra[0], stars[0])
    same(spectra[2], stars[2])
    assert spectra[1].mask.all()
    batch = adapt(spectra, on_error="nan")
    assert [not error for error in batch.errors] == [True, False, True]
    with pytest.raises(SpectrumError, match=f"^[^.]*{reason}"):
        adapt(spectra[1])


def test_a_bundle_of_torn_targets_is_refused(pfs):
    stars = [pfs.star(i, last=905 - i) for i in range(2)]
    for star in stars:
        star.mask = star.mask[:5]
    with pytest.raises(ValueError, match=r"^pfsCoadd-000001.fits: HDU MASK must have the shape \(4668,\)"):
        SpectrumList.read(pfs.bundle(stars))


def test_a_bundle_without_targets_is_refused(pfs, star):
    path = pfs.bundle([star])
    with fits.open(path, mode="update") as hdus:
        hdus["TARGET"].data = hdus["TARGET"].data[:0]
    with pytest.raises(ValueError, match=r"HDU TARGET has no rows: there is no spectrum"):
        SpectrumList.read(path)


def test_a_fibre_without_wavelengths_does_not_cost_the_others(pfs):
    stars = [pfs.star(i) for i in range(3)]
    stars[1].wave = stars[1].wave * np.nan
    spectra = SpectrumList.read(pfs.fibres(stars))
    same(spectra[2], stars[2], u.one)
    assert [spectrum.meta["name"] for spectrum in spectra] == ["fibre 11", "fibre 12", "fibre 13"]
    with pytest.raises(SpectrumError, match="HDU WAVELENGTH must hold at least 2"):
        adapt(spectra[1])


def test_mask_bits_of_other_names(pfs, star):
    names = {"COSMIC_RAY": "CR", "SATURATED": "SAT", "NODATA": "NO_DATA", "HALO": "REFLINE"}
    header = fits.Header({f"HIERARCH MP_{name}": pfs.bits[old] for name, old in names.items()})

    def change(hdu):
        return fits.CompImageHDU(star.mask, header.copy(), name="MASK")

    spectrum = Spectrum.read(pfs.target(star, change=with_hdu("MASK", change)))
    same(spectrum, star)
    assert spectrum.meta["notes"] == ("mask bits of unknown meaning count for nothing: HALO",)


def test_a_mask_without_names_says_so(pfs, star):
    path = pfs.target(star, bits=False, flux_table=None)
    (note,) = Spectrum.read(path).meta["notes"]
    assert note.startswith("the file names no mask bits")
    assert "--damage none, or damage=()" in note
    for spectrum in (
        Spectrum.read(path, damage=()),
        *read(path, damage=()),
        *read(path, format="PFS", damage=()),
    ):
        assert spectrum.mask.tolist() == (~np.isfinite(star.flux)).tolist()
        assert spectrum.meta["notes"] == ()


def test_damage_is_for_files_of_pfs_alone(pfs, star, tmp_path):
    text = tmp_path / "star.txt"
    np.savetxt(text, np.c_[np.linspace(8000, 8800, 50), np.ones(50)])
    table = {"columns": {"wave": 1, "flux": 2}}
    for path, more in ((text, {}), (text, {"format": "text"}), (pfs.target(star), table)):
        with pytest.raises(ValueError, match="damage is for mask bits of PFS"):
            read(path, damage=["CR"], **more)
    with pytest.raises(ValueError, match=r"damage must be names of mask bits, .*got 'COSMIC'"):
        read(path, damage="COSMIC")
