//! The whole analysis on features whose answer is known.

use super::tally::by_definition;
use super::*;
use crate::matrix::Matrix;
use crate::rng::normal;

fn random(rows: usize, cols: usize, index: u64) -> Matrix {
    let mut rng = stream(11, Purpose::Split, index);
    let data = (0..rows * cols).map(|_| f64::from(normal(&mut rng))).collect();
    let mut m = Matrix { rows, cols, data };
    m.normalise_rows().unwrap();
    m
}

fn analyse(views: &Views, labels: &[usize], request: &Request) -> Result<Difficulty> {
    difficulty(views, (labels, labels.iter().max().unwrap() + 1), request, &|| false)
}

/// Features that know nothing: the chance, within four standard errors of each.
#[test]
fn random_features_give_chance() {
    // Class c has a share that grows with c; more directions than negatives, so that the null's z applies nearly.
    let samples = 300;
    let labels: Vec<usize> = (0..samples).map(|i| ((i as f64 / 60.0).sqrt() * 2.0) as usize).collect();
    let views = Views { first: random(samples, 600, 0), second: random(samples, 600, 1) };
    let found = analyse(&views, &labels, &Request::default()).unwrap();
    let mut counts = [0.0; 5];
    labels.iter().for_each(|&c| counts[c] += 1.0);
    let chance: f64 = counts.iter().map(|n| n / 300.0 * (n - 1.0) / 299.0).sum();
    assert_eq!((found.bins.len(), found.num_negatives), (16, 299));
    for row in &found.bins {
        assert!((row.chance - chance).abs() < 1e-14);
        let error = row.standard_error;
        assert!((row.same_class - chance).abs() < 4.0 * error, "{row:?}");
        let spread = (row.any_chance * (1.0 - row.any_chance) / 300.0).sqrt();
        assert!((row.any - row.any_chance).abs() <= 4.0 * spread + 1e-12, "{row:?}");
    }
    assert!((found.mass.percent - 100.0 * chance).abs() < 1e-12);
    // Each query looks at its own n_c − 1, whose chance is (n_c − 1)/K: the mean is again `chance`.
    assert!((found.mass.same_class - chance).abs() < 4.0 * found.mass.standard_error);
    let consistency = &found.consistency;
    // √(Var T)/(QK) ≈ √(2/K), and √(1 + (9/π²) K/d) times that for d directions: below it with 1 for 9/π².
    let error = (2.0 / 299.0 * (1.0 + 299.0 / 600.0f64)).sqrt();
    assert!((consistency.ratio - 1.0).abs() < 4.0 * error, "{}", consistency.ratio);
    assert!(consistency.hardest.unwrap().share < 0.02 && consistency.easiest.unwrap().share < 0.02);
}

/// Few dimensions: the ratio's mean stays 1, its variance is the one that `consistency` states.
#[test]
fn random_features_of_few_dimensions_spread_the_ratio() {
    let (samples, cols, draws) = (60, 6, 500);
    let labels = vec![0; samples];
    let ratio = |index: u64| {
        let views =
            Views { first: random(samples, cols, 2 * index), second: random(samples, cols, 2 * index + 1) };
        analyse(&views, &labels, &Request::default()).unwrap().consistency.ratio
    };
    let ratios: Vec<f64> = (1..=draws).map(ratio).collect();
    let k = (samples - 1) as f64;
    let variance = 2.0 / k * (1.0 + 9.0 / std::f64::consts::PI.powi(2) * k / cols as f64);
    let count = draws as f64;
    let mean = ratios.iter().sum::<f64>() / count;
    assert!((mean - 1.0).abs() < 4.0 * (variance / count).sqrt(), "{mean}");
    let found = ratios.iter().map(|r| (r - 1.0).powi(2)).sum::<f64>() / count;
    // A sum of squares over some six directions: the kurtosis of a χ² of six.
    let error = ((2.0 + 12.0 / cols as f64) / count).sqrt();
    println!("ratio {mean:.4}, variance {found:.4}, stated {variance:.4} ± {:.4}", error * variance);
    assert!((found / variance - 1.0).abs() < 4.0 * error, "{found} for {variance}");
}

