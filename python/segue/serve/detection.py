"""Makes labelled boxes from an image: decoding, the pipeline, and the model's detections."""

from __future__ import annotations

import asyncio
import io
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Callable, Sequence, TypeVar

import numpy as np
from PIL import Image

from segue import _segue
from segue.serve.engine import Array, Engine
from segue.serve.errors import Refused

# Clients can ask for this confidence or a higher one.
LOWEST_SCORE = 0.1
# 8K UHD. A small file can claim to be a huge image, which would fill the memory.
MOST_PIXELS = 7680 * 4320
# How to make pictures upright, by their EXIF orientation.
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Pillow also reads formats whose decoders are old and rarely tested.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")

T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """The detections of one image, best first, and the time that they took."""

    detections: list[_segue.Detection]
    inference_ms: float  # in the pipeline
    total_ms: float


class Detection:
    """Runs images through the pipeline; images are decoded and detections made in threads."""

    def __init__(
        self,
        engine: Engine,
        detector: _segue.Detector,
        output_names: Sequence[str],
        labels: Sequence[str],
        pool: ThreadPoolExecutor,
    ) -> None:
        self._engine = engine
        self._detector = detector
        self._output_names = list(output_names)  # in the order of the model's outputs
        self._labels = list(labels)
        self._pool = pool

    def label(self, class_id: int) -> str:
        known = 0 <= class_id < len(self._labels)
        return self._labels[class_id] if known else str(class_id)

    async def of_file(self, data: bytes) -> Found:
        """Raises Refused for data that is not an image, and the errors of Engine.run."""
        return await self._found(lambda: decode_image(data))

    async def of_pixels(self, pixels: Array) -> Found:
        """pixels: [height, width, 3], uint8, RGB."""
        return await self._found(lambda: pixels)

    async def _found(self, image: Callable[[], Array]) -> Found:
        begin = time.perf_counter()
        prepared, transform = await self._in_pool(lambda: self._detector.prepare(image()))
        result = await self._engine.run([prepared])
        outputs = [result.outputs[name] for name in self._output_names]
        found = await self._in_pool(lambda: self._detector.decode(outputs, transform))
        return Found(
            found,
            result.latency_ns / 1e6,
            (time.perf_counter() - begin) * 1e3,
        )

    async def _in_pool(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function)


def decode_image(data: bytes) -> Array:
    """Returns uint8 [height, width, 3], RGB, like read_picture (detection.h). Raises Refused."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if math.prod(image.size) > MOST_PIXELS:
                raise Image.DecompressionBombError
            image.load()  # raises an error if the pixels are damaged
            return np.asarray(_to_8_bits(_upright(image)).convert("RGB"))
    except Image.DecompressionBombError:  # Pillow has its own limit
        raise Refused(413, f"the limit of an image is {MOST_PIXELS} pixels") from None
    except Exception as error:
        # Decoders raise OSError, SyntaxError, ValueError and others on damaged files.
        raise Refused(400, f"invalid image file: {error}") from error


def _upright(image: Image.Image) -> Image.Image:
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a damaged EXIF block is ignored
        return image
    return image if turn is None else image.transpose(turn)


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Reduces 16-bit grey to its upper byte; Pillow would make values above 255 white."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
