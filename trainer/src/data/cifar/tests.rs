//! Synthetic files of every layout. The pickles were written by Python 2 (`tests/cifar/make_pickles.py`).

use super::*;
use crate::data::registry::{self, cifar100};
use std::io::Write;

const TEN_2: &[u8] = include_bytes!("../../../tests/cifar/ten_protocol_2.pickle");
const TEN_1: &[u8] = include_bytes!("../../../tests/cifar/ten_protocol_1.pickle");
const HUNDRED_2: &[u8] = include_bytes!("../../../tests/cifar/hundred_protocol_2.pickle");
const COLUMN_MAJOR: &[u8] = include_bytes!("../../../tests/cifar/ten_column_major.pickle");

/// Byte j of image i in the files' planar order.
fn planar(i: usize, j: usize) -> u8 {
    ((7 * i + 13 * j) % 251) as u8
}

/// Image i with its channels last, pixel by pixel: an independent rearrangement.
fn image(i: usize) -> Vec<u8> {
    (0..IMAGE).map(|k| planar(i, (k % 3) * PLANE + k / 3)).collect()
}

/// Binary records with these labels, images numbered from `first` on.
fn records(first: usize, labels: &[&[u8]]) -> Vec<u8> {
    let record = |(i, label): (usize, &&[u8])| {
        label.iter().copied().chain((0..IMAGE).map(move |j| planar(first + i, j))).collect::<Vec<_>>()
    };
    labels.iter().enumerate().flat_map(record).collect()
}

fn read(layout: &Layout, bytes: &[u8], classes: Classes) -> Result<Records> {
    let mut out = Records::default();
    layout.read(bytes, Path::new("f"), classes, &mut out)?;
    Ok(out)
}

fn error(layout: &Layout, bytes: &[u8], classes: Classes) -> String {
    read(layout, bytes, classes).unwrap_err().to_string()
}

#[test]
fn superclasses_have_five_classes_each() {
    let mut counts = [0; NUM_SUPERCLASSES];
    SUPERCLASS.iter().for_each(|&superclass| counts[usize::from(superclass)] += 1);
    assert_eq!(counts, [5; NUM_SUPERCLASSES]);
    // Aquatic mammals (superclass 0): beaver, dolphin, otter, seal, whale.
    let aquatic: Vec<usize> = (0..100).filter(|&class| SUPERCLASS[class] == 0).collect();
    assert_eq!(aquatic, [4, 30, 55, 72, 95]);
}

#[test]
fn binary_records_come_out_with_channels_last() {
    let ten = read(&LAYOUTS[0], &records(0, &[&[6], &[9]]), Classes::Ten).unwrap();
    assert_eq!((ten.labels, ten.pixels), (vec![6, 9], [image(0), image(1)].concat()));
    let hundred = records(5, &[&[11, 19], &[13, 99]]);
    let fine = read(&LAYOUTS[2], &hundred, Classes::Fine).unwrap();
    assert_eq!((fine.labels, fine.pixels), (vec![19, 99], [image(5), image(6)].concat()));
    assert_eq!(read(&LAYOUTS[2], &hundred, Classes::Coarse).unwrap().labels, [11, 13]);
}

#[test]
fn defects_of_binary_records_are_named_with_record_and_byte() {
    let ten = |bytes: &[u8]| error(&LAYOUTS[0], bytes, Classes::Ten);
    assert_eq!(ten(&[]), "f: byte 0: the file ends inside record 0: 0 of its 3073 bytes");
    let cut = &records(0, &[&[6], &[9]])[..4000];
    assert_eq!(ten(cut), "f: byte 3073: the file ends inside record 1: 927 of its 3073 bytes");
    assert_eq!(ten(&records(0, &[&[6], &[10]])), "f: byte 3073: record 1: class 10 is not 0 to 9");
    let hundred = |labels: &[u8]| error(&LAYOUTS[2], &records(0, &[labels]), Classes::Fine);
    assert_eq!(hundred(&[0, 100]), "f: byte 0: record 0: class 100 is not 0 to 99");
    assert_eq!(
        hundred(&[12, 19]),
        "f: byte 0: record 0: class 19 belongs to superclass 11, the file says 12"
    );
}

