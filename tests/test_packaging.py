"""What a user gets by installing the package, and that the files around it agree with each other."""

import json
import re
import tomllib
from importlib import metadata, resources
from pathlib import Path

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from safetensors import safe_open

import specvit

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DATA = sorted(p for p in (resources.files("specvit") / "data").iterdir() if p.is_file())
MEGABYTE = 2**20


def requirements(*extras):
    project = PYPROJECT["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)]
    return {r.name: r for r in map(Requirement, (line for lines in lists for line in lines))}


def test_version_is_that_of_the_installed_package():
    assert specvit.__version__ == metadata.version("specvit")
    assert re.match(r"\d+\.\d+", specvit.__version__)


def test_the_command_is_installed():
    (script,) = metadata.entry_points(group="console_scripts", name="specvit")
    assert script.value == "specvit.cli:main"


def test_the_installed_package_is_complete():
    source = ROOT / "src" / "specvit"
    installed = Path(specvit.__file__).parent
    if installed == source:
        pytest.skip("installed in place")
    for folder, patterns in ((".", ["*.py", "*.pyi", "py.typed"]), ("data", ["*"])):
        for pattern in patterns:
            expected = {p.relative_to(source) for p in (source / folder).rglob(pattern) if p.is_file()}
            found = {p.relative_to(installed) for p in (installed / folder).rglob(pattern) if p.is_file()}
            assert expected
            assert expected == found


def test_the_data_are_there():
    names = {p.name for p in DATA}
    assert {"pfs_mr_noise.safetensors", "emulator_pfs_mr.safetensors", "weights_any.safetensors"} <= names


@pytest.mark.parametrize("path", DATA, ids=lambda p: p.name)
def test_data_are_small_and_hold_no_pickle(path):
    assert path.suffix in {".safetensors", ".json"}
    assert path.stat().st_size <= 20 * MEGABYTE


@pytest.mark.parametrize("path", DATA, ids=lambda p: p.name)
def test_data_carry_a_digest_of_their_contents(path):
    if path.suffix == ".json":
        assert len(json.loads(path.read_text(encoding="utf-8"))["sha256"]) == 64
    else:
        with safe_open(path, framework="np") as file:
            assert len(file.metadata()["sha256"]) == 64


def test_extracts_for_the_tests_are_described_and_small():
    data = ROOT / "tests" / "data"
    readme = (data / "README.md").read_text(encoding="utf-8")
    files = sorted(data.rglob("*.npz"))
    assert files and sum(path.stat().st_size for path in files) < 1.5 * MEGABYTE
    for path in files:
        assert f"`{path.relative_to(data).as_posix()}`" in readme, path.name
        with np.load(path, allow_pickle=False) as archive:
            assert all(archive[name].dtype != object for name in archive.files)


def test_the_oldest_set_is_what_is_declared():
    """`constraints-oldest.txt` pins exactly the lower bounds of pyproject.toml, torch apart."""
    lines = (ROOT / "constraints-oldest.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    declared = requirements("test")
    checked = set()
    for name, requirement in declared.items():
        if name in pins:
            bound = next(s.version for s in requirement.specifier if s.operator == ">=")
            assert (pins[name] + ".0").startswith(bound), f"{name}: {pins[name]} is not {bound}"
            checked.add(name)
    assert set(requirements()) - {"torch"} <= checked


def test_the_torch_that_is_tested_is_admitted():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    (version,) = re.findall(r"^torch==(.+)$", text, flags=re.MULTILINE)
    assert requirements()["torch"].specifier.contains(version)


def test_all_is_all_of_the_extras():
    extras = PYPROJECT["project"]["optional-dependencies"]
    (everything,) = map(Requirement, extras["all"])
    assert everything.extras == set(extras) - {"all"}


def test_ci_runs_the_test_command_of_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^pip install tox && (tox -e \S+)$", readme, flags=re.MULTILINE)
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert command == "tox -e py311-test"
    assert 'tox -e "$env"' in ci
    (label,) = re.findall(r"^    ci = (.+)$", (ROOT / "tox.ini").read_text(encoding="utf-8"), re.MULTILINE)
    assert "py311-test" in label and f"for env in {label.replace(',', '')};" in ci


def test_citation_is_readable():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"title", "message", "authors", "license"} <= set(citation)
    assert citation["license"] == PYPROJECT["project"]["license"]


def test_changelog_has_a_place_for_the_next_change():
    assert "\n## [Unreleased]\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
