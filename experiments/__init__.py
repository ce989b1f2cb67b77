"""Experiments and studies by name: constants with paper, command, cost and expected result.

In    parts of `mnas.search_spaces`, `mnas.controllers` and `mnas.evaluators`, with their settings
Out   `Experiment` and `Study` constants, registered in `pyproject.toml` (entry points
      `mnas.experiments`; an entry's name is the constant's `name`), and modules run with
      `python -m mnas.experiments.MODULE`

    digits               the default experiment: a complete search by proxy training, in minutes
    b0_imagenet          EfficientNet-B0's search on the ImageNet surrogate; ten seeds of it
    nas_bench_macro      a search on a table of trained networks
    cifar10              a search on CIFAR-10 with a weight bank, for comparison at equal cost
    flop_budgets         networks for budgets of 100M to 600M mult-adds
    ablations            one part of the search varied at a time
    compound_scaling     grid search for α, β, γ
    scaling_dimensions   depth, width and resolution against compound scaling
    scaling_seeds        module: several runs of scaling_dimensions in one table
    stopping             module: early stopping beside Ray Tune's schedulers
    proxy_recipes        module: settings of a short training one by one, as a proxy
    transfer             module: several data sets, from scratch and from given weights
    fit_surrogate        module: fits the ImageNet surrogate to its table
    performance          package: measurements of mnas itself

May import everything else in the project; nothing but `mnas.experiment.registry` loads it, by name.
Measured results are in `docs/results/`.
"""
