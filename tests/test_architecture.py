"""The rule of the house: which room may import which, and that the light rooms stay light.

Rooms are listed from the top down. A room imports only from the rooms that it is allowed here, no two files
import each other in a circle, and outside packages that are expensive or awkward on a bare GPU machine come
in only where they belong. The functions that find this are tried on small packages that break the rules.
"""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import specvit

ROOT = Path(specvit.__file__).parent
MAX_LINES = 350
#: Largest share of the source that one room may have.
MAX_SHARE = 0.25

#: Ground: single modules that know of no room.
GROUND = {"labels", "constants", "checks", "digests", "exceptions", "pixelscatter", "paths", "progress"}

#: Room, from the top -> the rooms of this package that it may import, beside itself and the ground.
ALLOWED = {
    **{name: set() for name in GROUND},
    "grid": set(),
    "archive": {"grid"},
    "spectra": {"grid"},
    "registration": {"spectra"},
    "stars": {"grid", "archive"},
    "survey": {"grid", "archive", "stars"},
    "dataset": {"grid", "stars", "survey"},
    "network": set(),
    "limits": {"grid", "stars", "survey"},
    "weights": {"grid", "archive", "network"},
    "honesty": {"grid", "spectra", "stars", "network"},
    "predictors": {
        "grid",
        "spectra",
        "stars",
        "survey",
        "dataset",
        "network",
        "limits",
        "weights",
        "honesty",
    },
}
ALLOWED["example"] = {"grid", "survey"}
ALLOWED["stream"] = ALLOWED["predictors"] | {"predictors"}
ALLOWED["assess"] = ALLOWED["predictors"] | {"predictors"}
#: The command line, at the bottom, may also use what the package shows to users.
ALLOWED["__main__"] = {"cli"}  # Python's own name for what ``python -m specvit`` runs
ALLOWED["cli"] = ALLOWED["assess"] | {"assess", "stream", "archive", "example", ""} | set(specvit.__all__)

#: Room -> outside packages that it must not import.
HEAVY = {"astropy", "specutils", "lightning", "sklearn", "matplotlib", "pandas"}
FORBIDDEN = {
    **{name: HEAVY | {"torch", "h5py", "scipy"} for name in GROUND},
    "grid": HEAVY | {"torch", "h5py"},
    "archive": HEAVY | {"h5py"},
    "spectra": {"torch", "lightning", "sklearn", "matplotlib", "h5py"},
    "registration": HEAVY | {"numpy", "scipy", "torch"},
    "stars": HEAVY | {"h5py"},
    "survey": HEAVY | {"h5py"},
    "dataset": HEAVY,
    "network": (HEAVY | {"h5py", "scipy"}) - {"lightning"},
    "limits": HEAVY | {"h5py"},
    "weights": HEAVY | {"h5py"},
    "honesty": HEAVY | {"h5py"},
    "predictors": {"specutils", "matplotlib", "h5py"},
    "example": {"lightning", "sklearn", "matplotlib", "pandas", "h5py"},
    "stream": {"specutils", "lightning", "sklearn", "matplotlib", "pandas"},
    "assess": {"specutils", "lightning", "h5py"},
    "cli": {"lightning", "sklearn", "matplotlib", "h5py"},
}

#: Module -> outside packages that it may import all the same, inside the function that needs them.
LAZY = {
    "specvit.stars.bosz.files": {"astropy"},  # FITS is not to be parsed twice
    "specvit.spectra.readers.hdf5file": {"h5py"},  # spectra of users, which are no data set of ours
    "specvit.stream.partitions": {"pandas"},  # which Dask and LSDB have
}


# -- reading a package ------------------------------------------------------------------------------------


def module_name(path, root):
    """Dotted name of the module at `path` in the package at `root`."""
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(root):
    """Every module of the package at `root`: dict of dotted name to path."""
    return {module_name(path, root): path for path in sorted(root.rglob("*.py"))}


def room(name):
    """Room of the dotted module `name`; the package itself is the room ''."""
    return name.split(".")[1] if "." in name else ""


