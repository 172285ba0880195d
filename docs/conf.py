"""Sphinx configuration. `tox -e build_docs` builds the pages; every warning is an error.

The build needs no network. Set SPECVIT_DOCS_ONLINE=1 to link to the documentation of other
packages (intersphinx).
"""

import csv
import os
import re
import sys
from importlib.metadata import metadata, version
from pathlib import Path

from numpy.typing import ArrayLike
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.nodes import make_refnode
from sphinx.util.typing import stringify_annotation
from sphinx_astropy.conf.v3 import *  # noqa: F403
from sphinx_astropy.conf.v3 import exclude_patterns, extensions, intersphinx_mapping

sys.path.insert(0, str(Path(__file__).parent))  # formulas.py, tables.py

online = os.environ.get("SPECVIT_DOCS_ONLINE", "0") not in ("", "0")

# -- Project -----------------------------------------------------------------------------------

project = "specvit"
author = metadata("specvit")["Author"]
copyright = f"2026, {author}"
release = version("specvit")
version = ".".join(release.split(".")[:2])

# -- General -----------------------------------------------------------------------------------

extensions += ["myst_parser", "sphinx_gallery.gen_gallery", "formulas", "tables"]
html_math_renderer = "mathml"
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns += [
    "conftest.py",
    "examples/*",
    "generated/*",
    "templates/*",
    "gallery/*.ipynb",
    "gallery/*.py",
    "gallery/*.md5",
]
# Pages of studies of which nothing has been measured yet.
_folder = Path(__file__).parent
_measured = [path.stem for path in (_folder / "results" / "studies").glob("*.csv")]
_pages = [path.stem for path in (_folder / "studies").glob("*.rst")]
exclude_patterns += [f"studies/{page}.rst" for page in _pages if page not in _measured]
exclude_patterns += [] if _measured else ["studies.rst"]
automodapi_inheritance_diagram = False
numpydoc_xref_param_type = False
# A theme without trackers and with its fonts in it: pages work without a network.
html_theme = "pydata_sphinx_theme"
html_title = "specvit"
html_short_title = "specvit"
html_show_sourcelink = False
html_static_path = ["static"]
html_css_files = ["specvit.css"]
_links = dict(line.split(", ", 1) for line in metadata("specvit").get_all("Project-URL") or ())
html_theme_options = {
    "logo": {"text": "specvit"},
    "navbar_center": [],
    "show_toc_level": 2,
    "use_edit_page_button": False,
    "icon_links": [
        {"name": name, "url": url, "icon": f"fa-solid {icon}"}
        for name, icon in (("Source", "fa-code"), ("Issues", "fa-bug"))
        if (url := _links.get(name))
    ],
    "footer_start": ["copyright"],
    "footer_end": [],
}
# All pages stand in their groups on the left; the home page has them in its text.
templates_path = ["templates"]
html_sidebars = {"**": ["pages.html"], "index": []}
plot_formats = [("png", 150)]
plot_html_show_formats = plot_html_show_source_link = False
plot_include_source = True
plot_rcparams = {"savefig.bbox": "standard"}

# -- Links to other packages -------------------------------------------------------------------

intersphinx_mapping = (
    {
        **{name: intersphinx_mapping[name] for name in ("python", "numpy", "scipy", "matplotlib", "astropy")},
        "torch": ("https://docs.pytorch.org/docs/stable/", None),
        "sklearn": ("https://scikit-learn.org/stable/", None),
        "specutils": ("https://specutils.readthedocs.io/en/stable/", None),
    }
    if online
    else {}
)

# A name of this package that leads nowhere fails the build. Names of other packages may not: without
# their inventories none can be found, and even with them some are only re-exported.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!specvit)[a-zA-Z_]\w*(\.\w+)+"),  # dotted names of other packages
    (r"py:.*", r"[A-Za-z]*(Error|Warning|Exception)|Tensor|Module|Path|PathLike|Generator|Spectrum|QTable"),
    (r"py:.*", r"bool|int|float|str|bytes|dict|list|tuple|set|slice|object|type|None|True|False"),
    (r"py:obj", r"[a-z_][a-z0-9_-]*"),  # parameters, attributes, surveys: `flux`, `pfs-mr`
    (r"py:obj", r"[A-Z_]+"),  # constants
]


def resolve_public_name(app, env, node, contnode):
    """Link `PixelGrid` and `specvit.LoggEstimator`, wherever they stand, to where they are documented."""
    target = node.get("reftarget", "")
    first, _, rest = target.removeprefix("specvit.").partition(".")
    if node.get("refdomain") != "py" or not first[:1].isupper():
        return None
    ending = f".{first}.{rest}" if rest else f".{first}"
    domain = env.get_domain("py")
    found = [
        name
        for name, entry in domain.objects.items()
        if name.startswith("specvit.") and name.endswith(ending) and not entry.aliased
    ]
    if len(found) != 1:
        return None
    where = domain.objects[found[0]]
    return make_refnode(app.builder, node["refdoc"], where.docname, where.node_id, contnode, found[0])


