"""What spectra allow: Fisher information, Cramér–Rao and van Trees bounds, posteriors, the Bayes limit."""

from specvit.limits.bayeslimit import BayesLimit, bayes_limit
from specvit.limits.fisher import (
    Fisher,
    fisher_information,
    survey_fisher,
    van_trees,
    van_trees_survey,
)
from specvit.limits.pixels import pixel_information
from specvit.limits.posterior import Posterior, posterior
from specvit.limits.starlimit import StarLimit, star_limit
from specvit.stars.starlight import jacobian

__all__ = [
    "BayesLimit",
    "Fisher",
    "Posterior",
    "StarLimit",
    "bayes_limit",
    "fisher_information",
    "jacobian",
    "pixel_information",
    "posterior",
    "star_limit",
    "survey_fisher",
    "van_trees",
    "van_trees_survey",
]
