"""`Survey("any")`: what is drawn, what is told, and whether the noise is what the inverse variance says."""

import dataclasses
import itertools
import pickle

import numpy as np
import pytest
import torch
from scipy.optimize import curve_fit

from specvit.assess.instrumentcells import TEST_SIZES
from specvit.grid import INSTRUMENTS, PFS_MR, TELLURIC, Instrument, PixelGrid
from specvit.labels import LABELS
from specvit.stars import Emulator, LineCalibration, regrid_emulator
from specvit.survey import AnyInstrument, InstrumentSurvey, LabelPrior, Survey
from specvit.survey.instrumentview import reddening_curve
from specvit.survey.transfer import to_device

#: Nothing but the instrument: no error of any kind.
CLEAN = AnyInstrument(
    preset_share=0.0,
    own_share=0.0,
    sharper_share=0.0,
    lsf_spread=0.0,
    own_spread=0.0,
    lsf_err=0.0,
    sampling_err=0.0,
    oversampled_share=0.0,
    fine_share=0.0,
    logarithmic_share=0.0,
    constant_fwhm_share=0.0,
    snr=(100.0, 100.0),
    whole_share=1.0,
    telluric=(0.0, 0.0),
    telluric_residual=0.0,
    chunks=0.0,
    bad_pixels=(0.0, 0.0),
    max_velocity=0.0,
    zero_point=0.0,
    drift=(0.0, 0.0),
    rotation=(0.0, 0.0),
    macroturbulence=0.0,
    line_err=(),
    calibration=(0.0,),
    reddening=0.0,
    normalised_share=1.0,
    pseudo_share=0.0,
    normalisation_err=0.0,
    noise_shape=0.0,
    sky_share=0.0,
    sky_residual=0.0,
    correlated_share=0.0,
    reported_err=0.0,
)
LINE = 7975.1


def one_line(depth=0.5):
    """An emulator of stars that all have one unresolved line, and no others."""
    real = Emulator.load()
    sigma = 0.85 * np.interp(LINE, PFS_MR.wave, PFS_MR.lsf_sigma)
    mean = 1 - depth * np.exp(-0.5 * ((real.wave - LINE) / sigma) ** 2)
    return Emulator(
        PFS_MR,
        real.wave,
        mean,
        np.zeros((1, real.wave.size)),
        real.continuum_wave,
        np.zeros(real.continuum_wave.size),
        np.zeros((1, real.continuum_wave.size)),
        real.label_range.double().numpy(),
    )


@pytest.fixture(scope="module")
def survey():
    return Survey("any")


@pytest.fixture(scope="module")
def many(survey):
    return survey.draw(512, stream=5)


def drawn(sizes, n=20_000, seed=0):
    return sizes.draw(n, np.random.default_rng(seed), PFS_MR)


# -- what it is --------------------------------------------------------------------------------------


def test_the_name_makes_the_survey(survey):
    assert isinstance(survey, InstrumentSurvey) and isinstance(survey, Survey)
    assert survey.label_names == LABELS and survey.grid == PFS_MR
    assert survey.label_range["logg"] == (0.3, 5.3)
    assert not isinstance(Survey("paper"), InstrumentSurvey)


def test_same_seed_and_stream_same_spectra(survey, many):
    again = pickle.loads(pickle.dumps(Survey("any"))).draw(512, stream=5)
    for name in ("flux", "ivar", "labels", "lsf", "sampling"):
        assert torch.equal(getattr(again, name), getattr(many, name))
    other = survey.draw(512, stream=6)
    assert not torch.equal(other.labels, many.labels)
    same_stars = survey.draw(512, stream=6, stars=5)
    assert torch.equal(same_stars.labels, many.labels)
    torch.testing.assert_close(same_stars.lsf, many.lsf)
    assert not torch.equal(same_stars.flux, many.flux)


