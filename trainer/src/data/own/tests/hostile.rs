//! Images as people have them, and files that are none: what a folder may hold.

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{DynamicImage, ExtendedColorType, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, Rgba};
use std::io::Cursor;

/// An 8×8 CMYK JPEG of the colour (200, 100, 50), as Adobe's programs and Pillow write them, inverted:
/// `Image.new("RGB", (8, 8), (200, 100, 50)).convert("CMYK").save("cmyk.jpg", quality=90)`.
const CMYK: &str = "\
    ffd8ffee000e41646f626500640000000000ffdb0043000302020302020303030304030304050805050404050a070706080c0a0c\
    0c0b0a0b0b0d0e12100d0e110e0b0b1016101113141515150c0f171816141812141514ffc000140800080008044311004d110059\
    11004b1100ffc4001f0000010501010101010100000000000000000102030405060708090a0bffc400b510000201030302040305\
    0504040000017d01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25\
    262728292a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a\
    92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7\
    e8e9eaf1f2f3f4f5f6f7f8f9faffda000e0443004d0059004b00003f00fb02bcd2be2fafd53affd9";

/// A picture whose colour follows from place and number.
pub fn picture(width: u32, height: u32, number: u32) -> ImageBuffer<Rgb<u8>, Vec<u8>> {
    ImageBuffer::from_fn(width, height, |x, y| {
        let [red, green] = [x * 255 / width.max(2), y * 255 / height.max(2)];
        Rgb([red as u8, green as u8, (number * 37 % 256) as u8])
    })
}

