//! The book on disk, and the answer kept for every idempotency key.
//!
//! Written without waiting for the disk: a provider that is killed keeps what it wrote, and one whose machine loses power
//! is no provider of ours.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::book::{Book, Charge, Dialect};
use super::reply::Reply;

/// What is to happen with a request that carries an idempotency key.
#[derive(Debug, PartialEq)]
pub(super) enum Begin {
    /// It is the first one.
    Fresh,
    /// The first one is done, and this was its answer.
    Replay(Reply),
    /// The first one was another request.
    Mismatch,
    /// The first one is not done.
    InUse,
}

/// A key, and the request that it came with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) dialect: Dialect,
    pub(super) key: String,
    pub(super) fingerprint: u64,
}

/// What a request came to: a charge that was made or changed, and what is answered.
pub(super) struct Done {
    pub(super) charge: Option<Charge>,
    pub(super) reply: Reply,
    /// Whether it made the charge: then its answer can be told again from the charge, and need not be kept.
    pub(super) makes: bool,
}

struct Kept {
    fingerprint: u64,
    answer: Answer,
}

enum Answer {
    /// That of the charge in this place, when it was made.
    Made(usize),
    Stored(u16, Box<str>),
}

#[derive(Serialize, Deserialize)]
struct Line {
    charge: Option<Charge>,
    key: Option<Key>,
    answer: Option<(u16, String)>,
}

/// Everything that the provider remembers.
#[derive(Default)]
pub struct Ledger {
    book: Book,
    kept: HashMap<(Dialect, String), Kept>,
    in_progress: HashSet<(Dialect, String)>,
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

    /// What was done.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Keys that answer with an error of the provider from now on, and that error's status.
    pub(super) fn errors(&self) -> Vec<(Dialect, &str, u16)> {
        let mut errors = Vec::new();
        for ((dialect, key), kept) in &self.kept {
            if let Answer::Stored(status @ 500.., _) = kept.answer {
                errors.push((*dialect, key.as_str(), status));
            }
        }
        errors.sort_unstable();
        errors
    }

    /// Compares a request with the first one of its key.
    pub(super) fn begin(&mut self, key: &Key) -> Begin {
        let name = (key.dialect, key.key.clone());
        if let Some(kept) = self.kept.get(&name) {
            if kept.fingerprint != key.fingerprint {
                return Begin::Mismatch;
            }
            let reply = match &kept.answer {
                Answer::Made(index) => self.book.at(*index).map(|charge| Reply::of_making(&charge.as_made())),
                Answer::Stored(status, body) => Some(Reply::stored(*status, body)),
            };
            return reply.map_or(Begin::Fresh, Begin::Replay);
        }
        if self.in_progress.insert(name) { Begin::Fresh } else { Begin::InUse }
    }

    /// Forgets that a request is in progress.
    pub(super) fn end(&mut self, key: &Key) {
        self.in_progress.remove(&(key.dialect, key.key.clone()));
    }

    /// Makes it so. When this returns, a killed provider still knows it.
    ///
    /// # Errors
    /// When the file cannot be written: then nothing was done.
    pub(super) fn record(&mut self, done: &Done, key: Option<&Key>) -> io::Result<()> {
        let answer = (!done.makes && key.is_some()).then(|| (done.reply.status.as_u16(), done.reply.body.to_string()));
        let line = Line { charge: done.charge.clone(), key: key.cloned(), answer };
        if let Some(file) = &mut self.file {
            let mut bytes = serde_json::to_vec(&line)?;
            bytes.push(b'\n');
            file.write_all(&bytes)?;
        }
        self.index(line);
        Ok(())
    }

    /// Changes a charge without a request, as time does.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub(super) fn amend(&mut self, charge: Charge) -> io::Result<()> {
        let reply = Reply::of_making(&charge);
        self.record(&Done { charge: Some(charge), reply, makes: false }, None)
    }

    fn index(&mut self, line: Line) {
        let Line { charge, key, answer } = line;
        let made = charge.map(|charge| self.book.put(charge));
        let Some(Key { dialect, key, fingerprint }) = key else { return };
        let answer = match (answer, made) {
            (Some((status, body)), _) => Answer::Stored(status, body.into()),
            (None, Some(index)) => Answer::Made(index),
            (None, None) => return,
        };
        self.kept.insert((dialect, key), Kept { fingerprint, answer });
    }
}

