use proptest::prelude::*;

use super::*;

fn columns() -> Vec<Column> {
    let types =
        ["uuid", "numeric(18,4)", "timestamp with time zone", "boolean", "integer", "bigint", "jsonb", "text[]"];
    let column = |(n, type_name): (usize, &&str)| Column { name: format!("c{n}"), type_name: (*type_name).to_owned() };
    types.iter().enumerate().map(column).collect()
}

fn back(rows: &[Row]) -> Vec<Row> {
    let mut writer = Writer::new(&columns()).unwrap();
    rows.iter().for_each(|row| writer.add(row.clone()).unwrap());
    groups(writer.finish().unwrap(), &columns()).unwrap().flat_map(Result::unwrap).collect()
}

fn row() -> impl Strategy<Value = Row> {
    let maybe = proptest::option::of::<BoxedStrategy<String>>;
    (
        maybe(any::<u128>().prop_map(|bits| Uuid::from_u128(bits).to_string()).boxed()),
        maybe((-99_999_999_999_999_i128..=99_999_999_999_999).prop_map(|n| scaled(n, 4)).boxed()),
        maybe(any::<i64>().prop_map(|n| n.to_string()).boxed()),
        maybe(any::<bool>().prop_map(|yes| yes.to_string()).boxed()),
        maybe(any::<i32>().prop_map(|n| n.to_string()).boxed()),
        maybe(any::<i64>().prop_map(|n| n.to_string()).boxed()),
        maybe(any::<String>().boxed()),
        maybe(any::<String>().boxed()),
    )
        .prop_map(|(a, b, c, d, e, f, g, h)| vec![a, b, c, d, e, f, g, h])
}

proptest! {
    #[test]
    fn rows_come_back_as_they_went(rows in proptest::collection::vec(row(), 0..50)) {
        prop_assert_eq!(back(&rows), rows);
    }
}

#[test]
fn more_rows_than_a_group_holds_keep_their_order() {
    let row = |n: usize| {
        let mut row: Row = vec![None; columns().len()];
        row[4] = Some(n.to_string());
        row
    };
    let rows: Vec<Row> = (0..GROUP_ROWS * 2 + 1).map(row).collect();
    assert_eq!(back(&rows), rows);
}

#[test]
fn decimals_keep_every_digit() {
    for text in ["0.0000", "-0.0001", "10.5000", "-99999999999999.9999"] {
        assert_eq!(scaled(unscaled(text, 4).unwrap(), 4), text);
    }
    for wrong in ["NaN", "10.5", "1.00000", "", "1e4", "1.-500"] {
        assert_eq!(unscaled(wrong, 4), None, "{wrong}");
    }
}

#[test]
fn a_value_that_is_not_of_its_type_is_refused() {
    let mut writer = Writer::new(&columns()).unwrap();
    let mut row: Row = vec![None; columns().len()];
    row[1] = Some("NaN".to_owned());
    writer.add(row).unwrap();
    assert!(writer.finish().unwrap_err().to_string().contains("NaN in column c1 is no numeric(18,4)"));
}

#[test]
fn garbage_and_another_table_s_file_are_refused() {
    assert!(groups(b"PAR1 is what it begins with".to_vec(), &columns()).is_err());
    let mut writer = Writer::new(&columns()[..2]).unwrap();
    writer.add(vec![None, None]).unwrap();
    let wrong = groups(writer.finish().unwrap(), &columns()).unwrap().next().unwrap();
    assert!(wrong.unwrap_err().to_string().contains("2 columns, not 8"));
}
