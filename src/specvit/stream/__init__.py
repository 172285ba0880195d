"""Many spectra: from files, arrays, data sets and generators, in constant memory, and on after a kill."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "daskmaps": ["predict_dask"],
        "lsdbmaps": ["predict_lsdb"],
        "opening": ["open_source"],
        "predicting": ["Part", "predict_parts"],
        "streaming": ["StreamSummary", "predict_stream"],
    },
)
