//! Rows of one setting: those that agree in every identifying column and differ by seed.
//!
//! Grouping is by hash, in time linear in the number of rows. Within a group a seed stands once: a row that repeats
//! another counts once, and one that contradicts another is refused, since their mean would pass for one over seeds.

use super::csv_file::cells;
use super::{COLUMNS, Column, LossComponents, Value};
use crate::error::{Error, Place, Result};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The columns that order groups and headings before all others.
const LEADING: [&str; 7] =
    ["dataset", "encoder", "loss", "num_draws", "temperature", "train_negatives", "selection"];

/// Differs wherever any setting does: shown only where nothing else tells two groups apart.
const HASH: &[&str] = &["settings_id"];

/// What may move with n in a sweep over batch sizes.
const MOVES_WITH_DRAWS: &[&str] = &["settings_id", "train_negatives", "batch_size", "num_batches"];

/// Rows of one setting, one per seed.
#[derive(Debug, Clone)]
pub struct Group<'a> {
    /// The rows, in the order in which they were given; at least one.
    pub rows: Vec<&'a LossComponents>,
}

impl<'a> Group<'a> {
    /// A row that says what the setting is.
    pub fn setting(&self) -> &'a LossComponents {
        self.rows[0]
    }
}

/// The groups of a set of rows, ordered by data set, encoder, loss, n, t, K of the training loss, selection, and then
/// by every other identifying column.
#[derive(Debug, Clone)]
pub struct Groups<'a> {
    groups: Vec<Group<'a>>,
    rows: Vec<&'a LossComponents>,
    repeated: Vec<(&'a LossComponents, &'a LossComponents)>,
}

impl<'a> std::ops::Deref for Groups<'a> {
    type Target = [Group<'a>];

    fn deref(&self) -> &Self::Target {
        &self.groups
    }
}

/// Groups rows by every identifying column.
///
/// # Errors
/// Two rows of one setting and one seed, or both without a seed, that differ in more than `run_id`; a row without a seed
/// beside one with a seed: the message names both.
///
/// # Examples
/// ```
/// use theory::losses::{group, read_from};
/// let header = "head,seed,num_classes,num_draws,temperature,sampling,info_nce\n";
/// let rest = "10,32,0.5,with_replacement,2.5\n";
/// let text = format!("{header}linear,7,{rest}linear,8,{rest}mlp,7,{rest}");
/// let rows = read_from(&text, "losses.csv")?;
/// let groups = group(&rows)?;
/// assert_eq!(groups.iter().map(|group| group.rows.len()).collect::<Vec<_>>(), [2, 1]);
/// assert_eq!(groups.differing().iter().map(|column| column.name).collect::<Vec<_>>(), ["head"]);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn group(rows: &[LossComponents]) -> Result<Groups<'_>> {
    let columns = identifying();
    let mut places: HashMap<Vec<Value<'_>>, usize> = HashMap::new();
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut seeds: HashMap<(usize, Option<u64>), &LossComponents> = HashMap::new();
    let (mut unique, mut repeated) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows {
        let place = *places.entry(key(&columns, row)).or_insert_with(|| {
            groups.push(Group { rows: Vec::new() });
            groups.len() - 1
        });
        let first = groups[place].rows.first().copied();
        if let Some(first) = first.filter(|first| first.run.seed.is_some() != row.run.seed.is_some()) {
            return Err(contradiction(first, row, &seeds_of(first, row)));
        }
        match seeds.entry((place, row.run.seed)) {
            Entry::Vacant(entry) => {
                entry.insert(row);
                groups[place].rows.push(row);
                unique.push(row);
            }
            Entry::Occupied(entry) => match difference(entry.get(), row) {
                None => repeated.push((*entry.get(), row)),
                Some(difference) => return Err(contradiction(entry.get(), row, &difference)),
            },
        }
    }
    groups.sort_by(|a, b| {
        let orders = columns.iter().map(|c| (c.value)(a.setting()).cmp(&(c.value)(b.setting())));
        orders.into_iter().find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    });
    Ok(Groups { groups, rows: unique, repeated })
}

impl<'a> Groups<'a> {
    /// The rows of all groups, in the order in which they were given; a repeated one stands once.
    pub fn rows(&self) -> &[&'a LossComponents] {
        &self.rows
    }

    /// Which rows stand twice, in one line; `None` where none does.
    pub fn note(&self) -> Option<String> {
        let (first, second) = self.repeated.first()?;
        let (count, verb) = match self.repeated.len() {
            1 => ("1 row repeats another".to_string(), "counts"),
            many => (format!("{many} rows repeat others"), "count"),
        };
        Some(format!("{count} and {verb} once: {} is {} again", named(second), named(first)))
    }

