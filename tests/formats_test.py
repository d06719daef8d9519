#!/usr/bin/python3
"""What commands print: JSON is what its schema in docs/schemas says, text, CSV and JSON of the same
plan carry the same numbers, and all of it is what it was (tests/golden; SEGUE_UPDATE_DOCS=1 writes
that anew).

    formats_test.py SEGUE STAND_IN_COMPILER STAND_IN_LIBRARY
"""

import csv
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SKIPPED = 77
try:
    import jsonschema
except ImportError:
    print("skipped: no jsonschema for /usr/bin/python3; scripts/setup installs it")
    sys.exit(SKIPPED)

SEGUE, COMPILER, LIBRARY = sys.argv[1:4]
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


def table_of(text, first):
    """Rows of the table in a text whose head begins with the column `first`."""
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.split()[:1] == [first])
    end = next((i for i in range(at, len(lines)) if not lines[i].strip()), len(lines))
    head = lines[at].split()
    return [dict(zip(head, line.split())) for line in lines[at + 1:end]]


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
        tested.add("segue.plan/1")  # read, no longer written: ParsePlan.VersionOneIsRead
        tested.discard("segue.device/1")  # what users write; its reader names the key at fault
        self.assertEqual({path.name for path in SCHEMAS.iterdir()},
                         {f"{name.replace('/', '.')}.json" for name in tested})

    def test_model_documents_are_valid(self):
        for arguments, name in (
                (["zoo"], "segue.zoo/1"),
                (["inspect", "zoo:nasnetmobile"], "segue.inspect/2"),
                (["simulate", "zoo:resnet50", "--tpus", "4"], "segue.simulate/2"),
                (["compare", "zoo:conv5-f32", "--tpus", "1..7"], "segue.compare/2"),
                (["compare", "zoo:densenet121", "--tpus", "1..3"], "segue.compare/2"),
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
        measured = segue("calibrate", "--edgetpu-library", LIBRARY, "--compiler-cmd", f"{COMPILER} takes={truth}",
                         "-o", self.folder / "host.json", "--json")
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
        shown = table_of(text, "stage")
        self.assertEqual(len(stages), len(document["stages"]))
        for stage, row, words in zip(document["stages"], stages, shown):
            for key in ("index", "first_depth", "last_depth", "parameter_bytes", "on_chip_bytes",
                        "host_bytes", "macs", "input_bytes", "output_bytes", "replicas"):
                self.assertEqual(int(row[key]), stage[key], key)
            self.assertEqual(int(row["operators"]), len(stage["operators"]))
            self.assertEqual(int(row["total_ns"]), stage["time_ns"]["total"])
            self.assertEqual(list(words.values())[:1] + list(words.values())[3:5],
                             [str(stage["index"]), f"{stage['on_chip_bytes'] / MIB:.2f}",
                              f"{stage['host_bytes'] / MIB:.2f}"])
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
        text = segue(*arguments)
        rows = rows_of(segue(*arguments, "--csv"))
        self.assertEqual(table_of(text, "stage"), rows)
        for stage, row in zip(document["stages"], rows):
            for key in ("fixed", "input", "compute", "streaming", "output", "total"):
                self.assertEqual(row[f"{key}_ms"], f"{stage['time_ns'][key] / 1e6:.2f}")
            self.assertEqual(row["on_chip_MiB"], f"{stage['on_chip_bytes'] / MIB:.2f}")
            self.assertEqual(row["host_MiB"], f"{stage['host_bytes'] / MIB:.2f}")
            self.assertEqual(row["largest_queue"], str(stage["largest_queue"]))
        self.assertIn(f"{document['throughput_per_s']:.1f}/s", text)
        for share in ("p50", "p99"):
            self.assertIn(f"{document[f'{share}_latency_ns'] / 1e6:.2f} ms ({share})", text)

    def test_comparison_formats_agree(self):
        arguments = ["compare", "zoo:resnet50", "--tpus", "1..4"]
        document = json.loads(segue(*arguments, "--json"))
        rows = rows_of(segue(*arguments, "--csv"))
        text = segue(*arguments)
        self.assertEqual(len(rows), len(document["rows"]))
        for row, one in zip(rows, document["rows"]):
            self.assertEqual((row["tpus"], row["strategy"]), (str(one["tpus"]), one["strategy"]))
            self.assertEqual(row["stages"], "+".join(map(str, one["replicas"])))
            self.assertEqual(row["host_MiB"], f"{one['host_bytes'] / MIB:.2f}")
            self.assertEqual(row["per_s"], f"{one['throughput_per_s']:.1f}")
            self.assertEqual(row["ms"], f"{one['bottleneck_ns'] / 1e6:.2f}")
            self.assertEqual(row["latency_ms"], f"{one['latency_ns'] / 1e6:.2f}")
            self.assertEqual(row["front"] == "*", one["pareto"])
            self.assertEqual((row["slowest"], row["cause"]),
                             (str(one["slowest_stage"]), one["slowest_cause"]))
            line = [cell for cell in row.values() if cell]
            self.assertTrue(any(shown.split() == line for shown in text.splitlines()), line)


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
