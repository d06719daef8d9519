"""Pipelines and sweeps on the hosts of a Ray cluster (docs/cluster.md).

    import segue
    from segue.cluster import ClusterPipeline

    with ClusterPipeline(plan, "model.tflite", backend="edgetpu", compiler="edgetpu_compiler") as p:
        for result in p.run(images):
            result.outputs

The names below need the package `ray`; the rest of Segue does not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segue.cluster.pipeline import ClusterPipeline
    from segue.cluster.statistics import DeviceLoss, PipelineStatistics, Result
    from segue.cluster.sweeping import sweep

_MODULES = {
    "ClusterPipeline": "pipeline",
    "DeviceLoss": "statistics",
    "PipelineStatistics": "statistics",
    "Result": "statistics",
    "sweep": "sweeping",
}

__all__ = ["ClusterPipeline", "DeviceLoss", "PipelineStatistics", "Result", "sweep"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'segue.cluster' has no attribute '{name}'")
    try:
        module = importlib.import_module(f"segue.cluster.{_MODULES[name]}")
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            f"segue.cluster: {missing.name} is missing; install the wheel with [cluster]",
            name=missing.name,
        ) from missing
    return getattr(module, name)
