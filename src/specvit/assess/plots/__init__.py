"""Figures for print: each function takes data and, optionally, Axes to draw on, and returns the Axes.

Made for one column of a journal (86 mm) and for readers who do not see all colours: colours are those
of Okabe & Ito (2008), and lines differ in marker and dashes too. Matplotlib is imported when a figure is
drawn, and its settings are left as they were.
"""

from specvit.assess.plots.accuracy import plot_cross_noise, plot_r2, plot_scaling
from specvit.assess.plots.coverage import plot_calibration
from specvit.assess.plots.fit import GRAVITY_LINES, plot_fit
from specvit.assess.plots.information import plot_information
from specvit.assess.plots.learningcurve import plot_learning_curve
from specvit.assess.plots.limitfigure import plot_star_limit
from specvit.assess.plots.literature import plot_literature
from specvit.assess.plots.reasons import plot_explanation
from specvit.assess.plots.starbystar import plot_predictions, plot_residuals

__all__ = [
    "GRAVITY_LINES",
    "plot_calibration",
    "plot_cross_noise",
    "plot_explanation",
    "plot_fit",
    "plot_information",
    "plot_learning_curve",
    "plot_literature",
    "plot_predictions",
    "plot_r2",
    "plot_residuals",
    "plot_scaling",
    "plot_star_limit",
]
