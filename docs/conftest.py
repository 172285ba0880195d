"""The pages' examples are run as tests; the scripts here are run by the documentation's own build."""

collect_ignore_glob = [
    "conf.py",
    "formulas.py",
    "tables.py",
    "examples/*",
    "gallery/*",
    "generated/*",
    "api/*",
    "_build/*",
]
