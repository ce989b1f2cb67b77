"""`mnas export`: an architecture, or a network with its weights, in another format."""

import dataclasses
import logging
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.sources import Source, find_source, trained_weights
from mnas.cli.arguments import Changes, Spec, parse, require_writable, write_output
from mnas.errors import UsageError, require_one_of, require_whole
from mnas.export.formats import FORMATS, TEXT_FORMATS

if TYPE_CHECKING:
    from mnas.nn.network import Variables

logger = logging.getLogger(__name__)

# Four bytes each: ONNX files, and serialized programs, hold less than 2 GB.
MOST_PARAMS = 500_000_000


@dataclasses.dataclass(frozen=True)
class ExportArguments:
    """Export an architecture as text, or a network with its weights as a file.

    Text, which every command reads as SPEC: json (a spec), tf (block strings, with a comment for
    settings that they lack), timm (arch_def). Files, which need the weights of a training, or else
    random ones: safetensors (weights by timm's names), stablehlo (jax.export), onnx.

    Example: mnas export runs/digits-1 --format timm
    """

    spec: Spec
    format: str = "json"
    """json, tf, timm, safetensors, stablehlo or onnx."""
    changes: Annotated[Changes, tyro.conf.arg(name="")] = Changes()
    weights: str | None = None
    """.safetensors file with the weights by timm's names, written by mnas or by timm; None: those
    of SPEC where it is a training's directory."""
    random_weights: int | None = None
    """Random seed of weights to export instead of trained ones."""
    platforms: tuple[str, ...] = ("cpu",)
    """Platforms of a stablehlo file: cpu, cuda, rocm, tpu. One for cpu alone is faster there."""
    out: str | None = None
    """File to write; None: standard output, for text only."""


def main(arguments: list[str]) -> None:
    """Run `mnas export`."""
    options = parse(ExportArguments, "mnas export", arguments)
    require_one_of("export", "format", options.format, FORMATS)
    weighted = options.weights is not None or options.random_weights is not None
    if options.format in TEXT_FORMATS and weighted:
        raise UsageError(
            f"format = {options.format!r} contains no weights; accepted: neither --weights nor "
            "--random-weights"
        )
    if options.format != "stablehlo" and options.platforms != ("cpu",):
        raise UsageError("--platforms applies to format 'stablehlo' only")
    found = find_source(options.spec)
    architecture = options.changes.apply(found.architecture)
    provenance = _changed(found, architecture)
    if options.format not in TEXT_FORMATS:
        _export_network(options, architecture, provenance)
    elif options.out is None:
        print(TEXT_FORMATS[options.format](architecture, provenance))
    else:
        write_output(options.out, TEXT_FORMATS[options.format](architecture, provenance))


def _changed(found: Source, architecture: Architecture) -> dict[str, Any]:
    """Return the origin of a network, which says in what the network was changed since."""
    changes = {
        name: getattr(architecture, name)
        for name in ("resolution", "classes")
        if getattr(architecture, name) != getattr(found.architecture, name)
    }
    if not changes:
        return found.provenance
    return {key: {**origin, "changed": changes} for key, origin in found.provenance.items()}


def _export_network(
    options: ExportArguments, architecture: Architecture, provenance: dict[str, Any]
) -> None:
    if options.out is None:
        raise UsageError(f"format = {options.format!r} is not text; accepted: with --out FILE")
    require_whole("network", "params", network_cost(architecture).params, most=MOST_PARAMS)
    require_writable(options.out)
    weights = options.weights
    if weights is None and options.random_weights is None:
        weights = trained_weights(options.spec)
    variables = _variables(options, weights, architecture)
    from mnas.nn.weights import saved_normalisation

    statistics = None if weights is None else saved_normalisation(weights)
    try:
        match options.format:
            case "safetensors":
                from mnas.nn.weights import save_weights

                save_weights(options.out, architecture, variables, statistics, provenance)
            case "stablehlo":
                from mnas.export.stablehlo import save_stablehlo

                save_stablehlo(options.out, architecture, variables, options.platforms)
            case "onnx":
                from mnas.export.onnx import save_onnx

                save_onnx(options.out, architecture, variables, provenance, statistics)
    except OSError as error:
        raise UsageError(f"{options.out} can't be written: {error.strerror}") from None
    logger.info("written: %s", options.out)
    if statistics is not None:
        mean, std = (", ".join(f"{value:.4g}" for value in values) for values in statistics)
        logger.info("images: (pixels of 0 to 255 - [%s]) / [%s], by channel", mean, std)


def _variables(
    options: ExportArguments, weights: str | None, architecture: Architecture
) -> "dict[str, Variables]":
    """Return the weights to export; a search keeps none, so a run has no default."""
    if weights is not None and options.random_weights is None:
        from mnas.nn.weights import load_weights

        return load_weights(weights, architecture)
    if options.random_weights is not None and weights is None:
        from mnas.nn.network import init_variables

        require_whole("export", "random_weights", options.random_weights, least=0)
        return init_variables(architecture, options.random_weights)
    raise UsageError(
        f"format = {options.format!r} needs weights; accepted: one of "
        "--weights FILE.safetensors and --random-weights SEED, or a training's directory as SPEC"
    )
