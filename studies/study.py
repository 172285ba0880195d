"""`Study`: a question, the configurations that answer it, and how its figure is drawn."""

from __future__ import annotations

from dataclasses import dataclass, field

from studies.configuration import Configuration, seeds

__all__ = ["Picture", "Study"]


@dataclass(frozen=True)
class Picture:
    """How the figure of a study is drawn from its table of means.

    Attributes
    ----------
    x : str
        Column on the horizontal axis; its values may be words.
    series : str or None
        Column each value of which is a line of its own.
    figure : str
        Figure of merit on the vertical axis, of log g.
    test : str
        Test that is shown.
    condition : float or None or "all"
        Its condition; "all" if the conditions are on the horizontal axis.
    log : bool
        Whether the horizontal axis is logarithmic.
    x_label, series_label : str
        What is written below it, and above the names of the lines.
    floor : float or None
        Least value that is shown; the caption says what lies below it.
    panels : tuple of tuple of str
        Names that have a panel, with an axis, of their own; empty for one of all. Of pictures without series.
    law : bool
        Whether the law of `studies.law` is drawn and told; nothing else is shown then.
    """

    x: str
    series: str | None = None
    figure: str = "r2"
    test: str = "paper"
    condition: object = None
    log: bool = False
    x_label: str = ""
    series_label: str = ""
    floor: float | None = None
    panels: tuple = ()
    law: bool = False


@dataclass(frozen=True)
class Study:
    """A question and the grid of configurations that answers it.

    Attributes
    ----------
    name : str
        As on the command line and in names of files.
    title, question : str
        For the page.
    variants : dict of str to list of Configuration
        What is compared, by the names in tables, each with its seeds.
    picture : Picture
        How its figure is drawn.
    columns : tuple of str
        Columns of `Configuration.columns` that its table shows beside the names.
    reference : tuple of dict
        The reference's results, by the columns of the table.
    """

    name: str
    title: str
    question: str
    variants: dict = field(repr=False)
    picture: Picture
    columns: tuple = ()
    reference: tuple = ()

    def __post_init__(self):
        for name, own in self.variants.items():
            if not own or not all(isinstance(one, Configuration) for one in own):
                raise ValueError(f"variants[{name!r}] of study {self.name!r} must be configurations")

    @property
    def configurations(self):
        """All configurations, each once, a list."""
        return list({one.key: one for own in self.variants.values() for one in own}.values())

    def names_of(self, key):
        """Names of the variants that have the configuration of this key, a list."""
        return [name for name, own in self.variants.items() if any(one.key == key for one in own)]

    @staticmethod
    def grid(variants, n_seeds=3):
        """Variants of one configuration each, {name: configuration}, with seeds: {name: [configuration]}."""
        return {name: seeds([one], n_seeds) for name, one in variants.items()}
