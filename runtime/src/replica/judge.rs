//! Whether a replica may be read from, given what was seen. ★ Pure: times come in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far back positions are kept. A replica that is further behind is behind for longer than anybody allows.
const KEPT: Duration = Duration::from_secs(120);

/// Of which database something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `system_identifier` of the server, which all of its physical replicas have, and nobody else.
    pub system: i64,
    /// Object id of the database. It stays when the database gets another name, as in a restore.
    pub database: i64,
    /// Timeline: a server that is promoted begins another one. A replica that stayed on the old one may have what was lost.
    pub timeline: i64,
}

/// Where the database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Of which database.
    pub origin: Origin,
    /// Everything that was committed lies before this byte of the write-ahead log.
    pub flushed: i64,
}

/// What a server says that is to be a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Whether it replays what another server wrote.
    pub is_in_recovery: bool,
    /// Of which database.
    pub origin: Origin,
    /// Everything before this byte of the write-ahead log is to be seen; none when nothing was replayed since it started.
    pub replayed: Option<i64>,
}

/// Why a replica is not read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It was not looked at yet.
    NotSeen,
    /// It does not answer.
    Away,
    /// It takes writes: it was promoted, or never was a replica.
    Promoted,
    /// It is of another server.
    OtherSystem,
    /// It is of another database of this server.
    OtherDatabase,
    /// It has not come along to the timeline of the database.
    OtherTimeline,
    /// Nobody knows where the database is.
    NoPosition,
    /// It is further behind than is allowed; it shows everything until then, if that is known.
    Behind(Option<Instant>),
}

impl Unfit {
    /// A sentence for a person.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NotSeen => "the replica was not looked at yet",
            Self::Away => "the replica does not answer",
            Self::Promoted => "the server of database-read-url is no replica (any more): it is not in recovery",
            Self::OtherSystem => {
                "the server of database-read-url is no replica of the database: it has another system identifier"
            }
            Self::OtherDatabase => "database-read-url names another database than database-url",
            Self::OtherTimeline => "the replica has not come along to the timeline of the database",
            Self::NoPosition => "the database does not say where it is",
            Self::Behind(_) => "the replica is further behind than spec.database.readLagMax allows",
        }
    }
}

/// Where the database was, and when.
#[derive(Debug, Default)]
pub struct Positions {
    origin: Option<Origin>,
    /// The oldest first.
    marks: VecDeque<(Instant, i64)>,
}

impl Positions {
    /// The database was there at the time at which it was asked, or later.
    pub fn add(&mut self, asked: Instant, position: Position) {
        let Position { origin, flushed } = position;
        // What was measured on another server or timeline says nothing of this one.
        if self.origin != Some(origin) {
            self.marks.clear();
            self.origin = Some(origin);
        }
        self.marks.push_back((asked, flushed));
        while self.marks.front().is_some_and(|(at, _)| asked.duration_since(*at) > KEPT) {
            self.marks.pop_front();
        }
    }

    /// Until when a server shows everything that was committed, if it is fit.
    ///
    /// # Errors
    /// Why it is not.
    pub fn judge(&self, seen: &Seen, now: Instant, lag_max: Duration) -> Result<Instant, Unfit> {
        let Some(origin) = self.origin else { return Err(Unfit::NoPosition) };
        let Seen { is_in_recovery, origin: seen_origin, replayed } = seen;
        if seen_origin.system != origin.system {
            return Err(Unfit::OtherSystem);
        }
        if !is_in_recovery {
            return Err(Unfit::Promoted);
        }
        if seen_origin.database != origin.database {
            return Err(Unfit::OtherDatabase);
        }
        if seen_origin.timeline != origin.timeline {
            return Err(Unfit::OtherTimeline);
        }
        let until = self.shown_until(replayed.ok_or(Unfit::Behind(None))?);
        let is_fit = until.is_some_and(|until| now.saturating_duration_since(until) <= lag_max);
        match until {
            Some(until) if is_fit => Ok(until),
            // With no position that is new enough, it may be the database that is silent.
            _ if self.marks.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) > lag_max) => {
                Err(Unfit::NoPosition)
            }
            until => Err(Unfit::Behind(until)),
        }
    }

    fn shown_until(&self, replayed: i64) -> Option<Instant> {
        self.marks.iter().rev().find(|(_, flushed)| *flushed <= replayed).map(|(at, _)| *at)
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
