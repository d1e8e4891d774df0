//! The table of works: who asked what, and what the studies measured of it.

use super::{Found, over_seeds, shown, words};
use measure::difficulty::Difficulty;
use theory::bounds;
use theory::losses::{Group, Groups, LossComponents, Quantity, group};
use theory::report::{Table, mean_and_deviation};

/// One line a work.
pub(super) fn table(found: &Found) -> theory::Result<Table> {
    let (bounds, fixed_batches) = (&group(&found.bounds.rows)?, &group(&found.fixed_batch.rows)?);
    let mut table = Table::new(["work", "question", "measured here", "result", "command"]);
    let mut push = |work: &str, question: &str, measured: &str, result: String, command: &str| {
        table.push([work, question, measured, &result, command].map(|text| words(text.to_string())).to_vec());
    };
    let [sweep, fixed, selections, losses] = found.sweeps().map(|study| study.command.as_str());
    let ([equal, unequal], difficulty) = (&found.population, found.difficulty.as_ref());
    for (work, question, key) in BOUNDS {
        push(work, question, &format!("the bound `{key}`"), bound(bounds, key), sweep);
    }
    push(
        "this project",
        "Which proved upper bound of L_sup is the sharpest here?",
        "all bounds that are theorems",
        sharpest(bounds),
        sweep,
    );
    push(
        "Wang & Isola 2020",
        "Does the loss align views and spread features?",
        "alignment and uniformity",
        against_draws(bounds, &[("alignment", Quantity::Alignment), ("uniformity", Quantity::Uniformity)]),
        sweep,
    );
    push(
        "Awasthi, Dikkala & Kamath 2022",
        "Do many negatives spoil the minimiser? Equal classes",
        "free class vectors (no data; seed 7) trained on the population loss, beside the simplex",
        population(&equal.rows),
        &equal.command,
    );
    push(
        "Awasthi, Dikkala & Kamath 2022",
        "The same with class frequencies from 1 to 1/100",
        "the same, beside the optimum of the convex program",
        population(&unequal.rows),
        &unequal.command,
    );
    push(
        "Awasthi, Dikkala & Kamath 2022",
        "Do many negatives hurt with finite data?",
        "accuracy with K sampled negatives in batches of 256",
        fixed_batch(fixed_batches),
        fixed,
    );
    for (question, selection) in [
        ("Are the hardest 5 % sufficient?", ["hardest:5%", "random:5%"]),
        ("Are they necessary?", ["easiest:95%", "random:95%"]),
        ("Are the very hardest harmful?", ["drop-hardest:1%", "all"]),
    ] {
        let measured = "accuracies with a queue: mean classifier (head) / linear (encoder)";
        push(
            "Cai, Frankle, Schwab & Morcos 2020",
            question,
            measured,
            selected(found, selection),
            selections,
        );
    }
    push(
        "Cai, Frankle, Schwab & Morcos 2020",
        "Are hard negatives of the same class, and hard for every query?",
        "ranks of all negatives of every query, one run: n = 64, seed 7",
        difficulty
            .map_or_else(|| "not measured: the run failed".into(), |analysis| hardness(&analysis.found)),
        difficulty.map_or("", |analysis| &analysis.command),
    );
    for (work, question, loss) in LOSSES {
        push(
            work,
            question,
            "accuracies, n = 64: mean classifier (head) / linear (encoder)",
            compared(found, loss),
            losses,
        );
    }
    Ok(table)
}

/// Work, question and key of each bound that has a line.
const BOUNDS: [(&str, &str, &str); 8] = [
    (
        "Arora, Khandeparkar, Khodak, Plevrakis & Saunshi 2019, adapted by Nozawa & Sato 2021",
        "Does the contrastive loss bound the supervised loss?",
        "curl",
    ),
    (
        "Arora, Khandeparkar, Khodak, Plevrakis & Saunshi 2019",
        "How well are pairs of classes told apart, at least?",
        "arora_pairs",
    ),
    ("Ash, Goel, Krishnamurthy & Misra 2022", "How does the bound move with K?", "ash"),
    ("Nozawa & Sato 2021", "What if the draws cover all classes?", "nozawa_sato"),
    ("Bao, Nagano & Nozawa 2022", "Is there a bound that does not grow with K?", "bao"),
    ("Wang, Zhang, Wang, Yang & Lin 2022", "What does the spread within classes cost?", "wang"),
    ("van Elst & Ghoshdastidar 2024", "And with distances in place of their squares?", "van_elst"),
    (
        "van den Oord, Li & Vinyals 2018",
        "How much does a view tell of its image, at least?",
        "mutual_information",
    ),
];

