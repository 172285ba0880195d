"""Figures of a report: which there are, and that their files are reproducible."""

import matplotlib as mpl

from specvit.assess.figures import draw_summary, report_figures, save_figure

mpl.use("agg")


def test_files_of_figures_are_reproducible(table, tmp_path):
    first, again = (save_figure(draw_summary(table), tmp_path / name, ("svg", "png")) for name in "ab")
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_figures_of_a_report_draw(table, predictions):
    table["predictor"] = table["predictor"].replace({"ViT": "honest", "Ridge": "overconfident"})
    stems = []
    for figure, stem, caption in report_figures(table, predictions, "logg"):
        figure.canvas.draw()
        stems.append(stem)
        assert "log g" in caption
    assert stems == ["r2", "predictions", "residuals1", "residuals2", "calibration"]
