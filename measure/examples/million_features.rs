//! Makes the features of a million samples, to be measured.
//!
//! `cargo run --release -p measure --example million_features -- DIR [N] [d] [C]` writes `view1.npy`, `view2.npy`
//! (f32 \[N, d\]) and `labels.npy` (i64 \[N\]) into DIR, of N = 1,281,167 samples of C = 1,000 classes in d = 128
//! dimensions unless told otherwise: 1.3 GB. A sample is the centre of its class, a part of its own and a part of the
//! view, each normal in every dimension. Then
//!
//! ```text
//! measure DIR/view1.npy DIR/view2.npy --labels DIR/labels.npy --draws 128 --temperature 0.2 --out measured
//! python measure/examples/million_features.py DIR 128 0.2
//! ```
//!
//! measure them, here and in numpy; `docs/features.md` has the time and the memory that both took.

use measure::rng::{Purpose, normal, stream};
use measure::{Error, Result};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use theory::{files, terminal};

/// Deviations of the centre of a class, of a sample, of a view.
const PARTS: [f32; 3] = [1.0, 0.8, 0.6];

/// Writes an array as `numpy.save` does.
fn write(
    path: &Path,
    descr: &str,
    shape: &str,
    values: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    files::write_with(path, |file| {
        let mut file = std::io::BufWriter::new(file);
        let all = || {
            file.write_all(b"\x93NUMPY\x01\x00")?;
            file.write_all(&(header.len() as u16).to_le_bytes())?;
            file.write_all(header.as_bytes())?;
            values(&mut file)?;
            file.flush()
        };
        all().map_err(|e| Error::io(path, e))
    })
}

fn make(folder: &Path, [samples, dimensions, classes]: [usize; 3]) -> Result<()> {
    files::create_folder(folder)?;
    let mut rng = stream(1, Purpose::Split, 0);
    let centres: Vec<f32> = (0..classes * dimensions).map(|_| PARTS[0] * normal(&mut rng)).collect();
    let class = |sample: usize| sample * 7919 % classes;
    write(&folder.join("labels.npy"), "<i8", &format!("({samples},)"), |file| {
        (0..samples).try_for_each(|sample| file.write_all(&(class(sample) as i64).to_le_bytes()))
    })?;
    for (name, view) in [("view1.npy", 1), ("view2.npy", 2)] {
        let (mut own, mut of_view) = (stream(2, Purpose::Split, 0), stream(2, Purpose::Split, view));
        write(&folder.join(name), "<f4", &format!("({samples}, {dimensions})"), |file| {
            (0..samples).try_for_each(|sample| {
                let centre = &centres[class(sample) * dimensions..][..dimensions];
                centre.iter().try_for_each(|centre| {
                    let value = centre + PARTS[1] * normal(&mut own) + PARTS[2] * normal(&mut of_view);
                    file.write_all(&value.to_le_bytes())
                })
            })
        })?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default: usize| match arguments.get(place) {
        Some(text) => text.parse().ok().filter(|&number| number > 0),
        None => Some(default),
    };
    let (Some(folder), Some(samples), Some(dimensions), Some(classes)) =
        (arguments.first(), number(1, 1_281_167), number(2, 128), number(3, 1000))
    else {
        terminal::say("usage: million_features DIR [N] [d] [C]");
        return ExitCode::from(2);
    };
    match make(Path::new(folder), [samples, dimensions, classes]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}
