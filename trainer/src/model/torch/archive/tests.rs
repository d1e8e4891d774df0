//! Archives in the layout of `torch.save`, byte for byte: stored entries behind padding to 64 bytes, their lengths
//! behind them, and both ends of the central directory, that of zip64 too.

use super::super::write::pickle;
use super::*;

/// An archive of these entries in the folder `stem`, as PyTorch 2 writes it.
fn torch_save(stem: &str, entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for &(name, data) in entries {
        let (name, start) = (format!("{stem}/{name}"), file.len());
        let padding = 64 - (start + 30 + name.len() + 4) % 64;
        let mut crc = flate2::Crc::new();
        crc.update(data);
        let sizes = [crc.sum(), data.len() as u32, data.len() as u32].map(u32::to_le_bytes).concat();
        // Versions, flags (lengths behind the data; UTF-8), method, time and date.
        let head = [&[0, 0, 8, 8, 0, 0][..], &[0; 4]].concat();
        file.extend([b"PK\x03\x04", &head[..], &[0; 12]].concat());
        file.extend([name.len() as u16, padding as u16 + 4].map(u16::to_le_bytes).concat());
        file.extend(name.as_bytes());
        file.extend([&b"FB"[..], &(padding as u16).to_le_bytes(), &b"Z".repeat(padding)].concat());
        assert_eq!(file.len() % 64, 0);
        file.extend([data, b"PK\x07\x08", &sizes].concat());
        directory.extend([b"PK\x01\x02\0\0", &head[..], &sizes, &(name.len() as u16).to_le_bytes()].concat());
        directory.extend([&[0; 12][..], &(start as u32).to_le_bytes(), name.as_bytes()].concat());
    }
    let (start, length, count) = (file.len(), directory.len(), entries.len());
    file.extend(directory);
    let (end, long) = (file.len(), |value: usize| (value as u64).to_le_bytes());
    file.extend([&b"PK\x06\x06"[..], &long(44), &[0x1e, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]].concat());
    file.extend([count, count, length, start].map(long).concat());
    file.extend([&b"PK\x06\x07\0\0\0\0"[..], &long(end), &[1, 0, 0, 0], b"PK\x05\x06\0\0\0\0"].concat());
    file.extend([count as u16, count as u16].map(u16::to_le_bytes).concat());
    file.extend([length as u32, start as u32].map(u32::to_le_bytes).concat());
    file.extend([0, 0]);
    file
}

/// With a stem of 21 bytes the first header of the central directory is as long as both ends of zip64, 76 bytes.
#[test]
fn a_stem_may_have_any_length() {
    let numbers: Vec<u8> = [0.5f32, -1.5, 2.5].into_iter().flat_map(f32::to_le_bytes).collect();
    let pickle = pickle(&[("weight", &[3])]);
    let entries: [(&str, &[u8]); 6] = [
        ("data.pkl", &pickle),
        (".format_version", b"1"),
        (".storage_alignment", b"64"),
        ("byteorder", b"little"),
        ("data/0", &numbers),
        ("version", b"3\n"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("any.pt");
    for length in 1..=100 {
        std::fs::write(&path, torch_save(&"s".repeat(length), &entries)).unwrap();
        let mut archive = Archive::open(&path).unwrap().unwrap_or_else(|e| panic!("{length} bytes: {e}"));
        let weight = archive.get("weight").unwrap().unwrap();
        assert_eq!(weight.to_vec1::<f32>().unwrap(), [0.5, -1.5, 2.5], "{length} bytes");
    }
}

/// A description of more numbers than there are is refused before anybody makes room for them.
#[test]
fn a_shape_beyond_its_storage_is_an_error() {
    let pickle = pickle(&[("weight", &[3]), ("head", &[1 << 40, 512])]);
    let entries: [(&str, &[u8]); 4] =
        [("data.pkl", &pickle), ("byteorder", b"little"), ("data/0", &[0; 12]), ("data/1", &[0; 12])];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("short.pt");
    std::fs::write(&path, torch_save("short", &entries)).unwrap();
    let mut archive = Archive::open(&path).unwrap().unwrap();
    assert_eq!(archive.check("weight"), Ok(()));
    let expected = "it ends at byte 2251799813685248 of a storage of 12 (packed: 12)";
    assert_eq!(archive.check("head"), Err(expected.into()));
}
