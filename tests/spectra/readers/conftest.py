"""Files of every layout, written with astropy.io.fits alone, and the arrays that went into them."""

from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import StdDevUncertainty
from specutils import Spectrum

from specvit import LoggEstimator
from specvit.grid import air_to_vacuum

BITS = {"BAD": 0, "SAT": 1, "INTRP": 2, "CR": 5, "SUSPECT": 7, "NO_DATA": 8, "REFLINE": 9, "FIBERTRACE": 12}
BITS |= {"OVERLAP_FIBERTRACE": 13}
CARDS = {f"HIERARCH MP_{name}": bit for name, bit in BITS.items()}


def make_star(seed, first=695.0, last=905.0, step=0.045):
    """Arrays of a medium-resolution spectrum as a PFS file holds them: NaN and NO_DATA outside 710–885 nm."""
    rng = np.random.default_rng(seed)
    wave = first + step * np.arange(round((last - first) / step) + 1)
    flux = 1e5 * (1 + 0.1 * np.sin(wave / 40))
    for centre, depth in zip(rng.uniform(712, 883, 60), rng.uniform(0.1, 0.6, 60), strict=True):
        flux *= 1 - depth * np.exp(-0.5 * ((wave - centre) / 0.08) ** 2)
    sigma = 1000 * (1 + 0.5 * np.cos(wave / 15))
    flux += sigma * rng.normal(size=wave.size)
    mask = np.full(wave.size, 1 << BITS["FIBERTRACE"], dtype=np.int32)
    outside = (wave < 710) | (wave > 885)
    flux[outside] = np.nan
    mask[outside] |= 1 << BITS["NO_DATA"]
    struck = rng.choice(np.flatnonzero(~outside), 12, replace=False)
    flux[struck] *= 5
    mask[struck] |= 1 << BITS["CR"]
    mask[struck + 1] |= 1 << BITS["REFLINE"]
    covar = np.stack([sigma**2, 0.1 * sigma**2, np.zeros(wave.size)]).astype("f4")
    lost = outside.copy()
    lost[struck] = True
    return SimpleNamespace(
        wave=wave, flux=flux.astype("f4"), mask=mask, covar=covar, lost=lost, obj_id=0x80B5 + seed, arm="bmn"
    )


def table(name, columns, header=None):
    columns = [fits.Column(key, form, array=array) for key, form, array in columns]
    return fits.BinTableHDU.from_columns(columns, name=name, header=header)


def linear_header(wave):
    """Cards of the data model's linear axis: metres, and the reference pixel one too high."""
    return fits.Header(
        {
            "CTYPE1": "WAVE",
            "CUNIT1": "m",
            "CRVAL1": 0.5e-9 * (wave[0] + wave[-1]),
            "CDELT1": 1e-9 * (wave[-1] - wave[0]) / (wave.size - 1),
            "CRPIX1": wave.size / 2 + 1.5,
        }
    )


