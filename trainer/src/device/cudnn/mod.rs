//! Convolutions by cuDNN, channels last, where its library can be loaded.
//!
//! y = x ∗ w, dx and dw of x \[N, H, W, C_in\], w \[C_out, KH, KW, C_in\], y \[N, P, Q, C_out\]; elements f32 or bf16,
//! sums in f32. f32 is multiplied in full, or in TF32 where `candle_core::cuda::gemm_reduced_precision_f32()` says so.
//!
//! The algorithm of a shape is chosen when it is first met, among the deterministic ones that cuDNN's heuristics list:
//! each is tried on the operands at hand, and of those that work, by the fastest of three calls, the first of the list is
//! kept that no later one beats by a tenth. Another choice moves the last bits of a result, so a run writes its choices beside its checkpoint ([`records`]) and takes them up again
//! ([`prefer`]). A sum into dx that no algorithm makes by itself goes through memory of its own; a shape that none
//! computes becomes a matrix product by cuBLAS, and a line on standard error says so once.

mod plan;

pub use plan::{Pass, PlanRecord};

use super::launch::{Element, Geometry, int};
use super::warn;
use candle_core::cuda_backend::DeviceId;
use candle_core::{CudaDevice, Result};
use cudarc::cudnn::{CudnnError, result, sys};
use cudarc::driver::sys::CUstreamCaptureStatus;
use cudarc::driver::{CudaSlice, CudaView, CudaViewMut, DevicePtr, DevicePtrMut};
use plan::{Addresses, Candidate, Key, Problem};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

/// Timed calls of an algorithm.
const TIMED_CALLS: usize = 3;
/// A later algorithm of the list takes the place of an earlier one where its time is below this share of the other's.
const MARGIN: f64 = 0.9;
/// An algorithm whose first call takes this many times the best is not called again.
const HOPELESS: f64 = 2.0;

/// Where a product is.
pub(crate) enum Product<T> {
    /// In the output.
    Written,
    /// In memory of its own, still to be added to the output.
    Apart(CudaSlice<T>),
    /// Nowhere: cuDNN is missing or has no algorithm for the shape.
    Refused,
}

/// An algorithm for one key.
#[derive(Clone, Copy)]
struct Plan {
    problem: Problem,
    candidate: Candidate,
    /// Whether the product needs memory of its own before it is added.
    apart: bool,
}

/// cuDNN on one device: its handle, the plans so far, one workspace for all of them (one stream: one product at a
/// time).
struct Session {
    handle: sys::cudnnHandle_t,
    /// No plan: cuDNN has no algorithm for this shape.
    plans: HashMap<Key, (Option<Plan>, PlanRecord)>,
    /// How a run that goes on computed before.
    preferred: Vec<PlanRecord>,
    /// Reasons for which shapes were refused.
    said: HashSet<String>,
    workspace: Option<CudaSlice<u8>>,
    /// Outgrown workspaces: a recorded CUDA graph may still name them. Sizes are powers of two, so together they are
    /// smaller than the one in use.
    outgrown: Vec<CudaSlice<u8>>,
}

// SAFETY: a handle and its descriptors may move between threads as long as no two use them at a time; the mutex around
// every session sees to that.
#[allow(unsafe_code)] // raw pointers are not Send of themselves
unsafe impl Send for Session {}

type Shared = std::result::Result<Arc<Mutex<Session>>, String>;

fn sessions() -> &'static Mutex<HashMap<DeviceId, Shared>> {
    static SESSIONS: OnceLock<Mutex<HashMap<DeviceId, Shared>>> = OnceLock::new();
    SESSIONS.get_or_init(Mutex::default)
}

/// The session of a device, or why there is none, which is also said once on standard error. Sessions live as long as
/// the program, as devices do.
fn session(device: &CudaDevice) -> Shared {
    #[cfg(test)]
    if BYPASSED.get() {
        return Err("it is bypassed".to_owned());
    }
    let mut sessions = lock(sessions());
    let entry = sessions.entry(device.id());
    let is_new = matches!(entry, Entry::Vacant(_));
    let found = entry.or_insert_with(|| open(device).map(|session| Arc::new(Mutex::new(session)))).clone();
    if let (true, Err(reason)) = (is_new, &found) {
        warn(&format!("convolutions are matrix products by cuBLAS, which are slower: {reason}"));
    }
    found
}

/// While one lives, convolutions of this thread are matrix products: what a test compares with.
#[cfg(test)]
pub(crate) struct Bypass;

