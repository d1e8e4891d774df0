//! The report as one HTML file: figures inline, the data in it, nothing fetched. Without its script it reads the same
//! but for the sliders and what can be saved.

use super::bounds::{Side, bound_cell, marked};
use super::figure::MOST_HOVER;
use super::{Cell, Document, Figure, Section, Table};
use crate::bounds::{self, Bound, Standing};
use crate::losses::Groups;
use formula::typeset;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

mod explore;
mod formula;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Characters of a cell beyond which its text is broken into lines.
const LONGEST_LINE: usize = 48;

/// How a report of this program is known.
pub(super) const GENERATOR: &str = "<meta name=\"generator\" content=\"theory report\">";

/// What a report shows beside its tables.
pub struct Page<'a> {
    /// Heading.
    pub title: &'a str,
    /// What was found, in a few sentences.
    pub finding: &'a str,
    /// The bounds against n, as SVG.
    pub figure: &'a str,
    /// Every bound at every n.
    pub table: &'a Table,
    /// The other tables.
    pub sections: &'a [Section],
    /// Where the slack is.
    pub waterfall: Option<&'a Figure>,
    /// The features.
    pub picture: Option<&'a Figure>,
    /// Name and text of files that can be saved from the page.
    pub files: &'a [(&'a str, &'a str)],
}

/// Symbol, and what it means.
const SYMBOLS: [(&str, &str); 9] = [
    ("n = K+1", "draws: an anchor and its K negatives"),
    (
        "L_Info",
        "contrastive loss (InfoNCE) with K negatives, in nats; a batch of features that are all alike has ln n",
    ),
    (
        "L_sup",
        "cross-entropy of the mean classifier: softmax over the products of a feature with the mean feature of each class, over t",
    ),
    (
        "ln C",
        "L_sup of a classifier that ignores its input; an upper bound of L_sup above it says nothing (grey, †)",
    ),
    ("t", "temperature: products of features are divided by it"),
    ("υ", "probability that n draws show every class"),
    ("τ", "probability that at least one of the K negatives has the anchor's class"),
    ("d(f)", "what replacing an image's mean feature by that of its class costs at most; at most 0"),
    ("E ln(1+Col)", "least that negatives of the anchor's class add to the loss; Col is their number"),
];

