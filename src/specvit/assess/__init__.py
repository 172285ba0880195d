"""What a result is worth: metrics on surveys, the limits that no estimator can beat, and audits."""

from specvit.assess.audit import audit_leakage, audit_predictor
from specvit.assess.bayes import BayesLimit, Posterior, bayes_limit, posterior
from specvit.assess.calibration import audit_calibration, coverage_curve, pit, reliability
from specvit.assess.crossnoise import cross_noise_matrix
from specvit.assess.evaluation import evaluate
from specvit.assess.fisher import (
    Fisher,
    fisher_information,
    jacobian,
    survey_fisher,
    van_trees,
    van_trees_survey,
)
from specvit.assess.limitcheck import check_limits, compare_with_limit
from specvit.assess.metrics import DEFINITIONS, METRICS, figures_of_merit, label_metrics, score_survey
from specvit.assess.plots import (
    plot_calibration,
    plot_cross_noise,
    plot_information,
    plot_learning_curve,
    plot_predictions,
    plot_r2,
    plot_residuals,
    plot_scaling,
)
from specvit.assess.report import write_report

__all__ = [
    "DEFINITIONS",
    "METRICS",
    "BayesLimit",
    "Fisher",
    "Posterior",
    "audit_calibration",
    "audit_leakage",
    "audit_predictor",
    "bayes_limit",
    "check_limits",
    "compare_with_limit",
    "coverage_curve",
    "cross_noise_matrix",
    "evaluate",
    "figures_of_merit",
    "fisher_information",
    "jacobian",
    "label_metrics",
    "pit",
    "plot_calibration",
    "plot_cross_noise",
    "plot_information",
    "plot_learning_curve",
    "plot_predictions",
    "plot_r2",
    "plot_residuals",
    "plot_scaling",
    "posterior",
    "reliability",
    "score_survey",
    "survey_fisher",
    "van_trees",
    "van_trees_survey",
    "write_report",
]
