#!/usr/bin/env python3
"""Compares models of current TensorFlow, from Keras to `segue run`, with TensorFlow's results.

    tensorflow_test.py SEGUE RUNTIME FOLDER

The first run installs TensorFlow from PyPI into an environment in FOLDER.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PACKAGES = ["tensorflow-cpu==2.21.0", "keras==3.15.1"]
SOURCE = Path(__file__).resolve().parent.parent
SEGUE, RUNTIME, FOLDER = (Path(argument).resolve() for argument in sys.argv[1:4])
SIZE = 32
CLASSES = ("red disc", "green square", "blue triangle", "yellow cross")


def enter_environment():
    """Continues in the environment that has TensorFlow, and installs it if it is not complete."""
    python, mark = FOLDER / "bin" / "python", FOLDER / "installed"
    if not mark.exists() or mark.read_text() != "\n".join(PACKAGES):
        subprocess.run([sys.executable, "-m", "venv", "--clear", FOLDER], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        mark.write_text("\n".join(PACKAGES))
    if Path(sys.prefix) != FOLDER:
        os.execv(python, [python, __file__, *sys.argv[1:]])


enter_environment()
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import layers  # noqa: E402


def segue(*arguments):
    environment = {**os.environ, "SEGUE_TFLITE_LIB": str(RUNTIME)}
    done = subprocess.run([SEGUE, *map(str, arguments)], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"segue {' '.join(map(str, arguments))}: exit status {done.returncode}\n{done.stderr}")
    return done.stdout


def convert(model, samples, path):
    """Converts a model to int8 with a batch of one, like examples/keras_to_tflite.py."""
    with tempfile.TemporaryDirectory() as folder:
        signature = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
        model.export(folder, verbose=False, input_signature=[signature])
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([sample[None]] for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        path.write_bytes(converter.convert())


def interpreter(path):
    """Returns TensorFlow's interpreter with the kernels of `--kernels builtin`."""
    kernels = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    made = tf.lite.Interpreter(str(path), experimental_op_resolver_type=kernels)
    made.allocate_tensors()
    return made


def tensorflow_outputs(path, inputs):
    runner = interpreter(path)
    results = []
    for value in inputs:
        runner.set_tensor(runner.get_input_details()[0]["index"], value)
        runner.invoke()
        results.append(runner.get_tensor(runner.get_output_details()[0]["index"])[0].tolist())
    return results


def best_classes(segments, files, labels):
    """Returns the five best classes of each file with their scores."""
    report = json.loads(segue("run", segments, "--json", "--labels", labels, "--input", *files))
    return [item["classes"] for item in report["classified"]]


