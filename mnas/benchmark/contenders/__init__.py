"""Contenders of the benchmarks, one a file with a class `Contender` (`mnas.benchmark.worker`).

Training: `ours`, `plain_flax`, `torch_eager` (also `torch.compile`). Inference: `inference_ours`,
`inference_torch`. Worker processes load these files by path. Contenders other than ours import
nothing of mnas; those of PyTorch may run under an interpreter that doesn't have it.
"""
