//! Files of features made in the tests.

mod measured;
mod read;
mod refused;

use super::*;
use crate::pool::never;
use half::{bf16, f16};
use std::io::Write;
use std::path::Path;
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

/// Rows of numbers without order, each array its own, in d columns.
fn rows(rows: usize, cols: usize, seed: usize) -> Matrix {
    let data = (0..rows * cols).map(|i| ((i * seed) % 10_007) as f64 / 10_007.0 - 0.3).collect();
    Matrix { rows, cols, data }
}

/// One row: at t = 0.5, in a single pass.
fn request(draws: u64) -> Request {
    Request { passes: Some(1), ..Request::new(vec![NumDraws::new(draws).unwrap()], 0.5) }
}

/// The identity of a measurement with these passes and this seed.
fn settings_id(features: &Features, passes: Option<usize>, seed: u64) -> String {
    features.settings_id(&Request { passes, seed, ..request(2) }, &never).unwrap()
}
