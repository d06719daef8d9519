"""The HTTP API of DeepStack and CodeProject.AI, as Frigate, Blue Iris and Agent DVR call it."""

from __future__ import annotations

import math
from typing import Any

from starlette.datastructures import FormData, UploadFile

from segue.serve.detection import Detection, Found
from segue.serve.errors import Refused

DEFAULT_CONFIDENCE = 0.4
MOST_FIELDS = 20


def min_confidence_of(form: FormData) -> float:
    """Returns the field min_confidence; raises Refused with status 400."""
    text = form.get("min_confidence", "")
    if text == "":
        return DEFAULT_CONFIDENCE
    try:
        value = float(str(text))
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise Refused(400, f"min_confidence must be a number from 0 to 1, not '{str(text)[:20]}'")
    return value


async def image_of(form: FormData) -> bytes:
    """Returns the file `image`, or the only file of any name. Raises Refused with status 400."""
    files = {name: value for name, value in form.multi_items() if isinstance(value, UploadFile)}
    file = files.get("image") or (next(iter(files.values())) if len(files) == 1 else None)
    if file is None:
        raise Refused(400, "no valid image file found: send it as the file 'image' of a form")
    return await file.read()


def answer(found: Found, min_confidence: float, detection: Detection) -> dict[str, Any]:
    """Returns the response; boxes are in pixels of the image."""
    predictions = [
        {
            "label": detection.label(box.class_id),
            "confidence": float(box.score),
            "x_min": round(box.left),
            "y_min": round(box.top),
            "x_max": round(box.right),
            "y_max": round(box.bottom),
        }
        for box in found.detections
        if box.score >= min_confidence
    ]
    labels = ", ".join(str(prediction["label"]) for prediction in predictions[:3])
    return {
        "success": True,
        "code": 200,
        "command": "detect",
        "message": f"Found {labels}" if predictions else "No objects found",
        "count": len(predictions),
        "predictions": predictions,
        "inferenceMs": round(found.inference_ms),
        "processMs": round(found.total_ms),
        "analysisRoundTripMs": round(found.total_ms),
    }
