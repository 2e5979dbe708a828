"""An evidence pack is whole, is what the ledger holds, and gives itself away when it was changed."""

from __future__ import annotations

import hashlib
import html
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from include.nce.domain.approval import Approval, ApprovalWord
from include.nce.domain.command import CommandKind, CommandOutcome
from include.nce.domain.conversion import ConversionState
from include.nce.domain.decision import DecisionKind
from include.nce.domain.errors import InputRefused
from include.nce.domain.opt_out import OptOut, rule_on
from include.nce.domain.subscription import Customer, Status, SubscriptionKind
from include.nce.domain.undo import UndoCause
from include.nce.evidence.pack import canonical, private_file, read_pack, write_pack
from include.nce.evidence.page import page
from include.nce.ledger.evidence import EvidencePack
from include.nce.ledger.ledger import PostgresLedger
from tests.integration.ledger.scene import (
    AT,
    CAMPAIGN,
    CUSTOMER,
    LATER,
    RUN,
    due,
    guid,
    missing,
    partner,
    subscription,
)
from tests.integration.ledger.test_undo_contract import line as undo_line
from tests.support.scene import bring, intend

HOSTILE = '<script>alert("x")</script>'
FORMULA = "=cmd|'/c calc'!A1"
MUCH_LATER = LATER + timedelta(hours=1)
ANSWER = {"id": "m-1", "status": "Completed", "note": HOSTILE}


async def tell(ledger: PostgresLedger) -> None:
    """One subscription converted, with an opt-out withdrawn, a decision, a lost and a found answer."""
    legacy = subscription("one", offer_name=HOSTILE)
    nce = replace(
        legacy, subscription_id=guid("nce"), kind=SubscriptionKind.NCE, offer_id="CFQ7TTC0LF8S:0001:X",
        seats=6, migrated_from_id=guid("one"),
    )  # fmt: skip
    await ledger.record_opt_out(CAMPAIGN, OptOut("rossi", AT, "anna", None, note=FORMULA))
    await ledger.withdraw_opt_out(CAMPAIGN, "rossi", withdrawn_at=AT, withdrawn_by="bruno")
    await ledger.record_opt_out_ruling(RUN, rule_on([], LATER), at=AT)
    await ledger.record_finding(RUN, missing(), at=AT)
    await ledger.record_survey(RUN, [legacy, subscription("two")], [Customer(CUSTOMER, HOSTILE, "IT")], at=AT)
    await ledger.record_decision(
        CAMPAIGN, "rossi", guid("one"), DecisionKind.CONFIRM_CONVERSION, decided_by="Anna Rossi",
        reason=FORMULA, at=AT,
    )  # fmt: skip
    await ledger.record_verdicts(RUN, [due("one")], [[guid("one")]], at=AT)
    (conversion,) = await ledger.conversions(RUN)
    number = conversion.conversion_id
    command = await intend(ledger, number, CommandKind.CREATE_MIGRATION, {"seats": 6}, at=LATER)
    await ledger.note_sending(command.command_id, at=LATER)
    await ledger.note_answer(
        command.command_id, at=LATER, outcome=CommandOutcome.LOST, status=504, code=None,
        correlation_id="corr-1",
        body="<html>gateway\u202e</html>",
    )  # fmt: skip
    await ledger.note_answer(
        command.command_id,
        at=LATER,
        outcome=CommandOutcome.FOUND,
        status=None,
        code=None,
        correlation_id=None,
        body=ANSWER,
    )
    await bring(ledger, number, ConversionState.CONVERTED,
                "NCE is active, legacy is suspended", at=MUCH_LATER,
        nce_subscription_id=guid("nce"), migration_id="m-1",
    )  # fmt: skip
    await ledger.record_survey(RUN, [replace(legacy, status=Status.SUSPENDED), nce], [], at=MUCH_LATER)


async def written(ledger: PostgresLedger, subject: str, folder: Path, *, pages: int = 200) -> Path:
    path = folder / "pack.json"
    with private_file(path) as file:
        async with ledger.evidence(CAMPAIGN, subject, made_by="carla") as evidence:
            await write_pack(evidence.head, evidence.cases(page=pages), file)
    return path


def shown(pack: EvidencePack, language: str) -> str:
    document = pack.model_dump(mode="json", by_alias=True)
    return "".join(page(document, lambda: document["cases"], pack.digest.value, language))


