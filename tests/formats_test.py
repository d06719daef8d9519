#!/usr/bin/python3
"""Tests the output of commands: JSON matches its schema in docs/schemas; text, CSV and JSON of the
same plan have the same numbers; and all output equals the recorded one (tests/golden;
SEGUE_UPDATE_DOCS=1 rewrites it).

    formats_test.py SEGUE STAND_IN_COMPILER STAND_IN_LIBRARY
"""

import csv
import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
import unittest
from pathlib import Path

SKIPPED = 77
try:
    import jsonschema
except ImportError:
    print("skipped: no jsonschema for /usr/bin/python3; scripts/setup installs it")
    sys.exit(SKIPPED)

SEGUE, COMPILER, LIBRARY = map(os.path.abspath, sys.argv[1:4])
ROOT = Path(__file__).resolve().parent.parent
SCHEMAS = ROOT / "docs" / "schemas"
GOLDEN = ROOT / "tests" / "golden"
MODEL = "zoo:conv5-f552"
MIB = 1 << 20


def segue(*arguments, status=0, folder=None):
    done = subprocess.run([SEGUE, *map(str, arguments)], capture_output=True, text=True, cwd=folder)
    if done.returncode != status:
        raise AssertionError(f"{arguments}: {done.returncode}: {done.stderr}")
    return done.stdout


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def lines_of(text):
    """Returns the lines of a text as lists of words."""
    return [line.split() for line in text.splitlines()]


def words_of(text):
    return " ".join(text.split())


