use super::shards::Tar;
use super::*;
use crate::augment::{Augmentation, ViewStream, Views, simclr};
use candle_core::Device;
use measure::rng::Purpose;

/// Images of 6×6 pixels in colour, damaged ones among them, as files and as shards.
fn folder_and_shards() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    for part in ["train", "val"] {
        for shard in 0..3 {
            let mut tar = Tar::new();
            for i in 0..8 {
                let class = ["0", "1"][i as usize % 2];
                let number = shard * 8 + i;
                let png = match number {
                    3 | 20 => b"no image".to_vec(),
                    _ => file(picture(6, 6, number * 7), ImageFormat::Png),
                };
                put(place.path(), &format!("folder/{part}/{class}/{number:02}.png"), &png);
                tar = tar
                    .add(&format!("{number:02}.png"), &png)
                    .add(&format!("{number:02}.cls"), class.as_bytes());
            }
            put(place.path(), &format!("shards/{part}/{shard}.tar"), &tar.bytes());
        }
    }
    place
}

fn settings(cache: bool) -> ImageSettings {
    ImageSettings { side: Some(4), cache, ..ImageSettings::default() }
}

fn of<'a>(place: &'a Path, name: &'a str, images: ImageSettings) -> Request<'a> {
    Request { name, images, train_samples: Some(17), ..request(place) }
}

#[test]
fn images_decoded_when_they_are_needed_are_the_same_images() {
    let place = folder_and_shards();
    for name in ["folder", "shards"] {
        let at = place.path().join(name);
        let [kept, streamed] = [true, false].map(|cache| load(&of(&at, name, settings(cache))).unwrap());
        for (kept, streamed) in [(&kept.train, &streamed.train), (&kept.evaluated, &streamed.evaluated)] {
            assert!(!images(kept).is_streamed() && images(streamed).is_streamed());
            assert_eq!((kept.checksum(), kept.labels()), (streamed.checksum(), streamed.labels()));
            let indices: Vec<usize> = (0..kept.len()).rev().collect();
            assert_eq!(images(kept).pixels(&indices).unwrap(), images(streamed).pixels(&indices).unwrap());
            let simclr = Augmentation::Simclr(simclr::Augmentation { size: 4, ..Default::default() });
            let views = |samples: &Samples, ahead: bool| {
                let views = Views::new(&simclr, samples, &Device::Cpu).unwrap();
                let mut draw = ViewStream::new(5, Purpose::Augmentation, 2).unwrap();
                if ahead {
                    views.expect(&indices);
                    // Nobody comes for these.
                    (0..5).for_each(|i| views.expect(&[i]));
                }
                let random = views.random(&indices, &mut draw, 2).unwrap();
                let plain = views.plain(&indices).unwrap();
                [random, plain]
                    .map(|input| input.images().unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap())
            };
            assert_eq!(views(kept, false), views(streamed, false));
            assert_eq!(views(kept, false), views(streamed, true));
        }
        // A description without pixels stands beside the decoded images.
        let length = |name: &str| std::fs::metadata(at.join(".decoded").join(name)).unwrap().len();
        let form = if name == "shards" { "4-of-4-shards" } else { "4-of-4" };
        let pixels =
            length(&format!("{form}.images")) as i64 - length(&format!("{form}-checked.images")) as i64;
        assert!((1000..44 * 48).contains(&pixels), "{pixels}");
    }
}

#[test]
fn an_image_that_changed_is_named() {
    let place = folder_and_shards();
    let at = place.path().join("folder");
    let split = load(&of(&at, "folder", settings(false))).unwrap();
    let all: Vec<usize> = (0..split.evaluated.len()).collect();
    put(&at, "val/1/01.png", &file(picture(6, 6, 99), ImageFormat::Png));
    let message = |found: crate::Result<Vec<u8>>| found.unwrap_err().to_string();
    let other = message(images(&split.evaluated).pixels(&all));
    assert!(other.ends_with("val/1/01.png: changed since it was checked: it is another image"), "{other}");
    std::fs::remove_file(at.join("val/1/01.png")).unwrap();
    images(&split.evaluated).expect(&all);
    assert!(
        message(images(&split.evaluated).pixels(&all)).contains("val/1/01.png: changed since it was checked")
    );
}

#[test]
fn shards_stay_together_in_whatever_part_of_the_images() {
    let place = folder_and_shards();
    let at = place.path().join("shards");
    for cache in [true, false] {
        let split = load(&Request { train_samples: None, ..of(&at, "shards", settings(cache)) }).unwrap();
        let train = images(&split.train);
        // Of three shards of 8 images the first and the last have a damaged one.
        let expected: [Vec<usize>; 3] = [(0..7).collect(), (7..15).collect(), (15..22).collect()];
        assert_eq!(train.shards(), expected);
        assert_eq!(train.subset(&[21, 3, 8, 0, 7]).shards(), [vec![3, 1], vec![4, 2], vec![0]]);
    }
    let buffer = ImageSettings { shuffle_buffer: Some(5), ..settings(true) };
    let refused = message(&of(&place.path().join("folder"), "folder", buffer));
    assert!(
        refused.contains("images.shuffle_buffer = 5") && refused.contains("needs dataset = shards"),
        "{refused}"
    );
}
