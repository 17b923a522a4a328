//! One file of an archive, whole in memory: Parquet, with types that other programs read as what they are.

use std::io::{Error, Result};
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type,
};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;
use tokio_util::bytes::Bytes;
use uuid::Uuid;

use super::column::{Column, Kind};

/// Rows that are held as values before they are written.
const GROUP_ROWS: usize = 10_000;
/// The same in bytes: events are of any length.
const GROUP_BYTES: usize = 8 << 20;
/// A decimal of 38 digits.
const DECIMAL_BYTES: i32 = 16;
const UUID_BYTES: i32 = 16;

/// A row: its values as text, in the order of the columns.
pub(super) type Row = Vec<Option<String>>;

/// A file that is being written.
pub(super) struct Writer {
    file: SerializedFileWriter<Vec<u8>>,
    columns: Vec<Column>,
    group: Vec<Row>,
    group_bytes: usize,
    rows: u64,
}

impl Writer {
    pub(super) fn new(columns: &[Column]) -> Result<Self> {
        let fields = columns.iter().map(field).collect::<Result<Vec<_>>>()?;
        let schema = Type::group_type_builder("row").with_fields(fields).build()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("purser ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
        Ok(Self { file, columns: columns.to_vec(), group: Vec::new(), group_bytes: 0, rows: 0 })
    }

    /// Adds a row.
    pub(super) fn add(&mut self, row: Row) -> Result<()> {
        self.group_bytes += row.iter().flatten().map(String::len).sum::<usize>();
        self.rows += 1;
        self.group.push(row);
        if self.group.len() >= GROUP_ROWS || self.group_bytes >= GROUP_BYTES { self.write_group() } else { Ok(()) }
    }

    /// Rows, and bytes that are written so far.
    pub(super) fn size(&self) -> (u64, usize) {
        (self.rows, self.file.bytes_written())
    }

    /// The whole file.
    pub(super) fn finish(mut self) -> Result<Vec<u8>> {
        self.write_group()?;
        Ok(self.file.into_inner()?)
    }

    fn write_group(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.group);
        self.group_bytes = 0;
        if rows.is_empty() {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for (n, column) in self.columns.iter().enumerate() {
            write_column(&mut group, column, || rows.iter().map(|row| row.get(n).and_then(Option::as_deref)))?;
        }
        group.close()?;
        Ok(())
    }
}

/// Any of them may be empty, whatever the table says: files are of one form.
fn field(column: &Column) -> Result<Arc<Type>> {
    let builder = |physical| Type::primitive_type_builder(&column.name, physical).with_repetition(Repetition::OPTIONAL);
    let field = match column.kind() {
        Kind::Boolean => builder(Physical::BOOLEAN),
        Kind::Integer => builder(Physical::INT32),
        Kind::Long => builder(Physical::INT64),
        Kind::Decimal(digits, scale) => {
            let (digits, scale) = (digits.cast_signed(), scale.cast_signed());
            builder(Physical::FIXED_LEN_BYTE_ARRAY)
                .with_length(DECIMAL_BYTES)
                .with_logical_type(Some(LogicalType::decimal(scale, digits)))
                .with_precision(digits)
                .with_scale(scale)
        }
        Kind::Time => builder(Physical::INT64).with_logical_type(Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
        Kind::Uuid => {
            builder(Physical::FIXED_LEN_BYTE_ARRAY).with_length(UUID_BYTES).with_logical_type(Some(LogicalType::Uuid))
        }
        Kind::Json => builder(Physical::BYTE_ARRAY).with_logical_type(Some(LogicalType::Json)),
        Kind::Text => builder(Physical::BYTE_ARRAY).with_logical_type(Some(LogicalType::String)),
    };
    Ok(Arc::new(field.build()?))
}

type Values<'a, I> = &'a dyn Fn() -> I;

fn write_column<'a, I: Iterator<Item = Option<&'a str>>>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    column: &Column,
    values: impl Fn() -> I,
) -> Result<()> {
    let wrong = |text: &str| Error::other(format!("{text} in column {} is no {}", column.name, column.type_name));
    let bytes = |text: &str| Ok(ByteArray::from(text.as_bytes().to_vec()));
    let fixed = |bytes: Vec<u8>| FixedLenByteArray::from(ByteArray::from(bytes));
    let values: Values<'_, I> = &values;
    match column.kind() {
        Kind::Boolean => write::<BoolType, _>(group, values, |text| text.parse().map_err(|_| wrong(text))),
        Kind::Integer => write::<Int32Type, _>(group, values, |text| text.parse().map_err(|_| wrong(text))),
        Kind::Long | Kind::Time => write::<Int64Type, _>(group, values, |text| text.parse().map_err(|_| wrong(text))),
        Kind::Decimal(_, scale) => write::<FixedLenByteArrayType, _>(group, values, |text| {
            let unscaled = unscaled(text, scale).ok_or_else(|| wrong(text))?;
            Ok(fixed(unscaled.to_be_bytes().to_vec()))
        }),
        Kind::Uuid => write::<FixedLenByteArrayType, _>(group, values, |text| {
            Ok(fixed(text.parse::<Uuid>().map_err(|_| wrong(text))?.into_bytes().to_vec()))
        }),
        Kind::Json | Kind::Text => write::<ByteArrayType, _>(group, values, bytes),
    }
}

fn write<'a, T: DataType, I: Iterator<Item = Option<&'a str>>>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: Values<'_, I>,
    parse: impl Fn(&str) -> Result<T::T>,
) -> Result<()> {
    let levels: Vec<i16> = values().map(|value| i16::from(value.is_some())).collect();
    let values = values().flatten().map(parse).collect::<Result<Vec<T::T>>>()?;
    let mut column = group.next_column()?.ok_or_else(|| Error::other("the file has fewer columns than the table"))?;
    column.typed::<T>().write_batch(&values, Some(&levels), None)?;
    column.close()?;
    Ok(())
}

