#!/usr/bin/env python3
"""Converts a Keras model to a file for Edge TPUs: all int8, with scales from sample inputs.

    keras_to_tflite.py OUTPUT.tflite [KERAS_APPLICATION]

It needs TensorFlow (`pip install tensorflow-cpu`). The default application is ResNet50, untrained, so that nothing is
downloaded. Load your own model instead, and give its converter some hundred real inputs instead of noise.
"""

import sys
import tempfile

import numpy as np
import tensorflow as tf

SAMPLES = 8


def main() -> None:
    output, name = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "ResNet50"
    network = getattr(tf.keras.applications, name)(weights=None)
    # The batch is fixed to one, because the Edge TPU's compiler does not accept variable shapes. Without a signature,
    # `export` would make the batch variable again.
    shape = (1, *network.input_shape[1:])
    random = np.random.default_rng(1)

    with tempfile.TemporaryDirectory() as folder:
        network.export(folder, verbose=False, input_signature=[tf.TensorSpec(shape, tf.float32)])
        write_tflite(folder, shape, random, output)


def write_tflite(folder: str, shape: tuple, random: np.random.Generator, output: str) -> None:
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [random.uniform(-1, 1, shape).astype(np.float32)] for _ in range(SAMPLES)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    with open(output, "wb") as file:
        file.write(converter.convert())


if __name__ == "__main__":
    main()
