"""What an error says of itself: the exit code of a command, and the code of the error."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from holdfast.core.errors import HoldfastError

Said = tuple[int, str]
Tell = Callable[[str], Said]


def failed(call: Callable[[], object]) -> Said:
    """The code of the error that a call in Python raises; 2 is what a command would end with."""
    with pytest.raises(HoldfastError) as caught:
        call()
    return 2, caught.value.code
