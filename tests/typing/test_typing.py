"""Annotations: mypy accepts a user's script, finds a user's mistakes, and stubs say what the code does."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import specvit

PACKAGE = Path(specvit.__file__).parent
SCRIPT = Path(__file__).with_name("user_script.py")
STUBS = sorted(PACKAGE.rglob("*.pyi"))
OPTIONS = ["--strict", "--follow-imports=silent", "--no-error-summary", "--allow-untyped-decorators"]
#: Outside packages that have no types, or no complete ones, are taken as they are. What neither stubs nor the
#: script name is not read: torch alone takes longer than the rest.
UNNAMED = ("torch", "lightning", "sklearn", "scipy", "h5py", "matplotlib")
SETTINGS = f"""
[mypy]
ignore_missing_imports = True
[mypy-{",".join(f"{name}.*" for name in UNNAMED)}]
follow_imports = skip
"""


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    """Function: the errors that mypy has for a text."""
    api = pytest.importorskip("mypy.api")
    folder = tmp_path_factory.mktemp("mypy")
    (folder / "mypy.ini").write_text(SETTINGS)

    def run(text):
        script = folder / "script.py"
        script.write_text(text, encoding="utf-8")
        where = ["--config-file", str(folder / "mypy.ini"), "--cache-dir", str(folder / "cache")]
        with pytest.MonkeyPatch.context() as patch:
            if PACKAGE.parent.name != "site-packages":  # where mypy looks by itself, and nowhere else
                patch.setenv("MYPYPATH", str(PACKAGE.parent))
            out, err, status = api.run([*OPTIONS, *where, str(script)])
        assert not err and status in (0, 1), out  # 2: mypy itself failed
        return [line.partition("error: ")[2] for line in out.splitlines() if "error: " in line]

    return run


def test_a_strict_script_is_accepted(check):
    assert check(SCRIPT.read_text(encoding="utf-8")) == []


def test_mistakes_are_found(check):
    errors = check(
        "from specvit import LoggEstimator, PixelGrid\n"
        "from specvit.limits import star_limit\n"
        "LoggEstimator().predict([], medium='water')\n"
        "LoggEstimator(epoch=3)\n"
        "PixelGrid.linear(7000, 8000, 'many', 1.0)\n"
        "star_limit([4500, 2, 0, 0, 0], grid='SDSS')\n"
    )
    assert len(errors) == 4
    for error, word in zip(errors, ("medium", "epoch", "linear", "grid"), strict=True):
        assert word in error


def test_what_is_not_read_is_not_named():
    for path in (*STUBS, SCRIPT):
        nodes = ast.walk(ast.parse(path.read_text("utf-8")))
        assert not {node.id for node in nodes if isinstance(node, ast.Name)} & set(UNNAMED), path


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").is_file() and len(STUBS) >= 4


def parameters(node):
    """Names of the parameters of a function of a stub, with '=' where there is a default."""
    a = node.args
    plain = a.posonlyargs + a.args
    names = [one.arg for one in plain]
    for one, default in zip(reversed(plain), reversed(a.defaults), strict=False):
        names[names.index(one.arg)] += f"={ast.literal_eval(default)!r}"
    for one, default in zip(a.kwonlyargs, a.kw_defaults, strict=True):
        names.append(one.arg if default is None else f"{one.arg}={ast.literal_eval(default)!r}")
    return [name for name in names if name not in ("self", "cls")]


def actual(function):
    found = inspect.signature(function).parameters.values()
    named = [one for one in found if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    return [
        one.name if one.default is one.empty else f"{one.name}={one.default!r}"
        for one in named
        if one.name not in ("self", "cls")
    ]


@pytest.mark.parametrize("stub", STUBS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_stubs_are_true(stub):
    """Every name of a stub is there, and every method has the parameters and defaults that it says."""
    parts = ["specvit", *stub.relative_to(PACKAGE).with_suffix("").parts]
    module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
    tree = ast.parse(stub.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and stub.name == "__init__.pyi":
            assert all(hasattr(module, one.asname) for one in node.names)
        if not isinstance(node, ast.ClassDef):
            continue
        kind = getattr(module, node.name)
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and not method.decorator_list:
                if method.name == "set_params":
                    continue  # scikit-learn's
                assert parameters(method) == actual(getattr(kind, method.name)), method.name
    if stub.name == "__init__.pyi":
        listed = {one.asname for node in tree.body if isinstance(node, ast.ImportFrom) for one in node.names}
        assert listed == set(module.__all__)
