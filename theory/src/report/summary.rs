//! What measured losses say on one screen: sentences, and the proved bounds that say something, one column an n.

use super::bounds::{Block, Side, blocks, bound_cell, sided};
use super::format::{Screen, wrap};
use super::{Cell, Table, setting_names, statistic};
use crate::bounds::{self, Standing};
use crate::losses::{Group, Groups, Quantity};

/// The most characters of a line: a longer one is hard to read.
const WIDEST: usize = 100;

/// Numbers of draws that are shown; of more the first, the last, and some between.
const MOST_DRAWS: usize = 8;

/// Settings that are shown.
const MOST_SETTINGS: usize = 8;

/// What measured losses say, for people.
#[derive(Debug, Clone)]
pub struct Summary {
    sentences: Vec<String>,
    table: Table,
    left_out: Vec<String>,
}

/// A proved upper bound of L_sup that is below ln C at some n.
struct Informative<'a> {
    key: &'static str,
    cells: Vec<Option<Cell>>,
    least: f64,
    least_at: u64,
    setting: &'a Block<'a>,
}

/// What these measurements say: how large L_sup is, which proved upper bound of it is the least, and those below ln C.
///
/// # Examples
/// ```
/// use theory::losses::{self, LossComponents};
/// use theory::report::{self, Screen};
/// let text = "num_classes,num_draws,temperature,sampling,full_sup_loss\n4,8,0.5,with_replacement,1.125\n";
/// let rows = losses::read_from(text, "losses.csv")?;
/// let summary = report::summary(&losses::group(&rows)?).to_screen(Screen::FILE, "--all");
/// assert!(summary.contains("L_sup") && summary.contains("1.125"));
/// # Ok::<(), theory::Error>(())
/// ```
pub fn summary(groups: &Groups<'_>) -> Summary {
    let shown = groups.differing_beside_draws();
    let settings = blocks(groups, &shown);
    let mut draws: Vec<u64> = groups.iter().map(|group| group.setting().num_draws.get()).collect();
    draws.sort_unstable();
    draws.dedup();
    let all = bounds::all();
    let upper: Vec<_> = sided(groups, all)
        .into_iter()
        .filter(|(bound, side)| *side == Side::Supervised && bound.standing() == Standing::Theorem)
        .collect();
    let mut found: Vec<Vec<Informative<'_>>> = settings
        .iter()
        .map(|setting| {
            let of = |&(bound, side)| {
                let cells: Vec<Option<Cell>> = draws
                    .iter()
                    .map(|n| setting.by_draws.get(n).map(|group| bound_cell(group, bound, side)))
                    .collect();
                let values = cells.iter().zip(&draws).filter_map(|(cell, &n)| match cell {
                    Some(Cell::Estimate(value)) => Some((value.mean, n)),
                    _ => None,
                });
                let (least, least_at) = values.min_by(|a, b| a.0.total_cmp(&b.0))?;
                Some(Informative { key: bound.key(), cells, least, least_at, setting })
            };
            upper.iter().filter_map(of).collect()
        })
        .collect();
    found.iter_mut().for_each(|bounds| bounds.sort_by(|a, b| a.least.total_cmp(&b.least)));
    let best = found.iter().flatten().min_by(|a, b| a.least.total_cmp(&b.least));
    let kept = kept(&draws, best.map(|best| best.least_at));
    let mut left_out = Vec::new();
    if kept.len() < draws.len() {
        left_out.push(format!("{} of {} n are shown", kept.len(), draws.len()));
    }
    if settings.len() > MOST_SETTINGS {
        left_out.push(format!("{MOST_SETTINGS} of {} settings are shown", settings.len()));
    }
    let names = setting_names(&shown, &settings.iter().map(|block| block.setting).collect::<Vec<_>>());
    let mut headers = Vec::new();
    if settings.len() > 1 {
        headers.push("setting".to_string());
    }
    headers.push("quantity".into());
    headers.extend(kept.iter().map(|&place| format!("n = {}", draws[place])));
    let mut table = Table::new(headers);
    // One setting has room for everything that says something, many for what matters most.
    let (measured, most_bounds) = match settings.len() {
        1 => (&MEASURED[..], usize::MAX),
        2 => (&MEASURED[..], 2),
        _ => (&MEASURED[1..2], 1),
    };
    for ((setting, bounds), name) in settings.iter().zip(&found).zip(&names).take(MOST_SETTINGS) {
        let told: Vec<Cell> = (settings.len() > 1).then(|| Cell::text(name)).into_iter().collect();
        let mut line = |name: String, cell: &dyn Fn(usize) -> Option<Cell>| {
            let cells: Vec<Cell> =
                kept.iter().map(|&place| cell(place).map_or(Cell::Missing, brief)).collect();
            if cells.iter().any(|cell| *cell != Cell::Missing) {
                table.push([told.clone(), vec![Cell::Text(name)], cells].concat());
            }
        };
        for &(name, quantity) in measured {
            line(name.into(), &|place| {
                let group = setting.by_draws.get(&draws[place])?;
                Some(statistic(group, |row| row.get(quantity)))
            });
        }
        for bound in bounds.iter().take(most_bounds) {
            line(format!("L_sup ≤ {}", bound.key), &|place| bound.cells[place].clone());
        }
    }
    Summary { sentences: sentences(groups, &settings, &names, best, found.iter()), table, left_out }
}

