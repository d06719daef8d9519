#!/usr/bin/env python3
"""Tests what bash, zsh and fish complete with the scripts of `segue completion`: commands, inner
commands, options, choices, devices and networks. Shells that are not installed are skipped by name.

    completion_test.py SEGUE
"""

import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SEGUE = str(Path(sys.argv[1]).resolve())

# zsh completes only in its editor. These functions replace zsh's and print their arguments.
ZSH = r"""
compadd() { print -rl -- "$@" }
_files() { }
_describe() { print -rl -- "${(P@)2}" }
_arguments() {
  local spec action
  for spec in "$@"; do
    case $spec in
      --*) print -r -- "${spec%%\[*}"
           if [[ $words[CURRENT-1] == "${spec%%\[*}" ]]; then action=${spec##*:}; fi ;;
      \**) if [[ -z $action ]]; then action=${spec##*:}; fi ;;
    esac
  done
  case $action in
    \(*\)) print -rl -- ${(s: :)action[2,-2]} ;;
    _segue*) $action ;;
  esac
}
words=("$@") CURRENT=$#
set --
source $SCRIPT
"""


class Completion(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="segue-completion-")
        for shell in ("bash", "zsh", "fish"):
            script = subprocess.run([SEGUE, "completion", shell], check=True, capture_output=True)
            (Path(cls.folder.name) / shell).write_bytes(script.stdout)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def completed(self, shell, *words):
        """Returns the candidates for the last word; zsh returns all, whatever that word begins with."""
        script = Path(self.folder.name) / shell
        if shell == "bash":
            line = " ".join(f"'{word}'" for word in words)
            command = ["bash", "-c", f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; "
                                     "_segue; printf '%s\\n' \"${COMPREPLY[@]}\""]
        elif shell == "zsh":
            command = ["zsh", "-f", "-c", ZSH.replace("$SCRIPT", str(script)), "zsh", *words]
        else:
            line = " ".join(words)
            command = ["fish", "--no-config", "-c", f"source {script}; complete -C '{line}'"]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=self.folder.name)
        self.assertEqual(done.stderr, "")
        lines = [line.split("\t")[0].split(":")[0] if shell != "bash" else line
                 for line in done.stdout.splitlines()]
        return [line for line in lines if line]

    def check(self, shell):
        if shutil.which(shell) is None:
            self.skipTest(f"no {shell}")
        begins = (lambda word: "") if shell == "zsh" else (lambda word: word)

        def has(expected, *words):
            found = self.completed(shell, *words[:-1], begins(words[-1]))
            self.assertIn(expected, found, words)
            return found

        has("plan", "segue", "pl")
        has("--tpus", "segue", "plan", "--t")
        has("optimal", "segue", "plan", "m.tflite", "--strategy", "op")
        for inner in ("figure", "table", "accuracy"):
            has(inner, "segue", "paper", inner[:2])
        has("--plot", "segue", "paper", "accuracy", "--pl")
        has("memory", "segue", "paper", "table", "me")
        has("6", "segue", "paper", "figure", "6")
        for command in ("plan", "simulate", "compare", "verify", "compile"):
            has("edgetpu-usb3", "segue", command, "m.tflite", "--device", "edgetpu-u")
        has("edgetpu-usb3", "segue", "sweep", "--devices", "edgetpu-u")
        has("resnet101", "segue", "zoo", "resnet1")
        has("fish", "segue", "completion", "fi")
        self.assertNotIn("--strategy", self.completed(shell, "segue", "paper", "accuracy", begins("--s")))

    def test_of_bash(self):
        self.check("bash")
        self.assertIn("resnet101", self.completed("bash", "segue", "plan", "zoo", ":", "resnet10"))

    def test_of_zsh(self):
        self.check("zsh")

    def test_of_fish(self):
        self.check("fish")
        self.assertIn("zoo", self.completed("fish", "segue", "plan", "zoo:resnet10"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
