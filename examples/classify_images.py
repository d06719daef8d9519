#!/usr/bin/env python3
"""Classifies all images in a folder with a model that is cut for several devices.

    classify_images.py MODEL IMAGES [--tpus N] [--labels FILE] [--edgetpu]

MODEL is an image classifier with one 8-bit input [1, H, W, 3], or a folder of its segments from `segue split`. The
segments run on this machine's cores. With --edgetpu they run on all Edge TPUs of this machine; MODEL is then a folder
whose segments `segue compile` has compiled.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import segue


def to_array(path: Path, port: segue.Port) -> np.ndarray:
    """Returns the image in the size and type of the model's input; int8 values are uint8 values minus 128."""
    _, height, width, _ = port.shape
    pixels = np.asarray(Image.open(path).convert("RGB").resize((width, height)), dtype=np.uint8)
    if port.type == "INT8":
        pixels = (pixels.astype(np.int16) - 128).astype(np.int8)
    return np.ascontiguousarray(pixels[np.newaxis])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("images", type=Path)
    parser.add_argument("--tpus", type=int, default=2)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--edgetpu", action="store_true")
    options = parser.parse_args()

    backends = None
    if options.edgetpu:
        backends = [segue.edgetpu_backend(name) for name, _ in segue.edgetpu_devices()]
    source, model = options.model, None
    if not Path(source).is_dir():
        model = segue.open_model(source)
        source = segue.plan(model, options.tpus)
    labels = options.labels.read_text().splitlines() if options.labels else []
    files = sorted(p for p in options.images.iterdir() if p.suffix.lower() in {".jpg", ".jpeg", ".png", ".bmp", ".ppm"})

    with segue.Pipeline(source, model, backends=backends) as pipeline:
        port = pipeline.inputs[0]
        results = pipeline.run(to_array(file, port) for file in files)
        for file, result in zip(files, results):
            (scores,) = result.outputs.values()
            best = int(scores.reshape(-1).argmax())
            print(f"{file.name}: {labels[best] if best < len(labels) else f'class {best}'}")
        print(f"{len(files)} images, {pipeline.statistics().throughput_per_s:.1f} per second (measured)")


if __name__ == "__main__":
    main()