def write_target(path, star, *, linear=False, flux_table="FLUX_TABLE", without=(), bits=True, change=None):
    """A pfsSingle or pfsObject file."""
    axis = linear_header(star.wave) if linear else fits.Header()
    cards = fits.Header(CARDS if bits else {})
    ids = {"CATID": 10015, "TRACT": 1, "PATCH": "0,0", "OBJID": star.obj_id, "RA": 150.5, "DEC": 2.0}
    hdus = [
        fits.PrimaryHDU(),
        fits.ImageHDU(star.flux, axis.copy(), name="FLUX"),
        fits.CompImageHDU(star.mask, cards.copy(), name="MASK"),
        table("TARGET", [("filterName", "5A", ["g_hsc"]), ("fiberFlux", "E", [1e5])], fits.Header(ids)),
        fits.ImageHDU(np.zeros_like(star.flux), axis.copy(), name="SKY"),
        fits.ImageHDU(star.covar, axis.copy(), name="COVAR"),
        fits.ImageHDU(np.zeros((5, 5), "f4"), name="COVAR2"),
        table(
            "OBSERVATIONS",
            [
                ("visit", "J", [101, 102]),
                ("arm", "3A", [star.arm] * 2),
                ("spectrograph", "J", [1, 1]),
                ("fiberId", "J", [45, 46]),
                ("pfsDesignId", "K", [123, 123]),
                ("pfiNominal", "2E", np.zeros((2, 2))),
                ("obsTime", "19A", ["2026-03-01T00:00:00"] * 2),
                ("expTime", "E", [900.0, 900.0]),
            ],
        ),
        table("NOTES", []),
    ]
    if not linear:
        hdus.insert(3, fits.ImageHDU(star.wave, name="WAVELENGTH"))
    if flux_table:
        rows = [("wavelength", "D", star.wave), ("flux", "E", star.flux)]
        rows += [("error", "E", np.sqrt(star.covar[0])), ("mask", "K", star.mask)]
        hdus.append(table(flux_table, rows, cards))
    hdus = [change(hdu) if change else hdu for hdu in hdus if hdu.name not in without]
    fits.HDUList(hdus).writeto(path)
    return path


def write_2019(path, star):
    """A pfsObject file of 2019: ids in the primary header, the spectrum in the second HDU."""
    cards = {"TRACT": 1, "PATCH": "0,0", "CATID": 1, "OBJID": 77, "PFSVHASH": 5}
    rows = [("lambda", "D", star.wave), ("flux", "E", star.flux)]
    rows += [("fluxVariance", "E", star.covar[0]), ("mask", "J", star.lost.astype("i4"))]
    linear = {"CRVAL1": star.wave[0], "CRPIX1": 0, "CD1_1": star.wave[1] - star.wave[0]}
    hdus = [
        fits.PrimaryHDU(header=fits.Header(cards)),
        fits.ImageHDU(star.flux, fits.Header(linear), name="FLUX"),
        table("FLUXTBL", rows),
        fits.ImageHDU(star.covar, name="COVAR"),
        fits.ImageHDU(star.mask, name="MASK"),
        table("CONFIG", [("visit", "J", [7]), ("pfsConfigId", "K", [9])]),
    ]
    fits.HDUList(hdus).writeto(path)
    return path


def ragged(code, arrays):
    """Arrays of unequal lengths for a column of variable length."""
    column = np.empty(len(arrays), dtype=object)
    column[:] = arrays
    return f"P{code}()", column


