//! Feeds damaged files to every reader of data sets, features and weights and counts what they do; exits with 1 at a panic, at a result that
//! contradicts itself, at a message that is not one line of at most 1,000 characters beginning with the file's name, or
//! where a file's promise took memory.
//!
//! Run: `cargo run --release -p trainer --example fuzz_readers [MILLIONS] [SEED]`, 10 million inputs by default. Each
//! input is a valid small file after one to four changes: bits flipped, bytes overwritten, cut, inserted, removed,
//! copied from another place or file, or numbers replaced by extreme ones in the forms that the formats use. Half of
//! the changes fall where the files have their structure (headers, labels, the pickles outside the pixels). Packed
//! files are changed before packing (stored, so that the checksum holds) or after. An input depends on SEED, reader and
//! number only, and a panic is reported with these. Before them come files that were made to harm: headers that promise
//! more than any memory holds, nested and doubled lists, values without end.

use measure::rng::{Purpose, stream};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::io::{Read, Write};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use trainer::data::cifar::{self, Classes, LAYOUTS, Records};
use trainer::data::{Images, ag_news, idx, own};
use trainer::model::torch;

/// Virtual memory that the process may have taken at most; the largest valid input has 26 kB.
const MOST_MEMORY: u64 = 2 << 30;

/// A valid file, and where its structure lies.
struct Valid {
    bytes: Vec<u8>,
    structure: Vec<Range<usize>>,
}

/// What a reader made of an input: whether the result is consistent, or why the input was refused.
type Verdict = trainer::Result<bool>;

type Pack = fn(&[u8]) -> Vec<u8>;

struct Reader {
    name: &'static str,
    valid: Vec<Valid>,
    /// What the reader gets instead of the file: it packed, or inside an archive.
    pack: Option<Pack>,
    read: fn(&[u8]) -> Verdict,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<f64>());
    let (Ok(millions), Ok(seed)) =
        (arguments.next().unwrap_or(Ok(10.0)), arguments.next().unwrap_or(Ok(1.0)))
    else {
        eprintln!("usage: fuzz_readers [MILLIONS] [SEED]");
        return ExitCode::from(2);
    };
    let seed = seed as u64;
    let readers = readers();
    let each = (millions * 1e6 / readers.len() as f64).ceil() as u64;
    // Panics are counted; their messages would drown the table.
    std::panic::set_hook(Box::new(|_| {}));
    let heads = ["inputs", "accepted", "refused", "panics", "wrong"].map(|head| format!("{head:>10}"));
    println!("{:<28} {} {:>9}", "reader", heads.join(" "), "seconds");
    let (mut bad, mut total) = (0, [0; 5]);
    for (number, reader) in readers.iter().enumerate() {
        let accepts =
            |valid: &Valid| matches!((reader.read)(&input_of(reader, valid.bytes.clone())), Ok(true));
        if !reader.valid.iter().all(accepts) {
            eprintln!("{}: a valid file is refused", reader.name);
            return ExitCode::FAILURE;
        }
        for (index, file) in hostile(reader.name).into_iter().enumerate() {
            let read = || (reader.read)(&input_of(reader, file));
            match catch_unwind(AssertUnwindSafe(read)) {
                Ok(Err(error)) if is_fit(&error.to_string()) => {}
                verdict => {
                    let verdict: String = format!("{verdict:?}").chars().take(200).collect();
                    eprintln!("{}: hostile file {index} gives {verdict}", reader.name);
                    bad += 1;
                }
            }
        }
        let start = std::time::Instant::now();
        let counters = [const { AtomicU64::new(0) }; 4];
        let [accepted, refused, panics, wrong] = &counters;
        (0..each).into_par_iter().for_each(|index| {
            let input = damaged(reader, &mut stream(seed, Purpose::Split, (number as u64) << 40 | index));
            let counter = match catch_unwind(AssertUnwindSafe(|| (reader.read)(&input))) {
                Ok(Ok(true)) => accepted,
                Ok(Err(error)) if is_fit(&error.to_string()) => refused,
                Ok(verdict) => {
                    let verdict: String = format!("{verdict:?}").chars().take(200).collect();
                    eprintln!("{}: input {index} of seed {seed} gives {verdict}", reader.name);
                    wrong
                }
                Err(_) => {
                    eprintln!("{}: input {index} of seed {seed} panics", reader.name);
                    panics
                }
            };
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let [accepted, refused, panics, wrong] = counters.map(AtomicU64::into_inner);
        let row = [each, accepted, refused, panics, wrong];
        print_row(reader.name, row, start.elapsed().as_secs_f64());
        total.iter_mut().zip(row).for_each(|(total, value)| *total += value);
        bad += panics + wrong;
    }
    print_row("all", total, f64::NAN);
    let (resident, virtual_memory) = (status("VmHWM:"), status("VmPeak:"));
    println!("largest memory: {} MiB resident, {} MiB virtual", resident >> 20, virtual_memory >> 20);
    if virtual_memory > MOST_MEMORY {
        eprintln!("more than {} MiB of memory were taken", MOST_MEMORY >> 20);
        bad += 1;
    }
    ExitCode::from(u8::from(bad > 0))
}

fn print_row(name: &str, counts: [u64; 5], seconds: f64) {
    let counts = counts.map(|count| format!("{count:>10}")).join(" ");
    let seconds = if seconds.is_nan() { String::new() } else { format!("{seconds:.1}") };
    println!("{name:<28} {counts} {seconds:>9}");
}

/// Whether a message names the file first and is one line of moderate length.
fn is_fit(message: &str) -> bool {
    message.starts_with("input") && message.chars().count() <= 1000 && !message.chars().any(char::is_control)
}

/// A line of `/proc/self/status` in bytes; 0 where there is none.
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) << 10
}

