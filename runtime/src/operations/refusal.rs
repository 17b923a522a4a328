//! Why an operation is not accepted.

use thiserror::Error;

use crate::money::{Money, MoneyError};
use crate::payments::Status;

/// Why an operation is not accepted. The text is for the one who wrote the request.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Nobody knows yet what becomes of the payment.
    #[error("the payment is on its way; ask again when it is at its end")]
    PaymentProcessing,
    /// Nothing of it is held.
    #[error("the payment is {0}: only what is AUTHORIZED can be captured")]
    NotCapturable(Status),
    /// The provider gives it free, or has done so.
    #[error("the authorization has expired")]
    AuthorizationExpired,
    /// The amount is none of this currency.
    #[error(transparent)]
    Amount(MoneyError),
    /// More than is held.
    #[error("{asked} is more than is held: at most {most} can be captured")]
    ExceedsAuthorized {
        /// What was asked for.
        asked: Money,
        /// What it could be.
        most: Money,
    },
    /// Another capture takes a part of it, or the rest; should that fail, this one may be possible.
    #[error("another capture of this payment is on its way; ask again when it is at its end")]
    CaptureInProgress,
    /// What is held is about to be free.
    #[error("the payment is being canceled; ask again when that is at its end")]
    CancelInProgress,
    /// The provider takes all or nothing.
    #[error("the payment's provider captures only the whole amount")]
    PartialCaptureUnsupported,
    /// The provider takes once.
    #[error("the payment's provider captures once: with \"final\": true the rest is given free")]
    MultipleCapturesUnsupported,
    /// Nothing was taken, or all of it went back.
    #[error("the payment is {0}: nothing of it can be refunded")]
    NotRefundable(Status),
    /// More than was taken and did not go back.
    #[error("{asked} is more than was captured and not refunded: at most {most} can be refunded")]
    ExceedsCaptured {
        /// What was asked for.
        asked: Money,
        /// What it could be.
        most: Money,
    },
    /// Another refund gives back a part of it; should that fail, this one may be possible.
    #[error("another refund of this payment is on its way; ask again when it is at its end")]
    RefundInProgress,
    /// The provider gives back all or nothing.
    #[error("the payment's provider refunds only the whole amount")]
    PartialRefundUnsupported,
    /// The provider gives back per capture, and no capture is that large.
    #[error("the payment's provider refunds capture by capture, and no single capture has so much left")]
    ExceedsEachCapture,
    /// It is over.
    #[error("the payment is {0} and can no longer be canceled")]
    NotCancelable(Status),
    /// The provider gives nothing free before its time.
    #[error("the payment's provider cannot give a held amount free before it expires")]
    VoidUnsupported,
}

impl Refusal {
    /// The stable code of the problem.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::PaymentProcessing => "payment_processing",
            Self::NotCapturable(_) => "payment_not_capturable",
            Self::AuthorizationExpired => "authorization_expired",
            Self::Amount(error) => error.code(),
            Self::ExceedsAuthorized { .. } => "amount_exceeds_authorized",
            Self::CaptureInProgress => "capture_in_progress",
            Self::CancelInProgress => "cancel_in_progress",
            Self::PartialCaptureUnsupported => "partial_capture_not_supported",
            Self::MultipleCapturesUnsupported => "multiple_captures_not_supported",
            Self::NotRefundable(_) => "payment_not_refundable",
            Self::ExceedsCaptured { .. } => "amount_exceeds_captured",
            Self::RefundInProgress => "refund_in_progress",
            Self::PartialRefundUnsupported => "partial_refund_not_supported",
            Self::ExceedsEachCapture => "amount_exceeds_each_capture",
            Self::NotCancelable(_) => "payment_not_cancelable",
            Self::VoidUnsupported => "void_not_supported",
        }
    }

    /// Whether the very same request may be accepted later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::PaymentProcessing | Self::CaptureInProgress | Self::CancelInProgress | Self::RefundInProgress
        )
    }

    /// Whether it is the request that is wrong, rather than the time at which it comes.
    #[must_use]
    pub const fn is_of_request(&self) -> bool {
        matches!(
            self,
            Self::Amount(_)
                | Self::ExceedsAuthorized { .. }
                | Self::PartialCaptureUnsupported
                | Self::MultipleCapturesUnsupported
                | Self::ExceedsCaptured { .. }
                | Self::PartialRefundUnsupported
                | Self::ExceedsEachCapture
                | Self::VoidUnsupported
        )
    }

    /// The field of the request that is meant, if it is one.
    #[must_use]
    pub const fn param(&self) -> Option<&'static str> {
        match self {
            Self::Amount(_)
            | Self::ExceedsAuthorized { .. }
            | Self::ExceedsCaptured { .. }
            | Self::PartialCaptureUnsupported
            | Self::PartialRefundUnsupported
            | Self::ExceedsEachCapture => Some("amount"),
            Self::MultipleCapturesUnsupported => Some("final"),
            _ => None,
        }
    }
}
