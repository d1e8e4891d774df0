//! Matrix products by cuBLAS: C ← op(A)·op(B) + β·C, row-major, sums in f32.
//!
//! f32 operands are multiplied in full f32, or in TF32 (10-bit significands) after
//! `candle_core::cuda::set_gemm_reduced_precision_f32(true)`, the switch that candle's own products obey.

use super::launch::{Element, check_length, int};
use candle_core::cuda_backend::WrapErr;
use candle_core::{CudaDevice, Result};
use cudarc::cublas::{result, sys};
use cudarc::driver::{CudaView, CudaViewMut, DevicePtr, DevicePtrMut};

/// A matrix in row-major memory, possibly to be transposed.
pub struct Matrix<'a, T> {
    elements: CudaView<'a, T>,
    rows: usize,
    columns: usize,
    transposed: bool,
}

impl<'a, T> Matrix<'a, T> {
    /// A \[rows, columns\] matrix in memory.
    pub fn new(elements: CudaView<'a, T>, rows: usize, columns: usize) -> Self {
        Self { elements, rows, columns, transposed: false }
    }

    /// Its transpose; nothing moves.
    pub fn t(mut self) -> Self {
        self.transposed = !self.transposed;
        self
    }

    /// Shape after transposition.
    fn shape(&self) -> (usize, usize) {
        if self.transposed { (self.columns, self.rows) } else { (self.rows, self.columns) }
    }

    fn operation(&self) -> sys::cublasOperation_t {
        if self.transposed {
            sys::cublasOperation_t::CUBLAS_OP_T
        } else {
            sys::cublasOperation_t::CUBLAS_OP_N
        }
    }
}

/// C ← A·B + β·C for A \[m, k\], B \[k, n\], C \[m, n\]; C of A's type, or f32.
///
/// # Errors
/// Shapes that do not fit, or cuBLAS fails.
pub fn gemm<T: Element, U: Element>(
    device: &CudaDevice,
    a: Matrix<T>,
    b: Matrix<T>,
    beta: f32,
    c: &mut CudaViewMut<U>,
) -> Result<()> {
    let ((m, k), (inner, n)) = (a.shape(), b.shape());
    check_length("the inner dimension of a matrix product", inner, k)?;
    check_length("the left factor", a.elements.len(), m * k)?;
    check_length("the right factor", b.elements.len(), k * n)?;
    check_length("the product", c.len(), m * n)?;
    if m == 0 || n == 0 {
        return Ok(());
    }
    let compute = if T::NAME == "f32" && candle_core::cuda::gemm_reduced_precision_f32() {
        sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32
    } else {
        sys::cublasComputeType_t::CUBLAS_COMPUTE_32F
    };
    let stream = device.cuda_stream();
    stream.context().bind_to_thread().w()?;
    let handle = device.cublas_handle();
    let (alpha, one_row_of_c) = (1f32, int("columns of a product", n)?);
    let (leading_a, leading_b) =
        (int("columns of a matrix", a.columns)?, int("columns of a matrix", b.columns)?);
    let (operation_a, operation_b) = (a.operation(), b.operation());
    let (a, _read_a) = a.elements.device_ptr(&stream);
    let (b, _read_b) = b.elements.device_ptr(&stream);
    let (c, _write_c) = c.device_ptr_mut(&stream);
    // cuBLAS counts by columns: row-major C is its C^T = B^T·A^T, and row-major A is its A^T without any operation.
    // SAFETY: the lengths were checked above; alpha and beta live on the host until the call returns.
    #[allow(unsafe_code)] // cudarc's safe form has no operands of two types
    unsafe {
        result::gemm_ex(
            *handle.handle(),
            operation_b,
            operation_a,
            one_row_of_c,
            int("rows of a product", m)?,
            int("the inner dimension of a product", k)?,
            (&raw const alpha).cast(),
            b as *const _,
            T::BLAS,
            leading_b,
            a as *const _,
            T::BLAS,
            leading_a,
            (&raw const beta).cast(),
            c as *mut _,
            U::BLAS,
            one_row_of_c,
            compute,
            sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
        )
    }
    .w()
}
