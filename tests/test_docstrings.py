"""Every public name is documented: each parameter by a sentence, with Examples; classes with See Also.

The names are those that rooms and single modules list in ``__all__``, and the public methods and properties
of their classes. Whether an example is right is for the doctests; here it is only asked that there is one,
and that the doctests run it.
"""

import ast
import dataclasses
import enum
import importlib
import importlib.util
import inspect
import pkgutil
import re
from functools import cached_property
from pathlib import Path

import pytest

import specvit

ROOT = Path(specvit.__file__).parent
_OWN = "a part of the fit of LoggEstimator, which users do not make"
#: Names that need neither an example nor, as classes, See Also, each with the reason.
NO_EXAMPLES = {
    "BayesLimit": "bayes_limit makes it and has the example, which takes seconds",
    "StoredSpectra": "SpectrumDataset makes it, and its example shows it",
    "ArraySource": _OWN,
    "DatasetSource": _OWN,
    "FitConfig": _OWN,
    "Outcome": _OWN,
    "SurveySource": _OWN,
    "fit_network": _OWN,
}
#: Functions whose example is not run, each with the reason.
NOT_RUN = {
    "main": "it writes a file where it is run; tests/cli run it",
    "predict_dask": "the page dask.rst has the example, which needs Dask",
    "predict_lsdb": "the page lsdb.rst has the example, which needs LSDB",
    "read_bosz": "files of BOSZ do not come with the package; tests/stars write such ones",
}
#: Most parameters of a method that may be told in its sentences, without a section of their own.
MOST_IN_PROSE = 4
#: Ending of methods that scikit-learn makes and documents.
PRESCRIBED = "_request"

SECTION = re.compile(r"\n([A-Z][A-Za-z ]+)\n-{3,}[ ]*(?=\n|$)")


# -- reading a docstring ----------------------------------------------------------------------------------


def sections(text):
    """Text under each heading of a numpydoc docstring, a dict; the key '' has what is above the first."""
    parts = SECTION.split("\n" + inspect.cleandoc(text or ""))
    return {"": parts[0].strip(), **dict(zip(parts[1::2], parts[2::2], strict=True))}


def parameters(section):
    """Names of a section of parameters with their descriptions: dict of str to str.

    Names that share one entry, as in ``flux, ivar : ndarray``, share its description. Names that follow one
    another, each on a line of its own with a type and nothing below, do not.
    """
    found, names = {}, ()
    for line in section.splitlines():
        if line and not line[0].isspace():
            names = tuple(name.strip().lstrip("*") for name in line.split(" : ")[0].split(","))
            found |= dict.fromkeys(names, "")
        elif line.strip():
            found |= {name: f"{found[name]} {line.strip()}".strip() for name in names}
    return found


def signature(function):
    """Names of the parameters of `function`; () where Python cannot tell."""
    try:
        names = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return ()
    return tuple(name for name in names if name != "self")


# -- what is asked ----------------------------------------------------------------------------------------


def faults_of_parameters(names, text, *, attributes=False, prose=False):
    """Faults of the parameters that `text` documents, where the signature has `names`.

    `attributes`: what stands under Attributes counts, as in dataclasses, whose fields are both. `prose`:
    where there is no section Parameters and there are no more than four of them, it is enough that the
    sentences name each in backticks.
    """
    written = sections(text)
    documented = parameters(written.get("Parameters", "") + "\n" + written.get("Other Parameters", ""))
    known = set(documented)
    if attributes:
        fields = parameters(written.get("Attributes", ""))
        documented |= {name: told for name, told in fields.items() if name in names}
        known |= set(fields)
    if prose and not documented and len(names) <= MOST_IN_PROSE:
        known |= {name for name in names if re.search(rf"`[*]*{name}`", written[""])}
    yield from (f"parameter {name} is not documented" for name in names if name not in known)
    yield from (f"parameter {name} has no sentence" for name, told in documented.items() if not told)
    yield from (f"there is no parameter {name}" for name in documented if name not in names)


def faults_of_function(function, *, prose=False, examples=False):
    """Faults of the docstring of a function or method; `examples`: whether it must have some that are run."""
    text = inspect.getdoc(function)
    written = sections(text)
    if not written[""]:
        yield "no summary"
        return
    yield from faults_of_parameters(signature(function), text, prose=prose)
    if examples and not written.get("Examples"):
        yield "no Examples"
    elif examples and function.__name__ not in NOT_RUN and not runs(written["Examples"]):
        yield "no Examples that are run"


def runs(examples):
    """Whether a section has an example, or a plot, that the doctests run."""
    lines = [line for line in examples.splitlines() if line.lstrip().startswith(">>>")]
    return any("doctest: +SKIP" not in line for line in lines)


def faults_of_class(kind, examples=True):
    """Faults of the docstring of a class, its public methods and properties."""
    text = vars(kind).get("__doc__")
    written = sections(text)
    if not written[""]:
        yield "no summary"
    names = own_signature(kind)
    yield from faults_of_parameters(names, text, attributes=dataclasses.is_dataclass(kind))
    if examples and "See Also" not in written:
        yield "no See Also"
    if examples and not runs(written.get("Examples", "")):
        yield "no Examples"
    for method, value in vars(kind).items():
        if method.startswith("_") or method.endswith(PRESCRIBED):
            continue
        if isinstance(value, property | cached_property):
            if not inspect.getdoc(value):
                yield f"{method}: no summary"
        elif isinstance(value, staticmethod | classmethod) or inspect.isfunction(value):
            faults = faults_of_function(getattr(kind, method), prose=True)
            yield from (f"{method}: {fault}" for fault in faults)


