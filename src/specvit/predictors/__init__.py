"""Who predicts: the network (`LoggEstimator`), and what it is compared with, Ridge, LightGBM and a χ² fit.

All four are a `Predictor`: they take the same, answer alike, and fail with the same messages.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "base": ["Predictor"],
        "boosting": ["LightGBMEstimator"],
        "estimator": ["LoggEstimator"],
        "explanation": ["Explanation", "explain"],
        "fittedspectrum": ["FittedSpectrum", "fitted_spectrum"],
        "labelpredictor": ["ForeignPredictor", "LabelPredictor"],
        "predictions": ["Predictions"],
        "resulttables": ["read_table", "write_table"],
        "ridge": ["RidgeEstimator"],
        "template": ["TemplateFit", "TemplateResult"],
    },
)
