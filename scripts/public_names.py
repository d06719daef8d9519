#!/usr/bin/env python3
"""Makes the table of docs/versioning.md: the names that public headers declare, header by header.

    public_names.py [--write]    prints the table; with --write puts it into the page
"""

import re
import sys
from pathlib import Path

import check_layers

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "versioning.md"
DECLARED = [
    re.compile(r"\b(?:struct|class|enum class|concept)\s+(?:\[\[.*?\]\]\s*)?(\w+)"),
    re.compile(r"\busing\s+(\w+)\s*="),
    re.compile(r"^inline constexpr [^()=]*\b(k[A-Z]\w*)"),
    re.compile(r"(\w+)\s*\("),
]


def statements(text):
    """Returns the declarations directly in the namespace, without bodies."""
    text = re.sub(r"//.*", "", text)
    text = re.sub(r"\[\[(nodiscard|gnu::\w+(\(.*?\))?)\]\]", "", text)
    text = text[text.index("namespace"):]
    body = text[text.index("{") + 1:text.rindex("}")]
    depth, current = 0, ""
    for character in body:
        if depth == 0 and character in "{;":
            yield current.strip()
            current = ""
        elif depth == 0:
            current += character
        depth += {"{": 1, "}": -1}.get(character, 0)


def names(header):
    found = []
    for statement in statements(header.read_text()):
        statement = statement.lstrip("}; \n")
        for pattern in DECLARED if not statement.startswith("#") else []:
            match = pattern.search(statement)
            if match:
                found.append(match.group(1))
                break
    return sorted(set(found), key=lambda name: (name.lower(), name))


def headers():
    order = [header for headers in check_layers.MODULES.values() for header in headers]
    found = [*(ROOT / "include" / "segue").glob("*.h"), *(ROOT / "zoo" / "include" / "segue").glob("*.h")]
    return sorted(found, key=lambda path: order.index(path.stem))


def table():
    rows = (f"| [{h.name}](../{h.relative_to(ROOT).as_posix()}) | {', '.join(f'`{name}`' for name in names(h))} |\n"
            for h in headers())
    return "| header | names |\n|---|---|\n" + "".join(rows)


def with_table(page):
    return page[:page.index("| header | names |")] + table()


def main():
    if "--write" in sys.argv:
        PAGE.write_text(with_table(PAGE.read_text()))
    else:
        print(table(), end="")


if __name__ == "__main__":
    main()
