//! `published`: the printed tables of Nozawa & Sato beside exact values.

use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use theory::published;
use theory::report::{Format, Screen};

/// The section whose values the figures show.
const SECTION_OF_FIGURES: &str = "upper_bounds_without_replacement";

#[derive(Args)]
pub(super) struct PublishedArgs {
    /// Print only this section (may be repeated): printed, coverage, sampling, saturation, identities,
    /// half_subtraction, curl_bar, expected_draws, upper_bounds_independent, upper_bounds_without_replacement,
    /// lower_bounds
    #[arg(long, value_name = "NAME")]
    section: Vec<String>,
    /// ImageNet's training counts, for its line of Table 3: a file with one integer a line or a JSON array, or numbers
    /// with commas
    #[arg(long, value_name = "FILE|LIST")]
    counts: Option<PathBuf>,
    /// table, csv, json, markdown or latex; a table fits the terminal
    #[arg(long, default_value = "table", value_parser = |s: &str| s.parse::<Format>().map_err(|e| e.to_string()))]
    format: Format,
    /// Write one file per section (CSV unless --format says otherwise), the figures of the upper bounds without
    /// replacement, published.html and published.md into this folder; new, empty, or of an earlier run
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print nothing but the result
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn published(args: &PublishedArgs) -> Result<()> {
    let counts = args.counts.as_deref().map(theory::usage::class_counts).transpose()?;
    let document = published::document(counts.as_ref())?.select(&args.section)?;
    let Some(folder) = &args.out else {
        return super::print(&match args.format {
            Format::Table => document.to_screen(Screen::of_standard_output()),
            format => document.to_text(format),
        });
    };
    let has_figures = document.sections.iter().any(|(key, _)| *key == SECTION_OF_FIGURES);
    let figures = if has_figures { published::figures()? } else { Vec::new() };
    let page = document.write(folder, "published", args.format, &figures)?;
    if !args.quiet {
        super::print(&format!("wrote {}\n", page.display()))?;
    }
    Ok(())
}
