//! Steps recorded as CUDA graphs, and recordings that fail.

use super::convolution::Faults;
use super::{gpu, is_emulated, numbers, segments, upload};
use crate::device::Recording;
use crate::device::graph::Replay;
use crate::error::Result;
use crate::ops::optimiser::cuda as optimiser;

#[test]
fn a_replayed_step_is_the_step_with_new_settings() {
    let Some(device) = gpu() else { return };
    let segments = segments(&device);
    let gradient = numbers::<f32>(&device, 300, 2).0;
    let mut finals = Vec::new();
    for record in [false, true] {
        let mut state = numbers::<f32>(&device, 600, 1).0;
        let mut settings = upload(&device, &[0.0; optimiser::SETTINGS]);
        let mut replay = Replay::new(&device, if record { Recording::Always } else { Recording::Never });
        for step in 0..6 {
            // Another rate in each step, LARS with memory of its own: what a graph must not freeze, and what it must.
            let values = optimiser::momentum_settings(0.1 / f64::from(step + 1), 0.01, 0.9, 0.001);
            device.memcpy_htod(&values, &mut settings).unwrap();
            let warning = replay.run(|| {
                let mut view = state.as_view_mut();
                let (gradient, settings) = (gradient.as_view(), settings.as_view());
                Ok(optimiser::momentum(&device, &segments, &mut view, &gradient, &settings, true, None)?)
            });
            // The emulated device can be told to refuse recordings; a GPU does not refuse this one.
            let refused = std::env::var_os("EMULATE_NO_GRAPHS").is_some() && record && step == 2;
            assert_eq!(warning.unwrap().is_some(), refused);
            assert_eq!(
                replay.is_recorded(),
                record && step >= 2 && std::env::var_os("EMULATE_NO_GRAPHS").is_none()
            );
        }
        finals.push(device.clone_dtoh(&state).unwrap());
    }
    assert_eq!(finals[0], finals[1]);
}

/// Runs a step so many times, which is told how often it ran before; what was warned of.
fn warnings(replay: &mut Replay, runs: usize, mut step: impl FnMut(usize) -> Result<()>) -> Vec<String> {
    (0..runs).filter_map(|run| replay.run(|| step(run)).unwrap()).collect()
}

#[test]
fn a_step_that_cannot_be_recorded_runs_eagerly_with_one_warning() {
    let Some(device) = gpu() else { return };
    let buffer = upload(&device, &[1.0]);
    let (mut replay, mut done) = (Replay::new(&device, Recording::Always), 0);
    let warned = warnings(&mut replay, 5, |_| {
        // Reading a value back is what a recording forbids.
        device.clone_dtoh(&buffer)?;
        done += 1;
        Ok(())
    });
    // Without memory pools, which is said when the device is opened, nothing is recorded.
    let expected = usize::from(crate::device::has_memory_pools(&device));
    assert_eq!((done, warned.len()), (5, expected), "{warned:?}");
    assert!(warned.iter().all(|warning| warning.contains("without a CUDA graph")) && !replay.is_recorded());
}

/// What is freed last leaves an error behind, by which cudarc would not end the recording.
#[test]
fn a_step_that_frees_older_memory_is_not_recorded_and_the_device_stays_usable() {
    let Some(device) = gpu() else { return };
    for frees_last in [false, true] {
        let mut older = Some(upload(&device, &[1.0]));
        let mut replay = Replay::new(&device, Recording::Always);
        let warned = warnings(&mut replay, 5, |run| {
            // In the run that is recorded.
            if run == 2 && !frees_last {
                older = None;
            }
            device.alloc_zeros::<f32>(4)?;
            if run == 2 {
                older = None;
            }
            Ok(())
        });
        assert_eq!(warned.len(), 1, "{warned:?}");
        assert!(!replay.is_recorded() && replay.is_settled());
        assert_eq!(device.clone_dtoh(&upload(&device, &[3.0])).unwrap(), [3.0]);
    }
}

/// The memory of a graph is had at its first launch, and may not be there.
#[test]
fn a_recorded_step_that_cannot_be_launched_runs_eagerly() {
    let Some(device) = gpu().filter(is_emulated) else { return };
    let _fault = Faults::set(&[("EMULATE_NO_LAUNCHES", "1")]);
    let (mut replay, mut done) = (Replay::new(&device, Recording::Always), 0);
    let warned = warnings(&mut replay, 4, |_| {
        done += 1;
        device.alloc_zeros::<f32>(4)?;
        Ok(())
    });
    // Recorded once, where anything is recorded, and then done anew.
    let recorded = usize::from(std::env::var_os("EMULATE_NO_GRAPHS").is_none());
    assert_eq!((done, warned.len()), (4 + recorded, 1), "{warned:?}");
}

/// Both ways are timed, and one of them stays.
#[test]
fn the_faster_way_is_kept() {
    let Some(device) = gpu() else { return };
    let mut replay = Replay::new(&device, Recording::WhereFaster);
    let mut runs = 0;
    while !replay.is_settled() {
        warnings(&mut replay, 1, |_| Ok(device.alloc_zeros::<f32>(4).map(drop)?));
        runs += 1;
        assert!(runs < 40);
    }
    let records = std::env::var_os("EMULATE_NO_GRAPHS").is_none();
    assert_eq!(runs, if records { 2 + 8 + 1 + 8 } else { 2 + 8 + 1 });
}
