//! Convolutions by cuDNN, channels last, where its library can be loaded.
//!
//! y = x ∗ w, dx and dw of x \[N, H, W, C_in\], w \[C_out, KH, KW, C_in\], y \[N, P, Q, C_out\]; elements f32 or bf16,
//! sums in f32. f32 is multiplied in full, or in TF32 where `candle_core::cuda::gemm_reduced_precision_f32()` says so.
//! The algorithm of each shape is chosen once, by cuDNN's heuristics among the deterministic ones: timing them instead
//! would choose differently from run to run, and with that move the last bits of a result.

use super::launch::{Element, Geometry, int};
use candle_core::cuda_backend::DeviceId;
use candle_core::{CudaDevice, Result};
use cudarc::cudnn::{CudnnError, result, sys};
use cudarc::driver::{CudaSlice, CudaView, CudaViewMut, DevicePtr, DevicePtrMut};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The largest workspace that an algorithm may ask for, in bytes.
const MOST_WORKSPACE: usize = 1 << 30;
/// Algorithms that the heuristics are asked for; there are at most 8 of each kind.
const MOST_ALGORITHMS: usize = 8;

/// Which of the three products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Pass {
    Forward,
    Data,
    Filter,
}

/// What a plan depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    pass: Pass,
    geometry: Geometry,
    out_channels: i32,
    element: &'static str,
    reduced: bool,
}

/// Descriptors and the chosen algorithm of one key.
struct Plan {
    x: sys::cudnnTensorDescriptor_t,
    y: sys::cudnnTensorDescriptor_t,
    w: sys::cudnnFilterDescriptor_t,
    convolution: sys::cudnnConvolutionDescriptor_t,
    algorithm: Algorithm,
    workspace: usize,
}

#[derive(Clone, Copy)]
enum Algorithm {
    Forward(sys::cudnnConvolutionFwdAlgo_t),
    Data(sys::cudnnConvolutionBwdDataAlgo_t),
    Filter(sys::cudnnConvolutionBwdFilterAlgo_t),
}

/// cuDNN on one device: its handle, the plans so far, one workspace for all of them (one stream: one product at a
/// time).
struct Session {
    handle: sys::cudnnHandle_t,
    /// `None`: cuDNN has no algorithm for this shape.
    plans: HashMap<Key, Option<Plan>>,
    workspace: Option<CudaSlice<u8>>,
    /// Outgrown workspaces: a recorded CUDA graph may still name them. Sizes are powers of two, so together they are
    /// smaller than the one in use.
    outgrown: Vec<CudaSlice<u8>>,
}

// SAFETY: a handle and its descriptors may move between threads as long as no two use them at a time; the mutex around
// every session sees to that.
#[allow(unsafe_code)] // raw pointers are not Send of themselves
unsafe impl Send for Session {}