#[cfg(test)]
thread_local! {
    static BYPASSED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Bypasses cuDNN from now on.
#[cfg(test)]
pub(crate) fn bypass() -> Bypass {
    BYPASSED.set(true);
    Bypass
}

#[cfg(test)]
impl Drop for Bypass {
    fn drop(&mut self) {
        BYPASSED.set(false);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(device: &CudaDevice) -> std::result::Result<Session, String> {
    const WHERE: &str = "put libcudnn.so.9 and its parts, libcudnn_*.so.9, on LD_LIBRARY_PATH or name their folder in CUDA_LIB_DIRS";
    let stream = device.cuda_stream();
    // A failure shows in the next line.
    let _ = stream.context().bind_to_thread();
    let handle = result::create_handle().map_err(|e| match e.0 {
        sys::cudnnStatus_t::CUDNN_STATUS_NOT_INITIALIZED => format!("cuDNN could not be loaded: {WHERE}"),
        _ => format!("cuDNN could not be opened ({e}): {WHERE}"),
    })?;
    if version() / 10_000 != 9 {
        return Err(format!("cuDNN has version {}, and 9 is needed: {WHERE}", version_name()));
    }
    // SAFETY: both are alive; the stream lives as long as the device.
    #[allow(unsafe_code)] // the handle must work on the device's stream
    unsafe { result::set_stream(handle, stream.cu_stream() as *mut _) }
        .map_err(|e| format!("cuDNN takes no stream: {e}"))?;
    let (plans, preferred, said) = (HashMap::new(), Vec::new(), HashSet::new());
    Ok(Session { handle, plans, preferred, said, workspace: None, outgrown: Vec::new() })
}

/// As `cudnnGetVersion` counts: 91002 is 9.10.2, and 8907 is 8.9.7.
fn version() -> usize {
    result::get_version()
}

fn version_name() -> String {
    let version = version();
    let unit = if version >= 10_000 { 10_000 } else { 1000 };
    format!("{}.{}.{}", version / unit, version % unit / 100, version % 100)
}

/// The version of cuDNN, as `9.10.2`, or why it cannot be used.
///
/// # Errors
/// cuDNN cannot be loaded or opened; one line.
pub fn availability(device: &CudaDevice) -> std::result::Result<String, String> {
    session(device).map(|_| version_name())
}

/// How each convolution so far is computed, in an order that depends on nothing but them.
pub fn records(device: &CudaDevice) -> Vec<PlanRecord> {
    // None was computed before the library was opened.
    let Some(Ok(session)) = lock(sessions()).get(&device.id()).cloned() else { return Vec::new() };
    let mut records: Vec<PlanRecord> =
        lock(&session).plans.values().map(|(_, record)| record.clone()).collect();
    records.sort_by_key(|r| (r.pass as u8, r.adds, r.input, r.kernel, r.stride, r.padding, r.dtype.clone()));
    records
}

/// Has convolutions computed as these records say, where that works; a shape that they do not name is left alone.
pub fn prefer(device: &CudaDevice, records: Vec<PlanRecord>) {
    let Ok(session) = session(device) else { return };
    let mut session = lock(&session);
    session.plans.retain(|_, (_, found)| {
        !records.iter().any(|record| record.is_of(found) && !record.computes_as(found))
    });
    session.preferred = records;
}

/// One product over `out`, or, of the data pass with `adds`, added to it: y of x and w, dx of w and dy, dw of x and dy,
/// all of one element type. The lengths must be those of the geometry, as the callers in `ops/conv/cuda.rs` check.
///
/// # Errors
/// cuDNN fails, or no memory.
pub(crate) fn product<T: Element>(
    device: &CudaDevice,
    (pass, adds): (Pass, bool),
    geometry: Geometry,
    out_channels: usize,
    [first, second]: [&CudaView<T>; 2],
    out: &mut CudaViewMut<T>,
) -> Result<Product<T>> {
    let Ok(session) = session(device) else { return Ok(Product::Refused) };
    let stream = device.cuda_stream();
    stream.context().bind_to_thread().map_err(candle_core::Error::wrap)?;
    let mut session = lock(&session);
    let reduced = T::NAME == "f32" && candle_core::cuda::gemm_reduced_precision_f32();
    let out_channels = int("output channels", out_channels)?;
    let key = Key { pass, geometry, out_channels, element: T::NAME, reduced, adds };
    let operands = [first, second].map(|view| view.device_ptr(&stream).0);
    let length = out.len();
    let to = out.device_ptr_mut(&stream).0;
    // cuDNN loads 16 bytes at a time; a plan is one for all addresses.
    if operands.iter().chain([&to]).any(|address| !address.is_multiple_of(16)) {
        let why = "an operand that does not begin at a multiple of 16 bytes";
        if session.said.insert(why.to_owned()) {
            warn(&format!("a convolution is a matrix product by cuBLAS, which is slower: {why}"));
        }
        return Ok(Product::Refused);
    }
    let plan = match session.plans.get(&key) {
        Some((plan, _)) => *plan,
        None => session.settle::<T>(device, key, operands, (to, length))?,
    };
    let Some(Plan { problem, candidate, apart }) = plan else { return Ok(Product::Refused) };
    let product = match apart {
        true => Some(super::launch::uninitialised::<T>(device, length)?),
        false => None,
    };
    let target = product.as_ref().map_or(to, |product| product.device_ptr(&stream).0);
    let beta = if adds && !apart { 1.0 } else { 0.0 };
    session.grow(device, candidate.workspace)?;
    let workspace = session.workspace.as_ref().map_or(0, |space| space.device_ptr(&stream).0);
    let at = Addresses { operands, out: target, workspace };
    session.call(&problem, &candidate, at, beta).map_err(candle_core::Error::wrap)?;
    Ok(product.map_or(Product::Written, Product::Apart))
}

impl Session {
    /// Makes the workspace at least this large.
    fn grow(&mut self, device: &CudaDevice, bytes: usize) -> Result<()> {
        if bytes > self.workspace.as_ref().map_or(0, CudaSlice::len) {
            // SAFETY: what is in a workspace before a call does not matter.
            #[allow(unsafe_code)] // zeroing it would cost a pass
            let larger = unsafe { device.alloc::<u8>(bytes.next_power_of_two())? };
            self.outgrown.extend(self.workspace.replace(larger));
        }
        Ok(())
    }

    /// out ← product + β·out.
    fn call(
        &self,
        problem: &Problem,
        candidate: &Candidate,
        at: Addresses,
        beta: f32,
    ) -> std::result::Result<(), CudnnError> {
        // SAFETY: `product` passes operands and outputs that the callers in `ops/conv/cuda.rs` checked against the
        // geometry; it and `try_once` pass a workspace as large as the candidate asked for.
        #[allow(unsafe_code)] // cudarc's safe form makes descriptors at every call
        unsafe {
            problem.execute(self.handle, candidate, at, beta)
        }
    }

    /// Milliseconds of a call with a workspace that is given back afterwards, or why it fails: a failure speaks against
    /// the algorithm, not against the run.
    fn try_once(
        &self,
        device: &CudaDevice,
        problem: &Problem,
        candidate: &Candidate,
        (operands, out): ([u64; 2], u64),
        beta: f32,
    ) -> std::result::Result<f64, String> {
        let stream = device.cuda_stream();
        let space = super::launch::uninitialised::<f32>(device, candidate.workspace.div_ceil(4).max(1))
            .map_err(|e| e.to_string())?;
        let at = Addresses { operands, out, workspace: space.device_ptr(&stream).0 };
        let wait = || stream.synchronize().map_err(|e| format!("{e:?}"));
        wait()?;
        let start = Instant::now();
        self.call(problem, candidate, at, beta).map_err(|e| e.to_string())?;
        // A kernel that fails says so here, and not to whoever waits next.
        wait()?;
        Ok(1e3 * start.elapsed().as_secs_f64())
    }

    /// Chooses how a new key is computed, and remembers it.
    fn settle<T: Element>(
        &mut self,
        device: &CudaDevice,
        key: Key,
        operands: [u64; 2],
        (to, length): (u64, usize),
    ) -> Result<Option<Plan>> {
        let recording = device.cuda_stream().capture_status().map_err(candle_core::Error::wrap)?;
        if recording != CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE {
            candle_core::bail!(
                "a convolution of a new shape, whose algorithm cannot be chosen while recording"
            );
        }
        let mut record = PlanRecord::new(&key);
        let before = self.preferred.iter().find(|before| before.is_of(&record)).cloned();
        let mut plan = None;
        // A run that computed this as a matrix product goes on so.
        if before.as_ref().is_none_or(|before| before.algorithm.is_some()) {
            // A trial must not add to what is there.
            let scratch = match key.adds {
                true => Some(super::launch::uninitialised::<T>(device, length)?),
                false => None,
            };
            let to = scratch.as_ref().map_or(to, |scratch| scratch.device_ptr(&device.cuda_stream()).0);
            let problem = Problem::new::<T>(&key);
            // As before, where that is known: a sum that was rounded before it was added has other bits.
            let ways: &[bool] = match (key.adds, before.as_ref().is_some_and(|before| before.apart)) {
                (false, _) => &[false],
                (true, false) => &[false, true],
                (true, true) => &[true, false],
            };
            for apart in ways {
                let beta = if key.adds && !apart { 1.0 } else { 0.0 };
                let choice = match &problem {
                    Ok(problem) => self.choose(device, &key, problem, before.as_ref(), (operands, to), beta),
                    Err(e) => Choice { refused: vec![e.to_string()], ..Choice::default() },
                };
                record.refused.extend(choice.refused);
                if let (Ok(problem), Some(candidate)) = (&problem, choice.candidate) {
                    let [algorithm, math] = candidate.names();
                    (record.algorithm, record.math) = (Some(algorithm), Some(math));
                    (record.workspace_bytes, record.apart) = (candidate.workspace, *apart);
                    record.milliseconds = choice.milliseconds;
                    plan = Some(Plan { problem: *problem, candidate, apart: *apart });
                    break;
                }
            }
            if plan.is_none() {
                let why = record.refused.last().map_or("it lists no deterministic algorithm", String::as_str);
                // Once for a reason: a missing part of the library refuses every shape.
                if self.said.insert(why.to_owned()) {
                    warn(&format!(
                        "cuDNN computes no {:?} pass of x {:?} with w {:?}, stride {} in {}: a matrix product by \
                         cuBLAS does, which is slower ({why}); `bench` lists all shapes",
                        key.pass, record.input, record.kernel, record.stride, record.dtype
                    ));
                }
            }
        }
        if let Some(before) = before.filter(|before| !before.computes_as(&record)) {
            warn(&format!(
                "the {:?} pass of x {:?} with w {:?}, stride {}, is no longer computed by {}: the last bits of what \
                 follows may differ",
                key.pass,
                record.input,
                record.kernel,
                record.stride,
                before.algorithm.as_deref().unwrap_or("a matrix product")
            ));
        }
        self.plans.insert(key, (plan, record));
        Ok(plan)
    }

    /// Tries the candidates, and takes the fastest of those that work.
    fn choose(
        &self,
        device: &CudaDevice,
        key: &Key,
        problem: &Problem,
        before: Option<&PlanRecord>,
        at: ([u64; 2], u64),
        beta: f32,
    ) -> Choice {
        let mut choice = Choice::default();
        let candidates = match problem.candidates(self.handle, key) {
            Ok(candidates) => candidates,
            Err(e) => {
                choice.refused.push(e.to_string());
                return choice;
            }
        };
        let is_before = |candidate: &Candidate| {
            let [algorithm, math] = candidate.names();
            before.is_some_and(|b| (&b.algorithm, &b.math) == (&Some(algorithm), &Some(math)))
        };
        let refused = |candidate: &Candidate, why: String| {
            let [algorithm, math] = candidate.names();
            let sum = if beta == 0.0 { "" } else { ", adding" };
            format!("{algorithm} ({math}{sum}): {why}")
        };
        let mut working = Vec::new();
        let (first, rest): (Vec<_>, Vec<_>) = candidates.into_iter().partition(is_before);
        for candidate in first.into_iter().chain(rest) {
            match self.try_once(device, problem, &candidate, at, beta) {
                // As before: nothing to be timed.
                Ok(_) if is_before(&candidate) => {
                    choice.candidate = Some(candidate);
                    return choice;
                }
                Ok(_) => working.push(candidate),
                Err(why) => choice.refused.push(refused(&candidate, why)),
            }
        }
        if let [only] = working[..] {
            choice.candidate = Some(only);
            return choice;
        }
        'candidates: for candidate in working {
            let mut fastest = f64::INFINITY;
            for _ in 0..TIMED_CALLS {
                match self.try_once(device, problem, &candidate, at, beta) {
                    Ok(milliseconds) => fastest = fastest.min(milliseconds),
                    Err(why) => {
                        choice.refused.push(refused(&candidate, why));
                        continue 'candidates;
                    }
                }
                if choice.milliseconds.is_some_and(|best| fastest > HOPELESS * best) {
                    break;
                }
            }
            // The order of the list decides where the clock does not.
            if choice.milliseconds.is_none_or(|best| fastest < MARGIN * best) {
                (choice.candidate, choice.milliseconds) = (Some(candidate), Some(fastest));
            }
        }
        choice
    }
}

/// What the trials of one key found.
#[derive(Default)]
struct Choice {
    candidate: Option<Candidate>,
    milliseconds: Option<f64>,
    refused: Vec<String>,
}
