use super::*;
use std::collections::HashSet;

#[test]
fn entries_are_well_formed_and_no_two_share_a_place() {
    let (mut names, mut places, mut checksums) = (HashSet::new(), HashSet::new(), HashSet::new());
    for set in DATA_SETS {
        assert!(names.insert(set.name), "{}", set.name);
        assert_eq!(find(set.name).unwrap().name, set.name);
        if let Some(tree) = set.hierarchy().unwrap() {
            tree.check(set.num_classes.unwrap()).unwrap();
        }
        let files = set.official.map_or("digits", |files| files.name);
        assert!(names.contains(files), "{files}: the first data set of its files has their name");
    }
    for official in official_files() {
        assert!(!official.addresses.is_empty() && !official.places.is_empty() && !official.files.is_empty());
        assert!(official.addresses.iter().all(|a| a.starts_with("http") && a.ends_with('/')));
        for file in official.files.iter().chain(official.others) {
            assert!(places.insert((official.name, file.name)), "{} {}", official.name, file.name);
            assert!(checksums.insert(file.md5), "{}", file.md5);
            assert_eq!(file.md5.len(), 32);
            assert!(file.md5.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c)));
            assert!(file.bytes > 0);
        }
    }
    assert_eq!(
        find("imagenet").unwrap_err().to_string(),
        "there is no data set 'imagenet'; known: digits, mnist, fashion-mnist, cifar10, cifar100, cifar100-coarse, \
         ag-news, ag-news-8, folder, shards"
    );
}

#[test]
fn a_length_is_that_of_the_published_size() {
    // The README of Fashion-MNIST: 26 MBytes, 29 KBytes, 4.3 MBytes, 5.1 KBytes; the CIFAR page: 162, 163, 161, 161 MB.
    let bytes = |name: &str| {
        let official = find(name).unwrap().official.unwrap();
        official.files.iter().chain(official.others).map(|file| file.bytes).collect::<Vec<_>>()
    };
    assert_eq!(bytes("fashion-mnist").iter().map(|b| b / 1000).collect::<Vec<_>>(), [26421, 29, 4422, 5]);
    let mebibytes = |b: &u64| (b + (1 << 19)) >> 20;
    assert_eq!(bytes("cifar10").iter().map(mebibytes).collect::<Vec<_>>(), [162, 163]);
    assert_eq!(bytes("cifar100").iter().map(mebibytes).collect::<Vec<_>>(), [161, 161]);
    assert_eq!(cifar10::FILES.bytes(), 170_052_171);
}

/// The table of `data/mod.rs` is the registry.
#[test]
fn the_documentation_lists_every_data_set() {
    let found: Vec<&str> =
        include_str!("../mod.rs").lines().filter(|line| line.starts_with("//! | `")).collect();
    let place = |place: &&str| match *place {
        "" => "DIR itself".to_string(),
        place => format!("`{place}`"),
    };
    let line = |set: &&DataSet| {
        let others = if set.num_classes.is_some() { "none: compiled in" } else { "DIR itself" };
        let places = set
            .official
            .map_or(others.into(), |files| files.places.iter().map(place).collect::<Vec<_>>().join(", "));
        let classes = set.num_classes.map_or("any".into(), |classes| classes.to_string());
        format!("//! | `{}` | {} | {classes} | {places} |", set.name, set.samples)
    };
    let expected: Vec<String> = DATA_SETS.iter().map(line).collect();
    assert_eq!(found, expected, "\n{}", expected.join("\n"));
}

#[test]
fn a_hierarchy_is_known_by_the_name_of_its_data_set() {
    let of = |name: &str| hierarchy(Path::new(name)).unwrap();
    let cifar10 = of("cifar10");
    assert_eq!((cifar10.classes.len(), &cifar10.classes[1][..]), (10, "car.n.01"));
    // Cat and dog are both carnivores: four edges. Car and truck are both motor vehicles: two.
    assert_eq!((cifar10.path.row(3)[5], cifar10.path.row(1)[9]), (0.2, 1.0 / 3.0));
    let fashion = of("fashion-mnist");
    // A T-shirt is a shirt; sandals and sneakers are shoes, boots footwear.
    assert_eq!(
        (fashion.path.row(0)[6], fashion.path.row(5)[7], fashion.path.row(5)[9]),
        (0.5, 1.0 / 3.0, 0.25)
    );
    assert!(of("cifar100").classes.is_sorted(), "numbered in the order of their names");
    // A data set without one: the name is that of a file.
    for missing in ["digits", "no/such.csv"] {
        assert!(hierarchy(Path::new(missing)).unwrap_err().to_string().contains(missing));
    }
}
