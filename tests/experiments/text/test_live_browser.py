"""The script of the live figure in a browser, against the Python model."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from browser import browser, context, opened, page_of
from live_networks import ENOUGH, random_lstm

from rnnreport.data.sentiment import tokenise_review
from rnnreport.data.vocabulary import Vocabulary
from rnnreport.experiments.text.live_figure import EXAMPLES, LiveLSTM, live_figure
from rnnreport.samples.reviews import generate

__all__ = ["browser", "context"]

PARTS = ("f", "i", "c_tilde", "o", "c", "probability")
N_GENERATED, LONGEST = 180, 400

MADE_UP = [
    "good",
    "zork",
    "zork zork zork zork !",
    ".",
    "The zork's soup wasn't good, but I'd eat it again; really!",
    "THE SOUP WAS NOT GOOD.",
    "toString constructor __proto__ hasOwnProperty",  # words that every object of a script has
    "<NULL> and <UNK> are words like <b>any</b>",
    "I paid $ 12.50 for 3 soups",
    "ça n'était pas bon",
    "スープ は 良い 。",
    "😀 good 😀",
    "w1 w2 w3 w4 w5 w6 w7 w8 w9 w10",
    "not not not not not not good",
    " ".join(f"w{k % 300}" for k in range(LONGEST)),
    "the " * LONGEST,
    "x" * 1000,
    *EXAMPLES,
]

TRICKY = [
    "",
    " \t\r\n ",
    "'",
    "''",
    "'' ''",
    "a '' b '' c",
    "''a'' ''",
    "`` great '' food",
    '"Great" food, he said "so".',
    '("x") ["y"] {"z"} <"w"> (\'\'q\'\')',
    "“Great” and ‘so-so’, isn’t it?",
    "I can't, won't, don't; it's they're we'll he'd I'm I've",
    "rock'n'roll 'n' dogs' tails' 's 'S",
    "cannot CANNOT cannots uncannot gimme Gonna gotta lemme wanna wannabe wanna",
    "d'ye more'n 'tis 'twas it 'tis, 'Twas",
    "g\u0131mme 't\u0131s 'twa\u017f can\u0131not",
    "\u0130stanbul \u00dcBER \u039f\u0394\u039f\u03a3 \u1e9e \u212aelvin",
    "can\u00f1ot \u00e9cannot cannot\u00e9 cannot_ _cannot cannot\u0301",
    "1 2.50 1,000.50 1.2.3 1. .5 5:30 2nd 1/2 10% $5 #1 a@b.c",
    "\u0663\u0664 \u0663.\u0664 \u00b2 \u00bd",  # digits of other scripts, and what are none
    "_num_ $ _num_",
    "a:b a: b ,c d,e 1,2 1:2 1, ,1 ,, ,\n",
    "ends with comma,",
    "ends with two,,\n",
    "two sentences. Are here. Yes.",
    "etc.) etc.\" etc.' etc.>  ",
    "... a...b .... ..... .",
    "wait...",
    "?!?! a?b!c",
    "a--b ---- -- well-known",
    "no\u00a0break thin\u2009space ideo\u3000graphic next\u0085line zero\ufeffwidth",
    "sep\x1carate \u2028 \u180e x",
    "  \u00a0''\u00a0 x",
    "tab\there\vand\fthere",
    "😀''😀 ''",
    "a&b;c#d%e@f",
    "<NULL>",
    "la\u0308uft und l\u00e4uft \u0130 हिन्दी",
    "what' s ' t' ",
    "''' '''' `` ``` ` $` $' $& $1",
]


@pytest.fixture(scope="module")
def model() -> LiveLSTM:
    """Random weights of the size of the trained ones; it knows part of the generated words."""
    sentences = generate(300, generator=torch.Generator().manual_seed(1)).sentences
    vocabulary = Vocabulary.build(sentences, 3).words[len(Vocabulary.SPECIAL) :]
    return random_lstm([*ENOUGH, *vocabulary, *(f"w{k}" for k in range(300))], 16, 16, seed=5)


@pytest.fixture(scope="module")
def other() -> LiveLSTM:
    """Another network, which knows fewer words and has smaller word vectors."""
    return random_lstm(ENOUGH, 9, 16, seed=6)


@pytest.fixture(scope="module")
def page_file(model: LiveLSTM, other: LiveLSTM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page_of(
        live_figure({"these": model, "those": other}).html,
        "live-lstm",
        tmp_path_factory.mktemp("page"),
    )


@pytest.fixture
def page(context: Any, page_file: Path) -> Iterator[Any]:
    """The figure in a page that was opened from a file."""
    with opened(context, page_file, "live-lstm") as page:
        yield page


@pytest.mark.parametrize("name", ["these", "those"])
def test_the_script_computes_what_python_computes(
    page: Any, model: LiveLSTM, other: LiveLSTM, name: str
) -> None:
    if name == "those":
        page.get_by_label(name).check()
        model = other
    reviews = generate(N_GENERATED, generator=torch.Generator().manual_seed(2)).sentences
    texts = [" ".join(sentence) for sentence in reviews] + MADE_UP
    assert len(texts) >= 200
    split = [tokenise_review(text) for text in texts]
    unknown = sum(not model.knows(tokens) for tokens in split)
    assert name == "those" or 50 < unknown < len(texts) - 50
    # All numbers as float64, Base64: thousands of them a sentence.
    packed = page.evaluate(
        """([texts, parts]) => {
          const { tokenise, readTokens } = document.getElementById("live-lstm").liveLSTM;
          return texts.map((text) => {
            const steps = readTokens(tokenise(text));
            const numbers = parts.flatMap((part) => steps.flatMap((step) =>
              part === "probability" ? [step[part]] : [...step[part]]));
            const bytes = new Uint8Array(new Float64Array(numbers).buffer);
            return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
          });
        }""",
        [texts, PARTS],
    )
    for text, tokens, data in zip(texts, split, packed, strict=True):
        reading = model.read(tokens)
        expected = torch.cat([getattr(reading, part).flatten() for part in PARTS])
        actual = torch.frombuffer(bytearray(base64.b64decode(data)), dtype=torch.float64)
        assert actual.shape == expected.shape, text
        worst = float((actual - expected).abs().max())
        assert worst < 1e-10, f"{text[:60]!r}: {worst}"  # 1e-5 would do


def test_the_script_splits_sentences_as_python_does(page: Any) -> None:
    texts = [*TRICKY, *MADE_UP]
    generator = torch.Generator().manual_seed(9)
    pieces = [*"ab .,:;!?\"'`()[]<>-_$12\n\u00a0é", "n't", "''", "...", "can", "not", "'s ", "``"]
    for _ in range(300):
        picks = torch.randint(len(pieces), (20,), generator=generator).tolist()
        texts.append("".join(pieces[k] for k in picks))
    splits = page.evaluate(
        'texts => texts.map(document.getElementById("live-lstm").liveLSTM.tokenise)', texts
    )
    for text, tokens in zip(texts, splits, strict=True):
        assert tokens == tokenise_review(text), repr(text)


def test_the_script_draws_what_python_draws(page: Any, page_file: Path, browser: Any) -> None:
    cells = "[...document.querySelectorAll('.live-table td')].map((cell) => cell.innerHTML)"
    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.goto(page_file.as_uri())
    assert page.evaluate(cells) == plain.evaluate(cells)
    assert not plain.locator("#live-lstm-text").is_visible()
    assert plain.get_by_text("a fixed example").is_visible()
    assert not page.get_by_text("a fixed example").is_visible()
    assert plain.locator(".live-word").all_text_contents() == tokenise_review(EXAMPLES[0])
    answers = [opened.locator("#live-lstm-probability").text_content() for opened in (page, plain)]
    assert answers[0] == answers[1]
    plain.context.close()


def test_typing(page: Any, model: LiveLSTM) -> None:
    field, answer = page.locator("#live-lstm-text"), page.locator("#live-lstm-probability")
    field.fill("")
    assert answer.text_content() == "–"
    assert page.locator("#live-lstm-note").text_content() == "no word yet"
    assert page.locator(".live-table td").count() == 0
    height = page.locator("#live-lstm").bounding_box()["height"]
    field.press_sequentially("The zork wasn't good.")
    tokens = ["the", "zork", "was", "n't", "good", "."]
    assert (
        page.locator(".live-word").evaluate_all(
            "words => words.map((word) => word.firstChild.data)"
        )
        == tokens
    )
    assert answer.text_content() == f"{model.read(tokens).probability[-1]:.2f}"
    assert page.locator(".live-word.unknown").all_text_contents() == ["zorkunknown"]
    assert "unknown: zork" in page.locator("#live-lstm-note").text_content()
    assert page.locator("#live-lstm").bounding_box()["height"] == height
    field.fill("the soup")  # fewer words, and a part of the old ones
    assert page.locator(".live-table tbody tr").first.locator("td").count() == 2
    field.fill("the soup " * 30)
    assert page.locator("#live-lstm").bounding_box()["height"] == height
    assert (
        page.evaluate(
            "(box => box.scrollWidth - box.clientWidth - box.scrollLeft)"
            "(document.querySelector('.live-scroll'))"
        )
        < 1.5
    )  # the latest word is in view
    field.fill("the soup")
    page.wait_for_function("document.querySelector('.live-status').textContent.includes('2 words')")


@pytest.mark.parametrize("font", ["serif", "sans-serif", "monospace"])
@pytest.mark.parametrize("style", ["", "bd-article"])  # by itself, and as on a page
def test_nothing_moves_whatever_is_typed(page: Any, font: str, style: str) -> None:
    page.add_style_tag(content=f"body {{ font-family: {font} }}")
    page.evaluate("name => { document.body.className = name }", style)
    tops = """() => [...document.querySelectorAll("#live-lstm, #live-lstm :is(p, dl, table, tr)")]
      .map((part) => [part.classList[0] || part.tagName, part.getBoundingClientRect().top,
        part.closest("table") ? 0 : part.getBoundingClientRect().height])"""
    for width in (320, 390, 601, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        page.get_by_label("these").check()
        page.locator("#live-lstm-text").fill("")
        before = page.evaluate(tops)
        for text in ("The zork wasn't good.", "good", "w " * 201, "スープ x\u0323\u0301 " * 3):
            page.locator("#live-lstm-text").fill(text)
            assert page.evaluate(tops) == before, (width, text)
        page.get_by_label("those").check()
        assert page.evaluate(tops) == before, width


def test_another_network_reads_the_same_sentence(
    page: Any, model: LiveLSTM, other: LiveLSTM
) -> None:
    text = EXAMPLES[1].replace("soup", "soup w7")
    tokens = tokenise_review(text)
    page.locator("#live-lstm-text").fill(text)
    answer, note = page.locator("#live-lstm-probability"), page.locator("#live-lstm-note")
    drawn = "[...document.querySelectorAll('.live-table td')].map((cell) => cell.innerHTML)"
    first = page.evaluate(drawn)
    for name, each, message in (
        ("those", other, f"{len(tokens)} words, unknown: w7"),
        ("these", model, f"{len(tokens)} words, all of them known"),
    ):
        page.get_by_label(name).check()
        assert answer.text_content() == f"{each.read(tokens).probability[-1]:.2f}"
        assert note.text_content() == message
        assert page.locator(".live-known").text_content() == f"{len(each.vocabulary) - 2:,}"
        assert (page.evaluate(drawn) == first) == (name == "these")
    # It can be done with keys: the arrow goes to the other one and chooses it.
    page.get_by_label("these").focus()
    page.keyboard.press("ArrowDown")
    assert page.get_by_label("those").is_checked()
    assert answer.text_content() == f"{other.read(tokens).probability[-1]:.2f}"


def test_examples_and_numbers_of_a_word(page: Any, model: LiveLSTM) -> None:
    page.get_by_role("button", name=EXAMPLES[1], exact=True).click()
    tokens = tokenise_review(EXAMPLES[1])
    reading = model.read(tokens)
    numbers = page.locator(".live-numbers dd")

    def expected(k: int) -> list[str]:
        before = reading.probability[k - 1] if k else model.tensors["bias"].double().sigmoid()[0]
        change, cell = float(reading.probability[k] - before), float(reading.c[k].mean())
        return [
            tokens[k],
            f"{reading.probability[k]:.3f}",
            f"{change:+.3f}".replace("-", "−"),
            *(f"{gate[k].mean():.2f}" for gate in (reading.f, reading.i, reading.o)),
            f"{cell:+.2f}".replace("-", "−"),
        ]

    last = len(tokens) - 1
    assert numbers.all_text_contents() == expected(last)
    page.locator(".live-scroll").focus()
    page.keyboard.press("ArrowLeft")
    assert numbers.all_text_contents() == expected(last - 1)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")  # there is no word behind the last
    assert numbers.all_text_contents() == expected(last)
    page.keyboard.press("Home")
    assert numbers.all_text_contents() == expected(0)
    status = f"word {tokens[0]}, probability {expected(0)[1]}, change {expected(0)[2]}, mean f "
    page.wait_for_function(
        "status => document.querySelector('.live-status').textContent.startsWith(status)",
        arg=status,
    )
    page.locator(".live-table tbody tr").nth(3).locator("td").nth(1).hover()
    assert numbers.all_text_contents() == expected(1)
    page.locator("#live-lstm-text").hover()
    assert numbers.all_text_contents() == expected(0)


def test_a_very_long_text_stays_quick_and_says_its_limit(page: Any, model: LiveLSTM) -> None:
    text = " ".join(f"w{k % 300}" for k in range(LONGEST))
    milliseconds = page.evaluate(
        """(text) => {
          const field = document.getElementById("live-lstm-text");
          field.value = text;
          const start = performance.now();
          field.dispatchEvent(new Event("input"));
          return performance.now() - start;
        }""",
        text,
    )
    assert milliseconds < 2000
    assert page.locator(".live-table tbody tr").first.locator("td").count() == 200
    note = page.locator("#live-lstm-note").text_content()
    assert note.startswith(f"the first 200 of {LONGEST} words")
    probability = f"{model.read(text.split()[:200]).probability[-1]:.2f}"
    assert page.locator("#live-lstm-probability").text_content() == probability
    # The page itself never gets wider than the window: the columns scroll in their box.
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