/// One direction a class: a query's own class is all that is hard, until it is exhausted.
#[test]
fn clusters_are_hard_until_their_class_is_exhausted() {
    let (classes, each) = (5, 40);
    let labels: Vec<usize> = (0..classes * each).map(|i| i % classes).collect();
    let mut axes = Matrix::zeros(classes * each, classes);
    labels.iter().enumerate().for_each(|(i, &c)| axes.row_mut(i)[c] = 1.0);
    let views = Views { first: axes.clone(), second: axes };
    let found = analyse(&views, &labels, &Request::default()).unwrap();
    let k = classes * each - 1; // 199, of which 39 have the query's class
    for row in &found.bins {
        let places = row.bin.positions(k);
        let same = places.clone().filter(|h| *h < each - 1).count();
        assert!((row.same_class - same as f64 / row.ranks as f64).abs() < 1e-14, "{row:?}");
        assert_eq!((row.any, row.standard_error), (f64::from(u8::from(same > 0)), 0.0));
        assert!((row.similarity - same as f64 / row.ranks as f64).abs() < 1e-14);
        assert!((row.chance - 39.0 / 199.0).abs() < 1e-15);
    }
    assert_eq!((found.bins[0].bin.to_string(), found.bins[0].same_class), ("0-1".into(), 1.0));
    assert_eq!((found.mass.same_class, found.mass.standard_error), (1.0, 0.0));
    // A class is hard for its own queries alone: little consistency but that of ties.
    assert_eq!(found.consistency.items.len(), 200);
}

/// Means over queries against a count by hand, for chosen queries and a chosen bank.
#[test]
fn chosen_queries_and_bank_by_brute_force() {
    let samples = 60;
    let labels: Vec<usize> = (0..samples).map(|i| (i * i) % 7 % 3).collect();
    let views = Views { first: random(samples, 3, 0), second: random(samples, 3, 1) };
    let bins: Vec<Bin> = ["0-10", "10-40"].map(|b| b.parse().unwrap()).to_vec();
    let request =
        Request { queries: Some(9), bank: Some(31), bins: Some(bins), seed: 5, ..Request::default() };
    let Chosen { bank, own } = choose(samples, &request).unwrap();
    assert!((bank.len(), own.len()) == (31, 9) && bank.is_sorted() && own.is_sorted());
    let found = analyse(&views, &labels, &request).unwrap();
    let queries: Vec<usize> = own.iter().map(|&place| bank[place]).collect();
    let orders = by_definition(&views.first.gather(&queries), &views.second.gather(&bank), &own);
    for row in &found.bins {
        // Of 30 negatives: the hardest 3, the next 9.
        assert_eq!(row.ranks, if row.bin.from_percent() == 0.0 { 3 } else { 9 });
        let share = |(query, order): (&usize, &Vec<usize>)| {
            let inside = &order[row.bin.positions(30)];
            let same = inside.iter().filter(|&&j| labels[bank[j]] == labels[*query]).count();
            same as f64 / row.ranks as f64
        };
        let shares: Vec<f64> = queries.iter().zip(&orders).map(share).collect();
        let mean = shares.iter().sum::<f64>() / 9.0;
        let spread: f64 = shares.iter().map(|x| (x - mean).powi(2)).sum();
        assert!((row.same_class - mean).abs() < 1e-14);
        assert!((row.standard_error - (spread / 72.0).sqrt()).abs() < 1e-14);
        assert!((row.any - shares.iter().filter(|x| **x > 0.0).count() as f64 / 9.0).abs() < 1e-15);
        let same = |q: &&usize| bank.iter().filter(|&&j| labels[j] == labels[**q]).count() - 1;
        let chance: f64 = queries.iter().map(|q| same(&q) as f64 / 30.0).sum::<f64>() / 9.0;
        assert!((row.chance - chance).abs() < 1e-15);
    }
    let item = found.consistency.items[30];
    assert_eq!((item.index, item.class), (bank[30], labels[bank[30]]));
    let summary = found.summary().to_text(theory::report::Format::Csv);
    assert!(summary.contains("bank,31\nqueries,9\nnegatives_K,30\nseed,5\n"), "{summary}");
}

fn cifar10() -> Hierarchy {
    Hierarchy::parse(include_str!("../../../data/hierarchies/cifar10.csv"), "cifar10".as_ref()).unwrap()
}

#[test]
fn the_order_of_the_samples_does_not_matter() {
    let samples = 90;
    let labels: Vec<usize> = (0..samples).map(|i| i % 10).collect();
    let views = Views { first: random(samples, 8, 0), second: random(samples, 8, 1) };
    let request = Request { hierarchy: Some(cifar10()), ..Request::default() };
    let found = analyse(&views, &labels, &request).unwrap();
    let order = permutation(samples, &mut stream(3, Purpose::Split, 9));
    let shuffled = Views { first: views.first.gather(&order), second: views.second.gather(&order) };
    let permuted: Vec<usize> = order.iter().map(|&i| labels[i]).collect();
    let again = analyse(&shuffled, &permuted, &request).unwrap();
    for (a, b) in found.bins.iter().zip(&again.bins) {
        assert!((a.similarity - b.similarity).abs() < 1e-13);
        assert_eq!(BinRow { similarity: 0.0, ..*a }, BinRow { similarity: 0.0, ..*b });
    }
    assert_eq!(found.semantics.is_some(), again.semantics.is_some());
    assert_eq!(format!("{:?}", found.semantics), format!("{:?}", again.semantics));
    for (place, &i) in order.iter().enumerate() {
        let (a, b) = (again.consistency.items[place], found.consistency.items[i]);
        assert_eq!(Item { index: i, ..a }, b);
    }
    assert!((found.consistency.ratio - again.consistency.ratio).abs() < 1e-12);
}

