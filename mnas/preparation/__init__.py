"""Preparation before a search: compile or time the blocks of a space, make what evaluators need.

In   a `Space`, an evaluator's configuration and an `EngineConfig`
Out  compiled programs in the cache on disk, or a `mnas.evaluators.latency_table.LatencyTable`

Children are chains of blocks, and a space of 10^12 networks has only hundreds or thousands of
distinct blocks: a block depends on the decisions of its own stage and on the resolution and filters
of its input. Each block can therefore be compiled or timed once, by processes with the environment
of a search's workers. Results are written block by block; an interrupted preparation continues
where it stopped.

space_blocks   `space_blocks(space)`: the distinct blocks of a space, most frequent first
warmup         `compile_ahead(blocks, evaluator, engine)`: compile them in parallel processes
timing         latency of one block, or of one network, in this process
latency        `measure_blocks`, `measure_networks`: time them in a process with a worker's settings
evaluator      `prepared(evaluator, ...)`: what an evaluator needs before the first trial
latency_check  `write_check`: compare the sums of a table with networks measured as a whole

May import `mnas.engines`, `mnas.training`, `mnas.evaluators`, and what these import.
"""
