//! Which device to compute on, and one clear line where it cannot be had.

use crate::error::{Error, Result};
use candle_core::Device;
use std::fmt;
use std::str::FromStr;

/// What `--device` asks for.
///
/// # Examples
/// ```
/// use trainer::device::DeviceChoice;
/// assert_eq!("cuda:1".parse::<DeviceChoice>()?, DeviceChoice::Cuda(1));
/// assert!("gpu".parse::<DeviceChoice>().is_err());
/// # Ok::<(), trainer::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first GPU where this build and this machine have one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// This GPU, counted from 0, or an error.
    Cuda(usize),
}

/// A device, and what its user should know about it.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The device.
    pub device: Device,
    /// Why it is not the one that was hoped for, or what it does without.
    pub warning: Option<String>,
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => text.strip_prefix("cuda:").and_then(|index| index.parse().ok()).map(Self::Cuda).ok_or_else(
                || {
                    Error::argument(format!(
                        "device {text:?}: expected auto, cpu, cuda or cuda:INDEX (as cuda:1)"
                    ))
                },
            ),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// A GPU gets one stream of its own (the default stream cannot be captured into a CUDA graph), and none of the
    /// events by which cudarc orders several streams: they cost two calls of the driver for each operation. cuBLAS gets a
    /// workspace of 32 MiB. `Auto` in a build with CUDA that finds no usable GPU gives the CPU with a warning; a GPU
    /// without memory pools is given with one.
    ///
    /// # Errors
    /// For [`DeviceChoice::Cuda`]. [`Error::Argument`]: a build without CUDA, or an index that no GPU has.
    /// [`Error::Device`]: a GPU, a driver or a library that cannot be used. Each is one line that says what to do.
    /// [`Error::Tensor`]: the driver fails.
    pub fn open(self) -> Result<Opened> {
        match self {
            Self::Cpu => Ok(Opened { device: Device::Cpu, warning: None }),
            Self::Cuda(index) => open_gpu(index),
            Self::Auto if cfg!(not(feature = "cuda")) => Ok(Opened { device: Device::Cpu, warning: None }),
            Self::Auto => Ok(open_gpu(0).unwrap_or_else(|error| {
                let reason = error.to_string();
                let reason = explain(&reason).unwrap_or(reason);
                Opened { device: Device::Cpu, warning: Some(format!("computing on the CPU: {reason}")) }
            })),
        }
    }
}

#[cfg(not(feature = "cuda"))]
fn open_gpu(_: usize) -> Result<Opened> {
    Err(Error::argument(
        "this build has no CUDA support; build it with trainer/cuda/build.sh, or use --device cpu",
    ))
}

#[cfg(feature = "cuda")]
fn open_gpu(index: usize) -> Result<Opened> {
    let driver = check_driver()?;
    check_gpu(index)?;
    check_libraries(driver)?;
    let device = candle_core::CudaDevice::new_with_stream(index)?;
    // SAFETY: events order work between streams, and this device has only one stream for the life of the program:
    // whatever is allocated, used and freed is so in the order of that stream.
    #[allow(unsafe_code)] // the only way to turn them off
    unsafe {
        device.disable_event_tracking();
    }
    give_workspace(&device);
    let warning = if has_memory_pools(&device) {
        keep_freed_memory(&device);
        None
    } else {
        let loss = "every allocation waits for the GPU, and no step becomes a CUDA graph";
        Some(format!("the driver has no memory pools on this GPU: {loss}"))
    };
    Ok(Opened { device: Device::Cuda(device), warning })
}

/// Whether the driver allocates in the order of a stream, from a pool. Without, an allocation while a step is recorded
/// ends the recording.
#[cfg(feature = "cuda")]
pub fn has_memory_pools(device: &candle_core::CudaDevice) -> bool {
    device.cuda_stream().context().has_async_alloc()
}

/// Lets the driver's memory pool keep what is freed instead of giving it back at every synchronisation, so that the
/// next step's allocations cost nothing. Where it cannot be set, only speed is lost.
#[cfg(feature = "cuda")]
fn keep_freed_memory(device: &candle_core::CudaDevice) {
    use cudarc::driver::{result, sys};
    let mut threshold = u64::MAX;
    // SAFETY: the device is open; the attribute is an unsigned 64-bit number, read during the call.
    #[allow(unsafe_code)] // cudarc has no safe form of it
    let _ = unsafe {
        result::device::get_default_mem_pool(device.cuda_stream().context().cu_device()).and_then(|pool| {
            let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
            result::mem_pool::set_attribute(pool, attribute, (&raw mut threshold).cast())
        })
    };
}

