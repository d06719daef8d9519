#!/usr/bin/env python3
"""Checks that data flows one way: a file includes only headers of its own layer and the layers
before it. Each public header and each folder below src/ must belong to a layer."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAYERS = [
    "error", "units", "names", "file", "process", "json", "model", "zoo", "graph", "device", "compiler",
    "edgetpu_compiler",
    "array", "simulator", "uncertainty", "segmentation", "optimal", "profile", "plan", "strategy", "sweep", "certificate", "timeline", "backend", "edgetpu", "doctor", "inputs", "measure", "pipeline", "verify",
    "compile", "calibrate", "accuracy", "figure",
    "report", "trace", "page", "paper", "cli",
]
# Headers that belong to no layer because the build makes them.
GENERATED = {"segue/version.h"}
INCLUDE = re.compile(r'^\s*#include\s+"([^"]+)"', re.MULTILINE)


def layer_of(path):
    """The layer a source file or an included header belongs to, or None."""
    parts = Path(path).parts
    name = Path(path).stem if parts[0] == "segue" else parts[0]
    return name if name in LAYERS else None


def violations():
    sources = [(p, p.relative_to(ROOT / "include")) for p in (ROOT / "include").rglob("*.h")]
    sources += [(p, p.relative_to(ROOT / "src")) for p in (ROOT / "src").rglob("*.*")
                if p.name != "CMakeLists.txt"]
    for path, relative in sorted(sources):
        shown = path.relative_to(ROOT)
        layer = layer_of(relative)
        if layer is None:
            yield f"{shown}: belongs to no layer; name its folder or header after one"
            continue
        for include in INCLUDE.findall(path.read_text()):
            if include in GENERATED or include.startswith("segue_schema/"):
                continue
            other = layer_of(include)
            if other is None:
                yield f'{shown}: includes "{include}", which belongs to no layer'
            elif layer == "cli" and other != "cli" and not include.startswith("segue/"):
                yield f'{shown}: includes "{include}"; commands use public headers alone'
            elif LAYERS.index(other) > LAYERS.index(layer):
                yield f'{shown}: layer {layer} must not include "{include}" of layer {other}'


def main():
    found = list(violations())
    print("\n".join(found) if found else f"{len(LAYERS)} layers, one direction")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