/// The file of a picture.
pub fn file(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.into().write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn png_of(
    width: u32,
    height: u32,
    color: png::ColorType,
    pixels: &[u8],
    set: impl Fn(&mut png::Encoder<'_, &mut Vec<u8>>),
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(color);
    set(&mut encoder);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels).unwrap();
    drop(writer);
    file
}

/// An orientation as cameras write it, before the rest of a JPEG.
pub fn turned(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0".to_vec();
    exif[25] = orientation;
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

/// A WebP of two frames.
fn animated_webp(first: &[u8], second: &[u8]) -> Vec<u8> {
    let chunk = |name: &[u8; 4], body: &[u8]| {
        let mut chunk = [&name[..], &(body.len() as u32).to_le_bytes(), body].concat();
        chunk.resize(chunk.len().next_multiple_of(2), 0);
        chunk
    };
    let frame = |file: &[u8]| {
        // Place, size, duration, and that a frame replaces what is below it.
        let head = [0, 0, 0, 0, 0, 0, 7, 0, 0, 7, 0, 0, 100, 0, 0, 2];
        chunk(b"ANMF", &[&head, &file[12..]].concat())
    };
    let extended = chunk(b"VP8X", &[2, 0, 0, 0, 7, 0, 0, 7, 0, 0]);
    let all = [&b"WEBP"[..], &extended, &chunk(b"ANIM", &[0; 6]), &frame(first), &frame(second)].concat();
    chunk(b"RIFF", &all)
}

/// A PNG of two frames.
fn animated_png(pixels: [&[u8]; 2]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 8, 8);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_animated(2, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    pixels.iter().for_each(|frame| writer.write_image_data(frame).unwrap());
    drop(writer);
    file
}

/// A PNG whose head promises more pixels than any memory holds.
fn promise(width: u32, height: u32) -> Vec<u8> {
    let mut file = png_of(1, 1, png::ColorType::Grayscale, &[0], |_| ());
    file[16..20].copy_from_slice(&width.to_be_bytes());
    file[20..24].copy_from_slice(&height.to_be_bytes());
    let mut sum = flate2::Crc::new();
    sum.update(&file[12..29]);
    let sum = sum.sum().to_be_bytes();
    file[29..33].copy_from_slice(&sum);
    file
}

/// A kind of file.
pub struct Kind {
    /// What it is, in words.
    pub what: &'static str,
    /// The name's ending.
    pub ending: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
    /// Whether an image comes out.
    pub good: bool,
}

/// One file of each kind, in the order of this list.
pub fn kinds(number: u32) -> Vec<Kind> {
    let plain = picture(8, 8, number);
    let png = file(plain.clone(), ImageFormat::Png);
    let large = picture(40, 30, number);
    let jpeg = |image: &ImageBuffer<Rgb<u8>, Vec<u8>>| {
        let mut file = Vec::new();
        JpegEncoder::new_with_quality(&mut file, 90).encode_image(image).unwrap();
        file
    };
    let mut webp = Vec::new();
    WebPEncoder::new_lossless(&mut webp).encode(&plain, 8, 8, ExtendedColorType::Rgb8).unwrap();
    let grey = ImageBuffer::from_fn(8, 8, |x, y| Luma([(x * 20 + y * 3 + number % 7) as u8]));
    let grey_alpha = ImageBuffer::from_fn(8, 8, |x, y| LumaA([(x * 20) as u8, (y * 30) as u8]));
    let deep_grey = ImageBuffer::from_fn(8, 8, |x, y| Luma([(x * 8000 + y) as u16]));
    let deep = ImageBuffer::from_fn(8, 8, |x, y| Rgb([(x * 8000) as u16, (y * 8000) as u16, 700]));
    let clear = ImageBuffer::from_fn(8, 8, |x, y| Rgba([(x * 30) as u8, 9, 9, (y * 36) as u8]));
    let palette: Vec<u8> = (0..48).map(|i| (i * 5) as u8).collect();
    let indices: Vec<u8> = (0..32).map(|i| (i * 7 + number % 5) as u8).collect();
    let long = jpeg(&picture(64, 64, number));
    let cmyk: Vec<u8> =
        (0..CMYK.len() / 2).map(|i| u8::from_str_radix(&CMYK[2 * i..2 * i + 2], 16).unwrap()).collect();
    let bits: Vec<u8> = vec![0b1010_1010; 8];
    let mut wrong_sum = png.clone();
    let middle = wrong_sum.len() - 20;
    wrong_sum[middle] ^= 255;
    let kind = |what, ending, bytes: Vec<u8>, good| Kind { what, ending, bytes, good };
    vec![
        kind("png", "png", png.clone(), true),
        kind("jpeg", "jpg", jpeg(&large), true),
        kind("jpeg, large letters", "JPEG", jpeg(&large), true),
        kind("webp", "webp", webp.clone(), true),
        kind("grey png", "png", file(grey.clone(), ImageFormat::Png), true),
        kind("grey jpeg", "jpg", file(grey, ImageFormat::Jpeg), true),
        kind("grey with alpha", "png", file(grey_alpha, ImageFormat::Png), true),
        kind("16-bit grey", "png", file(deep_grey, ImageFormat::Png), true),
        kind("16-bit colour", "png", file(deep, ImageFormat::Png), true),
        kind("alpha", "png", file(clear, ImageFormat::Png), true),
        kind(
            "palette",
            "png",
            png_of(8, 8, png::ColorType::Indexed, &indices, |encoder| {
                encoder.set_depth(png::BitDepth::Four);
                encoder.set_palette(palette.clone());
                encoder.set_trns(vec![0, 128]);
            }),
            true,
        ),
        kind(
            "one bit",
            "png",
            png_of(8, 8, png::ColorType::Grayscale, &bits, |encoder| encoder.set_depth(png::BitDepth::One)),
            true,
        ),
        kind("cmyk", "jpg", cmyk, true),
        kind("turned", "jpg", turned(&jpeg(&large), 6), true),
        kind("turned by an unknown number", "jpg", turned(&jpeg(&large), 99), true),
        kind("animated webp", "webp", animated_webp(&webp, &webp), true),
        kind("animated png", "png", animated_png([&plain, &[7; 192]]), true),
        kind("1×1", "png", file(picture(1, 1, number), ImageFormat::Png), true),
        kind("1×300", "png", file(picture(1, 300, number), ImageFormat::Png), true),
        kind("300×2", "jpg", jpeg(&picture(300, 2, number)), true),
        kind("a png called jpg", "jpg", png.clone(), true),
        kind("bytes after the end", "jpg", [&long[..], b"trailing"].concat(), true),
        kind("empty", "jpg", Vec::new(), false),
        kind("truncated png", "png", png[..png.len() * 2 / 3].to_vec(), false),
        kind("truncated jpeg", "jpg", long[..long.len() * 2 / 3].to_vec(), false),
        kind("jpeg cut in its head", "jpg", long[..100].to_vec(), false),
        kind("truncated webp", "webp", webp[..webp.len() / 2].to_vec(), false),
        kind("text", "png", b"not an image at all".to_vec(), false),
        kind(
            "gif",
            "jpg",
            b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;".to_vec(),
            false,
        ),
        kind("wrong checksum", "png", wrong_sum, false),
        kind("a bomb", "png", promise(100_000, 100_000), false),
        kind("a promise of 2^31 columns", "png", promise(1 << 30, 1), false),
        kind("no columns", "png", promise(0, 5), false),
    ]
}

/// Writes `count` files of all kinds in turn into three classes of `folder`/train, and what is no file at all.
pub fn write_folder(folder: &std::path::Path, count: usize) {
    let classes = ["ant", "bee", "cat"].map(|class| folder.join("train").join(class));
    classes.iter().for_each(|class| std::fs::create_dir_all(class).unwrap());
    let mut number = 0;
    while number < count {
        for kind in kinds(number as u32).into_iter().take(count - number) {
            // Seven of a class, then of the next: no kind is of one class alone.
            let path = classes[number / 7 % 3].join(format!("{number:05}.{}", kind.ending));
            std::fs::write(path, kind.bytes).unwrap();
            number += 1;
        }
    }
    std::fs::create_dir_all(classes[0].join("folder.png")).unwrap();
    std::fs::write(classes[0].join("notes.txt"), "of another kind").unwrap();
    std::fs::write(classes[0].join("._hidden.jpg"), "of a file system").unwrap();
    std::fs::write(folder.join("train/stray.png"), "of no class").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink("gone", classes[1].join("gone.jpg")).unwrap();
        symlink("..", classes[1].join("loop")).unwrap();
        assert!(
            std::process::Command::new("mkfifo").arg(classes[2].join("pipe.png")).status().unwrap().success()
        );
    }
}