#[test]
fn pickles_come_out_as_the_same_records() {
    for pickle in [TEN_2, TEN_1, COLUMN_MAJOR] {
        let ten = read(&LAYOUTS[1], pickle, Classes::Ten).unwrap();
        assert_eq!((ten.labels, ten.pixels), (vec![6, 9, 0], [image(0), image(1), image(2)].concat()));
    }
    let fine = read(&LAYOUTS[3], HUNDRED_2, Classes::Fine).unwrap();
    assert_eq!((fine.labels, fine.pixels), (vec![19, 99], [image(0), image(1)].concat()));
    assert_eq!(read(&LAYOUTS[3], HUNDRED_2, Classes::Coarse).unwrap().labels, [11, 13]);
    // A second file is appended to the first.
    let mut out = Records::default();
    python::read(TEN_2, Path::new("f"), Classes::Ten, &mut out).unwrap();
    python::read(TEN_1, Path::new("f"), Classes::Ten, &mut out).unwrap();
    assert_eq!((out.labels.len(), &out.pixels[5 * IMAGE..]), (6, &image(2)[..]));
}

#[test]
fn other_pickles_are_refused_with_the_byte() {
    let ten = |bytes: &[u8]| error(&LAYOUTS[1], bytes, Classes::Ten);
    // What a malicious pickle begins with: os.system.
    assert_eq!(
        ten(b"cos\nsystem\n(S'true'\ntR."),
        "f: byte 0: pickle instruction 'c': the name os.system is not allowed"
    );
    assert_eq!(
        ten(b"\x80\x04."),
        "f: byte 0: pickle instruction 0x80: protocol 4; the official files have 1 or 2"
    );
    assert_eq!(
        ten(b"\x80\x02}\x8c"),
        "f: byte 3: pickle instruction 0x8c: the official files do not have it"
    );
    assert_eq!(ten(b"e"), "f: byte 0: pickle instruction 'e': there is no mark");
    assert_eq!(ten(b"h\x05"), "f: byte 0: pickle instruction 'h': nothing is kept under 5");
    assert_eq!(ten(b"N)R"), "f: byte 2: pickle instruction 'R': None is not called so in the official files");
    assert_eq!(ten(b"(]Ke"), "f: byte 4: the file ends: 0 of the 1 bytes of an instruction");
    assert_eq!(ten(b"}."), "f: there is no entry 'data'");
    assert_eq!(ten(b"N."), "f: there is no entry 'data'");
    assert_eq!(
        ten(b"T\xff\xff\xff\x7fabc"),
        "f: byte 5: the file ends: 3 of the 2147483647 bytes of a string"
    );
    assert_eq!(ten(b"T\xff\xff\xff\xff"), "f: byte 0: pickle instruction 'T': a length of -1");
}