/// Work, question and name of each loss beside NT-Xent.
const LOSSES: [(&str, &str, &str); 8] = [
    ("Chuang, Robinson, Lin, Torralba & Jegelka 2020", "Do corrected same-class negatives help?", "debiased"),
    ("Robinson, Chuang, Sra & Jegelka 2021", "Do negatives weighted by hardness help?", "hard"),
    (
        "Yeh, Hong, Hsu, Liu, Chen & LeCun 2022 (DCL)",
        "Is the positive better left out of the denominator?",
        "dcl",
    ),
    ("Yeh, Hong, Hsu, Liu, Chen & LeCun 2022 (DCLW)", "And with weighted positives?", "dclw"),
    (
        "Chen, Gan, Li, Guo, Chen, Gao, Chung, Xu, Zeng, Lu, Li, Carin & Tao 2021 (FlatNCE)",
        "And with a loss whose value stays that of InfoNCE? (its gradient is DCL's)",
        "flat_nce",
    ),
    ("Zhu, Huang, Li, Zhang & Sun 2020 (EqCo)", "Can 126 negatives be weighed as 65,536?", "eq_co"),
    ("HaoChen, Wei, Gaidon & Ma 2021", "Does a spectral loss do without a logarithm?", "spectral"),
    (
        "Luthra, Yang & Galanti 2025 (NSCL)",
        "What do same-class negatives cost? An oracle leaves them out",
        "nscl",
    ),
];

fn values(group: &Group<'_>, measure: Quantity) -> Option<String> {
    let values: Option<Vec<f64>> = group.rows.iter().map(|row| row.get(measure)).collect();
    values.map(|values| over_seeds(&values))
}

/// `n = 16: 1.2, L_sup 1.1; …`
fn bound(groups: &Groups<'_>, key: &str) -> String {
    let Some(bound) = bounds::find(key) else { return String::new() };
    let one = |group: &Group<'_>| {
        let n = group.rows[0].num_draws;
        // A bound of L_sup, or of something else.
        let (about, outcomes): (String, Vec<bounds::Outcome>) = match bound.other(group.rows[0]) {
            Some(statement) => {
                let of = |row: &&LossComponents| bound.other(row).map(|statement| statement.outcome);
                (statement.what.into(), group.rows.iter().filter_map(of).collect())
            }
            None => {
                let supervised = values(group, Quantity::FullSupLoss).unwrap_or_default();
                let of = |row: &&LossComponents| bound.upper_bound(row);
                (format!("L_sup = {supervised} ≤"), group.rows.iter().map(of).collect())
            }
        };
        let numbers: Option<Vec<f64>> = outcomes.iter().map(bounds::Outcome::value).collect();
        let reason =
            || outcomes.iter().map(|o| o.reason().to_string()).find(|r| !r.is_empty()).unwrap_or_default();
        let value = numbers.map_or_else(reason, |numbers| over_seeds(&numbers));
        format!("n = {n}: {about} {value}")
    };
    let standing = match bound.standing() {
        bounds::Standing::Theorem => String::new(),
        standing => format!(" ({})", standing.name()),
    };
    groups.iter().map(one).collect::<Vec<_>>().join("; ") + &standing
}

