"""Networks are cut and put together again, heads learn, and Grad-CAM is what the gradient says."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor, nn

from rnnreport._torchvision import torchvision
from rnnreport.data.assets import DataFormatError, MissingDataError, require
from rnnreport.models.efficientnet import load_efficientnet_lite
from rnnreport.models.embedded import load_embedded
from rnnreport.models.transfer import Backbone, Head, finetune, grad_cam, load_backbone, train_head
from rnnreport.names import BACKBONES, BackboneName


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def build(name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)  # torchvision's constructors take no generator
        network: nn.Module = getattr(torchvision.models, name)()
    return network.eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with random weights of the two networks of torchvision."""
    path = tmp_path_factory.mktemp("weights")
    for name in ("resnet18", "mobilenet_v2"):
        torch.save(build(name).state_dict(), path / f"{name}.pth")
    return path


def load(name: BackboneName, folder: Path) -> Backbone:
    if name == "efficientnet_lite1":
        return load_backbone(name, require(name))
    return load_backbone(name, None if name == "embedded" else folder / f"{name}.pth")


def reference(name: str) -> Callable[[Tensor], Tensor]:
    """Return a function that computes the features of a whole network in another way."""
    if name == "embedded":
        return lambda x: load_embedded().features(x).mean((2, 3))
    if name == "efficientnet_lite1":
        whole = load_efficientnet_lite(require(name), 1)
        whole.classifier = nn.Identity()  # type: ignore[assignment]
        return whole
    network = build(name)
    last = "fc" if name == "resnet18" else "classifier"
    setattr(network, last, nn.Identity())
    return network


@pytest.mark.parametrize("name", BACKBONES)
@torch.no_grad()
def test_a_backbone_is_the_network_without_its_last_layer(name: BackboneName, folder: Path) -> None:
    loaded = load(name, folder)
    x = torch.randn(2, 3, 64, 48, generator=seeded())
    maps = loaded.blocks(x)
    assert maps.shape[:2] == (2, loaded.feature_dim)
    torch.testing.assert_close(maps.mean((2, 3)), reference(name)(x), rtol=1e-4, atol=1e-5)
    assert not any(module.training for module in loaded.blocks.modules())
    assert not any(parameter.requires_grad for parameter in loaded.blocks.parameters())
    for cut in (0, 1, 4, len(loaded.blocks)):
        lower, upper = loaded.split(cut)
        assert len(lower) == cut
        torch.testing.assert_close(upper(lower(x)), maps)
        assert not any(module.training for part in (lower, upper) for module in part.modules())


def test_cuts_that_are_not_there() -> None:
    loaded = load_backbone("embedded")
    for cut in (-1, len(loaded.blocks) + 1):
        with pytest.raises(ValueError, match=f"cut must be from 0 to 8, got {cut}"):
            loaded.split(cut)


def test_loading_refuses(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"name must be one of resnet18, .*, got 'vgg19'"):
        load_backbone("vgg19", folder / "resnet18.pth")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="weights must be None for embedded"):
        load_backbone("embedded", folder / "resnet18.pth")
    with pytest.raises(ValueError, match="weights must be a file for resnet18"):
        load_backbone("resnet18")
    with pytest.raises(DataFormatError, match=r"resnet18\.pth: not the weights of mobilenet_v2"):
        load_backbone("mobilenet_v2", folder / "resnet18.pth")
    with pytest.raises(MissingDataError, match=r"nowhere\.pth"):
        load_backbone("resnet18", folder / "nowhere.pth")


def test_the_global_generator_is_left_alone(folder: Path) -> None:
    state = torch.random.get_rng_state()
    load("resnet18", folder)
    train_frozen(*problem())
    assert torch.equal(torch.random.get_rng_state(), state)


# The new layer


def test_a_head_standardises_and_maps() -> None:
    features = 3 + 2 * torch.randn(500, 4, generator=seeded())
    features[:, 2] = 7.0  # says nothing
    head = Head(features, 3, length=6.0)
    assert torch.equal(head(features), torch.zeros(500, 3))
    scaled = (features - head.mean) * head.scale
    torch.testing.assert_close(scaled[:, [0, 1, 3]].std(0, correction=0), torch.full((3,), 3.0))
    torch.testing.assert_close(scaled[:, 2], torch.zeros(500))
    head.weight.data = torch.randn(3, 4, generator=seeded(1))
    head.bias.data = torch.randn(3, generator=seeded(2))
    torch.testing.assert_close(head(features), scaled @ head.weight.T + head.bias)


def test_a_feature_that_hardly_ever_answers_is_not_blown_up() -> None:
    features = torch.rand(1000, 3, generator=seeded())
    features[:, 1] = 0.0
    features[0, 1] = 1e-4
    head = Head(features)
    assert ((features - head.mean) * head.scale)[:, 1].abs().max() < 1


def problem(views: int = 2, count: int = 60) -> tuple[Tensor, Tensor]:
    """Return features of two classes that lie apart in one direction."""
    labels = torch.arange(count) % 2
    features = torch.randn(views, count, 6, generator=seeded())
    features[..., 0] += 6.0 * labels
    return features, labels


def train_frozen(
    features: Tensor,
    labels: Tensor,
    *,
    epochs: int = 8,
    batch_size: int = 16,
    rate: float = 0.05,
    decay: float = 0.0,
    seed: int = 0,
) -> tuple[Head, list[float]]:
    head = Head(features.flatten(0, 1))
    losses = train_head(
        head,
        features,
        labels,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=rate,
        decay=decay,
        generator=seeded(seed),
    )
    return head, list(losses)


