"""The rule of the house: which room may import which, and that the light rooms stay light.

Rooms are listed from the top down. A room imports only from the rooms it is allowed here, and
the outside packages that are expensive or awkward on a bare GPU machine only where they belong.
"""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import specvit

ROOT = Path(specvit.__file__).parent
PACKAGE = "specvit"
MODULES = sorted(p for p in ROOT.rglob("*.py"))
MAX_LINES = 350

#: Upper room -> the rooms of this package that it may import, beside itself.
ALLOWED = {
    "grid": set(),
    "spectra": {"grid"},
    "simulate": {"grid"},
    "network": set(),
    "assess": {"grid", "spectra", "simulate", "network"},
}
#: Rooms at the bottom: they may import every room above, and each other.
FACES = {"domain", "weights", "fitting", "prediction", "estimator", "baselines", "explain", "cli", "example"}

#: Room -> outside packages that it must not import.
FORBIDDEN = {
    "grid": {"astropy", "specutils", "torch", "lightning", "sklearn", "matplotlib", "pandas", "h5py"},
    "spectra": {"torch", "lightning", "sklearn", "matplotlib"},
    "simulate": {"astropy", "specutils", "lightning", "sklearn", "matplotlib"},
    "network": {"astropy", "specutils", "scipy", "sklearn", "matplotlib", "pandas", "h5py"},
    "assess": {"specutils", "lightning"},
}

#: Module -> outside packages that it may import all the same, inside the function that needs them.
LAZY = {"specvit.stars.bosz.files": {"astropy"}}  # FITS is not to be parsed twice


def module_name(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(name):
    """Room of the dotted module `name`; the package itself is the room ''."""
    return name.split(".")[1] if "." in name else ""


def imported_modules(source, name, is_package):
    """Every module that `source` imports, anywhere in it, as absolute dotted names.

    `from specvit.grid import pixelgrid` counts as both `specvit.grid` and `specvit.grid.pixelgrid`,
    and relative imports are resolved against `name`, so that no spelling escapes the rule.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, base] if base else parts)
            found.add(base)
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def own_rooms(path):
    """Rooms of this package that the module at `path` imports (`specvit.LoggEstimator` is the face)."""
    name = module_name(path)
    names = imported_modules(path.read_text(encoding="utf-8"), name, path.name == "__init__.py")
    return {room(found) for found in names if found.startswith(PACKAGE + ".")} - {room(name)}


def outside(path):
    name = module_name(path)
    names = imported_modules(path.read_text(encoding="utf-8"), name, path.name == "__init__.py")
    return {found.split(".")[0] for found in names} - {PACKAGE}


ids = [module_name(p) for p in MODULES]
every_module = pytest.mark.parametrize("path", MODULES, ids=ids)
upper = [p for p in MODULES if room(module_name(p)) in ALLOWED]
upper_modules = pytest.mark.parametrize("path", upper, ids=[module_name(p) for p in upper])


def test_the_rooms_are_found():
    assert {"grid", "spectra", "simulate", "network", "estimator", "weights", "cli"} <= {room(n) for n in ids}
    assert len(upper) >= 12


@every_module
def test_every_module_is_in_a_known_room(path):
    name = room(module_name(path))
    assert not name or name in ALLOWED or name in FACES, f"add {name!r} to the tables in this file"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import specvit.network.vit", {"specvit.network.vit"}),
        ("from specvit import network", {"specvit", "specvit.network"}),
        ("from ..network import vit", {"specvit.network", "specvit.network.vit"}),
        ("from .. import network", {"specvit", "specvit.network"}),
        ("def f():\n    import astropy.units as u", {"astropy.units"}),
        ("if TYPE_CHECKING:\n    from specutils import Spectrum", {"specutils", "specutils.Spectrum"}),
    ],
)
def test_the_reader_of_imports_sees_every_spelling(source, expected):
    assert imported_modules(source, "specvit.grid.pixelgrid", False) == expected


def test_relative_imports_in_a_package_are_resolved():
    assert imported_modules("from .vit import A", "specvit.network", True) == {
        "specvit.network.vit",
        "specvit.network.vit.A",
    }


@upper_modules
def test_a_room_imports_only_the_rooms_above_it(path):
    """`from specvit import LoggEstimator`, the face, is not above either; `__version__` is no room."""
    here = room(module_name(path))
    known = {name for name in own_rooms(path) if not name.startswith("__")}
    assert known <= ALLOWED[here], f"{here} must not import {sorted(known - ALLOWED[here])}"


@upper_modules
def test_outside_packages_stay_where_they_belong(path):
    assert not outside(path) & FORBIDDEN[room(module_name(path))] - LAZY.get(module_name(path), set())


@every_module
def test_specutils_enters_through_spectra_alone(path):
    if "specutils" in outside(path):
        assert room(module_name(path)) in {"spectra", "cli", "example"}


@every_module
def test_modules_are_short(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{lines} lines"


@every_module
def test_every_module_says_what_is_public(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
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


@pytest.mark.parametrize("name", ids)
def test_public_names_exist(name):
    module = importlib.import_module(name)
    missing = [public for public in module.__all__ if not hasattr(module, public)]
    assert not missing


def loaded_after(statement):
    """Top-level packages in a fresh interpreter after `statement`."""
    code = f"{statement}\nimport sys\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return set(out.stdout.split())


def test_the_rooms_of_a_gpu_machine_need_neither_astropy_nor_lightning():
    loaded = loaded_after("import specvit.grid, specvit.survey, specvit.dataset, specvit.network")
    assert "torch" in loaded
    assert not loaded & {"astropy", "specutils", "lightning", "pytorch_lightning", "matplotlib", "sklearn"}


def test_importing_the_package_is_light():
    assert not loaded_after("import specvit") & {
        "torch",
        "numpy",
        "scipy",
        "astropy",
        "specutils",
        "lightning",
        "sklearn",
        "matplotlib",
    }


def test_importing_the_command_line_is_light():
    assert not loaded_after("import specvit.cli") & {"torch", "astropy", "specutils", "lightning", "sklearn"}


@pytest.mark.parametrize("name", sorted(specvit.__all__))
def test_lazy_names_load(name):
    assert getattr(specvit, name) is not None
