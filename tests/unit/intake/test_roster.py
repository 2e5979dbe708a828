"""The roster: read as Italian spreadsheets save it, and refused cell by cell."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.nce.domain.errors import InputRefused
from include.nce.intake.roster import load_roster

ONE = "0a1b2c3d-0000-4000-8000-000000000001"
TWO = "0a1b2c3d-0000-4000-8000-000000000002"


def faults_of(data: str | bytes) -> list[str]:
    with pytest.raises(InputRefused) as refused:
        load_roster(data, name="r.csv")
    assert all(fault.startswith("r.csv") for fault in refused.value.faults)
    return [fault.removeprefix("r.csv").lstrip(",: ") for fault in refused.value.faults]


def test_a_roster_from_an_italian_spreadsheet_is_read() -> None:
    text = (
        "Ragione sociale;Sigla;Tenant;MPN;Paese;Provincia;Fuso orario;Lingua\r\n"
        f"Rossi Informatica S.r.l.;rossi;{ONE.upper()};4100110;it;MI;;IT\r\n"
        "\r\n"
        f"Sol Sistemas;sol;{TWO};;ES;;Atlantic/Canary;es\r\n"
    )
    rossi, sol = load_roster(("\ufeff" + text).encode(), name="r.csv")
    assert (rossi.partner, rossi.tenant_id, rossi.mpn_id, rossi.country, rossi.province, rossi.language) == (
        "rossi", ONE, "4100110", "IT", "MI", "it",
    )  # fmt: skip
    assert (sol.mpn_id, sol.zone, sol.province) == (None, "Atlantic/Canary", None)


@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
def test_the_delimiter_is_known_by_the_header_and_not_by_the_content(delimiter: str) -> None:
    other = ";" if delimiter != ";" else ","
    name = f"A {other} B {other} C {other} D"
    text = f"name{delimiter}tenant{delimiter}partner\n{name}{delimiter}{ONE}{delimiter}a-b\n"
    assert load_roster(text, name="r.csv")[0].name == name


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_accents_survive_every_encoding_that_spreadsheets_write(encoding: str) -> None:
    data = f"name,tenant\nCaffè & Città,{ONE}\n".encode(encoding)
    (partner,) = load_roster(data, name="r.csv")
    assert (partner.name, partner.partner) == ("Caffè & Città", "caffe-citta")


def test_a_spreadsheets_own_separator_line_is_obeyed() -> None:
    assert load_roster(f"sep=;\r\nname;tenant\r\nRossi;{ONE}\r\n", name="r.csv")[0].name == "Rossi"


def test_old_line_ends_are_read() -> None:
    assert len(load_roster(f"name;tenant\rRossi;{ONE}\rConti;{TWO}\r", name="r.csv")) == 2


def test_a_quoted_cell_may_hold_delimiters_and_line_ends() -> None:
    text = f'name;tenant\n"Rossi; ""Figli""\ne Nipoti";{ONE}\nConti;nonsense\n'
    assert faults_of(text) == [
        "line 4, tenant_id: 'nonsense' is no tenant id; it looks like 8-4-4-4-12 hexadecimal digits."
    ]


@pytest.mark.parametrize("formula", ["=cmd|' /C calc'!A0", "+39 Reti", "@home", "-Zero"])
def test_a_formula_is_only_its_characters(formula: str) -> None:
    assert load_roster(f"name;tenant;partner\n{formula};{ONE};x1\n", name="r.csv")[0].name == formula


def test_a_json_roster_is_read() -> None:
    data = json.dumps([{"nome": "Rossi", "tenant_id": ONE, "mpn": 4100110, "zone": None}])
    (partner,) = load_roster(data, name="r.json")
    assert (partner.partner, partner.mpn_id) == ("rossi", "4100110")


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        pytest.param("", ["the file is empty; its first line names name, tenant_id."], id="empty"),
        pytest.param(
            "name;tenant\n", ["it lists no partner; write one row for each partner."], id="header only"
        ),
        pytest.param(
            "hello\n",
            ["line 1: this is no header; its columns are name, tenant_id, divided by ';', ',' or tab."],
            id="no header",
        ),
        pytest.param(
            "name;town\nRossi;Milano\n",
            [
                "line 1, column 'town': it is not known; remove the column or call it one of partner, name, "
                "tenant_id, mpn_id, country, province, zone, language.",
                "line 1, tenant_id: the column is missing; add it (or as: tenant, id tenant, tenant id).",
            ],
            id="unknown and missing column",
        ),
        pytest.param(
            f"name;tenant;provinca\nRossi;{ONE};MI\n",
            ["line 1, column 'provinca': it is not known; did you mean 'provincia'?"],
            id="misspelt column",
        ),
        pytest.param(
            f"name;tenant;nome\nRossi;{ONE};Rossi\n",
            ["line 1, column 'nome': 'name' is already column 1; keep one of the two."],
            id="column twice",
        ),
        pytest.param(
            f"name;tenant\nRossi;{ONE};extra\n",
            ["line 2, column 3: 'extra' stands under no header; name the column or empty the cell."],
            id="cell without header",
        ),
        pytest.param(
            "name;tenant\n;\nRossi;\n", ["line 3, tenant_id: the cell is empty; fill it in."], id="empty cell"
        ),
        pytest.param(
            f"name;tenant;mpn;paese;lingua;zone\nRossi;{ONE};41-00;Italia;ita;Roma\n",
            [
                "line 2, mpn_id: '41-00' cannot be used; write the local PartnerID, 1 to 10 digits.",
                "line 2, country: 'Italia' cannot be used; write the two letters of the country, such as IT.",
                "line 2, zone: 'Roma' is no time zone; write one such as Europe/Madrid.",
                "line 2, language: 'ita' cannot be used; write the two letters of the language, such as it.",
            ],
            id="every cell wrong",
        ),
        pytest.param(
            f"name;tenant\n株式会社;{ONE}\n",
            ["line 2, name: no id can be made of '株式会社'; add a column 'partner' with one."],
            id="no id",
        ),
        pytest.param(
            f"name;tenant;mpn\nRossi;{ONE};7\nVerdi;{ONE.upper()};41-00\n",
            [
                "line 3, mpn_id: '41-00' cannot be used; write the local PartnerID, 1 to 10 digits.",
                f"line 3, tenant_id: '{ONE}' is already on line 2; each partner has its own.",
            ],
            id="twice and wrong",
        ),
        pytest.param(
            f"name;tenant;mpn\nRossi;{ONE};7\n\nRossi;{ONE.upper()};7\n",
            [
                "line 4, partner: 'rossi' is already on line 2; each partner has its own.",
                f"line 4, tenant_id: '{ONE}' is already on line 2; each partner has its own.",
                "line 4, mpn_id: '7' is already on line 2; each partner has its own.",
            ],
            id="duplicates",
        ),
        pytest.param(
            f'name;tenant\nRossi;{ONE}\n"Conti;{TWO}\n',
            ["line 3: a quotation mark is not closed; correct it in the spreadsheet and save again."],
            id="open quotation mark",
        ),
        pytest.param(
            '[\n {"name": "Rossi",\n  "tenant": "' + ONE + '", "naem": "x"},\n {"name": true}]',
            [
                "line 2, 'naem': this field is not known; did you mean 'name'?",
                "line 4, 'name': its value is no text; write it in quotation marks.",
                "line 4, name: the cell is empty; fill it in.",
                "line 4, tenant_id: the cell is empty; fill it in.",
            ],
            id="json fields",
        ),
        pytest.param(
            '[{"name": "Rossi"\n "tenant": "x"}]',
            ["line 2: this is no JSON: Expecting ',' delimiter."],
            id="broken json",
        ),
        pytest.param(
            '[{"name": "Rossi"} {"name": "Conti"}]',
            ["line 1: ',' is missing before this; write an array of objects."],
            id="json without comma",
        ),
        pytest.param(
            '[{"nome": "Rossi", "tenant": "' + ONE + '", "name": "Rossi"}]\nand more',
            ["line 2: the array ends here, and more follows; remove what follows."],
            id="more after the array",
        ),
        pytest.param("[\n]", ["it lists no partner; write one row for each partner."], id="empty json"),
        pytest.param(
            '{"partners": []}',
            ["line 1: '[' is missing before this; write an array of objects."],
            id="json without array",
        ),
        pytest.param(
            '["Rossi"]',
            ["line 1: an object is expected here; write an array of objects."],
            id="json of texts",
        ),
    ],
)
def test_each_fault_is_one_sentence_with_its_line_and_field(text: str, sentences: list[str]) -> None:
    assert faults_of(text) == sentences


def test_a_file_that_is_no_text_is_refused() -> None:
    assert faults_of(b"PK\x03\x04\x00\x00") == ["it is no text file; save it as CSV with UTF-8 encoding."]


@given(st.binary(max_size=200))
def test_any_bytes_become_partners_or_a_refusal(data: bytes) -> None:
    _partners_or_refusal(data)


PIECES = [
    "name",
    "tenant",
    ONE,
    "Rossi",
    ";",
    ",",
    '"',
    "\n",
    "\r",
    "\t",
    "=1",
    "\x1c",
    "[",
    "{",
    "}",
    "]",
    ":",
    "\u2028",
]


@given(st.lists(st.sampled_from([*PIECES, "sep=;", "é"]), max_size=40))
def test_any_text_that_looks_like_a_roster_becomes_partners_or_a_refusal(parts: list[str]) -> None:
    _partners_or_refusal("".join(parts).encode())


def _partners_or_refusal(data: bytes) -> None:
    try:
        assert load_roster(data, name="r.csv")
    except InputRefused as refused:
        assert refused.faults  # noqa: PT017 - either outcome is right, and a refusal says why
