"""The process beneath JAX: cores, memory, compiled programs, counters. No networks.

In: numbers of cores, callables that compile, a digest of the caller's sources. Out: compiled
programs, from memory or disk, and records of what compiling and reading them cost.

    pinning             exclusive CPU cores for a worker process
    control_group       limits of processor time and memory of a container or batch job
    memory              allocator settings of a worker process
    parent              processes that end when the process that started them does
    process_pool        worker processes, killed by what ends their work
    signals             SIGINT and SIGTERM, raised at safe points
    machine             processor, memory and versions of this machine
    provenance          versions, machine, commit and command of this process
    compile_stats       counters of compiled, read and traced programs
    backends            how children are trained, by kind of device
    jax_settings        defaults of JAX's settings, whatever the user's shell or process has set
    cache_directory     where compiled programs are kept, and the secret key of their user
    cache_repair        deletion of corrupt entries of JAX's persistent compilation cache
    authenticated_file  files that only holders of a key can have written
    program_cache       LRU cache of compiled programs, on disk and in memory

May import nothing of this project. Only `compile_stats`, `cache_repair` and `program_cache` import
JAX; the others may run before it does.
"""
