//! Against an f64 reference (linear in each argument, so the formulas are its exact derivatives) and candle's matmul.

use super::*;
use crate::ops::testing::*;
use candle_core::{DType, Device, Var};

struct Case {
    x: Tensor,
    w: Tensor,
    b: Option<Tensor>,
    dy: Tensor,
    relu: bool,
}

impl Case {
    fn new(leading: &[usize], inputs: usize, outputs: usize, bias: bool, relu: bool) -> Self {
        let shape = |last: usize| [leading, &[last]].concat();
        Self {
            x: random(1, &shape(inputs)),
            w: random(2, &[outputs, inputs]),
            b: bias.then(|| random(3, &[outputs])),
            dy: random(4, &shape(outputs)),
            relu,
        }
    }

    /// y, dx, dw, db of the definitions in f64.
    fn expected(&self) -> [Vec<f64>; 4] {
        let (outputs, inputs) = self.w.dims2().unwrap();
        let (x, w, dy) = (flat64(&self.x), flat64(&self.w), flat64(&self.dy));
        let b = self.b.as_ref().map_or(vec![0.0; outputs], flat64);
        let m = x.len() / inputs;
        let [mut y, mut dx, mut dw, mut db] =
            [vec![0.0; m * outputs], vec![0.0; m * inputs], vec![0.0; outputs * inputs], vec![0.0; outputs]];
        for (r, o) in (0..m).flat_map(|r| (0..outputs).map(move |o| (r, o))) {
            let value = b[o] + (0..inputs).map(|i| x[r * inputs + i] * w[o * inputs + i]).sum::<f64>();
            y[r * outputs + o] = if self.relu { value.max(0.0) } else { value };
            let g = if self.relu && value <= 0.0 { 0.0 } else { dy[r * outputs + o] };
            db[o] += g;
            for i in 0..inputs {
                dx[r * inputs + i] += g * w[o * inputs + i];
                dw[o * inputs + i] += g * x[r * inputs + i];
            }
        }
        [y, dx, dw, db]
    }

    fn found(&self) -> [Vec<f32>; 4] {
        let (outputs, inputs) = self.w.dims2().unwrap();
        let y = forward(&self.x, &self.w, self.b.as_ref(), self.relu).unwrap();
        // Gradients are views of one flat tensor, as in training; the number before and after must stay.
        let all = Tensor::full(7f32, outputs * inputs + outputs + 2, &Device::Cpu).unwrap();
        let dw = all.narrow(0, 1, outputs * inputs).unwrap().reshape((outputs, inputs)).unwrap();
        let db = all.narrow(0, 1 + outputs * inputs, outputs).unwrap();
        let saved = Forward { x: &self.x, weight: &self.w, rectified_output: self.relu.then_some(&y) };
        let dy = if self.relu { self.dy.force_contiguous().unwrap() } else { self.dy.clone() };
        let dx = backward(&dy, &saved, &dw, Some(&db), true).unwrap().unwrap();
        let all = flat(&all);
        assert_eq!((all[0], all[all.len() - 1]), (7.0, 7.0));
        [flat(&y), flat(&dx), flat(&dw), flat(&db)]
    }
}

#[test]
fn forward_and_backward_agree_with_the_reference() {
    for (leading, inputs, outputs) in [
        (&[5][..], 7, 3),
        (&[1], 33, 9),
        (&[2, 3, 4], 17, 130),
        (&[130], 40, 300),
        // Around the least number of rows for tiles, and the width of a panel.
        (&[7], 5, 40),
        (&[8], 5, 40),
        (&[9], 1, 17),
        (&[31], 3, 2),
        (&[32], 3, 65),
        (&[33], 3, 1),
    ] {
        for (bias, relu) in [(false, false), (true, false), (false, true), (true, true)] {
            let case = Case::new(leading, inputs, outputs, bias, relu);
            for (index, (found, expected)) in case.found().iter().zip(case.expected()).enumerate() {
                assert_close(
                    found,
                    &expected,
                    1e-6,
                    &format!("{leading:?} {inputs} -> {outputs}, result {index}"),
                );
            }
        }
    }
}

#[test]
fn rows_longer_than_a_task() {
    // A chain of 100,000 roundings, each below 2⁻²⁴ of a partial sum.
    let case = Case::new(&[8], 100_000, 9, true, true);
    for (found, expected) in case.found().iter().zip(case.expected()) {
        assert_close(found, &expected, 1e-5, "long rows");
    }
}

#[test]
fn autograd_agrees_with_candle() {
    for (bias, relu) in [(false, true), (true, false), (true, true)] {
        let case = Case::new(&[11], 13, 6, bias, relu);
        let vars =
            [Some(&case.x), Some(&case.w), case.b.as_ref()].map(|t| t.map(|t| Var::from_tensor(t).unwrap()));
        let [Some(x), Some(w), b] = &vars else { unreachable!() };
        let ours = match b {
            Some(b) => x.apply_op3(w, b, Linear { relu }).unwrap(),
            None => x.apply_op2(w, Linear { relu }).unwrap(),
        };
        let theirs = x.matmul(&w.t().unwrap()).unwrap();
        let theirs = b.as_ref().map_or(theirs.clone(), |b| theirs.broadcast_add(b).unwrap());
        let theirs = if relu { theirs.relu().unwrap() } else { theirs };
        let gradients = |y: Tensor| (y * &case.dy).unwrap().sum_all().unwrap().backward().unwrap();
        let (ours, theirs) = (gradients(ours), gradients(theirs));
        for var in vars.iter().flatten() {
            assert_close(&flat(ours.get(var).unwrap()), &flat64(theirs.get(var).unwrap()), 1e-6, "gradient");
        }
    }
}

#[test]
fn nothing_is_computed_for_what_nothing_tracks() {
    let case = Case::new(&[4], 3, 2, true, true);
    let w = Var::from_tensor(&case.w).unwrap();
    let y = case.x.apply_op3(&w, case.b.as_ref().unwrap(), Linear { relu: true }).unwrap();
    let gradients = y.sum_all().unwrap().backward().unwrap();
    assert!(gradients.get(&w).is_some());
    assert!(gradients.get(&case.x).is_none() && gradients.get(case.b.as_ref().unwrap()).is_none());
}

#[test]
fn strided_inputs_give_the_same_bits() {
    let case = Case::new(&[11], 13, 6, true, false);
    let turned = Case {
        x: strided(&case.x),
        w: strided(&case.w),
        b: case.b.clone(),
        dy: strided(&case.dy),
        relu: false,
    };
    assert_eq!(case.found(), turned.found());
}

#[test]
fn threads_change_no_bit() {
    let case = Case::new(&[130], 70, 300, true, true);
    assert_same_bits(|| case.found().concat());
}

#[test]
fn refusals_name_the_shapes() {
    let (x, w) = (random(1, &[4, 3]), random(2, &[2, 5]));
    let error = forward(&x, &w, None, false).unwrap_err().to_string();
    assert!(error.contains("[2, 5]") && error.contains("[2, 3]"), "{error}");
    let error = forward(&x, &random(2, &[2, 3]), Some(&random(3, &[7])), false).unwrap_err().to_string();
    assert!(error.contains("[7]"), "{error}");
    let saved = Forward { x: &x, weight: &w, rectified_output: None };
    let dw = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
    assert!(backward(&random(3, &[5, 2]), &saved, &dw, None, false).is_err());
}
