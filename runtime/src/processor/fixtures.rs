//! A case for unit tests.

use chrono::{DateTime, Utc};
use runtime_contract::ProviderName;

use super::case::{Case, OpenAttempt, ProviderAddress};
use crate::ids::{AttemptId, MerchantId, PaymentId, PaymentMethodId, UserId};
use crate::money::Money;
use crate::payments::{Amounts, CaptureMethod, Payment, Status};

pub(super) fn case(status: Status, start: DateTime<Utc>) -> Case {
    let amount = Money::parse("10.50", "USD".parse().unwrap()).unwrap();
    let payment = Payment {
        id: PaymentId::at(start),
        merchant_id: MerchantId::at(start),
        user_id: UserId::at(start),
        payment_method_id: PaymentMethodId::at(start),
        amount,
        status,
        capture_method: CaptureMethod::Automatic,
        amounts: Amounts::none(amount.currency()),
        authorized_until: None,
        sequence: 0,
        fee: None,
        payment_provider_id: None,
        provider: None,
        provider_reference: None,
        fraud_score: None,
        fraud_status: None,
        error_code: None,
        error_message: None,
        description: None,
        ip_address: None,
        device_fingerprint: None,
        release: "0.1.0".into(),
        t_start: start,
        t_end: None,
        latency_ms: None,
    };
    Case {
        payment,
        is_test: false,
        fee_percentage: "2.9".parse().unwrap(),
        token: "pm_card_visa".into(),
        judgement: None,
        attempts: 0,
        open: None,
        purchase: None,
    }
}

pub(super) fn open(start: DateTime<Utc>) -> OpenAttempt {
    OpenAttempt {
        id: AttemptId::at(start),
        t_start: start,
        reference: None,
        provider_id: 7,
        provider: ProviderAddress {
            resource: "stripe".into(),
            name: ProviderName::Stripe,
            api_endpoint: "https://stripe.test".into(),
            max_latency_ms: 2000,
        },
    }
}
