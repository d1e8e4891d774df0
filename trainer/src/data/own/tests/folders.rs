use super::*;

/// A picture of one grey value, in PNG.
pub(super) fn grey(value: u8) -> Vec<u8> {
    file(image::GrayImage::from_pixel(2, 2, image::Luma([value])), ImageFormat::Png)
}

/// Two classes of images with values from 0 on; class b has the ending in large letters, and a folder in it.
fn two_classes(folder: &Path, part: &str, each: u8) {
    for i in 0..each {
        put(folder, &format!("{part}/a/{i:03}.png"), &grey(i));
        put(folder, &format!("{part}/b/deeper/{i:03}.PNG"), &grey(100 + i));
    }
}

#[test]
fn classes_are_folders_in_the_order_of_their_names() {
    let place = tempfile::tempdir().unwrap();
    two_classes(place.path(), "train", 3);
    two_classes(place.path(), "val", 2);
    let split = load(&request(place.path())).unwrap();
    assert_eq!(split.train.labels(), [0, 0, 0, 1, 1, 1]);
    assert_eq!(pixels(&split.train), [0, 1, 2, 100, 101, 102].map(|value| vec![value; 4]));
    assert_eq!((split.evaluated.labels(), split.train.num_classes()), (&[0, 0, 1, 1][..], 2));
    assert_eq!(images(&split.train).shape(), [2, 2, 1], "grey stays grey");
    // One file in colour, and all have three channels.
    put(place.path(), "train/a/zz.png", &file(picture(2, 2, 1), ImageFormat::Png));
    assert_eq!(images(&load(&request(place.path())).unwrap().train).shape(), [2, 2, 3]);
    let in_grey = ImageSettings { colour: Colour::Grey, ..ImageSettings::default() };
    let grey = load(&Request { images: in_grey, ..request(place.path()) }).unwrap();
    assert_eq!(images(&grey.train).shape(), [2, 2, 1]);
    // Without a part for it a share is held out, the same each time.
    std::fs::rename(place.path().join("val"), place.path().join("other")).unwrap();
    let share = |share| load(&Request { validation: Some(share), ..request(place.path()) }).unwrap();
    assert_eq!(share(0.34).evaluated.class_counts(), [1, 1]);
    assert_eq!(share(0.5).evaluated.class_counts(), [2, 2]);
    assert_eq!(share(0.99).train.class_counts(), [1, 1]);
    assert_eq!(pixels(&share(0.5).train), pixels(&share(0.5).train));
    // `test` and `validation` are other names of it; tuning images come from the rest.
    std::fs::rename(place.path().join("other"), place.path().join("test")).unwrap();
    assert_eq!(load(&request(place.path())).unwrap().evaluated.class_counts(), [2, 2]);
    let tuning = Request { evaluate_on: EvaluateOn::Tuning, ..request(place.path()) };
    assert_eq!(load(&tuning).unwrap().evaluated.class_counts(), [1, 1]);
    // The share is of folders that have no such part.
    let both = load(&Request { validation: Some(0.5), ..request(place.path()) }).unwrap();
    assert_eq!(both.evaluated.class_counts(), [2, 2]);
    // A part without images is no reason to evaluate samples that could be trained on.
    std::fs::remove_dir_all(place.path().join("test")).unwrap();
    std::fs::create_dir(place.path().join("test")).unwrap();
    let empty = message(&request(place.path()));
    assert!(empty.contains("train has a class 'a' that test has not"), "{empty}");
}

