//! What files may be.

use super::super::arrays::Arrays;
use super::super::decode;
use super::*;
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize_to_file};
use std::path::PathBuf;

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
                ids.push(settings_id(&found, None, 7));
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
    let request = Request { passes: Some(2), seed: 3, ..request(8) };
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
                measured.push(Features::read(&path).unwrap().measure("f", &request, &never).unwrap());
                // Nothing is held that could stay in the file, and nothing is made a matrix.
                let packed = Features::of_arrays(Arrays::open(&path, 0).unwrap(), 0).unwrap();
                measured.push(packed.measure("f", &request, &never).unwrap());
            }
            let files: Vec<(&str, PathBuf)> =
                entries.iter().map(|(name, _)| (*name, folder.path().join(format!("{name}.npy")))).collect();
            for ((_, bytes), (_, path)) in entries.iter().zip(&files) {
                std::fs::write(path, bytes).unwrap();
            }
            let files: Vec<(&str, &Path)> = files.iter().map(|(name, path)| (*name, &**path)).collect();
            measured.push(Features::open_arrays(&files).unwrap().measure("f", &request, &never).unwrap());
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
        measured.push(packed.measure("f", &request, &never).unwrap());
    }
    assert_eq!(measured.len(), 3 * (2 * 5 + 1));
    for found in &measured {
        assert_eq!((&found.rows, &found.spreads), (&measured[0].rows, &measured[0].spreads));
    }
    assert_eq!(measured[0].rows[0].pair_samples, None);
}
