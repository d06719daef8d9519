"""Options of Segue's commands in Python, with the limits that `segue run` has."""

from __future__ import annotations

import argparse
from typing import Callable

MOST_TIME_SCALE = 1e6
WATCHDOG_S = (0.001, 86400.0)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--time-scale", type=_number(0, MOST_TIME_SCALE), metavar="FACTOR",
        help="factor on simulated times (default 1; 0: no waiting)")  # fmt: skip
    add("--watchdog", type=_number(*WATCHDOG_S), default=30.0, metavar="S",
        help="seconds until a device without an answer counts as lost (default %(default)g)")  # fmt: skip


def finish_run_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Ends the program with status 2 for options that do not fit each other."""
    for key, value in vars(options).items():
        if "" in (value if isinstance(value, list) else [value]):
            name = key if key == "source" else f"--{key.replace('_', '-')}"
            parser.error(f"{name}: the value is empty; give a value, or remove the option")
    if options.time_scale is not None and options.backend != "simulated":
        parser.error("--time-scale requires --backend simulated")
    if options.time_scale is None:
        options.time_scale = 1.0
    if options.backend == "simulated":  # scaled times make its answers slower
        options.watchdog *= max(1.0, options.time_scale)


def _number(least: float, most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        number = float(text)
        if not least <= number <= most:  # also refuses NaN
            raise argparse.ArgumentTypeError(f"must be from {least:g} to {most:g}")
        return number

    return parse
