//! No byte of a file changes unseen.

use super::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A file of several types, a text and notes.
fn file() -> Vec<u8> {
    let tensor = |name: &str, t: Tensor| Part::new(name.into(), &t).unwrap();
    let values: Vec<f32> = (0..300).map(|i| i as f32 / 7.0).collect();
    let parts = [
        tensor("b.weight", Tensor::from_vec(values, (30, 10), &Device::Cpu).unwrap()),
        tensor("a.totals", Tensor::new(&[1.0_f64, 2.0], &Device::Cpu).unwrap()),
        tensor("a.last", Tensor::new(&[1_u32, 2, 3], &Device::Cpu).unwrap()),
        Part::text("rows", "{\"step\":1}\n"),
        Part::text("none", ""),
    ];
    let notes = json!({ "seed": 7, "settings": "a = \"x\"\n" });
    seal(&parts, notes.as_object().unwrap()).unwrap()
}

/// Whether a reader who asks for a seal takes the bytes.
fn accepted(bytes: &[u8]) -> bool {
    Opened::new(bytes.to_vec()).is_ok_and(|opened| opened.notes().is_some())
}

#[test]
fn what_was_written_is_read_and_has_one_form() {
    let bytes = file();
    assert!((0..20).all(|_| file() == bytes), "no order is random");
    let opened = Opened::new(bytes.clone()).unwrap();
    assert_eq!(opened.notes().unwrap()["seed"], 7);
    assert_eq!((opened.note("settings"), opened.note("seed")), (Some("a = \"x\"\n"), None));
    assert_eq!((opened.text("rows"), opened.text("none")), (Some("{\"step\":1}\n"), Some("")));
    let tensors = opened.tensors(&Device::Cpu).unwrap();
    assert_eq!(tensors.len(), 3);
    assert_eq!(tensors["a.last"].to_vec1::<u32>().unwrap(), [1, 2, 3]);
    // As any other reader of the format sees it.
    let plain = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap();
    assert_eq!(plain["b.weight"].dims(), [30, 10]);
    assert_eq!(plain["rows"].to_vec1::<u8>().unwrap(), b"{\"step\":1}\n");
}

#[test]
fn every_bit_of_every_byte_counts() {
    let bytes = file();
    assert!(accepted(&bytes));
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for at in 0..bytes.len() {
        for flip in [1 << (at % 8), rng.random_range(1..=255_u8), 0x20] {
            let mut bad = bytes.clone();
            bad[at] ^= flip;
            assert!(!accepted(&bad), "byte {at} ^ {flip:#04x}");
        }
    }
    for end in 0..bytes.len() {
        assert!(!accepted(&bytes[..end]), "cut at {end}");
    }
    assert!(!accepted(&[&bytes[..], &[0]].concat()));
    let end = header_end(&bytes).unwrap();
    assert!(!accepted(&[&bytes[..end], &[0; 8], &bytes[end..]].concat()), "a gap");
}

#[test]
fn what_is_damaged_is_told() {
    let bytes = file();
    let why = |bytes: Vec<u8>| Opened::new(bytes).unwrap_err();
    let end = header_end(&bytes).unwrap();
    let changed = |at: usize| {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        why(bad)
    };
    assert_eq!(changed(end - 20), "its header is damaged");
    assert_eq!(changed(end), "tensor 'a.totals' is damaged", "the largest numbers come first");
    assert_eq!(changed(bytes.len() - 1), "tensor 'rows' is damaged");
    assert_eq!(why(Vec::new()), "the file is empty");
    assert_eq!(why(vec![0; 512]), "all of its 512 bytes are zero");
    assert!(why(bytes[..bytes.len() - 1].to_vec()).starts_with("it is cut off"));
    assert!(why(b"nonsense, but long enough".to_vec()).starts_with("it is cut off, or no safetensors file"));
}
