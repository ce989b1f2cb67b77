"""The process beneath JAX: cores, memory, compiled programs, counters. No networks.

In: numbers of cores, callables that compile, a digest of the caller's sources. Out: compiled
programs, from memory or disk, and records of what compiling and reading them cost.

    pinning         exclusive CPU cores for a worker process
    memory          allocator settings of a worker process
    machine         processor, memory and versions of this machine
    compile_stats   counters of compiled, read and traced programs
    cache_repair    deletion of corrupt entries of JAX's persistent compilation cache
    program_cache   LRU cache of compiled programs, on disk and in memory

May import nothing of this project. `pinning`, `memory` and `machine` do not import JAX: they run
before it does.
"""
