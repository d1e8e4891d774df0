//! `download`: exit code 0 if every file is in its place and is the published one, 1 if one is not, 2 for bad
//! arguments.

use anyhow::Result;
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::path::PathBuf;
use trainer::data::registry::official_files;

/// Every data set, one after the other.
const ALL: &str = "all";

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(official_files().map(|files| files.name).chain([ALL]))
}

#[derive(Args)]
#[cfg_attr(not(feature = "download"), allow(dead_code))]
pub(super) struct DownloadArgs {
    /// Which data set
    #[arg(value_parser = names())]
    name: String,
    /// Folder of data sets; the files go to DIR/NAME under their official names, archives stay packed
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder to fetch from instead of the official addresses, such as http://host/mnist
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    /// How often to try again after a cut connection or from a busy server
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=100))]
    retries: u32,
    /// Replace a file that is not the published one
    #[arg(long)]
    force: bool,
    /// Print nothing
    #[arg(short, long)]
    quiet: bool,
}

#[cfg(feature = "download")]
pub(super) fn download(args: &DownloadArgs) -> Result<()> {
    use trainer::Error;
    use trainer::download::{Options, Origin};
    if args.name == ALL && args.mirror.is_some() {
        return Err(
            Error::argument("--mirror is the folder of one data set: name it instead of 'all'").into()
        );
    }
    let options = Options {
        retries: args.retries,
        force: args.force,
        mirror: args.mirror.clone(),
        quiet: args.quiet,
        ..Options::default()
    };
    for official in official_files().filter(|files| args.name == ALL || args.name == files.name) {
        if !args.quiet {
            super::print(&format!("{} ({} bytes; {})\n", official.name, official.bytes(), official.terms))?;
        }
        for stored in trainer::download::download(official, &args.data, &options)? {
            let origin = match stored.origin {
                Origin::Kept => "kept".into(),
                Origin::Fetched { resumed_at: 0 } => "fetched".into(),
                Origin::Fetched { resumed_at } => format!("fetched from byte {resumed_at} on"),
            };
            if !args.quiet {
                let bytes = stored.bytes;
                super::print(&format!(
                    "{}: {origin}, {bytes} bytes, MD5 as published\n",
                    stored.path.display()
                ))?;
            }
        }
    }
    Ok(())
}

#[cfg(not(feature = "download"))]
pub(super) fn download(_: &DownloadArgs) -> Result<()> {
    anyhow::bail!(
        "this program was built without the feature 'download': cargo install --path trainer --features download"
    )
}
