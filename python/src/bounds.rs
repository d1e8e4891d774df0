//! What measured losses say: bounds, explanations, certificates, and the registry of both.

use crate::errors::Failure;
use crate::run::{Outcome, owned};
use crate::table::{Parts, parts, parts_shown_as};
use pyo3::prelude::*;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use theory::bounds;
use theory::certificates;
use theory::error::ErrorKind;
use theory::losses::{self, Groups, LossComponents, Quantity};
use theory::report::figure::Selection;
use theory::report::{self, Cell, Table};

/// The largest table that is read, in bytes.
const MAX_BYTES: usize = 1 << 30;

/// Rows of `losses.csv`.
#[pyclass(frozen, module = "negatives._negatives")]
pub(crate) struct Losses {
    pub(crate) rows: Arc<Vec<LossComponents>>,
}

#[pymethods]
impl Losses {
    /// From a file or the folder of a run.
    #[staticmethod]
    fn of_path(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let read = move |_: measure::Stop<'_>| {
            let file = losses::measured_file(&path)?;
            if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
                return Err(Failure::argument(format!(
                    "{}: bounds.json does not say what was measured: `theory bounds` takes it, with --classes, --draws \
                     and --temperature",
                    file.display()
                )));
            }
            Ok(Self { rows: Arc::new(losses::read(&file)?) })
        };
        owned(py, Some(1), read)
    }

    /// From the text of a `losses.csv` that stands for a table called `name`: errors name rows, counted from 0.
    #[staticmethod]
    fn of_text(py: Python<'_>, text: String, name: String) -> PyResult<Self> {
        let read = move |_: measure::Stop<'_>| {
            if text.len() > MAX_BYTES {
                return Err(Failure::argument(format!("{name} is larger than 1 GiB as text")));
            }
            let rows = losses::read_from(&text, &name).map_err(|error| of_table(&error, &name))?;
            Ok(Self { rows: Arc::new(rows) })
        };
        owned(py, Some(1), read)
    }

    fn __len__(&self) -> usize {
        self.rows.len()
    }

    /// C, where all rows agree.
    #[getter]
    fn num_classes(&self) -> Option<u64> {
        let first = self.rows.first()?.num_classes;
        self.rows.iter().all(|row| row.num_classes == first).then_some(first)
    }
}

/// The error with a row in place of a line.
fn of_table(error: &theory::Error, name: &str) -> Failure {
    let ErrorKind::Data { place, message } = error.kind() else {
        return Failure::Argument(error.to_string());
    };
    // The header is line 1, row 0 line 2.
    let row = place.line.and_then(|line| line.checked_sub(2));
    let at = row.map_or_else(String::new, |row| format!(", row {row}"));
    let column = place.column.as_ref().map_or_else(String::new, |column| format!(", column {column}"));
    Failure::Table { message: format!("{name}{at}{column}: {message}"), row, place: place.clone() }
}

/// A table, and what people read in its place.
type Readable = (Table, Vec<Table>);

/// Groups the rows and makes tables of them; what the command line says beside them are notes.
fn noted<'py>(
    py: Python<'py>,
    losses: &Losses,
    threads: Option<usize>,
    tables: impl FnOnce(&Groups<'_>, &mut Vec<String>) -> Outcome<Readable> + Send + 'static,
) -> PyResult<(Parts<'py>, Vec<String>)> {
    let rows = Arc::clone(&losses.rows);
    let ((table, shown), notes) = owned(py, threads, move |_| {
        let groups = losses::group(&rows)?;
        let mut notes: Vec<String> = groups.note().into_iter().collect();
        Ok((tables(&groups, &mut notes)?, notes))
    })?;
    Ok((parts_shown_as(py, &table, &shown)?, notes))
}

/// `theory bounds`: a row a setting for programs, a row a bound for people.
#[pyfunction]
fn bounds_table<'py>(
    py: Python<'py>,
    losses: &Losses,
    confidence: Option<f64>,
    threads: Option<usize>,
) -> PyResult<(Parts<'py>, Vec<String>)> {
    noted(py, losses, threads, move |groups, notes| {
        let mut table = report::bounds_table(groups, bounds::all());
        let mut shown = vec![report::bounds_by_draws(groups, bounds::all())];
        if let Some(level) = confidence {
            table.add_columns(&report::confident_columns(groups, bounds::all(), level)?);
            shown.push(report::confident_section(groups, bounds::all(), level)?.table);
            note_image_errors(groups, notes);
        }
        Ok((table, shown))
    })
}