#[test]
fn damaged_pickles_are_refused() {
    let changed = |from: &[u8], to: &[u8]| {
        let at = TEN_2.windows(from.len()).position(|window| window == from).unwrap();
        let bytes = [&TEN_2[..at], to, &TEN_2[at + from.len()..]].concat();
        error(&LAYOUTS[1], &bytes, Classes::Ten)
    };
    // Rows: 4 instead of 3.
    assert_eq!(
        changed(b"K\x03M\x00\x0c\x86", b"K\x04M\x00\x0c\x86"),
        "f: 'data' has 9216 bytes for 4 rows of 3072"
    );
    assert_eq!(
        changed(b"K\x03M\x00\x0c\x86", b"K\x03M\x01\x0c\x86"),
        "f: 'data' is an array of shape [3, 3073], not an array of shape [N, 3072]"
    );
    assert!(changed(b"U\x02u1", b"U\x02i8").ends_with("an array of type 'i8', not 'u1'"));
    assert_eq!(changed(b"K\x06K\tK\x00e", b"K\x06K\x0aK\x00e"), "f: record 1: class 10 is not 0 to 9");
    assert_eq!(changed(b"K\x06K\tK\x00e", b"K\x06K\te"), "f: 'labels' has 2 items for 3 images");
    assert_eq!(changed(b"K\x06K\tK\x00e", b"K\x06K\tNe"), "f: record 2: the label is None, not a number");
    assert_eq!(changed(b"labels", b"lapels"), "f: there is no entry 'labels'");
    let longer = [TEN_2, b"x"].concat();
    let expected = format!("f: byte {}: bytes follow where the file should end", TEN_2.len());
    assert_eq!(error(&LAYOUTS[1], &longer, Classes::Ten), expected);
    for length in (0..TEN_2.len()).step_by(97) {
        assert!(error(&LAYOUTS[1], &TEN_2[..length], Classes::Ten).contains("the file ends"));
    }
}

/// A packed archive of these entries.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    packed(|builder| {
        for (path, bytes) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            // Written as they are: the library itself refuses to write "..".
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            builder.append(&header, *bytes).unwrap();
        }
    })
}

fn packed(fill: impl FnOnce(&mut tar::Builder<flate2::write::GzEncoder<Vec<u8>>>)) -> Vec<u8> {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut builder = tar::Builder::new(encoder);
    fill(&mut builder);
    builder.into_inner().unwrap().finish().unwrap()
}

fn read_archive(bytes: &[u8], layout: &Layout, classes: Classes) -> Result<(Images, Images)> {
    archive::read(bytes, Path::new("a.tar.gz"), layout, classes)
}

#[test]
fn an_archive_is_read_in_any_order() {
    let batches: Vec<Vec<u8>> = (0..6).map(|i| records(i, &[&[i as u8]])).collect();
    let path = |i: usize| match i {
        5 => "cifar-10-batches-bin/test_batch.bin".to_string(),
        i => format!("cifar-10-batches-bin/data_batch_{}.bin", i + 1),
    };
    let order = [2, 5, 0, 1, 4, 3];
    let paths: Vec<String> = order.iter().map(|&i| path(i)).collect();
    let mut entries: Vec<(&str, &[u8])> =
        order.iter().zip(&paths).map(|(&i, path)| (path.as_str(), &batches[i][..])).collect();
    entries.insert(1, ("cifar-10-batches-bin/readme.html", b"<html>"));
    let bytes = archive(&entries);
    let (train, test) = read_archive(&bytes, &LAYOUTS[0], Classes::Ten).unwrap();
    assert_eq!((train.labels(), test.labels()), (&[0, 1, 2, 3, 4][..], &[5][..]));
    (0..5).for_each(|i| assert_eq!(train.image(i), image(i)));
    assert_eq!(test.image(0), image(5));

    let error = |bytes: &[u8]| read_archive(bytes, &LAYOUTS[0], Classes::Ten).unwrap_err().to_string();
    assert_eq!(
        error(&archive(&entries[..3])),
        "a.tar.gz: there is no entry 'cifar-10-batches-bin/data_batch_1.bin'"
    );
    let twice = [&entries[..], &entries[..1]].concat();
    assert_eq!(
        error(&archive(&twice)),
        "a.tar.gz: entry 'cifar-10-batches-bin/data_batch_3.bin' comes twice"
    );
    let mut cut_inside = entries.clone();
    cut_inside[0].1 = &batches[2][..100];
    assert_eq!(
        error(&archive(&cut_inside)),
        "a.tar.gz/cifar-10-batches-bin/data_batch_3.bin: byte 0: the file ends inside record 0: 100 of its 3073 bytes"
    );
    // Cut short, or with one bit of the content changed: the checksum at the end of the packed stream tells.
    assert!(error(&bytes[..bytes.len() - 1]).contains("not readable"));
    let mut damaged = bytes.clone();
    let last = damaged.len() - 6;
    damaged[last] ^= 1;
    assert!(error(&damaged).contains("not readable"), "{}", error(&damaged));
}

