//! Settings that ship: one TOML file each, with the grid of its sweep and shortened forms.
//!
//! A file holds the keys of [`Config`], a table `[sweep]` (the axes of a sweep), and tables `[quick]`, `[small]` of
//! other values for shortened forms: `cifar10-quick` is `cifar10` with the values of its table `[quick]`.

use super::{Config, Grid};
use crate::error::{Error, Result};
use std::path::Path;

const FILES: [(&str, &str); 10] = [
    ("digits", include_str!("../../../presets/digits.toml")),
    ("folder", include_str!("../../../presets/folder.toml")),
    ("fashion-mnist", include_str!("../../../presets/fashion-mnist.toml")),
    ("cifar10", include_str!("../../../presets/cifar10.toml")),
    ("cifar100", include_str!("../../../presets/cifar100.toml")),
    ("ag-news-erase", include_str!("../../../presets/ag-news-erase.toml")),
    ("ag-news-replace", include_str!("../../../presets/ag-news-replace.toml")),
    ("hard-negatives", include_str!("../../../presets/hard-negatives.toml")),
    ("imagenet-moco", include_str!("../../../presets/imagenet-moco.toml")),
    ("imagenet-simclr", include_str!("../../../presets/imagenet-simclr.toml")),
];

/// Tables of a preset that give its other forms.
const FORMS: [&str; 2] = ["quick", "small"];

/// Dotted parts of a key of an override; the deepest setting has three.
const MOST_PARTS: usize = 16;

/// The settings of one run, and the axes of a sweep around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Preset {
    /// Settings of one run.
    pub config: Config,
    /// Axes; `None` where the file has none.
    pub grid: Option<Grid>,
}

/// Names of all presets, with their forms.
pub fn names() -> Vec<String> {
    let mut names = Vec::new();
    for (name, text) in FILES {
        names.push(name.to_string());
        let table: toml::Table = text.parse().unwrap_or_default();
        names.extend(
            FORMS.iter().filter(|form| table.contains_key(**form)).map(|form| format!("{name}-{form}")),
        );
    }
    names
}

impl Preset {
    /// The preset of this name, with overrides `key=value` (dotted keys reach into tables, such as `sweep.seeds=[7]`).
    ///
    /// # Errors
    /// There is no preset of this name; an override as for [`from_toml`](Self::from_toml).
    ///
    /// # Examples
    /// ```
    /// use trainer::run::Preset;
    /// let preset = Preset::named("cifar10", &["epochs=3".into()])?;
    /// assert_eq!((preset.config.epochs, preset.config.temperature), (3, 0.5));
    /// assert_eq!(preset.grid.unwrap().draws, [32, 64, 128, 256, 512]);
    /// assert_eq!(Preset::named("cifar10-quick", &[])?.config.encoder.name(), "small");
    /// # Ok::<(), trainer::Error>(())
    /// ```
    pub fn named(name: &str, overrides: &[String]) -> Result<Self> {
        Self::from_table(Self::table(name)?, overrides)
    }

    /// Settings of a TOML file, with overrides.
    ///
    /// # Errors
    /// Bad TOML, an unknown or missing key, a value of the wrong type or out of range.
    pub fn from_toml(text: &str, overrides: &[String]) -> Result<Self> {
        Self::from_table(table(text)?, overrides)
    }

    /// The settings of a file, in its shortened form if it has one and that is wanted, with overrides.
    ///
    /// # Errors
    /// As for [`from_toml`](Self::from_toml), with the name of the file; it cannot be read, or has no `[quick]`.
    pub fn from_file(path: &Path, quick: bool, overrides: &[String]) -> Result<Self> {
        let text = text_at(path)?;
        let table = parse(&text).and_then(|table| {
            let form = quick.then_some("quick");
            in_form(table, form).ok_or_else(|| Error::argument("it has no table [quick]"))
        });
        table.and_then(|table| Self::from_table(table, overrides)).map_err(|error| match error {
            Error::Argument(message) => Error::argument(format!("{}: {message}", path.display())),
            other => other,
        })
    }

