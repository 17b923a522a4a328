//! What merchants asked for, and what they were told.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Payment,
    Capture,
    Refund,
    Cancel,
}

/// One request, however often it was sent, and the one answer to it.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) asked: Asked,
    pub(super) key: String,
    pub(super) request: String,
    pub(super) status: u16,
    pub(super) answer: Value,
}

impl Record {
    /// Whether something was promised.
    pub(super) fn acknowledged(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A text of the answer.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.answer[name].as_str()
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Records {
    all: Mutex<Vec<Record>>,
    wrong: Mutex<Vec<String>>,
    unanswered: Mutex<Vec<String>>,
}

impl Records {
    pub(super) fn add(&self, record: Record) {
        lock(&self.all).push(record);
    }

    /// Something that must not be, seen while it happened.
    pub(super) fn wrong(&self, what: String) {
        lock(&self.wrong).push(what);
    }

    /// A request that found no answer until the end: nothing was promised.
    pub(super) fn unanswered(&self, key: String) {
        lock(&self.unanswered).push(key);
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.all).len()
    }

    pub(super) fn unanswered_count(&self) -> usize {
        lock(&self.unanswered).len()
    }

    pub(super) fn take(&self) -> (Vec<Record>, Vec<String>) {
        (std::mem::take(&mut *lock(&self.all)), std::mem::take(&mut *lock(&self.wrong)))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