#[test]
fn archives_of_pickles_are_read() {
    let entries = [("cifar-100-python/train", HUNDRED_2), ("cifar-100-python/test", HUNDRED_2)];
    let (train, test) = read_archive(&archive(&entries), &LAYOUTS[3], Classes::Coarse).unwrap();
    assert_eq!((train.labels(), train.num_classes(), test.image(1)), (&[11, 13][..], 20, &image(1)[..]));
}

#[test]
fn entries_that_point_elsewhere_are_refused_by_name() {
    let error = |bytes: &[u8]| read_archive(bytes, &LAYOUTS[0], Classes::Ten).unwrap_err().to_string();
    assert_eq!(
        error(&archive(&[("/etc/passwd", b"x")])),
        "a.tar.gz: entry '/etc/passwd' points outside its folder"
    );
    assert_eq!(
        error(&archive(&[("/two\nlines", b"x")])),
        "a.tar.gz: entry '/two\\nlines' points outside its folder"
    );
    assert_eq!(
        error(&archive(&[("cifar-10-batches-bin/../../x", b"x")])),
        "a.tar.gz: entry 'cifar-10-batches-bin/../../x' points outside its folder"
    );
    for (kind, what) in [
        (tar::EntryType::Symlink, "a symbolic link"),
        (tar::EntryType::Link, "a hard link"),
        (tar::EntryType::Fifo, "neither a plain file nor a folder (type '6')"),
        (tar::EntryType::GNUSparse, "neither a plain file nor a folder (type 'S')"),
    ] {
        let bytes = packed(|builder| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_path("cifar-10-batches-bin/test_batch.bin").unwrap();
            header.set_size(0);
            if kind == tar::EntryType::GNUSparse {
                // A petabyte of zeros in one block of 512 bytes.
                let sparse = header.as_gnu_mut().unwrap();
                sparse.set_real_size(1 << 50);
                sparse.sparse[0].set_offset(1 << 50);
                sparse.sparse[0].set_length(0);
            } else {
                header.set_link_name("target").unwrap();
            }
            header.set_cksum();
            builder.append(&header, std::io::empty()).unwrap();
        });
        assert_eq!(error(&bytes), format!("a.tar.gz: entry 'cifar-10-batches-bin/test_batch.bin' is {what}"));
    }
}

#[test]
fn a_folder_is_read_and_its_missing_file_named() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().join("cifar100/cifar-100-binary");
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        std::fs::File::create(folder.join(name)).unwrap().write_all(bytes).unwrap();
    };
    write("train.bin", &records(0, &[&[11, 19], &[13, 99]]));
    let missing = images_of(&cifar100::FILES, Some(data.path()), Classes::Fine).unwrap_err().to_string();
    assert!(missing.contains("cifar-100-binary/test.bin"), "{missing}");
    write("test.bin", &records(2, &[&[4, 0]]));
    let (train, test) = images_of(&cifar100::FILES, Some(data.path()), Classes::Fine).unwrap();
    assert_eq!((train.labels(), test.labels(), test.image(0)), (&[19, 99][..], &[0][..], &image(2)[..]));
    let split = crate::data::load(&crate::data::Request {
        folder: Some(data.path()),
        ..crate::data::Request::new("cifar100-coarse")
    });
    assert_eq!(split.unwrap().evaluated.class_counts()[4], 1);
    // An archive of the official name must have the published checksum.
    std::fs::write(data.path().join("cifar-100-python.tar.gz"), "x").unwrap();
    let error = images_of(&cifar100::FILES, Some(data.path()), Classes::Fine).unwrap_err().to_string();
    assert!(error.contains("not the published eb9058c3a382ffc7106e4002c42a8d85"), "{error}");
}

