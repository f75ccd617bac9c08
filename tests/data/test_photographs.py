"""Photographs come from installed packages; a missing package is named."""

import pytest

from rnnreport.data import photographs
from rnnreport.data.assets import MissingDataError
from rnnreport.data.photographs import PHOTOGRAPHS, load_photograph


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_each_is_a_colour_picture_with_an_author(name: str) -> None:
    picture = load_photograph(name)
    assert picture.mode == "RGB"
    assert min(picture.size) >= 300
    assert len(picture.resize((50, 50)).getcolors(2500) or ()) > 500  # no drawing, no plain paper
    photograph = PHOTOGRAPHS[name]
    assert photograph.title
    assert photograph.author
    assert photograph.licence in {"CC0", "CC BY 2.0", "public domain"}


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photographs, "packaged_file", lambda *_: None)
    with pytest.raises(MissingDataError, match="`python -m pip install scikit-image`"):
        load_photograph("cat")
    with pytest.raises(MissingDataError, match="`python -m pip install scikit-learn`"):
        load_photograph("palace")


def test_an_unknown_photograph() -> None:
    with pytest.raises(ValueError, match=r"name must be one of .* got 'dog'"):
        load_photograph("dog")
