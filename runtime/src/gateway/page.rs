//! Lists in pages: newest first, walked with the ids of what was seen.
//!
//! A list is asked for with `limit`, and `starting_after` (what is older than this) or `ending_before` (what is newer).
//! Ids grow with time, so a page stays the same however much is added meanwhile.

use std::fmt::Display;
use std::str::FromStr;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::problem::Problem;

const LIMIT_DEFAULT: u32 = 20;
const LIMIT_MAX: u32 = 100;

/// Which page is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    limit: u32,
    cursor: Option<Uuid>,
    backwards: bool,
}

/// One page, as it is shown.
#[derive(Serialize, ToSchema)]
pub(super) struct List<T> {
    /// Newest first.
    data: Vec<T>,
    /// Whether there is more in the direction that was asked for.
    has_more: bool,
    /// What to give as `starting_after` (after `ending_before`: as `ending_before` again) for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl Page {
    /// The page that these query parameters ask for.
    ///
    /// # Errors
    /// When a parameter is out of its bounds, or both cursors are given.
    pub(super) fn of<I: FromStr<Err: Display> + Into<Uuid>>(
        limit: Option<u32>,
        starting_after: Option<&str>,
        ending_before: Option<&str>,
    ) -> Result<Self, Problem> {
        let limit = limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Problem::bad_request("invalid_parameter", "limit must be between 1 and 100").param("limit"));
        }
        let id = |text: &str, param: &'static str| {
            let parsed = text.parse::<I>().map(Into::into);
            parsed.map_err(|error| Problem::bad_request("invalid_parameter", error.to_string()).param(param))
        };
        let (cursor, backwards) = match (starting_after, ending_before) {
            (None, None) => (None, false),
            (Some(after), None) => (Some(id(after, "starting_after")?), false),
            (None, Some(before)) => (Some(id(before, "ending_before")?), true),
            (Some(_), Some(_)) => {
                let detail = "starting_after and ending_before exclude each other";
                return Err(Problem::bad_request("invalid_parameter", detail).param("ending_before"));
            }
        };
        Ok(Self { limit, cursor, backwards })
    }

    /// How rows of this page compare with [`Page::cursor`]: `<` or `>`.
    #[must_use]
    pub(super) const fn comparison(&self) -> &'static str {
        if self.backwards { ">" } else { "<" }
    }

    /// The order in which rows are read: `desc` or `asc`.
    #[must_use]
    pub(super) const fn direction(&self) -> &'static str {
        if self.backwards { "asc" } else { "desc" }
    }

    /// Where the page begins; without a cursor, beyond every id.
    #[must_use]
    pub(super) fn cursor(&self) -> Uuid {
        self.cursor.unwrap_or(Uuid::max())
    }

    /// How many rows to read: one more than is shown tells whether there is more.
    #[must_use]
    pub(super) fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// The page, from rows in the order in which they were read.
    #[must_use]
    pub(super) fn list<T>(&self, mut rows: Vec<T>, id: impl Fn(&T) -> String) -> List<T> {
        let shown = self.limit as usize;
        let has_more = rows.len() > shown;
        rows.truncate(shown);
        let next_cursor = if has_more { rows.last().map(id) } else { None };
        if self.backwards {
            rows.reverse();
        }
        List { data: rows, has_more, next_cursor }
    }
}

impl<T> List<T> {
    /// The same page with each thing as it is shown.
    pub(super) fn map<U>(self, show: impl FnMut(T) -> U) -> List<U> {
        let Self { data, has_more, next_cursor } = self;
        List { data: data.into_iter().map(show).collect(), has_more, next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::ids::UserId;

    fn page(limit: Option<u32>, after: Option<&str>, before: Option<&str>) -> Result<Page, Problem> {
        Page::of::<UserId>(limit, after, before)
    }

    #[test]
    fn a_page_has_bounds_and_one_cursor() {
        let id = UserId::at(Utc::now()).to_string();
        assert_eq!(page(None, None, None).unwrap().rows(), 21);
        assert_eq!(page(Some(100), Some(&id), None).unwrap().comparison(), "<");
        assert_eq!(page(Some(1), None, Some(&id)).unwrap().direction(), "asc");
        for (limit, after, before) in [
            (Some(0), None, None),
            (Some(101), None, None),
            (None, Some("pay_1"), None),
            (None, None, Some("usr_1")),
            (None, Some(id.as_str()), Some(id.as_str())),
        ] {
            assert!(page(limit, after, before).is_err(), "{limit:?} {after:?} {before:?}");
        }
    }

    #[test]
    fn one_row_more_than_is_shown_tells_that_there_is_more() {
        let forwards = page(Some(2), None, None).unwrap();
        let list = forwards.list(vec![9, 8, 7], i32::to_string);
        assert_eq!((list.data, list.has_more, list.next_cursor.as_deref()), (vec![9, 8], true, Some("8")));
        let list = forwards.list(vec![9, 8], i32::to_string);
        assert_eq!((list.data, list.has_more, list.next_cursor), (vec![9, 8], false, None));
    }

    #[test]
    fn a_page_read_backwards_is_shown_newest_first_too() {
        let id = UserId::at(Utc::now()).to_string();
        let backwards = page(Some(2), None, Some(&id)).unwrap();
        let list = backwards.list(vec![3, 4, 5], i32::to_string);
        assert_eq!((list.data, list.has_more, list.next_cursor.as_deref()), (vec![4, 3], true, Some("4")));
    }
}
