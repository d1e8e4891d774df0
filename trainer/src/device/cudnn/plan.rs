//! One convolution as cuDNN sees it: descriptors, the algorithms that may compute it, a call.

use crate::device::launch::{Element, Geometry};
use cudarc::cudnn::{CudnnError, result, sys};
use serde::{Deserialize, Serialize};

/// The largest workspace that an algorithm may ask for, in bytes.
const MOST_WORKSPACE: usize = 1 << 28;
/// Algorithms that the heuristics are asked for; there are at most 8 of each kind.
const MOST_ALGORITHMS: usize = 8;

/// Which of the three products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pass {
    /// y = x ∗ w.
    Forward,
    /// dx of dy and w.
    Data,
    /// dw of x and dy.
    Filter,
}

/// What a plan depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub pass: Pass,
    pub geometry: Geometry,
    pub out_channels: i32,
    pub element: &'static str,
    /// Whether f32 is multiplied in TF32.
    pub reduced: bool,
    /// Whether the product is added to what the output holds.
    pub adds: bool,
}

/// How a convolution is computed, as `bench` reports it and a run's `plans.json` keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanRecord {
    /// Which product.
    pub pass: Pass,
    /// Whether it is added to what the output holds.
    pub adds: bool,
    /// x: N, H, W, C_in.
    pub input: [i32; 4],
    /// w: C_out, KH, KW, C_in.
    pub kernel: [i32; 4],
    /// Stride in both directions.
    pub stride: i32,
    /// Zeros on every side.
    pub padding: i32,
    /// Type of the elements.
    pub dtype: String,
    /// Whether f32 is multiplied in TF32.
    pub tf32: bool,
    /// cuDNN's name of the algorithm; none: a matrix product by cuBLAS.
    pub algorithm: Option<String>,
    /// cuDNN's name of the arithmetic.
    pub math: Option<String>,
    /// Bytes of workspace.
    pub workspace_bytes: usize,
    /// Whether the product goes into memory of its own and is added from there.
    pub apart: bool,
    /// Milliseconds of one call, where several algorithms were timed.
    pub milliseconds: Option<f64>,
    /// What failed, with the reasons.
    pub refused: Vec<String>,
}

impl PlanRecord {
    /// The record of a convolution without an algorithm.
    pub(super) fn new(key: &Key) -> Self {
        let g = key.geometry;
        Self {
            pass: key.pass,
            adds: key.adds,
            input: [g.batch, g.height, g.width, g.channels],
            kernel: [key.out_channels, g.kernel_height, g.kernel_width, g.channels],
            stride: g.stride,
            padding: g.padding,
            dtype: key.element.to_owned(),
            tf32: key.reduced,
            algorithm: None,
            math: None,
            workspace_bytes: 0,
            apart: false,
            milliseconds: None,
            refused: Vec::new(),
        }
    }

    /// Whether two records are of the same convolution.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        let of = |r: &Self| (r.pass, r.adds, r.input, r.kernel, r.stride, r.padding, r.tf32);
        of(self) == of(other) && self.dtype == other.dtype
    }

    /// Whether two records say the same of how it is computed.
    pub(super) fn computes_as(&self, other: &Self) -> bool {
        (&self.algorithm, &self.math, self.apart) == (&other.algorithm, &other.math, other.apart)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Forward(sys::cudnnConvolutionFwdAlgo_t),
    Data(sys::cudnnConvolutionBwdDataAlgo_t),
    Filter(sys::cudnnConvolutionBwdFilterAlgo_t),
}

/// An algorithm, its arithmetic and the workspace that both want together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    algorithm: Algorithm,
    math: sys::cudnnMathType_t,
    pub workspace: usize,
}

impl Candidate {
    /// cuDNN's names of algorithm and arithmetic.
    pub fn names(&self) -> [String; 2] {
        let algorithm = match self.algorithm {
            Algorithm::Forward(how) => format!("{how:?}"),
            Algorithm::Data(how) => format!("{how:?}"),
            Algorithm::Filter(how) => format!("{how:?}"),
        };
        [algorithm, format!("{:?}", self.math)].map(|name| name.trim_start_matches("CUDNN_").to_owned())
    }
}

