use super::*;
use crate::augment::{Augmentation, ViewStream, Views};
use crate::data::{Samples, Texts};
use crate::model::{Bags, Input};
use candle_core::Device;
use measure::rng::Purpose;

const COUNTER: Counter = Counter { seed: 7, purpose: Purpose::Augmentation, step: 3 };

fn view(sampler: &Sampler, words: &[u32], text: u32, number: u32) -> Vec<u32> {
    let mut out = Vec::new();
    sampler.view(words, &COUNTER, text, View::new(number).unwrap(), &mut out);
    out
}

/// Words 0 to 3: 0 has neighbours 1, 2 and 3, word 1 has 0, the others none.
fn neighbours() -> Arc<Neighbours> {
    Arc::new(Neighbours::new(vec![vec![1, 2, 3], vec![0], vec![], vec![]]).unwrap())
}

/// Counts of independent words stay within 5 standard deviations.
fn near(found: usize, total: usize, probability: f64) {
    let (mean, variance) = (total as f64 * probability, total as f64 * probability * (1.0 - probability));
    assert!((found as f64 - mean).abs() < 5.0 * variance.sqrt(), "{found} of {total}, not {probability}");
}

#[test]
fn a_fifth_of_the_words_is_erased() {
    let sampler = Sampler::erase(&Erase::default()).unwrap();
    let words: Vec<u32> = (0..31).collect();
    let mut kept = vec![0; 31];
    for text in 0..4000 {
        let view = view(&sampler, &words, text, 1);
        assert!(view.is_sorted());
        view.iter().for_each(|&word| kept[word as usize] += 1);
    }
    kept.into_iter().for_each(|kept| near(kept, 4000, 0.8));
    let all = Sampler::erase(&Erase { probability: 1.0 }).unwrap();
    assert!(view(&all, &words, 1, 0).is_empty());
    let none = Sampler::erase(&Erase { probability: 0.0 }).unwrap();
    assert_eq!(view(&none, &words, 1, 0), words);
}

#[test]
fn replacements_are_uniform_neighbours() {
    let sampler = Sampler::replace(&Replace::default(), neighbours()).unwrap();
    let (mut counts, mut ones) = ([0; 4], 0);
    for text in 0..20_000 {
        let found = view(&sampler, &[2, 0, 3, 1, 0], text, 0);
        assert_eq!((found.len(), found[0], found[2]), (5, 2, 3));
        counts[found[1] as usize] += 1;
        ones += usize::from(found[3] == 0);
    }
    near(counts[0], 20_000, 0.8);
    counts[1..].iter().for_each(|&count| near(count, 20_000, 0.2 / 3.0));
    near(ones, 20_000, 0.2);
}

#[test]
fn first_views_are_part_of_the_interface() {
    // Results of old runs stay reproducible only while these do not change.
    let words: Vec<u32> = (0..12).collect();
    let erase = Sampler::erase(&Erase { probability: 0.5 }).unwrap();
    assert_eq!(view(&erase, &words, 5, 0), FIRST_ERASED);
    let replace =
        Sampler::replace(&Replace { probability: 0.5, ..Replace::default() }, neighbours()).unwrap();
    assert_eq!(view(&replace, &[0; 12], 5, 1), FIRST_REPLACED);
}

/// By Philox and the rule of the module written anew in Python.
const FIRST_ERASED: [u32; 4] = [2, 6, 10, 11];
const FIRST_REPLACED: [u32; 12] = [3, 3, 2, 0, 3, 2, 3, 1, 0, 0, 0, 0];

fn texts() -> Texts {
    let vocabulary = Arc::new(["a", "b", "c", "<unk>"].map(String::from).to_vec());
    Texts::new([vec![0, 1, 2, 3], vec![2], vec![], vec![1, 1]], vec![0, 1, 0, 1], vocabulary, 2).unwrap()
}

fn bags(input: Input) -> Bags {
    let Input::Bags(bags) = input else { panic!("texts are bags") };
    bags
}

#[test]
fn views_of_texts_are_bags_addressed_by_text() {
    let samples = Samples::Texts(texts());
    let erase = Augmentation::Erase(Erase { probability: 0.4 });
    let views = Views::new(&erase, &samples, &Device::Cpu).unwrap();
    let plain = bags(views.plain(&[3, 0, 2]).unwrap());
    assert_eq!(plain, Bags { words: vec![1, 1, 0, 1, 2, 3], ends: vec![2, 6, 6] });
    let mut draw = ViewStream::new(7, Purpose::Augmentation, 2).unwrap();
    let two = bags(views.random(&[0, 3], &mut draw, 2).unwrap());
    assert_eq!(two.ends.len(), 4);
    // The same text in a subset, and alone in its batch, has the same views.
    let subset = samples.subset(&[3]);
    let alone = Views::new(&erase, &subset, &Device::Cpu).unwrap();
    let alone = bags(alone.random(&[0], &mut draw, 2).unwrap());
    let of =
        |bags: &Bags, i: usize| bags.words[if i == 0 { 0 } else { bags.ends[i - 1] }..bags.ends[i]].to_vec();
    assert_eq!([of(&alone, 0), of(&alone, 1)], [of(&two, 1), of(&two, 3)]);
}

#[test]
fn neighbours_come_from_a_setting_or_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let samples = Samples::Texts(texts().in_folder(folder.path()));
    let settings = Replace { probability: 1.0, neighbours: 1, neighbours_file: None };
    let make = |settings: &Replace| {
        Views::new(&Augmentation::Replace(settings.clone()), &samples, &Device::Cpu).map(|v| v.len())
    };
    let error = make(&settings).unwrap_err().to_string();
    assert!(error.contains("synonyms.tsv") && !error.contains('\n'), "{error}");
    std::fs::write(folder.path().join("synonyms.tsv"), "1-n\ta\tb\n").unwrap();
    assert_eq!(make(&settings).unwrap(), 4);
    let file = folder.path().join("other.vec");
    std::fs::write(&file, "a 1 0\nb 1 1\nc 1\n").unwrap();
    let error =
        make(&Replace { neighbours_file: Some(file.clone()), ..settings.clone() }).unwrap_err().to_string();
    assert!(error.contains("other.vec: line 3"), "{error}");
    let views = Views::new(&Augmentation::Replace(settings.clone()), &samples, &Device::Cpu).unwrap();
    let mut draw = ViewStream::new(7, Purpose::Augmentation, 0).unwrap();
    assert_eq!(bags(views.random(&[0], &mut draw, 1).unwrap()).words, [1, 0, 2, 3]);
}

#[test]
fn augmentations_fit_their_samples() {
    let samples = Samples::Texts(texts());
    let refused = |augmentation: Augmentation, samples: &Samples| {
        Views::new(&augmentation, samples, &Device::Cpu).err().unwrap().to_string()
    };
    let digits = Augmentation::Digits(Default::default());
    assert_eq!(refused(digits, &samples), "augmentation.kind = digits does not fit texts");
    let images = crate::data::digits::load(crate::data::EvaluateOn::Tuning).unwrap().train;
    let erase = Augmentation::Erase(Erase::default());
    assert_eq!(refused(erase, &images), "augmentation.kind = erase does not fit images");
    let error = refused(Augmentation::Erase(Erase { probability: f64::NAN }), &samples);
    assert_eq!(error, "augmentation.probability = NaN is not between 0 and 1");
}
