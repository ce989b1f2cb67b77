"""Training: images in, weights and accuracy out.

In: an `Architecture`, a feed of labelled images, a `TrainingConfig`, a seed. Out:
variables {block: {'params', 'batch_stats'}} and top-1 accuracy, bit-identical for the same seed
on the same machine and number of threads. Non-finite losses raise FloatingPointError.

    config         settings and learning-rate schedule; no JAX
    recipes        settings by name; no JAX
    optimizer      RMSProp with TensorFlow's definition; SGD with Nesterov momentum
    loss           label-smoothed cross-entropy
    batches        batches of an epoch, augmented as the settings say
    programs       compiled forward, backward and inference programs of single blocks
    child          a network as a chain of such programs: update, calibration, inference
    whole_child    the same as one program
    accuracy       top-1 and top-5 accuracy with their intervals; no JAX
    scoring        accuracy on all images of a feed
    blockwise      proxy training: short training of one child of a search
    weight_bank    blocks of all networks of a space, whose weights they share, and their file
    bank_training  training of a weight bank, one sampled network a step
    zero_cost      scores of networks at initialisation, without training
    score_programs their compiled programs of single blocks
    precompile     compilation of everything `blockwise` runs, ahead of a search
    step           update of a whole network as one compiled program
    start          variables that a training starts from; blocks by learning rate
    meeting        processes meet before they train together; no JAX
    processes      several processes that train together, and how they end
    devices        batches split over devices, and over several processes
    checkpoint     state of a training at any step, on disk, by Orbax
    result         the result of a finished training as plain data
    whole_network  training of one network to the end, with checkpoints
    transfer       settings of a training that starts from given weights; no JAX
    initial        variables to start from, of a `.safetensors` file

May import `mnas.nn`, `mnas.data`, `mnas.runtime`, `mnas.architecture`, `mnas.errors`, `mnas.files`
and types of `mnas.evaluation`.
"""
