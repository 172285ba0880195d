"""What a result is worth: metrics on surveys, the limits that no estimator can beat, and audits."""

from specvit.assess.audit import audit_leakage, audit_predictor
from specvit.assess.calibration import audit_calibration, coverage_curve, pit, reliability
from specvit.assess.crossnoise import cross_noise_matrix
from specvit.assess.evaluation import evaluate
from specvit.assess.limitcheck import check_limits, compare_with_limit
from specvit.assess.metrics import DEFINITIONS, METRICS, figures_of_merit, label_metrics, score_survey
from specvit.assess.realstars import LITERATURE_DEFINITIONS, LITERATURE_METRICS, compare_with_literature
from specvit.assess.report import write_report

__all__ = [
    "DEFINITIONS",
    "LITERATURE_DEFINITIONS",
    "LITERATURE_METRICS",
    "METRICS",
    "audit_calibration",
    "audit_leakage",
    "audit_predictor",
    "check_limits",
    "compare_with_limit",
    "compare_with_literature",
    "coverage_curve",
    "cross_noise_matrix",
    "evaluate",
    "figures_of_merit",
    "label_metrics",
    "pit",
    "reliability",
    "score_survey",
    "write_report",
]