/// The descriptors of a convolution. They live as long as the program: a shape is described once.
#[derive(Clone, Copy)]
pub(super) struct Problem {
    x: sys::cudnnTensorDescriptor_t,
    y: sys::cudnnTensorDescriptor_t,
    w: sys::cudnnFilterDescriptor_t,
    convolution: sys::cudnnConvolutionDescriptor_t,
}

/// Addresses on the device of one call: both operands in the order in which cuDNN names them, the output, the
/// workspace.
#[derive(Clone, Copy)]
pub(super) struct Addresses {
    pub operands: [u64; 2],
    pub out: u64,
    pub workspace: u64,
}

impl Problem {
    pub fn new<T: Element>(key: &Key) -> Result<Self, CudnnError> {
        let (g, format) = (key.geometry, sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC);
        let (x, y) = (result::create_tensor_descriptor()?, result::create_tensor_descriptor()?);
        let (w, convolution) =
            (result::create_filter_descriptor()?, result::create_convolution_descriptor()?);
        // cuDNN lists sizes as N, C, H, W whatever the order in memory.
        let input = [g.batch, g.channels, g.height, g.width];
        let output = [g.batch, key.out_channels, g.out_height, g.out_width];
        let filter = [key.out_channels, g.channels, g.kernel_height, g.kernel_width];
        let mode = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
        let sums = sys::cudnnDataType_t::CUDNN_DATA_FLOAT;
        // SAFETY: descriptors that were just made.
        #[allow(unsafe_code)] // the result level of cudarc
        unsafe {
            result::set_tensor4d_descriptor(x, format, T::DNN, input)?;
            result::set_tensor4d_descriptor(y, format, T::DNN, output)?;
            result::set_filter4d_descriptor(w, T::DNN, format, filter)?;
            let (pad, stride) = (g.padding, g.stride);
            result::set_convolution2d_descriptor(convolution, pad, pad, stride, stride, 1, 1, mode, sums)?;
        }
        Ok(Self { x, y, w, convolution })
    }

    /// The deterministic algorithms that fit, in the order of cuDNN's heuristics.
    pub fn candidates(&self, handle: sys::cudnnHandle_t, key: &Key) -> Result<Vec<Candidate>, CudnnError> {
        // FMA forbids TF32; tensor cores take bf16 as it is, and f32 as TF32.
        let strict = key.element == "f32" && !key.reduced;
        let allowed = match strict {
            true => sys::cudnnMathType_t::CUDNN_FMA_MATH,
            false => sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
        };
        let (x, y, w, convolution) = (self.x, self.y, self.w, self.convolution);
        /// Asks one kind of heuristics.
        macro_rules! ask {
            ($function:ident, $performance:ty, $kind:ident, $a:expr, $b:expr, $c:expr) => {{
                let mut count = 0;
                // SAFETY: all fields are numbers and enumerations in which zero is a value.
                #[allow(unsafe_code)] // a C array for cuDNN to fill
                let mut found: [$performance; MOST_ALGORITHMS] = unsafe { std::mem::zeroed() };
                let most = MOST_ALGORITHMS as i32;
                // SAFETY: live descriptors; room for as many answers as are asked for.
                #[allow(unsafe_code)] // the result level of cudarc
                unsafe {
                    result::set_convolution_math_type(convolution, allowed)?;
                    result::$function(handle, $a, $b, convolution, $c, most, &mut count, found.as_mut_ptr())?;
                }
                let usable = found.iter().take(usize::try_from(count).unwrap_or(0)).filter(|p| {
                    p.status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS
                        && p.determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC
                });
                usable.map(|p| (Algorithm::$kind(p.algo), p.mathType)).collect::<Vec<_>>()
            }};
        }
        let listed = match key.pass {
            Pass::Forward => {
                ask!(get_convolution_forward_algorithm, sys::cudnnConvolutionFwdAlgoPerf_t, Forward, x, w, y)
            }
            Pass::Data => ask!(
                get_convolution_backward_data_algorithm,
                sys::cudnnConvolutionBwdDataAlgoPerf_t,
                Data,
                w,
                y,
                x
            ),
            Pass::Filter => ask!(
                get_convolution_backward_filter_algorithm,
                sys::cudnnConvolutionBwdFilterAlgoPerf_t,
                Filter,
                x,
                y,
                w
            ),
        };
        let mut candidates: Vec<Candidate> = Vec::new();
        for (algorithm, math) in listed {
            // Where TF32 is forbidden it stays so, also for an algorithm listed with the default arithmetic.
            let math = if strict { allowed } else { math };
            if candidates.iter().any(|c| (c.algorithm, c.math) == (algorithm, math)) {
                continue;
            }
            // The listed size belongs to the listed arithmetic; one that cannot be told is no candidate.
            let workspace = self.workspace(handle, algorithm, math);
            candidates.extend(
                workspace.ok().filter(|bytes| *bytes <= MOST_WORKSPACE).map(|workspace| Candidate {
                    algorithm,
                    math,
                    workspace,
                }),
            );
        }
        Ok(candidates)
    }