def plain_docstring(app, what, name, obj, options, lines):
    """Bars in docstrings are absolute values, not substitutions; scikit-learn's glossary is not here."""
    for i, line in enumerate(lines):
        if name.endswith("_request"):
            line = re.sub(r":(?:term|ref):`([^`<]*?)(?: *<[^`]*>)?`", r"\1", line)
        if "\\" not in line and not line.lstrip().startswith(">>>"):
            line = re.sub(r"``.*?``|\|", lambda found: r"\|" if found[0] == "|" else found[0], line)
        lines[i] = line


def constants(app, what, name, obj, options, lines):
    """Of a constant that a room takes from one of its modules: what stands above it there, not its type's."""
    room, _, own = name.rpartition(".")
    if what != "data" or room not in sys.modules:
        return
    general = (type(getattr(sys.modules[room], own)).__doc__ or "").strip().splitlines()[:1]
    if lines[:1] not in ([], [""], general):
        return
    path = Path(sys.modules[room].__file__)
    for module in (
        "specvit.constants",
        *(f"{room}.{one.stem}" for one in sorted(path.parent.glob("[a-z]*.py"))),
    ):
        found = ModuleAnalyzer.for_module(module).find_attr_docs().get(("", own))
        if found:
            lines[:] = found
            return


def write_records(app):
    """Pages to be included in others: the figures recorded in the weights and in the emulator."""
    from specvit import Emulator
    from specvit.weights import list_weights

    folder = Path(app.srcdir) / "generated"
    folder.mkdir(exist_ok=True)
    lines = []
    for name, record in list_weights().items():
        heading = f"Weights ``{name}``"
        lines += [heading, "-" * len(heading), ""]
        facts = {key: value for key, value in record.items() if isinstance(value, str | int | float)}
        lines += [f"* {key.replace('_', ' ')}: ``{value}``" for key, value in facts.items()] + [""]
        for survey, rows in record.get("figures", {}).items():
            if isinstance(rows, list):  # cells of instruments: drawn on the page any_spectrograph
                continue
            lines += [f".. csv-table:: log g on fresh draws of ``{survey}``", "   :header-rows: 1", ""]
            lines += ["   magnitude,median S/N,R²,mean absolute error [dex],bias [dex],share within 1 σ"]
            for magnitude, row in rows.items():
                numbers = (f"{row['logg'][key]:.3f}" for key in ("r2", "mae", "bias", "coverage"))
                lines += [f"   {magnitude},{row['snr']:.1f},{','.join(numbers)}"]
            lines += [""]
    (folder / "weights.rst").write_text("\n".join(lines), encoding="utf-8")

    record = Emulator.load().record
    lines = [
        f"It was fitted on {record['n_spectra']} spectra. On library points that were held out of the fit,",
        "the rms error of the normalised flux is:",
        "",
        ".. csv-table::",
        "   :header-rows: 1",
        "",
        "   domain,held-out points,median,90th percentile",
    ]
    for domain, row in record["held_out_rms"].items():
        lines += [f"   {domain},{row['n']},{100 * row['median']:.3f} %,{100 * row['p90']:.3f} %"]
    (folder / "emulator.rst").write_text("\n".join([*lines, ""]), encoding="utf-8")


def write_instruments(app):
    """Pages to be included in others: the presets of spectrographs, and what was measured of them."""
    from specvit.grid.instruments import INSTRUMENTS, TELLURIC

    folder = Path(app.srcdir) / "generated"
    folder.mkdir(exist_ok=True)
    low, high = 7100.0, 8850.0
    lines = [".. csv-table::", "   :header-rows: 1", "   :widths: auto", ""]
    lines += ["   name,R,within Å,native pixel,medium,source"]
    for one in INSTRUMENTS.values():
        ends = [max(low, one.windows[0][0]), min(high, one.windows[-1][1])]
        powers = sorted({round(end / float(one.fwhm_at(end)), -2) for end in ends})
        widths = sorted({f"{float(one.pixel_width(end)):.3g}" for end in ends})
        cells = (
            one.name,
            "–".join(f"{power:.0f}" for power in powers),
            "–".join(f"{end:.0f}" for end in ends),
            "–".join(widths) + " Å",
            one.medium,
            one.source.replace('"', "″"),
        )
        lines += ["   " + ",".join(f'"{cell}"' for cell in cells)]
    (folder / "instruments.rst").write_text("\n".join([*lines, ""]), encoding="utf-8")

    lines = [".. csv-table::", "   :header-rows: 1", "   :widths: auto", "", "   band,from [Å],to [Å]"]
    lines += [f"   {name},{band[0]:.1f},{band[1]:.1f}" for name, band in TELLURIC.items()]
    (folder / "telluric.rst").write_text("\n".join([*lines, ""]), encoding="utf-8")

    for name, text in MEASURED.items():  # what has not been measured yet is left out
        files = [Path(app.srcdir) / file for file in re.findall(r"/(results/\S+)", text)]
        shown = text if all(file.exists() for file in files) else ""
        (folder / f"{name}.rst").write_text(shown, encoding="utf-8")
    (folder / "preset_limits.rst").write_text(preset_limits(app), encoding="utf-8")


