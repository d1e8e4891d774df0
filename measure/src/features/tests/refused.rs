//! What is refused, and what the message says.

use super::*;
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize_to_file};

#[test]
fn what_a_file_is_not_is_one_line_that_names_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("features.npz");
    let good = || {
        [
            ("view1", "<f4", "(4, 2)", floats("<f4")),
            ("view2", "<f4", "(4, 2)", floats("<f4")),
            ("labels", "|u1", "(4,)", LABELS.to_vec()),
        ]
    };
    let error = |change: &dyn Fn(&mut [Entry<'static>; 3])| {
        let mut entries = good();
        change(&mut entries);
        npz(&path, &entries, CompressionMethod::Stored);
        let error = Features::read(&path).unwrap_err().to_string();
        error.rsplit_once("features.npz: ").unwrap().1.to_string()
    };
    // Shapes that promise more than there is, up to more than any memory holds.
    for (shape, words) in [
        ("(5, 2)", "'view1' is not readable: 32 bytes are fewer than its shape [5, 2] has"),
        ("(1000000000000, 2)", "32 bytes are fewer"),
        ("(18446744073709551615, 18446744073709551615)", "32 bytes are fewer"),
        ("(18446744073709551616, 1)", "its shape has a length '18446744073709551616'"),
        ("(8,)", "'view1' has shape [8], not [rows, d]"),
        ("(4\u{1}\n, 2)", "its shape has a length '4 "),
        ("()", "32 bytes are more than its shape [] has"),
    ] {
        let found = error(&|entries| entries[0].2 = shape);
        assert!(found.contains(words), "{shape}: {found}");
    }
    for (descr, words) in
        [(">f4", "its type >f4 is big-endian"), ("<c8", "its type c8 is no"), ("|O", "its type O is no")]
    {
        let found = error(&|entries| entries[1].1 = descr);
        assert!(found.contains("'view2' is not readable") && found.contains(words), "{found}");
    }
    assert_eq!(error(&|entries| entries[2].0 = "classes"), "there is no array 'labels'");
    let found = error(&|entries| entries[2].3[1] = 7);
    assert!(
        found.starts_with("'labels' has no sample of classes 2, 3, 4, 5, 6; every class needs"),
        "{found}"
    );
    assert!(found.contains("numpy.unique(labels, return_inverse=True)"), "{found}");
    assert_eq!(error(&|entries| entries[1].3[..8].fill(0)), "'view2' row 0 is zero: it has no direction");
    assert_eq!(
        error(&|entries| entries[0].3[4..8].copy_from_slice(&f32::NAN.to_le_bytes())),
        "'view1' row 0, column 1 is NaN"
    );
    // Headers that are none.
    let mut archive = ZipWriter::new(std::fs::File::create(&path).unwrap());
    archive.start_file("view1.npy", SimpleFileOptions::default()).unwrap();
    archive.write_all(b"\x93NUMPY\x01\x00\xff\xff{}").unwrap();
    archive.finish().unwrap();
    let found = Features::read(&path).unwrap_err().to_string();
    assert!(found.ends_with("'view1' is not readable: it is no .npy array"), "{found}");
}

