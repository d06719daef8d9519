#!/usr/bin/env python3
"""Compares the scripts' help with the options that they handle, and the toolchain for arm64 with the packages and
folders of scripts/setup. Builds and installs nothing."""

import json
import re
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent


def expect(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")
    print(f"ok: {what}")


def check_help(name, *wrong):
    """Checks that the help, which wrong arguments print, names each option that a `case` of the script handles."""
    done = subprocess.run([SOURCE / "scripts" / name, *wrong], capture_output=True, text=True, timeout=60)
    body = re.sub(r"scripts/\w+ --\S+", "", (SOURCE / "scripts" / name).read_text())
    handled = set(re.findall(r" (--[a-z0-9-]+)(?=\)| \|| \])", body))
    named = set(re.findall(r"[ …](--[a-z0-9-]+)", done.stderr))
    expect(done.returncode == 2 and handled == named,
           f"scripts/{name}: the help names {sorted(named)}; handled are {sorted(handled)}")


def check_arm64():
    preset = next(entry for entry in json.loads((SOURCE / "CMakePresets.json").read_text())["configurePresets"]
                  if entry["name"] == "arm64")
    toolchain = (SOURCE / preset["toolchainFile"]).read_text()
    setup = (SOURCE / "scripts" / "setup").read_text()
    packages = re.search(r"^arm64_packages=\((.*?)\)", setup, re.M | re.S).group(1).split()
    triple, compiler = re.search(r"CMAKE_CXX_COMPILER (\S+)-(g\+\+)\)", toolchain).groups()
    expect(f"{compiler}-{triple}" in packages, f"scripts/setup installs the compiler for {triple}")
    expect(f"lib/{triple} " in toolchain and f"/usr/lib/{triple}/" in toolchain, f"libraries are in lib/{triple}")
    emulator = re.search(r"CMAKE_CROSSCOMPILING_EMULATOR qemu-(\S+)-static\)", toolchain).group(1)
    expect("qemu-user-static" in packages and triple.startswith(emulator + "-"), f"qemu emulates {emulator}")
    runtime = Path(preset["cacheVariables"]["SEGUE_TFLITE_RUNTIME"].removeprefix("${sourceDir}/"))
    expect(f"install_runtime {emulator} {runtime.parent}\n" in setup, f"scripts/setup puts {runtime} there")
    expect(str(runtime) in (SOURCE / "scripts" / "wheel").read_text(), "the wheel carries the same runtime")


check_help("package", "--unknown")
check_help("wheel", "--unknown")
check_help("test", "too", "many", "words")
check_arm64()
