use super::*;
use measure::rng::{Purpose, normal, stream};

fn selection(text: &str) -> Selection {
    text.parse().unwrap()
}

fn ranks(text: &str) -> SelectedRanks<'static> {
    SelectedRanks::of(selection(text), StepDraws::new(9, 2).unwrap())
}

const ALL: [&str; 9] = [
    "hardest:5%",
    "easiest:95%",
    "drop-hardest:0.1%",
    "drop-easiest:37.5%",
    "range:40-60%",
    "range:0-40%,60-100%",
    "range:10-20%,20-30.000001%,99.9-100%",
    "hardest:100%",
    "easiest:50%",
];

/// Which ranks a selection keeps, straight from its words: shares as text, rank by rank.
fn keeps(text: &str, rank: u128, count: u128) -> bool {
    let (word, rest) = text.split_once(':').unwrap();
    let millionths = |text: &str| -> u128 {
        let (whole, places) = text.split_once('.').unwrap_or((text, ""));
        whole.parse::<u128>().unwrap() * 1_000_000 + format!("{places:0<6}").parse::<u128>().unwrap()
    };
    let inside = |lo: u128, hi: u128| lo * count <= rank * 100_000_000 && rank * 100_000_000 < hi * count;
    let all = 100_000_000;
    rest.split(',').any(|part| {
        let part = part.trim_end_matches('%');
        match word {
            "range" => part.split_once('-').is_some_and(|(lo, hi)| inside(millionths(lo), millionths(hi))),
            "hardest" => inside(all - millionths(part), all),
            "easiest" => inside(0, millionths(part)),
            "drop-hardest" => inside(0, all - millionths(part)),
            _ => inside(millionths(part), all),
        }
    })
}

#[test]
fn counts_are_exact() {
    for (text, count, kept) in [
        ("hardest:5%", 65_536, 3_276),
        ("easiest:95%", 65_536, 62_260),
        ("drop-hardest:0.1%", 65_536, 65_471),
        ("drop-hardest:5%", 65_536, 62_260),
        ("drop-easiest:95%", 65_536, 3_276),
        ("random:5%", 65_536, 3_276),
        ("range:0-40%,60-100%", 65_536, 26_215 + 26_214),
        ("hardest:5%", 4_096, 204),
        ("drop-hardest:0.1%", 4_096, 4_092),
        // 0.1·10 in floats is 1.0000000000000002 or 0.9999999999999999, depending on the way; here it is 1.
        ("easiest:10%", 10, 1),
        ("hardest:10%", 10, 1),
        ("easiest:0.000001%", 100_000_000, 1),
        ("hardest:0.000001%", 99_999_999, 0),
        ("hardest:0%", 4_096, 0),
    ] {
        assert_eq!(selection(text).kept(count), kept, "{text} of {count}");
    }
    for text in ALL {
        for count in [1, 2, 3, 7, 64, 126, 510, 1000, 4097] {
            let expected = (0..count).filter(|&rank| keeps(text, rank, count)).count();
            assert_eq!(selection(text).kept(count as usize), expected, "{text} of {count}");
        }
    }
    let message = selection("hardest:0.001%").require_kept(4096).unwrap_err().to_string();
    assert!(message.contains("'hardest:0.001%'") && message.contains("K = 4096"), "{message}");
}

#[test]
fn it_agrees_with_a_full_sort() {
    let mut rng = stream(3, Purpose::Evaluation, 0);
    let mut work = Work::default();
    for count in [1usize, 2, 3, 20, 126, 1000, 4096, 4097, 9000] {
        let random: Vec<f32> = (0..count).map(|_| normal(&mut rng)).collect();
        let ties = random.iter().map(|x| (2.0 * x).round() / 2.0).collect();
        let zeros = (0..count).map(|j| if j % 3 == 0 { -0.0 } else { 0.0 }).collect();
        for logits in [random.clone(), ties, vec![0.25; count], zeros] {
            let mut order: Vec<usize> = (0..count).collect();
            // Stable: ties stay in the order of their indices.
            order.sort_by(|&a, &b| logits[a].partial_cmp(&logits[b]).unwrap());
            for text in ALL.iter().filter(|text| selection(text).kept(count) > 0) {
                let mut expected = vec![f32::NEG_INFINITY; count];
                for (rank, &j) in order.iter().enumerate() {
                    if keeps(text, rank as u128, count as u128) {
                        expected[j] = logits[j];
                    }
                }
                let mut found = logits.clone();
                ranks(text).apply(0, &mut found, |k| k, &mut work);
                assert_eq!(found, expected, "{text} of {count}");
            }
        }
    }
}

