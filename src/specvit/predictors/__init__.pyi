"""What type checkers see of `specvit.predictors`, whose names are loaded when first used."""

from specvit.predictors.base import Predictor as Predictor
from specvit.predictors.boosting import LightGBMEstimator as LightGBMEstimator
from specvit.predictors.estimator import LoggEstimator as LoggEstimator
from specvit.predictors.explanation import Explanation as Explanation
from specvit.predictors.explanation import explain as explain
from specvit.predictors.fittedspectrum import FittedSpectrum as FittedSpectrum
from specvit.predictors.fittedspectrum import fitted_spectrum as fitted_spectrum
from specvit.predictors.labelpredictor import ForeignPredictor as ForeignPredictor
from specvit.predictors.labelpredictor import LabelPredictor as LabelPredictor
from specvit.predictors.predictions import Predictions as Predictions
from specvit.predictors.resulttables import read_table as read_table
from specvit.predictors.resulttables import write_table as write_table
from specvit.predictors.ridge import RidgeEstimator as RidgeEstimator
from specvit.predictors.template import TemplateFit as TemplateFit
from specvit.predictors.template import TemplateResult as TemplateResult

__all__: list[str]
