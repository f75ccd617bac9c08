"""The generated scenes: their captions are true, and the pictures show what the captions say."""

import re
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch

from rnnreport.samples.scenes import (
    KINDS,
    PALETTE,
    PLACES,
    TIMES,
    Scene,
    Scenes,
    Thing,
    describe,
    draw,
    generate,
    random_scene,
)

NOUNS = {kind.noun: name for name, kind in KINDS.items()}
NOUNS |= {
    noun.replace("snowman", "snowmen") + ("" if noun == "snowman" else "s"): name
    for noun, name in NOUNS.items()
}
NAME = re.compile(
    r"\b(?P<article>an?|two|three) (?:(?P<size>big|small) )?"
    rf"(?:(?P<colour>{'|'.join(PALETTE)}) )?(?P<noun>{'|'.join(sorted(NOUNS, key=len)[::-1])})\b"
)
PLACE_WORDS = {
    "meadow": "grass|meadow",
    "beach": "beach|sand",
    "snow": "snow|snowy",
    "sea": "water|sea",
}
TIME_WORDS = {
    "day": "clear day|blue sky|sunshine",
    "sunset": "sunset|evening",
    "night": "night|stars|moon",
}
RELATIONS: dict[str, Callable[[Thing, Thing], bool]] = {
    r"\bleft of\b": lambda a, b: a.x < b.x,
    r"\bright of\b": lambda a, b: a.x > b.x,
    r"\bbeside\b": lambda a, b: abs(a.x - b.x) < 0.5,
    r"\bfar from\b": lambda a, b: abs(a.x - b.x) > 0.5,
}
LIGHT_WORDS = {"day": "sunshine", "sunset": None, "night": "moon"}


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return generate(400, generator=torch.Generator().manual_seed(1), size=48)


def _fits(match: re.Match[str], thing: Thing) -> bool:
    return (
        thing.kind == NOUNS[match["noun"]]
        and match["colour"] in (thing.colour, None)
        and match["size"] in ("big" if thing.big else "small", None)
    )


def _untrue(scene: Scene, caption: str) -> str | None:
    """Return what is untrue in a caption, or None; the words are read independently."""
    names = list(NAME.finditer(caption))
    if not names:
        return "it speaks of nothing"
    candidates = [[thing for thing in scene.things if _fits(name, thing)] for name in names]
    for name, things in zip(names, candidates, strict=True):
        number = {"two": 2, "three": 3}.get(name["article"])
        if not things or (number and len(things) != number):
            return name.group()
        following = name.group().split()[1]
        if number is None and (name["article"] == "an") != (following[0] in "aeiou"):
            return f"the article of {name.group()}"
    for words, now in ((PLACE_WORDS, scene.place), (TIME_WORDS, scene.time)):
        for which, pattern in words.items():
            if which != now and re.search(rf"\b(?:{pattern})\b", caption):
                return f"{which} in {now}"
    light = LIGHT_WORDS[scene.time]
    if light and light in caption and not scene.light:
        return "light"
    for pattern, holds in RELATIONS.items():
        if re.search(pattern, caption) and not any(
            holds(a, b) for a in candidates[0] for b in candidates[1]
        ):
            return pattern
    if "between" in caption and not any(
        min(a.x, c.x) < b.x < max(a.x, c.x)
        for b in candidates[0]
        for a in candidates[1]
        for c in candidates[2]
    ):
        return "between"
    for name, things in zip(names, candidates, strict=True):
        verb = caption[name.end() :].split()[:1]
        if verb and verb[0] in {kind.verb for kind in KINDS.values()}:
            verbs = {KINDS[thing.kind].verb for thing in things}
            if verb[0] not in verbs:
                return f"{name.group()} {verb[0]}"
    return None


def test_captions_are_true(scenes: Scenes) -> None:
    for scene, captions in zip(scenes.scenes, scenes.captions, strict=True):
        for caption in captions:
            assert _untrue(scene, " ".join(caption)) is None, (scene, caption)


