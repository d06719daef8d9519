"""Balanced CNN segments for several Edge TPUs.

    import segue

    model = segue.open_model("model.tflite")
    plan = segue.plan(model, tpus=4)
    print(plan)
    segue.split(model, plan, "parts")
    assert segue.verify(model, "parts")

    with segue.Pipeline("parts") as pipeline:
        for result in pipeline.run(images):
            result.outputs

Byte counts and times of plans are simulated; the times that a pipeline reports are measured. All
failures raise segue.Error, whose `code` names the kind of failure.
"""

from segue._segue import (
    Backend,
    Certificate,
    CompileReport,
    Detection,
    Detector,
    DeviceLoss,
    Finding,
    LatencyStatistics,
    Level,
    Model,
    Operator,
    PicturePlacement,
    PipelineStatistics,
    Plan,
    Port,
    Prediction,
    Result,
    SegmentTime,
    Session,
    SetPlan,
    Stage,
    StageStatistics,
    Tensor,
    Timeline,
    VerifyReport,
    callable_backend,
    cpu_backend,
    device_names,
    edgetpu_backend,
    edgetpu_devices,
    open_devices,
    open_model,
    open_session,
    parse_plan,
    read_plan,
    read_set,
    runtime_names,
    simulate,
    simulated_backend,
    simulated_trace,
    strategy_names,
    version,
    zoo_names,
)
from segue.errors import Error
from segue.pipeline import Pipeline
from segue.planning import compare, plan, plan_at, split, verify
from segue.sets import Demand, open_set, plan_set
from segue.tools import (
    calibrate,
    check_certificate,
    compile,
    doctor,
    merge_sweep,
    report,
    sweep,
    write_probes,
)

__version__ = version()

__all__ = [
    "Backend",
    "Certificate",
    "CompileReport",
    "Demand",
    "Detection",
    "Detector",
    "DeviceLoss",
    "Error",
    "Finding",
    "LatencyStatistics",
    "Level",
    "Model",
    "Operator",
    "PicturePlacement",
    "Pipeline",
    "PipelineStatistics",
    "Plan",
    "Port",
    "Prediction",
    "Result",
    "SegmentTime",
    "Session",
    "SetPlan",
    "Stage",
    "StageStatistics",
    "Tensor",
    "Timeline",
    "VerifyReport",
    "__version__",
    "calibrate",
    "callable_backend",
    "check_certificate",
    "compare",
    "compile",
    "cpu_backend",
    "device_names",
    "doctor",
    "edgetpu_backend",
    "edgetpu_devices",
    "merge_sweep",
    "open_devices",
    "open_model",
    "open_session",
    "open_set",
    "parse_plan",
    "plan",
    "plan_at",
    "plan_set",
    "read_plan",
    "read_set",
    "report",
    "runtime_names",
    "simulate",
    "simulated_backend",
    "simulated_trace",
    "split",
    "strategy_names",
    "sweep",
    "verify",
    "write_probes",
    "zoo_names",
]