#[test]
fn a_damaged_or_ambiguous_archive_is_refused() {
    let array = |descr: &'static str, shape: &'static str, bytes: Vec<u8>| npy(&("", descr, shape, bytes));
    let view = || array("<f4", "(4, 2)", floats("<f4"));
    let labels = || array("|u1", "(4,)", LABELS.to_vec());
    let good = || vec![("view1.npy", view()), ("view2.npy", view()), ("labels.npy", labels())];
    assert_eq!(read_archive(&good(), |_| {}), "read");
    // A damaged byte does not pass the archive's checksum, and neither does another checksum, wherever it stands.
    let found = read_archive(&good(), |bytes| {
        let place = bytes.windows(4).position(|window| window == 3f32.to_le_bytes()).unwrap();
        bytes[place] ^= 1;
    });
    assert!(found.starts_with("'view1' is not readable"), "{found}");
    let found = read_archive(&good(), |bytes| {
        // The central directory's entry of view1: its checksum stands 30 bytes before the name.
        let name = bytes.windows(9).rposition(|window| window == b"view1.npy").unwrap();
        bytes[name - 30] ^= 1;
    });
    assert!(found.starts_with("'view1' is not readable"), "{found}");
    // The same name twice, once with its suffix and once without, and bytes that no shape asks for.
    let found = read_archive(&[("view1.npy", view()), ("view3.npy", view())], |bytes| {
        while let Some(place) = bytes.windows(9).position(|window| window == b"view3.npy") {
            bytes[place + 4] = b'1';
        }
    });
    assert_eq!(found, "not readable: a name comes twice in the archive");
    let mut twice = good();
    twice.push(("view2", view()));
    assert_eq!(
        read_archive(&twice, |_| {}),
        "'view2' is not readable: the archive has 'view2.npy' and 'view2'"
    );
    let mut long = good();
    long[1].1.push(0);
    assert_eq!(
        read_archive(&long, |_| {}),
        "'view2' is not readable: 33 bytes are more than its shape [4, 2] has"
    );
    // No bytes at all, and so nothing that a shape would have to fit.
    for (shape, words) in [
        ("(1099511627776, 8)", "0 bytes are fewer"),
        ("(4611686018427387904, 8)", "0 bytes are fewer"),
        ("(4294967296, 4294967296)", "0 bytes are fewer"),
        ("(0, 1099511627776)", "'view1' has shape [0, 1099511627776]: there is nothing to measure"),
        ("(1099511627776, 0)", "'view1' has shape [1099511627776, 0]: there is nothing to measure"),
    ] {
        let empty = array("<f4", shape, Vec::new());
        let labels = array("|u1", "(0,)", Vec::new());
        let entries = [("view1.npy", empty.clone()), ("view2.npy", empty), ("labels.npy", labels)];
        let found = read_archive(&entries, |_| {});
        assert!(found.contains(words), "{shape}: {found}");
    }
}

/// A promise of more than deflate can hold is refused before room is made for it.
#[test]
fn an_archive_does_not_promise_more_than_its_bytes_can_hold() {
    let entries = [("view1.npy", npy(&("", "<f4", "(4, 2)", floats("<f4"))))];
    let found = read_archive(&entries, |bytes| {
        let name = bytes.windows(9).rposition(|window| window == b"view1.npy").unwrap();
        bytes[name - 22..name - 18].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
    });
    assert!(found.starts_with("'view1' is not readable"), "{found}");
}

#[test]
fn arrays_at_hand_are_checked_like_those_of_a_file() {
    let m = |rows: usize| Matrix { rows, cols: 2, data: [3.0, 4.0].repeat(rows) };
    let mean = |rows: usize| Matrix { rows, cols: 2, data: [0.3, 0.4].repeat(rows) };
    let train = Some((m(3), vec![1, 0, 1]));
    let features = Features::new(m(2), m(2), vec![0, 1], train, Some(mean(2))).unwrap();
    assert_eq!(
        (features.view1.data, features.mean.unwrap().data[..2].to_vec()),
        ([0.6, 0.8].repeat(2), vec![0.3, 0.4])
    );
    // What is longer than any mean of unit rows is none.
    let long = Matrix { rows: 2, cols: 2, data: vec![0.6, 0.8, 0.6, 0.800_002] };
    let error = Features::new(m(2), m(2), vec![0, 1], None, Some(long)).unwrap_err().to_string();
    assert!(error.starts_with("'mean' row 1 has norm 1.000002, above 1: f̄ is the mean of"), "{error}");
    let error = |views: [Matrix; 2], labels: Vec<usize>, train, mean| {
        let [view1, view2] = views;
        let error = Features::new(view1, view2, labels, train, mean).unwrap_err();
        assert!(error.is_argument());
        error.to_string()
    };
    let views = || [m(2), m(2)];
    assert_eq!(error([m(2), m(1)], vec![0, 1], None, None), "'view2' has shape [1, 2], 'view1' has [2, 2]");
    assert_eq!(error(views(), vec![0], None, None), "'labels' has 1 entries for 2 rows");
    assert_eq!(
        error(views(), vec![0, usize::MAX], None, None),
        format!("'labels' entry 1 is {}, not a class 0, 1, …", usize::MAX)
    );
    let found = error(views(), vec![0, 4], None, None);
    assert!(found.starts_with("'labels' has no sample of classes 1, 2, 3; every class needs"), "{found}");
    let train = |class| Some((m(1), vec![class]));
    let found = error(views(), vec![0, 1], train(2), None);
    assert!(
        found.starts_with("'train_labels' has class 2, 'labels' only 0..2; every class needs"),
        "{found}"
    );
    assert_eq!(
        error(views(), vec![0, 1], None, Some(mean(3))),
        "'mean' has shape [3, 2], 'view1' has [2, 2]"
    );
    let short = Matrix { rows: 2, cols: 2, data: vec![1.0; 3] };
    assert_eq!(error([short, m(2)], vec![0, 1], None, None), "'view1' has 3 values, not 2 × 2");
    let found = error(views(), vec![0, 1], Some((m(1), vec![1])), None);
    assert!(found.starts_with("'train_labels' has no sample of class 0; every class needs"), "{found}");
    // Shapes whose product is beyond what a number of the machine holds.
    for side in [1usize << 32, 1 << 62] {
        let lie = Matrix { rows: side, cols: side, data: Vec::new() };
        let message = format!("'view1' has 0 values, not {side} × {side}");
        assert_eq!(error([lie.clone(), lie], vec![0, 1], None, None), message);
    }
}

