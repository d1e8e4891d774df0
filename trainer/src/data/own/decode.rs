//! One image of one file: bytes \[height, width, channels\].
//!
//! Decoded by what the bytes are, whatever the file is called; turned as EXIF says; 16 bits become 8 (⌊(x + 128)/257⌋);
//! palettes and CMYK become colours; of an animation the first frame is taken. Transparent pixels show white:
//! c' = (α·c + (255 − α)·255)/255, rounded.
//!
//! With `short_side` s and `side` a, an image w × h with w ≤ h is resized to s × ⌊s·h/w⌋ (likewise for h < w) by the
//! triangle filter whose support grows with the reduction (antialiasing), as Pillow's and torchvision's `BILINEAR`, and
//! the a × a pixels in the middle are kept. Only those are computed.

use fast_image_resize::images::Image;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::error::LimitErrorKind;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The most bytes that a file may have.
const MOST_BYTES: u64 = 1 << 28;

/// The most pixels that an image may have: 134 million, more than any camera's.
const MOST_PIXELS: u64 = 1 << 27;

/// The most memory that one image may take while it is decoded, in bytes.
const MOST_MEMORY: u64 = 1 << 30;

/// Images of more pixels are decoded one at a time, so that the memory does not grow with the number of threads.
const LARGE: u64 = 1 << 24;

/// Held while a large image is decoded.
static ONE_LARGE: Mutex<()> = Mutex::new(());

/// What every image becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    /// \[height, width, channels\].
    pub(super) shape: [usize; 3],
    /// What the shorter side is resized to; none, where images have their size already.
    pub(super) short_side: Option<usize>,
}

/// What a file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Height and width, turned as EXIF says.
    pub(super) size: [usize; 2],
    /// Whether it is stored in grey.
    pub(super) grey: bool,
}

/// The bytes of a file.
///
/// # Errors
/// The reason, in words.
pub(super) fn bytes_of(path: &Path) -> Result<Vec<u8>, String> {
    let reason = |error: measure::Error| match error {
        measure::Error::Io { reason, .. } => reason.to_string(),
        measure::Error::Data { message, .. } => message,
        other => other.to_string(),
    };
    let (file, length) = measure::input::open(path).map_err(reason)?;
    if length > MOST_BYTES {
        return Err(format!("{length} bytes exceed the {MOST_BYTES} that a file may have"));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    Ok(bytes)
}

/// What a file says of itself, without its pixels.
///
/// # Errors
/// The reason, in words.
pub(super) fn head(bytes: &[u8]) -> Result<Head, String> {
    guarded(|| {
        let (decoder, orientation) = open(bytes)?;
        let (width, height) = decoder.dimensions();
        let turned = matches!(
            orientation,
            Orientation::Rotate90
                | Orientation::Rotate270
                | Orientation::Rotate90FlipH
                | Orientation::Rotate270FlipH
        );
        let (width, height) = (width as usize, height as usize);
        let size = if turned { [width, height] } else { [height, width] };
        Ok(Head { size, grey: !decoder.color_type().has_color() })
    })
}

/// The pixels of a file in this form.
///
/// # Errors
/// The reason, in words.
pub(super) fn decode(bytes: &[u8], form: Form) -> Result<Vec<u8>, String> {
    guarded(|| {
        let (decoder, orientation) = open(bytes)?;
        let (width, height) = decoder.dimensions();
        let large = u64::from(width) * u64::from(height) > LARGE;
        let _one = large.then(|| ONE_LARGE.lock().unwrap_or_else(PoisonError::into_inner));
        let mut image = DynamicImage::from_decoder(decoder).map_err(|e| reason(&e))?;
        image.apply_orientation(orientation);
        in_form(image, form)
    })
}

/// A decoder that panics has met a damaged file.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("the decoder gave up".into()))
}

fn open(bytes: &[u8]) -> Result<(impl ImageDecoder + '_, Orientation), String> {
    if bytes.is_empty() {
        return Err("empty".into());
    }
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    if reader.format().is_none() {
        return Err("neither JPEG nor PNG nor WebP".into());
    }
    let mut decoder = reader.into_decoder().map_err(|e| reason(&e))?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 || u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(format!("{width}×{height} pixels: between 1 and {MOST_PIXELS} are allowed"));
    }
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MOST_MEMORY);
    decoder.set_limits(limits).map_err(|e| reason(&e))?;
    if bytes.starts_with(&[0xff, 0xd8]) && !is_whole_jpeg(bytes) {
        return Err("the file ends in the middle of the image".into());
    }
    // What a camera wrote about itself may be damaged, and the image whole.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((decoder, orientation))
}

