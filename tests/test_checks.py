"""The range checks of configurations: what they let pass, and their messages for the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pytest

from rnnreport._checks import check_at_least, check_loss, check_numbers

NAN = float("nan")


@dataclass(frozen=True)
class Config:
    epochs: int = 1
    depth: float = 0
    rate: float = 1e-300
    dropout: float = 0.0
    sizes: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        check_numbers(
            self,
            at_least_1="epochs",
            at_least_0="depth",
            positive="rate",
            share="dropout",
            filled="sizes",
        )


def test_the_ends_of_each_range_pass() -> None:
    assert replace(Config(), dropout=0.999).dropout == 0.999
    check_at_least(3, folds=3)
    check_numbers(Config())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"depth": -0.5}, "depth must be at least 0, got -0.5"),
        ({"depth": NAN}, "depth must be at least 0, got nan"),
        ({"rate": 0.0}, "rate must be positive, got 0.0"),
        ({"rate": NAN}, "rate must be positive, got nan"),
        ({"dropout": -0.1}, "dropout must be in [0, 1), got -0.1"),
        ({"dropout": 1}, "dropout must be in [0, 1), got 1"),
        ({"dropout": NAN}, "dropout must be in [0, 1), got nan"),
        ({"sizes": ()}, "sizes must have at least one entry, got none"),
    ],
)
def test_errors_name_the_number(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        replace(Config(), **change)  # type: ignore[arg-type]


def test_a_name_that_the_configuration_lacks_is_a_mistake() -> None:
    with pytest.raises(AttributeError, match="epoch"):
        check_numbers(Config(), at_least_1="epoch")


def test_the_first_number_out_of_range_is_named() -> None:
    with pytest.raises(ValueError, match=r"^b must be at least 2, got 1$"):
        check_at_least(2, a=2, b=1, c=0)


def test_losses() -> None:
    assert check_loss(0.5) == 0.5
    with pytest.raises(FloatingPointError, match=r"^the loss is nan in epoch 3: .* learning_rate"):
        check_loss(NAN, " in epoch 3")
    with pytest.raises(FloatingPointError, match=r"the loss is -inf: .* a smaller rate may help"):
        check_loss(-float("inf"), setting="rate")