/// Gives cuBLAS memory to work in for the life of the device: otherwise it allocates in the middle of a step, and a
/// recorded step then holds that memory in its graph. Where there is no memory for it, only that is lost.
#[cfg(feature = "cuda")]
fn give_workspace(device: &candle_core::CudaDevice) {
    use cudarc::driver::{CudaSlice, DevicePtrMut};
    use std::sync::{Arc, Mutex, PoisonError};
    /// What NVIDIA recommends for Hopper; 4 MiB on older GPUs.
    const BYTES: usize = 32 << 20;
    static WORKSPACES: Mutex<Vec<CudaSlice<u8>>> = Mutex::new(Vec::new());
    let mut workspaces = WORKSPACES.lock().unwrap_or_else(PoisonError::into_inner);
    // The stream of a device that was closed is held by its workspace alone.
    workspaces.retain(|workspace| Arc::strong_count(workspace.stream()) > 1);
    // SAFETY: cuBLAS writes what it then reads.
    #[allow(unsafe_code)] // zeroing would be one more pass
    let Ok(mut workspace) = (unsafe { device.alloc::<u8>(BYTES) }) else { return };
    let address = workspace.device_ptr_mut(&device.cuda_stream()).0;
    // SAFETY: the handle is the device's, the memory is of this size and kept until the device is closed; both are used
    // in the order of one stream.
    #[allow(unsafe_code)] // cudarc has no safe form of it
    let status = unsafe {
        cudarc::cublas::sys::cublasSetWorkspace_v2(*device.cublas_handle().handle(), address as *mut _, BYTES)
    };
    if status == cudarc::cublas::sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS {
        workspaces.push(workspace);
    }
}

/// The CUDA version that a driver must serve, as 1000·major + 10·minor: that of the PTX of this build, which
/// trainer/cuda/nvcc-trainer lowers.
#[cfg(feature = "cuda")]
const NEEDED_DRIVER: i32 = 12_040;

/// The CUDA version that the driver serves; refuses a driver that is too old for the kernels of this build before
/// anything is loaded into it.
#[cfg(feature = "cuda")]
fn check_driver() -> Result<i32> {
    let mut version = 0;
    // SAFETY: the function writes one int; it may be called before cuInit.
    #[allow(unsafe_code)] // cudarc has no safe form of it
    let status = unsafe { cudarc::driver::sys::cuDriverGetVersion(&mut version) };
    if status != cudarc::driver::sys::CUresult::CUDA_SUCCESS {
        return Err(Error::Device(NO_GPU.to_owned()));
    }
    if version < NEEDED_DRIVER {
        let text = |version: i32| format!("{}.{}", version / 1000, version % 1000 / 10);
        return Err(Error::Device(format!(
            "the NVIDIA driver serves CUDA {}, and this build needs {} or later: update it, or use --device cpu",
            text(version),
            text(NEEDED_DRIVER)
        )));
    }
    Ok(version)
}

/// Refuses a GPU that is not there or too old.
#[cfg(feature = "cuda")]
fn check_gpu(index: usize) -> Result<()> {
    use cudarc::driver::{result, sys::CUdevice_attribute};
    let count = result::init().and_then(|()| result::device::get_count()).unwrap_or(0);
    if count < 1 {
        return Err(Error::Device(NO_GPU.to_owned()));
    }
    let ordinal = i32::try_from(index).ok().filter(|&ordinal| ordinal < count);
    let Some(ordinal) = ordinal else {
        return Err(Error::argument(format!(
            "there is no GPU {index}: the driver shows {count}, counted from 0 (`nvidia-smi -L` lists them, and \
             CUDA_VISIBLE_DEVICES may hide some); use another index or --device cpu"
        )));
    };
    let attribute = |attribute| {
        // SAFETY: the device is one of those just counted.
        #[allow(unsafe_code)] // cudarc has no safe form of it before the device is opened
        let value =
            result::device::get(ordinal).and_then(|d| unsafe { result::device::get_attribute(d, attribute) });
        value.map_err(candle_core::Error::wrap)
    };
    let major = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    if major < 8 {
        return Err(Error::Device(format!(
            "GPU {index} has compute capability {major}.{minor}, and this build needs 8.0 (Ampere) or later: use \
             --device cpu"
        )));
    }
    Ok(())
}

