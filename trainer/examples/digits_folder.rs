//! Writes some of the digits that are compiled in as a folder of PNG files, DIR/train/CLASS and DIR/val/CLASS: for
//! `-quick` forms of presets that read a folder of one's own.
//!
//! Run: `cargo run -p trainer --example digits_folder DIR`: 300 images in `train`, 100 in `val`. Then
//! `trainer reproduce imagenet-moco-quick --data DIR --out OUT`.

use image::GrayImage;
use std::path::{Path, PathBuf};
use trainer::data::digits::{self, BRIGHTEST};

fn main() -> anyhow::Result<()> {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        anyhow::bail!("usage: digits_folder DIR");
    };
    let images = digits::images()?;
    write(&folder.join("train"), &images, 0..300)?;
    write(&folder.join("val"), &images, 300..400)
}

fn write(folder: &Path, images: &trainer::data::Images, rows: std::ops::Range<usize>) -> anyhow::Result<()> {
    let side = digits::SIDE as u32;
    for row in rows {
        let class = folder.join(images.labels()[row].to_string());
        std::fs::create_dir_all(&class)?;
        let pixels = images.image(row).iter().map(|&value| value * (255 / BRIGHTEST)).collect();
        let Some(picture) = GrayImage::from_raw(side, side, pixels) else { continue };
        let mut png = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut png, image::ImageFormat::Png)?;
        theory::files::write_atomically(&class.join(format!("{row:03}.png")), png.get_ref())?;
    }
    Ok(())
}
