"""Is a spectrum what it is said to be? What it says itself of its predicted labels, and the alarms of that.

A spectrum is predicted, the lines of the predicted labels are fitted to it with the nuisances that trouble
has, velocity, width, dilution and continuum, and what exceeds the limits of stars in order raises an alarm.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "examination": ["examine"],
        "findings": ["Findings"],
    },
)
