//! Lists as the API shows them. A list is asked for with `limit`, and `starting_after` (what is older than this) or
//! `ending_before` (what is newer).

use std::fmt::Display;
use std::str::FromStr;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::problem::Problem;
pub(super) use crate::page::Page;

const LIMIT_DEFAULT: u32 = 20;

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
        if !(1..=Self::LIMIT_MAX).contains(&limit) {
            return Err(invalid("limit must be between 1 and 100", "limit"));
        }
        let id = |text: &str, param: &'static str| {
            text.parse::<I>().map(Into::into).map_err(|error| invalid(error.to_string(), param))
        };
        match (starting_after, ending_before) {
            (None, None) => Ok(Self::after(None, limit)),
            (Some(after), None) => Ok(Self::after(Some(id(after, "starting_after")?), limit)),
            (None, Some(before)) => Ok(Self::before(id(before, "ending_before")?, limit)),
            (Some(_), Some(_)) => Err(invalid("starting_after and ending_before exclude each other", "ending_before")),
        }
    }

    /// The page, from rows in the order in which they were read.
    #[must_use]
    pub(super) fn list<T>(&self, rows: Vec<T>, id: impl Fn(&T) -> String) -> List<T> {
        let (data, has_more) = self.shown(rows);
        let next_cursor = if has_more { self.last(&data).map(id) } else { None };
        List { data, has_more, next_cursor }
    }
}

impl<T> List<T> {
    /// The same page with each thing as it is shown.
    #[must_use]
    pub(super) fn each<'a, U>(&'a self, show: impl FnMut(&'a T) -> U) -> List<U> {
        let data = self.data.iter().map(show).collect();
        List { data, has_more: self.has_more, next_cursor: self.next_cursor.clone() }
    }
}

/// A query parameter that cannot be accepted.
pub(super) fn invalid(detail: impl Into<String>, param: &'static str) -> Problem {
    Problem::bad_request("invalid_parameter", detail).param(param)
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
    fn a_list_names_the_cursor_of_its_next_page() {
        let forwards = page(Some(2), None, None).unwrap().list(vec![9, 8, 7], i32::to_string);
        assert_eq!((forwards.data, forwards.has_more, forwards.next_cursor.as_deref()), (vec![9, 8], true, Some("8")));
        let id = UserId::at(Utc::now()).to_string();
        let backwards = page(Some(2), None, Some(&id)).unwrap().list(vec![3, 4, 5], i32::to_string);
        assert_eq!((backwards.data, backwards.next_cursor.as_deref()), (vec![4, 3], Some("4")));
    }
}