fn place() -> &'static Path {
    Path::new("input")
}

/// What the formats are and which files they start from.
fn readers() -> Vec<Reader> {
    let reader = |name, valid, packed: bool, read| {
        let pack = packed.then_some(pack as Pack);
        Reader { name, valid, pack, read }
    };
    let whole = |bytes: Vec<u8>| Valid { structure: std::iter::once(0..bytes.len()).collect(), bytes };
    let pickles = || {
        let ten = &include_bytes!("../tests/cifar/ten_protocol_2.pickle")[..];
        let old = &include_bytes!("../tests/cifar/ten_protocol_1.pickle")[..];
        let hundred = &include_bytes!("../tests/cifar/hundred_protocol_2.pickle")[..];
        [ten, old, hundred].map(|bytes| {
            // The pixels lie in one piece somewhere after the head.
            let (head, tail) = (150, if bytes == hundred { 180 } else { 160 });
            Valid { bytes: bytes.to_vec(), structure: vec![0..head, bytes.len() - tail..bytes.len()] }
        })
    };
    let [ten, old, hundred] = pickles();
    vec![
        reader("idx images", idx_images(), false, |bytes| images_verdict(bytes)),
        reader("idx labels", vec![idx_file(2049, &[40], &[3; 40])], false, labels_verdict),
        reader("idx images, packed", idx_images(), true, |bytes| {
            images_verdict(flate2::bufread::MultiGzDecoder::new(bytes))
        }),
        reader("CIFAR-10, binary", vec![records(&[&[6], &[9]])], false, |bytes| {
            records_verdict(bytes, Classes::Ten, cifar::binary::read)
        }),
        reader("CIFAR-100, binary", vec![records(&[&[11, 19], &[13, 99]])], false, |bytes| {
            records_verdict(bytes, Classes::Coarse, cifar::binary::read)
        }),
        reader("CIFAR-10, python", vec![ten, old], false, |bytes| {
            records_verdict(bytes, Classes::Ten, cifar::python::read)
        }),
        reader("CIFAR-100, python", vec![hundred], false, |bytes| {
            records_verdict(bytes, Classes::Fine, cifar::python::read)
        }),
        reader("CIFAR-10, binary archive", vec![binary_archive()], true, |bytes| {
            archive_verdict(bytes, 0, Classes::Ten)
        }),
        reader("CIFAR-100, python archive", vec![python_archive()], true, |bytes| {
            archive_verdict(bytes, 3, Classes::Fine)
        }),
        reader("shards (archive)", vec![shard()], false, |bytes| {
            let found = own::index_of_tar(std::io::Cursor::new(bytes), bytes.len() as u64);
            let is_within = |sample: &own::Sample| sample.offset + sample.length <= bytes.len() as u64;
            match found.left_out.total {
                0 => Ok(!found.samples.is_empty() && found.samples.iter().all(is_within)),
                _ if !found.samples.iter().all(is_within) => Ok(false),
                _ => {
                    let (_, reason) = &found.left_out.first[0];
                    Err(trainer::Error::data(place(), reason.clone()))
                }
            }
        }),
        reader("AG News", articles(), false, |bytes| {
            let articles = ag_news::parse(bytes, place())?;
            Ok(!articles.is_empty() && articles.iter().all(|article| article.class < ag_news::NUM_CLASSES))
        }),
        Reader {
            name: NPZ,
            valid: [npy("<f4", "(2, 2)", &floats()), npy("<f4", "(4, 1)", &floats())].map(whole).into(),
            pack: Some(npz),
            read: |bytes| with_file("npz", bytes, features_verdict),
        },
        reader("features, safetensors", vec![whole(safetensors())], false, |bytes| {
            with_file("safetensors", bytes, features_verdict)
        }),
        Reader {
            name: PYTORCH,
            valid: vec![whole(torch_pickle())],
            pack: Some(pt),
            read: |bytes| with_file("pt", bytes, |path| Ok(!torch::shapes(path)?.is_empty())),
        },
    ]
}