def write_bundle(path, stars, *, without=(), ids=None, obj_ids=None):
    """A pfsCoadd or pfsCalibrated file: images where lengths agree, tables where they do not.

    `ids` and `obj_ids` are targetId and objId in text.
    """
    n = len(stars)
    keys, of_key = (np.arange(n, dtype="i2"), "I") if ids is None else (np.array(ids), "12A")
    objects, of_object = ([star.obj_id for star in stars], "K") if obj_ids is None else (obj_ids, "12A")
    equal = len({star.wave.size for star in stars}) == 1
    shared = equal and all(np.array_equal(star.wave, stars[0].wave) for star in stars)
    text = "CATALOG: x\n" + "".join(f"MP_{name}: {bit}\n" for name, bit in sorted(BITS.items()))

    def component(name, key, code, image=fits.ImageHDU):
        arrays = [getattr(star, key) for star in stars]
        if equal:
            return image(np.array(arrays), name=name)
        return table(name, [("value", *ragged(code, arrays))])

    covar = [(f"row_{k}", *ragged("E", [star.covar[k] for star in stars])) for k in range(3)]
    flux_table = [("targetId", of_key, keys)]
    for name, code, arrays in (
        ("wavelength", "D", [star.wave for star in stars]),
        ("flux", "E", [star.flux for star in stars]),
        ("error", "E", [np.sqrt(star.covar[0]) for star in stars]),
        ("mask", "J", [star.mask for star in stars]),
    ):
        form, column = ragged(code, arrays)
        flux_table.append((name, form.replace("P", "Q"), column))
    wave = component("WAVELENGTH", "wave", "D")
    twice = np.repeat(keys, 2)
    hdus = [
        fits.PrimaryHDU(header=fits.Header({"DAMD_VER": 1})),
        table(
            "TARGET",
            [
                ("targetId", of_key, keys),
                ("catId", "J", [10015] * n),
                ("tract", "J", [1] * n),
                ("patch", "PA()", [f"{i},0" for i in range(n)]),
                ("objId", of_object, objects),
                ("ra", "D", 150.0 + np.arange(n)),
                ("dec", "D", [2.0] * n),
                ("targetType", "I", [1] * n),
            ],
        ),
        table(
            "TARGETFLUX",
            [
                ("targetId", of_key, twice),
                ("filterName", "PA()", ["g_hsc", "i2_hsc"] * n),
                ("fiberFlux", "E", np.arange(2.0 * n)),
            ],
        ),
        table(
            "OBSERVATIONS",
            [
                ("targetId", of_key, twice[::-1]),
                ("visit", "J", 100 + np.arange(2 * n)),
                ("arm", "PA()", ["brn", "bmn"] * n),
                ("fiberId", "J", np.arange(2 * n)),
                ("pfsDesignId", "K", [123] * 2 * n),
                ("obsTime", "PA()", ["2026-03-01T00:00:00"] * 2 * n),
                ("expTime", "E", [900.0] * 2 * n),
            ],
        ),
        fits.ImageHDU(stars[0].wave, name="WAVELENGTH") if shared else wave,
        component("FLUX", "flux", "E"),
        component("MASK", "mask", "J", fits.CompImageHDU),
        table("COVAR", covar),
        fits.ImageHDU(np.zeros((n, 5, 5), "f4"), name="COVAR2"),
        table("METADATA", [("targetId", of_key, keys), ("metadata", "PA()", [text] * n)]),
        table("FLUXTABLE", flux_table),
        table("NOTES", []),
    ]
    fits.HDUList([hdu for hdu in hdus if hdu.name not in without]).writeto(path)
    return path


def write_fibres(path, stars, *, norm=None):
    """A pfsMerged file: mask names in the primary header, one row a fibre."""
    hdus = [
        fits.PrimaryHDU(header=fits.Header({**CARDS, "DAMD_VER": 1 if norm is None else 2})),
        fits.ImageHDU(np.arange(11, 11 + len(stars), dtype="i4"), name="FIBERID"),
        fits.ImageHDU(np.array([star.wave for star in stars]), name="WAVELENGTH"),
        fits.ImageHDU(np.array([star.flux for star in stars]), name="FLUX"),
        fits.ImageHDU(np.array([star.mask for star in stars]), name="MASK"),
        fits.ImageHDU(np.array([star.covar for star in stars]), name="COVAR"),
        table("CONFIG", [("visit", "J", [5]), ("arm", "3A", ["bmn"]), ("pfsDesignId", "K", [1])]),
    ]
    if norm is not None:
        hdus.insert(5, fits.ImageHDU(np.tile(norm, (len(stars), 1)), name="NORM"))
    fits.HDUList(hdus).writeto(path)
    return path


@pytest.fixture
def star():
    """Arrays of one spectrum."""
    return make_star(0)


@pytest.fixture
def pfs(tmp_path):
    """Writers of files in `tmp_path`, named as the pipeline names them."""
    old = tmp_path / "pfsObject-00001-0,0-001-00000077-01-0x00000005.fits"
    target = tmp_path / "pfsObject-10015-00001-0,0-00000000000080b5-002-0x163dfe8bcdc0f1d4.fits"
    return SimpleNamespace(
        star=make_star,
        bits=BITS,
        target=lambda star, **options: write_target(target, star, **options),
        of_2019=lambda star: write_2019(old, star),
        bundle=lambda stars, **options: write_bundle(tmp_path / "pfsCoadd-000001.fits", stars, **options),
        fibres=lambda stars, **options: write_fibres(tmp_path / "pfsMerged-000101.fits", stars, **options),
    )


