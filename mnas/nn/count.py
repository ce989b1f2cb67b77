"""Params and mult-adds counted from the built model, to check `mnas.architecture.cost` against.

Nothing is computed: params are counted from shapes, mult-adds from the jaxpr of inference.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import jaxprs_in_params

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import Cost
from mnas.nn import ops
from mnas.nn.network import Network, count_params, network_variables, variable_shapes


def model_cost(architecture: Architecture) -> Cost:
    """Return the cost of `Network(architecture)` for one image, counted from the model."""
    shapes = variable_shapes(architecture)
    resolution = architecture.resolution
    image = jax.ShapeDtypeStruct((1, resolution, resolution, 3), jnp.float32)
    with ops.use_implementation("lax"):  # one primitive per convolution, padded taps included
        jaxpr = jax.make_jaxpr(Network(architecture).apply)(network_variables(shapes), image)
    return Cost(count_params(shapes), mult_adds(jaxpr.jaxpr))


def mult_adds(jaxpr: Any) -> int:
    """Return mult-adds of all convolutions and matrix products in a jaxpr, nested ones included."""
    total = 0
    for equation in jaxpr.eqns:
        out = equation.outvars[0].aval.shape if equation.outvars else ()
        if equation.primitive.name == "conv_general_dilated":
            kernel = equation.invars[1].aval.shape  # HWIO, with I divided by the groups
            total += math.prod(out) * math.prod(kernel[:3])
        elif equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            total += math.prod(out) * math.prod(left[axis] for axis in contracted)
        for inner in jaxprs_in_params(equation.params):
            total += mult_adds(inner)
    return total