impl Page<'_> {
    /// The whole page.
    pub fn html(&self, groups: &Groups<'_>) -> String {
        let mut body =
            format!("<h1>{}</h1>\n<p class=\"finding\">{}</p>\n", escape(self.title), escape(self.finding));
        body += &format!(
            "<figure>{}<figcaption>All panels against n = K+1. On lines of at most {MOST_HOVER} values, point at one to read it.\
</figcaption></figure>\n<div class=\"tools\" id=\"files\"></div>\n",
            self.figure
        );
        body += "<h2>What the symbols mean</h2>\n<dl>\n";
        for (symbol, meaning) in SYMBOLS {
            body += &format!("<dt>{}</dt><dd>{}</dd>\n", typeset(symbol), typeset(meaning));
        }
        body += "</dl>\n<div id=\"measured-bars\" class=\"live\"><h2>Every bound of one measurement</h2>\n<div class=\"try\">\n\
<select id=\"measured-at\" aria-label=\"measurement\"></select>\n<svg id=\"bars\" width=\"720\" role=\"img\" \
aria-label=\"upper bounds of L_sup\"></svg>\n<p class=\"small\">Blue: a theorem, at most ln C. Grey: a theorem \
above ln C, says nothing. Dashed outline: no proved upper bound of L_sup, whatever its value; it may lie below L_sup. \
Logarithmic axis, losses in nats. <span id=\"bars-missing\"></span></p>\n</div></div>\n";
        let several = groups.has_several_seeds();
        let spread = if several { " Mean ± standard deviation over seeds." } else { "" };
        body += &format!(
            "<h2>Bounds</h2>\n<p>Losses in nats.{spread} Grey with †: an upper bound of L_sup above ln C, says nothing. \
Italic: no theorem (see <em>standing</em>), which may lie on the wrong side of what it is compared with.</p>\n"
        );
        body += &table_html(self.table);
        body += &format!(
            "<details><summary>What each bound is: formula, symbols, when it holds</summary>\n{}</details>\n",
            each_bound(groups)
        );
        for section in self.sections {
            body += &format!("<h2>{}</h2>\n<p>{}</p>\n", escape(&section.title), escape(&section.text));
            if let Some(Figure { svg, caption, .. }) =
                self.waterfall.filter(|_| section.title == super::explain_page::TITLE)
            {
                let caption = escape(caption);
                body += &format!("<figure>{svg}<figcaption>{caption}</figcaption></figure>\n");
            }
            body += &table_html(&section.table);
        }
        if let Some(Figure { caption, svg, .. }) = self.picture {
            // It comes from a file: as an image, whatever is in it is only shown.
            let (source, caption) = (percent_encoded(svg), escape(caption));
            body += &format!(
                "<h2>Picture of the features</h2>\n<figure><img alt=\"Two maps of the evaluated samples\" \
src=\"data:image/svg+xml,{source}\"><figcaption>{caption}</figcaption></figure>\n"
            );
        }
        body += EXPLORE;
        body += &self.provenance(groups);
        let data = |attributes: &str, value: &str| {
            // No text of a script may end it.
            format!(
                "<script type=\"application/json\" {attributes}>{}</script>\n",
                value.replace('<', "\\u003c")
            )
        };
        for (name, text) in self.files {
            let text = serde_json::Value::from(*text).to_string();
            body += &data(&format!("data-file=\"{}\"", escape(name)), &text);
        }
        let columns = groups.differing_beside_draws();
        let measured = explore::measurements(groups, |group| {
            let setting = group.setting();
            format!("n = {}{}", setting.num_draws, super::explain::told(&columns, setting))
        });
        body += &data("id=\"curves\"", explore::curves());
        body += &data("id=\"runs\"", &measured.to_string());
        body += &format!("<script>\n{SCRIPT}</script>\n");
        whole(self.title, &body)
    }

    /// Of what, and by what, the page was made.
    fn provenance(&self, groups: &Groups<'_>) -> String {
        let samplings: std::collections::BTreeSet<&str> =
            groups.iter().map(|group| group.setting().sampling.name()).collect();
        let sums = self.files.iter().map(|(name, text)| {
            let digest = Sha256::digest(text.as_bytes());
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("<br>{}: sha256 <code>{digest}</code>", escape(name))
        });
        format!(
            "<h2>Where this is from</h2>\n<p class=\"small\">{} measurements; labels drawn {}. Coverage υ and collision τ are \
exact for that sampling and the class counts of the evaluated set.{} Made by theory {}.{}</p>\n",
            groups.rows().len(),
            samplings.into_iter().collect::<Vec<_>>().join(", ").replace('_', " "),
            groups.note().map_or_else(String::new, |note| format!(" {}.", escape(&note))),
            env!("CARGO_PKG_VERSION"),
            sums.collect::<String>()
        )
    }
}

/// The sliders.
const EXPLORE: &str = "<div class=\"live\"><h2>What K can do, before anything is trained</h2>
<p>Equally likely classes, independent draws; computed by <code>theory</code>.</p>
<form class=\"try\" id=\"explore\">
<label><span>classes C</span><input type=\"range\" name=\"c\" min=\"0\" max=\"8\" value=\"2\"><output></output></label>
<label><span>negatives K</span><input type=\"range\" name=\"n\" min=\"0\" max=\"26\" value=\"10\"><output></output></label>
<label><span>temperature t</span><input type=\"range\" name=\"t\" min=\"0\" max=\"5\" value=\"4\"><output></output></label>
<p id=\"said\"></p>
<svg id=\"probabilities\" viewBox=\"0 0 720 260\" width=\"720\"></svg>
<svg id=\"least\" viewBox=\"0 0 720 260\" width=\"720\"></svg>
</form></div>
";

