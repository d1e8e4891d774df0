use super::*;
use crate::pool::never;
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize_to_file};
use std::io::Write;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Name, type as numpy writes it, shape, bytes.
type Entry<'a> = (&'a str, &'a str, &'a str, Vec<u8>);

fn npy(&(_, descr, shape, ref bytes): &Entry) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(bytes);
    file
}

fn npz(path: &Path, entries: &[Entry], method: CompressionMethod) {
    let mut archive = ZipWriter::new(std::fs::File::create(path).unwrap());
    for entry in entries {
        let options = SimpleFileOptions::default().compression_method(method);
        archive.start_file(format!("{}.npy", entry.0), options).unwrap();
        archive.write_all(&npy(entry)).unwrap();
    }
    archive.finish().unwrap();
}

/// Rows that 16 bits hold exactly.
const VALUES: [f32; 8] = [3.0, 4.0, -4.0, 3.0, 0.5, 0.0, 0.0, -2.0];
/// The same at unit length.
const UNIT: [f64; 8] = [0.6, 0.8, -0.8, 0.6, 1.0, 0.0, 0.0, -1.0];
/// Means of unit rows.
const MEANS: [f32; 8] = [0.5, 0.5, -0.75, 0.25, 1.0, 0.0, 0.0, -1.0];
const LABELS: [u8; 4] = [0, 1, 1, 0];

fn floats(descr: &str) -> Vec<u8> {
    floats_of(&VALUES, descr)
}

fn floats_of(values: &[f32], descr: &str) -> Vec<u8> {
    let bytes = |v: &f32| match descr {
        "<f2" => f16::from_f32(*v).to_le_bytes().to_vec(),
        "bf16" => bf16::from_f32(*v).to_le_bytes().to_vec(),
        "<f4" => v.to_le_bytes().to_vec(),
        _ => f64::from(*v).to_le_bytes().to_vec(),
    };
    values.iter().flat_map(bytes).collect()
}

/// Labels as integers of any width, or as floats.
fn labels(descr: &str) -> Vec<u8> {
    let size = descr[2..].parse::<usize>().unwrap();
    let bytes = |&v: &u8| match descr {
        "<f8" => f64::from(v).to_le_bytes().to_vec(),
        _ => u64::from(v).to_le_bytes()[..size].to_vec(),
    };
    LABELS.iter().flat_map(bytes).collect()
}

#[test]
fn every_type_gives_the_same_features() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("features.npz");
    let mut ids = Vec::new();
    for float in ["<f2", "<f4", "<f8"] {
        for label in ["|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f8"] {
            for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
                let entries = [
                    ("view1", float, "(4, 2)", floats(float)),
                    ("view2", float, "(4,2)", floats(float)),
                    ("labels", label, "(4,)", labels(label)),
                    ("mean", "<f4", "(4, 2)", floats_of(&MEANS, "<f4")),
                ];
                npz(&path, &entries, method);
                let found = Features::read(&path).unwrap();
                assert_eq!(found.view1.data, UNIT, "{float} {label} {method:?}");
                assert_eq!(found.labels, LABELS.map(usize::from), "{float} {label} {method:?}");
                assert_eq!((found.num_classes, found.view2.cols), (2, 2));
                // f̄ stays as it is.
                assert_eq!(found.mean.as_ref().unwrap().data, MEANS.map(f64::from));
                ids.push(found.settings_id(None, 7));
            }
        }
    }
    // The numbers count, not how they were stored.
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let path = folder.path().join("features.safetensors");
    for (dtype, bytes) in
        [(Dtype::F16, floats("<f2")), (Dtype::BF16, floats("bf16")), (Dtype::F64, floats("<f8"))]
    {
        let view = TensorView::new(dtype, vec![4, 2], &bytes).unwrap();
        let classes = labels("<i8");
        let classes = TensorView::new(Dtype::I64, vec![4, 1], &classes).unwrap();
        let tensors = [("view1", view.clone()), ("view2", view), ("labels", classes)];
        serialize_to_file(tensors, None, &path).unwrap();
        let found = Features::read(&path).unwrap();
        assert_eq!(
            (found.view1.data, found.labels),
            (UNIT.to_vec(), LABELS.map(usize::from).to_vec()),
            "{dtype:?}"
        );
    }
    // Eight bits: 1.5·2¹, −2⁻⁶/8, 448, and what is no number.
    let read = |bytes: &[u8]| {
        let mut values = vec![0.0; bytes.len()];
        decode::decode(Dtype::F8_E4M3, bytes, &mut values).unwrap();
        values
    };
    assert_eq!(read(&[0x44, 0x81, 0x7e, 0x38]), [3.0, -1.0 / 512.0, 448.0, 1.0]);
    assert!(read(&[0x7f])[0].is_nan());
}

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