def import_statements(source, name, is_package):
    """What `source` imports, anywhere in it: pairs of an absolute dotted name and what is taken from it.

    The second is None for ``import a.b``. Relative imports are resolved against `name`.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, base] if base else parts)
            yield from ((base, alias.name) for alias in node.names)


def statements(root):
    """The `import_statements` of each module: dict of dotted name to list of pairs."""
    return {
        name: list(import_statements(path.read_text(encoding="utf-8"), name, path.name == "__init__.py"))
        for name, path in modules(root).items()
    }


def file_imports(root):
    """Which files import which: dict of dotted name to set of dotted names of modules of this package.

    ``from a.b import c`` imports the file ``a.b.c`` if that is a module, else ``a.b``. Python also runs the
    ``__init__`` of every package above a module; that alone is no import here, or every room would be a
    circle.
    """
    known = modules(root)
    found = {}
    for name, pairs in statements(root).items():
        files = {f"{base}.{taken}" if f"{base}.{taken}" in known else base for base, taken in pairs}
        found[name] = files & set(known) - {name}
    return found


def circles(graph):
    """Groups of files that import each other in a circle: list of sorted lists of names."""

    def reachable(start):
        seen, waiting = set(), list(graph[start])
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += graph[name]
        return seen

    reached = {name: reachable(name) for name in graph}
    groups = {
        frozenset(other for other in reached[name] if name in reached[other])
        for name in graph
        if name in reached[name]
    }
    return sorted(sorted(group) for group in groups)


def upward_imports(root, allowed, ground):
    """Imports from rooms that a room must not know: sorted list of (module, room).

    ``from package import Name`` counts as a room of that name, and ``import package`` as the room '': none
    that a room may know, unless the table says so. Dunder names, as ``__version__``, are of no room.
    """
    found = set()
    for name, pairs in statements(root).items():
        for base, taken in pairs:
            if base.split(".")[0] == root.name and room(name):
                there = room(base if taken is None else f"{base}.{taken}")
                if not there.startswith("__") and there not in allowed[room(name)] | ground | {room(name)}:
                    found.add((name, there))
    return sorted(found)


def unknown_rooms(root, allowed):
    """Rooms that are not in the table."""
    return sorted({room(name) for name in modules(root)} - set(allowed) - {""})


def room_shares(root):
    """Share of the lines of source that each room has."""
    lines = {}
    for name, path in modules(root).items():
        lines[room(name)] = lines.get(room(name), 0) + len(path.read_text(encoding="utf-8").splitlines())
    return {name: count / sum(lines.values()) for name, count in lines.items()}


def repeated_names(root, exempt=()):
    """Names that two modules have, or a module and a room that it is not in; packages' ``__init__`` apart."""
    places = {}
    for name, path in modules(root).items():
        if room(name) not in exempt and "." in name:
            parts = name.split(".")
            # The module that a room is named after is no second use of the name: specvit.survey.survey.
            if not (len(parts) == 3 and parts[1] == parts[2] and path.name != "__init__.py"):
                places.setdefault(parts[-1], []).append(name)
    return {last: found for last, found in places.items() if len(found) > 1}


# -- this package -----------------------------------------------------------------------------------------

MODULES = modules(ROOT)
STATEMENTS = statements(ROOT)
every_module = pytest.mark.parametrize("name", MODULES)


def source_of(name):
    return MODULES[name].read_text(encoding="utf-8")


def test_the_rooms_are_found():
    assert {room(name) for name in MODULES} - {""} == set(ALLOWED)
    assert len(MODULES) > 80


def test_every_module_is_in_a_known_room():
    assert unknown_rooms(ROOT, ALLOWED) == []


def test_a_room_imports_only_the_rooms_above_it():
    assert upward_imports(ROOT, ALLOWED, GROUND) == []


def test_no_files_import_each_other_in_a_circle():
    assert circles(file_imports(ROOT)) == []


def test_no_room_is_above_a_quarter_of_the_source():
    too_large = {name: share for name, share in room_shares(ROOT).items() if share > MAX_SHARE}
    assert not too_large


def test_no_name_of_a_module_occurs_twice():
    assert repeated_names(ROOT, exempt={"cli"}) == {}


@every_module
def test_no_module_is_private(name):
    assert not any(part.startswith("_") and part != "__main__" for part in name.split("."))


@every_module
def test_outside_packages_stay_where_they_belong(name):
    outside = {base.split(".")[0] for base, _ in STATEMENTS[name]}
    assert not outside & FORBIDDEN.get(room(name), set()) - LAZY.get(name, set())


@every_module
def test_only_the_command_line_prints(name):
    """The library tells by return values, warnings, and the logger of each module."""
    calls = (node.func for node in ast.walk(ast.parse(source_of(name))) if isinstance(node, ast.Call))
    printed = [call for call in calls if isinstance(call, ast.Name) and call.id == "print"]
    assert room(name) == "cli" or not printed


@every_module
def test_modules_are_short(name):
    lines = len(source_of(name).splitlines())
    assert lines <= MAX_LINES, f"{lines} lines"


@every_module
def test_every_module_says_what_is_public(name):
    tree = ast.parse(source_of(name))
    names = {
        element.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        for element in ast.walk(target)
        if isinstance(element, ast.Name)
    }
    assert "__all__" in names
    assert ast.get_docstring(tree), "a module begins with what it is for"


@every_module
def test_public_names_exist(name):
    module = importlib.import_module(name)
    missing = [public for public in module.__all__ if not hasattr(module, public)]
    assert not missing


# -- the reader itself ------------------------------------------------------------------------------------