def test_a_head_learns() -> None:
    features, labels = problem()
    head, losses = train_frozen(features, labels)
    assert len(losses) == 8
    assert losses[-1] < 0.1 < losses[0]
    with torch.no_grad():
        assert (head(features).argmax(2) == labels).double().mean() > 0.97


def test_training_is_repeatable_and_seeds_count() -> None:
    features, labels = problem()
    before = features.clone()
    head, losses = train_frozen(features, labels)
    again, same = train_frozen(features, labels)
    other, different = train_frozen(features, labels, seed=1)
    assert losses == same
    assert torch.equal(head.weight, again.weight)
    assert losses != different
    assert not torch.equal(head.weight, other.weight)
    assert torch.equal(features, before)


def test_the_first_step_is_that_of_gradient_descent() -> None:
    features, labels = problem(views=1)
    head, (loss,) = train_frozen(features, labels, epochs=1, batch_size=100, rate=0.3)
    assert loss == pytest.approx(math.log(2))
    scaled = (features[0] - head.mean) * head.scale
    error = torch.full((60, 2), 0.5) - nn.functional.one_hot(labels, 2)
    torch.testing.assert_close(head.weight.data, -0.3 * error.T @ scaled / 60)
    torch.testing.assert_close(head.bias.data, -0.3 * error.mean(0))


def test_decay_keeps_weights_small() -> None:
    features, labels = problem()
    sizes = [
        float(train_frozen(features, labels, decay=decay)[0].weight.norm().detach())
        for decay in (0.0, 0.1, 1.0)
    ]
    assert sizes[0] > sizes[1] > sizes[2]


def test_every_view_is_seen() -> None:
    labels = torch.arange(40) % 2
    features = torch.zeros(2, 40, 2)  # each view shows the class in another feature
    features[0, :, 0] = features[1, :, 1] = 2.0 * labels - 1
    head, _ = train_frozen(features, labels)
    assert (head.weight[1] > 0.1).all()


def test_a_diverging_loss_stops_the_training() -> None:
    features, labels = problem()
    with pytest.raises(FloatingPointError, match=r"the loss is (nan|inf): look for extreme values"):
        train_frozen(features, labels, rate=1e38)


# Fine-tuning


def small_network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
    return network.eval().requires_grad_(False)


def tune(
    upper: nn.Module, maps: Tensor, labels: Tensor, *, rate: float
) -> tuple[Head, list[float]]:
    with torch.no_grad():
        features = torch.stack([upper(view.float()).mean((2, 3)) for view in maps])
    head = Head(features.flatten(0, 1))
    losses = finetune(
        upper,
        head,
        maps,
        labels,
        epochs=6,
        batch_size=8,
        learning_rate=0.01,
        upper_learning_rate=rate,
        generator=seeded(),
    )
    return head, list(losses)


def pictures() -> tuple[Tensor, Tensor]:
    labels = torch.arange(24) % 2
    maps = torch.randn(2, 24, 3, 8, 8, generator=seeded())
    maps[:, :, 1] *= 1 + 0.5 * labels[:, None, None]  # the class is in the spread of a channel
    return maps, labels


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_fine_tuning_changes_the_blocks_and_not_the_batch_norm(dtype: torch.dtype) -> None:
    maps, labels = pictures()
    upper = small_network()
    before = {name: value.clone() for name, value in upper.state_dict().items()}
    head, losses = tune(upper, maps.to(dtype), labels, rate=0.05)
    assert losses[-1] < losses[0]
    after = upper.state_dict()
    for name in ("0.weight", "1.weight", "1.bias"):
        assert not torch.equal(after[name], before[name])
    for name in ("1.running_mean", "1.running_var", "1.num_batches_tracked"):
        assert torch.equal(after[name], before[name])
    assert head.weight.abs().max() > 0
    assert not any(parameter.requires_grad for parameter in upper.parameters())


def test_without_a_rate_of_its_own_the_network_stays() -> None:
    maps, labels = pictures()
    fixed, tuned = small_network(), small_network()
    _, slow = tune(fixed, maps, labels, rate=0.0)
    _, fast = tune(tuned, maps, labels, rate=0.05)
    for name, value in small_network().state_dict().items():
        assert torch.equal(fixed.state_dict()[name], value)
    assert fast[-1] < slow[-1]


def test_a_network_in_training_mode_is_refused() -> None:
    maps, labels = pictures()
    with pytest.raises(ValueError, match="upper must be in evaluation mode"):
        tune(small_network().train(), maps, labels, rate=0.1)


# Attention


@pytest.mark.parametrize("n_classes", [2, 4])
def test_grad_cam_is_what_the_gradient_says(n_classes: int) -> None:
    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    generator = seeded(4)
    maps = draw(5, 7, 3, 4).abs().requires_grad_()
    head = Head(draw(30, 7), n_classes).double()
    head.weight.data, head.bias.data = draw(n_classes, 7), draw(n_classes)
    labels = torch.arange(5) % n_classes
    scores = head(maps.mean((2, 3)))
    against = (scores - scores.mean(1, keepdim=True))[torch.arange(5), labels].sum()
    (gradient,) = torch.autograd.grad(against, maps)
    expected = (gradient.mean((2, 3), keepdim=True) * maps).sum(1).relu()
    cam = grad_cam(maps.detach(), head, labels)
    assert cam.shape == (5, 3, 4)
    torch.testing.assert_close(cam, expected.detach())
    assert cam.max() > 0
