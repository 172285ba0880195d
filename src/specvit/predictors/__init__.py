"""Who predicts: the network (`LoggEstimator`), and what it is compared with, Ridge, LightGBM and a χ² fit."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "boosting": ["LightGBMEstimator"],
        "estimator": ["LoggEstimator"],
        "features": ["FeatureRegressor"],
        "ridge": ["RidgeEstimator"],
        "template": ["TemplateFit", "TemplateResult"],
    },
)
