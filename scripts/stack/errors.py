"""The one error of the stack: a sentence for the person at the keyboard."""

from __future__ import annotations


class StackError(Exception):
    """What went wrong, where, and what to do about it, in one sentence."""


class NotAnswering(StackError):
    """A part of the stack does not answer as it should at this moment; a later try may succeed."""
