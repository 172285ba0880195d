"""Formulas as MathML, which browsers draw themselves: no script is fetched from elsewhere.

Docutils translates LaTeX to MathML, but not all that these pages are written in; the rest is rewritten first.
"""

import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

__all__ = ["as_mathml", "setup"]

logger = logging.getLogger(__name__)

#: Sizes of brackets, which MathML finds itself, and symbols that are written as such.
_REWRITTEN = {"⟨": r"\langle ", "⟩": r"\rangle ", "∝": r"\propto ", "→": r"\to ", "∂": r"\partial "}
_SIZES = re.compile(r"\\(?:big|Big|bigg|Bigg)[lrm]?(?![A-Za-z])")
_ROMAN = re.compile(r"\{\\rm ([^{}]*)\}")
_ROMAN_WORD = re.compile(r"\\rm ([A-Za-z]+)")


def as_mathml(tex, *, block=False):
    """MathML of a formula in LaTeX."""
    tex = _SIZES.sub("", tex)
    tex = _ROMAN_WORD.sub(r"\\mathrm{\1}", _ROMAN.sub(r"{\\mathrm{\1}}", tex))
    for symbol, command in _REWRITTEN.items():
        tex = tex.replace(symbol, command)
    return tex2mathml(tex, as_block=block)


def _written(translator, node, *, block):
    try:
        return as_mathml(node.astext(), block=block)
    except MathError as error:
        logger.warning("no MathML of %s: %s", node.astext(), error, location=node)
        return translator.encode(node.astext())


def _inline(translator, node):
    translator.body.append(_written(translator, node, block=False))
    raise nodes.SkipNode


def _block(translator, node):
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    translator.body.append(_written(translator, node, block=True) + "</div>\n")
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