/// Names a library that could not be loaded; `driver` as [`check_driver`] gives it.
#[cfg(feature = "cuda")]
fn check_libraries(driver: i32) -> Result<()> {
    use cudarc::cublas::sys::{cublasGetProperty, cublasStatus_t, libraryPropertyType};
    use cudarc::curand::sys::{curandGetVersion, curandStatus};
    let mut version = 0;
    // SAFETY: both write one int and need no handle.
    #[allow(unsafe_code)] // cudarc has no safe form of them
    let (blas, rand) = unsafe {
        (
            cublasGetProperty(libraryPropertyType::MAJOR_VERSION, &mut version)
                == cublasStatus_t::CUBLAS_STATUS_SUCCESS,
            curandGetVersion(&mut version) == curandStatus::CURAND_STATUS_SUCCESS,
        )
    };
    let missing = |name: &str, files: &str| {
        Err(Error::Device(format!(
            "{name} could not be loaded: put {files} on LD_LIBRARY_PATH or name the folder in CUDA_LIB_DIRS, or use \
             --device cpu"
        )))
    };
    // A library of CUDA 12 also serves a driver of CUDA 13, but not the other way round.
    let major = driver / 1000;
    match (blas, rand) {
        (false, _) => missing("cuBLAS", &format!("libcublas.so.{major} and libcublasLt.so.{major}")),
        (_, false) => missing("cuRAND", "libcurand.so.10"),
        _ => Ok(()),
    }
}

const NO_GPU: &str = "no usable GPU: the driver's libcuda.so.1 is missing or sees no device (does nvidia-smi list one?); use --device cpu";

/// What an error text of the CUDA libraries means and what to do about it, in one line; `None` for one that needs no
/// explanation. Give it the text of any error that may stem from a GPU, at whatever depth.
///
/// # Examples
/// ```
/// let text = trainer::device::explain("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")");
/// assert!(text.is_some_and(|line| line.contains("smaller batch")));
/// ```
pub fn explain(error: &str) -> Option<String> {
    const KNOWN: [(&[&str], &str); 4] = [
        (
            &["CUDA_ERROR_OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"],
            "the GPU is out of memory: use a smaller batch or a smaller model, or free the GPU (nvidia-smi shows who holds it)",
        ),
        (&["CUDA_ERROR_NO_DEVICE", "CUDA_ERROR_NOT_INITIALIZED", "CUDA_ERROR_STUB_LIBRARY"], NO_GPU),
        (
            &[
                "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
                "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
                "CUDA_ERROR_INVALID_PTX",
            ],
            "the NVIDIA driver does not take the kernels of this build (TRAINER_CUDA_DEBUG=1 names the libraries in use): update it, or use --device cpu",
        ),
        (
            &["CUBLAS_STATUS_NOT_INITIALIZED", "CURAND_STATUS_INITIALIZATION_FAILED"],
            "cuBLAS or cuRAND does not start on this GPU: is it of the driver's CUDA version (TRAINER_CUDA_DEBUG=1 names the libraries in use), and is the GPU free?",
        ),
    ];
    KNOWN
        .iter()
        .find(|(names, _)| names.iter().any(|name| error.contains(name)))
        .map(|(_, line)| (*line).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_print_as_they_are_read() {
        for text in ["auto", "cpu", "cuda:0", "cuda:7"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        assert_eq!("cuda".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cuda(0));
        for text in ["", "CUDA", "cuda:", "cuda:-1", "cuda:x", "gpu"] {
            let message = text.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(message.contains(&format!("{text:?}")), "{message}");
        }
    }

    #[test]
    fn the_cpu_opens_without_a_word() {
        let opened = DeviceChoice::Cpu.open().unwrap();
        assert!(opened.device.is_cpu() && opened.warning.is_none());
    }

    /// On any machine: a GPU, or one line that names a way on; `auto` never fails.
    #[test]
    fn a_gpu_opens_or_says_in_one_line_what_to_do() {
        let automatic = DeviceChoice::Auto.open().unwrap();
        match DeviceChoice::Cuda(0).open() {
            Ok(opened) => assert!(opened.device.is_cuda() && automatic.device.is_cuda()),
            Err(e) => {
                let line = e.to_string();
                assert!(automatic.device.is_cpu());
                assert_eq!(automatic.warning.is_some(), cfg!(feature = "cuda"));
                assert!(!line.contains('\n') && line.contains("--device cpu"), "{line}");
                assert_eq!(line.contains("trainer/cuda/build.sh"), cfg!(not(feature = "cuda")), "{line}");
            }
        }
    }

    #[cfg(feature = "cuda")]
    #[test]
    fn kernels_are_for_the_oldest_driver_that_is_let_in() {
        let ptx = include_str!(concat!(env!("OUT_DIR"), "/batch_norm.ptx"));
        assert!(ptx.contains(&format!(".version 8.{}\n", NEEDED_DRIVER % 1000 / 10)));
        assert_eq!(NEEDED_DRIVER / 1000, 12);
    }

    #[test]
    fn known_errors_are_explained_in_one_line() {
        for name in [
            "CUDA_ERROR_OUT_OF_MEMORY",
            "CUDA_ERROR_NO_DEVICE",
            "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
            "CUBLAS_STATUS_NOT_INITIALIZED",
        ] {
            let line = explain(&format!("while loading: DriverError({name}, \"text\")")).unwrap();
            assert!(!line.contains('\n') && line.contains(':'), "{line}");
        }
        assert_eq!(explain("shape mismatch"), None);
    }
}
