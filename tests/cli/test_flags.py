"""Numbers with a suffix, Booleans with a value, and the flags that messages name."""

import dataclasses

import pytest

from mnas.cli.arguments import parse
from mnas.cli.flags import flags, naming_flag, number, whole_number
from mnas.cli.named_experiment import ExperimentArguments
from mnas.cli.train import TrainArguments
from mnas.errors import UsageError, require_positive
from tests.registered import EXPERIMENTS


@dataclasses.dataclass(frozen=True)
class Inner:
    """Inner settings."""

    pin: bool = True
    """Pin."""
    no_wait: bool = False
    """Do not wait."""
    limit: float | None = None
    """Limit."""

    def __post_init__(self):
        if self.limit is not None:
            require_positive("inner", "limit", self.limit)


@dataclasses.dataclass(frozen=True)
class Outer:
    """Outer settings."""

    inner: Inner = Inner()
    quick: bool = False
    """Quick."""
    target: float = 1e6
    """Target."""
    images: int | None = None
    """Images."""
    name: str = ""
    """Name."""


def parsed(*words):
    return parse(Outer, "test", words)


@pytest.mark.parametrize(
    ("text", "value"),
    [("300M", 300e6), ("1.5G", 1.5e9), ("2B", 2e9), ("40k", 4e4), ("3e8", 3e8), ("-1M", -1e6)],
)
def test_a_number_may_have_a_suffix(text, value):
    assert number(text) == value
    assert parsed(f"--target={text}").target == value
    assert parsed("--target", text).target == value


@pytest.mark.parametrize("text", ["M", "300m", "3MM", "300 Mio", "", "k3"])
def test_other_text_is_no_number(text):
    with pytest.raises(UsageError, match=r"^--target: .* accepted: such as 0.5, 3e8 or 300M$"):
        parsed(f"--target={text}")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("50k", 50_000), ("1.5M", 1_500_000), ("2G", 2 * 10**9), ("1e3", 1000), ("64", 64)),
        *(("-3", -3), ("1_000", 1000), ("0.1k", 100), ("007", 7), ("1.001k", 1001)),
    ],
)
def test_a_whole_number_may_have_a_suffix(text, value):
    assert whole_number(text) == value and type(whole_number(text)) is int
    assert parsed(f"--images={text}").images == value


@pytest.mark.parametrize(
    "text", ["0.5", "1.2345k", "k", "inf", "nanM", "1e999999999", "1e18", "10 k", "", "x"]
)
def test_other_text_is_no_whole_number(text):
    accepted = "accepted: such as 64, 50k or 1.5M"
    with pytest.raises(ValueError, match=f"is no whole number; {accepted}"):
        whole_number(text)
    with pytest.raises(UsageError, match=r"^--images: .*a(ccepted:)? .*such as 64, 50k or 1.5M$"):
        parsed(f"--images={text}")


def test_a_suffix_does_not_round():
    assert number("1.1M") == 1_100_000 and number("4.35G") == 4_350_000_000


def test_a_boolean_may_have_a_value():
    assert parsed("--inner.pin", "False").inner == Inner(pin=False)
    assert parsed("--inner.pin=false", "--quick", "true").inner == Inner(pin=False)
    assert parsed("--inner.no-pin").inner == Inner(pin=False)
    assert parsed("--inner.pin", "True").inner == Inner()
    assert parsed("--quick", "--name", "False") == Outer(quick=True, name="False")
    assert parsed("--inner.no-wait", "true").inner == Inner(no_wait=True)
    assert parsed("--inner.no_wait=False", "--quick=TRUE") == Outer(quick=True)
    with pytest.raises(UsageError, match="maybe"):
        parsed("--quick", "maybe")


def test_flags_are_those_of_the_help(capsys):
    for kind, default in (
        (ExperimentArguments, ExperimentArguments(EXPERIMENTS["digits"])),
        (TrainArguments, None),
    ):
        with pytest.raises(SystemExit):
            parse(kind, "test", ["--help-all"], default)
        shown = capsys.readouterr().out
        names = [name for name, _ in flags(kind, default)]
        assert len(names) > 15
        assert not [name for name in names if f"{name} " not in shown and f"{name}," not in shown]


def test_a_rejected_setting_is_named_by_its_flag():
    with pytest.raises(UsageError, match=r"^inner: limit = -1.0; .* \(--inner.limit\)$"):
        parsed("--inner.limit", "-1")
    with pytest.raises(UsageError, match=r"^training: epochs = 0; .* \(--epochs\)$"):
        parse(TrainArguments, "mnas train", ["efficientnet-b0", "--epochs", "0"])
    names = ["--a.rate", "--b.rate", "--b.c.size"]
    assert naming_flag("b: rate = 0; x", names) == "b: rate = 0; x (--b.rate)"
    assert naming_flag("d: rate = 0; x", names) == "d: rate = 0; x"  # of which is unknown
    assert naming_flag("c: size = 0; x", names) == "c: size = 0; x (--b.c.size)"
    assert naming_flag("no such file", names) == "no such file"


def test_a_value_of_the_wrong_kind_is_one_sentence():
    with pytest.raises(
        UsageError, match=r"^--inner.limit: 'x'; accepted: a number such as 0.5, 3e8 or 300M$"
    ):
        parsed("--inner.limit", "x")