    /// The identifying columns beside n that differ between groups; without the hash of the settings where the others
    /// tell all groups apart.
    pub fn differing(&self) -> Vec<&'static Column> {
        self.without(HASH)
    }

    /// The same without columns that move with n in a sweep, as far as n and the others still tell all groups apart.
    pub fn differing_beside_draws(&self) -> Vec<&'static Column> {
        self.without(MOVES_WITH_DRAWS)
    }

    /// Whether any setting has several seeds.
    pub fn has_several_seeds(&self) -> bool {
        self.groups.iter().any(|group| group.rows.len() > 1)
    }

    /// The columns that rows need beside `run_id` and n to be told apart.
    pub fn differing_beside_runs(&self) -> Vec<&'static Column> {
        let seed = COLUMNS.iter().filter(|column| column.name == "seed");
        let columns: Vec<_> = seed.chain(identifying()).collect();
        let drops: Vec<_> = columns.iter().rev().map(|column| column.name).collect();
        telling(&self.rows, &["run_id", "num_draws"], columns, &drops)
    }

    fn without(&self, drops: &[&str]) -> Vec<&'static Column> {
        let settings: Vec<_> = self.groups.iter().map(Group::setting).collect();
        telling(&settings, &["num_draws"], identifying(), drops)
    }
}

/// The columns that tell these rows apart, one of each run, beside n and seed.
pub(crate) fn differing_between_runs(rows: &[&LossComponents]) -> Vec<&'static Column> {
    telling(rows, &["num_draws", "seed"], identifying(), MOVES_WITH_DRAWS)
}

/// The identifying columns, in the order of groups and headings.
fn identifying() -> Vec<&'static Column> {
    let is_leading = |column: &&Column| LEADING.contains(&column.name);
    let others = COLUMNS.iter().filter(|column| column.role.identifies() && !is_leading(column));
    LEADING.iter().filter_map(|name| Column::find(name)).chain(others).collect()
}

fn key<'a>(columns: &[&Column], row: &'a LossComponents) -> Vec<Value<'a>> {
    columns.iter().map(|column| (column.value)(row)).collect()
}

/// Those of `columns`, and none of `always`, that differ between rows; less each of `drops`, in this order, without
/// which the rest and `always` still tell all rows apart.
fn telling(
    rows: &[&LossComponents],
    always: &[&str],
    mut columns: Vec<&'static Column>,
    drops: &[&str],
) -> Vec<&'static Column> {
    let value = |column: &Column, row| (column.value)(row);
    columns
        .retain(|c| !always.contains(&c.name) && rows.iter().any(|row| value(c, row) != value(c, rows[0])));
    let always: Vec<_> = always.iter().filter_map(|name| Column::find(name)).collect();
    for name in drops {
        let Some(place) = columns.iter().position(|column| column.name == *name) else { continue };
        let mut rest = [&always[..], &columns[..]].concat();
        rest.remove(always.len() + place);
        let mut seen = HashSet::new();
        if rows.iter().all(|row| seen.insert(key(&rest, row))) {
            columns.remove(place);
        }
    }
    columns
}

/// A column in which two rows differ, and both cells; their names do not count.
fn difference(a: &LossComponents, b: &LossComponents) -> Option<[String; 3]> {
    if a == b {
        return None;
    }
    let of = |row| cells(row).into_iter().filter(|(name, _)| name != "run_id").collect::<BTreeMap<_, _>>();
    let (a, b) = (of(a), of(b));
    let name = a.keys().chain(b.keys()).find(|name| a.get(*name) != b.get(*name))?;
    let cell = |of: &BTreeMap<String, String>| of.get(name).cloned().unwrap_or_else(|| "nothing".into());
    Some([name.clone(), cell(&a), cell(&b)])
}

/// Two rows of one setting of which one has no seed.
fn seeds_of(a: &LossComponents, b: &LossComponents) -> [String; 3] {
    let of = |row: &LossComponents| row.run.seed.map_or_else(|| "nothing".into(), |seed| seed.to_string());
    ["seed".into(), of(a), of(b)]
}

fn contradiction(a: &LossComponents, b: &LossComponents, [column, there, here]: &[String; 3]) -> Error {
    let (seed, advice) = match b.run.seed.filter(|_| a.run.seed == b.run.seed) {
        Some(seed) => (format!("seed {seed}"), "a column that tells them apart"),
        None => (
            "no seed".into(),
            "seeds: a column seed in losses.csv, a folder seed-N in the path of a published JSON file",
        ),
    };
    let message = format!(
        "the setting and {seed} of {}, but {column} is {there} there and {here} here: two such rows need {advice}",
        named(a)
    );
    match b.origin.place() {
        Some(place) => Error::data(Place { column: Some(column.clone()), ..place }, message),
        None => Error::argument(format!("{}: {message}", named(b))),
    }
}

/// How a row is known: by its place, or by the name of its run.
fn named(row: &LossComponents) -> String {
    row.origin
        .place()
        .map_or_else(|| format!("the row of run '{}'", row.run.run_id), |place| place.to_string())
}
