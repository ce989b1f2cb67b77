"""The Flax model: an architecture in, modules and variables out.

In: an `Architecture`, plain data. Out: Linen modules, one per block ('stem', 'stage1_layer1', ...,
'head'), and variables kept block by block, {block: {'params', 'batch_stats'}}. Feature maps are
NHWC, kernels HWIO. Weights, statistics and logits are float32; feature maps have the type of the
images, float32 or bfloat16. Modules are hashable and equal exactly if they compile to the same
program.

    ops        convolutions and sums, in a form that XLA compiles well for CPUs
    pooling    average and maximum over windows
    norm       BatchNorm with activation, with a hand-written gradient
    blocks     stem, layers, head
    network    whole networks as chains of blocks; initial values, shapes
    inference  whole networks as one program, with BatchNorm folded
    count      params and mult-adds counted from the model, to check `mnas.architecture.cost`
    weights    `.safetensors` with timm's names and layouts

Arguments of a wrong shape or kind raise ValueError, unreadable or unsuitable weight files
UsageError. May import `mnas.architecture`, `mnas.errors`, `mnas.files`.
"""
