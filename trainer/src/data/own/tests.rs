use super::decode::{Form, decode, head};
use super::*;
use crate::data::{EvaluateOn, Images, load};
use hostile::{file, kinds, picture, turned};
use image::ImageFormat;
use std::fs::{create_dir_all, write};
use std::path::Path;

mod cache;
mod folders;
mod hostile;
mod imagenet;
mod shards;
mod streams;

fn square(side: usize, channels: usize) -> Form {
    Form { shape: [side, side, channels], short_side: Some(side) }
}

/// Writes a file and the folders above it.
fn put(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    create_dir_all(path.parent().unwrap()).unwrap();
    write(path, bytes).unwrap();
}

fn request(folder: &Path) -> Request<'_> {
    Request { folder: Some(folder), ..Request::new("folder") }
}

fn images(samples: &Samples) -> &Images {
    let Samples::Images(images) = samples else { unreachable!() };
    images
}

fn pixels(samples: &Samples) -> Vec<Vec<u8>> {
    let images = images(samples);
    (0..images.len()).map(|i| images.image(i).to_vec()).collect()
}

fn message(request: &Request<'_>) -> String {
    let message = load(request).unwrap_err().to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

#[test]
fn every_kind_of_file_is_decoded_as_people_expect_or_says_why_not() {
    for kind in kinds(3) {
        let found = decode(&kind.bytes, square(8, 3));
        assert_eq!(found.is_ok(), kind.good, "{}: {found:?}", kind.what);
        if let Err(reason) = &found {
            assert!(!reason.is_empty() && reason.len() < 300, "{reason}");
        }
        let first = |found: &[u8]| [found[0], found[1], found[2]];
        let Ok(found) = found else { continue };
        match kind.what {
            "png" | "webp" | "animated webp" | "animated png" | "a png called jpg" => {
                assert_eq!(found, picture(8, 8, 3).into_raw(), "{}", kind.what);
            }
            // 8,000/65,535 of 255 is 31.1; 700/65,535 is 2.7.
            "16-bit colour" => assert_eq!(found[27..30], [31, 31, 3]),
            "16-bit grey" => assert_eq!(found[3..6], [31; 3]),
            // Nothing but white where nothing is there; the colour itself where all is: 7·36 = 252 of 255.
            "alpha" => assert_eq!((first(&found), &found[7 * 24 + 3..][..3]), ([255; 3], &[33, 12, 12][..])),
            "grey with alpha" => assert_eq!(first(&found), [255; 3]),
            "one bit" => assert_eq!(found[..6], [255, 255, 255, 0, 0, 0]),
            // The first index is 0: a transparent entry.
            "palette" => assert_eq!(first(&found), [255; 3]),
            "cmyk" => {
                let off = first(&found).iter().zip([200u8, 100, 50]).map(|(&a, b)| a.abs_diff(b)).max();
                assert!(off.unwrap() <= 2, "{:?}", first(&found));
            }
            // Red grows from left to right, after a quarter turn to the right from top to bottom.
            "turned" => assert!(found[0] < 40 && found[7 * 24] > 200 && found[21] < 40, "{found:?}"),
            "turned by an unknown number" => assert!(found[0] < 70 && found[21] > 180, "{found:?}"),
            "1×1" => assert!(found.chunks(3).all(|pixel| pixel == first(&found))),
            _ => {}
        }
    }
}

#[test]
fn a_head_says_size_and_grey_without_the_pixels() {
    let jpeg = file(picture(40, 30, 1), ImageFormat::Jpeg);
    assert_eq!(head(&jpeg).unwrap().size, [30, 40]);
    assert_eq!(head(&turned(&jpeg, 8)).unwrap().size, [40, 30]);
    assert_eq!(head(&turned(&jpeg, 3)).unwrap().size, [30, 40]);
    assert!(!head(&jpeg).unwrap().grey);
    for kind in kinds(0) {
        let grey = kind.what.contains("grey") || kind.what == "one bit";
        if kind.good {
            assert_eq!(head(&kind.bytes).unwrap().grey, grey, "{}", kind.what);
        }
    }
}

#[test]
fn the_middle_is_kept_and_computed_as_if_all_were() {
    // Columns of 6×2 pixels of 10, 20, … 60: of a square of 2 pixels remain columns 3 and 4.
    let wide = image::GrayImage::from_fn(6, 2, |x, _| image::Luma([(x * 10 + 10) as u8]));
    let png = file(wide, ImageFormat::Png);
    assert_eq!(decode(&png, square(2, 1)).unwrap(), [30, 40, 30, 40]);
    // Halving by the triangle filter of half-width 2: weights 1, 3, 3, 1 over 8, and at the edge 3, 3, 1 over 7.
    let row = image::GrayImage::from_raw(
        8,
        8,
        (0..64).map(|i| [0, 80, 160, 240, 0, 80, 160, 240][i % 8]).collect(),
    );
    let png = file(row.unwrap(), ImageFormat::Png);
    let half = decode(&png, square(4, 1)).unwrap();
    assert_eq!(half[..4], [57, 160, 80, 183].map(|x: u8| x), "{half:?}");
    // The same numbers where only the middle is wanted.
    let middle = decode(&png, Form { shape: [2, 2, 1], short_side: Some(4) }).unwrap();
    assert_eq!(middle, [half[5], half[6], half[9], half[10]]);
}
