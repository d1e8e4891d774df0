//! The linear probe alone, on one thread.
//!
//! `cargo run --release -p measure --example linear_probe FEATURES PREDICTED [RIDGE] [standardised]` trains it on `train`
//! of a file of features and prints a line of JSON: ridge, loss, norm of the gradient, passes, seconds of the training
//! alone, accuracy on `view1`; PREDICTED becomes the class of each row of `view1`, a line each.
//! `measure/benches/against_sklearn.py` compares it with scikit-learn.

use measure::{Error, Features, LinearProbe, Result, never, pool};
use std::process::ExitCode;
use std::time::Instant;
use theory::{files, terminal};

fn run() -> Result<String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [features, predicted, options @ ..] = &arguments[..] else {
        return Err(Error::argument("FEATURES and PREDICTED are needed"));
    };
    let mut probe = LinearProbe::default();
    for option in options {
        match option.as_str() {
            "standardised" => probe.standardise = true,
            ridge => probe.ridge = ridge.parse()?,
        }
    }
    let features = Features::read(features.as_ref())?;
    let (train, labels) =
        features.train.as_ref().ok_or_else(|| Error::argument("the file has no array 'train'"))?;
    let start = Instant::now();
    let fitted = pool::with_threads(1, || probe.fit(train, labels, features.num_classes, &never))?;
    let seconds = start.elapsed().as_secs_f64();
    let found = fitted.predict(&features.view1)?;
    let lines: String = found.iter().map(|class| format!("{class}\n")).collect();
    files::write_atomically(predicted.as_ref(), lines.as_bytes())?;
    let accuracy = fitted.accuracy(&features.view1, &features.labels)?;
    Ok(format!(
        "{{\"ridge\": {:e}, \"loss\": {:.12}, \"gradient\": {:.3e}, \"passes\": {}, \"seconds\": {seconds:.3}, \
         \"accuracy\": {accuracy}}}\n",
        fitted.ridge, fitted.loss, fitted.gradient, fitted.passes
    ))
}

fn main() -> ExitCode {
    let printed = run().and_then(|line| Ok(terminal::print(&line)?));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}
