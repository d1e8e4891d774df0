//! Each formula, evaluated as it is written, has the value that the code computes.

use super::*;
use crate::losses::Estimate;
use crate::{NumDraws, collision, coverage};
use std::collections::{BTreeMap, BTreeSet};

/// Names and what they stand for.
type Names = Vec<(String, f64)>;

/// A formula that is read from left to right.
struct Reader<'a> {
    rest: &'a str,
    names: &'a Names,
    /// Of each minimum and maximum: which argument it is, and how many there are.
    chosen: Vec<(usize, usize)>,
}

impl Reader<'_> {
    fn eats(&mut self, text: &str) -> bool {
        let found = self.rest.trim_start().strip_prefix(text);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn sum(&mut self) -> f64 {
        let mut value = if self.eats("−") { -self.product() } else { self.product() };
        loop {
            if self.eats("+") {
                value += self.product();
            } else if self.eats("−") {
                value -= self.product();
            } else {
                return value;
            }
        }
    }

    fn product(&mut self) -> f64 {
        let mut value = self.power().unwrap_or_else(|| panic!("no value at {:?}", self.rest));
        loop {
            if self.eats("/") {
                value /= self.power().unwrap_or_else(|| panic!("no divisor at {:?}", self.rest));
            } else if let Some(factor) = self.power() {
                value *= factor;
            } else {
                return value;
            }
        }
    }

    fn power(&mut self) -> Option<f64> {
        let base = self.primary()?;
        Some(if self.eats("^") { base.powf(self.primary().unwrap()) } else { base })
    }

    fn until(&mut self, end: &str) -> f64 {
        let value = self.sum();
        assert!(self.eats(end), "{end} is missing at {:?}", self.rest);
        value
    }

    fn primary(&mut self) -> Option<f64> {
        for (open, close) in [("(", ")"), ("{", "}")] {
            if self.eats(open) {
                return Some(self.until(close));
            }
        }
        for (open, least) in [("min{", true), ("max{", false)] {
            if self.eats(open) {
                let (mut value, mut choice, mut arguments) = (self.sum(), 0, 1);
                while self.eats(",") {
                    let next = self.sum();
                    if if least { next < value } else { next > value } {
                        (value, choice) = (next, arguments);
                    }
                    arguments += 1;
                }
                assert!(self.eats("}"), "{:?}", self.rest);
                self.chosen.push((choice, arguments));
                return Some(value);
            }
        }
        // The longest name that fits.
        let text = self.rest.trim_start();
        let fits = self.names.iter().filter(|(name, _)| text.starts_with(name.as_str()));
        if let Some((name, value)) = fits.max_by_key(|(name, _)| name.len()) {
            assert!(self.eats(name));
            return Some(*value);
        }
        type Function = fn(f64) -> f64;
        let functions: [(&str, Function); 3] = [("ln", f64::ln), ("cosh", f64::cosh), ("√", f64::sqrt)];
        for (name, function) in functions {
            if self.eats(name) {
                return Some(function(self.power()?));
            }
        }
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let value = text[..digits].parse().ok()?;
        self.rest = &text[digits..];
        Some(value)
    }
}

/// The value, and what [`Reader::chosen`] is after reading.
fn value_and_choices(text: &str, names: &Names) -> (f64, Vec<(usize, usize)>) {
    let mut reader = Reader { rest: text, names, chosen: Vec::new() };
    let value = reader.sum();
    assert!(reader.rest.trim().is_empty(), "not read of {text}: {:?}", reader.rest);
    (value, reader.chosen)
}

fn value(text: &str, names: &Names) -> f64 {
    value_and_choices(text, names).0
}

/// The statement, and the definitions after it.
fn parts(formula: &str) -> Vec<&str> {
    let (mut depth, mut from, mut parts) = (0, 0, Vec::new());
    for (place, letter) in formula.char_indices() {
        match letter {
            '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&formula[from..place]);
                from = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&formula[from..]);
    parts
}

/// What is bounded, with the relation; empty where the formula is no bound.
fn left(bound: &dyn Bound) -> &'static str {
    match bound.key() {
        "master" => "L_Info ≥ ",
        "nozawa_sato_by_class" => "E[l_sup | cover] ≤ ",
        "arora_pairs" => "L_pair ≤ ",
        "collision_term" => "loss of the collided negatives ≤ ",
        "nscl_gap" => "L_DCL − L_NSCL ≤ ",
        "nscl_gap_measured" => "L_DCL − L_NSCL = ",
        "mutual_information" => "I(view 1; view 2) ≥ ",
        "mutual_information_cap" => "any certificate of I(view 1; view 2) ≤ ",
        _ if matches!(bound.standing(), Standing::AsPublished(_)) => "",
        _ => "L_sup ≤ ",
    }
}

