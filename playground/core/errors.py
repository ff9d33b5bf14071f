"""What a person can cause: one translated sentence that says what was found, what was expected, what to do.

Everything else that goes wrong is our bug; it is logged with its traceback and never shown.
"""

from collections.abc import Mapping

LANGUAGES = ("en", "zh")

_SENTENCES: dict[str, tuple[str, str]] = {}


def register(sentences: Mapping[str, tuple[str, str]]) -> None:
    """Add sentences as key -> (English, Chinese); `{name}` stands for a value. A module registers its own."""
    twice = _SENTENCES.keys() & sentences.keys()
    assert not twice, f"registered twice: {sorted(twice)}"
    _SENTENCES.update(sentences)


def registered() -> Mapping[str, tuple[str, str]]:
    """All sentences known so far (the text tests read them)."""
    return dict(_SENTENCES)


class PlaygroundError(Exception):
    """A mistake a person can make and mend. `str()` gives the English sentence, `sentence("zh")` the Chinese."""

    def __init__(self, key: str, **values: object) -> None:
        assert key in _SENTENCES, f"no sentence is registered for {key!r}"
        super().__init__(key, values)
        self.key, self.values = key, {name: _short(value) for name, value in values.items()}

    def sentence(self, language: str = "en") -> str:
        return _SENTENCES[self.key][LANGUAGES.index(language)].format(**self.values)

    def sentences(self) -> dict[str, str]:
        """Language -> sentence, for what is shown where the language is known only later."""
        return {language: self.sentence(language) for language in LANGUAGES}

    def __str__(self) -> str:
        return self.sentence()


def _short(value: object, limit: int = 200) -> str:
    """What was found, as text of bounded length: a 30 MB text must not come back in its own error."""
    try:
        text = str(value)
    except ValueError:                                        # Python writes no whole number of more than 4,300 digits
        text = "…"
    return text if len(text) <= limit else f"{text[:limit - 1]}…"
