"""The reference's open questions as grids of configurations, with one runner for all of them.

``python -m studies --help`` says how to run them. A study (`studies.catalogue`) is a list of
`~studies.configuration.Configuration`, its question, and how its figure is drawn; it has no code of its own.
"""