fn note_image_errors(groups: &Groups<'_>, notes: &mut Vec<String>) {
    if report::lacks_image_errors(groups) {
        notes.push(
            "no errors over images (columns …_image_se): measure again for statements by the normal approximation; \
             those that assume nothing need none"
                .into(),
        );
    }
}

/// `theory certify`.
#[pyfunction]
fn certify_table<'py>(
    py: Python<'py>,
    losses: &Losses,
    confidence: Option<f64>,
    threads: Option<usize>,
) -> PyResult<(Parts<'py>, Vec<String>)> {
    noted(py, losses, threads, move |groups, notes| {
        let certified = report::certify(groups.rows(), confidence)?;
        if confidence.is_some() {
            note_image_errors(groups, notes);
        }
        notes.extend(certified.notes());
        Ok((certified.table(report::Format::Json), vec![certified.table(report::Format::Table)]))
    })
}

/// `theory explain`.
#[pyfunction]
fn explain_table<'py>(
    py: Python<'py>,
    losses: &Losses,
    keys: Option<Vec<String>>,
    draws: Option<Vec<u64>>,
    threads: Option<usize>,
) -> PyResult<(Parts<'py>, Vec<String>)> {
    let losses = match &draws {
        None => Losses { rows: Arc::clone(&losses.rows) },
        Some(wanted) => {
            let measured: BTreeSet<u64> = losses.rows.iter().map(|row| row.num_draws.get()).collect();
            if let Some(missing) = wanted.iter().find(|n| !measured.contains(n)) {
                let measured = measured.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
                let message = format!("num_draws = {missing} was not measured: the rows have n = {measured}");
                return Err(Failure::Argument(message).into());
            }
            let rows = losses.rows.iter().filter(|row| wanted.contains(&row.num_draws.get())).cloned();
            Losses { rows: Arc::new(rows.collect()) }
        }
    };
    noted(py, &losses, threads, move |groups, notes| {
        let selection = keys.as_ref().map(|keys| Selection::of(keys)).transpose()?;
        notes.extend(report::left_out(groups, selection.as_ref()));
        let table = report::slack_table(groups, selection.as_ref());
        Ok((table.clone(), vec![table]))
    })
}

/// Every bound and every certificate.
#[pyfunction]
fn registry_table(py: Python<'_>) -> PyResult<Parts<'_>> {
    let mut table =
        Table::new(["kind", "key", "name", "standing", "caveat", "conditions", "source", "needs", "formula"]);
    let names = |needs: &[Quantity]| {
        let unique: BTreeSet<Quantity> = needs.iter().copied().collect();
        Cell::Text(unique.into_iter().map(Quantity::name).collect::<Vec<_>>().join(", "))
    };
    for bound in bounds::all() {
        let needs =
            [bound.lower_needs(), bound.upper_needs(), bound.supervised_lower_needs(), bound.other_needs()];
        let (standing, caveat) = (bound.standing().name(), bound.standing().caveat());
        let mut row = vec![Cell::text("bound"), Cell::text(bound.key()), Cell::text(bound.name())];
        row.extend([standing, caveat, bound.conditions(), bound.source()].map(Cell::text));
        row.extend([names(&needs.concat()), Cell::text(bound.formula())]);
        table.push(row);
    }
    for certificate in certificates::all() {
        let (standing, caveat) = (certificate.standing().name(), certificate.standing().caveat());
        let mut row =
            vec![Cell::text("certificate"), Cell::text(certificate.key()), Cell::text(certificate.name())];
        row.extend([standing, caveat, certificate.conditions(), certificate.source()].map(Cell::text));
        row.extend([names(certificate.needs()), Cell::Missing]);
        table.push(row);
    }
    parts(py, &table)
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Losses>()?;
    module.add_function(wrap_pyfunction!(bounds_table, module)?)?;
    module.add_function(wrap_pyfunction!(certify_table, module)?)?;
    module.add_function(wrap_pyfunction!(explain_table, module)?)?;
    module.add_function(wrap_pyfunction!(registry_table, module)?)
}
