"""PFS files of every layout, read without naming a format, against the arrays that were written."""

import subprocess
import sys

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.io.registry import IORegistryError
from astropy.nddata import StdDevUncertainty
from specutils import Spectrum, SpectrumList

from specvit.grid import PFS_MR
from specvit.spectra import Flag, SpectrumError, adapt
from specvit.spectra.readers import read_pfs


def check(spectrum, star, unit=u.nJy):
    """What was read is what was written."""
    np.testing.assert_allclose(spectrum.spectral_axis.to_value(u.AA), 10 * star.wave, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(spectrum.flux.to_value(unit), star.flux)
    np.testing.assert_allclose(spectrum.uncertainty.array, star.covar[0], rtol=1e-6)
    assert spectrum.uncertainty.uncertainty_type == "var"
    np.testing.assert_array_equal(spectrum.mask, star.lost)
    assert spectrum.meta["medium"] == "vacuum"
    assert not {"mask", "flux"} & set(spectrum.meta)


def by_hand(star, unit=u.nJy):
    """The arrays put into a Spectrum, with R from the width of the grid's line spread function."""
    sigma = np.interp(10 * star.wave, PFS_MR.wave, PFS_MR.lsf_sigma)
    return Spectrum(
        flux=star.flux.astype(float) * unit,
        spectral_axis=10 * star.wave * u.AA,
        uncertainty=StdDevUncertainty(np.sqrt(star.covar[0].astype(float))),
        mask=star.lost,
        meta={"medium": "vacuum", "resolution": 10 * star.wave / (2 * np.sqrt(2 * np.log(2)) * sigma)},
    )


def check_adapted(spectrum, star, unit=u.nJy):
    got, expected = adapt(spectrum), adapt(by_hand(star, unit))
    scale = np.median(expected.flux)
    np.testing.assert_allclose(got.flux / scale, expected.flux / scale, rtol=0, atol=1e-6)
    np.testing.assert_allclose(got.ivar, expected.ivar, rtol=1e-6)
    assert got.flags.tolist() == expected.flags.tolist() == [0]


@pytest.mark.parametrize("flux_table", ["FLUX_TABLE", "FLUXTABLE", None])
@pytest.mark.parametrize("linear", [False, True])
def test_target(pfs, star, linear, flux_table):
    path = pfs.target(star, linear=linear, flux_table=flux_table)
    spectrum = Spectrum.read(path)
    check(spectrum, star)
    check_adapted(spectrum, star)
    check(SpectrumList.read(path)[0], star)
    meta = spectrum.meta
    assert (meta["catId"], meta["tract"], meta["patch"], meta["objId"]) == (10015, 1, "0,0", star.obj_id)
    assert (meta["visit"], meta["arm"], meta["fiberId"]) == ([101, 102], ["bmn", "bmn"], [45, 46])
    assert meta["expTime"] == [900.0, 900.0]
    assert meta["fiberFlux"] == {"g_hsc": 1e5}
    assert meta["mask_bits"] == pfs.bits
    np.testing.assert_array_equal(meta["mask_values"], star.mask)
    np.testing.assert_allclose(meta["covariance"], star.covar[1:])


def test_a_path_of_any_name_is_known_by_its_content(pfs, star, tmp_path):
    path = pfs.target(star).rename(tmp_path / "ü star.fits")
    check(Spectrum.read(str(path)), star)
    with fits.open(path) as hdus:
        check(Spectrum.read(hdus, format="PFS"), star)


def test_the_linear_axis_of_the_standard_is_read_by_the_standard(pfs, star):
    def standard(hdu):
        if "CRPIX1" in hdu.header:
            hdu.header["CRPIX1"] -= 1
        return hdu

    check(Spectrum.read(pfs.target(star, linear=True, change=standard)), star)


def test_own_sampling_reads_the_flux_table(pfs, star):
    path = pfs.target(star)
    with fits.open(path, mode="update") as hdus:
        hdus["FLUX_TABLE"].data["flux"] *= 2
        hdus["FLUX_TABLE"].data["wavelength"] += 0.01
    spectrum = Spectrum.read(path, own_sampling=True)
    np.testing.assert_array_equal(spectrum.flux.value, 2 * star.flux)
    np.testing.assert_allclose(spectrum.spectral_axis.value, star.wave + 0.01, rtol=0, atol=1e-9)
    np.testing.assert_allclose(spectrum.uncertainty.array, star.covar[0], rtol=1e-6)
    assert not spectrum.meta["covariance"].any()


def test_a_file_of_2019(pfs, star):
    spectrum = Spectrum.read(pfs.of_2019(star))
    check(spectrum, star)
    assert (spectrum.meta["objId"], spectrum.meta["visit"]) == (77, [7])


@pytest.mark.parametrize("case", ["unequal", "equal", "shared"])
def test_bundle(pfs, case):
    first = {"unequal": 1.8, "equal": 0.01, "shared": 0.0}[case]
    last = 0 if case == "unequal" else first
    stars = [pfs.star(i, first=695 + first * i, last=905 + last * i) for i in range(20)]
    lengths = len({star.wave.size for star in stars})
    assert lengths == (20 if case == "unequal" else 1)
    path = pfs.bundle(stars)
    spectra = SpectrumList.read(path)
    assert len(spectra) == 20
    for i, (spectrum, star) in enumerate(zip(spectra, stars, strict=True)):
        check(spectrum, star)
        meta = spectrum.meta
        assert (meta["targetId"], meta["objId"], meta["patch"]) == (i, star.obj_id, f"{i},0")
        assert meta["fiberFlux"] == {"g_hsc": 2.0 * i, "i2_hsc": 2.0 * i + 1}
        assert meta["visit"] == [138 - 2 * i, 139 - 2 * i]  # written in the opposite order
        assert meta["mask_bits"] == pfs.bits
    check_adapted(spectra[7], stars[7])
    check(SpectrumList.read(path, own_sampling=True)[3], stars[3])


def test_one_target_of_a_bundle(pfs):
    stars = [pfs.star(i) for i in range(3)]
    path = pfs.bundle(stars)
    check(Spectrum.read(path, obj_id=stars[1].obj_id), stars[1])
    assert len(SpectrumList.read(path, obj_id=[stars[2].obj_id, stars[0].obj_id])) == 2
    with pytest.raises(IORegistryError, match=r"pfsCoadd-000001.fits holds 3 spectra: SpectrumList.read"):
        Spectrum.read(path)
    with pytest.raises(ValueError, match="no target with the objId 5"):
        Spectrum.read(path, obj_id=5)


def test_fibres_are_relative_to_their_norm(pfs):
    stars = [pfs.star(i) for i in range(3)]
    norm = 1e5 * (1 + 0.3 * np.linspace(-1, 1, stars[0].wave.size))
    path = pfs.fibres(stars, norm=norm)
    spectra = SpectrumList.read(path)
    for i, (spectrum, star) in enumerate(zip(spectra, stars, strict=True)):
        np.testing.assert_allclose(spectrum.flux.to_value(u.one), star.flux / norm, rtol=1e-6)
        np.testing.assert_allclose(spectrum.uncertainty.array, star.covar[0] / norm**2, rtol=1e-6)
        np.testing.assert_array_equal(spectrum.mask, star.lost)
        assert spectrum.meta["fiberId"] == 11 + i
        assert not spectrum.meta["flux_calibrated"]
    assert Spectrum.read(path, fiber_id=12).meta["fiberId"] == 12


def test_fibres_without_norm(pfs):
    stars = [pfs.star(i) for i in range(2)]
    spectra = SpectrumList.read(pfs.fibres(stars))
    check(spectra[1], stars[1], u.one)
    check_adapted(spectra[1], stars[1], u.one)


def test_fibres_without_their_numbers(pfs):
    path = pfs.fibres([pfs.star(0), pfs.star(1)])
    with fits.open(path, mode="update") as hdus:
        del hdus["FIBERID"]
        hdus["WAVELENGTH"].data = hdus["WAVELENGTH"].data[0]
    spectra = SpectrumList.read(path)
    check(spectra[1], pfs.star(1), u.one)
    assert "fiberId" not in spectra[1].meta
    with pytest.raises(ValueError, match="HDU FIBERID is missing or empty, which fiber_id asks for"):
        Spectrum.read(path, fiber_id=12)


def test_a_stated_unit_is_taken(pfs, star):
    def state(hdu):
        if hdu.name == "FLUX":
            hdu.header["BUNIT"] = "uJy"
        return hdu

    check(Spectrum.read(pfs.target(star, change=state)), star, u.uJy)


def test_mask_names_of_a_bundle_without_metadata(pfs, star):
    path = pfs.bundle([star], without=("METADATA",))
    assert SpectrumList.read(path)[0].mask.all()  # every bit counts, FIBERTRACE too
    with fits.open(path, mode="update") as hdus:
        hdus["PRIMARY"].header.update({f"HIERARCH MP_{name}": bit for name, bit in pfs.bits.items()})
    check(SpectrumList.read(path)[0], star)


def test_masked_everywhere_is_refused_with_the_reason(pfs, star):
    star.mask |= 1 << pfs.bits["BAD"]
    spectrum = Spectrum.read(pfs.target(star))
    assert spectrum.mask.all()
    with pytest.raises(SpectrumError, match="no valid pixel: all are masked"):
        adapt(spectrum)


def test_without_covariance_there_is_no_uncertainty(pfs, star):
    spectrum = Spectrum.read(pfs.target(star, without=("COVAR",)))
    assert spectrum.uncertainty is None
    assert "covariance" not in spectrum.meta
    assert adapt(spectrum).flags[0] == Flag.NO_UNCERTAINTY


def test_the_low_resolution_arm_is_refused(pfs):
    star = pfs.star(0, first=640, last=960, step=0.08)
    star.arm = "brn"
    spectrum = Spectrum.read(pfs.target(star))
    assert spectrum.meta["resolution"][2000] == 3000
    with pytest.raises(SpectrumError, match="resolution must not be lower than the grid's"):
        adapt(spectrum)


def test_damage_can_be_chosen(pfs, star):
    path = pfs.target(star)
    only_finite = Spectrum.read(path, damage=())
    np.testing.assert_array_equal(only_finite.mask, ~np.isfinite(star.flux))
    with_lines = Spectrum.read(path, damage=["REFLINE"])
    expected = ~np.isfinite(star.flux) | ((star.mask >> pfs.bits["REFLINE"]) & 1 == 1)
    np.testing.assert_array_equal(with_lines.mask, expected)
    with pytest.raises(ValueError, match=r"damage must be names of mask bits.*'COSMIC'"):
        Spectrum.read(path, damage=["COSMIC"])


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("COVAR", np.ones((4, 4668)), r"HDU COVAR must have the shape \(3, 4668\)"),
        ("MASK", np.zeros(7, "i4"), r"HDU MASK must have the shape \(4668,\)"),
        ("WAVELENGTH", np.linspace(700, 900, 9), r"HDU WAVELENGTH must have the shape \(4668,\)"),
        ("WAVELENGTH", np.full(4668, np.nan), "HDU WAVELENGTH must hold at least 2 finite"),
        ("WAVELENGTH", np.full(4668, 700.0), "HDU WAVELENGTH must rise or fall strictly"),
        ("FLUX", np.ones((2, 4668)), r"HDU FLUX must have 1 dimension"),
        ("FLUX", None, "HDU FLUX is missing or empty"),
    ],
)
def test_damaged_files_are_named_with_the_hdu(pfs, star, name, data, message):
    def spoil(hdu):
        return fits.ImageHDU(data, name=name) if hdu.name == name else hdu

    assert star.wave.size == 4668
    path = pfs.target(star, flux_table=None, change=spoil)
    with pytest.raises(ValueError, match=f"^pfsObject-.*fits: {message}") as caught:
        Spectrum.read(path)
    assert "\n" not in str(caught.value)