const NPZ: &str = "features, npz";
const PYTORCH: &str = "weights of PyTorch";

/// Files that were made to harm a reader, before they are packed.
fn hostile(reader: &str) -> Vec<Vec<u8>> {
    let shapes = [
        "(1099511627776, 8)",
        "(4611686018427387904, 8)",
        "(4294967296, 4294967296)",
        "(0, 1099511627776)",
        "(18446744073709551616, 2)",
        "(2, -2)",
    ];
    match reader {
        NPZ => {
            shapes.iter().flat_map(|shape| [npy("<f4", shape, &[]), npy("<f8", shape, &[0; 64])]).collect()
        }
        PYTORCH | "CIFAR-10, python" | "CIFAR-100, python" => vec![
            [&b"]".repeat(1_000_000)[..], &b"a".repeat(999_999), b"."].concat(),
            [&b")q\0"[..], &b"h\0h\0\x86q\0".repeat(40), b"."].concat(),
            [&b"]q\0"[..], &b"(h\0h\0e".repeat(40), b"."].concat(),
            b"N".repeat(4_000_000),
            b"(".repeat(4_000_000),
            b"X\xff\xff\xff\xff".to_vec(),
        ],
        _ => Vec::new(),
    }
}

/// What `read` makes of a file of these bytes; in messages it is called as all inputs are.
fn with_file(ending: &str, bytes: &[u8], read: fn(&Path) -> Verdict) -> Verdict {
    static FOLDER: LazyLock<Option<tempfile::TempDir>> = LazyLock::new(|| {
        let memory = Path::new("/dev/shm");
        (if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }).ok()
    });
    let folder = FOLDER.as_ref().expect("a folder for temporary files").path();
    let number = rayon::current_thread_index().map_or("main".into(), |index| index.to_string());
    let path = folder.join(format!("{number}.{ending}"));
    std::fs::write(&path, bytes).expect("a temporary file can be written");
    read(&path).map_err(|error| {
        let message = error.to_string();
        match message.strip_prefix(&format!("{}: ", path.display())) {
            Some(rest) => trainer::Error::data(place(), rest),
            None => error,
        }
    })
}