def test_a_stream_resumes_at_any_step(survey):
    batches = list(itertools.islice(survey.stream(4), 3))
    stream = survey.stream(4)
    stream.set_step(2)
    resumed = next(iter(stream))
    assert len(resumed) == 5
    assert all(torch.equal(a, b) for a, b in zip(resumed, batches[2], strict=True))


def test_everything_is_finite_and_in_place(many):
    for name in ("flux", "ivar", "labels", "noiseless", "lsf", "sampling", "velocity"):
        assert getattr(many, name).isfinite().all(), name
    assert (many.ivar >= 0).all()
    assert (many.lsf >= 0).all() and (many.sampling >= -1).all()


def test_the_record_tells_what_differs(survey):
    assert survey.to_dict() == Survey("any").to_dict()
    other = Survey("any", emulator=Emulator.load().calibrated())
    assert other.to_dict() != survey.to_dict()
    assert repr(other) != repr(survey)
    assert Survey("any", observed=CLEAN).to_dict() != survey.to_dict()


# -- the distribution --------------------------------------------------------------------------------


def test_ranges_are_those_stated():
    numbers = drawn(AnyInstrument())
    assert numbers["snr"].min() >= 1.5 and numbers["snr"].max() <= 500
    assert np.quantile(numbers["snr"], 0.5) == pytest.approx(np.sqrt(1.5 * 500), rel=0.05)
    power = PFS_MR.wave[2048] / numbers["sigma_nodes"][:, 1] / np.sqrt(8 * np.log(2))
    random = numbers["preset"] < 0
    assert power[random].min() > 1300 / 1.1 - 1 and power[random].max() < 6100 * 1.2
    assert np.mean(power < 5000) > 0.4
    assert numbers["bad_fraction"].max() <= 0.5 and np.mean(numbers["bad_fraction"] > 0.1) > 0.05
    assert abs(numbers["velocity"]).max() <= 20
    assert np.mean(numbers["normalised"]) == pytest.approx(0.35, abs=0.02)
    assert np.mean(random) == pytest.approx(0.75, abs=0.02)


def test_coverage_is_from_a_twentieth_to_all(many):
    coverage = (many.ivar > 0).float().mean(1)
    assert coverage.min() > 0.03 and coverage.max() > 0.98
    assert (coverage < 0.15).float().mean() > 0.05
    assert (coverage > 0.8).float().mean() > 0.2


def test_pixels_per_fwhm():
    sizes = dataclasses.replace(CLEAN, resolving_power=(2000.0, 2000.0), pixels_per_fwhm=(2.0, 3.0))
    numbers = drawn(sizes)
    per_fwhm = numbers["sigma_nodes"][:, 1] * np.sqrt(8 * np.log(2)) / numbers["width"]
    assert per_fwhm.min() >= 2 and per_fwhm.max() <= 3


def test_presets_are_seen_where_they_see():
    """Gaia RVS and GALAH's infrared arm: two windows, and what is told of them."""
    sizes = dataclasses.replace(CLEAN, preset_share=1.0, presets=(INSTRUMENTS["Gaia RVS"],))
    batch = Survey("any", observed=sizes).draw(4)
    seen = (batch.ivar > 0).numpy()
    inside = (PFS_MR.edges[:-1] > 8460) & (PFS_MR.edges[1:] < 8700)
    assert seen[:, inside].all() and not seen[:, ~inside & (abs(PFS_MR.wave - 8580) > 121)].any()
    assert (batch.lsf == 0).all() and (batch.sampling == -1).all()


def test_names_and_ones_own_instruments():
    mine = Instrument("mine", ((7500.0, 8000.0),), 3.0, fwhm=5.0)
    batch = Survey("any", instruments=["SDSS", mine], observed=CLEAN).draw(32)
    middle = batch.lsf[:, 2048]
    sigma = [INSTRUMENTS["SDSS/BOSS"].lsf_sigma(PFS_MR.wave[2048]), 5 / np.sqrt(8 * np.log(2))]
    expected = np.log2(np.array(sigma) / PFS_MR.lsf_sigma[2048])
    kinds = [(middle - value).abs() < 1e-4 for value in expected]
    assert (kinds[0] | kinds[1]).all() and kinds[0].any() and kinds[1].any()
    torch.testing.assert_close(
        batch.sampling[kinds[1]],
        torch.full_like(batch.sampling[kinds[1]], float(np.log2(3 / PFS_MR.width[0]))),
    )


