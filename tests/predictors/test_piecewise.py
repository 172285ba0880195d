"""Spectra of any kind in pieces: the answers of the whole, and never more than two pieces at once."""

import io
import sys

import astropy.units as u
import h5py
import numpy as np
import pytest
import torch
from astropy.nddata import InverseVariance, StdDevUncertainty
from astropy.utils.masked import Masked
from specutils import Spectrum, SpectrumCollection, SpectrumList

from specvit import LoggEstimator, Survey
from specvit.exceptions import AlarmWarning
from specvit.grid import PixelGrid
from specvit.honesty.findings import Findings
from specvit.predictors import RidgeEstimator, TemplateFit
from specvit.predictors.piecewise import in_advance
from specvit.spectra import Flag, SpectrumBatch, SpectrumError, adapt
from specvit.stream import predict_parts

pytestmark = pytest.mark.filterwarnings("ignore::specvit.exceptions.AlarmWarning")

N, NPIX, PIECE = 23, 60, 5
UNIT = u.Unit("erg / (s cm2 Angstrom)")
GRID = PixelGrid.linear(7100, 7220, NPIX, 5.0)
WAVE = np.linspace(7080.0, 7240.0, 90)


def test_progress_of_what_takes_time(ridge, flux, screen, monkeypatch):
    monkeypatch.setattr("sys.stderr", screen)
    ridge.predict_table(flux)
    assert screen.getvalue() == ""  # it took no time
    monkeypatch.setattr("specvit.progress.time.monotonic", iter(np.arange(0.0, 1e4, 2.0)).__next__)
    ridge.predict_table(flux[:PIECE])
    assert screen.getvalue() == ""  # one piece
    ridge.predict_table(flux)
    assert screen.lines()[0].startswith("spectra: 23/23")
    ridge.predict_labels(flux, on_error="nan")  # that others call, who have a line of their own
    list(predict_parts(flux, ridge, batch_size=2 * PIECE))
    assert len(screen.lines()) == 2
    monkeypatch.setattr("sys.stderr", io.StringIO())
    ridge.predict_table(flux)
    assert sys.stderr.getvalue() == ""


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr("specvit.predictors.piecewise.PIECE", PIECE)
    monkeypatch.setattr("specvit.network.tensors._ON_PROCESSOR", PIECE)


@pytest.fixture(scope="module")
def flux():
    """Of N spectra on the grid, of which some are faulty or partial."""
    flux = np.random.default_rng(3).uniform(0.8, 1.2, (N, NPIX))
    flux[3], flux[17] = np.nan, 0.0
    flux[8] *= -1
    flux[12, :12] = np.nan
    return flux


@pytest.fixture(scope="module")
def ridge():
    rng = np.random.default_rng(1)
    learned, logg = rng.uniform(0.8, 1.2, (150, NPIX)), rng.uniform(1, 4, 150)
    return RidgeEstimator(grid=GRID).fit(learned, logg, ivar=np.full(learned.shape, 100.0))


def spectra(n=N, seed=5, **meta):
    """Spectra on an axis of their own, one of them without any number."""
    values = np.random.default_rng(seed).uniform(0.8, 1.2, (n, WAVE.size))
    values[min(11, n - 1)] = np.nan
    names = {"name": [f"star {k}" for k in range(n)]} if n > 1 else {"name": "star"}
    error = StdDevUncertainty(np.full(values.shape, 0.1))
    return Spectrum(
        flux=values * UNIT,
        spectral_axis=WAVE * u.AA,
        spectral_axis_index=1,
        uncertainty=error,
        mask=values > 1.19,
        meta=names | {"medium": "vacuum", "resolution": 1500.0} | meta,
    )


def listed(n=N, **more):
    """A list of spectra, whose facts differ."""
    many = spectra(n)
    return [
        Spectrum(
            flux=many.flux[k],
            spectral_axis=(WAVE + 0.01 * (k % 3)) * u.AA,
            uncertainty=many.uncertainty[k] if k != 6 else None,
            mask=many.mask[k],
            radial_velocity=k * u.km / u.s,
            meta={"medium": "air" if k % 2 else None, "name": f"star {k}", "resolution": 1400.0 + k},
        )
        for k in range(n)
    ]


def collection():
    one = listed()
    return SpectrumCollection(
        flux=np.stack([x.flux.value for x in one]) * UNIT,
        spectral_axis=np.stack([x.spectral_axis.value for x in one]) * u.AA,
        uncertainty=StdDevUncertainty(np.ma.array(np.full((N, WAVE.size), 0.1), mask=spectra().mask)),
        meta=[dict(x.meta) for x in one],
    )


