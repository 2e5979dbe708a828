"""The words of the readable evidence, in the languages its readers have. What is on record stays as it is."""

from __future__ import annotations

from collections.abc import Mapping

LANGUAGES = ("en", "it")
DEFAULT_LANGUAGE = "en"


def language_of(partner_language: str) -> str:
    """The partner's own language where the page has it, else English."""
    return partner_language if partner_language in LANGUAGES else DEFAULT_LANGUAGE


def word(key: str, language: str) -> str:
    """A word of the page; a key that nobody has translated is shown as it stands on record."""
    said = WORDS.get(key)
    return key.rpartition(".")[2].replace("_", " ") if said is None else said[LANGUAGES.index(language)]


WORDS: Mapping[str, tuple[str, str]] = {
    "title": ("Evidence", "Documentazione probatoria"),
    "about_partner": ("What is on record about partner", "Quanto risulta agli atti sul partner"),
    "about_subscription": (
        "What is on record about subscription",
        "Quanto risulta agli atti sull'abbonamento",
    ),
    "campaign": ("Campaign", "Campagna"),
    "version": ("version", "versione"),
    "partner": ("Partner", "Partner"),
    "tenant": ("Tenant", "Tenant"),
    "mpn": ("PartnerID", "PartnerID"),
    "country": ("Country", "Paese"),
    "zone": ("Local time", "Ora locale"),
    "made": ("Made", "Prodotto"),
    "by": ("by", "da"),
    "digest": ("SHA-256 digest of the JSON", "Impronta SHA-256 del JSON"),
    "how_to_check": (
        "This page is the readable form of a JSON file of the same name. Whoever has that file checks with "
        "'nce evidence --verify' that it gives this digest, and that this page says what the file says.",
        "Questa pagina è la forma leggibile di un file JSON con lo stesso nome. Chi possiede il file "
        "verifica con 'nce evidence --verify' che dia questa impronta e che la pagina dica lo stesso.",
    ),
    "clocks": (
        "Times are in UTC, and below in the partner's local time. They follow the campaign's clock, which in "
        "production is the clock of the machine.",
        "Gli orari sono in UTC e, sotto, nell'ora locale del partner. Seguono l'orologio della campagna, che "
        "in produzione è quello della macchina.",
    ),
    "as_recorded": (
        "Sentences and answers are shown as they were recorded. The record only grows: the role by which the "
        "program works can neither change nor delete a line of it.",
        "Frasi e risposte sono riportate come sono state registrate, in inglese. Il registro può solo "
        "crescere: il ruolo con cui lavora il programma non può modificarne né cancellarne una riga.",
    ),
    "overview": ("Overview", "Riepilogo"),
    "authority": ("On what authority", "Su quale base"),
    "checks_and_runs": ("Runs and checks", "Esecuzioni e verifiche"),
    "cases": ("Subscription by subscription", "Abbonamento per abbonamento"),
    "subscription": ("Subscription", "Abbonamento"),
    "customer": ("Customer", "Cliente"),
    "product": ("Product", "Prodotto"),
    "seats": ("Seats", "Licenze"),
    "result": ("Result", "Esito"),
    "state": ("State", "Stato"),
    "before": ("Before", "Prima"),
    "after": ("After", "Dopo"),
    "first_seen": ("first seen", "visto la prima volta"),
    "last_seen": ("last seen", "visto l'ultima volta"),
    "legacy": ("Legacy", "Legacy"),
    "nce": ("New Commerce", "New Commerce"),
    "never_seen": ("not seen", "non rilevato"),
    "commands": ("Commands and answers", "Comandi e risposte"),
    "command_no": ("Command", "Comando"),
    "request_id": ("Request id (ours)", "Id della richiesta (nostro)"),
    "correlation_id": ("Correlation id (Microsoft)", "Id di correlazione (Microsoft)"),
    "what_was_sent": ("What was intended", "Che cosa si intendeva inviare"),
    "what_came_back": ("Answer", "Risposta"),
    "course": ("In time order", "In ordine di tempo"),
    "when": ("When", "Quando"),
    "what": ("What", "Che cosa"),
    "kind": ("Kind", "Tipo"),
    "nothing": ("Nothing is on record.", "Nulla agli atti."),
    "conversion": ("Conversion", "Conversione"),
    "not_planned": ("in no plan", "in nessun piano"),
    "yes": ("yes", "sì"),
    "no": ("no", "no"),
    "code": ("code", "codice"),
    # Fields of a subscription.
    "field.status": ("Status", "Stato"),
    "field.seats": ("Seats", "Licenze"),
    "field.offer_name": ("Product", "Prodotto"),
    "field.offer_id": ("Offer id", "Id dell'offerta"),
    "field.term": ("Term", "Durata"),
    "field.billing": ("Billing", "Fatturazione"),
    "field.term_end_at": ("Term ends", "Scadenza"),
    "field.auto_renew": ("Renews by itself", "Rinnovo automatico"),
    "field.suspension_reasons": ("Suspended by", "Sospeso da"),
    "field.cancellable_until_at": ("Cancellable until", "Annullabile fino al"),
    "field.migrated_from_id": ("Migrated from", "Migrato da"),
    "field.partner_mpn_id": ("Partner of record", "Partner of record"),
    "field.order_id": ("Order", "Ordine"),
    # Ids and terms of a conversion.
    "conversion.route": ("Route", "Percorso"),
    "conversion.product_and_sku": ("Product and SKU", "Prodotto e SKU"),
    "conversion.term": ("Term bought", "Durata acquistata"),
    "conversion.billing": ("Billing bought", "Fatturazione acquistata"),
    "conversion.seats": ("Seats bought", "Licenze acquistate"),
    "conversion.reference": ("Our reference", "Nostro riferimento"),
    "conversion.migration_id": ("Migration", "Migrazione"),
    "conversion.cart_id": ("Cart", "Carrello"),
    "conversion.order_id": ("Order", "Ordine"),
    "conversion.nce_subscription": ("New subscription", "Nuovo abbonamento"),
    "conversion.for_partner": ("For partner", "Per il partner"),
    # Kinds of entry.
    "kind.campaign": ("policy", "regole"),
    "kind.run": ("run", "esecuzione"),
    "kind.check": ("check", "verifica"),
    "kind.opt_out": ("opt-out", "opt-out"),
    "kind.opt_out_ruling": ("ruling", "valutazione opt-out"),
    "kind.plan": ("plan", "piano"),
    "kind.approval": ("approval", "approvazione"),
    "kind.question": ("question", "domanda"),
    "kind.decision": ("decision", "decisione"),
    "kind.conversion": ("state", "stato"),
    "kind.command": ("command", "comando"),
    "kind.finding": ("finding", "riscontro"),
    # What happened to a command.
    "event.intended": ("intended", "deciso"),
    "event.sending": ("being sent", "in invio"),
    "event.accepted": ("accepted", "accettato"),
    "event.refused": ("refused", "rifiutato"),
    "event.lost": ("no usable answer", "nessuna risposta utile"),
    "event.found": ("found to have arrived", "risulta arrivato"),
    "event.not_found": ("found not to have arrived", "risulta non arrivato"),
    "command.create_migration": ("migrate to New Commerce", "migrazione a New Commerce"),
    "command.check_out": ("buy New Commerce", "acquisto New Commerce"),
    "command.suspend_legacy": ("suspend legacy", "sospensione legacy"),
    "command.reactivate_legacy": ("reactivate legacy", "riattivazione legacy"),
    "command.cancel_nce": ("cancel New Commerce", "annullamento New Commerce"),
    # States of a conversion.
    "state.planned": ("planned", "pianificato"),
    "state.later": ("in a state of a later version", "in uno stato di una versione successiva"),
    "state.sent": ("sent", "inviato"),
    "state.unknown": ("sent, answer unknown", "inviato, risposta ignota"),
    "state.accepted": ("accepted by Microsoft", "accettato da Microsoft"),
    "state.hands_off": ("left to Microsoft", "in mano a Microsoft"),
    "state.covered": ("New Commerce active", "New Commerce attivo"),
    "state.converted": ("converted", "convertito"),
    "state.refused": ("refused", "rifiutato"),
    "state.failed": ("failed, reverted", "non riuscito, ripristinato"),
    "state.held": ("held for a person", "in attesa di una persona"),
    "state.waiting": ("waiting", "in attesa"),
    "state.by_others": ("moved by others", "spostato da altri"),
    "state.stranded": ("a person looks", "da esaminare da una persona"),
    "state.drifted": ("changed since the plan", "cambiato dopo il piano"),
    "state.undoing": ("being undone", "in annullamento"),
    "state.undone": ("undone", "annullato"),
    # What a plan makes of a subscription.
    "class.exempt": ("exempt, left alone", "esente, non toccato"),
    "class.not_legacy": ("not legacy, left alone", "non legacy, non toccato"),
    "class.renews_in_legacy": ("renews in legacy", "si rinnova in legacy"),
    "class.lapses": ("lapses", "scade"),
    "class.opted_out": ("opted out", "opt-out"),
    "class.already_migrated": ("moved by others", "spostato da altri"),
    "class.held": ("held for a person", "in attesa di una persona"),
    "class.not_eligible": ("not eligible", "non idoneo"),
    "class.scheduled": ("scheduled", "programmato"),
    "class.due": ("due", "da convertire"),
    "class.converted": ("converted", "convertito"),
    "class.failed": ("failed", "non riuscito"),
    "class.undone": ("undone", "annullato"),
    # Status of a subscription.
    "status.active": ("active", "attivo"),
    "status.pending": ("pending", "in attivazione"),
    "status.suspended": ("suspended", "sospeso"),
    "status.expired": ("expired", "scaduto"),
    "status.deleted": ("deleted", "eliminato"),
    "status.other": ("other", "altro"),
}