@pytest.mark.parametrize("windows", [((8400.0, 8850.0),), ((7200.0, 7400.0), (7900.0, 8300.0))])
def test_fixed_windows(windows):
    batch = Survey("any", observed=dataclasses.replace(CLEAN, windows=windows)).draw(6)
    seen = (batch.ivar > 0).numpy()
    inside = np.any([(PFS_MR.wave > low) & (PFS_MR.wave < high) for low, high in windows], axis=0)
    # Native pixels whose centre is within count whole: half of one, at most 1.9 Å, is beyond.
    near = np.any([(PFS_MR.wave > low - 2) & (PFS_MR.wave < high + 2) for low, high in windows], axis=0)
    assert not seen[:, ~near].any()
    assert seen[:, inside].mean() > 0.93


def test_telluric_bands_are_cut():
    batch = Survey("any", observed=dataclasses.replace(CLEAN, telluric=(1.0, 0.0))).draw(40)
    for low, high in TELLURIC.values():
        middle = abs(PFS_MR.wave - (low + high) / 2) < 3
        assert (batch.ivar[:, middle] == 0).float().mean() > 0.9
    assert (batch.ivar[:, abs(PFS_MR.wave - 7850) < 20] > 0).all()


def test_lost_pixels_are_lost_one_by_one():
    """Of the grid's own pixels as many as said; the run lengths are those of independent losses."""
    sizes = dataclasses.replace(
        CLEAN, preset_share=1.0, presets=(INSTRUMENTS["PFS MR"],), bad_pixels=(0.5, 0.5)
    )
    fraction = drawn(sizes, 200)["bad_fraction"]
    survey = Survey("any", observed=sizes)
    rng = np.random.default_rng([0, 0])
    survey.prior.sample(200, rng)
    fraction = sizes.draw(200, rng, PFS_MR)["bad_fraction"]
    lost = (survey.draw(200).ivar == 0).numpy()
    spread = np.sqrt(fraction * (1 - fraction) / 4096)
    assert (abs(lost.mean(1) - fraction) < 5 * spread + 1e-3).all()
    both = (lost[:, 1:] & lost[:, :-1]).mean(1)
    np.testing.assert_allclose(both, fraction**2, atol=0.03)


# -- what is told is what is there -------------------------------------------------------------------


def fitted_width(wave, flux):
    """σ in Å of a Gaussian line."""

    def model(x, depth, centre, sigma):
        return 1 - depth * np.exp(-0.5 * ((x - centre) / sigma) ** 2)

    near = abs(wave - LINE) < 25
    (_, centre, sigma), _ = curve_fit(model, wave[near], flux[near], (0.3, LINE, 1.5))
    return abs(sigma), centre


@pytest.mark.parametrize("power", [1500.0, 2500.0, 4000.0, 5500.0])
def test_lines_are_as_wide_as_is_told(power):
    """In fine native pixels, whose own width (with the grid's, in quadrature) is a small part."""
    sizes = dataclasses.replace(CLEAN, resolving_power=(power, power), pixels_per_fwhm=(6.0, 6.0))
    batch = Survey("any", observed=sizes, emulator=one_line()).draw(5)
    at = int(np.argmin(abs(PFS_MR.wave - LINE)))
    told = 2 ** batch.lsf[0, at].double() * PFS_MR.lsf_sigma[at]
    assert float(told) == pytest.approx(LINE / power / np.sqrt(8 * np.log(2)), rel=1e-3)
    pixel = PFS_MR.width[at]
    native = float(2 ** batch.sampling[0, at].double()) * pixel
    widths = [fitted_width(PFS_MR.wave, flux)[0] for flux in batch.noiseless.double().numpy()]
    rebinned = np.sqrt(float(told) ** 2 + (native**2 + pixel**2) / 12)
    assert np.mean(widths) == pytest.approx(rebinned, rel=0.01)