def cube(shape=(4, 6), index=2):
    n = int(np.prod(shape))
    many = spectra(n)

    def turned(values):
        return np.moveaxis(values.reshape(*shape, -1), -1, index)

    hidden = np.random.default_rng(4).random((n, WAVE.size)) < 0.1
    return Spectrum(
        flux=turned(many.flux),
        spectral_axis=WAVE * u.AA,
        spectral_axis_index=index,
        uncertainty=StdDevUncertainty(np.ma.array(turned(many.uncertainty.array), mask=turned(hidden))),
        mask=turned(many.mask),
        meta=many.meta | {"resolution": list(np.linspace(1400, 1500, n))},
    )


def few_pixels():
    """Spectra with a resolution of each pixel, of as many pixels as a piece has spectra."""
    values = spectra().flux[:, :PIECE]
    return Spectrum(
        flux=values,
        spectral_axis=np.linspace(7100, 7220, PIECE) * u.AA,
        spectral_axis_index=1,
        uncertainty=StdDevUncertainty(np.full(values.shape, 0.1)),
        meta={"medium": "vacuum", "resolution": [500.0 + 10 * k for k in range(PIECE)]},
    )


SPECTRA = {
    "list": listed,
    "tuple": lambda: tuple(listed()),
    "SpectrumList": lambda: SpectrumList(listed()),
    "objects": lambda: np.array([*listed(), None], dtype=object)[:-1],
    "stacked": spectra,
    "collection": collection,
    "cube": cube,
    "cube, wavelengths first": lambda: cube(index=0),
    "resolutions of pixels, as many as a piece has spectra": few_pixels,
    "batch": lambda: adapt(listed(), grid=GRID, on_error="nan", min_coverage=0.3, covariance=True),
}  # fmt: skip


def assert_same(table, whole):
    """A table is that of predictions of the whole."""
    for k, name in enumerate(whole.names):
        np.testing.assert_allclose(table[name].value, whole.mean[:, k], rtol=1e-6)
        np.testing.assert_allclose(table[f"{name}_err"].value, whole.sigma[:, k], rtol=1e-6)
    for name in ("flags", "snr", "coverage", "resolution"):
        np.testing.assert_allclose(table[name], getattr(whole.batch, name), rtol=1e-12)
    assert table["error"].tolist() == [reason or "" for reason in whole.batch.errors]
    if any(whole.batch.names):
        assert table["name"].tolist() == whole.batch.names
    assert table.meta["MEDIUM"] == whole.table().meta["MEDIUM"]
    assert len(table) > 2 * PIECE


@pytest.mark.parametrize("kind", SPECTRA)
def test_spectra_of_every_kind(ridge, kind):
    given = SPECTRA[kind]()
    options = {"on_error": "nan", "min_coverage": 0.01, "lower_resolution": "flag"}
    whole = ridge.predict_labels(given, **options)
    assert_same(ridge.predict_table(given, **options), whole)
    found, sigma = ridge.predict(given, return_std=True, **options)
    assert found.shape == sigma.shape == whole.shape
    np.testing.assert_allclose(found.value.ravel(), whole.mean[:, 0], rtol=1e-6)
    assert np.isfinite(found.value).any()


def hidden(flux):
    """A quantity whose mask NumPy alone remembers."""
    values = u.Quantity(np.ma.array(flux, mask=np.arange(flux.size).reshape(flux.shape) % 7 == 0), UNIT)
    assert getattr(values, "mask", None) is None
    return values


def fill(folder, flux):
    file = h5py.File(folder / "spectra.h5", "w")
    return file.create_dataset("flux", data=flux, chunks=(4, NPIX), compression="gzip")


def mapped(folder, flux):
    np.save(folder / "flux.npy", flux)
    return np.load(folder / "flux.npy", mmap_mode="r")


def zarr_array(folder, flux):
    zarr = pytest.importorskip("zarr")
    array = zarr.open(str(folder / "a.zarr"), mode="w", shape=flux.shape, chunks=(4, NPIX), dtype="f8")
    array[:] = flux
    return array


def frame(folder, flux):
    return pytest.importorskip("pandas").DataFrame(flux)