fn features_verdict(path: &Path) -> Verdict {
    let features = measure::Features::read(path)?;
    let [first, second] = [&features.view1, &features.view2];
    let whole = first.rows * first.cols == first.data.len() && second.data.len() == first.data.len();
    Ok(whole && features.labels.len() == first.rows && first.data.iter().all(|v| v.abs() <= 1.0 + 1e-9))
}

fn floats() -> Vec<u8> {
    [3f32, 4.0, -1.0, 0.5].iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// An array as `numpy.save` writes it.
fn npy(descr: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), values].concat()
}

/// An archive with this array as both views, and labels for two or four rows.
fn npz(array: &[u8]) -> Vec<u8> {
    // Of the valid arrays, one has two rows and one four.
    let four = array.windows(6).any(|window| window == b"(4, 1)");
    let labels = if four { npy("|u1", "(4,)", &[0, 1, 0, 1]) } else { npy("|u1", "(2,)", &[0, 1]) };
    zip(&[("view1.npy", array), ("view2.npy", array), ("labels.npy", &labels)])
}

/// A checkpoint with this pickle.
fn pt(pickle: &[u8]) -> Vec<u8> {
    zip(&[("a/data.pkl", pickle), ("a/byteorder", b"little")])
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        let method = zip::CompressionMethod::Stored;
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        archive.start_file(*name, options).expect("a vector takes everything");
        archive.write_all(bytes).expect("a vector takes everything");
    }
    archive.finish().expect("a vector takes everything").into_inner()
}

/// The pickle of a checkpoint that PyTorch wrote.
fn torch_pickle() -> Vec<u8> {
    let file = std::io::Cursor::new(&include_bytes!("../tests/torch/published.pt")[..]);
    let mut archive = zip::ZipArchive::new(file).expect("a zip archive");
    let mut pickle = Vec::new();
    let mut entry = archive.by_name("published/data.pkl").expect("a pickle");
    entry.read_to_end(&mut pickle).expect("a pickle");
    pickle
}

/// Features of four samples of two classes.
fn safetensors() -> Vec<u8> {
    use safetensors::tensor::{Dtype, TensorView, serialize};
    let (values, labels) = (floats(), [0, 1, 0, 1]);
    let view = TensorView::new(Dtype::F32, vec![4, 1], &values).expect("a tensor");
    let labels = TensorView::new(Dtype::U8, vec![4], &labels).expect("a tensor");
    serialize([("view1", view.clone()), ("view2", view), ("labels", labels)], None).expect("tensors")
}

fn images_verdict(stream: impl Read) -> Verdict {
    let (pixels, [height, width]) = idx::images(stream, place())?;
    Ok(!pixels.is_empty() && pixels.len() % (height * width) == 0)
}

fn labels_verdict(bytes: &[u8]) -> Verdict {
    let labels = idx::labels(bytes, place(), idx::NUM_CLASSES)?;
    Ok(labels.len() + 8 == bytes.len() && labels.iter().all(|&label| label < idx::NUM_CLASSES))
}

fn records_verdict<'a>(
    bytes: &'a [u8],
    classes: Classes,
    read: fn(&'a [u8], &Path, Classes, &mut Records) -> trainer::Result<()>,
) -> Verdict {
    let mut records = Records::default();
    read(bytes, place(), classes, &mut records)?;
    let fits = !records.labels.is_empty() && records.pixels.len() == records.labels.len() * 3072;
    Ok(fits && records.labels.iter().all(|&label| label < classes.number()))
}

