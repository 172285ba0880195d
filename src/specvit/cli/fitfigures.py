"""``specvit predict --plot``: a figure for each star, of its spectrum and that of its labels."""

from __future__ import annotations

from specvit.cli.common import one_line, tell
from specvit.cli.reading import READING, files_with_velocities, read_spectrum

__all__ = ["PLOT_HELP", "draw_fits"]

PLOT_HELP = (
    "also draw each star: its spectrum, that of the predicted labels, residuals in sigma, and the lines that "
    "tell gravity; PNG files in the folder DIR, the pages of FILE.pdf, or FILE.png, FILE-2.png ..."
)


def draw_fits(args, estimator, stated):
    """Draw the spectra of a command. Those that have no figure, as without an answer or cubes, are told of.

    Parameters
    ----------
    args : argparse.Namespace
        Of ``specvit predict``: `files`, `example`, `plot` and the options of reading.
    estimator : Predictor
        Who predicted.
    stated : dict
        Arguments of its ``predict``.
    """
    from specvit.assess.plots.fitpages import save_fits

    left_out = save_fits(args.plot, _spectra(args, stated), estimator)
    for name, reason in left_out.items():
        tell(f"specvit: no figure: {name}: {one_line(reason)}")


def _spectra(args, stated):
    """Name, spectrum and what is stated of each."""
    from specvit.spectra.cutting import set_velocity

    if args.example:
        from specvit.example import example_spectrum

        yield "example", example_spectrum(), {k: stated[k] for k in ("given", "velocity") if k in stated}
    fitted = args.velocity == "fit"
    files = files_with_velocities(args.files, None if fitted else args.velocity) if args.files else ()
    for row in files:
        path, velocity = row["file"], row["velocity"] if "velocity" in files.colnames else float("nan")
        try:
            found = read_spectrum(path, **{name: getattr(args, name) for name in READING})
        except (OSError, ValueError) as error:
            tell(f"specvit: no figure: {one_line(error)}")  # which names the file
            continue
        spectra = found if isinstance(found, list) else [found]
        alone = spectra is not found and found.data.ndim != 2
        for i, one in enumerate(row for some in spectra for row in _rows(some)):
            if velocity == velocity and not fitted:
                set_velocity(one, velocity)
            yield path if alone else f"{path}[{i}]", one, stated


def _rows(spectrum):
    """Spectra that share their pixels, as the targets of DESI, one by one; one spectrum or cube as it is."""
    from specvit.spectra.cutting import cut
    from specvit.spectra.objectname import row_of_meta

    if spectrum.data.ndim != 2:
        yield spectrum
        return
    for row in range(len(spectrum.data)):
        one = cut(spectrum, row, row + 1)[0]
        one.meta.update(row_of_meta(one.meta, 1, 0))
        yield one