/// Hard negatives of a sibling class: seen by both similarities, and by the files.
#[test]
fn siblings_that_are_hard_are_seen() {
    let hierarchy =
        Hierarchy::parse(include_str!("../../../data/hierarchies/cifar100.csv"), "cifar100".as_ref())
            .unwrap();
    let samples = 400;
    let labels: Vec<usize> = (0..samples).map(|i| i % 100).collect();
    // A direction for each superclass, and noise.
    let mut views = Views { first: random(samples, 100, 0), second: random(samples, 100, 1) };
    for (i, &c) in labels.iter().enumerate() {
        // The first class of the same superclass.
        let axis = (0..100).find(|&other| other == c || hierarchy.path.row(c)[other] == 1.0 / 3.0).unwrap();
        views.first.row_mut(i)[axis] += 1.0;
        views.second.row_mut(i)[axis] += 1.0;
    }
    let request = Request { hierarchy: Some(hierarchy), ..Request::default() };
    let found = analyse(&views, &labels, &request).unwrap();
    let (name, rows) = found.semantics.as_ref().unwrap();
    assert_eq!((&name[..], rows.len()), ("cifar100", found.bins.len()));
    let [path, wu_palmer] = rows[0].similarities.unwrap();
    for s in [path, wu_palmer] {
        assert!(s.z > 10.0 && s.p_value == 1.0 / 500.0, "{s:?}");
    }
    // All places: 4 of 99 other classes are siblings.
    assert!((path.null_mean - (4.0 / 3.0 + 95.0 / 5.0) / 99.0).abs() < 1e-14);
    // The figure: each bin from edge to edge, with the error that the table has.
    let figure = found.figure();
    let drawn = &figure.panels[0].series[0].points;
    assert_eq!(
        drawn.iter().map(|p| p.bin.unwrap()).take(3).collect::<Vec<_>>(),
        [(0.0, 1.0), (1.0, 5.0), (5.0, 10.0)]
    );
    assert_eq!(drawn.last().unwrap().bin, Some((99.0, 100.0)));
    for (point, row) in drawn.iter().zip(&found.bins) {
        assert_eq!((point.y, point.error), (100.0 * row.same_class, Some(100.0 * row.standard_error)));
    }
    let folder = tempfile::tempdir().unwrap();
    found.write(folder.path()).unwrap();
    for name in ["difficulty", "consistency", "semantics"] {
        let svg = std::fs::read_to_string(folder.path().join(name).with_extension("svg")).unwrap();
        assert!(svg.contains("permuted") || svg.contains("chance") || svg.contains("random ranks"));
        assert!(folder.path().join(name).with_extension("png").exists());
    }
    let csv = std::fs::read_to_string(folder.path().join("semantics.csv")).unwrap();
    assert!(csv.starts_with("bin_percent,different_class_pairs,similarity,mean,null_mean"));
    assert_eq!(csv.lines().count(), 1 + 2 * found.bins.len());
}

#[test]
fn what_cannot_be_ranked_is_refused() {
    let labels = [0, 1, 0, 1];
    let views = Views { first: random(4, 2, 0), second: random(4, 2, 1) };
    let fails = |views: &Views, request: Request| {
        let error = analyse(views, &labels, &request).unwrap_err().to_string();
        assert!(!error.contains('\n'), "{error}");
        error
    };
    let all = Request::default();
    let request = Request { queries: Some(5), ..all.clone() };
    assert_eq!(fails(&views, request), "5 queries are not between 2 and 4, the bank items");
    let request = Request { bank: Some(2), ..all.clone() };
    assert_eq!(fails(&views, request), "2 bank items are not between 3 and 4, the samples");
    let request = Request { bins: Some(vec!["0-1".parse().unwrap()]), ..all.clone() };
    assert_eq!(fails(&views, request), "the bin 0-1 % is empty: it holds none of K = 3 negatives");
    let request = Request { hierarchy: Some(cifar10()), ..all.clone() };
    assert_eq!(
        fails(&views, request),
        "the hierarchy cifar10 has the classes 0 to 9, the samples have 0 to 1"
    );
    let short = Views { first: random(3, 2, 0), second: views.second.clone() };
    assert_eq!(
        fails(&short, all.clone()),
        "two views of the same samples have one shape, not [3, 2] and [4, 2]"
    );
    let mut broken = views.clone();
    broken.second.data[5] = f64::NAN;
    assert!(fails(&broken, all).contains("is NaN"));
}