    /// The workspace that an algorithm wants with this arithmetic.
    fn workspace(
        &self,
        handle: sys::cudnnHandle_t,
        algorithm: Algorithm,
        math: sys::cudnnMathType_t,
    ) -> Result<usize, CudnnError> {
        let (x, y, w, convolution) = (self.x, self.y, self.w, self.convolution);
        // SAFETY: live descriptors.
        #[allow(unsafe_code)] // the result level of cudarc
        unsafe {
            result::set_convolution_math_type(convolution, math)?;
            match algorithm {
                Algorithm::Forward(how) => {
                    result::get_convolution_forward_workspace_size(handle, x, w, convolution, y, how)
                }
                Algorithm::Data(how) => {
                    result::get_convolution_backward_data_workspace_size(handle, w, y, convolution, x, how)
                }
                Algorithm::Filter(how) => {
                    result::get_convolution_backward_filter_workspace_size(handle, x, y, convolution, w, how)
                }
            }
        }
    }

    /// out ← product + β·out by this algorithm.
    ///
    /// # Safety
    /// The addresses are those of live memory of the lengths that the key's sizes say, the workspace's as large as the
    /// candidate wants.
    #[allow(unsafe_code)] // cudarc's safe form makes descriptors at every call
    pub unsafe fn execute(
        &self,
        handle: sys::cudnnHandle_t,
        candidate: &Candidate,
        at: Addresses,
        beta: f32,
    ) -> Result<(), CudnnError> {
        let (x, y, w, convolution) = (self.x, self.y, self.w, self.convolution);
        let (alpha, size) = (1f32, candidate.workspace);
        let (alpha, beta) = ((&raw const alpha).cast(), (&raw const beta).cast());
        let [a, b] = at.operands.map(|address| address as *const _);
        let (space, to) = (at.workspace as *mut _, at.out as *mut _);
        /// The three products differ in the order of their descriptors alone.
        macro_rules! call {
            ($function:ident, $how:expr, $a:expr, $b:expr, $out:expr) => {
                result::$function(handle, alpha, $a, a, $b, b, convolution, $how, space, size, beta, $out, to)
            };
        }
        // SAFETY: the descriptors live as long as the program; the rest is the caller's promise.
        unsafe {
            result::set_convolution_math_type(convolution, candidate.math)?;
            match candidate.algorithm {
                Algorithm::Forward(how) => call!(convolution_forward, how, x, w, y),
                Algorithm::Data(how) => call!(convolution_backward_data, how, w, y, x),
                Algorithm::Filter(how) => call!(convolution_backward_filter, how, x, y, w),
            }
        }
    }
}
