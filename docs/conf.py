"""Sphinx configuration. `tox -e build_docs` builds the pages; every warning is an error.

The build needs no network. Set SPECVIT_DOCS_ONLINE=1 to link to the documentation of other
packages (intersphinx).
"""

import os
import re
from importlib.metadata import metadata, version
from pathlib import Path

from sphinx.util.nodes import make_refnode
from sphinx_astropy.conf.v3 import *  # noqa: F403
from sphinx_astropy.conf.v3 import exclude_patterns, extensions, intersphinx_mapping

online = os.environ.get("SPECVIT_DOCS_ONLINE", "0") not in ("", "0")

# -- Project -----------------------------------------------------------------------------------

project = "specvit"
author = metadata("specvit")["Author"]
copyright = f"2026, {author}"
release = version("specvit")
version = ".".join(release.split(".")[:2])

# -- General -----------------------------------------------------------------------------------

extensions += ["myst_parser", "sphinx_gallery.gen_gallery"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns += [
    "conftest.py",
    "examples/*",
    "generated/*",
    "gallery/*.ipynb",
    "gallery/*.py",
    "gallery/*.md5",
]
automodapi_inheritance_diagram = False
numpydoc_xref_param_type = False
html_theme = "astropy-unified"
html_title = f"specvit {release}"
html_show_sourcelink = False

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
    (r"py:.*", r"[A-Za-z]*(Error|Warning|Exception)|Tensor|Path|Generator"),
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


def setup(app):
    app.connect("builder-inited", write_records)
    app.connect("missing-reference", resolve_public_name)
    app.connect("autodoc-process-docstring", plain_docstring)


# -- Examples: run by the build, their figures are made by it -------------------------------------

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "remove_config_comments": True,
    "within_subsection_order": "FileNameSortKey",
}
suppress_warnings = ["config.cache"]

# -- Link check ----------------------------------------------------------------------------------

linkcheck_anchors = False