def picture(random, number):
    """Draws a shape in its class's colour at a random place on noise; RGB in the range of int8."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    radius = random.integers(6, 10)
    y, x = random.integers(radius, SIZE - radius, 2)
    down, right = rows - y, columns - x
    shape = (down**2 + right**2 <= radius**2,
             np.maximum(abs(down), abs(right)) <= radius * 0.8,
             (abs(right) <= (down + radius) / 2) & (down <= radius),
             (np.minimum(abs(down), abs(right)) <= 2) & (np.maximum(abs(down), abs(right)) <= radius))[number]
    colour = ((220, 30, 30), (30, 200, 40), (40, 60, 230), (230, 220, 30))[number]
    pixels = random.integers(60, 140, (SIZE, SIZE, 3))
    pixels[shape] = colour + random.integers(-25, 26, (int(shape.sum()), 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def pictures(seed, of_each):
    random = np.random.default_rng(seed)
    numbers = np.arange(of_each * len(CLASSES)) % len(CLASSES)
    return np.stack([picture(random, number) for number in numbers]), numbers


def write_ppm(path, pixels):
    path.write_bytes(b"P6 %d %d 255\n" % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes())


def trained_classifier():
    keras.utils.set_random_seed(1)
    model = keras.Sequential([
        keras.Input((SIZE, SIZE, 3)),
        layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.GlobalMaxPooling2D(),
        layers.Dense(len(CLASSES), activation="softmax"),
    ])
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    pixels, numbers = pictures(1, 100)
    model.fit(pixels / np.float32(255), numbers, epochs=15, batch_size=32, verbose=0)
    return model, pixels


def branching_network(outputs):
    """Makes a network with each kind of operator of classifiers, and statistics of a trained one."""
    keras.utils.set_random_seed(2)
    random = np.random.default_rng(2)
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(16, 3, strides=2, use_bias=False)(image)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    y = layers.Conv2D(16, 1, use_bias=False)(layers.ReLU()(layers.BatchNormalization()(y)))
    x = layers.Add()([x, layers.BatchNormalization()(y)])
    left = layers.Conv2D(8, 1, activation="relu")(layers.AveragePooling2D(3, 1, padding="same")(x))
    right = layers.Conv2D(24, 3, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D(2)(layers.Concatenate()([left, right]))
    x = layers.Dense(32, activation="relu")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, layers.Dense(outputs)(x))
    for variable in model.variables:
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
        elif variable.name in ("beta", "bias", "moving_mean"):
            variable.assign(random.normal(0, 0.2, variable.shape))
    return model


class TensorFlowTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name)

    def split(self, model, tpus, strategy="optimal"):
        folder = self.folder / f"{model.stem}-{tpus}-{strategy}"
        segue("split", model, "--tpus", tpus, "--strategy", strategy, "-o", folder)
        return folder

    def test_example_converter_fixes_batch(self):
        model = self.folder / "mobilenet.tflite"
        subprocess.run([sys.executable, SOURCE / "examples" / "keras_to_tflite.py", model, "MobileNet"],
                       check=True, capture_output=True, text=True)
        for tensor in interpreter(model).get_tensor_details():
            self.assertNotIn(-1, tensor["shape_signature"], tensor["name"])
        operators = json.loads(segue("inspect", model, "--json"))["operators"]
        ours = json.loads(segue("inspect", "zoo:mobilenet", "--json"))["operators"]
        self.assertEqual(len(operators), 31)
        self.assertEqual([operator["operator"] for operator in operators], [operator["operator"] for operator in ours])
        segue("verify", model, self.split(model, 3))

    def test_trained_classifier_names_every_picture(self):
        classifier, samples = trained_classifier()
        model = self.folder / "classifier.tflite"
        convert(classifier, samples[:100] / np.float32(255), model)
        labels = self.folder / "labels.txt"
        labels.write_text("\n".join(CLASSES))
        pixels, numbers = pictures(2, 10)
        files = [self.folder / f"picture-{i}.ppm" for i in range(len(pixels))]
        for file, one in zip(files, pixels):
            write_ppm(file, one)
        for tpus in (1, 2):
            best = [classes[0]["label"] for classes in best_classes(self.split(model, tpus), files, labels)]
            self.assertEqual(best, [CLASSES[number] for number in numbers])

    def test_outputs_match_tensorflow(self):
        # `run` prints the five best classes, which are all values of a head of five.
        outputs = 5
        random = np.random.default_rng(3)
        model = self.folder / "branching.tflite"
        convert(branching_network(outputs), random.uniform(-1, 1, (20, SIZE, SIZE, 3)).astype(np.float32), model)
        inputs = list(random.integers(-128, 128, (10, 1, SIZE, SIZE, 3), np.int8))
        inputs += [np.full((1, SIZE, SIZE, 3), value, np.int8) for value in (-128, 0, 127)]
        files = [self.folder / f"input-{i}.raw" for i in range(len(inputs))]
        for file, value in zip(files, inputs):
            file.write_bytes(value.tobytes())
        labels = self.folder / "numbers.txt"
        labels.write_text("\n".join(f"output {i}" for i in range(outputs)))
        expected = tensorflow_outputs(model, inputs)
        self.assertGreater(len(set(np.ravel(expected).tolist())), 20)
        for tpus, strategy in ((1, "optimal"), (2, "optimal"), (3, "compiler"), (3, "balanced")):
            values = [[round(of["score"] * 256) - 128 for of in sorted(classes, key=lambda of: of["index"])]
                      for classes in best_classes(self.split(model, tpus, strategy), files, labels)]
            self.assertEqual(values, expected, (tpus, strategy))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
