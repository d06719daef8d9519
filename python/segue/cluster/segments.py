"""The segments that are sent to the nodes, and the tensors that they pass on."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

import segue
from segue._segue import Model, Plan, Port
from segue.cluster.pieces import piece_count, port_like
from segue.cluster.stage import Opened
from segue.errors import Error


@dataclass(frozen=True)
class Seat:
    """Where a replica runs: the node and the kind of device, if the plan names them."""

    node: str | None = None
    device: str | None = None


@dataclass(frozen=True)
class Segment:
    name: str
    data: bytes
    sha256: str
    seats: list[Seat]  # of the replicas


def segments_of_plan(model: Model, plan: Plan, compiler: str | None) -> list[Segment]:
    """compiler: the command that compiles the segments for the Edge TPU; None: no compilation."""
    with tempfile.TemporaryDirectory(prefix="segue-cluster-") as folder:
        segue.split(model, plan, folder)
        if compiler is not None:
            report = segue.compile(folder, compiler=compiler)
            if not report:
                raise Error(f"a segment was not compiled: {report}", "compiler")
        return segments_of_folder(Path(folder), compiler is not None)


def common_device(devices: str) -> str | None:
    """The device of a plan; of several groups their kind, None if they are of different kinds."""
    if "," not in devices:
        return devices
    kinds = {_kind_of(device) for device in devices.split(",")}
    return kinds.pop() if len(kinds) == 1 else None


def _kind_of(device: str) -> str:
    """edgetpu-usb3 of "2xedgetpu-usb3:shared"."""
    return re.sub(r":(shared|separate)$", "", re.sub(r"^\d+x", "", device))


def seats_of(plan: Plan) -> list[list[Seat]]:
    """Of each stage's replicas. Only a plan for a topology names nodes."""
    written = json.loads(plan.to_json())
    kinds = [_kind_of(device) for device in written["device"].split(",")]
    nodes = written.get("network", {}).get("topology", {}).get("nodes", [])
    node = next((node["name"] for node in nodes if "devices" in node), None)
    seats = []
    for stage in written["stages"]:
        # Without a list of its own, all devices are equal and on one node.
        alone = [{"pool": 0, "replicas": stage["replicas"], "node": node}]
        seats.append([Seat(of.get("node"), kinds[of["pool"]])
                      for of in stage.get("devices", alone) for _ in range(of["replicas"])])  # fmt: skip
    return seats


def segments_of_folder(folder: Path, is_compiled: bool) -> list[Segment]:
    """Returns the only split in the folder; its plan.json, if any, has the replicas."""
    ending = "_edgetpu.tflite" if is_compiled else ".tflite"
    pattern = re.compile(r"(.*)_segment_(\d+)_of_(\d+)" + re.escape(ending))
    found = [(match, path) for path in folder.iterdir() if (match := pattern.fullmatch(path.name))]
    if not found:
        raise Error(f"{folder}: has no file NAME_segment_I_of_N{ending}; write them with "
                    f"{'segue compile' if is_compiled else 'segue split'}", "io")  # fmt: skip
    if len({(match[1], match[3]) for match, _ in found}) > 1:
        raise Error(f"{folder}: holds different splits; use a folder for each", "invalid_argument")
    files = {int(match[2]): path for match, path in found}
    count = int(found[0][0][3])
    missing = sorted(set(range(count)) - set(files))
    if missing:
        raise Error(f"{folder}: segment {missing[0]} of {count} is missing", "io")
    plan = folder / "plan.json"
    seats = seats_of(segue.read_plan(plan)) if plan.exists() else [[Seat()]] * count
    if len(seats) != count:
        raise Error(f"{plan}: has {len(seats)} stages, but there are {count} segments",
                    "mismatch")  # fmt: skip
    segments = []
    for index in range(count):
        data = files[index].read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        segments.append(Segment(f"segment {index} of {count}", data, sha256, seats[index]))
    return segments


@dataclass(frozen=True)
class Route:
    """The tensors that a stage reads and writes, and those that no later stage reads."""

    reads: list[str]
    writes: list[tuple[str, int]]  # name, and number of pieces
    frees: list[str]


@dataclass(frozen=True)
class Routing:
    inputs: list[Port]
    outputs: list[Port]
    stages: list[Route]


def route(stages: Sequence[Opened], inputs: Sequence[str], outputs: Sequence[str]) -> Routing:
    """inputs, outputs: names in order; empty: tensors that no other segment writes or reads."""
    ports: dict[str, Port] = {}
    written: list[str] = []
    read: dict[str, int] = {}  # the last stage that reads a tensor
    entering: list[str] = []
    for index, stage in enumerate(stages):
        for name, type_name, shape in stage.inputs:
            ports.setdefault(name, port_like(name, type_name, shape))
            read[name] = index
            if name not in written and name not in entering:
                entering.append(name)
        for name, type_name, shape in stage.outputs:
            if name in written or name in entering:
                raise Error(f"segment {index} writes '{name}', which an earlier segment reads or "
                            "writes", "invalid_argument")  # fmt: skip
            written.append(name)
            ports[name] = port_like(name, type_name, shape)
    order = list(inputs) or entering
    if strange := [name for name in entering if name not in order]:
        raise Error(f"tensor '{strange[0]}' is read, but no earlier segment writes it and it is no "
                    "input of the model", "invalid_argument")  # fmt: skip
    leaving = list(outputs) or [name for name in written if name not in read]
    if absent := [name for name in (*order, *leaving) if name not in ports]:
        raise Error(f"'{absent[0]}' is not a tensor of any segment", "invalid_argument")
    routes = [
        Route(
            [name for name, _, _ in stage.inputs],
            [(name, piece_count(ports[name].nbytes)) for name, _, _ in stage.outputs],
            [name for name, last in read.items() if last == index and name not in leaving],
        )
        for index, stage in enumerate(stages)
    ]
    return Routing([ports[name] for name in order], [ports[name] for name in leaving], routes)
