#!/usr/bin/env python3
"""Checks the walls between modules: a file includes headers of its own module and of the modules
before it. Of those it includes only public headers (include/segue) and headers in a folder named
`internal`, which are not installed. All other headers are private to their module.

  scripts/check_layers.py           check; a test does so
  scripts/check_layers.py --graph   print the modules and the arrows between them"""

import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The modules in order, each with its public headers. A module may use those above it.
MODULES = {
    "base": ["error", "units", "file", "stop"],
    "model": ["model"],
    "graph": ["graph"],
    "device": ["device", "cost", "decoding", "topology"],
    "plan": ["plan", "timeline"],
    "planner": ["segmentation", "planner", "plan_set", "sweep"],
    "runtime": ["runtime", "edgetpu", "pipeline", "set_run", "detection"],
    "split": ["verify"],
    "toolchain": ["toolchain", "calibrate"],
    "report": ["report"],
    "zoo": ["zoo"],
    "evaluation": [],
    "cli": [],
}
# The evaluation is not a library. The program includes only these of its headers.
EVALUATION = {"evaluation/accuracy/accuracy.h", "evaluation/paper/paper.h"}
# Files of a module are in src/<module>, or beside src.
OUTSIDE_SRC = ("zoo", "evaluation")
GENERATED = {"segue/version.h"}
INCLUDE = re.compile(r'^\s*#include\s+"([^"]+)"', re.MULTILINE)
ORDER = list(MODULES)
OF_HEADER = {header: module for module, headers in MODULES.items() for header in headers}


def module_of(include):
    """Returns the module that an included path belongs to, or None."""
    parts = Path(include).parts
    if parts[0] == "segue":
        return OF_HEADER.get(Path(include).stem)
    return parts[0] if parts[0] in MODULES else None


def sources():
    """Returns each file with its module and the path by which others include it."""
    for path in sorted((ROOT / "include" / "segue").glob("*.h")):
        yield path, OF_HEADER.get(path.stem)
    for folder in ["src", *OUTSIDE_SRC]:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix not in (".cc", ".h"):
                continue
            if "include" in path.relative_to(ROOT).parts:
                yield path, OF_HEADER.get(path.stem)
            else:
                yield path, module_of(relative_to_root(path))


def relative_to_root(path):
    """Returns the path by which others include a file."""
    relative = path.relative_to(ROOT)
    return str(relative.relative_to("src") if relative.parts[0] == "src" else relative)


def is_private(include):
    parts = Path(include).parts
    return parts[0] != "segue" and "internal" not in parts and include not in EVALUATION


def includes():
    for path, module in sources():
        for include in INCLUDE.findall(path.read_text()):
            if include not in GENERATED and not include.startswith("segue_schema/"):
                yield path.relative_to(ROOT), module, include, module_of(include)


def violations():
    for path, module in sources():
        if module is None:
            yield f"{path.relative_to(ROOT)}: belongs to no module; MODULES lists them"
    for path, module, include, other in includes():
        if module is None:
            continue
        if other is None:
            yield f'{path}: includes "{include}", which belongs to no module'
        elif ORDER.index(other) > ORDER.index(module):
            yield f'{path}: module {module} must not include "{include}" of module {other}'
        elif other != module and is_private(include):
            yield f'{path}: includes "{include}", which is private to module {other}'
    used = {include for _, module, include, other in includes() if other != module}
    for path, _ in sources():
        header = relative_to_root(path)
        if path.suffix == ".h" and "internal" in path.parts and header not in used:
            yield f"{path.relative_to(ROOT)}: no other module includes it; move it out of internal"


def graph():
    arrows = defaultdict(set)
    for _, module, _, other in includes():
        if other != module:
            arrows[module].add(other)
    for module in ORDER:
        below = sorted(arrows[module], key=ORDER.index)
        yield f"{module:<10} -> {' '.join(below)}" if below else module


def main():
    if sys.argv[1:] == ["--graph"]:
        print("\n".join(graph()))
        return 0
    found = list(violations())
    print("\n".join(found) if found else f"{len(MODULES)} modules, one direction")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
