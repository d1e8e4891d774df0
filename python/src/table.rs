//! A table of the crates as Python values: what the command line's JSON says, column by column.

use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt, PyList, PyString};
use theory::report::{Cell, Table};

/// Names, columns, and the tables that people read in their place: headers, and cells row by row.
pub(crate) type Parts<'py> = (Vec<String>, Vec<Bound<'py, PyList>>, Vec<Shown>);

type Shown = (Vec<String>, Vec<Vec<String>>);

/// The columns; one that has standard deviations is followed by a column of them, as in CSV. People read the table itself.
pub(crate) fn parts<'py>(py: Python<'py>, table: &Table) -> PyResult<Parts<'py>> {
    parts_shown_as(py, table, std::slice::from_ref(table))
}

/// The same, where people read other tables.
pub(crate) fn parts_shown_as<'py>(py: Python<'py>, table: &Table, shown: &[Table]) -> PyResult<Parts<'py>> {
    let (mut names, mut columns) = (Vec::new(), Vec::new());
    for (place, header) in table.headers().iter().enumerate() {
        let cells = || table.rows().iter().map(|row| &row[place]);
        names.push(header.clone());
        columns.push(PyList::new(py, cells().map(|cell| value(py, cell)).collect::<PyResult<Vec<_>>>()?)?);
        if cells().any(|cell| deviation(cell).is_some()) {
            names.push(format!("{header} sd"));
            columns.push(PyList::new(py, cells().map(deviation))?);
        }
    }
    let texts =
        |table: &Table| table.rows().iter().map(|row| row.iter().map(Cell::to_string).collect()).collect();
    let shown = shown.iter().map(|table| (table.headers().to_vec(), texts(table))).collect();
    Ok((names, columns, shown))
}

fn deviation(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Estimate(e) | Cell::Vacuous(e) => e.deviation,
        _ => None,
    }
}

fn value<'py>(py: Python<'py>, cell: &Cell) -> PyResult<Bound<'py, PyAny>> {
    let float = |value: f64| PyFloat::new(py, value).into_any();
    Ok(match cell {
        Cell::Missing => py.None().into_bound(py),
        Cell::Text(text) | Cell::Note(text) | Cell::Flag(text) => PyString::new(py, text).into_any(),
        Cell::Integer(number) => PyInt::new(py, *number).into_any(),
        Cell::Given(number) => float(*number),
        Cell::Estimate(e) | Cell::Vacuous(e) => float(e.mean),
        Cell::Decimal(text) => number(py, text)?,
        Cell::List(texts) => {
            let values = texts.iter().map(|text| number(py, text)).collect::<PyResult<Vec<_>>>()?;
            PyList::new(py, values)?.into_any()
        }
        Cell::Interval(ends) => {
            let ends = ends.iter().map(|text| number(py, text)).collect::<PyResult<Vec<_>>>()?;
            PyList::new(py, ends)?.into_any()
        }
    })
}

/// An integer, a float, or a `decimal.Decimal` of what is below the range of floats.
fn number<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return py.get_type::<PyInt>().call1((text,));
    }
    match text.parse::<f64>() {
        Ok(0.0) if text.bytes().take_while(|b| *b != b'e').any(|b| (b'1'..=b'9').contains(&b)) => {
            py.import("decimal")?.getattr("Decimal")?.call1((text,))
        }
        Ok(value) => Ok(PyFloat::new(py, value).into_any()),
        Err(_) => Ok(PyString::new(py, text).into_any()),
    }
}