#[test]
fn a_list_says_what_folders_would_in_its_own_order() {
    let place = tempfile::tempdir().unwrap();
    two_classes(place.path(), "x", 3);
    let list = |text: &str| put(place.path(), "labels.csv", text.as_bytes());
    list("file,label,split\nx/b/deeper/001.PNG,B\nx/a/002.png, A\nx/a/001.png,A,val\n");
    assert!(
        message(&request(place.path())).contains("labels.csv: line 2: 2 fields where the first line has 3"),
        "a row with another number of columns"
    );
    list(
        "file,label,split\nx/b/deeper/001.PNG,B,train\nx/a/002.png, A,train\nx/a/001.png,A,val\n\
         x/b/deeper/000.PNG,B,test\n",
    );
    let split = load(&request(place.path())).unwrap();
    assert_eq!((split.train.labels(), split.evaluated.labels()), (&[1, 0][..], &[0, 1][..]));
    assert_eq!(pixels(&split.train), [vec![101; 4], vec![2; 4]]);
    for (text, expected) in [
        ("file,label\nx/a/001.png,A\nx/a/001.png,B\n", "line 3: the file 'x/a/001.png' is that of line 2"),
        ("name,label\nx/a/001.png,A\n", "line 1: there is no column 'file': the columns are file,label"),
        ("file,label,weight\nx/a/001.png,A,1\n", "line 2: unknown field `weight`, expected one of"),
        ("file,label,split\nx/a/001.png,A,trian\n", "trian"),
        ("file,label\nx/a/001.png,\n", "line 2: a file and a label are needed"),
        ("file,label\nx/a/001.png,A\n", "of 1 class"),
        ("file,label\n", "of 0 class"),
        (
            "file,label\nx/a/gone.png,A\nx/a/001.png,B\nx/a/000.png,B\n",
            "class 'A' has no image to be trained on",
        ),
    ] {
        list(text);
        let found = message(&request(place.path()));
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn what_cannot_be_is_one_clear_line() {
    let place = tempfile::tempdir().unwrap();
    let at = place.path();
    assert!(message(&request(&at.join("none"))).contains("no such folder"));
    assert!(message(&Request::new("folder")).contains("--data DIR"));
    assert!(message(&request(at)).contains("of 0 class"));
    two_classes(at, "train", 2);
    std::fs::create_dir(at.join("train/empty")).unwrap();
    assert!(message(&request(at)).contains("class 'empty' has no image to be trained on"));
    std::fs::remove_dir(at.join("train/empty")).unwrap();
    put(at, "val/a/1.png", &grey(1));
    assert!(message(&request(at)).contains("train has a class 'b' that val has not"));
    put(at, "val/b/1.png", b"no image");
    let lost = message(&request(at));
    assert!(
        lost.contains("class 'b' has no image to be evaluated; 1 file is left out: val/b/1.png: neither"),
        "{lost}"
    );
    put(at, "val/b/1.png", &file(picture(5, 4, 0), ImageFormat::Png));
    let sizes = message(&request(at));
    assert!(
        sizes.contains("train/a/000.png: 2×2, val/b/1.png: 5×4") && sizes.contains("images.side=N"),
        "{sizes}"
    );
    let resized = ImageSettings { side: Some(3), ..ImageSettings::default() };
    let split = load(&Request { images: resized, ..request(at) }).unwrap();
    assert_eq!((images(&split.train).shape(), split.evaluated.labels()), ([3, 3, 3], &[0, 1][..]));
    for (images, validation, expected) in [
        (ImageSettings { side: Some(0), ..resized }, None, "images.side = 0"),
        (ImageSettings { short_side: Some(2), ..resized }, None, "images.short_side = 2"),
        (ImageSettings { side: None, short_side: Some(2), ..resized }, None, "needs images.side"),
    ] {
        let found = message(&Request { images, validation, ..request(at) });
        assert!(found.contains(expected), "{found}");
    }
    std::fs::remove_dir_all(at.join("val")).unwrap();
    for share in [0.0, 1.0, f64::NAN] {
        assert!(
            message(&Request { validation: Some(share), ..request(at) }).contains("no share of each class")
        );
    }
    assert!(
        message(&Request { validation: Some(0.5), ..Request::new("digits") }).contains("of dataset = folder")
    );
    assert!(message(&Request { images: resized, ..Request::new("digits") }).contains("of dataset = folder"));
}

#[test]
fn images_without_classes_are_of_one() {
    let place = tempfile::tempdir().unwrap();
    (0..20).for_each(|i| put(place.path(), &format!("{i}.png"), &grey(i)));
    let split = load(&request(place.path())).unwrap();
    assert_eq!((split.train.len(), split.evaluated.len(), split.train.num_classes()), (18, 2, 1));
    split.check().unwrap();
    put(place.path(), "class/1.png", &grey(1));
    assert!(message(&request(place.path())).contains("of 1 class"), "a class beside images of none");
}

#[test]
fn a_folder_of_hostile_images_ends_with_a_summary() {
    let place = tempfile::tempdir().unwrap();
    hostile::write_folder(place.path(), 99);
    let listing = std::sync::Arc::new(Listing::of(place.path()).unwrap());
    let settings = ImageSettings { side: Some(8), ..ImageSettings::default() };
    let decoded = store::decoded(&listing, &settings).unwrap();
    // Of each of three rounds: those that are no image; a stray file, a broken link, a circle, a pipe.
    let bad = 3 * kinds(0).iter().filter(|kind| !kind.good).count();
    let more = if cfg!(unix) { 4 } else { 1 };
    assert_eq!(decoded.left_out.total, bad + more, "{:?}", decoded.left_out);
    assert_eq!(decoded.parts(&listing).unwrap()[0].len(), 99 - bad);
    let summary = decoded.left_out.summary();
    assert!(summary.starts_with(&format!("{} files are left out: train/", bad + more)), "{summary}");
    assert!(summary.ends_with(&format!("and {} more", bad + more - 8)), "{summary}");
    // The same words where nothing is decoded again.
    assert_eq!(store::decoded(&listing, &settings).unwrap().left_out, decoded.left_out);
    let split = load(&Request { images: settings, ..request(place.path()) }).unwrap();
    split.check().unwrap();
    // Any number of threads gives the same images in the same order.
    let bytes = |threads| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let made = measure::pool::with_threads(threads, || {
            make::make(&listing, &settings, &mut bytes, Path::new("x"))
        });
        (made.unwrap().pixels, bytes.into_inner())
    };
    assert_eq!(bytes(1), bytes(3));
}