/// The rows that are no bounds.
const MEASURED: [(&str, Quantity); 4] = [
    ("L_Info, measured", Quantity::InfoNce),
    ("L_sup, measured", Quantity::FullSupLoss),
    ("acc., mean classifier", Quantity::MeanAccuracy),
    ("acc., linear probe", Quantity::LinearAccuracy),
];

/// What fits a narrow column: above ln C the value itself says nothing.
fn brief(cell: Cell) -> Cell {
    match cell {
        Cell::Vacuous(_) => Cell::Text("> ln C".into()),
        Cell::Note(why) => Cell::Text(why.split(": ").next().unwrap_or_default().to_string()),
        cell => cell,
    }
}

/// Places of the numbers of draws that are shown, with that of the best bound among them.
fn kept(draws: &[u64], best: Option<u64>) -> Vec<usize> {
    if draws.len() <= MOST_DRAWS {
        return (0..draws.len()).collect();
    }
    let last = draws.len() - 1;
    let mut places: Vec<usize> = (0..MOST_DRAWS).map(|i| i * last / (MOST_DRAWS - 1)).collect();
    places.extend(best.and_then(|n| draws.iter().position(|draws| *draws == n)));
    places.sort_unstable();
    places.dedup();
    places
}

fn range(values: impl Iterator<Item = f64>) -> Option<String> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let [low_text, high_text] = [low, high].map(|v| format!("{v:.3}"));
    (low <= high).then(|| if low_text == high_text { low_text } else { format!("{low_text} to {high_text}") })
}

fn whole_range(values: impl Iterator<Item = u64>) -> String {
    let values: Vec<u64> = values.collect();
    match (values.iter().min(), values.iter().max()) {
        (Some(low), Some(high)) if low == high => low.to_string(),
        (Some(low), Some(high)) => format!("{low} to {high}"),
        _ => String::new(),
    }
}

fn sentences<'a>(
    groups: &Groups<'_>,
    settings: &[Block<'_>],
    names: &[String],
    best: Option<&Informative<'_>>,
    found: impl Iterator<Item = &'a Vec<Informative<'a>>>,
) -> Vec<String> {
    let rows = groups.rows();
    let classes = whole_range(rows.iter().map(|row| row.num_classes));
    let several_classes = classes.contains(' ');
    let trivial = match rows.first() {
        Some(row) if !several_classes => {
            format!("ln {classes} = {:.3}", (row.num_classes as f64).ln())
        }
        _ => "ln C".to_string(),
    };
    let mut sentences = Vec::new();
    let losses = groups.iter().filter_map(|group| mean(group, Quantity::FullSupLoss));
    let ignorant = format!("a classifier that ignores its input has {trivial}");
    sentences.push(match range(losses) {
        Some(range) => format!("The supervised loss L_sup is {range}; {ignorant}."),
        None => format!("The supervised loss L_sup was not measured; {ignorant}."),
    });
    sentences.push(match best {
        Some(best) => {
            let place = settings.iter().position(|block| std::ptr::eq(block, best.setting));
            let name = place.map_or("", |place| &*names[place]);
            let where_it_is = if name.is_empty() { String::new() } else { format!(", {name}") };
            format!(
                "The least proved upper bound of it is {:.3}, of {} at n = {}{where_it_is}.",
                best.least, best.key, best.least_at
            )
        }
        None => format!("No proved upper bound of it is below {trivial}: none says anything here."),
    });
    if settings.len() > 1 {
        let informative = found.filter(|bounds| !bounds.is_empty()).count();
        sentences.push(format!(
            "{informative} of {} settings have a proved upper bound below {trivial}.",
            settings.len()
        ));
    }
    let seeds = whole_range(groups.iter().map(|group| group.rows.len() as u64));
    let spread = if seeds == "1" {
        ""
    } else {
        ", numbers are means ± standard deviations over seeds (no ± where these agree)"
    };
    let temperatures = range_of_temperatures(rows.iter().map(|row| row.temperature));
    let noun = if seeds == "1" { "seed" } else { "seeds" };
    sentences.push(format!("C = {classes} classes, t = {temperatures}, {seeds} {noun}{spread}."));
    let differs = |row: &&crate::LossComponents| {
        row.run.train_negatives.is_some_and(|k| k != row.num_draws.negatives().get())
    };
    if rows.iter().any(differs) {
        let trained = whole_range(rows.iter().filter_map(|row| row.run.train_negatives));
        sentences.push(format!(
            "n = K+1 counts the draws of the measurement: an anchor and its K negatives. In training an anchor had \
             {trained} negatives, which depends on how its loss uses a batch."
        ));
    }
    sentences
}

