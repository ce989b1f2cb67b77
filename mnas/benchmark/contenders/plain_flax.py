"""Training as a Flax user writes it: Flax's layers, and one `jit` for the whole training step.

Every child is a new program, which is compiled unless the persistent cache holds it.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax.training.train_state import TrainState

_norm = functools.partial(nn.BatchNorm, momentum=0.99, epsilon=1e-3)


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation (arXiv 1709.01507)."""

    reduced: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        gate = x.mean((1, 2), keepdims=True)
        gate = nn.swish(nn.Conv(self.reduced, (1, 1))(gate))
        return x * nn.sigmoid(nn.Conv(x.shape[-1], (1, 1))(gate))


class MBConv(nn.Module):
    """One layer, with an expansion where `expanded` differs from the input filters."""

    filters: int
    expanded: int
    kernel: int
    stride: int
    se_filters: int

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        norm = functools.partial(_norm, use_running_average=not train)
        y = x
        if self.expanded != x.shape[-1]:
            y = nn.swish(norm()(nn.Conv(self.expanded, (1, 1), use_bias=False)(y)))
        y = nn.Conv(
            self.expanded,
            (self.kernel, self.kernel),
            self.stride,
            feature_group_count=self.expanded,
            use_bias=False,
        )(y)
        y = nn.swish(norm()(y))
        if self.se_filters:
            y = SqueezeExcite(self.se_filters)(y)
        y = norm()(nn.Conv(self.filters, (1, 1), use_bias=False)(y))
        return x + y if x.shape == y.shape else y


class Network(nn.Module):
    """Images [B, R, R, 3] → logits [B, classes]. `layers` hold the fields of `MBConv`."""

    stem: int
    layers: tuple[tuple[int, int, int, int, int], ...]
    head: int
    classes: int

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        norm = functools.partial(_norm, use_running_average=not train)
        x = nn.swish(norm()(nn.Conv(self.stem, (3, 3), 2, use_bias=False)(x)))
        for layer in self.layers:
            x = MBConv(*layer)(x, train)
        x = nn.swish(norm()(nn.Conv(self.head, (1, 1), use_bias=False)(x)))
        return nn.Dense(self.classes)(x.mean((1, 2)))


def network(child: dict[str, Any]) -> Network:
    """Return the model of a child (`mnas.benchmark.children.description`)."""
    fields = ("filters", "expanded_filters", "kernel", "stride", "se_filters")
    layers = tuple(tuple(layer[field] for field in fields) for layer in child["layers"])
    spec = child["spec"]
    return Network(spec["stem"], layers, spec["head"], spec["classes"])


class State(TrainState):
    """Training state with the running statistics of BatchNorm."""

    batch_stats: Any


