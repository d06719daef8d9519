"""Several models on one set of Edge TPUs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Sequence

from segue import _segue
from segue._segue import Backend, DeviceLoss, Model, SetPlan
from segue.pipeline import Pipeline
from segue.planning import AnyModel, to_model


@dataclass(frozen=True)
class Demand:
    """A model of a set, and what it must achieve.

    rate_per_s: inferences per second. Without it, the model gets what the others leave, in
    proportion to its weight. max_latency_ms: of one inference, with waiting for other models.
    """

    model: AnyModel
    rate_per_s: float | None = None
    max_latency_ms: float | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.rate_per_s is not None and self.weight != 1.0:
            raise ValueError("a weight applies to models without rate_per_s; remove one of them")


def plan_set(
    demands: Sequence[Demand], device: str = "1xedgetpu-pcie", *, headroom: float = 0.1
) -> SetPlan:
    """Plans which models share a TPU, which have their own, and how each is cut.

    device: equal devices with their number. headroom: share of each TPU that stays free.

    Raises Error with code "infeasible" if the demands cannot be met.
    """
    return _segue.plan_set(
        [
            _segue.SetDemand(
                to_model(demand.model),
                "" if isinstance(demand.model, Model) else os.fspath(demand.model),
                demand.rate_per_s,
                demand.max_latency_ms,
                demand.weight,
            )
            for demand in demands
        ],
        device,
        headroom,
    )


def open_set(
    plan: SetPlan | str | os.PathLike[str],
    models: Sequence[AnyModel] | None = None,
    *,
    backends: Backend | Sequence[Backend] | None = None,
    folder: str | os.PathLike[str] | None = None,
    time_scale: float | None = None,
    queue_capacity: int = 2,
    result_capacity: int = 2,
    watchdog_s: float = 30.0,
    on_loss: Callable[[str, DeviceLoss], object] | None = None,
) -> dict[str, Pipeline]:
    """Opens the pipelines of a set, by the names of its models; they share the devices.

    plan: a plan or its set.json. models: in the order of the plan (default: their sources).
    backends: one for each TPU of the plan, those left over being spares, or a single one for all
    (default: the CPU). folder: what `segue compile` wrote, for Edge TPUs. time_scale: if given,
    inferences take the times of the plan, multiplied by this factor. on_loss is called with the
    name of a model and its loss, in a thread of its pipeline.
    """
    if not isinstance(plan, SetPlan):
        plan = _segue.read_set(Path(plan))
    if backends is None:
        backends = _segue.cpu_backend()
    devices = [backends] * plan.device_count if isinstance(backends, Backend) else list(backends)
    raw = _segue.open_set(
        plan,
        [to_model(model) for model in (plan.sources if models is None else models)],
        None if folder is None else Path(folder),
        [(f"device {number}", backend) for number, backend in enumerate(devices)],
        time_scale,
        queue_capacity,
        result_capacity,
        watchdog_s,
        on_loss,
    )
    return {name: Pipeline._of(pipeline) for name, pipeline in zip(plan.model_names, raw)}
