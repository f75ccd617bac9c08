"""English that more than one generator needs."""


def with_article(phrase: str) -> str:
    """Put "a" or "an" before a phrase, by its first letter."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"