/// Reads a file, a group of rows at a time.
pub(super) fn groups(file: Vec<u8>, columns: &[Column]) -> Result<impl Iterator<Item = Result<Vec<Row>>>> {
    let reader = SerializedFileReader::new(Bytes::from(file))?;
    Ok((0..reader.num_row_groups()).map(move |n| read_group(&*reader.get_row_group(n)?, columns)))
}

fn read_group(group: &dyn RowGroupReader, columns: &[Column]) -> Result<Vec<Row>> {
    if group.num_columns() != columns.len() {
        return Err(Error::other(format!("it has {} columns, not {}", group.num_columns(), columns.len())));
    }
    let rows = usize::try_from(group.metadata().num_rows()).map_err(Error::other)?;
    let mut all: Vec<Row> = vec![Vec::with_capacity(columns.len()); rows];
    for (n, column) in columns.iter().enumerate() {
        let mut values = read_column(group.get_column_reader(n)?, column, rows)?.into_iter();
        for row in &mut all {
            row.push(values.next().ok_or_else(|| Error::other(format!("column {} has too few rows", column.name)))?);
        }
    }
    Ok(all)
}

fn read_column(reader: ColumnReader, column: &Column, rows: usize) -> Result<Vec<Option<String>>> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(Error::other);
    match (column.kind(), reader) {
        (Kind::Boolean, ColumnReader::BoolColumnReader(reader)) => values(reader, rows, |value| Ok(value.to_string())),
        (Kind::Integer, ColumnReader::Int32ColumnReader(reader)) => values(reader, rows, |value| Ok(value.to_string())),
        (Kind::Long | Kind::Time, ColumnReader::Int64ColumnReader(reader)) => {
            values(reader, rows, |value| Ok(value.to_string()))
        }
        (Kind::Decimal(_, scale), ColumnReader::FixedLenByteArrayColumnReader(reader)) => {
            values(reader, rows, |value| {
                let bytes = <[u8; 16]>::try_from(value.data()).map_err(Error::other)?;
                Ok(scaled(i128::from_be_bytes(bytes), scale))
            })
        }
        (Kind::Uuid, ColumnReader::FixedLenByteArrayColumnReader(reader)) => {
            values(reader, rows, |value| Ok(Uuid::from_slice(value.data()).map_err(Error::other)?.to_string()))
        }
        (Kind::Json | Kind::Text, ColumnReader::ByteArrayColumnReader(reader)) => {
            values(reader, rows, |value| text(value.data()))
        }
        _ => Err(Error::other(format!("column {} is not kept as {}", column.name, column.type_name))),
    }
}

fn values<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    rows: usize,
    show: impl Fn(&T::T) -> Result<String>,
) -> Result<Vec<Option<String>>> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    while levels.len() < rows {
        let (read, _, _) = reader.read_records(rows - levels.len(), Some(&mut levels), None, &mut values)?;
        if read == 0 {
            break;
        }
    }
    let mut values = values.iter();
    let missing = || Error::other("it has fewer values than it says");
    let value = |level: i16| match level {
        0 => Ok(None),
        _ => show(values.next().ok_or_else(missing)?).map(Some),
    };
    levels.into_iter().map(value).collect()
}

/// `-10.5000` of scale 4 as −105000. What is no such number, or has another scale, is none.
fn unscaled(text: &str, scale: u32) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_one = fraction.len() == scale as usize && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if is_one { format!("{whole}{fraction}").parse().ok() } else { None }
}

fn scaled(unscaled: i128, scale: u32) -> String {
    if scale == 0 {
        return unscaled.to_string();
    }
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale as usize + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
#[path = "parquet_file_tests.rs"]
mod tests;
