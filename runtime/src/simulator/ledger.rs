//! What the provider knows: every PaymentIntent, and the answer kept for every idempotency key.
//!
//! This is the judge of "charged once", so it never takes our side: it counts each charge that it was made to make.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::card::Card;
use super::intent_request::IntentRequest;
use super::reply::{Reply, decline_json};

/// A PaymentIntent that was carried out, and so a charge when it succeeded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// `pi_…`.
    pub id: String,
    /// In Stripe's smallest unit of the currency.
    pub amount: i64,
    /// In lower case.
    pub currency: String,
    /// `succeeded` or `requires_payment_method`.
    pub status: String,
    /// The token that was charged.
    pub payment_method: String,
    /// Whatever the caller attached.
    pub metadata: BTreeMap<String, String>,
    /// `ch_…`.
    pub latest_charge: String,
    /// Seconds since 1970.
    pub created: i64,
    /// Why it was declined.
    pub last_payment_error: Option<Value>,
    /// The caller's key.
    pub idempotency_key: Option<String>,
    /// The request's body, which a repeated key is compared with.
    form: String,
}

impl Intent {
    /// Money that changed hands, in Stripe's smallest unit.
    #[must_use]
    pub fn amount_received(&self) -> i64 {
        if self.succeeded() { self.amount } else { 0 }
    }

    /// Whether it is a charge.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.status == "succeeded"
    }
}

/// What is to happen with a request that carries an idempotency key.
#[derive(Debug, PartialEq)]
pub(super) enum Begin {
    /// It is the first one.
    Fresh,
    /// The first one is done, and this was its answer.
    Replay(Reply),
    /// The first one is not done, or was another request.
    Refused(Reply),
}

/// The intents, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Ledger {
    intents: Vec<Intent>,
    by_key: HashMap<String, usize>,
    by_id: HashMap<String, usize>,
    in_progress: HashSet<String>,
    file: Option<File>,
}

impl Ledger {
    /// A ledger that is kept in a file of JSON lines, and begins with what the file holds.
    ///
    /// # Errors
    /// When the file cannot be used, or holds anything but whole lines of a ledger before its last line.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut ledger = Self::default();
        let mut whole_bytes = 0;
        let mut reader = BufReader::new(&file);
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 {
            // A line without its end was cut by a crash before anybody was answered: it never happened.
            if line.ends_with('\n') {
                ledger.index(serde_json::from_str(&line)?);
                whole_bytes += line.len() as u64;
            }
            line.clear();
        }
        file.set_len(whole_bytes)?;
        file.seek(SeekFrom::End(0))?;
        ledger.file = Some(file);
        Ok(ledger)
    }

    /// Every intent so far.
    #[must_use]
    pub fn intents(&self) -> &[Intent] {
        &self.intents
    }

    /// Every intent that took money.
    pub fn charges(&self) -> impl Iterator<Item = &Intent> {
        self.intents.iter().filter(|intent| intent.succeeded())
    }

    /// One intent.
    pub(super) fn intent(&self, id: &str) -> Option<&Intent> {
        self.by_id.get(id).map(|&index| &self.intents[index])
    }

    /// Compares a request with the first one of its key.
    pub(super) fn begin(&mut self, key: &str, form: &str) -> Begin {
        if let Some(&index) = self.by_key.get(key) {
            let intent = &self.intents[index];
            return if intent.form == form {
                Begin::Replay(Reply::of_confirmation(intent))
            } else {
                Begin::Refused(Reply::key_mismatch(key))
            };
        }
        if self.in_progress.insert(key.to_owned()) { Begin::Fresh } else { Begin::Refused(Reply::key_in_use(key)) }
    }

    /// Forgets that a request is in progress.
    pub(super) fn end(&mut self, key: &str) {
        self.in_progress.remove(key);
    }

    /// Carries a request out. When this returns, the charge is on disk.
    ///
    /// # Errors
    /// When the file cannot be written: then nothing was charged.
    pub(super) fn carry_out(
        &mut self,
        request: IntentRequest,
        key: Option<&str>,
        form: &str,
        created: i64,
    ) -> io::Result<Reply> {
        let charge = format!("ch_{}", Uuid::now_v7().simple());
        let (status, last_payment_error) = match request.card {
            Card::Pays => ("succeeded", None),
            Card::Declines(decline) => ("requires_payment_method", Some(decline_json(&decline, &charge))),
        };
        let intent = Intent {
            id: format!("pi_{}", Uuid::now_v7().simple()),
            amount: request.amount,
            currency: request.currency,
            status: status.into(),
            payment_method: request.payment_method,
            metadata: request.metadata,
            latest_charge: charge,
            created,
            last_payment_error,
            idempotency_key: key.map(str::to_owned),
            form: form.to_owned(),
        };
        self.append(&intent)?;
        let reply = Reply::of_confirmation(&intent);
        self.index(intent);
        Ok(reply)
    }

    fn append(&mut self, intent: &Intent) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let mut line = serde_json::to_vec(intent)?;
        line.push(b'\n');
        file.write_all(&line)?;
        file.sync_data()
    }

    fn index(&mut self, intent: Intent) {
        let index = self.intents.len();
        self.by_id.insert(intent.id.clone(), index);
        if let Some(key) = &intent.idempotency_key {
            self.by_key.insert(key.clone(), index);
        }
        self.intents.push(intent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "amount=1050";

    fn request(token: &str) -> IntentRequest {
        IntentRequest {
            amount: 1050,
            currency: "usd".into(),
            payment_method: token.into(),
            card: super::super::card::card(token).unwrap(),
            metadata: BTreeMap::new(),
        }
    }

    #[test]
    fn the_same_key_replays_and_another_body_is_refused() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.begin("k", FORM), Begin::Fresh);
        let first = ledger.carry_out(request("pm_card_visa"), Some("k"), FORM, 1).unwrap();
        assert_eq!(ledger.begin("k", FORM), Begin::Replay(first));
        assert_eq!(ledger.begin("k", "amount=1"), Begin::Refused(Reply::key_mismatch("k")));
        assert_eq!(ledger.charges().count(), 1);
    }

    #[test]
    fn a_key_in_progress_is_refused_until_it_ends() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.begin("k", FORM), Begin::Fresh);
        assert_eq!(ledger.begin("k", FORM), Begin::Refused(Reply::key_in_use("k")));
        ledger.end("k");
        assert_eq!(ledger.begin("k", FORM), Begin::Fresh);
    }

    #[test]
    fn a_decline_is_no_charge_but_is_replayed_like_one() {
        let mut ledger = Ledger::default();
        let first = ledger.carry_out(request("pm_card_chargeDeclined"), Some("k"), FORM, 1).unwrap();
        assert_eq!(first.status, http::StatusCode::PAYMENT_REQUIRED);
        assert_eq!(ledger.begin("k", FORM), Begin::Replay(first));
        assert_eq!(ledger.charges().count(), 0);
    }

    #[test]
    fn a_ledger_on_disk_is_read_back_without_the_line_that_a_crash_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("charges.jsonl");
        let mut ledger = Ledger::open(&path).unwrap();
        let reply = ledger.carry_out(request("pm_card_visa"), Some("k"), FORM, 1).unwrap();
        drop(ledger);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"id\":\"pi_cut").unwrap();

        let mut again = Ledger::open(&path).unwrap();
        assert_eq!(again.begin("k", FORM), Begin::Replay(reply));
        again.carry_out(request("pm_card_visa"), Some("k2"), FORM, 2).unwrap();
        drop(again);
        assert_eq!(Ledger::open(&path).unwrap().charges().count(), 2);
    }
}
