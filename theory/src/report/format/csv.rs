//! Comma-separated values with a header line; mean and standard deviation are two columns.

use super::{Cell, Table};

pub(super) fn text(table: &Table) -> String {
    // mean and standard deviation become two columns wherever any row has the latter.
    let with_deviation: Vec<bool> = (0..table.headers().len())
        .map(|c| {
            table
                .rows()
                .iter()
                .any(|row| matches!(&row[c], Cell::Estimate(e) | Cell::Vacuous(e) if e.deviation.is_some()))
        })
        .collect();
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let mut header = Vec::new();
    for (name, &split) in table.headers().iter().zip(&with_deviation) {
        header.push(name.clone());
        if split {
            header.push(format!("{name} sd"));
        }
    }
    // Writing to memory cannot fail.
    let _ = writer.write_record(&header);
    for row in table.rows() {
        let mut record = Vec::new();
        for (cell, &split) in row.iter().zip(&with_deviation) {
            let (value, deviation) = match cell {
                Cell::Estimate(e) | Cell::Vacuous(e) => (format!("{:?}", e.mean), e.deviation),
                Cell::Interval(ends) => (ends.join(";"), None),
                other => (other.to_string(), None),
            };
            record.push(value);
            if split {
                record.push(deviation.map_or(String::new(), |d| format!("{d:?}")));
            }
        }
        let _ = writer.write_record(&record);
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}
