//! What is turned away when the gateway has more to do than it can: new payments first, what moves money back last.

use http::Method;

/// What a request is to the merchant when not everything can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A new payment: the payer can try again.
    NewPayment,
    /// Anything else that changes something.
    Write,
    /// Reading, and giving money back.
    Essential,
}

/// How much is going on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Requests in work, as a share of what may be in work.
    pub in_work: f64,
    /// Payments that wait for their commit, as a share of what may wait.
    pub waiting: f64,
}

impl Class {
    /// Of a request to the path of this template.
    #[must_use]
    pub fn of(method: &Method, template: &str) -> Self {
        match (method, template) {
            (&Method::GET | &Method::HEAD | &Method::OPTIONS, _) => Self::Essential,
            (&Method::POST, "/v1/payments") => Self::NewPayment,
            (&Method::POST, template) if template.ends_with("/refunds") => Self::Essential,
            _ => Self::Write,
        }
    }

    /// As in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NewPayment => "new_payment",
            Self::Write => "write",
            Self::Essential => "essential",
        }
    }

    /// Whether it is turned away.
    #[must_use]
    pub fn is_shed(self, load: Load) -> bool {
        let fullness = load.in_work.max(load.waiting);
        fullness
            >= match self {
                Self::NewPayment => 0.7,
                Self::Write => 0.85,
                Self::Essential => 1.0,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_payments_go_first_and_refunds_last() {
        let classes = [
            Class::of(&Method::POST, "/v1/payments"),
            Class::of(&Method::POST, "/v1/payments/{id}/captures"),
            Class::of(&Method::POST, "/v1/payments/{id}/refunds"),
            Class::of(&Method::GET, "/v1/payments/{id}"),
        ];
        let shed = |fullness, waiting| classes.map(|class| class.is_shed(Load { in_work: fullness, waiting }));
        assert_eq!(shed(0.69, 0.1), [false; 4]);
        assert_eq!(shed(0.7, 0.1), [true, false, false, false]);
        assert_eq!(shed(0.1, 0.7), [true, false, false, false]);
        assert_eq!(shed(0.9, 0.0), [true, true, false, false]);
        assert_eq!(shed(1.0, 0.0), [true; 4]);
    }
}