/// What tells one request from another, for a key that comes back. Stable over restarts of one build, which is all that
/// a simulator needs.
pub(super) fn fingerprint(path: &str, body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (path, body).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::serve::Charging;
    use crate::simulator::stripe::requests::charge;

    fn key(name: &str, body: &str) -> Key {
        let fingerprint = fingerprint("/v1/payment_intents", body.as_bytes());
        Key { dialect: Dialect::Stripe, key: name.into(), fingerprint }
    }

    fn made(token: &str) -> Done {
        let form = format!(
            "amount=1050&currency=usd&payment_method={token}&payment_method_types[]=card&confirm=true&off_session=true\
             &error_on_requires_action=true"
        );
        charge(form.as_bytes(), &Charging { now: 1, key: Some("k".into()), decline: None }).unwrap()
    }

    #[test]
    fn the_same_key_replays_and_another_body_is_refused() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.begin(&key("k", "a")), Begin::Fresh);
        let done = made("pm_card_visa");
        ledger.record(&done, Some(&key("k", "a"))).unwrap();
        assert_eq!(ledger.begin(&key("k", "a")), Begin::Replay(done.reply));
        assert_eq!(ledger.begin(&key("k", "b")), Begin::Mismatch);
        assert_eq!(ledger.book().charges().len(), 1);
    }

    #[test]
    fn a_key_in_progress_is_refused_until_it_ends() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.begin(&key("k", "a")), Begin::Fresh);
        assert_eq!(ledger.begin(&key("k", "a")), Begin::InUse);
        ledger.end(&key("k", "a"));
        assert_eq!(ledger.begin(&key("k", "a")), Begin::Fresh);
    }

    #[test]
    fn a_decline_is_no_charge_but_is_replayed_like_one() {
        let mut ledger = Ledger::default();
        let done = made("pm_card_chargeDeclined");
        assert_eq!(done.reply.status, http::StatusCode::PAYMENT_REQUIRED);
        ledger.record(&done, Some(&key("k", "a"))).unwrap();
        assert_eq!(ledger.begin(&key("k", "a")), Begin::Replay(done.reply));
        assert!(!ledger.book().charges()[0].is_approved());
    }

    #[test]
    fn keys_that_keep_an_error_are_listed_and_others_are_not() {
        let mut ledger = Ledger::default();
        ledger.record(&made("pm_card_visa"), Some(&key("fine", "a"))).unwrap();
        ledger.record(&made("pm_card_chargeDeclined"), Some(&key("declined", "a"))).unwrap();
        let failed = |charge| Done { charge, reply: Reply::internal(Dialect::Stripe), makes: false };
        ledger.record(&failed(None), Some(&key("nothing", "a"))).unwrap();
        ledger.record(&failed(made("pm_card_visa").charge), Some(&key("made", "a"))).unwrap();
        assert_eq!(ledger.errors(), [(Dialect::Stripe, "made", 500), (Dialect::Stripe, "nothing", 500)]);
    }

    #[test]
    fn a_ledger_on_disk_is_read_back_without_the_line_that_a_crash_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("charges.jsonl");
        let mut ledger = Ledger::open(&path).unwrap();
        let done = made("pm_card_visa");
        ledger.record(&done, Some(&key("k", "a"))).unwrap();
        drop(ledger);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"charge\":{\"id\":\"pi_cut").unwrap();

        let mut again = Ledger::open(&path).unwrap();
        assert_eq!(again.begin(&key("k", "a")), Begin::Replay(done.reply));
        again.record(&made("pm_card_visa"), Some(&key("k2", "a"))).unwrap();
        drop(again);
        assert_eq!(Ledger::open(&path).unwrap().book().charges().len(), 2);
    }
}
