"""The emulator against the library it stands for, float64, and finite differences."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats

from specvit.grid import PFS_MR, PixelGrid
from specvit.stars import Emulator, SyntheticLibrary
from specvit.stars.emulatorcheck import held_out_rms
from specvit.stars.library import carbon_star
from specvit.stars.lsfbank import LsfBank
from specvit.survey.priors import PRIORS


def stars(n, survey="paper", seed=0):
    return torch.as_tensor(PRIORS[survey].sample(n, np.random.default_rng(seed)))


@pytest.fixture(scope="module")
def exact(emulator):
    return copy.deepcopy(emulator).double()


class TestAgainstTheLibrary:
    def test_held_out_spectra(self, emulator, library):
        assert len(library) > 50 and not carbon_star(library.labels).any()
        rms = held_out_rms(emulator, library)
        paper = PRIORS["paper"].contains(library.labels)
        assert paper.sum() >= 9 and np.median(rms[paper]) <= 6e-4
        assert np.median(rms) <= 6e-4 and np.quantile(rms, 0.9) <= 3.5e-3

    def test_the_extract_was_held_out(self, emulator, test_data):
        with np.load(test_data / "library" / "d_held_out.npz") as archive:
            assert archive["row"].tolist() == emulator.record["held_out"][::4]

    def test_continuum_of_held_out_spectra(self, emulator, library):
        with torch.no_grad():
            made = emulator.continuum(torch.as_tensor(library.labels, dtype=torch.float32)).log().numpy()
        inside = slice(30, -30)
        truth = np.array([np.interp(PFS_MR.wave, library.continuum_wave, c) for c in library.log_continuum])
        shape = (made - truth)[:, inside]
        assert np.median(np.abs(shape.mean(1))) < 0.01  # level
        shape -= shape.mean(1, keepdims=True)
        assert np.median(shape.std(1)) < 2e-3

    def test_record_says_what_was_measured(self, emulator, library):
        """A quarter of the spectra that were held out falls to both sides of the recorded quantiles."""
        rms = held_out_rms(emulator, library)
        paper = PRIORS["paper"].contains(library.labels)
        report = emulator.record["validation"]
        assert report["n"] == len(emulator.record["held_out"])
        for recorded, values in (
            (report, rms),
            (emulator.record["held_out_rms"]["useful"], rms),
            (emulator.record["held_out_rms"]["paper"], rms[paper]),
        ):
            for quantile, share in (("median", 0.5), ("p90", 0.9)):
                below = np.count_nonzero(values <= recorded[quantile])
                assert stats.binomtest(below, len(values), share).pvalue > 1e-3
        assert report["float32"] <= 2e-5 and report["derivatives"] <= 0.01


class TestArithmetic:
    def test_float32_against_float64(self, emulator, exact):
        labels = stars(256, "pfs-mr")
        with torch.no_grad():
            difference = emulator.normalised(labels.float()) - exact.normalised(labels.float().double())
            ratio = emulator(labels.float()) / exact(labels.float().double()) - 1
        assert difference.abs().max() <= 2e-5
        assert ratio.abs().max() <= 1e-4  # the continuum spans e-folds

    @pytest.mark.parametrize("survey", ["paper", "pfs-mr"])
    def test_derivatives_against_central_differences(self, emulator, exact, survey):
        labels = stars(8, survey, seed=3).float()
        steps = torch.tensor([2.0, 2e-3, 2e-3, 2e-3, 2e-3], dtype=torch.float64)
        pixels = torch.arange(20, 4096, 60)
        for star in labels:
            jacobian = torch.autograd.functional.jacobian(
                lambda x: emulator.normalised(x[None])[0, pixels], star
            )
            for k, step in enumerate(steps):
                shift = torch.zeros(5, dtype=torch.float64)
                shift[k] = step
                with torch.no_grad():
                    ends = [exact.normalised((star.double() + s * shift)[None])[0, pixels] for s in (-1, 1)]
                expected = (ends[1] - ends[0]) / (2 * step)
                assert (jacobian[:, k] - expected).norm() <= 0.01 * expected.norm()

    def test_flux_is_lines_times_continuum(self, emulator):
        labels = stars(4).float()
        with torch.no_grad():
            product = emulator.normalised(labels) * emulator.continuum(labels)
            assert torch.allclose(emulator(labels), product)
            assert (product > 0).all()

    def test_gravity_widens_the_calcium_triplet(self, emulator):
        """Physics: the Ca II line at 8544.4 Å (vacuum) differs between a K giant and a K dwarf."""
        labels = torch.tensor([[4800.0, 2.0, -0.3, 0.1, 0.0], [4800.0, 4.6, -0.3, 0.1, 0.0]])
        near = np.abs(PFS_MR.wave - 8544.4) < 6
        with torch.no_grad():
            flux = emulator.normalised(labels)[:, near]
        core = PFS_MR.wave[near][flux[0].argmin()]
        assert abs(core - 8544.4) < 0.3
        assert (flux[0].min() < 0.4) and (flux[0] - flux[1]).abs().max() > 0.05


class TestBank:
    def test_bank_against_exact_components(self, emulator):
        bank = LsfBank(emulator, max_velocity=20, lsf_range=(0.9, 1.1))
        rng = np.random.default_rng(0)
        n = 12
        labels = stars(n, "pfs-mr").float()
        velocity, width = rng.uniform(-20, 20, n), rng.uniform(0.9, 1.1, n)
        coefficients = emulator.coefficients(labels)[0]
        made = bank.normalised(
            coefficients, *(torch.as_tensor(x, dtype=torch.float32) for x in (velocity, width))
        )
        components = np.concatenate([emulator.mean[None], emulator.components])
        for row, c, v, w in zip(made, coefficients, velocity, width, strict=True):
            expected = np.r_[1, c.numpy()] @ emulator.to_grid(components, v, w)
            assert np.abs(row.numpy() - expected).max() < 2e-5


class TestFiles:
    def test_round_trip(self, emulator, tmp_path):
        emulator.save(tmp_path / "emulator.safetensors")
        again = Emulator.load(tmp_path / "emulator.safetensors")
        labels = stars(3).float()
        assert torch.equal(again(labels), emulator(labels))
        assert again.record == emulator.record and again.grid == emulator.grid

    def test_foreign_and_truncated_files(self, emulator, tmp_path):
        path = tmp_path / "emulator.safetensors"
        emulator.save(path)
        path.write_bytes(path.read_bytes()[:5000])
        with pytest.raises(ValueError, match=r"emulator: .* is truncated or not a safetensors file"):
            Emulator.load(path)
        from safetensors.torch import save_file

        save_file({"a": torch.zeros(1)}, str(path))
        with pytest.raises(ValueError, match="is not a file of format specvit-emulator-1"):
            Emulator.load(path)
        with pytest.raises(FileNotFoundError):
            Emulator.load(tmp_path / "none.safetensors")

    def test_labels_out_of_range(self, emulator):
        with pytest.raises(ValueError, match=r"teff must lie in \[35.*got 9000"):
            emulator.check_labels([[9000, 4, 0, 0, 0]])
        with pytest.raises(ValueError, match=r"logg must lie"):
            emulator.check_labels([[5000, np.nan, 0, 0, 0]])
        with pytest.raises(ValueError, match=r"shape \(n, 5\)"):
            emulator.check_labels([5000, 4, 0, 0, 0])


def toy_library(n, seed):
    """Spectra known in closed form: two lines whose depths are smooth functions of the labels."""
    rng = np.random.default_rng(seed)
    low, high = np.array([(4000, 1, -1, 0, 0), (6000, 5, 0, 0.4, 0.4)])
    labels = low + (high - low) * rng.random((n, 5))
    wave = np.exp(np.arange(np.log(7900), np.log(8100), 2e-5))
    depth = 0.3 + 0.1 * np.sin((labels[:, 0] - 5000) / 1000) + 0.02 * labels[:, 1]
    other = 0.2 + 0.1 * labels[:, 2] + 0.1 * labels[:, 3] * labels[:, 4]
    lines = [np.exp(-0.5 * ((wave - c) / 0.3) ** 2) for c in (7960, 8030)]
    knots = np.linspace(7900, 8100, 8)
    continuum = (labels[:, :1] - 5000) / 1e4 * (knots - 8000) / 100
    flux = 1 - depth[:, None] * lines[0] - other[:, None] * lines[1]
    return SyntheticLibrary(labels, wave, flux.astype(np.float32), continuum, knots, 20_000.0)


def toy_spread(grid):
    """Rms by which the toy spectra differ from their mean."""
    spectra = toy_library(200, 2).smoothed(grid.lsf_sigma, grid.wave)
    return np.sqrt(np.mean((spectra - spectra.mean(0)) ** 2))


def test_fit_on_another_grid(tmp_path):
    """The fit knows nothing of PFS: a toy library on a toy grid, with its report."""
    library = toy_library(500, 0)
    grid = PixelGrid.linear(7920, 8080, 300, 0.7)
    emulator = Emulator.fit(library, grid, n_components=4, n_continuum=2, width=48, members=2, steps=800)
    assert np.median(held_out_rms(emulator, toy_library(50, 1))) < 0.1 * toy_spread(grid)
    kept = np.array(emulator.record["held_out"])
    assert not carbon_star(library.labels[kept]).any()
    report = emulator.record["validation"]
    rms = held_out_rms(emulator, library[kept])
    assert report["n"] == len(kept) and report["median"] == pytest.approx(np.median(rms))
    assert sum(row["n"] for row in report["by_teff"]) == len(kept)
    assert all(a["high"] <= b["low"] for a, b in pairwise(report["by_teff"]))
    assert report["float32"] < 2e-5 and report["derivatives"] < 0.01
    emulator.save(tmp_path / "toy.safetensors")
    again = Emulator.load(tmp_path / "toy.safetensors")
    assert again.record["validation"] == report and again.grid == grid


def test_report_sees_a_bad_emulator():
    """The report is of spectra that were held out: an emulator that has learned nothing fails it."""
    grid = PixelGrid.linear(7920, 8080, 300, 0.7)
    emulator = Emulator.fit(toy_library(200, 0), grid, n_components=4, width=8, members=1, steps=1)
    assert emulator.record["validation"]["median"] > 0.5 * toy_spread(grid)


def test_fit_refuses_a_sharper_grid():
    with pytest.raises(ValueError, match="sigma must exceed the library's own LSF"):
        Emulator.fit(toy_library(20, 0), PixelGrid.linear(7950, 8050, 300, 0.1), steps=1)


@pytest.mark.parametrize(
    ("grid", "settings", "rule"),
    [
        (PixelGrid(np.linspace(7200, 7300, 65), 1.0, medium="air"), {}, "grid must be in vacuum"),
        (
            PixelGrid(np.linspace(7090, 7300, 65), 1.0),
            {"max_velocity": 2000.0},
            "max_velocity=2000.0 km/s needs",
        ),
        (
            PixelGrid(np.linspace(7200, 7300, 65), 1.0),
            {"held_out": 1e-9},
            "held_out must leave out at least one",
        ),
    ],
)
def test_what_an_emulator_cannot_be_fitted_to_is_said(grid, settings, rule):
    with pytest.raises(ValueError, match=rule):
        Emulator.fit(toy_library(60, 0), grid, steps=1, **settings)