/// The session of a device, `None` where the library cannot be loaded. Sessions live as long as the program, as devices
/// do.
fn session(device: &CudaDevice) -> Option<Arc<Mutex<Session>>> {
    type Sessions = Mutex<HashMap<DeviceId, Option<Arc<Mutex<Session>>>>>;
    static SESSIONS: OnceLock<Sessions> = OnceLock::new();
    let mut sessions = lock(SESSIONS.get_or_init(Sessions::default));
    sessions.entry(device.id()).or_insert_with(|| open(device).ok().map(|s| Arc::new(Mutex::new(s)))).clone()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(device: &CudaDevice) -> std::result::Result<Session, CudnnError> {
    let stream = device.cuda_stream();
    // A failure shows in the next line.
    let _ = stream.context().bind_to_thread();
    let handle = result::create_handle()?;
    // SAFETY: both are alive; the stream lives as long as the device.
    #[allow(unsafe_code)] // the handle must work on the device's stream
    unsafe { result::set_stream(handle, stream.cu_stream() as *mut _) }?;
    Ok(Session { handle, plans: HashMap::new(), workspace: None, outgrown: Vec::new() })
}

/// Whether cuDNN can be used on this device.
pub fn is_available(device: &CudaDevice) -> bool {
    session(device).is_some()
}

/// y = x ∗ w over `y`; false where cuDNN is missing or has no algorithm for the shape.
///
/// # Errors
/// cuDNN fails, or no memory.
pub fn forward<T: Element>(
    device: &CudaDevice,
    geometry: Geometry,
    out_channels: usize,
    x: &CudaView<T>,
    w: &CudaView<T>,
    y: &mut CudaViewMut<T>,
) -> Result<bool> {
    run(device, Pass::Forward, geometry, out_channels, [x, w], y, 0.0)
}

/// dx of dy and w over `dx`, or added to it; false where cuDNN is missing or has no algorithm for the shape.
///
/// # Errors
/// cuDNN fails, or no memory.
pub fn backward_data<T: Element>(
    device: &CudaDevice,
    geometry: Geometry,
    out_channels: usize,
    [w, dy]: [&CudaView<T>; 2],
    dx: &mut CudaViewMut<T>,
    add: bool,
) -> Result<bool> {
    run(device, Pass::Data, geometry, out_channels, [w, dy], dx, if add { 1.0 } else { 0.0 })
}

/// dw of x and dy over `dw`, in their element type; false where cuDNN is missing or has no algorithm for the shape.
///
/// # Errors
/// cuDNN fails, or no memory.
pub fn backward_filter<T: Element>(
    device: &CudaDevice,
    geometry: Geometry,
    out_channels: usize,
    x: &CudaView<T>,
    dy: &CudaView<T>,
    dw: &mut CudaViewMut<T>,
) -> Result<bool> {
    run(device, Pass::Filter, geometry, out_channels, [x, dy], dw, 0.0)
}

/// out ← product + β·out, of the operands in the order in which cuDNN names them.
fn run<T: Element>(
    device: &CudaDevice,
    pass: Pass,
    geometry: Geometry,
    out_channels: usize,
    [first, second]: [&CudaView<T>; 2],
    out: &mut CudaViewMut<T>,
    beta: f32,
) -> Result<bool> {
    let Some(session) = session(device) else { return Ok(false) };
    let stream = device.cuda_stream();
    stream.context().bind_to_thread().map_err(candle_core::Error::wrap)?;
    let mut session = lock(&session);
    let reduced = T::NAME == "f32" && candle_core::cuda::gemm_reduced_precision_f32();
    let key = Key {
        pass,
        geometry,
        out_channels: int("output channels", out_channels)?,
        element: T::NAME,
        reduced,
    };
    let handle = session.handle;
    let plan = session.plans.entry(key).or_insert_with(|| make_plan::<T>(handle, key).ok().flatten());
    let Some(&Plan { x, y, w, convolution, algorithm, workspace }) = plan.as_ref() else { return Ok(false) };
    session.grow(device, workspace)?;
    let space = session.workspace.as_ref().map_or(0, |space| space.device_ptr(&stream).0) as *mut _;
    let alpha = 1f32;
    let (alpha, beta) = ((&raw const alpha).cast(), (&raw const beta).cast());
    let (a, b) = (first.device_ptr(&stream).0 as *const _, second.device_ptr(&stream).0 as *const _);
    let to = out.device_ptr_mut(&stream).0 as *mut _;
    // SAFETY: the descriptors live as long as the session; the operands have the lengths that the geometry says, which
    // the callers in `ops/conv/cuda.rs` check; the workspace is as large as the algorithm asked for.
    #[allow(unsafe_code)] // cudarc's safe form makes descriptors at every call
    let outcome = unsafe {
        match algorithm {
            Algorithm::Forward(how) => result::convolution_forward(
                handle,
                alpha,
                x,
                a,
                w,
                b,
                convolution,
                how,
                space,
                workspace,
                beta,
                y,
                to,
            ),
            Algorithm::Data(how) => result::convolution_backward_data(
                handle,
                alpha,
                w,
                a,
                y,
                b,
                convolution,
                how,
                space,
                workspace,
                beta,
                x,
                to,
            ),
            Algorithm::Filter(how) => result::convolution_backward_filter(
                handle,
                alpha,
                x,
                a,
                y,
                b,
                convolution,
                how,
                space,
                workspace,
                beta,
                w,
                to,
            ),
        }
    };
    outcome.map_err(candle_core::Error::wrap)?;
    Ok(true)
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
}

/// The descriptors of a key and the first algorithm of the heuristics that is deterministic and fits; `None` where
/// there is none.
///
/// A plan is made once for each shape and kept; descriptors of a shape that is refused are not given back (a few
/// hundred bytes).
fn make_plan<T: Element>(
    handle: sys::cudnnHandle_t,
    key: Key,
) -> std::result::Result<Option<Plan>, CudnnError> {
    let (g, format) = (key.geometry, sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC);
    let (x, y) = (result::create_tensor_descriptor()?, result::create_tensor_descriptor()?);
    let (w, convolution) = (result::create_filter_descriptor()?, result::create_convolution_descriptor()?);
    // cuDNN lists sizes as N, C, H, W whatever the order in memory.
    let filter = [key.out_channels, g.channels, g.kernel_height, g.kernel_width];
    // SAFETY: descriptors that were just made.
    #[allow(unsafe_code)] // the result level of cudarc
    unsafe {
        result::set_tensor4d_descriptor(x, format, T::DNN, [g.batch, g.channels, g.height, g.width])?;
        result::set_tensor4d_descriptor(
            y,
            format,
            T::DNN,
            [g.batch, key.out_channels, g.out_height, g.out_width],
        )?;
        result::set_filter4d_descriptor(w, T::DNN, format, filter)?;
        result::set_convolution2d_descriptor(
            convolution,
            g.padding,
            g.padding,
            g.stride,
            g.stride,
            1,
            1,
            sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION,
            sys::cudnnDataType_t::CUDNN_DATA_FLOAT,
        )?;
    }
    // FMA forbids TF32; tensor cores take bf16 as it is, and f32 as TF32.
    let allowed = if T::NAME == "f32" && !key.reduced {
        sys::cudnnMathType_t::CUDNN_FMA_MATH
    } else {
        sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH
    };
    /// Asks one kind of heuristics and takes the first usable answer.
    macro_rules! choose {
        ($function:ident, $performance:ty, $kind:ident, $a:expr, $b:expr, $c:expr) => {{
            let mut count = 0;
            // SAFETY: all fields are numbers and enumerations in which zero is a value.
            #[allow(unsafe_code)] // a C array for cuDNN to fill
            let mut found: [$performance; MOST_ALGORITHMS] = unsafe { std::mem::zeroed() };
            // SAFETY: live descriptors; room for as many answers as are asked for.
            #[allow(unsafe_code)] // the result level of cudarc
            unsafe {
                result::set_convolution_math_type(convolution, allowed)?;
                result::$function(
                    handle,
                    $a,
                    $b,
                    convolution,
                    $c,
                    MOST_ALGORITHMS as i32,
                    &mut count,
                    found.as_mut_ptr(),
                )?;
            }
            found
                .iter()
                .take(usize::try_from(count).unwrap_or(0))
                .find(|p| {
                    p.status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS
                        && p.determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC
                        && p.memory <= MOST_WORKSPACE
                })
                .map(|p| (Algorithm::$kind(p.algo), p.memory, p.mathType))
        }};
    }
    let choice = match key.pass {
        Pass::Forward => {
            choose!(get_convolution_forward_algorithm, sys::cudnnConvolutionFwdAlgoPerf_t, Forward, x, w, y)
        }
        Pass::Data => {
            choose!(
                get_convolution_backward_data_algorithm,
                sys::cudnnConvolutionBwdDataAlgoPerf_t,
                Data,
                w,
                y,
                x
            )
        }
        Pass::Filter => {
            choose!(
                get_convolution_backward_filter_algorithm,
                sys::cudnnConvolutionBwdFilterAlgoPerf_t,
                Filter,
                x,
                y,
                w
            )
        }
    };
    let Some((algorithm, workspace, math)) = choice else { return Ok(None) };
    // The arithmetic that the algorithm was listed for; but where TF32 is forbidden it stays so, also for one listed as
    // "default".
    let math = if allowed == sys::cudnnMathType_t::CUDNN_FMA_MATH { allowed } else { math };
    // SAFETY: a live descriptor.
    #[allow(unsafe_code)] // the result level of cudarc
    unsafe { result::set_convolution_math_type(convolution, math) }?;
    Ok(Some(Plan { x, y, w, convolution, algorithm, workspace }))
}