@pytest.fixture
async def pack_file(postgres_ledger: PostgresLedger, tmp_path: Path) -> Path:
    await tell(postgres_ledger)
    return await written(postgres_ledger, "rossi", tmp_path)


@pytest.fixture
async def pack(pack_file: Path) -> EvidencePack:
    return read_pack(pack_file)


def case_of(pack: EvidencePack, name: str) -> Any:
    (case,) = [case for case in pack.cases if case.legacy.subscription == guid(name)]
    return case


async def test_the_digest_is_over_the_canonical_form_as_it_is_documented(pack_file):
    document = json.loads(pack_file.read_text())
    claimed = document.pop("digest")
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert claimed == {"algorithm": "sha256", "value": hashlib.sha256(text.encode()).hexdigest()}


async def test_the_file_has_the_documented_shape_and_nothing_else(pack_file, pack):
    assert json.loads(pack_file.read_text()) == json.loads(pack.model_dump_json(by_alias=True))


async def test_a_subscription_is_shown_before_and_after_on_both_sides(pack):
    case = case_of(pack, "one")
    assert (case.legacy.before.facts["status"], case.legacy.after.facts["status"]) == ("active", "suspended")
    assert (case.legacy.before.at, case.legacy.after.at, case.legacy.sights) == (AT, MUCH_LATER, 2)
    assert (case.nce.subscription, case.nce.after.facts["seats"]) == (guid("nce"), 6)
    assert case.customer_name == HOSTILE


async def test_what_replaced_another_one_is_told_with_it(pack):
    assert sorted(case.legacy.subscription for case in pack.cases) == sorted([guid("one"), guid("two")])


async def test_a_command_is_told_with_ids_and_answers_as_they_came(pack):
    commands = [entry.facts for entry in case_of(pack, "one").record if entry.kind == "command"]
    assert [facts["event"] for facts in commands] == ["intended", "sending", "lost", "found"]
    assert len({facts["request_id"] for facts in commands}) == 1
    assert commands[0]["payload"] == {"seats": 6}
    assert (commands[2]["correlation_id"], commands[2]["status"]) == ("corr-1", 504)
    assert commands[3]["body"] == ANSWER


async def test_people_and_their_reasons_are_told(pack):
    decisions = [entry for entry in case_of(pack, "one").record if entry.kind == "decision"]
    assert [entry.facts["decided_by"] for entry in decisions] == ["Anna Rossi"]
    told = " ".join(entry.sentence for entry in pack.record)
    for name in ("anna", "bruno"):
        assert name in told
    assert pack.made_by == "carla"


async def test_a_plan_stands_in_the_general_record_and_in_the_case(pack):
    (plan,) = [entry for entry in pack.record if entry.kind == "plan"]
    (line,) = [entry for entry in case_of(pack, "one").record if entry.kind == "plan"]
    assert plan.facts["plan_id"] == line.facts["plan_id"]
    assert (line.facts["class"], line.facts["seats"], line.facts["term"]) == ("due", 5, "P1Y")


async def test_checks_runs_and_policy_are_in_the_general_record(pack):
    kinds = {entry.kind for entry in pack.record}
    assert {"campaign", "run", "check", "opt_out", "opt_out_ruling", "plan"} <= kinds


async def test_times_are_in_utc_and_in_the_partners_own_zone(postgres_ledger, tmp_path):
    await postgres_ledger.enrol(CAMPAIGN, [partner("rossi", zone="Atlantic/Canary", country="ES")])
    await tell(postgres_ledger)
    pack = read_pack(await written(postgres_ledger, "rossi", tmp_path))
    (check,) = [entry for entry in pack.record if entry.kind == "check"]
    assert (check.at, check.at_local, check.zone) == (AT, "2022-06-01T09:00:00+01:00", "Atlantic/Canary")
    assert "2022-06-01 09:00:00 Atlantic/Canary (+01:00)" in html.unescape(shown(pack, "en"))


@pytest.mark.parametrize("asked_for", ["one", "nce"])
async def test_one_subscription_is_found_by_either_id(postgres_ledger, tmp_path, asked_for):
    await tell(postgres_ledger)
    pack = read_pack(await written(postgres_ledger, guid(asked_for), tmp_path))
    assert [case.legacy.subscription for case in pack.cases] == [guid("one")]
    assert pack.cases[0].nce.subscription == guid("nce")


