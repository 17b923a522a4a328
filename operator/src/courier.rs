//! Carries notifications to those who are told, beside the reconciles and never in their way.
//!
//! What is owed stands in the status of a PaymentCluster. Each pass hands it over; what is under way already, or has no free hand,
//! is left for a later pass. What has ended is told to the next pass, which takes it off the status.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crds::PaymentClusterStatus;
use crds::payment_cluster::Notification;
use k8s_openapi::api::core::v1::{ObjectReference, Secret};
use kube::{Api, Resource};
use tokio::sync::Semaphore;

use crate::cluster::announce::Announcement;
use crate::cluster::observed::Observed;
use crate::context::Context;
use crate::notifications::{Address, Delivery, Letter, letters};
use crate::post::{self, Patience, Trouble};
use crate::secrets;

/// Deliveries at the same time. One that hangs ends after a few minutes, and its receiver gets no other in the meantime.
const HANDS: usize = 32;
/// How long it is remembered that a delivery has ended; a pass that takes it off the status comes within seconds.
const REMEMBERED: Duration = Duration::from_mins(30);

/// Carries notifications. What it remembers only saves telling a thing twice.
#[derive(Clone, Debug)]
pub struct Courier {
    http: reqwest::Client,
    patience: Patience,
    hands: Arc<Semaphore>,
    book: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    /// UID of the PaymentCluster and name of the notification: one letter after another, in the order of what has happened.
    under_way: HashSet<(String, String)>,
    ended: HashMap<(String, Delivery), Instant>,
}

impl Courier {
    /// Sends by this client, which must follow no redirect: the body is for whoever was named, and nobody else.
    #[must_use]
    pub fn new(http: reqwest::Client) -> Self {
        let hands = Arc::new(Semaphore::new(HANDS));
        Self { http, patience: Patience::default(), hands, book: Arc::default() }
    }

    /// What has ended, for one PaymentCluster.
    #[must_use]
    pub fn ended(&self, uid: &str) -> BTreeSet<Delivery> {
        let book = self.book();
        book.ended.keys().filter(|(of, _)| of == uid).map(|(_, delivery)| delivery.clone()).collect()
    }

    /// Sends what a status that was written owes, in its own time.
    pub fn carry(&self, context: &Context, observed: &Observed, status: &PaymentClusterStatus) {
        for (to, letters) in letters(observed, status) {
            let ended = self.ended(&observed.identity.uid);
            let letters: Vec<_> = letters.into_iter().filter(|letter| !ended.contains(&letter.delivery())).collect();
            let Some(round) = self.round(&observed.identity.uid, &to).filter(|_| !letters.is_empty()) else { continue };
            let about = observed.cluster.object_ref(&());
            let api = Api::namespaced(context.client.clone(), &observed.identity.namespace);
            tokio::spawn(round.deliver(context.clone(), api, about, letters));
        }
    }

    /// Leave to send to one of those who are told, when nothing is under way there and a hand is free.
    fn round(&self, uid: &str, to: &Notification) -> Option<Round> {
        let hand = self.hands.clone().try_acquire_owned().ok()?;
        let lane = (uid.to_owned(), to.name.clone());
        let is_free = self.book().under_way.insert(lane.clone());
        is_free.then(|| Round { courier: self.clone(), lane, _hand: hand })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A way to one of those who are told. Whatever becomes of it, the lane is free again.
struct Round {
    courier: Courier,
    lane: (String, String),
    _hand: tokio::sync::OwnedSemaphorePermit,
}

impl Drop for Round {
    fn drop(&mut self) {
        self.courier.book().under_way.remove(&self.lane);
    }
}

impl Round {
    async fn deliver(self, context: Context, api: Api<Secret>, about: ObjectReference, letters: Vec<Letter>) {
        for letter in letters {
            let outcome = post::with_patience(&self.courier.patience, || self.send(&api, &letter)).await;
            let (what, to) = (&letter.what, &letter.to.name);
            context.metrics.notified(what.event.as_str(), outcome.is_ok());
            match outcome {
                Ok(()) => tracing::info!(to, id = what.id, namespace = letter.identity.namespace, "notified"),
                Err(trouble) => {
                    let told = failure(&letter, &trouble);
                    tracing::warn!(to, id = what.id, namespace = letter.identity.namespace, "{}", told.note);
                    context.publish(&told.event(), &about).await;
                }
            }
            let ended = (letter.identity.uid.clone(), letter.delivery());
            let mut book = self.courier.book();
            book.ended.retain(|_, at| at.elapsed() < REMEMBERED);
            book.ended.insert(ended, Instant::now());
        }
    }

    async fn send(&self, api: &Api<Secret>, letter: &Letter) -> Result<(), Trouble> {
        let body = letter.body().map_err(|error| Trouble::lasting(format!("its template is wrong: {error}")))?;
        let url = match letter.address() {
            Some(Address::Url(url)) => url,
            Some(Address::Secret(key)) => {
                let read = secrets::read(api, &key).await;
                let value = read.map_err(|_| Trouble::passing("the API server does not give its Secret".to_owned()))?;
                let value = value.map_err(|state| {
                    let problem = state.problem(&key, &letter.identity.namespace);
                    Trouble::passing(problem.map_or_else(String::new, |(_, words)| words))
                })?;
                String::from_utf8_lossy(&value).trim().to_owned()
            }
            None => return Err(Trouble::lasting("it names nobody to send to".to_owned())),
        };
        post::post(&self.courier.http, &url, &letter.what.id, body).await
    }
}

/// The Event of what could not be told. The URL is a secret, and in none of its words.
fn failure(letter: &Letter, trouble: &Trouble) -> Announcement {
    let event = letter.what.event.as_str();
    Announcement {
        is_warning: true,
        about: "Notify".into(),
        reason: "NotificationFailed".into(),
        note: format!(
            "notification \"{}\" was not told {event} of release {}: {}",
            letter.to.name, letter.what.version, trouble.words
        ),
    }
}
