"""The readers of BOSZ, on files in the releases' formats whose spectra are known in closed form."""

import bz2
import gzip
import itertools
import shutil
import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from scipy.interpolate import CubicSpline
from specutils.utils.wcs_utils import vac_to_air

from specvit.grid import FWHM_PER_SIGMA, PixelGrid
from specvit.stars import Emulator, read_library
from specvit.stars.bosz import parse_name, read_bosz
from specvit.stars.emulatorcheck import held_out_rms
from specvit.stars.library import SyntheticLibrary, needed_range

CALCIUM = (8500.36, 8544.44, 8664.52)  # vacuum
CENTRES = (*CALCIUM, 8450.0, 8600.3)
NATURAL = 9e-5  # σ/λ of the lines before instrumental broadening
POWER = 20_000
#: A small grid: its values of Teff, log g, [M/H], [alpha/M], [C/M].
AXES = ((4500, 5000), (1.5, 3.0), (-0.75, 0.25), (0.0, 0.25), (-0.25, 0.0))
POINTS = list(itertools.product(*AXES))


def continuum(wave, labels):
    """Surface continuum, erg/s/cm²/Å, with a small jump at the Paschen limit."""
    teff, logg = labels[:2]
    return 3e6 * (teff / 5000) ** 4 * (wave / 8000) ** -(teff / 2500) * (1 - 0.01 * logg * (wave < 8206))


def line_spectrum(wave, labels, power):
    teff, logg, mh, alpham, cm = labels
    depths = 0.5 + 0.05 * np.array([logg, mh, 2 * alpham, -4 * cm, (teff - 5000) / 1000])
    sigma = np.sqrt(NATURAL**2 + (1 / power / FWHM_PER_SIGMA) ** 2)
    # A line of given area gets shallower as it is broadened.
    lines = [
        depth * NATURAL / sigma * np.exp(-0.5 * ((wave / centre - 1) / sigma) ** 2)
        for depth, centre in zip(depths, CENTRES, strict=True)
    ]
    return 1 - sum(lines)


def native_wave(power=POWER, low=8430.0, high=8670.0):
    """Two points per resolution element, vacuum Å."""
    return low * (1 + 0.5 / power) ** np.arange(int(np.log(high / low) * 2 * power))


def name_2017(labels, power=POWER, suffix="fits", micro=20):
    teff, logg, *abundances = labels

    def token(x):
        return f"{'m' if x < 0 else 'p'}{int(abs(x) * 10 + 0.5):02d}"

    mh, alpham, cm = map(token, abundances)
    return f"am{mh}c{cm}o{alpham}t{teff:.0f}g{logg * 10:02.0f}v{micro}modrt0b{power}rs.{suffix}"


def name_2024(labels, power=POWER, atmosphere="mp", micro=2, product="resam"):
    teff, logg, mh, alpham, cm = labels
    return (
        f"bosz2024_{atmosphere}_t{teff:.0f}_g{logg:+.1f}_m{mh:+.2f}_a{alpham:+.2f}_c{cm:+.2f}"
        f"_v{micro}_r{power}_{product}.txt.gz"
    )


def write_2017(folder, labels, power=POWER, suffix="fits", code="D", wave=None, **name):
    path = folder / name_2017(labels, power, suffix, **name)
    wave = native_wave(power) if wave is None else wave
    level = continuum(wave, labels) / np.pi
    arrays = (wave, level * line_spectrum(wave, labels, power), level)
    if suffix == "fits":
        columns = zip(("Wavelength", "SpecificIntensity", "Continuum"), arrays, strict=True)
        table = fits.BinTableHDU.from_columns([fits.Column(n, code, array=a) for n, a in columns])
        fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    else:
        with bz2.open(path, "wt") as file:
            np.savetxt(file, np.transpose(arrays), fmt=["%.3f", "%.6E", "%.6E"])
    return path