/// Features of an archive of these entries, each NAME.npy with its bytes, after a change of the archive's bytes.
fn read_archive(entries: &[(&str, Vec<u8>)], change: impl FnOnce(&mut Vec<u8>)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("features.npz");
    let mut archive = ZipWriter::new(std::fs::File::create(&path).unwrap());
    for (name, bytes) in entries {
        archive
            .start_file(*name, SimpleFileOptions::default().compression_method(CompressionMethod::Stored))
            .unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(&path, bytes).unwrap();
    let message = Features::read(&path).map_or_else(|e| e.to_string(), |_| "read".into());
    assert!(!message.contains('\n'), "{message}");
    message.rsplit_once("features.npz: ").map_or(message.clone(), |(_, rest)| rest.into())
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
fn an_identity_is_of_arrays_and_passes() {
    let matrix = |first: f64| Matrix { rows: 2, cols: 2, data: vec![first, 0.8, 0.8, 0.6] };
    let features = |first: f64| Features {
        view1: matrix(first),
        view2: matrix(0.6),
        labels: vec![0, 1],
        train: None,
        mean: None,
        num_classes: 2,
    };
    let id = features(0.6).settings_id(None, 7);
    // Files of today are compared with those of tomorrow: sha256 of 'view1 [2, 2]\n' and four doubles, and so on.
    assert_eq!(id, "00e7e7f79d5f2499");
    let others = [
        features(0.6f64.next_up()).settings_id(None, 7),
        features(0.6).settings_id(Some(1), 7),
        features(0.6).settings_id(None, 8),
        Features { labels: vec![1, 0], ..features(0.6) }.settings_id(None, 7),
        Features { mean: Some(matrix(0.6)), ..features(0.6) }.settings_id(None, 7),
        Features { train: Some((matrix(0.6), vec![0, 1])), ..features(0.6) }.settings_id(None, 7),
    ];
    assert!(others.iter().all(|other| *other != id && other.len() == 16), "{others:?}");
}

/// Every part that takes long asks, and gives up when it is told to.
#[test]
fn an_interruption_ends_every_part() {
    use crate::{Error, Evaluation, SgdProbe, linear_accuracy_sgd};
    use crate::{collision_by_class, collision_spread, components, geometry, knn_accuracy, linear_accuracy};
    use std::sync::atomic::{AtomicUsize, Ordering};
    let rows = |count: usize| {
        let data = (0..count * 3).map(|i| ((i * 7919) % 1009) as f64 / 1009.0 - 0.4).collect();
        Matrix { rows: count, cols: 3, data }
    };
    let classes: Vec<usize> = (0..300).map(|i| i % 2).collect();
    let train = Some((rows(300), classes.clone()));
    let features = Features::new(rows(300), rows(300), classes.clone(), train, None).unwrap();
    let draws = vec![NumDraws::new(4).unwrap()];
    let classifiers = Classifiers::default();
    let request = Request { draws, temperature: 0.5, passes: Some(1), seed: 7, classifiers };
    // Told so after any number of questions, the whole is given up; never told so, it is finished.
    let asked = AtomicUsize::new(0);
    let until = |most: usize| {
        asked.store(0, Ordering::Relaxed);
        features.measure_until("f", &request, &|| asked.fetch_add(1, Ordering::Relaxed) >= most)
    };
    until(usize::MAX).unwrap();
    let all = asked.load(Ordering::Relaxed);
    assert!(all > 50, "{all} questions");
    for most in [0, 1, all / 2, all - 1] {
        let error = until(most).unwrap_err();
        assert!(matches!(&error, Error::Interrupted(m) if m.starts_with("interrupted while ")), "{error}");
    }
    let now = || true;
    let (views, means, part) =
        (features.views(), features.class_means().unwrap(), (&features.view1, &classes[..]));
    let evaluation = Evaluation {
        labels: &classes,
        class_means: &means,
        sample_means: None,
        temperature: 0.5,
        num_draws: request.draws[0],
        passes: Some(1),
    };
    let mut rng = stream(1, Purpose::Probe, 0);
    let row = components(&evaluation, &mut rng, &now, |_| Ok::<_, Error>(views.clone()));
    let interrupted = [
        linear_accuracy(part, part, 2, &now).err(),
        linear_accuracy_sgd(&SgdProbe::default(), part, part, 2, &mut rng, &now).err(),
        knn_accuracy(part, part, 2, &now).err(),
        geometry(&views, &now).err(),
        collision_spread(&views, &classes, 2, &now).err(),
        collision_by_class(&views, &classes, 2, &now).err(),
        row.err(),
    ];
    for (place, error) in interrupted.into_iter().enumerate() {
        assert!(matches!(error, Some(Error::Interrupted(_))), "{place}");
    }
}

/// The bytes of an array \[rows, cols\] of numbers of `size` bytes, the first axis fastest.
fn turned(bytes: &[u8], rows: usize, cols: usize, size: usize) -> Vec<u8> {
    let place = |i: usize| (i % rows * cols + i / rows) * size;
    (0..rows * cols).flat_map(|i| bytes[place(i)..place(i) + size].to_vec()).collect()
}

/// Features in a file's own type, in the file or at hand, give the bits of the matrix in every measured column.
#[test]
fn features_that_stay_as_they_are_give_the_same_bits() {
    const ROWS: usize = 70;
    let folder = tempfile::tempdir().unwrap();
    let values = |seed: usize| -> Vec<f32> {
        (0..ROWS * 3).map(|i| f32::from(f16::from_f32(((i * seed) % 1009) as f32 / 500.0 - 0.9))).collect()
    };
    let (first, second) = (values(7919), values(7907));
    let means: Vec<f32> = first.iter().map(|v| v / 8.0).collect();
    let labels: Vec<u8> = (0..ROWS).map(|i| (i * 5 % 3) as u8).collect();
    let mut measured = Vec::new();
    let request = Request {
        draws: vec![NumDraws::new(8).unwrap()],
        temperature: 0.5,
        passes: Some(2),
        seed: 3,
        classifiers: Classifiers::default(),
    };
    for descr in ["<f2", "<f4", "<f8"] {
        let size = descr[2..].parse::<usize>().unwrap();
        let arrays = [("view1", &first), ("view2", &second), ("mean", &means), ("train", &second)];
        let arrays = arrays.map(|(name, values)| (name, floats_of(values, descr)));
        for fortran in [false, true] {
            let file = |bytes: &[u8]| {
                let bytes = if fortran { turned(bytes, ROWS, 3, size) } else { bytes.to_vec() };
                let mut file = npy(&("", descr, "(70, 3)", bytes));
                if fortran {
                    let place = file.windows(5).position(|window| window == b"False").unwrap();
                    file[place..place + 5].copy_from_slice(b"True ");
                }
                file
            };
            let classes = npy(&("", "|u1", "(70,)", labels.clone()));
            let entries = arrays.iter().map(|(name, bytes)| (*name, file(bytes)));
            let mut entries: Vec<(&str, Vec<u8>)> = entries.collect();
            entries.extend([("labels", classes.clone()), ("train_labels", classes)]);
            for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
                let path = folder.path().join("features.npz");
                let mut archive = ZipWriter::new(std::fs::File::create(&path).unwrap());
                for (name, bytes) in &entries {
                    let options = SimpleFileOptions::default().compression_method(method);
                    archive.start_file(format!("{name}.npy"), options).unwrap();
                    archive.write_all(bytes).unwrap();
                }
                archive.finish().unwrap();
                measured.push(Features::read(&path).unwrap().measure("f", &request).unwrap());
                // Nothing is held that could stay in the file, and nothing is made a matrix.
                let packed = Features::of_arrays(Arrays::open(&path, 0).unwrap(), 0).unwrap();
                measured.push(packed.measure("f", &request).unwrap());
            }
            let files: Vec<(&str, PathBuf)> =
                entries.iter().map(|(name, _)| (*name, folder.path().join(format!("{name}.npy")))).collect();
            for ((_, bytes), (_, path)) in entries.iter().zip(&files) {
                std::fs::write(path, bytes).unwrap();
            }
            let files: Vec<(&str, &Path)> = files.iter().map(|(name, path)| (*name, &**path)).collect();
            measured.push(Features::open_arrays(&files).unwrap().measure("f", &request).unwrap());
        }
        let dtype = [(2, Dtype::F16), (4, Dtype::F32), (8, Dtype::F64)];
        let dtype = dtype.into_iter().find(|(of, _)| *of == size).unwrap().1;
        let mut tensors: Vec<(&str, TensorView<'_>)> = arrays
            .iter()
            .map(|(name, bytes)| (*name, TensorView::new(dtype, vec![ROWS, 3], bytes).unwrap()))
            .collect();
        let classes = TensorView::new(Dtype::U8, vec![ROWS], &labels).unwrap();
        tensors.extend([("labels", classes.clone()), ("train_labels", classes)]);
        let path = folder.path().join("features.safetensors");
        serialize_to_file(tensors, None, &path).unwrap();
        let packed = Features::of_arrays(Arrays::open(&path, 0).unwrap(), 0).unwrap();
        measured.push(packed.measure("f", &request).unwrap());
    }
    assert_eq!(measured.len(), 3 * (2 * 5 + 1));
    for found in &measured {
        assert_eq!((&found.rows, &found.spreads), (&measured[0].rows, &measured[0].spreads));
    }
    assert_eq!(measured[0].rows[0].pair_samples, None);
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

/// Rows of norm 1e200 have the direction of those of norm 1.
#[test]
fn rows_of_any_norm_are_scaled_rightly() {
    let matrix =
        |scale: f64| Matrix { rows: 4, cols: 2, data: VALUES.map(|v| f64::from(v) * scale).to_vec() };
    let measure = |scale: f64| {
        let classes = LABELS.map(usize::from).to_vec();
        let features = Features::new(matrix(scale), matrix(1.0), classes, None, None).unwrap();
        let draws = vec![NumDraws::new(2).unwrap()];
        let request = Request {
            draws,
            temperature: 0.5,
            passes: Some(1),
            seed: 3,
            classifiers: Classifiers::default(),
        };
        let rows = features.measure("f", &request).unwrap().rows;
        rows[0].get(Quantity::InfoNce).unwrap()
    };
    for scale in [1e200, 1e300, 1e-200] {
        assert!((measure(scale) - measure(1.0)).abs() < 1e-14, "{scale}");
    }
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

/// Rows that are never all asked for.
#[derive(Clone)]
struct Many(Matrix, bool);

impl FeatureRows for Many {
    fn count(&self) -> usize {
        self.0.rows
    }

    fn width(&self) -> usize {
        self.0.cols
    }

    fn run(&self, rows: std::ops::Range<usize>) -> Result<std::borrow::Cow<'_, [f64]>> {
        self.0.run(rows)
    }

    fn pick(&self, rows: &[usize]) -> Result<Matrix> {
        self.0.pick(rows)
    }

    fn whole(&self) -> Result<std::borrow::Cow<'_, Matrix>> {
        assert!(self.1, "all rows of a view");
        Ok(std::borrow::Cow::Borrowed(&self.0))
    }
}

/// The classifiers of features of which no view is ever whole are those of matrices.
#[test]
fn classifiers_take_runs_of_the_view() {
    let matrix = |seed: usize| {
        let data = (0..900).map(|i| ((i * seed) % 10_007) as f64 / 10_007.0 - 0.3).collect();
        Matrix { rows: 300, cols: 3, data }
    };
    let labels: Vec<usize> = (0..300).map(|i| i % 4).collect();
    let train = Some((matrix(7901), labels.clone()));
    let whole = Features::new(matrix(7919), matrix(7907), labels, train, None).unwrap();
    let many = Features {
        view1: Many(whole.view1.clone(), false),
        view2: Many(whole.view2.clone(), false),
        labels: whole.labels.clone(),
        train: whole.train.clone().map(|(train, labels)| (Many(train, true), labels)),
        mean: None,
        num_classes: 4,
    };
    let draws = vec![NumDraws::new(4).unwrap()];
    let request =
        Request { draws, temperature: 0.5, passes: Some(1), seed: 3, classifiers: Classifiers::default() };
    let found = many.measure_pairs("f", &request, &[0.5], Some(100), &never).unwrap();
    let expected = whole.measure_pairs("f", &request, &[0.5], Some(100), &never).unwrap();
    assert_eq!(found.rows, expected.rows);
    let (train, labels) = whole.train.as_ref().unwrap();
    let linear = crate::LinearProbe::default().fit(train, labels, 4, &never).unwrap();
    let accuracy = linear.accuracy(&whole.view1, &whole.labels).unwrap();
    assert_eq!(found.rows[0].get(Quantity::LinearAccuracy), Some(accuracy));
}

/// What is measured of a part of the samples says so, and is near what all of them give.
#[test]
fn many_samples_are_measured_by_a_part_of_their_pairs() {
    let rows = 1000;
    let matrix = |seed: usize| {
        let data = (0..2 * rows).map(|i| ((i * seed) % 10_007) as f64 / 10_007.0 - 0.3).collect();
        Matrix { rows, cols: 2, data }
    };
    let labels: Vec<usize> = (0..rows).map(|i| i % 40).collect();
    let features = Features::new(matrix(7919), matrix(7907), labels, None, None).unwrap();
    let draws = vec![NumDraws::new(4).unwrap()];
    let request =
        Request { draws, temperature: 0.5, passes: Some(1), seed: 3, classifiers: Classifiers::default() };
    let of = |most| features.measure_pairs("f", &request, &[0.5], most, &never).unwrap().rows.remove(0);
    let (part, all) = (of(Some(400)), of(None));
    assert_eq!((part.pair_samples, all.pair_samples), (Some(400), None));
    assert_ne!(part.run.settings_id, all.run.settings_id);
    assert_eq!(all.run.settings_id, features.settings_id(Some(1), 3));
    for (quantity, estimate) in &all.measures {
        let found = part.measures[quantity];
        match quantity {
            Quantity::Uniformity | Quantity::UniformityBothViews => {
                let error = found.image_error.unwrap();
                assert!((found.mean - estimate.mean).abs() < 2.0 * error, "{quantity}: {found:?}");
                assert_ne!(found.mean, estimate.mean);
            }
            _ => assert_eq!(found, *estimate, "{quantity}"),
        }
    }
}
