"""What a network is to be compared with: Ridge, LightGBM and a χ² fit of templates, on the same spectra."""

from specvit.baselines._inputs import FeatureRegressor
from specvit.baselines.boosting import LightGBMEstimator
from specvit.baselines.linear import RidgeEstimator
from specvit.baselines.template import TemplateFit, TemplateResult

__all__ = ["FeatureRegressor", "LightGBMEstimator", "RidgeEstimator", "TemplateFit", "TemplateResult"]
