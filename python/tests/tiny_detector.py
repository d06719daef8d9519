"""A model in the form of YOLOv5: pictures of 32 x 32, 63 boxes of 3 classes, random weights."""

import numpy as np
import pytest

flatbuffers = pytest.importorskip("flatbuffers", reason="flatbuffers is not installed")
schema = pytest.importorskip(
    "ai_edge_litert.schema_py_generated", reason="ai-edge-litert is not installed"
)

SIZE = 32
BOXES = 3 * (4 * 4 + 2 * 2 + 1)
COLUMNS = 5 + 3


class _Model:
    def __init__(self):
        self.buffers = [schema.BufferT()]
        self.tensors = []
        self.operators = []
        self.codes = []

    def tensor(self, name, shape, scale=None, zero_point=0, data=None, kind=None):
        tensor = schema.TensorT()
        tensor.name = name
        tensor.shape = list(shape)
        tensor.type = schema.TensorType.INT8 if kind is None else kind
        tensor.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            self.buffers.append(buffer)
            tensor.buffer = len(self.buffers) - 1
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [scale]
            tensor.quantization.zeroPoint = [zero_point]
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def operator(self, code, inputs, output, options_type, options):
        entry = schema.OperatorCodeT()
        entry.builtinCode = entry.deprecatedBuiltinCode = code
        entry.version = 1
        self.codes.append(entry)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.codes) - 1
        operator.inputs = inputs
        operator.outputs = [output]
        operator.builtinOptionsType = options_type
        operator.builtinOptions = options
        self.operators.append(operator)

    def bytes(self, inputs, outputs):
        graph = schema.SubGraphT()
        graph.tensors = self.tensors
        graph.operators = self.operators
        graph.inputs = inputs
        graph.outputs = outputs
        model = schema.ModelT()
        model.version = 3
        model.operatorCodes = self.codes
        model.subgraphs = [graph]
        model.buffers = self.buffers
        builder = flatbuffers.Builder(1 << 21)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def tiny_detector():
    """Returns the bytes of the file."""
    random = np.random.default_rng(3)
    model = _Model()
    int32 = schema.TensorType.INT32
    picture = model.tensor("picture", [1, SIZE, SIZE, 3], 1 / 255, -128)

    weights = random.integers(-127, 128, (3, 1, 1, 3), dtype=np.int8)
    mixing = model.tensor("mixing", weights.shape, 1 / 127, 0, weights)
    zeros = model.tensor("zeros", [3], 1 / 255 / 127, 0, np.zeros(3, np.int32), int32)
    mixed = model.tensor("mixed", [1, SIZE, SIZE, 3], 1 / 127, 0)
    options = schema.Conv2DOptionsT()
    options.strideW = options.strideH = options.dilationWFactor = options.dilationHFactor = 1
    model.operator(
        schema.BuiltinOperator.CONV_2D,
        [picture, mixing, zeros],
        mixed,
        schema.BuiltinOptions.Conv2DOptions,
        options,
    )

    count = BOXES * COLUMNS
    weights = random.integers(-127, 128, (count, SIZE * SIZE * 3), dtype=np.int8)
    heads = model.tensor("heads", weights.shape, 1 / 127 / 32, 0, weights)
    bias = np.full(count, 127 * 127 * 32 // 3, np.int32)
    bias = model.tensor("bias", [count], 1 / 127 / 127 / 32, 0, bias, int32)
    flat = model.tensor("flat", [1, count], 1 / 255, -128)
    model.operator(
        schema.BuiltinOperator.FULLY_CONNECTED,
        [mixed, heads, bias],
        flat,
        schema.BuiltinOptions.FullyConnectedOptions,
        schema.FullyConnectedOptionsT(),
    )

    shape = np.array([1, BOXES, COLUMNS], np.int32)
    shape = model.tensor("shape", [3], None, 0, shape, int32)
    boxes = model.tensor("boxes", [1, BOXES, COLUMNS], 1 / 255, -128)
    options = schema.ReshapeOptionsT()
    options.newShape = [1, BOXES, COLUMNS]
    model.operator(
        schema.BuiltinOperator.RESHAPE,
        [flat, shape],
        boxes,
        schema.BuiltinOptions.ReshapeOptions,
        options,
    )
    return model.bytes([picture], [boxes])