ARRAYS = {
    "ndarray": lambda folder, flux: flux,
    "integers": lambda folder, flux: np.nan_to_num(100 * flux).astype(int),
    "memory map": mapped,
    "HDF5": fill,
    "Zarr": zarr_array,
    "data frame": frame,
    "tensor": lambda folder, flux: torch.tensor(flux),
    "lists": lambda folder, flux: flux.tolist(),
    "list of arrays": lambda folder, flux: list(flux),
    "list of quantities": lambda folder, flux: [row * UNIT for row in flux],
    "unit": lambda folder, flux: flux * UNIT,
    "magnitudes": lambda folder, flux: (np.abs(flux) + 1) * u.STmag,
    "mask": lambda folder, flux: np.ma.array(flux, mask=flux > 1.15),
    "unit and mask": lambda folder, flux: Masked(flux * UNIT, mask=flux > 1.15),
    "hidden mask": lambda folder, flux: hidden(flux),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_of_every_kind(ridge, flux, tmp_path, kind):
    given = ARRAYS[kind](tmp_path, flux)
    whole = ridge.predict_labels(given, on_error="nan")
    assert_same(ridge.predict_table(given), whole)
    ivar = np.random.default_rng(9).uniform(50, 150, flux.shape)
    ivar = ivar / UNIT**2 if "unit" in kind or "hidden" in kind or "quantities" in kind else ivar
    ivar = ivar / u.Unit("ST") ** 2 if kind == "magnitudes" else ivar
    whole = ridge.predict_labels(given, ivar=ivar, on_error="nan")
    assert_same(ridge.predict_table(given, ivar=ivar), whole)
    assert isinstance(ridge.predict(given, ivar=ivar, on_error="nan"), np.ndarray)


def told(call):
    """What an error says."""
    with pytest.raises((ValueError, TypeError)) as error:
        call()
    return type(error.value), str(error.value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (listed, r"spectra[11]: flux must be finite"),
        (cube, r"spectra[1, 5]: flux must be finite"),
        (lambda: [*listed(), 7], "spectra[23] must be a Spectrum"),
        (lambda: [*listed(), spectra(2)], "spectra[23] must be one-dimensional"),
        (lambda: (np.ones(NPIX), np.ones(NPIX)) * 10, "spectra must not be a tuple"),
    ],
)
def test_errors_are_those_of_the_whole(ridge, make, said):
    given = make()
    error = told(lambda: ridge.predict(given))
    assert said in error[1]
    assert error == told(lambda: ridge.predict_labels(given))


def test_all_that_are_rejected_are_counted(ridge, flux):
    error = told(lambda: ridge.predict(flux))
    assert error == told(lambda: ridge.predict_labels(flux))
    assert error[0] is SpectrumError
    assert error[1].startswith("spectra[3]: ") and "(2 more rejected" in error[1]


def test_wavelengths_are_named_by_their_row(ridge, flux):
    good = np.ones_like(flux)
    good[18] = GRID.wave
    for given in (good, list(good), good * UNIT):
        assert "in row 18" in told(lambda given=given: ridge.predict(given))[1]


@pytest.mark.parametrize(
    "options",
    [
        {"medium": "wood"},
        {"on_error": "no"},
        {"velocity": 3},
        {"lower_resolution": -1},
        {"ivar": np.ones((N, NPIX))},
        {"given": {"logg": (2.0, 0.1)}, "on_error": "nan"},
    ],
)
def test_wrong_options_are_refused_as_before(ridge, options):
    assert told(lambda: ridge.predict(listed(), **options)) == told(
        lambda: ridge.predict_labels(listed(), **({"on_error": "raise"} | options))
    )


class Counted:
    """An array on disk that counts the pieces which somebody still holds."""

    def __init__(self, values):
        self.values, self.shape, self.dtype = values, values.shape, values.dtype
        self.held, self.most, self.rows = 0, 0, []

    def __getitem__(self, rows):
        import weakref

        piece = self.values[rows].copy()
        self.rows.append((rows.start, rows.stop))
        self.held += 1
        self.most = max(self.most, self.held)
        weakref.finalize(piece, self._let_go)
        return piece

    def _let_go(self):
        self.held -= 1

    def __len__(self):
        return len(self.values)


def test_no_more_than_two_pieces_are_held(ridge, flux):
    source, errors = Counted(np.ones((200, NPIX))), Counted(np.full((200, NPIX), 9.0))
    ridge.predict_table(source, ivar=errors)
    assert source.rows == errors.rows == [(k, k + PIECE) for k in range(0, 200, PIECE)]
    assert source.most <= 2 and errors.most <= 2


def test_adapted_pieces_are_let_go(ridge, monkeypatch):
    """Of what is on the grid there are never more than two pieces either, of spectra in a list."""
    import weakref

    held, most = [0], [0]

    def counted(*args, **options):
        batch = adapt(*args, **options)
        held[0] += 1
        most[0] = max(most[0], held[0])
        weakref.finalize(batch.flux, lambda: held.__setitem__(0, held[0] - 1))
        return batch

    monkeypatch.setattr("specvit.predictors.piecewise.adapt", counted)
    ridge.predict_table(listed(60), min_coverage=0.01)
    assert most[0] <= 2


def test_one_warning_of_all(ridge, monkeypatch):
    def raise_all(predict, batch, names, *more):
        batch.flags[batch.usable] |= int(Flag.BAD_FIT)
        return batch, predict(batch), Findings.nothing(len(batch))

    monkeypatch.setattr("specvit.predictors.piecewise.examined", raise_all)
    with pytest.warns(AlarmWarning, match=r"^22 of 23 spectra raise.*BAD_FIT 22") as caught:
        ridge.predict(listed(), on_error="nan", min_coverage=0.01)
    assert len(caught) == 1


