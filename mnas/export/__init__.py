"""Networks out into the world, one file a kind of consumer.

text         a spec, TF block strings, timm's arch_def: the architecture alone
stablehlo    a program with its weights, for any process that has JAX
onnx         the same for ONNX runtimes

Weights alone, for timm or for us, are `mnas.nn.weights`.
"""

TEXT_FORMATS = ("json", "tf", "timm")
WEIGHT_FORMATS = ("safetensors", "stablehlo", "onnx")
FORMATS = (*TEXT_FORMATS, *WEIGHT_FORMATS)