fn archive_verdict(bytes: &[u8], layout: usize, classes: Classes) -> Verdict {
    let (train, test) = cifar::archive::read(bytes, place(), &LAYOUTS[layout], classes)?;
    let fits = |images: &Images| !images.is_empty() && images.image(images.len() - 1).len() == 3072;
    Ok(fits(&train) && fits(&test))
}

fn idx_file(magic: u32, sizes: &[u32], items: &[u8]) -> Valid {
    let numbers = [&[magic], sizes].concat();
    let bytes = numbers.iter().flat_map(|number| number.to_be_bytes()).chain(items.iter().copied()).collect();
    Valid { bytes, structure: std::iter::once(0..4 + 4 * sizes.len()).collect() }
}

fn idx_images() -> Vec<Valid> {
    let pixels: Vec<u8> = (0..=255).collect();
    vec![idx_file(2051, &[4, 8, 8], &pixels), idx_file(2051, &[1, 16, 8], &pixels[..128])]
}

fn records(labels: &[&[u8]]) -> Valid {
    let record = |label: &&[u8]| [label, &[7; 3072][..]].concat();
    let bytes: Vec<u8> = labels.iter().flat_map(record).collect();
    let size = bytes.len() / labels.len();
    Valid { bytes, structure: (0..labels.len()).map(|i| i * size..i * size + labels[i].len()).collect() }
}

fn articles() -> Vec<Valid> {
    let quoted =
        "\"3\",\"Oil\",\"Prices of \"\"crude\"\" rise\"\n\"1\",\"A \\ b\",\"two\nlines\"\n\"4\",\"c\",\"\"\n";
    [quoted, "2,x,y\r\n1,\"ü\",z"]
        .map(|text| Valid { bytes: text.into(), structure: std::iter::once(0..text.len()).collect() })
        .into()
}

fn tar(entries: &[(String, Vec<u8>)]) -> Valid {
    let (mut builder, mut structure, mut offset) = (tar::Builder::new(Vec::new()), Vec::new(), 0);
    for (path, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, &bytes[..]).expect("a vector takes everything");
        structure.push(offset..offset + 512);
        offset += 512 + bytes.len().next_multiple_of(512);
    }
    Valid { bytes: builder.into_inner().expect("a vector takes everything"), structure }
}

/// Two samples of a shard, one with a name too long for a header.
fn shard() -> Valid {
    let long = format!("{}2.cls", "deep/".repeat(24));
    let entry = |name: &str, bytes: &[u8]| (name.to_string(), bytes.to_vec());
    let png = b"\x89PNG\r\n\x1a\n not looked at";
    let mut valid = tar(&[
        entry("1.png", png),
        entry("1.cls", b"3"),
        entry(&long.replace("cls", "png"), png),
        entry(&long, b"4"),
    ]);
    // Before the headers of the last two stand a header and a block with the name.
    valid.structure = [0, 2, 4, 5, 6, 8, 9, 10].map(|block| block * 512..(block + 1) * 512).into();
    valid
}

fn binary_archive() -> Valid {
    let names = LAYOUTS[0].train.iter().chain([&LAYOUTS[0].test]);
    let entry = |name: &&str| (format!("{}/{name}", LAYOUTS[0].folder), records(&[&[4]]).bytes);
    tar(&names.map(entry).collect::<Vec<_>>())
}

fn python_archive() -> Valid {
    let pickle = include_bytes!("../tests/cifar/hundred_protocol_2.pickle");
    let entry = |name| (format!("{}/{name}", LAYOUTS[3].folder), pickle.to_vec());
    let entries = ["train", "test"].map(entry);
    let mut valid = tar(&entries);
    // The heads of the pickles too.
    let heads: Vec<_> = valid.structure.iter().map(|header| header.end..header.end + 150).collect();
    valid.structure.extend(heads);
    valid
}