#[test]
fn a_nan_is_not_hidden() {
    for text in ["easiest:50%", "hardest:50%", "random:50%"] {
        for nan in [f32::NAN, -f32::NAN] {
            let mut logits = [1.0, nan, 0.0, 2.0];
            ranks(text).apply(0, &mut logits, |k| k, &mut Work::default());
            assert!(logits[1].is_nan() && logits[0] == 1.0 && logits[3] == 2.0, "{logits:?}");
        }
    }
}

#[test]
fn random_subsets_are_uniform_and_as_many_as_the_hardest() {
    for (text, kept) in [("random:25%", 3), ("random:75%", 9)] {
        let queries = 4000;
        let (mut counts, mut together) = ([0u32; 12], 0);
        for query in 0..queries {
            let mut logits: Vec<f32> = (0..12).map(|j| j as f32).collect();
            ranks(text).apply(query, &mut logits, |k| k, &mut Work::default());
            let stays: Vec<usize> = (0..12).filter(|&j| logits[j] == j as f32).collect();
            assert_eq!((stays.len(), ranks(text).require_kept(12).unwrap()), (kept, kept));
            stays.iter().for_each(|&j| counts[j] += 1);
            together += u32::from(stays.contains(&0) && stays.contains(&11));
        }
        // Each with probability p = kept/12: standard deviation √(4000 p (1−p)) = 27.4; here within 4.5 of them.
        let expected = queries as f64 * kept as f64 / 12.0;
        assert!(counts.iter().all(|&c| (f64::from(c) - expected).abs() < 124.0), "{counts:?}");
        // Pairs: without replacement.
        let pair = kept as f64 * (kept as f64 - 1.0) / 132.0;
        let deviation = (queries as f64 * pair * (1.0 - pair)).sqrt();
        assert!((f64::from(together) - queries as f64 * pair).abs() < 4.5 * deviation, "{together}");
    }
}

#[test]
fn random_words_belong_to_candidates() {
    // The same candidates with others left out between them keep their words, so that their order stays.
    let words = |candidates: &[usize]| {
        let kept = |share: usize| {
            let mut logits = vec![0.0; candidates.len()];
            let text = format!("random:{}%", 100 * share / candidates.len());
            ranks(&text).apply(5, &mut logits, |k| candidates[k], &mut Work::default());
            (0..candidates.len()).filter(|&k| logits[k] == 0.0).map(|k| candidates[k]).collect::<Vec<_>>()
        };
        // Those with ranks from the last on, one more each time: the order by words.
        let mut order = Vec::new();
        for share in 1..candidates.len() {
            let more = kept(share).into_iter().find(|j| !order.contains(j)).unwrap();
            order.push(more);
        }
        order
    };
    let all: Vec<usize> = (0..20).collect();
    let some = [1, 2, 7, 8, 19];
    let expected: Vec<usize> = words(&all).into_iter().filter(|j| some.contains(j)).collect();
    assert!(expected.starts_with(&words(&some)) && expected.len() >= 4, "{expected:?} {:?}", words(&some));
}

#[test]
fn what_is_written_reads_back() {
    for text in ALL {
        assert_eq!(selection(text).to_string(), text);
    }
    assert_eq!(selection("hardest:05.10%").to_string(), "hardest:5.1%");
    assert_eq!(selection("random:0.000001%").to_string(), "random:0.000001%");
}

#[test]
fn what_is_no_selection_is_refused_by_name() {
    for text in [
        "hardest",
        "hardest:5",
        "hardest:-5%",
        "hardest:100.000001%",
        "hardest:1e1%",
        "hardest:5.0000001%",
        "hardest:%",
        "hardest:.5%",
        "hardest:5.%",
        "middle:5%",
        "range:5%",
        "range:60-40%",
        "range:40-40%",
        "range:0-40%,30-60%",
        "range:50-60%,0-10%",
        "range:0-101%",
        "range:",
        "",
        "hardest:५%",
        "range:0-1%,2-3%,4-5%,6-7%,8-9%,10-11%,12-13%,14-15%,16-17%",
    ] {
        let message = text.parse::<Selection>().unwrap_err().to_string();
        assert!(message.contains(&format!("'{text}'")) && !message.contains('\n'), "{message}");
    }
}
