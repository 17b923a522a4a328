//! A page of a list: newest first, walked with the ids of what was seen. Pure.

use uuid::Uuid;

/// Which page of a list is asked for. Ids grow with time, so a page stays the same however much is added meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    limit: u32,
    cursor: Option<Uuid>,
    backwards: bool,
}

impl Page {
    /// The most that one page shows.
    pub const LIMIT_MAX: u32 = 100;

    /// What is older than `cursor`, newest first; without a cursor, the newest.
    #[must_use]
    pub const fn after(cursor: Option<Uuid>, limit: u32) -> Self {
        Self { limit, cursor, backwards: false }
    }

    /// What is newer than `cursor`, next to it first.
    #[must_use]
    pub const fn before(cursor: Uuid, limit: u32) -> Self {
        Self { limit, cursor: Some(cursor), backwards: true }
    }

    /// How rows of this page compare with [`Page::cursor`]: `<` or `>`.
    #[must_use]
    pub const fn comparison(&self) -> &'static str {
        if self.backwards { ">" } else { "<" }
    }

    /// The order in which rows are read: `desc` or `asc`.
    #[must_use]
    pub const fn direction(&self) -> &'static str {
        if self.backwards { "asc" } else { "desc" }
    }

    /// Where the page begins; without a cursor, beyond every id.
    #[must_use]
    pub fn cursor(&self) -> Uuid {
        self.cursor.unwrap_or(Uuid::max())
    }

    /// Whether it begins at the newest.
    #[must_use]
    pub const fn is_first(&self) -> bool {
        self.cursor.is_none()
    }

    /// How many rows to read: one more than is shown tells whether there is more.
    #[must_use]
    pub fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// From rows in the order in which they were read: those that are shown, newest first, and whether there is more.
    #[must_use]
    pub fn shown<T>(&self, mut rows: Vec<T>) -> (Vec<T>, bool) {
        let limit = self.limit as usize;
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        if self.backwards {
            rows.reverse();
        }
        (rows, has_more)
    }

    /// Of the rows that are shown, the one from which the next page goes on.
    #[must_use]
    pub fn last<'a, T>(&self, shown: &'a [T]) -> Option<&'a T> {
        if self.backwards { shown.first() } else { shown.last() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_more_than_is_shown_tells_that_there_is_more() {
        let page = Page::after(None, 2);
        assert_eq!(page.shown(vec![9, 8, 7]), (vec![9, 8], true));
        assert_eq!(page.shown(vec![9, 8]), (vec![9, 8], false));
        assert_eq!((page.rows(), page.last(&[9, 8])), (3, Some(&8)));
    }

    #[test]
    fn a_page_read_backwards_is_shown_newest_first_too() {
        let page = Page::before(Uuid::nil(), 2);
        assert_eq!(page.shown(vec![3, 4, 5]), (vec![4, 3], true));
        assert_eq!(page.last(&[4, 3]), Some(&4));
    }
}