/// The superclasses of the hierarchy are those of the code.
#[test]
fn superclasses_are_those_of_the_hierarchy() {
    let tree = registry::hierarchy(Path::new("cifar100")).unwrap();
    for (a, of_a) in SUPERCLASS.iter().enumerate() {
        for (b, of_b) in SUPERCLASS.iter().enumerate().filter(|(b, _)| *b != a) {
            let same = of_a == of_b;
            assert_eq!(tree.path.row(a)[b] == 1.0 / 3.0, same, "{a} {b}");
            assert_eq!(tree.wu_palmer.row(a)[b] == 2.0 / 3.0, same, "{a} {b}");
        }
    }
    assert_eq!(SUPERCLASS.iter().max(), Some(&(NUM_SUPERCLASSES as u8 - 1)));
}

/// `TRAINER_DATA=DIR cargo test -p trainer --lib difficulty -- --nocapture`, DIR with the files of CIFAR-100.
#[test]
fn superclasses_are_those_of_the_files() {
    let Some(folder) = std::env::var_os("TRAINER_DATA").map(std::path::PathBuf::from) else {
        println!("skipped: TRAINER_DATA does not name a folder with the files of cifar100");
        return;
    };
    let labels = |name: &str| {
        let request = crate::data::Request { folder: Some(&folder), ..crate::data::Request::new(name) };
        crate::data::load(&request).unwrap().evaluated.labels().to_vec()
    };
    let (fine, coarse) = (labels("cifar100"), labels("cifar100-coarse"));
    let tree = registry::hierarchy(Path::new("cifar100")).unwrap();
    // Each test image against a hundred others.
    for i in 0..fine.len() {
        for j in (0..fine.len()).step_by(97).filter(|&j| fine[j] != fine[i]) {
            let siblings = tree.path.row(fine[i])[fine[j]] == 1.0 / 3.0;
            assert_eq!(siblings, coarse[i] == coarse[j], "images {i} and {j}");
        }
    }
    println!("compared {} images", fine.len());
}

/// A pickle of values that are worth nothing, and one of nested lists: neither takes memory or stack without bound.
#[test]
fn a_pickle_has_so_many_instructions_and_no_more() {
    let read = |bytes: &[u8]| {
        let mut records = Records::default();
        python::read(bytes, Path::new("f"), Classes::Ten, &mut records).unwrap_err().to_string()
    };
    let message = "f: byte 1048576: the pickle has more than 1048576 instructions";
    assert_eq!(read(&b"N".repeat(3_000_000)), message);
    // A stream that never ends.
    let mut records = Records::default();
    let endless = python::read(std::io::repeat(b'N'), Path::new("f"), Classes::Ten, &mut records);
    assert_eq!(endless.unwrap_err().to_string(), message);
    let nested = [&b"]".repeat(500_000)[..], &b"a".repeat(499_999), b"."].concat();
    assert_eq!(read(&nested), "f: there is no entry 'data'");
    let doubled = [&b")q\0"[..], &b"h\0h\0\x86q\0".repeat(40), b"."].concat();
    assert_eq!(read(&doubled), "f: there is no entry 'data'");
}

/// Two gigabytes of zeros are two megabytes, packed.
#[test]
fn an_archive_unpacks_to_twice_the_official_size_and_no_more() {
    let mut header = tar::Header::new_gnu();
    header.set_path("cifar-10-batches-bin/more").unwrap();
    header.set_size(2 << 30);
    header.set_mode(0o644);
    header.set_cksum();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let zeros = std::io::Read::take(std::io::repeat(0), 400_000_000);
    std::io::copy(&mut std::io::Read::chain(&header.as_bytes()[..], zeros), &mut encoder).unwrap();
    let packed = encoder.finish().unwrap();
    assert!(packed.len() < 4_000_000);
    let error = archive::read(&packed[..], Path::new("f.tar.gz"), &LAYOUTS[0], Classes::Ten).unwrap_err();
    assert_eq!(
        error.to_string(),
        "f.tar.gz: not readable: it unpacks to more than the 376320000 bytes that are allowed"
    );
}