/// The theorem with the least upper bound of L_sup at each n, on average over seeds.
fn sharpest(groups: &Groups<'_>) -> String {
    let one = |group: &Group<'_>| {
        let proved = bounds::all().iter().filter(|bound| bound.standing() == bounds::Standing::Theorem);
        let mean = |bound: &&'static dyn bounds::Bound| {
            let values: Option<Vec<f64>> =
                group.rows.iter().map(|row| bound.upper_bound(row).value()).collect();
            Some((mean_and_deviation(&values?).mean, bound.key()))
        };
        let best = proved.filter_map(mean).min_by(|a, b| a.0.total_cmp(&b.0));
        let best = best.map_or_else(|| "none".into(), |(value, key)| format!("`{key}` {}", shown(value)));
        let supervised = values(group, Quantity::FullSupLoss).unwrap_or_default();
        format!("n = {}: {best}, L_sup {supervised}", group.rows[0].num_draws)
    };
    groups.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn against_draws(groups: &Groups<'_>, measures: &[(&str, Quantity)]) -> String {
    let one = |group: &Group<'_>| {
        let parts = measures
            .iter()
            .filter_map(|(name, measure)| Some(format!("{name} {}", values(group, *measure)?)));
        format!("n = {}: {}", group.rows[0].num_draws, parts.collect::<Vec<_>>().join(", "))
    };
    groups.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn population(rows: &[crate::population::Row]) -> String {
    // What the solver may be off itself counts.
    let off = |row: &crate::population::Row| (row.trained.loss - row.optimum.loss).abs() + row.optimum.gap;
    let excess = rows.iter().map(off).fold(0.0, f64::max);
    let one = |row: &crate::population::Row| {
        let classified = row.trained.classified;
        format!(
            "K = {}: accuracy {}, L_sup {}",
            row.num_negatives,
            shown(classified.accuracy),
            shown(classified.supervised_loss)
        )
    };
    let ends = [rows.first(), rows.last()].into_iter().flatten().map(one).collect::<Vec<_>>().join("; ");
    format!("{ends}; at most {} nats from the optimum at {} values of K", shown(excess), rows.len())
}

fn fixed_batch(groups: &Groups<'_>) -> String {
    let one = |group: &Group<'_>| {
        let k = group.rows[0].num_draws.get() - 1;
        let [mean, linear] = [Quantity::MeanAccuracy, Quantity::LinearAccuracyEncoder]
            .map(|m| values(group, m).unwrap_or_default());
        format!("K = {k}: mean classifier {mean}, linear (encoder) {linear}")
    };
    groups.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Accuracies of rows of a sweep that `which` picks: mean classifier on head features, linear on encoder features.
fn accuracy(rows: &[LossComponents], which: impl Fn(&LossComponents) -> bool) -> String {
    let of = |measure: Quantity| {
        let values: Option<Vec<f64>> =
            rows.iter().filter(|row| which(row)).map(|row| row.get(measure)).collect();
        values
            .filter(|values| !values.is_empty())
            .map_or_else(|| "not measured".into(), |values| over_seeds(&values))
    };
    format!("{} / {}", of(Quantity::MeanAccuracy), of(Quantity::LinearAccuracyEncoder))
}

fn selected(found: &Found, names: [&str; 2]) -> String {
    let of = |name: &str| {
        let accuracy = accuracy(&found.selections.rows, |row| row.selection().unwrap_or("all") == name);
        format!("{name} {accuracy}")
    };
    let mut parts = vec![of("all"), of(names[0])];
    if names[1] != "all" {
        parts.push(of(names[1]));
    }
    parts.join("; ")
}

fn hardness(d: &Difficulty) -> String {
    let names = ["0-5", "5-100"];
    let bins: Vec<String> = d
        .bins
        .iter()
        .filter(|row| names.contains(&row.bin.to_string().as_str()))
        .map(|row| {
            format!(
                "{} %: {:.1} % of the query's class (chance {:.1} %)",
                row.bin,
                100.0 * row.same_class,
                100.0 * row.chance
            )
        })
        .collect();
    format!(
        "hardest {}; variance of mean percentiles {} times that of exchangeable ranks (random directions: 1 ± {})",
        bins.join("; "),
        shown(d.consistency.ratio),
        shown(d.consistency.ratio_deviation)
    )
}

fn compared(found: &Found, loss: &str) -> String {
    let of = |name: &str| accuracy(&found.losses.rows, |row| row.run.loss == name);
    format!("{} (NT-Xent {})", of(loss), of("nt_xent"))
}
