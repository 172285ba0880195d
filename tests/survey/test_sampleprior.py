"""Priors from lists of stars, and the densities of all priors, against their definitions."""

import numpy as np
import pytest
from scipy import stats

from specvit.stars.library import carbon_star
from specvit.survey import LabelPrior, SamplePrior, Survey, TablePrior
from specvit.survey.priors import PRIORS

#: A giant branch and a main sequence, roughly: Teff falls as log g falls, respectively rises.
RNG = np.random.default_rng(0)
LOGG = RNG.uniform(0.8, 3.2, 400)
GIANTS = np.column_stack(
    [3900 + 450 * LOGG, LOGG, RNG.normal(-0.6, 0.3, 400), RNG.normal(0.2, 0.05, 400), np.full(400, -0.1)]
)
WIDE = ((3000, 8000), (-2, 7), (-4, 2), (-1, 1.5), (-2, 2))


class TestTable:
    def test_rows_are_drawn_by_their_weights_and_left_as_they_are(self):
        prior = TablePrior(GIANTS[:4], [1, 0, 2, 5])
        drawn = prior.sample(20_000, np.random.default_rng(1))
        counts = [(drawn == row).all(1).sum() for row in GIANTS[:4]]
        assert sum(counts) == 20_000 and counts[1] == 0
        assert stats.chisquare(np.array(counts)[[0, 2, 3]], 20_000 * np.array([1, 2, 5]) / 8).pvalue > 1e-3

    def test_knows_its_rows_and_ranges(self):
        prior = TablePrior(GIANTS, np.r_[0, np.ones(399)])
        assert prior.contains(GIANTS.astype(np.float32)).tolist() == [False] + [True] * 399
        assert not prior.contains(GIANTS + np.array([1, 0, 0, 0, 0])).any()
        low, high = np.array(prior.ranges).T
        assert (low == GIANTS[1:].min(0)).all() and (high == GIANTS[1:].max(0)).all()

    def test_a_survey_shows_its_stars(self, emulator):
        survey = Survey("paper", prior=TablePrior(GIANTS), emulator=emulator)
        assert TablePrior(GIANTS).contains(survey.draw(30).labels.numpy()).all()
        assert survey.label_range["teff"] == pytest.approx((GIANTS[:, 0].min(), GIANTS[:, 0].max()))


class TestSamples:
    def test_draws_follow_the_kernel_density(self):
        """In wide ranges: the mixture's own distribution function, and scipy's density."""
        prior = SamplePrior(GIANTS[:, :], bandwidth=(80, 0.15, 0.1, 0.05, 0.03), ranges=WIDE)
        drawn = prior.sample(20_000, np.random.default_rng(2))
        for k, h in enumerate((80, 0.15, 0.1, 0.05)):
            cdf = lambda x, k=k, h=h: stats.norm.cdf((x[:, None] - GIANTS[:, k]) / h).mean(1)  # noqa: E731
            assert stats.kstest(drawn[:4000, k], cdf).pvalue > 1e-3
        # What the samples have in common survives: giants are cooler the lower their gravity.
        assert np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1] == pytest.approx(
            np.corrcoef(GIANTS[:, 0], GIANTS[:, 1])[0, 1]
            / np.sqrt((1 + 80**2 / GIANTS[:, 0].var()) * (1 + 0.15**2 / GIANTS[:, 1].var())),
            abs=0.01,
        )

    def test_density_is_that_of_scipy(self):
        """With correlated labels scipy's kernel has other axes; scaled to unit covariance they agree."""
        x = np.random.default_rng(3).standard_normal((300, 5))
        x = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
        scale = np.array([300, 0.5, 0.3, 0.1, 0.02])
        labels = [4800, 2.5, -0.5, 0.3, -0.4] + x * scale
        weights = np.random.default_rng(4).random(300)
        kde = stats.gaussian_kde(labels[:100].T, 0.4)
        prior = SamplePrior(labels[:100], bandwidth=0.4 * scale, ranges=((1, 9999),) + ((-50, 50),) * 4)
        reference = stats.gaussian_kde(labels.T, 0.4, weights=weights)
        sigma = np.sqrt(np.diag(reference.covariance))
        mixture = stats.norm.logpdf(labels[:7, None], labels, sigma).sum(2)
        expected = np.log((np.exp(mixture) * (weights / weights.sum())).sum(1))
        weighted = SamplePrior(labels, weights, bandwidth=sigma, ranges=((1, 9999),) + ((-50, 50),) * 4)
        assert weighted.log_density(labels[:7]) == pytest.approx(expected, abs=1e-3)  # no carbon stars
        assert kde.n == len(prior.labels)

    def test_density_is_normalised_over_the_support(self):
        """Monte Carlo over the box: the carbon bound and the ranges both cut."""
        ranges = np.array([[4500, 5300], [1.5, 3.0], [-0.9, -0.2], [0.1, 0.3], [-0.2, 0.4]])
        labels = np.column_stack([GIANTS[:50, :4], GIANTS[:50, 3] + 0.1])
        prior = SamplePrior(labels, bandwidth=(150, 0.3, 0.2, 0.1, 0.1), ranges=ranges)
        points = np.random.default_rng(5).uniform(*ranges.T, (60_000, 5))
        density = np.exp(prior.log_density(points)) * np.prod(np.diff(ranges))
        assert density.mean() == pytest.approx(1, abs=4 * density.std() / len(points) ** 0.5)
        assert (density[carbon_star(points)] == 0).all() and carbon_star(points).any()

    def test_what_falls_outside_is_drawn_again_and_not_moved(self):
        labels = np.array([[4800, 1.0, -0.5, 0.1, 0.0], [4810, 1.05, -0.5, 0.1, 0.0]])
        ranges = ((3500, 6500), (1.0, 5.0), (-2, 0.5), (-0.2, 0.6), (-0.7, 0.6))
        prior = SamplePrior(labels, bandwidth=(10, 0.2, 0.05, 0.02, 0.02), ranges=ranges)
        drawn = prior.sample(5000, np.random.default_rng(6))
        assert prior.contains(drawn).all() and drawn.shape == (5000, 5)
        cut = stats.truncnorm(0, np.inf, 1.0, 0.2), stats.truncnorm(-0.25, np.inf, 1.05, 0.2)
        share = np.array([0.5, stats.norm.cdf(0.25)])
        cdf = lambda x: sum(s * c.cdf(x) for s, c in zip(share / share.sum(), cut, strict=True))  # noqa: E731
        assert stats.kstest(drawn[:, 1], cdf).pvalue > 1e-3

    def test_defaults_are_the_shipped_emulators_range_and_scotts_factor(self, emulator):
        prior = SamplePrior(GIANTS, np.arange(400))
        assert np.array(prior.ranges) == pytest.approx(emulator.label_range.numpy().T)
        weights = np.arange(400) / np.arange(400).sum()
        mean = weights @ GIANTS
        spread = np.sqrt(weights @ (GIANTS - mean) ** 2)
        assert prior.bandwidth == pytest.approx(spread * np.sum(weights**2) ** (1 / 9), abs=1e-9)
        assert prior.bandwidth[4] == pytest.approx(0, abs=1e-9)

    def test_a_bandwidth_of_zero_leaves_a_label_as_it_is(self):
        prior = SamplePrior(GIANTS, bandwidth=(50, 0.1, 0.1, 0.02, 0))
        assert (prior.sample(100, np.random.default_rng(0))[:, 4] == -0.1).all()
        with pytest.raises(ValueError, match="log_density needs a positive bandwidth"):
            prior.log_density(GIANTS)

    def test_same_seed_same_stars_and_a_name_of_its_own(self):
        prior, other = SamplePrior(GIANTS), SamplePrior(GIANTS[1:])
        one, again = (prior.sample(50, np.random.default_rng(7)) for _ in range(2))
        assert (one == again).all()
        assert prior == SamplePrior(GIANTS) and prior != other and repr(prior) != repr(other)


