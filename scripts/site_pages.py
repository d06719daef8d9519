#!/usr/bin/env python3
"""Makes the pages of the site: the Markdown files of the repository, a page for each public header, and the Python API.

    site_pages.py FOLDER STUB.pyi
"""

import re
import shutil
import sys
from pathlib import Path

import public_names

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)]*)?\)")


def header_page(header):
    """Returns a page with the header's comment as text and its declarations as code."""
    lines = header.read_text().splitlines()
    comment = []
    while lines and lines[0].startswith("///"):
        comment.append(lines.pop(0)[3:].removeprefix(" "))
    code = "\n".join(line for line in lines if not line.startswith(("#pragma", "#include"))).strip()
    code = code.replace('namespace [[gnu::visibility("default")]] segue {', "namespace segue {")
    return f"# {header.name}\n\n" + "\n".join(comment) + f"\n\n```cpp\n#include <segue/{header.name}>\n\n{code}\n```\n"


def first_sentence(header):
    text = " ".join(line[3:].strip() for line in header.read_text().splitlines() if line.startswith("///"))
    return re.match(r"(.*?[.:])(\s|$)", text).group(1).rstrip(":")


def write_cpp(folder):
    (folder / "docs" / "cpp").mkdir(parents=True)
    headers = public_names.headers()
    table = "".join(f"| [{h.name}](cpp/{h.stem}.md) | {first_sentence(h)} |\n" for h in headers)
    (folder / "docs" / "cpp.md").write_text(
        "# C++\n\nIn the order of the modules: a header includes only headers above it. All is in the namespace "
        f"`segue`; failures throw `segue::Error`.\n\n| | |\n|---|---|\n{table}")
    for header in headers:
        (folder / "docs" / "cpp" / f"{header.stem}.md").write_text(header_page(header))


def write_python(folder, stub):
    parts = [("segue", stub), *((f"segue.{name}", ROOT / "python" / "segue" / f"{name}.py")
                                for name in ("planning", "pipeline", "pipelined_model_runner"))]
    text = "# Python API\n\nWhat the compiled module offers, then what is written in Python. See [Python](python.md).\n"
    for name, path in parts:
        text += f"\n## {name}\n\n```python\n{path.read_text()}```\n"
    (folder / "docs" / "python-api.md").write_text(text)


def with_links_kept_inside(text, page, pages):
    """Replaces links to files that are not on the site, such as sources, by their text."""
    def replace(match):
        mark, words, target, _ = match.groups()
        if "://" in target or (page.parent / target).resolve().relative_to(ROOT.resolve()).as_posix() in pages:
            return match.group(0)
        return match.group(0) if mark else words
    return LINK.sub(replace, text)


def copy_pages(folder):
    sources = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "HACKING.md")]
    sources += sorted((ROOT / "docs").rglob("*.*")) + sorted((ROOT / "experiments").rglob("*.*"))
    sources = [path for path in sources if path.suffix in {".md", ".svg", ".png", ".csv", ".json"}]
    pages = {path.relative_to(ROOT).as_posix() for path in sources}
    for path in sources:
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            target.write_text(with_links_kept_inside(path.read_text(), path, pages))
        else:
            shutil.copy(path, target)


def write_experiments(folder):
    names = sorted(p.parent.name for p in (ROOT / "experiments").glob("*/README.md"))
    rows = []
    for name in names:
        title = (ROOT / "experiments" / name / "README.md").read_text().splitlines()[0].lstrip("# ")
        rows.append(f"- [{title}]({name}/README.md)")
    (folder / "experiments" / "README.md").write_text("# Experiments\n\n" + "\n".join(rows) + "\n")


def main():
    folder, stub = Path(sys.argv[1]), Path(sys.argv[2])
    shutil.rmtree(folder, ignore_errors=True)
    copy_pages(folder)
    write_cpp(folder)
    write_python(folder, stub)
    write_experiments(folder)


if __name__ == "__main__":
    main()