#[test]
fn what_nobody_asks_for_may_be_anything_and_labels_get_advice() {
    let view = || npy(&("", "<f4", "(4, 2)", floats("<f4")));
    let file = |labels: Entry<'static>, more: Entry<'static>| {
        let entries = [
            ("view1.npy", view()),
            ("view2.npy", view()),
            ("labels.npy", npy(&labels)),
            ("names.npy", npy(&more)),
        ];
        read_archive(&entries, |_| {})
    };
    let names = || ("", "<U1", "(1,)", vec![b'a', 0, 0, 0]);
    let labels = |descr, shape, bytes| ("", descr, shape, bytes);
    assert_eq!(file(labels("|u1", "(4,)", LABELS.to_vec()), names()), "read");
    assert_eq!(file(labels("|i1", "(4, 1)", LABELS.to_vec()), ("", "|O", "(1,)", vec![1, 2])), "read");
    assert_eq!(
        file(labels("|b1", "(4, 2)", vec![1, 0, 0, 1, 0, 1, 1, 0]), names()),
        "'labels' has shape [4, 2], not [N]: of one-hot rows or scores save labels.argmax(axis=1)"
    );
    // Two axes longer than 1 have no order of their own.
    assert_eq!(
        file(labels("|u1", "(2, 2, 1)", LABELS.to_vec()), names()),
        "'labels' has shape [2, 2, 1], not [N]"
    );
    assert_eq!(file(labels("|u1", "(1, 4, 1)", LABELS.to_vec()), names()), "read");
    // Their number is compared before they are looked at.
    let found = file(labels("|u1", "(5,)", vec![0, 1, 1, 0, 255]), names());
    assert_eq!(found, "'labels' has 5 entries for 4 rows");
    let found = file(labels("<U3", "(4,)", vec![0; 48]), names());
    assert!(found.contains("its type U3 is no integer") && found.contains("numpy.unique(labels"), "{found}");
    // An eight-bit type without numbers here is refused, and at once.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("eight.safetensors");
    let tensor = TensorView::new(Dtype::F8_E5M2, vec![2, 2], &[0; 4]).unwrap();
    serialize_to_file([("view1", tensor.clone()), ("view2", tensor)], None, &path).unwrap();
    let error = Features::open(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("'view1' is not readable: its type F8_E5M2 holds no numbers that are read"),
        "{error}"
    );
}

/// Shapes that do not fit are said before any row is looked at.
#[test]
fn shapes_come_before_rows() {
    let view = |rows: usize, first: f64| Matrix {
        rows,
        cols: 2,
        data: [vec![first; 2], vec![1.0; 2 * rows - 2]].concat(),
    };
    for (views, mean, name) in [
        ([view(4, 1.0), view(5, 0.0)], None, "view2"),
        ([view(4, 0.0), view(5, 1.0)], None, "view2"),
        ([view(4, 0.0), view(4, 1.0)], Some(view(5, 9.0)), "mean"),
    ] {
        let message = format!("'{name}' has shape [5, 2], 'view1' has [4, 2]");
        let bytes = |m: &Matrix| m.data.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let entry = |m: &Matrix| npy(&("", "<f8", &format!("({}, 2)", m.rows), bytes(m)));
        let mut entries = vec![
            ("view1.npy", entry(&views[0])),
            ("view2.npy", entry(&views[1])),
            ("labels.npy", npy(&("", "|u1", "(4,)", LABELS.to_vec()))),
        ];
        entries.extend(mean.as_ref().map(|mean| ("mean.npy", entry(mean))));
        assert_eq!(read_archive(&entries, |_| {}), message);
        let [view1, view2] = views;
        let classes = LABELS.map(usize::from).to_vec();
        assert_eq!(Features::new(view1, view2, classes, None, mean).unwrap_err().to_string(), message);
    }
}
