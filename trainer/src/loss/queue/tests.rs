use super::*;
use crate::loss::{Selection, nt_xent, selected_nt_xent};
use crate::ops::testing::*;
use std::collections::VecDeque;

const WIDTH: usize = 5;

fn unit(rows: &[f64], width: usize) -> Vec<f64> {
    let norm = |row: &[f64]| row.iter().map(|v| v * v).sum::<f64>().sqrt();
    rows.chunks(width).flat_map(|row| row.iter().map(|v| v / norm(row)).collect::<Vec<_>>()).collect()
}

fn dot64(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// A queue of random keys, all of samples of classes 0, 1, 2, 0, ….
fn queue(size: usize) -> Queue {
    let mut queue = Queue::new(size, WIDTH, 7, &Device::Cpu).unwrap();
    queue.classes = (0..size as u32).map(|j| j % 3).collect();
    queue
}

fn choice(text: &str, queries: usize, count: usize) -> Choice {
    if text == "all" {
        return Choice::all(count);
    }
    let selection: Selection = text.parse().unwrap();
    Choice::of(&selection, queries, count, &mut stream(5, Purpose::Negatives, 0)).unwrap()
}

/// Which of each query's negatives stay, of given logits.
fn kept(choice: &Choice, logits: &[Vec<f64>]) -> Vec<Vec<bool>> {
    let one = |(query, row): (usize, &Vec<f64>)| {
        let mut row: Vec<f32> = row.iter().map(|v| *v as f32).collect();
        choice.apply(query, &mut row, &mut Vec::new());
        row.into_iter().map(|v| v > f32::NEG_INFINITY).collect()
    };
    logits.iter().enumerate().map(one).collect()
}

/// (1/n) Σ_i ln(1 + Σ_{kept j} e^{(s_ij − s_i)/t}) by a double loop in f64.
fn reference(positive: &[f64], negative: &[Vec<f64>], keep: &[Vec<bool>], temperature: f64) -> f64 {
    let rows = positive.iter().zip(negative).zip(keep);
    let losses = rows.map(|((s, row), keep)| {
        let kept = row.iter().zip(keep).filter(|(_, keep)| **keep);
        kept.map(|(other, _)| ((other - s) / temperature).exp()).sum::<f64>().ln_1p()
    });
    losses.sum::<f64>() / positive.len() as f64
}

const SELECTIONS: [&str; 5] = ["all", "hardest:20%", "easiest:80%", "range:0-30%,50-90%", "random:40%"];

#[test]
fn loss_and_gradient_are_those_of_the_double_loop() {
    let (count, size) = (11, 37);
    let classes: Vec<u32> = (0..count as u32).map(|i| i % 4).collect();
    let features = random(1, &[count, WIDTH]);
    let positives = normalise::forward(&random(2, &[count, WIDTH])).unwrap();
    let queue = queue(size);
    let (keys, own) = (flat64(&queue.keys), flat64(&positives));
    for temperature in [0.1, 0.5] {
        for text in SELECTIONS {
            let choice = choice(text, count, size);
            let cosines = |z: &[f64]| {
                let z = unit(z, WIDTH);
                let row = |i: usize| z[i * WIDTH..][..WIDTH].to_vec();
                let s: Vec<f64> = (0..count).map(|i| dot64(&row(i), &own[i * WIDTH..][..WIDTH])).collect();
                let of_queue = |i| keys.chunks(WIDTH).map(|key| dot64(&row(i), key)).collect();
                (s, (0..count).map(of_queue).collect::<Vec<Vec<f64>>>())
            };
            let keep = kept(&choice, &cosines(&flat64(&features)).1);
            assert!(keep.iter().all(|row| row.iter().filter(|k| **k).count() == choice.kept()));
            let value = |z: &[f64]| {
                let (s, negative) = cosines(z);
                reference(&s, &negative, &keep, temperature)
            };
            let expected = [value(&flat64(&features))];
            let slope = finite_differences(&flat64(&features), value);
            let mut same = 0;
            for (row, class) in keep.iter().zip(&classes) {
                same +=
                    row.iter().zip(&queue.classes).filter(|(keep, other)| **keep && *other == class).count();
            }
            let counted = Kept { same: same as u64, known: (count * choice.kept()) as u64 };
            let (loss, found) =
                queue_info_nce(&features, &positives, &queue, &classes, &choice, temperature).unwrap();
            assert_close(&flat(&loss.value), &expected, 1e-6, text);
            assert_close(&flat(&loss.gradient), &slope, 1e-5, text);
            assert_eq!(found, counted, "{text}");
            // What a GPU computes.
            let queries = normalise::forward(&features).unwrap();
            let (positives, classes, queue) = (&positives, &classes[..], &queue);
            let step = Step { queries: &queries, positives, queue, classes, choice: &choice };
            let (value, du, found) = step.on_tensors(1.0 / temperature as f32).unwrap();
            assert_close(&flat(&value), &expected, 1e-6, text);
            assert_close(&flat(&normalise::backward(&features, &du).unwrap()), &slope, 1e-5, text);
            assert_eq!(found, counted, "{text}");
        }
    }
}

#[test]
fn selected_nt_xent_is_the_double_loop() {
    let (samples, views) = (7, 14);
    let classes: Vec<u32> = (0..samples as u32).map(|i| i % 3).collect();
    let features = random(4, &[views, WIDTH]);
    let negatives = |i: usize| (0..views).filter(move |&j| j != i && j != (i + samples) % views);
    for text in SELECTIONS {
        let choice = choice(text, views, views - 2);
        let cosines = |z: &[f64]| {
            let z = unit(z, WIDTH);
            let s = |i: usize, j: usize| dot64(&z[i * WIDTH..][..WIDTH], &z[j * WIDTH..][..WIDTH]);
            let positive: Vec<f64> = (0..views).map(|i| s(i, (i + samples) % views)).collect();
            let rows = (0..views).map(|i| negatives(i).map(|j| s(i, j)).collect());
            (positive, rows.collect::<Vec<Vec<f64>>>())
        };
        let keep = kept(&choice, &cosines(&flat64(&features)).1);
        let value = |z: &[f64]| {
            let (positive, rows) = cosines(z);
            reference(&positive, &rows, &keep, 0.3)
        };
        let (loss, found) = selected_nt_xent(&features, &classes, &choice, 0.3).unwrap();
        assert_close(&flat(&loss.value), &[value(&flat64(&features))], 1e-6, text);
        let slope = finite_differences(&flat64(&features), value);
        assert_close(&flat(&loss.gradient), &slope, 1e-5, text);
        let same = (0..views).map(|i| {
            let of = negatives(i).zip(&keep[i]);
            of.filter(|(j, keep)| **keep && classes[j % samples] == classes[i % samples]).count()
        });
        let counted = Kept { same: same.sum::<usize>() as u64, known: (views * choice.kept()) as u64 };
        assert_eq!(found, counted, "{text}");
    }
    // Without a selection it is NT-Xent.
    let (loss, _) = selected_nt_xent(&features, &classes, &Choice::all(views - 2), 0.3).unwrap();
    let whole = nt_xent(&features, 0.3).unwrap();
    assert_close(&flat(&loss.value), &flat64(&whole.value), 1e-6, "value");
    assert_close(&flat(&loss.gradient), &flat64(&whole.gradient), 1e-5, "gradient");
}

#[test]
fn identical_features_give_the_logarithm_of_the_kept() {
    let same = |rows: usize| Tensor::new(vec![vec![0.6f32, 0.8, 0.0, 0.0, 0.0]; rows], &Device::Cpu).unwrap();
    let mut queue = Queue::new(40, WIDTH, 7, &Device::Cpu).unwrap();
    queue.push(&same(40), &[0; 40]).unwrap();
    for (text, kept) in [("all", 40u32), ("hardest:25%", 10), ("range:10-20%,50-60%", 8)] {
        let choice = choice(text, 6, 40);
        let (loss, found) = queue_info_nce(&same(6), &same(6), &queue, &[0; 6], &choice, 0.2).unwrap();
        let expected = (f64::from(kept) + 1.0).ln();
        assert_close(&flat(&loss.value), &[expected], 1e-6, text);
        assert_eq!(found, Kept { same: 6 * u64::from(kept), known: 6 * u64::from(kept) });
    }
    let (loss, _) = selected_nt_xent(&same(12), &[0; 6], &choice("hardest:50%", 12, 10), 0.2).unwrap();
    assert_close(&flat(&loss.value), &[6f64.ln()], 1e-6, "batch");
}

#[test]
fn small_losses_keep_their_digits_and_small_temperatures_do_not_overflow() {
    // Queries on their positives, keys at right angles: ln(1 + 10 e^{−20}) = 2e-8.
    let axis = |k: usize| {
        Tensor::new(&[std::array::from_fn::<f32, WIDTH, _>(|j| if j == k { 1.0 } else { 0.0 })], &Device::Cpu)
    };
    let mut queue = Queue::new(10, WIDTH, 7, &Device::Cpu).unwrap();
    queue.push(&axis(1).unwrap().repeat((10, 1)).unwrap(), &[1; 10]).unwrap();
    let (query, choice, classes) = (axis(0).unwrap(), Choice::all(10), [0]);
    let step = Step { queries: &query, positives: &query, queue: &queue, classes: &classes, choice: &choice };
    let expected = (10.0 * (-20f64).exp()).ln_1p();
    for (value, _, _) in [step.on_slices(20.0).unwrap(), step.on_tensors(20.0).unwrap()] {
        assert_close(&flat(&value), &[expected], 1e-5, "small");
    }
    // The positive at right angles, the keys on the query: 1000 + ln 10.
    let positives = axis(1).unwrap();
    queue.push(&query.repeat((10, 1)).unwrap(), &[1; 10]).unwrap();
    let step =
        Step { queries: &query, positives: &positives, queue: &queue, classes: &classes, choice: &choice };
    for (value, du, _) in [step.on_slices(1000.0).unwrap(), step.on_tensors(1000.0).unwrap()] {
        assert_close(&flat(&value), &[1000.0 + 10f64.ln()], 1e-6, "large");
        assert!(flat(&du).iter().all(|v| v.is_finite()));
    }
    // A NaN anywhere makes the loss one.
    let nan = Tensor::new(&[[f32::NAN, 0.0, 0.0, 0.0, 0.0]], &Device::Cpu).unwrap();
    let (loss, _) = queue_info_nce(&nan, &positives, &queue, &classes, &choice, 0.2).unwrap();
    assert!(flat(&loss.value)[0].is_nan());
}

#[test]
fn the_oldest_keys_go_first_also_around_the_end() {
    let mut queue = Queue::new(7, 1, 3, &Device::Cpu).unwrap();
    let first = queue.keys.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(first.iter().all(|v| (v.abs() - 1.0).abs() < 1e-6));
    let mut model: VecDeque<(f32, u32)> = first.iter().map(|v| (*v, UNKNOWN)).collect();
    let mut number = 0;
    for count in [3usize, 3, 3, 7, 1, 5] {
        let batch: Vec<u32> = (number..number + count as u32).collect();
        number += count as u32;
        let keys: Vec<f32> = batch.iter().map(|v| *v as f32).collect();
        queue.push(&Tensor::from_vec(keys, (count, 1), &Device::Cpu).unwrap(), &batch).unwrap();
        for &value in &batch {
            model.pop_front();
            model.push_back((value as f32, value));
        }
        let keys = queue.keys.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let by_age: Vec<(f32, u32)> = (0..7)
            .map(|age| (queue.next + age) % 7)
            .map(|place| (keys[place], queue.classes[place]))
            .collect();
        assert_eq!(by_age, Vec::from(model.clone()), "after {count} more");
    }
    assert!(queue.push(&Tensor::zeros((8, 1), DType::F32, &Device::Cpu).unwrap(), &[0; 8]).is_err());
    assert!(queue.push(&Tensor::zeros((2, 2), DType::F32, &Device::Cpu).unwrap(), &[0; 2]).is_err());
}

#[test]
fn threads_change_no_bit() {
    let (count, size) = (37, 900);
    let features = random(1, &[count, WIDTH]);
    let positives = normalise::forward(&random(2, &[count, WIDTH])).unwrap();
    let queue = queue(size);
    for text in ["hardest:20%", "random:40%"] {
        let (choice, classes) = (choice(text, count, size), vec![0; count]);
        assert_same_bits(|| {
            let (loss, _) = queue_info_nce(&features, &positives, &queue, &classes, &choice, 0.2).unwrap();
            [flat(&loss.value), flat(&loss.gradient)].concat()
        });
    }
}

#[test]
fn a_checkpoint_of_another_queue_is_refused() {
    let (one, other) = (queue(10), queue(12));
    let tensors: Vec<_> = one.tensors().unwrap().into();
    let get = |name: &str| tensors.iter().find(|(known, _)| *known == name).map(|(_, t)| t.clone());
    assert_eq!(one.read(get).unwrap().classes, one.classes);
    assert!(other.read(get).unwrap_err().contains("'queue.keys'"));
    assert!(one.read(|_| None).unwrap_err().contains("it has no"));
}
