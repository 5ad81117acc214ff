"""The one exception that means: the input is at fault, not the program."""


class InputError(ValueError):
    """What is required, what came, what to do: one line for the person who supplied the input."""


def one_line(error: BaseException) -> str:
    """Shorten a library's message to its first line."""
    return " ".join(str(error).split())[:200]
