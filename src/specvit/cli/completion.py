"""``specvit completion``: a script with which a shell completes commands and options."""

from __future__ import annotations

import argparse
from functools import partial

from specvit.cli.common import add_traceback, examples

__all__ = ["add_parser", "completion_script", "run"]

#: The words of each command stand in the script: completing starts no Python.
_BASH = """# Completion of specvit for {shell}; made by `specvit completion {shell}`.
{start}_specvit() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" command="${{COMP_WORDS[1]}}" words
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands}"
    else
        case "$command" in
{cases}
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    [[ "$current" == -* ]] || COMPREPLY+=($(compgen -f -- "$current"))
}}
complete -o filenames -F _specvit specvit
"""


def add_parser(commands):
    """Add the command to `commands`, the subparsers of the command line."""
    parser = commands.add_parser(
        "completion",
        help="print a script with which bash or zsh completes commands and options",
        **examples(
            "specvit completion bash > ~/.local/share/bash-completion/completions/specvit",
            'eval "$(specvit completion zsh)"',
        ),
    )
    parser.add_argument("shell", choices=["bash", "zsh"])
    add_traceback(parser)
    parser.set_defaults(run=partial(run, commands=commands.choices))


def run(args, commands):
    """Carry the command out; returns its exit status. `commands` are the parsers of all, by name."""
    print(completion_script(commands, args.shell), end="")
    return 0


def completion_script(commands, shell):
    """The script for `commands`, dict of str to `argparse.ArgumentParser`, and a `shell`, "bash" or "zsh"."""
    cases = "\n".join(
        f'            {name}) words="{" ".join(_words(one))}" ;;' for name, one in commands.items()
    )
    start = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    names = " ".join(dict.fromkeys([*commands, "--help", "--version"]))
    return _BASH.format(shell=shell, start=start, commands=names, cases=cases)


def _commands(parser):
    """Parsers of the commands of a parser, dict of str to ArgumentParser."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return action.choices
    return {}


def _words(parser):
    """Options of a parser, its choices of words and its commands."""
    words = []
    for action in parser._actions:
        words += [option for option in action.option_strings if option.startswith("--")]
        if action.choices is not None and not isinstance(action, argparse._SubParsersAction):
            words += map(str, action.choices)
    for name, one in _commands(parser).items():
        words += [name, *_words(one)]
    return dict.fromkeys(words)
