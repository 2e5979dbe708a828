"""What the five checks read: agreements, relationships, partner ids."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.bench import bench, scenario

STATUS = "/compliance/csp/agreementstatus"
MCA = "agreementType=MicrosoftCustomerAgreement"
TEMPLATE = "117a77b0-9360-443b-8795-c6dedc750cf9"


def partner(**changes: Any) -> dict[str, Any]:
    """A story whose partner differs."""
    story = scenario()
    return {"partners": [story["partners"][0] | changes]}


def customer(**changes: Any) -> dict[str, Any]:
    """A story whose customer differs."""
    story = scenario()
    only = story["partners"][0]
    return {"partners": [only | {"customers": [only["customers"][0] | changes]}]}


@pytest.mark.parametrize("mpn_id", ["4847383", "4847380"])
async def test_a_signed_mpa_is_true_for_both_kinds_of_id(mpn_id: str) -> None:
    async with bench() as sim:
        assert (await sim.get(f"{STATUS}?mpnId={mpn_id}")).json() == {"isAgreementSigned": True}


@pytest.mark.parametrize(
    ("query", "code", "source"),
    [
        ("?mpnId=4847383&tenantId=3b33e682-00c3-41ee-9dd2-a548adf56438", 2000, "ComplianceController"),
        ("", 2001, "ComplianceController"),
        ("?mpnId=abc", 2000, "PartnerApiServiceControllers"),
        ("?tenantId=abc", 2000, "PartnerApiServiceControllers"),
        ("?mpnId=999", 2200, "PartnerFD"),
        ("?tenantId=3b33e682-00c3-41ee-9dd2-a548adf56438", 2205, "PartnerFD"),
    ],
)
async def test_an_mpa_question_that_has_no_answer_says_why(query: str, code: int, source: str) -> None:
    async with bench() as sim:
        answer = await sim.get(STATUS + query)
        assert (answer.status_code, answer.json()["code"], answer.json()["source"]) == (400, code, source)


async def test_an_unsigned_mpa_is_a_refusal_until_it_is_signed() -> None:
    async with bench(**partner(mpa_signed_at="2022-07-12T09:30:00Z")) as sim:
        tenant = sim.story.partners[0].tenant_id
        assert (await sim.get(f"{STATUS}?mpnId=4847383")).json()["code"] == 2203
        assert (await sim.get(f"{STATUS}?tenantId={tenant}")).json()["code"] == 2206
        await sim.go_to("2022-07-12T09:30:00Z")
        assert (await sim.get(f"{STATUS}?mpnId=4847383")).json() == {"isAgreementSigned": True}


@pytest.mark.parametrize(
    ("unknown", "status", "code"), [(True, 503, 800003), (500, 500, 800003), (2201, 400, 2201)]
)
async def test_the_mpa_status_may_be_untellable(unknown: bool | int, status: int, code: int) -> None:
    until = "2022-07-12T00:00:00Z"
    async with bench(**partner(mpa_unknown=unknown, mpa_unknown_until=until)) as sim:
        answer = await sim.get(f"{STATUS}?mpnId=4847383")
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        await sim.go_to(until)
        assert (await sim.get(f"{STATUS}?mpnId=4847383")).status_code == 200


async def test_a_reseller_is_listed_from_the_moment_it_is_linked() -> None:
    path = "/relationships?relationship_type=IsIndirectCloudSolutionProviderOf"
    async with bench(**partner(linked_at="2022-07-12T00:00:00Z")) as sim:
        assert (await sim.get(path)).json()["items"] == []
        await sim.go_to("2022-07-12T00:00:00Z")
        (item,) = (await sim.get(path)).json()["items"]
    assert item == {
        "id": sim.story.partners[0].tenant_id,
        "name": "Rossi Informatica",
        "relationshipType": "is_indirect_cloud_solution_provider_of",
        "state": "Active",
        "mpnId": "4847383",
        "location": "IT",
        "attributes": {"objectType": "PartnerRelationship"},
    }


async def test_an_unlinked_reseller_is_no_valid_partner_of_record() -> None:
    async with bench(**partner(linked_at=None)) as sim:
        answer = await sim.post("/partners/validateresellers", {"partnerIds": ["4847383"]}, token="app")
        assert answer.json()["validationResults"][0]["errorCode"] == 900400


async def test_only_the_location_id_is_a_valid_partner_of_record() -> None:
    async with bench() as sim:
        answer = await sim.post("/partners/validateresellers", {"partnerIds": ["4847383", "4847380"]})
        valid = [item["isValidPartnerIdOnRecord"] for item in answer.json()["validationResults"]]
        assert valid == [True, False]


async def test_an_unknown_mpn_id_has_no_profile() -> None:
    async with bench() as sim:
        answer = await sim.get("/profiles/mpn?mpnId=999")
        assert (answer.status_code, answer.json()["code"]) == (404, 3000)
        assert (await sim.get("/profiles/mpn?mpnId=4847383")).json()["partnerName"] == "Rossi Informatica"


async def test_without_a_type_the_old_agreement_is_answered() -> None:
    async with bench() as sim:
        assert (await sim.get(f"/customers/{sim.alfa}/agreements")).json()["totalCount"] == 0
        assert (await sim.get(f"/customers/{sim.alfa}/agreements?{MCA}")).json()["totalCount"] == 1


async def test_a_customer_may_sign_by_itself() -> None:
    signed = customer(mca={"by": "customer", "at": "2022-07-12T00:00:00Z"})
    async with bench(**signed) as sim:
        path = f"/customers/{sim.alfa}/directSignedMicrosoftCustomerAgreementStatus"
        assert (await sim.get(path)).json() == {"isSigned": False}
        await sim.go_to("2022-07-12T00:00:00Z")
        assert (await sim.get(path)).json() == {"isSigned": True}
        assert (await sim.get(f"/customers/{sim.alfa}/agreements?{MCA}")).json()["items"] == []


async def test_the_provider_attests_once_for_a_contact() -> None:
    async with bench(**customer(mca=None)) as sim:
        wish = {
            "primaryContact": {"firstName": "Tania", "lastName": "Carr", "email": "tania@example.com"},
            "templateId": TEMPLATE,
            "dateAgreed": "2022-07-01T00:00:00.000Z",
            "type": "MicrosoftCustomerAgreement",
        }
        path = f"/customers/{sim.alfa}/agreements"
        assert (await sim.post(path, wish)).status_code == 201
        again = (await sim.post(path, wish)).json()
        assert (again["code"], again["errorName"]) == (600061, "PartnerConfirmedAgreementAlreadyExists")
        future = await sim.post(path, wish | {"dateAgreed": "2022-08-01T00:00:00Z"})
        assert (future.status_code, future.json()["code"]) == (400, 800002)


async def test_the_agreement_templates_are_told() -> None:
    async with bench() as sim:
        (item,) = (await sim.get(f"/agreements?{MCA}")).json()["items"]
        assert item["templateId"] == TEMPLATE
        assert (await sim.get("/agreements")).json()["items"][0]["agreementType"] == "MicrosoftCloudAgreement"
        assert (await sim.get("/agreements?agreementType=*")).json()["totalCount"] == 2
