"""The correction of line strengths: what it does to spectra, and that it makes them like the real Sun's."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from specvit.archive import write_archive
from specvit.grid import PFS_MR, TELLURIC, PixelGrid
from specvit.stars import Emulator, LineCalibration, regrid_emulator
from specvit.stars.linecalibration import LOG_STEP, RATIO_RANGE, solar_log_ratio
from specvit.survey import NoNoise, Survey
from specvit.survey.priors import PRIORS

SUN = torch.tensor([[5772.0, 4.438, 0.0, 0.0, 0.0]])
GIANT = torch.tensor([[4500.0, 2.0, -0.2, 0.1, 0.0]])
STARS = torch.cat([SUN, GIANT])


def wave():
    return LineCalibration.sampling(7096.0, 8854.0)


@pytest.fixture(scope="module")
def made():
    """A correction with a term, all of it known."""
    x = wave()
    return LineCalibration(
        x,
        0.2 * np.sin(x / 7),
        {"gravity": 0.1 * np.cos(x / 11)},
        {"gravity": (-0.2, 1.0)},
        record={"of": "a test"},
    )


@pytest.fixture(scope="module")
def shipped():
    return LineCalibration.load()


class TestCorrection:
    def test_multiplies_optical_depths(self, emulator, made):
        """Against −ln of fluxes in float64, with the table interpolated by numpy."""
        with torch.no_grad():
            before, after = (
                e.normalised(STARS).double().numpy() for e in (emulator, emulator.calibrated(made))
            )
        coordinate = np.clip((4.438 - STARS[:, 1].double().numpy()) / 2, -0.2, 1.0)
        expected = np.interp(PFS_MR.wave, made.wave, made.log_ratio) + coordinate[:, None] * np.interp(
            PFS_MR.wave, made.wave, made.terms["gravity"]
        )
        deep = before < 0.95
        ratio = np.log(after[deep]) / np.log(before[deep])
        assert np.log(ratio) == pytest.approx(expected[deep], abs=2e-4)
        assert deep.sum() > 1000

    def test_identity_changes_nothing(self, emulator):
        same = emulator.calibrated(LineCalibration.identity())
        with torch.no_grad():
            assert (same(STARS) / emulator(STARS) - 1).abs().max() <= 1e-6

    def test_leaves_the_emulator_that_it_is_made_from_alone(self, emulator, made):
        before = emulator.normalised(SUN)
        corrected = emulator.calibrated(made)
        assert torch.equal(emulator.normalised(SUN), before)
        assert corrected.record["calibration"] == {"of": "a test"} and "calibration" not in emulator.record

    def test_moves_with_the_star(self, made):
        """A star at velocity v has at λ the factor that one at rest has at λ/(1 + v/c)."""
        velocity = torch.tensor([0.0, 150.0])
        factor = made.on(PFS_MR).factor(STARS, velocity)
        rest = made.on(PFS_MR).factor(STARS)
        assert torch.allclose(factor[0], rest[0])
        inside = slice(50, -50)
        moved = np.interp(PFS_MR.wave[inside] / (1 + 150 / 299792.458), PFS_MR.wave, rest[1])
        assert factor[1][inside].numpy() == pytest.approx(moved, abs=2e-3)

    def test_in_a_survey(self, emulator, made):
        """`Survey` with a corrected emulator draws what the emulator makes."""
        survey = Survey(
            "calibrated", prior=PRIORS["paper"], noise=NoNoise(), emulator=emulator.calibrated(made)
        )
        batch = survey.draw(4)
        flux = emulator.calibrated(made)(batch.labels)
        shape = flux / flux.mean(1, keepdim=True)
        drawn = batch.noiseless
        assert torch.allclose(drawn / drawn.mean(1, keepdim=True), shape, rtol=2e-4)

    def test_derivatives_are_those_of_finite_differences(self, emulator, made):
        exact = copy.deepcopy(emulator.calibrated(made)).double()
        labels = GIANT.double().requires_grad_()
        total = exact.normalised(labels)[0, 1500:1700].sum()
        (slope,) = torch.autograd.grad(total, labels)
        for j, step in enumerate((1.0, 1e-3, 1e-3, 1e-3, 1e-3)):
            shift = torch.zeros_like(labels)
            shift[0, j] = step
            with torch.no_grad():
                low, high = (exact.normalised(labels + s * shift)[0, 1500:1700].sum() for s in (-1, 1))
            assert float(slope[0, j]) == pytest.approx(float((high - low) / (2 * step)), rel=1e-3, abs=1e-7)

    def test_beyond_the_stars_measured_it_stays_as_it_is(self, made):
        correction = made.on(PFS_MR)
        labels = GIANT.clone()
        labels[0, 1] = 2.438
        bright = GIANT.clone()
        bright[0, 1] = 0.5
        assert torch.equal(correction.factor(labels), correction.factor(bright))

    def test_is_bounded(self):
        wild = LineCalibration(wave(), np.full(wave().size, 3.0))
        assert wild.on(PFS_MR).factor(SUN).unique().tolist() == pytest.approx([RATIO_RANGE[1]])


class TestTable:
    def test_round_trip(self, made, tmp_path):
        made.save(tmp_path / "table.safetensors")
        read = LineCalibration.load(tmp_path / "table.safetensors")
        assert read.log_ratio == pytest.approx(made.log_ratio, abs=2e-4)
        assert read.wave == pytest.approx(made.wave, rel=1e-12)
        assert read.limits == made.limits and read.record == made.record and list(read.terms) == ["gravity"]

    def test_another_file_is_refused(self, tmp_path):
        np.savez(tmp_path / "other.npz", a=1)
        with pytest.raises(ValueError, match=r"line calibration: .*other\.npz is .*not a safetensors file"):
            LineCalibration.load(tmp_path / "other.npz")
        write_archive(tmp_path / "other", "specvit-line-calibration-2", {"a": torch.ones(3)}, {})
        with pytest.raises(ValueError, match=r"line calibration: .* lacks a part of a table"):
            LineCalibration.load(tmp_path / "other")

    def test_a_flipped_bit_is_found(self, made, tmp_path):
        made.save(path := tmp_path / "table.safetensors")
        content = bytearray(path.read_bytes())
        content[-301] ^= 4  # among the numbers
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"line calibration: .* is damaged"):
            LineCalibration.load(path)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"wave": np.linspace(7096, 8854, wave().size)}, "uniform in ln λ"),
            ({"log_ratio": np.zeros(7)}, "log_ratio must be finite and of shape"),
            ({"terms": {"mass": np.zeros(wave().size)}}, "terms must be among"),
            ({"terms": {"gravity": np.zeros(wave().size)}}, "have limits"),
        ],
    )
    def test_rules(self, change, message):
        with pytest.raises(ValueError, match=message):
            LineCalibration(**({"wave": wave(), "log_ratio": np.zeros(wave().size)} | change))

    def test_belongs_to_a_line_spread_function(self, made):
        with pytest.raises(ValueError, match="correct first and smooth afterwards"):
            made.on(PixelGrid.linear(7100, 8850, 2048, 1.4))

    def test_a_corrected_emulator_is_not_regridded(self, emulator, made):
        with pytest.raises(ValueError, match="calibrated"):
            regrid_emulator(emulator.calibrated(made), PixelGrid.linear(7150, 8800, 2048, 1.4))


class TestSolarRatio:
    def test_known_ratio_is_recovered(self):
        """A "real star" whose every line is wrong by a known factor, seen with noise."""
        random = np.random.default_rng(3)
        model = np.exp(-random.uniform(0.05, 1.0, 4000))
        truth = random.normal(0, 0.15, 4000)
        observed = np.exp(np.exp(truth) * np.log(model)) + random.normal(0, 0.002, 4000)
        found = solar_log_ratio(observed, model, np.ones(4000, bool))
        deep = model < 0.85
        assert np.std((found - truth)[deep]) < 0.02
        assert np.std(found - truth) < np.std(truth) / 3

    def test_without_lines_or_knowledge_the_ratio_is_one(self):
        model, observed = np.array([0.9999, 0.7]), np.array([0.99, 0.6])
        assert solar_log_ratio(observed, model, np.array([True, False])) == pytest.approx([0, 0], abs=0.01)


class TestShipped:
    def test_the_sun(self, emulator, shipped):
        """A tenth of the pixels of the real Sun: Chance & Kurucz (2010), smoothed to the grid's LSF."""
        with np.load(Path(__file__).parent / "sun_extract.npz") as extract:
            pixels, flux = extract["pixels"], extract["flux"].astype(np.float64)
        with torch.no_grad():
            before, after = (
                e.normalised(SUN)[0].double().numpy()[pixels]
                for e in (emulator, emulator.calibrated(shipped))
            )
        assert np.std(after - flux) < 0.7 * np.std(before - flux)
        lines = flux < 0.9
        assert np.std((after - flux)[lines]) < 0.5 * np.std((before - flux)[lines])

    def test_load_is_the_shipped_table(self, emulator, shipped):
        with torch.no_grad():
            assert torch.equal(
                Emulator.load(calibrated=True).normalised(STARS),
                emulator.calibrated(shipped).normalised(STARS),
            )

    def test_telluric_bands_are_left_alone(self, shipped):
        factor = shipped.on(PFS_MR).factor(STARS)
        for low, high in TELLURIC.values():
            # To 2.5 Å: the shipped table has bands that end so much earlier.
            inside = (PFS_MR.wave > low + 0.5) & (PFS_MR.wave < high - 2.5)
            assert inside.sum() > 200 and torch.equal(factor[:, inside], torch.ones(2, int(inside.sum())))

    def test_is_sane(self, shipped):
        assert np.diff(np.log(shipped.wave)) == pytest.approx(LOG_STEP, rel=1e-6)
        stars = torch.as_tensor(PRIORS["pfs-mr"].sample(200, np.random.default_rng(0))).float()
        factor = shipped.on(PFS_MR).factor(stars)
        assert torch.isfinite(factor).all() and 0.9 < float(factor.median()) < 1.1
        assert shipped.record["stars"] and shipped.record["command"]
