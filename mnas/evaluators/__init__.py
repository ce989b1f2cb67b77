"""Evaluators: instances of the contract `mnas.evaluation`.

In: an `Architecture`, a seed and optionally a report callable. Out: an `Evaluation`. Each evaluator
has a frozen configuration, which the command line finds through the entry points
`mnas.evaluators`.

    latency_table      latency of a network as a sum over timed blocks, from a file
    proxy              short training of each child on few, small images (imports JAX)
    weight_bank        scores with weights that all networks of a space have trained together
    presets            settings of proxies by name, for a time per child
    zero_cost          scores of networks at initialisation, without training (imports JAX)
    bank_zero_cost     both together: scores of a weight bank, and at initialisation
    score_scale        scores of random networks, over which these two are standardised
    standard_scores    standardised scores in place of accuracies
    whole_network      training of each network to the end, scored on the test images (imports JAX)
    surrogate_fits     networks to features to ImageNet top-1: two fits and their coefficients
    surrogate_devices  features to latency and throughput on six devices
    surrogate          the evaluator that predicts with them, without JAX
    table              accuracies from a table of trained networks, without training
    noisy              Gaussian noise on the accuracy of any other evaluator

Imports `evaluation`, `space`, `training`, `data`, `runtime`, `architecture`, `files` and `errors`.
"""