def test_the_sharp_have_the_grids_own_lines():
    sizes = dataclasses.replace(CLEAN, sharper_share=1.0)
    batch = Survey("any", observed=sizes, emulator=one_line()).draw(3)
    at = int(np.argmin(abs(PFS_MR.wave - LINE)))
    assert (batch.lsf == 0).all()
    for flux in batch.noiseless.double().numpy():
        width, centre = fitted_width(PFS_MR.wave, flux)
        assert width == pytest.approx(PFS_MR.lsf_sigma[at], rel=2e-3)
        assert centre == pytest.approx(LINE, abs=0.01)


def test_lines_are_where_the_velocity_puts_them():
    sizes = dataclasses.replace(CLEAN, own_share=1.0, max_velocity=20.0)
    batch = Survey("any", observed=sizes, emulator=one_line()).draw(6)
    for flux, velocity in zip(batch.noiseless.double().numpy(), batch.velocity, strict=True):
        expected = LINE * (1 + float(velocity) / 299_792.458)
        assert fitted_width(PFS_MR.wave, flux)[1] == pytest.approx(expected, abs=0.01)


def test_any_grid_will_do():
    """Pixels equal in ln λ: lines where and as wide as they are told to be."""
    edges = 7500 * np.exp(np.linspace(0, np.log(8600 / 7500), 1801))
    wave = (edges[1:] + edges[:-1]) / 2
    grid = PixelGrid(edges, wave / 4000 / np.sqrt(8 * np.log(2)), name="R 4000")
    emulator = regrid_emulator(one_line(), grid)
    sizes = dataclasses.replace(
        CLEAN, resolving_power=(2000.0, 2000.0), pixels_per_fwhm=(6.0, 6.0), max_velocity=20.0
    )
    batch = Survey("any", observed=sizes, emulator=emulator).draw(4)
    at = int(np.argmin(abs(wave - LINE)))
    assert batch.lsf[:, at].numpy() == pytest.approx(1, abs=2e-3)
    native = float(2 ** batch.sampling[0, at]) * grid.width[at]
    expected = np.sqrt((LINE / 2000) ** 2 / (8 * np.log(2)) + (native**2 + grid.width[at] ** 2) / 12)
    for flux, velocity in zip(batch.noiseless.double().numpy(), batch.velocity, strict=True):
        width, centre = fitted_width(wave, flux)
        assert width == pytest.approx(expected, rel=0.015)
        assert centre == pytest.approx(LINE * (1 + float(velocity) / 299_792.458), abs=0.03)


def test_equivalent_widths_survive():
    """Smoothing and rebinning conserve what is missing from a line."""
    sizes = dataclasses.replace(CLEAN, resolving_power=(1500.0, 6000.0))
    batch = Survey("any", observed=sizes, emulator=one_line()).draw(20)
    near = abs(PFS_MR.wave - LINE) < 40
    width = ((1 - batch.noiseless.double().numpy()) * PFS_MR.width)[:, near].sum(1)
    at = int(np.argmin(abs(PFS_MR.wave - LINE)))
    expected = 0.5 * 0.85 * PFS_MR.lsf_sigma[at] * np.sqrt(2 * np.pi)
    np.testing.assert_allclose(width, expected, rtol=6e-3)


def test_optical_depths_are_corrected(emulator):
    same = LineCalibration.identity()
    stronger = dataclasses.replace(same, log_ratio=np.full(same.wave.size, np.log(1.3)))
    sizes = dataclasses.replace(CLEAN, own_share=1.0)
    plain = Survey("any", observed=sizes).draw(4).noiseless
    corrected = Survey("any", observed=sizes, emulator=emulator.calibrated(stronger)).draw(4).noiseless
    identity = sizes.draw(4, _rng_after_labels(4), PFS_MR)["phase"] == 0
    assert identity.any()
    # Own resolution and pixels: what comes out is the corrected line spectrum itself.
    torch.testing.assert_close(
        corrected[identity], plain[identity].clamp_min(1e-3) ** 1.3, atol=2e-3, rtol=2e-3
    )


