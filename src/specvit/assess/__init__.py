"""What a result is worth: metrics on surveys, and the limits that no estimator can beat."""

from specvit.assess.bayes import BayesLimit, Posterior, bayes_limit, posterior
from specvit.assess.fisher import (
    Fisher,
    fisher_information,
    jacobian,
    survey_fisher,
    van_trees,
    van_trees_survey,
)
from specvit.assess.metrics import label_metrics, score_survey

__all__ = [
    "BayesLimit",
    "Fisher",
    "Posterior",
    "bayes_limit",
    "fisher_information",
    "jacobian",
    "label_metrics",
    "posterior",
    "score_survey",
    "survey_fisher",
    "van_trees",
    "van_trees_survey",
]
