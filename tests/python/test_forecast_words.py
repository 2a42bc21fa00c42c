"""Features in people's words: none of the core's names is shown as a machine's name.

Method: all names that the core gives, with a number that each may have.
"""

from __future__ import annotations

import math

from finops._core import feature_names
from finops.cli.predict_words import driver_words
from finops.predict import Driver


def test_every_feature_of_the_core_has_words() -> None:
    words = {name: driver_words(Driver(name, 0.5, 0.1)) for name in feature_names()}
    assert words
    unknown = [
        name for name, said in words.items() if said.startswith(name.replace("_", " ") + ":")
    ]
    assert unknown == []


def test_numbers_have_units_and_what_is_missing_is_said() -> None:
    assert driver_words(Driver("sibling_last", math.log(2), 0.1)).endswith("2 x the usual use")
    assert driver_words(Driver("user_running", math.log(4), 0.1)).endswith("running now: 3")
    assert driver_words(Driver("sibling_since_end", math.log(61), 0.1)).endswith(": 1m 0s")
    assert driver_words(Driver("sibling_last", math.nan, 0.1)).endswith(": not known")
    assert driver_words(Driver("new\x1b_one", 1.5, 0.1)) == "new  one: 1.5"