/// Whether a JPEG has its end: decoders fill the rest of a truncated one with grey.
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    /// Markers without a length: TEM, RST0 to RST7, SOI.
    fn is_bare(marker: u8) -> bool {
        matches!(marker, 0x01 | 0xd0..=0xd8)
    }
    let mut rest = bytes;
    // A byte 0xFF within the pixels is followed by 0, fill bytes by another 0xFF; all else is a marker.
    let is_marker = |rest: &[u8], at: usize| rest.get(at + 1).is_some_and(|next| !matches!(next, 0 | 0xff));
    while let Some(at) = memchr::memchr_iter(0xff, rest).find(|&at| is_marker(rest, at)) {
        let marker = rest[at + 1];
        rest = &rest[at + 2..];
        if marker == 0xd9 {
            return true;
        }
        if !is_bare(marker) {
            let Some(length) = rest.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length)))
            else {
                return false;
            };
            rest = rest.get(length..).unwrap_or_default();
        }
    }
    false
}

fn reason(error: &ImageError) -> String {
    match error {
        ImageError::Limits(e) if matches!(e.kind(), LimitErrorKind::InsufficientMemory) => {
            format!("it takes more than {MOST_MEMORY} bytes to decode")
        }
        other => other.to_string(),
    }
}

fn in_form(image: DynamicImage, form: Form) -> Result<Vec<u8>, String> {
    let (width, height) = (image.width(), image.height());
    let [rows, columns, channels] = form.shape;
    let pixels = match (channels, image.color().has_alpha()) {
        (1, false) => image.into_luma8().into_raw(),
        (1, true) => over_white::<1, 2>(image.into_luma_alpha8().into_raw()),
        (_, false) => image.into_rgb8().into_raw(),
        (_, true) => over_white::<3, 4>(image.into_rgba8().into_raw()),
    };
    let Some(short_side) = form.short_side else {
        return match [height as usize, width as usize] == [rows, columns] {
            true => Ok(pixels),
            false => Err(format!("of {width}×{height} pixels, not {columns}×{rows}")),
        };
    };
    let crop = Crop::new([width, height], short_side, rows);
    if crop.is_whole && [width as usize, height as usize] == [columns, rows] {
        return Ok(pixels);
    }
    let kind = if channels == 1 { PixelType::U8 } else { PixelType::U8x3 };
    let source = Image::from_vec_u8(width, height, pixels, kind).map_err(|e| e.to_string())?;
    let mut square = Image::new(columns as u32, rows as u32, kind);
    let [left, top, across, down] = crop.of_source;
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .crop(left, top, across, down);
    Resizer::new().resize(&source, &mut square, &options).map_err(|e| e.to_string())?;
    Ok(square.into_vec())
}

/// The middle of the resized image, in coordinates of the source.
struct Crop {
    /// Left, top, width, height, in pixels of the source.
    of_source: [f64; 4],
    /// Whether it is all of the image.
    is_whole: bool,
}

impl Crop {
    /// `size` is \[width, height\].
    fn new(size: [u32; 2], short_side: usize, side: usize) -> Self {
        let shorter = u64::from(size[0].min(size[1]));
        let resized = size.map(|length| u64::from(length) * short_side as u64 / shorter);
        let scale = [0, 1].map(|axis| f64::from(size[axis]) / resized[axis] as f64);
        let begin = resized.map(|length| {
            // Half of it, an odd one rounded to an even number, as torchvision's CenterCrop does.
            let rest = length - side as u64;
            rest / 2 + (rest % 2) * (rest / 2 % 2)
        });
        let [left, top] = [0, 1].map(|axis| begin[axis] as f64 * scale[axis]);
        // Rounding must not leave the image.
        let across = (side as f64 * scale[0]).min(f64::from(size[0]) - left);
        let down = (side as f64 * scale[1]).min(f64::from(size[1]) - top);
        Self { of_source: [left, top, across, down], is_whole: resized == [side as u64; 2] }
    }
}

/// `C` channels of pixels that have a further one, α, over white.
fn over_white<const C: usize, const WITH_ALPHA: usize>(mut pixels: Vec<u8>) -> Vec<u8> {
    let count = pixels.len() / WITH_ALPHA;
    for i in 0..count {
        let alpha = u32::from(pixels[i * WITH_ALPHA + C]);
        for c in 0..C {
            let over = alpha * u32::from(pixels[i * WITH_ALPHA + c]) + (255 - alpha) * 255;
            pixels[i * C + c] = ((over + 127) / 255) as u8;
        }
    }
    pixels.truncate(count * C);
    pixels
}