fn range_of_temperatures(values: impl Iterator<Item = f64>) -> String {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low == high { low.to_string() } else { format!("{low} to {high}") }
}

fn mean(group: &Group<'_>, quantity: Quantity) -> Option<f64> {
    match statistic(group, |row| row.get(quantity)) {
        Cell::Estimate(value) => Some(value.mean),
        _ => None,
    }
}

impl Summary {
    /// What was found, without the table.
    pub fn sentences(&self) -> String {
        self.sentences.join(" ")
    }

    /// As text of at most 100 characters a line; `all` says where the rest is: a command or an option.
    pub fn to_screen(&self, screen: Screen, all: &str) -> String {
        let screen = Screen { columns: screen.columns.min(WIDEST), ..screen };
        let left_out: String = self.left_out.iter().map(|what| format!("{what}; ")).collect();
        let rest =
            format!("{left_out}more bounds (above ln C at every n, not proved, or of other quantities):");
        let lines = |text: &str| wrap(text, screen.columns).join("\n");
        let rest = lines(&rest);
        // A command stands whole on its line, so that it can be copied.
        let last = rest.lines().last().map_or(0, |line| line.chars().count());
        let gap = if last + 1 + all.chars().count() <= screen.columns { " " } else { "\n" };
        format!("{}\n\n{}\n{rest}{gap}{all}\n", lines(&self.sentences()), self.table.to_screen(screen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses;

    #[test]
    fn one_screen_with_what_was_found() {
        let rows = losses::committed("digits");
        let summary = summary(&losses::group(&rows).unwrap());
        for columns in [80, 100, 200] {
            let text = summary.to_screen(Screen { columns, colour: false }, "theory bounds DIR --all");
            assert!(text.lines().all(|line| line.chars().count() <= columns.min(100)), "{text}");
            assert!(text.lines().count() <= 40, "{text}");
            let command = format!("theory bounds '/data/two  blanks and {}' --all", "x".repeat(columns));
            assert!(
                summary
                    .to_screen(Screen { columns, colour: false }, &command)
                    .contains(&format!("\n{command}\n"))
            );
            assert_eq!(
                columns >= 100,
                text.matches("L_Info").count() == 1,
                "one block in 100 columns: {text}"
            );
            let found = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(found.contains("L_sup is 1.164 to 1.205") && found.contains("ln 10 = 2.303"), "{text}");
            assert!(found.contains("is 1.308, of specht_measured at n = 128"), "{text}");
            assert!(text.contains("L_sup ≤ inverted") && !text.contains("curl"), "{text}");
            assert!(found.contains("3 seeds") && found.contains("30 to 510 negatives"), "{text}");
        }
    }

    #[test]
    fn many_draws_and_settings_are_thinned_and_said() {
        let mut rows = Vec::new();
        for n in (8..=512).step_by(8) {
            for t in 1..=12 {
                let mut row = losses::committed("digits").remove(0);
                row.num_draws = crate::NumDraws::new(n).unwrap();
                row.temperature = f64::from(t) / 10.0;
                row.run.run_id = format!("n{n}-t{t}");
                rows.push(row);
            }
        }
        let text = summary(&losses::group(&rows).unwrap())
            .to_screen(Screen { columns: 100, colour: false }, "--format csv");
        assert!(text.contains("of 64 n are shown") && text.contains("8 of 12 settings are shown"), "{text}");
        assert!(text.contains("n = 8 ") && text.contains("n = 512"), "{text}");
        assert!(text.lines().count() <= 50, "{text}");
        // One seed has no deviation to promise.
        assert!(text.contains("1 seed.") && !text.contains('±'), "{text}");
    }
}