    /// The tables of a preset: those of its form in place of its own, the sweep's among them.
    ///
    /// # Errors
    /// There is no preset of this name.
    pub(in crate::run) fn table(name: &str) -> Result<toml::Table> {
        let find = |name: &str| FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
        let (text, form) = match find(name) {
            Some(text) => (Some(text), None),
            None => match name.rsplit_once('-') {
                Some((base, form)) if FORMS.contains(&form) => (find(base), Some(form)),
                _ => (None, None),
            },
        };
        let unknown =
            || Error::argument(format!("there is no preset '{name}'; known: {}", names().join(", ")));
        in_form(parse(text.ok_or_else(unknown)?)?, form).ok_or_else(unknown)
    }

    fn from_table(mut table: toml::Table, overrides: &[String]) -> Result<Self> {
        let dataset =
            |table: &toml::Table| table.get("dataset").and_then(toml::Value::as_str).map(String::from);
        let before = dataset(&table);
        for item in overrides {
            apply_override(&mut table, item)?;
        }
        // How many samples of its own data set a preset takes says nothing about somebody's folder.
        let is_folder = dataset(&table).is_some_and(|name| crate::data::own::is_own(&name));
        let says_how_many = overrides.iter().any(|item| item.trim_start().starts_with("train_samples"));
        if is_folder && dataset(&table) != before && !says_how_many {
            table.remove("train_samples");
        }
        let grid = grid(&mut table)?;
        Ok(Self { config: Config::from_table(table)?, grid })
    }
}

/// The text of a regular file.
pub(in crate::run) fn text_at(path: &Path) -> Result<String> {
    let bytes = measure::input::read(path)?;
    String::from_utf8(bytes).map_err(|_| Error::data(path, "is no text in UTF-8"))
}

/// The tables of a file of settings, without its shortened forms.
pub(in crate::run) fn table(text: &str) -> Result<toml::Table> {
    // Without a form there is always a table.
    Ok(in_form(parse(text)?, None).unwrap_or_default())
}

/// The tables of a file that has no shortened forms.
///
/// # Errors
/// Bad TOML; a form.
pub(in crate::run) fn whole_table(text: &str) -> Result<toml::Table> {
    let table = parse(text)?;
    match FORMS.iter().find(|form| table.contains_key(**form)) {
        Some(form) => Err(Error::argument(format!("a plan has no shortened form: [{form}]"))),
        None => Ok(table),
    }
}

/// Takes the axes of the sweep out of a table.
pub(in crate::run) fn grid(table: &mut toml::Table) -> Result<Option<Grid>> {
    let grid = table.remove("sweep").map(toml::Value::try_into).transpose();
    grid.map_err(|e: toml::de::Error| bad(&format!("[sweep] {}", e.message())))
}

/// The values of a form in place of the others; `None` where there is no such form.
fn in_form(mut table: toml::Table, form: Option<&str>) -> Option<toml::Table> {
    for known in FORMS {
        let values = table.remove(known);
        if form == Some(known) {
            match values {
                Some(toml::Value::Table(values)) => merge(&mut table, values),
                _ => return None,
            }
        }
    }
    Some(table)
}

fn parse(text: &str) -> Result<toml::Table> {
    text.parse().map_err(|e: toml::de::Error| {
        let line = e.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        let place = line.map_or_else(String::new, |line| format!("line {line}: "));
        bad(&format!("{place}{}", e.message()))
    })
}

/// An error in settings, on one line.
pub(in crate::run) fn bad(message: &str) -> Error {
    let lines: Vec<&str> = message.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect();
    let words = lines.join(" ").split(' ').map(plain_type).collect::<Vec<_>>().join(" ");
    Error::argument(format!("settings: {}", words.replace("expected struct a", "expected a")))
}

/// A name of one of Rust's types in words.
fn plain_type(word: &str) -> &str {
    match word {
        "usize" | "u64" | "u32" | "u8" => "a whole number of at least 0",
        "f64" | "f32" => "a number",
        name if name.ends_with("Settings") => "a table",
        other => other,
    }
}

/// Puts `values` in place of those of `table`, tables within tables likewise.
pub(in crate::run) fn merge(table: &mut toml::Table, values: toml::Table) {
    for (key, value) in values {
        match (table.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(values)) => merge(inner, values),
            (_, value) => drop(table.insert(key, value)),
        }
    }
}

