"""Sphinx configuration. `tox -e build_docs` builds the pages; every warning is an error.

The build needs no network. Set SPECVIT_DOCS_ONLINE=1 to link to the documentation of other
packages (intersphinx).
"""

import os
import re
from importlib.metadata import metadata, version

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
exclude_patterns += ["conftest.py", "examples/*", "gallery/*.ipynb", "gallery/*.py", "gallery/*.md5"]
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
    (r"py:obj", r"[a-z_][a-z0-9_]*"),  # parameters and attributes: `flux`
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


def plain_roles(app, what, name, obj, options, lines):
    """Unlink what scikit-learn writes into `set_fit_request` and its kin: its glossary is not here."""
    if name.endswith("_request"):
        lines[:] = [re.sub(r":(?:term|ref):`([^`<]*?)(?: *<[^`]*>)?`", r"\1", line) for line in lines]


def setup(app):
    app.connect("missing-reference", resolve_public_name)
    app.connect("autodoc-process-docstring", plain_roles)


# -- Examples: run by the build, their figures are made by it -------------------------------------

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "remove_config_comments": True,
    "within_subsection_order": "FileNameSortKey",
}
suppress_warnings = ["config.cache"]

# -- Link check ----------------------------------------------------------------------------------

linkcheck_anchors = False