@pytest.fixture
def house(tmp_path):
    """Make a package of files, given as a dict of path without suffix to text; return its folder."""

    def build(texts):
        root = tmp_path / "house"
        for name, text in texts.items():
            path = root / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
            folder.joinpath("__init__.py").touch()
        return root

    return build


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import specvit.network.vit", ("specvit.network.vit", None)),
        ("from specvit import network", ("specvit", "network")),
        ("from ..network import vit", ("specvit.network", "vit")),
        ("from .. import network", ("specvit", "network")),
        ("from .edges import boundaries", ("specvit.grid.edges", "boundaries")),
        ("def f():\n    import astropy.units as u", ("astropy.units", None)),
        ("if TYPE_CHECKING:\n    from specutils import Spectrum", ("specutils", "Spectrum")),
    ],
)
def test_the_reader_of_imports_sees_every_spelling(source, expected):
    assert list(import_statements(source, "specvit.grid.pixelgrid", False)) == [expected]


def test_relative_imports_in_a_package_are_resolved():
    found = list(import_statements("from .vit import A", "specvit.network", True))
    assert found == [("specvit.network.vit", "A")]


@pytest.mark.parametrize(
    "back",
    [
        "from house.low.a import x",
        "from house.low import a",
        "import house.low.a",
        "from . import a",
        "from .a import x",
        "def later():\n    from house.low.a import x",
        "if TYPE_CHECKING:\n    from .a import x",
    ],
)
def test_a_planted_circle_is_found(house, back):
    texts = {"low/a": "from house.low.b import y\nx = 1", "low/b": back, "low/c": "import house.low.a"}
    assert circles(file_imports(house(texts))) == [["house.low.a", "house.low.b"]]


def test_a_circle_through_two_rooms_is_found(house):
    texts = {
        "low/__init__": "from house.low.a import x",
        "low/a": "import house.top.b",
        "top/b": "from house.low import x",
    }
    assert circles(file_imports(house(texts))) == [["house.low", "house.low.a", "house.top.b"]]


def test_files_of_a_room_and_its_init_are_no_circle(house):
    texts = {"low/__init__": "from house.low.a import x", "low/a": "from house.low.b import y", "low/b": ""}
    assert circles(file_imports(house(texts))) == []


@pytest.mark.parametrize(
    ("source", "there"),
    [
        ("import house.low.b", "low"),
        ("from house import low", "low"),
        ("from ..low import b", "low"),
        ("from ..low.b import y", "low"),
        ("def later():\n    from house.low.b import y", "low"),
        ("from house import Face", "Face"),
        ("import house", ""),
    ],
)
def test_a_planted_upward_import_is_found(house, source, there):
    downward = "from house.top import a\nfrom house import __version__\nimport house.floor\nimport numpy"
    root = house({"top/a": source, "low/b": downward, "floor": ""})
    allowed = {"top": set(), "low": {"top"}, "floor": set()}
    assert upward_imports(root, allowed, {"floor"}) == [("house.top.a", there)]


def test_a_room_of_nobody_is_found(house):
    assert unknown_rooms(house({"top/a": "", "cellar/b": ""}), {"top": set()}) == ["cellar"]


def test_shares_are_of_lines(house):
    shares = room_shares(house({"top/a": "1\n" * 30, "low/b": "2\n" * 10}))
    assert shares["top"] == 0.75 and shares["low"] == 0.25


def test_names_that_occur_twice_are_found(house):
    root = house({"top/a": "", "low/a": "", "low/low": "", "top/low": "", "cli/a": ""})
    assert repeated_names(root, exempt={"cli"}) == {
        "a": ["house.low.a", "house.top.a"],
        "low": ["house.low", "house.top.low"],
    }


# -- what is loaded when ----------------------------------------------------------------------------------


def loaded_after(statement):
    """Top-level packages in a fresh interpreter after `statement`."""
    code = f"{statement}\nimport sys\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return set(out.stdout.split())


def test_the_rooms_of_a_gpu_machine_need_neither_astropy_nor_lightning():
    rooms = ("grid", "stars", "survey", "dataset", "network", "limits", "weights")
    loaded = loaded_after("import " + ", ".join(f"specvit.{name}" for name in rooms))
    assert "torch" in loaded
    assert not loaded & {"astropy", "specutils", "lightning", "pytorch_lightning", "matplotlib", "sklearn"}


def test_predicting_loads_nothing_that_only_scoring_needs(fresh):
    code = "import sys, specvit\nspecvit.LoggEstimator().label_names\nprint('sklearn.metrics' in sys.modules)"
    assert fresh(code) == ["False"]


def test_the_grid_needs_no_torch():
    assert not loaded_after("import specvit.grid, specvit.labels, specvit.digests") & (HEAVY | {"torch"})


def test_importing_the_package_is_light():
    assert not loaded_after("import specvit") & (HEAVY | {"torch", "numpy", "scipy"})


def test_importing_the_command_line_is_light():
    assert not loaded_after("import specvit.cli") & (HEAVY | {"torch"})


@pytest.mark.parametrize("name", sorted(specvit.__all__))
def test_lazy_names_load(name):
    assert getattr(specvit, name) is not None
