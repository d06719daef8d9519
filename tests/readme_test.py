#!/usr/bin/env python3
"""Runs the commands of README.md one after the other, from top to bottom, and compares their output with the text below
them. Commands without an output must succeed.

    readme_test.py PROGRAM RUNTIME
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
# Commands that are done already or tested elsewhere: fetching, building, installing.
ELSEWHERE = re.compile(r"^(git clone|scripts/|cmake )")


def commands_with_outputs(text):
    """Returns lines of code blocks that begin with "$ ", each with the lines up to the next one."""
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command.split("  #")[0].strip(), output.strip("\n")


def main():
    program, runtime = (Path(argument).resolve() for argument in sys.argv[1:])
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "SEGUE_TFLITE_LIB": str(runtime)}
    tried = 0
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "build").mkdir()  # as in a checkout
        for command, expected in commands_with_outputs((SOURCE / "README.md").read_text()):
            if ELSEWHERE.match(command):
                continue
            done = subprocess.run(["sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True)
            if done.returncode != 0 or (expected and done.stdout.strip("\n") != expected):
                sys.exit(f"$ {command}\nREADME.md:\n{expected}\n\nprinted:\n{done.stdout}{done.stderr}")
            tried += 1
            print(f"ok: {command}")
    if tried == 0:
        sys.exit("README.md shows no commands")


if __name__ == "__main__":
    main()
