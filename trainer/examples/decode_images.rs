//! Times the decoding of a folder of images that has not been decoded: `decode_images DIR SIDE SHORT_SIDE` prints
//! images, seconds and images a second as JSON. `trainer/benches/against_pillow.py` runs it beside Pillow.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use trainer::Error;
use trainer::data::{ImageSettings, Request, load};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match time(&words).and_then(|line| Ok(theory::terminal::print(&line)?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            theory::terminal::say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn time(words: &[String]) -> trainer::Result<String> {
    let usage = || Error::argument("usage: decode_images DIR SIDE SHORT_SIDE");
    let [folder, side, short_side] = words else { return Err(usage()) };
    let (Ok(side), Ok(short_side)) = (side.parse(), short_side.parse()) else { return Err(usage()) };
    let folder = PathBuf::from(folder);
    if folder.join(".decoded").exists() {
        return Err(Error::data(&folder, "it is decoded already: remove .decoded"));
    }
    let images = ImageSettings { side: Some(side), short_side: Some(short_side), ..ImageSettings::default() };
    let begin = Instant::now();
    let split = load(&Request { folder: Some(&folder), images, ..Request::new("folder") })?;
    let (count, seconds) = (split.train.len() + split.evaluated.len(), begin.elapsed().as_secs_f64());
    let rate = count as f64 / seconds;
    Ok(format!("{{\"images\": {count}, \"seconds\": {seconds:.3}, \"images_per_second\": {rate:.1}}}\n"))
}