def own_signature(kind):
    """Parameters with which an object of the class is made; () for classes of which nobody makes one."""
    if issubclass(kind, enum.Enum | BaseException) or getattr(kind, "_is_protocol", False):
        return ()
    return () if kind.__init__ is object.__init__ else signature(kind.__init__)


def faults(thing):
    """Faults of a public class or function."""
    if inspect.isclass(thing):
        return list(faults_of_class(thing, examples=thing.__name__ not in NO_EXAMPLES))
    return list(faults_of_function(thing, examples=thing.__name__ not in NO_EXAMPLES))


# -- the package ------------------------------------------------------------------------------------------


def public():
    """Public classes and functions of the rooms, and of the modules beside them, by their full names."""
    names = [found.name for found in pkgutil.walk_packages(specvit.__path__, "specvit.")]
    rooms = [name for name in names if name.count(".") == 1 or is_package(name)]
    things = {}
    for room in rooms:
        module = importlib.import_module(room)
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            if inspect.isclass(thing) or inspect.isroutine(thing):
                things[f"{thing.__module__}.{thing.__qualname__}"] = thing
    return things


def is_package(name):
    return importlib.util.find_spec(name).submodule_search_locations is not None


PUBLIC = public()


def test_there_are_public_names():
    assert {"specvit.predictors.estimator.LoggEstimator", "specvit.spectra.adapter.adapt"} <= set(PUBLIC)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_is_documented(name):
    assert faults(PUBLIC[name]) == []


def listed():
    """Classes and functions that the pages of the reference show, by their full names."""
    things = {}
    for page in sorted((Path(__file__).parents[1] / "docs" / "reference").glob("*.rst")):
        for found in re.finditer(r"automodapi:: (\S+)((?:\n   :.*)*)", page.read_text(encoding="utf-8")):
            module = importlib.import_module(found[1])
            skipped, only = (re.search(f":{option}: (.*)", found[2]) for option in ("skip", "include"))
            names = set(only[1].split(", ") if only else module.__all__)
            for name in names - set(skipped[1].split(", ") if skipped else ()):
                thing = getattr(module, name)
                if inspect.isclass(thing) or inspect.isroutine(thing):
                    things[f"{found[1]}.{name}"] = thing
    return things


LISTED = listed()


def test_the_reference_lists_more_than_the_rooms():
    assert {"specvit.network.losses.gaussian_nll", "specvit.predictors.LoggEstimator"} <= set(LISTED)


@pytest.mark.parametrize("name", sorted(LISTED))
def test_what_the_reference_lists_has_an_example(name):
    if name.rpartition(".")[2] not in NO_EXAMPLES | NOT_RUN:
        assert runs(sections(inspect.getdoc(LISTED[name])).get("Examples", ""))


def entries_without_sentence(source):
    """Entries of Parameters and Attributes without a sentence in any docstring of `source`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            written = sections(ast.get_docstring(node))
            for heading in ("Parameters", "Attributes"):
                entries = parameters(written.get(heading, "")).items()
                yield from (f"{node.name}: {name}" for name, told in entries if not told)


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_entry_has_a_sentence(path):
    assert list(entries_without_sentence(path.read_text(encoding="utf-8"))) == []


# -- the checks find what they should ---------------------------------------------------------------------


class Good:
    """What is right.

    Parameters
    ----------
    flux, ivar : ndarray
        Flux and its inverse variance.
    seed : int
        Of the noise.

    See Also
    --------
    Bad : What is wrong.

    Examples
    --------
    >>> Good(1, 2, 3).size
    3
    """

    def __init__(self, flux, ivar, seed):
        pass

    def shift(self, by):
        """Move by `by` pixels."""

    @property
    def size(self):
        """How many."""
        return 3


class Bad:
    """What is wrong.

    Parameters
    ----------
    flux : ndarray
        Flux.
    seed : int
    gone : float
        No longer there.
    """

    def __init__(self, flux, ivar, seed):
        pass

    def shift(self, by):
        """Move."""

    def turn(self):
        pass

    @property
    def size(self):
        pass


def test_good_class_has_no_faults():
    assert faults(Good) == []


def test_faults_are_found():
    assert set(faults(Bad)) == {
        "parameter ivar is not documented",
        "parameter seed has no sentence",
        "there is no parameter gone",
        "no See Also",
        "no Examples",
        "shift: parameter by is not documented",
        "turn: no summary",
        "size: no summary",
    }


def test_entries_without_sentence_are_found():
    source = inspect.getsource(Good) + inspect.getsource(Bad)
    assert list(entries_without_sentence(source)) == ["Bad: seed"]


def test_function_without_section_has_faults():
    def lonely(flux):
        """Name `flux` in prose, which is enough for methods only."""

    assert faults(lonely) == ["parameter flux is not documented", "no Examples"]


def test_examples_that_are_not_run_are_faults():
    def skipped():
        """Do nothing.

        Examples
        --------
        >>> skipped()  # doctest: +SKIP
        """

    assert faults(skipped) == ["no Examples that are run"]


def test_exceptions_to_the_rule_are_used():
    assert NO_EXAMPLES.keys() | NOT_RUN.keys() <= {name.rpartition(".")[2] for name in PUBLIC}
