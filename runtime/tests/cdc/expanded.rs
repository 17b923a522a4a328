//! Columns that a release adds.

use crate::ground::Ground;

/// Makes a column one that a release before did not publish, and that analytics does not know.
async fn unpublish(ground: &Ground, table: &str, column: &str) {
    let columns: Vec<&str> = runtime::cdc::PUBLISHED
        .iter()
        .find(|published| published.name == table)
        .unwrap()
        .columns
        .iter()
        .copied()
        .filter(|name| *name != column)
        .collect();
    ground
        .on_payments(&format!(
            "begin; alter publication purser_analytics drop table {table};
             alter publication purser_analytics add table {table} ({}); commit",
            columns.join(", ")
        ))
        .await;
    ground.on_analytics(&format!("alter table {table} drop column {column}")).await;
}

#[tokio::test]
async fn a_new_column_is_added_there_first_and_then_published() {
    let ground = Ground::new().await;
    ground.apply().await.unwrap();
    ground.becomes_same().await;
    unpublish(&ground, "transactions", "authorized_until").await;
    // Without the column, payments go on flowing.
    ground.pay().await;
    ground.on_analytics("create table seen as select 1; alter table transactions add column note text").await;
    let applied = ground.apply().await.unwrap();
    assert!(applied.changes.iter().any(|change| change == "added authorized_until to the table transactions"));
    assert!(applied.changes.iter().all(|change| !change.contains("copied")), "{:?}", applied.changes);
    ground.on_payments("update transactions set authorized_until = now()").await;
    ground.becomes_same().await;
    assert_eq!(ground.count("select count(*) from transactions where authorized_until is not null").await, 3);
    assert!(ground.apply().await.unwrap().changes.is_empty());
}

#[tokio::test]
async fn rows_from_before_a_column_get_what_they_have_in_the_payments_database() {
    let ground = Ground::new().await;
    ground.apply().await.unwrap();
    ground.becomes_same().await;
    // A constant that every row from before has is not worth a copy.
    unpublish(&ground, "merchants", "is_test").await;
    let applied = ground.apply().await.unwrap();
    assert!(applied.changes.iter().all(|change| !change.contains("copied")), "{:?}", applied.changes);
    ground.becomes_same().await;
    assert_eq!(ground.count("select count(*) from merchants where not is_test").await, 1);

    // What a migration has filled before it was published is copied, and only that table.
    unpublish(&ground, "merchants", "fee_percentage").await;
    let applied = ground.apply().await.unwrap();
    assert!(applied.changes.iter().any(|change| change == "had merchants copied"), "{:?}", applied.changes);
    ground.becomes_same().await;
    ground.pay().await;
    ground.on_payments("update merchants set fee_percentage = 1").await;
    ground.becomes_same().await;
    assert!(ground.apply().await.unwrap().changes.is_empty());
}

#[tokio::test]
async fn what_a_newer_release_publishes_stays_when_an_older_one_comes_back() {
    let ground = Ground::new().await;
    ground.apply().await.unwrap();
    ground.becomes_same().await;
    ground
        .on_payments(
            "alter table merchants add column tier text;
             comment on publication purser_analytics is 'Purser, schema version 99999'",
        )
        .await;
    ground.on_analytics("alter table merchants add column tier text").await;
    ground
        .on_payments(
            "begin; alter publication purser_analytics drop table merchants;
             alter publication purser_analytics add table merchants (id, name, status, tier); commit",
        )
        .await;
    let applied = ground.apply().await.unwrap();
    assert_eq!(applied.changes, ["let the role of analytics read what is published"]);
    ground.on_payments("update merchants set tier = 'gold'").await;
    for _ in 0..200 {
        if ground.count("select count(*) from merchants where tier = 'gold'").await == 1 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the newer column does not flow");
}

#[tokio::test]
async fn a_column_that_is_published_cannot_be_dropped_unnoticed() {
    let ground = Ground::new().await;
    ground.apply().await.unwrap();
    let refused =
        sqlx::raw_sql("alter table merchants drop column category").execute(&mut ground.payments().await).await;
    assert_eq!(refused.unwrap_err().as_database_error().unwrap().code().unwrap(), "2BP01");
}