def write_2024(folder, labels, power=POWER, **name):
    """A spectrum in the archive's tree, and the file of air wavelengths."""
    wave = native_wave(power)
    (folder / "wavelength_grids").mkdir(parents=True, exist_ok=True)
    axis = folder / "wavelength_grids" / f"bosz2024_wave_r{power}.txt"
    if not axis.exists():
        np.savetxt(axis, vac_to_air(wave * u.AA, method="Morton2000").to_value(u.AA), fmt="%.6f")
    path = folder / f"r{power}" / f"m{labels[2]:+.2f}" / name_2024(labels, power, **name)
    path.parent.mkdir(parents=True, exist_ok=True)
    level = continuum(wave, labels) / (4 * np.pi)
    with gzip.open(path, "wt") as file:
        np.savetxt(file, np.c_[level * line_spectrum(wave, labels, power), level], fmt="%.6E")
    return path


WRITERS = {
    "2017 fits": write_2017,
    "2017 fits float32": lambda folder, labels: write_2017(folder, labels, code="E"),
    "2017 text": lambda folder, labels: write_2017(folder, labels, suffix="asc.bz2"),
    "2024": write_2024,
}
RANGE = (8480.0, 8620.0)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Complete small grids of each kind, by name; to be copied and not to be changed."""
    folders = {kind: tmp_path_factory.mktemp("bosz") for kind in WRITERS}
    for kind, labels in itertools.product(WRITERS, POINTS):
        WRITERS[kind](folders[kind], labels)
    return folders


@pytest.fixture
def folder(written, tmp_path):
    """A complete small grid of 2017."""
    return shutil.copytree(written["2017 fits"], tmp_path, dirs_exist_ok=True)


@pytest.fixture
def folder_2024(written, tmp_path):
    """A complete small grid of 2024."""
    return shutil.copytree(written["2024"], tmp_path, dirs_exist_ok=True)


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("resolving_power", [None, 8_000])
@pytest.mark.parametrize("kind", WRITERS)
def test_spectra_are_those_in_the_files(written, kind, resolving_power):
    library = read_bosz(written[kind], wave_range=RANGE, resolving_power=resolving_power)
    power = resolving_power or POWER
    assert library.resolving_power == power
    assert library.wave[0] == pytest.approx(RANGE[0]) and library.wave[-1] == pytest.approx(RANGE[1], abs=0.5)
    np.testing.assert_allclose(np.diff(np.log(library.wave)), 2e-5, rtol=1e-6)
    np.testing.assert_array_equal(library.labels, sorted(POINTS))
    assert not len(library.missing)
    for k in (0, 13, 31):
        expected = line_spectrum(library.wave, library.labels[k], power)
        np.testing.assert_allclose(library.normalised[k], expected, atol=2e-3)
        level = np.exp(CubicSpline(library.continuum_wave, library.log_continuum[k])(library.wave))
        np.testing.assert_allclose(level, continuum(library.wave, library.labels[k]), rtol=1e-4)


def test_flux_is_kept_where_the_continuum_jumps(tmp_path):
    """The spline of the continuum cannot follow the Paschen limit: the normalised flux has what it misses."""
    for labels in POINTS:
        write_2017(tmp_path, labels, wave=native_wave(low=8130.0))
    library = read_bosz(tmp_path, wave_range=(8150, 8600))
    level = np.exp(CubicSpline(library.continuum_wave, library.log_continuum[7])(library.wave))
    true_level = continuum(library.wave, library.labels[7])
    assert np.abs(level / true_level - 1).max() > 2e-3
    away = np.abs(library.wave - 8206) > 2
    expected = true_level * line_spectrum(library.wave, library.labels[7], POWER)
    np.testing.assert_allclose((level * library.normalised[7])[away], expected[away], rtol=4e-3)


def test_sharper_files_come_at_20000(tmp_path):
    for labels in POINTS:
        write_2017(tmp_path, labels, power=50_000)
    library = read_bosz(tmp_path, wave_range=RANGE)
    assert library.resolving_power == 20_000
    np.testing.assert_allclose(
        library.normalised[3], line_spectrum(library.wave, library.labels[3], 20_000), atol=1e-3
    )
    fine = read_bosz(tmp_path, wave_range=RANGE, resolving_power=50_000)
    np.testing.assert_allclose(np.diff(np.log(fine.wave)), 1 / (2.5 * 50_000), rtol=1e-6)
    with pytest.raises(ValueError, match=r"50000, or at most 0.9 of it, got 48000"):
        read_bosz(tmp_path, wave_range=RANGE, resolving_power=48_000)


def test_an_emulator_is_fitted_on_a_folder(tmp_path):
    axes = ((4500, 5000, 5500), (1.5, 3.0, 4.5), (-0.75, -0.25, 0.25), (0.0, 0.25), (-0.25, 0.0))
    for labels in itertools.product(*axes):
        write_2024(tmp_path, labels)
    grid = PixelGrid.linear(8500, 8600, 150, 0.6)
    library = read_library(tmp_path, wave_range=needed_range(grid))
    assert library.wave[0] < 8490 and library.wave[-1] > 8609
    emulator = Emulator.fit(library, grid, n_components=4, n_continuum=2, width=32, members=1, steps=500)
    kept = library[np.array(emulator.record["held_out"])]
    depth = (1 - kept.normalised).max()
    assert np.median(held_out_rms(emulator, kept)) < 0.01 * depth
    assert emulator.record["validation"]["n"] == len(kept)
    np.testing.assert_allclose(emulator.label_range.T, [(axis[0], axis[-1]) for axis in axes], rtol=1e-6)


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "labels", "others"),
    [
        # from the archive's page, and from webbpsf_ext's tests
        (
            "amm13cp00op00t3500g45v20modrt0b50000rs.asc.bz2",
            (3500, 4.5, -1.25, 0, 0),
            (2017, 2.0, 50_000, "ap"),
        ),
        ("amp03cp00op03t3500g00v20modrt0b5000rs.fits", (3500, 0, 0.25, 0.25, 0), (2017, 2.0, 5000, "ap")),
        ("amm23cm08op00t3500g50v20modrt0b2000rs.fits", (3500, 5, -2.25, 0, -0.75), (2017, 2.0, 2000, "ap")),
        (
            "amp05cp03op05t12000g40v20modrt0b10000rs.fits",
            (12000, 4, 0.5, 0.5, 0.25),
            (2017, 2.0, 10_000, "ap"),
        ),
        (
            "bosz2024_mp_t5000_g+5.0_m+0.00_a+0.25_c-0.75_v0_r5000_resam.txt.gz",
            (5000, 5, 0, 0.25, -0.75),
            (2024, 0.0, 5000, "mp"),
        ),
        (
            "bosz2024_ms_t2800_g-0.5_m-2.50_a-0.25_c+0.50_v4_r500_resam.txt.gz",
            (2800, -0.5, -2.5, -0.25, 0.5),
            (2024, 4.0, 500, "ms"),
        ),
    ],
)
def test_names(name, labels, others):
    found = parse_name(name)
    assert found.labels == labels
    assert (found.release, found.microturbulence, found.resolving_power, found.atmosphere) == others


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("star.fits", "not the name of a BOSZ spectrum"),
        ("bosz2025_mp_t5000_g+5.0_m+0.00_a+0.00_c+0.00_v0_r5000_resam.txt.gz", "not the name"),
        ("amp01cp00op00t5000g40v20modrt0b5000rs.fits", "multiples of 0.25 rounded to tenths, got 'p01'"),
        ("amp00cp00op00t5000g40v20modrt20b5000rs.fits", "rt must be 0"),
        ("bosz2024_mp_t5000_g+5.0_m+0.00_a+0.00_c+0.00_v0_rorig_noresam.txt.gz", "not rorig_noresam"),
        ("bosz2024_mp_t5000_g+5.0_m+0.00_a+0.00_c+0.00_v0_rorig_lineid.txt.gz", "not rorig_lineid"),
    ],
)
def test_other_names_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        parse_name(name)


# -- which spectra ---------------------------------------------------------------------------------


def test_missing_points_are_told(folder):
    for labels in POINTS[3:5]:
        (folder / name_2017(labels)).unlink()
    with pytest.warns(UserWarning, match=r"2 of 32 points .* missing, such as teff 4500, logg 1.5, mh -0.75"):
        library = read_bosz(folder, wave_range=RANGE)
    np.testing.assert_array_equal(library.missing, POINTS[3:5])
    np.testing.assert_array_equal(library[:4].missing, library.missing)
    assert len(library) == 30


def test_a_label_needs_several_values(tmp_path):
    for labels in POINTS:
        write_2017(tmp_path, (*labels[:4], 0.0)) if labels[4] == 0 else None
    with pytest.raises(ValueError, match="several values of each label, cm is 0 in all files"):
        read_bosz(tmp_path, wave_range=RANGE)


def test_limits_leave_files_closed(folder):
    (folder / name_2017((6000, 1.5, -0.75, 0, 0))).write_bytes(b"no FITS at all")
    with pytest.raises(ValueError, match=r"t6000.*not a spectrum of BOSZ 2017"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read_bosz(folder, wave_range=RANGE)
    assert len(read_bosz(folder, wave_range=RANGE, limits={"teff": (4000, 5500)})) == 32
    with pytest.raises(ValueError, match="limits must be of"):
        read_bosz(folder, limits={"Teff": (4000, 5500)})
    with pytest.raises(FileNotFoundError, match="within the limits"):
        read_bosz(folder, limits={"teff": (7000, 8000)})


def test_one_microturbulence_is_chosen(folder_2024):
    other = write_2024(folder_2024, POINTS[0], micro=4)
    with pytest.raises(ValueError, match=r"one microturbulence: it is .* for .* and .* for "):
        read_bosz(folder_2024, wave_range=RANGE)
    assert len(read_bosz(folder_2024, wave_range=RANGE, microturbulence=2)) == 32
    other.rename(other.with_name(name_2024(POINTS[0], atmosphere="ms")))
    with pytest.raises(ValueError, match="has the labels of"):
        read_bosz(folder_2024, wave_range=RANGE)


def test_marcs_comes_before_atlas(folder_2024):
    atlas = write_2024(folder_2024, POINTS[5], atmosphere="ap")
    with gzip.open(atlas, "wt") as file:
        file.write("no number\n")  # would fail if it were opened
    assert len(read_bosz(folder_2024, wave_range=RANGE)) == 32


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            lambda folder: write_2024(folder, POINTS[0]),
            "one release: it is 20.. for .* and 20.. for ",
        ),
        (lambda folder: write_2017(folder, POINTS[0], power=10_000), "one resolving power: it is"),
        (lambda folder: write_2017(folder, POINTS[0], micro=10), "one microturbulence: it is"),
        (lambda folder: (folder / "star.fits").write_bytes(b""), "star.fits: not the name of a BOSZ"),
        (lambda folder: (folder / "x.txt.gz").write_bytes(b""), "x.txt.gz: not the name of a BOSZ"),
        (
            lambda folder: np.savez(folder / "d1.npz", labels=[1]),
            "must be of one kind, got .*d1.npz",
        ),
    ],
)
def test_mixed_and_foreign_files(folder, write, message):
    write(folder)
    with pytest.raises(ValueError, match=message):
        read_library(folder, wave_range=RANGE)


def test_nothing_there(tmp_path):
    (tmp_path / "README.txt").write_text("no spectra")
    with pytest.raises(FileNotFoundError, match="holds no library files"):
        read_library(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"none.fits: no such file"):
        read_library([tmp_path / "none.fits"])


# -- damaged files ---------------------------------------------------------------------------------


def rewrite_2017(path, change):
    with fits.open(path) as hdus:
        columns = {c.name: np.array(hdus[1].data[c.name]) for c in hdus[1].columns}
    columns = change(columns) or columns
    fits.BinTableHDU.from_columns([fits.Column(n, "D", array=a) for n, a in columns.items()]).writeto(
        path, overwrite=True
    )


def spoil(name, value):
    def change(columns):
        columns[name][np.searchsorted(columns["Wavelength"], 8500)] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            spoil("SpecificIntensity", np.nan),
            r"flux must be finite and positive, got nan near 8500",
        ),
        (spoil("SpecificIntensity", -1), "flux must be finite and positive, got -"),
        (spoil("Continuum", 0), "continuum must be finite and positive, got 0"),
        (spoil("Wavelength", 3), "wavelengths must be finite, positive and strictly increasing"),
        (
            lambda columns: {**columns, "Wavelength": columns["Wavelength"] + 1},
            "not those of the other files",
        ),
        (lambda columns: {"wave": columns["Wavelength"]}, r"lacks \['Wavelength', 'Spec.* it has \['wave'\]"),
    ],
)
def test_bad_fits_files_are_named(folder, change, message):
    path = folder / name_2017(POINTS[9])
    rewrite_2017(path, change)
    with pytest.raises(ValueError, match=message) as error:
        read_bosz(folder, wave_range=RANGE)
    assert path.name in str(error.value)


def test_truncated_fits(folder):
    path = folder / name_2017(POINTS[9])
    path.write_bytes(path.read_bytes()[:30_000])
    with pytest.raises(ValueError, match=f"{path.name}: not a spectrum of BOSZ 2017"):
        read_bosz(folder, wave_range=RANGE)


def gzipped(text):
    return gzip.compress(text.encode())


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        (lambda content: content[: len(content) // 2], "damaged, or not a table of numbers"),
        (lambda content: b"not gzip" + content, "damaged, or not a table of numbers"),
        (lambda content: gzipped("1 2 3\n4 5 6\n"), r"must have 2 columns, got a table of shape \(2, 3\)"),
        (lambda content: gzipped("1 2\n3\n"), "damaged, or not a table of numbers"),
        (
            lambda content: gzipped("1 2\n3 4\n"),
            r"a row for each of the \d+ wavelengths in bosz2024_wave_r20000.txt",
        ),
        (lambda content: gzipped(""), "must have 2 columns"),
        (
            lambda content: gzipped(gzip.decompress(content).decode().replace("E+05", "E+nan", 1)),
            "damaged, or not a table of numbers",
        ),
    ],
)
def test_bad_text_files_are_named(folder_2024, spoiled, message):
    path = next(folder_2024.rglob(name_2024(POINTS[4])))
    path.write_bytes(spoiled(path.read_bytes()))
    with pytest.raises(ValueError, match=message) as error:
        read_bosz(folder_2024, wave_range=RANGE)
    assert path.name in str(error.value)


def test_wavelengths_of_2024_must_be_there(folder_2024, tmp_path_factory):
    paths = list(folder_2024.rglob("*.txt.gz"))
    wave = folder_2024 / "wavelength_grids" / "bosz2024_wave_r20000.txt"
    elsewhere = tmp_path_factory.mktemp("elsewhere") / wave.name
    wave.rename(elsewhere)
    with pytest.raises(FileNotFoundError, match=r"bosz2024_wave_r20000.txt: no such file among those given"):
        read_bosz(paths, wave_range=RANGE)
    assert len(read_bosz([*paths, elsewhere], wave_range=RANGE)) == 32
    elsewhere.write_text("8000\n7000\n")
    with pytest.raises(ValueError, match="wavelengths must be finite, positive and strictly increasing"):
        read_bosz([*paths, elsewhere], wave_range=RANGE)


# -- wavelengths -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "wrong", "right"), [("2017 fits", "air", "vacuum"), ("2024", "vacuum", "air")]
)
def test_strong_lines_betray_the_medium(written, kind, wrong, right):
    with pytest.raises(ValueError, match=f"medium must be '{right}': the strong lines"):
        read_bosz(written[kind], wave_range=RANGE, medium=wrong)
    with pytest.raises(ValueError, match="medium must be 'air' or 'vacuum', got 'ether'"):
        read_bosz(written[kind], wave_range=RANGE, medium="ether")


def test_hot_stars_tell_nothing_of_the_medium(tmp_path):
    """Their Paschen lines are where the calcium lines of the other medium would be."""
    for teff, *labels in POINTS:
        write_2017(tmp_path, (teff + 5000, *labels))
    assert len(read_bosz(tmp_path, wave_range=RANGE, medium="air")) == 32


@pytest.mark.parametrize(
    ("wave_range", "message"),
    [
        ((8425, 8600), r"wave_range 8425.0–8600.0 Å .* must lie within the files', 8430.0–8669.* Å"),
        ((8500, 8668), "must lie within"),
        ((8600, 8500), "must be positive and increasing"),
    ],
)
def test_the_range_must_be_covered(written, wave_range, message):
    with pytest.raises(ValueError, match=message):
        read_bosz(written["2017 fits"], wave_range=wave_range)


# -- libraries of our own kind ---------------------------------------------------------------------


def test_own_files_say_their_wavelengths_and_resolution(tmp_path):
    wave, knots = np.exp(np.linspace(np.log(5000), np.log(5100), 50)), np.linspace(5000, 5100, 5)
    arrays = {"labels": np.zeros((2, 5)), "norm": np.full((2, 50), 0.5), "cont": np.ones((2, 5))}
    arrays |= {"wave": wave, "continuum_wave": knots, "resolving_power": 9000.0}
    np.savez(tmp_path / "d1.npz", **arrays)
    np.savez(tmp_path / "d2.npz", **arrays)
    library = read_library(tmp_path, wave_range=(5010, 5090))
    assert len(library) == 4 and library.resolving_power == 9000
    np.testing.assert_array_equal(library.wave, wave)
    np.testing.assert_array_equal(library.normalised, 0.5)
    with pytest.raises(ValueError, match=r"must cover 4990.0–5090.0 Å, .* covers 5000.0–5100.0"):
        read_library(tmp_path, wave_range=(4990, 5090))
    with pytest.raises(ValueError, match="are for BOSZ"):
        read_library(tmp_path, microturbulence=2)
    np.savez(tmp_path / "d2.npz", **arrays | {"resolving_power": 8000.0})
    with pytest.raises(ValueError, match=r"d2.npz: its resolving_power is not that of .*d1.npz"):
        read_library(tmp_path)
    np.savez(tmp_path / "d2.npz", **arrays | {"cont": np.zeros((2, 5))})
    with pytest.raises(ValueError, match=r"d2.npz: cont must be finite and positive"):
        read_library(tmp_path)
    (tmp_path / "d2.npz").write_bytes((tmp_path / "d2.npz").read_bytes()[:400])
    with pytest.raises(ValueError, match=r"d2.npz: not a readable npz file"):
        read_library(tmp_path)


def test_a_library_is_checked_when_made():
    good = [np.zeros((2, 5)), np.arange(1.0, 4), np.ones((2, 3)), np.zeros((2, 4)), np.arange(1.0, 5), 1e4]
    SyntheticLibrary(*good)
    for k, value, message in (
        (2, np.ones((2, 4)), r"normalised must have shape \(2, 3\), got \(2, 4\)"),
        (2, np.full((2, 3), np.nan), "normalised must be finite, 6 of 6 values are not"),
        (1, np.array([1.0, 1.0, 2.0]), "wave must be strictly increasing"),
    ):
        with pytest.raises(ValueError, match=message):
            SyntheticLibrary(*good[:k], value, *good[k + 1 :])
