"""Sweeps on the processors of a cluster, with the same lines as `segue sweep`."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from pathlib import Path
from typing import Any, Iterable, Sequence, Union

import ray

import segue
from segue import _segue
from segue._segue import version
from segue.cluster.stage import Failure, Store
from segue.cluster.workers import connect, reason_of
from segue.errors import Error

# There are several shards for each processor, so that all are busy until the end.
SHARDS_PER_CPU = 4
# How many times a shard runs again after its node was lost.
RETRIES = 10

# A name that every host knows, or a file with its name, hash and content.
Source = Union[str, tuple[str, str, Any]]


def sweep(
    models: Iterable[str],
    *,
    tpus: Iterable[int] = range(1, 9),
    devices: Iterable[str] = ("edgetpu-pcie",),
    strategies: Iterable[str] | None = None,
    max_replicas: int = 0,
    address: str | None = "auto",
    cache_folder: str | None = None,
) -> list[dict[str, Any]]:
    """Plans all combinations on a cluster; returns what segue.sweep returns.

    models, devices: names, or files of this host, which are sent once to each node.
    """
    chosen = segue.strategy_names() if strategies is None else list(strategies)
    lines = sweep_lines(
        list(models), list(tpus), list(devices), chosen, max_replicas, address, cache_folder
    )
    return [json.loads(line) for line in lines]


def sweep_lines(
    models: Sequence[str],
    tpus: Sequence[int],
    devices: Sequence[str],
    strategies: Sequence[str],
    max_replicas: int,
    address: str | None,
    cache_folder: str | None = None,
) -> list[str]:
    """Returns the lines of all jobs, in their order."""
    connect(address)
    jobs = len(models) * len(tpus) * len(devices) * len(strategies)
    shards = max(1, min(jobs, SHARDS_PER_CPU * int(ray.cluster_resources().get("CPU", 1))))
    task = ray.remote(_run_shard).options(num_cpus=1, max_retries=RETRIES)
    sources = [[_source(name) for name in names] for names in (models, devices)]
    # References inside a list are passed on as they are; only nodes without the file fetch it.
    calls = [
        task.remote(sources, list(tpus), list(strategies), max_replicas, f"{i + 1}/{shards}",
                    cache_folder, version())
        for i in range(shards)
    ]  # fmt: skip
    by_shard = [_answer(call) for call in calls]
    # Job j belongs to shard j mod n.
    total = sum(map(len, by_shard))
    lines = [by_shard[job % shards][job // shards] for job in range(total)]
    return _with_id_of_this_host(lines, models, tpus, devices, strategies, max_replicas)


def _with_id_of_this_host(
    lines: Sequence[str],
    models: Sequence[str],
    tpus: Sequence[int],
    devices: Sequence[str],
    strategies: Sequence[str],
    max_replicas: int,
) -> list[str]:
    """Replaces the hash of the sweep, which covers the paths of the models, by this host's."""
    shard = f"1/{len(lines)}"
    own = _segue.sweep_lines(
        list(models), list(tpus), list(devices), list(strategies), max_replicas, shard, 1
    )
    wanted = f'"sweep":"{json.loads(own[0])["sweep"]}"'
    return [re.sub('"sweep":"[0-9a-f]*"', wanted, line, count=1) for line in lines]


def _answer(call: Any) -> list[str]:
    try:
        answer = ray.get(call)
    except ray.exceptions.RayError as error:
        raise Error(f"a shard of the sweep failed: {reason_of(error)}", "device") from error
    if isinstance(answer, Failure):
        raise Error(answer.message, answer.code)
    lines: list[str] = answer
    return lines


def _source(name: str) -> Source:
    path = Path(name)
    if name.startswith("zoo:") or not path.is_file():
        return name
    data = path.read_bytes()
    return path.name, hashlib.sha256(data).hexdigest(), ray.put(data)


def _run_shard(
    sources: Sequence[Sequence[Source]],
    tpus: list[int],
    strategies: list[str],
    max_replicas: int,
    shard: str,
    cache_folder: str | None,
    wanted_version: str,
) -> list[str] | Failure:
    """Runs a shard on a node."""
    try:
        if version() != wanted_version:
            message = f"a node has Segue {version()}, but the sweep is of {wanted_version}"
            return Failure("mismatch", message)
        store = Store(cache_folder)
        with tempfile.TemporaryDirectory(prefix="segue-sweep-") as folder:
            models, devices = (
                [_on_this_node(source, store, Path(folder)) for source in of] for of in sources
            )
            return _segue.sweep_lines(models, tpus, devices, strategies, max_replicas, shard, 1)
    except Error as error:
        return Failure(error.code, str(error))
    except OSError as error:
        return Failure("io", str(error))


def _on_this_node(source: Source, store: Store, folder: Path) -> str:
    """Returns a path that ends in the file's original name, because lines contain this name."""
    if isinstance(source, str):
        return source
    name, sha256, data = source
    if not store.has(sha256):
        store.put(sha256, ray.get(data))
    own = folder / sha256
    own.mkdir(exist_ok=True)
    (own / name).symlink_to(store.checked(sha256))
    return str(own / name)
