//! `purser cdc apply`: publication, tables and subscription become what they are to be.

use serde::Serialize;
use sqlx::{Connection, PgConnection};

use super::error::CdcError;
use super::publication::Publication;
use super::source::Table;
use super::{PUBLICATION, Sides, publication, source, subscription, subscription_name, target};
use crate::database::Doing;

/// What flows now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// Name of the publication.
    pub publication: &'static str,
    /// Name of the subscription and of its slot.
    pub subscription: String,
    /// How many tables are published.
    pub tables: usize,
    /// How far analytics is behind; all of it while tables are copied.
    pub lag_bytes: i64,
    /// What was done, each in a few words; nothing when all was right.
    pub changes: Vec<String>,
}

/// Both databases, and what was found and done.
struct Run<'a> {
    sides: &'a Sides<'a>,
    name: String,
    payments: PgConnection,
    analytics: PgConnection,
    publication: Option<Publication>,
    tables: Vec<Table>,
    changes: Vec<String>,
}

/// Brings publication, tables and subscription to what they are to be. Doing it again changes nothing.
///
/// # Errors
/// [`CdcError`]. All that can be looked at is looked at before anything is changed; what was changed is right as it is, and the next
/// run goes on there.
pub async fn apply(sides: &Sides<'_>) -> Result<Applied, CdcError> {
    let name = subscription_name(sides.owner);
    let mut payments = source::open(sides.owner, sides.payments, sides.patience).await?;
    let has_slot = source::slot(&mut payments, &name).await?.is_some();
    source::check(&mut payments, &name, has_slot).await?;
    let published = publication::find(&mut payments).await?;
    let tables = source::wanted(&mut payments, published.as_ref()).await?;
    let server = source::server(&mut payments).await?;
    let analytics = target::open(sides, server).await?;
    let mut run = Run { sides, name, payments, analytics, publication: published, tables, changes: Vec::new() };
    let is_subscribed = run.whole_or_gone().await?;
    run.make_room().await?;
    let subscribed = if is_subscribed { run.let_go().await? } else { Vec::new() };
    run.flow(is_subscribed, &subscribed).await?;
    run.end().await
}

impl Run<'_> {
    /// Whether there is a subscription to go on with. One whose slot, publication or database is another by now, or that has fallen
    /// behind further than is kept for it, cannot go on: it is dropped, and all is copied anew.
    async fn whole_or_gone(&mut self) -> Result<bool, CdcError> {
        let (sides, name) = (self.sides, self.name.as_str());
        let slot = source::slot(&mut self.payments, name).await?;
        let found = target::subscribed(&mut self.analytics, name).await.map_err(CdcError::Analytics)?;
        let is_whole = self.publication.is_some() && slot.as_ref().is_some_and(source::SlotRow::is_whole);
        match (&found, &slot) {
            (Some(_), _) if is_whole => return Ok(true),
            (Some(_), _) => {
                subscription::drop_it(&mut self.analytics, name, Some(sides.source)).await?;
                self.changes.push("dropped a subscription that could not go on".to_owned());
            }
            (None, Some(slot)) if slot.active => return Err(CdcError::SlotInUse(self.name.clone())),
            (None, _) => {}
        }
        if source::slot(&mut self.payments, name).await?.is_some() {
            subscription::drop_slot(&mut self.analytics, name, sides.source).await?;
            self.changes.push("dropped a replication slot that nobody used".to_owned());
        }
        Ok(false)
    }

    /// The analytics database has every table and every column before anything of them is sent.
    async fn make_room(&mut self) -> Result<(), CdcError> {
        if target::claim(&mut self.analytics, self.sides.owner, &self.tables).await? {
            self.changes.push("claimed the analytics database".to_owned());
        }
        for table in &self.tables {
            self.changes.extend(target::ensure(&mut self.analytics, table).await?);
        }
        if publication::grant(&mut self.payments, self.sides, &self.tables).await? {
            self.changes.push("let the role of analytics read what is published".to_owned());
        }
        Ok(())
    }

    /// The subscription lets go of tables that have to be copied anew: of those with a column that is new to analytics and in which
    /// rows hold something already, which no change will ever tell; and of those that were withdrawn by a run that died. Says which
    /// tables it fills after that.
    async fn let_go(&mut self) -> Result<Vec<String>, CdcError> {
        let mut published = self.publication.as_ref().map(|now| now.tables.clone()).unwrap_or_default();
        let mut stale = Vec::new();
        for table in &self.tables {
            if let Some(names) = published.iter().find(|(name, _)| *name == table.name)
                && publication::is_filled(&mut self.payments, table, names).await?
            {
                stale.push(table);
            }
        }
        if !stale.is_empty() {
            publication::withdraw(&mut self.payments, &stale).await?;
            published.retain(|(name, _)| stale.iter().all(|table| table.name != *name));
            if let Some(now) = &mut self.publication {
                now.tables.clone_from(&published);
            }
        }
        // Who is stopped, by a run that died, can let go of nothing.
        subscription::connect(&mut self.analytics, &self.name, self.sides.source).await?;
        let subscribed = self.subscribed().await?;
        if subscribed.iter().all(|table| target::is_among(table, &published)) {
            return Ok(subscribed);
        }
        subscription::refresh(&mut self.analytics, &self.name, false).await?;
        self.subscribed().await
    }

    async fn subscribed(&mut self) -> Result<Vec<String>, CdcError> {
        let found = target::subscribed(&mut self.analytics, &self.name).await.map_err(CdcError::Analytics)?;
        Ok(found.unwrap_or_default().into_iter().map(|(table, _)| table).collect())
    }

    /// Publishes, and then has the subscription take it up.
    async fn flow(&mut self, is_subscribed: bool, subscribed: &[String]) -> Result<(), CdcError> {
        let (sides, name) = (self.sides, self.name.as_str());
        let copied: Vec<&Table> = self.tables.iter().filter(|table| !subscribed.contains(&table.name)).collect();
        for table in &copied {
            let ranges = source::ranges(&mut self.payments, &table.name).await?;
            target::clear(&mut self.analytics, &table.name, ranges.as_ref()).await?;
        }
        if publication::publish(&mut self.payments, sides, self.publication.as_ref(), &self.tables).await? {
            self.changes.push(format!("published {} tables", self.tables.len()));
        }
        if !is_subscribed {
            subscription::create(&mut self.analytics, name, sides.source).await?;
            self.changes.push("made the subscription".to_owned());
            return Ok(());
        }
        if !copied.is_empty() {
            let names: Vec<&str> = copied.iter().map(|table| table.name.as_str()).collect();
            self.changes.push(format!("had {} copied", names.join(", ")));
            subscription::refresh(&mut self.analytics, name, true).await?;
        }
        Ok(())
    }

    async fn end(mut self) -> Result<Applied, CdcError> {
        let slot = source::slot(&mut self.payments, &self.name).await?;
        let tables = self.tables.len();
        self.payments.close().await.doing("could not end the connection")?;
        // It ends with this process at the latest.
        let _ = self.analytics.close().await;
        let lag_bytes = slot.map_or(0, |slot| slot.lag_bytes);
        Ok(Applied { publication: PUBLICATION, subscription: self.name, tables, lag_bytes, changes: self.changes })
    }
}
