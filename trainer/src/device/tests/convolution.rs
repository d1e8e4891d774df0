//! Convolutions by cuDNN: every geometry of a ResNet-18 by value, and what happens where the library fails.

use super::{close, gpu, is_emulated, numbers, upload};
use crate::device::cudnn::{self, PlanRecord};
use crate::device::launch::Element;
use crate::ops::conv::cuda as conv;
use candle_core::CudaDevice;
use cudarc::driver::CudaSlice;
use half::bf16;

/// Sets variables of the emulated device while it lives.
pub(super) struct Faults(Vec<&'static str>);

impl Faults {
    pub(super) fn set(variables: &[(&'static str, &str)]) -> Self {
        for (name, value) in variables {
            // SAFETY: these tests run in one thread, as launches.sh has them; the emulated device reads at each call.
            #[allow(unsafe_code)] // the only way to set one
            unsafe {
                std::env::set_var(name, value);
            }
        }
        Self(variables.iter().map(|(name, _)| *name).collect())
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        for name in &self.0 {
            // SAFETY: as above.
            #[allow(unsafe_code)] // the only way to remove one
            unsafe {
                std::env::remove_var(name);
            }
        }
    }
}

/// ‖found − expected‖ / ‖expected‖.
fn distance<T: Element>(device: &CudaDevice, found: &CudaSlice<T>, expected: &CudaSlice<f32>) -> f64 {
    let (found, expected): (Vec<T>, Vec<f32>) =
        (device.clone_dtoh(found).unwrap(), device.clone_dtoh(expected).unwrap());
    let pairs = || found.iter().zip(&expected).map(|(f, e)| (f.to_f64(), f64::from(*e)));
    let off: f64 = pairs().map(|(f, e)| (f - e).powi(2)).sum();
    (off / pairs().map(|(_, e)| e * e).sum::<f64>()).sqrt()
}

/// Side, channels in and out, kernel, stride of the convolutions of a ResNet-18 for images of 32×32; then the stem of
/// ImageNet, and a 1×1 convolution of stride 1.
const RESNET18: [[usize; 5]; 13] = [
    [32, 3, 64, 3, 1],
    [32, 64, 64, 3, 1],
    [32, 64, 128, 3, 2],
    [32, 64, 128, 1, 2],
    [16, 128, 128, 3, 1],
    [16, 128, 256, 3, 2],
    [16, 128, 256, 1, 2],
    [8, 256, 256, 3, 1],
    [8, 256, 512, 3, 2],
    [8, 256, 512, 1, 2],
    [4, 512, 512, 3, 1],
    [32, 3, 64, 7, 2],
    [8, 64, 256, 1, 1],
];

/// y, dx, dx added to something, and dw of one geometry in one type, by whatever computes them on this device.
fn products<T: Element>(
    device: &CudaDevice,
    [side, inputs, outputs, kernel, stride]: [usize; 5],
    batch: usize,
) -> [CudaSlice<T>; 3] {
    let padding = kernel / 2;
    let (x, w) = ([batch, side, side, inputs], [outputs, kernel, kernel, inputs]);
    let shape = conv::Shape::new(x, w, stride, padding).unwrap();
    let count = |dims: &[usize]| dims.iter().product::<usize>();
    // Numbers that bf16 holds, so that both types begin with the same ones.
    let make = |count: usize, index: u64| {
        let held: Vec<bf16> = device.clone_dtoh(&numbers::<bf16>(device, count, index).0).unwrap();
        device.clone_htod(&held.iter().map(|v| T::from_f64(v.to_f64())).collect::<Vec<T>>()).unwrap()
    };
    let (xs, ws) = (make(count(&x), 1), make(count(&w), 2));
    let (dy, mut sum) = (make(count(&shape.output()), 3), make(count(&x), 4));
    let y = conv::forward(device, shape, &xs.as_view(), &ws.as_view()).unwrap();
    let dx = conv::backward_data(device, shape, &ws.as_view(), &dy.as_view()).unwrap();
    conv::backward_data_into(device, shape, &ws.as_view(), &dy.as_view(), &mut sum.as_view_mut(), true)
        .unwrap();
    [y, dx, sum]
}

/// dw of the same numbers.
fn weight_gradient<T: Element>(device: &CudaDevice, geometry: [usize; 5], batch: usize) -> CudaSlice<f32> {
    let [side, inputs, outputs, kernel, stride] = geometry;
    let (x, w) = ([batch, side, side, inputs], [outputs, kernel, kernel, inputs]);
    let shape = conv::Shape::new(x, w, stride, kernel / 2).unwrap();
    let make = |count: usize, index: u64| {
        let held: Vec<bf16> = device.clone_dtoh(&numbers::<bf16>(device, count, index).0).unwrap();
        device.clone_htod(&held.iter().map(|v| T::from_f64(v.to_f64())).collect::<Vec<T>>()).unwrap()
    };
    let (xs, dy) = (make(x.iter().product(), 1), make(shape.output().iter().product(), 3));
    let mut dw = upload(device, &vec![f32::NAN; w.iter().product()]);
    conv::backward_filter(device, shape, &xs.as_view(), &dy.as_view(), &mut dw.as_view_mut()).unwrap();
    dw
}

/// cuDNN in bf16 against matrix products in f32, of the same numbers, each pass of each geometry; a GPU at a batch of
/// 64, loops at 1.
#[test]
fn resnet18_convolutions_in_bf16_are_those_of_f32() {
    let Some(device) = gpu() else { return };
    let batch = match (is_emulated(&device), cudnn::availability(&device)) {
        (false, _) => 64,
        (true, Ok(_)) => 1,
        (true, Err(_)) => return, // for time
    };
    for geometry in RESNET18 {
        let found = products::<bf16>(&device, geometry, batch);
        let dw = weight_gradient::<bf16>(&device, geometry, batch);
        let (expected, expected_dw) = {
            let _bypass = cudnn::bypass();
            (products::<f32>(&device, geometry, batch), weight_gradient::<f32>(&device, geometry, batch))
        };
        let mut off: Vec<f64> = found.iter().zip(&expected).map(|(f, e)| distance(&device, f, e)).collect();
        off.push(distance(&device, &dw, &expected_dw));
        println!("{geometry:?}: y, dx, sum, dw off by {off:?}");
        assert!(off.iter().all(|&d| d < 1e-2), "{geometry:?}: {off:?}");
    }
}

/// A small convolution in strict f32 against loops elsewhere, of a batch that no other test has; the plans of its
/// passes.
fn plans_of(device: &CudaDevice, batch: usize) -> Vec<PlanRecord> {
    let geometry = [4, 8, 8, 3, 1];
    let [y, dx, sum] = products::<f32>(device, geometry, batch);
    let dw = weight_gradient::<f32>(device, geometry, batch);
    let expected = {
        let _bypass = cudnn::bypass();
        (products::<f32>(device, geometry, batch), weight_gradient::<f32>(device, geometry, batch))
    };
    let host = |slice: &CudaSlice<f32>| -> Vec<f64> {
        device.clone_dtoh(slice).unwrap().into_iter().map(f64::from).collect()
    };
    for (found, expected) in [&y, &dx, &sum].into_iter().zip(&expected.0) {
        close("convolution", device, found, &host(expected));
    }
    close("dw of a convolution", device, &dw, &host(&expected.1));
    cudnn::records(device).into_iter().filter(|record| record.input[0] == batch as i32).collect()
}

#[test]
fn a_convolution_is_right_whatever_fails_in_cudnn() {
    let Some(device) = gpu() else { return };
    if !is_emulated(&device) || cudnn::availability(&device).is_err() {
        return;
    }
    let algorithms = |plans: &[PlanRecord]| -> Vec<Option<String>> {
        plans.iter().map(|plan| plan.algorithm.clone()).collect()
    };
    // Nothing fails: the first deterministic algorithm, with the workspace of its arithmetic.
    let plans = plans_of(&device, 5);
    assert!(plans.iter().all(|plan| plan.refused.is_empty() && !plan.apart && plan.workspace_bytes == 1500));
    assert!(plans.iter().all(|plan| plan.algorithm.as_deref().is_some_and(|a| a.contains("ALGO"))));
    // The first fails when it runs: the next one. Both work: one of them, timed.
    let mut of_second = {
        let _fault = Faults::set(&[("EMULATE_CUDNN_FAIL", "1")]);
        plans_of(&device, 6)
    };
    assert!(of_second.iter().all(|plan| plan.workspace_bytes == 3500 && plan.refused.len() == 1));
    assert!(of_second[0].refused[0].contains("EXECUTION_FAILED"), "{:?}", of_second[0]);
    {
        let _both = Faults::set(&[("EMULATE_CUDNN_FAIL", "none")]);
        let plans = plans_of(&device, 7);
        assert!(plans.iter().all(|plan| plan.milliseconds.is_some() && plan.refused.is_empty()));
        // A run that goes on computes as it did, whatever was chosen since.
        let mut preferred = Vec::new();
        for batch in [7, 8] {
            of_second.iter_mut().for_each(|record| record.input[0] = batch);
            preferred.extend(of_second.clone());
        }
        cudnn::prefer(&device, preferred);
        for batch in [7, 8] {
            let plans = plans_of(&device, batch);
            assert_eq!(algorithms(&plans), algorithms(&of_second));
            assert!(batch == 7 || plans.iter().all(|plan| plan.milliseconds.is_none()), "{plans:?}");
        }
        cudnn::prefer(&device, Vec::new());
    }
    // No algorithm adds: the sum goes through memory of its own.
    {
        let _fault = Faults::set(&[("EMULATE_CUDNN_NO_SUM", "1")]);
        let plans = plans_of(&device, 9);
        assert!(plans.iter().all(|plan| plan.algorithm.is_some() && plan.apart == plan.adds), "{plans:?}");
    }
    // It does so again where a run goes on, also if an algorithm adds now.
    let before = cudnn::records(&device).into_iter().filter(|plan| plan.input[0] == 9);
    let before = before.map(|plan| PlanRecord { input: [12, 4, 4, 8], ..plan }).collect();
    cudnn::prefer(&device, before);
    let plans = plans_of(&device, 12);
    assert!(plans.iter().all(|plan| plan.apart == plan.adds), "{plans:?}");
    cudnn::prefer(&device, Vec::new());
    // None runs, or none is listed: matrix products.
    for (batch, fault) in [(10, ("EMULATE_CUDNN_FAIL", "1,3")), (11, ("EMULATE_CUDNN_HEURISTICS", "1"))] {
        let _fault = Faults::set(&[fault]);
        let plans = plans_of(&device, batch);
        assert!(plans.iter().all(|plan| plan.algorithm.is_none() && !plan.refused.is_empty()), "{plans:?}");
    }
    // No handle, or another version: matrix products everywhere, and one line says why.
    for (fault, part) in
        [(("EMULATE_CUDNN_CREATE", "1"), "SUBLIBRARY"), (("EMULATE_CUDNN_VERSION", "8907"), "8.9.7")]
    {
        let _fault = Faults::set(&[fault]);
        let device = gpu().unwrap();
        assert!(plans_of(&device, 5).is_empty());
        let reason = cudnn::availability(&device).unwrap_err();
        assert!(
            reason.contains(part) && reason.contains("CUDA_LIB_DIRS") && !reason.contains('\n'),
            "{reason}"
        );
    }
    assert_eq!(cudnn::availability(&device).unwrap(), "9.10.2");
}
