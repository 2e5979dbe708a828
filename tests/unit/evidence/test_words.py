"""The readable evidence has a word in every language for everything that the ledger may say."""

from __future__ import annotations

import pytest

from include.nce.domain.classification import SubscriptionClass
from include.nce.domain.command import CommandKind
from include.nce.domain.conversion import ConversionState
from include.nce.domain.subscription import Status
from include.nce.evidence.page import CONVERSION_FIELDS, FIELDS
from include.nce.evidence.words import LANGUAGES, WORDS, language_of, word
from include.nce.ledger.evidence import EvidenceConversion
from include.nce.ledger.plans import _COMPARED
from include.nce.ledger.tables import CommandEvent

SAID = [
    *(f"state.{state.value}" for state in ConversionState),
    *(f"class.{klass.value}" for klass in SubscriptionClass),
    *(f"status.{status.value}" for status in Status),
    *(f"event.{event.value}" for event in CommandEvent),
    *(f"command.{kind.value}" for kind in CommandKind),
    *(f"field.{name}" for name in FIELDS),
    *(f"conversion.{name}" for name in CONVERSION_FIELDS),
]


@pytest.mark.parametrize("key", SAID)
def test_everything_the_ledger_says_has_its_words(key: str) -> None:
    assert key in WORDS


def test_every_word_is_there_in_every_language() -> None:
    assert [key for key, said in WORDS.items() if len(said) != len(LANGUAGES) or not all(said)] == []


def test_a_word_that_nobody_translated_is_shown_as_it_stands_on_record() -> None:
    assert word("kind.seen_by_moonlight", "it") == "seen by moonlight"


@pytest.mark.parametrize(("partner", "page"), [("it", "it"), ("en", "en"), ("es", "en")])
def test_the_page_speaks_the_partners_language_where_it_can(partner: str, page: str) -> None:
    assert language_of(partner) == page


def test_the_page_shows_fields_that_are_on_record() -> None:
    assert set(FIELDS) <= set(_COMPARED)
    assert set(CONVERSION_FIELDS) <= set(EvidenceConversion.model_fields)
