//! An array of objects, or one object.

use super::{Cell, Table};
use serde_json::{Map, Value};

pub(super) fn value(table: &Table) -> Value {
    let number = |v: f64| if v.is_finite() { Value::from(v) } else { Value::from(v.to_string()) };
    let value = |cell: &Cell| match cell {
        Cell::Missing => Value::Null,
        Cell::Integer(v) => Value::from(*v),
        Cell::Given(v) => number(*v),
        Cell::Estimate(e) | Cell::Vacuous(e) => match e.deviation {
            Some(deviation) => serde_json::json!({ "mean": e.mean, "sd": deviation }),
            None => number(e.mean),
        },
        Cell::List(values) => Value::from(values.clone()),
        Cell::Interval(ends) => Value::from(ends.to_vec()),
        Cell::Text(t) | Cell::Note(t) | Cell::Flag(t) | Cell::Decimal(t) => Value::from(t.clone()),
    };
    let object = |row: &Vec<Cell>| -> Value {
        let pairs = table.headers().iter().cloned().zip(row.iter().map(value));
        Value::Object(pairs.collect::<Map<_, _>>())
    };
    let mut rows: Vec<Value> = table.rows().iter().map(object).collect();
    if table.is_single() && rows.len() == 1 { rows.remove(0) } else { Value::from(rows) }
}