def _kernels(params: Any) -> Any:
    """Return the mask of parameters with weight decay."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)


class Contender:
    """Plain Flax; the interface is described in `mnas.benchmark.worker`."""

    _state: State
    _train_step: Callable[..., Any]
    _predict: Callable[..., Any]

    def __init__(self, job: dict[str, Any]) -> None:
        self.versions = {"jax": jax.__version__, "flax": flax.__version__}
        self._config = job["settings"]
        with np.load(job["images"]) as arrays:
            self._arrays = dict(arrays)
        images = self._arrays["train_images"]
        self._mean = images.mean((0, 1, 2), dtype=np.float64).astype(np.float32)
        self._std = images.std((0, 1, 2), dtype=np.float64).astype(np.float32)
        self._compile_seconds = 0.0
        jax.monitoring.register_event_duration_secs_listener(self._listen)

    def _listen(self, event: str, duration_secs: float, **_: str | int) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            self._compile_seconds += duration_secs

    def build(self, child: dict[str, Any]) -> int:
        self._create(child, self._config["learning_rate"])
        first = np.arange(self._config["batch_size"])
        self._batch = jax.device_put(self._load("train", first))
        return sum(leaf.size for leaf in jax.tree.leaves(self._state.params))

    def step(self) -> jax.Array:
        self._state, loss = self._train_step(self._state, *self._batch)
        return loss

    def wait(self, loss: jax.Array) -> None:
        loss.block_until_ready()

    def train(self, child: dict[str, Any]) -> dict[str, Any]:
        config, before = self._config, self._compile_seconds
        labels, batch_size = self._arrays["train_labels"], config["batch_size"]
        steps = len(labels) // batch_size
        schedule = optax.warmup_cosine_decay_schedule(
            0.0,
            config["learning_rate"],
            warmup_steps=max(1, round(config["warmup_epochs"] * steps)),
            decay_steps=config["epochs"] * steps,
        )
        self._create(child, schedule)
        rng = np.random.default_rng(0)
        for _ in range(config["epochs"]):
            order = rng.permutation(len(labels))[: steps * batch_size]
            for batch in order.reshape(steps, batch_size):
                self._state, _ = self._train_step(self._state, *self._load("train", batch))
        return {
            "accuracy": self._accuracy(batch_size),
            "compile_seconds": self._compile_seconds - before,
        }

    def _create(self, child: dict[str, Any], learning_rate: float | Callable[[Any], Any]) -> None:
        """Create state and compiled functions of a child; those of the previous one are dropped."""
        model, config = network(child), self._config
        resolution = child["spec"]["resolution"]
        image = jnp.zeros((1, resolution, resolution, 3))
        # Not jitted: the small programs that this compiles also serve later children.
        variables = model.init(jax.random.key(0), image, train=False)
        optimizer = optax.chain(
            optax.add_decayed_weights(config["weight_decay"], _kernels),
            optax.rmsprop(
                learning_rate,
                decay=config["rms_decay"],
                eps=config["epsilon"],
                initial_scale=1.0,
                momentum=config["momentum"],
            ),
        )
        self._state = State.create(
            apply_fn=model.apply,
            params=variables["params"],
            tx=optimizer,
            batch_stats=variables["batch_stats"],
        )
        smoothing = config["label_smoothing"]

        @functools.partial(jax.jit, donate_argnums=0)
        def train_step(
            state: State, images: jax.Array, labels: jax.Array
        ) -> tuple[State, jax.Array]:
            def mean_loss(params: Any) -> tuple[jax.Array, Any]:
                logits, updates = state.apply_fn(
                    {"params": params, "batch_stats": state.batch_stats},
                    images,
                    train=True,
                    mutable=["batch_stats"],
                )
                targets = jax.nn.one_hot(labels, logits.shape[-1])
                targets = optax.smooth_labels(targets, smoothing)
                loss = optax.softmax_cross_entropy(logits, targets).mean()
                return loss, updates["batch_stats"]

            gradient = jax.value_and_grad(mean_loss, has_aux=True)
            (loss, batch_stats), gradients = gradient(state.params)
            return state.apply_gradients(grads=gradients, batch_stats=batch_stats), loss

        @jax.jit
        def predict(state: State, images: jax.Array) -> jax.Array:
            variables = {"params": state.params, "batch_stats": state.batch_stats}
            return state.apply_fn(variables, images, train=False).argmax(-1)

        self._train_step, self._predict = train_step, predict

    def _load(self, part: str, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        images = self._arrays[f"{part}_images"][indices].astype(np.float32)
        return (images - self._mean) / self._std, self._arrays[f"{part}_labels"][indices]

    def _accuracy(self, batch_size: int) -> float:
        """Return top-1 accuracy on held-out images; the last batch is padded to full size."""
        labels = self._arrays["held_out_labels"]
        count = len(labels)
        batches = np.resize(np.arange(count), (-(-count // batch_size), batch_size))
        predictions = [
            self._predict(self._state, self._load("held_out", batch)[0]) for batch in batches
        ]
        return float((np.concatenate(predictions)[:count] == labels).mean())