def _rng_after_labels(n):
    rng = np.random.default_rng([0, 0])
    Survey("any").prior.sample(n, rng)
    return rng


# -- noise -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"resolving_power": (2000.0, 2000.0)},
        {"resolving_power": (1500.0, 6000.0), "logarithmic_share": 1.0},
        {"own_share": 1.0},
        {"sharper_share": 1.0},
        {"bad_pixels": (0.5, 0.5), "resolving_power": (2000.0, 6000.0)},
        {"sky_share": 1.0, "noise_shape": 0.3, "snr": (3.0, 300.0)},
    ],
)
def test_noise_is_what_the_inverse_variance_says(change):
    batch = Survey("any", observed=dataclasses.replace(CLEAN, **change)).draw(64)
    good = batch.ivar > 0
    z = ((batch.flux - batch.noiseless) * batch.ivar.sqrt())[good]
    assert float(z.square().mean()) == pytest.approx(1, abs=0.02)
    assert float(z.mean()) == pytest.approx(0, abs=0.02)


def test_the_snr_is_that_of_native_pixels():
    """Pixels three times the grid's: the grid's pixels repeat them, at the same S/N."""
    mine = Instrument("mine", ((7000.0, 9000.0),), 3 * PFS_MR.width[0], fwhm=5.0)
    batch = Survey("any", instruments=mine, observed=dataclasses.replace(CLEAN, snr=(40.0, 40.0))).draw(32)
    whole = batch.noiseless_sigma.where(batch.ivar > 0, torch.nan).nanmedian(1).values
    level = batch.noiseless.where(batch.ivar > 0, torch.nan).nanmedian(1).values
    np.testing.assert_allclose(level / whole, 40, rtol=0.03)


def test_noise_within_a_native_pixel_is_shared():
    mine = Instrument("mine", ((7000.0, 9000.0),), 4 * PFS_MR.width[0], fwhm=7.0)
    batch = Survey("any", instruments=mine, observed=CLEAN).draw(32)
    z = ((batch.flux - batch.noiseless) * batch.ivar.sqrt())[:, 100:-100]
    # Two pixels one apart share a native pixel of four in three cases of four or, partly, in one more.
    correlation = float((z[:, 1:] * z[:, :-1]).mean())
    assert 0.7 < correlation < 0.95


def test_reported_errors_are_wrong_by_what_is_said():
    batch = Survey("any", observed=dataclasses.replace(CLEAN, own_share=1.0, reported_err=0.2)).draw(256)
    good = batch.ivar > 0
    ratio = (batch.ivar.sqrt() * batch.noiseless_sigma).masked_fill(~good, torch.nan).nanmedian(1).values
    assert float(ratio.log().std()) == pytest.approx(0.2, rel=0.15)


# -- starlight ---------------------------------------------------------------------------------------


def test_line_errors_have_their_size():
    """Rms of ln of the factor on optical depths, over stars, in the cores of the emulator's one line."""
    sizes = dataclasses.replace(CLEAN, own_share=1.0, line_err=((1.7, 0.1), (14.0, 0.1), (110.0, 0.1)))
    emulator, near = one_line(), torch.as_tensor(abs(PFS_MR.wave - LINE) < 5)
    depth = [
        -Survey("any", observed=one, emulator=emulator).draw(800).noiseless[:, near].amin(1).log()
        for one in (sizes, dataclasses.replace(sizes, line_err=()))
    ]
    error = (depth[0] / depth[1]).log()
    # Smoothed over the line by the pixels; the shortest scale counts in part.
    assert np.sqrt(2) * 0.1 * 0.9 < float(error.std()) < np.sqrt(3) * 0.1 * 1.1


