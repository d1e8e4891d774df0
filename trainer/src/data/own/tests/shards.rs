use super::folders::grey;
use super::*;
use std::io::Cursor;
use tar::{Builder, EntryType, Header};

/// A tar file being made.
pub(super) struct Tar(Builder<Vec<u8>>);

impl Tar {
    pub(super) fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    pub(super) fn add(mut self, name: &str, bytes: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        self.0.append_data(&mut header, name, bytes).unwrap();
        self
    }

    /// A sample with its class.
    pub(super) fn sample(self, key: &str, value: u8, class: &str) -> Self {
        self.add(&format!("{key}.png"), &grey(value)).add(&format!("{key}.cls"), class.as_bytes())
    }

    /// A member of another kind; of a size that its header says, whatever follows.
    fn odd(mut self, name: &str, kind: EntryType, size: u64) -> Self {
        let mut header = Header::new_gnu();
        header.set_path(name).unwrap();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_link_name("elsewhere").unwrap();
        header.set_cksum();
        self.0.append(&header, &[][..]).unwrap();
        self
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

fn index(bytes: &[u8]) -> Index {
    index_of_tar(Cursor::new(bytes), bytes.len() as u64)
}

fn of_shards(folder: &Path) -> Request<'_> {
    Request { name: "shards", ..request(folder) }
}

#[test]
fn a_sample_is_an_image_and_its_class_side_by_side() {
    let long = "d/".repeat(90);
    let bytes = Tar::new()
        .add("readme.txt", b"not a sample")
        .sample("a/x.y/1", 1, "3\n")
        .add("a/x.y/1.json", b"{}")
        .add("2.cls", b" 0")
        .add("2.seg.png", b"a mask")
        .add("2.JPEG", b"not looked at")
        .sample(&format!("{long}3"), 3, "7")
        .add("._2.jpg", b"of a Mac")
        .sample("a/x.y/1", 4, "5")
        .add("4.webp", b"")
        .bytes();
    let found = index(&bytes);
    assert_eq!(found.left_out, LeftOut::default());
    let names: Vec<_> = found.samples.iter().map(|sample| (sample.name.clone(), sample.class)).collect();
    let of = |name: &str, class| (name.to_string(), class);
    assert_eq!(
        names,
        [
            of("a/x.y/1.png", Some(3)),
            of("2.JPEG", Some(0)),
            of(&format!("{long}3.png"), Some(7)),
            of("a/x.y/1.png", Some(5)),
            of("4.webp", None)
        ]
    );
    let bytes_of = |i: usize| &bytes[found.samples[i].offset as usize..][..found.samples[i].length as usize];
    assert_eq!(
        [bytes_of(0), bytes_of(1), bytes_of(2), bytes_of(4)],
        [&grey(1)[..], b"not looked at", &grey(3), b""]
    );
}

#[test]
fn names_in_extensions_are_read() {
    let mut tar = Builder::new(Vec::new());
    let name = format!("{}é.png", "p/".repeat(100));
    tar.append_pax_extensions([("path", name.as_bytes())]).unwrap();
    let mut header = Header::new_ustar();
    header.set_path("short.png").unwrap();
    header.set_size(3);
    header.set_cksum();
    tar.append(&header, &b"abc"[..]).unwrap();
    // A sparse file of GNU tar's PAX format looks like a plain one of another content.
    tar.append_pax_extensions([("GNU.sparse.major", &b"1"[..])]).unwrap();
    header.set_path("sparse.png").unwrap();
    header.set_cksum();
    tar.append(&header, &b"abc"[..]).unwrap();
    let found = index(&tar.into_inner().unwrap());
    assert_eq!((found.samples.len(), &found.samples[0].name), (1, &name));
    assert_eq!(found.left_out.first, [("sparse.png".to_string(), "a sparse file".to_string())]);
}

#[test]
fn what_is_no_sample_is_named() {
    let reasons = |tar: Tar| -> Vec<String> {
        let found = index(&tar.bytes());
        found.left_out.first.into_iter().map(|(name, reason)| format!("{name}: {reason}")).collect()
    };
    let tar = Tar::new()
        .add("1.cls", b"0")
        .odd("2.png", EntryType::Symlink, 0)
        .odd("3.png", EntryType::Link, 0)
        .odd("4.png", EntryType::Fifo, 0)
        .add("5.png", b"")
        .add("5.jpg", b"")
        .add("5.cls", b"1")
        .add("5.cls", b"2")
        .add("6.png", b"")
        .add("6.cls", b"-1")
        .add("7.png", b"")
        .add("7.cls", &[b'1'; 100])
        .odd("8.png", EntryType::Regular, 1 << 60);
    assert_eq!(
        reasons(tar),
        [
            "1.cls: a class without an image",
            "2.png: a link",
            "3.png: a link",
            "4.png: no plain file",
            "5.jpg: a second image of one sample",
            "5.cls: a second class of one sample",
            "6.png: its class '-1' is no number from 0",
            "7.png: its class takes 100 bytes: it must be a number",
            "8.png: the shard ends in the middle of it",
            ": it ends after byte 10240 without the mark of its end"
        ]
    );
    // A name that takes a megabyte and more is not taken into memory.
    let mut long = Tar::new().sample("1", 1, "0");
    let mut header = Header::new_gnu();
    header.set_path("././@LongLink").unwrap();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(4 << 20);
    header.set_cksum();
    long.0.append(&header, &vec![b'x'; 4 << 20][..]).unwrap();
    let found = index(&long.bytes());
    assert_eq!(found.samples.len(), 1);
    assert!(found.left_out.first[0].1.contains("the headers of one member exceed 1048576 bytes"));
}

/// Wherever a file is cut: what comes before is read, or it is said that something is missing.
#[test]
fn a_shard_may_be_cut_anywhere() {
    let whole = Tar::new().sample("1", 1, "0").sample("2", 2, "1").bytes();
    let good = index(&whole).samples;
    for length in 0..whole.len() {
        let found = index(&whole[..length]);
        for (i, sample) in found.samples.iter().enumerate() {
            assert_eq!((&sample.name, sample.offset), (&good[i].name, good[i].offset));
            assert!(sample.offset + sample.length <= length as u64);
            assert!(sample.class.is_none_or(|class| good[i].class == Some(class)));
        }
        // Of the mark of the end, one block is enough.
        let last = &good[1];
        let is_whole = length as u64 >= (last.offset + last.length).next_multiple_of(512) + 1024 + 512;
        assert_eq!(found.left_out.total == 0, is_whole, "{length}: {:?}", found.left_out);
    }
}

#[test]
fn what_stands_behind_the_end_of_a_shard_is_named() {
    let one = Tar::new().sample("1", 1, "0").bytes();
    let told = |bytes: &[u8]| {
        let found = index(bytes);
        assert_eq!(found.samples.len(), 1);
        found.left_out.first.first().map(|(_, reason)| reason.clone()).unwrap_or_default()
    };
    assert_eq!(told(&one), "");
    assert_eq!(told(&[&one[..], &[0; 9 << 10]].concat()), "", "the usual padding");
    let twice = told(&[&one[..], &one[..]].concat());
    assert!(twice.contains("bytes behind the mark of its end"), "{twice}");
    // A file whose length was set before its content came.
    let preallocated = told(&[&one[..], &vec![0; 1 << 20]].concat());
    assert!(preallocated.contains("bytes behind the mark of its end"), "{preallocated}");
}

#[test]
fn shards_are_read_in_the_order_of_their_names_as_folders_are() {
    let place = tempfile::tempdir().unwrap();
    let at = place.path();
    put(at, "s/train/b.tar", &Tar::new().sample("1", 3, "10").sample("2", 4, "9").bytes());
    put(at, "s/train/a.tar", &Tar::new().sample("9", 1, "9").sample("2", 2, "10").bytes());
    put(at, "s/train/notes.txt", b"");
    put(at, "s/validation/x.tar", &Tar::new().sample("1", 5, "9").sample("2", 6, "10").bytes());
    let split = load(&of_shards(&at.join("s"))).unwrap();
    assert_eq!((split.train.labels(), split.evaluated.labels()), (&[0, 1, 1, 0][..], &[0, 1][..]));
    assert_eq!(pixels(&split.train), [1, 2, 3, 4].map(|value| vec![value; 4]));
    // The same images as files, in a list of the same order.
    let mut list = "file,label,split\n".to_string();
    for (value, class, part) in
        [(1, 9, "train"), (2, 10, "train"), (3, 10, "train"), (4, 9, "train"), (5, 9, "val"), (6, 10, "val")]
    {
        put(at, &format!("f/{value}.png"), &grey(value));
        list += &format!("{value}.png,{},{part}\n", ["nine", "ten"][usize::from(class == 10)]);
    }
    put(at, "f/labels.csv", list.as_bytes());
    let same = load(&request(&at.join("f"))).unwrap();
    assert_eq!(split.train.checksum(), same.train.checksum());
    assert_eq!(split.evaluated.checksum(), same.evaluated.checksum());
    // A shard that changed is read again; without a part for it a share is held out.
    put(at, "s/train/a.tar", &Tar::new().sample("9", 7, "9").sample("2", 2, "10").bytes());
    assert_eq!(pixels(&load(&of_shards(&at.join("s"))).unwrap().train)[0], [7; 4]);
    std::fs::remove_dir_all(at.join("s/validation")).unwrap();
    let share = load(&Request { validation: Some(0.5), ..of_shards(&at.join("s")) }).unwrap();
    assert_eq!((share.train.class_counts(), share.evaluated.class_counts()), (vec![1, 1], vec![1, 1]));
}

#[test]
fn what_shards_cannot_be_is_one_clear_line() {
    let place = tempfile::tempdir().unwrap();
    let at = place.path();
    assert!(message(&Request::new("shards")).contains("--data DIR"));
    assert!(message(&of_shards(&at.join("none"))).contains("no such folder"));
    assert!(message(&of_shards(at)).contains("there is no shard"));
    put(at, "a.tar.gz", b"");
    assert!(message(&of_shards(at)).contains("unpack them"));
    put(at, "a.tar", &[7; 5000]);
    let damaged = message(&of_shards(at));
    assert!(
        damaged.contains("of 0 class: two are needed") && damaged.contains("a.tar: not readable"),
        "{damaged}"
    );
    put(at, "a.tar", &Tar::new().sample("1", 1, "4").sample("2", 1, "4").bytes());
    assert!(message(&of_shards(at)).contains("of 1 class: two are needed, as a number in KEY.cls"));
    let four = || Tar::new().sample("1", 1, "4").sample("2", 2, "4").sample("3", 3, "6").sample("4", 4, "6");
    put(at, "a.tar", &four().bytes());
    put(at, "b.tar", &Tar::new().add("5.png", b"no image").add("5.cls", b"6").add("6.png", &grey(1)).bytes());
    let split = load(&of_shards(at)).unwrap();
    assert_eq!((split.train.labels(), split.evaluated.class_counts()), (&[0, 1][..], vec![1, 1]));
    let listing = Listing::of_shards(at).unwrap();
    assert_eq!(listing.classes, ["4", "6"]);
    assert_eq!(listing.left_out.summary(), "1 file is left out: b.tar/6.png: no class stands beside it");
    put(at, "classes.txt", b"a\nb\nc\nd\ncat\nf\n");
    assert!(message(&of_shards(at)).contains("classes.txt: there is no name of class 6 (line 7)"));
    put(at, "classes.txt", b"a\nb\nc\nd\ncat\nf\ndog");
    assert_eq!(Listing::of_shards(at).unwrap().classes, ["cat", "dog"]);
    // No class at all: images without classes.
    let none = Tar::new().add("1.png", &grey(1)).add("2.png", &grey(2)).add("3.png", &grey(3));
    put(at, "none/a.tar", &none.bytes());
    let split = load(&of_shards(&at.join("none"))).unwrap();
    assert_eq!((split.train.len(), split.evaluated.len(), split.train.num_classes()), (2, 1, 1));
}

#[test]
fn classes_are_counted_without_decoding() {
    let place = tempfile::tempdir().unwrap();
    let at = place.path();
    let tar =
        Tar::new().sample("1", 1, "0").sample("2", 2, "0").add("3.jpg", b"never decoded").add("3.cls", b"1");
    put(at, "train/a.tar", &tar.bytes());
    put(at, "test/a.tar", &Tar::new().sample("1", 1, "0").sample("2", 2, "1").add("3.cls", b"0").bytes());
    let found = class_counts("shards", at).unwrap();
    assert_eq!((found.names, found.counts, found.passed_over), (vec!["0".into(), "1".into()], vec![2, 1], 1));
    let refused = class_counts("cifar10", at).unwrap_err().to_string();
    assert!(refused.contains("'cifar10' is neither folder nor shards"), "{refused}");
}
