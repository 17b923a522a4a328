//! What holds for every transaction, whatever becomes of the one who asked for it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by panicking")]

mod support;

use std::time::Duration;

use runtime::database;
use support::TestApp;

/// A request whose client goes away is given up in the middle of anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_beginning_that_was_given_up_leaves_no_connection_inside_of_a_transaction() {
    let test = TestApp::new().await;
    let pool = test.pool();
    sqlx::query("create table marks (id integer primary key)").execute(pool).await.unwrap();
    for id in 0..60_i32 {
        let given_up = (0..10_u32).map(|microseconds| {
            tokio::time::timeout(Duration::from_micros(u64::from(microseconds * 20)), database::begin(pool))
        });
        drop(futures::future::join_all(given_up).await);
        sqlx::query("insert into marks (id) values ($1)").bind(id).execute(pool).await.unwrap();
    }
    let mut elsewhere = support::connection(&test.database_url).await;
    let marks: i64 = sqlx::query_scalar("select count(*) from marks").fetch_one(&mut elsewhere).await.unwrap();
    assert_eq!(marks, 60, "what was said to be committed is there");
}