def test_without_wavelengths_nothing_is_made_up(pfs, star):
    path = pfs.target(star, flux_table=None, without=("WAVELENGTH",))
    with pytest.raises(ValueError, match="no wavelengths: no HDU WAVELENGTH, and HDU FLUX has no CRVAL1"):
        Spectrum.read(path)


@pytest.mark.parametrize(
    ("without", "message"),
    [
        (("TARGET",), "no HDU TARGET"),
        (("WAVELENGTH",), "HDU WAVELENGTH is missing"),
        (("FLUX",), "HDU FLUX is missing"),
    ],
)
def test_incomplete_bundles_are_named_with_the_hdu(pfs, star, without, message):
    with pytest.raises(ValueError, match=f"^pfsCoadd-000001.fits: {message}"):
        SpectrumList.read(pfs.bundle([star], without=without))


def test_a_bundle_with_a_table_of_unknown_form(pfs):
    path = pfs.bundle([pfs.star(0), pfs.star(1, last=900)])
    with fits.open(path, mode="update") as hdus:
        hdus["FLUX"].columns.change_name("value", "values")
    with pytest.raises(ValueError, match="HDU FLUX must have the column value, got values"):
        SpectrumList.read(path)


@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyUserWarning")
@pytest.mark.parametrize("kept", [0, 1000, 2880 * 4])
def test_cut_files_are_refused_in_one_line(pfs, star, kept):
    path = pfs.target(star)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"^pfsObject-") as caught:
        Spectrum.read(path)
    assert "\n" not in str(caught.value)


def test_other_files_are_not_taken(tmp_path):
    path = tmp_path / "other.fits"
    image = fits.ImageHDU(np.ones(9), name="FLUX")
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
    with pytest.raises(ValueError, match=r"other.fits: not a PFS file, or cut: its HDUs are PRIMARY, FLUX"):
        read_pfs(path)
    formats = Spectrum.read.registry.identify_format("read", Spectrum, str(path), None, [str(path)], {})
    assert "PFS" not in formats


def test_importing_the_readers_registers_them():
    code = """
from specutils import Spectrum, SpectrumList
def formats():
    tables = [one.read.registry.get_formats(one) for one in (Spectrum, SpectrumList)]
    return [list(table["Format"]).count("PFS") for table in tables]
print(formats())
import specvit.spectra.readers
print(formats())
"""
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split("\n")[:2] == ["[0, 0]", "[1, 1]"]
