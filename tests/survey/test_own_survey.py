"""Surveys of one's own: other instruments, noises, windows, and what tells one survey from another."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from scipy import stats

from specvit.grid import FWHM_PER_SIGMA, PFS_MR, PixelGrid
from specvit.stars import Emulator, regrid_emulator
from specvit.survey import (
    Augmentation,
    LabelPrior,
    NoNoise,
    PFSNoise,
    PhotonNoise,
    SNRNoise,
    Survey,
    Velocities,
)
from specvit.survey.noise import fnu_shape
from specvit.survey.provenance import survey_record

GIANT = [4700.0, 2.2, -0.4, 0.15, -0.05]
GRID = PixelGrid.linear(7130, 8820, 1024, 3.3 / FWHM_PER_SIGMA, name="coarse")
PRIOR = Survey("paper").prior
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")),
]


@pytest.fixture(scope="module")
def coarse(emulator):
    return regrid_emulator(emulator, GRID)


@pytest.fixture(scope="module")
def own(coarse):
    def make(noise=None, name="own", **options):
        noise = SNRNoise((20, 200)) if noise is None else noise
        return Survey(name, prior=PRIOR, emulator=coarse, noise=noise, **options)

    return make


class TestStatedSNR:
    def test_is_drawn_uniformly_and_is_the_median_of_flux_over_sigma(self, own):
        batch = own().draw(1500)
        ratio = (batch.noiseless / batch.noiseless_sigma).double().numpy()
        snr = np.median(ratio, axis=1)
        assert stats.kstest(snr, stats.uniform(20, 180).cdf).pvalue > 1e-3
        assert batch.snr.numpy() == pytest.approx(snr, rel=0.002)
        assert batch.magnitude.isnan().all() and batch.flux.shape == (1500, 1024)

    def test_one_for_all(self, own):
        for batch in (own().draw(50, snr=35), own(SNRNoise(35)).draw(50), own().observe([GIANT] * 5, snr=35)):
            assert batch.snr.numpy() == pytest.approx(35, rel=1e-3)

    def test_noise_has_its_stated_variance_and_is_reported_honestly(self, own):
        batch = own(SNRNoise(10)).draw(400)
        z = ((batch.flux - batch.noiseless) / batch.noiseless_sigma).double()
        assert abs(z.mean()) < 4 / z.numel() ** 0.5 and abs(z.var() - 1) < 4 * (2 / z.numel()) ** 0.5
        ratio = batch.ivar.sqrt() * batch.noiseless_sigma
        assert ratio.mean() == pytest.approx(1, abs=0.003)
        assert ratio.std() < 3 * 1.25 / 10 / 1024**0.5  # the error of a median of 1024 pixels, and no more

    def test_reported_errors_know_the_noisy_spectrum_alone(self, own):
        """flux/σ has the stated median, exactly, in what is observed: nothing else is in the errors."""
        batch = own(SNRNoise(12)).draw(100)
        assert (batch.flux * batch.ivar.sqrt()).median(1).values.numpy() == pytest.approx(12, rel=1e-5)
        assert (batch.ivar.max(1).values == batch.ivar.min(1).values).all()

    def test_error_curve(self, own):
        curve = 1 + np.linspace(0, 3, 1024)
        batch = own(SNRNoise(50, sigma=7e-17 * curve, grid=GRID)).draw(20)
        assert batch.snr.numpy() == pytest.approx(50, rel=1e-3)
        shape = batch.noiseless_sigma / batch.noiseless_sigma[:, :1]
        assert torch.allclose(shape, torch.as_tensor(curve).float().expand(20, -1), rtol=1e-5)
        assert torch.allclose(1 / batch.ivar.sqrt() / batch.noiseless_sigma, torch.ones(1), rtol=0.03)

    def test_windows_do_not_count_for_the_median(self, own):
        window = (GRID.edges[0], GRID.edges[700])
        batch = own(SNRNoise(50), masked=[window]).draw(20)
        ratio = batch.noiseless / batch.noiseless_sigma
        assert ratio[:, 700:].median(1).values.numpy() == pytest.approx(50, rel=1e-4)
        assert batch.snr.numpy() == pytest.approx(50, rel=1e-4)

    def test_a_spectrum_lost_in_noise_reports_no_information(self, own):
        batch = own(SNRNoise(0.002)).draw(100)
        lost = batch.flux.median(1).values <= 0
        assert lost.any() and (batch.ivar[lost] == 0).all() and torch.isfinite(batch.ivar).all()

    def test_imperfections_apply(self, own):
        sizes = Augmentation(noise_shape=0.2, reported_error=0.1, correlated_noise=1.0, calibration=(0.1,))
        batch = own(SNRNoise(30), augmentation=sizes).draw(300)
        plain = own(SNRNoise(30)).draw(300)
        assert torch.equal(batch.noiseless, plain.noiseless)
        ratio = (batch.noiseless_sigma / plain.noiseless_sigma).log()
        assert ratio.std() == pytest.approx(0.2 * (2 / 3) ** 0.5, rel=0.2)


def test_no_noise(own):
    batch = own(NoNoise()).draw(10)
    assert torch.equal(batch.flux, batch.noiseless) and (batch.noiseless_sigma == 0).all()
    assert (batch.ivar.max(1).values == batch.ivar.min(1).values).all()
    assert (batch.flux * batch.ivar.sqrt()).median(1).values.numpy() == pytest.approx(1000, rel=1e-5)
    assert batch.magnitude.isnan().all() and batch.snr.isinf().all()
    fnu = batch.noiseless.double().numpy() * fnu_shape(GRID.wave)
    assert fnu.mean(1) == pytest.approx(1, abs=1e-5)
    # The same stars whatever the noise.
    labels = own(NoNoise()).observe(GIANT).labels
    assert labels[0].tolist() == pytest.approx(GIANT)


class TestPhotonNoise:
    def test_is_pfs_where_it_has_the_tables_numbers(self, emulator):
        pfs = PFSNoise(seeing=1.0)
        same = PhotonNoise(
            PFS_MR,
            pfs.counts_per_unit,
            pfs.background_variance,
            sky_counts=pfs.sky_counts,
            sky_variance=pfs.sky_variance,
        )
        one, other = (Survey("paper", noise=noise, emulator=emulator).draw(4) for noise in (pfs, same))
        assert torch.equal(one.flux, other.flux) and torch.equal(one.ivar, other.ivar)

    def test_two_curves_of_snr_tell_the_model(self):
        """From S/N that another model has at two magnitudes: its S/N at all others."""
        pfs = PFSNoise()
        made = PhotonNoise.from_snr(PFS_MR, {20.0: pfs.snr(20.0), 22.0: pfs.snr(22.0)})
        assert made.counts_per_unit == pytest.approx(pfs.counts_per_unit, rel=1e-9)
        assert made.background_variance == pytest.approx(pfs.background_variance, rel=1e-6)
        assert made.snr(18.3) == pytest.approx(pfs.snr(18.3), rel=1e-9)

    @pytest.mark.parametrize("background", [0.01, 0.5, 0.99])
    def test_one_curve_and_the_share_of_the_background(self, background):
        made = PhotonNoise.from_snr(GRID, {20.0: 30.0}, background=background)
        assert made.snr(20.0) == pytest.approx(30)
        counts = made.counts(20.0)
        assert made.background_variance / made.count_variance(counts) == pytest.approx(background)

    def test_in_a_survey(self, own):
        noise = PhotonNoise.from_snr(GRID, {20.0: np.linspace(10, 90, 1024), 21.0: np.linspace(6, 50, 1024)})
        batch = own(noise, magnitude=20.0).observe([GIANT] * 100, 20.0)
        assert (batch.noiseless / batch.noiseless_sigma).median(1).values.mean() == pytest.approx(50, rel=0.1)
        z = (batch.flux - batch.noiseless) / batch.noiseless_sigma
        assert z.std() == pytest.approx(1, abs=0.01)
        assert (batch.flux * batch.ivar.sqrt()).median() == pytest.approx(50, rel=0.1)


class TestWindows:
    def test_every_pixel_that_overlaps_is_masked_in_every_spectrum(self, own):
        survey = own(masked=[(7590.0, 7700.0), (8800.0, 9000.0)])
        batch = survey.draw(5)
        inside = (GRID.edges[1:] > 7590) & (GRID.edges[:-1] < 7700) | (GRID.edges[1:] > 8800)
        assert ((batch.ivar == 0).numpy() == inside).all()
        assert (survey.used_pixels == ~inside).all()

    def test_come_on_top_of_random_masks_and_leave_the_flux(self, own):
        plain, window = own(), own(masked=[(7590.0, 7700.0)])
        assert torch.equal(plain.draw(3).noiseless, window.draw(3).noiseless)
        sizes = Augmentation(bad_pixels=0.2)
        masked = own(masked=[(7590.0, 7700.0)], augmentation=sizes).draw(50).ivar == 0
        assert masked[:, ~window.used_pixels].all()
        assert 0 < masked[:, window.used_pixels].float().mean() < 0.2


class TestRandomness:
    def options(self):
        sizes = Augmentation(
            line_error=0.12, lsf_range=(0.95, 1.05), calibration=(0.1,), correlated_noise=0.5
        )
        return {"augmentation": sizes, "velocity": Velocities.normal(80), "seed": 11}

    @pytest.mark.parametrize("device", DEVICES)
    @pytest.mark.parametrize("name", ["own", "pfs-mr"])
    def test_labels_and_noiseless_flux_do_not_depend_on_the_device(self, own, name, device):
        """Nor on the state of any generator; noise does depend on the device."""
        survey = Survey("pfs-mr", seed=11) if name == "pfs-mr" else own(**self.options())
        here, there = survey.draw(20, stream=5), survey.draw(20, stream=5, device=device)
        for field in ("labels", "velocity"):
            assert torch.equal(getattr(here, field), getattr(there, field).cpu())
        torch.testing.assert_close(there.noiseless.cpu(), here.noiseless, rtol=2e-5, atol=1e-6)

    def test_the_noise_of_a_stream_leaves_its_stars_alone(self, own):
        survey = own(**self.options())
        one, other = survey.draw(8, stream=3), survey.draw(8, stream=4, stars=3)
        assert torch.equal(one.noiseless, other.noiseless) and torch.equal(one.velocity, other.velocity)
        assert not (one.flux == other.flux).any()

    def test_a_finite_survey_repeats_its_stars(self, own):
        batches = [batch for batch, _ in zip(own(n=6).stream(4), range(4), strict=False)]
        assert [len(b[0]) for b in batches] == [4, 2, 4, 2]
        assert torch.equal(batches[0][2], batches[2][2]) and not torch.equal(batches[0][0], batches[2][0])


class TestIdentity:
    def test_whatever_changes_the_spectra_changes_repr_and_record(self, own, coarse, emulator):
        sizes, uniform = Augmentation(line_error=0.1), dataclasses.replace(PRIOR, shape=1.0)
        variants = [
            own(),
            own(seed=1),
            own(n=5),
            own(name="other"),
            own(SNRNoise(50)),
            own(SNRNoise((20, 200), sigma=np.linspace(1, 2, 1024), grid=GRID)),
            own(SNRNoise((20, 200), sigma=np.linspace(1, 3, 1024), grid=GRID)),
            own(NoNoise()),
            own(NoNoise(500)),
            own(velocity=10),
            own(velocity=Velocities.normal(5)),
            own(masked=[(7590, 7700)]),
            own(augmentation=sizes),
            own(PhotonNoise.from_snr(GRID, {20: 30.0}, background=0.5), magnitude=20),
            own(PhotonNoise.from_snr(GRID, {20: 30.0}, background=0.4), magnitude=20),
            Survey("own", prior=uniform, noise=SNRNoise((20, 200)), emulator=coarse),
            Survey("own", prior=PRIOR, noise=SNRNoise((20, 200)), emulator=emulator),
            Survey("own", prior=PRIOR, noise=SNRNoise((20, 200)), emulator=emulator.calibrated()),
            Survey("paper"),
            Survey("paper", noise=PFSNoise(seeing=1.0)),
            Survey("paper", augmentation=sizes),
            Survey("pfs-mr"),
        ]
        assert len({repr(survey) for survey in variants}) == len(variants)
        records = [json.dumps(survey.to_dict(), sort_keys=True) for survey in variants]
        assert len(set(records)) == len(variants)

    def test_named_surveys_keep_the_names_that_weights_carry(self):
        expected = "Survey('pfs-mr', n=None, seed=1, magnitude=(17.0, 23.0))"
        assert repr(Survey("pfs-mr", seed=1)) == expected
        assert repr(Survey()) == "Survey('paper', n=None, seed=0, magnitude=(20.5, 22.5))"
        assert Survey(prior=PRIOR, noise=SNRNoise(9)).name == "unnamed"

    def test_record_of_equal_surveys_is_equal(self, own):
        record = survey_record(own(velocity=5))
        assert record == survey_record(own(velocity=(-5, 5))) == json.loads(json.dumps(record))


OTHER = PixelGrid.linear(7200, 8000, 512, 2.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: Survey("mine", noise=NoNoise()), "one's own needs prior and noise"),
        (lambda e: Survey("mine", prior=PRIOR), "one's own needs prior and noise"),
        (lambda e: Survey(prior=PRIOR, noise=PFSNoise()), "magnitude is needed for PFSNoise"),
        (lambda e: Survey("paper", noise=SNRNoise(5), magnitude=20), "magnitude has no meaning for SNRNoise"),
        (
            lambda e: Survey("paper", noise=SNRNoise(5, np.ones(512), OTHER), emulator=e),
            "on the grid of the noise",
        ),
        (
            lambda e: Survey("paper", noise=SNRNoise(5, np.ones(512), OTHER)).draw(1),
            "on the grid of the noise",
        ),
        (
            lambda e: Survey("paper", emulator=e, prior=dataclasses.replace(PRIOR, teff=(3000, 5000))),
            r"prior must stay within .* teff in \[3504, 6598\], it reaches from 3000 to 5000",
        ),
        (lambda e: Survey("pfs-mr", noise=SNRNoise(5)), "augmentation.flat_noise must be 0 for SNRNoise"),
        (
            lambda e: Survey("paper", noise=NoNoise(), augmentation=Augmentation(noise_shape=0.1)),
            "augmentation.noise_shape must be 0 for NoNoise",
        ),
        (
            lambda e: Survey(
                "paper",
                noise=PhotonNoise.from_snr(PFS_MR, {20: 9.0}, background=0.5),
                augmentation=Augmentation(sky_residual=0.1),
            ),
            "augmentation.sky_residual must be 0 for PhotonNoise",
        ),
        (lambda e: Survey("paper", masked=[(759, 770)]), "masked must hold windows"),
        (lambda e: Survey("paper", masked=[(7700, 7590)]), "masked must hold windows"),
        (lambda e: Survey("paper", masked=[(7000, 9000)]), "masked must leave a pixel"),
        (lambda e: Survey("paper", noise=SNRNoise(5)).draw(1, magnitude=20), "magnitude has no meaning"),
        (lambda e: Survey("paper").draw(1, snr=20), "snr has no meaning for PFSNoise"),
        (lambda e: Survey("paper").observe(GIANT), "magnitude is needed for PFSNoise"),
        (lambda e: Survey("paper", noise=SNRNoise(5)).observe(GIANT, snr=-1), "snr must be positive"),
        (lambda e: Survey("paper").observe(GIANT, 20, velocity=10), "velocity must lie within the survey's"),
        (lambda e: SNRNoise((20, 10)), "snr must be positive and finite, the lower limit first"),
        (lambda e: SNRNoise(0), "snr must be positive and finite"),
        (lambda e: SNRNoise(5, sigma=np.ones(4)), "grid is needed with sigma"),
        (lambda e: SNRNoise(5, np.ones(4), OTHER), r"sigma must have shape \(512,\)"),
        (lambda e: SNRNoise(5, np.zeros(512), OTHER), "sigma must be finite and positive"),
        (lambda e: NoNoise(0), "snr must be positive"),
        (lambda e: PhotonNoise(OTHER, np.ones(3), np.ones(512)), r"counts_per_unit must have shape \(512,\)"),
        (lambda e: PhotonNoise(OTHER, np.ones(512), np.zeros(512)), "background_variance must be finite and"),
        (
            lambda e: PhotonNoise(OTHER, np.ones(512), np.ones(512), sky_counts=np.ones(512)),
            "sky_counts and sky_variance must be given together",
        ),
        (lambda e: PhotonNoise.from_snr(OTHER, {20: 9.0}), "curves must be S/N at two magnitudes, or at one"),
        (lambda e: PhotonNoise.from_snr(OTHER, {20: 9.0, 21: 2.0}), "must lie between 0.3981"),
        (
            lambda e: PhotonNoise.from_snr(OTHER, {20: 9.0}, background=1),
            "background must lie between 0 and 1",
        ),
    ],
)
def test_bad_arguments(emulator, call, message):
    with pytest.raises(ValueError, match=message):
        call(emulator)


def test_a_table_of_emulators_ranges_is_not_needed_for_the_named_surveys(emulator):
    """What they reach beyond the library's own range is rounding."""
    for name in ("paper", "pfs-mr"):
        assert isinstance(Survey(name, emulator=emulator).emulator, Emulator)
        assert isinstance(Survey(name).prior, LabelPrior)