async def test_what_nobody_knows_is_refused_with_what_was_meant(postgres_ledger, tmp_path):
    with pytest.raises(InputRefused, match="did you mean 'rossi'"):
        await written(postgres_ledger, "rosi", tmp_path)


async def test_a_partner_without_subscriptions_has_a_pack_too(postgres_ledger, tmp_path):
    pack = read_pack(await written(postgres_ledger, "verdi", tmp_path))
    assert pack.cases == []
    assert "Nothing is on record." in shown(pack, "en")


async def test_the_digest_does_not_depend_on_the_pages(postgres_ledger, tmp_path):
    await tell(postgres_ledger)
    many = [subscription(f"more {number}") for number in range(7)]
    await postgres_ledger.record_survey(RUN, many, [], at=LATER)
    packs = []
    for pages in (1, 3, 200):
        document = json.loads((await written(postgres_ledger, "rossi", tmp_path, pages=pages)).read_text())
        packs.append({**document, "made_at": None, "digest": None})
    assert len(packs[0]["cases"]) == 9
    assert packs[0] == packs[1] == packs[2]


@contextmanager
def counted(ledger: PostgresLedger) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        statements.append(statement)

    engine = ledger._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def test_more_subscriptions_cost_no_more_queries(postgres_ledger):
    numbers = []
    for upto in (5, 150):
        found = [subscription(f"n{number}") for number in range(upto)]
        await postgres_ledger.record_survey(RUN, found, [], at=AT)
        with counted(postgres_ledger) as statements:
            async with postgres_ledger.evidence(CAMPAIGN, "rossi", made_by="x") as evidence:
                assert (await write_pack(evidence.head, evidence.cases(), io.StringIO())).cases == upto
        numbers.append(len(statements))
    assert numbers[0] == numbers[1]


async def test_a_pack_is_of_one_instant_also_while_others_write(postgres_ledger):
    await tell(postgres_ledger)
    async with postgres_ledger.evidence(CAMPAIGN, "rossi", made_by="x") as evidence:
        cases = evidence.cases(page=1)
        seen = [await cases.__anext__()]
        await postgres_ledger.record_survey(RUN, [subscription(f"z{n}") for n in range(20)], [], at=LATER)
        seen += [case async for case in cases]
    assert len(seen) == 2


TAMPERED = {
    "a figure": lambda text: text.replace('"seats":6', '"seats":7', 1),
    "a person": lambda text: text.replace("Anna Rossi", "Anna Bianchi", 1),
    "a case left out": lambda text: re.sub(r',\n\{"conversion".*', "", text, count=1),
    "the digest": lambda text: re.sub(r'"value":"\w{4}', '"value":"0000', text),
    "a second member of the same name": lambda text: text.replace(
        '"campaign_version": ', '"campaign_version": 1,\n"campaign_version": ', 1
    ),
    "cut off": lambda text: text[: len(text) // 2],
    "something else": lambda text: "[1, 2]",
    "no pack": lambda text: '{"digest": {"algorithm": "sha256", "value": "x"}}',
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED.keys())
async def test_a_copy_that_was_changed_gives_itself_away(pack_file, change):
    text = pack_file.read_text()
    changed = change(text)
    assert changed != text
    pack_file.write_text(changed)
    with pytest.raises(InputRefused):
        read_pack(pack_file)


async def test_a_copy_that_was_only_laid_out_anew_is_whole(pack_file):
    document = json.loads(pack_file.read_text())
    pack_file.write_text(json.dumps(document, indent=4, sort_keys=True))
    assert read_pack(pack_file).subject == "rossi"


async def test_a_pack_is_read_by_its_owner_only(pack_file):
    assert pack_file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in pack_file.parent.iterdir()] == ["pack.json"]


async def test_a_pack_that_fails_half_way_leaves_no_file(postgres_ledger, tmp_path):
    async def cases():
        raise RuntimeError("the ledger went away")
        yield

    async with postgres_ledger.evidence(CAMPAIGN, "rossi", made_by="x") as evidence:
        with pytest.raises(RuntimeError), private_file(tmp_path / "pack.json") as file:
            await write_pack(evidence.head, cases(), file)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("language", ["en", "it"])
async def test_the_page_runs_nothing_and_fetches_nothing(pack, language):
    text = shown(pack, language)
    assert HOSTILE not in text
    assert html.escape(HOSTILE).replace("&quot;", "&#34;") in text
    assert re.findall(r"<(script|iframe|img|link|object|form|a)\b", text) == []
    assert re.findall(r"\b(?:src|href|on\w+)=", text) == []
    assert "default-src 'none'" in text


