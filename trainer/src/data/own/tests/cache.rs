use super::*;
use std::fs::{File, metadata, read, read_dir};
use std::path::PathBuf;
use std::time::Duration;

fn folder_of_two() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    for i in 0..6 {
        let name = format!("train/{}/{i}.png", ["a", "b"][i as usize % 2]);
        put(place.path(), &name, &file(picture(4, 4, i), ImageFormat::Png));
    }
    place
}

fn kept(place: &Path) -> PathBuf {
    let mut found: Vec<PathBuf> =
        read_dir(place.join(".decoded")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| !path.ends_with("lock"));
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn all(place: &Path) -> [Vec<Vec<u8>>; 2] {
    let split = load(&request(place)).unwrap();
    [pixels(&split.train), pixels(&split.evaluated)]
}

#[test]
fn a_second_load_decodes_nothing_and_a_changed_source_is_decoded_again() {
    let place = folder_of_two();
    let first = all(place.path());
    let path = place.path().join("train/a/0.png");
    let (length, time) =
        (metadata(&path).unwrap().len() as usize, metadata(&path).unwrap().modified().unwrap());
    // No image any more, but a file of the same length and time: nobody looks.
    let write_at = |bytes: &[u8], time| {
        write(&path, bytes).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    };
    write_at(&vec![0; length], time);
    assert_eq!(all(place.path()), first);
    // Another time: it is looked at, and left out.
    write_at(&vec![0; length], time + Duration::from_millis(3));
    let fewer = all(place.path());
    assert_eq!(fewer[0].len() + fewer[1].len(), 5);
    write_at(&file(picture(4, 4, 9), ImageFormat::Png), time + Duration::from_secs(3));
    assert!(all(place.path()).concat().contains(&picture(4, 4, 9).into_raw()));
    // Another source that comes, and one that goes.
    put(place.path(), "train/a/7.png", &file(picture(4, 4, 7), ImageFormat::Png));
    assert_eq!(all(place.path()).concat().len(), 7);
    std::fs::remove_file(place.path().join("train/a/7.png")).unwrap();
    assert_eq!(all(place.path()).concat().len(), 6);
    kept(place.path());
    // Other settings stand beside it.
    let small = ImageSettings { side: Some(2), short_side: Some(3), ..ImageSettings::default() };
    load(&Request { images: small, ..request(place.path()) }).unwrap();
    assert!(place.path().join(".decoded/2-of-3.images").is_file());
}

#[test]
fn a_damaged_file_is_made_again() {
    let place = folder_of_two();
    let first = all(place.path());
    let path = kept(place.path());
    let good = read(&path).unwrap();
    // In the magic, the numbers, the digest, the first and last pixel, the description; cut; empty; longer numbers.
    for at in [0, 7, 8, 20, 30, 4096, 4096 + 6 * 48 - 1, good.len() - 5] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        write(&path, &bad).unwrap();
        assert_eq!(all(place.path()), first);
        assert!(read(&path).unwrap() == good, "byte {at} was noticed and the same file made again");
    }
    for bad in [&good[..good.len() - 1], &good[..50], &[], &[&good[..8], &[255; 100]].concat()] {
        write(&path, bad).unwrap();
        assert_eq!(all(place.path()), first);
        assert!(read(&path).unwrap() == good);
    }
}

#[test]
fn several_at_once_make_one_file() {
    let place = folder_of_two();
    // What an interrupted one left.
    put(place.path(), ".decoded/.left.partial", b"half");
    let found = std::thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(|| all(place.path()))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(found.iter().all(|one| *one == found[0]));
    kept(place.path());
}
