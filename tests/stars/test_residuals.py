"""The mixed model of real stars' residuals, on stars made with line strengths that are known."""

import numpy as np
import pytest
import torch

from specvit.stars import LineCalibration
from specvit.stars.lowresolution import LowResolution
from specvit.stars.residuals import (
    LABEL_ERR,
    StarResidual,
    expected_labels,
    fit_labels,
    fit_terms,
    line_errors,
    scale_bases,
)

FWHM, NOISE, INSTRUMENT_ERR = 3.3, 0.003, 0.006
LINE_ERR, TERM_ERR = np.array([0.10, 0.05, 0.05, 0.02]), np.array([0.10, 0.05, 0.05, 0.02])


@pytest.fixture(scope="module")
def model(emulator):
    return LowResolution(emulator, FWHM)


def drawn(bases, errors, random):
    return sum(e * (b @ random.standard_normal(b.shape[1])) for e, b in zip(errors, bases, strict=True))


@pytest.fixture(scope="module")
def sample(emulator, model):
    """Stars whose flux is computed with the emulator's correction, not with the derivatives under test."""
    random = np.random.default_rng(5)
    n_cells, wave = len(model.grid), LineCalibration.sampling(7096.0, 8854.0)
    bases = scale_bases(n_cells)
    term, instrument = drawn(bases, TERM_ERR, random), random.normal(0, INSTRUMENT_ERR, n_cells)
    stars = []
    for i in range(14):
        giant = i % 2
        three = (
            (random.uniform(4200, 5000), random.uniform(1.5, 3), random.uniform(-0.5, 0.2))
            if giant
            else (random.uniform(5200, 6200), random.uniform(3.9, 4.6), random.uniform(-0.5, 0.2))
        )
        literature = expected_labels(np.array(three))
        truth = literature + random.normal(size=5) * LABEL_ERR
        log_ratio = giant * term + drawn(bases, LINE_ERR, random)
        table = LineCalibration(wave, np.interp(wave, model.grid.wave, log_ratio))
        seen = LowResolution(emulator.calibrated(table), FWHM).spectra(truth)[2][0]
        flux = seen * np.exp(instrument) * (1 + random.normal(0, NOISE, n_cells))
        valid = np.abs(model.grid.wave - 7650) > 60
        star = StarResidual.of(model.linearise(literature), flux, valid, [giant], NOISE)
        stars.append({"star": star, "flux": flux, "valid": valid, "truth": truth, "literature": literature})
    return term, instrument, stars


class TestLinearised:
    def test_depth_is_the_derivative_with_respect_to_line_strength(self, emulator, model):
        """Against spectra of an emulator that is corrected by a little."""
        labels, bump = np.array([4800, 2.5, 0.0, 0.0, 0.0]), np.zeros(len(model.grid))
        bump[500] = bump[700] = 0.02
        wave = LineCalibration.sampling(7096.0, 8854.0)
        table = LineCalibration(wave, np.interp(wave, model.grid.wave, bump))
        logs = [
            np.log(LowResolution(e, FWHM).spectra(labels)[2][0])
            for e in (emulator, emulator.calibrated(table))
        ]
        change = logs[1] - logs[0]
        expected = model.linearise(labels).depth @ bump
        assert np.abs(change).max() > 1e-4
        assert np.abs(change - expected).max() < 0.05 * np.abs(change).max()

    def test_spectra_are_smoothed_to_the_width_asked_for(self, emulator, model):
        """Against a brute-force convolution of the emulator's spectrum in one cell."""
        labels = torch.tensor([[5772.0, 4.4, 0.0, 0.0, 0.0]], dtype=torch.float64)
        lines, continuum, flux = model.spectra(labels)
        wave, own = emulator.grid.wave, emulator.grid.lsf_sigma
        edges = model.grid.edges[400:402]
        inside = (wave > edges[0]) & (wave < edges[1])
        made = []
        for centre, sigma in zip(wave[inside], own[inside], strict=True):
            kernel = np.exp(-0.5 * (wave - centre) ** 2 / ((FWHM / 2.35482) ** 2 - sigma**2))
            made.append(np.average((lines * continuum)[0], weights=kernel))
        assert flux[0, 400] == pytest.approx(np.mean(made), rel=1e-4)


@pytest.fixture(scope="module")
def fit(sample):
    return fit_terms([s["star"] for s in sample[2]], LINE_ERR, TERM_ERR[None], INSTRUMENT_ERR)


class TestMixedModel:
    def test_separates_term_and_instrument(self, sample, fit):
        term, instrument, stars = sample
        strength = np.mean(
            [np.bincount(s["star"].depth.indices, np.abs(s["star"].depth.data), term.size) for s in stars], 0
        )
        strong = strength > np.quantile(strength, 0.5)
        seen = np.isin(np.arange(term.size), stars[0]["star"].cells) & strong
        assert np.corrcoef(fit.terms[0][seen], term[seen])[0, 1] > 0.8
        assert np.std((fit.terms[0] - term)[seen]) < 0.65 * np.std(term[seen])
        assert np.std((fit.instrument - instrument)[seen]) < 0.6 * INSTRUMENT_ERR
        assert np.median(fit.chi2) == pytest.approx(1, abs=0.15)

    def test_evidence_prefers_the_term_that_is_there(self, sample, fit):
        stars = [s["star"] for s in sample[2]]
        random = np.random.default_rng(1).permutation([s.coordinates[0] for s in stars])
        wrong = [
            StarResidual(**(vars(s) | {"coordinates": np.array([x])}))
            for s, x in zip(stars, random, strict=True)
        ]
        assert fit.evidence > fit_terms(wrong, LINE_ERR, TERM_ERR[None], INSTRUMENT_ERR).evidence + 10

    def test_line_errors_are_those_put_in(self, sample, model):
        term, instrument, stars = sample
        stars = stars[:6]
        n = len(stars)
        residuals = [
            # as good as labels fitted to the spectra
            StarResidual.of(
                model.linearise(s["truth"]),
                s["flux"],
                s["valid"],
                s["star"].coordinates,
                NOISE,
                s["literature"],
            )
            for s in stars
        ]
        err, err_err, noise = line_errors(
            residuals, [instrument] * n, [term[None]] * n, [0.15, 0.03, 0.03, 0.04]
        )
        # errors of 10 % a line are not quite linear: 15 % beyond the statistical error
        assert (np.abs(err - LINE_ERR)[:3] < 3 * err_err[:3] + 0.15 * LINE_ERR[:3]).all()
        assert (err_err[:3] < 0.015).all()
        assert noise == pytest.approx(1, abs=0.1)

    def test_labels_of_stars(self, sample, model):
        """With the errors that are there, errors of labels are as large as stated."""
        _, instrument, stars = sample
        pulls = []
        for s in stars[:6:2]:  # dwarfs, which have no term
            flux = s["flux"] * np.exp(-instrument)
            labels, err, _ = fit_labels(model, flux, s["valid"], NOISE, s["literature"][None], LINE_ERR)
            pulls.append((labels - s["truth"])[:3] / err[:3])
        assert np.sqrt(np.mean(np.square(pulls))) < 2
