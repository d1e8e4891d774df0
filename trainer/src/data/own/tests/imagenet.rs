use super::folders::grey;
use super::*;

/// ImageNet's layout in small: two classes to be trained on, four images to be evaluated.
fn tree() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    for (class, value) in [("n01440764", 10), ("n02102040", 20)] {
        for i in 0..3 {
            put(place.path(), &format!("train/{class}/{class}_{i}.JPEG"), &grey(value + i));
        }
    }
    for i in 1..5 {
        put(place.path(), &format!("val/ILSVRC2012_val_0000000{i}.JPEG"), &grey(i));
    }
    place
}

/// Values and classes of the evaluated images.
fn evaluated(place: &Path) -> Vec<(u8, usize)> {
    let split = load(&request(place)).unwrap();
    assert_eq!(split.train.class_counts(), [3, 3]);
    let values = pixels(&split.evaluated).into_iter().map(|image| image[0]);
    values.zip(split.evaluated.labels().iter().copied()).collect()
}

#[test]
fn the_lists_of_validation_images_say_their_classes() {
    let expected = [(2, 0), (4, 0), (1, 1), (3, 1)];
    let words = ["n02102040", "n01440764", "n02102040", "n01440764"];
    let kaggle = tree();
    let row = |i: usize| {
        format!("ILSVRC2012_val_0000000{i},{} 85 1 499 272 {} 1 2 3 4\n", words[i - 1], words[i - 1])
    };
    put(
        kaggle.path(),
        "LOC_val_solution.csv",
        format!("ImageId,PredictionString\n{}", [3, 1, 4, 2].map(row).concat()).as_bytes(),
    );
    assert_eq!(evaluated(kaggle.path()), expected);
    // Without its first line it has all its images, too; a line that is none is named.
    put(kaggle.path(), "LOC_val_solution.csv", [3, 1, 4, 2].map(row).concat().as_bytes());
    assert_eq!(evaluated(kaggle.path()), expected);
    for (line, reason) in [("nothing", "is not 'image,class …'"), ("x, ", "names no class")] {
        put(kaggle.path(), "LOC_val_solution.csv", format!("{}{line}\n", row(1)).as_bytes());
        let found = message(&request(kaggle.path()));
        assert!(found.contains("line 2: '") && found.contains(reason), "{found}");
    }
    put(kaggle.path(), "LOC_val_solution.csv", [1, 1].map(row).concat().as_bytes());
    assert!(message(&request(kaggle.path())).contains("that an earlier line has"));
    let synsets = tree();
    let text = words.join("\r\n") + "\r\n";
    put(synsets.path(), "val/imagenet_2012_validation_synset_labels.txt", text.as_bytes());
    assert_eq!(evaluated(synsets.path()), expected);
    // The devkit's numbers, in an order that is not that of the names.
    let devkit = tree();
    let data = "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt";
    put(devkit.path(), data, b"1\n3\n1\n3\n");
    assert!(message(&request(devkit.path())).contains("needs synsets.txt"));
    put(devkit.path(), "synsets.txt", b"n02102040\nn00000000\nn01440764\n");
    assert_eq!(evaluated(devkit.path()), expected);
    put(devkit.path(), data, b"1\n4\n");
    assert!(message(&request(devkit.path())).contains("line 2: '4' is no line of the 3 of synsets.txt"));
}

#[test]
fn images_that_no_list_knows_are_left_out() {
    let place = tree();
    assert!(message(&request(place.path())).contains("neither LOC_val_solution.csv nor"));
    put(place.path(), "imagenet_2012_validation_synset_labels.txt", b"n02102040\nn01440764\nn09999999\n");
    let listing = Listing::of(place.path()).unwrap();
    let left_out = listing.left_out.summary();
    assert!(
        left_out.contains("_00000003.JPEG: of class 'n09999999', which the training images have not")
            && left_out.contains("_00000004.JPEG: its class is not in the list"),
        "{left_out}"
    );
    assert_eq!(listing.parts[1].len(), 2);
    put(place.path(), "LOC_val_solution.csv", b"ImageId,PredictionString\nnothing\n");
    let found = message(&request(place.path()));
    assert!(found.ends_with("LOC_val_solution.csv: line 2: 'nothing' is not 'image,class …'"), "{found}");
}
