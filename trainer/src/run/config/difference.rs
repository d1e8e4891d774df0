//! In what two tables of settings differ.

use toml::{Table, Value};

/// Every key whose values differ, tables key by key: `learning_rate: 0.1 there, 0.5 here; queue.size: not set there,
/// 4096 here`.
pub(in crate::run) fn difference(there: &Table, here: &Table) -> Option<String> {
    let mut found = Vec::new();
    collect(there, here, "", &mut found);
    (!found.is_empty()).then(|| found.join("; "))
}

fn collect(there: &Table, here: &Table, prefix: &str, found: &mut Vec<String>) {
    let mut keys: Vec<&String> = there.keys().chain(here.keys()).collect();
    keys.sort();
    keys.dedup();
    let empty = Table::new();
    for key in keys {
        let name = format!("{prefix}{key}");
        match (there.get(key), here.get(key)) {
            (Some(Value::Table(a)), Some(Value::Table(b))) => collect(a, b, &(name + "."), found),
            (Some(Value::Table(a)), None) => collect(a, &empty, &(name + "."), found),
            (None, Some(Value::Table(b))) => collect(&empty, b, &(name + "."), found),
            (a, b) if a != b => found.push(format!("{name}: {} there, {} here", shown(a), shown(b))),
            _ => {}
        }
    }
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None => "not set".into(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        text.parse().unwrap()
    }

    #[test]
    fn every_key_that_differs_is_named_with_both_values() {
        for (there, here, expected) in [
            ("a = 1", "a = 1", None),
            ("learning_rate = 0.1", "learning_rate = 0.5", Some("learning_rate: 0.1 there, 0.5 here")),
            ("b = 1\n[t]\nx = 1", "a = 2\nb = 1\n[t]\nx = 1", Some("a: not set there, 2 here")),
            ("[t]\nx = 1", "[t]\nx = 2", Some("t.x: 1 there, 2 here")),
            ("a = 'u'\n[q]\nsize = 3", "a = 'v'", Some("a: u there, v here; q.size: 3 there, not set here")),
            ("l = [1]", "l = [1, 2]", Some("l: [1] there, [1, 2] here")),
            ("a = 1", "a = 1.0", Some("a: 1 there, 1.0 here")),
        ] {
            assert_eq!(difference(&table(there), &table(here)).as_deref(), expected);
        }
    }
}
