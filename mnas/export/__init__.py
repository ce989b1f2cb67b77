"""Export of architectures, and of networks with their weights, to other programs.

In: an `Architecture`; for files with weights also its variables, block by block
(`mnas.nn.network`). Out: text, or a file. UsageError for what a format cannot represent.

- `text`: a spec, TF block strings or timm's `arch_def`; no weights, no JAX;
- `stablehlo`: a serialized program with its weights, for processes that have JAX only;
- `onnx`: the same for ONNX runtimes;
- `formats`: all formats of `mnas export` by name.

Weights alone, by timm's names, are `mnas.nn.weights`. The package imports `mnas.architecture`,
`mnas.nn`, `mnas.files` and `mnas.errors`.
"""