def test_reddening_is_that_of_the_literature():
    """A(λ)/A(V) of Cardelli et al. (1989), table 3, R_V = 3.1: R 0.751, I 0.479, at 7000 and 9000 Å."""
    curve = reddening_curve(np.array([7000.0, 9000.0]))
    assert (curve[0] - curve[1]) / 3.1 == pytest.approx(0.751 - 0.479, abs=0.01)


def test_normalised_spectra_are_level():
    flat = dataclasses.replace(CLEAN, own_share=1.0, pseudo_share=1.0)
    batch = Survey("any", observed=flat).draw(64)
    thirds = batch.noiseless.unflatten(1, (4, 1024)).mean(2)
    assert float((thirds - 1).abs().amax()) < 0.12


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_makes_the_same_stars(survey, many):
    """Noise and lost pixels are the device's own; what is beneath them is not."""
    other = survey.draw(512, stream=5, device="cuda")
    assert torch.equal(other.labels.cpu(), many.labels)
    torch.testing.assert_close(other.lsf.cpu(), many.lsf, atol=1e-5, rtol=0)
    both = (other.ivar.cpu() > 0) & (many.ivar > 0)
    torch.testing.assert_close(other.noiseless.cpu()[both], many.noiseless[both], atol=2e-3, rtol=2e-3)


# -- rules -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n must be"),
        ({"instruments": "SDDS"}, "instrument must be one of"),
        (
            {"prior": LabelPrior((1000, 2000), (1, 5), (-1, 0), (0, 0.4), (0, 0.4)), "emulator": "own"},
            "prior",
        ),
    ],
)
def test_what_makes_no_survey_is_refused(arguments, message):
    if arguments.get("emulator") == "own":
        arguments = arguments | {"emulator": Emulator.load()}
    with pytest.raises(ValueError, match=message):
        Survey("any", **arguments)


@pytest.mark.parametrize(
    "change",
    [{"snr": (5.0, 1.0)}, {"resolving_power": (0.0, 10.0)}, {"preset_share": 0.9}, {"presets": ()}],
)
def test_what_makes_no_distribution_is_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        AnyInstrument(**change)


def test_labels_beyond_the_library_are_refused(survey):
    with pytest.raises(ValueError, match="teff must lie"):
        survey.observe([9000, 4, 0, 0, 0])
    assert survey.observe([5772, 4.44, 0, 0, 0]).labels[0, 0] == 5772


def test_numbers_reach_the_device_as_they_are():
    numbers = {
        "a": np.arange(3) / 7,
        "b": np.arange(6.0).reshape(3, 2) / 7,
        "c": np.array([True, False, True]),
        "d": np.array([2**62 + 1, 5, 7]),
    }
    tensors = to_device(numbers, torch.device("cpu"), exact=("b",))
    assert tensors["a"].dtype == torch.float32 and tensors["b"].dtype == torch.float64
    np.testing.assert_array_equal(tensors["b"], numbers["b"])
    np.testing.assert_array_equal(tensors["c"], numbers["c"])
    np.testing.assert_array_equal(tensors["d"], numbers["d"])


def test_a_pattern_has_the_size_and_the_scales_that_it_is_given():
    """The ratio of noiseless spectra with and without it, against the closed forms of its rms and range."""
    still = dataclasses.replace(TEST_SIZES, pattern=((20.0, 0.8), (60.0, 0.6)), snr=(1e6, 1e6))
    batches = [
        Survey("any", observed=dataclasses.replace(still, pattern_size=size)).draw(300).noiseless
        for size in ((0.0, 0.02), (1.0, 0.02))
    ]
    ratio = torch.log(batches[1] / batches[0])[:, 100:-100]
    ratio = ratio[torch.isfinite(ratio).all(1)]
    rms = ratio.square().mean().sqrt()
    assert rms == pytest.approx(0.02, rel=0.08)  # half-normal: its mean square is that of the normal
    far = round(130 / PFS_MR.width[2048])  # Å beyond which nothing is common
    assert abs((ratio[:, far:] * ratio[:, :-far]).mean() / rms**2) < 0.05
