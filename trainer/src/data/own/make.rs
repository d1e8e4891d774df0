//! All images of a listing, one after the other: decoded on all cores, in the order of the files.

use super::decode::{self, Form, Head};
use super::left_out::LeftOut;
use super::listing::{Listing, Source};
use super::{Colour, ImageSettings};
use crate::error::{Error, Result};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::Path;

/// Bytes of pixels that wait to be written.
const WAITING: usize = 1 << 26;

/// How often a long work says how far it is, in files.
const TOLD_EVERY: usize = 20_000;

/// What was made of a listing.
#[derive(Debug)]
pub(super) struct Made {
    /// What every image became.
    pub(super) form: Form,
    /// CRC-32C of each file's pixels, none of those that are left out.
    pub(super) checksums: [Vec<Option<u32>>; 2],
    /// Class of each image of the two parts, in the order of the files.
    pub(super) labels: [Vec<u32>; 2],
    /// [`digest_of`] all pixels.
    pub(super) pixels: String,
    /// Files that are not among them.
    pub(super) left_out: LeftOut,
}

/// Decodes the files and writes their pixels, those of the first part first.
///
/// # Errors
/// No image; images of several sizes without a side to bring them to; `to` fails.
pub(super) fn make(
    listing: &Listing,
    settings: &ImageSettings,
    to: &mut impl Write,
    place: &Path,
) -> Result<Made> {
    let form = form_of(listing, settings)?;
    let image_bytes: usize = form.shape.iter().product();
    let at_once = (WAITING / image_bytes).clamp(1, 4096).max(rayon::current_num_threads());
    let all: usize = listing.parts.iter().map(Vec::len).sum();
    let (mut labels, mut left_out, mut digest) =
        ([Vec::new(), Vec::new()], listing.left_out.clone(), Sha256::new());
    let mut checksums = [Vec::new(), Vec::new()];
    let (mut done, mut told) = (0, 0);
    for (part, sources) in listing.parts.iter().enumerate() {
        for some in sources.chunks(at_once) {
            let decoded: Vec<_> =
                some.par_iter().with_max_len(1).map(|source| one(listing, source, form)).collect();
            for (source, decoded) in some.iter().zip(decoded) {
                match decoded {
                    Ok((pixels, of_pixels)) => {
                        to.write_all(&pixels).map_err(|e| Error::io(place, e))?;
                        digest.update(of_pixels);
                        labels[part].push(source.class);
                        checksums[part].push(Some(crc32c::crc32c(&pixels)));
                    }
                    Err(reason) => {
                        left_out.add(&source.path.to_string_lossy(), &reason);
                        checksums[part].push(None);
                    }
                }
            }
            done += some.len();
            if done >= told + TOLD_EVERY {
                told = done;
                theory::terminal::say(&format!(
                    "{}: {done} of {all} files decoded",
                    listing.folder.display()
                ));
            }
        }
    }
    let pixels = hexadecimal(digest);
    Ok(Made { form, checksums, labels, pixels, left_out })
}

/// SHA-256 over the SHA-256 of each image of so many bytes: what many threads can check at once.
pub(super) fn digest_of(pixels: &[u8], image_bytes: usize) -> String {
    let of_each: Vec<_> = pixels.par_chunks(image_bytes.max(1)).map(Sha256::digest).collect();
    hexadecimal(of_each.iter().fold(Sha256::new(), |digest, image| digest.chain_update(image)))
}

fn hexadecimal(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

type Decoded = (Vec<u8>, sha2::digest::Output<Sha256>);

fn one(listing: &Listing, source: &Source, form: Form) -> std::result::Result<Decoded, String> {
    let bytes = listing.bytes_of(source)?;
    let pixels = decode::decode(&bytes, form)?;
    let digest = Sha256::digest(&pixels);
    Ok((pixels, digest))
}

/// What every image becomes: what the settings say, and where they leave it open what all files say of themselves.
fn form_of(listing: &Listing, settings: &ImageSettings) -> Result<Form> {
    let folder = &listing.folder;
    let open = settings.side.is_none() || settings.colour == Colour::Auto;
    let heads: Vec<(&Source, Head)> = match open {
        false => Vec::new(),
        true => {
            let sources: Vec<&Source> = listing.parts.iter().flatten().collect();
            let head = |source: &&Source| {
                let bytes = listing.bytes_of(source).ok()?;
                decode::head(&bytes).ok()
            };
            let heads: Vec<_> = sources.par_iter().with_max_len(64).map(head).collect();
            sources.into_iter().zip(heads).filter_map(|(source, head)| Some((source, head?))).collect()
        }
    };
    let channels = match settings.colour {
        Colour::Grey => 1,
        Colour::Rgb => 3,
        Colour::Auto if !heads.is_empty() && heads.iter().all(|(_, head)| head.grey) => 1,
        Colour::Auto => 3,
    };
    if let Some(side) = settings.side {
        let short_side = Some(settings.short_side.unwrap_or(side));
        return Ok(Form { shape: [side, side, channels], short_side });
    }
    let Some(&(first, Head { size: [height, width], .. })) = heads.first() else {
        // None can be decoded: all are left out, for their own reasons.
        return Ok(Form { shape: [1, 1, channels], short_side: None });
    };
    if let Some((other, head)) = heads.iter().find(|(_, head)| head.size != [height, width]) {
        let [other_height, other_width] = head.size;
        return Err(Error::argument(format!(
            "{}: images of several sizes ({}: {width}×{height}, {}: {other_width}×{other_height}): \
             --set images.side=N resizes their shorter sides and cuts N×N from the centre",
            folder.display(),
            first.path.display(),
            other.path.display(),
        )));
    }
    if height.max(width) > super::LARGEST_SIDE {
        return Err(Error::argument(format!(
            "{}: images of {width}×{height} pixels are too large to be taken as they are: --set images.side=N",
            folder.display()
        )));
    }
    Ok(Form { shape: [height, width, channels], short_side: None })
}
