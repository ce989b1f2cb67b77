"""Speed of mnas on this machine's CPU, measured beside other frameworks.

In: a `BenchmarkConfig` (training) or an `InferenceConfig` (inference). Out: `result`, plain data
for JSON, and tables for people. The command is `mnas benchmark`, with `--inference` for inference.

A *contender* is an implementation of the same task: mnas itself, plain Flax, PyTorch. All get the
same networks, images, batch size, resolution and cores, and are measured by the same worker
program. They take turns, a window at a time, so that a drift of the machine's speed affects all
alike; ratios are taken within a round of turns. A contender other than mnas that is not installed
or fails is reported with its cause, and the others go on.

Modules, in the order in which data flows:

- `config`: settings of the benchmark of training;
- `children`: the same random networks and images for every contender;
- `contender`: contenders by name, and their failures;
- `contenders/`: one contender a file, each with a class `Contender`;
- `worker`: program of a worker process, which builds, times and trains for one contender; with the
  PyTorch contenders it runs under any interpreter, with or without mnas;
- `processes`: teams of worker processes, started, driven and read;
- `estimate`: duration of the phases still to come;
- `training`, `inference`: the two benchmarks;
- `figures`: ratios, medians and spreads;
- `table`: tables for people;
- `progress`: progress bar and lines on standard error.

The package imports `mnas.architecture`, `mnas.space`, `mnas.engines`, `mnas.runtime`,
`mnas.training.config` and `mnas.errors`; the contenders that are mnas also `mnas.nn` and
`mnas.training`. The driver process loads no JAX.
"""