/// A row with a value of its own for every quantity, and what each name of a formula stands for there.
fn row(counts: Vec<u64>, draws: u64, temperature: f64, salt: f64, variance: f64) -> (LossComponents, Names) {
    let classes = counts.len() as u64;
    let n = NumDraws::new(draws).unwrap();
    let mut row = LossComponents::new(classes, n, temperature, Sampling::WithReplacement).unwrap();
    let total: u64 = counts.iter().sum();
    row.class_counts = Some(counts.clone());
    row.class_sup_loss = Some(vec![0.4; counts.len()]);
    let mut names: Names = Vec::new();
    let mut measure = |quantity, value: f64, name: &str| {
        row.set(quantity, Estimate::exact(value)).unwrap();
        names.push((name.into(), value));
    };
    measure(Quantity::InfoNce, 3.1 + salt, "L_Info");
    measure(Quantity::Gap, -0.21 - salt, "d(f)");
    measure(Quantity::JointSubLoss, 0.13 + salt, "E[1{not cover} l_sub]");
    measure(Quantity::Coverage, 0.41 + salt, "υ̂");
    measure(Quantity::Collision, 0.73 + 0.1 * salt, "τ̂");
    measure(Quantity::MasterTerm, 2.3 + salt, "E ln(1 + Col + A)");
    measure(Quantity::LogitVariance, variance, "v");
    measure(Quantity::WithinClassVariance, 0.19 + salt, "V");
    measure(Quantity::WithinClassDeviation, 0.29 + salt, "σ");
    measure(Quantity::CollisionSpread, 0.17 + salt, "β̂");
    measure(Quantity::CollisionUpper, 1.7 + salt, "E[ln(1 + Col) + max_k |s_k − s_+|/t]");
    measure(Quantity::NsclGap, 0.9 + salt, "E ln(1 + R)");
    measure(Quantity::CurlJointSup, 0.05, "unused");
    measure(Quantity::CurlJoint, 0.12 + salt, "unused");
    let law = row.sampling;
    let prior = row.prior().unwrap();
    let k = n.negatives();
    let collisions = collision::expected_ln1p(&prior, law, k).unwrap();
    row.set(Quantity::Log1pCollisions, Estimate::exact(collisions)).unwrap();
    let shares: Vec<f64> = counts.iter().map(|&count| count as f64 / total as f64).collect();
    let least = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
    let largest = counts.iter().max().unwrap();
    let alone = coverage::given_anchor_alone(&prior, law, n).unwrap();
    let anchors = coverage::given_anchor(&prior, law, n).unwrap();
    let power = k.get() as f64;
    let pairs =
        (0..counts.len()).flat_map(|c| (0..counts.len()).map(move |j| (c, j))).filter(|(c, j)| c != j);
    let shown = |(c, j): (usize, usize)| {
        (1.0 - shares[c]).powf(power) - (1.0 - shares[c] - shares[j]).max(0.0).powf(power)
    };
    for (name, value) in [
        ("E[1{Col = 0, not cover} l_sub]", 0.12 + salt - 0.05),
        ("E ln(1 + Col)", collisions),
        ("min_c P(Col = 0, cover | c)", least(&mut alone.iter().map(|p| p.value()))),
        ("min_c υ_c", least(&mut anchors.iter().map(|p| p.value()))),
        ("min_{c≠j} ((1 − π_c)^K − (1 − π_c − π_j)^K)", least(&mut pairs.map(shown))),
        ("υ_{K+1}", coverage::probability(&prior, law, n).unwrap().value()),
        ("τ_K", collision::probability(&prior, law, k).unwrap().value()),
        ("τ_1", 1.0 / classes as f64),
        ("π_min", least(&mut shares.iter().copied())),
        ("π_max", *largest as f64 / total as f64),
        ("H_{C−1}", (1..classes).map(|i| 1.0 / i as f64).sum()),
        ("S(e^{2/t})", {
            let h = (2.0 / temperature).exp();
            (h - 1.0) * h.powf(1.0 / (h - 1.0)) / (std::f64::consts::E * h.ln())
        }),
        ("G(t)", variance_constant(temperature)),
        ("C", classes as f64),
        ("K", power),
        ("N", total as f64),
        ("n_max", *largest as f64),
        ("t", temperature),
        ("e", std::f64::consts::E),
        ("½", 0.5),
    ] {
        names.push((name.into(), value));
    }
    (row, names)
}