/// Each bound: what it says of these measurements, when it holds, and whose it is.
fn each_bound(groups: &Groups<'_>) -> String {
    let mut list = String::from(
        "<p>Formulas for independent draws. For batches of distinct samples the values are computed with the probabilities of \
such batches, with M_min/(M − 1) in place of π_min (M samples in all, M_min of the rarest class), and in specht_positive with \
1 − K/(M − 1) in place of the 1 that is subtracted.</p>\n<dl>\n",
    );
    for (symbol, meaning) in formula::SYMBOLS {
        list += &format!("<dt>{}</dt><dd>{}</dd>\n", typeset(symbol), typeset(meaning));
    }
    list += "</dl>\n<ul>\n";
    for bound in bounds::all() {
        let caveat = |side: &str, standing: Standing| match standing {
            Standing::Theorem => String::new(),
            _ => {
                format!(" <strong>{side}{}:</strong> {}.", escape(standing.name()), escape(standing.caveat()))
            }
        };
        let mut caveats = caveat("", bound.standing());
        if bound.supervised_lower_standing() != bound.standing() {
            caveats += &caveat("Lower bound of L_sup, ", bound.supervised_lower_standing());
        }
        let conditions = if bound.standing() == Standing::Theorem { "Holds for" } else { "Stated for" };
        list += &format!(
            "<li><code>{}</code>: {}.<p class=\"formula\">{}</p><em>{}</em> {conditions}: {}. Source: {}.{caveats}</li>\n",
            bound.key(),
            escape(bound.name()),
            typeset(&marked(bound.standing(), bound.formula())),
            escape(&said_here(groups, *bound)),
            escape(bound.conditions()),
            escape(bound.source())
        );
    }
    list + "</ul>\n"
}

/// What an upper bound of L_sup says of these measurements, in a sentence.
fn said_here(groups: &Groups<'_>, bound: &dyn Bound) -> String {
    if bound.upper_needs().is_empty() {
        return "No upper bound of L_sup.".into();
    }
    // For each n its settings, and those where the bound, a mean over seeds, is at most ln C.
    let mut by_draws: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    let (mut values, mut reason) = (0, String::new());
    for group in groups.iter() {
        let (all, below) = by_draws.entry(group.setting().num_draws.get()).or_default();
        *all += 1;
        match bound_cell(group, bound, Side::Supervised) {
            Cell::Estimate(_) => (values, *below) = (values + 1, *below + 1),
            Cell::Vacuous(_) => values += 1,
            cell if reason.is_empty() => reason = cell.to_string(),
            _ => {}
        }
    }
    let told = |(n, (all, below)): (&u64, &(usize, usize))| match *below {
        0 => None,
        below if below == *all => Some(n.to_string()),
        below => Some(format!("{n} (in {below} of {all} settings)")),
    };
    let below: Vec<String> = by_draws.iter().filter_map(told).collect();
    if values == 0 {
        format!("No value here: {reason}.")
    } else if let Standing::Unproved(_) = bound.standing() {
        "An upper bound of L_sup only in the case of the last sentence.".into()
    } else if bound.standing() != Standing::Theorem {
        "Not proved to be an upper bound of L_sup, whatever its value.".into()
    } else if below.is_empty() {
        "Above ln C wherever it has a value here.".into()
    } else {
        format!("At most ln C here at n = {}.", below.join(", "))
    }
}

/// The page of several titled tables, figures first.
pub(super) fn document(document: &Document, figures: &[Figure]) -> String {
    let mut body = format!("<h1>{}</h1>\n", escape(&document.title));
    for figure in figures {
        let (svg, caption) = (&figure.svg, escape(&figure.caption));
        body += &format!("<figure>{svg}<figcaption>{caption}</figcaption></figure>\n");
    }
    for (key, section) in &document.sections {
        let (title, text) = (escape(&section.title), escape(&section.text));
        body += &format!("<h2 id=\"{key}\">{title}</h2>\n<p>{text}</p>\n{}", table_html(&section.table));
    }
    whole(&document.title, &body)
}

