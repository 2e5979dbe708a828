from __future__ import annotations

import pytest

from tests.support.one_partner import OnePartner


@pytest.fixture
def world() -> OnePartner:
    return OnePartner()
