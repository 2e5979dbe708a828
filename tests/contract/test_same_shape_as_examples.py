"""What client and simulator emit looks like the documented payloads: fields, JSON types, words, lists.

Both are heard in one conversation that covers every resource. Where they differ from the examples on purpose
the difference stands in a table here with its reason; any other fails, and so does a reason that is no longer
needed. `NCE_CONTRACT_EXAMPLES=<folder>` selects another folder of examples.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest

from tests.contract.conversation import Said, hold_conversation
from tests.contract.folder import EXAMPLES, OWN, REQUESTS, RESPONSES, Example, named, read_examples
from tests.contract.shape import Place, Shape, form_of

OWN_EXAMPLES = read_examples(OWN)
NOT_SERVED = {
    "ServiceCostsSummary": "costs are no part of a migration",
    "ServiceRequest": "support tickets are no part of a migration",
}
SIBLINGS = {
    "checkout_cart": "CartCheckoutResult",
    "get_addons": "Subscription",
    "get_cart": "Cart",
    "get_customer_availabilities": "Availability",
    "get_customer_products": "Product",
    "get_customer_relationships": "PartnerRelationship",
}
"""Operations without an example of their own that answer with a resource of another one."""
FILTER = "Customer.filter"
"""Travels in the query of a list of customers."""
NO_EXAMPLE = {
    "get_token_v2": "the second version of the token endpoint is shown nowhere",
    "validate_resellers": "only its request is shown",
}

FIELD_TABLE = "in the resource's field table, in no example"
BULK_TOOL = "in Microsoft's SDK and bulk migration tool, in no example of the page"
SHOWN_AS_ASKED = "shown in a request and in the REST reference"
FIXED_ADDRESS = "addresses are fixed and complete without it"
NOT_EMITTED: dict[Place, str] = {
    ("AuditRecord", "userPrincipalName"): "the examples' user worked in the portal, ours is an application",
    ("Sku", "dynamicAttributes.provisioningId"): "names a service plan, and there are no users",
    ("Customer", "companyProfile.address.region"): FIXED_ADDRESS,
    ("Customer", "billingProfile.defaultAddress.state"): FIXED_ADDRESS,
    ("CustomerCompanyProfile", "address.region"): FIXED_ADDRESS,
    ("Order", "lineItems[].links.subscription"): "of a legacy line of 2018; the line names the id itself",
    ("Order", "lineItems[].links.provisioningStatus"): "of a legacy line of 2018; the order has the link",
    ("Subscription (new commerce)", "attributes.etag"): "of a marketplace product; new commerce shows none",
    ("Subscription (legacy)", "links.entitlement"): "of 2015; there are no entitlements",
    ("Subscription (legacy)", "entitlementId"): "of an Azure subscription that shows no offer",
}
"""What an example shows and the simulator never says."""
ONLY_HERE: dict[Place, str] = {
    ("Availability (list)", ""): "the page shows one item of the list",
    ("Cart", "lineItems[].customTermEndDate"): FIELD_TABLE,
    ("Cart", "lineItems[].error"): FIELD_TABLE,
    ("Cart", "lineItems[].participants"): FIELD_TABLE,
    ("Cart", "lineItems[].promotionId"): FIELD_TABLE,
    ("Order", "lineItems[].partnerIdOnRecord"): FIELD_TABLE,
    ("Order", "lineItems[].promotionId"): FIELD_TABLE,
    ("NewCommerceEligibility", "addOnMigrations"): FIELD_TABLE,
    ("NewCommerceEligibility", "billingCycle"): BULK_TOOL,
    ("NewCommerceEligibility", "errors"): FIELD_TABLE,
    ("NewCommerceEligibility", "termDuration"): BULK_TOOL,
    ("NewCommerceMigration", "addOnMigrations[]"): "the example's migration had no add-ons",
    ("NewCommerceMigration", "microsoftLed"): "in the REST reference",
    ("Customer (list)", "continuationToken"): "the examples have one page only",
    ("Customer (list)", "links.next"): "the examples have one page only",
    ("Transition", "billingCycle"): SHOWN_AS_ASKED,
    ("Transition", "fromSubscriptionId"): SHOWN_AS_ASKED,
    ("Transition", "termDuration"): SHOWN_AS_ASKED,
    ("Transition", "toSubscriptionId"): SHOWN_AS_ASKED,
    ("Subscription (legacy)", "links.parentSubscription"): FIELD_TABLE,
    ("Subscription (legacy)", "parentSubscriptionId"): FIELD_TABLE,
    ("Subscription (legacy)", "suspensionReasons"): FIELD_TABLE,
    ("Subscription (legacy)", "termDuration"): "where a scenario shows it",
    ("Subscription (Azure)", "partnerId"): "the example has no reseller",
    ("Subscription (new commerce)", "cancellationAllowedUntilDate"): FIELD_TABLE,
    ("Subscription (new commerce)", "migratedFromSubscriptionId"): BULK_TOOL,
    ("Subscription (new commerce)", "promotionId"): FIELD_TABLE,
    ("Subscription (new commerce)", "scheduledNextTermInstructions"): "shown in a request only",
}
"""What the simulator says and no example shows."""

AZURE_RESERVATION = "of an Azure reservation, which this product never buys"
LEGACY_PURCHASE = "of a legacy purchase, which this product never makes"
THE_SAME_BODY = "validate takes the body of create"
NEVER_SENT: dict[Place, str] = {
    ("Cart", "creationTimestamp"): "the server's",
    ("Cart", "expirationTimestamp"): "the server's",
    ("Cart", "lastModifiedTimestamp"): "the server's",
    ("Cart", "lastModifiedUser"): "the server's",
    ("Cart", "lineItems[].addonItems"): LEGACY_PURCHASE,
    ("Cart", "lineItems[].provisioningContext"): AZURE_RESERVATION,
    ("NewCommerceMigration", "addOnMigrations[].purchaseFullTerm"): "left out when it is false",
    ("NewCommerceMigration", "addOnMigrations[].quantity"): "left out: taken over from legacy",
    ("Order", "attributes"): "the server's",
    ("Order", "currencyCode"): AZURE_RESERVATION,
    ("Order", "lineItems[].additionalPartnerIdsOnRecord"): "there is one reseller of record",
    ("Order", "lineItems[].attributes"): "the server's",
    ("Order", "lineItems[].provisioningContext"): AZURE_RESERVATION,
    ("Subscription (new commerce)", "customTermEndDate"): "a subscription goes back as it was read",
    ("Subscription (new commerce)", "scheduledNextTermInstructions.customTermEndDate"): "optional",
    ("Subscription (new commerce)", "scheduledNextTermInstructions.product.availabilityId"): "optional",
    ("Subscription (new commerce)", "scheduledNextTermInstructions.product.billingCycle"): "optional",
    ("Subscription (new commerce)", "scheduledNextTermInstructions.product.promotionId"): "optional",
}
"""What a request example shows and the client never sends."""
NEVER_ASKED = {
    "NewCommerceMigrationSchedule": "it times its conversions itself",
    "Transition": "upgrades between new-commerce products are no part of a migration",
}
"""Requests that the simulator serves and the client never makes."""
ONLY_SENT: dict[Place, str] = {
    ("Cart", "lineItems[].promotionId"): FIELD_TABLE,
    ("NewCommerceEligibility", "addOnMigrations"): THE_SAME_BODY,
    ("NewCommerceEligibility", "billingCycle"): THE_SAME_BODY,
    ("NewCommerceEligibility", "purchaseFullTerm"): THE_SAME_BODY,
    ("NewCommerceEligibility", "quantity"): THE_SAME_BODY,
    ("NewCommerceEligibility", "termDuration"): THE_SAME_BODY,
    ("NewCommerceMigration", "externalReferenceId"): BULK_TOOL,
    ("Order", "lineItems[].promotionId"): FIELD_TABLE,
    ("Order", "lineItems[].termDuration"): FIELD_TABLE,
}
"""What the client sends and no example shows; a subscription goes back with what the server said."""

BILLING_CYCLES = {"unknown", "monthly", "annual", "none", "one_time", "triennial", "biennial"}
MIGRATION_CYCLES = {"Monthly", "Annual", "Triennial", "OneTime", "None"}
TERMS = {"P1M", "P1Y", "P3Y"}
TRANSITION_TYPES = {"transition_only", "transition_with_license_transfer"}
WORDS: dict[Place, set[str]] = {
    ("AuditRecord", "operationStatus"): {"succeeded", "failed", "progress"},
    ("Cart", "lineItems[].billingCycle"): BILLING_CYCLES,
    ("Cart", "status"): {"Active", "Ordered"},
    ("CustomTermEndDate", "allowedCustomTermEndDateType"): {"calendarMonthAligned", "subscriptionAligned"},
    ("Customer", "relationshipToPartner"): {
        *("unknown", "reseller", "advisor", "syndication", "microsoft_support", "none"),
    },
    ("CustomerQualification", "qualification"): {
        *("None", "Education", "Nonprofit", "GovernmentCommunityCloud", "StateOwnedEntity"),
    },
    ("CustomerQualification", "vettingStatus"): {"Approved", "InReview", "Denied"},
    ("LegalBusinessProfile", "vettingStatus"): {"none", "pending", "authorized", "rejected"},
    ("NewCommerceEligibility", "billingCycle"): MIGRATION_CYCLES,
    ("NewCommerceEligibility", "termDuration"): TERMS,
    ("NewCommerceMigration", "billingCycle"): MIGRATION_CYCLES,
    ("NewCommerceMigration", "status"): {"Processing", "Completed", "Failed"},
    ("NewCommerceMigration", "termDuration"): TERMS,
    ("NewCommerceMigrationEvent", "eventName"): {
        *("MigrationStarted", "NewCommerceSubscriptionCreated", "NewCommerceSubscriptionProvisioned"),
        *("MigrationCompleted", "MigrationFailed"),
    },
    ("NewCommerceMigrationSchedule", "billingCycle"): MIGRATION_CYCLES,
    ("NewCommerceMigrationSchedule", "status"): {"Created", "Cancelled", "Completed", "Failed"},
    ("Order", "billingCycle"): BILLING_CYCLES,
    ("Order", "lineItems[].transactionType"): {
        *("New", "Renew", "AddQuantity", "RemoveQuantity", "Cancel", "Convert", "CustomerCredit"),
    },
    ("Order", "status"): {
        *("unknown", "completed", "pending", "cancelled", "suspended", "pending review", "error"),
        *("pending po upload", "po upload complete", "po review rejected", "partial success"),
    },
    ("Order", "transactionType"): {"UserPurchase", "SystemPurchase", "SystemBilling"},
    ("OrderLineItemProvisioningStatus", "status"): {"fulfilled", "unfulfilled", "prefulfillmentPending"},
    ("PartnerRelationship", "relationshipType"): {
        *("is_indirect_cloud_solution_provider_of", "is_indirect_reseller_of"),
    },
    ("PromotionEligibilities", "eligibilities[].errors[].type"): {
        *("InvalidCatalogItemId", "InvalidPromotion", "PrerequisiteProductOwnership", "RedemptionLimit"),
        *("SeatCount", "OfferPurchasedPreviously", "Term", "NoPromotionsAvailable"),
    },
    ("SubscriptionProvisioningStatus", "status"): {"success", "pending", "failed", "none"},
    ("Transition", "transitionType"): TRANSITION_TYPES,
    ("Transition", "events[].name"): {"Conversion", "LicenseReassignment"},
    ("Transition", "events[].status"): {"Started", "InProgress", "Completed", "Failed"},
    ("TransitionEligibility", "eligibilities[].transitionType"): TRANSITION_TYPES,
    **{
        (f"Subscription ({kind})", field): words
        for kind in ("legacy", "Azure", "new commerce")
        for field, words in {
            "status": {"none", "active", "pending", "suspended", "expired", "disabled", "deleted"},
            "billingCycle": BILLING_CYCLES,
            "billingType": {"none", "usage", "license", "benefit"},
            "contractType": {"subscription", "product_key", "redemption_code"},
            "refundOptions[].type": {"Full", "Partial"},
            "termDuration": TERMS,
        }.items()
    },
}
"""The documented words of fields that have a closed list of them."""


def shape_of(examples: list[Example]) -> Shape:
    shape = Shape()
    for example in examples:
        shape.add(example.subject, example.payload)
    return shape


def subject_of(said: Said) -> str | None:
    """The resource that an answer is; None where no example shows it."""
    if said.status >= 400:
        kinds = {"statusCode": "error.throttled", "errorName": "error.extended"}
        return next((subject for field, subject in kinds.items() if field in said.answered), "error")
    return SUBJECTS.get(said.operation.name)


SUBJECTS = {
    example.operation.name: example.subject
    for example in [*OWN_EXAMPLES, *EXAMPLES]
    if example.operation is not None and example.subject not in ("error", "error.extended", FILTER)
} | SIBLINGS
DOCUMENTED = shape_of([example for example in [*OWN_EXAMPLES, *EXAMPLES] if example.kind == "response"])
REQUESTED = shape_of([example for example in [*OWN_EXAMPLES, *EXAMPLES] if example.kind == "request"])
ANSWERED = [example for example in RESPONSES if example.subject not in NOT_SERVED]
SENT = [example for example in REQUESTS if example.subject in {*SUBJECTS.values(), FILTER} - {"auth.token"}]
"""Without the token requests: msal makes them."""


@pytest.fixture(scope="module")
def conversation() -> list[Said]:
    return asyncio.run(hold_conversation())


@pytest.fixture(scope="module")
def answers(conversation: list[Said]) -> Shape:
    shape = Shape()
    for said in conversation:
        if (subject := subject_of(said)) is not None:
            shape.add(subject, said.answered)
    return shape


@pytest.fixture(scope="module")
def requests(conversation: list[Said]) -> Shape:
    shape = Shape()
    for said in conversation:
        subject = FILTER if said.operation.method == "GET" else SUBJECTS.get(said.operation.name)
        if subject is not None and said.asked is not None:
            shape.add(subject, said.asked)
    return shape


@pytest.mark.parametrize("example", named(ANSWERED))
def test_the_simulator_says_every_field_of_an_example(example: Example, answers: Shape) -> None:
    assert shape_of([example]).missing_from(answers) - NOT_EMITTED.keys() == set()


@pytest.mark.parametrize("example", named(ANSWERED))
def test_the_simulator_writes_types_and_words_as_an_example(example: Example, answers: Shape) -> None:
    assert list(shape_of([example]).disagreements(answers)) == []


@pytest.mark.parametrize("example", named([one for one in ANSWERED if one.operation is not None]))
def test_a_list_is_wrapped_where_the_example_wraps_it(example: Example, conversation: list[Said]) -> None:
    assert example.operation is not None
    forms = defaultdict(set)
    for said in conversation:
        if (said.status >= 400) == ((example.status or 400) >= 400):
            forms[said.operation.name].add(form_of(said.answered))
    shown = form_of(example.payload)
    if example.subject == "Availability" and shown == "object":
        shown = "wrapped list"  # the page shows one item of the list
    assert forms[example.operation.name] == {shown}


@pytest.mark.parametrize("subject", sorted({example.subject for example in ANSWERED}))
def test_the_simulator_says_nothing_that_no_example_shows(subject: str, answers: Shape) -> None:
    assert answers.of(subject).missing_from(DOCUMENTED) - ONLY_HERE.keys() == set()


@pytest.mark.parametrize("subject", sorted({example.subject for example in SENT}))
def test_the_client_sends_nothing_that_no_example_shows(subject: str, requests: Shape) -> None:
    unknown = requests.of(subject).missing_from(REQUESTED) - ONLY_SENT.keys()
    if subject == "Subscription":
        unknown = {place for place in unknown if place not in DOCUMENTED.types and place not in ONLY_HERE}
    assert unknown == set()


@pytest.mark.parametrize("example", named(SENT))
def test_the_client_sends_every_field_of_an_example(example: Example, requests: Shape) -> None:
    if example.subject in NEVER_ASKED:
        assert requests.of(example.subject).types == {}
    else:
        assert shape_of([example]).missing_from(requests) - NEVER_SENT.keys() == set()


@pytest.mark.parametrize("subject", sorted({example.subject for example in SENT}))
def test_the_client_writes_types_and_words_as_the_examples(subject: str, requests: Shape) -> None:
    assert list(requests.of(subject).disagreements(REQUESTED)) == []


@pytest.mark.parametrize("place", [pytest.param(place, id=" ".join(place)) for place in WORDS])
def test_only_documented_words_are_used(place: Place, answers: Shape) -> None:
    assert answers.texts[place] | DOCUMENTED.texts[place] <= WORDS[place]


def test_every_answer_is_compared_or_named_with_its_reason(conversation: list[Said]) -> None:
    assert {said.operation.name for said in conversation if subject_of(said) is None} <= set(NO_EXAMPLE)
    said = {subject_of(one) for one in conversation}
    assert {example.subject for example in OWN_EXAMPLES if example.kind == "response"} - said == set(
        NOT_SERVED
    )


def test_no_reason_outlives_its_difference(answers: Shape, requests: Shape) -> None:
    responses = shape_of([example for example in OWN_EXAMPLES if example.kind == "response"])
    asked = shape_of([example for example in OWN_EXAMPLES if example.kind == "request"])
    assert NOT_EMITTED.keys() - responses.missing_from(answers) == set()
    assert ONLY_HERE.keys() - answers.missing_from(responses) == set()
    assert NEVER_SENT.keys() - asked.missing_from(requests) == set()
    assert ONLY_SENT.keys() - requests.missing_from(asked) == set()
