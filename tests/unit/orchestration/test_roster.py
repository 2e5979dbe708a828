"""Which roster a form may name: a list in a place set up for rosters, and nothing else this machine can
read."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.nce.domain.errors import InputRefused
from include.nce.orchestration.roster import PROJECT, allowed_location, read_roster

LIST = "partner;name;tenant_id\nrossi;Rossi S.r.l.;6a1f0c52-8f6e-4c0b-9d0e-5b7d1e0a1101\n"


def test_a_list_in_the_project_is_read() -> None:
    named = "include/campaigns/csp-commercial-2022.roster.csv"
    assert allowed_location(named, {}) == str(PROJECT / named)
    assert read_roster("", named)


@pytest.mark.parametrize(
    "named",
    [
        "/etc/passwd",
        "/etc/ssl/openssl.csv",
        "../outside.csv",
        "include/../../outside.csv",
        ".env",
        ".local/passwords.json",
        "include/.hidden/roster.csv",
        "include/campaigns/csp-commercial-2022.yaml",
        "plugins/nce_plugin.py",
        "file:///etc/passwd.csv",
        "file:///srv/rosters/roster.csv",
        "http://169.254.169.254/latest/meta-data/roster.csv",
        "https://rosters.example.evil.example/roster.csv",
        "https://rosters.example@evil.example/lists/roster.csv",
        "https://rosters.example/lists/../secrets/roster.csv",
        "https://rosters.example/lists/%2e%2e/secrets/roster.csv",
        "https://rosters.example/lists/roster.csv?next=http://evil.example",
        "https://rosters.example/lists-of-others/roster.csv",
        "https://rosters.example/lists/roster.csv#x.csv",
        "s3://other-bucket/roster.csv",
        "simplecache::http://169.254.169.254/roster.csv",
        "simplecache::s3://rosters/lists/roster.csv",
        "include/campaigns/x::http://evil.example/roster.csv",
        "ssh://root@localhost/etc/roster.csv",
        "include/campaigns/a\0.csv",
        "",
        "/srv/rosters/../../etc/roster.csv",
    ],
)
def test_everything_else_is_refused_before_it_is_opened(named: str) -> None:
    places = {"NCE_ROSTER_PLACES": "https://rosters.example/lists, s3://rosters/lists/, /srv/rosters"}
    with pytest.raises(InputRefused, match="in a place that rosters are read from"):
        allowed_location(named, places)


def test_a_link_out_of_the_place_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "secret.csv").write_text(LIST)
    (tmp_path / "place" / "link.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(InputRefused):
        allowed_location(str(tmp_path / "place" / "link.csv"), {"NCE_ROSTER_PLACES": str(tmp_path / "place")})


@pytest.mark.parametrize(
    "named", ["https://rosters.example/lists/july/roster.csv", "s3://rosters/lists/roster.JSON"]
)
def test_a_url_below_a_place_is_taken(named: str) -> None:
    places = {"NCE_ROSTER_PLACES": "https://rosters.example/lists, s3://rosters/lists/"}
    assert allowed_location(named, places) == named


def test_a_folder_set_up_for_rosters_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "roster.csv").write_text(LIST)
    monkeypatch.setenv("NCE_ROSTER_PLACES", str(tmp_path))
    assert [partner.partner for partner in read_roster("", str(tmp_path / "roster.csv"))] == ["rossi"]


def test_the_campaigns_own_roster_may_lie_anywhere(tmp_path: Path) -> None:
    (tmp_path / "roster.csv").write_text(LIST)
    own = str(tmp_path / "roster.csv")
    assert [partner.partner for partner in read_roster(own)] == ["rossi"]
    assert [partner.partner for partner in read_roster(own, own)] == ["rossi"]
