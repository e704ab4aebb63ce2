"""The laws: one module per kind, one function per law."""


class LawBroken(AssertionError):
    """A method does not obey a law of its kind; the message says which and how."""
