#!/usr/bin/env python3
"""Installs a build into an empty folder, moves it, and uses it as users do: with find_package and pkg-config,
shared and static, and through its program, man page and completions. With --add-subdirectory, builds it as a part of
another project instead."""

import argparse
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(SOURCE / "scripts"))
import public_names  # noqa: E402

CONSUMER = SOURCE / "tests" / "consumer"
EXPECTED = re.compile(r"segue \d+\.\d+\.\d+: 2 stages, first segment \d+\.\d\d MiB\n")


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"FAILED: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def expect(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")
    print(f"ok: {what}")


def build_and_run(folder, build, *options):
    run("cmake", "-S", folder, "-B", build, "-G", "Ninja", *options)
    run("cmake", "--build", build)
    return run(build / "consumer")


def library_folder(prefix):
    return next(prefix.rglob("libsegue.a")).parent


def check_find_package(prefix, work):
    for kind, flag in (("shared", "ON"), ("static", "OFF")):
        build = work / f"find_package_{kind}"
        output = build_and_run(CONSUMER / "find_package", build, f"-DCMAKE_PREFIX_PATH={prefix}",
                               f"-DBUILD_SHARED_LIBS={flag}")
        expect(EXPECTED.fullmatch(output), f"find_package, {kind}: {output.strip()}")
        needs = "libsegue.so" in run("ldd", build / "consumer")
        expect(needs == (kind == "shared"), f"find_package, {kind}: linked as asked")


def check_pkg_config(prefix, work):
    libraries = library_folder(prefix)
    environment = {**os.environ, "PKG_CONFIG_PATH": str(libraries / "pkgconfig"),
                   "LD_LIBRARY_PATH": str(libraries)}
    for kind, link in (("shared", ""), ("static", "--static")):
        program = work / f"pkg_config_{kind}"
        run("make", "-C", CONSUMER / "pkg_config", "-B", f"LINK={link}", f"OUTPUT={program}", env=environment)
        expect(EXPECTED.fullmatch(run(program, env=environment)), f"pkg-config, {kind}")


def check_headers(prefix):
    declared = {path.name for path in public_names.headers()} | {"version.h"}
    expect({path.name for path in (prefix / "include" / "segue").iterdir()} == declared, "every public header")


def check_symbols(prefix):
    """Checks that the library exports only names of its namespace that public headers declare."""
    lines = run("nm", "--dynamic", "--defined-only", "--demangle", library_folder(prefix) / "libsegue.so").splitlines()
    ours = [line.split(" ", 2)[2] for line in lines if " T " in line]
    expect(ours and all("segue::" in name for name in ours), f"{len(ours)} functions exported, all of the namespace")
    page = public_names.PAGE.read_text()
    expect(page == public_names.with_table(page), "docs/versioning.md lists every public name (scripts/public_names.py --write)")
    listed = {name for header in public_names.headers() for name in public_names.names(header)}
    hidden = [name for name in ours if not listed & set(parts_of(name))]
    expect(not hidden, f"every exported function belongs to one of {len(listed)} public names {hidden[:3]}")


def parts_of(signature):
    """Splits a signature: segue::Model::name[abi:cxx11]() const gives Model and name."""
    name = re.sub(r"\[abi:\w+\]", "", signature).split("(")[0]
    return re.sub(r"<.*", "", name).split("::")[1:]


def check_program(prefix, work):
    program = prefix / "bin" / "segue"
    environment = {"PATH": os.environ["PATH"]}
    run(program, "split", "zoo:conv5-f128", "--tpus", "2", "-o", work / "parts", env=environment)
    if list(prefix.rglob("libtensorflowlite_c.so")):
        expect(run(program, "verify", "zoo:conv5-f128", work / "parts", env=environment).startswith("Verified"),
               "the program verifies with the runtime that was installed")
    page = work / "segue.1"
    page.write_bytes(gzip.decompress((prefix / "share" / "man" / "man1" / "segue.1.gz").read_bytes()))
    expect(page.read_text() == run(program, "manual"), "the man page is that of the program")
    if shutil.which("groff"):
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", page], capture_output=True, text=True)
        expect(done.returncode == 0 and not done.stderr, f"the man page has no errors {done.stderr[:200]}")


def check_completion(prefix):
    script = prefix / "share" / "bash-completion" / "completions" / "segue"

    def completed(*words):
        line = " ".join(f"'{word}'" for word in words)
        return run("bash", "-c", f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; "
                                 "_segue; printf '%s\\n' \"${COMPREPLY[@]}\"").splitlines()

    expect(completed("segue", "pl") == ["plan"], "bash completes commands")
    expect(completed("segue", "plan", "--strategy", "op") == ["optimal"], "bash completes choices")
    expect("--tpus" in completed("segue", "plan", "--t"), "bash completes options")
    expect("resnet101" in completed("segue", "plan", "zoo", ":", "resnet10"), "bash completes networks")
    (prefix / "my model.tflite").touch()
    expect(completed("segue", "plan", f"{prefix}/my") == [f"{prefix}/my model.tflite"], "bash completes names with blanks")
    for shell, name in (("zsh", "_segue"), ("fish", "segue.fish")):
        if shutil.which(shell):
            run(shell, "-n", next(prefix.rglob(name)))
            print(f"ok: {shell} reads its completions")


def check_packages(build, work):
    """Checks contents and dependencies; scripts/package --try installs them in a fresh Debian."""
    run("cpack", "-B", work / "packages", cwd=build)
    packages = {path.name.split("_")[0]: path for path in (work / "packages").glob("*.deb")}
    expect(sorted(packages) == ["libsegue-dev", "libsegue0.1", "segue"], "three packages")
    owners = {}
    for name, path in packages.items():
        for line in run("dpkg-deb", "--contents", path).splitlines():
            if not line.startswith("d"):
                owners.setdefault(line.split()[5], []).append(name)
        run("dpkg-deb", "-x", path, work / "root")
    expect(all(len(names) == 1 for names in owners.values()), f"{len(owners)} files, each in one package")
    depends = run("dpkg-deb", "-f", packages["segue"], "Depends")
    expect("libfmt9" in depends and "libssl3" in depends, f"segue depends on {depends.strip()}")
    program = work / "root" / "usr" / "bin" / "segue"
    expect(run(program, "--version").strip(), "the packaged program runs")


def check_installation(build, work):
    run("cmake", "--install", build, "--prefix", work / "first")
    prefix = work / "moved"
    shutil.move(work / "first", prefix)
    check_headers(prefix)
    check_symbols(prefix)
    check_find_package(prefix, work)
    check_pkg_config(prefix, work)
    check_program(prefix, work)
    check_completion(prefix)
    if shutil.which("dpkg-deb"):
        check_packages(Path(build).resolve(), work)


def check_add_subdirectory(work):
    # The build is not optimized, to be fast; other tests run the program.
    output = build_and_run(CONSUMER / "add_subdirectory", work / "build", f"-DSEGUE_SOURCE={SOURCE}",
                           "-DCMAKE_CXX_FLAGS=-O0")
    expect(EXPECTED.fullmatch(output), f"add_subdirectory: {output.strip()}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", nargs="?", help="build folder to install from")
    parser.add_argument("--add-subdirectory", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.add_subdirectory:
            check_add_subdirectory(Path(folder))
        else:
            check_installation(Path(arguments.build), Path(folder))


if __name__ == "__main__":
    main()