@pytest.fixture(scope="module")
def stars():
    batch = Survey("paper", seed=5).draw(12, magnitude=20.0)
    return batch.flux.numpy(), batch.ivar.numpy()


@pytest.fixture(scope="module")
def estimator():
    return LoggEstimator(device="cpu", precision="32-true")


def on_axis(flux, ivar, wave):
    return [
        Spectrum(
            flux=f * UNIT, spectral_axis=wave * u.AA, uncertainty=InverseVariance(w), meta={"name": str(k)}
        )
        for k, (f, w) in enumerate(zip(flux, ivar, strict=True))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"velocity": "fit"}, {"mask": (8400, 8500), "medium": "vacuum"}])
def test_the_network_gives_the_same(estimator, stars, options):
    from specvit import PFS_MR

    given = on_axis(*stars, PFS_MR.wave)
    table, whole = estimator.predict_table(given, **options), estimator.predict_labels(given, **options)
    for k, name in enumerate(whole.names):
        np.testing.assert_allclose(table[name].value, whole.mean[:, k], atol=1e-3 * whole.sigma[:, k].min())
    np.testing.assert_array_equal(table["flags"], whole.batch.flags)
    np.testing.assert_allclose(table["velocity"].value, whole.findings.velocity, rtol=1e-3, atol=1e-3)


def test_knowledge_of_each_star_goes_with_it(estimator, stars):
    value = np.linspace(4000, 6000, 12)
    value[4] = np.nan
    given = {"Teff": (value * u.K, np.full(12, 50.0)), "mh": (-0.5, 0.1)}
    flux, ivar = (x.astype(np.float64) for x in stars)
    whole = estimator.predict_labels(flux, ivar=ivar, given=given)
    found = estimator.predict_table(flux, ivar=ivar, given=given)
    np.testing.assert_allclose(found["logg"].value, whole.mean[:, 1], atol=1e-4)
    np.testing.assert_allclose(found["teff"].value, whole.mean[:, 0], atol=1e-2)
    with pytest.raises(ValueError, match="one number or 12"):
        estimator.predict(flux, ivar=ivar, given={"teff": (value[:5], 50.0)})


def test_floats_on_disk_go_to_the_device(estimator, stars, tmp_path):
    flux, ivar = (x.copy() for x in stars)
    flux[7], flux[9] = 0, -flux[9]
    with h5py.File(tmp_path / "stars.h5", "w") as file:
        on_disk = file.create_dataset("flux", data=flux), file.create_dataset("ivar", data=ivar)
        source, errors = Counted(on_disk[0][:]), Counted(on_disk[1][:])
        whole = estimator.predict_labels(flux, ivar=ivar, on_error="nan")
        for X, weight in ((on_disk[0], on_disk[1]), (source, errors)):
            table = estimator.predict_table(X, ivar=weight)
            for k, name in enumerate(whole.names):
                found = table[name].value
                np.testing.assert_allclose(found, whole.mean[:, k], atol=1e-3 * np.nanmin(whole.sigma[:, k]))
            assert table["error"].tolist() == [reason or "" for reason in whole.batch.errors]
        assert source.rows == [(0, 5), (5, 10), (10, 12)] and source.most <= 2
        error = told(lambda: estimator.predict(on_disk[0], ivar=on_disk[1]))
    assert error == told(lambda: estimator.predict_labels(flux, ivar=ivar))
    assert "(1 more rejected" in error[1]


def test_results_of_fits_are_joined(stars):
    fit = TemplateFit(n_templates=64, n_starts=1, max_iter=3)
    flux, ivar = stars
    table, whole = fit.predict_table(flux, ivar=ivar), fit.predict_labels(flux, ivar=ivar, on_error="nan")
    np.testing.assert_allclose(table["chi2"], whole.details.chi2 / whole.details.dof, rtol=1e-6)
    assert table["converged"].tolist() == whole.details.converged.tolist()
    assert isinstance(whole.batch, SpectrumBatch)


def test_work_in_advance_keeps_order_and_errors():
    done = []

    def work(k):
        done.append(k)
        if k == 3:
            raise KeyError("third")
        return k * k

    taken = in_advance(work, range(6))
    assert [next(taken), next(taken), next(taken)] == [0, 1, 4]
    with pytest.raises(KeyError, match="third"):
        next(taken)
    assert done == [0, 1, 2, 3]
    assert list(in_advance(str, [7])) == ["7"]
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        list(in_advance(lambda k: np.float64(1) / k, [1, 0, 1]))
