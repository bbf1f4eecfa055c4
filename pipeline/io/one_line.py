"""Text that a file brought, such as a name or a wrong value, within a message of one line.

Whoever makes the file decides what it says: a line end in a name would begin a message of its own,
an escape sequence would rule the terminal, and a megabyte would bury what is wrong.
"""

LONGEST = 300


def one_line(text: str, longest: int = LONGEST) -> str:
    """The text with everything escaped that cannot be seen; without its middle if it is long."""
    if len(text) > longest:
        text = f"{text[: longest // 2]} … {text[-longest // 2 :]}"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
