"""What copying and pickling mean for an object that holds threads, locks and tokens.

A copy in the same process shares the object, so that there is one refresh for both. A pickle holds how it was made and
nothing that it has learned since; unpickling makes it again.
"""

from functools import partial
from typing import Any, Self


class _Call(partial[Any]):
    """How an object is made. It may be shown with the object's other members, and a secret may be among its own."""

    def __repr__(self) -> str:
        """Without the arguments."""
        return f"{self.func.__name__}(…)"


class Reopens:
    """Shared by a copy, made again by a pickle."""

    _made: _Call

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Take note of how it is made."""
        self = super().__new__(cls)
        self._made = _Call(cls, *args, **options)
        return self

    def __copy__(self) -> Self:
        """Itself."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """How to make it again.

        Raises:
            TypeError: a secret would be in the pickle.
        """
        return self._made, ()
