"""Which keys real objects always have, null or not: read off published recordings of real accounts in test mode.

The SDK's types cannot tell: there, what may be null and what may be absent look the same. The recordings are those of
Zulip (github.com/zulip/zulip, corporate/tests/stripe_fixtures, API version 2025-11-17.clover) and of webhooks people
have shown in public; only the names of the keys are kept here. `a.b` is a key inside a hash, looked for when the hash
is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

ALWAYS = {
    "charge": """
        amount amount_captured amount_refunded application application_fee application_fee_amount balance_transaction
        billing_details.address.city billing_details.address.country billing_details.address.line1
        billing_details.address.line2 billing_details.address.postal_code billing_details.address.state
        billing_details.email billing_details.name billing_details.phone billing_details.tax_id
        calculated_statement_descriptor captured created currency customer description disputed
        failure_balance_transaction failure_code failure_message fraud_details livemode metadata on_behalf_of
        outcome.advice_code outcome.network_advice_code outcome.network_decline_code outcome.network_status
        outcome.reason outcome.risk_level outcome.seller_message outcome.type paid payment_intent payment_method
        payment_method_details.type payment_method_details.card.amount_authorized
        payment_method_details.card.authorization_code payment_method_details.card.brand
        payment_method_details.card.checks.address_line1_check payment_method_details.card.checks.cvc_check
        payment_method_details.card.checks.address_postal_code_check payment_method_details.card.country
        payment_method_details.card.exp_month payment_method_details.card.exp_year
        payment_method_details.card.extended_authorization.status payment_method_details.card.fingerprint
        payment_method_details.card.funding payment_method_details.card.incremental_authorization.status
        payment_method_details.card.installments payment_method_details.card.last4
        payment_method_details.card.mandate payment_method_details.card.multicapture.status
        payment_method_details.card.network payment_method_details.card.network_token.used
        payment_method_details.card.network_transaction_id
        payment_method_details.card.overcapture.maximum_amount_capturable
        payment_method_details.card.overcapture.status payment_method_details.card.regulated_status
        payment_method_details.card.three_d_secure payment_method_details.card.wallet radar_options receipt_email
        receipt_number receipt_url refunded review shipping source source_transfer statement_descriptor
        statement_descriptor_suffix status transfer_data transfer_group
    """,
    "checkout.session": """
        adaptive_pricing after_expiration allow_promotion_codes amount_subtotal amount_total automatic_tax.enabled
        automatic_tax.liability automatic_tax.provider automatic_tax.status billing_address_collection
        branding_settings cancel_url client_reference_id client_secret collected_information.business_name
        collected_information.individual_name collected_information.shipping_details consent consent_collection
        created currency currency_conversion custom_fields custom_text.after_submit custom_text.shipping_address
        custom_text.submit custom_text.terms_of_service_acceptance customer customer_creation customer_details
        customer_email discounts expires_at invoice invoice_creation livemode locale metadata mode origin_context
        payment_intent payment_link payment_method_collection payment_method_configuration_details
        payment_method_options payment_method_types payment_status permissions phone_number_collection.enabled
        recovered_from saved_payment_method_options setup_intent shipping_address_collection shipping_cost
        shipping_options status submit_type subscription success_url total_details ui_mode url wallet_options
    """,
    "customer": """
        address balance created currency default_source delinquent description discount email invoice_prefix
        invoice_settings.custom_fields invoice_settings.default_payment_method invoice_settings.footer
        invoice_settings.rendering_options livemode metadata name next_invoice_sequence phone preferred_locales
        shipping tax_exempt test_clock
    """,
    "event": "api_version created data.object livemode pending_webhooks request.id request.idempotency_key type",
    "invoice": """
        account_country account_name account_tax_ids amount_due amount_overpaid amount_paid amount_remaining
        amount_shipping application attempt_count attempted auto_advance automatic_tax.disabled_reason
        automatic_tax.enabled automatic_tax.liability automatic_tax.provider automatic_tax.status
        automatically_finalizes_at billing_reason collection_method created currency custom_fields customer
        customer_address customer_email customer_name customer_phone customer_shipping customer_tax_exempt
        customer_tax_ids default_payment_method default_source default_tax_rates description discounts due_date
        effective_at ending_balance footer from_invoice hosted_invoice_url invoice_pdf issuer.type
        last_finalization_error latest_revision lines.data lines.has_more lines.total_count lines.url livemode
        metadata next_payment_attempt number on_behalf_of parent payment_settings.default_mandate
        payment_settings.payment_method_options payment_settings.payment_method_types period_end period_start
        post_payment_credit_notes_amount pre_payment_credit_notes_amount receipt_number rendering shipping_cost
        shipping_details starting_balance statement_descriptor status status_transitions.finalized_at
        status_transitions.marked_uncollectible_at status_transitions.paid_at status_transitions.voided_at
        subtotal subtotal_excluding_tax test_clock total total_discount_amounts total_excluding_tax
        total_pretax_credit_amounts total_taxes webhooks_delivered_at
    """,
    "invoice_payment": """
        amount_paid amount_requested created currency invoice is_default livemode payment.type status
        status_transitions
    """,
    "line_item": """
        amount currency description discount_amounts discountable discounts invoice livemode metadata
        parent.invoice_item_details parent.subscription_item_details parent.type period.end period.start
        pretax_credit_amounts pricing.type pricing.unit_amount_decimal quantity taxes
    """,
    "payment_intent": """
        amount amount_capturable amount_details.tip amount_received application application_fee_amount
        automatic_payment_methods canceled_at cancellation_reason capture_method client_secret confirmation_method
        created currency customer description excluded_payment_method_types last_payment_error latest_charge
        livemode metadata next_action on_behalf_of payment_method payment_method_configuration_details
        payment_method_options payment_method_types processing receipt_email review setup_future_usage shipping
        source statement_descriptor statement_descriptor_suffix status transfer_data transfer_group
    """,
    "payment_method": """
        allow_redisplay billing_details.address.city billing_details.email billing_details.name
        billing_details.phone billing_details.tax_id card.brand card.checks.address_line1_check
        card.checks.address_postal_code_check card.checks.cvc_check card.country card.display_brand card.exp_month
        card.exp_year card.fingerprint card.funding card.generated_from card.last4 card.networks.available
        card.networks.preferred card.regulated_status card.three_d_secure_usage.supported card.wallet created
        customer livemode metadata type
    """,
    "price": """
        active billing_scheme created currency custom_unit_amount livemode lookup_key metadata nickname product
        recurring.interval recurring.interval_count recurring.meter recurring.trial_period_days
        recurring.usage_type tax_behavior tiers_mode transform_quantity type unit_amount unit_amount_decimal
    """,
    "setup_intent": """
        application automatic_payment_methods cancellation_reason client_secret created customer description
        excluded_payment_method_types flow_directions last_setup_error latest_attempt livemode mandate metadata
        next_action on_behalf_of payment_method payment_method_configuration_details payment_method_options
        payment_method_types single_use_mandate status usage
    """,
    "subscription": """
        application application_fee_percent automatic_tax.disabled_reason automatic_tax.enabled
        automatic_tax.liability billing_cycle_anchor billing_cycle_anchor_config billing_mode.flexible
        billing_mode.type billing_thresholds cancel_at cancel_at_period_end canceled_at
        cancellation_details.comment cancellation_details.feedback cancellation_details.reason collection_method
        created currency customer customer_account days_until_due default_payment_method default_source
        default_tax_rates description discounts ended_at invoice_settings.account_tax_ids
        invoice_settings.issuer.type items.data items.has_more items.total_count items.url latest_invoice livemode
        metadata next_pending_invoice_item_invoice on_behalf_of pause_collection
        payment_settings.payment_method_options payment_settings.payment_method_types
        payment_settings.save_default_payment_method pending_invoice_item_interval pending_setup_intent
        pending_update plan quantity schedule start_date status test_clock transfer_data trial_end
        trial_settings.end_behavior.missing_payment_method trial_start
    """,
    "subscription_item": """
        billing_thresholds created current_period_end current_period_start discounts metadata plan price.id
        subscription tax_rates
    """,
}
# Said of no object of the SDK's version any more, or of subscriptions with one item only.
NOT_ALWAYS = {"subscription.plan", "subscription.quantity", "payment_intent.source"}
_PATHS = {
    kind: [path.split(".") for path in said.split() if f"{kind}.{path}" not in NOT_ALWAYS]
    for kind, said in ALWAYS.items()
}


def missing(answer: Any) -> list[str]:
    """Each recorded key that some object in this answer lacks, as `charge.payment_method_details.card.wallet`."""
    return [
        f"{obj['object']}.{'.'.join(path)}: always there at Stripe"
        for obj in _objects(answer)
        for path in _PATHS.get(obj["object"], ())
        if not _has(obj, path)
    ]


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        for inner in value:
            yield from _objects(inner)
    elif isinstance(value, dict):
        if isinstance(value.get("object"), str) and not value.get("deleted"):
            yield value
        for name, inner in value.items():
            if name != "previous_attributes":
                yield from _objects(inner)


def _has(value: Any, path: list[str]) -> bool:
    for name in path:
        if not isinstance(value, dict):
            return True  # null, or an id: nothing to look into
        if name not in value:
            return name == "card"  # of a bank account there is none, and nothing to look into
        value = value[name]
    return True