#[test]
fn each_formula_has_the_value_of_the_code() {
    let mut checked = BTreeSet::new();
    // Of each minimum and maximum of a formula: how many arguments it has, and which of them it was in some row.
    let mut choices: BTreeMap<(&str, usize), (usize, BTreeSet<usize>)> = BTreeMap::new();
    for (counts, draws, t, salt, variance) in [
        (vec![6; 4], 12, 0.5, 0.0, 0.37),
        (vec![9; 3], 40, 0.9, 0.031, 0.401),
        (vec![5; 5], 9, 1.7, 0.07, 0.44),
        (vec![3, 8, 5], 15, 0.7, 0.043, 0.413),
        // ln S(e^{2/t}) is the smallest where there are few negatives.
        (vec![7; 2], 2, 0.5, 0.02, 5.0),
    ] {
        let (row, names) = row(counts, draws, t, salt, variance);
        for bound in all() {
            let (outcome, relation) = if !bound.upper_needs().is_empty() {
                (bound.upper_bound(&row), "≤")
            } else if let Some(statement) = bound.other(&row) {
                (statement.outcome, statement.what.rsplit(' ').next().unwrap())
            } else {
                (bound.lower_bound(&row), "≥")
            };
            let Some(computed) = outcome.value() else {
                assert!(outcome.reason().contains("equally frequent"), "{}: {outcome:?}", bound.key());
                continue;
            };
            checked.insert(bound.key());
            let parts = parts(bound.formula());
            let mut names = names.clone();
            if bound.key() == "inverted" {
                let [least, info_nce] = inverted(&parts, &mut names, &row, computed);
                assert!((least - info_nce).abs() < 1e-9 * info_nce, "{least} {info_nce}");
                continue;
            }
            let mut chosen = Vec::new();
            let mut evaluate = |text: &str, names: &Names| {
                let (value, choices) = value_and_choices(text, names);
                chosen.extend(choices);
                value
            };
            for definition in &parts[1..] {
                let (name, text) = definition.trim().split_once(" = ").unwrap();
                let found = evaluate(text, &names);
                names.push((name.into(), found));
            }
            let left = left(*bound);
            assert!(left.is_empty() || left.trim_end().ends_with(relation), "{}: {left}", bound.key());
            let right = parts[0].strip_prefix(left);
            let right = right.unwrap_or_else(|| panic!("{left} does not begin {}", parts[0]));
            let written = evaluate(right, &names);
            let accurate = (written - computed).abs() < 1e-9 * computed.abs().max(1.0);
            assert!(accurate, "{}: {written} written, {computed} computed", bound.key());
            for (place, (choice, arguments)) in chosen.into_iter().enumerate() {
                let (known, seen) = choices.entry((bound.key(), place)).or_default();
                *known = arguments;
                seen.insert(choice);
            }
        }
    }
    assert_eq!(checked.len(), all().len(), "{checked:?}");
    assert!(choices.values().all(|(arguments, seen)| seen.len() == *arguments), "{choices:?}");
    let with_choices: Vec<&str> = choices.keys().map(|(key, _)| *key).collect();
    assert_eq!(with_choices, ["ash", "specht", "specht_measured", "specht_positive", "wang"]);
}

/// Both sides of the formula of `inverted`, where L_sup is its bound.
fn inverted(parts: &[&str], names: &mut Names, row: &LossComponents, supervised: f64) -> [f64; 2] {
    let (inner, right) = parts[0].strip_prefix("E[").unwrap().split_once("] ≤ ").unwrap();
    let (_, q) = parts[1].split_once(" = ").unwrap();
    names.push(("L_sup".into(), supervised));
    let prior = row.prior().unwrap();
    let law = collision::window(&prior, row.sampling, row.num_draws.negatives()).unwrap();
    let known = names.clone();
    let term = |(m, p): (u64, f64)| {
        let mut names = known.clone();
        names.push(("Col".into(), m as f64));
        let q = value(q, &names);
        names.push(("q".into(), q));
        p * value(inner, &names)
    };
    [law.into_iter().map(term).sum(), value(right, &known)]
}
