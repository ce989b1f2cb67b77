"""`mnas export`: an architecture, or a network with its weights, in another form."""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from mnas.architecture.architecture import Architecture
from mnas.architecture.spec import find
from mnas.cli.arguments import Changes, Spec, parse, write
from mnas.errors import UsageError
from mnas.export import FORMATS, TEXT_FORMATS
from mnas.export.text import FORMATS as TEXTS

if TYPE_CHECKING:
    from mnas.nn.network import Variables


@dataclasses.dataclass(frozen=True)
class ExportArguments:
    """An architecture in another form, or a network with its weights.

    json, tf and timm are text: a spec, block strings, arch_def. safetensors (weights by timm's
    names), stablehlo (jax.export) and onnx are files with weights, and need to know which.
    """

    spec: Spec
    """A published name, a spec file, a run's directory (its best), or block strings joined by ;."""
    format: str = "json"
    """json, tf, timm, safetensors, stablehlo or onnx."""
    changes: Annotated[Changes, tyro.conf.arg(name="")] = Changes()
    weights: str | None = None
    """.safetensors file with the network's weights by timm's names: ours, or timm's own."""
    random_weights: int | None = None
    """Seed of random weights to export in place of trained ones."""
    platforms: tuple[str, ...] = ("cpu",)
    """Of stablehlo: cpu, cuda, rocm, tpu. For cpu alone the program is the faster one there."""
    out: str | None = None
    """File to write; text goes to standard output where not given."""


def export(arguments: list[str]) -> None:
    """`mnas export`."""
    chosen = parse(ExportArguments, "mnas export", arguments, tyro.MISSING_NONPROP)
    if chosen.format not in FORMATS:
        raise UsageError(f"format = {chosen.format!r}; accepted: {', '.join(FORMATS)}")
    weighted = chosen.weights is not None or chosen.random_weights is not None
    if chosen.format in TEXT_FORMATS and weighted:
        raise UsageError(f"format = {chosen.format!r} has no weights; accepted: none given")
    if chosen.format != "stablehlo" and chosen.platforms != ("cpu",):
        raise UsageError("platforms are of format 'stablehlo' alone; accepted: none given")
    architecture = chosen.changes.apply(find(chosen.spec))
    if chosen.format not in TEXT_FORMATS:
        _export_network(chosen, architecture)
    elif chosen.out is None:
        print(TEXTS[chosen.format](architecture))
    else:
        write(chosen.out, TEXTS[chosen.format](architecture))


def _export_network(chosen: ExportArguments, architecture: Architecture) -> None:
    if chosen.out is None:
        raise UsageError(f"format = {chosen.format!r} is no text; accepted: with --out FILE")
    if not Path(chosen.out).absolute().parent.is_dir():
        raise UsageError(f"{chosen.out} can't be written: no such directory")
    variables = _variables(chosen, architecture)
    try:
        match chosen.format:
            case "safetensors":
                from mnas.nn.weights import save_weights

                save_weights(chosen.out, architecture, variables)
            case "stablehlo":
                from mnas.export.stablehlo import save_stablehlo

                save_stablehlo(chosen.out, architecture, variables, chosen.platforms)
            case "onnx":
                from mnas.export.onnx import save_onnx

                save_onnx(chosen.out, architecture, variables)
    except OSError as error:
        raise UsageError(f"{chosen.out} can't be written: {error.strerror}") from None
    print(f"written: {chosen.out}", file=sys.stderr)


def _variables(chosen: ExportArguments, architecture: Architecture) -> "dict[str, Variables]":
    """The weights that were asked for. A search keeps none, so there is no default."""
    if (chosen.weights is None) == (chosen.random_weights is None):
        raise UsageError(
            f"format = {chosen.format!r} needs weights, and a search keeps none; "
            "accepted: --weights FILE.safetensors, or --random-weights SEED, one of them"
        )
    if chosen.weights is not None:
        from mnas.nn.weights import load_weights

        return load_weights(chosen.weights, architecture)
    if chosen.random_weights < 0:
        raise UsageError(f"random_weights = {chosen.random_weights}; accepted: a seed from 0")
    from mnas.nn.network import init_variables

    return init_variables(architecture, chosen.random_weights)
