"""Which line of the user's code an exception is located at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archsearch import Float, Space
from archsearch.search.user_code import place_in_user_code, with_place


def raised(call: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as caught:
        call()
    return caught.value


def of_source(text: str, filename: str, name: str = "train") -> Callable[[], object]:
    """The function `call` of a module with this text."""
    scope: dict[str, Any] = {"__name__": name}
    exec(compile(text, filename, "exec"), scope)
    found: Callable[[], object] = scope["call"]
    return found


OWN = "def inner():\n    raise KeyError('lr')\n\ndef call():\n    inner()\n"


def test_the_last_line_of_the_user_s_code() -> None:
    assert place_in_user_code(raised(of_source(OWN, "/home/me/train.py"))) == "train.py, line 2"
    error = raised(of_source(OWN, "/home/me/train.py"))
    assert with_place("KeyError: 'lr'", error) == "KeyError: 'lr' (train.py, line 2)"


@pytest.mark.parametrize(
    "text",
    [
        "import json\n\ndef call():\n    json.loads('{')\n",  # the standard library
        "import numpy\n\ndef call():\n    numpy.linalg.inv(numpy.zeros((2, 3)))\n",  # an installed package
        "from archsearch import Float\n\ndef call():\n    Float(2, 1)\n",  # archsearch
    ],
)
def test_an_error_in_a_library_is_located_at_its_call(text: str) -> None:
    assert place_in_user_code(raised(of_source(text, "/home/me/own.py", "own"))) == "own.py, line 4"


def test_a_cell_of_a_notebook_has_no_name_of_its_own() -> None:
    assert place_in_user_code(raised(of_source(OWN, "/tmp/ipykernel_17/2938.py"))) == "notebook cell, line 2"


def test_there_may_be_no_line_of_the_user_s() -> None:
    library = of_source(OWN, str(Path(json.__file__).with_name("decoder.py")))
    error = raised(library)
    error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None  # without this test's frame
    error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
    assert place_in_user_code(error) == ""
    assert with_place("KeyError: 'lr'", error) == "KeyError: 'lr'"
    assert place_in_user_code(ValueError("never raised")) == ""
    ours = raised(lambda: Space(lr=Float(2, 1)))
    assert place_in_user_code(ours).startswith("test_user_code.py, line ")