fn whole(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n{GENERATOR}\n<title>{}</title>\n<style>{STYLE}</style><noscript><style>.live{{display:none}}</style></noscript>\n\
</head>\n<body>\n{body}</body>\n</html>\n",
        escape(title)
    )
}

fn table_html(table: &Table) -> String {
    let is_text = |column: usize| {
        let mut cells = table.rows().iter().map(|row| &row[column]).filter(|cell| **cell != Cell::Missing);
        cells.all(|cell| matches!(cell, Cell::Text(_) | Cell::Note(_) | Cell::Flag(_)))
    };
    let headers = table.headers().iter().enumerate();
    let header: String = headers
        .map(|(column, header)| {
            let class = if is_text(column) { " class=\"text\"" } else { "" };
            format!("<th{class}>{}</th>", escape(header))
        })
        .collect();
    let cell = |cell: &Cell| {
        let class = match cell {
            Cell::Vacuous(_) => " class=\"vacuous\"",
            Cell::Note(_) => " class=\"note\"",
            Cell::Flag(_) => " class=\"text flag wide\"",
            Cell::Text(text) if text == "DISAGREES" => " class=\"text flag\"",
            Cell::Text(text) if text.chars().count() > LONGEST_LINE => " class=\"text wide\"",
            Cell::Text(_) => " class=\"text\"",
            _ => "",
        };
        // The sign of a vacuous value is drawn by the style.
        let text = cell.to_string();
        format!("<td{class}>{}</td>", escape(text.trim_end_matches(" (vacuous)")))
    };
    let standing = table.headers().iter().position(|header| header == "standing");
    let is_unproved = |row: &[Cell]| {
        standing.is_some_and(|column| !["", "theorem"].contains(&row[column].to_string().as_str()))
    };
    let rows: String = table
        .rows()
        .iter()
        .map(|row| {
            let class = if is_unproved(row) { " class=\"unproved\"" } else { "" };
            format!("<tr{class}>{}</tr>\n", row.iter().map(cell).collect::<String>())
        })
        .collect();
    format!("<div class=\"scroll\" tabindex=\"0\"><table>\n<tr>{header}</tr>\n{rows}</table></div>\n")
}

/// The text as part of an address.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(2 * text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'/' => {
                encoded.push(char::from(byte))
            }
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bound_is_said_to_hold_that_is_not_proved() {
        let rows = crate::losses::committed("digits");
        let groups = crate::losses::group(&rows).unwrap();
        let page = each_bound(&groups);
        for bound in bounds::all() {
            let (_, text) = page.split_once(&format!("<li><code>{}</code>", bound.key())).unwrap();
            let (text, _) = text.split_once("</li>").unwrap();
            let is_theorem = bound.standing() == Standing::Theorem;
            assert_eq!(text.contains("Holds for: "), is_theorem, "{text}");
            assert_eq!(text.contains("Stated for: "), !is_theorem, "{text}");
            let unmarked = format!("<p class=\"formula\">{}", typeset(bound.formula()));
            assert_eq!(text.contains(&unmarked), is_theorem, "{text}");
            let has_value = is_theorem && !bound.upper_needs().is_empty() && !text.contains("No value here");
            assert_eq!(text.contains("bove ln C") || text.contains("t most ln C"), has_value, "{text}");
        }
        assert!(page.contains("<p class=\"formula\">unproved: L<sub>sup</sub> ≤ "), "{page}");
        let of_bao = said_here(&groups, bounds::find("bao").unwrap());
        assert!(of_bao.contains("only in the case of the last sentence"), "{of_bao}");
    }
}
