"""Word evidence: the regression against its definition, and the need of cross-fitting."""

from __future__ import annotations

import pytest
import torch

from rnnreport.data.features import project, standardise, statistics
from rnnreport.models.word_evidence import fit_word_evidence, word_shares

CAPTIONS = [
    [["a", "dog"], ["a", "brown", "dog"]],
    [["a", "cat"], ["the", "cat", "and", "a", "cat"]],
    [["the", "dog", "runs"]],
]


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_shares_of_captions() -> None:
    shares = word_shares(CAPTIONS, min_images=2)  # a, dog, the
    assert shares.shape == (3, 3)
    rows = {tuple(row) for row in shares.T.tolist()}
    assert rows == {(1.0, 1.0, 0.0), (1.0, 0.0, 1.0), (0.0, 0.5, 1.0)}
    with pytest.raises(ValueError, match="at least 9 images"):
        word_shares(CAPTIONS, min_images=9)


def test_the_regression_is_that_of_its_definition() -> None:
    x = torch.randn(30, 8, generator=_generator()) * 3 + 1
    y = torch.rand(30, 5, generator=_generator(1))
    evidence = fit_word_evidence(x, y, 5, ridge=0.3, folds=4, generator=_generator(2))
    assert sorted(torch.bincount(evidence.fold).tolist()) == [7, 7, 8, 8]
    z = standardise(x, statistics(x)).double()
    for number in range(4):
        rest = evidence.fold != number
        centred = y[rest].double() - y[rest].double().mean(0)
        # The primal form: fewer features than images.
        gram = z[rest].T @ z[rest] + 0.3 * 8 * torch.eye(8, dtype=torch.float64)
        weights = torch.linalg.solve(gram, z[rest].T @ centred)
        own = evidence.folds[number]
        # All five directions are kept: the basis is the weights, turned.
        torch.testing.assert_close(
            (own.basis @ own.basis.T).double(), weights @ weights.T, rtol=1e-4, atol=1e-6
        )
        torch.testing.assert_close(
            evidence.training(x)[~rest], project(x[~rest], evidence.folds[number])
        )
    training = evidence.training(x)
    spread = project(x, evidence.whole).var(0)
    assert torch.equal(spread.argsort(descending=True), torch.arange(5))
    again = fit_word_evidence(x, y, 5, ridge=0.3, folds=4, generator=_generator(2))
    assert torch.equal(again.training(x), training)


def test_evidence_of_places_has_the_evidence_of_the_image_for_a_mean() -> None:
    places = torch.randn(20, 4, 6, generator=_generator())
    y = torch.rand(20, 3, generator=_generator(1))
    evidence = fit_word_evidence(places.mean(1), y, 2, generator=_generator())
    torch.testing.assert_close(
        evidence.training(places).mean(1), evidence.training(places.mean(1)), rtol=1e-4, atol=1e-5
    )


def test_noise_is_not_taken_for_evidence() -> None:
    """On its own images a regression finds much evidence even in features that have none."""
    x = torch.randn(60, 200, generator=_generator())
    y = (torch.rand(60, 1, generator=_generator(1)) < 0.5).float()
    evidence = fit_word_evidence(x, y, 1, ridge=0.1, generator=_generator())

    def correlation(values: torch.Tensor) -> float:
        return float(torch.corrcoef(torch.stack([values[:, 0], y[:, 0]]))[0, 1].abs())

    assert correlation(project(x, evidence.whole)) > 0.9
    assert correlation(evidence.training(x)) < 0.4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 0}, "size must be from 1 to 3, got 0"),
        ({"size": 4}, "size must be from 1 to 3, got 4"),
        ({"folds": 1}, "folds must be from 2 to 10, got 1"),
        ({"ridge": 0.0}, r"ridge must be positive, got 0\.0"),
        ({"shares": torch.rand(9, 3)}, "shares must have 10 rows as features has, got 9"),
    ],
)
def test_refuses_bad_input(change: dict[str, object], message: str) -> None:
    arguments = {"features": torch.rand(10, 4), "shares": torch.rand(10, 3), "size": 2} | change
    with pytest.raises(ValueError, match=message):
        fit_word_evidence(**arguments, generator=_generator())  # type: ignore[arg-type]
