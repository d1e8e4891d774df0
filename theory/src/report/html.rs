//! The report as one HTML file: figure inline, no script, nothing fetched.

use super::{Cell, Document, Figure, Section, Table};
use crate::bounds;
use crate::losses::Groups;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:96rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse;font-size:13px;margin:1rem 0;display:block;overflow-x:auto}\
td,th{border:1px solid #ccc;padding:.25rem .5rem;text-align:right;white-space:nowrap}th{background:#f3f3f3}\
td.text{text-align:left}.vacuous{color:#999}.note{color:#999;font-style:italic;white-space:normal;min-width:8rem}\
.flag{background:#fdd}.wide{white-space:normal;min-width:16rem}svg,img{max-width:100%;height:auto}";

/// Characters of a cell beyond which its text is broken into lines.
const LONGEST_LINE: usize = 48;

/// How a report of this program is known.
pub(super) const GENERATOR: &str = "<meta name=\"generator\" content=\"theory report\">";

/// The page.
pub fn page(
    title: &str,
    figure: &str,
    groups: &Groups<'_>,
    table: &Table,
    sections: &[Section],
    waterfall: Option<&Figure>,
    picture: Option<&Figure>,
) -> String {
    let mut body = format!("<h1>{}</h1>\n<figure>{figure}</figure>\n", escape(title));
    body += "<p>Bars: upper bounds of the supervised loss L_sup of the mean classifier, from the contrastive loss with \
K negatives; triangles: L_sup as measured; lines: accuracy (right axis). Error bars: standard deviation over \
seeds.</p>\n<h2>Bounds</h2>\n<p>Mean ± standard deviation over seeds. Grey: an upper bound above ln C, which a \
classifier that ignores its input reaches. All losses in nats.</p>\n";
    body += &table_html(table);
    body += "<h2>What each bound is</h2>\n<ul>\n";
    for bound in bounds::all() {
        let caveat = |side: &str, standing: bounds::Standing| match standing {
            bounds::Standing::Theorem => String::new(),
            _ => {
                format!(" <strong>{side}{}:</strong> {}.", escape(standing.name()), escape(standing.caveat()))
            }
        };
        let mut caveats = caveat("", bound.standing());
        if bound.supervised_lower_standing() != bound.standing() {
            caveats += &caveat("Lower bound of L_sup, ", bound.supervised_lower_standing());
        }
        body += &format!(
            "<li><code>{}</code>: {}. Holds for: {}. Source: {}.{caveats}</li>\n",
            bound.key(),
            escape(bound.name()),
            escape(bound.conditions()),
            escape(bound.source())
        );
    }
    body += "</ul>\n";
    for section in sections {
        body += &format!("<h2>{}</h2>\n<p>{}</p>\n", escape(&section.title), escape(&section.text));
        if let Some(Figure { svg, caption, .. }) =
            waterfall.filter(|_| section.title == super::explain_page::TITLE)
        {
            let caption = escape(caption);
            body += &format!("<figure>{svg}<figcaption>{caption}</figcaption></figure>\n");
        }
        body += &table_html(&section.table);
    }
    if let Some(Figure { caption, svg, .. }) = picture {
        // It comes from a file: as an image, whatever is in it is only shown.
        let (source, caption) = (percent_encoded(svg), escape(caption));
        body += &format!(
            "<h2>Picture of the features</h2>\n<figure><img alt=\"Two maps of the evaluated samples\" \
src=\"data:image/svg+xml,{source}\"><figcaption>{caption}</figcaption></figure>\n"
        );
    }
    let samplings: std::collections::BTreeSet<&str> =
        groups.iter().map(|group| group.setting().sampling.name()).collect();
    body += &format!(
        "<p>{} measurements; labels drawn {}. Coverage υ and collision τ are exact for that sampling and the class \
counts of the evaluated set.{}</p>\n",
        groups.rows().len(),
        samplings.into_iter().collect::<Vec<_>>().join(", ").replace('_', " "),
        groups.note().map_or_else(String::new, |note| format!(" {}.", escape(&note)))
    );
    whole(title, &body)
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
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{GENERATOR}\n<title>{}</title>\n<style>{STYLE}</style>\n\
</head>\n<body>\n{body}</body>\n</html>\n",
        escape(title)
    )
}

fn table_html(table: &Table) -> String {
    let header: String = table.headers().iter().map(|h| format!("<th>{}</th>", escape(h))).collect();
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
        format!("<td{class}>{}</td>", escape(&cell.to_string()))
    };
    let rows: String = table
        .rows()
        .iter()
        .map(|row| format!("<tr>{}</tr>\n", row.iter().map(cell).collect::<String>()))
        .collect();
    format!("<table>\n<tr>{header}</tr>\n{rows}</table>\n")
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
