"""How to copy and pickle an object that holds threads, locks and tokens.

A copy in the same process shares the object, so both share one refresh. A pickle holds only the arguments that made the
object, and unpickling makes it again.
"""

from functools import partial
from typing import Any, Self


class _Call(partial[Any]):
    """The arguments that make an object. A debugger may show them, and one of them may be a secret."""

    def __repr__(self) -> str:
        """Without the arguments."""
        return f"{self.func.__name__}(…)"


class Reopens:
    """A base class: copying shares the object, and unpickling makes it again."""

    _made: _Call

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Note the arguments that make it."""
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