def preset_limits(app):
    """The table of scripts/preset_limits.py."""
    lines = [".. csv-table::", "   :header-rows: 1", "   :widths: auto", ""]
    with (Path(app.srcdir) / "results" / "preset_limits.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = ["spectrograph", "R", "S/N", "limit: R²", "limit: mean abs. error"]
    columns += ["network: R²", "network: mean abs. error", "within 1 σ"]
    lines += ["   " + ",".join(columns)]
    for row in rows:
        value = {key: float(text) for key, text in row.items() if key != "instrument" and text}
        cells = [row["instrument"], f"{value['resolving_power']:.0f}", f"{value['snr']:.0f}"]
        for whose in ("", "network_"):
            error = value[f"{whose}r2_err"]
            cells += [f"{value[f'{whose}r2']:.3f} ± {error:.3f}", f"{value[f'{whose}mae']:.3f}"]
        lines += ["   " + ",".join([*cells, f"{value['network_coverage']:.2f}"])]
    return "\n".join([*lines, ""])


def write_honesty(app):
    """Pages to be included in the page numbers: tables of scripts/honesty_tables.py."""
    results, folder = Path(app.srcdir) / "results", Path(app.srcdir) / "generated"

    def rows_of(name):
        with (results / name).open(encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def write(name, header, cells, text=""):
        lines = [".. csv-table::", "   :header-rows: 1", "   :widths: auto", "", "   " + header]
        lines += ["   " + ",".join(f'"{cell}"' for cell in row) for row in cells]
        (folder / name).write_text("\n".join([text, "", *lines, ""]), encoding="utf-8")

    rows = rows_of("honesty.csv")
    stars = list(dict.fromkeys(row["star"] for row in rows))
    cells, harmless = {}, {}
    for row in rows:
        silent, told = float(row["silent"]) > 0.5, float(row["told"])
        if row["harmless"] == "True":
            harmless.setdefault(row["trouble"], []).append(told)
        else:
            mark = f"**{float(row['error']):+.1f}**" if silent else "●" if told > 0.5 else "○"
            cells.setdefault(row["trouble"], {}).setdefault(row["star"], []).append(mark)
    wrong = sum(float(row["silent"]) > 0.5 for row in rows)
    false = sum(map(sum, harmless.values())) / sum(map(len, harmless.values()))
    write(
        "troubles.rst",
        "kind of trouble," + ",".join(stars),
        [[kind, *(" ".join(own[star]) for star in stars)] for kind, own in cells.items()],
        f"{wrong} of {len(rows)} cells are silently wrong. Of {len(harmless)} harmless kinds, as "
        f"{', '.join(list(harmless)[1:5])}, {false:.2%} of the spectra raise an alarm. Marks are for S/N 10, "
        "30 and 100: ● most are told, ○ not told and within the limits, **a number** the error in dex of a "
        "cell that is silently wrong.",
    )
    views, text = {"low": "of R 2,000 on pixels of 1.4 Å", "window": "of 8400–8850 Å alone"}, []
    for view, what in views.items():
        if not (results / f"honesty_{view}.csv").exists():
            continue
        rows = rows_of(f"honesty_{view}.csv")
        silent = [row for row in rows if float(row["silent"]) > 0.5]
        kinds = list(dict.fromkeys(row["trouble"] for row in silent))
        false = [float(row["told"]) for row in rows if row["harmless"] == "True"]
        text += [
            f"Of spectra {what}, {len(silent)} of {len(rows)} cells are silently wrong "
            f"({', '.join(kinds)}), and {sum(false) / len(false):.1%} of the harmless ones raise an alarm.",
            "",
        ]
    (folder / "views.rst").write_text("\n".join(text), encoding="utf-8")
    write(
        "velocities.rst",
        "star,S/N,bias [km/s],scatter [km/s],rms of difference over error,failures,of them told",
        [
            (
                row["star"],
                f"{float(row['snr']):.0f}",
                f"{float(row['bias']):+.2f} ± {float(row['bias_err']):.2f}",
                f"{float(row['scatter']):.2f}",
                f"{float(row['pull']):.2f}",
                f"{float(row['failed']):.1%}",
                "–" if row["alarmed"] == "nan" else f"{float(row['alarmed']):.0%}",
            )
            for row in rows_of("velocities.csv")
        ],
        "Stars at −500 to 500 km/s. A failure is off by more than 5 σ and 30 km/s, and left out of the rest. "
        "Told are those with an alarm.",
    )
    told = {}
    for row in rows_of("foreign.csv"):
        told.setdefault(row["foreign"], {})[f"{float(row['snr']):.0f}"] = f"{float(row['told']):.1%}"
    ratios = list(next(iter(told.values())))
    header = "share that is told at S/N," + ",".join(ratios)
    write("foreign.rst", header, [[name, *own.values()] for name, own in told.items()])
    rows = rows_of("real_alarms.csv")
    write(
        "real_alarms.rst", ",".join(["stars", "number", *list(rows[0])[2:]]), [row.values() for row in rows]
    )


#: What the page any_spectrograph shows of files that scripts write into docs/results.
MEASURED = {
    "expected": """
.. figure:: /results/any_spectrograph.svg
   :width: 100%
   :alt: Error of log g against resolving power, for three ranges of wavelength and two S/N.

   Root-mean-square error of log g on simulated stars of the survey ``pfs-mr`` over the resolving power, for
   three ranges of wavelength. S/N is per native pixel of the spectrograph, 1.7 to 4.2 of which make a FWHM.
   Thin lines: the Bayes limit of the same cells for stars whose lines, velocities and calibration are without
   error, which those of the test are not.
""",
    "real_stars": """
.. csv-table:: Real stars: predicted − literature
   :file: ../results/real_stars.csv
   :header-rows: 1
   :widths: auto

.. figure:: /results/real_stars.svg
   :width: 60%
   :alt: Predicted against literature log g of the stars of STELIB.

   Stars of STELIB, R about 2,500.

The Sun is in the calibration of the library's lines: its table shows that library and network agree, and is
no independent test. No other star is in it. The sizes of the line errors that training draws were found
on giants of STELIB, though, so that their share within 1 σ is not wholly independent either; it rests on an
error of 0.25 dex of the literature. Labels of LAMOST come without errors.

.. csv-table:: The Sun (log g 4.44, [M/H] 0): log g ± σ; [M/H]
   :file: ../results/sun.csv
   :header-rows: 1
   :widths: auto

The independent test is the same table of a network that was trained with a calibration in which the Sun is
not. That calibration is made of STELIB alone, which gives both the strengths at the Sun's gravity and their
change with gravity, and at R = 2500 knows less of single lines; the training saw a fifth of the spectra of
the bundled weights' (24.6 million, from random weights). Over the whole range log g of the Sun is 0.08 to
0.16 too low, by 1.6 σ at most, with the telluric bands cut 0.13 to 0.22, by 1.8 σ at most, and [M/H] right to
0.03; in the windows log g is 0.05 to 0.51 too low, by 2.1 σ at most, and [M/H] right to 0.05. In both tables
all thirty values of log g are below the Sun's. The tables differ by what it is worth to know the Sun, by the
change with gravity, which the bundled calibration has not, and by the length of the training.

.. csv-table:: The Sun with weights and a calibration that do not know it
   :file: ../results/sun_left_out.csv
   :header-rows: 1
   :widths: auto

.. code-block:: console

    $ python scripts/calibrate_library.py DATA --exclude sun --terms gravity --out without_sun.safetensors
    $ python scripts/train_weights.py any --calibrated without_sun.safetensors --steps 24000 --at-once 8 \\
        --learning-rate 7e-4 --config '{"patch_size": 64}' --calibration-size 100000 \\
        --out left_out.safetensors
    $ python scripts/judge_real_stars.py DATA --weights left_out.safetensors --out left_out
""",
}


def name_array_like(app, what, name, obj, options, signature, returned):
    """Signatures with ArrayLike by its name instead of the union that it is, which fills three lines."""
    union = stringify_annotation(ArrayLike, "smart")
    return signature and signature.replace(union, "~numpy.typing.ArrayLike"), returned


def setup(app):
    app.connect("builder-inited", write_records)
    app.connect("builder-inited", write_instruments)
    app.connect("builder-inited", write_honesty)
    app.connect("missing-reference", resolve_public_name)
    app.connect("autodoc-process-signature", name_array_like)
    app.connect("autodoc-process-docstring", constants, priority=400)
    app.connect("autodoc-process-docstring", plain_docstring)


# -- Examples: run by the build, their figures are made by it -------------------------------------

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "remove_config_comments": True,
    "within_subsection_order": "FileNameSortKey",
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("specvit",),
}
suppress_warnings = ["config.cache"]

# -- Link check ----------------------------------------------------------------------------------

linkcheck_anchors = False
