"""Kinds of trouble: each is what its name says."""

import numpy as np
import pytest

from specvit.assess.moretroubles import MORE_TROUBLES
from specvit.assess.scene import STARS, Scene
from specvit.assess.troubles import TROUBLES

KINDS = {trouble.name: trouble for trouble in (*TROUBLES, *MORE_TROUBLES)}
SCENE = Scene(STARS["giant"], 50)


def spectra(name, n=3, seed=1):
    return KINDS[name].spectra(SCENE, n, seed)


def test_names_are_unique_and_seeds_count():
    assert len(KINDS) == len(TROUBLES) + len(MORE_TROUBLES) > 60
    same, again, other = (spectra("untouched", seed=seed)[0] for seed in (1, 1, 2))
    assert (same == again).all() and (same != other).any()


@pytest.mark.parametrize("name", KINDS)
def test_all_are_finite_and_of_a_shape(name):
    flux, ivar = spectra(name, 2)
    assert flux.shape == (2, SCENE.wave.size) and np.isfinite(flux).all()
    assert ivar is None or (ivar.shape == flux.shape and np.isfinite(ivar).all() and (ivar >= 0).all())


def test_the_untouched_have_the_noise_that_is_stated():
    flux, ivar = spectra("untouched", 20)
    pulls = (flux - SCENE.light()) * np.sqrt(ivar)
    assert pulls.std() == pytest.approx(1, abs=0.02) and pulls.mean() == pytest.approx(0, abs=0.02)
    assert np.median(flux * np.sqrt(ivar)) == pytest.approx(50, rel=0.02)


def test_what_is_stated_wrongly_is_wrong_by_that_factor():
    _, true = spectra("untouched")
    for factor in (0.1, 10.0, 0.33, 3.0):
        flux, stated = spectra(f"σ × {factor:g}")
        np.testing.assert_allclose(stated, true / factor**2)
        assert (flux == spectra("untouched")[0]).all()
    np.testing.assert_allclose(spectra("σ in place of ivar")[1], true**-0.5)


def test_a_background_makes_lines_shallower():
    quiet = Scene(STARS["giant"], 1e7)
    depth = 1 - KINDS["background + 50%"].light(quiet) / quiet.continuum
    np.testing.assert_allclose(depth, (1 - quiet.lines()) / 1.5, atol=1e-12)


def test_cosmics_hit_as_many_pixels_as_said():
    clean, hit = spectra("untouched")[0], spectra("5 cosmics × 3–30")[0]
    assert ((hit != clean).sum(1) == 5).all() and ((hit - clean)[hit != clean] >= 3).all()


def test_masks_are_where_they_are_said_to_be():
    _, ivar = spectra("blue half masked")
    assert ((ivar == 0) == (SCENE.wave < 7975)).all()
    _, ivar = spectra("triplet masked")
    assert 0 < (ivar == 0).mean() < 0.05