/// The input that a reader gets of a file.
fn input_of(reader: &Reader, bytes: Vec<u8>) -> Vec<u8> {
    match reader.pack {
        Some(pack) => pack(&bytes),
        None => bytes,
    }
}

fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a vector takes everything")
}

/// A valid file after one to four changes.
fn damaged(reader: &Reader, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let valid = &reader.valid[rng.random_range(0..reader.valid.len())];
    let other = &reader.valid[rng.random_range(0..reader.valid.len())].bytes;
    let (mut bytes, mut structure) = (valid.bytes.clone(), &valid.structure[..]);
    let after_packing = reader.pack.is_some() && rng.random_range(0..2) == 0;
    if after_packing {
        (bytes, structure) = (input_of(reader, bytes), &[]);
    }
    for _ in 0..rng.random_range(1..=4) {
        change(&mut bytes, structure, other, rng);
    }
    // A tar header whose checksum is wrong ends the reading: most changes should get beyond it.
    if !after_packing {
        if reader.name.contains("archive") && rng.random_range(0..4) > 0 {
            valid.structure.iter().for_each(|header| set_tar_checksum(&mut bytes, header));
        }
        return input_of(reader, bytes);
    }
    bytes
}

/// Puts the right checksum (the sum of all bytes, the checksum's own counted as blanks) into a tar header.
fn set_tar_checksum(bytes: &mut [u8], header: &Range<usize>) {
    let Some(header) = bytes.get_mut(header.clone()).filter(|header| header.len() == 512) else { return };
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// One change.
fn change(bytes: &mut Vec<u8>, structure: &[Range<usize>], other: &[u8], rng: &mut ChaCha8Rng) {
    let at = position(bytes.len(), structure, rng);
    let rest = bytes.len() - at;
    match rng.random_range(0..8) {
        0 if rest > 0 => bytes[at] ^= 1 << rng.random_range(0..8),
        1 if rest > 0 => bytes[at] = rng.random(),
        2 => bytes.truncate(at),
        3 => {
            let inserted: Vec<u8> = (0..rng.random_range(1..=16)).map(|_| rng.random()).collect();
            bytes.splice(at..at, inserted);
        }
        4 => drop(bytes.drain(at..at + rest.min(rng.random_range(1..=64)))),
        5 => {
            let begin = rng.random_range(0..other.len());
            let piece = &other[begin..][..(other.len() - begin).min(rng.random_range(1..=600))];
            let end = at + if rng.random() { piece.len().min(rest) } else { 0 };
            bytes.splice(at..end, piece.iter().copied());
        }
        _ => {
            let number = extreme(rng);
            let length = number.len().min(rest);
            bytes[at..at + length].copy_from_slice(&number[..length]);
        }
    }
}

/// A place in a file of `length` bytes: every other time in the structure.
fn position(length: usize, structure: &[Range<usize>], rng: &mut ChaCha8Rng) -> usize {
    if !structure.is_empty() && rng.random() {
        let range = structure[rng.random_range(0..structure.len())].clone();
        return rng.random_range(range).min(length);
    }
    rng.random_range(0..=length)
}

/// A number at the edge of what a length can be: in four or eight bytes of either order, or in octal digits.
fn extreme(rng: &mut ChaCha8Rng) -> Vec<u8> {
    const NUMBERS: [u64; 12] =
        [0, 1, 255, 256, 65535, (1 << 31) - 1, 1 << 31, u32::MAX as u64, 1 << 32, 1 << 40, 1 << 63, u64::MAX];
    let number = NUMBERS[rng.random_range(0..NUMBERS.len())];
    match rng.random_range(0..6) {
        0 => (number as u32).to_be_bytes().into(),
        1 => (number as u32).to_le_bytes().into(),
        2 => number.to_be_bytes().into(),
        3 => number.to_le_bytes().into(),
        4 => (number as u16).to_le_bytes().into(),
        _ => format!("{:011o}\0", number & ((1 << 33) - 1)).into_bytes(),
    }
}