# -- files of everybody else --------------------------------------------------------------------------------


def observe(wave, medium="vacuum", seed=0, snr=60.0):
    """Arrays of a cool star on some pixels (Å), in single precision as files have them."""
    rng = np.random.default_rng(seed)
    wave = np.asarray(wave, float)
    vacuum = air_to_vacuum(wave) if medium == "air" else wave
    flux = 1 + 0.1 * np.sin(vacuum / 400)
    lines = [(8500.36, 0.6, 2.0), (8544.44, 0.75, 2.8), (8664.52, 0.7, 2.4)]
    lines += [
        (c, d, 0.7) for c, d in zip(rng.uniform(5800, 8840, 400), rng.uniform(0.05, 0.4, 400), strict=True)
    ]
    for centre, depth, width in lines:
        flux = flux * (1 - depth * np.exp(-0.5 * ((vacuum - centre) / width) ** 2))
    sigma = (flux / snr * (1 + 0.3 * np.cos(vacuum / 150))).astype("f4")
    flux = (flux + sigma * rng.normal(size=wave.size)).astype("f4")
    lost = np.zeros(wave.size, bool)
    lost[rng.choice(wave.size, 15, replace=False)] = True
    return SimpleNamespace(wave=wave, flux=flux, sigma=sigma, lost=lost, medium=medium)


@pytest.fixture(name="observe")
def observe_fixture():
    """`observe`."""
    return observe


@pytest.fixture(scope="session")
def estimator():
    """The one of the bundled weights."""
    return LoggEstimator()


@pytest.fixture
def check(estimator):
    """Check of a spectrum that was read against the arrays that were written."""

    def check(spectrum, star, resolution=None, scale=1.0, sigma=True, predict=True):
        wave = spectrum.spectral_axis.to_value(u.AA)
        np.testing.assert_allclose(wave, star.wave, rtol=0, atol=1e-4)
        assert spectrum.meta["medium"] == star.medium
        np.testing.assert_array_equal(spectrum.mask, star.lost)
        good = ~star.lost
        np.testing.assert_allclose(spectrum.flux.value[good], star.flux[good] * scale, rtol=2e-6)
        hand = {"meta": {"medium": star.medium}}
        if resolution is None:
            assert "resolution" not in spectrum.meta
        else:
            np.testing.assert_allclose(spectrum.meta["resolution"], resolution, rtol=1e-5)
            hand["meta"]["resolution"] = resolution
        if sigma:
            with np.errstate(divide="ignore"):
                found = spectrum.uncertainty.represent_as(StdDevUncertainty).array
            np.testing.assert_allclose(found[good], star.sigma[good] * scale, rtol=1e-5)
            hand["uncertainty"] = StdDevUncertainty(np.asarray(star.sigma, float))
        else:
            assert spectrum.uncertainty is None
        if predict:
            arrays = Spectrum(
                flux=np.asarray(star.flux, float) * u.one,
                spectral_axis=star.wave * u.AA,
                mask=star.lost,
                **hand,
            )
            table = estimator.predict_table([spectrum, arrays])
            assert table["error"].tolist() == ["", ""]
            assert len(set(table["flags"].tolist())) == 1
            for name in ("logg", "logg_err", "mh"):
                values = getattr(table[name], "value", table[name])
                assert abs(values[0] - values[1]) < 1e-5
            assert abs(table["teff"][0].value / table["teff"][1].value - 1) < 1e-5

    return check


@pytest.fixture(name="table")
def table_fixture():
    """`table`: a table HDU of (name, form, array) triples."""
    return table