async def test_a_formula_is_text_on_the_page(pack):
    assert html.escape(FORMULA).replace("&#x27;", "&#39;") in shown(pack, "en")


async def test_text_that_would_turn_around_is_shown_as_such(pack):
    text = shown(pack, "en")
    assert "\u202e" not in text
    assert "gateway\ufffd" in text


@pytest.mark.parametrize("language", ["en", "it"])
async def test_the_page_says_who_what_when_and_with_what_answer(pack, language):
    text = html.unescape(shown(pack, language))
    (request_id,) = {e.facts["request_id"] for e in case_of(pack, "one").record if e.kind == "command"}
    for said in (
        pack.digest.value, request_id, "corr-1", "Anna Rossi", '"id": "m-1"', guid("nce"), "carla",
        "2022-06-01 08:00:00 UTC", "2022-06-01 10:00:00 Europe/Rome (+02:00)", CUSTOMER,
    ):  # fmt: skip
        assert said in text
    assert ("Documentazione probatoria" in text) == (language == "it")


def test_the_canonical_form_escapes_nothing_needlessly():
    assert canonical({"b": "è\u2028", "a": [1, 1.5, None]}) == '{"a":[1,1.5,null],"b":"è\u2028"}'


async def approve_and_undo(ledger: PostgresLedger) -> None:
    """A bundle of two, approved, converted, and approved to be taken back."""
    await ledger.record_survey(RUN, [subscription("one"), subscription("extra")], [], at=AT)
    await ledger.record_verdicts(RUN, [due("one"), due("extra", travels_with="one")], [[guid("one")]], at=AT)
    plan = await ledger.plan(await ledger.latest_plan_id(RUN))
    word = Approval(plan.hash, ApprovalWord.APPROVED, "carla", AT)
    await ledger.record_approval(CAMPAIGN, "rossi", word)
    for line in await ledger.conversions(RUN):
        await bring(ledger, line.conversion_id, ConversionState.CONVERTED, "NCE is active", at=LATER,
            nce_subscription_id=guid(f"nce of {line.legacy_id}"),
        )  # fmt: skip
    await ledger.open_undo_case(
        CAMPAIGN, "rossi", customer_id=CUSTOMER, base_id=guid("one"), cause=UndoCause.OPERATOR,
        scope="subscription", reason="they want it back", opened_by="anna", at=LATER,
    )  # fmt: skip
    lines = [undo_line(legacy_id=guid(name)) for name in ("one", "extra")]
    undo = await ledger.record_undo_plan("undo-1", CAMPAIGN, "rossi", lines, at=LATER)
    await ledger.answer_undo_plan(undo.plan_id, undo.hash, approved=True, who="dora", at=LATER)
    await ledger.record_survey(RUN, [subscription("two")], [], at=LATER)


@pytest.mark.parametrize("subject", ["rossi", guid("one"), guid("extra")])
async def test_who_approved_a_conversion_and_its_undo_is_on_record(postgres_ledger, tmp_path, subject):
    await approve_and_undo(postgres_ledger)
    pack = read_pack(await written(postgres_ledger, subject, tmp_path))
    told = [entry.sentence for entry in pack.record if entry.kind in ("approval", "undo")]

    assert len([sentence for sentence in told if "carla approved plan" in sentence]) == 1
    assert len([sentence for sentence in told if "dora approved the undo of run undo-1" in sentence]) == 1


async def test_an_approval_of_others_is_not_told_of_what_was_never_planned(postgres_ledger, tmp_path):
    await approve_and_undo(postgres_ledger)
    whole = read_pack(await written(postgres_ledger, "rossi", tmp_path))
    alone = read_pack(await written(postgres_ledger, guid("two"), tmp_path))

    assert case_of(whole, "two").record == case_of(alone, "two").record == []
    assert [entry for entry in alone.record if entry.kind in ("approval", "undo")] == []


async def test_an_undo_is_told_of_each_part_of_its_bundle(postgres_ledger, tmp_path):
    await approve_and_undo(postgres_ledger)
    pack = read_pack(await written(postgres_ledger, "rossi", tmp_path))
    for name in ("one", "extra"):
        assert [entry.kind for entry in case_of(pack, name).record].count("undo") == 1
