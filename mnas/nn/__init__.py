"""The Flax model: an architecture in, modules and variables out.

In: an `Architecture`, plain data. Out: Linen modules, one per block ('stem', 'stage1_layer1', ...,
'head'), and variables kept block by block, {block: {'params', 'batch_stats'}}. Feature maps are
NHWC, kernels HWIO, everything float32. Modules are hashable and equal exactly if they compile to
the same program.

    ops        convolutions, pooling and sums, in a form that XLA compiles well for CPUs
    norm       BatchNorm with activation, with a hand-written gradient
    blocks     stem, layers, head
    network    whole networks as chains of blocks; initial values, shapes
    inference  whole networks as one program, with BatchNorm folded
    count      params and mult-adds counted from the model, to check `mnas.architecture.cost`
    weights    `.safetensors` with timm's names and layouts

Arguments of a wrong shape or kind raise ValueError, unreadable or unsuitable weight files
UsageError. May import `mnas.architecture`, `mnas.errors`, `mnas.files`.
"""