@pytest.mark.parametrize("name", PRIORS)
def test_density_of_a_label_prior_is_normalised(name):
    """Importance sampling with the prior's own draws: E[1/p] over the support is its volume."""
    prior = PRIORS[name]
    ranges = np.array(prior.ranges, float)
    points = np.random.default_rng(8).uniform(*ranges.T, (200_000, 5))
    density = np.exp(prior.log_density(points)) * np.prod(np.diff(ranges))
    assert density.mean() == pytest.approx(1, abs=5 * density.std() / len(points) ** 0.5)
    assert (density[~prior.contains(points)] == 0).all()


def test_density_of_a_beta_prior_is_that_of_scipy():
    prior = LabelPrior((4000, 6000), (1, 5), (-1, 0), (0.0, 0.4), (-0.4, 0.1), shape=0.7)
    labels = prior.sample(20, np.random.default_rng(9))
    low, high = np.array(prior.ranges).T
    expected = stats.beta.logpdf(labels, 0.7, 0.7, low, high - low).sum(1)  # [C/M] is free here
    assert prior.log_density(labels) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TablePrior(GIANTS[:, :4]), r"labels must have shape \(n, 5\)"),
        (lambda: TablePrior(GIANTS, np.ones(3)), r"weights must have shape \(400,\)"),
        (lambda: TablePrior(GIANTS, np.zeros(400)), "weights must be finite and not negative"),
        (lambda: TablePrior([[4500, 2, 0, 0, 0.3]]), "no carbon stars, row 0"),
        (lambda: TablePrior([[4500, np.nan, 0, 0, 0]]), "row 0 has logg = nan"),
        (lambda: SamplePrior(GIANTS[:1]), "n at least 2"),
        (lambda: SamplePrior(GIANTS, bandwidth=-1), "bandwidth must be one or five numbers"),
        (lambda: SamplePrior(GIANTS, bandwidth=(1, 2)), "bandwidth must be one or five numbers"),
        (lambda: SamplePrior(GIANTS, ranges=[(5, 1)] * 5), "ranges must be five pairs"),
        (lambda: SamplePrior(GIANTS + np.array([9000, 0, 0, 0, 0])), "0.00% of the density.*teff is outside"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("kind", [TablePrior, SamplePrior])
def test_columns_of_a_table_go_by_their_names(kind):
    import pandas as pd

    rng = np.random.default_rng(0)
    labels = rng.uniform([4000, 1, -1, 0, -0.2], [6000, 4, 0, 0.3, 0.0], (50, 5))
    names = ("Teff", "log g", "[M/H]", "[alpha/M]", "cm")
    frame = pd.DataFrame(labels, columns=names)[[*names[::-1]]].assign(star="a")
    expected = kind(labels).sample(5, np.random.default_rng(1))
    np.testing.assert_array_equal(kind(frame).sample(5, np.random.default_rng(1)), expected)
    with pytest.raises(ValueError, match=r"a column for each label, got none for \['cm'\]"):
        kind(frame.drop(columns="cm"))
    with pytest.raises(ValueError, match="labels must not be masked"):
        kind(np.ma.array(labels, mask=labels == labels[3, 2]))


def test_units_of_a_table_are_not_lost():
    import astropy.units as u

    labels = {"teff": [5.0, 6.0] * u.kK, "logg": [2, 3], "mh": [0, 0], "alpham": [0, 0], "cm": [0, 0]}
    with pytest.raises(ValueError, match="teff must be plain numbers in the label's unit, got the unit kK"):
        TablePrior(labels)
