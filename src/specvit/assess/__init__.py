"""What a result is worth: metrics on surveys."""

from specvit.assess.metrics import label_metrics, score_survey

__all__ = ["label_metrics", "score_survey"]
