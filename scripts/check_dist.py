"""Check that a wheel and a source distribution hold what they should, and nothing else.

usage: python scripts/check_dist.py FOLDER

FOLDER has one of each, as ``python -m build`` makes them (``tox -e dist``).
"""

import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "specvit"
#: Largest wheel in bytes: the weights and the emulator are most of it.
LARGEST = 60 * 2**20


def expected():
    """Files of the package, relative to its folder."""
    found = (path.relative_to(SOURCE) for path in SOURCE.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if "__pycache__" not in path.parts}


def faults(folder):
    """What is wrong with the distributions in a folder, as sentences."""
    wheels, sources = list(folder.glob("*.whl")), list(folder.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sources) != 1:
        yield f"{folder} must hold one wheel and one sdist, it has {len(wheels)} and {len(sources)}"
        return
    with zipfile.ZipFile(wheels[0]) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    own = {name.removeprefix("specvit/") for name in names if name.startswith("specvit/")}
    yield from (f"the wheel lacks {name}" for name in sorted(expected() - own))
    yield from (f"the wheel has {name} too" for name in sorted(own - expected()))
    strange = [name for name in names if not name.startswith(("specvit/", "specvit-"))]
    yield from (f"the wheel has {name} outside of the package" for name in strange)
    if not any(name.endswith("licenses/LICENSE") for name in names):
        yield "the wheel lacks LICENSE"
    if wheels[0].stat().st_size > LARGEST:
        yield f"the wheel has {wheels[0].stat().st_size / 2**20:.0f} MiB"
    with tarfile.open(sources[0]) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    needed = {"pyproject.toml", "README.md", "LICENSE", *(f"src/specvit/{name}" for name in expected())}
    yield from (f"the sdist lacks {name}" for name in sorted(needed - inside))


def main():
    """Print what is wrong; the exit status is 1 if anything is."""
    found = list(faults(Path(sys.argv[1])))
    print("\n".join(found) or "wheel and sdist are complete")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