@pytest.mark.parametrize(
    ("caption", "lie"),
    [
        ("a red ball left of a green tree at night", None),
        ("two red balls on the grass", "two red balls"),
        ("a blue ball on the grass", "a blue ball"),
        ("a big red ball on the grass", "a big red ball"),
        ("an red ball on the grass", "the article of an red ball"),
        ("a red ball right of a green tree", r"\bright of\b"),
        ("a red ball in the snow", "snow in meadow"),
        ("a red ball at sunset", "sunset in night"),
        ("a red ball under the moon", "light"),
        ("a green tree lies on the grass", "a green tree lies"),
        ("at night under the stars", "it speaks of nothing"),
    ],
)
def test_the_reader_finds_lies(caption: str, lie: str | None) -> None:
    things = (Thing("ball", "red", False, 0.2, 0.8), Thing("tree", "green", True, 0.8, 0.8))
    scene = Scene("meadow", "night", things, light=False, light_x=0.5)
    assert _untrue(scene, caption) == lie


def test_captions_vary(scenes: Scenes) -> None:
    captions = [" ".join(words) for captions in scenes.captions for words in captions]
    lengths = [len(caption.split()) for caption in captions]
    assert min(lengths) <= 6
    assert max(lengths) >= 14
    assert len(set(captions)) > len(captions) / 2
    for word in (
        "left right between beside far two there while above big small " + " ".join(PALETTE)
    ).split():
        assert any(word in caption.split() for caption in captions), word
    assert all(re.fullmatch(r"[a-z]+(?: [a-z]+)*", caption) for caption in captions)


def test_things_lie_in_the_picture_and_apart(scenes: Scenes) -> None:
    for scene in scenes.scenes:
        assert scene.place in PLACES
        assert scene.time in TIMES
        assert 1 <= len(scene.things) <= 3
        assert any(not thing.in_sky for thing in scene.things)
        for thing in scene.things:
            assert thing.colour in KINDS[thing.kind].colours
            assert thing.in_sky or thing.kind in PLACES[scene.place].kinds
            width, height = thing.size
            assert width / 2 <= thing.x <= 1 - width / 2
            assert height <= thing.y <= 1
            assert (thing.y <= 0.55) == thing.in_sky  # nothing in the sky touches the ground
        for left, right in pairwise(scene.things):
            assert left.x + left.size[0] / 2 <= right.x - right.size[0] / 2


def test_pictures_show_the_things(scenes: Scenes) -> None:
    for scene in scenes.scenes[:60]:
        image = np.asarray(draw(scene, 96)).astype(int)
        for thing in scene.things:
            width, height = thing.size
            rows = slice(int((thing.y - height) * 96), int(thing.y * 96))
            columns = slice(int((thing.x - width / 2) * 96), int((thing.x + width / 2) * 96))
            distance = np.abs(image[rows, columns] - np.array(PALETTE[thing.colour])).max(axis=2)
            assert (distance < 8).mean() > 0.05, (scene, thing)


def test_times_of_day_look_different(scenes: Scenes) -> None:
    brightness: dict[str, list[float]] = {time: [] for time in TIMES}
    for scene, image in zip(scenes.scenes, scenes.images, strict=True):
        brightness[scene.time].append(float(image.mean()))
    means = {time: np.mean(values) for time, values in brightness.items()}
    assert means["night"] + 0.1 < means["sunset"] < means["day"] - 0.05


def test_generation_is_repeatable(scenes: Scenes) -> None:
    again = generate(30, generator=torch.Generator().manual_seed(1), size=48)
    assert again.names == scenes.names[:30]
    assert again.scenes == scenes.scenes[:30]
    assert again.captions == scenes.captions[:30]
    assert torch.equal(again.images, scenes.images[:30])
    other = generate(30, generator=torch.Generator().manual_seed(2), size=48)
    assert other.scenes != again.scenes
    assert len(set(scenes.scenes)) == len(scenes.scenes)


def test_what_generate_returns(scenes: Scenes) -> None:
    assert scenes.names[:2] == ("scene-00000", "scene-00001")
    assert scenes.images.shape == (400, 3, 48, 48)
    assert scenes.images.dtype == torch.float32
    assert 0 <= scenes.images.min() < scenes.images.max() <= 1
    assert all(len(captions) == 5 for captions in scenes.captions)
    one = generate(1, generator=torch.Generator(), size=7, captions_per_scene=2)
    assert (one.images.shape, len(one.captions[0])) == ((1, 3, 7, 7), 2)


def test_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    describe(random_scene(torch.Generator()), torch.Generator())
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("name", ["count", "size", "captions_per_scene"])
def test_refuses_numbers_below_one(name: str) -> None:
    arguments = {"count": 1, name: 0}
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        generate(generator=torch.Generator(), **arguments)
