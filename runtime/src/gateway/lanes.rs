//! Which requests may hold a connection to the database while they wait for a payment's lock.

use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};

use crate::ids::PaymentId;

/// Requests for payments in different lanes do not wait for each other.
const LANES: usize = 64;
/// Connections that such requests have at most, well below what a process has: payments are taken meanwhile.
const CONNECTIONS_MAX: usize = 4;

/// Many operations on one payment wait for its row one after the other. Were each to hold a connection meanwhile, fifty
/// of them would keep every other request from the database; so they queue up here, where waiting costs nothing.
pub(super) struct Lanes {
    lanes: [Mutex<()>; LANES],
    connections: Semaphore,
}

/// The right to go on.
pub(super) struct Turn<'a> {
    _lane: MutexGuard<'a, ()>,
    _connection: Option<SemaphorePermit<'a>>,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { lanes: std::array::from_fn(|_| Mutex::default()), connections: Semaphore::new(CONNECTIONS_MAX) }
    }
}

impl Lanes {
    /// Waits until no other request of this process works on the payment.
    pub(super) async fn enter(&self, payment: PaymentId) -> Turn<'_> {
        // The last bits of an id are drawn at random.
        let lane = usize::from(payment.as_uuid().as_bytes()[15]) % LANES;
        let lane = self.lanes[lane].lock().await;
        // Never closed, so there always is one.
        Turn { _lane: lane, _connection: self.connections.acquire().await.ok() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::Utc;
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_payment_has_one_turn_at_a_time_and_others_go_on() {
        let lanes = Lanes::default();
        let one = PaymentId::at(Utc::now());
        let turn = lanes.enter(one).await;
        assert!(lanes.enter(one).now_or_never().is_none());
        let mut others = std::iter::repeat_with(|| PaymentId::at(Utc::now()));
        let other =
            others.find(|other| other.as_uuid().as_bytes()[15] % 64 != one.as_uuid().as_bytes()[15] % 64).unwrap();
        assert!(lanes.enter(other).now_or_never().is_some());
        drop(turn);
        tokio::time::timeout(Duration::from_secs(5), lanes.enter(one)).await.unwrap();
    }
}
