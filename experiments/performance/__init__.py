"""Performance measurements of mnas, each a module to run.

In    flags of the command line
Out   tables for people, CSV files and plots, or one JSON object (`--json`)

    work             flops and bytes of every operation of a training step, in closed form
    roofline         every operation against the limits of one core
    simulation       searches in virtual time, with any number of workers
    engine_scaling   overhead of the driver, and utilization of workers
    worker_scaling   children per hour by number of workers, threads and pinning
    soak             time and memory of the driver over a long search, and the time to resume it
    children         children per hour by program, precision and number at once, on a CPU or GPU
    feeding          images per second from the device's memory and streamed
    cifar_peer       CIFAR-10 in PyTorch with timm's network, without mnas
    packing          images per second, memory and kills of packing a folder
    shared_images    memory of workers that read the same images
    budget           hours of searches and trainings, from the rate of a machine

May import everything else in the project; nothing imports it. Results are in
`docs/results/roofline.md` and `docs/results/workers.md`.
"""