pub(in crate::run) fn apply_override(table: &mut toml::Table, item: &str) -> Result<()> {
    let (key, value) = item
        .split_once('=')
        .ok_or_else(|| Error::argument(format!("'{}' is not of the form key=value", shown(item))))?;
    let value = match format!("v = {value}").parse::<toml::Table>() {
        Ok(mut parsed) => parsed.remove("v").unwrap_or_else(|| toml::Value::String(value.to_string())),
        // What begins like a list or a table is meant as one.
        Err(e) if value.trim_start().starts_with(['[', '{']) => {
            return Err(bad(&format!("'{key}={}': {}", shown(value), e.message())));
        }
        // A bare word is a string.
        Err(_) => toml::Value::String(value.to_string()),
    };
    set(table, key.trim(), value)
}

/// Puts a value at a place such as `queue.size`.
///
/// # Errors
/// Something on the way is no table; too many dotted parts.
pub(in crate::run) fn set(table: &mut toml::Table, key: &str, mut value: toml::Value) -> Result<()> {
    let parts: Vec<&str> = key.split('.').collect();
    // Each is a table within a table, and a table is read and dropped from the outside in.
    if parts.len() > MOST_PARTS {
        let (key, parts) = (shown(key), parts.len());
        return Err(Error::argument(format!(
            "'{key}' has {parts} dotted parts; settings have at most {MOST_PARTS}"
        )));
    }
    let (name, path) = parts.split_last().unwrap_or((&"", &[]));
    let mut place = table;
    for part in path {
        let entry = place.entry(*part).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        place = entry
            .as_table_mut()
            .ok_or_else(|| Error::argument(format!("'{key}': {part} is no table of settings")))?;
    }
    // A whole number is a number: `learning_rate=1`.
    if let (Some(toml::Value::Float(_)), toml::Value::Integer(whole)) = (place.get(*name), &value) {
        value = toml::Value::Float(*whole as f64);
    }
    place.insert((*name).to_string(), value);
    Ok(())
}

/// What a message shows of what was typed: 80 characters.
fn shown(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Depth costs stack, here and in every reader behind it.
    #[test]
    fn depth_is_bounded() {
        let error = |item: String| Preset::named("digits", &[item]).unwrap_err().to_string();
        let dots = error(format!("{}a=1", "a.".repeat(60_000)));
        assert!(dots.ends_with("…' has 60001 dotted parts; settings have at most 16"), "{dots}");
        let value = error(format!("epochs={}1{}", "[".repeat(60_000), "]".repeat(60_000)));
        assert!(value.starts_with("settings: 'epochs=[[[") && value.contains("recurs"), "{value}");
        for item in [format!("loss={{{}a=1}}", "a.".repeat(60_000)), format!("a={}", "{a=".repeat(60_000))] {
            let message = error(item);
            assert!(message.len() < 300 && !message.contains('\n'), "{message}");
        }
        let item = "x".repeat(60_000);
        assert!(error(item).len() < 300);
        let text = format!("{}a=1", "a.".repeat(60_000));
        assert!(Preset::from_toml(&text, &[]).is_err());
    }

    #[test]
    fn every_preset_and_form_can_be_read() {
        let names = names();
        assert!(names.len() >= 12 && names.contains(&"ag-news-replace-quick".to_string()), "{names:?}");
        for name in names {
            let preset = Preset::named(&name, &[]).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(preset.grid.is_some(), "{name}");
            // What is saved with a run reads as the same settings.
            assert_eq!(Config::from_toml(&preset.config.to_toml()).unwrap(), preset.config, "{name}");
        }
    }

    #[test]
    fn overrides_reach_the_grid_and_unknown_names_are_refused() {
        let overrides = ["sweep.seeds=[3]".to_string(), "sweep.temperatures=[0.1, 0.5]".to_string()];
        let grid = Preset::named("digits", &overrides).unwrap().grid.unwrap();
        assert_eq!((grid.seeds, grid.temperatures), (vec![3], vec![0.1, 0.5]));
        for (name, item) in
            [("digits-small", "epochs=3"), ("mnist-quick", "epochs=3"), ("digits", "sweep.K=[3]")]
        {
            let message = Preset::named(name, &[item.into()]).unwrap_err().to_string();
            assert!(
                (message.contains(name) || message.contains('K')) && !message.contains('\n'),
                "{message}"
            );
        }
    }
}
