//! What a measurement gives, and its files: `losses.csv`, `collision.csv`, a figure of the latter, and a picture of the features.

use crate::collision::{CollisionByClass, collision_figure, collision_table};
use crate::error::Result;
use crate::picture::Picture;
use std::path::Path;
use theory::losses::LossComponents;
use theory::report::{Format, figure};

/// Everything measured of one set of features.
#[derive(Debug, Clone)]
pub struct EvaluatedRun {
    /// One row for each number of draws.
    pub rows: Vec<LossComponents>,
    /// The spread within each class: of head features, of encoder features (empty where they are not known).
    pub spreads: [Vec<CollisionByClass>; 2],
    /// Where the samples lie, if that was asked for.
    pub picture: Option<Picture>,
}

impl EvaluatedRun {
    /// What was written into the folder, to be printed.
    pub fn written(&self, folder: &Path) -> String {
        let names = ["losses.csv"].into_iter().chain(self.picture.as_ref().map(|_| "picture.svg"));
        names.map(|name| format!("wrote {}\n", folder.join(name).display())).collect()
    }

    /// Writes `losses.csv`, `collision.csv`, `collision.svg` and `collision.png` into a folder that exists, and the files
    /// of the [`Picture`].
    ///
    /// # Errors
    /// The operating system refuses; the figure cannot be drawn.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let write = |name: &str, bytes: &[u8]| theory::files::write_atomically(&folder.join(name), bytes);
        let losses = || Ok(theory::losses::write(&folder.join("losses.csv"), &self.rows)?);
        if let Some(picture) = &self.picture {
            picture.write(folder)?;
        }
        let [head, encoder] = &self.spreads;
        if head.is_empty() {
            return losses();
        }
        let mut text = String::new();
        for (layer, rows) in [("head", head), ("encoder", encoder)] {
            for (index, line) in collision_table(rows).to_text(Format::Csv).lines().enumerate() {
                match index {
                    0 if layer == "head" => text += &format!("features,{line}\n"),
                    0 => {}
                    _ => text += &format!("{layer},{line}\n"),
                }
            }
        }
        write("collision.csv", text.as_bytes())?;
        for (name, format) in [("collision.svg", figure::Format::Svg), ("collision.png", figure::Format::Png)]
        {
            let series = [("head", &head[..]), ("encoder", &encoder[..])];
            let shown = if encoder.is_empty() { &series[..1] } else { &series[..] };
            write(name, &collision_figure(shown, format)?)?;
        }
        // Last: a folder that has it is measured.
        losses()
    }
}