class Schemas(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory(prefix="segue-formats-")
        cls.folder = Path(cls.scratch.name)
        segue("zoo", "mobilenet@64", "-o", cls.folder / "m.tflite")
        segue("split", cls.folder / "m.tflite", "--tpus", "2", "-o", cls.folder / "parts")

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def expect_valid(self, text):
        document = json.loads(text)
        schema = json.loads((SCHEMAS / f"{document['schema'].replace('/', '.')}.json").read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        errors = list(jsonschema.Draft202012Validator(schema).iter_errors(document))
        self.assertEqual([f"{error.json_path}: {error.message}" for error in errors], [])
        return document

    def test_every_schema_has_a_test(self):
        tested = set(re.findall(r"segue\.\w+/\d", Path(__file__).read_text()))
        tested.add("segue.plan/1")  # only read; tested by ParsePlan.VersionOneIsRead
        tested.discard("segue.device/1")  # users write it; its reader names the wrong key
        self.assertEqual({path.name for path in SCHEMAS.iterdir()},
                         {f"{name.replace('/', '.')}.json" for name in tested})

    def test_model_documents_are_valid(self):
        for arguments, name in (
                (["zoo"], "segue.zoo/1"),
                (["inspect", "zoo:nasnetmobile"], "segue.inspect/2"),
                (["simulate", "zoo:resnet50", "--tpus", "4"], "segue.simulate/2"),
                (["compare", "zoo:conv5-f32", "--tpus", "1..7"], "segue.compare/2"),
                (["compare", "zoo:densenet121", "--tpus", "1..3"], "segue.compare/2"),
                (["compare", "zoo:yolov8n@320", "--tpus", "1..2", "--detect"], "segue.compare/2"),
                (["simulate", "zoo:yolov8n@320", "--tpus", "2", "--detect"], "segue.simulate/2"),
                (["paper", "accuracy"], "segue.accuracy/2")):
            with self.subTest(arguments=arguments):
                self.assertEqual(self.expect_valid(segue(*arguments, "--json"))["schema"], name)

    def test_sweep_lines_are_valid(self):
        lines = segue("sweep", "zoo:conv5-f32", "--tpus", "1..6").splitlines()
        documents = [self.expect_valid(line) for line in lines]
        self.assertEqual({d["schema"] for d in documents}, {"segue.sweep/2"})
        self.assertEqual({d["feasible"] for d in documents}, {True, False})

    def test_plans_are_valid(self):
        unequal = "2xedgetpu-usb3:shared,2xedgetpu-pcie"
        for options in (["--tpus", "3"], ["--tpus", "3", "--strategy", "compiler"],
                        ["--tpus", "3", "--strategy", "profile"], ["--tpus", "5", "--strategy", "optimal"],
                        ["--strategy", "optimal", "--device", unequal, "--max-latency", "60ms"],
                        ["--tpus", "2", "--strategy", "optimal", "--objective", "latency"]):
            with self.subTest(options=options):
                plan = self.expect_valid(segue("plan", "zoo:resnet50", *options, "--json"))
                self.assertEqual(plan["schema"], "segue.plan/2")

    def test_plan_with_decoding_is_valid(self):
        arguments = ["zoo:yolov8n@320", "--tpus", "2", "--detect", "--json"]
        plan = self.expect_valid(segue("plan", *arguments))
        self.assertEqual(plan["decoding"]["family"], "yolov8")
        self.assertEqual((plan["decoding"]["boxes"], plan["decoding"]["scores"]), (2100, 2100 * 80))
        simulated = json.loads(segue("simulate", *arguments))["decoding"]
        for key in ("utilisation", "largest_queue", "mean_queue"):
            simulated.pop(key)
        self.assertEqual(simulated, plan["decoding"])

    def test_plans_on_topologies_are_valid(self):
        file = self.folder / "hosts.json"
        file.write_text(json.dumps({
            "schema": "segue.topology/1",
            "nodes": [{"name": "left", "devices": "1xedgetpu-pcie", "cores": 4},
                      {"name": "right", "devices": "2xedgetpu-usb3", "cores": 4}],
            "links": [{"between": ["left", "right"], "bytes_per_s": 1e8, "latency_ns": 100000}]}))
        self.expect_valid(file.read_text())
        out = self.folder / "hosts-plan.json"
        plan = self.expect_valid(segue("plan", "zoo:resnet50", "--topology", file, "--json", "-o", out))
        self.assertEqual(plan["network"]["topology"]["entry"], "left")
        nodes = {of["node"] for stage in plan["stages"] for of in stage["devices"]}
        self.assertEqual(nodes, {"left", "right"})
        proof = self.expect_valid(segue("verify", "zoo:resnet50", out, "--json"))
        self.assertTrue(proof["accepted"])
        self.expect_valid(segue("simulate", out, "--json"))

    def test_segment_documents_are_valid(self):
        parts = self.folder / "other"
        split = segue("split", self.folder / "m.tflite", "--tpus", "3", "-o", parts, "--json")
        self.assertEqual(self.expect_valid(split)["schema"], "segue.split/2")
        inspected = self.expect_valid(segue("inspect", parts, "--json"))
        self.assertEqual(inspected["schema"], "segue.segments/1")
        self.assertEqual([s["file"] for s in inspected["segments"]],
                         [f["name"] for f in json.loads(split)["files"]])
        verified = self.expect_valid(segue("verify", self.folder / "m.tflite", parts, "--json"))
        self.assertEqual((verified["schema"], verified["agrees"]), ("segue.verify/2", True))
        wrong = self.expect_valid(segue("verify", "zoo:squeezenet", parts, "--json", status=7))
        self.assertFalse(wrong["agrees"])
        plan = self.folder / "optimal.json"
        segue("plan", "zoo:squeezenet", "--tpus", "2", "--strategy", "optimal", "-o", plan)
        proof = self.expect_valid(segue("verify", "zoo:squeezenet", plan, "--json"))
        self.assertEqual((proof["schema"], proof["accepted"]), ("segue.certificate/1", True))

    def test_compile_documents_are_valid(self):
        parts = self.folder / "compiled"
        segue("split", self.folder / "m.tflite", "--tpus", "2", "-o", parts)
        done = self.expect_valid(segue("compile", parts, "--compiler-cmd", COMPILER, "--json"))
        self.assertEqual(done["schema"], "segue.compile/1")
        plan = self.expect_valid((parts / "plan.json").read_text())
        self.assertIn("operators_on_host", plan["stages"][0]["compiled"])
        refusing = f"{COMPILER} fault=internal:SOFTMAX"
        failed = segue("compile", parts, "--compiler-cmd", refusing, "--json", status=5)
        self.assertTrue(any(file["failure"] for file in self.expect_valid(failed)["files"]))

    def test_set_documents_are_valid(self):
        models = "zoo:mobilenet@64:20/s:latency=200ms,zoo:squeezenet@64"
        file = self.folder / "set.json"
        text = segue("plan", "--models", models, "--tpus", "1", "-o", file, "--json")
        planned = self.expect_valid(text)
        self.assertEqual(planned["schema"], "segue.set/1")
        self.assertEqual(file.read_text(), text)
        for model in planned["models"]:
            self.expect_valid(json.dumps(model["plan"]))
        run = self.expect_valid(segue("run", "--plan", file, "--inputs", "3", "--json"))
        self.assertEqual(run["schema"], "segue.setrun/1")
        for model in run["models"]:
            self.expect_valid(json.dumps(model["run"]))
        compiled = self.folder / "compiled-set"
        done = segue("compile", file, "-o", compiled, "--compiler-cmd", COMPILER, "--json")
        self.assertEqual(self.expect_valid(done)["schema"], "segue.compile/1")
        self.expect_valid((compiled / "set.json").read_text())

    def test_run_and_device_documents_are_valid(self):
        segue("compile", self.folder / "parts", "--compiler-cmd", COMPILER)
        for options in (["--backend", "cpu"], ["--backend", "simulated", "--time-scale", "0"],
                        ["--backend", "edgetpu", "--edgetpu-library", LIBRARY]):
            with self.subTest(options=options):
                run = segue("run", self.folder / "parts", "--inputs", "3", *options, "--json")
                self.assertEqual(self.expect_valid(run)["schema"], "segue.run/1")
        devices = self.expect_valid(segue("devices", "--edgetpu-library", LIBRARY, "--json"))
        self.assertEqual(devices["schema"], "segue.devices/2")
        self.assertGreater(len(devices["devices"]), 0)
        doctor = self.expect_valid(subprocess.run([SEGUE, "doctor", "--json"], capture_output=True,
                                                  text=True, check=False).stdout)
        self.assertEqual(doctor["schema"], "segue.doctor/2")

    def test_calibration_document_is_valid(self):
        truth = self.folder / "truth.json"
        truth.write_text(json.dumps({"schema": "segue.device/1", "name": "truth", "base": "edgetpu-pcie",
                                     "constants": {"invoke": {"value": 6, "unit": "ms"},
                                                   "output": {"value": 30, "unit": "ns/B"},
                                                   "clock": {"value": 50, "unit": "MHz"}}}))
        # On a busy computer the times vary too much for a calibration.
        for tries_left in (2, 1, 0):
            try:
                measured = segue("calibrate", "--edgetpu-library", LIBRARY, "--compiler-cmd",
                                 f"{COMPILER} takes={truth}", "-o", self.folder / "host.json", "--json")
                break
            except AssertionError as error:
                if "measure again" not in str(error) or tries_left == 0:
                    raise
        self.assertEqual(self.expect_valid(measured)["schema"], "segue.calibrate/1")

    def test_extra_or_missing_key_is_refused(self):
        plan = json.loads(segue("plan", MODEL, "--tpus", "2", "--json"))
        schema = json.loads((SCHEMAS / "segue.plan.2.json").read_text())
        for change in (lambda p: p.update(extra=1), lambda p: p.pop("device"),
                       lambda p: p["stages"][0].update(replicas=0),
                       lambda p: p["stages"][0]["time_ns"].pop("total")):
            changed = json.loads(json.dumps(plan))
            change(changed)
            with self.assertRaises(jsonschema.ValidationError):
                jsonschema.validate(changed, schema)


class Agreement(unittest.TestCase):
    def test_plan_formats_agree(self):
        arguments = ["plan", "zoo:resnet101", "--tpus", "6", "--strategy", "compiler"]
        document = json.loads(segue(*arguments, "--json"))
        stages = rows_of(segue(*arguments, "--csv"))
        text = segue(*arguments)
        self.assertEqual(len(stages), len(document["stages"]))
        for stage, row in zip(document["stages"], stages):
            self.assertEqual(int(row["stage"]), stage["index"])
            for key in ("first_depth", "last_depth", "parameter_bytes", "on_chip_bytes",
                        "host_bytes", "macs", "input_bytes", "output_bytes", "replicas"):
                self.assertEqual(int(row[key]), stage[key], key)
            self.assertEqual(int(row["operators"]), len(stage["operators"]))
            self.assertEqual(int(row["total_ns"]), stage["time_ns"]["total"])
            self.assertIn([str(stage["index"]), str(len(stage["operators"])),
                           f"{stage['first_depth']}-{stage['last_depth']}",
                           f"{stage['on_chip_bytes'] / MIB:.2f}", f"{stage['host_bytes'] / MIB:.2f}",
                           f"{stage['time_ns']['total'] / 1e6:.2f}"], lines_of(text))
        predicted = document["predicted"]
        self.assertIn(f" {predicted['throughput_per_s']:.1f} ", text)
        self.assertIn(f" {predicted['speedup']:.2f}\n", text)

    def test_plan_operators_sum_to_stages(self):
        arguments = ["plan", "zoo:densenet201", "--tpus", "3"]
        document = json.loads(segue(*arguments, "--json"))
        operators = rows_of(segue(*arguments, "--operators", "--csv"))
        for stage in document["stages"]:
            rows = [row for row in operators if int(row["stage"]) == stage["index"]]
            self.assertEqual([int(row["operator"]) for row in rows], stage["operators"])
            on_chip = sum(int(row["device_bytes"]) for row in rows if row["place"] == "on chip")
            host = sum(int(row["device_bytes"]) for row in rows
                       if row["place"] in ("streamed", "never cached"))
            self.assertEqual(on_chip, stage["on_chip_bytes"])
            self.assertEqual(host, stage["host_bytes"])
            self.assertEqual(sum(int(row["macs"]) for row in rows), stage["macs"])

    def test_simulation_formats_agree(self):
        arguments = ["simulate", "zoo:resnet101", "--tpus", "6"]
        document = json.loads(segue(*arguments, "--json"))
        text = words_of(segue(*arguments))
        rows = rows_of(segue(*arguments, "--csv"))
        self.assertEqual(len(rows), len(document["stages"]))
        for stage, row in zip(document["stages"], rows):
            self.assertEqual([row["stage"], row["replicas"], row["largest_queue"]],
                             [str(stage[key]) for key in ("index", "replicas", "largest_queue")])
            for key in ("fixed", "input", "compute", "streaming", "output", "host", "total"):
                self.assertEqual(int(row[f"{key}_ns"]), stage["time_ns"][key])
            for key in ("on_chip_bytes", "host_bytes"):
                self.assertEqual(int(row[key]), stage[key])
            self.assertIn(" ".join(f"{stage['time_ns'][key] / 1e6:.2f}" for key in
                                   ("input", "compute", "streaming", "output", "total")), text)
        self.assertIn(f"{document['throughput_per_s']:.1f}/s", text)
        for share in ("p50", "p99"):
            self.assertIn(f"{document[f'{share}_latency_ns'] / 1e6:.2f} ms ({share})", text)

    def test_comparison_formats_agree(self):
        arguments = ["compare", "zoo:resnet50", "--tpus", "1..4"]
        document = json.loads(segue(*arguments, "--json"))
        rows = rows_of(segue(*arguments, "--csv"))
        shown = lines_of(segue(*arguments))
        self.assertEqual(len(rows), len(document["rows"]))
        for row, one in zip(rows, document["rows"]):
            self.assertEqual((row["tpus"], row["strategy"]), (str(one["tpus"]), one["strategy"]))
            self.assertEqual(row["replicas"], "+".join(map(str, one["replicas"])))
            for key in ("host_bytes", "host_ns", "bottleneck_ns", "latency_ns"):
                self.assertEqual(int(row[key]), one[key])
            self.assertEqual([int(row["bottleneck_low_ns"]), int(row["bottleneck_high_ns"])],
                             one["bottleneck_range_ns"])
            self.assertEqual(row["throughput_per_s"], f"{one['throughput_per_s']:.1f}")
            self.assertEqual(row["efficiency"], f"{one['efficiency']:.4f}")
            self.assertEqual(row["pareto"] == "*", one["pareto"])
            self.assertEqual((row["slowest_stage"], row["slowest_cause"]),
                             (str(one["slowest_stage"]), one["slowest_cause"]))
            line = [row["tpus"], row["strategy"], row["replicas"], f"{one['host_bytes'] / MIB:.2f}",
                    row["throughput_per_s"], f"{one['bottleneck_ns'] / 1e6:.2f}",
                    f"{one['latency_ns'] / 1e6:.2f}", row["speedup"]]
            self.assertTrue(any(words[:len(line)] == line for words in shown), line)


class Columns(unittest.TestCase):
    """docs/formats.md lists the columns of every CSV, and each has its unit in its name."""

    def documented(self):
        section = (ROOT / "docs" / "formats.md").read_text().split("\n## CSV\n")[1]
        rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", section, re.MULTILINE)
        return {command: re.findall(r"`([^`]+)`", columns) for command, columns in rows}

    def printed(self, folder):
        parts = folder / "parts"
        segue("zoo", "mobilenet@64", "-o", folder / "m.tflite")
        split = segue("split", folder / "m.tflite", "--tpus", "2", "-o", parts, "--csv")
        (folder / "s.ndjson").write_text(segue("sweep", "zoo:conv5-f32", "--tpus", "1..6"))
        compiled = segue("compile", parts, "--compiler-cmd", COMPILER, "--csv")
        plan = segue("plan", "zoo:resnet50", "--device", "1xedgetpu-usb3,1xedgetpu-pcie", "--csv")
        of_set = segue("plan", "--models", "zoo:conv5-f32:30/s,zoo:mobilenet@64", "--tpus", "2",
                       "--csv", "-o", folder / "set.json")
        return {"plan": plan, "split": split, "compile": compiled, "plan --models": of_set,
                "run --plan": segue("run", "--plan", folder / "set.json", "--inputs", "2", "--csv"),
                "plan --operators": segue("plan", MODEL, "--tpus", "2", "--operators", "--csv"),
                "simulate": segue("simulate", MODEL, "--tpus", "2", "--csv"),
                "run": segue("run", parts, "--inputs", "2", "--csv"),
                "compare": segue("compare", MODEL, "--tpus", "1..2", "--csv"),
                "merge": segue("merge", "--csv", folder / "s.ndjson"),
                "verify": segue("verify", folder / "m.tflite", parts, "--csv"),
                "inspect MODEL": segue("inspect", folder / "m.tflite", "--csv"),
                "inspect DIR": segue("inspect", parts, "--csv"),
                "devices": segue("devices", "--edgetpu-library", LIBRARY, "--csv"),
                "zoo": segue("zoo", "--csv"),
                "paper accuracy": segue("paper", "accuracy", "--csv")}

    def test_are_those_of_the_documentation(self):
        documented = self.documented()
        with tempfile.TemporaryDirectory(prefix="segue-columns-") as folder:
            printed = self.printed(Path(folder))
        # tests/report_test.cc tests the remaining command.
        self.assertEqual(set(documented) - {"inspect COMPILED"}, set(printed))
        for command, text in printed.items():
            columns = next(csv.reader(io.StringIO(text)))
            with self.subTest(command=command):
                self.assertEqual(columns, documented[command])
                if command != "paper accuracy":
                    self.assertEqual([c for c in columns if re.search("_(ms|us|s|mib|kib|%)$", c, re.I)
                                      and not c.endswith("per_s")], [])
        commands = (ROOT / "docs" / "commands.md").read_text().split("\n## segue ")[1:]
        with_csv = {part.split("\n")[0] for part in commands if "`--csv`" in part}
        self.assertEqual(with_csv, {re.sub(" (--[a-z]+|[A-Z]+)$", "", name) for name in printed})


def on_terminal(columns, *arguments, folder=None):
    """Returns what a command prints on a terminal of this width."""
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    child = subprocess.Popen([SEGUE, *map(str, arguments)], stdout=writer, stderr=subprocess.DEVNULL,
                             cwd=folder)
    os.close(writer)
    output = b""
    while True:
        try:
            part = os.read(reader, 65536)
        except OSError:
            break
        if not part:
            break
        output += part
    os.close(reader)
    child.wait()
    return output.decode().replace("\r\n", "\n")


class Width(unittest.TestCase):
    COMMANDS = (["plan", "zoo:resnet101", "--tpus", "16"],
                ["plan", "zoo:resnet50", "--device", "2xedgetpu-usb3,3xedgetpu-pcie:shared"],
                ["plan", MODEL, "--tpus", "3", "--operators"],
                ["plan", "zoo:efficientnetliteb0", "--tpus", "auto"],
                ["compare", "zoo:resnet50", "--tpus", "1..4"],
                ["simulate", "zoo:resnet50", "--tpus", "6"],
                ["plan", "zoo:yolov8n@320", "--tpus", "3", "--detect"],
                ["simulate", "zoo:yolov8n@320", "--tpus", "3", "--detect"],
                ["inspect", "zoo:nasnetmobile"], ["inspect", "parts"],
                ["split", "zoo:conv5-f32", "--tpus", "2", "-o", "other"],
                ["verify", "m.tflite", "parts"], ["verify", "zoo:resnet50", "plan.json"],
                ["run", "parts", "--inputs", "2"],
                ["run", "parts", "--inputs", "2", "--backend", "simulated", "--time-scale", "0"],
                ["merge", "s.ndjson"], ["zoo"], ["devices", "--edgetpu-library", LIBRARY], ["doctor"],
                ["compile", "parts", "--compiler-cmd", COMPILER],
                ["report", MODEL, "--tpus", "1..2", "-o", "page.html"],
                ["paper", "accuracy"], ["paper", "figure", "5"], ["paper", "table", "memory"],
                ["plan", "--help"], ["run", "--help"], ["--help"])

    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory(prefix="segue-width-")
        cls.folder = Path(cls.scratch.name)
        segue("zoo", "mobilenet@64", "-o", "m.tflite", folder=cls.folder)
        segue("split", "m.tflite", "--tpus", "2", "-o", "parts", folder=cls.folder)
        segue("compile", "parts", "--compiler-cmd", COMPILER, folder=cls.folder)
        segue("plan", "zoo:resnet50", "--tpus", "4", "-o", "plan.json", folder=cls.folder)
        (cls.folder / "s.ndjson").write_text(segue("sweep", "zoo:conv5-f32", "--tpus", "1..6"))

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def test_of_a_pipe_is_80_columns(self):
        for arguments in self.COMMANDS:
            done = subprocess.run([SEGUE, *arguments], capture_output=True, text=True, check=False,
                                  cwd=self.folder)
            with self.subTest(arguments=arguments):
                self.assertNotEqual(done.stdout, "", done.stderr)
                self.assertEqual([line for line in done.stdout.splitlines() if len(line) > 80], [])

    def test_of_a_terminal_is_its_own(self):
        for arguments in self.COMMANDS[4:8]:
            for columns in (60, 100):
                text = on_terminal(columns, *arguments, folder=self.folder)
                with self.subTest(arguments=arguments, columns=columns):
                    self.assertEqual([line for line in text.splitlines() if len(line) > columns], [])
            wide = on_terminal(250, *arguments, folder=self.folder)
            self.assertGreater(max(map(len, wide.splitlines())), 80, arguments)
            self.assertNotIn("not shown", wide)


class Golden(unittest.TestCase):
    def test_output_matches_golden_files(self):
        for name, arguments in (("plan", ["plan", MODEL, "--tpus", "3"]),
                                ("operators", ["plan", MODEL, "--tpus", "3", "--operators"]),
                                ("simulate", ["simulate", MODEL, "--tpus", "3"]),
                                ("compare", ["compare", MODEL, "--tpus", "1..3"])):
            for kind, options in (("txt", []), ("csv", ["--csv"]), ("json", ["--json"])):
                if (name, kind) == ("operators", "json"):
                    continue
                path = GOLDEN / f"{name}.{kind}"
                output = segue(*arguments, *options)
                if "SEGUE_UPDATE_DOCS" in os.environ:
                    GOLDEN.mkdir(exist_ok=True)
                    path.write_text(output)
                with self.subTest(file=path.name):
                    self.assertEqual(output, path.read_text())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
