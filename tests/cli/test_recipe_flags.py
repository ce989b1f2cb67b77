"""`--recipe`: the defaults of all flags of a training."""

import pytest
import tyro

from mnas.cli.recipe_flags import described_rate, parse_with_recipe
from mnas.cli.train import TrainArguments
from mnas.errors import UsageError
from mnas.training.recipes import RECIPES


def parsed(*arguments):
    return parse_with_recipe("mnas train", ["net.json", *arguments], TrainArguments(tyro.MISSING))


def test_without_a_recipe_the_settings_are_those_of_proxy_training():
    assert parsed().config == RECIPES["proxy"].config
    assert described_rate(parsed()) == (
        "recipe proxy: 30 epochs, batches of 64, learning rate 0.005"
    )


@pytest.mark.parametrize("words", [["--recipe", "efficientnet"], ["--recipe=efficientnet"]])
def test_flags_override_the_recipe_wherever_they_stand(words):
    config = RECIPES["efficientnet"].config
    assert parsed(*words).config == config
    assert parsed("--epochs", "3", *words).config.epochs == 3
    changed = parsed(*words, "--dropout", "0.5").config
    assert (changed.dropout, changed.drop_path) == (0.5, config.drop_path)


def test_learning_rate_follows_the_batch_size_unless_it_is_given():
    words = ["--recipe", "efficientnet", "--batch-size"]
    assert parsed(*words, "1024").config.learning_rate == pytest.approx(0.064)
    assert parsed(*words[:2], "--batch_size=128").config.learning_rate == pytest.approx(0.008)
    given = parsed(*words, "1024", "--learning-rate", "0.1")
    assert given.config.learning_rate == 0.1
    assert described_rate(parsed(*words, "1024")).endswith("0.064 (0.016 per 256 images)")
    assert described_rate(given).endswith("batches of 1024, learning rate 0.1")


def test_help_shows_the_settings_of_the_recipe(capsys):
    with pytest.raises(SystemExit):
        parsed("--recipe", "efficientnet", "--help")
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Passes over the training images. (default: 350)" in text
    assert "(default: efficientnet)" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--recipe", "cifr"], "unknown recipe 'cifr'"),
        (["--recipe"], "--recipe"),
        (["--recipe", "efficientnet", "--batch-size", "0"], "batch_size = 0"),
        (["--recipe", "efficientnet", "--batch-size", "many"], "--batch-size"),
    ],
)
def test_mistakes_are_usage_errors(words, message):
    with pytest.raises(UsageError, match=message):
        parsed(*words)
