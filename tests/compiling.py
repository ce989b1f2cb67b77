"""Quick compilation of reference computations and of computations in double precision."""

import functools

import jax

quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""`jax.jit` without LLVM's optimizations: compiles in a third of the time, runs slower."""
